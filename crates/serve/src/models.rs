//! Models over HTTP: what serves, what could, and the way back.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::ModelVersion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::{Answered, Document, PathId, blocking, parse};
use crate::ports::{ModelChangeError, ModelEntry, ModelSegment};
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
    /// Content hash of its bytes.
    artifact: String,
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
            artifact: entry.artifact,
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
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
    Document(body): Document,
) -> Result<Response, Problem> {
    let promotion: Promotion = if body.is_empty() { Promotion::default() } else { parse(&body, "")? };
    if promotion.version == Some(0) {
        return Err(Problem::mistake("version", "out_of_range", "versions count from 1"));
    }
    blocking(move || {
        let version = promotion.version.map(ModelVersion);
        let version = app.parts.models.promote(&name, version, caller.acts(&app).act())?;
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
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let version = app.parts.models.roll_back(&name, caller.acts(&app).act())?;
        Ok(Answered(NowLive { name, version: version.0 }).into_response())
    })
    .await
}

/// What somebody should know of a version before they trust it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelCard {
    #[serde(flatten)]
    version: ModelVersionAnswer,
    /// The automation that it serves: who answers for it, and what for.
    owner: String,
    purpose: String,
    mode: String,
    /// By segment of shoppers, of the newest decisions that it made.
    segments: Vec<ModelSegment>,
    /// What it can't do, and what isn't known of it.
    limits: Vec<String>,
    /// Promotions, changes of mode and approvals, newest first.
    approvals: Vec<CardApproval>,
    /// The same to be read.
    #[schema(example = "# recommend v3")]
    markdown: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CardApproval {
    #[schema(format = DateTime)]
    at: String,
    by: String,
    #[schema(example = "model.promoted")]
    action: String,
}

const MOST_APPROVALS: usize = 50;
/// A model that was fitted so long ago is called old.
const OLD_DAYS: i64 = 30;

/// A model's card
///
/// Made from the registry, the audit log and the newest decisions: data window, lineage, metrics on held-out time, metrics by segment, limits,
/// approvals.
#[utoipa::path(get, path = "/v1/models/{name}/{version}/card", tag = "models",
    params(("name" = String, Path, description = "The model's name", example = "recommend"),
        ("version" = u32, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The card", body = ModelCard)))]
pub(crate) async fn model_card(
    State(app): State<Shared>,
    axum::extract::Path((name, version)): axum::extract::Path<(String, String)>,
) -> Result<Response, Problem> {
    let version: u32 = version.parse().map_err(|_| Problem::not_found("version", &version))?;
    blocking(move || {
        let mut entries = app.parts.models.list()?.into_iter();
        let entry = entries.find(|entry| entry.name == name && entry.version.0 == version);
        let entry = entry.ok_or_else(|| Problem::not_found("version", format!("{version} of model {name}")))?;
        let automation = app.parts.automations.get(&name).ok();
        let segments = app.parts.models.segments(&name, ModelVersion(version))?;
        let approvals = app.parts.audit.about(&name, MOST_APPROVALS)?.into_iter().map(|entry| CardApproval {
            at: entry.at.to_string(),
            by: entry.actor,
            action: entry.action,
        });
        let age_days = app.parts.clock.now().since(entry.trained_at) / merx_domain::DAY_MS;
        let limits = limits(&entry, &segments, age_days);
        let mut card = ModelCard {
            version: entry.into(),
            owner: automation.as_ref().map_or_else(String::new, |automation| automation.owner.clone()),
            purpose: automation.as_ref().map_or_else(String::new, |automation| automation.purpose.clone()),
            mode: automation.map_or_else(String::new, |automation| automation.mode.to_string()),
            segments,
            limits,
            approvals: approvals.collect(),
            markdown: String::new(),
        };
        card.markdown = card.to_markdown();
        Ok(Answered(card).into_response())
    })
    .await
}

fn limits(entry: &ModelEntry, segments: &[ModelSegment], age_days: i64) -> Vec<String> {
    let mut limits = vec![
        "It holds products and no people: what it knows of a shopper it is told with each question.".to_owned(),
        "It was measured on the last part of its window; shoppers, products and seasons that came later are not in its figures.".to_owned(),
    ];
    if let Some(items) = entry.lineage["items"].as_u64() {
        limits.push(format!(
            "It knows {items} products; one that came later is scored by what the catalogue says of it, or not at all."
        ));
    }
    if age_days > OLD_DAYS {
        limits.push(format!("It was fitted {age_days} days ago."));
    }
    if segments.is_empty() {
        limits.push("None of its decisions is on record, so nothing is known of it by segment.".to_owned());
    }
    let few = segments.iter().filter(|segment| segment.decisions < 100);
    let few: Vec<&str> = few.map(|segment| segment.segment.as_str()).collect();
    if !few.is_empty() {
        limits.push(format!("Too few decisions to judge it for: {}.", few.join(", ")));
    }
    limits
}

impl ModelCard {
    fn to_markdown(&self) -> String {
        let version = &self.version;
        let mut text = format!("# {} v{}\n\n", version.name, version.version);
        let mut line = |words: String| text.push_str(&(words + "\n"));
        line(format!("{}, fitted {}.", version.stage, version.trained_at));
        line(format!("Owner: {}. Purpose: {}. Mode: {}.", or_nobody(&self.owner), or_nobody(&self.purpose), self.mode));
        line("\n## Data\n".to_owned());
        let told = ["window_from", "window_until", "events", "subjects", "items", "code", "seed", "parent"];
        for name in told.into_iter().filter(|name| !version.lineage[*name].is_null()) {
            let value = &version.lineage[name];
            let time = value.as_i64().filter(|_| name.starts_with("window_")).map(merx_domain::TimestampMs);
            line(format!("- {name}: {}", time.map_or_else(|| value.to_string(), |time| time.to_string())));
        }
        line("\n## Held-out metrics\n".to_owned());
        for (name, value) in version.metrics.as_object().into_iter().flatten() {
            line(format!("- {name}: {value}"));
        }
        for words in version.lineage["gate"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            line(format!("- gate: {words}"));
        }
        line("\n## By segment\n".to_owned());
        if !self.segments.is_empty() {
            line("| segment | decisions | clicked | latency p95 |\n|---|---|---|---|".to_owned());
        }
        for segment in &self.segments {
            let clicked = 100.0 * segment.click_rate;
            line(format!(
                "| {} | {} | {clicked:.1} % | {:.2} ms |",
                segment.segment, segment.decisions, segment.latency_ms
            ));
        }
        line("\n## Limits\n".to_owned());
        self.limits.iter().for_each(|limit| line(format!("- {limit}")));
        line("\n## Approvals\n".to_owned());
        self.approvals.iter().for_each(|one| line(format!("- {} {} ({})", one.at, one.action, one.by)));
        text
    }
}

fn or_nobody(text: &str) -> &str {
    if text.is_empty() { "not said" } else { text }
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
