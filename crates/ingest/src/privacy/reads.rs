//! Every look at a person's data: who, when, at whom, why.

use std::sync::Arc;

use merx_domain::{SubjectId, TimestampMs};
use merx_store::{Migration, Records, Value};

use crate::changes::{limit_value, take};
use crate::rows::{Columns, Result, text, wide};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-017-personal-reads",
    sql: "CREATE TABLE personal_reads (
    number BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL,
    subject BYTEA
);
CREATE INDEX personal_reads_subject ON personal_reads (subject);",
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalRead {
    pub at: TimestampMs,
    /// The API key's id.
    pub who: String,
    /// What was read: `decision`, `orders`, `export`.
    pub what: String,
    /// The reason given.
    pub why: String,
    /// `None`: a list of several people, or somebody who was erased since.
    pub subject: Option<SubjectId>,
}

pub struct Reads {
    records: Arc<dyn Records>,
}

impl Reads {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// On disk when it returns: what can't be noted is not shown.
    pub fn note(&self, read: &PersonalRead) -> Result<()> {
        self.records.transaction(&mut |transaction| {
            let number = take(transaction, "personal_reads", 1)?;
            let row = [
                Value::Integer(number),
                Value::Integer(read.at.0),
                text(&read.who),
                text(&read.what),
                text(&read.why),
                read.subject.map_or(Value::Null, |subject| wide(subject.0)),
            ];
            let sql =
                "INSERT INTO personal_reads (number, at_ms, who, what, why, subject) VALUES ($1, $2, $3, $4, $5, $6)";
            transaction.execute(sql, &row).map(drop)
        })
    }

    /// Newest first.
    pub fn latest(&self, limit: usize) -> Result<Vec<PersonalRead>> {
        let sql = "SELECT at_ms, who, what, why, subject FROM personal_reads ORDER BY number DESC LIMIT $1";
        let rows = self.records.query(sql, &[limit_value(limit)])?;
        let read = |row: &merx_store::Row| {
            Ok(PersonalRead {
                at: TimestampMs(row.integer(0)?),
                who: row.text(1)?.to_owned(),
                what: row.text(2)?.to_owned(),
                why: row.text(3)?.to_owned(),
                subject: if row.is_null(4) { None } else { Some(SubjectId(row.wide(4)?)) },
            })
        };
        rows.iter().map(read).collect()
    }

    pub fn forget_before(&self, before: TimestampMs, limit: usize) -> Result<u64> {
        let mut removed = 0;
        self.records.transaction(&mut |transaction| {
            let sql = "DELETE FROM personal_reads WHERE number IN \
                       (SELECT number FROM personal_reads WHERE at_ms < $1 ORDER BY number LIMIT $2)";
            removed = transaction.execute(sql, &[Value::Integer(before.0), limit_value(limit)])?;
            Ok(())
        })?;
        Ok(removed)
    }
}
