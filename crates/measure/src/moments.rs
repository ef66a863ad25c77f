//! Sums that merge: all that a comparison of arms needs to know of their units.

use serde::{Deserialize, Serialize};

/// What one unit (a subject, a session) contributes to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// The metric's value; of a ratio its upper part (revenue).
    pub numerator: f64,
    /// Of a ratio its lower part (orders); 1 otherwise.
    pub denominator: f64,
    /// What was known of the unit before it was exposed, for CUPED; 0 where nothing is.
    pub covariate: f64,
}

impl Observation {
    pub const fn value(numerator: f64) -> Self {
        Self { numerator, denominator: 1.0, covariate: 0.0 }
    }

    fn vector(self) -> [f64; 3] {
        [self.numerator, self.denominator, self.covariate]
    }
}

/// Places of the co-moments: the upper triangle of numerator, denominator, covariate.
const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)];

/// Count, means and centred co-moments of [`Observation`]s.
///
/// Fixed size, and exact under merging: parts of the units, in any order, merge to the moments of all of them (to
/// rounding). Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: [f64; 3],
    comoments: [f64; 6],
}

/// Plain sums of a metric's values and a covariate, as other systems hand them over.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    pub count: u64,
    pub value: f64,
    pub value_squares: f64,
    pub covariate: f64,
    pub covariate_squares: f64,
    pub value_by_covariate: f64,
}

impl Moments {
    pub fn of(observations: impl IntoIterator<Item = Observation>) -> Self {
        let mut moments = Self::default();
        observations.into_iter().for_each(|observation| moments.add(observation));
        moments
    }

    /// So many observations that are all the same.
    pub fn of_equal(observation: Observation, count: u64) -> Self {
        Self { count, mean: observation.vector(), comoments: [0.0; 6] }
    }

    /// From plain sums; the denominators are 1.
    pub fn from_sums(sums: &Sums) -> Self {
        let n = (sums.count as f64).max(1.0);
        let mean = [sums.value / n, 1.0, sums.covariate / n];
        let centred = |squares: f64, a: f64, b: f64| squares - a * b / n;
        let mut comoments = [0.0; 6];
        comoments[0] = centred(sums.value_squares, sums.value, sums.value).max(0.0);
        comoments[3] = centred(sums.value_by_covariate, sums.value, sums.covariate);
        comoments[5] = centred(sums.covariate_squares, sums.covariate, sums.covariate).max(0.0);
        Self { count: sums.count, mean, comoments }
    }

    pub fn add(&mut self, observation: Observation) {
        let values = observation.vector();
        self.count += 1;
        let n = self.count as f64;
        let before: [f64; 3] = std::array::from_fn(|i| values[i] - self.mean[i]);
        for (mean, delta) in self.mean.iter_mut().zip(before) {
            *mean += delta / n;
        }
        for (comoment, (i, j)) in self.comoments.iter_mut().zip(PAIRS) {
            *comoment += before[i] * (values[j] - self.mean[j]);
        }
    }

    /// Takes back what was added: a unit whose value grew is taken out and added anew.
    pub fn remove(&mut self, observation: Observation) {
        if self.count <= 1 {
            *self = Self::default();
            return;
        }
        let values = observation.vector();
        let after: [f64; 3] = std::array::from_fn(|i| values[i] - self.mean[i]);
        self.count -= 1;
        let n = self.count as f64;
        for (mean, delta) in self.mean.iter_mut().zip(after) {
            *mean -= delta / n;
        }
        for (comoment, (i, j)) in self.comoments.iter_mut().zip(PAIRS) {
            *comoment -= after[i] * (values[j] - self.mean[j]);
        }
        for place in [0, 2, 5] {
            self.comoments[place] = self.comoments[place].max(0.0);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta: [f64; 3] = std::array::from_fn(|i| other.mean[i] - self.mean[i]);
        for (place, (i, j)) in PAIRS.into_iter().enumerate() {
            self.comoments[place] += other.comoments[place] + delta[i] * delta[j] * n * m / (n + m);
        }
        for (mean, delta) in self.mean.iter_mut().zip(delta) {
            *mean += delta * m / (n + m);
        }
        self.count += other.count;
    }

    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|moments| sum.merge(moments));
        sum
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn mean_numerator(&self) -> f64 {
        self.mean[0]
    }

