//! A full disk, damaged files, wrong clocks, lost models, a stop in the middle of things: said clearly, nothing
//! acknowledged is lost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use merx_domain::{Clock, HOUR_MS, TimestampMs};
use merx_domain::{DAY_MS, SystemClock};
use merx_models::registry::{MIGRATIONS, Registry, VersionStatus};
use merx_store::embedded::SqliteEventLog;
use merx_store::{EventLog, LogSettings, Store};
use serde_json::{Value, json};

use crate::crash_ingest::{Sent, assert_stored_once, batch, send};
use crate::harness::{Chance, Server, Shop, begun_by, copy_folder, fail, succeed};

/// A file size limit stands for a full disk: it needs no privilege, writes fail in the same places, and it can be lifted.
fn serve_with_little_room(shop: &mut Shop) -> Server {
    let command =
        begun_by(&["sh", "-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\""].map(str::to_owned), shop.merx());
    shop.serve_by(command, &[])
}

#[test]
fn a_full_disk_is_said_and_heals() {
    let mut shop = Shop::empty();
    let server = serve_with_little_room(&mut shop);
    let mut sent = Sent::default();
    let mut client = server.client();
    let refused = (0..100_000).find_map(|number| {
        let body = batch(&format!("batch-{number}"));
        let reply = client.call("POST", "/v1/batch", &server.keys.admin, Some(&body)).unwrap();
        if reply.status == 200 {
            sent.acknowledged.push(body);
            return None;
        }
        Some((body, reply))
    });
    let (body, reply) = refused.unwrap();
    assert_eq!((reply.status, reply.json()["code"].as_str()), (507, Some("no_space")), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert!(sent.acknowledged.len() > 10);
    // What is too little for a batch may do for one event; then it is full.
    for number in 0..10_000 {
        let event = json!({ "event": "Product Viewed", "anonymousId": "visitor-1", "messageId": format!("last-{number}"),
            "properties": { "product_id": "p1", "mark": format!("last-{number}") } });
        let reply = client.call("POST", "/v1/track", &server.keys.admin, Some(&event)).unwrap();
        if reply.status == 507 {
            break;
        }
        assert_eq!(reply.status, 200, "{reply:?}");
        sent.acknowledged.push(json!({ "batch": [event] }));
    }
    let ready = server.call("GET", "/health/ready", "", None);
    assert_eq!((ready.status, ready.json()["code"].as_str()), (507, Some("no_space")), "{ready:?}");
    assert_eq!(server.call("GET", "/health/live", "", None).status, 200);
    let answer = server.recommend(&json!({ "anonymous_id": "visitor-1" }), "recently_viewed");
    assert!(!answer["slots"][0]["items"].as_array().unwrap().is_empty(), "it answers from what it knows: {answer}");

    let lifted = Command::new("prlimit").args(["--pid", &server.id().to_string(), "--fsize=unlimited"]).status();
    assert!(lifted.unwrap().success());
    let (_, healed) = server.eventually("/health/ready", |reply| reply.status == 200);
    println!("ready {healed:?} after there was room, without a restart");
    server.call("POST", "/v1/batch", &server.keys.admin, Some(&body)).ok();
    sent.acknowledged.push(body);
    server.stop();
    assert_stored_once(&shop, &sent);
}

/// Changes one byte.
fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

#[test]
fn a_damaged_log_stops_the_server_with_words() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    for number in 0..20 {
        server.call("POST", "/v1/batch", &server.keys.admin, Some(&batch(&format!("batch-{number}")))).ok();
    }
    server.kill();
    let copy = |shop: &Shop| {
        let copy = Shop::empty();
        copy_folder(&shop.data(), &copy.data());
        copy
    };
    let wal = copy(&shop);
    let path = wal.data().join("events.sqlite-wal");
    flip(&path, std::fs::metadata(&path).unwrap().len() / 2);
    let words = fail(wal.merx().arg("serve"));
    assert!(words.contains("event log is damaged"), "{words}");

    // Stopped well, everything is in the main file.
    shop.serve(&[]).stop();
    let pages = copy(&shop);
    cut(&pages.data().join("events.sqlite"), 4_096);
    let words = fail(pages.merx().arg("serve"));
    assert!(words.contains("event log is damaged"), "{words}");
    let records = copy(&shop);
    flip(&records.data().join("records.sqlite"), 3);
    let words = fail(records.merx().arg("serve"));
    assert!(words.contains("damaged"), "{words}");
    let gone = copy(&shop);
    std::fs::remove_file(gone.data().join("events.sqlite")).unwrap();
    let words = fail(gone.merx().arg("serve"));
    assert!(words.contains("the log lost its tail") && words.contains("Restore it"), "{words}");

    // The snapshot is no original: damaged or gone, it is made again from the log.
    let without = copy(&shop);
    std::fs::remove_file(without.data().join("online.snapshot")).unwrap();
    let mut without = without;
    without.adopt_keys(&shop);
    let server = without.serve(&[]);
    let answer = server.recommend(&json!({ "anonymous_id": "visitor-1" }), "recently_viewed");
    assert!(!answer["slots"][0]["items"].as_array().unwrap().is_empty(), "{answer}");
}

