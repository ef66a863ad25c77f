//! A person asks what is held of them, and to be forgotten: over HTTP, by commands, and with kill -9 in the middle.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use merx_domain::{Event, EventId, EventKind, IdentityKind, ProductId, SubjectId, TimestampMs};
use merx_ingest::vault::{MasterKey, Vault};
use merx_store::{LogOffset, LogSettings, Store};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Chance, Server, Shop, fail, kill_after, succeed};

const USER: &str = "customer-kim-31";
const VISITOR: &str = "visitor-4f1c9a";
const MAIL: &str = "kim.berg@post.example";
const PHONE: &str = "+49 30 5550131";
const STREET: &str = "Lindenallee 31";

fn track(server: &Server, body: Value) {
    server.call("POST", "/v1/batch", &server.keys.public, Some(&json!({ "batch": [body] }))).ok();
}

/// What Kim does: looks around, signs in, says who they are, searches, buys.
fn live(server: &Server) {
    let at = "2026-10-01T12:00:00Z";
    for (number, product) in ["P000001", "P000007", "P000012"].into_iter().enumerate() {
        track(
            server,
            json!({ "type": "track", "event": "Product Viewed", "anonymousId": VISITOR, "timestamp": at,
            "messageId": format!("kim-{number}"), "properties": { "product_id": product } }),
        );
    }
    track(
        server,
        json!({ "type": "identify", "anonymousId": VISITOR, "userId": USER, "timestamp": at, "messageId": "kim-i",
        "traits": { "email": MAIL, "phone": PHONE, "name": "Kim", "address": { "street": STREET } } }),
    );
    track(
        server,
        json!({ "type": "identify", "anonymousId": "visitor-of-another-device", "timestamp": at,
        "traits": { "email": MAIL.to_uppercase() } }),
    );
    track(
        server,
        json!({ "type": "track", "event": "Products Searched", "userId": USER, "timestamp": at,
        "properties": { "query": "oak shelf", "note_of": USER } }),
    );
    let order = json!({ "id": "order-of-kim", "user_id": USER, "placed_at": at, "currency": "EUR",
        "lines": [{ "product_id": "P000007", "quantity": 1, "unit_price": { "minor": 4899, "currency": "EUR" } }] });
    server.call("PUT", "/v1/orders/order-of-kim", &server.keys.admin, Some(&order)).ok();
}

fn open(shop: &Shop) -> (Store, Vault) {
    let migrations = merx_ingest::MIGRATIONS;
    let store = Store::open_embedded(&shop.data(), migrations, LogSettings::default()).unwrap();
    let key = MasterKey::load_or_create(&shop.data().join("vault.key")).unwrap();
    let vault = Vault::open(Arc::clone(&store.records), vec![key], 10_000).unwrap();
    (store, vault)
}

/// Whether any file below a folder has these bytes: a search of its own, that shares no line with the one on trial.
fn any_file_has(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return any_file_has(&path, needle);
        }
        std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

fn ask(shop: &Shop, server: &Server, arguments: &[&str]) -> String {
    succeed(shop.merx().args(arguments).args(["--url", &server.url, "--key", &server.keys.admin]))
}

