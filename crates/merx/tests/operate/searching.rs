//! Search in a running shop: found although misspelt, fresh, decided again alike, and through the older protocol.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Server, Shop};

/// Far beyond what a change takes to show; how long it took is printed.
const PATIENCE: Duration = Duration::from_secs(10);

fn ready(server: &Server) {
    server.eventually("/health/ready", |reply| reply.status == 200);
}

/// A product that can be shown, of a brand and a name with a long word in it.
fn shown_product(server: &Server) -> Value {
    let found = server.post("/v1/search", &json!({ "count": 100 }));
    let hits = found["hits"].as_array().unwrap();
    let has_long_word = |hit: &&Value| long_word(hit["name"].as_str().unwrap()).is_some();
    hits.iter().find(has_long_word).unwrap_or_else(|| panic!("{found}")).clone()
}

fn long_word(name: &str) -> Option<&str> {
    name.split(' ').find(|word| word.len() >= 6 && word.chars().all(|letter| letter.is_ascii_alphabetic()))
}

/// Asks until the answer is right, and returns how long that took.
fn until(server: &Server, path: &str, body: &Value, right: impl Fn(&Value) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let answer = server.post(path, body);
        if right(&answer) {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
    }
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["product_id"].as_str().unwrap()).collect()
}

#[test]
fn a_misspelt_name_is_found_and_the_decision_replays() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let product = shown_product(&server);
    let name = product["name"].as_str().unwrap();
    let word = long_word(name).unwrap();
    // Two letters change places.
    let mut letters: Vec<char> = word.chars().collect();
    letters.swap(2, 3);
    let typed = name.replace(word, &letters.into_iter().collect::<String>());
    let answer =
        server.post("/v1/search", &json!({ "query": typed, "anonymous_id": "v", "facets": ["*"], "count": 50 }));
    assert!(ids(&answer).contains(&product["product_id"].as_str().unwrap()), "{typed}: {answer}");
    assert_eq!((&answer["fallback"], answer["total"].as_u64() > Some(0)), (&json!("live_model"), true));
    assert!(!answer["facets"].as_array().unwrap().is_empty());

    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    assert_eq!(server.get(&path)["query"], typed.as_str());
    assert_eq!(server.post(&format!("{path}/replay"), &json!({}))["identical"], true);
    let stopped = answer["decision_id"].as_str().unwrap().to_owned();
    server.stop();
    // The same from the folder, with an index that is built for it.
    let printed = crate::harness::succeed(shop.merx().args(["replay", &stopped]));
    assert!(printed.contains("equal bit for bit"), "{printed}");
}

