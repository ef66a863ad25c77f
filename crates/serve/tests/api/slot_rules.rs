//! What merchants set for recommendations: rules for slots, their drafts, and what decisions say of them.

use serde_json::{Value, json};

use crate::call;
use crate::harness::Shop;

fn rule() -> Value {
    json!({
        "name": "Sale", "priority": 3, "slots": ["popular", "hero"], "markets": ["de"], "campaigns": ["sale"],
        "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z",
        "consequences": [
            {"type": "pin", "product_id": "p9", "position": 2},
            {"type": "hide", "product_id": "p1"},
            {"type": "boost", "field": "margin", "strength": 0.5},
            {"type": "bury", "field": "category = \"Odd\"", "strength": 0.25},
        ],
    })
}

fn shown(answer: &Value, slot: usize) -> Vec<&str> {
    answer["slots"][slot]["items"].as_array().unwrap().iter().map(|item| item["product_id"].as_str().unwrap()).collect()
}

async fn put(shop: &Shop, id: &str, rule: Value) -> Value {
    call(shop, "PUT", &format!("/v1/slot-rules/{id}"), &shop.secret, Some(rule)).await.ok()
}

#[tokio::test]
async fn a_rule_is_set_read_and_removed_and_the_audit_log_says_by_whom() {
    let shop = Shop::open();
    let path = "/v1/slot-rules/sale";
    let set = put(&shop, "sale", rule()).await;
    assert_eq!((&set["id"], &set["enabled"]), (&json!("sale"), &json!(true)));
    assert_eq!(set["consequences"], rule()["consequences"]);
    let read = call(&shop, "GET", path, &shop.secret, None).await.ok();
    assert_eq!(read, set);
    // Setting it again as it was is no change.
    assert_eq!(put(&shop, "sale", read.clone()).await, set);
    let listed = call(&shop, "GET", "/v1/slot-rules", &shop.secret, None).await.ok();
    assert_eq!(listed, json!({ "items": [set] }));
    assert_eq!(call(&shop, "DELETE", path, &shop.secret, None).await.status, 204);
    call(&shop, "DELETE", path, &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "GET", path, &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "PUT", path, &shop.public, Some(rule())).await.problem(403, "forbidden");

    let log = call(&shop, "GET", "/v1/audit?limit=1000", &shop.admin, None).await.ok();
    let about = |action: &str| -> Vec<Value> {
        let entries = log["items"].as_array().unwrap().iter();
        entries.filter(|entry| entry["action"] == action && entry["target"] == "sale").cloned().collect()
    };
    let (sets, removals) = (about("slot_rule.set"), about("slot_rule.removed"));
    assert_eq!((sets.len(), removals.len()), (1, 1));
    assert_eq!(sets[0]["detail"], json!({ "before": null, "after": set }));
    assert_eq!(removals[0]["detail"], json!({ "before": set }));
    assert_ne!(sets[0]["actor"], "nobody");
}

