//! Merchants' rules and synonyms over HTTP: `rule.rs` is how a rule stands on the wire, `synonyms.rs` has the synonyms.

mod rule;
pub(crate) mod synonyms;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_decide::RequestShelf;
use merx_domain::TimestampMs;
use merx_domain::merchandising::{Rule, Synonym};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::{self, FoundAnswer};
use super::{SearchRequest, asked, read};
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::merchandise::{Change, Kind, MerchandiseError};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::recommend::personal;
use crate::routes::Shared;
pub(crate) use rule::{AnchoringWire, ConditionWire, ConsequenceWire, QueryConditionWire, RuleWire};
pub(crate) use synonyms::SynonymWire;

const MAX_ID_BYTES: usize = 200;
const MAX_TEXT_BYTES: usize = 512;
const MAX_LIST: usize = 100;
const MAX_DRAFTS: usize = 100;
const MAX_CHANGES: usize = 1_000;

pub(crate) fn check_id(at: &str, id: &str, mistakes: &mut Mistakes) {
    if id.trim().is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        mistakes.add(
            at.to_owned(),
            "invalid_id",
            format!("expected 1 to {MAX_ID_BYTES} bytes without control characters"),
        );
    }
}

fn check_text(at: &str, text: &str, mistakes: &mut Mistakes) {
    if text.len() > MAX_TEXT_BYTES {
        mistakes.add(at.to_owned(), "too_long", format!("{} bytes are more than {MAX_TEXT_BYTES}", text.len()));
    }
}

fn check_words(at: &str, words: &[String], mistakes: &mut Mistakes) {
    mistakes.within(at.to_owned(), words.len(), 0, MAX_LIST);
    for (number, word) in words.iter().enumerate() {
        let at = format!("{at}[{number}]");
        check_text(&at, word, mistakes);
        if word.trim().is_empty() {
            mistakes.add(at, "empty", "expected a word");
        }
    }
}

impl From<MerchandiseError> for Problem {
    fn from(error: MerchandiseError) -> Self {
        match error {
            MerchandiseError::TooMany(_) => Self::because(Code::Conflict, error.to_string()),
            MerchandiseError::NoProposal(id) => Self::not_found("waiting proposal", id),
            MerchandiseError::Store(error) => error.into(),
        }
    }
}

pub(crate) fn made_by(caller: &Caller) -> String {
    caller.0.as_ref().map_or_else(String::new, |key| key.id.clone())
}

pub(crate) fn no_mistakes(mistakes: Mistakes) -> Result<(), Problem> {
    if mistakes.0.is_empty() { Ok(()) } else { Err(Problem::mistakes(mistakes.0)) }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchRuleList)]
pub(crate) struct RuleList {
    items: Vec<RuleWire>,
}

/// List rules
///
/// What merchants set for searches, in the order of their ids.
#[utoipa::path(get, path = "/v1/search/rules", tag = "search",
    responses((status = 200, description = "All rules", body = RuleList)))]
pub(crate) async fn list_rules(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.merchandise.rules()?.into_iter().map(RuleWire::from).collect();
        Ok(Answered(RuleList { items }).into_response())
    })
    .await
}

/// Read a rule
#[utoipa::path(get, path = "/v1/search/rules/{id}", tag = "search",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = RuleWire)))]
pub(crate) async fn get_rule(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let rule = app.parts.merchandise.rule(&id)?.ok_or_else(|| Problem::not_found("rule", &id))?;
        Ok(Answered(RuleWire::from(rule)).into_response())
    })
    .await
}

/// Set a rule
///
/// Searches go by it as soon as this is answered. The log of changes keeps what stood there before.
#[utoipa::path(put, path = "/v1/search/rules/{id}", tag = "search", request_body = RuleWire,
    params(("id" = String, Path, description = "The rule's id", max_length = 200)),
    responses((status = 200, description = "As it stands now", body = RuleWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(rule): Json<RuleWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        let rule = RuleWire { id, ..rule }.read(&app, "", &mut mistakes);
        no_mistakes(mistakes)?;
        app.parts.merchandise.put_rule(&rule, &made_by(&caller), app.parts.clock.now())?;
        app.parts.searches.merchandise_changed();
        Ok(Answered(RuleWire::from(rule)).into_response())
    })
    .await
}

/// Remove a rule
#[utoipa::path(delete, path = "/v1/search/rules/{id}", tag = "search",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || remove(&app, &caller, Kind::Rule, &id)).await
}

fn remove(app: &App, caller: &Caller, kind: Kind, id: &str) -> Result<Response, Problem> {
    if !app.parts.merchandise.remove(kind, id, &made_by(caller), app.parts.clock.now())? {
        return Err(Problem::not_found(if kind == Kind::Rule { "rule" } else { "synonym" }, id));
    }
    app.parts.searches.merchandise_changed();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A search, and the rules and synonyms that it would go by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchPreviewRequest, example = json!({"search": {"query": "bag"},
    "rules": [{"id": "draft", "consequences": [{"type": "redirect", "url": "/bags"}]}]}))]
