//! What an experiment was worth, and how long one has to run.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::experiment::ExperimentId;
use merx_measure::off_policy::{Logged, OffPolicyError, off_policy};
use merx_measure::power::{Plan, PlanError, Rule};
use merx_measure::shop::{METRICS, PageError, SegmentBy, metric};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::problem::{Code, Mistakes, Problem};
use crate::routes::Shared;

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SegmentName {
    #[default]
    Device,
    Market,
    /// New shoppers against those seen in the four weeks before.
    Newness,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportQuery {
    /// What segments are told apart by.
    #[serde(default)]
    #[param(inline, default = "device")]
    segment_by: SegmentName,
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Store(error) => error.into(),
            PageError::Panel(error) => Self::because(Code::Conflict, error.to_string()),
        }
    }
}

/// The report of an experiment
///
/// Read off the log now: whether it can be trusted (sample ratio), and for every metric the arms' means, the lift with an interval
/// that stays valid however often somebody looks (`sequential`), the same for one planned look, the Bayesian view, and segments. The
/// metrics that decide come first and are corrected for each other; the others are only watched.
#[utoipa::path(get, path = "/v1/experiments/{id}/report", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety"), ReportQuery),
    responses((status = 200, description = "The page about it", body = Object),
        (status = 409, description = "A flag with one arm has nothing to compare", body = crate::problem::ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn experiment_report(
    State(app): State<Shared>,
    PathId(id): PathId<String>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let segment_by = match query.segment_by {
        SegmentName::Device => SegmentBy::Device,
        SegmentName::Market => SegmentBy::Market,
        SegmentName::Newness => SegmentBy::Newness,
    };
    blocking(move || {
        let stored = app.parts.dealer.definitions.get(&ExperimentId::new(&id))?;
        if stored.definition.bandit.is_some() {
            return Err(Problem::because(Code::Conflict, OF_A_BANDIT));
        }
        app.parts.dealer.exposures.flush();
        Ok(Answered(app.parts.reports.experiment(&stored.definition, segment_by)?).into_response())
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SequenceQuery {
    /// By default the first one that decides it.
    #[param(example = "conversion")]
    metric: Option<String>,
    /// How many moments, evenly since the first exposure.
    #[param(minimum = 1, maximum = 100, default = 30)]
    looks: Option<usize>,
}

const DEFAULT_LOOKS: usize = 30;
const MOST_LOOKS: usize = 100;

/// How an experiment's interval narrowed
///
/// The lift of one metric as reports of earlier moments told it, with the interval that stays valid however often somebody looks and that of
/// one planned look. Latency, which is read off quantiles, has none.
#[utoipa::path(get, path = "/v1/experiments/{id}/sequence", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety"), SequenceQuery),
    responses((status = 200, description = "By treatment, oldest first", body = Object),
        (status = 409, description = "A flag with one arm has nothing to compare, and a bandit's shares follow what arms bring", body = crate::problem::ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn experiment_sequence(
    State(app): State<Shared>,
    PathId(id): PathId<String>,
    Query(query): Query<SequenceQuery>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let looks = mistakes.within("looks".to_owned(), query.looks.unwrap_or(DEFAULT_LOOKS), 1, MOST_LOOKS);
    if query.metric.as_deref().is_some_and(|name| metric(name).is_none()) {
        mistakes.add(
            "metric".to_owned(),
            "unknown_metric",
            "GET /v1/experiment-metrics lists them; latency has no sequence",
        );
    }
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let stored = app.parts.dealer.definitions.get(&ExperimentId::new(&id))?;
        if stored.definition.bandit.is_some() {
            return Err(Problem::because(Code::Conflict, OF_A_BANDIT));
        }
        app.parts.dealer.exposures.flush();
        let deciding = stored.definition.experiment.metrics.iter().find(|name| metric(name).is_some());
        let name = query.metric.as_deref().or(deciding.map(|name| &**name)).unwrap_or(METRICS[0].name);
        Ok(Answered(app.parts.reports.sequence(&stored.definition, name, looks)?).into_response())
    })
    .await
}

const OF_A_BANDIT: &str = "shares of a bandit follow what arms bring, so a test of equal chances says nothing; ask GET /v1/experiments/{id}/bandit";

/// What a bandit knows
///
/// Plays, successes and next shares of each arm, and what each arm would have brought had everybody got it: estimates from the exposures'
/// own propensities (inverse propensity scores, self-normalised, doubly robust, switch) with intervals, and how much the exposures say at all.
#[utoipa::path(get, path = "/v1/experiments/{id}/bandit", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "By arm", body = Object),
        (status = 409, description = "It is no bandit", body = crate::problem::ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn bandit_report(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let stored = app.parts.dealer.definitions.get(&ExperimentId::new(&id))?;
        app.parts.dealer.exposures.flush();
        let page = app.parts.reports.bandit(&stored.definition)?;
        let page = page.ok_or_else(|| Problem::because(Code::Conflict, format!("{id} is no bandit")))?;
        Ok(Answered(page).into_response())
    })
    .await
}

/// What everything automatic earns
///
/// Revenue a visitor of the shop's holdout (`experiments.holdout`) against everybody else's, month by month, and the sum of what was
/// gained.
#[utoipa::path(get, path = "/v1/holdout", tag = "experiments",
    responses((status = 200, description = "By month", body = Object)))]
pub(crate) async fn holdout_report(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(app.parts.reports.holdout()?).into_response())).await
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MetricList {
    items: Vec<MetricAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MetricAnswer {
    #[schema(example = "conversion")]
    name: &'static str,
    words: &'static str,
    /// share, money, count, ms.
    unit: &'static str,
    higher_is_better: bool,
}

/// The metrics that experiments may be decided by
#[utoipa::path(get, path = "/v1/experiment-metrics", tag = "experiments",
    responses((status = 200, description = "Names and what they mean", body = MetricList)))]
