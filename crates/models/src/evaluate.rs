//! How good is a ranking? Metrics of lists against what was really wanted, with their uncertainty.

use merx_numeric::rng::Rng;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::{Example, Recommender, Scored};

/// The best `limit` items for a question, best first; those of its history only where they may come again.
pub fn rank(model: &dyn Recommender, example: &Example, repeats: bool, limit: usize) -> Vec<u32> {
    let mut known: Vec<u32> = Vec::new();
    if !repeats {
        known.extend(example.history.iter().map(|entry| entry.item));
        known.sort_unstable();
        known.dedup();
    }
    let mut found = Vec::new();
    model.open(&example.query()).candidates_without(&known, limit, &mut found);
    found.sort_unstable_by(Scored::rank);
    found.truncate(limit);
    found.into_iter().map(|scored| scored.item).collect()
}

/// The mean of a metric over questions, each asked of the model.
pub fn mean_quality(model: &dyn Recommender, questions: &[Example], repeats: bool, metric: Metric) -> f64 {
    let quality = |example: &Example| {
        let ranked = rank(model, example, repeats, metric.depth());
        metric.of(&Judged::new(&ranked, &example.relevant))
    };
    // Summed in order, so that threads change nothing.
    let values: Vec<f64> = questions.par_iter().map(quality).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A quality of a ranked list. All lie between 0 and 1; higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Hits in the first `k` over all relevant items.
    Recall(usize),
    /// Binary gain, discount `1 / log2(rank + 1)`, over that of `min(k, relevant)` hits on top.
    Ndcg(usize),
    /// 1 where a relevant item is in the first `k`.
    HitRate(usize),
    /// 1 / rank of the first relevant item, 0 where it isn't in the first `k`.
    Mrr(usize),
}

impl Metric {
    pub fn name(self) -> String {
        match self {
            Self::Recall(k) => format!("recall@{k}"),
            Self::Ndcg(k) => format!("ndcg@{k}"),
            Self::HitRate(k) => format!("hit_rate@{k}"),
            Self::Mrr(k) => format!("mrr@{k}"),
        }
    }

    /// Ranks that count.
    pub fn depth(self) -> usize {
        match self {
            Self::Recall(k) | Self::Ndcg(k) | Self::HitRate(k) | Self::Mrr(k) => k,
        }
    }

    pub fn of(self, judged: &Judged) -> f64 {
        let relevant = judged.relevant.max(1);
        match self {
            Self::Recall(k) => judged.hits(k).count() as f64 / relevant as f64,
            Self::Ndcg(k) => {
                let ideal: f64 = (1..=relevant.min(k)).map(discount).sum();
                judged.hits(k).map(discount).sum::<f64>() / ideal
            }
            Self::HitRate(k) => f64::from(u8::from(judged.hits(k).next().is_some())),
            Self::Mrr(k) => judged.hits(k).next().map_or(0.0, |rank| 1.0 / rank as f64),
        }
    }
}

fn discount(rank: usize) -> f64 {
    1.0 / (rank as f64 + 1.0).log2()
}

/// Where the relevant items of one question stand in the list that answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// From 1, ascending.
    ranks: Vec<usize>,
    relevant: usize,
}

impl Judged {
    /// `ranked`: best first, no item twice. `relevant`: no item twice.
    pub fn new(ranked: &[u32], relevant: &[u32]) -> Self {
        let ranks = ranked.iter().zip(1..).filter(|(item, _)| relevant.contains(item)).map(|(_, rank)| rank).collect();
        Self { ranks, relevant: relevant.len() }
    }

    fn hits(&self, k: usize) -> impl Iterator<Item = usize> {
        self.ranks.iter().copied().take_while(move |rank| *rank <= k)
    }
}

/// A mean over questions and where it lies with 95 % confidence, by bootstrap over the questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// Percentile bootstrap (Efron 1979) of a mean.
pub fn bootstrap(values: &[f64], draws: usize, seed: u64) -> Estimate {
    let mean = |sum: f64| if values.is_empty() { 0.0 } else { sum / values.len() as f64 };
    let mut rng = Rng::from_seed(seed);
    let mut means: Vec<f64> =
        (0..draws.max(1)).map(|_| mean((0..values.len()).map(|_| values[rng.below(values.len())]).sum())).collect();
    means.sort_by(f64::total_cmp);
    let quantile = |level: f64| means[((means.len() - 1) as f64 * level).round() as usize];
    Estimate { mean: mean(values.iter().sum()), low: quantile(0.025), high: quantile(0.975) }
}

/// The share of all items that stand in at least one list.
pub fn coverage<'a>(lists: impl IntoIterator<Item = &'a [u32]>, item_count: usize) -> f64 {
    let shown: FxHashSet<u32> = lists.into_iter().flatten().copied().collect();
    shown.len() as f64 / item_count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_list_worked_by_hand() {
        let judged = Judged::new(&[5, 1, 9, 2, 7], &[1, 2, 3]);
        assert_eq!(Metric::Recall(5).of(&judged), 2.0 / 3.0);
        assert_eq!(Metric::Recall(3).of(&judged), 1.0 / 3.0);
        assert_eq!(Metric::HitRate(1).of(&judged), 0.0);
        assert_eq!(Metric::HitRate(2).of(&judged), 1.0);
        assert_eq!(Metric::Mrr(5).of(&judged), 0.5);
        assert_eq!(Metric::Mrr(1).of(&judged), 0.0);
        let ideal = 1.0 + 1.0 / 3f64.log2() + 0.5;
        let expected = (1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / ideal;
        assert!((Metric::Ndcg(5).of(&judged) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_ideal_of_a_short_list_is_no_longer_than_the_list() {
        assert_eq!(Metric::Ndcg(2).of(&Judged::new(&[1, 2], &[1, 2, 3, 4])), 1.0);
    }

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_more_questions() {
        let values = |n: usize| (0..n).map(|at| f64::from(u8::from(at % 4 == 0))).collect::<Vec<_>>();
        let (few, many) = (bootstrap(&values(40), 500, 1), bootstrap(&values(4_000), 500, 1));
        assert_eq!((few.mean, many.mean), (0.25, 0.25));
        assert!(few.low < 0.25 && 0.25 < few.high);
        let ratio = (few.high - few.low) / (many.high - many.low);
        assert!((5.0..20.0).contains(&ratio), "a hundred times the questions: about ten times narrower, not {ratio}");
    }

    #[test]
    fn coverage_counts_an_item_once() {
        assert_eq!(coverage([&[1, 2][..], &[2, 3]], 6), 0.5);
        assert_eq!(coverage([&[][..]], 0), 0.0);
    }
}
