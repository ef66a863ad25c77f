//! Merchants' rules for recommendations over HTTP: `wire.rs` is how a rule stands on the wire, `book.rs` keeps and applies them.

mod book;
mod wire;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use merx_domain::TimestampMs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, blocking};
use crate::privacy::Look;
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::recommend::{self, RecommendPreview, RecommendRequest, personal};
use crate::routes::Shared;
use crate::search::merchandise::no_mistakes;
use crate::tracking::has_privacy_signal;
pub(crate) use book::{MIGRATION, Strip, overrule};
pub use book::{SlotConsequence, SlotRule, SlotRuleBook, SlotRuleError};
use wire::RuleWire;

const MAX_DRAFTS: usize = 100;

impl From<SlotRuleError> for Problem {
    fn from(error: SlotRuleError) -> Self {
        match error {
            SlotRuleError::TooMany => Self::because(Code::Conflict, error.to_string()),
            SlotRuleError::Store(error) => error.into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SlotRuleList)]
pub(crate) struct RuleList {
    items: Vec<RuleWire>,
}

/// List rules for slots
///
/// What merchants set for recommendations, in the order in which rules have their way.
#[utoipa::path(get, path = "/v1/slot-rules", tag = "recommendations",
    responses((status = 200, description = "All rules", body = RuleList)))]
pub(crate) async fn list_slot_rules(State(app): State<Shared>) -> Response {
    let items = app.parts.slot_rules.rules().iter().cloned().map(RuleWire::from).collect();
    Answered(RuleList { items }).into_response()
}

/// Read a rule for slots
#[utoipa::path(get, path = "/v1/slot-rules/{id}", tag = "recommendations",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = RuleWire)))]
pub(crate) async fn get_slot_rule(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    let rule = app.parts.slot_rules.rule(&id).ok_or_else(|| Problem::not_found("rule", &id))?;
    Ok(Answered(RuleWire::from(rule)).into_response())
}

/// Set a rule for slots
///
/// Recommendations go by it as soon as this is answered: they pin, hide, boost and bury as it says, and say so in their records. The audit
/// log keeps what stood there before.
#[utoipa::path(put, path = "/v1/slot-rules/{id}", tag = "recommendations", request_body = RuleWire,
    params(("id" = String, Path, description = "The rule's id", max_length = 200)),
    responses((status = 200, description = "As it stands now", body = RuleWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_slot_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(rule): Json<RuleWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        let rule = RuleWire { id, ..rule }.read("", &mut mistakes);
        no_mistakes(mistakes)?;
        let detail = json!({ "before": on_record(&app, &rule.id), "after": RuleWire::from(rule.clone()) });
        app.parts.slot_rules.put(&rule, detail, caller.acts(&app).act())?;
        Ok(Answered(RuleWire::from(rule)).into_response())
    })
    .await
}

/// Remove a rule for slots
#[utoipa::path(delete, path = "/v1/slot-rules/{id}", tag = "recommendations",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_slot_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let detail = json!({ "before": on_record(&app, &id) });
        if !app.parts.slot_rules.remove(&id, detail, caller.acts(&app).act())? {
            return Err(Problem::not_found("rule", &id));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn on_record(app: &App, id: &str) -> Value {
    app.parts.slot_rules.rule(id).map_or(Value::Null, |rule| json!(RuleWire::from(rule)))
}

/// A request for recommendations, and the rules that it would go by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SlotPreviewRequest, example = json!({"recommend": {"slots": [{"scenario": "popular"}]},
    "rules": [{"id": "draft", "consequences": [{"type": "hide", "product_id": "p1"}]}]}))]
pub(crate) struct PreviewRequest {
    recommend: RecommendRequest,
    /// Drafts: each stands in for the rule of its id, or beside those there are.
    #[serde(default)]
    #[schema(max_items = 100)]
    rules: Vec<RuleWire>,
    /// The moment that schedules are held against; now where it is left out.
    #[serde(default)]
    #[schema(nullable = false, format = DateTime)]
    at: Option<String>,
}

/// Preview rules for slots
///
/// What the models would recommend if drafts of rules were set. No decision is recorded, no experiment deals an arm, and nobody else sees it.
/// Where a person is named, the look at them is noted with the `X-Reason` of the request.
#[utoipa::path(post, path = "/v1/slot-rules/preview", tag = "recommendations", request_body = PreviewRequest,
    responses((status = 200, description = "What would be shown", body = RecommendPreview<'static>)))]
pub(crate) async fn preview_slot_rules(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<PreviewRequest>,
) -> Result<Response, Problem> {
    let question = recommend::question(&app, &caller, request.recommend, has_privacy_signal(&headers))?;
    let mut mistakes = Mistakes::default();
    mistakes.within("rules".into(), request.rules.len(), 0, MAX_DRAFTS);
    let drafts: Vec<SlotRule> = request
        .rules
        .into_iter()
        .enumerate()
        .map(|(number, rule)| rule.read(&format!("rules[{number}]"), &mut mistakes))
        .collect();
    let at = request.at.as_deref().map(TimestampMs::parse);
    if at == Some(None) {
        mistakes.add("at".into(), "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
    }
    no_mistakes(mistakes)?;
    let look = Look::of(&caller, &headers);
    let work = move || {
        // What would be shown to a person tells what they did.
        if let Some(subject) = question.subject(&app) {
            look.note(&app, "recommendations", Some(subject))?;
        }
        let mut rules = Vec::clone(&app.parts.slot_rules.rules());
        rules.retain(|rule| drafts.iter().all(|draft| draft.id != rule.id));
        rules.extend(drafts);
        recommend::preview(&app, question, &book::in_order(rules), at.flatten())
    };
    Ok(personal(blocking(work).await?))
}
