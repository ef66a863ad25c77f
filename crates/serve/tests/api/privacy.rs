//! What people ask about their data: our own routes, OpenDSR's and Shopify's, and who looked.

use axum::body::Body;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::harness::{Shop, settings};
use crate::{Reply, call, request, send};

#[tokio::test]
async fn requests_are_taken_listed_and_taken_back() {
    let shop = Shop::open();
    let body =
        json!({"kind": "erasure", "names": [{"kind": "email", "value": "kim@post.example"}], "regulation": "gdpr"});
    let reply = call(&shop, "POST", "/v1/privacy/requests", &shop.admin, Some(body)).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let taken = reply.json();
    assert_eq!(
        (&taken["state"], &taken["kind"], &taken["source"]),
        (&json!("pending"), &json!("erasure"), &json!("api"))
    );
    assert!(taken["due_at"].as_str() > taken["received_at"].as_str());
    let path = format!("/v1/privacy/requests/{}", taken["id"].as_str().unwrap());
    assert_eq!(call(&shop, "GET", &path, &shop.admin, None).await.ok(), taken);
    let listed = call(&shop, "GET", "/v1/privacy/requests", &shop.admin, None).await;
    assert!(!listed.text().contains("kim@"), "the register names nobody");
    assert_eq!(listed.ok()["items"], json!([taken]));
    call(&shop, "GET", &format!("{path}/data"), &shop.admin, None).await.problem(409, "conflict");
    assert_eq!(call(&shop, "DELETE", &path, &shop.admin, None).await.status, 204);
    call(&shop, "DELETE", &path, &shop.admin, None).await.problem(409, "conflict");
    call(&shop, "GET", "/v1/privacy/requests/none", &shop.admin, None).await.problem(404, "not_found");
    for (body, at) in [
        (json!({"kind": "access"}), "names"),
        (json!({"kind": "access", "names": [{"kind": "email", "value": " "}]}), "names[0].value"),
        (json!({"kind": "access", "subject_ids": ["kim"]}), "subject_ids[0]"),
        (json!({"kind": "access", "request_id": "r"}), "request_id"),
        (json!({"kind": "forget"}), ""),
    ] {
        let reply = call(&shop, "POST", "/v1/privacy/requests", &shop.admin, Some(body)).await;
        let mistakes = reply.mistakes();
        assert_eq!(mistakes[0].0.split(": ").next().unwrap(), at, "{}", reply.text());
    }
    call(&shop, "POST", "/v1/privacy/requests", &shop.secret, Some(json!({}))).await.problem(403, "forbidden");
}

#[tokio::test]
async fn every_look_at_a_person_is_noted() {
    let shop = Shop::open();
    let order = json!({"user_id": "u1", "placed_at": "2026-11-21T10:00:00Z", "currency": "EUR", "lines": []});
    call(&shop, "PUT", "/v1/orders/o1", &shop.secret, Some(order)).await.ok();
    let slots = json!({"slots": [{"scenario": "popular"}]});
    let decided = call(&shop, "POST", "/v1/recommend", &shop.public, Some(slots)).await.ok();
    let decision = format!("/v1/decisions/{}", decided["decision_id"].as_str().unwrap());
    let look = request("GET", "/v1/orders/o1", &shop.secret).header("x-reason", "ticket 4711");
    send(&shop, look.body(Body::empty()).unwrap()).await.ok();
    call(&shop, "GET", "/v1/orders", &shop.secret, None).await.ok();
    call(&shop, "GET", &decision, &shop.secret, None).await.ok();
    call(&shop, "GET", &format!("{decision}/why"), &shop.admin, None).await.ok();
    let reads = call(&shop, "GET", "/v1/privacy/reads", &shop.admin, None).await.ok();
    let items = reads["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|read| read["what"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["decision", "decision", "orders", "order"]);
    assert_eq!((&items[3]["why"], &items[3]["subject_id"]), (&json!("ticket 4711"), &json!(format!("{:032x}", 1))));
    assert_ne!(items[0]["who"], items[1]["who"], "two keys");
}

#[tokio::test]
async fn an_overview_of_decisions_is_no_look_at_anybody() {
    let shop = Shop::open();
    let said = json!({"user_id": "u1", "purposes": {"personalisation": true}});
    call(&shop, "POST", "/v1/consent", &shop.secret, Some(said)).await.ok();
    let asked = json!({"user_id": "u1", "slots": [{"scenario": "popular"}]});
    call(&shop, "POST", "/v1/recommend", &shop.secret, Some(asked)).await.ok();
    let list = async |query: &str| call(&shop, "GET", &format!("/v1/decisions?{query}"), &shop.secret, None).await.ok();
    let looks = async || {
        let reads = call(&shop, "GET", "/v1/privacy/reads", &shop.admin, None).await.ok();
        reads["items"].as_array().unwrap().iter().map(|read| read["subject_id"].clone()).collect::<Vec<_>>()
    };
    let overview = list("people=false").await;
    assert_eq!((&overview["items"][0]["subject_id"], &overview["items"][0]["features"]), (&Value::Null, &Value::Null));
    assert!(looks().await.is_empty());
    let subject = list("").await["items"][0]["subject_id"].as_str().map(str::to_owned);
    assert_eq!(looks().await, [Value::Null], "a list with people is a look");
    let Some(subject) = subject else { panic!("the customer is known") };
    let own = list(&format!("people=false&subject_id={subject}")).await;
    assert_eq!(own["items"][0]["subject_id"], subject);
    assert_eq!(looks().await[0], subject, "whoever names a person looks at them");
}

#[tokio::test]
async fn a_person_is_shown_under_any_of_their_names_and_the_look_is_noted() {
    let shop = Shop::open();
    let said = json!({"user_id": "u1", "purposes": {"personalisation": true}});
    call(&shop, "POST", "/v1/consent", &shop.secret, Some(said)).await.ok();
    let get = async |query: &str| call(&shop, "GET", &format!("/v1/person?{query}"), &shop.admin, None).await;
    let by_name = get("user_id=u1&limit=7").await.ok();
    assert_eq!(by_name["most"], 7);
    let subject = by_name["subject_id"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("subject_id={subject}")).await.ok()["subject_id"], subject);
    get("email=nobody@post.example").await.problem(404, "not_found");
    assert_eq!(get("").await.mistakes(), [("subject_id".to_owned(), "missing".to_owned())]);
    assert_eq!(get("user_id=u1&limit=0").await.mistakes(), [("limit".to_owned(), "out_of_range".to_owned())]);
    call(&shop, "GET", "/v1/person?user_id=u1", &shop.secret, None).await.problem(403, "forbidden");
    let reads = call(&shop, "GET", "/v1/privacy/reads", &shop.admin, None).await.ok();
    let looks: Vec<_> =
        reads["items"].as_array().unwrap().iter().map(|read| (&read["what"], &read["subject_id"])).collect();
    assert_eq!(looks, [(&json!("person"), &json!(subject)); 2]);
}

