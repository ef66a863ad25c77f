//! Every route of the OpenAPI document, asked with every key and every role.

use axum::body::Body;
use serde_json::Value;

use crate::harness::Shop;
use crate::{call, request, send};

/// A part of the API, then the roles that read and that change it. Owners do everything.
const TABLE: [(&str, &[&str], &[&str]); 30] = [
    ("recommendations", &["merchandiser", "analyst", "support"], &["merchandiser"]),
    ("search", &["merchandiser", "analyst", "support"], &["merchandiser"]),
    ("algolia", &["merchandiser", "analyst", "support"], &[]),
    ("storefront", &["merchandiser", "analyst", "support"], &[]),
    ("demo", &[], &[]),
    ("decisions", &["merchandiser", "support"], &[]),
    ("experiments", &["merchandiser", "analyst", "auditor"], &["merchandiser"]),
    ("flags", &["merchandiser", "analyst", "auditor"], &["merchandiser"]),
    ("automations", &["merchandiser", "analyst", "auditor"], &["merchandiser"]),
    ("figures", &["merchandiser", "analyst", "auditor"], &[]),
    ("quality", &["merchandiser", "analyst", "auditor"], &[]),
    ("alerts", &["merchandiser", "analyst", "auditor"], &["merchandiser"]),
    ("webhooks", &["auditor"], &[]),
    ("labels", &["merchandiser", "analyst"], &["merchandiser", "analyst"]),
    ("audit", &["auditor"], &[]),
    ("events", &["merchandiser", "support"], &[]),
    ("catalogue", &["merchandiser", "analyst", "support", "auditor"], &["merchandiser"]),
    ("stock", &["merchandiser", "analyst", "support", "auditor"], &["merchandiser"]),
    ("orders", &["support"], &[]),
    ("models", &["merchandiser", "analyst", "auditor"], &[]),
    ("jobs", &["merchandiser", "analyst", "auditor"], &[]),
    ("dead letters", &["auditor"], &[]),
    ("consent", &["support"], &["support"]),
    ("policy", &["merchandiser", "analyst", "support", "auditor"], &[]),
    ("personal data", &["support"], &[]),
    ("privacy", &["support", "auditor"], &["support"]),
    ("vault", &[], &[]),
    ("keys", &["auditor"], &[]),
    ("users", &["auditor"], &[]),
    ("operating", &["merchandiser", "analyst", "support", "auditor"], &[]),
];

/// What is posted and changes nothing.
const QUESTIONS: [&str; 8] = [
    "/v1/decisions/{id}/replay",
    "/v1/policy/dry-run",
    "/v1/experiments/{id}/check",
    "/v1/search/preview",
    "/v1/slot-rules/preview",
    "/v1/experiment-plan",
    "/v1/off-policy",
    "/v1/fairness",
];
/// The same for parts whose public routes are questions.
const ASKED: [&str; 4] = ["recommendations", "search", "algolia", "flags"];

struct Route {
    method: String,
    path: String,
    part: String,
    /// The least of the keys that open it; `None`: it is open.
    key: Option<String>,
    has_body: bool,
}

impl Route {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(&merx_serve::openapi_json()).unwrap();
        let of = |path: &String, method: &String, operation: &Value| Self {
            method: method.to_uppercase(),
            path: path.clone(),
            part: operation["tags"][0].as_str().unwrap().to_owned(),
            key: operation["x-key"].as_str().map(str::to_owned),
            has_body: operation.get("requestBody").is_some(),
        };
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, one)| of(path, method, one)))
            .collect()
    }

    fn changes(&self) -> bool {
        let asks = self.key.as_deref() == Some("public") && ASKED.contains(&self.part.as_str());
        self.method != "GET" && !asks && !QUESTIONS.contains(&self.path.as_str())
    }

    fn opens_to(&self, holder: &str) -> bool {
        let rank = |scope: &str| ["public", "secret", "admin"].iter().position(|known| *known == scope);
        match (&self.key, rank(holder)) {
            (None, _) => true,
            (Some(least), Some(of_holder)) => Some(of_holder) >= rank(least),
            (Some(_), None) if holder == "owner" => true,
            (Some(_), None) => {
                let (_, reads, changes) = TABLE.iter().find(|(part, _, _)| *part == self.part).unwrap();
                if self.changes() { changes.contains(&holder) } else { reads.contains(&holder) }
            }
        }
    }

    /// The status of an answer to a caller who sends as little as may be.
    async fn ask(&self, shop: &Shop, key: &str) -> u16 {
        // The one index that may be written: others are refused to everybody.
        let mut path = self.path.replace("{index}", "products");
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, "x");
        }
        let asked = request(&self.method, &path, key);
        // Without a destination an operation is refused like one on a foreign index.
        let body = if path.ends_with("/operation") { r#"{"operation":"copy","destination":"products"}"# } else { "{}" };
        let asked = match self.has_body {
            true => asked.header("content-type", "application/json").body(Body::from(body)),
            false => asked.body(Body::empty()),
        };
        send(shop, asked.unwrap()).await.status
    }
}

#[tokio::test]
async fn every_route_opens_to_whom_it_should_and_to_nobody_else() {
    let shop = Shop::open();
    let mut holders =
        vec![("public", shop.public.clone()), ("secret", shop.secret.clone()), ("admin", shop.admin.clone())];
    for role in ["owner", "merchandiser", "analyst", "support", "auditor"] {
        let made = call(&shop, "POST", "/v1/keys", &shop.admin, Some(serde_json::json!({"scope": role}))).await;
        holders.push((role, made.json()["key"].as_str().unwrap().to_owned()));
    }
    let routes = Route::all();
    assert!(routes.len() > 150, "{} routes", routes.len());
    let mut wrong = Vec::new();
    for route in &routes {
        for (holder, key) in &holders {
            let status = route.ask(&shop, key).await;
            // Those two are opened by a signature and by no key.
            let by_signature = route.path.starts_with("/opendsr") || route.path.starts_with("/webhooks");
            assert!(by_signature || status != 401, "{} {}: the key of {holder} is known", route.method, route.path);
            if (status != 403) != route.opens_to(holder) {
                wrong.push(format!("{holder}: {} {} ({}): {status}", route.method, route.path, route.part));
            }
        }
        // Tracking clients may name their key in the body, so what is no call is refused as such.
        if route.key.is_some() && route.part != "events" {
            assert_eq!(route.ask(&shop, "").await, 401, "{} {} asks for a key", route.method, route.path);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
