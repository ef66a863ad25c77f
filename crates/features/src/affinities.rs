//! What a subject leans to: the categories, brands and price levels of what they touch.

use merx_domain::{DAY_MS, EventMeaning, TimestampMs};

use crate::codec::{Encoded, Reader, write_time};
use crate::decay::{advance, remaining};
use crate::feature::{Feature, SubjectFeature};
use crate::signal::Moment;
use crate::weights::Weights;

pub(crate) const AFFINITY_HALF_LIFE_MS: i64 = 45 * DAY_MS;

/// Keys kept of each sort.
pub(crate) const AFFINITIES: usize = 8;

/// What is shared by products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AffinityTo {
    Category = 0,
    Brand = 1,
    PriceLevel = 2,
}

impl AffinityTo {
    pub(crate) const ALL: [Self; 3] = [Self::Category, Self::Brand, Self::PriceLevel];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Brand => "brand",
            Self::PriceLevel => "price_level",
        }
    }
}

pub(crate) struct Affinities;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AffinityState {
    at: TimestampMs,
    /// By [`AffinityTo`].
    sorts: [Weights<AFFINITIES>; 3],
}

/// How much an act says.
fn weight_of(meaning: EventMeaning) -> f32 {
    match meaning {
        EventMeaning::Viewed => 1.0,
        EventMeaning::Carted => 3.0,
        EventMeaning::Dropped => -1.0,
        EventMeaning::Purchased => 5.0,
        EventMeaning::Returned => -4.0,
        EventMeaning::Shown | EventMeaning::Other => 0.0,
    }
}

impl Feature for Affinities {
    const NAME: &'static str = "affinities";
    type State = AffinityState;
    type Signal<'a> = Moment<'a>;
    /// Strongest first within each sort.
    type Value = Vec<(AffinityTo, u32, f32)>;

    fn apply(state: &mut AffinityState, moment: &Moment<'_>) {
        let fresh = state.advance(moment.at);
        for touch in moment.touches.iter().filter(|touch| !touch.repeat) {
            // Giving something back takes interest away, down to none.
            let weight = weight_of(touch.meaning) * fresh;
            for category in touch.facts.categories {
                state.sorts[AffinityTo::Category as usize].add(*category, weight);
            }
            if let Some(brand) = touch.facts.brand {
                state.sorts[AffinityTo::Brand as usize].add(brand, weight);
            }
            if let Some(level) = touch.facts.price_level {
                state.sorts[AffinityTo::PriceLevel as usize].add(u32::from(level), weight);
            }
        }
    }

    fn value(state: &AffinityState, now: TimestampMs) -> Self::Value {
        let left = remaining(now.since(state.at), AFFINITY_HALF_LIFE_MS);
        let of_sort = |sort: AffinityTo| {
            let strongest = state.sorts[sort as usize].strongest(left);
            strongest.into_iter().map(move |(key, weight)| (sort, key, weight))
        };
        AffinityTo::ALL.into_iter().flat_map(of_sort).collect()
    }
}

impl AffinityState {
    /// Moves all weights on to `now`; returns the weight of something that happens then.
    fn advance(&mut self, now: TimestampMs) -> f32 {
        let before = self.at;
        let mut fresh = 1.0;
        for weights in &mut self.sorts {
            self.at = before;
            fresh = advance(&mut self.at, now, AFFINITY_HALF_LIFE_MS, weights.weights_mut());
        }
        fresh
    }
}

impl SubjectFeature for Affinities {
    fn merge(state: &mut AffinityState, other: &AffinityState) {
        let fresh = state.advance(other.at);
        for (weights, others) in state.sorts.iter_mut().zip(&other.sorts) {
            for (key, weight) in others.iter() {
                weights.add(key, weight * fresh);
            }
        }
    }
}

impl Encoded for AffinityState {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        for weights in &self.sorts {
            weights.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let at = input.time()?;
        Some(Self { at, sorts: [Weights::read(input)?, Weights::read(input)?, Weights::read(input)?] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{ProductFacts, Touch};
    use merx_domain::ProductNumber;

    fn touch(categories: &[u32], brand: u32, meaning: EventMeaning) -> Touch<'_> {
        let facts = ProductFacts { number: ProductNumber(1), categories, brand: Some(brand), price_level: Some(2) };
        Touch { facts, meaning, quantity: 1.0, repeat: false }
    }

    fn apply(state: &mut AffinityState, day: i64, touch: Touch<'_>) {
        let at = TimestampMs(day * DAY_MS);
        Affinities::apply(state, &Moment { at, from_shopper: true, touches: vec![touch] });
    }

    #[test]
    fn acts_count_by_what_they_say_and_fade() {
        let mut state = AffinityState::default();
        apply(&mut state, 0, touch(&[7], 1, EventMeaning::Viewed));
        apply(&mut state, 45, touch(&[8], 2, EventMeaning::Purchased));
        apply(&mut state, 45, touch(&[7], 1, EventMeaning::Viewed));
        let value = Affinities::value(&state, TimestampMs(45 * DAY_MS));
        use AffinityTo::*;
        assert_eq!(
            value,
            [(Category, 8, 5.0), (Category, 7, 1.5), (Brand, 2, 5.0), (Brand, 1, 1.5), (PriceLevel, 2, 6.5)]
        );
    }

    #[test]
    fn the_weakest_gives_way_and_returns_take_back() {
        let mut state = AffinityState::default();
        for key in 0..8 {
            apply(
                &mut state,
                0,
                touch(&[key], key, if key == 3 { EventMeaning::Viewed } else { EventMeaning::Carted }),
            );
        }
        apply(&mut state, 0, touch(&[99], 99, EventMeaning::Viewed));
        apply(&mut state, 0, touch(&[5], 5, EventMeaning::Returned));
        let keys: Vec<u32> = Affinities::value(&state, TimestampMs(0))
            .into_iter()
            .filter(|(sort, ..)| *sort == AffinityTo::Category)
            .map(|(_, key, _)| key)
            .collect();
        assert_eq!(keys, [0, 1, 2, 4, 6, 7, 99]);
    }
}
