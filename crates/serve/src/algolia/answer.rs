//! What was found, as the protocol writes it.

use merx_decide::{CatalogueEntry, CatalogueReader};
use merx_domain::search::{FacetCounts, HitReason, SearchAnswer, SearchHit};
use merx_domain::{AttributeValue, MarketId};
use serde_json::{Map, Value, json};

use super::filters::{attribute_of, field_of, value_text};
use super::highlight::Marked;
use super::reading::Page;
use crate::app::App;
use crate::problem::Problem;
use crate::search::{Decided, REACHABLE};

const DESCRIPTION: &str = "description";

/// `decided` is missing where only counts were asked for: there is nothing to attribute clicks to then.
pub(super) fn write(
    app: &App,
    page: &Page,
    answer: &SearchAnswer,
    decided: Option<&Decided<'_>>,
    catalogue: &CatalogueReader<'_>,
) -> Result<Value, Problem> {
    let market = decided.map_or(&app.parts.settings.default_market, |decided| decided.market);
    let mut hits = Vec::with_capacity(answer.hits.len());
    for found in &answer.hits {
        if let Some(entry) = catalogue.entry(found.product) {
            hits.push(hit(app, page, answer, found, entry, market)?);
        }
    }
    let reachable = answer.total.min(REACHABLE);
    let pages = if page.hits_per_page == 0 { 0 } else { reachable.div_ceil(page.hits_per_page) };
    let latency_ms = decided.map_or(0, |decided| decided.decision.latency_us.div_ceil(1_000));
    let mut result = json!({
        "hits": hits, "nbHits": answer.total, "page": page.page, "nbPages": pages, "hitsPerPage": page.hits_per_page,
        "facets": facets(page, answer), "facets_stats": statistics(page, answer),
        "exhaustive": {"nbHits": true, "facetsCount": true, "typo": true},
        "exhaustiveNbHits": true, "exhaustiveFacetsCount": true, "exhaustiveTypo": true,
        "query": page.query, "params": page.params, "index": page.index,
        "processingTimeMS": latency_ms, "serverTimeMS": latency_ms, "renderingContent": rendering(page, answer),
    });
    let banners: Vec<Value> =
        answer.banners.iter().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text))).collect();
    if let Some(decided) = decided {
        result["queryID"] = json!(decided.decision.id.to_string());
    }
    if let Some(searched) = &answer.searched_for {
        result["queryAfterRemoval"] = json!(searched);
    }
    if !banners.is_empty() {
        result["userData"] = json!(banners);
    }
    if !answer.rules.is_empty() {
        result["appliedRules"] = answer.rules.iter().map(|id| json!({"objectID": id})).collect();
    }
    Ok(result)
}

fn hit(
    app: &App,
    page: &Page,
    answer: &SearchAnswer,
    found: &SearchHit,
    entry: &CatalogueEntry,
    market: &MarketId,
) -> Result<Value, Problem> {
    let mut attributes = attributes_of(entry, market);
    if wants_description(page)
        && let Some(product) = app.parts.shop.product(&entry.id)?
    {
        attributes.insert(DESCRIPTION.to_owned(), json!(product.description));
    }
    let mut hit = Map::new();
    hit.insert("objectID".to_owned(), json!(entry.id.as_str()));
    let wanted = |name: &str| page.retrieved.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name));
    hit.extend(attributes.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())));
    let highlighted = |name: &str| page.highlighted.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
    let marked = |value: &Value| {
        marked(value, &|text| Marked::new(app, text, &answer.highlight, &page.query).highlight(&page.tags))
    };
    let highlights = attributes.iter().filter(|(name, _)| highlighted(name));
    let highlights: Map<String, Value> =
        highlights.filter_map(|(name, value)| Some((name.clone(), marked(value)?))).collect();
    hit.insert("_highlightResult".to_owned(), Value::Object(highlights));
    if !page.snippets.is_empty() {
        let snippet = |(name, words): &(String, usize)| {
            let text = attributes.get(name)?.as_str()?;
            let marked = Marked::new(app, text, &answer.highlight, &page.query);
            Some((name.clone(), marked.snippet(*words, &page.ellipsis, &page.tags)))
        };
        hit.insert("_snippetResult".to_owned(), Value::Object(page.snippets.iter().filter_map(snippet).collect()));
    }
    if page.ranking_info {
        let promoted = found.reasons.iter().any(|reason| matches!(reason, HitReason::Rule { .. }));
        let score = if found.score.is_finite() { found.score } else { 0.0 };
        hit.insert("_rankingInfo".to_owned(), json!({"userScore": score, "promoted": promoted}));
    }
    Ok(Value::Object(hit))
}

