//! Products over HTTP.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_domain::{
    AttributeValue, MarketAvailability, MarketId, Price, Product, ProductId, ProductStatus, Variant, VariantId,
};
use merx_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::entities::{
    BatchAnswer, Changes, Entity, PageQuery, change_many, next_cursor, patch_one, put_one, remove_one,
};
use crate::ports::ShopRecords;
use crate::problem::{Problem, ProblemDocument};
use crate::routes::Shared;
use crate::wire::{Id, MoneyWire, Reading};

const MAX_VARIANTS: usize = 1_000;
const MAX_PARTS: usize = 1_000;
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// A product. What a page is about; its sizes and colours are variants.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Product, example = json!({
    "id": "p1", "name": "Canvas Bag", "brand": "Acme", "category_path": ["Bags", "Shoppers"],
    "attributes": {"organic": true, "colours": ["red", "blue"]}, "status": "visible",
    "variants": [{"id": "p1-red", "prices": [{"amount": {"minor": 1899, "currency": "EUR"}}], "cost": {"minor": 700, "currency": "EUR"}}],
}))]
pub(crate) struct ProductWire {
    /// In the path where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Id>)]
    id: Option<String>,
    #[schema(min_length = 1, pattern = "\\S")]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    brand: Option<String>,
    /// From the department down.
    #[serde(default)]
    category_path: Vec<String>,
    /// Texts, numbers, true or false, and lists of texts.
    #[serde(default)]
    attributes: BTreeMap<String, AttributeWire>,
    /// Addresses, the first one is shown.
    #[serde(default)]
    images: Vec<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    status: StatusWire,
    /// Where and when it is sold; empty is everywhere.
    #[serde(default)]
    availability: Vec<AvailabilityWire>,
    #[serde(default)]
    variants: Vec<VariantWire>,
    /// When it came into the catalogue: now, if it is new and nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    created_at: Option<String>,
    /// Set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    updated_at: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = AttributeValue)]
pub(crate) enum AttributeWire {
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProductStatus)]
pub(crate) enum StatusWire {
    #[default]
    Visible,
    /// Not shown for now; its history still teaches.
    Hidden,
    /// Gone for good; kept because orders and events name it.
    Archived,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MarketAvailability)]
pub(crate) struct AvailabilityWire {
    #[schema(value_type = Id)]
    market: String,
    sold: bool,
    #[serde(default)]
    #[schema(format = DateTime)]
    from: Option<String>,
    #[serde(default)]
    #[schema(format = DateTime)]
    until: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Variant)]
pub(crate) struct VariantWire {
    #[schema(value_type = Id)]
    id: String,
    #[serde(default)]
    gtin: Option<String>,
    #[serde(default)]
    prices: Vec<PriceWire>,
    /// What one unit costs the shop.
    #[serde(default)]
    cost: Option<MoneyWire>,
    #[serde(default)]
    attributes: BTreeMap<String, AttributeWire>,
    #[serde(default)]
    images: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Price)]
pub(crate) struct PriceWire {
    /// None: every market without a price of its own.
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    amount: MoneyWire,
    /// The price before a reduction.
    #[serde(default)]
    list_amount: Option<MoneyWire>,
}

impl Entity for ProductWire {
    const NAME: &'static str = "product";
    type Id = ProductId;
    type Stored = Product;
    type Sound = Product;

    fn find(shop: &dyn ShopRecords, id: &ProductId) -> Result<Option<Product>, StoreError> {
        shop.product(id)
    }

    fn write(shop: &dyn ShopRecords, put: Vec<Product>, remove: Vec<ProductId>) -> Result<u64, StoreError> {
        shop.write_products(put, remove)
    }

    /// A product that is replaced is no newer for it.
    fn keep_of_before(&mut self, id: &ProductId, shop: &dyn ShopRecords) -> Result<(), StoreError> {
        if self.created_at.is_none() {
            self.created_at = shop.product(id)?.map(|before| before.created_at.to_string());
        }
        Ok(())
    }

    fn own_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn read(self, reading: &mut Reading<'_>, id: Option<ProductId>, app: &App) -> Option<Product> {
        let now = app.parts.clock.now();
        if self.name.trim().is_empty() {
            reading.refuse("name", "missing", "a product needs a name");
        }
        reading.bounded("name", self.name.len(), MAX_TEXT_BYTES);
        reading.bounded("description", self.description.len(), MAX_TEXT_BYTES);
        reading.bounded("variants", self.variants.len(), MAX_VARIANTS);
        reading.bounded("category_path", self.category_path.len(), MAX_PARTS);
        reading.bounded("attributes", self.attributes.len(), MAX_PARTS);
        reading.bounded("availability", self.availability.len(), MAX_PARTS);
        let created_at = self.created_at.as_deref().map_or(Some(now), |text| reading.time("created_at", text));
        let availability = (self.availability.iter().enumerate())
            .map(|(place, rule)| rule.read(reading, &format!("availability[{place}]")))
            .collect::<Vec<_>>();
        let variants = (self.variants.into_iter().enumerate())
            .map(|(place, variant)| variant.read(reading, &format!("variants[{place}]")))
            .collect::<Vec<_>>();
        Some(Product {
            id: id?,
            name: self.name,
            description: self.description,
            brand: self.brand.map(CompactString::from),
            category_path: self.category_path.into_iter().map(CompactString::from).collect(),
            attributes: attributes(self.attributes),
            images: self.images,
            url: self.url,
            status: match self.status {
                StatusWire::Visible => ProductStatus::Visible,
                StatusWire::Hidden => ProductStatus::Hidden,
                StatusWire::Archived => ProductStatus::Archived,
            },
            availability: availability.into_iter().collect::<Option<_>>()?,
            variants: variants.into_iter().collect::<Option<_>>()?,
            created_at: created_at?,
            updated_at: now,
        })
    }
}

