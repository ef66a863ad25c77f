//! What is looked at with a product in the same session.

use merx_domain::{DAY_MS, ProductNumber, TimestampMs};

use crate::codec::{Encoded, Reader, write_floats, write_time, write_varint};
use crate::decay::{advance, remaining};
use crate::feature::Feature;

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

/// Neighbours in the order of arrival; the weakest gives way to a new one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CovisitationState {
    at: TimestampMs,
    products: Vec<ProductNumber>,
    weights: Vec<f32>,
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
        let fresh = advance(&mut state.at, meeting.at, COVISITATION_HALF_LIFE_MS, &mut state.weights);
        for (product, weight) in meeting.others {
            state.add(*product, weight * fresh);
        }
    }

    fn value(state: &CovisitationState, now: TimestampMs) -> Self::Value {
        let left = remaining(now.since(state.at), COVISITATION_HALF_LIFE_MS);
        let mut value: Vec<_> =
            state.products.iter().zip(&state.weights).map(|(product, weight)| (*product, weight * left)).collect();
        value.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        value
    }
}

impl CovisitationState {
    fn add(&mut self, product: ProductNumber, weight: f32) {
        if let Some(place) = self.products.iter().position(|known| *known == product) {
            self.weights[place] += weight;
        } else if self.products.len() < NEIGHBOURS {
            self.products.push(product);
            self.weights.push(weight);
        } else if let Some(weakest) = (0..NEIGHBOURS).min_by(|a, b| self.weights[*a].total_cmp(&self.weights[*b])) {
            self.products[weakest] = product;
            self.weights[weakest] = weight;
        }
    }
}

impl Encoded for CovisitationState {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        out.push(self.products.len() as u8);
        for product in &self.products {
            write_varint(out, u64::from(product.0));
        }
        write_floats(out, &self.weights);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let at = input.time()?;
        let count = usize::from(input.byte()?);
        if count > NEIGHBOURS {
            return None;
        }
        let products = (0..count).map(|_| input.varint_u32().map(ProductNumber)).collect::<Option<_>>()?;
        let weights = (0..count).map(|_| input.float()).collect::<Option<_>>()?;
        Some(Self { at, products, weights })
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
