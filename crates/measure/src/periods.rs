//! The course of an effect over days since exposure: does novelty wear off, and what remains in the long run?

use merx_numeric::distributions::{chi_squared_survival, normal_quantile};
use serde::{Deserialize, Serialize};

use crate::{Alternative, Effect, Reading, Scale, Unreadable};

/// Moments of what units bring on each of a fixed number of days since their exposure, days together: the same people are
/// behind all days, so that days depend on each other. Size: D + D (D + 1) / 2 numbers for D days; parts merge exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Periods {
    count: u64,
    mean: Vec<f64>,
    /// The upper triangle, row by row.
    comoments: Vec<f64>,
}

/// More days than anybody looks at; it bounds the size.
const MOST_DAYS: usize = 180;

impl Periods {
    /// For `days` days, at least 1 and at most 180.
    pub fn new(days: usize) -> Self {
        let days = days.clamp(1, MOST_DAYS);
        Self { count: 0, mean: vec![0.0; days], comoments: vec![0.0; days * (days + 1) / 2] }
    }

    pub fn days(&self) -> usize {
        self.mean.len()
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a unit that was observed on all days, a value a day; days that are missing count as 0.
    pub fn add(&mut self, values: &[f64]) {
        self.count += 1;
        let n = self.count as f64;
        let before: Vec<f64> =
            self.mean.iter().enumerate().map(|(day, mean)| values.get(day).unwrap_or(&0.0) - mean).collect();
        self.spread(&before, (n - 1.0) / n);
        self.shift(&before, 1.0 / n);
    }

    /// Adds so many units that did nothing on any day.
    pub(crate) fn add_idle(&mut self, count: u64) {
        self.merge(&Self { count, ..Self::new(self.days()) });
    }

    #[cfg(test)]
    pub(crate) fn is_close_to(&self, other: &Self, within: f64) -> bool {
        let all = |periods: &Self| [periods.mean.clone(), periods.comoments.clone()].concat();
        all(self).iter().zip(all(other)).all(|(one, other)| (one - other).abs() <= within * other.abs().max(1.0))
    }

    /// Adds the units of another part. Parts with another number of days are refused.
    pub fn merge(&mut self, other: &Self) -> bool {
        if other.days() != self.days() {
            return false;
        }
        if other.count == 0 {
            return true;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(theirs, ours)| theirs - ours).collect();
        self.comoments.iter_mut().zip(&other.comoments).for_each(|(ours, theirs)| *ours += theirs);
        self.spread(&delta, n * m / (n + m));
        self.shift(&delta, m / (n + m));
        self.count += other.count;
        true
    }

    fn spread(&mut self, delta: &[f64], weight: f64) {
        let mut comoments = self.comoments.iter_mut();
        for (i, left) in delta.iter().enumerate() {
            for (right, comoment) in delta[i..].iter().zip(&mut comoments) {
                *comoment += left * right * weight;
            }
        }
    }

    fn shift(&mut self, delta: &[f64], weight: f64) {
        self.mean.iter_mut().zip(delta).for_each(|(mean, delta)| *mean += delta * weight);
    }

    fn contrast(&self, weights: &[f64]) -> f64 {
        self.mean.iter().zip(weights).map(|(mean, weight)| mean * weight).sum()
    }

    /// Variance of a weighted sum of the daily means.
    fn variance_of_contrast(&self, weights: &[f64]) -> f64 {
        let mut sum = 0.0;
        let mut comoments = self.comoments.iter();
        for (i, left) in weights.iter().enumerate() {
            for (j, (right, comoment)) in weights[i..].iter().zip(&mut comoments).enumerate() {
                sum += if j == 0 { 1.0 } else { 2.0 } * left * right * comoment;
            }
        }
        sum / (self.count as f64 - 1.0) / self.count as f64
    }
}

/// A control's and a treatment's days, to be compared.
#[derive(Debug, Clone, Copy)]
pub struct PeriodEffects<'a> {
    control: &'a Periods,
    treatment: &'a Periods,
}

/// What an effect tends to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LongTerm {
    /// Effect a day once it has settled.
    pub effect: f64,
    pub low: f64,
    pub high: f64,
    /// Effect on the first day, of the fitted curve.
    pub first_day: f64,
    /// Days in which the difference from the settled effect falls to 1/e.
    pub decay_days: f64,
}

