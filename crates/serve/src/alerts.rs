//! Alerts over HTTP: what is open, who knows of it, and who is told.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merx_decide::{Alert, AlertError, AlertKind, AlertState, Delivery, MOST_TRIES, Raise, Severity, Target, Webhook};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::automations::NewestQuery;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_URL: usize = 2_000;
/// Bytes of a webhook's secret; the Standard Webhooks specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertAnswer {
    #[schema(minimum = 1)]
    number: u64,
    /// guardrail, kpi, budget, slo, data_quality, drift, fairness, test.
    #[schema(example = "guardrail")]
    kind: &'static str,
    /// notice, warning, critical.
    severity: &'static str,
    /// open, acknowledged, resolved.
    state: &'static str,
    #[schema(format = DateTime)]
    at: String,
    /// When it was seen last, where that was more than once.
    #[schema(format = DateTime)]
    last_at: Option<String>,
    times: u64,
    /// The engine that it is about; empty where it is about none.
    automation: String,
    words: String,
    /// The figures behind the words.
    #[schema(value_type = Object)]
    detail: Value,
    acknowledged_by: Option<String>,
    #[schema(format = DateTime)]
    acknowledged_at: Option<String>,
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
}

impl From<Alert> for AlertAnswer {
    fn from(alert: Alert) -> Self {
        Self {
            number: alert.number,
            kind: alert.kind.name(),
            severity: alert.severity.name(),
            state: alert.state.name(),
            at: alert.at.to_string(),
            last_at: alert.last_at.map(|at| at.to_string()),
            times: alert.times,
            automation: alert.automation,
            words: alert.words,
            detail: if alert.detail.is_null() { serde_json::json!({}) } else { alert.detail },
            acknowledged_by: alert.acknowledged_by,
            acknowledged_at: alert.acknowledged_at.map(|at| at.to_string()),
            resolved_at: alert.resolved_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// Newest first.
    items: Vec<AlertAnswer>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertQuery {
    /// How many, newest first.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// Only these: open, acknowledged, resolved.
    #[param(inline)]
    state: Option<StateWire>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWire {
    Open,
    Acknowledged,
    Resolved,
}

impl From<AlertError> for Problem {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::UnknownAlert(number) => Self::not_found("alert", number),
            AlertError::UnknownWebhook(id) => Self::not_found("webhook", id),
            AlertError::Refused(detail) => Self::because(Code::Conflict, detail),
            AlertError::Store(error) => error.into(),
        }
    }
}

/// List alerts
///
/// What somebody should know of: automations that were stepped back, capped or burn their objectives, data and features that are not what
/// they were.
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts", params(AlertQuery),
    responses((status = 200, description = "Newest first", body = AlertList)))]
pub(crate) async fn list_alerts(
    State(app): State<Shared>,
    Query(query): Query<AlertQuery>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let limit = mistakes.within("limit".to_owned(), query.limit.unwrap_or(100), 1, 1_000);
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    let wanted = query.state.map(|state| match state {
        StateWire::Open => AlertState::Open,
        StateWire::Acknowledged => AlertState::Acknowledged,
        StateWire::Resolved => AlertState::Resolved,
    });
    blocking(move || {
        // Of one state there may be none among the newest.
        let looked_at = if wanted.is_some() { 20_000 } else { limit };
        let alerts = app.parts.automations.book().list(looked_at)?.into_iter();
        let alerts = alerts.filter(|alert| wanted.is_none_or(|state| alert.state == state)).take(limit);
        Ok(Answered(AlertList { items: alerts.map(AlertAnswer::from).collect() }).into_response())
    })
    .await
}

/// Acknowledge an alert
///
/// Somebody knows of it. While it isn't over no other of its kind is raised.
#[utoipa::path(post, path = "/v1/alerts/{number}/acknowledge", tag = "alerts",
    params(("number" = u64, Path, description = "The alert's number", minimum = 1)),
    responses((status = 200, description = "As it is now", body = AlertAnswer),
        (status = 409, description = "It isn't open", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn acknowledge_alert(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(number): PathId<u64>,
) -> Result<Response, Problem> {
    blocking(move || {
        let alert = app.parts.automations.book().acknowledge(number, caller.acts(&app).act())?;
        Ok(Answered(AlertAnswer::from(alert)).into_response())
    })
    .await
}

// ---- Who is told ----

/// An address that is told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/hooks/merx", "kinds": ["guardrail", "slo"]}))]
pub(crate) struct NewWebhook {
    /// http or https.
    #[schema(max_length = 2000)]
    url: String,
    /// Kinds of alerts; none: all.
    #[serde(default)]
    kinds: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookAnswer {
    #[schema(example = "wh_3f9a1c0b7d2e")]
    id: String,
    url: String,
    kinds: Vec<&'static str>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// Signs what is sent. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: Option<String>,
}

impl WebhookAnswer {
    fn of(webhook: Webhook, with_secret: bool) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url,
            kinds: webhook.kinds.into_iter().map(AlertKind::name).collect(),
            created_by: webhook.created_by,
            created_at: webhook.created_at.to_string(),
            secret: with_secret.then_some(webhook.secret),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    items: Vec<WebhookAnswer>,
}

/// List webhooks
///
/// Without their secrets, which are shown once.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks",
    responses((status = 200, description = "By id", body = WebhookList)))]
pub(crate) async fn list_webhooks(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let webhooks = app.parts.automations.book().webhooks()?.into_iter();
        let items = webhooks.map(|webhook| WebhookAnswer::of(webhook, false)).collect();
        Ok(Answered(WebhookList { items }).into_response())
    })
    .await
}

