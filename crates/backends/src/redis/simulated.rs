//! Redis in memory: the scripts' effects, without a server, a thread or a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use merx_store::{LogOffset, OnlineKey, Result};
use parking_lot::Mutex;

use super::RedisOnlineStore;
use super::entry::{VERSION_BYTES, Version};
use super::server::{Commands, Put, Server};
use crate::simulated::Network;

/// The longest value, as of a server that is not told otherwise.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// What the server keeps, shared by the processes of a simulation.
#[derive(Default)]
pub struct SimulatedRedis(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    epoch: Option<u32>,
    abandoned: String,
    at: String,
    first: String,
    writer: String,
    /// Processes that have reached it.
    writers: u64,
    values: BTreeMap<OnlineKey, Vec<u8>>,
    removed: BTreeSet<OnlineKey>,
}

impl SimulatedRedis {
    /// `FLUSHALL`.
    pub fn flush(&self) {
        let mut kept = self.0.lock();
        *kept = Kept { writers: kept.writers, ..Kept::default() };
    }
}

impl RedisOnlineStore {
    /// The store of one process of a simulation. What waits goes out when [`RedisOnlineStore::send`] says so, and another
    /// process's epochs are looked at when [`RedisOnlineStore::look`] does.
    pub fn simulated(server: &Arc<SimulatedRedis>, network: Arc<dyn Network>) -> Result<Self> {
        let reached = Reached { server: Arc::clone(server), network };
        let writer = {
            let mut kept = server.0.lock();
            kept.writers += 1;
            kept.writers.to_string()
        };
        Self::over(Server::reached_by(reached, "simulated".to_owned(), writer), MAX_VALUE_BYTES)
    }
}

/// The server as one process reaches it.
struct Reached {
    server: Arc<SimulatedRedis>,
    network: Arc<dyn Network>,
}

impl Reached {
    fn ask<T>(&self, what: &'static str, work: impl FnOnce(&mut Kept) -> T) -> Result<T> {
        self.network.request(what)?;
        let done = work(&mut self.server.0.lock());
        self.network.answer(what)?;
        Ok(done)
    }
}

impl Kept {
    /// The script `BEGIN`.
    fn begin(&mut self, least: u32, writer: &str, leap: u32) -> [String; 4] {
        writer.clone_into(&mut self.writer);
        let mut epoch = least + leap;
        if let Some(open) = self.epoch {
            self.abandoned.push_str(&format!("{open} "));
            epoch = least.max(open + 1);
        } else {
            self.first = epoch.to_string();
        }
        self.epoch = Some(epoch);
        [epoch.to_string(), self.abandoned.clone(), self.at.clone(), self.first.clone()]
    }

    /// The script `CLOSE`.
    fn close(&mut self, epoch: u32, at: LogOffset, writer: &str) -> bool {
        if self.epoch != Some(epoch) || self.writer != writer {
            return false;
        }
        (self.epoch, self.at) = (Some(epoch + 1), at.0.to_string());
        true
    }

    /// The script `PUT`, and the noting of a removal before it.
    fn put(&mut self, put: &Put) -> bool {
        if put.notes_removal {
            self.removed.insert(put.key);
        }
        let held = self.values.get(&put.key).and_then(|value| Version::read(value.first_chunk::<VERSION_BYTES>()?));
        let mine = match held {
            None => put.replaces.is_none() || put.maybe_gone,
            Some(held) => {
                put.replaces == Some(held) || (held.epoch == put.version.epoch && held.number <= put.version.number)
            }
        };
        if mine && put.bytes.is_empty() {
            self.values.remove(&put.key);
        } else if mine {
            self.values.insert(put.key, put.bytes.clone());
        }
        mine
    }
}

impl Commands for Reached {
    fn is_silent(&self) -> bool {
        false
    }

    fn probe(&self) {}

    fn meta(&self) -> Result<[Option<String>; 5]> {
        self.ask("redis.meta", |kept| {
            let noted = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            [
                kept.epoch.map(|epoch| epoch.to_string()),
                noted(&kept.abandoned),
                noted(&kept.at),
                noted(&kept.first),
                noted(&kept.writer),
            ]
        })
    }

    fn begin(&self, least: u32, writer: &str, leap: u32) -> Result<[String; 4]> {
        self.ask("redis.begin", |kept| kept.begin(least, writer, leap))
    }

    fn close(&self, epoch: u32, at: LogOffset, writer: &str) -> Result<bool> {
        self.ask("redis.close", |kept| kept.close(epoch, at, writer))
    }

    fn get(&self, key: OnlineKey) -> Result<Option<Vec<u8>>> {
        self.ask("redis.get", |kept| kept.values.get(&key).cloned())
    }

    fn get_promptly(&self, key: OnlineKey) -> Result<Option<Vec<u8>>> {
        self.get(key)
    }

    /// A pipeline: it may break off after any of its writings.
    fn put(&self, puts: &[Put]) -> Result<Vec<bool>> {
        let (first, rest) = puts.split_at(puts.len() / 2);
        let mut written: Vec<bool> =
            self.ask("redis.put", |kept| first.iter().map(|put| kept.put(put)).collect::<Vec<_>>())?;
        written.extend(self.ask("redis.put", |kept| rest.iter().map(|put| kept.put(put)).collect::<Vec<_>>())?);
        Ok(written)
    }

