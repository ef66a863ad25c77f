//! Exposures joined to outcomes: one row of numbers a unit, folded into [`Moments`] at once.
//!
//! A unit counts from its first exposure on, in the segment it had then. One that was shown two arms (an error of whoever
//! assigned) is left out and counted. Rows are dealt into parts by a hash of their unit, so that a part's table fits a
//! core's cache; parts are folded in parallel and merged in order, so that the sums have the same bits on any number of threads.

use std::collections::hash_map::Entry;

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{Arm, Metric, MetricError, Moments, Observation, Shape, SignalId, Sketch};

pub(crate) const DAY_MS: i64 = 86_400_000;
/// So many that the table of a part of ten million rows fits a core's own cache.
pub(crate) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;
/// Parts are folded in so many runs, each into its own sums; fixed, so that the number of threads changes nothing.
pub(crate) const RUNS: usize = 16;
const CHUNK: usize = 1 << 16;
/// Arms by segments by metrics; as moments 5 MB, and as much again for each run.
const MOST_CELLS: usize = 1 << 16;

/// A unit was shown an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// A hash of the unit's id, 64 bits.
    pub unit: u64,
    pub at_ms: i64,
    pub arm: u16,
    pub segment: u16,
}

/// Something a unit did, with its value (1 for what is only counted).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub unit: u64,
    pub at_ms: i64,
    pub signal: SignalId,
    pub value: f64,
}

/// What is to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanelShape {
    /// Arm 0 is the control.
    pub arms: u16,
    pub segments: u16,
    /// When the experiment is read; later rows don't exist yet.
    pub now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PanelError {
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error("an experiment has at least two arms, one segment and one metric")]
    Nothing,
    #[error("{cells} combinations of metric, segment and arm; at most {MOST_CELLS} can be read at once")]
    TooMany { cells: usize },
}

/// Sufficient statistics of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    shape: PanelShape,
    metrics: Vec<Metric>,
    /// By metric, segment, arm.
    cells: Vec<Moments>,
    /// Units by arm, crossed ones left out.
    pub units: Vec<u64>,
    /// Units that were shown more than one arm.
    pub crossed: u64,
    /// Exposures with an arm or segment that the experiment doesn't have.
    pub unknown: u64,
    /// The value that larger ones count as, by metric.
    pub caps: Vec<Option<f64>>,
}

/// Joins outcomes to the exposures of their units.
pub fn join(
    exposures: &[Exposure],
    outcomes: &[Outcome],
    metrics: &[Metric],
    shape: PanelShape,
) -> Result<Panel, PanelError> {
    join_dealt(&DealtRows::new(exposures, outcomes), metrics, shape)
}

/// The same of rows that were dealt already.
pub(crate) fn join_dealt(rows: &DealtRows, metrics: &[Metric], shape: PanelShape) -> Result<Panel, PanelError> {
    Metric::check_all(metrics)?;
    let cells = metrics.len() * usize::from(shape.arms) * usize::from(shape.segments);
    if shape.arms < 2 || cells == 0 {
        return Err(PanelError::Nothing);
    }
    if cells > MOST_CELLS {
        return Err(PanelError::TooMany { cells });
    }
    let rules = Rules::new(metrics, shape);
    let parts: Vec<Units<'_>> = (0..PARTS).into_par_iter().map(|part| Units::of_part(rows, part, &rules)).collect();
    let mut panel = Panel::empty(metrics, shape, caps(&parts, metrics));
    let fold_run = |parts: &[Units<'_>]| {
        let mut own = Panel::empty(metrics, shape, panel.caps.clone());
        parts.iter().for_each(|part| part.fold(&mut own));
        own
    };
    let folded: Vec<Panel> = parts.par_chunks(PARTS / RUNS).map(fold_run).collect();
    folded.iter().for_each(|run| panel.absorb(run));
    Ok(panel)
}

