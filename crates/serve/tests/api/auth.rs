//! Who may do what, how often, and what a refusal looks like.

use axum::body::Body;
use merx_serve::RateLimit;
use serde_json::json;

use crate::harness::{Shop, settings};
use crate::{call, request, send};

#[tokio::test]
async fn each_scope_reaches_its_routes_and_no_further() {
    let shop = Shop::open();
    let slots = json!({"slots": [{"scenario": "popular"}]});
    for (method, path, body, least) in [
        ("POST", "/v1/recommend", Some(slots), 1),
        ("GET", "/v1/recommend/popular", None, 1),
        ("GET", "/v1/search?q=product", None, 1),
        ("POST", "/v1/suggest", Some(json!({"text": "p"})), 1),
        ("POST", "/v1/facets", Some(json!({"field": "brand"})), 1),
        ("GET", "/v1/products", None, 2),
        ("GET", "/v1/products/p1", None, 2),
        ("GET", "/v1/orders", None, 2),
        ("GET", "/v1/stock/p1", None, 2),
        ("GET", "/v1/decisions", None, 2),
        ("GET", "/v1/events/rejected", None, 2),
        ("GET", "/v1/events/live", None, 2),
        ("GET", "/v1/activity", None, 2),
        ("GET", "/v1/slots", None, 2),
        ("GET", "/v1/assortment", None, 2),
        ("GET", "/v1/assortment/coverage", None, 2),
        ("GET", "/v1/models", None, 3),
        ("GET", "/v1/keys", None, 3),
    ] {
        for (scope, key) in [(1, &shop.public), (2, &shop.secret), (3, &shop.admin)] {
            let reply = call(&shop, method, path, key, body.clone()).await;
            if scope >= least {
                assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
            } else {
                reply.problem(403, "forbidden");
            }
        }
        let reply = call(&shop, method, path, "", body.clone()).await;
        reply.problem(401, "missing_key");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        call(&shop, method, path, "mx_adm_made_up", body.clone()).await.problem(401, "unknown_key");
    }
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let shop = Shop::open();
    let body = json!({"scope": "secret", "label": "warehouse"});
    let reply = call(&shop, "POST", "/v1/keys", &shop.admin, Some(body)).await;
    assert_eq!(reply.status, 201);
    let made = reply.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("mx_sec_") && key.len() == 7 + 43, "256 bits in base64: {key}");
    assert_eq!(call(&shop, "GET", "/v1/products", key, None).await.status, 200);

    let listed = call(&shop, "GET", "/v1/keys", &shop.admin, None).await;
    assert!(!listed.text().contains(key), "a key is shown once");
    assert_eq!(listed.ok()["items"].as_array().unwrap().len(), 4);

    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(call(&shop, "DELETE", &path, &shop.admin, None).await.status, 204);
    call(&shop, "GET", "/v1/products", key, None).await.problem(401, "unknown_key");
    call(&shop, "DELETE", &path, &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let shop = Shop::open();
    let keys = call(&shop, "GET", "/v1/keys", &shop.admin, None).await.ok();
    let admin = keys["items"].as_array().unwrap().iter().find(|key| key["scope"] == "admin").unwrap().clone();
    let path = format!("/v1/keys/{}", admin["id"].as_str().unwrap());
    call(&shop, "DELETE", &path, &shop.admin, None).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_key_that_asks_too_often_waits() {
    let mut settings = settings();
    settings.rate_limit = RateLimit { requests_per_second: 0.5, burst: 2.0 };
    let shop = Shop::with(settings, 1);
    for _ in 0..2 {
        assert_eq!(call(&shop, "GET", "/v1/products", &shop.secret, None).await.status, 200);
    }
    let reply = call(&shop, "GET", "/v1/products", &shop.secret, None).await;
    reply.problem(429, "rate_limited");
    assert_eq!((reply.header("retry-after"), reply.header("x-ratelimit-reset")), ("2", "2"));
    // Another key has an allowance of its own, and time gives a new one.
    assert_eq!(call(&shop, "GET", "/v1/products", &shop.admin, None).await.status, 200);
    shop.clock.set(crate::harness::NOW.plus_ms(2_000));
    assert_eq!(call(&shop, "GET", "/v1/products", &shop.secret, None).await.status, 200);
}

#[tokio::test]
async fn a_public_key_can_not_ask_by_customer_id_unless_told_so() {
    let body = json!({"user_id": "u1", "slots": [{"scenario": "for_you"}]});
    let shop = Shop::open();
    call(&shop, "POST", "/v1/recommend", &shop.public, Some(body.clone())).await.problem(403, "forbidden");
    call(&shop, "POST", "/v1/recommend", &shop.secret, Some(body.clone())).await.ok();
    let mut settings = settings();
    settings.public_keys_name_customers = true;
    let shop = Shop::with(settings, 1);
    call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let shop = Shop::open();
    call(&shop, "GET", "/nowhere", "", None).await.problem(404, "unknown_route");
    let reply = call(&shop, "DELETE", "/v1/recommend", &shop.secret, None).await;
    reply.problem(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "POST");
    call(&shop, "GET", "/v1/products/p999", &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "GET", "/v1/products/%00", &shop.secret, None).await.problem(400, "invalid_parameter");
    call(&shop, "GET", "/v1/products/%FF", &shop.secret, None).await.problem(400, "invalid_parameter");
    call(&shop, "GET", "/v1/products?limit=x", &shop.secret, None).await.problem(400, "invalid_parameter");
    call(&shop, "GET", "/v1/products?limt=1", &shop.secret, None).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn bodies_are_held_to_their_type_size_and_form() {
    let shop = Shop::open();
    let post = |kind: &'static str, body: Vec<u8>| {
        let request = request("POST", "/v1/recommend", &shop.secret).header("content-type", kind);
        send(&shop, request.body(Body::from(body)).unwrap())
    };
    post("text/plain", b"{}".to_vec()).await.problem(415, "unsupported_media_type");
    post("application/json", b"{".to_vec()).await.problem(400, "invalid_json");
    post("application/json; charset=utf-8", b"{}".to_vec()).await.problem(422, "invalid_request");
    post("application/json", vec![b' '; 1_000_001]).await.problem(413, "payload_too_large");
}

#[tokio::test]
async fn a_panic_is_one_requests_trouble() {
    let shop = Shop::open();
    let body = json!({"slots": [{"scenario": "popular", "name": "panic"}]});
    call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.problem(500, "internal");
    assert_eq!(call(&shop, "GET", "/v1/recommend/popular", &shop.public, None).await.status, 200);
    shop.intake.panics.store(true, std::sync::atomic::Ordering::Relaxed);
    let event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}});
    call(&shop, "POST", "/v1/track", &shop.public, Some(event)).await.problem(500, "internal");
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let shop = Shop::open();
    let ask = |id: &'static str| {
        send(&shop, request("GET", "/health/live", "").header("x-request-id", id).body(Body::empty()).unwrap())
    };
    assert_eq!(ask("order-17").await.header("x-request-id"), "order-17");
    assert_eq!(ask("not usable").await.header("x-request-id").len(), 16);
}
