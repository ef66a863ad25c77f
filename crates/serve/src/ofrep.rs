//! Flags as OpenFeature asks for them: the OpenFeature Remote Evaluation Protocol, version 0.3.
//! <https://github.com/open-feature/protocol>
//!
//! A flag is the value of whichever arm the asker gets; experiments that change decisions are flags too where their arms have
//! values. Asking for one flag counts as being shown its arm; asking for all at once does not, because a page asks before it
//! knows what it will show: it tells by the event `Experiment Viewed`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use futures_core::Stream;
use merx_decide::{Asker, Evaluation, EvaluationReason};
use merx_domain::experiment::ExperimentId;
use merx_domain::{Device, Grant, MarketId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Document, PathId, blocking, json_bytes};
use crate::keys::Scope;
use crate::problem::{Code, Mistakes, Problem};
use crate::recommend::{ConsentWire, DeviceName, Who, known_or_made, may_ask_for, session_of, who};
use crate::routes::Shared;
use crate::tracking::has_privacy_signal;

/// Of the context of an evaluation.
const MAX_SEGMENTS: usize = 30;
/// Event streams that may be open at once.
const MAX_STREAMS: usize = 512;
/// How long a change of flags may go untold.
const LOOK_ROUND: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const STREAM: &str = "/ofrep/v1/stream";

/// Who asks. Attributes that Merx has no use for are left aside.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents the form; contexts may hold anything beside")]
#[schema(as = EvaluationRequest, example = json!({"context": {"targetingKey": "visitor-1", "market": "default", "device": "phone"}}))]
pub(crate) struct EvaluationRequest {
    /// `targetingKey` is the visitor's id with a public key and the customer's with a secret one; `anonymousId` and `userId` say
    /// which it is. Also: `sessionId`, `market`, `device`, `segments`, `consent`.
    #[schema(value_type = Object)]
    context: Value,
}

/// A flag's value.
#[derive(Serialize, ToSchema)]
#[schema(as = FlagEvaluation)]
struct FlagAnswer {
    key: String,
    /// Absent: the default of the code is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<Value>,
    /// STATIC, TARGETING_MATCH, SPLIT, DEFAULT, DISABLED.
    #[schema(example = "SPLIT")]
    reason: &'static str,
    /// The arm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    variant: Option<String>,
    /// `experiment_id`, whether the asker is `in_experiment`, the chance of the arm, and a hash of the assignment.
    #[schema(value_type = Object)]
    metadata: Value,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FlagEvaluations)]
struct BulkAnswer {
    flags: Vec<FlagAnswer>,
    #[schema(value_type = Object)]
    metadata: Value,
    #[serde(rename = "eventStreams")]
    #[schema(value_type = Vec<Object>)]
    event_streams: Value,
}

/// A context that has been read.
struct Flagger {
    who: Who,
    session: Option<CompactString>,
    market: MarketId,
    device: Device,
    segments: Vec<CompactString>,
    consent: merx_domain::ConsentStamp,
}

#[derive(Deserialize)]
struct Body {
    context: Option<Map<String, Value>>,
}

fn read(app: &App, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Result<Flagger, Problem> {
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => Problem::because(Code::InvalidContext, error.to_string()),
        false => Problem::because(Code::InvalidJson, error.to_string()),
    })?;
    let context = body.context.unwrap_or_default();
    let text = |name: &str| match context.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Problem::because(Code::InvalidContext, format!("{name} is no text"))),
    };
    let shape =
        |name: &str, error: serde_json::Error| Problem::because(Code::InvalidContext, format!("{name}: {error}"));
    let key = text("targetingKey")?;
    let by_server = caller.0.as_ref().is_some_and(|key| key.scope.reaches(Scope::Secret));
    let (user, visitor) = match (text("userId")?, text("anonymousId")?) {
        (None, None) if by_server => (key, None),
        (None, None) => (None, key),
        named => named,
    };
    let mut mistakes = Mistakes::default();
    let who = who(&user, &visitor, &None, &mut mistakes);
    may_ask_for(app, caller, &who)?;
    let market = match text("market")? {
        Some(market) => {
            MarketId::new(market).map_err(|error| Problem::because(Code::InvalidContext, error.to_string()))?
        }
        None => app.parts.settings.default_market.clone(),
    };
    let device: Option<DeviceName> = optional(&context, "device").map_err(|error| shape("device", error))?;
    let segments: Option<Vec<CompactString>> =
        optional(&context, "segments").map_err(|error| shape("segments", error))?;
    let consent: Option<ConsentWire> = optional(&context, "consent").map_err(|error| shape("consent", error))?;
    let session = session_of(text("sessionId")?, &mut mistakes);
    if let Some(mistake) = mistakes.0.first() {
        return Err(Problem::because(Code::InvalidContext, format!("{}: {}", mistake.at, mistake.detail)));
    }
    Ok(Flagger {
        who,
        session,
        market,
        device: device.map_or(Device::Unknown, DeviceName::device),
        segments: segments.unwrap_or_default().into_iter().take(MAX_SEGMENTS).collect(),
        consent: consent.unwrap_or_default().stamp(has_privacy_signal(headers)),
    })
}

