//! One suite a port, run on every implementation.
//!
//! A suite is handed a function that opens the same place each time it is called, so that it can close and reopen; the
//! place is empty at first. Suites panic where a contract is broken: call them from tests.

#![allow(clippy::unwrap_used, reason = "a suite is a test: it fails by panicking")]

use std::sync::Arc;
use std::thread;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use merx_domain::{Event, EventId, EventKind, ProductId, SubjectId, TimestampMs};

use crate::{
    Appended, ArtifactHash, Artifacts, EventLog, Lake, LogOffset, Migration, OnlineKey, OnlineStore, Records, Result,
    Row, Scrub, StoreError, Transaction, Value,
};

/// An event that tells its id and subject apart from others; ten subjects take turns.
pub fn sample_event(number: u128) -> Event {
    let at = TimestampMs(1_700_000_000_000 + number as i64);
    Event::new(EventId(number), SubjectId(number % 10), EventKind::ProductViewed, at)
        .with_product(ProductId::new(format!("p{number}")).unwrap())
}

fn samples(numbers: impl IntoIterator<Item = u128>) -> Vec<Event> {
    numbers.into_iter().map(sample_event).collect()
}

// ---- EventLog ----

pub fn event_log(open: &dyn Fn() -> Result<Arc<dyn EventLog>>) {
    an_empty_log_is_empty(&*open().unwrap());
    repeated_ids_are_stored_once(&*open().unwrap());
    reading_resumes(&*open().unwrap());
    waiting_sees_what_another_thread_appends(&*open().unwrap());
    order_holds_per_subject(&*open().unwrap());
    checkpoints_are_kept_by_reader(open);
    erasure_is_complete(open);
    restored_events_keep_their_places(open);
}

fn restored_events_keep_their_places(open: &dyn Fn() -> Result<Arc<dyn EventLog>>) {
    let (before, moved, end) = {
        let log = open().unwrap();
        let before = log.read(None, usize::MAX).unwrap();
        let end = log.end().unwrap().unwrap_or_default().0;
        let event = |place: u64, number: u128| (LogOffset(end + place), sample_event(number));
        let moved = vec![event(5, 20_001), event(6, 20_002), event(1_000, 20_003)];
        log.restore(moved.clone()).unwrap();
        log.restore(Vec::new()).unwrap();
        let conflicts = [
            vec![event(1_000, 20_004)],
            vec![event(2_001, 20_004), event(2_001, 20_005)],
            vec![event(2_001, 20_004), event(2_002, 20_003)],
            vec![event(2_001, 20_004), event(2_002, 20_004)],
        ];
        for conflict in conflicts {
            let refused = log.restore(conflict);
            assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        }
        (before, moved, end)
    };
    let log = open().unwrap();
    assert_eq!(log.read(None, usize::MAX).unwrap(), [before, moved].concat(), "all of a call or nothing of it");
    assert!(log.contains(EventId(20_002)).unwrap() && !log.contains(EventId(20_004)).unwrap());
    assert_eq!(log.append(samples([20_001, 20_004])).unwrap(), [Appended::Duplicate, Appended::Stored]);
    assert!(log.end().unwrap() > Some(LogOffset(end + 1_000)), "places go on behind");
}

fn an_empty_log_is_empty(log: &dyn EventLog) {
    assert_eq!(log.end().unwrap(), None);
    assert_eq!(log.read(None, 10).unwrap(), []);
    assert_eq!(log.append(Vec::new()).unwrap(), []);
    assert!(!log.wait_beyond(None, 1).unwrap());
    assert!(!log.contains(EventId(1)).unwrap());
}

fn repeated_ids_are_stored_once(log: &dyn EventLog) {
    let outcome = log.append(samples([1, 2, 1])).unwrap();
    assert_eq!(outcome, [Appended::Stored, Appended::Stored, Appended::Duplicate]);
    assert_eq!(log.append(samples([2, 3])).unwrap(), [Appended::Duplicate, Appended::Stored]);
    let stored: Vec<Event> = log.read(None, 10).unwrap().into_iter().map(|(_, event)| event).collect();
    assert_eq!(stored, samples([1, 2, 3]));
    assert!(log.contains(EventId(3)).unwrap() && !log.contains(EventId(4)).unwrap());
}

