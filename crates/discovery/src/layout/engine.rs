//! The engine: which version answers which fallback level.

use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::{
    Engine, EngineError, FallbackLevel, LayoutAnswer, LayoutAsk, LayoutReason, ModelVersion, PlacedBlock, Proposal,
    Shelf, Situation, SubjectFeatures,
};

use super::draw::draw;
use super::model::{LayoutModel, Visit};

type Versioned = (ModelVersion, Arc<LayoutModel>);

/// Loads a version that is not warm; replays of old decisions ask for it.
type LoadVersion = dyn Fn(ModelVersion) -> Option<LayoutModel> + Send + Sync;

#[derive(Default)]
struct Shown {
    live: Option<Versioned>,
    previous: Option<Versioned>,
}

/// Orders the blocks of a page. Without consent, without a model, or where a page was never learnt from, in the shop's own order.
pub struct LayoutEngine {
    shown: ArcSwap<Shown>,
    load: Box<LoadVersion>,
}

impl LayoutEngine {
    pub fn new(load: Box<LoadVersion>) -> Self {
        Self { shown: ArcSwap::default(), load }
    }

    /// Swaps versions without a pause: requests under way keep the ones they began with.
    pub fn serve(&self, live: Option<Versioned>, previous: Option<Versioned>) {
        self.shown.store(Arc::new(Shown { live, previous }));
    }

    /// A version that is in memory to answer.
    pub fn held(&self, version: ModelVersion) -> Option<Arc<LayoutModel>> {
        let shown = self.shown.load();
        let mut held = [&shown.live, &shown.previous].into_iter().flatten();
        held.find(|(known, _)| *known == version).map(|(_, model)| Arc::clone(model))
    }

    pub fn live_version(&self) -> Option<ModelVersion> {
        self.shown.load().live.as_ref().map(|(version, _)| *version)
    }

    /// A model is some kilobytes: versions that replays ask for are read when they are needed.
    fn version(&self, level: FallbackLevel, pinned: Option<ModelVersion>) -> Option<Versioned> {
        let shown = self.shown.load();
        if let Some(version) = pinned {
            let warm = [&shown.live, &shown.previous].into_iter().flatten().find(|(known, _)| *known == version);
            return warm.cloned().or_else(|| Some((version, Arc::new((self.load)(version)?))));
        }
        match level {
            FallbackLevel::LiveModel => shown.live.clone(),
            FallbackLevel::PreviousModel => shown.previous.clone(),
            FallbackLevel::Popularity | FallbackLevel::StaticList | FallbackLevel::Nothing => None,
        }
    }
}

impl Engine for LayoutEngine {
    type Ask = LayoutAsk;
    type Answer = LayoutAnswer;

    fn name(&self) -> &'static str {
        "layout"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        situation: &Situation,
        ask: &LayoutAsk,
        features: &SubjectFeatures,
        _shelf: &dyn Shelf,
        late: &dyn Fn() -> bool,
    ) -> Result<Proposal<LayoutAnswer>, EngineError> {
        if level >= FallbackLevel::StaticList {
            return Ok(Proposal { answer: as_asked(ask), model: None });
        }
        if !ask.learned {
            return Err(EngineError::NoModel);
        }
        let (version, model) = self.version(level, pinned).ok_or(EngineError::NoModel)?;
        let known = model.page(&ask.page).ok_or(EngineError::NoModel)?;
        let blocks = draw(ask, known, &Visit::of(situation, features), situation.seed);
        if late() {
            return Err(EngineError::Late);
        }
        Ok(Proposal { answer: LayoutAnswer { blocks }, model: Some(version) })
    }
}

/// The shop's own order.
fn as_asked(ask: &LayoutAsk) -> LayoutAnswer {
    let placed = ask.blocks.iter().take(ask.count).map(|block| PlacedBlock {
        id: block.id.clone(),
        score: 0.0,
        chance: 1.0,
        reason: if block.fixed { LayoutReason::Fixed } else { LayoutReason::Default },
    });
    LayoutAnswer { blocks: placed.collect() }
}