/// The cap of each metric that has one: a quantile over the units of all arms, by a sketch.
fn caps(parts: &[Units<'_>], metrics: &[Metric]) -> Vec<Option<f64>> {
    let cap = |(place, metric): (usize, &Metric)| {
        let quantile = metric.cap_quantile?;
        let sketch_part = |mut sketch: Sketch, part: &Units<'_>| {
            part.busy().for_each(|(_, row)| sketch.add(row[place].numerator));
            sketch.add_zeros(part.idle().count() as u64);
            sketch
        };
        let merge = |mut ours: Sketch, theirs: Sketch| {
            ours.merge(&theirs);
            ours
        };
        let sketch = parts.par_iter().fold(Sketch::default, sketch_part).reduce(Sketch::default, merge);
        // Where nearly nobody buys the quantile is 0, and a cap of 0 would take everything away.
        sketch.quantile(quantile).filter(|cap| *cap > 0.0)
    };
    metrics.iter().enumerate().map(cap).collect()
}

impl Panel {
    fn empty(metrics: &[Metric], shape: PanelShape, caps: Vec<Option<f64>>) -> Self {
        let cells = metrics.len() * usize::from(shape.segments) * usize::from(shape.arms);
        Self {
            shape,
            metrics: metrics.to_vec(),
            cells: vec![Moments::default(); cells],
            units: vec![0; usize::from(shape.arms)],
            crossed: 0,
            unknown: 0,
            caps,
        }
    }

    fn absorb(&mut self, part: &Self) {
        self.cells.iter_mut().zip(&part.cells).for_each(|(ours, theirs)| ours.merge(theirs));
        self.units.iter_mut().zip(&part.units).for_each(|(ours, theirs)| *ours += theirs);
        self.crossed += part.crossed;
        self.unknown += part.unknown;
    }

    /// Adds the units of another panel of the same experiment; **no unit may be in both**. Refused where metrics, caps or
    /// shape differ.
    pub fn merge(&mut self, other: &Self) -> bool {
        let alike = self.metrics == other.metrics && self.caps == other.caps && self.shape == other.shape;
        if alike {
            self.absorb(other);
        }
        alike
    }

    /// The same of some of its metrics, one after another.
    pub(crate) fn of_metrics(&self, which: std::ops::Range<usize>) -> Self {
        let width = usize::from(self.shape.arms) * usize::from(self.shape.segments);
        Self {
            metrics: self.metrics[which.clone()].to_vec(),
            cells: self.cells[which.start * width..which.end * width].to_vec(),
            caps: self.caps[which].to_vec(),
            units: self.units.clone(),
            ..*self
        }
    }

    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    pub fn shape(&self) -> PanelShape {
        self.shape
    }

    /// Moments of a metric in a segment, by arm; empty where metric or segment doesn't exist.
    pub fn segment(&self, metric: usize, segment: usize) -> &[Moments] {
        let (arms, segments) = (usize::from(self.shape.arms), usize::from(self.shape.segments));
        if metric >= self.metrics.len() || segment >= segments {
            return &[];
        }
        let start = (metric * segments + segment) * arms;
        &self.cells[start..start + arms]
    }

    /// Moments of a metric over all segments, by arm.
    pub fn overall(&self, metric: usize) -> Vec<Moments> {
        let mut sum = vec![Moments::default(); usize::from(self.shape.arms)];
        for segment in 0..usize::from(self.shape.segments) {
            sum.iter_mut().zip(self.segment(metric, segment)).for_each(|(sum, part)| sum.merge(part));
        }
        sum
    }

    /// The arms' readings of a metric, adjusted where it has a covariate.
    pub fn arms(&self, metric: usize, moments: &[Moments]) -> Vec<Arm> {
        Arm::adjusted(moments, self.metrics.get(metric).is_some_and(Metric::is_ratio))
    }
}

/// Exposures and outcomes, dealt into parts by their unit, to be joined more than once.
pub(crate) struct DealtRows {
    pub(crate) exposures: Dealt<Exposure>,
    pub(crate) outcomes: Dealt<Outcome>,
}

