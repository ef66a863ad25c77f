//! One version of everything that recommendations need, fitted together and swapped together.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_models::Recommender;
use serde::{Deserialize, Serialize};

/// What a recommender inside the model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// From a whole history to what is liked next.
    ForYou,
    /// From this session to the next click.
    Session,
    /// From products to alternatives.
    Similar,
    /// From products to those of the same kind by what they are, not by who looks at them: new products too.
    Alike,
    /// From products to what goes into the same order.
    Together,
    Popular,
    Trending,
    /// From past orders to what is due again.
    BuyAgain,
}

/// What variety is measured over: numbers of a product's category and brand, 0 where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Labels {
    pub category: u32,
    pub brand: u32,
}

#[derive(Clone)]
pub struct RecommendModel {
    pub members: BTreeMap<Role, Arc<dyn Recommender>>,
    /// By product number.
    pub labels: Vec<Labels>,
}

impl RecommendModel {
    pub fn member(&self, role: Role) -> Option<&dyn Recommender> {
        self.members.get(&role).map(AsRef::as_ref)
    }

    /// Which family fills which role.
    pub fn parameters(&self) -> serde_json::Value {
        let family = |(role, member): (&Role, &Arc<dyn Recommender>)| (format!("{role:?}"), member.family().to_owned());
        self.members.iter().map(family).collect()
    }

    pub fn labels(&self, item: u32) -> Labels {
        self.labels.get(item as usize).copied().unwrap_or_default()
    }
}
