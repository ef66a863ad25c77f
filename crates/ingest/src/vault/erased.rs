//! Names that were erased, as keyed hashes: what happened before the erasure, told again (an old file, a backup, a sender
//! that repeats itself), does not bring the person back. What happens afterwards is somebody new, unless they asked to
//! be left out for good.

use merx_domain::TimestampMs;
use merx_store::{Migration, Records, StoreError, Transaction, Value};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use super::joining::Lookups;
use crate::rows::{Columns, insert, wide};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-015-vault-erased",
    sql: "CREATE TABLE vault_erased (
    lookup BYTEA PRIMARY KEY,
    until_ms BIGINT NOT NULL
);",
};

/// Of somebody who asked to be left out for good.
pub const FOR_GOOD: TimestampMs = TimestampMs(i64::MAX);

#[derive(Debug, Default)]
pub(super) struct Erased {
    /// Hash of a name -> what happened until then is not taken.
    until: RwLock<FxHashMap<u128, TimestampMs>>,
}

impl Erased {
    pub(super) fn open(records: &dyn Records) -> Result<Self, StoreError> {
        Ok(Self { until: RwLock::new(read(records)?) })
    }

    pub(super) fn reload(&self, records: &dyn Records) -> Result<(), StoreError> {
        *self.until.write() = read(records)?;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.until.read().is_empty()
    }

    pub(super) fn covers(&self, lookups: &Lookups, at: TimestampMs) -> bool {
        let until = self.until.read();
        lookups.joining().any(|lookup| until.get(&lookup).is_some_and(|until| at <= *until))
    }

    /// Within the transaction that forgets the names.
    pub(super) fn write(
        transaction: &mut dyn Transaction,
        lookups: &[u128],
        until: TimestampMs,
    ) -> Result<(), StoreError> {
        let values: Vec<Value> = lookups.iter().flat_map(|lookup| [wide(*lookup), Value::Integer(until.0)]).collect();
        let tail = "ON CONFLICT (lookup) DO UPDATE SET until_ms = excluded.until_ms \
                    WHERE vault_erased.until_ms < excluded.until_ms";
        insert(transaction, "INSERT INTO vault_erased (lookup, until_ms)", 2, tail, &values)
    }

    /// Once it is written.
    pub(super) fn remember(&self, lookups: &[u128], until: TimestampMs) {
        let mut known = self.until.write();
        for lookup in lookups {
            let entry = known.entry(*lookup).or_insert(until);
            *entry = (*entry).max(until);
        }
    }
}

fn read(records: &dyn Records) -> Result<FxHashMap<u128, TimestampMs>, StoreError> {
    let rows = records.query("SELECT lookup, until_ms FROM vault_erased", &[])?;
    rows.iter().map(|row| Ok((row.wide(0)?, TimestampMs(row.integer(1)?)))).collect()
}
