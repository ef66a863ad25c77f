//! Whether what comes today is still like what came when a model was new.
//!
//! Two measures that fail in different ways: the population stability index over bins of the reference, and the distance of Kolmogorov and
//! Smirnov between samples. Thresholds know how many values were compared, so that few of them are no alarm and many no hair trigger.

use merx_numeric::distributions::normal_quantile;
use serde::{Deserialize, Serialize};

/// Bins of the index, at most: deciles of the reference.
const BINS: usize = 10;
/// Values of a sample that are kept, evenly spaced in its order.
const KEPT: usize = 2_000;
/// Samples of fewer values say nothing.
pub const FEWEST: usize = 100;
/// Below these a difference is real and doesn't matter. An index of .1 is the usual rule for "look at it" (Siddiqi, "Credit Risk
/// Scorecards", 2006, section 5.1).
const LEAST_PSI: f64 = 0.1;
const LEAST_KS: f64 = 0.05;

/// How a number was spread when all was well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub count: u64,
    /// Upper ends of all bins but the last, ascending, without repeats.
    edges: Vec<f64>,
    /// Of each bin, one more than edges.
    counts: Vec<u64>,
    /// Ascending.
    sample: Vec<f64>,
}

/// How far a number is from its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub name: String,
    pub reference_count: u64,
    pub count: u64,
    /// Population stability index.
    pub psi: f64,
    pub psi_threshold: f64,
    /// Largest distance between the two distribution functions.
    pub ks: f64,
    pub ks_threshold: f64,
    pub drifted: bool,
}

/// So many of so many: decisions that were clicked of decisions that were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    pub count: u64,
    pub of: u64,
}

impl Share {
    pub fn rate(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    /// Whether it fell to `now` by at least `least` of itself, and not by a chance of `alpha`: the one-sided z test of two shares with their
    /// pooled variance (Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", 2003, section 3.2). Fewer than [`FEWEST`]
    /// on either side say nothing.
    pub fn fell_to(self, now: Self, least: f64, alpha: f64) -> bool {
        let (Some(before), Some(after)) = (self.rate(), now.rate()) else { return false };
        if self.of.min(now.of) < FEWEST as u64 || before - after < least * before {
            return false;
        }
        let pooled = (self.count + now.count) as f64 / (self.of + now.of) as f64;
        let spread = (pooled * (1.0 - pooled) * (1.0 / self.of as f64 + 1.0 / now.of as f64)).sqrt();
        spread > 0.0 && (before - after) / spread > normal_quantile(1.0 - alpha)
    }
}

impl Reference {
    /// `None`: fewer than [`FEWEST`] finite values.
    pub fn of(name: &str, values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        if sorted.len() < FEWEST {
            return None;
        }
        let mut edges: Vec<f64> = (1..BINS).map(|bin| sorted[sorted.len() * bin / BINS]).collect();
        edges.dedup();
        // Nothing lies beyond the largest value: a bin for it would always be empty.
        if edges.last() == sorted.last() {
            edges.pop();
        }
        let counts = counts(&edges, &sorted);
        Some(Self { name: name.to_owned(), count: sorted.len() as u64, edges, counts, sample: thinned(&sorted) })
    }

