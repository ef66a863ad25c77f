use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use merx_backends::{Address, PostgresRecords};
use merx_store::conformance::{self, MIGRATIONS};
use merx_store::{Migration, Records, Row, Scrub, StoreError, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{address, closed_port, own_name, refusal, service};

/// An empty schema of one test.
pub(crate) fn schema(test: &str) -> Address {
    let name = own_name(test);
    run(
        &address(&service("RECORDS")),
        &[&format!("DROP SCHEMA IF EXISTS {name} CASCADE"), &format!("CREATE SCHEMA {name}")],
    );
    with_options(&format!("schema={name}"))
}

fn with_options(options: &str) -> Address {
    address(&format!("{}?{options}", service("RECORDS")))
}

fn run(at: &Address, statements: &[&str]) {
    let records = PostgresRecords::open(at, &[]).unwrap();
    for sql in statements {
        records.transaction(&mut |transaction| transaction.execute(sql, &[]).map(drop)).unwrap();
    }
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn conformance() {
    let at = schema("conformance");
    conformance::records(&|| Ok(Arc::new(PostgresRecords::open(&at, MIGRATIONS)?)));
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn replicas_that_start_at_once_apply_each_step_once() {
    const STEPS: &[Migration] = &[
        Migration {
            name: "race-1",
            sql: "CREATE TABLE runs (step BIGINT NOT NULL);\nINSERT INTO runs (step) VALUES (1)",
        },
        Migration { name: "race-2", sql: "INSERT INTO runs (step) VALUES (2)" },
        Migration { name: "race-3", sql: "INSERT INTO runs (step) SELECT MAX(step) + 1 FROM runs" },
    ];
    let at = schema("race");
    thread::scope(|scope| {
        let replicas: Vec<_> = (0..8).map(|_| scope.spawn(|| PostgresRecords::open(&at, STEPS).map(drop))).collect();
        replicas.into_iter().for_each(|replica| replica.join().unwrap().unwrap());
    });
    let records = PostgresRecords::open(&at, STEPS).unwrap();
    let steps = records.query("SELECT step FROM runs ORDER BY step", &[]).unwrap();
    assert_eq!(steps, [1, 2, 3].map(|step| Row(vec![Value::Integer(step)])));
    let changed = [Migration { name: "race-2", sql: "INSERT INTO runs (step) VALUES (9)" }];
    assert!(matches!(PostgresRecords::open(&at, &changed), Err(StoreError::Conflict { .. })));
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn transactions_do_what_a_map_does() {
    let at = schema("map");
    let records = PostgresRecords::open(&at, MIGRATIONS).unwrap();
    let transactions =
        prop::collection::vec((prop::collection::vec((0..8_u8, any::<Option<i64>>()), 0..6), any::<bool>()), 1..20);
    let mut model = BTreeMap::from([("first".to_owned(), 1)]);
    let model = std::cell::RefCell::new(&mut model);
    TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() })
        .run(&transactions, |transactions| {
            for (steps, succeeds) in transactions {
                let mut changed = model.borrow().clone();
                let outcome = records.transaction(&mut |transaction| {
                    changed.clone_from(&model.borrow());
                    for (key, amount) in &steps {
                        let id = Value::Text(key.to_string());
                        match amount {
                            Some(amount) => {
                                let sql = "INSERT INTO things (id, amount) VALUES ($1, $2)
                                           ON CONFLICT (id) DO UPDATE SET amount = excluded.amount";
                                transaction.execute(sql, &[id, Value::Integer(*amount)])?;
                                changed.insert(key.to_string(), *amount);
                            }
                            None => {
                                let removed = transaction.execute("DELETE FROM things WHERE id = $1", &[id])?;
                                assert_eq!(removed, u64::from(changed.remove(&key.to_string()).is_some()));
                            }
                        }
                    }
                    if succeeds { Ok(()) } else { Err(StoreError::Conflict { what: "test", detail: String::new() }) }
                });
                prop_assert_eq!(outcome.is_ok(), succeeds);
                if succeeds {
                    model.borrow_mut().clone_from(&changed);
                }
                let held = records.query("SELECT id, amount FROM things ORDER BY id", &[]).unwrap();
                let expected: Vec<Row> = model
                    .borrow()
                    .iter()
                    .map(|(id, amount)| Row(vec![Value::Text(id.clone()), Value::Integer(*amount)]))
                    .collect();
                prop_assert_eq!(held, expected);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn replicas_lose_no_update() {
    let at = schema("replicas");
    let replicas: Vec<_> = (0..3).map(|_| PostgresRecords::open(&at, MIGRATIONS).unwrap()).collect();
    thread::scope(|scope| {
        for records in replicas.iter().chain(&replicas) {
            scope.spawn(|| {
                for _ in 0..20 {
                    let add = &mut |transaction: &mut dyn merx_store::Transaction| {
                        let rows = transaction.query("SELECT amount FROM things WHERE id = 'first'", &[])?;
                        let [Value::Integer(before)] = rows[0].0[..] else { panic!("{rows:?}") };
                        let sql = "UPDATE things SET amount = $1 WHERE id = 'first'";
                        transaction.execute(sql, &[Value::Integer(before + 1)]).map(drop)
                    };
                    // A replica that loses often is told to come back, and does.
                    while let Err(error) = records.transaction(add) {
                        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
                    }
                }
            });
        }
    });
    let sum = replicas[0].query("SELECT SUM(amount) FROM things", &[]).unwrap();
    assert_eq!(sum, [Row(vec![Value::Integer(1 + 6 * 20)])], "a sum is a whole number");
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn connections_that_the_server_ends_are_replaced() {
    let at = schema("ended");
    let records = PostgresRecords::open(&at, MIGRATIONS).unwrap();
    let other = PostgresRecords::open(&with_options("application_name=other"), &[]).unwrap();
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'merx' AND query LIKE '%ended-marker%'";
    let mark = "SELECT amount, 'ended-marker' FROM things WHERE id = 'first'";
    records.query(mark, &[]).unwrap();
    other.query(end, &[]).unwrap();
    assert_eq!(records.query(mark, &[]).unwrap().len(), 1, "between two calls");
    let mut runs = 0;
    records
        .transaction(&mut |transaction| {
            runs += 1;
            transaction.query(mark, &[])?;
            if runs == 1 {
                other.query(end, &[])?;
            }
            transaction.execute("UPDATE things SET amount = amount + 1 WHERE id = 'first'", &[]).map(drop)
        })
        .unwrap();
    assert_eq!(runs, 2, "the work ran again");
    let amount = records.query("SELECT amount FROM things WHERE id = 'first'", &[]).unwrap();
    assert_eq!(amount, [Row(vec![Value::Integer(2)])], "and counted once");
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn limits_hold() {
    let schema = own_name("limits");
    run(&address(&service("RECORDS")), &[&format!("CREATE SCHEMA {schema}")]);
    let at = with_options(&format!("schema={schema}&pool=1&pool_wait_ms=50&statement_timeout_ms=200"));
    let records = PostgresRecords::open(&at, MIGRATIONS).unwrap();
    let slow = records.query("SELECT CAST(pg_sleep(5) AS TEXT)", &[]).unwrap_err();
    assert!(slow.to_string().contains("statement_timeout_ms"), "{slow}");
    let inside = records.transaction(&mut |_| match records.query("SELECT 1", &[]) {
        Err(StoreError::Busy { .. }) => Ok(()),
        other => panic!("the only connection is out: {other:?}"),
    });
    inside.unwrap();
    // A work that goes on after a failed statement has failed all the same.
    let swallowed = records.transaction(&mut |transaction| {
        let twice = transaction.execute("INSERT INTO things (id, amount) VALUES ('first', 2)", &[]);
        assert!(matches!(twice, Err(StoreError::Conflict { .. })));
        Ok(())
    });
    assert!(matches!(swallowed, Err(StoreError::Conflict { .. })), "{swallowed:?}");
    for scrub in [Scrub::Journals, Scrub::Everything] {
        let generous = with_options(&format!("schema={schema}"));
        PostgresRecords::open(&generous, MIGRATIONS).unwrap().scrub(scrub).unwrap();
    }
    assert_eq!(records.query("SELECT id FROM things", &[]).unwrap().len(), 1);
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn ports_may_be_called_from_a_server() {
    let at = schema("server");
    let records = Arc::new(PostgresRecords::open(&at, MIGRATIONS).unwrap());
    let ask = |records: Arc<PostgresRecords>| async move { records.query("SELECT id FROM things", &[]).unwrap().len() };
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(many.block_on(ask(Arc::clone(&records))), 1);
    assert_eq!(one.block_on(ask(Arc::clone(&records))), 1);
    let tasks: Vec<_> = (0..16).map(|_| many.spawn(ask(Arc::clone(&records)))).collect();
    tasks.into_iter().for_each(|task| assert_eq!(many.block_on(task).unwrap(), 1));
    // The last owner may be a task.
    many.block_on(async move { drop(records) });
}

#[test]
#[ignore = "needs PostgreSQL: tools/test backends"]
fn what_is_wrong_is_said() {
    let good = service("RECORDS");
    let open = |text: &str| PostgresRecords::open(&address(text), MIGRATIONS);
    let server = good.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    refusal(open(&format!("postgres://merx:secret-wrong@{server}/merx")), "check user and password");
    refusal(open(&format!("postgres://merx@{server}/merx")), "put a password");
    refusal(open(&good.replace("/merx", "/nowhere").replace("//nowhere", "//merx")), "CREATE DATABASE");
    refusal(open(&format!("postgres://merx:secret@127.0.0.1:{}/merx", closed_port())), "check host, port");
    refusal(open(&format!("{good}?schema=not_there")), "CREATE SCHEMA");
    refusal(open(&format!("{good}?schema=pg_catalog")), "GRANT CREATE");
    refusal(open(&format!("{good}?sslmode=require")), "sslmode=disable");
    refusal(open(&format!("{good}?sslmode=maybe")), "require or disable");
    refusal(open(&format!("{good}?pol=3")), "there is no option pol");
    refusal(open(&format!("{good}?ca_file=/nowhere&sslmode=require")), "ca_file");
}
