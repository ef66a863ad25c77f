//! One version of everything that recommendations need, fitted together and swapped together.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_domain::MarketId;
use merx_models::plan::Plan;
use merx_models::{Query, Recommender};
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
    /// From what somebody leans to, to what they take up when it is shown unasked.
    Uptake,
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
    /// Which market a model's market number stands for.
    pub markets: Vec<MarketId>,
    /// What [`Role::ForYou`] was chosen by; not kept with the artifact.
    pub plan: Option<Plan>,
}

impl RecommendModel {
    pub fn member(&self, role: Role) -> Option<&dyn Recommender> {
        self.members.get(&role).map(AsRef::as_ref)
    }

    /// Answers one question of nobody by every member, so that the first shopper doesn't wait for what is done at first use.
    pub fn warm_up(&self) {
        const ENOUGH: usize = 20;
        let query = Query { history: &[], session_start: 0, seeds: &[], now_s: 0, market: 0 };
        for member in self.members.values() {
            member.open(&query).candidates(ENOUGH, &mut Vec::new());
        }
    }

    /// Which family fills which role, and the settings that were chosen.
    pub fn parameters(&self) -> serde_json::Value {
        let family = |(role, member): (&Role, &Arc<dyn Recommender>)| (format!("{role:?}"), member.family().to_owned());
        let roles: serde_json::Value = self.members.iter().map(family).collect();
        serde_json::json!({ "roles": roles, "for_you": self.plan.as_ref().map(Plan::settings) })
    }

    /// The number by which models know a market. One that was never learnt from is scored as the whole shop.
    pub fn market(&self, id: &MarketId) -> u16 {
        self.markets.iter().position(|known| known == id).map_or(u16::MAX, |place| place as u16)
    }

    pub fn labels(&self, item: u32) -> Labels {
        self.labels.get(item as usize).copied().unwrap_or_default()
    }
}
