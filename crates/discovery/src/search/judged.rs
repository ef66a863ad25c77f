//! Judged queries, and how good a ranking is beside the judgements.

use merx_numeric::rng::Rng;
use rustc_hash::FxHashMap;

/// A query with what people said of products: gain 0 (irrelevant) to 1 (just what was asked for).
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedQuery {
    pub text: String,
    pub gains: FxHashMap<u32, f32>,
}

/// What a judged query may be used for. It hangs on its text alone, so that the same query never changes sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Training,
    Validation,
    Test,
}

impl JudgedQuery {
    /// Six in ten queries train, one in ten validates, three in ten test.
    pub fn part(&self) -> Part {
        match hash(&self.text.to_lowercase()) % 10 {
            0..6 => Part::Training,
            6 => Part::Validation,
            _ => Part::Test,
        }
    }

    /// DCG of the best ten in the best order.
    pub fn ideal(&self) -> f64 {
        let mut ideal: Vec<f32> = self.gains.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        discounted(ideal.into_iter())
    }
}

/// FNV-1a, whose values never change; the high half, because the low bits mix least.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        >> 32
}

/// From this gain on a product counts as relevant where only yes or no is asked.
const RELEVANT: f32 = 0.5;
const CUT: usize = 10;
/// The condensed list is drawn from this many.
pub const CONDENSED_DEPTH: usize = 200;
const RECALL_DEPTH: usize = 100;
const BOOTSTRAP_SAMPLES: usize = 1_000;

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
        let ideal = judged.ideal().max(f64::MIN_POSITIVE);
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
            judged_at_10: ranking.iter().take(CUT).filter(|product| gain(product).is_some()).count() as f64
                / CUT as f64,
        }
    }

    /// Means over queries.
    pub fn mean(rows: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| rows.iter().map(of).sum::<f64>() / rows.len().max(1) as f64;
        Self {
            ndcg_at_10: mean(|row| row.ndcg_at_10),
            condensed_ndcg_at_10: mean(|row| row.condensed_ndcg_at_10),
            mrr_at_10: mean(|row| row.mrr_at_10),
            recall_at_100: mean(|row| row.recall_at_100),
            judged_at_10: mean(|row| row.judged_at_10),
        }
    }
}

/// Where the mean of `values` lies with 95 % confidence, by drawing the queries again (percentile bootstrap, Efron 1979).
pub fn mean_interval(values: &[f64], seed: u64) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mut rng = Rng::from_seed(seed);
    let mut mean = || (0..values.len()).map(|_| values[rng.below(values.len())]).sum::<f64>() / values.len() as f64;
    let mut means: Vec<f64> = (0..BOOTSTRAP_SAMPLES).map(|_| mean()).collect();
    means.sort_by(f64::total_cmp);
    (means[BOOTSTRAP_SAMPLES / 40], means[BOOTSTRAP_SAMPLES - 1 - BOOTSTRAP_SAMPLES / 40])
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

    #[test]
    fn the_interval_lies_around_the_mean() {
        let values: Vec<f64> = (0..400).map(|at| f64::from(at % 2)).collect();
        let (low, high) = mean_interval(&values, 1);
        assert!(low < 0.5 && high > 0.5 && high - low < 0.12 && high - low > 0.06, "{low} {high}");
    }

    #[test]
    fn a_query_stays_on_its_side() {
        let part = |text: &str| JudgedQuery { text: text.into(), gains: FxHashMap::default() }.part();
        assert_eq!(part("Cordless Drill"), part("cordless drill"));
        let count =
            |wanted| (0..1_000).filter(|at| part(&format!("{at} drill {}", at * 7_919 % 997)) == wanted).count();
        assert!((250..350).contains(&count(Part::Test)) && (60..140).contains(&count(Part::Validation)));
    }
}
