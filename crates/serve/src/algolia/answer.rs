//! What was found, as the protocol writes it.

use merx_decide::{CatalogueEntry, CatalogueReader};
use merx_domain::search::{Around, FacetCounts, HitReason, SearchAnswer, SearchHit};
use merx_domain::{Product, ProductId};
use serde_json::{Map, Value, json};

use super::chosen::Chosen;
use super::filters::{attribute_of, field_of, value_text};
use super::highlight::{Marked, Searched};
use super::reading::Page;
use super::record::{self, Record};
use crate::app::App;
use crate::problem::Problem;
use crate::search::{Decided, REACHABLE};

/// `decided` is missing where only counts were asked for: there is nothing to attribute clicks to then.
pub(super) fn write(
    app: &App,
    page: &Page,
    answer: &SearchAnswer,
    decided: Option<&Decided<'_>>,
    catalogue: &CatalogueReader<'_>,
) -> Result<Value, Problem> {
    let market = decided.map_or(&app.parts.settings.default_market, |decided| decided.market);
    let shown = answer.hits.iter().filter_map(|found| Some((found, catalogue.entry(found.product)?)));
    let shown: Vec<(&SearchHit, &CatalogueEntry)> = shown.collect();
    let more = more_of(app, page, &shown)?;
    let searched = Searched::of(&answer.highlight);
    let mut hits = Vec::with_capacity(shown.len());
    for (place, ((found, entry), product)) in shown.iter().zip(&more).enumerate() {
        let mut attributes = record::attributes_of(entry, market);
        attributes.insert("objectID".to_owned(), json!(entry.id.as_str()));
        attributes.extend(product.iter().flat_map(record::details));
        let attributes = page.readable.out_of(attributes);
        let mut hit = hit(app, page, &searched, &attributes);
        if page.ranking_info {
            let place = page.page.saturating_mul(page.hits_per_page).saturating_add(place);
            let mut info = ranking_info(place, found, &searched);
            if let Some(around) = &page.around {
                tell_distance(&mut info, around, &attributes);
            }
            hit.insert("_rankingInfo".to_owned(), info);
        }
        hits.push(Value::Object(hit));
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
    if let Some(Around { latitude, longitude, .. }) = page.around {
        result["aroundLatLng"] = json!(format!("{latitude},{longitude}"));
    }
    if !banners.is_empty() {
        result["userData"] = json!(banners);
    }
    if !answer.rules.is_empty() {
        result["appliedRules"] = answer.rules.iter().map(|id| json!({"objectID": id})).collect();
    }
    if let Some((offset, length)) = page.stretch {
        result["offset"] = json!(offset);
        result["length"] = json!(length);
    }
    if let (Some(fields), Some(result)) = (&page.fields, result.as_object_mut()) {
        result.retain(|name, _| fields.iter().any(|field| field == name));
    }
    Ok(result)
}

/// What products' records say beyond the catalogue in memory, by place of the hit; read only where it is shown.
fn more_of(app: &App, page: &Page, hits: &[(&SearchHit, &CatalogueEntry)]) -> Result<Vec<Option<Product>>, Problem> {
    let named = |name: &&str| {
        let cut = page.snippets.iter().any(|(snippet, _)| snippet == name);
        page.retrieved.has(name) || page.highlighted.has(name) || cut
    };
    if hits.is_empty() || !record::DETAILS.iter().any(named) {
        return Ok(vec![None; hits.len()]);
    }
    let ids: Vec<ProductId> = hits.iter().map(|(_, entry)| entry.id.clone()).collect();
    Ok(app.parts.shop.products_by_id(&ids)?)
}

/// A product as it is shown, its texts marked.
pub(super) fn hit(app: &App, page: &Page, searched: &Searched<'_>, attributes: &Record) -> Record {
    let mut hit = page.retrieved.of_record(attributes);
    hit.extend(attributes.get("objectID").map(|id| ("objectID".to_owned(), id.clone())));
    let mark = |text: &str| Marked::new(app, text, searched).highlight(&page.tags);
    let highlights = page.highlighted.of_record(attributes).into_iter().filter(|(name, _)| name != "objectID");
    let highlights: Record =
        highlights.filter_map(|(name, value)| Some((name, marked(page, &value, &mark)?))).collect();
    hit.insert("_highlightResult".to_owned(), Value::Object(highlights));
    let mut snippets = Record::new();
    for (wanted, words) in &page.snippets {
        let cut = |text: &str| Marked::new(app, text, searched).snippet(*words, &page.ellipsis, &page.tags);
        let chosen = Chosen::of(Some(vec![wanted.clone()])).of_record(attributes).into_iter();
        snippets.extend(
            chosen
                .filter(|(name, _)| name != "objectID")
                .filter_map(|(name, value)| Some((name, marked(page, &value, &cut)?))),
        );
    }
    if !page.snippets.is_empty() {
        hit.insert("_snippetResult".to_owned(), Value::Object(snippets));
    }
    hit
}

/// Why a hit stands where it stands, as far as the protocol has words for it.
fn ranking_info(place: usize, found: &SearchHit, searched: &Searched<'_>) -> Value {
    let promoted = found.reasons.iter().any(|reason| matches!(reason, HitReason::Rule { .. }));
    let score = if found.score.is_finite() { found.score } else { 0.0 };
    let coverage = found.reasons.iter().find_map(|reason| match reason {
        HitReason::Words { coverage } => Some(*coverage),
        _ => None,
    });
    let preferred = found.reasons.iter().find_map(|reason| match reason {
        HitReason::Preferred { score } => Some(*score),
        _ => None,
    });
    let preferred = preferred.unwrap_or(0.0);
    let words = (searched.count() as f32 * coverage.unwrap_or(0.0)).round() as u32;
    json!({"userScore": score, "promoted": promoted, "words": words, "nbTypos": 0, "nbExactWords": words, "firstMatchedWord": 0,
        "proximityDistance": 0, "geoDistance": 0, "filters": preferred, "merx": {"place": place, "score": score, "words": coverage}})
}

/// How far away a hit is: in steps of the precision, and in metres.
fn tell_distance(info: &mut Value, around: &Around, attributes: &Record) {
    let place = attributes.get("_geoloc");
    let degrees = |name: &str| place?.get(name)?.as_f64();
    let Some((lat, lng)) = degrees("lat").zip(degrees("lng")) else { return };
    let distance_m = around.distance_m(lat, lng);
    info["geoDistance"] = json!((distance_m / f64::from(around.precision_m)).floor() as u64);
    info["geoPrecision"] = json!(around.precision_m);
    info["matchedGeoLocation"] = json!({"lat": lat, "lng": lng, "distance": distance_m.round() as u64});
}

/// The texts of a value, marked; numbers and flags have nothing to mark.
fn marked(page: &Page, value: &Value, mark: &dyn Fn(&str) -> Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(mark(text)),
        Value::Array(list) => {
            let all = list.iter().filter_map(|one| marked(page, one, mark));
            Some(all.filter(|one| !page.only_matching || one["matchLevel"] != "none").collect())
        }
        Value::Object(parts) => {
            let one = |(name, part): (&String, &Value)| Some((name.clone(), marked(page, part, mark)?));
            Some(Value::Object(parts.iter().filter_map(one).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Facets under the names that they were asked for by; those that stand for `*` under the names that settings have for them.
fn named<'a>(page: &'a Page, answer: &'a SearchAnswer) -> impl Iterator<Item = (String, &'a FacetCounts)> {
    let any = page.facets.iter().any(|facet| facet == "*");
    answer.facets.iter().filter(|counts| counts.covered > 0).flat_map(move |counts| {
        let mut names: Vec<String> =
            page.facets.iter().filter(|facet| field_of(facet) == counts.field).cloned().collect();
        if any {
            match &page.facet_rules.declared {
                Some(declared) => {
                    names.extend(declared.iter().filter(|name| field_of(name) == counts.field).cloned());
                }
                None if names.is_empty() => names.push(attribute_of(&counts.field)),
                None => {}
            }
        }
        names.sort_unstable();
        names.dedup();
        names.retain(|name| page.facet_rules.counts(name));
        names.into_iter().map(move |name| (name, counts))
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
    let mut rendering = page.rendering.clone().unwrap_or_else(|| json!({}));
    if rendering.get("facetOrdering").is_none() && page.facets.iter().any(|facet| facet == "*") {
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
