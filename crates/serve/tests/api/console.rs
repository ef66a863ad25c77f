//! The console's side of the API: sessions, what happens now, the assortment at a glance, and the page itself.

use axum::body::Body;
use http_body_util::BodyExt;
use merx_domain::{Currency, DAY_MS, MarketAvailability, Money, Price, ProductNumber};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{NOW, Shop, product};
use crate::{Reply, call, request, send};

/// A browser that is signed in.
struct Browser<'a> {
    shop: &'a Shop,
    cookie: String,
    csrf_token: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(shop: &'a Shop, key: &str) -> Self {
        let reply = call(shop, "POST", "/v1/session", "", Some(json!({"key": key}))).await;
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        let answer = reply.ok();
        assert_eq!(answer["signed_in"], true);
        Self { shop, cookie, csrf_token: answer["csrf_token"].as_str().unwrap().to_owned() }
    }

    async fn ask(&self, method: &str, path: &str, csrf_token: Option<&str>, body: Value) -> Reply {
        let mut asked = request(method, path, "").header("cookie", format!("theme=dark; {}", self.cookie));
        asked = asked.header("content-type", "application/json");
        if let Some(token) = csrf_token {
            asked = asked.header("x-csrf-token", token);
        }
        send(self.shop, asked.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, None, Value::Null).await
    }
}

#[tokio::test]
async fn a_campaign_has_a_mode_of_its_own() {
    let shop = Shop::open();
    let path = "/v1/automations/recommend/mode";
    let mode = json!({"mode": "canary", "canary_percent": 20.0, "campaign": "winter-sale"});
    let set = call(&shop, "POST", path, &shop.admin, Some(mode)).await.ok();
    assert_eq!(set["campaigns"], json!({"winter-sale": {"mode": "canary", "canary_percent": 20.0}}));
    assert_eq!(set["mode"], "live");
    let off = json!({"mode": "off", "campaign": "winter-sale"});
    call(&shop, "POST", path, &shop.admin, Some(off)).await.ok();
    let ask = async |campaign: Value| {
        let asked = json!({"anonymous_id": "a", "campaign": campaign, "slots": [{"scenario": "popular"}]});
        let answer = call(&shop, "POST", "/v1/recommend", &shop.public, Some(asked)).await.ok();
        let path = format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap());
        let record = call(&shop, "GET", &path, &shop.secret, None).await.ok();
        (record["campaign"].clone(), record["automation"].clone())
    };
    assert_eq!(ask(json!("winter-sale")).await, (json!("winter-sale"), json!("off")));
    assert_eq!(ask(Value::Null).await, (Value::Null, json!("live")));

    let negative = json!({"monthly_budget_minor": -1});
    let refused = call(&shop, "PUT", "/v1/automations/recommend", &shop.admin, Some(negative)).await.mistakes();
    assert_eq!(refused, [("monthly_budget_minor".to_owned(), "out_of_range".to_owned())]);
    let budget = json!({"monthly_budget_minor": 5000, "costs": {"per_thousand_decisions_minor": 2}});
    let kept = call(&shop, "PUT", "/v1/automations/recommend", &shop.admin, Some(budget)).await.ok();
    assert_eq!((&kept["monthly_budget_minor"], &kept["spent_until"]), (&json!(5000), &Value::Null));
    let both = json!({"mode": "off", "campaign": "x", "market": "us"});
    let refused = call(&shop, "POST", path, &shop.admin, Some(both)).await.mistakes();
    assert_eq!(refused, [("campaign".to_owned(), "invalid".to_owned())]);
    let long = json!({"campaign": "x".repeat(101), "slots": [{"scenario": "popular"}]});
    let refused = call(&shop, "POST", "/v1/recommend", &shop.public, Some(long)).await.mistakes();
    assert_eq!(refused, [("campaign".to_owned(), "out_of_range".to_owned())]);
    let everywhere = call(&shop, "DELETE", path, &shop.admin, None).await.mistakes();
    assert_eq!(everywhere, [("market".to_owned(), "missing".to_owned())]);
    let one = format!("{path}?campaign=winter-sale");
    assert_eq!(call(&shop, "DELETE", &one, &shop.admin, None).await.ok()["campaigns"], json!({}));
}