fn reading_resumes(log: &dyn EventLog) {
    let all = log.read(None, usize::MAX).unwrap();
    assert!(all.is_sorted_by_key(|(offset, _)| *offset));
    assert_eq!(log.end().unwrap(), all.last().map(|(offset, _)| *offset));
    let mut after = None;
    for expected in &all {
        let next = log.read(after, 1).unwrap();
        assert_eq!(next, std::slice::from_ref(expected));
        after = Some(next[0].0);
    }
    assert_eq!(log.read(after, 1).unwrap(), []);
    assert_eq!(log.read(None, 0).unwrap(), []);
}

fn waiting_sees_what_another_thread_appends(log: &dyn EventLog) {
    let end = log.end().unwrap();
    assert!(!log.wait_beyond(end, 1).unwrap());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| log.wait_beyond(end, 60_000).unwrap());
        log.append(samples([4])).unwrap();
        assert!(waiting.join().unwrap());
    });
    assert!(log.wait_beyond(end, 0).unwrap());
}

fn order_holds_per_subject(log: &dyn EventLog) {
    let before = log.end().unwrap();
    let per_thread = 200;
    thread::scope(|scope| {
        for subject in 0..4_u128 {
            scope.spawn(move || {
                for number in 1..=per_thread {
                    let outcome = log.append(samples([100 + number * 10 + subject])).unwrap();
                    assert_eq!(outcome, [Appended::Stored]);
                }
            });
        }
    });
    let events = log.read(before, usize::MAX).unwrap();
    assert_eq!(events.len(), 4 * per_thread as usize);
    for subject in 0..4 {
        let ids: Vec<EventId> = events.iter().map(|(_, event)| event.id).filter(|id| id.0 % 10 == subject).collect();
        assert_eq!(ids.len(), per_thread as usize);
        assert!(ids.is_sorted());
    }
}

fn checkpoints_are_kept_by_reader(open: &dyn Fn() -> Result<Arc<dyn EventLog>>) {
    let (all, end) = {
        let log = open().unwrap();
        assert_eq!(log.checkpoint("a").unwrap(), None);
        log.commit("a", LogOffset(1)).unwrap();
        log.commit("b", LogOffset(2)).unwrap();
        log.commit("a", LogOffset(3)).unwrap();
        (log.read(None, usize::MAX).unwrap(), log.end().unwrap())
    };
    let log = open().unwrap();
    assert_eq!(log.checkpoint("a").unwrap(), Some(LogOffset(3)));
    assert_eq!(log.checkpoint("b").unwrap(), Some(LogOffset(2)));
    assert_eq!(log.checkpoint("c").unwrap(), None);
    assert_eq!(log.read(None, usize::MAX).unwrap(), all);
    assert_eq!(log.end().unwrap(), end);
    assert_eq!(log.append(vec![all[0].1.clone()]).unwrap(), [Appended::Duplicate]);
}

