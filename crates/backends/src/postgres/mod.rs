//! `Records` on PostgreSQL and what speaks its protocol.
//!
//! SQL is that of the port; on top of it stand here only `SET`, `BEGIN ISOLATION LEVEL SERIALIZABLE`, `SELECT .. FOR
//! UPDATE` and `CREATE TABLE IF NOT EXISTS`, which CockroachDB and YugabyteDB know too: no advisory locks, no `LISTEN`, no
//! `COPY`, no catalogues but in the check at the start.
//!
//! A transaction sees the database as if it ran alone (serializable), as it does on SQLite's one writer. Where the server
//! refuses that (40001, 40P01) the work runs again, at most [`ATTEMPTS`] times; from the second time on one caller of this
//! process at a time, so that they stop disturbing each other. A connection that breaks before `COMMIT` is replaced and the
//! work runs again; one that breaks during `COMMIT` is reported, since nobody here knows how it ended.

mod check;
mod errors;
mod migrate;
mod pool;
mod prompt;
mod tls;
mod value;

use std::time::Duration;

use merx_store::{Migration, Records, Result, Row, Scrub, StoreError, Transaction, Value};
use parking_lot::Mutex;

use crate::address::Address;
use crate::driver::Driver;
use errors::{Failure, explain};
use pool::{Connection, Pool};

pub use prompt::PromptRecords;

const WHAT: &str = "records";
/// Runs of one transaction before it answers `Busy`.
const ATTEMPTS: u32 = 20;
/// Waiting before the next run grows by this much each time.
const BACKOFF_MS: u64 = 2;

pub struct PostgresRecords {
    pool: Pool,
    /// Held by the one caller that repeats a transaction.
    repeating: Mutex<()>,
    // After the pool: its connections are driven by it.
    driver: Driver,
}

type Work<'a> = &'a mut dyn FnMut(&mut dyn Transaction) -> Result<()>;

impl PostgresRecords {
    /// Connects, checks that the server can do what is needed, and brings the schema up to date. Several replicas may do
    /// so at once.
    ///
    /// Options: `pool` (connections, 16), `pool_wait_ms` (5000), `statement_timeout_ms` (30000), `connect_timeout_ms`
    /// (5000), `read_pool` (8) and `read_timeout_ms` (150) of [`PromptRecords`], `sslmode` (`require`; `disable` on the loopback interface), `ca_file`, `schema`.
    pub fn open(address: &Address, migrations: &[Migration]) -> Result<Self> {
        let records = Self::unmigrated(address)?;
        migrate::migrate(&records, migrations)?;
        Ok(records)
    }

    /// Connects and checks, and leaves the schema as it is: to look at what another process wrote.
    pub fn unmigrated(address: &Address) -> Result<Self> {
        let driver = Driver::start(WHAT)?;
        let pool = Pool::new(address, driver.handle())?;
        let records = Self { pool, repeating: Mutex::default(), driver };
        let connection = records.pool.take(&records.driver)?;
        check::check(&records.driver, &connection, &records.pool.shown)?;
        connection.give_back();
        Ok(records)
    }

    /// Connects and checks, and changes nothing. Words for who asked.
    pub fn check(address: &Address) -> Result<String> {
        let driver = Driver::start(WHAT)?;
        let pool = Pool::new(address, driver.handle())?;
        let connection = pool.take(&driver)?;
        check::check(&driver, &connection, &pool.shown)
    }

