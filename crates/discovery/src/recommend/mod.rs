//! Products for named slots: candidates from the models, facts from the shelf, variety, reasons.
//!
//! `model.rs` is the artifact (one recommender a role), `learner.rs` fits it, `slots.rs` fills a slot, `engine.rs` holds the versions.

mod engine;
mod learner;
mod model;
mod select;
mod slots;

pub use engine::RecommendEngine;
pub use learner::RecommendLearner;
pub(crate) use learner::{FORMAT, NEWEST_READ};
pub use model::{Labels, RecommendModel, Role};
