//! Experiments and flags over HTTP: definitions, their life, and what would keep them from going live.
//!
//! `wire.rs` is how a definition stands in JSON. Flags are asked for in `ofrep`.

mod report;
mod wire;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_decide::{DefinitionProblem, ExperimentsError, StoredExperiment};
use merx_domain::ModelVersion;
use merx_domain::experiment::ExperimentId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::automations::Acts;
use crate::body::{Answered, Json, PathId, blocking};
use crate::entities::patched;
use crate::problem::{Code, Mistake, Problem, ProblemDocument};
use crate::routes::Shared;
pub(crate) use report::{
    __path_bandit_report, __path_experiment_metrics, __path_experiment_report, __path_holdout_report,
    __path_off_policy_estimate, __path_plan_experiment, bandit_report, experiment_metrics, experiment_report,
    holdout_report, off_policy_estimate, plan_experiment,
};
use wire::{ExperimentAnswer, ExperimentWire, definition_of};

#[derive(Serialize, ToSchema)]
pub(crate) struct ExperimentList {
    /// By id; drafts and ended ones too.
    items: Vec<ExperimentAnswer>,
}

/// What would keep a definition from going live.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExperimentCheck {
    sound: bool,
    #[schema(example = json!([]))]
    errors: Vec<Mistake>,
}

fn mistakes(problems: Vec<DefinitionProblem>) -> Vec<Mistake> {
    problems.into_iter().map(|problem| Mistake::new(problem.at, problem.code, problem.detail)).collect()
}

impl From<ExperimentsError> for Problem {
    fn from(error: ExperimentsError) -> Self {
        match error {
            ExperimentsError::Unknown(id) => Self::not_found("experiment", id),
            ExperimentsError::Refused(detail) => Self::because(Code::Conflict, detail),
            ExperimentsError::Invalid(problems) => Self::mistakes(mistakes(problems)),
            ExperimentsError::Store(error) => error.into(),
        }
    }
}

fn answered(stored: &StoredExperiment) -> Answered<ExperimentAnswer> {
    Answered(ExperimentAnswer::from(stored))
}

/// List experiments and flags
#[utoipa::path(get, path = "/v1/experiments", tag = "experiments",
    responses((status = 200, description = "By id", body = ExperimentList)))]
pub(crate) async fn list_experiments(State(app): State<Shared>) -> Response {
    let stored = app.parts.dealer.definitions.list();
    Answered(ExperimentList { items: stored.iter().map(|stored| ExperimentAnswer::from(&**stored)).collect() })
        .into_response()
}

/// One experiment or flag
#[utoipa::path(get, path = "/v1/experiments/{id}", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "Definition and state", body = ExperimentAnswer)))]
pub(crate) async fn get_experiment(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    Ok(answered(&*app.parts.dealer.definitions.get(&ExperimentId::new(&id))?).into_response())
}

