//! Puts measured products in order.

use serde::{Deserialize, Serialize};

use crate::search::boosted::{BoostSettings, Example, Forest};
use crate::search::features::{FEATURES, Feature, FeatureRow, WITHOUT_SENTENCE};
use crate::search::shop_index::Hit;

/// How measurements become one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ranker {
    /// A weight a measurement: what serves before anything was learnt.
    Weighted(Vec<f32>),
    /// Learnt from judgements or clicks: trees that correct the weighted sum.
    Learnt { weights: Vec<f32>, forest: Forest },
}

/// Few and plain: the lexical score leads, what a product is about helps where words don't meet. Chosen on the
/// development part of judged queries, each as one of three or four round values.
const PLAIN: [(Feature, f32); 8] = [
    (Feature::Lexical, 1.0),
    (Feature::Meaning, 0.1),
    (Feature::Feedback, 0.1),
    (Feature::MakerShare, 0.05),
    (Feature::QueryNounInHead, 0.05),
    (Feature::Neighbours, 0.1),
    (Feature::NamePrecision, 0.1),
    // 0 where no sentence encoder was asked. Chosen with MiniLM.
    (Feature::Sentence, 0.45),
];

const OF_SENTENCE: usize = FEATURES - WITHOUT_SENTENCE;

/// How many times the logit of one product's being better than another is the difference of their weighted sums.
const STEEPNESS: f32 = 10.0;

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

    /// The weights that learning starts from, as logits.
    pub fn base() -> Vec<f32> {
        let mut weights = vec![0.0; FEATURES];
        PLAIN.iter().for_each(|(feature, weight)| weights[*feature as usize] = *weight * STEEPNESS);
        weights
    }

    /// Learns from measured candidates to correct the plain weights.
    pub fn learn(examples: &mut [Example], settings: &BoostSettings, seed: u64) -> Self {
        let weights = Self::base();
        for example in examples.iter_mut() {
            example.base = example.rows.chunks_exact(FEATURES).map(|row| weighted_sum(&weights, row)).collect();
        }
        let sentences = examples.iter().any(|example| {
            example.rows.chunks_exact(FEATURES).any(|row| row[WITHOUT_SENTENCE..] != [0.0; OF_SENTENCE])
        });
        let told = if sentences { FEATURES } else { WITHOUT_SENTENCE };
        Self::Learnt { forest: Forest::fit(examples, FEATURES, told, settings, seed), weights }
    }

    /// With the first trees only.
    pub fn truncated(&self, trees: usize) -> Self {
        match self {
            Self::Learnt { weights, forest } => {
                Self::Learnt { weights: weights.clone(), forest: forest.clone().truncated(trees) }
            }
            weighted @ Self::Weighted(_) => weighted.clone(),
        }
    }

    /// The lexical score alone.
    pub fn lexical() -> Self {
        Self::weighted(&[(Feature::Lexical, 1.0)])
    }

    /// The cosines of a sentence encoder alone.
    pub fn sentence() -> Self {
        Self::weighted(&[(Feature::Sentence, 1.0)])
    }

    /// The same for rows that have measurements more at their end.
    pub(super) fn widened(mut self) -> Self {
        let (Self::Weighted(weights) | Self::Learnt { weights, .. }) = &mut self;
        weights.resize(weights.len().max(FEATURES), 0.0);
        self
    }

    /// Whether it fits the measurements there are.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Weighted(weights) => weights.len() == FEATURES,
            Self::Learnt { weights, forest } => weights.len() == FEATURES && forest.is_sound(FEATURES),
        }
    }

    /// What each measurement adds to a row's score; what trees expect of any row belongs to none of them and orders nothing.
    pub fn contributions(&self, row: &FeatureRow) -> FeatureRow {
        let (Self::Weighted(weights) | Self::Learnt { weights, .. }) = self;
        let mut parts = [0.0; FEATURES];
        parts.iter_mut().zip(weights).zip(row).for_each(|((part, weight), value)| *part = weight * value);
        if let Self::Learnt { forest, .. } = self {
            forest.contribute(row, &mut parts);
        }
        parts
    }

    /// Gives each hit its score.
    pub fn score(&self, hits: &mut [Hit]) {
        let (Self::Weighted(weights) | Self::Learnt { weights, .. }) = self;
        // Most weights are 0.
        let weights: Vec<(usize, f32)> =
            weights.iter().copied().enumerate().filter(|(_, weight)| *weight != 0.0).collect();
        for hit in hits.iter_mut() {
            hit.score = weights.iter().map(|(feature, weight)| weight * hit.features[*feature]).sum();
        }
        if let Self::Learnt { forest, .. } = self {
            let rows: Vec<f32> = hits.iter().flat_map(|hit| hit.features).collect();
            let mut scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
            forest.add_scores(&rows, FEATURES, &mut scores);
            hits.iter_mut().zip(scores).for_each(|(hit, score)| hit.score = score);
        }
    }
}

fn weighted_sum(weights: &[f32], row: &[f32]) -> f32 {
    weights.iter().zip(row).map(|(weight, value)| weight * value).sum()
}
