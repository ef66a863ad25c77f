//! What each automation earns: who gets it against who doesn't, less what it costs.

use merx_domain::{DAY_MS, SubjectId, TimestampMs};
use serde::Serialize;

use super::holdout::{MonthPage, month_pages};
use super::ledger::{Ledger, month_number};
use crate::holdout::{Month, lift_by_month};
use crate::{Arm, Moments, Observation};

const ALPHA: f64 = 0.05;
const DAYS_A_MONTH: f64 = 365.25 / 12.0;
/// Of days before an automation began that it is held against.
const BASELINE_DAYS: i32 = 28;

/// What is asked of an automation.
pub struct AutomationQuestion<'a> {
    pub name: String,
    pub kpi: String,
    /// As it is now, in words.
    pub mode: String,
    /// Whether it acts at all.
    pub acts: bool,
    /// Since when it has this mode.
    pub since: TimestampMs,
    /// Which side somebody is on: `Some(true)` goes without, `None` doesn't count. No function: nobody goes without.
    pub goes_without: Option<&'a dyn Fn(SubjectId) -> Option<bool>>,
    /// Share of people that go without, 0 to 1.
    pub without_share: f64,
    /// In the shop's currency.
    pub one_time_cost: f64,
    pub monthly_cost: f64,
    pub thousand_decisions_cost: f64,
    /// Decisions on record since `since`; `None` where nobody counted.
    pub decisions: Option<u64>,
}

