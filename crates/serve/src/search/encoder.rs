//! What a sentence encoder does for searches, over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::body::{Answered, blocking};
use crate::ports::EncoderStatus;
use crate::problem::Problem;
use crate::routes::Shared;

/// Which encoder says what texts mean
///
/// How many products have a vector of the encoder that `search.encoder` names, whether searches use them, what was sent today and what hinders it.
#[utoipa::path(get, path = "/v1/search/encoder", tag = "search",
    responses((status = 200, description = "The encoder", body = EncoderStatus)))]
pub(crate) async fn encoder(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(app.parts.searches.encoder()?).into_response())).await
}
