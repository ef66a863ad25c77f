//! Settings found on what the data holds back: a small search, each step of which is measured.
//!
//! A part of some histories is withheld, the parts of [`TasteMix`] are fitted on the rest, and the settings that rank the
//! withheld items best (NDCG of the first 20) are used to fit on everything. The search walks from the defaults, one
//! setting at a time, and stops when no step helps or the budget is spent; what it costs is known beforehand.

use merx_numeric::kernels::dot;
use merx_numeric::rng::Rng;
use merx_numeric::sparse::SparseRows;
use rayon::prelude::*;

use crate::graph_filter::{GraphFilter, GraphFilterLearner, GraphFilterSettings};
use crate::ials::{Ials, IalsLearner, IalsSettings};
use crate::strength::Strengths;
use crate::taste_mix::{TasteMix, TasteMixLearner, TasteMixSettings, history_size, shortlist_length};
use crate::{Interaction, Interactions, Learner, ModelError, OpenQuery, Query, Scored, TrainingSet};

/// Ranks that count.
const CUTOFF: usize = 20;
/// Weights of the factors beside the filter that are tried.
const WEIGHTS: [f32; 11] = [0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0];

/// Which items of a history are withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holdout {
    /// Any: for data without times, or where the order says nothing.
    Random,
    /// The last ones.
    Latest,
}

/// What a search may cost. Fits on the largest data are bounded by `trial_rows`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectionBudget {
    pub holdout: Holdout,
    /// Share of a history that is withheld, at least one item.
    pub holdout_share: f64,
    /// Histories from which something is withheld.
    pub validation_rows: usize,
    /// Histories that trials are fitted on.
    pub trial_rows: usize,
    pub filter_trials: usize,
    pub factor_trials: usize,
    /// Sweeps of iALS in a trial, at most those of the settings. With fewer than the last fit takes, less regularisation
    /// looks good than is.
    pub trial_sweeps: usize,
}

impl Default for SelectionBudget {
    fn default() -> Self {
        Self {
            holdout: Holdout::Random,
            holdout_share: 0.1,
            validation_rows: 4_000,
            trial_rows: 50_000,
            filter_trials: 10,
            factor_trials: 5,
            trial_sweeps: 8,
        }
    }
}

/// Searches from `start` within `budget`, then fits on the whole set.
pub fn select_and_fit(
    set: &TrainingSet,
    start: TasteMixSettings,
    budget: &SelectionBudget,
    seed: u64,
) -> Result<TasteMix, ModelError> {
    let settings = select(set, start, budget, seed)?;
    TasteMixLearner { settings }.fit(set, seed)
}

/// The settings that rank withheld items best. Those of `start` where no history is long enough to withhold from.
pub fn select(
    set: &TrainingSet,
    start: TasteMixSettings,
    budget: &SelectionBudget,
    seed: u64,
) -> Result<TasteMixSettings, ModelError> {
    let trial = Trial::new(set, &start.strengths, budget, &Rng::from_seed(seed));
    if trial.withheld.is_empty() {
        return Ok(start);
    }
    let filter = trial.search_filter(start.filter, budget.filter_trials)?;
    let lists = trial.shortlists(&GraphFilterLearner { settings: filter }.fit_matrix(&trial.fitted)?);
    let found = trial.search_factors(start.factors, budget, &lists, seed)?;
    tracing::info!(ndcg = found.ndcg, ?filter, factors = ?found.factors, weight = found.weight, "settings selected");
    Ok(TasteMixSettings {
        filter,
        factors: found.factors,
        filter_scale: lists.scale,
        factor_weight: found.weight,
        strengths: start.strengths,
    })
}

/// Histories with a part withheld.
struct Trial {
    /// What models are fitted on: the kept parts, and other histories in full.
    fitted: SparseRows,
    withheld: Vec<Withheld>,
}

struct Withheld {
    kept: Vec<(u32, f32)>,
    hidden: Vec<u32>,
}

/// The best of the filter for each history with something withheld.
struct Shortlists {
    /// Items and scores, the scores scaled as in the mix.
    lists: Vec<Vec<Scored>>,
    /// With it, the best score of a history is 1 on average.
    scale: f32,
}

struct Found {
    factors: IalsSettings,
    weight: f32,
    ndcg: f64,
}

impl Trial {
    fn new(set: &TrainingSet, strengths: &Strengths, budget: &SelectionBudget, rng: &Rng) -> Self {
        let rows = rng.split(1).sample(set.histories.rows(), budget.trial_rows);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        rng.split(2).shuffle(&mut order);
        let mut kept_rows: Vec<Vec<(u32, f32)>> = Vec::with_capacity(rows.len());
        kept_rows.extend(rows.iter().map(|&row| strengths.of_history(set.histories.row(row), set.item_count)));
        let mut withheld = Vec::new();
        for at in order {
            if withheld.len() >= budget.validation_rows {
                break;
            }
            let items = &kept_rows[at];
            if items.len() < 3 {
                continue;
            }
            let count = ((items.len() as f64 * budget.holdout_share).round() as usize).clamp(1, items.len() - 1);
            let hidden = match budget.holdout {
                Holdout::Random => {
                    let mut draw = rng.split(3 + at as u64);
                    draw.sample(items.len(), count).into_iter().map(|place| items[place].0).collect()
                }
                Holdout::Latest => latest(&set.histories, rows[at], items, count),
            };
            kept_rows[at].retain(|(item, _)| !hidden.contains(item));
            withheld.push(Withheld { kept: kept_rows[at].clone(), hidden });
        }
        Self { fitted: SparseRows::from_rows(set.item_count, kept_rows), withheld }
    }

