//! The registry: which versions of a model there are, where each came from, which one serves.

use std::sync::Arc;

use merx_domain::{ModelVersion, TimestampMs};
use merx_store::{ArtifactHash, Artifacts, Beside, Migration, Records, Row, StoreError, Transaction, Value};
use serde::{Deserialize, Serialize};

pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "2026-11-21-models-001-registry",
    sql: "CREATE TABLE model_versions (
            name TEXT NOT NULL,
            version BIGINT NOT NULL,
            status TEXT NOT NULL,
            artifact TEXT NOT NULL,
            created_at_ms BIGINT NOT NULL,
            lineage TEXT NOT NULL,
            PRIMARY KEY (name, version)
          )",
}];

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("model {name} has no version {version}")]
    Unknown { name: String, version: ModelVersion },
    #[error("model {0} has no earlier version to go back to")]
    NothingBefore(String),
    #[error("registry: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionStatus {
    /// Fitted, not promoted: the gate refused it, or nobody asked.
    Candidate,
    Live,
    /// Was live before the live one; kept warm.
    Previous,
    /// Served once, or was rolled back.
    Archived,
}

impl VersionStatus {
    fn text(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::Previous => "previous",
            Self::Archived => "archived",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Candidate, Self::Live, Self::Previous, Self::Archived].into_iter().find(|status| status.text() == text)
    }
}

/// Where a version came from and how good it was when it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// Log offset up to which events were seen.
    pub log_offset: Option<u64>,
    pub window_from: TimestampMs,
    pub window_until: TimestampMs,
    pub events: u64,
    pub subjects: u64,
    pub items: u64,
    /// Version of the code that fitted it.
    pub code: String,
    pub seed: u64,
    /// Settings that were chosen, by family.
    pub parameters: serde_json::Value,
    /// Metric -> value on held-out time.
    pub metrics: std::collections::BTreeMap<String, f64>,
    pub fit_s: f64,
    /// What the promotion gate said.
    pub gate: Vec<String>,
    pub parent: Option<ModelVersion>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredModel {
    pub name: String,
    pub version: ModelVersion,
    pub status: VersionStatus,
    pub artifact: ArtifactHash,
    pub created_at: TimestampMs,
    pub lineage: Lineage,
}

pub struct Registry {
    records: Arc<dyn Records>,
    artifacts: Arc<dyn Artifacts>,
}

const COLUMNS: &str = "SELECT name, version, status, artifact, created_at_ms, lineage FROM model_versions";

impl Registry {
    pub fn new(records: Arc<dyn Records>, artifacts: Arc<dyn Artifacts>) -> Self {
        Self { records, artifacts }
    }

