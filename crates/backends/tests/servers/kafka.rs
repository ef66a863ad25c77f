use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use merx_backends::{KAFKA_MIGRATIONS, KafkaEventLog, PostgresRecords};
use merx_domain::{Event, EventId, SubjectId};
use merx_store::conformance::{self, sample_event};
use merx_store::embedded::SqliteRecords;
use merx_store::{Appended, EventLog, Records, StoreError, Value};

use crate::{address, closed_port, own_name, postgres, refusal, service};

const QUEUE: usize = 100_000;

fn at(test: &str) -> String {
    let url = service("LOG");
    let (place, options) = url.split_once('?').unwrap();
    format!("{}/{}?{options}", place.rsplit_once('/').unwrap().0, own_name(test))
}

fn on_sqlite(at: &str, folder: &Path) -> merx_store::Result<KafkaEventLog> {
    let records = Arc::new(SqliteRecords::open(&folder.join("records.sqlite"), KAFKA_MIGRATIONS)?);
    KafkaEventLog::open(&address(at), records, QUEUE)
}

#[test]
#[ignore = "needs Kafka: tools/test backends"]
fn conformance_with_records_in_sqlite() {
    let at = at("conformance_sqlite");
    let folder = tempfile::tempdir().unwrap();
    conformance::event_log(&|| Ok(Arc::new(on_sqlite(&at, folder.path())?)));
}

#[test]
#[ignore = "needs Kafka and PostgreSQL: tools/test backends"]
fn conformance_with_records_in_postgres() {
    let at = at("conformance_postgres");
    let schema = postgres::schema("kafka_conformance");
    conformance::event_log(&|| {
        let records = Arc::new(PostgresRecords::open(&schema, KAFKA_MIGRATIONS)?);
        Ok(Arc::new(KafkaEventLog::open(&address(&at), records, QUEUE)?))
    });
}

/// Three replicas are sent the same events, each in its own order, in batches of their own.
#[test]
#[ignore = "needs Kafka and PostgreSQL: tools/test backends"]
fn replicas_store_each_event_once_and_agree_on_the_order() {
    const EVENTS: u128 = 600;
    let at = at("replicas");
    let schema = postgres::schema("kafka_replicas");
    let open = || {
        let records = Arc::new(PostgresRecords::open(&schema, KAFKA_MIGRATIONS).unwrap());
        KafkaEventLog::open(&address(&at), records, QUEUE).unwrap()
    };
    let replicas: Vec<_> = (0..3).map(|_| open()).collect();
    let stored: Vec<usize> = thread::scope(|scope| {
        let append = |(number, log): (usize, &KafkaEventLog)| {
            let batch = 7 + 5 * number;
            let events: Vec<Event> = (0..EVENTS).map(sample_event).collect();
            let mut stored = 0;
            for some in events.chunks(batch) {
                let outcome = loop {
                    match log.append(some.to_vec()) {
                        Err(StoreError::Busy { .. }) => {}
                        outcome => break outcome.unwrap(),
                    }
                };
                stored += outcome.iter().filter(|one| **one == Appended::Stored).count();
            }
            stored
        };
        let threads: Vec<_> = replicas.iter().enumerate().map(|one| scope.spawn(move || append(one))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(stored.iter().sum::<usize>() as u128, EVENTS, "each was told to be stored by one replica: {stored:?}");
    let read: Vec<_> = replicas.iter().map(|log| log.read(None, usize::MAX).unwrap()).collect();
    assert!(read.windows(2).all(|pair| pair[0] == pair[1]));
    let mut last: HashMap<SubjectId, EventId> = HashMap::new();
    for (_, event) in &read[0] {
        let before = last.insert(event.subject, event.id);
        assert!(before.is_none_or(|before| before < event.id), "order holds per subject");
    }
    assert_eq!(read[0].len() as u128, EVENTS);
}

/// A body without a row is what a crash in between leaves: nobody sees it, and the event can be sent again.
#[test]
#[ignore = "needs Kafka: tools/test backends"]
fn an_event_whose_row_was_not_written_was_not_acknowledged() {
    struct Failing(SqliteRecords, std::sync::atomic::AtomicBool);
    impl Records for Failing {
        fn query(&self, sql: &str, parameters: &[Value]) -> merx_store::Result<Vec<merx_store::Row>> {
            self.0.query(sql, parameters)
        }
        fn transaction(
            &self,
            work: &mut dyn FnMut(&mut dyn merx_store::Transaction) -> merx_store::Result<()>,
        ) -> merx_store::Result<()> {
            if self.1.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(StoreError::Unavailable { what: "test", detail: "the records are gone".into() });
            }
            self.0.transaction(work)
        }
        fn scrub(&self, scrub: merx_store::Scrub) -> merx_store::Result<()> {
            self.0.scrub(scrub)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&folder.path().join("records.sqlite"), KAFKA_MIGRATIONS).unwrap();
    let records = Arc::new(Failing(records, false.into()));
    let log = KafkaEventLog::open(&address(&at("crash")), Arc::clone(&records) as _, QUEUE).unwrap();
    log.append(vec![sample_event(1)]).unwrap();
    records.1.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(log.append(vec![sample_event(2)]).is_err());
    records.1.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(log.read(None, 10).unwrap().len(), 1);
    assert_eq!(log.append(vec![sample_event(2), sample_event(1)]).unwrap(), [Appended::Stored, Appended::Duplicate]);
    let ids: Vec<u128> = log.read(None, 10).unwrap().into_iter().map(|(_, event)| event.id.0).collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
#[ignore = "needs Kafka: tools/test backends"]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let open = |text: &str| on_sqlite(text, folder.path());
    refusal(open(&format!("kafka://127.0.0.1:{}/t?timeout_ms=1000", closed_port())), "check the brokers' addresses");
    refusal(open("kafka://broker.example:9092/t"), "kafka-tls");
    refusal(open("kafka://127.0.0.1:1/t?partition=3"), "there is no option partition");
}
