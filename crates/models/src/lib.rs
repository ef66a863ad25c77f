//! What can be learnt: `Learner` / `Model` with fit, predict and save together, the recommender families, and the
//! registry of their versions.
//!
//! Nothing here knows HTTP, configuration or the shape of an engine's answer. Models see products as dense numbers and
//! people only as the histories they are handed: no model holds a row for a person, so that a new shopper is served as
//! well as an old one, an event counts at once, and erasing somebody never has to touch a model.

mod artifact;
mod ials;
mod interactions;
#[cfg(test)]
mod planted;
mod recommender;
pub mod registry;
mod strength;

pub use ials::{Ials, IalsLearner, IalsSettings};
pub use interactions::{Interaction, Interactions, ItemContent, TrainingSet};
pub use recommender::{Contribution, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored};
pub use strength::Strengths;
