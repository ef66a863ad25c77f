//! Merchants' rules and synonyms over HTTP.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_decide::RequestShelf;
use merx_domain::merchandising::{Anchoring, Condition, Consequence, QueryCondition, Rule, Synonym};
use merx_domain::{MarketId, ProductId, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::{self, FoundAnswer};
use super::{SearchRequest, asked, read, read_filter};
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::merchandise::{Change, Kind, MerchandiseError, Proposal};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::recommend::{Mistakes, personal};
use crate::routes::Shared;

const MAX_ID_BYTES: usize = 200;
const MAX_TEXT_BYTES: usize = 512;
const MAX_LIST: usize = 100;
const MAX_BANNER_BYTES: usize = 10_000;
const MAX_POSITION: usize = 1_000;
const MAX_DRAFTS: usize = 100;
const MAX_CHANGES: usize = 1_000;

/// What a merchant wants of certain searches.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRule, example = json!({
    "name": "Summer sale", "conditions": [{"query": {"text": "bag", "match": "contains"}}],
    "consequences": [{"type": "boost", "filter": "category = \"Bags\"", "strength": 0.5},
        {"type": "banner", "data": {"image": "/sale.jpg"}}],
}))]
pub(crate) struct RuleWire {
    /// The path names it; in a list and in drafts it stands here.
    #[serde(default)]
    #[schema(max_length = 200)]
    id: String,
    /// What it is for, in words.
    #[serde(default)]
    #[schema(max_length = 512)]
    name: String,
    #[serde(default = "yes")]
    enabled: bool,
    /// Where only one rule can have its way, the one of the higher priority does.
    #[serde(default)]
    priority: i32,
    /// One of them must hold; none: always.
    #[serde(default)]
    #[schema(max_items = 100)]
    conditions: Vec<ConditionWire>,
    /// Empty: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    markets: Vec<String>,
    /// Segments or contexts that a request names, one of which it must have; empty: everybody.
    #[serde(default)]
    #[schema(max_items = 100)]
    segments: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    from: Option<String>,
    /// No longer at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
    #[schema(min_items = 1, max_items = 100)]
    consequences: Vec<ConsequenceWire>,
}

fn yes() -> bool {
    true
}

/// All that is given must hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRuleCondition)]
pub(crate) struct ConditionWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    query: Option<QueryConditionWire>,
    /// The category page that the search happens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    segment: Option<String>,
}

/// Whole words are compared, without regard to case and accents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRuleQuery)]
pub(crate) struct QueryConditionWire {
    #[schema(max_length = 512)]
    text: String,
    #[serde(rename = "match", default)]
    anchoring: AnchoringWire,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchRuleMatch)]
pub(crate) enum AnchoringWire {
    #[default]
    Is,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = SearchRuleConsequence)]
pub(crate) enum ConsequenceWire {
    /// Stands at this place, counted from 1, wherever the product may be shown at all.
    Pin {
        product_id: String,
        #[schema(minimum = 1, maximum = 1000)]
        position: usize,
    },
    Hide {
        product_id: String,
    },
    /// Scores of what passes are multiplied by 1 + strength.
    Boost {
        filter: String,
        #[schema(minimum = 0, maximum = 10)]
        strength: f32,
    },
    /// Scores of what passes are multiplied by 1 - strength.
    Bury {
        filter: String,
        #[schema(minimum = 0, maximum = 1)]
        strength: f32,
    },
    ReplaceQuery {
        text: String,
    },
    RemoveWords {
        words: Vec<String>,
    },
    /// Only what passes is found.
    Filter {
        filter: String,
    },
    /// The front end sends the shopper there: an address, or a path of the shop.
    Redirect {
        url: String,
    },
    /// JSON for the front end, handed on as it is.
    Banner {
        #[schema(value_type = Object)]
        data: serde_json::Value,
    },
}

/// Words that mean the same (`words`), or a word whose searches find others too (`from` and `to`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchSynonym, example = json!({"words": ["sofa", "couch"]}))]
pub(crate) struct SynonymWire {
    /// The path names it; in a list it stands here.
    #[serde(default)]
    #[schema(max_length = 200)]
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    words: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    to: Vec<String>,
}

