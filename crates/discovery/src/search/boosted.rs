//! Ranking by boosted regression trees.
//!
//! LambdaMART (Burges 2010, "From RankNet to LambdaRank to LambdaMART: an overview"): each tree is fitted to how much every
//! product should rise or fall, weighed by what exchanging it with another is worth in NDCG. Trees grow leaf by leaf on
//! binned values (Ke et al. 2017, LightGBM).

mod scores;

use merx_numeric::rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoostSettings {
    pub trees: usize,
    pub leaves: usize,
    pub learning_rate: f64,
    /// Rows that a leaf has at least.
    pub leaf_rows: usize,
    /// Added to the second derivatives of a leaf.
    pub shrinkage: f64,
    /// Share of the features that a tree may use.
    pub feature_share: f64,
    /// Exchanges within these first places are what is learnt from.
    pub depth: usize,
}

impl Default for BoostSettings {
    fn default() -> Self {
        Self {
            trees: 300,
            leaves: 10,
            learning_rate: 0.06,
            leaf_rows: 200,
            shrinkage: 1.0,
            feature_share: 0.4,
            depth: 30,
        }
    }
}

/// The measured candidates of one query, `width` values each, and how good each was.
#[derive(Debug, Clone, Default)]
pub struct Example {
    pub rows: Vec<f32>,
    /// 0 to 1.
    pub gains: Vec<f32>,
    /// How sure each gain is, 0 to 1: an exchange of two counts as much as the less sure of them.
    pub trust: Vec<f32>,
    /// The scores that the trees are added to; empty: none.
    pub base: Vec<f32>,
    /// DCG of the best possible order, of products that were not found too.
    pub ideal: f32,
}

impl Example {
    pub fn push(&mut self, row: &[f32], gain: f32, trust: f32) {
        self.rows.extend_from_slice(row);
        self.gains.push(gain);
        self.trust.push(trust);
    }

