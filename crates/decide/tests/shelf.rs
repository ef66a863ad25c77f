//! What may be shown, what is filtered, what boosts do, and which lists a slot has.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use merx_decide::{Boost, BoostField, Catalogue, CatalogueEntry, RequestShelf, SlotRules};
use merx_domain::{
    AttributeValue, Blocked, Currency, DAY_MS, Filter, MarketAvailability, MarketId, Money, Price, Product, ProductId,
    ProductNumber, ProductStatus, Shelf, TimestampMs, Variant, VariantId,
};

const NOW: TimestampMs = TimestampMs(1_000 * DAY_MS);

fn market(id: &str) -> MarketId {
    MarketId::new(id).unwrap()
}

fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

fn product(number: u32) -> Product {
    let id = ProductId::new(format!("p{number}")).unwrap();
    let mut product = Product::new(id, format!("Oak chair {number}"), NOW.plus_ms(-90 * DAY_MS));
    let mut variant = Variant::new(VariantId::new("v").unwrap());
    variant.prices.push(Price { market: None, amount: euros(4_000), list_amount: None });
    variant.prices.push(Price { market: Some(market("ch")), amount: euros(9_000), list_amount: None });
    variant.cost = Some(euros(1_000));
    product.variants.push(variant);
    product.brand = Some("Nordwald".into());
    product.category_path = vec!["Furniture".into(), "Chairs".into()];
    product.attributes.insert("organic".into(), AttributeValue::Flag(true));
    product.attributes.insert("material".into(), AttributeValue::List(vec!["oak".into(), "wool".into()]));
    product.attributes.insert("height".into(), AttributeValue::Number(80.0));
    product
}

fn rule(id: &str, sold: bool, from: Option<i64>, until: Option<i64>) -> MarketAvailability {
    let day = |day: Option<i64>| day.map(|day| NOW.plus_ms(day * DAY_MS));
    MarketAvailability { market: market(id), sold, from: day(from), until: day(until) }
}

/// The facts of one product under one slot's rules, in market `de`.
fn fact(product: &Product, stock: Option<i64>, rules: SlotRules) -> merx_domain::Fact {
    let catalogue = Catalogue::default();
    catalogue.put(ProductNumber(0), CatalogueEntry::new(product, stock));
    RequestShelf::new(catalogue.read(), market("de"), NOW, vec![rules], &[]).fact(0, ProductNumber(0))
}

#[test]
fn what_may_not_be_shown_is_blocked_with_its_reason() {
    let with = |change: fn(&mut Product)| {
        let mut product = product(0);
        change(&mut product);
        product
    };
    let cases = [
        ("as it is", product(0), Some(3), None),
        ("stock that nobody counts", product(0), None, None),
        ("hidden", with(|product| product.status = ProductStatus::Hidden), None, Some(Blocked::Hidden)),
        ("archived", with(|product| product.status = ProductStatus::Archived), None, Some(Blocked::Hidden)),
        ("sold out", product(0), Some(0), Some(Blocked::OutOfStock)),
        ("oversold", product(0), Some(-2), Some(Blocked::OutOfStock)),
        ("sold here", with(|product| product.availability = vec![rule("de", true, None, None)]), None, None),
        (
            "sold elsewhere",
            with(|product| product.availability = vec![rule("ch", true, None, None)]),
            None,
            Some(Blocked::NotSoldHere),
        ),
        (
            "not sold here",
            with(|product| product.availability = vec![rule("de", false, None, None)]),
            None,
            Some(Blocked::NotSoldHere),
        ),
        (
            "not sold yet",
            with(|product| product.availability = vec![rule("de", true, Some(1), None)]),
            None,
            Some(Blocked::NotSoldHere),
        ),
        (
            "not sold any more",
            with(|product| product.availability = vec![rule("de", true, None, Some(0))]),
            None,
            Some(Blocked::NotSoldHere),
        ),
    ];
    for (name, product, stock, expected) in cases {
        assert_eq!(fact(&product, stock, SlotRules::default()).blocked, expected, "{name}");
    }
    let catalogue = Catalogue::default();
    let shelf = RequestShelf::new(catalogue.read(), market("de"), NOW, Vec::new(), &[]);
    assert_eq!(shelf.fact(0, ProductNumber(5)).blocked, Some(Blocked::Unknown));
}

