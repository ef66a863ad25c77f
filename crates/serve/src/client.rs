//! The API from the caller's side: over the network, or within the process over the same routes. For the command line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::app::App;
use crate::routes::router;

const TIMEOUT: Duration = Duration::from_secs(120);
/// Of an answer; lists of the API stay far below.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}: expected http://HOST:PORT, the address at which the server listens")]
    Address(String),
    #[error("no server answers at {url}: {detail}")]
    Unreachable { url: String, detail: String },
    #[error("{0}: this is not an answer of Merx")]
    Garbled(String),
    /// Title, detail and hint of the problem document.
    #[error("{0}")]
    Refused(String),
}

/// Sends requests as JSON and reads answers as JSON.
pub enum Client {
    /// Over HTTP, a connection a request.
    Remote { host: String, key: String },
    /// The routes themselves.
    Within { app: Arc<App>, runtime: tokio::runtime::Runtime, key: String },
}

impl Client {
    /// `url` is `http://HOST:PORT`. There is no TLS in here: from afar, ask through a tunnel.
    pub fn remote(url: &str, key: &str) -> Result<Self, ClientError> {
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let host = host.filter(|host| !host.is_empty() && !host.contains('/'));
        let host = host.ok_or_else(|| ClientError::Address(url.to_owned()))?;
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        Ok(Self::Remote { host, key: key.to_owned() })
    }

    pub fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask("POST", path, Some(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask("PUT", path, Some(body))
    }

    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.ask("DELETE", path, None).map(|_| ())
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, bytes) = match self {
            Self::Remote { host, key } => over_http(host, key, method, path, &body)?,
            Self::Within { app, runtime, key } => runtime.block_on(within(app, key, method, path, body))?,
        };
        if status == 204 {
            return Ok(Value::Null);
        }
        let answer: Value =
            serde_json::from_slice(&bytes).map_err(|_| ClientError::Garbled(format!("{method} {path}: {status}")))?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(ClientError::Refused(problem_words(&answer))) }
    }
}

fn problem_words(problem: &Value) -> String {
    let word = |name: &str| problem[name].as_str().filter(|word| !word.is_empty());
    let mut words: Vec<String> = ["title", "detail"].into_iter().filter_map(word).map(str::to_owned).collect();
    let mistakes = problem["errors"].as_array().into_iter().flatten();
    words.extend(
        mistakes.filter_map(|mistake| Some(format!("{}: {}", mistake["at"].as_str()?, mistake["detail"].as_str()?))),
    );
    words.extend(word("hint").map(str::to_owned));
    words.join(". ")
}

/// HTTP/1.0: the answer ends with the connection, so there is nothing to learn of chunks.
fn over_http(host: &str, key: &str, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>), ClientError> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange()
        .map_err(|error| ClientError::Unreachable { url: format!("http://{host}"), detail: error.to_string() })?;
    split_answer(&answer).ok_or_else(|| ClientError::Garbled(format!("{method} http://{host}{path}")))
}

/// Status and body.
fn split_answer(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]);
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_vec()))
}

async fn within(
    app: &Arc<App>,
    key: &str,
    method: &str,
    path: &str,
    body: String,
) -> Result<(u16, Vec<u8>), ClientError> {
    let garbled = |detail: String| ClientError::Garbled(format!("{method} {path}: {detail}"));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|error| garbled(error.to_string()))?;
    let Ok(response) = router(app).oneshot(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| garbled(error.to_string()))?;
    Ok((status, body.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        let host = |url| match Client::remote(url, "key") {
            Ok(Client::Remote { host, .. }) => Some(host),
            _ => None,
        };
        assert_eq!(host("http://127.0.0.1:8080").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(host("http://shop.example/").as_deref(), Some("shop.example:80"));
        for wrong in ["https://shop.example", "127.0.0.1:8080", "http://", "http://shop.example/merx"] {
            assert_eq!(host(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_are_split() {
        assert_eq!(split_answer(b"HTTP/1.0 202 Accepted\r\nA: b\r\n\r\n{}"), Some((202, b"{}".to_vec())));
        assert_eq!(split_answer(b"HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(split_answer(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}
