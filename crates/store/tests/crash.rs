//! What is acknowledged survives kill -9, a full disk and, or says so, damaged files.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at errors")]
#![allow(clippy::disallowed_methods, reason = "how long reopening takes is what is tested")]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use merx_domain::Event;
use merx_store::conformance::sample_event;
use merx_store::embedded::SqliteEventLog;
use merx_store::{
    Appended, EventLog, LogOffset, LogSettings, Migration, OnlineKey, Result, Store, StoreError, Transaction, Value,
};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "crash-001",
    sql: "CREATE TABLE pair (id TEXT PRIMARY KEY, amount BIGINT NOT NULL);\n\
          INSERT INTO pair (id, amount) VALUES ('left', 0), ('right', 0)",
}];
const CHILD: &str = "MERX_STORE_CRASH_CHILD";
const BATCH: u128 = 20;
const ROUNDS: u64 = 30;
const COUNT: OnlineKey = OnlineKey { space: 1, id: 1 };

fn open(folder: &Path) -> Result<Store> {
    Store::open_embedded(folder, MIGRATIONS, LogSettings::default())
}

fn batch(number: u128) -> Vec<Event> {
    (number * BATCH..(number + 1) * BATCH).map(sample_event).collect()
}

/// This binary again, running only the test `role`, which does its work when it finds the variable.
fn child(role: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", role, "--nocapture", "--test-threads=1"]).env(CHILD, argument);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What a child acknowledged, from its whole lines.
#[derive(Debug, Default)]
struct Acknowledged {
    batches: HashSet<u128>,
    pair: i64,
    refused: bool,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("batch", number)) => drop(self.batches.insert(number.parse().unwrap())),
            Some(("pair", amount)) => self.pair = amount.parse().unwrap(),
            Some(("refused", _)) => self.refused = true,
            _ => {}
        }
    }
}

/// Whole lines only: the last one may have been cut by the kill.
fn lines(output: impl std::io::Read) -> impl Iterator<Item = String> {
    let mut output = BufReader::new(output);
    std::iter::from_fn(move || {
        let mut line = String::new();
        output.read_line(&mut line).ok()?;
        line.strip_suffix('\n').map(str::to_owned)
    })
}

fn seeded(state: &mut u64) -> u64 {
    // SplitMix64
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn set_pair(transaction: &mut dyn Transaction, amount: i64) -> Result<()> {
    for id in ["left", "right"] {
        let row = [Value::Integer(amount), Value::Text(id.into())];
        transaction.execute("UPDATE pair SET amount = $1 WHERE id = $2", &row)?;
    }
    Ok(())
}

fn pair(store: &Store) -> [i64; 2] {
    let rows = store.records.query("SELECT amount FROM pair ORDER BY id", &[]).unwrap();
    let amounts: Vec<i64> = rows
        .iter()
        .map(|row| match row.0[0] {
            Value::Integer(amount) => amount,
            ref other => panic!("{other:?}"),
        })
        .collect();
    amounts.try_into().unwrap()
}

fn online_count(store: &Store) -> u64 {
    let mut count = 0;
    store
        .online
        .read(COUNT, &mut |value| {
            count = value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
        })
        .unwrap();
    count
}

/// Counts what is new in the log and saves that; the state is of exactly the events up to its offset.
fn project(store: &Store, after: &mut Option<LogOffset>) {
    let events = store.log.read(*after, 10_000).unwrap();
    let Some((last, _)) = events.last() else { return };
    let count = online_count(store) + events.len() as u64;
    store.online.update(COUNT, &mut |value| *value = count.to_le_bytes().to_vec()).unwrap();
    store.online.snapshot(*last).unwrap();
    *after = Some(*last);
}

/// Not a test of its own: the process that is killed.
#[test]
fn child_that_writes() {
    let Ok(argument) = std::env::var(CHILD) else { return };
    let (round, folder) = argument.split_once(' ').unwrap();
    let first = round.parse::<u128>().unwrap() * 1_000_000;
    let store = open(Path::new(folder)).unwrap();
    println!("\nready");
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for number in 0.. {
                    let number = first + number * 2 + thread;
                    assert!(store.log.append(batch(number)).unwrap().iter().all(|a| *a == Appended::Stored));
                    println!("batch {number}");
                }
            });
        }
        scope.spawn(|| {
            for amount in pair(&store)[0] + 1.. {
                store.records.transaction(&mut |transaction| set_pair(transaction, amount)).unwrap();
                println!("pair {amount}");
            }
        });
        let mut after = store.online.restored_at();
        loop {
            project(&store, &mut after);
        }
    });
}

