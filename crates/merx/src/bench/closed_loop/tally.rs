//! What each arm brought, by day and by part, and what may be said of it over several shops.

use merx_numeric::distributions::{ln_gamma, t_quantile};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Arm {
    Random,
    Popularity,
    /// Popularity times price.
    BestSellers,
    Merx,
    /// Knows every product and how tastes are spread, and of a person what Merx may know: their deeds.
    Knowable,
    Oracle,
}

impl Arm {
    pub(super) const ALL: [Self; 6] =
        [Self::Random, Self::Popularity, Self::BestSellers, Self::Merx, Self::Knowable, Self::Oracle];
}

/// Whom or what a part of the figures is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// Shoppers who refuse to be known.
    Refused,
    /// Nothing was seen of them before this visit.
    Stranger,
    /// 1 to 9 products viewed, carted and bought before.
    Acquaintance,
    /// 10 to 39.
    Known,
    /// 40 and more.
    WellKnown,
    /// At most a fortnight in the shop.
    NewProduct,
    TrendingProduct,
    OtherProduct,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Stranger,
        Self::Acquaintance,
        Self::Known,
        Self::WellKnown,
        Self::NewProduct,
        Self::TrendingProduct,
        Self::OtherProduct,
    ];
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DaySums {
    pub(super) visits: f64,
    /// What was bought from the strips, in minor units.
    pub(super) revenue: f64,
    pub(super) units: f64,
    /// What is bought of such strips on average: the same without the luck.
    pub(super) expected: f64,
    pub(super) expected_units: f64,
}

/// One shop, played.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// By arm and day.
    days: [Vec<DaySums>; Arm::ALL.len()],
    /// Expected revenue by arm and part, in the second half of the days.
    parts: [[f64; Part::ALL.len()]; Arm::ALL.len()],
    /// Places of strips that showed what could not be bought.
    pub(super) sold_out_shown: u64,
    pub(super) nights: u32,
    /// Nights whose model the gate let through.
    pub(super) promoted: u32,
}

impl Tally {
    pub(super) fn new(days: u32) -> Self {
        Self {
            days: std::array::from_fn(|_| vec![DaySums::default(); days as usize]),
            parts: Default::default(),
            sold_out_shown: 0,
            nights: 0,
            promoted: 0,
        }
    }

    pub(super) fn day(&mut self, arm: Arm, day: i32) -> &mut DaySums {
        &mut self.days[arm as usize][day as usize]
    }

    pub(super) fn add_part(&mut self, arm: Arm, day: i32, part: Part, expected_minor: f64) {
        if day as usize >= self.days[0].len() / 2 {
            self.parts[arm as usize][part as usize] += expected_minor;
        }
    }

    pub(super) fn day_count(&self) -> usize {
        self.days[0].len()
    }

    /// Over days from `from` until before `until`.
    pub(super) fn sums(&self, arm: Arm, from: usize, until: usize) -> DaySums {
        self.days[arm as usize][from..until].iter().fold(DaySums::default(), |sum, day| DaySums {
            visits: sum.visits + day.visits,
            revenue: sum.revenue + day.revenue,
            units: sum.units + day.units,
            expected: sum.expected + day.expected,
            expected_units: sum.expected_units + day.expected_units,
        })
    }

    /// The share of what another earns that an arm misses, over some days; luck aside.
    pub(super) fn regret(&self, arm: Arm, beside: Arm, from: usize, until: usize) -> f64 {
        1.0 - self.sums(arm, from, until).expected / self.sums(beside, from, until).expected
    }

    pub(super) fn part(&self, arm: Arm, part: Part) -> f64 {
        self.parts[arm as usize][part as usize]
    }
}

/// How likely chance alone makes a split of wins and losses at least as uneven, where both are equally likely (two-sided sign test).
pub(super) fn sign_test(wins: usize, losses: usize) -> f64 {
    let n = (wins + losses) as f64;
    let log_chance = |k: f64| ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) - n * 2f64.ln();
    let tail: f64 = (0..=wins.min(losses)).map(|k| log_chance(k as f64).exp()).sum();
    (2.0 * tail).min(1.0)
}

/// A mean with its 95 % interval by Student's t, a value a shop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    /// A number without a spread.
    pub(super) fn exactly(value: f64) -> Self {
        Self { mean: value, low: value, high: value }
    }

    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = t_quantile(0.975, n - 1.0) * (variance / n).sqrt();
        Self { mean, low: mean - half, high: mean + half }
    }

    /// Of ratios: the geometric mean, with the interval of the logarithms.
    pub(super) fn of_ratios(ratios: impl IntoIterator<Item = f64>) -> Self {
        let log = Self::of(ratios.into_iter().map(f64::ln));
        Self { mean: log.mean.exp(), low: log.low.exp(), high: log.high.exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_that_of_the_textbook() {
        // Mean 5, standard deviation 2.138, t(0.975; 7) = 2.3646.
        let interval = Interval::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((interval.mean - 5.0).abs() < 1e-12);
        assert!((interval.high - 6.787_5).abs() < 1e-3 && (interval.low - 3.212_5).abs() < 1e-3, "{interval:?}");
        let ratios = Interval::of_ratios([2.0, 2.0, 0.5, 0.5]);
        assert!((ratios.mean - 1.0).abs() < 1e-12 && ratios.low < 0.5 && ratios.high > 2.0);
    }

    #[test]
    fn the_sign_test_is_that_of_the_textbook() {
        // 2 x (1 + 10) / 2^10.
        assert!((sign_test(9, 1) - 22.0 / 1_024.0).abs() < 1e-9);
        assert_eq!((sign_test(5, 5), sign_test(0, 0)), (1.0, 1.0));
    }

    #[test]
    fn regret_is_what_is_missed_of_the_oracle() {
        let mut tally = Tally::new(4);
        for day in 0..4 {
            tally.day(Arm::Oracle, day).expected = 100.0;
            tally.day(Arm::Merx, day).expected = f64::from(10 * day);
            tally.add_part(Arm::Merx, day, Part::Stranger, 1.0);
        }
        assert!((tally.regret(Arm::Merx, Arm::Oracle, 0, 1) - 1.0).abs() < 1e-12);
        assert!((tally.regret(Arm::Merx, Arm::Oracle, 2, 4) - 0.75).abs() < 1e-12);
        assert_eq!(tally.part(Arm::Merx, Part::Stranger), 2.0, "the second half alone");
    }
}
