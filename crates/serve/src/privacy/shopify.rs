//! Shopify's compliance webhooks: `customers/data_request`, `customers/redact`, `shop/redact`. The signature over the
//! raw body is what lets them in. A delivery that is repeated is the same request.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use merx_domain::IdentityKind;
use merx_ingest::privacy::{AskedName, NameFormat, NewRequest, Notes, RequestKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::signature::verifies;
use crate::body::{Answered, Payload, blocking, parse};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::Shared;

/// Compliance bodies are a few hundred bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What all three have in common.
#[derive(Deserialize, ToSchema)]
#[schema(as = ShopifyComplianceWebhook, example = json!({
    "shop_id": 954889, "shop_domain": "shop.myshopify.com", "orders_to_redact": [299938],
    "customer": {"id": 191167, "email": "kim@post.example", "phone": "+49 30 123456"},
}))]
pub(crate) struct Compliance {
    #[serde(default)]
    #[schema(nullable = false)]
    customer: Option<Customer>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ShopifyCustomer)]
pub(crate) struct Customer {
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    id: Option<Value>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShopifyTaken)]
pub(crate) struct Taken {
    /// Follow it at `GET /v1/privacy/requests/{id}`.
    request_id: String,
}

/// Shopify's compliance webhooks
///
/// The topic stands in `X-Shopify-Topic`, the signature in `X-Shopify-Hmac-Sha256` (or without the prefix). Customers are
/// erased or gathered by id, mail address and phone. `shop/redact` is put in the register for the operator, as the whole folder is meant.
#[utoipa::path(post, path = "/webhooks/shopify/privacy", tag = "privacy", request_body = Compliance,
    params(("X-Shopify-Topic" = String, Header, example = "customers/redact"),
        ("X-Shopify-Hmac-Sha256" = String, Header, description = "Base64 HMAC-SHA256 of the body under the app's client secret")),
    responses((status = 200, description = "It is in the register", body = Taken),
        (status = 400, description = "The body is not JSON, or has another encoding", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The signature does not fit", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No secret is set", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body has an encoding that is not known", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Another topic, or nobody is named", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn shopify_webhook(
    State(app): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = Payload::read(&headers, body, MAX_BYTES).await?.inflate(MAX_BYTES)?;
    let Some(secret) = &app.parts.settings.privacy.shopify_secret else {
        return Err(Problem::because(Code::NotFound, "Shopify's webhooks are not set up: there is no secret"));
    };
    let signature = header(&headers, "hmac-sha256").unwrap_or_default();
    if !verifies(secret, &bytes, signature) {
        return Err(Problem::because(Code::UnknownKey, "the signature does not fit the body"));
    }
    let compliance: Compliance = parse(&bytes, "")?;
    let topic = header(&headers, "topic").unwrap_or_default();
    let kind = match topic {
        "customers/data_request" => RequestKind::Access,
        "customers/redact" => RequestKind::Erasure,
        "shop/redact" => RequestKind::ShopErasure,
        other => {
            return Err(Problem::mistake("X-Shopify-Topic", "unknown", format!("{other:?} is no compliance topic")));
        }
    };
    let notes = compliance.customer.as_ref().map(notes).unwrap_or_default();
    if notes.asked.is_empty() && kind != RequestKind::ShopErasure {
        return Err(Problem::mistake("customer", "missing", "the body names no customer"));
    }
    let event = header(&headers, "event-id").or_else(|| header(&headers, "webhook-id"));
    let event = event.map_or_else(|| blake3::hash(&bytes).to_hex()[..32].to_owned(), str::to_owned);
    let id: String = event.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    let new = NewRequest {
        id: Some(format!("shopify-{id}")),
        kind,
        source: "shopify".to_owned(),
        regulation: topic.to_owned(),
        suppress: false,
        of: None,
        notes,
    };
    blocking(move || {
        let request = app.parts.privacy.submit(new)?;
        Ok(Answered(Taken { request_id: request.id }).into_response())
    })
    .await
}

/// With Shopify's prefix, or without as its newer deliveries have it.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(format!("x-shopify-{name}")).or_else(|| headers.get(format!("shopify-{name}")));
    value.and_then(|value| value.to_str().ok())
}

/// A customer's number is known to shops as it is and as GraphQL writes it.
fn notes(customer: &Customer) -> Notes {
    let mut notes = Notes::default();
    let mut ask = |kind, value: String| {
        if !value.trim().is_empty() {
            notes.asked.push(AskedName { kind, format: NameFormat::Raw, value });
        }
    };
    let id = match &customer.id {
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    if let Some(id) = id {
        ask(IdentityKind::UserId, format!("gid://shopify/Customer/{id}"));
        ask(IdentityKind::UserId, id);
    }
    customer.email.iter().for_each(|email| ask(IdentityKind::Email, email.clone()));
    customer.phone.iter().for_each(|phone| ask(IdentityKind::Phone, phone.clone()));
    notes
}
