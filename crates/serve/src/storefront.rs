//! What any shopper may know of the shop: products as they stand now, without what they cost the shop or how many
//! there are. Nothing here is personal, so that edges may keep it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use merx_domain::{MarketId, Money, Product, ProductId, ProductStatus, StockLevel, TimestampMs, Variant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::{Query, blocking, json_bytes};
use crate::problem::{Code, Problem};
use crate::products::{AttributeWire, attributes_wire};
use crate::routes::Shared;
use crate::wire::{Id, MoneyWire};

const MAX_IDS: usize = 100;
/// Fewer units than this are `few`.
const FEW: i64 = 6;

/// What a page can count on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Storefront {
    /// Engines that answer: recommendations, search, assistant. Widgets of others hide themselves.
    #[schema(example = json!(["recommendations", "search"]))]
    capabilities: Vec<&'static str>,
    /// The market of requests that name none.
    market: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProductsQuery {
    /// Up to 100 product ids, separated by commas.
    #[param(example = "p1,p2")]
    ids: String,
    #[param(value_type = Option<Id>)]
    market: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorefrontProducts {
    /// In the order they were asked for; those that aren't sold in the market are left out.
    products: Vec<StorefrontProduct>,
}

/// A product as any shopper may see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorefrontProduct {
    id: String,
    name: String,
    description: String,
    brand: Option<String>,
    category_path: Vec<String>,
    attributes: BTreeMap<String, AttributeWire>,
    images: Vec<String>,
    url: Option<String>,
    /// The lowest of the variants'.
    price: Option<MoneyWire>,
    /// The price before a reduction.
    list_price: Option<MoneyWire>,
    in_stock: bool,
    variants: Vec<StorefrontVariant>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorefrontVariant {
    id: String,
    attributes: BTreeMap<String, AttributeWire>,
    images: Vec<String>,
    price: Option<MoneyWire>,
    list_price: Option<MoneyWire>,
    stock: StockWord,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StockWord {
    Out,
    Few,
    /// Also where stock isn't tracked.
    Plenty,
}

/// What the shop offers its pages
///
/// Which engines answer, and the market of requests that name none.
#[utoipa::path(get, path = "/v1/storefront", tag = "storefront",
    responses((status = 200, description = "What there is", body = Storefront), (status = 304, description = "As before")))]
pub(crate) async fn storefront(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let answer = Storefront {
        capabilities: vec!["recommendations", "search"],
        market: app.parts.settings.default_market.to_string(),
    };
    cacheable(&answer, &headers, Freshness::SECONDS)
}

/// Products as shoppers see them
///
/// Name, texts, pictures, prices and whether there are any, as of now; no cost, no stock figures. With `ETag`.
#[utoipa::path(get, path = "/v1/storefront/products", tag = "storefront", params(ProductsQuery),
    responses((status = 200, description = "Those that are sold", body = StorefrontProducts), (status = 304, description = "As before")))]
pub(crate) async fn storefront_products(
    State(app): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<ProductsQuery>,
) -> Result<Response, Problem> {
    let invalid = |detail: String| Problem::because(Code::InvalidParameter, detail);
    let ids = query.ids.split(',').map(str::trim).filter(|id| !id.is_empty());
    let ids = ids.map(|id| id.parse::<ProductId>().map_err(|error| invalid(format!("ids: {error}"))));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    if ids.len() > MAX_IDS {
        return Err(invalid(format!("ids: {} are more than {MAX_IDS}", ids.len())));
    }
    let market = match query.market {
        Some(market) => MarketId::new(market).map_err(|error| invalid(format!("market: {error}")))?,
        None => app.parts.settings.default_market.clone(),
    };
    blocking(move || {
        let now = app.parts.clock.now();
        let mut products = Vec::with_capacity(ids.len());
        for id in &ids {
            products.extend(find(&app, id, &market, now)?);
        }
        cacheable(&StorefrontProducts { products }, &headers, Freshness::SECONDS)
    })
    .await
}

/// The product as it is sold in a market now; `None` where it isn't.
pub(crate) fn find(
    app: &Shared,
    id: &ProductId,
    market: &MarketId,
    now: TimestampMs,
) -> Result<Option<StorefrontProduct>, Problem> {
    let product = app.parts.shop.product(id)?;
    let sold = product.filter(|product| product.status == ProductStatus::Visible && product.sold_in(market, now));
    let Some(product) = sold else { return Ok(None) };
    let levels = app.parts.shop.stock(id)?;
    Ok(Some(StorefrontProduct::new(product, &levels, market)))
}