fn erasure_is_complete(open: &dyn Fn() -> Result<Arc<dyn EventLog>>) {
    let mut kept = {
        let log = open().unwrap();
        log.append(samples([10_005])).unwrap();
        let end = log.end().unwrap();
        let before = log.read(None, usize::MAX).unwrap();
        let (erased, kept): (Vec<_>, Vec<_>) = before.into_iter().partition(|(_, e)| e.subject == SubjectId(5));
        assert_eq!(log.of_subjects(&[SubjectId(5), SubjectId(u128::MAX)], None, usize::MAX).unwrap(), erased);
        assert_eq!(log.erase(&[SubjectId(5)]).unwrap(), erased.len() as u64);
        assert_eq!(log.erase(&[SubjectId(5)]).unwrap(), 0);
        assert_eq!(log.read(None, usize::MAX).unwrap(), kept);
        assert!(!log.contains(EventId(10_005)).unwrap());
        let last = kept.last().map(|(offset, _)| *offset);
        assert!(!log.wait_beyond(last, 0).unwrap(), "nobody waits for what is gone");
        let (gone, kept) = kept.split_at(1);
        assert_eq!(log.remove(&[gone[0].0]).unwrap(), 1);
        assert_eq!(log.remove(&[gone[0].0, LogOffset(u64::MAX >> 2)]).unwrap(), 0);
        for scrub in [Scrub::Journals, Scrub::Everything] {
            log.scrub(scrub).unwrap();
            assert_eq!(log.read(None, usize::MAX).unwrap(), kept, "the others keep their places");
        }
        assert!(!log.contains(gone[0].1.id).unwrap());
        // An offset is not given twice: a reader that had seen the erased end misses nothing.
        log.append(samples([10_006])).unwrap();
        assert!(log.end().unwrap() > end);
        kept.to_vec()
    };
    let log = open().unwrap();
    let after = log.read(None, usize::MAX).unwrap();
    kept.push((after.last().unwrap().0, sample_event(10_006)));
    assert_eq!(after, kept);
}

// ---- Records ----

/// What the suite's factory opens the records with.
pub const MIGRATIONS: &[Migration] = &[
    Migration { name: "conformance-002", sql: "INSERT INTO things (id, amount) VALUES ('first', 1)" },
    Migration {
        name: "conformance-001",
        sql: "CREATE TABLE things (id TEXT PRIMARY KEY, amount BIGINT NOT NULL, share DOUBLE PRECISION, body BYTEA);\n\
              CREATE INDEX things_by_amount ON things (amount)",
    },
];

const PUT: &str = "INSERT INTO things (id, amount, share, body) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, share = excluded.share, body = excluded.body";
const AMOUNT: &str = "SELECT amount FROM things WHERE id = $1";

fn put(records: &dyn Records, id: &str, amount: i64) {
    let row = [Value::Text(id.into()), Value::Integer(amount), Value::Null, Value::Null];
    records.transaction(&mut |transaction| transaction.execute(PUT, &row).map(drop)).unwrap();
}

fn amount(records: &dyn Records, id: &str) -> Option<i64> {
    match records.query(AMOUNT, &[Value::Text(id.into())]).unwrap().as_slice() {
        [] => None,
        [Row(columns)] => match columns[..] {
            [Value::Integer(amount)] => Some(amount),
            _ => panic!("not an amount: {columns:?}"),
        },
        rows => panic!("one row a key: {rows:?}"),
    }
}

pub fn records(open: &dyn Fn() -> Result<Arc<dyn Records>>) {
    migrations_ran_once_in_order(open);
    values_come_back_as_they_were(&*open().unwrap());
    a_transaction_is_all_or_nothing(open);
    a_broken_statement_says_so(&*open().unwrap());
    parameters_go_by_their_number(&*open().unwrap());
    a_panic_undoes_and_harms_nobody(&*open().unwrap());
    no_update_is_lost(&*open().unwrap());
    failures_among_others_undo_only_themselves(&*open().unwrap());
}

fn migrations_ran_once_in_order(open: &dyn Fn() -> Result<Arc<dyn Records>>) {
    for _ in 0..2 {
        assert_eq!(amount(&*open().unwrap(), "first"), Some(1));
    }
}

fn values_come_back_as_they_were(records: &dyn Records) {
    let row = [
        Value::Text("ünïcode '\"; \u{1F6D2}".into()),
        Value::Integer(i64::MIN),
        Value::Real(-0.1),
        Value::Bytes(vec![0, 255, 1]),
    ];
    records.transaction(&mut |transaction| transaction.execute(PUT, &row).map(drop)).unwrap();
    let sql = "SELECT id, amount, share, body FROM things WHERE id = $1";
    assert_eq!(records.query(sql, &row[..1]).unwrap(), [Row(row.to_vec())]);
    put(records, "nulls", 0);
    let nulls = records.query("SELECT share, body FROM things WHERE id = $1", &[Value::Text("nulls".into())]).unwrap();
    assert_eq!(nulls, [Row(vec![Value::Null, Value::Null])]);
}

