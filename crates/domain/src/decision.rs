//! What is asked of an engine, what it proposes, and what was decided.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::experiment::Assignment;
use crate::{
    ConsentStamp, DecisionId, Device, EventMeaning, MarketId, ModelVersion, ProductNumber, Purposes, SubjectId,
    TimestampMs,
};

/// Who asks, where and when. Together with the ask, the features and the shelf's facts it is everything an engine may
/// depend on: the same four give the same proposal, bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    pub decision: DecisionId,
    pub subject: Option<SubjectId>,
    pub market: MarketId,
    pub device: Device,
    pub now: TimestampMs,
    /// For everything drawn at random in this decision.
    pub seed: u64,
    pub consent: ConsentStamp,
}

/// One thing a subject did to a product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub product: ProductNumber,
    pub meaning: EventMeaning,
    pub at: TimestampMs,
}

/// How much a subject leans to something that products share; weights decay with time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Affinity {
    /// Which feature wrote it: `category`, `brand`, `price_level`.
    pub feature: String,
    pub key: String,
    pub weight: f32,
}

/// What an engine is told of a person: nothing else about them can reach it. Empty without a personalisation grant,
/// but for the products of the request itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SubjectFeatures {
    /// Oldest first, bounded.
    pub history: Vec<HistoryEntry>,
    /// When the current session began: later entries of `history` belong to it.
    pub session_started_at: Option<TimestampMs>,
    pub affinities: Vec<Affinity>,
    /// Distinct sessions seen, decayed counts of views, carts and purchases.
    pub sessions: f32,
    pub views: f32,
    pub carts: f32,
    pub purchases: f32,
}

/// Why a product may not be shown now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// Not in the catalogue.
    Unknown,
    Hidden,
    OutOfStock,
    /// Not sold in this market, or not now.
    NotSoldHere,
    /// The request asked to leave it out, or it was on an earlier page or slot.
    Excluded,
    /// It fails the request's filter.
    Filtered,
}

/// What the shop's records say of a product for this request, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub blocked: Option<Blocked>,
    /// Factor on the score from the request's boosts; 1 where none applies.
    pub boost: f32,
    /// Price in the request's market, in minor units; 0 where unknown. Upsell compares it.
    pub price_minor: i64,
    /// When the product came into the catalogue.
    pub created_at: TimestampMs,
}

impl Fact {
    pub const fn blocked(reason: Blocked) -> Self {
        Self { blocked: Some(reason), boost: 1.0, price_minor: 0, created_at: TimestampMs(0) }
    }
}

/// The shop's records as an engine may ask them. Stock and prices change from one second to the next, so every answer
/// is written into the decision's record; a replay hands the engine the same answers in the same order.
pub trait Shelf {
    /// The facts of a product for slot number `slot` of the ask.
    fn fact(&self, slot: usize, product: ProductNumber) -> Fact;

    /// Every product sold in the request's market that passes the slot's filter, newest first, at most `limit`: where
    /// an engine looks when its own candidates are not enough.
    fn listing(&self, slot: usize, limit: usize) -> Vec<ProductNumber>;

    /// The list that a merchant set for slot number `slot`, for the case that nothing learnt can answer.
    fn static_list(&self, slot: usize) -> Vec<ProductNumber>;
}

/// What an engine was asked to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Whole history, seen products left out.
    ForYou,
    /// Alternatives to the given products.
    Similar,
    /// What goes into the same order as the given products.
    BoughtTogether,
    /// What the given basket lacks.
    CompleteBasket,
    /// What comes next in this session.
    ContinueSession,
    /// The same need at a higher value.
    Upsell,
    /// Rising now.
    Trending,
    Popular,
    /// New in the catalogue, nearest to the person first.
    New,
    /// Bought before and due again.
    BuyAgain,
    RecentlyViewed,
}

impl Scenario {
    pub const ALL: [Self; 11] = [
        Self::ForYou,
        Self::Similar,
        Self::BoughtTogether,
        Self::CompleteBasket,
        Self::ContinueSession,
        Self::Upsell,
        Self::Trending,
        Self::Popular,
        Self::New,
        Self::BuyAgain,
        Self::RecentlyViewed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ForYou => "for_you",
            Self::Similar => "similar",
            Self::BoughtTogether => "bought_together",
            Self::CompleteBasket => "complete_basket",
            Self::ContinueSession => "continue_session",
            Self::Upsell => "upsell",
            Self::Trending => "trending",
            Self::Popular => "popular",
            Self::New => "new",
            Self::BuyAgain => "buy_again",
            Self::RecentlyViewed => "recently_viewed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }
}

/// One strip of products to fill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub name: String,
    pub scenario: Scenario,
    pub count: usize,
    /// The products of the page or the basket that the strip is about.
    pub products: Vec<ProductNumber>,
    /// Products that must not come back: earlier pages.
    pub exclude: Vec<ProductNumber>,
    /// 0: by score alone; 1: as varied as can be (maximal marginal relevance over category and brand).
    pub diversity: f32,
}

