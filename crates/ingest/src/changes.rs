//! Counters and change numbers: each write of a product, a stock level or an order gets the next number of its kind, so
//! that a reader asks "what changed after N?" and misses nothing.

use merx_store::{Migration, Transaction, Value};
use serde::{Deserialize, Serialize};

use crate::rows::{Columns, Result, text};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-011-counters",
    sql: "CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);",
};

/// The place of a write among all writes of its kind, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeNumber(pub i64);

/// What became of an entity that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    Created,
    Updated,
    /// It stood there like this already.
    Unchanged,
}

/// Takes `count` numbers of a counter that starts at 1 and returns the first. The counter's row is locked until the
/// transaction ends, so numbers are committed in their order.
pub(crate) fn take(transaction: &mut dyn Transaction, counter: &str, count: usize) -> Result<i64> {
    let count = count as i64;
    let sql = "INSERT INTO counters (name, value) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value";
    let rows = transaction.query(sql, &[text(counter), Value::Integer(count)])?;
    match rows.first() {
        Some(row) => Ok(row.integer(0)? - count + 1),
        None => Ok(1),
    }
}

/// Rows of a page as a parameter.
pub(crate) fn limit_value(limit: usize) -> Value {
    Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}