fn a_transaction_is_all_or_nothing(open: &dyn Fn() -> Result<Arc<dyn Records>>) {
    {
        let records = open().unwrap();
        put(&*records, "a", 1);
        let refused = records.transaction(&mut |transaction| {
            let changed = transaction.execute("UPDATE things SET amount = $1 WHERE id = 'a'", &[Value::Integer(2)])?;
            assert_eq!(changed, 1);
            assert_eq!(
                transaction.query("SELECT amount FROM things WHERE id = 'a'", &[])?,
                [Row(vec![Value::Integer(2)])]
            );
            Err(StoreError::Conflict { what: "conformance", detail: "refused".into() })
        });
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));
        assert_eq!(amount(&*records, "a"), Some(1));
        put(&*records, "a", 3);
    }
    assert_eq!(amount(&*open().unwrap(), "a"), Some(3));
}

fn a_broken_statement_says_so(records: &dyn Records) {
    let twice = records.transaction(&mut |transaction| {
        transaction.execute("INSERT INTO things (id, amount) VALUES ('first', 2)", &[]).map(drop)
    });
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    assert!(records.query("SELECT nothing FROM nowhere", &[]).is_err());
    assert_eq!(amount(records, "first"), Some(1), "usable afterwards");
}

fn parameters_go_by_their_number(records: &dyn Records) {
    let (first, second) = (Value::Integer(1), Value::Integer(2));
    let sql = "SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT), CAST($2 AS BIGINT)";
    let rows = records.query(sql, &[first.clone(), second.clone()]).unwrap();
    assert_eq!(rows, [Row(vec![second.clone(), first.clone(), second.clone()])]);
    assert!(records.query(sql, std::slice::from_ref(&first)).is_err(), "one is missing");
    assert!(records.query("SELECT CAST($1 AS BIGINT)", &[first, second]).is_err(), "one too many");
}

fn a_panic_undoes_and_harms_nobody(records: &dyn Records) {
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            records.transaction(&mut |transaction| {
                transaction
                    .execute(PUT, &[Value::Text("panic".into()), Value::Integer(1), Value::Null, Value::Null])?;
                // Without the panic hook: its message would look like a failure.
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        });
        assert!(panicking.join().is_err());
    });
    assert_eq!(amount(records, "panic"), None);
    put(records, "after a panic", 1);
    assert_eq!(amount(records, "after a panic"), Some(1));
}

/// Writers that fail and writers that don't, at once.
fn failures_among_others_undo_only_themselves(records: &dyn Records) {
    const ROUNDS: i64 = 50;
    ["left", "right"].iter().for_each(|id| put(records, id, 0));
    let add = |transaction: &mut dyn Transaction, id: &str, by: i64| {
        let sum = transaction.query(AMOUNT, &[Value::Text(id.into())])?;
        let [Row(columns)] = sum.as_slice() else { panic!("{id} is there") };
        let [Value::Integer(amount)] = columns[..] else { panic!("an amount") };
        transaction.execute(PUT, &[Value::Text(id.into()), Value::Integer(amount + by), Value::Null, Value::Null])
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let fails = round % 5 == 0;
                    let outcome = records.transaction(&mut |transaction| {
                        add(transaction, "left", round)?;
                        add(transaction, "right", -round)?;
                        let refused = StoreError::Conflict { what: "conformance", detail: "on purpose".into() };
                        if fails { Err(refused) } else { Ok(()) }
                    });
                    assert_eq!(outcome.is_err(), fails, "{outcome:?}");
                }
            });
        }
    });
    let expected: i64 = 4 * (0..ROUNDS).filter(|round| round % 5 != 0).sum::<i64>();
    assert_eq!((amount(records, "left"), amount(records, "right")), (Some(expected), Some(-expected)));
}

