//! What one event changes, all of it or nothing.
//!
//! An event changes several values, and a service may fail between two of them. Begun again, the event would count twice
//! where it had counted already. So its changes are drafted here first, each with the whole value that comes of it; what is
//! sent of them may be sent again.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_store::{LogOffset, OnlineKey, OnlineStore, Result};
use parking_lot::Mutex;

/// Reads through to the store; holds changes back until they are [settled](Drafts::settle) or [dropped](Drafts::discard).
pub(crate) struct Drafts {
    store: Arc<dyn OnlineStore>,
    changed: Mutex<BTreeMap<OnlineKey, Vec<u8>>>,
}

impl Drafts {
    pub(crate) fn over(store: Arc<dyn OnlineStore>) -> Self {
        Self { store, changed: Mutex::default() }
    }

    /// Brings what is drafted to the store. Where it fails the rest stays, to be settled before anything else.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut changed = self.changed.lock();
        while let Some(first) = changed.first_entry() {
            self.store.update(*first.key(), &mut |value| value.clone_from(first.get()))?;
            first.remove();
        }
        Ok(())
    }

    pub(crate) fn discard(&self) {
        self.changed.lock().clear();
    }
}

impl OnlineStore for Drafts {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
        match self.changed.lock().get(&key) {
            Some(value) => {
                read(Some(value.as_slice()).filter(|value| !value.is_empty()));
                Ok(())
            }
            None => self.store.read(key, read),
        }
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut changed = self.changed.lock();
        let mut value = match changed.remove(&key) {
            Some(value) => value,
            None => {
                let mut held = Vec::new();
                self.store.read(key, &mut |value| held.extend_from_slice(value.unwrap_or_default()))?;
                held
            }
        };
        change(&mut value);
        // Before anything of the event is sent: it is applied whole or not at all.
        self.store.check_size(&value)?;
        changed.insert(key, value);
        Ok(())
    }

    fn remove(&self, key: OnlineKey) -> Result<()> {
        self.changed.lock().insert(key, Vec::new());
        Ok(())
    }

    fn check_size(&self, value: &[u8]) -> Result<()> {
        self.store.check_size(value)
    }

    fn size(&self) -> Result<(u64, u64)> {
        self.store.size()
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
        self.store.scan(space, visit)
    }

    fn snapshot(&self, at: LogOffset) -> Result<()> {
        self.store.snapshot(at)
    }

    fn restored_at(&self) -> Option<LogOffset> {
        self.store.restored_at()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use merx_store::StoreError;
    use merx_store::embedded::MemoryOnlineStore;

    use super::*;

    /// Fails every call but the first few.
    struct Failing {
        store: MemoryOnlineStore,
        left: AtomicU64,
    }

    impl Failing {
        fn call(&self) -> Result<()> {
            let left = self.left.load(Ordering::SeqCst);
            self.left.store(left.saturating_sub(1), Ordering::SeqCst);
            match left {
                0 => Err(StoreError::Unavailable { what: "online store", detail: "away".to_owned() }),
                _ => Ok(()),
            }
        }
    }

    impl OnlineStore for Failing {
        fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
            self.call()?;
            self.store.read(key, read)
        }

        fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
            self.call()?;
            self.store.update(key, change)
        }

        fn remove(&self, key: OnlineKey) -> Result<()> {
            self.store.remove(key)
        }

        fn size(&self) -> Result<(u64, u64)> {
            self.store.size()
        }

        fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
            self.store.scan(space, visit)
        }

        fn snapshot(&self, at: LogOffset) -> Result<()> {
            self.store.snapshot(at)
        }

        fn restored_at(&self) -> Option<LogOffset> {
            None
        }
    }

    fn key(id: u128) -> OnlineKey {
        OnlineKey { space: 1, id }
    }

    fn value(store: &dyn OnlineStore, id: u128) -> Vec<u8> {
        let mut held = Vec::new();
        store.read(key(id), &mut |value| held.extend_from_slice(value.unwrap_or_default())).unwrap();
        held
    }

    #[test]
    fn a_store_that_fails_in_the_middle_counts_nothing_twice() {
        for calls in 0..12 {
            let store = Arc::new(Failing { store: MemoryOnlineStore::volatile(), left: AtomicU64::new(calls) });
            let drafts = Drafts::over(Arc::clone(&store) as _);
            let count = || -> Result<()> {
                drafts.settle()?;
                let counted = (1..4).try_for_each(|id| drafts.update(key(id), &mut |value| value.push(7)));
                counted.inspect_err(|_| drafts.discard())
            };
            // Once more where the first time broke off; what was only not sent is sent.
            let counted = count();
            let settled = counted.is_ok() && drafts.settle().is_ok();
            store.left.store(u64::MAX, Ordering::SeqCst);
            match (counted, settled) {
                (Err(_), _) => count().and_then(|()| drafts.settle()).unwrap(),
                (Ok(()), false) => drafts.settle().unwrap(),
                _ => {}
            }
            for id in 1..4 {
                assert_eq!(value(&store.store, id), [7], "{calls} calls, value {id}");
            }
        }
    }

    #[test]
    fn a_draft_is_read_as_if_it_were_settled() {
        let store = Arc::new(MemoryOnlineStore::volatile());
        store.update(key(1), &mut |value| value.push(1)).unwrap();
        let drafts = Drafts::over(Arc::clone(&store) as _);
        drafts.update(key(1), &mut |value| value.push(2)).unwrap();
        drafts.update(key(2), &mut |value| value.push(3)).unwrap();
        drafts.remove(key(2)).unwrap();
        assert_eq!((value(&drafts, 1), value(&drafts, 2)), (vec![1, 2], Vec::new()));
        assert_eq!(value(&*store, 1), [1]);
        drafts.settle().unwrap();
        assert_eq!((value(&*store, 1), value(&*store, 2)), (vec![1, 2], Vec::new()));
    }
}
