//! The scheduler: who does what next, what is lost on the way, and who is overtaken by whom.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use merx_backends::simulated::Direct;
use merx_backends::{KafkaEventLog, SimulatedRedis, SimulatedTopic};
use merx_domain::{DAY_MS, MINUTE_MS, SubjectId, TimestampMs};
use merx_numeric::rng::Rng;
use merx_store::embedded::SqliteRecords;
use parking_lot::Mutex;

use super::clients::Clients;
use super::network::Link;
use super::process::{Flaw, Furniture, Process};

pub(super) const PROCESSES: usize = 3;
const START: TimestampMs = TimestampMs(20_000 * DAY_MS);
/// Calls that overtake one another at most.
const MOST_NESTED: usize = 4;
/// Things that happen in a world before all is well again.
const STEPS: u64 = 300;
/// Lines of the story that are told of a failure.
const STORY: usize = 400;

/// A thread of a process: what goes on in one lane is done before the next begins in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Requests that write.
    Intake,
    /// Requests that are decided.
    Reader,
    /// The log into the online store.
    Projection,
    /// What waits for the online store goes out.
    Sender,
    /// Beats of the lease.
    Beat,
    /// Following the lead: taking over, standing back, starting, stopping.
    Replica,
}

impl Lane {
    /// Whether this may run while `other` of the same process waits for the answer of `what`. It may not where it would
    /// wait for a lock that the other one holds: on threads it would be the next to run.
    fn goes_beside(self, other: Self, what: &str) -> bool {
        // The online store's epochs may be held while it is asked.
        let epochs_held = what.starts_with("redis");
        match (self, other) {
            (Self::Beat, Self::Projection | Self::Replica | Self::Beat) => false,
            (Self::Beat, _) => true,
            (Self::Intake, Self::Projection | Self::Beat | Self::Sender) => true,
            (Self::Reader, Self::Beat | Self::Sender) => true,
            (Self::Reader, Self::Projection | Self::Replica) => !epochs_held,
            (Self::Projection, Self::Intake) => true,
            (Self::Sender, Self::Intake | Self::Beat | Self::Reader) => true,
            (Self::Sender, Self::Projection) => !epochs_held,
            _ => false,
        }
    }
}

struct Frame {
    slot: usize,
    lane: Lane,
    /// What it waits for.
    what: &'static str,
}

struct Slot {
    process: Mutex<Option<Arc<Process>>>,
    /// How wrong its machine's clock is.
    skew_ms: i64,
    /// It stands still until then.
    paused_until: AtomicI64,
}

/// How likely a call meets what.
struct Faults {
    lost_request: f64,
    lost_answer: f64,
    crash: f64,
    overtaken: f64,
}

impl Faults {
    /// Some runs are calm, so that much is done in them; in others much goes wrong.
    fn drawn(chance: &mut Rng) -> Self {
        let mut level = |most: f64| if chance.chance(0.3) { 0.0 } else { most * chance.uniform() };
        Self { lost_request: level(0.02), lost_answer: level(0.02), crash: level(0.01), overtaken: level(0.25) }
    }
}

pub(super) struct World {
    chance: Mutex<Rng>,
    subjects: Mutex<Rng>,
    now: AtomicI64,
    calm: AtomicBool,
    faults: Faults,
    names: AtomicU64,
    steps: AtomicU64,
    pub(super) records: Arc<SqliteRecords>,
    pub(super) topic: Arc<SimulatedTopic>,
    pub(super) redis: Arc<SimulatedRedis>,
    /// The log as somebody reads it whom nothing befalls.
    pub(super) log: KafkaEventLog,
    pub(super) furniture: Arc<Furniture>,
    pub(super) flaw: Option<Flaw>,
    folder: PathBuf,
    slots: Vec<Slot>,
    stack: Mutex<Vec<Frame>>,
    pub(super) clients: Mutex<Clients>,
    broken: Mutex<Option<String>>,
    story: Mutex<Vec<String>>,
}

impl World {
    pub(super) fn new(
        seed: u64,
        flaw: Option<Flaw>,
        furniture: &Arc<Furniture>,
        records: SqliteRecords,
        folder: &Path,
    ) -> Arc<Self> {
        let all = Rng::from_seed(seed);
        let mut chance = all.split(1);
        let faults = Faults::drawn(&mut chance);
        let skewed = chance.chance(0.5);
        let records = Arc::new(records);
        let topic: Arc<SimulatedTopic> = Arc::default();
        let log = KafkaEventLog::simulated(&topic, Arc::new(Direct), Arc::clone(&records) as _, 10_000).unwrap();
        let slot = |_| Slot {
            process: Mutex::default(),
            skew_ms: if skewed { (chance.uniform() * 10.0 * MINUTE_MS as f64) as i64 - 5 * MINUTE_MS } else { 0 },
            paused_until: AtomicI64::new(0),
        };
        let slots: Vec<Slot> = (0..PROCESSES).map(slot).collect();
        let skews = slots.iter().map(|slot| format!("{} s", slot.skew_ms / 1_000)).collect::<Vec<_>>().join(", ");
        Arc::new(Self {
            chance: Mutex::new(chance),
            subjects: Mutex::new(all.split(2)),
            now: AtomicI64::new(START.0),
            calm: AtomicBool::new(false),
            faults,
            names: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            records,
            topic,
            redis: Arc::default(),
            log,
            furniture: Arc::clone(furniture),
            flaw,
            folder: folder.to_owned(),
            slots,
            stack: Mutex::default(),
            clients: Mutex::new(Clients::default()),
            broken: Mutex::default(),
            story: Mutex::new(vec![format!("clocks are wrong by {skews}")]),
        })
    }

