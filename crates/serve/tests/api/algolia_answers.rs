//! What answers of Algolia's protocol hold: nothing that is hidden, every facet under its name, every event that is good.

use merx_domain::EventKind;
use merx_serve::Settings;
use serde_json::{Value, json};

use crate::harness::{Shop, settings};
use crate::{Reply, algolia_records};

async fn call(shop: &Shop, key: &str, method: &str, path: &str, body: Value) -> Reply {
    algolia_records::call(shop, key, method, path, Some(body).filter(|body| !body.is_null())).await
}

async fn set(shop: &Shop, settings: Value) {
    call(shop, &shop.secret, "PUT", "/1/indexes/products/settings", settings).await.ok();
}

async fn search(shop: &Shop, key: &str, body: Value) -> Value {
    call(shop, key, "POST", "/1/indexes/products/query", body).await.ok()
}

#[tokio::test]
async fn only_admin_keys_see_what_is_not_retrievable() {
    let shop = Shop::open();
    let record = json!({"objectID": "p5", "name": "Product 5", "price": 5.99, "margin": 3, "costs": {"unit": 2, "freight": 1}, "url": "https://shop.example/5",
        "_geoloc": {"lat": 48.85, "lng": 2.35}});
    let write = json!({"requests": [{"action": "addObject", "body": record}]});
    call(&shop, &shop.secret, "POST", "/1/indexes/products/batch", write).await.ok();
    let hidden = json!(["price", "margin", "costs.unit", "url", "_geoloc", "objectID"]);
    set(&shop, json!({"unretrievableAttributes": hidden})).await;

    let asked = json!({"query": "product 5", "facets": ["*", "price", "category"], "attributesToRetrieve": ["*", "price"],
        "attributesToHighlight": ["url", "name"], "attributesToSnippet": ["url:3", "*:2"], "getRankingInfo": true,
        "aroundLatLng": "48.8,2.3", "unretrievableAttributes": []});
    let question = |more: Value| {
        let mut question =
            json!({"indexName": "products", "threshold": 0, "maxRecommendations": 3, "queryParameters": asked});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "requests": [question] })
    };
    let names: Vec<&str> = hidden.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let has = |hit: &Value, name: &str| hit.pointer(&format!("/{}", name.replace('.', "/"))).is_some();
    for (key, sees) in [(&shop.public, false), (&shop.secret, false), (&shop.admin, true)] {
        let found = search(&shop, key, asked.clone()).await;
        let hit = &found["hits"][0];
        assert_eq!((&hit["objectID"], has(hit, "price"), has(hit, "url")), (&json!("p5"), sees, sees));
        assert_eq!((has(hit, "_highlightResult.url"), has(hit, "_snippetResult.url")), (sees, sees), "{hit}");
        assert_eq!((has(&found, "facets.price"), has(&found, "facets.category")), (sees, true), "{}", found["facets"]);

        let read =
            call(&shop, key, "GET", "/1/indexes/products/p5?attributesToRetrieve=*,price", Value::Null).await.ok();
        let several = json!({"requests": [{"indexName": "products", "objectID": "p5", "attributesToRetrieve": ["*", "costs.unit"]}]});
        let several = call(&shop, key, "POST", "/1/indexes/*/objects", several).await.ok();
        for record in [&read, &several["results"][0]] {
            assert_eq!(record["objectID"], "p5");
            assert!(names.iter().filter(|name| **name != "objectID").all(|name| has(record, name) == sees), "{record}");
            assert!(has(record, "costs.freight") && has(record, "name"), "{record}");
        }
        if *key != shop.public {
            let browsed =
                call(&shop, key, "POST", "/1/indexes/products/browse", json!({"filters": "objectID:p7"})).await;
            assert_eq!(has(&browsed.ok()["hits"][0], "price"), sees);
        }
        let related = question(json!({"model": "related-products", "objectID": "p1"}));
        let related = call(&shop, key, "POST", "/1/indexes/*/recommendations", related).await.ok();
        let hit = &related["results"][0]["hits"][0];
        assert_eq!(
            (has(hit, "price"), has(hit, "_highlightResult.url"), has(hit, "name")),
            (sees, sees, true),
            "{hit}"
        );
        let trending = question(json!({"model": "trending-facets", "facetName": "price"}));
        let trending = call(&shop, key, "POST", "/1/indexes/*/recommendations", trending).await;
        let values = call(&shop, key, "POST", "/1/indexes/products/facets/price/query", json!({})).await;
        assert_eq!((trending.status, values.status), if sees { (200, 200) } else { (422, 422) });
    }
    // What the merchant declares a facet is one, whoever asks.
    set(&shop, json!({"attributesForFaceting": ["price", "filterOnly(category)"]})).await;
    let found = search(&shop, &shop.public, asked).await;
    assert_eq!((has(&found, "facets.price"), has(&found, "facets.category")), (true, false), "{}", found["facets"]);
    let acl =
        async |key: &str| call(&shop, key, "GET", &format!("/1/keys/{key}"), Value::Null).await.ok()["acl"].to_string();
    assert!(acl(&shop.admin).await.contains("seeUnretrievableAttributes"));
    assert!(!acl(&shop.secret).await.contains("seeUnretrievableAttributes"));
}

