//! What this protocol keeps that the shop has no place for: settings by index, records of temporary indexes until they take the
//! catalogue's place, and how far the catalogue was at each write.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::TimestampMs;
use merx_store::{Migration, Records, Row, StoreError, Value as Column};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::ports::CatalogueState;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-serve-002-algolia",
    sql: "CREATE TABLE algolia_settings (
            index_name TEXT PRIMARY KEY,
            document TEXT NOT NULL,
            updated_at_ms BIGINT NOT NULL
          );
CREATE TABLE algolia_staged (
            index_name TEXT NOT NULL,
            object_id TEXT NOT NULL,
            document TEXT NOT NULL,
            written_at_ms BIGINT NOT NULL,
            PRIMARY KEY (index_name, object_id)
          )",
};

/// A shop has an index, some sort orders of it, and one or two temporary ones.
const MOST_SETTINGS: usize = 1_000;
const MOST_SETTINGS_BYTES: usize = 64 * 1024;
/// A reindexing that is older was given up.
const STAGED_FOR_MS: i64 = 24 * 3_600 * 1_000;
const REMEMBERED_TASKS: usize = 10_000;

pub(crate) type Settings = Map<String, Value>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{MOST_SETTINGS} indexes have settings already")]
    TooMany,
    #[error("the settings have more than {MOST_SETTINGS_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An `objectID` and what stands under it.
type NamedRecord = (String, Map<String, Value>);

pub struct Indexes {
    records: Arc<dyn Records>,
    settings: ArcSwap<BTreeMap<String, Arc<Settings>>>,
    /// Changes come one at a time.
    changing: Mutex<()>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// How far the catalogue's records were when the task was done, newest tasks only.
    at: BTreeMap<i64, CatalogueState>,
    last: i64,
}

impl Indexes {
    pub fn open(records: Arc<dyn Records>) -> Result<Self, StoreError> {
        let indexes =
            Self { records, settings: ArcSwap::default(), changing: Mutex::default(), tasks: Mutex::default() };
        indexes.read_again()?;
        Ok(indexes)
    }

    /// Reads them again: another process may have changed them.
    pub fn reload(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        self.read_again()
    }

    fn read_again(&self) -> Result<(), StoreError> {
        let rows = self.records.query("SELECT index_name, document FROM algolia_settings", &[])?;
        let read = |row: &Row| Ok((text(row, 0)?.to_owned(), Arc::new(document(row, 1)?)));
        self.settings.store(Arc::new(rows.iter().map(read).collect::<Result<_, StoreError>>()?));
        Ok(())
    }

    pub(crate) fn settings(&self, index: &str) -> Option<Arc<Settings>> {
        self.settings.load().get(index).cloned()
    }

    /// The index that names another as its replica.
    pub(crate) fn primary_of(&self, replica: &str) -> Option<String> {
        let names = |settings: &Settings| {
            let replicas = settings.get("replicas").and_then(Value::as_array).into_iter().flatten();
            replicas.filter_map(Value::as_str).any(|name| name == replica || virtual_name(name) == Some(replica))
        };
        self.settings.load().iter().find(|(_, settings)| names(settings)).map(|(index, _)| index.clone())
    }

    pub(crate) fn named(&self) -> Vec<String> {
        self.settings.load().keys().cloned().collect()
    }

    /// Settings that are named replace those that were; null removes.
    pub(crate) fn change_settings(&self, index: &str, change: Settings, now: TimestampMs) -> Result<(), SettingsError> {
        let _changing = self.changing.lock();
        let mut settings = self.settings(index).as_deref().cloned().unwrap_or_default();
        for (name, value) in change {
            if value.is_null() {
                settings.remove(&name);
            } else {
                settings.insert(name, value);
            }
        }
        self.write_settings(index, Some(settings), now)
    }

    /// `None` forgets them.
    pub(crate) fn replace_settings(
        &self,
        index: &str,
        settings: Option<Settings>,
        now: TimestampMs,
    ) -> Result<(), SettingsError> {
        let _changing = self.changing.lock();
        self.write_settings(index, settings, now)
    }

    fn write_settings(&self, index: &str, settings: Option<Settings>, now: TimestampMs) -> Result<(), SettingsError> {
        let known = self.settings.load();
        if settings.is_some() && !known.contains_key(index) && known.len() >= MOST_SETTINGS {
            return Err(SettingsError::TooMany);
        }
        let written = settings.map(|settings| Value::Object(settings).to_string());
        if written.as_ref().is_some_and(|written| written.len() > MOST_SETTINGS_BYTES) {
            return Err(SettingsError::TooLarge);
        }
        let name = Column::Text(index.to_owned());
        self.records.transaction(&mut |transaction| {
            match &written {
                None => transaction.execute("DELETE FROM algolia_settings WHERE index_name = $1", std::slice::from_ref(&name))?,
                Some(document) => transaction.execute(
                    "INSERT INTO algolia_settings (index_name, document, updated_at_ms) VALUES ($1, $2, $3)
                     ON CONFLICT (index_name) DO UPDATE SET document = excluded.document, updated_at_ms = excluded.updated_at_ms",
                    &[name.clone(), Column::Text(document.clone()), Column::Integer(now.0)],
                )?,
            };
            Ok(())
        })?;
        Ok(self.read_again()?)
    }

