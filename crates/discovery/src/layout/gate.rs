//! Whether a new version may lay pages out: enough was seen, and on visits that it didn't learn from it guesses no worse than somebody who
//! knows nothing of blocks, and no worse than the version that serves.

use std::collections::BTreeMap;

use merx_domain::DecisionId;
use merx_models::{Learner, ModelError};
use merx_numeric::distributions::normal_quantile;

use super::model::{LayoutLearner, LayoutModel, LayoutRow};

/// Of visits, the newest part, which the guesses are compared on.
const HELD_OUT: f64 = 0.2;
/// Guesses on fewer blocks say nothing.
const LEAST_COMPARED: usize = 40;
/// Errors may be larger by this share of the other's, and by as much more as chance does once in twenty times.
const MARGIN: f64 = 0.02;
const CONFIDENCE: f64 = 0.95;

/// The least that must have been seen before anything is laid out by it.
#[derive(Debug, Clone, Copy)]
pub struct LayoutGate {
    /// Blocks in sight of somebody.
    pub seen: usize,
    /// Visits that they were seen in.
    pub visits: usize,
    /// Blocks that were used.
    pub used: usize,
}

impl Default for LayoutGate {
    fn default() -> Self {
        Self { seen: 200, visits: 50, used: 20 }
    }
}

/// Mean squared errors of guesses whether a block would be used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LayoutQuality {
    /// Blocks of visits that weren't learnt from.
    pub compared: usize,
    pub error: f64,
    /// Of who knows only how often blocks of a page are used.
    pub error_of_mean: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LayoutVerdict {
    pub passed: bool,
    /// Each test and its outcome, in words.
    pub words: Vec<String>,
    pub quality: LayoutQuality,
}

impl LayoutGate {
    /// `rows` with the decision that showed them, oldest first; `live` with the last decision that it may have learnt from.
    pub fn judge(
        &self,
        rows: &[(DecisionId, LayoutRow)],
        live: Option<(&LayoutModel, DecisionId)>,
    ) -> Result<LayoutVerdict, ModelError> {
        let mut verdict = LayoutVerdict { passed: true, words: Vec::new(), quality: LayoutQuality::default() };
        let mut test = |passed: bool, words: String| {
            verdict.passed &= passed;
            verdict.words.push(format!("{}: {words}", if passed { "passed" } else { "failed" }));
        };
        let mut visits: Vec<DecisionId> = rows.iter().map(|(decision, _)| *decision).collect();
        visits.dedup();
        let used = rows.iter().filter(|(_, row)| row.reward > 0.0).count();
        test(
            rows.len() >= self.seen && visits.len() >= self.visits && used >= self.used,
            format!(
                "{} blocks seen in {} visits, {used} used; at least {}, {} and {}",
                rows.len(),
                visits.len(),
                self.seen,
                self.visits,
                self.used
            ),
        );
        let kept = visits.len() - (visits.len() as f64 * HELD_OUT) as usize;
        let first_held = visits.get(kept).copied().unwrap_or(DecisionId(u128::MAX));
        let (known, held) = rows.split_at(rows.partition_point(|(decision, _)| *decision < first_held));
        if held.len() < LEAST_COMPARED {
            test(false, format!("{} blocks to compare guesses on; at least {LEAST_COMPARED}", held.len()));
            return Ok(verdict);
        }
        let known: Vec<LayoutRow> = known.iter().map(|(_, row)| row.clone()).collect();
        let candidate = LayoutLearner.fit(&known, 0)?;
        let means = means(&known);
        let mean_of = |row: &LayoutRow| means.get(row.page.as_str()).copied().unwrap_or_default();
        let own = |row: &LayoutRow| guess(&candidate, row).unwrap_or_else(|| mean_of(row));
        let ignorant = Compared::of(held, &own, &|row| Some(mean_of(row)));
        let limit = ignorant.limit();
        test(
            ignorant.error <= limit,
            format!(
                "error {:.4} on {} held-out blocks, limit {limit:.4} of knowing only the page's mean",
                ignorant.error, ignorant.count
            ),
        );
        let quality =
            LayoutQuality { compared: ignorant.count, error: ignorant.error, error_of_mean: ignorant.error_of_other };
        if let Some((live, until)) = live {
            let unseen = &held[held.partition_point(|(decision, _)| *decision <= until)..];
            let beside = Compared::of(unseen, &own, &|row| guess(live, row));
            if beside.count < LEAST_COMPARED {
                let words = format!("{} blocks are new to the live version too, too few to compare on", beside.count);
                test(true, words);
            } else {
                let limit = beside.limit();
                let words = format!(
                    "error {:.4} on {} blocks new to both, limit {limit:.4} of the live version",
                    beside.error, beside.count
                );
                test(beside.error <= limit, words);
            }
        }
        verdict.quality = quality;
        Ok(verdict)
    }
}

/// How often a visit like this one uses the block; `None`: nothing is known of it.
fn guess(model: &LayoutModel, row: &LayoutRow) -> Option<f64> {
    let known = model.page(&row.page)?.get(&row.block)?;
    Some(known.arm.mean(&row.visit.0).clamp(0.0, 1.0))
}

