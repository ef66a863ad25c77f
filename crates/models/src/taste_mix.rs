//! The general recommender: what the graph filter knows of pairs of items, and what iALS knows of tastes, added up.
//!
//! ```text
//! score(i) = filter(i) / sqrt(sum of strengths in the history) * scale  +  weight * <w, h_i>
//! ```
//!
//! The filter sees each pair that was taken together, however rare; factors see what pairs have in common. Their errors
//! differ, so the sum ranks better than either. The filter's score grows with the history and the factors' doesn't, hence
//! the root. [`select_and_fit`](crate::select_and_fit) finds the settings of both and the weight.

use serde::{Deserialize, Serialize};

use crate::graph_filter::{self, GraphFilter, GraphFilterLearner, GraphFilterSettings};
use crate::ials::{self, Ials, IalsLearner, IalsSettings};
use crate::neighbours::OpenNeighbours;
use crate::strength::{Strengths, contributions};
use crate::{Contribution, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, TrainingSet, artifact};

const FAMILY: &str = "taste_mix";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TasteMixSettings {
    pub filter: GraphFilterSettings,
    pub factors: IalsSettings,
    /// Makes the filter's scores comparable with those of the factors.
    pub filter_scale: f32,
    pub factor_weight: f32,
    /// Of both parts: those within `filter` and `factors` are of no account.
    pub strengths: Strengths,
}

impl Default for TasteMixSettings {
    fn default() -> Self {
        Self {
            filter: GraphFilterSettings::default(),
            factors: IalsSettings {
                dimensions: 256,
                sweeps: 8,
                unobserved_weight: 0.005,
                regularization: 0.004,
                ..IalsSettings::default()
            },
            filter_scale: 1.0,
            factor_weight: 1.0,
            strengths: Strengths::default(),
        }
    }
}

/// Fits [`TasteMix`] with settings that are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct TasteMixLearner {
    pub settings: TasteMixSettings,
}

impl Learner for TasteMixLearner {
    type Set = TrainingSet;
    type Model = TasteMix;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<TasteMix, ModelError> {
        let by_subject = self.settings.strengths.matrix(&set.histories, set.item_count);
        Ok(TasteMix {
            filter: GraphFilterLearner { settings: self.settings.filter }.fit_matrix(&by_subject)?,
            factors: IalsLearner { settings: self.settings.factors }.fit_matrix(&by_subject, seed)?,
            settings: self.settings,
        })
    }

    fn load(&self, bytes: &[u8]) -> Result<TasteMix, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        let (settings, filter, factors): (TasteMixSettings, graph_filter::State, ials::State) = match format {
            1 => artifact::decode(FAMILY, format, body)?,
            _ => return Err(artifact::refused(FAMILY, format, "unknown format")),
        };
        let model = TasteMix {
            settings,
            filter: GraphFilter::from_state(filter, format)?,
            factors: Ials::from_state(factors, format)?,
        };
        match model.filter.item_count() == model.factors.item_count() {
            true => Ok(model),
            false => Err(artifact::refused(FAMILY, format, "the parts know different numbers of items")),
        }
    }
}

/// A graph filter and item vectors fitted by [`TasteMixLearner`] or [`select_and_fit`](crate::select_and_fit).
#[derive(Debug)]
pub struct TasteMix {
    settings: TasteMixSettings,
    filter: GraphFilter,
    factors: Ials,
}

impl TasteMix {
    pub fn settings(&self) -> &TasteMixSettings {
        &self.settings
    }
}

impl Model for TasteMix {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &(&self.settings, self.filter.state(), self.factors.state()))
    }
}

impl Recommender for TasteMix {
    fn item_count(&self) -> usize {
        self.filter.item_count()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let items = self.settings.strengths.of_query(query, self.item_count());
        Box::new(OpenMix {
            model: self,
            vector: self.factors.fold_in(&items),
            filter_factor: self.settings.filter_scale / history_size(&items),
            filter: self.filter.open_entries(query, items.clone()),
            items,
            query: *query,
        })
    }
}

/// What the filter's score is divided by.
pub(crate) fn history_size(items: &[(u32, f32)]) -> f32 {
    items.iter().map(|(_, strength)| strength).sum::<f32>().max(f32::MIN_POSITIVE).sqrt()
}

/// So many of the filter's best are scored in full to find the best `limit`.
pub(crate) fn shortlist_length(limit: usize) -> usize {
    limit.saturating_mul(4).saturating_add(200)
}

struct OpenMix<'a> {
    model: &'a TasteMix,
    filter: OpenNeighbours<'a>,
    filter_factor: f32,
    vector: Vec<f32>,
    items: Vec<(u32, f32)>,
    query: Query<'a>,
}

impl OpenMix<'_> {
    fn scores(&self, items: &[u32], out: &mut [f32]) {
        self.model.factors.products(items, &self.vector, out);
        for (&item, out) in items.iter().zip(out) {
            *out = self.filter.score_of(item) * self.filter_factor + self.model.settings.factor_weight * *out;
        }
    }
}

impl OpenQuery for OpenMix<'_> {
    /// The best of the filter's shortlist; where the lists of the history are too short for one, of the factors' too.
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        if self.items.is_empty() {
            return;
        }
        let mut shortlist = Vec::new();
        self.filter.candidates(shortlist_length(limit), &mut shortlist);
        if shortlist.len() < limit.saturating_mul(2) {
            self.model.factors.nearest(&self.vector, limit, &[], &mut shortlist);
        }
        let items: Vec<u32> = shortlist.iter().map(|found| found.item).collect();
        let mut scores = vec![0.0; items.len()];
        self.scores(&items, &mut scores);
        shortlist.iter_mut().zip(scores).for_each(|(found, score)| found.score = score);
        shortlist.sort_unstable_by(Scored::rank);
        shortlist.dedup_by_key(|found| found.item);
        out.extend(shortlist.into_iter().take(limit));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        self.scores(items, out);
    }

    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        if item as usize >= self.model.item_count() {
            return Vec::new();
        }
        let mut shares = self.model.factors.shares(&self.items, item);
        shares.iter_mut().for_each(|share| *share *= self.model.settings.factor_weight);
        for (entry, share) in self.filter.shares(item) {
            if let Ok(place) = self.items.binary_search_by_key(&entry, |(item, _)| *item) {
                shares[place] += share * self.filter_factor;
            }
        }
        contributions(&self.query, self.items.iter().map(|(item, _)| *item).zip(shares), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    fn learner() -> TasteMixLearner {
        let factors =
            IalsSettings { dimensions: 8, regularization: 0.001, unobserved_weight: 0.05, ..Default::default() };
        TasteMixLearner { settings: TasteMixSettings { factors, ..Default::default() } }
    }

    #[test]
    fn a_withheld_diagonal_is_found() {
        planted::finds_the_withheld(&learner());
    }

    #[test]
    fn a_saved_model_scores_alike() {
        planted::survives_saving(&learner());
    }

    #[test]
    fn threads_change_nothing() {
        planted::is_the_same_on_any_number_of_threads(&learner());
    }

    #[test]
    fn explanations_add_up_to_the_score() {
        planted::explanations_add_up(&learner());
    }
}
