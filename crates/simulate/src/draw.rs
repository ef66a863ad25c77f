//! Draws in the shapes that the simulation needs, and a hash for those that must not depend on any order.

use merx_numeric::rng::Rng;

/// Mixes words into one (the finaliser of SplitMix64); every input bit reaches every output bit.
pub(crate) fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x517c_c1b7_2722_0a95, |state, &word| finish(state ^ word))
}

fn finish(word: u64) -> u64 {
    let mut bits = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A hash as a number in [0, 1).
pub(crate) fn unit(hash: u64) -> f32 {
    (hash >> 40) as f32 / (1_u64 << 24) as f32
}

pub(crate) trait Draw {
    /// Uniform in [0, 1).
    fn share(&mut self) -> f32;
    /// Standard normal.
    fn gauss(&mut self) -> f32;
    fn happens(&mut self, probability: f32) -> bool;
    /// The place of a draw in proportion to its weight; `None` where all weights are 0.
    fn weighted(&mut self, weights: &[f32]) -> Option<usize>;
    /// One of `from`, which is not empty.
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T;
}

impl Draw for Rng {
    fn share(&mut self) -> f32 {
        unit(self.next_u64())
    }

    fn gauss(&mut self) -> f32 {
        self.normal() as f32
    }

    fn happens(&mut self, probability: f32) -> bool {
        self.share() < probability
    }

    fn weighted(&mut self, weights: &[f32]) -> Option<usize> {
        let total: f32 = weights.iter().sum();
        let mut left = self.share() * total;
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return Some(place);
            }
            left -= weight;
        }
        weights.iter().rposition(|weight| *weight > 0.0)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
