//! What another policy would have earned, from what the present one did: estimates from logged propensities.
//!
//! A policy is a rule that chooses among actions (arms, prices, rankings) with known chances. Rows are independent decisions.

use merx_numeric::distributions::normal_quantile;
use serde::{Deserialize, Serialize};

/// One decision as it was logged, seen with the eyes of another policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The chance with which the logging policy chose what it chose; above 0.
    pub propensity: f64,
    /// The chance with which the other policy would have chosen the same.
    pub target: f64,
    /// What came of it.
    pub reward: f64,
    /// A model's forecast of the reward of what was chosen; 0 without a model.
    pub predicted: f64,
    /// The same model's forecast under the other policy: its forecasts weighed by the other policy's chances.
    pub predicted_target: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean reward a decision.
    pub value: f64,
    pub standard_error: f64,
    pub low: f64,
    pub high: f64,
}

/// Whether the logged decisions say anything of the other policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// So many decisions of the other policy the rows are worth: (sum of weights)^2 / sum of squares (Kish 1965).
    pub effective_rows: f64,
    /// The largest weight's part of all weights.
    pub largest_share: f64,
    /// Should be about 1; far from it the propensities are wrong, or the other policy does what was never tried.
    pub mean_weight: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OffPolicy {
    pub rows: usize,
    /// Inverse propensity scores: unbiased, and of large variance where policies differ.
    pub ips: Estimate,
    /// The same by the sum of the weights (Swaminathan and Joachims, NeurIPS 2015): a little bias, less variance.
    pub snips: Estimate,
    /// A model's forecast corrected by weighted residuals (Dudik, Langford and Li, ICML 2011): right if either is.
    pub doubly_robust: Estimate,
    /// The correction only where weights are at most the threshold (Wang, Agarwal and Dudik, ICML 2017).
    pub switch: Estimate,
    pub overlap: Overlap,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum OffPolicyError {
    #[error("at least two decisions are needed")]
    TooFew,
    #[error(
        "row {row}: a propensity lies above 0 and up to 1, a target chance from 0 to 1, and every number is finite"
    )]
    Row { row: usize },
    #[error("the other policy would have done nothing of what was done, so nothing is known of it")]
    NoOverlap,
    #[error("the threshold of the switch is a positive number")]
    Threshold,
}

/// All estimates with intervals of probability 1 - `alpha`. Weights above `threshold` are left to the model by the switch.
pub fn off_policy(rows: &[Logged], threshold: f64, alpha: f64) -> Result<OffPolicy, OffPolicyError> {
    if rows.len() < 2 {
        return Err(OffPolicyError::TooFew);
    }
    if threshold.is_nan() || threshold <= 0.0 {
        return Err(OffPolicyError::Threshold);
    }
    if let Some(row) = rows.iter().position(|row| !is_sound(row)) {
        return Err(OffPolicyError::Row { row });
    }
    let weight = |row: &Logged| row.target / row.propensity;
    let sum: f64 = rows.iter().map(weight).sum();
    if sum <= 0.0 {
        return Err(OffPolicyError::NoOverlap);
    }
    let count = rows.len() as f64;
    let mean_weight = sum / count;
    let squares: f64 = rows.iter().map(|row| weight(row).powi(2)).sum();
    let largest = rows.iter().map(weight).fold(0.0, f64::max);
    let mean = |term: &dyn Fn(&Logged) -> f64| estimate(rows.iter().map(term), count, alpha);
    let corrected = |row: &Logged, below: f64| {
        let weight = if weight(row) <= below { weight(row) } else { 0.0 };
        row.predicted_target + weight * (row.reward - row.predicted)
    };
    let ratio = rows.iter().map(|row| weight(row) * row.reward).sum::<f64>() / sum;
    // The ratio's error by the delta method: residuals of the ratio, by the mean weight.
    let residuals = mean(&|row| weight(row) * (row.reward - ratio) / mean_weight);
    let shifted = |estimate: Estimate, by: f64| Estimate {
        value: estimate.value + by,
        low: estimate.low + by,
        high: estimate.high + by,
        ..estimate
    };
    Ok(OffPolicy {
        rows: rows.len(),
        ips: mean(&|row| weight(row) * row.reward),
        snips: shifted(residuals, ratio),
        doubly_robust: mean(&|row| corrected(row, f64::INFINITY)),
        switch: mean(&|row| corrected(row, threshold)),
        overlap: Overlap { effective_rows: sum * sum / squares, largest_share: largest / sum, mean_weight },
    })
}

fn is_sound(row: &Logged) -> bool {
    let finite = [row.reward, row.predicted, row.predicted_target].iter().all(|number| number.is_finite());
    finite && row.propensity > 0.0 && row.propensity <= 1.0 && (0.0..=1.0).contains(&row.target)
}

