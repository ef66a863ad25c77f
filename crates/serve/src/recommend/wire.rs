//! What is asked and answered, as JSON has it.

use merx_decide::{Arm, CatalogueReader, words};
use merx_domain::experiment::Assignment;
use merx_domain::{ConsentStamp, DecisionId, Device, FallbackLevel, Goal, Money, Purposes, Reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Mistake;
use crate::wire::{Id, MoneyWire};

/// Who asks for what. Slots are filled in order and share no product.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "anonymous_id": "visitor-1", "market": "default", "device": "phone",
    "slots": [
        {"scenario": "for_you", "count": 4},
        {"scenario": "similar", "count": 4, "products": ["p1"], "filter": "price < 50 AND in_stock = true",
         "boosts": [{"field": "margin", "strength": 0.5}], "diversity": 0.3},
    ],
}))]
pub(crate) struct RecommendRequest {
    /// The shop's id of a signed-in customer. One of the three ids; none is a visitor that nothing is known of.
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// What the browser or app calls its visitor.
    #[serde(default)]
    pub(super) anonymous_id: Option<String>,
    /// The pseudonym that events and decisions carry: 32 hexadecimal digits.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    pub(super) subject_id: Option<String>,
    /// Country or sales channel; prices and availability are the market's.
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    pub(super) market: Option<String>,
    #[serde(default)]
    pub(super) device: Option<DeviceName>,
    /// What the shopper said now; it counts over what events brought before.
    #[serde(default)]
    pub(super) consent: Option<ConsentWire>,
    /// A model that takes longer is not waited for: popularity answers.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10000)]
    pub(super) deadline_ms: Option<u32>,
    /// The visit, as the page or app names it: experiments by session deal it as a whole.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(super) session_id: Option<String>,
    /// The campaign that the page belongs to, as a merchant names it: automations may have another mode there.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "winter-sale")]
    pub(super) campaign: Option<String>,
    /// Segments of the shopper that experiments may be targeted at.
    #[serde(default)]
    #[schema(max_items = 30)]
    pub(super) segments: Vec<String>,
    #[schema(min_items = 1, max_items = 20)]
    pub(super) slots: Vec<SlotRequest>,
}

/// What the products of a slot are to bring: what is taken up most likely, or the most revenue (that times the price).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GoalName {
    Interest,
    Revenue,
}

impl From<GoalName> for Goal {
    fn from(name: GoalName) -> Self {
        match name {
            GoalName::Interest => Self::Interest,
            GoalName::Revenue => Self::Revenue,
        }
    }
}

impl From<Goal> for GoalName {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Interest => Self::Interest,
            Goal::Revenue => Self::Revenue,
        }
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotRequest {
    /// Comes back in the answer; by default the scenario's name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub(super) name: Option<String>,
    /// for_you, similar, bought_together, complete_basket, continue_session, upsell, trending, popular, new, buy_again,
    /// recently_viewed, or the name of a configured slot.
    #[schema(example = "for_you")]
    pub(super) scenario: String,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub(super) count: Option<usize>,
    /// The products of the page or the basket that the slot is about.
    #[serde(default)]
    #[schema(max_items = 200, value_type = Vec<Id>)]
    pub(super) products: Vec<String>,
    /// In the filter language: `category = "Shoes" AND price < 50`.
    #[serde(default)]
    #[schema(example = "category = \"Shoes\" AND price < 50")]
    pub(super) filter: Option<String>,
    #[serde(default)]
    #[schema(max_items = 10)]
    pub(super) boosts: Vec<BoostRequest>,
    /// 0: by score alone; 1: as varied as can be.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    pub(super) diversity: Option<f32>,
    /// What the products are to bring.
    #[serde(default)]
    pub(super) goal: Option<GoalName>,
    /// Products that must not be shown.
    #[serde(default)]
    #[schema(max_items = 1000, value_type = Vec<Id>)]
    pub(super) exclude: Vec<String>,
    /// The decision of the page before: nothing of it, or of the pages before it, comes back.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    pub(super) after: Option<String>,
}

/// Multiplies scores by `1 + strength x value`, where the value lies between 0 and 1.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BoostRequest {
    /// `margin`, `stock`, `newness`, or a filter: 1 for what passes it.
    #[schema(example = "margin")]
    pub(super) field: String,
    /// A negative strength buries.
    #[schema(minimum = -1, maximum = 10)]
    pub(super) strength: f32,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeviceName {
    Unknown,
    Desktop,
    Phone,
    Tablet,
    Server,
}

impl DeviceName {
    pub(crate) fn device(self) -> Device {
        match self {
            Self::Desktop => Device::Desktop,
            Self::Phone => Device::Phone,
            Self::Tablet => Device::Tablet,
            Self::Server => Device::Server,
            Self::Unknown => Device::Unknown,
        }
    }
}

/// True grants, false refuses, absent says nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConsentWire {
    pub(super) analytics: Option<bool>,
    pub(super) personalisation: Option<bool>,
    pub(super) marketing: Option<bool>,
    pub(super) automated_decisions: Option<bool>,
    pub(super) sale_sharing: Option<bool>,
}

