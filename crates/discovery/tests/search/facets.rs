//! Filters and facets, held against counting by hand.

use std::collections::{BTreeMap, BTreeSet};

use merx_discovery::search::engine::Refinement;
use merx_discovery::search::{EngineSettings, SearchAsk, SearchEngine, SearchOptions};
use merx_domain::{AttributeValue, Filter, FilterValue, Product, ProductNumber, ProductStatus};
use proptest::prelude::*;

use crate::shop::{catalogue, counts, engine_of, facet, product, search, situation};

#[test]
fn refinements_leave_their_own_facet_open() {
    let products = catalogue();
    let engine = engine_of(&products);
    let refine =
        |field: &str, filter: &str| Refinement { field: field.to_owned(), filter: Filter::parse(filter).unwrap() };
    let ask = SearchAsk {
        refinements: vec![
            refine("attributes.colour", "attributes.colour = red"),
            refine("brand", "brand IN (Strider, Lumo)"),
        ],
        facets: vec![facet("attributes.colour"), facet("brand"), facet("category")],
        ..SearchAsk::default()
    };
    let answer = search(&engine, &ask);
    assert_eq!(answer.total, 4);
    // Colours of both brands; brands of red things.
    assert_eq!(
        counts(&answer, "attributes.colour"),
        [("red", 4), ("blue", 4), ("black", 4)].map(|(v, c)| (v.to_owned(), c)).into()
    );
    assert_eq!(counts(&answer, "brand").into_values().sum::<u32>(), 6);
    assert_eq!(counts(&answer, "category")["Shoes"], 2);
}

#[test]
fn facets_that_tell_most_are_chosen_and_learnt() {
    let products = catalogue();
    let engine = engine_of(&products);
    let ask = SearchAsk { facets: vec![facet("*")], ..SearchAsk::of("lamp") };
    let fields = |engine: &SearchEngine| -> Vec<String> {
        search(engine, &ask).facets.into_iter().map(|facet| facet.field).collect()
    };
    // All lamps are of one brand: nothing to choose.
    assert!(!fields(&engine).contains(&"brand".to_owned()));
    engine.set_facet_choices([(None, "price".to_owned(), 20)]);
    assert_eq!(fields(&engine)[0], "price");
    let values = engine.facet_values(&SearchAsk::default(), "attributes.colour", "bl", 10, &situation()).unwrap();
    assert_eq!(values, [(FilterValue::Text("black".into()), 6), (FilterValue::Text("blue".into()), 6)]);
}

fn any_value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        prop::sample::select(vec!["red", "blue", "42", "true", "Red"])
            .prop_map(|text| AttributeValue::Text(text.into())),
        (0..4i32).prop_map(|number| AttributeValue::Number(f64::from(number) * 21.0)),
        any::<bool>().prop_map(AttributeValue::Flag),
        prop::collection::vec(prop::sample::select(vec!["s", "m", "l", "red"]), 0..3)
            .prop_map(|list| AttributeValue::List(list.into_iter().map(Into::into).collect())),
    ]
}

fn any_filter() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "brand",
        "category",
        "price",
        "in_stock",
        "attributes.a",
        "attributes.b",
        "attributes.missing",
    ]);
    let value = prop::sample::select(vec!["red", "42", "true", "acme", "20", "\"Tools\"", "m"]);
    let comparison = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (field.clone(), comparison, value.clone())
            .prop_map(|(field, comparison, value)| format!("{field} {comparison} {value}")),
        (field.clone(), value.clone(), value).prop_map(|(field, a, b)| format!("{field} IN ({a}, {b})")),
        field.prop_map(|field| format!("EXISTS {field}")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("NOT ({part})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) OR ({b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// The filter language's own meaning, product by product, is the judge; facets are counted by hand.
    #[test]
    fn filters_and_facets_are_exact(
        rows in prop::collection::vec((prop::option::of(any_value()), prop::option::of(any_value()), prop::sample::select(vec!["Acme", "red"]), 0..5i64), 1..12),
        filter in any_filter(),
        removed in any::<prop::sample::Index>(),
    ) {
        let engine = SearchEngine::new(EngineSettings::default(), SearchOptions::default(), Box::new(|_| None)).unwrap();
        let products: Vec<Product> = rows.iter().enumerate().map(|(place, (a, b, brand, price))| {
            let mut product = product(&format!("p{place}"), "thing", brand, &["Tools"], price * 1_000, "x");
            product.attributes.clear();
            product.attributes.extend([("a", a), ("b", b)].into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?))));
            product
        }).collect();
        engine.load(products.iter().enumerate().map(|(place, product)| (ProductNumber(place as u32), product, Some(1)))).unwrap();
        let gone = removed.index(products.len());
        let archived = Product { status: ProductStatus::Archived, ..products[gone].clone() };
        engine.put(ProductNumber(gone as u32), &archived, Some(1)).unwrap();
        let filter = Filter::parse(&filter).unwrap();
        let values_of = |product: &Product, field: &str| -> Vec<FilterValue> {
            let text = |text: &str| FilterValue::Text(text.to_owned());
            match field {
                "brand" => vec![text(product.brand.as_deref().unwrap())],
                "category" => vec![text("Tools")],
                "price" => vec![FilterValue::Number(product.variants[0].prices[0].amount.minor as f64 / 100.0)],
                "in_stock" => vec![FilterValue::Flag(true)],
                _ => match product.attributes.get(field.strip_prefix("attributes.").unwrap()) {
                    None => Vec::new(),
                    Some(AttributeValue::Text(value)) => vec![text(value)],
                    Some(AttributeValue::Number(value)) => vec![FilterValue::Number(*value)],
                    Some(AttributeValue::Flag(value)) => vec![FilterValue::Flag(*value)],
                    Some(AttributeValue::List(values)) => values.iter().map(|value| text(value)).collect(),
                },
            }
        };
        let kept = products.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, product)| product);
        let expected: Vec<&Product> = kept.filter(|product| filter.matches(&|field| values_of(product, field))).collect();
        let ask = SearchAsk { filter: Some(filter), facets: vec![facet("attributes.a"), facet("brand")], count: 100, ..SearchAsk::default() };
        let answer = search(&engine, &ask);
        prop_assert_eq!(answer.total, expected.len());
        for field in ["attributes.a", "brand"] {
            let mut by_hand: BTreeMap<String, u32> = BTreeMap::new();
            for product in &expected {
                let shown: BTreeSet<String> = values_of(product, field).iter().map(|value| format!("{value:?}")).collect();
                shown.into_iter().for_each(|value| *by_hand.entry(value).or_default() += 1);
            }
            let facet = answer.facets.iter().find(|facet| facet.field == field).unwrap();
            let counted: BTreeMap<String, u32> = facet.values.iter().map(|value| (format!("{:?}", value.value), value.count)).collect();
            prop_assert_eq!(counted, by_hand);
        }
    }
}