/// How often blocks of a page are used, whichever they are.
fn means(rows: &[LayoutRow]) -> BTreeMap<&str, f64> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry(&row.page).or_default();
        *sum = (sum.0 + row.reward, sum.1 + 1.0);
    }
    sums.into_iter().map(|(page, (rewards, count))| (page, rewards / count)).collect()
}

/// Errors of one who guesses beside another's, on blocks that both say something of.
struct Compared {
    count: usize,
    error: f64,
    error_of_other: f64,
    /// Standard error of the difference, block by block.
    difference_error: f64,
}

impl Compared {
    fn of(
        rows: &[(DecisionId, LayoutRow)],
        own: &dyn Fn(&LayoutRow) -> f64,
        other: &dyn Fn(&LayoutRow) -> Option<f64>,
    ) -> Self {
        let square = |guess: f64, row: &LayoutRow| (guess - row.reward).powi(2);
        let errors: Vec<(f64, f64)> =
            rows.iter().filter_map(|(_, row)| Some((square(own(row), row), square(other(row)?, row)))).collect();
        let count = errors.len();
        let n = count.max(1) as f64;
        let (error, error_of_other) = (
            errors.iter().map(|(own, _)| own).sum::<f64>() / n,
            errors.iter().map(|(_, other)| other).sum::<f64>() / n,
        );
        let mean = error - error_of_other;
        let spread = errors.iter().map(|(own, other)| (own - other - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self { count, error, error_of_other, difference_error: (spread / n).sqrt() }
    }

    fn limit(&self) -> f64 {
        self.error_of_other * (1.0 + MARGIN) + normal_quantile(CONFIDENCE) * self.difference_error
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::experiment::CONTEXT;

    use super::super::model::Visit;
    use super::*;

    /// Visits that see two blocks; of a hundred who see `best` so many use it, and of `other` five.
    fn seen(visits: u128, best: u128) -> Vec<(DecisionId, LayoutRow)> {
        let row = |visit: u128, block: &str, used: bool| {
            let reward = if used { 0.3 } else { 0.0 };
            let row = LayoutRow { page: "home".into(), block: block.into(), visit: Visit([1.0; CONTEXT]), reward };
            (DecisionId(visit), row)
        };
        let pair = |visit: u128| {
            let draw = visit * 37 % 100;
            [row(visit, "best", draw < best), row(visit, "other", (draw + 50) % 100 < 5)]
        };
        (1..=visits).flat_map(pair).collect()
    }

    fn live(rows: &[(DecisionId, LayoutRow)]) -> LayoutModel {
        let rows: Vec<LayoutRow> = rows.iter().map(|(_, row)| row.clone()).collect();
        LayoutLearner.fit(&rows, 0).unwrap()
    }

    #[test]
    fn what_was_seen_too_little_waits() {
        let gate = LayoutGate::default();
        assert!(gate.judge(&seen(300, 40), None).unwrap().passed);
        for few in [seen(45, 40), seen(90, 40), seen(300, 0)] {
            let verdict = gate.judge(&few, None).unwrap();
            assert!(!verdict.passed && verdict.words[0].starts_with("failed"), "{:?}", verdict.words);
        }
    }

    #[test]
    fn what_guesses_worse_than_who_knows_nothing_waits() {
        // What was learnt is turned round in the newest part: the block that everybody used is used by nobody.
        let mut turned = seen(400, 60);
        for (decision, row) in &mut turned {
            if decision.0 > 320 {
                row.reward = if row.block == "other" && decision.0 % 5 < 3 { 0.3 } else { 0.0 };
            }
        }
        let verdict = LayoutGate::default().judge(&turned, None).unwrap();
        assert!(!verdict.passed && verdict.words[1].starts_with("failed"), "{:?}", verdict.words);
        assert!(verdict.quality.error > verdict.quality.error_of_mean);
    }

    #[test]
    fn what_guesses_worse_than_the_live_version_waits() {
        let rows = seen(600, 60);
        let sound = live(&rows[..400]);
        let beside = |rows: &[(DecisionId, LayoutRow)]| {
            LayoutGate::default().judge(rows, Some((&sound, DecisionId(200)))).unwrap()
        };
        assert!(beside(&rows).passed);
        // A training on visits whose uses were told for the wrong block.
        let mut mixed_up = rows.clone();
        for (decision, row) in &mut mixed_up {
            if decision.0 <= 480 {
                row.block = if row.block == "best" { "other".into() } else { "best".into() };
            }
        }
        let verdict = beside(&mixed_up);
        assert!(!verdict.passed && verdict.words[2].starts_with("failed"), "{:?}", verdict.words);
        // Nothing is new to the live one: nothing speaks against the newer.
        let verdict = LayoutGate::default().judge(&rows, Some((&sound, DecisionId(600)))).unwrap();
        assert!(verdict.passed && verdict.words[2].contains("too few"), "{:?}", verdict.words);
    }
}
