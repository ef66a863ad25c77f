//! Recommend: the protocol's models, answered by the recommendation pipeline. Each request is a decision of its own.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use merx_decide::{CatalogueReader, Request, RequestShelf, SlotRules};
use merx_domain::{Ask, Candidate, Decision, Device, Filter, ProductId, ProductNumber, Scenario, Situation, Slot};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::answer;
use super::filters::{field_of, value_text};
use super::highlight::Searched;
use super::params::Params;
use super::reading::{self, Asker, Search};
use super::record;
use super::{MOST_REQUESTS, Plain};
use crate::admission::deciding;
use crate::app::App;
use crate::auth::Caller;
use crate::body::Answered;
use crate::problem::{Code, Problem};
use crate::recommend::known_or_made;
use crate::routes::Shared;
use crate::slot_rules::{Strip, overrule};
use crate::tracking::has_privacy_signal;

const MOST: usize = 30;
/// Products that values of a facet are counted over.
const COUNTED: usize = 200;
const HIGHEST: f64 = 100.0;

/// A question as the protocol asks it.
struct Question {
    model: String,
    scenario: Scenario,
    product: Option<ProductId>,
    count: usize,
    /// 0 to 100; what scores lower is left out.
    threshold: f64,
    /// Of the products, or (trending facets) the facet that is asked for.
    facet: Option<(String, Option<String>)>,
    filter: Option<Filter>,
    /// What fills up where the model finds too little.
    fallback: Option<Filter>,
    has_fallback: bool,
    search: Search,
}

/// Recommend (Algolia)
///
/// Models: related-products, looking-similar, bought-together, trending-items, trending-facets, recommended-for-you. Answers in the
/// order of `requests`; a score is a share of the best one's, 0 to 100.
#[utoipa::path(post, path = "/1/indexes/{index}/recommendations", tag = "algolia", operation_id = "algolia_recommendations",
    params(("index" = String, Path, description = "A star; each request names its own index", example = "*")),
    request_body(content = Object, example = json!({"requests": [{"indexName": "products", "model": "related-products", "objectID": "p1", "threshold": 0, "maxRecommendations": 4}]})),
    responses((status = 200, description = "As Algolia's recommend API answers", body = Object)))]
pub(crate) async fn recommendations(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(_index): Path<String>,
    headers: HeaderMap,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    let asker = Asker { caller, privacy_signal: has_privacy_signal(&headers) };
    let results = deciding(&app, move |app| {
        let Some(requests) = body.get("requests").and_then(Value::as_array) else {
            return Err(Problem::because(Code::InvalidJson, "requests: expected a list"));
        };
        if requests.len() > MOST_REQUESTS {
            let detail = format!("{} requests are more than {MOST_REQUESTS}", requests.len());
            return Err(Problem::mistake("requests", "out_of_range", detail));
        }
        let one = |(place, request)| Question::read(app, place, request, &asker);
        let questions: Vec<Question> = requests.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        questions.iter().map(|question| question.answer(app)).collect::<Result<Vec<Value>, Problem>>()
    });
    Ok(Answered(json!({"results": results.await?})).into_response())
}

