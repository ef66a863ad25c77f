//! Since when the shop's holdout holds whom it holds. Another name or share draws other people, and begins anew.

use merx_domain::TimestampMs;
use merx_domain::experiment::Holdout;
use merx_store::{Migration, Records, StoreError, Value};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-011-holdouts",
    sql: "CREATE TABLE holdouts (
            number BIGINT PRIMARY KEY,
            salt TEXT NOT NULL,
            share BIGINT NOT NULL,
            since_ms BIGINT NOT NULL
          )",
};

/// Writes down that this holdout is in force from now on, unless it is already. Where none was ever written down it counts from the
/// `oldest` decision on: shops held people out before it was.
pub fn begin_holdout(
    records: &dyn Records,
    holdout: &Holdout,
    oldest: Option<TimestampMs>,
    now: TimestampMs,
) -> Result<(), StoreError> {
    records.transaction(&mut |transaction| {
        let newest = transaction.query("SELECT number, salt, share FROM holdouts ORDER BY number DESC LIMIT 1", &[])?;
        let (number, since) = match newest.first().map(|row| row.0.as_slice()) {
            Some([_, Value::Text(salt), Value::Integer(share)])
                if *salt == *holdout.salt && *share == i64::from(holdout.share) =>
            {
                return Ok(());
            }
            Some([Value::Integer(number), ..]) => (number + 1, now),
            _ => (1, oldest.unwrap_or(now)),
        };
        let row = [
            Value::Integer(number),
            Value::Text(holdout.salt.to_string()),
            Value::Integer(holdout.share.into()),
            Value::Integer(since.0),
        ];
        transaction.execute("INSERT INTO holdouts (number, salt, share, since_ms) VALUES ($1, $2, $3, $4)", &row)?;
        Ok(())
    })
}

/// Since when the holdout that was written down last is in force; `None`: none ever was.
pub fn holdout_since(records: &dyn Records) -> Result<Option<TimestampMs>, StoreError> {
    let rows = records.query("SELECT since_ms FROM holdouts ORDER BY number DESC LIMIT 1", &[])?;
    Ok(match rows.first().and_then(|row| row.0.first()) {
        Some(Value::Integer(since)) => Some(TimestampMs(*since)),
        _ => None,
    })
}