pub(crate) async fn experiment_metrics() -> Response {
    let items = METRICS.iter().map(|metric| MetricAnswer {
        name: metric.name,
        words: metric.words,
        unit: metric.unit,
        higher_is_better: metric.higher_is_better,
    });
    Answered(MetricList { items: items.collect() }).into_response()
}

/// A metric as it is without the change, and what is asked of the experiment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"share": 0.03, "lift": 0.05, "units_per_day": 20000}))]
pub(crate) struct PlanRequest {
    /// Of a share (conversion): the control's.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    share: Option<f64>,
    /// Of a mean (revenue per visitor): the control's mean and the variance of one shopper's value.
    #[serde(default)]
    mean: Option<f64>,
    #[serde(default)]
    variance: Option<f64>,
    /// The relative lift that is to be found: .05 is 5 % more.
    #[serde(default)]
    lift: Option<f64>,
    /// In place of a lift: how small a lift do so many shoppers find?
    #[serde(default)]
    units: Option<u64>,
    #[serde(default)]
    units_per_day: Option<f64>,
    /// Share of the treatment, of both arms.
    #[serde(default = "half")]
    #[schema(default = 0.5)]
    treated_share: f64,
    /// Chance of a false call where nothing has changed.
    #[serde(default = "five_percent")]
    #[schema(default = 0.05)]
    alpha: f64,
    /// Chance of a call where the effect is as large as planned.
    #[serde(default = "four_fifths")]
    #[schema(default = 0.8)]
    power: f64,
    /// Read as often as one likes (as reports are), or once at the end.
    #[serde(default = "yes")]
    #[schema(default = true)]
    peeking: bool,
}

fn half() -> f64 {
    0.5
}
fn five_percent() -> f64 {
    0.05
}
fn four_fifths() -> f64 {
    0.8
}
fn yes() -> bool {
    true
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PlanAnswer {
    /// Shoppers of both arms together.
    #[schema(example = 450000)]
    units: u64,
    /// The relative lift that they find.
    #[schema(example = 0.05)]
    lift: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 23)]
    days: Option<u64>,
}

/// Plan an experiment
///
/// How many shoppers and days it takes to find a lift, or how small a lift so many shoppers find.
#[utoipa::path(post, path = "/v1/experiment-plan", tag = "experiments", request_body = PlanRequest,
    responses((status = 200, description = "Shoppers, lift and days", body = PlanAnswer)))]
