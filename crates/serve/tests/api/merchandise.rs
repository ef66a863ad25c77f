//! What merchants set for searches: rules, synonyms, drafts, the log of changes, and what became of searches.

use std::sync::atomic::Ordering;

use merx_domain::merchandising::ProposedSynonym;
use serde_json::{Value, json};

use crate::call;
use crate::harness::Shop;

fn rule() -> Value {
    json!({
        "name": "Sale", "priority": 3, "markets": ["de"], "segments": ["vip"],
        "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z",
        "conditions": [{"query": {"text": "red bag", "match": "contains"}, "category": "Bags"}],
        "consequences": [
            {"type": "pin", "product_id": "p7", "position": 1},
            {"type": "hide", "product_id": "p8"},
            {"type": "boost", "filter": "brand = \"Acme \\\"A\\\"\" AND (price < 50 OR in_stock = true)", "strength": 0.5},
            {"type": "bury", "filter": "category = \"Odd\"", "strength": 0.25},
            {"type": "replace_query", "text": "bag"},
            {"type": "remove_words", "words": ["cheap"]},
            {"type": "filter", "filter": "NOT category = \"Even\""},
            {"type": "redirect", "url": "/sale"},
            {"type": "banner", "data": {"image": "/sale.jpg"}},
        ],
    })
}

