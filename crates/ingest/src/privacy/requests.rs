//! The register of requests: what was asked, until when it must be answered, what came of it.
//!
//! A row says nothing of the person. Whom it is about stands in its notes, sealed under a key of the vault; of a request
//! that is done only pseudonyms stay in them, so that a proof can be made again, until the notes are dropped.

use std::sync::Arc;

use merx_domain::{IdentityKind, SubjectId, TimestampMs};
use merx_store::{Migration, Records, Row, StoreError, Value};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::changes::limit_value;
use crate::rows::{Columns, text};
use crate::vault::{Vault, VaultError};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-016-privacy-requests",
    sql: "CREATE TABLE privacy_requests (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    regulation TEXT NOT NULL,
    suppress BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    completed_at_ms BIGINT,
    notes BYTEA,
    report TEXT,
    error TEXT
);
CREATE INDEX privacy_requests_state ON privacy_requests (state);",
};

/// Requests that may wait; a shop gets a handful a day.
const MAX_OPEN: usize = 100_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

words! {
    RequestKind {
        /// What is held of the person, for them to read.
        Access = "access",
        /// The same in a form that another system reads.
        Portability = "portability",
        Erasure = "erasure",
        /// Whether anything of the person is left.
        Verification = "verification",
        /// Everybody, because the shop is gone. Nothing does this by itself: the operator removes the folder.
        ShopErasure = "shop_erasure",
    }
}

words! {
    RequestState {
        Pending = "pending",
        /// Begun. One that a crash broke off is begun again.
        Running = "running",
        Completed = "completed",
        Cancelled = "cancelled",
        /// Something stood in the way; it is tried again.
        Failed = "failed",
    }
}

words! {
    /// How the asker wrote a name: as it is, or as the hexadecimal digest of it.
    NameFormat { Raw = "raw", Md5 = "md5", Sha1 = "sha1", Sha256 = "sha256" }
}

/// One thing that names the person in question.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedName {
    pub kind: IdentityKind,
    pub format: NameFormat,
    pub value: String,
}

impl std::fmt::Debug for AskedName {
    /// Without the value, so that it reaches no log by accident.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AskedName({:?}, {:?}, ..)", self.kind, self.format)
    }
}

impl AskedName {
    /// Whether a name in the vault is the one that was asked for. Whoever made a digest may have put the name into small
    /// letters first, as is usual for mail addresses.
    pub fn is(&self, known: &str) -> bool {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digest = |text: &str| match self.format {
            NameFormat::Raw => text.to_owned(),
            NameFormat::Md5 => hex(&md5::Md5::digest(text.as_bytes())),
            NameFormat::Sha1 => hex(&sha1::Sha1::digest(text.as_bytes())),
            NameFormat::Sha256 => hex(&sha2::Sha256::digest(text.as_bytes())),
        };
        self.value.eq_ignore_ascii_case(&digest(known))
            || self.value.eq_ignore_ascii_case(&digest(&known.to_lowercase()))
    }
}

/// Whom a request is about, and what was found of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notes {
    pub asked: Vec<AskedName>,
    /// Pseudonyms, the asked ones and those that were found; hexadecimal.
    pub subjects: Vec<String>,
    /// Names that the vault had; gone once the request is done.
    pub names: Vec<AskedName>,
}

impl Notes {
    pub fn subject_ids(&self) -> Vec<SubjectId> {
        self.subjects.iter().filter_map(|subject| subject.parse().ok()).collect()
    }

    pub fn add_subject(&mut self, subject: SubjectId) {
        let text = subject.to_string();
        if !self.subjects.contains(&text) {
            self.subjects.push(text);
        }
    }