/// What the products of a strip are to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// What the person takes up most likely.
    #[default]
    Interest,
    /// The most revenue: how likely it is taken up times its price.
    Revenue,
}

impl Goal {
    pub const ALL: [Self; 2] = [Self::Interest, Self::Revenue];

    pub fn name(self) -> &'static str {
        match self {
            Self::Interest => "interest",
            Self::Revenue => "revenue",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|goal| goal.name() == name)
    }
}

/// A request for recommendations: slots are filled in order and share no product.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ask {
    pub slots: Vec<Slot>,
    /// By slot; what is missing is [`Goal::Interest`].
    pub goals: Vec<Goal>,
    /// By slot; what is missing says nothing. Asks on record end with it or before it: what is added later stands at the end too.
    pub overruled: Vec<Overruled>,
}

/// What merchants' rules do to one strip, beside the shelf's filters and boosts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Overruled {
    /// Ids of the rules that apply, those that come first having their way.
    pub rules: Vec<String>,
    pub pins: Vec<Pin>,
    pub hidden: Vec<ProductNumber>,
}

/// A product that stands at a place, counted from 0, whatever was learnt; not against visibility, stock or the slot's filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub product: ProductNumber,
    pub place: usize,
}

impl Overruled {
    /// Of an ask without rules.
    pub const NONE: Self = Self { rules: Vec::new(), pins: Vec::new(), hidden: Vec::new() };

    pub fn pins(&self, product: ProductNumber) -> bool {
        self.pins.iter().any(|pin| pin.product == product)
    }

    /// Puts pinned products that are `open` to their places among `items`, at most `count` in all. One that stood among them anyway
    /// keeps its score and its reasons.
    pub fn place(
        &self,
        mut items: Vec<Candidate>,
        count: usize,
        open: &dyn Fn(ProductNumber) -> bool,
    ) -> Vec<Candidate> {
        let mut pins: Vec<Pin> = self.pins.iter().copied().filter(|pin| open(pin.product)).collect();
        pins.sort_by_key(|pin| pin.place);
        let chosen: Vec<(Pin, Candidate)> = pins
            .into_iter()
            .map(|pin| {
                let stood = items.iter().position(|item| item.product == pin.product).map(|at| items.remove(at));
                let mut item = stood.unwrap_or(Candidate { product: pin.product, score: 0.0, reasons: Vec::new() });
                item.reasons.insert(0, Reason::Pinned);
                (pin, item)
            })
            .collect();
        // By ascending place: what is put in later never moves what stands before it.
        for (pin, item) in chosen {
            items.insert(pin.place.min(items.len()), item);
        }
        items.truncate(count);
        items
    }
}

impl Ask {
    pub fn new(slots: Vec<Slot>) -> Self {
        Self { slots, ..Self::default() }
    }

    pub fn goal(&self, slot: usize) -> Goal {
        self.goals.get(slot).copied().unwrap_or_default()
    }

    pub fn overruled(&self, slot: usize) -> &Overruled {
        static NOTHING: Overruled = Overruled::NONE;
        self.overruled.get(slot).unwrap_or(&NOTHING)
    }
}

/// Why a product stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Viewed {
        product: ProductNumber,
        weight: f32,
    },
    Carted {
        product: ProductNumber,
        weight: f32,
    },
    Bought {
        product: ProductNumber,
        weight: f32,
    },
    SimilarTo {
        product: ProductNumber,
        weight: f32,
    },
    BoughtWith {
        product: ProductNumber,
        weight: f32,
    },
    Popular {
        weight: f32,
    },
    Trending {
        weight: f32,
    },
    New {
        age_days: f32,
    },
    DueAgain {
        interval_days: f32,
        elapsed_days: f32,
    },
    Listed,
    /// A merchant's rule put it there.
    Pinned,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub product: ProductNumber,
    pub score: f32,
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotAnswer {
    pub name: String,
    pub items: Vec<Candidate>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    pub slots: Vec<SlotAnswer>,
}

