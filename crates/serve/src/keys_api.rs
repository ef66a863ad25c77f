//! API keys over HTTP.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, blocking};
use crate::keys::{ApiKey, KeyError, Scope};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_LABEL_CHARS: usize = 200;

#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    items: Vec<KeyAnswer>,
}

/// What is known of a key; the key itself is not.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyAnswer {
    #[schema(example = "3f9a1c0b7d2e")]
    id: String,
    scope: Scope,
    label: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&ApiKey> for KeyAnswer {
    fn from(key: &ApiKey) -> Self {
        Self { id: key.id.clone(), scope: key.scope, label: key.label.clone(), created_at: key.created_at.to_string() }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    scope: Scope,
    /// What it is for, in words.
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MintedKey {
    /// The key. It is shown now and never again.
    #[schema(example = "mx_sec_...")]
    key: String,
    #[serde(flatten)]
    about: KeyAnswer,
}

/// List keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    responses((status = 200, description = "By age", body = KeyList)))]
pub(crate) async fn list_keys(State(app): State<Shared>) -> Response {
    Answered(KeyList { items: app.parts.keys.list().iter().map(|key| KeyAnswer::from(&**key)).collect() })
        .into_response()
}

/// Make a key
///
/// 256 random bits; only a hash is kept.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = NewKey,
    responses((status = 201, description = "The key, shown this once", body = MintedKey),
        (status = 409, description = "There are too many keys", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn create_key(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(new): Json<NewKey>,
) -> Result<Response, Problem> {
    let chars = new.label.chars().count();
    if chars > MAX_LABEL_CHARS {
        let detail = format!("{chars} characters are above the limit of {MAX_LABEL_CHARS}");
        return Err(Problem::mistake("label", "too_long", detail));
    }
    blocking(move || {
        let (key, about) = app.parts.keys.mint(new.scope, &new.label, caller.acts(&app).act())?;
        Ok((StatusCode::CREATED, Answered(MintedKey { key, about: KeyAnswer::from(&*about) })).into_response())
    })
    .await
}

/// Revoke a key
///
/// It stops working at once. The last admin key stays.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id, as the list shows it")),
    responses((status = 204, description = "Revoked"),
        (status = 409, description = "It is the last admin key", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn revoke_key(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.keys.revoke(&id, caller.acts(&app).act())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown(id) => Self::not_found("key", id),
            KeyError::TooMany | KeyError::LastAdmin(_) => Self::because(Code::Conflict, error.to_string()),
            KeyError::Store(error) => error.into(),
            KeyError::NoRandomness(_) => {
                tracing::error!(%error, "no key could be made");
                Self::new(Code::Internal)
            }
        }
    }
}
