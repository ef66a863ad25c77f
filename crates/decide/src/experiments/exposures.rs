//! What was shown, on its way to the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use merx_domain::{Event, EventId, TimestampMs};
use merx_store::EventLog;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

/// Exposures that may wait for the disk; beyond them they are counted as lost.
const QUEUE: usize = 20_000;
const BATCH: usize = 1_000;
/// Exposures of a day that are remembered, so that they need not be sent to the log to be found there.
const REMEMBERED: usize = 500_000;
/// Exposures wait so long for others, so that a transaction is worth its cost to the disk.
const GATHERING: std::time::Duration = std::time::Duration::from_millis(20);
/// A decision waits so long for room in the queue: the shopper waits too.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_millis(5);
/// A full log is asked again so often before exposures are given up.
const TRIES: u32 = 20;

enum Message {
    Shown(Box<Event>),
    Flush(Sender<()>),
}

/// Appends exposures behind the decisions' back, in batches.
pub struct ExposureLog {
    queue: Option<Sender<Message>>,
    writer: Option<JoinHandle<()>>,
    /// Today's, as far as there is room.
    seen: Mutex<(i32, FxHashSet<EventId>)>,
    lost: Arc<AtomicU64>,
}

impl ExposureLog {
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        let (sender, receiver) = bounded(QUEUE);
        let lost: Arc<AtomicU64> = Arc::default();
        let counting = Arc::clone(&lost);
        let writer = std::thread::Builder::new()
            .name("exposures".into())
            .spawn(move || append_batches(log.as_ref(), &receiver, &counting))
            .ok();
        Self { queue: Some(sender), writer, seen: Mutex::default(), lost }
    }

    /// Whether this process has not sent it today. Where there is no room to remember, the log itself finds repeats.
    pub(super) fn is_new(&self, id: EventId, now: TimestampMs) -> bool {
        let mut seen = self.seen.lock();
        if seen.0 != now.day() {
            *seen = (now.day(), FxHashSet::default());
        }
        if seen.1.len() >= REMEMBERED {
            return !seen.1.contains(&id);
        }
        seen.1.insert(id)
    }

    pub(super) fn log(&self, event: Event) {
        let Some(queue) = &self.queue else { return };
        let (id, day) = (event.id, event.occurred_at.day());
        let message = match queue.try_send(Message::Shown(Box::new(event))) {
            Ok(()) => return,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => message,
        };
        // A moment's wait costs a decision less than its exposure is worth.
        if queue.send_timeout(message, LONGEST_WAIT).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            // The unit's next request tells it again.
            let mut seen = self.seen.lock();
            if seen.0 == day {
                seen.1.remove(&id);
            }
        }
    }

    /// Exposures that could not be written since start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns when everything shown before is on disk.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for ExposureLog {
    fn drop(&mut self) {
        // Closing the queue lets the writer finish what is in it.
        self.queue.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn append_batches(log: &dyn EventLog, queue: &Receiver<Message>, lost: &AtomicU64) {
    while let Ok(first) = queue.recv() {
        if matches!(first, Message::Shown(_)) && queue.is_empty() {
            std::thread::sleep(GATHERING);
        }
        let (mut events, mut waiting) = (Vec::new(), Vec::new());
        for message in std::iter::once(first).chain(queue.try_iter().take(BATCH - 1)) {
            match message {
                Message::Shown(event) => events.push(*event),
                Message::Flush(done) => waiting.push(done),
            }
        }
        append(log, events, lost);
        for done in waiting {
            let _ = done.send(());
        }
    }
}

fn append(log: &dyn EventLog, events: Vec<Event>, lost: &AtomicU64) {
    if events.is_empty() {
        return;
    }
    let count = events.len() as u64;
    for _ in 0..TRIES {
        match log.append(events.clone()) {
            Ok(_) => return,
            Err(merx_store::StoreError::Busy { retry_after_ms, .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(retry_after_ms));
            }
            Err(error) => {
                tracing::error!(%error, exposures = count, "exposures could not be logged");
                break;
            }
        }
    }
    lost.fetch_add(count, Ordering::Relaxed);
}
