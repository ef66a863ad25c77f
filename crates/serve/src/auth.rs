//! Who calls, and how far they reach.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::App;
use crate::keys::{ApiKey, Scope};
use crate::problem::{Code, Problem};
use crate::roles::Right;
use crate::session;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Holders of a key of this scope or a wider one.
    Key(Scope),
    /// As a public key; but the tracking API's clients may name it in the body, so the handler looks.
    WriteKey,
    /// As `Key`, sent the way that Algolia's clients do: in a header of their own or in the address.
    FrontEnd(Scope),
}

/// What a route asks of its callers.
#[derive(Clone, Copy)]
pub(crate) struct Need<'n> {
    pub(crate) access: Access,
    /// For keys of roles: the part of the API, and whether it is changed.
    pub(crate) part: &'n str,
    pub(crate) right: Right,
}

/// The key of a call; `None` where a write key is still to be found in the body.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Option<Arc<ApiKey>>);

/// Lets a call through or says why not.
pub(crate) fn check(app: &App, need: Need<'_>, request: &Request) -> Result<Caller, Problem> {
    let access = need.access;
    let headers = request.headers();
    let scope = match access {
        Access::Open => return Ok(Caller(None)),
        Access::WriteKey => return check_sender(app, sent_key(headers).as_deref()),
        Access::Key(scope) | Access::FrontEnd(scope) => scope,
    };
    let of_front_end =
        || front_end_key(headers, request.uri().query()).filter(|_| matches!(access, Access::FrontEnd(_)));
    let key = match of_front_end().or_else(|| sent_key(headers)) {
        Some(text) => app.parts.keys.find(&text).ok_or_else(|| Problem::new(Code::UnknownKey))?,
        None => session::key_of(app, request)?.ok_or_else(|| Problem::new(Code::MissingKey))?,
    };
    if !may(key.scope, need) {
        let detail = match key.scope {
            Scope::Role(role) => {
                let verb = if need.right == Right::Read { "read" } else { "change" };
                format!("the role {} may not {verb} {}", role.name(), need.part)
            }
            other => format!("this needs a {} key, the one sent is {}", scope.name(), other.name()),
        };
        return Err(Problem::because(Code::Forbidden, detail));
    }
    spend(app, key).map(|key| Caller(Some(key)))
}

/// Whether a key of this scope opens the route.
pub(crate) fn may(scope: Scope, need: Need<'_>) -> bool {
    match (scope, need.access) {
        (_, Access::Open) => true,
        (Scope::Role(role), Access::WriteKey) => role.may(need.part, Right::Change),
        (_, Access::WriteKey) => true,
        (Scope::Role(role), _) => role.may(need.part, need.right),
        (scope, Access::Key(least) | Access::FrontEnd(least)) => scope.reaches(least),
    }
}

/// Who sends events with this key in a header; a call without a known one may name it in its body.
pub(crate) fn check_sender(app: &App, sent: Option<&str>) -> Result<Caller, Problem> {
    match sent.and_then(|text| app.parts.keys.find(text)) {
        Some(key) => may_write(&key).and_then(|()| spend(app, key)).map(|key| Caller(Some(key))),
        None => Ok(Caller(None)),
    }
}

/// The key that a tracking call named in its body.
pub(crate) fn check_write_key(app: &App, text: Option<&str>) -> Result<Arc<ApiKey>, Problem> {
    let text = text.ok_or_else(|| Problem::new(Code::MissingKey))?;
    let key = app.parts.keys.find(text).ok_or_else(|| Problem::new(Code::UnknownKey))?;
    may_write(&key)?;
    spend(app, key)
}

/// Events come from pages and servers, not from people of the console.
fn may_write(key: &ApiKey) -> Result<(), Problem> {
    match key.scope {
        Scope::Role(role) if !role.may("events", Right::Change) => {
            Err(Problem::because(Code::Forbidden, format!("the role {} sends no events", role.name())))
        }
        _ => Ok(()),
    }
}

/// Whether the shop itself stands behind what comes with this key.
pub(crate) fn vouches(app: &App, key: &ApiKey) -> bool {
    key.scope.reaches(Scope::Secret) || app.parts.settings.public_keys_list_products
}

fn spend(app: &App, key: Arc<ApiKey>) -> Result<Arc<ApiKey>, Problem> {
    match key.take(&app.parts.settings.rate_limit, app.parts.clock.now()) {
        Ok(()) => Ok(key),
        Err(seconds) => Err(Problem::new(Code::RateLimited).retry_after(seconds)),
    }
}

/// `Authorization: Bearer KEY`, `Authorization: Basic base64(KEY:)` or `X-API-Key: KEY`.
pub(crate) fn sent_key(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok().map(|key| key.trim().to_owned());
    }
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        return decoded.split(':').next().map(str::to_owned);
    }
    None
}

/// `x-algolia-api-key`, as a header or in the address, in whatever case. The application's id says nothing here.
fn front_end_key(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    const NAME: &str = "x-algolia-api-key";
    if let Some(key) = headers.get(NAME) {
        return key.to_str().ok().map(|key| key.trim().to_owned());
    }
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(NAME)).map(|(_, key)| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(name: &'static str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        sent_key(&headers)
    }

    #[test]
    fn front_ends_put_keys_into_the_address() {
        let key = |query| front_end_key(&HeaderMap::new(), query);
        assert_eq!(key(Some("a=1&X-Algolia-API-Key=mx_pub_1&b")).as_deref(), Some("mx_pub_1"));
        assert_eq!(key(Some("x-algolia-agent=x")), None);
        assert_eq!(key(None), None);
    }

    #[test]
    fn keys_are_found_where_clients_put_them() {
        assert_eq!(key_of("authorization", "Bearer mx_sec_1").as_deref(), Some("mx_sec_1"));
        assert_eq!(key_of("authorization", "bearer  mx_sec_1 ").as_deref(), Some("mx_sec_1"));
        assert_eq!(key_of("authorization", "Basic bXhfcHViXzE6").as_deref(), Some("mx_pub_1"));
        assert_eq!(key_of("authorization", "Basic bXhfcHViXzE=").as_deref(), Some("mx_pub_1"));
        assert_eq!(key_of("x-api-key", "mx_adm_1").as_deref(), Some("mx_adm_1"));
        assert_eq!(key_of("authorization", "Basic %%%"), None);
        assert_eq!(key_of("authorization", "Digest x"), None);
        assert_eq!(key_of("authorization", "Bearer"), None);
    }
}
