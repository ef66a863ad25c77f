//! Pages that the binary carries: the browser library under `/sdk`, and the demo shop under `/shop` where there is one.
//!
//! The shop's page is the same for everybody; what is personal comes by the public API. A product's page carries its
//! name, text and structured data, so that those who run no script read it too.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use merx_domain::{Product, ProductId};

use crate::body::{PathId, blocking};
use crate::console::accepts;
use crate::problem::{Code, Problem};
use crate::routes::Shared;
use crate::stage::Stage;
use crate::storefront::{StorefrontProduct, find};

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; \
                      connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Where the shop's page takes what the server knows of a product.
const HEAD: &str = "<!--merx:head-->";
const BODY: &str = "<!--merx:body-->";

/// Names and contents. `NAME.br` and `NAME.gz` are compressed forms of `NAME`, and have no address of their own.
pub type Files = &'static [(&'static str, &'static [u8])];

/// What is served beside the API; empty where the binary was built without it.
#[derive(Default)]
pub struct Site {
    /// The browser library.
    pub sdk: Files,
    pub shop: Option<DemoShop>,
}

/// The demo shop.
pub struct DemoShop {
    pub pages: Files,
    /// A public key for its pages.
    pub public_key: String,
    /// Draws a product as SVG.
    pub picture: Box<dyn Fn(&Product) -> String + Send + Sync>,
    pub stage: Arc<dyn Stage>,
}

/// A script of the browser library
///
/// `merx.js` tracks and asks, `widgets.js` has the web components. As modules, for pages without a bundler.
#[utoipa::path(get, path = "/sdk/{file}", tag = "storefront",
    params(("file" = String, Path, description = "`merx.js` or `widgets.js`", example = "merx.js")),
    responses((status = 200, description = "The script", body = String, content_type = "text/javascript")))]
pub(crate) async fn sdk(
    State(app): State<Shared>,
    headers: HeaderMap,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    file(app.site.sdk, &name, &headers).ok_or_else(|| Problem::new(Code::NotFound))
}

/// The shop's own addresses. They are pages, not API, and stand in no table.
pub(crate) fn shop(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/shop", get(|| async { Redirect::permanent("/shop/") }))
        .route("/shop/", get(|state, headers| page(state, headers, Path(String::new()))))
        .route("/shop/config.json", get(config))
        .route("/shop/pictures/{file}", get(picture))
        .route("/shop/{*path}", get(page))
}

