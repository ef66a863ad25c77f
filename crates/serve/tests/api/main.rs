//! The API as a client sees it: requests into the router, answers out.

#![allow(clippy::unwrap_used, reason = "a test that can't read an answer fails")]

#[allow(unreachable_pub, reason = "written like a crate of its own")]
#[path = "../harness/mod.rs"]
mod harness;

mod algolia;
mod algolia_answers;
mod algolia_clients;
mod algolia_merchandise;
mod algolia_records;
mod audit;
mod auth;
mod consent;
mod console;
mod entities;
mod experiments;
mod gathering;
mod governing;
mod layout;
mod merchandise;
mod oidc;
mod operating;
mod privacy;
mod recommend;
mod roles;
mod search;
mod slot_rules;
mod storefront;
mod tracking;
mod users;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use harness::Shop;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// What came back.
struct Reply {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document, after a look at the form that all of them have.
    fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("/docs#problem-{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["title"].is_string() && problem["hint"].is_string());
        problem
    }

    /// The mistakes of an `invalid_request`, as (place, code).
    fn mistakes(&self) -> Vec<(String, String)> {
        let problem = self.problem(422, "invalid_request");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        problem["errors"].as_array().unwrap().iter().map(|error| (text(&error["at"]), text(&error["code"]))).collect()
    }

    /// The words of a refusal in Algolia's form.
    fn message(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let refusal = self.json();
        assert_eq!(refusal["status"], status);
        refusal["message"].as_str().unwrap().to_owned()
    }

    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }
}

async fn send(shop: &Shop, request: Request<Body>) -> Reply {
    answered(merx_serve::router(&shop.app).oneshot(request).await.unwrap()).await
}

async fn answered(response: axum::response::Response) -> Reply {
    let (parts, body) = response.into_parts();
    // A stream of events has no end to wait for.
    let streams = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let bytes = if streams { Vec::new() } else { body.collect().await.unwrap().to_bytes().to_vec() };
    Reply { status: parts.status.as_u16(), headers: parts.headers, bytes }
}

fn request(method: &str, path: &str, key: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    if key.is_empty() { request } else { request.header("authorization", format!("Bearer {key}")) }
}

async fn call(shop: &Shop, method: &str, path: &str, key: &str, body: Option<Value>) -> Reply {
    let request = request(method, path, key);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    };
    send(shop, request.unwrap()).await
}
