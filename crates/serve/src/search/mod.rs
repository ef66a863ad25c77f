//! Search: from a request to the pipeline's question, and from its decision to the answer.
//!
//! `asked.rs` is the way of every search, in whichever protocol it came; `wire.rs` how it stands in our own API; `merchandise.rs` is what
//! merchants set, `reports.rs` what became of searches.

mod asked;
pub(crate) mod encoder;
pub(crate) mod merchandise;
pub(crate) mod reports;
mod wire;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use merx_domain::search::{FacetRequest, Refinement, SearchAsk, SortKey, SuggestAsk};
use merx_domain::{Filter, Situation};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::admission::deciding;
use crate::app::App;
use crate::auth::Caller;
use crate::automations::campaign_of;
use crate::body::{Json, Query};
use crate::problem::{Code, Mistakes, Problem};
use crate::recommend::{ConsentWire, DeviceName, Who, find_subject, may_ask_for, personal, session_of, who};
use crate::routes::Shared;
use crate::storefront::for_anybody;
use crate::tracking::has_privacy_signal;
use crate::wire::Id;
pub(crate) use asked::{Asked, Decided, REACHABLE, check_filter, check_length, check_ready, nobody};
use wire::{FacetsAnswer, SearchResult, SuggestAnswer};
pub(crate) use wire::{reason_words, step_words};

const MAX_COUNT: usize = 100;
const DEFAULT_COUNT: usize = 20;
const MAX_FACETS: usize = 60;
const MAX_FACET_VALUES: usize = 1_000;
const DEFAULT_FACET_VALUES: usize = 20;
const MAX_REFINEMENTS: usize = 30;
const MAX_SORT_KEYS: usize = 5;
const MAX_LANGUAGES: usize = 20;
const MAX_SUGGESTIONS: usize = 20;
const MAX_DEADLINE_MS: u32 = 10_000;
pub(crate) const SEARCHED_FIELDS: [&str; 6] = ["name", "brand", "category", "attributes", "description", "codes"];

/// What is searched for, by whom.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "query": "canvas bag under 50", "anonymous_id": "visitor-1", "market": "default",
    "filter": "in_stock = true", "facets": ["brand", "category", "price"],
    "refinements": [{"field": "brand", "filter": "brand IN (\"Acme\", \"Umbra\")"}],
}))]
pub(crate) struct SearchRequest {
    /// As typed; empty browses the catalogue. Up to 512 bytes.
    #[serde(default)]
    #[schema(max_length = 512)]
    query: String,
    /// The shop's id of a signed-in customer. One of the three ids; none is a visitor that nothing is known of.
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    anonymous_id: Option<String>,
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    #[serde(default)]
    device: Option<DeviceName>,
    #[serde(default)]
    consent: Option<ConsentWire>,
    /// Ranking that takes longer is not waited for: words alone answer.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    deadline_ms: Option<u32>,
    /// The visit, as the page or app names it: experiments by session deal it as a whole.
    #[serde(default)]
    #[schema(max_length = 200)]
    session_id: Option<String>,
    /// What every hit must pass, in the filter language.
    #[serde(default)]
    #[schema(example = "category = \"Shoes\" AND price < 50")]
    filter: Option<String>,
    /// What the shopper chose in facets. Counts of a facet leave its own refinement out, so that other values can be chosen
    /// beside it.
    #[serde(default)]
    #[schema(max_items = 30)]
    refinements: Vec<RefinementRequest>,
    /// Fields to count: `brand`, `category`, `category.lvl0` .., `price`, `in_stock`, `attributes.NAME`; `*` stands for those that tell
    /// most about what was found.
    #[serde(default)]
    #[schema(max_items = 60)]
    facets: Vec<String>,
    /// Values of each facet.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    facet_values: Option<usize>,
    /// No deeper than the first 1,000 hits.
    #[serde(default)]
    offset: usize,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    count: Option<usize>,
    /// Empty: by relevance.
    #[serde(default)]
    #[schema(max_items = 5)]
    sort: Vec<SortRequest>,
    /// Searched fields: name, brand, category, attributes, description, codes; empty: all.
    #[serde(default)]
    fields: Vec<String>,
    /// False takes every word as it is spelt.
    #[serde(default)]
    typo_tolerance: Option<bool>,
    /// The shopper is still typing: the last word may be the beginning of one.
    #[serde(default)]
    unfinished: bool,
    /// The category page that the search happens on, for merchants' rules.
    #[serde(default)]
    category: Option<String>,
    /// The campaign that the page belongs to, as a merchant names it: automations may have another mode there.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "winter-sale")]
    campaign: Option<String>,
    /// Segments and contexts that merchants' rules ask for.
    #[serde(default)]
    segments: Vec<String>,
    /// Whether each hit comes with everything that was measured of it.
    #[serde(default)]
    explain: bool,
    /// What the query is written in, codes of two letters, where a shop's products are in several languages; empty: any of them.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["en"]))]
    languages: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefinementRequest {
    /// The facet that it was chosen in.
    field: String,
    /// In the filter language.
    filter: String,
}

/// A field to sort by: any that can be filtered by, and `popularity`. Products without it come last.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SortRequest {
    #[schema(example = "price")]
    field: String,
    #[serde(default)]
    descending: bool,
}

