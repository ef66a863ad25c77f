//! What can be learnt: `Learner` / `Model` with fit, predict and save together, the recommender families, and the
//! registry of their versions.
//!
//! Nothing here knows HTTP, configuration or the shape of an engine's answer. Models see products as dense numbers and
//! people only as the histories they are handed: no model holds a row for a person, so that a new shopper is served as
//! well as an old one, an event counts at once, and erasing somebody never has to touch a model.

mod artifact;
mod blend;
mod buy_again;
mod content;
pub mod families;
mod holdout;
mod ials;
mod interactions;
#[cfg(test)]
mod planted;
mod popularity;
mod recency;
mod recommender;
pub mod registry;
mod session_knn;
mod sparse_scores;
mod strength;
mod transitions;

pub use blend::{Blend, BlendLearner, BlendSet, BlendSettings, Example, NetworkSettings};
pub use buy_again::{BuyAgain, BuyAgainLearner, BuyAgainSettings};
pub use content::{Content, ContentLearner, ContentSettings};
pub use holdout::{Holdout, hold_out};
pub use ials::{Ials, IalsLearner, IalsSettings};
pub use interactions::{Interaction, Interactions, ItemContent, TrainingSet};
pub use popularity::{Popularity, PopularityLearner, PopularitySettings};
pub use recommender::{Contribution, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored};
pub use session_knn::{SessionKnn, SessionKnnLearner, SessionKnnSettings};
pub use strength::Strengths;
pub use transitions::{Transitions, TransitionsLearner, TransitionsSettings};