/// Times of the events of a log, as they happened and as they came.
fn times(shop: &Shop) -> Vec<(TimestampMs, TimestampMs)> {
    let log = SqliteEventLog::open(&shop.data().join("events.sqlite"), LogSettings::default()).unwrap();
    log.read(None, usize::MAX >> 1)
        .unwrap()
        .into_iter()
        .map(|(_, event)| (event.occurred_at, event.received_at))
        .collect()
}

#[test]
fn clocks_of_senders_are_corrected() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    let now = SystemClock.now();
    for skew_ms in [-3 * DAY_MS, -HOUR_MS, 0, HOUR_MS, 400 * DAY_MS] {
        // Ten minutes before it was sent, by a clock that is wrong.
        let sent_at = now.plus_ms(skew_ms);
        let body = json!({
            "event": "Product Viewed", "anonymousId": "visitor", "messageId": format!("skew-{skew_ms}"),
            "timestamp": sent_at.plus_ms(-10 * 60_000).to_string(), "sentAt": sent_at.to_string(),
            "properties": { "product_id": "p1" },
        });
        server.call("POST", "/v1/track", &server.keys.public, Some(&body)).ok();
    }
    server.stop();
    let times = times(&shop);
    assert_eq!(times.len(), 5);
    for (occurred_at, received_at) in times {
        let age_ms = received_at.since(occurred_at);
        assert!((9 * 60_000..=11 * 60_000).contains(&age_ms), "{age_ms} ms before it came");
    }
}

