//! A linear graph filter: an item passes its weight through the people who took it on to what else they took.
//!
//! ```text
//! score(i) = sum over j in the history of  s_j  d_j^-a  [ sum over u of  x_uj x_ui d_u^-b ]  d_i^-c
//! ```
//!
//! with strengths `x` and degrees `d`, sums of strengths. With `a = c = 1/2` and `b = 1` this is the linear filter of GF-CF
//! (Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021); free exponents are those of LinkProp
//! (Fu et al., "Revisiting Neighborhood-based Link Prediction for Collaborative Filtering", WWW 2022 companion), and decide
//! how much of popularity gets through. There is nothing to train, and lists of a few hundred neighbours lose nothing.

use serde::{Deserialize, Serialize};

use crate::neighbours::{Neighbours, OpenNeighbours};
use crate::strength::Strengths;
use crate::{Learner, Model, ModelError, OpenQuery, Query, Recommender, TrainingSet, artifact};
use merx_numeric::sparse::SparseRows;

const FAMILY: &str = "graph_filter";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GraphFilterSettings {
    /// `a`: how much less a popular item of the history counts.
    pub history_exponent: f32,
    /// `b`: how much less a person with a long history counts.
    pub subject_exponent: f32,
    /// `c`: how much less a popular item is recommended.
    pub item_exponent: f32,
    /// Longest list of neighbours.
    pub neighbours: usize,
    pub strengths: Strengths,
}

impl Default for GraphFilterSettings {
    fn default() -> Self {
        Self {
            history_exponent: 0.7,
            subject_exponent: 0.7,
            item_exponent: 0.3,
            neighbours: 400,
            strengths: Strengths::default(),
        }
    }
}

/// Builds [`GraphFilter`].
#[derive(Debug, Clone, Copy, Default)]
pub struct GraphFilterLearner {
    pub settings: GraphFilterSettings,
}

impl Learner for GraphFilterLearner {
    type Set = TrainingSet;
    type Model = GraphFilter;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<GraphFilter, ModelError> {
        self.fit_matrix(&self.settings.strengths.matrix(&set.histories, set.item_count))
    }

    fn load(&self, bytes: &[u8]) -> Result<GraphFilter, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        let state: State = match format {
            1 => artifact::decode(FAMILY, format, body)?,
            _ => return Err(artifact::refused(FAMILY, format, "unknown format")),
        };
        GraphFilter::from_state(state, format)
    }
}

impl GraphFilterLearner {
    /// Builds from strengths: a row a subject, a column an item.
    pub(crate) fn fit_matrix(&self, by_subject: &SparseRows) -> Result<GraphFilter, ModelError> {
        let settings = self.settings;
        if by_subject.stored() == 0 {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        let by_item = by_subject.transposed();
        let power = |degrees: Vec<f32>, exponent: f32| -> Vec<f32> {
            degrees.into_iter().map(|degree| degree.max(f32::MIN_POSITIVE).powf(-exponent)).collect()
        };
        let subject_factors = power(by_subject.row_sums(), settings.subject_exponent);
        let history_factors = power(by_item.row_sums(), settings.history_exponent);
        let item_factors = power(by_item.row_sums(), settings.item_exponent);
        let damped = by_item.map(|_, subject, value| value * subject_factors[subject as usize]);
        let neighbours = Neighbours::from_co_occurrence(by_subject, &damped, settings.neighbours, |from, to, sum| {
            history_factors[from] * sum * item_factors[to]
        });
        Ok(GraphFilter { state: State { settings, neighbours } })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    settings: GraphFilterSettings,
    neighbours: Neighbours,
}

/// Lists of neighbours built by [`GraphFilterLearner`].
#[derive(Debug, Clone, PartialEq)]
pub struct GraphFilter {
    state: State,
}

impl GraphFilter {
    pub(crate) fn from_state(state: State, format: u16) -> Result<Self, ModelError> {
        match state.neighbours.is_sound() {
            true => Ok(Self { state }),
            false => Err(artifact::refused(FAMILY, format, "sizes don't agree")),
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Opens a query whose history, items with strengths, is known already.
    pub(crate) fn open_entries<'a>(&'a self, query: &Query<'a>, entries: Vec<(u32, f32)>) -> OpenNeighbours<'a> {
        self.state.neighbours.open(query, entries)
    }

    pub fn settings(&self) -> &GraphFilterSettings {
        &self.state.settings
    }
}

impl Model for GraphFilter {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for GraphFilter {
    fn item_count(&self) -> usize {
        self.state.neighbours.item_count()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let entries = self.state.settings.strengths.of_query(query, self.item_count());
        Box::new(self.open_entries(query, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    #[test]
    fn a_withheld_diagonal_is_found() {
        planted::finds_the_withheld(&GraphFilterLearner::default());
    }

    #[test]
    fn a_saved_model_scores_alike() {
        planted::survives_saving(&GraphFilterLearner::default());
    }

    #[test]
    fn threads_change_nothing() {
        planted::is_the_same_on_any_number_of_threads(&GraphFilterLearner::default());
    }

    #[test]
    fn weights_are_those_of_the_formula() {
        // Subjects {0, 1} and {0, 1, 2}: degrees 2 and 3 of subjects, 2, 2 and 1 of items.
        let rows = [vec![(0, 1.0), (1, 1.0)], vec![(0, 1.0), (1, 1.0), (2, 1.0)]];
        let by_subject = SparseRows::from_rows(3, rows);
        let settings = GraphFilterSettings {
            history_exponent: 0.5,
            subject_exponent: 1.0,
            item_exponent: 0.25,
            ..Default::default()
        };
        let model = GraphFilterLearner { settings }.fit_matrix(&by_subject).unwrap();
        let (items, weights) = model.state.neighbours.list(0);
        assert_eq!(items, [1, 2]);
        let expected = [0.5f32.sqrt() * (0.5 + 1.0 / 3.0) * 2f32.powf(-0.25), 0.5f32.sqrt() / 3.0];
        assert!(weights.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{weights:?} {expected:?}");
    }
}
