//! Errors on the wire: RFC 9457 problem documents with a stable code, a hint, and the place of each mistake.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use merx_decide::RecordError;
use merx_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $status:ident, $name:literal, $title:literal, $hint:literal;)*) => {
        /// What went wrong. The name is stable: clients may branch on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $code),* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name),* }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status),* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title),* }
            }

            /// What the caller can do about it.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$code => $hint),* }
            }
        }
    };
}

codes! {
    InvalidJson = BAD_REQUEST, "invalid_json", "The body is not the JSON that was expected",
        "Send one UTF-8 JSON document of the form that the reference shows.";
    InvalidEncoding = BAD_REQUEST, "invalid_encoding", "The body could not be inflated",
        "Send Content-Encoding: gzip only over a gzip body.";
    InvalidParameter = BAD_REQUEST, "invalid_parameter", "A parameter of the path or the query is not usable",
        "See the parameter's form in the reference.";
    /// Of an evaluation of flags.
    InvalidContext = BAD_REQUEST, "invalid_context", "The evaluation context is not usable",
        "Send an object; what Merx reads of it is listed in the reference.";
    MissingTargetingKey = BAD_REQUEST, "missing_targeting_key", "Nobody is named for whom to evaluate",
        "Send targetingKey in the context: the visitor's or the customer's id.";
    /// The tracking API's word for 413: its clients know 400 as final.
    TooLargeToTrack = BAD_REQUEST, "body_too_large", "The body is too large",
        "Send fewer events a batch; the limits are 32 KB an event, 500 KB and 2,500 events a batch.";
    MissingKey = UNAUTHORIZED, "missing_key", "An API key is needed",
        "Send it as Authorization: Bearer KEY or X-API-Key: KEY.";
    UnknownKey = UNAUTHORIZED, "unknown_key", "The API key is not known",
        "It may have been revoked; an admin key lists the keys at GET /v1/keys.";
    WrongPassword = UNAUTHORIZED, "wrong_password", "The name or the password is another",
        "Try again; an owner gives a new one in the settings, or with `merx users password NAME`.";
    Forbidden = FORBIDDEN, "forbidden", "The API key does not reach this far",
        "Public keys write events and ask for recommendations, secret keys also read and write the shop's records, admin keys do everything.";
    CsrfToken = FORBIDDEN, "csrf_token", "The call does not prove that it comes from the console",
        "A call by session that changes something carries X-CSRF-Token with the csrf_token of GET /v1/session.";
    NotFound = NOT_FOUND, "not_found", "There is no such thing here",
        "Check the id; ids are compared exactly.";
    UnknownRoute = NOT_FOUND, "unknown_route", "There is nothing at this address",
        "The reference at /docs lists every address.";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "The address does not take this method",
        "The Allow header names the methods that it takes.";
    Conflict = CONFLICT, "conflict", "The state is not the one that the request expected",
        "Read the current state and decide again.";
    BodyTooLarge = PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large",
        "Send smaller batches; the limit counts the inflated body.";
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body has another content type than expected",
        "Send Content-Type: application/json.";
    InvalidRequest = UNPROCESSABLE_ENTITY, "invalid_request", "The request says something that can't be",
        "Each entry of errors names its place and what is wrong there.";
    RateLimited = TOO_MANY_REQUESTS, "rate_limited", "This key has made its requests for now",
        "Wait for the seconds that Retry-After names.";
    TooManySignIns = TOO_MANY_REQUESTS, "too_many_sign_ins", "Too many sign-ins under this name",
        "Wait for the seconds that Retry-After names.";
    Busy = TOO_MANY_REQUESTS, "busy", "More is waiting to be written than is safe to take",
        "Nothing of this request was taken. Send it again after the seconds that Retry-After names.";
    Internal = INTERNAL_SERVER_ERROR, "internal", "The server made a mistake",
        "Report the request_id to the operator; the log has the details under it.";
    TimedOut = SERVICE_UNAVAILABLE, "timed_out", "The request took too long",
        "Send it again; a write that was not acknowledged may or may not have happened and is safe to repeat.";
    Overloaded = SERVICE_UNAVAILABLE, "overloaded", "More is asked than can be answered at the moment",
        "Show what needs no decision, and ask again after the seconds that Retry-After names.";
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "The store can't be used at the moment",
        "Send it again after the seconds that Retry-After names; the operator finds the cause in the log.";
    NoSpace = INSUFFICIENT_STORAGE, "no_space", "The disk refuses writes",
        "Nothing of this request was taken. The operator has to make room.";
}

/// By its name.
impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|code| code.name() == name);
        known.ok_or_else(|| serde::de::Error::custom(format!("unknown code {name:?}")))
    }
}

/// One mistake and its place in the request: `slots[0].filter`, `products[3].price`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mistake {
    /// Where: a path into the body, or the name of a parameter.
    #[schema(example = "slots[0].count")]
    pub at: String,
    #[schema(example = "out_of_range")]
    pub code: Cow<'static, str>,
    #[schema(example = "101 is above the limit of 100")]
    pub detail: String,
}

