//! Products, orders, stock and models.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::Shop;
use crate::{call, request, send};

fn bag() -> Value {
    json!({
        "name": "Canvas Bag", "brand": "Acme", "category_path": ["Bags"], "attributes": {"organic": true, "litres": 12.5, "colours": ["red"], "note": "x"},
        "availability": [{"market": "DE", "sold": true, "from": "2026-01-01T00:00:00Z"}],
        "variants": [{"id": "bag-red", "prices": [{"amount": {"minor": 1899, "currency": "EUR"}}], "cost": {"minor": 700, "currency": "EUR"}}],
    })
}

#[tokio::test]
async fn a_product_is_put_read_patched_and_removed() {
    let shop = Shop::open();
    let path = "/v1/products/bag%2F1";
    let put = call(&shop, "PUT", path, &shop.secret, Some(bag())).await.ok();
    assert_eq!(put["id"], "bag/1");
    let read = call(&shop, "GET", path, &shop.secret, None).await.ok();
    assert_eq!(read, put);
    for (field, value) in bag().as_object().unwrap() {
        if !["availability", "variants"].contains(&field.as_str()) {
            assert_eq!(&read[field], value, "{field}");
        }
    }
    assert_eq!(read["variants"][0]["prices"][0]["amount"], json!({"minor": 1899, "currency": "EUR"}));
    // What was read can be put back.
    assert_eq!(call(&shop, "PUT", path, &shop.secret, Some(read.clone())).await.ok(), read);

    let patch = json!({"brand": null, "attributes": {"organic": null, "litres": 13}, "status": "hidden"});
    let patch = request("PATCH", path, &shop.secret)
        .header("content-type", "application/merge-patch+json")
        .body(Body::from(patch.to_string()));
    let patched = send(&shop, patch.unwrap()).await.ok();
    assert_eq!((&patched["brand"], &patched["status"]), (&Value::Null, &json!("hidden")));
    assert_eq!(patched["attributes"], json!({"litres": 13.0, "colours": ["red"], "note": "x"}));

    assert_eq!(call(&shop, "DELETE", path, &shop.secret, None).await.status, 204);
    call(&shop, "DELETE", path, &shop.secret, None).await.problem(404, "not_found");
    call(&shop, "PATCH", path, &shop.secret, Some(json!({}))).await.problem(404, "not_found");
}

