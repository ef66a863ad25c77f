//! One training: measure on held-out time, fit on everything, compare with what serves.

use std::collections::BTreeMap;
use std::time::Duration;

use merx_domain::TimestampMs;
use merx_models::{Learner, ModelError, Recommender, TrainingSet, split_by_time};
use merx_numeric::top_k::top_k;

use crate::evaluate::{Judged, Metric, coverage};

/// Questions a model is asked at most: enough for a stable mean, few enough to be quick.
const QUESTIONS: usize = 4_000;
const SHOWN: usize = 20;

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
}

/// A fitted candidate and how a model fitted alike did on time that it had not seen.
pub struct Fitted<M> {
    pub model: M,
    pub quality: Quality,
    /// The live model on the same questions.
    pub live: Option<Quality>,
}

/// Fits twice: on what came before the held-out part, to be measured, and on everything, to serve. `for_you` shows the
/// part of a model that is measured; `stopwatch` gives the time since some fixed moment.
pub fn fit<L: Learner<Set = TrainingSet>>(
    learner: &L,
    set: &TrainingSet,
    held_out: f64,
    seed: u64,
    live: Option<&dyn Recommender>,
    for_you: &dyn Fn(&L::Model) -> Option<&dyn Recommender>,
    stopwatch: &dyn Fn() -> Duration,
) -> Result<Fitted<L::Model>, ModelError> {
    let split = split_by_time(set, held_out, QUESTIONS);
    let measured = learner.fit(&split.before, seed)?;
    let quality =
        for_you(&measured).map(|model| judge(model, &split.questions, set.item_count, stopwatch)).unwrap_or_default();
    drop(measured);
    let live = live.map(|model| judge(model, &split.questions, set.item_count, stopwatch));
    let model = learner.fit(set, seed)?;
    Ok(Fitted { model, quality, live })
}

/// Ranks all items that are not in the history.
fn judge(
    model: &dyn Recommender,
    questions: &[merx_models::Example],
    item_count: usize,
    stopwatch: &dyn Fn() -> Duration,
) -> Quality {
    let begun = stopwatch();
    let mut lists: Vec<Vec<u32>> = Vec::with_capacity(questions.len());
    let mut scores = vec![0.0; model.item_count()];
    for question in questions {
        model.open(&question.query()).score_all(&mut scores);
        for entry in &question.history {
            if let Some(score) = scores.get_mut(entry.item as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        lists.push(top_k(&scores, SHOWN).into_iter().map(|hit| hit.index).collect());
    }
    let elapsed_ms = (stopwatch() - begun).as_secs_f64() * 1e3;
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
    /// One answer may take this long.
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
        test(latency <= self.latency_ms, format!("{latency:.3} ms an answer, limit {:.3}", self.latency_ms));
        match live {
            None => test(true, "no model is live, quality is compared with nothing".to_owned()),
            Some(live) => {
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
    use super::*;

    const GATE: Gate = Gate { margin: 0.02, coverage: 0.5, latency_ms: 5.0 };

    #[test]
    fn a_worse_slower_or_narrower_candidate_is_refused() {
        let live = Quality { ndcg: 0.2, recall: 0.3, coverage: 0.6, answer_ms: 1.0, questions: 100 };
        assert!(GATE.judge(&live, Some(&live)).passed);
        assert!(GATE.judge(&Quality { ndcg: 0.197, ..live.clone() }, Some(&live)).passed, "within the margin");
        assert!(!GATE.judge(&Quality { ndcg: 0.195, ..live.clone() }, Some(&live)).passed);
        assert!(!GATE.judge(&Quality { coverage: 0.29, ..live.clone() }, Some(&live)).passed);
        assert!(!GATE.judge(&Quality { answer_ms: 5.1, ..live.clone() }, None).passed);
        assert!(GATE.judge(&Quality::default(), None).passed, "the first model has nothing to lose against");
    }
}
