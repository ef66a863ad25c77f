//! What Algolia's own clients sent, recorded by `tests/clients` (see `recorder.mjs` there), sent again: each call is answered as it was, in
//! the form that the client reads.

use axum::body::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::send;

/// One call of a client.
#[derive(Deserialize)]
struct Call {
    method: String,
    path: String,
    /// `address` or `headers`.
    keys: String,
    content_type: Option<String>,
    body: Option<String>,
    status: u16,
}

/// Sends them in order and hands each good answer to `look`.
async fn replay(dump: &str, look: impl Fn(&Call, &Value)) -> usize {
    let shop = Shop::open();
    let calls: Vec<Call> = serde_json::from_str(dump).unwrap();
    for (place, call) in calls.iter().enumerate() {
        let joint = if call.path.contains('?') { '&' } else { '?' };
        let path = match call.keys.as_str() {
            "address" => format!("{}{joint}x-algolia-api-key={}&x-algolia-agent=test", call.path, shop.secret),
            _ => call.path.clone(),
        };
        // One of the recorded calls asks about the key that it was made with.
        let path = if path.starts_with("/1/keys/") { format!("/1/keys/{}", shop.secret) } else { path };
        let mut request = axum::http::Request::builder().method(call.method.as_str()).uri(path);
        if call.keys == "headers" {
            request = request.header("x-algolia-api-key", &shop.secret).header("x-algolia-application-id", "SHOP");
        }
        if let Some(kind) = &call.content_type {
            request = request.header("content-type", kind);
        }
        let reply = send(&shop, request.body(Body::from(call.body.clone().unwrap_or_default())).unwrap()).await;
        assert_eq!(reply.status, call.status, "call {place}, {} {}: {}", call.method, call.path, reply.text());
        let answer = reply.json();
        if reply.status < 400 {
            look(call, &answer);
        } else {
            assert!(answer["message"].is_string() && answer["status"] == reply.status, "{answer}");
        }
    }
    calls.len()
}

/// What a front end can't do without, by the address that was asked.
fn front_end_can_read(call: &Call, answer: &Value) {
    let asked: Value = serde_json::from_str(call.body.as_deref().unwrap_or("{}")).unwrap();
    let requests = asked["requests"].as_array();
    if call.path.ends_with("/queries") || call.path.ends_with("/recommendations") {
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), requests.unwrap().len(), "results are matched by their place");
        for (request, result) in requests.unwrap().iter().zip(results) {
            if request["type"] == "facet" {
                assert!(result["facetHits"].is_array());
            } else {
                result_can_be_drawn(request, result);
            }
        }
    } else if call.path.ends_with("/query") && !call.path.contains("/facets/") {
        result_can_be_drawn(&asked, answer);
    } else if call.path.ends_with("/browse") {
        assert!(answer["hits"].is_array());
    } else if call.path.ends_with("/events") {
        assert_eq!(answer, &json!({"status": 200, "message": "OK"}));
    }
}

fn result_can_be_drawn(request: &Value, result: &Value) {
    let hits = result["hits"].as_array().unwrap();
    assert!(result["nbHits"].is_u64() && result["nbPages"].is_u64() && result["hitsPerPage"].is_u64(), "{result}");
    assert!(result["renderingContent"].is_object() && result["processingTimeMS"].is_u64());
    let params = request["params"].as_str().unwrap_or_default();
    let marks = request.to_string().contains("__ais-highlight__") || params.contains("__ais-highlight__");
    for hit in hits.iter().filter(|hit| hit.get("facetValue").is_none()) {
        assert!(hit["objectID"].is_string() && hit["_highlightResult"].is_object(), "{hit}");
        assert!(!marks || !hit.to_string().contains("<em>"), "tags are the ones that were asked for: {hit}");
    }
}

#[tokio::test]
async fn back_ends_are_answered() {
    let nothing = |_: &Call, answer: &Value| assert!(answer.is_object());
    assert!(replay(include_str!("../fixtures/algolia/client-v5.json"), nothing).await > 40);
    assert!(replay(include_str!("../fixtures/algolia/client-v4.json"), nothing).await > 15);
    assert_eq!(replay(include_str!("../fixtures/algolia/recommend-v5.json"), front_end_can_read).await, 1);
}

#[tokio::test]
async fn front_ends_are_answered() {
    for dump in [
        include_str!("../fixtures/algolia/instantsearch-v5.json"),
        include_str!("../fixtures/algolia/instantsearch-v5-in-a-page.json"),
        include_str!("../fixtures/algolia/instantsearch-v4.json"),
    ] {
        assert!(replay(dump, front_end_can_read).await > 10);
    }
}
