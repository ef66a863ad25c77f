//! Real experiments with their course: how many winners appear only because somebody looked early?
//!
//! For the data of Liu, Cardoso, Couturier and McCoy, "Datasets for Online Controlled Experiments", NeurIPS 2021: a row is
//! a checkpoint of an arm and metric, with counts, means and variances so far. No truth is known; what is counted are calls.

use std::collections::BTreeMap;

use merx_numeric::distributions::normal_survival;
use serde_json::json;

use super::{Emit, number};
use crate::sequential::mixture_p_value;
use crate::{Alternative, Arm, Effect, Scale, Sequential};

const ALPHA: f64 = 0.05;

/// What was known of one arm and metric at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Experiment, arm and metric.
    pub series: String,
    /// Since the start, in any unit.
    pub time: f64,
    pub control: Arm,
    pub treatment: Arm,
}

/// Reads all series by all rules. Checkpoints without a variance or with fewer than two units are left out.
pub fn read_series(checkpoints: Vec<Checkpoint>, emit: &mut Emit<'_>) {
    let mut series: BTreeMap<String, Vec<Checkpoint>> = BTreeMap::new();
    for checkpoint in checkpoints {
        let sound = |arm: &Arm| arm.units > 1 && arm.variance > 0.0;
        if sound(&checkpoint.control) && sound(&checkpoint.treatment) {
            series.entry(checkpoint.series.clone()).or_default().push(checkpoint);
        }
    }
    let mut calls: BTreeMap<&'static str, usize> = BTreeMap::new();
    for checkpoints in series.values_mut() {
        checkpoints.sort_by(|a, b| a.time.total_cmp(&b.time));
        for (rule, called) in read(checkpoints) {
            *calls.entry(rule).or_default() += usize::from(called);
        }
    }
    let settings = json!({ "alpha": ALPHA, "series": series.len(), "tuned_for": Sequential::default().tuned_for });
    emit(&number("series", "count", "asos", series.len() as f64, settings.clone()));
    for (rule, called) in calls {
        emit(&number(rule, "count", "asos", called as f64, settings.clone()));
    }
}

/// Which rules call a winner or loser in one series.
fn read(checkpoints: &[Checkpoint]) -> Vec<(&'static str, bool)> {
    let looks: Vec<Look> =
        checkpoints.iter().filter_map(|checkpoint| Look::at(checkpoint, checkpoints.len())).collect();
    let last = |of: fn(&Look) -> bool| looks.last().is_some_and(of);
    let ever = |of: fn(&Look) -> bool| looks.iter().any(of);
    let fixed_last = last(|look| look.fixed);
    vec![
        ("fixed_test_at_the_end", fixed_last),
        ("fixed_test_at_any_look", ever(|look| look.fixed)),
        ("false_winners_of_peeking_at_a_fixed_test", ever(|look| look.fixed) && !fixed_last),
        ("bonferroni_at_any_look", ever(|look| look.bonferroni)),
        ("msprt_1e-4_at_any_look", ever(|look| look.msprt[0])),
        ("msprt_1e-2_at_any_look", ever(|look| look.msprt[1])),
        ("confidence_sequence_at_any_look", ever(|look| look.sequential)),
        ("confidence_sequence_at_the_end", last(|look| look.sequential)),
        ("false_winners_of_peeking_at_a_confidence_sequence", ever(|look| look.sequential) && !fixed_last),
        ("confidence_sequence_relative_at_any_look", ever(|look| look.sequential_relative)),
    ]
}

struct Look {
    fixed: bool,
    bonferroni: bool,
    /// With a mixture of 1e-4 and 1e-2 of the variance.
    msprt: [bool; 2],
    sequential: bool,
    sequential_relative: bool,
}

impl Look {
    fn at(checkpoint: &Checkpoint, looks: usize) -> Option<Self> {
        let between = |scale| Effect::between(&checkpoint.control, &checkpoint.treatment, scale).ok();
        let sequential =
            Sequential { alpha: ALPHA, first_look_units: 0, first_look_precision: 0.0, ..Sequential::default() };
        let effect = between(Scale::Absolute)?;
        let harmonic = 2.0 / (1.0 / checkpoint.control.units as f64 + 1.0 / checkpoint.treatment.units as f64);
        let spread = checkpoint.control.variance + checkpoint.treatment.variance;
        let z = effect.estimate / (spread / harmonic).sqrt();
        Some(Self {
            fixed: effect.fixed(ALPHA, Alternative::TwoSided).p_value < ALPHA,
            bonferroni: 2.0 * normal_survival(effect.z().abs()) < ALPHA / looks as f64,
            msprt: [1e-4, 1e-2].map(|ratio| mixture_p_value(z, ratio * harmonic) < ALPHA),
            sequential: sequential.read(&effect).excludes_zero(),
            sequential_relative: between(Scale::Relative).is_some_and(|lift| sequential.read(&lift).excludes_zero()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(time: f64, mean: f64, units: u64) -> Checkpoint {
        Checkpoint {
            series: "one".into(),
            time,
            control: Arm::from_summary(units, 1.0, 1.0),
            treatment: Arm::from_summary(units, mean, 1.0),
        }
    }

    #[test]
    fn a_winner_that_fades_is_a_false_one_of_peeking_only() {
        // 2.5 standard errors early, none at the end; handed over out of order.
        let checkpoints = vec![checkpoint(2.0, 1.0, 8_000), checkpoint(1.0, 1.0 + 2.5 * 0.001f64.sqrt(), 2_000)];
        let mut figures = BTreeMap::new();
        read_series(checkpoints, &mut |figure| {
            figures.insert(figure.metric.clone(), figure.value);
        });
        assert_eq!(figures["series"], 1.0);
        assert_eq!(figures["fixed_test_at_the_end"], 0.0);
        assert_eq!(figures["false_winners_of_peeking_at_a_fixed_test"], 1.0);
        assert_eq!(figures["confidence_sequence_at_any_look"], 0.0);
    }
}
