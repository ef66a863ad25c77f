//! Whatever an admin key changes stands in the audit log, under the name of who changed it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::call;
use crate::harness::{Shop, settings};

/// Routes that ask for an admin key and are no change of this shop: only a demo has a stage.
const ELSEWHERE: [&str; 1] = ["POST /v1/demo/scenes"];

/// Every route that an admin key is needed for and that isn't read, as the OpenAPI document has them.
fn governed_routes() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&merx_serve::openapi_json()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["x-key"] == "admin" && method != "get" {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    ELSEWHERE.iter().for_each(|route| assert!(routes.remove(*route), "{route} is no route any more"));
    routes
}

/// Routes of the table as they are asked here: route, path and body; `{made}` is the id in the answer before.
fn asked() -> Vec<(&'static str, String, Option<Value>)> {
    let erasure = |email: &str| json!({"kind": "erasure", "names": [{"kind": "email", "value": email}]});
    let opendsr = json!({
        "regulation": "gdpr", "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798", "subject_request_type": "erasure",
        "submitted_time": "2026-11-21T15:00:00Z", "api_version": "2.0",
        "subject_identities": [{"identity_type": "email", "identity_value": "kim@post.example", "identity_format": "raw"}],
    });
    let policy = json!({"default_region": "gdpr", "regions": {"gdpr": {"never": ["sale_sharing"]}}});
    let case = json!({"mode": "live", "why": "a", "expected_effect": "b", "risk": "c", "roll_back": "d"});
    let described = json!({"owner": "anna", "four_eyes": true});
    let at = str::to_owned;
    vec![
        ("POST /v1/keys", at("/v1/keys"), Some(json!({"scope": "secret"}))),
        ("DELETE /v1/keys/{id}", at("/v1/keys/{made}"), None),
        (
            "PUT /v1/users/{name}",
            at("/v1/users/anna"),
            Some(json!({"role": "analyst", "password": "four words are good"})),
        ),
        ("DELETE /v1/users/{name}", at("/v1/users/anna"), None),
        ("POST /v1/policy/dry-run", at("/v1/policy/dry-run"), Some(policy.clone())),
        ("PUT /v1/policy", at("/v1/policy"), Some(policy)),
        ("POST /v1/models/{name}/promote", at("/v1/models/recommend/promote"), Some(json!({"version": 2}))),
        ("POST /v1/models/{name}/rollback", at("/v1/models/recommend/rollback"), None),
        ("POST /v1/jobs", at("/v1/jobs"), Some(json!({"kind": "training"}))),
        ("POST /v1/dead-letters/{place}/apply", at("/v1/dead-letters/7/apply"), None),
        ("DELETE /v1/dead-letters/{place}", at("/v1/dead-letters/8"), None),
        ("POST /v1/vault/rotate", at("/v1/vault/rotate"), None),
        ("POST /v1/privacy/requests", at("/v1/privacy/requests"), Some(erasure("kim@post.example"))),
        ("DELETE /v1/privacy/requests/{id}", at("/v1/privacy/requests/{made}"), None),
        ("POST /opendsr/2.0/requests", at("/opendsr/2.0/requests"), Some(opendsr)),
        ("DELETE /opendsr/2.0/requests/{id}", at("/opendsr/2.0/requests/a7551968-d5d6-44b2-9831-815ac9017798"), None),
        ("POST /v1/drift/reference", at("/v1/drift/reference"), None),
        ("POST /v1/alerts/test", at("/v1/alerts/test"), None),
        ("POST /v1/webhooks", at("/v1/webhooks"), Some(json!({"url": "https://example.com/hook"}))),
        ("DELETE /v1/webhooks/{id}", at("/v1/webhooks/{made}"), None),
        ("PUT /v1/automations/{name}", at("/v1/automations/recommend"), Some(described)),
        ("POST /v1/automations/{name}/mode", at("/v1/automations/recommend/mode"), Some(json!({"mode": "shadow"}))),
        (
            "POST /v1/automations/{name}/mode",
            at("/v1/automations/recommend/mode"),
            Some(json!({"mode": "off", "campaign": "sale"})),
        ),
        ("DELETE /v1/automations/{name}/mode", at("/v1/automations/recommend/mode?campaign=sale"), None),
        ("POST /v1/automations/{name}/revive", at("/v1/automations/recommend/revive"), None),
        ("POST /v1/automations/{name}/mode", at("/v1/automations/recommend/mode"), Some(case.clone())),
        ("POST /v1/approvals/{number}/refuse", at("/v1/approvals/1/refuse"), None),
        ("POST /v1/automations/{name}/mode", at("/v1/automations/recommend/mode"), Some(case)),
        ("POST /v1/approvals/{number}/approve", at("/v1/approvals/2/approve"), None),
        ("POST /v1/automations/{name}/retire", at("/v1/automations/search/retire"), None),
    ]
}

#[tokio::test]
async fn whatever_an_admin_key_changes_stands_in_the_audit_log() {
    let mut settings = settings();
    settings.privacy.opendsr_secret = None;
    let shop = Shop::with(settings, 10);
    let made = call(&shop, "POST", "/v1/keys", &shop.admin, Some(json!({"scope": "admin"}))).await.json();
    let (other, other_id) = (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned());
    let entries = async || call(&shop, "GET", "/v1/audit?limit=1000", &shop.admin, None).await.ok()["items"].clone();
    let mut before = entries().await.as_array().unwrap().len();
    let (mut missing, mut id) = (governed_routes(), String::new());
    for (route, path, body) in asked() {
        missing.remove(route);
        let key = if route.ends_with("/approve") { &other } else { &shop.admin };
        let method = route.split(' ').next().unwrap();
        let reply = call(&shop, method, &path.replace("{made}", &id), key, body).await;
        assert!((200..300).contains(&reply.status), "{route}: {} {}", reply.status, reply.text());
        if let Some(made) =
            serde_json::from_slice::<Value>(&reply.bytes).ok().and_then(|it| it["id"].as_str().map(str::to_owned))
        {
            id = made;
        }
        let now = entries().await;
        let new = &now.as_array().unwrap()[before..];
        assert!(!new.is_empty(), "{route} leaves no entry");
        let actor = new.last().unwrap()["actor"].as_str().unwrap().to_owned();
        assert!(
            actor.starts_with("key ") && (route.ends_with("/approve") == actor.ends_with(&other_id)),
            "{route}: {actor}"
        );
        assert!(!now.to_string().contains("kim@post.example"), "{route}: the audit log names nobody");
        before = now.as_array().unwrap().len();
    }
    assert!(missing.is_empty(), "not tried here, so perhaps not in the audit log: {missing:?}");
    let refused = call(&shop, "POST", "/v1/models/none/promote", &shop.admin, Some(json!({}))).await;
    assert_eq!(refused.status, 404);
    assert_eq!(entries().await.as_array().unwrap().len(), before, "what is refused changes nothing");
    assert_eq!(call(&shop, "GET", "/v1/audit/verification", &shop.admin, None).await.ok()["sound"], true);
}
