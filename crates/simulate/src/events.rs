//! The year, day by day: who comes, what they do, what they send back. Memory holds one day of events, the refunds to
//! come, and what people own.

use std::collections::{BTreeMap, HashMap};
use std::vec;

use compact_str::format_compact;
use merx_domain::{DAY_MS, Device, Event, EventId, EventKind, HOUR_MS, OrderId, ProductNumber, TimestampMs};
use merx_numeric::rng::Rng;

use crate::Shop;
use crate::catalogue::text_id;
use crate::day::Day;
use crate::draw::{Draw, mix, unit};
use crate::season::{gift_share, traffic};
use crate::session::{Outcome, Visit, order_value};
use crate::shopper::{Shopper, joins_on_day, shopper_key, staple_count, staple_due, visits_per_day};

/// Products a shopper is remembered to own: the newest.
const OWNED: usize = 64;

/// What must be known of everyone on every day.
struct Regular {
    key: u64,
    visits_per_day: f32,
    staples: u8,
    joins_on_day: Option<i32>,
}

/// Events in the order of time. The same shop gives the same events.
pub struct Events<'a> {
    shop: &'a Shop,
    regulars: Vec<Regular>,
    owned: HashMap<u32, Vec<ProductNumber>>,
    refunds: BTreeMap<i32, Vec<Event>>,
    next_day: i32,
    ready: vec::IntoIter<Event>,
    /// Of visits that last past midnight.
    tomorrow: Vec<Event>,
    emitted: u64,
    orders: u64,
}

impl<'a> Events<'a> {
    pub(crate) fn new(shop: &'a Shop) -> Self {
        let config = &shop.config;
        let regular = |index| {
            let key = shopper_key(config, index);
            Regular {
                key,
                visits_per_day: visits_per_day(config, key),
                staples: staple_count(key) as u8,
                joins_on_day: joins_on_day(config, key),
            }
        };
        Self {
            shop,
            regulars: (0..config.shoppers).map(regular).collect(),
            owned: HashMap::new(),
            refunds: BTreeMap::new(),
            next_day: 0,
            ready: Vec::new().into_iter(),
            tomorrow: Vec::new(),
            emitted: 0,
            orders: 0,
        }
    }

    /// Plays a day and makes its events ready, those of last night included.
    fn play(&mut self, number: i32) {
        let day = Day::new(self.shop, number);
        let busy = traffic(day.begins_at);
        let mut events = std::mem::take(&mut self.tomorrow);
        events.extend(self.refunds.remove(&number).unwrap_or_default());
        for index in 0..self.regulars.len() as u32 {
            let regular = &self.regulars[index as usize];
            let comes = unit(mix(&[regular.key, 0xda7, number as u64])) < 1.0 - (-regular.visits_per_day * busy).exp();
            let config = &self.shop.config;
            let due = (0..u32::from(regular.staples)).filter(|place| staple_due(config, regular.key, *place, number));
            let due: Vec<u32> = due.collect();
            let joins = regular.joins_on_day == Some(number);
            if comes || joins || !due.is_empty() {
                self.visit(&day, index, &due, joins, &mut events);
            }
        }
        // Stable, and moves each event once.
        events.sort_by_cached_key(|event| event.occurred_at);
        let midnight = day.begins_at.plus_ms(DAY_MS);
        self.tomorrow = events.split_off(events.partition_point(|event| event.occurred_at < midnight));
        self.ready = events.into_iter();
    }

