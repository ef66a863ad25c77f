//! The version before: what it left on disk is read, and on services it runs beside this one while processes are exchanged.
//!
//! `tests/fixtures/version-*.tar.gz` is a shop's folder as a version left it. `MERX_RECORD=PATH` with the ignored test
//! `a_folder_is_recorded` makes the one of this version; `MERX_PREVIOUS=PATH` names a binary of the version before.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{ApiKeys, Server, Shop, succeed};
use crate::replicas::{Replicas, leads, wait_for};

const DECISIONS: usize = 40;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn ask(shop: &Shop, server: &Server, arguments: &[&str]) -> String {
    succeed(shop.merx().args(arguments).args(["--url", &server.url, "--key", &server.keys.admin]))
}

/// Something of each kind that is kept.
fn fill(server: &Server) {
    let events = json!({ "batch": [
        { "type": "track", "event": "Product Viewed", "messageId": "kim-1", "anonymousId": "kim", "properties": { "product_id": "P000007" } },
        { "type": "identify", "messageId": "kim-2", "anonymousId": "kim", "userId": "kim-of-the-shop", "traits": { "email": "kim@example.org" } },
        { "type": "track", "event": "Product Viewed", "messageId": "lee-1", "anonymousId": "lee", "properties": { "product_id": "P000003" } } ] });
    server.call("POST", "/v1/batch", &server.keys.public, Some(&events)).ok();
    let refusal = json!({ "anonymous_id": "lee", "purposes": { "personalisation": false } });
    server.call("POST", "/v1/consent", &server.keys.public, Some(&refusal)).ok();
    let experiment = json!({
        "title": "variety", "surface": { "kind": "recommend", "slots": ["home"] }, "metrics": ["conversion"],
        "arms": [{ "name": "control", "percent": 50 }, { "name": "treated", "percent": 50, "change": { "diversity": 0.9 } }],
    });
    server.call("PUT", "/v1/experiments/variety", &server.keys.admin, Some(&experiment)).ok();
    server.post("/v1/experiments/variety/start", &json!({}));
    let automation = json!({ "owner": "anna", "guardrails": [{ "measure": "fallback_share", "at_most": 0.9 }] });
    server.call("PUT", "/v1/automations/recommend", &server.keys.admin, Some(&automation)).ok();
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    for number in 0..DECISIONS / 2 {
        let scenario = ["for_you", "continue_session", "popular", "similar"][number % 4];
        let visitor = ["kim", "lee"][number % 2];
        let body = json!({ "anonymous_id": visitor, "slots": [{ "scenario": scenario, "count": 5, "products": ["P000007"] }] });
        server.post("/v1/recommend", &body);
        let query = ["lamp", "garden", "table"][number % 3];
        server.post("/v1/search", &json!({ "query": query, "anonymous_id": visitor }));
    }
    let export = server.post("/v1/jobs", &json!({ "kind": "export" }));
    server.eventually(&format!("/v1/jobs/{}", export["id"]), |reply| reply.json()["state"] == "done");
    let latest = format!("/v1/decisions?limit={DECISIONS}");
    server.eventually(&latest, |reply| reply.json()["items"].as_array().unwrap().len() == DECISIONS);
}

/// What a shop is that was filled.
fn assert_all_there(shop: &Shop, server: &Server) {
    let replayed = ask(shop, server, &["replay", &format!("latest:{DECISIONS}")]);
    // A search that another version answered in another way can't be made again, and is said to be so; all else is equal.
    let overtaken = replayed.lines().filter(|line| line.contains("can't be made again"));
    let overtaken: Vec<&str> = overtaken.collect();
    assert!(overtaken.iter().all(|line| line.contains("how Merx searches")), "{replayed}");
    let again = DECISIONS - overtaken.len();
    assert!(again >= DECISIONS / 2, "recommendations are equal whatever searches do: {replayed}");
    assert!(replayed.contains(&format!("{again} decided again, each answer equal bit for bit")), "{replayed}");
    let history = |visitor: &str| {
        let answer = server.recommend(&json!({ "anonymous_id": visitor }), "continue_session");
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        let record = server.eventually(&path, |reply| reply.status == 200).0.json();
        (record["features"]["history"].to_string(), record["model_version"].as_u64())
    };
    let (kim, model) = history("kim");
    assert!(kim.contains("P000007") && model == Some(1), "{kim} by {model:?}");
    assert_eq!(history("lee").0, "[]", "a refusal stays one");
    let person = ask(shop, server, &["privacy", "export", "--email", "kim@example.org"]);
    assert!(person.contains("kim-of-the-shop"), "{person}");
    assert!(ask(shop, server, &["experiments"]).contains("variety"));
    let automation = server.get("/v1/automations/recommend");
    assert_eq!((&automation["owner"], &automation["guardrails"][0]["at_most"]), (&json!("anna"), &json!(0.9)));
    let verified = ask(shop, server, &["audit", "verify"]);
    assert!(!verified.contains("broken"), "{verified}");
}

