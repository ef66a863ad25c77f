//! One training: measure on held-out time, fit on everything, compare with what serves.

use std::collections::BTreeMap;
use std::time::Duration;

use merx_domain::TimestampMs;
use merx_models::evaluate::{Judged, Metric, coverage, rank};
use merx_models::{Example, Learner, ModelError, Recommender, TimeSplit, TrainingSet, split_at, split_by_time};
use merx_numeric::distributions::normal_quantile;
use rayon::prelude::*;

/// Questions a model is asked at most: enough for a stable mean, few enough to be quick.
const QUESTIONS: usize = 4_000;
const SHOWN: usize = 20;
/// Fewer questions than these say nothing about which of two models is better.
const ENOUGH_QUESTIONS: usize = 200;
/// How sure the gate must be that a candidate is worse than it may be.
const CONFIDENCE: f64 = 0.95;

/// What a model did on held-out time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quality {
    pub ndcg: f64,
    /// Standard error of `ndcg`: the questions are a sample.
    pub ndcg_error: f64,
    pub recall: f64,
    pub coverage: f64,
    /// Mean time of one ranking.
    pub answer_ms: f64,
    pub questions: usize,
}

impl Quality {
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        [
            (format!("ndcg@{SHOWN}"), self.ndcg),
            (format!("ndcg@{SHOWN}_error"), self.ndcg_error),
            (format!("recall@{SHOWN}"), self.recall),
            (format!("coverage@{SHOWN}"), self.coverage),
            ("answer_ms".to_owned(), self.answer_ms),
            ("questions".to_owned(), self.questions as f64),
        ]
        .into()
    }

    /// What `metrics` was made of; what is missing counts as 0.
    pub fn of_metrics(metrics: &BTreeMap<String, f64>) -> Self {
        let value = |name: &str| metrics.get(name).copied().unwrap_or_default();
        Self {
            ndcg: value(&format!("ndcg@{SHOWN}")),
            ndcg_error: value(&format!("ndcg@{SHOWN}_error")),
            recall: value(&format!("recall@{SHOWN}")),
            coverage: value(&format!("coverage@{SHOWN}")),
            answer_ms: value("answer_ms"),
            questions: value("questions") as usize,
        }
    }
}

/// The model that serves, which a candidate must not lose to.
#[derive(Clone, Copy)]
pub struct Live<'m> {
    pub model: &'m dyn Recommender,
    /// It learnt from events before this moment, in seconds.
    pub learnt_until_s: i64,
    /// What it did on held-out time when it was trained.
    pub then: &'m Quality,
}

/// The live model beside a candidate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rival {
    pub quality: Quality,
    /// Standard error of the difference between the two NDCGs.
    pub difference_error: f64,
}

/// A fitted candidate and how a model fitted alike did on time that it had not seen.
pub struct Fitted<M> {
    pub model: M,
    pub quality: Quality,
    /// The live model: on the same questions where enough of them are new to it, otherwise as it was measured then, if
    /// it was. Questions that a model has learnt from would flatter it; a few lucky ones would keep a young shop's first
    /// model live for weeks.
    pub live: Option<Rival>,
}

/// Fits twice: on what came before the held-out part, to be measured, and on everything with the same settings, to serve. `for_you` shows the
/// part of a model that is measured; `stopwatch` gives the time since some fixed moment.
pub fn fit<L: Learner<Set = TrainingSet>>(
    learner: &L,
    set: &TrainingSet,
    held_out: f64,
    seed: u64,
    live: Option<Live>,
    for_you: &dyn Fn(&L::Model) -> Option<&dyn Recommender>,
    stopwatch: &(dyn Fn() -> Duration + Sync),
) -> Result<Fitted<L::Model>, ModelError> {
    let newest = split_by_time(set, held_out, QUESTIONS);
    let (split, both_judged) = match live.and_then(|live| new_to(set, live, &newest)) {
        Some(split) => (split, true),
        None => (newest, false),
    };
    let measured = learner.fit(&split.before, seed)?;
    let asked = |model: &dyn Recommender| Answers::to(&split.questions, model, stopwatch);
    let answers = for_you(&measured).map(asked);
    let quality = answers.as_ref().map(|answers| answers.quality(&split.questions, set.item_count)).unwrap_or_default();
    let live = live.and_then(|live| match both_judged {
        true => Some(asked(live.model)).zip(answers).map(|(of_live, answers)| Rival {
            difference_error: standard_error(of_live.ndcgs.iter().zip(&answers.ndcgs).map(|(a, b)| a - b)),
            quality: of_live.quality(&split.questions, set.item_count),
        }),
        false => (live.then.questions >= ENOUGH_QUESTIONS).then(|| Rival {
            difference_error: live.then.ndcg_error.hypot(quality.ndcg_error),
            quality: live.then.clone(),
        }),
    });
    let model = learner.refit(&measured, set, seed)?;
    Ok(Fitted { model, quality, live })
}

