//! What people ask about their data, over HTTP: requests and what became of them, what is held of somebody, who looked
//! at it.

pub(crate) mod opendsr;
pub(crate) mod person;
pub(crate) mod shopify;
mod signature;

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use merx_domain::{IdentityKind, SubjectId, TimestampMs};
use merx_ingest::privacy::{
    AskedName, NameFormat, NewRequest, Notes, PersonalRead, PrivacyRequest, RequestKind, RequestState,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::ports::PrivacyError;
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_NAMES: usize = 100;
const MAX_NAME_BYTES: usize = 2_000;
const MAX_WORD_BYTES: usize = 200;

/// Secrets and names that the privacy routes need.
#[derive(Clone, Default)]
pub struct PrivacySettings {
    /// The app's client secret, which signs Shopify's compliance webhooks; without it they are refused.
    pub shopify_secret: Option<String>,
    /// Shared with whoever sends OpenDSR requests: signs theirs and our answers.
    pub opendsr_secret: Option<String>,
    /// How OpenDSR's answers call this shop.
    pub controller_id: String,
    pub processor_domain: String,
}

impl std::fmt::Debug for PrivacySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivacySettings").field("controller_id", &self.controller_id).finish_non_exhaustive()
    }
}

/// What a person asks for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PrivacyRequestKind)]
pub(crate) enum KindWire {
    /// What is held of them, to read.
    Access,
    /// The same, to take elsewhere.
    Portability,
    /// To be forgotten.
    Erasure,
    /// Whether anything is left of them.
    Verification,
}

/// One thing that names the person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonName)]
pub(crate) struct NameWire {
    kind: NameKindWire,
    #[schema(example = "kim@post.example", min_length = 1, max_length = 2000)]
    value: String,
    /// How the value is written: as it is, or its digest in hexadecimal.
    #[serde(default)]
    format: FormatWire,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PersonNameKind)]
pub(crate) enum NameKindWire {
    /// The shop's id of a signed-in customer.
    UserId,
    /// What a browser or app calls its visitor.
    AnonymousId,
    Email,
    Phone,
}

