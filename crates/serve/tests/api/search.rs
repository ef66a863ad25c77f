//! Searches of our own API.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::call;
use crate::harness::Shop;

#[tokio::test]
async fn a_search_is_answered_recorded_explained_and_made_again() {
    let shop = Shop::open();
    let body = json!({"query": "Product 7", "anonymous_id": "a", "filter": "price < 50", "facets": ["category"],
        "refinements": [{"field": "category", "filter": "category = odd"}], "sort": [{"field": "price"}]});
    let reply = call(&shop, "POST", "/v1/search", &shop.public, Some(body)).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.ok();
    assert_eq!(answer["total"], 1);
    let hit = &answer["hits"][0];
    assert_eq!((&hit["product_id"], &hit["price"]), (&json!("p7"), &json!({"minor": 799, "currency": "EUR"})));
    assert_eq!(
        hit["name_parts"],
        json!([{"text": "Product", "hit": true}, {"text": " ", "hit": false}, {"text": "7", "hit": true}])
    );
    assert_eq!(hit["reasons"][0]["type"], "words");
    assert_eq!(answer["facets"][0]["values"], json!([{"value": "Odd", "count": 1}]));
    let ask = shop.finder.asked.lock().pop().unwrap();
    assert_eq!((ask.refinements.len(), ask.sort[0].field.as_str(), ask.filter.is_some()), (1, "price", true));

    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    assert_eq!((&record["engine"], &record["query"]), (&json!("search"), &json!("Product 7")));
    assert_eq!(record["slots"][0]["items"][0]["product_id"], "p7");
    let why = call(&shop, "GET", &format!("{path}/why"), &shop.secret, None).await.ok();
    assert_eq!(why["items"][0]["reasons"][0], "its texts have 100 % of what was asked for");
    let replay = call(&shop, "POST", &format!("{path}/replay"), &shop.secret, None).await.ok();
    assert_eq!((&replay["identical"], &replay["recorded"][0][0]["product_id"]), (&json!(true), &json!("p7")));
}

#[tokio::test]
async fn the_simple_form_pages_and_sorts() {
    let shop = Shop::open();
    let path = "/v1/search?q=product&offset=10&count=2&sort=-price&facets=brand,price";
    let answer = call(&shop, "GET", path, &shop.public, None).await.ok();
    assert_eq!((&answer["total"], answer["hits"].as_array().unwrap().len()), (&json!(50), 2));
    let ask = shop.finder.asked.lock().pop().unwrap();
    assert!(ask.sort[0].descending && ask.facets.len() == 2 && ask.offset == 10);
    let everything = call(&shop, "GET", "/v1/search", &shop.public, None).await.ok();
    assert_eq!(everything["hits"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place() {
    let shop = Shop::open();
    let body = json!({"query": "x".repeat(10_000), "market": "", "offset": 1_001, "count": 101, "facet_values": 0,
        "filter": "attributes.taste = \"sweet\"", "facets": ["brand", "taste"], "fields": ["name", "smell"],
        "refinements": [{"field": "brand", "filter": "brand ="}], "sort": [{"field": "weight"}]});
    let reply = call(&shop, "POST", "/v1/search", &shop.public, Some(body)).await;
    let expected = [
        ("market", "invalid_id"),
        ("count", "out_of_range"),
        ("offset", "out_of_range"),
        ("query", "too_long"),
        ("facet_values", "out_of_range"),
        ("fields[1]", "unknown_field"),
        ("filter", "unknown_field"),
        ("refinements[0].filter", "invalid_filter"),
        ("facets[1]", "unknown_field"),
        ("sort[0].field", "unknown_field"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    let reply = call(&shop, "POST", "/v1/search", &shop.public, Some(json!({"user_id": "u"}))).await;
    reply.problem(403, "forbidden");
    let reply = call(&shop, "POST", "/v1/facets", &shop.public, Some(json!({"field": "taste"}))).await;
    assert_eq!(reply.mistakes(), [("field".to_owned(), "unknown_field".to_owned())]);
}

#[tokio::test]
async fn suggestions_and_facet_values_are_found() {
    let shop = Shop::open();
    let body = json!({"text": "product 1", "products": 2});
    let answer = call(&shop, "POST", "/v1/suggest", &shop.public, Some(body)).await.ok();
    assert_eq!(answer["suggestions"][0]["product_id"], "p1");
    assert_eq!(answer["suggestions"][0]["type"], "product");
    let body = json!({"field": "category", "text": "o"});
    let answer = call(&shop, "POST", "/v1/facets", &shop.public, Some(body)).await.ok();
    assert_eq!(answer, json!({"field": "category", "values": [{"value": "Odd", "count": 25}]}));
}

#[tokio::test]
async fn while_the_index_is_built_nothing_is_searched() {
    let shop = Shop::open();
    shop.finder.building.store(true, Ordering::Relaxed);
    call(&shop, "GET", "/v1/search", &shop.public, None).await.problem(503, "unavailable");
    call(&shop, "GET", "/health/ready", &shop.public, None).await.problem(503, "unavailable");
    call(&shop, "GET", "/v1/recommend/popular", &shop.public, None).await.ok();
}
