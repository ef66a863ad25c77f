//! What is held of one person, for whoever helps them.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use merx_domain::{IdentityKind, SubjectId};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Look;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Query, blocking};
use crate::problem::Problem;
use crate::routes::Shared;

const MOST: usize = 1_000;
const USUAL: usize = 200;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PersonQuery {
    /// The pseudonym, as decisions and orders have it; or one of the names below.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    subject_id: Option<String>,
    user_id: Option<String>,
    anonymous_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    /// Events, and decisions, newest first.
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<usize>,
}

/// One person
///
/// Names, consent, orders, features, and the newest events and decisions of the person that a name or a pseudonym stands for. The look is noted
/// with the `X-Reason` of the request before anything is read. Events are looked for in the whole log.
#[utoipa::path(get, path = "/v1/person", tag = "personal data", params(PersonQuery),
    responses((status = 200, description = "What is held", body = Object)))]
pub(crate) async fn get_person(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Query(query): Query<PersonQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to {MOST}")));
    }
    let look = Look::of(&caller, &headers);
    blocking(move || {
        let subject = query.subject(&app)?;
        look.note(&app, "person", Some(subject))?;
        let held: Value = app.parts.privacy.person(subject, limit)?;
        Ok(Answered(held).into_response())
    })
    .await
}

impl PersonQuery {
    fn subject(self, app: &App) -> Result<SubjectId, Problem> {
        if let Some(id) = self.subject_id {
            return id.parse().map_err(|_| Problem::mistake("subject_id", "invalid_id", "32 hexadecimal digits"));
        }
        let names = [
            (IdentityKind::UserId, "user_id", self.user_id),
            (IdentityKind::AnonymousId, "anonymous_id", self.anonymous_id),
            (IdentityKind::Email, "email", self.email),
            (IdentityKind::Phone, "phone", self.phone),
        ];
        let named = names.into_iter().find_map(|(kind, field, value)| Some((kind, field, value?)));
        let missing =
            || Problem::mistake("subject_id", "missing", "name the person: by pseudonym, id, e-mail or phone");
        let (kind, field, value) = named.ok_or_else(missing)?;
        let found = app.parts.intake.find_subject(kind, value.trim())?;
        found.ok_or_else(|| Problem::not_found("person", format!("of this {field}")))
    }
}