#[tokio::test]
async fn a_rule_is_set_read_changed_and_removed_and_the_log_says_by_whom() {
    let shop = Shop::open();
    let path = "/v1/search/rules/sale";
    let set = call(&shop, "PUT", path, &shop.secret, Some(rule())).await.ok();
    assert_eq!((&set["id"], &set["enabled"]), (&json!("sale"), &json!(true)));
    assert_eq!(set["consequences"].as_array().unwrap().len(), 9);
    assert_eq!(set["consequences"][3], json!({"type": "bury", "filter": "category = \"Odd\"", "strength": 0.25}));
    assert_eq!(shop.finder.merchandise_changes.load(Ordering::Relaxed), 1);
    // What is read back can be sent again and is the same.
    let read = call(&shop, "GET", path, &shop.secret, None).await.ok();
    assert_eq!(read, set);
    assert_eq!(call(&shop, "PUT", path, &shop.secret, Some(read.clone())).await.ok(), set);
    let off = json!({"enabled": false, "consequences": [{"type": "redirect", "url": "https://shop.example/bags"}]});
    call(&shop, "PUT", path, &shop.admin, Some(off)).await.ok();
    assert_eq!(call(&shop, "GET", "/v1/search/rules", &shop.secret, None).await.ok()["items"][0]["enabled"], false);
    assert_eq!(call(&shop, "DELETE", path, &shop.secret, None).await.status, 204);
    call(&shop, "DELETE", path, &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "GET", path, &shop.secret, None).await.problem(404, "not_found");

    // Setting it again as it was is no change.
    let log = call(&shop, "GET", "/v1/search/changes", &shop.secret, None).await.ok();
    let changes = log["items"].as_array().unwrap();
    assert_eq!(changes.iter().map(|change| change["number"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((&changes[2]["before"], &changes[2]["after"]), (&Value::Null, &set));
    assert_eq!((&changes[1]["before"], &changes[0]["after"]), (&set, &Value::Null));
    assert_ne!(changes[1]["made_by"], changes[2]["made_by"]);
    let older = call(&shop, "GET", "/v1/search/changes?before=2&limit=5", &shop.secret, None).await.ok();
    assert_eq!(older["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_mistake_in_a_rule_is_named_and_nothing_is_kept_of_it() {
    let shop = Shop::open();
    let body = json!({
        "from": "yesterday", "markets": [""],
        "consequences": [
            {"type": "pin", "product_id": "p7", "position": 0},
            {"type": "boost", "filter": "taste = \"sweet\"", "strength": 0.5},
            {"type": "bury", "filter": "price < 5", "strength": 2.0},
            {"type": "redirect", "url": "javascript:alert(1)"},
        ],
    });
    let reply = call(&shop, "PUT", "/v1/search/rules/x", &shop.secret, Some(body)).await;
    let expected = [
        ("from", "invalid_timestamp"),
        ("markets[0]", "invalid_id"),
        ("consequences[0].position", "out_of_range"),
        ("consequences[1].filter", "invalid_filter"),
        ("consequences[2].strength", "out_of_range"),
        ("consequences[3].url", "invalid_url"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    let nothing = call(&shop, "PUT", "/v1/search/rules/x", &shop.secret, Some(json!({"consequences": []}))).await;
    assert_eq!(nothing.mistakes(), [("consequences".to_owned(), "out_of_range".to_owned())]);
    call(&shop, "PUT", "/v1/search/rules/x", &shop.public, Some(rule())).await.problem(403, "forbidden");
    assert_eq!(call(&shop, "GET", "/v1/search/rules", &shop.secret, None).await.ok(), json!({"items": []}));
    assert_eq!(shop.finder.merchandise_changes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_draft_is_previewed_in_the_place_of_the_rule_of_its_id_and_recorded_nowhere() {
    let shop = Shop::open();
    for id in ["a", "b"] {
        call(&shop, "PUT", &format!("/v1/search/rules/{id}"), &shop.secret, Some(rule())).await.ok();
    }
    let draft = json!({"id": "b", "consequences": [{"type": "hide", "product_id": "p1"}]});
    let new = json!({"id": "c", "consequences": [{"type": "hide", "product_id": "p2"}]});
    let body = json!({"search": {"query": "product 7"}, "rules": [draft, new], "at": "2026-12-24T00:00:00Z"});
    let answer = call(&shop, "POST", "/v1/search/preview", &shop.secret, Some(body)).await.ok();
    assert_eq!((&answer["total"], &answer["rules"]), (&json!(1), &json!(["a", "b", "c"])));
    assert_eq!(answer.get("decision_id"), None);
    assert_eq!(call(&shop, "GET", "/v1/decisions", &shop.secret, None).await.ok()["items"], json!([]));
    let rules = call(&shop, "GET", "/v1/search/rules", &shop.secret, None).await.ok();
    assert_eq!(rules["items"].as_array().unwrap().len(), 2);
    let body = json!({"search": {}, "rules": [{"id": "", "consequences": [{"type": "hide", "product_id": "p1"}]}]});
    let reply = call(&shop, "POST", "/v1/search/preview", &shop.secret, Some(body)).await;
    assert_eq!(reply.mistakes(), [("rules[0].id".to_owned(), "invalid_id".to_owned())]);
}

#[tokio::test]
async fn synonyms_are_set_by_merchants_or_approved_when_shoppers_teach_them() {
    let shop = Shop::open();
    let equal = json!({"words": ["sofa", "couch"]});
    let set = call(&shop, "PUT", "/v1/search/synonyms/s1", &shop.secret, Some(equal)).await.ok();
    assert_eq!(set, json!({"id": "s1", "words": ["sofa", "couch"]}));
    let one_way = json!({"from": "shoes", "to": ["sneakers"]});
    call(&shop, "PUT", "/v1/search/synonyms/s2", &shop.secret, Some(one_way)).await.ok();
    for wrong in [json!({"words": ["one"]}), json!({"from": "x"}), json!({"words": ["a", "b"], "to": ["c"]})] {
        let reply = call(&shop, "PUT", "/v1/search/synonyms/s3", &shop.secret, Some(wrong)).await;
        assert_eq!(reply.mistakes(), [("words".to_owned(), "wrong_form".to_owned())]);
    }

    let proposed = |words: [&str; 2], pairs| ProposedSynonym {
        words: words.map(str::to_owned),
        likeness: 0.8,
        pairs,
        looks: 90.0,
    };
    let mined = [proposed(["lamp", "light"], 2), proposed(["rug", "carpet"], 5)];
    shop.merchandise.propose(&mined, crate::harness::NOW).unwrap();
    let path = "/v1/search/synonym-proposals";
    let waiting = call(&shop, "GET", path, &shop.secret, None).await.ok();
    assert_eq!(waiting["items"][0]["words"], json!(["rug", "carpet"]), "the surest first");
    let id = |place: usize| waiting["items"][place]["id"].as_str().unwrap().to_owned();
    let approved = call(&shop, "POST", &format!("{path}/{}/approve", id(0)), &shop.secret, Some(json!({}))).await.ok();
    assert_eq!(approved["words"], json!(["rug", "carpet"]));
    let refused = call(&shop, "POST", &format!("{path}/{}/refuse", id(1)), &shop.secret, Some(json!({}))).await;
    assert_eq!(refused.status, 204);
    // Nobody is asked twice.
    shop.merchandise.propose(&mined, crate::harness::NOW).unwrap();
    assert_eq!(call(&shop, "GET", path, &shop.secret, None).await.ok(), json!({"items": []}));
    let twice = call(&shop, "POST", &format!("{path}/{}/approve", id(0)), &shop.secret, Some(json!({}))).await;
    twice.problem(404, "not_found");
    // A refusal can be taken back, an approval not: that is a synonym by now.
    let reopen = |id: String| format!("{path}/{id}/reopen");
    assert_eq!(call(&shop, "POST", &reopen(id(1)), &shop.secret, None).await.status, 204);
    let again = call(&shop, "GET", path, &shop.secret, None).await.ok();
    assert_eq!(again["items"], json!([waiting["items"][1]]));
    call(&shop, "POST", &reopen(id(1)), &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "POST", &reopen(id(0)), &shop.secret, None).await.problem(404, "not_found");
    let synonyms = call(&shop, "GET", "/v1/search/synonyms", &shop.secret, None).await.ok();
    assert_eq!(synonyms["items"].as_array().unwrap().len(), 3);
    assert_eq!(shop.finder.merchandise_changes.load(Ordering::Relaxed), 3);
    assert_eq!(call(&shop, "DELETE", "/v1/search/synonyms/s1", &shop.secret, None).await.status, 204);
    call(&shop, "GET", "/v1/search/synonyms/s1", &shop.secret, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_became_of_searches_is_told_in_rates() {
    let shop = Shop::open();
    let answer = call(&shop, "GET", "/v1/search/analytics?from=2026-11-01", &shop.secret, None).await.ok();
    assert_eq!((&answer["searches"], &answer["no_result_rate"]), (&json!(40), &json!(0.1)));
    assert_eq!((&answer["mean_click_position"], &answer["conversion_rate"]), (&json!(2.0), &json!(0.05)));
    // 20 of the 36 that found something.
    assert_eq!((answer["click_rate"].as_f64().unwrap() * 36.0).round(), 20.0);
    assert_eq!(answer["revenue"], json!([{"minor": 9_900, "currency": "EUR"}]));
    assert_eq!(
        (&answer["days"][0]["day"], &answer["refinements"][0]["field"]),
        (&json!("2024-10-04"), &json!("brand"))
    );
    assert_eq!(answer["latency"], json!({"p50_ms": 0.4, "p95_ms": 3.0, "p99_ms": 3.0}));
    let path = "/v1/search/analytics/queries?order=without_results&limit=5";
    assert_eq!(call(&shop, "GET", path, &shop.secret, None).await.ok()["items"][0]["query"], "lamp");
    let path = "/v1/search/analytics?from=2026-11-20&until=2026-11-20&market=";
    let reply = call(&shop, "GET", path, &shop.secret, None).await;
    let expected = [("until", "out_of_range"), ("market", "invalid_id")];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    call(&shop, "GET", "/v1/search/analytics", &shop.public, None).await.problem(403, "forbidden");
}

#[tokio::test]
async fn which_encoder_answers_is_told_to_the_back_end_alone() {
    let shop = Shop::open();
    let answer = call(&shop, "GET", "/v1/search/encoder", &shop.secret, None).await.ok();
    assert_eq!((&answer["encoder"], &answer["used"], answer.get("budget")), (&json!("own"), &json!(false), None));
    call(&shop, "GET", "/v1/search/encoder", &shop.public, None).await.problem(403, "forbidden");
}
