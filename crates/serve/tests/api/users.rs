//! People who sign in with a password: their roles, their sessions, and how often they may try.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::{NOW, Shop};
use crate::{Reply, call, request, send};

const PASSWORD: &str = "four words are a good one";

async fn put(shop: &Shop, name: &str, body: Value) -> Reply {
    call(shop, "PUT", &format!("/v1/users/{name}"), &shop.admin, Some(body)).await
}

async fn sign_in(shop: &Shop, name: &str, password: &str) -> Reply {
    call(shop, "POST", "/v1/session", "", Some(json!({"name": name, "password": password}))).await
}

/// A browser's calls after a sign-in.
struct Signed {
    cookie: String,
    token: String,
}

impl Signed {
    async fn open(shop: &Shop, name: &str) -> Self {
        let reply = sign_in(shop, name, PASSWORD).await;
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { cookie, token: reply.ok()["csrf_token"].as_str().unwrap().to_owned() }
    }

    async fn ask(&self, shop: &Shop, method: &str, path: &str, body: Value, token: &str) -> Reply {
        let asked = request(method, path, "").header("cookie", &self.cookie).header("x-csrf-token", token);
        send(shop, asked.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()).await
    }

    async fn get(&self, shop: &Shop, path: &str) -> Reply {
        self.ask(shop, "GET", path, Value::Null, "").await
    }
}

#[tokio::test]
async fn a_user_reaches_as_far_as_the_role_and_changes_with_the_token() {
    let shop = Shop::open();
    put(&shop, "anna", json!({"role": "merchandiser", "password": PASSWORD})).await.ok();
    let anna = Signed::open(&shop, "anna").await;
    let session = anna.get(&shop, "/v1/session").await.ok();
    assert_eq!((&session["scope"], &session["label"]), (&json!("merchandiser"), &json!("anna")));
    let has = |list: &str, part: &str| session[list].as_array().unwrap().contains(&json!(part));
    assert!(has("reads", "search") && has("changes", "search") && has("reads", "models"));
    assert!(!has("changes", "models") && !has("reads", "personal data") && !has("reads", "keys"));

    let rule = json!({"consequences": [{"type": "redirect", "url": "/bags"}]});
    anna.ask(&shop, "PUT", "/v1/search/rules/bags", rule.clone(), "guessed").await.problem(403, "csrf_token");
    anna.ask(&shop, "PUT", "/v1/search/rules/bags", rule, &anna.token).await.ok();
    anna.get(&shop, "/v1/users").await.problem(403, "forbidden");
    anna.get(&shop, "/v1/orders").await.problem(403, "forbidden");
    let cookie = sign_in(&shop, "anna", PASSWORD).await;
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.header("set-cookie").contains(part));
    }
}

#[tokio::test]
async fn sessions_end_with_another_role_another_password_and_the_user() {
    let shop = Shop::open();
    put(&shop, "kim", json!({"role": "owner", "password": PASSWORD})).await.ok();
    let before = Signed::open(&shop, "kim").await;
    assert_eq!(before.get(&shop, "/v1/keys").await.status, 200);
    put(&shop, "kim", json!({"role": "analyst"})).await.ok();
    before.get(&shop, "/v1/products").await.problem(401, "missing_key");
    let analyst = Signed::open(&shop, "kim").await;
    analyst.get(&shop, "/v1/keys").await.problem(403, "forbidden");
    put(&shop, "kim", json!({"role": "analyst", "password": "another four words here"})).await.ok();
    analyst.get(&shop, "/v1/products").await.problem(401, "missing_key");
    sign_in(&shop, "kim", PASSWORD).await.problem(401, "wrong_password");
    let reply = sign_in(&shop, "kim", "another four words here").await;
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let last = Signed { cookie, token: String::new() };
    assert_eq!(call(&shop, "DELETE", "/v1/users/kim", &shop.admin, None).await.status, 204);
    last.get(&shop, "/v1/products").await.problem(401, "missing_key");
    assert_eq!(last.get(&shop, "/v1/session").await.ok()["signed_in"], false);
    call(&shop, "DELETE", "/v1/users/kim", &shop.admin, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn wrong_names_answer_as_wrong_passwords_and_tries_run_out() {
    let shop = Shop::open();
    put(&shop, "anna", json!({"role": "support", "password": PASSWORD})).await.ok();
    let stranger = sign_in(&shop, "nobody", PASSWORD).await.problem(401, "wrong_password");
    for _ in 0..5 {
        let wrong = sign_in(&shop, "anna", "not the password").await.problem(401, "wrong_password");
        assert_eq!((&wrong["title"], &wrong["detail"]), (&stranger["title"], &stranger["detail"]));
    }
    let held = sign_in(&shop, "anna", PASSWORD).await;
    assert_eq!(held.header("retry-after"), "30");
    held.problem(429, "too_many_sign_ins");
    shop.clock.set(NOW.plus_ms(30_000));
    sign_in(&shop, "anna", PASSWORD).await.ok();
}

#[tokio::test]
async fn what_a_user_is_made_of_is_looked_at() {
    let shop = Shop::open();
    let wrong = async |name: &str, body: Value| put(&shop, name, body).await.mistakes();
    let at = |place: &str, code: &str| vec![(place.to_owned(), code.to_owned())];
    assert_eq!(wrong("anna", json!({"role": "analyst"})).await, at("password", "missing"));
    assert_eq!(wrong("anna", json!({"role": "analyst", "password": "short"})).await, at("password", "out_of_range"));
    assert_eq!(wrong("anna", json!({"role": "admin", "password": PASSWORD})).await, at("role", "invalid_role"));
    assert_eq!(wrong("an%20na", json!({"role": "analyst", "password": PASSWORD})).await, at("name", "invalid_id"));
    let both = json!({"name": "anna", "password": PASSWORD, "key": shop.admin});
    assert_eq!(call(&shop, "POST", "/v1/session", "", Some(both)).await.mistakes(), at("name", "wrong_form"));
}

#[tokio::test]
async fn lists_show_no_hash_and_the_audit_log_names_people() {
    let shop = Shop::open();
    put(&shop, "olga", json!({"role": "owner", "password": PASSWORD})).await.ok();
    let olga = Signed::open(&shop, "olga").await;
    let body = json!({"role": "auditor", "password": PASSWORD});
    olga.ask(&shop, "PUT", "/v1/users/uma", body, &olga.token).await.ok();
    let list = olga.get(&shop, "/v1/users").await;
    assert!(!list.text().contains("argon2") && !list.text().contains(PASSWORD));
    let items = list.ok();
    let names: Vec<&Value> = items["items"].as_array().unwrap().iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["olga", "uma"]);
    let audit = olga.get(&shop, "/v1/audit").await.ok();
    let entry = audit["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("user olga"), &json!("user.put")));
    assert_eq!((&entry["target"], &entry["detail"]), (&json!("uma"), &json!({"role": "auditor"})));
    assert_eq!(olga.get(&shop, "/v1/audit/verification").await.ok()["sound"], true);
}
