//! The shop's figures as one tree: what counts, and what moves it.

use merx_domain::TimestampMs;
use serde::Serialize;

use super::ledger::{Day, Ledger, month_number};

/// What the log alone doesn't tell, for the days asked for and as many before. `None`: nobody counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beside {
    /// Recommendations answered.
    pub recommendations: Option<[u64; 2]>,
    /// Searches, and those with a click.
    pub searches: Option<[(u64, u64); 2]>,
    /// Units in stock now.
    pub units_in_stock: Option<u64>,
    /// Products on sale, and those that are out of stock now.
    pub products: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub struct KpiQuestion {
    pub now: TimestampMs,
    /// Whole days, the last one being yesterday; today is not over.
    pub days: i32,
    pub beside: Beside,
}

#[derive(Debug, Clone, Serialize)]
pub struct KpiPage {
    pub read_at: String,
    pub currency: String,
    pub days: i32,
    /// Parents first.
    pub kpis: Vec<Kpi>,
    pub events_behind: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kpi {
    pub name: &'static str,
    pub words: &'static str,
    /// money, share, count, per_year.
    pub unit: &'static str,
    /// lagging: tells what has become; leading: tells what is becoming.
    pub kind: &'static str,
    /// What it moves.
    pub parent: Option<&'static str>,
    pub higher_is_better: bool,
    /// Whether there is a figure, now or ever.
    pub measured: bool,
    /// Where there is none.
    pub why_not: Option<&'static str>,
    pub value: Option<f64>,
    /// The same of as many days before.
    pub before: Option<f64>,
    /// Relative: .05 is 5 % more.
    pub change: Option<f64>,
}

/// Now and before.
type Pair = [Option<f64>; 2];

const NO_ASSISTANT: &str = "no assistant answers shoppers yet";

/// All figures of the tree; those that nobody measures are listed and say why.
pub fn kpi_page(ledger: &Ledger, question: &KpiQuestion) -> KpiPage {
    let today = question.now.day();
    let days = question.days.max(1);
    let periods = [ledger.between(today - days, today), ledger.between(today - 2 * days, today - days)];
    let of = |figure: &dyn Fn(&Day) -> Option<f64>| -> Pair { [figure(&periods[0]), figure(&periods[1])] };
    let beside = &question.beside;
    let months = Months::read(ledger, question.now);
    let customers = ledger.customers();
    let bought: f64 = customers.iter().map(|person| person.revenue).sum();
    let again = customers.iter().filter(|person| person.orders > 1).count();
    let recommendations = beside.recommendations.map(|counts| {
        let clicked = ledger.attributed("recommend", month_number(question.now)).clicked;
        (counts, clicked)
    });
    let only_now = |value: Option<f64>| -> Pair { [value, None] };

    let mut tree = Tree::default();
    tree.add(("revenue", "revenue", "money"), "lagging", None, true, of(&|day| Some(day.revenue)));
    let root = Some("revenue");
    tree.add(
        ("revenue_per_visit", "revenue of a visitor and day", "money"),
        "lagging",
        root,
        true,
        of(&|day| ratio(day.revenue, day.visitors)),
    );
    let visit = Some("revenue_per_visit");
    tree.add(
        ("conversion", "visitors of a day who order", "share"),
        "lagging",
        visit,
        true,
        of(&|day| ratio(day.buyers as f64, day.visitors)),
    );
    tree.add(
        ("average_order_value", "revenue of an order", "money"),
        "lagging",
        visit,
        true,
        of(&|day| ratio(day.revenue, day.orders)),
    );
    let conversion = Some("conversion");
    tree.add(
        ("cart_abandonment", "carts that aren't ordered by the day after", "share"),
        "leading",
        conversion,
        false,
        of(&|day| ratio(day.carters as f64 - day.carters_ordered as f64, day.carters)),
    );
    tree.add(
        ("recommendation_click_rate", "recommendations of this month that are clicked", "share"),
        "leading",
        conversion,
        true,
        only_now(recommendations.and_then(|(counts, clicked)| ratio(clicked as f64, counts[0]))),
    );
    let success = |place: usize| beside.searches.and_then(|pair| ratio(pair[place].1 as f64, pair[place].0));
    tree.add(
        ("search_success", "searches with a click", "share"),
        "leading",
        conversion,
        true,
        [success(0), success(1)],
    );
    tree.none(
        ("intent_false_positives", "offers to people who would have bought anyway", "share"),
        "leading",
        conversion,
        false,
        "no engine forecasts intent yet",
    );
    tree.add(
        ("customer_value", "revenue of a customer so far; not a forecast", "money"),
        "lagging",
        root,
        true,
        only_now(ratio(bought, customers.len() as u64)),
    );
    let customer = Some("customer_value");
    tree.add(
        ("repeat_rate", "customers who ordered more than once", "share"),
        "lagging",
        customer,
        true,
        only_now(ratio(again as f64, customers.len() as u64)),
    );
    tree.add(
        ("retention", "visitors of the month before last who came back last month", "share"),
        "leading",
        customer,
        true,
        months.retention,
    );
    tree.add(
        ("churn", "customers of the month before last who stayed away last month", "share"),
        "leading",
        customer,
        false,
        months.churn,
    );
    tree.add(
        ("return_rate", "share of revenue that is refunded", "share"),
        "lagging",
        root,
        false,
        of(&|day| (day.revenue > 0.0).then(|| day.refunds / day.revenue)),
    );
    let turn = |place: usize| {
        let units = beside.units_in_stock.filter(|units| *units > 0)?;
        Some(periods[place].units_sold as f64 / units as f64 * 365.25 / f64::from(days))
    };
    tree.add(
        ("inventory_turn", "how often a year the units in stock now are sold", "per_year"),
        "lagging",
        root,
        true,
        only_now(turn(0)),
    );
    tree.add(
        ("stockouts", "products on sale that are out of stock now", "share"),
        "leading",
        Some("inventory_turn"),
        false,
        only_now(beside.products.and_then(|(all, out)| ratio(out as f64, all))),
    );
    tree.none(("containment", "talks that end without a person", "share"), "lagging", root, true, NO_ASSISTANT);
    tree.none(("handling_time", "minutes a talk takes people", "minutes"), "lagging", root, false, NO_ASSISTANT);
    KpiPage {
        read_at: question.now.to_string(),
        currency: ledger.currency().to_string(),
        days,
        kpis: tree.0,
        events_behind: 0,
    }
}

fn ratio(part: f64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part / whole as f64)
}

