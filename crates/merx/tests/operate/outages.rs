//! Services that are restarted, cut off or emptied, and processes that are killed or paused, under shoppers who go on asking and
//! senders who go on sending. What came of it is a row of `docs/operating/faults.md`, written where `MERX_FAULTS_PAGE` says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clocks::{Clock, ahead_s};
use crate::crash_ingest::{Sent, assert_marked_once, marks_in};
use crate::harness::{Client, Server, Shop};
use crate::replicas::{Replicas, leads, send_to_any, signal, wait_for};

/// How long a service is away.
const AWAY: Duration = Duration::from_secs(8);
/// After its end a fault is over for everybody within this time.
const NORMAL_AGAIN: Duration = Duration::from_secs(60);
const CALM: Duration = Duration::from_secs(2);

/// What shoppers got.
#[derive(Default)]
struct Answers {
    fallbacks: BTreeMap<String, u64>,
    refused: u64,
    broken: u64,
    slowest: Duration,
}

struct Outcome {
    fault: &'static str,
    answers: Answers,
    batches: usize,
    lost: usize,
    normal_after: Duration,
}

/// Asks the processes in turn for what a shopper sees who comes back.
fn shop_on(addresses: &Mutex<Vec<std::net::SocketAddr>>, key: &str, stop: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    for number in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let address = {
            let addresses = addresses.lock().unwrap();
            addresses[number % addresses.len()]
        };
        let body = json!({ "anonymous_id": "visitor-1", "slots": [{ "scenario": "continue_session", "count": 5 }] });
        let began = Instant::now();
        let reply =
            Client::connect(address).and_then(|mut client| client.call("POST", "/v1/recommend", key, Some(&body)));
        answers.slowest = answers.slowest.max(began.elapsed());
        match reply {
            Ok(reply) if reply.status == 200 => {
                let fallback = reply.json()["fallback"].as_str().unwrap().to_owned();
                *answers.fallbacks.entry(fallback).or_default() += 1;
            }
            Ok(_) => answers.refused += 1,
            // A process that is killed or paused: a balancer asks another.
            Err(_) => answers.broken += 1,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    answers
}

pub(crate) fn services(command: &str, service: &str) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/services");
    let folder = std::env::var("MERX_TEST_SERVICES").expect("run tools/test backends");
    let done = Command::new(tool).args([command, service, "--folder", &folder]).status().unwrap();
    assert!(done.success(), "dev/services {command} {service}");
}

