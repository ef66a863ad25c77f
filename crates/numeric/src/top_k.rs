//! The largest of many scores.

use std::cmp::Ordering;

/// A score and whose it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    pub index: u32,
    pub score: f32,
}

impl Hit {
    /// Best first; equal scores by index.
    #[inline]
    pub fn rank(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.index.cmp(&other.index))
    }
}

/// Keeps the `limit` best of the scores it is offered; equal scores rank by index, so the order of offers is of no
/// account. Scores that are not numbers are never kept. Holds at most twice `limit`, and shrinks by partial selection:
/// constant time an offer.
#[derive(Debug, Clone)]
pub struct TopK {
    limit: usize,
    kept: Vec<Hit>,
    threshold: f32,
}

impl TopK {
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::with_capacity(2 * limit.min(1 << 16)), threshold: f32::NEG_INFINITY }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A score below this one won't be kept.
    #[inline]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    #[inline]
    pub fn offer(&mut self, index: u32, score: f32) {
        if score >= self.threshold && self.limit > 0 {
            self.kept.push(Hit { index, score });
            if self.kept.len() >= 2 * self.limit {
                self.shrink();
            }
        }
    }

    /// Drops what can't be among the best any more, and raises the threshold.
    pub fn shrink(&mut self) {
        if self.kept.len() >= self.limit && self.limit > 0 {
            let (_, worst, _) = self.kept.select_nth_unstable_by(self.limit - 1, Hit::rank);
            self.threshold = worst.score;
            self.kept.truncate(self.limit);
        }
    }

    /// What is kept, in no order; at most twice the limit.
    pub fn kept(&self) -> &[Hit] {
        &self.kept
    }

    /// The best, best first. Empties it for the next use.
    pub fn drain_sorted(&mut self) -> Vec<Hit> {
        self.shrink();
        let mut best = std::mem::take(&mut self.kept);
        self.threshold = f32::NEG_INFINITY;
        best.sort_unstable_by(Hit::rank);
        best
    }
}

/// The `limit` best of dense scores, best first. Scores of minus infinity are left out.
pub fn top_k(scores: &[f32], limit: usize) -> Vec<Hit> {
    /// So many scores are compared with the threshold at once.
    const STRIDE: usize = 32;
    let mut best = TopK::new(limit);
    for (stride, scores) in scores.chunks(STRIDE).enumerate() {
        let threshold = best.threshold();
        if scores.iter().fold(false, |any, score| any | (*score >= threshold)) {
            for (at, &score) in scores.iter().enumerate() {
                if score > f32::NEG_INFINITY {
                    best.offer((stride * STRIDE + at) as u32, score);
                }
            }
        }
    }
    best.drain_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_sorting(scores: &[f32], limit: usize) -> Vec<Hit> {
        let mut all: Vec<Hit> = (0u32..)
            .zip(scores)
            .filter(|(_, score)| **score > f32::NEG_INFINITY)
            .map(|(index, &score)| Hit { index, score })
            .collect();
        all.sort_by(Hit::rank);
        all.truncate(limit);
        all
    }

    proptest! {
        #[test]
        fn selection_is_sorting_and_cutting(small in prop::collection::vec(-3i8..4, 0..300), limit in 0usize..40) {
            // Few different values, so that many are equal.
            let scores: Vec<f32> = small.iter().map(|&x| if x == -3 { f32::NEG_INFINITY } else { f32::from(x) }).collect();
            prop_assert_eq!(top_k(&scores, limit), by_sorting(&scores, limit));
        }

        #[test]
        fn the_order_of_offers_is_of_no_account(small in prop::collection::vec(0u8..5, 1..200), limit in 1usize..20) {
            let scores: Vec<f32> = small.iter().map(|&x| f32::from(x)).collect();
            let mut best = TopK::new(limit);
            for (index, &score) in scores.iter().enumerate().rev() {
                best.offer(index as u32, score);
            }
            prop_assert_eq!(best.drain_sorted(), by_sorting(&scores, limit));
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_kept() {
        assert_eq!(top_k(&[f32::NAN, 1.0, f32::NAN], 2), [Hit { index: 1, score: 1.0 }]);
    }
}
