//! What a shopper who is typing may mean: queries, products, categories and brands. Nothing that would find nothing.

use merx_domain::{FilterValue, ProductNumber};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::search::catalogue::{Catalogue, View};
use crate::search::shop_index::{Reading, SearchReader};
use crate::search::text::fold;

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
}

/// Queries of more letters aren't kept: nobody types them again.
const LONGEST_QUERY: usize = 80;
const MOST_QUERIES: usize = 200_000;
const MOST_OF_A_KIND: usize = 20;
const MOST_TYPED: usize = 200;
/// Completions that are looked at, so that each can be tried before it is shown.
const TRIED: usize = 24;

/// Queries that shoppers searched for, in the order of their letters.
#[derive(Debug, Clone, Default)]
pub(super) struct LoggedQueries {
    queries: Vec<(String, u32)>,
}

impl LoggedQueries {
    pub(super) fn new(queries: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut counts: FxHashMap<String, u32> = FxHashMap::default();
        for (query, count) in queries {
            let query = fold(&query).split_whitespace().collect::<Vec<&str>>().join(" ");
            if !query.is_empty() && query.chars().count() <= LONGEST_QUERY {
                *counts.entry(query).or_default() += count;
            }
        }
        let mut queries: Vec<(String, u32)> = counts.into_iter().collect();
        queries.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        queries.truncate(MOST_QUERIES);
        queries.sort_unstable();
        Self { queries }
    }

    fn beginning_with(&self, prefix: &str) -> Vec<(String, u32)> {
        let start = self.queries.partition_point(|(query, _)| query.as_str() < prefix);
        let mut found: Vec<(String, u32)> =
            self.queries[start..].iter().take_while(|(query, _)| query.starts_with(prefix)).cloned().collect();
        found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        found.truncate(TRIED);
        found
    }
}

pub(super) fn suggest(
    ask: &SuggestAsk,
    catalogue: &Catalogue,
    reader: &SearchReader<'_>,
    logged: &LoggedQueries,
    view: View<'_>,
) -> Vec<Suggestion> {
    let typed: String = fold(&ask.text).chars().take(MOST_TYPED).collect();
    let typed = typed.trim_start();
    if typed.is_empty() {
        return Vec::new();
    }
    let shown = |product: ProductNumber| catalogue.is_shown(product, view);
    let mut suggestions = queries(typed, ask.queries, reader, logged, &shown);
    for (kind, field, most) in
        [(SuggestionKind::Category, "category", ask.categories), (SuggestionKind::Brand, "brand", ask.brands)]
    {
        suggestions.extend(values(kind, field, typed, most, catalogue));
    }
    suggestions.extend(products(typed, ask.products, catalogue, reader, &shown));
    suggestions
}

/// From the log, and then from the words of the catalogue.
fn queries(
    typed: &str,
    most: usize,
    reader: &SearchReader<'_>,
    logged: &LoggedQueries,
    shown: &dyn Fn(ProductNumber) -> bool,
) -> Vec<Suggestion> {
    let most = most.min(MOST_OF_A_KIND);
    let mut found = logged.beginning_with(typed);
    // The last word is completed; what stands before it stays.
    let (before, last) = typed.rsplit_once(' ').map_or(("", typed), |(before, last)| (before, last));
    if !last.is_empty() {
        let completed = reader.completions(last, TRIED).into_iter().filter(|word| word != last);
        found.extend(completed.map(|word| (format!("{before} {word}").trim_start().to_owned(), 0)));
    }
    let mut kept: Vec<Suggestion> = Vec::new();
    for (text, weight) in found {
        if kept.len() == most {
            break;
        }
        if kept.iter().all(|known| known.text != text) && reader.finds(&text, shown) {
            kept.push(Suggestion { kind: SuggestionKind::Query, text, product: None, weight });
        }
    }
    kept
}

/// Values of a field that have a word which begins with each word typed, those of most products first.
fn values(kind: SuggestionKind, field: &str, typed: &str, most: usize, catalogue: &Catalogue) -> Vec<Suggestion> {
    let begins = |text: &str| {
        let shown = fold(text);
        let words: Vec<&str> = shown.split(|c: char| !c.is_alphanumeric()).collect();
        typed.split_whitespace().all(|wanted| words.iter().any(|word| word.starts_with(wanted)))
    };
    let texts = catalogue.values(field).filter_map(|(value, products)| match value {
        FilterValue::Text(text) if begins(text) => Some((text, products)),
        _ => None,
    });
    let mut found: Vec<(&String, u32)> = texts.collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    found.truncate(most.min(MOST_OF_A_KIND));
    found.into_iter().map(|(text, weight)| Suggestion { kind, text: text.clone(), product: None, weight }).collect()
}

fn products(
    typed: &str,
    most: usize,
    catalogue: &Catalogue,
    reader: &SearchReader<'_>,
    shown: &dyn Fn(ProductNumber) -> bool,
) -> Vec<Suggestion> {
    let most = most.min(MOST_OF_A_KIND);
    if most == 0 {
        return Vec::new();
    }
    let understood = reader.understand(typed, Reading { unfinished: true, ..Reading::PLAIN });
    let Ok(mut matched) = reader.matched(&understood, &[]) else { return Vec::new() };
    matched
        .matches
        .retain(|found| found.terms & matched.required == matched.required && shown(ProductNumber(found.product)));
    let popularity = |product: u32| catalogue.popularity(ProductNumber(product));
    matched.matches.sort_by(|a, b| {
        (b.score * (1.0 + popularity(b.product)))
            .total_cmp(&(a.score * (1.0 + popularity(a.product))))
            .then(a.product.cmp(&b.product))
    });
    let best = matched.matches.iter().take(most).map(|found| ProductNumber(found.product));
    best.filter_map(|product| {
        let text = catalogue.row(product)?.name.to_string();
        Some(Suggestion { kind: SuggestionKind::Product, text, product: Some(product), weight: 1 })
    })
    .collect()
}