#[tokio::test]
async fn a_session_reads_with_its_cookie_and_changes_with_its_token() {
    let shop = Shop::open();
    let browser = Browser::sign_in(&shop, &shop.admin).await;
    assert_eq!(browser.get("/v1/keys").await.status, 200);
    assert_eq!(browser.get("/v1/session").await.ok()["scope"], "admin");

    let new = json!({"scope": "public"});
    browser.ask("POST", "/v1/keys", None, new.clone()).await.problem(403, "csrf_token");
    browser.ask("POST", "/v1/keys", Some("guessed"), new.clone()).await.problem(403, "csrf_token");
    assert_eq!(browser.ask("POST", "/v1/keys", Some(&browser.csrf_token), new).await.status, 201);
}

#[tokio::test]
async fn a_session_reaches_as_far_as_its_key() {
    let shop = Shop::open();
    let browser = Browser::sign_in(&shop, &shop.secret).await;
    assert_eq!(browser.get("/v1/products").await.status, 200);
    browser.get("/v1/keys").await.problem(403, "forbidden");
    call(&shop, "POST", "/v1/session", "", Some(json!({"key": shop.public}))).await.problem(403, "forbidden");
    call(&shop, "POST", "/v1/session", "", Some(json!({"key": "mx_adm_made_up"}))).await.problem(401, "unknown_key");
}

#[tokio::test]
async fn a_session_ends_by_sign_out_idleness_and_the_end_of_its_key() {
    let shop = Shop::open();
    let browser = Browser::sign_in(&shop, &shop.secret).await;
    let reply = browser.ask("DELETE", "/v1/session", None, Value::Null).await;
    assert_eq!(reply.status, 204);
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    browser.get("/v1/products").await.problem(401, "missing_key");
    assert_eq!(
        browser.get("/v1/session").await.ok(),
        json!({"signed_in": false, "has_password": false, "reads": [], "changes": []})
    );

    let browser = Browser::sign_in(&shop, &shop.secret).await;
    shop.clock.set(NOW.plus_ms(DAY_MS / 2 - 1));
    assert_eq!(browser.get("/v1/products").await.status, 200);
    shop.clock.set(NOW.plus_ms(DAY_MS - 2));
    assert_eq!(browser.get("/v1/products").await.status, 200, "it was used meanwhile");
    shop.clock.set(NOW.plus_ms(2 * DAY_MS));
    browser.get("/v1/products").await.problem(401, "missing_key");

    let browser = Browser::sign_in(&shop, &shop.secret).await;
    let keys = call(&shop, "GET", "/v1/keys", &shop.admin, None).await.ok();
    let secret = keys["items"].as_array().unwrap().iter().find(|key| key["scope"] == "secret").unwrap();
    let path = format!("/v1/keys/{}", secret["id"].as_str().unwrap());
    assert_eq!(call(&shop, "DELETE", &path, &shop.admin, None).await.status, 204);
    browser.get("/v1/products").await.problem(401, "missing_key");
}

