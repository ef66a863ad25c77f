//! What is asked of a search and what it answers: products, facets, suggestions.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Filter, FilterValue, ProductNumber};

/// A search. The default asks for the first twenty products of the catalogue.
///
/// Decisions on record keep it field by field: what is added later stands at the end, and its default is written as zeros, so that
/// older records are read as if they had asked for the default.
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
    /// What is found first among products that have as many of the words.
    pub preferences: Vec<Preference>,
    pub distinct: Option<Distinct>,
    pub around: Option<Around>,
    /// Whether merchants' rules and synonyms are left out.
    pub without_rules: bool,
    pub without_synonyms: bool,
    /// What the query is written in, codes of two letters; empty: any language of the index.
    pub languages: Vec<String>,
    /// The id of the sentence encoder whose vectors are used, the query's being at hand; `None`: the shop's own encoder alone.
    pub encoder: Option<String>,
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
            preferences: Vec::new(),
            distinct: None,
            around: None,
            without_rules: false,
            without_synonyms: false,
            languages: Vec::new(),
            encoder: None,
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

/// What is rather found: filters and what passing each is worth. Of several the highest counts, or their sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    pub alternatives: Vec<(Filter, f32)>,
    pub summed: bool,
}

impl Preference {
    /// Where all alternatives are worth the same and the highest counts: what passes any of them, and its worth.
    pub fn of_one_score(&self) -> Option<(Filter, f32)> {
        let (first, score) = self.alternatives.first()?;
        if self.alternatives.len() == 1 {
            return Some((first.clone(), *score));
        }
        let same = !self.summed && self.alternatives.iter().all(|(_, other)| other == score);
        same.then(|| (Filter::Any(self.alternatives.iter().map(|(filter, _)| filter.clone()).collect()), *score))
    }
}

/// Of products with the same value of a field, no more than the first few are found; those without one are all found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct {
    pub field: String,
    pub most: u32,
}

/// Only products that have a place are found, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Around {
    /// In degrees.
    pub latitude: f64,
    pub longitude: f64,
    /// No further; `None`: anywhere.
    pub radius_m: Option<u32>,
    /// Distances that differ by less are the same.
    pub precision_m: u32,
}

impl Around {
    /// The attributes that are a product's place, numbers in degrees.
    pub const LATITUDE: &str = "attributes._geoloc.lat";
    pub const LONGITUDE: &str = "attributes._geoloc.lng";

    /// Along a great circle, by the haversine formula on a sphere of the Earth's mean radius: .5 % off at most.
    pub fn distance_m(&self, latitude: f64, longitude: f64) -> f64 {
        const EARTH_RADIUS_M: f64 = 6_371_008.8;
        let (a, b) = (self.latitude.to_radians(), latitude.to_radians());
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let chord = half(latitude - self.latitude) + a.cos() * b.cos() * half(longitude - self.longitude);
        2.0 * EARTH_RADIUS_M * chord.sqrt().min(1.0).asin()
    }
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
    /// It passes what the search would rather find.
    Preferred {
        score: f32,
    },
    /// How far it is from where the search looks around.
    Near {
        distance_m: f32,
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

/// What one measurement of a hit added to its relevance, before a page's relevance is spread over 0 to 1 and other signals join.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    pub measurement: String,
    pub value: f32,
    pub contribution: f32,
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
    /// What is highlighted, in the order of the query.
    pub highlight: Vec<SearchedTerm>,
    /// The brand and the category that the query names.
    pub named: Vec<(String, String)>,
    /// What it was found in.
    pub state: IndexState,
}

/// A term that was searched for, and the word of the query that it stands for: the word itself, a correction of it, a synonym.
/// Answers on record have it as one text: the word, a tab, the term; older ones have the term alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SearchedTerm {
    pub word: String,
    /// One that ends with `*` is the beginning of words. Several with spaces between them count where all are.
    pub term: String,
}

