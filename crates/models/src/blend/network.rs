//! The function that turns what the members say of an item into one score, and how it is learned.
//!
//! A linear part and one hidden layer beside it; learned listwise (ListNet with one-hot targets: the softmax over a list
//! should put its mass on what was wanted; Cao et al. 2007) with Adam. Small enough to score a list of 300 in well under 0.1 ms.

use merx_numeric::kernels::{add_weighted_rows, axpy, dot, mat_vec};
use merx_numeric::rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Lists whose gradients one task adds up.
const LISTS_PER_TASK: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NetworkSettings {
    pub hidden: usize,
    /// Passes over the lists: so many, or as many more as `steps` take where lists are few. The state of the pass that did
    /// best on the lists kept back is taken.
    pub passes: usize,
    pub steps: usize,
    pub learning_rate: f32,
    pub lists_per_step: usize,
    /// Pull of the weights towards 0 at each step (AdamW).
    pub weight_decay: f32,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self { hidden: 16, passes: 12, steps: 1_500, learning_rate: 0.004, lists_per_step: 64, weight_decay: 0.01 }
    }
}

/// Items to rank against one another: a row of `inputs` numbers each.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    pub(super) rows: Vec<f32>,
    /// The share of what was wanted that each item is; sums to 1.
    pub(super) wanted: Vec<f32>,
    /// What is added to a score before the softmax: an item drawn at random stands for several.
    pub(super) offsets: Vec<f32>,
}

/// Weights in one row: those of the linear part, then a row of `inputs` a hidden unit, then the hidden units' biases, then
/// their outgoing weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    inputs: usize,
    hidden: usize,
    weights: Vec<f32>,
}

/// A network with its hidden weights input by input, so that all units are summed side by side.
pub(super) struct Scorer<'a> {
    linear: &'a [f32],
    by_input: Vec<f32>,
    biases: &'a [f32],
    outgoing: &'a [f32],
    units: Vec<f32>,
}

impl Scorer<'_> {
    pub(super) fn score(&mut self, row: &[f32]) -> f32 {
        self.units.copy_from_slice(self.biases);
        add_weighted_rows(&self.by_input, row, &mut self.units);
        let from_hidden = self.units.iter().zip(self.outgoing);
        dot(self.linear, row) + from_hidden.map(|(unit, outgoing)| unit.max(0.0) * outgoing).sum::<f32>()
    }
}

impl Network {
    pub(super) fn is_sound(&self, inputs: usize) -> bool {
        self.inputs == inputs && self.weights.len() == weight_count(inputs, self.hidden)
    }