/// What an engine would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal<A> {
    pub answer: A,
    /// The model that made it; `None` where no model was needed.
    pub model: Option<ModelVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("the deadline passed")]
    Late,
    #[error("no model is live")]
    NoModel,
    #[error("{0}")]
    Refused(String),
}

/// What a wrong decision costs, and so what must be so before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stakes {
    /// A list on a page: recorded behind its back.
    #[default]
    Low,
    /// Money or trust, a price or a refusal: durable with its hash in the audit log before anybody sees it, else the safe answer is given.
    High,
}

/// One department's way to decide. `decide` calls it; it decides nothing about consent, experiments or records.
pub trait Engine: Send + Sync {
    type Ask: Serialize + DeserializeOwned + Clone + Send + Sync;
    type Answer: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync;

    /// Stands in every record: `recommend`.
    fn name(&self) -> &'static str;

    fn stakes(&self) -> Stakes {
        Stakes::Low
    }

    /// The answer of fallback level `level`, by the version `pinned` where one is given (a replay), else by whichever
    /// serves that level now. MUST be a function of its arguments and the model it names alone. SHOULD return
    /// [`EngineError::Late`] rather than answer after `late()` turned true.
    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        situation: &Situation,
        ask: &Self::Ask,
        features: &SubjectFeatures,
        shelf: &dyn Shelf,
        late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Self::Answer>, EngineError>;
}

/// How far down the chain a decision had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackLevel {
    LiveModel,
    /// The version before, kept warm.
    PreviousModel,
    Popularity,
    /// The merchant's static list, else the catalogue's newest.
    StaticList,
    /// Nothing could be answered: empty slots.
    Nothing,
}

impl FallbackLevel {
    pub const CHAIN: [Self; 4] = [Self::LiveModel, Self::PreviousModel, Self::Popularity, Self::StaticList];
}

/// What was decided, and by what right. It is an answer in every case: what failed shows in `fallback` and `trouble`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<A> {
    pub id: DecisionId,
    pub at: TimestampMs,
    pub engine: &'static str,
    pub answer: A,
    pub model: Option<ModelVersion>,
    pub fallback: FallbackLevel,
    pub granted: Purposes,
    /// Arms of the experiments that this decision met.
    pub experiments: Vec<Assignment>,
    /// Whether the subject is in the holdout that nothing automatic touches.
    pub held_out: bool,
    /// What went wrong on the way down the chain, in words.
    pub trouble: Vec<String>,
    pub latency_us: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(product: u32) -> Candidate {
        Candidate { product: ProductNumber(product), score: 1.0, reasons: vec![Reason::Popular { weight: 1.0 }] }
    }

    fn placed(pins: &[(u32, usize)], count: usize) -> Vec<u32> {
        let pins = pins.iter().map(|(product, place)| Pin { product: ProductNumber(*product), place: *place });
        let overruled = Overruled { pins: pins.collect(), ..Overruled::NONE };
        let items = [1, 2, 3, 4].map(candidate).to_vec();
        let placed = overruled.place(items, count, &|product| product.0 != 9);
        placed.into_iter().map(|item| item.product.0).collect()
    }

    #[test]
    fn pinned_products_stand_at_their_places_and_once() {
        assert_eq!(placed(&[(7, 0)], 4), [7, 1, 2, 3]);
        assert_eq!(placed(&[(7, 2), (8, 0)], 4), [8, 1, 7, 2]);
        assert_eq!(placed(&[(3, 0)], 4), [3, 1, 2, 4], "it moves, it isn't shown twice");
        assert_eq!(placed(&[(7, 50)], 5), [1, 2, 3, 4, 7], "as far as there are places");
        assert_eq!(placed(&[(9, 0)], 4), [1, 2, 3, 4], "not against the shelf");
        assert_eq!(placed(&[(7, 0), (8, 1)], 2), [7, 8], "never more than were asked for");
    }

    #[test]
    fn what_stood_there_anyway_keeps_its_reasons() {
        let pin = Pin { product: ProductNumber(1), place: 0 };
        let overruled = Overruled { pins: vec![pin], ..Overruled::NONE };
        let placed = overruled.place(vec![candidate(1)], 3, &|_| true);
        assert_eq!(placed[0].reasons, [Reason::Pinned, Reason::Popular { weight: 1.0 }]);
        assert_eq!(placed[0].score, 1.0);
    }
}