impl AvailabilityWire {
    fn read(&self, reading: &mut Reading<'_>, at: &str) -> Option<MarketAvailability> {
        let market = reading.id::<MarketId>(&format!("{at}.market"), &self.market);
        let from = self.from.as_deref().map(|text| reading.time(&format!("{at}.from"), text));
        let until = self.until.as_deref().map(|text| reading.time(&format!("{at}.until"), text));
        Some(MarketAvailability { market: market?, sold: self.sold, from: flat(from)?, until: flat(until)? })
    }
}

impl VariantWire {
    fn read(self, reading: &mut Reading<'_>, at: &str) -> Option<Variant> {
        reading.bounded(&format!("{at}.prices"), self.prices.len(), MAX_PARTS);
        let id = reading.id::<VariantId>(&format!("{at}.id"), &self.id);
        let cost = self.cost.as_ref().map(|cost| reading.money(&format!("{at}.cost"), cost));
        let prices = (self.prices.iter().enumerate())
            .map(|(place, price)| price.read(reading, &format!("{at}.prices[{place}]")))
            .collect::<Vec<_>>();
        Some(Variant {
            id: id?,
            gtin: self.gtin.map(CompactString::from),
            prices: prices.into_iter().collect::<Option<_>>()?,
            cost: flat(cost)?,
            attributes: attributes(self.attributes),
            images: self.images,
        })
    }
}

impl PriceWire {
    fn read(&self, reading: &mut Reading<'_>, at: &str) -> Option<Price> {
        let market = self.market.as_deref().map(|market| reading.id::<MarketId>(&format!("{at}.market"), market));
        let amount = reading.money(&format!("{at}.amount"), &self.amount);
        let list = self.list_amount.as_ref().map(|list| reading.money(&format!("{at}.list_amount"), list));
        Some(Price { market: flat(market)?, amount: amount?, list_amount: flat(list)? })
    }
}

/// A part that may be absent, but not wrong.
fn flat<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn attributes(wire: BTreeMap<String, AttributeWire>) -> BTreeMap<CompactString, AttributeValue> {
    let value = |value| match value {
        AttributeWire::Flag(flag) => AttributeValue::Flag(flag),
        AttributeWire::Number(number) => AttributeValue::Number(number),
        AttributeWire::Text(text) => AttributeValue::Text(text.into()),
        AttributeWire::List(list) => AttributeValue::List(list.into_iter().map(CompactString::from).collect()),
    };
    wire.into_iter().map(|(name, wire)| (name.into(), value(wire))).collect()
}

pub(crate) fn attributes_wire(values: BTreeMap<CompactString, AttributeValue>) -> BTreeMap<String, AttributeWire> {
    let wire = |value| match value {
        AttributeValue::Flag(flag) => AttributeWire::Flag(flag),
        AttributeValue::Number(number) => AttributeWire::Number(number),
        AttributeValue::Text(text) => AttributeWire::Text(text.into()),
        AttributeValue::List(list) => AttributeWire::List(list.into_iter().map(String::from).collect()),
    };
    values.into_iter().map(|(name, value)| (name.into(), wire(value))).collect()
}

impl From<Product> for ProductWire {
    fn from(product: Product) -> Self {
        Self {
            id: Some(product.id.to_string()),
            name: product.name,
            description: product.description,
            brand: product.brand.map(String::from),
            category_path: product.category_path.into_iter().map(String::from).collect(),
            attributes: attributes_wire(product.attributes),
            images: product.images,
            url: product.url,
            status: match product.status {
                ProductStatus::Visible => StatusWire::Visible,
                ProductStatus::Hidden => StatusWire::Hidden,
                ProductStatus::Archived => StatusWire::Archived,
            },
            availability: product.availability.into_iter().map(AvailabilityWire::from).collect(),
            variants: product.variants.into_iter().map(VariantWire::from).collect(),
            created_at: Some(product.created_at.to_string()),
            updated_at: Some(product.updated_at.to_string()),
        }
    }
}

