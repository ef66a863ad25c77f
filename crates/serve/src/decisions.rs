//! Decisions after the fact: the record, the reasons in words, and the same decision made again.

use std::collections::{HashMap, HashSet};

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use merx_decide::{Arm, CatalogueReader, DecisionRecord, Wanted, level_words};
use merx_domain::experiment::Assignment;
use merx_domain::search::{Contribution, SearchAnswer, SearchAsk};
use merx_domain::{
    Affinity, Answer, Ask, DecisionId, HistoryEntry, LayoutAnswer, ModelVersion, ProductNumber, Purposes, Reason,
    SubjectFeatures,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, PathId, Query, blocking};
use crate::layout::BlockAnswer;
use crate::privacy::Look;
use crate::problem::{Code, Problem};
use crate::recommend::{ReasonAnswer, arm_name, fallback_name};
use crate::routes::Shared;
use crate::search::{reason_words, step_words};

/// As records name the engine of searches.
pub(crate) const SEARCH: &str = "search";
/// And that of layouts.
pub(crate) const LAYOUT: &str = "layout";

/// A decision as it was recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecisionAnswer {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    decision_id: String,
    #[schema(example = "recommend")]
    engine: String,
    #[schema(format = DateTime)]
    at: String,
    /// The pseudonym it was made for.
    subject_id: Option<String>,
    market: String,
    #[schema(example = "live_model")]
    fallback: &'static str,
    /// Version of the model that answered.
    model_version: Option<u32>,
    /// Content hash of that version's bytes: what the audit log names where it was promoted.
    model_artifact: Option<String>,
    /// The campaign that the page belonged to.
    campaign: Option<String>,
    #[schema(example = "treated")]
    arm: &'static str,
    /// How likely this arm was: what off-policy estimates divide by.
    propensity: f64,
    /// In the shop's holdout, which nothing automatic touches.
    held_out: bool,
    /// What the automation was allowed: live, canary, outside_canary, shadow, suggest, off, capped.
    #[schema(value_type = String, example = "live")]
    automation: merx_decide::Taken,
    /// What would have been shown where the automation was only watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shadow: Option<Vec<DecidedItem>>,
    /// The same of a layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shadow_blocks: Option<Vec<BlockAnswer>>,
    /// Arms of the experiments that had a say.
    experiments: Vec<DecidedArm>,
    /// What the person's data could be used for.
    #[schema(example = json!(["necessary", "personalisation"]))]
    granted: Vec<&'static str>,
    /// What the engine was told of the person; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    features: Option<DecidedFeatures>,
    /// What was searched for, in decisions of search.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    query: Option<String>,
    /// What was filled; the hits of a search are one slot.
    slots: Vec<DecidedSlot>,
    /// Of a layout: its blocks, in the order shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<BlockAnswer>,
    /// What went wrong on the way, in words.
    trouble: Vec<String>,
    latency_us: u32,
}

