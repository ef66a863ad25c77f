//! A family of recommenders with its settings: what a plan is made of.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    BuyAgainLearner, ContentLearner, GraphFilterLearner, IalsLearner, ItemKnnLearner, Learner, ModelError,
    PopularityLearner, Recommender, SessionKnnLearner, TasteMixLearner, TrainingSet, TransitionsLearner,
};

/// A family with its settings.
#[derive(Debug, Clone, Copy)]
pub enum Member {
    SessionKnn(SessionKnnLearner),
    Transitions(TransitionsLearner),
    Popularity(PopularityLearner),
    BuyAgain(BuyAgainLearner),
    Content(ContentLearner),
    ItemKnn(ItemKnnLearner),
    GraphFilter(GraphFilterLearner),
    Ials(IalsLearner),
    TasteMix(TasteMixLearner),
}

impl Member {
    pub fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Arc<dyn Recommender>, ModelError> {
        Ok(match self {
            Self::SessionKnn(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Transitions(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Popularity(learner) => Arc::new(learner.fit(set, seed)?),
            Self::BuyAgain(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Content(learner) => Arc::new(learner.fit(set, seed)?),
            Self::ItemKnn(learner) => Arc::new(learner.fit(set, seed)?),
            Self::GraphFilter(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Ials(learner) => Arc::new(learner.fit(set, seed)?),
            Self::TasteMix(learner) => Arc::new(learner.fit(set, seed)?),
        })
    }

    /// Family and settings, for people and for the lineage.
    pub fn settings(&self) -> Value {
        match self {
            Self::SessionKnn(learner) => json!({ "session_knn": learner.settings }),
            Self::Transitions(learner) => json!({ "transitions": learner.settings }),
            Self::Popularity(learner) => json!({ "popularity": learner.settings }),
            Self::BuyAgain(learner) => json!({ "buy_again": learner.settings }),
            Self::Content(learner) => json!({ "content": learner.settings }),
            Self::ItemKnn(learner) => json!({ "item_knn": learner.settings }),
            Self::GraphFilter(learner) => json!({ "graph_filter": learner.settings }),
            Self::Ials(learner) => json!({ "ials": learner.settings }),
            Self::TasteMix(learner) => json!({ "taste_mix": learner.settings }),
        }
    }
}
