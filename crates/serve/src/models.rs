//! Models over HTTP: what serves, what could, and the way back.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::ModelVersion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::body::{Answered, Document, PathId, blocking, parse};
use crate::ports::{ModelChangeError, ModelEntry};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::Shared;

#[derive(Serialize, ToSchema)]
pub(crate) struct ModelList {
    items: Vec<ModelVersionAnswer>,
}

/// A version of a model.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelVersionAnswer {
    #[schema(example = "recommend")]
    name: String,
    #[schema(minimum = 1)]
    version: u32,
    /// candidate, live, previous, retired.
    #[schema(example = "live")]
    stage: String,
    #[schema(format = DateTime)]
    trained_at: String,
    /// What it was trained on, with which code and parameters.
    lineage: Value,
    /// On held-out time.
    metrics: Value,
}

impl From<ModelEntry> for ModelVersionAnswer {
    fn from(entry: ModelEntry) -> Self {
        Self {
            name: entry.name,
            version: entry.version.0,
            stage: entry.stage,
            trained_at: entry.trained_at.to_string(),
            lineage: entry.lineage,
            metrics: entry.metrics,
        }
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Promotion {
    /// The newest candidate, if nothing is said.
    #[schema(minimum = 1)]
    version: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NowLive {
    name: String,
    /// The version that serves from now on.
    #[schema(minimum = 1)]
    version: u32,
}

/// List models
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses((status = 200, description = "Every version of every model, newest first", body = ModelList)))]
pub(crate) async fn list_models(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.models.list()?.into_iter().map(ModelVersionAnswer::from).collect();
        Ok(Answered(ModelList { items }).into_response())
    })
    .await
}

/// Promote a version
///
/// Makes it the live one at once; the version that served until now stays warm. Promotion by hand goes past the gate.
#[utoipa::path(post, path = "/v1/models/{name}/promote", tag = "models", request_body = Promotion,
    params(("name" = String, Path, description = "The model's name", example = "recommend")),
    responses((status = 200, description = "It serves", body = NowLive),
        (status = 409, description = "It can't serve", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn promote_model(
    State(app): State<Shared>,
    PathId(name): PathId<String>,
    Document(body): Document,
) -> Result<Response, Problem> {
    let promotion: Promotion = if body.is_empty() { Promotion::default() } else { parse(&body, "")? };
    if promotion.version == Some(0) {
        return Err(Problem::mistake("version", "out_of_range", "versions count from 1"));
    }
    blocking(move || {
        let version = app.parts.models.promote(&name, promotion.version.map(ModelVersion))?;
        Ok(Answered(NowLive { name, version: version.0 }).into_response())
    })
    .await
}

/// Roll back
///
/// Makes the previous version live again.
#[utoipa::path(post, path = "/v1/models/{name}/rollback", tag = "models",
    params(("name" = String, Path, description = "The model's name", example = "recommend")),
    responses((status = 200, description = "It serves", body = NowLive),
        (status = 409, description = "There is no previous version", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn roll_back_model(
    State(app): State<Shared>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let version = app.parts.models.roll_back(&name)?;
        Ok(Answered(NowLive { name, version: version.0 }).into_response())
    })
    .await
}

impl From<ModelChangeError> for Problem {
    fn from(error: ModelChangeError) -> Self {
        match error {
            ModelChangeError::UnknownModel(name) => Self::not_found("model", name),
            ModelChangeError::Refused(why) => Self::because(Code::Conflict, why),
            ModelChangeError::Store(error) => error.into(),
        }
    }
}
