//! Recommendations, and what is said of them afterwards.

use serde_json::{Value, json};

use crate::call;
use crate::harness::{Shop, settings};

fn ids(slot: &Value) -> Vec<&str> {
    slot["items"].as_array().unwrap().iter().map(|item| item["product_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn slots_are_filled_and_share_no_product() {
    let shop = Shop::open();
    let body = json!({"anonymous_id": "a", "device": "phone", "consent": {"marketing": false}, "slots": [
        {"scenario": "popular", "count": 3},
        {"name": "more", "scenario": "similar", "products": ["p9"], "count": 2, "filter": "category = even"},
        {"scenario": "basket"},
    ]});
    let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
    let slots = answer["slots"].as_array().unwrap();
    assert_eq!(ids(&slots[0]), ["p1", "p2", "p3"]);
    assert_eq!((&slots[1]["name"], ids(&slots[1])), (&json!("more"), vec!["p4", "p6"]));
    assert_eq!(ids(&slots[2]), ["p5", "p7", "p8"], "the configured slot has a count and a filter");
    let item = &slots[1]["items"][0];
    assert_eq!(item["price"], json!({"minor": 499, "currency": "EUR"}));
    assert_eq!(item["url"], "https://shop.example/p4");
    assert_eq!(item["reasons"][0]["type"], "similar_to");
    assert_eq!(item["reasons"][0]["product_id"], "p9");
    assert_eq!(item["reasons"][0]["words"], "similar to Product 9");
    assert_eq!((&answer["fallback"], &answer["arm"]), (&json!("live_model"), &json!("treated")));
    assert_eq!(answer["model"], json!({"name": "recommend", "version": 1}));
}

#[tokio::test]
async fn boosts_multiply_scores() {
    let shop = Shop::open();
    let body = json!({"slots": [{"scenario": "popular", "count": 2, "boosts": [{"field": "category = even", "strength": 2}]}]});
    let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
    let scores: Vec<f64> =
        answer["slots"][0]["items"].as_array().unwrap().iter().map(|i| i["score"].as_f64().unwrap()).collect();
    assert_eq!(scores, [1.0, 3.0]);
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place() {
    let shop = Shop::open();
    let body = json!({"deadline_ms": 0, "market": "", "subject_id": "x", "slots": [
        {"scenario": "popular", "count": 101, "diversity": 2, "filter": "colour = red"},
        {"scenario": "guess"},
        {"scenario": "popular", "products": ["p1", ""], "boosts": [{"field": "price <", "strength": 11}], "after": "z"},
    ]});
    let reply = call(&shop, "POST", "/v1/recommend", &shop.secret, Some(body)).await;
    let expected = [
        ("market", "invalid_id"),
        ("deadline_ms", "out_of_range"),
        ("subject_id", "invalid_id"),
        ("slots[0].count", "out_of_range"),
        ("slots[0].diversity", "out_of_range"),
        ("slots[0].filter", "invalid_filter"),
        ("slots[1].scenario", "unknown_scenario"),
        ("slots[2].boosts[0].strength", "out_of_range"),
        ("slots[2].boosts[0].field", "invalid_filter"),
        ("slots[2].products[1]", "invalid_id"),
        ("slots[2].after", "invalid_id"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));

    let body = json!({"slots": [{"scenario": "popular"}, {"scenario": "popular", "count": -1}]});
    let reply = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await;
    assert_eq!(reply.mistakes(), [("slots[1]".to_owned(), "wrong_form".to_owned())]);
    for slots in [json!([]), json!(vec![json!({"scenario": "popular"}); 21])] {
        let reply = call(&shop, "POST", "/v1/recommend", &shop.public, Some(json!({"slots": slots}))).await;
        assert_eq!(reply.mistakes(), [("slots".to_owned(), "out_of_range".to_owned())]);
    }
}

#[tokio::test]
async fn a_product_that_nobody_knows_is_noted_and_left_aside() {
    let shop = Shop::open();
    let body = json!({"slots": [{"scenario": "similar", "products": ["gone", "p1"]}]});
    let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
    assert_eq!(answer["notes"][0]["at"], "slots[0].products[0]");
    assert_eq!(ids(&answer["slots"][0]).len(), 10);
}

#[tokio::test]
async fn pages_repeat_nothing() {
    let shop = Shop::open();
    let mut seen = Vec::new();
    let mut path = "/v1/recommend/popular?count=4".to_owned();
    for _ in 0..3 {
        let answer = call(&shop, "GET", &path, &shop.public, None).await.ok();
        seen.extend(ids(&answer["slots"][0]).iter().map(|id| (*id).to_owned()));
        path = format!("/v1/recommend/popular?count=4&after={}", answer["decision_id"].as_str().unwrap());
    }
    let expected: Vec<String> = (1..=12).map(|number| format!("p{number}")).collect();
    assert_eq!(seen, expected);
    let path = format!("/v1/recommend/popular?after={}", "0".repeat(32));
    let reply = call(&shop, "GET", &path, &shop.public, None).await;
    assert_eq!(reply.mistakes(), [("after".to_owned(), "unknown_decision".to_owned())]);
}

#[tokio::test]
async fn the_simple_form_takes_products_and_a_filter() {
    let shop = Shop::open();
    let path = "/v1/recommend/similar?products=p3,p5&exclude=p2&count=2&filter=category%20%3D%20even&anonymous_id=a";
    let reply = call(&shop, "GET", path, &shop.public, None).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(ids(&reply.ok()["slots"][0]), ["p4", "p6"]);
    let unknown = call(&shop, "GET", "/v1/recommend/guess", &shop.public, None).await;
    assert_eq!(unknown.mistakes(), [("slots[0].scenario".to_owned(), "unknown_scenario".to_owned())]);
}

#[tokio::test]
async fn a_decision_is_recorded_explained_and_made_again() {
    let shop = Shop::open();
    let event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}});
    call(&shop, "POST", "/v1/track", &shop.public, Some(event)).await.ok();
    let body = json!({"anonymous_id": "a", "slots": [{"scenario": "similar", "products": ["p2"], "count": 3}]});
    let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());

    let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    assert_eq!(record["slots"][0]["scenario"], "similar");
    assert_eq!(record["slots"][0]["products"], json!(["p2"]));
    assert_eq!(record["slots"][0]["items"][0]["product_id"], answer["slots"][0]["items"][0]["product_id"]);
    assert_eq!(record["subject_id"].as_str().unwrap().len(), 32, "an event made the visitor known");
    assert_eq!(record["propensity"], 1.0);
    let version = record["model_version"].as_u64().unwrap();
    assert_eq!(record["model_artifact"], format!("{version:064x}"));
    let models = call(&shop, "GET", "/v1/models", &shop.admin, None).await.ok();
    assert!(models["items"].as_array().unwrap().iter().any(|model| model["artifact"] == record["model_artifact"]));
    assert_eq!(record["features"]["history"].as_array().unwrap().len(), 0, "nothing personal without consent");

    let why = call(&shop, "GET", &format!("{path}/why"), &shop.secret, None).await.ok();
    assert_eq!(why["words"][0], "the live model answered");
    assert_eq!(why["items"][0]["reasons"], json!(["similar to Product 2"]));
    let part = &why["items"][0]["contributions"][0];
    assert_eq!((&part["feature"], &part["product_id"]), (&json!("similar_to"), &json!("p2")));
    assert!(part["contribution"].as_f64().unwrap() > 0.0, "{part}");

    let replay = call(&shop, "POST", &format!("{path}/replay"), &shop.secret, None).await.ok();
    assert_eq!(replay["identical"], true);
    assert_eq!(replay["recorded"], replay["replayed"]);

    let latest = call(&shop, "GET", "/v1/decisions?limit=1", &shop.secret, None).await.ok();
    assert_eq!(latest["items"][0]["decision_id"], answer["decision_id"]);
    let unknown = format!("/v1/decisions/{}", "0".repeat(32));
    call(&shop, "GET", &unknown, &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "GET", "/v1/decisions/xyz", &shop.secret, None).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn an_unknown_visitor_leaves_no_trace_in_the_vault() {
    let shop = Shop::open();
    for _ in 0..2 {
        let answer = call(&shop, "GET", "/v1/recommend/for_you?anonymous_id=new", &shop.public, None).await.ok();
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        assert_eq!(call(&shop, "GET", &path, &shop.secret, None).await.ok()["subject_id"], Value::Null);
    }
}

#[tokio::test]
async fn an_empty_shop_answers_with_empty_slots() {
    let shop = Shop::with(settings(), 0);
    let answer = call(&shop, "GET", "/v1/recommend/for_you", &shop.public, None).await.ok();
    assert_eq!(answer["slots"][0]["items"], json!([]));
}
