//! Fits everything that recommendations need, a recommender a role.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_models::{
    BlendLearner, BlendSet, BuyAgainLearner, ContentLearner, Ials, IalsLearner, ItemContent, Learner, Model, ModelError,
    PopularityLearner, PopularitySettings, Recommender, SessionKnnLearner, TrainingSet, TransitionsLearner,
    TransitionsSettings, families, hold_out,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::recommend::model::{Labels, RecommendModel, Role};

const FAMILY: &str = "recommend";
/// Leads the bytes; old formats stay readable. Format 1: `Saved` by postcard.
const FORMAT: u16 = 1;
/// Share of the newest interactions that the blend's weights are learnt from.
const LEARNING_SHARE: f64 = 0.08;
const LEARNING_EXAMPLES: usize = 4_000;
const DAY_S: f32 = 86_400.0;

/// Fits [`RecommendModel`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RecommendLearner;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// Role, family, the family's own bytes.
    members: Vec<(Role, String, Vec<u8>)>,
    labels: Vec<Labels>,
}
