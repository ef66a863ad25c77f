//! The engine: which version answers which fallback level.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::{
    Answer, Ask, Engine, EngineError, FallbackLevel, ModelVersion, Proposal, Shelf, Situation, SlotAnswer,
    SubjectFeatures,
};
use rustc_hash::FxHashSet;

use crate::recommend::model::RecommendModel;
use crate::recommend::slots::SlotFiller;

/// A model and the version it has in the registry.
type Versioned = (ModelVersion, Arc<RecommendModel>);

/// Loads a version that is not warm; replays of old decisions ask for it.
type LoadVersion = dyn Fn(ModelVersion) -> Option<RecommendModel> + Send + Sync;

#[derive(Default)]
struct Shown {
    live: Option<Versioned>,
    previous: Option<Versioned>,
}

/// How many replayed versions stay in memory.
const WARM_REPLAYS: usize = 2;

pub struct RecommendEngine {
    shown: ArcSwap<Shown>,
    load: Box<LoadVersion>,
    replayed: parking_lot::Mutex<VecDeque<Versioned>>,
}

impl RecommendEngine {
    pub fn new(load: Box<LoadVersion>) -> Self {
        Self { shown: ArcSwap::default(), load, replayed: Default::default() }
    }

    /// Swaps versions without a pause: requests under way keep the ones they began with.
    pub fn serve(&self, live: Option<Versioned>, previous: Option<Versioned>) {
        self.shown.store(Arc::new(Shown { live, previous }));
    }

    /// A version that is in memory to answer.
    pub fn held(&self, version: ModelVersion) -> Option<Arc<RecommendModel>> {
        let shown = self.shown.load();
        let mut held = [&shown.live, &shown.previous].into_iter().flatten();
        held.find(|(known, _)| *known == version).map(|(_, model)| Arc::clone(model))
    }

    pub fn live_version(&self) -> Option<ModelVersion> {
        self.shown.load().live.as_ref().map(|(version, _)| *version)
    }

    pub fn live_model(&self) -> Option<Arc<RecommendModel>> {
        self.shown.load().live.as_ref().map(|(_, model)| Arc::clone(model))
    }

    fn version(&self, shown: &Shown, level: FallbackLevel, pinned: Option<ModelVersion>) -> Option<Versioned> {
        match (pinned, level) {
            (Some(version), _) => self.pinned(shown, version),
            (None, FallbackLevel::PreviousModel) => shown.previous.clone(),
            (None, FallbackLevel::LiveModel | FallbackLevel::Popularity) => shown.live.clone(),
            (None, FallbackLevel::StaticList | FallbackLevel::Nothing) => None,
        }
    }

    fn pinned(&self, shown: &Shown, version: ModelVersion) -> Option<Versioned> {
        let warm = [&shown.live, &shown.previous].into_iter().flatten().find(|(known, _)| *known == version);
        if let Some(found) = warm {
            return Some(found.clone());
        }
        let mut replayed = self.replayed.lock();
        if let Some(found) = replayed.iter().find(|(known, _)| *known == version) {
            return Some(found.clone());
        }
        let loaded = (version, Arc::new((self.load)(version)?));
        replayed.push_back(loaded.clone());
        if replayed.len() > WARM_REPLAYS {
            replayed.pop_front();
        }
        Some(loaded)
    }
}

impl Engine for RecommendEngine {
    type Ask = Ask;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "recommend"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        situation: &Situation,
        ask: &Ask,
        features: &SubjectFeatures,
        shelf: &dyn Shelf,
        late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Answer>, EngineError> {
        let shown = self.shown.load_full();
        let versioned = self.version(&shown, level, pinned);
        if versioned.is_none() && level < FallbackLevel::StaticList {
            return Err(EngineError::NoModel);
        }
        let model = versioned.as_ref().map(|(_, model)| model.as_ref());
        let mut used: FxHashSet<u32> = FxHashSet::default();
        // A slot leaves to a later one what a merchant pinned there.
        let pinned_after = |slot: usize| -> FxHashSet<u32> {
            let later = ask.overruled.iter().take(ask.slots.len()).skip(slot + 1);
            later.flat_map(|overruled| &overruled.pins).map(|pin| pin.product.0).collect()
        };
        let mut slots = Vec::with_capacity(ask.slots.len());
        for (slot_number, slot) in ask.slots.iter().enumerate() {
            if late() {
                return Err(EngineError::Late);
            }
            let overruled = ask.overruled(slot_number);
            let reserved = pinned_after(slot_number);
            let filler = SlotFiller {
                situation,
                features,
                shelf,
                model,
                slot_number,
                slot,
                goal: ask.goal(slot_number),
                overruled,
                used: &used,
                reserved: &reserved,
            };
            let items = match level {
                FallbackLevel::LiveModel | FallbackLevel::PreviousModel => filler.fill(),
                FallbackLevel::Popularity => filler.fill_popular(),
                FallbackLevel::StaticList | FallbackLevel::Nothing => filler.fill_listed(),
            };
            let items = overruled.place(items, slot.count, &|product| filler.may_be_pinned(product));
            used.extend(items.iter().map(|candidate| candidate.product.0));
            slots.push(SlotAnswer { name: slot.name.clone(), items });
        }
        if late() {
            return Err(EngineError::Late);
        }
        Ok(Proposal { answer: Answer { slots }, model: versioned.map(|(version, _)| version) })
    }
}
