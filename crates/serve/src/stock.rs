//! Stock levels over HTTP: units of a variant at a location.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use merx_domain::{LocationId, ProductId, StockLevel, TimestampMs, VariantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::body::{Answered, Json, PathId, blocking};
use crate::entities::{BatchAnswer, check_batch_size, keep_sound, patched, read_each};
use crate::ports::StockPlace;
use crate::problem::{Code, Mistake, Problem};
use crate::routes::Shared;
use crate::wire::{Id, Reading};

/// Units of a variant at a location. A variant without any level is not tracked and counts as available.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockLevel)]
pub(crate) struct StockWire {
    #[schema(value_type = Id)]
    product_id: String,
    #[schema(value_type = Id)]
    variant_id: String,
    #[schema(value_type = Id)]
    location_id: String,
    /// Negative where more was sold than was there.
    quantity: i64,
    /// Set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    updated_at: Option<String>,
}

/// The quantity at a place that the path names.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockQuantity {
    /// Negative where more was sold than was there.
    quantity: i64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockPlace)]
pub(crate) struct PlaceWire {
    #[schema(value_type = Id)]
    product_id: String,
    #[schema(value_type = Id)]
    variant_id: String,
    #[schema(value_type = Id)]
    location_id: String,
}

/// Up to 5,000 levels, written in one transaction. One that is wrong is reported by its position and left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockBatch {
    #[serde(default)]
    #[schema(value_type = Vec<StockWire>)]
    upsert: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Vec<PlaceWire>)]
    delete: Vec<Value>,
    /// Make no change at all if one of them is wrong.
    #[serde(default)]
    all_or_nothing: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StockList {
    items: Vec<StockWire>,
}

impl StockWire {
    fn read(&self, reading: &mut Reading<'_>, now: TimestampMs) -> Option<StockLevel> {
        let product = reading.id::<ProductId>("product_id", &self.product_id);
        let variant = reading.id::<VariantId>("variant_id", &self.variant_id);
        let location = reading.id::<LocationId>("location_id", &self.location_id);
        Some(StockLevel {
            product: product?,
            variant: variant?,
            location: location?,
            quantity: self.quantity,
            updated_at: now,
        })
    }
}

impl PlaceWire {
    fn read(&self, reading: &mut Reading<'_>) -> Option<StockPlace> {
        let product = reading.id::<ProductId>("product_id", &self.product_id);
        let variant = reading.id::<VariantId>("variant_id", &self.variant_id);
        let location = reading.id::<LocationId>("location_id", &self.location_id);
        Some((product?, variant?, location?))
    }
}

impl From<StockLevel> for StockWire {
    fn from(level: StockLevel) -> Self {
        Self {
            product_id: level.product.to_string(),
            variant_id: level.variant.to_string(),
            location_id: level.location.to_string(),
            quantity: level.quantity,
            updated_at: Some(level.updated_at.to_string()),
        }
    }
}

/// The place that a path names.
pub(crate) struct PathPlace(StockPlace);

impl FromRequestParts<Shared> for PathPlace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::because(Code::InvalidParameter, detail);
        let texts = axum::extract::Path::<(String, String, String)>::from_request_parts(parts, app).await;
        let axum::extract::Path((product, variant, location)) = texts.map_err(|error| invalid(error.body_text()))?;
        let wrong = |error: merx_domain::IdError| invalid(error.to_string());
        let product = product.parse().map_err(wrong)?;
        Ok(Self((product, variant.parse().map_err(wrong)?, location.parse().map_err(wrong)?)))
    }
}

/// Read a product's stock
#[utoipa::path(get, path = "/v1/stock/{product_id}", tag = "stock",
    params(("product_id" = Id, Path, description = "The shop's id of the product")),
    responses((status = 200, description = "All levels of the product; none where its stock is not tracked", body = StockList)))]
pub(crate) async fn get_stock(State(app): State<Shared>, PathId(id): PathId<ProductId>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.shop.stock(&id)?.into_iter().map(StockWire::from).collect();
        Ok(Answered(StockList { items }).into_response())
    })
    .await
}

