//! Experiments through the binary: a planted lift is found, nothing is found where nothing was planted, an arm follows its
//! shopper, and the command line says it all.

use serde_json::{Value, json};

use crate::harness::{Chance, Client, Server, Shop, succeed};

const VISITORS: u64 = 4_000;

fn definition(slots: &[&str], change: Value) -> Value {
    json!({
        "title": "planted", "surface": { "kind": "recommend", "slots": slots }, "metrics": ["conversion"],
        "arms": [{ "name": "control", "percent": 50 }, { "name": "treated", "percent": 50, "change": change }],
    })
}

fn put_and_start(server: &Server, id: &str, definition: &Value) {
    server.call("PUT", &format!("/v1/experiments/{id}"), &server.keys.admin, Some(definition)).ok();
    server.post(&format!("/v1/experiments/{id}/start"), &json!({}));
}

/// Arms by experiment.
fn arms(client: &mut Client, server: &Server, who: &Value) -> Value {
    let mut body = json!({ "slots": [{ "scenario": "home" }, { "scenario": "basket" }] });
    body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    let answer = client.call("POST", "/v1/recommend", &server.keys.admin, Some(&body)).unwrap().ok();
    let arms = answer["experiments"].as_array().cloned().unwrap_or_default();
    arms.into_iter().map(|arm| (arm["experiment"].as_str().unwrap().to_owned(), arm["arm"].clone())).collect()
}

fn order(visitor: &str, number: u64, cents: u64) -> Value {
    json!({ "type": "track", "event": "Order Completed", "anonymousId": visitor,
        "properties": { "order_id": format!("o{number}"), "revenue": cents as f64 / 100.0, "currency": "EUR",
            "products": [{ "product_id": "p1", "price": cents as f64 / 100.0, "quantity": 1 }] } })
}

fn send(client: &mut Client, server: &Server, events: &[Value]) {
    for batch in events.chunks(500) {
        client.call("POST", "/v1/batch", &server.keys.admin, Some(&json!({ "batch": batch }))).unwrap().ok();
    }
}

fn deciding(report: &Value) -> &Value {
    &report["metrics"][0]["comparisons"][0]
}

#[test]
fn a_planted_lift_is_found_and_nothing_else() {
    let mut shop = Shop::empty();
    let server = shop.serve(&["--set", "experiments.holdout=0.2"]);
    let mut client = server.client();
    let visitor = |number: u64| format!("visitor-{number}");
    let pages: Vec<Value> =
        (0..VISITORS).map(|number| json!({ "type": "page", "name": "Home", "anonymousId": visitor(number) })).collect();
    send(&mut client, &server, &pages);
    put_and_start(&server, "planted", &definition(&["home"], json!({ "diversity": 0.9 })));
    put_and_start(&server, "nothing", &definition(&["basket"], json!({ "diversity": 0.9 })));

    // A fifth buys, in the treated arm three tenths.
    let mut chance = Chance::seeded("experiments", 11);
    let (mut orders, mut held_out) = (Vec::new(), 0);
    for number in 0..VISITORS {
        let arms = arms(&mut client, &server, &json!({ "anonymous_id": visitor(number) }));
        held_out += u64::from(arms == json!({}));
        let buyers = if arms["planted"] == "treated" { 300 } else { 200 };
        if chance.below(1_000) < buyers {
            orders.push(order(&visitor(number), number, 1_000 + chance.below(5_000)));
        }
    }
    send(&mut client, &server, &orders);
    assert!((VISITORS * 16 / 100..VISITORS * 24 / 100).contains(&held_out), "{held_out} of {VISITORS} at 20 %");

    let planted = server.get("/v1/experiments/planted/report");
    let lift = deciding(&planted);
    assert_eq!(lift["verdict"], "better", "{planted}");
    let (low, high) = (lift["sequential"]["low"].as_f64().unwrap(), lift["sequential"]["high"].as_f64().unwrap());
    println!("planted .5: lift {} [{low}, {high}]", lift["lift"]);
    assert!(low > 0.0 && low < 0.5 && high > 0.5);
    assert!(lift["belief"]["chance_to_win"].as_f64().unwrap() > 0.99);
    assert_eq!(planted["trust"]["sample_ratio_mismatch"], false);
    let units = |report: &Value| {
        report["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(units(&planted), VISITORS - held_out);
    let revenue =
        planted["metrics"].as_array().unwrap().iter().find(|one| one["name"] == "revenue_per_visitor").unwrap();
    assert_eq!((&revenue["decides"], &revenue["unit"]), (&json!(false), &json!("money")));
    assert!((3.0..14.0).contains(&revenue["arms"][0]["mean"].as_f64().unwrap()), "{revenue}");
    assert_eq!(planted["latency"]["arms"][0]["decisions"], planted["arms"][0]["units"]);

    let nothing = server.get("/v1/experiments/nothing/report?segment_by=newness");
    let lift = deciding(&nothing);
    assert_eq!(lift["verdict"], "undecided", "{nothing}");
    assert!(lift["sequential"]["low"].as_f64().unwrap() < 0.0 && lift["sequential"]["high"].as_f64().unwrap() > 0.0);

    // The held out spend as the control does; the treated gain.
    let holdout = server.get("/v1/holdout");
    let month = holdout["months"].as_array().unwrap().last().unwrap();
    assert_eq!(month["held_out_visitors"], held_out);
    assert_eq!(month["treated_visitors"], VISITORS - held_out);

    // Signed in on a new device, the shopper keeps the arm of the old one.
    let mut kept = 0;
    for number in 0..40 {
        let device = json!({ "anonymous_id": visitor(number) });
        let before = arms(&mut client, &server, &device);
        if before == json!({}) {
            continue;
        }
        let user = format!("customer-{number}");
        // A customer since long, on another device that no experiment was shown on.
        let known = json!({ "type": "identify", "userId": user, "anonymousId": format!("old-device-{number}") });
        send(&mut client, &server, &[known]);
        send(&mut client, &server, &[json!({ "type": "identify", "userId": user, "anonymousId": visitor(number) })]);
        server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
        let after = arms(&mut client, &server, &json!({ "user_id": user }));
        // Who is held out from now on was drawn so as a customer.
        if after != json!({}) {
            assert_eq!(after, before);
            kept += 1;
        }
    }
    assert!(kept > 15, "{kept}");
    let crossed = server.get("/v1/experiments/planted/report");
    assert_eq!(crossed["trust"]["crossed_units"], 0);

    // What ran runs again after a restart, and the command line says the same.
    server.stop();
    let printed = succeed(shop.merx().args(["experiments", "report", "planted"]));
    assert!(printed.contains("better") && printed.contains("conversion"), "{printed}");
    let listed = succeed(shop.merx().arg("experiments"));
    assert!(listed.contains("planted") && listed.contains("running"), "{listed}");
    succeed(shop.merx().args(["experiments", "end", "planted"]));
    let server = shop.serve(&["--set", "experiments.holdout=0.2"]);
    let met = (50..90).map(|number| arms(&mut server.client(), &server, &json!({ "anonymous_id": visitor(number) })));
    assert!(
        met.filter(|arms| *arms != json!({})).all(|arms| arms.get("planted").is_none() && arms["nothing"].is_string())
    );
    server.stop();
}
