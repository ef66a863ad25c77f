//! kill -9 in the middle of an import: the same command goes on where it was, and ends where an undisturbed one ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use merx_domain::{Order, Product, SubjectId};
use merx_ingest::Ingest;
use merx_ingest::vault::{MasterKey, Vault};
use merx_store::{LogSettings, Store};

use crate::harness::{Chance, Shop, kill_after, succeed};

const KILLS: usize = 15;
const ORDERS: u64 = 20_000;

const MAPPING: &str = r#"
entity = "orders"
currency = "EUR"
time_zone = "Europe/Berlin"
date_formats = ["%Y-%m-%d %H:%M"]
[fields]
order = "order"
placed_at = "time"
customer = "customer"
product = "product"
name = "name"
quantity = "quantity"
unit_price = "price"
"#;

/// Orders of one to five lines; some rows nobody can read, some lines of an order far from the others.
fn orders(chance: &mut Chance) -> String {
    let mut csv = "order,time,customer,product,name,quantity,price\n".to_owned();
    let mut late = String::new();
    for order in 0..ORDERS {
        let (day, minute, customer) = (1 + chance.below(28), chance.below(60), chance.below(2_000));
        for _ in 0..1 + chance.below(5) {
            let (product, quantity) = (chance.below(500), 1 + chance.below(3));
            let quantity = if chance.below(200) == 0 { "many".to_owned() } else { quantity.to_string() };
            let rows = if chance.below(2_000) == 0 { &mut late } else { &mut csv };
            let time = format!("2026-03-{day:02} 12:{minute:02}");
            writeln!(rows, "o{order},{time},c{customer},p{product},Product {product},{quantity},9.90").unwrap();
        }
    }
    csv + &late
}

fn import(shop: &Shop, file: &Path) -> Command {
    let mut command = shop.merx();
    command.arg("import").arg(file).arg("--mapping").arg(file.with_extension("toml"));
    command.arg("--rejects").arg(shop.beside("rejects.jsonl"));
    command
}

/// Records and events without what differs from vault to vault and from day to day: pseudonyms, times of arrival.
struct State {
    products: Vec<Product>,
    orders: BTreeMap<String, Order>,
    events: Vec<String>,
    customers: BTreeMap<String, Vec<String>>,
}

fn state(shop: &Shop) -> State {
    let migrations = merx_ingest::MIGRATIONS;
    let store = Store::open_embedded(&shop.data(), migrations, LogSettings::default()).unwrap();
    let key = MasterKey::load_or_create(&shop.data().join("vault.key")).unwrap();
    let vault = Vault::open(Arc::clone(&store.records), vec![key], 10_000).unwrap();
    let ingest = Ingest::new(Arc::clone(&store.records), Arc::clone(&store.log), vault);
    let mut of_subject: BTreeMap<SubjectId, Vec<String>> = BTreeMap::new();
    let mut orders = BTreeMap::new();
    for stored in ingest.orders.list(None, usize::MAX >> 1).unwrap() {
        let mut order = stored.order;
        let id = order.id.to_string();
        of_subject.entry(order.subject.take().unwrap()).or_default().push(id.clone());
        orders.insert(id, order);
    }
    let mut products: Vec<Product> =
        ingest.catalogue.list(None, usize::MAX >> 1).unwrap().into_iter().map(|stored| stored.product).collect();
    for product in &mut products {
        (product.created_at, product.updated_at) = Default::default();
    }
    let mut events: Vec<String> = Vec::new();
    for (_, event) in store.log.read(None, usize::MAX >> 1).unwrap() {
        events.push(format!("{} {:?} {} {:?} {:?}", event.id, event.kind, event.occurred_at, event.order, event.lines));
    }
    events.sort();
    // Whose orders belong together, whatever the pseudonym.
    let customers = of_subject.into_values().map(|orders| (orders[0].clone(), orders)).collect();
    State { products, orders, events, customers }
}

#[test]
fn a_killed_import_goes_on_and_ends_alike() {
    let mut chance = Chance::seeded("kills of imports", 2);
    let reference = Shop::empty();
    let file = reference.beside("orders.csv");
    std::fs::write(&file, orders(&mut chance)).unwrap();
    std::fs::write(file.with_extension("toml"), MAPPING).unwrap();
    let began = Instant::now();
    succeed(&mut import(&reference, &file));
    let undisturbed = began.elapsed();
    let expected = state(&reference);
    // A few consist of nothing but rows that are refused.
    assert!(expected.orders.len() as u64 > ORDERS * 99 / 100);
    let rejects = std::fs::read_to_string(reference.beside("rejects.jsonl")).unwrap();
    assert!(rejects.lines().count() > 100, "there are rows to refuse");

    let (mut kills, mut resumed, mut shops) = (0, 0, 0);
    while kills < KILLS {
        let shop = Shop::empty();
        shops += 1;
        loop {
            let wait = Duration::from_micros(chance.below(undisturbed.as_micros() as u64));
            if kill_after(&mut import(&shop, &file), wait).is_none() {
                break;
            }
            kills += 1;
            if shop.data().join("vault.key").exists() {
                let halfway = state(&shop);
                for (id, order) in &halfway.orders {
                    assert_eq!(order, &expected.orders[id], "an order is there whole or not at all");
                }
                resumed += usize::from(!halfway.orders.is_empty());
            }
        }
        let end = state(&shop);
        assert!(end.products == expected.products, "products of an undisturbed import");
        assert!(end.orders == expected.orders, "orders");
        assert!(end.customers == expected.customers, "whose orders");
        assert!(end.events == expected.events, "events");
        assert_eq!(std::fs::read_to_string(shop.beside("rejects.jsonl")).unwrap(), rejects);
        let again = succeed(&mut import(&shop, &file));
        assert!(again.contains(" 0 accepted"), "a finished import changes nothing: {again}");
    }
    assert!(resumed > 2, "{resumed} kills hit an import in its middle");
    println!("{kills} kills of {shops} imports, {resumed} with orders behind them; undisturbed {undisturbed:?}");
}
