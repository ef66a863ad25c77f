//! What automations earn, who is told when something is wrong, and what it would have earned to do otherwise: against planted truths.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use merx_domain::{DAY_MS, TimestampMs};
use merx_measure::off_policy::{Logged, off_policy};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop as Simulated, ShopConfig};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Chance, Server, Shop};

const VISITORS: u64 = 3_000;

fn visitor(number: u64) -> String {
    format!("visitor-{number}")
}

fn send(server: &Server, events: &[Value]) {
    let mut client = server.client();
    for batch in events.chunks(500) {
        client.call("POST", "/v1/batch", &server.keys.admin, Some(&json!({ "batch": batch }))).unwrap().ok();
    }
}

fn order(visitor: &str, number: u64, cents: u64, at: Option<&str>) -> Value {
    let mut order = json!({ "type": "track", "event": "Order Completed", "anonymousId": visitor,
        "properties": { "order_id": format!("o{number}"), "revenue": cents as f64 / 100.0, "currency": "EUR",
            "products": [{ "product_id": "p1", "price": cents as f64 / 100.0, "quantity": 1 }] } });
    if let Some(at) = at {
        order["timestamp"] = json!(at);
    }
    order
}

fn of<'a>(list: &'a Value, name: &str, value: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one[name] == value).unwrap()
}

#[test]
fn what_an_automation_earns_holds_the_planted_truth() {
    let mut shop = Shop::empty();
    let server = shop.serve(&["--set", "recommend.holdout=0.3"]);
    let costs = json!({ "owner": "anna", "costs": { "one_time_minor": 100_000, "monthly_minor": 3_000 } });
    server.call("PUT", "/v1/automations/recommend", &server.keys.admin, Some(&costs)).ok();
    let pages: Vec<Value> =
        (0..VISITORS).map(|number| json!({ "type": "page", "name": "Home", "anonymousId": visitor(number) })).collect();
    send(&server, &pages);

    // A fifth of those who go without buys, three tenths of those who get it; 10 to 60 euros, 35 on average.
    let mut chance = Chance::seeded("value", 5);
    let mut client = server.client();
    let (mut orders, mut treated, mut clicked) = (Vec::new(), 0u64, Vec::new());
    let mut led_to = 0.0;
    for number in 0..VISITORS {
        let body = json!({ "anonymous_id": visitor(number), "slots": [{ "scenario": "home" }] });
        let answer = client.call("POST", "/v1/recommend", &server.keys.admin, Some(&body)).unwrap().ok();
        let gets_it = answer["arm"] == "treated";
        treated += u64::from(gets_it);
        let cents = 1_000 + chance.below(5_000);
        let buys = chance.below(1_000) < if gets_it { 300 } else { 200 };
        // Every tenth opens what was recommended before.
        if number % 10 == 0 {
            clicked.push(json!({ "type": "track", "event": "Product Clicked", "anonymousId": visitor(number),
                "properties": { "product_id": "p1", "decision_id": answer["decision_id"] } }));
            led_to += if buys { cents as f64 / 100.0 } else { 0.0 };
        }
        if buys {
            orders.push(order(&visitor(number), number, cents, None));
        }
    }
    send(&server, &clicked);
    send(&server, &orders);
    let truth = 0.1 * 35.0 * treated as f64;

    // Decisions are counted once they are on record for sure, and what followed them once somebody has read of it.
    let (reply, _) = server.eventually("/v1/value?window_days=7", |reply| {
        let page = reply.json();
        page["automations"].as_array().is_some_and(|all| {
            all.iter().any(|one| {
                let attributed = &one["attributed"];
                one["automation"] == "recommend"
                    && attributed["decisions"] == VISITORS
                    && attributed["clicked_decisions"] == VISITORS / 10
                    && attributed["revenue"].as_f64().is_some_and(|revenue| (revenue - led_to).abs() < 0.01)
            })
        })
    });
    let page = reply.json();
    let value = of(&page["automations"], "automation", "recommend");
    let number = |value: &Value| value.as_f64().unwrap();
    let range = &value["incremental_revenue"];
    println!("planted {truth:.0}: {range}");
    // Who goes without is drawn anew in every run: of a hundred runs five lie outside a 95 % interval, of ten thousand one outside
    // one of twice its width.
    let (low, high) = (number(&range["low"]), number(&range["high"]));
    assert!(low > 0.0 && (number(&range["estimate"]) - truth).abs() < high - low, "{value}");
    assert_eq!(value["verdict"], "earns", "{value}");
    assert_eq!(page["currency"], "EUR");
    let month = &value["months"][0];
    assert_eq!(month["treated_visitors"], treated);
    assert_eq!(month["held_out_visitors"], VISITORS - treated);
    // A month costs 30 euros, and less than an hour of it has passed.
    let cost = number(&value["running_cost"]);
    assert!(cost > 0.0 && cost < 0.1, "{cost}");
    assert!((number(&value["net"]["estimate"]) - (number(&range["estimate"]) - cost)).abs() < 1e-6);
    assert!(number(&value["payback_months"]["soonest"]) <= number(&value["payback_months"]["estimate"]));
    let attributed = &value["attributed"];
    assert_eq!(attributed["clicked_decisions"], VISITORS / 10);
    assert!((number(&attributed["revenue"]) - led_to).abs() < 0.01, "{attributed} beside {led_to}");
    // Nobody goes without search, so what it earns is not known.
    let search = of(&page["automations"], "automation", "search");
    assert_eq!((&search["verdict"], &search["incremental_revenue"]), (&json!("not_measured"), &Value::Null));
    assert!(search["why_not"].as_str().unwrap().contains("goes without"));
    server.stop();
}

