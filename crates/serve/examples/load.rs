//! Measures a running server: requests a second and latencies over keep-alive connections.
//!
//! `load ADDRESS KEY recommend|events [SECONDS] [CONNECTIONS]`: one slot of ten products each, or batches of 500 events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BATCH: usize = 500;

fn recommend(number: u64) -> String {
    let visitor = number % 10_000;
    format!("{{\"anonymous_id\":\"visitor-{visitor}\",\"slots\":[{{\"scenario\":\"for_you\",\"count\":10}}]}}")
}

fn events(number: u64, run: u32) -> String {
    let event = |place: usize| {
        let id = number * BATCH as u64 + place as u64;
        let (visitor, product) = (id % 5_000, id % 200 + 1);
        format!(
            "{{\"type\":\"track\",\"event\":\"Product Viewed\",\"anonymousId\":\"visitor-{visitor}\",\
             \"messageId\":\"load-{run}-{id}\",\"properties\":{{\"product_id\":\"p{product}\",\"price\":18.99,\
             \"currency\":\"EUR\"}},\"context\":{{\"locale\":\"de-DE\",\"page\":{{\"path\":\"/p{product}\"}}}}}}"
        )
    };
    let batch: Vec<String> = (0..BATCH).map(event).collect();
    format!("{{\"batch\":[{}]}}", batch.join(","))
}

/// Sends until the time is over; returns the latencies in microseconds.
fn drive(address: &str, key: &str, kind: &str, first: u64, step: u64, until: Instant) -> std::io::Result<Vec<u64>> {
    let mut writer = TcpStream::connect(address)?;
    writer.set_nodelay(true)?;
    let mut reader = BufReader::new(writer.try_clone()?);
    let path = if kind == "events" { "/v1/batch" } else { "/v1/recommend" };
    let (mut number, mut latencies, run) = (first, Vec::new(), std::process::id());
    while now() < until {
        let body = if kind == "events" { events(number, run) } else { recommend(number) };
        number += step;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: load\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = now();
        writer.write_all(request.as_bytes())?;
        let (status, body) = answer(&mut reader)?;
        latencies.push(sent.elapsed().as_micros() as u64);
        if status != 200 {
            println!("{status}: {}", String::from_utf8_lossy(&body));
            break;
        }
    }
    Ok(latencies)
}

fn answer(reader: &mut impl BufRead) -> std::io::Result<(u16, Vec<u8>)> {
    let (mut status, mut length) = (0, 0);
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let head = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = head.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap_or(0);
        } else if let Some(rest) = head.strip_prefix("content-length: ") {
            length = rest.parse().unwrap_or(0);
        } else if head.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            return Ok((status, body));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch is what this program is")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, kind, ..] = arguments.as_slice() else {
        eprintln!("load ADDRESS KEY recommend|events [SECONDS] [CONNECTIONS]");
        return Ok(());
    };
    let number = |place: usize, default: u64| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, connections) = (number(3, 5), number(4, 8));
    let begun = now();
    let until = begun + Duration::from_secs(seconds);
    let mut latencies = Vec::new();
    std::thread::scope(|scope| -> std::io::Result<()> {
        let drivers: Vec<_> = (0..connections)
            .map(|first| scope.spawn(move || drive(address, key, kind, first, connections, until)))
            .collect();
        for driver in drivers {
            latencies.extend(driver.join().unwrap_or_else(|_| Ok(Vec::new()))?);
        }
        Ok(())
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(0) as f64 / 1_000.0;
    let per_s = latencies.len() as f64 / elapsed;
    println!("{{\"metric\": \"requests_per_s\", \"value\": {per_s:.0}, \"set\": \"{kind}\", \"connections\": {connections}}}");
    if kind == "events" {
        println!("{{\"metric\": \"events_per_s\", \"value\": {:.0}, \"set\": \"{kind}\"}}", per_s * BATCH as f64);
    }
    for (name, share) in [("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)] {
        println!("{{\"metric\": \"{name}\", \"value\": {:.3}, \"set\": \"{kind}\"}}", at(share));
    }
    Ok(())
}