    /// Stores the bytes and gives them the next version, as a candidate.
    pub fn register(
        &self,
        name: &str,
        bytes: &[u8],
        lineage: &Lineage,
        now: TimestampMs,
    ) -> Result<ModelVersion, RegistryError> {
        let artifact = self.artifacts.put(bytes)?;
        let lineage = serde_json::to_string(lineage).map_err(|error| RegistryError::Unreadable(error.to_string()))?;
        let mut version = ModelVersion(0);
        self.records.transaction(&mut |transaction| {
            let rows = transaction.query(
                "SELECT COALESCE(MAX(version), 0) FROM model_versions WHERE name = $1",
                &[Value::Text(name.to_owned())],
            )?;
            version = ModelVersion(integer(rows.first(), 0) as u32 + 1);
            transaction.execute(
                "INSERT INTO model_versions (name, version, status, artifact, created_at_ms, lineage)
                 VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    Value::Text(name.to_owned()),
                    Value::Integer(i64::from(version.0)),
                    Value::Text(VersionStatus::Candidate.text().to_owned()),
                    Value::Text(artifact.to_string()),
                    Value::Integer(now.0),
                    Value::Text(lineage.clone()),
                ],
            )?;
            Ok(())
        })?;
        Ok(version)
    }

    /// Makes a version live; the one that was live becomes the previous one. `beside` is written with the change, and not where it is live
    /// already.
    pub fn promote(&self, name: &str, version: ModelVersion, beside: Beside<'_>) -> Result<(), RegistryError> {
        let mut known = false;
        self.records.transaction(&mut |transaction| {
            known = true;
            let status = status_of(transaction, name, version)?;
            match status {
                None => known = false,
                Some(VersionStatus::Live) => {}
                Some(_) => {
                    replace_status(transaction, name, VersionStatus::Previous, VersionStatus::Archived)?;
                    replace_status(transaction, name, VersionStatus::Live, VersionStatus::Previous)?;
                    set_status(transaction, name, version, VersionStatus::Live)?;
                    beside(transaction)?;
                }
            }
            Ok(())
        })?;
        if known { Ok(()) } else { Err(RegistryError::Unknown { name: name.to_owned(), version }) }
    }

    /// Makes the previous version live again and archives the one that was live. Returns the version that serves now. `beside` is
    /// written with the change, and handed the version.
    pub fn roll_back(
        &self,
        name: &str,
        beside: &mut dyn FnMut(&mut dyn Transaction, ModelVersion) -> Result<(), StoreError>,
    ) -> Result<ModelVersion, RegistryError> {
        let mut back = None;
        self.records.transaction(&mut |transaction| {
            back = find(transaction, name, VersionStatus::Previous)?;
            if let Some(version) = back {
                replace_status(transaction, name, VersionStatus::Live, VersionStatus::Archived)?;
                set_status(transaction, name, version, VersionStatus::Live)?;
                beside(transaction, version)?;
            }
            Ok(())
        })?;
        back.ok_or_else(|| RegistryError::NothingBefore(name.to_owned()))
    }

    pub fn get(&self, name: &str, version: ModelVersion) -> Result<RegisteredModel, RegistryError> {
        let sql = format!("{COLUMNS} WHERE name = $1 AND version = $2");
        let rows = self.records.query(&sql, &[Value::Text(name.to_owned()), Value::Integer(i64::from(version.0))])?;
        let unknown = || RegistryError::Unknown { name: name.to_owned(), version };
        rows.first().ok_or_else(unknown).and_then(read)
    }

    /// The version that has a status, `None` where none has it.
    pub fn with_status(&self, name: &str, status: VersionStatus) -> Result<Option<RegisteredModel>, RegistryError> {
        let sql = format!("{COLUMNS} WHERE name = $1 AND status = $2 ORDER BY version DESC LIMIT 1");
        let rows = self.records.query(&sql, &[Value::Text(name.to_owned()), Value::Text(status.text().to_owned())])?;
        rows.first().map(read).transpose()
    }

    /// All versions of all models, newest first within a name.
    pub fn list(&self) -> Result<Vec<RegisteredModel>, RegistryError> {
        let rows = self.records.query(&format!("{COLUMNS} ORDER BY name, version DESC"), &[])?;
        rows.iter().map(read).collect()
    }

    pub fn load(&self, model: &RegisteredModel) -> Result<Arc<[u8]>, RegistryError> {
        Ok(self.artifacts.get(model.artifact)?)
    }
}

fn status_of(
    transaction: &mut dyn Transaction,
    name: &str,
    version: ModelVersion,
) -> Result<Option<VersionStatus>, StoreError> {
    let rows = transaction.query(
        "SELECT status FROM model_versions WHERE name = $1 AND version = $2",
        &[Value::Text(name.to_owned()), Value::Integer(i64::from(version.0))],
    )?;
    Ok(rows.first().and_then(|row| VersionStatus::parse(text(row, 0))))
}

fn find(
    transaction: &mut dyn Transaction,
    name: &str,
    status: VersionStatus,
) -> Result<Option<ModelVersion>, StoreError> {
    let rows = transaction.query(
        "SELECT version FROM model_versions WHERE name = $1 AND status = $2",
        &[Value::Text(name.to_owned()), Value::Text(status.text().to_owned())],
    )?;
    Ok(rows.first().map(|row| ModelVersion(integer(Some(row), 0) as u32)))
}

