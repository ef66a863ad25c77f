//! Many comparisons at once: how often somebody is fooled after the correction.

use merx_numeric::distributions::normal_survival;
use merx_numeric::rng::Rng;
use rayon::prelude::*;
use serde_json::json;

use super::{Emit, number, share};
use crate::multiple::{benjamini_hochberg, holm};

const COMPARISONS: usize = 20;
/// Of them, with a real effect of three standard errors.
const REAL: usize = 5;
const ALPHA: f64 = 0.05;

pub(super) fn simulate(trials: usize, rng: &Rng, emit: &mut Emit<'_>) {
    let outcomes: Vec<(bool, f64)> = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let p_values = p_values(&mut rng.split(trial as u64));
            let any_false = holm(&p_values)[REAL..].iter().any(|p| *p < ALPHA);
            (any_false, false_share(&benjamini_hochberg(&p_values)))
        })
        .collect();
    let settings = json!({ "trials": trials, "comparisons": COMPARISONS, "real": REAL, "alpha": ALPHA });
    let fooled = outcomes.iter().filter(|(any_false, _)| *any_false).count();
    emit(&share("family_wise_error_of_holm", "normal", fooled, trials, settings.clone()));
    let discoveries = outcomes.iter().map(|(_, share)| share).sum::<f64>() / trials.max(1) as f64;
    emit(&number("false_discovery_rate_of_benjamini_hochberg", "fraction", "normal", discoveries, settings));
}

fn p_values(rng: &mut Rng) -> Vec<f64> {
    let z = (0..COMPARISONS).map(|place| rng.normal() + if place < REAL { 3.0 } else { 0.0 });
    z.map(|z| 2.0 * normal_survival(z.abs())).collect()
}

/// Share of the calls that are false; 0 where nothing is called.
fn false_share(adjusted: &[f64]) -> f64 {
    let calls = |p_values: &[f64]| p_values.iter().filter(|p| **p < ALPHA).count();
    calls(&adjusted[REAL..]) as f64 / calls(adjusted).max(1) as f64
}
