//! What is kept of a decision: everything needed to explain it, to join its outcomes, and to decide it again.

use std::sync::Arc;
use std::thread::JoinHandle;

use compact_str::CompactString;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use merx_domain::experiment::Assignment;
use merx_domain::{
    Decision, DecisionId, FallbackLevel, ModelVersion, Purposes, Situation, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_store::{Format, Migration, OnErasure, Records, StoreError, SubjectColumn, Transaction, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audit::{Act, AuditLog, DECIDED, Governed, SERVED_INSTEAD};
use crate::automations::Taken;
use crate::shelf::{ShelfTrace, SlotRules};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-001-decisions",
    sql: "CREATE TABLE decisions (
            id BYTEA PRIMARY KEY,
            at_ms BIGINT NOT NULL,
            engine TEXT NOT NULL,
            subject BYTEA,
            body BYTEA NOT NULL
          );
          CREATE INDEX decisions_by_time ON decisions (at_ms)",
};

/// Where pseudonyms stand in this crate's tables.
pub const SUBJECT_COLUMNS: &[SubjectColumn] =
    &[SubjectColumn { table: "decisions", column: "subject", on_erasure: OnErasure::Delete }];

/// Leads every stored record. Old formats stay readable.
const FORMAT: u16 = 3;
pub(crate) const FORMATS: &[Format] = &[Format { name: "decision records", reads: (1, FORMAT), writes: FORMAT }];
/// Bytes that later fields of an engine's ask or answer take up at their defaults.
const MOST_ADDED: usize = 32;
/// What format 2 has behind the end of format 1, of a decision of that time: no experiments, not held out, the automation live,
/// nothing in shadow.
const ADDED_IN_2: [u8; 4] = [0, 0, 0, 0];
/// And format 3 behind the end of format 2: no campaign.
const ADDED_IN_3: [u8; 1] = [0];

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("no decision {0} is recorded")]
    Unknown(DecisionId),
    #[error("decision record: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which side of the holdouts a subject is on, and how likely that was; in a record, how likely it was that they met the engine, if they
/// did, and else that they didn't.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Arm {
    /// Models decide.
    Treated { propensity: f64 },
    /// No model is asked.
    Holdout { propensity: f64 },
}

impl Arm {
    /// Whether a holdout of this share holds a subject: the same one and salt always, or never. Requests without a subject are not measured.
    pub fn holds(salt: &str, holdout: f64, subject: Option<SubjectId>) -> bool {
        let Some(subject) = subject else { return false };
        let mut hasher = blake3::Hasher::new();
        hasher.update(salt.as_bytes()).update(&[0]).update(&subject.to_bytes());
        let mut draw = [0; 8];
        hasher.finalize_xof().fill(&mut draw);
        // 53 bits: every value is a float in [0, 1).
        let draw = (u64::from_be_bytes(draw) >> 11) as f64 / (1_u64 << 53) as f64;
        draw < holdout
    }

    pub(crate) fn with_propensity(self, propensity: f64) -> Self {
        match self {
            Self::Treated { .. } => Self::Treated { propensity },
            Self::Holdout { .. } => Self::Holdout { propensity },
        }
    }

    pub fn levels(self) -> &'static [FallbackLevel] {
        match self {
            Self::Treated { .. } => &FallbackLevel::CHAIN,
            Self::Holdout { .. } => &FallbackLevel::CHAIN[2..],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    pub id: DecisionId,
    pub engine: String,
    pub situation: Situation,
    /// The ask and the answer in the engine's own types.
    ask: Vec<u8>,
    answer: Vec<u8>,
    pub rules: Vec<SlotRules>,
    /// The feature values that the engine was handed.
    pub features: SubjectFeatures,
    pub granted: Purposes,
    pub arm: Arm,
    pub model: Option<ModelVersion>,
    pub fallback: FallbackLevel,
    /// What the shelf answered, in order.
    pub trace: ShelfTrace,
    pub trouble: Vec<String>,
    pub latency_us: u32,
    // ---- since format 2 ----
    /// Arms of the experiments that were met; `ask` and `rules` are what they made of the request.
    pub experiments: Vec<Assignment>,
    /// In the holdout that nothing automatic touches.
    pub held_out: bool,
    /// What the automation was allowed.
    pub taken: Taken,
    /// What would have been shown where it was only watched.
    pub shadow: Option<Shadow>,
    // ---- since format 3 ----
    /// The campaign that the page belonged to.
    pub campaign: Option<CompactString>,
}

/// A proposal that was not shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// In the engine's own type.
    answer: Vec<u8>,
    pub model: Option<ModelVersion>,
}

