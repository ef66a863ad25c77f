//! Layouts: which blocks a page shows, in which order.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use compact_str::CompactString;
use merx_decide::{Request, RequestShelf, layout_words};
use merx_domain::{
    ConsentStamp, DecisionId, Device, LayoutAsk, LayoutBlock, LayoutReason, MarketId, PlacedBlock, Situation, SubjectId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admission::deciding;
use crate::app::App;
use crate::auth::Caller;
use crate::automations::campaign_of;
use crate::body::Json;
use crate::problem::{Code, Mistakes, Problem};
use crate::recommend::{
    ConsentWire, DeviceName, ModelAnswer, Who, arm_name, fallback_name, find_subject, may_ask_for, personal, who,
};
use crate::routes::Shared;
use crate::tracking::has_privacy_signal;
use crate::wire::Id;

const MAX_BLOCKS: usize = 50;
const MAX_NAME_CHARS: usize = 100;
const MAX_DEADLINE_MS: u32 = 10_000;

/// The blocks that a page can show, for one visit.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "page": "home", "anonymous_id": "visitor-1", "device": "phone",
    "blocks": [{"id": "hero", "fixed": true}, {"id": "for_you"}, {"id": "departments"}, {"id": "trending"}, {"id": "new"}],
    "count": 4,
}))]
pub(crate) struct LayoutRequest {
    /// What is learnt of a page counts for that page.
    #[schema(min_length = 1, max_length = 100, example = "home")]
    page: String,
    /// In the shop's own order, which is shown where nothing learnt may or can decide.
    #[schema(min_items = 1, max_items = 50)]
    blocks: Vec<BlockRequest>,
    /// How many of them are shown; by default all.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50)]
    count: Option<usize>,
    /// The shop's id of a signed-in customer. One of the three ids; none is a visitor that nothing is known of.
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    anonymous_id: Option<String>,
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    market: Option<String>,
    #[serde(default)]
    device: Option<DeviceName>,
    /// What the shopper said now; it counts over what events brought before.
    #[serde(default)]
    consent: Option<ConsentWire>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    deadline_ms: Option<u32>,
    /// The campaign that the page belongs to, as a merchant names it: automations may have another mode there.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "winter-sale")]
    campaign: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockRequest {
    /// As the page names it; events name it `promotion_id`.
    #[schema(min_length = 1, max_length = 100, example = "for_you")]
    id: String,
    /// It stands at this place, whatever is learnt.
    #[serde(default)]
    fixed: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LayoutAnswerWire {
    /// Events that tell which blocks were seen and used carry it back.
    #[schema(value_type = String, example = "0193a1f2c0de5a3b7c4d9e8f01234567")]
    decision_id: DecisionId,
    page: String,
    blocks: Vec<BlockAnswer>,
    /// How likely this order was; 1 where nothing was drawn.
    propensity: f64,
    /// The model that answered; null where the shop's own order did.
    model: Option<ModelAnswer>,
    /// `live_model`, `previous_model`, or `static_list`: the shop's own order.
    #[schema(example = "live_model")]
    fallback: &'static str,
    #[schema(example = "treated")]
    arm: &'static str,
    latency_us: u32,
}

/// A block at its place.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BlockAnswer {
    #[schema(example = "for_you")]
    id: String,
    /// What it promises, 0 to 1, with its uncertainty counted in its favour.
    score: f64,
    /// How likely it was to stand here, given what stands above.
    chance: f64,
    reason: BlockReason,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BlockReason {
    /// default, fixed, learned, tried.
    #[serde(rename = "type")]
    #[schema(example = "learned")]
    kind: &'static str,
    #[schema(example = "visits like this one use it 12.5 % of the time; it was seen 840 times")]
    words: String,
}

impl BlockAnswer {
    pub(crate) fn of(block: &PlacedBlock) -> Self {
        let kind = match block.reason {
            LayoutReason::Default => "default",
            LayoutReason::Fixed => "fixed",
            LayoutReason::Learned { .. } => "learned",
            LayoutReason::Tried { .. } => "tried",
        };
        let reason = BlockReason { kind, words: layout_words(&block.reason) };
        Self { id: block.id.clone(), score: block.score, chance: block.chance, reason }
    }

    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.id, self.reason.words)
    }
}

/// Lay out a page
///
/// Says which of a page's blocks to show, in which order. The order follows what visits like this one used, as events told
/// (`Promotion Viewed` and `Promotion Clicked` with the block as `promotion_id` and this answer's `decision_id`); without consent to
/// personalise, without a model or in trouble it is the shop's own. The decision is recorded and can be explained and replayed.
#[utoipa::path(post, path = "/v1/layout", tag = "recommendations", request_body = LayoutRequest,
    responses((status = 200, description = "The decision", body = LayoutAnswerWire)))]
