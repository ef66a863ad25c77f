//! What would have been shown where an automation is only watched: computed behind the answer, so that nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use merx_domain::{Engine, FallbackLevel, ModelVersion};

use crate::catalogue::Catalogue;
use crate::record::{DecisionRecord, Recorder, Shadow};
use crate::shelf::ShelfRest;

/// Decisions that may wait; beyond them they go unwatched, which is counted.
const QUEUE: usize = 1_000;
/// Of so many live decisions one is decided by the version that is tried, too.
const ONE_IN: u128 = 20;

/// A decision to be watched.
pub(crate) struct Job<Ask> {
    pub(crate) record: DecisionRecord,
    pub(crate) ask: Ask,
    pub(crate) rest: ShelfRest,
    /// By this version; `None`: by the live one.
    pub(crate) version: Option<ModelVersion>,
}

enum Message<Ask> {
    Watch(Box<Job<Ask>>),
    Flush(Sender<()>),
}

/// One thread that proposes and amends records.
pub(crate) struct ShadowQueue<E: Engine> {
    queue: Option<Sender<Message<E::Ask>>>,
    worker: Option<JoinHandle<()>>,
    unwatched: AtomicU64,
    /// The version that is tried; 0 is none.
    tried: AtomicU64,
}

impl<E: Engine<Ask: 'static> + 'static> ShadowQueue<E> {
    pub(crate) fn start(engine: Arc<E>, recorder: Arc<Recorder>, catalogue: Arc<Catalogue>) -> Self {
        let (queue, jobs) = bounded(QUEUE);
        let worker = std::thread::Builder::new()
            .name("shadows".into())
            .spawn(move || watch_all(engine.as_ref(), &recorder, &catalogue, &jobs))
            .ok();
        Self { queue: Some(queue), worker, unwatched: AtomicU64::new(0), tried: AtomicU64::new(0) }
    }

    pub(crate) fn watch_version(&self, version: Option<ModelVersion>) {
        self.tried.store(version.map_or(0, |version| u64::from(version.0)), Ordering::Relaxed);
    }

    /// Whether a decision is to be watched, and by which version.
    pub(crate) fn wants(&self, record: &DecisionRecord) -> Option<Option<ModelVersion>> {
        if record.taken.is_watched() {
            return Some(None);
        }
        let tried = self.tried.load(Ordering::Relaxed);
        let drawn = tried > 0 && record.taken.acts() && record.model.is_some();
        let drawn = drawn && u128::from_be_bytes(record.id.to_bytes()).is_multiple_of(ONE_IN);
        drawn.then_some(Some(ModelVersion(tried as u32)))
    }

    pub(crate) fn watch(&self, job: Job<E::Ask>) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Message::Watch(Box::new(job))).is_err() {
            self.unwatched.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn unwatched(&self) -> u64 {
        self.unwatched.load(Ordering::Relaxed)
    }

    /// Returns when everything watched before has been handed to the recorder.
    pub(crate) fn flush(&self) {
        let (done, wait) = bounded(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl<E: Engine> Drop for ShadowQueue<E> {
    fn drop(&mut self) {
        // Closing the queue lets the worker finish what is in it.
        self.queue.take();
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn watch_all<E: Engine>(engine: &E, recorder: &Recorder, catalogue: &Catalogue, jobs: &Receiver<Message<E::Ask>>) {
    for message in jobs {
        match message {
            Message::Watch(job) => watch(engine, recorder, catalogue, *job),
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn watch<E: Engine>(engine: &E, recorder: &Recorder, catalogue: &Catalogue, job: Job<E::Ask>) {
    let Job { mut record, ask, rest, version } = job;
    let shelf = rest.shelf(catalogue.read());
    let (level, never) = (FallbackLevel::LiveModel, || false);
    let proposal = engine.propose(level, version, &record.situation, &ask, &record.features, &shelf, &never);
    drop(shelf);
    if let Ok(proposal) = proposal {
        record.shadow = Some(Shadow::of(&proposal.answer, proposal.model));
        recorder.amend(record);
    }
}
