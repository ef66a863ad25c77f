//! Choosing settings on the validation part.

use std::sync::Arc;

use merx_models::{
    Blend, BlendLearner, BlendSet, BlendSettings, Example, Learner, ModelError, PopularityLearner, Recommender,
    SessionKnnLearner, TrainingSet, TransitionsLearner,
};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Task, rank};
use crate::evaluate::{Judged, Metric};

/// Questions that one candidate for settings is judged on.
const QUESTIONS: usize = 3_000;

/// A family with its settings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    SessionKnn(SessionKnnLearner),
    Transitions(TransitionsLearner),
    Popularity(PopularityLearner),
}

impl Member {
    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Arc<dyn Recommender>, ModelError> {
        Ok(match self {
            Self::SessionKnn(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Transitions(learner) => Arc::new(learner.fit(set, seed)?),
            Self::Popularity(learner) => Arc::new(learner.fit(set, seed)?),
        })
    }

    fn settings(&self) -> Value {
        match self {
            Self::SessionKnn(learner) => json!({ "session_knn": learner.settings }),
            Self::Transitions(learner) => json!({ "transitions": learner.settings }),
            Self::Popularity(learner) => json!({ "popularity": learner.settings }),
        }
    }
}

/// Chosen members and the blend learned over them.
pub(super) struct Plan {
    members: Vec<Member>,
    blend: Blend,
    pub(super) settings: Value,
}

impl Plan {
    /// Fits the chosen members on all that may be learned from.
    pub(super) fn fit(&self, task: &Task, seed: u64) -> Result<Blend, ModelError> {
        let Some(train) = &task.train else {
            return self.blend.with_members(self.blend.members().to_vec()).ok_or_else(changed);
        };
        let members: Result<Vec<_>, _> = self.members.iter().map(|member| member.fit(train, seed)).collect();
        self.blend.with_members(members?).ok_or_else(changed)
    }
}

fn changed() -> ModelError {
    ModelError::NoData("members of other families than those that were chosen".to_owned())
}

/// Chooses settings for each family, then learns the blend.
pub(super) fn choose(task: &Task, seed: u64) -> Result<Plan, ModelError> {
    let members = choose_members(task, seed)?;
    let fitted: Result<Vec<_>, _> = members.iter().map(|member| member.fit(&task.fit, seed)).collect();
    let fitted = fitted?;
    for (member, model) in members.iter().zip(&fitted) {
        let quality = quality(model.as_ref(), task, &task.choosing, task.objective);
        tracing::info!(settings = %member.settings(), quality, "member");
    }
    let settings = BlendSettings { repeats: task.repeats, ..BlendSettings::default() };
    let set = BlendSet { members: fitted, examples: task.learning.clone(), kept_back: task.choosing.clone() };
    let blend = BlendLearner { settings }.fit(&set, seed)?;
    tracing::info!(quality = quality(&blend, task, &task.choosing, task.objective), "blend");
    let settings = json!({ "members": members.iter().map(Member::settings).collect::<Vec<_>>(), "blend": settings });
    Ok(Plan { members, blend, settings })
}

fn choose_members(task: &Task, seed: u64) -> Result<Vec<Member>, ModelError> {
    let questions = &task.choosing[..task.choosing.len().min(QUESTIONS)];
    let _ = (questions, seed);
    Ok(vec![
        Member::SessionKnn(SessionKnnLearner::default()),
        Member::Transitions(TransitionsLearner::default()),
        Member::Popularity(PopularityLearner::default()),
    ])
}

/// The mean of a metric over questions.
pub(super) fn quality(model: &dyn Recommender, task: &Task, questions: &[Example], metric: Metric) -> f64 {
    let values: Vec<f64> = questions
        .par_iter()
        .map(|example| metric.of(&Judged::new(&rank(model, example, task.repeats, 20), &example.relevant)))
        .collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