impl Shadow {
    pub fn of<Answer: Serialize>(answer: &Answer, model: Option<ModelVersion>) -> Self {
        Self { answer: postcard::to_stdvec(answer).unwrap_or_default(), model }
    }

    pub fn answer<Answer: DeserializeOwned>(&self) -> Result<Answer, RecordError> {
        read_grown(&self.answer)
    }
}

impl DecisionRecord {
    pub fn of<Ask: Serialize, Answer: Serialize>(
        decision: &Decision<Answer>,
        situation: Situation,
        ask: &Ask,
        rules: &[SlotRules],
        features: SubjectFeatures,
        arm: Arm,
        trace: ShelfTrace,
    ) -> Self {
        // Plain data types always have an encoding; an empty one would show at the first replay.
        let encode = |bytes: postcard::Result<Vec<u8>>| bytes.unwrap_or_default();
        Self {
            id: decision.id,
            engine: decision.engine.to_owned(),
            situation,
            ask: encode(postcard::to_stdvec(ask)),
            answer: encode(postcard::to_stdvec(&decision.answer)),
            rules: rules.to_vec(),
            features,
            granted: decision.granted,
            arm,
            model: decision.model,
            fallback: decision.fallback,
            trace,
            trouble: decision.trouble.clone(),
            latency_us: decision.latency_us,
            experiments: decision.experiments.clone(),
            held_out: decision.held_out,
            taken: Taken::Live,
            shadow: None,
            campaign: None,
        }
    }

    pub fn ask<Ask: DeserializeOwned>(&self) -> Result<Ask, RecordError> {
        read_grown(&self.ask)
    }

    pub fn answer<Answer: DeserializeOwned>(&self) -> Result<Answer, RecordError> {
        read_grown(&self.answer)
    }

    /// Another answer than this one was given.
    pub(crate) fn served_instead<Answer: Serialize>(&mut self, decision: &Decision<Answer>, trace: ShelfTrace) {
        self.answer = postcard::to_stdvec(&decision.answer).unwrap_or_default();
        (self.fallback, self.model, self.trace) = (decision.fallback, decision.model, trace);
        self.trouble.clone_from(&decision.trouble);
    }

    /// Stands for what was served and why; what was only watched is written in later and isn't part of it.
    pub fn hash(&self) -> blake3::Hash {
        match self.shadow {
            None => blake3::hash(&self.to_bytes()),
            Some(_) => blake3::hash(&Self { shadow: None, ..self.clone() }.to_bytes()),
        }
    }

    /// The same decision, asked otherwise.
    pub fn asking<Ask: Serialize>(&self, ask: &Ask) -> Self {
        Self { ask: postcard::to_stdvec(ask).unwrap_or_default(), ..self.clone() }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_be_bytes().to_vec();
        bytes.extend(postcard::to_stdvec(self).unwrap_or_default());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let Some((format, body)) = bytes.split_first_chunk::<2>() else {
            return Err(RecordError::Unreadable("empty".into()));
        };
        let read = |body: &[u8]| postcard::from_bytes(body).map_err(|error| RecordError::Unreadable(error.to_string()));
        match u16::from_be_bytes(*format) {
            1 => read(&[body, &ADDED_IN_2, &ADDED_IN_3].concat()),
            2 => read(&[body, &ADDED_IN_3].concat()),
            FORMAT => read(body),
            other => Err(RecordError::Unreadable(format!("unknown format {other}"))),
        }
    }
}

/// An ask or an answer as it was written, or as it was before fields were added at its end whose defaults are written as zeros.
fn read_grown<Grown: DeserializeOwned>(bytes: &[u8]) -> Result<Grown, RecordError> {
    let read = match postcard::from_bytes(bytes) {
        Err(postcard::Error::DeserializeUnexpectedEnd) => postcard::from_bytes(&[bytes, &[0; MOST_ADDED]].concat()),
        read => read,
    };
    read.map_err(|error| RecordError::Unreadable(error.to_string()))
}

/// Some records in a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordPage {
    /// Without those that nobody can read.
    pub records: Vec<DecisionRecord>,
    /// Where the next page begins; `None` in an empty one.
    pub last: Option<DecisionId>,
}

