//! The shop's people in groups that are treated alike: by how far they came as customers, what they spent, where and on what they visit.
//!
//! Groups are counted, nobody is listed: of a group of a few people no figure is told.

use std::collections::BTreeMap;

use merx_domain::{Device, MarketId, SubjectId, TimestampMs};
use serde::Serialize;

use super::ledger::Person;

/// Groups of fewer people have no figures: they would tell of single ones.
pub const FEWEST_PEOPLE: u64 = 5;
/// Who came within so many days is there.
const HERE_DAYS: i32 = 30;
/// Who bought within so many days is a customer; up to twice as many, one that may be lost.
const CUSTOMER_DAYS: i32 = 90;
/// A cart that is older is given up.
const CART_DAYS: i32 = 7;

/// What a person lets the shop do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// To be counted.
    pub measured: bool,
    /// To be shown what follows from what they did.
    pub personalised: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct SegmentsPage {
    pub read_at: String,
    pub currency: String,
    /// People who are counted below, those who are several pseudonyms as one.
    pub people: u64,
    /// People who don't allow to be measured; they are in no segment.
    pub not_measured: u64,
    /// People whose last visit is too long ago to be looked at here.
    pub left_out: u64,
    /// Segments of fewer people have no figures.
    pub fewest: u64,
    pub segments: Vec<PeopleSegment>,
    pub events_behind: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeopleSegment {
    /// What people are told apart by: stage, spending, cart, device, market. Everybody is in one segment of a group at most.
    pub group: &'static str,
    pub name: String,
    pub words: &'static str,
    /// None: there are fewer than the page says, and nothing more is told.
    pub people: Option<u64>,
    pub figures: Option<SegmentFigures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SegmentFigures {
    /// Of all who are counted.
    pub share: f64,
    /// Of the segment, those who came within thirty days.
    pub here: u64,
    pub buyers: u64,
    pub orders: u64,
    /// Orders in the shop's currency: the revenue is of these.
    pub counted_orders: u64,
    pub revenue: f64,
    pub revenue_per_person: f64,
    /// None without an order in the shop's currency.
    pub revenue_per_order: Option<f64>,
    /// Of the segment, those whom models may follow.
    pub personalised: u64,
}

/// Segments of one group, in the order they are told in.
const STAGES: [(&str, &str); 7] = [
    ("newcomers", "came first within 30 days and have not bought"),
    ("prospects", "came first before that, were here within 30 days, and have not bought"),
    ("first buyers", "bought once, within 90 days"),
    ("regulars", "bought more than once, the last time within 90 days"),
    ("at risk", "bought the last time 90 to 180 days ago"),
    ("lapsed", "bought the last time more than 180 days ago"),
    ("passed by", "have not bought, and were not here within 30 days"),
];
const SPENDING: [(&str, &str); 3] = [
    ("best tenth", "the tenth of all buyers that spent most"),
    ("upper half", "the buyers after them, down to the middle"),
    ("lower half", "the other half of all buyers"),
];
const CARTS: [(&str, &str); 1] =
    [("open carts", "put something into the cart within 7 days and have not ordered since")];

#[derive(Default)]
struct Sum {
    people: u64,
    here: u64,
    buyers: u64,
    orders: u64,
    counted_orders: u64,
    revenue: f64,
    personalised: u64,
}

/// Counts people. `left_out`: those that `people` is without.
pub fn segments_page(
    people: &[(SubjectId, MarketId, Person)],
    left_out: u64,
    currency: &str,
    now: TimestampMs,
    allowed: &dyn Fn(SubjectId, &MarketId) -> Allowed,
) -> SegmentsPage {
    let today = now.day();
    let mut sums: BTreeMap<(&'static str, String), Sum> = BTreeMap::new();
    let mut not_measured = 0;
    let mut counted: Vec<(&MarketId, &Person, bool)> = Vec::with_capacity(people.len());
    for (subject, market, person) in people {
        let allowed = allowed(*subject, market);
        match allowed.measured {
            true => counted.push((market, person, allowed.personalised)),
            false => not_measured += 1,
        }
    }
    let spending = Spending::of(counted.iter().map(|(_, person, _)| *person));
    for (market, person, personalised) in &counted {
        let here = is_within(person.last_visit_day, today, HERE_DAYS);
        let cart = is_within(person.open_cart_day, today, CART_DAYS);
        let names = [
            Some(("stage", stage(person, today).to_owned())),
            spending.name(person).map(|name| ("spending", name.to_owned())),
            cart.then(|| ("cart", CARTS[0].0.to_owned())),
            Some(("device", device_name(person.device).to_owned())),
            Some(("market", market.to_string())),
        ];
        for key in names.into_iter().flatten() {
            let sum = sums.entry(key).or_default();
            sum.people += 1;
            sum.here += u64::from(here);
            sum.buyers += u64::from(person.orders > 0);
            sum.orders += u64::from(person.orders);
            sum.counted_orders += u64::from(person.counted_orders);
            sum.revenue += person.revenue;
            sum.personalised += u64::from(*personalised);
        }
    }
    let total = counted.len() as u64;
    let mut segments = Vec::new();
    for (group, names) in [("stage", &STAGES[..]), ("spending", &SPENDING), ("cart", &CARTS)] {
        let told = names.iter().map(|(name, words)| {
            let sum = sums.remove(&(group, (*name).to_owned())).unwrap_or_default();
            segment(group, (*name).to_owned(), words, sum, total)
        });
        segments.extend(told);
    }
    let rest = sums.into_iter().map(|((group, name), sum)| {
        let words = if group == "device" { "on their last visit" } else { "where their last visit was" };
        segment(group, name, words, sum, total)
    });
    segments.extend(rest);
    SegmentsPage {
        read_at: now.to_string(),
        currency: currency.to_owned(),
        people: total,
        not_measured,
        left_out,
        fewest: FEWEST_PEOPLE,
        segments,
        events_behind: 0,
    }
}

fn segment(group: &'static str, name: String, words: &'static str, sum: Sum, total: u64) -> PeopleSegment {
    let told = sum.people == 0 || sum.people >= FEWEST_PEOPLE;
    let figures = (sum.people >= FEWEST_PEOPLE).then(|| SegmentFigures {
        share: sum.people as f64 / total as f64,
        here: sum.here,
        buyers: sum.buyers,
        orders: sum.orders,
        counted_orders: sum.counted_orders,
        revenue: sum.revenue,
        revenue_per_person: sum.revenue / sum.people as f64,
        revenue_per_order: (sum.counted_orders > 0).then(|| sum.revenue / sum.counted_orders as f64),
        personalised: sum.personalised,
    });
    PeopleSegment { group, name, words, people: told.then_some(sum.people), figures }
}

fn is_within(day: Option<i32>, today: i32, days: i32) -> bool {
    day.is_some_and(|day| today - day < days)
}

fn stage(person: &Person, today: i32) -> &'static str {
    let here = is_within(person.last_visit_day, today, HERE_DAYS);
    let place = match (person.orders, here) {
        (0, _) if is_within(person.first_visit_day, today, HERE_DAYS) => 0,
        (0, true) => 1,
        (0, false) => 6,
        (1, _) if is_within(person.last_order_day, today, CUSTOMER_DAYS) => 2,
        (_, _) if is_within(person.last_order_day, today, CUSTOMER_DAYS) => 3,
        (_, _) if is_within(person.last_order_day, today, 2 * CUSTOMER_DAYS) => 4,
        (_, _) => 5,
    };
    STAGES[place].0
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Desktop => "desktop",
        Device::Phone => "phone",
        Device::Tablet => "tablet",
        Device::Unknown | Device::Server => "unknown",
    }
}

/// What the best tenth and the upper half of buyers spent at the least. Who paid in another currency than the shop's is in neither half: what
/// they spent is not known here.
struct Spending {
    tenth: f64,
    half: f64,
}

impl Spending {
    fn of<'p>(people: impl Iterator<Item = &'p Person>) -> Self {
        let mut spent: Vec<f64> =
            people.filter(|person| person.counted_orders > 0).map(|person| person.revenue).collect();
        spent.sort_unstable_by(|a, b| b.total_cmp(a));
        // The last one inside; who spent the same is inside too.
        let least = |count: usize| spent.get(count.saturating_sub(1)).copied().unwrap_or(f64::INFINITY);
        Self { tenth: least(spent.len() / 10), half: least(spent.len() / 2) }
    }

    fn name(&self, person: &Person) -> Option<&'static str> {
        let place = match person.revenue {
            _ if person.counted_orders == 0 => return None,
            revenue if revenue >= self.tenth => 0,
            revenue if revenue >= self.half => 1,
            _ => 2,
        };
        Some(SPENDING[place].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(1_795_228_774_000);

    fn person(orders: u32, revenue: f64, first: i32, last: i32, ordered: Option<i32>) -> Person {
        let day = |ago: i32| NOW.day() - ago;
        Person {
            orders,
            revenue,
            counted_orders: orders,
            first_visit_day: Some(day(first)),
            last_visit_day: Some(day(last)),
            last_order_day: ordered.map(day),
            device: Device::Phone,
            ..Person::default()
        }
    }

    #[test]
    fn everybody_is_in_one_stage() {
        let at = |person: Person| stage(&person, NOW.day());
        assert_eq!(at(person(0, 0.0, 3, 0, None)), "newcomers");
        assert_eq!(at(person(0, 0.0, 60, 2, None)), "prospects");
        assert_eq!(at(person(0, 0.0, 60, 40, None)), "passed by");
        assert_eq!(at(person(1, 9.0, 5, 5, Some(5))), "first buyers");
        assert_eq!(at(person(2, 9.0, 200, 5, Some(89))), "regulars");
        assert_eq!(at(person(2, 9.0, 200, 5, Some(90))), "at risk");
        assert_eq!(at(person(1, 9.0, 400, 5, Some(180))), "lapsed");
    }

    #[test]
    fn who_refuses_is_in_no_segment_and_a_few_people_have_no_figures() {
        let mut people: Vec<(SubjectId, MarketId, Person)> = (0..20)
            .map(|number| {
                (SubjectId(number), MarketId::default(), person(1, f64::from(number as u32 + 1), 9, 1, Some(9)))
            })
            .collect();
        people.push((SubjectId(20), MarketId::new("ch").unwrap(), person(0, 0.0, 60, 2, None)));
        people.push((SubjectId(21), MarketId::default(), person(3, 1_000.0, 60, 2, Some(2))));
        let allowed = |subject: SubjectId, _: &MarketId| Allowed {
            measured: subject.0 != 21,
            personalised: subject.0.is_multiple_of(2),
        };
        let page = segments_page(&people, 7, "EUR", NOW, &allowed);
        assert_eq!((page.people, page.not_measured, page.left_out), (21, 1, 7));
        let of = |name: &str| page.segments.iter().find(|segment| segment.name == name).unwrap();
        let buyers = of("first buyers").figures.unwrap();
        assert_eq!(
            (of("first buyers").people, buyers.orders, buyers.personalised, buyers.revenue),
            (Some(20), 20, 10, 210.0)
        );
        assert_eq!(buyers.revenue_per_order, Some(10.5));
        assert_eq!((of("prospects").people, of("prospects").figures), (None, None), "one person");
        assert_eq!((of("ch").people, of("ch").figures), (None, None));
        assert_eq!(of("regulars").people, Some(0), "who refuses is not counted");
        people.iter_mut().for_each(|(_, _, person)| person.counted_orders = 0);
        let elsewhere = segments_page(&people, 0, "EUR", NOW, &allowed);
        let spending = elsewhere.segments.iter().filter(|segment| segment.group == "spending");
        assert!(spending.clone().all(|segment| segment.people == Some(0)), "what they spent is not known");
        assert_eq!(of("lower half").people, Some(10));
        assert_eq!(of("upper half").people, Some(8));
        let stages = page.segments.iter().filter(|segment| segment.group == "stage");
        assert_eq!(stages.map(|segment| segment.people.unwrap_or(1)).sum::<u64>(), 21);
    }
}