impl From<String> for SearchedTerm {
    fn from(written: String) -> Self {
        match written.split_once('\t') {
            Some((word, term)) => Self { word: word.to_owned(), term: term.to_owned() },
            None => Self { word: written.clone(), term: written },
        }
    }
}

impl From<SearchedTerm> for String {
    fn from(searched: SearchedTerm) -> Self {
        format!("{}\t{}", searched.word, searched.term)
    }
}

/// A stretch of a text that is highlighted: bytes, and which of the terms stand there, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub range: Range<usize>,
    pub terms: Vec<usize>,
}

/// Which state of the shop a search was answered from. Two answers of the same state to the same ask are equal. Answers on record end
/// with it: what is added later stands at its end too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IndexState {
    /// The newest change of the catalogue when the index was last built anew: what products are about was learnt then.
    pub built: u64,
    /// The newest changes of products, of stock and of merchants' rules and synonyms that are in it.
    pub products: u64,
    pub stock: u64,
    pub rules: u64,
    /// Counts what is read from behaviour now and then: popularity, facets chosen. A hash of its values.
    pub signals: u64,
    /// A change was being written: some of it may have counted already.
    pub changing: bool,
    /// The sentence encoder and the newest change of the catalogue that it has been told, as a hash; 0 where there is none.
    pub sentences: u64,
    /// How the engine answers: raised with every change of it that may answer an equal ask of an equal shop in another way.
    pub method: u32,
}

impl IndexState {
    /// What has changed from this state to another, in words; empty where nothing has.
    pub fn changes(&self, now: &Self) -> Vec<&'static str> {
        let parts = [
            (self.products != now.products, "products"),
            (self.stock != now.stock, "stock"),
            (self.rules != now.rules, "rules or synonyms"),
            (self.signals != now.signals, "popularity or chosen facets"),
            (self.built != now.built && self.products == now.products, "the index was built anew"),
            (self.changing || now.changing, "a change was being written"),
            (self.sentences != now.sentences, "the encoder or its vectors of products"),
            (self.method != now.method, "how Merx searches"),
        ];
        parts.into_iter().filter(|(changed, _)| *changed).map(|(_, words)| words).collect()
    }
}

/// Which facet, and how many of its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetRequest {
    pub field: String,
    pub most_values: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetValueCount {
    pub value: FilterValue,
    pub count: u32,
}

/// Of the numbers that products have in a field; a product with several counts each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberStatistics {
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u32,
}

impl NumberStatistics {
    pub fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

/// A facet of what was found, most frequent value first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetCounts {
    pub field: String,
    pub values: Vec<FacetValueCount>,
    /// Distinct values, shown or not.
    pub distinct: usize,
    /// Products found that have the field.
    pub covered: usize,
    pub statistics: Option<NumberStatistics>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestAsk {
    /// What was typed so far.
    pub text: String,
    /// So many of each kind at most.
    pub queries: usize,
    pub products: usize,
    pub categories: usize,
    pub brands: usize,
}

impl SuggestAsk {
    pub fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), queries: 6, products: 4, categories: 3, brands: 3 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuggestionKind {
    Query,
    Product,
    Category,
    Brand,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    pub kind: SuggestionKind,
    pub text: String,
    /// Of a product.
    pub product: Option<ProductNumber>,
    /// How often it was searched for, or how many products there are.
    pub weight: u32,
    /// Searched for far more often in the last days than before.
    pub trending: bool,
    /// The person who is typing searched for it before, or leans to it.
    pub personal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let paris = Around { latitude: 48.8566, longitude: 2.3522, radius_m: None, precision_m: 10 };
        let london = paris.distance_m(51.5074, -0.1278);
        assert!((london - 343_500.0).abs() < 1_000.0, "{london}");
        assert_eq!(paris.distance_m(48.8566, 2.3522), 0.0);
        let opposite = paris.distance_m(-48.8566, -177.6478);
        assert!((opposite - 20_015_000.0).abs() < 1_000.0, "{opposite}");
    }
}
