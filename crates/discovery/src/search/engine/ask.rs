//! What is asked of the engine, and what it answers.

use merx_domain::{Filter, ProductNumber};
use serde::{Deserialize, Serialize};

use crate::search::catalogue::{FacetCounts, FacetRequest};

/// A search. The default asks for the first twenty products of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchAsk {
    /// As typed; empty browses.
    pub query: String,
    /// What every hit must pass.
    pub filter: Option<Filter>,
    /// What the shopper chose in facets. The counts of a facet leave its own refinement out, so that other values can be
    /// chosen beside it.
    pub refinements: Vec<Refinement>,
    /// Facets to count; the field `*` stands for those that tell most about what was found.
    pub facets: Vec<FacetRequest>,
    pub offset: usize,
    pub count: usize,
    /// Empty: by relevance.
    pub sort: Vec<SortKey>,
    /// Names of searched fields (`name`, `brand`, `category`, `attributes`, `description`, `codes`); empty: all.
    pub fields: Vec<String>,
    /// Whether misspelt words are corrected.
    pub typo_tolerance: bool,
    /// The shopper is still typing.
    pub unfinished: bool,
    /// The category page that the search happens on, for rules.
    pub category: Option<String>,
    /// Segments and contexts that rules may ask for.
    pub segments: Vec<String>,
    /// Whether each hit comes with all its measurements.
    pub explain: bool,
}

impl Default for SearchAsk {
    fn default() -> Self {
        Self {
            query: String::new(),
            filter: None,
            refinements: Vec::new(),
            facets: Vec::new(),
            offset: 0,
            count: 20,
            sort: Vec::new(),
            fields: Vec::new(),
            typo_tolerance: true,
            unfinished: false,
            category: None,
            segments: Vec::new(),
            explain: false,
        }
    }
}

impl SearchAsk {
    pub fn of(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refinement {
    /// The facet that it was chosen in.
    pub field: String,
    pub filter: Filter,
}

/// Any field that can be filtered by, and `popularity`. Products without the field come last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SortKey {
    pub field: String,
    pub descending: bool,
}

/// Why a hit stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HitReason {
    /// The share of what was asked for that its texts have, by information.
    Words {
        coverage: f32,
    },
    /// How near its texts are to the query by meaning, -1 to 1.
    Meaning {
        cosine: f32,
    },
    Popular {
        weight: f32,
    },
    /// Clicked more or less often for this query than others, in logits, place set aside.
    Clicked {
        lift: f32,
    },
    /// A merchant's rule placed, raised or lowered it.
    Rule {
        id: String,
    },
    /// The query names its brand or category.
    Named {
        field: String,
        value: String,
    },
    /// The shopper leans to its brand or category.
    Personal {
        field: String,
        value: String,
        factor: f32,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    pub product: ProductNumber,
    /// What hits are ordered by; only hits of one answer compare.
    pub score: f32,
    pub reasons: Vec<HitReason>,
    /// Names and values of measurements, where they were asked for.
    pub measurements: Vec<(String, f32)>,
}

/// What was done to find something, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Words were read as others.
    Corrected { typed: String, meant: String, replaced: bool },
    /// A price in the query became a filter.
    PriceRead { filter: Filter },
    /// A price in the query found nothing and was left out again.
    PriceDropped,
    /// No product has all words: these are missing in the best.
    Relaxed { missing: Vec<String> },
    /// No word found anything: products near by meaning.
    ByMeaning,
    /// Nothing at all was found: what is popular, in the category of the page or the query where there is one.
    Popular { category: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SearchAnswer {
    pub hits: Vec<SearchHit>,
    /// Products found, exactly.
    pub total: usize,
    pub facets: Vec<FacetCounts>,
    /// The text that was searched, where it isn't what was typed: "showing results for".
    pub searched_for: Option<String>,
    pub steps: Vec<Step>,
    /// Rules that applied, in order.
    pub rules: Vec<String>,
    pub redirect: Option<String>,
    /// What merchants set to be shown above: JSON of their own.
    pub banners: Vec<String>,
    /// Terms to highlight with [`super::SearchEngine::highlight`].
    pub highlight: Vec<String>,
    /// The brand and the category that the query names.
    pub named: Vec<(String, String)>,
}
