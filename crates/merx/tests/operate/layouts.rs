//! The order of a page's blocks, learnt from what visitors did with them.

use serde_json::{Value, json};

use crate::harness::{Chance, Server, Shop, succeed};

const BLOCKS: [&str; 4] = ["first", "second", "third", "best"];

fn ask(server: &Server, extra: &Value) -> Value {
    let blocks = BLOCKS.map(|id| json!({ "id": id }));
    let mut body = json!({ "page": "home", "device": "phone", "blocks": blocks });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    server.post("/v1/layout", &body)
}

fn order(answer: &Value) -> Vec<String> {
    answer["blocks"].as_array().unwrap().iter().map(|block| block["id"].as_str().unwrap().to_owned()).collect()
}

/// Visitors see every block; of phones half use the planted one, of desktops the second.
fn visit(server: &Server, number: u64, chance: &mut Chance) {
    let visitor = format!("visitor-{number}");
    let device = if number.is_multiple_of(2) { "phone" } else { "desktop" };
    let answer = ask(server, &json!({ "anonymous_id": visitor, "device": device }));
    let loved = if device == "phone" { "best" } else { "second" };
    let mut batch = Vec::new();
    let mut tell = |event: &str, block: &str| {
        batch.push(json!({ "type": "track", "event": event, "anonymousId": visitor,
            "properties": { "promotion_id": block, "decision_id": answer["decision_id"] } }));
    };
    for block in order(&answer) {
        tell("Promotion Viewed", &block);
        if chance.below(100) < if block == loved { 50 } else { 4 } {
            tell("Promotion Clicked", &block);
        }
    }
    server.post("/v1/batch", &json!({ "batch": batch }));
}

#[test]
fn blocks_stand_as_they_are_used_and_the_default_stands_where_nothing_may_be_learnt() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    let untaught = ask(&server, &json!({}));
    assert_eq!((order(&untaught), &untaught["fallback"]), (BLOCKS.map(str::to_owned).to_vec(), &json!("static_list")));
    let mut chance = Chance::seeded("layouts", 11);
    (0..150).for_each(|number| visit(&server, number, &mut chance));
    server.stop();
    let trained = succeed(shop.merx().args(["train", "--now", "--set", "train.gate_latency_ms=10000"]));
    println!("{trained}");

    let server = shop.serve(&[]);
    let first = |device: &str| {
        let loved = if device == "phone" { "best" } else { "second" };
        let asked = (0..60).map(|_| ask(&server, &json!({ "device": device })));
        asked.filter(|answer| order(answer)[0] == loved).count()
    };
    let [phones, desktops] = ["phone", "desktop"].map(first);
    println!("of 60, the block that is used most came first on {phones} phones and {desktops} desktops");
    assert!(phones >= 45 && desktops >= 45, "of 60: {phones} and {desktops}");

    let learnt = ask(&server, &json!({}));
    assert_eq!(learnt["model"]["name"], "layout");
    let propensity = learnt["propensity"].as_f64().unwrap();
    assert!(propensity > 0.0 && propensity < 1.0);
    let path = format!("/v1/decisions/{}", learnt["decision_id"].as_str().unwrap());
    assert_eq!(server.post(&format!("{path}/replay"), &json!({}))["identical"], true);
    let why = server.get(&format!("{path}/why"));
    assert!(why["words"].to_string().contains("visits like this one use it"), "{why}");
    let no = ask(&server, &json!({ "consent": { "personalisation": false } }));
    assert_eq!((order(&no), &no["model"]), (BLOCKS.map(str::to_owned).to_vec(), &Value::Null));
    // Somebody known sees the same page through the day.
    let known = || order(&ask(&server, &json!({ "anonymous_id": "visitor-1" })));
    assert_eq!(known(), known());
    let automations = server.get("/v1/automations");
    assert!(automations["items"].as_array().unwrap().iter().any(|one| one["name"] == "layout"), "{automations}");
}