#[test]
fn figures_stand_in_one_tree_and_say_what_is_not_measured() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    let yesterday =
        TimestampMs(TimestampMs::parse(server.get("/v1/kpis")["read_at"].as_str().unwrap()).unwrap().0 - DAY_MS);
    let at = yesterday.to_string();
    let on = |event: &str, visitor: u64, properties: Value| json!({ "type": "track", "event": event, "anonymousId": format!("v{visitor}"), "timestamp": at, "properties": properties });
    let mut events = Vec::new();
    for visitor in 0..100 {
        events.push(on("Product Viewed", visitor, json!({ "product_id": "p1" })));
        if visitor < 40 {
            events.push(on("Product Added", visitor, json!({ "product_id": "p1" })));
        }
        if visitor < 10 {
            events.push(order(&format!("v{visitor}"), visitor, 2_000 + 100 * visitor, Some(&at)));
        }
    }
    send(&server, &events);
    let page = server.get("/v1/kpis?days=7");
    let figure = |name: &str| of(&page["kpis"], "name", name).clone();
    assert_eq!((figure("revenue")["value"].as_f64(), figure("conversion")["value"].as_f64()), (Some(245.0), Some(0.1)));
    assert_eq!(figure("average_order_value")["value"].as_f64(), Some(24.5));
    assert_eq!(figure("cart_abandonment")["value"].as_f64(), Some(0.75));
    assert_eq!(figure("conversion")["parent"], "revenue_per_visit");
    for name in ["containment", "handling_time", "intent_false_positives"] {
        let none = figure(name);
        assert_eq!((&none["measured"], &none["value"]), (&json!(false), &Value::Null));
        assert!(none["why_not"].as_str().unwrap().contains("yet"));
    }
    let quality = server.get("/v1/data-quality");
    assert_eq!(of(&quality["checks"], "name", "volume")["state"], "too_little", "a new shop is told nothing");
    server.stop();
}

