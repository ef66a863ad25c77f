//! What a bandit learns: exposures and what they brought, folded into the policy of the next epoch, and kept as rows from which any other
//! policy can be estimated.

use std::collections::VecDeque;

use merx_domain::experiment::{BanditKind, BanditPolicy, CONTEXT, LinearArm, whole};
use merx_numeric::distributions::beta_quantile;
use merx_numeric::rng::Rng;
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::off_policy::{Logged, OffPolicy, off_policy};

/// Exposures that wait for what they bring; beyond them the oldest count as failures early.
const MOST_WAITING: usize = 1_000_000;
/// Settled exposures that estimates look at.
const MOST_ROWS: usize = 100_000;
/// Draws from which it is told how likely an arm is to be the best.
const DRAWS: usize = 2_000;
/// How much uncertainty counts in favour of an arm.
const ALPHA: f64 = 0.5;
/// Weights above it are left to the model by the switch estimator.
const THRESHOLD: f64 = 10.0;

/// An arm was shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Played {
    pub arm: u16,
    /// 0 to 1.
    pub propensity: f64,
    pub context: [f64; CONTEXT],
    pub at_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    played: Played,
    reward: f64,
}

/// Follows one experiment.
#[derive(Debug)]
pub struct Learner {
    kind: BanditKind,
    floor: u16,
    window_ms: i64,
    waiting: FxHashMap<u128, Vec<Row>>,
    /// Who waits, in the order of time.
    order: VecDeque<(i64, u128)>,
    arms: Vec<Tally>,
    rows: VecDeque<Row>,
}

/// What is known of an arm.
#[derive(Debug, Clone)]
struct Tally {
    plays: u64,
    successes: u64,
    /// I + sum of x x', and sum of reward x.
    squares: [[f64; CONTEXT]; CONTEXT],
    rewards: [f64; CONTEXT],
}

impl Default for Tally {
    fn default() -> Self {
        let mut squares = [[0.0; CONTEXT]; CONTEXT];
        (0..CONTEXT).for_each(|place| squares[place][place] = 1.0);
        Self { plays: 0, successes: 0, squares, rewards: [0.0; CONTEXT] }
    }
}

impl Tally {
    /// A play, which is a failure until it succeeds: one that waits must not count for less than one that is settled.
    fn play(&mut self, context: &[f64; CONTEXT]) {
        self.plays += 1;
        for (row, x) in self.squares.iter_mut().zip(context) {
            row.iter_mut().zip(context).for_each(|(square, other)| *square += x * other);
        }
    }

    fn succeed(&mut self, context: &[f64; CONTEXT]) {
        self.successes += 1;
        self.rewards.iter_mut().zip(context).for_each(|(sum, x)| *sum += x);
    }

    fn linear(&self) -> LinearArm {
        let inverse = inverted(&self.squares);
        let theta = inverse.map(|row| row.iter().zip(&self.rewards).map(|(a, b)| a * b).sum());
        LinearArm { theta, inverse }
    }
}

/// Gauss and Jordan without pivoting: the matrix is the identity plus squares, hence positive definite.
fn inverted(matrix: &[[f64; CONTEXT]; CONTEXT]) -> [[f64; CONTEXT]; CONTEXT] {
    let mut left = *matrix;
    let mut right = [[0.0; CONTEXT]; CONTEXT];
    (0..CONTEXT).for_each(|place| right[place][place] = 1.0);
    for pivot in 0..CONTEXT {
        let scale = 1.0 / left[pivot][pivot];
        left[pivot].iter_mut().chain(&mut right[pivot]).for_each(|value| *value *= scale);
        let (left_row, right_row) = (left[pivot], right[pivot]);
        for row in (0..CONTEXT).filter(|row| *row != pivot) {
            let factor = left[row][pivot];
            left[row].iter_mut().zip(left_row).for_each(|(value, above)| *value -= factor * above);
            right[row].iter_mut().zip(right_row).for_each(|(value, above)| *value -= factor * above);
        }
    }
    right
}