impl From<MarketAvailability> for AvailabilityWire {
    fn from(rule: MarketAvailability) -> Self {
        Self {
            market: rule.market.to_string(),
            sold: rule.sold,
            from: rule.from.map(|from| from.to_string()),
            until: rule.until.map(|until| until.to_string()),
        }
    }
}

impl From<Variant> for VariantWire {
    fn from(variant: Variant) -> Self {
        let price = |price: Price| PriceWire {
            market: price.market.map(|market| market.to_string()),
            amount: price.amount.into(),
            list_amount: price.list_amount.map(MoneyWire::from),
        };
        Self {
            id: variant.id.to_string(),
            gtin: variant.gtin.map(String::from),
            prices: variant.prices.into_iter().map(price).collect(),
            cost: variant.cost.map(MoneyWire::from),
            attributes: attributes_wire(variant.attributes),
            images: variant.images,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProductPage {
    items: Vec<ProductWire>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// Up to 5,000 changes, made in one transaction. One that is wrong is reported by its position and left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductBatch {
    /// Products to put in place, new or changed.
    #[serde(default)]
    #[schema(value_type = Vec<ProductWire>)]
    upsert: Vec<Value>,
    /// Merge patches (RFC 7396), each with the `id` of its product.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    patch: Vec<Value>,
    /// Ids of products to remove.
    #[serde(default)]
    #[schema(value_type = Vec<Id>)]
    delete: Vec<String>,
    /// Make no change at all if one of them is wrong.
    #[serde(default)]
    all_or_nothing: bool,
}

/// List products
#[utoipa::path(get, path = "/v1/products", tag = "catalogue", params(PageQuery),
    responses((status = 200, description = "By id", body = ProductPage)))]
pub(crate) async fn list_products(
    State(app): State<Shared>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let (limit, after) = (query.limit()?, query.after::<ProductId>()?);
    blocking(move || {
        let products = app.parts.shop.products(after.as_ref(), limit)?;
        let next_cursor = next_cursor(products.len(), limit, products.last().map(|product| product.id.as_str()));
        let items = products.into_iter().map(ProductWire::from).collect();
        Ok(Answered(ProductPage { items, next_cursor }).into_response())
    })
    .await
}

/// Read a product
#[utoipa::path(get, path = "/v1/products/{id}", tag = "catalogue",
    params(("id" = Id, Path, description = "The shop's id of the product")),
    responses((status = 200, description = "The product", body = ProductWire)))]
pub(crate) async fn get_product(State(app): State<Shared>, PathId(id): PathId<ProductId>) -> Result<Response, Problem> {
    blocking(move || {
        let product = app.parts.shop.product(&id)?.ok_or_else(|| Problem::not_found("product", &id))?;
        Ok(Answered(ProductWire::from(product)).into_response())
    })
    .await
}

/// Put a product in place
///
/// Creates the product or replaces it as a whole.
#[utoipa::path(put, path = "/v1/products/{id}", tag = "catalogue", request_body = ProductWire,
    params(("id" = Id, Path, description = "The shop's id of the product")),
    responses((status = 200, description = "The product as stored", body = ProductWire)))]
pub(crate) async fn put_product(
    State(app): State<Shared>,
    PathId(id): PathId<ProductId>,
    Json(wire): Json<ProductWire>,
) -> Result<Response, Problem> {
    blocking(move || put_one(&app, &id, wire)).await
}

/// Change a product
///
/// A merge patch (RFC 7396): members replace, null removes, what is absent stays.
#[utoipa::path(patch, path = "/v1/products/{id}", tag = "catalogue",
    params(("id" = Id, Path, description = "The shop's id of the product")),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The product as stored", body = ProductWire)))]
pub(crate) async fn patch_product(
    State(app): State<Shared>,
    PathId(id): PathId<ProductId>,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    blocking(move || patch_one::<ProductWire>(&app, &id, patch)).await
}

/// Remove a product
///
/// Takes it out of the shop for good. Orders and events still name it, so its record stays, with the status `archived`.
#[utoipa::path(delete, path = "/v1/products/{id}", tag = "catalogue",
    params(("id" = Id, Path, description = "The shop's id of the product")),
    responses((status = 204, description = "Removed"),
        (status = 404, description = "There is none", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn delete_product(
    State(app): State<Shared>,
    PathId(id): PathId<ProductId>,
) -> Result<Response, Problem> {
    blocking(move || remove_one::<ProductWire>(&app, &id)).await
}

/// Change many products
#[utoipa::path(post, path = "/v1/products/batch", tag = "catalogue", request_body = ProductBatch,
    responses((status = 200, description = "What was changed", body = BatchAnswer)))]
pub(crate) async fn put_products(
    State(app): State<Shared>,
    Json(batch): Json<ProductBatch>,
) -> Result<Response, Problem> {
    let ProductBatch { upsert, patch, delete, all_or_nothing } = batch;
    blocking(move || change_many::<ProductWire>(&app, Changes { upsert, patch, delete, all_or_nothing })).await
}
