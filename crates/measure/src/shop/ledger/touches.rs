//! Orders led back to decisions.
//!
//! An order belongs to a decision where it says so, or where one of its products was opened or put into the cart with the decision's id
//! before, by the same person; the last such touch counts. How long before is kept, so that any window can be asked for.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{DAY_MS, DecisionId, Event, EventMeaning, Money, SubjectId, TimestampMs};
use rustc_hash::{FxHashMap, FxHashSet};

use super::hash;

/// Orders are led back over at most so many days.
pub const LAGS: usize = 30;
/// Touches that wait for an order; beyond them the oldest half goes.
const MOST_TOUCHES: usize = 1_000_000;
/// Decisions that are remembered as clicked.
const MOST_CLICKED: usize = 1_000_000;
/// Pseudonyms of one person that are looked under.
const MOST_ALIASES: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Touch {
    engine: u16,
    at: TimestampMs,
}

/// What an engine's decisions led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributed {
    /// Decisions with a click at least.
    pub clicked: u64,
    /// Orders by whole days since the touch.
    pub orders: [u64; LAGS],
    /// Revenue of the products touched, by whole days since the touch.
    pub revenue: [f64; LAGS],
}

impl Attributed {
    fn add(&mut self, other: &Self) {
        self.clicked += other.clicked;
        self.orders.iter_mut().zip(other.orders).for_each(|(sum, part)| *sum += part);
        self.revenue.iter_mut().zip(other.revenue).for_each(|(sum, part)| *sum += part);
    }

    /// Orders and revenue within so many days of the touch.
    pub fn within(&self, days: usize) -> (u64, f64) {
        let days = days.clamp(1, LAGS);
        (self.orders[..days].iter().sum(), self.revenue[..days].iter().sum())
    }
}

#[derive(Default)]
pub(super) struct Touches {
    engines: Vec<CompactString>,
    waiting: FxHashMap<(SubjectId, u64), Touch>,
    /// Who turned out to be a person.
    aliases: FxHashMap<SubjectId, Vec<SubjectId>>,
    clicked: FxHashSet<DecisionId>,
    sums: BTreeMap<(u16, i32), Attributed>,
    newest: TimestampMs,
}

impl Touches {
    fn engine(&mut self, name: &CompactString) -> u16 {
        let place = self.engines.iter().position(|known| known == name).unwrap_or_else(|| {
            self.engines.push(name.clone());
            self.engines.len() - 1
        });
        place as u16
    }

    pub(super) fn merge(&mut self, from: SubjectId, to: SubjectId) {
        let aliases = self.aliases.entry(to).or_default();
        if aliases.len() < MOST_ALIASES && !aliases.contains(&from) {
            aliases.push(from);
        }
    }

    pub(super) fn touch(&mut self, event: &Event, engine: &CompactString) {
        if !matches!(event.kind.meaning(), EventMeaning::Viewed | EventMeaning::Carted) {
            return;
        }
        let engine = self.engine(engine);
        self.newest = self.newest.max(event.occurred_at);
        for line in &event.lines {
            let key = (event.subject, hash(&[line.product.as_str().as_bytes()]));
            self.waiting.insert(key, Touch { engine, at: event.occurred_at });
        }
        if event.decision.is_some_and(|id| self.clicked.insert(id)) {
            let month = super::month_of(event.occurred_at);
            self.sums.entry((engine, month)).or_default().clicked += 1;
        }
    }

    /// The last touch of a product by a person, under whichever pseudonym.
    fn last(&self, subject: SubjectId, product: u64, at: TimestampMs) -> Option<Touch> {
        let aliases = self.aliases.get(&subject).map_or(&[][..], Vec::as_slice);
        let subjects = std::iter::once(&subject).chain(aliases);
        let touches = subjects.filter_map(|subject| self.waiting.get(&(*subject, product)));
        touches.filter(|touch| touch.at <= at).max_by_key(|touch| touch.at).copied()
    }

    /// `own`: the engine of the decision that the order itself names; all of the order is its.
    pub(super) fn order(
        &mut self,
        event: &Event,
        own: Option<&CompactString>,
        revenue: f64,
        amount: &dyn Fn(Option<Money>) -> Option<f64>,
        month: i32,
    ) {
        if let Some(engine) = own {
            let engine = self.engine(engine);
            let sum = self.sums.entry((engine, month)).or_default();
            sum.orders[0] += 1;
            sum.revenue[0] += revenue;
            return;
        }
        // By engine: the shortest lag of the order's lines, for the order counts once.
        let mut shortest: BTreeMap<u16, usize> = BTreeMap::new();
        for line in &event.lines {
            let product = hash(&[line.product.as_str().as_bytes()]);
            let Some(touch) = self.last(event.subject, product, event.occurred_at) else { continue };
            let lag = (event.occurred_at.since(touch.at) / DAY_MS) as usize;
            if lag >= LAGS {
                continue;
            }
            let priced = amount(line.unit_price).map(|price| price * f64::from(line.quantity.max(0)));
            // A line without a price is worth the order where it is the only one.
            let worth = priced.or((event.lines.len() == 1).then_some(revenue)).unwrap_or_default();
            self.sums.entry((touch.engine, month)).or_default().revenue[lag] += worth;
            let known = shortest.entry(touch.engine).or_insert(lag);
            *known = (*known).min(lag);
        }
        for (engine, lag) in shortest {
            self.sums.entry((engine, month)).or_default().orders[lag] += 1;
        }
    }

    pub(super) fn attributed(&self, engine: &str, from_month: i32) -> Attributed {
        let mut sum = Attributed::default();
        let Some(place) = self.engines.iter().position(|known| known == engine) else { return sum };
        let place = place as u16;
        let months = self.sums.range((place, from_month)..=(place, i32::MAX));
        months.for_each(|(_, part)| sum.add(part));
        sum
    }

    pub(super) fn let_go(&mut self) {
        if self.waiting.len() > MOST_TOUCHES {
            let oldest = self.newest.plus_ms(-(LAGS as i64) * DAY_MS);
            self.waiting.retain(|_, touch| touch.at > oldest);
        }
        if self.waiting.len() > MOST_TOUCHES {
            let mut times: Vec<i64> = self.waiting.values().map(|touch| touch.at.0).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            self.waiting.retain(|_, touch| touch.at.0 > median);
        }
        if self.clicked.len() > MOST_CLICKED {
            self.clicked.clear();
        }
    }
}