#[test]
fn what_is_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 7;
    let mut acknowledged = Acknowledged::default();
    for round in 1..=ROUNDS {
        let mut process = child("child_that_writes", &format!("{round} {}", folder.path().display())).spawn().unwrap();
        let mut output = lines(process.stdout.take().unwrap());
        assert!(output.any(|line| line == "ready"), "the store opens in round {round}");
        let heard = Mutex::new(&mut acknowledged);
        std::thread::scope(|scope| {
            scope.spawn(|| output.for_each(|line| heard.lock().unwrap().hear(&line)));
            std::thread::sleep(Duration::from_micros(1_000 + seeded(&mut seed) % 250_000));
            process.kill().unwrap();
        });
        process.wait().unwrap();

        let began = Instant::now();
        let store = open(folder.path()).unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "reopened after {:?}", began.elapsed());
        check(&store, &acknowledged);
    }
    assert!(acknowledged.batches.len() as u64 > ROUNDS && acknowledged.pair as u64 > ROUNDS, "it did write");
}

fn check(store: &Store, acknowledged: &Acknowledged) {
    let events = store.log.read(None, usize::MAX).unwrap();
    let mut of_batch: BTreeMap<u128, HashSet<u128>> = BTreeMap::new();
    for (_, event) in &events {
        assert_eq!(*event, sample_event(event.id.0));
        assert!(of_batch.entry(event.id.0 / BATCH).or_default().insert(event.id.0), "{} twice", event.id);
    }
    assert!(of_batch.values().all(|ids| ids.len() as u128 == BATCH), "a batch is there whole or not at all");
    for number in &acknowledged.batches {
        assert!(of_batch.contains_key(number), "batch {number} was acknowledged");
    }
    let [left, right] = pair(store);
    assert_eq!(left, right, "no half transaction");
    assert!(left >= acknowledged.pair);
    let restored = store.online.restored_at();
    let held = events.iter().filter(|(offset, _)| Some(*offset) <= restored).count();
    assert_eq!(online_count(store), held as u64, "the snapshot is of its offset");
}

/// Not a test of its own: the process whose files may not grow.
#[test]
fn child_without_room() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let store = open(Path::new(&folder)).unwrap();
    println!();
    for number in 0.. {
        match store.log.append(batch(number)) {
            Ok(_) => println!("batch {number}"),
            Err(StoreError::NoSpace { .. }) => break,
            Err(other) => panic!("a full disk is called so: {other}"),
        }
    }
    let again = store.log.append(batch(999_999));
    assert!(matches!(again, Err(StoreError::NoSpace { .. })), "{again:?}");
    assert!(!store.log.read(None, 10).unwrap().is_empty(), "reading goes on");
    println!("refused by a full disk");
}

/// A file size limit stands for a full disk: it needs no privilege, and writes fail in the same places.
#[test]
fn a_full_disk_is_a_clear_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inner = child("child_without_room", "");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(inner.get_args()).env(CHILD, folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let mut acknowledged = Acknowledged::default();
    lines(process.stdout.take().unwrap()).for_each(|line| acknowledged.hear(&line));
    process.wait().unwrap();
    assert!(acknowledged.refused && acknowledged.batches.len() > 10, "{acknowledged:?}");

    let store = open(folder.path()).unwrap();
    check(&store, &acknowledged);
    let stored = store.log.append(batch(999_999)).unwrap();
    assert!(stored.iter().all(|outcome| *outcome == Appended::Stored), "with room again it goes on");
}