/// The window of a report.
#[derive(Debug, Clone, Copy)]
pub struct ValueQuestion {
    pub now: TimestampMs,
    /// Nothing before counts.
    pub from: TimestampMs,
    /// Orders this many days after a click or cart are attributed.
    pub window_days: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct ValuePage {
    pub read_at: String,
    pub currency: String,
    pub window_days: usize,
    pub automations: Vec<AutomationValue>,
    /// Events in the log that weren't read yet: the figures grow until it is 0.
    pub events_behind: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct AutomationValue {
    pub automation: String,
    pub mode: String,
    pub kpi: String,
    /// earns, costs, undecided; off, not_measured.
    pub verdict: &'static str,
    /// Where it is not measured.
    pub why_not: Option<String>,
    pub from: String,
    pub until: String,
    /// Share of people that go without.
    pub without_share: f64,
    pub months: Vec<MonthPage>,
    /// What those who got it spent beyond what they would have spent.
    pub incremental_revenue: Option<Range>,
    /// Savings are counted where an engine saves work; no engine of now does.
    pub savings: Option<Range>,
    pub running_cost: f64,
    pub one_time_cost: f64,
    /// Incremental revenue less running cost.
    pub net: Option<Range>,
    /// Months until the net of a month has paid the one-time cost; none where it never does, or isn't known to.
    pub payback_months: Option<Payback>,
    pub attributed: AttributedPage,
    /// Not causal: the days before it began beside the days since.
    pub before_and_after: Option<BeforeAndAfter>,
}

/// An estimate and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Payback {
    pub estimate: Option<f64>,
    /// At the upper end of the net's interval.
    pub soonest: Option<f64>,
    /// At the lower end.
    pub latest: Option<f64>,
}

/// What was opened, put into the cart or bought with a decision's id. It says what passed through the automation, not what it added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct AttributedPage {
    pub decisions: Option<u64>,
    pub clicked_decisions: u64,
    pub orders: u64,
    pub revenue: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BeforeAndAfter {
    pub days: i32,
    /// Revenue a visitor and day.
    pub before: f64,
    pub after: f64,
}

/// The report of all automations; each question is answered apart.
pub fn value_page(ledger: &Ledger, question: &ValueQuestion, automations: &[AutomationQuestion<'_>]) -> ValuePage {
    ValuePage {
        read_at: question.now.to_string(),
        currency: ledger.currency().to_string(),
        window_days: question.window_days,
        automations: automations.iter().map(|automation| value_of(ledger, question, automation)).collect(),
        events_behind: 0,
    }
}

fn value_of(ledger: &Ledger, question: &ValueQuestion, asked: &AutomationQuestion<'_>) -> AutomationValue {
    let from = question.from.max(asked.since);
    let from_month = month_number(from);
    let held = months(ledger, from_month, asked);
    let lift = lift_by_month(&held, ALPHA);
    let running_cost = running_cost(from, question.now, asked);
    let revenue = lift.increment;
    let measured = asked.acts && asked.goes_without.is_some() && !lift.months.is_empty();
    let incremental = measured.then_some(Range { estimate: revenue.total, low: revenue.low, high: revenue.high });
    let net = incremental.map(|range| range.less(running_cost));
    let attributed = ledger.attributed(&asked.name, from_month);
    let (orders, worth) = attributed.within(question.window_days);
    AutomationValue {
        automation: asked.name.clone(),
        mode: asked.mode.clone(),
        kpi: asked.kpi.clone(),
        verdict: verdict(asked.acts, net),
        why_not: why_not(asked, measured),
        from: from.to_string(),
        until: question.now.to_string(),
        without_share: asked.without_share,
        months: month_pages(&held, &lift),
        incremental_revenue: incremental,
        savings: None,
        running_cost,
        one_time_cost: asked.one_time_cost,
        net,
        payback_months: net.and_then(|net| payback(net, asked.one_time_cost, months_between(from, question.now))),
        attributed: AttributedPage {
            decisions: asked.decisions,
            clicked_decisions: attributed.clicked,
            orders,
            revenue: worth,
        },
        before_and_after: before_and_after(ledger, asked.since, question.now),
    }
}

impl Range {
    fn less(self, cost: f64) -> Self {
        Self { estimate: self.estimate - cost, low: self.low - cost, high: self.high - cost }
    }
}

fn verdict(acts: bool, net: Option<Range>) -> &'static str {
    match net {
        _ if !acts => "off",
        None => "not_measured",
        Some(net) if net.low > 0.0 => "earns",
        Some(net) if net.high < 0.0 => "costs",
        Some(_) => "undecided",
    }
}

fn why_not(asked: &AutomationQuestion<'_>, measured: bool) -> Option<String> {
    if measured {
        return None;
    }
    Some(match (asked.acts, asked.goes_without.is_some()) {
        (false, _) => format!("it doesn't act (mode {}), so there is nothing to compare", asked.mode),
        (true, false) => "nobody goes without it: set a holdout for it".to_owned(),
        (true, true) => "one side has fewer than two visitors, or nobody bought anything yet".to_owned(),
    })
}

/// People by month, who goes without it and who gets it.
fn months(ledger: &Ledger, from_month: i32, asked: &AutomationQuestion<'_>) -> Vec<Month> {
    let Some(goes_without) = asked.goes_without else { return Vec::new() };
    let spent = ledger.spent(from_month);
    let months = spent.chunk_by(|((one, _), _), ((other, _), _)| one == other).map(|people| {
        let side = |without: bool| {
            let of_side = people.iter().filter(|((_, subject), _)| goes_without(*subject) == Some(without));
            Arm::mean(&Moments::of(of_side.map(|(_, spent)| Observation::value(spent.revenue))))
        };
        Month { month: people[0].0.0, held_out: side(true), treated: side(false) }
    });
    months.collect()
}

fn months_between(from: TimestampMs, until: TimestampMs) -> f64 {
    until.since(from).max(0) as f64 / DAY_MS as f64 / DAYS_A_MONTH
}

fn running_cost(from: TimestampMs, until: TimestampMs, asked: &AutomationQuestion<'_>) -> f64 {
    let decisions = asked.decisions.unwrap_or_default() as f64;
    asked.monthly_cost * months_between(from, until) + asked.thousand_decisions_cost * decisions / 1e3
}

/// `net` is of `months` months.
fn payback(net: Range, cost: f64, months: f64) -> Option<Payback> {
    if cost <= 0.0 || months <= 0.0 {
        return None;
    }
    let after = |net: f64| (net > 0.0).then(|| cost / (net / months));
    Some(Payback { estimate: after(net.estimate), soonest: after(net.high), latest: after(net.low) })
}

fn before_and_after(ledger: &Ledger, since: TimestampMs, now: TimestampMs) -> Option<BeforeAndAfter> {
    let day = since.day();
    let days = (now.day() - day).min(BASELINE_DAYS);
    let has_before = ledger.first_day().is_some_and(|first| first <= day - days);
    if days < 1 || !has_before {
        return None;
    }
    let a_visitor = |from: i32, until: i32| {
        let sum = ledger.between(from, until);
        if sum.visitors == 0 { 0.0 } else { sum.revenue / sum.visitors as f64 }
    };
    Some(BeforeAndAfter { days, before: a_visitor(day - days, day), after: a_visitor(day, day + days) })
}