    /// For the scores of very many rows.
    pub(super) fn scorer(&self) -> Scorer<'_> {
        let (linear, rest) = self.weights.split_at(self.inputs);
        let (rows, rest) = rest.split_at(self.inputs * self.hidden);
        let (biases, outgoing) = rest.split_at(self.hidden);
        let by_input = (0..self.inputs).flat_map(|input| rows.iter().skip(input).step_by(self.inputs).copied());
        Scorer { linear, by_input: by_input.collect(), biases, outgoing, units: vec![0.0; self.hidden] }
    }

    /// Learns from `lists`; `kept_back` says when to stop. Also returns the mean cross-entropy on the latter.
    pub(super) fn learn(
        inputs: usize,
        settings: &NetworkSettings,
        mut lists: Vec<List>,
        mut kept_back: Vec<List>,
        seed: u64,
    ) -> (Self, f64) {
        let mut rng = Rng::from_seed(seed);
        let hidden = settings.hidden;
        let scaling = Scaling::of(inputs, &lists);
        lists.iter_mut().chain(&mut kept_back).for_each(|list| scaling.apply(&mut list.rows));
        let mut weights = vec![0.0; weight_count(inputs, hidden)];
        let deviation = (2.0 / inputs.max(1) as f64).sqrt();
        weights[inputs..inputs + hidden * inputs].iter_mut().for_each(|w| *w = (rng.normal() * deviation) as f32);
        weights[inputs + hidden * (inputs + 1)..].iter_mut().for_each(|w| *w = (rng.normal() * 0.1) as f32);
        let mut network = Self { inputs, hidden, weights };
        network.descend(settings, &lists, &kept_back, &mut rng);
        let loss = network.loss(&kept_back);
        network.absorb(&scaling);
        (network, loss)
    }

    /// Makes weights for scaled rows into weights for rows as they come. The linear part loses a constant, which moves all
    /// scores alike.
    fn absorb(&mut self, scaling: &Scaling) {
        let inputs = self.inputs;
        for unit in 0..=self.hidden {
            let row = &mut self.weights[unit * inputs..][..inputs];
            row.iter_mut().zip(&scaling.scales).for_each(|(weight, scale)| *weight *= scale);
            let moved = dot(row, &scaling.means);
            if unit > 0 {
                self.weights[(self.hidden + 1) * inputs + unit - 1] -= moved;
            }
        }
    }

    fn descend(&mut self, settings: &NetworkSettings, lists: &[List], kept_back: &[List], rng: &mut Rng) {
        let mut order: Vec<usize> = (0..lists.len()).collect();
        let mut adam = Adam::new(self.weights.len());
        let steps_per_pass = lists.len().div_ceil(settings.lists_per_step.max(1)).max(1);
        let passes = settings.passes.max(settings.steps.div_ceil(steps_per_pass));
        let steps = passes * steps_per_pass;
        let mut best = (self.loss(kept_back), self.weights.clone());
        let mut step = 0;
        for _ in 0..passes {
            rng.shuffle(&mut order);
            for batch in order.chunks(settings.lists_per_step.max(1)) {
                let gradient = self.gradient(lists, batch);
                // The rate falls to nothing along a quarter of a cosine.
                let falling = (std::f32::consts::FRAC_PI_2 * step as f32 / steps as f32).cos();
                adam.step(&mut self.weights, &gradient, settings.learning_rate * falling, settings.weight_decay);
                step += 1;
            }
            let loss = self.loss(kept_back);
            tracing::debug!(loss, best = best.0, "a pass of the blend");
            if loss < best.0 {
                best = (loss, self.weights.clone());
            }
        }
        self.weights = best.1;
    }

    /// Mean cross-entropy.
    pub(super) fn loss(&self, lists: &[List]) -> f64 {
        let losses: Vec<f64> = lists.par_iter().map(|list| f64::from(self.loss_of(list))).collect();
        losses.iter().sum::<f64>() / lists.len().max(1) as f64
    }

    fn loss_of(&self, list: &List) -> f32 {
        let scores = self.scores(list);
        let log_sum = log_sum_exp(&scores);
        scores.iter().zip(&list.wanted).map(|(score, wanted)| wanted * (log_sum - score)).sum()
    }

    fn scores(&self, list: &List) -> Vec<f32> {
        let mut scorer = self.scorer();
        let rows = list.rows.chunks_exact(self.inputs).zip(&list.offsets);
        rows.map(|(row, offset)| scorer.score(row) + offset).collect()
    }

    fn gradient(&self, lists: &[List], batch: &[usize]) -> Vec<f32> {
        let parts: Vec<Vec<f32>> = batch
            .par_chunks(LISTS_PER_TASK)
            .map(|batch| {
                let mut sum = vec![0.0; self.weights.len()];
                batch.iter().for_each(|list| self.add_gradient(&lists[*list], &mut sum));
                sum
            })
            .collect();
        let mut sum = vec![0.0; self.weights.len()];
        parts.iter().for_each(|part| axpy(1.0 / batch.len() as f32, part, &mut sum));
        sum
    }

    fn add_gradient(&self, list: &List, sum: &mut [f32]) {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let (rows, rest) = self.weights.split_at(inputs * (hidden + 1));
        let (biases, outgoing) = rest.split_at(hidden);
        let mut units = vec![0.0; hidden + 1];
        let scores = self.scores(list);
        let log_sum = log_sum_exp(&scores);
        for (at, row) in list.rows.chunks_exact(inputs).enumerate() {
            let error = (scores[at] - log_sum).exp() - list.wanted[at];
            axpy(error, row, &mut sum[..inputs]);
            mat_vec(rows, row, &mut units);
            for unit in 0..hidden {
                let activation = units[unit + 1] + biases[unit];
                if activation > 0.0 {
                    let back = error * outgoing[unit];
                    axpy(back, row, &mut sum[inputs * (unit + 1)..][..inputs]);
                    sum[inputs * (hidden + 1) + unit] += back;
                    sum[inputs * (hidden + 1) + hidden + unit] += error * activation;
                }
            }
        }
    }
}

fn weight_count(inputs: usize, hidden: usize) -> usize {
    inputs * (hidden + 1) + 2 * hidden
}

