//! Sign-in to the console by an issuer of the shop's own: OpenID Connect's authorization code flow with PKCE (RFC 7636), addresses by
//! discovery, roles from a claim.
//!
//! Merx keeps no list of such people: who comes, as whom and how far, the issuer says at each sign-in. What is under way waits in
//! memory, bound to the browser that began it.

mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use merx_domain::{HOUR_MS, MINUTE_MS, TimestampMs};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::body::{Query, blocking};
use crate::keys::{ApiKey, KeyError, Scope, random_token};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::roles::Role;
use crate::routes::Shared;
use crate::session::{self, cookie, secure};
use token::{Expected, KeySet, TokenError};

const COOKIE: &str = "merx_oidc";
/// Where the issuer sends people back to; the client's registration there names it.
pub const CALLBACK: &str = "/v1/session/oidc/callback";
/// Somebody who began to sign in has so long to do it.
const PATIENCE_MS: i64 = 10 * MINUTE_MS;
/// Who began longest ago makes room.
const MOST_PENDING: usize = 1_000;
/// How long the issuer's addresses and keys are believed.
const FRESH_MS: i64 = HOUR_MS;
/// A token by an unknown key has the keys read again, so often at most.
const READ_AGAIN_MS: i64 = MINUTE_MS;
/// What the issuer says of a person holds so long; then they sign in again.
const SESSION_MS: i64 = 12 * HOUR_MS;
const MAX_NAME_BYTES: usize = 100;

/// Calls of the issuer; each ends after some seconds, follows no redirect and reads a bounded answer.
pub trait IssuerCalls: Send + Sync {
    fn get(&self, url: &str) -> Result<String, String>;
    /// A form, with a client's name and secret as basic authorization where it has one.
    fn post(&self, url: &str, authorization: Option<&str>, form: &str) -> Result<String, String>;
}

pub struct OidcSettings {
    /// As its discovery document names itself.
    pub issuer: String,
    pub client_id: String,
    /// None of a public client: then PKCE alone proves who asks.
    pub client_secret: Option<String>,
    /// The address of this server as people reach it, without a slash at the end.
    pub public_url: String,
    /// What the console calls it.
    pub label: String,
    pub scopes: Vec<String>,
    /// The claim that names people, in the audit log too.
    pub name_claim: String,
    /// The claim whose values roles are made from; dots lead into objects.
    pub roles_claim: String,
    pub roles: BTreeMap<String, Role>,
}

/// Why nobody was signed in; a word for the console and one for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    #[error("this sign-in is not under way in this browser, or took too long")]
    NotUnderWay,
    #[error("the issuer refused: {0}")]
    Denied(String),
    #[error("the issuer can't be asked: {0}")]
    Unreachable(String),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the claim {0} names nobody")]
    Nameless(String),
    #[error("none of the person's roles is one of the console")]
    NoRole,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl OidcError {
    fn word(&self) -> &'static str {
        match self {
            Self::NotUnderWay => "expired",
            Self::Denied(_) => "denied",
            Self::Unreachable(_) | Self::Key(_) => "unreachable",
            Self::Token(_) => "token",
            Self::Nameless(_) => "nameless",
            Self::NoRole => "no_role",
        }
    }
}

/// What discovery says (OpenID Connect Discovery 1.0, 3).
#[derive(Clone, Deserialize)]
struct Addresses {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

struct Provider {
    addresses: Addresses,
    keys: KeySet,
    read_at: TimestampMs,
}

struct Pending {
    nonce: String,
    verifier: String,
    browser: [u8; 32],
    begun_at: TimestampMs,
}

/// Where somebody is sent, and what their browser keeps until they come back.
struct Departure {
    url: String,
    browser: String,
}

struct Person {
    name: String,
    role: Role,
    /// Tells two people of one name apart.
    subject: String,
}

pub struct Oidc {
    settings: OidcSettings,
    calls: Arc<dyn IssuerCalls>,
    provider: Mutex<Option<Arc<Provider>>>,
    /// By the hash of the state.
    pending: Mutex<HashMap<[u8; 32], Pending>>,
}

impl Oidc {
    /// Refused where codes or tokens would cross a network in the clear.
    pub fn new(settings: OidcSettings, calls: Arc<dyn IssuerCalls>) -> Result<Self, String> {
        for address in [&settings.issuer, &settings.public_url] {
            if !is_private(address) {
                return Err(format!("{address} is neither https nor an address of this machine"));
            }
        }
        if settings.client_id.is_empty() || settings.roles.is_empty() {
            return Err("a client_id and at least one role are needed".to_owned());
        }
        Ok(Self { settings, calls, provider: Mutex::default(), pending: Mutex::default() })
    }

    pub(crate) fn label(&self) -> &str {
        &self.settings.label
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.settings.public_url)
    }

