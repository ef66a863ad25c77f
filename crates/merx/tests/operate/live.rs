//! A running shop: fresh answers, decisions that replay, versions that change under it, jobs, the operator's commands.

use std::time::{Duration, Instant};

use merx_domain::{Clock, DAY_MS, SystemClock};
use merx_models::registry::MIGRATIONS;
use merx_store::lake_events::EVENTS_TABLE;
use merx_store::{LogSettings, Store, Value as Column};
use serde_json::{Value, json};

use crate::harness::{Server, Shop, fail, succeed};

fn view(server: &Server, visitor: &str, product: &str) {
    let body = json!({ "event": "Product Viewed", "anonymousId": visitor, "properties": { "product_id": product } });
    server.call("POST", "/v1/track", &server.keys.public, Some(&body)).ok();
}

/// The operator's command against the running server.
fn ask(shop: &Shop, server: &Server, arguments: &[&str]) -> String {
    succeed(shop.merx().args(arguments).args(["--url", &server.url, "--key", &server.keys.admin]))
}

#[test]
fn the_last_event_changes_the_next_answer() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    let mut waits = Vec::new();
    for round in 0..20 {
        let product = format!("P{round:06}");
        view(&server, "visitor", &product);
        let began = Instant::now();
        loop {
            let answer = server.recommend(&json!({ "anonymous_id": "visitor" }), "recently_viewed");
            if answer["slots"][0]["items"][0]["product_id"] == *product {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{answer}");
        }
        waits.push(began.elapsed());
    }
    waits.sort();
    println!(
        "from an event's acknowledgement to an answer that knows it: median {:?}, at most {:?}",
        waits[10], waits[19]
    );
}

const SCENARIOS: [&str; 11] = [
    "for_you",
    "similar",
    "bought_together",
    "complete_basket",
    "continue_session",
    "upsell",
    "trending",
    "popular",
    "new",
    "buy_again",
    "recently_viewed",
];

#[test]
fn decisions_replay_after_retraining_rollback_and_restart() {
    let mut shop = Shop::demo();
    let server = shop.serve(&[]);
    for visitor in 0..10 {
        (0..=visitor)
            .for_each(|step| view(&server, &format!("v{visitor}"), &format!("P{:06}", visitor * 17 + step * 3)));
    }
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let mut filled = 0;
    for number in 0..198 {
        let (scenario, visitor) = (SCENARIOS[number % SCENARIOS.len()], number / SCENARIOS.len() % 11);
        let product = format!("P{:06}", number % 300);
        // Two slots that share no product; a filter, a boost and variety now and then; some visitors are unknown.
        let body = json!({
            "anonymous_id": format!("v{visitor}"),
            "slots": [
                { "name": "first", "scenario": scenario, "count": 4, "products": [product], "diversity": 0.1 * (number % 4) as f64 },
                { "name": "second", "scenario": "popular", "count": 3, "filter": "price > 5",
                  "boosts": [{ "field": "newness", "strength": 0.5 }] },
            ],
        });
        let answer = server.post("/v1/recommend", &body);
        filled += answer["slots"][0]["items"].as_array().unwrap().len();
    }
    assert!(filled > 300, "the slots are not empty: {filled}");
    let all_equal = "198 decided again, each answer equal bit for bit";
    let replay = ["replay", "latest:198"];
    assert!(ask(&shop, &server, &replay).contains(all_equal));

    // Another version, other prices, back again: the records answer for themselves.
    let set = ["--set", "train.gate_latency_ms=10000"];
    server.stop();
    let server = shop.serve(&set);
    let said = ask(&shop, &server, &["train", "--now"]);
    assert!(said.contains("trained v2"), "{said}");
    ask(&shop, &server, &["models", "promote", "2"]);
    assert!(ask(&shop, &server, &replay).contains(all_equal));
    assert!(ask(&shop, &server, &["models", "rollback"]).contains("recommend v1 is live again"));
    assert!(ask(&shop, &server, &["models"]).contains("v1   live"));
    assert!(ask(&shop, &server, &replay).contains(all_equal));

    let decision = server.get("/v1/decisions?limit=1")["items"][0]["decision_id"].as_str().unwrap().to_owned();
    let why = ask(&shop, &server, &["why", &decision]);
    assert!(why.contains(&decision) && why.contains("popular") && why.contains(" 1. "), "{why}");
    server.stop();
    assert!(succeed(shop.merx().args(replay)).contains(all_equal), "by the folder, after the server");
    assert_eq!(succeed(shop.merx().args(["why", &decision])), why, "both ways say the same");
}