/// The values of the features that an engine was handed: all that it can know of a person. Empty without a grant.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedFeatures {
    /// Oldest first.
    history: Vec<DecidedHistory>,
    #[schema(format = DateTime)]
    session_started_at: Option<String>,
    /// What the person leans to; weights fade with time.
    affinities: Vec<DecidedAffinity>,
    /// Visits, and products viewed, carted and bought; all fade with time.
    sessions: f32,
    views: f32,
    carts: f32,
    purchases: f32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedHistory {
    product_id: String,
    #[schema(value_type = String, example = "viewed")]
    meaning: merx_domain::EventMeaning,
    #[schema(format = DateTime)]
    at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedAffinity {
    #[schema(example = "category")]
    feature: String,
    key: String,
    weight: f32,
}

impl DecidedFeatures {
    fn of(features: &SubjectFeatures, catalogue: &CatalogueReader<'_>) -> Self {
        let entry = |entry: &HistoryEntry| DecidedHistory {
            product_id: product_id(entry.product, catalogue),
            meaning: entry.meaning,
            at: entry.at.to_string(),
        };
        let affinity = |affinity: &Affinity| DecidedAffinity {
            feature: affinity.feature.clone(),
            key: affinity.key.clone(),
            weight: finite(affinity.weight),
        };
        Self {
            history: features.history.iter().map(entry).collect(),
            session_started_at: features.session_started_at.map(|at| at.to_string()),
            affinities: features.affinities.iter().map(affinity).collect(),
            sessions: finite(features.sessions),
            views: finite(features.views),
            carts: finite(features.carts),
            purchases: finite(features.purchases),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedArm {
    #[schema(example = "home-variety")]
    experiment: String,
    #[schema(example = "varied")]
    arm: String,
    /// How likely this arm was.
    propensity: f64,
}

impl From<&Assignment> for DecidedArm {
    fn from(assignment: &Assignment) -> Self {
        Self {
            experiment: assignment.experiment.to_string(),
            arm: assignment.arm.to_string(),
            propensity: assignment.propensity(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedSlot {
    name: String,
    scenario: &'static str,
    count: usize,
    /// What the slot was about.
    products: Vec<String>,
    /// Merchants' rules that applied to it, those that had their way first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    items: Vec<DecidedItem>,
}

#[derive(Serialize, ToSchema, PartialEq)]
pub(crate) struct DecidedItem {
    product_id: String,
    score: f32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    decision_id: String,
    /// The decision in sentences.
    words: Vec<String>,
    items: Vec<ExplainedItem>,
    /// Of a layout: its blocks in the order shown, each with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<BlockAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedItem {
    slot: String,
    /// From 1.
    position: usize,
    product_id: String,
    name: String,
    score: f32,
    #[schema(example = json!(["because you viewed Canvas Bag"]))]
    reasons: Vec<String>,
    /// The same in numbers, largest first: what each feature added to the score. Of a search, what each measurement added to the relevance,
    /// as deciding again tells; empty where the shop has changed too much for that.
    contributions: Vec<ContributionAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ContributionAnswer {
    /// Of a recommendation viewed, carted, bought, similar_to, bought_with, popular, trending, age_days, days_since; of a search the
    /// measurement.
    #[schema(example = "viewed")]
    feature: String,
    /// The product that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    product_id: Option<String>,
    /// What was measured, where that is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<f32>,
    /// Absent where a value decided without a weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    contribution: Option<f32>,
}

impl ContributionAnswer {
    fn of_reason(reason: &Reason, catalogue: &CatalogueReader<'_>) -> Option<Self> {
        let part = |feature: &str, product: Option<ProductNumber>, value: Option<f32>, weight: Option<f32>| Self {
            feature: feature.to_owned(),
            product_id: product.map(|product| product_id(product, catalogue)),
            value,
            contribution: weight.map(finite),
        };
        Some(match reason {
            Reason::Viewed { product, weight } => part("viewed", Some(*product), None, Some(*weight)),
            Reason::Carted { product, weight } => part("carted", Some(*product), None, Some(*weight)),
            Reason::Bought { product, weight } => part("bought", Some(*product), None, Some(*weight)),
            Reason::SimilarTo { product, weight } => part("similar_to", Some(*product), None, Some(*weight)),
            Reason::BoughtWith { product, weight } => part("bought_with", Some(*product), None, Some(*weight)),
            Reason::Popular { weight } => part("popular", None, None, Some(*weight)),
            Reason::Trending { weight } => part("trending", None, None, Some(*weight)),
            Reason::New { age_days } => part("age_days", None, Some(finite(*age_days)), None),
            Reason::DueAgain { elapsed_days, .. } => part("days_since", None, Some(finite(*elapsed_days)), None),
            Reason::Listed | Reason::Pinned => return None,
        })
    }

    fn of_measurement(part: &Contribution) -> Self {
        Self {
            feature: part.measurement.clone(),
            product_id: None,
            value: Some(finite(part.value)),
            contribution: Some(finite(part.contribution)),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Replay {
    /// Whether the decision came out the same, bit for bit.
    identical: bool,
    /// What has changed since in what searches are answered from, in words. Where something has and the answers differ, nothing is wrong:
    /// the decision can't be made again.
    changed_since: Vec<&'static str>,
    recorded: Vec<Vec<DecidedItem>>,
    replayed: Vec<Vec<DecidedItem>>,
    /// Of a layout.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recorded_blocks: Vec<BlockAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replayed_blocks: Vec<BlockAnswer>,
}

impl Replay {
    fn of_products(
        identical: bool,
        changed_since: Vec<&'static str>,
        recorded: Vec<Vec<DecidedItem>>,
        replayed: Vec<Vec<DecidedItem>>,
    ) -> Self {
        let (recorded_blocks, replayed_blocks) = (Vec::new(), Vec::new());
        Self { identical, changed_since, recorded, replayed, recorded_blocks, replayed_blocks }
    }

    fn of_layouts(recorded: &LayoutAnswer, replayed: &LayoutAnswer) -> Self {
        Self {
            identical: recorded == replayed,
            changed_since: Vec::new(),
            recorded: Vec::new(),
            replayed: Vec::new(),
            recorded_blocks: blocks_of(recorded),
            replayed_blocks: blocks_of(replayed),
        }
    }
}

fn blocks_of(answer: &LayoutAnswer) -> Vec<BlockAnswer> {
    answer.blocks.iter().map(BlockAnswer::of).collect()
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DecisionList {
    items: Vec<DecisionAnswer>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LatestQuery {
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// Of one engine only.
    #[param(example = "recommend")]
    engine: Option<String>,
    /// Made for this person; looked for among the newest 50,000 decisions.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    /// Older than this decision: the last one of the page before.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    before: Option<String>,
    /// false: without pseudonyms and histories. Such an overview is no look at anybody's data, and none is noted.
    #[serde(default = "yes")]
    #[param(default = true)]
    people: bool,
}

fn yes() -> bool {
    true
}

impl LatestQuery {
    fn wanted(self) -> Result<Wanted, Problem> {
        let limit = self.limit.unwrap_or(20);
        if !(1..=1_000).contains(&limit) {
            return Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to 1000")));
        }
        Ok(Wanted {
            limit,
            engine: self.engine,
            subject: id("subject_id", self.subject_id)?,
            before: id("before", self.before)?,
        })
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let read =
        text.map(|text| text.parse().map_err(|error: T::Err| Problem::mistake(field, "invalid_id", error.to_string())));
    read.transpose()
}

/// The latest decisions
///
/// Newest first; `before` reads on where the last page ended.
#[utoipa::path(get, path = "/v1/decisions", tag = "decisions", params(LatestQuery),
    responses((status = 200, description = "Newest first", body = DecisionList)))]
pub(crate) async fn list_decisions(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(query): Query<LatestQuery>,
) -> Result<Response, Problem> {
    // Whoever asks for one person's decisions looks at that person, whatever is left out.
    let people = query.people || query.subject_id.is_some();
    let wanted = query.wanted()?;
    let look = Look::of(&caller, &headers);
    blocking(move || {
        if people {
            look.note(&app, "decisions", wanted.subject)?;
        }
        let records = app.parts.recorder.find(&wanted)?;
        let catalogue = app.parts.catalogue.read();
        let artifacts = artifacts(&app, &records)?;
        let answers = records.iter().map(|record| {
            let answer = DecisionAnswer { features: None, ..describe(record, &catalogue, &artifacts)? };
            Ok(if people { answer } else { DecisionAnswer { subject_id: None, ..answer } })
        });
        let items = answers.collect::<Result<_, Problem>>()?;
        Ok(Answered(DecisionList { items }).into_response())
    })
    .await
}

/// The record of a decision
///
/// Everything that the decision was made from and of: request, features, model, arm, answer.
#[utoipa::path(get, path = "/v1/decisions/{id}", tag = "decisions",
    params(("id" = String, Path, description = "The decision's id", pattern = "^[0-9a-fA-F]{32}$")),
    responses((status = 200, description = "The record", body = DecisionAnswer)))]
pub(crate) async fn get_decision(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(id): PathId<DecisionId>,
) -> Result<Response, Problem> {
    let look = Look::of(&caller, &headers);
    blocking(move || {
        let record = app.parts.recorder.get(id)?;
        look.note(&app, "decision", record.situation.subject)?;
        let artifacts = artifacts(&app, std::slice::from_ref(&record))?;
        Ok(Answered(describe(&record, &app.parts.catalogue.read(), &artifacts)?).into_response())
    })
    .await
}

/// Why a decision came out as it did
///
/// In words: who answered, by what right, and why each product stands where it stands.
#[utoipa::path(get, path = "/v1/decisions/{id}/why", tag = "decisions",
    params(("id" = String, Path, description = "The decision's id", pattern = "^[0-9a-fA-F]{32}$")),
    responses((status = 200, description = "The explanation", body = Explanation)))]
pub(crate) async fn explain_decision(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(id): PathId<DecisionId>,
) -> Result<Response, Problem> {
    let look = Look::of(&caller, &headers);
    blocking(move || {
        let record = app.parts.recorder.get(id)?;
        look.note(&app, "decision", record.situation.subject)?;
        Ok(Answered(explain(&app, &record)?).into_response())
    })
    .await
}

/// Decide again
///
/// Hands the engine the recorded features, facts and model version, and compares the answers bit for bit. Nothing is
/// recorded or shown. A search is made again in the index as it is now; what has changed in it since is said.
#[utoipa::path(post, path = "/v1/decisions/{id}/replay", tag = "decisions",
    params(("id" = String, Path, description = "The decision's id", pattern = "^[0-9a-fA-F]{32}$")),
    responses((status = 200, description = "Both answers", body = Replay),
        (status = 409, description = "The model of that time is gone", body = crate::problem::ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn replay_decision(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(id): PathId<DecisionId>,
) -> Result<Response, Problem> {
    let look = Look::of(&caller, &headers);
    blocking(move || {
        let record = app.parts.recorder.get(id)?;
        look.note(&app, "decision", record.situation.subject)?;
        let conflict = |error: merx_domain::EngineError| Problem::because(Code::Conflict, error.to_string());
        let replay = if record.engine == SEARCH {
            let recorded: SearchAnswer = record.answer()?;
            let replayed = app.parts.searches.replay(&record);
            let changed_since = recorded.state.changes(&app.parts.searches.state());
            let replayed = match replayed {
                // What has changed may make the engine ask about other products than those on record.
                Err(_) if !changed_since.is_empty() => SearchAnswer::default(),
                other => other.map_err(conflict)?,
            };
            let then = SearchAnswer { state: recorded.state, ..replayed };
            let identical = recorded == then;
            let catalogue = app.parts.catalogue.read();
            let items = |answer: &SearchAnswer| vec![found_items(answer, &catalogue)];
            Replay::of_products(identical, changed_since, items(&recorded), items(&then))
        } else if record.engine == LAYOUT {
            let replayed = app.parts.layouts.replay(&record).map_err(conflict)?;
            Replay::of_layouts(&record.answer()?, &replayed)
        } else {
            let recorded: Answer = record.answer()?;
            let replayed = app.parts.recommendations.replay(&record).map_err(conflict)?;
            let catalogue = app.parts.catalogue.read();
            let items =
                |answer: &Answer| answer.slots.iter().map(|slot| decided_items(&slot.items, &catalogue)).collect();
            Replay::of_products(recorded == replayed, Vec::new(), items(&recorded), items(&replayed))
        };
        Ok(Answered(replay).into_response())
    })
    .await
}

/// The slots of a record, and what was searched for.
fn decided(
    record: &DecisionRecord,
    catalogue: &CatalogueReader<'_>,
) -> Result<(Vec<DecidedSlot>, Option<String>), Problem> {
    if record.engine == SEARCH {
        let (ask, answer): (SearchAsk, SearchAnswer) = (record.ask()?, record.answer()?);
        let items = found_items(&answer, catalogue);
        let name = "hits".to_owned();
        let slot =
            DecidedSlot { name, scenario: SEARCH, count: ask.count, products: Vec::new(), rules: answer.rules, items };
        return Ok((vec![slot], Some(ask.query)));
    }
    if record.engine == LAYOUT {
        return Ok((Vec::new(), None));
    }
    let (ask, answer): (Ask, Answer) = (record.ask()?, record.answer()?);
    // A decision that nothing could answer has no slots in its answer.
    let filled = |number: usize| answer.slots.get(number).map_or(&[][..], |slot| &slot.items);
    let slots = ask.slots.iter().enumerate().map(|(number, slot)| DecidedSlot {
        name: slot.name.clone(),
        scenario: slot.scenario.name(),
        count: slot.count,
        products: slot.products.iter().map(|product| product_id(*product, catalogue)).collect(),
        rules: ask.overruled(number).rules.clone(),
        items: decided_items(filled(number), catalogue),
    });
    Ok((slots.collect(), None))
}

/// Content hashes by model and version.
type Artifacts = HashMap<(String, ModelVersion), String>;

/// Of the models that made these decisions.
fn artifacts(app: &App, records: &[DecisionRecord]) -> Result<Artifacts, Problem> {
    // A model has the name of its engine.
    let used: HashSet<_> = records.iter().filter_map(|record| Some((record.engine.clone(), record.model?))).collect();
    let find = |(name, version): (String, ModelVersion)| {
        let model = app.parts.models.get(&name, version)?;
        Ok(model.map(|model| ((name, version), model.artifact)))
    };
    used.into_iter().filter_map(|model| find(model).transpose()).collect()
}

fn describe(
    record: &DecisionRecord,
    catalogue: &CatalogueReader<'_>,
    artifacts: &Artifacts,
) -> Result<DecisionAnswer, Problem> {
    let (slots, query) = decided(record, catalogue)?;
    let blocks = if record.engine == LAYOUT { blocks_of(&record.answer()?) } else { Vec::new() };
    let (Arm::Treated { propensity } | Arm::Holdout { propensity }) = record.arm;
    Ok(DecisionAnswer {
        decision_id: record.id.to_string(),
        engine: record.engine.clone(),
        at: record.situation.now.to_string(),
        subject_id: record.situation.subject.map(|subject| subject.to_string()),
        market: record.situation.market.to_string(),
        fallback: fallback_name(record.fallback),
        model_version: record.model.map(|version| version.0),
        model_artifact: record.model.and_then(|version| artifacts.get(&(record.engine.clone(), version)).cloned()),
        campaign: record.campaign.as_ref().map(ToString::to_string),
        arm: arm_name(record.arm),
        propensity,
        held_out: record.held_out,
        automation: record.taken,
        shadow: shadow_items(record, catalogue)?,
        shadow_blocks: shadow_blocks(record)?,
        experiments: record.experiments.iter().map(DecidedArm::from).collect(),
        granted: purpose_names(record.granted),
        features: Some(DecidedFeatures::of(&record.features, catalogue)),
        query,
        slots,
        blocks,
        trouble: record.trouble.clone(),
        latency_us: record.latency_us,
    })
}

/// The items of all slots together.
fn shadow_items(record: &DecisionRecord, catalogue: &CatalogueReader<'_>) -> Result<Option<Vec<DecidedItem>>, Problem> {
    let Some(shadow) = &record.shadow else { return Ok(None) };
    if record.engine == SEARCH {
        return Ok(Some(found_items(&shadow.answer()?, catalogue)));
    }
    if record.engine == LAYOUT {
        return Ok(None);
    }
    let answer: Answer = shadow.answer()?;
    Ok(Some(answer.slots.iter().flat_map(|slot| decided_items(&slot.items, catalogue)).collect()))
}

fn shadow_blocks(record: &DecisionRecord) -> Result<Option<Vec<BlockAnswer>>, Problem> {
    let shadow = record.shadow.as_ref().filter(|_| record.engine == LAYOUT);
    Ok(shadow.map(|shadow| shadow.answer()).transpose()?.map(|answer| blocks_of(&answer)))
}

fn explain(app: &App, record: &DecisionRecord) -> Result<Explanation, Problem> {
    let catalogue = app.parts.catalogue.read();
    let is_layout = record.engine == LAYOUT;
    let answered = match record.fallback {
        merx_domain::FallbackLevel::StaticList if is_layout => "the shop's own order answered",
        level => level_words(level),
    };
    let mut words = vec![answered.to_owned()];
    if record.held_out {
        words.push("the shopper belongs to the shop's holdout, which nothing automatic touches".to_owned());
    } else if matches!(record.arm, Arm::Holdout { .. }) {
        words.push("the shopper belongs to the holdout that no model touches".to_owned());
    }
    words.extend(record.taken.words().map(str::to_owned));
    words.extend(record.experiments.iter().map(|assignment| {
        let chance = 100.0 * assignment.propensity();
        format!("experiment {} gave arm {} (a chance of {chance} %)", assignment.experiment, assignment.arm)
    }));
    words.push(if record.situation.subject.is_none() {
        "nothing was known of the visitor".to_owned()
    } else if record.granted.contains(Purposes::PERSONALISATION) {
        match record.features.history.len() {
            0 => "the shopper had done nothing yet that counts".to_owned(),
            1 => "one thing that the shopper did counted".to_owned(),
            count => format!("the last {count} things that the shopper did counted"),
        }
    } else {
        "the shopper's history was left out: there is no consent to personalise".to_owned()
    });
    words.extend(record.trouble.iter().map(|trouble| format!("on the way: {trouble}")));
    let mut blocks = Vec::new();
    let items = if is_layout {
        let answer: LayoutAnswer = record.answer()?;
        words.push(format!("this order had a chance of {:.4}", answer.propensity()));
        blocks = blocks_of(&answer);
        words.extend(blocks.iter().map(BlockAnswer::words));
        Vec::new()
    } else if record.engine == SEARCH {
        let answer: SearchAnswer = record.answer()?;
        words.extend(answer.steps.iter().map(step_words));
        words.extend(answer.rules.iter().map(|rule| format!("the merchant's rule {rule} applied")));
        words.extend(answer.redirect.iter().map(|url| format!("a rule sent the shopper to {url}")));
        drop(catalogue);
        let parts = app.parts.searches.contributions(record).ok().flatten().unwrap_or_default();
        explain_hits(&answer, &parts, &app.parts.catalogue.read())
    } else {
        words.extend(overruled_words(&record.ask()?, &catalogue));
        explain_slots(&record.answer()?, &catalogue)
    };
    Ok(Explanation { decision_id: record.id.to_string(), words, items, blocks })
}

/// What merchants' rules did to each slot.
fn overruled_words(ask: &Ask, catalogue: &CatalogueReader<'_>) -> Vec<String> {
    let mut words = Vec::new();
    for (number, slot) in ask.slots.iter().enumerate() {
        let overruled = ask.overruled(number);
        words.extend(overruled.rules.iter().map(|rule| format!("the merchant's rule {rule} applied to {}", slot.name)));
        let name = |product| product_name(product, catalogue);
        let pins = overruled.pins.iter();
        words.extend(
            pins.map(|pin| format!("{} was pinned to place {} of {}", name(pin.product), pin.place + 1, slot.name)),
        );
        words
            .extend(overruled.hidden.iter().map(|product| format!("{} was hidden from {}", name(*product), slot.name)));
    }
    words
}

fn explain_slots(answer: &Answer, catalogue: &CatalogueReader<'_>) -> Vec<ExplainedItem> {
    let items = answer.slots.iter().flat_map(|slot| {
        slot.items.iter().enumerate().map(|(place, item)| ExplainedItem {
            slot: slot.name.clone(),
            position: place + 1,
            product_id: product_id(item.product, catalogue),
            name: product_name(item.product, catalogue),
            score: finite(item.score),
            reasons: item.reasons.iter().map(|reason| ReasonAnswer::of(reason, catalogue).words).collect(),
            contributions: item
                .reasons
                .iter()
                .filter_map(|reason| ContributionAnswer::of_reason(reason, catalogue))
                .collect(),
        })
    });
    items.collect()
}

fn explain_hits(
    answer: &SearchAnswer,
    parts: &[Vec<Contribution>],
    catalogue: &CatalogueReader<'_>,
) -> Vec<ExplainedItem> {
    let items = answer.hits.iter().enumerate().map(|(place, hit)| ExplainedItem {
        slot: "hits".to_owned(),
        position: place + 1,
        product_id: product_id(hit.product, catalogue),
        name: product_name(hit.product, catalogue),
        score: finite(hit.score),
        reasons: hit.reasons.iter().map(reason_words).collect(),
        contributions: parts.get(place).into_iter().flatten().map(ContributionAnswer::of_measurement).collect(),
    });
    items.collect()
}

fn product_name(product: merx_domain::ProductNumber, catalogue: &CatalogueReader<'_>) -> String {
    catalogue.entry(product).map_or_else(String::new, |entry| entry.name.to_string())
}

fn found_items(answer: &SearchAnswer, catalogue: &CatalogueReader<'_>) -> Vec<DecidedItem> {
    let item = |hit: &merx_domain::search::SearchHit| DecidedItem {
        product_id: product_id(hit.product, catalogue),
        score: finite(hit.score),
    };
    answer.hits.iter().map(item).collect()
}

fn decided_items(items: &[merx_domain::Candidate], catalogue: &CatalogueReader<'_>) -> Vec<DecidedItem> {
    let item = |item: &merx_domain::Candidate| DecidedItem {
        product_id: product_id(item.product, catalogue),
        score: finite(item.score),
    };
    items.iter().map(item).collect()
}

/// A product that has left the catalogue is known by its number only.
fn product_id(product: merx_domain::ProductNumber, catalogue: &CatalogueReader<'_>) -> String {
    catalogue.entry(product).map_or_else(|| format!("(removed product {})", product.0), |entry| entry.id.to_string())
}

fn finite(score: f32) -> f32 {
    if score.is_finite() { score } else { 0.0 }
}

fn purpose_names(purposes: Purposes) -> Vec<&'static str> {
    [
        (Purposes::NECESSARY, "necessary"),
        (Purposes::ANALYTICS, "analytics"),
        (Purposes::PERSONALISATION, "personalisation"),
        (Purposes::MARKETING, "marketing"),
        (Purposes::AUTOMATED_DECISIONS, "automated_decisions"),
        (Purposes::SALE_SHARING, "sale_sharing"),
    ]
    .into_iter()
    .filter(|(purpose, _)| purposes.contains(*purpose))
    .map(|(_, name)| name)
    .collect()
}
