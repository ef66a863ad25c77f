//! Where several processes serve one shop: what any of them answers, and the handing on of everything else to the one that leads.
//!
//! Decisions, searches, flags and pages are answered by whoever is asked. What writes, and what only the leading process
//! knows (jobs, sessions of the console, figures that it keeps in memory), goes to that one as it came, and its answer back.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::ports::Leader;
use crate::problem::{Code, Problem};

/// Connections that wait for the next request, and how long.
const IDLE_CONNECTIONS: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Says that a request was handed on once: whoever gets it and doesn't lead hands it no further.
const HANDED_ON: HeaderName = HeaderName::from_static("x-merx-handed-on");

/// What any process answers: the same table, as method and path.
const ANSWERED_BY_ANY: &[(&str, &str)] = &[
    ("POST", "/v1/recommend"),
    ("GET", "/v1/recommend/{slot}"),
    ("POST", "/v1/layout"),
    ("POST", "/v1/search"),
    ("GET", "/v1/search"),
    ("POST", "/v1/suggest"),
    ("POST", "/v1/facets"),
    ("POST", "/1/indexes/{index}/queries"),
    ("POST", "/1/indexes/{index}/query"),
    ("POST", "/1/indexes/{index}/facets/{facet}/query"),
    ("POST", "/1/indexes/{index}/recommendations"),
    ("GET", "/1/indexes/{index}/{objectID}"),
    ("POST", "/1/indexes/{index}/objects"),
    ("POST", "/ofrep/v1/evaluate/flags/{key}"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("GET", "/v1/storefront"),
    ("GET", "/v1/storefront/products"),
    ("GET", "/v1/slots"),
    ("GET", "/v1/consent"),
];

/// Whether a route is answered here whoever leads. Open ones (health, metrics, pages) are, but for the console's session and
/// what other services post.
pub(crate) fn is_answered_by_any(method: &str, path: &str, is_open: bool) -> bool {
    let elsewhere = path.starts_with("/v1/") || method != "GET";
    (is_open && !elsewhere) || ANSWERED_BY_ANY.contains(&(method, path))
}

/// Whether a request comes with the console's session, which only the leading process knows, and with no key.
pub(crate) fn comes_with_a_session(headers: &HeaderMap) -> bool {
    headers.contains_key(header::COOKIE)
        && !headers.contains_key(header::AUTHORIZATION)
        && !headers.contains_key("x-api-key")
}

pub(crate) fn was_handed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(HANDED_ON)
}

/// Put on answers that came from the leading process: they are whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromLeader;

pub(crate) struct Forward(Client<HttpConnector, Body>);

impl Default for Forward {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_max_idle_per_host(IDLE_CONNECTIONS).pool_idle_timeout(IDLE_FOR);
        Self(client.build(connector))
    }
}

impl Forward {
    /// The leading process's answer; the request back where this is that process.
    pub(crate) async fn hand_on(&self, leader: &Leader, request: Request) -> Result<Response, Request> {
        let url = match leader {
            Leader::This => return Err(request),
            Leader::At(url) if !was_handed_on(request.headers()) => url,
            _ => return Ok(refused("no process leads the shop at the moment; nothing was written")),
        };
        match readdressed(url, request) {
            Some(request) => Ok(self.ask(request).await),
            None => Ok(no_address()),
        }
    }

    /// A body of this process's own to the leading one, and what that says.
    pub(crate) async fn post(&self, url: &str, path: &'static str, body: Vec<u8>) -> Response {
        let mut request = Request::new(Body::from(body));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, Uri::from_static(path));
        match readdressed(url, request) {
            Some(request) => self.ask(request).await,
            None => no_address(),
        }
    }

    async fn ask(&self, request: Request) -> Response {
        match self.0.request(request).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                response.headers_mut().remove(header::CONNECTION);
                response.headers_mut().remove(header::TRANSFER_ENCODING);
                response.extensions_mut().insert(FromLeader);
                response
            }
            Err(error) => {
                tracing::warn!(%error, "the process that leads could not be asked");
                refused("the process that leads broke off; what has an id of its own may be sent again")
            }
        }
    }
}

/// The same request to another process. `None`: the URL is none.
fn readdressed(url: &str, mut request: Request) -> Option<Request> {
    let authority: Authority = url.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?;
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    // Of this connection, not of the next.
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::HOST, header::EXPECT] {
        headers.remove(name);
    }
    headers.insert(HANDED_ON, HeaderValue::from_static("1"));
    Some(request)
}

fn no_address() -> Response {
    refused("the process that leads has told no address; set its server.advertise")
}

fn refused(why: &'static str) -> Response {
    Problem::because(Code::Unavailable, why).retry_after(1).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{method_name, table};

    #[test]
    fn what_any_process_answers_is_in_the_table() {
        let table: Vec<(String, String)> =
            table().iter().map(|route| (method_name(&route.method).to_owned(), route.path.clone())).collect();
        for (method, path) in ANSWERED_BY_ANY {
            assert!(table.iter().any(|known| known.0 == *method && known.1 == *path), "{method} {path}");
        }
    }

    #[test]
    fn what_writes_goes_to_the_leader() {
        for (method, path, is_open) in [
            ("POST", "/v1/batch", false),
            ("PUT", "/v1/experiments/{id}", false),
            ("POST", "/v1/consent", false),
            ("GET", "/v1/session", true),
            ("POST", "/webhooks/shopify/privacy", true),
            ("GET", "/v1/jobs", false),
        ] {
            assert!(!is_answered_by_any(method, path, is_open), "{method} {path}");
        }
        assert!(is_answered_by_any("GET", "/health/ready", true));
        assert!(is_answered_by_any("POST", "/v1/recommend", false));
    }

    #[test]
    fn a_request_keeps_its_path_query_and_headers_on_its_way() {
        let request = Request::post("/v1/batch?a=b").header("authorization", "Bearer k").header("host", "here");
        let sent = readdressed("http://10.0.0.7:8080/", request.body(Body::empty()).unwrap()).unwrap();
        assert_eq!(sent.uri(), "http://10.0.0.7:8080/v1/batch?a=b");
        assert_eq!(sent.headers()["authorization"], "Bearer k");
        assert!(!sent.headers().contains_key("host") && sent.headers().contains_key(HANDED_ON));
        assert!(readdressed("somewhere", Request::new(Body::empty())).is_none());
    }
}