impl<'a> PeriodEffects<'a> {
    /// `TooFewUnits` also where the two count different numbers of days.
    pub fn new(control: &'a Periods, treatment: &'a Periods) -> Result<Self, Unreadable> {
        match control.days() == treatment.days() && control.count > 1 && treatment.count > 1 {
            true => Ok(Self { control, treatment }),
            false => Err(Unreadable::TooFewUnits),
        }
    }

    /// The difference of a weighted sum of days, with an error that knows how days of one unit hang together.
    fn contrast(&self, weights: &[f64]) -> Result<Effect, Unreadable> {
        let variance = self.control.variance_of_contrast(weights) + self.treatment.variance_of_contrast(weights);
        if variance <= 0.0 {
            return Err(Unreadable::NoVariance);
        }
        if !variance.is_finite() {
            return Err(Unreadable::NotANumber);
        }
        Ok(Effect {
            scale: Scale::Absolute,
            estimate: self.treatment.contrast(weights) - self.control.contrast(weights),
            standard_error: variance.sqrt(),
            units: self.control.count + self.treatment.count,
            precision: f64::INFINITY,
            degrees_of_freedom: (self.control.count.min(self.treatment.count) - 1) as f64,
        })
    }

    /// The effect on each day.
    pub fn daily(&self) -> Vec<Result<Effect, Unreadable>> {
        let days = self.control.days();
        (0..days)
            .map(|day| {
                let mut weights = vec![0.0; days];
                weights[day] = 1.0;
                self.contrast(&weights)
            })
            .collect()
    }

    /// By how much the effect grows a day (least-squares slope over days). Significantly towards 0: novelty wears off;
    /// away from it: people learn. One look.
    pub fn novelty(&self, alpha: f64) -> Result<(Effect, Reading), Unreadable> {
        let days = self.control.days();
        let middle = 0.5 * (days as f64 - 1.0);
        let squares: f64 = (0..days).map(|day| (day as f64 - middle).powi(2)).sum();
        if squares == 0.0 {
            return Err(Unreadable::TooFewUnits);
        }
        let weights: Vec<f64> = (0..days).map(|day| (day as f64 - middle) / squares).collect();
        let slope = self.contrast(&weights)?;
        Ok((slope, slope.fixed(alpha, Alternative::TwoSided)))
    }

    /// The effect in the long run, if it approaches a level exponentially: effect(day) = L + (S - L) exp(-day / tau), the
    /// curve of user learning in Hohnhold, O'Brien and Tang, "Focusing on the Long-term", KDD 2015, section 3.4. For each of a grid
    /// of tau, L and S are linear in the daily effects; the interval is the union over all tau that fit the days about as
    /// well as the best (likelihood ratio at `alpha`), so a course that is still falling has a wide one.
    pub fn long_term(&self, alpha: f64) -> Result<LongTerm, Unreadable> {
        let daily: Vec<Effect> = self.daily().into_iter().collect::<Result<_, _>>()?;
        if daily.len() < 4 {
            return Err(Unreadable::TooFewUnits);
        }
        let fits: Vec<Curve> = decays(daily.len()).map(|tau| Curve::fit(&daily, tau)).collect();
        let best = fits.iter().map(|fit| fit.misfit).fold(f64::INFINITY, f64::min);
        let mut answer: Option<LongTerm> = None;
        for fit in fits.iter().filter(|fit| chi_squared_survival(fit.misfit - best, 1.0) >= alpha) {
            let level = self.contrast(&fit.weights_of_level)?;
            let half = normal_quantile(1.0 - 0.5 * alpha) * level.standard_error;
            let (low, high) = (level.estimate - half, level.estimate + half);
            let so_far = answer.unwrap_or(LongTerm {
                effect: level.estimate,
                low,
                high,
                first_day: fit.first_day,
                decay_days: fit.decay_days,
            });
            let is_best = fit.misfit <= best;
            answer = Some(LongTerm {
                effect: if is_best { level.estimate } else { so_far.effect },
                first_day: if is_best { fit.first_day } else { so_far.first_day },
                decay_days: if is_best { fit.decay_days } else { so_far.decay_days },
                low: so_far.low.min(low),
                high: so_far.high.max(high),
            });
        }
        answer.ok_or(Unreadable::NotANumber)
    }
}

/// From half a day to three times the days that were seen, 24 steps.
fn decays(days: usize) -> impl Iterator<Item = f64> {
    let ratio = (3.0 * days as f64 / 0.5).ln() / 23.0;
    (0..24).map(move |step| 0.5 * (ratio * f64::from(step)).exp())
}

