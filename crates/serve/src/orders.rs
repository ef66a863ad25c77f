//! Orders over HTTP.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_domain::{
    Currency, MarketId, Order, OrderId, OrderLine, OrderLineKind, OrderStatus, ProductId, SubjectId, VariantId,
};
use merx_ingest::CustomerOrder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::entities::{
    BatchAnswer, PageQuery, check_batch_size, keep_sound, next_cursor, patched, read_each, refuse_if_any,
};
use crate::privacy::Look;
use crate::problem::{Mistake, Problem};
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

impl OrderWire {
    fn read(
        self,
        reading: &mut Reading<'_>,
        path_id: Option<&OrderId>,
        default_market: &MarketId,
    ) -> Option<CustomerOrder> {
        let own_id = self.id.as_deref().map(|id| reading.id::<OrderId>("id", id));
        let id = match (path_id, own_id) {
            (Some(path), Some(Some(own))) if own != *path => {
                reading.refuse("id", "other_id", format!("the path says {path}, the body says {own}"));
                None
            }
            (Some(path), _) => Some(path.clone()),
            (None, Some(own)) => own,
            (None, None) => {
                reading.refuse("id", "missing", "an order needs an id");
                None
            }
        };
        let user_id = self.user_id.filter(|id| !id.trim().is_empty());
        reading.bounded("user_id", user_id.as_deref().map_or(0, str::len), MAX_USER_ID_BYTES);
        let subject = self.subject_id.as_deref().map(|id| reading.id::<SubjectId>("subject_id", id));
        let placed_at = reading.time("placed_at", &self.placed_at);
        let market = match &self.market {
            Some(market) => reading.id("market", market),
            None => Some(default_market.clone()),
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
    blocking(move || {
        let _patching = app.patching.lock();
        store_one(&app, &id, wire)
    })
    .await
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
    blocking(move || {
        let _patching = app.patching.lock();
        let order = app.parts.shop.order(&id)?.ok_or_else(|| Problem::not_found("order", &id))?;
        let wire = patched(&OrderWire::from(order), patch, "").map_err(Problem::mistakes)?;
        store_one(&app, &id, wire)
    })
    .await
}

/// Remove an order
#[utoipa::path(delete, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Id, Path, description = "The shop's id of the order")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_order(State(app): State<Shared>, PathId(id): PathId<OrderId>) -> Result<Response, Problem> {
    blocking(move || {
        if app.parts.shop.write_orders(Vec::new(), vec![id.clone()])? == 0 {
            return Err(Problem::not_found("order", &id));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Change many orders
#[utoipa::path(post, path = "/v1/orders/batch", tag = "orders", request_body = OrderBatch,
    responses((status = 200, description = "What was changed", body = BatchAnswer)))]
pub(crate) async fn put_orders(State(app): State<Shared>, Json(batch): Json<OrderBatch>) -> Result<Response, Problem> {
    check_batch_size(batch.upsert.len() + batch.patch.len() + batch.delete.len())?;
    blocking(move || {
        let _patching = app.patching.lock();
        let market = &app.parts.settings.default_market;
        let mut mistakes = Vec::new();
        let mut sound = Vec::with_capacity(batch.upsert.len() + batch.patch.len());
        let wires: Vec<Option<OrderWire>> = read_each(batch.upsert, "upsert", &mut mistakes);
        for (place, wire) in wires.into_iter().enumerate() {
            let mut reading = Reading::at(format!("upsert[{place}]"), &mut mistakes);
            sound.extend(wire.and_then(|wire| wire.read(&mut reading, None, market)));
        }
        let upserted = sound.len();
        for (place, patch) in batch.patch.into_iter().enumerate() {
            sound.extend(patched_order(&app, patch, &format!("patch[{place}]"), &mut mistakes)?);
        }
        let patched = sound.len() - upserted;
        let mut reading = Reading::at("", &mut mistakes);
        let delete = batch.delete.iter().enumerate();
        let remove: Vec<_> = delete.filter_map(|(place, id)| reading.id(&format!("delete[{place}]"), id)).collect();
        let errors = keep_sound(mistakes, sound.len() + remove.len(), batch.all_or_nothing)?;
        let deleted = app.parts.shop.write_orders(sound, remove)?;
        Ok(Answered(BatchAnswer { upserted, patched, deleted, errors }).into_response())
    })
    .await
}

fn patched_order(
    app: &App,
    patch: Value,
    at: &str,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<CustomerOrder>, Problem> {
    let id = patch.get("id").and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    let Some(id) = Reading::at(at, mistakes).id::<OrderId>("id", &id) else { return Ok(None) };
    let Some(order) = app.parts.shop.order(&id)? else {
        Reading::at(at, mistakes).refuse("id", "not_found", format!("there is no order {id}"));
        return Ok(None);
    };
    match patched(&OrderWire::from(order), patch, at) {
        Ok(wire) => Ok(wire.read(&mut Reading::at(at, mistakes), Some(&id), &app.parts.settings.default_market)),
        Err(wrong) => {
            mistakes.extend(wrong);
            Ok(None)
        }
    }
}

fn store_one(app: &App, id: &OrderId, wire: OrderWire) -> Result<Response, Problem> {
    let mut mistakes = Vec::new();
    let sound = wire.read(&mut Reading::at("", &mut mistakes), Some(id), &app.parts.settings.default_market);
    refuse_if_any(mistakes)?;
    let Some(sound) = sound else { return Err(Problem::mistakes(Vec::new())) };
    app.parts.shop.write_orders(vec![sound], Vec::new())?;
    let order = app.parts.shop.order(id)?.ok_or_else(|| Problem::not_found("order", id))?;
    Ok(Answered(OrderWire::from(order)).into_response())
}
