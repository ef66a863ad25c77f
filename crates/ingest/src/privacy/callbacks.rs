//! Who wants to be told when a request's state changes, and what they were told last.
//!
//! Nothing is put down at a change: whoever was told of another state than the request has now is due. So no step of an erasure can forget
//! to tell, and a crash loses no word. An address leaves once it was told how the request ended, or was tried often enough.

use merx_domain::TimestampMs;
use merx_store::{Migration, StoreError, Transaction, Value};

use super::requests::{RequestState, Requests};
use crate::changes::limit_value;
use crate::rows::{Columns, text};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-018-privacy-callbacks",
    sql: "CREATE TABLE privacy_callbacks (
    request TEXT NOT NULL,
    url TEXT NOT NULL,
    told TEXT NOT NULL,
    tries BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    PRIMARY KEY (request, url)
);",
};

/// Somebody who is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    pub request: String,
    pub url: String,
    /// Tries to tell of the present state that failed.
    pub tries: u32,
}

/// One that failed goes on running, to those outside.
fn told_of(state: RequestState) -> RequestState {
    if state == RequestState::Failed { RequestState::Running } else { state }
}

pub(super) fn write(
    transaction: &mut dyn Transaction,
    request: &str,
    urls: &[String],
    now: TimestampMs,
) -> Result<(), StoreError> {
    for url in urls {
        let row = [text(request), text(url), text(RequestState::Pending.name()), Value::Integer(now.0)];
        let sql = "INSERT INTO privacy_callbacks (request, url, told, tries, due_ms) VALUES ($1, $2, $3, 0, $4) \
                   ON CONFLICT (request, url) DO NOTHING";
        transaction.execute(sql, &row)?;
    }
    Ok(())
}

impl Requests {
    /// Who is to be told now.
    pub fn callbacks_due(&self, now: TimestampMs, limit: usize) -> Result<Vec<Callback>, StoreError> {
        let sql = "SELECT c.request, c.url, c.tries FROM privacy_callbacks c JOIN privacy_requests r ON r.id = c.request \
                   WHERE c.due_ms <= $1 AND c.told <> (CASE r.state WHEN 'failed' THEN 'running' ELSE r.state END) \
                   ORDER BY c.due_ms LIMIT $2";
        let rows = self.records().query(sql, &[Value::Integer(now.0), limit_value(limit)])?;
        let read = |row: &merx_store::Row| {
            let (request, url) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
            Ok(Callback { request, url, tries: row.integer(2)? as u32 })
        };
        rows.iter().map(read).collect()
    }

    /// They know of this state. Nothing follows one that ends a request.
    pub fn callback_told(&self, callback: &Callback, state: RequestState) -> Result<(), StoreError> {
        let ends = matches!(state, RequestState::Completed | RequestState::Cancelled);
        if ends {
            return self.drop_callback(callback);
        }
        let row = [text(told_of(state).name()), text(&callback.request), text(&callback.url)];
        let sql = "UPDATE privacy_callbacks SET told = $1, tries = 0 WHERE request = $2 AND url = $3";
        self.change(sql, &row).map(drop)
    }

    /// They could not be told; `next`: when they are tried again, if ever.
    pub fn callback_failed(&self, callback: &Callback, next: Option<TimestampMs>) -> Result<(), StoreError> {
        let Some(next) = next else { return self.drop_callback(callback) };
        let row = [Value::Integer(next.0), text(&callback.request), text(&callback.url)];
        let sql = "UPDATE privacy_callbacks SET tries = tries + 1, due_ms = $1 WHERE request = $2 AND url = $3";
        self.change(sql, &row).map(drop)
    }

    fn drop_callback(&self, callback: &Callback) -> Result<(), StoreError> {
        let sql = "DELETE FROM privacy_callbacks WHERE request = $1 AND url = $2";
        self.change(sql, &[text(&callback.request), text(&callback.url)]).map(drop)
    }
}