/// People are counted by what they did; who refuses to be measured afterwards leaves every segment, and one count serves many questions.
#[test]
fn shoppers_stand_in_segments_and_who_refuses_in_none() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    let mut events = Vec::new();
    for visitor in 0..40 {
        let device =
            if visitor < 30 { "iPhone; CPU iPhone OS 17_0 like Mac OS X" } else { "Windows NT 10.0; Win64; x64" };
        events.push(json!({ "type": "track", "event": "Product Viewed", "anonymousId": format!("s{visitor}"),
            "properties": { "product_id": "p1" }, "context": { "userAgent": format!("Mozilla/5.0 ({device})") } }));
        // Ten buy, five of them twice.
        let orders = if visitor < 5 { 2 } else { u64::from(visitor < 10) };
        events.extend((0..orders).map(|again| order(&format!("s{visitor}"), 100 * again + visitor, 1_000, None)));
    }
    send(&server, &events);
    for visitor in [0, 20, 39] {
        let refused = json!({ "anonymous_id": format!("s{visitor}"), "purposes": { "analytics": false } });
        server.post("/v1/consent", &refused);
    }
    let page = server.get("/v1/segments");
    assert_eq!((&page["people"], &page["not_measured"], &page["currency"]), (&json!(37), &json!(3), &json!("EUR")));
    let people = |page: &Value, name: &str| of(&page["segments"], "name", name)["people"].clone();
    assert_eq!(people(&page, "newcomers"), json!(28));
    assert_eq!(
        (people(&page, "first buyers"), people(&page, "regulars")),
        (json!(5), Value::Null),
        "four are too few to be told"
    );
    assert_eq!((people(&page, "phone"), people(&page, "desktop")), (json!(28), json!(9)));
    let figures = &of(&page["segments"], "name", "first buyers")["figures"];
    assert_eq!((&figures["orders"], figures["revenue"].as_f64()), (&json!(5), Some(50.0)));
    assert_eq!(server.get("/v1/segments")["read_at"], page["read_at"], "counted once");
    server.stop();
}

/// Takes two posts, refuses the first.
pub(crate) fn receiver() -> (String, std::thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut taken = Vec::new();
        for answer in ["500 Internal Server Error", "204 No Content"] {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                let line = line.to_ascii_lowercase().replace(": ", ":");
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(reader.get_mut(), "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            taken.push((head, String::from_utf8(body).unwrap()));
        }
        taken
    });
    (url, thread)
}

#[test]
fn alerts_are_told_signed_and_again_where_nobody_answered() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    let (url, receiver) = receiver();
    let made = server.post("/v1/webhooks", &json!({ "url": url, "kinds": ["test"] }));
    let secret = made["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap().to_owned();
    assert!(server.get("/v1/webhooks")["items"][0].get("secret").is_none(), "a secret is shown once");
    server.post("/v1/alerts/test", &json!({}));
    let taken = receiver.join().unwrap();
    let header = |head: &str, name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}:")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {head}"))
    };
    let ids: Vec<String> = taken.iter().map(|(head, _)| header(head, "webhook-id")).collect();
    assert_eq!(ids[0], ids[1], "a second try is the same message");
    for (head, body) in &taken {
        // The headers were lowered to be compared; base64 wasn't meant to be.
        let signed = format!("{}.{}.{body}", header(head, "webhook-id"), header(head, "webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(&secret).unwrap()).unwrap();
        mac.update(signed.as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())).to_ascii_lowercase();
        assert_eq!(header(head, "webhook-signature").trim(), expected);
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["type"], &body["data"]["severity"]), (&json!("alert.test"), &json!("notice")));
    }
    let (reply, _) = server.eventually("/v1/deliveries", |reply| reply.json()["items"][0]["state"] == "delivered");
    assert_eq!(reply.json()["items"][0]["tries"], 2);
    server.stop();
}

