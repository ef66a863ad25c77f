//! Alerts: what somebody should know of, kept until somebody says that they do, and carried to where they want to be told.
//!
//! `alert.rs` says what one is, `alerts.rs` keeps them and who is to be told, `deliveries.rs` is the queue of what is to be carried. Nothing
//! here opens a connection: whoever carries asks for what is due and reports what became of it.

mod alert;
#[allow(clippy::module_inception, reason = "the keeper of alerts is called so")]
mod alerts;
mod deliveries;

pub use alert::{Alert, AlertKind, AlertState, Raise, Severity};
pub use alerts::{AlertError, Alerts, Webhook};
pub(crate) use alerts::{MIGRATION, next_number};
pub use deliveries::{Delivery, DeliveryState, MOST_TRIES, Target};
