//! One training: measure on held-out time, fit on everything, compare with what serves.

use std::collections::BTreeMap;
use std::time::Duration;

use merx_domain::TimestampMs;
use merx_models::evaluate::{Judged, Metric, coverage, rank};
use merx_models::{Example, Learner, ModelError, Recommender, TimeSplit, TrainingSet, split_at, split_by_time};
use rayon::prelude::*;

/// Questions a model is asked at most: enough for a stable mean, few enough to be quick.
const QUESTIONS: usize = 4_000;
const SHOWN: usize = 20;
/// Fewer questions than these say nothing about which of two models is better.
const ENOUGH_QUESTIONS: usize = 200;

/// What a model did on held-out time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quality {
    pub ndcg: f64,
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

/// A fitted candidate and how a model fitted alike did on time that it had not seen.
pub struct Fitted<M> {
    pub model: M,
    pub quality: Quality,
    /// The live model: on the same questions where enough of them are new to it, otherwise as it was measured then, if
    /// it was. Questions that a model has learnt from would flatter it; a few lucky ones would keep a young shop's first
    /// model live for weeks.
    pub live: Option<Quality>,
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
    let unseen = live.and_then(|live| since(set, live));
    let both_judged = unseen.is_some();
    let split = unseen.unwrap_or_else(|| split_by_time(set, held_out, QUESTIONS));
    let measured = learner.fit(&split.before, seed)?;
    let quality =
        for_you(&measured).map(|model| judge(model, &split.questions, set.item_count, stopwatch)).unwrap_or_default();
    let live = live.and_then(|live| match both_judged {
        true => Some(judge(live.model, &split.questions, set.item_count, stopwatch)),
        false => (live.then.questions >= ENOUGH_QUESTIONS).then(|| live.then.clone()),
    });
    let model = learner.refit(&measured, set, seed)?;
    Ok(Fitted { model, quality, live })
}

/// What came after the live model's training, where there are questions enough.
fn since(set: &TrainingSet, live: Live) -> Option<TimeSplit> {
    let split = split_at(set, live.learnt_until_s, QUESTIONS);
    (split.questions.len() >= ENOUGH_QUESTIONS).then_some(split)
}

/// Asks for the best items that are not in the history, as serving does.
fn judge(
    model: &dyn Recommender,
    questions: &[Example],
    item_count: usize,
    stopwatch: &(dyn Fn() -> Duration + Sync),
) -> Quality {
    let answer = |question: &Example| {
        let begun = stopwatch();
        (rank(model, question, false, SHOWN), stopwatch() - begun)
    };
    let (lists, times): (Vec<Vec<u32>>, Vec<Duration>) = questions.par_iter().map(answer).unzip();
    let elapsed_ms = times.iter().sum::<Duration>().as_secs_f64() * 1e3;
    let count = questions.len().max(1) as f64;
    let mean = |metric: Metric| {
        let judged = lists.iter().zip(questions).map(|(list, question)| Judged::new(list, &question.relevant));
        judged.map(|judged| metric.of(&judged)).sum::<f64>() / count
    };
    Quality {
        ndcg: mean(Metric::Ndcg(SHOWN)),
        recall: mean(Metric::Recall(SHOWN)),
        coverage: coverage(lists.iter().map(Vec::as_slice), item_count),
        answer_ms: elapsed_ms / count,
        questions: questions.len(),
    }
}

/// What a candidate must not fall below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// NDCG may be this share below the live model's.
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
    pub fn judge(&self, candidate: &Quality, live: Option<&Quality>) -> Verdict {
        let mut verdict = Verdict { passed: true, words: Vec::new() };
        let mut test = |passed: bool, words: String| {
            verdict.passed &= passed;
            verdict.words.push(format!("{}: {words}", if passed { "passed" } else { "failed" }));
        };
        let latency = candidate.answer_ms;
        match live {
            None => test(true, format!("no model is live to lose against; {latency:.3} ms an answer")),
            Some(live) => {
                // A busy machine measures both slowly.
                let limit = self.latency_ms.max(live.answer_ms);
                test(latency <= limit, format!("{latency:.3} ms an answer, limit {limit:.3}"));
                let floor = live.ndcg * (1.0 - self.margin);
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
        let quality = Quality { ndcg: 0.2, recall: 0.3, coverage: 0.6, answer_ms: 1.5, questions: 100 };
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
        assert_eq!(all.live, Some(then.clone()));
        let lucky = Quality { ndcg: 0.9, questions: 20, ..Quality::default() };
        let young = fitted(Live { model: &model, learnt_until_s: 6_000, then: &lucky });
        assert_eq!(young.live, None, "who was asked twenty questions has not been measured");
        assert_eq!(all.quality.questions, 1_200, "at the cut, and somewhere behind it");
        // Half of the time is new to this one: both are asked about that half, and know as much.
        let half = split_at(&planted(), 3_000, usize::MAX).before;
        let model = IalsLearner::default().fit(&half, 1).unwrap();
        let fresh = fitted(Live { model: &model, learnt_until_s: 3_000, then: &then });
        let live = fresh.live.unwrap();
        assert_eq!((live.ndcg, live.questions), (fresh.quality.ndcg, 1_200));
        assert!(live.ndcg > 0.3, "{live:?}");
    }

    #[test]
    fn a_worse_slower_or_narrower_candidate_is_refused() {
        let live = Quality { ndcg: 0.2, recall: 0.3, coverage: 0.6, answer_ms: 1.0, questions: 100 };
        assert!(GATE.judge(&live, Some(&live)).passed);
        assert!(GATE.judge(&Quality { ndcg: 0.197, ..live.clone() }, Some(&live)).passed, "within the margin");
        assert!(!GATE.judge(&Quality { ndcg: 0.195, ..live.clone() }, Some(&live)).passed);
        assert!(!GATE.judge(&Quality { coverage: 0.29, ..live.clone() }, Some(&live)).passed);
        assert!(!GATE.judge(&Quality { answer_ms: 5.1, ..live.clone() }, Some(&live)).passed);
        let slow = Quality { answer_ms: 6.0, ..live.clone() };
        assert!(
            GATE.judge(&Quality { answer_ms: 5.9, ..live.clone() }, Some(&slow)).passed,
            "not slower than the live one"
        );
        assert!(GATE.judge(&slow, None).passed);
        assert!(GATE.judge(&Quality::default(), None).passed, "the first model has nothing to lose against");
    }
}
