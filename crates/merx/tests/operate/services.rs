//! The same binary on PostgreSQL, Kafka, Redis and S3, started by `dev/services up`.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use merx_backends::{Address, KAFKA_MIGRATIONS, KafkaEventLog, PostgresRecords};
use merx_store::Records;
use serde_json::{Value, json};

use crate::crash_ingest::{Sent, assert_marked_once, marks_in, send};
use crate::harness::{Chance, Server, Shop, fail, succeed};

/// Parts of the secrets that `dev/services` uses. They may stand nowhere but in the addresses.
const SECRETS: [&str; 3] = ["pg-secret", "redis-secret", "s3-secret"];
const KILLS: u64 = 6;

fn service(name: &str) -> String {
    let variable = format!("MERX_TEST_{name}");
    std::env::var(&variable).unwrap_or_else(|_| panic!("{variable} is not set: run tools/test backends"))
}

/// Addresses of one test: a schema, a topic, a prefix and folders of its own.
pub(crate) struct Place {
    records: String,
    log: String,
    online: String,
    lake: String,
    artifacts: String,
}

impl Place {
    pub(crate) fn of(test: &str) -> Self {
        let name = format!("{test}_{}", std::process::id());
        let records = PostgresRecords::open(&Address::parse(&service("RECORDS")).unwrap(), &[]).unwrap();
        for sql in [format!("DROP SCHEMA IF EXISTS {name} CASCADE"), format!("CREATE SCHEMA {name}")] {
            records.transaction(&mut |transaction| transaction.execute(&sql, &[]).map(drop)).unwrap();
        }
        let below = |url: String| {
            let (place, options) = url.split_once('?').unwrap();
            format!("{place}/{name}?{options}")
        };
        Self {
            records: format!("{}?schema={name}", service("RECORDS")),
            log: service("LOG").replace("/merx-events", &format!("/{name}")),
            online: format!("{}?prefix={name}", service("ONLINE")),
            lake: below(service("LAKE")),
            artifacts: below(service("ARTIFACTS")),
        }
    }

    /// Names PostgreSQL's standby too, which takes over one day.
    pub(crate) fn name_standby(&mut self) {
        let folder = std::env::var("MERX_TEST_SERVICES").unwrap();
        let running = std::fs::read_to_string(Path::new(&folder).join("services.json")).unwrap();
        let running: Value = serde_json::from_str(&running).unwrap();
        let host = |service: &str| format!("127.0.0.1:{}", running[service]["port"]);
        self.records = self.records.replace(&host("postgres"), &format!("{},{}", host("postgres"), host("standby")));
    }

    /// What is known of a shopper or a product may take so many bytes.
    pub(crate) fn limit_values(&mut self, bytes: usize) {
        let (address, _) = self.online.split_once("&max_value_bytes=").unwrap_or((&self.online, ""));
        self.online = format!("{address}&max_value_bytes={bytes}");
    }

    pub(crate) fn settings(&self) -> Vec<String> {
        [
            ("records", &self.records),
            ("log", &self.log),
            ("online", &self.online),
            ("lake", &self.lake),
            ("artifacts", &self.artifacts),
        ]
        .iter()
        .flat_map(|(port, url)| ["--set".to_owned(), format!("storage.{port}={url}")])
        .collect()
    }

    pub(crate) fn serve(&self, shop: &mut Shop, flags: &[&str]) -> Server {
        self.serve_by(shop, shop.merx(), flags)
    }

    /// The same through a command that becomes `merx` in the end.
    pub(crate) fn serve_by(&self, shop: &mut Shop, command: Command, flags: &[&str]) -> Server {
        let settings = self.settings();
        let all: Vec<&str> = settings.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let server = shop.serve_by(command, &all);
        Self::until_led(&server);
        server
    }

    pub(crate) fn work(&self, shop: &mut Shop, flags: &[&str]) -> Server {
        let settings = self.settings();
        let all: Vec<&str> = flags.iter().copied().chain(settings.iter().map(String::as_str)).collect();
        let server = shop.work(&all);
        Self::until_led(&server);
        server
    }

    pub(crate) fn until_led(server: &Server) {
        // Handed on to the one that leads: there is one.
        server.eventually("/v1/jobs", |reply| reply.status == 200);
        server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    }

    pub(crate) fn merx(&self, shop: &Shop, arguments: &[&str]) -> Command {
        let mut command = shop.merx();
        command.args(arguments).args(self.settings());
        command
    }

    pub(crate) fn log(&self) -> KafkaEventLog {
        let records = PostgresRecords::open(&Address::parse(&self.records).unwrap(), KAFKA_MIGRATIONS).unwrap();
        KafkaEventLog::open(&Address::parse(&self.log).unwrap(), Arc::new(records), 100_000).unwrap()
    }
}

