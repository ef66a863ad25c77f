//! Processes that only answer, and processes that work beside them: each job once, whoever dies, and models that change without a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Server, Shop, fail, succeed};
use crate::outages::Stops;
use crate::replicas::{Replicas, leads, wait_for};

const ONLY_ANSWERS: &[&str] = &["--set", "jobs.here=false"];
/// No shopper waits longer for an answer while models change; a busy machine's delays included.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// What a shopper sees who asks one process again and again.
#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    longest_gap: Duration,
    /// Other answers than those of a live model.
    others: Vec<String>,
}

fn shop_on(server: &Server, stop: &AtomicBool) -> Seen {
    let (mut seen, mut client, mut last) = (Seen::default(), server.client(), Instant::now());
    let body = json!({ "anonymous_id": "lee", "slots": [{ "scenario": "for_you", "count": 5 }] });
    while !stop.load(Ordering::Relaxed) {
        let reply = client.call("POST", "/v1/recommend", &server.keys.public, Some(&body)).unwrap();
        seen.answers += 1;
        seen.longest_gap = seen.longest_gap.max(last.elapsed());
        last = Instant::now();
        if reply.status != 200 || reply.json()["fallback"] != "live_model" {
            seen.others.push(format!("{} {}", reply.status, reply.body));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}

fn version(server: &Server) -> u64 {
    let answer = server.recommend(&json!({ "anonymous_id": "kim" }), "popular");
    let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
    let record = server.eventually(&path, |reply| reply.status == 200).0.json();
    record["model_version"].as_u64().unwrap()
}

fn versions(server: &Server) -> Vec<u64> {
    let models = server.get("/v1/models");
    let models = models["items"].as_array().unwrap().iter().filter(|model| model["name"] == "recommend");
    models.map(|model| model["version"].as_u64().unwrap()).collect()
}

fn ask_for_training(server: &Server) -> String {
    format!("/v1/jobs/{}", server.post("/v1/jobs", &json!({ "kind": "training" }))["id"])
}

fn until_done(server: &Server, job: &str) -> Value {
    let (reply, _) = server.eventually(job, |reply| reply.status == 200 && reply.json()["ended_at"].is_string());
    let job = reply.json();
    assert_eq!(job["state"], "done", "{job}");
    job
}

/// Whether a process is the one that does a job.
fn does(server: &Server, job: &Value) -> bool {
    job["worker"].as_str().is_some_and(|worker| worker.ends_with(&format!(":{}", server.id())))
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn a_job_runs_once_whichever_worker_dies_and_shoppers_notice_nothing() {
    let mut replicas = Replicas::of_size("workers", ["300", "3000", "100"]);
    let gate = ["--set", "train.gate_latency_ms=10000"];
    let first = replicas.place.work(&mut replicas.first, &gate);
    let mut folder = replicas.folder_of_another();
    let second = replicas.place.work(&mut folder, &gate);
    let (_a_shop, a) = replicas.join_with(ONLY_ANSWERS);
    let (_b_shop, b) = replicas.join_with(ONLY_ANSWERS);
    assert_eq!([&first, &second, &a, &b].map(leads), [true, false, false, false]);
    let mut workers = vec![first, second];
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let shoppers = [&a, &b].map(|server| scope.spawn(|| shop_on(server, &stop)));
        let stops = Stops(&stop);

        // Two workers, one job.
        let before = versions(&a);
        let job = until_done(&a, &ask_for_training(&a));
        assert_eq!(job["attempts"], 1, "{job}");
        assert_eq!(workers.iter().filter(|worker| does(worker, &job)).count(), 1, "{job}");
        assert_eq!(versions(&a).len(), before.len() + 1);

        // Killed in the middle.
        let path = ask_for_training(&b);
        let (reply, _) = b.eventually(&path, |reply| reply.status == 200 && reply.json()["state"] == "running");
        let running = reply.json();
        let dies = workers.iter().position(|worker| does(worker, &running)).unwrap();
        let led = leads(&workers[dies]);
        workers.remove(dies).kill();
        let killed = Instant::now();
        // As long as nobody leads nobody knows.
        let (reply, _) = b.eventually(&path, |reply| reply.status == 200 && reply.json()["attempts"] != 1);
        println!("begun again {:?} after kill -9 of the worker (it led: {led})", killed.elapsed());
        assert!(does(&workers[0], &reply.json()), "{}", reply.body);
        let job = until_done(&b, &path);
        assert_eq!(job["attempts"], 2, "{job}");
        assert_eq!(versions(&a).len(), before.len() + 2, "what was begun twice was registered once");
        wait_for("the lead", || leads(&workers[0]));

        // Its model goes to those that answer.
        let newest = versions(&a).into_iter().max().unwrap();
        let promoted = json!({ "version": newest });
        a.call("POST", "/v1/models/recommend/promote", &a.keys.admin, Some(&promoted)).ok();
        for server in [&a, &b] {
            wait_for("the model", || version(server) == newest);
        }
        assert!([&a, &b].iter().all(|server| !leads(server)));
        drop(stops);
        shoppers.map(|shopper| shopper.join().unwrap())
    });
    for (number, seen) in seen.iter().enumerate() {
        println!("shopper {number}: {} answers, the longest gap {:?}", seen.answers, seen.longest_gap);
        assert_eq!(seen.others, [] as [String; 0]);
        assert!(seen.answers > 100 && seen.longest_gap < LONGEST_GAP, "{seen:?}");
    }
    let metrics = workers[0].call("GET", "/metrics", "", None).body;
    let number = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    assert_eq!(number("merx_jobs_waiting{kind=\"training\"}"), 0.0);
    assert_eq!(number("merx_jobs_oldest_waiting_seconds"), 0.0);
    assert!(number("merx_jobs_busy_seconds_total") > 0.0);
}

/// Trainers never lead; what needs the lead is left to who has it.
#[test]
#[ignore = "needs servers: tools/test backends"]
fn trainers_train_beside_a_worker_that_does_the_rest() {
    let mut replicas = Replicas::made("trainers");
    let leader = replicas.begin();
    let mut folder = replicas.folder_of_another();
    let trainer = replicas.place.work(&mut folder, &["--only", "training"]);
    assert_eq!([&leader, &trainer].map(leads), [true, false]);
    let indexing = leader.post("/v1/jobs", &json!({ "kind": "indexing" }));
    let indexing = until_done(&trainer, &format!("/v1/jobs/{}", indexing["id"]));
    assert!(does(&leader, &indexing), "{indexing}");
    leader.stop();
    std::thread::sleep(Duration::from_secs(8));
    assert!(!leads(&trainer));
    assert_eq!(trainer.call("GET", "/v1/jobs", &trainer.keys.admin, None).status, 503, "nobody leads");
    let (_shop, next) = replicas.join();
    let job = until_done(&trainer, &ask_for_training(&next));
    assert!(does(&next, &job) != does(&trainer, &job), "{job}");
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn guardrails_count_what_every_process_decides() {
    let mut replicas = Replicas::made("guarded");
    let leader = replicas.begin();
    // It has no time for any model: a fault that the one that leads doesn't have.
    let (_shop, other) = replicas.join_with(&["--set", "recommend.deadline_ms=0"]);
    let mut wanted = json!({ "owner": "anna" });
    wanted["guardrails"] = json!([{ "measure": "fallback_share", "at_most": 0.5, "fewest": 40, "window_minutes": 10 }]);
    leader.call("PUT", "/v1/automations/recommend", &leader.keys.admin, Some(&wanted)).ok();
    let mode = || leader.get("/v1/automations/recommend")["mode"].clone();
    let live = mode();
    // What is told first after a change counts anew.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mode(), live);
    for _ in 0..60 {
        let answer = other.recommend(&json!({ "anonymous_id": "lee" }), "popular");
        assert_ne!(answer["fallback"], "live_model", "{answer}");
    }
    wait_for("the step back", || mode() != live);
    println!("stepped back from {live} to {}", mode());
}

#[test]
#[ignore = "needs servers: tools/test backends"]
fn a_key_that_another_process_exchanged_is_read_without_a_restart() {
    let mut replicas = Replicas::made("rotated");
    let leader = replicas.begin();
    let (folder, other) = replicas.join();
    let rotated = leader.call("POST", "/v1/vault/rotate", &leader.keys.admin, None);
    assert!(rotated.status < 300, "{rotated:?}");
    // The operator brings the key to the other machine.
    std::fs::copy(replicas.first.data().join("vault.key"), folder.data().join("vault.key")).unwrap();
    leader.kill();
    wait_for("the lead", || leads(&other));
    // Somebody new: a key of their own, wrapped with the new one.
    let seen = json!({ "batch": [
        { "type": "identify", "anonymousId": "new", "userId": "new-customer", "messageId": "new-1",
          "traits": { "email": "new@example.org" } } ] });
    wait_for("events to be taken", || other.call("POST", "/v1/batch", &other.keys.public, Some(&seen)).status == 200);
    other.stop();
    let (shop, third) = replicas.join();
    let asked = ["privacy", "export", "--email", "new@example.org", "--url", &third.url, "--key", &third.keys.admin];
    let told = succeed(shop.merx().args(asked));
    assert!(told.contains("new-customer"), "{told}");
}

/// A shop in one folder has nobody else to do the jobs.
#[test]
fn roles_that_need_services_are_refused_without_them() {
    let shop = Shop::empty();
    let words = fail(shop.merx().args(["serve", "--set", "jobs.here=false"]));
    assert!(words.contains("who would do the jobs"), "{words}");
    let words = fail(shop.merx().args(["work"]));
    assert!(words.contains("name services for records, log, online, lake"), "{words}");
}
