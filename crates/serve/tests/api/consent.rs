//! Consent said and read over HTTP, the policy and its versions, and what roles may do.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{call, request, send};

async fn say(shop: &Shop, body: Value) -> crate::Reply {
    call(shop, "POST", "/v1/consent", &shop.public, Some(body)).await
}

#[tokio::test]
async fn a_person_says_what_they_allow_and_it_counts_at_once() {
    let shop = Shop::open();
    let state =
        say(&shop, json!({"anonymous_id": "v1", "purposes": {"analytics": true, "personalisation": false}})).await.ok();
    assert_eq!((&state["granted"], &state["denied"]), (&json!(["analytics"]), &json!(["personalisation"])));
    assert_eq!(state["allowed"], json!(["necessary", "analytics"]));
    assert_eq!((&state["region"], &state["policy_version"]), (&json!("default"), &json!(0)));
    // Purposes 1, 5 and 6: personalised content; no statistics, no advertising.
    let tcf = "CQuCLYAQuCLYAAfACBENCWEAAIwAAAEAAAYgAAAAAAAA.IAAA";
    let state = say(&shop, json!({"anonymous_id": "v1", "tcf": tcf, "purposes": {"marketing": true}})).await.ok();
    assert_eq!(state["granted"], json!(["personalisation", "marketing"]));
    let state = say(&shop, json!({"anonymous_id": "v1", "att": "denied"})).await.ok();
    assert_eq!(state["denied"], json!(["analytics", "sale_sharing"]));
    let body = json!({"anonymous_id": "v2"}).to_string();
    let gpc =
        request("POST", "/v1/consent", &shop.public).header("content-type", "application/json").header("sec-gpc", "1");
    assert_eq!(send(&shop, gpc.body(Body::from(body)).unwrap()).await.ok()["global_privacy_control"], true);
    let read = call(&shop, "GET", "/v1/consent?anonymous_id=v1", &shop.secret, None).await.ok();
    assert_eq!(read["granted"], json!(["personalisation", "marketing"]));

    for (body, at, code) in [
        (json!({}), "anonymous_id", "missing"),
        (json!({"anonymous_id": "v", "purposes": {"profit": true}}), "purposes.profit", "unknown_purpose"),
        (json!({"anonymous_id": "v", "purposes": {"necessary": false}}), "purposes.necessary", "unknown_purpose"),
        (json!({"anonymous_id": "v", "tcf": "nonsense!"}), "tcf", "malformed_tcf"),
        (json!({"anonymous_id": " "}), "anonymous_id", "invalid_id"),
    ] {
        assert_eq!(say(&shop, body).await.mistakes(), [(at.to_owned(), code.to_owned())]);
    }
    say(&shop, json!({"user_id": "u"})).await.problem(403, "forbidden");
    call(&shop, "GET", "/v1/consent?anonymous_id=v1", &shop.public, None).await.problem(403, "forbidden");
}

fn policy(never: &[&str], allowed: &[&str]) -> Value {
    json!({"default_region": "all", "regions": {"all": {"never": never, "allowed_unless_denied": allowed}}})
}

