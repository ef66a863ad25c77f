use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use merx_backends::{S3Artifacts, S3Lake};
use merx_store::{Artifacts, Lake, conformance};

use crate::{address, closed_port, own_name, refusal, service};

fn at(service_name: &str, test: &str) -> String {
    let url = service(service_name);
    let (place, options) = url.split_once('?').unwrap();
    format!("{place}/{}?{options}", own_name(test))
}

#[test]
#[ignore = "needs S3: tools/test backends"]
fn artifacts_conformance() {
    let at = at("ARTIFACTS", "conformance");
    conformance::artifacts(&|| Ok(Arc::new(S3Artifacts::open(&address(&at))?)));
}

#[test]
#[ignore = "needs S3: tools/test backends"]
fn lake_conformance() {
    let at = at("LAKE", "conformance");
    conformance::lake(&|| Ok(Arc::new(S3Lake::open(&address(&at))?)));
}

#[test]
#[ignore = "needs S3: tools/test backends"]
fn a_large_artifact_goes_in_parts() {
    let artifacts = S3Artifacts::open(&address(&at("ARTIFACTS", "large"))).unwrap();
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let hash = artifacts.put(&bytes).unwrap();
    assert_eq!(&*artifacts.get(hash).unwrap(), &bytes[..]);
    assert_eq!(artifacts.put(&bytes).unwrap(), hash);
}

fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("number", column)]).unwrap()
}

/// Replicas write parts, write them again and merge the day, all at once.
#[test]
#[ignore = "needs S3: tools/test backends"]
fn replicas_that_write_and_merge_at_once_lose_nothing() {
    const PARTS: i64 = 6;
    let at = at("LAKE", "race");
    let replicas: Vec<_> = (0..3).map(|_| S3Lake::open(&address(&at)).unwrap()).collect();
    thread::scope(|scope| {
        for (number, lake) in (0_i64..).zip(&replicas[..2]) {
            scope.spawn(move || {
                for part in 0..PARTS {
                    let value = number * 100 + part;
                    lake.write("t", 1, &format!("r{number}-{part}"), &numbers([value])).unwrap();
                    lake.write("t", 1, &format!("r{number}-{part}"), &numbers([value, value + 50])).unwrap();
                }
            });
        }
        scope.spawn(|| (0..PARTS).for_each(|_| replicas[2].compact("t", 1).unwrap()));
    });
    replicas[2].compact("t", 1).unwrap();
    let mut found = Vec::new();
    let mut visit = |batch: RecordBatch| {
        found.extend(batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        Ok(())
    };
    replicas[0].scan("t", 1, &mut visit).unwrap();
    let expected: BTreeSet<i64> =
        (0..2).flat_map(|r| (0..PARTS).flat_map(move |part| [r * 100 + part, r * 100 + part + 50])).collect();
    assert_eq!(found.len(), expected.len(), "no row twice");
    assert_eq!(found.into_iter().collect::<BTreeSet<i64>>(), expected);
}

/// A server that says yes to everything, as one does that ignores conditions.
fn yes_to_everything() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                loop {
                    let (mut length, mut line) = (0, String::new());
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    if line.is_empty() {
                        return;
                    }
                    reader.read_exact(&mut vec![0; length]).unwrap();
                    let answer = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n";
                    if (&stream).write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
#[ignore = "needs S3: tools/test backends"]
fn what_is_wrong_is_said() {
    let good = service("ARTIFACTS");
    let options = good.split_once('?').unwrap().1;
    let open = |text: &str| S3Artifacts::open(&address(text));
    refusal(open(&format!("s3://no-such-bucket/a?{options}")), "make the bucket");
    let nobody = format!("s3://merx/a?region=eu-central-1&endpoint=http://127.0.0.1:{}", closed_port());
    refusal(open(&nobody), "check endpoint");
    refusal(open(&format!("{good}&part=3")), "there is no option part");
    let yes = format!("s3://key:secret@merx/a?region=eu-central-1&endpoint=http://127.0.0.1:{}", yes_to_everything());
    refusal(open(&yes), "conditional writes");
}
