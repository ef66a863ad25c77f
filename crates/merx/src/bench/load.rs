//! A load generator: connections that are kept open, each with one request under way at a time (closed loop).

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const TIMEOUT: Duration = Duration::from_secs(30);

/// What is sent, how often.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    pub(super) key: &'a str,
    pub(super) path: &'a str,
    /// The body of the request with this number.
    pub(super) body: &'a (dyn Fn(u64) -> String + Sync),
    pub(super) connections: u64,
    pub(super) duration: Duration,
}

/// Latencies in microseconds, ascending.
pub(super) struct Measured {
    latencies_us: Vec<u64>,
    elapsed: Duration,
}

impl Measured {
    pub(super) fn count(&self) -> usize {
        self.latencies_us.len()
    }

    pub(super) fn per_s(&self) -> f64 {
        self.latencies_us.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let place = (self.latencies_us.len() as f64 * share) as usize;
        self.latencies_us.get(place).or(self.latencies_us.last()).map_or(0.0, |us| *us as f64 / 1e3)
    }
}

impl Load<'_> {
    /// Any answer but 200 ends the measurement: figures of failures are of no use.
    pub(super) fn drive(&self) -> Result<Measured> {
        let begun = now();
        let until = begun + self.duration;
        let latencies = std::thread::scope(|scope| {
            let connections: Vec<_> =
                (0..self.connections).map(|first| scope.spawn(move || self.connection(first, until))).collect();
            let mut all = Vec::new();
            for connection in connections {
                all.extend(connection.join().unwrap_or_else(|_| bail!("a connection of the load broke off"))?);
            }
            anyhow::Ok(all)
        });
        let elapsed = begun.elapsed();
        let mut latencies_us = latencies?;
        latencies_us.sort_unstable();
        Ok(Measured { latencies_us, elapsed })
    }

    fn connection(&self, first: u64, until: Instant) -> Result<Vec<u64>> {
        let mut writer = TcpStream::connect(self.address).context("connecting to the server")?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(TIMEOUT))?;
        let mut reader = BufReader::new(writer.try_clone()?);
        let mut latencies = Vec::new();
        for number in (first..).step_by(self.connections as usize) {
            let body = (self.body)(number);
            let request = format!(
                "POST {} HTTP/1.1\r\nhost: load\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                self.path,
                self.key,
                body.len()
            );
            let sent = now();
            if sent >= until {
                break;
            }
            writer.write_all(request.as_bytes())?;
            let (status, answer) = answer(&mut reader)?;
            latencies.push(sent.elapsed().as_micros() as u64);
            if status != 200 {
                bail!("{status}: {}", String::from_utf8_lossy(&answer));
            }
        }
        Ok(latencies)
    }
}

pub(super) fn answer(reader: &mut impl BufRead) -> Result<(u16, Vec<u8>)> {
    let (mut status, mut length) = (0, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        let head = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = head.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        } else if let Some(rest) = head.strip_prefix("content-length: ") {
            length = rest.parse().context("content-length")?;
        } else if head.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            return Ok((status, body));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch is what a load generator is")]
pub(super) fn now() -> Instant {
    Instant::now()
}
