//! Searches as JSON of our own API.

use merx_decide::CatalogueReader;
use merx_domain::search::{
    FacetCounts, HitReason, Mark, SearchAnswer, SearchHit, SearchedTerm, Step, Suggestion, SuggestionKind,
};
use merx_domain::{FilterValue, MarketId, Situation};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::Decided;
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::recommend::{ArmAnswer, ModelAnswer, arm_answers, arm_name, fallback_name};
use crate::wire::MoneyWire;

#[derive(Serialize, ToSchema)]
#[schema(as = SearchAnswer)]
pub(crate) struct SearchResult {
    /// Outcomes carry it back: `context.decision_id` or `properties.decision_id` of events.
    #[schema(example = "0193a1f2c0de5a3b7c4d9e8f01234567")]
    decision_id: String,
    #[serde(flatten)]
    found: FoundAnswer,
    model: Option<ModelAnswer>,
    #[schema(example = "live_model")]
    fallback: &'static str,
    #[schema(example = "treated")]
    arm: &'static str,
    /// Arms of the experiments that had a say in this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<ArmAnswer>,
    latency_us: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchFound)]
pub(crate) struct FoundAnswer {
    hits: Vec<HitAnswer>,
    /// Products found, exactly; 0 where popular ones stand in.
    total: usize,
    facets: Vec<FacetAnswer>,
    /// The text that was searched, where it isn't what was typed: "showing results for".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    searched_for: Option<String>,
    /// What was done to find something, in order.
    steps: Vec<StepAnswer>,
    /// Merchants' rules that applied, in order.
    rules: Vec<String>,
    /// Where a merchant sends shoppers of this query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    redirect: Option<String>,
    /// What merchants set to be shown above: JSON of their own.
    banners: Vec<String>,
    /// Brands and categories that the query names.
    named: Vec<NamedAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub(crate) struct HitAnswer {
    product_id: String,
    name: String,
    /// The name again, in parts: those that were searched for are `hit`.
    name_parts: Vec<PartAnswer>,
    brand: Option<String>,
    category_path: Vec<String>,
    price: Option<MoneyWire>,
    in_stock: bool,
    url: Option<String>,
    image: Option<String>,
    /// Compares within its answer only.
    score: f32,
    /// Why it stands where it stands.
    reasons: Vec<HitReasonAnswer>,
    /// Everything measured, where `explain` asked for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measurements: Vec<MeasurementAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TextPart)]
pub(crate) struct PartAnswer {
    text: String,
    hit: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = HitReason)]
pub(crate) struct HitReasonAnswer {
    /// words, meaning, popular, clicked, rule, named, personal, preferred, near.
    #[serde(rename = "type")]
    kind: &'static str,
    words: String,
    /// By how much, in the reason's own measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    weight: Option<f32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Measurement)]
pub(crate) struct MeasurementAnswer {
    name: String,
    value: f32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchStep)]
pub(crate) struct StepAnswer {
    /// corrected, price_read, price_dropped, relaxed, by_meaning, popular.
    #[serde(rename = "type")]
    kind: &'static str,
    words: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NamedInQuery)]
pub(crate) struct NamedAnswer {
    field: String,
    value: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Facet)]
pub(crate) struct FacetAnswer {
    field: String,
    values: Vec<FacetValueAnswer>,
    /// Distinct values, shown or not.
    distinct: usize,
    /// Of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    statistics: Option<StatisticsAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FacetValue)]
pub(crate) struct FacetValueAnswer {
    /// A text, a number or a truth value.
    value: Value,
    count: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FacetStatistics)]
pub(crate) struct StatisticsAnswer {
    min: f64,
    max: f64,
    mean: f64,
    sum: f64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SuggestAnswer {
    suggestions: Vec<SuggestionAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Suggestion)]
pub(crate) struct SuggestionAnswer {
    /// query, product, category, brand.
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    /// How often it was searched for, or how many products there are.
    weight: u32,
    /// Searched for far more often in the last days than before.
    trending: bool,
    /// The person who is typing searched for it before, or leans to it.
    personal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    product_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    price: Option<MoneyWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    image: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FacetsAnswer {
    field: String,
    values: Vec<FacetValueAnswer>,
}

fn json<T: Serialize>(answer: &T) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer has no JSON form");
        Problem::new(Code::Internal)
    })
}

