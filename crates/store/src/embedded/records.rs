//! `Records` on SQLite: one writer, several readers.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, TransactionBehavior};

use super::sqlite::{Readers, explain, open_writer};
use crate::{Migration, Records, Result, Row, StoreError, Transaction, Value};

const WHAT: &str = "records";

pub struct SqliteRecords {
    // Before the writer, so that it closes last and SQLite folds the write-ahead log into the file.
    readers: Readers,
    writer: Mutex<Connection>,
}

impl SqliteRecords {
    /// Opens or makes the file and brings its schema up to date, each step in a transaction of its own.
    pub fn open(path: &Path, migrations: &[Migration]) -> Result<Self> {
        let mut writer = open_writer(path, WHAT)?;
        migrate(&mut writer, migrations)?;
        Ok(Self { writer: Mutex::new(writer), readers: Readers::of(path, WHAT) })
    }
}

impl Records for SqliteRecords {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.readers.with(|reader| query(reader, sql, parameters))
    }

    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Transaction) -> Result<()>) -> Result<()> {
        let mut writer = self.writer.lock();
        let transaction =
            writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| explain(WHAT, &error))?;
        work(&mut Statements(&transaction))?;
        // Dropped without a commit it rolls back.
        transaction.commit().map_err(|error| explain(WHAT, &error))
    }
}

struct Statements<'a>(&'a rusqlite::Transaction<'a>);

impl Transaction for Statements<'_> {
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(sql).map_err(|error| explain(WHAT, &error))?;
        let changed = statement.execute(bound(parameters)).map_err(|error| explain(WHAT, &error))?;
        Ok(changed as u64)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        query(self.0, sql, parameters)
    }
}

fn query(connection: &Connection, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
    let fail = |error: rusqlite::Error| explain(WHAT, &error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let columns = statement.column_count();
    let mut rows = statement.query(bound(parameters)).map_err(fail)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let values = (0..columns).map(|column| row.get_ref(column).map(value)).collect::<Result<_, _>>();
        found.push(Row(values.map_err(fail)?));
    }
    Ok(found)
}

/// SQLite numbers `$1`, `$2` .. by first appearance, PostgreSQL by the number: statements must use them in order first.
fn bound(parameters: &[Value]) -> rusqlite::ParamsFromIter<impl Iterator<Item = Bound<'_>>> {
    rusqlite::params_from_iter(parameters.iter().map(Bound))
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
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

fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<()> {
    let fail = |error: rusqlite::Error| explain(WHAT, &error);
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, hash TEXT NOT NULL)")
        .map_err(fail)?;
    let mut sorted: Vec<&Migration> = migrations.iter().collect();
    sorted.sort_by_key(|migration| migration.name);
    for migration in sorted {
        let hash = blake3::hash(migration.sql.as_bytes()).to_hex().to_string();
        let transaction = connection.transaction().map_err(fail)?;
        let applied = transaction
            .query_row("SELECT hash FROM migrations WHERE name = $1", [migration.name], |row| row.get::<_, String>(0));
        match applied {
            Ok(known) if known == hash => continue,
            Ok(_) => {
                let detail = format!("migration {} was changed after it had been applied", migration.name);
                return Err(StoreError::Conflict { what: WHAT, detail });
            }
            Err(rusqlite::Error::QueryReturnedNoRows) => {}
            Err(error) => return Err(fail(error)),
        }
        transaction.execute_batch(migration.sql).map_err(fail)?;
        transaction
            .execute("INSERT INTO migrations (name, hash) VALUES ($1, $2)", [migration.name, hash.as_str()])
            .map_err(fail)?;
        transaction.commit().map_err(fail)?;
    }
    Ok(())
}