/// The server's clock was a day ahead, then it was set right: the log has events "from tomorrow".
#[test]
fn a_server_clock_that_steps_back_costs_nothing() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&[]);
    let view = |id: &str, product: &str| {
        json!({ "event": "Product Viewed", "anonymousId": "traveller", "messageId": id,
            "properties": { "product_id": product } })
    };
    server.call("POST", "/v1/track", &server.keys.public, Some(&view("first", "P000001"))).ok();
    server.stop();
    {
        let log = SqliteEventLog::open(&shop.data().join("events.sqlite"), LogSettings::default()).unwrap();
        let mut event = log.read(None, usize::MAX >> 1).unwrap().pop().unwrap().1;
        event.id = merx_domain::EventId(77);
        event.occurred_at = event.occurred_at.plus_ms(DAY_MS);
        event.received_at = event.received_at.plus_ms(DAY_MS);
        event.lines[0].product = merx_domain::ProductId::new("P000002").unwrap();
        log.append(vec![event]).unwrap();
    }
    let server = shop.serve(&[]);
    server.call("POST", "/v1/track", &server.keys.public, Some(&view("second", "P000003"))).ok();
    let shopper = json!({ "anonymous_id": "traveller" });
    let seen = |server: &Server| {
        let answer = server.recommend(&shopper, "recently_viewed");
        let items = answer["slots"][0]["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["product_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for _ in 0..200 {
        if seen(&server).len() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut products = seen(&server);
    products.sort();
    assert_eq!(products, ["P000001", "P000002", "P000003"], "no event is left out");
    succeed(shop.merx().args(["train", "--now", "--url", &server.url, "--key", &server.keys.admin]));
    let answer = server.recommend(&shopper, "for_you");
    assert_eq!(answer["slots"][0]["items"].as_array().unwrap().len(), 5, "{answer}");
}

/// Where the artifact of the version with a status lies.
fn artifact(shop: &Shop, status: VersionStatus) -> PathBuf {
    let store = Store::open_embedded(&shop.data(), MIGRATIONS, LogSettings::default()).unwrap();
    let registry = Registry::new(store.records.clone(), store.artifacts.clone());
    let hash = registry.with_status("recommend", status).unwrap().unwrap().artifact.to_string();
    let mut folders = vec![shop.data().join("artifacts")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().replace('/', "").ends_with(&hash) {
                return path;
            }
        }
    }
    panic!("no file of {hash}");
}

#[test]
fn a_damaged_model_is_said_and_something_else_answers() {
    let mut shop = Shop::small_demo();
    // Another seed, so that the second version has bytes of its own.
    let train = ["train", "--now", "--set", "train.seed=2", "--set", "train.gate_latency_ms=10000"];
    succeed(shop.merx().args(train));
    succeed(shop.merx().args(["models", "promote", "2"]));
    let (live, previous) = (artifact(&shop, VersionStatus::Live), artifact(&shop, VersionStatus::Previous));
    assert_ne!(live, previous);
    let answered_by = |server: &Server| {
        let answer = server.recommend(&json!({ "anonymous_id": "visitor" }), "popular");
        assert_eq!(answer["slots"][0]["items"].as_array().unwrap().len(), 5, "{answer}");
        server.get(&format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap()))["fallback"].clone()
    };
    let troubles = |server: &Server| {
        let (health, _) = server.eventually("/health/ready", |reply| reply.status == 200);
        let health = health.json();
        assert_eq!(health["status"], "degraded", "{health}");
        health["troubles"].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>()
    };
    flip(&live, 1_000);
    let server = shop.serve(&[]);
    assert_eq!(answered_by(&server), "previous_model");
    let said = troubles(&server);
    assert!(said.len() == 1 && said[0].contains("recommend v2 can't be served"), "{said:?}");
    server.stop();

    std::fs::remove_file(previous).unwrap();
    let server = shop.serve(&[]);
    assert_eq!(answered_by(&server), "static_list");
    assert_eq!(troubles(&server).len(), 2);
    // A training mends it.
    let said = succeed(shop.merx().args(["train", "--now", "--url", &server.url, "--key", &server.keys.admin]));
    assert!(said.contains("live"), "{said}");
    assert_eq!(answered_by(&server), "live_model");
    server.stop();
}

#[test]
fn a_stop_under_load_loses_nothing() {
    let mut chance = Chance::seeded("stops under load", 4);
    let mut shop = Shop::empty();
    let sent: Mutex<Sent> = Mutex::default();
    for round in 0..5 {
        let server = shop.serve(&[]);
        std::thread::scope(|scope| {
            for sender in 0..3 {
                let (server, sent, seed) = (&server, &sent, chance.below(u64::MAX));
                scope.spawn(move || send(server, &format!("round-{round}-sender-{sender}"), seed, sent));
            }
            std::thread::sleep(Duration::from_micros(20_000 + chance.below(200_000)));
            server.signal_stop();
        });
        server.stop();
        assert_stored_once(&shop, &sent.lock().unwrap());
    }
    assert!(sent.into_inner().unwrap().acknowledged.len() > 5);
}