fn readable(body: Option<&Value>) -> Option<DecisionRecord> {
    let Some(Value::Bytes(body)) = body else { return None };
    let read = DecisionRecord::from_bytes(body);
    read.inspect_err(|error| tracing::warn!(%error, "a decision record is left out")).ok()
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecorderSettings {
    /// Records that wait for the disk; beyond them a decision waits, then goes unrecorded and is counted.
    pub queue: usize,
    /// How many go into one transaction.
    pub batch: usize,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self { queue: 20_000, batch: 1_000 }
    }
}

/// Records wait so long for others, so that a transaction is worth its cost to the disk.
const GATHERING: std::time::Duration = std::time::Duration::from_millis(20);

/// A decision waits so long for room in the queue; beyond it goes unrecorded and is counted. Short, because the shopper waits too,
/// on a thread that answers others: a disk that stands still must not stop the answers.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_millis(5);

/// How many of the newest records a search looks at: there is no index by person or engine.
const LOOKED_AT: usize = 50_000;

/// Which records are looked for; `None` is any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub limit: usize,
    pub engine: Option<String>,
    pub subject: Option<SubjectId>,
    /// Older than this decision.
    pub before: Option<DecisionId>,
}

/// The time that a decision's id begins with.
fn created_at_ms(id: DecisionId) -> i64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&id.to_bytes()[..6]);
    i64::from_be_bytes(bytes)
}

enum Message {
    Record(Box<DecisionRecord>),
    /// The record of a decision says more now; one that is gone stays gone.
    Amend(Box<DecisionRecord>),
    /// What was served at high stakes, in place of what may or may not be on record.
    Instead(Box<DecisionRecord>),
    /// Answers when everything sent before is on disk.
    Flush(Sender<()>),
}

/// Writes records behind the decisions' back, in batches.
pub struct Recorder {
    records: Arc<dyn Records>,
    queue: Option<Sender<Message>>,
    /// Ends the gathering: somebody waits.
    hurry: Option<Sender<()>>,
    writer: Option<JoinHandle<()>>,
    unrecorded: std::sync::atomic::AtomicU64,
    queued_peak: std::sync::atomic::AtomicUsize,
}

impl Recorder {
    pub fn new(records: Arc<dyn Records>, settings: RecorderSettings) -> Self {
        let (sender, receiver) = bounded(settings.queue.max(1));
        let (hurry, hurried) = bounded(1);
        let writing = Arc::clone(&records);
        let batch = settings.batch.max(1);
        let writer = std::thread::Builder::new()
            .name("decision-recorder".into())
            .spawn(move || write_batches(writing.as_ref(), &receiver, &hurried, batch))
            .ok();
        Self {
            records,
            queue: Some(sender),
            hurry: Some(hurry),
            writer,
            unrecorded: Default::default(),
            queued_peak: Default::default(),
        }
    }

    /// Hands a record over. A low-stakes decision doesn't wait for the disk, and for room in the queue only a moment; what finds none is
    /// counted, not hidden.
    pub fn record(&self, record: DecisionRecord) {
        use std::sync::atomic::Ordering::Relaxed;
        let Some(queue) = &self.queue else { return };
        self.queued_peak.fetch_max(queue.len(), Relaxed);
        match queue.try_send(Message::Record(Box::new(record))) {
            Ok(()) => {}
            // A moment's wait costs a decision less than its record is worth.
            Err(TrySendError::Full(message)) => {
                if queue.send_timeout(message, LONGEST_WAIT).is_err() {
                    self.unrecorded.fetch_add(1, Relaxed);
                }
            }
            Err(TrySendError::Disconnected(_)) => {
                self.unrecorded.fetch_add(1, Relaxed);
            }
        }
    }

    /// Returns when the record is on disk, with its hash in the audit log: both are, or neither is. After an `Err` nobody knows whether they
    /// are; what is served then is recorded over it.
    pub(crate) fn record_first(&self, record: &DecisionRecord) -> Result<(), StoreError> {
        let row = row(record);
        record_with_entry(self.records.as_ref(), DECIDED, record, &mut |transaction| {
            if transaction.execute(INSERT, &row)? == 0 {
                let detail = format!("decision {} is on record already", record.id);
                return Err(StoreError::Conflict { what: "decisions", detail });
            }
            Ok(())
        })
    }