fn optional<T: serde::de::DeserializeOwned>(context: &Map<String, Value>, name: &str) -> serde_json::Result<Option<T>> {
    context.get(name).map_or(Ok(None), |value| serde_json::from_value(value.clone()))
}

impl Flagger {
    /// Hands `evaluate` the asker, with what they allow.
    fn ask<T>(&self, app: &App, evaluate: impl FnOnce(&Asker<'_>) -> T) -> Result<T, Problem> {
        let subject = known_or_made(app, &self.who, &self.market, self.consent);
        let recommendations = &app.parts.recommendations;
        let grant: Option<Grant> = subject.map(|subject| recommendations.grant(subject, &self.market, self.consent));
        Ok(evaluate(&Asker {
            grant: grant.as_ref(),
            session: self.session.as_deref(),
            market: &self.market,
            device: self.device,
            segments: &self.segments,
            now: app.parts.clock.now(),
        }))
    }
}

impl From<Evaluation> for FlagAnswer {
    fn from(evaluation: Evaluation) -> Self {
        let key = evaluation.experiment.to_string();
        let mut metadata = json!({"experiment_id": key, "in_experiment": evaluation.assignment.is_some()});
        if let Some(assignment) = &evaluation.assignment {
            metadata["propensity"] = assignment.propensity().into();
            let hash = blake3::hash(format!("{key}\0{}", assignment.arm).as_bytes()).to_hex();
            metadata["assignment"] = hash[..16].into();
        }
        Self {
            key,
            value: evaluation.value,
            reason: match evaluation.reason {
                EvaluationReason::Static => "STATIC",
                EvaluationReason::TargetingMatch => "TARGETING_MATCH",
                EvaluationReason::Split => "SPLIT",
                EvaluationReason::Default => "DEFAULT",
                EvaluationReason::Disabled => "DISABLED",
            },
            variant: evaluation.variant.map(|variant| variant.to_string()),
            metadata,
        }
    }
}

/// Evaluate a flag (OFREP)
///
/// For OpenFeature's server providers. Asking counts as being shown the arm. Errors come in the protocol's own form.
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags/{key}", tag = "flags", request_body = EvaluationRequest,
    params(("key" = String, Path, description = "The flag: an experiment's id", example = "home-variety")),
    responses((status = 200, description = "The flag's value for who asks", body = FlagAnswer)))]
pub(crate) async fn evaluate_flag(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    PathId(key): PathId<String>,
    Document(body): Document,
) -> Result<Response, Problem> {
    blocking(move || {
        let flagger = read(&app, &caller, &headers, &body)?;
        if matches!(flagger.who, Who::Nobody) && flagger.session.is_none() {
            return Err(Problem::new(Code::MissingTargetingKey));
        }
        let evaluation = flagger.ask(&app, |asker| {
            let evaluation = app.parts.dealer.evaluate(&ExperimentId::new(&key), asker);
            if let Some(dealt) = evaluation.as_ref().and_then(|evaluation| evaluation.dealt.as_ref()) {
                app.parts.dealer.show(std::slice::from_ref(dealt), asker, None);
            }
            evaluation
        })?;
        let evaluation = evaluation.ok_or_else(|| Problem::not_found("flag", &key))?;
        Ok(fresh(StatusCode::OK, &FlagAnswer::from(evaluation)))
    })
    .await
}

/// Evaluate all flags (OFREP)
///
/// For OpenFeature's web providers: everything that runs, for one visitor, with an ETag; asked again with `If-None-Match` it
/// answers 304 while nothing has changed. `eventStreams` tells when to ask again.
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags", tag = "flags", request_body = EvaluationRequest,
    responses((status = 200, description = "Every flag that runs", body = BulkAnswer), (status = 304, description = "Nothing has changed")))]
