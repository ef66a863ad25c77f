//! Algolia's search protocol, so that front ends and pipelines made for it can be pointed here.
//!
//! Searching: `params.rs` reads parameters in both wire forms, `filters.rs` the filter languages, `preferences.rs` what ranks, `reading.rs` makes a search of them,
//! `answer.rs` writes what was found, `insights.rs` turns events into ours. Unknown parameters are ignored: front ends send many.
//!
//! Writing: `names.rs` says what an index stands for, `record.rs` turns records into products and back, `writes.rs` makes changes of them,
//! `objects.rs` and `manage.rs` are the addresses, `settings.rs` what of an index's settings counts, `indexes.rs` what is kept of all this.
//!
//! Merchandising: `merchandise.rs` has the addresses, `rule_records.rs` and `synonym_records.rs` turn rules and synonyms into the shop's and back.

mod answer;
mod chosen;
mod filter_text;
mod filters;
mod highlight;
mod indexes;
mod insights;
pub(crate) mod manage;
pub(crate) mod merchandise;
mod names;
pub(crate) mod objects;
mod params;
mod preferences;
mod reading;
pub(crate) mod recommend;
mod record;
mod rule_records;
mod settings;
mod synonym_records;
mod writes;

use axum::Extension;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use merx_domain::Situation;
use merx_domain::search::{SearchAsk, SuggestAsk};
use serde_json::{Value, json};

use crate::admission::deciding;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Payload, blocking};
use crate::problem::{Code, Problem};
use crate::recommend::{ConsentWire, find_subject};
use crate::routes::Shared;
use crate::search::check_ready;
use crate::tracking::{has_privacy_signal, header_text};
use highlight::Marked;
pub use indexes::Indexes;
pub(crate) use indexes::MIGRATION;
use params::Params;
use reading::{Asker, Search};

/// Searches of one call, and hits of all of them.
const MOST_REQUESTS: usize = 50;
const MOST_HITS: usize = 3_000;
const MOST_FACET_HITS: usize = 100;
const SUGGESTIONS: &str = "_query_suggestions";

/// A JSON body, whatever its content type says: these clients say `text/plain` to spare the preflight request.
pub(crate) struct Plain(Bytes);

impl FromRequest<Shared> for Plain {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let limit = app.parts.settings.max_body_bytes;
        let payload = Payload::read(&parts.headers, body, limit).await?;
        Ok(Self(payload.inflate(limit)?))
    }
}

impl Plain {
    fn json(&self) -> Result<Value, Problem> {
        if self.0.trim_ascii().is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.0).map_err(|error| Problem::because(Code::InvalidJson, error.to_string()))
    }
}

/// Several searches (Algolia)
///
/// Answers in the order of `requests`. A request is an object of parameters, or has them URL-encoded in `params`. An item of
/// `type` facet searches in a facet's values.
#[utoipa::path(post, path = "/1/indexes/{index}/queries", tag = "algolia",
    params(("index" = String, Path, description = "A star; each request names its own index", example = "*")),
    request_body(content = Object, example = json!({"requests": [{"indexName": "products", "query": "canvas bag", "facets": ["*"]}]})),
    responses((status = 200, description = "As Algolia's search API answers", body = Object)))]
pub(crate) async fn queries(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    let Some(requests) = body.get("requests").and_then(Value::as_array) else {
        return Err(Problem::because(Code::InvalidJson, "requests: expected a list"));
    };
    if requests.len() > MOST_REQUESTS {
        let detail = format!("{} requests are more than {MOST_REQUESTS}", requests.len());
        return Err(Problem::mistake("requests", "out_of_range", detail));
    }
    let requests: Vec<(String, Params)> = requests.iter().map(Params::named).collect::<Result<_, _>>()?;
    let stops_early = body.get("strategy").and_then(Value::as_str) == Some("stopIfEnoughMatches");
    let asker = Asker { caller, privacy_signal: has_privacy_signal(&headers) };
    let results = deciding(&app, move |app| {
        let is_search = |(_, params): &&(String, Params)| params.text("type").as_deref() != Some("facet");
        let hits = requests.iter().filter(is_search).map(|(index, params)| reading::hits_wanted(app, index, params));
        let hits: usize = hits.sum();
        if hits > MOST_HITS {
            let detail = format!("{hits} hits together are more than {MOST_HITS}: ask for smaller pages");
            return Err(Problem::mistake("requests", "out_of_range", detail));
        }
        let one = |(index, params): &(String, Params)| match params.text("type").as_deref() {
            Some("facet") => facet_hits(app, index, &params.text("facet").unwrap_or_default(), params, &asker),
            _ => result(app, index, params, &asker),
        };
        if stops_early {
            return until_enough(&requests, one);
        }
        requests.iter().map(one).collect::<Result<Vec<Value>, Problem>>()
    });
    Ok(Answered(json!({"results": results.await?})).into_response())
}

