//! From an index name and parameters to a search, and to how its answer is to be shown.

use merx_domain::search::{Around, FacetRequest, SearchAsk, SortKey};
use merx_domain::{Device, Filter};
use serde_json::{Value, json};

use super::chosen::Chosen;
use super::filters::{facet_filter, field_of, filter_list, filters, nested, numeric_filter, tag_filter};
use super::params::{Params, Tags};
use super::rule_records::category_page;
use super::settings::FacetRules;
use super::{preferences, settings};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
use crate::auth::Caller;
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
    pub(super) facet_rules: FacetRules,
    /// What the caller may see at all.
    pub(super) readable: Chosen,
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
    /// Of lists only what was searched for is highlighted and cut.
    pub(super) only_matching: bool,
    /// Where a part of the list was asked for by offset and length.
    pub(super) stretch: Option<(usize, usize)>,
    /// Parts of the answer that are wanted; `None`: all.
    pub(super) fields: Option<Vec<String>>,
    pub(super) params: String,
}

/// Who asks.
pub(super) struct Asker {
    pub(super) caller: Caller,
    pub(super) privacy_signal: bool,
}

impl Search {
    pub(super) fn read(app: &App, index: &str, asked: &Params, asker: &Asker) -> Result<Self, Problem> {
        let params = &settings::with_defaults(app, index, asked);
        // A text that something similar is looked for stands for the query where there is none.
        let typed = |name: &str| params.text(name).filter(|text| !text.trim().is_empty());
        let query = typed("query").or_else(|| typed("similarQuery")).unwrap_or_default();
        check_length(&query)?;
        let (hits_per_page, length) = page_size(params);
        let page = params.number("page").unwrap_or(0);
        let offset = length.and(params.number("offset")).unwrap_or(page.saturating_mul(hits_per_page)).min(REACHABLE);
        let count = hits_per_page.min(REACHABLE - offset);
        let hidden = settings::hidden(app, index, &asker.caller);
        let readable = Chosen::all().without(&hidden);
        let facet_rules = FacetRules::of(app, index, hidden);
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
            facets: counted(app, &facet_rules, &facets)
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
            consent: ConsentWire::default().stamp(asker.privacy_signal),
            deadline_ms: None,
            session: None,
            campaign: None,
            ask,
        };
        let snippets = params.names("attributesToSnippet").unwrap_or_default();
        let page = Page {
            index: index.to_owned(),
            query,
            page,
            hits_per_page,
            facets,
            facet_rules,
            readable,
            retrieved: Chosen::of(params.names("attributesToRetrieve")),
            highlighted: Chosen::of(params.names("attributesToHighlight")),
            snippets: snippets.iter().take(MOST_FACETS).map(|snippet| snippet_of(snippet)).collect(),
            ellipsis: params.text("snippetEllipsisText").unwrap_or_else(|| "…".to_owned()),
            tags: params.tags(),
            ranking_info: params.flag("getRankingInfo") == Some(true),
            around,
            rendering: params.part("renderingContent").cloned(),
            only_matching: params.flag("restrictHighlightAndSnippetArrays") == Some(true),
            stretch: length.map(|length| (offset, length)),
            fields: params.names("responseFields").filter(|fields| !fields.iter().any(|field| field == "*")),
            params: asked.encoded(),
        };
        Ok(Self { asked: decision, page })
    }
}

/// Hits on a page. A part of the list can be asked for by offset and length as well; those win where both are said.
fn page_size(params: &Params) -> (usize, Option<usize>) {
    let length = params.number("length").filter(|_| params.part("offset").is_some());
    (length.or(params.number("hitsPerPage")).unwrap_or(DEFAULT_HITS).min(MOST_HITS), length)
}

/// How many hits a search may answer with.
pub(super) fn hits_wanted(app: &App, index: &str, asked: &Params) -> usize {
    page_size(&settings::with_defaults(app, index, asked)).0
}

/// Whom a front end asks for: its visitor, by the token that it made up.
pub(super) fn who(params: &Params) -> Who {
    let visitor = params.text("userToken").filter(|token| !token.trim().is_empty());
    visitor.map_or(Who::Nobody, Who::Visitor)
}

/// Where a browse goes on, and what it asked for.
pub(super) struct Cursor {
    /// A place among all products, or among those that were found.
    pub(super) from: u32,
    pub(super) page: usize,
    /// How many there are on all pages, as counted for the first.
    pub(super) total: Option<usize>,
    pub(super) params: Params,
}

impl Cursor {
    pub(super) fn text(&self) -> String {
        let mut asked = self.params.value();
        if let Some(asked) = asked.as_object_mut() {
            asked.remove("cursor");
        }
        URL_SAFE_NO_PAD.encode(json!([self.from, asked, self.page, self.total]).to_string())
    }

    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let unknown = || Problem::mistake("cursor", "invalid_cursor", "this cursor was not given out here");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
        // An older one says neither which page it begins nor how many there are.
        let older = || serde_json::from_slice(&bytes).map(|(from, asked)| (from, asked, 1, None));
        let read: Result<(u32, Value, usize, Option<usize>), _> = serde_json::from_slice(&bytes).or_else(|_| older());
        let (from, asked, page, total) = read.map_err(|_| unknown())?;
        Ok(Self { from, page, total, params: Params::of(&asked).map_err(|_| unknown())? })
    }
}

/// The fields to count. `*` means all facets in this protocol, and front ends count on it: widgets whose facets the merchant's order
/// shows or hides ask for nothing else. Those that tell most come first.
fn counted(app: &App, rules: &FacetRules, facets: &[String]) -> Vec<String> {
    let asked = facets.iter().filter(|facet| *facet != "*" && rules.counts(facet));
    let mut fields: Vec<String> = asked.map(|facet| field_of(facet)).collect();
    if facets.iter().any(|facet| facet == "*") {
        fields.push("*".to_owned());
        let declared = rules.declared.as_ref().map(|names| names.iter().map(|name| field_of(name)).collect());
        fields.extend(declared.unwrap_or_else(|| {
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

type ReadFilter = dyn Fn(&str) -> Result<Filter, String>;

pub(super) fn filter(params: &Params) -> Result<Option<Filter>, String> {
    let text = match params.part("filters") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        // What isn't understood must not be left out: it would widen what is found, and what deleteByQuery removes.
        Some(_) => return Err("filters: expected a text".to_owned()),
    };
    let mut parts: Vec<Filter> = filters(text)?.into_iter().collect();
    let lists: [(&str, &ReadFilter); 3] =
        [("facetFilters", &facet_filter), ("numericFilters", &numeric_filter), ("tagFilters", &tag_filter)];
    for (name, read) in lists {
        let read = filter_list(params.part(name), read).and_then(|list| nested(&list, read));
        parts.extend(read.map_err(|error| format!("{name}: {error}"))?);
    }
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
