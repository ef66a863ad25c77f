//! The demo while it is open: people come, and what is planted shows where it should.

use serde_json::{Value, json};

use crate::harness::{Server, Shop};

/// Those of the template that `Shop::demo` copies.
const SIZE: [&str; 6] = ["--products", "300", "--shoppers", "1000", "--days", "100"];

fn play(server: &Server, scene: &str) -> Value {
    server.post("/v1/demo/scenes", &json!({ "scene": scene }))
}

fn popular(server: &Server) -> Value {
    server.post("/v1/recommend", &json!({ "slots": [{ "scenario": "popular", "count": 50 }] }))
}

fn shows(answer: &Value, product: &str) -> bool {
    let items = answer["slots"][0]["items"].as_array().unwrap();
    items.iter().any(|item| item["product_id"] == product)
}

fn units(server: &Server, product: &str) -> i64 {
    let levels = server.get(&format!("/v1/stock/{product}"));
    levels["items"].as_array().unwrap().iter().map(|level| level["quantity"].as_i64().unwrap()).sum()
}

#[test]
fn people_come_and_scenes_show_where_they_should() {
    let mut shop = Shop::demo();
    let flags = [&SIZE[..], &["--visits-per-minute", "3000"]].concat();
    let server = shop.open_demo(&flags);
    server.eventually("/v1/demo", |reply| reply.json()["visits"].as_u64().unwrap() >= 60);

    // They buy, and the experiment that the demo opens has them in its arms.
    server.eventually("/v1/experiments/demo-personal-home/report", |reply| {
        let report = reply.json();
        let arms = report["arms"].as_array().cloned().unwrap_or_default();
        arms.len() == 2 && arms.iter().all(|arm| arm["units"].as_u64().unwrap() >= 5)
    });

    let stockout = play(&server, "stockout");
    let product = stockout["product_id"].as_str().unwrap().to_owned();
    assert_eq!(units(&server, &product), 0);
    server.eventually("/health/ready", |_| !shows(&popular(&server), &product));
    assert_eq!(play(&server, "stockout")["began_at"], stockout["began_at"], "one that is on goes on as it is");

    play(&server, "outage");
    let answer = popular(&server);
    assert_eq!(answer["fallback"], "static_list");
    assert!(!answer["slots"][0]["items"].as_array().unwrap().is_empty(), "shoppers still get a list");

    let trend = play(&server, "trend");
    assert!(trend["product_id"].is_string());
    assert_eq!(server.get("/v1/demo")["playing"].as_array().unwrap().len(), 3);

    // What was planted ends with the demo.
    server.stop();
    let server = shop.serve(&[]);
    assert!(units(&server, &product) > 0);
    assert_eq!(server.call("GET", "/v1/demo", &server.keys.admin, None).status, 404);
}