    pub(super) fn new_subject(&self) -> SubjectId {
        let mut subjects = self.subjects.lock();
        SubjectId(u128::from(subjects.next_u64()) << 64 | u128::from(subjects.next_u64()))
    }

    pub(super) fn folder_of(&self, slot: usize) -> PathBuf {
        self.folder.join(format!("process-{slot}"))
    }

    /// True time.
    pub(super) fn now(&self) -> TimestampMs {
        TimestampMs(self.now.load(Ordering::SeqCst))
    }

    pub(super) fn since_start(&self) -> Duration {
        Duration::from_millis((self.now().0 - START.0) as u64)
    }

    /// What a process's clock says.
    pub(super) fn now_at(&self, slot: usize) -> TimestampMs {
        self.now().plus_ms(self.slots[slot].skew_ms)
    }

    pub(super) fn chance(&self, p: f64) -> bool {
        self.chance.lock().chance(p)
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        self.chance.lock().below(bound)
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// A promise was broken. The first one is told.
    pub(super) fn break_off(&self, why: String) {
        self.broken.lock().get_or_insert(why);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.lock().is_some()
    }

    pub(super) fn broken(&self) -> Option<String> {
        let why = self.broken.lock().clone()?;
        Some(format!("{why}\n{}", self.story.lock().join("\n")))
    }

    pub(super) fn tell(&self, words: impl FnOnce() -> String) {
        if self.is_broken() {
            return;
        }
        let depth = self.stack.lock().len();
        let mut story = self.story.lock();
        if story.len() == STORY {
            story.remove(1);
        }
        let at = self.now().0 - START.0;
        story.push(format!("{at:>8} {}{}", "  ".repeat(depth), words()));
    }

    /// The processes that are there, busy or not.
    pub(super) fn process(&self, slot: usize) -> Option<Arc<Process>> {
        self.slots[slot].process.lock().clone()
    }

    fn is_free(&self, slot: usize, lane: Lane) -> bool {
        let stack = self.stack.lock();
        let awake = self.is_calm() || self.slots[slot].paused_until.load(Ordering::SeqCst) <= self.now().0;
        awake && stack.iter().filter(|frame| frame.slot == slot).all(|frame| lane.goes_beside(frame.lane, frame.what))
    }

    /// Does something in a lane of a process. `None`: it is not there, or can't now. With what came of it, whether the
    /// process lived to tell.
    pub(super) fn run<T>(&self, slot: usize, lane: Lane, work: impl FnOnce(&Process) -> T) -> Option<(T, bool)> {
        let process = self.process(slot)?;
        if !process.link.is_alive() || !self.is_free(slot, lane) {
            return None;
        }
        self.enter(slot, lane);
        let done = work(&process);
        let alive = process.link.is_alive();
        drop(process);
        self.leave(slot);
        Some((done, alive))
    }

    fn enter(&self, slot: usize, lane: Lane) {
        self.stack.lock().push(Frame { slot, lane, what: "" });
    }

    /// Who died is gone once nothing of it is under way any more.
    fn leave(&self, slot: usize) {
        let idle = {
            let mut stack = self.stack.lock();
            stack.pop();
            stack.iter().all(|frame| frame.slot != slot)
        };
        let mut held = self.slots[slot].process.lock();
        if idle && held.as_ref().is_some_and(|process| !process.link.is_alive()) {
            let dead = held.take();
            drop(held);
            drop(dead);
        }
    }

    /// A call of a process passes: other things may happen first, and it may be lost. Whether it is.
    pub(super) fn on_the_way(self: &Arc<Self>, link: &Link, what: &'static str, is_answer: bool) -> bool {
        if self.is_calm() {
            return false;
        }
        let depth = {
            let mut stack = self.stack.lock();
            if let Some(frame) = stack.last_mut() {
                frame.what = what;
            }
            stack.len()
        };
        let (overtaken, crash, lost) = {
            let mut chance = self.chance.lock();
            let overtaken = if chance.chance(self.faults.overtaken) { 1 + chance.below(6) } else { 0 };
            let lost = if is_answer { self.faults.lost_answer } else { self.faults.lost_request };
            (overtaken, chance.chance(self.faults.crash), chance.chance(lost))
        };
        for _ in 0..overtaken {
            if depth < MOST_NESTED && !self.is_over() {
                self.step();
            }
        }
        if crash {
            self.tell(|| format!("process {} dies at {what} {}", link.slot, if is_answer { "(answer)" } else { "" }));
            link.die();
        } else if is_answer && ["redis.begin", "redis.close", "redis.put"].contains(&what) {
            self.tell(|| format!("process {}: {what}{}", link.slot, if lost { ", answer lost" } else { "" }));
        } else if lost {
            self.tell(|| {
                format!("process {}: {what} {} lost", link.slot, if is_answer { "answer" } else { "request" })
            });
        }
        lost
    }

    /// Whether enough has happened, or what must not.
    pub(super) fn is_over(&self) -> bool {
        self.steps.load(Ordering::SeqCst) >= STEPS || self.is_broken()
    }

    /// One thing that happens.
    pub(super) fn step(self: &Arc<Self>) {
        self.steps.fetch_add(1, Ordering::SeqCst);
        let passed = 1 + self.below(if self.chance(0.1) { 2_000 } else { 120 }) as i64;
        self.now.fetch_add(passed, Ordering::SeqCst);
        let slot = self.below(PROCESSES);
        if self.process(slot).is_none() {
            if self.chance(0.3) {
                self.start(slot);
            }
            return;
        }
        match self.below(100) {
            0..24 => Clients::send(self, slot),
            24..31 => Clients::speak(self, slot),
            31..50 => Clients::ask(self, slot),
            50..66 => self.round(slot, Lane::Projection),
            66..74 => self.round(slot, Lane::Sender),
            74..87 => self.round(slot, Lane::Beat),
            87..95 => self.round(slot, Lane::Replica),
            95 => self.kill(slot),
            96 => self.stop(slot),
            97..99 => self.pause(slot),
            _ => self.flush(),
        }
    }

    pub(super) fn start(self: &Arc<Self>, slot: usize) {
        if !self.is_free(slot, Lane::Replica) {
            return;
        }
        let name = self.names.fetch_add(1, Ordering::SeqCst);
        self.enter(slot, Lane::Replica);
        self.tell(|| format!("process {slot} starts as {name}"));
        let started = Process::start(self, slot, name).ok().filter(|process| process.link.is_alive());
        *self.slots[slot].process.lock() = started.map(Arc::new);
        self.leave(slot);
    }

    pub(super) fn round(&self, slot: usize, lane: Lane) {
        let done = self.run(slot, lane, |process| match lane {
            Lane::Projection => process.projection_round(),
            Lane::Sender => Ok(process.online.send().and_then(|()| process.online.look())?),
            Lane::Beat => process.look(self),
            _ => {
                let led = process.lead.leads();
                let done = process.replica_round();
                if led != process.lead.leads() {
                    self.tell(|| format!("process {slot} {}", if led { "stands back" } else { "takes over" }));
                }
                done
            }
        });
        if let Some((Err(error), _)) = done {
            self.tell(|| format!("process {slot} {lane:?}: {error:#}"));
        }
    }

    fn kill(&self, slot: usize) {
        if self.chance(0.5) && self.run(slot, Lane::Replica, |process| process.link.die()).is_some() {
            self.tell(|| format!("process {slot} was killed"));
        }
    }

    /// As after a stop signal.
    fn stop(&self, slot: usize) {
        if !self.chance(0.5) || !self.is_free(slot, Lane::Replica) {
            return;
        }
        self.tell(|| format!("process {slot} stops"));
        self.enter(slot, Lane::Replica);
        let process = self.slots[slot].process.lock().take();
        if let Some(process) = &process {
            // What fails is made anew from the log.
            let _ = process.projection.catch_up().and_then(|_| process.projection.snapshot());
        }
        drop(process);
        self.leave(slot);
    }

    fn pause(&self, slot: usize) {
        let until = self.now().0 + self.below(8_000) as i64;
        self.slots[slot].paused_until.store(until, Ordering::SeqCst);
        self.tell(|| format!("process {slot} stands still"));
    }

    fn flush(&self) {
        if self.chance(0.3) {
            self.tell(|| "the online store loses its memory".to_owned());
            self.redis.flush();
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn heal(self: &Arc<Self>) {
        self.calm.store(true, Ordering::SeqCst);
        self.tell(|| "all is well from here on".to_owned());
        for slot in 0..PROCESSES {
            if self.process(slot).is_none() {
                self.start(slot);
            }
        }
        // More than the looks after which somebody silent is replaced.
        for _ in 0..3 * merx_store::SILENT_LOOKS {
            for lane in [Lane::Beat, Lane::Replica, Lane::Projection, Lane::Sender] {
                (0..PROCESSES).for_each(|slot| self.round(slot, lane));
            }
            self.now.fetch_add(1_000, Ordering::SeqCst);
        }
    }

    /// The process that leads, where there is exactly one.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |slot: &usize| self.process(*slot).is_some_and(|process| process.lead.leads());
        let mut leading = (0..PROCESSES).filter(leads);
        leading.next().filter(|_| leading.next().is_none())
    }

    /// For everybody that a client may ask.
    pub(super) fn address_of_lead(&self, slot: usize) -> Option<usize> {
        let process = self.process(slot)?;
        match process.lead.leader() {
            merx_serve::Leader::This => Some(slot),
            merx_serve::Leader::At(address) => address.parse().ok().filter(|to| *to < PROCESSES),
            merx_serve::Leader::Nobody => None,
        }
    }
}