/// Questions that the live model has not learnt from: the held-out ones, so that a candidate shows what it made of all
/// that came since the live one learnt; of a live model that knows part of them, what came after its training; of one that knows
/// nearly all, whatever came since.
fn new_to(set: &TrainingSet, live: Live, newest: &TimeSplit) -> Option<TimeSplit> {
    let enough = |split: &TimeSplit| split.questions.len() >= ENOUGH_QUESTIONS;
    if live.learnt_until_s <= newest.before.now_s && enough(newest) {
        return Some(newest.clone());
    }
    Some(split_at(set, live.learnt_until_s, QUESTIONS)).filter(enough)
}

/// What a model answered to questions.
struct Answers {
    lists: Vec<Vec<u32>>,
    ndcgs: Vec<f64>,
    mean_ms: f64,
}

impl Answers {
    /// Asks for the best items that are not in the history, as serving does.
    fn to(questions: &[Example], model: &dyn Recommender, stopwatch: &(dyn Fn() -> Duration + Sync)) -> Self {
        let answer = |question: &Example| {
            let begun = stopwatch();
            (rank(model, question, false, SHOWN), stopwatch() - begun)
        };
        let (lists, times): (Vec<Vec<u32>>, Vec<Duration>) = questions.par_iter().map(answer).unzip();
        let ndcg =
            |(list, question): (&Vec<u32>, &Example)| Metric::Ndcg(SHOWN).of(&Judged::new(list, &question.relevant));
        let ndcgs = lists.iter().zip(questions).map(ndcg).collect();
        let mean_ms = times.iter().sum::<Duration>().as_secs_f64() * 1e3 / questions.len().max(1) as f64;
        Self { lists, ndcgs, mean_ms }
    }

    fn quality(&self, questions: &[Example], item_count: usize) -> Quality {
        let count = questions.len().max(1) as f64;
        let judged = self.lists.iter().zip(questions).map(|(list, question)| Judged::new(list, &question.relevant));
        Quality {
            ndcg: self.ndcgs.iter().sum::<f64>() / count,
            ndcg_error: standard_error(self.ndcgs.iter().copied()),
            recall: judged.map(|judged| Metric::Recall(SHOWN).of(&judged)).sum::<f64>() / count,
            coverage: coverage(self.lists.iter().map(Vec::as_slice), item_count),
            answer_ms: self.mean_ms,
            questions: questions.len(),
        }
    }
}

/// Of the mean of some values; 0 where there are fewer than two.
fn standard_error(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    if n < 2.0 { 0.0 } else { (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt() }
}

/// What a candidate must not fall below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// NDCG may be this share below the live model's, and by as much more as chance does once in twenty times: every
    /// version learns anew from all that is known, so that what a few questions can't tell apart may go live, and one that stays
    /// because of a few unlucky ones knows less each day.
    pub margin: f64,
    /// Coverage must be at least this share of the live model's.
    pub coverage: f64,
    /// One answer may take this long, or as long as the live model's does.
    pub latency_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub passed: bool,
    /// Each test and its outcome, in words.
    pub words: Vec<String>,
}

impl Gate {
    pub fn judge(&self, candidate: &Quality, live: Option<&Rival>) -> Verdict {
        let mut verdict = Verdict { passed: true, words: Vec::new() };
        let mut test = |passed: bool, words: String| {
            verdict.passed &= passed;
            verdict.words.push(format!("{}: {words}", if passed { "passed" } else { "failed" }));
        };
        let latency = candidate.answer_ms;
        match live {
            None => test(true, format!("no model is live to lose against; {latency:.3} ms an answer")),
            Some(Rival { quality: live, difference_error }) => {
                // A busy machine measures both slowly.
                let limit = self.latency_ms.max(live.answer_ms);
                test(latency <= limit, format!("{latency:.3} ms an answer, limit {limit:.3}"));
                let chance = normal_quantile(CONFIDENCE) * difference_error;
                let floor = live.ndcg * (1.0 - self.margin) - chance;
                test(candidate.ndcg >= floor, format!("NDCG {:.4}, floor {floor:.4}", candidate.ndcg));
                let floor = live.coverage * self.coverage;
                test(candidate.coverage >= floor, format!("coverage {:.4}, floor {floor:.4}", candidate.coverage));
            }
        }
        verdict
    }
}

