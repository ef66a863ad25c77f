//! Puts measured products in order.

use serde::{Deserialize, Serialize};

use crate::search::boosted::Forest;
use crate::search::features::{FEATURES, Feature, FeatureRow};

/// How measurements become one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ranker {
    /// A weight a measurement: what serves before anything was learnt.
    Weighted(Vec<f32>),
    /// Learnt from judgements or clicks.
    Learnt(Forest),
}

/// Few and plain: the lexical score leads, what a product is about helps where words don't meet. Chosen on the
/// development part of judged queries, each as one of three or four round values.
const PLAIN: [(Feature, f32); 7] = [
    (Feature::Lexical, 1.0),
    (Feature::Meaning, 0.1),
    (Feature::Feedback, 0.1),
    (Feature::MakerShare, 0.05),
    (Feature::QueryNounInHead, 0.05),
    (Feature::Neighbours, 0.1),
    (Feature::NamePrecision, 0.1),
];

impl Default for Ranker {
    fn default() -> Self {
        Self::weighted(&PLAIN)
    }
}

impl Ranker {
    pub(super) fn weighted(weights: &[(Feature, f32)]) -> Self {
        let mut row = vec![0.0; FEATURES];
        weights.iter().for_each(|(feature, weight)| row[*feature as usize] = *weight);
        Self::Weighted(row)
    }

    /// The lexical score alone.
    pub fn lexical() -> Self {
        Self::weighted(&[(Feature::Lexical, 1.0)])
    }

    /// Whether it fits the measurements there are.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Weighted(weights) => weights.len() == FEATURES,
            Self::Learnt(forest) => forest.is_sound(FEATURES),
        }
    }

    pub fn score(&self, row: &FeatureRow) -> f32 {
        match self {
            Self::Weighted(weights) => weights.iter().zip(row).map(|(weight, value)| weight * value).sum(),
            Self::Learnt(forest) => forest.score(row),
        }
    }
}
