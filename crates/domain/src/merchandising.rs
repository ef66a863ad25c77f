//! What a merchant says of searches: rules that overrule the ranking, and words that mean the same.

use serde::{Deserialize, Serialize};

use crate::{Filter, MarketId, ProductId, TimestampMs};

/// Applies where one of its conditions holds, or always where it has none, within its schedule, markets and segments.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub id: String,
    /// What it is for, in the merchant's words.
    pub name: String,
    pub enabled: bool,
    /// Where only one rule can have its way, the one of the higher priority does; of equals the one whose id sorts first.
    pub priority: i32,
    pub conditions: Vec<Condition>,
    pub markets: Vec<MarketId>,
    pub segments: Vec<String>,
    pub from: Option<TimestampMs>,
    pub until: Option<TimestampMs>,
    pub consequences: Vec<Consequence>,
}

/// All that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub query: Option<QueryCondition>,
    /// The category page.
    pub category: Option<String>,
    /// A segment or context of the request.
    pub segment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryCondition {
    pub text: String,
    pub anchoring: Anchoring,
}

/// Whole words are compared, without regard to case and accents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchoring {
    Is,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// At this place, counted from 0, whatever the ranking says; not against visibility, stock or the request's filter.
    Pin {
        product: ProductId,
        place: usize,
    },
    Hide {
        product: ProductId,
    },
    /// Multiplies the scores of what passes by `1 + strength`: above 0 raises, down to -1 buries.
    Boost {
        filter: Filter,
        strength: f32,
    },
    ReplaceQuery {
        text: String,
    },
    RemoveWords {
        words: Vec<String>,
    },
    Filter {
        filter: Filter,
    },
    Redirect {
        url: String,
    },
    /// JSON for the front end.
    Banner {
        data: String,
    },
}

/// What a merchant writes down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synonym {
    /// Any of these is found by any other.
    Equal { words: Vec<String> },
    /// Whoever asks for `from` finds `to` too, and not the other way round.
    OneWay { from: String, to: Vec<String> },
}

/// Two phrases that seem to mean the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposedSynonym {
    pub words: [String; 2],
    /// How alike the products are that are clicked for both, 0 to 1; the best of the pairs of queries.
    pub likeness: f32,
    /// Pairs of queries that show it, and looks that stand behind the weaker of the best.
    pub pairs: u32,
    pub looks: f32,
}

impl From<&ProposedSynonym> for Synonym {
    fn from(proposed: &ProposedSynonym) -> Self {
        Self::Equal { words: proposed.words.to_vec() }
    }
}
