//! Who gets which arm.

use std::collections::BTreeMap;

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};

use super::definition::{BUCKETS, Experiment, ExperimentId, Targeting, UnitKind};
use super::hash::bucket;
use super::plan::ExperimentPlan;
use crate::{Device, MarketId, SubjectId, TimestampMs};

/// Whom a decision is for, as far as dealing goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// After identifying, the person's own id on every device. `None` where nobody is known, or may be.
    pub subject: Option<SubjectId>,
    pub session: Option<CompactString>,
}

/// What targeting may ask.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traits {
    pub market: MarketId,
    pub device: Device,
    pub segments: Vec<CompactString>,
}

/// An arm for a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    pub experiment: ExperimentId,
    pub arm: CompactString,
    /// Of the arm among the experiment's arms; 0 is the control.
    pub place: usize,
    /// Chance of this arm for a unit of the experiment, in buckets.
    pub share: u16,
}

impl Assignment {
    /// The chance of this arm, 0 to 1: what off-policy estimates divide by.
    pub fn propensity(&self) -> f64 {
        f64::from(self.share) / f64::from(BUCKETS)
    }
}

/// Why a unit has no arm in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    NotRunning,
    /// In the global holdout.
    HeldOut,
    NotTargeted,
    /// The layer's bucket belongs to another experiment, or to none.
    OtherExperiment,
    NotRampedUp,
    /// The experiment deals subjects (or sessions), and there is none.
    NoUnit,
}

impl ExperimentPlan {
    /// Whether nothing automatic may touch this subject.
    pub fn is_held_out(&self, subject: SubjectId) -> bool {
        bucket(&self.holdout.salt, &subject.to_string()) < self.holdout.share
    }

    /// The arms of a unit at this moment, by the experiment's id.
    ///
    /// `earlier` are arms that the subject was already shown on another device before it was identified: where subjects are
    /// dealt, such an arm is kept as long as the experiment runs and still has it, whatever the lot says.
    pub fn assign(
        &self,
        unit: &Unit,
        traits: &Traits,
        now: TimestampMs,
        earlier: &BTreeMap<ExperimentId, CompactString>,
    ) -> Vec<Assignment> {
        let each = |experiment| self.assign_one(experiment, unit, traits, now, earlier.get(&experiment.id));
        self.experiments.iter().filter_map(|experiment| each(experiment).ok()).collect()
    }

    /// The arm in one experiment, or why there is none.
    pub fn assign_one(
        &self,
        experiment: &Experiment,
        unit: &Unit,
        traits: &Traits,
        now: TimestampMs,
        earlier: Option<&CompactString>,
    ) -> Result<Assignment, Refusal> {
        self.check_runs(experiment, unit, now)?;
        // A session or a slot of time is dealt anew, whoever it is.
        let earlier = earlier.filter(|_| experiment.unit == UnitKind::Subject);
        if let Some(kept) = earlier.and_then(|name| experiment.arms.iter().position(|arm| arm.name == *name)) {
            return Ok(experiment.assignment(kept));
        }
        let key = self.admit(experiment, unit, traits, now)?;
        let lot = bucket(&format_compact!("arm {}", experiment.salt), &key);
        experiment.arm_of(lot).map(|place| experiment.assignment(place)).ok_or(Refusal::NoUnit)
    }

    /// The arm of one epoch by these shares, for a bandit: who is let in is as ever, the arm is drawn anew each epoch.
    pub fn draw_one(
        &self,
        experiment: &Experiment,
        unit: &Unit,
        traits: &Traits,
        now: TimestampMs,
        shares: &[u16],
        epoch: i64,
    ) -> Result<Assignment, Refusal> {
        self.check_runs(experiment, unit, now)?;
        let key = self.admit(experiment, unit, traits, now)?;
        let lot = u32::from(bucket(&format_compact!("arm {} {epoch}", experiment.salt), &key));
        let mut end = 0;
        let place = shares.iter().position(|share| {
            end += u32::from(*share);
            lot < end
        });
        let place = place.filter(|place| *place < experiment.arms.len()).ok_or(Refusal::NoUnit)?;
        Ok(Assignment { share: shares[place], ..experiment.assignment(place) })
    }

    fn check_runs(&self, experiment: &Experiment, unit: &Unit, now: TimestampMs) -> Result<(), Refusal> {
        if !experiment.runs_at(now) {
            return Err(Refusal::NotRunning);
        }
        if unit.subject.is_some_and(|subject| self.is_held_out(subject)) {
            return Err(Refusal::HeldOut);
        }
        Ok(())
    }

    /// The key that lots are drawn with, where the unit is let in.
    fn admit(
        &self,
        experiment: &Experiment,
        unit: &Unit,
        traits: &Traits,
        now: TimestampMs,
    ) -> Result<CompactString, Refusal> {
        if !experiment.targeting.lets_in(traits) {
            return Err(Refusal::NotTargeted);
        }
        let key = unit_key(experiment.unit, unit, traits, now).ok_or(Refusal::NoUnit)?;
        // The layer's lot is drawn with the layer's name, so that all its experiments see the same bucket.
        if !experiment.range.contains(bucket(&format_compact!("layer {}", experiment.layer), &key)) {
            return Err(Refusal::OtherExperiment);
        }
        // Ramp and arm are different lots: who is let in says nothing of the arm, and no ramp moves anybody.
        if bucket(&format_compact!("ramp {}", experiment.salt), &key) >= experiment.ramp {
            return Err(Refusal::NotRampedUp);
        }
        Ok(key)
    }
}

impl Experiment {
    /// The arm that a lot falls to: shares laid end to end.
    fn arm_of(&self, lot: u16) -> Option<usize> {
        debug_assert!(lot < BUCKETS);
        let mut end = 0u32;
        self.arms.iter().position(|arm| {
            end += u32::from(arm.share);
            u32::from(lot) < end
        })
    }

    fn assignment(&self, place: usize) -> Assignment {
        let arm = &self.arms[place];
        Assignment { experiment: self.id.clone(), arm: arm.name.clone(), place, share: arm.share }
    }
}

/// The unit that an experiment of this kind deals, as its lots and its exposures name it; `None` where there is none.
pub fn unit_key(kind: UnitKind, unit: &Unit, traits: &Traits, now: TimestampMs) -> Option<CompactString> {
    match kind {
        UnitKind::Subject => unit.subject.map(|subject| format_compact!("{subject}")),
        UnitKind::Session => unit.session.clone(),
        UnitKind::MarketSlot { slot_ms } => {
            Some(format_compact!("{} {}", traits.market, now.0.div_euclid(slot_ms.max(1))))
        }
    }
}

impl Targeting {
    pub fn lets_in(&self, traits: &Traits) -> bool {
        let markets = self.markets.is_empty() || self.markets.contains(&traits.market);
        let devices = self.devices.is_empty() || self.devices.contains(&traits.device);
        let segments = self.segments.is_empty() || self.segments.iter().any(|one| traits.segments.contains(one));
        markets && devices && segments
    }
}

#[cfg(test)]
mod tests;
