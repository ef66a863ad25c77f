//! Fits everything that recommendations need, a recommender a role.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_domain::MarketId;
use merx_models::evaluate::Metric;
use merx_models::plan::{Choice, Member, Plan, thinned};
use merx_models::{
    BuyAgainLearner, ContentLearner, ItemContent, LeaningsLearner, Learner, Model, ModelError, PopularityLearner,
    PopularitySettings, Recommender, SessionKnnLearner, TimeSplit, TrainingSet, TransitionsLearner,
    TransitionsSettings, families, split_by_time,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::recommend::model::{Labels, RecommendModel, Role};

const FAMILY: &str = "recommend";
/// Leads the bytes; old formats stay readable. Format 1: `SavedMembers` by postcard; format 2: the same, the markets, and members of roles that
/// came later, which earlier readers leave alone as what follows the end.
pub(crate) const FORMAT: u16 = 2;
/// Format 3: as 2, with all members in one place. Written for a part of 2026-11-22.
pub(crate) const NEWEST_READ: u16 = 3;
/// Shares of the newest interactions that settings and the blend's weights are learnt from.
const LEARNING_SHARES: [f64; 3] = [0.08, 0.16, 0.32];
const LEARNING_EXAMPLES: usize = 8_000;
/// With fewer questions, a larger share of the time is asked about.
const PLENTY_OF_EXAMPLES: usize = 1_000;
/// Histories that a trial of settings is fitted on, at most.
const TRIAL_ROWS: usize = 20_000;
/// Fewer questions teach a blend nothing that its members don't know.
const ENOUGH_EXAMPLES: usize = 50;
/// A trend stands out against counts that halve in this time.
const TREND_AGAINST_S: f32 = 60.0 * 86_400.0;
const TREND_OVER_S: f32 = 5.0 * 86_400.0;

/// Fits [`RecommendModel`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RecommendLearner;

/// Role, family, the family's own bytes.
type SavedMember = (Role, String, Vec<u8>);

#[derive(Serialize, Deserialize)]
struct SavedMembers {
    members: Vec<SavedMember>,
    labels: Vec<Labels>,
}

impl Learner for RecommendLearner {
    type Set = TrainingSet;
    type Model = RecommendModel;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<RecommendModel, ModelError> {
        fit_by(choose(set, seed)?, set, seed)
    }

    fn refit(&self, model: &RecommendModel, set: &TrainingSet, seed: u64) -> Result<RecommendModel, ModelError> {
        match &model.plan {
            Some(plan) => fit_by(Some(plan.clone()), set, seed),
            None => self.fit(set, seed),
        }
    }

    fn load(&self, bytes: &[u8]) -> Result<RecommendModel, ModelError> {
        let refused = |format: u16, problem: &str| ModelError::Artifact {
            family: FAMILY.to_owned(),
            format,
            problem: problem.to_owned(),
        };
        let (format, body) = bytes.split_first_chunk::<2>().ok_or_else(|| refused(0, "too short"))?;
        let format = u16::from_le_bytes(*format);
        let unreadable = |error: postcard::Error| refused(format, &error.to_string());
        let ((saved, markets), later): ((SavedMembers, Vec<MarketId>), _) = match format {
            1 => ((postcard::from_bytes(body).map_err(unreadable)?, Vec::new()), &[][..]),
            FORMAT..=NEWEST_READ => postcard::take_from_bytes(body).map_err(unreadable)?,
            _ => return Err(refused(format, "unknown format")),
        };
        let later: Vec<SavedMember> =
            if later.is_empty() { Vec::new() } else { postcard::from_bytes(later).map_err(unreadable)? };
        let members = saved
            .members
            .iter()
            .chain(&later)
            .map(|(role, family, bytes)| Ok((*role, families::load(family, bytes)?)))
            .collect::<Result<_, ModelError>>()?;
        Ok(RecommendModel { members, labels: saved.labels, markets, plan: None })
    }
}

/// Fits every role, the personal ones as planned.
fn fit_by(plan: Option<Plan>, set: &TrainingSet, seed: u64) -> Result<RecommendModel, ModelError> {
    let mut members: BTreeMap<Role, Arc<dyn Recommender>> = BTreeMap::new();
    // Without a single interaction there is nothing to serve; any other part may be missing in a small shop.
    members.insert(Role::Popular, Arc::new(PopularityLearner::default().fit(set, seed)?));
    let trending =
        PopularitySettings { half_life_s: TREND_OVER_S, trend_half_life_s: TREND_AGAINST_S, ..Default::default() };
    insert(&mut members, Role::Trending, PopularityLearner { settings: trending }.fit(set, seed));
    insert(&mut members, Role::Similar, TransitionsLearner { settings: alternatives() }.fit(set, seed));
    insert(&mut members, Role::Together, TransitionsLearner { settings: baskets() }.fit(&of_baskets(set), seed));
    insert(&mut members, Role::Alike, ContentLearner::default().fit(set, seed));
    insert(&mut members, Role::BuyAgain, BuyAgainLearner::default().fit(set, seed));
    insert(&mut members, Role::Uptake, LeaningsLearner::default().fit(set, seed));
    insert(&mut members, Role::Session, session_learner(plan.as_ref()).fit(set, seed));
    if let Some(plan) = &plan {
        members.insert(Role::ForYou, plan.fit(set, seed)?);
    }
    Ok(RecommendModel { members, labels: labels(&set.content), markets: set.market_names.clone(), plan })
}

/// With the settings that do best at the first places, where some were chosen.
fn session_learner(plan: Option<&Plan>) -> SessionKnnLearner {
    let chosen = plan.iter().flat_map(|plan| plan.members()).find_map(|member| match member {
        Member::SessionKnn(learner) => Some(*learner),
        _ => None,
    });
    chosen.unwrap_or_default()
}

impl Model for RecommendModel {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        let members = self.members.iter();
        let members = members.map(|(role, member)| (*role, member.family().to_owned(), member.save()));
        let (later, members): (Vec<SavedMember>, _) = members.partition(|(role, ..)| *role == Role::Uptake);
        let saved = SavedMembers { members, labels: self.labels.clone() };
        // Vectors of plain numbers and names always have an encoding.
        postcard::to_extend(&(saved, &self.markets, later), FORMAT.to_le_bytes().to_vec()).unwrap_or_default()
    }
}

