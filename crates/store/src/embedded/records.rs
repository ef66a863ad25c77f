//! `Records` on SQLite: one writer, several readers; writers that wait for one another are committed together.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior};

use super::sqlite::{Readers, bind, explain, open_writer, scrub};
use crate::{Migration, Records, Result, Row, Scrub, StoreError, Transaction, Value};

const WHAT: &str = "records";
/// Callers that may wait for the writer; beyond them `transaction` answers `Busy`.
const MAX_WAITING: usize = 1_024;
/// Transactions committed together: more would make the first ones wait for the last.
const MAX_GROUP: usize = 64;

pub struct SqliteRecords {
    // Before the writer, so that it closes last and SQLite folds the write-ahead log into the file.
    readers: Readers,
    writer: Mutex<Writer>,
    /// Callers that want `writer` and don't have it yet.
    waiting: AtomicUsize,
}

struct Writer {
    connection: Connection,
    /// The open group and the number of its members.
    group: Option<(Arc<Group>, usize)>,
}

/// Transactions that share one commit, and so one sync of the disk.
#[derive(Default)]
struct Group {
    /// `None` while open, then whether it was committed.
    committed: Mutex<Option<bool>>,
    closed: Condvar,
}

impl Group {
    fn close(&self, committed: bool) {
        *self.committed.lock() = Some(committed);
        self.closed.notify_all();
    }

    fn wait(&self) -> bool {
        let mut committed = self.committed.lock();
        loop {
            match *committed {
                Some(committed) => return committed,
                None => self.closed.wait(&mut committed),
            }
        }
    }
}

type Work<'a> = &'a mut dyn FnMut(&mut dyn Transaction) -> Result<()>;

impl SqliteRecords {
    /// Opens or makes the file and brings its schema up to date, each step in a transaction of its own.
    pub fn open(path: &Path, migrations: &[Migration]) -> Result<Self> {
        let mut connection = open_writer(path, WHAT)?;
        migrate(&mut connection, migrations)?;
        Ok(Self {
            readers: Readers::of(path, WHAT),
            writer: Mutex::new(Writer { connection, group: None }),
            waiting: AtomicUsize::new(0),
        })
    }

    fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Busy { what: WHAT, retry_after_ms: 200 });
        }
        let writer = self.writer.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(writer)
    }

    /// Runs `work` in a transaction that nobody else shares.
    fn transaction_alone(&self, work: Work<'_>) -> Result<()> {
        let mut writer = self.lock_writer()?;
        if writer.group.is_some() {
            // Its members learn of a failure from the group.
            let _ = writer.commit_group();
        }
        writer.join()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| writer.run(work)));
        let committed = writer.commit_group();
        drop(writer);
        outcome.unwrap_or_else(|panic| resume_unwind(panic)).and(committed)
    }
}

impl Records for SqliteRecords {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.readers.with(|reader| query(reader, sql, parameters))
    }

    /// Runs `work` in the open group, or begins one. Whoever finds nobody waiting commits for all; whoever finds
    /// somebody leaves the group open to them. Members wait for the commit, also with an `Err`: it may rest on what
    /// another member wrote. A group that could not be committed is undone, and its members try alone.
    fn transaction(&self, work: Work<'_>) -> Result<()> {
        let mut writer = self.lock_writer()?;
        let group = writer.join()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| writer.run(work)));
        if writer.is_full() || self.waiting.load(Ordering::SeqCst) == 0 {
            // The members learn of a failure from the group.
            let _ = writer.commit_group();
        }
        drop(writer);
        let committed = group.wait();
        let outcome = outcome.unwrap_or_else(|panic| resume_unwind(panic));
        if committed { outcome } else { self.transaction_alone(work) }
    }

    fn scrub(&self, how: Scrub) -> Result<()> {
        let mut writer = self.lock_writer()?;
        if writer.group.is_some() {
            // Its members learn of a failure from the group.
            let _ = writer.commit_group();
        }
        scrub(&writer.connection, WHAT, how)
    }
}

