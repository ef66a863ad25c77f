//! Events of Insights as calls of the tracking API, which knows how to read, check and store them.

use merx_ingest::Arrival;
use merx_ingest::segment::{self, Call};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::tracking::{Heard, keep};

const MOST_EVENTS: usize = 1_000;
const MOST_OBJECTS: usize = 100;

/// Stores what is known; unknown kinds of events are dropped, as front ends send kinds of their own.
pub(super) fn take(app: &App, body: &Value, arrival: &Arrival<'_>) -> Result<Value, Problem> {
    let Some(events) = body.get("events").and_then(Value::as_array) else {
        return Err(Problem::because(Code::InvalidJson, "events: expected a list"));
    };
    if events.len() > MOST_EVENTS {
        let detail = format!("{} events are more than {MOST_EVENTS}", events.len());
        return Err(Problem::mistake("events", "out_of_range", detail));
    }
    let calls: Vec<Value> = events.iter().flat_map(calls).collect();
    let rules = &app.parts.settings.rules;
    let (at, key) = (arrival.received_at, arrival.scope.to_owned());
    let mut heard = Heard { at, key, events: Vec::new(), rejections: Vec::new() };
    for batch in calls.chunks(rules.limits.batch_events.max(1)) {
        let bytes = serde_json::to_vec(&json!({ "batch": batch })).unwrap_or_default();
        let read = segment::read(&bytes, Call::Batch, arrival, rules);
        for event in read.map_err(|error| Problem::because(Code::BodyTooLarge, error.to_string()))? {
            match event {
                Ok(event) => heard.events.push(event),
                Err(rejection) => heard.rejections.push(rejection),
            }
        }
    }
    keep(app, vec![heard]).into_iter().collect::<Result<(), Problem>>()?;
    Ok(json!({"status": 200, "message": "OK"}))
}

/// The tracking calls that say the same as one event.
fn calls(event: &Value) -> Vec<Value> {
    let kind = event["eventType"].as_str().unwrap_or_default();
    let subtype = event["eventSubtype"].as_str().unwrap_or_default();
    let products = products(event);
    match (kind, subtype, products.as_slice()) {
        (_, _, []) => Vec::new(),
        ("click", ..) => products.iter().map(|product| call(event, "Product Clicked", product.clone())).collect(),
        // One product that no widget reports for a list is the page of that product.
        ("view", _, [product]) if event.get("algoliaSource").is_none() => {
            vec![call(event, "Product Viewed", product.clone())]
        }
        ("view", ..) => vec![call(event, "Product List Viewed", list(event, products))],
        ("conversion", "addToCart", _) => {
            products.iter().map(|product| call(event, "Product Added", product.clone())).collect()
        }
        ("conversion", "purchase", _) => {
            let mut properties = list(event, products);
            properties.extend(event.get("value").map(|value| ("revenue".to_owned(), value.clone())));
            vec![call(event, "Order Completed", properties)]
        }
        // A conversion of the shop's own making: its name says what it was.
        ("conversion", ..) => {
            let name = event["eventName"].as_str().unwrap_or("Conversion");
            vec![call(event, name, list(event, products))]
        }
        _ => Vec::new(),
    }
}

fn products(event: &Value) -> Vec<Map<String, Value>> {
    let ids = event["objectIDs"].as_array().map_or(&[][..], Vec::as_slice);
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
    ids.iter().take(MOST_OBJECTS).enumerate().map(product).collect()
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

fn call(event: &Value, name: &str, properties: Map<String, Value>) -> Value {
    let mut call = json!({"type": "track", "event": name, "properties": properties});
    if let Some(user) = event["authenticatedUserToken"].as_str() {
        call["userId"] = json!(user);
    }
    if let Some(visitor) = event["userToken"].as_str() {
        call["anonymousId"] = json!(visitor);
    }
    // What has a time of its own is known again when it is sent again.
    if let Some(at_ms) = event["timestamp"].as_i64() {
        call["timestamp"] = json!(merx_domain::TimestampMs(at_ms).to_string());
    }
    call
}
