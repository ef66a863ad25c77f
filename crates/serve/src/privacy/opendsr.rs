//! OpenDSR 2.0: data subject requests as consent platforms send them. The version is the first part of the path below
//! `/opendsr`.
//!
//! Where a secret is set, requests carry `X-OpenDSR-Signature`, base64 HMAC-SHA256 of the body, and our answers and the calls to
//! `status_callback_urls` carry one too. (The specification signs with an X.509 certificate of the processor instead.) The status of a request
//! that is done holds a certificate of what was done, which the signature covers, with its entry in the audit log.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merx_decide::AuditLog;
use merx_domain::{IdentityKind, TimestampMs};
use merx_ingest::privacy::{AskedName, NameFormat, NewRequest, Notes, PrivacyRequest, RequestKind, RequestState};
use merx_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::signature::{sign, verifies};
use super::{MAX_NAME_BYTES, MAX_NAMES, PrivacySettings, cancel, find};
use crate::alerts::is_address;
use crate::app::App;
use crate::auth::Caller;
use crate::body::{PathId, Payload, blocking, json_bytes, parse};
use crate::problem::{Code, Mistake, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_BYTES: usize = 1 << 20;
const MAX_CALLBACKS: usize = 10;
const VERSION: &str = "2.0";

#[derive(Deserialize, ToSchema)]
#[schema(as = OpenDsrRequest, example = json!({
    "regulation": "gdpr", "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798", "subject_request_type": "erasure",
    "submitted_time": "2026-11-21T15:00:00Z", "api_version": "2.0", "status_callback_urls": [],
    "subject_identities": [{"identity_type": "email", "identity_value": "kim@post.example", "identity_format": "raw"}],
}))]
pub(crate) struct Sent {
    #[schema(example = "gdpr")]
    regulation: String,
    /// A UUID of version 4: the request's id from now on.
    subject_request_id: String,
    /// access, portability or erasure.
    subject_request_type: String,
    subject_identities: Vec<SentIdentity>,
    #[schema(format = DateTime)]
    submitted_time: String,
    /// Told with the status, signed, whenever it changes; tried again for a day.
    #[serde(default)]
    #[schema(max_items = 10)]
    status_callback_urls: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = OpenDsrIdentity)]
pub(crate) struct SentIdentity {
    /// controller_customer_id, user_id, anonymous_id, email, phone.
    identity_type: String,
    identity_value: String,
    /// raw, md5, sha1, sha256.
    #[serde(default = "raw")]
    identity_format: String,
}

fn raw() -> String {
    "raw".to_owned()
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenDsrReceipt)]
pub(crate) struct Receipt {
    controller_id: String,
    #[schema(format = DateTime)]
    expected_completion_time: String,
    #[schema(format = DateTime)]
    received_time: String,
    /// The request's body, base64.
    encoded_request: String,
    subject_request_id: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenDsrStatus)]
pub(crate) struct Status {
    controller_id: String,
    #[schema(format = DateTime)]
    expected_completion_time: String,
    subject_request_id: String,
    /// pending, in_progress, completed, cancelled.
    #[schema(value_type = String, example = "completed")]
    request_status: &'static str,
    /// Where the data of a completed request for access is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    results_url: Option<String>,
    api_version: &'static str,
    /// Of a completed request: what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    certificate: Option<Certificate>,
}

/// What was done, and where the audit log says so: its hash stands for everything before.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenDsrCertificate)]
pub(crate) struct Certificate {
    /// access, portability or erasure.
    #[schema(value_type = String, example = "erasure")]
    subject_request_type: &'static str,
    #[schema(format = DateTime)]
    completed_time: String,
    /// What was removed, and what a search of every byte found afterwards; it names nobody.
    #[schema(value_type = Object)]
    report: Value,
    audit_entry: u64,
    audit_hash: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenDsrDiscovery)]
pub(crate) struct Discovery {
    api_version: &'static str,
    supported_identities: Vec<SupportedIdentity>,
    supported_subject_request_types: [&'static str; 3],
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenDsrSupportedIdentity)]
pub(crate) struct SupportedIdentity {
    identity_type: &'static str,
    identity_format: &'static str,
}

const TYPES: [(&str, IdentityKind); 5] = [
    ("controller_customer_id", IdentityKind::UserId),
    ("user_id", IdentityKind::UserId),
    ("anonymous_id", IdentityKind::AnonymousId),
    ("email", IdentityKind::Email),
    ("phone", IdentityKind::Phone),
];

/// What OpenDSR requests may ask
#[utoipa::path(get, path = "/opendsr/2.0/discovery", tag = "privacy",
    responses((status = 200, description = "Kinds of names and requests", body = Discovery)))]