/// Leaves no byte free on the disk of the services, one of their own.
fn fill_the_disk() -> std::path::PathBuf {
    let path = Path::new(&std::env::var("MERX_TEST_SERVICES").unwrap()).join("ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut written = 0_u64;
    for size in [1 << 20, 4_096, 1] {
        let piece = vec![0; size];
        while std::io::Write::write_all(&mut file, &piece).is_ok() {
            written += size as u64;
            assert!(written < 4 << 30, "the services have no small disk of their own: run tools/test outages");
        }
    }
    path
}

pub(crate) fn redis(words: &[&str]) {
    let address = std::env::var("MERX_TEST_ONLINE").unwrap();
    let client = redis::Client::open(address).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd(words[0]).arg(&words[1..]).exec(&mut connection).unwrap();
}

pub(crate) fn is_normal(server: &Server) -> bool {
    let mark = json!({ "batch": [{ "type": "track", "event": "Product Viewed", "anonymousId": "probe",
        "properties": { "product_id": "P000001", "mark": format!("probe-{:?}", Instant::now()) } }] });
    let taken = server.client().call("POST", "/v1/batch", &server.keys.public, Some(&mark));
    let ready = server.client().call("GET", "/health/ready", "", None);
    matches!(taken, Ok(reply) if reply.status == 200)
        && matches!(ready, Ok(reply) if reply.status == 200 && reply.json()["log_lag_events"].as_u64() < Some(200))
}

/// The first process is another user's, so that it alone can be cut off; it may read what is root's all the same.
const ITS_USER: &str = "4242";
const AS_ITS_USER: [&str; 6] =
    ["setpriv", "--reuid", ITS_USER, "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"];

/// Nothing that the first process sends reaches a service, while everybody else reaches it and what the service sends arrives: a one-sided
/// partition, until this is dropped.
struct CutOff(Vec<String>);

impl CutOff {
    fn from(service: &str) -> Self {
        assert!(
            std::env::var("MERX_OWN_NETWORK").is_ok(),
            "this cuts connections of a network: run tools/test outages"
        );
        let address = std::env::var(format!("MERX_TEST_{service}")).unwrap();
        let behind = address.split("127.0.0.1:").nth(1).unwrap();
        let port: String = behind.chars().take_while(char::is_ascii_digit).collect();
        let users = format!("{ITS_USER}-{ITS_USER}");
        let which = ["pref", "50", "uidrange", &users, "ipproto", "tcp", "dport", &port, "blackhole"];
        let which: Vec<String> = which.map(str::to_owned).into();
        rule("add", &which);
        Self(which)
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        rule("del", &self.0);
    }
}

fn rule(what: &str, which: &[String]) {
    let done = Command::new("ip").args(["rule", what]).args(which).status().unwrap();
    assert!(done.success(), "ip rule {what} {which:?}");
}

/// Ends shoppers and senders, also where a fault ends in a panic: they would be waited for without end.
pub(crate) struct Stops<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two processes under load; `fault` returns when it is over, and the process that is to be normal then.
fn under_load(
    fault: &'static str,
    name: &str,
    strike: impl FnOnce(&Replicas, &mut Vec<(Option<Shop>, Server)>),
) -> Outcome {
    under_load_begun_by([&AS_ITS_USER.map(str::to_owned), &[]], fault, name, strike)
}

/// The same, each process begun by a command that becomes it.
fn under_load_begun_by(
    starters: [&[String]; 2],
    fault: &'static str,
    name: &str,
    strike: impl FnOnce(&Replicas, &mut Vec<(Option<Shop>, Server)>),
) -> Outcome {
    under_load_on(Replicas::made(name), starters, fault, name, strike)
}

fn under_load_on(
    mut replicas: Replicas,
    starters: [&[String]; 2],
    fault: &'static str,
    name: &str,
    strike: impl FnOnce(&Replicas, &mut Vec<(Option<Shop>, Server)>),
) -> Outcome {
    let first = replicas.begin_by(starters[0]);
    let key = first.keys.public.clone();
    let (shop, second) = replicas.join_by(starters[1]);
    let mut running = vec![(None, first), (Some(shop), second)];
    let addresses = Mutex::new(running.iter().map(|(_, server)| server.address).collect::<Vec<_>>());
    let (sent, stop) = (Mutex::<Sent>::default(), AtomicBool::new(false));
    let (answers, normal_after) = std::thread::scope(|scope| {
        let shopper = scope.spawn(|| shop_on(&addresses, &key, &stop));
        for sender in 0..2 {
            let (addresses, key, sent, stop) = (&addresses, &key, &sent, &stop);
            scope.spawn(move || send_to_any(addresses, key, &format!("{name}-{sender}"), sent, stop));
        }
        let stops = Stops(&stop);
        std::thread::sleep(CALM);
        strike(&replicas, &mut running);
        *addresses.lock().unwrap() = running.iter().map(|(_, server)| server.address).collect();
        let over = Instant::now();
        while !running.iter().all(|(_, server)| is_normal(server)) {
            assert!(over.elapsed() < NORMAL_AGAIN, "{fault}: still not normal");
            std::thread::sleep(Duration::from_millis(50));
        }
        let normal_after = over.elapsed();
        std::thread::sleep(CALM);
        drop(stops);
        (shopper.join().unwrap(), normal_after)
    });
    let sent = sent.into_inner().unwrap();
    let mut marks = marks_in(&replicas.place.log());
    marks.retain(|mark, _| !mark.starts_with("probe-"));
    assert_marked_once(&marks, &sent);
    let batches = sent.acknowledged.len();
    assert!(batches > 10, "{fault}: {batches} batches were taken");
    let answered: u64 = answers.fallbacks.values().sum();
    assert!(answered > 20, "{fault}: {answered} answers");
    assert_eq!(answers.refused, 0, "{fault}: shoppers are answered whatever is away");
    Outcome { fault, answers, batches, lost: 0, normal_after }
}

fn page(outcomes: &[Outcome]) -> String {
    let mut page = String::from(
        "# Faults\n\nMade by the test `outages` (`make faults`): two processes on PostgreSQL, a Kafka-protocol broker, Redis and an S3 server of \
         `dev/services`, all on one machine, one shopper who asks both in turn, two senders who repeat what was not acknowledged. Each fault strikes \
         after two calm seconds; a service that is away stays so for eight. *Broken* are connections to a process that was killed or \
         paused, which a balancer sends elsewhere. *Lost* counts batches that were acknowledged and are not in the log, or are there twice. \
         *Normal after* is the time from the fault's end until both processes take events, and apply them. `live_model`: the models answered, which every process \
         holds in memory with catalogue and policies; what a shopper did last may be missing meanwhile. A process that does not reach a service is cut off one-sidedly: what it sends is dropped, what it is sent arrives, and everybody else reaches the service. Clocks \
         that are minutes apart are those of libfaketime, one to a process; the [simulation](consistency.md) strikes them thousands of times, and the histories live through other faults with them. Workers that are killed in the middle of a job are tests of their own ([roles](replicas.md)). A full disk of the folder, damaged files and wrong clocks of senders \
         are tests of one process (`faults`).\n\n\
         | fault | shoppers' answers | broken | slowest | batches acknowledged | lost | normal after |\n|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        let Outcome { fault, answers, batches, lost, normal_after } = outcome;
        let kinds: Vec<String> = answers.fallbacks.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(
            page,
            "| {fault} | {} | {} | {:.2} s | {batches} | {lost} | {:.1} s |",
            kinds.join(", "),
            answers.broken,
            answers.slowest.as_secs_f64(),
            normal_after.as_secs_f64()
        )
        .unwrap();
    }
    page
}

fn the_one_that_leads(running: &[(Option<Shop>, Server)]) -> usize {
    running.iter().position(|(_, server)| leads(server)).unwrap()
}

/// Nobody waits for a service that says nothing: less than what is written waits for it.
fn promptly(outcome: Outcome) -> Outcome {
    const WRITES_WAIT: Duration = Duration::from_secs(2);
    let Outcome { fault, answers, .. } = &outcome;
    assert!(answers.slowest < WRITES_WAIT * 3 / 4, "{fault}: somebody waited {:?}", answers.slowest);
    outcome
}

/// The one that leads begins five minutes ahead and goes ten back and forth while it runs; the other stays five behind.
fn with_wrong_clocks() -> Outcome {
    const WRONG_S: i64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let jumping = Clock::in_folder(folder.path(), "jumping", WRONG_S);
    let behind = Clock::in_folder(folder.path(), "behind", -WRONG_S);
    let fault = "clocks ten minutes apart, that of the process that leads jumps back and forth";
    under_load_begun_by([&jumping.starter(), &behind.starter()], fault, "clocks", |_, running| {
        let is_off = |server: &Server, wrong_s: i64| (ahead_s(server) - wrong_s).abs() < 60;
        assert!(is_off(&running[1].1, -WRONG_S), "{} s", ahead_s(&running[1].1));
        for wrong_s in [WRONG_S, -WRONG_S, WRONG_S, -WRONG_S] {
            jumping.set(wrong_s);
            wait_for("the clock to jump", || is_off(&running[0].1, wrong_s));
            std::thread::sleep(AWAY / 4);
        }
        assert_eq!(the_one_that_leads(running), 0, "a clock takes no lead away");
    })
}

/// The primary is lost with its disk. It was in step with its standby, or commits that only it knew of were lost with it.
fn with_a_failover() -> Outcome {
    services("start", "standby");
    let mut replicas = Replicas::made("failover");
    replicas.place.name_standby();
    let fault = "PostgreSQL is lost, its standby is promoted and goes on";
    let outcome = under_load_on(replicas, [&[], &[]], fault, "failover", |_, _| {
        services("kill", "postgres");
        std::thread::sleep(AWAY);
        services("promote", "standby");
    });
    // As it was, for who comes after.
    services("kill", "standby");
    services("start", "postgres");
    outcome
}

/// Until a training is caught in the middle of its work; where it is to be asked for. Jobs give way to everything else on a machine, so on a
/// busy one they take their time.
fn a_training_under_way(server: &Server) -> String {
    const LOOKS: u32 = 20_000;
    let mut path = String::new();
    for _ in 0..LOOKS {
        let state = if path.is_empty() { Value::Null } else { server.get(&path)["state"].clone() };
        match state.as_str() {
            Some("running") => return path,
            Some("waiting") => std::thread::sleep(Duration::from_millis(10)),
            _ => path = format!("/v1/jobs/{}", server.post("/v1/jobs", &json!({ "kind": "training" }))["id"]),
        }
    }
    panic!("no training was seen at work: {}", server.get("/v1/jobs"));
}

/// Until a job is over, whoever does it, and what became of it.
fn over(server: &Server, job: &str) -> Value {
    const LOOKS: u32 = 20_000;
    for _ in 0..LOOKS {
        let reply = server.call("GET", job, &server.keys.admin, None);
        if reply.status == 200 && reply.json()["ended_at"].is_string() {
            return reply.json();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{job} does not end");
}

#[test]
#[ignore = "needs servers of its own: tools/test backends"]
fn shoppers_are_answered_and_nothing_acknowledged_is_lost() {
    let outcomes = [
        under_load("PostgreSQL is killed and started again", "postgres", |_, _| {
            services("kill", "postgres");
            std::thread::sleep(AWAY);
            services("start", "postgres");
        }),
        with_a_failover(),
        under_load("the broker is silent", "broker", |_, _| {
            services("pause", "kafka");
            std::thread::sleep(AWAY);
            services("resume", "kafka");
        }),
        under_load("the process that leads does not reach the broker, others do", "cut_broker", |_, running| {
            assert_eq!(the_one_that_leads(running), 0, "the first one can be cut off");
            let _cut = CutOff::from("LOG");
            std::thread::sleep(AWAY);
        }),
        under_load(
            "the process that leads does not reach PostgreSQL, the other one does and takes over",
            "cut_lead",
            |_, running| {
                assert_eq!(the_one_that_leads(running), 0, "the first one can be cut off");
                let _cut = CutOff::from("RECORDS");
                wait_for("another lead", || leads(&running[1].1));
                std::thread::sleep(AWAY);
            },
        ),
        promptly(under_load("the process that leads does not reach Redis, others do", "cut_online", |_, running| {
            assert_eq!(the_one_that_leads(running), 0, "the first one can be cut off");
            let _cut = CutOff::from("ONLINE");
            std::thread::sleep(AWAY);
        })),
        promptly(under_load_begun_by(
            [&[], &AS_ITS_USER.map(str::to_owned)],
            "the process that does not lead reaches neither PostgreSQL nor Redis, the other one does",
            "cut_follower",
            |_, running| {
                assert_eq!(the_one_that_leads(running), 0, "the second one can be cut off");
                let _cuts = [CutOff::from("RECORDS"), CutOff::from("ONLINE")];
                std::thread::sleep(AWAY);
            },
        )),
        under_load("Redis forgets everything", "flushed", |_, _| redis(&["FLUSHALL"])),
        under_load("Redis is killed and started again", "redis", |_, _| {
            services("kill", "redis");
            std::thread::sleep(AWAY);
            services("start", "redis");
        }),
        under_load("PostgreSQL and the broker stand still for nine tenths of the time", "slow", |_, _| {
            for _ in 0..16 {
                ["postgres", "kafka"].iter().for_each(|service| services("pause", service));
                std::thread::sleep(Duration::from_millis(450));
                ["postgres", "kafka"].iter().for_each(|service| services("resume", service));
                std::thread::sleep(Duration::from_millis(50));
            }
        }),
        under_load("the disk of PostgreSQL and S3 is full", "full", |_, _| {
            let ballast = fill_the_disk();
            std::thread::sleep(AWAY);
            std::fs::remove_file(ballast).unwrap();
            services("start", "postgres");
        }),
        under_load("S3 is silent", "s3", |_, _| {
            services("pause", "s3");
            std::thread::sleep(AWAY);
            services("resume", "s3");
        }),
        under_load("the process that leads is killed, another joins", "killed", |replicas, running| {
            let (shop, server) = running.remove(the_one_that_leads(running));
            server.kill();
            let (joined, server) = replicas.join();
            running.push((Some(joined), server));
            drop(shop);
        }),
        under_load(
            "the process that leads is killed while it trains, another joins",
            "killed_training",
            |replicas, running| {
                let (shop, server) = running.remove(the_one_that_leads(running));
                let training = a_training_under_way(&server);
                server.kill();
                drop(shop);
                let (joined, server) = replicas.join();
                // Begun again by who leads now, from its beginning, and registered once.
                let job = over(&server, &training);
                assert_eq!((job["state"].as_str(), job["attempts"].as_u64()), (Some("done"), Some(2)), "{job}");
                let models = server.get("/v1/models");
                let of_job = models["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|model| model["name"] == "recommend" && model["version"] == job["result"]["version"]);
                assert_eq!(of_job.count(), 1, "{models}");
                running.push((Some(joined), server));
            },
        ),
        with_wrong_clocks(),
        under_load("the process that leads is paused for 20 s", "paused_lead", |_, running| {
            let (_, server) = &running[the_one_that_leads(running)];
            signal(server, "-STOP");
            std::thread::sleep(Duration::from_secs(20));
            signal(server, "-CONT");
        }),
        under_load("an event that no shop would send", "poison", |_, running| {
            let deep = "[".repeat(100) + &"]".repeat(100);
            let strange = [
                json!({ "type": "track", "event": "\u{0}\u{202e}", "anonymousId": "visitor-1", "messageId": "poison-1",
                    "timestamp": "9999-12-31T23:59:59Z", "properties": { "product_id": "x".repeat(5_000), "mark": "poison-1" } }),
                json!({ "type": "track", "event": "Order Completed", "anonymousId": "visitor-1", "messageId": "poison-2",
                    "properties": { "total": 1e308, "quantity": -1, "mark": "poison-2", "deep": deep } }),
            ];
            for event in strange {
                let (_, server) = &running[0];
                let body = json!({ "batch": [event] });
                let reply = server.call("POST", "/v1/batch", &server.keys.public, Some(&body));
                assert!(reply.status < 500, "{reply:?}");
            }
        }),
    ];
    let page = page(&outcomes);
    println!("{page}");
    if let Ok(path) = std::env::var("MERX_FAULTS_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}
