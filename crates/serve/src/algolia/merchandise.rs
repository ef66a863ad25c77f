//! The protocol's addresses of rules and synonyms. They are the shop's, whatever an index is called: every name reads them, and the
//! catalogue's name writes them, into the one store that `/v1/search/rules` and `/v1/search/synonyms` show.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use merx_domain::merchandising::{Rule, Synonym};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::names::{Target, target};
use super::params::Params;
use super::rule_records::{RuleRecord, Warnings};
use super::synonym_records::SynonymRecord;
use super::{Plain, answered, writes};
use crate::app::App;
use crate::auth::Caller;
use crate::body::Query;
use crate::merchandise::{Kind, Others};
use crate::problem::{Code, Mistakes, Problem};
use crate::routes::Shared;
use crate::search::merchandise::{check_id, made_by, no_mistakes};

const DEFAULT_HITS: usize = 20;
const MOST_HITS: usize = 1_000;
/// More than can be kept of either kind is refused where it is written.
const MOST_WRITTEN: usize = 20_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct WriteQuery {
    /// Rules and synonyms hold for every sort order, whatever this says.
    #[allow(dead_code, reason = "clients send it; it stands in the reference")]
    #[serde(default, deserialize_with = "flag")]
    forward_to_replicas: Option<bool>,
    /// Of a batch of rules: those that are not in it go.
    #[serde(default, deserialize_with = "flag")]
    clear_existing_rules: Option<bool>,
    /// Of a batch of synonyms: those that are not in it go.
    #[serde(default, deserialize_with = "flag")]
    replace_existing_synonyms: Option<bool>,
}

/// Clients of version 4 write `1` and `0`, those of version 5 `true` and `false`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        "1" | "true" => Ok(Some(true)),
        "0" | "false" => Ok(Some(false)),
        other => Err(serde::de::Error::custom(format!("{other}: expected true or false"))),
    }
}

impl WriteQuery {
    fn others(&self) -> Others {
        let go = self.clear_existing_rules == Some(true) || self.replace_existing_synonyms == Some(true);
        if go { Others::Go } else { Others::Stay }
    }
}

/// A temporary index takes the catalogue's place, but the shop's rules are in force already: what a client clears there would be
/// missing at once.
fn check_writes(app: &App, index: &str) -> Result<(), Problem> {
    if target(app, index)? == Target::Catalogue {
        return Ok(());
    }
    let own = &app.parts.settings.index;
    let detail =
        format!("rules and synonyms are the shop's and hold at once: write them to {own}, not to a temporary index");
    Err(Problem::because(Code::Forbidden, detail))
}

fn read<T: serde::de::DeserializeOwned>(body: &Value, at: &str) -> Result<T, Problem> {
    serde_json::from_value(body.clone()).map_err(|error| Problem::mistake(at, "wrong_form", error.to_string()))
}

/// All of them or none.
fn rules_of(app: &App, bodies: &[Value]) -> Result<(Vec<Rule>, Warnings), Problem> {
    let (mut mistakes, mut warnings) = (Mistakes::default(), Warnings::new());
    let mut rules = Vec::with_capacity(bodies.len());
    for (place, body) in bodies.iter().enumerate() {
        let at = format!("rules[{place}]");
        rules.push(read::<RuleRecord>(body, &at)?.rule(app, &at, &mut mistakes, &mut warnings));
    }
    no_mistakes(mistakes)?;
    Ok((rules, warnings))
}

fn synonyms_of(bodies: &[Value]) -> Result<Vec<(String, Synonym)>, Problem> {
    let mut mistakes = Mistakes::default();
    let mut synonyms = Vec::with_capacity(bodies.len());
    for (place, body) in bodies.iter().enumerate() {
        let at = format!("synonyms[{place}]");
        let record: SynonymRecord = read(body, &at)?;
        let id = record.object_id.clone();
        check_id(&format!("{at}.objectID"), &id, &mut mistakes);
        synonyms.extend(record.synonym(&at, &mut mistakes).map(|synonym| (id, synonym)));
    }
    no_mistakes(mistakes)?;
    Ok(synonyms)
}

