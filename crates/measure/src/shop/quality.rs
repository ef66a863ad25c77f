//! Whether what senders tell can be trusted: yesterday's events beside those of the weeks before.

use std::collections::BTreeMap;

use merx_domain::EventKind;
use serde::Serialize;

use super::ledger::DayHealth;

/// Weeks that are looked back on.
const WEEKS: i32 = 4;
/// A day with less than half or more than twice the usual is told, unless chance does as much.
const FACTOR: f64 = 2.0;
/// Standard deviations of a count that chance is given.
const CHANCE: f64 = 6.0;
/// Kinds whose volume is looked at one by one.
const KINDS: [EventKind; 4] =
    [EventKind::ProductViewed, EventKind::ProductAdded, EventKind::OrderCompleted, EventKind::ProductListViewed];
/// A share counts as higher than usual from so many times on.
const WORSE: f64 = 1.5;
const Z: f64 = 3.0;

#[derive(Debug, Clone, Serialize)]
pub struct QualityPage {
    /// The last whole day (UTC), by receipt.
    pub day: String,
    pub checks: Vec<QualityCheck>,
    pub events_behind: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityCheck {
    /// volume, volume.Order Completed, orders_without_value ..
    pub name: String,
    pub words: String,
    /// ok, trouble, too_little.
    pub state: &'static str,
    /// Events, or the share of `of`.
    pub value: f64,
    /// The median of the same weekday (volume) or of the days (shares) of the four weeks before.
    pub usual: Option<f64>,
    pub count: u64,
    pub of: u64,
}

type Share = (&'static str, &'static str, f64, fn(&DayHealth) -> (u64, u64));

/// Name, words, the share that is tolerated in any case, and how it is counted.
const SHARES: [Share; 9] = [
    ("orders_without_value", "orders without a value", 0.02, |day| {
        (day.orders_without_value, day.kinds.get(&EventKind::OrderCompleted.code()).copied().unwrap_or_default())
    }),
    ("without_products", "events about products that name none", 0.02, |day| (day.without_products, day.events)),
    ("unknown_products", "products that the catalogue doesn't have", 0.05, |day| (day.unknown_products, day.lines)),
    ("custom", "events of kinds of the shop's own making", 0.5, |day| (day.custom, day.events)),
    ("without_device", "events that name no device", 0.5, |day| (day.without_device, day.events)),
    ("late", "events received more than an hour after they happened", 0.05, |day| (day.late, day.events)),
    ("from_the_future", "events from clocks that go ahead", 0.01, |day| (day.from_the_future, day.events)),
    ("repeated", "events told twice under different ids", 0.02, |day| (day.repeated, day.events)),
    ("automatic", "events of whoever did more than a person can", 0.1, |day| (day.automatic, day.events)),
];

/// The page about a day, by the health of the days up to it.
pub fn quality_page(days: &BTreeMap<i32, DayHealth>, day: i32) -> QualityPage {
    let nothing = DayHealth::default();
    let of = days.get(&day).unwrap_or(&nothing);
    let mut checks = vec![volume(days, day, "volume", "events", &|day| day.events)];
    for kind in KINDS {
        let count = move |day: &DayHealth| day.kinds.get(&kind.code()).copied().unwrap_or_default();
        checks.push(volume(days, day, &format!("volume.{}", kind.name()), kind.name(), &count));
    }
    let shares = SHARES.iter().map(|(name, words, tolerated, count)| {
        let (part, whole) = count(of);
        let before = days.range(day - 7 * WEEKS..day).map(|(_, day)| count(day)).filter(|(_, whole)| *whole > 0);
        let usual = median(before.map(|(part, whole)| part as f64 / whole as f64).collect());
        let bound = tolerated.max(WORSE * usual.unwrap_or_default());
        QualityCheck {
            name: (*name).to_owned(),
            words: (*words).to_owned(),
            state: match whole {
                0..20 => "too_little",
                _ if wilson_low(part, whole) > bound => "trouble",
                _ => "ok",
            },
            value: if whole == 0 { 0.0 } else { part as f64 / whole as f64 },
            usual,
            count: part,
            of: whole,
        }
    });
    checks.extend(shares);
    let day = merx_domain::TimestampMs(i64::from(day) * merx_domain::DAY_MS).to_string();
    QualityPage { day: day.chars().take(10).collect(), checks, events_behind: 0 }
}

fn volume(
    days: &BTreeMap<i32, DayHealth>,
    day: i32,
    name: &str,
    words: &str,
    count: &dyn Fn(&DayHealth) -> u64,
) -> QualityCheck {
    let at = |day: i32| days.get(&day).map(count);
    let before: Vec<f64> = (1..=WEEKS).filter_map(|week| at(day - 7 * week)).map(|count| count as f64).collect();
    let enough = before.len() >= 2;
    let usual = median(before).filter(|_| enough);
    let value = at(day).unwrap_or_default() as f64;
    let state = match usual {
        None => "too_little",
        Some(usual) => {
            let by_chance = CHANCE * usual.max(1.0).sqrt();
            let far = value * FACTOR < usual || value > usual * FACTOR;
            if far && (value - usual).abs() > by_chance { "trouble" } else { "ok" }
        }
    };
    let count = value as u64;
    QualityCheck { name: name.to_owned(), words: words.to_owned(), state, value, usual, count, of: count }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some(0.5 * (values[middle] + values[values.len() / 2]))
}

/// The lower end of Wilson's interval of a share, 1927.
fn wilson_low(part: u64, whole: u64) -> f64 {
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half) / (1.0 + Z * Z / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal_day() -> DayHealth {
        let kinds = [(EventKind::ProductViewed, 900), (EventKind::OrderCompleted, 50), (EventKind::ProductAdded, 50)];
        DayHealth {
            events: 1_000,
            kinds: kinds.map(|(kind, count)| (kind.code(), count)).into(),
            lines: 1_000,
            late: 10,
            ..DayHealth::default()
        }
    }

    fn troubles(last: DayHealth) -> Vec<String> {
        let mut days: BTreeMap<i32, DayHealth> = (0..30).map(|day| (day, normal_day())).collect();
        days.insert(30, last);
        let page = quality_page(&days, 30);
        page.checks.into_iter().filter(|check| check.state == "trouble").map(|check| check.name).collect()
    }

    #[test]
    fn what_is_as_always_is_no_trouble() {
        assert_eq!(troubles(normal_day()), [""; 0]);
        let somewhat = DayHealth { events: 1_300, late: 40, ..normal_day() };
        assert_eq!(troubles(somewhat), [""; 0]);
    }

    #[test]
    fn each_trouble_is_told_by_its_name() {
        let mut without_orders = normal_day();
        without_orders.kinds.remove(&EventKind::OrderCompleted.code());
        assert_eq!(troubles(without_orders), ["volume.Order Completed"]);
        assert_eq!(troubles(DayHealth { events: 300, ..normal_day() }), ["volume"]);
        assert_eq!(troubles(DayHealth { orders_without_value: 20, ..normal_day() }), ["orders_without_value"]);
        assert_eq!(troubles(DayHealth { unknown_products: 200, ..normal_day() }), ["unknown_products"]);
        assert_eq!(troubles(DayHealth { late: 200, ..normal_day() }), ["late"]);
        assert_eq!(troubles(DayHealth { repeated: 90, ..normal_day() }), ["repeated"]);
        assert_eq!(troubles(DayHealth { automatic: 400, ..normal_day() }), ["automatic"]);
    }

    #[test]
    fn a_new_shop_is_told_nothing() {
        let page = quality_page(&BTreeMap::from([(30, DayHealth { events: 15, ..DayHealth::default() })]), 30);
        assert!(page.checks.iter().all(|check| check.state == "too_little"));
    }
}
