//! How far an import has come, written together with its rows; and the file of refused rows.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use merx_store::{Migration, Records, StoreError, Transaction};
use serde::{Deserialize, Serialize};

use super::source::{Cell, SourceRow};
use super::{Counts, ImportError, Reject, Result};
use crate::catalogue::{from_json, to_json};
use crate::rows::{Columns, text};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-015-imports",
    sql: "CREATE TABLE imports (
    job TEXT PRIMARY KEY,
    state TEXT NOT NULL
);",
};

/// What an interrupted import needs to go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Rows of the file that are accounted for, or set aside until its end.
    pub(super) position: u64,
    /// Entities with scattered rows that were stored at the end of the file.
    pub(super) scattered_done: u64,
    pub(super) counts: Counts,
    /// Length of the rejects file at that moment.
    pub(super) rejects_bytes: u64,
}

impl State {
    pub(super) fn load(records: &dyn Records, job: &str) -> Result<Option<Self>> {
        let rows = records.query("SELECT state FROM imports WHERE job = $1", &[text(job)])?;
        Ok(rows.first().map(|row| from_json(row.text(0)?)).transpose()?)
    }

    pub(super) fn save(&self, transaction: &mut dyn Transaction, job: &str) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO imports (job, state) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET state = excluded.state";
        transaction.execute(sql, &[text(job), text(to_json(self)?)])?;
        Ok(())
    }

    /// A finished import leaves nothing behind, so that running it again reads all rows again.
    pub(super) fn finish(records: &dyn Records, job: &str) -> Result<()> {
        records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM imports WHERE job = $1", &[text(job)])?;
            Ok(())
        })?;
        Ok(())
    }
}

/// The rows that were refused, one JSON object a line.
pub(super) struct Rejects {
    file: Option<(PathBuf, File)>,
    buffer: Vec<u8>,
    pub(super) bytes: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    line: u64,
    code: &'a str,
    message: &'a str,
    row: serde_json::Map<String, serde_json::Value>,
}

impl Rejects {
    /// Opens the file behind its first `keep` bytes; what an interrupted import wrote after its last checkpoint goes.
    pub(super) fn open(path: Option<&Path>, keep: u64) -> Result<Self> {
        let file = path.map(|path| {
            let open = || -> std::io::Result<File> {
                let mut file = File::options().create(true).write(true).truncate(false).open(path)?;
                file.set_len(keep)?;
                file.seek(SeekFrom::End(0))?;
                Ok(file)
            };
            open().map(|file| (path.to_owned(), file)).map_err(|error| ImportError::io(path, &error))
        });
        Ok(Self { file: file.transpose()?, buffer: Vec::new(), bytes: keep })
    }

    pub(super) fn write(
        &mut self,
        source: &Path,
        columns: &[compact_str::CompactString],
        row: &SourceRow,
        reject: &Reject,
    ) -> Result<()> {
        let Some((path, _)) = &self.file else { return Ok(()) };
        let named = |cells: &Vec<Cell>| {
            let pairs = columns.iter().zip(cells);
            pairs.map(|(name, cell)| (name.to_string(), cell.to_text().map(String::from).into())).collect()
        };
        let line = Line {
            file: source,
            line: row.line,
            code: reject.code,
            message: &reject.message,
            row: row.cells.as_ref().map(named).unwrap_or_default(),
        };
        let before = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, &line).map_err(|error| ImportError::format(path, error))?;
        self.buffer.push(b'\n');
        self.bytes += (self.buffer.len() - before) as u64;
        Ok(())
    }

    /// Before a checkpoint counts these lines they are on disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        if let Some((path, file)) = self.file.as_mut().filter(|_| !self.buffer.is_empty()) {
            let written = file.write_all(&self.buffer).and_then(|()| file.sync_data());
            written.map_err(|error| ImportError::io(path, &error))?;
        }
        self.buffer.clear();
        Ok(())
    }
}
