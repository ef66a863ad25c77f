//! Several processes serve one shop on PostgreSQL, Kafka, Redis and S3: one leads, each answers.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crash_ingest::{Sent, assert_marked_once, batch, marks_in};
use crate::harness::{Chance, Client, Reply, Server, Shop, begun_by, succeed};
use crate::services::Place;

/// A lead is taken over within this time, with a busy machine's delays.
const TAKEN_OVER: Duration = Duration::from_secs(40);

/// A shop on services and processes that serve it, each with a folder of its own that holds the vault's key and nothing else.
pub(crate) struct Replicas {
    pub(crate) place: Place,
    pub(crate) first: Shop,
}

impl Replicas {
    pub(crate) fn made(test: &str) -> Self {
        Self::of_size(test, ["150", "400", "40"])
    }

    pub(crate) fn of_size(test: &str, [products, shoppers, days]: [&str; 3]) -> Self {
        let (place, first) = (Place::of(test), Shop::empty());
        let made = ["demo", "--products", products, "--shoppers", shoppers, "--days", days, "--no-serve"];
        succeed(place.merx(&first, &made).args(["--set", "train.gate_latency_ms=10000"]));
        Self { place, first }
    }

    pub(crate) fn begin(&mut self) -> Server {
        self.place.serve(&mut self.first, &[])
    }

    /// The first process, by a command that becomes `merx` in the end.
    pub(crate) fn begin_by(&mut self, starter: &[String]) -> Server {
        let command = begun_by(starter, self.first.merx());
        self.place.serve_by(&mut self.first, command, &[])
    }

    /// Another one, in the same way.
    pub(crate) fn join_by(&self, starter: &[String]) -> (Shop, Server) {
        let mut shop = self.folder_of_another();
        let command = begun_by(starter, shop.merx());
        let server = self.place.serve_by(&mut shop, command, &[]);
        (shop, server)
    }

    /// Another process. Its folder goes when the process does.
    pub(crate) fn join(&self) -> (Shop, Server) {
        self.join_with(&[])
    }

    pub(crate) fn join_with(&self, flags: &[&str]) -> (Shop, Server) {
        let mut shop = self.folder_of_another();
        let server = self.place.serve(&mut shop, flags);
        (shop, server)
    }

    /// A folder with nothing in it but the vault's key.
    pub(crate) fn folder_of_another(&self) -> Shop {
        let mut shop = Shop::empty();
        std::fs::create_dir(shop.data()).unwrap();
        std::fs::copy(self.first.data().join("vault.key"), shop.data().join("vault.key")).unwrap();
        shop.adopt_keys(&self.first);
        shop
    }
}

pub(crate) fn leads(server: &Server) -> bool {
    server.call("GET", "/metrics", "", None).body.contains("\nmerx_leads 1\n")
}

