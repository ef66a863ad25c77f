//! Whether the server lives, whether it can take requests, and its numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Answered, blocking};
use crate::jobs::{JobKind, JobState};
use crate::metrics::Gauges;
use crate::ports::Leader;
use crate::problem::{Code, Problem};
use crate::routes::Shared;

/// More events than this behind the log, and answers would miss what shoppers did minutes ago.
const MAX_LAG_EVENTS: u64 = 100_000;
/// How old a proof that the store takes writes may be.
const STORE_CHECK_MS: i64 = 1_000;

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    /// Events in the log that answers don't know of yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    log_lag_events: Option<u64>,
    /// What does not work as it should although requests are answered; the status is "degraded" then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!([]))]
    troubles: Vec<String>,
}

/// Liveness
///
/// The process runs and answers; nothing else is looked at.
#[utoipa::path(get, path = "/health/live", tag = "operating",
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn live() -> Response {
    Answered(Health { status: "ok", log_lag_events: None, troubles: Vec::new() }).into_response()
}

/// Readiness
///
/// The store takes writes, the projections are caught up, the search index is built, and no stop was asked for.
#[utoipa::path(get, path = "/health/ready", tag = "operating",
    responses((status = 200, description = "Send requests", body = Health)))]
pub(crate) async fn ready(State(app): State<Shared>) -> Result<Response, Problem> {
    if app.is_stopping() {
        return Err(Problem::because(Code::Unavailable, "the server is stopping").retry_after(1));
    }
    let looked_at = Arc::clone(&app);
    let (lag, troubles) = blocking(move || {
        let app = looked_at;
        check_store(&app)?;
        Ok((app.parts.vitals.log_lag_events(), app.parts.vitals.troubles()))
    })
    .await?;
    if lag > MAX_LAG_EVENTS {
        return Err(Problem::because(Code::Unavailable, format!("{lag} events wait to be looked at")).retry_after(1));
    }
    if !app.parts.searches.is_ready() {
        return Err(Problem::because(Code::Unavailable, "the search index is being built").retry_after(1));
    }
    let status = if troubles.is_empty() { "ok" } else { "degraded" };
    Ok(Answered(Health { status, log_lag_events: Some(lag), troubles }).into_response())
}

/// Whether the store took a write lately. A write that waits for the disk is made once in a while, however often anybody asks.
fn check_store(app: &App) -> Result<(), Problem> {
    let mut written_at = app.store_written_at.lock();
    let now = app.parts.clock.now();
    if written_at.is_none_or(|at| !(0..STORE_CHECK_MS).contains(&now.0.saturating_sub(at.0))) {
        *written_at = None;
        app.parts.vitals.store_writable()?;
        *written_at = Some(now);
    }
    Ok(())
}

/// Metrics
///
/// Requests, latencies, events and decisions in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operating",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = blocking(move || {
        let parts = &app.parts;
        let jobs = parts.jobs.list().unwrap_or_else(|error| {
            tracing::warn!(%error, "the queue of jobs could not be read; its metrics are missing");
            Vec::new()
        });
        let dead_letters = parts.dead_letters.list().map(|letters| letters.len()).unwrap_or_else(|error| {
            tracing::warn!(%error, "events that are set aside could not be counted");
            0
        });
        let now = parts.clock.now();
        let waiting = jobs.iter().filter(|job| job.state == JobState::Waiting);
        let oldest_ms = waiting.map(|job| now.since(job.asked_at)).max().unwrap_or(0);
        Ok(app.metrics.render(&Gauges {
            jobs: JobKind::ALL.map(|kind| {
                let count = |state| jobs.iter().filter(|job| job.kind == kind && job.state == state).count() as u64;
                (kind.name(), count(JobState::Waiting), count(JobState::Running))
            }),
            oldest_job_s: (oldest_ms.max(0) as f64) / 1e3,
            busy_s: parts.jobs.busy_s(),
            recorder_queue: parts.recorder.queued() as u64,
            unrecorded: parts.recorder.unrecorded(),
            exposures_lost: parts.dealer.exposures.lost(),
            log_lag: parts.vitals.log_lag_events(),
            dead_letters: dead_letters as u64,
            in_flight: app.in_flight.load(Ordering::Relaxed) as u64,
            waiting: app.admission.waiting(),
            shed: app.admission.shed(),
            leads: u64::from(parts.vitals.leader() == Leader::This),
            products: parts.catalogue.read().len() as u64,
            rejected: app.rejects.counts(),
        }))
    })
    .await?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
