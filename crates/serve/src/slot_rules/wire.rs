//! How a rule for slots stands on the wire.

use merx_decide::{Boost, BoostField};
use merx_domain::{MarketId, ProductId, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::book::{SlotConsequence, SlotRule};
use crate::problem::Mistakes;
use crate::search::merchandise::check_id;

const MAX_LIST: usize = 100;
const MAX_NAME_BYTES: usize = 512;
const MAX_POSITION: usize = 100;

/// What a merchant wants of certain slots.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SlotRule, example = json!({
    "name": "Winter sale", "slots": ["home", "for_you"], "campaigns": ["winter-sale"],
    "consequences": [{"type": "pin", "product_id": "p1", "position": 1},
        {"type": "bury", "field": "category = \"Sandals\"", "strength": 0.5}],
}))]
pub(crate) struct RuleWire {
    /// The path names it; in a list and in drafts it stands here.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(crate) id: String,
    /// What it is for, in words.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub(crate) name: String,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// Where only one rule can have its way, the one of the higher priority does.
    #[serde(default)]
    pub(crate) priority: i32,
    /// Slots as requests name them, configured slots, or scenarios, one of which it must be; empty: all.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["home", "similar"]))]
    pub(crate) slots: Vec<String>,
    /// Empty: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub(crate) markets: Vec<String>,
    /// Campaigns that a request names, one of which it must be; empty: with any and with none.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub(crate) campaigns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(crate) from: Option<String>,
    /// No longer at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(crate) until: Option<String>,
    #[schema(min_items = 1, max_items = 100)]
    pub(crate) consequences: Vec<ConsequenceWire>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = SlotRuleConsequence)]
pub(crate) enum ConsequenceWire {
    /// Stands at this place, counted from 1, wherever the product may be shown at all.
    Pin {
        product_id: String,
        #[schema(minimum = 1, maximum = 100)]
        position: usize,
    },
    Hide {
        product_id: String,
    },
    /// Scores are multiplied by 1 + strength x the field's value, from 0 to 1: `margin`, `stock`, `newness`, or a filter, which is 1 for
    /// what passes it.
    Boost {
        #[schema(example = "brand = \"Harth\"")]
        field: String,
        #[schema(minimum = 0, maximum = 10)]
        strength: f32,
    },
    /// Scores are multiplied by 1 - strength x the field's value.
    Bury {
        #[schema(example = "category = \"Sandals\"")]
        field: String,
        #[schema(minimum = 0, maximum = 1)]
        strength: f32,
    },
}

impl RuleWire {
    pub(crate) fn read(self, at: &str, mistakes: &mut Mistakes) -> SlotRule {
        let place = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        check_id(&place("id"), &self.id, mistakes);
        mistakes.within(place("name"), self.name.len(), 0, MAX_NAME_BYTES);
        for (field, names) in [("slots", &self.slots), ("campaigns", &self.campaigns)] {
            mistakes.within(place(field), names.len(), 0, MAX_LIST);
            for (number, name) in names.iter().enumerate() {
                mistakes.within(place(&format!("{field}[{number}]")), name.chars().count(), 1, MAX_LIST);
            }
        }
        mistakes.within(place("markets"), self.markets.len(), 0, MAX_LIST);
        mistakes.within(place("consequences"), self.consequences.len(), 1, MAX_LIST);
        let mut time = |field: &str, text: Option<String>| {
            let read = TimestampMs::parse(text.as_deref()?);
            if read.is_none() {
                mistakes.add(place(field), "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
            }
            read
        };
        let (from, until) = (time("from", self.from), time("until", self.until));
        if from.zip(until).is_some_and(|(from, until)| until <= from) {
            mistakes.add(place("until"), "out_of_range", "it ends before it begins");
        }
        let markets = self.markets.into_iter().enumerate();
        let markets = markets
            .filter_map(|(number, market)| {
                mistakes.taken(place(&format!("markets[{number}]")), "invalid_id", MarketId::new(market))
            })
            .collect();
        let consequences = self.consequences.into_iter().enumerate();
        let consequences = consequences
            .filter_map(|(number, one)| one.read(&place(&format!("consequences[{number}]")), mistakes))
            .collect();
        SlotRule {
            id: self.id,
            name: self.name,
            enabled: self.enabled,
            priority: self.priority,
            slots: self.slots,
            markets,
            campaigns: self.campaigns,
            from,
            until,
            consequences,
        }
    }
}

impl ConsequenceWire {
    fn read(self, at: &str, mistakes: &mut Mistakes) -> Option<SlotConsequence> {
        let product = |id: String, mistakes: &mut Mistakes| {
            mistakes.taken(format!("{at}.product_id"), "invalid_id", ProductId::new(id))
        };
        let boost = |field: &str, strength: f32, mistakes: &mut Mistakes| {
            let field = mistakes.taken(format!("{at}.field"), "invalid_filter", BoostField::parse(field))?;
            Some(SlotConsequence::Boost(Boost { field, strength }))
        };
        match self {
            Self::Pin { product_id, position } => {
                mistakes.within(format!("{at}.position"), position, 1, MAX_POSITION);
                let place = position.saturating_sub(1);
                Some(SlotConsequence::Pin { product: product(product_id, mistakes)?, place })
            }
            Self::Hide { product_id } => Some(SlotConsequence::Hide { product: product(product_id, mistakes)? }),
            Self::Boost { field, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 10.0);
                boost(&field, strength, mistakes)
            }
            Self::Bury { field, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 1.0);
                boost(&field, -strength, mistakes)
            }
        }
    }
}

impl From<SlotRule> for RuleWire {
    fn from(rule: SlotRule) -> Self {
        let time = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            id: rule.id,
            name: rule.name,
            enabled: rule.enabled,
            priority: rule.priority,
            slots: rule.slots,
            markets: rule.markets.iter().map(ToString::to_string).collect(),
            campaigns: rule.campaigns,
            from: time(rule.from),
            until: time(rule.until),
            consequences: rule.consequences.into_iter().map(ConsequenceWire::from).collect(),
        }
    }
}

impl From<SlotConsequence> for ConsequenceWire {
    fn from(consequence: SlotConsequence) -> Self {
        match consequence {
            SlotConsequence::Pin { product, place } => {
                Self::Pin { product_id: product.to_string(), position: place + 1 }
            }
            SlotConsequence::Hide { product } => Self::Hide { product_id: product.to_string() },
            SlotConsequence::Boost(Boost { field, strength }) if strength < 0.0 => {
                Self::Bury { field: field_name(&field), strength: -strength }
            }
            SlotConsequence::Boost(Boost { field, strength }) => Self::Boost { field: field_name(&field), strength },
        }
    }
}

fn field_name(field: &BoostField) -> String {
    match field {
        BoostField::Margin => "margin".to_owned(),
        BoostField::Stock => "stock".to_owned(),
        BoostField::Newness => "newness".to_owned(),
        BoostField::Matches(filter) => filter.to_string(),
    }
}