/// Each version before left a folder here; this one reads it, and goes on in it.
#[test]
fn a_folder_of_each_version_before_is_read() {
    let mut versions = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("version-") {
            continue;
        }
        versions += 1;
        let mut shop = Shop::empty();
        std::fs::create_dir_all(shop.data()).unwrap();
        succeed(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(shop.data()));
        let keys: Value = serde_json::from_slice(&std::fs::read(shop.data().join("keys.json")).unwrap()).unwrap();
        let key = |scope: &str| keys[scope].as_str().unwrap().to_owned();
        shop.set_keys(ApiKeys { public: key("public"), admin: key("admin") });
        let server = shop.serve(&[]);
        println!("{name}");
        assert_all_there(&shop, &server);
        // What was exported is not exported again, and what is new is.
        let more = json!({ "batch": [{ "type": "track", "event": "Product Viewed", "messageId": "new-1", "anonymousId": "kim",
            "properties": { "product_id": "P000009" } }, { "type": "track", "event": "Product Viewed", "messageId": "kim-1",
            "anonymousId": "kim", "properties": { "product_id": "P000007" } }] });
        server.call("POST", "/v1/batch", &server.keys.public, Some(&more)).ok();
        let export = server.post("/v1/jobs", &json!({ "kind": "export" }));
        let path = format!("/v1/jobs/{}", export["id"]);
        let (reply, _) = server.eventually(&path, |reply| reply.json()["state"] == "done");
        assert_eq!(reply.json()["result"]["events"], 1, "the repeated one was known: {}", reply.body);
        // With the two that were asked for above, five decisions of this version.
        for scenario in ["for_you", "popular", "continue_session"] {
            server.recommend(&json!({ "anonymous_id": "kim" }), scenario);
        }
        server.stop();
        // And what this version wrote there, it reads.
        let server = shop.serve(&[]);
        assert!(
            ask(&shop, &server, &["replay", "latest:5"]).contains("5 decided again, each answer equal bit for bit")
        );
    }
    assert!(versions > 0, "no version is recorded in {}", fixtures().display());
}

#[test]
#[ignore = "makes a fixture: MERX_RECORD names the file, MERX_PREVIOUS the binary, if it isn't this one"]
fn a_folder_is_recorded() {
    let Some(path) = std::env::var_os("MERX_RECORD") else { return };
    let mut shop = Shop::empty();
    let binary = previous().unwrap_or_else(|| env!("CARGO_BIN_EXE_merx").into());
    let small = ["demo", "--products", "40", "--shoppers", "300", "--days", "40", "--no-serve"];
    succeed(by(&binary, &shop).args(small).args(["--set", "train.gate_latency_ms=10000"]));
    let server = shop.serve_by(by(&binary, &shop), &[]);
    fill(&server);
    let keys = json!({ "public": server.keys.public, "admin": server.keys.admin });
    server.stop();
    std::fs::write(shop.data().join("keys.json"), keys.to_string()).unwrap();
    let _ = std::fs::remove_file(shop.data().join("lock"));
    succeed(Command::new("tar").arg("-czf").arg(path).arg("-C").arg(shop.data()).arg("."));
}

fn previous() -> Option<PathBuf> {
    std::env::var_os("MERX_PREVIOUS").map(PathBuf::from)
}

/// A binary of another version, on a shop's folder.
fn by(binary: &Path, shop: &Shop) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MERX_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(shop.data()).current_dir(shop.data().parent().unwrap());
    command
}

