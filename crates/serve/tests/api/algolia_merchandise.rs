//! Rules and synonyms under the protocol's addresses: the same as merchants set in the console, in other words.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{Reply, call};

async fn ask(shop: &Shop, method: &str, path: &str, body: Value) -> Reply {
    call(shop, method, &format!("/1/indexes/{path}"), &shop.secret, Some(body)).await
}

async fn read(shop: &Shop, path: &str) -> Value {
    call(shop, "GET", path, &shop.secret, None).await.ok()
}

/// As the client of version 5 sends it.
fn recorded() -> Value {
    json!({"objectID": "r1", "conditions": [{"pattern": "shoes", "anchoring": "contains"}],
        "consequence": {"promote": [{"objectID": "p1", "position": 0}], "hide": [{"objectID": "p9"}],
            "params": {"optionalFilters": ["brand:Nike"]}},
        "enabled": true})
}

#[tokio::test]
async fn a_recorded_rule_is_the_shops_and_comes_back_as_it_was() {
    let shop = Shop::open();
    let saved = ask(&shop, "PUT", "products/rules/r1?forwardToReplicas=true", recorded()).await.ok();
    assert_eq!(saved["id"], "r1");
    assert!(saved["taskID"].is_i64() && saved["updatedAt"].is_string() && saved.get("warnings").is_none(), "{saved}");
    assert_eq!(shop.finder.merchandise_changes.load(Ordering::Relaxed), 1);
    let ours = read(&shop, "/v1/search/rules/r1").await;
    let query = json!({"text": "shoes", "match": "contains"});
    assert_eq!(ours["conditions"], json!([{ "query": query }]));
    let boost = json!({"type": "boost", "filter": "brand = \"Nike\"", "strength": 1.0});
    let expected =
        json!([{"type": "pin", "product_id": "p1", "position": 1}, {"type": "hide", "product_id": "p9"}, boost]);
    assert_eq!(ours["consequences"], expected);
    assert_eq!(read(&shop, "/1/indexes/any/rules/r1").await, recorded());
    let found = ask(&shop, "POST", "products/rules/search", json!({"query": ""})).await.ok();
    assert_eq!(found, json!({"hits": [recorded()], "nbHits": 1, "page": 0, "nbPages": 1}));
    call(&shop, "GET", "/1/indexes/products/rules/r2", &shop.secret, None).await.message(404);
}

#[tokio::test]
async fn every_word_of_the_protocol_that_merx_knows_is_kept() {
    let shop = Shop::open();
    let rule = json!({"objectID": "all", "description": "Sale", "enabled": false,
        "conditions": [{"context": "mobile"}, {"pattern": "bag", "anchoring": "startsWith", "filters": "category:\"Hand bags\""}],
        "consequence": {
            "promote": [{"objectID": "p1", "position": 2}],
            "params": {"query": {"remove": ["cheap"]}, "filters": "NOT brand:Acme AND (price < 50 OR category:Odd)",
                "optionalFilters": ["brand:-Old<score=3>", ["brand:a", "brand:b"]],
                "renderingContent": {"redirect": {"url": "/sale"}}},
            "userData": {"banner": [1, 2]}},
        "validity": [{"from": 1_764_547_200, "until": 1_767_225_600}]});
    ask(&shop, "PUT", "products/rules/all", rule.clone()).await.ok();
    assert_eq!(read(&shop, "/1/indexes/products/rules/all").await, rule);
    // Other ways to say the same.
    let other = json!({"objectID": "other", "condition": {"pattern": "x", "anchoring": "is"}, "tags": ["season"], "_metadata": {"lastUpdate": 1},
        "consequence": {"promote": [{"objectIDs": ["p1", "p2"], "position": 4}], "filterPromotes": true,
            "params": {"facetFilters": [["brand:a", "brand:b"]], "query": {"edits": [{"type": "remove", "delete": "old"}]}}}});
    let saved = ask(&shop, "PUT", "products/rules/other", other).await.ok();
    assert_eq!(saved["warnings"], json!(["rules[0].tags: not kept"]));
    let shown = read(&shop, "/1/indexes/products/rules/other").await;
    assert_eq!(
        shown["consequence"]["promote"],
        json!([{"objectID": "p1", "position": 4}, {"objectID": "p2", "position": 5}])
    );
    assert_eq!(shown["consequence"]["params"], json!({"query": {"remove": ["old"]}, "filters": "brand:a OR brand:b"}));
    assert_eq!(shown.get("merx"), None);
}

