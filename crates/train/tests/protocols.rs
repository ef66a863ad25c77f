//! Small shops with a known rule, through the whole way from files to figures.

#![allow(clippy::unwrap_used, reason = "a test that can't write its files has failed")]

use std::io::Write;
use std::path::Path;

use merx_domain::{ManualClock, TimestampMs};
use merx_train::protocols::{BenchError, BenchOptions, Figure, Layout, bench_recommend};

const ITEMS: u32 = 40;

fn run(layout: Layout, dir: &Path) -> Result<Vec<Figure>, BenchError> {
    let options = BenchOptions { layout, data: dir.to_owned(), seed: 3, export_split: Some(dir.join("split")) };
    let mut figures = Vec::new();
    let clock = ManualClock::new(TimestampMs(0));
    bench_recommend(&options, &clock, &mut |figure| figures.push(figure.clone()))?;
    Ok(figures)
}

fn value(figures: &[Figure], metric: &str) -> f64 {
    figures.iter().find(|figure| figure.metric == metric).map_or(f64::NAN, |figure| figure.value)
}

fn write(dir: &Path, name: &str, lines: &[String]) {
    std::fs::write(dir.join(name), lines.join("\n")).unwrap();
}

fn join(items: impl IntoIterator<Item = u32>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// From any item shoppers go on to the next one, round and round; ids start at 1000 and leave gaps.
fn walk(start: u32, length: u32) -> impl Iterator<Item = u32> {
    (start..start + length).map(|item| 1_000 + 7 * (item % ITEMS))
}

fn sessions_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let sessions: Vec<String> = (0..400).map(|session| join(walk(session * 11, 3 + session % 3))).collect();
    let tests: Vec<String> = (0..60).map(|at| format!("{}\t{}", join(walk(at, 2)), join(walk(at + 2, 1)))).collect();
    write(dir.path(), "train_sessions.txt", &sessions);
    write(dir.path(), "test_prefix_target.txt", &tests);
    dir
}

#[test]
fn sessions_find_the_next_step_plain_or_gzipped() {
    let dir = sessions_dir();
    let figures = run(Layout::Sessions, dir.path()).unwrap();
    assert!(value(&figures, "mrr@20") > 0.9, "{figures:?}");
    assert!(value(&figures, "hit_rate@20") == 1.0);
    for name in ["train_sessions.txt", "test_prefix_target.txt"] {
        let text = std::fs::read(dir.path().join(name)).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        std::fs::write(dir.path().join(format!("{name}.gz")), gzip.finish().unwrap()).unwrap();
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert_eq!(run(Layout::Sessions, dir.path()).unwrap(), figures, "the same rows and seed give the same figures");
}

#[test]
fn leave_one_out_works_with_and_without_its_optional_files() {
    let dir = tempfile::tempdir().unwrap();
    let rows =
        |length: u32| (0..200).map(|user| format!("{user} {}", join(walk(user * 3, length)))).collect::<Vec<_>>();
    write(dir.path(), "train.txt", &rows(6));
    let last: Vec<String> = (0..200).map(|user| format!("{user} {}", join(walk(user * 3 + 6, 1)))).collect();
    write(dir.path(), "test.txt", &last);
    let bare = run(Layout::LeaveOneOut, dir.path()).unwrap();
    assert!(value(&bare, "hit_rate@10") > 0.9, "{bare:?}");
    write(dir.path(), "train_fit.txt", &rows(5));
    let attributes: Vec<String> = (0..ITEMS).map(|item| format!("\"{}\": [{}]", 1_001 + 7 * item, item % 4)).collect();
    std::fs::write(dir.path().join("item2attributes.json"), format!("{{{}}}", attributes.join(","))).unwrap();
    let full = run(Layout::LeaveOneOut, dir.path()).unwrap();
    assert!(value(&full, "hit_rate@10") > 0.9, "{full:?}");
    assert!(full[0].settings.to_string().contains("content"));
}

#[test]
fn lightgcn_finds_the_rest_of_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let group =
        |user: u32, places: std::ops::Range<u32>| places.map(move |at| (user % 4) * 30 + (user / 4 * 5 + at * 7) % 30);
    let row = |user: u32, places| format!("{user} {}", join(group(user, places)));
    write(dir.path(), "train.txt", &(0..160).map(|user| row(user, 0..12)).collect::<Vec<_>>());
    write(dir.path(), "test.txt", &(0..160).map(|user| row(user, 12..15)).collect::<Vec<_>>());
    let figures = run(Layout::Lightgcn, dir.path()).unwrap();
    // Chance within the group is 20 of 18 left; chance over all items is about 20 of 108.
    assert!(value(&figures, "recall@20") > 0.9, "{figures:?}");
}

#[test]
fn invoices_find_the_standing_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = vec!["Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country".to_owned()];
    for day in 0..100u32 {
        for customer in (0..30).filter(|customer| (day + customer) % 10 == 0) {
            for item in [customer, customer + 1, (customer * 7 + day) % 30] {
                let (month, day) = (1 + day / 28, 1 + day % 28);
                lines.push(format!(
                    "{day}{month}{customer},A{item},thing,1,2011-{month:02}-{day:02} 09:00:00,2.5,{customer},X"
                ));
            }
        }
    }
    write(dir.path(), "shop.csv", &lines);
    let figures = run(Layout::Invoices, dir.path()).unwrap();
    assert!(value(&figures, "hit_rate@20") == 1.0 && value(&figures, "mrr@20") > 0.9, "{figures:?}");
    let exported = std::fs::read_to_string(dir.path().join("split/test.jsonl")).unwrap();
    assert_eq!(exported.lines().count(), 30);
}

#[test]
fn bad_folders_are_refused_with_a_reason() {
    let dir = sessions_dir();
    let error = |layout| run(layout, dir.path()).unwrap_err().to_string();
    assert!(error(Layout::Lightgcn).contains("has no train.txt"));
    assert!(error(Layout::Invoices).contains("*.parquet"));
    write(dir.path(), "train_sessions.txt", &["1 2 3".to_owned(), "4 five".to_owned()]);
    assert!(error(Layout::Sessions).contains("line 2: `five`"));
    write(dir.path(), "train_sessions.txt", &["1 2".to_owned()]);
    assert!(error(Layout::Sessions).contains("too few"));
    write(dir.path(), "train_sessions.txt", &[String::new()]);
    assert!(error(Layout::Sessions).contains("holds no rows"));
}