impl From<NameKindWire> for IdentityKind {
    fn from(kind: NameKindWire) -> Self {
        match kind {
            NameKindWire::UserId => Self::UserId,
            NameKindWire::AnonymousId => Self::AnonymousId,
            NameKindWire::Email => Self::Email,
            NameKindWire::Phone => Self::Phone,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PersonNameFormat)]
pub(crate) enum FormatWire {
    #[default]
    Raw,
    Md5,
    Sha1,
    Sha256,
}

impl From<FormatWire> for NameFormat {
    fn from(format: FormatWire) -> Self {
        match format {
            FormatWire::Raw => Self::Raw,
            FormatWire::Md5 => Self::Md5,
            FormatWire::Sha1 => Self::Sha1,
            FormatWire::Sha256 => Self::Sha256,
        }
    }
}

/// A request of a person, or on behalf of one. At least one name or pseudonym; everybody they name is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrivacyRequest, example = json!({"kind": "erasure", "names": [{"kind": "user_id", "value": "c-1001"}], "regulation": "gdpr"}))]
pub(crate) struct NewRequestWire {
    kind: KindWire,
    #[serde(default)]
    #[schema(max_items = 100)]
    names: Vec<NameWire>,
    /// Pseudonyms, as decisions and the lake have them.
    #[serde(default)]
    #[schema(max_items = 100)]
    subject_ids: Vec<String>,
    /// Of a verification: an erasure whose pseudonyms are looked for.
    #[serde(default)]
    #[schema(nullable = false, max_length = 200)]
    request_id: Option<String>,
    /// The law it rests on, in your words.
    #[serde(default)]
    #[schema(max_length = 200)]
    regulation: String,
    /// Of an erasure: what the same names do from now on is not taken either.
    #[serde(default)]
    suppress: bool,
}

/// A request and how it stands. It names nobody.
#[derive(Serialize, ToSchema)]
#[schema(as = PrivacyRequest)]
pub(crate) struct RequestAnswer {
    #[schema(example = "0b2f7c7e-6f0a-4c53-9d3a-3a8f6f0f8a11")]
    id: String,
    #[schema(value_type = String, example = "erasure")]
    kind: &'static str,
    /// pending, running, completed, cancelled, failed. What failed is tried again.
    #[schema(value_type = String, example = "completed")]
    state: &'static str,
    /// The way it came.
    #[schema(example = "api")]
    source: String,
    regulation: String,
    suppress: bool,
    #[schema(format = DateTime)]
    received_at: String,
    /// Until when the law wants an answer.
    #[schema(format = DateTime)]
    due_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    completed_at: Option<String>,
    /// What was done and what was found, without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    report: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

impl From<PrivacyRequest> for RequestAnswer {
    fn from(request: PrivacyRequest) -> Self {
        Self {
            id: request.id,
            kind: request.kind.name(),
            state: request.state.name(),
            source: request.source,
            regulation: request.regulation,
            suppress: request.suppress,
            received_at: request.received_at.to_string(),
            due_at: request.due_at.to_string(),
            completed_at: request.completed_at.map(|at| at.to_string()),
            report: request.report,
            error: request.error,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PrivacyRequestList)]
pub(crate) struct RequestList {
    items: Vec<RequestAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonalReadList)]
pub(crate) struct ReadList {
    items: Vec<ReadAnswer>,
}

/// A look at a person's data.
#[derive(Serialize, ToSchema)]
#[schema(as = PersonalRead)]
pub(crate) struct ReadAnswer {
    #[schema(format = DateTime)]
    at: String,
    /// The key that asked.
    who: String,
    #[schema(example = "decision")]
    what: String,
    /// What the request's `X-Reason` said.
    why: String,
    /// Whose data; absent where it was a list, or the person was erased since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject_id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewestQuery {
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

impl NewestQuery {
    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(100);
        if (1..=1_000).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to 1000")))
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VaultRotation {
    /// Keys that the new master key wraps.
    #[schema(example = 20001)]
    keys_wrapped: u64,
}

/// Ask on behalf of a person
///
/// The request is on disk when the answer comes, and begun soon after; `GET /v1/privacy/requests/{id}` follows it. An
/// erasure ends with a search of every byte for what was erased, and is completed only if nothing was found.
#[utoipa::path(post, path = "/v1/privacy/requests", tag = "privacy", request_body = NewRequestWire,
    responses((status = 202, description = "It is taken", body = RequestAnswer)))]
pub(crate) async fn submit_request(
    State(app): State<Shared>,
    Json(wire): Json<NewRequestWire>,
) -> Result<Response, Problem> {
    let new = read_request(wire)?;
    blocking(move || {
        let request = app.parts.privacy.submit(new)?;
        Ok((StatusCode::ACCEPTED, Answered(RequestAnswer::from(request))).into_response())
    })
    .await
}

fn read_request(wire: NewRequestWire) -> Result<NewRequest, Problem> {
    let mut notes = Notes::default();
    for (number, name) in wire.names.iter().enumerate() {
        let at = format!("names[{number}].value");
        if name.value.trim().is_empty() || name.value.len() > MAX_NAME_BYTES {
            return Err(Problem::mistake(at, "out_of_range", format!("1 to {MAX_NAME_BYTES} bytes are expected")));
        }
        let value = name.value.trim().to_owned();
        notes.asked.push(AskedName { kind: name.kind.into(), format: name.format.into(), value });
    }
    for (number, subject) in wire.subject_ids.iter().enumerate() {
        let subject: SubjectId = subject.parse().map_err(|_| {
            let at = format!("subject_ids[{number}]");
            Problem::mistake(at, "invalid_id", "a pseudonym has 32 hexadecimal digits")
        })?;
        notes.add_subject(subject);
    }
    let words = [&wire.regulation, wire.request_id.as_ref().unwrap_or(&wire.regulation)];
    if words.into_iter().any(|word| word.len() > MAX_WORD_BYTES) || notes.asked.len() + notes.subjects.len() > MAX_NAMES
    {
        return Err(Problem::mistake("", "out_of_range", "there are at most 100 names, and words of 200 bytes"));
    }
    if notes.asked.is_empty() && notes.subjects.is_empty() && wire.request_id.is_none() {
        return Err(Problem::mistake("names", "missing", "name the person: by names or subject_ids"));
    }
    let kind = match wire.kind {
        KindWire::Access => RequestKind::Access,
        KindWire::Portability => RequestKind::Portability,
        KindWire::Erasure => RequestKind::Erasure,
        KindWire::Verification => RequestKind::Verification,
    };
    if wire.request_id.is_some() && kind != RequestKind::Verification {
        return Err(Problem::mistake("request_id", "unexpected", "only a verification looks at another request"));
    }
    Ok(NewRequest {
        id: None,
        kind,
        source: "api".to_owned(),
        regulation: wire.regulation,
        suppress: wire.suppress,
        of: wire.request_id,
        notes,
    })
}

/// The register of requests
#[utoipa::path(get, path = "/v1/privacy/requests", tag = "privacy", params(NewestQuery),
    responses((status = 200, description = "Newest first", body = RequestList)))]
pub(crate) async fn list_requests(
    State(app): State<Shared>,
    Query(query): Query<NewestQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit()?;
    blocking(move || {
        let items = app.parts.privacy.requests(limit)?.into_iter().map(RequestAnswer::from).collect();
        Ok(Answered(RequestList { items }).into_response())
    })
    .await
}

/// How a request stands
#[utoipa::path(get, path = "/v1/privacy/requests/{id}", tag = "privacy",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, description = "The request", body = RequestAnswer)))]
pub(crate) async fn get_request(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let request = find(&app, &id)?;
        Ok(Answered(RequestAnswer::from(request)).into_response())
    })
    .await
}

