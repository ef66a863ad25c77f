//! The page about a shop's experiment, with the names that people know it by.

use merx_domain::experiment::Experiment;
use merx_store::{EventLog, StoreError};
use serde::Serialize;

use super::metrics::{LATENCY, METRICS, ShopMetric, metric, signal};
use super::reading::{Question, Rows, read};
use crate::report::{MetricReport, Report, ReportSettings, Verdict, report};
use crate::{
    Alternative, Effect, Metric, PanelError, PanelShape, PeriodEffects, Periods, QuantileEstimate, Reading, Shape,
    SignalId, join,
};

const ALPHA: f64 = 0.05;
/// The course of an effect is told over at most so many days.
const MOST_DAYS: usize = 14;
/// A course of fewer days is none.
const FEWEST_DAYS: usize = 4;
const LATENCY_QUANTILE: f64 = 0.95;

#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Panel(#[from] PanelError),
}

#[derive(Debug, Clone, Serialize)]
pub struct Page {
    pub experiment: String,
    pub read_at: String,
    pub currency: String,
    pub trust: Trust,
    pub arms: Vec<ArmPage>,
    /// The metrics that decide it first, then those that are only watched, corrected apart.
    pub metrics: Vec<MetricPage>,
    pub latency: Option<LatencyPage>,
    /// How the effect on the first deciding metric goes over days since exposure, by treatment.
    pub course: Vec<CoursePage>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Trust {
    pub sample_ratio_p_value: Option<f64>,
    /// The arms don't hold the planned shares: no figure can be trusted.
    pub sample_ratio_mismatch: bool,
    /// Units that were shown several arms; left out.
    pub crossed_units: u64,
    pub unknown_exposures: u64,
    pub events_read: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ArmPage {
    pub name: String,
    pub planned_percent: f64,
    pub units: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct MetricPage {
    pub name: &'static str,
    pub words: &'static str,
    pub unit: &'static str,
    pub higher_is_better: bool,
    pub decides: bool,
    pub arms: Vec<ArmValuePage>,
    pub comparisons: Vec<ComparisonPage>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ArmValuePage {
    pub arm: String,
    pub units: u64,
    pub mean: Option<f64>,
    /// Chance to be the best arm, and what choosing it would cost if it isn't.
    pub chance_to_be_best: Option<f64>,
    pub expected_loss: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Interval {
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p_value: f64,
}

impl From<Reading> for Interval {
    fn from(reading: Reading) -> Self {
        let finite = |end: f64| end.is_finite().then_some(end);
        Self { low: finite(reading.low), high: finite(reading.high), p_value: reading.p_value }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct ComparisonPage {
    pub arm: String,
    /// better, worse, undecided, mismatch; or why there is nothing to say.
    pub verdict: String,
    /// Relative to the control: .05 is 5 % more.
    pub lift: Option<f64>,
    /// Of the lift; valid however often somebody looks.
    pub sequential: Option<Interval>,
    /// The sequential p-value, corrected for all comparisons.
    pub adjusted_p_value: Option<f64>,
    /// Of the lift; valid if this is the one look that was planned.
    pub one_look: Option<Interval>,
    /// In the metric's unit.
    pub difference: Option<f64>,
    pub belief: Option<BeliefPage>,
    pub segments: Vec<SegmentPage>,
    /// That segments differ as much by chance.
    pub segments_p_value: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BeliefPage {
    pub lift: f64,
    pub low: f64,
    pub high: f64,
    pub chance_to_win: f64,
    pub loss_of_control: f64,
    pub loss_of_treatment: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct SegmentPage {
    pub segment: String,
    /// In the metric's unit.
    pub difference: f64,
    pub standard_error: f64,
    pub units: u64,
    /// That this segment differs from the others by chance, corrected.
    pub adjusted_p_value: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct LatencyPage {
    pub unit: &'static str,
    pub quantile: f64,
    pub arms: Vec<QuantilePage>,
    /// Treatment less control, by treatment.
    pub differences: Vec<DifferencePage>,
}

#[derive(Debug, Clone, Serialize)]
pub struct QuantilePage {
    pub arm: String,
    pub decisions: u64,
    pub value: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct DifferencePage {
    pub arm: String,
    pub difference: f64,
    pub one_look: Interval,
}

#[derive(Debug, Clone, Serialize)]
pub struct CoursePage {
    pub arm: String,
    pub metric: &'static str,
    /// Effects a day since exposure, in the metric's unit.
    pub days: Vec<Option<f64>>,
    /// By how much the effect grows a day; one look.
    pub slope: f64,
    pub slope_interval: Interval,
    /// wears_off, grows, steady.
    pub verdict: &'static str,
    pub long_term: Option<LongTermPage>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LongTermPage {
    /// Effect a day once it has settled.
    pub effect: f64,
    pub low: f64,
    pub high: f64,
}

/// Reads the log and answers everything.
pub fn page(log: &dyn EventLog, question: &Question<'_>) -> Result<Page, PageError> {
    let rows = read(log, question)?;
    Ok(page_of(&rows, question)?)
}

/// The page of rows that were read.
pub fn page_of(rows: &Rows, question: &Question<'_>) -> Result<Page, PanelError> {
    let experiment = question.experiment;
    let shape =
        PanelShape { arms: experiment.arms.len() as u16, segments: rows.segments.len() as u16, now_ms: question.now.0 };
    let decides = |name: &str| experiment.metrics.iter().any(|metric| metric == name);
    let named = |deciding: bool| METRICS.iter().filter(move |metric| decides(metric.name) == deciding);
    let settings = ReportSettings {
        shares: experiment.arms.iter().map(|arm| f64::from(arm.share)).collect(),
        ..ReportSettings::of_equal_arms(experiment.arms.len())
    };
    let mut metrics = Vec::new();
    let mut trust = None;
    for deciding in [true, false] {
        let known: Vec<(&ShopMetric, Metric)> =
            named(deciding).filter_map(|known| Some((known, metric(known.name)?))).collect();
        if known.is_empty() {
            continue;
        }
        let definitions: Vec<Metric> = known.iter().map(|(_, metric)| metric.clone()).collect();
        let panel = join(&rows.exposures, &rows.outcomes, &definitions, shape)?;
        let read = report(&panel, &settings);
        for ((known, _), read) in known.iter().zip(&read.metrics) {
            metrics.push(metric_page(known, deciding, read, experiment, &rows.segments));
        }
        trust.get_or_insert((read, panel.unknown));
    }
    let (read, unknown) = trust.ok_or(PanelError::Nothing)?;
    let mut notes = Vec::new();
    if rows.other_currency > 0 {
        let currency = question.currency;
        notes.push(format!(
            "{} orders in other currencies than {currency} count as orders without value",
            rows.other_currency
        ));
    }
    Ok(Page {
        experiment: experiment.id.to_string(),
        read_at: question.now.to_string(),
        currency: question.currency.to_string(),
        trust: trust_page(&read, unknown, rows.events),
        arms: arm_pages(experiment, &read.units),
        metrics,
        latency: latency_page(rows, experiment),
        course: course_pages(rows, question),
        notes,
    })
}

fn trust_page(read: &Report, unknown_exposures: u64, events_read: u64) -> Trust {
    Trust {
        sample_ratio_p_value: read.sample_ratio_p_value,
        sample_ratio_mismatch: read.sample_ratio_mismatch,
        crossed_units: read.crossed,
        unknown_exposures,
        events_read,
    }
}

fn arm_pages(experiment: &Experiment, units: &[u64]) -> Vec<ArmPage> {
    let arms = experiment.arms.iter().zip(units);
    let page = |(arm, units): (&merx_domain::experiment::ArmDefinition, &u64)| ArmPage {
        name: arm.name.to_string(),
        planned_percent: f64::from(arm.share) / 100.0,
        units: *units,
    };
    arms.map(page).collect()
}

fn metric_page(
    known: &ShopMetric,
    decides: bool,
    read: &MetricReport,
    experiment: &Experiment,
    segments: &[String],
) -> MetricPage {
    let name = |arm: usize| experiment.arms.get(arm).map_or_else(String::new, |arm| arm.name.to_string());
    let arms = read.arms.iter().enumerate().map(|(place, arm)| ArmValuePage {
        arm: name(place),
        units: arm.units,
        mean: arm.observed_mean.is_finite().then_some(arm.observed_mean),
        chance_to_be_best: read.standings.get(place).map(|standing| standing.chance_to_be_best),
        expected_loss: read.standings.get(place).map(|standing| standing.expected_loss),
    });
    let comparisons = read.comparisons.iter().enumerate().map(|(place, comparison)| {
        let mut page = ComparisonPage {
            arm: name(place + 1),
            verdict: String::new(),
            lift: None,
            sequential: None,
            adjusted_p_value: None,
            one_look: None,
            difference: None,
            belief: None,
            segments: Vec::new(),
            segments_p_value: None,
        };
        match comparison {
            Err(why) => page.verdict = why.to_string(),
            Ok(comparison) => {
                page.verdict = verdict_name(comparison.verdict).to_owned();
                page.lift = Some(comparison.relative.estimate);
                page.sequential = Some(comparison.sequential.into());
                page.adjusted_p_value = Some(comparison.adjusted_p_value);
                page.one_look = Some(comparison.one_look.into());
                page.difference = Some(comparison.absolute.estimate);
                let belief = &comparison.belief;
                // Of what is better low, less is a win: chance and losses change sides.
                let (loss_of_control, loss_of_treatment) = if known.higher_is_better {
                    (belief.loss_of_control, belief.loss_of_treatment)
                } else {
                    (belief.loss_of_treatment, belief.loss_of_control)
                };
                page.belief = Some(BeliefPage {
                    lift: belief.mean,
                    low: belief.low,
                    high: belief.high,
                    chance_to_win: if known.higher_is_better {
                        belief.chance_to_win
                    } else {
                        1.0 - belief.chance_to_win
                    },
                    loss_of_control,
                    loss_of_treatment,
                });
            }
        }
        if let Some(Some(differences)) = read.segments.get(place) {
            page.segments_p_value = Some(differences.p_value);
            page.segments = differences
                .segments
                .iter()
                .map(|segment| SegmentPage {
                    segment: segments.get(segment.segment).cloned().unwrap_or_default(),
                    difference: segment.effect.estimate,
                    standard_error: segment.effect.standard_error,
                    units: segment.effect.units,
                    adjusted_p_value: segment.adjusted_p_value,
                })
                .collect();
        }
        page
    });
    MetricPage {
        name: known.name,
        words: known.words,
        unit: known.unit,
        higher_is_better: known.higher_is_better,
        decides,
        arms: arms.collect(),
        comparisons: comparisons.collect(),
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Mismatch => "mismatch",
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Undecided => "undecided",
    }
}

/// `None` where no decision was timed.
fn latency_page(rows: &Rows, experiment: &Experiment) -> Option<LatencyPage> {
    let timed = rows.latencies.iter().any(|sketch| sketch.count() > 0);
    let unit = METRICS.iter().find(|metric| metric.name == LATENCY).map(|metric| metric.unit).filter(|_| timed)?;
    // Decisions of one unit are seldom more than one a day, so they count as independent.
    let estimates: Vec<Option<QuantileEstimate>> =
        rows.latencies.iter().map(|sketch| sketch.estimate(LATENCY_QUANTILE, ALPHA, 1.0)).collect();
    let arms =
        experiment.arms.iter().zip(&rows.latencies).zip(&estimates).map(|((arm, sketch), estimate)| QuantilePage {
            arm: arm.name.to_string(),
            decisions: sketch.count(),
            value: estimate.as_ref().map(|estimate| estimate.value),
        });
    let control = estimates.first()?.as_ref();
    let differences = experiment.arms.iter().zip(&estimates).skip(1).filter_map(|(arm, estimate)| {
        let effect = QuantileEstimate::difference(control?, estimate.as_ref()?).ok()?;
        let one_look = effect.fixed(ALPHA, Alternative::TwoSided).into();
        Some(DifferencePage { arm: arm.name.to_string(), difference: effect.estimate, one_look })
    });
    Some(LatencyPage { unit, quantile: LATENCY_QUANTILE, arms: arms.collect(), differences: differences.collect() })
}

/// The signal whose daily sums a metric is made of.
fn daily_signal(shape: Shape) -> Option<SignalId> {
    match shape {
        Shape::Share { signal } | Shape::Total { signal } => Some(signal),
        Shape::Ratio { .. } | Shape::Retention { .. } => None,
    }
}

fn course_pages(rows: &Rows, question: &Question<'_>) -> Vec<CoursePage> {
    let experiment = question.experiment;
    let deciding = experiment.metrics.iter().find_map(|name| {
        let known = METRICS.iter().find(|metric| metric.name == name)?;
        Some((known, daily_signal(metric(known.name)?.shape)?))
    });
    let (known, signal) = match deciding {
        Some(deciding) => deciding,
        None => (&METRICS[0], signal::ORDER),
    };
    let whole_days = question.now.since(experiment.starts_at) / merx_domain::DAY_MS;
    let days = (whole_days as usize / 2).min(MOST_DAYS);
    if days < FEWEST_DAYS {
        return Vec::new();
    }
    let arms = periods(rows, experiment.arms.len(), signal, days, question.now.0);
    let pages = experiment.arms.iter().zip(&arms).skip(1).filter_map(|(arm, treatment)| {
        let effects = PeriodEffects::new(&arms[0], treatment).ok()?;
        let (slope, interval) = effects.novelty(ALPHA).ok()?;
        let daily: Vec<Option<f64>> =
            effects.daily().into_iter().map(|effect| effect.ok().map(|effect: Effect| effect.estimate)).collect();
        let mean: f64 = daily.iter().flatten().sum();
        let verdict = match (interval.excludes_zero(), slope.estimate * mean < 0.0) {
            (false, _) => "steady",
            (true, true) => "wears_off",
            (true, false) => "grows",
        };
        let long_term = effects.long_term(ALPHA).ok().filter(|term| term.low.is_finite() && term.high.is_finite());
        Some(CoursePage {
            arm: arm.name.to_string(),
            metric: known.name,
            days: daily,
            slope: slope.estimate,
            slope_interval: interval.into(),
            verdict,
            long_term: long_term.map(|term| LongTermPage { effect: term.effect, low: term.low, high: term.high }),
        })
    });
    pages.collect()
}

/// What units bring on each day since their exposure, by arm; of units that have had all those days.
fn periods(rows: &Rows, arms: usize, signal: SignalId, days: usize, now_ms: i64) -> Vec<Periods> {
    let mut units: rustc_hash::FxHashMap<u64, (i64, Option<u16>, Vec<f64>)> = Default::default();
    for exposure in rows.exposures.iter().filter(|exposure| usize::from(exposure.arm) < arms) {
        let unit = units.entry(exposure.unit).or_insert((exposure.at_ms, Some(exposure.arm), vec![0.0; days]));
        unit.0 = unit.0.min(exposure.at_ms);
        unit.1 = unit.1.filter(|arm| *arm == exposure.arm);
    }
    for outcome in rows.outcomes.iter().filter(|outcome| outcome.signal == signal) {
        if let Some((at_ms, _, values)) = units.get_mut(&outcome.unit) {
            let day = (outcome.at_ms - *at_ms).div_euclid(merx_domain::DAY_MS);
            if let Some(value) = usize::try_from(day).ok().and_then(|day| values.get_mut(day)) {
                *value += outcome.value;
            }
        }
    }
    let mut periods = vec![Periods::new(days); arms];
    let mature = now_ms - days as i64 * merx_domain::DAY_MS;
    // In the order of units, so that sums have the same bits each time.
    let mut units: Vec<_> = units.into_iter().collect();
    units.sort_unstable_by_key(|(unit, _)| *unit);
    for (_, (at_ms, arm, values)) in units {
        if let Some(arm) = arm.filter(|_| at_ms <= mature) {
            periods[usize::from(arm)].add(&values);
        }
    }
    periods
}