    fn base(&self) -> impl Iterator<Item = f32> {
        (0..self.gains.len()).map(|row| self.base.get(row).copied().unwrap_or(0.0))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Node {
    feature: u16,
    /// Values up to here go left.
    threshold: f32,
    /// Where a child is below 0, it is leaf `-child - 1`.
    left: i16,
    right: i16,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Tree {
    nodes: Vec<Node>,
    leaves: Vec<f32>,
}

impl Tree {
    fn value(&self, row: &[f32]) -> f32 {
        let mut at = if self.nodes.is_empty() { -1 } else { 0 };
        while at >= 0 {
            let node = &self.nodes[at as usize];
            at = if row[usize::from(node.feature)] <= node.threshold { node.left } else { node.right };
        }
        self.leaves[(-at - 1) as usize]
    }
}

impl Tree {
    /// What the leaves below a child say on average, each counted alike.
    fn mean(&self, child: i16) -> f32 {
        let (mut sum, mut leaves, mut open) = (0.0, 0.0_f32, vec![child]);
        while let Some(child) = open.pop() {
            match usize::try_from(child) {
                Ok(node) => open.extend([self.nodes[node].left, self.nodes[node].right]),
                Err(_) => {
                    sum += self.leaves[(-(i32::from(child)) - 1) as usize];
                    leaves += 1.0;
                }
            }
        }
        sum / leaves.max(1.0)
    }

    /// Gives each feature on a row's way down the change in what the tree expects (Saabas 2014, "Interpreting random forests"); returns what
    /// it expects of any row. Together they are the tree's value.
    fn contribute(&self, row: &[f32], parts: &mut [f32]) -> f32 {
        let mut at = if self.nodes.is_empty() { -1 } else { 0 };
        let expected = self.mean(at);
        let mut before = expected;
        while at >= 0 {
            let node = &self.nodes[at as usize];
            at = if row[usize::from(node.feature)] <= node.threshold { node.left } else { node.right };
            let after = self.mean(at);
            parts[usize::from(node.feature)] += after - before;
            before = after;
        }
        expected
    }
}

/// A sum of trees. The more, the better a row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forest {
    trees: Vec<Tree>,
}

impl Forest {
    /// Adds to each feature its part of a row's score; returns the part of none.
    pub(super) fn contribute(&self, row: &[f32], parts: &mut [f32]) -> f32 {
        self.trees.iter().map(|tree| tree.contribute(row, parts)).sum()
    }

    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Whether every node of every tree leads to another or to a leaf, each by one way alone: what was read from bytes may not.
    pub(super) fn is_sound(&self, width: usize) -> bool {
        self.trees.iter().all(|tree| {
            let leads = |from: usize, child: i16| match usize::try_from(child) {
                Ok(node) => node > from && node < tree.nodes.len(),
                Err(_) => ((-(i32::from(child)) - 1) as usize) < tree.leaves.len(),
            };
            let sound = |(at, node): (usize, &Node)| {
                usize::from(node.feature) < width && leads(at, node.left) && leads(at, node.right)
            };
            let mut children: Vec<i16> = tree.nodes.iter().flat_map(|node| [node.left, node.right]).collect();
            children.sort_unstable();
            let by_one_way = children.windows(2).all(|two| two[0] != two[1]);
            by_one_way && !tree.leaves.is_empty() && tree.nodes.iter().enumerate().all(sound)
        })
    }

    /// The first trees only.
    pub fn truncated(mut self, trees: usize) -> Self {
        self.trees.truncate(trees);
        self
    }

    /// `told`: the first so many of the measurements of a row, those that say anything.
    pub fn fit(examples: &[Example], width: usize, told: usize, settings: &BoostSettings, seed: u64) -> Self {
        let table = Table::new(examples, width);
        let mut rng = Rng::from_seed(seed);
        let mut forest = Self::default();
        let mut scores: Vec<f32> = examples.iter().flat_map(Example::base).collect();
        for _ in 0..settings.trees {
            let slopes = slopes(examples, &scores, settings.depth);
            let used = rng.sample(told, ((told as f64 * settings.feature_share).ceil() as usize).max(1));
            let (tree, leaf_of) = Grower { table: &table, slopes: &slopes, settings, used: &used }.grow();
            scores.iter_mut().zip(leaf_of).for_each(|(score, leaf)| *score += tree.leaves[usize::from(leaf)]);
            forest.trees.push(tree);
        }
        forest
    }
}

const BINS: usize = 64;

/// All rows, a column a feature, values as numbers of bins.
struct Table {
    rows: usize,
    columns: Vec<Vec<u8>>,
    /// The largest value of each bin but the last.
    bounds: Vec<Vec<f32>>,
}

impl Table {
    fn new(examples: &[Example], width: usize) -> Self {
        const SAMPLED: usize = 50_000;
        let rows: Vec<&[f32]> = examples.iter().flat_map(|example| example.rows.chunks_exact(width)).collect();
        let step = rows.len().div_ceil(SAMPLED).max(1);
        let column = |feature: usize| {
            let mut sample: Vec<f32> = rows.iter().step_by(step).map(|row| row[feature]).collect();
            sample.sort_unstable_by(f32::total_cmp);
            let mut bounds: Vec<f32> =
                (1..BINS).filter_map(|bin| sample.get(bin * sample.len() / BINS).copied()).collect();
            bounds.dedup();
            let bins = rows.iter().map(|row| bounds.partition_point(|bound| *bound < row[feature]) as u8).collect();
            (bins, bounds)
        };
        let (columns, bounds) = (0..width).into_par_iter().map(column).unzip();
        Self { rows: rows.len(), columns, bounds }
    }
}

/// First and second derivative of the loss by each row's score.
#[derive(Debug, Clone, Copy, Default)]
struct Slope {
    first: f64,
    second: f64,
}

impl std::ops::AddAssign for Slope {
    fn add_assign(&mut self, other: Self) {
        self.first += other.first;
        self.second += other.second;
    }
}

impl std::ops::Sub for Slope {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { first: self.first - other.first, second: self.second - other.second }
    }
}

fn slopes(examples: &[Example], scores: &[f32], depth: usize) -> Vec<Slope> {
    let mut parts = Vec::with_capacity(examples.len());
    let mut rest = scores;
    for example in examples {
        let (part, after) = rest.split_at(example.gains.len());
        parts.push((example, part));
        rest = after;
    }
    parts.par_iter().flat_map_iter(|(example, scores)| example_slopes(example, scores, depth)).collect()
}

fn example_slopes(example: &Example, scores: &[f32], depth: usize) -> Vec<Slope> {
    let mut slopes = vec![Slope::default(); scores.len()];
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let mut discounts = vec![0.0f64; scores.len()];
    for (rank, place) in order.iter().enumerate() {
        discounts[*place] = 1.0 / (rank as f64 + 2.0).log2();
    }
    let shallow: Vec<bool> = {
        let mut shallow = vec![false; scores.len()];
        order.iter().take(depth).for_each(|place| shallow[*place] = true);
        shallow
    };
    let ideal = f64::from(example.ideal).max(1e-6);
    for better in (0..scores.len()).filter(|place| example.gains[*place] > 0.0) {
        for worse in 0..scores.len() {
            let difference = f64::from(example.gains[better] - example.gains[worse]);
            if difference <= 0.0 || !(shallow[better] || shallow[worse]) {
                continue;
            }
            let trust = f64::from(example.trust[better].min(example.trust[worse]));
            let worth = trust * difference * (discounts[better] - discounts[worse]).abs() / ideal;
            let wrong = 1.0 / (1.0 + f64::from(scores[better] - scores[worse]).exp());
            let (first, second) = (worth * wrong, worth * wrong * (1.0 - wrong));
            slopes[better] += Slope { first, second };
            slopes[worse] += Slope { first: -first, second };
        }
    }
    slopes
}

struct Grower<'a> {
    table: &'a Table,
    slopes: &'a [Slope],
    settings: &'a BoostSettings,
    used: &'a [usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    slope: Slope,
    rows: u32,
}