#[tokio::test]
async fn every_mistake_in_a_rule_is_named_and_nothing_is_kept_of_it() {
    let shop = Shop::open();
    let body = json!({
        "from": "2026-12-01T00:00:00Z", "until": "2026-11-01T00:00:00Z", "markets": [""], "slots": [""],
        "consequences": [
            {"type": "pin", "product_id": "p7", "position": 0},
            {"type": "boost", "field": "price <", "strength": 0.5},
            {"type": "bury", "field": "stock", "strength": 2.0},
        ],
    });
    let reply = call(&shop, "PUT", "/v1/slot-rules/x", &shop.secret, Some(body)).await;
    let expected = [
        ("slots[0]", "out_of_range"),
        ("until", "out_of_range"),
        ("markets[0]", "invalid_id"),
        ("consequences[0].position", "out_of_range"),
        ("consequences[1].field", "invalid_filter"),
        ("consequences[2].strength", "out_of_range"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    let nothing = call(&shop, "PUT", "/v1/slot-rules/x", &shop.secret, Some(json!({"consequences": []}))).await;
    assert_eq!(nothing.mistakes(), [("consequences".to_owned(), "out_of_range".to_owned())]);
    assert_eq!(call(&shop, "GET", "/v1/slot-rules", &shop.secret, None).await.ok(), json!({"items": []}));
}

#[tokio::test]
async fn a_rule_acts_where_it_says_stands_in_the_record_and_the_replay_is_the_same() {
    let shop = Shop::open();
    put(&shop, "sale", rule()).await;
    let ask = |market: &str, campaign: &str, scenario: &str| json!({"market": market, "campaign": campaign, "slots": [{"scenario": scenario, "count": 4}]});
    let recommend = |body: Value| call(&shop, "POST", "/v1/recommend", &shop.public, Some(body));
    let answer = recommend(ask("de", "sale", "popular")).await.ok();
    assert_eq!(shown(&answer, 0), ["p2", "p9", "p3", "p4"]);
    let pinned = &answer["slots"][0]["items"][1]["reasons"][0];
    assert_eq!((&pinned["type"], &pinned["words"]), (&json!("pinned"), &json!("chosen by the shop")));
    let score = |place: usize| answer["slots"][0]["items"][place]["score"].as_f64().unwrap();
    assert_eq!((score(0), score(2)), (1.0, 0.75), "odd ones are buried");
    for elsewhere in [ask("at", "sale", "popular"), ask("de", "spring", "popular"), ask("de", "sale", "new")] {
        assert_eq!(shown(&recommend(elsewhere).await.ok(), 0)[0], "p1");
    }
    let named = json!({"market": "de", "campaign": "sale", "slots": [{"scenario": "new", "name": "hero", "count": 2}]});
    assert_eq!(shown(&recommend(named).await.ok(), 0), ["p2", "p9"], "a slot is known by its own name too");

    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    assert_eq!(record["slots"][0]["rules"], json!(["sale"]));
    let why = call(&shop, "GET", &format!("{path}/why"), &shop.secret, None).await.ok();
    let words: Vec<&str> = why["words"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for said in ["the merchant's rule sale applied to popular", "Product 9 was pinned to place 2 of popular"] {
        assert!(words.contains(&said), "{words:?}");
    }
    assert!(words.contains(&"Product 1 was hidden from popular"), "{words:?}");
    // Whatever becomes of the rule: the record holds what it did.
    call(&shop, "DELETE", "/v1/slot-rules/sale", &shop.secret, None).await;
    let replay = call(&shop, "POST", &format!("{path}/replay"), &shop.secret, None).await.ok();
    assert_eq!(replay["identical"], true);
    assert_eq!(shown(&recommend(ask("de", "sale", "popular")).await.ok(), 0)[0], "p1");
}

#[tokio::test]
async fn of_two_pins_of_a_place_the_higher_priority_has_its_way() {
    let shop = Shop::open();
    let pin = |product: &str, priority: i32| json!({"priority": priority, "consequences": [{"type": "pin", "product_id": product, "position": 1}]});
    put(&shop, "a", pin("p5", 1)).await;
    put(&shop, "b", pin("p6", 2)).await;
    let answer = call(&shop, "GET", "/v1/recommend/popular?count=3", &shop.public, None).await.ok();
    assert_eq!(shown(&answer, 0), ["p6", "p1", "p2"]);
    let blocked = "/v1/recommend/popular?count=3&filter=category%20%3D%20odd";
    let answer = call(&shop, "GET", blocked, &shop.public, None).await.ok();
    assert_eq!(shown(&answer, 0), ["p1", "p3", "p5"], "not against the filter of the page");
}

#[tokio::test]
async fn a_draft_is_previewed_in_the_place_of_the_rule_of_its_id_and_recorded_nowhere() {
    let shop = Shop::open();
    put(&shop, "a", json!({"consequences": [{"type": "hide", "product_id": "p1"}]})).await;
    put(&shop, "b", json!({"slots": ["similar"], "consequences": [{"type": "hide", "product_id": "p2"}]})).await;
    let preview = |body: Value| call(&shop, "POST", "/v1/slot-rules/preview", &shop.secret, Some(body));
    let recommend = json!({"slots": [{"scenario": "popular", "count": 3}]});
    let now = preview(json!({"recommend": recommend})).await.ok();
    assert_eq!((shown(&now, 0), &now["rules"]), (vec!["p2", "p3", "p4"], &json!(["a"])));
    let drafts = json!([
        {"id": "a", "priority": -1, "consequences": [{"type": "pin", "product_id": "p30", "position": 1}]},
        {"id": "christmas", "from": "2026-12-24T00:00:00Z", "consequences": [{"type": "hide", "product_id": "p1"}]},
    ]);
    let then = preview(json!({"recommend": recommend, "rules": drafts})).await.ok();
    assert_eq!((shown(&then, 0), &then["rules"]), (vec!["p30", "p1", "p2"], &json!(["a"])));
    let later = preview(json!({"recommend": recommend, "rules": drafts, "at": "2026-12-25T00:00:00Z"})).await.ok();
    assert_eq!((shown(&later, 0), &later["rules"]), (vec!["p30", "p2", "p3"], &json!(["christmas", "a"])));
    assert_eq!(later.get("decision_id"), None);
    assert_eq!(call(&shop, "GET", "/v1/decisions?people=false", &shop.secret, None).await.ok()["items"], json!([]));
    let reads = || async { call(&shop, "GET", "/v1/privacy/reads", &shop.admin, None).await.ok()["items"].clone() };
    assert_eq!(reads().await, json!([]), "nobody was looked at");
    let person = json!({"subject_id": "0193a1f2c0de5a3b7c4d9e8f01234567", "slots": [{"scenario": "for_you"}]});
    preview(json!({"recommend": person})).await.ok();
    let looks = reads().await;
    assert_eq!((&looks[0]["what"], looks.as_array().unwrap().len()), (&json!("recommendations"), 1));
    let wrong = preview(json!({"recommend": recommend, "rules": [{"id": "", "consequences": []}], "at": "soon"})).await;
    let expected =
        [("rules[0].id", "invalid_id"), ("rules[0].consequences", "out_of_range"), ("at", "invalid_timestamp")];
    assert_eq!(wrong.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
}