/// Searches until what was found fills the page of the last of them; the others are not done.
fn until_enough(
    requests: &[(String, Params)],
    search: impl Fn(&(String, Params)) -> Result<Value, Problem>,
) -> Result<Vec<Value>, Problem> {
    let mut results = Vec::with_capacity(requests.len());
    let (mut found, mut enough) = (0, false);
    for request in requests {
        if enough {
            let (index, params) = request;
            results.push(json!({
                "hits": [], "nbHits": 0, "page": 0, "nbPages": 0, "hitsPerPage": 0, "index": index, "processed": false,
                "query": params.text("query").unwrap_or_default(), "params": params.encoded(), "processingTimeMS": 0,
            }));
            continue;
        }
        let mut result = search(request)?;
        result["processed"] = json!(true);
        found += result["nbHits"].as_u64().unwrap_or(0);
        enough = result["hitsPerPage"].as_u64().is_some_and(|wanted| found >= wanted);
        results.push(result);
    }
    Ok(results)
}

/// One search (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/query", tag = "algolia",
    params(("index" = String, Path, description = "Any name; an ending such as `_price_asc` sorts", example = "products")),
    request_body(content = Object, example = json!({"query": "canvas bag", "hitsPerPage": 5})),
    responses((status = 200, description = "As Algolia's search API answers", body = Object)))]
pub(crate) async fn query(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
    headers: HeaderMap,
    body: Plain,
) -> Result<Response, Problem> {
    let params = Params::of(&body.json()?)?;
    let asker = Asker { caller, privacy_signal: has_privacy_signal(&headers) };
    let result = deciding(&app, move |app| result(app, &index, &params, &asker)).await?;
    Ok(Answered(result).into_response())
}

/// Search in a facet's values (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/facets/{facet}/query", tag = "algolia",
    params(("index" = String, Path, description = "Any name", example = "products"),
        ("facet" = String, Path, description = "The attribute", example = "brand")),
    request_body(content = Object, example = json!({"facetQuery": "ac", "maxFacetHits": 10})),
    responses((status = 200, description = "As Algolia's search API answers", body = Object)))]
pub(crate) async fn facet_query(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, facet)): Path<(String, String)>,
    body: Plain,
) -> Result<Response, Problem> {
    let params = Params::of(&body.json()?)?;
    let asker = Asker { caller, privacy_signal: false };
    let hits = deciding(&app, move |app| facet_hits(app, &index, &facet, &params, &asker)).await?;
    Ok(Answered(hits).into_response())
}

/// Events of Insights (Algolia)
///
/// Clicks, views and conversions become events of the shop; `queryID` is the decision that they are outcomes of. Unknown kinds of events
/// are accepted and dropped. Up to 1,000 at once; `errors` names those that were refused, each by its place, and the others are kept.
#[utoipa::path(post, path = "/1/events", tag = "algolia",
    request_body(content = Object, example = json!({"events": [{"eventType": "click", "eventName": "Product Clicked", "index": "products",
        "userToken": "visitor-1", "objectIDs": ["p1"], "positions": [1]}]})),
    responses((status = 200, description = "Taken, after the events are on disk", body = Object)))]
pub(crate) async fn events(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Plain,
) -> Result<Response, Problem> {
    app.admission.take_events(&body.0)?;
    let body = body.json()?;
    let received_at = app.parts.clock.now();
    let privacy_signal = has_privacy_signal(&headers);
    let user_agent = header_text(&headers, axum::http::header::USER_AGENT).map(str::to_owned);
    answered(move || {
        let scope = caller.0.as_ref().map_or("", |key| key.id.as_str());
        let arrival = merx_ingest::Arrival {
            received_at,
            scope,
            vouched: caller.0.as_ref().is_some_and(|key| crate::auth::vouches(&app, key)),
            global_privacy_control: privacy_signal,
            user_agent: user_agent.as_deref(),
        };
        insights::take(&app, &body, &arrival)
    })
    .await
}

