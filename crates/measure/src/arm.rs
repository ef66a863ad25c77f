//! One arm's reading of one metric.

use serde::{Deserialize, Serialize};

use crate::Moments;

/// Estimated mean of a metric in an arm, and the variance of one unit's contribution to it: `variance / units` is the
/// variance of `mean`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub units: u64,
    /// The estimate that arms are compared by; with CUPED it is adjusted.
    pub mean: f64,
    /// As it was seen, without any adjustment: what a relative lift is relative to.
    pub observed_mean: f64,
    pub variance: f64,
}

impl Arm {
    fn plain(units: u64, mean: f64, variance: f64) -> Self {
        Self { units, mean, observed_mean: mean, variance }
    }

    /// A share of units; variance p (1 - p).
    pub fn proportion(successes: u64, units: u64) -> Self {
        let p = if units == 0 { 0.0 } else { successes as f64 / units as f64 };
        Self::plain(units, p, p * (1.0 - p))
    }

    /// From counts and moments that somebody else computed.
    pub fn from_summary(units: u64, mean: f64, variance: f64) -> Self {
        Self::plain(units, mean, variance)
    }

    /// The mean of the numerators.
    pub fn mean(moments: &Moments) -> Self {
        Self::plain(moments.count(), moments.mean_numerator(), moments.variance_numerator())
    }

    /// Sum of the numerators by sum of the denominators, with the variance of the delta method: Deng, Knoblich and Lu,
    /// "Applying the Delta Method in Metric Analytics", KDD 2018, section 3.1. Not a number where all denominators are 0.
    pub fn ratio(moments: &Moments) -> Self {
        let ratio = moments.mean_numerator() / moments.mean_denominator();
        let spread = moments.variance_numerator() - 2.0 * ratio * moments.covariance_of_ratio()
            + ratio * ratio * moments.variance_denominator();
        Self::plain(moments.count(), ratio, spread.max(0.0) / moments.mean_denominator().powi(2))
    }

    /// Means or ratios of all arms, adjusted for what the covariate said before the exposure.
    ///
    /// CUPED: Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
    /// Pre-Experiment Data", WSDM 2013, section 3. The same theta, from the units of all arms, serves every arm; a ratio is
    /// linearised first (section 3.4 and appendix B). Without a covariate that varies, nothing is changed.
    pub fn adjusted(arms: &[Moments], ratio: bool) -> Vec<Self> {
        let pooled = Moments::merged(arms);
        let theta = theta(&pooled, ratio);
        arms.iter()
            .map(|moments| {
                let plain = if ratio { Self::ratio(moments) } else { Self::mean(moments) };
                let covariance = linearised_covariance(moments, ratio);
                let variance = plain.variance - 2.0 * theta * covariance + theta * theta * moments.variance_covariate();
                let shift = theta * (moments.mean_covariate() - pooled.mean_covariate());
                Self { mean: plain.mean - shift, variance: variance.max(0.0), ..plain }
            })
            .collect()
    }

    /// The variance of `mean`.
    pub fn variance_of_mean(&self) -> f64 {
        if self.units == 0 { f64::INFINITY } else { self.variance / self.units as f64 }
    }
}

fn theta(pooled: &Moments, ratio: bool) -> f64 {
    let spread = pooled.variance_covariate();
    if spread > 0.0 { linearised_covariance(pooled, ratio) / spread } else { 0.0 }
}

/// Covariance of a unit's contribution to the metric with its covariate.
fn linearised_covariance(moments: &Moments, ratio: bool) -> f64 {
    let of_numerator = moments.covariance_numerator_covariate();
    if !ratio {
        return of_numerator;
    }
    let mean = moments.mean_denominator();
    let covariance = of_numerator - moments.mean_numerator() / mean * moments.covariance_denominator_covariate();
    if covariance.is_finite() { covariance / mean } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::Observation;

    #[test]
    fn a_ratio_with_denominators_of_one_is_a_mean() {
        let moments = Moments::of([1.0, 4.0, 2.0, 7.0].map(Observation::value));
        assert_eq!(Arm::ratio(&moments), Arm::mean(&moments));
    }

    /// The delta method against the spread of 2,000 repetitions, where orders of one person are alike.
    #[test]
    fn the_variance_of_a_ratio_is_that_of_repetitions() {
        let rng = Rng::from_seed(11);
        let arms: Vec<Arm> = (0..2_000).map(|trial| Arm::ratio(&orders(&mut rng.split(trial), 400))).collect();
        let ratios: Vec<f64> = arms.iter().map(|arm| arm.mean).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let spread = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (ratios.len() - 1) as f64;
        let claimed = arms.iter().map(Arm::variance_of_mean).sum::<f64>() / arms.len() as f64;
        // The variance of a sample variance: 2 / (n - 1), so 3 % at one sigma.
        assert!((claimed / spread - 1.0).abs() < 0.1, "{claimed} against {spread}");
    }

    fn orders(rng: &mut Rng, people: usize) -> Moments {
        Moments::of((0..people).map(|_| {
            let taste = 40.0 + 15.0 * rng.normal();
            let count = 1 + rng.below(4);
            let revenue = (0..count).map(|_| taste + 5.0 * rng.normal()).sum();
            Observation { numerator: revenue, denominator: count as f64, covariate: 0.0 }
        }))
    }

    /// With correlation r the variance falls by r squared (Deng et al. 2013, equation 5).
    #[test]
    fn cuped_takes_away_what_the_covariate_explains() {
        let mut rng = Rng::from_seed(5);
        let correlation = 0.7f64;
        let arms = [0.0, 0.05].map(|lift| {
            Moments::of((0..40_000).map(|_| {
                let before = rng.normal();
                let noise = (1.0 - correlation * correlation).sqrt() * rng.normal();
                let numerator = 2.0 + lift + correlation * before + noise;
                Observation { numerator, denominator: 1.0, covariate: before }
            }))
        });
        let adjusted = Arm::adjusted(&arms, false);
        let cut = 1.0 - adjusted[0].variance / Arm::mean(&arms[0]).variance;
        assert!((cut - 0.49).abs() < 0.015, "{cut}");
        assert!((adjusted[1].mean - adjusted[0].mean - 0.05).abs() < 4.0 * (0.51f64 * 2.0 / 40_000.0).sqrt());
    }

    #[test]
    fn without_a_covariate_nothing_is_adjusted() {
        let arms =
            [Moments::of([1.0, 2.0, 5.0].map(Observation::value)), Moments::of([2.0, 2.5].map(Observation::value))];
        assert_eq!(Arm::adjusted(&arms, false), [Arm::mean(&arms[0]), Arm::mean(&arms[1])]);
    }
}
