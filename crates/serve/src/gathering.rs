//! Tracking calls on their way from a process that doesn't lead to the one that does: several in one request.
//!
//! A call by itself would cost a whole request there as well. So those that come within [`LINGER`], or while groups are
//! under way, go together: as they came, with the key that was sent, so that the leading process checks, counts and takes
//! each as if it had come there. Each has an answer of its own, and what one is to blame for is not the others' trouble.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use merx_ingest::segment::Call;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::{check_sender, sent_key};
use crate::body::{Payload, blocking};
use crate::forward;
use crate::ports::Leader;
use crate::problem::{Code, Mistake, Problem};
use crate::routes::{RouteNumber, Shared};
use crate::tracking::{self, Sent, Told};

/// Where the leading process takes groups, in this form of [`HandedCall`] and [`Outcome`].
pub(crate) const PATH: &str = "/handed-on/tracking/1";
/// How long the first call of a group waits for others.
const LINGER: Duration = Duration::from_millis(10);
/// A group does not wait any longer for the one before it.
const GATHER: Duration = Duration::from_millis(40);
const MOST_UNDER_WAY: usize = 8;
const GROUP_CALLS: usize = 500;
/// Bodies, as large as they may become where they are inflated.
const GROUP_BYTES: usize = 2 << 20;
/// A group, its keys and all else that is not a body.
const MOST_BYTES: usize = 4 << 20;
/// What waits here at most.
const WAITING_BYTES: usize = 32 << 20;

/// A tracking call as it came.
#[derive(Serialize, Deserialize)]
struct HandedCall<'a> {
    /// The last part of its path.
    name: &'a str,
    key: Option<&'a str>,
    gzip: bool,
    global_privacy_control: bool,
    user_agent: Option<&'a str>,
    /// Since it came: only this machine's clock has measured it.
    waited_ms: u32,
    body: &'a [u8],
}

/// Its refused events, or why nothing of it was taken.
type Outcome = Result<Vec<Mistake>, Problem>;

/// What comes back to a call.
enum Back {
    Outcome(Outcome),
    /// The leading process is of the version before, or broke at the group: the call goes there alone.
    Alone,
}

struct Waiting {
    name: &'static str,
    key: Option<String>,
    payload: Payload,
    global_privacy_control: bool,
    user_agent: Option<String>,
    since: Instant,
    back: oneshot::Sender<Back>,
}

impl Waiting {
    fn weight(&self, inflated: usize) -> usize {
        if self.payload.is_gzip() { inflated } else { self.payload.bytes().len() }
    }

    fn handed(&self) -> HandedCall<'_> {
        HandedCall {
            name: self.name,
            key: self.key.as_deref(),
            gzip: self.payload.is_gzip(),
            global_privacy_control: self.global_privacy_control,
            user_agent: self.user_agent.as_deref(),
            waited_ms: u32::try_from(self.since.elapsed().as_millis()).unwrap_or(u32::MAX),
            body: self.payload.bytes(),
        }
    }
}

pub(crate) struct Gathering {
    line: Mutex<Line>,
    /// Groups that may be under way.
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Line {
    calls: VecDeque<Waiting>,
    bytes: usize,
    /// Whether somebody sends what waits.
    is_sent: bool,
    /// A leading process that knows no groups.
    knows_none: Option<Box<str>>,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { line: Mutex::default(), places: Arc::new(Semaphore::new(MOST_UNDER_WAY)) }
    }
}

impl Gathering {
    /// The answer to a tracking call; the call back where it is this process's own, or goes alone.
    pub(crate) async fn hand_on(app: &Shared, name: &'static str, request: Request) -> Result<Response, Request> {
        let Leader::At(url) = app.parts.vitals.leader() else { return Err(request) };
        if forward::was_handed_on(request.headers()) || app.gathering.knows_none(&url) {
            return Err(request);
        }
        let (parts, body) = request.into_parts();
        let limit = app.parts.settings.rules.limits.body_bytes;
        let payload = match Payload::read(&parts.headers, body, limit).await {
            Ok(payload) => payload,
            Err(error) => return Ok(tracking::refuse_payload(error).into_response()),
        };
        let body = payload.bytes().clone();
        let (back, coming) = oneshot::channel();
        let waiting = Waiting {
            name,
            key: sent_key(&parts.headers),
            payload,
            global_privacy_control: tracking::has_privacy_signal(&parts.headers),
            user_agent: tracking::header_text(&parts.headers, header::USER_AGENT).map(str::to_owned),
            since: Instant::now(),
            back,
        };
        if let Err(busy) = app.gathering.join(app, waiting) {
            return Ok(busy.into_response());
        }
        match coming.await {
            Ok(Back::Outcome(outcome)) => Ok(tracking::answer(outcome)),
            Ok(Back::Alone) => Err(Request::from_parts(parts, Body::from(body))),
            // Whoever sends never drops a call unanswered, but where it panics.
            Err(_) => Ok(Problem::new(Code::Internal).into_response()),
        }
    }

    /// Whether a leading process takes no groups, as far as this one knows. Another one may.
    fn knows_none(&self, url: &str) -> bool {
        let mut line = self.line.lock();
        line.knows_none.take_if(|known| **known != *url);
        line.knows_none.is_some()
    }

    fn join(&self, app: &Shared, waiting: Waiting) -> Result<(), Problem> {
        let mut line = self.line.lock();
        let bytes = waiting.payload.bytes().len();
        if line.bytes + bytes > WAITING_BYTES {
            return Err(Problem::new(Code::Busy).retry_after(1));
        }
        line.bytes += bytes;
        line.calls.push_back(waiting);
        if !std::mem::replace(&mut line.is_sent, true) {
            tokio::spawn(send_all(Arc::clone(app)));
        }
        Ok(())
    }

