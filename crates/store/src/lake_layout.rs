//! How a lake is laid out, wherever it lies: `table/day=2026-01-31/part.parquet`, as DuckDB and Spark expect partitions.

use merx_domain::{DAY_MS, TimestampMs};

use crate::{Result, StoreError};

const WHAT: &str = "lake";
/// The part whose footer lists the parts it holds.
pub const MERGED: &str = "merged";

/// Names become folders and files.
pub fn checked_name(name: &str) -> Result<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(allowed) {
        let detail = format!("{name:?} is no name: 1 to 100 of A-Z, a-z, 0-9, _ and -");
        return Err(StoreError::Conflict { what: WHAT, detail });
    }
    Ok(name)
}

/// `2026-01-31` of days since 1970.
pub fn day_name(day: i32) -> Result<String> {
    let text = TimestampMs(i64::from(day) * DAY_MS).to_string();
    let name = text.get(..10).unwrap_or_default();
    if parse_day(name) == Some(day) {
        return Ok(name.to_owned());
    }
    Err(StoreError::Conflict { what: WHAT, detail: format!("day {day} has no date of four-digit years") })
}

pub fn parse_day(name: &str) -> Option<i32> {
    TimestampMs::parse(&format!("{name}T00:00:00Z")).map(TimestampMs::day)
}