struct Split {
    gain: f64,
    feature: usize,
    bin: u8,
}

struct Leaf {
    rows: Vec<u32>,
    /// By used feature, then bin.
    bins: Vec<Bin>,
    total: Slope,
    split: Option<Split>,
    /// The node that leads here, and whether from its left.
    parent: Option<(usize, bool)>,
}

impl Grower<'_> {
    /// The tree, and the leaf of each row.
    fn grow(&self) -> (Tree, Vec<u16>) {
        let all: Vec<u32> = (0..self.table.rows as u32).collect();
        let bins = self.bins(&all);
        let mut leaves = vec![self.leaf(all, bins, None)];
        let mut nodes: Vec<Node> = Vec::new();
        while leaves.len() < self.settings.leaves {
            let gain = |leaf: &Leaf| leaf.split.as_ref().map_or(0.0, |split| split.gain);
            let Some(best) =
                (0..leaves.len()).max_by(|a, b| gain(&leaves[*a]).total_cmp(&gain(&leaves[*b])).then(b.cmp(a)))
            else {
                break;
            };
            let Some(split) = leaves[best].split.take() else { break };
            let leaf = leaves.swap_remove(best);
            let node = nodes.len();
            link(&mut nodes, leaf.parent, node as i16);
            nodes.push(Node {
                feature: split.feature as u16,
                threshold: self.table.bounds[split.feature][usize::from(split.bin)],
                left: 0,
                right: 0,
            });
            let column = &self.table.columns[split.feature];
            let (left, right): (Vec<u32>, Vec<u32>) =
                leaf.rows.iter().partition(|row| column[**row as usize] <= split.bin);
            // Only the smaller side is counted; the other is what is left.
            let smaller = self.bins(if left.len() < right.len() { &left } else { &right });
            let larger = leaf
                .bins
                .iter()
                .zip(&smaller)
                .map(|(all, part)| Bin { slope: all.slope - part.slope, rows: all.rows - part.rows });
            let larger = larger.collect();
            let (left_bins, right_bins) = if left.len() < right.len() { (smaller, larger) } else { (larger, smaller) };
            leaves.push(self.leaf(left, left_bins, Some((node, true))));
            leaves.push(self.leaf(right, right_bins, Some((node, false))));
        }
        let mut tree = Tree { nodes, leaves: Vec::with_capacity(leaves.len()) };
        let mut leaf_of = vec![0; self.table.rows];
        for (number, leaf) in leaves.iter().enumerate() {
            link(&mut tree.nodes, leaf.parent, -(number as i16) - 1);
            let value = leaf.total.first / (leaf.total.second + self.settings.shrinkage);
            tree.leaves.push((self.settings.learning_rate * value) as f32);
            leaf.rows.iter().for_each(|row| leaf_of[*row as usize] = number as u16);
        }
        (tree, leaf_of)
    }

    fn bins(&self, rows: &[u32]) -> Vec<Bin> {
        let of_feature = |feature: &usize| {
            let column = &self.table.columns[*feature];
            let mut bins = [Bin::default(); BINS];
            for row in rows {
                let bin = &mut bins[usize::from(column[*row as usize])];
                bin.slope += self.slopes[*row as usize];
                bin.rows += 1;
            }
            bins
        };
        self.used.par_iter().flat_map_iter(of_feature).collect()
    }

    fn leaf(&self, rows: Vec<u32>, bins: Vec<Bin>, parent: Option<(usize, bool)>) -> Leaf {
        let mut total = Slope::default();
        bins[..BINS].iter().for_each(|bin| total += bin.slope);
        let split = self.best_split(&bins, total, rows.len());
        Leaf { rows, bins, total, split, parent }
    }

    fn best_split(&self, bins: &[Bin], total: Slope, rows: usize) -> Option<Split> {
        let worth = |slope: Slope| slope.first * slope.first / (slope.second.max(0.0) + self.settings.shrinkage);
        let mut best: Option<Split> = None;
        for (bins, feature) in bins.chunks_exact(BINS).zip(self.used) {
            let (mut left, mut left_rows) = (Slope::default(), 0);
            for (count, bin) in bins.iter().zip(0u8..).take(self.table.bounds[*feature].len()) {
                left += count.slope;
                left_rows += count.rows as usize;
                if left_rows < self.settings.leaf_rows || rows - left_rows < self.settings.leaf_rows {
                    continue;
                }
                let gain = worth(left) + worth(total - left) - worth(total);
                if gain > best.as_ref().map_or(1e-9, |best| best.gain) {
                    best = Some(Split { gain, feature: *feature, bin });
                }
            }
        }
        best
    }
}