impl Writer {
    /// The open group, a new one where there is none; one member more.
    fn join(&mut self) -> Result<Arc<Group>> {
        if let Some((group, members)) = &mut self.group {
            *members += 1;
            return Ok(Arc::clone(group));
        }
        self.execute("BEGIN IMMEDIATE")?;
        let group = Arc::default();
        self.group = Some((Arc::clone(&group), 1));
        Ok(group)
    }

    /// All of `work` stays in the open transaction, or nothing of it.
    fn run(&mut self, work: Work<'_>) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        // Dropped without a commit it rolls back, also when `work` panics.
        let savepoint = self.connection.savepoint().map_err(fail)?;
        work(&mut Statements(&savepoint))?;
        savepoint.commit().map_err(fail)
    }

    /// Whether nobody may join the group any more.
    fn is_full(&self) -> bool {
        // Some errors (no room, above all) make SQLite undo the whole transaction.
        self.connection.is_autocommit() || self.group.as_ref().is_some_and(|(_, members)| *members >= MAX_GROUP)
    }

    fn commit_group(&mut self) -> Result<()> {
        let outcome = if self.connection.is_autocommit() {
            Err(StoreError::Unavailable { what: WHAT, detail: "the transaction was undone after an error".into() })
        } else {
            self.execute("COMMIT")
        };
        // A failed commit may leave the transaction open.
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
        if let Some((group, _)) = self.group.take() {
            group.close(outcome.is_ok());
        }
        outcome
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| explain(WHAT, &error))
    }
}

struct Statements<'a>(&'a Connection);

impl Transaction for Statements<'_> {
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64> {
        let execute = || {
            let mut statement = self.0.prepare_cached(sql)?;
            bind(&mut statement, sql, parameters)?;
            statement.raw_execute()
        };
        execute().map(|changed| changed as u64).map_err(|error| explain(WHAT, &error))
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        query(self.0, sql, parameters)
    }
}

fn query(connection: &Connection, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
    let query = || {
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        bind(&mut statement, sql, parameters)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|column| row.get_ref(column).map(value)).collect::<Result<_, _>>();
            found.push(Row(values?));
        }
        Ok(found)
    };
    query().map_err(|error: rusqlite::Error| explain(WHAT, &error))
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

/// Applies what has not been applied, in the order of the names. A step whose text differs from what was applied is
/// refused.
fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<()> {
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, hash TEXT NOT NULL)")
        .map_err(|error| explain(WHAT, &error))?;
    let mut sorted: Vec<&Migration> = migrations.iter().collect();
    sorted.sort_by_key(|migration| migration.name);
    sorted.into_iter().try_for_each(|migration| apply(connection, migration))
}

fn apply(connection: &mut Connection, migration: &Migration) -> Result<()> {
    let fail = |error: rusqlite::Error| match explain(WHAT, &error) {
        StoreError::Unavailable { what, detail } => {
            StoreError::Unavailable { what, detail: format!("migration {}: {detail}", migration.name) }
        }
        other => other,
    };
    let hash = blake3::hash(migration.sql.as_bytes()).to_hex().to_string();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let applied: Option<String> = transaction
        .query_row("SELECT hash FROM migrations WHERE name = $1", [migration.name], |row| row.get(0))
        .optional()
        .map_err(fail)?;
    match applied {
        Some(known) if known == hash => return Ok(()),
        Some(_) => {
            let detail = format!("migration {} was changed after it had been applied", migration.name);
            return Err(StoreError::Conflict { what: WHAT, detail });
        }
        None => transaction.execute_batch(migration.sql).map_err(fail)?,
    }
    transaction
        .execute("INSERT INTO migrations (name, hash) VALUES ($1, $2)", [migration.name, hash.as_str()])
        .map_err(fail)?;
    transaction.commit().map_err(fail)
}
