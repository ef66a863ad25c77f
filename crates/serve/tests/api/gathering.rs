//! Tracking calls that reach a process that doesn't lead: each is answered as if it had come to the one that does.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use merx_serve::Leader;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::operating::{Running, run};
use crate::{Reply, request, send};

/// A process that leads, on a socket, and one that doesn't.
async fn two() -> (Shop, Running, Shop) {
    let (leader, follower) = (Shop::open(), Shop::open());
    let running = run(&leader).await;
    *follower.pulse.leader.lock() = Some(Leader::At(format!("http://{}", running.address).into()));
    (leader, running, follower)
}

fn viewed(id: &str, who: &str) -> Value {
    json!({"type": "track", "event": "Product Viewed", "messageId": id, "anonymousId": who, "properties": {"product_id": "p1"}})
}

fn batch(shop: &Shop, events: &[Value]) -> Request<Body> {
    let body = json!({"batch": events}).to_string();
    request("POST", "/v1/batch", &shop.public).body(Body::from(body)).unwrap()
}

async fn all(shop: &Shop, requests: Vec<Request<Body>>) -> Vec<Reply> {
    let mut replies = Vec::new();
    let sent: Vec<_> = requests.into_iter().map(|request| tokio::spawn(ask(shop, request))).collect();
    for reply in sent {
        replies.push(reply.await.unwrap());
    }
    replies
}

/// `send`, without the shop's life.
fn ask(shop: &Shop, request: Request<Body>) -> impl Future<Output = Reply> + Send + use<> {
    let app = std::sync::Arc::clone(&shop.app);
    async move { crate::answered(tower::ServiceExt::oneshot(merx_serve::router(&app), request).await.unwrap()).await }
}

fn stored(shop: &Shop) -> usize {
    shop.intake.events.lock().len()
}

#[tokio::test]
async fn calls_go_on_together_and_each_has_the_answer_that_it_would_have_had_there() {
    let (leader, running, follower) = two().await;
    let calls = || {
        let own = |name: &str, body: &str| {
            request("POST", &format!("/v1/{name}"), &leader.public).body(Body::from(body.to_owned())).unwrap()
        };
        let zipped = {
            use std::io::Write as _;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(viewed("zipped", "a").to_string().as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let keyed = json!({"batch": [viewed("keyed", "b")], "writeKey": leader.public}).to_string();
        vec![
            batch(
                &leader,
                &[viewed("one", "a"), json!({"type": "track", "event": "Product Viewed"}), viewed("two", "b")],
            ),
            own("track", &viewed("three", "c").to_string()),
            own("t", "no json"),
            request("POST", "/v1/track", "mx_pub_unknown").body(Body::from(viewed("four", "d").to_string())).unwrap(),
            request("POST", "/v1/batch", "").body(Body::from(keyed)).unwrap(),
            request("POST", "/v1/track", &leader.public)
                .header("content-encoding", "gzip")
                .body(Body::from(zipped))
                .unwrap(),
            request("POST", "/v1/track", &leader.public)
                .header("content-encoding", "gzip")
                .body(Body::from("no gzip"))
                .unwrap(),
            own("batch", &"x".repeat(600_000)),
        ]
    };
    let handed = all(&follower, calls()).await;
    assert_eq!(stored(&leader), 5);
    let takes = leader.intake.takes.swap(0, Ordering::Relaxed);
    assert!(takes < 4, "{takes} for four calls with events");
    let direct = all(&leader, calls()).await;
    assert_eq!((stored(&leader), stored(&follower)), (5, 0), "each once, and there");
    for (handed, direct) in handed.iter().zip(&direct) {
        let document = |reply: &Reply| {
            let mut document = reply.json();
            document.as_object_mut().unwrap().remove("request_id");
            document
        };
        assert_eq!((handed.status, document(handed)), (direct.status, document(direct)));
        for name in ["content-type", "retry-after", "www-authenticate"] {
            assert_eq!(handed.header(name), direct.header(name), "{name}");
        }
    }
    let statuses: Vec<u16> = handed.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200, 400, 401, 200, 200, 400, 400]);
    running.stop.send(()).unwrap();
}

#[tokio::test]
async fn what_one_call_is_to_blame_for_is_not_the_others_trouble() {
    let (leader, running, follower) = two().await;
    *leader.intake.damaged.lock() = Some("ill".to_owned());
    let calls = ["well", "ill", "well too"].map(|who| batch(&leader, &[viewed(who, who)]));
    let replies = all(&follower, calls.into()).await;
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 500, 200]);
    assert_eq!(stored(&leader), 2);
    // A fault of Merx itself, met by a group: each goes alone, and fails alone.
    leader.intake.panics.store(true, Ordering::Relaxed);
    let calls = vec![batch(&leader, &[viewed("later", "well")]), batch(&leader, &[])];
    let replies = all(&follower, calls).await;
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [500, 200]);
    running.stop.send(()).unwrap();
}

#[tokio::test]
async fn a_log_that_is_busy_or_a_leader_that_is_gone_is_told_to_each() {
    let (leader, running, follower) = two().await;
    leader.intake.busy.store(true, Ordering::Relaxed);
    let calls = || vec![batch(&leader, &[viewed("one", "a")]), batch(&leader, &[viewed("two", "b")])];
    for reply in all(&follower, calls()).await {
        reply.problem(429, "busy");
        assert_eq!(reply.header("retry-after"), "3");
    }
    leader.intake.busy.store(false, Ordering::Relaxed);
    // One that handed on already does not hand on again.
    *leader.pulse.leader.lock() = Some(Leader::Nobody);
    for reply in all(&follower, calls()).await {
        reply.problem(503, "unavailable");
    }
    *leader.pulse.leader.lock() = None;
    running.stop.send(()).unwrap();
    let gone = Leader::At("http://127.0.0.1:9".into());
    *follower.pulse.leader.lock() = Some(gone);
    for reply in all(&follower, calls()).await {
        reply.problem(503, "unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(stored(&leader), 0);
}

#[tokio::test]
async fn a_leader_of_the_version_before_gets_calls_one_by_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It knows tracking calls, and no groups.
    let before = axum::Router::new()
        .route("/v1/batch", axum::routing::post(|body: String| async move { format!("{{\"took\":{}}}", body.len()) }));
    let served = tokio::spawn(async move { axum::serve(listener, before).await });
    let follower = Shop::open();
    *follower.pulse.leader.lock() = Some(Leader::At(format!("http://{address}").into()));
    for round in ["at first", "once that is known"] {
        let calls = vec![batch(&follower, &[viewed("one", "a")]), batch(&follower, &[viewed("two", "b")])];
        for reply in all(&follower, calls).await {
            assert_eq!(reply.status, 200, "{round}: {}", reply.text());
            assert!(reply.text().contains("took"), "{round}: {}", reply.text());
        }
    }
    served.abort();
}

#[tokio::test]
async fn only_the_process_that_leads_takes_groups_and_only_well_formed_ones() {
    let shop = Shop::open();
    let group = |body: &'static [u8]| Request::post("/handed-on/tracking/1").body(Body::from(body)).unwrap();
    send(&shop, group(b"\xff\xff\xff\xff no group")).await.problem(422, "invalid_request");
    let none = send(&shop, group(&[0])).await;
    assert_eq!((none.status, none.bytes.as_slice()), (200, [0].as_slice()), "no calls, no answers");
    *shop.pulse.leader.lock() = Some(Leader::Nobody);
    send(&shop, group(&[0])).await.problem(503, "unavailable");
}
