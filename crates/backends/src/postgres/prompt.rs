//! Records for who can't wait: a decision that a shopper looks at.

use std::sync::Arc;
use std::time::Duration;

use merx_store::{Records, Result, Row, Scrub, StoreError, Transaction, Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::pool::Pool;
use super::{PostgresRecords, WHAT, query_on};
use crate::address::Address;

/// After a read that took too long nobody waits for the server for so long.
const PAUSE: Duration = Duration::from_millis(200);

/// The same records, read over connections of their own and no longer waited for than `read_timeout_ms`; what takes longer counts as
/// unavailable, and so does everything after it for a moment. Writes are as ever.
pub struct PromptRecords {
    records: Arc<PostgresRecords>,
    reads: Pool,
    within: Duration,
    /// Until then the server counts as silent.
    silent_until: Mutex<Option<Instant>>,
}

impl PromptRecords {
    pub fn over(records: Arc<PostgresRecords>, address: &Address) -> Result<Self> {
        let (reads, within) = Pool::for_prompt_reads(address, records.driver.handle())?;
        Ok(Self { records, reads, within, silent_until: Mutex::default() })
    }
}

impl Records for PromptRecords {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        let begun = Instant::now();
        if self.silent_until.lock().is_some_and(|until| begun < until) {
            let detail = format!("{}: the server does not answer in time", self.reads.shown);
            return Err(StoreError::Unavailable { what: WHAT, detail });
        }
        let rows = query_on(&self.reads, &self.records.driver, sql, parameters);
        if rows.is_err() && begun.elapsed() >= self.within {
            *self.silent_until.lock() = Some(Instant::now() + PAUSE);
        }
        rows
    }

    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Transaction) -> Result<()>) -> Result<()> {
        self.records.transaction(work)
    }

    fn scrub(&self, scrub: Scrub) -> Result<()> {
        self.records.scrub(scrub)
    }
}
