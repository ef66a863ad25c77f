//! What comes in now, as server-sent events: who mends a sender or opens a shop wants to see it arrive.
//!
//! Nothing here names a person. A listener that reads too slowly misses some; it never holds an event back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use merx_decide::CatalogueReader;
use merx_domain::{Event, EventKind, TimestampMs};
use merx_ingest::{RawEvent, Rejection};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::problem::{Code, Problem};
use crate::routes::Shared;
use crate::wire::MoneyWire;

/// What a new listener is told of the past.
const KEPT: usize = 50;
/// Of one call; more could not be read anyway.
const MOST_OF_A_CALL: usize = 20;
const MOST_PRODUCTS: usize = 3;
const MOST_LISTENERS: usize = 64;
/// What waits for a slow listener.
const WAITING: usize = 256;
/// A comment so often keeps proxies from closing a quiet stream.
const BEAT: Duration = Duration::from_secs(15);

/// Something that came in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct LiveEvent {
    #[schema(format = DateTime)]
    at: String,
    /// The event's name, or `refused`.
    #[schema(example = "Product Viewed")]
    name: String,
    market: Option<String>,
    #[schema(example = "phone")]
    device: Option<String>,
    /// The first of its products.
    products: Vec<LiveProduct>,
    /// What was searched for.
    query: Option<String>,
    value: Option<MoneyWire>,
    /// Whether it is the outcome of a decision.
    attributed: bool,
    /// Of a refused event: the reason's code, the reason, and what to do.
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct LiveProduct {
    product_id: String,
    name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Refusal {
    #[schema(example = "missing_product_id")]
    code: &'static str,
    problem: String,
    hint: &'static str,
}

#[derive(Default)]
pub(crate) struct Live(Mutex<Listening>);

#[derive(Default)]
struct Listening {
    last: VecDeque<LiveEvent>,
    listeners: Vec<mpsc::Sender<Bytes>>,
    closed: bool,
}

impl Live {
    pub(crate) fn publish(&self, events: Vec<LiveEvent>) {
        let mut listening = self.0.lock();
        for event in events {
            if !listening.listeners.is_empty() {
                let message = message(&event);
                listening.listeners.retain(|listener| {
                    !matches!(listener.try_send(message.clone()), Err(mpsc::error::TrySendError::Closed(_)))
                });
            }
            if listening.last.len() == KEPT {
                listening.last.pop_front();
            }
            listening.last.push_back(event);
        }
    }

    /// The last events, and those to come.
    fn listen(&self) -> Result<mpsc::Receiver<Bytes>, Problem> {
        let mut listening = self.0.lock();
        listening.listeners.retain(|listener| !listener.is_closed());
        if listening.closed {
            return Err(Problem::because(Code::Unavailable, "the server is stopping").retry_after(1));
        }
        if listening.listeners.len() >= MOST_LISTENERS {
            return Err(Problem::because(Code::Unavailable, format!("{MOST_LISTENERS} listen already")).retry_after(5));
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        for event in &listening.last {
            // There is room: fewer are kept than may wait.
            let _ = sender.try_send(message(event));
        }
        listening.listeners.push(sender);
        Ok(receiver)
    }

    /// Ends all streams, so that a stopping server need not wait for them.
    pub(crate) fn close(&self) {
        let mut listening = self.0.lock();
        listening.closed = true;
        listening.listeners.clear();
    }
}

fn message(event: &LiveEvent) -> Bytes {
    let json = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("data: {json}\n\n"))
}

/// The last events of a call, as they are shown.
pub(crate) fn seen(events: &[RawEvent], catalogue: &CatalogueReader<'_>) -> Vec<LiveEvent> {
    let first = events.len().saturating_sub(MOST_OF_A_CALL);
    events[first..].iter().map(|event| describe(event.draft(), catalogue)).collect()
}

fn describe(event: &Event, catalogue: &CatalogueReader<'_>) -> LiveEvent {
    let name = match (event.kind, &event.custom_name) {
        (EventKind::Custom, Some(name)) => name.to_string(),
        (kind, _) => kind.name().to_owned(),
    };
    let product = |line: &merx_domain::EventLine| LiveProduct {
        product_id: line.product.to_string(),
        name: catalogue
            .number(&line.product)
            .and_then(|number| catalogue.entry(number))
            .map(|entry| entry.name.to_string()),
    };
    LiveEvent {
        at: event.received_at.to_string(),
        name,
        market: Some(event.context.market.to_string()),
        device: serde_json::to_value(event.context.device).ok().and_then(|device| device.as_str().map(str::to_owned)),
        products: event.lines.iter().take(MOST_PRODUCTS).map(product).collect(),
        query: event.query.as_ref().map(ToString::to_string),
        value: event.value.map(MoneyWire::from),
        attributed: event.decision.is_some(),
        refusal: None,
    }
}

pub(crate) fn refused(at: TimestampMs, rejections: &[Rejection]) -> Vec<LiveEvent> {
    let describe = |rejection: &Rejection| LiveEvent {
        at: at.to_string(),
        name: "refused".to_owned(),
        market: None,
        device: None,
        products: Vec::new(),
        query: None,
        value: None,
        attributed: false,
        refusal: Some(Refusal {
            code: rejection.reason.code(),
            problem: rejection.reason.to_string(),
            hint: rejection.reason.hint(),
        }),
    };
    rejections.iter().take(MOST_OF_A_CALL).map(describe).collect()
}

/// A body that never ends by itself.
struct Stream {
    receiver: mpsc::Receiver<Bytes>,
    beat: tokio::time::Interval,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(next) = self.receiver.poll_recv(context) {
            return Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))));
        }
        self.beat.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b": still here\n\n")))))
    }
}

