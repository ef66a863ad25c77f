//! The Segment tracking API: paths, keys and answers. How a body is read is `merx_ingest::segment`'s business.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use merx_domain::TimestampMs;
use merx_ingest::segment::{self, Call};
use merx_ingest::{Arrival, BodyError, RawEvent, Rejection};
use merx_store::{Appended, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::{Caller, check_write_key, vouches};
use crate::body::{Answered, PathId, Payload, PayloadError, Query, blocking, json_bytes};
use crate::live;
use crate::problem::{Code, Mistake, Problem};
use crate::routes::Shared;

/// The answer of the tracking API. Refused events don't make a call fail: its clients would send the good ones again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tracked {
    #[schema(example = true)]
    success: bool,
    /// Events that were refused, by their place in the batch; `GET /v1/events/rejected` keeps the last of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<Mistake>,
}

/// One event of the Segment specification.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents the form; the reader is more lenient than a struct could be")]
#[schema(example = json!({
    "event": "Product Viewed", "anonymousId": "visitor-1", "messageId": "m-1",
    "properties": {"product_id": "p1", "price": 18.99, "currency": "EUR"},
}))]
pub(crate) struct TrackCall {
    /// The event's name; track calls only.
    event: Option<String>,
    /// The shop's id of a signed-in customer. This or `anonymousId` is needed.
    #[serde(rename = "userId")]
    user_id: Option<String>,
    #[serde(rename = "anonymousId")]
    anonymous_id: Option<String>,
    /// An event with an id that was seen before is stored once.
    #[serde(rename = "messageId")]
    message_id: Option<String>,
    timestamp: Option<String>,
    #[serde(rename = "sentAt")]
    sent_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    properties: Option<Value>,
    #[schema(value_type = Option<Object>)]
    traits: Option<Value>,
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
    /// In place of an `Authorization` header.
    #[serde(rename = "writeKey")]
    write_key: Option<Value>,
}

/// Up to 2,500 events, 500 KB.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents the form; the reader is more lenient than a struct could be")]
#[schema(example = json!({
    "batch": [{"type": "track", "event": "Product Viewed", "userId": "u1", "properties": {"product_id": "p1"}}],
    "sentAt": "2026-11-21T10:00:00.000Z",
}))]
pub(crate) struct BatchCall {
    batch: Vec<Value>,
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
    #[serde(rename = "sentAt")]
    sent_at: Option<String>,
    #[serde(rename = "writeKey")]
    write_key: Option<Value>,
}

/// Take one event
///
/// The Segment HTTP tracking API, as its client libraries speak it: any content type, `Content-Encoding: gzip`, the write key (a
/// public API key) as user of Basic authentication, as Bearer token or as `writeKey` in the body. The answer comes
/// after the event is on disk. Back-pressure is 429 with `Retry-After`.
#[utoipa::path(post, path = "/v1/track", tag = "events", request_body = TrackCall,
    responses((status = 200, description = "Taken; a refused event is named", body = Tracked)))]
#[allow(dead_code, reason = "carries the documentation that all single calls share")]
pub(crate) fn track() {}

/// Take a batch of events
///
/// Each event is read by itself: a bad one is refused and named, the others are taken. The answer comes after they are
/// on disk.
#[utoipa::path(post, path = "/v1/batch", tag = "events", request_body = BatchCall,
    responses((status = 200, description = "Taken; refused events are named", body = Tracked)))]
#[allow(dead_code, reason = "carries the documentation that all batch calls share")]
pub(crate) fn batch() {}

/// What of a tracking call is not in its body.
pub(crate) struct Sent {
    pub(crate) received_at: TimestampMs,
    pub(crate) global_privacy_control: bool,
    pub(crate) user_agent: Option<String>,
}

/// A tracking call, whose key may still be to be found in its body.
pub(crate) struct Told {
    pub(crate) call: Call,
    pub(crate) caller: Caller,
    pub(crate) payload: Payload,
    pub(crate) sent: Sent,
}

/// What a call said.
pub(crate) struct Heard {
    pub(crate) at: TimestampMs,
    /// Id of the key that it came with.
    pub(crate) key: String,
    pub(crate) events: Vec<RawEvent>,
    pub(crate) rejections: Vec<Rejection>,
}

