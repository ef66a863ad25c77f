//! Random faults strike services and processes while clients write down what they are told; then it is checked whether all of
//! it can be true ([`crate::history`]).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clocks::Clock;
use crate::crash_ingest::{Sent, marks_in, marks_of};
use crate::harness::{Chance, Client, Reply, Server, Shop};
use crate::history::{Read, Write, impossible_reads, lost_or_doubled, several_live, torn_units};
use crate::outages::{Stops, is_normal, redis, services};
use crate::replicas::{Replicas, send_to_any, signal};

const STRIKES: u64 = 7;
const SHOPPERS: u64 = 12;
const TALKERS: u64 = 3;
const NORMAL_AGAIN: Duration = Duration::from_secs(60);
/// A change of a model counts at every process within this time, with a busy machine's delays.
const MODEL_SEEN_US: u64 = 3_000_000;

/// The word of one visitor, and what was said of it.
#[derive(Default)]
struct Words {
    said: Vec<Write<bool>>,
    seen: Vec<Read<bool>>,
    /// Decisions made for them: id, began, ended, by whom.
    decided: Vec<(String, u64, u64, String)>,
}

#[derive(Default)]
struct History {
    words: [Words; TALKERS as usize],
    dealt: Vec<(String, String)>,
    promoted: Vec<Write<u64>>,
    live: Vec<Read<Vec<u64>>>,
}

/// What clients know: whom they may ask, and where they write down what came of it.
struct Clients {
    addresses: Mutex<Vec<SocketAddr>>,
    key: String,
    began: Instant,
    stop: AtomicBool,
    history: Mutex<History>,
    /// Names of this run's visitors begin with it.
    run: String,
}

impl Clients {
    fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// Until told to stop, with a breath between.
    fn go_on(&self, breath_ms: u64) -> bool {
        std::thread::sleep(Duration::from_millis(breath_ms));
        !self.stop.load(Ordering::Relaxed)
    }

    /// Asks any process. When it began and ended, whom, and the answer where one came.
    fn ask(
        &self,
        chance: &mut Chance,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u64, u64, String, Option<Reply>) {
        let address = {
            let addresses = self.addresses.lock().unwrap();
            addresses[chance.below(addresses.len() as u64) as usize]
        };
        let began = self.now();
        let reply = Client::connect(address).and_then(|mut client| client.call(method, path, &self.key, body));
        (began, self.now(), address.to_string(), reply.ok().filter(|reply| reply.status == 200))
    }

    fn talker(&self, number: u64) -> String {
        format!("{}-talker-{number}", self.run)
    }

    /// Allows and refuses to be known.
    fn talk(&self, mut chance: Chance) {
        while self.go_on(30 + chance.below(200)) {
            let (number, allows) = (chance.below(TALKERS), chance.below(2) == 0);
            let body = json!({ "anonymous_id": self.talker(number), "purposes": { "personalisation": allows } });
            let (began, ended, _, reply) = self.ask(&mut chance, "POST", "/v1/consent", Some(&body));
            let ended = reply.map(|_| ended);
            self.history.lock().unwrap().words[number as usize].said.push(Write { value: allows, began, ended });
        }
    }

    /// Looks what counts, and comes back as a shopper.
    fn listen(&self, mut chance: Chance) {
        while self.go_on(3) {
            let number = chance.below(TALKERS);
            let name = self.talker(number);
            if chance.below(2) == 0 {
                let path = format!("/v1/consent?anonymous_id={name}");
                let (began, ended, by, Some(reply)) = self.ask(&mut chance, "GET", &path, None) else { continue };
                let value = reply.json()["allowed"].to_string().contains("personalisation");
                let read = Read { value, began, ended, by };
                self.history.lock().unwrap().words[number as usize].seen.push(read);
            } else {
                let body = json!({ "anonymous_id": name, "slots": [{ "scenario": "continue_session", "count": 3 }] });
                let (began, ended, by, Some(reply)) = self.ask(&mut chance, "POST", "/v1/recommend", Some(&body))
                else {
                    continue;
                };
                let id = reply.json()["decision_id"].as_str().unwrap().to_owned();
                self.history.lock().unwrap().words[number as usize].decided.push((id, began, ended, by));
            }
        }
    }

