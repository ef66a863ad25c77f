//! Where automations are kept, what they may do, and what happens when they do too much.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::{SubjectId, TimestampMs};
use merx_store::{Migration, Records, StoreError, Transaction, Value};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::approvals::{Approval, ApprovalState, Case, Terms};
use super::automation::{Automation, Guardrail, MOST_CAMPAIGNS, Measure, Mode, Place, Reach, Taken};
use super::meter::{Meter, Seen, Tally};
use super::slo::{Objectives, burnt};
use crate::alerts::{Alert, AlertError, AlertKind, Alerts, Raise, Severity, next_number};
use crate::audit::{Act, AuditLog};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-004-automations",
    sql: "CREATE TABLE automations (name TEXT PRIMARY KEY, body TEXT NOT NULL);
          CREATE TABLE approvals (number BIGINT PRIMARY KEY, body TEXT NOT NULL);
          CREATE TABLE alerts (number BIGINT PRIMARY KEY, body TEXT NOT NULL)",
};

const MAX_GUARDRAILS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum AutomationError {
    #[error("there is no automation {0}")]
    Unknown(String),
    #[error("there is no approval {0}")]
    UnknownApproval(u64),
    #[error("{0}")]
    Refused(String),
    /// What was asked for makes no sense: where, and why.
    #[error("{at}: {detail}")]
    Invalid { at: String, detail: String },
    #[error(transparent)]
    Alerts(#[from] AlertError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Result<T, E = AutomationError> = std::result::Result<T, E>;

/// What became of a mode, or of limits, that somebody asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    Granted(Automation),
    /// A second person has to agree.
    Waiting(Approval),
}

struct Kept {
    automation: Automation,
    meter: Mutex<Meter>,
    /// How much less it earns than going without, and how many people that is known of.
    kpi_loss: Mutex<Option<(f64, u64)>>,
}

impl Kept {
    fn breach_of_kpi(&self, guardrail: &Guardrail) -> Option<f64> {
        let (loss, people) = (*self.kpi_loss.lock())?;
        (people >= guardrail.fewest && loss > guardrail.at_most).then_some(loss)
    }

    fn new(automation: Automation) -> Self {
        Self { automation, meter: Mutex::default(), kpi_loss: Mutex::default() }
    }
}

/// All automations of the shop; retired ones stay.
pub struct Automations {
    records: Arc<dyn Records>,
    kept: ArcSwap<BTreeMap<String, Arc<Kept>>>,
    changing: Mutex<()>,
    book: Arc<Alerts>,
}

impl Automations {
    /// Every engine has one, live until somebody says otherwise. The migrations must have run on `records`.
    pub fn open(records: Arc<dyn Records>, engines: &[&str], now: TimestampMs) -> Result<Self> {
        let book = Arc::new(Alerts::open(Arc::clone(&records))?);
        let automations = Self { records, kept: ArcSwap::default(), changing: Mutex::default(), book };
        let mut kept: BTreeMap<String, Arc<Kept>> = BTreeMap::new();
        for automation in automations.read::<Automation>("SELECT body FROM automations ORDER BY name")? {
            kept.insert(automation.name.clone(), Arc::new(Kept::new(automation)));
        }
        for name in engines.iter().filter(|name| !kept.contains_key(**name)).copied().collect::<Vec<_>>() {
            // Kept from the first start on, for its mode counts from then.
            let automation = Automation::of_engine(name, now);
            automations.records.transaction(&mut |transaction| {
                insert(transaction, "automations", "name", Value::Text(name.to_owned()), &automation)
            })?;
            kept.insert(name.to_owned(), Arc::new(Kept::new(automation)));
        }
        automations.kept.store(Arc::new(kept));
        Ok(automations)
    }

    /// Takes over what another process changed. What is as it was goes on counting.
    pub fn reload(&self) -> Result<()> {
        let _changing = self.changing.lock();
        let known = self.kept.load();
        let stored = self.read::<Automation>("SELECT body FROM automations ORDER BY name")?;
        let same = |automation: &Automation| known.get(&automation.name).filter(|kept| kept.automation == *automation);
        let kept = stored.into_iter().map(|automation| {
            let kept = same(&automation).map_or_else(|| Arc::new(Kept::new(automation.clone())), Arc::clone);
            (automation.name, kept)
        });
        self.kept.store(Arc::new(kept.collect()));
        Ok(())
    }

    /// Where alerts are kept.
    pub fn book(&self) -> &Arc<Alerts> {
        &self.book
    }

    // ---- On the way of decisions ----

    /// What an engine may do for somebody now.
    pub fn take(&self, engine: &str, place: Place<'_>, subject: Option<SubjectId>, now: TimestampMs) -> Taken {
        let kept = self.kept.load();
        // An engine that nobody wired as an automation is none.
        let Some(kept) = kept.get(engine) else { return Taken::Live };
        let taken = kept.automation.allows(place, subject, now);
        let capped = taken.acts()
            && kept.automation.most_per_hour.is_some()
            && !kept.meter.lock().spend(now, kept.automation.most_per_hour);
        if capped { Taken::Capped } else { taken }
    }

    /// Tells what an automation has cost since the month began: where that is its budget, it serves the generic answer until the month ends,
    /// in every process, and an alert says so.
    pub fn tell_spent(&self, name: &str, spent_minor: i64, ends_at: TimestampMs, now: TimestampMs) -> Result<()> {
        let known = self.get(name)?;
        let key = format!("spend:{name}");
        let Some(budget) = known.monthly_budget_minor.filter(|budget| spent_minor >= *budget) else {
            return Ok(self.book.resolve(&key, now)?);
        };
        if known.is_spent(now) {
            return Ok(());
        }
        let words = format!("{name}: this month has cost what it may; the generic answer is served until it is over");
        let detail = json!({ "monthly_budget_minor": budget, "spent_minor": spent_minor });
        let raise = Raise::new(AlertKind::Budget, key, words).of(name).with_detail(detail);
        let spent = Automation { spent_until: Some(ends_at), ..known };
        self.change_by_itself(spent, "automation.budget_spent", raise, now)?;
        Ok(())
    }

    /// How likely somebody whom no holdout keeps from an engine meets it now. `is_known`: whether they have a name to draw lots by.
    pub fn chance(&self, engine: &str, place: Place<'_>, is_known: bool, now: TimestampMs) -> f64 {
        self.kept.load().get(engine).map_or(1.0, |kept| kept.automation.chance(place, is_known, now))
    }

    /// Counts what an automation did, for its guardrails.
    pub fn count(&self, engine: &str, now: TimestampMs, seen: Seen) {
        if let Some(kept) = self.kept.load().get(engine) {
            kept.meter.lock().count(now, seen);
        }
    }

    /// What each automation did in this process, for the one that leads.
    pub fn tallies(&self) -> BTreeMap<String, Tally> {
        self.kept.load().iter().map(|(name, kept)| (name.clone(), kept.meter.lock().own())).collect()
    }

    /// Counts what an automation did in another process.
    pub fn count_elsewhere(&self, engine: &str, now: TimestampMs, tally: &Tally) {
        if let Some(kept) = self.kept.load().get(engine) {
            kept.meter.lock().count_elsewhere(now, tally);
        }
    }

    /// Tells by how much revenue a visitor is lower, at the least, than of those who go without, and of how many people that is known.
    pub fn tell_kpi_loss(&self, engine: &str, loss: f64, people: u64) {
        if let Some(kept) = self.kept.load().get(engine) {
            *kept.kpi_loss.lock() = Some((loss, people));
        }
    }

    /// Steps back what breached a guardrail, in every market and campaign where it acts, and says so; says too which automations have used up their
    /// hour, and which burn their objectives. Call it every few seconds.
    pub fn watch(&self, now: TimestampMs, objectives: &Objectives) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        for kept in self.kept.load().values() {
            let meter = kept.meter.lock().clone();
            self.watch_cap(kept, &meter, now)?;
            self.watch_objectives(kept, &meter, now, objectives)?;
            let mut guardrails = kept.automation.guardrails.iter();
            let breach = guardrails.find_map(|guardrail| {
                let value = match guardrail.measure {
                    Measure::KpiLoss => kept.breach_of_kpi(guardrail),
                    _ => meter.breach(now, guardrail),
                };
                Some((guardrail, value?))
            });
            let Some((guardrail, value)) = breach else { continue };
            let before = &kept.automation;
            let mut after = before.clone();
            for mode in after.modes_mut() {
                *mode = mode.stepped_back();
            }
            if after == *before {
                continue;
            }
            let words = format!(
                "{}: {:?} is {value:.3}, at most {} is allowed; {} was stepped back to {}",
                before.name, guardrail.measure, guardrail.at_most, before.mode, after.mode
            );
            let kind = if guardrail.measure == Measure::KpiLoss { AlertKind::Kpi } else { AlertKind::Guardrail };
            // Each step is told.
            let key = format!("{}:{}:{}", kind.name(), before.name, before.revision);
            let detail = json!({ "measure": guardrail.measure, "value": value, "at_most": guardrail.at_most });
            let raise = Raise::new(kind, key, words).of(&before.name).with_severity(Severity::Critical);
            alerts.extend(self.step_back(after, raise.with_detail(detail), now)?);
        }
        Ok(alerts)
    }

    fn watch_cap(&self, kept: &Kept, meter: &Meter, now: TimestampMs) -> Result<()> {
        let (name, key) = (&kept.automation.name, format!("budget:{}", kept.automation.name));
        let Some(most) = kept.automation.most_per_hour.filter(|_| meter.is_spent(now)) else {
            return Ok(self.book.resolve(&key, now)?);
        };
        let words =
            format!("{name}: {most} decisions were made this hour, as many as it may; the generic answer is served");
        let raise = Raise::new(AlertKind::Budget, key, words).of(name);
        self.book.raise(raise.with_detail(json!({ "most_per_hour": most })), now)?;
        Ok(())
    }

    fn watch_objectives(&self, kept: &Kept, meter: &Meter, now: TimestampMs, objectives: &Objectives) -> Result<()> {
        let name = &kept.automation.name;
        for objective in objectives.all() {
            let key = format!("slo:{name}:{}", objective.name);
            match burnt(meter, now, &objective) {
                None => self.book.resolve(&key, now)?,
                Some(burn) => {
                    let words = format!(
                        "{name}: {} of the decisions of the last {} minutes {}; {} are allowed, so the allowance burns {:.1} times too fast",
                        percent(burn.share),
                        burn.minutes,
                        objective.words,
                        percent(objective.allowed),
                        burn.rate
                    );
                    let raise = Raise::new(AlertKind::Slo, key, words).of(name).with_severity(burn.severity);
                    let detail = json!({
                        "objective": objective.name, "share": burn.share, "allowed": objective.allowed,
                        "burn_rate": burn.rate, "window_minutes": burn.minutes,
                    });
                    self.book.raise(raise.with_detail(detail), now)?;
                }
            }
        }
        Ok(())
    }

    fn step_back(&self, after: Automation, raise: Raise, now: TimestampMs) -> Result<Option<Alert>> {
        self.change_by_itself(Automation { mode_since: now, ..after }, "automation.stepped_back", raise, now)
    }

    /// Writes what nobody asked for, with its alert.
    fn change_by_itself(
        &self,
        after: Automation,
        action: &str,
        raise: Raise,
        now: TimestampMs,
    ) -> Result<Option<Alert>> {
        let _changing = self.changing.lock();
        // Somebody changed it meanwhile, stopped it perhaps: what was seen before says nothing of it now.
        if self.get(&after.name)?.revision != after.revision {
            return Ok(None);
        }
        let act = Act { by: "merx", at: now };
        let mut told = None;
        let written = self.written(act, after);
        self.book
            .raise_with(raise, now, &mut |transaction| write_change(transaction, act, action, &written))
            .map(|alert| told = alert)?;
        self.swap(written);
        Ok(told)
    }

    // ---- On the way of people ----

    /// By name; retired ones too.
    pub fn list(&self) -> Vec<Automation> {
        self.kept.load().values().map(|kept| kept.automation.clone()).collect()
    }

    pub fn get(&self, name: &str) -> Result<Automation> {
        let kept = self.kept.load();
        kept.get(name).map(|kept| kept.automation.clone()).ok_or_else(|| AutomationError::Unknown(name.to_owned()))
    }

    /// Changes everything but mode, kill switch and retirement, which have ways of their own: at once, or where four eyes are asked for
    /// and a limit is loosened, after a second person agreed.
    pub fn describe(&self, wanted: Automation, case: Case, act: Act<'_>) -> Result<Wish> {
        let _changing = self.changing.lock();
        let known = self.get(&wanted.name)?;
        check_terms(&wanted)?;
        if known.four_eyes && !wanted.four_eyes {
            return Err(AutomationError::Refused(
                "four eyes stay once they are asked for: one pair could undo them otherwise".to_owned(),
            ));
        }
        let wanted = wanted.in_the_state_of(&known);
        let loosened = known.loosened_by(&wanted);
        if !known.four_eyes || loosened.is_empty() {
            return Ok(Wish::Granted(self.write(act, "automation.described", wanted, &mut |_| Ok(()))?));
        }
        let terms = Terms { before: known, wanted, loosened };
        let name = terms.wanted.name.clone();
        self.ask(Approval { terms: Some(Box::new(terms)), ..Approval::asked(name, case, act) }, act)
    }

    /// Puts down what waits for a second person.
    fn ask(&self, mut approval: Approval, act: Act<'_>) -> Result<Wish> {
        if let Some(part) = approval.case.missing().first() {
            let detail = "more of an automation, or looser limits, need a case: why, expected_effect, risk, roll_back";
            return Err(AutomationError::Invalid { at: (*part).to_owned(), detail: detail.to_owned() });
        }
        self.records.transaction(&mut |transaction| {
            approval.number = next_number(transaction, "approvals")?;
            insert(transaction, "approvals", "number", Value::Integer(approval.number as i64), &approval)?;
            AuditLog::append(transaction, act, "approval.asked", &approval.automation, &json!(approval))
        })?;
        Ok(Wish::Waiting(approval))
    }

    /// Sets a mode: less of an automation at once, more of it after a second person agreed where four eyes are asked for, and always
    /// out of `Suggest`.
    pub fn set_mode(&self, name: &str, reach: Reach, mode: Mode, case: Case, act: Act<'_>) -> Result<Wish> {
        let _changing = self.changing.lock();
        let known = self.get(name)?;
        if known.retired {
            return Err(AutomationError::Refused(format!("{name} is retired")));
        }
        if !needs_agreement(&known, known.mode_of(&reach), mode) {
            return Ok(Wish::Granted(self.apply(known, reach, mode, act, &mut |_| Ok(()))?));
        }
        let (market, campaign) = match reach {
            Reach::Everywhere => (None, None),
            Reach::Market(market) => (Some(market), None),
            Reach::Campaign(campaign) => (None, Some(campaign)),
        };
        let asked = Approval::asked(name.to_owned(), case, act);
        self.ask(Approval { market, campaign, mode: Some(mode), ..asked }, act)
    }

    /// Takes a market's or a campaign's own mode away: the mode for everywhere counts there again. Where that is more and somebody would
    /// have to agree, it is refused: the mode has to be asked for first.
    pub fn inherit_mode(&self, name: &str, reach: &Reach, act: Act<'_>) -> Result<Automation> {
        let _changing = self.changing.lock();
        let mut known = self.get(name)?;
        if needs_agreement(&known, known.mode_of(reach), known.mode) {
            let detail =
                format!("{} would be more there, which takes a second person: ask for that mode first", known.mode);
            return Err(AutomationError::Refused(detail));
        }
        match reach {
            Reach::Everywhere => None,
            Reach::Market(market) => known.markets.remove(market),
            Reach::Campaign(campaign) => known.campaigns.remove(campaign),
        };
        self.write(act, "automation.mode", known, &mut |_| Ok(()))
    }

    /// Newest first.
    pub fn approvals(&self, limit: usize) -> Result<Vec<Approval>> {
        self.read(&format!("SELECT body FROM approvals ORDER BY number DESC LIMIT {limit}"))
    }

    /// Newest first.
    pub fn alerts(&self, limit: usize) -> Result<Vec<Alert>> {
        Ok(self.book.list(limit)?)
    }

    /// Agrees to what somebody else asked for, or not. An approval that is agreed to takes effect on the next decision.
    pub fn decide(&self, number: u64, agrees: bool, reason: &str, act: Act<'_>) -> Result<Approval> {
        let _changing = self.changing.lock();
        let found = self.read::<Approval>(&format!("SELECT body FROM approvals WHERE number = {number}"))?;
        let mut approval = found.into_iter().next().ok_or(AutomationError::UnknownApproval(number))?;
        if approval.state != ApprovalState::Waiting {
            return Err(AutomationError::Refused(format!("approval {number} is decided already")));
        }
        if agrees && approval.asked_by == act.by {
            return Err(AutomationError::Refused("who asked can't agree: that takes a second person's key".to_owned()));
        }
        approval.state = if agrees { ApprovalState::Approved } else { ApprovalState::Refused };
        (approval.decided_by, approval.decided_at) = (Some(act.by.to_owned()), Some(act.at));
        approval.reason = reason.to_owned();
        let key = Value::Integer(number as i64);
        if agrees {
            let known = self.get(&approval.automation)?;
            if known.retired {
                return Err(AutomationError::Refused(format!("{} is retired meanwhile", known.name)));
            }
            let beside = &mut |transaction: &mut dyn Transaction| {
                insert(transaction, "approvals", "number", key.clone(), &approval)?;
                AuditLog::append(transaction, act, "approval.approved", &approval.automation, &json!(approval))
            };
            if let Some(terms) = &approval.terms {
                if terms.before.clone().in_the_state_of(&known) != known {
                    return Err(AutomationError::Refused(format!(
                        "{} was described anew meanwhile: what was asked for has to be asked for again",
                        known.name
                    )));
                }
                let wanted = terms.wanted.clone().in_the_state_of(&known);
                self.write(act, "automation.described", wanted, beside)?;
            } else if let Some(mode) = approval.mode {
                self.apply(known, approval.reach(), mode, act, beside)?;
            }
        } else {
            self.records.transaction(&mut |transaction| {
                insert(transaction, "approvals", "number", key.clone(), &approval)?;
                AuditLog::append(transaction, act, "approval.refused", &approval.automation, &json!(approval))
            })?;
        }
        Ok(approval)
    }

    /// Stops an automation in every market, at once and without anybody's leave; `false` lets it go on as before.
    pub fn kill(&self, name: &str, killed: bool, act: Act<'_>) -> Result<Automation> {
        let _changing = self.changing.lock();
        let known = self.get(name)?;
        let action = if killed { "automation.killed" } else { "automation.revived" };
        self.write(act, action, Automation { killed, mode_since: act.at, ..known }, &mut |_| Ok(()))
    }

    /// Retires an automation: it stays listed and does nothing more.
    pub fn retire(&self, name: &str, act: Act<'_>) -> Result<Automation> {
        let _changing = self.changing.lock();
        let known = self.get(name)?;
        self.write(act, "automation.retired", Automation { retired: true, ..known }, &mut |_| Ok(()))
    }

    fn apply(
        &self,
        mut automation: Automation,
        reach: Reach,
        mode: Mode,
        act: Act<'_>,
        beside: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<Automation> {
        match reach {
            Reach::Market(market) => {
                automation.markets.insert(market, mode);
            }
            Reach::Campaign(campaign) => {
                if automation.campaigns.len() >= MOST_CAMPAIGNS && !automation.campaigns.contains_key(&campaign) {
                    let detail =
                        format!("{MOST_CAMPAIGNS} campaigns have modes of their own: take away those that are over");
                    return Err(AutomationError::Refused(detail));
                }
                automation.campaigns.insert(campaign, mode);
            }
            Reach::Everywhere => {
                if automation.mode != mode {
                    automation.mode_since = act.at;
                }
                automation.mode = mode;
            }
        }
        self.write(act, "automation.mode", automation, beside)
    }

    /// Keeps an automation, with its entry in the audit log and whatever belongs `beside`, in one transaction.
    fn write(
        &self,
        act: Act<'_>,
        action: &str,
        automation: Automation,
        beside: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<Automation> {
        let automation = self.written(act, automation);
        self.records.transaction(&mut |transaction| {
            beside(transaction)?;
            write_change(transaction, act, action, &automation)
        })?;
        self.swap(automation.clone());
        Ok(automation)
    }

    /// As it is written next.
    fn written(&self, act: Act<'_>, automation: Automation) -> Automation {
        Automation { revision: automation.revision + 1, updated_at: act.at, ..automation }
    }

    /// What was seen under another mode says nothing of the new one.
    fn swap(&self, automation: Automation) {
        let mut kept = BTreeMap::clone(&self.kept.load());
        kept.insert(automation.name.clone(), Arc::new(Kept::new(automation)));
        self.kept.store(Arc::new(kept));
    }

    fn read<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>> {
        let rows = self.records.query(sql, &[])?;
        let bodies = rows.iter().filter_map(|row| match row.0.first() {
            Some(Value::Text(body)) => Some(body),
            _ => None,
        });
        Ok(bodies.map(|body| serde_json::from_str(body).map_err(|error| damaged(&error))).collect::<Result<_, _>>()?)
    }
}

/// Whether it takes a second person to go from one mode to another.
fn needs_agreement(automation: &Automation, before: Mode, wanted: Mode) -> bool {
    wanted > before && wanted.acts() && (automation.four_eyes || before == Mode::Suggest)
}

/// Refuses limits that make no sense.
fn check_terms(wanted: &Automation) -> Result<()> {
    let invalid = |at: &str, detail: String| AutomationError::Invalid { at: at.to_owned(), detail };
    if wanted.guardrails.len() > MAX_GUARDRAILS {
        return Err(invalid("guardrails", format!("more than {MAX_GUARDRAILS}")));
    }
    for (place, guardrail) in wanted.guardrails.iter().enumerate() {
        if !guardrail.at_most.is_finite() || guardrail.at_most < 0.0 {
            return Err(invalid(&format!("guardrails[{place}].at_most"), "a limit is 0 or more".to_owned()));
        }
        if !(1..=60).contains(&guardrail.window_minutes) {
            return Err(invalid(&format!("guardrails[{place}].window_minutes"), "1 to 60 minutes".to_owned()));
        }
    }
    if let (Some(start), Some(end)) = (wanted.starts_at, wanted.ends_at)
        && end <= start
    {
        return Err(invalid("ends_at", "it ends before it starts".to_owned()));
    }
    Ok(())
}

fn write_change(
    transaction: &mut dyn Transaction,
    act: Act<'_>,
    action: &str,
    automation: &Automation,
) -> Result<(), StoreError> {
    insert(transaction, "automations", "name", Value::Text(automation.name.clone()), automation)?;
    AuditLog::append(transaction, act, action, &automation.name, &json!(automation))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn insert(
    transaction: &mut dyn Transaction,
    table: &str,
    key: &str,
    value: Value,
    body: &impl Serialize,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(body).map_err(|error| damaged(&error))?;
    let sql = format!(
        "INSERT INTO {table} ({key}, body) VALUES ($1, $2) ON CONFLICT ({key}) DO UPDATE SET body = excluded.body"
    );
    transaction.execute(&sql, &[value, Value::Text(body)])?;
    Ok(())
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "automations", detail: error.to_string() }
}