/// A log of 30 batches as a crash leaves it: everything still in the write-ahead log.
fn crashed_log(folder: &Path) -> Vec<u8> {
    let log = SqliteEventLog::open(&folder.join("live"), LogSettings::default()).unwrap();
    for number in 0..30 {
        log.append(batch(number)).unwrap();
    }
    std::fs::copy(folder.join("live"), folder.join("log")).unwrap();
    std::fs::read(folder.join("live-wal")).unwrap()
}

/// The batches that are found with this write-ahead log, always the first ones, or the error.
fn recovered(folder: &Path, wal: &[u8]) -> Result<u128> {
    let _ = std::fs::remove_file(folder.join("copy-shm"));
    std::fs::copy(folder.join("log"), folder.join("copy")).unwrap();
    std::fs::write(folder.join("copy-wal"), wal).unwrap();
    let log = SqliteEventLog::open(&folder.join("copy"), LogSettings::default())?;
    let events: Vec<Event> = log.read(None, usize::MAX)?.into_iter().map(|(_, event)| event).collect();
    let batches = events.len() as u128 / BATCH;
    assert_eq!(events, (0..batches).flat_map(batch).collect::<Vec<_>>(), "whole batches from the first on");
    Ok(batches)
}

#[test]
fn a_damaged_write_ahead_log_is_recovered_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wal = crashed_log(folder.path());
    assert_eq!(recovered(folder.path(), &wal).unwrap(), 30);
    let mut refused = 0;
    let mut seed = 11;
    for _ in 0..60 {
        let mut flipped = wal.clone();
        let at = seeded(&mut seed) as usize % wal.len();
        flipped[at] ^= 1 << (seeded(&mut seed) % 8);
        match recovered(folder.path(), &flipped) {
            Ok(batches) => assert!(batches >= 29, "only the last commit may look unfinished: {batches} at byte {at}"),
            Err(StoreError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 40, "damage before the last commit is refused: {refused}");
    // A cut looks like what a crash leaves.
    for cut in [wal.len() - 1, wal.len() - 5_000, wal.len() / 2, 20, 0] {
        assert!(recovered(folder.path(), &wal[..cut]).unwrap() < 30);
    }
}

#[test]
fn a_log_that_ends_before_the_snapshot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path()).unwrap();
        store.log.append(batch(0)).unwrap();
        store.online.snapshot(store.log.end().unwrap().unwrap()).unwrap();
    }
    drop(open(folder.path()).unwrap());
    std::fs::remove_file(folder.path().join("events.sqlite")).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_damaged_page_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    {
        let log = SqliteEventLog::open(&path, LogSettings::default()).unwrap();
        for number in 0..30 {
            log.append(batch(number)).unwrap();
        }
    }
    let whole = std::fs::read(&path).unwrap();
    let expected: Vec<Event> = (0..30).flat_map(batch).collect();
    let mut refused = 0;
    for at in (whole.len() - 8_192..whole.len()).step_by(61) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&path, flipped).unwrap();
        let read = SqliteEventLog::open(&path, LogSettings::default()).and_then(|log| log.read(None, usize::MAX));
        match read {
            Ok(events) => assert!(events.into_iter().map(|(_, event)| event).eq(expected.iter().cloned()), "byte {at}"),
            Err(StoreError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 10, "{refused}");
    std::fs::write(&path, &whole[..whole.len() - 4_096]).unwrap();
    let cut = SqliteEventLog::open(&path, LogSettings::default());
    assert!(matches!(cut.err(), Some(StoreError::Damaged { .. })), "a cut file");
}
