//! What a shopper who is typing may mean: queries, products, categories and brands. Nothing that would find nothing.

use compact_str::CompactString;
pub use merx_domain::search::{SuggestAsk, Suggestion, SuggestionKind};
use merx_domain::{Affinity, FilterValue, ProductNumber};
use rustc_hash::FxHashMap;

use crate::search::catalogue::{Catalogue, View};
use crate::search::shop_index::{Reading, SearchReader};
use crate::search::text::fold;

/// Queries of more letters aren't kept: nobody types them again.
const LONGEST_QUERY: usize = 80;
const MOST_QUERIES: usize = 200_000;
const MOST_OF_A_KIND: usize = 20;
const MOST_TYPED: usize = 200;
/// Completions that are looked at, so that each can be tried before it is shown.
const TRIED: usize = 24;
/// How many times its products a brand or category counts for that the person leans to most, beside once.
const LEANING_WORTH: f32 = 9.0;

/// What may be known of who is typing; nothing without consent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Person<'a> {
    /// What they searched for, newest first.
    pub searches: &'a [CompactString],
    /// The brands and categories that they lean to.
    pub affinities: &'a [Affinity],
}

impl Person<'_> {
    /// The own searches that begin with `prefix`, folded, newest first.
    fn beginning_with(&self, prefix: &str) -> Vec<LoggedQuery> {
        let texts = self.searches.iter().map(|text| fold(text)).filter(|text| text.starts_with(prefix));
        texts.map(|text| LoggedQuery { text, searches: 0, trending: false }).collect()
    }

    /// How much they lean to a value of a field beside the one that they lean to most, 0 to 1.
    fn leaning(&self, field: &str, value: &str) -> f32 {
        let of_field = || self.affinities.iter().filter(|affinity| affinity.feature == field);
        let strongest = of_field().map(|affinity| affinity.weight).fold(0.0, f32::max);
        let weight = of_field().find(|affinity| affinity.key == value).map_or(0.0, |affinity| affinity.weight);
        if strongest > 0.0 { weight.max(0.0) / strongest } else { 0.0 }
    }
}

/// A query that shoppers searched for and that found something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoggedQuery {
    pub text: String,
    pub searches: u32,
    /// Searched for far more often in the last days than before.
    pub trending: bool,
}

/// Queries that shoppers searched for, in the order of their letters.
#[derive(Debug, Clone, Default)]
pub(super) struct LoggedQueries {
    queries: Vec<LoggedQuery>,
    /// What is suggested to somebody who has typed nothing yet, best first.
    first: Vec<LoggedQuery>,
    /// How often each word was searched for.
    words: FxHashMap<String, u32>,
}

impl LoggedQueries {
    pub(super) fn new(queries: impl IntoIterator<Item = LoggedQuery>) -> Self {
        let mut counts: FxHashMap<String, (u32, bool)> = FxHashMap::default();
        for LoggedQuery { text, searches, trending } in queries {
            let text = fold(&text).split_whitespace().collect::<Vec<&str>>().join(" ");
            if !text.is_empty() && text.chars().count() <= LONGEST_QUERY {
                let known = counts.entry(text).or_default();
                *known = (known.0 + searches, known.1 || trending);
            }
        }
        let mut queries: Vec<LoggedQuery> =
            counts.into_iter().map(|(text, (searches, trending))| LoggedQuery { text, searches, trending }).collect();
        queries.sort_by(more_often);
        queries.truncate(MOST_QUERIES);
        let mut first: Vec<LoggedQuery> = queries.iter().filter(|query| query.trending).take(TRIED).cloned().collect();
        first.extend(queries.iter().filter(|query| !query.trending).take(TRIED).cloned());
        queries.sort_unstable();
        let mut words: FxHashMap<String, u32> = FxHashMap::default();
        for query in &queries {
            for word in query.text.split(' ') {
                let searches = words.entry(word.to_owned()).or_default();
                *searches = searches.saturating_add(query.searches);
            }
        }
        Self { queries, first, words }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        self.words.iter().map(|(word, searches)| (word.as_str(), *searches))
    }

    fn beginning_with(&self, prefix: &str) -> Vec<LoggedQuery> {
        let start = self.queries.partition_point(|query| query.text.as_str() < prefix);
        let found = self.queries[start..].iter().take_while(|query| query.text.starts_with(prefix));
        let mut found: Vec<LoggedQuery> = found.cloned().collect();
        found.sort_by(more_often);
        found.truncate(TRIED);
        found
    }
}

fn more_often(a: &LoggedQuery, b: &LoggedQuery) -> std::cmp::Ordering {
    b.searches.cmp(&a.searches).then_with(|| a.text.cmp(&b.text))
}