impl RuleWire {
    fn read(self, app: &App, at: &str, mistakes: &mut Mistakes) -> Rule {
        let place = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        check_id(&place("id"), &self.id, mistakes);
        check_text(&place("name"), &self.name, mistakes);
        for (field, count) in
            [("conditions", self.conditions.len()), ("markets", self.markets.len()), ("segments", self.segments.len())]
        {
            mistakes.within(place(field), count, 0, MAX_LIST);
        }
        mistakes.within(place("consequences"), self.consequences.len(), 1, MAX_LIST);
        let mut time = |field: &str, text: Option<String>| {
            let read = TimestampMs::parse(text.as_deref()?);
            if read.is_none() {
                mistakes.add(place(field), "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
            }
            read
        };
        let (from, until) = (time("from", self.from), time("until", self.until));
        let markets = self.markets.into_iter().enumerate();
        let markets = markets
            .filter_map(|(number, market)| {
                mistakes.taken(place(&format!("markets[{number}]")), "invalid_id", MarketId::new(market))
            })
            .collect();
        let conditions = self.conditions.into_iter().enumerate();
        let conditions =
            conditions.map(|(number, one)| one.read(&place(&format!("conditions[{number}]")), mistakes)).collect();
        let consequences = self.consequences.into_iter().enumerate();
        let consequences = consequences
            .filter_map(|(number, one)| one.read(app, &place(&format!("consequences[{number}]")), mistakes))
            .collect();
        Rule {
            id: self.id,
            name: self.name,
            enabled: self.enabled,
            priority: self.priority,
            conditions,
            markets,
            segments: self.segments,
            from,
            until,
            consequences,
        }
    }
}

impl ConditionWire {
    fn read(self, at: &str, mistakes: &mut Mistakes) -> Condition {
        let texts = [self.query.as_ref().map(|query| &query.text), self.category.as_ref(), self.segment.as_ref()];
        for (field, text) in ["query.text", "category", "segment"].into_iter().zip(texts) {
            check_text(&format!("{at}.{field}"), text.map_or("", String::as_str), mistakes);
        }
        let query = self.query.map(|query| QueryCondition {
            text: query.text,
            anchoring: match query.anchoring {
                AnchoringWire::Is => Anchoring::Is,
                AnchoringWire::StartsWith => Anchoring::StartsWith,
                AnchoringWire::EndsWith => Anchoring::EndsWith,
                AnchoringWire::Contains => Anchoring::Contains,
            },
        });
        Condition { query, category: self.category, segment: self.segment }
    }
}

impl ConsequenceWire {
    fn read(self, app: &App, at: &str, mistakes: &mut Mistakes) -> Option<Consequence> {
        let product = |id: String, mistakes: &mut Mistakes| {
            mistakes.taken(format!("{at}.product_id"), "invalid_id", ProductId::new(id))
        };
        let filter = |text: &str, mistakes: &mut Mistakes| read_filter(app, format!("{at}.filter"), text, mistakes);
        Some(match self {
            Self::Pin { product_id, position } => {
                mistakes.within(format!("{at}.position"), position, 1, MAX_POSITION);
                Consequence::Pin { product: product(product_id, mistakes)?, place: position.saturating_sub(1) }
            }
            Self::Hide { product_id } => Consequence::Hide { product: product(product_id, mistakes)? },
            Self::Boost { filter: text, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 10.0);
                Consequence::Boost { filter: filter(&text, mistakes)?, strength }
            }
            Self::Bury { filter: text, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 1.0);
                Consequence::Boost { filter: filter(&text, mistakes)?, strength: -strength }
            }
            Self::ReplaceQuery { text } => {
                check_text(&format!("{at}.text"), &text, mistakes);
                Consequence::ReplaceQuery { text }
            }
            Self::RemoveWords { words } => {
                check_words(&format!("{at}.words"), &words, mistakes);
                Consequence::RemoveWords { words }
            }
            Self::Filter { filter: text } => Consequence::Filter { filter: filter(&text, mistakes)? },
            Self::Redirect { url } => {
                check_text(&format!("{at}.url"), &url, mistakes);
                // Nothing that a browser would run: the front end goes there.
                let leads = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
                if !leads {
                    let detail = "expected an address that begins with https://, http:// or /";
                    mistakes.add(format!("{at}.url"), "invalid_url", detail);
                }
                Consequence::Redirect { url }
            }
            Self::Banner { data } => {
                let data = data.to_string();
                mistakes.within(format!("{at}.data"), data.len(), 0, MAX_BANNER_BYTES);
                Consequence::Banner { data }
            }
        })
    }
}

