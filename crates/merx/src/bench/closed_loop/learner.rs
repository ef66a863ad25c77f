//! A shop of Merx that decides what visitors are shown and learns from what it is told. It knows ids, events and the time, and nothing
//! of what the simulated shoppers hide.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use merx_decide::{Request, RequestShelf, SlotRules};
use merx_discovery::recommend::{RecommendModel, Role};
use merx_domain::{
    Ask, ConsentStamp, DecisionId, Device, Event, Goal, LocationId, MarketId, ModelVersion, Product, ProductId,
    Scenario, Situation, Slot, StockLevel, SubjectId, TimestampMs,
};
use merx_models::{Learner as _, PopularityLearner, Recommender};

use crate::config;
use crate::shop::Shop;
use crate::training;

/// Products of a strip.
pub(super) const STRIP: usize = 12;
/// Long enough that a busy machine changes no answer.
const PATIENCE_MS: u32 = 60_000;
const IN_STOCK: i64 = 1_000;

/// How a learner chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// What is viewed, carted and bought most in a market, newer counts weighing more; counted anew whenever it learns.
    Popularity,
    /// The same times the price.
    BestSellers,
    /// As shipped, with revenue as the slots' goal: every family fitted and chosen anew whenever it learns, behind the gate; histories as they are at the moment of asking.
    Merx,
}

/// Where a visit stands when it is shown something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Arrival,
    /// After they have looked around.
    Leaving,
}

impl Moment {
    pub(super) const ALL: [Self; 2] = [Self::Arrival, Self::Leaving];
}

/// Who asks, as a page would say it.
pub(super) struct Visitor {
    pub(super) visit: u64,
    pub(super) subject: SubjectId,
    pub(super) market: MarketId,
    pub(super) device: Device,
    pub(super) consent: ConsentStamp,
}

pub(super) struct Learner {
    way: Way,
    shop: Shop,
    /// Nights in which it learnt.
    pub(super) nights: u32,
    /// Nights whose model went live.
    pub(super) promoted: u32,
    /// Removed with the learner, after the shop that lies in it.
    _folder: tempfile::TempDir,
}

impl Learner {
    pub(super) fn open(way: Way, market: &MarketId) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = [
            format!("data.folder={}", folder.path().join("data").display()),
            format!("market.default={market}"),
            "recommend.holdout=0".to_owned(),
            format!("train.gate_latency_ms={PATIENCE_MS}"),
        ];
        let shop = Shop::open(config::load(None, [], &settings)?.config)?;
        Ok(Self { way, shop, nights: 0, promoted: 0, _folder: folder })
    }

    /// Products that come into the shop, and those that are sold out from now on.
    pub(super) fn restock(&self, new: &[Product], sold_out: &[Product], now: TimestampMs) -> Result<()> {
        self.shop.ingest.put_products(new, now, &mut |_, _| Ok(()))?;
        let location = LocationId::new("shop")?;
        let level = |product: &Product, quantity| {
            let variant = product.variants.first()?.id.clone();
            let (product, location) = (product.id.clone(), location.clone());
            Some(StockLevel { product, variant, location, quantity, updated_at: now })
        };
        let full = new.iter().filter_map(|product| level(product, IN_STOCK));
        let levels: Vec<StockLevel> = full.chain(sold_out.iter().filter_map(|product| level(product, 0))).collect();
        self.shop.ingest.put_stock(&levels, &mut |_, _| Ok(()))?;
        self.shop.projection.catch_up()?;
        Ok(())
    }

    /// Decides what a visitor is shown, through the whole pipeline.
    pub(super) fn choose(
        &self,
        visitor: &Visitor,
        moment: Moment,
        now: TimestampMs,
        exclude: &[ProductId],
    ) -> (DecisionId, Vec<ProductId>) {
        let id = DecisionId(u128::from(visitor.visit) << 8 | moment as u128 | 2);
        let situation = Situation {
            decision: id,
            subject: Some(visitor.subject),
            market: visitor.market.clone(),
            device: visitor.device,
            now,
            seed: visitor.visit,
            consent: visitor.consent,
        };
        let exclude = exclude.iter().filter_map(|id| self.shop.projection.number(id)).collect();
        let (scenario, goal) = self.scenario();
        let (name, products) = ("strip".to_owned(), Vec::new());
        let slot = Slot { name, scenario, count: STRIP, products, exclude, diversity: 0.0 };
        let mut request = Request::new(situation, Ask { goals: vec![goal], ..Ask::new(vec![slot]) });
        request.deadline_ms = Some(PATIENCE_MS);
        let rules = vec![SlotRules::default()];
        let catalogue = self.shop.catalogue().read();
        let mut shelf = RequestShelf::new(catalogue, visitor.market.clone(), now, rules, &[]);
        let decision = self.shop.pipeline.decide(request, &mut shelf);
        let items = decision.answer.slots.iter().flat_map(|slot| &slot.items);
        let ids = items.filter_map(|item| Some(shelf.catalogue().entry(item.product)?.id.clone()));
        (id, ids.collect())
    }

    fn scenario(&self) -> (Scenario, Goal) {
        match self.way {
            Way::Popularity => (Scenario::Popular, Goal::Interest),
            Way::BestSellers => (Scenario::Popular, Goal::Revenue),
            Way::Merx => (Scenario::ForYou, Goal::Revenue),
        }
    }

    /// What happened goes into the log, and from there into the features.
    pub(super) fn tell(&self, events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        self.shop.store.log.append(events)?;
        self.shop.projection.catch_up()?;
        Ok(())
    }

    /// Learns overnight from everything in the log.
    pub(super) fn learn(&mut self, now: TimestampMs) -> Result<()> {
        self.nights += 1;
        match self.way {
            Way::Merx => {
                let report = training::train_recommendations(&self.shop, now)?;
                self.promoted += u32::from(report.promoted);
            }
            Way::Popularity | Way::BestSellers => {
                let (set, ..) = training::training_set(&self.shop, now, &|_| Ok(()))?;
                let popular: Arc<dyn Recommender> = Arc::new(PopularityLearner::default().fit(&set, 1)?);
                let members = BTreeMap::from([(Role::Popular, popular)]);
                let model = RecommendModel { members, labels: Vec::new(), markets: set.market_names, plan: None };
                self.shop.engine.serve(Some((ModelVersion(self.nights), Arc::new(model))), None);
                self.promoted += 1;
            }
        }
        Ok(())
    }
}
