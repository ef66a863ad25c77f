//! Recommendations: from a request to the pipeline's question, and from its decision to the answer.

mod asker;
mod wire;

use std::borrow::Cow;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use compact_str::CompactString;
use merx_decide::{Arm, Boost, BoostField, CatalogueReader, Request, RequestShelf, SlotRules};
use merx_domain::{
    Answer, Ask, Candidate, ConsentStamp, Decision, DecisionId, Device, Filter, Goal, MarketId, ProductId,
    ProductNumber, Scenario, Situation, Slot, SubjectId, TimestampMs,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admission::deciding;
use crate::app::{App, SlotPreset};
use crate::auth::Caller;
use crate::automations::campaign_of;
use crate::body::{Document, PathId, Query, json_bytes, mistake, parse};
use crate::decisions::{LAYOUT, SEARCH};
use crate::problem::{Code, Mistake, Mistakes, Problem};
use crate::routes::Shared;
use crate::slot_rules::{SlotRule, Strip, overrule};
use crate::storefront::for_anybody;
use crate::tracking::has_privacy_signal;
use crate::wire::Id;

use asker::is_newcomer;
pub(crate) use asker::{Who, find_subject, known_or_made, may_ask_for, who};
pub(crate) use wire::{
    ArmAnswer, ConsentWire, DeviceName, GoalName, ModelAnswer, ReasonAnswer, RecommendRequest, arm_answers, arm_name,
    fallback_name,
};
use wire::{ItemAnswer, RecommendAnswer, SlotAnswer, SlotRequest};

const MAX_SLOTS: usize = 20;
const MAX_COUNT: usize = 100;
const DEFAULT_COUNT: usize = 10;
const MAX_PRODUCTS: usize = 200;
const MAX_EXCLUDED: usize = 1_000;
const MAX_BOOSTS: usize = 10;
const MAX_NAME_CHARS: usize = 100;
const MAX_DEADLINE_MS: u32 = 10_000;
const MAX_SEGMENTS: usize = 30;
const MAX_SESSION_CHARS: usize = 200;

/// Recommend products
///
/// Fills up to 20 slots with up to 100 products each; no product comes twice. There is an answer in every case: what is
/// late or missing shows in `fallback`. The decision is recorded and can be explained and replayed.
#[utoipa::path(post, path = "/v1/recommend", tag = "recommendations", request_body = RecommendRequest,
    responses((status = 200, description = "The decision", body = RecommendAnswer<'static>)))]
pub(crate) async fn recommend(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Problem> {
    let request = parse(&body, "").map_err(|problem| locate(&body, problem))?;
    let question = Question::read(&app, request, has_privacy_signal(&headers))?;
    answer(app, &caller, question).await.map(personal)
}

/// A mistake of form inside a slot, found with the slot's place.
fn locate(body: &[u8], problem: Problem) -> Problem {
    #[derive(Deserialize)]
    struct Slots {
        slots: Vec<serde_json::Value>,
    }
    let Ok(Slots { slots }) = serde_json::from_slice(body) else { return problem };
    let read = |(at, slot)| {
        let read = serde_json::from_value::<SlotRequest>(slot);
        read.err().map(|error| mistake(&format!("slots[{at}]"), &error))
    };
    let mistakes: Vec<Mistake> = slots.into_iter().enumerate().filter_map(read).collect();
    if mistakes.is_empty() { problem } else { Problem::mistakes(mistakes) }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SlotQuery {
    /// The shop's id of a signed-in customer.
    user_id: Option<String>,
    anonymous_id: Option<String>,
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[param(value_type = Option<Id>)]
    market: Option<String>,
    device: Option<DeviceName>,
    #[param(minimum = 1, maximum = 100)]
    count: Option<usize>,
    /// Product ids, separated by commas.
    #[param(example = "p1,p2")]
    products: Option<String>,
    /// Product ids, separated by commas.
    exclude: Option<String>,
    filter: Option<String>,
    /// The decision of the page before.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    after: Option<String>,
    #[param(minimum = 1, maximum = 10000)]
    deadline_ms: Option<u32>,
    /// The visit, as the page or app names it.
    #[param(max_length = 200)]
    session_id: Option<String>,
    #[param(min_length = 1, max_length = 100)]
    campaign: Option<String>,
}

/// Recommend products for one slot
///
/// The same as `POST /v1/recommend` with one slot, for simple use: the slot is a scenario or a configured name. An answer for
/// nobody in particular may be kept by browsers and edges (`Cache-Control`, `ETag`); a person's never.
#[utoipa::path(get, path = "/v1/recommend/{slot}", tag = "recommendations",
    params(("slot" = String, Path, description = "A scenario or the name of a configured slot", example = "for_you"), SlotQuery),
    responses((status = 200, description = "The decision", body = RecommendAnswer<'static>)))]
pub(crate) async fn recommend_slot(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(scenario): PathId<String>,
    Query(query): Query<SlotQuery>,
) -> Result<Response, Problem> {
    let ids = |text: Option<String>| -> Vec<String> {
        let text = text.unwrap_or_default();
        text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
    };
    let slot = SlotRequest {
        scenario,
        count: query.count,
        products: ids(query.products),
        exclude: ids(query.exclude),
        filter: query.filter,
        after: query.after,
        ..SlotRequest::default()
    };
    let request = RecommendRequest {
        user_id: query.user_id,
        anonymous_id: query.anonymous_id,
        subject_id: query.subject_id,
        market: query.market,
        device: query.device,
        consent: None,
        deadline_ms: query.deadline_ms,
        session_id: query.session_id,
        campaign: query.campaign,
        segments: Vec::new(),
        slots: vec![slot],
    };
    let question = Question::read(&app, request, has_privacy_signal(&headers))?;
    let anybodys = matches!(question.who, Who::Nobody);
    let bytes = answer(app, &caller, question).await?;
    Ok(if anybodys { for_anybody(bytes, &headers) } else { personal(bytes) })
}

async fn answer(app: Shared, caller: &Caller, question: Question) -> Result<Vec<u8>, Problem> {
    may_ask_for(&app, caller, &question.who)?;
    // Earlier pages are read from disk, and a newcomer is written there; everything else of an embedded shop is in memory and short.
    let is_short = app.admission.recommends_in_memory()
        && question.slots.iter().all(|slot| slot.after.is_none())
        && !is_newcomer(&app, &question.who, &question.market, question.consent);
    if is_short {
        app.admission.pass()?;
        return decide(&app, question);
    }
    deciding(&app, move |app| decide(app, question)).await
}

/// An answer that nobody but the asker may keep.
pub(crate) fn personal(bytes: Vec<u8>) -> Response {
    let mut response = json_bytes(bytes);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request that has been read and found sound.
pub(crate) struct Question {
    who: Who,
    market: MarketId,
    device: Device,
    consent: ConsentStamp,
    deadline_ms: Option<u32>,
    session: Option<CompactString>,
    campaign: Option<CompactString>,
    segments: Vec<CompactString>,
    slots: Vec<SoundSlot>,
}

struct SoundSlot {
    name: String,
    /// The configured slot or the scenario, as it was asked for.
    asked: String,
    scenario: Scenario,
    count: usize,
    diversity: f32,
    goal: Goal,
    products: Vec<ProductId>,
    exclude: Vec<ProductId>,
    after: Option<DecisionId>,
    rules: SlotRules,
    static_list: Vec<ProductId>,
}

impl Question {
    /// Whom it is about, if anybody whom the vault knows.
    pub(crate) fn subject(&self, app: &App) -> Option<SubjectId> {
        find_subject(app, &self.who)
    }

    fn read(app: &App, request: RecommendRequest, privacy_signal: bool) -> Result<Self, Problem> {
        let mut mistakes = Mistakes::default();
        let settings = &app.parts.settings;
        let market = match request.market {
            Some(market) => mistakes.taken("market".into(), "invalid_id", MarketId::new(market)).unwrap_or_default(),
            None => settings.default_market.clone(),
        };
        if let Some(deadline_ms) = request.deadline_ms {
            mistakes.within("deadline_ms".into(), deadline_ms, 1, MAX_DEADLINE_MS);
        }
        let who = who(&request.user_id, &request.anonymous_id, &request.subject_id, &mut mistakes);
        let session = session_of(request.session_id, &mut mistakes);
        let campaign = campaign_of(request.campaign, &mut mistakes);
        mistakes.within("segments".into(), request.segments.len(), 0, MAX_SEGMENTS);
        let segments = request.segments.iter().take(MAX_SEGMENTS).map(CompactString::from).collect();
        mistakes.within("slots".into(), request.slots.len(), 1, MAX_SLOTS);
        let slots = request.slots.into_iter().take(MAX_SLOTS).enumerate();
        let slots = slots.filter_map(|(number, slot)| read_slot(app, number, slot, &mut mistakes)).collect();
        if !mistakes.0.is_empty() {
            return Err(Problem::mistakes(mistakes.0));
        }
        let device = request.device.map_or(Device::Unknown, DeviceName::device);
        let consent = request.consent.unwrap_or_default().stamp(privacy_signal);
        Ok(Self { who, market, device, consent, deadline_ms: request.deadline_ms, session, campaign, segments, slots })
    }
}

/// A session's name; an empty one is none.
pub(crate) fn session_of(session: Option<String>, mistakes: &mut Mistakes) -> Option<CompactString> {
    let session = session.filter(|session| !session.trim().is_empty())?;
    mistakes.within("session_id".into(), session.chars().count(), 1, MAX_SESSION_CHARS);
    Some(session.into())
}

fn read_slot(app: &App, number: usize, slot: SlotRequest, mistakes: &mut Mistakes) -> Option<SoundSlot> {
    let at = |field: &str| format!("slots[{number}].{field}");
    let Some(preset) = preset(app, &slot.scenario) else {
        let known: Vec<&str> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        let configured: Vec<&str> = app.parts.settings.slots.keys().map(String::as_str).collect();
        let detail = format!("known scenarios: {}; configured slots: {}", known.join(", "), configured.join(", "));
        mistakes.add(at("scenario"), "unknown_scenario", detail);
        return None;
    };
    let count = mistakes.within(at("count"), slot.count.unwrap_or(preset.count), 1, MAX_COUNT);
    let diversity = mistakes.within(at("diversity"), slot.diversity.unwrap_or(preset.diversity), 0.0, 1.0);
    let own_filter = slot.filter.as_deref().filter(|filter| !filter.trim().is_empty()).map(Filter::parse);
    let own_filter = own_filter.and_then(|filter| mistakes.taken(at("filter"), "invalid_filter", filter));
    let filter = match (preset.filter.clone(), own_filter) {
        (Some(preset), Some(own)) => Some(Filter::All(vec![preset, own])),
        (preset, own) => preset.or(own),
    };
    let mut boosts = preset.boosts.clone();
    mistakes.within(at("boosts"), slot.boosts.len(), 0, MAX_BOOSTS);
    for (place, boost) in slot.boosts.into_iter().take(MAX_BOOSTS).enumerate() {
        let strength = mistakes.within(at(&format!("boosts[{place}].strength")), boost.strength, -1.0, 10.0);
        let field =
            mistakes.taken(at(&format!("boosts[{place}].field")), "invalid_filter", BoostField::parse(&boost.field));
        boosts.extend(field.map(|field| Boost { field, strength }));
    }
    let asked = slot.scenario;
    let name = slot.name.unwrap_or_else(|| asked.clone());
    mistakes.within(at("name"), name.chars().count(), 1, MAX_NAME_CHARS);
    let after = slot.after.map(|after| after.parse::<DecisionId>());
    Some(SoundSlot {
        name,
        asked,
        scenario: preset.scenario,
        count,
        diversity,
        goal: slot.goal.map_or(preset.goal, Goal::from),
        products: read_ids(slot.products, at("products"), MAX_PRODUCTS, mistakes),
        exclude: read_ids(slot.exclude, at("exclude"), MAX_EXCLUDED, mistakes),
        after: after.and_then(|after| mistakes.taken(at("after"), "invalid_id", after)),
        rules: SlotRules { filter, boosts },
        static_list: preset.static_list.clone(),
    })
}

/// A configured slot, or a plain scenario.
fn preset<'a>(app: &'a App, name: &str) -> Option<Cow<'a, SlotPreset>> {
    if let Some(preset) = app.parts.settings.slots.get(name) {
        return Some(Cow::Borrowed(preset));
    }
    Scenario::from_name(name).map(|scenario| Cow::Owned(SlotPreset::new(scenario, DEFAULT_COUNT)))
}

fn read_ids(texts: Vec<String>, at: String, limit: usize, mistakes: &mut Mistakes) -> Vec<ProductId> {
    mistakes.within(at.clone(), texts.len(), 0, limit);
    let read =
        |(place, text): (usize, String)| mistakes.taken(format!("{at}[{place}]"), "invalid_id", ProductId::new(text));
    texts.into_iter().take(limit).enumerate().filter_map(read).collect()
}

/// Reads a request, and whether this caller may name whom it names.
pub(crate) fn question(
    app: &App,
    caller: &Caller,
    request: RecommendRequest,
    privacy_signal: bool,
) -> Result<Question, Problem> {
    let question = Question::read(app, request, privacy_signal)?;
    may_ask_for(app, caller, &question.who)?;
    Ok(question)
}

/// What a question asks of the engine and of the shelf.
#[derive(Default)]
struct Prepared {
    ask: Ask,
    rules: Vec<SlotRules>,
    lists: Vec<Vec<ProductNumber>>,
    /// What of the request was left aside.
    notes: Vec<Mistake>,
}

impl Prepared {
    /// Under merchants' rules; `earlier` is what pages before showed, by slot.
    fn of(
        slots: Vec<SoundSlot>,
        earlier: Vec<Vec<ProductNumber>>,
        place: (&MarketId, Option<&str>),
        overruling: &[SlotRule],
        now: TimestampMs,
        catalogue: &CatalogueReader<'_>,
    ) -> Self {
        let (market, campaign) = place;
        let mut prepared = Self::default();
        for (number, (mut slot, mut exclude)) in slots.into_iter().zip(earlier).enumerate() {
            let products = known_products(catalogue, &slot.products, number, &mut prepared.notes);
            exclude.extend(slot.exclude.iter().filter_map(|id| catalogue.number(id)));
            let strip = Strip { name: &slot.name, asked: &slot.asked, scenario: slot.scenario, market, campaign };
            let overruled = overrule(overruling, &strip, now, catalogue, &mut slot.rules.boosts);
            prepared.ask.overruled.push(overruled);
            prepared.ask.goals.push(slot.goal);
            prepared.rules.push(slot.rules);
            prepared.lists.push(slot.static_list.iter().filter_map(|id| catalogue.number(id)).collect());
            prepared.ask.slots.push(Slot {
                name: slot.name,
                scenario: slot.scenario,
                count: slot.count,
                products,
                exclude,
                diversity: slot.diversity,
            });
        }
        prepared
    }
}

/// Asks the pipeline and writes its decision down as JSON.
fn decide(app: &App, question: Question) -> Result<Vec<u8>, Problem> {
    let parts = &app.parts;
    let subject = known_or_made(app, &question.who, &question.market, question.consent);
    let earlier = question.slots.iter().map(|slot| earlier_pages(app, slot.after)).collect::<Result<Vec<_>, _>>()?;
    let now = parts.clock.now();
    let (decision, seed) = app.ids.decision(now.0);
    let static_list = parts.static_list.load();
    let catalogue = parts.catalogue.read();
    let place = (&question.market, question.campaign.as_deref());
    let Prepared { ask, rules, lists, notes } =
        Prepared::of(question.slots, earlier, place, &parts.slot_rules.rules(), now, &catalogue);
    let mut shelf = RequestShelf::new(catalogue, question.market.clone(), now, rules, &static_list).with_lists(lists);
    let situation = Situation {
        decision,
        subject,
        market: question.market.clone(),
        device: question.device,
        now,
        seed,
        consent: question.consent,
    };
    let request = Request {
        deadline_ms: question.deadline_ms,
        session: question.session,
        campaign: question.campaign,
        segments: question.segments,
        ..Request::new(situation, ask)
    };
    let decision = parts.recommendations.decide(request, &mut shelf);
    app.metrics.count_decision(decision.fallback);
    app.activity.count_decision(now, decision.fallback);
    let arm = parts.recommendations.arm(subject);
    let experiments = arm_answers(app, &decision.experiments);
    write(&decision, arm, &question.market, shelf.catalogue(), experiments, notes)
}

/// What would be recommended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecommendPreview<'a> {
    slots: Vec<SlotAnswer<'a>>,
    /// Rules that act on some of the slots, drafts among them, those that have their way first.
    rules: Vec<String>,
    model: Option<ModelAnswer>,
    #[schema(example = "live_model")]
    fallback: &'static str,
    /// What of the request was left aside: products that the catalogue doesn't know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Mistake>,
}

/// What would be recommended under these rules at a moment, now where none is named. Nothing is recorded.
pub(crate) fn preview(
    app: &App,
    question: Question,
    overruling: &[SlotRule],
    at: Option<TimestampMs>,
) -> Result<Vec<u8>, Problem> {
    let parts = &app.parts;
    let subject = find_subject(app, &question.who);
    let earlier = question.slots.iter().map(|slot| earlier_pages(app, slot.after)).collect::<Result<Vec<_>, _>>()?;
    let now = parts.clock.now();
    let (decision, seed) = app.ids.decision(now.0);
    let static_list = parts.static_list.load();
    let catalogue = parts.catalogue.read();
    let place = (&question.market, question.campaign.as_deref());
    let Prepared { ask, rules, lists, notes } =
        Prepared::of(question.slots, earlier, place, overruling, at.unwrap_or(now), &catalogue);
    let mut acting: Vec<String> = Vec::new();
    for rule in ask.overruled.iter().flat_map(|overruled| &overruled.rules) {
        if !acting.contains(rule) {
            acting.push(rule.clone());
        }
    }
    let market = question.market;
    let shelf = RequestShelf::new(catalogue, market.clone(), now, rules, &static_list).with_lists(lists);
    let (device, consent) = (question.device, question.consent);
    let situation = Situation { decision, subject, market: market.clone(), device, now, seed, consent };
    let request = Request { deadline_ms: question.deadline_ms, ..Request::new(situation, ask) };
    let decision = parts.recommendations.preview(request, &shelf);
    let answer = RecommendPreview {
        slots: slot_answers(&decision, &market, shelf.catalogue()),
        rules: acting,
        model: decision.model.map(|version| ModelAnswer { name: decision.engine, version: version.0 }),
        fallback: fallback_name(decision.fallback),
        notes,
    };
    to_json(&answer)
}

/// Everything that the pages up to this decision showed.
fn earlier_pages(app: &App, after: Option<DecisionId>) -> Result<Vec<ProductNumber>, Problem> {
    let Some(after) = after else { return Ok(Vec::new()) };
    let record = app.parts.recorder.get(after).map_err(|error| match error {
        merx_decide::RecordError::Unknown(id) => {
            Problem::mistake("after", "unknown_decision", format!("no decision {id} is recorded"))
        }
        error => error.into(),
    })?;
    if [SEARCH, LAYOUT].contains(&record.engine.as_str()) {
        let detail = format!("decision {after} is of the engine {}; pages follow recommendations", record.engine);
        return Err(Problem::mistake("after", "unknown_decision", detail));
    }
    let ask: Ask = record.ask()?;
    let answer: Answer = record.answer()?;
    let mut shown: Vec<ProductNumber> = ask.slots.into_iter().flat_map(|slot| slot.exclude).collect();
    shown.extend(answer.slots.iter().flat_map(|slot| &slot.items).map(|item| item.product));
    shown.sort_unstable();
    shown.dedup();
    Ok(shown)
}

fn known_products(
    catalogue: &CatalogueReader<'_>,
    ids: &[ProductId],
    slot: usize,
    notes: &mut Vec<Mistake>,
) -> Vec<ProductNumber> {
    let known = |(place, id): (usize, &ProductId)| {
        let number = catalogue.number(id);
        if number.is_none() {
            let at = format!("slots[{slot}].products[{place}]");
            notes.push(Mistake::new(at, "unknown_product", format!("the catalogue has no {id}")));
        }
        number
    };
    ids.iter().enumerate().filter_map(known).collect()
}

fn write(
    decision: &Decision<Answer>,
    arm: Arm,
    market: &MarketId,
    catalogue: &CatalogueReader<'_>,
    experiments: Vec<ArmAnswer>,
    notes: Vec<Mistake>,
) -> Result<Vec<u8>, Problem> {
    let answer = RecommendAnswer {
        decision_id: decision.id,
        slots: slot_answers(decision, market, catalogue),
        model: decision.model.map(|version| ModelAnswer { name: decision.engine, version: version.0 }),
        fallback: fallback_name(decision.fallback),
        arm: arm_name(arm),
        experiments,
        notes,
        latency_us: decision.latency_us,
    };
    to_json(&answer)
}

fn to_json(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "a decision has no JSON form");
        Problem::new(Code::Internal)
    })
}

fn slot_answers<'a>(
    decision: &'a Decision<Answer>,
    market: &MarketId,
    catalogue: &'a CatalogueReader<'_>,
) -> Vec<SlotAnswer<'a>> {
    let slots = decision.answer.slots.iter().map(|slot| SlotAnswer {
        name: &slot.name,
        items: slot.items.iter().filter_map(|item| item_answer(item, market, catalogue)).collect(),
    });
    slots.collect()
}

pub(crate) fn item_answer<'a>(
    item: &Candidate,
    market: &MarketId,
    catalogue: &'a CatalogueReader<'_>,
) -> Option<ItemAnswer<'a>> {
    let entry = catalogue.entry(item.product)?;
    Some(ItemAnswer {
        product_id: entry.id.as_str(),
        name: &entry.name,
        price: entry.price(market),
        url: entry.url.as_deref(),
        image: entry.image.as_deref(),
        score: if item.score.is_finite() { item.score } else { 0.0 },
        reasons: item.reasons.iter().map(|reason| ReasonAnswer::of(reason, catalogue)).collect(),
    })
}
