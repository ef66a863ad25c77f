//! Health, metrics, reference, the OpenAPI document, and the way a server stops.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::call;
use crate::harness::{NOW, Shop};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[tokio::test]
async fn readiness_follows_the_store_and_the_log() {
    let shop = Shop::open();
    call(&shop, "GET", "/health/live", "", None).await.ok();
    assert_eq!(call(&shop, "GET", "/health/ready", "", None).await.ok()["log_lag_events"], 0);
    shop.pulse.lag.store(1_000_000, Ordering::Relaxed);
    call(&shop, "GET", "/health/ready", "", None).await.problem(503, "unavailable");
    shop.pulse.lag.store(0, Ordering::Relaxed);
    shop.pulse.broken.store(true, Ordering::Relaxed);
    // Whoever asks and asks makes no more writes than one a second.
    call(&shop, "GET", "/health/ready", "", None).await.ok();
    shop.clock.set(NOW.plus_ms(1_000));
    let reply = call(&shop, "GET", "/health/ready", "", None).await;
    reply.problem(503, "unavailable");
    assert_eq!(reply.header("retry-after"), "1");
    call(&shop, "GET", "/health/live", "", None).await.ok();
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let shop = Shop::open();
    for _ in 0..3 {
        call(&shop, "GET", "/v1/recommend/popular", &shop.public, None).await.ok();
    }
    call(&shop, "GET", "/v1/products/none", &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "GET", "/nowhere", "", None).await.problem(404, "unknown_route");
    let reply = call(&shop, "GET", "/metrics", "", None).await;
    assert!(reply.header("content-type").starts_with("text/plain"));
    let text = reply.text();
    for line in [
        "merx_http_requests_total{method=\"GET\",route=\"/v1/recommend/{slot}\",status=\"200\"} 3",
        "merx_http_requests_total{method=\"GET\",route=\"/v1/products/{id}\",status=\"404\"} 1",
        "merx_http_requests_total{method=\"any\",route=\"unknown\",status=\"404\"} 1",
        "merx_http_request_seconds_count{method=\"GET\",route=\"/v1/recommend/{slot}\"} 3",
        "merx_decisions_total{engine=\"recommend\",fallback=\"live_model\"} 3",
        "merx_decisions_unrecorded_total 0",
        "merx_catalogue_products 50",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_is_degraded_is_said_and_goes_on() {
    let shop = Shop::open();
    shop.pulse.model_broken.store(true, Ordering::Relaxed);
    let health = call(&shop, "GET", "/health/ready", "", None).await.ok();
    assert_eq!((&health["status"], &health["troubles"][0]), (&json!("degraded"), &json!("a model is damaged")));
}

#[tokio::test]
async fn jobs_are_started_once_and_watched() {
    let shop = Shop::open();
    let training = json!({"kind": "training"});
    call(&shop, "POST", "/v1/jobs", &shop.secret, Some(training.clone())).await.problem(403, "forbidden");
    call(&shop, "POST", "/v1/jobs", &shop.admin, Some(json!({"kind": "dance"}))).await.problem(422, "invalid_request");
    let job = call(&shop, "POST", "/v1/jobs", &shop.admin, Some(training.clone())).await;
    assert_eq!(job.status, 202);
    assert_eq!(call(&shop, "POST", "/v1/jobs", &shop.admin, Some(training)).await.text(), job.text());
    let job = call(&shop, "GET", "/v1/jobs/1", &shop.admin, None).await.ok();
    assert_eq!((&job["kind"], &job["state"], &job["by"]), (&json!("training"), &json!("waiting"), &json!("request")));
    let list = call(&shop, "GET", "/v1/jobs", &shop.admin, None).await.ok();
    assert_eq!((&list["items"][0], list["next_training_at"].is_string()), (&job, true));
    call(&shop, "GET", "/v1/jobs/2", &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_is_set_aside_is_listed_applied_and_given_up() {
    let shop = Shop::open();
    let replay = |place: &str| {
        let path = format!("/v1/dead-letters/{place}/apply");
        let shop = &shop;
        async move { call(shop, "POST", &path, &shop.admin, None).await }
    };
    call(&shop, "GET", "/v1/dead-letters", &shop.secret, None).await.problem(403, "forbidden");
    let listed = call(&shop, "GET", "/v1/dead-letters", &shop.admin, None).await.ok();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3));
    assert_eq!((listed["items"][0]["place"].as_u64(), listed["items"][0]["attempts"].as_u64()), (Some(7), Some(1)));
    assert!(call(&shop, "GET", "/metrics", "", None).await.text().contains("\nmerx_dead_letters 3\n"));
    assert_eq!(replay("7").await.status, 204);
    assert_eq!(replay("8").await.status, 204);
    replay("9").await.problem(409, "conflict");
    replay("7").await.problem(404, "not_found");
    replay("first").await.problem(400, "invalid_parameter");
    assert_eq!(call(&shop, "DELETE", "/v1/dead-letters/9", &shop.admin, None).await.status, 204);
    call(&shop, "DELETE", "/v1/dead-letters/9", &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_checked_in_document_is_the_servers_own() {
    let shop = Shop::open();
    let served = call(&shop, "GET", "/openapi.json", "", None).await.text();
    let checked_in = include_str!("../../../../openapi/merx.json");
    assert!(served == checked_in, "openapi/merx.json is old: write it again with `merx openapi > openapi/merx.json`");
    assert_eq!(serde_json::from_str::<Value>(&served).unwrap()["openapi"], "3.1.0");
}

#[tokio::test]
async fn what_is_documented_is_routed_and_nothing_else() {
    let shop = Shop::open();
    let document: Value = serde_json::from_str(include_str!("../../../../openapi/merx.json")).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace(['{', '}'], "");
        for method in METHODS {
            let reply = call(&shop, &method.to_uppercase(), &real, &shop.admin, None).await;
            let unknown = reply.status == 404 && reply.json()["code"] == "unknown_route";
            let routed = reply.status != 405 && !unknown;
            assert_eq!(routed, item.get(method).is_some(), "{method} {path}: {}", reply.status);
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_documents_its_refusals() {
    let document: Value = serde_json::from_str(include_str!("../../../../openapi/merx.json")).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in METHODS.iter().filter_map(|method| item.get(method)) {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{path}");
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{path}");
            assert!(operation["responses"]["default"].is_object(), "{path}");
            if operation["security"].is_array() {
                assert!(
                    operation["responses"]["401"].is_object() && operation["responses"]["429"].is_object(),
                    "{path}"
                );
            }
        }
    }
    // Every reference in the document leads somewhere.
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn the_reference_asks_nobody_else() {
    let shop = Shop::open();
    let page = call(&shop, "GET", "/docs", "", None).await;
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    assert!(!policy.contains("unsafe"));
    for (file, kind) in
        [("reference.css", "text/css"), ("reference.js", "text/javascript"), ("request.js", "text/javascript")]
    {
        let part = call(&shop, "GET", &format!("/docs/{file}"), "", None).await;
        assert!(part.header("content-type").starts_with(kind));
        for text in [page.text(), part.text()] {
            assert!(!text.contains("http://") && !text.contains("https://"), "{file} names another place");
        }
    }
    assert!(!page.text().contains("onclick") && !page.text().contains("<style"));
    call(&shop, "GET", "/docs/else", "", None).await.problem(404, "not_found");
}

/// A server on a port of its own, and the way to stop it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) async fn run(shop: &Shop) -> Running {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(merx_serve::serve(Arc::clone(&shop.app), listener, async {
        let _ = stopped.await;
    }));
    Running { address, stop, served }
}

fn head(shop: &Shop, length: usize) -> String {
    let key = &shop.public;
    format!("POST /v1/track HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_sender_that_falls_asleep_is_cut_off() {
    let mut settings = crate::harness::settings();
    settings.request_timeout_ms = 50;
    let shop = Shop::with(settings, 1);
    let running = run(&shop).await;
    let (address, head) = (running.address, head(&shop, 100));
    let answer = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 2_048];
        let read = connection.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("timed_out"), "{answer}");
    running.stop.send(()).unwrap();
}

#[tokio::test]
async fn a_stop_lets_the_last_request_finish_and_writes_out_what_is_in_memory() {
    let shop = Shop::open();
    let running = run(&shop).await;
    let address = running.address;
    let event = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}}).to_string();
    let head = head(&shop, event.len());
    let pause = || std::thread::sleep(Duration::from_millis(100));
    let sender = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        let (first, rest) = event.split_at(10);
        connection.write_all(format!("{head}{first}").as_bytes()).unwrap();
        pause();
        running.stop.send(()).unwrap();
        pause();
        connection.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = sender.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"success\":true}"), "{answer}");
    running.served.await.unwrap().unwrap();
    assert_eq!(shop.intake.events.lock().len(), 1);
    assert!(shop.pulse.finished.load(Ordering::Relaxed));
    assert!(TcpStream::connect(address).is_err(), "no new connections");
}
