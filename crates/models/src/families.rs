//! All families of recommenders by name: what makes bytes a model again.

use std::sync::Arc;

use crate::{
    BlendLearner, BuyAgainLearner, ContentLearner, GraphFilterLearner, IalsLearner, ItemKnnLearner, LeaningsLearner,
    PopularityLearner, SessionKnnLearner, TasteMixLearner, TransitionsLearner,
};
use crate::{Learner, ModelError, Recommender, artifact};

/// A recommender from the name of its family and its bytes.
pub fn load(family: &str, bytes: &[u8]) -> Result<Arc<dyn Recommender>, ModelError> {
    match family {
        "blend" => by(&BlendLearner::default(), bytes),
        "buy_again" => by(&BuyAgainLearner::default(), bytes),
        "content" => by(&ContentLearner::default(), bytes),
        "graph_filter" => by(&GraphFilterLearner::default(), bytes),
        "ials" => by(&IalsLearner::default(), bytes),
        "item_knn" => by(&ItemKnnLearner::default(), bytes),
        "leanings" => by(&LeaningsLearner::default(), bytes),
        "popularity" => by(&PopularityLearner::default(), bytes),
        "session_knn" => by(&SessionKnnLearner::default(), bytes),
        "taste_mix" => by(&TasteMixLearner::default(), bytes),
        "transitions" => by(&TransitionsLearner::default(), bytes),
        _ => Err(artifact::refused(family, 0, "unknown family")),
    }
}

fn by<L>(learner: &L, bytes: &[u8]) -> Result<Arc<dyn Recommender>, ModelError>
where
    L: Learner<Model: Recommender + 'static>,
{
    Ok(Arc::new(learner.load(bytes)?))
}