impl Question {
    fn read(app: &App, place: usize, request: &Value, asker: &Asker) -> Result<Self, Problem> {
        let wrong = |detail: String| Problem::mistake(format!("requests[{place}]"), "wrong_form", detail);
        let model = request["model"].as_str().unwrap_or_default();
        let scenario = match model {
            "related-products" | "looking-similar" => Scenario::Similar,
            "bought-together" => Scenario::BoughtTogether,
            "trending-items" | "trending-facets" => Scenario::Trending,
            "recommended-for-you" => Scenario::ForYou,
            _ => {
                let known = "related-products, looking-similar, bought-together, trending-items, trending-facets, recommended-for-you";
                return Err(wrong(format!("model: {model:?} is none of {known}")));
            }
        };
        let text = |name: &str| request[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let product = match scenario {
            Scenario::Similar | Scenario::BoughtTogether => {
                let id =
                    text("objectID").ok_or_else(|| wrong("objectID: the model is asked about a product".to_owned()))?;
                Some(ProductId::new(id).map_err(|error| wrong(format!("objectID: {error}")))?)
            }
            _ => None,
        };
        let facet = text("facetName").map(|name| (name, text("facetValue")));
        if model == "trending-facets" && facet.is_none() {
            return Err(wrong("facetName: which facet's values are asked for?".to_owned()));
        }
        let params = |name: &str| match request.get(name) {
            Some(Value::Null) | None => Ok(None),
            Some(params) => Params::of(params).map(Some),
        };
        let query = params("queryParameters")?.unwrap_or_default();
        let fallback = params("fallbackParameters")?;
        let filter_of =
            |name: &str, params: &Params| reading::filter(params).map_err(|error| wrong(format!("{name}: {error}")));
        let mut parts: Vec<Filter> = filter_of("queryParameters", &query)?.into_iter().collect();
        if let (Some((name, Some(value))), true) = (&facet, model == "trending-items") {
            parts.push(super::filters::equals(name, value));
        }
        let index = text("indexName").ok_or_else(|| wrong("indexName: expected a text".to_owned()))?;
        let search = Search::read(app, &index, &query, asker)?;
        if let (Some((name, _)), "trending-facets") = (&facet, model) {
            search.page.facet_rules.check(name)?;
        }
        Ok(Self {
            model: model.to_owned(),
            scenario,
            product,
            count: request["maxRecommendations"]
                .as_u64()
                .map_or(MOST, |most| usize::try_from(most).unwrap_or(MOST))
                .clamp(1, MOST),
            threshold: request["threshold"].as_f64().unwrap_or(0.0).clamp(0.0, HIGHEST),
            facet,
            filter: (!parts.is_empty()).then_some(Filter::All(parts)),
            has_fallback: fallback.is_some(),
            fallback: fallback.map(|params| filter_of("fallbackParameters", &params)).transpose()?.flatten(),
            search,
        })
    }

    fn answer(&self, app: &App) -> Result<Value, Problem> {
        let seed = self.product.as_ref().map(|id| app.parts.catalogue.read().number(id));
        // A product that is not there resembles nothing; what the fallback says is still shown.
        let (decision, mut found) = match seed {
            Some(None) => (None, Vec::new()),
            seed => {
                let count = if self.model == "trending-facets" { COUNTED } else { self.count };
                let slot = self.slot(self.scenario, count, seed.flatten(), Vec::new());
                let decision = decide(app, &self.search, slot, self.filter.clone())?;
                let found = decision.answer.slots.iter().flat_map(|slot| slot.items.clone()).collect();
                (Some(decision), found)
            }
        };
        if self.model == "trending-facets" {
            return Ok(self.facet_values(app, &found, decision.as_ref()));
        }
        let mut scored = scored(&found, self.threshold);
        if self.has_fallback && scored.len() < self.count {
            let shown: Vec<ProductNumber> =
                seed.flatten().into_iter().chain(scored.iter().map(|(product, _)| *product)).collect();
            let slot = self.slot(Scenario::Popular, self.count - scored.len(), None, shown);
            let more = decide(app, &self.search, slot, self.fallback.clone())?;
            found = more.answer.slots.into_iter().flat_map(|slot| slot.items).collect();
            scored.extend(found.iter().map(|candidate| (candidate.product, 0.0)));
        }
        let catalogue = app.parts.catalogue.read();
        let hits = self.hits(app, &catalogue, &scored)?;
        Ok(self.result(hits, decision.as_ref()))
    }

    fn slot(&self, scenario: Scenario, count: usize, seed: Option<ProductNumber>, exclude: Vec<ProductNumber>) -> Slot {
        let products = seed.into_iter().collect();
        Slot { name: self.model.clone(), scenario, count, products, exclude, diversity: 0.0 }
    }

    fn hits(
        &self,
        app: &App,
        catalogue: &CatalogueReader<'_>,
        scored: &[(ProductNumber, f64)],
    ) -> Result<Vec<Value>, Problem> {
        let market = &app.parts.settings.default_market;
        let shown: Vec<_> =
            scored.iter().filter_map(|(product, score)| Some((catalogue.entry(*product)?, score))).collect();
        let ids: Vec<ProductId> = shown.iter().map(|(entry, _)| entry.id.clone()).collect();
        let products = app.parts.shop.products_by_id(&ids)?;
        let nothing = Searched::of(&[]);
        let hit = |((entry, score), product): (&(&merx_decide::CatalogueEntry, &f64), _)| {
            let product: Option<merx_domain::Product> = product;
            let mut attributes = record::attributes_of(entry, market);
            attributes.insert("objectID".to_owned(), json!(entry.id.as_str()));
            attributes.extend(product.iter().flat_map(record::details));
            let attributes = self.search.page.readable.out_of(attributes);
            let mut hit = answer::hit(app, &self.search.page, &nothing, &attributes);
            hit.insert("_score".to_owned(), json!(score));
            Value::Object(hit)
        };
        Ok(shown.iter().zip(products).map(hit).collect())
    }

    /// Values of the facet by the trend of the products that have them.
    fn facet_values(&self, app: &App, found: &[Candidate], decision: Option<&Decision<merx_domain::Answer>>) -> Value {
        let market = &app.parts.settings.default_market;
        let name = self.facet.as_ref().map_or("", |(name, _)| name);
        let field = field_of(name);
        let catalogue = app.parts.catalogue.read();
        let mut weights: FxHashMap<String, f64> = FxHashMap::default();
        for (place, candidate) in found.iter().enumerate() {
            // A list without scores still has an order.
            let weight = if candidate.score > 0.0 { f64::from(candidate.score) } else { 1e-6 / (place + 1) as f64 };
            for value in
                catalogue.entry(candidate.product).map(|entry| entry.values(&field, market)).unwrap_or_default()
            {
                *weights.entry(value_text(&value)).or_default() += weight;
            }
        }
        let mut values: Vec<(String, f64)> = weights.into_iter().collect();
        values.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let best = values.first().map_or(1.0, |(_, weight)| *weight);
        let scores = values.into_iter().map(|(value, weight)| (value, rounded(HIGHEST * weight / best)));
        let hits = scores.filter(|(_, score)| *score >= self.threshold).take(self.count);
        let hits =
            hits.map(|(value, score)| json!({"facetName": name, "facetValue": value, "_score": score})).collect();
        self.result(hits, decision)
    }

    fn result(&self, hits: Vec<Value>, decision: Option<&Decision<merx_domain::Answer>>) -> Value {
        let page = &self.search.page;
        let latency_ms = decision.map_or(0, |decision| decision.latency_us.div_ceil(1_000));
        let mut result = json!({
            "nbHits": hits.len(), "hits": hits, "page": 0, "nbPages": 1, "hitsPerPage": self.count, "index": page.index, "query": "",
            "params": page.params, "processingTimeMS": latency_ms, "exhaustiveNbHits": true, "renderingContent": {},
        });
        if let Some(decision) = decision {
            result["queryID"] = json!(decision.id.to_string());
        }
        result
    }
}

/// Scores as shares of the best, and what reaches the threshold.
fn scored(found: &[Candidate], threshold: f64) -> Vec<(ProductNumber, f64)> {
    let finite =
        |candidate: &Candidate| if candidate.score.is_finite() { f64::from(candidate.score.max(0.0)) } else { 0.0 };
    let best = found.iter().map(finite).fold(0.0, f64::max);
    let share = |candidate: &Candidate| if best > 0.0 { rounded(HIGHEST * finite(candidate) / best) } else { 0.0 };
    let scored = found.iter().map(|candidate| (candidate.product, share(candidate)));
    scored.filter(|(_, score)| *score >= threshold).collect()
}

fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}