#[tokio::test]
async fn what_the_protocol_has_no_words_for_survives_a_read_and_a_write() {
    let shop = Shop::open();
    let ours = json!({"priority": 3, "markets": ["de"], "consequences": [{"type": "bury", "filter": "category = \"Odd\"", "strength": 0.25}]});
    call(&shop, "PUT", "/v1/search/rules/deep", &shop.secret, Some(ours)).await.ok();
    let before = read(&shop, "/v1/search/rules/deep").await;
    let shown = read(&shop, "/1/indexes/products/rules/deep").await;
    assert_eq!(shown["merx"]["priority"], 3);
    ask(&shop, "POST", "products/rules/batch?clearExistingRules=true", json!([shown])).await.ok();
    assert_eq!(read(&shop, "/v1/search/rules/deep").await, before);
    let mut changed = shown.clone();
    changed["enabled"] = json!(false);
    let refused = ask(&shop, "PUT", "products/rules/deep", changed).await;
    assert!(refused.message(422).contains("something else"), "{}", refused.text());
    assert_eq!(read(&shop, "/v1/search/rules/deep").await, before);
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words_and_nothing_of_it_is_kept() {
    let shop = Shop::open();
    let effect = json!({"hide": [{"objectID": "p1"}]});
    for (part, wrong) in [
        ("alternatives", json!({"conditions": [{"pattern": "a", "alternatives": true}], "consequence": effect})),
        ("pattern", json!({"conditions": [{"pattern": "{facet:brand}"}], "consequence": effect})),
        ("filters", json!({"conditions": [{"filters": "price > 5"}], "consequence": effect})),
        ("validity", json!({"validity": [{"from": 1}, {"from": 2}], "consequence": effect})),
        (
            "filterPromotes",
            json!({"consequence": {"promote": [{"objectID": "p1", "position": 0}], "filterPromotes": false}}),
        ),
        ("automaticFacetFilters", json!({"consequence": {"params": {"automaticFacetFilters": ["brand"]}}})),
        ("redirect", json!({"consequence": {"redirect": {"indexName": "other"}}})),
        ("position", json!({"consequence": {"promote": [{"objectID": "p1", "position": 5000}]}})),
        ("strength", json!({"consequence": {"params": {"optionalFilters": ["brand:a<score=500>"]}}})),
        ("optionalFilters", json!({"consequence": {"params": {"optionalFilters": [["brand:a<score=2>", "brand:b"]]}}})),
        ("no product has a field", json!({"consequence": {"params": {"filters": "taste:sweet"}}})),
        ("consequences", json!({"consequence": {}})),
    ] {
        let refused = ask(&shop, "PUT", "products/rules/x", wrong.clone()).await;
        assert!(refused.message(422).contains(part), "{part}: {}", refused.text());
        // One of several that can't be: none is kept.
        let batch = json!([recorded(), wrong]);
        assert!(ask(&shop, "POST", "products/rules/batch", batch).await.status >= 400, "{part}");
    }
    for (part, wrong) in [
        ("altcorrection", json!({"type": "altCorrection1", "word": "a", "corrections": ["b"]})),
        ("placeholder", json!({"type": "placeholder", "placeholder": "<x>", "replacements": ["b"]})),
        ("two words", json!({"type": "synonym", "synonyms": ["a"]})),
        ("two words", json!({"type": "onewaysynonym", "synonyms": ["a"]})),
    ] {
        let refused = ask(&shop, "PUT", "products/synonyms/x", wrong).await;
        let words = refused.message(422);
        assert!(words.contains(part) || words.contains("onewaysynonym"), "{words}");
    }
    let elsewhere = ask(&shop, "PUT", "products/rules/x", recorded()).await;
    assert!(elsewhere.message(422).contains("the address says"), "{}", elsewhere.text());
    let of_tmp = ask(&shop, "POST", "products_tmp_1/rules/clear", json!({})).await;
    assert!(of_tmp.message(403).contains("hold at once"), "{}", of_tmp.text());
    ask(&shop, "PUT", "articles/rules/r1", recorded()).await.message(403);
    let path = "/1/indexes/products/rules/r1";
    assert_eq!(call(&shop, "PUT", path, &shop.public, Some(recorded())).await.status, 403);
    assert_eq!(read(&shop, "/v1/search/rules").await, json!({"items": []}));
    assert_eq!(read(&shop, "/v1/search/synonyms").await, json!({"items": []}));
    assert_eq!(shop.finder.merchandise_changes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn rules_are_replaced_searched_and_cleared() {
    let shop = Shop::open();
    let rule = |id: &str, pattern: &str, enabled: bool| {
        json!({"objectID": id, "enabled": enabled,
        "conditions": [{"pattern": pattern, "anchoring": "is", "context": id}], "consequence": {"userData": {"id": id}}})
    };
    let first = json!([rule("a", "red bag", true), rule("b", "blue bag", false), rule("c", "shoe", true)]);
    ask(&shop, "POST", "products/rules/batch", first).await.ok();
    for (asked, expected) in [
        (json!({"query": "BAG"}), vec!["a", "b"]),
        (json!({"enabled": true}), vec!["a", "c"]),
        (json!({"context": "c"}), vec!["c"]),
        (json!({"anchoring": "contains"}), vec![]),
        (json!({"page": 1, "hitsPerPage": 2}), vec!["c"]),
    ] {
        let found = ask(&shop, "POST", "products/rules/search", asked.clone()).await.ok();
        let ids: Vec<&str> =
            found["hits"].as_array().unwrap().iter().map(|hit| hit["objectID"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{asked}");
    }
    let second = json!([rule("d", "lamp", true), rule("a", "red bag", true)]);
    ask(&shop, "POST", "products/rules/batch?clearExistingRules=true", second).await.ok();
    let ids =
        |list: Value| list["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<Value>>();
    assert_eq!(ids(read(&shop, "/v1/search/rules").await), ["a", "d"]);
    let delete = ask(&shop, "DELETE", "products/rules/d", json!({})).await.ok();
    assert!(delete["deletedAt"].is_string());
    ask(&shop, "DELETE", "products/rules/d", json!({})).await.ok();
    ask(&shop, "POST", "products/rules/clear", json!({})).await.ok();
    assert_eq!(read(&shop, "/v1/search/rules").await, json!({"items": []}));
    // Who took them away, and what they were, is on record.
    let log = read(&shop, "/v1/search/changes").await;
    assert_eq!(log["items"].as_array().unwrap().len(), 8);
    assert_eq!(log["items"][0]["before"]["id"], "a");
}

#[tokio::test]
async fn synonyms_are_those_of_the_shop() {
    let shop = Shop::open();
    let recorded = json!({"objectID": "s1", "type": "synonym", "synonyms": ["sneaker", "trainer"]});
    assert_eq!(ask(&shop, "PUT", "products/synonyms/s1", recorded.clone()).await.ok()["id"], "s1");
    let one_way = json!({"objectID": "s2", "type": "oneWaySynonym", "input": "shoe", "synonyms": ["boot"]});
    ask(&shop, "POST", "products/synonyms/batch", json!([one_way])).await.ok();
    let ours = read(&shop, "/v1/search/synonyms").await;
    assert_eq!(
        ours["items"],
        json!([{"id": "s1", "words": ["sneaker", "trainer"]}, {"id": "s2", "from": "shoe", "to": ["boot"]}])
    );
    assert_eq!(read(&shop, "/1/indexes/products/synonyms/s1").await, recorded);
    let found =
        ask(&shop, "POST", "products/synonyms/search", json!({"query": "boot", "type": "synonym,onewaysynonym"}))
            .await
            .ok();
    assert_eq!((&found["nbHits"], &found["hits"][0]["input"]), (&json!(1), &json!("shoe")));
    let none = ask(&shop, "POST", "products/synonyms/search", json!({"query": "boot", "type": "synonym"})).await.ok();
    assert_eq!(none["nbHits"], 0);
    let again = json!([{"objectID": "s3", "type": "synonym", "synonyms": ["a", "b"]}]);
    ask(&shop, "POST", "products/synonyms/batch?replaceExistingSynonyms=true", again).await.ok();
    assert_eq!(read(&shop, "/v1/search/synonyms").await["items"], json!([{"id": "s3", "words": ["a", "b"]}]));
    ask(&shop, "DELETE", "products/synonyms/s3", json!({})).await.ok();
    call(&shop, "GET", "/1/indexes/products/synonyms/s3", &shop.secret, None).await.message(404);
    ask(&shop, "POST", "products/synonyms/clear", json!({})).await.ok();
}

#[tokio::test]
async fn what_a_search_would_rather_find_reaches_the_engine() {
    let shop = Shop::open();
    let search = json!({"query": "product", "optionalFilters": ["brand:Nike<score=2>", ["category:Odd", "category:Even"]],
        "distinct": true, "attributeForDistinct": "model", "aroundLatLng": "48.8,2.3", "aroundRadius": 2000, "getRankingInfo": true,
        "facetFilters": [["category:Odd"]], "enableRules": false, "synonyms": false});
    let answer = ask(&shop, "POST", "products/query", search).await.ok();
    assert_eq!(answer["aroundLatLng"], "48.8,2.3");
    let asked = shop.finder.asked.lock().last().cloned().unwrap();
    assert_eq!((asked.preferences.len(), asked.preferences[0].alternatives[0].1), (2, 2.0));
    assert_eq!(
        asked.distinct.map(|distinct| (distinct.field, distinct.most)),
        Some(("attributes.model".to_owned(), 1))
    );
    assert_eq!(asked.around.and_then(|around| around.radius_m), Some(2_000));
    assert_eq!((asked.category.as_deref(), asked.without_rules, asked.without_synonyms), (Some("Odd"), true, true));
    // As settings of the index, for searches that don't say otherwise.
    let settings = json!({"distinct": 2, "attributeForDistinct": "brand", "enableRules": false});
    ask(&shop, "PUT", "products/settings", settings).await.ok();
    ask(&shop, "POST", "products/query", json!({"query": "product", "insideBoundingBox": [[49, 2, 48, 3]]})).await.ok();
    let asked = shop.finder.asked.lock().last().cloned().unwrap();
    assert_eq!(asked.distinct.map(|distinct| (distinct.field, distinct.most)), Some(("brand".to_owned(), 2)));
    assert!(asked.without_rules && asked.filter.is_some());
    for wrong in
        [json!({"optionalFilters": ["brand"]}), json!({"aroundLatLng": "there"}), json!({"insideBoundingBox": [[1]]})]
    {
        ask(&shop, "POST", "products/query", wrong).await.message(422);
    }
    for wrong in [json!({"distinct": "all"}), json!({"attributeForDistinct": 5}), json!({"enableRules": "no"})] {
        ask(&shop, "PUT", "products/settings", wrong).await.message(422);
    }
    let delete = json!({"filters": "category:Odd", "aroundLatLng": "48,2"});
    assert!(ask(&shop, "POST", "products/deleteByQuery", delete).await.message(422).contains("aroundLatLng"));
}
