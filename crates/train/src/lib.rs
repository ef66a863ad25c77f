//! Training: sets by replay of the log, evaluation on held-out time, and the gate that a candidate must pass.
//!
//! Learners are seen through their trait alone; nothing here knows how a model works inside, or HTTP. No clock is read:
//! time is an argument.

mod dataset;
mod fit;
pub mod protocols;

pub use dataset::{DatasetBuilder, DatasetSettings, content};
pub use fit::{Fitted, Gate, Live, Quality, Rival, Verdict, fit, next_due};