impl From<Rule> for RuleWire {
    fn from(rule: Rule) -> Self {
        let time = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            id: rule.id,
            name: rule.name,
            enabled: rule.enabled,
            priority: rule.priority,
            conditions: rule.conditions.into_iter().map(ConditionWire::from).collect(),
            markets: rule.markets.iter().map(ToString::to_string).collect(),
            segments: rule.segments,
            from: time(rule.from),
            until: time(rule.until),
            consequences: rule.consequences.into_iter().map(ConsequenceWire::from).collect(),
        }
    }
}

impl From<Condition> for ConditionWire {
    fn from(condition: Condition) -> Self {
        let query = condition.query.map(|query| QueryConditionWire {
            text: query.text,
            anchoring: match query.anchoring {
                Anchoring::Is => AnchoringWire::Is,
                Anchoring::StartsWith => AnchoringWire::StartsWith,
                Anchoring::EndsWith => AnchoringWire::EndsWith,
                Anchoring::Contains => AnchoringWire::Contains,
            },
        });
        Self { query, category: condition.category, segment: condition.segment }
    }
}

impl From<Consequence> for ConsequenceWire {
    fn from(consequence: Consequence) -> Self {
        match consequence {
            Consequence::Pin { product, place } => Self::Pin { product_id: product.to_string(), position: place + 1 },
            Consequence::Hide { product } => Self::Hide { product_id: product.to_string() },
            Consequence::Boost { filter, strength } if strength < 0.0 => {
                Self::Bury { filter: filter.to_string(), strength: -strength }
            }
            Consequence::Boost { filter, strength } => Self::Boost { filter: filter.to_string(), strength },
            Consequence::ReplaceQuery { text } => Self::ReplaceQuery { text },
            Consequence::RemoveWords { words } => Self::RemoveWords { words },
            Consequence::Filter { filter } => Self::Filter { filter: filter.to_string() },
            Consequence::Redirect { url } => Self::Redirect { url },
            // What is no JSON was put in by another way than this.
            Consequence::Banner { data } => {
                Self::Banner { data: serde_json::from_str(&data).unwrap_or(serde_json::Value::String(data)) }
            }
        }
    }
}

impl SynonymWire {
    fn read(self, at: &str, mistakes: &mut Mistakes) -> Option<Synonym> {
        let place = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        check_words(&place("words"), &self.words, mistakes);
        check_words(&place("to"), &self.to, mistakes);
        match (self.from, self.words, self.to) {
            (Some(from), words, to) if words.is_empty() && !to.is_empty() => {
                check_text(&place("from"), &from, mistakes);
                Some(Synonym::OneWay { from, to })
            }
            (None, words, to) if words.len() >= 2 && to.is_empty() => Some(Synonym::Equal { words }),
            _ => {
                mistakes.add(place("words"), "wrong_form", "expected two words or more, or from and to");
                None
            }
        }
    }

    fn of(id: String, synonym: Synonym) -> Self {
        match synonym {
            Synonym::Equal { words } => Self { id, words, from: None, to: Vec::new() },
            Synonym::OneWay { from, to } => Self { id, words: Vec::new(), from: Some(from), to },
        }
    }
}

fn check_id(at: &str, id: &str, mistakes: &mut Mistakes) {
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

fn made_by(caller: &Caller) -> String {
    caller.0.as_ref().map_or_else(String::new, |key| key.id.clone())
}

fn no_mistakes(mistakes: Mistakes) -> Result<(), Problem> {
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

#[derive(Serialize, ToSchema)]
#[schema(as = SearchSynonymList)]
pub(crate) struct SynonymList {
    items: Vec<SynonymWire>,
}

/// List synonyms
#[utoipa::path(get, path = "/v1/search/synonyms", tag = "search",
    responses((status = 200, description = "All synonyms, in the order of their ids", body = SynonymList)))]
