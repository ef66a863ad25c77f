//! How much a subject looks, carts and buys lately: counts that fade.

use merx_domain::{DAY_MS, EventMeaning, TimestampMs};

use crate::codec::{Encoded, Reader, write_floats, write_time};
use crate::decay::{advance, remaining};
use crate::feature::{Feature, SubjectFeature};
use crate::signal::Moment;

/// After a month a view counts half.
pub(crate) const COUNTER_HALF_LIFE_MS: i64 = 30 * DAY_MS;

pub(crate) struct Counters;

/// Counts as they stand at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct CounterState {
    at: TimestampMs,
    /// Views, carts, purchases.
    counts: [f32; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct CounterValue {
    pub views: f32,
    pub carts: f32,
    pub purchases: f32,
}

impl Feature for Counters {
    const NAME: &'static str = "counters";
    type State = CounterState;
    type Signal<'a> = Moment<'a>;
    type Value = CounterValue;

    fn apply(state: &mut CounterState, moment: &Moment<'_>) {
        let weight = advance(&mut state.at, moment.at, COUNTER_HALF_LIFE_MS, &mut state.counts);
        for touch in moment.touches.iter().filter(|touch| !touch.repeat) {
            match touch.meaning {
                EventMeaning::Viewed => state.counts[0] += weight,
                EventMeaning::Carted => state.counts[1] += weight,
                EventMeaning::Purchased => state.counts[2] += weight,
                EventMeaning::Shown | EventMeaning::Dropped | EventMeaning::Returned | EventMeaning::Other => {}
            }
        }
    }

    fn value(state: &CounterState, now: TimestampMs) -> CounterValue {
        let left = remaining(now.since(state.at), COUNTER_HALF_LIFE_MS);
        let [views, carts, purchases] = state.counts.map(|count| count * left);
        CounterValue { views, carts, purchases }
    }
}

impl SubjectFeature for Counters {
    fn merge(state: &mut CounterState, other: &CounterState) {
        let weight = advance(&mut state.at, other.at, COUNTER_HALF_LIFE_MS, &mut state.counts);
        for (count, more) in state.counts.iter_mut().zip(other.counts) {
            *count += weight * more;
        }
    }
}

impl Encoded for CounterState {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        write_floats(out, &self.counts);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self { at: input.time()?, counts: input.floats()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{ProductFacts, Touch};
    use merx_domain::ProductNumber;

    fn moment(day: i64, meaning: EventMeaning, repeat: bool) -> Moment<'static> {
        let facts = ProductFacts { number: ProductNumber(1), categories: &[], brand: None, price_level: None };
        let touches = vec![Touch { facts, meaning, quantity: 1.0, repeat }];
        Moment { at: TimestampMs(day * DAY_MS), from_shopper: true, touches }
    }

    #[test]
    fn counts_fade_by_half_a_month_and_repeats_do_not_count() {
        let mut state = CounterState::default();
        Counters::apply(&mut state, &moment(100, EventMeaning::Viewed, false));
        Counters::apply(&mut state, &moment(100, EventMeaning::Viewed, true));
        Counters::apply(&mut state, &moment(130, EventMeaning::Viewed, false));
        // Came late: thirty days old when it arrives.
        Counters::apply(&mut state, &moment(100, EventMeaning::Carted, false));
        Counters::apply(&mut state, &moment(130, EventMeaning::Purchased, false));
        let value = Counters::value(&state, TimestampMs(160 * DAY_MS));
        assert_eq!(value, CounterValue { views: 0.75, carts: 0.25, purchases: 0.5 });
    }

    #[test]
    fn two_names_of_one_person_add_up() {
        let mut known = CounterState::default();
        Counters::apply(&mut known, &moment(130, EventMeaning::Viewed, false));
        let mut unknown = CounterState::default();
        Counters::apply(&mut unknown, &moment(100, EventMeaning::Viewed, false));
        Counters::merge(&mut known, &unknown);
        assert_eq!(Counters::value(&known, TimestampMs(130 * DAY_MS)).views, 1.5);
    }
}
