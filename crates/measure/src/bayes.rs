//! The Bayesian view: how probable is it that an arm is best, and what is lost on average by choosing it?
//!
//! Such figures describe belief after the data, given the prior; they don't bound how often somebody who peeks is wrong.

use merx_numeric::distributions::{
    beta_cdf, beta_density, beta_quantile, normal_cdf, normal_density, normal_quantile, normal_survival,
};
use serde::{Deserialize, Serialize};

use crate::{Arm, Effect};

/// What was believed of an effect beforehand: normal with this mean and variance, on the effect's scale. The default knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    pub mean: f64,
    /// Infinite: a flat prior.
    pub variance: f64,
}

impl Default for Prior {
    fn default() -> Self {
        Self { mean: 0.0, variance: f64::INFINITY }
    }
}

/// What is believed of a quantity after the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Posterior {
    Normal {
        mean: f64,
        deviation: f64,
    },
    /// Of a share.
    Beta {
        successes: f64,
        failures: f64,
    },
}

/// A treatment against its control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    pub mean: f64,
    /// Credible interval with equal tails.
    pub low: f64,
    pub high: f64,
    /// That the treatment's metric is larger.
    pub chance_to_win: f64,
    /// What is lost on average by keeping the control, and by taking the treatment; on the effect's scale.
    pub loss_of_control: f64,
    pub loss_of_treatment: f64,
}

/// The conjugate update of a normal prior by an effect (Gelman et al., "Bayesian Data Analysis", 3rd ed., 2.5).
pub fn posterior_of(effect: &Effect, prior: &Prior) -> Posterior {
    let noise = effect.standard_error * effect.standard_error;
    let weight = if prior.variance.is_finite() { prior.variance / (prior.variance + noise) } else { 1.0 };
    Posterior::Normal {
        mean: weight * effect.estimate + (1.0 - weight) * prior.mean,
        deviation: weight.sqrt() * effect.standard_error,
    }
}

/// Chance, losses and credible interval (probability 1 - `alpha`) of an effect. The losses have closed forms: the mean of
/// the positive part of a normal.
pub fn believe(effect: &Effect, prior: &Prior, alpha: f64) -> Belief {
    let posterior = posterior_of(effect, prior);
    let (mean, deviation) = (posterior.mean(), posterior.deviation());
    let z = mean / deviation;
    let gain = mean * normal_cdf(z) + deviation * normal_density(z);
    Belief {
        mean,
        low: posterior.quantile(0.5 * alpha),
        high: posterior.quantile(1.0 - 0.5 * alpha),
        chance_to_win: normal_cdf(z),
        loss_of_control: gain,
        loss_of_treatment: gain - mean,
    }
}

impl Posterior {
    /// Of an arm's mean, by the central limit, without a prior.
    pub fn of_mean(arm: &Arm) -> Self {
        Self::Normal { mean: arm.mean, deviation: arm.variance_of_mean().sqrt() }
    }

    /// Of a share, with a Beta prior given as successes and failures seen before; (1, 1) is uniform.
    pub fn of_share(successes: u64, units: u64, prior: (f64, f64)) -> Self {
        let failures = units.saturating_sub(successes);
        Self::Beta { successes: prior.0 + successes as f64, failures: prior.1 + failures as f64 }
    }

    pub fn mean(&self) -> f64 {
        match *self {
            Self::Normal { mean, .. } => mean,
            Self::Beta { successes, failures } => successes / (successes + failures),
        }
    }

    pub fn deviation(&self) -> f64 {
        match *self {
            Self::Normal { deviation, .. } => deviation,
            Self::Beta { successes, failures } => {
                let all = successes + failures;
                (successes * failures / (all + 1.0)).sqrt() / all
            }
        }
    }

    pub fn quantile(&self, p: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => mean + deviation * normal_quantile(p),
            Self::Beta { successes, failures } => beta_quantile(p, successes, failures),
        }
    }

    fn cdf(&self, x: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => normal_survival((mean - x) / deviation),
            Self::Beta { successes, failures } => beta_cdf(x, successes, failures),
        }
    }

    fn density(&self, x: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => normal_density((x - mean) / deviation) / deviation,
            Self::Beta { successes, failures } => beta_density(x, successes, failures),
        }
    }
}

/// One arm among several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub chance_to_be_best: f64,
    /// How much the best arm is better on average, in the metric's unit; 0 for an arm that is surely best.
    pub expected_loss: f64,
}