pub(super) fn suggest(
    ask: &SuggestAsk,
    person: &Person<'_>,
    catalogue: &Catalogue,
    reader: &SearchReader<'_>,
    logged: &LoggedQueries,
    view: View<'_>,
) -> Vec<Suggestion> {
    let typed: String = fold(&ask.text).chars().take(MOST_TYPED).collect();
    let typed = typed.trim_start();
    let shown = catalogue.shown_to(view);
    if typed.is_empty() {
        let own = person.beginning_with("");
        return finding(own, logged.first.iter().cloned(), ask.queries, reader, &shown);
    }
    let mut suggestions = queries(typed, ask.queries, person, reader, logged, &shown);
    for (kind, field, most) in
        [(SuggestionKind::Category, "category", ask.categories), (SuggestionKind::Brand, "brand", ask.brands)]
    {
        suggestions.extend(values(kind, field, typed, most, person, catalogue, view));
    }
    suggestions.extend(products(typed, ask.products, catalogue, reader, &shown));
    suggestions
}

/// What the person searched for themselves, then from the log, then from the words of the catalogue.
fn queries(
    typed: &str,
    most: usize,
    person: &Person<'_>,
    reader: &SearchReader<'_>,
    logged: &LoggedQueries,
    shown: &dyn Fn(ProductNumber) -> bool,
) -> Vec<Suggestion> {
    let mut found = logged.beginning_with(typed);
    // The last word is completed; what stands before it stays.
    let (before, last) = typed.rsplit_once(' ').map_or(("", typed), |(before, last)| (before, last));
    if !last.is_empty() {
        let completed = reader.completions(last, TRIED).into_iter().filter(|word| word != last);
        let text = completed.map(|word| format!("{before} {word}").trim_start().to_owned());
        found.extend(text.map(|text| LoggedQuery { text, searches: 0, trending: false }));
    }
    finding(person.beginning_with(typed), found, most, reader, shown)
}

/// The first of them that find something, each once. Of the person's own at most half: the others tell news.
fn finding(
    own: Vec<LoggedQuery>,
    others: impl IntoIterator<Item = LoggedQuery>,
    most: usize,
    reader: &SearchReader<'_>,
    shown: &dyn Fn(ProductNumber) -> bool,
) -> Vec<Suggestion> {
    let most = most.min(MOST_OF_A_KIND);
    let mut kept: Vec<Suggestion> = Vec::new();
    let own = own.into_iter().map(|query| (query, true));
    for (LoggedQuery { text, searches, trending }, personal) in
        own.chain(others.into_iter().map(|query| (query, false)))
    {
        if kept.len() == most {
            break;
        }
        if personal && kept.len() >= most.div_ceil(2) {
            continue;
        }
        if kept.iter().all(|known| known.text != text) && reader.finds(&text, shown) {
            let kind = SuggestionKind::Query;
            kept.push(Suggestion { kind, text, product: None, weight: searches, trending, personal });
        }
    }
    kept
}

/// Values of a field that have a word which begins with each word typed, those of most products first; a leaning of the person
/// makes up for a tenth of the products.
fn values(
    kind: SuggestionKind,
    field: &str,
    typed: &str,
    most: usize,
    person: &Person<'_>,
    catalogue: &Catalogue,
    view: View<'_>,
) -> Vec<Suggestion> {
    let begins = |text: &str| {
        let shown = fold(text);
        let words: Vec<&str> = shown.split(|c: char| !c.is_alphanumeric()).collect();
        typed.split_whitespace().all(|wanted| words.iter().any(|word| word.starts_with(wanted)))
    };
    let texts = catalogue.values(field).filter_map(|(value, products)| match value {
        FilterValue::Text(text) if begins(text) => Some((text, products)),
        _ => None,
    });
    let mut found: Vec<(&String, u32, f32)> =
        texts.map(|(text, products)| (text, products, person.leaning(field, text))).collect();
    let worth = |(_, products, leaning): &(&String, u32, f32)| *products as f32 * (1.0 + LEANING_WORTH * leaning);
    found.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then_with(|| a.0.cmp(b.0)));
    // Of what is hidden or not sold here nothing is said.
    let shown = catalogue.shown_to(view);
    let is_sold = |text: &str| {
        let has = catalogue.having(field, text);
        catalogue.numbers_of_all().any(|product| shown(product) && has(product))
    };
    let suggestion = |(text, weight, leaning): (&String, u32, f32)| Suggestion {
        kind,
        text: text.clone(),
        product: None,
        weight,
        trending: false,
        personal: leaning > 0.0,
    };
    let sold = found.into_iter().take(TRIED).filter(|(text, ..)| is_sold(text));
    sold.take(most.min(MOST_OF_A_KIND)).map(suggestion).collect()
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
        let kind = SuggestionKind::Product;
        Some(Suggestion { kind, text, product: Some(product), weight: 1, trending: false, personal: false })
    })
    .collect()
}
