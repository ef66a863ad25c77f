//! The Segment tracking API, with requests shaped as its client libraries send them.

use std::io::Write;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merx_domain::{EventKind, Purposes};
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{Reply, call, request, send};

/// A recorded request: path, headers (without the key) and body.
struct Recorded {
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
}

fn recorded(text: &str) -> Vec<Recorded> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    let read = |one: Value| Recorded {
        path: one["path"].as_str().unwrap().to_owned(),
        headers: (one["headers"].as_object().unwrap().iter())
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        body: one["body"].clone(),
    };
    all.into_iter().map(read).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends a recorded request with Basic authentication, as the libraries do.
async fn replay(shop: &Shop, recorded: &Recorded) -> Reply {
    let mut request = Request::builder().method("POST").uri(&recorded.path);
    request = request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{}:", shop.public))));
    let mut body = recorded.body.to_string().into_bytes();
    for (name, value) in &recorded.headers {
        if name == "content-encoding" {
            body = gzip(&body);
        }
        request = request.header(name, value);
    }
    send(shop, request.body(Body::from(body)).unwrap()).await
}

fn kinds(shop: &Shop) -> Vec<EventKind> {
    shop.intake.events.lock().iter().map(|(event, _)| event.kind).collect()
}

#[tokio::test]
async fn the_browser_library_is_served() {
    let shop = Shop::open();
    for request in recorded(include_str!("../fixtures/segment/analytics-next.json")) {
        let reply = replay(&shop, &request).await;
        assert_eq!(reply.ok(), json!({"success": true}), "{}", request.path);
    }
    use EventKind::{Alias, CartViewed, Group, Identify, Page, ProductClicked, ProductListViewed, ProductViewed};
    assert_eq!(
        kinds(&shop),
        [Page, Identify, ProductViewed, Group, Alias, ProductListViewed, ProductClicked, CartViewed]
    );
}

#[tokio::test]
async fn the_server_libraries_are_served() {
    for fixture in [
        include_str!("../fixtures/segment/analytics-node.json"),
        include_str!("../fixtures/segment/rudderstack-node.json"),
    ] {
        let shop = Shop::open();
        let requests = recorded(fixture);
        for request in &requests {
            assert_eq!(replay(&shop, request).await.ok(), json!({"success": true}));
        }
        let stored = kinds(&shop).len();
        assert!(kinds(&shop).contains(&EventKind::OrderCompleted));
        // The libraries send again what they are not sure of.
        for request in &requests {
            replay(&shop, request).await.ok();
        }
        assert_eq!(kinds(&shop).len(), stored);
    }
}

#[tokio::test]
async fn the_write_key_may_stand_in_the_body() {
    let shop = Shop::open();
    let mut event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}});
    let post = |body: String, bearer: &'static str| {
        send(
            &shop,
            request("POST", "/v1/t", bearer).header("content-type", "text/plain").body(Body::from(body)).unwrap(),
        )
    };
    post(event.to_string(), "").await.problem(401, "missing_key");
    event["writeKey"] = json!(shop.public);
    assert_eq!(post(event.to_string(), "").await.status, 200);
    // An OAuth token of somebody else's beside the key in the body.
    assert_eq!(post(event.to_string(), "ey.token").await.status, 200);
    event["writeKey"] = json!("mx_pub_made_up");
    post(event.to_string(), "").await.problem(401, "unknown_key");
}