#[tokio::test]
async fn mistakes_in_a_product_are_named_by_place() {
    let shop = Shop::open();
    let mut wrong = bag();
    wrong["id"] = json!("other");
    wrong["name"] = json!(" ");
    wrong["created_at"] = json!("yesterday");
    wrong["availability"][0]["market"] = json!("");
    wrong["variants"][0]["prices"][0]["amount"]["currency"] = json!("EURO");
    let reply = call(&shop, "PUT", "/v1/products/bag", &shop.secret, Some(wrong)).await;
    let expected = [
        ("id", "other_id"),
        ("name", "missing"),
        ("created_at", "invalid_timestamp"),
        ("availability[0].market", "invalid_id"),
        ("variants[0].prices[0].amount.currency", "invalid_currency"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    let reply = call(&shop, "PUT", "/v1/products/bag", &shop.secret, Some(json!({"nam": "x"}))).await;
    assert!(reply.problem(422, "invalid_request")["errors"][0]["detail"].as_str().unwrap().contains("nam"));
}

#[tokio::test]
async fn a_batch_makes_its_sound_changes_and_reports_the_others_by_position() {
    let shop = Shop::open();
    let mut mixed = json!({
        "all_or_nothing": true,
        "upsert": [{"id": "n1", "name": "New"}, {"name": "No id"}, {"id": "n3"}],
        "patch": [{"id": "p1", "name": "Renamed"}, {"id": "gone", "name": "x"}],
        "delete": ["p2", ""],
    });
    let reply = call(&shop, "POST", "/v1/products/batch", &shop.secret, Some(mixed.clone())).await;
    let expected = [
        ("upsert[2]", "wrong_form"),
        ("upsert[1].id", "missing"),
        ("patch[1].id", "not_found"),
        ("delete[1]", "invalid_id"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    call(&shop, "GET", "/v1/products/n1", &shop.secret, None).await.problem(404, "not_found");

    mixed["all_or_nothing"] = json!(false);
    let answer = call(&shop, "POST", "/v1/products/batch", &shop.secret, Some(mixed)).await.ok();
    assert_eq!((&answer["upserted"], &answer["patched"], &answer["deleted"]), (&json!(1), &json!(1), &json!(1)));
    let places: Vec<&str> =
        answer["errors"].as_array().unwrap().iter().map(|error| error["at"].as_str().unwrap()).collect();
    assert_eq!(places, expected.map(|(at, _)| at));
    call(&shop, "GET", "/v1/products/n1", &shop.secret, None).await.ok();
    assert_eq!(call(&shop, "GET", "/v1/products/p1", &shop.secret, None).await.ok()["name"], "Renamed");
    call(&shop, "GET", "/v1/products/p2", &shop.secret, None).await.problem(404, "not_found");
    let many: Vec<String> = (0..5_001).map(|number| format!("x{number}")).collect();
    let reply = call(&shop, "POST", "/v1/products/batch", &shop.secret, Some(json!({"delete": many}))).await;
    reply.problem(422, "invalid_request");
}

#[tokio::test]
async fn what_a_batch_says_twice_of_one_thing_holds_together() {
    let shop = Shop::open();
    let body = json!({
        "upsert": [{"id": "n1", "name": "New", "description": "first"}],
        "patch": [
            {"id": "p1", "name": "Renamed"}, {"id": "p1", "brand": "Acme"},
            {"id": "n1", "brand": "Umbra"}, {"id": "n1", "description": null},
        ],
    });
    call(&shop, "POST", "/v1/products/batch", &shop.secret, Some(body)).await.ok();
    let one = call(&shop, "GET", "/v1/products/p1", &shop.secret, None).await.ok();
    assert_eq!((&one["name"], &one["brand"]), (&json!("Renamed"), &json!("Acme")));
    let other = call(&shop, "GET", "/v1/products/n1", &shop.secret, None).await.ok();
    assert_eq!((&other["name"], &other["brand"]), (&json!("New"), &json!("Umbra")));
    assert_ne!(other["description"], "first");
}

#[tokio::test]
async fn pages_cover_everything_once() {
    let shop = Shop::open();
    let mut ids = Vec::new();
    let mut path = "/v1/products?limit=20".to_owned();
    loop {
        let page = call(&shop, "GET", &path, &shop.secret, None).await.ok();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/products?limit=20&cursor={cursor}");
    }
    assert_eq!(ids.len(), 50);
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    let reply = call(&shop, "GET", "/v1/products?cursor=%21", &shop.secret, None).await;
    assert_eq!(reply.mistakes(), [("cursor".to_owned(), "invalid_cursor".to_owned())]);
    let reply = call(&shop, "GET", "/v1/products?limit=1001", &shop.secret, None).await;
    assert_eq!(reply.mistakes(), [("limit".to_owned(), "out_of_range".to_owned())]);
}

#[tokio::test]
async fn an_order_names_its_customer_once() {
    let shop = Shop::open();
    let order = json!({
        "user_id": "u1", "placed_at": "2026-11-20T10:00:00+01:00", "currency": "EUR",
        "lines": [{"product_id": "p1", "quantity": 2, "unit_price": {"minor": 199, "currency": "EUR"}}],
    });
    let put = call(&shop, "PUT", "/v1/orders/o1", &shop.secret, Some(order.clone())).await.ok();
    assert_eq!(put["placed_at"], "2026-11-20T09:00:00.000Z");
    assert!(put.get("user_id").is_none(), "what names a person stays in the vault");
    assert_eq!(put["subject_id"].as_str().unwrap().len(), 32);
    assert_eq!(put["lines"][0]["kind"], "sale");

    let patched = call(&shop, "PATCH", "/v1/orders/o1", &shop.secret, Some(json!({"status": "cancelled"}))).await.ok();
    assert_eq!((&patched["status"], &patched["subject_id"]), (&json!("cancelled"), &put["subject_id"]));

    let mut wrong = order;
    wrong["lines"][0]["quantity"] = json!(0);
    wrong["placed_at"] = json!("soon");
    let reply = call(&shop, "POST", "/v1/orders/batch", &shop.secret, Some(json!({"upsert": [wrong]}))).await;
    let expected = [
        ("upsert[0].id", "missing"),
        ("upsert[0].placed_at", "invalid_timestamp"),
        ("upsert[0].lines[0].quantity", "out_of_range"),
    ];
    assert_eq!(reply.mistakes(), expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    assert_eq!(call(&shop, "DELETE", "/v1/orders/o1", &shop.secret, None).await.status, 204);
    call(&shop, "GET", "/v1/orders/o1", &shop.secret, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn stock_is_set_changed_and_forgotten() {
    let shop = Shop::open();
    let path = "/v1/stock/p1/p1-v/berlin";
    let set = call(&shop, "PUT", path, &shop.secret, Some(json!({"quantity": 4}))).await.ok();
    assert_eq!((&set["location_id"], &set["quantity"]), (&json!("berlin"), &json!(4)));
    let batch = json!({
        "upsert": [{"product_id": "p1", "variant_id": "p1-v", "location_id": "paris", "quantity": -1}],
        "delete": [{"product_id": "p9", "variant_id": "v", "location_id": "l"}],
    });
    let answer = call(&shop, "POST", "/v1/stock/batch", &shop.secret, Some(batch)).await.ok();
    assert_eq!(answer, json!({"upserted": 1, "patched": 0, "deleted": 0, "errors": []}));
    call(&shop, "PATCH", path, &shop.secret, Some(json!({"quantity": 3}))).await.ok();
    let levels = call(&shop, "GET", "/v1/stock/p1", &shop.secret, None).await.ok();
    let quantities: Vec<i64> =
        levels["items"].as_array().unwrap().iter().map(|l| l["quantity"].as_i64().unwrap()).collect();
    assert_eq!(quantities, [3, -1]);
    assert_eq!(call(&shop, "DELETE", path, &shop.secret, None).await.status, 204);
    call(&shop, "PATCH", path, &shop.secret, Some(json!({"quantity": 3}))).await.problem(404, "not_found");
}

#[tokio::test]
async fn models_are_promoted_and_rolled_back() {
    let shop = Shop::open();
    let live = async || {
        let models = call(&shop, "GET", "/v1/models", &shop.admin, None).await.ok();
        let live = models["items"].as_array().unwrap().iter().find(|model| model["stage"] == "live").unwrap().clone();
        live["version"].as_u64().unwrap()
    };
    assert_eq!(live().await, 1);
    let path = "/v1/models/recommend/promote";
    assert_eq!(call(&shop, "POST", path, &shop.admin, Some(json!({}))).await.ok()["version"], 2);
    assert_eq!(live().await, 2);
    call(&shop, "POST", "/v1/models/recommend/rollback", &shop.admin, None).await.ok();
    assert_eq!(live().await, 1);
    call(&shop, "POST", path, &shop.admin, Some(json!({"version": 9}))).await.problem(409, "conflict");
    call(&shop, "POST", "/v1/models/guess/promote", &shop.admin, Some(json!({}))).await.problem(404, "not_found");
}
