//! The browsable reference: a static page in the binary that reads `/openapi.json` and asks nobody else for anything.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::body::PathId;
use crate::problem::{Code, Problem};

const PAGE: &str = include_str!("reference/index.html");
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// What the page is made of: name, content type, text.
const PARTS: [(&str, &str, &str); 5] = [
    ("reference.css", CSS, include_str!("reference/reference.css")),
    ("reference.js", JAVASCRIPT, include_str!("reference/reference.js")),
    ("element.js", JAVASCRIPT, include_str!("reference/element.js")),
    ("request.js", JAVASCRIPT, include_str!("reference/request.js")),
    ("schema.js", JAVASCRIPT, include_str!("reference/schema.js")),
];

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reference
///
/// This API as a page to read and to try.
#[utoipa::path(get, path = "/docs", tag = "operating",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

/// Parts of the reference
#[utoipa::path(get, path = "/docs/{file}", tag = "operating",
    params(("file" = String, Path, description = "A style sheet or a script of the page", example = "reference.css")),
    responses((status = 200, description = "The part", content((String = "text/css"), (String = "text/javascript")))))]
pub(crate) async fn asset(PathId(name): PathId<String>) -> Result<Response, Problem> {
    let part = PARTS.iter().find(|(known, ..)| *known == name);
    part.map(|(_, kind, text)| file(kind, text)).ok_or_else(|| Problem::new(Code::NotFound))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}