    /// The next group; none: nobody sends any more, and the next call begins anew.
    fn next_group(&self, inflated: usize) -> Vec<Waiting> {
        let mut line = self.line.lock();
        let (mut group, mut weight) = (Vec::new(), 0);
        while let Some(next) = line.calls.front() {
            weight += next.weight(inflated);
            if group.len() == GROUP_CALLS || (weight > GROUP_BYTES && !group.is_empty()) {
                break;
            }
            line.bytes -= next.payload.bytes().len();
            // Whoever is gone has been told to send it again.
            group.extend(line.calls.pop_front().filter(|call| !call.back.is_closed()));
        }
        line.is_sent = !group.is_empty();
        group
    }
}

/// Sends what waits, group after group, until nothing does.
async fn send_all(app: Shared) {
    let inflated = app.parts.settings.rules.limits.body_bytes;
    loop {
        tokio::time::sleep(LINGER).await;
        let Ok(place) = Arc::clone(&app.gathering.places).acquire_owned().await else { return };
        let group = app.gathering.next_group(inflated);
        if group.is_empty() {
            return;
        }
        let sender = Arc::clone(&app);
        let sent = tokio::spawn(async move {
            send(&sender, group).await;
            drop(place);
        });
        let _ = tokio::time::timeout(GATHER, sent).await;
    }
}

async fn send(app: &App, group: Vec<Waiting>) {
    let backs = match ask(app, &group).await {
        Ok(outcomes) if outcomes.len() == group.len() => outcomes.into_iter().map(Back::Outcome).collect(),
        Ok(_) => all(&group, || Back::Outcome(Err(unavailable("the process that leads answered something else")))),
        Err(Some(problem)) => all(&group, || Back::Outcome(Err(problem.clone()))),
        Err(None) => all(&group, || Back::Alone),
    };
    for (waiting, back) in group.into_iter().zip(backs) {
        // Whoever asked may be gone.
        let _ = waiting.back.send(back);
    }
}

fn all(group: &[Waiting], back: impl Fn() -> Back) -> Vec<Back> {
    group.iter().map(|_| back()).collect()
}

/// What the leading process says to a group; `None`: nothing to a group, so each call goes alone.
async fn ask(app: &App, group: &[Waiting]) -> Result<Vec<Outcome>, Option<Problem>> {
    let Leader::At(url) = app.parts.vitals.leader() else {
        return Err(Some(unavailable("the lead changes hands; nothing was written")));
    };
    let calls: Vec<HandedCall<'_>> = group.iter().map(Waiting::handed).collect();
    let body = postcard::to_stdvec(&calls).map_err(|_| None)?;
    let limit = Duration::from_millis(app.parts.settings.request_timeout_ms);
    let asked = async {
        let response = app.forward.post(&url, PATH, body).await;
        let status = response.status();
        (status, response.into_body().collect().await.map(|body| body.to_bytes()))
    };
    let Ok((status, answer)) = tokio::time::timeout(limit, asked).await else {
        return Err(Some(Problem::new(Code::TimedOut).retry_after(1)));
    };
    match (status, answer) {
        (StatusCode::OK, Ok(answer)) => postcard::from_bytes(&answer).map_err(|error| {
            tracing::error!(%error, "the answer of the process that leads can't be read");
            Some(unavailable("the answer of the process that leads can't be read"))
        }),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
            app.gathering.line.lock().knows_none = Some(url);
            Err(None)
        }
        (StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE, _) => Err(Some(unavailable(
            "the process that leads could not be asked; what has an id of its own may be sent again",
        ))),
        _ => Err(None),
    }
}

fn unavailable(why: &'static str) -> Problem {
    Problem::because(Code::Unavailable, why).retry_after(1)
}

/// In the leading process: takes a group. Its calls carry their keys, so it asks for none of its own.
pub(crate) async fn take(
    State(app): State<Shared>,
    Extension(number): Extension<RouteNumber>,
    request: Request,
) -> Response {
    let mut response = take_all(app, request).await.into_response();
    response.extensions_mut().insert(number);
    response
}

async fn take_all(app: Shared, request: Request) -> Result<Response, Problem> {
    if !matches!(app.parts.vitals.leader(), Leader::This) {
        return Err(unavailable("this process does not lead; nothing was written"));
    }
    let body = Limited::new(request.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| Problem::because(Code::BodyTooLarge, error.to_string()))?.to_bytes();
    let outcomes = blocking(move || {
        let calls: Vec<HandedCall<'_>> =
            postcard::from_bytes(&body).map_err(|error| Problem::because(Code::InvalidRequest, error.to_string()))?;
        let told = calls.iter().map(|call| told(&app, &body, call)).collect();
        let outcomes: Vec<Outcome> = tracking::store(&app, told);
        postcard::to_stdvec(&outcomes).map_err(|_| Problem::new(Code::Internal))
    });
    Ok(Response::new(Body::from(outcomes.await?)))
}

fn told(app: &App, group: &Bytes, call: &HandedCall<'_>) -> Result<Told, Problem> {
    let kind = Call::from_path(call.name).ok_or_else(|| Problem::new(Code::UnknownRoute))?;
    Ok(Told {
        call: kind,
        caller: check_sender(app, call.key)?,
        payload: Payload::of(group.slice_ref(call.body), call.gzip),
        sent: Sent {
            received_at: app.parts.clock.now().plus_ms(-i64::from(call.waited_ms)),
            global_privacy_control: call.global_privacy_control,
            user_agent: call.user_agent.map(str::to_owned),
        },
    })
}
