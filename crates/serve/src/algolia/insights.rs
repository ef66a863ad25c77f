//! Events of Insights as calls of the tracking API, which knows how to read, check and store them.

use merx_ingest::segment::{self, Call};
use merx_ingest::{Arrival, Limits, Reason, Rejection};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::problem::{Code, Mistake, Problem};
use crate::tracking::{Heard, keep};

const MOST_EVENTS: usize = 1_000;
const MOST_OBJECTS: usize = 100;
/// Refused events that an answer names; the console lists all.
const MOST_NAMED: usize = 50;

/// Stores what is known; unknown kinds of events are dropped, as front ends send kinds of their own. A bad one costs nothing but itself.
pub(super) fn take(app: &App, body: &Value, arrival: &Arrival<'_>) -> Result<Value, Problem> {
    let Some(events) = body.get("events").and_then(Value::as_array) else {
        return Err(Problem::because(Code::InvalidJson, "events: expected a list"));
    };
    if events.len() > MOST_EVENTS {
        let detail = format!("{} events are more than {MOST_EVENTS}", events.len());
        return Err(Problem::mistake("events", "out_of_range", detail));
    }
    let rules = &app.parts.settings.rules;
    let (at, key) = (arrival.received_at, arrival.scope.to_owned());
    let mut heard = Heard { at, key, events: Vec::new(), rejections: Vec::new() };
    let mut written: Vec<(usize, String)> = Vec::new();
    for (position, event) in events.iter().enumerate() {
        match calls(event) {
            Ok(calls) => written.extend(calls.iter().map(|call| (position, call.to_string()))),
            Err(reason) => heard.rejections.push(Rejection { position, reason }),
        }
    }
    for batch in batches(&written, &rules.limits) {
        let texts: Vec<&str> = batch.iter().map(|(_, call)| call.as_str()).collect();
        let bytes = format!("{{\"batch\":[{}]}}", texts.join(","));
        let read = segment::read(bytes.as_bytes(), Call::Batch, arrival, rules);
        let read = read.map_err(|error| Problem::because(Code::BodyTooLarge, error.to_string()))?;
        for (event, (position, _)) in read.into_iter().zip(batch) {
            match event {
                Ok(event) => heard.events.push(event),
                Err(Rejection { reason, .. }) => heard.rejections.push(Rejection { position: *position, reason }),
            }
        }
    }
    heard.rejections.sort_by_key(|rejection| rejection.position);
    let (kept, refused) = (heard.events.len(), heard.rejections.clone());
    keep(app, vec![heard]).into_iter().collect::<Result<(), Problem>>()?;
    told(events.len(), kept, &refused)
}

/// Where anything was kept, the answer is a good one that names what was not.
fn told(sent: usize, kept: usize, refused: &[Rejection]) -> Result<Value, Problem> {
    let mistake = |rejection: &Rejection| {
        let Rejection { position, reason } = rejection;
        let detail = reason.detail().map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}"));
        Mistake::new(format!("events[{position}]"), reason.code(), format!("{detail}; {}", reason.hint()))
    };
    let mistakes: Vec<Mistake> = refused.iter().take(MOST_NAMED).map(mistake).collect();
    match (kept, refused.len()) {
        (_, 0) => Ok(json!({"status": 200, "message": "OK"})),
        (0, _) => Err(Problem::mistakes(mistakes)),
        (_, _) => {
            let mut bad: Vec<usize> = refused.iter().map(|rejection| rejection.position).collect();
            bad.dedup();
            let message = format!("OK, but {} of {sent} events were refused", bad.len());
            Ok(json!({"status": 200, "message": message, "errors": mistakes}))
        }
    }
}

/// As many calls at once as the tracking API takes, by number and by size.
fn batches<'c>(calls: &'c [(usize, String)], limits: &Limits) -> Vec<&'c [(usize, String)]> {
    const AROUND: usize = 64;
    let mut batches = Vec::new();
    let (mut begin, mut bytes) = (0, AROUND);
    for (place, (_, call)) in calls.iter().enumerate() {
        let full = place - begin >= limits.batch_events.max(1) || bytes + call.len() >= limits.body_bytes;
        if full && place > begin {
            batches.push(&calls[begin..place]);
            (begin, bytes) = (place, AROUND);
        }
        bytes += call.len() + 1;
    }
    if begin < calls.len() {
        batches.push(&calls[begin..]);
    }
    batches
}

