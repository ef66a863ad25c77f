//! Search with an embeddings endpoint: what only it knows is found, what it was asked once isn't asked again, and what it refuses does
//! no harm.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Server, Shop};

const SECRET: &str = "sk-very-secret-0123456789";
const MEANINGS: [&[&str]; 3] = [&["sofa", "settee"], &["lamp", "light"], &["drill", "borer"]];

/// An endpoint that knows which words mean the same.
struct Service {
    url: String,
    texts: Arc<Mutex<Vec<String>>>,
    refuses: Arc<AtomicBool>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (texts, refuses): (Arc<Mutex<Vec<String>>>, Arc<AtomicBool>) = Default::default();
        let (seen, refusing) = (Arc::clone(&texts), Arc::clone(&refuses));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some((authorized, input)) = read(&stream) else { continue };
                let refused = refusing.load(Ordering::Relaxed) || !authorized;
                let answer = if refused { json!({"error": {"message": "no"}}) } else { vectors(&input) }.to_string();
                if !refused {
                    seen.lock().unwrap().extend(input);
                }
                let (status, length) = (if refused { 401 } else { 200 }, answer.len());
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = (&stream).write_all(&[head.as_bytes(), answer.as_bytes()].concat());
            }
        });
        Self { url, texts, refuses }
    }

    fn asked(&self) -> usize {
        self.texts.lock().unwrap().len()
    }

    fn serve(&self, shop: &mut Shop) -> Server {
        let mut command = shop.merx();
        command.env("MERX_EMBEDDINGS_KEY", SECRET);
        let settings =
            ["kind=endpoint", &format!("url={}", self.url), "model=planted", "wait_ms=1000", "warmed_queries=0"];
        let settings: Vec<String> = settings.iter().map(|setting| format!("search.encoder.{setting}")).collect();
        let flags = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).chain(["--set", "log.level=trace"]);
        shop.serve_by(command, &flags.collect::<Vec<&str>>())
    }
}

fn read(stream: &TcpStream) -> Option<(bool, Vec<String>)> {
    let mut reader = BufReader::new(stream);
    let (mut authorized, mut length) = (false, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("authorization", value)) => authorized = value == format!("bearer {SECRET}"),
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    Some((authorized, body["input"].as_array()?.iter().map(|text| text.as_str().unwrap().to_owned()).collect()))
}

fn vectors(texts: &[String]) -> Value {
    let embedding = |text: &String| {
        let text = text.to_lowercase();
        let said = |words: &&[&str]| f64::from(u8::from(words.iter().any(|word| text.contains(word))));
        MEANINGS.iter().map(said).chain([0.1]).collect::<Vec<f64>>()
    };
    let data: Vec<Value> =
        texts.iter().enumerate().map(|(index, text)| json!({"index": index, "embedding": embedding(text)})).collect();
    json!({ "data": data, "usage": { "total_tokens": texts.len() } })
}

fn with_products() -> Shop {
    let mut shop = Shop::empty();
    let server = shop.serve(&[]);
    let names = ["Oak sofa", "Velvet sofa", "Desk lamp", "Ceiling lamp", "Cordless drill"];
    let product = |(at, name): (usize, &&str)| json!({ "id": format!("p{at}"), "name": name });
    let products: Vec<Value> = names.iter().enumerate().map(product).collect();
    server.post("/v1/products/batch", &json!({ "upsert": products }));
    server.stop();
    shop
}

fn search(server: &Server, query: &str) -> Value {
    server.post("/v1/search", &json!({ "query": query, "anonymous_id": "v" }))
}

fn ids(answer: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> =
        answer["hits"].as_array().unwrap().iter().map(|hit| hit["product_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Until searches use its vectors.
fn in_use(server: &Server) -> Value {
    server.eventually("/v1/search/encoder", |reply| reply.status == 200 && reply.json()["used"] == true).0.json()
}

#[test]
fn what_only_the_endpoint_knows_is_found_and_asked_for_once() {
    let (mut shop, service) = (with_products(), Service::start());
    let server = service.serve(&mut shop);
    let told = in_use(&server);
    assert_eq!((&told["products"], &told["products_with_vectors"]), (&json!(5), &json!(5)), "{told}");
    assert_eq!((&told["budget"]["texts_today"], &told["budget"]["calls_today"]), (&json!(5), &json!(1)), "{told}");
    let answer = search(&server, "settee");
    assert_eq!((ids(&answer), &answer["total"]), (vec!["p0", "p1"], &json!(2)), "{answer}");
    assert_eq!(search(&server, " SETTEE")["total"], 2);
    assert_eq!(service.asked(), 6, "five products and one query");

    // Decided again alike while the query's vector is at hand.
    let path = format!("/v1/decisions/{}/replay", answer["decision_id"].as_str().unwrap());
    assert_eq!(server.post(&path, &json!({}))["identical"], true);
    server.stop();
    let server = service.serve(&mut shop);
    in_use(&server);
    assert_eq!(service.asked(), 6, "vectors of products are kept over restarts");
    // An endpoint may answer otherwise today: without the vector of then nothing is decided again.
    let reply = server.call("POST", &path, &server.keys.admin, Some(&json!({})));
    let changed = reply.json()["changed_since"].as_array().is_some_and(|changed| !changed.is_empty());
    let gone = reply.status == 409 && reply.json()["detail"].as_str().unwrap().contains("not at hand");
    assert!(changed || gone, "{}", reply.json());
    server.stop();
    let log = std::fs::read_to_string(shop.beside("server.log")).unwrap();
    assert!(!log.contains(SECRET) && log.contains("encoder"));
}

#[test]
fn while_the_endpoint_refuses_the_own_encoder_answers_and_health_says_why() {
    let (mut shop, service) = (with_products(), Service::start());
    service.refuses.store(true, Ordering::Relaxed);
    let server = service.serve(&mut shop);
    let degraded = |reply: &crate::harness::Reply| reply.json()["troubles"].to_string().contains("search.encoder");
    let health = server.eventually("/health/ready", degraded).0;
    assert!(health.status == 200 && health.json()["troubles"].to_string().contains("401"), "{}", health.json());
    assert_eq!(ids(&search(&server, "oak")), ["p0"]);
    assert_eq!(search(&server, "settee")["total"], 0);
    assert_eq!(server.get("/v1/search/encoder")["used"], false);
    server.stop();
    // A folder that isn't there.
    let flags = ["search.encoder.kind=sentence", "search.encoder.folder=/nowhere"];
    let server = shop.serve(&["--set", flags[0], "--set", flags[1]]);
    let health = server.eventually("/health/ready", degraded).0;
    assert!(health.json()["troubles"].to_string().contains("/nowhere/config.json"), "{}", health.json());
    assert_eq!(ids(&search(&server, "oak")), ["p0"]);
}
