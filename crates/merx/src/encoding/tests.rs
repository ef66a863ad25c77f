//! An endpoint in a few lines, and what becomes of texts sent to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use merx_domain::{DAY_MS, ManualClock, TimestampMs};
use merx_models::EncodeError;
use merx_store::embedded::SqliteRecords;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "sk-very-secret-0123456789";

struct Call {
    authorization: Option<String>,
    body: Value,
}

/// Status, headers, body.
type Reply = (u16, &'static str, String);

struct Service {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Service {
    fn start(mut reply: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let seen = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(call) = read(&stream) else { continue };
                let (status, headers, body) = reply(&call);
                seen.lock().push(call);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
                let _ = (&stream).write_all(&[head.as_bytes(), body.as_bytes()].concat());
            }
        });
        Self { url, calls }
    }

    fn sizes(&self) -> Vec<usize> {
        self.calls.lock().iter().map(|call| call.body["input"].as_array().unwrap().len()).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let (mut authorization, mut length) = (None, 0);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    assert!(first.starts_with("POST /v1/embeddings "), "{first}");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Call { authorization, body: serde_json::from_slice(&body).ok()? })
}

/// The vector of a text: its length, and 1.
fn vectors(call: &Call) -> Reply {
    let texts = call.body["input"].as_array().unwrap();
    let embedding = |(index, text): (usize, &Value)| json!({"index": index, "embedding": [text.as_str().unwrap().len() as f32, 1.0]});
    // In another order: the index says which is whose.
    let data: Vec<Value> = texts.iter().enumerate().map(embedding).rev().collect();
    (200, "", json!({"data": data, "usage": {"total_tokens": 7 * texts.len()}}).to_string())
}

struct Bench {
    clock: Arc<ManualClock>,
    records: Arc<dyn Records>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let records = SqliteRecords::open(&folder.path().join("records.db"), &[MIGRATION]).unwrap();
        let clock = Arc::new(ManualClock::new(TimestampMs(20_000 * DAY_MS)));
        Self { clock, records: Arc::new(records), _folder: folder }
    }

    fn later(&self, ms: i64) {
        self.clock.set(self.clock.now().plus_ms(ms));
    }

    fn endpoint(&self, url: &str, change: impl FnOnce(&mut EndpointSettings, &mut Limits)) -> (Endpoint, Arc<Budget>) {
        let mut settings = EndpointSettings {
            url: url.to_owned(),
            model: "tiny".to_owned(),
            dimensions: 0,
            batch: 4,
            timeout: Duration::from_secs(10),
            query_prefix: String::new(),
            product_prefix: String::new(),
            key: Secret::new(SECRET),
        };
        let mut limits = Limits { texts_per_day: 0, tokens_per_day: 0 };
        change(&mut settings, &mut limits);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let budget = Arc::new(Budget::new(Arc::clone(&self.records), Arc::clone(&clock), settings.id(), limits));
        (Endpoint::new(settings, Arc::clone(&budget), clock), budget)
    }
}

fn fails(endpoint: &Endpoint) -> EncodeError {
    endpoint.encode(&["lamp"], TextRole::Query).unwrap_err()
}

