//! A page as blocks in an order: what is asked, and what is shown.

use serde::{Deserialize, Serialize};

/// Something that a page can show: a banner, a row of products, a list of departments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayoutBlock {
    pub id: String,
    /// It stands where it was asked for, whatever is learnt.
    pub fixed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayoutAsk {
    pub page: String,
    /// In the shop's own order: the safe default.
    pub blocks: Vec<LayoutBlock>,
    /// How many are shown.
    pub count: usize,
    /// Whether consent lets the order follow what was learnt.
    pub learned: bool,
}

/// Why a block stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutReason {
    /// The shop's own order, which nothing learnt touched.
    Default,
    Fixed,
    /// Of shoppers like this one, so many who saw it used it, by the model; it was seen so often.
    Learned {
        expected: f32,
        seen: u64,
    },
    /// Too little is known of it yet.
    Tried {
        seen: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedBlock {
    pub id: String,
    /// What it promises, with its uncertainty counted in its favour; 0 where nothing was asked of a model.
    pub score: f64,
    /// How likely it was to stand here, given what stands above: 1 where nothing was drawn.
    pub chance: f64,
    pub reason: LayoutReason,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayoutAnswer {
    pub blocks: Vec<PlacedBlock>,
}

impl LayoutAnswer {
    /// How likely this order was: what off-policy estimates divide by.
    pub fn propensity(&self) -> f64 {
        self.blocks.iter().map(|block| block.chance).product()
    }
}