pub(crate) async fn plan_experiment(Json(request): Json<PlanRequest>) -> Result<Response, Problem> {
    let wrong = |at: &str, error: PlanError| Problem::mistake(at, "out_of_range", error.to_string());
    let base = match (request.share, request.mean, request.variance) {
        (Some(share), None, None) => {
            Plan::of_proportion(share, request.lift.unwrap_or(0.0)).map_err(|error| wrong("share", error))?
        }
        (None, Some(mean), Some(variance)) => Plan::of_mean(mean, variance),
        _ => return Err(Problem::mistake("share", "missing", "give a share, or a mean and a variance")),
    };
    let plan = Plan {
        treated_share: request.treated_share,
        alpha: request.alpha,
        power: request.power,
        rule: if request.peeking { Rule::Sequential } else { Rule::Fixed },
        ..base
    };
    let (units, lift) = match (request.lift, request.units) {
        (Some(lift), None) => (plan.sample_size(lift).map_err(|error| wrong("lift", error))?, lift),
        (None, Some(units)) => (units, plan.minimal_detectable_lift(units).map_err(|error| wrong("units", error))?),
        _ => return Err(Problem::mistake("lift", "missing", "give either a lift or units")),
    };
    let days = match request.units_per_day {
        Some(per_day) if per_day > 0.0 => Some((units as f64 / per_day).ceil() as u64),
        Some(_) => return Err(wrong("units_per_day", PlanError::NoUnits)),
        None => None,
    };
    Ok(Answered(PlanAnswer { units, lift, days }).into_response())
}

/// Most decisions of one estimate.
const MAX_ROWS: usize = 100_000;

/// Decisions as they were logged, seen with the eyes of another policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rows": [
    {"propensity": 0.5, "target": 0.9, "reward": 1.0}, {"propensity": 0.5, "target": 0.1, "reward": 0.0}, {"propensity": 0.5, "target": 0.9, "reward": 0.0},
]}))]
pub(crate) struct OffPolicyRequest {
    #[schema(min_items = 2, max_items = 100000)]
    rows: Vec<LoggedRow>,
    /// Weights above it are left to the model by the switch estimator.
    #[serde(default = "ten")]
    #[schema(default = 10)]
    threshold: f64,
}

fn ten() -> f64 {
    10.0
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoggedRow {
    /// The chance with which it was chosen; records and exposures have it.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    propensity: f64,
    /// The chance with which the other policy would have chosen the same.
    #[schema(minimum = 0, maximum = 1)]
    target: f64,
    /// What came of it: 1 for an order, or its value.
    reward: f64,
    /// A model's forecast of the reward of what was chosen.
    #[serde(default)]
    predicted: f64,
    /// The model's forecast under the other policy.
    #[serde(default)]
    predicted_target: f64,
}

/// Estimate another policy
///
/// What another ranking, price or rule would have earned, before it touches a shopper: inverse propensity scores (plain and
/// self-normalised), doubly robust and switch, each with its interval, and whether the logged decisions say anything of it.
#[utoipa::path(post, path = "/v1/off-policy", tag = "experiments", request_body = OffPolicyRequest,
    responses((status = 200, description = "The mean reward a decision, by estimator", body = Object)))]
pub(crate) async fn off_policy_estimate(Json(request): Json<OffPolicyRequest>) -> Result<Response, Problem> {
    if request.rows.len() > MAX_ROWS {
        let detail = format!("{} are more than {MAX_ROWS}", request.rows.len());
        return Err(Problem::mistake("rows", "too_many", detail));
    }
    let row = |row: LoggedRow| Logged {
        propensity: row.propensity,
        target: row.target,
        reward: row.reward,
        predicted: row.predicted,
        predicted_target: row.predicted_target,
    };
    let rows: Vec<Logged> = request.rows.into_iter().map(row).collect();
    let estimate = off_policy(&rows, request.threshold, 0.05);
    let estimate = estimate.map_err(|error| {
        let at = match error {
            OffPolicyError::Row { row } => format!("rows[{row}]"),
            OffPolicyError::Threshold => "threshold".to_owned(),
            OffPolicyError::TooFew | OffPolicyError::NoOverlap => "rows".to_owned(),
        };
        Problem::mistake(at, "out_of_range", error.to_string())
    })?;
    Ok(Answered(estimate).into_response())
}