/// Add a webhook
///
/// Alerts are posted to it as JSON with the headers of the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and
/// `webhook-signature` (HMAC-SHA256 by the secret). What isn't answered with 2xx within ten seconds is tried again after 5 s, 5 min,
/// 30 min, 2 h, 5 h, 10 h and 10 h, then given up.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, description = "The webhook, with its secret this once", body = WebhookAnswer),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn add_webhook(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<NewWebhook>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    if !is_address(&request.url) {
        mistakes.add("url".to_owned(), "invalid_url", "an address begins with http:// or https:// and names a host");
    }
    let mut kinds = Vec::new();
    for (place, name) in request.kinds.iter().enumerate() {
        match AlertKind::from_name(name) {
            Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
            Some(_) => {}
            None => {
                mistakes.add(format!("kinds[{place}]"), "unknown_kind", format!("there are no alerts of kind {name:?}"))
            }
        }
    }
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let mut random = [0; SECRET_BYTES + 6];
        getrandom::fill(&mut random).map_err(|error| Problem::because(Code::Internal, error.to_string()))?;
        let (secret, id) = random.split_at(SECRET_BYTES);
        let acts = caller.acts(&app);
        let webhook = Webhook {
            id: id.iter().fold("wh_".to_owned(), |text, byte| format!("{text}{byte:02x}")),
            url: request.url,
            secret: format!("whsec_{}", STANDARD.encode(secret)),
            kinds,
            created_by: acts.act().by.to_owned(),
            created_at: acts.act().at,
        };
        app.parts.automations.book().add_webhook(webhook.clone(), acts.act())?;
        Ok((StatusCode::CREATED, Answered(WebhookAnswer::of(webhook, true))).into_response())
    })
    .await
}

/// Remove a webhook
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id", example = "wh_3f9a1c0b7d2e")),
    responses((status = 204, description = "It is told nothing more")))]
pub(crate) async fn remove_webhook(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.automations.book().remove_webhook(&id, caller.acts(&app).act())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Raise a test alert
///
/// To see whether everybody is told who should be.
#[utoipa::path(post, path = "/v1/alerts/test", tag = "webhooks",
    responses((status = 200, description = "The alert", body = AlertAnswer)))]
pub(crate) async fn test_alert(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    blocking(move || {
        let (book, now) = (app.parts.automations.book(), app.parts.clock.now());
        let by = caller.acts(&app).act().by.to_owned();
        let raise = Raise::new(AlertKind::Test, "test", format!("{by} wanted to see whether alerts arrive"));
        // One that was forgotten is over now, so that this one is told.
        book.resolve("test", now)?;
        let raised = book.raise(raise.with_severity(Severity::Notice), now)?;
        book.resolve("test", now)?;
        let raised = raised.ok_or_else(|| Problem::because(Code::Conflict, "another test is under way"))?;
        let target = raised.number.to_string();
        app.parts.audit.note(caller.acts(&app).act(), "alert.tested", &target, &serde_json::Value::Null)?;
        Ok(Answered(AlertAnswer::from(raised)).into_response())
    })
    .await
}

/// Whether something can be posted there.
pub(crate) fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.len() <= MAX_URL
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
        && url.parse::<axum::http::Uri>().is_ok()
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryAnswer {
    /// The `webhook-id` of every try.
    id: String,
    alert: u64,
    /// The webhook's id, or `mail`.
    to: String,
    /// waiting, delivered, dead.
    state: &'static str,
    tries: u32,
    most_tries: u32,
    #[schema(format = DateTime)]
    due_at: String,
    last_error: Option<String>,
}

impl From<Delivery> for DeliveryAnswer {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id(),
            alert: delivery.alert,
            to: match delivery.target {
                Target::Webhook(id) => id,
                Target::Mail => "mail".to_owned(),
            },
            state: delivery.state.name(),
            tries: delivery.tries,
            most_tries: MOST_TRIES,
            due_at: delivery.due_at.to_string(),
            last_error: delivery.last_error,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    /// Newest first.
    items: Vec<DeliveryAnswer>,
    /// Never made, for too many waited; since the start.
    untold: u64,
}

/// List deliveries
///
/// Who was told of which alert, and who is to be told again.
#[utoipa::path(get, path = "/v1/deliveries", tag = "webhooks", params(NewestQuery),
    responses((status = 200, description = "Newest first", body = DeliveryList)))]
pub(crate) async fn list_deliveries(
    State(app): State<Shared>,
    Query(query): Query<NewestQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit()?;
    blocking(move || {
        let book = app.parts.automations.book();
        let items = book.deliveries(limit)?.into_iter().map(DeliveryAnswer::from).collect();
        Ok(Answered(DeliveryList { items, untold: book.untold() }).into_response())
    })
    .await
}
