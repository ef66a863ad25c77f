//! Orders over HTTP.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_domain::{Currency, Order, OrderId, OrderLine, OrderLineKind, OrderStatus, ProductId, SubjectId, VariantId};
use merx_ingest::CustomerOrder;
use merx_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::entities::{
    BatchAnswer, Changes, Entity, PageQuery, change_many, next_cursor, patch_one, put_one, remove_one,
};
use crate::ports::ShopRecords;
use crate::privacy::Look;
use crate::problem::Problem;
use crate::routes::Shared;
use crate::wire::{Id, MoneyWire, Reading};

const MAX_LINES: usize = 10_000;
const MAX_USER_ID_BYTES: usize = 200;

/// An order and what came back of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Order, example = json!({
    "id": "o1", "user_id": "u1", "placed_at": "2026-11-21T10:00:00Z", "currency": "EUR",
    "lines": [{"product_id": "p1", "quantity": 2, "unit_price": {"minor": 1899, "currency": "EUR"}}],
}))]
pub(crate) struct OrderWire {
    /// In the path where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Id>)]
    id: Option<String>,
    /// The shop's id of the customer: goes into the vault, comes back as `subject_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 200)]
    user_id: Option<String>,
    /// The customer's pseudonym; null where the shop doesn't know whose order it is.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[schema(format = DateTime)]
    placed_at: String,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    /// ISO 4217.
    #[schema(example = "EUR", pattern = "^[A-Za-z]{3}$")]
    currency: String,
    #[serde(default)]
    status: OrderStatusWire,
    #[schema(max_items = 10000)]
    lines: Vec<OrderLineWire>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderStatus)]
pub(crate) enum OrderStatusWire {
    #[default]
    Completed,
    Cancelled,
    Refunded,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderLineKind)]
pub(crate) enum LineKindWire {
    #[default]
    Sale,
    /// A credit line: goods came back, or the line was cancelled.
    Return,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderLine)]
pub(crate) struct OrderLineWire {
    #[schema(value_type = Id)]
    product_id: String,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    variant_id: Option<String>,
    #[serde(default)]
    kind: LineKindWire,
    /// Always positive; `kind` says the direction.
    #[schema(minimum = 1)]
    quantity: i64,
    unit_price: MoneyWire,
}

impl Entity for OrderWire {
    const NAME: &'static str = "order";
    type Id = OrderId;
    type Stored = Order;
    type Sound = CustomerOrder;

    fn find(shop: &dyn ShopRecords, id: &OrderId) -> Result<Option<Order>, StoreError> {
        shop.order(id)
    }

    fn write(shop: &dyn ShopRecords, put: Vec<CustomerOrder>, remove: Vec<OrderId>) -> Result<u64, StoreError> {
        shop.write_orders(put, remove)
    }

    fn own_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn read(self, reading: &mut Reading<'_>, id: Option<OrderId>, app: &App) -> Option<CustomerOrder> {
        let user_id = self.user_id.filter(|id| !id.trim().is_empty());
        reading.bounded("user_id", user_id.as_deref().map_or(0, str::len), MAX_USER_ID_BYTES);
        let subject = self.subject_id.as_deref().map(|id| reading.id::<SubjectId>("subject_id", id));
        let placed_at = reading.time("placed_at", &self.placed_at);
        let market = match &self.market {
            Some(market) => reading.id("market", market),
            None => Some(app.parts.settings.default_market.clone()),
        };
        let currency: Option<Currency> = match self.currency.parse() {
            Ok(currency) => Some(currency),
            Err(error) => {
                reading.refuse("currency", "invalid_currency", format!("{error}"));
                None
            }
        };
        reading.bounded("lines", self.lines.len(), MAX_LINES);
        let lines = (self.lines.iter().enumerate())
            .map(|(place, line)| line.read(reading, &format!("lines[{place}]")))
            .collect::<Vec<_>>();
        let order = Order {
            id: id?,
            subject: match subject {
                None => None,
                Some(read) => Some(read?),
            },
            placed_at: placed_at?,
            market: market?,
            currency: currency?,
            status: match self.status {
                OrderStatusWire::Completed => OrderStatus::Completed,
                OrderStatusWire::Cancelled => OrderStatus::Cancelled,
                OrderStatusWire::Refunded => OrderStatus::Refunded,
            },
            lines: lines.into_iter().collect::<Option<_>>()?,
        };
        Some(CustomerOrder { customer: user_id.map(CompactString::from), order })
    }
}

impl OrderLineWire {
    fn read(&self, reading: &mut Reading<'_>, at: &str) -> Option<OrderLine> {
        if self.quantity < 1 {
            reading.refuse(
                &format!("{at}.quantity"),
                "out_of_range",
                "a quantity is at least 1; kind says the direction",
            );
        }
        let product = reading.id::<ProductId>(&format!("{at}.product_id"), &self.product_id);
        let variant = self.variant_id.as_deref().map(|id| reading.id::<VariantId>(&format!("{at}.variant_id"), id));
        let unit_price = reading.money(&format!("{at}.unit_price"), &self.unit_price);
        Some(OrderLine {
            product: product?,
            variant: match variant {
                None => None,
                Some(read) => Some(read?),
            },
            kind: match self.kind {
                LineKindWire::Sale => OrderLineKind::Sale,
                LineKindWire::Return => OrderLineKind::Return,
            },
            quantity: self.quantity,
            unit_price: unit_price?,
        })
    }
}

