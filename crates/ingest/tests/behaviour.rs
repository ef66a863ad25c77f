//! Requests as the clients send them (ids made up), and what must become of them.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]

use merx_domain::{Currency, Device, EventKind, IdentityKind, Money, Purposes, TimestampMs};
use merx_ingest::segment::{self, Call};
use merx_ingest::{Arrival, BodyError, ConsentCategories, RawEvent, Rejection, Rules, ga4};
use proptest::prelude::*;

const BATCH: &str = include_str!("fixtures/segment/server_batch.json");

fn arrival(received_at: &str) -> Arrival<'static> {
    Arrival {
        received_at: TimestampMs::parse(received_at).unwrap(),
        scope: "key",
        vouched: true,
        global_privacy_control: false,
        user_agent: None,
    }
}

fn rules() -> Rules {
    Rules::new(Currency::EUR)
}

fn read(body: &str, call: Call, received_at: &str) -> Vec<Result<RawEvent, Rejection>> {
    segment::read(body.as_bytes(), call, &arrival(received_at), &rules()).unwrap()
}

fn one(body: &str, call: Call, received_at: &str) -> RawEvent {
    read(body, call, received_at).remove(0).unwrap()
}

/// One track call of a visitor with these properties.
fn track(event: &str, properties: &str) -> RawEvent {
    let body = format!(r#"{{"anonymousId":"v","messageId":"m","event":"{event}","properties":{properties}}}"#);
    one(&body, Call::Track, "2026-03-04T12:00:00Z")
}

fn property<'e>(event: &'e RawEvent, key: &str) -> Option<&'e str> {
    event.draft().properties.get(key).map(String::as_str)
}

#[test]
fn long_and_short_paths_are_the_same_call() {
    for (long, short) in [
        ("track", "t"),
        ("page", "p"),
        ("screen", "s"),
        ("identify", "i"),
        ("group", "g"),
        ("alias", "a"),
        ("batch", "b"),
    ] {
        assert!(Call::from_path(long).is_some());
        assert_eq!(Call::from_path(long), Call::from_path(short));
    }
    assert_eq!(Call::from_path("tracks"), None);
}

#[test]
fn a_page_of_the_browser_library() {
    let raw = one(include_str!("fixtures/segment/browser_page.json"), Call::Page, "2026-03-04T10:00:00.300Z");
    assert_eq!(raw.kind(), EventKind::Page);
    assert_eq!((raw.identities.user_id.as_deref(), raw.identities.anonymous_id.as_deref()), (None, Some("visitor-7")));
    let event = raw.draft();
    assert_eq!(event.occurred_at.to_string(), "2026-03-04T10:00:00.200Z");
    assert_eq!(event.context.page_path.as_deref(), Some("/garden"));
    assert_eq!(event.context.referrer_host.as_deref(), Some("search.example"));
    assert_eq!(event.context.device, Device::Desktop);
    assert_eq!(event.context.library.as_deref(), Some("analytics.js npm:next-1.0.0"));
    assert_eq!(event.context.campaign_source.as_deref(), Some("letter"));
    assert_eq!(property(&raw, "name"), Some("\"Tools\""));
    assert!(!format!("{event:?}").contains("kim"), "{event:?}");
}

