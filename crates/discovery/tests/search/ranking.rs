//! What moves hits beside their texts: merchants, shoppers, preferences, places.

use std::collections::BTreeMap;

use merx_discovery::search::engine::{Anchoring, Condition, Consequence, HitReason, QueryCondition, Rule, SortKey};
use merx_discovery::search::{SearchAnswer, SearchAsk, Synonym};
use merx_domain::search::{Around, Distinct, Preference};
use merx_domain::{Affinity, AttributeValue, Filter, Product, ProductNumber, SubjectFeatures};

use crate::shop::{ask_with, catalogue, counts, engine_of, facet, names, search, situation};

#[test]
fn merchants_overrule_the_ranking() {
    let products = catalogue();
    let engine = engine_of(&products);
    let asked = |text: &str| {
        vec![Condition {
            query: Some(QueryCondition { text: text.into(), anchoring: Anchoring::Contains }),
            ..Condition::default()
        }]
    };
    let rule = |id: &str, text: &str, consequences: Vec<Consequence>| Rule {
        id: id.into(),
        enabled: true,
        conditions: asked(text),
        consequences,
        ..Rule::default()
    };
    let id = |number: u32| products[number as usize].id.clone();
    let rules = vec![
        rule(
            "pin",
            "drill",
            vec![Consequence::Pin { product: id(17), place: 1 }, Consequence::Hide { product: id(0) }],
        ),
        rule(
            "bury",
            "lamp",
            vec![Consequence::Boost { filter: Filter::parse("attributes.colour = red").unwrap(), strength: -0.9 }],
        ),
        rule(
            "sale",
            "sale",
            vec![Consequence::Redirect { url: "/sale".into() }, Consequence::Banner { data: "{}".into() }],
        ),
        rule("other", "sneaker", vec![Consequence::ReplaceQuery { text: "running shoe".into() }]),
    ];
    let synonyms = vec![Synonym::OneWay { from: "flashlight".into(), to: vec!["desk lamp".into()] }];
    engine.set_merchandising(&rules, synonyms);
    let hidden = vec![Rule {
        id: "h".into(),
        enabled: true,
        consequences: vec![Consequence::Hide { product: id(4) }],
        ..Rule::default()
    }];
    let preview = engine.preview(&situation(), &SearchAsk::of("running shoe"), &hidden, Vec::new()).unwrap();
    assert!(preview.hits.iter().all(|hit| hit.product != ProductNumber(4)));
    assert!(search(&engine, &SearchAsk::of("running shoe")).hits.iter().any(|hit| hit.product == ProductNumber(4)));
    let drills = search(&engine, &SearchAsk::of("drill"));
    assert_eq!(drills.hits[1].product, ProductNumber(17));
    assert!(drills.hits[1].reasons.contains(&HitReason::Rule { id: "pin".into() }));
    assert!(drills.hits.iter().all(|hit| hit.product != ProductNumber(0)));
    assert_eq!(drills.rules, ["pin"]);
    let lamps = names(&products, &search(&engine, &SearchAsk::of("lamp")));
    assert_eq!(lamps.len(), 6);
    let red: Vec<&str> = lamps[4..].iter().map(String::as_str).collect();
    assert!(red.contains(&products[2].name.as_str()) && red.contains(&products[3].name.as_str()), "{lamps:?}");
    let sale = search(&engine, &SearchAsk::of("sale"));
    assert_eq!((sale.redirect.as_deref(), sale.banners.len()), (Some("/sale"), 1));
    let replaced = search(&engine, &SearchAsk::of("sneaker"));
    assert_eq!(replaced.searched_for.as_deref(), Some("running shoe"));
    assert!(names(&products, &replaced)[0].contains("running shoe"));
    let synonym = search(&engine, &SearchAsk::of("flashlight"));
    assert!(names(&products, &synonym)[0].contains("desk lamp"), "{:?}", names(&products, &synonym));
}

#[test]
fn merchants_boosts_move_what_is_browsed() {
    let products = catalogue();
    let engine = engine_of(&products);
    let boost = |text: &str, strength| Consequence::Boost { filter: Filter::parse(text).unwrap(), strength };
    let rule = |consequence| Rule { id: "r".into(), enabled: true, consequences: vec![consequence], ..Rule::default() };
    engine.set_merchandising(&[rule(boost("brand = Lumo", 0.5))], Vec::new());
    let raised = search(&engine, &SearchAsk::default());
    assert_eq!(products[raised.hits[0].product.index()].brand.as_deref(), Some("Lumo"));
    assert!(raised.hits[0].reasons.contains(&HitReason::Rule { id: "r".into() }));
    engine.set_merchandising(&[rule(boost("brand = Lumo", -0.5))], Vec::new());
    let buried = search(&engine, &SearchAsk { count: 100, ..SearchAsk::default() });
    assert_eq!(products[buried.hits.last().unwrap().product.index()].brand.as_deref(), Some("Lumo"));
    assert_eq!(buried.total, raised.total);
}