fn put_rules(app: &App, caller: &Caller, bodies: &[Value], others: Others) -> Result<Warnings, Problem> {
    let (rules, warnings) = rules_of(app, bodies)?;
    app.parts.merchandise.put_rules(&rules, others, &made_by(caller), app.parts.clock.now())?;
    app.parts.searches.merchandise_changed();
    Ok(warnings)
}

fn put_synonyms(app: &App, caller: &Caller, bodies: &[Value], others: Others) -> Result<(), Problem> {
    let synonyms = synonyms_of(bodies)?;
    app.parts.merchandise.put_synonyms(&synonyms, others, &made_by(caller), app.parts.clock.now())?;
    app.parts.searches.merchandise_changed();
    Ok(())
}

/// The body of one, under the id of its address.
fn named(mut body: Value, id: &str) -> Result<Value, Problem> {
    let Some(record) = body.as_object_mut() else {
        return Err(Problem::because(Code::InvalidJson, "expected an object"));
    };
    match record.get("objectID").and_then(Value::as_str) {
        Some(said) if said != id => {
            return Err(Problem::mistake("objectID", "wrong_form", format!("the address says {id:?}")));
        }
        _ => record.insert("objectID".to_owned(), json!(id)),
    };
    Ok(body)
}

fn list_of(body: &Value) -> Result<&[Value], Problem> {
    let Some(list) = body.as_array() else {
        return Err(Problem::because(Code::InvalidJson, "expected a list"));
    };
    if list.len() > MOST_WRITTEN {
        let detail = format!("{} are more than {MOST_WRITTEN}", list.len());
        return Err(Problem::mistake("body", "out_of_range", detail));
    }
    Ok(list)
}

fn written(app: &App, warnings: Warnings) -> Result<Value, Problem> {
    let mut answer = json!({"taskID": writes::begin_task(app)?, "updatedAt": app.parts.clock.now().to_string()});
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Ok(answer)
}

fn written_one(app: &App, id: &str, warnings: Warnings) -> Result<Value, Problem> {
    let mut answer = written(app, warnings)?;
    answer["id"] = json!(id);
    answer["objectID"] = json!(id);
    Ok(answer)
}

fn removed(app: &App, caller: &Caller, kind: Kind, id: &str) -> Result<Value, Problem> {
    if app.parts.merchandise.remove(kind, id, &made_by(caller), app.parts.clock.now())? {
        app.parts.searches.merchandise_changed();
    }
    Ok(json!({"taskID": writes::begin_task(app)?, "deletedAt": app.parts.clock.now().to_string()}))
}

/// A page of those that have all words of `query` somewhere.
fn page(records: impl Iterator<Item = impl Serialize>, asked: &Params) -> Value {
    let query = asked.text("query").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    let count = asked.number("hitsPerPage").unwrap_or(DEFAULT_HITS).clamp(1, MOST_HITS);
    let page = asked.number("page").unwrap_or(0);
    let found: Vec<Value> = records
        .filter_map(|record| serde_json::to_value(record).ok())
        .filter(|record| {
            let text = record.to_string().to_lowercase();
            words.iter().all(|word| text.contains(word))
        })
        .collect();
    let (total, pages) = (found.len(), found.len().div_ceil(count));
    let hits: Vec<Value> = found.into_iter().skip(page.saturating_mul(count)).take(count).collect();
    json!({"hits": hits, "nbHits": total, "page": page, "nbPages": pages})
}

/// Save a rule (Algolia)
///
/// It holds for searches of both protocols at once. What Merx can't do (`alternatives`, `{facet:..}` patterns, parameters other than filters,
/// the query and a redirect) is refused; `tags` are left out and named in `warnings`.
#[utoipa::path(put, path = "/1/indexes/{index}/rules/{objectID}", tag = "algolia", operation_id = "algolia_put_rule", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The rule's id", example = "sale"), WriteQuery),
    request_body(content = Object, example = json!({"objectID": "sale", "conditions": [{"pattern": "bag", "anchoring": "contains"}],
        "consequence": {"userData": {"banner": "/sale.jpg"}}, "enabled": true})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, id)): Path<(String, String)>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        check_writes(&app, &index)?;
        let warnings = put_rules(&app, &caller, &[named(body, &id)?], Others::Stay)?;
        written_one(&app, &id, warnings)
    })
    .await
}

