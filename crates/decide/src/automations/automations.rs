//! Where automations are kept, what they may do, and what happens when they do too much.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::{MarketId, SubjectId, TimestampMs};
use merx_store::{Migration, Records, StoreError, Transaction, Value};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::approvals::{Approval, ApprovalState, Case};
use super::automation::{Automation, Mode, Taken};
use super::meter::{Meter, Seen};
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
    Store(#[from] StoreError),
}

type Result<T, E = AutomationError> = std::result::Result<T, E>;

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// From 1.
    pub number: u64,
    pub at: TimestampMs,
    pub automation: String,
    pub words: String,
}

/// What became of a mode that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    Granted(Automation),
    /// A second person has to agree.
    Waiting(Approval),
}

struct Kept {
    automation: Automation,
    meter: Mutex<Meter>,
}

/// All automations of the shop; retired ones stay.
pub struct Automations {
    records: Arc<dyn Records>,
    kept: ArcSwap<BTreeMap<String, Arc<Kept>>>,
    changing: Mutex<()>,
}

impl Automations {
    /// Every engine has one, live until somebody says otherwise. The migrations must have run on `records`.
    pub fn open(records: Arc<dyn Records>, engines: &[&str], now: TimestampMs) -> Result<Self> {
        let automations = Self { records, kept: ArcSwap::default(), changing: Mutex::default() };
        let mut kept: BTreeMap<String, Arc<Kept>> = BTreeMap::new();
        for name in engines {
            let automation = Automation::of_engine(name, now);
            kept.insert((*name).to_owned(), Arc::new(Kept { automation, meter: Mutex::default() }));
        }
        for automation in automations.read::<Automation>("SELECT body FROM automations ORDER BY name")? {
            let kept_one = Kept { automation, meter: Mutex::default() };
            kept.insert(kept_one.automation.name.clone(), Arc::new(kept_one));
        }
        automations.kept.store(Arc::new(kept));
        Ok(automations)
    }

    // ---- On the way of decisions ----

    /// What an engine may do for somebody now.
    pub fn take(&self, engine: &str, market: &MarketId, subject: Option<SubjectId>, now: TimestampMs) -> Taken {
        let kept = self.kept.load();
        // An engine that nobody wired as an automation is none.
        let Some(kept) = kept.get(engine) else { return Taken::Live };
        let taken = kept.automation.allows(market, subject, now);
        let capped = taken.acts()
            && kept.automation.most_per_hour.is_some()
            && !kept.meter.lock().spend(now, kept.automation.most_per_hour);
        if capped { Taken::Capped } else { taken }
    }

    /// Counts what an automation did, for its guardrails.
    pub fn count(&self, engine: &str, now: TimestampMs, seen: Seen) {
        if let Some(kept) = self.kept.load().get(engine)
            && !kept.automation.guardrails.is_empty()
        {
            kept.meter.lock().count(now, seen);
        }
    }

