//! The suites on the embedded implementations, and random operations against models in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use merx_domain::{Event, EventId, SubjectId};
use merx_store::conformance::{self, MIGRATIONS, sample_event};
use merx_store::embedded::{FolderArtifacts, MemoryOnlineStore, ParquetLake, SqliteEventLog, SqliteRecords};
use merx_store::{Appended, EventLog, LogOffset, LogSettings, OnlineKey, OnlineStore, Records, Row, StoreError, Value};
use proptest::prelude::*;

#[test]
fn event_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    conformance::event_log(&|| Ok(Arc::new(SqliteEventLog::open(&path, LogSettings::default())?)));
}

#[test]
fn records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.sqlite");
    conformance::records(&|| Ok(Arc::new(SqliteRecords::open(&path, MIGRATIONS)?)));
}

#[test]
fn online_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("online.snapshot");
    conformance::online_store(&|| Ok(Arc::new(MemoryOnlineStore::open(&path)?)));
}

#[test]
fn lake() {
    let folder = tempfile::tempdir().unwrap();
    conformance::lake(&|| Ok(Arc::new(ParquetLake::open(folder.path())?)));
}

#[test]
fn artifacts() {
    let folder = tempfile::tempdir().unwrap();
    conformance::artifacts(&|| Ok(Arc::new(FolderArtifacts::open(folder.path())?)));
}

#[test]
fn a_changed_migration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.sqlite");
    drop(SqliteRecords::open(&path, MIGRATIONS).unwrap());
    let mut changed = MIGRATIONS.to_vec();
    changed[0].sql = "INSERT INTO things (id, amount) VALUES ('first', 2)";
    assert!(matches!(SqliteRecords::open(&path, &changed), Err(StoreError::Conflict { .. })));
}

#[test]
fn a_full_queue_says_busy_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteEventLog::open(&folder.path().join("log"), LogSettings { queued_events: 150 }).unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let append = |thread: u128| {
            let log = &log;
            scope.spawn(move || {
                let numbers = move |batch: u128| (0..100).map(move |at| thread * 100_000 + batch * 100 + at);
                (0..20)
                    .map(|batch| log.append(numbers(batch).map(sample_event).collect()).map_err(|e| (batch, e)))
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..8).map(append).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let busy = |outcome: &Result<_, (u128, StoreError)>| matches!(outcome, Err((_, StoreError::Busy { .. })));
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| busy(outcome)).count();
    assert_eq!(stored + refused, outcomes.len());
    assert!(refused > 0, "eight writers of 100 don't fit into 150");
    assert_eq!(log.read(None, usize::MAX).unwrap().len(), stored * 100);
    assert_eq!(log.queued(), 0);
}

#[derive(Debug, Clone)]
enum LogStep {
    Append(Vec<u8>),
    Erase(u8),
    Reopen,
    Commit(u8),
}

fn log_step() -> impl Strategy<Value = LogStep> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..20).prop_map(LogStep::Append),
        1 => (0..10_u8).prop_map(LogStep::Erase),
        1 => Just(LogStep::Reopen),
        2 => any::<u8>().prop_map(LogStep::Commit),
    ]
}

#[derive(Debug, Clone)]
enum OnlineStep {
    Push(u8, u8, Vec<u8>),
    Clear(u8, u8),
    Remove(u8, u8),
    Snapshot,
    Reopen,
}

fn online_step() -> impl Strategy<Value = OnlineStep> {
    let key = || (0..3_u8, 0..6_u8);
    prop_oneof![
        6 => (key(), prop::collection::vec(any::<u8>(), 0..8)).prop_map(|((s, i), v)| OnlineStep::Push(s, i, v)),
        1 => key().prop_map(|(s, i)| OnlineStep::Clear(s, i)),
        1 => key().prop_map(|(s, i)| OnlineStep::Remove(s, i)),
        1 => Just(OnlineStep::Snapshot),
        1 => Just(OnlineStep::Reopen),
    ]
}

#[derive(Debug, Clone)]
enum RecordStep {
    Put(u8, i64),
    Delete(u8),
}

