//! Events as a table that any engine reads: one row an event, in the day it happened.
//!
//! Ids are hexadecimal text, money is minor units beside its currency, lines are a list of structures, properties a
//! map of JSON texts: plain types that DuckDB and Spark know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int16Array, Int32Array, Int64Array, ListArray, MapBuilder, StringArray,
    StringBuilder, StructArray, TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use merx_domain::{Device, Event, EventLine, Money, SubjectId};

use crate::{EventLog, Lake, Result, StoreError};

/// The table of events in the lake, and the name of the reader that fills it.
pub const EVENTS_TABLE: &str = "events";
pub const READER: &str = "lake";
const SUBJECT: &str = "subject";
/// Events of one export. It stays the same: a part written again must hold at least what it held.
const EXPORT_EVENTS: usize = 50_000;

/// Exports the next events of the log, late ones into their own day, and remembers how far it came. Returns the number
/// of events; 0 when there was nothing new. After a crash in between, the same parts are written again.
pub fn export_events(log: &dyn EventLog, lake: &dyn Lake) -> Result<usize> {
    let after = log.checkpoint(READER)?;
    let events = log.read(after, EXPORT_EVENTS)?;
    let Some(&(last, _)) = events.last() else { return Ok(0) };
    let part = format!("from-{:020}", after.map_or(0, |offset| offset.0 + 1));
    let count = events.len();
    let mut days: BTreeMap<i32, Vec<Event>> = BTreeMap::new();
    for (_, event) in events {
        days.entry(event.occurred_at.day()).or_default().push(event);
    }
    for (day, events) in days {
        lake.write(EVENTS_TABLE, day, &part, &event_batch(&events)?)?;
    }
    log.commit(READER, last)?;
    Ok(count)
}

/// Removes the events of subjects from the lake. Returns how many.
pub fn erase_events(lake: &dyn Lake, subjects: &[SubjectId]) -> Result<u64> {
    if subjects.is_empty() {
        return Ok(0);
    }
    let erased: BTreeSet<String> = subjects.iter().map(SubjectId::to_string).collect();
    let stays = |found: Option<&str>| found.is_none_or(|found| !erased.contains(found));
    lake.rewrite(EVENTS_TABLE, &|batch| match batch.column_by_name(SUBJECT) {
        Some(subjects) => subjects.as_string::<i32>().iter().map(stays).collect(),
        None => vec![true; batch.num_rows()],
    })
}

/// One row an event, in the order given.
pub fn event_batch(events: &[Event]) -> Result<RecordBatch> {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", text(events, |event| Some(event.id.to_string()))),
        (SUBJECT, text(events, |event| Some(event.subject.to_string()))),
        ("kind", text(events, |event| Some(event.kind.name()))),
        ("occurred_at", time(events.iter().map(|event| event.occurred_at.0))),
        ("received_at", time(events.iter().map(|event| event.received_at.0))),
        ("consent_granted", bits(events.iter().map(|event| event.consent.granted.bits()))),
        ("consent_denied", bits(events.iter().map(|event| event.consent.denied.bits()))),
        ("global_privacy_control", flags(events.iter().map(|event| event.consent.global_privacy_control))),
        ("market", text(events, |event| Some(event.context.market.as_str()))),
        ("device", text(events, |event| Some(device_name(event.context.device)))),
        ("locale", text(events, |event| event.context.locale.as_deref())),
        ("page_path", text(events, |event| event.context.page_path.as_deref())),
        ("referrer_host", text(events, |event| event.context.referrer_host.as_deref())),
        ("campaign_source", text(events, |event| event.context.campaign_source.as_deref())),
        ("campaign_name", text(events, |event| event.context.campaign_name.as_deref())),
        ("library", text(events, |event| event.context.library.as_deref())),
        ("lines", lines(events)?),
        ("order", text(events, |event| event.order.as_ref().map(|order| order.as_str()))),
        ("query", text(events, |event| event.query.as_deref())),
        ("list", text(events, |event| event.list.as_deref())),
        ("value_minor", minor(events.iter().map(|event| event.value))),
        ("value_currency", text(events, |event| currency(event.value.as_ref()))),
        ("decision", text(events, |event| event.decision.map(|id| id.to_string()))),
        ("merged_from", text(events, |event| event.merged_from.map(|id| id.to_string()))),
        ("custom_name", text(events, |event| event.custom_name.as_deref())),
        ("properties", properties(events)?),
    ];
    // Every column may be empty by its schema, so that parts with and without values merge.
    let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).map_err(failed)
}

fn text<'a, T, S: AsRef<str>>(items: &'a [T], of: impl Fn(&'a T) -> Option<S>) -> ArrayRef {
    Arc::new(items.iter().map(of).collect::<StringArray>())
}

fn time(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// A byte of bits as a signed number: not every engine has unsigned ones.
fn bits(values: impl Iterator<Item = u8>) -> ArrayRef {
    Arc::new(values.map(|bits| Some(i16::from(bits))).collect::<Int16Array>())
}

fn flags(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

fn minor(values: impl Iterator<Item = Option<Money>>) -> ArrayRef {
    Arc::new(values.map(|money| money.map(|money| money.minor)).collect::<Int64Array>())
}

fn currency(money: Option<&Money>) -> Option<&str> {
    money.map(|money| money.currency.as_str())
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Unknown => "unknown",
        Device::Desktop => "desktop",
        Device::Phone => "phone",
        Device::Tablet => "tablet",
        Device::Server => "server",
    }
}

fn lines(events: &[Event]) -> Result<ArrayRef> {
    let all: Vec<&EventLine> = events.iter().flat_map(|event| &event.lines).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("product", text(&all, |line| Some(line.product.as_str()))),
        ("variant", text(&all, |line| line.variant.as_ref().map(|variant| variant.as_str()))),
        ("quantity", Arc::new(all.iter().map(|line| Some(line.quantity)).collect::<Int32Array>())),
        ("unit_price_minor", minor(all.iter().map(|line| line.unit_price))),
        ("unit_price_currency", text(&all, |line| currency(line.unit_price.as_ref()))),
        ("position", Arc::new(all.iter().map(|line| line.position.map(i64::from)).collect::<Int64Array>())),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, column)| Arc::new(Field::new(*name, column.data_type().clone(), true))).collect();
    let rows = StructArray::try_new(fields.into(), columns.into_iter().map(|(_, column)| column).collect(), None)
        .map_err(failed)?;
    let item = Arc::new(Field::new("item", rows.data_type().clone(), true));
    let lengths = OffsetBuffer::from_lengths(events.iter().map(|event| event.lines.len()));
    Ok(Arc::new(ListArray::try_new(item, lengths, Arc::new(rows), None).map_err(failed)?))
}

fn properties(events: &[Event]) -> Result<ArrayRef> {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for event in events {
        for (name, value) in &event.properties {
            builder.keys().append_value(name);
            builder.values().append_value(value);
        }
        builder.append(true).map_err(failed)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn failed(error: arrow::error::ArrowError) -> StoreError {
    StoreError::Unavailable { what: "event table", detail: error.to_string() }
}
