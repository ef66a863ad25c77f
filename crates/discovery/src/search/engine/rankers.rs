//! Rankers as models: learnt, saved, and held by version.

use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_domain::{EngineError, FallbackLevel, ModelVersion};
use merx_models::{Learner, Model, ModelError};

use crate::search::boosted::{BoostSettings, Example};
use crate::search::clicks::ClickModel;
use crate::search::ranker::Ranker;

const FAMILY: &str = "search_ranker";
/// Leads the bytes; old formats stay readable. Format 1: the names of the measurements, then the ranker, by postcard. Format 2: and
/// then the clicks.
pub(crate) const FORMAT: u16 = 2;
const WITHOUT_CLICKS: u16 = 1;

/// What was learnt, as an artifact: how measurements become a score, and what was clicked after which query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RankerModel {
    pub ranker: Ranker,
    pub clicks: ClickModel,
}

impl Model for RankerModel {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        // Vectors of plain numbers and names always have an encoding.
        let body = (crate::search::feature_names(), &self.ranker, &self.clicks);
        postcard::to_extend(&body, FORMAT.to_le_bytes().to_vec()).unwrap_or_default()
    }
}

/// Learns [`RankerModel`] from the measured candidates of judged or clicked queries.
#[derive(Debug, Clone, Copy, Default)]
pub struct RankLearner {
    pub settings: BoostSettings,
}

impl Learner for RankLearner {
    type Set = [Example];
    type Model = RankerModel;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &[Example], seed: u64) -> Result<RankerModel, ModelError> {
        if !set.iter().any(|example| example.gains.iter().any(|gain| *gain > 0.0)) {
            return Err(ModelError::NoData("no query has a product that was wanted".to_owned()));
        }
        let ranker = Ranker::learn(&mut set.to_vec(), &self.settings, seed);
        Ok(RankerModel { ranker, clicks: ClickModel::default() })
    }

    fn load(&self, bytes: &[u8]) -> Result<RankerModel, ModelError> {
        let refused = |format: u16, problem: &str| ModelError::Artifact {
            family: FAMILY.to_owned(),
            format,
            problem: problem.to_owned(),
        };
        let (format, body) = bytes.split_first_chunk::<2>().ok_or_else(|| refused(0, "too short"))?;
        let format = u16::from_le_bytes(*format);
        let unreadable = |error: postcard::Error| refused(format, &error.to_string());
        let (names, ranker, clicks): (Vec<String>, Ranker, ClickModel) = match format {
            WITHOUT_CLICKS => {
                let (names, ranker) = postcard::from_bytes(body).map_err(unreadable)?;
                (names, ranker, ClickModel::default())
            }
            FORMAT => postcard::from_bytes(body).map_err(unreadable)?,
            _ => return Err(refused(format, "unknown format")),
        };
        // A ranker reads measurements by place: it holds only as long as they are the same.
        if !crate::search::feature_names().starts_with(&names.iter().map(String::as_str).collect::<Vec<&str>>()) {
            return Err(refused(format, "it was learnt on other measurements"));
        }
        let ranker = ranker.widened();
        if !ranker.is_sound() {
            return Err(refused(format, "it points outside of itself"));
        }
        Ok(RankerModel { ranker, clicks })
    }
}

type Versioned = (ModelVersion, Arc<RankerModel>);

/// Loads a version that is not warm; replays of old decisions ask for it.
pub type LoadRanker = dyn Fn(ModelVersion) -> Option<RankerModel> + Send + Sync;

#[derive(Default)]
struct Shown {
    live: Option<Versioned>,
    previous: Option<Versioned>,
}

pub(super) struct Rankers {
    shown: ArcSwap<Shown>,
    load: Box<LoadRanker>,
    replayed: parking_lot::Mutex<Option<Versioned>>,
}

impl Rankers {
    pub(super) fn new(load: Box<LoadRanker>) -> Self {
        Self { shown: ArcSwap::default(), load, replayed: Default::default() }
    }

    /// Searches under way keep the ranker they began with.
    pub(super) fn serve(&self, live: Option<Versioned>, previous: Option<Versioned>) {
        self.shown.store(Arc::new(Shown { live, previous }));
    }

