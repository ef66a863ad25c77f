//! The OpenAPI document, made from the same table as the router.

use std::sync::OnceLock;

use axum::response::Response;
use bytes::Bytes;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::Access;
use crate::body::json_bytes;
use crate::keys::Scope;
use crate::ofrep::Refusal;
use crate::problem::{Code, Message, ProblemDocument};
use crate::routes::{Endpoint, table};

const TAGS: [(&str, &str); 31] = [
    ("recommendations", "What to show a shopper now."),
    ("search", "What shoppers look for, found and ranked."),
    ("algolia", "The same for front ends that were made for Algolia: their addresses, parameters and answers."),
    ("storefront", "The catalogue as any shopper may see it, and the scripts of a page."),
    ("demo", "What can be made to happen in the shop of `merx demo`."),
    ("decisions", "Why it was shown, and whether it would be shown again."),
    ("experiments", "What a change is worth: who gets which arm, and what it brought."),
    ("flags", "Flags as OpenFeature asks for them (OFREP)."),
    ("automations", "What engines may do by themselves, within which limits, and who agreed."),
    ("figures", "What automations earn, and the shop's figures as one tree."),
    ("quality", "Whether data, features and answers are what they were, and fair."),
    ("alerts", "What somebody should know of."),
    ("webhooks", "Who is told of alerts, and what became of telling them."),
    ("labels", "What people say where nobody knows what is right."),
    ("audit", "Who changed what, in a chain that shows whether it was touched."),
    ("events", "What shoppers do: the Segment HTTP tracking API under its own addresses."),
    ("catalogue", "Products, their variants and prices."),
    ("stock", "Units of a variant at a location."),
    ("orders", "Orders and what came back of them."),
    ("models", "What serves, what could, and the way back."),
    ("jobs", "Trainings and exports: asked for, watched."),
    ("dead letters", "Events that could not be applied: listed, applied again, given up."),
    ("consent", "What people allow: said, read."),
    ("policy", "What silence means, region by region; another policy tried on the last day's decisions."),
    ("personal data", "What is held of one person."),
    ("vault", "The keys that names are sealed with."),
    (
        "privacy",
        "What people ask about their data: access, portability, erasure and its proof; OpenDSR and Shopify's compliance webhooks.",
    ),
    ("keys", "API keys."),
    ("users", "Who signs in to the console, in which role."),
    ("console", "The merchants' console: its page and its sessions."),
    ("operating", "Health, metrics and this reference."),
];

/// The OpenAPI 3.1 document of the server.
pub fn openapi() -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = Vec::new();
    ProblemDocument::schemas(&mut schemas);
    schemas.push((ProblemDocument::name().into_owned(), ProblemDocument::schema()));
    schemas.push((Message::name().into_owned(), Message::schema()));
    schemas.push((Refusal::name().into_owned(), Refusal::schema()));
    for endpoint in table() {
        schemas.extend(endpoint.schemas.iter().cloned());
        let operation = with_refusals(&endpoint);
        paths.add_path_operation(endpoint.path, vec![endpoint.method], operation);
    }
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()))
        .security_scheme("basic", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build()))
        .security_scheme("header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))))
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(crate::session::COOKIE))))
        .security_scheme("front_end", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Algolia-API-Key"))))
        .build();
    let info = InfoBuilder::new()
        .title("Merx")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The intelligence layer of an online shop: what to show, and why. Errors are problem documents (RFC 9457) with a stable `code`."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let tags = TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    let mut document =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).tags(Some(tags)).build();
    document.extensions = Some(Extensions::from_iter([("x-problems", problems())]));
    document
}

/// Every code that a problem document may carry.
fn problems() -> serde_json::Value {
    let problem = |code: &Code| {
        serde_json::json!({
            "code": code.name(), "status": code.status().as_u16(), "title": code.title(), "hint": code.hint(),
        })
    };
    Code::ALL.iter().map(problem).collect()
}

/// The same as text, as `openapi/merx.json` has it.
pub fn openapi_json() -> String {
    openapi().to_pretty_json().unwrap_or_default() + "\n"
}

/// Adds the key that an operation needs and the refusals that all operations of its kind share.
fn with_refusals(endpoint: &Endpoint) -> Operation {
    let mut operation = endpoint.operation.clone();
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let mut codes = Vec::new();
    match endpoint.access {
        Access::Open => {}
        Access::WriteKey => codes.extend([Code::InvalidJson, Code::UnknownKey, Code::RateLimited]),
        Access::Key(_) | Access::FrontEnd(_) => {
            codes.extend([Code::UnknownKey, Code::Forbidden, Code::RateLimited]);
            if has_body {
                codes.extend([Code::InvalidJson, Code::BodyTooLarge, Code::UnsupportedMediaType, Code::InvalidRequest]);
            }
            if has_parameters {
                codes.extend([Code::InvalidParameter, Code::InvalidRequest]);
            }
        }
    }
    if endpoint.path.contains('{') {
        codes.extend([Code::NotFound, Code::InvalidParameter]);
    }
    for code in codes {
        let status = code.status().as_u16().to_string();
        operation.responses.responses.entry(status).or_insert_with(|| refusal(endpoint, code.title()));
    }
    let rest = operation.responses.responses.entry("default".to_owned());
    rest.or_insert_with(|| refusal(endpoint, "Any other problem"));
    operation.security = security(endpoint.access);
    operation.extensions = narrowest_key(endpoint.access).map(|scope| Extensions::from_iter([("x-key", scope.name())]));
    operation
}

/// The least of the keys that open an operation; `security` can't say it.
fn narrowest_key(access: Access) -> Option<Scope> {
    match access {
        Access::Open => None,
        Access::Key(scope) | Access::FrontEnd(scope) => Some(scope),
        Access::WriteKey => Some(Scope::Public),
    }
}

fn security(access: Access) -> Option<Vec<SecurityRequirement>> {
    let by = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    match access {
        Access::Open => None,
        Access::Key(_) => Some(vec![by("bearer"), by("header"), by("session")]),
        Access::FrontEnd(_) => Some(vec![by("front_end"), by("bearer"), by("header")]),
        // An empty requirement: the key may be in the body.
        Access::WriteKey => Some(vec![by("basic"), by("bearer"), by("header"), SecurityRequirement::default()]),
    }
}

/// Protocols of others have forms of their own.
fn refusal(endpoint: &Endpoint, description: &str) -> RefOr<utoipa::openapi::Response> {
    let (schema, kind) = if let Access::FrontEnd(_) = endpoint.access {
        (Message::name(), "application/json")
    } else if endpoint.path.starts_with("/ofrep/") {
        (Refusal::name(), "application/json")
    } else {
        (ProblemDocument::name(), "application/problem+json")
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(description).content(kind, content).build().into()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "operating",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn document() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    json_bytes(TEXT.get_or_init(|| Bytes::from(openapi_json())).clone())
}