impl From<Order> for OrderWire {
    fn from(order: Order) -> Self {
        Self {
            id: Some(order.id.to_string()),
            user_id: None,
            subject_id: order.subject.map(|subject| subject.to_string()),
            placed_at: order.placed_at.to_string(),
            market: Some(order.market.to_string()),
            currency: order.currency.to_string(),
            status: match order.status {
                OrderStatus::Completed => OrderStatusWire::Completed,
                OrderStatus::Cancelled => OrderStatusWire::Cancelled,
                OrderStatus::Refunded => OrderStatusWire::Refunded,
            },
            lines: order.lines.into_iter().map(OrderLineWire::from).collect(),
        }
    }
}

impl From<OrderLine> for OrderLineWire {
    fn from(line: OrderLine) -> Self {
        Self {
            product_id: line.product.to_string(),
            variant_id: line.variant.map(|variant| variant.to_string()),
            kind: match line.kind {
                OrderLineKind::Sale => LineKindWire::Sale,
                OrderLineKind::Return => LineKindWire::Return,
            },
            quantity: line.quantity,
            unit_price: line.unit_price.into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OrderPage {
    items: Vec<OrderWire>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// Up to 5,000 changes, made in one transaction. One that is wrong is reported by its position and left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBatch {
    /// Orders to put in place, new or changed.
    #[serde(default)]
    #[schema(value_type = Vec<OrderWire>)]
    upsert: Vec<Value>,
    /// Merge patches (RFC 7396), each with the `id` of its order.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    patch: Vec<Value>,
    /// Ids of orders to remove.
    #[serde(default)]
    #[schema(value_type = Vec<Id>)]
    delete: Vec<String>,
    /// Make no change at all if one of them is wrong.
    #[serde(default)]
    all_or_nothing: bool,
}

/// List orders
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(PageQuery),
    responses((status = 200, description = "By id", body = OrderPage)))]
pub(crate) async fn list_orders(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let (limit, after) = (query.limit()?, query.after::<OrderId>()?);
    let look = Look::of(&caller, &headers);
    blocking(move || {
        look.note(&app, "orders", None)?;
        let orders = app.parts.shop.orders(after.as_ref(), limit)?;
        let next_cursor = next_cursor(orders.len(), limit, orders.last().map(|order| order.id.as_str()));
        let items = orders.into_iter().map(OrderWire::from).collect();
        Ok(Answered(OrderPage { items, next_cursor }).into_response())
    })
    .await
}

/// Read an order
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Id, Path, description = "The shop's id of the order")),
    responses((status = 200, description = "The order", body = OrderWire)))]
pub(crate) async fn get_order(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(id): PathId<OrderId>,
) -> Result<Response, Problem> {
    let look = Look::of(&caller, &headers);
    blocking(move || {
        let order = app.parts.shop.order(&id)?.ok_or_else(|| Problem::not_found("order", &id))?;
        look.note(&app, "order", order.subject)?;
        Ok(Answered(OrderWire::from(order)).into_response())
    })
    .await
}

/// Put an order in place
///
/// Creates the order or replaces it as a whole.
#[utoipa::path(put, path = "/v1/orders/{id}", tag = "orders", request_body = OrderWire,
    params(("id" = Id, Path, description = "The shop's id of the order")),
    responses((status = 200, description = "The order as stored", body = OrderWire)))]
pub(crate) async fn put_order(
    State(app): State<Shared>,
    PathId(id): PathId<OrderId>,
    Json(wire): Json<OrderWire>,
) -> Result<Response, Problem> {
    blocking(move || put_one(&app, &id, wire)).await
}

/// Change an order
///
/// A merge patch (RFC 7396): members replace, null removes, what is absent stays.
#[utoipa::path(patch, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Id, Path, description = "The shop's id of the order")),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The order as stored", body = OrderWire)))]
pub(crate) async fn patch_order(
    State(app): State<Shared>,
    PathId(id): PathId<OrderId>,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    blocking(move || patch_one::<OrderWire>(&app, &id, patch)).await
}

/// Remove an order
#[utoipa::path(delete, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Id, Path, description = "The shop's id of the order")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_order(State(app): State<Shared>, PathId(id): PathId<OrderId>) -> Result<Response, Problem> {
    blocking(move || remove_one::<OrderWire>(&app, &id)).await
}

/// Change many orders
#[utoipa::path(post, path = "/v1/orders/batch", tag = "orders", request_body = OrderBatch,
    responses((status = 200, description = "What was changed", body = BatchAnswer)))]
pub(crate) async fn put_orders(State(app): State<Shared>, Json(batch): Json<OrderBatch>) -> Result<Response, Problem> {
    let OrderBatch { upsert, patch, delete, all_or_nothing } = batch;
    blocking(move || change_many::<OrderWire>(&app, Changes { upsert, patch, delete, all_or_nothing })).await
}