/// Save several rules (Algolia)
///
/// All of them or none.
#[utoipa::path(post, path = "/1/indexes/{index}/rules/batch", tag = "algolia", operation_id = "algolia_put_rules", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"), WriteQuery),
    request_body(content = Object, example = json!([{"objectID": "sale", "consequence": {"userData": {"banner": "/sale.jpg"}}}])),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_rule_batch(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
    Query(query): Query<WriteQuery>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        check_writes(&app, &index)?;
        let warnings = put_rules(&app, &caller, list_of(&body)?, query.others())?;
        written(&app, warnings)
    })
    .await
}

/// Read a rule (Algolia)
///
/// What the protocol has no words for stands in `merx`, in the form of `/v1/search/rules`.
#[utoipa::path(get, path = "/1/indexes/{index}/rules/{objectID}", tag = "algolia", operation_id = "algolia_get_rule", params(
        ("index" = String, Path, description = "Any name", example = "products"),
        ("objectID" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = Object)))]
pub(crate) async fn get_rule(
    State(app): State<Shared>,
    Path((_index, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    answered(move || {
        let rule = app
            .parts
            .merchandise
            .rule(&id)?
            .ok_or_else(|| Problem::because(Code::NotFound, "ObjectID does not exist"))?;
        Ok(json!(RuleRecord::of(&app, &rule)))
    })
    .await
}

/// Remove a rule (Algolia)
#[utoipa::path(delete, path = "/1/indexes/{index}/rules/{objectID}", tag = "algolia", operation_id = "algolia_delete_rule", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The rule's id", example = "no-such-rule")),
    responses((status = 200, description = "The task to wait for; removing what isn't there is no error", body = Object)))]
pub(crate) async fn delete_rule(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    answered(move || {
        check_writes(&app, &index)?;
        removed(&app, &caller, Kind::Rule, &id)
    })
    .await
}

/// Remove all rules (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/rules/clear", tag = "algolia", operation_id = "algolia_clear_rules",
    params(("index" = String, Path, description = "The catalogue's name", example = "products")),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn clear_rules(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    answered(move || {
        check_writes(&app, &index)?;
        let warnings = put_rules(&app, &caller, &[], Others::Go)?;
        written(&app, warnings)
    })
    .await
}

/// Search in rules (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/rules/search", tag = "algolia", operation_id = "algolia_search_rules",
    params(("index" = String, Path, description = "Any name", example = "products")),
    request_body(content = Object, example = json!({"query": "", "hitsPerPage": 20})),
    responses((status = 200, description = "Rules that have all words of the query somewhere", body = Object)))]
pub(crate) async fn search_rules(
    State(app): State<Shared>,
    Path(_index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let asked = Params::of(&body.json()?)?;
    answered(move || {
        let rules = app.parts.merchandise.rules()?;
        let enabled = asked.flag("enabled");
        let (context, anchoring) = (asked.text("context"), asked.text("anchoring"));
        let records = rules.iter().map(|rule| RuleRecord::of(&app, rule)).filter(|record| {
            let conditions = record.conditions.as_deref().unwrap_or_default();
            let any = |wanted: &Option<String>, said: &dyn Fn(usize) -> Option<String>| {
                wanted.is_none() || (0..conditions.len()).any(|place| said(place) == *wanted)
            };
            enabled.is_none_or(|enabled| record.enabled == Some(enabled))
                && any(&context, &|place| conditions[place].context.clone())
                && any(&anchoring, &|place| Some(json!(conditions[place].anchoring?).as_str()?.to_owned()))
        });
        Ok(page(records, &asked))
    })
    .await
}

/// Save a synonym (Algolia)
///
/// Types `synonym` and `onewaysynonym`; corrections and placeholders are refused.
#[utoipa::path(put, path = "/1/indexes/{index}/synonyms/{objectID}", tag = "algolia", operation_id = "algolia_put_synonym", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The synonym's id", example = "sofas"), WriteQuery),
    request_body(content = Object, example = json!({"objectID": "sofas", "type": "synonym", "synonyms": ["sofa", "couch"]})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, id)): Path<(String, String)>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        check_writes(&app, &index)?;
        put_synonyms(&app, &caller, &[named(body, &id)?], Others::Stay)?;
        written_one(&app, &id, Warnings::new())
    })
    .await
}