async fn config(State(app): State<Shared>) -> Response {
    let key = app.site.shop.as_ref().map(|shop| shop.public_key.as_str());
    let answer = serde_json::json!({"key": key, "market": app.parts.settings.default_market.as_str()});
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn picture(State(app): State<Shared>, headers: HeaderMap, Path(file): Path<String>) -> Result<Response, Problem> {
    let missing = || Problem::new(Code::NotFound);
    let id: ProductId = file.strip_suffix(".svg").and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    blocking(move || {
        let shop = app.site.shop.as_ref().ok_or_else(missing)?;
        let product = app.parts.shop.product(&id)?.ok_or_else(missing)?;
        Ok(answer("image/svg+xml", (shop.picture)(&product).into_bytes(), "public, max-age=86400", &headers))
    })
    .await
}

async fn page(State(app): State<Shared>, headers: HeaderMap, Path(path): Path<String>) -> Result<Response, Problem> {
    let pages = app.site.shop.as_ref().map_or(&[] as Files, |shop| shop.pages);
    if let Some(file) = file(pages, &path, &headers) {
        return Ok(file);
    }
    let Some((_, page)) = pages.iter().find(|(name, _)| *name == "index.html") else {
        return Ok(not_built());
    };
    if path.rsplit('/').next().is_some_and(|last| last.contains('.')) {
        return Err(Problem::new(Code::NotFound));
    }
    let page = String::from_utf8_lossy(page);
    let product = path.strip_prefix("p/").and_then(|id| id.parse::<ProductId>().ok());
    let html = match product {
        None => page.replace(HEAD, "<title>Tamarind, a shop to try Merx in</title>").replace(BODY, ""),
        Some(id) => {
            let market = app.parts.settings.default_market.clone();
            let product = blocking(move || find(&app, &id, &market, app.parts.clock.now())).await?;
            with_product(&page, product.as_ref())
        }
    };
    Ok(answer("text/html; charset=utf-8", html.into_bytes(), "no-cache", &headers))
}

/// The page with what is known of the product, for those who run no script.
fn with_product(page: &str, product: Option<&StorefrontProduct>) -> String {
    let Some(product) = product else {
        return page
            .replace(HEAD, "<title>Not sold any more</title><meta name=\"robots\" content=\"noindex\">")
            .replace(BODY, "");
    };
    let (name, description) = (escaped(product.name()), escaped(product.description()));
    // `<` would end the script early.
    let data = product.structured_data().to_string().replace('<', "\\u003c");
    let head = format!(
        "<title>{name}</title><meta name=\"description\" content=\"{description}\">\
         <script type=\"application/ld+json\">{data}</script>"
    );
    let price = escaped(&product.price_text().unwrap_or_default());
    let body = format!("<article class=\"plain\"><h1>{name}</h1><p>{description}</p><p>{price}</p></article>");
    page.replace(HEAD, &head).replace(BODY, &body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn not_built() -> Response {
    const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No shop in this binary</title>\
        <h1>The shop's pages are not in this binary</h1>\
        <p>They need Node 20 or newer and npm when it is built: install them and run <code>make build</code> again.</p>\
        <p>Everything else is served: <a href=\"/docs\">the API and its reference</a>.</p></html>";
    axum::response::Html(PAGE).into_response()
}

fn file(files: Files, path: &str, headers: &HeaderMap) -> Option<Response> {
    let find = |wanted: &str| files.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| *bytes);
    let plain = find(path).filter(|_| path != "index.html")?;
    let kind = match path.rsplit('.').next()? {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "br" | "gz" => return None,
        _ => "application/octet-stream",
    };
    // The smallest form that is understood.
    let compressed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, ending)| {
        let bytes = find(&format!("{path}.{ending}"))?;
        accepts(headers, encoding).then_some((encoding, bytes))
    });
    let bytes = compressed.map_or(plain, |(_, bytes)| bytes);
    let mut response = answer(kind, bytes.to_vec(), "public, max-age=300", headers);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some((encoding, _)) = compressed.filter(|_| response.status() == StatusCode::OK) {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// With a tag, so that what a browser has is not sent again.
fn answer(kind: &'static str, bytes: Vec<u8>, caching: &'static str, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..22]);
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { bytes.into_response() };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, caching),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_a_product_is_not_for_search_engines() {
        assert!(with_product(HEAD, None).contains("noindex"));
    }

    #[test]
    fn scripts_are_sent_as_small_as_the_browser_understands() {
        let files: Files =
            &[("shop.js", b"plain"), ("shop.js.br", b"br"), ("shop.js.gz", b"gzip"), ("icon.svg", b"<svg/>")];
        let asked = |value: &str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
        let sent = |path: &str, headers: &HeaderMap| {
            let response = file(files, path, headers).unwrap();
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            encoding.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(sent("shop.js", &asked("gzip, deflate, br")).as_deref(), Some("br"));
        assert_eq!(sent("shop.js", &asked("gzip")).as_deref(), Some("gzip"));
        assert_eq!(sent("shop.js", &HeaderMap::new()), None);
        assert_eq!(sent("icon.svg", &asked("br")), None);
        assert!(file(files, "shop.js.br", &asked("br")).is_none(), "a form is no file");

        let mut again = asked("br");
        let first = file(files, "shop.js", &again).unwrap();
        again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let second = file(files, "shop.js", &again).unwrap();
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert!(second.headers().get(header::CONTENT_ENCODING).is_none());
    }

    #[test]
    fn texts_can_t_leave_their_place() {
        assert_eq!(escaped("a\"<b>&"), "a&quot;&lt;b&gt;&amp;");
    }
}
