//! Speed of matrix factorisation and of recommending to everybody at once: `merx bench factors` and `merx bench batch`.

use merx_domain::Clock;
use merx_models::evaluate::{Judged, Metric};
use merx_models::plan::choose_ials;
use merx_models::{
    BatchRequest, Ials, IalsLearner, IalsSettings, Interactions, Learner, Scored, TrainingSet, recommend_batch,
};

use super::{BenchError, BenchOptions, Figure, LONGEST_LIST, Task, read_task, seconds};

#[derive(Debug, Clone)]
pub struct FactorsOptions {
    pub bench: BenchOptions,
    /// Components of a vector.
    pub factors: usize,
    pub sweeps: usize,
    /// How often what is timed is done; the median counts.
    pub times: usize,
}

/// Factorises the training rows: `fit_s`, with the quality it buys. Regularisation and the weight of what was not
/// observed are chosen on the validation part first; that time is not counted.
pub fn bench_factors(
    options: &FactorsOptions,
    clock: &dyn Clock,
    emit: &mut dyn FnMut(&Figure),
) -> Result<(), BenchError> {
    let task = read_task(&options.bench)?;
    let learner = chosen(&task, options)?;
    let train = task.learnt_from();
    let mut times_s = Vec::new();
    let mut model = fit(&learner, train, options, clock, &mut times_s)?;
    while times_s.len() < options.times {
        model = fit(&learner, train, options, clock, &mut times_s)?;
    }
    let lists = recommend_batch(&model, &histories(&task), &request(&task));
    report_quality(&task, &learner.settings, &lists, emit);
    emit(&figure(&task, &learner.settings, "fit_s", median(times_s), "s"));
    Ok(())
}

/// Recommends to everybody with a test row, all in one call: `users_per_s`.
pub fn bench_batch(
    options: &FactorsOptions,
    clock: &dyn Clock,
    emit: &mut dyn FnMut(&Figure),
) -> Result<(), BenchError> {
    let task = read_task(&options.bench)?;
    let learner = chosen(&task, options)?;
    let model = learner.fit(task.learnt_from(), options.bench.seed)?;
    let (histories, request) = (histories(&task), request(&task));
    let mut times_s = Vec::new();
    let mut lists = Vec::new();
    while times_s.len() < options.times.max(1) {
        let started = clock.now();
        lists = recommend_batch(&model, &histories, &request);
        times_s.push(seconds(started, clock));
    }
    report_quality(&task, &learner.settings, &lists, emit);
    let users_per_s = histories.rows() as f64 / median(times_s).max(1e-3);
    emit(&figure(&task, &learner.settings, "users_per_s", users_per_s, "1/s"));
    Ok(())
}

fn chosen(task: &Task, options: &FactorsOptions) -> Result<IalsLearner, BenchError> {
    let settings = IalsSettings { dimensions: options.factors, sweeps: options.sweeps, ..IalsSettings::default() };
    Ok(choose_ials(&task.choice(), IalsLearner { settings }, options.bench.seed)?)
}

fn fit(
    learner: &IalsLearner,
    train: &TrainingSet,
    options: &FactorsOptions,
    clock: &dyn Clock,
    times_s: &mut Vec<f64>,
) -> Result<Ials, BenchError> {
    let started = clock.now();
    let model = learner.fit(train, options.bench.seed)?;
    times_s.push(seconds(started, clock));
    Ok(model)
}

/// A row a test question.
fn histories(task: &Task) -> Interactions {
    let mut histories = Interactions::new();
    task.test.iter().for_each(|example| histories.push_row(example.history.iter().copied()));
    histories
}

fn request(task: &Task) -> BatchRequest {
    let now_s = task.learnt_from().now_s;
    BatchRequest { limit: LONGEST_LIST, skip_history: !task.repeats, now_s, market: 0 }
}

fn report_quality(task: &Task, settings: &IalsSettings, lists: &[Vec<Scored>], emit: &mut dyn FnMut(&Figure)) {
    let judged: Vec<Judged> = lists
        .iter()
        .zip(&task.test)
        .map(|(list, example)| {
            let ranked: Vec<u32> = list.iter().map(|scored| scored.item).collect();
            Judged::new(&ranked, &example.relevant)
        })
        .collect();
    for metric in [Metric::Recall(LONGEST_LIST), Metric::Ndcg(LONGEST_LIST)] {
        let mean = judged.iter().map(|judged| metric.of(judged)).sum::<f64>() / judged.len().max(1) as f64;
        emit(&figure(task, settings, &metric.name(), mean, "fraction"));
    }
}

fn figure(task: &Task, settings: &IalsSettings, metric: &str, value: f64, unit: &'static str) -> Figure {
    let settings = serde_json::json!({ "ials": settings });
    Figure { metric: metric.to_owned(), value, unit, interval: None, set: task.set.clone(), settings }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
