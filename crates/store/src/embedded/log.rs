//! `EventLog` on SQLite: one writer thread that commits whatever is waiting together.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use merx_domain::{Event, EventId, SubjectId};
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OptionalExtension, Row};

use super::ids::{Arrived, IdIndex};
use super::sqlite::{Readers, explain, open_writer, scrub};
use crate::codec::{decode_event, encode_event};
use crate::{Appended, EventLog, LogOffset, Result, Scrub, StoreError};

const WHAT: &str = "event log";
/// Events of one commit: a longer transaction gains nothing and keeps senders waiting.
const COMMIT_EVENTS: usize = 20_000;
/// Events removed in one transaction.
const REMOVE_EVENTS: usize = 10_000;

/// `events` has no index: ids are found through `ids` (see `ids.rs`), and by subject only erasure asks, which may read
/// the whole log. `ends` repeats the last place (and the furthest ever given, which erasure does not take back): where
/// the table ends earlier, its tail is lost.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        place INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        subject BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS checkpoints (reader TEXT PRIMARY KEY, place INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS ends (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER, furthest INTEGER);
";
const INSERT: &str = "INSERT INTO events (place, id, subject, body) VALUES ($1, $2, $3, $4)";
/// Events at the end that are read when the log is opened.
const TAIL_EVENTS: usize = 1_000;

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
    Restore(Vec<(i64, Encoded)>, Sender<Result<()>>),
    Remove(Vec<LogOffset>, Sender<Result<u64>>),
    Scrub(Scrub, Sender<Result<()>>),
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
    readers: Readers,
    ids: Arc<IdIndex>,
    bell: Arc<Bell>,
}

