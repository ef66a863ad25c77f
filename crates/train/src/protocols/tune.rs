//! Choosing settings on the validation part: for each family a short walk, one knob after the other, then the weights of the
//! blend.

use std::sync::Arc;

use merx_models::{
    Blend, BlendLearner, BlendSet, BlendSettings, BuyAgainLearner, ContentLearner, Example, GraphFilterLearner,
    Holdout, IalsLearner, ItemKnnLearner, Learner, ModelError, PopularityLearner, Recommender, SelectionBudget,
    SessionKnnLearner, SessionKnnSettings, TasteMixLearner, TasteMixSettings, TrainingSet, TransitionsLearner, select,
};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{LONGEST_LIST, Task, rank};
use crate::evaluate::{Judged, Metric};

/// Questions that one trial of settings is judged on.
const TRIAL_QUESTIONS: usize = 1_500;
/// What a model must find to get wanted items into the pool at all, however low.
const POOL: usize = 100;
const DAY_S: i64 = 86_400;

/// A family with its settings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    SessionKnn(SessionKnnLearner),
    Transitions(TransitionsLearner),
    Popularity(PopularityLearner),
    BuyAgain(BuyAgainLearner),
    Content(ContentLearner),
    ItemKnn(ItemKnnLearner),
    GraphFilter(GraphFilterLearner),
    Ials(IalsLearner),
    TasteMix(TasteMixLearner),
}

