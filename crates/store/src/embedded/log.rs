//! `EventLog` on SQLite: one writer thread that commits whatever is waiting together.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use merx_domain::{Event, EventId, SubjectId};
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OptionalExtension};

use super::sqlite::{explain, open_reader, open_writer};
use crate::codec::{decode_event, encode_event};
use crate::{Appended, EventLog, LogOffset, Result, StoreError};

const WHAT: &str = "event log";
/// Events of one commit: a longer transaction gains nothing and keeps senders waiting.
const COMMIT_EVENTS: usize = 20_000;

/// `subject` has no index: only erasure asks by it, and erasure may read the whole log.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE,
        subject BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS checkpoints (reader TEXT PRIMARY KEY, place INTEGER NOT NULL);
";

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogSettings {
    /// Events that may wait for the disk; beyond them `append` answers `Busy`.
    pub queued_events: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { queued_events: 100_000 }
    }
}

/// One event, encoded by the caller's thread so that the writer only writes.
struct Encoded {
    id: [u8; 16],
    subject: [u8; 16],
    body: Vec<u8>,
}

/// A batch and where its outcome goes.
type Append = (Vec<Encoded>, Sender<Result<Vec<Appended>>>);

enum Request {
    Append(Append),
    Commit(String, LogOffset, Sender<Result<()>>),
    Erase(SubjectId, Sender<Result<u64>>),
}

/// Wakes readers that wait for new events.
#[derive(Default)]
struct Bell {
    end: Mutex<Option<LogOffset>>,
    rung: Condvar,
}

pub struct SqliteEventLog {
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    queued: Arc<AtomicUsize>,
    settings: LogSettings,
    reader: Mutex<Connection>,
    bell: Arc<Bell>,
}

impl SqliteEventLog {
    /// Opens or makes the file. What a crash left in the write-ahead log is recovered; the newest events are read once,
    /// so that a damaged end is found now and not by a reader later.
    pub fn open(path: &Path, settings: LogSettings) -> Result<Self> {
        let connection = open_writer(path, WHAT)?;
        connection.execute_batch(SCHEMA).map_err(|error| explain(WHAT, &error))?;
        let end = last_place(&connection)?;
        let reader = open_reader(path, WHAT)?;
        let bell = Arc::new(Bell { end: Mutex::new(end), rung: Condvar::new() });
        let queued = Arc::new(AtomicUsize::new(0));
        // The bound is counted in events (`queued`), not in requests.
        let (sender, receiver) = unbounded();
        let writing = Writer { connection, queued: Arc::clone(&queued), bell: Arc::clone(&bell) };
        let writer = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || writing.run(&receiver))
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        let log =
            Self { requests: Some(sender), writer: Some(writer), queued, settings, reader: Mutex::new(reader), bell };
        log.check_tail()?;
        Ok(log)
    }

    fn check_tail(&self) -> Result<()> {
        let Some(end) = self.end()? else { return Ok(()) };
        self.read(Some(LogOffset(end.0.saturating_sub(1_000))), 1_000).map(drop)
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<Result<T>>) -> Request) -> Result<T> {
        let gone = || StoreError::Unavailable { what: WHAT, detail: "the writer has stopped".into() };
        let (reply, answer) = bounded(1);
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(request(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Events that wait for the disk.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

impl EventLog for SqliteEventLog {
    fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let count = events.len();
        let before = self.queued.fetch_add(count, Ordering::Relaxed);
        // A single append larger than the bound may pass when nothing else waits.
        if before > 0 && before + count > self.settings.queued_events {
            self.queued.fetch_sub(count, Ordering::Relaxed);
            return Err(StoreError::Busy { what: WHAT, retry_after_ms: 1_000 });
        }
        let encoded = events.iter().map(encode).collect::<Result<Vec<_>>>();
        let result = encoded.and_then(|encoded| self.ask(|reply| Request::Append((encoded, reply))));
        self.queued.fetch_sub(count, Ordering::Relaxed);
        result
    }

    fn read(&self, after: Option<LogOffset>, limit: usize) -> Result<Vec<(LogOffset, Event)>> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let reader = self.reader.lock();
        let mut statement = reader
            .prepare_cached("SELECT place, body FROM events WHERE place > $1 ORDER BY place LIMIT $2")
            .map_err(fail)?;
        let after = after.map_or(-1, |offset| offset.0 as i64);
        let mut rows = statement.query([after, limit as i64]).map_err(fail)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            let place: i64 = row.get(0).map_err(fail)?;
            let body = row.get_ref(1).map_err(fail)?;
            let event = body.as_blob().map_err(|error| fail(error.into())).and_then(decode_event);
            let event =
                event.map_err(|error| StoreError::Damaged { what: WHAT, detail: format!("place {place}: {error}") })?;
            events.push((LogOffset(place as u64), event));
        }
        Ok(events)
    }

    fn end(&self) -> Result<Option<LogOffset>> {
        Ok(*self.bell.end.lock())
    }

    fn wait_beyond(&self, offset: Option<LogOffset>, timeout_ms: u64) -> Result<bool> {
        let mut end = self.bell.end.lock();
        if *end <= offset {
            self.bell.rung.wait_for(&mut end, Duration::from_millis(timeout_ms));
        }
        Ok(*end > offset)
    }

    fn checkpoint(&self, reader: &str) -> Result<Option<LogOffset>> {
        let connection = self.reader.lock();
        let place = connection
            .prepare_cached("SELECT place FROM checkpoints WHERE reader = $1")
            .and_then(|mut statement| statement.query_row([reader], |row| row.get::<_, i64>(0)).optional())
            .map_err(|error| explain(WHAT, &error))?;
        Ok(place.map(|place| LogOffset(place as u64)))
    }

    fn commit(&self, reader: &str, offset: LogOffset) -> Result<()> {
        self.ask(|reply| Request::Commit(reader.to_owned(), offset, reply))
    }

    fn contains(&self, id: EventId) -> Result<bool> {
        let connection = self.reader.lock();
        connection
            .prepare_cached("SELECT 1 FROM events WHERE id = $1")
            .and_then(|mut statement| statement.exists([&id.to_bytes()[..]]))
            .map_err(|error| explain(WHAT, &error))
    }

    fn erase(&self, subject: SubjectId) -> Result<u64> {
        self.ask(|reply| Request::Erase(subject, reply))
    }
}