/// A platform asks by OpenDSR, in another spelling of everything, and is told what was done: signed, again where it didn't answer, with the
/// audit log's word for it.
#[test]
fn an_opendsr_request_is_answered_with_a_signed_certificate() {
    const SECRET: &str = "shared with the platform";
    let sign = |body: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    };
    let mut shop = Shop::empty();
    let mut command = shop.merx();
    command.env("MERX_OPENDSR_SECRET", SECRET);
    let server = shop.serve_by(command, &[]);
    let traits = json!({ "email": "kim.berg@Post.Example", "phone": PHONE });
    let looks = json!({ "type": "identify", "userId": USER, "traits": traits, "timestamp": "2026-10-01T12:00:00Z" });
    track(&server, looks);
    let (url, receiver) = crate::governing::receiver();
    let body = json!({
        "regulation": "gdpr", "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798", "subject_request_type": "erasure",
        "submitted_time": "2026-11-21T15:00:00Z", "api_version": "2.0", "status_callback_urls": [url],
        "subject_identities": [{ "identity_type": "phone", "identity_value": "0049 (0)30 555 01 31", "identity_format": "raw" }],
    })
    .to_string();
    let asked = |body: &str, signature: &str| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        let head = format!(
            "POST /opendsr/2.0/requests HTTP/1.1\r\nhost: merx\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\nx-opendsr-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
            server.keys.admin,
            body.len()
        );
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(asked(&body, "bm90IGl0"), "401");
    assert_eq!(asked(&body, &sign(&body)), "201");
    let path = "/opendsr/2.0/requests/a7551968-d5d6-44b2-9831-815ac9017798";
    let (reply, _) = server.eventually(path, |reply| reply.json()["request_status"] == "completed");
    assert_eq!(reply.header("x-opendsr-signature"), Some(&*sign(&reply.body)));
    let certificate = reply.json()["certificate"].clone();
    assert_eq!(
        (&certificate["subject_request_type"], &certificate["report"]["pseudonyms"]),
        (&json!("erasure"), &json!(1))
    );
    assert_eq!(certificate["report"]["verification"]["findings"], json!([]), "{certificate}");

    let told = receiver.join().unwrap();
    let last: Value = serde_json::from_str(&told[1].1).unwrap();
    assert_eq!((&last["request_status"], &last["certificate"]), (&json!("completed"), &certificate));
    let signature = format!("x-opendsr-signature:{}", sign(&told[1].1)).to_ascii_lowercase();
    assert!(told[1].0.contains(&signature), "{}", told[1].0);

    let entries = server.get("/v1/audit?limit=1000");
    let entries = entries["items"].as_array().unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"privacy.submitted") && actions.iter().filter(|it| **it == "key.made").count() == 3);
    let done = &entries[certificate["audit_entry"].as_u64().unwrap() as usize - 1];
    assert_eq!((&done["action"], &done["hash"]), (&json!("privacy.completed"), &certificate["audit_hash"]));
    assert!(ask(&shop, &server, &["audit", "verify"]).contains("each follows from the ones before"));
    let words = ask(&shop, &server, &["vault", "rotate"]);
    assert!(words.contains("wrapped"), "{words}");
    let last = server.get("/v1/audit?limit=1000")["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["action"], last["actor"].as_str().unwrap().starts_with("key ")), (&json!("vault.rotated"), true));
    server.stop();
}

#[test]
fn an_erased_person_is_left_nowhere() {
    let mut shop = Shop::small_demo();
    let server = shop.serve(&["--set", "lake.export=true"]);
    live(&server);
    server.eventually("/health/ready", |reply| reply.status == 200 && reply.json()["log_lag_events"] == 0);
    let decision = server.recommend(&json!({ "anonymous_id": VISITOR }), "continue_session");
    let decision = decision["decision_id"].as_str().unwrap().to_owned();
    let subject = server.get(&format!("/v1/decisions/{decision}"))["subject_id"].as_str().unwrap().to_owned();
    let export = server.post("/v1/jobs", &json!({ "kind": "export" }));
    server.eventually(&format!("/v1/jobs/{}", export["id"]), |reply| reply.json()["state"] == "done");
    ask(&shop, &server, &["train", "--now", "--set", "train.gate_latency_ms=10000"]);

    // What is held of them.
    let data: Value = serde_json::from_str(&ask(&shop, &server, &["privacy", "export", "--email", MAIL])).unwrap();
    let words = data.to_string();
    for held in
        [USER, VISITOR, MAIL, PHONE, STREET, "order-of-kim", "oak shelf", &decision, "visitor-of-another-device"]
    {
        assert!(words.contains(held), "{held} in {words}");
    }
    let reads = ask(&shop, &server, &["privacy", "reads"]);
    let looks: Vec<&str> = reads.lines().filter(|line| line.contains(&subject)).collect();
    assert!(looks.iter().any(|line| line.contains("export")) && looks.iter().any(|line| line.contains("decision")));

    // The search finds what is there.
    let person = ["--user-id", USER, "--anonymous-id", VISITOR, "--email", MAIL, "--phone", PHONE];
    let verify = [&["privacy", "verify"][..], &person].concat();
    let words = fail(shop.merx().args(&verify).args(["--url", &server.url, "--key", &server.keys.admin]));
    assert!(words.contains("something is left"), "{words}");
    let pseudonym: SubjectId = subject.parse().unwrap();
    assert!(any_file_has(&shop.data(), &pseudonym.to_bytes()), "its bytes would be seen if they were there");

    let erase = [&["privacy", "erase"][..], &person].concat();
    let said = ask(&shop, &server, &erase);
    assert!(said.contains(": completed") && said.contains("nothing is left"), "{said}");
    assert!(
        said.contains("decisions: 1 rows") && said.contains("orders: 1 rows") && said.contains("model recommend"),
        "{said}"
    );
    assert!(ask(&shop, &server, &verify).contains("nothing is left"));
    let register = ask(&shop, &server, &["privacy", "requests"]);
    let request =
        register.lines().find(|line| line.contains(" erasure ")).unwrap().split(' ').next().unwrap().to_owned();
    assert!(ask(&shop, &server, &["privacy", "verify", "--request", &request]).contains("nothing is left"));

    // The books keep the order, of nobody; the next answer knows nothing.
    let order = server.get("/v1/orders/order-of-kim");
    assert_eq!((&order["subject_id"], &order["lines"][0]["quantity"]), (&Value::Null, &json!(1)));
    let answer = server.recommend(&json!({ "anonymous_id": VISITOR }), "continue_session");
    let record = server.get(&format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap()));
    assert_eq!((&record["subject_id"], &record["features"]["history"]), (&Value::Null, &json!([])));
    assert_eq!(server.call("GET", &format!("/v1/decisions/{decision}"), &server.keys.admin, None).status, 404);

    // The same told again stays untaken; what happens from now on is somebody new.
    live(&server);
    assert_eq!(server.get("/v1/orders/order-of-kim")["subject_id"], Value::Null);
    server.stop();
    for form in [
        subject.as_bytes(),
        &pseudonym.to_bytes(),
        &pseudonym.0.to_le_bytes(),
        MAIL.as_bytes(),
        USER.as_bytes(),
        VISITOR.as_bytes(),
        PHONE.as_bytes(),
        STREET.as_bytes(),
    ] {
        assert!(!any_file_has(&shop.data(), form), "{form:x?}");
    }
    let server = shop.serve(&[]);
    live(&server);
    track(
        &server,
        json!({ "type": "track", "event": "Product Viewed", "userId": USER, "properties": { "product_id": "P000002" } }),
    );
    server.stop();
    let (store, vault) = open(&shop);
    let back = vault.find(IdentityKind::UserId, USER).unwrap().unwrap();
    assert_ne!(back, pseudonym);
    let events = store.log.of_subjects(&[back], None, 100).unwrap();
    assert_eq!(events.len(), 1, "only what happened since");
    assert_eq!(vault.find(IdentityKind::AnonymousId, VISITOR).unwrap(), None);
    drop((store, vault));

    // Left out for good, with the server stopped.
    let said = succeed(shop.merx().args(["privacy", "erase", "--user-id", USER, "--suppress"]));
    assert!(said.contains("nothing is left"), "{said}");
    let server = shop.serve(&[]);
    track(
        &server,
        json!({ "type": "track", "event": "Product Viewed", "userId": USER, "properties": { "product_id": "P000002" } }),
    );
    server.stop();
    assert_eq!(open(&shop).1.find(IdentityKind::UserId, USER).unwrap(), None);
}

