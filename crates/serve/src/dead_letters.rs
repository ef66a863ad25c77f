//! Events that could not be applied to what is known of shoppers and products, until somebody has them applied again.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::{Answered, PathId, blocking};
use crate::ports::{AppliedAgain, DeadLetter};
use crate::problem::{Code, Problem};
use crate::routes::Shared;

#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterList {
    /// By place, the earliest first; never more than 1,000.
    items: Vec<DeadLetterAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterAnswer {
    /// Of the event in the log.
    #[schema(minimum = 1)]
    place: u64,
    event_id: String,
    /// The event's name in the Segment vocabulary.
    #[schema(example = "Product Viewed")]
    kind: String,
    /// Why it could not be applied, the last time.
    detail: String,
    /// When it was set aside.
    #[schema(format = DateTime)]
    at: String,
    attempts: u64,
}

impl From<DeadLetter> for DeadLetterAnswer {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { place, event_id, kind, detail, at, attempts } = letter;
        Self { place, event_id, kind, detail, at: at.to_string(), attempts }
    }
}

/// List events that are set aside
///
/// An event that can't be applied to what is known of shoppers and products, for a value would be too large or what stands there is
/// damaged, is set aside, and those behind it go on. It stays in the log: orders, reports and trainings know it.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters",
    responses((status = 200, description = "The earliest first", body = DeadLetterList)))]
pub(crate) async fn list_dead_letters(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.dead_letters.list()?.into_iter().map(DeadLetterAnswer::from).collect();
        Ok(Answered(DeadLetterList { items }).into_response())
    })
    .await
}

/// Apply an event that was set aside
///
/// Once what stood in its way is mended. An event that the log no longer holds, for it or its person was erased, is taken off the list.
#[utoipa::path(post, path = "/v1/dead-letters/{place}/apply", tag = "dead letters",
    params(("place" = u64, Path, description = "The event's place in the log", minimum = 1)),
    responses((status = 204, description = "It is applied, or no longer there to be"),
        (status = 409, description = "It can't be applied: the detail says why", body = crate::problem::ProblemDocument)))]
pub(crate) async fn apply_dead_letter(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(place): PathId<u64>,
) -> Result<Response, Problem> {
    blocking(move || {
        match app.parts.dead_letters.apply(place)? {
            AppliedAgain::Done | AppliedAgain::Gone => {}
            AppliedAgain::Refused(detail) => return Err(Problem::because(Code::Conflict, detail)),
            AppliedAgain::Unknown => return Err(Problem::not_found("dead letter", place)),
        }
        app.parts.audit.note(caller.acts(&app).act(), "dead_letter.applied", &place.to_string(), &Value::Null)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Give up an event that was set aside
///
/// What it would have changed of what is known of shoppers and products is lost; the log keeps the event.
#[utoipa::path(delete, path = "/v1/dead-letters/{place}", tag = "dead letters",
    params(("place" = u64, Path, description = "The event's place in the log", minimum = 1)),
    responses((status = 204, description = "It is off the list")))]
pub(crate) async fn drop_dead_letter(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(place): PathId<u64>,
) -> Result<Response, Problem> {
    blocking(move || {
        if !app.parts.dead_letters.give_up(place)? {
            return Err(Problem::not_found("dead letter", place));
        }
        app.parts.audit.note(caller.acts(&app).act(), "dead_letter.dropped", &place.to_string(), &Value::Null)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
