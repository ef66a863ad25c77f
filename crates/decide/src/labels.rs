//! Cases that people judge: two each, without seeing each other, with gold questions among them.

use std::sync::Arc;

use merx_domain::TimestampMs;
use merx_store::{Migration, Records, StoreError, Value};
use serde::{Deserialize, Serialize};

use crate::alerts::next_number;
use crate::audit::Act;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-007-labels",
    sql: "CREATE TABLE label_cases (
            number BIGINT PRIMARY KEY,
            queue TEXT NOT NULL,
            judged BIGINT NOT NULL,
            settled BIGINT NOT NULL,
            body TEXT NOT NULL
          );
          CREATE INDEX label_cases_by_queue ON label_cases (queue, settled, judged, number)",
};

/// Of cases that wait; and of those that a page looks at.
const MOST_WAITING: i64 = 100_000;
/// Cases that are looked at to find one that somebody hasn't judged.
const LOOKED_AT: usize = 500;
const JUDGES: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    #[error("there is no case {0}")]
    Unknown(u64),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Result<T, E = LabelError> = std::result::Result<T, E>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelCase {
    /// From 1.
    pub number: u64,
    pub queue: String,
    /// What is to be judged, as whoever asks says it.
    pub about: serde_json::Value,
    /// What may be said.
    pub labels: Vec<String>,
    /// What is right, where that is known; never shown to whoever judges.
    pub gold: Option<String>,
    pub judgements: Vec<Judged>,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub by: String,
    pub label: String,
    pub at: TimestampMs,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open,
    Agreed(String),
    /// Two differ: a third person decides.
    Disputed,
}

impl LabelCase {
    /// Two of a label settle it.
    pub fn standing(&self) -> Standing {
        let count = |label: &str| self.judgements.iter().filter(|judged| judged.label == label).count();
        match self.labels.iter().find(|label| count(label) >= JUDGES) {
            Some(label) => Standing::Agreed(label.clone()),
            None if self.judgements.len() >= JUDGES => Standing::Disputed,
            None => Standing::Open,
        }
    }

    /// Gold questions go to everybody, others until they are settled.
    fn is_settled(&self) -> bool {
        self.gold.is_none() && matches!(self.standing(), Standing::Agreed(_))
    }
}

pub struct Labels {
    records: Arc<dyn Records>,
}

impl Labels {
    /// The migration must have run on `records`.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Takes cases, numbers them in their order.
    pub fn add(&self, mut cases: Vec<LabelCase>) -> Result<Vec<u64>> {
        let mut full = false;
        self.records.transaction(&mut |transaction| {
            let rows = transaction.query("SELECT COUNT(*) FROM label_cases WHERE settled = 0", &[])?;
            let waiting = match rows.first().and_then(|row| row.0.first()) {
                Some(Value::Integer(count)) => *count,
                _ => 0,
            };
            full = waiting + cases.len() as i64 > MOST_WAITING;
            if full {
                return Ok(());
            }
            let first = next_number(transaction, "label_cases")?;
            for (number, case) in (first..).zip(&mut cases) {
                case.number = number;
                put(transaction, case)?;
            }
            Ok(())
        })?;
        if full {
            return Err(LabelError::Refused(format!("more than {MOST_WAITING} cases would wait")));
        }
        Ok(cases.iter().map(|case| case.number).collect())
    }

    /// A case that somebody hasn't judged: those with one judgement first, so that pairs come about; then the oldest.
    pub fn next(&self, queue: &str, who: &str) -> Result<Option<LabelCase>> {
        let sql = format!(
            "SELECT body FROM label_cases WHERE queue = $1 AND settled = 0 ORDER BY judged DESC, number LIMIT {LOOKED_AT}"
        );
        let started = self.read(&sql, &[Value::Text(queue.to_owned())])?;
        let open = |case: &LabelCase| !case.judgements.iter().any(|judged| judged.by == who);
        if let Some(found) = started.into_iter().find(open) {
            return Ok(Some(found));
        }
        let sql = format!(
            "SELECT body FROM label_cases WHERE queue = $1 AND settled = 0 AND judged = 0 ORDER BY number LIMIT {LOOKED_AT}"
        );
        Ok(self.read(&sql, &[Value::Text(queue.to_owned())])?.into_iter().find(open))
    }

    pub fn judge(&self, number: u64, label: &str, act: Act<'_>) -> Result<LabelCase> {
        let mut outcome = Err(LabelError::Unknown(number));
        self.records.transaction(&mut |transaction| {
            let sql = format!("SELECT body FROM label_cases WHERE number = {number}");
            let rows = transaction.query(&sql, &[])?;
            let Some(Value::Text(body)) = rows.first().and_then(|row| row.0.first()) else {
                outcome = Err(LabelError::Unknown(number));
                return Ok(());
            };
            let mut case: LabelCase = serde_json::from_str(body).map_err(|error| damaged(&error))?;
            let refused = if !case.labels.iter().any(|known| known == label) {
                Some(format!("{label:?} is none of {}", case.labels.join(", ")))
            } else if case.judgements.iter().any(|judged| judged.by == act.by) {
                Some(format!("{} has judged case {number} already", act.by))
            } else if case.is_settled() {
                Some(format!("case {number} is settled"))
            } else {
                None
            };
            if let Some(detail) = refused {
                outcome = Err(LabelError::Refused(detail));
                return Ok(());
            }
            case.judgements.push(Judged { by: act.by.to_owned(), label: label.to_owned(), at: act.at });
            put(transaction, &case)?;
            outcome = Ok(case);
            Ok(())
        })?;
        outcome
    }

    /// By number, after one.
    pub fn list(&self, queue: &str, after: u64, limit: usize) -> Result<Vec<LabelCase>> {
        let sql =
            format!("SELECT body FROM label_cases WHERE queue = $1 AND number > {after} ORDER BY number LIMIT {limit}");
        self.read(&sql, &[Value::Text(queue.to_owned())])
    }

    fn read(&self, sql: &str, values: &[Value]) -> Result<Vec<LabelCase>> {
        let rows = self.records.query(sql, values)?;
        let bodies = rows.iter().filter_map(|row| match row.0.first() {
            Some(Value::Text(body)) => Some(body),
            _ => None,
        });
        Ok(bodies.map(|body| serde_json::from_str(body).map_err(|error| damaged(&error))).collect::<Result<_, _>>()?)
    }
}

fn put(transaction: &mut dyn merx_store::Transaction, case: &LabelCase) -> Result<(), StoreError> {
    let body = serde_json::to_string(case).map_err(|error| damaged(&error))?;
    transaction.execute(
        "INSERT INTO label_cases (number, queue, judged, settled, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (number) DO UPDATE SET judged = excluded.judged, settled = excluded.settled, body = excluded.body",
        &[
            Value::Integer(case.number as i64),
            Value::Text(case.queue.clone()),
            Value::Integer(case.judgements.len() as i64),
            Value::Integer(i64::from(case.is_settled())),
            Value::Text(body),
        ],
    )?;
    Ok(())
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "labels", detail: error.to_string() }
}
