//! What everything automatic earns: who gets it against who never does, month by month.

use merx_domain::{Currency, Device, EventKind, Money, Purposes, SubjectId, TimestampMs};
use merx_store::{EventLog, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::page::Interval;
use super::reading::{hash, who};
use crate::holdout::{HoldoutLift, Month, lift_by_month};
use crate::{Arm, Moments, Observation};

const BATCH: usize = 10_000;
const ALPHA: f64 = 0.05;

#[derive(Debug, Clone, Serialize)]
pub struct HoldoutPage {
    pub currency: String,
    pub months: Vec<MonthPage>,
    /// What the treated brought beyond what they would have brought, all months together, in the currency.
    pub increment: f64,
    pub increment_low: f64,
    pub increment_high: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct MonthPage {
    /// `2026-11`.
    pub month: String,
    pub held_out_visitors: u64,
    pub treated_visitors: u64,
    /// Revenue a visitor.
    pub held_out: f64,
    pub treated: f64,
    /// Relative to the held out; one look a month.
    pub lift: Option<f64>,
    pub interval: Option<Interval>,
}

/// Revenue a visitor and month of the held out and of everybody else.
pub fn holdout_page(
    log: &dyn EventLog,
    currency: Currency,
    held_out: &dyn Fn(SubjectId) -> bool,
) -> Result<HoldoutPage, StoreError> {
    let mut merged: FxHashMap<SubjectId, SubjectId> = FxHashMap::default();
    let mut spent: FxHashMap<(SubjectId, i32), f64> = FxHashMap::default();
    let mut orders: FxHashSet<u64> = FxHashSet::default();
    let mut at = None;
    loop {
        let events = log.read(at, BATCH)?;
        let Some((last, _)) = events.last() else { break };
        at = Some(*last);
        for (_, event) in &events {
            if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
                merged.insert(from, event.subject);
            }
            let bought = event.kind == EventKind::OrderCompleted;
            let visited = event.context.device != Device::Server && event.kind != EventKind::ExperimentViewed;
            if event.consent.denied.contains(Purposes::ANALYTICS) || !(bought || visited) {
                continue;
            }
            let spent = spent.entry((event.subject, month_of(event.occurred_at))).or_default();
            let again =
                event.order.as_ref().is_some_and(|order| !bought || !orders.insert(hash(&[order.as_str().as_bytes()])));
            if bought && !again {
                *spent += event.value.filter(|value| value.currency == currency).map_or(0.0, Money::major_f64);
            }
        }
    }
    let mut of_people: FxHashMap<(i32, SubjectId), f64> = FxHashMap::default();
    for ((subject, month), value) in spent {
        *of_people.entry((month, who(&merged, subject))).or_default() += value;
    }
    let mut people: Vec<_> = of_people.into_iter().collect();
    people.sort_unstable_by_key(|((month, subject), _)| (*month, *subject));
    let months: Vec<Month> = people
        .chunk_by(|((one, _), _), ((other, _), _)| one == other)
        .map(|people| {
            let side = |held: bool| {
                let of_side = people.iter().filter(|((_, subject), _)| held_out(*subject) == held);
                Arm::mean(&Moments::of(of_side.map(|(_, value)| Observation::value(*value))))
            };
            Month { month: people[0].0.0, held_out: side(true), treated: side(false) }
        })
        .collect();
    Ok(page(&months, currency))
}

fn page(months: &[Month], currency: Currency) -> HoldoutPage {
    let lift = lift_by_month(months, ALPHA);
    let increment = lift.increment;
    HoldoutPage {
        currency: currency.to_string(),
        months: month_pages(months, &lift),
        increment: increment.total,
        increment_low: increment.low,
        increment_high: increment.high,
    }
}

/// Months with their lifts, where they can be read.
pub(super) fn month_pages(months: &[Month], lift: &HoldoutLift) -> Vec<MonthPage> {
    let pages = months.iter().map(|month| {
        let read = lift.months.iter().find(|read| read.month == month.month);
        let finite = |mean: f64| if mean.is_finite() { mean } else { 0.0 };
        MonthPage {
            month: format!("{:04}-{:02}", month.month.div_euclid(12), month.month.rem_euclid(12) + 1),
            held_out_visitors: month.held_out.units,
            treated_visitors: month.treated.units,
            held_out: finite(month.held_out.mean),
            treated: finite(month.treated.mean),
            lift: read.map(|read| read.lift.estimate),
            interval: read.map(|read| read.reading.into()),
        }
    });
    pages.collect()
}

/// Months since the year 0, by the calendar of Howard Hinnant's `civil_from_days`.
pub(super) fn month_of(at: TimestampMs) -> i32 {
    let days = at.day() + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
    (era * 400 + year_of_era + i32::from(month < 2)) * 12 + month
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_in_their_months() {
        let month = |text: &str| month_of(TimestampMs::parse(text).unwrap());
        assert_eq!(month("2026-11-21T00:00:00Z"), 2026 * 12 + 10);
        assert_eq!(month("2024-02-29T23:59:59Z"), 2024 * 12 + 1);
        assert_eq!((month("2025-12-31T12:00:00Z"), month("2026-01-01T00:00:00Z")), (2025 * 12 + 11, 2026 * 12));
        assert_eq!(month("1970-01-01T00:00:00Z"), 1970 * 12);
    }
}