pub(crate) async fn discovery(State(app): State<Shared>) -> Response {
    let formats = NameFormat::ALL.iter().map(|format| format.name());
    let supported_identities = TYPES
        .iter()
        .flat_map(|(identity_type, _)| {
            formats.clone().map(move |identity_format| SupportedIdentity { identity_type, identity_format })
        })
        .collect();
    let supported_subject_request_types = ["access", "portability", "erasure"];
    signed(
        &app,
        StatusCode::OK,
        &Discovery { api_version: VERSION, supported_identities, supported_subject_request_types },
    )
}

/// An OpenDSR request
#[utoipa::path(post, path = "/opendsr/2.0/requests", tag = "privacy", request_body = Sent,
    responses((status = 201, description = "It is taken", body = Receipt),
        (status = 409, description = "Another request has this id", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn submit(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = Payload::read(&headers, body, MAX_BYTES).await?.inflate(MAX_BYTES)?;
    check_signature(&app, &headers, &bytes)?;
    let new = read(parse(&bytes, "")?)?;
    blocking(move || {
        let request = app.parts.privacy.submit(new, caller.acts(&app).act())?;
        let receipt = Receipt {
            controller_id: app.parts.settings.privacy.controller_id.clone(),
            expected_completion_time: request.due_at.to_string(),
            received_time: request.received_at.to_string(),
            encoded_request: STANDARD.encode(&bytes),
            subject_request_id: request.id,
        };
        Ok(signed(&app, StatusCode::CREATED, &receipt))
    })
    .await
}

/// How an OpenDSR request stands
#[utoipa::path(get, path = "/opendsr/2.0/requests/{id}", tag = "privacy",
    params(("id" = String, Path, description = "subject_request_id")),
    responses((status = 200, description = "Its status", body = Status)))]
pub(crate) async fn get(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let request = find(&app, &id)?;
        Ok(signed(&app, StatusCode::OK, &status_in(&app, request)?))
    })
    .await
}

/// The same under its other address
#[utoipa::path(get, path = "/opendsr/2.0/requests/{id}/status", tag = "privacy",
    params(("id" = String, Path, description = "subject_request_id")),
    responses((status = 200, description = "Its status", body = Status)))]
pub(crate) async fn get_status(state: State<Shared>, id: PathId<String>) -> Result<Response, Problem> {
    get(state, id).await
}

/// Take an OpenDSR request back
#[utoipa::path(delete, path = "/opendsr/2.0/requests/{id}", tag = "privacy",
    params(("id" = String, Path, description = "subject_request_id")),
    responses((status = 202, description = "It is cancelled", body = Status),
        (status = 409, description = "It was begun", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn take_back(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let request = cancel(&app, &caller, &id)?;
        Ok(signed(&app, StatusCode::ACCEPTED, &status_in(&app, request)?))
    })
    .await
}

fn check_signature(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(secret) = &app.parts.settings.privacy.opendsr_secret else { return Ok(()) };
    let signature = headers.get("x-opendsr-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if verifies(secret, body, signature) {
        return Ok(());
    }
    Err(Problem::because(Code::UnknownKey, "X-OpenDSR-Signature does not fit the body"))
}

fn read(sent: Sent) -> Result<NewRequest, Problem> {
    let mut mistakes = Vec::new();
    if !is_uuid_v4(&sent.subject_request_id) {
        mistakes.push(Mistake::new("subject_request_id", "invalid_id", "a UUID of version 4 is expected"));
    }
    let kind = match sent.subject_request_type.as_str() {
        "access" => Some(RequestKind::Access),
        "portability" => Some(RequestKind::Portability),
        "erasure" => Some(RequestKind::Erasure),
        other => {
            mistakes.push(Mistake::new("subject_request_type", "unknown", format!("{other:?} is not known")));
            None
        }
    };
    if TimestampMs::parse(&sent.submitted_time).is_none() {
        mistakes.push(Mistake::new("submitted_time", "invalid_timestamp", "write times as 2026-01-31T12:00:00Z"));
    }
    if sent.subject_identities.is_empty() || sent.subject_identities.len() > MAX_NAMES {
        mistakes.push(Mistake::new("subject_identities", "out_of_range", format!("1 to {MAX_NAMES} are expected")));
    }
    if sent.regulation.len() > 200 {
        mistakes.push(Mistake::new("regulation", "too_long", "at most 200 bytes"));
    }
    if sent.status_callback_urls.len() > MAX_CALLBACKS {
        let detail = format!("at most {MAX_CALLBACKS} are told");
        mistakes.push(Mistake::new("status_callback_urls", "too_many", detail));
    }
    for (number, url) in sent.status_callback_urls.iter().enumerate().filter(|(_, url)| !is_address(url)) {
        let detail = format!("{url:?} does not begin with http:// or https:// and name a host");
        mistakes.push(Mistake::new(format!("status_callback_urls[{number}]"), "invalid_url", detail));
    }
    let mut notes = Notes::default();
    for (number, identity) in sent.subject_identities.iter().enumerate() {
        match asked_name(identity) {
            Ok(name) => notes.asked.push(name),
            Err((field, detail)) => {
                mistakes.push(Mistake::new(format!("subject_identities[{number}].{field}"), "unknown", detail));
            }
        }
    }
    let Some(kind) = kind.filter(|_| mistakes.is_empty()) else { return Err(Problem::mistakes(mistakes)) };
    Ok(NewRequest {
        id: Some(sent.subject_request_id.to_ascii_lowercase()),
        kind,
        source: "opendsr".to_owned(),
        regulation: sent.regulation,
        suppress: false,
        of: None,
        callbacks: sent.status_callback_urls,
        notes,
    })
}

