//! The page about an experiment: everything asked in order, from whether it can be trusted to what it was worth.

use serde::{Deserialize, Serialize};

use crate::bayes::{Belief, Posterior, Prior, Standing, believe, standings};
use crate::heterogeneity::{Correction, Heterogeneity, heterogeneity};
use crate::{Alternative, Arm, Effect, Panel, Reading, Scale, Sequential, Unreadable, sample_ratio};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportSettings {
    /// Also holds for the intervals of one look; `sequential` has its own.
    pub alpha: f64,
    pub sequential: Sequential,
    /// Over all comparisons of metrics and arms, and over segments.
    pub correction: Correction,
    /// Of relative lifts.
    pub prior: Prior,
    /// Planned shares of the arms, in any unit.
    pub shares: Vec<f64>,
    /// A mismatch of the sample ratio is called below that p-value, valid under any number of looks.
    pub mismatch_below: f64,
}

impl ReportSettings {
    /// Equal shares, 5 %, Benjamini and Hochberg, no prior, a mismatch below .1 %.
    pub fn of_equal_arms(arms: usize) -> Self {
        Self {
            alpha: 0.05,
            sequential: Sequential::default(),
            correction: Correction::BenjaminiHochberg,
            prior: Prior::default(),
            shares: vec![1.0; arms],
            mismatch_below: 0.001,
        }
    }
}

/// What may be said of a comparison, at any time and however often it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The arms don't hold the planned shares: no figure can be trusted.
    Mismatch,
    Better,
    Worse,
    Undecided,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The treatment's arm; the control is arm 0.
    pub arm: usize,
    pub absolute: Effect,
    pub relative: Effect,
    /// Of the relative effect; valid however often somebody looks.
    pub sequential: Reading,
    /// The sequential p-value, adjusted for all comparisons of the report.
    pub adjusted_p_value: f64,
    /// Of the relative effect; valid only if this is the one look that was planned.
    pub one_look: Reading,
    pub belief: Belief,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    pub name: String,
    pub arms: Vec<Arm>,
    /// By treatment, and why where there is nothing to say.
    pub comparisons: Vec<Result<Comparison, Unreadable>>,
    /// All arms against each other, in the direction that is good; empty where an arm can't be read.
    pub standings: Vec<Standing>,
    /// Whether segments differ, by treatment; `None` where fewer than two can be read.
    pub segments: Vec<Option<Heterogeneity>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub units: Vec<u64>,
    /// Units shown more than one arm; left out.
    pub crossed: u64,
    /// Chance of such counts under the planned shares, valid at any look; `None` where nobody was counted.
    pub sample_ratio_p_value: Option<f64>,
    pub sample_ratio_mismatch: bool,
    pub metrics: Vec<MetricReport>,
}

pub fn report(panel: &Panel, settings: &ReportSettings) -> Report {
    let sample_ratio_p_value = sample_ratio::always_valid(&panel.units, &settings.shares);
    let sample_ratio_mismatch = sample_ratio_p_value.is_some_and(|p| p < settings.mismatch_below);
    let mut metrics: Vec<MetricReport> =
        (0..panel.metrics().len()).map(|metric| read_metric(panel, metric, settings)).collect();
    adjust(&mut metrics, settings);
    for (metric, definition) in metrics.iter_mut().zip(panel.metrics()) {
        for comparison in metric.comparisons.iter_mut().flatten() {
            comparison.verdict =
                verdict(comparison, sample_ratio_mismatch, definition.higher_is_better, settings.sequential.alpha);
        }
    }
    Report { units: panel.units.clone(), crossed: panel.crossed, sample_ratio_p_value, sample_ratio_mismatch, metrics }
}

fn read_metric(panel: &Panel, metric: usize, settings: &ReportSettings) -> MetricReport {
    let definition = &panel.metrics()[metric];
    let arms = panel.arms(metric, &panel.overall(metric));
    let comparisons = (1..arms.len()).map(|arm| compare(&arms, arm, settings)).collect();
    let by_segment: Vec<Vec<Arm>> = (0..usize::from(panel.shape().segments))
        .map(|segment| panel.arms(metric, panel.segment(metric, segment)))
        .collect();
    let segments = (1..arms.len())
        .map(|arm| {
            let pairs: Vec<(Arm, Arm)> = by_segment.iter().map(|arms| (arms[0], arms[arm])).collect();
            heterogeneity(&pairs, Scale::Absolute, settings.correction)
        })
        .collect();
    let standings = stand(&arms, definition.higher_is_better);
    MetricReport { name: definition.name.clone(), arms, comparisons, standings, segments }
}

fn compare(arms: &[Arm], arm: usize, settings: &ReportSettings) -> Result<Comparison, Unreadable> {
    let absolute = Effect::between(&arms[0], &arms[arm], Scale::Absolute)?;
    let relative = Effect::between(&arms[0], &arms[arm], Scale::Relative)?;
    let sequential = settings.sequential.read(&relative);
    Ok(Comparison {
        arm,
        absolute,
        relative,
        sequential,
        adjusted_p_value: sequential.p_value,
        one_look: relative.fixed(settings.alpha, Alternative::TwoSided),
        belief: believe(&relative, &settings.prior, settings.alpha),
        verdict: Verdict::Undecided,
    })
}