/// Known shoppers of a simulated shop give way to strangers: drift is told, and a model that is fitted on today's log runs in the shadow of
/// live decisions without anybody's doing.
#[test]
fn planted_drift_is_told_and_ends_in_a_model_in_the_shadow() {
    let mut shop = Shop::small_demo();
    let flags = ["--set", "recommend.deadline_ms=5000", "--set", "train.gate_latency_ms=10000"];
    let server = shop.serve(&flags);
    let decide = |server: &Server, who: &dyn Fn(u64) -> Value, count: u64| {
        let mut client = server.client();
        for number in 0..count {
            let mut body = json!({ "slots": [{ "scenario": "for_you", "count": 5 }] });
            body.as_object_mut().unwrap().extend(who(number).as_object().unwrap().clone());
            client.call("POST", "/v1/recommend", &server.keys.admin, Some(&body)).unwrap().ok();
        }
    };
    // Those of the demo's shoppers whom the shop knows something of.
    let simulated = Simulated::new(ShopConfig { shoppers: 600, seed: 7, ..ShopConfig::default() });
    let mut client = server.client();
    let mut knows = |subject: &Value| {
        let body = json!({ "subject_id": subject, "slots": [{ "scenario": "recently_viewed", "count": 1 }] });
        let answer = client.call("POST", "/v1/recommend", &server.keys.admin, Some(&body)).unwrap().ok();
        answer["slots"][0]["items"].as_array().is_some_and(|items| !items.is_empty())
    };
    let subjects: Vec<Value> =
        (0..600).map(|index| json!(simulated.subject_id(index).to_string())).filter(|subject| knows(subject)).collect();
    assert!(subjects.len() > 100, "{} are known", subjects.len());
    decide(&server, &|number| json!({ "subject_id": subjects[number as usize % subjects.len()] }), 1_500);
    let saved = server.post("/v1/drift/reference", &json!({}));
    let usual = of(&saved["engines"], "engine", "recommend").clone();
    assert_eq!((&usual["drifted"], &usual["decayed"]), (&json!(false), &json!(false)), "{usual}");
    let live = usual["reference_version"].as_u64().unwrap();
    decide(&server, &|number| json!({ "anonymous_id": format!("stranger-{number}") }), 4_000);
    server.stop();

    // Whoever starts looks round at once.
    let server = shop.serve(&flags);
    let (reply, _) = server.eventually("/v1/alerts?state=open", |reply| {
        reply.json()["items"].as_array().is_some_and(|all| all.iter().any(|one| one["kind"] == "drift"))
    });
    let alerts = reply.json();
    let alert = of(&alerts["items"], "kind", "drift");
    assert!(alert["words"].as_str().unwrap().contains("a training into shadow was asked for"), "{alert}");
    let (reply, _) = server.eventually("/v1/drift", |reply| {
        of(&reply.json()["engines"], "engine", "recommend")["shadow_version"].is_u64()
    });
    let page = reply.json();
    let shadow = of(&page["engines"], "engine", "recommend")["shadow_version"].as_u64().unwrap();
    assert!(shadow > live, "{shadow} beside {live}");
    let looks = of(&page["engines"], "engine", "recommend")["history"].as_array().unwrap().clone();
    assert!(!looks.is_empty(), "what the look found is remembered");
    let numbers = looks.last().unwrap()["numbers"].as_array().unwrap();
    assert!(numbers.iter().any(|number| number["drifted"] == true), "{numbers:?}");
    let models = server.get("/v1/models");
    let stage = |version: u64| {
        let all = models["items"].as_array().unwrap().iter();
        let mut found = all.filter(|one| one["name"] == "recommend" && one["version"] == version);
        found.next().unwrap()["stage"].clone()
    };
    assert_eq!((stage(live), stage(shadow)), (json!("live"), json!("candidate")), "nobody promoted it");
    // A part of the live decisions is computed with it, and shown to nobody.
    let mut client = server.client();
    let mut watched = 0;
    for number in 0..400 {
        let who = subjects[number % subjects.len()].clone();
        let body = json!({ "subject_id": who, "slots": [{ "scenario": "for_you", "count": 5 }] });
        let answer = client.call("POST", "/v1/recommend", &server.keys.admin, Some(&body)).unwrap().ok();
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        if number % 8 == 0 {
            let record = server.get(&path);
            assert_eq!(record["model_version"], live, "{record}");
            watched += u64::from(record["shadow"].is_array());
        }
    }
    let list = server.get("/v1/decisions?limit=100");
    watched += list["items"].as_array().unwrap().iter().filter(|one| one["shadow"].is_array()).count() as u64;
    assert!(watched > 0, "none of 400 was computed in the shadow");
    server.stop();
}