    /// One run of `work`. `Failure::Again` where nothing was committed and another run may succeed.
    fn attempt(&self, work: Work<'_>) -> Result<(), Failure> {
        let connection = self.pool.take(&self.driver)?;
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
        self.driver.wait(connection.client().batch_execute(begin)).map_err(|error| Failure::of(&error))?;
        let mut statements = Statements { driver: &self.driver, connection, failure: None };
        // A panic in `work` drops the connection in the midst of its transaction: the pool throws it away.
        let outcome = work(&mut statements);
        let Statements { connection, failure, .. } = statements;
        match (outcome, failure) {
            // A failed statement ends the transaction whatever `work` made of it.
            (_, Some(failure)) => {
                self.end(connection, "ROLLBACK");
                Err(failure)
            }
            (Err(error), None) => {
                self.end(connection, "ROLLBACK");
                Err(Failure::Final(error))
            }
            (Ok(()), None) => match self.driver.wait(connection.client().batch_execute("COMMIT")) {
                Ok(()) => {
                    connection.give_back();
                    Ok(())
                }
                Err(error) => Err(Failure::of_commit(&error)),
            },
        }
    }

    fn end(&self, connection: Connection<'_>, how: &str) {
        if self.driver.wait(connection.client().batch_execute(how)).is_ok() {
            connection.give_back();
        }
    }

    fn scrub_tables(&self, how: &str) -> Result<()> {
        let tables = self.query(
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            &[],
        )?;
        let connection = self.pool.take(&self.driver)?;
        for Row(columns) in tables {
            let [Value::Text(table)] = &columns[..] else { continue };
            let statement = format!("{how} \"{}\"", table.replace('"', "\"\""));
            self.driver.wait(connection.client().batch_execute(&statement)).map_err(|error| explain(&error))?;
        }
        connection.give_back();
        Ok(())
    }
}

impl Records for PostgresRecords {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        query_on(&self.pool, &self.driver, sql, parameters)
    }

    fn transaction(&self, work: Work<'_>) -> Result<()> {
        let mut repeating = None;
        for attempt in 0..ATTEMPTS {
            match self.attempt(work) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error) | Failure::Late(error)) => return Err(error),
                Err(Failure::Again(error)) => {
                    tracing::debug!(%error, attempt, "a transaction runs again");
                    repeating.get_or_insert_with(|| self.repeating.lock());
                    std::thread::sleep(Duration::from_millis(BACKOFF_MS * u64::from(attempt)));
                }
            }
        }
        Err(StoreError::Busy { what: WHAT, retry_after_ms: 200 })
    }

    /// `Journals` makes the room of deleted rows free, `Everything` writes all tables anew. The server's write-ahead log,
    /// its standbys and backups are its operator's: they keep what was deleted until they are recycled.
    fn scrub(&self, scrub: Scrub) -> Result<()> {
        match scrub {
            Scrub::Journals => self.scrub_tables("VACUUM"),
            Scrub::Everything => self.scrub_tables("VACUUM FULL"),
        }
    }
}

fn query_on(pool: &Pool, driver: &Driver, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
    let mut attempt = 0;
    loop {
        let mut connection = pool.take(driver)?;
        match connection.query(driver, sql, parameters) {
            Ok(rows) => {
                connection.give_back();
                return Ok(rows);
            }
            // A connection that lay idle may have been closed by the other side: reading twice does no harm.
            Err(Failure::Again(error)) => {
                attempt += 1;
                if attempt > pool.size() {
                    return Err(error);
                }
            }
            Err(Failure::Final(error)) => {
                connection.give_back();
                return Err(error);
            }
            Err(Failure::Late(error)) => return Err(error),
        }
    }
}

struct Statements<'a> {
    driver: &'a Driver,
    connection: Connection<'a>,
    /// The first statement that failed: the server refuses all after it.
    failure: Option<Failure>,
}

impl Statements<'_> {
    fn run<T>(&mut self, run: impl FnOnce(&Driver, &mut Connection<'_>) -> Result<T, Failure>) -> Result<T> {
        if let Some(failure) = &self.failure {
            return Err(failure.error().clone());
        }
        run(self.driver, &mut self.connection).map_err(|failure| {
            let error = failure.error().clone();
            self.failure = Some(failure);
            error
        })
    }
}

impl Transaction for Statements<'_> {
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64> {
        self.run(|driver, connection| connection.execute(driver, sql, parameters))
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.run(|driver, connection| connection.query(driver, sql, parameters))
    }
}