impl Drop for SqliteEventLog {
    fn drop(&mut self) {
        self.requests.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    connection: Connection,
    queued: Arc<AtomicUsize>,
    bell: Arc<Bell>,
}

impl Writer {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut appends = Vec::new();
            let mut events = 0;
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    Request::Append(append) => {
                        events += append.0.len();
                        appends.push(append);
                    }
                    Request::Commit(reader, offset, reply) => {
                        let _ = reply.send(self.save_checkpoint(&reader, offset));
                    }
                    Request::Erase(subject, reply) => {
                        let _ = reply.send(self.erase(subject));
                    }
                }
                if events < COMMIT_EVENTS {
                    next = requests.try_recv().ok();
                }
            }
            if !appends.is_empty() {
                self.append(appends);
            }
        }
    }

    /// Commits all together; where that fails, each alone, so that one caller's trouble is not another's.
    fn append(&mut self, appends: Vec<Append>) {
        let batches: Vec<&[Encoded]> = appends.iter().map(|(batch, _)| batch.as_slice()).collect();
        match self.write(&batches) {
            Ok(outcomes) => {
                for ((_, reply), outcome) in appends.iter().zip(outcomes) {
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(error) if appends.len() == 1 => {
                let _ = appends[0].1.send(Err(error));
            }
            Err(_) => {
                for (batch, reply) in &appends {
                    let outcome = self.write(&[batch]).map(|mut outcomes| outcomes.pop().unwrap_or_default());
                    let _ = reply.send(outcome);
                }
            }
        }
        tracing::trace!(queued = self.queued.load(Ordering::Relaxed), "events committed");
    }

    fn write(&mut self, batches: &[&[Encoded]]) -> Result<Vec<Vec<Appended>>> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let transaction = self.connection.transaction().map_err(fail)?;
        let mut outcomes = Vec::with_capacity(batches.len());
        {
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO events (id, subject, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
                )
                .map_err(fail)?;
            for batch in batches {
                let mut outcome = Vec::with_capacity(batch.len());
                for event in *batch {
                    let changed = insert.execute((&event.id[..], &event.subject[..], &event.body[..])).map_err(fail)?;
                    outcome.push(if changed == 1 { Appended::Stored } else { Appended::Duplicate });
                }
                outcomes.push(outcome);
            }
        }
        transaction.commit().map_err(fail)?;
        let end = last_place(&self.connection)?;
        *self.bell.end.lock() = end;
        self.bell.rung.notify_all();
        Ok(outcomes)
    }

    fn save_checkpoint(&self, reader: &str, offset: LogOffset) -> Result<()> {
        let sql = "INSERT INTO checkpoints (reader, place) VALUES ($1, $2)
                   ON CONFLICT (reader) DO UPDATE SET place = excluded.place";
        self.connection.execute(sql, (reader, offset.0 as i64)).map(drop).map_err(|error| explain(WHAT, &error))
    }

    fn erase(&self, subject: SubjectId) -> Result<u64> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        // Freed pages are overwritten with zeros, and the write-ahead log is emptied: erased means gone.
        self.connection.execute_batch("PRAGMA secure_delete = ON").map_err(fail)?;
        let removed = self
            .connection
            .execute("DELETE FROM events WHERE subject = $1", [&subject.to_bytes()[..]])
            .map_err(fail)?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(fail)?;
        Ok(removed as u64)
    }
}

fn encode(event: &Event) -> Result<Encoded> {
    Ok(Encoded { id: event.id.to_bytes(), subject: event.subject.to_bytes(), body: encode_event(event)? })
}

fn last_place(connection: &Connection) -> Result<Option<LogOffset>> {
    let place: Option<i64> = connection
        .query_row("SELECT MAX(place) FROM events", [], |row| row.get(0))
        .map_err(|error| explain(WHAT, &error))?;
    Ok(place.map(|place| LogOffset(place as u64)))
}
