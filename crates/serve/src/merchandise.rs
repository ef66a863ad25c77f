//! What merchants set for searches, on record: rules, synonyms, proposals of synonyms, and who changed what.

use std::sync::Arc;

use merx_domain::TimestampMs;
use merx_domain::merchandising::{ProposedSynonym, Rule, Synonym};
use merx_store::{Migration, Records, Row, StoreError, Transaction, Value};
use rustc_hash::FxHashSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-serve-003-merchandise",
    sql: "CREATE TABLE search_merchandise (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (kind, id)
          );
          CREATE TABLE search_merchandise_changes (
            number BIGINT PRIMARY KEY,
            at_ms BIGINT NOT NULL,
            made_by TEXT NOT NULL,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            before TEXT,
            after TEXT
          );
          CREATE TABLE search_synonym_proposals (
            id TEXT PRIMARY KEY,
            body TEXT NOT NULL,
            state TEXT NOT NULL,
            proposed_at_ms BIGINT NOT NULL
          )",
};

/// Every search looks at every rule.
const MOST_RULES: i64 = 5_000;
const MOST_SYNONYMS: i64 = 20_000;
/// Changes that are remembered.
const MOST_CHANGES: i64 = 20_000;
/// Proposals that wait; the likeliest stay.
const MOST_PROPOSALS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MerchandiseKind)]
pub enum Kind {
    Rule,
    Synonym,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Synonym => "synonym",
        }
    }

    fn most(self) -> i64 {
        match self {
            Self::Rule => MOST_RULES,
            Self::Synonym => MOST_SYNONYMS,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MerchandiseError {
    #[error("there are {0} already")]
    TooMany(i64),
    #[error("there is no proposal {0} that waits")]
    NoProposal(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One change: who made it, when, and what stood there before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub number: u64,
    pub at: TimestampMs,
    /// The id of the key.
    pub made_by: String,
    pub kind: Kind,
    pub id: String,
    /// Absent before the first and after a removal.
    pub before: Option<serde_json::Value>,
    pub after: Option<serde_json::Value>,
}

/// A synonym that shoppers seem to teach, until a merchant decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub id: String,
    pub proposed: ProposedSynonym,
    pub proposed_at: TimestampMs,
}

/// What becomes of those of a kind that are not among the ones that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    Stay,
    Go,
}

/// Rules and synonyms. Each change is one transaction with its entry in the log of changes.
pub struct Merchandise {
    records: Arc<dyn Records>,
}

impl Merchandise {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The number of the newest change: as long as it stays, so does everything else.
    pub fn version(&self) -> Result<u64, StoreError> {
        let rows = self.records.query("SELECT COALESCE(MAX(number), 0) FROM search_merchandise_changes", &[])?;
        Ok(rows.first().map_or(0, |row| integer(row, 0)) as u64)
    }

    /// In the order of their ids.
    pub fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        Ok(self.all(Kind::Rule)?.into_iter().map(|(_, rule)| rule).collect())
    }

    pub fn synonyms(&self) -> Result<Vec<(String, Synonym)>, StoreError> {
        self.all(Kind::Synonym)
    }

    pub fn rule(&self, id: &str) -> Result<Option<Rule>, StoreError> {
        self.one(Kind::Rule, id)
    }

    pub fn synonym(&self, id: &str) -> Result<Option<Synonym>, StoreError> {
        self.one(Kind::Synonym, id)
    }

    pub fn put_rule(&self, rule: &Rule, made_by: &str, now: TimestampMs) -> Result<(), MerchandiseError> {
        self.change(Kind::Rule, &rule.id, Some(&encode(rule)?), made_by, now).map(|_| ())
    }

    pub fn put_synonym(
        &self,
        id: &str,
        synonym: &Synonym,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<(), MerchandiseError> {
        self.change(Kind::Synonym, id, Some(&encode(synonym)?), made_by, now).map(|_| ())
    }

    /// Several at once, all or none.
    pub fn put_rules(
        &self,
        rules: &[Rule],
        others: Others,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<(), MerchandiseError> {
        let bodies = rules.iter().map(|rule| Ok((rule.id.as_str(), encode(rule)?)));
        self.change_all(Kind::Rule, bodies.collect::<Result<_, StoreError>>()?, others, made_by, now)
    }

    pub fn put_synonyms(
        &self,
        synonyms: &[(String, Synonym)],
        others: Others,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<(), MerchandiseError> {
        let bodies = synonyms.iter().map(|(id, synonym)| Ok((id.as_str(), encode(synonym)?)));
        self.change_all(Kind::Synonym, bodies.collect::<Result<_, StoreError>>()?, others, made_by, now)
    }

    /// Whether it was there.
    pub fn remove(&self, kind: Kind, id: &str, made_by: &str, now: TimestampMs) -> Result<bool, MerchandiseError> {
        self.change(kind, id, None, made_by, now)
    }

    /// Newest first, from before a number.
    pub fn changes(&self, before: Option<u64>, most: usize) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT number, at_ms, made_by, kind, id, before, after FROM search_merchandise_changes
                   WHERE number < $1 ORDER BY number DESC LIMIT $2";
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let rows = self.records.query(sql, &[Value::Integer(before), Value::Integer(most as i64)])?;
        rows.iter().map(read_change).collect()
    }

    /// Writes down what was mined; what a merchant has decided already is not asked again.
    pub fn propose(&self, proposed: &[ProposedSynonym], now: TimestampMs) -> Result<(), StoreError> {
        let rows = proposed
            .iter()
            .take(MOST_PROPOSALS)
            .map(|proposed| Ok((proposal_id(&proposed.words), encode(proposed)?)))
            .collect::<Result<Vec<(String, String)>, StoreError>>()?;
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM search_synonym_proposals WHERE state = 'open'", &[])?;
            for (id, body) in &rows {
                transaction.execute(
                    "INSERT INTO search_synonym_proposals (id, body, state, proposed_at_ms) VALUES ($1, $2, 'open', $3)
                     ON CONFLICT (id) DO NOTHING",
                    &[text(id), text(body), Value::Integer(now.0)],
                )?;
            }
            Ok(())
        })
    }

    /// Proposals that wait for a decision.
    pub fn proposals(&self) -> Result<Vec<Proposal>, StoreError> {
        let sql = "SELECT id, body, proposed_at_ms FROM search_synonym_proposals WHERE state = 'open' ORDER BY id";
        let rows = self.records.query(sql, &[])?;
        let read = |row: &Row| {
            let proposed = decode(string(row, 1))?;
            Ok(Proposal { id: string(row, 0).to_owned(), proposed, proposed_at: TimestampMs(integer(row, 2)) })
        };
        let mut proposals = rows.iter().map(read).collect::<Result<Vec<Proposal>, StoreError>>()?;
        proposals.sort_by(|a, b| {
            let strength = |proposal: &Proposal| (proposal.proposed.pairs, proposal.proposed.likeness);
            strength(b).partial_cmp(&strength(a)).unwrap_or(std::cmp::Ordering::Equal)
        });
        Ok(proposals)
    }

    /// An approved proposal becomes a synonym under the proposal's id; a refused one is not made again.
    pub fn decide(
        &self,
        id: &str,
        approved: bool,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<ProposedSynonym, MerchandiseError> {
        let mut found = None;
        let mut full = false;
        self.records.transaction(&mut |transaction| {
            (found, full) = (None, false);
            let sql = "SELECT body FROM search_synonym_proposals WHERE id = $1 AND state = 'open'";
            let rows = transaction.query(sql, &[text(id)])?;
            let Some(row) = rows.first() else { return Ok(()) };
            let proposed: ProposedSynonym = decode(string(row, 0))?;
            if approved {
                let body = encode(&Synonym::from(&proposed))?;
                let Some(_) = write(transaction, Kind::Synonym, id, Some(&body), made_by, now)? else {
                    full = true;
                    return Ok(());
                };
            }
            let state = if approved { "approved" } else { "refused" };
            transaction
                .execute("UPDATE search_synonym_proposals SET state = $1 WHERE id = $2", &[text(state), text(id)])?;
            found = Some(proposed);
            Ok(())
        })?;
        if full {
            return Err(MerchandiseError::TooMany(Kind::Synonym.most()));
        }
        found.ok_or_else(|| MerchandiseError::NoProposal(id.to_owned()))
    }

    /// Takes a refusal back: the proposal waits again, until a training finds other words.
    pub fn reopen(&self, id: &str) -> Result<(), MerchandiseError> {
        let mut reopened = 0;
        self.records.transaction(&mut |transaction| {
            let sql = "UPDATE search_synonym_proposals SET state = 'open' WHERE id = $1 AND state = 'refused'";
            reopened = transaction.execute(sql, &[text(id)])?;
            Ok(())
        })?;
        if reopened == 0 { Err(MerchandiseError::NoProposal(id.to_owned())) } else { Ok(()) }
    }

    fn all<T: DeserializeOwned>(&self, kind: Kind) -> Result<Vec<(String, T)>, StoreError> {
        let sql = "SELECT id, body FROM search_merchandise WHERE kind = $1 ORDER BY id";
        let rows = self.records.query(sql, &[text(kind.name())])?;
        rows.iter().map(|row| Ok((string(row, 0).to_owned(), decode(string(row, 1))?))).collect()
    }

    fn one<T: DeserializeOwned>(&self, kind: Kind, id: &str) -> Result<Option<T>, StoreError> {
        let sql = "SELECT body FROM search_merchandise WHERE kind = $1 AND id = $2";
        let rows = self.records.query(sql, &[text(kind.name()), text(id)])?;
        rows.first().map(|row| decode(string(row, 0))).transpose()
    }

    fn change_all(
        &self,
        kind: Kind,
        bodies: Vec<(&str, String)>,
        others: Others,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<(), MerchandiseError> {
        let kept: FxHashSet<&str> = bodies.iter().map(|(id, _)| *id).collect();
        let mut full = false;
        let written = self.records.transaction(&mut |transaction| {
            full = false;
            if others == Others::Go {
                let known = "SELECT id FROM search_merchandise WHERE kind = $1 ORDER BY id";
                let rows = transaction.query(known, &[text(kind.name())])?;
                for id in rows.iter().map(|row| string(row, 0)).filter(|id| !kept.contains(id)) {
                    write(transaction, kind, id, None, made_by, now)?;
                }
            }
            for (id, body) in &bodies {
                if write(transaction, kind, id, Some(body), made_by, now)?.is_none() {
                    full = true;
                    return Err(StoreError::Conflict { what: "search rules", detail: "too many".to_owned() });
                }
            }
            Ok(())
        });
        match written {
            Err(_) if full => Err(MerchandiseError::TooMany(kind.most())),
            other => Ok(other?),
        }
    }

    fn change(
        &self,
        kind: Kind,
        id: &str,
        after: Option<&str>,
        made_by: &str,
        now: TimestampMs,
    ) -> Result<bool, MerchandiseError> {
        let mut known = None;
        self.records.transaction(&mut |transaction| {
            known = write(transaction, kind, id, after, made_by, now)?;
            Ok(())
        })?;
        known.ok_or(MerchandiseError::TooMany(kind.most()))
    }
}

/// Whether something stood there before; `None`: there are too many for one more. What changes nothing is not written down.
fn write(
    transaction: &mut dyn Transaction,
    kind: Kind,
    id: &str,
    after: Option<&str>,
    made_by: &str,
    now: TimestampMs,
) -> Result<Option<bool>, StoreError> {
    let key = [text(kind.name()), text(id)];
    let rows = transaction.query("SELECT body FROM search_merchandise WHERE kind = $1 AND id = $2", &key)?;
    let before = rows.first().map(|row| string(row, 0).to_owned());
    if before.as_deref() == after {
        return Ok(Some(before.is_some()));
    }
    match after {
        None => {
            transaction.execute("DELETE FROM search_merchandise WHERE kind = $1 AND id = $2", &key)?;
        }
        Some(body) => {
            let count = "SELECT COUNT(*) FROM search_merchandise WHERE kind = $1";
            let rows = transaction.query(count, &[text(kind.name())])?;
            if before.is_none() && rows.first().map_or(0, |row| integer(row, 0)) >= kind.most() {
                return Ok(None);
            }
            transaction.execute(
                "INSERT INTO search_merchandise (kind, id, body) VALUES ($1, $2, $3)
                 ON CONFLICT (kind, id) DO UPDATE SET body = $3",
                &[text(kind.name()), text(id), text(body)],
            )?;
        }
    }
    let rows = transaction.query("SELECT COALESCE(MAX(number), 0) FROM search_merchandise_changes", &[])?;
    let number = rows.first().map_or(0, |row| integer(row, 0)) + 1;
    let optional = |body: Option<&str>| body.map_or(Value::Null, text);
    transaction.execute(
        "INSERT INTO search_merchandise_changes (number, at_ms, made_by, kind, id, before, after)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            Value::Integer(number),
            Value::Integer(now.0),
            text(made_by),
            text(kind.name()),
            text(id),
            optional(before.as_deref()),
            optional(after),
        ],
    )?;
    let forgotten = Value::Integer(number - MOST_CHANGES);
    transaction.execute("DELETE FROM search_merchandise_changes WHERE number <= $1", &[forgotten])?;
    Ok(Some(before.is_some()))
}

fn read_change(row: &Row) -> Result<Change, StoreError> {
    let kind = if string(row, 3) == Kind::Rule.name() { Kind::Rule } else { Kind::Synonym };
    let body = |place: usize| match row.0.get(place) {
        Some(Value::Text(body)) => decode(body).map(Some),
        _ => Ok(None),
    };
    Ok(Change {
        number: integer(row, 0) as u64,
        at: TimestampMs(integer(row, 1)),
        made_by: string(row, 2).to_owned(),
        kind,
        id: string(row, 4).to_owned(),
        before: body(5)?,
        after: body(6)?,
    })
}

/// The same words have the same id.
fn proposal_id(words: &[String; 2]) -> String {
    let hash = blake3::hash(words.join("\n").as_bytes()).to_hex();
    hash.chars().take(12).collect()
}

fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged(&error))
}

fn decode<T: DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| damaged(&error))
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "search rules", detail: error.to_string() }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn integer(row: &Row, place: usize) -> i64 {
    match row.0.get(place) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    }
}

fn string(row: &Row, place: usize) -> &str {
    match row.0.get(place) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
