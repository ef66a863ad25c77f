//! `OnlineStore` on Redis and what speaks its protocol.
//!
//! **Keys** are `PREFIX:{ID}:SPACE`: all that is known of a subject lies in one slot of a cluster, and every script
//! touches one key.
//!
//! **What a restart finds.** The port promises the state of the last snapshot, from which the log is replayed; a state that
//! held some later events would count them twice. So a value says in which *epoch* it was written and what stood there
//! when the epoch began. A snapshot closes the epoch; opening abandons the one that was left open, and what was written in
//! it counts as what stood there before. Both are one script on one key, however many values there are.
//!
//! **One writer.** Whoever took the lead last writes; an earlier one is told so by its next write ([`StoreError::Conflict`])
//! and reads on, as those do that only watch.
//!
//! **Writes** wait in memory for [`FLUSH_MS`] and go out in one pipeline: what a crash loses, the log has. Reads here see
//! them at once.

mod entry;
mod pool;
mod server;
mod simulated;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use merx_store::{LogOffset, OnlineKey, OnlineStore, Result, StoreError};
use parking_lot::{Mutex, RwLock};

use crate::address::Address;
use entry::{Entry, Epochs, Version};
use server::{Server, Wire};

pub use entry::FORMATS;
pub use simulated::SimulatedRedis;

const WHAT: &str = "online store";
/// How long a write waits for others.
const FLUSH_MS: u64 = 20;
/// Writes that wait at most; whoever comes next sends them all.
const MAX_WAITING: usize = 4_096;
const SHARDS: usize = 64;
/// Flushes between two probes of a server that does not answer.
const PROBE_FLUSHES: u32 = 10;
/// Flushes between two looks at how far the epochs of another process are.
const LOOK_FLUSHES: u32 = 50;

/// A value that is not in Redis yet.
#[derive(Clone)]
struct Waiting {
    /// The version that it replaces there; `None`: there is none.
    replaces: Option<Version>,
    entry: Arc<Entry>,
    /// Sent once, and no answer came: it may be there.
    in_doubt: bool,
}

struct Inner {
    server: Server,
    epochs: RwLock<Epochs>,
    /// The latest epoch that this process has ever seen: a server that lost its memory knows of none, and what was written in
    /// them may still come to it.
    latest_seen: AtomicU32,
    /// Whether this process writes, as far as it knows.
    leads: AtomicBool,
    /// Numbers the versions of this process.
    counter: AtomicU64,
    waiting: Mutex<HashMap<OnlineKey, Waiting>>,
    /// One flush at a time.
    flushing: Mutex<()>,
    /// The number of a snapshot whose closing was not answered: the server's epoch is the one known here, or the next. 0: of none.
    closing: AtomicU64,
    /// One change of a key at a time.
    shards: [Mutex<()>; SHARDS],
    max_value_bytes: usize,
}

pub struct RedisOnlineStore {
    inner: Arc<Inner>,
    restored_at: Mutex<Option<LogOffset>>,
    stop: Option<Sender<()>>,
    flusher: Option<JoinHandle<()>>,
}

impl RedisOnlineStore {
    /// Connects, checks that the server can do what is needed, and goes back to the last snapshot, to write from there.
    ///
    /// Options: `prefix` (`merx`), `pool` (connections, 8), `timeout_ms` (2000), `read_timeout_ms` (150, of
    /// reads, which a decision waits for), `expire_days` (0: never; what is not written for so long is forgotten),
    /// `max_value_bytes` (1 MiB).
    pub fn open(address: &Address) -> Result<Self> {
        let store = Self::watch(address)?;
        store.lead()?;
        Ok(store)
    }