/// Search
///
/// Finds, filters, counts and ranks products. Misspelt words are corrected, a price in the query becomes a filter, and what finds
/// nothing is relaxed step by step; `steps` says how. The decision is recorded and can be explained and replayed.
#[utoipa::path(post, path = "/v1/search", tag = "search", request_body = SearchRequest,
    responses((status = 200, description = "What was found", body = SearchResult)))]
pub(crate) async fn search(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<SearchRequest>,
) -> Result<Response, Problem> {
    let asked = read(&app, request, has_privacy_signal(&headers))?;
    answer(app, &caller, asked).await.map(personal)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// As typed.
    #[param(max_length = 512, example = "canvas bag")]
    q: Option<String>,
    user_id: Option<String>,
    anonymous_id: Option<String>,
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[param(value_type = Option<Id>)]
    market: Option<String>,
    #[param(min_length = 1, max_length = 100)]
    campaign: Option<String>,
    filter: Option<String>,
    /// Field names, separated by commas.
    #[param(example = "brand,price")]
    facets: Option<String>,
    #[param(minimum = 0)]
    offset: Option<usize>,
    #[param(minimum = 0, maximum = 100)]
    count: Option<usize>,
    /// A field, with a hyphen before it for the largest first.
    #[param(example = "-price")]
    sort: Option<String>,
}

/// Search, the simple form
///
/// The same as `POST /v1/search` with its most used parts. An answer for nobody in particular may be kept by browsers and
/// edges (`Cache-Control`, `ETag`); a person's never.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(SearchQuery),
    responses((status = 200, description = "What was found", body = SearchResult)))]
pub(crate) async fn search_simply(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(query): Query<SearchQuery>,
) -> Result<Response, Problem> {
    let facets = query.facets.unwrap_or_default();
    let sort = query.sort.filter(|sort| !sort.is_empty()).map(|sort| match sort.strip_prefix('-') {
        Some(field) => SortRequest { field: field.to_owned(), descending: true },
        None => SortRequest { field: sort, descending: false },
    });
    let request = SearchRequest {
        query: query.q.unwrap_or_default(),
        user_id: query.user_id,
        anonymous_id: query.anonymous_id,
        subject_id: query.subject_id,
        market: query.market,
        campaign: query.campaign,
        filter: query.filter,
        facets: facets.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        offset: query.offset.unwrap_or(0),
        count: query.count,
        sort: sort.into_iter().collect(),
        ..SearchRequest::default()
    };
    let asked = read(&app, request, has_privacy_signal(&headers))?;
    let anybodys = matches!(asked.who, Who::Nobody);
    let bytes = answer(app, &caller, asked).await?;
    Ok(if anybodys { for_anybody(bytes, &headers) } else { personal(bytes) })
}

async fn answer(app: Shared, caller: &Caller, asked: Asked) -> Result<Vec<u8>, Problem> {
    asked::check_ready(&app)?;
    may_ask_for(&app, caller, &asked.who)?;
    deciding(&app, move |app| asked.decide(app, |decided| wire::write(app, decided))?).await
}

