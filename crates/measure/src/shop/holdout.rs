//! What everything automatic earns: who gets it against who never does, month by month.

use merx_domain::{Currency, Device, EventKind, Money, Purposes, SubjectId, TimestampMs};
use merx_store::{EventLog, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::page::Interval;
use super::reading::{hash, offset_before, who};
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

/// What somebody did in a month.
#[derive(Debug, Clone, Copy, Default)]
struct Person {
    /// Came to the shop. Who only ordered, as a guest by phone or on another platform, met nothing that could be held back.
    visited: bool,
    spent: f64,
}

/// Revenue a visitor and month of the held out and of everybody else, `since` the holdout began (`None`: it never did).
pub fn holdout_page(
    log: &dyn EventLog,
    currency: Currency,
    since: Option<TimestampMs>,
    held_out: &dyn Fn(SubjectId) -> bool,
) -> Result<HoldoutPage, StoreError> {
    let Some(since) = since else { return Ok(page(&[], currency)) };
    let mut merged: FxHashMap<SubjectId, SubjectId> = FxHashMap::default();
    let mut did: FxHashMap<(SubjectId, i32), Person> = FxHashMap::default();
    let mut orders: FxHashSet<u64> = FxHashSet::default();
    let mut at = offset_before(log, since)?;
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
            let before = event.occurred_at < since;
            if before || event.consent.denied.contains(Purposes::ANALYTICS) || !(bought || visited) {
                continue;
            }
            let person = did.entry((event.subject, month_of(event.occurred_at))).or_default();
            person.visited |= visited;
            let again =
                event.order.as_ref().is_some_and(|order| !bought || !orders.insert(hash(&[order.as_str().as_bytes()])));
            if bought && !again {
                person.spent += event.value.filter(|value| value.currency == currency).map_or(0.0, Money::major_f64);
            }
        }
    }
    // In an order of its own, so that sums have the same bits every time.
    let mut did: Vec<_> = did.into_iter().collect();
    did.sort_unstable_by_key(|(of, _)| *of);
    let mut of_people: FxHashMap<(i32, SubjectId), Person> = FxHashMap::default();
    for ((subject, month), part) in did {
        let person = of_people.entry((month, who(&merged, subject))).or_default();
        person.visited |= part.visited;
        person.spent += part.spent;
    }
    let mut people: Vec<_> = of_people.into_iter().filter(|(_, person)| person.visited).collect();
    people.sort_unstable_by_key(|((month, subject), _)| (*month, *subject));
    let months: Vec<Month> = people
        .chunk_by(|((one, _), _), ((other, _), _)| one == other)
        .map(|people| {
            let side = |held: bool| {
                let of_side = people.iter().filter(|((_, subject), _)| held_out(*subject) == held);
                Arm::mean(&Moments::of(of_side.map(|(_, person)| Observation::value(person.spent))))
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

    /// Before the holdout began nobody was held out, and who never came could not be.
    #[test]
    fn visitors_since_the_holdout_began_count_and_nobody_else() {
        use merx_domain::{Event, EventId};
        use merx_store::{LogSettings, Store};

        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), &[], LogSettings::default()).unwrap();
        let at = |text: &str| TimestampMs::parse(text).unwrap();
        let event = |id: u128, subject: u128, kind, device, time: &str| {
            let mut event = Event::new(EventId(id), SubjectId(subject), kind, at(time));
            event.received_at = at(time);
            event.context.device = device;
            if kind == EventKind::OrderCompleted {
                event.value = Some(Money::new(1_000, Currency::EUR));
            }
            event
        };
        let (page, order) = (EventKind::Page, EventKind::OrderCompleted);
        let events = vec![
            event(1, 1, page, Device::Phone, "2026-08-03T00:00:00Z"),
            event(2, 1, order, Device::Phone, "2026-09-03T00:00:00Z"),
            event(3, 2, page, Device::Phone, "2026-10-09T00:00:00Z"),
            // The holdout begins.
            event(4, 1, page, Device::Phone, "2026-10-11T00:00:00Z"),
            event(5, 1, order, Device::Server, "2026-10-12T00:00:00Z"),
            event(6, 2, page, Device::Phone, "2026-10-13T00:00:00Z"),
            event(7, 3, order, Device::Server, "2026-10-14T00:00:00Z"),
            event(8, 2, order, Device::Server, "2026-11-01T00:00:00Z"),
        ];
        store.log.append(events).unwrap();
        let look = |since| holdout_page(&*store.log, Currency::EUR, since, &|subject| subject.0 == 1).unwrap();
        let page = look(Some(at("2026-10-10T00:00:00Z")));
        let months: Vec<_> =
            page.months.iter().map(|it| (&*it.month, it.held_out_visitors, it.treated_visitors)).collect();
        assert_eq!(months, [("2026-10", 1, 1)], "guests and the months before are left out");
        assert_eq!((page.months[0].held_out, page.months[0].treated), (10.0, 0.0));
        assert_eq!(look(None).months.len(), 0);
    }
}