const PEOPLE: u128 = 40;
const EVENTS: u128 = 30_000;

/// A log in which one of forty people is to be erased, most of it in the lake.
fn crowd() -> (Shop, SubjectId, Vec<(LogOffset, Event)>) {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    for person in 0..PEOPLE {
        track(
            &server,
            json!({ "type": "track", "event": "Product Viewed", "userId": format!("customer-{person:04}"),
            "properties": { "product_id": "p1" } }),
        );
    }
    server.stop();
    let (store, vault) = open(&shop);
    let person = |number: u128| vault.find(IdentityKind::UserId, &format!("customer-{number:04}")).unwrap().unwrap();
    let people: Vec<SubjectId> = (0..PEOPLE).map(person).collect();
    let event = |number: u128| {
        let at = TimestampMs(1_790_000_000_000 + number as i64 * 60_000);
        let subject = people[(number % PEOPLE) as usize];
        Event::new(EventId(number), subject, EventKind::ProductViewed, at).with_product(ProductId::new("p1").unwrap())
    };
    for first in (0..EVENTS).step_by(10_000) {
        store.log.append((first..first + 10_000).map(event).collect()).unwrap();
    }
    while merx_store::lake_events::export_events(&*store.log, &*store.lake).unwrap() > 0 {}
    let subject = people[7];
    let others =
        store.log.read(None, usize::MAX >> 1).unwrap().into_iter().filter(|(_, event)| event.subject != subject);
    let others = others.collect();
    drop((store, vault));
    // Brings the online state up to the log, so that every run begins alike.
    succeed(shop.merx().args(["privacy", "requests"]));
    (shop, subject, others)
}