    pub fn add_name(&mut self, kind: IdentityKind, value: String) {
        let name = AskedName { kind, format: NameFormat::Raw, value };
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewRequest {
    /// `None`: one is drawn.
    pub id: Option<String>,
    pub kind: RequestKind,
    /// The way it came: `api`, `opendsr`, `shopify`.
    pub source: String,
    /// The law it names, in the asker's words.
    pub regulation: String,
    /// Of an erasure: the person is left out from now on too.
    pub suppress: bool,
    /// Of a verification: the request whose pseudonyms are looked for.
    pub of: Option<String>,
    pub notes: Notes,
}

/// A row of the register, without its notes.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivacyRequest {
    pub id: String,
    pub kind: RequestKind,
    pub state: RequestState,
    pub source: String,
    pub regulation: String,
    pub suppress: bool,
    pub received_at: TimestampMs,
    pub due_at: TimestampMs,
    pub updated_at: TimestampMs,
    pub completed_at: Option<TimestampMs>,
    pub report: Option<serde_json::Value>,
    pub error: Option<String>,
}

pub struct Requests {
    records: Arc<dyn Records>,
}

type Result<T, E = VaultError> = std::result::Result<T, E>;

const COLUMNS: &str = "SELECT id, kind, state, source, regulation, suppress, received_at_ms, due_at_ms, updated_at_ms, \
                       completed_at_ms, report, error FROM privacy_requests";

impl Requests {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Takes a request in; it is on disk when this returns. One of the same id is the answer where there is one.
    pub fn submit(
        &self,
        vault: &Vault,
        new: &NewRequest,
        now: TimestampMs,
        due: TimestampMs,
    ) -> Result<PrivacyRequest> {
        let id = match &new.id {
            Some(id) => id.clone(),
            None => random_id()?,
        };
        if let Some(known) = self.get(&id)? {
            return Ok(known);
        }
        if self.open()?.len() >= MAX_OPEN {
            return Err(StoreError::Busy { what: "privacy requests", retry_after_ms: 60_000 }.into());
        }
        let row = [
            text(&id),
            text(new.kind.name()),
            text(RequestState::Pending.name()),
            text(&new.source),
            text(&new.regulation),
            Value::Integer(new.suppress.into()),
            Value::Integer(now.0),
            Value::Integer(due.0),
            Value::Bytes(seal(vault, &id, &new.notes)?),
        ];
        self.records.transaction(&mut |transaction| {
            let sql = "INSERT INTO privacy_requests (id, kind, state, source, regulation, suppress, received_at_ms, \
                       due_at_ms, updated_at_ms, notes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9) \
                       ON CONFLICT (id) DO NOTHING";
            transaction.execute(sql, &row).map(drop)
        })?;
        Ok(self.get(&id)?.ok_or(StoreError::Unavailable { what: "privacy requests", detail: "it is gone".into() })?)
    }

    pub fn get(&self, id: &str) -> Result<Option<PrivacyRequest>, StoreError> {
        let rows = self.records.query(&format!("{COLUMNS} WHERE id = $1"), &[text(id)])?;
        rows.first().map(read).transpose()
    }

    /// Newest first.
    pub fn latest(&self, limit: usize) -> Result<Vec<PrivacyRequest>, StoreError> {
        let sql = format!("{COLUMNS} ORDER BY received_at_ms DESC, id LIMIT $1");
        self.records.query(&sql, &[limit_value(limit)])?.iter().map(read).collect()
    }

