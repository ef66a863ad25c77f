//! What a shop's log adds up to, kept as the log grows: figures by day, revenue of people by month, what decisions led to, and how the log
//! itself is doing.
//!
//! A [`Ledger`] lives in memory and is read anew after a restart; a question to it reads what is new in the log and nothing else. It
//! is bounded: days, months and touches that are too old are let go.

mod health;
mod people;
mod touches;

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{
    Currency, DecisionId, Device, Event, EventKind, EventMeaning, MarketId, Money, Purposes, SubjectId, TimestampMs,
};
use merx_store::{EventLog, LogOffset, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};

use super::holdout::month_of;
use super::reading::{hash, who};

pub use health::DayHealth;
pub use people::{Person, Spent};
pub use touches::{Attributed, LAGS};

use health::Health;
use people::People;
use touches::Touches;

const BATCH: usize = 5_000;
/// Days of figures that are kept.
const MOST_DAYS: i32 = 400;
/// Months of people that are kept.
const MOST_MONTHS: i32 = 25;
/// Orders whose number is remembered, so that one that is told twice counts once.
const MOST_ORDERS: usize = 2_000_000;

/// What a ledger has to ask others.
pub struct Witnesses<'a> {
    /// The engines that made some decisions; those that nobody knows are left out.
    pub engines: &'a dyn Fn(&[DecisionId]) -> FxHashMap<DecisionId, CompactString>,
    /// Whether the catalogue has a product.
    pub sells: &'a dyn Fn(&merx_domain::ProductId) -> bool,
}

/// Figures of one day (UTC, by when things happened).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Day {
    /// People who did something, each counted once.
    pub visitors: u64,
    pub orders: u64,
    /// People who ordered.
    pub buyers: u64,
    pub revenue: f64,
    pub refunds: f64,
    pub units_sold: u64,
    /// People who put something into the cart.
    pub carters: u64,
    /// Of these, who ordered that day or the day after.
    pub carters_ordered: u64,
    /// Orders of people who had ordered before.
    pub repeat_orders: u64,
}

pub struct Ledger {
    currency: Currency,
    at: Option<LogOffset>,
    events: u64,
    /// Whom a subject turned out to be, and who turned out to be them.
    merged: FxHashMap<SubjectId, SubjectId>,
    orders: FxHashSet<u64>,
    people: People,
    days: BTreeMap<i32, Day>,
    touches: Touches,
    health: Health,
}

