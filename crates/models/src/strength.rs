//! How much each kind of event says about a taste, for the models that know no order.

use merx_domain::EventMeaning;
use serde::{Deserialize, Serialize};

use crate::{Contribution, Interaction, Interactions, Query};

/// The strength of a wish that an event shows, from 0 (nothing) to 1. An item counts once in a history, with its
/// strongest event; what was returned or taken out of the cart falls back to the strength of a view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Strengths {
    pub viewed: f32,
    pub carted: f32,
    pub purchased: f32,
}

impl Default for Strengths {
    fn default() -> Self {
        Self { viewed: 0.5, carted: 0.8, purchased: 1.0 }
    }
}

impl Strengths {
    fn of(&self, meaning: EventMeaning) -> f32 {
        match meaning {
            EventMeaning::Viewed | EventMeaning::Dropped | EventMeaning::Returned => self.viewed,
            EventMeaning::Carted => self.carted,
            EventMeaning::Purchased => self.purchased,
            EventMeaning::Shown | EventMeaning::Other => 0.0,
        }
    }

    /// The items of a history below `item_count` with their strengths, ascending by item, strengths above 0 only.
    pub(crate) fn of_history(&self, history: &[Interaction], item_count: usize) -> Vec<(u32, f32)> {
        let mut entries: Vec<&Interaction> =
            history.iter().filter(|entry| (entry.item as usize) < item_count).collect();
        // Stable: the entries of an item stay in their order.
        entries.sort_by_key(|entry| entry.item);
        let of_item = |entries: &[&Interaction]| {
            let strength = entries.iter().fold(0.0f32, |kept, entry| match entry.meaning {
                EventMeaning::Dropped | EventMeaning::Returned => kept.min(self.of(entry.meaning)),
                _ => kept.max(self.of(entry.meaning)),
            });
            (entries[0].item, strength)
        };
        entries.chunk_by(|a, b| a.item == b.item).map(of_item).filter(|(_, strength)| *strength > 0.0).collect()
    }

    /// The items of a query: those of its history, and its seeds with full strength.
    pub(crate) fn of_query(&self, query: &Query, item_count: usize) -> Vec<(u32, f32)> {
        let mut items = self.of_history(query.history, item_count);
        for &seed in query.seeds.iter().filter(|&&seed| (seed as usize) < item_count) {
            match items.binary_search_by_key(&seed, |(item, _)| *item) {
                Ok(place) => items[place].1 = 1.0,
                Err(place) => items.insert(place, (seed, 1.0)),
            }
        }
        items
    }

    /// A row a history, a column an item.
    pub(crate) fn matrix(&self, histories: &Interactions, item_count: usize) -> merx_numeric::sparse::SparseRows {
        let rows = histories.iter().map(|history| self.of_history(history, item_count));
        merx_numeric::sparse::SparseRows::from_rows(item_count, rows)
    }
}

/// The largest shares of a score, with what the entry they came from meant, at most `limit`, largest first.
pub(crate) fn contributions(
    query: &Query,
    shares: impl Iterator<Item = (u32, f32)>,
    limit: usize,
) -> Vec<Contribution> {
    let mut largest: Vec<(u32, f32)> = shares.collect();
    largest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    largest.truncate(limit);
    let meaning = |item: u32| match query.seeds.contains(&item) {
        true => None,
        false => query.history.iter().rev().find(|entry| entry.item == item).map(|entry| entry.meaning),
    };
    largest.into_iter().map(|(item, weight)| Contribution { item, meaning: meaning(item), weight }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(item: u32, meaning: EventMeaning) -> Interaction {
        Interaction { item, at_s: 0, meaning }
    }

    #[test]
    fn the_strongest_event_counts_once_and_a_return_takes_it_back() {
        use EventMeaning::{Other, Purchased, Returned, Shown, Viewed};
        let strengths = Strengths::default();
        let history = [
            entry(4, Viewed),
            entry(4, Purchased),
            entry(4, Viewed),
            entry(1, Viewed),
            entry(2, Shown),
            entry(2, Other),
            entry(3, Purchased),
            entry(3, Returned),
            entry(99, Purchased),
        ];
        assert_eq!(strengths.of_history(&history, 10), [(1, 0.5), (3, 0.5), (4, 1.0)]);
        let query = Query { history: &history, session_start: 0, seeds: &[1, 7, 50], now_s: 0, market: 0 };
        assert_eq!(strengths.of_query(&query, 10), [(1, 1.0), (3, 0.5), (4, 1.0), (7, 1.0)]);
    }
}
