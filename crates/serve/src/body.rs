//! Request bodies: bounded, inflated, and read with the place of each mistake.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use merx_ingest::{InflateError, gunzip};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{Code, Mistake, Problem};
use crate::routes::Shared;

/// Bytes as they came, not inflated yet.
pub(crate) struct Payload {
    bytes: Bytes,
    gzip: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the inflated body has more than {limit} bytes")]
    InflatesTooLarge { limit: usize },
    #[error("{0}")]
    Encoding(String),
    #[error("content encoding {0} is not known; gzip is")]
    UnknownEncoding(String),
    #[error("the connection ended before the body did")]
    Broken,
}

impl From<PayloadError> for Problem {
    fn from(error: PayloadError) -> Self {
        let code = match error {
            PayloadError::TooLarge { .. } | PayloadError::InflatesTooLarge { .. } => Code::BodyTooLarge,
            PayloadError::Encoding(_) => Code::InvalidEncoding,
            PayloadError::UnknownEncoding(_) => Code::UnsupportedMediaType,
            PayloadError::Broken => Code::InvalidJson,
        };
        Problem::because(code, error.to_string())
    }
}

impl Payload {
    /// What another process has read.
    pub(crate) fn of(bytes: Bytes, gzip: bool) -> Self {
        Self { bytes, gzip }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn is_gzip(&self) -> bool {
        self.gzip
    }

    pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Self, PayloadError> {
        let gzip = is_gzip(headers)?;
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limit) {
            return Err(PayloadError::TooLarge { limit });
        }
        match Limited::new(body, limit).collect().await {
            Ok(collected) => Ok(Self { bytes: collected.to_bytes(), gzip }),
            Err(error) if error.is::<LengthLimitError>() => Err(PayloadError::TooLarge { limit }),
            Err(_) => Err(PayloadError::Broken),
        }
    }

    /// Costs time for large bodies: not for async threads then.
    pub(crate) fn inflate(self, limit: usize) -> Result<Bytes, PayloadError> {
        if !self.gzip {
            return Ok(self.bytes);
        }
        gunzip(&self.bytes, limit).map(Bytes::from).map_err(|error| match error {
            InflateError::TooLarge { limit } => PayloadError::InflatesTooLarge { limit },
            InflateError::Invalid { detail } => PayloadError::Encoding(detail),
        })
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, PayloadError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    match encoding.to_str().map(str::trim) {
        Ok("" | "identity") => Ok(false),
        Ok(name) if name.eq_ignore_ascii_case("gzip") => Ok(true),
        other => Err(PayloadError::UnknownEncoding(other.unwrap_or("(not text)").chars().take(40).collect())),
    }
}

/// Reads a JSON text into `T`: what is not JSON is refused as such, what is JSON of another form as a mistake at `at`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], at: &str) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            Problem::mistakes(vec![mistake(at, &error)])
        } else {
            Problem::because(Code::InvalidJson, error.to_string())
        }
    })
}

pub(crate) fn mistake(at: &str, error: &serde_json::Error) -> Mistake {
    Mistake::new(at, "wrong_form", error.to_string())
}

/// A JSON body of the form `T`. Its content type must say JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        Ok(Self(parse(&Document::from_request(request, app).await?.0, "")?))
    }
}

/// The same, where a request may have no body at all.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Shared> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(Self(T::default()));
        }
        let document = Document::from_request(request, app).await?;
        Ok(Self(if document.0.is_empty() { T::default() } else { parse(&document.0, "")? }))
    }
}

/// The bytes of a JSON body, inflated.
pub(crate) struct Document(pub(crate) Bytes);

impl FromRequest<Shared> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        /// Inflating more than this takes longer than a hop to another thread.
        const INLINE_BYTES: usize = 16 * 1024;
        let (parts, body) = request.into_parts();
        if !says_json(&parts.headers) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        let limit = app.parts.settings.max_body_bytes;
        let payload = Payload::read(&parts.headers, body, limit).await?;
        if payload.gzip && payload.bytes.len() > INLINE_BYTES {
            return Ok(Self(blocking(move || Ok(payload.inflate(limit)?)).await?));
        }
        Ok(Self(payload.inflate(limit)?))
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) else { return false };
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("application/merge-patch+json")
        || (kind.len() > 5 && kind[kind.len() - 5..].eq_ignore_ascii_case("+json"))
}

/// Runs what touches a disk, or takes long, off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a request's work panicked");
            Err(Problem::new(Code::Internal))
        }
    }
}

/// A parameter of the path that becomes an id.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T> FromRequestParts<Shared> for PathId<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::because(Code::InvalidParameter, detail);
        let text = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        let axum::extract::Path(text) = text.map_err(|error| invalid(error.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| invalid(error.to_string()))
    }
}

/// The query string as `T`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Shared) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::because(Code::InvalidParameter, error.body_text()))
    }
}

/// A JSON answer, serialised once.
pub(crate) struct Answered<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answered<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(1_024);
        match serde_json::to_writer(&mut bytes, &self.0) {
            Ok(()) => json_bytes(bytes),
            Err(error) => {
                tracing::error!(%error, "an answer has no JSON form");
                Problem::new(Code::Internal).into_response()
            }
        }
    }
}

pub(crate) fn json_bytes(bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