pub(crate) async fn evaluate_flags(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Problem> {
    blocking(move || {
        let flagger = read(&app, &caller, &headers, &body)?;
        let version = app.parts.dealer.definitions.version();
        let evaluations = flagger.ask(&app, |asker| app.parts.dealer.evaluate_all(asker))?;
        let answer = BulkAnswer {
            flags: evaluations.into_iter().map(FlagAnswer::from).collect(),
            metadata: json!({"version": version.to_string()}),
            event_streams: json!([{"type": "sse", "endpoint": {"requestUri": STREAM}, "inactivityDelaySec": 120}]),
        };
        let mut response = fresh(StatusCode::OK, &answer);
        // What was answered, not what was configured: a new person behind the same page gets a new tag.
        let bytes = serde_json::to_vec(&answer.flags).unwrap_or_default();
        let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
        let unchanged = headers.get_all(header::IF_NONE_MATCH).iter().any(|sent| names(sent, &tag));
        if unchanged {
            response = StatusCode::NOT_MODIFIED.into_response();
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    })
    .await
}

/// Whether an `If-None-Match` names the tag; weak comparison (RFC 9110, 13.1.2).
fn names(sent: &HeaderValue, tag: &str) -> bool {
    let sent = sent.to_str().unwrap_or_default();
    sent.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

fn fresh(status: StatusCode, answer: &impl Serialize) -> Response {
    let mut response = json_bytes(serde_json::to_vec(answer).unwrap_or_default());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Changes of flags (OFREP)
///
/// Server-sent events: `refetchEvaluation` whenever an experiment or flag has changed. It needs no key, for browsers can't send one
/// here, and tells nothing but that.
#[utoipa::path(get, path = "/ofrep/v1/stream", tag = "flags",
    responses((status = 200, description = "A stream that stays open", content_type = "text/event-stream", body = String)))]
pub(crate) async fn flag_stream(State(app): State<Shared>) -> Result<Response, Problem> {
    let seat = Seat::take(&app).ok_or_else(|| Problem::new(Code::Busy).retry_after(30))?;
    let mut interval = tokio::time::interval(LOOK_ROUND);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let seen = app.parts.dealer.definitions.version();
    let changes = Changes { app, interval, seen, _seat: seat };
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// A place among the open streams, given back when the stream ends.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(app: &App) -> Option<Self> {
        let streams = &app.flag_streams;
        if streams.fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            return Some(Self(Arc::clone(streams)));
        }
        streams.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Changes {
    app: Shared,
    interval: Interval,
    seen: u64,
    _seat: Seat,
}

impl Stream for Changes {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            std::task::ready!(self.interval.poll_tick(context));
            if self.app.is_stopping() {
                return Poll::Ready(None);
            }
            let version = self.app.parts.dealer.definitions.version();
            if version != self.seen {
                self.seen = version;
                let data = json!({"type": "refetchEvaluation", "etag": version.to_string()});
                return Poll::Ready(Some(Ok(Event::default().id(version.to_string()).data(data.to_string()))));
            }
        }
    }
}

/// A refusal as the protocol writes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FlagRefusal)]
pub(crate) struct Refusal {
    #[schema(example = "FLAG_NOT_FOUND")]
    error_code: &'static str,
    #[schema(example = "There is no such thing here: there is no flag home-variety")]
    error_details: String,
    /// The flag, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
}

/// `path` names the flag.
pub(crate) fn refusal(problem: &Problem, path: &str) -> Vec<u8> {
    let error_code = match problem.code {
        Code::InvalidJson => "PARSE_ERROR",
        Code::MissingTargetingKey => "TARGETING_KEY_MISSING",
        Code::InvalidContext | Code::InvalidParameter => "INVALID_CONTEXT",
        Code::NotFound => "FLAG_NOT_FOUND",
        _ => "GENERAL",
    };
    let mut words = vec![problem.code.title().to_owned()];
    words.extend(problem.detail.clone());
    let key = path.strip_prefix("/ofrep/v1/evaluate/flags/").map(str::to_owned);
    serde_json::to_vec(&Refusal { error_code, error_details: words.join(": "), key }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let names = |sent: &str| names(&HeaderValue::from_str(sent).unwrap(), "\"a\"");
        assert!(names("\"a\"") && names("W/\"a\"") && names("\"b\", \"a\"") && names("*"));
        assert!(!names("\"ab\"") && !names("a"));
    }
}