/// Brings each input to mean 0 and deviation 1; one that never varies is left out by a scale of 0.
struct Scaling {
    means: Vec<f32>,
    scales: Vec<f32>,
}

impl Scaling {
    fn of(inputs: usize, lists: &[List]) -> Self {
        let (mut sums, mut squares, mut count) = (vec![0.0f64; inputs], vec![0.0f64; inputs], 0usize);
        for row in lists.iter().flat_map(|list| list.rows.chunks_exact(inputs)) {
            for (at, value) in row.iter().enumerate() {
                sums[at] += f64::from(*value);
                squares[at] += f64::from(*value) * f64::from(*value);
            }
            count += 1;
        }
        let count = count.max(1) as f64;
        let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let scale = |(mean, square): (&f64, &f64)| {
            let variance = square / count - mean * mean;
            if variance > 1e-10 { (1.0 / variance.sqrt()) as f32 } else { 0.0 }
        };
        let scales = means.iter().zip(&squares).map(scale).collect();
        Self { means: means.iter().map(|mean| *mean as f32).collect(), scales }
    }

    fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.means.len().max(1)) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.means).zip(&self.scales) {
                *value = (*value - mean) * scale;
            }
        }
    }
}

fn log_sum_exp(scores: &[f32]) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    largest + scores.iter().map(|score| (score - largest).exp()).sum::<f32>().ln()
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    fn new(weights: usize) -> Self {
        Self { mean: vec![0.0; weights], square: vec![0.0; weights], steps: 0 }
    }

    fn step(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32, decay: f32) {
        const MEAN_KEEP: f32 = 0.9;
        const SQUARE_KEEP: f32 = 0.999;
        self.steps += 1;
        let mean_correction = 1.0 - MEAN_KEEP.powi(self.steps);
        let square_correction = 1.0 - SQUARE_KEEP.powi(self.steps);
        for (at, weight) in weights.iter_mut().enumerate() {
            self.mean[at] = MEAN_KEEP * self.mean[at] + (1.0 - MEAN_KEEP) * gradient[at];
            self.square[at] = SQUARE_KEEP * self.square[at] + (1.0 - SQUARE_KEEP) * gradient[at] * gradient[at];
            let move_by = (self.mean[at] / mean_correction) / ((self.square[at] / square_correction).sqrt() + 1e-8);
            *weight -= rate * (move_by + decay * *weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists whose wanted item is the one with the largest `rule(row)`.
    fn lists(count: usize, seed: u64, rule: impl Fn(&[f32]) -> f32) -> Vec<List> {
        let mut rng = Rng::from_seed(seed);
        let list = |_| {
            let rows: Vec<f32> = (0..8 * 3).map(|_| rng.normal() as f32).collect();
            let best = (0..8).max_by(|a, b| rule(&rows[a * 3..][..3]).total_cmp(&rule(&rows[b * 3..][..3])));
            let wanted = (0..8).map(|at| if Some(at) == best { 1.0 } else { 0.0 }).collect();
            List { rows, wanted, offsets: vec![0.0; 8] }
        };
        (0..count).map(list).collect()
    }

    fn found(network: &Network, lists: &[List]) -> f64 {
        let hit = |list: &List| {
            let scores = network.scores(list);
            let best = (0..8).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            best.is_some_and(|best| list.wanted[best] > 0.0)
        };
        lists.iter().filter(|list| hit(list)).count() as f64 / lists.len() as f64
    }

    fn learned(rule: impl Fn(&[f32]) -> f32 + Copy) -> f64 {
        let (train, kept_back) = (lists(3_000, 1, rule), lists(300, 2, rule));
        let (network, _) = Network::learn(3, &NetworkSettings::default(), train, kept_back.clone(), 3);
        found(&network, &kept_back)
    }

    #[test]
    fn a_linear_rule_is_found_and_the_useless_input_ignored() {
        assert!(learned(|row| 2.0 * row[0] - row[1]) > 0.9);
    }

    #[test]
    fn a_rule_that_is_not_linear_is_found() {
        assert!(learned(|row| row[0].abs() + row[2].max(0.0)) > 0.8);
    }

    #[test]
    fn threads_change_nothing() {
        let fit = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rule = |row: &[f32]| row[0];
            pool.install(|| Network::learn(3, &NetworkSettings::default(), lists(200, 1, rule), lists(9, 2, rule), 3))
        };
        assert_eq!(fit(1), fit(3));
    }
}
