//! The embedded store as a whole.

use merx_domain::{EventId, SubjectId};
use merx_store::conformance::sample_event;
use merx_store::{Appended, LogOffset, LogSettings, Migration, OnlineKey, Store, StoreError, Value};

const MIGRATIONS: &[Migration] =
    &[Migration { name: "test-001", sql: "CREATE TABLE things (id TEXT PRIMARY KEY, amount BIGINT NOT NULL)" }];

#[test]
fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open_embedded(folder.path(), MIGRATIONS, LogSettings::default());
    let key = OnlineKey { space: 1, id: 5 };
    let hash;
    {
        let store = open().unwrap();
        assert!(matches!(open(), Err(StoreError::Locked { .. })), "one process at a time");
        let appended = store.log.append(vec![sample_event(1), sample_event(2), sample_event(1)]).unwrap();
        assert_eq!(appended, [Appended::Stored, Appended::Stored, Appended::Duplicate]);
        store
            .records
            .transaction(&mut |t| {
                t.execute(
                    "INSERT INTO things (id, amount) VALUES ($1, $2)",
                    &[Value::Text("a".into()), Value::Integer(4)],
                )?;
                Ok(())
            })
            .unwrap();
        let failed = store.records.transaction(&mut |t| {
            t.execute("UPDATE things SET amount = $1", &[Value::Integer(9)])?;
            Err(StoreError::Conflict { what: "test", detail: String::new() })
        });
        assert!(failed.is_err());
        store.online.update(key, &mut |value| value.extend(b"state")).unwrap();
        store.online.snapshot(LogOffset(2)).unwrap();
        hash = store.artifacts.put(b"model").unwrap();
    }
    let store = open().unwrap();
    assert_eq!(
        store.log.append(vec![sample_event(2), sample_event(3)]).unwrap(),
        [Appended::Duplicate, Appended::Stored]
    );
    let ids: Vec<u128> = store.log.read(None, 10).unwrap().iter().map(|(_, event)| event.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    let rows = store.records.query("SELECT amount FROM things WHERE id = $1", &[Value::Text("a".into())]).unwrap();
    assert_eq!(rows[0].0, [Value::Integer(4)]);
    store.online.read(key, &mut |value| assert_eq!(value, Some(&b"state"[..]))).unwrap();
    assert_eq!(store.online.restored_at(), Some(LogOffset(2)));
    assert_eq!(&*store.artifacts.get(hash).unwrap(), b"model");
    assert_eq!(store.log.erase(&[SubjectId(2)]).unwrap(), 1);
    assert!(!store.log.contains(EventId(2)).unwrap());
}