impl DealtRows {
    pub(crate) fn new(exposures: &[Exposure], outcomes: &[Outcome]) -> Self {
        Self { exposures: Dealt::new(exposures, |row| row.unit), outcomes: Dealt::new(outcomes, |row| row.unit) }
    }
}

/// Rows dealt into parts by their unit.
pub(crate) struct Dealt<T> {
    /// A chunk's rows in the order of their parts, and where each part begins.
    chunks: Vec<(Vec<T>, Vec<u32>)>,
}

impl<T: Copy + Send + Sync> Dealt<T> {
    fn new(rows: &[T], unit: impl Fn(&T) -> u64 + Sync) -> Self {
        let chunks = rows.par_chunks(CHUNK).map(|chunk| deal(chunk, &unit)).collect();
        Self { chunks }
    }

    pub(crate) fn part(&self, part: usize) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(move |(rows, starts)| &rows[starts[part] as usize..starts[part + 1] as usize])
    }

    pub(crate) fn part_len(&self, part: usize) -> usize {
        self.chunks.iter().map(|(_, starts)| (starts[part + 1] - starts[part]) as usize).sum()
    }
}

/// A counting sort by part; rows of one part keep their order.
fn deal<T: Copy>(rows: &[T], unit: impl Fn(&T) -> u64) -> (Vec<T>, Vec<u32>) {
    let part = |row: &T| (unit(row).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PART_BITS)) as usize;
    let mut starts = vec![0u32; PARTS + 1];
    rows.iter().for_each(|row| starts[part(row) + 1] += 1);
    (0..PARTS).for_each(|p| starts[p + 1] += starts[p]);
    let mut next = starts.clone();
    let mut dealt = rows.to_vec();
    for row in rows {
        let place = &mut next[part(row)];
        dealt[*place as usize] = *row;
        *place += 1;
    }
    (dealt, starts)
}

/// What an outcome does to a unit's row.
#[derive(Debug, Clone, Copy)]
enum Change {
    Flag,
    Sum,
    SumBelow,
}

struct Rule {
    metric: usize,
    change: Change,
    /// Counted from the exposure; outcomes at `from_ms <= age < to_ms` count.
    from_ms: i64,
    to_ms: i64,
    /// Outcomes at `-before_ms <= age < 0` are the covariate.
    before_ms: i64,
}

struct Rules<'a> {
    metrics: &'a [Metric],
    shape: PanelShape,
    by_signal: Vec<Vec<Rule>>,
    /// Units younger than that aren't counted yet, by metric.
    mature_ms: Vec<i64>,
}

impl<'a> Rules<'a> {
    fn new(metrics: &'a [Metric], shape: PanelShape) -> Self {
        let mut by_signal = Vec::new();
        let mut mature_ms = Vec::new();
        for (place, metric) in metrics.iter().enumerate() {
            let days = |days: u16| i64::from(days) * DAY_MS;
            let before_ms = days(metric.covariate_days);
            let mut rule = |signal: SignalId, change, from_ms, to_ms, before_ms| {
                let place_of_signal = usize::from(signal.0);
                if by_signal.len() <= place_of_signal {
                    by_signal.resize_with(place_of_signal + 1, Vec::new);
                }
                by_signal[place_of_signal].push(Rule { metric: place, change, from_ms, to_ms, before_ms });
            };
            let window = days(metric.window_days);
            match metric.shape {
                Shape::Share { signal } => rule(signal, Change::Flag, 0, window, before_ms),
                Shape::Total { signal } => rule(signal, Change::Sum, 0, window, before_ms),
                Shape::Ratio { numerator, denominator } => {
                    rule(numerator, Change::Sum, 0, window, before_ms);
                    rule(denominator, Change::SumBelow, 0, window, 0);
                }
                Shape::Retention { signal, from_day, to_day } => {
                    rule(signal, Change::Flag, days(from_day), days(to_day), before_ms);
                }
            }
            mature_ms.push(match metric.shape {
                Shape::Retention { to_day, .. } => days(to_day),
                _ => 0,
            });
        }
        Self { metrics, shape, by_signal, mature_ms }
    }

