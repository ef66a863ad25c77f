//! From an index name and parameters to a search, and to how its answer is to be shown.

use merx_domain::search::{Around, FacetRequest, SearchAsk, SortKey};
use merx_domain::{Device, Filter};
use serde_json::{Value, json};

use super::chosen::Chosen;
use super::filters::{facet_filter, field_of, filters, nested, numeric_filter, tag_filter};
use super::params::{Params, Tags};
use super::rule_records::category_page;
use super::{preferences, settings};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::recommend::{ConsentWire, Who};
use crate::search::{Asked, REACHABLE, check_length};

const DEFAULT_HITS: usize = 20;
const MOST_HITS: usize = 1_000;
const DEFAULT_FACET_VALUES: usize = 100;
const MOST_FACET_VALUES: usize = 1_000;
const MOST_FACETS: usize = 60;
const MOST_CONTEXTS: usize = 30;

pub(super) struct Search {
    pub(super) asked: Asked,
    pub(super) page: Page,
}

/// How an answer is to be shown.
pub(super) struct Page {
    pub(super) index: String,
    pub(super) query: String,
    pub(super) page: usize,
    pub(super) hits_per_page: usize,
    /// Facets by the names that they were asked for by; `*` stands for the engine's choice.
    pub(super) facets: Vec<String>,
    /// What `*` may stand for; `None`: anything.
    pub(super) countable: Option<Vec<String>>,
    pub(super) retrieved: Chosen,
    pub(super) highlighted: Chosen,
    /// Attributes and how many words of each.
    pub(super) snippets: Vec<(String, usize)>,
    pub(super) ellipsis: String,
    pub(super) tags: Tags,
    pub(super) ranking_info: bool,
    pub(super) around: Option<Around>,
    /// What the merchant set to be drawn: order of facets, redirect, banners.
    pub(super) rendering: Option<Value>,
    pub(super) params: String,
}

impl Search {
    pub(super) fn read(app: &App, index: &str, asked: &Params, privacy_signal: bool) -> Result<Self, Problem> {
        let params = &settings::with_defaults(app, index, asked);
        let query = params.text("query").unwrap_or_default();
        check_length(&query)?;
        // A part of the list can be asked for by offset and length as well; those win where both are said.
        let length = params.number("length").filter(|_| params.part("offset").is_some());
        let hits_per_page = length.or(params.number("hitsPerPage")).unwrap_or(DEFAULT_HITS).min(MOST_HITS);
        let page = params.number("page").unwrap_or(0);
        let offset = length.and(params.number("offset")).unwrap_or(page.saturating_mul(hits_per_page)).min(REACHABLE);
        let count = hits_per_page.min(REACHABLE - offset);
        let facets = params.names("facets").unwrap_or_default();
        let most_values = params.number("maxValuesPerFacet").unwrap_or(DEFAULT_FACET_VALUES).min(MOST_FACET_VALUES);
        let unusable = |detail: String| Problem::because(Code::InvalidRequest, detail);
        let filter = filter(params).map_err(unusable)?;
        let around = preferences::around(params).map_err(unusable)?;
        let ask = SearchAsk {
            query: query.clone(),
            category: filter.as_ref().and_then(category_page),
            filter,
            preferences: preferences::optional_filters(params).map_err(unusable)?,
            distinct: preferences::distinct(params),
            around,
            without_rules: params.flag("enableRules") == Some(false),
            without_synonyms: params.flag("synonyms") == Some(false),
            facets: counted(app, index, &facets)
                .into_iter()
                .take(MOST_FACETS)
                .map(|field| FacetRequest { field, most_values })
                .collect(),
            offset,
            count,
            sort: sort_of(app, index),
            fields: searched_fields(params),
            typo_tolerance: params.text("typoTolerance").as_deref() != Some("false")
                && params.flag("typoTolerance") != Some(false),
            // Front ends of this protocol search at every letter, and the protocol takes the last word for a beginning.
            unfinished: params.text("queryType").as_deref() != Some("prefixNone"),
            languages: params.names("queryLanguages").unwrap_or_default().into_iter().take(MOST_CONTEXTS).collect(),
            segments: params.names("ruleContexts").unwrap_or_default().into_iter().take(MOST_CONTEXTS).collect(),
            ..SearchAsk::default()
        };
        let decision = Asked {
            who: who(params),
            market: app.parts.settings.default_market.clone(),
            device: Device::Unknown,
            consent: ConsentWire::default().stamp(privacy_signal),
            deadline_ms: None,
            session: None,
            campaign: None,
            ask,
        };
        let snippets = params.names("attributesToSnippet").unwrap_or_default();
        let hidden = params.names("unretrievableAttributes").unwrap_or_default();
        let page = Page {
            index: index.to_owned(),
            query,
            page,
            hits_per_page,
            facets,
            countable: settings::facets(app, index),
            retrieved: Chosen::of(params.names("attributesToRetrieve")).without(hidden.clone()),
            highlighted: Chosen::of(params.names("attributesToHighlight")).without(hidden),
            snippets: snippets.iter().take(MOST_FACETS).map(|snippet| snippet_of(snippet)).collect(),
            ellipsis: params.text("snippetEllipsisText").unwrap_or_else(|| "…".to_owned()),
            tags: params.tags(),
            ranking_info: params.flag("getRankingInfo") == Some(true),
            around,
            rendering: params.part("renderingContent").cloned(),
            params: asked.encoded(),
        };
        Ok(Self { asked: decision, page })
    }
}

