//! Who came when, and what they spent.

use merx_domain::{Device, MarketId, SubjectId};
use rustc_hash::FxHashMap;

/// What a subject did in all that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Person {
    pub orders: u32,
    pub revenue: f64,
    /// Orders in the shop's currency: those that `revenue` is of.
    pub counted_orders: u32,
    pub first_visit_day: Option<i32>,
    pub last_visit_day: Option<i32>,
    pub last_order_day: Option<i32>,
    /// The last day with a cart, until it is ordered.
    pub open_cart_day: Option<i32>,
    pub(crate) last_cart_day: Option<i32>,
    /// Of the last visit.
    pub device: Device,
    pub(crate) market: u16,
}

impl Person {
    /// Together with what the same person did under another pseudonym.
    pub(super) fn and(self, other: Self) -> Self {
        let newer = if other.last_visit_day > self.last_visit_day { other } else { self };
        let first = [self.first_visit_day, other.first_visit_day].into_iter().flatten().min();
        Self {
            orders: self.orders + other.orders,
            revenue: self.revenue + other.revenue,
            counted_orders: self.counted_orders + other.counted_orders,
            first_visit_day: first,
            last_visit_day: newer.last_visit_day,
            last_order_day: self.last_order_day.max(other.last_order_day),
            open_cart_day: self.open_cart_day.max(other.open_cart_day),
            last_cart_day: self.last_cart_day.max(other.last_cart_day),
            device: newer.device,
            market: newer.market,
        }
    }
}

/// Markets that are told apart; a shop has some dozens.
const MOST_MARKETS: usize = 1_000;

/// What a subject spent in a month that they came in.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    pub revenue: f64,
    pub orders: u32,
}

/// What an order was to its person.
pub(super) struct Ordered {
    /// The first one that day.
    pub(super) first_today: bool,
    /// They had ordered before.
    pub(super) again: bool,
    /// The day of the cart that it empties: that day or the day before.
    pub(super) cart_day: Option<i32>,
}

#[derive(Default)]
pub(super) struct People {
    all: FxHashMap<SubjectId, Person>,
    months: FxHashMap<(SubjectId, i32), Spent>,
    markets: Vec<MarketId>,
    newest_month: i32,
    swept_month: i32,
}

impl People {
    /// Whether it is their first visit on a day. A day that is told after a later one counts as new: rare enough.
    pub(super) fn visit(
        &mut self,
        subject: SubjectId,
        day: i32,
        month: i32,
        device: Device,
        market: &MarketId,
    ) -> bool {
        self.newest_month = self.newest_month.max(month);
        let market = self.market_number(market);
        let person = self.all.entry(subject).or_default();
        let is_new = person.last_visit_day != Some(day);
        if person.last_visit_day.is_none_or(|last| last <= day) {
            person.market = market;
            // What a shop's page forgot to say takes nothing away.
            person.device = if device == Device::Unknown { person.device } else { device };
        }
        person.first_visit_day = Some(person.first_visit_day.map_or(day, |first| first.min(day)));
        person.last_visit_day = Some(day);
        if is_new {
            self.months.entry((subject, month)).or_default();
        }
        is_new
    }

    fn market_number(&mut self, market: &MarketId) -> u16 {
        let known = self.markets.iter().position(|known| known == market);
        let place = known.unwrap_or_else(|| {
            if self.markets.len() < MOST_MARKETS {
                self.markets.push(market.clone());
            }
            self.markets.len() - 1
        });
        place as u16
    }

    /// Of a person's last visit.
    pub(super) fn market(&self, person: &Person) -> MarketId {
        self.markets.get(usize::from(person.market)).cloned().unwrap_or_default()
    }

    /// Whether it is the first thing they put into the cart on a day.
    pub(super) fn cart(&mut self, subject: SubjectId, day: i32) -> bool {
        let person = self.all.entry(subject).or_default();
        let is_new = person.last_cart_day != Some(day);
        if is_new {
            (person.last_cart_day, person.open_cart_day) = (Some(day), Some(day));
        }
        is_new
    }

    /// `revenue`: in the shop's currency, if it was.
    pub(super) fn order(&mut self, subject: SubjectId, day: i32, month: i32, revenue: Option<f64>) -> Ordered {
        let counted = u32::from(revenue.is_some());
        let revenue = revenue.unwrap_or_default();
        self.newest_month = self.newest_month.max(month);
        let person = self.all.entry(subject).or_default();
        let ordered = Ordered {
            first_today: person.last_order_day != Some(day),
            again: person.orders > 0,
            cart_day: person.open_cart_day.take().filter(|cart| (0..=1).contains(&(day - cart))),
        };
        person.orders += 1;
        person.revenue += revenue;
        person.counted_orders += counted;
        person.last_order_day = Some(day);
        let spent = self.months.entry((subject, month)).or_default();
        spent.revenue += revenue;
        spent.orders += 1;
        ordered
    }

    pub(super) fn months(&self) -> impl Iterator<Item = (&(SubjectId, i32), &Spent)> {
        self.months.iter()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&SubjectId, &Person)> {
        self.all.iter()
    }

    /// Once a month: months that are too old leave, and who bought nothing in those that stay.
    pub(super) fn let_go(&mut self, kept: i32) {
        if self.swept_month == self.newest_month {
            return;
        }
        self.swept_month = self.newest_month;
        let oldest = self.newest_month - kept;
        self.months.retain(|(_, month), _| *month > oldest);
    }
}