/// Until `right`, and how long that took.
pub(crate) fn wait_for(what: &str, mut right: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !right() {
        assert!(began.elapsed() < TAKEN_OVER, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

pub(crate) fn signal(server: &Server, signal: &str) {
    assert!(Command::new("kill").args([signal, &server.id().to_string()]).status().unwrap().success());
}

fn viewed(visitor: &str, product: &str, id: &str) -> Value {
    json!({ "batch": [{ "type": "track", "event": "Product Viewed", "messageId": id, "anonymousId": visitor,
        "properties": { "product_id": product } }] })
}

fn take(server: &Server, batch: &Value) -> Reply {
    server.call("POST", "/v1/batch", &server.keys.public, Some(batch))
}

/// The record of a decision made for a visitor now: whoever made it, the one that leads shows it once it is written.
fn decided(server: &Server, visitor: &str) -> Value {
    let answer = server.recommend(&json!({ "anonymous_id": visitor }), "continue_session");
    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    server.eventually(&path, |reply| reply.status == 200).0.json()
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn three_processes_serve_one_shop() {
    let mut replicas = Replicas::made("three");
    let a = replicas.begin();
    let ((_b_shop, b), (_c_shop, c)) = (replicas.join(), replicas.join());
    assert_eq!([&a, &b, &c].map(leads), [true, false, false]);

    // What is sent to one that doesn't lead is taken by the one that does, and counts for the third.
    take(&b, &viewed("kim", "P000007", "kim-1")).ok();
    wait_for("the view", || decided(&c, "kim")["features"]["history"].to_string().contains("P000007"));

    // A refusal counts everywhere once it is answered.
    let said = json!({ "anonymous_id": "kim", "purposes": { "personalisation": false } });
    b.call("POST", "/v1/consent", &b.keys.public, Some(&said)).ok();
    for server in [&a, &b, &c] {
        let record = decided(server, "kim");
        assert!(!record["granted"].to_string().contains("personalisation"), "{record}");
        assert_eq!(record["features"]["history"], json!([]));
    }

    // Whoever is asked lays a page out; the one that leads shows the record.
    let home = json!({ "anonymous_id": "kim", "page": "home", "blocks": [{ "id": "for_you" }, { "id": "new" }] });
    for server in [&a, &b, &c] {
        let answer = server.post("/v1/layout", &home);
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        let record = a.eventually(&path, |reply| reply.status == 200).0.json();
        assert_eq!((record["engine"].as_str(), record["blocks"].as_array().map(Vec::len)), (Some("layout"), Some(2)));
    }

    // The catalogue, and what is asked of it.
    let product = json!({ "name": "Quixotic lamp",
        "variants": [{ "id": "NEW1-1", "prices": [{ "amount": { "minor": 1990, "currency": "EUR" } }] }] });
    let put = c.call("PUT", "/v1/products/NEW1", &c.keys.admin, Some(&product));
    assert!((200..300).contains(&put.status), "{put:?}");
    let found = |server: &Server| server.post("/v1/search", &json!({ "query": "quixotic lamp" })).to_string();
    for server in [&a, &b, &c] {
        wait_for("the product", || found(server).contains("NEW1"));
    }

    // Keys, made at one and revoked at another.
    let key = b.post("/v1/keys", &json!({ "scope": "public" }));
    let text = key["key"].as_str().unwrap().to_owned();
    let asks = |server: &Server| server.call("POST", "/v1/search", &text, Some(&json!({ "query": "lamp" }))).status;
    for server in [&a, &b, &c] {
        wait_for("the key", || asks(server) == 200);
    }
    let id = key["id"].as_str().unwrap();
    assert!(c.call("DELETE", &format!("/v1/keys/{id}"), &c.keys.admin, None).status < 300);
    for server in [&a, &b, &c] {
        wait_for("the key's end", || asks(server) == 401);
    }

    // A training asked of one that doesn't lead; all answer from its model then.
    let version = |server: &Server| decided(server, "lee")["model_version"].as_u64().unwrap();
    let before = version(&b);
    let job = b.post("/v1/jobs", &json!({ "kind": "training" }));
    c.eventually(&format!("/v1/jobs/{}", job["id"]), |reply| reply.json()["state"] == "done");
    let models = c.get("/v1/models");
    let newest = models["items"].as_array().unwrap().iter().filter(|model| model["name"] == "recommend");
    let newest = newest.map(|model| model["version"].as_u64().unwrap()).max().unwrap();
    assert!(newest > before);
    b.call("POST", "/v1/models/recommend/promote", &b.keys.admin, Some(&json!({ "version": newest }))).ok();
    for server in [&a, &b, &c] {
        wait_for("the model", || version(server) == newest);
    }

    // The one that leads stops: another takes its place at once.
    a.stop();
    let waited = wait_for("another to lead", || take(&b, &viewed("kim", "P000009", "kim-2")).status == 200);
    println!("after a stop another led after {waited:?}");
    assert_eq!(usize::from(leads(&b)) + usize::from(leads(&c)), 1);
    wait_for("the lag", || [&b, &c].iter().all(|server| server.get("/health/ready")["log_lag_events"] == 0));
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn what_cannot_be_applied_is_set_aside_and_applied_once_it_can_be() {
    const TOO_LITTLE: usize = 1_024;
    let mut replicas = Replicas::made("set_aside");
    replicas.place.limit_values(TOO_LITTLE);
    let server = replicas.begin();
    let set_aside = |server: &Server| server.get("/v1/dead-letters")["items"].as_array().unwrap().clone();
    let applied = |server: &Server| server.eventually("/health/ready", |reply| reply.json()["log_lag_events"] == 0);
    assert!(set_aside(&server).is_empty());

    // Who searches for much with many words has more to be remembered than there is room for; who searches once does not.
    let name =
        |number: u32| format!("number {number} {}", "lamp of oak and glass with a warm and quiet light ".repeat(2));
    for number in 0..20 {
        let product = json!({ "name": name(number),
            "variants": [{ "id": format!("NEW{number}-1"), "prices": [{ "amount": { "minor": 1990, "currency": "EUR" } }] }] });
        let path = format!("/v1/products/NEW{number}");
        assert!(server.call("PUT", &path, &server.keys.admin, Some(&product)).status < 300);
    }
    let search = |visitor: &str, number: u32| {
        let event = json!({ "type": "track", "event": "Products Searched", "messageId": format!("{visitor}-{number}"),
            "anonymousId": visitor, "properties": { "query": name(number) } });
        take(&server, &json!({ "batch": [event] })).ok();
    };
    (0..20).for_each(|number| search("greedy", number));
    search("modest", 3);
    let remembered = |server: &Server, visitor: &str| -> Vec<String> {
        let found = server.post("/v1/suggest", &json!({ "text": "", "queries": 6, "anonymous_id": visitor }));
        let own = found["suggestions"].as_array().unwrap().iter().filter(|one| one["personal"] == true);
        own.map(|one| one["text"].as_str().unwrap().to_owned()).collect()
    };
    let newest = |server: &Server, visitor: &str, number: u32| {
        remembered(server, visitor).first().is_some_and(|text| text.starts_with(&format!("number {number} ")))
    };
    applied(&server);
    let letters = set_aside(&server);
    assert!(
        (1..20).contains(&letters.len()) && letters[0]["detail"].as_str().unwrap().contains("max_value_bytes"),
        "{letters:?}"
    );
    let metrics = server.call("GET", "/metrics", "", None).body;
    assert!(metrics.contains(&format!("\nmerx_dead_letters {}\n", letters.len())), "{metrics}");
    assert!(newest(&server, "modest", 3));
    let last = letters.last().unwrap()["place"].as_u64().unwrap();
    let replay = |server: &Server, place: u64| {
        server.call("POST", &format!("/v1/dead-letters/{place}/apply"), &server.keys.admin, None)
    };
    let refused = replay(&server, last);
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.body.contains("max_value_bytes"), "{refused:?}");
    assert_eq!(set_aside(&server).last().unwrap()["attempts"], 2);

    // Mended, and begun again.
    server.stop();
    replicas.place.limit_values(1 << 20);
    let server = replicas.begin();
    assert_eq!(set_aside(&server).len(), letters.len(), "they wait for somebody");
    assert!(!newest(&server, "greedy", 19));
    let (given_up, rest) = letters.split_first().unwrap();
    let path = format!("/v1/dead-letters/{}", given_up["place"]);
    assert_eq!(server.call("DELETE", &path, &server.keys.admin, None).status, 204);
    for letter in rest {
        assert_eq!(replay(&server, letter["place"].as_u64().unwrap()).status, 204);
    }
    assert!(set_aside(&server).is_empty());
    assert!(newest(&server, "greedy", 19));
    assert_eq!(replay(&server, last).status, 404, "once");
    // Whoever takes over knows it too.
    server.kill();
    let server = replicas.begin();
    applied(&server);
    assert!(newest(&server, "greedy", 19));
    assert!(set_aside(&server).is_empty());
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn shoppers_are_answered_while_the_lead_changes_hands() {
    let mut replicas = Replicas::made("hands");
    let a = replicas.begin();
    let (_b_shop, b) = replicas.join();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shopper = scope.spawn(|| {
            let mut answers = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = b.recommend(&json!({ "anonymous_id": "lee" }), "popular");
                assert!(answer["decision_id"].is_string(), "{answer}");
                answers += 1;
            }
            answers
        });
        a.kill();
        let waited = wait_for("the lead", || leads(&b));
        println!("after kill -9 another led after {waited:?}");
        stop.store(true, Ordering::Relaxed);
        let answers = shopper.join().unwrap();
        assert!(answers > 10, "{answers} answers");
    });
    take(&b, &viewed("lee", "P000003", "lee-1")).ok();
    wait_for("the view", || decided(&b, "lee")["features"]["history"].to_string().contains("P000003"));
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn one_that_was_paused_finds_itself_replaced() {
    let mut replicas = Replicas::made("paused");
    let a = replicas.begin();
    let (_b_shop, b) = replicas.join();
    take(&a, &viewed("kim", "P000001", "kim-1")).ok();
    signal(&a, "-STOP");
    wait_for("the lead", || leads(&b));
    take(&b, &viewed("kim", "P000002", "kim-2")).ok();
    signal(&a, "-CONT");
    wait_for("a to know", || !leads(&a));
    // What it is sent now, it hands on.
    wait_for("a to hand on", || take(&a, &viewed("kim", "P000003", "kim-3")).status == 200);
    for server in [&a, &b] {
        wait_for("all views", || {
            let history = decided(server, "kim")["features"]["history"].to_string();
            ["P000001", "P000002", "P000003"].iter().all(|product| history.contains(product))
        });
    }
    assert!(!leads(&a) && leads(&b));
}

/// Sends to one process after another, whichever is there, until it is told to stop.
pub(crate) fn send_to_any(
    addresses: &Mutex<Vec<std::net::SocketAddr>>,
    key: &str,
    name: &str,
    sent: &Mutex<Sent>,
    stop: &AtomicBool,
) {
    let mut chance = Chance::seeded(name, name.len() as u64);
    for number in 0.. {
        let body = batch(&format!("{name}-{number}"));
        // What no answer came for is sent again, as every client library does.
        loop {
            let address = {
                let addresses = addresses.lock().unwrap();
                addresses[chance.below(addresses.len() as u64) as usize]
            };
            let reply =
                Client::connect(address).and_then(|mut client| client.call("POST", "/v1/batch", key, Some(&body)));
            if matches!(&reply, Ok(reply) if reply.status == 200) {
                sent.lock().unwrap().acknowledged.push(body);
                break;
            }
            if stop.load(Ordering::Relaxed) {
                sent.lock().unwrap().unanswered.push(body);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn what_is_acknowledged_by_any_process_is_stored_once_whatever_dies() {
    const KILLS: u64 = 4;
    let mut chance = Chance::seeded("kills of replicas", 11);
    let place = Place::of("any");
    let mut replicas = Replicas { place, first: Shop::empty() };
    let first = replicas.begin();
    let key = first.keys.public.clone();
    let mut running: Vec<(Option<Shop>, Server)> = vec![(None, first)];
    for _ in 0..2 {
        let (shop, server) = replicas.join();
        running.push((Some(shop), server));
    }
    let addresses = Mutex::new(running.iter().map(|(_, server)| server.address).collect::<Vec<_>>());
    let (sent, stop) = (Mutex::<Sent>::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for sender in 0..3 {
            let (addresses, key, sent, stop) = (&addresses, &key, &sent, &stop);
            scope.spawn(move || send_to_any(addresses, key, &format!("sender-{sender}"), sent, stop));
        }
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(500 + chance.below(3_000)));
            let dies = chance.below(running.len() as u64) as usize;
            let (shop, server) = running.remove(dies);
            server.kill();
            let (joined, server) = replicas.join();
            running.push((Some(joined), server));
            *addresses.lock().unwrap() = running.iter().map(|(_, server)| server.address).collect();
            drop(shop);
        }
        let before = sent.lock().unwrap().acknowledged.len();
        wait_for("more to be taken", || sent.lock().unwrap().acknowledged.len() > before);
        stop.store(true, Ordering::Relaxed);
    });
    let sent = sent.into_inner().unwrap();
    println!("{} batches were acknowledged over {KILLS} kills", sent.acknowledged.len());
    assert_marked_once(&marks_in(&replicas.place.log()), &sent);
    let (_, last) = &running[0];
    wait_for("the lag", || last.get("/health/ready")["log_lag_events"] == 0);
}