    /// Of a decision that may or may not be on record with another answer. Doesn't wait for the disk.
    pub(crate) fn record_over(&self, record: &DecisionRecord) {
        if let Some(queue) = &self.queue
            && queue.send_timeout(Message::Instead(Box::new(record.clone())), LONGEST_WAIT).is_err()
        {
            self.unrecorded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Writes down what became known of a decision after it was recorded.
    pub(crate) fn amend(&self, record: DecisionRecord) {
        if let Some(queue) = &self.queue {
            let _ = queue.send_timeout(Message::Amend(Box::new(record)), LONGEST_WAIT);
        }
    }

    /// Decisions that were served without a record since start.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    /// Returns when everything recorded before is on disk.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            // Full: the writer is told already.
            let _ = self.hurry.as_ref().map(|hurry| hurry.try_send(()));
            let _ = wait.recv();
        }
    }

    pub fn get(&self, id: DecisionId) -> Result<DecisionRecord, RecordError> {
        self.flush();
        let rows =
            self.records.query("SELECT body FROM decisions WHERE id = $1", &[Value::Bytes(id.to_bytes().to_vec())])?;
        match rows.first().and_then(|row| row.0.first()) {
            Some(Value::Bytes(body)) => DecisionRecord::from_bytes(body),
            _ => Err(RecordError::Unknown(id)),
        }
    }

    /// The newest decisions of a kind, newest first; never looks at more than the newest [`LOOKED_AT`].
    pub fn find(&self, wanted: &Wanted) -> Result<Vec<DecisionRecord>, RecordError> {
        self.flush();
        let sql = "SELECT body FROM
                     (SELECT id, at_ms, engine, subject, body FROM decisions
                      WHERE at_ms < $1 OR (at_ms = $1 AND id < $2)
                      ORDER BY at_ms DESC, id DESC LIMIT $3) AS newest
                   WHERE (engine = $4 OR $4 IS NULL) AND (subject = $5 OR $5 IS NULL)
                   ORDER BY at_ms DESC, id DESC LIMIT $6";
        let (at_ms, id) =
            wanted.before.map_or((i64::MAX, Vec::new()), |id| (created_at_ms(id), id.to_bytes().to_vec()));
        let looked_at = if wanted.engine.is_none() && wanted.subject.is_none() { wanted.limit } else { LOOKED_AT };
        let subject = wanted.subject.map(|subject| Value::Bytes(subject.to_bytes().to_vec()));
        let rows = self.records.query(
            sql,
            &[
                Value::Integer(at_ms),
                Value::Bytes(id),
                Value::Integer(looked_at as i64),
                wanted.engine.clone().map_or(Value::Null, Value::Text),
                subject.unwrap_or(Value::Null),
                Value::Integer(wanted.limit as i64),
            ],
        )?;
        rows.iter()
            .filter_map(|row| match row.0.first() {
                Some(Value::Bytes(body)) => Some(DecisionRecord::from_bytes(body)),
                _ => None,
            })
            .collect()
    }

    /// Decisions made since, newest first.
    pub fn since(&self, since: TimestampMs, limit: usize) -> Result<Vec<DecisionRecord>, RecordError> {
        self.flush();
        let sql = "SELECT body FROM decisions WHERE at_ms >= $1 ORDER BY at_ms DESC LIMIT $2";
        let rows = self.records.query(sql, &[Value::Integer(since.0), Value::Integer(limit as i64)])?;
        rows.iter()
            .filter_map(|row| match row.0.first() {
                Some(Value::Bytes(body)) => Some(DecisionRecord::from_bytes(body)),
                _ => None,
            })
            .collect()
    }

