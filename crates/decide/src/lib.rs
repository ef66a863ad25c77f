//! One readable pipeline: consent, arm, features, proposal under a deadline, guardrails, fallback, record.
//!
//! Start with [`Pipeline::decide`]. Nothing here knows how an engine decides, how a record is stored on disk, or HTTP.

mod alerts;
mod audit;
mod automations;
mod catalogue;
mod experiments;
mod labels;
mod pipeline;
mod policy;
mod record;
mod shadow;
mod shelf;
mod why;

pub use alerts::{
    Alert, AlertError, AlertKind, AlertState, Alerts, Delivery, DeliveryState, MOST_TRIES, Raise, Severity, Target,
    Webhook, wait_after_ms,
};
pub use audit::{Act, AuditEntry, AuditLog, Governed, Verification};
pub use automations::{
    Approval, ApprovalState, Automation, AutomationError, Automations, Case, Costs, Guardrail, Measure, Mode,
    Objectives, Place, Reach, Seen, Taken, Tally, Terms, Wish,
};
pub use catalogue::{Catalogue, CatalogueEntry, CatalogueReader};
pub use experiments::{
    Adjust, Asker, BoostDefinition, Change, Dealer, Dealt, DefinitionProblem, Definitions, Evaluation,
    EvaluationReason, ExperimentDefinition, ExperimentsError, ExposureLog, PreparedVariant, StoredExperiment, Surface,
    Variant, begin_holdout, holdout_since,
};
pub use labels::{Judged, LabelCase, LabelError, Labels, Standing};
pub use merx_features::OWN_EXPOSURE;
pub use pipeline::{FeatureSource, Pipeline, PipelineSettings, Request};
pub use policy::{DryRun, Effect, Policies, PolicyBook, PolicyError, PolicyVersion};
pub use record::{
    Arm, DecisionRecord, RecordError, RecordPage, Recorder, RecorderSettings, SUBJECT_COLUMNS, Shadow, Wanted,
};
pub use shelf::{Boost, BoostField, RecordingShelf, ReplayShelf, RequestShelf, ShelfTrace, SlotRules};
pub use why::{layout_words, level_words, words};

/// In which forms this room leaves what other processes read.
pub const FORMATS: &[merx_store::Format] = record::FORMATS;

/// Every table of this crate.
pub const MIGRATIONS: &[merx_store::Migration] = &[
    record::MIGRATION,
    experiments::MIGRATION,
    audit::MIGRATION,
    automations::MIGRATION,
    policy::MIGRATION,
    alerts::MIGRATION,
    labels::MIGRATION,
    experiments::HOLDOUT_MIGRATION,
];
