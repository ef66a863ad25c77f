//! Algolia's protocol, as its clients speak it.

use axum::body::Body;
use merx_domain::EventKind;
use serde_json::{Value, json};

use crate::harness::{NOW, Shop};
use crate::{Reply, request, send};

/// With the key in a header of theirs and the content type that spares the preflight request.
async fn ask(shop: &Shop, path: &str, body: &Value) -> Reply {
    let request = axum::http::Request::post(path)
        .header("x-algolia-application-id", "SHOP")
        .header("x-algolia-api-key", &shop.public)
        .header("content-type", "text/plain");
    send(shop, request.body(Body::from(body.to_string())).unwrap()).await
}

/// A request as the JavaScript client of version 5 sends it, with all that a front end may set.
fn rich() -> Value {
    json!({"indexName": "products", "query": "product 7", "facets": ["category", "price"],
        "facetFilters": [["category:Odd", "category:Even"], "category:-Shoes"], "numericFilters": ["price>=1", "price<=100"],
        "filters": "in_stock:true AND (price 1 TO 100) AND NOT brand:Acme", "page": 0, "hitsPerPage": 12,
        "highlightPreTag": "__ais-highlight__", "highlightPostTag": "__/ais-highlight__", "attributesToHighlight": ["name"],
        "attributesToSnippet": ["name:1"], "clickAnalytics": true, "userToken": "u-1", "getRankingInfo": true,
        "optionalFilters": ["brand:Nike<score=2>"], "ruleContexts": ["mobile"], "aroundLatLng": "48.8,2.3", "maxValuesPerFacet": 10,
        "distinct": true, "personalizationImpact": 50, "enablePersonalization": true, "analyticsTags": ["web"],
        "restrictSearchableAttributes": ["name"], "typoTolerance": "min", "queryLanguages": ["en"],
        "removeWordsIfNoResults": "allOptional"})
}

#[tokio::test]
async fn several_searches_are_answered_in_order() {
    let shop = Shop::open();
    let mut counts = rich();
    counts["indexName"] = json!("products_price_desc");
    counts["facets"] = json!("category");
    counts["hitsPerPage"] = json!(0);
    counts["analytics"] = json!(false);
    let values = json!({"indexName": "products", "type": "facet", "facet": "category", "facetQuery": "o"});
    let body = json!({"requests": [rich(), counts, values], "strategy": "none"});
    let answer = ask(&shop, "/1/indexes/*/queries?x-algolia-agent=test", &body).await.ok();
    let results = answer["results"].as_array().unwrap();

    let first = &results[0];
    assert_eq!((&first["nbHits"], &first["nbPages"], &first["hitsPerPage"]), (&json!(1), &json!(1), &json!(12)));
    let hit = &first["hits"][0];
    assert_eq!((&hit["objectID"], &hit["price"], &hit["category"]), (&json!("p7"), &json!(7.99), &json!("Odd")));
    assert_eq!(hit["categories"], json!({"lvl0": "Odd"}));
    let marked = "__ais-highlight__Product__/ais-highlight__ __ais-highlight__7__/ais-highlight__";
    assert_eq!(
        hit["_highlightResult"],
        json!({"name": {"value": marked, "matchLevel": "full", "fullyHighlighted": true, "matchedWords": ["product", "7"]}})
    );
    assert_eq!(
        hit["_snippetResult"]["name"],
        json!({"value": "__ais-highlight__Product__/ais-highlight__…", "matchLevel": "partial"})
    );
    assert_eq!(first["facets"], json!({"category": {"Odd": 1}, "price": {"Odd": 1}}));
    assert_eq!(first["queryID"].as_str().unwrap().len(), 32);
    assert_eq!((&first["index"], &first["query"]), (&json!("products"), &json!("product 7")));

    assert_eq!((&results[1]["hits"], &results[1]["nbHits"]), (&json!([]), &json!(1)));
    assert!(results[1].get("queryID").is_none(), "counts beside a search are no decision");
    let facet_hits = json!([{"value": "Odd", "highlighted": "<em>O</em>dd", "count": 25}]);
    assert_eq!(results[2]["facetHits"], facet_hits);

    let asked = shop.finder.asked.lock().clone();
    assert!(asked[1].sort[0].descending && asked[1].sort[0].field == "price");
    assert_eq!(
        (asked[0].segments.as_slice(), asked[0].fields.as_slice()),
        (&["mobile".to_owned()][..], &["name".to_owned()][..])
    );
    assert!(asked[0].filter.is_some() && asked[0].unfinished);
}