    fn removed(&self, limit: usize) -> Result<Vec<OnlineKey>> {
        self.ask("redis.removed", |kept| kept.removed.iter().take(limit).copied().collect())
    }

    fn settle_removed(&self, keys: &[OnlineKey]) -> Result<()> {
        self.ask("redis.settle", |kept| kept.removed.retain(|key| !keys.contains(key)))
    }

    fn scan(&self, space: Option<u8>, visit: &mut dyn FnMut(OnlineKey, &[u8]) -> Result<()>) -> Result<()> {
        let held = self.ask("redis.scan", |kept| kept.values.clone())?;
        let mut wanted = held.iter().filter(|(key, _)| space.is_none_or(|space| key.space == space));
        wanted.try_for_each(|(key, value)| visit(*key, value))
    }
}

#[cfg(test)]
mod tests {
    use merx_store::{OnlineStore, conformance};

    use super::*;
    use crate::simulated::Direct;

    #[test]
    fn conformance() {
        let server = Arc::default();
        conformance::online_store(&|| {
            let store = RedisOnlineStore::simulated(&server, Arc::new(Direct))?;
            store.lead()?;
            Ok(Arc::new(store))
        });
    }

    /// The server lost its memory, and the one that takes over has not seen how far the other one was.
    #[test]
    fn who_was_replaced_after_a_loss_of_memory_writes_nothing() {
        let server = Arc::default();
        let open = || RedisOnlineStore::simulated(&server, Arc::new(Direct)).unwrap();
        let next = open();
        let first = open();
        first.lead().unwrap();
        let key = OnlineKey { space: 1, id: 1 };
        first.update(key, &mut |value| value.push(1)).unwrap();
        server.flush();
        next.lead().unwrap();
        assert!(first.send().is_err());
        next.update(key, &mut |value| value.push(2)).unwrap();
        next.send().unwrap();
        next.read(key, &mut |value| assert_eq!(value, Some(&[2][..]))).unwrap();
    }

    /// Whoever looks after a loss of memory finds no epoch, and begins none of those that were there before: what was written in them may
    /// still be on its way.
    #[test]
    fn an_epoch_is_never_begun_twice() {
        let server: Arc<SimulatedRedis> = Arc::default();
        let store = RedisOnlineStore::simulated(&server, Arc::new(Direct)).unwrap();
        let key = OnlineKey { space: 1, id: 1 };
        let mut epochs = std::collections::BTreeSet::new();
        for _ in 0..3 {
            store.lead().unwrap();
            assert!(epochs.insert(store.inner.epochs.read().current), "{epochs:?}");
            store.update(key, &mut |value| value.push(1)).unwrap();
            store.send().unwrap();
            server.flush();
            store.look().unwrap();
            assert!(store.still_leads().is_err(), "with nothing to write it is noticed too");
        }
    }

    /// Loses the first answer to the closing of an epoch.
    #[derive(Default)]
    struct LosesAClosing(std::sync::atomic::AtomicBool);

    impl Network for LosesAClosing {
        fn request(&self, _what: &'static str) -> Result<()> {
            Ok(())
        }

        fn answer(&self, what: &'static str) -> Result<()> {
            if what == "redis.close" && !self.0.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return Err(merx_store::StoreError::Unavailable { what: "online store", detail: "lost".to_owned() });
            }
            Ok(())
        }
    }

    #[test]
    fn a_snapshot_whose_answer_was_lost_was_taken_and_what_comes_after_is_known_at_once() {
        let server = Arc::default();
        let store = RedisOnlineStore::simulated(&server, Arc::new(LosesAClosing::default())).unwrap();
        let key = OnlineKey { space: 1, id: 1 };
        store.lead().unwrap();
        store.update(key, &mut |value| value.push(1)).unwrap();
        assert!(store.snapshot(LogOffset(5)).is_err());
        store.update(key, &mut |value| value.push(2)).unwrap();
        store.send().unwrap();
        store.still_leads().unwrap();
        store.read(key, &mut |value| assert_eq!(value, Some(&[1, 2][..]))).unwrap();
        let next = RedisOnlineStore::simulated(&server, Arc::new(Direct)).unwrap();
        assert_eq!(next.lead().unwrap(), Some(LogOffset(5)));
        next.read(key, &mut |value| assert_eq!(value, Some(&[1][..]))).unwrap();
    }

    #[test]
    fn who_is_replaced_reads_by_the_epochs_of_the_next_one() {
        let server = Arc::default();
        let open = || RedisOnlineStore::simulated(&server, Arc::new(Direct)).unwrap();
        let (first, next) = (open(), open());
        let key = OnlineKey { space: 1, id: 1 };
        first.lead().unwrap();
        first.update(key, &mut |value| value.push(1)).unwrap();
        first.send().unwrap();
        // The next one goes back to the last snapshot, of which there is none.
        next.lead().unwrap();
        first.send().unwrap();
        first.look().unwrap();
        first.read(key, &mut |value| assert_eq!(value, None)).unwrap();
        assert!(first.still_leads().is_err() && next.still_leads().is_ok());
    }
}
