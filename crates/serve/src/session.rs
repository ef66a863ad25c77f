//! Sessions of the console: who has shown a password or a key once is known by a cookie that no script can read.
//!
//! A session stands for its user or its key: it reaches as far, and ends when the user's role or password is another or
//! the key is revoked. Sessions live in memory, so a
//! restart of the server ends them. What a session changes needs the session's token in a header besides: a page of
//! another origin can make a browser send cookies, but not read the token.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use merx_domain::{HOUR_MS, TimestampMs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Answered, Json, blocking};
use crate::keys::{ApiKey, KeyError, Scope, random_token};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::roles::Right;
use crate::routes::{Shared, open_parts};

pub(crate) const COOKIE: &str = "merx_session";
const CSRF_HEADER: &str = "x-csrf-token";
/// A session that is not used for so long ends.
const IDLE_MS: i64 = 12 * HOUR_MS;
/// A console has few users; the session that was idle longest makes room.
const MOST_SESSIONS: usize = 1_000;

struct Session {
    key: Arc<ApiKey>,
    csrf_token: String,
    expires_at: TimestampMs,
}

/// By the hash of the cookie's token.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

impl Sessions {
    /// The new session's token.
    fn begin(&self, key: Arc<ApiKey>, now: TimestampMs) -> Result<String, KeyError> {
        let (token, csrf_token) = (random_token()?, random_token()?);
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| session.expires_at > now);
        if sessions.len() >= MOST_SESSIONS
            && let Some(idlest) = sessions.iter().min_by_key(|(_, session)| session.expires_at).map(|(hash, _)| *hash)
        {
            sessions.remove(&idlest);
        }
        let session = Session { key, csrf_token, expires_at: now.plus_ms(IDLE_MS) };
        sessions.insert(*blake3::hash(token.as_bytes()).as_bytes(), session);
        Ok(token)
    }

    /// What `look` sees in a session that goes on; it lives longer by being looked at.
    fn find<T>(&self, token: &str, now: TimestampMs, look: impl FnOnce(&Session) -> T) -> Option<T> {
        let mut sessions = self.0.lock();
        let session = sessions.get_mut(blake3::hash(token.as_bytes()).as_bytes())?;
        if session.expires_at <= now {
            return None;
        }
        session.expires_at = now.plus_ms(IDLE_MS);
        Some(look(session))
    }

    fn end(&self, token: &str) {
        self.0.lock().remove(blake3::hash(token.as_bytes()).as_bytes());
    }
}

/// The key that a request's session stands for; `None` without a session. A change must carry the session's token.
pub(crate) fn key_of(app: &App, request: &Request) -> Result<Option<Arc<ApiKey>>, Problem> {
    let Some(token) = cookie(request.headers()) else { return Ok(None) };
    let sent = request.headers().get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let looked = app.sessions.find(token, app.parts.clock.now(), |session| {
        (Arc::clone(&session.key), reads || bool::from(session.csrf_token.as_bytes().ct_eq(sent)))
    });
    let Some((key, proven)) = looked else { return Ok(None) };
    if !proven {
        return Err(Problem::new(Code::CsrfToken));
    }
    Ok(current(app, &key))
}

/// What a session stands for, as it is now; `None` where there is no such key or user any more.
fn current(app: &App, key: &ApiKey) -> Option<Arc<ApiKey>> {
    app.parts.keys.current(key).or_else(|| app.parts.users.current(key))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}