    fn of(&self, signal: SignalId) -> &[Rule] {
        self.by_signal.get(usize::from(signal.0)).map_or(&[], Vec::as_slice)
    }

    /// A unit that did nothing, by metric.
    fn blank(&self) -> impl Iterator<Item = Observation> {
        let below = |metric: &Metric| if metric.is_ratio() { 0.0 } else { 1.0 };
        self.metrics.iter().map(move |metric| Observation {
            numerator: 0.0,
            denominator: below(metric),
            covariate: 0.0,
        })
    }
}

impl Rule {
    fn apply(&self, age_ms: i64, value: f64, row: &mut Observation) {
        if (self.from_ms..self.to_ms).contains(&age_ms) {
            match self.change {
                Change::Flag => row.numerator = 1.0,
                Change::Sum => row.numerator += value,
                Change::SumBelow => row.denominator += value,
            }
        } else if (-self.before_ms..0).contains(&age_ms) {
            match self.change {
                Change::Flag => row.covariate = 1.0,
                Change::Sum | Change::SumBelow => row.covariate += value,
            }
        }
    }
}

struct Unit {
    at_ms: i64,
    arm: u16,
    segment: u16,
    crossed: bool,
    /// Of what it did; most do nothing.
    row: Option<u32>,
}

/// The units of a part, and rows of `metrics` observations for those that did something.
struct Units<'a> {
    rules: &'a Rules<'a>,
    units: Vec<Unit>,
    rows: Vec<Observation>,
    unknown: u64,
}

impl<'a> Units<'a> {
    fn of_part(dealt: &DealtRows, part: usize, rules: &'a Rules<'a>) -> Self {
        let DealtRows { exposures, outcomes } = dealt;
        let expected = exposures.part_len(part);
        let mut places: FxHashMap<u64, u32> = FxHashMap::with_capacity_and_hasher(expected, Default::default());
        let mut own = Self { rules, units: Vec::with_capacity(expected), rows: Vec::new(), unknown: 0 };
        for exposure in exposures.part(part) {
            own.expose(exposure, &mut places);
        }
        for outcome in outcomes.part(part) {
            if let Some(&place) = places.get(&outcome.unit) {
                own.record(outcome, place as usize);
            }
        }
        own
    }

    fn expose(&mut self, exposure: &Exposure, places: &mut FxHashMap<u64, u32>) {
        let shape = self.rules.shape;
        if exposure.arm >= shape.arms || exposure.segment >= shape.segments {
            self.unknown += 1;
            return;
        }
        if exposure.at_ms > shape.now_ms {
            return;
        }
        let Exposure { at_ms, arm, segment, .. } = *exposure;
        match places.entry(exposure.unit) {
            Entry::Vacant(entry) => {
                entry.insert(self.units.len() as u32);
                self.units.push(Unit { at_ms, arm, segment, crossed: false, row: None });
            }
            Entry::Occupied(entry) => {
                let unit = &mut self.units[*entry.get() as usize];
                unit.crossed |= unit.arm != arm;
                if at_ms < unit.at_ms {
                    (unit.at_ms, unit.segment) = (at_ms, segment);
                }
            }
        }
    }

    fn record(&mut self, outcome: &Outcome, place: usize) {
        if outcome.at_ms > self.rules.shape.now_ms || !outcome.value.is_finite() {
            return;
        }
        let width = self.rules.metrics.len();
        let unit = &mut self.units[place];
        let age_ms = outcome.at_ms.saturating_sub(unit.at_ms);
        let row = *unit.row.get_or_insert_with(|| {
            self.rows.extend(self.rules.blank());
            (self.rows.len() / width - 1) as u32
        });
        for rule in self.rules.of(outcome.signal) {
            rule.apply(age_ms, outcome.value, &mut self.rows[row as usize * width + rule.metric]);
        }
    }

