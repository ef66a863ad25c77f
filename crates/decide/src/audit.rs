//! Who changed what, in a chain of hashes: an entry that is altered, left out or put in shows.
//!
//! Each entry's hash covers the entry before it, so the newest hash stands for the whole past. Whoever writes it down elsewhere can
//! show later that nothing was cut off the end either.

use std::collections::HashMap;
use std::sync::Arc;

use merx_domain::{DecisionId, TimestampMs};
use merx_store::{Migration, Records, Row, StoreError, Transaction, Value};

use crate::record::DecisionRecord;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-003-audit",
    sql: "CREATE TABLE audit (
            number BIGINT PRIMARY KEY,
            at_ms BIGINT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            detail TEXT NOT NULL,
            hash BYTEA NOT NULL
          )",
};

/// The context of the hash; another form of entries gets another one.
const CONTEXT: &str = "merx 2026-11-21 audit entry 1";
const BATCH: usize = 10_000;
/// Records of decisions that are asked for at once.
const RECORDS: usize = 200;

/// The entries of a decision at high stakes; their detail has the `record_hash`. The newest one of a decision counts: what could not be
/// recorded in time was not served, and something else was.
pub(crate) const DECIDED: &str = "decision.made";
pub(crate) const SERVED_INSTEAD: &str = "decision.served_instead";

/// Who acts, and when.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// The id of the key or user.
    pub by: &'a str,
    pub at: TimestampMs,
}

impl Act<'static> {
    /// What nobody asked for: schedules, gates and guardrails.
    pub fn of_merx(at: TimestampMs) -> Self {
        Self { by: "merx", at }
    }
}

/// What an entry says of a change.
#[derive(Debug, Clone)]
pub struct Governed<'a> {
    /// `key.made`, `policy.put` ..
    pub action: &'a str,
    pub target: &'a str,
    /// What it was changed to. It names no person: entries stay when people are forgotten.
    pub detail: serde_json::Value,
}

impl Governed<'_> {
    /// Adds the entry in the transaction that makes the change.
    pub fn append(&self, transaction: &mut dyn Transaction, act: Act<'_>) -> Result<(), StoreError> {
        AuditLog::append(transaction, act, self.action, self.target, &self.detail)
    }
}

/// An entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// From 1, without gaps.
    pub number: u64,
    pub at: TimestampMs,
    pub actor: String,
    /// `experiment.start`, `automation.mode` ..
    pub action: String,
    pub target: String,
    /// What it was changed to, as JSON.
    pub detail: String,
    pub hash: [u8; 32],
}