/// Events as they come
///
/// Server-sent events: the last 50 that came in, then each as it comes, refused ones with the reason. Nothing names a
/// person. Of a large batch the last events are shown; a listener that reads too slowly misses some.
#[utoipa::path(get, path = "/v1/events/live", tag = "events",
    responses((status = 200, description = "One event a message", body = LiveEvent, content_type = "text/event-stream"),
        (status = 503, description = "Too many listen already", body = crate::problem::ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn live_events(State(app): State<Shared>) -> Result<Response, Problem> {
    let stream = Stream { receiver: app.live.listen()?, beat: tokio::time::interval(BEAT) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::new(stream)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> LiveEvent {
        LiveEvent { name: name.to_owned(), ..EMPTY }
    }

    const EMPTY: LiveEvent = LiveEvent {
        at: String::new(),
        name: String::new(),
        market: None,
        device: None,
        products: Vec::new(),
        query: None,
        value: None,
        attributed: false,
        refusal: None,
    };

    #[test]
    fn a_listener_gets_the_last_and_the_next() {
        let live = Live::default();
        live.publish((0..KEPT + 3).map(|number| event(&number.to_string())).collect());
        let mut receiver = live.listen().unwrap();
        live.publish(vec![event("next")]);
        let mut names = Vec::new();
        while let Ok(bytes) = receiver.try_recv() {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let json: serde_json::Value = serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap();
            names.push(json["name"].as_str().unwrap().to_owned());
        }
        assert_eq!((names.len(), names[0].as_str(), names[KEPT].as_str()), (KEPT + 1, "3", "next"));
    }

    #[test]
    fn a_slow_listener_holds_nobody_up_and_one_that_left_is_forgotten() {
        let live = Live::default();
        let receiver = live.listen().unwrap();
        live.publish((0..WAITING + 10).map(|_| event("e")).collect());
        assert_eq!(live.0.lock().listeners.len(), 1);
        drop(receiver);
        live.publish(vec![event("e")]);
        assert!(live.0.lock().listeners.is_empty());
    }

    #[test]
    fn listeners_are_bounded_and_end_with_the_server() {
        let live = Live::default();
        let mut receivers: Vec<_> = (0..MOST_LISTENERS).map(|_| live.listen().unwrap()).collect();
        assert_eq!(live.listen().unwrap_err().code, Code::Unavailable);
        live.close();
        assert_eq!(receivers[0].try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert!(live.listen().is_err());
    }
}