#[test]
fn a_killed_erasure_is_finished_and_moves_nobody_else() {
    const KILLS: usize = 12;
    let mut chance = Chance::seeded("kills of erasures", 4);
    let (template, subject, others) = crowd();
    let erase = |shop: &Shop| {
        let mut command = shop.merx();
        command.args(["privacy", "erase", "--user-id", "customer-0007"]);
        command
    };
    let copy = || {
        let shop = Shop::empty();
        crate::harness::copy_folder(&template.data(), &shop.data());
        shop
    };
    let began = Instant::now();
    let said = succeed(&mut erase(&copy()));
    let undisturbed = began.elapsed();
    assert!(said.contains("nothing is left") && said.contains("erased 1 pseudonyms"), "{said}");
    let (mut kills, mut halfway) = (0, 0);
    while kills < KILLS {
        let shop = copy();
        while kill_after(&mut erase(&shop), Duration::from_micros(chance.below(undisturbed.as_micros() as u64)))
            .is_some()
        {
            kills += 1;
            let (store, _vault) = open(&shop);
            let left = store.log.of_subjects(&[subject], None, usize::MAX >> 1).unwrap().len();
            let known = store
                .records
                .query(
                    "SELECT subject FROM vault_subjects WHERE subject = $1",
                    &[merx_store::Value::Bytes(subject.to_bytes().to_vec())],
                )
                .unwrap()
                .len();
            halfway += usize::from(known == 0);
            assert!(known == 0 || left == (EVENTS / PEOPLE) as usize + 1, "keys go first");
            assert!(kills < 10 * KILLS, "erasures end");
        }
        let listed = succeed(shop.merx().args(["privacy", "requests"]));
        assert!(!listed.is_empty() && listed.lines().all(|line| line.contains(" completed ")), "{listed}");
        let (store, vault) = open(&shop);
        assert!(store.log.read(None, usize::MAX >> 1).unwrap() == others, "the others' events, at their places");
        assert_eq!(vault.find(IdentityKind::UserId, "customer-0007").unwrap(), None);
        drop((store, vault));
        let said = succeed(shop.merx().args([
            "privacy",
            "verify",
            "--subject",
            &subject.to_string(),
            "--user-id",
            "customer-0007",
        ]));
        assert!(said.contains("nothing is left"), "{said}");
        for form in [subject.to_string().as_bytes(), &subject.to_bytes(), b"customer-0007"] {
            assert!(!any_file_has(&shop.data(), form));
        }
    }
    assert!(halfway > 0, "some kills hit an erasure in its middle");
    println!("{kills} kills, {halfway} after the key was destroyed; undisturbed {undisturbed:?}");
}

#[test]
fn the_master_key_is_exchanged_by_one_command() {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    live(&server);
    let file = shop.data().join("vault.key");
    let old = std::fs::read_to_string(&file).unwrap();
    assert!(ask(&shop, &server, &["vault", "rotate"]).contains("keys are wrapped with the new master key"));
    let new = std::fs::read_to_string(&file).unwrap();
    assert!(old != new && new.lines().count() == 1);
    track(
        &server,
        json!({ "type": "identify", "userId": "customer-after", "traits": { "email": "after@post.example" } }),
    );
    server.stop();
    assert!(succeed(shop.merx().args(["privacy", "export", "--user-id", USER])).contains(MAIL));
    assert!(succeed(shop.merx().args(["vault", "rotate"])).contains("keys are wrapped"));
    assert!(
        succeed(shop.merx().args(["privacy", "export", "--user-id", "customer-after"])).contains("after@post.example")
    );

    // A rotation that broke off left both keys in the file: it goes on.
    let current = std::fs::read_to_string(&file).unwrap();
    let next = MasterKey::random().unwrap().to_hex();
    std::fs::write(&file, format!("{next}\n{current}")).unwrap();
    succeed(shop.merx().args(["vault", "rotate"]));
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), next);

    // From a key manager's command; a new key in front of the old one, then one command.
    let script = shop.beside("keys.sh");
    let third = MasterKey::random().unwrap().to_hex();
    std::fs::write(&script, format!("echo {third} {next}")).unwrap();
    std::fs::remove_file(&file).unwrap();
    let set = format!("vault.key_command=[\"sh\", \"{}\"]", script.display());
    let export = ["privacy", "export", "--user-id", USER, "--set", &set];
    assert!(succeed(shop.merx().args(export)).contains(MAIL));
    succeed(shop.merx().args(["vault", "rotate", "--set", &set]));
    std::fs::write(&script, format!("echo {third}")).unwrap();
    assert!(succeed(shop.merx().args(export)).contains(MAIL));
    assert!(fail(shop.merx().args(["vault", "rotate", "--set", &set])).contains("put a new one in front"));
    std::fs::write(&script, format!("echo {next}")).unwrap();
    assert!(fail(shop.merx().args(export)).contains("another master key"));
    std::fs::write(&script, "echo no key manager >&2; exit 3").unwrap();
    assert!(fail(shop.merx().args(export)).contains("no key manager"));
}
