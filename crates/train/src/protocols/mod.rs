//! Public protocols of recommendation, from files to figures: `merx bench recommend`.
//!
//! A protocol reads its layout, cuts a validation part from the training rows, lets every family of models choose its settings
//! there, learns the blend on it, fits all again on all training rows, and only then looks at the test rows, once.

mod export;
mod factors;
mod files;
mod invoices;
mod layouts;
mod task;

use std::path::{Path, PathBuf};

use merx_domain::Clock;
use merx_models::evaluate::{Judged, bootstrap, coverage, rank};
use merx_models::plan::Plan;
use merx_models::{Example, ModelError, Recommender};
use rayon::prelude::*;
use serde::Serialize;

pub use self::factors::{FactorsOptions, bench_batch, bench_factors};
pub use self::task::Task;

/// A layout of files, and with it a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Lightgcn,
    Sessions,
    LeaveOneOut,
    Invoices,
}

impl Layout {
    pub const NAMES: [&'static str; 4] = ["lightgcn", "sessions", "leave-one-out", "invoices"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "lightgcn" => Some(Self::Lightgcn),
            "sessions" => Some(Self::Sessions),
            "leave-one-out" => Some(Self::LeaveOneOut),
            "invoices" => Some(Self::Invoices),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct BenchOptions {
    pub layout: Layout,
    pub data: PathBuf,
    pub seed: u64,
    /// Where the rows of the split are written, so that others can be run on exactly the same.
    pub export_split: Option<PathBuf>,
}

/// One measured number; serialised, a line of the command's output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    /// Where the mean lies with 95 % confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    pub set: String,
    pub settings: serde_json::Value,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{} has no {name} (nor {name}.gz)", dir.display())]
    Missing { name: String, dir: PathBuf },
    #[error("{} can't be read: {problem}", path.display())]
    Read { path: PathBuf, problem: String },
    #[error("{}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("{} can't be written: {problem}", path.display())]
    Write { path: PathBuf, problem: String },
    #[error("{} holds no rows", path.display())]
    Empty { path: PathBuf },
    #[error("{set}: {problem}")]
    Unusable { set: String, problem: String },
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl BenchError {
    fn read(path: &Path, problem: impl ToString) -> Self {
        Self::Read { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// Reads, chooses, fits, measures; hands each figure to `emit` as soon as it is known.
pub fn bench_recommend(
    options: &BenchOptions,
    clock: &dyn Clock,
    emit: &mut dyn FnMut(&Figure),
) -> Result<(), BenchError> {
    let task = read_task(options)?;
    if let Some(dir) = &options.export_split {
        export::write_split(&task, dir)?;
    }
    measure(&task, options.seed, clock, emit)
}

/// Reads a data set and cuts it by its protocol.
pub fn read_task(options: &BenchOptions) -> Result<Task, BenchError> {
    let dir = &options.data;
    let set = dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
    let task = match options.layout {
        Layout::Lightgcn => layouts::lightgcn(dir, set, options.seed),
        Layout::Sessions => layouts::sessions(dir, set, options.seed),
        Layout::LeaveOneOut => layouts::leave_one_out(dir, set, options.seed),
        Layout::Invoices => invoices::invoices(dir, set, options.seed),
    }?;
    usable(task)
}

fn usable(task: Task) -> Result<Task, BenchError> {
    let problem = match () {
        () if task.test.is_empty() => "no test row has a history and something to find",
        () if task.learning.is_empty() || task.choosing.is_empty() => "too few training rows to choose settings on",
        () => return Ok(task),
    };
    Err(BenchError::Unusable { set: task.set, problem: problem.to_owned() })
}

fn measure(task: &Task, seed: u64, clock: &dyn Clock, emit: &mut dyn FnMut(&Figure)) -> Result<(), BenchError> {
    let started = clock.now();
    let plan = Plan::choose(&task.choice(), seed)?;
    let choose_s = seconds(started, clock);

    let started = clock.now();
    let model = plan.fit(task.learnt_from(), seed)?;
    let fit_s = seconds(started, clock);

    let started = clock.now();
    let lists = rank_all(model.as_ref(), &task.test, task.repeats, LONGEST_LIST);
    let ranked_s = seconds(started, clock);

    let mut report = |metric: String, value: f64, unit: &'static str, interval: Option<[f64; 2]>| {
        let settings = plan.settings().clone();
        emit(&Figure { metric, value, unit, interval, set: task.set.clone(), settings });
    };
    let judged: Vec<Judged> =
        lists.iter().zip(&task.test).map(|(list, example)| Judged::new(list, &example.relevant)).collect();
    for metric in &task.metrics {
        let values: Vec<f64> = judged.iter().map(|judged| metric.of(judged)).collect();
        let estimate = bootstrap(&values, 200, seed);
        report(metric.name(), estimate.mean, "fraction", Some([estimate.low, estimate.high]));
    }
    let covered = coverage(lists.iter().map(Vec::as_slice), model.item_count());
    report(format!("coverage@{LONGEST_LIST}"), covered, "fraction", None);
    report("choose_s".to_owned(), choose_s, "s", None);
    report("fit_s".to_owned(), fit_s, "s", None);
    report("recommend_users_per_s".to_owned(), task.test.len() as f64 / ranked_s.max(1e-3), "1/s", None);
    Ok(())
}

/// Metrics look no deeper than this.
const LONGEST_LIST: usize = 20;

fn seconds(since: merx_domain::TimestampMs, clock: &dyn Clock) -> f64 {
    (clock.now().0 - since.0) as f64 / 1_000.0
}

/// The best `limit` items for each question, best first.
fn rank_all(model: &dyn Recommender, examples: &[Example], repeats: bool, limit: usize) -> Vec<Vec<u32>> {
    examples.par_iter().map(|example| rank(model, example, repeats, limit)).collect()
}
