//! Cases that people judge: two each, without seeing each other, with gold questions among them.

use std::collections::BTreeMap;
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
/// Cases that are read at once.
const PAGE: usize = 1_000;
/// Of a queue's newest cases; older ones teach nothing any more.
const MOST_READ: usize = 100_000;
/// Whoever answers fewer gold questions right, of at least so many, is not believed.
const GOLD_RIGHT: f64 = 0.6;
const GOLD_QUESTIONS: u32 = 5;

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

    /// The label that is right, as its place among `labels`: the gold one, or what two say who are believed.
    fn answer(&self, believed: &dyn Fn(&str) -> bool) -> Option<usize> {
        let says = |label: &str| {
            self.judgements.iter().filter(|judged| judged.label == label && believed(&judged.by)).count() >= JUDGES
        };
        self.labels.iter().position(|label| match &self.gold {
            Some(gold) => gold == label,
            None => says(label),
        })
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

    /// The newest cases of a queue of which something is known, newest first: those that somebody judged, and gold questions.
    pub fn known(&self, queue: &str, most: usize) -> Result<Vec<LabelCase>> {
        let mut cases: Vec<LabelCase> = Vec::new();
        let mut before = i64::MAX;
        while cases.len() < most {
            let sql = format!(
                "SELECT body FROM label_cases WHERE queue = $1 AND number < {before} ORDER BY number DESC LIMIT {PAGE}"
            );
            let page = self.read(&sql, &[Value::Text(queue.to_owned())])?;
            let Some(oldest) = page.last() else { break };
            before = oldest.number as i64;
            cases.extend(page.into_iter().filter(|case| case.gold.is_some() || !case.judgements.is_empty()));
        }
        cases.truncate(most);
        Ok(cases)
    }

    /// What came of a queue's newest cases: each with the place of its right label among `labels`, by number. Who fails gold questions isn't
    /// believed.
    pub fn answers(&self, queue: &str) -> Result<Vec<(LabelCase, usize)>> {
        let mut cases = self.known(queue, MOST_READ)?;
        cases.reverse();
        let mut gold: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for case in &cases {
            for judged in case.judgements.iter().filter(|_| case.gold.is_some()) {
                let (asked, right) = gold.entry(judged.by.clone()).or_default();
                *asked += 1;
                *right += u32::from(case.gold.as_ref() == Some(&judged.label));
            }
        }
        let believed = |who: &str| {
            gold.get(who).is_none_or(|(asked, right)| {
                *asked < GOLD_QUESTIONS || f64::from(*right) >= GOLD_RIGHT * f64::from(*asked)
            })
        };
        let answered = |case: LabelCase| case.answer(&believed).map(|label| (case, label));
        Ok(cases.into_iter().filter_map(answered).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn case(gold: Option<&str>, judgements: &[(&str, &str)]) -> LabelCase {
        let judged =
            |(by, label): &(&str, &str)| Judged { by: (*by).into(), label: (*label).into(), at: TimestampMs(0) };
        LabelCase {
            number: 0,
            queue: "search".into(),
            about: serde_json::Value::Null,
            labels: vec!["exact".into(), "substitute".into(), "irrelevant".into()],
            gold: gold.map(str::to_owned),
            judgements: judgements.iter().map(judged).collect(),
            created_at: TimestampMs(0),
        }
    }

    #[test]
    fn two_who_know_gold_questions_make_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let settings = merx_store::LogSettings::default();
        let store = merx_store::Store::open_embedded(folder.path(), crate::MIGRATIONS, settings).unwrap();
        let labels = Labels::new(store.records);
        let mut cases = vec![
            case(None, &[("anna", "substitute"), ("bert", "substitute")]),
            case(None, &[("anna", "exact"), ("carl", "exact")]),
            case(None, &[("anna", "exact"), ("bert", "irrelevant"), ("dora", "irrelevant")]),
            case(None, &[("anna", "exact")]),
            case(Some("exact"), &[]),
        ];
        // Carl knows two gold questions of five, Bert four; Dora was asked a few only.
        for round in 0..5 {
            let says = |right: bool| if right { "exact" } else { "irrelevant" };
            let mut judgements = vec![("carl", says(round < 2)), ("bert", says(round < 4))];
            if round == 0 {
                judgements.push(("dora", "irrelevant"));
            }
            cases.push(case(Some("exact"), &judgements));
        }
        labels.add(cases).unwrap();
        let found: Vec<(u64, usize)> =
            labels.answers("search").unwrap().into_iter().map(|(case, label)| (case.number, label)).collect();
        assert_eq!(found, [(1, 1), (3, 2), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0)]);
        assert_eq!(labels.answers("other").unwrap(), []);
    }
}