/// Processes are exchanged one by one, there and back: whichever version leads, what the other wrote is read.
#[test]
#[ignore = "needs servers: tools/test backends"]
fn two_versions_serve_one_shop_side_by_side() {
    let Some(binary) = previous() else {
        println!("skipped: MERX_PREVIOUS names no binary of the version before");
        return;
    };
    let (place, mut first) = (crate::services::Place::of("upgraded"), Shop::empty());
    let settings = place.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let small = ["demo", "--products", "150", "--shoppers", "400", "--days", "40", "--no-serve"];
    succeed(by(&binary, &first).args(small).args(["--set", "train.gate_latency_ms=10000"]).args(&settings));
    let command = by(&binary, &first);
    let before = first.serve_by(command, &settings);
    let replicas = Replicas { place, first };
    crate::services::Place::until_led(&before);
    fill(&before);

    // One more of the new version, which the old one leads.
    let (shop, present) = replicas.join();
    assert_eq!([&before, &present].map(leads), [true, false]);
    assert_all_there(&shop, &present);
    let seen = |server: &Server, id: &str, product: &str| {
        let view = json!({ "batch": [{ "type": "track", "event": "Product Viewed", "messageId": id, "anonymousId": "kim",
            "properties": { "product_id": product } }] });
        wait_for("events to be taken", || {
            let reply = server.client().call("POST", "/v1/batch", &server.keys.public, Some(&view));
            reply.is_ok_and(|reply| reply.status == 200)
        });
    };
    let knows = |server: &Server, product: &str| {
        wait_for("the view", || {
            let answer = server.recommend(&json!({ "anonymous_id": "kim" }), "continue_session");
            let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
            let record = server.eventually(&path, |reply| reply.status == 200).0.json();
            record["features"]["history"].to_string().contains(product)
        });
    };
    seen(&present, "both-1", "P000011");
    knows(&before, "P000011");
    knows(&present, "P000011");
    let train = |server: &Server| {
        let job = server.post("/v1/jobs", &json!({ "kind": "training" }));
        let path = format!("/v1/jobs/{}", job["id"]);
        let (reply, _) = server.eventually(&path, |reply| reply.status == 200 && reply.json()["ended_at"].is_string());
        assert_eq!(reply.json()["state"], "done", "{}", reply.body);
        reply.json()["result"]["version"].as_u64().unwrap()
    };
    let answers_by = |server: &Server, version: u64| {
        wait_for("the model", || {
            let answer = server.recommend(&json!({ "anonymous_id": "kim" }), "popular");
            let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
            let record = server.eventually(&path, |reply| reply.status == 200).0.json();
            record["model_version"].as_u64() == Some(version)
        });
    };
    let promote = |server: &Server, version: u64| {
        let body = json!({ "version": version });
        server.call("POST", "/v1/models/recommend/promote", &server.keys.admin, Some(&body)).ok();
        [&before, &present].iter().for_each(|server| answers_by(server, version));
    };
    promote(&present, train(&present));

    // The old one hands over; it comes back beside the new one, which leads.
    before.stop();
    wait_for("the lead", || leads(&present));
    let mut folder = replicas.folder_of_another();
    let command = by(&binary, &folder);
    let before = folder.serve_by(command, &settings);
    seen(&before, "both-2", "P000012");
    knows(&before, "P000012");
    knows(&present, "P000012");
    let version = train(&present);
    let body = json!({ "version": version });
    present.call("POST", "/v1/models/recommend/promote", &present.keys.admin, Some(&body)).ok();
    [&before, &present].iter().for_each(|server| answers_by(server, version));
    let latest = ask(&folder, &before, &["replay", "latest:10"]);
    assert!(latest.contains("10 decided again, each answer equal bit for bit"), "{latest}");

    // And back: the new one goes, the old one leads again.
    present.stop();
    wait_for("the lead", || leads(&before));
    seen(&before, "both-3", "P000013");
    knows(&before, "P000013");
    knows(&before, "P000012");
    answers_by(&before, version);
    let marks: Vec<_> = merx_store::EventLog::read(&replicas.place.log(), None, 1_000_000).unwrap();
    let ids: std::collections::BTreeSet<_> = marks.iter().map(|(_, event)| event.id).collect();
    assert_eq!(ids.len(), marks.len(), "every event is there once");
}