#[tokio::test]
async fn the_older_client_writes_parameters_into_one_text() {
    let shop = Shop::open();
    let params = "query=product&hitsPerPage=5&page=2&facets=%5B%22*%22%5D&facetFilters=%5B%5B%22category%3AOdd%22%5D%5D&tagFilters=";
    let body = json!({"requests": [{"indexName": "products", "params": params}]});
    let path = format!("/1/indexes/%2A/queries?X-Algolia-API-Key={}&x-algolia-application-id=SHOP", shop.public);
    let request = axum::http::Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let reply = send(&shop, request.body(Body::from(body.to_string())).unwrap()).await;
    let result = &reply.ok()["results"][0];
    assert_eq!((&result["page"], &result["nbPages"], &result["nbHits"]), (&json!(2), &json!(10), &json!(50)));
    assert_eq!(result["hits"][0]["objectID"], "p11");
    assert_eq!(result["renderingContent"]["facetOrdering"]["facets"]["order"], json!(["category", "price", "colour"]));
    let ask = shop.finder.asked.lock().pop().unwrap();
    assert_eq!((ask.offset, ask.count, ask.facets[0].field.as_str()), (10, 5, "*"));
}

#[tokio::test]
async fn one_search_and_facet_values_have_addresses_of_their_own() {
    let shop = Shop::open();
    let body = json!({"query": "product 3", "attributesToRetrieve": ["name"]});
    let answer = ask(&shop, "/1/indexes/products/query", &body).await.ok();
    let mut names: Vec<&String> = answer["hits"][0].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["_highlightResult", "name", "objectID"]);
    let body = json!({"facetQuery": "ev", "maxFacetHits": 5, "query": "x"});
    let answer = ask(&shop, "/1/indexes/products/facets/category/query", &body).await.ok();
    assert_eq!(answer["facetHits"][0]["highlighted"], "<em>Ev</em>en");
    let body = json!({"query": "product 4", "hitsPerPage": 3});
    let answer = ask(&shop, "/1/indexes/products_query_suggestions/query", &body).await.ok();
    assert_eq!(answer["hits"][0]["query"], "product 4");
    let marked = json!({"value": "<em>product</em> <em>4</em>", "matchLevel": "full", "matchedWords": ["product", "4"], "fullyHighlighted": true});
    assert_eq!(answer["hits"][0]["_highlightResult"]["query"], marked);
}

#[tokio::test]
async fn refusals_have_the_form_that_the_clients_read() {
    let shop = Shop::open();
    for (body, status) in [
        (json!({"filters": "price >"}), 422),
        (json!({"facetFilters": ["brand"]}), 422),
        (json!({"query": "x".repeat(10_000)}), 422),
        (json!([]), 400),
    ] {
        let reply = ask(&shop, "/1/indexes/products/query", &body).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/json"), "{body}");
        assert_eq!(reply.json()["status"], status);
        assert!(reply.json()["message"].is_string());
    }
    // Beyond what can be reached there is nothing, at once.
    let deep = ask(&shop, "/1/indexes/products/query", &json!({"page": 4_000_000_000_u64, "hitsPerPage": 1000})).await;
    assert_eq!(deep.ok()["hits"], json!([]));
    let reply =
        send(&shop, request("POST", "/1/indexes/products/query", "wrong").body(Body::from("{}")).unwrap()).await;
    assert_eq!((reply.status, &reply.json()["status"]), (401, &json!(401)));
}