fn assert_no_secret(words: &str, place: &str) {
    for secret in SECRETS {
        assert!(!words.contains(secret), "{secret} stands in {place}: {words}");
    }
}

/// Every file below a folder, whatever it is.
fn assert_no_secret_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_secret_below(&path);
        } else {
            assert_no_secret(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()), &path.display().to_string());
        }
    }
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn a_shop_lives_on_services_and_moves_to_another_machine() {
    let place = Place::of("life");
    let mut shop = Shop::empty();
    let made = ["demo", "--products", "150", "--shoppers", "400", "--days", "40", "--no-serve"];
    succeed(place.merx(&shop, &made).args(["--set", "train.gate_latency_ms=10000"]));
    for name in ["records.sqlite", "events.sqlite", "online.snapshot", "lake", "artifacts"] {
        assert!(!shop.data().join(name).exists(), "{name} is kept by a service");
    }
    let server = place.serve(&mut shop, &["--set", "lake.export=true", "--set", "log.level=debug"]);
    let ask = |arguments: &[&str]| {
        succeed(shop.merx().args(arguments).args(["--url", &server.url, "--key", &server.keys.admin]))
    };
    let viewed = json!({ "batch": [
        { "type": "track", "event": "Product Viewed", "messageId": "kim-1", "anonymousId": "kim",
          "properties": { "product_id": "P000007" } },
        { "type": "identify", "anonymousId": "kim", "userId": "kim-of-the-shop", "messageId": "kim-2",
          "traits": { "email": "kim@example.org" } } ] });
    server.call("POST", "/v1/batch", &server.keys.public, Some(&viewed)).ok();
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let answer = server.recommend(&json!({ "anonymous_id": "kim" }), "continue_session");
    assert!(answer.to_string().contains("P0"), "{answer}");
    let decision = answer["decision_id"].as_str().unwrap().to_owned();
    assert!(server.get(&format!("/v1/decisions/{decision}"))["features"]["history"].to_string().contains("P000007"));
    let export = server.post("/v1/jobs", &json!({ "kind": "export" }));
    server.eventually(&format!("/v1/jobs/{}", export["id"]), |reply| reply.json()["state"] == "done");
    ask(&["train", "--now", "--set", "train.gate_latency_ms=10000"]);
    let replayed = ask(&["replay", "latest:20"]);
    assert!(!replayed.contains("differs"), "{replayed}");
    let said = ask(&["privacy", "erase", "--email", "kim@example.org", "--anonymous-id", "kim"]);
    assert!(said.contains(": completed") && said.contains("not searched"), "{said}");
    let forgotten = server.recommend(&json!({ "anonymous_id": "kim" }), "continue_session");
    let record = server.get(&format!("/v1/decisions/{}", forgotten["decision_id"].as_str().unwrap()));
    assert_eq!(record["features"]["history"], json!([]));
    let orders = server.call("GET", "/v1/products?limit=3", &server.keys.admin, None).ok();
    server.kill();

    // Another machine, which brings nothing but the key of the vault.
    let mut other = Shop::empty();
    std::fs::create_dir(other.data()).unwrap();
    std::fs::copy(shop.data().join("vault.key"), other.data().join("vault.key")).unwrap();
    other.adopt_keys(&shop);
    let server = place.serve(&mut other, &[]);
    assert_eq!(server.call("GET", "/v1/products?limit=3", &server.keys.admin, None).ok(), orders);
    let versions = succeed(other.merx().args(["models", "--url", &server.url, "--key", &server.keys.admin]));
    assert!(versions.contains("live"), "{versions}");
    server.stop();

    let doctor = succeed(&mut place.merx(&other, &["doctor"]));
    for service in ["records", "log", "online", "lake", "artifacts"] {
        assert!(doctor.lines().any(|line| line.split_whitespace().take(2).eq([service, "well"])), "{doctor}");
    }
    // One that was killed may still stand there; what goes with this binary is well too.
    assert!(
        doctor.lines().filter(|line| line.starts_with("process")).all(|line| line.contains("  well  ")),
        "{doctor}"
    );
    assert_no_secret(&doctor, "doctor");
    assert_no_secret(&succeed(&mut place.merx(&other, &["config"])), "config");
    assert_no_secret_below(shop.data().parent().unwrap());
    assert_no_secret_below(other.data().parent().unwrap());
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn what_is_acknowledged_on_services_survives_kill_9() {
    let place = Place::of("kills");
    let mut chance = Chance::seeded("kills of ingest on services", 7);
    let mut shop = Shop::empty();
    let sent: Mutex<Sent> = Mutex::default();
    for round in 0..KILLS {
        let server = place.serve(&mut shop, &[]);
        // What no answer came for is sent again, as every client library does.
        let again = std::mem::take(&mut sent.lock().unwrap().unanswered);
        for body in again {
            server.call("POST", "/v1/batch", &server.keys.public, Some(&body)).ok();
            sent.lock().unwrap().acknowledged.push(body);
        }
        std::thread::scope(|scope| {
            for sender in 0..3 {
                let (server, sent, seed) = (&server, &sent, chance.below(u64::MAX));
                scope.spawn(move || send(server, &format!("round-{round}-sender-{sender}"), seed, sent));
            }
            std::thread::sleep(Duration::from_millis(50 + chance.below(1_500)));
            Command::new("kill").args(["-9", &server.id().to_string()]).status().unwrap();
        });
        drop(server);
        assert_marked_once(&marks_in(&place.log()), &sent.lock().unwrap());
    }
    let sent = sent.into_inner().unwrap();
    assert!(sent.acknowledged.len() as u64 > KILLS, "{} batches were taken", sent.acknowledged.len());
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn bad_addresses_are_refused_at_start_with_what_mends_them() {
    let mut place = Place::of("bad");
    let good = place.records.clone();
    place.records = good.replace("pg-secret-7f3a", "pg-secret-wrong");
    let shop = Shop::empty();
    let words = fail(&mut place.merx(&shop, &["serve"]));
    assert!(words.contains("storage.records") && words.contains("check user and password"), "{words}");
    assert_no_secret(&words, "the refusal");
    let doctor = place.merx(&shop, &["doctor"]).output().unwrap();
    let words = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(words.contains("records    ILL") && words.matches("  well  ").count() == 4, "{words}");
    assert_no_secret(&words, "doctor");
    place.records = good;
    place.online = "kafka://:redis-secret@localhost/x".to_owned();
    let words = fail(&mut place.merx(&shop, &["serve"]));
    assert!(words.contains("storage.online") && words.contains("redis://.. or rediss://.."), "{words}");
    assert_no_secret(&words, "the refusal");
}

/// Everything of `printed` but what only tells how the moving went.
fn compared(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.starts_with("table ") || line.starts_with("log: ")).collect()
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn a_shop_moves_to_services_and_back() {
    let place = Place::of("moves");
    let mut shop = Shop::small_demo();
    {
        let server = shop.serve(&["--set", "lake.export=true"]);
        let export = server.post("/v1/jobs", &json!({ "kind": "export" }));
        server.eventually(&format!("/v1/jobs/{}", export["id"]), |reply| reply.json()["state"] == "done");
        server.stop();
    }
    let before = succeed(shop.merx().args(["replay", "latest:30"]));
    // Broken off at random moments, then run to its end, and once more.
    let mut chance = Chance::seeded("moves broken off", 3);
    for _ in 0..4 {
        let wait = Duration::from_millis(200 + chance.below(2_500));
        let _ = crate::harness::kill_after(&mut place.merx(&shop, &["migrate", "--to", "services"]), wait);
    }
    let moved = succeed(&mut place.merx(&shop, &["migrate", "--to", "services"]));
    assert!(moved.contains("log: ") && moved.contains("lake: ") && moved.contains("artifacts: "), "{moved}");
    assert_eq!(compared(&succeed(&mut place.merx(&shop, &["migrate", "--to", "services"]))), compared(&moved));

    // Served from the services alone: the folder's data lies elsewhere meanwhile.
    let mut elsewhere = Shop::empty();
    std::fs::create_dir(elsewhere.data()).unwrap();
    std::fs::copy(shop.data().join("vault.key"), elsewhere.data().join("vault.key")).unwrap();
    elsewhere.adopt_keys(&shop);
    assert_eq!(succeed(&mut place.merx(&elsewhere, &["replay", "latest:30"])), before);
    let server = place.serve(&mut elsewhere, &[]);
    let viewed = json!({ "batch": [{ "type": "track", "event": "Product Viewed", "messageId": "on-services",
        "anonymousId": "lee", "properties": { "product_id": "P000003" } }] });
    server.call("POST", "/v1/batch", &server.keys.public, Some(&viewed)).ok();
    let erased = ["privacy", "erase", "--anonymous-id", "nobody", "--url", &server.url, "--key", &server.keys.admin];
    succeed(elsewhere.merx().args(erased));
    server.stop();

    let back = succeed(&mut place.merx(&shop, &["migrate", "--to", "folder"]));
    let events = |printed: &str| -> u64 {
        let line = printed.lines().find(|line| line.starts_with("log: ")).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(events(&back), events(&moved) + 1, "what happened on the services came along");
    let server = shop.serve(&[]);
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let answer = server.recommend(&json!({ "anonymous_id": "lee" }), "continue_session");
    let record = server.get(&format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap()));
    assert!(record["features"]["history"].to_string().contains("P000003"), "{record}");
    server.stop();
}
