//! What an experiment is.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{Device, MarketId, TimestampMs};

/// Lots are dealt in so many buckets; shares are counted in them (1 is .01 %).
pub const BUCKETS: u16 = 10_000;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub CompactString);

        impl $name {
            pub fn new(name: &str) -> Self {
                Self(CompactString::new(name))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// An experiment as the shop names it; also the key of its flag.
    ExperimentId);
name_type!(
    /// Experiments of one layer never meet in a unit.
    LayerId);

/// Buckets `from..to` of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRange {
    pub from: u16,
    pub to: u16,
}

impl BucketRange {
    pub const ALL: Self = Self { from: 0, to: BUCKETS };

    pub fn contains(self, bucket: u16) -> bool {
        (self.from..self.to).contains(&bucket)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// What is dealt to arms as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    Subject,
    Session,
    /// A switchback: a whole market changes arms from one slot of time to the next, for what would spill over between
    /// shoppers (prices, stock).
    MarketSlot {
        slot_ms: i64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmDefinition {
    pub name: CompactString,
    /// In buckets; the shares of an experiment's arms add up to 10,000. The first arm is the control.
    pub share: u16,
}

/// Who may be in. An empty list lets everybody pass; each list that isn't empty must hold the unit's value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Targeting {
    pub markets: Vec<MarketId>,
    pub devices: Vec<Device>,
    /// One of the unit's segments is enough.
    pub segments: Vec<CompactString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    Draft,
    Running,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentKind {
    /// Arms are compared, so there are at least two, and metrics that decide.
    #[default]
    Test,
    /// Switched, not measured: one arm is enough.
    Flag,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    pub id: ExperimentId,
    #[serde(default)]
    pub kind: ExperimentKind,
    pub state: ExperimentState,
    pub unit: UnitKind,
    pub layer: LayerId,
    /// The part of its layer that is this experiment's.
    pub range: BucketRange,
    /// The share of its units that is let in, in buckets. Raising it lets more in and moves nobody; so does lowering it.
    pub ramp: u16,
    /// What the lots are drawn with. Changing it deals all units anew.
    pub salt: CompactString,
    pub arms: Vec<ArmDefinition>,
    #[serde(default)]
    pub targeting: Targeting,
    /// Names of metrics that decide it; others are only watched.
    pub metrics: Vec<CompactString>,
    pub starts_at: TimestampMs,
    /// The first moment at which it no longer runs; `None`: until it is ended.
    pub ends_at: Option<TimestampMs>,
}

impl Experiment {
    pub fn runs_at(&self, now: TimestampMs) -> bool {
        self.state == ExperimentState::Running && self.starts_at <= now && self.ends_at.is_none_or(|end| now < end)
    }

    /// Whether there is a moment at which both run.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let begins_before_end = |a: &Self, b: &Self| b.ends_at.is_none_or(|end| a.starts_at < end);
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}