    fn visit(&mut self, day: &Day, index: u32, due: &[u32], joins: bool, events: &mut Vec<Event>) {
        let shop = self.shop;
        let shopper = Shopper::draw(&shop.config, index);
        let mut rng = Rng::from_seed(mix(&[self.regulars[index as usize].key, 0x5e55, day.number as u64]));
        let known = shopper.joins_on_day.is_none_or(|joins| joins <= day.number);
        let subject = if known { shop.subject_id(index) } else { shop.anonymous_id(index) };
        let staples = due.iter().filter_map(|place| shopper.staple(&shop.config, &shop.catalogue, *place));
        let staples: Vec<ProductNumber> = staples.map(|staple| staple.product).collect();
        let gift = staples.is_empty() && rng.happens(gift_share(day.begins_at));
        let recipient = gift.then(|| shopper.recipient(&mut rng));
        let owned: &[ProductNumber] = if gift { &[] } else { self.owned.get(&index).map_or(&[], Vec::as_slice) };
        let order = text_id(OrderId::new(format_compact!("{}", 100_001 + self.orders)));

        let tastes = recipient.as_ref().unwrap_or(&shopper);
        let mut visit = Visit::new(shop, day, tastes, subject, owned, rng);
        if joins {
            visit.sign_in(shop.anonymous_id(index));
        }
        let outcome = if staples.is_empty() { visit.shop_around(order) } else { visit.restock(&staples, order) };
        self.remember(day, index, outcome, events);
    }

    fn remember(&mut self, day: &Day, index: u32, outcome: Outcome, events: &mut Vec<Event>) {
        if let Some(purchase) = outcome.events.last().filter(|event| event.kind == EventKind::OrderCompleted) {
            self.orders += 1;
            self.plan_refund(day, purchase, &outcome.bought);
        }
        if !outcome.bought.is_empty() {
            let owned = self.owned.entry(index).or_default();
            owned.extend(&outcome.bought);
            owned.drain(..owned.len().saturating_sub(OWNED));
        }
        events.extend(outcome.events);
    }

    /// Some of what was bought comes back within three weeks.
    fn plan_refund(&mut self, day: &Day, purchase: &Event, bought: &[ProductNumber]) {
        let mut rng = Rng::from_seed(mix(&[self.shop.config.seed, 0x4ef, self.orders]));
        let comes_back = |product: &ProductNumber, rng: &mut Rng| {
            self.shop.catalogue.item(*product).is_some_and(|item| rng.happens(item.kind().return_rate))
        };
        let lines: Vec<_> = purchase
            .lines
            .iter()
            .zip(bought)
            .filter(|(_, product)| comes_back(product, &mut rng))
            .map(|(line, _)| line.clone())
            .collect();
        if lines.is_empty() {
            return;
        }
        let back_on = day.number + 4 + rng.below(16) as i32;
        let moment = (rng.share() * 8.0 * HOUR_MS as f32) as i64 + DAY_MS / 3;
        let at = self.shop.config.start.plus_ms(i64::from(back_on) * DAY_MS + moment);
        let mut event = Event::new(EventId(0), purchase.subject, EventKind::OrderRefunded, at);
        event.consent = purchase.consent;
        event.context.market = purchase.context.market.clone();
        event.context.device = Device::Server;
        event.order = purchase.order.clone();
        event.value = order_value(&lines);
        event.lines = lines;
        self.refunds.entry(back_on).or_default().push(event);
    }

    /// Unique and without pattern: a bijection of the event's number.
    fn next_id(&mut self) -> EventId {
        let seed = self.shop.config.seed;
        self.emitted += 1;
        EventId(u128::from(mix(&[seed, 0xe7e])) << 64 | u128::from(mix(&[self.emitted])))
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(mut event) = self.ready.next() {
                event.id = self.next_id();
                return Some(event);
            }
            if self.next_day < self.shop.config.days as i32 {
                self.play(self.next_day);
                self.next_day += 1;
            } else if self.tomorrow.is_empty() {
                return None;
            } else {
                self.ready = std::mem::take(&mut self.tomorrow).into_iter();
            }
        }
    }
}

/// When the last possible event of a run lies behind: a visit begun before midnight may last into the next day.
pub(crate) fn end(start: TimestampMs, days: u32) -> TimestampMs {
    start.plus_ms(i64::from(days) * DAY_MS)
}
