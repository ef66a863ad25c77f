//! Puts measured products in order.

use serde::{Deserialize, Serialize};

use crate::search::features::{FEATURES, Feature, FeatureRow};

/// A weight a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearRanker {
    pub weights: Vec<f32>,
}

impl Default for LinearRanker {
    fn default() -> Self {
        let mut weights = vec![0.0; FEATURES];
        weights[Feature::Lexical as usize] = 1.0;
        Self { weights }
    }
}

impl LinearRanker {
    pub fn score(&self, row: &FeatureRow) -> f32 {
        self.weights.iter().zip(row).map(|(weight, value)| weight * value).sum()
    }
}