/// Steps per arm of the quadrature.
const STEPS: usize = 800;
/// Deviations to either side that are looked at: all but 1e-15 of the mass.
const REACH: f64 = 8.0;

/// How each of several independent arms stands, larger being better. Numeric integration over what is believed of each:
/// P(i is best) is the integral of density i times the distribution functions of the others.
pub fn standings(arms: &[Posterior]) -> Vec<Standing> {
    let chances: Vec<f64> = (0..arms.len()).map(|arm| over(arms, arm, |_| 1.0)).collect();
    let total: f64 = chances.iter().sum();
    let best: f64 = (0..arms.len()).map(|arm| over(arms, arm, |x| x)).sum();
    chances
        .iter()
        .zip(arms)
        .map(|(chance, arm)| Standing {
            chance_to_be_best: chance / total,
            expected_loss: (best - arm.mean()).max(0.0),
        })
        .collect()
}

/// The mean of `of(x)` over the cases in which `arm` is the largest, by the midpoint rule.
fn over(arms: &[Posterior], arm: usize, of: impl Fn(f64) -> f64) -> f64 {
    let own = &arms[arm];
    let width = 2.0 * REACH * own.deviation() / STEPS as f64;
    let start = own.mean() - REACH * own.deviation();
    (0..STEPS)
        .map(|step| {
            let x = start + (step as f64 + 0.5) * width;
            let others: f64 =
                arms.iter().enumerate().filter(|(other, _)| *other != arm).map(|(_, other)| other.cdf(x)).product();
            of(x) * own.density(x) * others * width
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scale;

    /// Integers make the chance a finite sum: P(B > A) = sum over i < b of B(a_A + i, b_A + b_B) / ((b_B + i) B(1 + i, b_B)
    /// B(a_A, b_A)) (Miller, "Formulas for Bayesian A/B Testing", 2015); for A = Beta(2, 3), B = Beta(3, 2) it is 11/14 by hand:
    /// P(A < B) = integral of F_A f_B with F_A = 6x^2 - 8x^3 + 3x^4, f_B = 12 x^2 (1 - x).
    #[test]
    fn two_shares_meet_the_closed_form() {
        let a = Posterior::of_share(1, 3, (1.0, 1.0));
        let b = Posterior::of_share(2, 3, (1.0, 1.0));
        let term = |power: f64, c: f64| 12.0 * c * (1.0 / (power + 3.0) - 1.0 / (power + 4.0));
        let expected = term(2.0, 6.0) + term(3.0, -8.0) + term(4.0, 3.0);
        let standings = standings(&[a, b]);
        assert!(
            (standings[1].chance_to_be_best - expected).abs() < 1e-5,
            "{} {expected}",
            standings[1].chance_to_be_best
        );
    }

    #[test]
    fn two_normals_meet_the_closed_form_and_three_equal_ones_share() {
        let (a, b) = (Posterior::Normal { mean: 1.0, deviation: 0.3 }, Posterior::Normal { mean: 1.2, deviation: 0.4 });
        let two = standings(&[a, b]);
        assert!((two[1].chance_to_be_best - normal_cdf(0.2 / 0.5)).abs() < 1e-9);
        let z = 0.4;
        let loss_of_b = 0.5 * normal_density(z) - 0.2 * normal_cdf(-z);
        assert!((two[1].expected_loss - loss_of_b).abs() < 1e-9);
        let three = standings(&[a, a, a]);
        assert!(three.iter().all(|standing| (standing.chance_to_be_best - 1.0 / 3.0).abs() < 1e-12));
        // The mean of the largest of three standard normals is 3 / (2 sqrt pi).
        let largest = 1.5 / std::f64::consts::PI.sqrt() * 0.3;
        assert!((three[0].expected_loss - largest).abs() < 1e-9);
    }

    #[test]
    fn a_prior_pulls_and_losses_differ_by_the_mean() {
        let effect =
            Effect::between(&Arm::proportion(100, 1_000), &Arm::proportion(130, 1_000), Scale::Absolute).unwrap();
        let flat = believe(&effect, &Prior::default(), 0.05);
        let sceptic = believe(&effect, &Prior { mean: 0.0, variance: effect.standard_error.powi(2) }, 0.05);
        assert!((sceptic.mean - 0.5 * flat.mean).abs() < 1e-12, "equal weights halve the effect");
        assert!((flat.loss_of_control - flat.loss_of_treatment - flat.mean).abs() < 1e-15);
        assert!(sceptic.high - sceptic.low < flat.high - flat.low);
    }
}