    /// Compares values with the reference. `alpha`: how often each of the two measures may cry wolf. `None`: too few values.
    pub fn drift(&self, values: &[f64], alpha: f64) -> Option<Drift> {
        let sorted = sorted(values);
        if sorted.len() < FEWEST {
            return None;
        }
        let now = counts(&self.edges, &sorted);
        let (n, m) = (self.count as f64, sorted.len() as f64);
        let psi = stability_index(&self.counts, &now);
        let psi_threshold = psi_threshold(self.counts.len(), n, m, alpha);
        let sample = thinned(&sorted);
        let ks = kolmogorov_smirnov(&self.sample, &sample);
        let ks_threshold = ks_threshold(self.sample.len() as f64, sample.len() as f64, alpha);
        Some(Drift {
            name: self.name.clone(),
            reference_count: self.count,
            count: sorted.len() as u64,
            psi,
            psi_threshold,
            ks,
            ks_threshold,
            drifted: psi > psi_threshold || ks > ks_threshold,
        })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn thinned(sorted: &[f64]) -> Vec<f64> {
    let kept = sorted.len().min(KEPT);
    (0..kept).map(|place| sorted[place * sorted.len() / kept]).collect()
}

fn counts(edges: &[f64], sorted: &[f64]) -> Vec<u64> {
    let mut below = 0;
    let mut counts = Vec::with_capacity(edges.len() + 1);
    for edge in edges {
        let until = sorted.partition_point(|value| value <= edge);
        counts.push((until - below) as u64);
        below = until;
    }
    counts.push((sorted.len() - below) as u64);
    counts
}

/// Sum over bins of (q - p) ln (q / p); half a value more in each bin, so that an empty one is no infinity.
fn stability_index(reference: &[u64], now: &[u64]) -> f64 {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let sum: f64 = counts.iter().map(|count| *count as f64 + 0.5).sum();
        counts.iter().map(|count| (*count as f64 + 0.5) / sum).collect()
    };
    shares(reference).iter().zip(shares(now)).map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

/// Where nothing has drifted the index is about (1/n + 1/m) times a chi-squared variable with B - 1 degrees of freedom: Yurdakul,
/// "Statistical Properties of Population Stability Index", 2018, section 3.
fn psi_threshold(bins: usize, n: f64, m: f64, alpha: f64) -> f64 {
    let chance = (1.0 / n + 1.0 / m) * chi_squared_quantile(1.0 - alpha, bins.saturating_sub(1).max(1) as f64);
    chance.max(LEAST_PSI)
}

/// By the cube-root approximation of Wilson and Hilferty, 1931; good to a per cent in the upper tail.
fn chi_squared_quantile(p: f64, df: f64) -> f64 {
    let spread = 2.0 / (9.0 * df);
    df * (1.0 - spread + normal_quantile(p) * spread.sqrt()).powi(3)
}

fn kolmogorov_smirnov(one: &[f64], other: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0f64);
    while i < one.len() && j < other.len() {
        let value = one[i].min(other[j]);
        // All that are equal are stepped over before the functions are compared.
        i += one[i..].iter().take_while(|next| **next <= value).count();
        j += other[j..].iter().take_while(|next| **next <= value).count();
        largest = largest.max((i as f64 / one.len() as f64 - j as f64 / other.len() as f64).abs());
    }
    largest
}

/// Smirnov's limit: sqrt(-ln(alpha / 2) / 2) sqrt((n + m) / (n m)).
fn ks_threshold(n: f64, m: f64, alpha: f64) -> f64 {
    ((-(alpha / 2.0).ln() / 2.0).sqrt() * ((n + m) / (n * m)).sqrt()).max(LEAST_KS)
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    fn normal(rng: &mut Rng, count: usize, shift: f64) -> Vec<f64> {
        (0..count).map(|_| rng.normal() + shift).collect()
    }

    /// Purchases so far: mostly none, some one, few more.
    fn counted(rng: &mut Rng, count: usize, share: f64) -> Vec<f64> {
        (0..count).map(|_| f64::from(u8::from(rng.chance(share))) * (1 + rng.below(3)) as f64).collect()
    }

    #[test]
    fn nothing_is_told_where_nothing_changed_however_few_values() {
        let rng = Rng::from_seed(3);
        for (size, trials) in [(120, 400), (1_000, 200), (20_000, 20)] {
            let mut alarms = 0;
            for trial in 0..trials {
                let mut rng = rng.split(trial * 100_000 + size as u64);
                let reference = Reference::of("x", &normal(&mut rng, size, 0.0)).unwrap();
                alarms += usize::from(reference.drift(&normal(&mut rng, size, 0.0), 0.001).unwrap().drifted);
                let reference = Reference::of("n", &counted(&mut rng, size, 0.2)).unwrap();
                alarms += usize::from(reference.drift(&counted(&mut rng, size, 0.2), 0.001).unwrap().drifted);
            }
            // Four measures a trial at one in a thousand; the index's limit is rough for a hundred values.
            assert!(alarms as f64 <= 0.01 * trials as f64 + 2.0, "{alarms} of {trials} at {size}");
        }
    }

    #[test]
    fn a_shift_is_found_once_there_are_enough_values() {
        let mut rng = Rng::from_seed(5);
        let reference = Reference::of("x", &normal(&mut rng, 5_000, 0.0)).unwrap();
        assert!(reference.drift(&normal(&mut rng, 5_000, 0.4), 0.001).unwrap().drifted);
        assert!(
            !reference.drift(&normal(&mut rng, 5_000, 0.03), 0.001).unwrap().drifted,
            "real, and it doesn't matter"
        );
        assert!(reference.drift(&normal(&mut rng, 50, 0.4), 0.001).is_none(), "too few to say");
        let reference = Reference::of("n", &counted(&mut rng, 5_000, 0.2)).unwrap();
        let drift = reference.drift(&counted(&mut rng, 5_000, 0.4), 0.001).unwrap();
        assert!(drift.drifted && drift.psi > drift.psi_threshold && drift.ks > drift.ks_threshold);
        // What became all one value has drifted too.
        assert!(reference.drift(&[1.0; 500], 0.001).unwrap().drifted);
    }

    #[test]
    fn a_constant_is_a_reference_like_any_other() {
        let reference = Reference::of("c", &[2.0; 300]).unwrap();
        assert!(!reference.drift(&[2.0; 300], 0.001).unwrap().drifted);
        assert!(reference.drift(&[3.0; 300], 0.001).unwrap().drifted);
        assert_eq!(Reference::of("few", &[1.0; 99]), None);
    }

    #[test]
    fn a_share_falls_by_much_and_not_by_chance() {
        let share = |count, of| Share { count, of };
        assert!(share(200, 2_000).fell_to(share(120, 2_000), 0.1, 0.001));
        assert!(!share(200, 2_000).fell_to(share(185, 2_000), 0.1, 0.001), "a twelfth, which may be chance");
        assert!(!share(20_000, 200_000).fell_to(share(18_500, 200_000), 0.1, 0.001), "real, and too little to matter");
        assert!(!share(120, 2_000).fell_to(share(200, 2_000), 0.1, 0.001), "it rose");
        assert!(!share(20, 50).fell_to(share(0, 50), 0.1, 0.001), "too few");
        // Of many looks without a fall hardly one is an alarm.
        let mut rng = merx_numeric::rng::Rng::from_seed(4);
        let mut draw = || share((0..1_000).filter(|_| rng.uniform() < 0.1).count() as u64, 1_000);
        let alarms = (0..2_000).filter(|_| draw().fell_to(draw(), 0.1, 0.01)).count();
        assert!(alarms <= 35, "{alarms} of 2,000 at 1 %");
    }
}