impl SqliteEventLog {
    /// Opens or makes the file. What a crash left in the write-ahead log is recovered; the newest events are read once,
    /// so that a damaged end is found now and not by a reader later. Damage further back is found when it is read: an
    /// event's bytes have a checksum, its columns repeat what is inside.
    pub fn open(path: &Path, settings: LogSettings) -> Result<Self> {
        let connection = open_writer(path, WHAT)?;
        connection.execute_batch(SCHEMA).map_err(|error| explain(WHAT, &error))?;
        let ids = Arc::new(IdIndex::open(&connection)?);
        let end = last_place(&connection)?;
        let furthest = ends(&connection)?.1.max(end);
        let bell = Arc::new(Bell { end: Mutex::new(end), rung: Condvar::new() });
        let queued = Arc::new(AtomicUsize::new(0));
        // The bound is counted in events (`queued`), not in requests.
        let (sender, receiver) = unbounded();
        let writing = Writer {
            connection,
            furthest: furthest.map_or(0, |place| place.0 as i64),
            ids: Arc::clone(&ids),
            queued: Arc::clone(&queued),
            bell: Arc::clone(&bell),
        };
        let writer = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || writing.run(&receiver))
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        let readers = Readers::of(path, WHAT);
        let log = Self { requests: Some(sender), writer: Some(writer), queued, settings, readers, ids, bell };
        log.check_tail()?;
        Ok(log)
    }

    /// The newest events are whole, found by their ids, and end where the log has noted.
    fn check_tail(&self) -> Result<()> {
        let end = self.end()?;
        let (noted, _) = self.readers.with(ends)?;
        if noted != end {
            return Err(damaged(format!("it ends at {end:?} instead of {noted:?}: events at its end are lost")));
        }
        let Some(end) = end else { return Ok(()) };
        let tail = self.read(Some(LogOffset(end.0.saturating_sub(TAIL_EVENTS as u64))), TAIL_EVENTS)?;
        if tail.last().is_none_or(|(place, _)| *place != end) {
            return Err(damaged(format!("the event at {end:?} can't be read")));
        }
        for (place, event) in tail {
            if self.place_of(event.id)? != Some(place) {
                return Err(damaged(format!("the event at {place:?} is not found by its id")));
            }
        }
        Ok(())
    }

    /// The furthest offset ever given to an event, erased or not.
    pub fn furthest(&self) -> Result<Option<LogOffset>> {
        Ok(self.readers.with(ends)?.1)
    }

    fn place_of(&self, id: EventId) -> Result<Option<LogOffset>> {
        self.readers.with(|reader| self.ids.place_of(reader, &id.to_bytes()))
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

    fn restore(&self, events: Vec<(LogOffset, Event)>) -> Result<()> {
        let encoded = events.iter().map(|(place, event)| Ok((place.0 as i64, encode(event)?)));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        self.ask(|reply| Request::Restore(encoded, reply))
    }

    fn read(&self, after: Option<LogOffset>, limit: usize) -> Result<Vec<(LogOffset, Event)>> {
        self.readers.with(|reader| read(reader, after, limit))
    }

    fn end(&self) -> Result<Option<LogOffset>> {
        Ok(*self.bell.end.lock())
    }

    fn wait_beyond(&self, offset: Option<LogOffset>, timeout_ms: u64) -> Result<bool> {
        let mut end = self.bell.end.lock();
        self.bell.rung.wait_while_for(&mut end, |end| *end <= offset, Duration::from_millis(timeout_ms));
        Ok(*end > offset)
    }

    fn checkpoint(&self, name: &str) -> Result<Option<LogOffset>> {
        self.readers.with(|reader| {
            reader
                .prepare_cached("SELECT place FROM checkpoints WHERE reader = $1")
                .and_then(|mut statement| statement.query_row([name], offset).optional())
                .map_err(|error| explain(WHAT, &error))
        })
    }

    fn commit(&self, reader: &str, offset: LogOffset) -> Result<()> {
        self.ask(|reply| Request::Commit(reader.to_owned(), offset, reply))
    }

    fn contains(&self, id: EventId) -> Result<bool> {
        Ok(self.place_of(id)?.is_some())
    }

    fn of_subjects(
        &self,
        subjects: &[SubjectId],
        after: Option<LogOffset>,
        limit: usize,
    ) -> Result<Vec<(LogOffset, Event)>> {
        self.readers.with(|reader| read_of_subjects(reader, subjects, after, limit))
    }

    fn remove(&self, offsets: &[LogOffset]) -> Result<u64> {
        self.ask(|reply| Request::Remove(offsets.to_vec(), reply))
    }

    /// The long way through the table is a reader's, so that appends go on; the writer takes rows out by their place.
    fn erase(&self, subjects: &[SubjectId]) -> Result<u64> {
        let mut removed = 0;
        loop {
            let places = self.readers.with(|reader| places_of_subjects(reader, subjects, REMOVE_EVENTS))?;
            if places.is_empty() {
                self.scrub(Scrub::Journals)?;
                return Ok(removed);
            }
            removed += self.remove(&places)?;
        }
    }

    fn scrub(&self, scrub: Scrub) -> Result<()> {
        self.ask(|reply| Request::Scrub(scrub, reply))
    }
}

