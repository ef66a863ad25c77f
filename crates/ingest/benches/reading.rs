//! Tracking requests in batches of 500 track events of about 600 bytes: read on one core, and all the way to disk.

use divan::counter::{BytesCount, ItemsCount};
use merx_domain::{Currency, TimestampMs};
use merx_ingest::segment::{self, Call};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use merx_ingest::vault::{MasterKey, Vault};
use merx_ingest::{Arrival, Ingest, MIGRATIONS, Rules};
use merx_store::{LogSettings, Store};

fn main() {
    divan::main();
}

/// `first` makes message ids of its own for each batch.
fn batch(first: usize, events: usize) -> String {
    let item = |n: usize| {
        format!(
            r#"{{"timestamp":"2026-03-04T10:00:{:02}.{:03}Z","type":"track","event":"Product Viewed","properties":{{"product_id":"product-{}","sku":"sku-{}","category":"Garden","name":"Garden hose number {}","price":{}.99,"currency":"EUR","coupon":"SPRING"}},"context":{{"page":{{"path":"/garden/hoses","url":"https://shop.example/garden/hoses","referrer":"https://shop.example/"}},"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0","locale":"de-DE","library":{{"name":"analytics.js","version":"npm:next-1.0.0"}}}},"anonymousId":"visitor-{}","messageId":"ajs-next-1772618400000-{n}"}}"#,
            n % 60,
            n % 1000,
            n % 97,
            n % 89,
            n % 97,
            n % 40,
            n % 53
        )
    };
    let items: Vec<_> = (first..first + events).map(item).collect();
    format!(r#"{{"batch":[{}],"sentAt":"2026-03-04T10:02:00.000Z","writeKey":"key"}}"#, items.join(","))
}

fn arrival() -> Arrival<'static> {
    Arrival {
        received_at: TimestampMs(1_772_618_520_000),
        scope: "key",
        vouched: true,
        global_privacy_control: false,
        user_agent: None,
    }
}

#[divan::bench]
fn read(bencher: divan::Bencher) {
    let body = batch(0, 500);
    let arrival = arrival();
    let rules = Rules::new(Currency::EUR);
    bencher
        .counter(ItemsCount::new(500_usize))
        .counter(BytesCount::of_str(&body))
        .bench(|| segment::read(body.as_bytes(), Call::Batch, &arrival, &rules));
}

/// Read, vault, consent, product numbers and a durable append, from four senders at once; people and products are known.
#[divan::bench(threads = [4], sample_count = 200, sample_size = 1)]
fn read_and_store(bencher: divan::Bencher) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_embedded(folder.path(), MIGRATIONS, LogSettings::default()).expect("a store");
    let key = MasterKey::random().expect("a key");
    let vault = Vault::open(Arc::clone(&store.records), vec![key], 100_000).expect("a vault");
    let ingest = Ingest::new(Arc::clone(&store.records), Arc::clone(&store.log), vault);
    let (arrival, rules, next) = (arrival(), Rules::new(Currency::EUR), AtomicUsize::new(0));
    let accept = |body: &str| {
        let events = segment::read(body.as_bytes(), Call::Batch, &arrival, &rules).expect("a batch");
        let events = events.into_iter().filter_map(Result::ok).collect();
        ingest.accept(events, arrival.received_at).expect("stored")
    };
    accept(&batch(1_000_000_000, 500));
    bencher
        .counter(ItemsCount::new(500_usize))
        .with_inputs(|| batch(next.fetch_add(500, Ordering::Relaxed), 500))
        .bench_refs(|body| accept(body));
}
