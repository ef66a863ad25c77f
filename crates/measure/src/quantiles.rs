//! Quantiles of latency and of basket values, from a sketch of bounded size.

use merx_numeric::distributions::normal_quantile;
use serde::{Deserialize, Serialize};

use crate::{Effect, Scale, Unreadable};

/// Growth from one bin to the next: a quantile is off by at most 1 %.
const GROWTH: f64 = 1.02;
/// Values below count as 0.
const SMALLEST: f64 = 1e-6;
/// Bins; the last holds everything above 4e11.
const BINS: usize = 2_048;

/// Counts of values that are 0 or larger, in bins that grow by 2 %: 16 KB whatever is added; parts merge exactly. Masson, Rim
/// and Lee, "DDSketch", VLDB 2019, section 2, with a fixed range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    count: u64,
    /// Of values below [`SMALLEST`], negative ones included.
    zeros: u64,
    bins: Vec<u64>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { count: 0, zeros: 0, bins: vec![0; BINS] }
    }
}

/// A quantile with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuantileEstimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// From the width of a 95 % interval of order statistics.
    pub standard_error: f64,
    pub count: u64,
}

impl Sketch {
    /// NaN is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.count += 1;
        if value < SMALLEST {
            self.zeros += 1;
            return;
        }
        let bin = ((value / SMALLEST).ln() / GROWTH.ln()) as usize;
        self.bins[bin.min(BINS - 1)] += 1;
    }

    /// Adds 0 so many times.
    pub fn add_zeros(&mut self, count: u64) {
        self.count += count;
        self.zeros += count;
    }

    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.zeros += other.zeros;
        self.bins.iter_mut().zip(&other.bins).for_each(|(ours, theirs)| *ours += theirs);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value with `rank` values before it; `None` where there are so few.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut before = self.zeros;
        if rank < before {
            return Some(0.0);
        }
        for (bin, count) in self.bins.iter().enumerate() {
            before += count;
            if rank < before {
                return Some(SMALLEST * GROWTH.powf(bin as f64 + 0.5));
            }
        }
        None
    }

    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.count.checked_sub(1)?;
        self.at_rank(((q.clamp(0.0, 1.0) * self.count as f64) as u64).min(last))
    }

    /// A quantile and its interval of probability 1 - `alpha` by order statistics: ranks n q -+ z sqrt(n q (1 - q) i)
    /// (David and Nagaraja, "Order Statistics", 3rd ed., 7.1). `inflation` i is 1 for independent values; where one unit brings
    /// several alike, the variance of its share of values below the quantile over the binomial one (Deng, Knoblich and Lu,
    /// KDD 2018, section 4.2).
    pub fn estimate(&self, q: f64, alpha: f64, inflation: f64) -> Option<QuantileEstimate> {
        let value = self.quantile(q)?;
        let n = self.count as f64;
        let spread = (n * q * (1.0 - q) * inflation).max(0.0).sqrt();
        let at = |deviations: f64| {
            let rank = (n * q + deviations * spread).clamp(0.0, n - 1.0);
            self.at_rank(rank as u64).unwrap_or(value)
        };
        let z = normal_quantile(1.0 - 0.5 * alpha);
        let standard = normal_quantile(0.975);
        let standard_error = (at(standard) - at(-standard)) / (2.0 * standard);
        Some(QuantileEstimate { value, low: at(-z), high: at(z), standard_error, count: self.count })
    }
}

impl QuantileEstimate {
    /// The difference of two quantiles, to be read like any other effect.
    pub fn difference(control: &Self, treatment: &Self) -> Result<Effect, Unreadable> {
        let variance = control.standard_error.powi(2) + treatment.standard_error.powi(2);
        if control.count < 2 || treatment.count < 2 {
            return Err(Unreadable::TooFewUnits);
        }
        if variance <= 0.0 {
            return Err(Unreadable::NoVariance);
        }
        Ok(Effect {
            scale: Scale::Absolute,
            estimate: treatment.value - control.value,
            standard_error: variance.sqrt(),
            units: control.count + treatment.count,
            precision: f64::INFINITY,
            degrees_of_freedom: f64::INFINITY,
        })
    }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::Alternative;

    fn latencies(rng: &mut Rng, count: usize, factor: f64) -> Sketch {
        let mut sketch = Sketch::default();
        (0..count).for_each(|_| sketch.add(factor * 20.0 * (0.5 * rng.normal()).exp()));
        sketch
    }

    #[test]
    fn quantiles_are_within_a_hundredth_and_parts_merge() {
        let mut sketch = Sketch::default();
        let mut half = Sketch::default();
        for i in 1..=1_000 {
            if i % 2 == 0 { sketch.add(f64::from(i)) } else { half.add(f64::from(i)) }
        }
        sketch.merge(&half);
        for q in [0.01, 0.5, 0.95, 0.99] {
            let exact = 1.0 + q * 1_000.0;
            assert!((sketch.quantile(q).unwrap() / exact - 1.0).abs() < 0.011);
        }
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn out_of_range_is_kept_at_the_ends() {
        let mut sketch = Sketch::default();
        [-3.0, 0.0, f64::INFINITY, f64::NAN].into_iter().for_each(|value| sketch.add(value));
        assert_eq!(sketch.count(), 3);
        assert_eq!(sketch.quantile(0.0), Some(0.0));
        assert!(sketch.quantile(1.0).unwrap() > 1e11);
    }

    #[test]
    fn intervals_of_the_95th_percentile_cover_it() {
        let rng = Rng::from_seed(1);
        let truth = 20.0 * (0.5 * normal_quantile(0.95)).exp();
        let covered = (0..400).filter(|&trial| {
            let estimate = latencies(&mut rng.split(trial), 2_000, 1.0).estimate(0.95, 0.05, 1.0).unwrap();
            estimate.low <= truth && truth <= estimate.high
        });
        let covered = covered.count();
        assert!((366..=398).contains(&covered), "{covered} of 400, 380 expected");
    }

    #[test]
    fn a_slower_arm_is_noticed_and_an_equal_one_rarely() {
        let rng = Rng::from_seed(2);
        let calls = |factor: f64| {
            let slower = |trial: &u64| {
                let mut rng = rng.split(*trial);
                let [a, b] = [1.0, factor].map(|f| latencies(&mut rng, 4_000, f).estimate(0.95, 0.05, 1.0).unwrap());
                let effect = QuantileEstimate::difference(&a, &b).unwrap();
                effect.fixed(0.05, Alternative::TwoSided).excludes_zero()
            };
            (0..200u64).filter(slower).count()
        };
        assert!(calls(1.15) >= 195);
        assert!(calls(1.0) <= 19);
    }
}