impl ConsentWire {
    pub(crate) fn stamp(&self, global_privacy_control: bool) -> ConsentStamp {
        let mut stamp = ConsentStamp { global_privacy_control, ..ConsentStamp::default() };
        for (said, purpose) in [
            (self.analytics, Purposes::ANALYTICS),
            (self.personalisation, Purposes::PERSONALISATION),
            (self.marketing, Purposes::MARKETING),
            (self.automated_decisions, Purposes::AUTOMATED_DECISIONS),
            (self.sale_sharing, Purposes::SALE_SHARING),
        ] {
            match said {
                Some(true) => stamp.granted |= purpose,
                Some(false) => stamp.denied |= purpose,
                None => {}
            }
        }
        stamp
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecommendAnswer<'a> {
    /// Outcomes carry it back: `context.decision_id` or `properties.decision_id` of events.
    #[schema(value_type = String, example = "0193a1f2c0de5a3b7c4d9e8f01234567")]
    pub(super) decision_id: DecisionId,
    pub(super) slots: Vec<SlotAnswer<'a>>,
    /// The model that answered; null where none was needed or at hand.
    pub(super) model: Option<ModelAnswer>,
    /// How far down the chain the decision had to go.
    #[schema(example = "live_model")]
    pub(super) fallback: &'static str,
    /// `treated`, or `holdout`: a shopper whom no model touches, so that what models earn can be measured.
    #[schema(example = "treated")]
    pub(super) arm: &'static str,
    /// Arms of the experiments that had a say in this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) experiments: Vec<ArmAnswer>,
    /// What of the request was left aside: products that the catalogue doesn't know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<Mistake>,
    pub(super) latency_us: u32,
}

/// An arm that somebody got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArmAnswer {
    #[schema(example = "home-variety")]
    pub(super) experiment: String,
    #[schema(example = "varied")]
    pub(super) arm: String,
    /// What the arm carries for the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    pub(super) value: Option<serde_json::Value>,
}

/// The arms of a decision as answers have them.
pub(crate) fn arm_answers(app: &App, assignments: &[Assignment]) -> Vec<ArmAnswer> {
    let answer = |assignment: &Assignment| ArmAnswer {
        experiment: assignment.experiment.to_string(),
        arm: assignment.arm.to_string(),
        value: app.parts.dealer.value(assignment),
    };
    assignments.iter().map(answer).collect()
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelAnswer {
    #[schema(example = "recommend")]
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotAnswer<'a> {
    pub(super) name: &'a str,
    pub(super) items: Vec<ItemAnswer<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemAnswer<'a> {
    pub(super) product_id: &'a str,
    pub(super) name: &'a str,
    #[schema(value_type = Option<MoneyWire>)]
    pub(super) price: Option<Money>,
    pub(super) url: Option<&'a str>,
    pub(super) image: Option<&'a str>,
    /// Compares within its slot only.
    pub(super) score: f32,
    pub(super) reasons: Vec<ReasonAnswer<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonAnswer<'a> {
    /// viewed, carted, bought, similar_to, bought_with, popular, trending, new, due_again, listed, pinned.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// The reason as a shopper reads it.
    #[schema(example = "because you viewed Canvas Bag")]
    pub(crate) words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) product_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) weight: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) age_days: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) interval_days: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) elapsed_days: Option<f32>,
}

impl<'a> ReasonAnswer<'a> {
    pub(crate) fn of(reason: &Reason, catalogue: &'a CatalogueReader<'_>) -> Self {
        let name =
            |product| catalogue.entry(product).map_or_else(|| "a product".to_owned(), |entry| entry.name.to_string());
        let mut answer = Self {
            kind: "listed",
            words: words(reason, &name),
            product_id: None,
            weight: None,
            age_days: None,
            interval_days: None,
            elapsed_days: None,
        };
        let (kind, product, weight) = match *reason {
            Reason::Viewed { product, weight } => ("viewed", Some(product), Some(weight)),
            Reason::Carted { product, weight } => ("carted", Some(product), Some(weight)),
            Reason::Bought { product, weight } => ("bought", Some(product), Some(weight)),
            Reason::SimilarTo { product, weight } => ("similar_to", Some(product), Some(weight)),
            Reason::BoughtWith { product, weight } => ("bought_with", Some(product), Some(weight)),
            Reason::Popular { weight } => ("popular", None, Some(weight)),
            Reason::Trending { weight } => ("trending", None, Some(weight)),
            Reason::New { age_days } => {
                answer.age_days = Some(age_days);
                ("new", None, None)
            }
            Reason::DueAgain { interval_days, elapsed_days } => {
                (answer.interval_days, answer.elapsed_days) = (Some(interval_days), Some(elapsed_days));
                ("due_again", None, None)
            }
            Reason::Listed => ("listed", None, None),
            Reason::Pinned => ("pinned", None, None),
        };
        answer.kind = kind;
        answer.weight = weight.filter(|weight| weight.is_finite());
        answer.product_id = product.and_then(|product| catalogue.entry(product)).map(|entry| entry.id.as_str());
        answer
    }
}

pub(crate) fn fallback_name(level: FallbackLevel) -> &'static str {
    match level {
        FallbackLevel::LiveModel => "live_model",
        FallbackLevel::PreviousModel => "previous_model",
        FallbackLevel::Popularity => "popularity",
        FallbackLevel::StaticList => "static_list",
        FallbackLevel::Nothing => "nothing",
    }
}

pub(crate) fn arm_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Treated { .. } => "treated",
        Arm::Holdout { .. } => "holdout",
    }
}