fn insert<M: Recommender + 'static>(
    members: &mut BTreeMap<Role, Arc<dyn Recommender>>,
    role: Role,
    fitted: Result<M, ModelError>,
) {
    if let Ok(model) = fitted {
        members.insert(role, Arc::new(model));
    }
}

/// Looked at in the same visit, in either order; what everybody looks at is alike to nothing.
fn alternatives() -> TransitionsSettings {
    TransitionsSettings { backward_weight: 1.0, popularity_penalty: 0.5, position_decay: 0.0, ..Default::default() }
}

/// In the same order: one moment, no direction.
fn baskets() -> TransitionsSettings {
    TransitionsSettings {
        reach: 50,
        backward_weight: 1.0,
        popularity_penalty: 0.4,
        position_decay: 0.0,
        earlier_weight: 1.0,
        ..Default::default()
    }
}

fn of_baskets(set: &TrainingSet) -> TrainingSet {
    TrainingSet { histories: set.baskets.clone(), ..set.clone() }
}

/// What recommends to a history, chosen on the newest time. `None` where too little happened in it to choose by.
fn choose(set: &TrainingSet, seed: u64) -> Result<Option<Plan>, ModelError> {
    let mut split = TimeSplit::default();
    for share in LEARNING_SHARES {
        split = split_by_time(set, share, LEARNING_EXAMPLES);
        if split.questions.len() >= PLENTY_OF_EXAMPLES {
            break;
        }
    }
    if split.questions.len() < ENOUGH_EXAMPLES || split.before.histories.is_empty() {
        return Ok(None);
    }
    let (choosing, learning): (Vec<_>, Vec<_>) =
        split.questions.into_iter().enumerate().partition(|(place, _)| place % 5 == 4);
    let examples = |part: Vec<(usize, _)>| part.into_iter().map(|(_, example)| example).collect::<Vec<_>>();
    let choice = Choice {
        fit: &split.before,
        trial: &thinned(&split.before, TRIAL_ROWS, seed),
        learning: &examples(learning),
        choosing: &examples(choosing),
        ordered: true,
        repeats: false,
        objective: Metric::Ndcg(20),
    };
    Plan::choose(&choice, seed).map(Some)
}

/// The most particular category of a product and its brand, as numbers from 1.
fn labels(content: &ItemContent) -> Vec<Labels> {
    let mut carriers: FxHashMap<u32, u32> = FxHashMap::default();
    content.tokens.iter().flatten().for_each(|token| *carriers.entry(*token).or_default() += 1);
    let named = |token: &u32, prefix: &str| {
        content.token_names.get(*token as usize).is_some_and(|name| name.starts_with(prefix))
    };
    let label = |tokens: &[u32], prefix: &str| {
        let of_kind = tokens.iter().filter(|token| named(token, prefix));
        of_kind.min_by_key(|token| (carriers.get(token).copied().unwrap_or(0), **token)).map_or(0, |token| token + 1)
    };
    let of = |tokens: &Vec<u32>| Labels { category: label(tokens, "category="), brand: label(tokens, "brand=") };
    content.tokens.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use merx_models::{Interaction, Interactions};

    use super::*;

    #[test]
    fn the_version_before_reads_all_but_the_roles_that_came_later() {
        let mut histories = Interactions::new();
        histories.push_row([Interaction { item: 1, at_s: 0, meaning: merx_domain::EventMeaning::Viewed }]);
        let set = TrainingSet { item_count: 2, histories, ..TrainingSet::default() };
        let popular: Arc<dyn Recommender> = Arc::new(PopularityLearner::default().fit(&set, 1).unwrap());
        let members = BTreeMap::from([(Role::Popular, Arc::clone(&popular)), (Role::Uptake, popular)]);
        let model = RecommendModel { members, labels: Vec::new(), markets: Vec::new(), plan: None };
        let bytes = model.save();
        // As it reads: the format that it knows, then what it knows of it, and not what follows.
        assert_eq!(bytes[..2], [2, 0]);
        let (saved, _): (SavedMembers, Vec<MarketId>) = postcard::from_bytes(&bytes[2..]).unwrap();
        assert_eq!(saved.members.iter().map(|(role, ..)| *role).collect::<Vec<_>>(), [Role::Popular]);
        let roles = |bytes: &[u8]| RecommendLearner.load(bytes).unwrap().members.into_keys().collect::<Vec<_>>();
        assert_eq!(roles(&bytes), [Role::Popular, Role::Uptake]);

        let members: Vec<SavedMember> =
            model.members.iter().map(|(role, member)| (*role, member.family().to_owned(), member.save())).collect();
        let saved = SavedMembers { members, labels: Vec::new() };
        let together = postcard::to_extend(&(saved, Vec::<MarketId>::new()), vec![3, 0]).unwrap();
        assert_eq!(roles(&together), [Role::Popular, Role::Uptake]);
    }
}
