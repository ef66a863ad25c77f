//! Work that outlasts a request: trainings and exports. Asked for here, done elsewhere, watched here.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_domain::TimestampMs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, blocking};
use crate::problem::Problem;
use crate::routes::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Fits the models on the log; what passes the gate goes live.
    Training,
    /// Fits recommendations on the log; what comes of it goes into the shadow of live decisions, whatever the gate says.
    Retraining,
    /// Writes new events of the log to the lake.
    Export,
    /// Answers what people ask about their data.
    Privacy,
    /// Lets events go that have had their time.
    Retention,
    /// Builds the search index anew from the records; the old one answers until the new one is ready.
    Indexing,
}

impl JobKind {
    pub const ALL: [Self; 6] =
        [Self::Training, Self::Retraining, Self::Export, Self::Privacy, Self::Retention, Self::Indexing];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Retraining => "retraining",
            Self::Export => "export",
            Self::Privacy => "privacy",
            Self::Retention => "retention",
            Self::Indexing => "indexing",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Waiting,
    Running,
    Done,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    Schedule,
    Request,
}

/// How much of a step is done, in the step's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    pub done: u64,
    pub of: u64,
}

/// A job as whoever runs it knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    pub id: u64,
    pub kind: JobKind,
    pub by: AskedBy,
    pub state: JobState,
    /// What it does now, in words.
    pub step: String,
    pub progress: Option<JobProgress>,
    pub asked_at: TimestampMs,
    pub started_at: Option<TimestampMs>,
    pub ended_at: Option<TimestampMs>,
    /// What came of it.
    pub result: Option<Value>,
    pub error: Option<String>,
    /// Where several processes serve the shop: which of them began it last.
    #[serde(default)]
    pub worker: Option<String>,
    /// How often it was begun: again where its process went before it had ended.
    #[serde(default)]
    pub attempts: u32,
    /// Whoever asked for it knows that processes take jobs under a lease.
    #[serde(default)]
    pub leased: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJob {
    kind: JobKind,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    /// Newest first; the last ones since the server started.
    items: Vec<JobAnswer>,
    /// When the schedule trains next; absent where nothing is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    next_training_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    #[schema(minimum = 1)]
    id: u64,
    kind: JobKind,
    by: AskedBy,
    state: JobState,
    /// What it does now, in words.
    #[schema(example = "reading the log")]
    step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    progress: Option<JobProgress>,
    #[schema(format = DateTime)]
    asked_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ended_at: Option<String>,
    /// What came of it: of a training the version, its measures and what the gate said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// Where several processes serve the shop: which of them began it last, as HOST:PID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "shop-1:4711")]
    worker: Option<String>,
    /// How often it was begun: again where its process went before it had ended.
    attempts: u32,
}

impl From<JobEntry> for JobAnswer {
    fn from(job: JobEntry) -> Self {
        let time = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            id: job.id,
            kind: job.kind,
            by: job.by,
            state: job.state,
            step: job.step,
            progress: job.progress,
            asked_at: job.asked_at.to_string(),
            started_at: time(job.started_at),
            ended_at: time(job.ended_at),
            result: job.result,
            error: job.error,
            worker: job.worker,
            attempts: job.attempts,
        }
    }
}

/// List jobs
///
/// What ran, runs and waits, with its progress. A process does one job at a time; where several work for a shop, a training may run
/// beside another job.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs",
    responses((status = 200, description = "Newest first", body = JobList)))]
pub(crate) async fn list_jobs(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let next_training_at = app.parts.jobs.next_training_at()?.map(|at| at.to_string());
        let items = app.parts.jobs.list()?.into_iter().map(JobAnswer::from).collect();
        Ok(Answered(JobList { items, next_training_at }).into_response())
    })
    .await
}

/// Start a job
///
/// The answer comes at once; `GET /v1/jobs/{id}` follows the job. Where one of the kind waits or runs already, that one is
/// the answer. A job under way when the server stops is given up; nothing half remains of it.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = NewJob,
    responses((status = 202, description = "It waits or runs", body = JobAnswer)))]
pub(crate) async fn start_job(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewJob>,
) -> Result<Response, Problem> {
    blocking(move || {
        let target = serde_json::to_value(new.kind).ok();
        let target = target.as_ref().and_then(Value::as_str).unwrap_or_default();
        app.parts.audit.note(caller.acts(&app).act(), "job.asked", target, &Value::Null)?;
        let job = app.parts.jobs.start(new.kind)?;
        Ok((StatusCode::ACCEPTED, Answered(JobAnswer::from(job))).into_response())
    })
    .await
}

/// One job
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = u64, Path, description = "The job's id", minimum = 1)),
    responses((status = 200, description = "How it stands", body = JobAnswer)))]
pub(crate) async fn get_job(State(app): State<Shared>, PathId(id): PathId<u64>) -> Result<Response, Problem> {
    blocking(move || {
        let job = app.parts.jobs.list()?.into_iter().find(|job| job.id == id);
        let job = job.ok_or_else(|| Problem::not_found("job", id))?;
        Ok(Answered(JobAnswer::from(job)).into_response())
    })
    .await
}
