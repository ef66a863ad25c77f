//! Scores of the few items a query touches, as the models that follow lists give them.

use rustc_hash::FxHashMap;

use merx_numeric::top_k::TopK;

use crate::{Contribution, OpenQuery, Scored};

/// Sums of scores by item; an item never added to scores 0.
#[derive(Debug, Default)]
pub(crate) struct SparseScores {
    by_item: FxHashMap<u32, f32>,
}

impl SparseScores {
    pub(crate) fn with_capacity(items: usize) -> Self {
        Self { by_item: FxHashMap::with_capacity_and_hasher(items, Default::default()) }
    }

    #[inline]
    pub(crate) fn add(&mut self, item: u32, score: f32) {
        *self.by_item.entry(item).or_default() += score;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.by_item.iter().map(|(item, score)| (*item, *score))
    }

    fn get(&self, item: u32) -> f32 {
        self.by_item.get(&item).copied().unwrap_or(0.0)
    }
}

/// An open query whose scores were all computed when it was opened. `explain` is asked for one item at a time.
pub(crate) struct OpenSparse<E> {
    pub(crate) scores: SparseScores,
    pub(crate) explain: E,
}

impl<E: Fn(u32, usize) -> Vec<Contribution>> OpenQuery for OpenSparse<E> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let mut best = TopK::new(limit);
        for (&item, &score) in &self.scores.by_item {
            if score > 0.0 {
                best.offer(item, score);
            }
        }
        best.shrink();
        out.extend(best.kept().iter().take(limit).map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        for (&item, out) in items.iter().zip(out) {
            *out = self.scores.get(item);
        }
    }

    fn score_all(&mut self, out: &mut [f32]) {
        out.fill(0.0);
        for (&item, &score) in &self.scores.by_item {
            if let Some(place) = out.get_mut(item as usize) {
                *place = score;
            }
        }
    }

    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        (self.explain)(item, limit)
    }
}
