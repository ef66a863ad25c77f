//! How a merchant's rule stands on the wire.

use merx_domain::merchandising::{Anchoring, Condition, Consequence, QueryCondition, Rule};
use merx_domain::{MarketId, ProductId, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MAX_LIST, check_id, check_text, check_words};
use crate::app::App;
use crate::problem::Mistakes;
use crate::search::read_filter;

const MAX_BANNER_BYTES: usize = 10_000;
const MAX_POSITION: usize = 1_000;

/// What a merchant wants of certain searches.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRule, example = json!({
    "name": "Summer sale", "conditions": [{"query": {"text": "bag", "match": "contains"}}],
    "consequences": [{"type": "boost", "filter": "category = \"Bags\"", "strength": 0.5},
        {"type": "banner", "data": {"image": "/sale.jpg"}}],
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
    /// One of them must hold; none: always.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub(crate) conditions: Vec<ConditionWire>,
    /// Empty: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub(crate) markets: Vec<String>,
    /// Segments or contexts that a request names, one of which it must have; empty: everybody.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub(crate) segments: Vec<String>,
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

/// All that is given must hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRuleCondition)]
pub(crate) struct ConditionWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) query: Option<QueryConditionWire>,
    /// The category page that the search happens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) segment: Option<String>,
}

/// Whole words are compared, without regard to case and accents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchRuleQuery)]
pub(crate) struct QueryConditionWire {
    #[schema(max_length = 512)]
    pub(crate) text: String,
    #[serde(rename = "match", default)]
    pub(crate) anchoring: AnchoringWire,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SearchRuleMatch)]
pub(crate) enum AnchoringWire {
    #[default]
    Is,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = SearchRuleConsequence)]
pub(crate) enum ConsequenceWire {
    /// Stands at this place, counted from 1, wherever the product may be shown at all.
    Pin {
        product_id: String,
        #[schema(minimum = 1, maximum = 1000)]
        position: usize,
    },
    Hide {
        product_id: String,
    },
    /// Scores of what passes are multiplied by 1 + strength.
    Boost {
        filter: String,
        #[schema(minimum = 0, maximum = 10)]
        strength: f32,
    },
    /// Scores of what passes are multiplied by 1 - strength.
    Bury {
        filter: String,
        #[schema(minimum = 0, maximum = 1)]
        strength: f32,
    },
    ReplaceQuery {
        text: String,
    },
    RemoveWords {
        words: Vec<String>,
    },
    /// Only what passes is found.
    Filter {
        filter: String,
    },
    /// The front end sends the shopper there: an address, or a path of the shop.
    Redirect {
        url: String,
    },
    /// JSON for the front end, handed on as it is.
    Banner {
        #[schema(value_type = Object)]
        data: serde_json::Value,
    },
}
impl RuleWire {
    pub(crate) fn read(self, app: &App, at: &str, mistakes: &mut Mistakes) -> Rule {
        let place = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        check_id(&place("id"), &self.id, mistakes);
        check_text(&place("name"), &self.name, mistakes);
        for (field, count) in
            [("conditions", self.conditions.len()), ("markets", self.markets.len()), ("segments", self.segments.len())]
        {
            mistakes.within(place(field), count, 0, MAX_LIST);
        }
        mistakes.within(place("consequences"), self.consequences.len(), 1, MAX_LIST);
        let mut time = |field: &str, text: Option<String>| {
            let read = TimestampMs::parse(text.as_deref()?);
            if read.is_none() {
                mistakes.add(place(field), "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
            }
            read
        };
        let (from, until) = (time("from", self.from), time("until", self.until));
        let markets = self.markets.into_iter().enumerate();
        let markets = markets
            .filter_map(|(number, market)| {
                mistakes.taken(place(&format!("markets[{number}]")), "invalid_id", MarketId::new(market))
            })
            .collect();
        let conditions = self.conditions.into_iter().enumerate();
        let conditions =
            conditions.map(|(number, one)| one.read(&place(&format!("conditions[{number}]")), mistakes)).collect();
        let consequences = self.consequences.into_iter().enumerate();
        let consequences = consequences
            .filter_map(|(number, one)| one.read(app, &place(&format!("consequences[{number}]")), mistakes))
            .collect();
        Rule {
            id: self.id,
            name: self.name,
            enabled: self.enabled,
            priority: self.priority,
            conditions,
            markets,
            segments: self.segments,
            from,
            until,
            consequences,
        }
    }
}

impl ConditionWire {
    fn read(self, at: &str, mistakes: &mut Mistakes) -> Condition {
        let texts = [self.query.as_ref().map(|query| &query.text), self.category.as_ref(), self.segment.as_ref()];
        for (field, text) in ["query.text", "category", "segment"].into_iter().zip(texts) {
            check_text(&format!("{at}.{field}"), text.map_or("", String::as_str), mistakes);
        }
        let query = self.query.map(|query| QueryCondition {
            text: query.text,
            anchoring: match query.anchoring {
                AnchoringWire::Is => Anchoring::Is,
                AnchoringWire::StartsWith => Anchoring::StartsWith,
                AnchoringWire::EndsWith => Anchoring::EndsWith,
                AnchoringWire::Contains => Anchoring::Contains,
            },
        });
        Condition { query, category: self.category, segment: self.segment }
    }
}

impl ConsequenceWire {
    fn read(self, app: &App, at: &str, mistakes: &mut Mistakes) -> Option<Consequence> {
        let product = |id: String, mistakes: &mut Mistakes| {
            mistakes.taken(format!("{at}.product_id"), "invalid_id", ProductId::new(id))
        };
        let filter = |text: &str, mistakes: &mut Mistakes| read_filter(app, format!("{at}.filter"), text, mistakes);
        Some(match self {
            Self::Pin { product_id, position } => {
                mistakes.within(format!("{at}.position"), position, 1, MAX_POSITION);
                Consequence::Pin { product: product(product_id, mistakes)?, place: position.saturating_sub(1) }
            }
            Self::Hide { product_id } => Consequence::Hide { product: product(product_id, mistakes)? },
            Self::Boost { filter: text, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 10.0);
                Consequence::Boost { filter: filter(&text, mistakes)?, strength }
            }
            Self::Bury { filter: text, strength } => {
                mistakes.within(format!("{at}.strength"), strength, 0.0, 1.0);
                Consequence::Boost { filter: filter(&text, mistakes)?, strength: -strength }
            }
            Self::ReplaceQuery { text } => {
                check_text(&format!("{at}.text"), &text, mistakes);
                Consequence::ReplaceQuery { text }
            }
            Self::RemoveWords { words } => {
                check_words(&format!("{at}.words"), &words, mistakes);
                Consequence::RemoveWords { words }
            }
            Self::Filter { filter: text } => Consequence::Filter { filter: filter(&text, mistakes)? },
            Self::Redirect { url } => {
                check_text(&format!("{at}.url"), &url, mistakes);
                // Nothing that a browser would run: the front end goes there.
                let leads = ["https://", "http://", "/"].iter().any(|start| url.starts_with(start));
                if !leads {
                    let detail = "expected an address that begins with https://, http:// or /";
                    mistakes.add(format!("{at}.url"), "invalid_url", detail);
                }
                Consequence::Redirect { url }
            }
            Self::Banner { data } => {
                let data = data.to_string();
                mistakes.within(format!("{at}.data"), data.len(), 0, MAX_BANNER_BYTES);
                Consequence::Banner { data }
            }
        })
    }
}