    /// Keeps records of a temporary index, and lets go what was given up.
    pub(crate) fn stage(
        &self,
        index: &str,
        put: &[(String, String)],
        remove: &[String],
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let name = || Column::Text(index.to_owned());
        self.records.transaction(&mut |transaction| {
            let given_up = [Column::Integer(now.0 - STAGED_FOR_MS)];
            transaction.execute(
                "DELETE FROM algolia_staged WHERE index_name IN (SELECT index_name FROM algolia_staged
                 GROUP BY index_name HAVING MAX(written_at_ms) < $1)",
                &given_up,
            )?;
            for (id, document) in put {
                transaction.execute(
                    "INSERT INTO algolia_staged (index_name, object_id, document, written_at_ms) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (index_name, object_id) DO UPDATE SET document = excluded.document,
                     written_at_ms = excluded.written_at_ms",
                    &[name(), Column::Text(id.clone()), Column::Text(document.clone()), Column::Integer(now.0)],
                )?;
            }
            for id in remove {
                let place = [name(), Column::Text(id.clone())];
                transaction.execute("DELETE FROM algolia_staged WHERE index_name = $1 AND object_id = $2", &place)?;
            }
            Ok(())
        })
    }

    /// Staged records in the order of their ids, after one of them.
    pub(crate) fn staged(&self, index: &str, after: &str, most: usize) -> Result<Vec<NamedRecord>, StoreError> {
        let most = Column::Integer(i64::try_from(most).unwrap_or(i64::MAX));
        let sql = "SELECT object_id, document FROM algolia_staged WHERE index_name = $1 AND object_id > $2
                   ORDER BY object_id LIMIT $3";
        let rows = self.records.query(sql, &[Column::Text(index.to_owned()), Column::Text(after.to_owned()), most])?;
        rows.iter().map(|row| Ok((text(row, 0)?.to_owned(), document(row, 1)?))).collect()
    }

    pub(crate) fn drop_staged(&self, index: &str) -> Result<(), StoreError> {
        let name = [Column::Text(index.to_owned())];
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM algolia_staged WHERE index_name = $1", &name).map(drop)
        })
    }

    /// Temporary indexes and how many records each has.
    pub(crate) fn staged_indexes(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = "SELECT index_name, COUNT(*) FROM algolia_staged GROUP BY index_name ORDER BY index_name LIMIT 1000";
        let rows = self.records.query(sql, &[])?;
        rows.iter().map(|row| Ok((text(row, 0)?.to_owned(), integer(row, 1)?))).collect()
    }

    /// The number of a task that is done once `state` of the catalogue can be searched. Numbers grow, over restarts too.
    pub(crate) fn begin_task(&self, state: CatalogueState, now: TimestampMs) -> i64 {
        let mut tasks = self.tasks.lock();
        tasks.last = now.0.max(tasks.last + 1);
        let task = tasks.last;
        tasks.at.insert(task, state);
        if tasks.at.len() > REMEMBERED_TASKS {
            tasks.at.pop_first();
        }
        task
    }

    /// `None`: so long ago that it is done.
    pub(crate) fn task(&self, task: i64) -> Option<CatalogueState> {
        self.tasks.lock().at.get(&task).copied()
    }
}

/// `virtual(products_price_asc)`.
pub(crate) fn virtual_name(name: &str) -> Option<&str> {
    name.strip_prefix("virtual(")?.strip_suffix(')')
}

fn damaged(detail: String) -> StoreError {
    StoreError::Damaged { what: "indexes", detail }
}

fn text(row: &Row, column: usize) -> Result<&str, StoreError> {
    match row.0.get(column) {
        Some(Column::Text(text)) => Ok(text),
        _ => Err(damaged(format!("column {column} is no text"))),
    }
}

fn integer(row: &Row, column: usize) -> Result<i64, StoreError> {
    match row.0.get(column) {
        Some(Column::Integer(number)) => Ok(*number),
        _ => Err(damaged(format!("column {column} is no integer"))),
    }
}

fn document(row: &Row, column: usize) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(text(row, column)?).map_err(|error| damaged(error.to_string()))
}
