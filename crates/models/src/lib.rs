//! What can be learnt: `Learner` / `Model` with fit, predict and save together, the recommender families, and the
//! registry of their versions.
//!
//! Nothing here knows HTTP, configuration or the shape of an engine's answer. Models see products as dense numbers and
//! people only as the histories they are handed: no model holds a row for a person, so that a new shopper is served as
//! well as an old one, an event counts at once, and erasing somebody never has to touch a model.

mod artifact;
mod batch;
mod blend;
mod buy_again;
mod content;
pub mod evaluate;
pub mod families;
mod graph_filter;
mod ials;
mod interactions;
mod item_knn;
mod leanings;
mod neighbours;
pub mod plan;
#[cfg(test)]
mod planted;
mod popularity;
mod recency;
mod recommender;
pub mod registry;
mod selection;
mod session_knn;
mod sparse_scores;
mod strength;
mod taste_mix;
mod text_encoder;
mod time_split;
mod transitions;
mod weighted_lists;

pub use batch::{BatchRequest, recommend_batch};
pub use blend::{Blend, BlendLearner, BlendSet, BlendSettings, BlendWeights, Example, NetworkSettings};
pub use buy_again::{BuyAgain, BuyAgainLearner, BuyAgainSettings};
pub use content::{Content, ContentLearner, ContentSettings};
pub use graph_filter::{GraphFilter, GraphFilterLearner, GraphFilterSettings};
pub use ials::{Ials, IalsLearner, IalsSettings};
pub use interactions::{Interaction, Interactions, ItemContent, TrainingSet};
pub use item_knn::{ItemKnn, ItemKnnLearner, ItemKnnSettings, Likeness};
pub use leanings::{Leanings, LeaningsLearner, LeaningsSettings};
pub use merx_store::Format;
pub use popularity::{Popularity, PopularityLearner, PopularitySettings};
pub use recommender::{Contribution, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored};
pub use selection::{Holdout, SelectionBudget, select, select_and_fit};
pub use session_knn::{SessionKnn, SessionKnnLearner, SessionKnnSettings};
pub use strength::Strengths;
pub use taste_mix::{TasteMix, TasteMixLearner, TasteMixSettings};
pub use text_encoder::{EncodeError, TextEncoder, TextRole, unit};
pub use time_split::{TimeSplit, split_at, split_by_time};
pub use transitions::{Transitions, TransitionsLearner, TransitionsSettings};
