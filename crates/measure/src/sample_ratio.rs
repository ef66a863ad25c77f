//! Sample-ratio mismatch: do the arms hold the shares that were planned? If not, something loses or adds units, and no
//! other figure of the experiment can be trusted (Fabijan et al., "Diagnosing Sample Ratio Mismatch", KDD 2019).

use merx_numeric::distributions::{chi_squared_survival, ln_gamma};

/// Pearson's chi-squared test, valid for one look. `shares` are the planned ones, in any unit. `None` where fewer than two
/// arms have a share, lengths differ, or nobody was counted.
pub fn chi_squared(counts: &[u64], shares: &[f64]) -> Option<f64> {
    let expected = expected(counts, shares)?;
    let statistic: f64 =
        counts.iter().zip(&expected).map(|(count, expected)| (*count as f64 - expected).powi(2) / expected).sum();
    Some(chi_squared_survival(statistic, (counts.len() - 1) as f64))
}

/// How strongly the prior of [`always_valid`] believes in small deviations: as if so many units had been seen.
const PRIOR_UNITS: f64 = 10_000.0;

/// A p-value that stays valid under any number of looks: the inverse of the Bayes factor of a Dirichlet mixture against
/// the planned shares. Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022, section 3.
/// Arguments and `None` as of [`chi_squared`].
pub fn always_valid(counts: &[u64], shares: &[f64]) -> Option<f64> {
    let expected = expected(counts, shares)?;
    let total: f64 = expected.iter().sum();
    let mut ln_factor = ln_gamma(PRIOR_UNITS) - ln_gamma(PRIOR_UNITS + total);
    for (count, expected) in counts.iter().zip(&expected) {
        let (count, share) = (*count as f64, expected / total);
        let prior = PRIOR_UNITS * share;
        ln_factor += ln_gamma(prior + count) - ln_gamma(prior) - count * share.ln();
    }
    Some((-ln_factor).exp().min(1.0))
}

fn expected(counts: &[u64], shares: &[f64]) -> Option<Vec<f64>> {
    let total: u64 = counts.iter().sum();
    let whole: f64 = shares.iter().sum();
    let sound = counts.len() == shares.len()
        && counts.len() > 1
        && total > 0
        && whole.is_finite()
        && shares.iter().all(|share| *share > 0.0);
    sound.then(|| shares.iter().map(|share| total as f64 * share / whole).collect())
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    /// Mendel's peas 1866: 315, 101, 108 and 32 of 556 against 9:3:3:1; chi-squared .47002, p .9254 with three degrees
    /// of freedom (Fisher, "Has Mendel's work been rediscovered?", 1936).
    #[test]
    fn mendels_peas_read_as_published() {
        let p = chi_squared(&[315, 101, 108, 32], &[9.0, 3.0, 3.0, 1.0]).unwrap();
        assert!((p - 0.9254).abs() < 1e-4, "{p}");
    }

    #[test]
    fn looking_at_every_thousand_rarely_raises_a_false_alarm_and_a_loss_is_found() {
        let rng = Rng::from_seed(3);
        let alarms = |lost: f64| (0..400).filter(|&trial| alarmed(&mut rng.split(trial), lost)).count();
        // At most 1 % by theory; 4 of 400, and 3 sigma above.
        assert!(alarms(0.0) <= 10);
        // 5 % of one arm's units are lost: eight standard errors after 100,000.
        assert!(alarms(0.05) >= 395);
    }

    fn alarmed(rng: &mut Rng, lost: f64) -> bool {
        let mut counts = [0u64; 2];
        (0..100).any(|_| {
            for _ in 0..1_000 {
                let arm = rng.below(2);
                counts[arm] += u64::from(arm == 0 || !rng.chance(lost));
            }
            always_valid(&counts, &[1.0, 1.0]).is_some_and(|p| p < 0.01)
        })
    }

    #[test]
    fn what_is_no_experiment_has_no_ratio() {
        assert_eq!(chi_squared(&[5], &[1.0]), None);
        assert_eq!(chi_squared(&[0, 0], &[1.0, 1.0]), None);
        assert_eq!(always_valid(&[3, 4], &[1.0, 0.0]), None);
        assert_eq!(always_valid(&[3, 4], &[1.0]), None);
    }
}