pub(crate) struct PreviewRequest {
    search: SearchRequest,
    /// Drafts: each stands in for the rule of its id, or beside those there are.
    #[serde(default)]
    #[schema(max_items = 100)]
    rules: Vec<RuleWire>,
    #[serde(default)]
    #[schema(max_items = 100)]
    synonyms: Vec<SynonymWire>,
    /// The moment that schedules are held against; now where it is left out.
    #[serde(default)]
    #[schema(nullable = false, format = DateTime)]
    at: Option<String>,
}

/// Preview rules
///
/// What a search would answer if drafts of rules and synonyms were set. Nothing is recorded, and nobody else sees it. Who asks plays no part.
#[utoipa::path(post, path = "/v1/search/preview", tag = "search", request_body = PreviewRequest,
    responses((status = 200, description = "What would be found", body = FoundAnswer)))]
pub(crate) async fn preview(
    State(app): State<Shared>,
    Json(request): Json<PreviewRequest>,
) -> Result<Response, Problem> {
    asked::check_ready(&app)?;
    let asked = read(&app, request.search, false)?;
    let mut mistakes = Mistakes::default();
    mistakes.within("rules".into(), request.rules.len(), 0, MAX_DRAFTS);
    mistakes.within("synonyms".into(), request.synonyms.len(), 0, MAX_DRAFTS);
    let drafts: Vec<Rule> = request
        .rules
        .into_iter()
        .enumerate()
        .map(|(number, rule)| rule.read(&app, &format!("rules[{number}]"), &mut mistakes))
        .collect();
    let drafted: Vec<(String, Synonym)> = request
        .synonyms
        .into_iter()
        .enumerate()
        .filter_map(|(number, synonym)| {
            Some((synonym.id.clone(), synonym.read(&format!("synonyms[{number}]"), &mut mistakes)?))
        })
        .collect();
    let at = request.at.as_deref().map(TimestampMs::parse);
    if at == Some(None) {
        mistakes.add("at".into(), "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
    }
    no_mistakes(mistakes)?;
    let work = move || {
        let mut rules = app.parts.merchandise.rules()?;
        rules.retain(|rule| drafts.iter().all(|draft| draft.id != rule.id));
        rules.extend(drafts);
        let mut synonyms = app.parts.merchandise.synonyms()?;
        synonyms.retain(|(id, _)| drafted.iter().all(|(draft, _)| draft != id));
        synonyms.extend(drafted);
        let synonyms = synonyms.into_iter().map(|(_, synonym)| synonym).collect();
        let mut situation = asked::nobody(&app, asked.market.clone());
        situation.now = at.flatten().unwrap_or(situation.now);
        let catalogue = app.parts.catalogue.read();
        let shelf = RequestShelf::new(catalogue, asked.market.clone(), situation.now, Vec::new(), &[]);
        let answer = app.parts.searches.preview(&situation, &asked.ask, &shelf, &rules, synonyms);
        let answer = answer.map_err(|error| Problem::because(Code::Unavailable, error.to_string()))?;
        wire::write_preview(&app, &answer, &asked.market, shelf.catalogue())
    };
    Ok(personal(blocking(work).await?))
}

#[derive(Serialize, ToSchema)]
#[schema(as = MerchandiseChange)]
pub(crate) struct ChangeWire {
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The id of the key that it was made with.
    made_by: String,
    kind: Kind,
    id: String,
    /// What stood there; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    /// What stands there since; absent after a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    after: Option<serde_json::Value>,
}

impl From<Change> for ChangeWire {
    fn from(change: Change) -> Self {
        let shown = |body: serde_json::Value| match change.kind {
            Kind::Rule => serde_json::from_value::<Rule>(body.clone())
                .ok()
                .and_then(|rule| serde_json::to_value(RuleWire::from(rule)).ok())
                .unwrap_or(body),
            Kind::Synonym => serde_json::from_value::<Synonym>(body.clone())
                .ok()
                .and_then(|synonym| serde_json::to_value(SynonymWire::of(change.id.clone(), synonym)).ok())
                .unwrap_or(body),
        };
        Self {
            number: change.number,
            at: change.at.to_string(),
            made_by: change.made_by,
            kind: change.kind,
            before: change.before.map(shown),
            after: change.after.map(shown),
            id: change.id,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = MerchandiseChangeList)]
pub(crate) struct ChangeList {
    items: Vec<ChangeWire>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// Older than the change of this number.
    #[param(minimum = 1)]
    before: Option<u64>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// The log of rules and synonyms
///
/// Who changed what, when, and what stood there before and after. The newest 20,000 changes are kept.
#[utoipa::path(get, path = "/v1/search/changes", tag = "search", params(ChangesQuery),
    responses((status = 200, description = "Newest first", body = ChangeList)))]
pub(crate) async fn list_changes(
    State(app): State<Shared>,
    Query(query): Query<ChangesQuery>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let limit = mistakes.within("limit".into(), query.limit.unwrap_or(100), 1, MAX_CHANGES);
    no_mistakes(mistakes)?;
    blocking(move || {
        let items = app.parts.merchandise.changes(query.before, limit)?.into_iter().map(ChangeWire::from).collect();
        Ok(Answered(ChangeList { items }).into_response())
    })
    .await
}
