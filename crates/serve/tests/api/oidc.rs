//! Sign-in by an issuer: a small one stands in the test, with keys, codes and tokens of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use merx_domain::{Clock, HOUR_MS, ManualClock};
use merx_serve::{IssuerCalls, Oidc, OidcSettings, Role};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{NOW, Shop, settings};
use crate::{Reply, call, request, send};

const ISSUER: &str = "https://id.example/realms/shop";

/// Knows one person at a time, and exchanges each code once against the right verifier.
struct Issuer {
    clock: Arc<ManualClock>,
    key: Mutex<(String, EcdsaKeyPair)>,
    claims: Mutex<Value>,
    /// Nonce and challenge by code.
    codes: Mutex<HashMap<String, (String, String)>>,
    away: AtomicBool,
}

fn key_pair() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap()
}

fn decoded(text: &str) -> HashMap<String, String> {
    let value = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, text)| (name.to_owned(), value(text))).collect()
}

impl Issuer {
    fn new(clock: Arc<ManualClock>) -> Self {
        let claims = json!({"sub": "7", "email": "anna@shop.example", "email_verified": true, "groups": ["everybody", "merx-analysts"]});
        Self {
            clock,
            key: Mutex::new(("k1".to_owned(), key_pair())),
            claims: Mutex::new(claims),
            codes: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    /// Somebody signs in at the page that they were sent to: the code that they are sent back with.
    fn sign_in(&self, page: &str) -> (String, HashMap<String, String>) {
        let (place, query) = page.split_once('?').unwrap();
        assert_eq!(place, format!("{ISSUER}/auth"));
        let asked = decoded(query);
        let code = format!("code-{}", self.codes.lock().len());
        self.codes.lock().insert(code.clone(), (asked["nonce"].clone(), asked["code_challenge"].clone()));
        (code, asked)
    }

    fn token(&self, nonce: &str) -> String {
        let key = self.key.lock();
        let now_s = self.clock.now().0 / 1_000;
        let mut claims = json!({"iss": ISSUER, "aud": "merx", "nonce": nonce, "iat": now_s, "exp": now_s + 300});
        claims.as_object_mut().unwrap().extend(self.claims.lock().as_object().unwrap().clone());
        let head = json!({"alg": "ES256", "kid": key.0});
        let signed = [&head, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = key.1.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

impl IssuerCalls for Issuer {
    fn get(&self, url: &str) -> Result<String, String> {
        if self.away.load(Ordering::Relaxed) {
            return Err("no route to host".to_owned());
        }
        let key = self.key.lock();
        let point = key.1.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        match url.strip_prefix(ISSUER).unwrap() {
            "/.well-known/openid-configuration" => Ok(json!({
                "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/auth"), "token_endpoint": format!("{ISSUER}/token"),
                "jwks_uri": format!("{ISSUER}/keys"), "scopes_supported": ["openid"],
            })
            .to_string()),
            "/keys" => Ok(json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": key.0, "use": "sig", "x": x, "y": y}]}).to_string()),
            other => panic!("{other} is asked for"),
        }
    }

    fn post(&self, url: &str, authorization: Option<&str>, form: &str) -> Result<String, String> {
        assert_eq!(url, format!("{ISSUER}/token"));
        assert_eq!(authorization, Some(format!("Basic {}", STANDARD.encode("merx:a%20secret")).as_str()));
        let form = decoded(form);
        assert_eq!((form["grant_type"].as_str(), form["client_id"].as_str()), ("authorization_code", "merx"));
        assert_eq!(form["redirect_uri"], "https://shop.example/v1/session/oidc/callback");
        let (nonce, challenge) = self.codes.lock().remove(&form["code"]).ok_or("invalid_grant")?;
        let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
        if proof != challenge {
            return Err("invalid_grant".to_owned());
        }
        Ok(json!({"access_token": "of no use", "token_type": "Bearer", "id_token": self.token(&nonce)}).to_string())
    }
}

struct Company {
    shop: Shop,
    issuer: Arc<Issuer>,
}

fn oidc_settings() -> OidcSettings {
    let roles = [("merx-owners", Role::Owner), ("merx-analysts", Role::Analyst)];
    OidcSettings {
        issuer: ISSUER.to_owned(),
        client_id: "merx".to_owned(),
        client_secret: Some("a secret".to_owned()),
        public_url: "https://shop.example".to_owned(),
        label: "Company account".to_owned(),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        name_claim: "email".to_owned(),
        roles_claim: "groups".to_owned(),
        roles: roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect::<BTreeMap<_, _>>(),
    }
}

impl Company {
    fn open() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let issuer = Arc::new(Issuer::new(Arc::clone(&clock)));
        let calls: Arc<dyn IssuerCalls> = Arc::clone(&issuer) as _;
        let oidc = Arc::new(Oidc::new(oidc_settings(), calls).unwrap());
        let shop = Shop::with_sign_in(settings(), oidc, clock);
        Self { shop, issuer }
    }

    /// Sent to the issuer: the page there, and what the browser keeps.
    async fn leave(&self) -> (String, String) {
        let reply = call(&self.shop, "GET", "/v1/session/oidc", "", None).await;
        assert_eq!((reply.status, reply.header("cache-control")), (303, "no-store"));
        let cookie = reply.header("set-cookie");
        for part in ["HttpOnly", "SameSite=Lax", "Path=/v1/session/oidc/callback"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        (reply.header("location").to_owned(), cookie.split(';').next().unwrap().to_owned())
    }

    async fn back(&self, query: &str, cookie: &str) -> Reply {
        let asked = request("GET", &format!("/v1/session/oidc/callback?{query}"), "").header("cookie", cookie);
        send(&self.shop, asked.body(Body::empty()).unwrap()).await
    }

    async fn signed_in(&self) -> Reply {
        let (page, cookie) = self.leave().await;
        let (code, asked) = self.issuer.sign_in(&page);
        self.back(&format!("code={code}&state={}&session_state=x", asked["state"]), &cookie).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Reply {
        send(&self.shop, request("GET", path, "").header("cookie", cookie).body(Body::empty()).unwrap()).await
    }
}

fn session_of(reply: &Reply) -> String {
    assert_eq!((reply.status, reply.header("location")), (303, "/console"));
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn refusal(reply: &Reply) -> String {
    assert_eq!(reply.status, 303);
    reply.header("location").strip_prefix("/console?refused=").expect("nobody is signed in").to_owned()
}

#[tokio::test]
async fn the_issuer_says_who_comes_and_how_far() {
    let company = Company::open();
    let offered = call(&company.shop, "GET", "/v1/session", "", None).await.ok();
    assert_eq!((&offered["signed_in"], &offered["issuer"]), (&json!(false), &json!("Company account")));
    let (page, _) = company.leave().await;
    let (_, asked) = company.issuer.sign_in(&page);
    for (name, value) in [("response_type", "code"), ("scope", "openid email"), ("code_challenge_method", "S256")] {
        assert_eq!(asked[name], value);
    }

    let reply = company.signed_in().await;
    let cookie = session_of(&reply);
    assert!(reply.header("set-cookie").contains("SameSite=Strict"), "a session's cookie as after a password");
    let session = company.get("/v1/session", &cookie).await.ok();
    assert_eq!((&session["scope"], &session["label"]), (&json!("analyst"), &json!("anna@shop.example")));
    assert_eq!(session["has_password"], false);
    assert_eq!(company.get("/v1/products", &cookie).await.status, 200);
    company.get("/v1/keys", &cookie).await.problem(403, "forbidden");

    // The widest role of several; and the audit log names people as the issuer does.
    company.issuer.claims.lock()["groups"] = json!(["merx-analysts", "merx-owners"]);
    let cookie = session_of(&company.signed_in().await);
    let session = company.get("/v1/session", &cookie).await.ok();
    assert_eq!(session["scope"], "owner");
    let rule = request("PUT", "/v1/users/uma", "").header("cookie", &cookie).header("content-type", "application/json");
    let rule = rule.header("x-csrf-token", session["csrf_token"].as_str().unwrap());
    let body = json!({"role": "auditor", "password": "four words are a good one"}).to_string();
    send(&company.shop, rule.body(Body::from(body)).unwrap()).await.ok();
    let audit = company.get("/v1/audit", &cookie).await.ok();
    assert_eq!(audit["items"].as_array().unwrap().last().unwrap()["actor"], "person anna@shop.example");
}

#[tokio::test]
async fn a_sign_in_is_one_browsers_and_good_once() {
    let company = Company::open();
    let (page, cookie) = company.leave().await;
    let (code, asked) = company.issuer.sign_in(&page);
    let query = format!("code={code}&state={}", asked["state"]);
    // A link that somebody else began, opened in a browser that didn't.
    assert_eq!(refusal(&company.back(&query, "").await), "expired");
    assert_eq!(refusal(&company.back(&query, &cookie).await), "expired", "and it is used up");
    assert_eq!(refusal(&company.back(&format!("code={code}&state=guessed"), &cookie).await), "expired");

    let (page, cookie) = company.leave().await;
    let (code, asked) = company.issuer.sign_in(&page);
    company.shop.clock.set(NOW.plus_ms(HOUR_MS));
    let late = company.back(&format!("code={code}&state={}", asked["state"]), &cookie).await;
    assert_eq!(refusal(&late), "expired");

    let (page, cookie) = company.leave().await;
    let state = company.issuer.sign_in(&page).1["state"].clone();
    assert_eq!(refusal(&company.back(&format!("error=access_denied&state={state}"), &cookie).await), "denied");
}

#[tokio::test]
async fn who_has_no_role_or_no_proven_name_stays_outside() {
    let company = Company::open();
    let with = async |name: &str, value: Value| {
        company.issuer.claims.lock()[name] = value;
        refusal(&company.signed_in().await)
    };
    assert_eq!(with("groups", json!(["everybody"])).await, "no_role");
    assert_eq!(with("groups", Value::Null).await, "no_role");
    assert_eq!(with("email_verified", json!(false)).await, "nameless");
    assert_eq!(with("email", Value::Null).await, "nameless");
    // What the token says of itself is not overridden with impunity.
    assert_eq!(with("aud", json!("another")).await, "token");
    let plain = Shop::open();
    call(&plain, "GET", "/v1/session/oidc", "", None).await.problem(404, "not_found");
    call(&plain, "GET", "/v1/session/oidc/callback?state=x&code=y", "", None).await.problem(404, "not_found");
}

#[tokio::test]
async fn keys_may_change_and_the_issuer_may_be_away() {
    let company = Company::open();
    session_of(&company.signed_in().await);
    *company.issuer.key.lock() = ("k2".to_owned(), key_pair());
    // Read a moment ago: they are believed for a minute, then read again for a key that nobody knows.
    assert_eq!(refusal(&company.signed_in().await), "token");
    company.shop.clock.set(NOW.plus_ms(61_000));
    session_of(&company.signed_in().await);
    company.issuer.away.store(true, Ordering::Relaxed);
    session_of(&company.signed_in().await);
    company.shop.clock.set(NOW.plus_ms(2 * HOUR_MS));
    assert_eq!(refusal(&call(&company.shop, "GET", "/v1/session/oidc", "", None).await), "unreachable");
}

#[tokio::test]
async fn what_an_issuer_said_holds_twelve_hours_however_busy_one_is() {
    let company = Company::open();
    let cookie = session_of(&company.signed_in().await);
    for hours in [6, 11] {
        company.shop.clock.set(NOW.plus_ms(hours * HOUR_MS));
        assert_eq!(company.get("/v1/products", &cookie).await.status, 200);
    }
    company.shop.clock.set(NOW.plus_ms(12 * HOUR_MS));
    company.get("/v1/products", &cookie).await.problem(401, "missing_key");
}
