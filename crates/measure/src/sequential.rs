//! Intervals that stay valid however often somebody looks, and whenever they stop.

use serde::{Deserialize, Serialize};

use crate::{Effect, Reading, Scale};

/// The asymptotic confidence sequence of a normal mixture: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
/// central limit theory and asymptotic confidence sequences", 2021, theorem 2.2. Over **all** looks together, the interval
/// misses the true effect with probability at most `alpha`, asymptotically. It is the inversion of the mixture sequential
/// probability ratio test (Johari, Pekelis and Walsh, "Always valid inference", 2015, section 4), whose mixing variance is
/// `rho^2` times the variance of one unit's contribution.
///
/// An effect on the relative scale is asymptotically linear in its arms' means, so the same holds for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    pub alpha: f64,
    /// Units (of both arms) at which the interval is narrowest; it is valid before and after.
    pub tuned_for: u64,
    /// Before so many units nothing is said: the central limit needs some.
    pub first_look_units: u64,
    /// Before both arms' means are known so well ([`Effect::precision`]) nothing is said of a relative effect: of a metric that
    /// few units make, thousands of units tell little, and the error of a lift is itself an estimate by then.
    pub first_look_precision: f64,
}

impl Default for Sequential {
    fn default() -> Self {
        Self { alpha: 0.05, tuned_for: 5_000, first_look_units: 200, first_look_precision: 100.0 }
    }
}

impl Sequential {
    /// The mixture's parameter that makes the interval nearly the narrowest at `tuned_for` units (appendix B.2).
    fn rho_squared(&self) -> f64 {
        let log = -2.0 * self.alpha.ln();
        (log + (log + 1.0).ln()) / self.tuned_for.max(1) as f64
    }

    /// Half the width of the interval at `units`, in standard errors of the effect. The price of looking: 1.96 is that of
    /// one look at `alpha` = .05.
    pub fn boundary(&self, units: u64) -> f64 {
        self.boundary_at(units as f64 * self.rho_squared())
    }

    /// [`Self::boundary`] at `tuned_for` units, which it depends on no more.
    pub fn boundary_where_tuned(&self) -> f64 {
        self.boundary_at(self.rho_squared() * self.tuned_for.max(1) as f64)
    }

    /// `mass` is n rho^2 of the theorem.
    fn boundary_at(&self, mass: f64) -> f64 {
        if mass <= 0.0 {
            return f64::INFINITY;
        }
        (2.0 * (mass + 1.0) / mass * ((mass + 1.0).sqrt() / self.alpha).ln()).sqrt()
    }

    /// The interval and the always-valid p-value: the smallest `alpha` at which this look would exclude 0, with `rho` kept.
    /// The smallest p-value of all looks so far is a valid p-value too.
    pub fn read(&self, effect: &Effect) -> Reading {
        let imprecise = effect.scale == Scale::Relative && effect.precision < self.first_look_precision;
        if effect.units < self.first_look_units || imprecise {
            return Reading { low: f64::NEG_INFINITY, high: f64::INFINITY, p_value: 1.0 };
        }
        let half = effect.standard_error * self.boundary(effect.units);
        let mass = effect.units as f64 * self.rho_squared();
        let p_value = mixture_p_value(effect.z(), mass);
        Reading { low: effect.estimate - half, high: effect.estimate + half, p_value }
    }
}

/// The inverse of the likelihood ratio of a normal mixture, at most 1. `mass` is the mixture's variance over that of the
/// estimate, growing with the units (Johari, Pekelis and Walsh 2015, equation 7).
pub(crate) fn mixture_p_value(z: f64, mass: f64) -> f64 {
    (0.5 * mass.ln_1p() - 0.5 * z * z * mass / (mass + 1.0)).exp().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arm;

    /// Theorem 2.2 written out with its own symbols.
    #[test]
    fn the_boundary_is_that_of_the_theorem() {
        let sequential = Sequential { alpha: 0.05, tuned_for: 1_000, ..Sequential::default() };
        let (alpha, n) = (0.05f64, 750.0f64);
        let rho = ((-2.0 * alpha.ln() + (-2.0 * alpha.ln() + 1.0).ln()) / 1_000.0).sqrt();
        // Half-width of a mean with unit variance; in standard errors (1 / sqrt n).
        let width =
            (2.0 * (n * rho * rho + 1.0) / (n * n * rho * rho) * ((n * rho * rho + 1.0).sqrt() / alpha).ln()).sqrt();
        assert!((sequential.boundary(750) - width * n.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_narrowest_where_it_is_tuned() {
        let at = |tuned_for| Sequential { tuned_for, ..Sequential::default() }.boundary(10_000);
        assert!(at(10_000) < at(2_000) && at(10_000) < at(50_000));
        assert!(at(10_000) < 3.1, "{}", at(10_000));
    }

    #[test]
    fn the_p_value_is_alpha_where_the_interval_touches_zero() {
        let sequential = Sequential { first_look_units: 0, ..Sequential::default() };
        let mut effect =
            Effect::between(&Arm::proportion(500, 5_000), &Arm::proportion(560, 5_000), Scale::Absolute).unwrap();
        effect.estimate = effect.standard_error * sequential.boundary(effect.units);
        let reading = sequential.read(&effect);
        assert!((reading.p_value - 0.05).abs() < 1e-12 && reading.low.abs() < 1e-12, "{reading:?}");
    }

    #[test]
    fn too_early_says_nothing() {
        let read = |units: u64, control: u64, treated: u64, scale| {
            let arms = [control, treated].map(|successes| Arm::proportion(successes, units));
            Sequential::default().read(&Effect::between(&arms[0], &arms[1], scale).unwrap())
        };
        // Nearly all against nearly none, with twenty units an arm.
        assert!(!read(20, 1, 19, Scale::Absolute).excludes_zero());
        assert!(read(200, 10, 190, Scale::Absolute).excludes_zero());
        // Forty successes are too few to say what a lift is relative to; four hundred aren't.
        assert_eq!(read(20_000, 40, 200, Scale::Relative).p_value, 1.0);
        assert!(read(20_000, 400, 700, Scale::Relative).excludes_zero());
    }
}