#[tokio::test]
async fn a_policy_is_tried_then_put_and_counts_for_the_next_request() {
    let shop = Shop::open();
    say(&shop, json!({"anonymous_id": "v1"})).await.ok();
    let decide = async || {
        let body = json!({"anonymous_id": "v1", "slots": [{"scenario": "popular"}]});
        let decided = call(&shop, "POST", "/v1/recommend", &shop.public, Some(body)).await.ok();
        let path = format!("/v1/decisions/{}", decided["decision_id"].as_str().unwrap());
        call(&shop, "GET", &path, &shop.secret, None).await.ok()["granted"].clone()
    };
    for _ in 0..25 {
        assert_eq!(decide().await, json!(["necessary", "analytics", "personalisation"]));
    }
    let strict = policy(&["sale_sharing"], &[]);
    let tried = call(&shop, "POST", "/v1/policy/dry-run", &shop.admin, Some(strict.clone())).await.ok();
    assert_eq!((&tried["decisions"], &tried["by_region"]), (&json!(25), &json!({"all": 25})));
    assert_eq!(tried["by_purpose"]["personalisation"], json!({"before": 25, "after": 0, "gained": 0, "lost": 25}));
    assert_eq!(tried["locks_everybody_out"], true);
    assert_eq!(decide().await, json!(["necessary", "analytics", "personalisation"]), "trying changes nothing");

    let reply = call(&shop, "PUT", "/v1/policy", &shop.admin, Some(strict.clone())).await;
    assert!(reply.problem(409, "conflict")["detail"].as_str().unwrap().contains("force"));
    let put = call(&shop, "PUT", "/v1/policy?force=true", &shop.admin, Some(strict)).await.ok();
    assert_eq!((&put["version"], put["versions"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!(decide().await, json!(["necessary"]), "the very next request");
    let mild = policy(&[], &["analytics"]);
    assert_eq!(call(&shop, "PUT", "/v1/policy", &shop.admin, Some(mild)).await.ok()["version"], 2);
    assert_eq!(decide().await, json!(["necessary", "analytics"]));
    let all = ["analytics", "personalisation", "marketing", "automated_decisions", "sale_sharing"];
    for (wrong, code) in [
        (policy(&all, &[]), "locks_everybody_out"),
        (policy(&[], &["profit"]), "unknown_purpose"),
        (json!({"default_region": "gdpr", "regions": {}}), "unknown_region"),
    ] {
        for (method, path) in [("PUT", "/v1/policy"), ("POST", "/v1/policy/dry-run")] {
            let reply = call(&shop, method, path, &shop.admin, Some(wrong.clone())).await;
            assert_eq!(reply.mistakes()[0].1, code);
        }
    }
    assert_eq!(call(&shop, "GET", "/v1/policy", &shop.secret, None).await.ok()["version"], 2);
}

#[tokio::test]
async fn roles_open_their_routes_and_no_others() {
    let shop = Shop::open();
    let mut keys = Vec::new();
    for role in ["owner", "merchandiser", "analyst", "support", "auditor"] {
        let made = call(&shop, "POST", "/v1/keys", &shop.admin, Some(json!({"scope": role, "label": role}))).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(made.json()["scope"], role);
        keys.push(made.json()["key"].as_str().unwrap().to_owned());
    }
    let request = json!({"kind": "access", "names": [{"kind": "user_id", "value": "u1"}]});
    let product = json!({"name": "Shelf"});
    let table: [(&str, &str, Option<Value>, [bool; 5]); 13] = [
        ("GET", "/v1/products", None, [true, true, true, true, true]),
        ("PUT", "/v1/products/p1", Some(product), [true, true, false, false, false]),
        ("GET", "/v1/orders", None, [true, false, false, true, false]),
        ("GET", "/v1/decisions", None, [true, true, false, true, false]),
        ("POST", "/v1/recommend", Some(json!({"slots": [{"scenario": "popular"}]})), [true, true, true, true, false]),
        ("GET", "/v1/models", None, [true, true, true, false, true]),
        ("POST", "/v1/models/recommend/rollback", Some(json!({})), [true, false, false, false, false]),
        ("GET", "/v1/privacy/reads", None, [true, false, false, true, true]),
        ("POST", "/v1/privacy/requests", Some(request), [true, false, false, true, false]),
        ("GET", "/v1/policy", None, [true, true, true, true, true]),
        ("PUT", "/v1/policy", Some(policy(&[], &[])), [true, false, false, false, false]),
        ("POST", "/v1/vault/rotate", None, [true, false, false, false, false]),
        ("GET", "/v1/keys", None, [true, false, false, false, true]),
    ];
    for (method, path, body, expected) in table {
        for (key, may) in keys.iter().zip(expected) {
            let reply = call(&shop, method, path, key, body.clone()).await;
            if may {
                assert!(reply.status < 300, "{method} {path}: {}", reply.text());
            } else {
                let problem = reply.problem(403, "forbidden");
                assert!(problem["detail"].as_str().unwrap().starts_with("the role "), "{problem}");
            }
        }
    }
    let wrong = call(&shop, "POST", "/v1/keys", &shop.admin, Some(json!({"scope": "emperor"}))).await;
    assert!(wrong.problem(422, "invalid_request")["errors"][0]["detail"].as_str().unwrap().contains("merchandiser"));
}
