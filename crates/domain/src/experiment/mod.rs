//! Experiments: what they are, when a set of them makes sense, and who gets which arm.
//!
//! Everything is a pure function of definitions, unit and time: the same unit gets the same arm on every machine and in
//! every replay. Nothing is stored to assign; what happened is logged as an exposure when it happens.

mod assignment;
mod bandit;
mod definition;
mod hash;
mod plan;

pub use assignment::{Assignment, Refusal, Traits, Unit, unit_key};
pub use bandit::{Bandit, BanditKind, BanditPolicy, CONTEXT, LinearArm, Reward, context, whole};
pub use definition::{
    ArmDefinition, BUCKETS, BucketRange, Experiment, ExperimentId, ExperimentKind, ExperimentState, LayerId, Targeting,
    UnitKind,
};
pub use hash::bucket;
pub use plan::{ExperimentError, ExperimentPlan, Holdout};