/// When the next scheduled training is due. `None`: there is no schedule.
pub fn next_due(last: Option<TimestampMs>, every_hours: u32, now: TimestampMs) -> Option<TimestampMs> {
    let every_ms = i64::from(every_hours) * merx_domain::HOUR_MS;
    (every_hours > 0).then(|| last.map_or(now, |last| last.plus_ms(every_ms)))
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning::Viewed;
    use merx_models::{IalsLearner, Interaction, Interactions};

    use super::*;

    const GATE: Gate = Gate { margin: 0.02, coverage: 0.5, latency_ms: 5.0 };

    #[test]
    fn what_was_measured_is_read_back() {
        let quality =
            Quality { ndcg: 0.2, ndcg_error: 0.01, recall: 0.3, coverage: 0.6, answer_ms: 1.5, questions: 100 };
        assert_eq!(Quality::of_metrics(&quality.metrics()), quality);
    }

    /// 600 shoppers, a view every thousand seconds, each in one of three departments of ten items.
    fn planted() -> TrainingSet {
        let mut histories = Interactions::new();
        for shopper in 0..600u32 {
            let item = |step: u32| shopper % 3 * 10 + (shopper * 7 + step * 3) % 10;
            let entry = |step| Interaction { item: item(step), at_s: i64::from(step) * 1_000, meaning: Viewed };
            histories.push_row((0..6).map(entry));
        }
        TrainingSet { item_count: 30, histories, now_s: 6_000, ..TrainingSet::default() }
    }

    fn fitted(live: Live) -> Fitted<merx_models::Ials> {
        let tick = std::sync::atomic::AtomicU64::new(0);
        let stopwatch = || Duration::from_millis(tick.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        fit(&IalsLearner::default(), &planted(), 0.3, 1, Some(live), &|model| Some(model), &stopwatch).unwrap()
    }

    #[test]
    fn a_live_model_is_never_judged_by_what_it_has_learnt_from() {
        let then = Quality { ndcg: 0.123, questions: 500, ..Quality::default() };
        let model = IalsLearner::default().fit(&planted(), 1).unwrap();
        let all = fitted(Live { model: &model, learnt_until_s: 6_000, then: &then });
        let rival = all.live.unwrap();
        assert_eq!(rival.quality, then);
        assert!((rival.difference_error - all.quality.ndcg_error).abs() < 1e-12, "nothing is known of the other's");
        let lucky = Quality { ndcg: 0.9, questions: 20, ..Quality::default() };
        let young = fitted(Live { model: &model, learnt_until_s: 6_000, then: &lucky });
        assert_eq!(young.live, None, "who was asked twenty questions has not been measured");
        assert_eq!(all.quality.questions, 1_200, "at the cut, and somewhere behind it");
        // This one learnt up to within the held-out part: both are asked about the rest, and know as much.
        let most = split_at(&planted(), 4_500, usize::MAX).before;
        let model = IalsLearner::default().fit(&most, 1).unwrap();
        let fresh = fitted(Live { model: &model, learnt_until_s: 4_500, then: &then });
        let live = fresh.live.unwrap();
        assert_eq!((live.quality.ndcg, live.quality.questions), (fresh.quality.ndcg, 600));
        assert_eq!(live.difference_error, 0.0, "they answer alike");
        assert!(live.quality.ndcg > 0.3, "{live:?}");
    }

    #[test]
    fn a_candidate_is_credited_with_what_came_since_the_live_one_learnt() {
        // The live model has met the first of the six steps of each shopper alone.
        let first = split_at(&planted(), 1_000, usize::MAX).before;
        let model = IalsLearner::default().fit(&first, 1).unwrap();
        let then = Quality::default();
        let beside = fitted(Live { model: &model, learnt_until_s: 1_000, then: &then });
        let stale = beside.live.unwrap();
        assert_eq!(stale.quality.questions, beside.quality.questions);
        assert!(beside.quality.ndcg > 1.2 * stale.quality.ndcg, "{:?} beside {stale:?}", beside.quality);
    }

    #[test]
    fn what_a_few_questions_cannot_tell_apart_goes_live() {
        let quality = Quality { ndcg: 0.2, coverage: 0.6, questions: 200, ..Quality::default() };
        let live = |difference_error| Rival { quality: quality.clone(), difference_error };
        let unlucky = Quality { ndcg: 0.17, ..quality.clone() };
        assert!(GATE.judge(&unlucky, Some(&live(0.02))).passed);
        assert!(!GATE.judge(&unlucky, Some(&live(0.01))).passed, "so far below is no chance");
        assert!(!GATE.judge(&Quality { ndcg: 0.1, ..quality.clone() }, Some(&live(0.02))).passed);
    }

    #[test]
    fn a_worse_slower_or_narrower_candidate_is_refused() {
        let live =
            Quality { ndcg: 0.2, recall: 0.3, coverage: 0.6, answer_ms: 1.0, questions: 100, ..Quality::default() };
        let beside = |quality: &Quality| Rival { quality: quality.clone(), difference_error: 0.0 };
        assert!(GATE.judge(&live, Some(&beside(&live))).passed);
        assert!(GATE.judge(&Quality { ndcg: 0.197, ..live.clone() }, Some(&beside(&live))).passed, "within the margin");
        assert!(!GATE.judge(&Quality { ndcg: 0.195, ..live.clone() }, Some(&beside(&live))).passed);
        assert!(!GATE.judge(&Quality { coverage: 0.29, ..live.clone() }, Some(&beside(&live))).passed);
        assert!(!GATE.judge(&Quality { answer_ms: 5.1, ..live.clone() }, Some(&beside(&live))).passed);
        let slow = Quality { answer_ms: 6.0, ..live.clone() };
        assert!(
            GATE.judge(&Quality { answer_ms: 5.9, ..live.clone() }, Some(&beside(&slow))).passed,
            "not slower than the live one"
        );
        assert!(GATE.judge(&slow, None).passed);
        assert!(GATE.judge(&Quality::default(), None).passed, "the first model has nothing to lose against");
    }
}
