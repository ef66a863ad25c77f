//! The schema, step by step, by whichever replica comes first.
//!
//! Each step is a transaction that begins by locking one row: whoever comes second waits, then sees the step applied. The
//! row is a plain row because advisory locks are PostgreSQL's alone.

use merx_store::{Migration, Result, StoreError};

use super::errors::explain;
use super::{PostgresRecords, WHAT};

/// Two servers that make the same table at once may both be told that it is there already, by an error: which one says
/// how far the second had come (the table, its row type, a row of the system's own tables, the transaction itself).
const RACED: [&str; 5] = ["42P07", "42710", "23505", "40001", "XX000"];
const TABLE_ATTEMPTS: u32 = 10;
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, hash TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS migration_lock (one BIGINT PRIMARY KEY);
    INSERT INTO migration_lock (one) VALUES (1) ON CONFLICT (one) DO NOTHING;
";

/// Applies what has not been applied, in the order of the names. A step whose text differs from what was applied is
/// refused.
pub(super) fn migrate(records: &PostgresRecords, migrations: &[Migration]) -> Result<()> {
    make_tables(records)?;
    let mut sorted: Vec<&Migration> = migrations.iter().collect();
    sorted.sort_by_key(|migration| migration.name);
    sorted.into_iter().try_for_each(|migration| apply(records, migration))
}

fn make_tables(records: &PostgresRecords) -> Result<()> {
    let mut attempt = 0;
    loop {
        let connection = records.pool.take(&records.driver)?;
        match records.driver.wait(connection.client().batch_execute(TABLES)) {
            Ok(()) => {
                connection.give_back();
                return Ok(());
            }
            Err(error) => {
                attempt += 1;
                let raced = error.code().is_some_and(|code| RACED.contains(&code.code()));
                if !raced || attempt == TABLE_ATTEMPTS {
                    return Err(explain(&error));
                }
            }
        }
    }
}

fn apply(records: &PostgresRecords, migration: &Migration) -> Result<()> {
    let hash = blake3::hash(migration.sql.as_bytes()).to_hex().to_string();
    let connection = records.pool.take(&records.driver)?;
    let client = connection.client();
    let applying = async {
        // Another replica's step, or an index over a large table, may take long.
        client
            .batch_execute(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0",
            )
            .await?;
        client.batch_execute("SELECT one FROM migration_lock WHERE one = 1 FOR UPDATE").await?;
        let applied = client.query_opt("SELECT hash FROM migrations WHERE name = $1", &[&migration.name]).await?;
        if let Some(row) = applied {
            client.batch_execute("ROLLBACK").await?;
            return Ok(row.try_get::<_, String>(0)? == hash);
        }
        client.batch_execute(migration.sql).await?;
        client.execute("INSERT INTO migrations (name, hash) VALUES ($1, $2)", &[&migration.name, &hash]).await?;
        client.batch_execute("COMMIT").await?;
        Ok::<bool, tokio_postgres::Error>(true)
    };
    match records.driver.wait(applying) {
        Ok(true) => {
            connection.give_back();
            Ok(())
        }
        Ok(false) => {
            let detail = format!("migration {} was changed after it had been applied", migration.name);
            Err(StoreError::Conflict { what: WHAT, detail })
        }
        // Dropped, the connection ends and with it the transaction.
        Err(error) => Err(named(migration, explain(&error))),
    }
}

fn named(migration: &Migration, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { what, detail } => {
            StoreError::Unavailable { what, detail: format!("migration {}: {detail}", migration.name) }
        }
        other => other,
    }
}
