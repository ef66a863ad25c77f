//! More than a server can answer: behaviour is turned away first, then decisions, orders never, and it recovers by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, Shop};

const CROWD: usize = 24;

/// Sends the same again and again until told to stop; how often each status came. One that turns away says when to come back.
fn keep_sending(server: &Server, path: &str, body: &dyn Fn(u64) -> Value, is_over: &AtomicBool) -> BTreeMap<u16, u64> {
    let (mut client, mut seen) = (server.client(), BTreeMap::new());
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let reply = client.call("POST", path, &server.keys.admin, Some(&body(number))).unwrap();
        if matches!(reply.status, 429 | 503) {
            assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
            let code = if reply.status == 429 { "busy" } else { "overloaded" };
            assert_eq!(reply.json()["code"], code, "{reply:?}");
        }
        *seen.entry(reply.status).or_default() += 1;
    }
    seen
}

fn told(event: &str, number: u64, properties: &Value) -> Value {
    json!({ "batch": [{ "type": "track", "event": event, "messageId": format!("{event}-{number}"), "anonymousId": "kim",
        "properties": properties }] })
}

#[test]
fn overload_turns_away_behaviour_then_decisions_and_never_orders() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&["--set", "limits.decisions_at_once=1", "--set", "limits.longest_wait_ms=40"]);
    server.eventually("/health/ready", |reply| reply.status == 200);
    let search = |_| json!({ "query": "red shoes", "count": 50, "facets": ["brand"] });
    let behaviour = |number| told("Product Viewed", number, &json!({ "product_id": "P000001" }));
    let order = |number| {
        let line = json!([{ "product_id": "P000001", "quantity": 1, "price": 9.9 }]);
        told(
            "Order Completed",
            number,
            &json!({ "order_id": format!("o-{number}"), "products": line, "currency": "EUR" }),
        )
    };
    let is_over = AtomicBool::new(false);
    let (searches, views, orders) = std::thread::scope(|scope| {
        let crowd: Vec<_> =
            (0..CROWD).map(|_| scope.spawn(|| keep_sending(&server, "/v1/search", &search, &is_over))).collect();
        let views = scope.spawn(|| keep_sending(&server, "/v1/batch", &behaviour, &is_over));
        let orders = scope.spawn(|| keep_sending(&server, "/v1/batch", &order, &is_over));
        // Until the line has turned both away, however fast the machine is.
        server.eventually("/metrics", |reply| {
            let shed = |kind| !reply.body.contains(&format!("merx_shed_total{{kind=\"{kind}\"}} 0\n"));
            reply.status == 200 && shed("decision") && shed("events")
        });
        std::thread::sleep(Duration::from_millis(500));
        is_over.store(true, Ordering::Relaxed);
        let mut searches = BTreeMap::<u16, u64>::new();
        for one in crowd {
            one.join().unwrap().into_iter().for_each(|(status, count)| *searches.entry(status).or_default() += count);
        }
        (searches, views.join().unwrap(), orders.join().unwrap())
    });
    println!("searches {searches:?}, views {views:?}, orders {orders:?}");
    assert_eq!(searches.keys().collect::<Vec<_>>(), [&200, &503], "some are answered all the while: {searches:?}");
    assert!(views.contains_key(&429) && !views.contains_key(&503), "{views:?}");
    assert_eq!(orders.keys().collect::<Vec<_>>(), [&200], "{orders:?}");
    // Nobody has to do anything: the next ones are answered and taken.
    server.call("POST", "/v1/search", &server.keys.admin, Some(&search(0))).ok();
    server.call("POST", "/v1/batch", &server.keys.admin, Some(&told("Product Viewed", 999_999_999, &json!({})))).ok();
    server.stop();
}