fn no_update_is_lost(records: &dyn Records) {
    put(records, "counter", 0);
    let (threads, rounds) = (4, 25);
    let add = "UPDATE things SET amount = $1 WHERE id = 'counter'";
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..rounds {
                    records
                        .transaction(&mut |transaction| {
                            let rows = transaction.query("SELECT amount FROM things WHERE id = 'counter'", &[])?;
                            let [Value::Integer(before)] = rows[0].0[..] else { panic!("{rows:?}") };
                            transaction.execute(add, &[Value::Integer(before + 1)]).map(drop)
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(amount(records, "counter"), Some(threads * rounds));
}

// ---- OnlineStore ----

fn value_of(store: &dyn OnlineStore, key: OnlineKey) -> Option<Vec<u8>> {
    let mut found = None;
    store.read(key, &mut |value| found = value.map(<[u8]>::to_vec)).unwrap();
    found
}

fn set(store: &dyn OnlineStore, key: OnlineKey, value: &[u8]) {
    store
        .update(key, &mut |held| {
            held.clear();
            held.extend_from_slice(value);
        })
        .unwrap();
}

pub fn online_store(open: &dyn Fn() -> Result<Arc<dyn OnlineStore>>) {
    let key = |space, id| OnlineKey { space, id };
    {
        let store = open().unwrap();
        assert_eq!(store.restored_at(), None);
        assert_eq!(value_of(&*store, key(1, 1)), None);
        set(&*store, key(1, 1), b"one");
        set(&*store, key(2, 1), b"two");
        set(&*store, key(1, u128::MAX), b"max");
        assert_eq!(value_of(&*store, key(1, 1)).as_deref(), Some(&b"one"[..]));
        assert_eq!(store.size().unwrap(), (3, 9));
        let mut visited = Vec::new();
        store.scan(1, &mut |id, value| visited.push((id, value.to_vec()))).unwrap();
        visited.sort();
        assert_eq!(visited, [(1, b"one".to_vec()), (u128::MAX, b"max".to_vec())]);
        set(&*store, key(2, 1), b"");
        assert_eq!(value_of(&*store, key(2, 1)), None, "left empty is removed");
        store.remove(key(1, u128::MAX)).unwrap();
        store.remove(key(9, 9)).unwrap();
        store.snapshot(LogOffset(7)).unwrap();
        set(&*store, key(1, 2), b"after the snapshot");
    }
    {
        let store = open().unwrap();
        assert_eq!(store.restored_at(), Some(LogOffset(7)));
        assert_eq!(value_of(&*store, key(1, 1)).as_deref(), Some(&b"one"[..]));
        assert_eq!(store.size().unwrap(), (1, 3), "what came after the snapshot is in the log");
        updates_are_atomic(&*store, key(3, 3));
        store.snapshot(LogOffset(9)).unwrap();
    }
    assert_eq!(open().unwrap().restored_at(), Some(LogOffset(9)));
}

fn updates_are_atomic(store: &dyn OnlineStore, key: OnlineKey) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    store.update(key, &mut |value| value.push(1)).unwrap();
                }
            });
        }
    });
    assert_eq!(value_of(store, key).map(|value| value.len()), Some(2_000));
}

// ---- Lake ----

fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("number", column)]).unwrap()
}