#[test]
fn texts_go_in_batches_and_vectors_come_back_in_order() {
    let (bench, service) = (Bench::new(), Service::start(vectors));
    let (endpoint, budget) = bench.endpoint(&service.url, |settings, _| {
        settings.dimensions = 2;
        settings.product_prefix = "p:".to_owned();
    });
    let texts: Vec<String> = (1..=10).map(|length| "x".repeat(length)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = endpoint.encode(&texts, TextRole::Product).unwrap();
    for (at, vector) in found.iter().enumerate() {
        let expected = merx_models::unit(vec![(at + 3) as f32, 1.0]).unwrap();
        assert_eq!(*vector, expected, "of length 1, and of the text with its prefix");
    }
    assert_eq!(service.sizes(), [4, 4, 2]);
    let calls = service.calls.lock();
    assert_eq!((&calls[0].body["model"], &calls[0].body["dimensions"]), (&json!("tiny"), &json!(2)));
    assert_eq!(calls[0].authorization.as_deref(), Some(format!("Bearer {SECRET}").as_str()));
    let used = budget.status().unwrap();
    assert_eq!((used.texts_today, used.tokens_today, used.calls_today, used.failures_today), (10, 70, 3, 0));
}

#[test]
fn the_key_is_never_told() {
    let bench = Bench::new();
    for status in [401, 400, 500] {
        let service =
            Service::start(move |_| (status, "", json!({"error": {"message": format!("no {SECRET}!")}}).to_string()));
        let (endpoint, _) = bench.endpoint(&service.url, |_, _| {});
        let error = fails(&endpoint);
        assert!(!format!("{error} {error:?} {endpoint:?}").contains(SECRET), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(matches!(error, EncodeError::Unavailable(_)), status == 500);
    }
}

#[test]
fn a_busy_endpoint_is_left_alone_as_long_as_it_asks_for() {
    let bench = Bench::new();
    let mut calls = 0;
    let service = Service::start(move |call| {
        calls += 1;
        if calls == 1 { (429, "retry-after: 7\r\n", "{}".to_owned()) } else { vectors(call) }
    });
    let (endpoint, budget) = bench.endpoint(&service.url, |_, _| {});
    assert!(fails(&endpoint).to_string().contains("429"));
    bench.later(6_999);
    assert!(fails(&endpoint).to_string().contains("429"));
    assert_eq!(service.sizes().len(), 1, "not called meanwhile");
    bench.later(1);
    assert!(endpoint.encode(&["lamp"], TextRole::Query).is_ok());
    assert_eq!(budget.status().unwrap().failures_today, 1);
}

#[test]
fn pauses_grow_while_an_endpoint_fails_and_have_an_end() {
    let bench = Bench::new();
    let service = Service::start(|_| (503, "", "down".to_owned()));
    let (endpoint, _) = bench.endpoint(&service.url, |_, _| {});
    for pause_ms in [1_000, 2_000, 4_000, 8_000] {
        let before = service.sizes().len();
        fails(&endpoint);
        bench.later(pause_ms - 1);
        fails(&endpoint);
        assert_eq!(service.sizes().len(), before + 1);
        bench.later(1);
    }
    (0..20).for_each(|_| {
        fails(&endpoint);
        bench.later(300_000);
    });
    assert_eq!(service.sizes().len(), 24, "tried every five minutes at least");
}

#[test]
fn what_is_no_answer_is_told_in_words() {
    let bench = Bench::new();
    let told = |status: u16, body: Value| {
        let service = Service::start(move |_| (status, "location: http://elsewhere/\r\n", body.to_string()));
        let (endpoint, _) = bench.endpoint(&service.url, |settings, _| settings.dimensions = 3);
        fails(&endpoint).to_string()
    };
    let data = |embeddings: Value| json!({ "data": embeddings });
    assert!(told(200, json!("<html>")).contains("no list of embeddings"));
    assert!(told(200, data(json!([]))).contains("0 vectors to 1 texts"));
    assert!(told(200, data(json!([{"index": 0, "embedding": [1.0, 2.0]}]))).contains("2 components where 3"));
    assert!(told(200, data(json!([{"index": 5, "embedding": [1.0, 2.0, 3.0]}]))).contains("missing"));
    assert!(told(200, data(json!([{"index": 0, "embedding": [0.0, 0.0, 0.0]}]))).contains("no vector"));
    assert!(told(302, json!({})).contains("redirects"));
    assert!(told(404, json!({"error": {"message": "no such model"}})).contains("no such model"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (endpoint, _) = bench.endpoint(&format!("http://{closed}"), |_, _| {});
    assert!(fails(&endpoint).to_string().contains("can't be reached"));
    // One that takes calls and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (endpoint, _) = bench.endpoint(&url, |settings, _| settings.timeout = Duration::from_millis(50));
    assert!(matches!(fails(&endpoint), EncodeError::Unavailable(_)));
}

#[test]
fn vectors_of_another_length_than_the_first_are_refused() {
    let bench = Bench::new();
    let mut components = 1;
    let service = Service::start(move |_| {
        components += 1;
        (200, "", json!({"data": [{"index": 0, "embedding": vec![1.0; components]}]}).to_string())
    });
    let (endpoint, _) = bench.endpoint(&service.url, |_, _| {});
    assert!(endpoint.encode(&["lamp"], TextRole::Query).is_ok());
    assert!(matches!(fails(&endpoint), EncodeError::Refused(words) if words.contains("3 components where 2")));
}

#[test]
fn the_budget_outlives_the_process_and_keeps_a_part_for_queries() {
    let (bench, service) = (Bench::new(), Service::start(vectors));
    let open = || bench.endpoint(&service.url, |_, limits| limits.texts_per_day = 10);
    let encode = |endpoint: &Endpoint, count: usize, role| endpoint.encode(&vec!["lamp"; count], role);
    assert!(encode(&open().0, 4, TextRole::Product).is_ok() && encode(&open().0, 4, TextRole::Product).is_ok());
    let spent = encode(&open().0, 2, TextRole::Product).unwrap_err();
    assert!(matches!(&spent, EncodeError::Spent(words) if words.contains("10 texts")), "{spent}");
    assert!(encode(&open().0, 2, TextRole::Query).is_ok(), "the last tenth is for queries");
    assert!(matches!(encode(&open().0, 1, TextRole::Query), Err(EncodeError::Spent(_))));
    assert_eq!(service.sizes(), [4, 4, 2], "what is not paid for is not sent");
    bench.later(DAY_MS);
    assert!(encode(&open().0, 1, TextRole::Product).is_ok());
}

#[test]
fn a_budget_in_tokens_counts_what_the_endpoint_tells() {
    let (bench, service) = (Bench::new(), Service::start(vectors));
    let (endpoint, budget) = bench.endpoint(&service.url, |_, limits| limits.tokens_per_day = 15);
    assert!(endpoint.encode(&["lamp"], TextRole::Query).is_ok() && endpoint.encode(&["lamp"], TextRole::Query).is_ok());
    assert_eq!(budget.status().unwrap().tokens_today, 14);
    assert!(matches!(endpoint.encode(&["lamp"], TextRole::Query), Err(EncodeError::Spent(_))));
}

#[test]
fn a_query_is_asked_for_once_and_kept() {
    let (bench, service) = (Bench::new(), Service::start(vectors));
    let (endpoint, budget) = bench.endpoint(&service.url, |_, _| {});
    let settings = config::load(None, Vec::new(), &[]).unwrap().config.search.encoder;
    let opened = Opened { encoder: Box::new(endpoint), budget: Some(budget) };
    let encoding = Encoding::new(opened, Arc::clone(&bench.records), settings);
    for _ in 0..3 {
        ["lamp", "sofa"].iter().for_each(|text| encoding.want(text, false));
        encoding.answer_queries(Duration::ZERO);
    }
    assert_eq!(service.sizes(), [2], "together, and never again");
    let counts = encoding.queries().counts();
    assert_eq!((counts.late, counts.at_hand), (2, 4));
    encoding.warm(["lamp", "desk", "chair"].map(str::to_owned).into_iter(), &|| true);
    assert_eq!(service.sizes(), [2, 2]);
    assert!(encoding.trouble().is_none());
}