#[test]
fn a_search_can_leave_out_what_merchants_set() {
    let products = catalogue();
    let engine = engine_of(&products);
    let hide = Consequence::Hide { product: products[0].id.clone() };
    let rule = Rule { id: "r".into(), enabled: true, consequences: vec![hide], ..Rule::default() };
    let synonym = Synonym::Equal { words: vec!["illuminator".into(), "lamp".into()] };
    engine.set_merchandising(&[rule], vec![synonym]);
    let drill = SearchAsk { count: 100, ..SearchAsk::of("cordless drill 12 V") };
    let first = |ask: &SearchAsk| search(&engine, ask).hits[0].product;
    assert_ne!(first(&drill), ProductNumber(0));
    assert_eq!(first(&SearchAsk { without_rules: true, ..drill }), ProductNumber(0));
    let lamp = SearchAsk { typo_tolerance: false, ..SearchAsk::of("illuminator") };
    assert!(search(&engine, &lamp).total > 0);
    assert_eq!(search(&engine, &SearchAsk { without_synonyms: true, ..lamp }).total, 0);
}

#[test]
fn what_a_shopper_leans_to_rises() {
    let products = catalogue();
    let engine = engine_of(&products);
    let leaning = Affinity { feature: "brand".into(), key: "Umbra".into(), weight: 3.0 };
    let features = SubjectFeatures { affinities: vec![leaning], ..SubjectFeatures::default() };
    let ask = SearchAsk::of("drill");
    let place = |answer: &SearchAnswer| {
        answer.hits.iter().position(|hit| products[hit.product.index()].brand.as_deref() == Some("Umbra"))
    };
    let personal = ask_with(&engine, &ask, &features);
    assert_eq!(place(&personal), Some(0));
    assert!(
        personal.hits[0]
            .reasons
            .iter()
            .any(|reason| matches!(reason, HitReason::Personal { value, .. } if value == "Umbra"))
    );
    assert!(
        search(&engine, &ask)
            .hits
            .iter()
            .all(|hit| !hit.reasons.iter().any(|reason| matches!(reason, HitReason::Personal { .. })))
    );
}

/// The catalogue with the places of its products on a line to the north, a hundredth of a degree (1,112 m) apart; the last has none.
fn placed() -> Vec<Product> {
    let mut products = catalogue();
    let last = products.len() - 1;
    for (place, product) in products.iter_mut().enumerate().take(last) {
        product.attributes.insert("_geoloc.lat".into(), AttributeValue::Number(50.0 + place as f64 / 100.0));
        product.attributes.insert("_geoloc.lng".into(), AttributeValue::Number(8.0));
    }
    products
}

fn preference(alternatives: &[(&str, f32)], summed: bool) -> Preference {
    let read = |(filter, score): &(&str, f32)| (Filter::parse(filter).unwrap(), *score);
    Preference { alternatives: alternatives.iter().map(read).collect(), summed }
}