struct Curve {
    decay_days: f64,
    /// Weighted sum of squared residuals.
    misfit: f64,
    first_day: f64,
    /// The settled level as a weighted sum of the daily effects.
    weights_of_level: Vec<f64>,
}

impl Curve {
    /// Weighted least squares for effect(day) = L (1 - e) + S e with e = exp(-day / tau).
    fn fit(daily: &[Effect], tau: f64) -> Self {
        let fade: Vec<f64> = (0..daily.len()).map(|day| (-(day as f64) / tau).exp()).collect();
        let weight: Vec<f64> = daily.iter().map(|effect| effect.standard_error.powi(-2)).collect();
        let sum = |of: &dyn Fn(usize) -> f64| (0..daily.len()).map(|day| weight[day] * of(day)).sum::<f64>();
        let (level, start) = (|day: usize| 1.0 - fade[day], |day: usize| fade[day]);
        let ll = sum(&|day| level(day) * level(day));
        let ls = sum(&|day| level(day) * start(day));
        let ss = sum(&|day| start(day) * start(day));
        let determinant = ll * ss - ls * ls;
        let solve = |day: usize, a: f64, b: f64| weight[day] * (a * level(day) + b * start(day)) / determinant;
        let weights_of_level: Vec<f64> = (0..daily.len()).map(|day| solve(day, ss, -ls)).collect();
        let of_effects = |weight_of: &dyn Fn(usize) -> f64| -> f64 {
            daily.iter().enumerate().map(|(day, effect)| weight_of(day) * effect.estimate).sum()
        };
        let settled = of_effects(&|day| weights_of_level[day]);
        let first_day = of_effects(&|day| solve(day, -ls, ll));
        let misfit = sum(&|day| (daily[day].estimate - settled * level(day) - first_day * start(day)).powi(2));
        Self { decay_days: tau, misfit, first_day, weights_of_level }
    }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    const DAYS: usize = 21;

    /// People differ, so one person's days are alike.
    fn course(rng: &mut Rng, people: usize, effect: impl Fn(f64) -> f64) -> Periods {
        let mut periods = Periods::new(DAYS);
        for _ in 0..people {
            let level = 5.0 + rng.normal();
            let values: Vec<f64> = (0..DAYS).map(|day| level + effect(day as f64) + rng.normal()).collect();
            periods.add(&values);
        }
        periods
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let whole = course(&mut Rng::from_seed(1), 40, |_| 0.0);
        let mut rng = Rng::from_seed(1);
        let mut parts = course(&mut rng, 15, |_| 0.0);
        assert!(parts.merge(&course(&mut rng, 25, |_| 0.0)));
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(&whole.mean, &parts.mean) && close(&whole.comoments, &parts.comoments));
        assert!(!parts.merge(&Periods::new(3)));
    }

    #[test]
    fn a_constant_effect_is_rarely_called_a_novelty() {
        let rng = Rng::from_seed(4);
        let calls = (0..200).filter(|&trial| {
            let mut rng = rng.split(trial);
            let (control, treatment) = (course(&mut rng, 200, |_| 0.0), course(&mut rng, 200, |_| 0.3));
            PeriodEffects::new(&control, &treatment).unwrap().novelty(0.05).unwrap().1.excludes_zero()
        });
        // 10 expected, 19 is three sigma above.
        assert!(calls.count() <= 19);
    }

    #[test]
    fn an_effect_that_wears_off_is_noticed_and_its_level_is_covered() {
        let rng = Rng::from_seed(6);
        let fading = |day: f64| 0.2 + 0.8 * (-day / 4.0).exp();
        let (mut noticed, mut covered) = (0, 0);
        for trial in 0..100 {
            let mut rng = rng.split(trial);
            let (control, treatment) = (course(&mut rng, 800, |_| 0.0), course(&mut rng, 800, fading));
            let effects = PeriodEffects::new(&control, &treatment).unwrap();
            let (slope, reading) = effects.novelty(0.05).unwrap();
            noticed += usize::from(slope.estimate < 0.0 && reading.excludes_zero());
            let long = effects.long_term(0.05).unwrap();
            covered += usize::from(long.low <= 0.2 && 0.2 <= long.high);
        }
        assert!(noticed >= 99, "{noticed}");
        assert!(covered >= 92, "{covered}");
    }
}
