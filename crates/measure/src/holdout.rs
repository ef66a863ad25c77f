//! What all automations together earn: those who get them against those who never do, month by month.

use merx_numeric::distributions::normal_quantile;
use serde::{Deserialize, Serialize};

use crate::{Alternative, Arm, Effect, Reading, Scale};

/// A month's units, held out and treated. A unit may be in many months.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// Months since the year 0: year * 12 + month - 1.
    pub month: i32,
    pub held_out: Arm,
    pub treated: Arm,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MonthLift {
    pub month: i32,
    pub lift: Effect,
    pub reading: Reading,
}

/// What the treated units brought beyond what they would have brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Increment {
    /// In the unit of the metric, all treated units and months together.
    pub total: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldoutLift {
    /// Relative lifts of the months that can be read, with their own intervals (one look a month).
    pub months: Vec<MonthLift>,
    pub increment: Increment,
}

/// Lift by month with intervals of probability 1 - `alpha`, and the sum of what was gained.
///
/// The same people are in several months, so months aren't independent. The standard error of the sum is taken as the sum of
/// the months' standard errors, which is that of perfectly correlated months and never too small (triangle inequality).
pub fn lift_by_month(months: &[Month], alpha: f64) -> HoldoutLift {
    let lifts = months.iter().filter_map(|month| {
        let lift = Effect::between(&month.held_out, &month.treated, Scale::Relative).ok()?;
        Some(MonthLift { month: month.month, lift, reading: lift.fixed(alpha, Alternative::TwoSided) })
    });
    let (mut total, mut error) = (0.0, 0.0);
    for month in months {
        if let Ok(gain) = Effect::between(&month.held_out, &month.treated, Scale::Absolute) {
            total += gain.estimate * month.treated.units as f64;
            error += gain.standard_error * month.treated.units as f64;
        }
    }
    let half = normal_quantile(1.0 - 0.5 * alpha) * error;
    HoldoutLift { months: lifts.collect(), increment: Increment { total, low: total - half, high: total + half } }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::{Moments, Observation};

    /// Loyal people come each month: months are dependent, and the planted gain lies in the interval all the same.
    #[test]
    fn the_planted_gain_is_covered_though_months_share_their_people() {
        let rng = Rng::from_seed(8);
        let covered = (0..200).filter(|&trial| {
            let lift = lift_by_month(&shop(&mut rng.split(trial)), 0.05);
            let planted = 6.0 * 2_000.0 * 0.5;
            assert_eq!(lift.months.len(), 6);
            lift.increment.low <= planted && planted <= lift.increment.high
        });
        assert!(covered.count() >= 186, "95 % of 200, less 1.3 sigma");
    }

    fn shop(rng: &mut Rng) -> Vec<Month> {
        let mut people = |count: usize, gain: f64| -> Vec<Moments> {
            let mut months = vec![Moments::default(); 6];
            for _ in 0..count {
                let loyalty = 3.0 * rng.normal();
                for month in &mut months {
                    month.add(Observation::value(10.0 + loyalty + gain + rng.normal()));
                }
            }
            months
        };
        let (held_out, treated) = (people(500, 0.0), people(2_000, 0.5));
        let pairs = held_out.iter().zip(&treated).enumerate();
        pairs
            .map(|(i, (held_out, treated))| Month {
                month: 2026 * 12 + i as i32,
                held_out: Arm::mean(held_out),
                treated: Arm::mean(treated),
            })
            .collect()
    }

    #[test]
    fn a_month_without_anybody_held_out_is_left_out() {
        let empty = Month { month: 1, held_out: Arm::proportion(0, 0), treated: Arm::proportion(3, 10) };
        let lift = lift_by_month(&[empty], 0.05);
        assert!(lift.months.is_empty() && lift.increment.total == 0.0);
    }
}
