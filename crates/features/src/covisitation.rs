//! What is looked at with a product in the same session.

use merx_domain::{DAY_MS, ProductNumber, TimestampMs};

use crate::codec::{Encoded, Reader, write_time};
use crate::decay::{advance, remaining};
use crate::feature::Feature;
use crate::weights::Weights;

pub(crate) const COVISITATION_HALF_LIFE_MS: i64 = 30 * DAY_MS;

/// Neighbours kept of a product.
pub(crate) const NEIGHBOURS: usize = 32;

/// Earlier products of the session that a view is connected with.
pub(crate) const CONNECTED: usize = 3;

pub(crate) struct Covisitation;

/// A product was met beside others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Meeting<'a> {
    pub at: TimestampMs,
    /// With how much each counts.
    pub others: &'a [(ProductNumber, f32)],
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CovisitationState {
    at: TimestampMs,
    neighbours: Weights<NEIGHBOURS>,
}

/// The weight of a product met `place` products earlier (from 0).
pub(crate) fn meeting_weight(place: usize) -> f32 {
    1.0 / (place as f32 + 1.0)
}

impl Feature for Covisitation {
    const NAME: &'static str = "covisitation";
    type State = CovisitationState;
    type Signal<'a> = Meeting<'a>;
    /// Strongest first.
    type Value = Vec<(ProductNumber, f32)>;

    fn apply(state: &mut CovisitationState, meeting: &Meeting<'_>) {
        let fresh = advance(&mut state.at, meeting.at, COVISITATION_HALF_LIFE_MS, state.neighbours.weights_mut());
        for (product, weight) in meeting.others {
            state.neighbours.add(product.0, weight * fresh);
        }
    }

    fn value(state: &CovisitationState, now: TimestampMs) -> Self::Value {
        let left = remaining(now.since(state.at), COVISITATION_HALF_LIFE_MS);
        let strongest = state.neighbours.strongest(left);
        strongest.into_iter().map(|(number, weight)| (ProductNumber(number), weight)).collect()
    }
}

impl Encoded for CovisitationState {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        self.neighbours.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self { at: input.time()?, neighbours: Weights::read(input)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meetings_add_up_and_fade_and_the_weakest_gives_way() {
        let mut state = CovisitationState::default();
        let meet = |state: &mut CovisitationState, day: i64, product: u32, weight: f32| {
            let others = [(ProductNumber(product), weight)];
            Covisitation::apply(state, &Meeting { at: TimestampMs(day * DAY_MS), others: &others });
        };
        for product in 0..NEIGHBOURS as u32 {
            meet(&mut state, 0, product, 1.0 + product as f32);
        }
        meet(&mut state, 30, 5, 1.0);
        meet(&mut state, 30, 1_000, 0.7);
        let value = Covisitation::value(&state, TimestampMs(30 * DAY_MS));
        assert_eq!(value.len(), NEIGHBOURS);
        assert_eq!(value[0], (ProductNumber(31), 16.0));
        assert!(value.contains(&(ProductNumber(5), 4.0)));
        assert!(value.contains(&(ProductNumber(1_000), 0.7)));
        assert!(!value.iter().any(|(product, _)| *product == ProductNumber(0)));
    }
}
