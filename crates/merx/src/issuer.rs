//! The issuer that people sign in to the console by: its configuration, and calls of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use merx_serve::{IssuerCalls, Oidc, OidcSettings, Scope};

use crate::config::OidcConfig;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Discovery documents, keys and tokens have some kilobytes.
const MOST_BYTES: u64 = 1 << 20;

/// `None` where no issuer is configured; one that can't be used is an error at start and not at the first sign-in.
pub(crate) fn of(config: &OidcConfig) -> Result<Option<Arc<Oidc>>> {
    if config.issuer.is_empty() {
        return Ok(None);
    }
    let mut roles = BTreeMap::new();
    for (held, name) in &config.roles {
        let Some(Scope::Role(role)) = Scope::from_name(name) else {
            bail!("oidc.roles.{held}: {name:?} is none of owner, merchandiser, analyst, support, auditor");
        };
        roles.insert(held.clone(), role);
    }
    let settings = OidcSettings {
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret: std::env::var("MERX_OIDC_SECRET").ok().filter(|secret| !secret.is_empty()),
        public_url: config.public_url.trim_end_matches('/').to_owned(),
        label: config.label.clone(),
        scopes: config.scopes.clone(),
        name_claim: config.name_claim.clone(),
        roles_claim: config.roles_claim.clone(),
        roles,
    };
    match Oidc::new(settings, Arc::new(Calls::new())) {
        Ok(oidc) => Ok(Some(Arc::new(oidc))),
        Err(why) => bail!("oidc: {why}"),
    }
}

struct Calls(ureq::Agent);

impl Calls {
    fn new() -> Self {
        // An issuer that sends elsewhere is not the one that was configured.
        Self(ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).build().into())
    }
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    let read = response.body_mut().with_config().limit(MOST_BYTES).read_to_string();
    read.map_err(|error| error.to_string())
}

impl IssuerCalls for Calls {
    fn get(&self, url: &str) -> Result<String, String> {
        read(self.0.get(url).header("accept", "application/json").call())
    }

    fn post(&self, url: &str, authorization: Option<&str>, form: &str) -> Result<String, String> {
        let mut request = self.0.post(url).header("accept", "application/json");
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        read(request.send(form))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with that; returns what was asked.
    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            while !String::from_utf8_lossy(&asked).ends_with("code=1") && !asked.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap().to_lowercase()
        });
        (address, thread)
    }

    #[test]
    fn forms_are_posted_and_redirects_are_failures() {
        let (address, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
        assert_eq!(Calls::new().get(&address).unwrap(), "{}");
        assert!(asked.join().unwrap().starts_with("get / http/1.1"));
        let moved =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (address, asked) = answering(moved);
        assert!(Calls::new().post(&address, Some("Basic x"), "code=1").is_err());
        let asked = asked.join().unwrap();
        assert!(asked.contains("authorization: basic x") && asked.contains("x-www-form-urlencoded"), "{asked}");
    }
}
