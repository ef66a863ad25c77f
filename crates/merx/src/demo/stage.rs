//! Scenes of the demo shop: what is planted, and put right again when its time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use merx_discovery::recommend::Role;
use merx_domain::{MINUTE_MS, ProductId, ProductNumber, StockLevel, TimestampMs};
use merx_models::Query;
use merx_serve::{Playing, Scene, Stage};
use merx_store::StoreError;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::shop::Shop;

/// What everybody talks about is one of so many popular products: nobody talks about what nobody wants.
const TALKED_ABOUT: usize = 50;

pub(crate) struct DemoStage {
    shop: Arc<Shop>,
    scenes: Mutex<Vec<Playing>>,
    /// Stock as it was before it was sold out.
    before: Mutex<Vec<StockLevel>>,
    sold: Mutex<FxHashMap<ProductId, u64>>,
    visits: Arc<AtomicU64>,
}

fn length_ms(scene: Scene) -> i64 {
    MINUTE_MS
        * match scene {
            Scene::Trend => 10,
            Scene::Stockout => 5,
            Scene::Outage => 1,
        }
}

impl DemoStage {
    pub(super) fn new(shop: Arc<Shop>) -> Self {
        Self {
            shop,
            scenes: Mutex::default(),
            before: Mutex::default(),
            sold: Mutex::default(),
            visits: Arc::default(),
        }
    }

    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.visits)
    }

    /// The product that everybody talks about.
    pub(super) fn trend(&self, now: TimestampMs) -> Option<ProductId> {
        let scenes = self.scenes.lock();
        let on = |playing: &&Playing| playing.scene == Scene::Trend && now < playing.ends_at;
        scenes.iter().find(on).and_then(|playing| playing.product.clone())
    }

    pub(super) fn sold(&self, products: &[ProductId]) {
        let mut sold = self.sold.lock();
        products.iter().for_each(|product| *sold.entry(product.clone()).or_default() += 1);
    }

    /// Ends what is over.
    pub(super) fn tick(&self, now: TimestampMs) -> Result<()> {
        self.end(|playing| playing.ends_at <= now)
    }

    /// Puts everything right, whatever is on.
    pub(super) fn clear(&self) -> Result<()> {
        self.end(|_| true)
    }

    fn end(&self, over: impl Fn(&Playing) -> bool) -> Result<()> {
        let mut scenes = self.scenes.lock();
        let ended: Vec<Scene> = scenes.iter().filter(|playing| over(playing)).map(|playing| playing.scene).collect();
        for scene in &ended {
            match scene {
                Scene::Trend => {}
                Scene::Stockout => self.put_back()?,
                Scene::Outage => self.shop.load_models()?,
            }
        }
        scenes.retain(|playing| !ended.contains(&playing.scene));
        Ok(())
    }

    fn put_back(&self) -> Result<()> {
        let mut before = self.before.lock();
        let updated_at = self.shop.clock.now();
        let levels: Vec<StockLevel> = before.iter().map(|level| StockLevel { updated_at, ..level.clone() }).collect();
        self.shop.ingest.put_stock(&levels, &mut |_, _| Ok(()))?;
        before.clear();
        Ok(())
    }

    fn sell_out(&self, product: &ProductId) -> Result<(), StoreError> {
        let levels = self.shop.ingest.stock.of_product(product)?;
        let updated_at = self.shop.clock.now();
        let none = levels.iter().map(|level| StockLevel { quantity: 0, updated_at, ..level.clone() });
        let put = self.shop.ingest.put_stock(&none.collect::<Vec<_>>(), &mut |_, _| Ok(()));
        put.map_err(|error| StoreError::Unavailable { what: "stock", detail: error.to_string() })?;
        *self.before.lock() = levels;
        Ok(())
    }

    /// The products that the live model says are wanted most, best first; without a model the newest.
    fn popular(&self, count: usize) -> Vec<ProductId> {
        let model = self.shop.engine.live_model();
        let Some(member) = model.as_ref().and_then(|model| model.member(Role::Popular)) else {
            let catalogue = self.shop.catalogue().read();
            return catalogue.newest_first(None).take(count).map(|(_, entry)| entry.id.clone()).collect();
        };
        let now_s = self.shop.clock.now().seconds();
        let mut found = Vec::new();
        member
            .open(&Query { history: &[], session_start: 0, seeds: &[], now_s, market: 0 })
            .candidates(count, &mut found);
        found.sort_unstable_by(|a, b| a.rank(b));
        let catalogue = self.shop.catalogue().read();
        let id = |item: u32| catalogue.entry(ProductNumber(item)).map(|entry| entry.id.clone());
        found.iter().filter_map(|scored| id(scored.item)).collect()
    }

    /// What sold most since the start; before anything was sold, what sold most of old.
    fn best_seller(&self) -> Option<ProductId> {
        let sold = self.sold.lock();
        let best = sold.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))).map(|(product, _)| product.clone());
        best.or_else(|| self.popular(1).into_iter().next())
    }
}

impl Stage for DemoStage {
    fn play(&self, scene: Scene) -> Result<Playing, StoreError> {
        let mut scenes = self.scenes.lock();
        if let Some(playing) = scenes.iter().find(|playing| playing.scene == scene) {
            return Ok(playing.clone());
        }
        let now = self.shop.clock.now();
        let product = match scene {
            Scene::Trend => {
                let popular = self.popular(TALKED_ABOUT);
                popular.get(now.0 as usize % popular.len().max(1)).cloned()
            }
            Scene::Stockout => self.best_seller(),
            Scene::Outage => None,
        };
        match (scene, &product) {
            (Scene::Stockout, Some(product)) => self.sell_out(product)?,
            (Scene::Outage, _) => self.shop.engine.serve(None, None),
            _ => {}
        }
        let playing = Playing { scene, product, began_at: now, ends_at: now.plus_ms(length_ms(scene)) };
        scenes.push(playing.clone());
        Ok(playing)
    }

    fn playing(&self) -> Vec<Playing> {
        self.scenes.lock().clone()
    }

    fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }
}