    /// The same, to read what another process writes, until [`OnlineStore::lead`].
    pub fn watch(address: &Address) -> Result<Self> {
        let wire = Wire::new(address)?;
        wire.check()?;
        let max = address.number("max_value_bytes", 1 << 20, 1_024..=64 << 20, "1024 to 67108864");
        let max = max.map_err(|error| server::refused(error.to_string()))? as usize;
        let mut store = Self::over(Server::reached_by(wire, address.to_string(), writer_name()?), max)?;
        let (stop, stopped) = bounded(0);
        let flushing = Arc::clone(&store.inner);
        let flusher = std::thread::Builder::new()
            .name("online-flush".into())
            .spawn(move || flush_now_and_then(&flushing, &stopped))
            .map_err(|error| server::refused(error.to_string()))?;
        (store.stop, store.flusher) = (Some(stop), Some(flusher));
        Ok(store)
    }

    /// Without the thread that sends and looks.
    fn over(server: Server, max_value_bytes: usize) -> Result<Self> {
        let (epochs, restored_at) = server.epochs()?;
        let inner = Arc::new(Inner {
            server,
            latest_seen: AtomicU32::new(epochs.current),
            epochs: RwLock::new(epochs),
            leads: AtomicBool::new(false),
            counter: AtomicU64::new(0),
            waiting: Mutex::default(),
            flushing: Mutex::default(),
            closing: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            max_value_bytes,
        });
        Ok(Self { inner, restored_at: Mutex::new(restored_at), stop: None, flusher: None })
    }

    /// Sends what waits, where this process writes.
    pub fn send(&self) -> Result<()> {
        if self.inner.leads.load(Ordering::Acquire) { self.inner.flush() } else { Ok(()) }
    }

    /// Learns how far another process is that writes, also where this one believes that it does.
    pub fn look(&self) -> Result<()> {
        self.inner.look()
    }

    /// Removes everything below the prefix: the state is rebuilt from the log by whoever opens it next.
    pub fn clear(address: &Address) -> Result<()> {
        let wire = Wire::new(address)?;
        wire.check()?;
        wire.clear()
    }

    /// Connects and checks, and changes nothing: who writes there goes on writing. Words for who asked.
    pub fn check(address: &Address) -> Result<String> {
        Wire::new(address)?.check()
    }
}

impl Drop for RedisOnlineStore {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(flusher) = self.flusher.take() {
            let _ = flusher.join();
        }
    }
}

/// A name that no other process has.
fn writer_name() -> Result<String> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| server::refused(format!("no randomness: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(name)))
}

fn flush_now_and_then(inner: &Inner, stopped: &Receiver<()>) {
    let waited = Duration::from_millis(FLUSH_MS);
    let mut flushes: u32 = 0;
    while stopped.recv_timeout(waited) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
        flushes = flushes.wrapping_add(1);
        if flushes.is_multiple_of(PROBE_FLUSHES) {
            inner.server.probe();
        }
        if inner.server.is_silent() {
            continue;
        }
        let looks = flushes.is_multiple_of(LOOK_FLUSHES);
        let flushed = if inner.leads.load(Ordering::Acquire) { inner.flush() } else { Ok(()) };
        let done = if looks { flushed.and_then(|()| inner.look()) } else { flushed };
        if let Err(error) = done {
            tracing::warn!(%error, "online store: trying again");
        }
    }
}

impl Inner {
    /// What is held under a key, waiting or stored, as `get` tells it.
    fn load(
        &self,
        key: OnlineKey,
        get: impl Fn(&Server, OnlineKey) -> Result<Option<Entry>>,
    ) -> Result<Option<Arc<Entry>>> {
        if let Some(waiting) = self.waiting.lock().get(&key) {
            return Ok(Some(Arc::clone(&waiting.entry)));
        }
        Ok(get(&self.server, key)?.map(Arc::new))
    }