/// Save several synonyms (Algolia)
///
/// All of them or none.
#[utoipa::path(post, path = "/1/indexes/{index}/synonyms/batch", tag = "algolia", operation_id = "algolia_put_synonyms", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"), WriteQuery),
    request_body(content = Object, example = json!([{"objectID": "sofas", "type": "synonym", "synonyms": ["sofa", "couch"]}])),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_synonym_batch(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
    Query(query): Query<WriteQuery>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        check_writes(&app, &index)?;
        put_synonyms(&app, &caller, list_of(&body)?, query.others())?;
        written(&app, Warnings::new())
    })
    .await
}

/// Read a synonym (Algolia)
#[utoipa::path(get, path = "/1/indexes/{index}/synonyms/{objectID}", tag = "algolia", operation_id = "algolia_get_synonym", params(
        ("index" = String, Path, description = "Any name", example = "products"),
        ("objectID" = String, Path, description = "The synonym's id")),
    responses((status = 200, description = "The synonym", body = Object)))]
pub(crate) async fn get_synonym(
    State(app): State<Shared>,
    Path((_index, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    answered(move || {
        let synonym = app.parts.merchandise.synonym(&id)?;
        let synonym = synonym.ok_or_else(|| Problem::because(Code::NotFound, "Synonym set does not exist"))?;
        Ok(json!(SynonymRecord::of(&id, &synonym)))
    })
    .await
}

/// Remove a synonym (Algolia)
#[utoipa::path(delete, path = "/1/indexes/{index}/synonyms/{objectID}", tag = "algolia", operation_id = "algolia_delete_synonym", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The synonym's id", example = "no-such-synonym")),
    responses((status = 200, description = "The task to wait for; removing what isn't there is no error", body = Object)))]
pub(crate) async fn delete_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    answered(move || {
        check_writes(&app, &index)?;
        removed(&app, &caller, Kind::Synonym, &id)
    })
    .await
}

/// Remove all synonyms (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/synonyms/clear", tag = "algolia", operation_id = "algolia_clear_synonyms",
    params(("index" = String, Path, description = "The catalogue's name", example = "products")),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn clear_synonyms(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    answered(move || {
        check_writes(&app, &index)?;
        put_synonyms(&app, &caller, &[], Others::Go)?;
        written(&app, Warnings::new())
    })
    .await
}

/// Search in synonyms (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/synonyms/search", tag = "algolia", operation_id = "algolia_search_synonyms",
    params(("index" = String, Path, description = "Any name", example = "products")),
    request_body(content = Object, example = json!({"query": "sofa"})),
    responses((status = 200, description = "Synonyms that have all words of the query somewhere", body = Object)))]
pub(crate) async fn search_synonyms(
    State(app): State<Shared>,
    Path(_index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let asked = Params::of(&body.json()?)?;
    answered(move || {
        let synonyms = app.parts.merchandise.synonyms()?;
        let kinds = asked.names("type").unwrap_or_default();
        let of_kind = |record: &SynonymRecord| {
            kinds.is_empty() || kinds.iter().any(|kind| kind.eq_ignore_ascii_case(&record.kind))
        };
        let records = synonyms.iter().map(|(id, synonym)| SynonymRecord::of(id, synonym)).filter(of_kind);
        Ok(page(records, &asked))
    })
    .await
}