impl AuditEntry {
    fn hash_after(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(before).update(&self.number.to_be_bytes()).update(&self.at.0.to_be_bytes());
        for text in [&self.actor, &self.action, &self.target, &self.detail] {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// What a walk through the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub entries: u64,
    /// Of the newest entry; zeros where there is none.
    pub head: [u8; 32],
    /// The first entry that doesn't follow from the ones before.
    pub broken_at: Option<u64>,
    /// Whether the hash that was asked for is on the chain.
    pub knows_head: Option<bool>,
    /// Decisions at high stakes whose record is still kept.
    pub decisions: u64,
    /// The first of them whose record isn't what its entry says.
    pub altered: Option<String>,
}

impl Verification {
    pub fn is_sound(&self) -> bool {
        self.broken_at.is_none() && self.altered.is_none() && self.knows_head != Some(false)
    }
}

pub struct AuditLog {
    records: Arc<dyn Records>,
}

impl AuditLog {
    /// The migration must have run on `records`.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Adds an entry in the transaction that makes the change: both are durable, or neither.
    pub fn append(
        transaction: &mut dyn Transaction,
        act: Act<'_>,
        action: &str,
        target: &str,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let last = transaction.query("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", &[])?;
        let (number, before) = match last.first().map(|row| row.0.as_slice()) {
            None => (1, [0; 32]),
            Some([Value::Integer(number), Value::Bytes(hash)]) => {
                (*number as u64 + 1, hash.as_slice().try_into().map_err(|_| damaged("a hash has another length"))?)
            }
            Some(_) => return Err(damaged("a row has another form than written")),
        };
        let mut entry = AuditEntry {
            number,
            at: act.at,
            actor: act.by.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
            hash: [0; 32],
        };
        entry.hash = entry.hash_after(&before);
        transaction.execute(
            "INSERT INTO audit (number, at_ms, actor, action, target, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                Value::Integer(number as i64),
                Value::Integer(entry.at.0),
                Value::Text(entry.actor),
                Value::Text(entry.action),
                Value::Text(entry.target),
                Value::Text(entry.detail),
                Value::Bytes(entry.hash.to_vec()),
            ],
        )?;
        Ok(())
    }

    /// Makes a governed change: what `write` writes and the entry are durable together, or neither is. `write` says whether it changed
    /// anything; where it didn't there is no entry.
    pub fn govern(
        records: &dyn Records,
        act: Act<'_>,
        change: &Governed<'_>,
        write: &mut dyn FnMut(&mut dyn Transaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut changed = false;
        records.transaction(&mut |transaction| {
            changed = write(transaction)?;
            if changed { change.append(transaction, act) } else { Ok(()) }
        })?;
        Ok(changed)
    }

    /// Adds an entry for what is done elsewhere, in more than one transaction or outside of the store.
    pub fn note(&self, act: Act<'_>, action: &str, target: &str, detail: &serde_json::Value) -> Result<(), StoreError> {
        self.records.transaction(&mut |transaction| Self::append(transaction, act, action, target, detail))
    }

    /// Entries about a target, newest first.
    pub fn about(&self, target: &str, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT number, at_ms, actor, action, target, detail, hash FROM audit WHERE target = $1
                   ORDER BY number DESC LIMIT $2";
        let rows = self.records.query(sql, &[Value::Text(target.to_owned()), Value::Integer(limit as i64)])?;
        rows.into_iter().map(entry_of).collect()
    }

    /// Entries after a number, oldest first.
    pub fn read(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT number, at_ms, actor, action, target, detail, hash FROM audit WHERE number > $1 ORDER BY number LIMIT $2";
        let rows = self.records.query(sql, &[Value::Integer(after as i64), Value::Integer(limit as i64)])?;
        rows.into_iter().map(entry_of).collect()
    }

    /// Walks the whole chain, and holds the records of decisions against their entries. `head` is a hash that was written down before.
    pub fn verify(&self, head: Option<[u8; 32]>) -> Result<Verification, StoreError> {
        let mut found = Verification {
            entries: 0,
            head: [0; 32],
            broken_at: None,
            knows_head: head.map(|head| head == [0; 32]),
            decisions: 0,
            altered: None,
        };
        // Decisions whose record isn't what an entry says, by that entry's number, unless a later one knows of it.
        let mut doubted: HashMap<DecisionId, u64> = HashMap::new();
        loop {
            let entries = self.read(found.entries, BATCH)?;
            if entries.is_empty() {
                found.decisions += doubted.len() as u64;
                found.altered = doubted.into_iter().min_by_key(|(_, number)| *number).map(|(id, _)| id.to_string());
                return Ok(found);
            }
            self.hold_against_records(&entries, &mut found, &mut doubted)?;
            for entry in entries {
                let follows = entry.number == found.entries + 1 && entry.hash == entry.hash_after(&found.head);
                if !follows {
                    found.broken_at = Some(found.entries + 1);
                    return Ok(found);
                }
                (found.entries, found.head) = (entry.number, entry.hash);
                if head == Some(entry.hash) {
                    found.knows_head = Some(true);
                }
            }
        }
    }

    /// A record that is gone, for its time is over or its person was erased, is no alteration.
    fn hold_against_records(
        &self,
        entries: &[AuditEntry],
        found: &mut Verification,
        doubted: &mut HashMap<DecisionId, u64>,
    ) -> Result<(), StoreError> {
        let of_decisions = entries.iter().filter(|entry| [DECIDED, SERVED_INSTEAD].contains(&entry.action.as_str()));
        let decided = of_decisions.map(|entry| match entry.target.parse::<DecisionId>() {
            Ok(id) => Ok((id, entry)),
            Err(_) => Err(damaged(&format!("entry {} names no decision", entry.number))),
        });
        let decided = decided.collect::<Result<Vec<_>, _>>()?;
        for some in decided.chunks(RECORDS) {
            let kept = self.record_hashes(some.iter().map(|(id, _)| *id))?;
            for (id, entry) in some {
                let Some(kept) = kept.get(id) else { continue };
                let said: serde_json::Value = serde_json::from_str(&entry.detail).unwrap_or_default();
                if kept.as_deref().is_some_and(|kept| said["record_hash"] == kept) {
                    doubted.remove(id);
                    found.decisions += 1;
                } else {
                    doubted.insert(*id, entry.number);
                }
            }
        }
        Ok(())
    }

    /// Of those of some decisions that are on record; `None`: the record can't be read.
    fn record_hashes(
        &self,
        ids: impl ExactSizeIterator<Item = DecisionId>,
    ) -> Result<HashMap<DecisionId, Option<String>>, StoreError> {
        let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
        let sql = format!("SELECT id, body FROM decisions WHERE id IN ({})", places.join(", "));
        let ids: Vec<Value> = ids.map(|id| Value::Bytes(id.to_bytes().to_vec())).collect();
        let hash = |row: Row| match row.0.as_slice() {
            [Value::Bytes(id), Value::Bytes(body)] => {
                let id = id.as_slice().try_into().map_err(|_| damaged("a decision's id has another length"))?;
                let record = DecisionRecord::from_bytes(body).ok();
                Ok((DecisionId::from_bytes(id), record.map(|record| record.hash().to_hex().to_string())))
            }
            _ => Err(damaged("a row of decisions has another form than written")),
        };
        self.records.query(&sql, &ids)?.into_iter().map(hash).collect()
    }
}

fn entry_of(row: Row) -> Result<AuditEntry, StoreError> {
    let [
        Value::Integer(number),
        Value::Integer(at),
        Value::Text(actor),
        Value::Text(action),
        Value::Text(target),
        Value::Text(detail),
        Value::Bytes(hash),
    ] = <[Value; 7]>::try_from(row.0).map_err(|_| damaged("a row has another form than written"))?
    else {
        return Err(damaged("a row has another form than written"));
    };
    let hash = hash.try_into().map_err(|_| damaged("a hash has another length"))?;
    Ok(AuditEntry { number: number as u64, at: TimestampMs(at), actor, action, target, detail, hash })
}

fn damaged(detail: &str) -> StoreError {
    StoreError::Damaged { what: "audit log", detail: detail.to_owned() }
}
