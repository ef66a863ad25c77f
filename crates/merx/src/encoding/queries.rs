//! Vectors of queries: those asked for lately are kept, new ones wait for whoever makes them.
//!
//! In memory only: what people type is written nowhere that doesn't forget.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use merx_discovery::search::QueryVectors;
use parking_lot::{Condvar, Mutex};
use rustc_hash::{FxHashMap, FxHashSet};

/// Queries that wait for their vectors; beyond these the next search for one asks again.
const MOST_WAITING: usize = 64;

#[derive(Default)]
struct State {
    known: FxHashMap<String, (Arc<[f32]>, u64)>,
    /// By when it was asked for last.
    by_use: BTreeMap<u64, String>,
    uses: u64,
    waiting: VecDeque<String>,
    /// Waiting or being made.
    expected: FxHashSet<String>,
    counts: Counts,
}

/// Since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Searches whose vector was at hand, came in time, or didn't.
    pub(crate) at_hand: u64,
    pub(crate) in_time: u64,
    pub(crate) late: u64,
}

pub(crate) struct QueryCache {
    most: usize,
    state: Mutex<State>,
    asked: Condvar,
    made: Condvar,
}

impl State {
    fn find(&mut self, text: &str) -> Option<Arc<[f32]>> {
        let (vector, used) = self.known.get_mut(text)?;
        self.uses += 1;
        if let Some(text) = self.by_use.remove(used) {
            self.by_use.insert(self.uses, text);
        }
        *used = self.uses;
        Some(Arc::clone(vector))
    }
}

impl QueryCache {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), state: Mutex::default(), asked: Condvar::new(), made: Condvar::new() }
    }

    /// Asks for a vector that isn't at hand, and waits so long for it.
    pub(crate) fn want(&self, text: &str, wait: Duration) {
        let mut state = self.state.lock();
        if state.find(text).is_some() {
            state.counts.at_hand += 1;
            return;
        }
        if !state.expected.contains(text) && state.waiting.len() < MOST_WAITING {
            state.waiting.push_back(text.to_owned());
            state.expected.insert(text.to_owned());
            self.asked.notify_one();
        }
        if !wait.is_zero() {
            self.made.wait_while_for(&mut state, |state| state.expected.contains(text), wait);
        }
        match state.known.contains_key(text) {
            true => state.counts.in_time += 1,
            false => state.counts.late += 1,
        }
    }

    /// What waits for vectors, `most` at once; after `pause` nothing perhaps.
    pub(crate) fn next(&self, most: usize, pause: Duration) -> Vec<String> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            self.asked.wait_for(&mut state, pause);
        }
        let count = state.waiting.len().min(most);
        state.waiting.drain(..count).collect()
    }

    pub(crate) fn put(&self, text: &str, vector: Vec<f32>) {
        let mut state = self.state.lock();
        state.expected.remove(text);
        if state.find(text).is_none() {
            state.uses += 1;
            let used = state.uses;
            state.known.insert(text.to_owned(), (vector.into(), used));
            state.by_use.insert(used, text.to_owned());
        }
        while state.known.len() > self.most
            && let Some((_, oldest)) = state.by_use.pop_first()
        {
            state.known.remove(&oldest);
        }
        self.made.notify_all();
    }

    /// No vectors for these; whoever waits goes on without.
    pub(crate) fn give_up(&self, texts: &[String]) {
        let mut state = self.state.lock();
        for text in texts {
            state.expected.remove(text);
        }
        self.made.notify_all();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().known.len()
    }
}

impl QueryVectors for QueryCache {
    fn at_hand(&self, text: &str) -> Option<Arc<[f32]>> {
        self.state.lock().find(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_goes() {
        let cache = QueryCache::new(2);
        cache.put("a", vec![1.0]);
        cache.put("b", vec![2.0]);
        assert!(cache.at_hand("a").is_some());
        cache.put("c", vec![3.0]);
        assert!(cache.at_hand("b").is_none() && cache.at_hand("a").is_some() && cache.at_hand("c").is_some());
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_miss_is_made_for_the_next_time_and_the_queue_is_bounded() {
        let cache = QueryCache::new(10);
        cache.want("lamp", Duration::ZERO);
        cache.want("lamp", Duration::ZERO);
        assert_eq!(cache.next(10, Duration::ZERO), ["lamp"]);
        cache.want("lamp", Duration::ZERO);
        assert!(cache.next(10, Duration::ZERO).is_empty(), "it is being made");
        cache.put("lamp", vec![1.0]);
        cache.want("lamp", Duration::ZERO);
        assert_eq!(cache.counts(), Counts { at_hand: 1, in_time: 0, late: 3 });
        (0..1_000).for_each(|at| cache.want(&at.to_string(), Duration::ZERO));
        let waiting = cache.next(1_000, Duration::ZERO);
        assert_eq!(waiting.len(), MOST_WAITING);
        cache.give_up(&waiting);
        cache.want("0", Duration::ZERO);
        assert_eq!(cache.next(10, Duration::ZERO), ["0"], "what failed may be asked for again");
    }

    #[test]
    fn who_waits_is_told_when_it_is_there() {
        let cache = Arc::new(QueryCache::new(10));
        let maker = Arc::clone(&cache);
        let thread = std::thread::spawn(move || {
            loop {
                if let Some(text) = maker.next(1, Duration::from_millis(50)).pop() {
                    return maker.put(&text, vec![1.0]);
                }
            }
        });
        cache.want("lamp", Duration::from_secs(60));
        thread.join().unwrap();
        assert!(cache.at_hand("lamp").is_some());
        assert_eq!(cache.counts().in_time, 1);
    }
}
