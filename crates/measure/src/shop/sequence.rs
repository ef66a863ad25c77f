//! How surely an experiment could be read at each moment since it began: the confidence sequence as it narrows.

use merx_domain::TimestampMs;
use serde::Serialize;

use super::metrics::{METRICS, metric};
use super::page::Interval;
use super::reading::{Question, Rows};
use crate::report::{ReportSettings, report};
use crate::{PanelError, PanelShape, join};

/// The lift of one metric, as reports of earlier moments told it.
#[derive(Debug, Clone, Serialize)]
pub struct SequencePage {
    pub experiment: String,
    pub read_at: String,
    pub metric: &'static str,
    pub words: &'static str,
    pub higher_is_better: bool,
    /// Treatments, each compared with the control.
    pub arms: Vec<ArmSequence>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ArmSequence {
    pub arm: String,
    /// Oldest first, evenly between the first exposure and now; none before anybody was shown anything.
    pub looks: Vec<Look>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Look {
    pub at: String,
    /// Of this arm and the control.
    pub units: u64,
    /// Relative to the control: .05 is 5 % more. None where there was too little to say.
    pub lift: Option<f64>,
    /// Of the lift; valid however often somebody looks.
    pub sequential: Option<Interval>,
    /// Of the lift; valid if this had been the one look that was planned.
    pub one_look: Option<Interval>,
}

/// Reads the rows as they were at `looks` moments. An unknown metric, or one read off quantiles, has no sequence: [`PanelError::Nothing`].
pub fn sequence_of(rows: &Rows, question: &Question<'_>, name: &str, looks: usize) -> Result<SequencePage, PanelError> {
    let experiment = question.experiment;
    let known = METRICS.iter().find(|known| known.name == name).ok_or(PanelError::Nothing)?;
    let definition = [metric(name).ok_or(PanelError::Nothing)?];
    let settings = ReportSettings {
        shares: experiment.arms.iter().map(|arm| f64::from(arm.share)).collect(),
        ..ReportSettings::of_equal_arms(experiment.arms.len())
    };
    let arm = |arm: &merx_domain::experiment::ArmDefinition| ArmSequence { arm: arm.name.to_string(), looks: vec![] };
    let mut arms: Vec<ArmSequence> = experiment.arms.iter().skip(1).map(arm).collect();
    for at in moments(rows, question.now, looks) {
        // Later rows don't exist yet for the panel.
        let shape =
            PanelShape { arms: experiment.arms.len() as u16, segments: rows.segments.len() as u16, now_ms: at.0 };
        let read = report(&join(&rows.exposures, &rows.outcomes, &definition, shape)?, &settings);
        let comparisons = read.metrics.iter().flat_map(|metric| &metric.comparisons);
        for (place, (arm, comparison)) in arms.iter_mut().zip(comparisons).enumerate() {
            let comparison = comparison.as_ref().ok();
            arm.looks.push(Look {
                at: at.to_string(),
                units: read.units[0] + read.units[place + 1],
                lift: comparison.map(|one| one.relative.estimate),
                sequential: comparison.map(|one| one.sequential.into()),
                one_look: comparison.map(|one| one.one_look.into()),
            });
        }
    }
    Ok(SequencePage {
        experiment: experiment.id.to_string(),
        read_at: question.now.to_string(),
        metric: known.name,
        words: known.words,
        higher_is_better: known.higher_is_better,
        arms,
    })
}

/// Evenly between the first exposure and now, which is the last one.
fn moments(rows: &Rows, now: TimestampMs, looks: usize) -> Vec<TimestampMs> {
    let first = rows.exposures.iter().map(|exposure| exposure.at_ms).min().filter(|first| *first < now.0);
    let Some(first) = first else { return Vec::new() };
    let span = i128::from(now.0 - first);
    let moment = |look: usize| TimestampMs(first + (span * look as i128 / looks as i128) as i64);
    (1..=looks).map(moment).collect()
}

#[cfg(test)]
mod tests {
    use merx_domain::experiment::{
        ArmDefinition, BucketRange, Experiment, ExperimentId, ExperimentKind, ExperimentState, LayerId, Targeting,
        UnitKind,
    };
    use merx_domain::{Currency, DAY_MS};
    use merx_numeric::rng::Rng;

    use super::super::metrics::signal;
    use super::super::page::page_of;
    use super::super::reading::SegmentBy;
    use super::*;
    use crate::{Exposure, Outcome, Sketch};

    const START: TimestampMs = TimestampMs(20_000 * DAY_MS);
    const DAYS: i64 = 10;

    fn experiment() -> Experiment {
        let arm = |name: &str| ArmDefinition { name: name.into(), share: 5_000 };
        Experiment {
            id: ExperimentId::new("x"),
            kind: ExperimentKind::Test,
            state: ExperimentState::Running,
            unit: UnitKind::Subject,
            layer: LayerId::new("x"),
            range: BucketRange::ALL,
            ramp: 10_000,
            salt: "x".into(),
            arms: vec![arm("a"), arm("b")],
            targeting: Targeting::default(),
            metrics: vec!["conversion".into()],
            starts_at: START,
            ends_at: None,
        }
    }

    /// Over ten days shoppers come; one in ten of arm a orders at once, and fifteen in a hundred of arm b.
    fn rows() -> Rows {
        let mut rng = Rng::from_seed(5);
        let mut rows = Rows { segments: vec!["none".into()], latencies: vec![Sketch::default(); 2], ..Rows::default() };
        for unit in 0..20_000u64 {
            let arm = rng.below(2) as u16;
            let at_ms = START.0 + rng.below((DAYS * DAY_MS) as usize) as i64;
            rows.exposures.push(Exposure { unit, at_ms, arm, segment: 0 });
            if rng.chance(if arm == 1 { 0.15 } else { 0.10 }) {
                rows.outcomes.push(Outcome { unit, at_ms: at_ms + 1, signal: signal::ORDER, value: 1.0 });
            }
        }
        rows
    }

    #[test]
    fn the_interval_narrows_around_the_planted_lift_and_ends_where_the_report_is() {
        let (experiment, rows) = (experiment(), rows());
        let question = Question {
            experiment: &experiment,
            own_exposure: "own",
            told_by_pages: false,
            segment_by: SegmentBy::Device,
            currency: Currency::EUR,
            now: START.plus_ms(DAYS * DAY_MS),
            cost: &|_, _| None,
        };
        let page = sequence_of(&rows, &question, "conversion", 20).unwrap();
        let looks = &page.arms[0].looks;
        assert_eq!((page.arms.len(), page.arms[0].arm.as_str(), looks.len()), (1, "b", 20));
        assert!(looks.windows(2).all(|pair| pair[0].units < pair[1].units && pair[0].at < pair[1].at));

        let ends = |look: &Look| {
            let interval = look.sequential.as_ref().unwrap();
            (interval.low.unwrap(), interval.high.unwrap())
        };
        let width = |look: &Look| ends(look).1 - ends(look).0;
        let told: Vec<&Look> =
            looks.iter().filter(|look| look.sequential.as_ref().is_some_and(|i| i.low.is_some())).collect();
        assert!(width(told[told.len() - 1]) < width(told[0]) / 2.0, "it narrows");
        assert!(
            told.iter().all(|look| ends(look).0 < 0.5 && 0.5 < ends(look).1),
            "and holds the planted lift at every look"
        );
        assert!(ends(told[told.len() - 1]).0 > 0.0, "by the end it is told apart from nothing");

        let report = page_of(&rows, &question).unwrap();
        let told_now = report.metrics[0].comparisons[0].sequential.as_ref().unwrap();
        let last = looks[19].sequential.as_ref().unwrap();
        assert_eq!((last.low, last.high), (told_now.low, told_now.high));
    }

    #[test]
    fn what_nobody_was_shown_has_no_looks_and_what_no_panel_knows_has_no_sequence() {
        let experiment = experiment();
        let question = Question {
            experiment: &experiment,
            own_exposure: "own",
            told_by_pages: false,
            segment_by: SegmentBy::Device,
            currency: Currency::EUR,
            now: START,
            cost: &|_, _| None,
        };
        let empty = Rows { segments: vec!["none".into()], ..Rows::default() };
        assert!(sequence_of(&empty, &question, "conversion", 20).unwrap().arms[0].looks.is_empty());
        for name in ["luck", super::super::metrics::LATENCY] {
            assert_eq!(sequence_of(&rows(), &question, name, 20).unwrap_err(), PanelError::Nothing);
        }
    }
}
