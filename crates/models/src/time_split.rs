//! A training set cut by time: what was known before, and what came after.

use merx_domain::EventMeaning;
use rustc_hash::FxHashSet;

use crate::{Example, Interaction, Interactions, TrainingSet};

/// A visit ends when nothing happens for so long.
const SESSION_GAP_S: i64 = 1_800;

/// The part before a moment to learn from, and questions about what came after it.
#[derive(Clone, Default)]
pub struct TimeSplit {
    pub before: TrainingSet,
    /// At most two a row: what of the later items, not seen before, is wanted at the cut, and what somewhere in the midst
    /// of what came after it? The second sort knows a session under way, and strangers after their first steps.
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
        let market = market.unwrap_or_default();
        questions.extend(question(row, before.len(), market));
        if after.len() > 1 {
            // Anywhere, but the same in each run.
            questions.extend(question(row, before.len() + 1 + number % (after.len() - 1), market));
        }
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
    let market_names = set.market_names.clone();
    let item_count = set.item_count;
    let before = TrainingSet { item_count, histories, markets, market_names, baskets, content, now_s: cut_s };
    TimeSplit { before, questions }
}

/// What of a row's entries from `place` on is wanted, when the others are known?
fn question(row: &[Interaction], place: usize, market: u16) -> Option<Example> {
    let (before, after) = row.split_at(place);
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
    let now_s = after[0].at_s;
    Some(Example {
        history: before.to_vec(),
        session_start: session_start(before, now_s),
        seeds: Vec::new(),
        now_s,
        market,
        relevant,
    })
}

/// Where the session begins that is under way at `now_s`; the end of the history where none is.
fn session_start(history: &[Interaction], now_s: i64) -> usize {
    let mut next_s = now_s;
    let goes_on = |entry: &&Interaction| {
        let near = next_s - entry.at_s <= SESSION_GAP_S;
        next_s = entry.at_s;
        near
    };
    history.len() - history.iter().rev().take_while(goes_on).count()
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
        let asked: Vec<_> = split.questions.iter().map(|asked| (asked.history.len(), &asked.relevant[..])).collect();
        assert_eq!(
            asked,
            [(2, &[3][..]), (3, &[3])],
            "what was seen before is not asked for, nor a row without a past"
        );
    }

    #[test]
    fn a_session_under_way_is_known_as_one() {
        let entry = |item, at_s| Interaction { item, at_s, meaning: EventMeaning::Viewed };
        let mut histories = Interactions::new();
        histories.push_row([entry(1, 0), entry(2, 20_000), entry(3, 20_100), entry(4, 20_200)]);
        histories.push_row([entry(1, 20_000), entry(2, 20_100)]);
        let set = TrainingSet { item_count: 5, histories, now_s: 20_201, ..Default::default() };
        let asked: Vec<_> = split_at(&set, 10_000, 100)
            .questions
            .into_iter()
            .map(|asked| (asked.history.len(), asked.session_start, asked.relevant))
            .collect();
        let stranger = (1, 0, vec![2]);
        assert_eq!(asked, [(1, 1, vec![2, 3, 4]), (2, 1, vec![3, 4]), stranger]);
    }
}