impl From<Rule> for RuleWire {
    fn from(rule: Rule) -> Self {
        let time = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            id: rule.id,
            name: rule.name,
            enabled: rule.enabled,
            priority: rule.priority,
            conditions: rule.conditions.into_iter().map(ConditionWire::from).collect(),
            markets: rule.markets.iter().map(ToString::to_string).collect(),
            segments: rule.segments,
            from: time(rule.from),
            until: time(rule.until),
            consequences: rule.consequences.into_iter().map(ConsequenceWire::from).collect(),
        }
    }
}

impl From<Condition> for ConditionWire {
    fn from(condition: Condition) -> Self {
        let query = condition.query.map(|query| QueryConditionWire {
            text: query.text,
            anchoring: match query.anchoring {
                Anchoring::Is => AnchoringWire::Is,
                Anchoring::StartsWith => AnchoringWire::StartsWith,
                Anchoring::EndsWith => AnchoringWire::EndsWith,
                Anchoring::Contains => AnchoringWire::Contains,
            },
        });
        Self { query, category: condition.category, segment: condition.segment }
    }
}

impl From<Consequence> for ConsequenceWire {
    fn from(consequence: Consequence) -> Self {
        match consequence {
            Consequence::Pin { product, place } => Self::Pin { product_id: product.to_string(), position: place + 1 },
            Consequence::Hide { product } => Self::Hide { product_id: product.to_string() },
            Consequence::Boost { filter, strength } if strength < 0.0 => {
                Self::Bury { filter: filter.to_string(), strength: -strength }
            }
            Consequence::Boost { filter, strength } => Self::Boost { filter: filter.to_string(), strength },
            Consequence::ReplaceQuery { text } => Self::ReplaceQuery { text },
            Consequence::RemoveWords { words } => Self::RemoveWords { words },
            Consequence::Filter { filter } => Self::Filter { filter: filter.to_string() },
            Consequence::Redirect { url } => Self::Redirect { url },
            // What is no JSON was put in by another way than this.
            Consequence::Banner { data } => {
                Self::Banner { data: serde_json::from_str(&data).unwrap_or(serde_json::Value::String(data)) }
            }
        }
    }
}
