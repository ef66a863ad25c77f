//! Arms whose shares follow what they bring: what is asked for, what is known of who asks, and which shares a policy gives.

use serde::{Deserialize, Serialize};

use super::definition::BUCKETS;
use crate::{Device, MarketId};

/// Numbers that a context has.
pub const CONTEXT: usize = 8;

/// How shares follow rewards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanditKind {
    /// Each arm as often as it is likely to be the best: Thompson, "On the likelihood that one unknown probability exceeds another in view
    /// of the evidence of two samples", Biometrika 1933.
    Thompson,
    /// The arm with the best prospects for this kind of shopper: Li, Chu, Langford and Schapire, "A contextual-bandit approach to
    /// personalized news article recommendation", WWW 2010, algorithm 1.
    LinUcb,
}

/// What an exposure has to bring to count as a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// A product opened.
    Click,
    Order,
}

/// An assignment mode of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandit {
    pub kind: BanditKind,
    pub reward: Reward,
    /// The reward counts so long after the exposure.
    pub window_hours: u16,
    /// No arm gets less, in buckets: so that every arm can still be judged, and estimates of other policies stay possible.
    pub floor: u16,
    /// Lots are drawn anew, and shares change, after so many minutes.
    pub epoch_minutes: u16,
}

impl Bandit {
    pub fn epoch(&self, now_ms: i64) -> i64 {
        now_ms.div_euclid(i64::from(self.epoch_minutes.max(1)) * 60_000)
    }
}

/// What is known of who asks: 1, then one of phone, desktop and tablet, then one of four groups of markets.
pub fn context(market: &MarketId, device: Device) -> [f64; CONTEXT] {
    let mut context = [0.0; CONTEXT];
    context[0] = 1.0;
    match device {
        Device::Phone => context[1] = 1.0,
        Device::Desktop => context[2] = 1.0,
        Device::Tablet => context[3] = 1.0,
        Device::Unknown | Device::Server => {}
    }
    context[4 + usize::from(super::bucket("market", market.as_str())) % 4] = 1.0;
    context
}

/// Which shares arms get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanditPolicy {
    /// The same for everybody; they add up to 10,000.
    Shares(Vec<u16>),
    Linear {
        arms: Vec<LinearArm>,
        alpha: f64,
        floor: u16,
    },
}

/// What is known of an arm's reward as a linear function of the context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearArm {
    pub theta: [f64; CONTEXT],
    /// Row by row; how uncertain `theta` is.
    pub inverse: [[f64; CONTEXT]; CONTEXT],
}

impl LinearArm {
    pub fn mean(&self, context: &[f64; CONTEXT]) -> f64 {
        self.theta.iter().zip(context).map(|(theta, x)| theta * x).sum()
    }

    /// sqrt(x' A^-1 x).
    pub fn spread(&self, context: &[f64; CONTEXT]) -> f64 {
        let row = |row: &[f64; CONTEXT]| row.iter().zip(context).map(|(a, x)| a * x).sum::<f64>();
        self.inverse.iter().zip(context).map(|(inverse, x)| x * row(inverse)).sum::<f64>().max(0.0).sqrt()
    }
}

impl BanditPolicy {
    /// As before anything is known.
    pub fn even(arms: usize) -> Self {
        Self::Shares(whole(&vec![1.0; arms.max(1)], 0))
    }

    /// Shares of the arms for somebody, in buckets; they add up to 10,000.
    pub fn shares(&self, context: &[f64; CONTEXT]) -> Vec<u16> {
        match self {
            Self::Shares(shares) => shares.clone(),
            Self::Linear { arms, alpha, floor } => {
                let prospects = arms.iter().map(|arm| arm.mean(context) + alpha * arm.spread(context));
                // Of equal ones the first.
                let best = prospects.enumerate().fold((0, f64::NEG_INFINITY), |best, (place, prospect)| {
                    if prospect > best.1 { (place, prospect) } else { best }
                });
                let weights: Vec<f64> = (0..arms.len()).map(|place| f64::from(u8::from(place == best.0))).collect();
                whole(&weights, *floor)
            }
        }
    }
}

/// Shares in the proportion of weights, none below the floor; they add up to 10,000.
pub fn whole(weights: &[f64], floor: u16) -> Vec<u16> {
    let count = weights.len().max(1) as u32;
    let floor = u32::from(floor).min(u32::from(BUCKETS) / count);
    let free = f64::from(u32::from(BUCKETS) - floor * count);
    let sum: f64 = weights.iter().filter(|weight| weight.is_finite() && **weight > 0.0).sum();
    let part = |weight: &f64| {
        if sum > 0.0 && *weight > 0.0 { weight / sum } else { f64::from(u8::from(sum <= 0.0)) / f64::from(count) }
    };
    let mut shares: Vec<u16> =
        weights.iter().map(|weight| (f64::from(floor) + free * part(weight)).floor() as u16).collect();
    // What rounding left goes to the largest.
    let left = i32::from(BUCKETS) - shares.iter().map(|share| i32::from(*share)).sum::<i32>();
    if let Some(largest) = shares.iter_mut().max_by_key(|share| **share) {
        *largest = (i32::from(*largest) + left).max(0) as u16;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_keep_the_floor() {
        for weights in [vec![0.2, 0.5, 0.3], vec![0.0, 0.0, 1.0], vec![0.0; 3], vec![1.0 / 3.0; 3], vec![f64::NAN, 1.0]]
        {
            let shares = whole(&weights, 500);
            assert_eq!(shares.iter().map(|share| u32::from(*share)).sum::<u32>(), 10_000, "{weights:?}");
            assert!(shares.iter().all(|share| *share >= 500), "{shares:?}");
        }
        assert_eq!(whole(&[0.0, 1.0], 500), [500, 9_500]);
        assert_eq!(whole(&[0.0, 1.0], 9_000), [5_000, 5_000], "a floor that leaves no room is even");
        assert_eq!(BanditPolicy::even(4).shares(&[0.0; CONTEXT]), [2_500; 4]);
    }

    #[test]
    fn the_arm_with_the_best_prospects_gets_what_is_free() {
        let mut identity = [[0.0; CONTEXT]; CONTEXT];
        (0..CONTEXT).for_each(|place| identity[place][place] = 1.0);
        let arm = |phone: f64| {
            let mut theta = [0.0; CONTEXT];
            theta[1] = phone;
            LinearArm { theta, inverse: identity }
        };
        let policy = BanditPolicy::Linear { arms: vec![arm(0.1), arm(0.3)], alpha: 0.5, floor: 1_000 };
        assert_eq!(policy.shares(&context(&MarketId::default(), Device::Phone)), [1_000, 9_000]);
        assert_eq!(policy.shares(&context(&MarketId::default(), Device::Desktop)), [9_000, 1_000]);
    }
}