#[test]
fn the_operators_commands_say_what_stands_in_their_way() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    for command in [&["train", "--now"][..], &["models"], &["models", "rollback"], &["replay", "latest:3"]] {
        let words = fail(shop.merx().args(command));
        assert!(words.contains("is open in another Merx process") && words.contains("--url"), "{words}");
        let words = fail(shop.merx().args(command).args(["--url", &server.url]));
        assert!(words.contains("--key"), "{words}");
        let words = fail(shop.merx().args(command).args(["--url", &server.url, "--key", &server.keys.public]));
        assert!(words.contains("does not reach this far"), "{words}");
    }
    assert!(fail(shop.merx().arg("serve")).contains("is open in another Merx process"));
    let remote = ["--url", &server.url, "--key", &server.keys.admin];
    assert!(fail(shop.merx().args(["models", "promote", "9"]).args(remote)).contains("no version v9"));
    assert!(fail(shop.merx().args(["models", "rollback"]).args(remote)).contains("no earlier version"));
    let url = server.url.clone();
    server.stop();
    assert!(fail(shop.merx().args(["models", "--url", &url, "--key", "k"])).contains("no server answers"));
}

/// Makes the registry's versions older than they are.
fn age_models(shop: &Shop, by_ms: i64) {
    let store = Store::open_embedded(&shop.data(), MIGRATIONS, LogSettings::default()).unwrap();
    let sql = "UPDATE model_versions SET created_at_ms = created_at_ms - $1";
    store.records.transaction(&mut |it| it.execute(sql, &[Column::Integer(by_ms)]).map(drop)).unwrap();
}

fn job(list: &Value, kind: &str) -> Option<Value> {
    list["items"].as_array().unwrap().iter().find(|job| job["kind"] == kind).cloned()
}

#[test]
fn a_server_trains_and_exports_by_its_schedule() {
    let mut shop = Shop::small_demo();
    age_models(&shop, 2 * DAY_MS);
    let server = shop.serve(&["--set", "train.gate_latency_ms=10000"]);
    let ended = |job: &Value| ["done", "failed"].contains(&job["state"].as_str().unwrap());
    let (jobs, _) = server.eventually("/v1/jobs", |reply| {
        let jobs = reply.ok();
        ["training", "export"].iter().all(|kind| job(&jobs, kind).is_some_and(|job| ended(&job)))
    });
    let jobs = jobs.json();
    let training = job(&jobs, "training").unwrap();
    assert_eq!(
        (&training["by"], &training["state"], &training["result"]["version"]),
        (&json!("schedule"), &json!("done"), &json!(2))
    );
    assert!(jobs["next_training_at"].as_str().unwrap() > training["ended_at"].as_str().unwrap(), "{jobs}");
    assert_eq!(server.get("/v1/models")["items"].as_array().unwrap().len(), 2);
    let export = job(&jobs, "export").unwrap();
    assert_eq!((&export["by"], &export["state"]), (&json!("schedule"), &json!("done")));
    let first = export["result"]["events"].as_u64().unwrap();
    assert!(first > 500, "{export}");

    // A late event: it joins the day that it happened in.
    let long_ago = SystemClock.now().plus_ms(-40 * DAY_MS);
    let body = json!({ "event": "Product Viewed", "anonymousId": "late", "timestamp": long_ago.to_string(),
        "properties": { "product_id": "P000001" } });
    server.call("POST", "/v1/track", &server.keys.public, Some(&body)).ok();
    let asked = server.post("/v1/jobs", &json!({ "kind": "export" }));
    let (done, _) = server.eventually(&format!("/v1/jobs/{}", asked["id"]), |reply| ended(&reply.json()));
    assert_eq!((&done.json()["state"], &done.json()["result"]["events"]), (&json!("done"), &json!(1)));
    server.stop();

    let store = Store::open_embedded(&shop.data(), &[], LogSettings::default()).unwrap();
    let rows = |day| {
        let mut rows = 0;
        store
            .lake
            .scan(EVENTS_TABLE, day, &mut |batch| {
                rows += batch.num_rows() as u64;
                Ok(())
            })
            .unwrap();
        rows
    };
    let mut by_day = std::collections::BTreeMap::<i32, u64>::new();
    for (_, event) in store.log.read(None, usize::MAX >> 1).unwrap() {
        *by_day.entry(event.occurred_at.day()).or_default() += 1;
    }
    let in_lake: std::collections::BTreeMap<i32, u64> =
        store.lake.days(EVENTS_TABLE).unwrap().into_iter().map(|day| (day, rows(day))).collect();
    assert_eq!(in_lake, by_day, "each event once, in its day");
    assert_eq!(in_lake.values().sum::<u64>(), first + 1);
}