fn estimate(terms: impl Iterator<Item = f64> + Clone, count: f64, alpha: f64) -> Estimate {
    let value = terms.clone().sum::<f64>() / count;
    let spread = terms.map(|term| (term - value).powi(2)).sum::<f64>() / (count - 1.0);
    let standard_error = (spread / count).sqrt();
    let half = normal_quantile(1.0 - 0.5 * alpha) * standard_error;
    Estimate { value, standard_error, low: value - half, high: value + half }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    /// Three actions for two kinds of shoppers; what each brings is planted.
    const WORTH: [[f64; 3]; 2] = [[0.1, 0.3, 0.2], [0.4, 0.1, 0.2]];
    /// The logging policy, by kind.
    const LOGGING: [[f64; 3]; 2] = [[0.6, 0.1, 0.3], [0.2, 0.5, 0.3]];
    /// The other one: mostly what each kind likes best.
    const OTHER: [[f64; 3]; 2] = [[0.1, 0.8, 0.1], [0.9, 0.0, 0.1]];

    fn truth() -> f64 {
        let of_kind = |kind: usize| (0..3).map(|action| OTHER[kind][action] * WORTH[kind][action]).sum::<f64>();
        0.5 * (of_kind(0) + of_kind(1))
    }

    /// `model_error` is added to every forecast of the model.
    fn logged(rng: &mut Rng, count: usize, model_error: f64) -> Vec<Logged> {
        let draw = |_| {
            let kind = rng.below(2);
            let lot = rng.uniform();
            let action = if lot < LOGGING[kind][0] {
                0
            } else if lot < LOGGING[kind][0] + LOGGING[kind][1] {
                1
            } else {
                2
            };
            let forecast = |action: usize| WORTH[kind][action] + model_error;
            Logged {
                propensity: LOGGING[kind][action],
                target: OTHER[kind][action],
                reward: f64::from(u8::from(rng.chance(WORTH[kind][action]))),
                predicted: forecast(action),
                predicted_target: (0..3).map(|action| OTHER[kind][action] * forecast(action)).sum(),
            }
        };
        (0..count).map(draw).collect()
    }

    #[test]
    fn intervals_hold_the_planted_value() {
        let rng = Rng::from_seed(4);
        let mut covered = [0u32; 4];
        for trial in 0..400 {
            let rows = logged(&mut rng.split(trial), 2_000, 0.05);
            let read = off_policy(&rows, 1e9, 0.05).unwrap();
            for (count, estimate) in covered.iter_mut().zip([read.ips, read.snips, read.doubly_robust, read.switch]) {
                *count += u32::from(estimate.low <= truth() && truth() <= estimate.high);
            }
        }
        // 95 % of 400, less three sigma of 4.4.
        assert!(covered.iter().all(|count| *count >= 366), "{covered:?}");
    }

    #[test]
    fn a_good_model_narrows_and_a_bad_one_does_not_mislead() {
        let rows = |error| logged(&mut Rng::from_seed(9), 20_000, error);
        let [good, bad] = [0.0, 1.0].map(|error| off_policy(&rows(error), 1e9, 0.05).unwrap());
        assert!(good.doubly_robust.standard_error < 0.95 * good.ips.standard_error);
        assert!((bad.doubly_robust.value - truth()).abs() < 4.0 * bad.doubly_robust.standard_error);
        // Everything left to a model that is off by 1 is off by 1: that is the price of a threshold of nearly 0.
        let left = off_policy(&rows(1.0), 1e-9, 0.05).unwrap().switch;
        assert!((left.value - truth() - 1.0).abs() < 0.01);
    }

    #[test]
    fn overlap_is_told() {
        let same = [Logged { propensity: 0.5, target: 0.5, reward: 1.0, predicted: 0.0, predicted_target: 0.0 }; 10];
        let read = off_policy(&same, 10.0, 0.05).unwrap();
        assert_eq!((read.overlap.effective_rows, read.overlap.mean_weight, read.ips.value), (10.0, 1.0, 1.0));
        let mut rare = same;
        rare[0].propensity = 0.001;
        let read = off_policy(&rare, 10.0, 0.05).unwrap();
        assert!(read.overlap.effective_rows < 1.1 && read.overlap.largest_share > 0.9);
        let none = same.map(|row| Logged { target: 0.0, ..row });
        assert_eq!(off_policy(&none, 10.0, 0.05), Err(OffPolicyError::NoOverlap));
        rare[3].propensity = 0.0;
        assert_eq!(off_policy(&rare, 10.0, 0.05), Err(OffPolicyError::Row { row: 3 }));
        assert_eq!(off_policy(&same[..1], 10.0, 0.05), Err(OffPolicyError::TooFew));
    }
}
