//! Reading of tracking requests on one core: batches of 500 track events of about 600 bytes.

use divan::counter::{BytesCount, ItemsCount};
use merx_domain::{Currency, TimestampMs};
use merx_ingest::segment::{self, Call};
use merx_ingest::{Arrival, Rules};

fn main() {
    divan::main();
}

fn batch(events: usize) -> String {
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
    let items: Vec<_> = (0..events).map(item).collect();
    format!(r#"{{"batch":[{}],"sentAt":"2026-03-04T10:02:00.000Z","writeKey":"key"}}"#, items.join(","))
}

#[divan::bench]
fn batches_of_500(bencher: divan::Bencher) {
    let body = batch(500);
    let arrival = Arrival {
        received_at: TimestampMs(1_772_618_520_000),
        scope: "key",
        global_privacy_control: false,
        user_agent: None,
    };
    let rules = Rules::new(Currency::EUR);
    bencher
        .counter(ItemsCount::new(500_usize))
        .counter(BytesCount::of_str(&body))
        .bench(|| segment::read(body.as_bytes(), Call::Batch, &arrival, &rules));
}