#[test]
fn the_filter_language_asks_all_that_the_catalogue_knows() {
    let cases = [
        ("category = \"Chairs\"", true),
        ("category = \"chairs\" AND brand = \"Nordwald\"", true),
        ("category = \"Tables\"", false),
        ("category = \"Tables\" OR price <= 40", true),
        ("NOT category = \"Tables\"", true),
        ("price < 40", false),
        ("price >= 40 AND price <= 40", true),
        ("in_stock = true", true),
        ("attributes.organic = true", true),
        ("attributes.organic = false", false),
        ("attributes.material = \"oak\"", true),
        ("attributes.material = \"pine\"", false),
        ("attributes.height > 75 AND attributes.height < 85", true),
        ("attributes.unknown = 1", false),
        ("id = \"p0\"", true),
    ];
    for (text, passes) in cases {
        let rules = SlotRules { filter: Some(Filter::parse(text).unwrap()), boosts: Vec::new() };
        let expected = (!passes).then_some(Blocked::Filtered);
        assert_eq!(fact(&product(0), Some(3), rules).blocked, expected, "{text}");
    }
}

#[test]
fn boosts_multiply_by_what_they_look_at() {
    let organic = BoostField::Matches(Filter::parse("attributes.organic = true").unwrap());
    let pine = BoostField::Matches(Filter::parse("attributes.material = \"pine\"").unwrap());
    let cases = [
        (vec![], 1.0),
        (vec![(BoostField::Margin, 2.0)], 1.0 + 2.0 * 0.75),
        (vec![(BoostField::Stock, 1.0)], 1.0 + 30.0 / 40.0),
        // Ninety days old: halved three times.
        (vec![(BoostField::Newness, 1.0)], 1.125),
        (vec![(organic.clone(), 0.5)], 1.5),
        (vec![(pine, 5.0)], 1.0),
        (vec![(organic.clone(), -1.0)], 0.0),
        (vec![(organic, 0.5), (BoostField::Margin, 1.0)], 1.5 * 1.75),
    ];
    for (boosts, expected) in cases {
        let boosts: Vec<Boost> = boosts.into_iter().map(|(field, strength)| Boost { field, strength }).collect();
        let words = format!("{boosts:?}");
        let boost = fact(&product(0), Some(30), SlotRules { filter: None, boosts }).boost;
        assert!((boost - expected).abs() < 1e-5, "{words}: {boost}, not {expected}");
    }
}

#[test]
fn a_slot_has_its_own_rules_prices_and_lists() {
    let catalogue = Catalogue::default();
    for number in 0..6 {
        let mut product = product(number);
        product.created_at = NOW.plus_ms(-i64::from(number) * DAY_MS);
        product.category_path = vec![if number % 2 == 0 { "Even" } else { "Odd" }.into()];
        catalogue.put(ProductNumber(number), CatalogueEntry::new(&product, Some(i64::from(number != 2))));
    }
    let odd = SlotRules { filter: Some(Filter::parse("category = \"Odd\"").unwrap()), boosts: Vec::new() };
    let general = [ProductNumber(5)];
    let shelf = RequestShelf::new(catalogue.read(), market("ch"), NOW, vec![SlotRules::default(), odd], &general)
        .with_lists(vec![Vec::new(), vec![ProductNumber(1), ProductNumber(3)]]);
    let numbers = |list: Vec<ProductNumber>| list.into_iter().map(|product| product.0).collect::<Vec<_>>();
    assert_eq!(numbers(shelf.listing(0, 10)), [0, 1, 3, 4, 5], "newest first, without what is sold out");
    assert_eq!(numbers(shelf.listing(0, 2)), [0, 1]);
    assert_eq!(numbers(shelf.listing(1, 10)), [1, 3, 5]);
    assert_eq!(numbers(shelf.static_list(0)), [5], "a slot without a list has the shop's");
    assert_eq!(numbers(shelf.static_list(1)), [1, 3]);
    assert_eq!(numbers(shelf.static_list(2)), [5]);
    assert_eq!(shelf.fact(0, ProductNumber(0)).price_minor, 9_000, "the market's own price");
}
