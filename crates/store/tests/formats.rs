//! Bytes of every format ever written stay readable: the files in `fixtures` are never written again.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at errors")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use merx_domain::{
    ConsentStamp, Currency, DAY_MS, DecisionId, Device, Event, EventContext, EventId, EventKind, EventLine, MarketId,
    Money, OrderId, ProductId, Purposes, SubjectId, TimestampMs, VariantId,
};
use merx_store::codec::{decode_event, encode_event};
use merx_store::embedded::{MemoryOnlineStore, ParquetLake, SqliteEventLog};
use merx_store::lake_events::{EVENTS_TABLE, erase_events, event_batch, export_events};
use merx_store::{EventLog, Lake, LogOffset, LogSettings, OnlineKey, OnlineStore, StoreError};

const EVENT_1: &[u8] = include_bytes!("fixtures/event-1.bin");
const ONLINE_1: &[u8] = include_bytes!("fixtures/online-snapshot-1.bin");

/// Every field has a value.
fn full_event() -> Event {
    Event {
        id: EventId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        subject: SubjectId(u128::MAX - 1),
        kind: EventKind::OrderCompleted,
        occurred_at: TimestampMs(1_767_323_045_678),
        received_at: TimestampMs(1_767_323_046_000),
        consent: ConsentStamp {
            granted: Purposes::ANALYTICS | Purposes::PERSONALISATION,
            denied: Purposes::MARKETING,
            global_privacy_control: true,
        },
        context: EventContext {
            market: MarketId::new("de").unwrap(),
            device: Device::Phone,
            locale: Some("de-DE".into()),
            page_path: Some("/kasse".into()),
            referrer_host: Some("example.org".into()),
            campaign_source: Some("newsletter".into()),
            campaign_name: Some("winter".into()),
            library: Some("analytics.js 5.2".into()),
        },
        lines: vec![
            EventLine {
                product: ProductId::new("lamp").unwrap(),
                variant: Some(VariantId::new("lamp-red").unwrap()),
                quantity: 2,
                unit_price: Some(Money::new(1_999, Currency::EUR)),
                position: Some(3),
            },
            EventLine {
                product: ProductId::new("stuhl-ü").unwrap(),
                variant: None,
                quantity: -1,
                unit_price: None,
                position: None,
            },
        ],
        order: Some(OrderId::new("o-1").unwrap()),
        query: Some("rote lampe".into()),
        list: Some("home".into()),
        value: Some(Money::new(-5, Currency::GBP)),
        decision: Some(DecisionId(7)),
        merged_from: Some(SubjectId(9)),
        custom_name: Some("Sofa Assembled".into()),
        properties: BTreeMap::from([("gift".into(), "true".into()), ("size".into(), "\"L\"".into())]),
    }
}

#[test]
fn event_format_1() {
    assert_eq!(decode_event(EVENT_1).unwrap(), full_event());
    assert_eq!(encode_event(&full_event()).unwrap(), EVENT_1, "a new format takes a new number and a new fixture");
}

#[test]
fn any_changed_byte_of_an_event_is_noticed() {
    for at in 0..EVENT_1.len() {
        let mut changed = EVENT_1.to_vec();
        changed[at] ^= 0x20;
        assert!(matches!(decode_event(&changed), Err(StoreError::Damaged { .. })), "byte {at}");
        assert!(matches!(decode_event(&EVENT_1[..at]), Err(StoreError::Damaged { .. })), "cut at {at}");
    }
}

#[test]
fn online_snapshot_format_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("online.snapshot");
    let key = OnlineKey { space: 3, id: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10 };
    let written = MemoryOnlineStore::open(&path).unwrap();
    written.update(key, &mut |value| value.extend(b"state")).unwrap();
    written.snapshot(LogOffset(42)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), ONLINE_1, "a new format takes a new number and a new fixture");

    std::fs::write(&path, ONLINE_1).unwrap();
    let read = MemoryOnlineStore::open(&path).unwrap();
    assert_eq!(read.restored_at(), Some(LogOffset(42)));
    assert_eq!(read.size().unwrap(), (1, 5));
    read.read(key, &mut |value| assert_eq!(value, Some(&b"state"[..]))).unwrap();
}