fn read(app: &App, request: SearchRequest, privacy_signal: bool) -> Result<Asked, Problem> {
    let mut mistakes = Mistakes::default();
    let market = asked::market(app, request.market, &mut mistakes);
    if let Some(deadline_ms) = request.deadline_ms {
        mistakes.within("deadline_ms".into(), deadline_ms, 1, MAX_DEADLINE_MS);
    }
    let who = who(&request.user_id, &request.anonymous_id, &request.subject_id, &mut mistakes);
    let session = session_of(request.session_id, &mut mistakes);
    let count = mistakes.within("count".into(), request.count.unwrap_or(DEFAULT_COUNT), 0, MAX_COUNT);
    mistakes.within("offset".into(), request.offset, 0, REACHABLE);
    asked::check_query("query", &request.query, &mut mistakes);
    let most_values = request.facet_values.unwrap_or(DEFAULT_FACET_VALUES);
    mistakes.within("facet_values".into(), most_values, 1, MAX_FACET_VALUES);
    mistakes.within("facets".into(), request.facets.len(), 0, MAX_FACETS);
    mistakes.within("refinements".into(), request.refinements.len(), 0, MAX_REFINEMENTS);
    mistakes.within("sort".into(), request.sort.len(), 0, MAX_SORT_KEYS);
    let campaign = campaign_of(request.campaign, &mut mistakes);
    mistakes.within("segments".into(), request.segments.len(), 0, MAX_REFINEMENTS);
    mistakes.within("languages".into(), request.languages.len(), 0, MAX_LANGUAGES);
    for (place, field) in request.fields.iter().enumerate() {
        if !SEARCHED_FIELDS.contains(&field.as_str()) {
            let detail = format!("{field:?} is none of {}", SEARCHED_FIELDS.join(", "));
            mistakes.add(format!("fields[{place}]"), "unknown_field", detail);
        }
    }
    let filter = request.filter.as_deref().filter(|filter| !filter.trim().is_empty());
    let filter = filter.and_then(|filter| read_filter(app, "filter".into(), filter, &mut mistakes));
    let refinements =
        request.refinements.into_iter().take(MAX_REFINEMENTS).enumerate().filter_map(|(place, chosen)| {
            let filter = read_filter(app, format!("refinements[{place}].filter"), &chosen.filter, &mut mistakes)?;
            Some(Refinement { field: chosen.field, filter })
        });
    let refinements = refinements.collect();
    for (place, field) in request.facets.iter().take(MAX_FACETS).enumerate() {
        if field != "*" {
            asked::check_field(app, format!("facets[{place}]"), field, &mut mistakes);
        }
    }
    for (place, key) in request.sort.iter().take(MAX_SORT_KEYS).enumerate() {
        asked::check_field(app, format!("sort[{place}].field"), &key.field, &mut mistakes);
    }
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    let sort = request.sort.into_iter().map(|key| SortKey { field: key.field, descending: key.descending });
    let ask = SearchAsk {
        query: request.query,
        filter,
        refinements,
        facets: request.facets.into_iter().map(|field| FacetRequest { field, most_values }).collect(),
        offset: request.offset,
        count,
        sort: sort.collect(),
        fields: request.fields,
        typo_tolerance: request.typo_tolerance.unwrap_or(true),
        unfinished: request.unfinished,
        category: request.category,
        segments: request.segments,
        explain: request.explain,
        languages: request.languages,
        ..SearchAsk::default()
    };
    let device = request.device.map_or(merx_domain::Device::Unknown, DeviceName::device);
    let consent = request.consent.unwrap_or_default().stamp(privacy_signal);
    Ok(Asked { who, market, device, consent, deadline_ms: request.deadline_ms, session, campaign, ask })
}

fn read_filter(app: &App, at: String, text: &str, mistakes: &mut Mistakes) -> Option<Filter> {
    let filter = mistakes.taken(at.clone(), "invalid_filter", Filter::parse(text))?;
    asked::check_filter(app, &at, &filter, mistakes);
    Some(filter)
}