fn transactions() -> impl Strategy<Value = Vec<(Vec<RecordStep>, bool)>> {
    let step = prop_oneof![
        3 => (0..8_u8, any::<i64>()).prop_map(|(key, amount)| RecordStep::Put(key, amount)),
        1 => (0..8_u8).prop_map(RecordStep::Delete),
    ];
    prop::collection::vec((prop::collection::vec(step, 0..6), any::<bool>()), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_does_what_a_list_does(steps in prop::collection::vec(log_step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let open = || SqliteEventLog::open(&path, LogSettings::default()).unwrap();
        let mut log = open();
        let mut model: Vec<Event> = Vec::new();
        let mut checkpoint = None;
        for step in steps {
            match step {
                LogStep::Append(numbers) => {
                    let events: Vec<Event> = numbers.iter().map(|&number| sample_event(number.into())).collect();
                    let outcome = log.append(events.clone()).unwrap();
                    for (event, appended) in events.into_iter().zip(outcome) {
                        let known = model.iter().any(|held| held.id == event.id);
                        prop_assert_eq!(appended, if known { Appended::Duplicate } else { Appended::Stored });
                        if !known {
                            model.push(event);
                        }
                    }
                }
                LogStep::Erase(subject) => {
                    let before = model.len();
                    model.retain(|event| event.subject != SubjectId(subject.into()));
                    prop_assert_eq!(log.erase(&[SubjectId(subject.into())]).unwrap(), (before - model.len()) as u64);
                }
                LogStep::Reopen => {
                    drop(log);
                    log = open();
                }
                LogStep::Commit(offset) => {
                    checkpoint = Some(LogOffset(offset.into()));
                    log.commit("reader", LogOffset(offset.into())).unwrap();
                }
            }
            let held = log.read(None, usize::MAX).unwrap();
            prop_assert_eq!(log.end().unwrap(), held.last().map(|(offset, _)| *offset));
            prop_assert_eq!(held.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), model.clone());
            prop_assert_eq!(log.checkpoint("reader").unwrap(), checkpoint);
        }
        let ids: HashSet<EventId> = model.iter().map(|event| event.id).collect();
        for number in 0..=255 {
            prop_assert_eq!(log.contains(EventId(number)).unwrap(), ids.contains(&EventId(number)));
        }
    }

    #[test]
    fn the_online_store_does_what_a_map_does(steps in prop::collection::vec(online_step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("online.snapshot");
        let mut store = MemoryOnlineStore::open(&path).unwrap();
        let mut model: BTreeMap<OnlineKey, Vec<u8>> = BTreeMap::new();
        let mut saved = (None, model.clone());
        let key = |space, id: u8| OnlineKey { space, id: u128::from(id) << 100 | u128::from(id) };
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                OnlineStep::Push(space, id, bytes) => {
                    store.update(key(space, id), &mut |value| value.extend(&bytes)).unwrap();
                    let value = model.entry(key(space, id)).or_default();
                    value.extend(&bytes);
                }
                OnlineStep::Clear(space, id) => {
                    store.update(key(space, id), &mut Vec::clear).unwrap();
                    model.remove(&key(space, id));
                }
                OnlineStep::Remove(space, id) => {
                    store.remove(key(space, id)).unwrap();
                    model.remove(&key(space, id));
                }
                OnlineStep::Snapshot => {
                    store.snapshot(LogOffset(at as u64)).unwrap();
                    saved = (Some(LogOffset(at as u64)), model.clone());
                }
                OnlineStep::Reopen => {
                    store = MemoryOnlineStore::open(&path).unwrap();
                    prop_assert_eq!(store.restored_at(), saved.0);
                    model = saved.1.clone();
                }
            }
            model.retain(|_, value| !value.is_empty());
            let mut held = BTreeMap::new();
            for space in 0..3 {
                store.scan(space, &mut |id, value| {
                    held.insert(OnlineKey { space, id }, value.to_vec());
                }).unwrap();
            }
            prop_assert_eq!(&held, &model);
            let bytes = model.values().map(|value| value.len() as u64).sum();
            prop_assert_eq!(store.size().unwrap(), (model.len() as u64, bytes));
        }
    }

    #[test]
    fn records_do_what_a_map_does(transactions in transactions()) {
        let folder = tempfile::tempdir().unwrap();
        let records = SqliteRecords::open(&folder.path().join("records"), MIGRATIONS).unwrap();
        let mut model = BTreeMap::from([("first".to_owned(), 1)]);
        for (steps, succeeds) in transactions {
            let mut changed = model.clone();
            let outcome = records.transaction(&mut |transaction| {
                for step in &steps {
                    match step {
                        RecordStep::Put(key, amount) => {
                            let sql = "INSERT INTO things (id, amount) VALUES ($1, $2)
                                       ON CONFLICT (id) DO UPDATE SET amount = excluded.amount";
                            transaction.execute(sql, &[Value::Text(key.to_string()), Value::Integer(*amount)])?;
                            changed.insert(key.to_string(), *amount);
                        }
                        RecordStep::Delete(key) => {
                            let sql = "DELETE FROM things WHERE id = $1";
                            let removed = transaction.execute(sql, &[Value::Text(key.to_string())])?;
                            assert_eq!(removed, u64::from(changed.remove(&key.to_string()).is_some()));
                        }
                    }
                }
                if succeeds { Ok(()) } else { Err(StoreError::Conflict { what: "test", detail: String::new() }) }
            });
            prop_assert_eq!(outcome.is_ok(), succeeds);
            if succeeds {
                model = changed;
            }
            let held = records.query("SELECT id, amount FROM things ORDER BY id", &[]).unwrap();
            let expected: Vec<Row> =
                model.iter().map(|(id, amount)| Row(vec![Value::Text(id.clone()), Value::Integer(*amount)])).collect();
            prop_assert_eq!(held, expected);
        }
    }
}