impl Mistake {
    pub fn new(at: impl Into<String>, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { at: at.into(), code: code.into(), detail: detail.into() }
    }
}

/// A refusal on its way out. The outermost layer writes it down, so that it carries the request's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    pub code: Code,
    pub detail: Option<String>,
    pub errors: Vec<Mistake>,
    pub retry_after_s: Option<u64>,
}

impl Problem {
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, errors: Vec::new(), retry_after_s: None }
    }

    pub fn because(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code) }
    }

    pub fn mistakes(errors: Vec<Mistake>) -> Self {
        Self { errors, ..Self::new(Code::InvalidRequest) }
    }

    pub fn mistake(at: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::mistakes(vec![Mistake::new(at, code, detail)])
    }

    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::because(Code::NotFound, format!("there is no {what} {id}"))
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The document, for a request of this id.
    pub(crate) fn document(&self, request_id: &str) -> Vec<u8> {
        let document = ProblemDocument {
            kind: format!("/docs#problem-{}", self.code.name()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code.name().to_owned(),
            detail: self.detail.clone(),
            hint: self.code.hint().to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

impl Problem {
    /// As Algolia's protocol says it.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut words = vec![self.code.title().to_owned()];
        words.extend(self.detail.clone());
        words.extend(self.errors.iter().map(|mistake| format!("{}: {}", mistake.at, mistake.detail)));
        let message = Message { message: words.join("; "), status: self.code.status().as_u16() };
        serde_json::to_vec(&message).unwrap_or_default()
    }
}

/// A refusal as Algolia's clients read it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlgoliaMessage)]
pub(crate) struct Message {
    #[schema(example = "The request says something that can't be; filters: expected a condition, found end")]
    message: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            response.headers_mut().insert("x-ratelimit-reset", HeaderValue::from(seconds));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Making room takes an operator some minutes; a client that keeps its events asks again meanwhile.
const RETRY_NO_SPACE_S: u64 = 30;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy { retry_after_ms, .. } => {
                Self::because(Code::Busy, error.to_string()).retry_after(retry_after_ms.div_ceil(1_000))
            }
            StoreError::Conflict { .. } => Self::because(Code::Conflict, error.to_string()),
            // What the disk says is the operator's business, not the caller's.
            StoreError::NoSpace { .. } => {
                tracing::error!(%error, "the disk refuses writes");
                Self::new(Code::NoSpace).retry_after(RETRY_NO_SPACE_S)
            }
            StoreError::Damaged { .. } => {
                tracing::error!(%error, "stored bytes are damaged");
                Self::new(Code::Internal)
            }
            StoreError::TooLarge { .. } => {
                tracing::error!(%error, "the store takes no value of this size");
                Self::new(Code::Internal)
            }
            StoreError::Unavailable { .. } | StoreError::Locked { .. } => {
                tracing::error!(%error, "the store is unavailable");
                Self::new(Code::Unavailable).retry_after(1)
            }
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Unknown(id) => Self::not_found("decision", id),
            RecordError::Store(error) => error.into(),
            RecordError::Unreadable(_) => {
                tracing::error!(%error, "a decision record can't be read");
                Self::new(Code::Internal)
            }
        }
    }
}

/// A problem document as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// Where this kind of problem is described.
    #[serde(rename = "type")]
    #[schema(example = "/docs#problem-invalid_request")]
    kind: String,
    #[schema(example = "The request says something that can't be")]
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Stable: clients may branch on it.
    #[schema(example = "invalid_request")]
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// What the caller can do about it.
    hint: String,
    /// The log has everything about this request under this id.
    request_id: String,
    /// Each mistake and its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
}

/// Collects what is wrong with a request, so that the caller learns all of it at once.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistakes {
    pub(crate) fn add(&mut self, at: String, code: &'static str, detail: impl Into<String>) {
        self.0.push(Mistake::new(at, code, detail));
    }

    pub(crate) fn within<T: PartialOrd + std::fmt::Display>(&mut self, at: String, value: T, low: T, high: T) -> T {
        if !(low <= value && value <= high) {
            self.add(at, "out_of_range", format!("{value} is not from {low} to {high}"));
        }
        value
    }

    pub(crate) fn taken<T, E: std::fmt::Display>(
        &mut self,
        at: String,
        code: &'static str,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add(at, code, error.to_string())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_of_their_own() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn what_the_disk_says_stays_inside() {
        let problem = Problem::from(StoreError::Unavailable { what: "records", detail: "/secret/path".into() });
        assert!(!String::from_utf8(problem.document("r")).unwrap().contains("/secret/path"));
        let busy = Problem::from(StoreError::Busy { what: "log", retry_after_ms: 1_500 });
        assert_eq!((busy.code, busy.retry_after_s), (Code::Busy, Some(2)));
    }
}