    /// Walks over the three exponents in steps of .2, then of .1.
    fn search_filter(&self, start: GraphFilterSettings, trials: usize) -> Result<GraphFilterSettings, ModelError> {
        let measure = |settings: &GraphFilterSettings| {
            let filter = GraphFilterLearner { settings: *settings }.fit_matrix(&self.fitted)?;
            Ok(self.mean(|row| ndcg(&self.best_of_filter(&filter, row, CUTOFF), &row.hidden)))
        };
        let steps: Vec<Step<GraphFilterSettings>> = [0.2f32, 0.1]
            .into_iter()
            .flat_map(|size| [size, -size])
            .flat_map(|step| -> [Step<GraphFilterSettings>; 3] {
                [
                    Box::new(move |from| GraphFilterSettings { item_exponent: from.item_exponent + step, ..*from }),
                    Box::new(move |from| GraphFilterSettings {
                        history_exponent: from.history_exponent + step,
                        ..*from
                    }),
                    Box::new(move |from| GraphFilterSettings {
                        subject_exponent: from.subject_exponent + step,
                        ..*from
                    }),
                ]
            })
            .collect();
        Ok(walk(start, &steps, trials, measure)?.0)
    }

    /// Walks over regularisation and unobserved weight in factors of 2, measuring the whole mix.
    fn search_factors(
        &self,
        start: IalsSettings,
        budget: &SelectionBudget,
        lists: &Shortlists,
        seed: u64,
    ) -> Result<Found, ModelError> {
        let mut best_weight = (f64::NEG_INFINITY, 0.0);
        let measure = |settings: &IalsSettings| {
            let trial = IalsSettings { sweeps: settings.sweeps.min(budget.trial_sweeps), ..*settings };
            let factors = IalsLearner { settings: trial }.fit_matrix(&self.fitted, seed)?;
            let (ndcg, weight) = self.best_weight(lists, &factors);
            if ndcg > best_weight.0 {
                best_weight = (ndcg, weight);
            }
            Ok(ndcg)
        };
        let scaled = |regularization: f32, unobserved: f32| -> Step<IalsSettings> {
            Box::new(move |from| IalsSettings {
                regularization: from.regularization * regularization,
                unobserved_weight: from.unobserved_weight * unobserved,
                ..*from
            })
        };
        let steps = [scaled(0.5, 1.0), scaled(1.0, 0.5), scaled(1.0, 2.0), scaled(2.0, 1.0)];
        let (factors, ndcg) = walk(start, &steps, budget.factor_trials, measure)?;
        Ok(Found { factors, ndcg, weight: best_weight.1 })
    }

    fn shortlists(&self, filter: &GraphFilter) -> Shortlists {
        let mut lists: Vec<Vec<Scored>> =
            self.withheld.par_iter().map(|row| self.best_of_filter(filter, row, shortlist_length(CUTOFF))).collect();
        for (list, row) in lists.iter_mut().zip(&self.withheld) {
            let size = history_size(&row.kept);
            list.iter_mut().for_each(|found| found.score /= size);
        }
        let tops: f32 = lists.iter().filter_map(|list| list.first()).map(|best| best.score).sum();
        let scale = if tops > 0.0 { lists.len() as f32 / tops } else { 1.0 };
        lists.iter_mut().flatten().for_each(|found| found.score *= scale);
        Shortlists { lists, scale }
    }

    /// The filter's best that aren't in the kept part, best first.
    fn best_of_filter(&self, filter: &GraphFilter, row: &Withheld, limit: usize) -> Vec<Scored> {
        let query = Query { history: &[], session_start: 0, seeds: &[], now_s: 0, market: 0 };
        let kept: Vec<u32> = row.kept.iter().map(|(item, _)| *item).collect();
        let mut best = Vec::new();
        filter.open_entries(&query, row.kept.clone()).candidates_without(&kept, limit, &mut best);
        best
    }

