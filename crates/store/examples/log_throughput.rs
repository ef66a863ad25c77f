//! Events a second, appended durably in batches of 500 from four threads and read back: one JSON object a line.
//! `cargo run --release -p merx-store --example log_throughput -- FOLDER [EVENTS]`; the folder's disk is what is measured.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark reads the clock and stops at errors")]

use std::time::Instant;

use merx_store::conformance::sample_event;
use merx_store::embedded::SqliteEventLog;
use merx_store::{EventLog, LogSettings};

const THREADS: u128 = 4;
const BATCH: u128 = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".into())).unwrap();
    let count: u128 = arguments.next().map_or(400_000, |count| count.parse().unwrap());
    let batches = count / (THREADS * BATCH);
    let log = SqliteEventLog::open(&folder.path().join("log"), LogSettings::default()).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for batch in 0..batches {
                    let first = (batch * THREADS + thread) * BATCH;
                    // Ids of senders are hashes: spread over the index, unlike a counter.
                    let event = |number: u128| {
                        let mut event = sample_event(number);
                        event.id.0 = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                        event
                    };
                    log.append((first..first + BATCH).map(event).collect()).unwrap();
                }
            });
        }
    });
    report("append", batches * THREADS * BATCH, began);
    let began = Instant::now();
    let (mut after, mut events) = (None, 0);
    loop {
        let read = log.read(after, 10_000).unwrap();
        let Some((last, _)) = read.last() else { break };
        after = Some(*last);
        events += read.len() as u128;
    }
    report("scan", events, began);
}

fn report(metric: &str, events: u128, began: Instant) {
    let rate = events as f64 / began.elapsed().as_secs_f64();
    println!(
        "{{\"metric\": \"log_{metric}_events_per_s\", \"value\": {rate:.0}, \"events\": {events}, \"threads\": {THREADS}, \"batch\": {BATCH}}}"
    );
}
