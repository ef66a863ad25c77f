//! Events that were refused: counted by reason, the last ones kept for whoever has to mend the sender.

use std::collections::{BTreeMap, VecDeque};

use merx_domain::TimestampMs;
use merx_ingest::Rejection;
use parking_lot::Mutex;

/// How many refused events are remembered.
const KEPT: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rejected {
    pub(crate) at: TimestampMs,
    /// Id of the key that sent it.
    pub(crate) key: String,
    pub(crate) rejection: Rejection,
}

#[derive(Debug, Default)]
pub(crate) struct Rejects(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    counts: BTreeMap<&'static str, u64>,
    last: VecDeque<Rejected>,
}

impl Rejects {
    pub(crate) fn add(&self, at: TimestampMs, key: &str, rejections: &[Rejection]) {
        let mut kept = self.0.lock();
        for rejection in rejections {
            *kept.counts.entry(rejection.reason.code()).or_default() += 1;
            if kept.last.len() == KEPT {
                kept.last.pop_front();
            }
            kept.last.push_back(Rejected { at, key: key.to_owned(), rejection: rejection.clone() });
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().counts.clone()
    }

    /// Newest first.
    pub(crate) fn last(&self, limit: usize) -> Vec<Rejected> {
        self.0.lock().last.iter().rev().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use merx_ingest::Reason;

    use super::*;

    #[test]
    fn keeps_the_last_and_counts_all() {
        let rejects = Rejects::default();
        for position in 0..KEPT + 5 {
            rejects.add(TimestampMs(0), "k", &[Rejection { position, reason: Reason::NoUserAnonId }]);
        }
        assert_eq!(rejects.counts()["no_user_anon_id"], KEPT as u64 + 5);
        let last = rejects.last(usize::MAX);
        assert_eq!((last.len(), last[0].rejection.position), (KEPT, KEPT + 4));
    }
}