impl StorefrontProduct {
    fn new(product: Product, levels: &[StockLevel], market: &MarketId) -> Self {
        let cheapest = product
            .variants
            .iter()
            .min_by_key(|variant| variant.price_in(market).map_or(i64::MAX, |price| price.minor));
        let (price, list_price) = cheapest.map_or((None, None), |variant| prices(variant, market));
        let variants: Vec<_> =
            product.variants.iter().map(|variant| StorefrontVariant::new(variant, levels, market)).collect();
        Self {
            id: product.id.to_string(),
            in_stock: variants.is_empty() || variants.iter().any(|variant| variant.stock != StockWord::Out),
            name: product.name,
            description: product.description,
            brand: product.brand.map(String::from),
            category_path: product.category_path.into_iter().map(String::from).collect(),
            attributes: attributes_wire(product.attributes),
            images: product.images,
            url: product.url,
            price,
            list_price,
            variants,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// [Product](https://schema.org/Product) as search engines read it.
    pub(crate) fn structured_data(&self) -> serde_json::Value {
        let offer = self.price.as_ref().map(|price| {
            serde_json::json!({
                "@type": "Offer",
                "price": major_text(price),
                "priceCurrency": price.currency,
                "availability": if self.in_stock { "https://schema.org/InStock" } else { "https://schema.org/OutOfStock" },
                "url": self.url,
            })
        });
        serde_json::json!({
            "@context": "https://schema.org", "@type": "Product", "sku": self.id, "name": self.name,
            "description": self.description, "image": self.images, "category": self.category_path.join(" > "),
            "brand": self.brand.as_ref().map(|brand| serde_json::json!({"@type": "Brand", "name": brand})),
            "offers": offer,
        })
    }

    /// "69.00 EUR".
    pub(crate) fn price_text(&self) -> Option<String> {
        self.price.as_ref().map(|price| format!("{} {}", major_text(price), price.currency))
    }
}

impl StorefrontVariant {
    fn new(variant: &Variant, levels: &[StockLevel], market: &MarketId) -> Self {
        let mut own = levels.iter().filter(|level| level.variant == variant.id).peekable();
        let stock = match own.peek() {
            None => StockWord::Plenty,
            Some(_) => match own.map(|level| level.quantity.max(0)).fold(0_i64, i64::saturating_add) {
                0 => StockWord::Out,
                units if units < FEW => StockWord::Few,
                _ => StockWord::Plenty,
            },
        };
        let (price, list_price) = prices(variant, market);
        let attributes = attributes_wire(variant.attributes.clone());
        Self { id: variant.id.to_string(), attributes, images: variant.images.clone(), price, list_price, stock }
    }
}

/// What a variant costs, and what it cost before a reduction.
fn prices(variant: &Variant, market: &MarketId) -> (Option<MoneyWire>, Option<MoneyWire>) {
    let own = variant.prices.iter().find(|price| price.market.as_ref() == Some(market));
    let price = own.or_else(|| variant.prices.iter().find(|price| price.market.is_none()));
    let list = price.and_then(|price| price.list_amount);
    (price.map(|price| price.amount.into()), list.map(MoneyWire::from))
}

fn major_text(money: &MoneyWire) -> String {
    let parsed = money.currency.parse().map(|currency| Money::new(money.minor, currency).major_f64());
    parsed.map_or_else(|_| money.minor.to_string(), |major| format!("{major:.2}"))
}

/// How long an answer may be kept by others than the server.
#[derive(Clone, Copy)]
struct Freshness {
    max_age_s: u32,
    stale_while_revalidate_s: u32,
}

impl Freshness {
    /// Prices and stock: a page shows them some seconds late at most.
    const SECONDS: Self = Self { max_age_s: 2, stale_while_revalidate_s: 10 };
    /// Rankings that are the same for everybody.
    const MINUTE: Self = Self { max_age_s: 60, stale_while_revalidate_s: 600 };

    fn header(self) -> String {
        format!("public, max-age={}, stale-while-revalidate={}", self.max_age_s, self.stale_while_revalidate_s)
    }
}

/// An answer that anybody may keep: with its hash as `ETag`, and without a body where the asker has it already.
fn cacheable<T: Serialize>(answer: &T, headers: &HeaderMap, freshness: Freshness) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer has no JSON form");
        Problem::new(Code::Internal)
    })?;
    let tag = etag(&bytes);
    Ok(cached(json_bytes(bytes), &tag, headers, freshness))
}

/// The answer of a decision for nobody in particular, which is anybody's: the tag leaves out what differs each time.
pub(crate) fn for_anybody(bytes: Vec<u8>, asked: &HeaderMap) -> Response {
    let mut answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if let Some(members) = answer.as_object_mut() {
        for once in ["decision_id", "latency_us"] {
            members.remove(once);
        }
    }
    let tag = format!("W/{}", etag(answer.to_string().as_bytes()));
    cached(json_bytes(bytes), &tag, asked, Freshness::MINUTE)
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(bytes).to_hex()[..22])
}

/// Marks an answer as one that anybody may keep, and leaves its body out where the asker's copy is this one.
fn cached(answer: Response, tag: &str, asked: &HeaderMap, freshness: Freshness) -> Response {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let fresh = known.is_some_and(|tags| tags.split(',').any(|known| strong(known) == strong(tag)));
    let mut answer = if fresh { StatusCode::NOT_MODIFIED.into_response() } else { answer };
    let headers = answer.headers_mut();
    for (name, value) in [(header::CACHE_CONTROL, freshness.header()), (header::ETAG, tag.to_owned())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    answer
}