pub(crate) async fn take(
    call: Call,
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let sent = Sent {
        received_at: app.parts.clock.now(),
        global_privacy_control: has_privacy_signal(&parts.headers),
        user_agent: header_text(&parts.headers, header::USER_AGENT).map(str::to_owned),
    };
    let limit = app.parts.settings.rules.limits.body_bytes;
    let payload = Payload::read(&parts.headers, body, limit).await.map_err(refuse_payload)?;
    let told = Told { call, caller, payload, sent };
    let outcome = blocking(move || store(&app, vec![Ok(told)]).pop().unwrap_or(Ok(Vec::new()))).await;
    Ok(answer(outcome))
}

pub(crate) fn answer(outcome: Result<Vec<Mistake>, Problem>) -> Response {
    match outcome {
        Ok(rejected) if rejected.is_empty() => json_bytes(r#"{"success":true}"#),
        Ok(rejected) => Answered(Tracked { success: true, rejected }).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Reads calls and stores what is good of all of them together. By position: what was refused of each, or why nothing of it was
/// taken.
pub(crate) fn store(app: &App, told: Vec<Result<Told, Problem>>) -> Vec<Result<Vec<Mistake>, Problem>> {
    let mut outcomes = Vec::with_capacity(told.len());
    let mut heard = Vec::new();
    for told in told {
        match told.and_then(|told| read(app, told)) {
            Ok(one) => {
                outcomes.push(Ok(one.rejections.iter().map(mistake).collect()));
                heard.push((outcomes.len() - 1, one));
            }
            Err(problem) => outcomes.push(Err(problem)),
        }
    }
    let (places, heard): (Vec<usize>, Vec<Heard>) = heard.into_iter().unzip();
    for (place, kept) in places.into_iter().zip(keep(app, heard)) {
        if let Err(problem) = kept {
            outcomes[place] = Err(problem);
        }
    }
    outcomes
}

fn read(app: &App, told: Told) -> Result<Heard, Problem> {
    let rules = &app.parts.settings.rules;
    let Told { call, caller, payload, sent } = told;
    let body = payload.inflate(rules.limits.body_bytes).map_err(refuse_payload)?;
    app.admission.take_events(&body)?;
    let key = match caller.0 {
        Some(key) => key,
        None => check_write_key(app, segment::write_key(&body).as_deref())?,
    };
    let arrival = Arrival {
        received_at: sent.received_at,
        scope: &key.id,
        vouched: vouches(app, &key),
        global_privacy_control: sent.global_privacy_control,
        user_agent: sent.user_agent.as_deref(),
    };
    let mut heard = Heard { at: sent.received_at, key: key.id.clone(), events: Vec::new(), rejections: Vec::new() };
    for read in segment::read(&body, call, &arrival, rules).map_err(refuse_body)? {
        match read {
            Ok(event) => heard.events.push(event),
            Err(rejection) => heard.rejections.push(rejection),
        }
    }
    Ok(heard)
}

/// Stores what is good, remembers what was refused, and tells whoever watches: by position, whether it was stored.
pub(crate) fn keep(app: &App, heard: Vec<Heard>) -> Vec<Result<(), Problem>> {
    let seen: Vec<_> = heard.iter().map(|heard| live::seen(&heard.events, &app.parts.catalogue.read())).collect();
    let mut rest = Vec::with_capacity(heard.len());
    let mut calls = Vec::with_capacity(heard.len());
    for Heard { at, key, events, rejections } in heard {
        rest.push((at, key, rejections));
        calls.push(events);
    }
    let kept = rest.into_iter().zip(seen).zip(append(app, calls)).map(|(((at, key, rejections), seen), appended)| {
        let appended = appended?;
        if !appended.is_empty() {
            let stored = appended.iter().filter(|one| **one == Appended::Stored).count() as u64;
            app.metrics.count_events(stored, appended.len() as u64 - stored);
            app.activity.count_events(at, stored);
            app.live.publish(seen);
        }
        if !rejections.is_empty() {
            app.rejects.add(at, &key, &rejections);
            app.activity.count_rejected(at, rejections.len() as u64);
            app.live.publish(live::refused(at, &rejections));
        }
        Ok(())
    });
    kept.collect()
}

/// The events of several calls, in one append.
fn append(app: &App, mut calls: Vec<Vec<RawEvent>>) -> Vec<Result<Vec<Appended>, StoreError>> {
    let take = |events: Vec<RawEvent>| if events.is_empty() { Ok(Vec::new()) } else { app.parts.intake.take(events) };
    if calls.len() == 1 {
        return calls.drain(..).map(take).collect();
    }
    match take(calls.concat()) {
        Ok(appended) => {
            let mut appended = appended.into_iter();
            calls.iter().map(|events| Ok(appended.by_ref().take(events.len()).collect())).collect()
        }
        // What one of them is to blame for is not the others' trouble.
        Err(StoreError::Damaged { .. } | StoreError::TooLarge { .. } | StoreError::Conflict { .. }) => {
            calls.into_iter().map(take).collect()
        }
        Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// The clients know 400 as final; 413 and 415 they don't know.
pub(crate) fn refuse_payload(error: PayloadError) -> Problem {
    let code = match error {
        PayloadError::TooLarge { .. } | PayloadError::InflatesTooLarge { .. } => Code::TooLargeToTrack,
        PayloadError::Encoding(_) | PayloadError::UnknownEncoding(_) => Code::InvalidEncoding,
        PayloadError::Broken => Code::InvalidJson,
    };
    Problem::because(code, error.to_string())
}

fn refuse_body(error: BodyError) -> Problem {
    let code = match error {
        BodyError::TooLarge { .. } | BodyError::TooManyEvents { .. } => Code::TooLargeToTrack,
        BodyError::InvalidJson { .. } => Code::InvalidJson,
    };
    Problem::because(code, error.to_string())
}

fn mistake(rejection: &Rejection) -> Mistake {
    Mistake::new(format!("batch[{}]", rejection.position), rejection.reason.code(), rejection.reason.to_string())
}

/// `Sec-GPC: 1`, Global Privacy Control.
pub(crate) fn has_privacy_signal(headers: &HeaderMap) -> bool {
    headers.get("sec-gpc").is_some_and(|value| value.as_bytes().trim_ascii() == b"1")
}

pub(crate) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Settings for the browser library
///
/// What `analytics.js` loads before it sends its first event.
#[utoipa::path(get, path = "/v1/projects/{write_key}/settings", tag = "events",
    params(("write_key" = String, Path, description = "A public API key")),
    responses((status = 200, description = "Settings as the library expects them", body = Value)))]
pub(crate) async fn project_settings(
    State(app): State<Shared>,
    PathId(write_key): PathId<String>,
) -> Result<Response, Problem> {
    if app.parts.keys.find(&write_key).is_none() {
        return Err(Problem::because(Code::NotFound, "no project has this write key"));
    }
    let settings = json!({
        "integrations": {"Segment.io": {
            "apiKey": write_key, "unbundledIntegrations": [], "addBundledMetadata": true,
            "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        }},
        "plan": {
            "track": {"__default": {"enabled": true, "integrations": {}}},
            "identify": {"__default": {"enabled": true}},
            "group": {"__default": {"enabled": true}},
        },
        "edgeFunction": {}, "analyticsNextEnabled": true, "middlewareSettings": {}, "enabledMiddleware": {},
        "metrics": {"sampleRate": 0}, "legacyVideoPluginsEnabled": false, "remotePlugins": [],
    });
    Ok(Answered(settings).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RejectedQuery {
    /// How many, newest first.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RejectedEvents {
    /// Refused events since the server started, by reason.
    counts: std::collections::BTreeMap<&'static str, u64>,
    /// The last ones, newest first.
    last: Vec<RejectedEvent>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RejectedEvent {
    /// When it came.
    #[schema(format = DateTime)]
    at: String,
    /// Id of the API key that sent it.
    key: String,
    /// Place in its batch, from 0.
    position: usize,
    #[schema(example = "missing_product_id")]
    code: &'static str,
    problem: String,
    /// What the data said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    hint: &'static str,
}

/// Refused events
///
/// How many events were refused since the server started, why, and the last ones in full detail.
#[utoipa::path(get, path = "/v1/events/rejected", tag = "events", params(RejectedQuery),
    responses((status = 200, description = "Counts and the last refused events", body = RejectedEvents)))]
pub(crate) async fn rejected_events(
    State(app): State<Shared>,
    Query(query): Query<RejectedQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to 1000")));
    }
    let last = app.rejects.last(limit).into_iter().map(|rejected| RejectedEvent {
        at: rejected.at.to_string(),
        key: rejected.key,
        position: rejected.rejection.position,
        code: rejected.rejection.reason.code(),
        problem: rejected.rejection.reason.to_string(),
        detail: rejected.rejection.reason.detail().map(str::to_owned),
        hint: rejected.rejection.reason.hint(),
    });
    Ok(Answered(RejectedEvents { counts: app.rejects.counts(), last: last.collect() }).into_response())
}
