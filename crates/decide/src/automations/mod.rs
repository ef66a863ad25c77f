//! Automations: what each engine may do by itself, for whom, within which limits, and who said so.
//!
//! `automation.rs` says what one is, `meter.rs` counts what it does, `automations.rs` keeps them and steps them back when a guardrail
//! is breached, `approvals.rs` holds what waits for a second pair of eyes.

mod approvals;
mod automation;
#[allow(clippy::module_inception, reason = "the keeper of automations is called so")]
mod automations;
mod meter;

pub use approvals::{Approval, ApprovalState, Case};
pub use automation::{Automation, Guardrail, Measure, Mode, Taken};
pub(crate) use automations::MIGRATION;
pub use automations::{Alert, AutomationError, Automations, Wish};
pub use meter::Seen;