/// The tracking calls that say the same as one event; none of what isn't known here.
fn calls(event: &Value) -> Result<Vec<Value>, Reason> {
    let invalid = |detail: &str| Reason::InvalidEvent { detail: detail.to_owned() };
    let Some(fields) = event.as_object() else { return Err(invalid("expected an object")) };
    let kind = fields.get("eventType").and_then(Value::as_str).ok_or_else(|| invalid("eventType: expected a text"))?;
    if !["click", "view", "conversion"].contains(&kind) {
        return Ok(Vec::new());
    }
    let products = products(event)?;
    if products.is_empty() {
        // What names filters is of no product.
        let names_filters = fields.get("filters").is_some_and(Value::is_array);
        return if names_filters { Ok(Vec::new()) } else { Err(invalid("objectIDs: expected a list of ids")) };
    }
    let at_ms = timestamp(event)?;
    let subtype = event["eventSubtype"].as_str().unwrap_or_default();
    let one = |name: &str, product: &Map<String, Value>| call(event, at_ms, name, product.clone());
    Ok(match (kind, subtype, products.as_slice()) {
        ("click", ..) => products.iter().map(|product| one("Product Clicked", product)).collect(),
        // One product that no widget reports for a list is the page of that product.
        ("view", _, [product]) if event.get("algoliaSource").is_none() => vec![one("Product Viewed", product)],
        ("view", ..) => vec![call(event, at_ms, "Product List Viewed", list(event, products))],
        (_, "addToCart", _) => products.iter().map(|product| one("Product Added", product)).collect(),
        (_, "purchase", _) => {
            let mut properties = list(event, products);
            properties.extend(event.get("value").map(|value| ("revenue".to_owned(), value.clone())));
            vec![call(event, at_ms, "Order Completed", properties)]
        }
        // A conversion of the shop's own making: its name says what it was.
        _ => {
            let name = event["eventName"].as_str().unwrap_or("Conversion");
            vec![call(event, at_ms, name, list(event, products))]
        }
    })
}

/// Milliseconds; some clients write a fraction of one.
fn timestamp(event: &Value) -> Result<Option<i64>, Reason> {
    let written = &event["timestamp"];
    match written.as_i64().or_else(|| written.as_f64().map(|at_ms| at_ms as i64)) {
        None if !written.is_null() => {
            let detail = "expected milliseconds since 1970".to_owned();
            Err(Reason::InvalidTimestamp { field: "timestamp", detail })
        }
        at_ms => Ok(at_ms),
    }
}

fn products(event: &Value) -> Result<Vec<Map<String, Value>>, Reason> {
    let ids = event["objectIDs"].as_array().map_or(&[][..], Vec::as_slice);
    if ids.len() > MOST_OBJECTS {
        return Err(Reason::InvalidEvent { detail: format!("{} objectIDs are more than {MOST_OBJECTS}", ids.len()) });
    }
    let product = |(place, id): (usize, &Value)| {
        let mut product = Map::new();
        product.insert("product_id".to_owned(), id.clone());
        let mut set = |name: &str, value: &Value| {
            if !value.is_null() {
                product.insert(name.to_owned(), value.clone());
            }
        };
        set("position", &event["positions"][place]);
        set("price", &event["objectData"][place]["price"]);
        set("quantity", &event["objectData"][place]["quantity"]);
        set("currency", &event["currency"]);
        let decision = [&event["objectData"][place]["queryID"], &event["queryID"]];
        if let Some(decision) = decision.into_iter().find(|decision| decision.is_string()) {
            set("decision_id", decision);
        }
        product
    };
    Ok(ids.iter().enumerate().map(product).collect())
}

fn list(event: &Value, products: Vec<Map<String, Value>>) -> Map<String, Value> {
    let mut properties = Map::new();
    let decision = products.first().and_then(|product| product.get("decision_id")).cloned();
    properties.extend(decision.map(|decision| ("decision_id".to_owned(), decision)));
    properties.extend(event.get("index").map(|index| ("list_id".to_owned(), index.clone())));
    properties.extend(event.get("currency").map(|currency| ("currency".to_owned(), currency.clone())));
    properties.insert("products".to_owned(), json!(products));
    properties
}

fn call(event: &Value, at_ms: Option<i64>, name: &str, properties: Map<String, Value>) -> Value {
    let mut call = json!({"type": "track", "event": name, "properties": properties});
    if let Some(user) = event["authenticatedUserToken"].as_str() {
        call["userId"] = json!(user);
    }
    if let Some(visitor) = event["userToken"].as_str() {
        call["anonymousId"] = json!(visitor);
    }
    // What has a time of its own is known again when it is sent again.
    if let Some(at_ms) = at_ms {
        call["timestamp"] = json!(merx_domain::TimestampMs(at_ms).to_string());
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_as_much_as_is_taken() {
        let limits = Limits { event_bytes: 100, body_bytes: 200, batch_events: 3 };
        let calls: Vec<(usize, String)> = [10, 10, 10, 10, 90, 90, 150, 5]
            .iter()
            .enumerate()
            .map(|(place, length)| (place, "x".repeat(*length)))
            .collect();
        let batches = batches(&calls, &limits);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [3, 2, 1, 1, 1], "by number, by size, and what is too large by itself");
        assert_eq!(batches.concat(), calls);
    }
}