    /// The newest decisions about a person under any of these pseudonyms, newest first.
    pub fn of_subjects(&self, subjects: &[SubjectId], limit: usize) -> Result<Vec<DecisionRecord>, RecordError> {
        self.flush();
        let places: Vec<String> = (2..subjects.len() + 2).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT body FROM decisions WHERE subject IN ({}) ORDER BY at_ms DESC, id DESC LIMIT $1",
            places.join(", ")
        );
        let subjects = subjects.iter().map(|subject| Value::Bytes(subject.to_bytes().to_vec()));
        let values: Vec<Value> = std::iter::once(Value::Integer(limit as i64)).chain(subjects).collect();
        let rows = self.records.query(&sql, &values)?;
        rows.iter()
            .filter_map(|row| match row.0.first() {
                Some(Value::Bytes(body)) => Some(DecisionRecord::from_bytes(body)),
                _ => None,
            })
            .collect()
    }

    /// Of an engine, in the order of ids (which begin with their time): after one and before another.
    pub fn page(
        &self,
        engine: &str,
        after: Option<DecisionId>,
        before: DecisionId,
        limit: usize,
    ) -> Result<RecordPage, RecordError> {
        self.flush();
        let sql = "SELECT id, body FROM decisions WHERE id > $1 AND id < $2 AND engine = $3 ORDER BY id LIMIT $4";
        let bytes = |id: DecisionId| Value::Bytes(id.to_bytes().to_vec());
        let after = after.unwrap_or(DecisionId::from_bytes([0; 16]));
        let rows = self
            .records
            .query(sql, &[bytes(after), bytes(before), Value::Text(engine.to_owned()), Value::Integer(limit as i64)])?;
        let last = rows.last().and_then(|row| match row.0.first() {
            Some(Value::Bytes(id)) => id.as_slice().try_into().ok().map(DecisionId::from_bytes),
            _ => None,
        });
        Ok(RecordPage { records: rows.iter().filter_map(|row| readable(row.0.get(1))).collect(), last })
    }

    /// Those of some decisions that are on record.
    pub fn several(&self, ids: &[DecisionId]) -> Result<Vec<DecisionRecord>, RecordError> {
        const AT_ONCE: usize = 200;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.flush();
        let mut found = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            let sql = format!("SELECT body FROM decisions WHERE id IN ({})", places.join(", "));
            let ids: Vec<Value> = ids.iter().map(|id| Value::Bytes(id.to_bytes().to_vec())).collect();
            found.extend(self.records.query(&sql, &ids)?.iter().filter_map(|row| readable(row.0.first())));
        }
        Ok(found)
    }

    /// The engines that made some decisions, of those that are on record.
    pub fn engines(&self, ids: &[DecisionId]) -> Result<Vec<(DecisionId, String)>, RecordError> {
        const AT_ONCE: usize = 200;
        let mut found = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            let sql = format!("SELECT id, engine FROM decisions WHERE id IN ({})", places.join(", "));
            let ids: Vec<Value> = ids.iter().map(|id| Value::Bytes(id.to_bytes().to_vec())).collect();
            found.extend(self.records.query(&sql, &ids)?.into_iter().filter_map(|row| match row.0.as_slice() {
                [Value::Bytes(id), Value::Text(engine)] => {
                    Some((DecisionId::from_bytes(id.as_slice().try_into().ok()?), engine.clone()))
                }
                _ => None,
            }));
        }
        Ok(found)
    }

    /// How many decisions each engine made from one moment (in) to another (out).
    pub fn counts(&self, from: TimestampMs, until: TimestampMs) -> Result<Vec<(String, u64)>, RecordError> {
        let sql = "SELECT engine, COUNT(*) FROM decisions WHERE at_ms >= $1 AND at_ms < $2 GROUP BY engine";
        let rows = self.records.query(sql, &[Value::Integer(from.0), Value::Integer(until.0)])?;
        let read = |row: &merx_store::Row| match row.0.as_slice() {
            [Value::Text(engine), Value::Integer(count)] => Some((engine.clone(), *count as u64)),
            _ => None,
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// When the oldest decision on record was made.
    pub fn oldest(&self) -> Result<Option<TimestampMs>, RecordError> {
        let rows = self.records.query("SELECT at_ms FROM decisions ORDER BY at_ms LIMIT 1", &[])?;
        Ok(match rows.first().and_then(|row| row.0.first()) {
            Some(Value::Integer(at_ms)) => Some(TimestampMs(*at_ms)),
            _ => None,
        })
    }

    /// Drops records older than `before`, at most `limit` a call. Returns how many went.
    pub fn forget_before(&self, before: TimestampMs, limit: usize) -> Result<u64, RecordError> {
        let mut removed = 0;
        self.records.transaction(&mut |transaction| {
            removed = transaction.execute(
                "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
                &[Value::Integer(before.0), Value::Integer(limit as i64)],
            )?;
            Ok(())
        })?;
        Ok(removed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Closing the queue lets the writer finish what is in it.
        self.queue.take();
        self.hurry.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write_batches(records: &dyn Records, queue: &Receiver<Message>, hurried: &Receiver<()>, batch: usize) {
    while let Ok(first) = queue.recv() {
        // Asleep and not at the queue, so that no decision has to wake this thread.
        if matches!(first, Message::Record(_)) && queue.len() < batch {
            let _ = hurried.recv_timeout(GATHERING);
        }
        let (mut waiting, mut rows) = (Vec::new(), Vec::new());
        for message in std::iter::once(first).chain(queue.try_iter().take(batch - 1)) {
            match message {
                Message::Record(record) => rows.push((INSERT, row(&record))),
                Message::Amend(record) => rows.push((AMEND, row(&record))),
                Message::Instead(record) => {
                    write(records, &std::mem::take(&mut rows));
                    write_instead(records, &record);
                }
                Message::Flush(done) => waiting.push(done),
            }
        }
        write(records, &rows);
        for done in waiting {
            let _ = done.send(());
        }
    }
}

/// Whatever stands there: the answer of its writing was lost, or it was never written.
fn write_instead(records: &dyn Records, record: &DecisionRecord) {
    let row = row(record);
    let written = record_with_entry(records, SERVED_INSTEAD, record, &mut |transaction| {
        transaction.execute(INSERT, &row)?;
        transaction.execute(AMEND, &row).map(drop)
    });
    if let Err(error) = written {
        tracing::error!(%error, decision = %record.id, "what was served instead could not be recorded");
    }
}

/// A record and its hash in the audit log, or neither.
fn record_with_entry(
    records: &dyn Records,
    action: &'static str,
    record: &DecisionRecord,
    write: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let target = record.id.to_string();
    let hash = record.hash().to_string();
    let entry = Governed {
        action,
        target: &target,
        detail: serde_json::json!({ "engine": record.engine, "record_hash": hash }),
    };
    AuditLog::govern(records, Act::of_merx(record.situation.now), &entry, &mut |transaction| {
        write(transaction).map(|()| true)
    })?;
    Ok(())
}

fn row(record: &DecisionRecord) -> [Value; 5] {
    let subject = record.situation.subject.map_or(Value::Null, |subject| Value::Bytes(subject.to_bytes().to_vec()));
    [
        Value::Bytes(record.id.to_bytes().to_vec()),
        Value::Integer(record.situation.now.0),
        Value::Text(record.engine.clone()),
        subject,
        Value::Bytes(record.to_bytes()),
    ]
}

const INSERT: &str = "INSERT INTO decisions (id, at_ms, engine, subject, body) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO NOTHING";
/// All parameters are named, so that both take the same row.
const AMEND: &str = "UPDATE decisions SET body = $5 WHERE id = $1 AND at_ms = $2 AND engine = $3
     AND (subject = $4 OR ($4 IS NULL AND subject IS NULL))";

fn write(records: &dyn Records, rows: &[(&str, [Value; 5])]) {
    if rows.is_empty() {
        return;
    }
    let written = records
        .transaction(&mut |transaction| rows.iter().try_for_each(|(sql, row)| transaction.execute(sql, row).map(drop)));
    if let Err(error) = written {
        tracing::error!(%error, decisions = rows.len(), "decisions could not be recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holdout_is_as_large_as_it_says_and_sticky() {
        let held = |subject| Arm::holds("salt", 0.1, Some(SubjectId(subject)));
        let count = (0..20_000).filter(|subject| held(*subject)).count();
        assert!((1_800..2_200).contains(&count), "{count}");
        assert!((0..100).all(|subject| held(subject) == held(subject)));
        let other = |subject| Arm::holds("other", 0.1, Some(SubjectId(subject)));
        assert!((0..20_000).any(|subject| held(subject) != other(subject)));
    }

    #[test]
    fn an_ask_is_read_from_before_it_grew() {
        #[derive(Debug, PartialEq, Default, Serialize, serde::Deserialize)]
        struct Grown {
            text: String,
            count: u32,
            added: Vec<(u8, f32)>,
            also: Option<u64>,
            switch: bool,
        }
        let before = postcard::to_stdvec(&("shoe", 20u32)).unwrap_or_default();
        let expected = Grown { text: "shoe".to_owned(), count: 20, ..Grown::default() };
        assert_eq!(read_grown::<Grown>(&before).ok(), Some(expected));
        let now = Grown { added: vec![(1, 0.5)], also: Some(7), switch: true, ..Grown::default() };
        assert_eq!(read_grown(&postcard::to_stdvec(&now).unwrap_or_default()).ok(), Some(now));
        assert!(read_grown::<Grown>(&[100, b'a']).is_err(), "a text that ends before its end");
        // Answers of searches grow with the state of the index at their end.
        let answer = merx_domain::search::SearchAnswer::default();
        let bytes = postcard::to_stdvec(&answer).unwrap_or_default();
        assert_eq!(read_grown(&bytes[..bytes.len() - 1]).ok(), Some(answer));
    }
}