    fn begin(&self, now: TimestampMs) -> Result<Departure, OidcError> {
        let provider = self.provider(now, FRESH_MS)?;
        let [state, nonce, verifier, browser] = [random_token()?, random_token()?, random_token()?, random_token()?];
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.redirect_uri()),
            ("scope", &self.settings.scopes.join(" ")),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let address = &provider.addresses.authorization_endpoint;
        let joint = if address.contains('?') { '&' } else { '?' };
        let url = format!("{address}{joint}{query}");
        let mut pending = self.pending.lock();
        pending.retain(|_, one| now.since(one.begun_at) < PATIENCE_MS);
        if pending.len() >= MOST_PENDING
            && let Some(oldest) = pending.iter().min_by_key(|(_, one)| one.begun_at).map(|(state, _)| *state)
        {
            pending.remove(&oldest);
        }
        pending.insert(hash(&state), Pending { nonce, verifier, browser: hash(&browser), begun_at: now });
        Ok(Departure { url, browser })
    }

    /// Somebody came back with a code. A state is good once.
    fn finish(&self, state: &str, code: &str, browser: &str, now: TimestampMs) -> Result<Person, OidcError> {
        let begun = self.pending.lock().remove(&hash(state)).ok_or(OidcError::NotUnderWay)?;
        if begun.browser != hash(browser) || now.since(begun.begun_at) >= PATIENCE_MS {
            return Err(OidcError::NotUnderWay);
        }
        let provider = self.provider(now, FRESH_MS)?;
        let token = self.exchange(&provider, code, &begun.verifier)?;
        let expected =
            Expected { issuer: &self.settings.issuer, client_id: &self.settings.client_id, nonce: &begun.nonce, now };
        let claims = match provider.keys.verify(&token, &expected) {
            // Issuers change their keys.
            Err(TokenError::UnknownKey(_)) => self.provider(now, READ_AGAIN_MS)?.keys.verify(&token, &expected)?,
            found => found?,
        };
        self.person(&claims)
    }

    fn exchange(&self, provider: &Provider, code: &str, verifier: &str) -> Result<String, OidcError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let settings = &self.settings;
        let form = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri()),
            ("client_id", &settings.client_id),
            ("code_verifier", verifier),
        ]);
        // RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
        let authorization = settings.client_secret.as_ref().map(|secret| {
            let pair = format!("{}:{}", encoded(&settings.client_id), encoded(secret));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        });
        let answer = self.calls.post(&provider.addresses.token_endpoint, authorization.as_deref(), &form);
        let answer = answer.map_err(OidcError::Unreachable)?;
        let tokens: Tokens = serde_json::from_str(&answer)
            .map_err(|_| OidcError::Unreachable("its token endpoint answers without an ID token".to_owned()))?;
        Ok(tokens.id_token)
    }

    fn person(&self, claims: &Value) -> Result<Person, OidcError> {
        let settings = &self.settings;
        let name = at(claims, &settings.name_claim).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        // Anybody can claim an address that nobody has verified.
        let unproven = settings.name_claim == "email" && claims["email_verified"] == Value::Bool(false);
        if unproven || name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(OidcError::Nameless(settings.name_claim.clone()));
        }
        let held: Vec<&str> = match at(claims, &settings.roles_claim) {
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => one.split([' ', ',']).collect(),
            _ => Vec::new(),
        };
        let role = Role::ALL.into_iter().find(|role| held.iter().any(|held| settings.roles.get(*held) == Some(role)));
        let subject = claims["sub"].as_str().unwrap_or_default().to_owned();
        Ok(Person { name: name.to_owned(), role: role.ok_or(OidcError::NoRole)?, subject })
    }

    /// The issuer's addresses and keys, not older than that.
    fn provider(&self, now: TimestampMs, most_age_ms: i64) -> Result<Arc<Provider>, OidcError> {
        if let Some(known) = self.provider.lock().as_ref().filter(|known| now.since(known.read_at) < most_age_ms) {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(self.discover(now)?);
        *self.provider.lock() = Some(Arc::clone(&read));
        Ok(read)
    }

    fn discover(&self, now: TimestampMs) -> Result<Provider, OidcError> {
        let issuer = &self.settings.issuer;
        let unreachable = |why: String| OidcError::Unreachable(why);
        let read = |url: &str| self.calls.get(url).map_err(unreachable);
        let document = read(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        let addresses: Addresses =
            serde_json::from_str(&document).map_err(|error| unreachable(format!("its discovery document: {error}")))?;
        if addresses.issuer != *issuer {
            return Err(unreachable(format!("its discovery document is that of {:?}", addresses.issuer)));
        }
        let named = [&addresses.authorization_endpoint, &addresses.token_endpoint, &addresses.jwks_uri];
        if let Some(open) = named.into_iter().find(|address| !is_private(address)) {
            return Err(unreachable(format!("{open} is not https")));
        }
        let keys = serde_json::from_str(&read(&addresses.jwks_uri)?)
            .map_err(|error| unreachable(format!("its keys: {error}")))?;
        Ok(Provider { addresses, keys, read_at: now })
    }
}

/// A claim, or one within claims that are objects (`realm_access.roles`). A name that has dots itself is found first.
fn at<'c>(claims: &'c Value, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| path.split('.').try_fold(claims, |inside, name| inside.get(name)))
}

fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// Whether nobody on the way can read along: https, or this machine.
fn is_private(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return address.starts_with("https://") };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

// ---- Over HTTP ----

fn configured(app: &Shared) -> Result<Arc<Oidc>, Problem> {
    let oidc = app.parts.oidc.as_ref().ok_or_else(|| Problem::not_found("sign-in by", "oidc"))?;
    Ok(Arc::clone(oidc))
}

/// Somebody's browser is sent on; what it keeps is its own.
fn sent_to(place: &str, cookies: &[HeaderValue]) -> Result<Response, Problem> {
    let place = HeaderValue::from_str(place).map_err(|error| Problem::because(Code::Internal, error.to_string()))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    Ok(response)
}

fn refused(error: &OidcError) -> Result<Response, Problem> {
    tracing::warn!(%error, "nobody was signed in by the issuer");
    sent_to(&format!("/console?refused={}", error.word()), &[])
}

/// Lax, not strict: the issuer's page sends the browser back here.
fn browser_cookie(headers: &HeaderMap, token: &str, max_age_s: i64) -> HeaderValue {
    let secure = secure(headers);
    let text = format!("{COOKIE}={token}; Path={CALLBACK}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
    // A token is base64: always a header's value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Sign in by the issuer
///
/// Sends the browser to the OpenID Connect issuer of the configuration, which sends it back.
#[utoipa::path(get, path = "/v1/session/oidc", tag = "console",
    responses((status = 303, description = "To the issuer; or, where it can't be asked, to the console, which says so"),
        (status = 404, description = "None is configured", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn begin(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let oidc = configured(&app)?;
    blocking(move || match oidc.begin(app.parts.clock.now()) {
        Ok(left) => sent_to(&left.url, &[browser_cookie(&headers, &left.browser, PATIENCE_MS / 1_000)]),
        Err(error) => refused(&error),
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Return {
    #[param(value_type = Option<String>)]
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: Option<String>,
    /// The issuer's word for a refusal.
    #[serde(default)]
    error: Option<String>,
}

/// Where the issuer sends people back to
///
/// Exchanges the code for an ID token, checks it, and begins a session as far as the person's role reaches, for twelve hours at most.
#[utoipa::path(get, path = "/v1/session/oidc/callback", tag = "console", params(Return),
    responses((status = 303, description = "To the console, signed in or with the reason why not"),
        (status = 404, description = "None is configured", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn callback(
    State(app): State<Shared>,
    headers: HeaderMap,
    Query(back): Query<Return>,
) -> Result<Response, Problem> {
    let oidc = configured(&app)?;
    blocking(move || {
        let now = app.parts.clock.now();
        let browser = cookie(&headers, COOKIE).unwrap_or_default();
        let person = match back.code {
            Some(code) => oidc.finish(&back.state, &code, browser, now),
            None => Err(OidcError::Denied(back.error.unwrap_or_else(|| "it sent no code".to_owned()))),
        };
        match person {
            Ok(person) => {
                let marks = hash(&format!("{}\n{}", oidc.settings.issuer, person.subject));
                let key = ApiKey::of_issuer(&person.name, Scope::Role(person.role), now, marks);
                let cookie = session::begun(&app, &headers, Arc::new(key), Some(SESSION_MS))?;
                sent_to("/console", &[cookie, browser_cookie(&headers, "", 0)])
            }
            Err(error) => refused(&error),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_cross_no_network_in_the_clear() {
        for private in
            ["https://id.example/realms/shop", "http://localhost:8080", "http://127.0.0.1:9/x", "http://[::1]:9"]
        {
            assert!(is_private(private), "{private}");
        }
        for open in
            ["http://id.example", "http://localhost.example", "http://127.0.0.1.example/", "ftp://localhost", ""]
        {
            assert!(!is_private(open), "{open}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("a", "x y&z"), ("b", "ü~")]), "a=x%20y%26z&b=%C3%BC~");
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let claims = serde_json::json!({"https://shop.example/roles": ["a"], "realm_access": {"roles": ["b"]}});
        assert_eq!(at(&claims, "https://shop.example/roles").unwrap()[0], "a");
        assert_eq!(at(&claims, "realm_access.roles").unwrap()[0], "b");
        assert!(at(&claims, "realm_access.none").is_none());
    }
}
