//! The best items for very many histories at once.

use rayon::prelude::*;

use crate::{Interactions, Query, Recommender, Scored};

/// What a batch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRequest {
    /// Items for each history.
    pub limit: usize,
    /// Whether the items of a history are left out of its answer.
    pub skip_history: bool,
    pub now_s: i64,
    pub market: u16,
}

/// The `limit` best items for each row of `histories`, best first, equal scores by item. As exact as the model's
/// `candidates`: where those are exact, so is this.
pub fn recommend_batch(model: &dyn Recommender, histories: &Interactions, request: &BatchRequest) -> Vec<Vec<Scored>> {
    (0..histories.rows()).into_par_iter().map(|row| recommend_row(model, histories, row, request)).collect()
}

fn recommend_row(model: &dyn Recommender, histories: &Interactions, row: usize, request: &BatchRequest) -> Vec<Scored> {
    let history = histories.row(row);
    let query =
        Query { history, session_start: history.len(), seeds: &[], now_s: request.now_s, market: request.market };
    let mut skipped: Vec<u32> = Vec::new();
    if request.skip_history {
        skipped.extend(history.iter().map(|entry| entry.item));
        skipped.sort_unstable();
        skipped.dedup();
    }
    let mut best = Vec::new();
    model.open(&query).candidates_without(&skipped, request.limit, &mut best);
    best.sort_unstable_by(Scored::rank);
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IalsLearner, Learner, planted};

    #[test]
    fn a_batch_is_the_best_of_all_scores() {
        let set = planted::blocks();
        let model = IalsLearner::default().fit(&set, 1).unwrap();
        for skip_history in [false, true] {
            let request = BatchRequest { limit: 5, skip_history, now_s: 0, market: 0 };
            let lists = recommend_batch(&model, &set.histories, &request);
            for (row, list) in lists.iter().enumerate() {
                let history = set.histories.row(row);
                let mut scores = vec![0.0; model.item_count()];
                model.open(&planted::query(history)).score_all(&mut scores);
                if skip_history {
                    history.iter().for_each(|entry| scores[entry.item as usize] = f32::NEG_INFINITY);
                }
                let best = merx_numeric::top_k::top_k(&scores, 5);
                let items = |list: &[Scored]| list.iter().map(|found| found.item).collect::<Vec<_>>();
                assert_eq!(items(list), best.iter().map(|hit| hit.index).collect::<Vec<_>>());
            }
        }
    }
}