fn set_cookie(headers: &HeaderMap, token: &str, max_age_s: i64) -> HeaderValue {
    let secure = headers.get("x-forwarded-proto").is_some_and(|protocol| protocol.as_bytes() == b"https");
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    // A token is base64: always a header's value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A name and a password, or a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "anna", "password": "four words are a good one"}))]
pub(crate) struct SignIn {
    #[serde(default)]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    password: Option<String>,
    /// A secret or an admin key, or that of a role.
    #[serde(default)]
    #[schema(nullable = false)]
    key: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    signed_in: bool,
    /// How far the session reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<Scope>,
    /// The user's name or the key's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// To be sent as X-CSRF-Token with every call that changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    csrf_token: Option<String>,
    /// Parts of the API (tags of this document) whose every reading route it may call.
    reads: Vec<String>,
    /// Parts whose every route it may call.
    changes: Vec<String>,
}

fn describe(app: &App, token: Option<&str>) -> SessionAnswer {
    let now = app.parts.clock.now();
    let found = token.and_then(|token| {
        app.sessions.find(token, now, |session| (Arc::clone(&session.key), session.csrf_token.clone()))
    });
    let current = found.and_then(|(key, csrf_token)| Some((current(app, &key)?, csrf_token)));
    match current {
        Some((key, csrf_token)) => SessionAnswer {
            signed_in: true,
            scope: Some(key.scope),
            label: Some(key.label.clone()),
            csrf_token: Some(csrf_token),
            reads: open_parts(app, key.scope, Right::Read),
            changes: open_parts(app, key.scope, Right::Change),
        },
        None => SessionAnswer {
            signed_in: false,
            scope: None,
            label: None,
            csrf_token: None,
            reads: Vec::new(),
            changes: Vec::new(),
        },
    }
}

/// The session
///
/// Whether this browser is signed in, and as whom. Always answers, so that a page can ask before anybody has signed in.
#[utoipa::path(get, path = "/v1/session", tag = "console",
    responses((status = 200, description = "How things stand", body = SessionAnswer)))]
pub(crate) async fn get_session(State(app): State<Shared>, headers: HeaderMap) -> Response {
    private(Answered(describe(&app, cookie(&headers))).into_response())
}

/// Sign in
///
/// Shows a user's name and password, or a key, once; from then on an HttpOnly cookie stands for it, until it is idle for 12 hours,
/// the user's role or password is another, the key is revoked, or the server is started again. After five wrong passwords a name waits.
#[utoipa::path(post, path = "/v1/session", tag = "console", request_body = SignIn,
    responses((status = 200, description = "Signed in", body = SessionAnswer),
        (status = 400, description = "The body is not JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The key is not known, or the name or the password is another", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "A public key signs nobody in", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not said to be JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many sign-ins under this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The body has another form", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn begin_session(
    State(app): State<Shared>,
    headers: HeaderMap,
    Json(sign_in): Json<SignIn>,
) -> Result<Response, Problem> {
    let key = who(&app, sign_in).await?;
    if let Some(before) = cookie(&headers) {
        app.sessions.end(before);
    }
    let token = app.sessions.begin(key, app.parts.clock.now())?;
    let mut response = private(Answered(describe(&app, Some(&token))).into_response());
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(&headers, &token, IDLE_MS / 1_000));
    Ok(response)
}

async fn who(app: &Shared, sign_in: SignIn) -> Result<Arc<ApiKey>, Problem> {
    match sign_in {
        SignIn { key: Some(key), name: None, password: None } => {
            let key = app.parts.keys.find(key.trim()).ok_or_else(|| Problem::new(Code::UnknownKey))?;
            if !key.scope.reaches(Scope::Secret) {
                return Err(Problem::because(Code::Forbidden, "a public key stands in web pages; it signs nobody in"));
            }
            Ok(key)
        }
        SignIn { key: None, name: Some(name), password: Some(password) } => {
            let app = Arc::clone(app);
            blocking(move || {
                let user = app.parts.users.sign_in(name.trim(), &password, app.parts.clock.now())?;
                Ok(Arc::clone(&user.key))
            })
            .await
        }
        _ => Err(Problem::mistake("name", "wrong_form", "send a name and a password, or a key")),
    }
}

/// Sign out
#[utoipa::path(delete, path = "/v1/session", tag = "console",
    responses((status = 204, description = "Nobody is signed in here")))]
pub(crate) async fn end_session(State(app): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(token) = cookie(&headers) {
        app.sessions.end(token);
    }
    ([(header::SET_COOKIE, set_cookie(&headers, "", 0))], StatusCode::NO_CONTENT).into_response()
}

fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