fn decide(
    app: &App,
    search: &Search,
    slot: Slot,
    filter: Option<Filter>,
) -> Result<Decision<merx_domain::Answer>, Problem> {
    let parts = &app.parts;
    let subject = known_or_made(app, &search.asked.who, &search.asked.market, search.asked.consent);
    let now = parts.clock.now();
    let (decision, seed) = app.ids.decision(now.0);
    let market = search.asked.market.clone();
    let static_list = parts.static_list.load();
    let catalogue = parts.catalogue.read();
    let mut boosts = Vec::new();
    let strip = Strip { name: &slot.name, asked: &slot.name, scenario: slot.scenario, market: &market, campaign: None };
    let overruled = overrule(&parts.slot_rules.rules(), &strip, now, &catalogue, &mut boosts);
    let rules = vec![SlotRules { filter, boosts }];
    let mut shelf = RequestShelf::new(catalogue, market.clone(), now, rules, &static_list);
    let consent = search.asked.consent;
    let situation = Situation { decision, subject, market, device: Device::Unknown, now, seed, consent };
    let request = Request::new(situation, Ask { overruled: vec![overruled], ..Ask::new(vec![slot]) });
    let decision = parts.recommendations.decide(request, &mut shelf);
    app.metrics.count_decision(decision.fallback);
    Ok(decision)
}