fn link(nodes: &mut [Node], parent: Option<(usize, bool)>, child: i16) {
    match parent {
        Some((node, true)) => nodes[node].left = child,
        Some((node, false)) => nodes[node].right = child,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Good is what has a large product of the first two values; the third is noise, the fourth misleads half the time.
    fn examples(count: usize, seed: u64) -> Vec<Example> {
        let mut rng = Rng::from_seed(seed);
        let mut example = || {
            let mut example = Example { ideal: 1.0, ..Example::default() };
            for _ in 0..20 {
                let row: [f32; 3] = std::array::from_fn(|_| rng.uniform() as f32);
                let good = row[0] * row[1] > 0.5;
                example.rows.extend(row);
                example.gains.push(f32::from(u8::from(good)));
                example.trust.push(1.0);
            }
            example
        };
        (0..count).map(|_| example()).collect()
    }

    /// Row by row, tree by tree.
    fn score(forest: &Forest, row: &[f32]) -> f32 {
        forest.trees.iter().map(|tree| tree.value(row)).sum()
    }

    #[test]
    fn many_rows_score_as_each_does_by_itself() {
        let mut noise = examples(200, 1);
        let mut rng = Rng::from_seed(5);
        noise.iter_mut().flat_map(|example| &mut example.gains).for_each(|gain| *gain = rng.uniform() as f32);
        for leaves in [2, 10, 40] {
            let settings =
                BoostSettings { trees: 20, leaves, leaf_rows: 2, feature_share: 0.7, ..BoostSettings::default() };
            let forest = Forest::fit(&noise, 3, 3, &settings, 1);
            assert!(leaves < 40 || forest.trees.iter().any(|tree| tree.leaves.len() > 32));
            let mut rows = examples(5, 3).into_iter().flat_map(|example| example.rows).collect::<Vec<f32>>();
            // On the thresholds themselves, and what is no number.
            rows.extend(forest.trees.iter().flat_map(|tree| &tree.nodes).flat_map(|node| [node.threshold; 3]));
            rows.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
            let mut scores = vec![0.0; rows.len() / 3];
            forest.add_scores(&rows, 3, &mut scores);
            let alone: Vec<f32> = rows.chunks_exact(3).map(|row| score(&forest, row)).collect();
            assert_eq!(scores, alone);
        }
    }

    #[test]
    fn only_trees_are_sound() {
        let node = |left, right| Node { feature: 0, threshold: 0.0, left, right };
        let is_sound =
            |nodes: &[Node]| Forest { trees: vec![Tree { nodes: nodes.to_vec(), leaves: vec![0.0; 3] }] }.is_sound(1);
        assert!(is_sound(&[]) && is_sound(&[node(1, -1), node(-2, -3)]));
        // Ways that meet again are more than can be walked; ways out, around and back lead nowhere.
        assert!(!is_sound(&[node(1, 1), node(-2, -3)]) && !is_sound(&[node(1, -2), node(-2, -3)]));
        assert!(!is_sound(&[node(1, -4), node(-2, -3)]) && !is_sound(&[node(2, -1), node(-2, -3)]));
        assert!(!is_sound(&[node(0, -1), node(-2, -3)]));
    }

    #[test]
    fn the_parts_of_a_score_are_the_score() {
        let settings = BoostSettings { trees: 30, leaf_rows: 10, feature_share: 0.7, ..BoostSettings::default() };
        let forest = Forest::fit(&examples(200, 1), 3, 3, &settings, 1);
        for row in examples(20, 3)[0].rows.chunks_exact(3) {
            let mut parts = [0.0; 3];
            let expected = forest.contribute(row, &mut parts);
            let whole = expected + parts.iter().sum::<f32>();
            assert!((whole - score(&forest, row)).abs() < 1e-4, "{whole} {}", score(&forest, row));
        }
        // Good is what has a large product of the first two; the third is noise.
        let (mut good, mut noise) = ([0.0; 3], [0.0; 3]);
        forest.contribute(&[0.95, 0.95, 0.1], &mut good);
        forest.contribute(&[0.95, 0.95, 0.9], &mut noise);
        assert!(good[0] > 0.0 && good[1] > 0.0, "{good:?}");
        assert!((good[2] - noise[2]).abs() < good[0].min(good[1]), "{good:?} {noise:?}");
    }

    #[test]
    fn what_was_planted_is_found() {
        let settings = BoostSettings { trees: 60, leaf_rows: 10, feature_share: 0.7, ..BoostSettings::default() };
        let forest = Forest::fit(&examples(200, 1), 3, 3, &settings, 1);
        let (mut right, mut pairs) = (0, 0);
        for example in examples(100, 2) {
            let scores: Vec<f32> = example.rows.chunks_exact(3).map(|row| score(&forest, row)).collect();
            for (a, gain_a) in scores.iter().zip(&example.gains) {
                for (b, gain_b) in scores.iter().zip(&example.gains) {
                    if gain_a > gain_b {
                        pairs += 1;
                        right += usize::from(a > b);
                    }
                }
            }
        }
        assert!(right as f64 / pairs as f64 > 0.97, "{right} of {pairs}");
    }

    #[test]
    fn nothing_to_learn_from_gives_an_order_all_the_same() {
        let settings = BoostSettings { trees: 3, ..BoostSettings::default() };
        assert_eq!(score(&Forest::fit(&[], 2, 2, &settings, 1), &[1.0, 2.0]), 0.0);
        let same =
            Example { rows: vec![1.0; 40], gains: vec![1.0; 20], trust: vec![1.0; 20], base: Vec::new(), ideal: 1.0 };
        assert_eq!(score(&Forest::fit(&[same], 2, 2, &settings, 1), &[1.0, 2.0]), 0.0);
    }
}
