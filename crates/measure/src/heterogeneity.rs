//! Does the change do different things to different people? Effects by segment, and tests of whether they differ.

use merx_numeric::distributions::{chi_squared_survival, normal_survival};
use serde::{Deserialize, Serialize};

use crate::multiple::{benjamini_hochberg, holm};
use crate::{Arm, Effect, Scale};

/// How many false calls are accepted among many segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Hardly any (family-wise error).
    Holm,
    /// A share of the calls (false discovery rate).
    BenjaminiHochberg,
}

impl Correction {
    pub fn adjust(self, p_values: &[f64]) -> Vec<f64> {
        match self {
            Self::Holm => holm(p_values),
            Self::BenjaminiHochberg => benjamini_hochberg(p_values),
        }
    }
}

/// One segment's effect beside that of all other segments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SegmentEffect {
    /// Place among the segments that were handed in.
    pub segment: usize,
    pub effect: Effect,
    /// This effect minus the precision-weighted effect of the others.
    pub against_others: f64,
    /// Of that difference, adjusted for the number of segments.
    pub adjusted_p_value: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heterogeneity {
    /// That the effects are as different by chance: the interaction test over all segments.
    pub p_value: f64,
    /// Share of the variation between segments that isn't chance (I^2: Higgins and Thompson 2002).
    pub share_not_chance: f64,
    /// Segments that could be read; the others have too few units.
    pub segments: Vec<SegmentEffect>,
}

/// Compares the effects of segments, each given as control and treatment; a unit is in one segment only. `None` where
/// fewer than two can be read. The test is Cochran's Q ("The combination of estimates from different experiments", 1954).
pub fn heterogeneity(segments: &[(Arm, Arm)], scale: Scale, correction: Correction) -> Option<Heterogeneity> {
    let read: Vec<(usize, Effect)> = segments
        .iter()
        .enumerate()
        .filter_map(|(place, (control, treatment))| Some((place, Effect::between(control, treatment, scale).ok()?)))
        .collect();
    if read.len() < 2 {
        return None;
    }
    let weight = |effect: &Effect| effect.standard_error.powi(-2);
    let total: f64 = read.iter().map(|(_, effect)| weight(effect)).sum();
    let weighted: f64 = read.iter().map(|(_, effect)| weight(effect) * effect.estimate).sum();
    let q: f64 = read.iter().map(|(_, effect)| weight(effect) * (effect.estimate - weighted / total).powi(2)).sum();
    let degrees = (read.len() - 1) as f64;

    let differences: Vec<(f64, f64)> = read
        .iter()
        .map(|(_, effect)| {
            let others = total - weight(effect);
            let difference = effect.estimate - (weighted - weight(effect) * effect.estimate) / others;
            let error = (weight(effect).recip() + others.recip()).sqrt();
            (difference, 2.0 * normal_survival((difference / error).abs()))
        })
        .collect();
    let p_values: Vec<f64> = differences.iter().map(|(_, p)| *p).collect();
    let adjusted = correction.adjust(&p_values);
    let segments = read
        .iter()
        .zip(&differences)
        .zip(adjusted)
        .map(|(((segment, effect), (against_others, _)), adjusted_p_value)| SegmentEffect {
            segment: *segment,
            effect: *effect,
            against_others: *against_others,
            adjusted_p_value,
        })
        .collect();
    Some(Heterogeneity {
        p_value: chi_squared_survival(q, degrees),
        share_not_chance: if q > 0.0 { ((q - degrees) / q).max(0.0) } else { 0.0 },
        segments,
    })
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    fn segments(rng: &mut Rng, lifts: &[f64]) -> Vec<(Arm, Arm)> {
        let mut share = |p: f64| Arm::proportion((0..4_000).filter(|_| rng.chance(p)).count() as u64, 4_000);
        lifts.iter().map(|lift| (share(0.10), share(0.10 * (1.0 + lift)))).collect()
    }

    #[test]
    fn the_segment_that_differs_is_found() {
        let arms = segments(&mut Rng::from_seed(2), &[0.0, 0.0, 0.0, 0.5, 0.0]);
        let found = heterogeneity(&arms, Scale::Relative, Correction::Holm).unwrap();
        assert!(found.p_value < 0.01 && found.share_not_chance > 0.3, "{found:?}");
        let called: Vec<usize> =
            found.segments.iter().filter(|s| s.adjusted_p_value < 0.05).map(|s| s.segment).collect();
        assert_eq!(called, [3]);
    }

    #[test]
    fn the_same_effect_everywhere_is_rarely_called_different() {
        let rng = Rng::from_seed(9);
        let mut any = 0;
        let mut overall = 0;
        for trial in 0..300 {
            let arms = segments(&mut rng.split(trial), &[0.1; 8]);
            let found = heterogeneity(&arms, Scale::Absolute, Correction::Holm).unwrap();
            overall += usize::from(found.p_value < 0.05);
            any += usize::from(found.segments.iter().any(|segment| segment.adjusted_p_value < 0.05));
        }
        // 15 are expected of 300; 27 is three sigma above.
        assert!(overall <= 27 && any <= 27, "{overall} {any}");
    }

    #[test]
    fn one_segment_is_no_comparison() {
        let empty = Arm::proportion(0, 0);
        let some = (Arm::proportion(5, 50), Arm::proportion(9, 50));
        assert!(heterogeneity(&[some, (empty, empty)], Scale::Absolute, Correction::Holm).is_none());
    }
}