impl Drop for SqliteEventLog {
    fn drop(&mut self) {
        // The writer closes last: only then does SQLite fold the write-ahead log into the file.
        self.readers.close();
        self.requests.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    connection: Connection,
    /// The last place given.
    furthest: i64,
    ids: Arc<IdIndex>,
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
                    Request::Restore(events, reply) => {
                        let _ = reply.send(self.restore(&events));
                    }
                    Request::Remove(places, reply) => {
                        let _ = reply.send(self.remove(&places));
                    }
                    Request::Scrub(how, reply) => {
                        let _ = reply.send(scrub(&self.connection, WHAT, how));
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
        // Not needed for anything but a quick start: what isn't filed is read again then.
        if let Err(error) = self.ids.file_all(&mut self.connection) {
            tracing::warn!(%error, "event log: the index of ids is completed at the next start");
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
        let mut furthest = self.furthest;
        let transaction = self.connection.transaction().map_err(fail)?;
        let mut arrived = Arrived::default();
        let mut outcomes = Vec::with_capacity(batches.len());
        {
            let mut insert = transaction.prepare_cached(INSERT).map_err(fail)?;
            for batch in batches {
                let mut outcome = Vec::with_capacity(batch.len());
                for event in *batch {
                    if arrived.contains(&event.id) || self.ids.place_of(&transaction, &event.id)?.is_some() {
                        outcome.push(Appended::Duplicate);
                        continue;
                    }
                    furthest += 1;
                    insert.execute((furthest, &event.id[..], &event.subject[..], &event.body[..])).map_err(fail)?;
                    arrived.add(event.id, furthest);
                    outcome.push(Appended::Stored);
                }
                outcomes.push(outcome);
            }
        }
        let filed = self.ids.file_some(&transaction, arrived, furthest)?;
        let end = note_end(&transaction)?;
        transaction.commit().map_err(fail)?;
        self.furthest = furthest;
        self.ids.committed(filed);
        *self.bell.end.lock() = end;
        self.bell.rung.notify_all();
        Ok(outcomes)
    }

    fn restore(&mut self, events: &[(i64, Encoded)]) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let conflict = |place: i64, why: &str| {
            Err(StoreError::Conflict { what: WHAT, detail: format!("an event for place {place}: {why}") })
        };
        let mut furthest = self.furthest;
        let transaction = self.connection.transaction().map_err(fail)?;
        let mut arrived = Arrived::default();
        for (place, event) in events {
            if *place <= furthest {
                return conflict(*place, "places were given up to there already");
            }
            if arrived.contains(&event.id) || self.ids.place_of(&transaction, &event.id)?.is_some() {
                return conflict(*place, "its id is stored already");
            }
            furthest = *place;
            transaction
                .prepare_cached(INSERT)
                .and_then(|mut insert| insert.execute((furthest, &event.id[..], &event.subject[..], &event.body[..])))
                .map_err(fail)?;
            arrived.add(event.id, furthest);
        }
        let filed = self.ids.file_some(&transaction, arrived, furthest)?;
        let end = note_end(&transaction)?;
        transaction.commit().map_err(fail)?;
        self.furthest = furthest;
        self.ids.committed(filed);
        *self.bell.end.lock() = end;
        self.bell.rung.notify_all();
        Ok(())
    }

    fn save_checkpoint(&self, reader: &str, offset: LogOffset) -> Result<()> {
        let sql = "INSERT INTO checkpoints (reader, place) VALUES ($1, $2)
                   ON CONFLICT (reader) DO UPDATE SET place = excluded.place";
        self.connection.execute(sql, (reader, offset.0 as i64)).map(drop).map_err(|error| explain(WHAT, &error))
    }

    fn remove(&mut self, places: &[LogOffset]) -> Result<u64> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let transaction = self.connection.transaction().map_err(fail)?;
        let removed = self.ids.remove(&transaction, places)?;
        {
            let mut delete = transaction.prepare_cached("DELETE FROM events WHERE place = $1").map_err(fail)?;
            for place in places {
                delete.execute([place.0 as i64]).map_err(fail)?;
            }
        }
        let end = note_end(&transaction)?;
        transaction.commit().map_err(fail)?;
        self.ids.forget(&removed);
        // Whoever waits must not be woken for what is no longer there.
        *self.bell.end.lock() = end;
        Ok(removed.len() as u64)
    }
}

fn encode(event: &Event) -> Result<Encoded> {
    Ok(Encoded { id: event.id.to_bytes(), subject: event.subject.to_bytes(), body: encode_event(event)? })
}

fn read(reader: &Connection, after: Option<LogOffset>, limit: usize) -> Result<Vec<(LogOffset, Event)>> {
    let sql = "SELECT place, id, subject, body FROM events WHERE place > $1 ORDER BY place LIMIT $2";
    read_rows(reader, sql, after, limit)
}

fn read_of_subjects(
    reader: &Connection,
    subjects: &[SubjectId],
    after: Option<LogOffset>,
    limit: usize,
) -> Result<Vec<(LogOffset, Event)>> {
    let list = blob_list(subjects);
    let sql = format!(
        "SELECT place, id, subject, body FROM events WHERE place > $1 AND subject IN ({list}) ORDER BY place LIMIT $2"
    );
    read_rows(reader, &sql, after, limit)
}