#[tokio::test]
async fn a_bad_event_costs_only_itself_and_is_kept_for_whoever_mends_it() {
    let shop = Shop::open();
    let batch = json!({"batch": [
        {"type": "track", "event": "Product Viewed", "userId": "u1", "properties": {"product_id": "p1"}},
        {"type": "track", "event": "Product Viewed", "properties": {"product_id": "p1"}},
        {"type": "dance", "userId": "u1"},
        17,
    ]});
    let reply = call(&shop, "POST", "/v1/batch", &shop.public, Some(batch)).await.ok();
    assert_eq!(reply["success"], true);
    let places: Vec<&str> =
        reply["rejected"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(places, ["batch[1]", "batch[2]", "batch[3]"]);
    assert_eq!(kinds(&shop).len(), 1);

    let rejected = call(&shop, "GET", "/v1/events/rejected?limit=2", &shop.secret, None).await.ok();
    assert_eq!(rejected["counts"]["no_user_anon_id"], 1);
    assert_eq!(rejected["last"][0]["position"], 3);
    assert_eq!(rejected["last"].as_array().unwrap().len(), 2);
    let metrics = call(&shop, "GET", "/metrics", "", None).await.text();
    assert!(metrics.contains("merx_events_rejected_total{reason=\"no_user_anon_id\"} 1"), "{metrics}");
    assert!(metrics.contains("merx_events_total{outcome=\"accepted\"} 1"), "{metrics}");
}

#[tokio::test]
async fn what_is_no_json_or_too_large_is_final() {
    let shop = Shop::open();
    let post = |body: Vec<u8>, encoding: &'static str| {
        let request = request("POST", "/v1/b", &shop.public).header("content-encoding", encoding);
        send(&shop, request.body(Body::from(body)).unwrap())
    };
    post(b"{\"batch\": [".to_vec(), "").await.problem(400, "invalid_json");
    post(vec![b' '; 500 * 1024 + 1], "").await.problem(400, "body_too_large");
    // 100 MB of blanks in 100 KB.
    post(gzip(&vec![b' '; 100_000_000]), "gzip").await.problem(400, "body_too_large");
    post(b"not gzip".to_vec(), "gzip").await.problem(400, "invalid_encoding");
    post(b"{}".to_vec(), "br").await.problem(400, "invalid_encoding");
    let many: Vec<Value> = (0..2_501).map(|_| json!({})).collect();
    post(json!({"batch": many}).to_string().into_bytes(), "").await.problem(400, "body_too_large");
    assert!(kinds(&shop).is_empty());
}

#[tokio::test]
async fn back_pressure_names_the_seconds_to_wait() {
    let shop = Shop::open();
    shop.intake.busy.store(true, Ordering::Relaxed);
    let event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}});
    let reply = call(&shop, "POST", "/v1/track", &shop.public, Some(event)).await;
    reply.problem(429, "busy");
    assert_eq!((reply.header("retry-after"), reply.header("x-ratelimit-reset")), ("3", "3"));
}

#[tokio::test]
async fn a_browser_may_ask_before_it_sends() {
    let shop = Shop::open();
    let preflight = request("OPTIONS", "/v1/t", "")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-retry-count");
    let reply = send(&shop, preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(reply.header("access-control-allow-methods").contains("POST"));
    assert_eq!(reply.header("access-control-allow-headers"), "authorization,content-type,x-retry-count");
    assert_eq!(reply.header("access-control-max-age"), "86400");
    // An answer, a refusal too, can be read by the page.
    let refused = request("POST", "/v1/t", "").header("origin", "https://shop.example").body(Body::from("{")).unwrap();
    assert_eq!(send(&shop, refused).await.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn a_privacy_signal_is_stamped_on_each_event() {
    let shop = Shop::open();
    let event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"},
        "context": {"consent": {"categoryPreferences": {"Advertising": false}}}});
    let sent = request("POST", "/v1/track", &shop.public).header("sec-gpc", "1");
    assert_eq!(send(&shop, sent.body(Body::from(event.to_string())).unwrap()).await.status, 200);
    let events = shop.intake.events.lock();
    assert!(events[0].0.consent.global_privacy_control);
    assert_eq!(events[0].0.consent.denied, Purposes::MARKETING);
}

#[tokio::test]
async fn the_browser_library_finds_its_settings() {
    let shop = Shop::open();
    let path = format!("/v1/projects/{}/settings", shop.public);
    let settings = call(&shop, "GET", &path, "", None).await.ok();
    assert_eq!(settings["integrations"]["Segment.io"]["apiKey"], json!(shop.public));
    call(&shop, "GET", "/v1/projects/unknown/settings", "", None).await.problem(404, "not_found");
}
