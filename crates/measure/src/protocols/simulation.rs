//! Experiments of which the truth is known.

use merx_numeric::rng::Rng;
use rayon::prelude::*;
use serde_json::json;

use super::shoppers::{Arms, Kind, Planted};
use super::{Emit, Figure, family, number, share};
use crate::power::{Plan, Rule};
use crate::{Alternative, Arm, Effect, Moments, Observation, Scale, Sequential, sample_ratio};

const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;
/// Shoppers of an experiment, and between two looks.
const SHOPPERS: usize = 20_000;
const STEP: usize = 200;
/// What is planted where a lift is planted.
const PLANTED: Planted = Planted { buying: 0.20, spending: 0.10 };
const CORRELATION: f64 = 0.7;

/// `trials` experiments of each kind.
pub fn simulate(trials: usize, seed: u64, emit: &mut Emit<'_>) {
    let rng = Rng::from_seed(seed);
    peek_at_nothing(trials, &rng.split(1), emit);
    cover(trials, &rng.split(2), emit);
    for rule in [Rule::Fixed, Rule::Sequential] {
        emit(&power(trials, rule, &rng.split(3)));
    }
    emit(&variance_reduction(trials.min(200), &rng.split(4)));
    ratios(trials, &rng.split(5), emit);
    family::simulate(trials, &rng.split(6), emit);
}

fn each<T: Send>(trials: usize, rng: &Rng, trial: impl Fn(&mut Rng) -> T + Sync) -> Vec<T> {
    (0..trials).into_par_iter().map(|number| trial(&mut rng.split(number as u64))).collect()
}

fn count(flags: impl Iterator<Item = bool>) -> usize {
    flags.filter(|flag| *flag).count()
}

/// What one experiment's looks at one metric came to.
#[derive(Debug, Clone, Copy, Default)]
struct Looks {
    /// The sequential interval missed the true lift, or excluded 0, at some look.
    missed: bool,
    called: bool,
    /// The test for one look called at some look; at the last one.
    fixed_called: bool,
    fixed_called_last: bool,
    /// The interval for one look held the true lift at the last one.
    fixed_covered_last: bool,
}

/// Looks at all metrics after each step.
fn look(rng: &mut Rng, planted: Planted) -> [Looks; 4] {
    let mut arms = Arms::default();
    let mut looks = [Looks::default(); 4];
    for _ in 0..SHOPPERS / STEP {
        arms.visit(rng, STEP, planted);
        for (kind, looks) in Kind::ALL.into_iter().zip(&mut looks) {
            let [control, treatment] = arms.read(kind);
            if let Ok(effect) = Effect::between(&control, &treatment, Scale::Relative) {
                looks.take(&effect, kind.lift(planted));
            }
        }
    }
    looks
}

impl Looks {
    fn take(&mut self, effect: &Effect, truth: f64) {
        let sequential = Sequential { alpha: ALPHA, ..Sequential::default() }.read(effect);
        self.called |= sequential.excludes_zero();
        self.missed |= truth < sequential.low || truth > sequential.high;
        let fixed = effect.fixed(ALPHA, Alternative::TwoSided);
        self.fixed_called_last = fixed.excludes_zero();
        self.fixed_called |= self.fixed_called_last;
        self.fixed_covered_last = fixed.low <= truth && truth <= fixed.high;
    }
}

fn peek_at_nothing(trials: usize, rng: &Rng, emit: &mut Emit<'_>) {
    let all = each(trials, rng, |rng| look(rng, Planted::default()));
    let settings = json!({
        "trials": trials, "looks": SHOPPERS / STEP, "units": SHOPPERS, "alpha": ALPHA, "scale": "relative",
    });
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let mut tell = |metric: &str, of: fn(&Looks) -> bool| {
            let hits = count(all.iter().map(|looks| of(&looks[place])));
            emit(&share(metric, kind.name(), hits, trials, settings.clone()));
        };
        tell("false_positive_rate_with_peeking", |looks| looks.called);
        tell("false_positive_rate_with_peeking_at_a_fixed_test", |looks| looks.fixed_called);
        tell("false_positive_rate_of_one_look", |looks| looks.fixed_called_last);
    }
}