    /// Comes back again and again, to be dealt an arm.
    fn return_again(&self, mut chance: Chance) {
        while self.go_on(5) {
            let unit = format!("{}-shopper-{}", self.run, chance.below(SHOPPERS));
            let body = json!({ "anonymous_id": unit, "slots": [{ "scenario": "home", "count": 3 }] });
            let (.., Some(reply)) = self.ask(&mut chance, "POST", "/v1/recommend", Some(&body)) else { continue };
            for arm in reply.json()["experiments"].as_array().into_iter().flatten() {
                let arm = arm["arm"].as_str().unwrap().to_owned();
                self.history.lock().unwrap().dealt.push((unit.clone(), arm));
            }
        }
    }

    /// Makes one version live and then another.
    fn promote(&self, mut chance: Chance, versions: &[u64]) {
        while self.go_on(200 + chance.below(1_000)) {
            let value = versions[chance.below(versions.len() as u64) as usize];
            let body = json!({ "version": value });
            let (began, ended, _, reply) = self.ask(&mut chance, "POST", "/v1/models/recommend/promote", Some(&body));
            let ended = reply.map(|_| ended);
            self.history.lock().unwrap().promoted.push(Write { value, began, ended });
        }
    }

    fn watch_models(&self, mut chance: Chance) {
        while self.go_on(40) {
            let (began, ended, by, Some(reply)) = self.ask(&mut chance, "GET", "/v1/models", None) else { continue };
            let value = live_versions(&reply.json());
            self.history.lock().unwrap().live.push(Read { value, began, ended, by });
        }
    }
}

fn live_versions(models: &Value) -> Vec<u64> {
    let named = models["items"].as_array().unwrap().iter().filter(|model| model["name"] == "recommend");
    named.filter(|model| model["stage"] == "live").map(|model| model["version"].as_u64().unwrap()).collect()
}

/// A process with its folder, and what it was begun by.
struct Process {
    _shop: Option<Shop>,
    server: Server,
    starter: Vec<String>,
}

impl Process {
    fn joining(replicas: &Replicas, starter: Vec<String>) -> Self {
        let (shop, server) = replicas.join_by(&starter);
        Self { _shop: Some(shop), server, starter }
    }
}

type Running = Vec<Process>;

/// One fault, and its end.
fn strike(chance: &mut Chance, replicas: &Replicas, running: &mut Running, clients: &Clients) {
    let victim = chance.below(running.len() as u64) as usize;
    let lasts = Duration::from_millis(300 + chance.below(8_500));
    let away = |service: &str, begin: &str, end: &str| {
        println!("  {begin} {service} for {lasts:?}");
        services(begin, service);
        std::thread::sleep(lasts.min(Duration::from_secs(5)));
        services(end, service);
    };
    match chance.below(8) {
        0..3 => {
            println!("  kill -9 of process {victim}");
            let Process { server, starter, .. } = running.remove(victim);
            server.kill();
            running.push(Process::joining(replicas, starter));
        }
        3 | 4 => {
            println!("  process {victim} stands still for {lasts:?}");
            signal(&running[victim].server, "-STOP");
            std::thread::sleep(lasts);
            signal(&running[victim].server, "-CONT");
        }
        5 => {
            println!("  Redis forgets everything");
            redis(&["FLUSHALL"]);
        }
        6 => away("postgres", "kill", "start"),
        _ => away("kafka", "pause", "resume"),
    }
    *clients.addresses.lock().unwrap() = running.iter().map(|process| process.server.address).collect();
}

/// Decisions of people whose word is known, as they were recorded: whether they were personal.
fn decided(server: &Server, words: &Words) -> Vec<Read<bool>> {
    let record = |(id, began, ended, by): &(String, u64, u64, String)| {
        let reply = server.call("GET", &format!("/v1/decisions/{id}"), &server.keys.admin, None);
        // What a killed process had not written yet nobody can see.
        let record = Some(reply).filter(|reply| reply.status == 200)?.json();
        // A stranger, while PostgreSQL could not be asked.
        record["subject_id"].as_str()?;
        let value = record["granted"].to_string().contains("personalisation");
        assert!(value || record["features"]["history"] == json!([]), "{record}");
        Some(Read { value, began: *began, ended: *ended, by: by.clone() })
    };
    words.decided.iter().filter_map(record).collect()
}