#[test]
fn an_identify_hands_names_to_the_vault_and_nothing_else() {
    let raw = one(include_str!("fixtures/segment/browser_identify.json"), Call::Identify, "2026-03-04T10:01:00.010Z");
    let details: Vec<_> = raw.identities.details.iter().map(|d| (d.kind, d.value.as_str())).collect();
    assert_eq!(
        details,
        [
            (IdentityKind::Address, r#"{"street":"Am Bach 3","city":"Wien"}"#),
            (IdentityKind::Email, "kim@post.example"),
            (IdentityKind::Phone, "+43 1 5550100"),
            (IdentityKind::Name, "Kim Berg"),
        ]
    );
    let kept: Vec<_> = raw.draft().properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(kept, [("plan", "\"gold\"")]);
    assert_eq!(raw.draft().context.device, Device::Phone);
    let shown = format!("{raw:?}");
    for secret in ["kim", "Berg", "Bach", "555", "203.0", "1990", "customer-31"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn an_alias_to_itself_is_accepted() {
    let raw = one(include_str!("fixtures/segment/browser_alias_to_itself.json"), Call::Alias, "2026-03-04T10:02:01Z");
    assert_eq!(raw.kind(), EventKind::Alias);
    assert_eq!(raw.identities.previous_id, raw.identities.user_id);
}

#[test]
fn a_batch_answers_by_position() {
    let results = read(BATCH, Call::Batch, "2026-03-04T11:00:02Z");
    let codes: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().err().map(|rejection| (rejection.position, rejection.reason.code())))
        .collect();
    assert_eq!(
        codes,
        [
            None,
            None,
            None,
            Some((3, "no_user_anon_id")),
            Some((4, "missing_event_name")),
            Some((5, "unknown_type")),
            Some((6, "invalid_event")),
            Some((7, "missing_product_id")),
            Some((8, "invalid_timestamp")),
            Some((9, "invalid_quantity")),
            None,
            None,
            None,
        ]
    );
    for rejection in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(!rejection.reason.hint().is_empty() && !rejection.reason.to_string().is_empty());
    }
}

#[test]
fn a_product_event_keeps_line_consent_and_context() {
    let raw = read(BATCH, Call::Batch, "2026-03-04T11:00:02Z").remove(1).unwrap();
    let event = raw.draft();
    assert_eq!(event.kind, EventKind::ProductAdded);
    let line = &event.lines[0];
    assert_eq!((line.product.as_str(), line.variant.as_ref().unwrap().as_str()), ("hose-20", "hose-20-green"));
    assert_eq!((line.quantity, line.position), (2, Some(3)));
    assert_eq!(line.unit_price, Some(Money::new(1899, Currency::EUR)));
    assert_eq!(event.consent.granted, Purposes::MARKETING | Purposes::ANALYTICS | Purposes::PERSONALISATION);
    assert_eq!(event.consent.denied, Purposes::SALE_SHARING);
    // It was sent a month after it happened: it belongs to its own day.
    assert_eq!(event.occurred_at.to_string(), "2026-01-31T23:59:59.500Z");
    // Its own locale counts, what it doesn't say comes from the batch.
    assert_eq!(event.context.locale.as_deref(), Some("en-GB"));
    assert_eq!(event.context.market.as_str(), "FR");
    assert_eq!(event.context.campaign_source.as_deref(), Some("shared"));
    assert_eq!(event.context.device, Device::Desktop);
    assert_eq!(property(&raw, "variant"), Some("\"green\""));
    assert_eq!(property(&raw, "cart_id"), Some("\"cart-5\""));
    let mention = &raw.mentions[0];
    assert_eq!((mention.name.as_deref(), mention.brand.as_deref()), (Some("Hose 20 m"), Some("Rill")));
    assert_eq!(mention.url.as_deref(), Some("https://shop.example/hose-20"));
}

#[test]
fn a_v1_name_with_an_order() {
    let raw = read(BATCH, Call::Batch, "2026-03-04T11:00:02Z").remove(2).unwrap();
    let event = raw.draft();
    assert_eq!(event.kind, EventKind::OrderCompleted);
    assert_eq!(event.order.as_ref().unwrap().as_str(), "order-900");
    assert_eq!(event.value, Some(Money::new(3798, Currency::GBP)));
    let lines: Vec<_> =
        event.lines.iter().map(|l| (l.product.as_str(), l.quantity, l.unit_price.unwrap().minor)).collect();
    assert_eq!(lines, [("hose-20", 2, 1899), ("71", 1, 10)]);
    assert_eq!(raw.identities.user_id.as_deref(), Some("31"));
    assert_eq!(property(&raw, "email"), None);
    assert_eq!(property(&raw, "shipping"), Some("5"));
    assert_eq!(event.consent, Default::default());
}

#[test]
fn lines_may_name_their_decisions_and_the_event_has_the_first() {
    let [first, second] = ["0193a1f2c0de5a3b7c4d9e8f01234567", "0193a1f2c0de5a3b7c4d9e8f0123456a"];
    let lines = format!(
        r#""products": [{{"product_id": "a"}}, {{"product_id": "b", "decision_id": "{second}"}}, {{"product_id": "c", "decision_id": "{first}"}}]"#
    );
    let order = track("Order Completed", &format!(r#"{{"order_id": "o1", {lines}}}"#));
    assert_eq!(order.draft().decision.unwrap().to_string(), second);
    let named = track("Order Completed", &format!(r#"{{"order_id": "o1", "decision_id": "{first}", {lines}}}"#));
    assert_eq!(named.draft().decision.unwrap().to_string(), first, "what the whole order names comes first");
}

#[test]
fn rudderstack_events_are_corrected_by_their_own_clock() {
    let body = include_str!("fixtures/segment/rudderstack_batch.json");
    // The sender's clock is an hour behind ours: five seconds passed between happening and sending.
    let raw = read(body, Call::Batch, "2026-03-04T12:30:05Z").remove(0).unwrap();
    assert_eq!(raw.draft().occurred_at.to_string(), "2026-03-04T12:30:00.000Z");
    assert_eq!(raw.draft().context.device, Device::Server);
    assert_eq!(raw.draft().lines[0].product.as_str(), "pot-1");
}

#[test]
fn absurd_clocks_are_bounded() {
    let at = |timestamp: &str, sent: &str| {
        let body = format!(r#"{{"anonymousId":"v","event":"Hop","timestamp":"{timestamp}","sentAt":"{sent}"}}"#);
        one(&body, Call::Track, "2026-03-04T12:00:00Z").draft().occurred_at.to_string()
    };
    let received = "2026-03-04T12:00:00.000Z";
    assert_eq!(at("2099-01-01T00:00:00Z", "2026-03-04T12:00:00Z"), received);
    assert_eq!(at("1970-01-01T00:00:00Z", "2026-03-04T12:00:00Z"), received);
    assert_eq!(at("1970-01-01T00:00:10Z", "1970-01-01T00:00:15Z"), "2026-03-04T11:59:55.000Z");
}

#[test]
fn consent_is_silent_refused_or_spoken() {
    let stamp = |context: &str| {
        let body = format!(r#"{{"anonymousId":"v","event":"Hop","context":{context}}}"#);
        one(&body, Call::Track, "2026-03-04T12:00:00Z").draft().consent
    };
    let everything = Purposes::all() - Purposes::NECESSARY;
    assert_eq!(stamp("{}"), Default::default());
    assert_eq!(stamp(r#"{"consent":null}"#), Default::default());
    assert_eq!(stamp(r#"{"consent":{}}"#).denied, everything);
    assert_eq!(stamp(r#"{"consent":{"categoryPreferences":{}}}"#).denied, everything);
    assert_eq!(stamp(r#"{"consent":{"categoryPreferences":{"Analytics":"perhaps"}}}"#).denied, Purposes::ANALYTICS);
}

#[test]
fn a_shop_names_its_own_consent_categories() {
    let mut rules = rules();
    rules.consent = ConsentCategories::new([("C0002", Purposes::ANALYTICS), ("C0004", Purposes::MARKETING)]);
    let body = r#"{"type":"track","anonymousId":"v","event":"Segment Consent Preference Updated",
        "context":{"consent":{"categoryPreferences":{"C0002":true,"C0004":false}}}}"#;
    let arrival = Arrival { global_privacy_control: true, ..arrival("2026-03-04T12:00:00Z") };
    let raw = segment::read(body.as_bytes(), Call::Track, &arrival, &rules).unwrap().remove(0).unwrap();
    assert_eq!(raw.kind(), EventKind::ConsentUpdated);
    let consent = raw.draft().consent;
    assert_eq!((consent.granted, consent.denied), (Purposes::ANALYTICS, Purposes::MARKETING));
    assert!(consent.global_privacy_control);
}

#[test]
fn a_repeated_message_has_the_same_id_in_its_scope_only() {
    let id = |scope: &'static str, message: &str| {
        let body = format!(r#"{{"anonymousId":"v","event":"Hop","messageId":{message}}}"#);
        let arrival = Arrival { scope, ..arrival("2026-03-04T12:00:00Z") };
        segment::read(body.as_bytes(), Call::Track, &arrival, &rules()).unwrap().remove(0).unwrap().draft().id
    };
    assert_eq!(id("a", "\"m1\""), id("a", "\"m1\""));
    assert_ne!(id("a", "\"m1\""), id("a", "\"m2\""));
    assert_ne!(id("a", "\"m1\""), id("b", "\"m1\""));
}

#[test]
fn without_message_ids_content_and_date_tell_events_apart() {
    let id = |body: &str, received: &str| one(body, Call::Track, received).draft().id;
    let dated =
        r#"{"anonymousId":"v","event":"Hop","timestamp":"2026-03-04T11:00:00Z","sentAt":"2026-03-04T11:00:09Z"}"#;
    let resent =
        r#"{"anonymousId":"v","event":"Hop","timestamp":"2026-03-04T11:00:00Z","sentAt":"2026-03-04T11:05:00Z"}"#;
    assert_eq!(id(dated, "2026-03-04T12:00:00Z"), id(resent, "2026-03-04T12:05:00Z"));
    let undated = r#"{"anonymousId":"v","event":"Hop"}"#;
    assert_ne!(id(undated, "2026-03-04T12:00:00Z"), id(undated, "2026-03-04T12:05:00Z"));
}

#[test]
fn every_name_of_the_vocabulary_is_known() {
    for &kind in EventKind::ALL.iter().filter(|kind| kind.code() < 60) {
        let raw = track(kind.name(), r#"{"product_id":"p","order_id":"o"}"#);
        assert_eq!(raw.kind(), kind);
        assert_eq!(raw.draft().custom_name, None);
    }
    let custom = track("Sofa Assembled", r#"{"minutes":12,"gift":{"to":"kim@post.example","wrap":true}}"#);
    assert_eq!((custom.kind(), custom.draft().custom_name.as_deref()), (EventKind::Custom, Some("Sofa Assembled")));
    assert_eq!(property(&custom, "minutes"), Some("12"));
    assert_eq!(property(&custom, "gift"), Some(r#"{"wrap":true}"#));
}

#[test]
fn lists_searches_decisions_and_values_find_their_fields() {
    let decision = "0123456789abcdef0123456789abcdef";
    let list = track(
        "Product List Viewed",
        &format!(
            r#"{{"list_id":"home","category":"All","decision_id":"{decision}","products":[{{"product_id":"a","position":1}},{{"sku":"b"}}]}}"#
        ),
    );
    assert_eq!(list.draft().list.as_deref(), Some("home"));
    assert_eq!(list.draft().decision.unwrap().to_string(), decision);
    assert_eq!(list.draft().lines.len(), 2);
    assert_eq!(track("Products Searched", r#"{"query":" red roses "}"#).draft().query.as_deref(), Some("red roses"));
    assert_eq!(track("Products Searched", r#"{"query":"kim@post.example"}"#).draft().query, None);
    let coupon = track("Coupon Applied", r#"{"discount":"2.50","currency":"usd"}"#);
    assert_eq!(coupon.draft().value, Some(Money::new(250, Currency::USD)));
    // An amount that isn't one is no reason to lose the event, nor is it lost itself.
    let free = track("Product Viewed", r#"{"product_id":"p","price":"on request"}"#);
    assert_eq!((free.draft().lines[0].unit_price, property(&free, "price")), (None, Some("\"on request\"")));
}

#[test]
fn senders_that_make_ids_of_nothing_name_nobody() {
    let results = read(
        r#"{"batch":[{"type":"track","event":"Hop","userId":"undefined","anonymousId":"null"},
                     {"type":"track","event":"Hop","userId":{},"anonymousId":"v"}]}"#,
        Call::Batch,
        "2026-03-04T12:00:00Z",
    );
    assert_eq!(results[0].as_ref().unwrap_err().reason.code(), "no_user_anon_id");
    assert_eq!(results[1].as_ref().unwrap().identities.anonymous_id.as_deref(), Some("v"));
}

#[test]
fn limits_hold_for_events_bodies_and_batches() {
    let arrival = arrival("2026-03-04T12:00:00Z");
    let read = |body: String| segment::read(body.as_bytes(), Call::Batch, &arrival, &rules());
    let item =
        |padding: usize| format!(r#"{{"type":"track","userId":"u","event":"Hop","x":"{}"}}"#, "y".repeat(padding));
    let batch = |items: &[String]| format!(r#"{{"batch":[{}]}}"#, items.join(","));

    let results = read(batch(&[item(32 * 1024), item(10)])).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().reason.code(), "event_too_large");
    assert!(results[1].is_ok());
    assert_eq!(read(batch(&vec![item(1); 2_500])).unwrap().len(), 2_500);
    assert_eq!(read(batch(&vec![item(1); 2_501])), Err(BodyError::TooManyEvents { events: 2_501, limit: 2_500 }));
    assert!(matches!(read(batch(&vec![item(30_000); 20])), Err(BodyError::TooLarge { limit: 512_000, .. })));
    assert!(matches!(read("{\"batch\":".to_owned()), Err(BodyError::InvalidJson { .. })));
}

#[test]
fn the_write_key_is_found_in_the_body() {
    assert_eq!(segment::write_key(BATCH.as_bytes()).as_deref(), Some("key-of-server"));
    assert_eq!(segment::write_key(b"{}"), None);
}

#[test]
fn ga4_names_mean_the_same_events() {
    let body = include_bytes!("fixtures/ga4_purchase.json");
    let mut results = ga4::read(body, &arrival("2026-03-04T12:00:00Z"), &rules()).unwrap();
    assert_eq!(results[2].as_ref().unwrap_err().reason.code(), "missing_product_id");
    let custom = results.remove(3).unwrap();
    assert_eq!(custom.draft().custom_name.as_deref(), Some("level_up"));
    let view = results.remove(1).unwrap();
    assert_eq!(view.kind(), EventKind::ProductViewed);
    assert!(view.draft().properties.is_empty());
    let purchase = results.remove(0).unwrap();
    let event = purchase.draft();
    assert_eq!(event.kind, EventKind::OrderCompleted);
    assert_eq!(event.order.as_ref().unwrap().as_str(), "order-77");
    assert_eq!(event.value, Some(Money::new(3800, Currency::EUR)));
    assert_eq!((event.lines[0].product.as_str(), event.lines[0].position), ("TEE-1", Some(1)));
    assert_eq!(event.occurred_at, TimestampMs(1_772_618_400_123));
    assert_eq!((event.consent.granted, event.consent.denied), (Purposes::MARKETING, Purposes::SALE_SHARING));
    assert_eq!(purchase.identities.anonymous_id.as_deref(), Some("555.666"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for call in [Call::Batch, Call::Track, Call::Identify, Call::Page] {
            let _ = segment::read(&bytes, call, &arrival("2026-03-04T12:00:00Z"), &rules());
        }
        let _ = ga4::read(&bytes, &arrival("2026-03-04T12:00:00Z"), &rules());
        let _ = merx_ingest::gunzip(&bytes, 1_000);
    }

    /// A valid batch with some bytes replaced: what is still JSON reaches every field.
    #[test]
    fn no_damage_panics(changes in proptest::collection::vec((0..BATCH.len(), prop::sample::select(b"\"{}[],:0x\\ n-".to_vec())), 1..6)) {
        let mut bytes = BATCH.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = segment::read(&bytes, Call::Batch, &arrival("2026-03-04T12:00:00Z"), &rules());
    }

    /// Whatever a value is, a field named for a person never reaches the event.
    #[test]
    fn personal_fields_are_never_kept(
        key in prop::sample::select(vec!["email", "Customer_Email", "phone", "billing_address", "ip", "firstName"]),
        value in "[a-z0-9 ]{1,20}",
    ) {
        let raw = track("Hop", &format!(r#"{{"{key}":"{value}","nested":{{"{key}":["{value}"]}}}}"#));
        prop_assert!(raw.draft().properties.is_empty());
    }
}