#[test]
fn own_searches_are_suggested_to_who_made_them_and_allows_it() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let product = shown_product(&server);
    let typed = long_word(product["name"].as_str().unwrap()).unwrap().to_lowercase();
    let searched = |visitor: &str, denied: bool| {
        let consent = json!({"consent": {"categoryPreferences": {"Functional": !denied}}});
        let body = json!({"event": "Products Searched", "anonymousId": visitor, "properties": {"query": typed},
            "context": consent});
        server.call("POST", "/v1/track", &server.keys.public, Some(&body)).ok();
    };
    searched("searcher", false);
    searched("refuser", true);
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let own = |visitor: Value| -> Vec<String> {
        let mut body = json!({"text": "", "queries": 6});
        body.as_object_mut().unwrap().extend(visitor.as_object().unwrap().clone());
        let found = server.post("/v1/suggest", &body);
        let own = found["suggestions"].as_array().unwrap().iter().filter(|one| one["personal"] == true);
        own.map(|one| one["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(own(json!({"anonymous_id": "searcher"})), std::slice::from_ref(&typed));
    assert!(own(json!({"anonymous_id": "refuser"})).is_empty());
    assert!(own(json!({"anonymous_id": "somebody else"})).is_empty());
    assert!(own(json!({})).is_empty());
    // Refused with the question, and by an event for good.
    assert!(own(json!({"anonymous_id": "searcher", "consent": {"personalisation": false}})).is_empty());
    assert_eq!(own(json!({"anonymous_id": "searcher"})), std::slice::from_ref(&typed));
    searched("searcher", true);
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    assert!(own(json!({"anonymous_id": "searcher"})).is_empty());

    // Pages follow recommendations, not searches.
    let search = server.post("/v1/search", &json!({"query": typed}))["decision_id"].clone();
    let body = json!({"slots": [{"scenario": "popular", "after": search}]});
    let reply = server.call("POST", "/v1/recommend", &server.keys.admin, Some(&body));
    assert_eq!((reply.status, &reply.json()["errors"][0]["code"]), (422, &json!("unknown_decision")), "{}", reply.body);
}

#[test]
fn price_name_and_visibility_show_at_once() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let product = shown_product(&server);
    let id = product["product_id"].as_str().unwrap();
    let path = format!("/v1/products/{id}");
    let one = json!({ "filter": format!("id = \"{id}\"") });
    let record = server.get(&path);
    let mut variants = record["variants"].clone();
    let currency = product["price"]["currency"].clone();
    for variant in variants.as_array_mut().unwrap() {
        variant["prices"] = json!([{ "amount": { "minor": 123_456, "currency": currency } }]);
    }
    let patch = |body: &Value| server.call("PATCH", &path, &server.keys.admin, Some(body)).ok();
    let mut waits = Vec::new();
    patch(&json!({ "variants": variants }));
    waits.push(until(&server, "/v1/search", &one, |answer| answer["hits"][0]["price"]["minor"] == 123_456));
    let dear = json!({ "filter": "price > 1234" });
    waits.push(until(&server, "/v1/search", &dear, |answer| ids(answer) == [id]));
    patch(&json!({ "name": "Xylographic Quernstone" }));
    let renamed = json!({ "query": "quernstone" });
    waits.push(until(&server, "/v1/search", &renamed, |answer| answer["total"] == 1 && ids(answer) == [id]));
    patch(&json!({ "status": "hidden" }));
    waits.push(until(&server, "/v1/search", &renamed, |answer| answer["total"] == 0));
    println!("from a change's acknowledgement to a search that knows it: {waits:?}");
}

#[test]
fn the_front_end_protocol_finds_the_same() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let product = shown_product(&server);
    let query = product["name"].as_str().unwrap();
    let ours = server.post("/v1/search", &json!({ "query": query, "count": 5, "unfinished": true }));
    let requests = json!({ "requests": [
        { "indexName": "products", "query": query, "hitsPerPage": 5, "facets": ["*"], "clickAnalytics": true },
        { "indexName": "products_price_asc", "query": "", "hitsPerPage": 20, "filters": "in_stock:true" },
    ] });
    let answer = server.post("/1/indexes/*/queries", &requests);
    let found: Vec<&str> =
        answer["results"][0]["hits"].as_array().unwrap().iter().map(|hit| hit["objectID"].as_str().unwrap()).collect();
    assert_eq!(found, ids(&ours));
    assert!(answer["results"][0]["hits"][0]["_highlightResult"]["name"]["value"].as_str().unwrap().contains("<em>"));
    let sorted: Vec<f64> =
        answer["results"][1]["hits"].as_array().unwrap().iter().map(|hit| hit["price"].as_f64().unwrap()).collect();
    assert!(sorted.len() == 20 && sorted.is_sorted(), "{sorted:?}");
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Queries run all along while prices and stock change and the index is built anew, several times: none fails, none finds nothing.
#[test]
fn building_the_index_anew_stops_no_search_and_hides_no_change() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let product = shown_product(&server);
    let (id, name) = (product["product_id"].as_str().unwrap(), product["name"].as_str().unwrap());
    let one = json!({ "query": name, "filter": format!("id = \"{id}\"") });
    let record = server.get(&format!("/v1/products/{id}"));
    let currency = &product["price"]["currency"];
    let done = AtomicBool::new(false);
    let (searches, mut waits) = std::thread::scope(|scope| {
        let searching = scope.spawn(|| {
            let mut searches = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = server.post("/v1/search", &json!({ "query": name, "count": 5 }));
                assert!(!ids(&answer).is_empty() && answer["total"].as_u64() > Some(0), "{answer}");
                let facets = server.post("/v1/search", &json!({ "count": 1, "facets": ["category"] }));
                assert!(!facets["facets"][0]["values"].as_array().unwrap().is_empty(), "{facets}");
                searches += 2;
            }
            searches
        });
        // A step that fails lets the searches end too.
        let stop = StopOnDrop(&done);
        let mut waits = Vec::new();
        for turn in 0..4 {
            let job = server.call("POST", "/v1/jobs", &server.keys.admin, Some(&json!({ "kind": "indexing" })));
            assert_eq!(job.status, 202);
            let minor = 200_000 + turn;
            let mut variants = record["variants"].clone();
            for variant in variants.as_array_mut().unwrap() {
                variant["prices"] = json!([{ "amount": { "minor": minor, "currency": currency } }]);
            }
            let path = format!("/v1/products/{id}");
            server.call("PATCH", &path, &server.keys.admin, Some(&json!({ "variants": variants }))).ok();
            waits.push(until(&server, "/v1/search", &one, |answer| answer["hits"][0]["price"]["minor"] == minor));
            let jobs = format!("/v1/jobs/{}", job.json()["id"]);
            let began = Instant::now();
            loop {
                let job = server.call("GET", &jobs, &server.keys.admin, None).ok();
                match job["state"].as_str().unwrap() {
                    "done" => break assert!(job["result"]["products"].as_u64() > Some(0), "{job}"),
                    "failed" => panic!("{job}"),
                    _ => assert!(began.elapsed() < Duration::from_secs(60), "{job}"),
                }
            }
        }
        drop(stop);
        (searching.join().unwrap(), waits)
    });
    waits.sort();
    println!("{searches} searches beside four rebuildings; changes of a price showed after {waits:?}");
    assert!(searches > 8);
}

/// A shop that was opened empty and filled while it runs: what its words mean is learnt by itself.
#[test]
fn what_a_filled_catalogue_means_is_learnt_without_a_restart() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    ready(&server);
    let kinds = ["couch sofa soft cushion", "sofa soft cushion", "desk lamp warm light", "drill battery charger"];
    let product = |at: usize| json!({ "id": format!("p{at}"), "name": format!("{} {at}", kinds[at % kinds.len()]) });
    let products: Vec<Value> = (0..160).map(product).collect();
    server.post("/v1/products/batch", &json!({ "upsert": products }));
    let near = |answer: &Value| {
        let hits = answer["hits"].as_array().unwrap();
        hits.iter().filter(|hit| hit["reasons"].as_array().unwrap().iter().any(|why| why["type"] == "meaning")).count()
    };
    let ask = json!({ "query": "couch", "count": 100 });
    let learnt_after = until(&server, "/v1/search", &ask, |answer| near(answer) >= 40);
    println!("learnt after {learnt_after:?}");
}
