//! The policy in force, its versions, and what another one would have changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_domain::{
    ConsentPolicy, ConsentStamp, Grant, MarketId, PolicyDocument, PolicyMistake, PolicySet, Purposes, SubjectId,
    TimestampMs,
};
use merx_store::{Migration, Records, Row, StoreError, Value};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::json;

use crate::audit::{Act, AuditLog, Governed};
use crate::record::DecisionRecord;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-010-policies",
    sql: "CREATE TABLE consent_policies (
            version BIGINT PRIMARY KEY,
            at_ms BIGINT NOT NULL,
            who TEXT NOT NULL,
            document TEXT NOT NULL
          )",
};

/// What every pipeline asks. A change counts for the next request.
#[derive(Debug, Clone)]
pub struct PolicyBook(Arc<RwLock<Arc<PolicySet>>>);

impl From<PolicySet> for PolicyBook {
    fn from(policy: PolicySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }
}

impl From<ConsentPolicy> for PolicyBook {
    fn from(policy: ConsentPolicy) -> Self {
        PolicySet::from(policy).into()
    }
}

impl PolicyBook {
    pub fn current(&self) -> Arc<PolicySet> {
        Arc::clone(&self.0.read())
    }

    /// In the region of a market.
    pub fn check_in(&self, subject: SubjectId, market: &MarketId, stamp: ConsentStamp) -> Grant {
        self.0.read().check(subject, market, stamp)
    }

    fn set(&self, policy: PolicySet) {
        *self.0.write() = Arc::new(policy);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("the policy has mistakes")]
    Mistakes(Vec<PolicyMistake>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A version that is or was in force.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyVersion {
    pub version: u32,
    pub at: TimestampMs,
    /// The key or user that put it in force.
    pub who: String,
    pub document: PolicyDocument,
}

/// Versions in `Records`; the newest one is in force. Where there is none, the configuration's is, as version 0.
pub struct Policies {
    records: Arc<dyn Records>,
    book: PolicyBook,
    configured: PolicyDocument,
    changing: Mutex<()>,
}

impl Policies {
    /// The configuration's policy must be sound.
    pub fn open(records: Arc<dyn Records>, configured: PolicyDocument) -> Result<Self, PolicyError> {
        let policy = PolicySet::read(0, &configured).map_err(PolicyError::Mistakes)?;
        let policies = Self { records, book: policy.into(), configured, changing: Mutex::default() };
        if let Some(newest) = policies.versions(1)?.first() {
            policies.book.set(PolicySet::read(newest.version, &newest.document).map_err(PolicyError::Mistakes)?);
        }
        Ok(policies)
    }

    pub fn book(&self) -> &PolicyBook {
        &self.book
    }

    /// Puts in force what another process has.
    pub fn reload(&self) -> Result<(), PolicyError> {
        let _changing = self.changing.lock();
        if let Some(newest) = self.versions(1)?.first()
            && newest.version != self.book.current().version
        {
            self.book.set(PolicySet::read(newest.version, &newest.document).map_err(PolicyError::Mistakes)?);
        }
        Ok(())
    }

    /// What is in force: version and document.
    pub fn current(&self) -> Result<(u32, PolicyDocument), StoreError> {
        let newest = self.versions(1)?.into_iter().next();
        Ok(newest.map_or((0, self.configured.clone()), |newest| (newest.version, newest.document)))
    }

    /// Newest first.
    pub fn versions(&self, limit: usize) -> Result<Vec<PolicyVersion>, StoreError> {
        let sql = "SELECT version, at_ms, who, document FROM consent_policies ORDER BY version DESC LIMIT $1";
        let rows = self.records.query(sql, &[Value::Integer(limit as i64)])?;
        rows.into_iter().map(read).collect()
    }

    /// Puts a policy in force as the next version. It is on disk, and counts for the next request, when this returns.
    pub fn put(&self, document: &PolicyDocument, act: Act<'_>) -> Result<u32, PolicyError> {
        let _changing = self.changing.lock();
        let version = self.current()?.0 + 1;
        let policy = PolicySet::read(version, document).map_err(PolicyError::Mistakes)?;
        let text = serde_json::to_string(document).unwrap_or_default();
        let row = [
            Value::Integer(version.into()),
            Value::Integer(act.at.0),
            Value::Text(act.by.to_owned()),
            Value::Text(text),
        ];
        let detail = json!({ "version": version, "policy": document });
        let change = Governed { action: "policy.put", target: "policy", detail };
        AuditLog::govern(&*self.records, act, &change, &mut |transaction| {
            let sql = "INSERT INTO consent_policies (version, at_ms, who, document) VALUES ($1, $2, $3, $4)";
            transaction.execute(sql, &row).map(|rows| rows > 0)
        })?;
        self.book.set(policy);
        Ok(version)
    }
}

fn read(row: Row) -> Result<PolicyVersion, StoreError> {
    let damaged = || StoreError::Damaged { what: "policies", detail: "a row is not what was written".into() };
    let Ok([Value::Integer(version), Value::Integer(at), Value::Text(who), Value::Text(document)]) =
        <[Value; 4]>::try_from(row.0)
    else {
        return Err(damaged());
    };
    let document = serde_json::from_str(&document).map_err(|_| damaged())?;
    Ok(PolicyVersion { version: u32::try_from(version).map_err(|_| damaged())?, at: TimestampMs(at), who, document })
}

/// Decisions with and without a purpose, under the policy of then and under another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Effect {
    pub before: u64,
    pub after: u64,
    pub gained: u64,
    pub lost: u64,
}

/// What a policy would have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DryRun {
    /// Decisions about a known visitor that were looked at.
    pub decisions: u64,
    pub by_region: BTreeMap<String, u64>,
    pub by_purpose: BTreeMap<&'static str, Effect>,
}

impl DryRun {
    /// Looks at recorded decisions with the eyes of another policy. Each has the consent that was in force.
    pub fn of<'r>(policy: &PolicySet, records: impl IntoIterator<Item = &'r DecisionRecord>) -> Self {
        let mut run = Self::default();
        for record in records {
            let Some(subject) = record.situation.subject else { continue };
            let market = &record.situation.market;
            let after = policy.check(subject, market, record.situation.consent);
            run.decisions += 1;
            *run.by_region.entry(policy.region_of(market).to_owned()).or_default() += 1;
            for (purpose, name) in Purposes::NAMES {
                let (had, has) = (record.granted.contains(purpose), after.allows(purpose));
                let effect = run.by_purpose.entry(name).or_default();
                effect.before += u64::from(had);
                effect.after += u64::from(has);
                effect.gained += u64::from(has && !had);
                effect.lost += u64::from(had && !has);
            }
        }
        run
    }

    /// Whether so much traffic was personal and nothing of it would be any more.
    pub fn locks_everybody_out(&self) -> bool {
        /// Fewer say nothing.
        const ENOUGH: u64 = 20;
        let personal = Purposes::NAMES.iter().filter(|(purpose, _)| *purpose != Purposes::NECESSARY);
        let effects: Vec<Effect> = personal.filter_map(|(_, name)| self.by_purpose.get(name).copied()).collect();
        effects.iter().any(|effect| effect.before >= ENOUGH) && effects.iter().all(|effect| effect.after == 0)
    }
}
