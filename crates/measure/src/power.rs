//! How many units, how small an effect, how many days: before an experiment is begun.

use merx_numeric::distributions::normal_quantile;
use serde::{Deserialize, Serialize};

use crate::Sequential;

/// How the experiment will be read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Once, at the end.
    Fixed,
    /// As often as one likes, with a sequence tuned for the planned number of units. The plan counts only calls at the
    /// last look, so real power is higher and most experiments with an effect end early.
    Sequential,
}

/// A metric as it is without the change, and what is asked of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the metric in the control.
    pub mean: f64,
    /// Of one unit's contribution in the control, and in the treatment where it differs.
    pub variance: f64,
    pub variance_treated: f64,
    /// Share of the units in the treatment, of both arms; 0.5 needs the fewest.
    pub treated_share: f64,
    /// Probability of a false call where nothing has changed, two-sided.
    pub alpha: f64,
    /// Probability of a call where the effect is as large as planned.
    pub power: f64,
    pub rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("alpha, power and the treated share lie between 0 and 1, power above alpha")]
    NoProbability,
    #[error("a relative lift needs a mean other than 0, and variances that are positive numbers")]
    NoBaseline,
    #[error("a lift of 0 can't be found, and a share can't leave 0 to 1")]
    NoLift,
    #[error("no units come, so the experiment never ends")]
    NoUnits,
}

impl Plan {
    /// Half and half, alpha .05, power .8, read once.
    pub fn of_mean(mean: f64, variance: f64) -> Self {
        Self {
            mean,
            variance,
            variance_treated: variance,
            treated_share: 0.5,
            alpha: 0.05,
            power: 0.8,
            rule: Rule::Fixed,
        }
    }

    /// For a share that is to rise by the relative `lift`: the treated variance is that of the new share.
    pub fn of_proportion(share: f64, lift: f64) -> Result<Self, PlanError> {
        let treated = share * (1.0 + lift);
        if !(share > 0.0 && share < 1.0 && treated > 0.0 && treated < 1.0) {
            return Err(PlanError::NoLift);
        }
        let variance = |p: f64| p * (1.0 - p);
        Ok(Self { variance_treated: variance(treated), ..Self::of_mean(share, variance(share)) })
    }

    /// Units of both arms together that find a relative `lift` with the planned power. Normal approximation: Chow, Shao,
    /// Wang and Lokhnygina, "Sample Size Calculations in Clinical Research", 3rd ed., 3.2.1 and 4.2.1.
    pub fn sample_size(&self, lift: f64) -> Result<u64, PlanError> {
        self.check()?;
        if lift == 0.0 || !lift.is_finite() {
            return Err(PlanError::NoLift);
        }
        let root = self.deviations() / (lift * self.mean).abs();
        Ok((root * root * self.spread()).ceil() as u64)
    }

    /// The smallest relative lift that `units` find with the planned power.
    pub fn minimal_detectable_lift(&self, units: u64) -> Result<f64, PlanError> {
        self.check()?;
        if units == 0 {
            return Err(PlanError::NoUnits);
        }
        Ok(self.deviations() * (self.spread() / units as f64).sqrt() / self.mean.abs())
    }

    /// Days until a relative `lift` is found with the planned power, where `units_per_day` new units come.
    pub fn duration_days(&self, lift: f64, units_per_day: f64) -> Result<u64, PlanError> {
        if units_per_day.is_nan() || units_per_day <= 0.0 {
            return Err(PlanError::NoUnits);
        }
        Ok((self.sample_size(lift)? as f64 / units_per_day).ceil() as u64)
    }

    /// How many standard errors the effect has to be away from 0.
    fn deviations(&self) -> f64 {
        let boundary = match self.rule {
            Rule::Fixed => normal_quantile(1.0 - 0.5 * self.alpha),
            // At the tuned size the boundary doesn't depend on the size.
            Rule::Sequential => Sequential { alpha: self.alpha, ..Sequential::default() }.boundary_where_tuned(),
        };
        boundary + normal_quantile(self.power)
    }

    /// Variance of the difference times the units of both arms.
    fn spread(&self) -> f64 {
        self.variance / (1.0 - self.treated_share) + self.variance_treated / self.treated_share
    }

    fn check(&self) -> Result<(), PlanError> {
        let inside = |p: f64| p > 0.0 && p < 1.0;
        if ![self.alpha, self.power, self.treated_share].into_iter().all(inside) || self.power <= self.alpha {
            return Err(PlanError::NoProbability);
        }
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if !(self.mean.is_finite() && self.mean != 0.0 && positive(self.variance) && positive(self.variance_treated)) {
            return Err(PlanError::NoBaseline);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", formula 4.14 without its continuity
    /// correction, unpooled: (1.96 + .8416)^2 (.1 * .9 + .11 * .89) / .01^2 = 14,748.2 an arm.
    #[test]
    fn a_tenth_against_eleven_hundredths_needs_fifteen_thousand_an_arm() {
        let units = Plan::of_proportion(0.10, 0.10).unwrap().sample_size(0.10).unwrap();
        let z = 1.959_963_985 + 0.841_621_234;
        assert_eq!(units, (2.0f64 * z * z * (0.09 + 0.0979) / 1e-4).ceil() as u64);
    }

    #[test]
    fn size_and_detectable_lift_are_inverse() {
        for rule in [Rule::Fixed, Rule::Sequential] {
            let plan = Plan { rule, treated_share: 0.2, ..Plan::of_mean(30.0, 2_500.0) };
            let units = plan.sample_size(0.04).unwrap();
            assert!((plan.minimal_detectable_lift(units).unwrap() - 0.04).abs() < 1e-5);
            assert_eq!(plan.duration_days(0.04, 1_000.0), Ok(units.div_ceil(1_000)));
        }
    }

    #[test]
    fn looking_costs_units_and_an_uneven_split_does_too() {
        let plan = Plan::of_mean(30.0, 2_500.0);
        let fixed = plan.sample_size(0.05).unwrap();
        let sequential = Plan { rule: Rule::Sequential, ..plan }.sample_size(0.05).unwrap();
        let uneven = Plan { treated_share: 0.1, ..plan }.sample_size(0.05).unwrap();
        assert!(sequential > fixed && sequential < 3 * fixed);
        assert!((uneven as f64 / fixed as f64 - 0.25 / 0.09).abs() < 1e-3);
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        let plan = Plan::of_mean(30.0, 2_500.0);
        assert_eq!(plan.sample_size(0.0), Err(PlanError::NoLift));
        assert_eq!(Plan { alpha: 0.0, ..plan }.sample_size(0.1), Err(PlanError::NoProbability));
        assert_eq!(Plan { mean: 0.0, ..plan }.sample_size(0.1), Err(PlanError::NoBaseline));
        assert_eq!(plan.duration_days(0.1, 0.0), Err(PlanError::NoUnits));
        assert!(Plan::of_proportion(0.6, 0.8).is_err());
    }
}
