//! Search in a running shop learns from clicks, is steered by merchants, and says what became of it.

use std::time::{Duration, Instant};

use merx_discovery::search::judged::mean_interval;
use merx_domain::{Clock, DAY_MS, EventKind, ProductNumber, SystemClock, TimestampMs};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop as Simulated, ShopConfig};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use crate::harness::{Client, Server, Shop, succeed};

const PATIENCE: Duration = Duration::from_secs(30);

fn ready(server: &Server) {
    server.eventually("/health/ready", |reply| reply.status == 200);
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
    hits.iter().map(|hit| hit["product_id"].as_str().unwrap().to_owned()).collect()
}

fn track(server: &Server, client: &mut Client, event: &str, visitor: &str, properties: &Value) {
    let body = json!({ "event": event, "anonymousId": visitor, "properties": properties });
    client.call("POST", "/v1/track", &server.keys.public, Some(&body)).unwrap().ok();
}

/// Asks until the answer is right.
fn until(ask: impl Fn() -> Value, right: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = ask();
        if right(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const PRODUCTS: u32 = 400;
const DAYS: u32 = 30;
const SEED: u64 = 11;
const QUERIES: usize = 30;
const SESSIONS: usize = 3_000;
const SHOWN: usize = 20;
/// Shoppers whose planted tastes make the truth of a query.
const ASKED: u32 = 200;

/// NDCG@10 of a list, by the planted probability that those who search click each product.
fn ndcg(list: &[ProductNumber], gains: &FxHashMap<ProductNumber, f64>) -> f64 {
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(10).enumerate().map(|(place, gain)| gain / (place as f64 + 2.0).log2()).sum()
    };
    let mut ideal: Vec<f64> = gains.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let found = discounted(&mut list.iter().map(|product| gains.get(product).copied().unwrap_or(0.0)));
    found / discounted(&mut ideal.into_iter()).max(f64::MIN_POSITIVE)
}

#[test]
fn ranking_learns_planted_preferences_from_clicks() {
    let mut shop = Shop::empty();
    let today = i64::from(SystemClock.now().day());
    let [products, days, seed] = [u64::from(PRODUCTS), u64::from(DAYS), SEED].map(|number| number.to_string());
    // A catalogue and hardly a history: what is learnt comes from the searches below.
    let size = ["--products", &products, "--shoppers", "150", "--days", &days, "--seed", &seed, "--no-serve"];
    succeed(shop.merx().arg("demo").args(size).args(["--set", "train.gate_latency_ms=10000"]));
    // The margin: labels that contradict the clicks, below, must not be kept from going live for it.
    let server = shop.serve(&[
        "--set",
        "market.default=de",
        "--set",
        "search.deadline_ms=5000",
        "--set",
        "train.gate_margin=0.9",
    ]);
    ready(&server);
    let config = ShopConfig {
        products: PRODUCTS,
        shoppers: 5_000,
        days: DAYS,
        seed: SEED,
        start: TimestampMs((today - i64::from(DAYS)) * DAY_MS),
        ..ShopConfig::default()
    };
    let simulated = Simulated::new(config);
    let truth = simulated.truth(simulated.config().start.plus_ms((i64::from(DAYS) - 1) * DAY_MS));
    let shoppers: Vec<_> =
        (0..5_000).map(|index| simulated.shopper(index)).filter(|shopper| shopper.market == 0).collect();

    // What shoppers of the simulated shop type most.
    let mut typed: FxHashMap<String, usize> = FxHashMap::default();
    for event in simulated.events().filter(|event| event.kind == EventKind::ProductsSearched).take(20_000) {
        *typed.entry(event.query.unwrap().to_string()).or_default() += 1;
    }
    let mut queries: Vec<(usize, String)> = typed.into_iter().map(|(query, count)| (count, query)).collect();
    queries.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let search = |client: &mut Client, query: &str, visitor: Option<&str>, count: usize| {
        let body = json!({ "query": query, "anonymous_id": visitor, "count": count });
        client.call("POST", "/v1/search", &server.keys.admin, Some(&body)).unwrap().ok()
    };
    let number = |id: &str| ProductNumber(id[1..].parse().unwrap());
    let numbers = |answer: &Value| -> Vec<ProductNumber> { ids(answer).iter().map(|id| number(id)).collect() };
    let mut client = server.client();
    let enough = |query: &String| numbers(&search(&mut server.client(), query, None, 100)).len() >= 12;
    let queries: Vec<String> = queries.into_iter().map(|(_, query)| query).filter(enough).take(QUERIES).collect();
    assert_eq!(queries.len(), QUERIES);

    let figures = |client: &mut Client| -> Vec<f64> {
        let of_query = |query: &String| {
            let found = numbers(&search(client, query, None, 100));
            let gain = |product: ProductNumber| -> f64 {
                let asked = shoppers.iter().take(ASKED as usize);
                asked.map(|shopper| f64::from(truth.expected_search_click(shopper, product))).sum()
            };
            let gains = found.iter().map(|product| (*product, gain(*product))).collect();
            ndcg(&found, &gains)
        };
        queries.iter().map(of_query).collect()
    };
    let before = figures(&mut client);

    let mut rng = Rng::from_seed(SEED);
    for session in 0..SESSIONS {
        let (query, shopper) = (&queries[session % QUERIES], &shoppers[rng.below(shoppers.len())]);
        let visitor = format!("v{session}");
        let answer = search(&mut client, query, Some(&visitor), SHOWN);
        let found = ids(&answer);
        let shown: Vec<ProductNumber> = found.iter().map(|id| number(id)).collect();
        for place in truth.respond_to_search(shopper, &shown, &mut rng) {
            let properties =
                json!({ "product_id": found[place], "position": place + 1, "decision_id": answer["decision_id"] });
            track(&server, &mut client, "Product Clicked", &visitor, &properties);
        }
    }
    // Decisions count once they are surely on record.
    std::thread::sleep(Duration::from_millis(2_500));
    let trained = succeed(shop.merx().args(["train", "--now", "--url", &server.url, "--key", &server.keys.admin]));
    println!("{trained}");
    assert!(trained.contains("search: trained v1"), "{trained}");
    let after = figures(&mut client);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let gains: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let (low, high) = mean_interval(&gains, 1);
    println!(
        "NDCG@10 by planted preferences, {QUERIES} queries: untaught {:.4}, learnt from {SESSIONS} searches {:.4}, difference {:.4} [{low:.4}, {high:.4}]",
        mean(&before),
        mean(&after),
        mean(&gains)
    );
    assert!(low > 0.02, "{low} {high}");
    let answer = search(&mut client, &queries[0], Some("v0"), SHOWN);
    assert_eq!(answer["model"], json!({ "name": "search", "version": 1 }));
    assert!(answer["hits"].to_string().contains("\"clicked\""), "{answer}");
    let back = succeed(shop.merx().args(["models", "--url", &server.url, "--key", &server.keys.admin]));
    assert!(back.contains("search v1   live"), "{back}");

    // Two people say that the first is wrong and one far down is right.
    let other = server.post("/v1/keys", &json!({ "scope": "secret", "label": "another judge" }))["key"].clone();
    let labels_teach = |query: &str, wrong: &str, right: &str| {
        let labels = ["exact", "substitute", "irrelevant"];
        let about = |id: &str| json!({ "about": { "query": query, "product_id": id } });
        let cases = json!({ "queue": "search", "labels": labels, "cases": [about(wrong), about(right)] });
        let made = server.call("POST", "/v1/labels/cases", &server.keys.admin, Some(&cases)).json();
        for key in [other.as_str().unwrap(), &server.keys.admin] {
            for (number, label) in made["numbers"].as_array().unwrap().iter().zip(["irrelevant", "exact"]) {
                let judged = json!({ "label": label });
                let reply = server.call("POST", &format!("/v1/labels/cases/{number}"), key, Some(&judged));
                assert_eq!(reply.status, 204);
            }
        }
    };
    let shown = ids(&search(&mut client, &queries[0], None, SHOWN));
    let (wrong, right) = (&shown[0], &shown[11]);
    labels_teach(&queries[0], wrong, right);
    let job = server.post("/v1/jobs", &json!({ "kind": "training" }));
    let job = format!("/v1/jobs/{}", job["id"]);
    server.eventually(&job, |reply| reply.json()["state"] == "done");
    let result = server.get(&job)["result"]["search"].clone();
    assert_eq!((&result["labelled_products"], &result["promoted"]), (&json!(2), &json!(true)), "{result}");
    let taught = ids(&search(&mut client, &queries[0], None, SHOWN));
    let place = |id: &String| taught.iter().position(|found| found == id).unwrap_or(SHOWN);
    // A hundred clicked searches still speak for the one: it falls and the other rises.
    assert!(place(wrong) > 0 && place(right) < 8, "{shown:?} {taught:?}");
}

#[test]
fn rules_and_synonyms_steer_the_next_search_and_say_so() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let all = server.post("/v1/search", &json!({ "count": 100 }));
    let name = all["hits"][0]["name"].as_str().unwrap();
    let query = name.rsplit(' ').find(|word| word.len() > 3).unwrap().to_lowercase();
    let found = ids(&server.post("/v1/search", &json!({ "query": query, "count": 50 })));
    let stranger = ids(&all).into_iter().find(|id| !found.contains(id)).unwrap();
    let put = |path: &str, body: &Value| server.call("PUT", path, &server.keys.admin, Some(body)).ok();
    let rule = json!({
        "conditions": [{ "query": { "text": query } }],
        "consequences": [
            { "type": "pin", "product_id": stranger, "position": 1 },
            { "type": "hide", "product_id": found[0] },
            { "type": "redirect", "url": "/landing" },
            { "type": "banner", "data": { "text": "Sale" } },
        ],
    });
    let draft = json!({ "search": { "query": query }, "rules": [{ "id": "d", "consequences": rule["consequences"] }] });
    assert_eq!(ids(&server.post("/v1/search/preview", &draft))[0], stranger);
    assert_eq!(ids(&server.post("/v1/search", &json!({ "query": query }))), found[..found.len().min(20)]);

    put("/v1/search/rules/landing", &rule);
    let steered = server.post("/v1/search", &json!({ "query": query }));
    let shown = ids(&steered);
    assert!(shown[0] == stranger && !shown.contains(&found[0]), "{steered}");
    assert_eq!((&steered["rules"], &steered["redirect"]), (&json!(["landing"]), &json!("/landing")));
    assert_eq!(
        serde_json::from_str::<Value>(steered["banners"][0].as_str().unwrap()).unwrap(),
        json!({"text": "Sale"})
    );
    let why = server.get(&format!("/v1/decisions/{}/why", steered["decision_id"].as_str().unwrap()));
    assert!(why["words"].to_string().contains("rule landing applied"), "{why}");
    assert!(why["items"][0]["reasons"].to_string().contains("rule landing moved it"), "{why}");

    // Each hit's relevance in parts, by deciding again; the pinned one was never measured.
    let parts = why["items"][1]["contributions"].as_array().unwrap();
    assert!(
        parts.iter().any(|part| part["feature"] == "Lexical" && part["contribution"].as_f64() > Some(0.0)),
        "{why}"
    );

    put("/v1/search/synonyms/s", &json!({ "words": ["xylothing", query] }));
    let by_synonym = server.post("/v1/search", &json!({ "query": "xylothing", "count": 50 }));
    assert!(ids(&by_synonym).iter().any(|id| found.contains(id)), "{by_synonym}");

    // What was decided by the rules of then can't be made by the rules of now, and says so.
    server.call("DELETE", "/v1/search/rules/landing", &server.keys.admin, None);
    let id = steered["decision_id"].as_str().unwrap().to_owned();
    let replay = server.post(&format!("/v1/decisions/{id}/replay"), &json!({}));
    assert_eq!((&replay["identical"], &replay["changed_since"]), (&json!(false), &json!(["rules or synonyms"])));
    let printed = succeed(shop.merx().args(["replay", &id, "--url", &server.url, "--key", &server.keys.admin]));
    assert!(printed.contains("can't be made again, the shop has changed since: rules or synonyms"), "{printed}");
    server.stop();
    // Rules outlive the process.
    let server = shop.serve(&[]);
    ready(&server);
    assert!(!ids(&server.post("/v1/search", &json!({ "query": "xylothing" }))).is_empty());
}

