//! One readable pipeline: consent, arm, features, proposal under a deadline, guardrails, fallback, record.
//!
//! Start with [`Pipeline::decide`]. Nothing here knows how an engine decides, how a record is stored on disk, or HTTP.

mod catalogue;
mod experiments;
mod pipeline;
mod record;
mod shelf;
mod why;

pub use catalogue::{Catalogue, CatalogueEntry, CatalogueReader};
pub use experiments::{
    Adjust, Asker, BoostDefinition, Change, Dealer, Dealt, DefinitionProblem, Definitions, Evaluation,
    EvaluationReason, ExperimentDefinition, ExperimentsError, ExposureLog, PreparedVariant, StoredExperiment, Surface,
    Variant,
};
pub use merx_features::OWN_EXPOSURE;
pub use pipeline::{FeatureSource, Pipeline, PipelineSettings, Request};
pub use record::{Arm, DecisionRecord, RecordError, Recorder, RecorderSettings, SUBJECT_COLUMNS, Wanted};
pub use shelf::{Boost, BoostField, RecordingShelf, ReplayShelf, RequestShelf, ShelfTrace, SlotRules};
pub use why::{level_words, words};

/// Every table of this crate.
pub const MIGRATIONS: &[merx_store::Migration] = &[record::MIGRATION, experiments::MIGRATION];