/// What is known of a bandit.
#[derive(Debug, Clone, Serialize)]
pub struct BanditPage {
    pub kind: BanditKind,
    /// Exposures whose window isn't over.
    pub waiting: u64,
    pub arms: Vec<BanditArm>,
    /// What each arm would have brought had everybody got it, by the exposures' own propensities.
    pub estimates: Vec<ArmEstimate>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BanditArm {
    pub name: String,
    /// Those that wait count as failures so far.
    pub plays: u64,
    pub successes: u64,
    /// In the next epoch, of somebody of whom nothing is known, 0 to 1.
    pub share: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ArmEstimate {
    pub name: String,
    /// None where the rows say nothing of it.
    pub estimate: Option<OffPolicy>,
}

impl Learner {
    pub fn new(kind: BanditKind, arms: usize, floor: u16, window_ms: i64) -> Self {
        Self {
            kind,
            floor,
            window_ms,
            waiting: FxHashMap::default(),
            order: VecDeque::new(),
            arms: vec![Tally::default(); arms],
            rows: VecDeque::new(),
        }
    }

    /// Somebody was shown an arm; one that doesn't exist counts for nothing.
    pub fn play(&mut self, who: u128, played: Played) {
        if usize::from(played.arm) >= self.arms.len() || !(played.propensity > 0.0 && played.propensity <= 1.0) {
            return;
        }
        if self.order.len() >= MOST_WAITING
            && let Some((at_ms, oldest)) = self.order.pop_front()
        {
            self.settle(oldest, at_ms);
        }
        self.arms[usize::from(played.arm)].play(&played.context);
        self.waiting.entry(who).or_default().push(Row { played, reward: 0.0 });
        self.order.push_back((played.at_ms, who));
    }

    /// Somebody did what counts: a success of everything they were shown within the window before.
    pub fn reward(&mut self, who: u128, at_ms: i64) {
        let Some(waiting) = self.waiting.get_mut(&who) else { return };
        for row in waiting.iter_mut().filter(|row| row.reward == 0.0) {
            if (0..=self.window_ms).contains(&(at_ms - row.played.at_ms)) {
                row.reward = 1.0;
                self.arms[usize::from(row.played.arm)].succeed(&row.played.context);
            }
        }
    }

    /// Settles what was shown so long ago that nothing counts for it any more. Estimates see it from then on: successes that come early
    /// would make every arm look good.
    pub fn tick(&mut self, now_ms: i64) {
        while let Some((at_ms, who)) = self.order.front().copied().filter(|(at, _)| at + self.window_ms < now_ms) {
            self.order.pop_front();
            self.settle(who, at_ms);
        }
    }

    fn settle(&mut self, who: u128, at_ms: i64) {
        let Some(waiting) = self.waiting.get_mut(&who) else { return };
        let Some(place) = waiting.iter().position(|row| row.played.at_ms == at_ms) else { return };
        let row = waiting.swap_remove(place);
        if waiting.is_empty() {
            self.waiting.remove(&who);
        }
        if self.rows.len() >= MOST_ROWS {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    /// The policy of the next epoch; the same seed gives the same one.
    pub fn policy(&self, seed: u64) -> BanditPolicy {
        match self.kind {
            BanditKind::Thompson => BanditPolicy::Shares(whole(&self.chances(seed), self.floor)),
            BanditKind::LinUcb => {
                let arms = self.arms.iter().map(Tally::linear).collect();
                BanditPolicy::Linear { arms, alpha: ALPHA, floor: self.floor }
            }
        }
    }

    /// How likely each arm is to be the best, with a uniform prior on its success rate.
    fn chances(&self, seed: u64) -> Vec<f64> {
        let mut rng = Rng::from_seed(seed);
        let mut best = vec![0.0; self.arms.len()];
        for _ in 0..DRAWS {
            let drawn = self.arms.iter().map(|arm| {
                let (won, lost) = (arm.successes as f64, (arm.plays - arm.successes) as f64);
                beta_quantile(rng.uniform().clamp(1e-12, 1.0 - 1e-12), 1.0 + won, 1.0 + lost)
            });
            let (place, _) = drawn
                .enumerate()
                .fold((0, f64::NEG_INFINITY), |best, (place, rate)| if rate > best.1 { (place, rate) } else { best });
            best[place] += 1.0;
        }
        best
    }

    /// What is known, with arms by these names.
    pub fn page(&self, names: &[String], seed: u64) -> BanditPage {
        let policy = self.policy(seed);
        let mut nobody = [0.0; CONTEXT];
        nobody[0] = 1.0;
        let shares = policy.shares(&nobody);
        let name = |place: usize| names.get(place).cloned().unwrap_or_default();
        let arms = self.arms.iter().zip(&shares).enumerate().map(|(place, (arm, share))| BanditArm {
            name: name(place),
            plays: arm.plays,
            successes: arm.successes,
            share: f64::from(*share) / 1e4,
        });
        let estimates = (0..self.arms.len()).map(|place| {
            let target = |_: &[f64; CONTEXT], arm: usize| f64::from(u8::from(arm == place));
            ArmEstimate { name: name(place), estimate: self.estimate(&target) }
        });
        BanditPage {
            kind: self.kind,
            waiting: self.order.len() as u64,
            arms: arms.collect(),
            estimates: estimates.collect(),
        }
    }

    /// What another policy would have brought: `target` is its chance of an arm in a context.
    pub fn estimate(&self, target: &dyn Fn(&[f64; CONTEXT], usize) -> f64) -> Option<OffPolicy> {
        let models: Vec<LinearArm> = self.arms.iter().map(Tally::linear).collect();
        let rows: Vec<Logged> = self
            .rows
            .iter()
            .map(|Row { played, reward }| {
                let forecast = |arm: usize| models[arm].mean(&played.context).clamp(0.0, 1.0);
                let arm = usize::from(played.arm);
                Logged {
                    propensity: played.propensity,
                    target: target(&played.context, arm),
                    reward: *reward,
                    predicted: forecast(arm),
                    predicted_target: (0..models.len()).map(|arm| target(&played.context, arm) * forecast(arm)).sum(),
                }
            })
            .collect();
        off_policy(&rows, THRESHOLD, 0.05).ok()
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::experiment::context;
    use merx_domain::{Device, MarketId};

    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DEVICES: [Device; 2] = [Device::Phone, Device::Desktop];

    /// Success rates by device and arm.
    type Truth = [[f64; 3]; 2];

    struct Run {
        learner: Learner,
        /// Plays by device and arm in the last ten epochs.
        late: [[u32; 3]; 2],
    }

    /// 60 epochs of 200 exposures; what succeeds does so within the hour.
    fn run(kind: BanditKind, truth: &Truth, rng: &mut Rng) -> Run {
        let mut learner = Learner::new(kind, 3, 500, HOUR_MS);
        let mut policy = BanditPolicy::even(3);
        let (mut late, mut who) = ([[0; 3]; 2], 0);
        for epoch in 0..60i64 {
            for _ in 0..200 {
                let device = rng.below(2);
                let context = context(&MarketId::default(), DEVICES[device]);
                let shares = policy.shares(&context);
                let lot = rng.below(10_000) as u16;
                let mut end = 0;
                let arm = shares.iter().position(|share| {
                    end += share;
                    lot < end
                });
                let arm = arm.unwrap();
                if epoch >= 50 {
                    late[device][arm] += 1;
                }
                who += 1;
                let propensity = f64::from(shares[arm]) / 1e4;
                let at_ms = epoch * 2 * HOUR_MS;
                learner.play(who, Played { arm: arm as u16, propensity, context, at_ms });
                if rng.chance(truth[device][arm]) {
                    learner.reward(who, at_ms + 60_000);
                }
            }
            learner.tick((epoch + 1) * 2 * HOUR_MS);
            policy = learner.policy(epoch as u64);
        }
        Run { learner, late }
    }

    #[test]
    fn thompson_finds_the_best_arm() {
        let truth = [[0.05, 0.12, 0.06]; 2];
        let found = run(BanditKind::Thompson, &truth, &mut Rng::from_seed(1));
        let all: u32 = found.late.iter().flatten().sum();
        let best = found.late[0][1] + found.late[1][1];
        assert!(f64::from(best) > 0.8 * f64::from(all), "{:?}", found.late);
    }

    #[test]
    fn linucb_finds_the_best_arm_of_each_kind_of_shopper() {
        let truth = [[0.15, 0.03, 0.03], [0.03, 0.15, 0.03]];
        let found = run(BanditKind::LinUcb, &truth, &mut Rng::from_seed(2));
        for (device, best) in [(0, 0), (1, 1)] {
            let all: u32 = found.late[device].iter().sum();
            assert!(f64::from(found.late[device][best]) > 0.75 * f64::from(all), "{:?}", found.late);
        }
    }

    /// Rows of a bandit that learns: their propensities change, and estimates hold the truth all the same.
    #[test]
    fn estimates_from_a_learning_bandit_hold_the_truth() {
        let truth = [[0.15, 0.05, 0.08], [0.05, 0.12, 0.08]];
        let rng = Rng::from_seed(3);
        let mut covered = [0; 4];
        for trial in 0..100 {
            let Run { learner, .. } = run(BanditKind::LinUcb, &truth, &mut rng.split(trial));
            let read = learner.estimate(&|_, arm| f64::from(u8::from(arm == 2))).unwrap();
            let estimates = [read.ips, read.snips, read.doubly_robust, read.switch];
            for (count, estimate) in covered.iter_mut().zip(estimates) {
                *count += usize::from(estimate.low <= 0.08 && 0.08 <= estimate.high);
            }
            assert!((0.8..1.2).contains(&read.overlap.mean_weight), "{:?}", read.overlap);
        }
        // 95 of 100, less three sigma; the switch leaves arms at the floor to the model.
        assert!(covered[..3].iter().all(|count| *count >= 88), "{covered:?}");
    }

    #[test]
    fn what_brings_nothing_in_time_is_a_failure() {
        let mut learner = Learner::new(BanditKind::Thompson, 2, 500, HOUR_MS);
        let played = |arm, at_ms| Played { arm, propensity: 0.5, context: [1.0; CONTEXT], at_ms };
        learner.play(1, played(0, 0));
        learner.play(2, played(1, 0));
        learner.play(3, played(7, 0));
        learner.reward(1, HOUR_MS / 2);
        learner.reward(2, 2 * HOUR_MS);
        learner.tick(2 * HOUR_MS);
        let page = learner.page(&["a".to_owned(), "b".to_owned()], 1);
        let counts: Vec<(u64, u64)> = page.arms.iter().map(|arm| (arm.plays, arm.successes)).collect();
        assert_eq!((counts, page.waiting), (vec![(1, 1), (1, 0)], 0));
    }
}