async fn answered(work: impl FnOnce() -> Result<Value, Problem> + Send + 'static) -> Result<Response, Problem> {
    Ok(Answered(blocking(work).await?).into_response())
}

fn result(app: &App, index: &str, params: &Params, asker: &Asker) -> Result<Value, Problem> {
    check_ready(app)?;
    if index.ends_with(SUGGESTIONS) {
        return suggestions(app, index, params, asker.privacy_signal);
    }
    let search = Search::read(app, index, params, asker)?;
    if params.flag("analytics") == Some(false) {
        let page = &search.page;
        return search.asked.look(app, |answer, catalogue| answer::write(app, page, answer, None, catalogue))?;
    }
    let Search { asked, page } = search;
    asked
        .decide(app, |decided| answer::write(app, &page, &decided.decision.answer, Some(decided), decided.catalogue))?
}

fn facet_hits(app: &App, index: &str, facet: &str, params: &Params, asker: &Asker) -> Result<Value, Problem> {
    check_ready(app)?;
    if facet.trim().is_empty() {
        return Err(Problem::mistake("facet", "missing", "expected the name of an attribute"));
    }
    let search = Search::read(app, index, params, asker)?;
    search.page.facet_rules.check(facet)?;
    let text = params.text("facetQuery").unwrap_or_default();
    crate::search::check_length(&text)?;
    let most = params.number("maxFacetHits").unwrap_or(10).min(MOST_FACET_HITS);
    let situation = crate::search::nobody(app, search.asked.market.clone());
    let ask = SearchAsk { facets: Vec::new(), ..search.asked.ask };
    let field = filters::field_of(facet);
    let found = app.parts.searches.facet_values(&ask, &field, &text, most, &situation);
    let found = found.map_err(|error| Problem::because(Code::Unavailable, error.to_string()))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let hits = found.into_iter().map(|(value, count)| {
        let value = filters::value_text(&value);
        let highlighted = Marked::beginnings(&value, &words).tagged(&search.page.tags);
        json!({"value": value, "highlighted": highlighted, "count": count})
    });
    Ok(json!({"facetHits": hits.collect::<Vec<Value>>(), "exhaustiveFacetsCount": true, "processingTimeMS": 0}))
}

/// An index of this ending holds what shoppers may mean.
fn suggestions(app: &App, index: &str, params: &Params, privacy_signal: bool) -> Result<Value, Problem> {
    let query: String = params.text("query").unwrap_or_default().chars().take(200).collect();
    let most = params.number("hitsPerPage").unwrap_or(10).min(20);
    let ask = SuggestAsk { queries: most, products: 0, categories: 0, brands: 0, ..SuggestAsk::of(query.clone()) };
    let subject = find_subject(app, &reading::who(params));
    let consent = ConsentWire::default().stamp(privacy_signal);
    let nobody = crate::search::nobody(app, app.parts.settings.default_market.clone());
    let situation = Situation { subject, consent, ..nobody };
    let tags = params.tags();
    let words: Vec<&str> = query.split_whitespace().collect();
    let hits: Vec<Value> = app
        .parts
        .searches
        .suggest(&ask, &situation)
        .into_iter()
        .map(|suggestion| {
            json!({
                "objectID": suggestion.text, "query": suggestion.text, "popularity": suggestion.weight,
                "nb_words": suggestion.text.split_whitespace().count(),
                "_highlightResult": {"query": Marked::beginnings(&suggestion.text, &words).highlight(&tags)},
            })
        })
        .collect();
    Ok(json!({
        "hits": hits, "nbHits": hits.len(), "page": 0, "nbPages": 1, "hitsPerPage": most, "facets": {}, "facets_stats": {},
        "exhaustiveNbHits": true, "exhaustiveFacetsCount": true,
        "exhaustive": {"nbHits": true, "facetsCount": true, "typo": true}, "query": query, "params": params.encoded(),
        "index": index, "processingTimeMS": 0, "serverTimeMS": 0, "renderingContent": {},
    }))
}