pub(super) fn write(app: &App, decided: &Decided<'_>) -> Result<Vec<u8>, Problem> {
    let decision = &decided.decision;
    json(&SearchResult {
        decision_id: decision.id.to_string(),
        found: found(app, &decision.answer, decided.market, decided.catalogue),
        model: decision.model.map(|version| ModelAnswer { name: decision.engine, version: version.0 }),
        fallback: fallback_name(decision.fallback),
        arm: arm_name(decided.arm),
        experiments: arm_answers(app, &decision.experiments),
        latency_us: decision.latency_us,
    })
}

pub(super) fn write_preview(
    app: &App,
    answer: &SearchAnswer,
    market: &MarketId,
    catalogue: &CatalogueReader<'_>,
) -> Result<Vec<u8>, Problem> {
    json(&found(app, answer, market, catalogue))
}

fn found(app: &App, answer: &SearchAnswer, market: &MarketId, catalogue: &CatalogueReader<'_>) -> FoundAnswer {
    let hit = |hit| hit_answer(app, hit, answer, market, catalogue);
    FoundAnswer {
        hits: answer.hits.iter().filter_map(hit).collect(),
        total: answer.total,
        facets: answer.facets.iter().map(facet).collect(),
        searched_for: answer.searched_for.clone(),
        steps: answer.steps.iter().map(|step| StepAnswer { kind: step_kind(step), words: step_words(step) }).collect(),
        rules: answer.rules.clone(),
        redirect: answer.redirect.clone(),
        banners: answer.banners.clone(),
        named: answer.named.iter().cloned().map(|(field, value)| NamedAnswer { field, value }).collect(),
    }
}

fn hit_answer(
    app: &App,
    hit: &SearchHit,
    answer: &SearchAnswer,
    market: &MarketId,
    catalogue: &CatalogueReader<'_>,
) -> Option<HitAnswer> {
    let entry = catalogue.entry(hit.product)?;
    let measurements = hit.measurements.iter().filter(|(_, value)| value.is_finite());
    Some(HitAnswer {
        product_id: entry.id.to_string(),
        name: entry.name.to_string(),
        name_parts: parts(app, &entry.name, &answer.highlight),
        brand: entry.brand.as_ref().map(ToString::to_string),
        category_path: entry.category_path.iter().map(ToString::to_string).collect(),
        price: entry.price(market).map(MoneyWire::from),
        in_stock: entry.stock.is_none_or(|stock| stock > 0),
        url: entry.url.as_deref().map(str::to_owned),
        image: entry.image.as_deref().map(str::to_owned),
        score: finite(hit.score),
        reasons: hit.reasons.iter().map(reason).collect(),
        measurements: measurements
            .map(|(name, value)| MeasurementAnswer { name: name.clone(), value: *value })
            .collect(),
    })
}

/// A text cut where hits begin and end.
fn parts(app: &App, text: &str, terms: &[SearchedTerm]) -> Vec<PartAnswer> {
    let mut parts = Vec::new();
    let mut at = 0;
    let mut part = |from: usize, to: usize, hit| {
        if let Some(text) = text.get(from..to).filter(|text| !text.is_empty()) {
            parts.push(PartAnswer { text: text.to_owned(), hit });
        }
    };
    for Mark { range, .. } in app.parts.searches.highlight(text, terms) {
        part(at, range.start, false);
        part(range.start, range.end, true);
        at = range.end;
    }
    part(at, text.len(), false);
    parts
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

fn reason(reason: &HitReason) -> HitReasonAnswer {
    let (kind, weight) = match reason {
        HitReason::Words { coverage } => ("words", Some(*coverage)),
        HitReason::Meaning { cosine } => ("meaning", Some(*cosine)),
        HitReason::Popular { weight } => ("popular", Some(*weight)),
        HitReason::Clicked { lift } => ("clicked", Some(*lift)),
        HitReason::Rule { .. } => ("rule", None),
        HitReason::Named { .. } => ("named", None),
        HitReason::Personal { factor, .. } => ("personal", Some(*factor)),
        HitReason::Preferred { score } => ("preferred", Some(*score)),
        HitReason::Near { distance_m } => ("near", Some(*distance_m)),
    };
    HitReasonAnswer { kind, words: reason_words(reason), weight: weight.filter(|weight| weight.is_finite()) }
}

/// A hit's reason as a merchant reads it.
pub(crate) fn reason_words(reason: &HitReason) -> String {
    match reason {
        HitReason::Words { coverage } => format!("its texts have {:.0} % of what was asked for", coverage * 100.0),
        HitReason::Meaning { .. } => "its texts are near the query by meaning".to_owned(),
        HitReason::Popular { .. } => "popular with shoppers here".to_owned(),
        HitReason::Clicked { lift } if *lift > 0.0 => "clicked more often than others for this query".to_owned(),
        HitReason::Clicked { .. } => "clicked less often than others for this query".to_owned(),
        HitReason::Rule { id } => format!("rule {id} moved it"),
        HitReason::Named { field, value } => format!("the query names its {field} {value}"),
        HitReason::Personal { field, value, .. } => format!("the shopper leans to the {field} {value}"),
        HitReason::Preferred { .. } => "it passes what the search would rather find".to_owned(),
        HitReason::Near { distance_m } => format!("{distance_m:.0} m from where the search looks around"),
    }
}

fn step_kind(step: &Step) -> &'static str {
    match step {
        Step::Corrected { .. } => "corrected",
        Step::PriceRead { .. } => "price_read",
        Step::PriceDropped => "price_dropped",
        Step::Relaxed { .. } => "relaxed",
        Step::ByMeaning => "by_meaning",
        Step::Popular { .. } => "popular",
    }
}

