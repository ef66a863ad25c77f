//! Experiments and flags as they run: what they change, where they are kept, who gets which arm, and that it was shown.
//!
//! `definition.rs` says what an experiment changes, `definitions.rs` keeps them and lets only sound ones go live, `dealer.rs` deals
//! arms to decisions and flags, `exposures.rs` writes down what was shown, `holdout.rs` since when nothing is to some. The lots themselves are `merx_domain::experiment`.

mod dealer;
mod definition;
mod definitions;
mod exposures;
mod holdout;

pub use dealer::{Adjust, Asker, Dealer, Dealt, Evaluation, EvaluationReason};
pub use definition::{
    BoostDefinition, Change, DefinitionProblem, ExperimentDefinition, PreparedVariant, Surface, Variant,
};
pub(crate) use definitions::MIGRATION;
pub use definitions::{Definitions, ExperimentsError, StoredExperiment};
pub use exposures::ExposureLog;
pub(crate) use holdout::MIGRATION as HOLDOUT_MIGRATION;
pub use holdout::{begin_holdout, holdout_since};
