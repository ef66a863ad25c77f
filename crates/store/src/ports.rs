//! The five ports. Each contract is what the conformance suites check.

use std::sync::Arc;

use merx_domain::{Event, EventId, SubjectId};

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The queue is full: try again after a moment. Nothing was written.
    #[error("{what} is busy; try again in {retry_after_ms} ms")]
    Busy { what: &'static str, retry_after_ms: u64 },
    /// The disk is full or refuses writes. Nothing of this call is acknowledged.
    #[error("no room to write {what}: {detail}")]
    NoSpace { what: &'static str, detail: String },
    /// Stored bytes are not what was written.
    #[error("{what} is damaged: {detail}")]
    Damaged { what: &'static str, detail: String },
    /// A value is larger than the store may hold. It would be as large at the next attempt: a setting mends it.
    #[error("{what}: too large: {detail}")]
    TooLarge { what: &'static str, detail: String },
    /// A unique key or a compare-and-set found something else than expected.
    #[error("conflict in {what}: {detail}")]
    Conflict { what: &'static str, detail: String },
    /// Another process has the data folder open.
    #[error("the data folder {folder} is open in another Merx process")]
    Locked { folder: String },
    #[error("{what}: {detail}")]
    Unavailable { what: &'static str, detail: String },
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

// ---- Records ----

/// A value in a column. The types are those that SQLite and PostgreSQL share; structures travel as JSON text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row of a result, columns in the order of the query.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Vec<Value>);

/// Entities that need transactions. SQL is written once, with `$1`, `$2` .. for parameters, in the dialect that SQLite
/// and PostgreSQL share (`INSERT .. ON CONFLICT DO UPDATE`, `RETURNING`, no dialect functions). A parameter that may be
/// `NULL` stands beside a column first: `(market = $1 OR $1 IS NULL)`, since PostgreSQL takes its type from there.
pub trait Records: Send + Sync {
    /// Rows of a `SELECT`, from a snapshot that includes every transaction acknowledged before the call.
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>>;

    /// Runs `work` in one transaction: all of it is durable when this returns `Ok`, none of it after an `Err` or a
    /// crash. `work` MAY be run again after a serialisation failure, so it must not have effects outside. Where
    /// several callers write at once an implementation MAY commit them together.
    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Transaction) -> Result<()>) -> Result<()>;

    /// When this returns, what was deleted before is gone from the disk too. `Busy` where readers were in the way for
    /// long; then it is repeated.
    fn scrub(&self, scrub: Scrub) -> Result<()>;
}

/// How thoroughly a store is cleaned of what was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrub {
    /// The journals that repeat old pages. Takes a moment.
    Journals,
    /// Everything is written anew, so that no slack is left. Takes as long as copying the store, and room for a copy.
    Everything,
}

/// A column that holds pseudonyms, and what erasing a person does to its rows. Each room lists its own beside its
/// migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectColumn {
    pub table: &'static str,
    pub column: &'static str,
    pub on_erasure: OnErasure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnErasure {
    /// The row goes.
    Delete,
    /// The row stays without the pseudonym: `NULL`.
    Unlink,
}

/// Statements of one transaction; sees its own writes.
pub trait Transaction {
    /// The number of rows changed.
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64>;
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>>;
}

/// What is written in the transaction of a change, beside it, so that both are durable or neither is: an entry of the audit log.
pub type Beside<'b> = &'b mut dyn FnMut(&mut dyn Transaction) -> Result<()>;

/// One step of the schema. Steps are never edited once released, only followed.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique over all rooms, sorted: `2026-11-21-001-products`.
    pub name: &'static str,
    /// Statements separated by `;\n`.
    pub sql: &'static str,
}

// ---- EventLog ----

/// Place of an event in the log; grows, has gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, serde::Serialize, serde::Deserialize)]
pub struct LogOffset(pub u64);

/// What became of each event of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Stored,
    /// An event with this id was there already; this one was dropped.
    Duplicate,
}

/// The ground state of behaviour.
pub trait EventLog: Send + Sync {
    /// Returns after the events are durable. Answers by position. `Busy` when the bounded queue is full.
    fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>>;

    /// Puts events at the places that they have in another log, to move it here. Places grow and lie beyond every place
    /// ever given here, ids are new: else `Conflict`. All or none, durable when it returns.
    fn restore(&self, events: Vec<(LogOffset, Event)>) -> Result<()>;

    /// Up to `limit` events after `after` (`None`: from the beginning), in log order. Order holds per subject.
    fn read(&self, after: Option<LogOffset>, limit: usize) -> Result<Vec<(LogOffset, Event)>>;

    /// The last offset, `None` in an empty log.
    fn end(&self) -> Result<Option<LogOffset>>;

    /// Waits until there are events after `offset`, at most `timeout_ms`. Whether there are.
    fn wait_beyond(&self, offset: Option<LogOffset>, timeout_ms: u64) -> Result<bool>;

    /// How far a named reader has come; saved with [`EventLog::commit`].
    fn checkpoint(&self, reader: &str) -> Result<Option<LogOffset>>;
    fn commit(&self, reader: &str, offset: LogOffset) -> Result<()>;

    /// Whether an event with this id is stored.
    fn contains(&self, id: EventId) -> Result<bool>;

    /// Events of these subjects after `after`, in log order, at most `limit`. Reads the whole log.
    fn of_subjects(
        &self,
        subjects: &[SubjectId],
        after: Option<LogOffset>,
        limit: usize,
    ) -> Result<Vec<(LogOffset, Event)>>;

    /// Removes the events at these offsets for good, in one step; the others keep theirs. Returns how many there were.
    fn remove(&self, offsets: &[LogOffset]) -> Result<u64>;

    /// Removes every event of these subjects for good (erasure). Returns how many. Broken off, it is simply repeated.
    fn erase(&self, subjects: &[SubjectId]) -> Result<u64>;

    /// See [`Records::scrub`].
    fn scrub(&self, scrub: Scrub) -> Result<()>;
}

// ---- OnlineStore ----

/// Small state per subject, read and written on every decision and event. Keys are a space (one a feature group) and
/// a subject or another 128-bit key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OnlineKey {
    pub space: u8,
    pub id: u128,
}

