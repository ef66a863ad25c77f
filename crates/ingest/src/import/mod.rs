//! Files on their way in: what is in them (`plan`), and the import itself (`run`).
//!
//! An import can be broken off at any moment and goes on where it was: the place in the file is written in the same
//! transaction as the rows. Run twice it ends in the same state, and says what was unchanged. Every row is accounted
//! for: accepted, unchanged, or rejected with its line and reason.

mod checkpoint;
mod complete_journey;
mod feed;
mod feed_product;
mod job;
mod mapping;
mod online_retail;
mod plan;
mod shapes;
mod source;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use merx_domain::TimestampMs;
use serde::{Deserialize, Serialize};

pub(crate) use checkpoint::MIGRATION;
pub use job::run;
pub use mapping::{Columns, Dialect, Entity, Field, Mapping};
pub use plan::{FilePlan, ImportPlan, MappingChoice, plan};

use crate::pipeline::IngestError;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path}: {detail}")]
    Io { path: String, detail: String },
    #[error("{path} can't be read: {detail}")]
    Format { path: String, detail: String },
    /// A file was readable at its beginning and no longer is.
    #[error("the file can't be read on: {detail}")]
    Unreadable { detail: String },
    #[error("{path}: what it holds is not known; name a mapping (built in: online-retail, complete-journey, google)")]
    Unknown { path: String },
    #[error("{path} has no column {column:?}; it has: {columns}")]
    NoColumn { path: String, column: String, columns: String },
    #[error("the mapping: {detail}")]
    Mapping { detail: String },
    #[error("rows of one product or order lie too far apart in {path}: sort the file by {field}")]
    Scattered { path: String, field: &'static str },
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The progress callback said stop. What is stored so far stays, and the next run goes on from there.
    #[error("the import was interrupted; run it again to go on")]
    Interrupted,
}

impl ImportError {
    fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), detail: error.to_string() }
    }

    fn format(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Format { path: path.display().to_string(), detail: error.to_string() }
    }
}

impl From<merx_store::StoreError> for ImportError {
    fn from(error: merx_store::StoreError) -> Self {
        Self::Ingest(error.into())
    }
}

pub(crate) type Result<T, E = ImportError> = std::result::Result<T, E>;

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    /// Stable.
    code: &'static str,
    message: String,
}

impl Reject {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Tsv,
    JsonLines,
    Parquet,
    XmlFeed,
}

impl Format {
    /// By the name's ending, `.gz` aside.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let plain = name.strip_suffix(".gz");
        let gzipped = plain.is_some();
        match plain.unwrap_or(&name).rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" | "txt" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" if !gzipped => Some(Self::Parquet),
            "xml" | "rss" => Some(Self::XmlFeed),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Reads and checks everything and stores nothing.
    pub dry_run: bool,
    /// Where refused rows go, one JSON object a line: `line`, `code`, `message`, `row`. Several files write to one.
    pub rejects: Option<PathBuf>,
    /// The time of the import: `created_at` of what is new.
    pub at: TimestampMs,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    pub path: &'a Path,
    /// Rows of this file that are behind us, of those it has.
    pub rows: u64,
    pub rows_total: u64,
    /// The same of all files together.
    pub all_rows: u64,
    pub all_rows_total: u64,
    /// Bytes of all files together, in proportion to their rows.
    pub all_bytes: u64,
    pub all_bytes_total: u64,
}

/// Asked after every batch; `Break` interrupts the import.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// What became of the rows: `read` is `accepted` + `unchanged` + `rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub read: u64,
    /// Rows that made or changed something.
    pub accepted: u64,
    /// Rows of what stood there like this already, and events stored before.
    pub unchanged: u64,
    pub rejected: u64,
    pub rejected_by_code: BTreeMap<String, u64>,
    /// Products, orders, stock levels or events.
    pub entities_created: u64,
    pub entities_updated: u64,
    pub entities_unchanged: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.unchanged += other.unchanged;
        self.rejected += other.rejected;
        self.entities_created += other.entities_created;
        self.entities_updated += other.entities_updated;
        self.entities_unchanged += other.entities_unchanged;
        for (code, count) in &other.rejected_by_code {
            *self.rejected_by_code.entry(code.clone()).or_default() += count;
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub path: PathBuf,
    pub entity: Entity,
    pub counts: Counts,
    /// The row that an interrupted import went on from.
    pub resumed_at: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    pub total: Counts,
    pub files: Vec<FileReport>,
    /// Files left aside, with the reason.
    pub ignored: Vec<(PathBuf, String)>,
}