/// Set a stock level
#[utoipa::path(put, path = "/v1/stock/{product_id}/{variant_id}/{location_id}", tag = "stock",
    request_body = StockQuantity,
    params(("product_id" = Id, Path), ("variant_id" = Id, Path), ("location_id" = Id, Path)),
    responses((status = 200, description = "The level as stored", body = StockWire)))]
pub(crate) async fn put_stock(
    State(app): State<Shared>,
    PathPlace(place): PathPlace,
    Json(wire): Json<StockQuantity>,
) -> Result<Response, Problem> {
    blocking(move || store_one(&app, place, wire)).await
}

/// Change a stock level
///
/// A merge patch (RFC 7396) of a level that exists.
#[utoipa::path(patch, path = "/v1/stock/{product_id}/{variant_id}/{location_id}", tag = "stock",
    request_body(content = Object, content_type = "application/merge-patch+json"),
    params(("product_id" = Id, Path), ("variant_id" = Id, Path), ("location_id" = Id, Path)),
    responses((status = 200, description = "The level as stored", body = StockWire)))]
pub(crate) async fn patch_stock(
    State(app): State<Shared>,
    PathPlace(place): PathPlace,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    blocking(move || {
        let _patching = app.patching.lock();
        let levels = app.parts.shop.stock(&place.0)?;
        let level = levels.into_iter().find(|level| level.variant == place.1 && level.location == place.2);
        let level = level.ok_or_else(|| Problem::not_found("stock level of", &place.0))?;
        let wire = patched(&StockQuantity { quantity: level.quantity }, patch, "").map_err(Problem::mistakes)?;
        store_one(&app, place, wire)
    })
    .await
}

/// Remove a stock level
#[utoipa::path(delete, path = "/v1/stock/{product_id}/{variant_id}/{location_id}", tag = "stock",
    params(("product_id" = Id, Path), ("variant_id" = Id, Path), ("location_id" = Id, Path)),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_stock(State(app): State<Shared>, PathPlace(place): PathPlace) -> Result<Response, Problem> {
    blocking(move || {
        if app.parts.shop.write_stock(Vec::new(), vec![place.clone()])? == 0 {
            return Err(Problem::not_found("stock level of", &place.0));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Set many stock levels
#[utoipa::path(post, path = "/v1/stock/batch", tag = "stock", request_body = StockBatch,
    responses((status = 200, description = "What was changed", body = BatchAnswer)))]
pub(crate) async fn put_stock_levels(
    State(app): State<Shared>,
    Json(batch): Json<StockBatch>,
) -> Result<Response, Problem> {
    check_batch_size(batch.upsert.len() + batch.delete.len())?;
    blocking(move || {
        let now = app.parts.clock.now();
        let mut mistakes: Vec<Mistake> = Vec::new();
        let wires: Vec<Option<StockWire>> = read_each(batch.upsert, "upsert", &mut mistakes);
        let mut put = Vec::with_capacity(wires.len());
        for (place, wire) in wires.into_iter().enumerate() {
            let mut reading = Reading::at(format!("upsert[{place}]"), &mut mistakes);
            put.extend(wire.and_then(|wire| wire.read(&mut reading, now)));
        }
        let wires: Vec<Option<PlaceWire>> = read_each(batch.delete, "delete", &mut mistakes);
        let mut remove = Vec::with_capacity(wires.len());
        for (place, wire) in wires.into_iter().enumerate() {
            let mut reading = Reading::at(format!("delete[{place}]"), &mut mistakes);
            remove.extend(wire.and_then(|wire| wire.read(&mut reading)));
        }
        let errors = keep_sound(mistakes, put.len() + remove.len(), batch.all_or_nothing)?;
        let upserted = put.len();
        let deleted = app.parts.shop.write_stock(put, remove)?;
        Ok(Answered(BatchAnswer { upserted, patched: 0, deleted, errors }).into_response())
    })
    .await
}

fn store_one(app: &crate::app::App, place: StockPlace, wire: StockQuantity) -> Result<Response, Problem> {
    let (product, variant, location) = place;
    let level = StockLevel { product, variant, location, quantity: wire.quantity, updated_at: app.parts.clock.now() };
    app.parts.shop.write_stock(vec![level.clone()], Vec::new())?;
    Ok(Answered(StockWire::from(level)).into_response())
}
