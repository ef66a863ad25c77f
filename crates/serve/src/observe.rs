//! The outermost layer: every request gets an id, a span and a count, and every refusal becomes a problem document.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::forward::FromLeader;
use crate::problem::{Code, Problem};
use crate::routes::{RouteNumber, Shared};

const MAX_REQUEST_ID: usize = 128;

pub(crate) async fn observe(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let _in_flight = InFlight::begin(&app.in_flight);
    let sent_id = request.headers().get("x-request-id").filter(|id| is_usable(id)).cloned();
    let id = sent_id.unwrap_or_else(|| header_value(&app.ids.request()));
    let shown_id = id.to_str().unwrap_or_default();
    let method = request.method().clone();
    let is_probe = request.uri().path().starts_with("/health/");
    let dialect = Dialect::of(request.uri().path());
    // Neither the path's ids nor the query string reach the log: both may name persons or keys.
    let span = tracing::info_span!(
        "request",
        id = shown_id,
        %method,
        route = tracing::field::Empty,
        trace_id = trace_id(request.headers()),
    );
    if let Some(route) = request.extensions().get::<axum::extract::MatchedPath>() {
        span.record("route", route.as_str());
    }

    let response = next.run(request).instrument(span.clone()).await;
    let mut response = write_problem(response, shown_id, &dialect);
    let latency_us = watch.elapsed_us();
    let route = response.extensions().get::<RouteNumber>().map(|route| route.0);
    let status = response.status().as_u16();
    app.metrics.count_request(route, status, latency_us);
    // A probe that finds the server not ready yet is no failure that anybody met.
    if !is_probe {
        let of_shoppers = route.is_some_and(|route| app.metrics.is_of_shoppers(route));
        app.activity.count_request(app.parts.clock.now(), status, latency_us, of_shoppers);
    }
    log(&span, response.status(), latency_us);
    response.headers_mut().insert("x-request-id", id);
    response
}

/// Counted until it is dropped: a caller may go before the answer comes.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whose protocol an address belongs to: refusals are written in it.
enum Dialect {
    Own,
    Algolia,
    OpenFeature { path: String },
}

impl Dialect {
    fn of(path: &str) -> Self {
        if path.starts_with("/1/") {
            Self::Algolia
        } else if path.starts_with("/ofrep/") {
            Self::OpenFeature { path: path.to_owned() }
        } else {
            Self::Own
        }
    }
}

fn log(span: &tracing::Span, status: StatusCode, latency_us: u64) {
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), latency_us, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), latency_us, "answered");
        }
    });
}

/// Gives a refusal its document, also the ones that a library made without.
fn write_problem(mut response: Response, request_id: &str, dialect: &Dialect) -> Response {
    if response.status().as_u16() < 400 || response.extensions().get::<FromLeader>().is_some() {
        return response;
    }
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => Problem::new(code_of(response.status())),
    };
    let (document, kind) = match dialect {
        Dialect::Algolia => (problem.message(), "application/json"),
        Dialect::OpenFeature { path } => (crate::ofrep::refusal(&problem, path), "application/json"),
        Dialect::Own => (problem.document(request_id), "application/problem+json"),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
    *response.body_mut() = Body::from(document);
    response
}

fn code_of(status: StatusCode) -> Code {
    let known = Code::ALL.iter().copied().find(|code| code.status() == status);
    known.unwrap_or(if status.is_client_error() { Code::InvalidRequest } else { Code::Internal })
}

fn is_usable(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The trace that the caller's request belongs to: `00-TRACE-SPAN-FLAGS` (W3C Trace Context).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (version.len() == 2 && is_hex(version) && trace.len() == 32 && is_hex(trace)).then_some(trace)
}

/// How long a request took: for the log and the metrics only.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "only a log line and a metric depend on it")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed_us(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_request_ids_are_taken_over() {
        assert!(is_usable(&HeaderValue::from_static("a-B_1.2:3")));
        assert!(!is_usable(&HeaderValue::from_static("a b")));
        assert!(!is_usable(&HeaderValue::from_static("")));
        assert!(!is_usable(&header_value(&"x".repeat(129))));
    }

    #[test]
    fn reads_the_trace_of_a_traceparent() {
        let mut headers = HeaderMap::new();
        assert_eq!(trace_id(&headers), None);
        headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
        assert_eq!(trace_id(&headers), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        headers.insert("traceparent", "00-zz-00f067aa0ba902b7-01".parse().unwrap());
        assert_eq!(trace_id(&headers), None);
    }
}
