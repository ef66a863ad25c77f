//! Judged queries, and how good a ranking is beside the judgements.

use rustc_hash::FxHashMap;

/// A query with what people said of products: gain 0 (irrelevant) to 1 (just what was asked for).
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedQuery {
    pub text: String,
    pub gains: FxHashMap<u32, f32>,
}

/// From this gain on a product counts as relevant where only yes or no is asked.
const RELEVANT: f32 = 0.5;
const CUT: usize = 10;
/// The condensed list is drawn from this many.
const CONDENSED_DEPTH: usize = 200;
const RECALL_DEPTH: usize = 100;

/// What one ranking is worth. Järvelin, Kekäläinen 2002 for NDCG (linear gain, discount 1 / log2(rank + 1), the ideal from
/// all judged products of the query); Sakai 2007 for the condensed list, from which unjudged products are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    pub ndcg_at_10: f64,
    pub condensed_ndcg_at_10: f64,
    pub mrr_at_10: f64,
    pub recall_at_100: f64,
    pub judged_at_10: f64,
}

impl Figures {
    pub fn of(ranking: &[u32], judged: &JudgedQuery) -> Self {
        let gain = |product: &u32| judged.gains.get(product).copied();
        let mut ideal: Vec<f32> = judged.gains.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let ideal = discounted(ideal.into_iter()).max(f64::MIN_POSITIVE);
        let condensed = ranking.iter().take(CONDENSED_DEPTH).filter_map(gain);
        let relevant = judged.gains.values().filter(|gain| **gain >= RELEVANT).count();
        let is_relevant = |product: &&u32| gain(product).is_some_and(|gain| gain >= RELEVANT);
        let first = ranking.iter().take(CUT).position(|product| is_relevant(&product));
        let recalled = ranking.iter().take(RECALL_DEPTH).filter(is_relevant).count();
        Self {
            ndcg_at_10: discounted(ranking.iter().map(|product| gain(product).unwrap_or(0.0))) / ideal,
            condensed_ndcg_at_10: discounted(condensed) / ideal,
            mrr_at_10: first.map_or(0.0, |place| 1.0 / (place + 1) as f64),
            recall_at_100: if relevant > 0 { recalled as f64 / relevant as f64 } else { 0.0 },
            judged_at_10: ranking.iter().take(CUT).filter(|product| gain(product).is_some()).count() as f64 / CUT as f64,
        }
    }
}

fn discounted(gains: impl Iterator<Item = f32>) -> f64 {
    gains.take(CUT).enumerate().map(|(place, gain)| f64::from(gain) / (place as f64 + 2.0).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_ranking() {
        let judged = JudgedQuery { text: "x".into(), gains: [(1, 1.0), (2, 0.5), (3, 0.0)].into_iter().collect() };
        let ideal = 1.0 + 0.5 / 3f64.log2();
        let figures = Figures::of(&[9, 2, 1], &judged);
        assert!((figures.ndcg_at_10 - (0.5 / 3f64.log2() + 0.5) / ideal).abs() < 1e-6);
        assert!((figures.condensed_ndcg_at_10 - (0.5 + 1.0 / 3f64.log2()) / ideal).abs() < 1e-6);
        assert_eq!((figures.mrr_at_10, figures.recall_at_100, figures.judged_at_10), (0.5, 1.0, 0.2));
        assert_eq!(Figures::of(&[], &judged), Figures::default());
    }
}
