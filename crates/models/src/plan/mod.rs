//! Choosing what serves: for each family a short walk through its settings on questions that the data answers, then the
//! weights of the blend, or the one family that does better alone.

mod member;
mod walk;

use std::sync::Arc;

use merx_numeric::rng::Rng;
use serde_json::{Value, json};

pub use self::member::Member;
use self::walk::Walk;
use crate::evaluate::{Metric, mean_quality};
use crate::{
    BlendLearner, BlendSet, BlendSettings, BlendWeights, BuyAgainLearner, ContentLearner, Example, GraphFilterLearner,
    Holdout, IalsLearner, Interactions, ItemKnnLearner, Learner, ModelError, Recommender, SelectionBudget,
    TasteMixLearner, TasteMixSettings, TrainingSet, select,
};

/// What a member must find to get wanted items into the pool at all, however low.
const POOL: usize = 100;

/// What there is to choose by.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// What candidates are fitted on: nothing that `learning` and `choosing` ask about.
    pub fit: &'a TrainingSet,
    /// What trials of settings are fitted on: the same, or [`a part`](thinned) of it.
    pub trial: &'a TrainingSet,
    /// Questions that the blend learns its weights from, and others that settings are chosen on.
    pub learning: &'a [Example],
    pub choosing: &'a [Example],
    /// Whether the order of a history says anything.
    pub ordered: bool,
    /// Whether items of the history are ranked.
    pub repeats: bool,
    pub objective: Metric,
}

/// At most `rows` of the histories of a set, drawn without preference; all of its orders.
pub fn thinned(set: &TrainingSet, rows: usize, seed: u64) -> TrainingSet {
    let mut histories = Interactions::new();
    let mut markets = Vec::new();
    for row in Rng::from_seed(seed).sample(set.histories.rows(), rows) {
        histories.push_row(set.histories.row(row).iter().copied());
        markets.extend(set.markets.get(row));
    }
    TrainingSet { histories, markets, ..set.clone() }
}

#[derive(Debug, Clone)]
enum RankedBy {
    Blend(BlendWeights),
    /// The member at this place does better by itself.
    Member(usize),
}

/// Chosen members and what ranks with them.
#[derive(Debug, Clone)]
pub struct Plan {
    members: Vec<Member>,
    ranked_by: RankedBy,
    settings: Value,
}

impl Plan {
    /// Chooses settings for each family, then learns the blend.
    pub fn choose(choice: &Choice, seed: u64) -> Result<Self, ModelError> {
        let members = choose_members(choice, seed)?;
        let fitted: Vec<_> = members.iter().map(|member| member.fit(choice.fit, seed)).collect::<Result<_, _>>()?;
        let by_itself = |model: &Arc<dyn Recommender>| judge(model.as_ref(), choice);
        let qualities: Vec<f64> = fitted.iter().map(by_itself).collect();
        for (member, quality) in members.iter().zip(&qualities) {
            tracing::info!(settings = %member.settings(), quality, "member");
        }
        let best = (0..members.len()).max_by(|a, b| qualities[*a].total_cmp(&qualities[*b])).unwrap_or(0);
        // Factors, last among the members, know much of what others propose and propose little that is wanted.
        let proposing = members.len() - usize::from(choice.ordered);
        let settings = BlendSettings { repeats: choice.repeats, proposing, ..BlendSettings::default() };
        let set = BlendSet { members: fitted, examples: choice.learning.to_vec(), kept_back: choice.choosing.to_vec() };
        let ranked_by = match (BlendLearner { settings }).fit(&set, seed) {
            Ok(blend) => {
                let quality = judge(&blend, choice);
                tracing::info!(quality, "blend");
                if quality >= qualities[best] { RankedBy::Blend(blend.weights()) } else { RankedBy::Member(best) }
            }
            // Nothing that was wanted is proposed by anyone: there is nothing to weigh.
            Err(ModelError::NoData(_)) => RankedBy::Member(best),
            Err(error) => return Err(error),
        };
        let settings = match ranked_by {
            RankedBy::Member(place) => members[place].settings(),
            RankedBy::Blend(_) => {
                json!({ "members": members.iter().map(Member::settings).collect::<Vec<_>>(), "blend": settings })
            }
        };
        Ok(Self { members, ranked_by, settings })
    }

    /// Fits the chosen members on all that may be learned from.
    pub fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Arc<dyn Recommender>, ModelError> {
        match &self.ranked_by {
            RankedBy::Member(place) => self.members[*place].fit(set, seed),
            RankedBy::Blend(weights) => {
                let members: Result<Vec<_>, _> = self.members.iter().map(|member| member.fit(set, seed)).collect();
                let changed = || ModelError::NoData("members of other families than those that were chosen".to_owned());
                Ok(Arc::new(weights.over(members?).ok_or_else(changed)?))
            }
        }
    }

    /// Every family that takes part, with its settings, best known by [`Member::settings`].
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What was chosen, for people and for the lineage.
    pub fn settings(&self) -> &Value {
        &self.settings
    }
}

/// Searches the settings of iALS alone, from `start`.
pub fn choose_ials(choice: &Choice, start: IalsLearner, seed: u64) -> Result<IalsLearner, ModelError> {
    match (Walk { choice, seed }).best(Member::Ials(start), walk::ials_knobs(), choice.objective)? {
        Member::Ials(chosen) => Ok(chosen),
        _ => Ok(start),
    }
}

fn judge(model: &dyn Recommender, choice: &Choice) -> f64 {
    mean_quality(model, choice.choosing, choice.repeats, choice.objective)
}

fn choose_members(choice: &Choice, seed: u64) -> Result<Vec<Member>, ModelError> {
    let walk = Walk { choice, seed };
    let objective = choice.objective;
    let mut members = Vec::new();
    if choice.ordered {
        members.push(walk.session_knn(objective)?);
        members.push(walk.session_knn(Metric::Recall(POOL))?);
        members.push(walk.transitions()?);
    }
    members.push(walk.popularity()?);
    if !choice.fit.baskets.is_empty() && choice.repeats {
        members.push(walk.best(Member::BuyAgain(BuyAgainLearner::default()), walk::buy_again_knobs(), objective)?);
    }
    if choice.fit.content.tokens.iter().any(|tokens| !tokens.is_empty()) {
        members.push(walk.best(Member::Content(ContentLearner::default()), walk::content_knobs(), objective)?);
    }
    members.push(Member::ItemKnn(ItemKnnLearner::default()));
    if choice.ordered {
        let filter = Member::GraphFilter(GraphFilterLearner::default());
        members.push(walk.best(filter, walk::graph_filter_knobs(), objective)?);
        let mut ials = IalsLearner::default();
        ials.settings.sweeps = 8;
        members.push(walk.best(Member::Ials(ials), walk::ials_knobs(), objective)?);
    } else {
        let budget = SelectionBudget { holdout: Holdout::Random, ..SelectionBudget::default() };
        let settings = select(choice.fit, TasteMixSettings::default(), &budget, seed)?;
        members.push(Member::TasteMix(TasteMixLearner { settings }));
    }
    Ok(members)
}