fn cover(trials: usize, rng: &Rng, emit: &mut Emit<'_>) {
    let all = each(trials, rng, |rng| look(rng, PLANTED));
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let settings =
            json!({ "trials": trials, "units": SHOPPERS, "alpha": ALPHA, "planted_lift": kind.lift(PLANTED) });
        let covered = count(all.iter().map(|looks| looks[place].fixed_covered_last));
        emit(&share("interval_coverage", kind.name(), covered, trials, settings.clone()));
        let never_missed = count(all.iter().map(|looks| !looks[place].missed));
        emit(&share("interval_coverage_at_all_looks", kind.name(), never_missed, trials, settings));
    }
}

/// A lift of 10 % of a share of 10 %, with the planned number of units; sequentially with 20 looks on the way.
fn power(trials: usize, rule: Rule, rng: &Rng) -> Figure {
    const BASE: f64 = 0.10;
    const LIFT: f64 = 0.10;
    const LOOKS: u64 = 20;
    let plan = Plan::of_proportion(BASE, LIFT).map(|plan| Plan { rule, alpha: ALPHA, power: POWER, ..plan });
    // The constants above make a plan; none would show as a figure of 0.
    let units = plan.and_then(|plan| plan.sample_size(LIFT)).unwrap_or(0);
    let sequential = Sequential { alpha: ALPHA, tuned_for: units, ..Sequential::default() };
    let found = each(trials, rng, |rng| {
        let mut hits = [0u64; 2];
        let mut arm_units = 0;
        let draw = |rng: &mut Rng, units: u64, p: f64| (0..units).filter(|_| rng.chance(p)).count() as u64;
        (1..=LOOKS).any(|look| {
            let step = units * look / LOOKS / 2 - arm_units;
            arm_units += step;
            hits[0] += draw(rng, step, BASE);
            hits[1] += draw(rng, step, BASE * (1.0 + LIFT));
            let [control, treatment] = hits.map(|hits| Arm::proportion(hits, arm_units));
            let Ok(effect) = Effect::between(&control, &treatment, Scale::Absolute) else { return false };
            let reading = match rule {
                Rule::Sequential => sequential.read(&effect),
                Rule::Fixed if look == LOOKS => effect.fixed(ALPHA, Alternative::TwoSided),
                Rule::Fixed => return false,
            };
            reading.low > 0.0
        })
    });
    let settings = json!({ "trials": trials, "planned_power": POWER, "units": units, "rule": rule, "lift": LIFT });
    share("power_of_planted_lift", "conversion", count(found.into_iter()), trials, settings)
}

fn variance_reduction(trials: usize, rng: &Rng) -> Figure {
    let cuts = each(trials, rng, |rng| {
        let arms = [0, 1].map(|_| {
            Moments::of((0..5_000).map(|_| {
                let covariate = rng.normal();
                let rest = (1.0 - CORRELATION * CORRELATION).sqrt() * rng.normal();
                Observation { numerator: CORRELATION * covariate + rest, denominator: 1.0, covariate }
            }))
        });
        1.0 - Arm::adjusted(&arms, false)[1].variance / Arm::mean(&arms[1]).variance
    });
    let n = trials.max(2) as f64;
    let mean = cuts.iter().sum::<f64>() / n;
    let deviation = (cuts.iter().map(|cut| (cut - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let half = 1.96 * deviation / n.sqrt();
    let settings = json!({ "trials": trials, "correlation": CORRELATION, "expected": CORRELATION * CORRELATION });
    let figure = number("cuped_variance_reduction", "fraction", "normal", mean, settings);
    Figure { interval: Some([mean - half, mean + half]), ..figure }
}

/// Sample ratios, looked at 100 times on the way to 100,000 units: nothing lost, and 4 % of one arm lost.
fn ratios(trials: usize, rng: &Rng, emit: &mut Emit<'_>) {
    const LEVEL: f64 = 0.001;
    for (metric, lost) in [("sample_ratio_false_alarms", 0.0), ("sample_ratio_mismatch_detected", 0.04)] {
        let alarms = each(trials, rng, |rng| {
            let mut counts = [0u64; 2];
            (0..100).any(|_| {
                for _ in 0..1_000 {
                    let arm = rng.below(2);
                    counts[arm] += u64::from(arm == 0 || !rng.chance(lost));
                }
                sample_ratio::always_valid(&counts, &[1.0, 1.0]).is_some_and(|p| p < LEVEL)
            })
        });
        let settings =
            json!({ "trials": trials, "looks": 100, "units": 100_000, "alpha": LEVEL, "lost_of_one_arm": lost });
        emit(&share(metric, "sample_ratio", count(alarms.into_iter()), trials, settings));
    }
}