impl Ledger {
    pub fn new(currency: Currency) -> Self {
        Self {
            currency,
            at: None,
            events: 0,
            merged: FxHashMap::default(),
            orders: FxHashSet::default(),
            people: People::default(),
            days: BTreeMap::new(),
            touches: Touches::default(),
            health: Health::default(),
        }
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Reads what is new in the log, at most `most` events. Returns how many were read.
    pub fn catch_up(
        &mut self,
        log: &dyn EventLog,
        witnesses: &Witnesses<'_>,
        most: usize,
    ) -> Result<usize, StoreError> {
        let mut read = 0;
        while read < most {
            let events = log.read(self.at, BATCH.min(most - read))?;
            let Some((last, _)) = events.last() else { break };
            let last = *last;
            read += events.len();
            let named: FxHashSet<DecisionId> = events.iter().filter_map(|(_, event)| event.decision).collect();
            let mut named: Vec<DecisionId> = named.into_iter().collect();
            named.sort_unstable_by_key(|id| id.to_bytes());
            let engines = if named.is_empty() { FxHashMap::default() } else { (witnesses.engines)(&named) };
            events.iter().for_each(|(_, event)| self.take(event, &engines, witnesses.sells));
            self.at = Some(last);
            self.let_go();
        }
        Ok(read)
    }

    /// Forgets everything, for events are gone that it was made of: the next question reads the log anew.
    pub fn forget(&mut self) {
        *self = Self::new(self.currency);
    }

    /// How far it has read.
    pub fn at(&self) -> Option<LogOffset> {
        self.at
    }

    /// Events that were read so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    fn take(
        &mut self,
        event: &Event,
        engines: &FxHashMap<DecisionId, CompactString>,
        sells: &dyn Fn(&merx_domain::ProductId) -> bool,
    ) {
        self.events += 1;
        self.health.take(event, sells);
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
            self.merged.insert(from, event.subject);
            self.touches.merge(from, event.subject);
        }
        if event.consent.denied.contains(Purposes::ANALYTICS) || event.kind == EventKind::ExperimentViewed {
            return;
        }
        let (day, month) = (event.occurred_at.day(), month_of(event.occurred_at));
        if event.context.device != Device::Server {
            self.visit(event, day, month);
        }
        if let Some(engine) = event.decision.and_then(|id| engines.get(&id)) {
            self.touches.touch(event, engine);
        }
        match event.kind.meaning() {
            EventMeaning::Carted => self.cart(event.subject, day),
            EventMeaning::Returned => {
                let value = self.amount(event.value).unwrap_or_default();
                self.days.entry(day).or_default().refunds += value;
            }
            _ => {}
        }
        if event.kind == EventKind::OrderCompleted {
            self.order(event, day, month, engines);
        }
    }

    fn visit(&mut self, event: &Event, day: i32, month: i32) {
        let (device, market) = (event.context.device, &event.context.market);
        if self.people.visit(event.subject, day, month, device, market) {
            self.days.entry(day).or_default().visitors += 1;
        }
    }

    fn cart(&mut self, subject: SubjectId, day: i32) {
        if self.people.cart(subject, day) {
            self.days.entry(day).or_default().carters += 1;
        }
    }

    fn order(&mut self, event: &Event, day: i32, month: i32, engines: &FxHashMap<DecisionId, CompactString>) {
        if let Some(order) = &event.order
            && !self.orders.insert(hash(&[order.as_str().as_bytes()]))
        {
            return;
        }
        let amount = self.amount(event.value);
        let ordered = self.people.order(event.subject, day, month, amount);
        let revenue = amount.unwrap_or_default();
        if let Some(cart_day) = ordered.cart_day {
            self.days.entry(cart_day).or_default().carters_ordered += 1;
        }
        let figures = self.days.entry(day).or_default();
        figures.orders += 1;
        figures.revenue += revenue;
        figures.buyers += u64::from(ordered.first_today);
        figures.repeat_orders += u64::from(ordered.again);
        figures.units_sold += event.lines.iter().map(|line| line.quantity.max(0) as u64).sum::<u64>();
        let currency = self.currency;
        let amount = |money: Option<Money>| money.filter(|money| money.currency == currency).map(Money::major_f64);
        let own = event.decision.and_then(|id| engines.get(&id));
        self.touches.order(event, own, revenue, &amount, month);
    }

    fn amount(&self, money: Option<Money>) -> Option<f64> {
        money.filter(|money| money.currency == self.currency).map(Money::major_f64)
    }

    fn let_go(&mut self) {
        let newest = self.days.keys().next_back().copied().unwrap_or_default();
        self.days = self.days.split_off(&(newest - MOST_DAYS));
        self.people.let_go(MOST_MONTHS);
        self.touches.let_go();
        if self.orders.len() > MOST_ORDERS {
            self.orders.clear();
        }
    }

    // ---- What it knows ----

    /// Figures of `from..until`, added up. People are counted once a day.
    pub fn between(&self, from: i32, until: i32) -> Day {
        self.days.range(from..until.max(from)).fold(Day::default(), |sum, (_, day)| Day {
            visitors: sum.visitors + day.visitors,
            orders: sum.orders + day.orders,
            buyers: sum.buyers + day.buyers,
            revenue: sum.revenue + day.revenue,
            refunds: sum.refunds + day.refunds,
            units_sold: sum.units_sold + day.units_sold,
            carters: sum.carters + day.carters,
            carters_ordered: sum.carters_ordered + day.carters_ordered,
            repeat_orders: sum.repeat_orders + day.repeat_orders,
        })
    }

    /// By day, ascending.
    pub fn days(&self) -> &BTreeMap<i32, Day> {
        &self.days
    }

    /// What people spent in the months from `from` on, by month and person, subjects that are one person as one; ascending.
    pub fn spent(&self, from: i32) -> Vec<((i32, SubjectId), Spent)> {
        let mut sums: FxHashMap<(i32, SubjectId), Spent> = FxHashMap::default();
        for ((subject, month), spent) in self.people.months() {
            if *month >= from {
                let sum = sums.entry((*month, who(&self.merged, *subject))).or_default();
                sum.revenue += spent.revenue;
                sum.orders += spent.orders;
            }
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        sums
    }

    /// Everybody who ordered, subjects that are one person as one.
    pub fn customers(&self) -> Vec<Person> {
        let mut people: FxHashMap<SubjectId, Person> = FxHashMap::default();
        for (subject, person) in self.people.all().filter(|(_, person)| person.orders > 0) {
            let sum = people.entry(who(&self.merged, *subject)).or_default();
            sum.orders += person.orders;
            sum.revenue += person.revenue;
        }
        // In the order of people, so that sums have the same bits each time.
        let mut people: Vec<_> = people.into_iter().collect();
        people.sort_unstable_by_key(|(subject, _)| *subject);
        people.into_iter().map(|(_, person)| person).collect()
    }

    /// Everybody who came or ordered, subjects that are one person as one, with the market of their last visit; ascending by subject.
    pub fn everybody(&self) -> Vec<(SubjectId, MarketId, Person)> {
        let mut people: FxHashMap<SubjectId, Person> = FxHashMap::default();
        for (subject, person) in self.people.all() {
            let known = people.entry(who(&self.merged, *subject)).or_default();
            *known = known.and(*person);
        }
        let mut people: Vec<_> =
            people.into_iter().map(|(subject, person)| (subject, self.people.market(&person), person)).collect();
        people.sort_unstable_by_key(|(subject, ..)| *subject);
        people
    }

    /// What decisions of an engine led to, by month, with the days between the touch and the order.
    pub fn attributed(&self, engine: &str, from_month: i32) -> Attributed {
        self.touches.attributed(engine, from_month)
    }

    /// How the log was doing, by the day that events were received on.
    pub fn health(&self) -> &BTreeMap<i32, DayHealth> {
        self.health.days()
    }

    pub fn first_day(&self) -> Option<i32> {
        self.days.keys().next().copied()
    }
}

/// The month of a moment, as [`Ledger::spent`] counts them: months since the year 0.
pub fn month_number(at: TimestampMs) -> i32 {
    month_of(at)
}