    /// Units that aren't crossed and did something, with their observations by metric.
    fn busy(&self) -> impl Iterator<Item = (&Unit, &[Observation])> {
        let width = self.rules.metrics.len();
        let row = move |row: u32| &self.rows[row as usize * width..(row as usize + 1) * width];
        let counted = self.units.iter().filter(|unit| !unit.crossed);
        counted.filter_map(move |unit| Some((unit, row(unit.row?))))
    }

    /// Units that aren't crossed and did nothing.
    fn idle(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| !unit.crossed && unit.row.is_none())
    }

    fn fold(&self, panel: &mut Panel) {
        let (arms, segments) = (usize::from(panel.shape.arms), usize::from(panel.shape.segments));
        panel.unknown += self.unknown;
        panel.crossed += self.units.iter().filter(|unit| unit.crossed).count() as u64;
        let cell =
            |metric: usize, unit: &Unit| (metric * segments + usize::from(unit.segment)) * arms + usize::from(unit.arm);
        let is_mature =
            |metric: usize, unit: &Unit| panel.shape.now_ms.saturating_sub(unit.at_ms) >= self.rules.mature_ms[metric];
        for (unit, row) in self.busy() {
            panel.units[usize::from(unit.arm)] += 1;
            for (metric, observation) in row.iter().enumerate().filter(|(metric, _)| is_mature(*metric, unit)) {
                let mut observation = *observation;
                if let Some(cap) = panel.caps[metric] {
                    observation.numerator = observation.numerator.min(cap);
                }
                panel.cells[cell(metric, unit)].add(observation);
            }
        }
        let mut idle = vec![0; panel.cells.len()];
        for unit in self.idle() {
            panel.units[usize::from(unit.arm)] += 1;
            for metric in (0..self.rules.metrics.len()).filter(|metric| is_mature(*metric, unit)) {
                idle[cell(metric, unit)] += 1;
            }
        }
        for (metric, blank) in self.rules.blank().enumerate() {
            let cells = metric * segments * arms..(metric + 1) * segments * arms;
            for (moments, count) in panel.cells[cells.clone()].iter_mut().zip(&idle[cells]) {
                moments.merge(&Moments::of_equal(blank, *count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: SignalId = SignalId(0);
    const REVENUE: SignalId = SignalId(1);
    const VISIT: SignalId = SignalId(2);

    fn exposure(unit: u64, day: i64, arm: u16) -> Exposure {
        Exposure { unit, at_ms: day * DAY_MS, arm, segment: 0 }
    }

    fn outcome(unit: u64, day: i64, signal: SignalId, value: f64) -> Outcome {
        Outcome { unit, at_ms: day * DAY_MS, signal, value }
    }

    fn shape(now_day: i64) -> PanelShape {
        PanelShape { arms: 2, segments: 2, now_ms: now_day * DAY_MS }
    }

    fn metrics() -> [Metric; 4] {
        [
            Metric::new("conversion", Shape::Share { signal: ORDER }),
            Metric { covariate_days: 7, ..Metric::new("revenue", Shape::Total { signal: REVENUE }) },
            Metric::new("order value", Shape::Ratio { numerator: REVENUE, denominator: ORDER }),
            Metric::new("second week", Shape::Retention { signal: VISIT, from_day: 7, to_day: 14 }),
        ]
    }

    #[test]
    fn each_shape_reads_what_it_says() {
        let exposures = [exposure(1, 10, 0), exposure(2, 10, 0), exposure(3, 20, 0), exposure(4, 10, 1)];
        let outcomes = [
            // Unit 1: 30 a week before, two orders in the window, one long after it, back on day 8.
            outcome(1, 5, REVENUE, 30.0),
            outcome(1, 10, ORDER, 1.0),
            outcome(1, 10, REVENUE, 50.0),
            outcome(1, 12, ORDER, 1.0),
            outcome(1, 12, REVENUE, 70.0),
            outcome(1, 24, REVENUE, 999.0),
            outcome(1, 18, VISIT, 1.0),
            // Unit 3 is too young for the second week; unit 9 was never exposed.
            outcome(3, 28, VISIT, 1.0),
            outcome(9, 12, ORDER, 1.0),
        ];
        let panel = join(&exposures, &outcomes, &metrics(), shape(30)).unwrap();
        let arms = |metric: usize| panel.arms(metric, &panel.overall(metric))[0];
        assert_eq!(panel.units, [3, 1]);
        let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        near(arms(0).mean, 1.0 / 3.0);
        near(arms(1).observed_mean, 40.0);
        near(panel.overall(1)[0].mean_covariate(), 10.0);
        near(arms(2).mean, 60.0);
        assert_eq!((arms(3).units, arms(3).mean), (2, 0.5));
    }

    #[test]
    fn the_first_exposure_counts_and_crossed_units_are_left_out() {
        let exposures = [
            exposure(1, 12, 0),
            Exposure { segment: 1, ..exposure(1, 10, 0) },
            exposure(2, 10, 0),
            exposure(2, 11, 1),
            exposure(3, 10, 7),
            exposure(4, 99, 0),
        ];
        let panel = join(&exposures, &[outcome(1, 11, ORDER, 1.0)], &metrics(), shape(30)).unwrap();
        assert_eq!((panel.units.as_slice(), panel.crossed, panel.unknown), (&[1, 0][..], 1, 1));
        assert_eq!(panel.segment(0, 1)[0].mean_numerator(), 1.0);
        assert_eq!(panel.segment(0, 0)[0].count(), 0);
    }

    #[test]
    fn an_arm_without_units_is_empty() {
        let panel = join(&[exposure(1, 1, 0)], &[outcome(1, 2, ORDER, 1.0)], &metrics(), shape(30)).unwrap();
        for metric in 0..metrics().len() {
            assert_eq!(panel.overall(metric)[1], Moments::default());
        }
    }

    #[test]
    fn a_cap_is_the_same_for_all_arms() {
        let exposures: Vec<Exposure> = (0..1_000).map(|unit| exposure(unit, 1, (unit % 2) as u16)).collect();
        let outcomes: Vec<Outcome> =
            (0..1_000).map(|unit| outcome(unit, 2, REVENUE, if unit == 1 { 1e6 } else { 10.0 })).collect();
        let metric = Metric { cap_quantile: Some(0.99), ..Metric::new("revenue", Shape::Total { signal: REVENUE }) };
        let panel = join(&exposures, &outcomes, &[metric], shape(30)).unwrap();
        let cap = panel.caps[0].unwrap();
        assert!((cap / 10.0 - 1.0).abs() < 0.011, "{cap}");
        assert!(panel.overall(0).iter().all(|arm| arm.mean_numerator() <= cap));
    }

    #[test]
    fn order_of_rows_and_threads_change_nothing() {
        let exposures: Vec<Exposure> = (0..5_000).map(|unit| exposure(unit, 1, (unit % 2) as u16)).collect();
        let outcomes: Vec<Outcome> =
            (0..5_000).map(|unit| outcome(unit * 7 % 5_000, 2, REVENUE, (unit % 97) as f64)).collect();
        let read = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| join(&exposures, &outcomes, &metrics(), shape(30))).unwrap()
        };
        assert_eq!(read(1), read(3));
        let reversed: Vec<Exposure> = exposures.iter().rev().copied().collect();
        let other = join(&reversed, &outcomes, &metrics(), shape(30)).unwrap();
        assert!((other.overall(1)[0].mean_numerator() - read(1).overall(1)[0].mean_numerator()).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let metrics = metrics();
        let none = join(&[], &[], &metrics, PanelShape { arms: 1, ..shape(1) });
        assert_eq!(none, Err(PanelError::Nothing));
        let twice = join(&[], &[], &[metrics[0].clone(), metrics[0].clone()], shape(1));
        assert!(matches!(twice, Err(PanelError::Metric(MetricError::Duplicate { .. }))));
        let wide = PanelShape { arms: 60_000, segments: 60_000, now_ms: 0 };
        assert!(matches!(join(&[], &[], &metrics, wide), Err(PanelError::TooMany { .. })));
    }
}
