//! A training set cut by time: what was known before, and what came after.

use merx_domain::EventMeaning;
use rustc_hash::FxHashSet;

use crate::{Example, Interaction, Interactions, TrainingSet};

/// The part before a moment to learn from, and questions about what came after it.
#[derive(Clone, Default)]
pub struct TimeSplit {
    pub before: TrainingSet,
    /// One a row that goes on after the cut: what of the later items, not seen before, is wanted?
    pub questions: Vec<Example>,
}

/// Cuts so that the newest `share` of interactions comes after. Questions beyond `limit` are thinned evenly.
pub fn split_by_time(set: &TrainingSet, share: f64, limit: usize) -> TimeSplit {
    let mut times: Vec<i64> = set.histories.iter().flatten().map(|entry| entry.at_s).collect();
    if times.is_empty() {
        return TimeSplit { before: set.clone(), questions: Vec::new() };
    }
    let place = ((times.len() as f64 * (1.0 - share.clamp(0.0, 1.0))) as usize).min(times.len() - 1);
    let (_, cut_s, _) = times.select_nth_unstable(place);
    split_at(set, *cut_s, limit)
}

/// Cuts at a moment: what happened before it may be learnt from. Questions beyond `limit` are thinned evenly.
pub fn split_at(set: &TrainingSet, cut_s: i64, limit: usize) -> TimeSplit {
    let mut histories = Interactions::new();
    let mut markets = Vec::new();
    let mut questions = Vec::new();
    for (number, row) in set.histories.iter().enumerate() {
        let market = set.markets.get(number).copied();
        let (before, after) = row.split_at(row.partition_point(|entry| entry.at_s < cut_s));
        if !before.is_empty() {
            histories.push_row(before.iter().copied());
            markets.extend(market);
        }
        questions.extend(question(before, after, market.unwrap_or_default()));
    }
    let mut baskets = Interactions::new();
    for basket in set.baskets.iter().filter(|basket| basket.iter().all(|entry| entry.at_s < cut_s)) {
        baskets.push_row(basket.iter().copied());
    }
    if questions.len() > limit {
        let step = questions.len().div_ceil(limit.max(1));
        questions = questions.into_iter().step_by(step).collect();
    }
    let content = set.content.clone();
    let before = TrainingSet { item_count: set.item_count, histories, markets, baskets, content, now_s: cut_s };
    TimeSplit { before, questions }
}

fn question(before: &[Interaction], after: &[Interaction], market: u16) -> Option<Example> {
    let known: FxHashSet<u32> = before.iter().map(|entry| entry.item).collect();
    let mut relevant: Vec<u32> = after
        .iter()
        .filter(|entry| matches!(entry.meaning, EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased))
        .map(|entry| entry.item)
        .filter(|item| !known.contains(item))
        .collect();
    relevant.sort_unstable();
    relevant.dedup();
    if before.is_empty() || relevant.is_empty() {
        return None;
    }
    Some(Example {
        history: before.to_vec(),
        session_start: before.len(),
        seeds: Vec::new(),
        now_s: after[0].at_s,
        market,
        relevant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_after_the_cut_is_learnt_from() {
        let entry = |item, at_s| Interaction { item, at_s, meaning: EventMeaning::Viewed };
        let mut histories = Interactions::new();
        histories.push_row([entry(1, 1), entry(2, 2), entry(2, 9), entry(3, 10)]);
        histories.push_row([entry(4, 3), entry(5, 4)]);
        histories.push_row([entry(6, 10)]);
        let set = TrainingSet { item_count: 7, histories, now_s: 11, ..Default::default() };
        let split = split_by_time(&set, 0.4, 100);
        assert!(split.before.histories.iter().flatten().all(|entry| entry.at_s < split.before.now_s));
        assert_eq!(split.before.histories.len(), 4);
        assert_eq!(split.questions.len(), 1, "a row without a past asks nothing");
        assert_eq!(split.questions[0].relevant, [3], "what was seen before is not asked for");
    }
}