/// Put an experiment or flag
///
/// Makes a draft or changes it. Of a running test only what moves nobody to another arm may change (words, metrics, ramp, end);
/// a running flag may change its arms too. Problems are named with their place; nothing that isn't sound is kept.
#[utoipa::path(put, path = "/v1/experiments/{id}", tag = "experiments", request_body = ExperimentWire,
    params(("id" = String, Path, description = "The experiment's id: letters, digits, hyphens, underscores, dots", example = "home-variety")),
    responses((status = 200, description = "As it is kept now", body = ExperimentAnswer),
        (status = 409, description = "It runs or has ended, and the change would mix what was measured", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_experiment(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(wire): Json<ExperimentWire>,
) -> Result<Response, Problem> {
    blocking(move || put(&app, &id, wire, &caller.acts(&app))).await
}

/// Patch an experiment or flag
///
/// A merge patch (RFC 7396); the same rules as for putting.
#[utoipa::path(patch, path = "/v1/experiments/{id}", tag = "experiments",
    request_body(content = Object, example = json!({"ramp_percent": 50})),
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "As it is kept now", body = ExperimentAnswer),
        (status = 409, description = "It runs or has ended, and the change would mix what was measured", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn patch_experiment(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    blocking(move || {
        let _patching = app.patching.lock();
        let stored = app.parts.dealer.definitions.get(&ExperimentId::new(&id))?;
        let wire = patched(&ExperimentWire::from(&stored.definition), patch, "").map_err(Problem::mistakes)?;
        put(&app, &id, wire, &caller.acts(&app))
    })
    .await
}

fn put(app: &App, id: &str, wire: ExperimentWire, acts: &Acts) -> Result<Response, Problem> {
    let definitions = &app.parts.dealer.definitions;
    let now = app.parts.clock.now();
    let known = definitions.get(&ExperimentId::new(id)).ok();
    let definition = definition_of(id, wire, known.as_deref(), now).map_err(Problem::mistakes)?;
    let unknown = unknown_versions(app, &definition)?;
    if !unknown.is_empty() {
        return Err(Problem::mistakes(unknown));
    }
    Ok(answered(&*definitions.put(definition, acts.act())?).into_response())
}

/// Check a definition
///
/// Says everything that would keep it from going live now, beside what runs. Nothing is kept.
#[utoipa::path(post, path = "/v1/experiments/{id}/check", tag = "experiments", request_body = ExperimentWire,
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "Whether it is sound, and what is not", body = ExperimentCheck)))]
pub(crate) async fn check_experiment(
    State(app): State<Shared>,
    PathId(id): PathId<String>,
    Json(wire): Json<ExperimentWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let definitions = &app.parts.dealer.definitions;
        let known = definitions.get(&ExperimentId::new(&id)).ok();
        let errors = match definition_of(&id, wire, known.as_deref(), app.parts.clock.now()) {
            Ok(definition) => {
                let mut errors = mistakes(definitions.check(&definition));
                errors.extend(unknown_versions(&app, &definition)?);
                errors
            }
            Err(errors) => errors,
        };
        Ok(Answered(ExperimentCheck { sound: errors.is_empty(), errors }).into_response())
    })
    .await
}

/// Versions of models that arms ask for and the registry doesn't have.
fn unknown_versions(app: &App, definition: &merx_decide::ExperimentDefinition) -> Result<Vec<Mistake>, Problem> {
    let asked: Vec<(usize, ModelVersion)> = definition
        .variants
        .iter()
        .enumerate()
        .filter_map(|(place, variant)| Some((place, variant.change.model_version?)))
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let model = match definition.surface {
        merx_decide::Surface::Search => "search",
        _ => "recommend",
    };
    let known = app.parts.models.list()?;
    let is_known = |version: ModelVersion| known.iter().any(|entry| entry.name == model && entry.version == version);
    let unknown = asked.into_iter().filter(|(_, version)| !is_known(*version)).map(|(place, version)| {
        let at = format!("arms[{place}].change.model_version");
        Mistake::new(at, "unknown_model_version", format!("model {model} has no version {}", version.0))
    });
    Ok(unknown.collect())
}

/// Start an experiment or flag
///
/// From the next request on, or from its `starts_at`. What isn't sound beside everything that runs doesn't start.
#[utoipa::path(post, path = "/v1/experiments/{id}/start", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "It runs", body = ExperimentAnswer),
        (status = 409, description = "It runs already, or has ended", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn start_experiment(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let started = app.parts.dealer.definitions.start(&ExperimentId::new(&id), caller.acts(&app).act())?;
        Ok(answered(&started).into_response())
    })
    .await
}

/// End an experiment or flag
///
/// For good: from the next request on everybody gets what was there before. It stays listed with its report.
#[utoipa::path(post, path = "/v1/experiments/{id}/end", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 200, description = "It has ended", body = ExperimentAnswer),
        (status = 409, description = "It doesn't run", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn end_experiment(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let ended = app.parts.dealer.definitions.end(&ExperimentId::new(&id), caller.acts(&app).act())?;
        Ok(answered(&ended).into_response())
    })
    .await
}

/// Remove a draft
///
/// What has run stays listed.
#[utoipa::path(delete, path = "/v1/experiments/{id}", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id", example = "home-variety")),
    responses((status = 204, description = "It is gone"),
        (status = 409, description = "It has run", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn delete_experiment(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.dealer.definitions.remove(&ExperimentId::new(&id), caller.acts(&app).act())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
