//! Users of the console over HTTP.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, blocking};
use crate::keys::Scope;
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;
use crate::users::{MAX_NAME_BYTES, PASSWORD_CHARS, PASSWORD_HINT, User, UserError};

#[derive(Serialize, ToSchema)]
#[schema(as = UserList)]
pub(crate) struct UserListAnswer {
    /// By name.
    items: Vec<UserAnswer>,
}

/// Who may sign in with a password.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserAnswer {
    #[schema(example = "anna")]
    name: String,
    role: Scope,
    #[schema(format = DateTime)]
    created_at: String,
    /// When role or password were last set.
    #[schema(format = DateTime)]
    changed_at: String,
}

impl From<&User> for UserAnswer {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            role: Scope::Role(user.role),
            created_at: user.created_at.to_string(),
            changed_at: user.changed_at.to_string(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserWord, example = json!({"role": "merchandiser", "password": "four words are a good one"}))]
pub(crate) struct UserWire {
    /// owner, merchandiser, analyst, support or auditor.
    role: Scope,
    /// Of who is new; of others it stays where it is left out.
    #[serde(default)]
    #[schema(nullable = false, min_length = 10, max_length = 200)]
    password: Option<String>,
}

/// List users
#[utoipa::path(get, path = "/v1/users", tag = "users",
    responses((status = 200, description = "By name; no password and no hash", body = UserListAnswer)))]
pub(crate) async fn list_users(State(app): State<Shared>) -> Response {
    let items = app.parts.users.list().iter().map(|user| UserAnswer::from(&**user)).collect();
    Answered(UserListAnswer { items }).into_response()
}

/// Make or change a user
///
/// A new name needs a password. Another role or another password ends the user's sessions.
#[utoipa::path(put, path = "/v1/users/{name}", tag = "users", request_body = UserWire,
    params(("name" = String, Path, description = "The name to sign in with", max_length = 100, example = "anna")),
    responses((status = 200, description = "May sign in now", body = UserAnswer),
        (status = 409, description = "There are too many users", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_user(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
    Json(wire): Json<UserWire>,
) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(|one| one.is_control() || one.is_whitespace())
    {
        mistakes.add("name".into(), "invalid_id", "1 to 100 bytes without spaces");
    }
    let chars = wire.password.as_ref().map(|password| password.chars().count());
    if chars.is_some_and(|chars| !PASSWORD_CHARS.contains(&chars)) {
        mistakes.add("password".into(), "out_of_range", PASSWORD_HINT);
    }
    let Scope::Role(role) = wire.role else {
        let detail = "expected owner, merchandiser, analyst, support or auditor";
        return Err(Problem::mistake("role", "invalid_role", detail));
    };
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let acts = caller.acts(&app);
        let user = app.parts.users.put(&name, role, wire.password.as_deref(), acts.act())?;
        Ok(Answered(UserAnswer::from(&*user)).into_response())
    })
    .await
}

/// Remove a user
///
/// Their sessions end at once; what they did stays in the audit log under their name.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The user's name", example = "anna")),
    responses((status = 204, description = "May no longer sign in")))]
pub(crate) async fn delete_user(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let acts = caller.acts(&app);
        app.parts.users.remove(&name, acts.act())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Wrong => Self::new(Code::WrongPassword),
            UserError::TooOften(seconds) => Self::new(Code::TooManySignIns).retry_after(seconds),
            UserError::Unknown(name) => Self::not_found("user", name),
            UserError::TooMany => Self::because(Code::Conflict, error.to_string()),
            UserError::NoPassword(_) => Self::mistake("password", "missing", error.to_string()),
            UserError::Store(error) => error.into(),
            UserError::Hashing(_) => {
                tracing::error!(%error, "a password could not be looked at");
                Self::new(Code::Internal)
            }
        }
    }
}