#[tokio::test]
async fn periods_and_consent_are_told_without_a_name() {
    let shop = Shop::open();
    let periods = call(&shop, "GET", "/v1/privacy/retention", &shop.secret, None).await.ok();
    assert_eq!((&periods["events_days"], &periods["proof_days"]), (&json!(400), &json!(30)));
    for (visitor, purposes) in
        [("v1", json!({"analytics": true, "marketing": false})), ("v2", json!({"analytics": true}))]
    {
        let said = json!({"anonymous_id": visitor, "purposes": purposes});
        call(&shop, "POST", "/v1/consent", &shop.public, Some(said)).await.ok();
    }
    let told = call(&shop, "GET", "/v1/consent/statistics", &shop.secret, None).await.ok();
    assert_eq!(told["people"], 2);
    assert_eq!(told["purposes"]["analytics"], json!({"granted": 2, "denied": 0}));
    assert_eq!(told["purposes"]["marketing"], json!({"granted": 0, "denied": 1}));
    assert!(told["purposes"].get("necessary").is_none());
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

async fn opendsr(shop: &Shop, body: &Value, signed: &str) -> Reply {
    let request = request("POST", "/opendsr/2.0/requests", &shop.admin).header("content-type", "application/json");
    send(shop, request.header("x-opendsr-signature", signed).body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn opendsr_requests_are_taken_signed() {
    let shop = Shop::open();
    let discovery = call(&shop, "GET", "/opendsr/2.0/discovery", "", None).await;
    assert_eq!(discovery.header("x-opendsr-processor-domain"), "shop.example");
    assert_eq!(discovery.header("x-opendsr-signature"), signature("opendsr secret", &discovery.text()));
    let supported = discovery.ok();
    assert!(
        supported["supported_identities"]
            .as_array()
            .unwrap()
            .contains(&json!({"identity_type": "email", "identity_format": "sha256"}))
    );

    let id = "a7551968-d5d6-44b2-9831-815ac9017798";
    let body = json!({"regulation": "gdpr", "subject_request_id": id, "subject_request_type": "erasure",
        "submitted_time": "2026-11-21T15:00:00Z", "api_version": "2.0", "status_callback_urls": ["https://c.example/cb"],
        "subject_identities": [{"identity_type": "email", "identity_value": "kim@post.example", "identity_format": "raw"}]});
    let signed = signature("opendsr secret", &body.to_string());
    opendsr(&shop, &body, "bm90IGl0").await.problem(401, "unknown_key");
    let reply = opendsr(&shop, &body, &signed).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let receipt = reply.json();
    assert_eq!((&receipt["subject_request_id"], &receipt["controller_id"]), (&json!(id), &json!("shop")));
    let encoded =
        base64::engine::general_purpose::STANDARD.decode(receipt["encoded_request"].as_str().unwrap()).unwrap();
    assert_eq!(encoded, body.to_string().as_bytes());
    assert!(receipt["expected_completion_time"].as_str() > receipt["received_time"].as_str());
    assert_eq!(opendsr(&shop, &body, &signed).await.json(), receipt, "sent twice, it is one request");
    for (field, other) in [
        ("subject_request_type", json!("access")),
        (
            "subject_identities",
            json!([
        {"identity_type": "email", "identity_value": "lea@post.example", "identity_format": "raw"}]),
        ),
    ] {
        let mut another = body.clone();
        another[field] = other;
        let signed = signature("opendsr secret", &another.to_string());
        opendsr(&shop, &another, &signed).await.problem(409, "conflict");
    }

    let path = format!("/opendsr/2.0/requests/{id}");
    for path in [path.clone(), format!("{path}/status")] {
        assert_eq!(call(&shop, "GET", &path, &shop.admin, None).await.ok()["request_status"], "pending");
    }
    let reply = call(&shop, "DELETE", &path, &shop.admin, None).await;
    assert_eq!((reply.status, &reply.json()["request_status"]), (202, &json!("cancelled")));

    let mut wrong = body.clone();
    wrong["subject_request_id"] = json!("a7551968-d5d6-14b2-9831-815ac9017798");
    wrong["subject_request_type"] = json!("oblivion");
    wrong["subject_identities"][0]["identity_type"] = json!("shoe_size");
    wrong["status_callback_urls"] = json!(["ftp://c.example"]);
    let reply = opendsr(&shop, &wrong, &signature("opendsr secret", &wrong.to_string())).await;
    let places: Vec<String> = reply.mistakes().into_iter().map(|(place, _)| place).collect();
    let expected = [
        "subject_request_id",
        "subject_request_type",
        "status_callback_urls[0]",
        "subject_identities[0].identity_type",
    ];
    assert_eq!(places, expected);
}

async fn shopify(shop: &Shop, topic: &str, body: &str, signed: &str, event: &str) -> Reply {
    let request = request("POST", "/webhooks/shopify/privacy", "")
        .header("content-type", "application/json")
        .header("x-shopify-topic", topic)
        .header("x-shopify-hmac-sha256", signed)
        .header("x-shopify-event-id", event);
    send(shop, request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn shopify_asks_for_its_customers() {
    let shop = Shop::open();
    let body = r#"{"shop_id":954889,"shop_domain":"s.myshopify.com","orders_to_redact":[299938],
        "customer":{"id":191167,"email":"kim@post.example","phone":null}}"#;
    let signed = signature("shpss_secret", body);
    let reply = shopify(&shop, "customers/redact", body, &signed, "98880550-7158").await;
    let id = reply.ok()["request_id"].as_str().unwrap().to_owned();
    for delivery in ["98880550-7158", "another-id"] {
        let again = shopify(&shop, "customers/redact", body, &signed, delivery).await.ok();
        assert_eq!(again["request_id"], id.as_str(), "the id is outside of the signature");
    }
    for topic in ["customers/data_request", "shop/redact"] {
        let mistakes = shopify(&shop, topic, body, &signed, "2").await.mistakes();
        assert_eq!(mistakes[0].0, "X-Shopify-Topic", "the topic is outside of the signature");
    }
    let request = call(&shop, "GET", &format!("/v1/privacy/requests/{id}"), &shop.admin, None).await.ok();
    assert_eq!((&request["kind"], &request["source"]), (&json!("erasure"), &json!("shopify")));
    let asked = r#"{"shop_id":954889,"orders_requested":[1],"customer":{"id":191167},"data_request":{"id":9999}}"#;
    shopify(&shop, "customers/data_request", asked, &signature("shpss_secret", asked), "2").await.ok();
    let gone = r#"{"shop_id":954889,"shop_domain":"s.myshopify.com"}"#;
    shopify(&shop, "shop/redact", gone, &signature("shpss_secret", gone), "3").await.ok();
    let listed = call(&shop, "GET", "/v1/privacy/requests", &shop.admin, None).await.ok();
    let mut kinds: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["access", "erasure", "shop_erasure"]);

    shopify(&shop, "customers/redact", &body.replace("191167", "191168"), &signed, "4")
        .await
        .problem(401, "unknown_key");
    shopify(&shop, "customers/redact", body, "", "5").await.problem(401, "unknown_key");
    shopify(&shop, "orders/create", body, &signed, "6").await.mistakes();
    let nobody = r#"{"shop_id":954889}"#;
    shopify(&shop, "customers/redact", nobody, &signature("shpss_secret", nobody), "7").await.mistakes();
    let mut without = settings();
    without.privacy.shopify_secret = None;
    let shop = Shop::with(without, 1);
    shopify(&shop, "customers/redact", body, &signed, "8").await.problem(404, "not_found");
}

#[tokio::test]
async fn the_vault_is_rotated() {
    let shop = Shop::open();
    let reply = call(&shop, "POST", "/v1/vault/rotate", &shop.admin, None).await.ok();
    assert_eq!(reply["keys_wrapped"], 1);
}