impl Member {
    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Arc<dyn Recommender>, ModelError> {
        Ok(match self {
            Self::SessionKnn(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Transitions(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Popularity(learner) => Arc::new(learner.fit(set, seed)?),
            Self::BuyAgain(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Content(learner) => Arc::new(learner.fit(set, seed)?),
            Self::ItemKnn(learner) => Arc::new(learner.fit(set, seed)?),
            Self::GraphFilter(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Ials(learner) => Arc::new(learner.fit(set, seed)?),
            Self::TasteMix(learner) => Arc::new(learner.fit(set, seed)?),
        })
    }

    fn settings(&self) -> Value {
        match self {
            Self::SessionKnn(learner) => json!({ "session_knn": learner.settings }),
            Self::Transitions(learner) => json!({ "transitions": learner.settings }),
            Self::Popularity(learner) => json!({ "popularity": learner.settings }),
            Self::BuyAgain(learner) => json!({ "buy_again": learner.settings }),
            Self::Content(learner) => json!({ "content": learner.settings }),
            Self::ItemKnn(learner) => json!({ "item_knn": learner.settings }),
            Self::GraphFilter(learner) => json!({ "graph_filter": learner.settings }),
            Self::Ials(learner) => json!({ "ials": learner.settings }),
            Self::TasteMix(learner) => json!({ "taste_mix": learner.settings }),
        }
    }
}

/// A setting and the values tried for it.
struct Knob {
    values: Vec<f32>,
    turn: fn(&mut Member, f32),
}

impl Knob {
    fn new(values: impl IntoIterator<Item = f32>, turn: fn(&mut Member, f32)) -> Self {
        Self { values: values.into_iter().collect(), turn }
    }
}

/// Turns one setting of a member, where the member is of that family.
macro_rules! knob {
    ($family:ident . $setting:ident, $values:expr) => {
        Knob::new($values, |member, value| {
            if let Member::$family(learner) = member {
                learner.settings.$setting = value as _;
            }
        })
    };
}

enum RankedBy {
    Blend(Blend),
    /// The member at this place does better by itself.
    Member(usize),
}

/// Chosen members and what ranks with them.
pub(super) struct Plan {
    members: Vec<Member>,
    ranked_by: RankedBy,
    pub(super) settings: Value,
}

impl Plan {
    /// Fits the chosen members on all that may be learned from.
    pub(super) fn fit(&self, task: &Task, seed: u64) -> Result<Arc<dyn Recommender>, ModelError> {
        let train = task.train.as_ref().unwrap_or(&task.fit);
        match &self.ranked_by {
            RankedBy::Member(place) => self.members[*place].fit(train, seed),
            RankedBy::Blend(blend) => {
                let members: Result<Vec<_>, _> = self.members.iter().map(|member| member.fit(train, seed)).collect();
                let changed = || ModelError::NoData("members of other families than those that were chosen".to_owned());
                Ok(Arc::new(blend.with_members(members?).ok_or_else(changed)?))
            }
        }
    }
}

/// Chooses settings for each family, then learns the blend.
pub(super) fn choose(task: &Task, seed: u64) -> Result<Plan, ModelError> {
    let members = choose_members(task, seed)?;
    let fitted: Result<Vec<_>, _> = members.iter().map(|member| member.fit(&task.fit, seed)).collect();
    let fitted = fitted?;
    let by_itself = |model: &Arc<dyn Recommender>| quality(model.as_ref(), task, &task.choosing, task.objective);
    let qualities: Vec<f64> = fitted.iter().map(by_itself).collect();
    for (member, quality) in members.iter().zip(&qualities) {
        tracing::info!(settings = %member.settings(), quality, "member");
    }
    let best = (0..members.len()).max_by(|a, b| qualities[*a].total_cmp(&qualities[*b])).unwrap_or(0);
    // Factors, last among the members, know much of what others propose and propose little that is wanted.
    let proposing = members.len() - usize::from(task.ordered);
    let settings = BlendSettings { repeats: task.repeats, proposing, ..BlendSettings::default() };
    let set = BlendSet { members: fitted, examples: task.learning.clone(), kept_back: task.choosing.clone() };
    let ranked_by = match (BlendLearner { settings }).fit(&set, seed) {
        Ok(blend) => {
            let quality = quality(&blend, task, &task.choosing, task.objective);
            tracing::info!(quality, "blend");
            if quality >= qualities[best] { RankedBy::Blend(blend) } else { RankedBy::Member(best) }
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
    Ok(Plan { members, ranked_by, settings })
}

fn choose_members(task: &Task, seed: u64) -> Result<Vec<Member>, ModelError> {
    let walk = Walk { task, seed };
    let mut members = Vec::new();
    if task.ordered {
        members.push(walk.session_knn(task.objective)?);
        members.push(walk.session_knn(Metric::Recall(POOL))?);
        members.push(walk.transitions()?);
    }
    members.push(walk.popularity()?);
    if !task.fit.baskets.is_empty() {
        members.push(walk.best(Member::BuyAgain(BuyAgainLearner::default()), buy_again_knobs(), task.objective)?);
    }
    if task.fit.content.tokens.iter().any(|tokens| !tokens.is_empty()) {
        members.push(walk.best(Member::Content(ContentLearner::default()), content_knobs(), task.objective)?);
    }
    members.push(Member::ItemKnn(ItemKnnLearner::default()));
    if task.ordered {
        members.push(walk.best(
            Member::GraphFilter(GraphFilterLearner::default()),
            graph_filter_knobs(),
            task.objective,
        )?);
        let mut ials = IalsLearner::default();
        ials.settings.sweeps = 8;
        members.push(walk.best(Member::Ials(ials), ials_knobs(), task.objective)?);
    } else {
        let budget = SelectionBudget { holdout: Holdout::Random, ..SelectionBudget::default() };
        let settings = select(&task.fit, TasteMixSettings::default(), &budget, seed)?;
        members.push(Member::TasteMix(TasteMixLearner { settings }));
    }
    Ok(members)
}

struct Walk<'a> {
    task: &'a Task,
    seed: u64,
}

impl Walk<'_> {
    /// Time between the first and the last entry that models are fitted on.
    fn span_s(&self) -> f32 {
        let times = self.task.fit.histories.iter().flatten().map(|entry| entry.at_s);
        times.min().map_or(0.0, |first| self.task.fit.now_s.saturating_sub(first) as f32)
    }

    /// Shares of the span; 0 stands for "never fades".
    fn ages(&self, shares: &[f32]) -> Vec<f32> {
        let span_s = self.span_s();
        shares.iter().map(|share| share * span_s).collect()
    }

    fn session_knn(&self, metric: Metric) -> Result<Member, ModelError> {
        let mut settings = SessionKnnSettings::default();
        let baskets = !self.task.fit.baskets.is_empty();
        if baskets {
            settings = SessionKnnSettings {
                position_decay: 4.0,
                forward_decay: 8.0,
                query_items: 60,
                earlier_weight: 1.0,
                ..settings
            };
        }
        let mut knobs = vec![
            knob!(SessionKnn.position_decay, [0.6, 1.04, 2.0, 4.0, 10.0]),
            knob!(SessionKnn.age_decay_s, self.ages(&[0.0, 0.1, 0.25, 0.5, 1.0])),
            knob!(SessionKnn.forward_decay, [1.0, 2.08, 4.0, 8.0]),
            knob!(SessionKnn.backward_decay, [0.5, 1.0, 2.08, 4.0, 8.0]),
            knob!(SessionKnn.rarity_exponent, [0.0, 0.5, 1.0]),
            knob!(SessionKnn.length_exponent, [0.0, 0.25, 0.5, 1.0]),
            knob!(SessionKnn.neighbours, [200.0, 500.0, 1000.0]),
        ];
        if baskets {
            knobs.push(knob!(SessionKnn.session_gap_s, [1_800.0, 45.0 * DAY_S as f32]));
        }
        self.best(Member::SessionKnn(SessionKnnLearner { settings }), knobs, metric)
    }

    fn transitions(&self) -> Result<Member, ModelError> {
        let mut learner = TransitionsLearner::default();
        if !self.task.fit.baskets.is_empty() {
            learner.settings.session_gap_s = 45 * DAY_S;
            learner.settings.reach = 60;
            learner.settings.query_items = 60;
            learner.settings.earlier_weight = 1.0;
        }
        let knobs = vec![
            knob!(Transitions.position_decay, [0.6, 1.5, 4.0, 10.0]),
            knob!(Transitions.backward_weight, [0.0, 0.3, 0.6, 1.0]),
            knob!(Transitions.distance_decay, [1.0, 2.0, 5.0]),
            knob!(Transitions.age_decay_s, self.ages(&[0.0, 0.1, 0.3])),
            knob!(Transitions.popularity_penalty, [0.0, 0.2, 0.4]),
        ];
        self.best(Member::Transitions(learner), knobs, self.task.objective)
    }

    fn popularity(&self) -> Result<Member, ModelError> {
        let knobs = vec![knob!(Popularity.half_life_s, self.ages(&[0.0, 0.005, 0.02, 0.1, 0.3]))];
        self.best(Member::Popularity(PopularityLearner::default()), knobs, self.task.objective)
    }

    /// Turns one knob after the other and leaves each where the metric is best.
    fn best(&self, start: Member, knobs: Vec<Knob>, metric: Metric) -> Result<Member, ModelError> {
        let mut best = start;
        let mut best_quality = self.judge(&best, metric)?;
        for knob in knobs {
            let standing = best;
            for value in knob.values {
                let mut trial = standing;
                (knob.turn)(&mut trial, value);
                if trial.settings() == standing.settings() {
                    continue;
                }
                let quality = self.judge(&trial, metric)?;
                if quality > best_quality {
                    (best, best_quality) = (trial, quality);
                }
            }
        }
        Ok(best)
    }

    fn judge(&self, member: &Member, metric: Metric) -> Result<f64, ModelError> {
        let questions = &self.task.choosing[..self.task.choosing.len().min(TRIAL_QUESTIONS)];
        let model = member.fit(&self.task.fit, self.seed)?;
        Ok(quality(model.as_ref(), self.task, questions, metric))
    }
}

fn buy_again_knobs() -> Vec<Knob> {
    vec![knob!(BuyAgain.fading, [0.0, 1.0, 3.0, 6.0, 12.0]), knob!(BuyAgain.interval_weight, [0.0, 0.2, 0.5, 1.0])]
}

fn content_knobs() -> Vec<Knob> {
    vec![knob!(Content.embedding_weight, [0.0, 0.3, 0.6]), knob!(Content.position_decay, [1.0, 2.0, 5.0])]
}

fn graph_filter_knobs() -> Vec<Knob> {
    vec![knob!(GraphFilter.item_exponent, [0.1, 0.3, 0.5]), knob!(GraphFilter.subject_exponent, [0.5, 1.0])]
}

fn ials_knobs() -> Vec<Knob> {
    vec![knob!(Ials.unobserved_weight, [0.005, 0.02, 0.1]), knob!(Ials.regularization, [0.001, 0.003, 0.01])]
}

/// The mean of a metric over questions.
fn quality(model: &dyn Recommender, task: &Task, questions: &[Example], metric: Metric) -> f64 {
    let depth = metric.depth().max(LONGEST_LIST);
    let values: Vec<f64> = questions
        .par_iter()
        .map(|example| metric.of(&Judged::new(&rank(model, example, task.repeats, depth), &example.relevant)))
        .collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
