//! Automations: what each engine may do by itself, for whom, within which limits, and who said so.
//!
//! `automation.rs` says what one is, `meter.rs` counts what it does, `automations.rs` keeps them and steps them back when a guardrail
//! is breached, `slo.rs` says when a promise is broken too fast, `approvals.rs` holds
//! what waits for a second pair of eyes.

mod approvals;
mod automation;
#[allow(clippy::module_inception, reason = "the keeper of automations is called so")]
mod automations;
mod meter;
mod slo;

pub use approvals::{Approval, ApprovalState, Case, Terms};
pub use automation::{Automation, Costs, Guardrail, Measure, Mode, Place, Reach, Taken};
pub(crate) use automations::MIGRATION;
pub use automations::{AutomationError, Automations, Wish};
pub use meter::{Seen, Tally};
pub use slo::Objectives;