/// Whom a front end asks for: its visitor, by the token that it made up.
pub(super) fn who(params: &Params) -> Who {
    let visitor = params.text("userToken").filter(|token| !token.trim().is_empty());
    visitor.map_or(Who::Nobody, Who::Visitor)
}

/// Where a browse goes on, and what it asked for.
pub(super) fn cursor_text(next: u32, params: &Params) -> String {
    let mut asked = params.value();
    if let Some(asked) = asked.as_object_mut() {
        asked.remove("cursor");
    }
    URL_SAFE_NO_PAD.encode(json!([next, asked]).to_string())
}

pub(super) fn cursor(text: &str) -> Result<(u32, Params), Problem> {
    let unknown = || Problem::mistake("cursor", "invalid_cursor", "this cursor was not given out here");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
    let (next, asked): (u32, Value) = serde_json::from_slice(&bytes).map_err(|_| unknown())?;
    Ok((next, Params::of(&asked).map_err(|_| unknown())?))
}

/// The fields to count. `*` means all facets in this protocol, and front ends count on it: widgets whose facets the merchant's order
/// shows or hides ask for nothing else. Those that tell most come first.
fn counted(app: &App, index: &str, facets: &[String]) -> Vec<String> {
    let mut fields: Vec<String> = facets.iter().filter(|facet| *facet != "*").map(|facet| field_of(facet)).collect();
    if fields.len() < facets.len() {
        fields.push("*".to_owned());
        let set = settings::facets(app, index).map(|names| names.iter().map(|name| field_of(name)).collect());
        fields.extend(set.unwrap_or_else(|| {
            let mut all = app.parts.searches.facet_fields();
            all.retain(|field| field != Around::LATITUDE && field != Around::LONGITUDE);
            // Where there are more than can be counted, the shop's own come before attributes.
            all.sort_by_key(|field| field.starts_with("attributes."));
            all
        }));
    }
    fields
}

fn snippet_of(text: &str) -> (String, usize) {
    const STANDARD: usize = 10;
    const MOST: usize = 200;
    let (attribute, words) = text.split_once(':').unwrap_or((text, ""));
    (attribute.trim().to_owned(), words.trim().parse().unwrap_or(STANDARD).clamp(1, MOST))
}

pub(super) fn filter(params: &Params) -> Result<Option<Filter>, String> {
    let mut parts: Vec<Filter> = filters(&params.text("filters").unwrap_or_default())?.into_iter().collect();
    let named = |name: &str, error: String| format!("{name}: {error}");
    let facets = nested(&params.list("facetFilters"), &facet_filter);
    parts.extend(facets.map_err(|error| named("facetFilters", error))?);
    let numbers = nested(&params.list("numericFilters"), &numeric_filter);
    parts.extend(numbers.map_err(|error| named("numericFilters", error))?);
    let tags = nested(&params.list("tagFilters"), &tag_filter);
    parts.extend(tags.map_err(|error| named("tagFilters", error))?);
    parts.extend(preferences::boxes(params)?);
    if parts.is_empty() {
        return Ok(None);
    }
    Filter::All(parts).affordable().map(Some).map_err(|error| error.problem)
}

/// As settings say; else an index named after a field and a direction is sorted by it: `products_price_asc`.
fn sort_of(app: &App, index: &str) -> Vec<SortKey> {
    let set = settings::sort(app, index);
    if set.is_empty() { sort_by_name(app, index).into_iter().collect() } else { set }
}

fn sort_by_name(app: &App, index: &str) -> Option<SortKey> {
    let (name, descending) = match (index.strip_suffix("_asc"), index.strip_suffix("_desc")) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => return None,
    };
    // The field is the longest end of the name that is one: `products_in_stock`.
    let ends = name.char_indices().filter(|(_, letter)| *letter == '_').map(|(at, _)| &name[at + 1..]);
    let fields = ends.map(|end| if end == "newest" { "created_at".to_owned() } else { field_of(end) });
    let field = fields.into_iter().find(|field| app.parts.searches.has_field(field))?;
    Some(SortKey { field, descending })
}

fn searched_fields(params: &Params) -> Vec<String> {
    let names = params.names("restrictSearchableAttributes").unwrap_or_default();
    let mut fields: Vec<String> = names
        .iter()
        .map(|name| {
            let field = field_of(name);
            match field.split('.').next().unwrap_or_default() {
                "attributes" if name == "description" => "description".to_owned(),
                "attributes" if matches!(name.as_str(), "sku" | "gtin") => "codes".to_owned(),
                first => first.to_owned(),
            }
        })
        .filter(|field| ["name", "brand", "category", "attributes", "description", "codes"].contains(&field.as_str()))
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}
