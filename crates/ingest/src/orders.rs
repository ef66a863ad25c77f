//! Orders in `Records`, and the events that tell the log of them.

use std::sync::Arc;

use merx_domain::{
    Event, EventId, EventKind, EventLine, Money, Order, OrderId, OrderLine, OrderLineKind, OrderStatus, SubjectId,
    TimestampMs,
};
use merx_store::{Migration, Records, Row, Transaction, Value};
use rustc_hash::FxHashMap;

use crate::catalogue::{from_json, to_json, unique_texts};
use crate::changes::{ChangeNumber, limit_value, take};
use crate::rows::{Columns, Result, execute_in, insert, query_in, text, wide};
use crate::segment::EventIdHasher;

/// The subject stands in its column only, so that erasing a person touches no document.
pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-013-orders",
    sql: "CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    subject BYTEA,
    placed_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    change_number BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX orders_subject ON orders (subject);
CREATE INDEX orders_change_number ON orders (change_number);",
};

#[derive(Debug, Clone, PartialEq)]
pub struct StoredOrder {
    pub order: Order,
    pub updated_at: TimestampMs,
    pub change: ChangeNumber,
}

pub struct Orders {
    records: Arc<dyn Records>,
}

impl Orders {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    pub fn get(&self, ids: &[OrderId]) -> Result<Vec<Option<StoredOrder>>> {
        let list = unique_texts(ids.iter().map(OrderId::as_str));
        let sql = format!("SELECT {STORED} FROM orders WHERE id IN ({{list}})");
        let rows = query_in(|sql, values| self.records.query(sql, values), &sql, &list)?;
        let mut found: FxHashMap<OrderId, StoredOrder> = FxHashMap::default();
        for row in &rows {
            let stored = stored(row)?;
            found.insert(stored.order.id.clone(), stored);
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// Orders in the order of their ids, after one of them.
    pub fn list(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<StoredOrder>> {
        let sql = format!("SELECT {STORED} FROM orders WHERE id > $1 ORDER BY id LIMIT $2");
        let after = text(after.map_or("", OrderId::as_str));
        self.records.query(&sql, &[after, limit_value(limit)])?.iter().map(stored).collect()
    }

    /// A subject's orders, newest first.
    pub fn of_subject(&self, subject: SubjectId, limit: usize) -> Result<Vec<StoredOrder>> {
        let sql = format!("SELECT {STORED} FROM orders WHERE subject = $1 ORDER BY placed_at_ms DESC, id LIMIT $2");
        self.records.query(&sql, &[wide(subject.0), limit_value(limit)])?.iter().map(stored).collect()
    }

    /// Orders written after a change, oldest change first.
    pub fn changed_since(&self, change: ChangeNumber, limit: usize) -> Result<Vec<StoredOrder>> {
        let sql = format!("SELECT {STORED} FROM orders WHERE change_number > $1 ORDER BY change_number LIMIT $2");
        self.records.query(&sql, &[Value::Integer(change.0), limit_value(limit)])?.iter().map(stored).collect()
    }

    pub fn count(&self) -> Result<u64> {
        let rows = self.records.query("SELECT COUNT(*) FROM orders", &[])?;
        rows.first().map_or(Ok(0), |row| Ok(row.integer(0)?.unsigned_abs()))
    }

    /// Removes orders that should never have been; what became of real ones is their status. The log keeps its events.
    pub fn remove(&self, ids: &[OrderId]) -> Result<Vec<bool>> {
        let mut removed = Vec::new();
        self.records.transaction(&mut |transaction| {
            removed = Vec::with_capacity(ids.len());
            for id in ids {
                removed.push(transaction.execute("DELETE FROM orders WHERE id = $1", &[text(id.as_str())])? > 0);
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// Takes a person's pseudonyms off their orders, which the shop must keep for its books.
    pub fn forget(&self, subjects: &[SubjectId]) -> Result<u64> {
        let list: Vec<Value> = subjects.iter().map(|subject| wide(subject.0)).collect();
        let mut changed = 0;
        self.records.transaction(&mut |transaction| {
            changed = execute_in(transaction, "UPDATE orders SET subject = NULL WHERE subject IN ({list})", &list)?;
            Ok(())
        })?;
        Ok(changed)
    }

    /// Gives the orders of absorbed subjects to those that absorbed them.
    pub(crate) fn move_subjects(&self, merges: &[(SubjectId, SubjectId)]) -> Result<()> {
        if merges.is_empty() {
            return Ok(());
        }
        self.records.transaction(&mut |transaction| {
            for (absorbed, subject) in merges {
                let sql = "UPDATE orders SET subject = $1 WHERE subject = $2";
                transaction.execute(sql, &[wide(subject.0), wide(absorbed.0)])?;
            }
            Ok(())
        })
    }
}

/// Puts orders within a transaction that does more.
pub(crate) fn put_in(transaction: &mut dyn Transaction, orders: &[&Order], at: TimestampMs) -> Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let first = take(transaction, "order_changes", orders.len())?;
    let mut values = Vec::with_capacity(orders.len() * 6);
    for (order, change) in orders.iter().zip(first..) {
        values.extend([
            text(order.id.as_str()),
            order.subject.map_or(Value::Null, |subject| wide(subject.0)),
            Value::Integer(order.placed_at.0),
            Value::Integer(at.0),
            Value::Integer(change),
            text(document(order)?),
        ]);
    }
    let head = "INSERT INTO orders (id, subject, placed_at_ms, updated_at_ms, change_number, document)";
    let tail = "ON CONFLICT (id) DO UPDATE SET subject = excluded.subject, placed_at_ms = excluded.placed_at_ms, \
                updated_at_ms = excluded.updated_at_ms, change_number = excluded.change_number, \
                document = excluded.document";
    insert(transaction, head, 6, tail, &values)
}

/// Columns that [`stored`] reads.
const STORED: &str = "subject, updated_at_ms, change_number, document";

fn stored(row: &Row) -> Result<StoredOrder> {
    let mut order: Order = from_json(row.text(3)?)?;
    order.subject = if row.is_null(0) { None } else { Some(SubjectId(row.wide(0)?)) };
    Ok(StoredOrder { order, updated_at: TimestampMs(row.integer(1)?), change: ChangeNumber(row.integer(2)?) })
}

fn document(order: &Order) -> Result<String> {
    to_json(&Order { subject: None, ..order.clone() })
}

/// The pseudonym under which an order of nobody known stands in the log: one a order, so that the products bought
/// together stay together. It names no person.
pub fn subject_of_order(id: &OrderId) -> SubjectId {
    SubjectId(EventIdHasher::new("orders").part(b"subject").part(id.as_str().as_bytes()).finish().0)
}

/// The events an order gives, with ids made from the order's, so that telling them again adds nothing. An order that
/// stood there before may have been cancelled or returned since: that happened `at` the time of this change.
pub(crate) fn events_of(order: &Order, before: Option<&Order>, at: TimestampMs) -> Vec<Event> {
    let mut events = Vec::with_capacity(1);
    let later = if before.is_some() { at } else { order.placed_at };
    let (sold, returned): (Vec<&OrderLine>, Vec<&OrderLine>) =
        order.lines.iter().partition(|line| line.kind == OrderLineKind::Sale);
    if !sold.is_empty() {
        events.push(event(order, EventKind::OrderCompleted, "completed", &sold, order.placed_at));
        match order.status {
            OrderStatus::Completed => {}
            OrderStatus::Cancelled => {
                events.push(event(order, EventKind::OrderCancelled, "cancelled", &sold, later));
            }
            OrderStatus::Refunded => events.push(event(order, EventKind::OrderRefunded, "refunded", &sold, later)),
        }
    }
    if !returned.is_empty() {
        // Lines that come back are added at the end: the first ones keep their event.
        let known = before.map_or(0, |before| before.lines.iter().filter(|l| l.kind == OrderLineKind::Return).count());
        let (old, new) = returned.split_at(known.min(returned.len()));
        if before.is_none() || !new.is_empty() {
            let lines = if new.is_empty() { old } else { new };
            events.push(event(order, EventKind::OrderRefunded, &format!("returned {}", old.len()), lines, later));
        }
    }
    events
}

fn event(order: &Order, kind: EventKind, what: &str, lines: &[&OrderLine], at: TimestampMs) -> Event {
    let mut event = Event::new(order_event_id(&order.id, what), SubjectId(0), kind, at);
    event.subject = order.subject.unwrap_or_else(|| subject_of_order(&order.id));
    event.context.market = order.market.clone();
    event.context.device = merx_domain::Device::Server;
    event.order = Some(order.id.clone());
    event.value = total(order, lines);
    event.lines = lines.iter().map(|line| event_line(line)).collect();
    event
}

fn order_event_id(order: &OrderId, what: &str) -> EventId {
    EventIdHasher::new("orders").part(what.as_bytes()).part(order.as_str().as_bytes()).finish()
}

fn event_line(line: &OrderLine) -> EventLine {
    EventLine {
        product: line.product.clone(),
        variant: line.variant.clone(),
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        unit_price: Some(line.unit_price),
        position: None,
    }
}

/// `None` where the sum has no meaning: mixed currencies, or beyond all bounds.
fn total(order: &Order, lines: &[&OrderLine]) -> Option<Money> {
    let mut total = Money::new(0, order.currency);
    for line in lines {
        total = total.checked_add(line.unit_price.times(line.quantity).ok()?).ok()?;
    }
    Some(total)
}