#[tokio::test]
async fn every_facet_stands_under_the_name_that_was_declared() {
    let shop = Shop::open();
    let declared = json!([
        "searchable(brand)",
        "hierarchicalCategories.lvl0",
        "attributes.colour",
        "afterDistinct(searchable(categories))",
        "filterOnly(material)",
        "category"
    ]);
    set(&shop, json!({ "attributesForFaceting": declared })).await;
    let found = search(&shop, &shop.public, json!({"query": "product", "facets": ["*"]})).await;
    let names = |part: &Value| part.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    let wanted = ["attributes.colour", "brand", "categories", "category", "hierarchicalCategories.lvl0"];
    assert_eq!(names(&found["facets"]), wanted);
    let mut order: Vec<String> =
        serde_json::from_value(found["renderingContent"]["facetOrdering"]["facets"]["order"].clone()).unwrap();
    order.sort();
    order.dedup();
    assert_eq!(order, wanted);
    // By name too, each as it was asked for, and what only filters by no name.
    let body = json!({"query": "product", "facets": ["colour", "material", "attributes.colour", "size"]});
    assert_eq!(names(&search(&shop, &shop.public, body).await["facets"]), ["attributes.colour", "colour", "size"]);
    let refused = call(&shop, &shop.public, "POST", "/1/indexes/products/facets/material/query", json!({})).await;
    assert!(refused.status == 422 && refused.text().contains("filterOnly"), "{}", refused.text());
    let asked = shop.finder.asked.lock().clone();
    assert!(asked.iter().flat_map(|ask| &ask.facets).all(|facet| facet.field != "attributes.material"));
}

fn click(id: &str) -> Value {
    json!({"eventType": "click", "eventName": "Product Clicked", "index": "products", "userToken": "u-1", "objectIDs": [id]})
}

async fn push(shop: &Shop, events: Vec<Value>) -> Reply {
    call(shop, &shop.public, "POST", "/1/events", json!({ "events": events })).await
}

#[tokio::test]
async fn a_thousand_events_are_taken_at_once_whatever_their_size() {
    let shop = Shop::with(Settings { max_body_bytes: 8_000_000, ..settings() }, 1);
    // Together far more than the tracking API takes in one batch.
    let ids: Vec<String> =
        (0..20).map(|number| format!("product-with-a-long-id-{}-{number}", "x".repeat(100))).collect();
    let sold = json!({"price": 19.99, "quantity": 2, "discount": 0.5, "queryID": "0".repeat(32)});
    let purchase = |place: usize| {
        json!({"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought", "index": "products",
            "userToken": format!("u-{place}"), "objectIDs": ids, "objectData": vec![sold.clone(); ids.len()], "value": 799.6, "currency": "EUR"})
    };
    let events: Vec<Value> = (0..1_000).map(purchase).collect();
    assert!(json!(events).to_string().len() > 4_000_000);
    assert_eq!(push(&shop, events).await.ok(), json!({"status": 200, "message": "OK"}));
    let stored = shop.intake.events.lock().iter().map(|(event, _)| event.lines.len()).collect::<Vec<usize>>();
    assert_eq!(stored, vec![20; 1_000]);

    let many = push(&shop, (0..1_001).map(|_| click("p1")).collect()).await;
    assert!(many.status == 422 && many.text().contains("1001 events are more than 1000"), "{}", many.text());
    let large = json!({"events": [], "padding": "x".repeat(9_000_000)});
    assert_eq!(call(&shop, &shop.public, "POST", "/1/events", large).await.status, 413);
    assert_eq!(shop.intake.events.lock().len(), 1_000);
}