fn judge(
    server: &Server,
    clients: &Clients,
    before: u64,
    sent: &Sent,
    stored: &std::collections::BTreeMap<String, usize>,
) {
    let history = std::mem::take(&mut *clients.history.lock().unwrap());
    let acknowledged: BTreeSet<String> = sent.acknowledged.iter().flat_map(marks_of).map(str::to_owned).collect();
    let mut wrong = lost_or_doubled(&acknowledged, stored);
    let (mut words, mut seen, mut decisions) = (0, 0, 0);
    for talker in &history.words {
        wrong.extend(impossible_reads(&false, &talker.said, &talker.seen));
        // Whoever could not ask for sure answers as if it were refused; what must not be is an answer against a refusal.
        let personal: Vec<_> = decided(server, talker).into_iter().filter(|read| read.value).collect();
        wrong.extend(impossible_reads(&false, &talker.said, &personal));
        (words, seen) = (words + talker.said.len(), seen + talker.seen.len());
        decisions += personal.len();
    }
    wrong.extend(torn_units(history.dealt.iter().map(|(unit, arm)| (unit.as_str(), arm.as_str()))));
    wrong.extend(several_live(&history.live));
    let live: Vec<Read<u64>> = history
        .live
        .iter()
        .filter_map(|look| {
            Some(Read {
                value: *look.value.first()?,
                began: look.began.saturating_sub(MODEL_SEEN_US),
                ended: look.ended,
                by: look.by.clone(),
            })
        })
        .collect();
    wrong.extend(impossible_reads(&before, &history.promoted, &live));
    println!(
        "{}: {} events acknowledged, {words} words, {seen} looks at them, {decisions} personal decisions, {} arms dealt, {} promotions, {} looks at models",
        clients.run,
        acknowledged.len(),
        history.dealt.len(),
        history.promoted.len(),
        history.live.len()
    );
    assert!(wrong.is_empty(), "{}: {wrong:#?}", clients.run);
    assert!(acknowledged.len() > 200 && words > 10 && seen > 50 && decisions > 10, "too little happened");
    assert!(history.dealt.len() > 50 && history.promoted.len() > 3 && !live.is_empty(), "too little happened");
}

/// A second version, so that there is one to promote.
fn train(server: &Server) -> Vec<u64> {
    let job = server.post("/v1/jobs", &json!({ "kind": "training" }));
    server
        .eventually(&format!("/v1/jobs/{}", job["id"]), |reply| reply.status == 200 && reply.json()["state"] == "done");
    let models = server.get("/v1/models");
    let named = models["items"].as_array().unwrap().iter().filter(|model| model["name"] == "recommend");
    named.map(|model| model["version"].as_u64().unwrap()).collect()
}