#[test]
fn what_is_preferred_goes_first_and_nothing_is_lost_for_it() {
    let products = catalogue();
    let engine = engine_of(&products);
    let plain = search(&engine, &SearchAsk::of("drill"));
    let colours = |answer: &SearchAnswer| -> Vec<String> {
        let colour = |hit: &merx_discovery::search::engine::SearchHit| match &products[hit.product.index()].attributes["colour"]
        {
            AttributeValue::Text(colour) => colour.to_string(),
            other => panic!("{other:?}"),
        };
        answer.hits.iter().map(colour).collect()
    };
    let preferred = |preferences: Vec<Preference>| SearchAsk { preferences, ..SearchAsk::of("drill") };
    let scores = [("attributes.colour = black", 3.0), ("attributes.colour = red", 1.0)];
    let one_of = search(&engine, &preferred(vec![preference(&scores, false)]));
    assert_eq!(one_of.total, plain.total);
    assert_eq!(colours(&one_of)[..6], ["black", "black", "red", "red", "blue", "blue"]);
    assert!(one_of.hits[0].reasons.contains(&HitReason::Preferred { score: 3.0 }));
    // What passes two of them is worth both; of alternatives the higher, or their sum.
    let both =
        vec![preference(&[("attributes.colour = red", 2.0)], false), preference(&[("brand = Umbra", 1.0)], false)];
    let first = &search(&engine, &preferred(both)).hits[0];
    assert!(first.reasons.contains(&HitReason::Preferred { score: 3.0 }), "{first:?}");
    let either = |summed| vec![preference(&[("attributes.colour = red", 2.0), ("brand = Umbra", 1.0)], summed)];
    let worth = |summed| match search(&engine, &preferred(either(summed))).hits[0].reasons.last() {
        Some(HitReason::Preferred { score }) => *score,
        other => panic!("{other:?}"),
    };
    assert_eq!((worth(false), worth(true)), (2.0, 3.0));
    // Not before the words: what lacks one stays behind.
    let ask =
        SearchAsk { preferences: vec![preference(&[("brand = Acme", 5.0)], false)], ..SearchAsk::of("hammer drill") };
    let found = search(&engine, &ask);
    assert!(names(&products, &found)[..3].iter().all(|name| name.contains("hammer")), "{:?}", names(&products, &found));
    // Nor before what it is sorted by.
    let sort = vec![SortKey { field: "price".into(), descending: false }];
    let sorted = SearchAsk { sort: sort.clone(), ..preferred(vec![preference(&scores, false)]) };
    let by_price = search(&engine, &SearchAsk { sort, ..SearchAsk::of("drill") });
    let prices = |answer: &SearchAnswer| -> Vec<i64> {
        answer.hits.iter().map(|hit| products[hit.product.index()].variants[0].prices[0].amount.minor).collect()
    };
    assert_eq!(prices(&search(&engine, &sorted)), prices(&by_price));
    // Browsing too.
    let browsed = search(&engine, &SearchAsk { query: String::new(), ..preferred(vec![preference(&scores, false)]) });
    assert!(
        colours(&browsed).is_sorted_by_key(|colour| ["black", "red", "blue"].iter().position(|known| known == colour))
    );
}

#[test]
fn of_equal_products_the_best_are_shown_and_counted_once() {
    let products = catalogue();
    let engine = engine_of(&products);
    for query in ["drill", ""] {
        let all = search(&engine, &SearchAsk { facets: vec![facet("brand")], count: 100, ..SearchAsk::of(query) });
        let distinct = |most| Some(Distinct { field: "brand".into(), most });
        let ask = |most| SearchAsk {
            distinct: distinct(most),
            facets: vec![facet("brand")],
            count: 100,
            ..SearchAsk::of(query)
        };
        let brand = |hit: &merx_discovery::search::engine::SearchHit| products[hit.product.index()].brand.clone();
        for most in [1, 2] {
            let some = search(&engine, &ask(most));
            let mut seen: BTreeMap<_, u32> = BTreeMap::new();
            let is_first = |hit: &&merx_discovery::search::engine::SearchHit| {
                let seen = seen.entry(brand(hit)).or_default();
                *seen += 1;
                *seen <= most
            };
            let expected: Vec<ProductNumber> = all.hits.iter().filter(is_first).map(|hit| hit.product).collect();
            assert_eq!(some.hits.iter().map(|hit| hit.product).collect::<Vec<_>>(), expected);
            assert_eq!(some.total, expected.len());
            assert_eq!(counts(&some, "brand"), counts(&all, "brand"), "facets count all");
        }
        let second = search(&engine, &SearchAsk { offset: 1, ..ask(1) });
        assert_eq!(second.hits.first(), search(&engine, &ask(1)).hits.get(1));
    }
}

#[test]
fn places_are_found_by_distance() {
    let products = placed();
    let engine = engine_of(&products);
    let around = |radius_m| Some(Around { latitude: 50.0, longitude: 8.0, radius_m, precision_m: 10 });
    let near = search(&engine, &SearchAsk { around: around(Some(3_400)), ..SearchAsk::default() });
    let numbers: Vec<u32> = near.hits.iter().map(|hit| hit.product.0).collect();
    assert_eq!((numbers.as_slice(), near.total), ([0, 1, 2, 3].as_slice(), 4));
    let far = |hit: &merx_discovery::search::engine::SearchHit| match hit.reasons.last() {
        Some(HitReason::Near { distance_m }) => *distance_m,
        other => panic!("{other:?}"),
    };
    assert!((far(&near.hits[1]) - 1_112.0).abs() < 1.0, "{near:?}");
    let lamps = search(&engine, &SearchAsk { around: around(None), count: 100, ..SearchAsk::of("lamp") });
    assert!(lamps.hits.iter().map(far).is_sorted() && lamps.total >= 5);
    // Where nothing has a place, nothing is near: as the protocol has it for records without one.
    let nowhere = search(&engine_of(&catalogue()), &SearchAsk { around: around(None), ..SearchAsk::of("lamp") });
    assert_eq!(nowhere.total, 0);
    assert!(
        search(&engine, &SearchAsk { facets: vec![facet("*")], ..SearchAsk::default() })
            .facets
            .iter()
            .all(|counts| !counts.field.contains("_geoloc"))
    );
}
