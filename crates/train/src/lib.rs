//! Training: sets by replay of the log, evaluation on held-out time, and the gate that a candidate must pass.
//!
//! Learners are seen through their trait alone; nothing here knows what a recommender is made of, or HTTP.

mod dataset;
mod fit;

pub use dataset::{DatasetBuilder, DatasetSettings, content};
pub use fit::{Fitted, Gate, Quality, Verdict, fit, next_due};