    /// The best NDCG that the factors reach beside the filter, and the weight they have then.
    fn best_weight(&self, lists: &Shortlists, factors: &Ials) -> (f64, f32) {
        let sums = self
            .withheld
            .par_iter()
            .zip(&lists.lists)
            .map(|(row, list)| {
                let vector = factors.fold_in(&row.kept);
                let beside: Vec<f32> = list.iter().map(|found| dot(factors.item_vector(found.item), &vector)).collect();
                WEIGHTS.map(|weight| {
                    let mut mixed: Vec<Scored> = list
                        .iter()
                        .zip(&beside)
                        .map(|(found, beside)| Scored { score: found.score + weight * beside, ..*found })
                        .collect();
                    mixed.sort_unstable_by(Scored::rank);
                    ndcg(&mixed, &row.hidden)
                })
            })
            .collect::<Vec<_>>();
        let mean = |at: usize| sums.iter().map(|row| row[at]).sum::<f64>() / sums.len() as f64;
        WEIGHTS.iter().enumerate().fold((f64::NEG_INFINITY, 0.0), |best, (at, &weight)| {
            let ndcg = mean(at);
            if ndcg > best.0 { (ndcg, weight) } else { best }
        })
    }

    /// The mean over histories with something withheld, summed in their order.
    fn mean(&self, measure: impl Fn(&Withheld) -> f64 + Sync + Send) -> f64 {
        let figures: Vec<f64> = self.withheld.par_iter().map(measure).collect();
        figures.iter().sum::<f64>() / figures.len() as f64
    }
}

/// Settings a step away from others.
type Step<S> = Box<dyn Fn(&S) -> S>;

/// Takes each step that `measure` finds better and repeats it while it helps, at most `trials` measurements in all.
fn walk<S: Copy>(
    start: S,
    steps: &[Step<S>],
    trials: usize,
    mut measure: impl FnMut(&S) -> Result<f64, ModelError>,
) -> Result<(S, f64), ModelError> {
    let mut best = (start, measure(&start)?);
    let mut left = trials.saturating_sub(1);
    for step in steps {
        while left > 0 {
            left -= 1;
            let next = step(&best.0);
            let figure = measure(&next)?;
            if figure <= best.1 {
                break;
            }
            best = (next, figure);
        }
    }
    Ok(best)
}

/// The items of a history that came last.
fn latest(histories: &Interactions, row: usize, items: &[(u32, f32)], count: usize) -> Vec<u32> {
    let mut last: Vec<u32> = Vec::with_capacity(count);
    let known = |entry: &&Interaction| items.binary_search_by_key(&entry.item, |(item, _)| *item).is_ok();
    for entry in histories.row(row).iter().rev().filter(known) {
        if last.len() < count && !last.contains(&entry.item) {
            last.push(entry.item);
        }
    }
    last
}

/// NDCG of the first `CUTOFF` of `ranked`, binary gains, the ideal being all of `relevant` on top.
fn ndcg(ranked: &[Scored], relevant: &[u32]) -> f64 {
    let discount = |rank: usize| ((rank + 2) as f64).log2().recip();
    let gained: f64 = ranked
        .iter()
        .take(CUTOFF)
        .enumerate()
        .filter(|(_, found)| relevant.contains(&found.item))
        .map(|(rank, _)| discount(rank))
        .sum();
    gained / (0..relevant.len().clamp(1, CUTOFF)).map(discount).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    fn start() -> TasteMixSettings {
        let factors = IalsSettings { dimensions: 8, ..Default::default() };
        TasteMixSettings { factors, ..Default::default() }
    }

    #[test]
    fn selection_repeats_itself_and_finds_the_blocks() {
        let set = planted::blocks();
        for holdout in [Holdout::Random, Holdout::Latest] {
            let budget = SelectionBudget { holdout, ..Default::default() };
            let settings = select(&set, start(), &budget, 1).unwrap();
            assert_eq!(settings, select(&set, start(), &budget, 1).unwrap());
            planted::finds_the_withheld(&TasteMixLearner { settings });
        }
    }

    #[test]
    fn histories_too_short_to_withhold_from_leave_the_start() {
        let mut set = planted::blocks();
        set.histories = Interactions::new();
        set.histories.push_row(planted::blocks().histories.row(0)[..2].iter().copied());
        assert_eq!(select(&set, start(), &SelectionBudget::default(), 1).unwrap(), start());
    }

    #[test]
    fn a_walk_stops_at_the_best_and_at_the_budget() {
        let steps: [Step<f64>; 2] = [Box::new(|x| x + 1.0), Box::new(|x| x - 0.5)];
        let (best, figure) = walk(0.0, &steps, 100, |x| Ok(-(x - 2.6f64).abs())).unwrap();
        assert_eq!(best, 2.5);
        assert!((figure + 0.1).abs() < 1e-9);
        let mut spent = 0;
        walk(0.0, &steps, 3, |x| {
            spent += 1;
            Ok(*x)
        })
        .unwrap();
        assert_eq!(spent, 3);
    }

    #[test]
    fn the_ndcg_of_a_perfect_list_is_one() {
        let ranked: Vec<Scored> = (0..30).map(|item| Scored { item, score: 0.0 }).collect();
        assert_eq!(ndcg(&ranked, &[0, 1]), 1.0);
        assert_eq!(ndcg(&ranked, &[25]), 0.0);
        assert!((ndcg(&ranked, &[2]) - 0.5).abs() < 1e-12);
    }
}