    /// What is not done yet, oldest first.
    pub fn open(&self) -> Result<Vec<PrivacyRequest>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE state IN ('pending', 'running', 'failed') AND kind <> 'shop_erasure' ORDER BY received_at_ms, id"
        );
        self.records.query(&sql, &[])?.iter().map(read).collect()
    }

    /// `None`: they were dropped.
    pub fn notes(&self, vault: &Vault, id: &str) -> Result<Option<Notes>> {
        let rows = self.records.query("SELECT notes FROM privacy_requests WHERE id = $1", &[text(id)])?;
        match rows.first() {
            Some(row) if !row.is_null(0) => {
                let plain = vault.open_note(id, row.bytes(0)?)?;
                serde_json::from_slice(&plain).map(Some).map_err(|_| VaultError::Unreadable)
            }
            _ => Ok(None),
        }
    }

    /// Begins a request, or goes on with it, with these notes. Whether it is still open: it may have been taken back.
    pub fn begin(&self, vault: &Vault, id: &str, notes: &Notes, now: TimestampMs) -> Result<bool> {
        let row = [
            text(RequestState::Running.name()),
            Value::Integer(now.0),
            Value::Bytes(seal(vault, id, notes)?),
            text(id),
        ];
        let sql = "UPDATE privacy_requests SET state = $1, updated_at_ms = $2, notes = $3, error = NULL WHERE id = $4 \
                   AND state IN ('pending', 'running', 'failed')";
        Ok(self.change(sql, &row)? > 0)
    }

    pub fn complete(
        &self,
        vault: &Vault,
        id: &str,
        notes: &Notes,
        report: &serde_json::Value,
        now: TimestampMs,
    ) -> Result<()> {
        let row = [
            text(RequestState::Completed.name()),
            Value::Integer(now.0),
            Value::Bytes(seal(vault, id, notes)?),
            text(report.to_string()),
            text(id),
        ];
        let sql = "UPDATE privacy_requests SET state = $1, updated_at_ms = $2, completed_at_ms = $2, notes = $3, \
                   report = $4, error = NULL WHERE id = $5";
        Ok(self.change(sql, &row).map(drop)?)
    }

    /// `report`: how far it came.
    pub fn fail(
        &self,
        id: &str,
        error: &str,
        report: Option<&serde_json::Value>,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let report = report.map_or(Value::Null, |report| text(report.to_string()));
        let row = [text(RequestState::Failed.name()), Value::Integer(now.0), text(error), report, text(id)];
        let sql = "UPDATE privacy_requests SET state = $1, updated_at_ms = $2, error = $3, report = $4 WHERE id = $5 \
                   AND state IN ('pending', 'running', 'failed')";
        self.change(sql, &row).map(drop)
    }

    /// Takes a request back that was not begun. Whether it could.
    pub fn cancel(&self, id: &str, now: TimestampMs) -> Result<bool, StoreError> {
        let row = [text(RequestState::Cancelled.name()), Value::Integer(now.0), text(id)];
        let sql = "UPDATE privacy_requests SET state = $1, updated_at_ms = $2, completed_at_ms = $2, notes = NULL \
                   WHERE id = $3 AND state = 'pending'";
        Ok(self.change(sql, &row)? > 0)
    }

    /// Drops the notes of requests that were done before.
    pub fn drop_notes(&self, before: TimestampMs) -> Result<u64, StoreError> {
        let sql = "UPDATE privacy_requests SET notes = NULL WHERE completed_at_ms < $1 AND notes IS NOT NULL";
        self.change(sql, &[Value::Integer(before.0)])
    }

    fn change(&self, sql: &str, row: &[Value]) -> Result<u64, StoreError> {
        let mut changed = 0;
        self.records.transaction(&mut |transaction| {
            changed = transaction.execute(sql, row)?;
            Ok(())
        })?;
        Ok(changed)
    }
}

fn seal(vault: &Vault, id: &str, notes: &Notes) -> Result<Vec<u8>> {
    let plain = serde_json::to_vec(notes).map_err(|_| VaultError::Sealing)?;
    vault.seal_note(id, &plain)
}

/// A UUID of version 4.
fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| VaultError::Randomness { detail: error.to_string() })?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = SubjectId::from_bytes(bytes).to_string();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

fn read(row: &Row) -> Result<PrivacyRequest, StoreError> {
    let damaged = || StoreError::Damaged { what: "privacy requests", detail: "a row is not what was written".into() };
    let time = |column| row.integer(column).map(TimestampMs);
    let optional = |column| if row.is_null(column) { Ok(None) } else { row.text(column).map(|it| Some(it.to_owned())) };
    let report = optional(10)?;
    Ok(PrivacyRequest {
        id: row.text(0)?.to_owned(),
        kind: RequestKind::from_name(row.text(1)?).ok_or_else(damaged)?,
        state: RequestState::from_name(row.text(2)?).ok_or_else(damaged)?,
        source: row.text(3)?.to_owned(),
        regulation: row.text(4)?.to_owned(),
        suppress: row.integer(5)? != 0,
        received_at: time(6)?,
        due_at: time(7)?,
        updated_at: time(8)?,
        completed_at: if row.is_null(9) { None } else { Some(time(9)?) },
        report: report.and_then(|text| serde_json::from_str(&text).ok()),
        error: optional(11)?,
    })
}
