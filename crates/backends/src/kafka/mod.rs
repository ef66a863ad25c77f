//! `EventLog` on the Kafka protocol: bodies lie in a topic, their order in `Records`.
//!
//! The port asks for what a topic of several partitions does not have: one order with places that never change, each event
//! id once however late it is repeated, single events taken out for good. So an event's sealed body goes to a partition
//! chosen by its subject, and a row in `Records` says its place, where its body lies and which key opens it. The
//! transaction that writes the rows is the acknowledgement: a body without a row (a crash in between, a repeated id)
//! was never acknowledged, is never read, and can't be opened by anybody, since its key was nowhere but in the row.
//! Removing an event is removing its row, at once and for good, while the topic keeps bytes that nobody can open.
//!
//! Rows of all replicas are written under one row's lock, so places are seen in their order by every reader.

mod bodies;
mod index;
mod seal;
mod settings;
mod simulated;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use merx_domain::{Event, EventId, SubjectId};
use merx_store::codec::{decode_event, encode_event};
use merx_store::{Appended, EventLog, LogOffset, Records, Result, Scrub, StoreError};
use parking_lot::{Condvar, Mutex};

use crate::address::Address;
use bodies::{Bodies, Body, Topic};
use index::{Index, Located};
use seal::Keys;
use settings::Settings;

pub use index::MIGRATIONS;
pub use simulated::SimulatedTopic;

const WHAT: &str = "event log";
/// Events whose rows go into one transaction.
const COMMIT_EVENTS: usize = 5_000;
/// Events that one step of a read fetches.
const READ_EVENTS: usize = 5_000;
/// How long an append of another replica may go unseen by [`EventLog::wait_beyond`].
const POLL_MS: u64 = 50;

/// Events with their bodies in the topic, and where the answer goes.
type Append = (Vec<Located>, Sender<Result<HashSet<EventId>>>);

pub struct KafkaEventLog {
    bodies: Arc<dyn Topic>,
    index: Arc<Index>,
    records: Arc<dyn Records>,
    appends: Option<Sender<Append>>,
    writer: Option<JoinHandle<()>>,
    queued: AtomicUsize,
    queue: usize,
    bell: Arc<Bell>,
}