    /// Learns how far the process that writes is. Where that was this one and is another now, or nobody as far as the server
    /// remembers, this one has nothing on its way any more, and reads what the other one's epochs say.
    fn look(&self) -> Result<()> {
        let led = self.leads.load(Ordering::Acquire);
        let (epochs, writes_here) = self.server.look()?;
        self.latest_seen.fetch_max(epochs.current, Ordering::AcqRel);
        let mut known = self.epochs.write();
        // It may have begun an epoch since it was asked.
        let older = epochs.current < known.current && epochs.first == known.first;
        if led && self.leads.load(Ordering::Acquire) && !writes_here && !older {
            self.leads.store(false, Ordering::Release);
            self.waiting.lock().clear();
        }
        if !self.leads.load(Ordering::Acquire) && !older {
            *known = epochs;
        }
        Ok(())
    }

    /// Finds out whether the snapshot was taken whose closing was not answered. Nothing may be written before that is known: it
    /// would be of an epoch that is over.
    fn settle_closing(&self) -> Result<()> {
        let closing = self.closing.load(Ordering::Acquire);
        if closing == 0 {
            return Ok(());
        }
        let (epochs, writes_here) = self.server.look()?;
        let mut known = self.epochs.write();
        // Another thread may have settled it meanwhile, and left a later one open.
        if self.closing.compare_exchange(closing, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
            && writes_here
            && epochs.current == known.current + 1
        {
            known.current = epochs.current;
            self.latest_seen.fetch_max(epochs.current, Ordering::AcqRel);
        }
        // Of anything else the next writing is told.
        Ok(())
    }

    fn check_size(&self, value: &[u8]) -> Result<()> {
        let (bytes, most) = (value.len(), self.max_value_bytes);
        if bytes <= most {
            return Ok(());
        }
        let detail = format!("a value of {bytes} bytes; raise max_value_bytes (it is {most}) in storage.online");
        Err(StoreError::TooLarge { what: WHAT, detail })
    }

    fn change(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        if !self.leads.load(Ordering::Acquire) {
            return Err(self.server.taken_over());
        }
        self.settle_closing()?;
        let shard = (key.id as u64 ^ (key.id >> 64) as u64).wrapping_add(u64::from(key.space)) % SHARDS as u64;
        let _one = self.shards[shard as usize].lock();
        // Held, so that no snapshot comes between reading the epoch and noting the change.
        let epochs = self.epochs.read_recursive();
        let held = self.load(key, Server::get)?;
        let mut value = held.as_ref().and_then(|held| held.value(&epochs)).unwrap_or_default().to_vec();
        change(&mut value);
        self.check_size(&value)?;
        if value.is_empty() && held.is_none() {
            return Ok(());
        }
        let version = Version { epoch: epochs.current, number: self.counter.fetch_add(1, Ordering::Relaxed) };
        let entry = Arc::new(Entry::following(held.as_deref(), version, value, &epochs));
        let waiting = {
            let mut waiting = self.waiting.lock();
            // What waited may have been sent since it was loaded: then that is what this one replaces.
            let (replaces, in_doubt) = match waiting.get(&key) {
                Some(before) => (before.replaces, before.in_doubt),
                None => (held.and_then(|held| held.stored_version()), false),
            };
            waiting.insert(key, Waiting { replaces, entry, in_doubt });
            waiting.len()
        };
        drop(epochs);
        if waiting >= MAX_WAITING { self.flush() } else { Ok(()) }
    }

    /// Sends what waits. What can't be sent goes on waiting.
    fn flush(&self) -> Result<()> {
        self.settle_closing()?;
        let epochs = self.epochs.read_recursive();
        self.flush_in(epochs.current)
    }

    fn flush_in(&self, current: u32) -> Result<()> {
        let _one = self.flushing.lock();
        let mut batch: Vec<(OnlineKey, Waiting)> =
            self.waiting.lock().iter().map(|(key, waiting)| (*key, waiting.clone())).collect();
        if batch.is_empty() {
            return Ok(());
        }
        // In the order of the keys, so that what a broken connection left can be had again.
        batch.sort_unstable_by_key(|(key, _)| *key);
        let sent = self.server.put(&batch, current);
        let mut waiting = self.waiting.lock();
        match sent {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => {
                self.leads.store(false, Ordering::Release);
                waiting.clear();
            }
            Err(_) => waiting.values_mut().for_each(|waiting| waiting.in_doubt = true),
        }
        sent?;
        for (key, sent) in batch {
            let Some(now) = waiting.get_mut(&key) else { continue };
            if now.entry.version == sent.entry.version {
                waiting.remove(&key);
            } else {
                now.replaces = sent.entry.stored_version();
                now.in_doubt = false;
            }
        }
        Ok(())
    }
}

impl OnlineStore for RedisOnlineStore {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
        let entry = self.inner.load(key, Server::get_promptly)?;
        let known = self.inner.epochs.read_recursive().current;
        if entry.as_ref().is_some_and(|entry| entry.version.epoch > known) {
            self.inner.look()?;
        }
        read(entry.as_ref().and_then(|entry| entry.value(&self.inner.epochs.read_recursive())));
        Ok(())
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        self.inner.change(key, change)
    }

