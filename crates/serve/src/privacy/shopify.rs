//! Shopify's compliance webhooks: `customers/data_request`, `customers/redact`, `shop/redact`. The signature over the
//! raw body is what lets them in. Headers are outside of it, so that whoever has seen a delivery could send its body again under another
//! topic or id: what is asked is read off the body, and the same body is the same request, whatever its headers say.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use merx_decide::Act;
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

/// What the three have in common, and what tells them apart.
#[derive(Deserialize, ToSchema)]
#[schema(as = ShopifyComplianceWebhook, example = json!({
    "shop_id": 954889, "shop_domain": "shop.myshopify.com", "orders_to_redact": [299938],
    "customer": {"id": 191167, "email": "kim@post.example", "phone": "+49 30 123456"},
}))]
pub(crate) struct Compliance {
    #[serde(default)]
    #[schema(nullable = false)]
    customer: Option<Customer>,
    /// Of `customers/data_request`.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<Object>)]
    data_request: Option<Value>,
    /// Of `customers/redact`, perhaps empty.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<Vec<i64>>)]
    orders_to_redact: Option<Value>,
    /// Of `shop/redact`, which names no customer.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<i64>)]
    shop_id: Option<Value>,
}

impl Compliance {
    /// The topic that a body of this shape belongs to.
    fn topic(&self) -> Option<(&'static str, RequestKind)> {
        match (&self.customer, &self.data_request, &self.orders_to_redact) {
            (Some(_), Some(_), None) => Some(("customers/data_request", RequestKind::Access)),
            (Some(_), None, Some(_)) => Some(("customers/redact", RequestKind::Erasure)),
            (None, None, None) if self.shop_id.is_some() => Some(("shop/redact", RequestKind::ShopErasure)),
            _ => None,
        }
    }
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
/// The topic has to be the one of the body's shape, and the same body sent again is the same request: the signature covers neither topic nor id.
#[utoipa::path(post, path = "/webhooks/shopify/privacy", tag = "privacy", request_body = Compliance,
    params(("X-Shopify-Topic" = String, Header, example = "customers/redact"),
        ("X-Shopify-Hmac-Sha256" = String, Header, description = "Base64 HMAC-SHA256 of the body under the app's client secret")),
    responses((status = 200, description = "It is in the register", body = Taken),
        (status = 400, description = "The body is not JSON, or has another encoding", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The signature does not fit", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No secret is set", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body has an encoding that is not known", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Another topic than the body's, or nobody is named", body = ProblemDocument, content_type = "application/problem+json")))]
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
    let kind = match compliance.topic() {
        Some((of_body, kind)) if of_body == topic => kind,
        Some((of_body, _)) => {
            let detail = format!("{topic:?} is not the topic of this body, which is one of {of_body}");
            return Err(Problem::mistake("X-Shopify-Topic", "unknown", detail));
        }
        None => {
            let detail = "a customer with data_request or orders_to_redact, or a shop alone, is expected";
            return Err(Problem::mistake("", "unknown", detail));
        }
    };
    let notes = compliance.customer.as_ref().map(notes).unwrap_or_default();
    if notes.asked.is_empty() && kind != RequestKind::ShopErasure {
        return Err(Problem::mistake("customer", "missing", "the body names no customer"));
    }
    let new = NewRequest {
        id: Some(format!("shopify-{}", &blake3::hash(&bytes).to_hex()[..32])),
        kind,
        source: "shopify".to_owned(),
        regulation: topic.to_owned(),
        suppress: false,
        of: None,
        callbacks: Vec::new(),
        notes,
    };
    blocking(move || {
        let request = app.parts.privacy.submit(new, Act { by: "Shopify", at: app.parts.clock.now() })?;
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