fn numbers_of(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

fn scanned(lake: &dyn Lake, table: &str, day: i32) -> Vec<i64> {
    let mut found = Vec::new();
    lake.scan(table, day, &mut |batch| {
        assert_eq!(batch.schema(), numbers([]).schema());
        found.extend(numbers_of(&batch));
        Ok(())
    })
    .unwrap();
    found
}

pub fn lake(open: &dyn Fn() -> Result<Arc<dyn Lake>>) {
    let lake = open().unwrap();
    assert_eq!(lake.days("t").unwrap(), [] as [i32; 0]);
    assert!(scanned(&*lake, "t", 0).is_empty());
    // Days before 1970 and in leap years.
    for day in [20_000, -1, 0, 11_016] {
        lake.write("t", day, "a", &numbers([day.into()])).unwrap();
    }
    lake.write("other", 5, "a", &numbers([5])).unwrap();
    assert_eq!(lake.days("t").unwrap(), [-1, 0, 11_016, 20_000]);
    assert_eq!(scanned(&*lake, "t", -1), [-1]);

    lake.write("t", 1, "c", &numbers([30, 31])).unwrap();
    lake.write("t", 1, "a", &numbers(0..20_000)).unwrap();
    lake.write("t", 1, "b", &numbers([20])).unwrap();
    lake.write("t", 1, "b", &numbers([21, 22])).unwrap();
    let mut expected: Vec<i64> = (0..20_000).chain([21, 22, 30, 31]).collect();
    assert_eq!(scanned(&*lake, "t", 1), expected, "parts in name order, the last writing of each");

    lake.compact("t", 1).unwrap();
    assert_eq!(scanned(&*lake, "t", 1), expected);
    lake.write("t", 1, "b", &numbers([23])).unwrap();
    lake.write("t", 1, "bb", &numbers([25])).unwrap();
    expected.splice(20_000..20_002, [23, 25]);
    assert_eq!(scanned(&*lake, "t", 1), expected, "a part is replaced, merged or not");
    let lake = open().unwrap();
    lake.compact("t", 1).unwrap();
    lake.compact("t", 1).unwrap();
    assert_eq!(scanned(&*lake, "t", 1), expected, "merged again after reopening");

    lake.write("t", 1, "d", &numbers([40, 41])).unwrap();
    let odd = |batch: &RecordBatch| numbers_of(batch).iter().map(|number| number % 2 != 0).collect();
    assert_eq!(lake.rewrite("t", &odd).unwrap(), 10_000 + 2 + 3, "half of a, 30 and 40, three single days");
    assert_eq!(lake.rewrite("t", &odd).unwrap(), 0);
    expected.push(41);
    expected.retain(|number| number % 2 != 0);
    assert_eq!(scanned(&*lake, "t", 1), expected);
    assert_eq!(lake.days("t").unwrap(), [-1, 1], "days without rows are gone");
    assert_eq!(scanned(&*lake, "other", 5), [5]);
    lake.write("t", 1, "a", &numbers([])).unwrap();
    assert_eq!(scanned(&*lake, "t", 1), [23, 25, 31, 41]);

    for bad in ["", "../t", "a/b", "a.b", "day=1"] {
        assert!(lake.write(bad, 1, "a", &numbers([1])).is_err(), "table {bad:?}");
        assert!(lake.write("t", 1, bad, &numbers([1])).is_err(), "part {bad:?}");
    }
    assert!(lake.write("t", i32::MAX, "a", &numbers([1])).is_err(), "no such date");
    let stopped = lake.scan("t", 1, &mut |_| Err(StoreError::Conflict { what: "visitor", detail: String::new() }));
    assert!(matches!(stopped, Err(StoreError::Conflict { .. })), "a visitor's error ends the scan");
}

// ---- Artifacts ----

pub fn artifacts(open: &dyn Fn() -> Result<Arc<dyn Artifacts>>) {
    let (model, empty) = {
        let artifacts = open().unwrap();
        assert_eq!(artifacts.list().unwrap(), []);
        let model = artifacts.put(b"model").unwrap();
        assert_eq!(artifacts.put(b"model").unwrap(), model);
        (model, artifacts.put(b"").unwrap())
    };
    assert_eq!(model, ArtifactHash(*blake3::hash(b"model").as_bytes()));
    assert_eq!(model.to_string().parse::<ArtifactHash>().unwrap(), model);
    let artifacts = open().unwrap();
    let mut both = [model, empty];
    both.sort_unstable();
    assert_eq!(artifacts.list().unwrap(), both);
    assert_eq!(&*artifacts.get(model).unwrap(), b"model");
    assert_eq!(&*artifacts.get(empty).unwrap(), b"");
    artifacts.remove(model).unwrap();
    artifacts.remove(model).unwrap();
    assert!(!artifacts.contains(model).unwrap() && artifacts.contains(empty).unwrap());
    assert!(matches!(artifacts.get(model), Err(StoreError::Unavailable { .. })));
}