#[test]
fn a_damaged_online_snapshot_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("online.snapshot");
    for at in 0..ONLINE_1.len() {
        let mut changed = ONLINE_1.to_vec();
        changed[at] ^= 0x81;
        std::fs::write(&path, changed).unwrap();
        let store = MemoryOnlineStore::open(&path).unwrap();
        assert_eq!((store.restored_at(), store.size().unwrap()), (None, (0, 0)), "byte {at}");
    }
}

#[test]
fn events_are_a_table() {
    let plain = Event::new(EventId(1), SubjectId(2), EventKind::Page, TimestampMs(5));
    let batch = event_batch(&[full_event(), plain]).unwrap();
    let text = |name: &str, row| {
        let column = batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    assert_eq!(text("id", 0).as_deref(), Some("0102030405060708090a0b0c0d0e0f10"));
    assert_eq!(text("kind", 0).as_deref(), Some("Order Completed"));
    assert_eq!((text("value_currency", 0).as_deref(), text("value_currency", 1)), (Some("GBP"), None));
    let times = batch.column_by_name("occurred_at").unwrap().as_primitive::<TimestampMillisecondType>();
    assert_eq!((times.value(0), times.value(1)), (1_767_323_045_678, 5));
    let lines = batch.column_by_name("lines").unwrap().as_list::<i32>();
    assert_eq!((lines.value_length(0), lines.value_length(1)), (2, 0));
    let first = lines.value(0);
    let prices = first.as_struct().column_by_name("unit_price_minor").unwrap().as_primitive::<Int64Type>();
    assert_eq!((prices.value(0), prices.is_null(1)), (1_999, true));
    let properties = batch.column_by_name("properties").unwrap().as_map();
    assert_eq!((properties.value_length(0), properties.value_length(1)), (2, 0));
}

#[test]
fn the_log_is_exported_by_day_and_a_repeated_export_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteEventLog::open(&folder.path().join("log"), LogSettings::default()).unwrap();
    let lake = Arc::new(ParquetLake::open(&folder.path().join("lake")).unwrap());
    let event = |id: u128, day: i64| {
        Event::new(EventId(id), SubjectId(id % 2), EventKind::Page, TimestampMs(day * DAY_MS + id as i64))
    };
    let rows = |day| {
        let mut rows = 0;
        lake.scan(EVENTS_TABLE, day, &mut |batch| {
            rows += batch.num_rows();
            Ok(())
        })
        .unwrap();
        rows
    };
    log.append(vec![event(1, 10)]).unwrap();
    assert_eq!(export_events(&log, &*lake).unwrap(), 1);
    let before = log.checkpoint("lake").unwrap().unwrap();
    log.append(vec![event(2, 11), event(3, 11)]).unwrap();
    assert_eq!(export_events(&log, &*lake).unwrap(), 2);
    // As if it had crashed before it could save how far it came, and more came in since; event 4 is late.
    log.commit("lake", before).unwrap();
    log.append(vec![event(4, 10), event(5, 12)]).unwrap();
    assert_eq!(export_events(&log, &*lake).unwrap(), 4);
    assert_eq!(export_events(&log, &*lake).unwrap(), 0);
    assert_eq!(lake.days(EVENTS_TABLE).unwrap(), [10, 11, 12]);
    assert_eq!([rows(10), rows(11), rows(12)], [2, 2, 1]);
    assert_eq!(erase_events(&*lake, &[SubjectId(1)]).unwrap(), 3);
    assert_eq!([rows(10), rows(11), rows(12)], [1, 1, 0]);
}
