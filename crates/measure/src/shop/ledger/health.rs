//! How the log is doing, day by day of receipt: how much of what came, and what was wrong with it.

use std::collections::BTreeMap;

use merx_domain::{Device, Event, EventKind, EventMeaning, HOUR_MS, MINUTE_MS, ProductId, SubjectId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::hash;

const MOST_DAYS: i32 = 400;
/// Received so long after it happened, an event is late.
const LATE_MS: i64 = HOUR_MS;
/// Happened so long after it was received, an event comes from a wrong clock.
const EARLY_MS: i64 = 5 * MINUTE_MS;
/// Nobody does more in an hour by hand: about one thing every ten seconds, all hour long.
const MOST_BY_HAND: u32 = 400;
/// Events that are remembered to find repeats of.
const MOST_REMEMBERED: usize = 400_000;

/// What came on a day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayHealth {
    pub events: u64,
    /// By kind's code.
    pub kinds: BTreeMap<u16, u64>,
    /// Orders without a value.
    pub orders_without_value: u64,
    /// Events about products that name none.
    pub without_products: u64,
    pub lines: u64,
    /// Lines with a product that the catalogue doesn't have.
    pub unknown_products: u64,
    /// Events of kinds of the shop's own making.
    pub custom: u64,
    pub late: u64,
    pub from_the_future: u64,
    /// The same thing of the same person at the same moment, told again under another id.
    pub repeated: u64,
    /// Events of whoever did more than a person can.
    pub automatic: u64,
    /// Of pages and devices, which name no device.
    pub without_device: u64,
}

#[derive(Default)]
pub(super) struct Health {
    days: BTreeMap<i32, DayHealth>,
    /// Of the hour: how much each did.
    hour: i64,
    busy: FxHashMap<SubjectId, u32>,
    seen: FxHashSet<u64>,
}

impl Health {
    pub(super) fn take(&mut self, event: &Event, sells: &dyn Fn(&ProductId) -> bool) {
        // What Merx says itself tells nothing of the senders.
        if event.kind == EventKind::ExperimentViewed {
            return;
        }
        let automatic = self.is_automatic(event);
        let repeated = self.is_repeated(event);
        let day = event.received_at.day();
        let health = self.days.entry(day).or_default();
        health.events += 1;
        *health.kinds.entry(event.kind.code()).or_default() += 1;
        health.custom += u64::from(event.kind == EventKind::Custom);
        health.orders_without_value += u64::from(event.kind == EventKind::OrderCompleted && event.value.is_none());
        let about_products = matches!(
            event.kind,
            EventKind::ProductViewed | EventKind::ProductClicked | EventKind::ProductAdded | EventKind::OrderCompleted
        );
        health.without_products += u64::from(about_products && event.lines.is_empty());
        health.lines += event.lines.len() as u64;
        health.unknown_products += event.lines.iter().filter(|line| !sells(&line.product)).count() as u64;
        let delay = event.received_at.since(event.occurred_at);
        health.late += u64::from(delay > LATE_MS);
        health.from_the_future += u64::from(-delay > EARLY_MS);
        health.repeated += u64::from(repeated);
        health.automatic += u64::from(automatic);
        health.without_device += u64::from(event.context.device == Device::Unknown);
        if self.days.len() as i32 > MOST_DAYS {
            self.days = self.days.split_off(&(day - MOST_DAYS));
        }
    }

    fn is_automatic(&mut self, event: &Event) -> bool {
        if event.context.device == Device::Server {
            return false;
        }
        let hour = event.occurred_at.0.div_euclid(HOUR_MS);
        if hour > self.hour {
            self.hour = hour;
            self.busy.clear();
        }
        if hour < self.hour {
            return false;
        }
        let did = self.busy.entry(event.subject).or_default();
        *did += 1;
        *did > MOST_BY_HAND
    }

    fn is_repeated(&mut self, event: &Event) -> bool {
        // The same order is told by the page and by the shop, which is how it should be.
        if matches!(event.kind.meaning(), EventMeaning::Other | EventMeaning::Purchased) {
            return false;
        }
        let product = event.lines.first().map_or("", |line| line.product.as_str());
        let what = hash(&[
            &event.subject.to_bytes(),
            &event.kind.code().to_be_bytes(),
            &event.occurred_at.0.to_be_bytes(),
            product.as_bytes(),
        ]);
        if self.seen.len() >= MOST_REMEMBERED {
            self.seen.clear();
        }
        !self.seen.insert(what)
    }

    pub(super) fn days(&self) -> &BTreeMap<i32, DayHealth> {
        &self.days
    }
}