#[test]
fn analytics_follow_a_search_to_its_order() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let all = server.post("/v1/search", &json!({ "count": 100 }));
    let name = all["hits"][0]["name"].as_str().unwrap();
    let query = name.rsplit(' ').find(|word| word.len() > 3).unwrap().to_lowercase();
    let mut client = server.client();
    // Somebody the shop has seen: who is nobody can't be told to be still typing.
    track(&server, &mut client, "Product Viewed", "v", &json!({ "product_id": ids(&all)[0] }));
    let search = |body: Value| server.post("/v1/search", &body);
    search(json!({ "query": &query[..3], "anonymous_id": "v", "unfinished": true }));
    let answer = search(json!({ "query": query, "anonymous_id": "v" }));
    let brand = answer["hits"][0]["brand"].as_str().unwrap();
    let refined = json!([{ "field": "brand", "filter": format!("brand = \"{brand}\"") }]);
    let answer = search(json!({ "query": query, "anonymous_id": "v", "refinements": refined }));
    search(json!({ "query": "qqqxyzzy wwwplugh" }));
    let hit = &answer["hits"][0];
    let (product, decision) = (&hit["product_id"], &answer["decision_id"]);
    let clicked = json!({ "product_id": product, "position": 1, "decision_id": decision });
    track(&server, &mut client, "Product Clicked", "v", &clicked);
    track(&server, &mut client, "Product Added", "v", &json!({ "product_id": product }));
    let line = json!({ "product_id": product, "quantity": 2, "price": 12.5 });
    let order = json!({ "order_id": "o-1", "currency": "EUR", "revenue": 25.0, "products": [line] });
    track(&server, &mut client, "Order Completed", "v", &order);

    let path = "/v1/search/analytics/queries?order=orders";
    let queries = until(|| server.get(path), |answer| answer["items"][0]["ordered"] == 1);
    let found = &queries["items"][0];
    assert_eq!(found["query"], query.as_str());
    let counts = ["searches", "clicked", "clicks", "carts", "ordered"].map(|name| found[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 1, 1], "typing and refining is one search: {found}");
    assert_eq!(found["revenue"], json!([{ "minor": 2_500, "currency": "EUR" }]));
    let nothing = until(
        || server.get("/v1/search/analytics/queries?order=without_results"),
        |answer| !answer["items"].as_array().unwrap().is_empty(),
    );
    assert_eq!(nothing["items"][0]["query"], "qqqxyzzy wwwplugh");
    let overview = server.get("/v1/search/analytics");
    assert_eq!((&overview["searches"], &overview["no_result_rate"]), (&json!(2), &json!(0.5)));
    assert_eq!(overview["refinements"], json!([{ "field": "brand", "count": 1 }]));
    assert!(overview["latency"]["p50_ms"].as_f64().unwrap() > 0.0);
    // Sums are on disk, and nothing counts twice after a restart.
    server.stop();
    let server = shop.serve(&[]);
    ready(&server);
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(server.get(path)["items"][0], *found);
}

#[test]
fn stock_shows_within_a_second_and_replays_say_what_changed() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    ready(&server);
    let in_stock = json!({ "filter": "in_stock = true", "count": 1 });
    let answer = server.post("/v1/search", &in_stock);
    let id = ids(&answer)[0].clone();
    let levels = server.get(&format!("/v1/stock/{id}"));
    let sold_out: Vec<Value> = levels["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| json!({ "product_id": id, "variant_id": level["variant_id"], "location_id": level["location_id"], "quantity": 0 }))
        .collect();
    server.post("/v1/stock/batch", &json!({ "upsert": sold_out }));
    let one = json!({ "filter": format!("id = \"{id}\" AND in_stock = true") });
    let began = Instant::now();
    until(|| server.post("/v1/search", &one), |answer| answer["total"] == 0);
    println!("from an acknowledged stock level to a search that knows it: {:?}", began.elapsed());
    let decision = answer["decision_id"].as_str().unwrap();
    let replay = server.post(&format!("/v1/decisions/{decision}/replay"), &json!({}));
    assert!(replay["changed_since"].to_string().contains("stock"), "{replay}");
}
