//! Who came when, and what they spent.

use merx_domain::SubjectId;
use rustc_hash::FxHashMap;

/// What a subject did in all that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Person {
    pub orders: u32,
    pub revenue: f64,
    last_visit_day: Option<i32>,
    last_order_day: Option<i32>,
    /// The last day with a cart, until it is ordered.
    open_cart_day: Option<i32>,
    last_cart_day: Option<i32>,
}

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
    newest_month: i32,
    swept_month: i32,
}

impl People {
    /// Whether it is their first visit on a day. A day that is told after a later one counts as new: rare enough.
    pub(super) fn visit(&mut self, subject: SubjectId, day: i32, month: i32) -> bool {
        self.newest_month = self.newest_month.max(month);
        let person = self.all.entry(subject).or_default();
        let is_new = person.last_visit_day != Some(day);
        person.last_visit_day = Some(day);
        if is_new {
            self.months.entry((subject, month)).or_default();
        }
        is_new
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

    pub(super) fn order(&mut self, subject: SubjectId, day: i32, month: i32, revenue: f64) -> Ordered {
        self.newest_month = self.newest_month.max(month);
        let person = self.all.entry(subject).or_default();
        let ordered = Ordered {
            first_today: person.last_order_day != Some(day),
            again: person.orders > 0,
            cart_day: person.open_cart_day.take().filter(|cart| (0..=1).contains(&(day - cart))),
        };
        person.orders += 1;
        person.revenue += revenue;
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
