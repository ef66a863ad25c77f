//! A shop whose shoppers have tastes that were planted: what is served finds them again.

use merx_domain::{Clock, DAY_MS, ProductNumber, SystemClock, TimestampMs};
use merx_simulate::{Shop as Simulated, ShopConfig};
use serde_json::json;

use crate::harness::{Server, Shop, succeed};

const PRODUCTS: u32 = 1_000;
const SHOPPERS: u32 = 10_000;
const DAYS: u32 = 300;
const SEED: u64 = 5;
const SHOWN: usize = 10;
const ASKED: usize = 300;

/// The shop that `merx demo` makes with these numbers today.
fn simulated(today: i64) -> Simulated {
    let start = TimestampMs((today - i64::from(DAYS)) * DAY_MS);
    Simulated::new(ShopConfig {
        products: PRODUCTS,
        shoppers: SHOPPERS,
        days: DAYS,
        seed: SEED,
        start,
        ..ShopConfig::default()
    })
}

fn numbers(answer: &serde_json::Value) -> Vec<ProductNumber> {
    let items = answer["slots"][0]["items"].as_array().unwrap();
    let number = |item: &serde_json::Value| item["product_id"].as_str().unwrap()[1..].parse().unwrap();
    items.iter().map(|item| ProductNumber(number(item))).collect()
}

fn ask(server: &Server, shopper: serde_json::Value, market: &str, scenario: &str) -> Vec<ProductNumber> {
    let mut body = json!({ "market": market, "slots": [{ "scenario": scenario, "count": SHOWN }] });
    body.as_object_mut().unwrap().extend(shopper.as_object().unwrap().clone());
    numbers(&server.post("/v1/recommend", &body))
}

#[test]
fn recommendations_find_planted_tastes() {
    let mut shop = Shop::empty();
    let today = i64::from(SystemClock.now().day());
    let [products, shoppers, days, seed] =
        [u64::from(PRODUCTS), u64::from(SHOPPERS), u64::from(DAYS), SEED].map(|number| number.to_string());
    let size = ["--products", &products, "--shoppers", &shoppers, "--days", &days, "--seed", &seed, "--no-serve"];
    succeed(shop.merx().arg("demo").args(size).args(["--set", "train.gate_latency_ms=10000"]));
    let server = shop.serve(&["--set", "recommend.deadline_ms=5000"]);
    let simulated = simulated(today);
    let truth = simulated.truth(simulated.config().start.plus_ms((i64::from(DAYS) - 1) * DAY_MS));

    // How likely each way of choosing ten products is to end in an order, by the planted truth.
    let (mut served, mut popular, mut oracle, mut asked) = (0.0, 0.0, 0.0, 0);
    for index in 0..SHOPPERS {
        let shopper = simulated.shopper(index);
        let market = simulated.config().markets[shopper.market].id.to_string();
        let identity = json!({ "subject_id": simulated.subject_id(index).to_string() });
        // Those of whom the shop knows something.
        if asked == ASKED || ask(&server, identity.clone(), &market, "recently_viewed").len() < 3 {
            continue;
        }
        asked += 1;
        let worth = |list: &[ProductNumber]| -> f64 {
            list.iter().map(|product| f64::from(truth.expected_purchase(&shopper, *product))).sum()
        };
        served += worth(&ask(&server, identity.clone(), &market, "for_you"));
        popular += worth(&ask(&server, identity, &market, "popular"));
        oracle += worth(&truth.taste_top(&shopper, SHOWN));
    }
    println!(
        "{asked} shoppers, expected orders of {SHOWN} products shown: served {served:.2}, popular {popular:.2}, oracle {oracle:.2}"
    );
    assert_eq!(asked, ASKED);
    assert!(oracle > served, "nobody knows more than the oracle");
    // The shop tells little of each: some products looked at, of a thousand. Seasons move the ratio through the year.
    assert!(served > 1.5 * popular, "served {served:.2}, popular {popular:.2}, oracle {oracle:.2}");

    // Of a stranger nothing is known, and the answer is what sells; a few looks later it is theirs.
    let market = simulated.config().markets[0].id.to_string();
    let stranger = json!({ "anonymous_id": "stranger" });
    assert_eq!(ask(&server, stranger.clone(), &market, "for_you").len(), SHOWN);
    let like = simulated.shopper(1);
    for product in truth.taste_top(&like, 4) {
        let body = json!({ "event": "Product Viewed", "anonymousId": "stranger",
            "properties": { "product_id": format!("P{:06}", product.0) } });
        server.call("POST", "/v1/track", &server.keys.public, Some(&body)).ok();
    }
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let worth = |list: &[ProductNumber]| -> f32 { list.iter().map(|one| truth.expected_purchase(&like, *one)).sum() };
    let (now, before) =
        (ask(&server, stranger.clone(), &market, "for_you"), ask(&server, stranger, &market, "popular"));
    println!(
        "a stranger with the taste of shopper 1: {:.3} after four looks, popular {:.3}",
        worth(&now),
        worth(&before)
    );
    assert!(worth(&now) > worth(&before));
}