/// Ten thousand past decisions of both engines, by shoppers, visitors and nobody, with an experiment on the way.
#[test]
fn ten_thousand_decisions_are_made_again_bit_for_bit() {
    const EACH: u64 = 5_000;
    let mut shop = Shop::small_demo();
    let server = shop.serve(&["--set", "recommend.deadline_ms=5000", "--set", "search.deadline_ms=5000"]);
    let definition = json!({
        "surface": { "kind": "recommend", "slots": ["home"] }, "metrics": ["conversion"],
        "arms": [{ "name": "control", "percent": 50 }, { "name": "varied", "percent": 50, "change": { "diversity": 0.9 } }],
    });
    server.call("PUT", "/v1/experiments/variety", &server.keys.admin, Some(&definition)).ok();
    server.post("/v1/experiments/variety/start", &json!({}));
    let mut chance = Chance::seeded("replay", 8);
    let scenarios =
        ["home", "for_you", "popular", "trending", "new", "recently_viewed", "buy_again", "continue_session"];
    let words = ["shoes", "red", "lamp", "dress", "garden chair", "blue shirt", "xyzzy", "bag"];
    server.eventually("/v1/search?q=lamp", |reply| reply.status == 200);
    let mut client = server.client();
    for number in 0..2 * EACH {
        let who = chance.below(400);
        let (path, mut body) = if number % 2 == 0 {
            let slot = scenarios[chance.below(scenarios.len() as u64) as usize];
            ("/v1/recommend", json!({ "slots": [{ "scenario": slot, "count": 1 + chance.below(12) }] }))
        } else {
            let query = words[chance.below(words.len() as u64) as usize];
            ("/v1/search", json!({ "query": query, "count": 1 + chance.below(20) }))
        };
        if who > 20 {
            body["anonymous_id"] = json!(visitor(who));
        }
        client.call("POST", path, &server.keys.admin, Some(&body)).unwrap().ok();
    }
    let (mut before, mut compared, mut engines) = (String::new(), 0, std::collections::BTreeMap::<String, u64>::new());
    loop {
        let page =
            client.call("GET", &format!("/v1/decisions?limit=100{before}"), &server.keys.admin, None).unwrap().ok();
        let items = page["items"].as_array().unwrap();
        let Some(last) = items.last() else { break };
        before = format!("&before={}", last["decision_id"].as_str().unwrap());
        for item in items {
            let id = item["decision_id"].as_str().unwrap();
            let path = format!("/v1/decisions/{id}/replay");
            let replay = client.call("POST", &path, &server.keys.admin, Some(&json!({}))).unwrap().ok();
            assert_eq!(replay["identical"], true, "{id}: {replay}");
            *engines.entry(item["engine"].as_str().unwrap().to_owned()).or_default() += 1;
            compared += 1;
        }
    }
    println!("{compared} decisions: {engines:?}");
    assert!(compared >= 2 * EACH, "{compared}");
    assert!(engines["recommend"] >= EACH && engines["search"] >= EACH);
    server.stop();
}

