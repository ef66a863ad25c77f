//! A short walk through the settings of a family: one knob after the other, each left where the metric is best.

use merx_domain::EventMeaning;

use super::{Choice, Member};
use crate::evaluate::{Metric, mean_quality};
use crate::{ModelError, PopularityLearner, SessionKnnLearner, SessionKnnSettings, TransitionsLearner};

/// Questions that one trial of settings is judged on.
const TRIAL_QUESTIONS: usize = 1_500;
const DAY_S: i64 = 86_400;

/// A setting and the values tried for it.
pub(super) struct Knob {
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

/// The search for the settings of each family.
pub(super) struct Walk<'a> {
    pub(super) choice: &'a Choice<'a>,
    pub(super) seed: u64,
}

impl Walk<'_> {
    /// Time between the first and the last entry that models are fitted on.
    fn span_s(&self) -> f32 {
        let times = self.choice.fit.histories.iter().flatten().map(|entry| entry.at_s);
        times.min().map_or(0.0, |first| self.choice.fit.now_s.saturating_sub(first) as f32)
    }

    /// Whether all that is known is what was bought: then a visit says less than a season does.
    fn orders_only(&self) -> bool {
        let set = self.choice.fit;
        !set.baskets.is_empty() && set.histories.iter().flatten().all(|entry| entry.meaning == EventMeaning::Purchased)
    }

    /// Where one session ends and the next begins, for shops that know orders.
    fn gaps(&self) -> Vec<f32> {
        if self.choice.fit.baskets.is_empty() { Vec::new() } else { vec![1_800.0, 45.0 * DAY_S as f32] }
    }

    /// Shares of the span; 0 stands for "never fades".
    fn ages(&self, shares: &[f32]) -> Vec<f32> {
        let span_s = self.span_s();
        shares.iter().map(|share| share * span_s).collect()
    }

    pub(super) fn session_knn(&self, metric: Metric) -> Result<Member, ModelError> {
        let mut settings = SessionKnnSettings::default();
        if self.orders_only() {
            settings = SessionKnnSettings {
                position_decay: 4.0,
                forward_decay: 8.0,
                query_items: 60,
                earlier_weight: 1.0,
                ..settings
            };
        }
        let knobs = vec![
            knob!(SessionKnn.position_decay, [0.6, 1.04, 2.0, 4.0, 10.0]),
            knob!(SessionKnn.age_decay_s, self.ages(&[0.0, 0.1, 0.25, 0.5, 1.0])),
            knob!(SessionKnn.forward_decay, [1.0, 2.08, 4.0, 8.0]),
            knob!(SessionKnn.backward_decay, [0.5, 1.0, 2.08, 4.0, 8.0]),
            knob!(SessionKnn.rarity_exponent, [0.0, 0.5, 1.0]),
            knob!(SessionKnn.length_exponent, [0.0, 0.25, 0.5, 1.0]),
            knob!(SessionKnn.neighbours, [200.0, 500.0, 1000.0]),
            knob!(SessionKnn.session_gap_s, self.gaps()),
        ];
        self.best(Member::SessionKnn(SessionKnnLearner { settings }), knobs, metric)
    }

    pub(super) fn transitions(&self) -> Result<Member, ModelError> {
        let mut learner = TransitionsLearner::default();
        if self.orders_only() {
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
        self.best(Member::Transitions(learner), knobs, self.choice.objective)
    }

    pub(super) fn popularity(&self) -> Result<Member, ModelError> {
        let knobs = vec![knob!(Popularity.half_life_s, self.ages(&[0.0, 0.005, 0.02, 0.1, 0.3]))];
        self.best(Member::Popularity(PopularityLearner::default()), knobs, self.choice.objective)
    }

    /// Turns one knob after the other and leaves each where the metric is best.
    pub(super) fn best(&self, start: Member, knobs: Vec<Knob>, metric: Metric) -> Result<Member, ModelError> {
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
        let questions = &self.choice.choosing[..self.choice.choosing.len().min(TRIAL_QUESTIONS)];
        let model = member.fit(self.choice.trial, self.seed)?;
        Ok(mean_quality(model.as_ref(), questions, self.choice.repeats, metric))
    }
}

pub(super) fn buy_again_knobs() -> Vec<Knob> {
    vec![knob!(BuyAgain.fading, [0.0, 1.0, 3.0, 6.0, 12.0]), knob!(BuyAgain.interval_weight, [0.0, 0.2, 0.5, 1.0])]
}

pub(super) fn content_knobs() -> Vec<Knob> {
    vec![knob!(Content.embedding_weight, [0.0, 0.3, 0.6]), knob!(Content.position_decay, [1.0, 2.0, 5.0])]
}

pub(super) fn graph_filter_knobs() -> Vec<Knob> {
    vec![knob!(GraphFilter.item_exponent, [0.1, 0.3, 0.5]), knob!(GraphFilter.subject_exponent, [0.5, 1.0])]
}

pub(super) fn ials_knobs() -> Vec<Knob> {
    vec![knob!(Ials.unobserved_weight, [0.005, 0.02, 0.1]), knob!(Ials.regularization, [0.001, 0.003, 0.01])]
}