    fn remove(&self, key: OnlineKey) -> Result<()> {
        self.inner.change(key, &mut Vec::clear)
    }

    /// Reads everything: for reports, not for requests.
    fn check_size(&self, value: &[u8]) -> Result<()> {
        self.inner.check_size(value)
    }

    fn size(&self) -> Result<(u64, u64)> {
        self.inner.flush()?;
        let epochs = self.inner.epochs.read_recursive();
        let mut size = (0, 0);
        self.inner.server.scan(None, &mut |_, entry| {
            if let Some(value) = entry.value(&epochs) {
                size.0 += 1;
                size.1 += value.len() as u64;
            }
        })?;
        Ok(size)
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
        self.inner.flush()?;
        let epochs = self.inner.epochs.read_recursive();
        self.inner.server.scan(Some(space), &mut |key, entry| {
            if let Some(value) = entry.value(&epochs) {
                visit(key.id, value);
            }
        })
    }

    fn snapshot(&self, at: LogOffset) -> Result<()> {
        self.inner.settle_closing()?;
        // Nobody writes meanwhile.
        let mut epochs = self.inner.epochs.write();
        if !self.inner.leads.load(Ordering::Acquire) {
            return Err(self.inner.server.taken_over());
        }
        self.inner.flush_in(epochs.current)?;
        let closed = self.inner.server.close_epoch(epochs.current, at);
        if closed.is_err() {
            self.inner.closing.store(self.inner.counter.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Release);
        }
        closed?;
        epochs.current += 1;
        self.inner.latest_seen.fetch_max(epochs.current, Ordering::AcqRel);
        // Values that were removed kept what they were until now; nothing of them may stay.
        self.inner.server.forget_removed(&epochs)
    }

    fn restored_at(&self) -> Option<LogOffset> {
        *self.restored_at.lock()
    }

    fn lead(&self) -> Result<Option<LogOffset>> {
        let inner = &self.inner;
        // Nobody reads or writes meanwhile.
        let mut epochs = inner.epochs.write();
        let _one = inner.flushing.lock();
        let latest = inner.latest_seen.load(Ordering::Acquire).max(epochs.current);
        let (begun, at) = inner.server.begin(latest + 1)?;
        inner.latest_seen.fetch_max(begun.current, Ordering::AcqRel);
        inner.waiting.lock().clear();
        inner.closing.store(0, Ordering::Release);
        *epochs = begun;
        inner.leads.store(true, Ordering::Release);
        *self.restored_at.lock() = at;
        // The epoch has begun: whoever were told of a failure would go on from where the last one was.
        if let Err(error) = inner.server.forget_removed(&epochs) {
            tracing::warn!(%error, "online store: what was removed is forgotten at the next snapshot");
        }
        Ok(at)
    }

    fn still_leads(&self) -> Result<()> {
        if self.inner.leads.load(Ordering::Acquire) { Ok(()) } else { Err(self.inner.server.taken_over()) }
    }
}