#[tokio::test]
async fn the_cookie_is_no_scripts_and_no_other_sites() {
    let shop = Shop::open();
    let body = json!({"key": shop.secret}).to_string();
    let sign_in = request("POST", "/v1/session", "").header("content-type", "application/json");
    let reply = send(&shop, sign_in.header("x-forwarded-proto", "https").body(Body::from(body)).unwrap()).await;
    for word in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(reply.header("set-cookie").contains(word), "{word}");
    }
    assert!(!reply.text().contains(reply.header("set-cookie").split(['=', ';']).nth(1).unwrap()));
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn what_happens_is_counted_by_the_minute() {
    let shop = Shop::open();
    let viewed = json!({"event": "Product Viewed", "anonymousId": "a", "properties": {"product_id": "p1"}});
    let broken = json!({"event": "Product Viewed", "properties": {"product_id": "p1"}});
    call(&shop, "POST", "/v1/track", &shop.public, Some(viewed)).await.ok();
    call(&shop, "POST", "/v1/track", &shop.public, Some(broken)).await.ok();
    shop.clock.set(NOW.plus_ms(2 * 60_000));
    call(&shop, "GET", "/v1/recommend/popular", &shop.public, None).await.ok();
    let activity = call(&shop, "GET", "/v1/activity?minutes=5", &shop.secret, None).await.ok();
    let minutes = activity["minutes"].as_array().unwrap();
    assert_eq!(minutes.len(), 3, "since the start");
    assert_eq!(
        (&minutes[0]["events"], &minutes[0]["rejected"], &minutes[0]["decisions"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        (&minutes[2]["decisions"], &minutes[2]["by_model"], minutes[2]["p50_ms"].is_number()),
        (&json!(1), &json!(1), true)
    );
    call(&shop, "GET", "/v1/activity?minutes=0", &shop.secret, None).await.mistakes();
}

#[tokio::test]
async fn events_are_seen_as_they_come_and_name_nobody() {
    let shop = Shop::open();
    let viewed = |visitor: &str| json!({"event": "Product Viewed", "anonymousId": visitor, "userId": "anna@shop.example", "properties": {"product_id": "p1"}});
    call(&shop, "POST", "/v1/track", &shop.public, Some(viewed("first"))).await.ok();
    let listening = request("GET", "/v1/events/live", &shop.secret).body(Body::empty()).unwrap();
    let response = merx_serve::router(&shop.app).oneshot(listening).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    call(&shop, "POST", "/v1/track", &shop.public, Some(viewed("second"))).await.ok();
    call(&shop, "POST", "/v1/track", &shop.public, Some(json!({"event": "Product Viewed"}))).await.ok();
    let mut told = Vec::new();
    for _ in 0..3 {
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.contains("anna") && !text.contains("second"), "{text}");
        told.push(serde_json::from_str::<Value>(text.trim().strip_prefix("data: ").unwrap()).unwrap());
    }
    let product = json!({"product_id": "p1", "name": "Product 1"});
    assert_eq!((&told[0]["name"], &told[0]["products"][0]), (&json!("Product Viewed"), &product));
    assert_eq!(told[1]["products"][0], product);
    assert_eq!((&told[2]["name"], &told[2]["refusal"]["code"]), (&json!("refused"), &json!("no_user_anon_id")));
}

#[tokio::test]
async fn the_assortment_is_read_page_by_page() {
    let shop = Shop::open();
    let first = call(&shop, "GET", "/v1/assortment?limit=30", &shop.secret, None).await.ok();
    assert_eq!((&first["total"], first["items"].as_array().unwrap().len()), (&json!(50), 30));
    let next = format!("/v1/assortment?limit=30&after={}", first["next"]);
    let rest = call(&shop, "GET", &next, &shop.secret, None).await.ok();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (20, &Value::Null));
    let line = &first["items"][0];
    assert_eq!((&line["name"], &line["price"]["minor"]), (&json!("Product 1"), &json!(199)));
    assert_eq!(line["lacks"], json!(["image", "brand", "cost"]));
}

#[tokio::test]
async fn coverage_says_what_products_lack_and_what_is_sold_out() {
    let shop = Shop::open();
    shop.catalogue.put(ProductNumber(0), merx_decide::CatalogueEntry::new(&product(1), Some(0)));
    let coverage = call(&shop, "GET", "/v1/assortment/coverage", &shop.secret, None).await.ok();
    assert_eq!(
        (&coverage["products"], &coverage["sold_out"], &coverage["untracked"]),
        (&json!(50), &json!(1), &json!(49))
    );
    assert_eq!(coverage["lacks"], json!({"brand": 50, "cost": 50, "image": 50}));
    let odd = json!({"name": "Odd", "products": 25, "sold_out": 1});
    assert!(coverage["departments"].as_array().unwrap().contains(&odd), "{coverage}");
}

