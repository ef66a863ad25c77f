//! Records, indexes and recommendations of Algolia's protocol.

use axum::body::Body;
use merx_domain::{ProductId, ProductStatus};
use merx_serve::ShopRecords;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{Reply, send};

pub(crate) async fn call(shop: &Shop, key: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    let request = axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header("x-algolia-application-id", "SHOP")
        .header("x-algolia-api-key", key)
        .header("content-type", "text/plain");
    send(shop, request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()).await
}

async fn post(shop: &Shop, path: &str, body: Value) -> Reply {
    call(shop, &shop.secret, "POST", path, Some(body)).await
}

async fn get(shop: &Shop, path: &str) -> Reply {
    call(shop, &shop.secret, "GET", path, None).await
}

async fn batch(shop: &Shop, requests: Value) -> Reply {
    post(shop, "/1/indexes/products/batch", json!({ "requests": requests })).await
}

fn stored(shop: &Shop, id: &str) -> Option<merx_domain::Product> {
    shop.records.product(&ProductId::new(id).unwrap()).unwrap()
}

#[tokio::test]
async fn batches_write_products() {
    let shop = Shop::open();
    let written = batch(
        &shop,
        json!([
            {"action": "addObject", "body": {"objectID": "new", "name": "Canvas Bag", "brand": "Acme", "price": 18.99, "stock": 3,
                "categories": {"lvl0": "Bags", "lvl1": "Bags > Shoppers"}, "colours": ["red"], "specs": {"litres": 12}}},
            {"action": "partialUpdateObject", "body": {"objectID": "new", "stock": {"_operation": "Increment", "value": 2},
                "colours": {"_operation": "Add", "value": "blue"}}},
            {"action": "partialUpdateObjectNoCreate", "body": {"objectID": "nobody", "name": "No"}},
            {"action": "partialUpdateObject", "body": {"objectID": "p1", "rating": 4}},
            {"action": "deleteObject", "body": {"objectID": "p2"}},
            {"action": "addObject", "body": {"name": "Without an id"}},
        ]),
    )
    .await
    .ok();
    let ids: Vec<&str> = written["objectIDs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids[..5], ["new", "new", "nobody", "p1", "p2"]);
    assert_eq!(stored(&shop, ids[5]).unwrap().name, "Without an id");
    assert!(stored(&shop, "nobody").is_none() && stored(&shop, "p2").is_none());
    let changed = stored(&shop, "p1").unwrap();
    assert_eq!((changed.name.as_str(), changed.variants[0].prices[0].amount.minor), ("Product 1", 199));
    assert!(changed.attributes.contains_key("rating"));

    let bag = get(&shop, "/1/indexes/products/new").await.ok();
    assert_eq!((&bag["price"], &bag["currency"], &bag["stock"]), (&json!(18.99), &json!("EUR"), &json!(5)));
    assert_eq!((&bag["colours"], &bag["specs"]["litres"]), (&json!(["red", "blue"]), &json!(12)));
    assert_eq!(bag["categories"], json!({"lvl0": "Bags", "lvl1": "Bags > Shoppers"}));
    let task = get(&shop, &format!("/1/indexes/products/task/{}", written["taskID"])).await.ok();
    assert_eq!(task["status"], "published");
    shop.finder.building.store(true, std::sync::atomic::Ordering::Relaxed);
    let task = get(&shop, "/1/indexes/products/task/1").await.ok();
    assert_eq!(task, json!({"status": "notPublished", "pendingTask": true}));

    // Sold out by a word, and back again.
    batch(&shop, json!([{"action": "partialUpdateObject", "body": {"objectID": "new", "in_stock": false}}])).await.ok();
    let id = ProductId::new("new").unwrap();
    assert_eq!(shop.records.stock(&id).unwrap()[0].quantity, 0);
    batch(&shop, json!([{"action": "partialUpdateObject", "body": {"objectID": "new", "in_stock": true}}])).await.ok();
    assert!(shop.records.stock(&id).unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_that_is_wrong_anywhere_changes_nothing() {
    let shop = Shop::open();
    let good = json!({"action": "addObject", "body": {"objectID": "good", "name": "Good"}});
    for (wrong, words) in [
        (
            json!({"action": "addObject", "body": {"objectID": "bad", "price": "much"}}),
            "requests[1]: objectID bad: price",
        ),
        (json!({"action": "clear"}), "addresses of their own"),
        (json!({"action": "deleteObject", "body": {}}), "objectID is missing"),
        (json!({"action": "addObject", "body": {"objectID": {}}}), "objectID: expected"),
        (json!({"action": "addObject", "body": []}), "expected an object"),
        (
            json!({"action": "partialUpdateObject", "body": {"objectID": "p1", "rating": {"_operation": "Root", "value": 1}}}),
            "operation",
        ),
    ] {
        let reply = batch(&shop, json!([good, wrong])).await;
        assert_eq!(reply.status, 422, "{wrong}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{message}");
        assert!(stored(&shop, "good").is_none());
    }
    let deep = format!("{{\"requests\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let request = axum::http::Request::post("/1/indexes/products/batch").header("x-algolia-api-key", &shop.secret);
    assert_eq!(send(&shop, request.body(Body::from(deep)).unwrap()).await.status, 400);
}

#[tokio::test]
async fn records_have_addresses_of_their_own() {
    let shop = Shop::open();
    let put = call(&shop, &shop.secret, "PUT", "/1/indexes/products/a%2F1", Some(json!({"name": "Slash"}))).await.ok();
    assert_eq!(put["objectID"], "a/1");
    let made = post(&shop, "/1/indexes/products", json!({"name": "Made"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(stored(&shop, made.json()["objectID"].as_str().unwrap()).unwrap().name, "Made");
    post(&shop, "/1/indexes/products/a%2F1/partial", json!({"brand": "Acme"})).await.ok();
    assert_eq!(stored(&shop, "a/1").unwrap().brand.as_deref(), Some("Acme"));
    post(&shop, "/1/indexes/products/none/partial?createIfNotExists=false", json!({"brand": "Acme"})).await.ok();
    assert!(stored(&shop, "none").is_none());
    call(&shop, &shop.secret, "DELETE", "/1/indexes/products/a%2F1", None).await.ok();
    assert_eq!(get(&shop, "/1/indexes/products/a%2F1").await.status, 404);

    let some = get(&shop, "/1/indexes/products/p1?attributesToRetrieve=name%2Cprice").await.ok();
    assert_eq!(some, json!({"objectID": "p1", "name": "Product 1", "price": 1.99}));
    let several = json!({"requests": [{"indexName": "products", "objectID": "p3", "attributesToRetrieve": ["name"]},
        {"indexName": "products", "objectID": "gone"}]});
    let several = call(&shop, &shop.public, "POST", "/1/indexes/*/objects", Some(several)).await.ok();
    assert_eq!(several, json!({"results": [{"objectID": "p3", "name": "Product 3"}, null]}));

    // What is hidden is in no index, and how many units there are is not for everybody.
    let mut hidden = crate::harness::product(4);
    hidden.status = ProductStatus::Hidden;
    shop.records.write_products(vec![hidden], Vec::new()).unwrap();
    assert_eq!(get(&shop, "/1/indexes/products/p4").await.status, 404);
    batch(&shop, json!([{"action": "partialUpdateObject", "body": {"objectID": "p5", "stock": 7}}])).await.ok();
    assert_eq!(get(&shop, "/1/indexes/products/p5").await.ok()["stock"], 7);
    let public = call(&shop, &shop.public, "GET", "/1/indexes/products/p5", None).await.ok();
    assert_eq!((public.get("stock"), &public["in_stock"]), (None, &json!(true)));
}

#[tokio::test]
async fn only_secret_keys_write_and_only_the_catalogue() {
    let shop = Shop::open();
    let body = || Some(json!({"requests": [{"action": "addObject", "body": {"objectID": "x", "name": "X"}}]}));
    for (method, path) in [
        ("POST", "/1/indexes/products/batch"),
        ("POST", "/1/indexes/products/browse"),
        ("PUT", "/1/indexes/products/x"),
        ("DELETE", "/1/indexes/products/p1"),
        ("POST", "/1/indexes/products/clear"),
        ("DELETE", "/1/indexes/products"),
        ("POST", "/1/indexes/products/deleteByQuery"),
        ("PUT", "/1/indexes/products/settings"),
        ("GET", "/1/indexes"),
    ] {
        assert_eq!(call(&shop, &shop.public, method, path, body()).await.status, 403, "{method} {path}");
    }
    for path in ["/1/indexes/articles/batch", "/1/indexes/articles/clear", "/1/indexes/products_price_asc/batch"] {
        let reply = post(&shop, path, body().unwrap()).await;
        assert!(reply.status == 403 && reply.json()["message"].as_str().unwrap().contains("one catalogue"), "{path}");
    }
    let several = json!({"requests": [
        {"action": "addObject", "indexName": "products", "body": {"objectID": "x", "name": "X"}},
        {"action": "addObject", "indexName": "articles", "body": {"objectID": "y", "name": "Y"}},
    ]});
    assert_eq!(post(&shop, "/1/indexes/*/batch", several).await.status, 403);
    assert!(stored(&shop, "x").is_none(), "nothing of it");
    let several =
        json!({"requests": [{"action": "addObject", "indexName": "products", "body": {"objectID": "x", "name": "X"}}]});
    let reply = post(&shop, "/1/indexes/*/batch", several).await.ok();
    assert!(reply["taskID"]["products"].is_i64() && stored(&shop, "x").is_some());
}

#[tokio::test]
async fn browsing_reads_everything_once() {
    let shop = Shop::open();
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut body =
        json!({"hitsPerPage": 9, "filters": "price > 5 AND NOT category:Even", "attributesToRetrieve": ["price"]});
    loop {
        let page = post(&shop, "/1/indexes/products/browse", body).await.ok();
        for hit in page["hits"].as_array().unwrap() {
            assert_eq!(hit.as_object().unwrap().len(), 2, "{hit}");
            seen.push(hit["objectID"].as_str().unwrap().to_owned());
        }
        let told = ["nbHits", "nbPages", "page", "hitsPerPage"].map(|name| page[name].as_u64().unwrap());
        assert_eq!(told, [23, 3, pages, 9], "on every page");
        pages += 1;
        let Some(cursor) = page.get("cursor") else { break };
        body = json!({ "cursor": cursor });
    }
    assert_eq!(pages, 3);
    let wanted: Vec<String> = (5..=50).filter(|number| number % 2 == 1).map(|number| format!("p{number}")).collect();
    assert_eq!(seen, wanted);
    let second = post(&shop, "/1/indexes/products/browse", json!({"hitsPerPage": 20, "page": 2})).await.ok();
    assert_eq!(
        (&second["hits"][0]["objectID"], &second["nbHits"], second.get("cursor")),
        (&json!("p41"), &json!(50), None)
    );
    for wrong in [json!({"cursor": "x"}), json!({"cursor": "W10"}), json!({"cursor": 5}), json!({"filters": "price >"})]
    {
        assert_eq!(post(&shop, "/1/indexes/products/browse", wrong).await.status, 422);
    }
}

#[tokio::test]
async fn browsing_finds_what_has_the_words() {
    let shop = Shop::open();
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut body = json!({"hitsPerPage": 20, "query": "product", "attributesToRetrieve": ["name"], "facets": ["*"], "distinct": true});
    loop {
        let page = post(&shop, "/1/indexes/products/browse", body).await.ok();
        assert_eq!((&page["nbHits"], &page["nbPages"], &page["page"]), (&json!(50), &json!(3), &json!(pages)));
        assert_eq!(page["query"], "product");
        seen.extend(page["hits"].as_array().unwrap().iter().map(|hit| hit["objectID"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(cursor) = page.get("cursor") else { break };
        body = json!({ "cursor": cursor });
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), pages), (50, 3));
    let asked = shop.finder.asked.lock().clone();
    assert!(asked.iter().all(|ask| ask.without_rules && ask.facets.is_empty() && ask.sort[0].field == "id"));
    assert!(
        asked.iter().all(|ask| ask.fields.len() == 6 && ask.distinct.is_none()),
        "words alone, nothing that is only near"
    );
    let none = post(&shop, "/1/indexes/products/browse", json!({"query": "zebra"})).await.ok();
    assert_eq!((&none["hits"], &none["nbHits"], none.get("cursor")), (&json!([]), &json!(0), None));
    let long = json!({"query": "x".repeat(10_000)});
    assert_eq!(post(&shop, "/1/indexes/products/browse", long).await.status, 422);
}

#[tokio::test]
async fn a_temporary_index_takes_the_catalogues_place() {
    let shop = Shop::open();
    let settings = json!({"attributesToRetrieve": ["name"], "customRanking": ["desc(sales)"]});
    call(&shop, &shop.secret, "PUT", "/1/indexes/products/settings", Some(settings)).await.ok();
    let copy =
        json!({"operation": "copy", "destination": "products_tmp_7", "scope": ["settings", "rules", "synonyms"]});
    post(&shop, "/1/indexes/products/operation", copy).await.ok();
    let records = json!({"requests": [
        {"action": "addObject", "body": {"objectID": "p1", "name": "Product one"}},
        {"action": "addObject", "body": {"objectID": "other", "name": "Other"}},
    ]});
    post(&shop, "/1/indexes/products_tmp_7/batch", records).await.ok();
    let refused = json!({"requests": [{"action": "addObject", "body": {"objectID": "bad", "price": "x"}}]});
    assert_eq!(post(&shop, "/1/indexes/products_tmp_7/batch", refused).await.status, 422);
    assert!(stored(&shop, "other").is_none(), "not yet");
    let listed = get(&shop, "/1/indexes").await.ok();
    let names: Vec<(&Value, &Value)> =
        listed["items"].as_array().unwrap().iter().map(|item| (&item["name"], &item["entries"])).collect();
    assert_eq!(names, [(&json!("products"), &json!(50)), (&json!("products_tmp_7"), &json!(2))]);
    let away = json!({"operation": "move", "destination": "products"});
    post(&shop, "/1/indexes/products_tmp_7/operation", away).await.ok();
    assert_eq!(stored(&shop, "p1").unwrap().name, "Product one");
    assert!(stored(&shop, "other").is_some() && stored(&shop, "p2").is_none());
    let settings = get(&shop, "/1/indexes/products/settings").await.ok();
    assert_eq!(settings["attributesToRetrieve"], json!(["name"]));
    assert_eq!(get(&shop, "/1/indexes").await.ok()["items"].as_array().unwrap().len(), 1);
    for (from, operation) in [
        ("products", json!({"operation": "copy", "destination": "products_tmp_8"})),
        ("products", json!({"operation": "move", "destination": "products_tmp_8"})),
        ("products_tmp_8", json!({"operation": "move", "destination": "products_price_asc"})),
        ("products_tmp_8", json!({"operation": "swap", "destination": "products"})),
    ] {
        assert_eq!(
            post(&shop, &format!("/1/indexes/{from}/operation"), operation.clone()).await.status,
            422,
            "{operation}"
        );
    }
}

#[tokio::test]
async fn clearing_and_removing_by_filter() {
    let shop = Shop::open();
    for (wrong, words) in [(json!({}), "clear"), (json!({"filters": "NOT brnd:Acme"}), "no product has a field")] {
        let reply = post(&shop, "/1/indexes/products/deleteByQuery", wrong).await;
        assert!(reply.status == 422 && reply.json()["message"].as_str().unwrap().contains(words), "{}", reply.text());
    }
    post(&shop, "/1/indexes/products/deleteByQuery", json!({"filters": "price > 10 OR category:Even"})).await.ok();
    let left: Vec<String> =
        shop.records.products(None, 100).unwrap().iter().map(|product| product.id.to_string()).collect();
    assert_eq!(left, ["p1", "p3", "p5", "p7", "p9"]);
    call(&shop, &shop.secret, "DELETE", "/1/indexes/products_price_asc", None).await.ok();
    assert!(stored(&shop, "p1").is_some(), "a sort order has no records of its own");
    post(&shop, "/1/indexes/products/clear", json!({})).await.ok();
    assert!(shop.records.products(None, 1).unwrap().is_empty());
}

#[tokio::test]
async fn settings_hold_for_searches_that_say_nothing_else() {
    let shop = Shop::open();
    let settings = json!({"hitsPerPage": 3, "attributesToRetrieve": ["name"], "searchableAttributes": ["unordered(name)", "brand,category"],
        "attributesForFaceting": ["filterOnly(price)", "searchable(brand)"], "customRanking": ["desc(sales)"], "minProximity": 2,
        "replicas": ["virtual(products_dear)", "products_cheap"], "unretrievableAttributes": ["url"],
        "renderingContent": {"redirect": {"url": "https://shop.example/sale"}}});
    let written = call(&shop, &shop.secret, "PUT", "/1/indexes/products/settings", Some(settings)).await.ok();
    let warnings = written["warnings"].to_string();
    assert!(
        ["customRanking", "attributesForFaceting", "minProximity", "searchableAttributes"]
            .iter()
            .all(|name| warnings.contains(name))
    );
    for (index, ranking) in [("products_dear", "customRanking"), ("products_cheap", "ranking")] {
        let direction = if index == "products_dear" { "desc(price)" } else { "asc(price)" };
        let path = format!("/1/indexes/{index}/settings");
        call(&shop, &shop.secret, "PUT", &path, Some(json!({ranking: [direction, "typo"]}))).await.ok();
    }
    let shown = get(&shop, "/1/indexes/products_dear/settings").await.ok();
    assert_eq!((&shown["primary"], &shown["hitsPerPage"]), (&json!("products"), &json!(20)));

    let search = async |index: &str, body: Value| {
        call(&shop, &shop.public, "POST", &format!("/1/indexes/{index}/query"), Some(body)).await.ok()
    };
    let found = search("products", json!({"query": "product", "facets": ["*"]})).await;
    assert_eq!(
        (found["hits"].as_array().unwrap().len(), &found["params"]),
        (3, &json!("facets=%5B%22*%22%5D&query=product"))
    );
    assert_eq!(found["hits"][0].get("price"), None);
    assert_eq!(found["renderingContent"]["redirect"]["url"], "https://shop.example/sale");
    assert_eq!(
        found["facets"],
        json!({"brand": {"Odd": 50}}),
        "neither category, which is not set, nor price, which only filters"
    );
    let found =
        search("products_dear", json!({"query": "product", "hitsPerPage": 2, "attributesToRetrieve": ["*"]})).await;
    assert_eq!((found["hits"].as_array().unwrap().len(), found["hits"][0].get("url")), (2, None));
    search("products_cheap", json!({"query": "product"})).await;
    let asked = shop.finder.asked.lock().clone();
    assert_eq!(asked[0].fields, ["brand", "category", "name"]);
    assert!(asked[0].sort.is_empty() && asked[1].sort[0].descending && !asked[2].sort[0].descending);

    for wrong in [
        json!({"hitsPerPage": "many"}),
        json!({"replicas": ["other"]}),
        json!({"ranking": "x"}),
        json!({"renderingContent": 1}),
        json!([]),
    ] {
        let status = call(&shop, &shop.secret, "PUT", "/1/indexes/products/settings", Some(wrong.clone())).await.status;
        assert!(matches!(status, 400 | 422), "{wrong}");
    }
    call(&shop, &shop.secret, "PUT", "/1/indexes/products/settings", Some(json!({"hitsPerPage": null}))).await.ok();
    assert_eq!(get(&shop, "/1/indexes/products/settings").await.ok()["hitsPerPage"], 20);
}

#[tokio::test]
async fn a_key_may_ask_about_itself() {
    let shop = Shop::open();
    let ask = async |key: &str, about: &str| call(&shop, key, "GET", &format!("/1/keys/{about}"), None).await;
    assert_eq!(ask(&shop.public, &shop.public).await.ok()["acl"], json!(["search"]));
    assert!(ask(&shop.admin, &shop.secret).await.ok()["acl"].as_array().unwrap().contains(&json!("addObject")));
    assert_eq!(ask(&shop.public, &shop.secret).await.status, 404);
    assert_eq!(ask(&shop.public, "made-up").await.status, 404);
}

#[tokio::test]
async fn every_model_recommends() {
    let shop = Shop::open();
    let body = json!({"requests": [
        {"indexName": "products", "model": "bought-together", "objectID": "p1", "threshold": 0, "maxRecommendations": 4},
        {"indexName": "products", "model": "related-products", "objectID": "p1", "threshold": 42, "maxRecommendations": 3,
            "queryParameters": {"filters": "price > 10", "attributesToRetrieve": ["name"], "highlightPreTag": "__ais-highlight__",
                "highlightPostTag": "__/ais-highlight__", "clickAnalytics": true, "userToken": "u-1"}},
        {"indexName": "products", "model": "trending-items", "threshold": 0, "facetName": "category", "facetValue": "Odd"},
        {"indexName": "products", "model": "trending-facets", "threshold": 0, "facetName": "category"},
        {"indexName": "products", "model": "looking-similar", "objectID": "gone", "threshold": 0, "maxRecommendations": 2,
            "fallbackParameters": {"facetFilters": ["category:Even"]}},
        {"indexName": "products", "model": "recommended-for-you", "threshold": 0, "queryParameters": {"userToken": "u-1"}},
    ]});
    let answer = call(&shop, &shop.public, "POST", "/1/indexes/*/recommendations", Some(body)).await.ok();
    let results = answer["results"].as_array().unwrap();
    let counts: Vec<usize> = results.iter().map(|result| result["hits"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [4, 3, 25, 2, 2, 30]);
    assert!(results[1]["hits"].as_array().unwrap().iter().all(|hit| hit["_score"].as_f64().unwrap() >= 42.0));
    let mut names: Vec<&String> = results[1]["hits"][0].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["_highlightResult", "_score", "name", "objectID"]);
    assert_eq!(results[1]["hits"][0]["name"], "Product 10", "the newest above the price");
    assert!(results[2]["hits"].as_array().unwrap().iter().all(|hit| hit["category"] == "Odd"));
    let best = &results[3]["hits"][0];
    assert_eq!((&best["facetName"], &best["_score"]), (&json!("category"), &json!(100.0)));
    assert!(results[4]["hits"].as_array().unwrap().iter().all(|hit| hit["category"] == "Even" && hit["_score"] == 0.0));
    assert_eq!((results[0]["queryID"].as_str().unwrap().len(), results[4].get("queryID")), (32, None));
    for wrong in [
        json!({"indexName": "products", "model": "mind-reading"}),
        json!({"indexName": "products", "model": "related-products"}),
        json!({"indexName": "products", "model": "trending-facets"}),
        json!({"indexName": "products", "model": "trending-items", "queryParameters": {"filters": "price >"}}),
        json!({"model": "trending-items"}),
    ] {
        let body = json!({ "requests": [wrong] });
        assert_eq!(
            call(&shop, &shop.public, "POST", "/1/indexes/*/recommendations", Some(body)).await.status,
            422,
            "{wrong}"
        );
    }
}
