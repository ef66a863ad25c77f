//! Item-to-item neighbours: two items are alike when the same people took both.
//!
//! The oldest of the families (Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001), and
//! the one that shows best why: every score is a sum over single items of the history. Weights as in `implicit`, where an
//! item is a document and the people who took it are its words.

use merx_numeric::sparse::SparseRows;
use serde::{Deserialize, Serialize};

use crate::neighbours::Neighbours;
use crate::strength::Strengths;
use crate::{Learner, Model, ModelError, OpenQuery, Query, Recommender, TrainingSet, artifact};

const FAMILY: &str = "item_knn";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

/// How much a person counts for the likeness of two items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Likeness {
    /// The cosine of the two columns of strengths.
    Cosine,
    /// The cosine after weighting people by the logarithm of how rarely they take something.
    TfIdf,
    /// The inner product after BM25 weighting: `k1` bends large strengths, `b` corrects for how often an item was taken.
    Bm25 { k1: f32, b: f32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ItemKnnSettings {
    pub likeness: Likeness,
    /// Longest list of neighbours.
    pub neighbours: usize,
    pub strengths: Strengths,
}

impl Default for ItemKnnSettings {
    fn default() -> Self {
        Self { likeness: Likeness::TfIdf, neighbours: 100, strengths: Strengths::default() }
    }
}

/// Builds [`ItemKnn`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ItemKnnLearner {
    pub settings: ItemKnnSettings,
}

impl Learner for ItemKnnLearner {
    type Set = TrainingSet;
    type Model = ItemKnn;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<ItemKnn, ModelError> {
        let settings = self.settings;
        let by_subject = settings.strengths.matrix(&set.histories, set.item_count);
        if by_subject.stored() == 0 {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        let by_item = weighted(settings.likeness, &by_subject.transposed(), &by_subject);
        let neighbours =
            Neighbours::from_co_occurrence(&by_item.transposed(), &by_item, settings.neighbours, |_, _, sum| sum);
        Ok(ItemKnn { state: State { settings, neighbours } })
    }

    fn load(&self, bytes: &[u8]) -> Result<ItemKnn, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        let state: State = match format {
            1 => artifact::decode(FAMILY, format, body)?,
            _ => return Err(artifact::refused(FAMILY, format, "unknown format")),
        };
        match state.neighbours.is_sound() {
            true => Ok(ItemKnn { state }),
            false => Err(artifact::refused(FAMILY, format, "sizes don't agree")),
        }
    }
}

/// Strengths, a row an item, weighted so that the likeness of two items is the inner product of their rows.
fn weighted(likeness: Likeness, by_item: &SparseRows, by_subject: &SparseRows) -> SparseRows {
    let item_count = by_item.rows().max(1) as f32;
    // People with everything say nothing; none says less than nothing.
    let rarity = |subject: u32| (item_count / (1.0 + by_subject.row_len(subject as usize) as f32)).ln().max(0.0);
    match likeness {
        Likeness::Cosine => of_length_one(by_item.clone()),
        Likeness::TfIdf => of_length_one(by_item.map(|_, subject, value| value.sqrt() * rarity(subject))),
        Likeness::Bm25 { k1, b } => {
            let lengths = by_item.row_sums();
            let mean = lengths.iter().sum::<f32>() / item_count;
            by_item.map(|item, subject, value| {
                let length = 1.0 - b + b * lengths[item] / mean;
                value * (k1 + 1.0) / (k1 * length + value) * rarity(subject)
            })
        }
    }
}

fn of_length_one(mut matrix: SparseRows) -> SparseRows {
    for row in 0..matrix.rows() {
        let values = matrix.row_mut(row);
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        values.iter_mut().for_each(|value| *value /= length);
    }
    matrix
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    settings: ItemKnnSettings,
    neighbours: Neighbours,
}

/// Lists of neighbours built by [`ItemKnnLearner`].
#[derive(Debug, Clone, PartialEq)]
pub struct ItemKnn {
    state: State,
}

impl ItemKnn {
    pub fn settings(&self) -> &ItemKnnSettings {
        &self.state.settings
    }

    /// The items most like `item`, best first, with their likeness; empty where the item is unknown.
    pub fn similar(&self, item: u32) -> impl Iterator<Item = (u32, f32)> {
        let (items, weights) = match (item as usize) < self.item_count() {
            true => self.state.neighbours.list(item),
            false => (&[][..], &[][..]),
        };
        items.iter().copied().zip(weights.iter().copied())
    }
}

impl Model for ItemKnn {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for ItemKnn {
    fn item_count(&self) -> usize {
        self.state.neighbours.item_count()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let entries = self.state.settings.strengths.of_query(query, self.item_count());
        Box::new(self.state.neighbours.open(query, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    fn learners() -> [ItemKnnLearner; 3] {
        [Likeness::Cosine, Likeness::TfIdf, Likeness::Bm25 { k1: 1.2, b: 0.75 }]
            .map(|likeness| ItemKnnLearner { settings: ItemKnnSettings { likeness, ..Default::default() } })
    }

    #[test]
    fn a_withheld_diagonal_is_found() {
        learners().iter().for_each(planted::finds_the_withheld);
    }

    #[test]
    fn a_saved_model_scores_alike() {
        learners().iter().for_each(planted::survives_saving);
    }

    #[test]
    fn threads_change_nothing() {
        learners().iter().for_each(planted::is_the_same_on_any_number_of_threads);
    }

    #[test]
    fn explanations_add_up_to_the_score() {
        learners().iter().for_each(planted::explanations_add_up);
    }

    #[test]
    fn cosines_are_cosines_and_lists_are_bounded() {
        let set = planted::blocks();
        let settings = ItemKnnSettings { likeness: Likeness::Cosine, neighbours: 4, ..Default::default() };
        let model = ItemKnnLearner { settings }.fit(&set, 0).unwrap();
        let similar: Vec<(u32, f32)> = model.similar(0).collect();
        // Of 20 people in a group, 18 took an item and 16 both of two.
        assert_eq!(similar.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(similar.iter().all(|(_, cosine)| (cosine - 16.0 / 18.0).abs() < 1e-5), "{similar:?}");
        assert_eq!(model.similar(u32::MAX).count(), 0);
    }
}