    pub fn mean_denominator(&self) -> f64 {
        self.mean[1]
    }

    pub fn mean_covariate(&self) -> f64 {
        self.mean[2]
    }

    pub fn variance_numerator(&self) -> f64 {
        self.per_unit(0)
    }

    pub fn covariance_of_ratio(&self) -> f64 {
        self.per_unit(1)
    }

    pub fn variance_denominator(&self) -> f64 {
        self.per_unit(2)
    }

    pub fn covariance_numerator_covariate(&self) -> f64 {
        self.per_unit(3)
    }

    pub fn covariance_denominator_covariate(&self) -> f64 {
        self.per_unit(4)
    }

    pub fn variance_covariate(&self) -> f64 {
        self.per_unit(5)
    }

    /// Unbiased (n - 1); 0 for fewer than two units.
    fn per_unit(&self, place: usize) -> f64 {
        if self.count < 2 { 0.0 } else { self.comoments[place] / (self.count - 1) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn observation() -> impl Strategy<Value = Observation> {
        (-1e3..1e3f64, 0.0..10.0f64, -50.0..50.0f64).prop_map(|(numerator, denominator, covariate)| Observation {
            numerator,
            denominator,
            covariate,
        })
    }

    fn agree(a: &Moments, b: &Moments) -> bool {
        let close = |x: f64, y: f64| (x - y).abs() <= 1e-6 * (1.0 + x.abs().max(y.abs()));
        a.count == b.count
            && a.mean.iter().zip(b.mean).all(|(x, y)| close(*x, y))
            && a.comoments.iter().zip(b.comoments).all(|(x, y)| close(*x, y))
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole(all in prop::collection::vec(observation(), 1..60), cut in 0usize..60) {
            let cut = cut.min(all.len());
            let parts = [Moments::of(all[cut..].to_vec()), Moments::of(all[..cut].to_vec())];
            prop_assert!(agree(&Moments::merged(&parts), &Moments::of(all)));
        }

        #[test]
        fn what_is_removed_leaves_no_trace(all in prop::collection::vec(observation(), 2..40), extra in observation()) {
            let mut moments = Moments::of(all.clone());
            moments.add(extra);
            moments.remove(extra);
            prop_assert!(agree(&moments, &Moments::of(all)));
        }

        #[test]
        fn moments_are_those_of_the_definition(all in prop::collection::vec(observation(), 2..40)) {
            let n = all.len() as f64;
            let moments = Moments::of(all.clone());
            let mean_y = all.iter().map(|o| o.numerator).sum::<f64>() / n;
            let mean_x = all.iter().map(|o| o.covariate).sum::<f64>() / n;
            let covariance = all.iter().map(|o| (o.numerator - mean_y) * (o.covariate - mean_x)).sum::<f64>() / (n - 1.0);
            prop_assert!((moments.mean_numerator() - mean_y).abs() < 1e-8);
            prop_assert!((moments.covariance_numerator_covariate() - covariance).abs() < 1e-6 * (1.0 + covariance.abs()));
        }
    }

    #[test]
    fn sums_and_observations_agree() {
        let rows = [(3.0, 1.0), (5.0, 4.0), (4.0, 2.0), (9.0, 6.0)];
        let sum = |of: fn(&(f64, f64)) -> f64| rows.iter().map(of).sum::<f64>();
        let sums = Sums {
            count: 4,
            value: sum(|r| r.0),
            value_squares: sum(|r| r.0 * r.0),
            covariate: sum(|r| r.1),
            covariate_squares: sum(|r| r.1 * r.1),
            value_by_covariate: sum(|r| r.0 * r.1),
        };
        let observed = rows.map(|(numerator, covariate)| Observation { numerator, denominator: 1.0, covariate });
        assert!(agree(&Moments::from_sums(&sums), &Moments::of(observed)));
    }
}
