//! kill -9 while batches come in over HTTP: what was acknowledged is there, and nothing is there twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use merx_store::embedded::SqliteEventLog;
use merx_store::{EventLog, LogSettings};
use serde_json::{Value, json};

use crate::harness::{Chance, Server, Shop};

const KILLS: u64 = 20;
const SENDERS: u64 = 3;
const BATCH: usize = 25;

/// What the senders know: batches that were acknowledged, and the ones whose answer a kill cut off.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) acknowledged: Vec<Value>,
    pub(crate) unanswered: Vec<Value>,
}

/// A batch whose events each carry a mark of their own.
pub(crate) fn batch(name: &str) -> Value {
    let event = |number: usize| {
        json!({
            "type": "track", "event": "Product Viewed", "messageId": format!("{name}-{number}"),
            "anonymousId": format!("visitor-{}", number % 7),
            "properties": { "product_id": format!("p{}", number % 11), "mark": format!("{name}-{number}") },
        })
    };
    json!({ "batch": (0..BATCH).map(event).collect::<Vec<_>>() })
}

/// Sends until the connection breaks or the server turns away. Now and then something acknowledged is sent once more.
pub(crate) fn send(server: &Server, name: &str, seed: u64, sent: &Mutex<Sent>) {
    let mut chance = Chance::seeded(name, seed);
    let Ok(mut client) = crate::harness::Client::connect(server.address) else { return };
    for number in 0.. {
        let again = chance.below(5) == 0;
        let repeated = if again { sent.lock().unwrap().acknowledged.last().cloned() } else { None };
        let is_new = repeated.is_none();
        let body = repeated.unwrap_or_else(|| batch(&format!("{name}-{number}")));
        let reply = client.call("POST", "/v1/batch", &server.keys.public, Some(&body));
        let mut sent = sent.lock().unwrap();
        match reply {
            Ok(reply) if reply.status == 200 => {
                assert_eq!(reply.json(), json!({ "success": true }));
                if is_new {
                    sent.acknowledged.push(body);
                }
            }
            Ok(reply) => {
                assert!([429, 503].contains(&reply.status), "{reply:?}");
                sent.unanswered.push(body);
                return;
            }
            Err(_) => {
                sent.unanswered.push(body);
                return;
            }
        }
    }
}

/// How often each mark is in the log.
pub(crate) fn marks(shop: &Shop) -> BTreeMap<String, usize> {
    marks_in(&SqliteEventLog::open(&shop.data().join("events.sqlite"), LogSettings::default()).unwrap())
}

/// What has no mark was not sent by these tests.
pub(crate) fn marks_in(log: &dyn EventLog) -> BTreeMap<String, usize> {
    let mut marks = BTreeMap::new();
    for (_, event) in log.read(None, usize::MAX).unwrap() {
        let Some(mark) = event.properties.get("mark") else { continue };
        let mark: String = serde_json::from_str(mark).unwrap();
        *marks.entry(mark).or_default() += 1;
    }
    marks
}

pub(crate) fn marks_of(batch: &Value) -> impl Iterator<Item = &str> {
    batch["batch"].as_array().unwrap().iter().map(|event| event["properties"]["mark"].as_str().unwrap())
}

pub(crate) fn assert_stored_once(shop: &Shop, sent: &Sent) {
    assert_marked_once(&marks(shop), sent);
}

pub(crate) fn assert_marked_once(marks: &BTreeMap<String, usize>, sent: &Sent) {
    assert!(marks.values().all(|count| *count == 1), "nothing is stored twice");
    for mark in sent.acknowledged.iter().flat_map(marks_of) {
        assert!(marks.contains_key(mark), "{mark} was acknowledged");
    }
    for batch in &sent.unanswered {
        let there = marks_of(batch).filter(|mark| marks.contains_key(*mark)).count();
        assert!([0, BATCH].contains(&there), "a batch is there whole or not at all");
    }
}

#[test]
fn what_is_acknowledged_over_http_survives_kill_9() {
    let mut chance = Chance::seeded("kills of ingest", 1);
    let mut shop = Shop::empty();
    let sent: Mutex<Sent> = Mutex::default();
    let mut slowest = Duration::ZERO;
    for round in 0..KILLS {
        let server = shop.serve(&[]);
        slowest = slowest.max(server.ready_after);
        // What no answer came for is sent again, as every client library does.
        let again = std::mem::take(&mut sent.lock().unwrap().unanswered);
        for body in again {
            // By the same key: message ids are compared within what one key sent.
            server.call("POST", "/v1/batch", &server.keys.public, Some(&body)).ok();
            sent.lock().unwrap().acknowledged.push(body);
        }
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (server, sent, seed) = (&server, &sent, chance.below(u64::MAX));
                scope.spawn(move || send(server, &format!("round-{round}-sender-{sender}"), seed, sent));
            }
            std::thread::sleep(Duration::from_micros(5_000 + chance.below(250_000)));
            std::process::Command::new("kill").args(["-9", &server.id().to_string()]).status().unwrap();
        });
        drop(server);
        assert_stored_once(&shop, &sent.lock().unwrap());
    }
    let sent = sent.into_inner().unwrap();
    assert!(sent.acknowledged.len() as u64 > KILLS, "{} batches were taken", sent.acknowledged.len());
    println!(
        "{KILLS} kills, {} events acknowledged, serving again after at most {slowest:?}",
        sent.acknowledged.len() * BATCH
    );
    let server = shop.serve(&[]);
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    server.stop();
}