    /// Steps back what breached a guardrail, in every market where it acts, and says so. Call it every few seconds.
    pub fn watch(&self, now: TimestampMs) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        for kept in self.kept.load().values() {
            let meter = kept.meter.lock().clone();
            let mut guardrails = kept.automation.guardrails.iter();
            let breach = guardrails.find_map(|guardrail| Some((guardrail, meter.breach(now, guardrail)?)));
            let Some((guardrail, value)) = breach else { continue };
            let before = &kept.automation;
            let mut after = before.clone();
            for mode in std::iter::once(&mut after.mode).chain(after.markets.values_mut()) {
                *mode = mode.stepped_back();
            }
            if after == *before {
                continue;
            }
            let words = format!(
                "{}: {:?} is {value:.3}, at most {} is allowed; {} was stepped back to {}",
                before.name, guardrail.measure, guardrail.at_most, before.mode, after.mode
            );
            tracing::warn!(automation = before.name, words, "a guardrail was breached");
            let alert = Alert { number: 0, at: now, automation: before.name.clone(), words };
            alerts.push(self.step_back(after, alert, now)?);
        }
        Ok(alerts)
    }

    fn step_back(&self, after: Automation, alert: Alert, now: TimestampMs) -> Result<Alert> {
        let _changing = self.changing.lock();
        let act = Act { by: "merx", at: now };
        let mut written = alert;
        self.write(act, "automation.stepped_back", after, &mut |transaction| {
            written.number = next_number(transaction, "alerts")?;
            insert(transaction, "alerts", "number", Value::Integer(written.number as i64), &written)
        })?;
        Ok(written)
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

    /// Changes everything but mode, kill switch and retirement, which have ways of their own.
    pub fn describe(&self, wanted: Automation, act: Act<'_>) -> Result<Automation> {
        let _changing = self.changing.lock();
        let known = self.get(&wanted.name)?;
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
        if known.four_eyes && !wanted.four_eyes {
            return Err(AutomationError::Refused(
                "four eyes stay once they are asked for: one pair could undo them otherwise".to_owned(),
            ));
        }
        let changed = Automation {
            mode: known.mode,
            markets: known.markets,
            killed: known.killed,
            retired: known.retired,
            revision: known.revision,
            ..wanted
        };
        self.write(act, "automation.described", changed, &mut |_| Ok(()))
    }

    /// Sets a mode: less of an automation at once, more of it after a second person agreed where four eyes are asked for, and always
    /// out of `Suggest`.
    pub fn set_mode(&self, name: &str, market: Option<MarketId>, mode: Mode, case: Case, act: Act<'_>) -> Result<Wish> {
        let _changing = self.changing.lock();
        let known = self.get(name)?;
        if known.retired {
            return Err(AutomationError::Refused(format!("{name} is retired")));
        }
        let before = market.as_ref().map_or(known.mode, |market| known.mode_in(market));
        let needs_agreement = mode > before && mode.acts() && (known.four_eyes || before == Mode::Suggest);
        if !needs_agreement {
            return Ok(Wish::Granted(self.apply(known, market, mode, act, &mut |_| Ok(()))?));
        }
        if let Some(part) = case.missing().first() {
            let detail = "more of an automation needs a case: why, expected_effect, risk, roll_back".to_owned();
            return Err(AutomationError::Invalid { at: (*part).to_owned(), detail });
        }
        let mut approval = Approval {
            number: 0,
            automation: name.to_owned(),
            market,
            mode,
            case,
            asked_by: act.by.to_owned(),
            asked_at: act.at,
            state: ApprovalState::Waiting,
            decided_by: None,
            decided_at: None,
            reason: String::new(),
        };
        self.records.transaction(&mut |transaction| {
            approval.number = next_number(transaction, "approvals")?;
            insert(transaction, "approvals", "number", Value::Integer(approval.number as i64), &approval)?;
            AuditLog::append(transaction, act, "approval.asked", name, &json!(approval))
        })?;
        Ok(Wish::Waiting(approval))
    }

    /// Newest first.
    pub fn approvals(&self, limit: usize) -> Result<Vec<Approval>> {
        self.read(&format!("SELECT body FROM approvals ORDER BY number DESC LIMIT {limit}"))
    }

    /// Newest first.
    pub fn alerts(&self, limit: usize) -> Result<Vec<Alert>> {
        self.read(&format!("SELECT body FROM alerts ORDER BY number DESC LIMIT {limit}"))
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
            self.apply(known, approval.market.clone(), approval.mode, act, &mut |transaction| {
                insert(transaction, "approvals", "number", key.clone(), &approval)?;
                AuditLog::append(transaction, act, "approval.approved", &approval.automation, &json!(approval))
            })?;
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
        self.write(act, action, Automation { killed, ..known }, &mut |_| Ok(()))
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
        market: Option<MarketId>,
        mode: Mode,
        act: Act<'_>,
        beside: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<Automation> {
        match market {
            Some(market) => {
                automation.markets.insert(market, mode);
            }
            None => automation.mode = mode,
        }
        self.write(act, "automation.mode", automation, beside)
    }

    /// Keeps an automation, with its entry in the audit log and whatever belongs `beside`, in one transaction.
    fn write(
        &self,
        act: Act<'_>,
        action: &str,
        mut automation: Automation,
        beside: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<Automation> {
        automation.revision += 1;
        automation.updated_at = act.at;
        let name = automation.name.clone();
        self.records.transaction(&mut |transaction| {
            beside(transaction)?;
            insert(transaction, "automations", "name", Value::Text(name.clone()), &automation)?;
            AuditLog::append(transaction, act, action, &name, &json!(automation))
        })?;
        let mut kept = BTreeMap::clone(&self.kept.load());
        // What was seen under another mode says nothing of the new one.
        kept.insert(name, Arc::new(Kept { automation: automation.clone(), meter: Mutex::default() }));
        self.kept.store(Arc::new(kept));
        Ok(automation)
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

fn next_number(transaction: &mut dyn Transaction, table: &str) -> Result<u64, StoreError> {
    let rows = transaction.query(&format!("SELECT number FROM {table} ORDER BY number DESC LIMIT 1"), &[])?;
    Ok(match rows.first().and_then(|row| row.0.first()) {
        Some(Value::Integer(number)) => *number as u64 + 1,
        _ => 1,
    })
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