fn live_through(seed: u64, replicas: &Replicas, running: &mut Running, versions: &[u64]) {
    let mut chance = Chance::seeded("histories", seed);
    let run = format!("run-{seed}");
    let first = &running[0].server;
    let before = live_versions(&first.get("/v1/models"))[0];
    let name = |number: u64| format!("{run}-shopper-{number}");
    let pages: Vec<Value> =
        (0..SHOPPERS).map(|number| json!({ "type": "page", "name": "Home", "anonymousId": name(number) })).collect();
    let views = (0..TALKERS).map(|number| {
        json!({ "type": "track", "event": "Product Viewed", "anonymousId": format!("{run}-talker-{number}"),
            "properties": { "product_id": "P000001" } })
    });
    let batch: Vec<Value> = pages.into_iter().chain(views).collect();
    first.call("POST", "/v1/batch", &first.keys.admin, Some(&json!({ "batch": batch }))).ok();
    // Where the shop's policy takes silence for a yes is another matter: everybody begins with a no.
    for number in 0..TALKERS {
        let said =
            json!({ "anonymous_id": format!("{run}-talker-{number}"), "purposes": { "personalisation": false } });
        first.call("POST", "/v1/consent", &first.keys.admin, Some(&said)).ok();
    }
    let clients = Clients {
        addresses: Mutex::new(running.iter().map(|process| process.server.address).collect()),
        key: first.keys.admin.clone(),
        began: Instant::now(),
        stop: AtomicBool::new(false),
        history: Mutex::default(),
        run: run.clone(),
    };
    let sent = Mutex::<Sent>::default();
    let mut chances = (0..6).map(|_| Chance::quiet(chance.below(u64::MAX))).collect::<Vec<_>>().into_iter();
    let mut next = move || chances.next().unwrap();
    std::thread::scope(|scope| {
        let stops = Stops(&clients.stop);
        let (clients, sent) = (&clients, &sent);
        for sender in 0..2 {
            let name = format!("{run}-sender-{sender}");
            scope.spawn(move || send_to_any(&clients.addresses, &clients.key, &name, sent, &clients.stop));
        }
        let [a, b, c, d, e] = std::array::from_fn(|_| next());
        scope.spawn(move || clients.talk(a));
        scope.spawn(move || clients.listen(b));
        scope.spawn(move || clients.return_again(c));
        scope.spawn(move || clients.promote(d, versions));
        scope.spawn(move || clients.watch_models(e));
        for _ in 0..STRIKES {
            std::thread::sleep(Duration::from_millis(200 + chance.below(2_500)));
            strike(&mut chance, replicas, running, clients);
        }
        let over = Instant::now();
        while !running.iter().all(|process| is_normal(&process.server)) {
            assert!(over.elapsed() < NORMAL_AGAIN, "still not normal");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(2));
        drop(stops);
    });
    let mut stored = marks_in(&replicas.place.log());
    stored.retain(|mark, _| mark.starts_with(&run));
    judge(&running[0].server, &clients, before, &sent.into_inner().unwrap(), &stored);
}

/// Three processes, each begun in its way, live through some runs.
fn live(name: &str, starters: [Vec<String>; 3], seeds: std::ops::Range<u64>) {
    let mut replicas = Replicas::made(name);
    let [own, others @ ..] = starters;
    let first = replicas.begin_by(&own);
    let versions = train(&first);
    let experiment = json!({
        "title": "split", "surface": { "kind": "recommend", "slots": ["home"] }, "metrics": ["conversion"],
        "arms": [{ "name": "control", "percent": 50 }, { "name": "treated", "percent": 50, "change": { "diversity": 0.9 } }],
    });
    first.call("PUT", "/v1/experiments/split", &first.keys.admin, Some(&experiment)).ok();
    first.post("/v1/experiments/split/start", &json!({}));
    let mut running = vec![Process { _shop: None, server: first, starter: own }];
    running.extend(others.map(|starter| Process::joining(&replicas, starter)));
    for seed in seeds {
        live_through(seed, &replicas, &mut running, &versions);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
#[ignore = "needs servers of its own: tools/test outages"]
fn what_clients_were_told_is_true_whatever_strikes() {
    let seeds = match number("MERX_HISTORY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("MERX_HISTORIES").unwrap_or(3),
    };
    live("histories", Default::default(), seeds);
}

/// One process is five minutes ahead, another five behind, and the third one's clock jumps between the two all the while.
#[test]
#[ignore = "needs servers of its own: tools/test outages"]
fn what_clients_were_told_is_true_whatever_clocks_say() {
    const WRONG_S: i64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let [ahead, behind, jumping] = [("ahead", WRONG_S), ("behind", -WRONG_S), ("jumping", 0)]
        .map(|(name, s)| Clock::in_folder(folder.path(), name, s));
    let starters = [&ahead, &behind, &jumping].map(Clock::starter);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut wrong_s = WRONG_S;
            while !is_over.load(Ordering::Relaxed) {
                jumping.set(wrong_s);
                wrong_s = -wrong_s;
                std::thread::sleep(Duration::from_secs(3));
            }
        });
        let _ends = Stops(&is_over);
        let first = 101;
        live("clocks_apart", starters, first..first + number("MERX_HISTORIES").unwrap_or(1));
    });
}
