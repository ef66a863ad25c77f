//! Where alerts are kept, and who wants to be told of which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use merx_domain::{MINUTE_MS, TimestampMs};
use merx_store::{Migration, Records, StoreError, Transaction, Value};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alert::{Alert, AlertKind, AlertState, Raise};
use super::deliveries::{Delivery, DeliveryState, Target};
use crate::audit::{Act, AuditLog};

/// The table `alerts` came with automations.
pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-006-alerts",
    sql: "CREATE TABLE webhooks (id TEXT PRIMARY KEY, body TEXT NOT NULL);
          CREATE TABLE deliveries (
            number BIGINT PRIMARY KEY,
            waiting BIGINT NOT NULL,
            due_ms BIGINT NOT NULL,
            body TEXT NOT NULL
          );
          CREATE INDEX deliveries_by_due ON deliveries (waiting, due_ms)",
};

/// Of alerts that aren't over, looked for among the newest so many at start.
const LOOKED_AT: usize = 2_000;
/// Alerts, and deliveries that have ended, which are kept.
const MOST_KEPT: u64 = 20_000;
/// Deliveries that may wait; beyond them nobody is told, which is counted.
const MOST_WAITING: i64 = 10_000;
const MOST_WEBHOOKS: usize = 20;
/// What is seen again is written down once in so long.
const WRITTEN_EVERY_MS: i64 = MINUTE_MS;

#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    #[error("there is no alert {0}")]
    UnknownAlert(u64),
    #[error("there is no webhook {0}")]
    UnknownWebhook(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Result<T, E = AlertError> = std::result::Result<T, E>;

/// An address that is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: String,
    pub url: String,
    /// `whsec_` and base64: signs what is sent. Shown once, to whoever made it.
    pub secret: String,
    /// Empty: all.
    pub kinds: Vec<AlertKind>,
    pub created_by: String,
    pub created_at: TimestampMs,
}

pub struct Alerts {
    records: Arc<dyn Records>,
    /// Those that aren't over, by key.
    open: Mutex<BTreeMap<String, Alert>>,
    /// Whether somebody is told by e-mail.
    mails: AtomicBool,
    untold: AtomicU64,
}

impl Alerts {
    /// The migrations must have run on `records`.
    pub fn open(records: Arc<dyn Records>) -> Result<Self> {
        let alerts = Self { records, open: Mutex::default(), mails: AtomicBool::new(false), untold: AtomicU64::new(0) };
        alerts.reload()?;
        Ok(alerts)
    }

    /// Reads what isn't over, as another process may have raised and resolved.
    pub fn reload(&self) -> Result<()> {
        let mut open = self.open.lock();
        let newest = self.list(LOOKED_AT)?;
        let over = |alert: &Alert| alert.state == AlertState::Resolved || alert.key.is_empty();
        *open = newest.into_iter().filter(|alert| !over(alert)).map(|alert| (alert.key.clone(), alert)).collect();
        Ok(())
    }

    /// From now on alerts go by e-mail too.
    pub fn tell_by_mail(&self, mails: bool) {
        self.mails.store(mails, Ordering::Relaxed);
    }

    /// Deliveries that were never made, for too many waited.
    pub fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    // ---- Raised and over ----

    /// Keeps an alert and has it carried; `None` where one of its key isn't over yet, which then counts once more.
    pub fn raise(&self, raise: Raise, now: TimestampMs) -> Result<Option<Alert>> {
        self.raise_with(raise, now, &mut |_| Ok(()))
    }

