//! Experiments and flags over HTTP, from a draft to arms in answers.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{call, request, send};

fn two_arms(change: Value) -> Value {
    json!({
        "title": "Fewer products", "owner": "anna", "surface": {"kind": "recommend", "slots": ["basket"]},
        "arms": [{"name": "control", "percent": 50}, {"name": "few", "percent": 50, "value": {"colour": "green"}, "change": change}],
        "metrics": ["conversion"],
    })
}

async fn running(shop: &Shop, id: &str, definition: Value) {
    call(shop, "PUT", &format!("/v1/experiments/{id}"), &shop.secret, Some(definition)).await.ok();
    let started = call(shop, "POST", &format!("/v1/experiments/{id}/start"), &shop.secret, None).await.ok();
    assert_eq!(started["state"], "running");
}

async fn basket(shop: &Shop, visitor: &str) -> Value {
    let body = json!({"anonymous_id": visitor, "slots": [{"scenario": "basket"}]});
    call(shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok()
}

#[tokio::test]
async fn an_experiment_lives_from_draft_to_end() {
    let shop = Shop::open();
    let path = "/v1/experiments/basket-size";
    let draft = call(&shop, "PUT", path, &shop.secret, Some(two_arms(json!({"count": 1})))).await.ok();
    assert_eq!((&draft["state"], &draft["revision"]), (&json!("draft"), &json!(1)));
    assert!(basket(&shop, "a").await.get("experiments").is_none(), "a draft changes nothing");
    let patched =
        call(&shop, "PATCH", path, &shop.secret, Some(json!({"ramp_percent": 100, "hypothesis": "less is more"})))
            .await
            .ok();
    assert_eq!((&patched["hypothesis"], &patched["arms"]), (&json!("less is more"), &draft["arms"]));
    call(&shop, "POST", &format!("{path}/start"), &shop.secret, None).await.ok();

    let mut arms = std::collections::BTreeMap::new();
    for visitor in 0..40 {
        let answer = basket(&shop, &format!("v{visitor}")).await;
        let met = &answer["experiments"][0];
        assert_eq!(met["experiment"], "basket-size");
        let few = met["arm"] == "few";
        assert_eq!(answer["slots"][0]["items"].as_array().unwrap().len(), if few { 1 } else { 3 });
        assert_eq!(met.get("value"), few.then(|| json!({"colour": "green"})).as_ref());
        let again = basket(&shop, &format!("v{visitor}")).await;
        assert_eq!(again["experiments"], answer["experiments"], "the same shopper, the same arm");
        *arms.entry(met["arm"].as_str().unwrap().to_owned()).or_insert(0) += 1;

        let id = answer["decision_id"].as_str().unwrap();
        let record = call(&shop, "GET", &format!("/v1/decisions/{id}"), &shop.secret, None).await.ok();
        assert_eq!(record["experiments"][0]["propensity"], 0.5);
        let why = call(&shop, "GET", &format!("/v1/decisions/{id}/why"), &shop.secret, None).await.ok();
        let words = format!("experiment basket-size gave arm {} (a chance of 50 %)", met["arm"].as_str().unwrap());
        assert!(why["words"].as_array().unwrap().contains(&json!(words)), "{why}");
        let replay =
            call(&shop, "POST", &format!("/v1/decisions/{id}/replay"), &shop.secret, Some(json!({}))).await.ok();
        assert_eq!(replay["identical"], true);
    }
    assert!(arms["control"] > 8 && arms["few"] > 8, "{arms:?}");

    let moved = call(&shop, "PATCH", path, &shop.secret, Some(json!({"salt": "other"}))).await;
    moved.problem(409, "conflict");
    call(&shop, "DELETE", path, &shop.secret, None).await.problem(409, "conflict");
    let report = call(&shop, "GET", &format!("{path}/report"), &shop.secret, None).await.ok();
    assert_eq!(report["arms"][0]["units"].as_u64().unwrap() + report["arms"][1]["units"].as_u64().unwrap(), 40);
    assert_eq!(report["metrics"][0]["name"], "conversion");
    shop.clock.set(crate::harness::NOW.plus_ms(merx_domain::HOUR_MS));
    let course = call(&shop, "GET", &format!("{path}/sequence?looks=5"), &shop.secret, None).await.ok();
    assert_eq!((&course["metric"], &course["arms"][0]["arm"]), (&json!("conversion"), &json!("few")));
    let looks = course["arms"][0]["looks"].as_array().unwrap();
    assert_eq!((looks.len(), &looks[4]["units"]), (5, &json!(40)));
    assert_eq!(looks[4]["at"], course["read_at"]);
    let wrong = call(&shop, "GET", &format!("{path}/sequence?metric=latency_ms&looks=0"), &shop.secret, None).await;
    let places: Vec<String> = wrong.mistakes().into_iter().map(|(at, _)| at).collect();
    assert_eq!(places, ["looks", "metric"]);
    let ended = call(&shop, "POST", &format!("{path}/end"), &shop.secret, None).await.ok();
    assert_eq!(ended["state"], "ended");
    assert!(basket(&shop, "v1").await.get("experiments").is_none());
    let list = call(&shop, "GET", "/v1/experiments", &shop.secret, None).await.ok();
    assert_eq!(list["items"][0]["state"], "ended", "it stays listed");
    call(&shop, "GET", path, &shop.public, None).await.problem(403, "forbidden");
    call(&shop, "GET", "/v1/experiments/none", &shop.secret, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_makes_no_sense_is_named_before_it_goes_live() {
    let shop = Shop::open();
    let wrong = json!({
        "surface": {"kind": "recommend"}, "unit": "market_slot", "ramp_percent": 120, "metrics": ["luck"],
        "arms": [{"name": "a", "percent": 50}, {"name": "b", "percent": 33.333, "change": {"scenario": "guess", "serve": "magic"}}],
    });
    let check = call(&shop, "POST", "/v1/experiments/x/check", &shop.secret, Some(wrong.clone())).await.ok();
    assert_eq!(check["sound"], false);
    let refused = call(&shop, "PUT", "/v1/experiments/x", &shop.secret, Some(wrong)).await.mistakes();
    let places: Vec<&str> = refused.iter().map(|(at, _)| at.as_str()).collect();
    let expected =
        ["arms[1].percent", "ramp_percent", "slot_minutes", "arms[1].change.serve", "arms[1].change.scenario"];
    assert_eq!(places, expected);

    let sums = json!({"arms": [{"name": "a", "percent": 50}, {"name": "a", "percent": 40}], "metrics": ["luck"]});
    let refused = call(&shop, "PUT", "/v1/experiments/x", &shop.secret, Some(sums)).await.mistakes();
    let codes: Vec<&str> = refused.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!(codes, ["unknown_metric", "arms_dont_add_up", "arm_names"]);

    let unknown = two_arms(json!({"model_version": 9}));
    let refused = call(&shop, "PUT", "/v1/experiments/x", &shop.secret, Some(unknown)).await.mistakes();
    assert_eq!(refused, [("arms[1].change.model_version".to_owned(), "unknown_model_version".to_owned())]);
    let id = call(&shop, "PUT", "/v1/experiments/a%20b", &shop.secret, Some(two_arms(json!({})))).await.mistakes();
    assert_eq!(id[0], ("id".to_owned(), "invalid_id".to_owned()));

    let in_layer = |range: Value| {
        let mut definition = two_arms(json!({}));
        (definition["layer"], definition["layer_range"]) = (json!("page"), range);
        definition
    };
    running(&shop, "first", in_layer(json!([0, 60]))).await;
    call(&shop, "PUT", "/v1/experiments/second", &shop.secret, Some(in_layer(json!([50, 100])))).await.ok();
    let refused = call(&shop, "POST", "/v1/experiments/second/start", &shop.secret, None).await.mistakes();
    assert_eq!(refused, [("layer".to_owned(), "overlapping_layer".to_owned())]);
}

#[tokio::test]
async fn searches_are_experimented_with_too() {
    let shop = Shop::open();
    let definition = json!({"surface": {"kind": "search"}, "metrics": ["conversion"], "arms": [
        {"name": "as it is", "percent": 50},
        {"name": "words", "percent": 50, "change": {"serve": "popularity", "typo_tolerance": false}},
    ]});
    running(&shop, "ranking", definition).await;
    let mut arms = [0, 0];
    for visitor in 0..30 {
        let body = json!({"query": "product", "anonymous_id": format!("v{visitor}")});
        let answer = call(&shop, "POST", "/v1/search", &shop.public, Some(body)).await.ok();
        let words = answer["experiments"][0]["arm"] == "words";
        assert_eq!(answer["fallback"], if words { "popularity" } else { "live_model" });
        arms[usize::from(words)] += 1;
    }
    assert!(arms[0] > 5 && arms[1] > 5, "{arms:?}");
}

async fn evaluate(shop: &Shop, key: &str, flag: &str, context: Value) -> crate::Reply {
    call(shop, "POST", &format!("/ofrep/v1/evaluate/flags/{flag}"), key, Some(json!({"context": context}))).await
}

#[tokio::test]
async fn flags_are_evaluated_as_openfeature_asks_for_them() {
    let shop = Shop::open();
    let flag = json!({"kind": "flag", "arms": [{"name": "off", "percent": 100, "value": false}]});
    running(&shop, "new-checkout", flag).await;
    let test = json!({"metrics": ["conversion"], "arms": [
        {"name": "red", "percent": 50, "value": "red"}, {"name": "green", "percent": 50, "value": "green"}]});
    running(&shop, "button", test).await;

    let off = evaluate(&shop, &shop.secret, "new-checkout", json!({"targetingKey": "u1", "vip": true})).await.ok();
    assert_eq!((&off["value"], &off["variant"], &off["reason"]), (&json!(false), &json!("off"), &json!("STATIC")));
    // A flag is switched while it runs.
    let on = json!({"arms": [{"name": "on", "percent": 100, "value": true}]});
    call(&shop, "PATCH", "/v1/experiments/new-checkout", &shop.secret, Some(on)).await.ok();
    let on = evaluate(&shop, &shop.secret, "new-checkout", json!({"targetingKey": "u1"})).await.ok();
    assert_eq!((&on["value"], &on["key"]), (&json!(true), &json!("new-checkout")));
    let colour = evaluate(&shop, &shop.public, "button", json!({"targetingKey": "visitor-1"})).await.ok();
    assert_eq!((&colour["reason"], &colour["value"]), (&json!("SPLIT"), &colour["variant"]));
    assert_eq!(colour["metadata"]["in_experiment"], true);
    let refuses = json!({"targetingKey": "visitor-2", "consent": {"analytics": false}});
    let outside = evaluate(&shop, &shop.public, "button", refuses).await.ok();
    assert_eq!((&outside["reason"], &outside["value"]), (&json!("DEFAULT"), &json!("red")));

    for (reply, status, code) in [
        (evaluate(&shop, &shop.secret, "none", json!({"targetingKey": "u1"})).await, 404, "FLAG_NOT_FOUND"),
        (evaluate(&shop, &shop.secret, "button", json!({})).await, 400, "TARGETING_KEY_MISSING"),
        (evaluate(&shop, &shop.secret, "button", json!({"targetingKey": 7})).await, 400, "INVALID_CONTEXT"),
        (evaluate(&shop, &shop.public, "button", json!({"userId": "u1"})).await, 403, "GENERAL"),
        (evaluate(&shop, "mx_pub_none", "button", json!({"targetingKey": "u1"})).await, 401, "GENERAL"),
    ] {
        assert_eq!((reply.status, reply.header("content-type")), (status, "application/json"));
        let body = reply.json();
        assert_eq!(body["errorCode"], code, "{body}");
        assert!(body["errorDetails"].is_string() && body["key"].is_string());
    }
    let garbled =
        request("POST", "/ofrep/v1/evaluate/flags/button", &shop.secret).header("content-type", "application/json");
    let garbled = send(&shop, garbled.body(Body::from("{")).unwrap()).await;
    assert_eq!((garbled.status, &garbled.json()["errorCode"]), (400, &json!("PARSE_ERROR")));

    // Only the one test that was asked for by name was shown, and only to who may be measured.
    let report = call(&shop, "GET", "/v1/experiments/button/report", &shop.secret, None).await.ok();
    let units: u64 = report["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).sum();
    assert_eq!(units, 1);
}

#[tokio::test]
async fn all_flags_come_with_a_tag_that_holds_until_something_changes() {
    let shop = Shop::open();
    running(&shop, "a", json!({"kind": "flag", "arms": [{"name": "on", "percent": 100, "value": 1}]})).await;
    running(&shop, "valueless", two_arms(json!({"count": 1}))).await;
    let ask = |tag: &str, visitor: &str| {
        let mut request =
            request("POST", "/ofrep/v1/evaluate/flags", &shop.public).header("content-type", "application/json");
        if !tag.is_empty() {
            request = request.header("if-none-match", tag);
        }
        request.body(Body::from(json!({"context": {"targetingKey": visitor}}).to_string())).unwrap()
    };
    let first = send(&shop, ask("", "v1")).await;
    let flags = first.ok();
    assert_eq!(flags["flags"][0]["key"], "a");
    assert_eq!(flags["eventStreams"][0]["endpoint"]["requestUri"], "/ofrep/v1/stream");
    let tag = first.header("etag").to_owned();
    let same = send(&shop, ask(&tag, "v1")).await;
    assert_eq!((same.status, same.bytes.len(), same.header("etag")), (304, 0, tag.as_str()));
    let patch = json!({"arms": [{"name": "on", "percent": 100, "value": 2}]});
    call(&shop, "PATCH", "/v1/experiments/a", &shop.secret, Some(patch)).await.ok();
    let changed = send(&shop, ask(&tag, "v1")).await;
    assert_eq!(changed.ok()["flags"][0]["value"], 2);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn experiments_are_planned_before_they_begin() {
    let shop = Shop::open();
    let plan = |body: Value| call(&shop, "POST", "/v1/experiment-plan", &shop.secret, Some(body));
    let once = plan(json!({"share": 0.1, "lift": 0.1, "peeking": false, "units_per_day": 1000})).await.ok();
    // Fleiss, Levin and Paik: 14,748.5 an arm for a tenth against eleven hundredths.
    assert_eq!((&once["units"], &once["days"]), (&json!(29_497), &json!(30)));
    let often = plan(json!({"share": 0.1, "lift": 0.1})).await.ok();
    assert!(often["units"].as_u64().unwrap() > 29_497, "looking costs shoppers");
    let found = plan(json!({"mean": 30.0, "variance": 2500.0, "units": 40_000})).await.ok();
    assert!((0.01..0.1).contains(&found["lift"].as_f64().unwrap()));
    let codes = |mistakes: Vec<(String, String)>| mistakes[0].1.clone();
    assert_eq!(codes(plan(json!({"lift": 0.1})).await.mistakes()), "missing");
    assert_eq!(codes(plan(json!({"share": 0.1, "lift": 0.0})).await.mistakes()), "out_of_range");
    let metrics = call(&shop, "GET", "/v1/experiment-metrics", &shop.secret, None).await.ok();
    assert!(metrics["items"].as_array().unwrap().iter().any(|metric| metric["name"] == "margin_per_visitor"));
    let row = |propensity: f64, reward: f64| json!({"propensity": propensity, "target": 1.0, "reward": reward});
    let estimate = |rows: Vec<Value>| call(&shop, "POST", "/v1/off-policy", &shop.secret, Some(json!({"rows": rows})));
    let read = estimate(vec![row(0.5, 1.0), row(0.5, 0.0), row(1.0, 0.5), row(1.0, 0.5)]).await.ok();
    assert_eq!((&read["ips"]["value"], &read["overlap"]["mean_weight"]), (&json!(0.75), &json!(1.5)));
    assert_eq!(read["snips"]["value"], 0.5);
    assert_eq!(estimate(vec![row(0.5, 1.0), row(0.0, 1.0)]).await.mistakes()[0].0, "rows[1]");
    let holdout = call(&shop, "GET", "/v1/holdout", &shop.secret, None).await.ok();
    assert_eq!(holdout["months"], json!([]));
}
