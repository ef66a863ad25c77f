//! All experiments together, held against each other before any of them may go live.

use std::collections::BTreeSet;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::definition::{BUCKETS, Experiment, ExperimentId, ExperimentKind, ExperimentState, LayerId, UnitKind};

/// Shoppers that no automation and no experiment ever touches: what all of it together earns is measured against them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holdout {
    /// Changing it chooses other shoppers, and what was measured is lost.
    pub salt: CompactString,
    /// In buckets; 0 for none. Raising it keeps who was held out.
    pub share: u16,
}

/// Why definitions can't go live.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExperimentError {
    #[error("an experiment has no name")]
    NoName,
    #[error("two experiments are named {experiment}")]
    Duplicate { experiment: ExperimentId },
    #[error("experiment {experiment} has too few arms: a test compares at least two, a flag has one")]
    TooFewArms { experiment: ExperimentId },
    #[error("experiment {experiment} has two arms named {arm}, or one without a name")]
    ArmNames { experiment: ExperimentId, arm: CompactString },
    #[error("the shares of the arms of {experiment} add up to {sum}, not to 10,000")]
    ArmsDontAddUp { experiment: ExperimentId, sum: u64 },
    #[error("arm {arm} of {experiment} has a share of 0, so nobody would see it")]
    EmptyArm { experiment: ExperimentId, arm: CompactString },
    #[error("the buckets {from}..{to} of {experiment} aren't a part of 0..10,000")]
    Range { experiment: ExperimentId, from: u16, to: u16 },
    #[error("{what} of {of} buckets are more than there are (10,000)")]
    Share { what: &'static str, of: u16 },
    #[error("experiments {first} and {second} run at the same time in the same buckets of layer {layer}")]
    Overlap { layer: LayerId, first: ExperimentId, second: ExperimentId },
    #[error("experiments {first} and {second} of layer {layer} deal different units, so they can't exclude each other")]
    MixedUnits { layer: LayerId, first: ExperimentId, second: ExperimentId },
    #[error("experiment {experiment} asks for the metric {metric}, which isn't defined")]
    UnknownMetric { experiment: ExperimentId, metric: CompactString },
    #[error("experiment {experiment} has no metric that decides it")]
    NoMetric { experiment: ExperimentId },
    #[error("experiment {experiment} ends before it starts")]
    EndsBeforeStart { experiment: ExperimentId },
    #[error("the slots of {experiment} are shorter than a minute")]
    Slot { experiment: ExperimentId },
}

/// Experiments that make sense together. Assigning doesn't depend on the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExperimentPlan {
    /// By id.
    pub(super) experiments: Vec<Experiment>,
    pub(super) holdout: Holdout,
}

const SHORTEST_SLOT_MS: i64 = 60_000;

impl ExperimentPlan {
    /// Checks all definitions and gives every problem found, not only the first. `metrics` are the names that are defined.
    pub fn new(
        mut experiments: Vec<Experiment>,
        holdout: Holdout,
        metrics: &BTreeSet<CompactString>,
    ) -> Result<Self, Vec<ExperimentError>> {
        experiments.sort_by(|a, b| a.id.cmp(&b.id));
        let mut problems = Vec::new();
        if holdout.share > BUCKETS {
            problems.push(ExperimentError::Share { what: "the holdout", of: holdout.share });
        }
        experiments.iter().for_each(|experiment| check(experiment, metrics, &mut problems));
        for (place, first) in experiments.iter().enumerate() {
            experiments[place + 1..].iter().for_each(|second| problems.extend(conflict(first, second)));
        }
        if problems.is_empty() { Ok(Self { experiments, holdout }) } else { Err(problems) }
    }

    pub fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    pub fn holdout(&self) -> &Holdout {
        &self.holdout
    }
}

fn check(experiment: &Experiment, metrics: &BTreeSet<CompactString>, problems: &mut Vec<ExperimentError>) {
    let id = || experiment.id.clone();
    if experiment.id.as_str().trim().is_empty() {
        problems.push(ExperimentError::NoName);
    }
    if experiment.range.from >= experiment.range.to || experiment.range.to > BUCKETS {
        let (from, to) = (experiment.range.from, experiment.range.to);
        problems.push(ExperimentError::Range { experiment: id(), from, to });
    }
    if experiment.ramp > BUCKETS {
        problems.push(ExperimentError::Share { what: "the ramp", of: experiment.ramp });
    }
    if experiment.ends_at.is_some_and(|end| end <= experiment.starts_at) {
        problems.push(ExperimentError::EndsBeforeStart { experiment: id() });
    }
    if let UnitKind::MarketSlot { slot_ms } = experiment.unit
        && slot_ms < SHORTEST_SLOT_MS
    {
        problems.push(ExperimentError::Slot { experiment: id() });
    }
    if experiment.metrics.is_empty() && experiment.kind == ExperimentKind::Test {
        problems.push(ExperimentError::NoMetric { experiment: id() });
    }
    let unknown = experiment.metrics.iter().filter(|metric| !metrics.contains(*metric));
    problems.extend(unknown.map(|metric| ExperimentError::UnknownMetric { experiment: id(), metric: metric.clone() }));
    check_arms(experiment, problems);
}

fn check_arms(experiment: &Experiment, problems: &mut Vec<ExperimentError>) {
    let id = || experiment.id.clone();
    let fewest = if experiment.kind == ExperimentKind::Test { 2 } else { 1 };
    if experiment.arms.len() < fewest {
        problems.push(ExperimentError::TooFewArms { experiment: id() });
    }
    let sum = experiment.arms.iter().map(|arm| u64::from(arm.share)).sum();
    if sum != u64::from(BUCKETS) {
        problems.push(ExperimentError::ArmsDontAddUp { experiment: id(), sum });
    }
    let mut names = BTreeSet::new();
    for arm in &experiment.arms {
        if arm.name.trim().is_empty() || !names.insert(&arm.name) {
            problems.push(ExperimentError::ArmNames { experiment: id(), arm: arm.name.clone() });
        }
        if arm.share == 0 {
            problems.push(ExperimentError::EmptyArm { experiment: id(), arm: arm.name.clone() });
        }
    }
}

fn conflict(first: &Experiment, second: &Experiment) -> Option<ExperimentError> {
    let names = || (first.id.clone(), second.id.clone());
    if first.id == second.id {
        return Some(ExperimentError::Duplicate { experiment: first.id.clone() });
    }
    let ended = |experiment: &Experiment| experiment.state == ExperimentState::Ended;
    if first.layer != second.layer || ended(first) || ended(second) || !first.meets(second) {
        return None;
    }
    let ((first_id, second_id), layer) = (names(), first.layer.clone());
    if first.unit != second.unit {
        return Some(ExperimentError::MixedUnits { layer, first: first_id, second: second_id });
    }
    let overlap = first.range.overlaps(second.range);
    overlap.then_some(ExperimentError::Overlap { layer, first: first_id, second: second_id })
}