    pub(super) fn held(&self, version: ModelVersion) -> Option<Arc<RankerModel>> {
        let shown = self.shown.load();
        let mut held = [&shown.live, &shown.previous].into_iter().flatten();
        held.find(|(known, _)| *known == version).map(|(_, model)| Arc::clone(model))
    }

    /// The ranker of a level; none below the models, and none at the first level of a shop that taught none yet.
    pub(super) fn version(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
    ) -> Result<Option<Versioned>, EngineError> {
        let shown = self.shown.load();
        match (pinned, level) {
            (Some(version), _) => self.pinned(&shown, version).map(Some).ok_or(EngineError::NoModel),
            (None, FallbackLevel::LiveModel) => Ok(shown.live.clone()),
            (None, FallbackLevel::PreviousModel) => shown.previous.clone().map(Some).ok_or(EngineError::NoModel),
            (None, _) => Ok(None),
        }
    }

    fn pinned(&self, shown: &Shown, version: ModelVersion) -> Option<Versioned> {
        let mut replayed = self.replayed.lock();
        let warm =
            [&shown.live, &shown.previous, &*replayed].into_iter().flatten().find(|(known, _)| *known == version);
        if let Some(found) = warm {
            return Some(found.clone());
        }
        let loaded = (version, Arc::new((self.load)(version)?));
        *replayed = Some(loaded.clone());
        Some(loaded)
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::ProductNumber;

    use super::*;
    use crate::search::clicks::{ClickSettings, Impression};
    use crate::search::features::{FEATURES, WITHOUT_SENTENCE};

    fn example() -> Example {
        let rows = (0..200)
            .flat_map(|row| (0..FEATURES).map(move |feature| if feature == 3 { row as f32 } else { 0.5 }))
            .collect();
        let gains: Vec<f32> = (0..200).map(|row| f32::from(u8::from(row > 150))).collect();
        Example { rows, trust: vec![1.0; 200], base: Vec::new(), gains, ideal: 4.5 }
    }

    /// As it was learnt before there were sentence encoders.
    fn narrowed(ranker: &Ranker) -> Ranker {
        let mut ranker = ranker.clone();
        let (Ranker::Weighted(weights) | Ranker::Learnt { weights, .. }) = &mut ranker;
        weights.truncate(WITHOUT_SENTENCE);
        ranker
    }

    #[test]
    fn a_ranker_is_saved_and_loaded_as_it_was() {
        let learner = RankLearner {
            settings: BoostSettings { trees: 5, feature_share: 1.0, leaf_rows: 10, ..BoostSettings::default() },
        };
        let clicked =
            Impression { query: "lamp".into(), first_place: 0, shown: vec![ProductNumber(4)], clicked: vec![true] };
        let clicks = ClickModel::fit(&[clicked], &ClickSettings::default());
        let model = RankerModel { clicks, ..learner.fit(&[example()], 1).unwrap() };
        let bytes = model.save();
        assert_eq!(learner.load(&bytes).unwrap(), model);
        let names = crate::search::feature_names();
        let old = postcard::to_extend(&(names, &model.ranker), WITHOUT_CLICKS.to_le_bytes().to_vec()).unwrap();
        assert_eq!(learner.load(&old).unwrap(), RankerModel { clicks: ClickModel::default(), ..model.clone() });
        // Measurements that came later say nothing to it.
        let fewer = postcard::to_extend(
            &(&names[..WITHOUT_SENTENCE], narrowed(&model.ranker), &model.clicks),
            FORMAT.to_le_bytes().to_vec(),
        );
        let deaf = RankerModel { ranker: narrowed(&model.ranker).widened(), ..model.clone() };
        assert_eq!(learner.load(&fewer.unwrap()).unwrap(), deaf);
        let Ranker::Learnt { weights, .. } = &deaf.ranker else { panic!("it was learnt") };
        assert_eq!((weights.len(), &weights[WITHOUT_SENTENCE..]), (FEATURES, &[0.0; FEATURES - WITHOUT_SENTENCE][..]));
        let other = postcard::to_extend(&(&names[1..], &model.ranker, &model.clicks), FORMAT.to_le_bytes().to_vec());
        assert!(learner.load(&other.unwrap()).is_err());
        assert!(learner.load(&bytes[..bytes.len() / 2]).is_err());
        assert!(learner.load(&[9, 9, 9]).is_err());
        assert!(learner.fit(&[], 1).is_err());
    }
}
