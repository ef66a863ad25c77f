//! The items of a query by how long ago they were met: what all models of sequences start from.

use merx_domain::EventMeaning;

use crate::{Contribution, Interaction, Query};

/// An item of a query, at the last place where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recent {
    pub(crate) item: u32,
    /// Moments from the end: 0 is the newest. Entries of equal time are one moment; seeds are a moment after all others.
    pub(crate) steps: u32,
    /// It was last met before the current session.
    pub(crate) earlier: bool,
    /// `None`: a seed.
    pub(crate) meaning: Option<EventMeaning>,
}

/// Whether an event says that the item was wanted.
pub(crate) fn wanted(meaning: EventMeaning) -> bool {
    matches!(meaning, EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased)
}

/// The newest `limit` different items of a query that were wanted and are below `item_count`, newest first.
pub(crate) fn recent_items(query: &Query, item_count: usize, limit: usize) -> Vec<Recent> {
    let seeds = query.seeds.iter().rev().map(|&item| Recent { item, steps: 0, earlier: false, meaning: None });
    let from_seeds = u32::from(!query.seeds.is_empty());
    let history = query.history.iter().enumerate().rev().filter(|(_, entry)| wanted(entry.meaning));
    let history = history.scan((from_seeds, None), |(steps, later_s), (place, entry)| {
        *steps += u32::from(later_s.is_some_and(|later_s| later_s != entry.at_s));
        *later_s = Some(entry.at_s);
        let earlier = place < query.session_start;
        Some(Recent { item: entry.item, steps: *steps, earlier, meaning: Some(entry.meaning) })
    });
    let mut recent: Vec<Recent> = Vec::with_capacity(limit.min(query.history.len() + query.seeds.len()));
    for entry in seeds.chain(history) {
        if recent.len() == limit {
            break;
        }
        if (entry.item as usize) < item_count && recent.iter().all(|known| known.item != entry.item) {
            recent.push(entry);
        }
    }
    recent
}

/// How much an item of a query counts: `exp(-steps / decay)`, times `earlier_weight` outside the current session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fading {
    pub(crate) decay: f32,
    pub(crate) earlier_weight: f32,
}

impl Fading {
    pub(crate) fn weight(&self, entry: &Recent) -> f32 {
        let faded = if self.decay > 0.0 { (-(entry.steps as f32) / self.decay).exp() } else { 1.0 };
        if entry.earlier { faded * self.earlier_weight } else { faded }
    }
}

/// The largest parts of a score, largest first.
pub(crate) fn largest_contributions(parts: impl Iterator<Item = (Recent, f32)>, limit: usize) -> Vec<Contribution> {
    let mut parts: Vec<Contribution> = parts
        .filter(|(_, weight)| *weight != 0.0)
        .map(|(entry, weight)| Contribution { item: entry.item, meaning: entry.meaning, weight })
        .collect();
    parts.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.item.cmp(&b.item)));
    parts.truncate(limit);
    parts
}

/// The moment of each entry of a session, counted from 0: entries of equal time (a basket) are one moment.
pub(crate) fn moments(session: &[Interaction]) -> impl Iterator<Item = u16> {
    session.iter().scan((0u16, None), |(moment, earlier_s), entry| {
        *moment = moment.saturating_add(u16::from(earlier_s.is_some_and(|earlier_s| earlier_s != entry.at_s)));
        *earlier_s = Some(entry.at_s);
        Some(*moment)
    })
}

/// Cuts a row into sessions: a new one begins where more than `gap_s` lie between two entries.
pub(crate) fn sessions(row: &[Interaction], gap_s: i64) -> impl Iterator<Item = &[Interaction]> {
    row.chunk_by(move |a, b| b.at_s.saturating_sub(a.at_s) <= gap_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewed(item: u32, at_s: i64) -> Interaction {
        Interaction { item, at_s, meaning: EventMeaning::Viewed }
    }

    #[test]
    fn the_last_place_of_an_item_counts_and_seeds_come_first() {
        let history = [viewed(3, 0), viewed(1, 1), viewed(3, 2), viewed(99, 3)];
        let query = Query { history: &history, session_start: 2, seeds: &[7], now_s: 9, market: 0 };
        let found: Vec<_> = recent_items(&query, 10, 5).iter().map(|r| (r.item, r.steps, r.earlier)).collect();
        assert_eq!(found, [(7, 0, false), (3, 2, false), (1, 3, true)]);
        assert_eq!(recent_items(&query, 10, 2).len(), 2);
    }

    #[test]
    fn a_basket_is_one_moment() {
        let history = [viewed(1, 0), viewed(2, 5), viewed(3, 5), viewed(4, 9)];
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 9, market: 0 };
        let steps: Vec<_> = recent_items(&query, 10, 5).iter().map(|r| (r.item, r.steps)).collect();
        assert_eq!(steps, [(4, 0), (3, 1), (2, 1), (1, 2)]);
        assert_eq!(moments(&history).collect::<Vec<_>>(), [0, 1, 1, 2]);
    }

    #[test]
    fn a_long_pause_ends_a_session() {
        let row = [viewed(1, 0), viewed(2, 100), viewed(3, 5_000)];
        let lengths: Vec<usize> = sessions(&row, 1_800).map(<[_]>::len).collect();
        assert_eq!(lengths, [2, 1]);
    }
}