fn replace_status(
    transaction: &mut dyn Transaction,
    name: &str,
    from: VersionStatus,
    to: VersionStatus,
) -> Result<(), StoreError> {
    let parameters =
        [Value::Text(to.text().to_owned()), Value::Text(name.to_owned()), Value::Text(from.text().to_owned())];
    transaction.execute("UPDATE model_versions SET status = $1 WHERE name = $2 AND status = $3", &parameters).map(drop)
}

fn set_status(
    transaction: &mut dyn Transaction,
    name: &str,
    version: ModelVersion,
    status: VersionStatus,
) -> Result<(), StoreError> {
    let parameters =
        [Value::Text(status.text().to_owned()), Value::Text(name.to_owned()), Value::Integer(i64::from(version.0))];
    transaction.execute("UPDATE model_versions SET status = $1 WHERE name = $2 AND version = $3", &parameters).map(drop)
}

fn integer(row: Option<&Row>, column: usize) -> i64 {
    match row.and_then(|row| row.0.get(column)) {
        Some(Value::Integer(integer)) => *integer,
        _ => 0,
    }
}

fn text(row: &Row, column: usize) -> &str {
    match row.0.get(column) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn read(row: &Row) -> Result<RegisteredModel, RegistryError> {
    let unreadable = |what: &str| RegistryError::Unreadable(format!("{what} of {}", text(row, 0)));
    Ok(RegisteredModel {
        name: text(row, 0).to_owned(),
        version: ModelVersion(integer(Some(row), 1) as u32),
        status: VersionStatus::parse(text(row, 2)).ok_or_else(|| unreadable("status"))?,
        artifact: text(row, 3).parse()?,
        created_at: TimestampMs(integer(Some(row), 4)),
        lineage: serde_json::from_str(text(row, 5)).map_err(|_| unreadable("lineage"))?,
    })
}

#[cfg(test)]
mod tests {
    use merx_store::{LogSettings, Store};

    use super::*;

    fn lineage() -> Lineage {
        Lineage {
            log_offset: Some(7),
            window_from: TimestampMs(0),
            window_until: TimestampMs(1),
            events: 10,
            subjects: 2,
            items: 3,
            code: "0.1.0".into(),
            seed: 1,
            parameters: serde_json::json!({ "dim": 64 }),
            metrics: [("ndcg@20".to_owned(), 0.2)].into(),
            fit_s: 0.1,
            gate: vec![],
            parent: None,
        }
    }

    #[test]
    fn versions_are_promoted_and_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), MIGRATIONS, LogSettings::default()).unwrap();
        let registry = Registry::new(store.records, store.artifacts);
        let now = TimestampMs(5);
        let versions: Vec<ModelVersion> =
            [b"a", b"b", b"c"].iter().map(|bytes| registry.register("m", *bytes, &lineage(), now).unwrap()).collect();
        assert_eq!(versions, [ModelVersion(1), ModelVersion(2), ModelVersion(3)]);
        assert!(registry.with_status("m", VersionStatus::Live).unwrap().is_none());
        for version in &versions {
            registry.promote("m", *version, &mut |_| Ok(())).unwrap();
        }
        let live = registry.with_status("m", VersionStatus::Live).unwrap().unwrap();
        assert_eq!((live.version, &*registry.load(&live).unwrap()), (ModelVersion(3), &b"c"[..]));
        assert_eq!(live.lineage, lineage());
        assert_eq!(registry.roll_back("m", &mut |_, _| Ok(())).unwrap(), ModelVersion(2));
        assert!(matches!(registry.roll_back("m", &mut |_, _| Ok(())), Err(RegistryError::NothingBefore(_))));
        assert_eq!(registry.get("m", ModelVersion(3)).unwrap().status, VersionStatus::Archived);
        assert!(matches!(registry.promote("m", ModelVersion(9), &mut |_| Ok(())), Err(RegistryError::Unknown { .. })));
        assert_eq!(registry.list().unwrap().len(), 3);
    }
}