#[tokio::test]
async fn events_become_events_of_the_shop() {
    let shop = Shop::open();
    let found =
        ask(&shop, "/1/indexes/products/query", &json!({"query": "product 3", "clickAnalytics": true})).await.ok();
    let query = found["queryID"].as_str().unwrap();
    let user = json!({"index": "products", "userToken": "u-1"});
    let event = |more: Value| {
        let mut event = user.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = json!({"events": [
        event(json!({"eventType": "click", "eventName": "Product Clicked", "objectIDs": ["p3"], "positions": [2], "queryID": query,
            "timestamp": 1_795_228_770_000_i64})),
        event(json!({"eventType": "view", "eventName": "Hits Viewed", "objectIDs": ["p1", "p2"], "algoliaSource": ["instantsearch"]})),
        event(json!({"eventType": "view", "eventName": "Brand viewed", "filters": ["brand:Nike"]})),
        event(json!({"eventType": "conversion", "eventSubtype": "addToCart", "eventName": "Added", "objectIDs": ["p3"], "queryID": query,
            "objectData": [{"price": 19.99, "quantity": 2, "queryID": query}], "value": 39.98, "currency": "EUR"})),
        event(json!({"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought", "objectIDs": ["p3"],
            "objectData": [{"price": 19.99, "quantity": 2, "queryID": query}], "value": 39.98, "currency": "EUR"})),
        event(json!({"eventType": "instantsearch", "eventName": "__start__"})),
    ]});
    let path = format!("/1/events?X-Algolia-Application-Id=SHOP&X-Algolia-API-Key={}", shop.public);
    for second in 0..2 {
        shop.clock.set(NOW.plus_ms(second * 1_000));
        let request = axum::http::Request::post(&path).header("content-type", "application/json");
        let reply = send(&shop, request.body(Body::from(events.to_string())).unwrap()).await;
        assert_eq!(reply.ok(), json!({"status": 200, "message": "OK"}));
    }
    let stored = shop.intake.events.lock();
    let kinds: Vec<EventKind> = stored.iter().take(4).map(|(event, _)| event.kind).collect();
    use EventKind as K;
    assert_eq!(kinds, [K::ProductClicked, K::ProductListViewed, K::ProductAdded, K::OrderCompleted]);
    assert_eq!(stored.len(), 7, "only what has a time of its own is known again");
    let (click, who) = &stored[0];
    assert_eq!(who.anonymous_id.as_deref(), Some("u-1"));
    assert_eq!(click.decision.unwrap().to_string(), query);
    assert_eq!((click.lines[0].product.as_str(), click.lines[0].position), ("p3", Some(2)));
    let order = &stored[3].0;
    assert_eq!((order.lines[0].quantity, order.decision.unwrap().to_string().as_str()), (2, query));
}

#[tokio::test]
async fn hostile_searches_are_bounded() {
    let shop = Shop::open();
    let facets: Vec<String> = (0..1_000).map(|number| format!("facet{number}")).collect();
    let alternatives = json!([(0..1_000).map(|number| format!("brand:{number}")).collect::<Vec<String>>()]);
    let long = (0..2_000).map(|number| format!("brand:{number}")).collect::<Vec<String>>().join(" OR ");
    for (body, status) in [
        (json!({"query": "product 3", "facets": facets}), 200),
        (json!({"query": "*".repeat(500)}), 200),
        (json!({"query": "a* b* c* d* e* f* g*", "facets": ["*", "*", "*"], "maxValuesPerFacet": 4_000_000}), 200),
        (json!({"query": "product", "hitsPerPage": 4_000_000_000_u64, "page": 9}), 200),
        (json!({"offset": u64::MAX, "length": u64::MAX}), 200),
        (json!({"facetFilters": alternatives}), 200),
        (json!({"filters": "unknown:thing AND NOT unheard_of > 3", "facets": ["unknown"]}), 200),
        (
            json!({"query": {"$ne": 1}, "page": "x", "facets": {"a": 1}, "highlightPreTag": "x".repeat(5_000), "userToken": ["u"]}),
            200,
        ),
        (
            json!({"attributesToSnippet": facets.iter().map(|facet| format!("{facet}:99999999")).collect::<Vec<_>>()}),
            200,
        ),
        (json!({"filters": long}), 422),
        (json!({"facetFilters": [[["brand:a"]]]}), 422),
        (json!({"numericFilters": ["price<=1e999"]}), 422),
        (json!({"filters": "(".repeat(4_000)}), 422),
    ] {
        let reply = ask(&shop, "/1/indexes/products/query", &body).await;
        assert_eq!(reply.status, status, "{} {}", body.to_string().chars().take(200).collect::<String>(), reply.text());
    }
    let asked = shop.finder.asked.lock().clone();
    assert!(asked.iter().all(|ask| ask.facets.len() <= 60 && ask.count <= 1_000 && ask.offset <= 1_000));
    assert!(asked.iter().flat_map(|ask| &ask.facets).all(|facet| facet.most_values <= 1_000));
    for path in [
        "/1/indexes/*/queries",
        "/1/indexes/products/query",
        "/1/indexes/*/recommendations",
        "/1/events",
        "/1/indexes/*/objects",
    ] {
        for body in ["[", "{\"requests\": 5, \"events\": 5", "null", "\u{0}"] {
            let request = axum::http::Request::post(path).header("x-algolia-api-key", &shop.public);
            let reply = send(&shop, request.body(Body::from(body)).unwrap()).await;
            assert_eq!((reply.status, &reply.json()["status"]), (400, &json!(400)), "{path} {body}");
        }
        let deep = format!("{}{}", "{\"requests\":[".repeat(3_000), "]}".repeat(3_000));
        let request = axum::http::Request::post(path).header("x-algolia-api-key", &shop.public);
        assert_eq!(send(&shop, request.body(Body::from(deep)).unwrap()).await.status, 400, "{path}");
    }
    let large = |number| json!({"requests": vec![json!({"indexName": "products", "hitsPerPage": 1_000}); number]});
    assert_eq!(ask(&shop, "/1/indexes/*/queries", &large(3)).await.status, 200);
    let refused = ask(&shop, "/1/indexes/*/queries", &large(4)).await;
    assert!(refused.status == 422 && refused.text().contains("4000 hits together"), "{}", refused.text());
    let nameless = json!({"requests": [{"indexName": "products", "type": "facet"}]});
    assert_eq!(ask(&shop, "/1/indexes/*/queries", &nameless).await.status, 422);
    let many: Vec<Value> = (0..51).map(|_| json!({"indexName": "products"})).collect();
    assert_eq!(ask(&shop, "/1/indexes/*/queries", &json!({"requests": many})).await.status, 422);
}
