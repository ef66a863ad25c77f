//! How a product does: views, carts, sales and returns at three speeds of forgetting.

use merx_domain::{DAY_MS, EventMeaning, HOUR_MS, TimestampMs};

use crate::codec::{Encoded, Reader, write_floats, write_time};
use crate::decay::{advance, remaining};
use crate::feature::Feature;

/// What happens now, what happens these days, what happens this season.
pub const PRODUCT_HALF_LIVES_MS: [i64; 3] = [6 * HOUR_MS, 3 * DAY_MS, 30 * DAY_MS];

pub(crate) struct ProductStatistics;

/// One act on one product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProductAct {
    pub at: TimestampMs,
    pub meaning: EventMeaning,
    /// Units; views and carts count once whatever the quantity.
    pub quantity: f32,
}

/// Counts by half-life (outer) and act (inner: views, carts, sales, returns), as they stand at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ProductStatisticsState {
    at: TimestampMs,
    counts: [[f32; 4]; 3],
}

/// Each by half-life, in the order of [`PRODUCT_HALF_LIVES_MS`]. Sales and returns in units.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProductStatisticsValue {
    pub views: [f32; 3],
    pub carts: [f32; 3],
    pub sales: [f32; 3],
    pub returns: [f32; 3],
}

impl ProductStatisticsValue {
    /// Units sold a day, averaged over the three-day half-life.
    pub fn velocity(&self) -> f32 {
        per_day(self.sales[1], PRODUCT_HALF_LIVES_MS[1])
    }

    /// Views a day now against views a day over the month: above 1 it rises. A few imagined views keep it quiet where
    /// little is known.
    pub fn rise(&self) -> f32 {
        const IMAGINED: f32 = 3.0;
        let fast = per_day(self.views[1], PRODUCT_HALF_LIVES_MS[1]);
        let slow = per_day(self.views[2], PRODUCT_HALF_LIVES_MS[2]);
        (fast + IMAGINED) / (slow + IMAGINED)
    }
}

/// A steady rate of `r` a day fades into a count of `r * half_life / ln 2`.
fn per_day(count: f32, half_life_ms: i64) -> f32 {
    count * std::f32::consts::LN_2 * DAY_MS as f32 / half_life_ms as f32
}

impl Feature for ProductStatistics {
    const NAME: &'static str = "product_statistics";
    type State = ProductStatisticsState;
    type Signal<'a> = ProductAct;
    type Value = ProductStatisticsValue;

    fn apply(state: &mut ProductStatisticsState, act: &ProductAct) {
        let (place, amount) = match act.meaning {
            EventMeaning::Viewed => (0, 1.0),
            EventMeaning::Carted => (1, 1.0),
            EventMeaning::Purchased => (2, act.quantity),
            EventMeaning::Returned => (3, act.quantity),
            EventMeaning::Shown | EventMeaning::Dropped | EventMeaning::Other => return,
        };
        let before = state.at;
        for (counts, half_life_ms) in state.counts.iter_mut().zip(PRODUCT_HALF_LIVES_MS) {
            state.at = before;
            let weight = advance(&mut state.at, act.at, half_life_ms, counts);
            counts[place] += weight * amount;
        }
    }

    fn value(state: &ProductStatisticsState, now: TimestampMs) -> ProductStatisticsValue {
        let mut value = ProductStatisticsValue::default();
        for (place, half_life_ms) in PRODUCT_HALF_LIVES_MS.into_iter().enumerate() {
            let left = remaining(now.since(state.at), half_life_ms);
            let [views, carts, sales, returns] = state.counts[place].map(|count| count * left);
            value.views[place] = views;
            value.carts[place] = carts;
            value.sales[place] = sales;
            value.returns[place] = returns;
        }
        value
    }
}

impl Encoded for ProductStatisticsState {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        write_floats(out, self.counts.as_flattened());
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self { at: input.time()?, counts: [input.floats()?, input.floats()?, input.floats()?] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_speed_forgets_at_its_own() {
        let mut state = ProductStatisticsState::default();
        let at = TimestampMs(100 * DAY_MS);
        ProductStatistics::apply(&mut state, &ProductAct { at, meaning: EventMeaning::Purchased, quantity: 4.0 });
        ProductStatistics::apply(&mut state, &ProductAct { at, meaning: EventMeaning::Viewed, quantity: 4.0 });
        let later = ProductStatistics::value(&state, at.plus_ms(3 * DAY_MS));
        assert_eq!(later.sales[1], 2.0);
        assert_eq!(later.views[1], 0.5);
        assert_eq!(later.sales[0], 4.0 / 4096.0);
        assert!(later.sales[2] > 3.7);
    }

    #[test]
    fn velocity_is_units_a_day_and_a_burst_shows_as_a_rise() {
        let mut state = ProductStatisticsState::default();
        let act = |hour: i64, meaning| ProductAct { at: TimestampMs(hour * HOUR_MS), meaning, quantity: 1.0 };
        for hour in (0..24 * 200).step_by(2) {
            ProductStatistics::apply(&mut state, &act(hour, EventMeaning::Purchased));
            ProductStatistics::apply(&mut state, &act(hour, EventMeaning::Viewed));
        }
        let steady = ProductStatistics::value(&state, TimestampMs(24 * 200 * HOUR_MS));
        assert!((11.5..12.5).contains(&steady.velocity()), "{}", steady.velocity());
        assert!((0.9..1.1).contains(&steady.rise()), "{}", steady.rise());
        for hour in 24 * 200..24 * 202 {
            for _ in 0..3 {
                ProductStatistics::apply(&mut state, &act(hour, EventMeaning::Viewed));
            }
        }
        assert!(ProductStatistics::value(&state, TimestampMs(24 * 202 * HOUR_MS)).rise() > 1.5);
    }
}
