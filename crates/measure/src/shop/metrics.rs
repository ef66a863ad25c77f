//! The metrics by which experiments of a shop are decided.

use crate::{Metric, Shape, SignalId};

/// What is counted of a subject.
pub mod signal {
    use crate::SignalId;

    /// A day on which they did anything, counted once.
    pub const VISIT: SignalId = SignalId(0);
    /// An order, counted as 1.
    pub const ORDER: SignalId = SignalId(1);
    /// Value of an order, in major units.
    pub const REVENUE: SignalId = SignalId(2);
    /// Value of an order's lines less what they cost the shop, in major units.
    pub const MARGIN: SignalId = SignalId(3);
    /// Something put into the cart or on a wish list, counted as 1.
    pub const CART: SignalId = SignalId(4);
    /// A product opened or clicked, counted as 1.
    pub const CLICK: SignalId = SignalId(5);
    /// Value of what was refunded or cancelled, in major units.
    pub const REFUND: SignalId = SignalId(6);
    /// So many there are.
    pub const COUNT: usize = 7;
}

/// A metric as the API lists it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShopMetric {
    pub name: &'static str,
    pub words: &'static str,
    /// `share`, `money` (major units of the shop's currency), `count`, `ms`.
    pub unit: &'static str,
    /// `None`: read off quantiles (latency).
    shape: Option<Shape>,
    capped: bool,
    pub higher_is_better: bool,
}

/// Latency is recorded of the decisions that first showed an arm, and compared by its 95th percentile.
pub const LATENCY: &str = "latency_ms";

const fn higher(name: &'static str, words: &'static str, unit: &'static str, shape: Shape) -> ShopMetric {
    ShopMetric { name, words, unit, shape: Some(shape), capped: false, higher_is_better: true }
}

const fn capped(metric: ShopMetric) -> ShopMetric {
    ShopMetric { capped: true, ..metric }
}

const fn lower(metric: ShopMetric) -> ShopMetric {
    ShopMetric { higher_is_better: false, ..metric }
}

const fn share(signal: SignalId) -> Shape {
    Shape::Share { signal }
}

const fn total(signal: SignalId) -> Shape {
    Shape::Total { signal }
}

const fn ratio(numerator: SignalId, denominator: SignalId) -> Shape {
    Shape::Ratio { numerator, denominator }
}

const fn retention(from_day: u16, to_day: u16) -> Shape {
    Shape::Retention { signal: signal::VISIT, from_day, to_day }
}

pub const METRICS: [ShopMetric; 11] = [
    higher("conversion", "shoppers with an order", "share", share(signal::ORDER)),
    capped(higher("revenue_per_visitor", "revenue of a shopper", "money", total(signal::REVENUE))),
    higher("average_order_value", "revenue of an order", "money", ratio(signal::REVENUE, signal::ORDER)),
    higher("orders_per_visitor", "orders of a shopper", "count", total(signal::ORDER)),
    capped(higher(
        "margin_per_visitor",
        "what a shopper's orders leave after their cost",
        "money",
        total(signal::MARGIN),
    )),
    higher("cart_rate", "shoppers who put something into the cart", "share", share(signal::CART)),
    higher("click_rate", "shoppers who opened a product", "share", share(signal::CLICK)),
    higher("retention_7", "shoppers who came back on days 1 to 7", "share", retention(1, 8)),
    higher("retention_28", "shoppers who came back on days 8 to 28", "share", retention(8, 29)),
    lower(higher(
        "refund_share",
        "share of revenue that was refunded",
        "share",
        ratio(signal::REFUND, signal::REVENUE),
    )),
    ShopMetric {
        name: LATENCY,
        words: "time a decision took, 95th percentile",
        unit: "ms",
        shape: None,
        capped: false,
        higher_is_better: false,
    },
];

/// Outcomes count so many days after a shopper's first exposure.
const WINDOW_DAYS: u16 = 14;
/// What a shopper did so many days before is the covariate of CUPED.
pub const COVARIATE_DAYS: u16 = 28;
/// Larger values of sums of money count as this quantile of all shoppers' values.
const CAP_QUANTILE: f64 = 0.999;

pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.name)
}

/// A metric by its name, with the shop's window, covariate and cap; `None` also for what is read off quantiles.
pub fn metric(name: &str) -> Option<Metric> {
    let known = METRICS.iter().find(|metric| metric.name == name)?;
    let shape = known.shape?;
    // Somebody who comes back at all has been there before: a visit before the exposure tells next to nothing.
    let covariate_days = if matches!(shape, Shape::Retention { .. }) { 0 } else { COVARIATE_DAYS };
    Some(Metric {
        window_days: WINDOW_DAYS,
        covariate_days,
        cap_quantile: known.capped.then_some(CAP_QUANTILE),
        higher_is_better: known.higher_is_better,
        ..Metric::new(known.name, shape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_sound_and_named_once() {
        let metrics: Vec<Metric> = names().filter_map(metric).collect();
        assert_eq!(metrics.len(), METRICS.len() - 1, "latency alone is read off quantiles");
        assert_eq!(Metric::check_all(&metrics), Ok(()));
        assert_eq!(metric("luck"), None);
    }
}
