//! The last things a subject did to products.

use merx_domain::{EventMeaning, HistoryEntry, MINUTE_MS, ProductNumber, TimestampMs};

use crate::codec::{Encoded, Reader, write_time, write_varint};
use crate::covisitation::CONNECTED;
use crate::feature::{Feature, SubjectFeature};
use crate::signal::Moment;

/// Entries kept.
pub const HISTORY: usize = 64;

/// The same act on the same product within this time is one act.
const REPEAT_MS: i64 = MINUTE_MS;

pub(crate) struct History;

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct HistoryState(Vec<HistoryEntry>);

impl HistoryState {
    /// Whether an act repeats one that is remembered: a click and the page it opened, a reload.
    pub(crate) fn repeats(&self, product: ProductNumber, meaning: EventMeaning, at: TimestampMs) -> bool {
        let near = |entry: &&HistoryEntry| (entry.at.0.saturating_sub(at.0)).saturating_abs() <= REPEAT_MS;
        // Newest first: a late event looks a little further back.
        let around = self.0.iter().rev().skip_while(|entry| entry.at.since(at) > REPEAT_MS).take_while(near);
        around.into_iter().any(|entry| entry.product == product && entry.meaning == meaning)
    }

    /// The latest different products of interest between `since` and `until`, without `product`.
    pub(crate) fn preceding(&self, product: ProductNumber, since: TimestampMs, until: TimestampMs) -> Preceding {
        let mut others = Preceding::default();
        let session = self.0.iter().rev().skip_while(|entry| entry.at > until).take_while(|entry| entry.at >= since);
        for entry in session.filter(|entry| is_interest(entry.meaning) && entry.product != product) {
            if others.count == CONNECTED {
                break;
            }
            if !others.products().contains(&entry.product) {
                others.products[others.count] = entry.product;
                others.count += 1;
            }
        }
        others
    }

    fn insert(&mut self, entry: HistoryEntry) {
        let place = self.0.partition_point(|known| known.at <= entry.at);
        if self.0.len() == HISTORY {
            if place == 0 {
                return;
            }
            self.0.remove(0);
            self.0.insert(place - 1, entry);
        } else {
            self.0.insert(place, entry);
        }
    }
}

/// Products that came before another in a session, latest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preceding {
    products: [ProductNumber; CONNECTED],
    count: usize,
}

impl Preceding {
    pub(crate) fn products(&self) -> &[ProductNumber] {
        &self.products[..self.count]
    }
}

impl Default for Preceding {
    fn default() -> Self {
        Self { products: [ProductNumber(0); CONNECTED], count: 0 }
    }
}

fn is_interest(meaning: EventMeaning) -> bool {
    matches!(meaning, EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased)
}

impl Feature for History {
    const NAME: &'static str = "history";
    type State = HistoryState;
    type Signal<'a> = Moment<'a>;
    /// Oldest first.
    type Value = Vec<HistoryEntry>;

    fn apply(state: &mut HistoryState, moment: &Moment<'_>) {
        for touch in moment.touches.iter().filter(|touch| !touch.repeat) {
            state.insert(HistoryEntry { product: touch.facts.number, meaning: touch.meaning, at: moment.at });
        }
    }

    fn value(state: &HistoryState, _now: TimestampMs) -> Vec<HistoryEntry> {
        state.0.clone()
    }
}

impl SubjectFeature for History {
    fn merge(state: &mut HistoryState, other: &HistoryState) {
        state.0.extend(&other.0);
        state.0.sort_by_key(|entry| entry.at);
        state.0.drain(..state.0.len().saturating_sub(HISTORY));
    }
}

/// Meanings that are kept, by the number that stands for them in the bytes.
const MEANINGS: [EventMeaning; 5] = [
    EventMeaning::Viewed,
    EventMeaning::Carted,
    EventMeaning::Dropped,
    EventMeaning::Purchased,
    EventMeaning::Returned,
];

fn code(meaning: EventMeaning) -> u64 {
    MEANINGS.iter().position(|known| *known == meaning).unwrap_or(0) as u64
}

/// The first time as it is, then steps; product and meaning in one number.
impl Encoded for HistoryState {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.0.len() as u8);
        let Some(first) = self.0.first() else { return };
        write_time(out, first.at);
        let mut last = first.at;
        for entry in &self.0 {
            write_varint(out, entry.at.since(last) as u64);
            write_varint(out, u64::from(entry.product.0) << 3 | code(entry.meaning));
            last = entry.at;
        }
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let count = usize::from(input.byte()?);
        if count == 0 {
            return Some(Self::default());
        }
        let mut at = input.time()?;
        let mut entries = Vec::with_capacity(count + 1);
        for _ in 0..count {
            at = at.plus_ms(i64::try_from(input.varint()?).ok()?);
            let packed = input.varint()?;
            let product = ProductNumber(u32::try_from(packed >> 3).ok()?);
            let meaning = *MEANINGS.get((packed & 7) as usize)?;
            entries.push(HistoryEntry { product, meaning, at });
        }
        (count <= HISTORY).then_some(Self(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, product: u32) -> HistoryEntry {
        HistoryEntry { product: ProductNumber(product), meaning: EventMeaning::Viewed, at: TimestampMs(at) }
    }

    #[test]
    fn late_entries_find_their_place_and_the_oldest_go() {
        let mut state = HistoryState::default();
        for at in 0..HISTORY as i64 {
            state.insert(entry(1_000 + 10 * at, 1));
        }
        state.insert(entry(1_015, 2));
        state.insert(entry(5, 3));
        assert_eq!(state.0.len(), HISTORY);
        assert_eq!(state.0[0], entry(1_010, 1));
        assert_eq!(state.0[1], entry(1_015, 2));
        assert!(state.0.is_sorted_by_key(|entry| entry.at));
    }

    #[test]
    fn a_reload_repeats_and_a_later_look_does_not() {
        let state = HistoryState(vec![entry(0, 1), entry(50_000, 2)]);
        let repeats = |product, at| state.repeats(ProductNumber(product), EventMeaning::Viewed, TimestampMs(at));
        assert!(repeats(1, 55_000) && repeats(2, 55_000) && repeats(2, 5_000));
        assert!(!repeats(1, 61_000) && !repeats(3, 55_000));
        assert!(!state.repeats(ProductNumber(1), EventMeaning::Carted, TimestampMs(1_000)));
    }

    #[test]
    fn what_came_before_in_the_session() {
        let state = HistoryState(vec![entry(10, 1), entry(20, 2), entry(30, 3), entry(40, 2), entry(90, 9)]);
        let before = state.preceding(ProductNumber(3), TimestampMs(15), TimestampMs(50));
        assert_eq!(before.products(), [ProductNumber(2)]);
        let before = state.preceding(ProductNumber(5), TimestampMs(0), TimestampMs(50));
        assert_eq!(before.products(), [ProductNumber(2), ProductNumber(3), ProductNumber(1)]);
    }
}
