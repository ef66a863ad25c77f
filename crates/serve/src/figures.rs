//! What automations earn, the shop's figures, and how well the data behind them does.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::{Filter, TimestampMs};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::body::{Answered, Json, Query, blocking};
use crate::ports::{FairnessQuestion, ProductGroup, ShopperGroups};
use crate::problem::{Mistakes, Problem};
use crate::routes::Shared;

const MAX_GROUPS: usize = 20;
const MAX_DECISIONS: usize = 20_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ValueQuery {
    /// Nothing before counts; by default all since an automation has its mode.
    #[param(format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Option<String>,
    /// An order counts as led to by a decision within so many days of the click or cart.
    #[param(minimum = 1, maximum = 30, default = 7)]
    window_days: Option<usize>,
}

/// What each automation earns
///
/// Revenue of those who get it against those who go without (its holdout, or the people outside its canary), with a 95 % interval, less its
/// running costs; how long until its one-time cost is paid back; and, beside that, what decisions led to by their ids. An automation that
/// nobody goes without is not measured, and says so.
#[utoipa::path(get, path = "/v1/value", tag = "figures", params(ValueQuery),
    responses((status = 200, description = "By automation", body = Object)))]
pub(crate) async fn value_report(
    State(app): State<Shared>,
    Query(query): Query<ValueQuery>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let window_days = mistakes.within("window_days".to_owned(), query.window_days.unwrap_or(7), 1, 30);
    let from = query.from.as_deref().map(|text| TimestampMs::parse(text).ok_or("write times as 2026-01-31T12:00:00Z"));
    let from = from.and_then(|read| mistakes.taken("from".to_owned(), "invalid_timestamp", read));
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || Ok(Answered(app.parts.reports.value(from, window_days)?).into_response())).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KpiQuery {
    /// Whole days up to yesterday, beside as many before.
    #[param(minimum = 1, maximum = 180, default = 28)]
    days: Option<i32>,
}

/// The shop's figures
///
/// One tree: each figure says what it moves, whether it leads or lags, its value, that of as many days before, and where there is none, why.
#[utoipa::path(get, path = "/v1/kpis", tag = "figures", params(KpiQuery),
    responses((status = 200, description = "Parents first", body = Object)))]
pub(crate) async fn kpis(State(app): State<Shared>, Query(query): Query<KpiQuery>) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let days = mistakes.within("days".to_owned(), query.days.unwrap_or(28), 1, 180);
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || Ok(Answered(app.parts.reports.kpis(days)?).into_response())).await
}

/// The shop's people by segment
///
/// By stage (newcomers, prospects, first buyers, regulars, at risk, lapsed), spending, open carts, device and market: how many they are,
/// how many were here lately, what they ordered, and how many of them models may follow. Whoever doesn't allow to be measured is in no
/// segment and counted apart. Nobody is named, and of a segment of fewer than five people nothing is told. Counted every five minutes at most.
#[utoipa::path(get, path = "/v1/segments", tag = "figures",
    responses((status = 200, description = "By group, in the order of a customer's life", body = Object)))]
pub(crate) async fn people_segments(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(app.parts.reports.people()?).into_response())).await
}

/// Whether what senders tell can be trusted
///
/// The last whole day beside the four weeks before: volume, missing values, unknown products, late and repeated events, events of machines.
#[utoipa::path(get, path = "/v1/data-quality", tag = "quality",
    responses((status = 200, description = "By check", body = Object)))]
pub(crate) async fn data_quality(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(app.parts.reports.data_quality()?).into_response())).await
}

/// Whether features and predictions drift
///
/// Of every engine, the newest decisions against the saved reference: population stability index and the distance of Kolmogorov and
/// Smirnov, with thresholds that know how many values there are.
#[utoipa::path(get, path = "/v1/drift", tag = "quality",
    responses((status = 200, description = "By engine and number", body = Object)))]
pub(crate) async fn drift(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(app.parts.reports.drift()?).into_response())).await
}

/// Save the reference of drift
///
/// The newest decisions are from now on what is called usual. It is saved by itself once a new version has made a thousand decisions.
#[utoipa::path(post, path = "/v1/drift/reference", tag = "quality",
    responses((status = 200, description = "What is compared with from now on", body = Object)))]
pub(crate) async fn save_reference(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    blocking(move || {
        let page = app.parts.reports.save_reference()?;
        app.parts.audit.note(caller.acts(&app).act(), "drift.reference_saved", "drift", &serde_json::Value::Null)?;
        Ok(Answered(page).into_response())
    })
    .await
}

/// Groups to be compared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"products": [{"name": "own brand", "filter": "brand = 'Ours'"}], "shoppers": "device"}))]
pub(crate) struct FairnessRequest {
    /// Each with a filter, as requests have them; a product may be in several.
    #[serde(default)]
    #[schema(max_items = 20)]
    products: Vec<GroupWire>,
    /// What shoppers are told apart by.
    #[serde(default)]
    shoppers: ShoppersWire,
    /// Of the newest recommendations.
    #[serde(default = "five_thousand")]
    #[schema(minimum = 1, maximum = 20000, default = 5000)]
    decisions: usize,
}

fn five_thousand() -> usize {
    5_000
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductGroup)]
pub(crate) struct GroupWire {
    #[schema(example = "own brand")]
    name: String,
    #[schema(example = "brand = 'Ours'")]
    filter: String,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ShopperGroups)]
pub(crate) enum ShoppersWire {
    #[default]
    Device,
    Market,
}

/// Who is shown how much, and to whom what
///
/// Of the newest recommendations: the exposure of groups of products beside their part of the catalogue, prices and failures by groups of
/// shoppers, clicks by place, and how much of the exposure goes to few products.
#[utoipa::path(post, path = "/v1/fairness", tag = "quality", request_body = FairnessRequest,
    responses((status = 200, description = "Exposure, parity, places, popularity", body = Object)))]
pub(crate) async fn fairness(
    State(app): State<Shared>,
    Json(request): Json<FairnessRequest>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    mistakes.within("products".to_owned(), request.products.len(), 0, MAX_GROUPS);
    let decisions = mistakes.within("decisions".to_owned(), request.decisions, 1, MAX_DECISIONS);
    let mut products = Vec::new();
    for (place, group) in request.products.into_iter().take(MAX_GROUPS).enumerate() {
        let at = format!("products[{place}].filter");
        if let Some(filter) = mistakes.taken(at, "invalid_filter", Filter::parse(&group.filter)) {
            products.push(ProductGroup { name: group.name, filter });
        }
    }
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    let shoppers = match request.shoppers {
        ShoppersWire::Device => ShopperGroups::Device,
        ShoppersWire::Market => ShopperGroups::Market,
    };
    let question = FairnessQuestion { products, shoppers, decisions };
    blocking(move || Ok(Answered(app.parts.reports.fairness(&question)?).into_response())).await
}