#[tokio::test]
async fn bad_events_are_named_and_good_ones_kept() {
    let shop = Shop::open();
    let with = |more: Value| {
        let mut event = click("p1");
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let bad = vec![
        json!("click"),
        with(json!({"eventType": null})),
        with(json!({"userToken": null})),
        with(json!({"objectIDs": []})),
        with(json!({"objectIDs": "p1"})),
        with(json!({"objectIDs": vec!["p1"; 101]})),
        with(json!({"timestamp": "yesterday"})),
        with(json!({"objectIDs": ["x".repeat(40_000)]})),
        with(json!({"objectIDs": [{"id": 1}]})),
    ];
    let mut events =
        vec![click("p1"), with(json!({"eventType": "hover"})), with(json!({"timestamp": 1_795_228_770_000.5}))];
    events.extend(bad.clone());
    events.push(with(json!({"objectIDs": ["p2", "p3"]})));
    let answer = push(&shop, events).await.ok();
    assert_eq!((&answer["status"], &answer["message"]), (&json!(200), &json!("OK, but 9 of 13 events were refused")));
    let places: Vec<&str> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["at"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (3..12).map(|place| format!("events[{place}]")).collect();
    assert_eq!(places, wanted);
    assert_eq!(answer["errors"][2]["code"], "no_user_anon_id");
    assert!(answer["errors"].as_array().unwrap().iter().all(|error| !error["detail"].as_str().unwrap().is_empty()));
    let kinds: Vec<EventKind> = shop.intake.events.lock().iter().map(|(event, _)| event.kind).collect();
    assert_eq!(kinds, [EventKind::ProductClicked; 4]);

    // Whoever tries it out with nothing but mistakes is told so; what isn't known here is no mistake.
    let reply = push(&shop, bad).await;
    assert!(reply.status == 422 && reply.text().contains("events[0]"), "{}", reply.text());
    let unknown =
        vec![with(json!({"eventType": "instantsearch"})), with(json!({"objectIDs": null, "filters": ["brand:a"]}))];
    assert_eq!(push(&shop, unknown).await.ok(), json!({"status": 200, "message": "OK"}));
    assert_eq!(push(&shop, Vec::new()).await.ok()["message"], "OK");
}

#[tokio::test]
async fn searches_may_stop_where_enough_is_found() {
    let shop = Shop::open();
    let body = json!({"strategy": "stopIfEnoughMatches", "requests": [
        {"indexName": "products", "query": "product 7", "hitsPerPage": 5},
        {"indexName": "products", "query": "product", "hitsPerPage": 5},
        {"indexName": "products", "query": "product 8", "hitsPerPage": 5},
    ]});
    let answer = call(&shop, &shop.public, "POST", "/1/indexes/*/queries", body).await.ok();
    let told = |name: &str| {
        answer["results"].as_array().unwrap().iter().map(|result| result[name].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(told("processed"), [true, true, false]);
    assert_eq!(told("nbHits"), [1, 50, 0]);
    assert_eq!(shop.finder.asked.lock().len(), 2);
}

#[tokio::test]
async fn an_answer_holds_what_was_asked_of_it() {
    let shop = Shop::open();
    let found = search(
        &shop,
        &shop.public,
        json!({"query": "product", "responseFields": ["hits", "nbHits"], "hitsPerPage": 1}),
    )
    .await;
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["hits", "nbHits"]);
    let found = search(&shop, &shop.public, json!({"query": "product", "offset": 3, "length": 2})).await;
    assert_eq!(
        (&found["offset"], &found["length"], &found["hits"][0]["objectID"]),
        (&json!(3), &json!(2), &json!("p4"))
    );
    let found = search(&shop, &shop.public, json!({"similarQuery": "product 9"})).await;
    assert_eq!((&found["nbHits"], &found["query"]), (&json!(1), &json!("product 9")));
    set(&shop, json!({"searchableAttributes": ["unordered(name)"]})).await;
    let found = search(&shop, &shop.public, json!({"query": "product 9"})).await;
    assert_eq!(found["hits"][0]["_highlightResult"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name"]);
}

/// What is not understood must not widen what is found, or what is removed.
#[tokio::test]
async fn filters_of_another_form_are_refused() {
    let shop = Shop::open();
    for wrong in [
        json!({"filters": ["brand:a"]}),
        json!({"filters": 5}),
        json!({"facetFilters": {"brand": "a"}}),
        json!({"facetFilters": "[\"brand:a\""}),
        json!({"facetFilters": 5}),
        json!({"facetFilters": [":a"]}),
        json!({"facetFilters": [null]}),
        json!({"facetFilters": [["brand:a", 5]]}),
        json!({"numericFilters": {"price": 5}}),
        json!({"numericFilters": [">5"]}),
        json!({"numericFilters": "price>1,price<"}),
        json!({"tagFilters": true}),
    ] {
        for path in ["query", "browse", "deleteByQuery"] {
            let mut body = wrong.clone();
            body["hitsPerPage"] = json!(1);
            let reply = call(&shop, &shop.secret, "POST", &format!("/1/indexes/products/{path}"), body).await;
            assert_eq!(
                (reply.status, reply.json()["message"].is_string()),
                (422, true),
                "{path} {wrong} {}",
                reply.text()
            );
        }
    }
    for right in [
        json!({"filters": null, "facetFilters": null, "numericFilters": "", "tagFilters": []}),
        json!({"facetFilters": "(category:Odd,category:Even),in_stock:true", "numericFilters": "price>1,price<=9"}),
        json!({"facetFilters": [["category:Odd"], [], "category:-Even"], "numericFilters": [["price = 3", "price:4 TO 9"], "price!=5"]}),
    ] {
        let reply = call(&shop, &shop.secret, "POST", "/1/indexes/products/query", right.clone()).await;
        assert_eq!(reply.status, 200, "{right} {}", reply.text());
    }
}