pub(crate) async fn list_synonyms(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let synonyms = app.parts.merchandise.synonyms()?.into_iter();
        let items = synonyms.map(|(id, synonym)| SynonymWire::of(id, synonym)).collect();
        Ok(Answered(SynonymList { items }).into_response())
    })
    .await
}

/// Read a synonym
#[utoipa::path(get, path = "/v1/search/synonyms/{id}", tag = "search",
    params(("id" = String, Path, description = "The synonym's id")),
    responses((status = 200, description = "The synonym", body = SynonymWire)))]
pub(crate) async fn get_synonym(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let synonym = app.parts.merchandise.synonym(&id)?.ok_or_else(|| Problem::not_found("synonym", &id))?;
        Ok(Answered(SynonymWire::of(id, synonym)).into_response())
    })
    .await
}

/// Set a synonym
///
/// Searches go by it as soon as this is answered.
#[utoipa::path(put, path = "/v1/search/synonyms/{id}", tag = "search", request_body = SynonymWire,
    params(("id" = String, Path, description = "The synonym's id", max_length = 200)),
    responses((status = 200, description = "As it stands now", body = SynonymWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(synonym): Json<SynonymWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        check_id("id", &id, &mut mistakes);
        let synonym = synonym.read("", &mut mistakes);
        no_mistakes(mistakes)?;
        let synonym = synonym.ok_or_else(|| Problem::new(Code::InvalidRequest))?;
        app.parts.merchandise.put_synonym(&id, &synonym, &made_by(&caller), app.parts.clock.now())?;
        app.parts.searches.merchandise_changed();
        Ok(Answered(SynonymWire::of(id, synonym)).into_response())
    })
    .await
}

/// Remove a synonym
#[utoipa::path(delete, path = "/v1/search/synonyms/{id}", tag = "search",
    params(("id" = String, Path, description = "The synonym's id")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || remove(&app, &caller, Kind::Synonym, &id)).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = SynonymProposal)]
pub(crate) struct ProposalWire {
    id: String,
    words: [String; 2],
    /// How alike the products are that are clicked for both, 0 to 1.
    likeness: f32,
    /// Pairs of queries that differ in these words and show it.
    pairs: u32,
    #[schema(format = DateTime)]
    proposed_at: String,
}

impl From<Proposal> for ProposalWire {
    fn from(proposal: Proposal) -> Self {
        Self {
            id: proposal.id,
            words: proposal.proposed.words,
            likeness: proposal.proposed.likeness,
            pairs: proposal.proposed.pairs,
            proposed_at: proposal.proposed_at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SynonymProposalList)]
pub(crate) struct ProposalList {
    items: Vec<ProposalWire>,
}

/// Proposed synonyms
///
/// Words whose searches end at the same products, mined from clicks by each training. They do nothing until approved.
#[utoipa::path(get, path = "/v1/search/synonym-proposals", tag = "search",
    responses((status = 200, description = "Those that wait, the surest first", body = ProposalList)))]
pub(crate) async fn list_proposals(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.merchandise.proposals()?.into_iter().map(ProposalWire::from).collect();
        Ok(Answered(ProposalList { items }).into_response())
    })
    .await
}

/// Approve a proposed synonym
///
/// It becomes a synonym of the same id.
#[utoipa::path(post, path = "/v1/search/synonym-proposals/{id}/approve", tag = "search",
    params(("id" = String, Path, description = "The proposal's id")),
    responses((status = 200, description = "The synonym", body = SynonymWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn approve_proposal(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let proposed = app.parts.merchandise.decide(&id, true, &made_by(&caller), app.parts.clock.now())?;
        app.parts.searches.merchandise_changed();
        Ok(Answered(SynonymWire::of(id, Synonym::from(&proposed))).into_response())
    })
    .await
}

/// Refuse a proposed synonym
///
/// It is not proposed again.
#[utoipa::path(post, path = "/v1/search/synonym-proposals/{id}/refuse", tag = "search",
    params(("id" = String, Path, description = "The proposal's id")),
    responses((status = 204, description = "Refused")))]
pub(crate) async fn refuse_proposal(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.merchandise.decide(&id, false, &made_by(&caller), app.parts.clock.now())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