/// A step of the search as a merchant reads it.
pub(crate) fn step_words(step: &Step) -> String {
    match step {
        Step::Corrected { typed, meant, replaced: true } => format!("{typed} was read as {meant}"),
        Step::Corrected { typed, meant, replaced: false } => format!("{typed} was also read as {meant}"),
        Step::PriceRead { .. } => "a price in the query became a filter".to_owned(),
        Step::PriceDropped => "the price in the query found nothing and was left out".to_owned(),
        Step::Relaxed { missing } => format!("no product has all words; the best lack {}", missing.join(", ")),
        Step::ByMeaning => "no word was found; these are near by meaning".to_owned(),
        Step::Popular { category: Some(category) } => {
            format!("nothing was found; these are popular in {category}")
        }
        Step::Popular { category: None } => "nothing was found; these are popular".to_owned(),
    }
}

fn facet(counts: &FacetCounts) -> FacetAnswer {
    let statistics = counts.statistics.as_ref().map(|statistics| StatisticsAnswer {
        min: statistics.min,
        max: statistics.max,
        mean: statistics.mean(),
        sum: statistics.sum,
    });
    let values = counts.values.iter().map(|value| (value.value.clone(), value.count));
    FacetAnswer { field: counts.field.clone(), values: facet_values(values), distinct: counts.distinct, statistics }
}

fn facet_values(values: impl IntoIterator<Item = (FilterValue, u32)>) -> Vec<FacetValueAnswer> {
    let value = |value| match value {
        FilterValue::Text(text) => Value::from(text),
        FilterValue::Number(number) => Value::from(number),
        FilterValue::Flag(flag) => Value::from(flag),
    };
    values.into_iter().map(|(found, count)| FacetValueAnswer { value: value(found), count }).collect()
}

pub(super) fn write_facets(field: &str, found: Vec<(FilterValue, u32)>) -> Result<Vec<u8>, Problem> {
    json(&FacetsAnswer { field: field.to_owned(), values: facet_values(found) })
}

pub(super) fn write_suggestions(
    app: &App,
    suggestions: Vec<Suggestion>,
    situation: &Situation,
) -> Result<Vec<u8>, Problem> {
    let catalogue = app.parts.catalogue.read();
    let suggestions = suggestions.into_iter().map(|suggestion| suggested(suggestion, situation, &catalogue));
    json(&SuggestAnswer { suggestions: suggestions.collect() })
}

fn suggested(suggestion: Suggestion, situation: &Situation, catalogue: &CatalogueReader<'_>) -> SuggestionAnswer {
    let entry = suggestion.product.and_then(|product| catalogue.entry(product));
    SuggestionAnswer {
        kind: match suggestion.kind {
            SuggestionKind::Query => "query",
            SuggestionKind::Product => "product",
            SuggestionKind::Category => "category",
            SuggestionKind::Brand => "brand",
        },
        text: suggestion.text,
        weight: suggestion.weight,
        trending: suggestion.trending,
        personal: suggestion.personal,
        product_id: entry.map(|entry| entry.id.to_string()),
        price: entry.and_then(|entry| entry.price(&situation.market)).map(MoneyWire::from),
        url: entry.and_then(|entry| entry.url.as_deref()).map(str::to_owned),
        image: entry.and_then(|entry| entry.image.as_deref()).map(str::to_owned),
    }
}
