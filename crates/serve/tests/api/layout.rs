//! Which blocks a page shows, in which order.

use serde_json::{Value, json};

use crate::call;
use crate::harness::Shop;

fn page(extra: &Value) -> Value {
    let mut body = json!({"page": "home", "anonymous_id": "a", "device": "phone",
        "blocks": [{"id": "hero", "fixed": true}, {"id": "for_you"}, {"id": "new"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn order(answer: &Value) -> Vec<&str> {
    answer["blocks"].as_array().unwrap().iter().map(|block| block["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_layout_is_answered_recorded_explained_and_made_again() {
    let shop = Shop::open();
    let reply = call(&shop, "POST", "/v1/layout", &shop.public, Some(page(&json!({})))).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.ok();
    assert_eq!(order(&answer), ["new", "for_you", "hero"]);
    assert_eq!((&answer["page"], &answer["propensity"]), (&json!("home"), &json!(0.125)));
    assert_eq!(answer["model"], json!({"name": "layout", "version": 3}));
    assert_eq!(answer["blocks"][0]["reason"]["type"], "learned");

    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    assert_eq!((&record["engine"], &record["slots"]), (&json!("layout"), &json!([])));
    assert_eq!(order(&record), ["new", "for_you", "hero"]);
    let why = call(&shop, "GET", &format!("{path}/why"), &shop.secret, None).await.ok();
    let words: Vec<&str> = why["words"].as_array().unwrap().iter().map(|words| words.as_str().unwrap()).collect();
    assert!(words.contains(&"this order had a chance of 0.1250"), "{words:?}");
    assert!(words.contains(&"new: visits like this one use it 25.0 % of the time; it was seen 40 times"), "{words:?}");
    let replay = call(&shop, "POST", &format!("{path}/replay"), &shop.secret, None).await.ok();
    assert_eq!((&replay["identical"], &replay["recorded_blocks"]), (&json!(true), &replay["replayed_blocks"]));
    let listed = call(&shop, "GET", "/v1/decisions?engine=layout", &shop.secret, None).await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_consent_or_while_the_automation_is_off_the_shops_own_order_stands() {
    let shop = Shop::open();
    let ask = |extra: Value| {
        let shop = &shop;
        async move { call(shop, "POST", "/v1/layout", &shop.public, Some(page(&extra))).await.ok() }
    };
    let refused = ask(json!({"consent": {"personalisation": false}})).await;
    assert_eq!(order(&refused), ["hero", "for_you", "new"]);
    assert_eq!((&refused["fallback"], &refused["model"]), (&json!("static_list"), &json!(null)));
    assert_eq!((&refused["propensity"], &refused["blocks"][1]["reason"]["type"]), (&json!(1.0), &json!("default")));
    let path = format!("/v1/decisions/{}/why", refused["decision_id"].as_str().unwrap());
    let why = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    assert_eq!(why["words"][0], "the shop's own order answered");

    assert_eq!(order(&ask(json!({"count": 2})).await), ["new", "for_you"], "the first ones of the order");
    call(&shop, "POST", "/v1/automations/layout/mode", &shop.admin, Some(json!({"mode": "off"}))).await.ok();
    assert_eq!(order(&ask(json!({})).await), ["hero", "for_you", "new"]);
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place() {
    let shop = Shop::open();
    let body = json!({"page": "", "count": 51, "market": "", "deadline_ms": 0, "blocks": [{"id": "a"}, {"id": "a"}, {"id": ""}]});
    let reply = call(&shop, "POST", "/v1/layout", &shop.public, Some(body)).await;
    let expected = [
        ("market", "invalid_id"),
        ("deadline_ms", "out_of_range"),
        ("page", "out_of_range"),
        ("count", "out_of_range"),
        ("blocks[1].id", "duplicate"),
        ("blocks[2].id", "out_of_range"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    let nobody = json!({"page": "home", "blocks": []});
    let reply = call(&shop, "POST", "/v1/layout", &shop.public, Some(nobody)).await;
    assert_eq!(reply.mistakes(), [("blocks".to_owned(), "out_of_range".to_owned())]);
    let customer = page(&json!({"user_id": "c-1"}));
    call(&shop, "POST", "/v1/layout", &shop.public, Some(customer)).await.problem(403, "forbidden");
}