#[derive(Default)]
struct Tree(Vec<Kpi>);

impl Tree {
    fn add(
        &mut self,
        (name, words, unit): (&'static str, &'static str, &'static str),
        kind: &'static str,
        parent: Option<&'static str>,
        higher_is_better: bool,
        [value, before]: Pair,
    ) {
        let change = value.zip(before).filter(|(_, before)| *before != 0.0).map(|(now, before)| now / before - 1.0);
        let (measured, why_not) = (value.is_some(), value.is_none().then_some("nothing to count in these days"));
        self.0.push(Kpi {
            name,
            words,
            unit,
            kind,
            parent,
            higher_is_better,
            measured,
            why_not,
            value,
            before,
            change,
        });
    }

    fn none(
        &mut self,
        names: (&'static str, &'static str, &'static str),
        kind: &'static str,
        parent: Option<&'static str>,
        higher_is_better: bool,
        why_not: &'static str,
    ) {
        self.add(names, kind, parent, higher_is_better, [None, None]);
        if let Some(last) = self.0.last_mut() {
            last.why_not = Some(why_not);
        }
    }
}

/// Who came back from one whole month to the next; the newest pair of months, and the one before.
struct Months {
    retention: Pair,
    churn: Pair,
}

impl Months {
    fn read(ledger: &Ledger, now: TimestampMs) -> Self {
        let this = month_number(now);
        let spent = ledger.spent(this - 3);
        let of = |month: i32, customers: bool| -> rustc_hash::FxHashSet<merx_domain::SubjectId> {
            let people = spent.iter().filter(|((of, _), spent)| *of == month && (!customers || spent.orders > 0));
            people.map(|((_, subject), _)| *subject).collect()
        };
        let came_back = |month: i32, customers: bool| {
            let (before, after) = (of(month - 1, customers), of(month, false));
            let back = before.iter().filter(|subject| after.contains(subject)).count();
            ratio(back as f64, before.len() as u64)
        };
        let stayed_away = |month: i32| came_back(month, true).map(|back| 1.0 - back);
        Self {
            retention: [came_back(this - 1, false), came_back(this - 2, false)],
            churn: [stayed_away(this - 1), stayed_away(this - 2)],
        }
    }
}