pub trait OnlineStore: Send + Sync {
    /// Calls `read` with the value, or with `None`; the borrowed bytes are valid only inside.
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()>;

    /// Changes a value atomically; a value left empty is removed. A read after this returned sees the change.
    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()>;

    fn remove(&self, key: OnlineKey) -> Result<()>;

    /// `TooLarge` where a value is larger than this store holds: [`Self::update`] would refuse it.
    fn check_size(&self, _value: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Number of keys and bytes held.
    fn size(&self) -> Result<(u64, u64)>;

    /// Calls `visit` with each key and value of a space, in no order.
    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()>;

    /// Saves the state together with the log offset up to which it holds every event.
    fn snapshot(&self, at: LogOffset) -> Result<()>;

    /// The offset of the state that was loaded at start: the log is replayed from here. `None`: start from nothing.
    fn restored_at(&self) -> Option<LogOffset>;

    /// Where several processes share a store: from now on this one writes, from the state of the last snapshot, whose
    /// offset it returns; who wrote before is told so by its next write. A store of one process is its own.
    fn lead(&self) -> Result<Option<LogOffset>> {
        Ok(self.restored_at())
    }

    /// `Conflict` once this process knows that its writes don't count any more, though it has nothing to write: another took
    /// the lead, or the store lost its memory.
    fn still_leads(&self) -> Result<()> {
        Ok(())
    }
}

// ---- Lake ----

/// Tables by day, for training and for any engine that reads Parquet.
pub trait Lake: Send + Sync {
    /// Adds rows to a table's day as a new immutable file. The same `part` written again replaces it, so that a crashed
    /// writer repeats itself without doubling rows.
    fn write(&self, table: &str, day: i32, part: &str, rows: &arrow::record_batch::RecordBatch) -> Result<()>;

    /// Days of a table that have rows, ascending.
    fn days(&self, table: &str) -> Result<Vec<i32>>;

    /// Calls `visit` with batches of a day, parts in name order.
    fn scan(
        &self,
        table: &str,
        day: i32,
        visit: &mut dyn FnMut(arrow::record_batch::RecordBatch) -> Result<()>,
    ) -> Result<()>;

    /// Merges the parts of a day into one; readers see either the old parts or the new one.
    fn compact(&self, table: &str, day: i32) -> Result<()>;

    /// Rewrites a table without the rows for which `keep` says no. Returns the rows removed.
    fn rewrite(&self, table: &str, keep: &dyn Fn(&arrow::record_batch::RecordBatch) -> Vec<bool>) -> Result<u64>;
}

// ---- Artifacts ----

/// BLAKE3 of an artifact's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactHash(pub [u8; 32]);

/// Immutable bytes under their hash: models, indexes.
pub trait Artifacts: Send + Sync {
    /// Durable when it returns; storing the same bytes twice is one artifact.
    fn put(&self, bytes: &[u8]) -> Result<ArtifactHash>;
    /// Verifies the hash; `Damaged` where it differs, `Unavailable` where there is none.
    fn get(&self, hash: ArtifactHash) -> Result<Arc<[u8]>>;
    fn contains(&self, hash: ArtifactHash) -> Result<bool>;
    fn remove(&self, hash: ArtifactHash) -> Result<()>;
    fn list(&self) -> Result<Vec<ArtifactHash>>;
}

impl std::fmt::Display for ArtifactHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ArtifactHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArtifactHash({self})")
    }
}

impl std::str::FromStr for ArtifactHash {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|error| StoreError::Unavailable { what: "artifact hash", detail: error.to_string() })
    }
}