/// What was typed so far.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "canv", "queries": 6, "products": 4}))]
pub(crate) struct SuggestRequest {
    #[schema(max_length = 512)]
    text: String,
    /// The shop's id of a signed-in customer. One of the three ids; none is a visitor that nothing is known of.
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    anonymous_id: Option<String>,
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[serde(default)]
    consent: Option<ConsentWire>,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    /// So many of each kind at most, 20 being the most of all.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    queries: Option<usize>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    products: Option<usize>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    categories: Option<usize>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    brands: Option<usize>,
}

/// Suggest
///
/// Completes what a shopper types: queries, products, categories and brands. Before anything is typed: what the person searched for and
/// what others search for, trending first. With consent to personalise, own searches come first, then brands and categories
/// that the person leans to (`personal`). Nothing that would find nothing.
#[utoipa::path(post, path = "/v1/suggest", tag = "search", request_body = SuggestRequest,
    responses((status = 200, description = "Suggestions, by kind", body = SuggestAnswer)))]
pub(crate) async fn suggest(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<SuggestRequest>,
) -> Result<Response, Problem> {
    asked::check_ready(&app)?;
    let mut mistakes = Mistakes::default();
    let who = who(&request.user_id, &request.anonymous_id, &request.subject_id, &mut mistakes);
    let market = asked::market(&app, request.market, &mut mistakes);
    asked::check_query("text", &request.text, &mut mistakes);
    let standard = SuggestAsk::of(request.text);
    let mut count = |name: &str, asked: Option<usize>, standard: usize| {
        mistakes.within(name.to_owned(), asked.unwrap_or(standard), 0, MAX_SUGGESTIONS)
    };
    let ask = SuggestAsk {
        queries: count("queries", request.queries, standard.queries),
        products: count("products", request.products, standard.products),
        categories: count("categories", request.categories, standard.categories),
        brands: count("brands", request.brands, standard.brands),
        ..standard
    };
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    may_ask_for(&app, &caller, &who)?;
    let consent = request.consent.unwrap_or_default().stamp(has_privacy_signal(&headers));
    let work = move |app: &App| {
        let subject = find_subject(app, &who);
        let situation = Situation { subject, consent, ..asked::nobody(app, market) };
        wire::write_suggestions(app, app.parts.searches.suggest(&ask, &situation), &situation)
    };
    Ok(personal(deciding(&app, work).await?))
}

/// Which values of which facet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"field": "brand", "text": "ac", "query": "bag"}))]
pub(crate) struct FacetsRequest {
    field: String,
    /// Words that the values have, or that their words begin with; empty: all.
    #[serde(default)]
    #[schema(max_length = 512)]
    text: String,
    /// Counted among what this finds.
    #[serde(default)]
    #[schema(max_length = 512)]
    query: String,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    count: Option<usize>,
}

/// Search in a facet's values
///
/// For facets with more values than a page shows.
#[utoipa::path(post, path = "/v1/facets", tag = "search", request_body = FacetsRequest,
    responses((status = 200, description = "Values, most frequent first", body = FacetsAnswer)))]
pub(crate) async fn facets(State(app): State<Shared>, Json(request): Json<FacetsRequest>) -> Result<Response, Problem> {
    asked::check_ready(&app)?;
    let mut mistakes = Mistakes::default();
    let market = asked::market(&app, request.market, &mut mistakes);
    asked::check_query("text", &request.text, &mut mistakes);
    asked::check_query("query", &request.query, &mut mistakes);
    asked::check_field(&app, "field".into(), &request.field, &mut mistakes);
    let count = mistakes.within("count".into(), request.count.unwrap_or(DEFAULT_FACET_VALUES), 1, MAX_COUNT);
    let filter = request.filter.as_deref().filter(|filter| !filter.trim().is_empty());
    let filter = filter.and_then(|filter| read_filter(&app, "filter".into(), filter, &mut mistakes));
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    let ask = SearchAsk { filter, ..SearchAsk::of(request.query) };
    let work = move |app: &App| {
        let situation = asked::nobody(app, market);
        let found = app.parts.searches.facet_values(&ask, &request.field, &request.text, count, &situation);
        let found = found.map_err(|error| Problem::because(Code::Unavailable, error.to_string()))?;
        wire::write_facets(&request.field, found)
    };
    Ok(personal(deciding(&app, work).await?))
}
