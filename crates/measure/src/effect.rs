//! The difference between two arms, and what one look at it says.

use merx_numeric::distributions::{t_quantile, t_survival};
use serde::{Deserialize, Serialize};

use crate::Arm;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// In the unit of the metric.
    Absolute,
    /// By the control's mean: 0.05 is a lift of 5 %.
    Relative,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    TwoSided,
    /// Only an increase counts.
    Greater,
    /// Only a decrease counts.
    Less,
}

/// Why two arms can't be compared, yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    #[error("an arm has fewer than two units")]
    TooFewUnits,
    #[error("no unit differs from another, so there is no error to compare with")]
    NoVariance,
    #[error("the control's mean is 0, so nothing is relative to it")]
    NoBaseline,
    #[error("a mean or variance is not a number")]
    NotANumber,
}

/// An estimated effect of a treatment against a control, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub scale: Scale,
    pub estimate: f64,
    pub standard_error: f64,
    /// Units of both arms.
    pub units: u64,
    /// How well the means themselves are known: the smaller of the arms' (mean / its standard error)^2. Of a rare share it
    /// is about the number of successes.
    pub precision: f64,
    /// Degrees of freedom after Welch and Satterthwaite.
    pub degrees_of_freedom: f64,
}

/// What an interval of some kind says; the ends may be infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub low: f64,
    pub high: f64,
    pub p_value: f64,
}

impl Reading {
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

impl Effect {
    /// Compares treatment and control. The error of a relative effect is by the delta method on
    /// (treatment - control) / control: Deng, Knoblich and Lu, KDD 2018, section 3.2.
    pub fn between(control: &Arm, treatment: &Arm, scale: Scale) -> Result<Self, Unreadable> {
        if control.units < 2 || treatment.units < 2 {
            return Err(Unreadable::TooFewUnits);
        }
        let parts = [control.variance_of_mean(), treatment.variance_of_mean()];
        let means = [control.mean, treatment.mean, control.observed_mean, treatment.observed_mean];
        if parts.iter().chain(&means).any(|number| !number.is_finite()) {
            return Err(Unreadable::NotANumber);
        }
        let difference = treatment.mean - control.mean;
        let base = control.observed_mean.abs();
        let (estimate, variance) = match scale {
            Scale::Absolute => (difference, parts[0] + parts[1]),
            Scale::Relative if base == 0.0 => return Err(Unreadable::NoBaseline),
            Scale::Relative => {
                let grown = treatment.observed_mean / base;
                (difference / base, (parts[1] + parts[0] * grown * grown) / (base * base))
            }
        };
        if variance <= 0.0 {
            return Err(Unreadable::NoVariance);
        }
        Ok(Self {
            scale,
            estimate,
            standard_error: variance.sqrt(),
            units: control.units + treatment.units,
            precision: precision(control).min(precision(treatment)),
            degrees_of_freedom: welch(parts, [control.units, treatment.units]),
        })
    }

    /// How many standard errors the effect is away from 0.
    pub fn z(&self) -> f64 {
        self.estimate / self.standard_error
    }

    /// Welch's t test: valid for **one** look, at a time that was set beforehand. The interval covers with probability
    /// 1 - `alpha`; one-sided ones are open on the other side.
    pub fn fixed(&self, alpha: f64, alternative: Alternative) -> Reading {
        let (z, df) = (self.z(), self.degrees_of_freedom);
        let width = |p: f64| self.standard_error * t_quantile(p, df);
        let (low, high, p_value) = match alternative {
            Alternative::TwoSided => {
                let half = width(1.0 - 0.5 * alpha);
                (self.estimate - half, self.estimate + half, 2.0 * t_survival(z.abs(), df))
            }
            Alternative::Greater => (self.estimate - width(1.0 - alpha), f64::INFINITY, t_survival(z, df)),
            Alternative::Less => (f64::NEG_INFINITY, self.estimate + width(1.0 - alpha), t_survival(-z, df)),
        };
        Reading { low, high, p_value: p_value.min(1.0) }
    }
}

fn precision(arm: &Arm) -> f64 {
    arm.observed_mean * arm.observed_mean / arm.variance_of_mean()
}

/// Degrees of freedom of a difference of means (Welch 1947, Satterthwaite 1946).
fn welch(variances: [f64; 2], units: [u64; 2]) -> f64 {
    let share = |i: usize| variances[i] * variances[i] / (units[i] - 1) as f64;
    (variances[0] + variances[1]).powi(2) / (share(0) + share(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Moments, Observation};

    fn near(got: f64, expected: f64, error: f64) {
        assert!((got - expected).abs() <= error, "{got} is not {expected}");
    }

    /// R's `sleep` data, from Student, "The probable error of a mean", Biometrika 1908: Welch's t = -1.8608,
    /// df = 17.776, p = 0.07939, 95 % interval (-3.3654832, 0.2054832).
    #[test]
    fn students_sleep_data_read_as_published() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let [a, b] = [first, second].map(|hours| Arm::mean(&Moments::of(hours.map(Observation::value))));
        let effect = Effect::between(&b, &a, Scale::Absolute).unwrap();
        let reading = effect.fixed(0.05, Alternative::TwoSided);
        near(effect.z(), -1.8608, 5e-5);
        near(effect.degrees_of_freedom, 17.776, 5e-4);
        near(reading.p_value, 0.07939, 5e-6);
        near(reading.low, -3.3654832, 5e-7);
        near(reading.high, 0.2054832, 5e-7);
        near(effect.fixed(0.05, Alternative::Less).p_value, 0.07939 / 2.0, 5e-6);
        near(effect.fixed(0.05, Alternative::Greater).p_value, 1.0 - 0.07939 / 2.0, 5e-6);
    }

    #[test]
    fn one_sided_bounds_are_two_sided_ones_at_twice_alpha() {
        let effect = Effect::between(&Arm::proportion(40, 400), &Arm::proportion(60, 410), Scale::Relative).unwrap();
        let two_sided = effect.fixed(0.10, Alternative::TwoSided);
        near(effect.fixed(0.05, Alternative::Greater).low, two_sided.low, 1e-12);
        near(effect.fixed(0.05, Alternative::Less).high, two_sided.high, 1e-12);
    }

    #[test]
    fn arms_that_cannot_be_compared_say_why() {
        let some = Arm::proportion(5, 10);
        let compare = |control, scale| Effect::between(&control, &some, scale);
        assert_eq!(compare(Arm::proportion(1, 1), Scale::Absolute), Err(Unreadable::TooFewUnits));
        assert_eq!(compare(Arm::proportion(0, 10), Scale::Relative), Err(Unreadable::NoBaseline));
        assert_eq!(compare(Arm::from_summary(9, f64::NAN, 1.0), Scale::Absolute), Err(Unreadable::NotANumber));
        let still = Arm::proportion(10, 10);
        assert_eq!(Effect::between(&still, &still, Scale::Absolute), Err(Unreadable::NoVariance));
    }
}
