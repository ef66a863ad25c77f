//! The merchants' console: static files in the binary, built from `console/`. It asks this server for everything and
//! nobody else for anything but the catalogue's own pictures.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::body::PathId;
use crate::problem::{Code, Problem};

struct File {
    name: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// No inline script or style; pictures may come from where the shop keeps them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Assets carry a hash in their name.
const FOREVER: &str = "public, max-age=31536000, immutable";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Merx console</title>\
    <h1>The console is not in this binary</h1>\
    <p>It is built by <code>make build</code>, which needs Node 20.19 or newer, or by \
    <code>npm ci &amp;&amp; npm run build</code> in <code>console/</code> before <code>cargo build</code>.</p>\
    <p>Everything else is served: <a href=\"/docs\">the API and its reference</a>.</p></html>";

/// Console
///
/// The merchants' console.
#[utoipa::path(get, path = "/console", tag = "console",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(crate) async fn console(headers: HeaderMap) -> Response {
    index(&headers)
}

/// A page of the console
///
/// The same document: its script shows the page that the address names.
#[utoipa::path(get, path = "/console/{page}", tag = "console",
    params(("page" = String, Path, description = "A page's name", example = "search")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(crate) async fn console_page(headers: HeaderMap) -> Response {
    index(&headers)
}

/// Parts of the console
#[utoipa::path(get, path = "/console/assets/{file}", tag = "console",
    params(("file" = String, Path, description = "A script or a style sheet of the console", example = "index.js")),
    responses((status = 200, description = "The part", content((String = "text/css"), (String = "text/javascript")))))]
pub(crate) async fn console_asset(headers: HeaderMap, PathId(name): PathId<String>) -> Result<Response, Problem> {
    let file = find(&format!("assets/{name}")).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(answer(file, &headers, FOREVER))
}

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

fn index(headers: &HeaderMap) -> Response {
    match find("index.html") {
        Some(file) => answer(file, headers, "no-cache"),
        None => with_policy(Body::from(NOT_BUILT), "text/html; charset=utf-8", "no-store").into_response(),
    }
}

fn answer(file: &File, headers: &HeaderMap, cache: &'static str) -> Response {
    let (bytes, encoding) = match () {
        () if accepts(headers, "br") && file.br.is_some() => (file.br, Some("br")),
        () if accepts(headers, "gzip") && file.gzip.is_some() => (file.gzip, Some("gzip")),
        () => (Some(file.plain), None),
    };
    let mut response = with_policy(Body::from(bytes.unwrap_or(file.plain)), content_type(file.name), cache);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn with_policy(body: Body, kind: &'static str, cache: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    (headers, body).into_response()
}

/// Whether the browser takes an encoding: named, and not with a weight of nothing.
pub(crate) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let Some(Ok(accepted)) = headers.get(header::ACCEPT_ENCODING).map(HeaderValue::to_str) else { return false };
    accepted.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_browser_accepts() {
        let headers = |value: &str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
        assert!(accepts(&headers("gzip, deflate, br"), "br"));
        assert!(accepts(&headers("BR;q=0.5"), "br"));
        assert!(!accepts(&headers("br;q=0, gzip"), "br"));
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn sends_the_smallest_form_that_is_understood() {
        let file = File { name: "assets/a.js", plain: b"plain", br: Some(b"br"), gzip: Some(b"gz") };
        let sent = |accepted: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepted.parse().unwrap())]);
            let response = answer(&file, &headers, FOREVER);
            response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(sent("gzip, br").as_deref(), Some("br"));
        assert_eq!(sent("gzip").as_deref(), Some("gzip"));
        assert_eq!(sent("identity"), None);
    }
}