/// Take a request back
///
/// Possible until it is begun.
#[utoipa::path(delete, path = "/v1/privacy/requests/{id}", tag = "privacy",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 204, description = "It is cancelled"),
        (status = 409, description = "It was begun", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn cancel_request(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        cancel(&app, &id)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// What is held of a person
///
/// Of a completed request for access or portability: names, consent, orders, events, decisions and features. Gathered when
/// asked for and kept nowhere; the look is noted.
#[utoipa::path(get, path = "/v1/privacy/requests/{id}/data", tag = "personal data",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, description = "Everything that is held", body = Object),
        (status = 409, description = "The request is another one, or not completed", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn request_data(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let request = find(&app, &id)?;
        if !matches!(request.kind, RequestKind::Access | RequestKind::Portability) {
            return Err(Problem::because(Code::Conflict, format!("request {id} is about {}", request.kind.name())));
        }
        if request.state != RequestState::Completed {
            return Err(Problem::because(Code::Conflict, format!("request {id} is {}", request.state.name())));
        }
        let data = app.parts.privacy.data(&id, &who(&caller))?;
        Ok(Answered(data).into_response())
    })
    .await
}

/// Who looked at people's data
#[utoipa::path(get, path = "/v1/privacy/reads", tag = "privacy", params(NewestQuery),
    responses((status = 200, description = "Newest first", body = ReadList)))]
pub(crate) async fn list_reads(
    State(app): State<Shared>,
    Query(query): Query<NewestQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit()?;
    blocking(move || {
        let answer = |read: PersonalRead| ReadAnswer {
            at: read.at.to_string(),
            who: read.who,
            what: read.what,
            why: read.why,
            subject_id: read.subject.map(|subject| subject.to_string()),
        };
        let items = app.parts.privacy.reads(limit)?.into_iter().map(answer).collect();
        Ok(Answered(ReadList { items }).into_response())
    })
    .await
}

/// How long what is kept.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = RetentionPeriods)]
pub struct RetentionPeriods {
    /// Days that events are kept; 0: for good.
    pub events_days: u32,
    /// Kinds of events with a time of their own.
    pub kinds_days: BTreeMap<String, u32>,
    /// Records of decisions.
    pub decisions_days: u32,
    /// Until when a person's request is to be answered.
    pub answer_days: u32,
    /// How long an erasure's pseudonyms are kept, sealed, so that it can be verified.
    pub proof_days: u32,
    /// Who looked at people's data.
    pub looks_days: u32,
}

/// Retention periods
///
/// How long events, decisions and proofs are kept, as the configuration says.
#[utoipa::path(get, path = "/v1/privacy/retention", tag = "policy",
    responses((status = 200, description = "In days", body = RetentionPeriods)))]
pub(crate) async fn retention(State(app): State<Shared>) -> Response {
    Answered(app.parts.privacy.retention()).into_response()
}

/// Exchange the vault's master key
///
/// Every person's key is wrapped with a new master key, while everything goes on. Broken off, it goes on when asked for again.
#[utoipa::path(post, path = "/v1/vault/rotate", tag = "vault",
    responses((status = 200, description = "The old key opens nothing any more", body = VaultRotation),
        (status = 409, description = "The operator has to provide the new key", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn rotate_vault(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let keys_wrapped = app.parts.privacy.rotate_vault()?;
        Ok(Answered(VaultRotation { keys_wrapped }).into_response())
    })
    .await
}

fn find(app: &App, id: &str) -> Result<PrivacyRequest, Problem> {
    app.parts.privacy.request(id)?.ok_or_else(|| Problem::not_found("request", id))
}

fn cancel(app: &App, id: &str) -> Result<PrivacyRequest, Problem> {
    let request = find(app, id)?;
    if !app.parts.privacy.cancel(id)? {
        return Err(Problem::because(Code::Conflict, format!("request {id} is {}", request.state.name())));
    }
    find(app, id)
}

fn who(caller: &Caller) -> String {
    caller.0.as_ref().map_or_else(String::new, |key| key.id.clone())
}

/// A look at personal data on its way: noted before it is answered.
pub(crate) struct Look {
    who: String,
    why: String,
}

impl Look {
    pub(crate) fn of(caller: &Caller, headers: &HeaderMap) -> Self {
        let why = headers.get("x-reason").and_then(|reason| reason.to_str().ok()).unwrap_or_default();
        Self { who: who(caller), why: why.chars().take(MAX_WORD_BYTES).collect() }
    }

    pub(crate) fn note(&self, app: &App, what: &str, subject: Option<SubjectId>) -> Result<(), Problem> {
        let at: TimestampMs = app.parts.clock.now();
        let read = PersonalRead { at, who: self.who.clone(), what: what.to_owned(), why: self.why.clone(), subject };
        Ok(app.parts.privacy.note(&read)?)
    }
}

impl From<PrivacyError> for Problem {
    fn from(error: PrivacyError) -> Self {
        match error {
            PrivacyError::Refused(why) => Self::because(Code::Conflict, why),
            PrivacyError::Store(error) => error.into(),
        }
    }
}