fn places_of_subjects(reader: &Connection, subjects: &[SubjectId], limit: usize) -> Result<Vec<LogOffset>> {
    let fail = |error: rusqlite::Error| explain(WHAT, &error);
    let list = blob_list(subjects);
    let sql = format!("SELECT place FROM events WHERE subject IN ({list}) ORDER BY place LIMIT $1");
    let mut statement = reader.prepare(&sql).map_err(fail)?;
    let rows = statement.query_map([limit as i64], offset).map_err(fail)?;
    rows.collect::<rusqlite::Result<_>>().map_err(fail)
}

/// Pseudonyms as SQL writes bytes: `x'0a..', ..`.
fn blob_list(subjects: &[SubjectId]) -> String {
    subjects.iter().map(|subject| format!("x'{subject}'")).collect::<Vec<_>>().join(", ")
}

fn read_rows(
    reader: &Connection,
    sql: &str,
    after: Option<LogOffset>,
    limit: usize,
) -> Result<Vec<(LogOffset, Event)>> {
    let fail = |error: rusqlite::Error| explain(WHAT, &error);
    let mut statement = reader.prepare_cached(sql).map_err(fail)?;
    let mut before = after.map_or(-1, |offset| offset.0 as i64);
    let mut rows = statement.query([before, i64::try_from(limit).unwrap_or(i64::MAX)]).map_err(fail)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        // Only bytes are ever written here: another type is damage.
        let blob = |column| {
            let value = row.get_ref(column).map_err(fail)?;
            value.as_blob().map_err(|error| damaged(format!("column {column}: {error}")))
        };
        let place: i64 = row.get(0).map_err(fail)?;
        let event = decode_event(blob(3)?).map_err(|error| damaged(format!("place {place}: {error}")))?;
        if event.id.to_bytes() != blob(1)? || event.subject.to_bytes() != blob(2)? || place <= before {
            return Err(damaged(format!("place {place}: its columns don't belong together")));
        }
        before = place;
        events.push((LogOffset(place as u64), event));
    }
    Ok(events)
}

/// Remembers where the log ends, in the transaction that moves it.
fn note_end(connection: &Connection) -> Result<Option<LogOffset>> {
    let end = last_place(connection)?;
    let sql = "INSERT INTO ends (one, last, furthest) VALUES (1, $1, $1)
               ON CONFLICT (one) DO UPDATE SET last = excluded.last,
                   furthest = MAX(COALESCE(furthest, 0), COALESCE(excluded.last, 0))";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([end.map(|end| end.0 as i64)]))
        .map_err(|error| explain(WHAT, &error))?;
    Ok(end)
}

/// The last place as noted, and the furthest ever given.
fn ends(connection: &Connection) -> Result<(Option<LogOffset>, Option<LogOffset>)> {
    let of =
        |row: &Row<'_>, column| row.get(column).map(|place: Option<i64>| place.map(|place| LogOffset(place as u64)));
    connection
        .query_row("SELECT last, furthest FROM ends", [], |row| Ok((of(row, 0)?, of(row, 1)?)))
        .optional()
        .map(Option::unwrap_or_default)
        .map_err(|error| explain(WHAT, &error))
}

pub(super) fn last_place(connection: &Connection) -> Result<Option<LogOffset>> {
    connection
        .prepare_cached("SELECT place FROM events ORDER BY place DESC LIMIT 1")
        .and_then(|mut statement| statement.query_row([], offset).optional())
        .map_err(|error| explain(WHAT, &error))
}

/// The first column, a place.
pub(super) fn offset(row: &Row<'_>) -> rusqlite::Result<LogOffset> {
    row.get(0).map(|place: i64| LogOffset(place as u64))
}

fn damaged(detail: String) -> StoreError {
    StoreError::Damaged { what: WHAT, detail }
}