fn stand(arms: &[Arm], higher_is_better: bool) -> Vec<Standing> {
    let readable = |arm: &Arm| arm.units > 1 && arm.variance > 0.0 && arm.mean.is_finite();
    if !arms.iter().all(readable) {
        return Vec::new();
    }
    let sign = if higher_is_better { 1.0 } else { -1.0 };
    let beliefs: Vec<Posterior> =
        arms.iter().map(|arm| Posterior::of_mean(&Arm { mean: sign * arm.mean, ..*arm })).collect();
    standings(&beliefs)
}

fn adjust(metrics: &mut [MetricReport], settings: &ReportSettings) {
    let mut all: Vec<&mut Comparison> =
        metrics.iter_mut().flat_map(|metric| metric.comparisons.iter_mut().flatten()).collect();
    let p_values: Vec<f64> = all.iter().map(|comparison| comparison.sequential.p_value).collect();
    for (comparison, adjusted) in all.iter_mut().zip(settings.correction.adjust(&p_values)) {
        comparison.adjusted_p_value = adjusted;
    }
}

fn verdict(comparison: &Comparison, mismatch: bool, higher_is_better: bool, alpha: f64) -> Verdict {
    if mismatch {
        return Verdict::Mismatch;
    }
    if comparison.adjusted_p_value >= alpha {
        return Verdict::Undecided;
    }
    match (comparison.relative.estimate > 0.0) == higher_is_better {
        true => Verdict::Better,
        false => Verdict::Worse,
    }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::{Exposure, Metric, Outcome, PanelShape, Shape, SignalId, join};

    const ORDER: SignalId = SignalId(0);
    const COMPLAINT: SignalId = SignalId(1);

    /// Arm 1 buys half as much again and complains twice as often; arm 2 is like the control.
    fn shop(lost: f64) -> Panel {
        let mut rng = Rng::from_seed(3);
        let (mut exposures, mut outcomes) = (Vec::new(), Vec::new());
        for unit in 0..60_000u64 {
            let arm = rng.below(3) as u16;
            if arm == 1 && rng.chance(lost) {
                continue;
            }
            exposures.push(Exposure { unit, at_ms: 0, arm, segment: (unit % 4) as u16 });
            let mut act = |signal, p: f64| {
                if rng.chance(p) {
                    outcomes.push(Outcome { unit, at_ms: 1, signal, value: 1.0 });
                }
            };
            act(ORDER, if arm == 1 { 0.06 } else { 0.04 });
            act(COMPLAINT, if arm == 1 { 0.02 } else { 0.01 });
        }
        let metrics = [
            Metric::new("conversion", Shape::Share { signal: ORDER }),
            Metric { higher_is_better: false, ..Metric::new("complaints", Shape::Share { signal: COMPLAINT }) },
        ];
        join(&exposures, &outcomes, &metrics, PanelShape { arms: 3, segments: 4, now_ms: 10 }).unwrap()
    }

    fn verdicts(report: &Report) -> Vec<Verdict> {
        report.metrics.iter().flat_map(|m| &m.comparisons).map(|c| c.as_ref().unwrap().verdict).collect()
    }

    #[test]
    fn the_planted_effects_are_told() {
        let report = report(&shop(0.0), &ReportSettings::of_equal_arms(3));
        assert!(!report.sample_ratio_mismatch);
        assert_eq!(verdicts(&report), [Verdict::Better, Verdict::Undecided, Verdict::Worse, Verdict::Undecided]);
        assert!(report.metrics[0].standings[1].chance_to_be_best > 0.999);
        assert!(report.metrics[1].standings[1].chance_to_be_best < 0.001);
        let lift = report.metrics[0].comparisons[0].as_ref().unwrap();
        assert!(lift.sequential.low < 0.5 && 0.5 < lift.sequential.high);
        assert!(lift.one_look.low > lift.sequential.low, "one look is surer of itself");
        assert!(report.metrics[0].segments.iter().all(|segments| segments.as_ref().unwrap().segments.len() == 4));
    }

    #[test]
    fn nothing_is_told_where_units_were_lost() {
        let report = report(&shop(0.1), &ReportSettings::of_equal_arms(3));
        assert!(report.sample_ratio_mismatch);
        assert!(verdicts(&report).iter().all(|verdict| *verdict == Verdict::Mismatch));
    }

    #[test]
    fn an_empty_experiment_has_a_report() {
        let metrics = [Metric::new("conversion", Shape::Share { signal: ORDER })];
        let panel = join(&[], &[], &metrics, PanelShape { arms: 2, segments: 1, now_ms: 0 }).unwrap();
        let report = report(&panel, &ReportSettings::of_equal_arms(2));
        assert_eq!(report.metrics[0].comparisons, [Err(Unreadable::TooFewUnits)]);
        assert_eq!(report.sample_ratio_p_value, None);
    }
}
