//! Shoppers with a known truth: how often they buy and what they spend is personal, skewed, and was so before.

use merx_numeric::rng::Rng;

use crate::{Arm, Moments, Observation};

/// Share of shoppers that buy, on average.
const BUYERS: f64 = 0.05;

/// What is planted in the treatment, relative.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Planted {
    pub(super) buying: f64,
    pub(super) spending: f64,
}

/// The metrics a shopper is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Conversion,
    Revenue,
    RevenueAdjusted,
    OrderValue,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Conversion, Self::Revenue, Self::RevenueAdjusted, Self::OrderValue];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Conversion => "conversion",
            Self::Revenue => "revenue_per_visitor",
            Self::RevenueAdjusted => "revenue_per_visitor_cuped",
            Self::OrderValue => "average_order_value",
        }
    }

    /// The true relative lift of what is planted.
    pub(super) fn lift(self, planted: Planted) -> f64 {
        match self {
            Self::Conversion => planted.buying,
            Self::Revenue | Self::RevenueAdjusted => (1.0 + planted.buying) * (1.0 + planted.spending) - 1.0,
            Self::OrderValue => planted.spending,
        }
    }
}

/// The arms so far: conversion, and revenue with orders and earlier revenue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arms {
    converted: [u64; 2],
    revenue: [Moments; 2],
}

impl Arms {
    /// Draws `count` shoppers, each into an arm by a fair coin.
    pub(super) fn visit(&mut self, rng: &mut Rng, count: usize, planted: Planted) {
        for _ in 0..count {
            let arm = rng.below(2);
            let shown = if arm == 1 { planted } else { Planted::default() };
            let observation = shopper(rng, shown);
            self.converted[arm] += u64::from(observation.denominator > 0.0);
            self.revenue[arm].add(observation);
        }
    }

    pub(super) fn read(&self, kind: Kind) -> [Arm; 2] {
        let each = |of: fn(&Moments) -> Arm| [of(&self.revenue[0]), of(&self.revenue[1])];
        match kind {
            Kind::Conversion => [0, 1].map(|arm| Arm::proportion(self.converted[arm], self.revenue[arm].count())),
            Kind::Revenue => each(Arm::mean),
            Kind::OrderValue => each(Arm::ratio),
            Kind::RevenueAdjusted => {
                let adjusted = Arm::adjusted(&self.revenue, false);
                [adjusted[0], adjusted[1]]
            }
        }
    }
}

/// Revenue, orders and revenue of the time before.
fn shopper(rng: &mut Rng, planted: Planted) -> Observation {
    let (frequency, taste) = (rng.normal(), rng.normal());
    // The mean of exp(.8 z) is exp(.32).
    let rate = BUYERS * (0.8 * frequency - 0.32).exp();
    let mut spend = |rate: f64, factor: f64| {
        if !rng.chance(rate.min(0.9)) {
            return (0.0, 0.0);
        }
        let orders = 1 + usize::from(rng.chance(0.3)) + usize::from(rng.chance(0.1));
        let revenue: f64 = (0..orders).map(|_| 40.0 * factor * (0.5 * taste + 0.6 * rng.normal()).exp()).sum();
        (revenue, orders as f64)
    };
    let (before, _) = spend(3.0 * rate, 1.0);
    let (numerator, denominator) = spend(rate * (1.0 + planted.buying), 1.0 + planted.spending);
    Observation { numerator, denominator, covariate: before }
}