    /// The same, in one transaction with what belongs `beside`, which happens in any case.
    pub(crate) fn raise_with(
        &self,
        raise: Raise,
        now: TimestampMs,
        beside: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<Option<Alert>> {
        let mut open = self.open.lock();
        if let Some(known) = open.get_mut(&raise.key) {
            known.times += 1;
            let written = known.last_at.unwrap_or(known.at);
            known.words = raise.words;
            known.detail = raise.detail;
            let again = now.since(written) >= WRITTEN_EVERY_MS;
            if again {
                known.last_at = Some(now);
            }
            self.records.transaction(&mut |transaction| {
                beside(transaction)?;
                if again { put(transaction, "alerts", known.number, known) } else { Ok(()) }
            })?;
            return Ok(None);
        }
        tracing::warn!(kind = raise.kind.name(), key = raise.key, words = raise.words, "alert");
        let mut alert = raise.alert(now);
        let targets = self.targets(alert.kind)?;
        let mut untold = 0;
        self.records.transaction(&mut |transaction| {
            beside(transaction)?;
            alert.number = next_number(transaction, "alerts")?;
            put(transaction, "alerts", alert.number, &alert)?;
            untold = enqueue(transaction, &alert, &targets, now)?;
            let oldest = Value::Integer(alert.number.saturating_sub(MOST_KEPT) as i64);
            transaction.execute("DELETE FROM alerts WHERE number < $1", &[oldest])?;
            Ok(())
        })?;
        self.untold.fetch_add(untold, Ordering::Relaxed);
        open.insert(alert.key.clone(), alert.clone());
        Ok(Some(alert))
    }

    /// It is over: the next one of the key is told again.
    pub fn resolve(&self, key: &str, now: TimestampMs) -> Result<()> {
        let mut open = self.open.lock();
        let Some(known) = open.get(key) else { return Ok(()) };
        let over = Alert { state: AlertState::Resolved, resolved_at: Some(now), ..known.clone() };
        self.records.transaction(&mut |transaction| put(transaction, "alerts", over.number, &over))?;
        open.remove(key);
        Ok(())
    }

    /// Somebody knows of it.
    pub fn acknowledge(&self, number: u64, act: Act<'_>) -> Result<Alert> {
        let mut open = self.open.lock();
        let mut alert = self.get(number)?;
        if let Some(newer) = open.get(&alert.key).filter(|newer| newer.number == number) {
            alert = newer.clone();
        }
        if alert.state != AlertState::Open {
            return Err(AlertError::Refused(format!("alert {number} is {} already", alert.state.name())));
        }
        alert.state = AlertState::Acknowledged;
        (alert.acknowledged_by, alert.acknowledged_at) = (Some(act.by.to_owned()), Some(act.at));
        self.records.transaction(&mut |transaction| {
            put(transaction, "alerts", number, &alert)?;
            AuditLog::append(transaction, act, "alert.acknowledged", &number.to_string(), &json!(alert.words))
        })?;
        if let Some(known) = open.get_mut(&alert.key).filter(|known| known.number == number) {
            *known = alert.clone();
        }
        Ok(alert)
    }

    pub fn get(&self, number: u64) -> Result<Alert> {
        let found = self.read(&format!("SELECT body FROM alerts WHERE number = {number}"))?;
        found.into_iter().next().ok_or(AlertError::UnknownAlert(number))
    }

    /// Newest first.
    pub fn list(&self, limit: usize) -> Result<Vec<Alert>> {
        self.read(&format!("SELECT body FROM alerts ORDER BY number DESC LIMIT {limit}"))
    }

    // ---- Who is told ----

    pub fn webhooks(&self) -> Result<Vec<Webhook>> {
        self.read("SELECT body FROM webhooks ORDER BY id")
    }

    pub fn add_webhook(&self, webhook: Webhook, act: Act<'_>) -> Result<()> {
        if self.webhooks()?.len() >= MOST_WEBHOOKS {
            return Err(AlertError::Refused(format!("there are {MOST_WEBHOOKS} webhooks already")));
        }
        let body = serde_json::to_string(&webhook).map_err(|error| damaged(&error))?;
        Ok(self.records.transaction(&mut |transaction| {
            transaction.execute(
                "INSERT INTO webhooks (id, body) VALUES ($1, $2)",
                &[Value::Text(webhook.id.clone()), Value::Text(body.clone())],
            )?;
            let detail = json!({ "url": webhook.url, "kinds": webhook.kinds });
            AuditLog::append(transaction, act, "webhook.added", &webhook.id, &detail)
        })?)
    }

    pub fn remove_webhook(&self, id: &str, act: Act<'_>) -> Result<()> {
        let mut removed = 0;
        self.records.transaction(&mut |transaction| {
            removed = transaction.execute("DELETE FROM webhooks WHERE id = $1", &[Value::Text(id.to_owned())])?;
            match removed {
                0 => Ok(()),
                _ => AuditLog::append(transaction, act, "webhook.removed", id, &serde_json::Value::Null),
            }
        })?;
        if removed == 0 { Err(AlertError::UnknownWebhook(id.to_owned())) } else { Ok(()) }
    }

    fn targets(&self, kind: AlertKind) -> Result<Vec<Target>> {
        let webhooks = self.webhooks()?.into_iter();
        let wants = |webhook: &Webhook| webhook.kinds.is_empty() || webhook.kinds.contains(&kind);
        let mut targets: Vec<Target> = webhooks.filter(wants).map(|webhook| Target::Webhook(webhook.id)).collect();
        if self.mails.load(Ordering::Relaxed) {
            targets.push(Target::Mail);
        }
        Ok(targets)
    }

    // ---- What is carried ----

    /// What is due, oldest first.
    pub fn due(&self, now: TimestampMs, limit: usize) -> Result<Vec<Delivery>> {
        let sql = format!(
            "SELECT body FROM deliveries WHERE waiting = 1 AND due_ms <= {} ORDER BY due_ms, number LIMIT {limit}",
            now.0
        );
        self.read(&sql)
    }

    /// Says what became of a try.
    pub fn tried(&self, delivery: Delivery, outcome: Result<(), String>, now: TimestampMs) -> Result<Delivery> {
        let after = delivery.tried(outcome, now);
        self.records.transaction(&mut |transaction| {
            put_delivery(transaction, &after)?;
            let oldest = Value::Integer(after.number.saturating_sub(MOST_KEPT) as i64);
            transaction.execute("DELETE FROM deliveries WHERE waiting = 0 AND number < $1", &[oldest])?;
            Ok(())
        })?;
        Ok(after)
    }

    /// Newest first.
    pub fn deliveries(&self, limit: usize) -> Result<Vec<Delivery>> {
        self.read(&format!("SELECT body FROM deliveries ORDER BY number DESC LIMIT {limit}"))
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

/// Returns how many can't be told.
fn enqueue(
    transaction: &mut dyn Transaction,
    alert: &Alert,
    targets: &[Target],
    now: TimestampMs,
) -> Result<u64, StoreError> {
    if targets.is_empty() {
        return Ok(0);
    }
    let rows = transaction.query("SELECT COUNT(*) FROM deliveries WHERE waiting = 1", &[])?;
    let waiting = match rows.first().and_then(|row| row.0.first()) {
        Some(Value::Integer(count)) => *count,
        _ => 0,
    };
    let room = (MOST_WAITING - waiting).max(0) as usize;
    for target in targets.iter().take(room) {
        let number = next_number(transaction, "deliveries")?;
        let delivery = Delivery {
            number,
            alert: alert.number,
            target: target.clone(),
            state: DeliveryState::Waiting,
            tries: 0,
            created_at: now,
            due_at: now,
            ended_at: None,
            last_error: None,
        };
        put_delivery(transaction, &delivery)?;
    }
    Ok(targets.len().saturating_sub(room) as u64)
}

fn put_delivery(transaction: &mut dyn Transaction, delivery: &Delivery) -> Result<(), StoreError> {
    let body = serde_json::to_string(delivery).map_err(|error| damaged(&error))?;
    transaction.execute(
        "INSERT INTO deliveries (number, waiting, due_ms, body) VALUES ($1, $2, $3, $4)
         ON CONFLICT (number) DO UPDATE SET waiting = excluded.waiting, due_ms = excluded.due_ms, body = excluded.body",
        &[
            Value::Integer(delivery.number as i64),
            Value::Integer(i64::from(delivery.state == DeliveryState::Waiting)),
            Value::Integer(delivery.due_at.0),
            Value::Text(body),
        ],
    )?;
    Ok(())
}

pub(crate) fn next_number(transaction: &mut dyn Transaction, table: &str) -> Result<u64, StoreError> {
    let rows = transaction.query(&format!("SELECT number FROM {table} ORDER BY number DESC LIMIT 1"), &[])?;
    Ok(match rows.first().and_then(|row| row.0.first()) {
        Some(Value::Integer(number)) => *number as u64 + 1,
        _ => 1,
    })
}

fn put(transaction: &mut dyn Transaction, table: &str, number: u64, body: &impl Serialize) -> Result<(), StoreError> {
    let body = serde_json::to_string(body).map_err(|error| damaged(&error))?;
    let sql = format!(
        "INSERT INTO {table} (number, body) VALUES ($1, $2) ON CONFLICT (number) DO UPDATE SET body = excluded.body"
    );
    transaction.execute(&sql, &[Value::Integer(number as i64), Value::Text(body)])?;
    Ok(())
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "alerts", detail: error.to_string() }
}