pub(crate) async fn layout(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<LayoutRequest>,
) -> Result<Response, Problem> {
    let question = Question::read(&app, request, has_privacy_signal(&headers))?;
    may_ask_for(&app, &caller, &question.who)?;
    deciding(&app, move |app| decide(app, question)).await.map(personal)
}

/// A request that has been read and found sound.
struct Question {
    who: Who,
    market: MarketId,
    device: Device,
    consent: ConsentStamp,
    deadline_ms: Option<u32>,
    campaign: Option<CompactString>,
    ask: LayoutAsk,
}

impl Question {
    fn read(app: &App, request: LayoutRequest, privacy_signal: bool) -> Result<Self, Problem> {
        let mut mistakes = Mistakes::default();
        let market = match request.market {
            Some(market) => mistakes.taken("market".into(), "invalid_id", MarketId::new(market)).unwrap_or_default(),
            None => app.parts.settings.default_market.clone(),
        };
        let who = who(&request.user_id, &request.anonymous_id, &request.subject_id, &mut mistakes);
        if let Some(deadline_ms) = request.deadline_ms {
            mistakes.within("deadline_ms".into(), deadline_ms, 1, MAX_DEADLINE_MS);
        }
        let campaign = campaign_of(request.campaign, &mut mistakes);
        mistakes.within("page".into(), request.page.chars().count(), 1, MAX_NAME_CHARS);
        let count = mistakes.within("blocks".into(), request.blocks.len(), 1, MAX_BLOCKS);
        let count = request.count.map_or(count, |count| mistakes.within("count".into(), count, 1, MAX_BLOCKS));
        let mut blocks: Vec<LayoutBlock> = Vec::with_capacity(request.blocks.len().min(MAX_BLOCKS));
        for (place, block) in request.blocks.into_iter().take(MAX_BLOCKS).enumerate() {
            let at = format!("blocks[{place}].id");
            mistakes.within(at.clone(), block.id.chars().count(), 1, MAX_NAME_CHARS);
            if blocks.iter().any(|known| known.id == block.id) {
                mistakes.add(at, "duplicate", "a block stands on a page once");
            }
            blocks.push(LayoutBlock { id: block.id, fixed: block.fixed });
        }
        if !mistakes.0.is_empty() {
            return Err(Problem::mistakes(mistakes.0));
        }
        Ok(Self {
            who,
            market,
            device: request.device.map(DeviceName::device).unwrap_or_default(),
            consent: request.consent.unwrap_or_default().stamp(privacy_signal),
            deadline_ms: request.deadline_ms,
            campaign,
            ask: LayoutAsk { page: request.page, count: count.min(blocks.len()), blocks, learned: false },
        })
    }
}

fn decide(app: &App, question: Question) -> Result<Vec<u8>, Problem> {
    let Question { who, market, device, consent, deadline_ms, campaign, mut ask } = question;
    let parts = &app.parts;
    let subject = find_subject(app, &who);
    let now = parts.clock.now();
    let (decision, seed) = app.ids.decision(now.0);
    ask.learned = parts.layouts.may_personalise(subject, &market, consent);
    let situation = Situation {
        decision,
        subject,
        market: market.clone(),
        device,
        now,
        seed: subject.map_or(seed, |subject| todays_seed(subject, now.day())),
        consent,
    };
    let page = ask.page.clone();
    let mut shelf = RequestShelf::new(parts.catalogue.read(), market, now, Vec::new(), &[]);
    let request = Request { deadline_ms, campaign, ..Request::new(situation, ask) };
    let decision = parts.layouts.decide(request, &mut shelf);
    app.metrics.count_decision(decision.fallback);
    app.activity.count_decision(now, decision.fallback);
    let answer = LayoutAnswerWire {
        decision_id: decision.id,
        page,
        blocks: decision.answer.blocks.iter().map(BlockAnswer::of).collect(),
        propensity: decision.answer.propensity(),
        model: decision.model.map(|version| ModelAnswer { name: decision.engine, version: version.0 }),
        fallback: fallback_name(decision.fallback),
        arm: arm_name(parts.layouts.arm(subject)),
        latency_us: decision.latency_us,
    };
    serde_json::to_vec(&answer).map_err(|error| {
        tracing::error!(%error, "a decision has no JSON form");
        Problem::new(Code::Internal)
    })
}

/// A page that is opened again in an hour looks the same: blocks that change places at every look are found by nobody.
fn todays_seed(subject: SubjectId, day: i32) -> u64 {
    let [high, low] = [(subject.0 >> 64) as u64, subject.0 as u64];
    high ^ low.rotate_left(32) ^ u64::from(day.unsigned_abs())
}