#[tokio::test]
async fn markets_say_what_is_sold_where_and_what_runs_otherwise() {
    let shop = Shop::open();
    let mut there = product(1);
    let price =
        Price { market: Some("gb".parse().unwrap()), amount: Money::new(500, Currency::GBP), list_amount: None };
    there.variants[0].prices.push(price);
    there.availability =
        vec![MarketAvailability { market: "gb".parse().unwrap(), sold: true, from: None, until: None }];
    shop.catalogue.put(ProductNumber(0), merx_decide::CatalogueEntry::new(&there, None));
    let mode = json!({"mode": "shadow", "market": "us"});
    call(&shop, "POST", "/v1/automations/recommend/mode", &shop.admin, Some(mode)).await.ok();
    let markets = call(&shop, "GET", "/v1/markets", &shop.secret, None).await.ok();
    let items = markets["items"].as_array().unwrap();
    let names: Vec<&str> = items.iter().map(|item| item["market"].as_str().unwrap()).collect();
    assert_eq!((names[0], &items[0]["default"], &markets["currency"]), ("default", &json!(true), &json!("EUR")));
    let find = |name: &str| items.iter().find(|item| item["market"] == name).unwrap();
    let (gb, us) = (find("gb"), find("us"));
    assert_eq!((&items[0]["sold"], &gb["sold"], &gb["own_prices"]), (&json!(49), &json!(50), &json!(1)));
    let currencies = json!([{"currency": "EUR", "products": 49}, {"currency": "GBP", "products": 1}]);
    assert_eq!((&gb["currencies"], &gb["without_price"], &gb["region"]), (&currencies, &json!(0), &json!("default")));
    assert_eq!(us["automations"], json!([{"automation": "recommend", "mode": "shadow"}]));
    call(&shop, "GET", "/v1/markets", &shop.public, None).await.problem(403, "forbidden");
}

#[tokio::test]
async fn configured_slots_are_listed() {
    let shop = Shop::open();
    let slots = call(&shop, "GET", "/v1/slots", &shop.secret, None).await.ok();
    assert_eq!(slots["items"][0]["name"], "basket");
}

#[tokio::test]
async fn decisions_are_found_by_engine_and_person_and_read_on() {
    let shop = Shop::open();
    for number in 0..3 {
        shop.clock.set(NOW.plus_ms(number));
        call(&shop, "GET", &format!("/v1/recommend/popular?subject_id={number:032x}"), &shop.secret, None).await.ok();
    }
    call(&shop, "GET", "/v1/search?q=product", &shop.public, None).await.ok();
    let list = |query: &'static str| {
        let shop = &shop;
        async move { call(shop, "GET", &format!("/v1/decisions?{query}"), &shop.secret, None).await.ok()["items"].clone() }
    };
    assert_eq!(list("limit=10").await.as_array().unwrap().len(), 4);
    let searches = list("engine=search").await;
    assert_eq!((searches.as_array().unwrap().len(), &searches[0]["query"]), (1, &json!("product")));
    let of_one = list("subject_id=00000000000000000000000000000001").await;
    assert_eq!(of_one.as_array().unwrap().len(), 1);
    let newest = list("engine=recommend&limit=1").await[0]["decision_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/decisions?engine=recommend&before={newest}");
    let older = call(&shop, "GET", &path, &shop.secret, None).await.ok();
    let subjects: Vec<&str> =
        older["items"].as_array().unwrap().iter().map(|one| one["subject_id"].as_str().unwrap()).collect();
    assert_eq!(subjects, [format!("{:032x}", 1), format!("{:032x}", 0)]);
    call(&shop, "GET", "/v1/decisions?before=x", &shop.secret, None).await.mistakes();
}

#[tokio::test]
async fn the_console_is_a_page_with_a_strict_policy() {
    let shop = Shop::open();
    for path in ["/console", "/console/search"] {
        let page = call(&shop, "GET", path, "", None).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe")
        );
        assert!(!page.text().contains("<style") && !page.text().contains("onclick"));
    }
    call(&shop, "GET", "/console/assets/none.js", "", None).await.problem(404, "not_found");
    call(&shop, "GET", "/console/a/b", "", None).await.problem(404, "unknown_route");
}