fn wants_description(page: &Page) -> bool {
    let named = |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name == DESCRIPTION);
    named(&page.retrieved) || named(&page.highlighted) || page.snippets.iter().any(|(name, _)| name == DESCRIPTION)
}

fn attributes_of(entry: &CatalogueEntry, market: &MarketId) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (name, value) in &entry.attributes {
        let value = match value {
            AttributeValue::Text(text) => json!(text),
            AttributeValue::Number(number) => json!(number),
            AttributeValue::Flag(flag) => json!(flag),
            AttributeValue::List(list) => json!(list),
        };
        attributes.insert(name.to_string(), value);
    }
    let mut set = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    set("name", json!(entry.name));
    set("in_stock", json!(entry.stock.is_none_or(|stock| stock > 0)));
    set("created_at", json!(entry.created_at.0));
    if let Some(brand) = &entry.brand {
        set("brand", json!(brand));
    }
    if let Some(category) = entry.category_path.last() {
        set("category", json!(category));
        let level = |depth: usize| (format!("lvl{depth}"), json!(entry.category_path[..=depth].join(" > ")));
        set("categories", Value::Object((0..entry.category_path.len()).map(level).collect()));
    }
    if let Some(price) = entry.price(market) {
        set("price", json!(price.major_f64()));
        set("currency", json!(price.currency.to_string()));
    }
    if let Some(url) = &entry.url {
        set("url", json!(url));
    }
    if let Some(image) = &entry.image {
        set("image", json!(image));
    }
    attributes
}

/// The texts of a value, marked; numbers and flags have nothing to mark.
fn marked(value: &Value, mark: &dyn Fn(&str) -> Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(mark(text)),
        Value::Array(list) => Some(list.iter().filter_map(|one| marked(one, mark)).collect()),
        Value::Object(parts) => {
            let one = |(name, part): (&String, &Value)| Some((name.clone(), marked(part, mark)?));
            Some(Value::Object(parts.iter().filter_map(one).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Facets under the names that they were asked for by.
fn named<'a>(page: &'a Page, answer: &'a SearchAnswer) -> impl Iterator<Item = (String, &'a FacetCounts)> {
    answer.facets.iter().filter(|counts| counts.covered > 0).map(|counts| {
        let asked = page.facets.iter().find(|facet| field_of(facet) == counts.field);
        (asked.cloned().unwrap_or_else(|| attribute_of(&counts.field)), counts)
    })
}

fn facets(page: &Page, answer: &SearchAnswer) -> Value {
    let values = |counts: &FacetCounts| {
        Value::Object(counts.values.iter().map(|value| (value_text(&value.value), json!(value.count))).collect())
    };
    Value::Object(named(page, answer).map(|(name, counts)| (name, values(counts))).collect())
}

fn statistics(page: &Page, answer: &SearchAnswer) -> Value {
    let of_numbers = named(page, answer).filter_map(|(name, counts)| {
        let numbers = counts.statistics?;
        Some((name, json!({"min": numbers.min, "max": numbers.max, "avg": numbers.mean(), "sum": numbers.sum})))
    });
    Value::Object(of_numbers.collect())
}

/// In which order facets are to be drawn, and where a merchant sends the shopper.
fn rendering(page: &Page, answer: &SearchAnswer) -> Value {
    let mut rendering = json!({});
    if page.facets.iter().any(|facet| facet == "*") {
        let order: Vec<String> = named(page, answer).map(|(name, _)| name).collect();
        let values: Map<String, Value> =
            order.iter().map(|name| (name.clone(), json!({"sortRemainingBy": "count"}))).collect();
        rendering["facetOrdering"] = json!({"facets": {"order": order}, "values": values});
    }
    if let Some(url) = &answer.redirect {
        rendering["redirect"] = json!({"url": url});
    }
    rendering
}