/// Strips of a simulated shop are shown by a policy that draws among four with known chances; what another policy would have brought is known
/// from the planted tastes, and estimates from the log hold it.
#[test]
fn off_policy_estimates_hold_the_truth_of_a_simulated_shop() {
    const STRIPS: usize = 4;
    const LENGTH: usize = 8;
    const SHOPPERS: u32 = 400;
    const DECISIONS: usize = 3_000;
    const TRIALS: u64 = 40;
    let simulated =
        Simulated::new(ShopConfig { products: 400, shoppers: SHOPPERS, days: 60, seed: 3, ..ShopConfig::default() });
    let truth = simulated.truth(simulated.config().start.plus_ms(30 * DAY_MS));
    let shoppers: Vec<_> = (0..SHOPPERS).map(|index| simulated.shopper(index)).collect();
    // The first strip is made for the shopper; the others are other people's.
    let strips: Vec<Vec<Vec<_>>> = (0..SHOPPERS as usize)
        .map(|own| {
            (0..STRIPS)
                .map(|strip| truth.taste_top(&shoppers[(own + 97 * strip) % SHOPPERS as usize], LENGTH))
                .collect()
        })
        .collect();
    // Chances of a click by shopper and strip, from many plays.
    let mut rng = Rng::from_seed(9);
    let clicks: Vec<Vec<f64>> = (0..SHOPPERS as usize)
        .map(|own| {
            let play = |strip: &Vec<_>, rng: &mut Rng| {
                let happy =
                    (0..400).filter(|_| !truth.respond(&shoppers[own], &[], strip, rng).clicked.is_empty()).count();
                happy as f64 / 400.0
            };
            strips[own].iter().map(|strip| play(strip, &mut rng)).collect()
        })
        .collect();
    const LOGGING: [f64; STRIPS] = [0.1, 0.3, 0.4, 0.2];
    const OTHER: [f64; STRIPS] = [0.85, 0.05, 0.05, 0.05];
    let worth = |policy: &[f64; STRIPS]| {
        let of_shopper = |rates: &Vec<f64>| rates.iter().zip(policy).map(|(rate, chance)| rate * chance).sum::<f64>();
        clicks.iter().map(of_shopper).sum::<f64>() / f64::from(SHOPPERS)
    };
    let (planted, logged) = (worth(&OTHER), worth(&LOGGING));
    assert!(planted > logged, "what suits brings more: {planted} beside {logged}");
    let mut covered = [0; 4];
    let mut half = 0.0;
    for trial in 0..TRIALS {
        let mut rng = rng.split(trial);
        let rows: Vec<Logged> = (0..DECISIONS)
            .map(|_| {
                let own = rng.below(SHOPPERS as usize);
                let lot = rng.uniform();
                let mut end = 0.0;
                let drawn = LOGGING.iter().position(|chance| {
                    end += chance;
                    lot < end
                });
                let strip = drawn.unwrap_or(STRIPS - 1);
                let clicked = !truth.respond(&shoppers[own], &[], &strips[own][strip], &mut rng).clicked.is_empty();
                // A model that knows tastes, but half as well as it thinks.
                let forecast = |strip: usize| 0.5 * clicks[own][strip] + 0.5 * logged;
                Logged {
                    propensity: LOGGING[strip],
                    target: OTHER[strip],
                    reward: f64::from(u8::from(clicked)),
                    predicted: forecast(strip),
                    predicted_target: (0..STRIPS).map(|strip| OTHER[strip] * forecast(strip)).sum(),
                }
            })
            .collect();
        let read = off_policy(&rows, 20.0, 0.05).unwrap();
        let estimates = [read.ips, read.snips, read.doubly_robust, read.switch];
        for (count, estimate) in covered.iter_mut().zip(estimates) {
            *count += usize::from(estimate.low <= planted && planted <= estimate.high);
        }
        assert!(read.overlap.effective_rows > 100.0 && (read.overlap.mean_weight - 1.0).abs() < 0.3);
        half += (read.doubly_robust.high - read.doubly_robust.low) / 2.0 / TRIALS as f64;
    }
    println!("planted {planted:.4}, logged policy {logged:.4}; covered of {TRIALS}: {covered:?}; half width {half:.4}");
    // 38 of 40 expected, less three sigma of 1.4; the truth itself is known to a thousandth.
    assert!(covered.iter().all(|count| *count >= 34), "{covered:?}");
}
