//! The catalogue as shoppers see it, the pages beside the API, and what others may keep.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use merx_domain::TimestampMs;
use merx_serve::{DemoShop, Playing, Scene, Site, Stage};
use merx_store::StoreError;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{Reply, call, request, send};

async fn put(shop: &Shop, path: &str, body: Value) {
    call(shop, "PUT", path, &shop.secret, Some(body)).await.ok();
}

fn boot() -> Value {
    let price = |minor: i64| json!({"amount": {"minor": minor, "currency": "EUR"}, "list_amount": {"minor": 2 * minor, "currency": "EUR"}});
    let variant = |id: &str, minor| json!({"id": id, "prices": [price(minor)], "cost": {"minor": 777, "currency": "EUR"}, "attributes": {"size": id}});
    json!({"name": "Boot </script>", "description": "Warm.", "url": "/shop/p/boot", "images": ["/boot.svg"],
        "variants": [variant("a", 5000), variant("b", 4000), variant("c", 6000)]})
}

async fn see(shop: &Shop, ids: &str) -> Reply {
    call(shop, "GET", &format!("/v1/storefront/products?ids={ids}"), &shop.public, None).await
}

#[tokio::test]
async fn shoppers_see_prices_and_whether_there_are_any_but_no_cost_and_no_figures() {
    let shop = Shop::open();
    put(&shop, "/v1/products/boot", boot()).await;
    for (variant, quantity) in [("a", 0), ("b", 3)] {
        put(&shop, &format!("/v1/stock/boot/{variant}/north"), json!({"quantity": quantity})).await;
    }
    let reply = see(&shop, "boot,nobody").await;
    let answer = reply.ok();
    assert_eq!(answer["products"].as_array().map(Vec::len), Some(1), "what isn't sold is left out");
    let product = &answer["products"][0];
    assert_eq!(product["price"], json!({"minor": 4000, "currency": "EUR"}), "the lowest");
    assert_eq!(product["list_price"], json!({"minor": 8000, "currency": "EUR"}));
    let stock: Vec<_> = (0..3).map(|place| product["variants"][place]["stock"].clone()).collect();
    assert_eq!(stock, ["out", "few", "plenty"]);
    assert_eq!(product["in_stock"], true);
    assert!(!reply.text().contains("777") && !reply.text().contains("cost") && !reply.text().contains("quantity"));

    call(&shop, "PATCH", "/v1/products/boot", &shop.secret, Some(json!({"status": "hidden"}))).await.ok();
    assert_eq!(see(&shop, "boot").await.ok(), json!({"products": []}));
    let many = (0..101).map(|number| format!("p{number}")).collect::<Vec<_>>().join(",");
    see(&shop, &many).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn what_is_anybodys_may_be_kept_and_what_is_somebodys_may_not() {
    let shop = Shop::open();
    for path in
        ["/v1/storefront", "/v1/storefront/products?ids=p1", "/v1/recommend/popular?count=2", "/v1/search?q=product"]
    {
        let first = call(&shop, "GET", path, &shop.public, None).await;
        first.ok();
        assert!(first.header("cache-control").starts_with("public, max-age="), "{path}");
        assert!(first.header("cache-control").contains("stale-while-revalidate"), "{path}");
        let again =
            request("GET", path, &shop.public).header("if-none-match", first.header("etag")).body(Body::empty());
        let again = send(&shop, again.unwrap()).await;
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
    }
    for path in ["/v1/recommend/popular?count=2&anonymous_id=v", "/v1/search?q=product&anonymous_id=v"] {
        let reply = call(&shop, "GET", path, &shop.public, None).await;
        assert_eq!((reply.header("cache-control"), reply.header("etag")), ("no-store", ""), "{path}");
    }
}

fn site() -> Site {
    Site {
        sdk: &[("merx.js", b"export {}")],
        shop: Some(DemoShop {
            pages: &[("index.html", b"<!--merx:head--><main><!--merx:body--></main>"), ("shop.js", b"1")],
            public_key: "mx_pub_1".into(),
            picture: Box::new(|product| format!("<svg>{}</svg>", product.id)),
            stage: Arc::new(PlainStage::default()),
        }),
    }
}

/// Plays what it is asked to, for good.
#[derive(Default)]
struct PlainStage(Mutex<Vec<Playing>>);

impl Stage for PlainStage {
    fn play(&self, scene: Scene) -> Result<Playing, StoreError> {
        let product = (scene == Scene::Stockout).then(|| "boot".parse().unwrap());
        let playing = Playing { scene, product, began_at: TimestampMs(0), ends_at: TimestampMs(60_000) };
        self.0.lock().unwrap().push(playing.clone());
        Ok(playing)
    }

    fn playing(&self) -> Vec<Playing> {
        self.0.lock().unwrap().clone()
    }

    fn visits(&self) -> u64 {
        7
    }
}

#[tokio::test]
async fn scenes_are_played_in_a_demo_only() {
    let without = Shop::open();
    call(&without, "GET", "/v1/demo", &without.admin, None).await.problem(404, "not_found");
    let shop = Shop::with_site(site());
    let begun = call(&shop, "POST", "/v1/demo/scenes", &shop.admin, Some(json!({ "scene": "stockout" }))).await;
    assert_eq!((begun.status, begun.json()["product_id"].as_str()), (201, Some("boot")));
    let stage = call(&shop, "GET", "/v1/demo", &shop.secret, None).await.json();
    assert_eq!((&stage["visits"], &stage["playing"][0]["scene"]), (&json!(7), &json!("stockout")));
    call(&shop, "POST", "/v1/demo/scenes", &shop.secret, Some(json!({ "scene": "trend" })))
        .await
        .problem(403, "forbidden");
    call(&shop, "POST", "/v1/demo/scenes", &shop.admin, Some(json!({ "scene": "rain" })))
        .await
        .problem(422, "invalid_request");
}

#[tokio::test]
async fn pages_are_served_with_what_is_known_of_a_product() {
    let without = Shop::open();
    call(&without, "GET", "/shop/", "", None).await.problem(404, "unknown_route");
    call(&without, "GET", "/sdk/merx.js", "", None).await.problem(404, "not_found");

    let shop = Shop::with_site(site());
    put(&shop, "/v1/products/boot", boot()).await;
    let page = call(&shop, "GET", "/shop/p/boot", "", None).await.text();
    assert!(page.contains("<h1>Boot &lt;/script&gt;</h1>") && page.contains("40.00 EUR"), "{page}");
    let data = page.split("ld+json\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap_or_default();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&data["@type"], &data["name"], &data["offers"]["price"]),
        (&json!("Product"), &json!("Boot </script>"), &json!("40.00"))
    );
    assert!(call(&shop, "GET", "/shop/p/gone", "", None).await.text().contains("noindex"));
    assert!(call(&shop, "GET", "/shop/c/Shoes", "", None).await.text().contains("<main></main>"));
    assert_eq!(call(&shop, "GET", "/shop/config.json", "", None).await.ok()["key"], "mx_pub_1");
    let picture = call(&shop, "GET", "/shop/pictures/boot.svg", "", None).await;
    assert_eq!((picture.text().as_str(), picture.header("content-type")), ("<svg>boot</svg>", "image/svg+xml"));
    assert!(picture.header("content-security-policy").contains("default-src 'none'"));
    call(&shop, "GET", "/shop/missing.js", "", None).await.problem(404, "not_found");
    assert_eq!(
        call(&shop, "GET", "/sdk/merx.js", "", None).await.header("content-type"),
        "text/javascript; charset=utf-8"
    );
}