/// Rings when this process has appended.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl KafkaEventLog {
    /// `kafka://broker:port,broker:port/topic`. Makes the topic where there is none, with unlimited retention; checks an
    /// existing one. `records` were opened with [`MIGRATIONS`]. `queue`: events that may wait for the brokers; beyond
    /// them `append` answers `Busy`.
    ///
    /// Options: `partitions` (8, of a new topic), `replication` (3, or as many as there are brokers), `timeout_ms`
    /// (30000), `tls` (`on`; needs a build with the feature `kafka-tls`), `ca_file`, `sasl` (`PLAIN`).
    pub fn open(address: &Address, records: Arc<dyn Records>, queue: usize) -> Result<Self> {
        let settings = Settings::of(address)?;
        Self::over(Arc::new(Bodies::open(&settings, queue)?), Arc::default(), records, queue)
    }

    /// The same log and the same producer, its rows written through other records: those that are fenced, say.
    pub fn through(&self, records: Arc<dyn Records>) -> Result<Self> {
        Self::over(Arc::clone(&self.bodies), Arc::clone(&self.bell), records, self.queue)
    }

    fn over(bodies: Arc<dyn Topic>, bell: Arc<Bell>, records: Arc<dyn Records>, queue: usize) -> Result<Self> {
        let index = Arc::new(Index::open(Arc::clone(&records))?);
        // The bound is counted in events (`queued`), not in requests.
        let (appends, waiting) = unbounded();
        let (indexing, ringing) = (Arc::clone(&index), Arc::clone(&bell));
        let writer = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || write(&indexing, &ringing, &waiting))
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        let queued = AtomicUsize::new(0);
        Ok(Self { bodies, index, records, appends: Some(appends), writer: Some(writer), queued, queue, bell })
    }

    /// Connects and checks, and changes nothing. Words for who asked.
    pub fn check(address: &Address) -> Result<String> {
        bodies::check(&Settings::of(address)?)
    }

    fn append_all(&self, events: &[Event]) -> Result<Vec<Appended>> {
        let mut new = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            new.entry(event.id).or_insert(at);
        }
        // Only spares the topic bytes that nobody would read.
        for known in self.index.known(new.keys().copied())? {
            new.remove(&known);
        }
        let stored = if new.is_empty() { HashSet::new() } else { self.store(events, &new)? };
        let outcome = |(at, event): (usize, &Event)| {
            let first = new.get(&event.id) == Some(&at);
            if first && stored.contains(&event.id) { Appended::Stored } else { Appended::Duplicate }
        };
        Ok(events.iter().enumerate().map(outcome).collect())
    }

    /// Seals bodies and brings them to the topic.
    fn put_bodies(&self, events: &[&Event]) -> Result<Vec<Located>> {
        let keys = Keys::new()?;
        let mut bodies = Vec::with_capacity(events.len());
        let mut sealed_with = Vec::with_capacity(events.len());
        for (number, event) in events.iter().enumerate() {
            let key = keys.number(number as u64);
            let sealed = seal::seal(&key, event.id, &encode_event(event)?)?;
            bodies.push(Body { id: event.id, subject: event.subject, sealed });
            sealed_with.push(key);
        }
        let places = self.bodies.put(bodies)?;
        let located = events.iter().zip(sealed_with).zip(places);
        Ok(located.map(|((event, key), body)| Located { id: event.id, subject: event.subject, body, key }).collect())
    }

    /// Bodies to the topic, then rows through the writer. Ids that were stored, not there already.
    fn store(&self, events: &[Event], new: &HashMap<EventId, usize>) -> Result<HashSet<EventId>> {
        let mut order: Vec<usize> = new.values().copied().collect();
        order.sort_unstable();
        let events: Vec<&Event> = order.into_iter().map(|at| &events[at]).collect();
        let located = self.put_bodies(&events)?;
        let gone = || StoreError::Unavailable { what: WHAT, detail: "the writer has stopped".into() };
        let (reply, answer) = bounded(1);
        let appends = self.appends.as_ref().ok_or_else(gone)?;
        appends.send((located, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    fn fetch(&self, rows: Vec<(LogOffset, Located)>) -> Result<Vec<(LogOffset, Event)>> {
        let places: Vec<_> = rows.iter().map(|(_, located)| located.body).collect();
        let bodies = self.bodies.get(&places)?;
        let open = |((place, located), sealed): ((LogOffset, Located), Vec<u8>)| {
            let event = decode_event(&seal::open(&located.key, located.id, &sealed)?)
                .map_err(|error| damaged(format!("place {}: {error}", place.0)))?;
            if event.id != located.id || event.subject != located.subject {
                return Err(damaged(format!("place {}: body and row don't belong together", place.0)));
            }
            Ok((place, event))
        };
        rows.into_iter().zip(bodies).map(open).collect()
    }

    fn read_rows(
        &self,
        subjects: Option<&[SubjectId]>,
        after: Option<LogOffset>,
        limit: usize,
    ) -> Result<Vec<(LogOffset, Event)>> {
        let mut events = Vec::new();
        let mut after = after;
        while events.len() < limit {
            let step = (limit - events.len()).min(READ_EVENTS);
            let rows = self.index.read(subjects, after, step)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            let complete = rows.len() < step;
            events.extend(self.fetch(rows)?);
            if complete {
                break;
            }
        }
        Ok(events)
    }
}

/// The thread that writes rows: whatever is waiting, together.
fn write(index: &Index, bell: &Bell, waiting: &Receiver<Append>) {
    while let Ok(first) = waiting.recv() {
        let mut events = first.0.len();
        let mut appends = vec![first];
        while events < COMMIT_EVENTS
            && let Ok(next) = waiting.try_recv()
        {
            events += next.0.len();
            appends.push(next);
        }
        let all: Vec<&[Located]> = appends.iter().map(|(located, _)| located.as_slice()).collect();
        match index.add(&all) {
            Ok(outcomes) => {
                for ((_, reply), stored) in appends.iter().zip(outcomes) {
                    let _ = reply.send(Ok(stored));
                }
            }
            // Each alone, so that one caller's trouble is not another's.
            Err(_) if appends.len() > 1 => {
                for (located, reply) in &appends {
                    let outcome = index.add(&[located]).map(|mut outcomes| outcomes.pop().unwrap_or_default());
                    let _ = reply.send(outcome);
                }
            }
            Err(error) => {
                let _ = appends[0].1.send(Err(error));
            }
        }
        *bell.rung.lock() += 1;
        bell.changed.notify_all();
    }
}

impl EventLog for KafkaEventLog {
    fn append(&self, events: Vec<Event>) -> Result<Vec<Appended>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let count = events.len();
        let before = self.queued.fetch_add(count, Ordering::Relaxed);
        // A single append larger than the bound may pass when nothing else waits.
        let outcome = if before > 0 && before + count > self.queue {
            Err(StoreError::Busy { what: WHAT, retry_after_ms: 1_000 })
        } else {
            self.append_all(&events)
        };
        self.queued.fetch_sub(count, Ordering::Relaxed);
        outcome
    }

    fn restore(&self, events: Vec<(LogOffset, Event)>) -> Result<()> {
        let bodies: Vec<&Event> = events.iter().map(|(_, event)| event).collect();
        let located = self.put_bodies(&bodies)?;
        self.index.restore(&events.iter().map(|(place, _)| *place).zip(located).collect::<Vec<_>>())
    }

    fn read(&self, after: Option<LogOffset>, limit: usize) -> Result<Vec<(LogOffset, Event)>> {
        self.read_rows(None, after, limit)
    }

    fn end(&self) -> Result<Option<LogOffset>> {
        self.index.end()
    }

    fn wait_beyond(&self, offset: Option<LogOffset>, timeout_ms: u64) -> Result<bool> {
        let mut left_ms = timeout_ms;
        loop {
            let seen = *self.bell.rung.lock();
            if self.end()? > offset {
                return Ok(true);
            }
            if left_ms == 0 {
                return Ok(false);
            }
            let step_ms = left_ms.min(POLL_MS);
            let mut rung = self.bell.rung.lock();
            self.bell.changed.wait_while_for(&mut rung, |rung| *rung == seen, Duration::from_millis(step_ms));
            left_ms -= step_ms;
        }
    }

    fn checkpoint(&self, reader: &str) -> Result<Option<LogOffset>> {
        self.index.checkpoint(reader)
    }

    fn commit(&self, reader: &str, offset: LogOffset) -> Result<()> {
        self.index.commit(reader, offset)
    }

    fn contains(&self, id: EventId) -> Result<bool> {
        Ok(!self.index.known([id])?.is_empty())
    }

    fn of_subjects(
        &self,
        subjects: &[SubjectId],
        after: Option<LogOffset>,
        limit: usize,
    ) -> Result<Vec<(LogOffset, Event)>> {
        self.read_rows(Some(subjects), after, limit)
    }

    fn remove(&self, offsets: &[LogOffset]) -> Result<u64> {
        self.index.remove(offsets)
    }

    fn erase(&self, subjects: &[SubjectId]) -> Result<u64> {
        let removed = self.index.erase(subjects)?;
        self.records.scrub(Scrub::Journals)?;
        Ok(removed)
    }

    /// The keys are in `Records`; the topic's bytes are nothing without them.
    fn scrub(&self, scrub: Scrub) -> Result<()> {
        self.records.scrub(scrub)
    }
}

impl Drop for KafkaEventLog {
    fn drop(&mut self) {
        self.appends.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn damaged(detail: String) -> StoreError {
    StoreError::Damaged { what: WHAT, detail }
}