fn asked_name(identity: &SentIdentity) -> Result<AskedName, (&'static str, String)> {
    let known = TYPES.iter().find(|(name, _)| *name == identity.identity_type);
    let unknown = |what: &str| format!("{what:?} is not known; see /opendsr/2.0/discovery");
    let (_, kind) = known.ok_or_else(|| ("identity_type", unknown(&identity.identity_type)))?;
    let format = NameFormat::from_name(&identity.identity_format);
    let format = format.ok_or_else(|| ("identity_format", unknown(&identity.identity_format)))?;
    let value = identity.identity_value.trim();
    if value.is_empty() || value.len() > MAX_NAME_BYTES {
        return Err(("identity_value", format!("1 to {MAX_NAME_BYTES} bytes are expected")));
    }
    Ok(AskedName { kind: *kind, format, value: value.to_owned() })
}

fn is_uuid_v4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && parts[2].starts_with('4')
}

fn status_in(app: &App, request: PrivacyRequest) -> Result<Status, Problem> {
    Ok(status_of(&app.parts.settings.privacy, &app.parts.audit, request)?)
}

/// Names and values.
type SignedHeaders = Vec<(&'static str, String)>;

/// What is posted to a status callback of a request: the body, and headers that say who sends it.
pub fn status_callback(
    settings: &PrivacySettings,
    audit: &AuditLog,
    request: PrivacyRequest,
) -> Result<(String, SignedHeaders), StoreError> {
    let body = serde_json::to_value(status_of(settings, audit, request)?).unwrap_or(Value::Null).to_string();
    let headers = headers_of(settings, &body);
    Ok((body, headers))
}

fn certificate_of(audit: &AuditLog, request: &PrivacyRequest) -> Result<Option<Certificate>, StoreError> {
    const MOST_ENTRIES: usize = 20;
    let (Some(at), Some(report)) = (request.completed_at, &request.report) else { return Ok(None) };
    let entries = audit.about(&request.id, MOST_ENTRIES)?;
    Ok(entries.into_iter().find(|entry| entry.action == "privacy.completed").map(|entry| Certificate {
        subject_request_type: request.kind.name(),
        completed_time: at.to_string(),
        report: report.clone(),
        audit_entry: entry.number,
        audit_hash: blake3::Hash::from_bytes(entry.hash).to_hex().to_string(),
    }))
}

fn status_of(settings: &PrivacySettings, audit: &AuditLog, request: PrivacyRequest) -> Result<Status, StoreError> {
    let has_data = matches!(request.kind, RequestKind::Access | RequestKind::Portability);
    let is_done = request.state == RequestState::Completed;
    Ok(Status {
        certificate: if is_done { certificate_of(audit, &request)? } else { None },
        controller_id: settings.controller_id.clone(),
        expected_completion_time: request.due_at.to_string(),
        results_url: (has_data && is_done).then(|| format!("/v1/privacy/requests/{}/data", request.id)),
        subject_request_id: request.id,
        request_status: match request.state {
            RequestState::Pending => "pending",
            RequestState::Running | RequestState::Failed => "in_progress",
            RequestState::Completed => "completed",
            RequestState::Cancelled => "cancelled",
        },
        api_version: VERSION,
    })
}

fn headers_of(settings: &PrivacySettings, body: &str) -> SignedHeaders {
    let mut headers = vec![("x-opendsr-processor-domain", settings.processor_domain.clone())];
    let signature = settings.opendsr_secret.as_ref().map(|secret| sign(secret, body.as_bytes()));
    headers.extend(signature.map(|signature| ("x-opendsr-signature", signature)));
    headers
}

/// An answer with the processor's domain, and its signature where there is a secret.
fn signed(app: &App, status: StatusCode, answer: &impl Serialize) -> Response {
    let body = serde_json::to_value(answer).unwrap_or(Value::Null).to_string();
    let headers = headers_of(&app.parts.settings.privacy, &body);
    let mut response = (status, json_bytes(body)).into_response();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
