//! What a change of the catalogue does to what is found.

use std::collections::BTreeSet;

use merx_discovery::search::engine::{Person, SuggestAsk};
use merx_discovery::search::{EngineSettings, SearchAsk, SearchEngine, SearchError, SearchOptions};
use merx_domain::{Filter, Product, ProductNumber, ProductStatus};
use proptest::prelude::*;

use crate::shop::{catalogue, engine_of, names, product, search, situation};

#[test]
fn prices_stock_and_visibility_hold_at_once() {
    let mut products = catalogue();
    let engine = engine_of(&products);
    let ask = SearchAsk { filter: Some(Filter::parse("price < 35").unwrap()), ..SearchAsk::of("lamp") };
    let before = search(&engine, &ask).total;
    assert_eq!(before, 2);
    engine.set_stock(ProductNumber(2), Some(0));
    assert_eq!(search(&engine, &ask).total, 1);
    engine.set_stock(ProductNumber(2), None);
    products[3].variants[0].prices[0].amount.minor = 9_900;
    engine.put(ProductNumber(3), &products[3], Some(5)).unwrap();
    assert_eq!(search(&engine, &ask).total, 1);
    products[2].status = ProductStatus::Hidden;
    engine.put(ProductNumber(2), &products[2], Some(5)).unwrap();
    assert_eq!(search(&engine, &ask).total, 0);
}

#[test]
fn new_texts_are_found_after_a_refresh_and_survive_a_rebuild() {
    let mut products = catalogue();
    let engine = engine_of(&products);
    products.push(product("p18", "Brevia espresso machine", "Brevia", &["Home", "Kitchen"], 30_000, "black"));
    engine.put(ProductNumber(18), &products[18], Some(1)).unwrap();
    products[0].name = "Acme impact wrench".to_owned();
    engine.put(ProductNumber(0), &products[0], Some(1)).unwrap();
    products[1].status = ProductStatus::Archived;
    engine.put(ProductNumber(1), &products[1], Some(1)).unwrap();
    engine.refresh().unwrap();
    let check = |engine: &SearchEngine| {
        assert_eq!(names(&products, &search(engine, &SearchAsk::of("espreso machine")))[0], "Brevia espresso machine");
        assert_eq!(names(&products, &search(engine, &SearchAsk::of("impact wrench")))[0], "Acme impact wrench");
        let drills = search(engine, &SearchAsk::of("hammer drill"));
        assert!(drills.hits.iter().all(|hit| hit.product != ProductNumber(1)));
    };
    check(&engine);
    engine.rebuild((0..).map(ProductNumber).zip(&products)).unwrap();
    check(&engine);
    products[1].status = ProductStatus::Visible;
    engine.put(ProductNumber(1), &products[1], Some(1)).unwrap();
    engine.refresh().unwrap();
    assert!(search(&engine, &SearchAsk::of("hammer drill")).hits.iter().any(|hit| hit.product == ProductNumber(1)));
}

/// What a rebuilding has read already is in no index yet.
#[test]
fn a_new_product_is_found_while_an_index_is_built_with_it() {
    let mut products = catalogue();
    let engine = engine_of(&products);
    let new = products.len();
    products.push(product("new", "Brevia espresso machine", "Brevia", &["Home", "Kitchen"], 30_000, "black"));
    let order = std::iter::once(new).chain(0..new);
    let mut found_meanwhile = 0;
    let reading = order.map(|place| {
        if place == 1 {
            engine.put(ProductNumber(new as u32), &products[new], Some(1)).unwrap();
            engine.refresh().unwrap();
            found_meanwhile = search(&engine, &SearchAsk::of("espresso")).total;
        }
        (ProductNumber(place as u32), &products[place])
    });
    engine.rebuild(reading).unwrap();
    assert_eq!(found_meanwhile, 1);
    assert_eq!(search(&engine, &SearchAsk::of("espresso")).total, 1);
    // A product that only the rebuilding read is known with its texts.
    let before = engine.changed_texts();
    engine.put(ProductNumber(0), &products[0], Some(2)).unwrap();
    engine.refresh().unwrap();
    assert_eq!(engine.changed_texts(), before);
}

#[test]
fn nobody_means_a_word_that_no_product_has_any_more() {
    let mut products = catalogue();
    products.push(product("p18", "Ombrella zebrawood parasol", "Ombrella", &["Garden"], 9_000, "red"));
    let engine = engine_of(&products);
    let (near, begun) = (SearchAsk::of("zebrawod"), SearchAsk { unfinished: true, ..SearchAsk::of("zebraw") });
    assert_eq!(search(&engine, &near).searched_for.as_deref(), Some("zebrawood"));
    assert_eq!(search(&engine, &begun).total, 1);
    let mut put = |change: &dyn Fn(&mut Product)| {
        change(&mut products[18]);
        engine.put(ProductNumber(18), &products[18], Some(1)).unwrap();
        engine.refresh().unwrap();
    };
    let is_forgotten = || {
        assert_eq!(search(&engine, &near).searched_for, None);
        assert_eq!(search(&engine, &begun).total, 0);
        assert_eq!(search(&engine, &SearchAsk::of("ombrela")).searched_for, None);
    };
    put(&|product| product.status = ProductStatus::Archived);
    is_forgotten();
    put(&|product| product.status = ProductStatus::Visible);
    assert_eq!(search(&engine, &near).searched_for.as_deref(), Some("zebrawood"));
    put(&|product| (product.name, product.brand) = ("Teak parasol".into(), None));
    is_forgotten();
    assert_eq!(search(&engine, &SearchAsk::of("teak parasol")).total, 1);
}

/// Prices change far more often than texts, and the text index has nothing to do with them.
#[test]
fn only_changed_texts_go_to_the_text_index() {
    let mut products = catalogue();
    let engine = engine_of(&products);
    let mut put = |place: usize, change: &dyn Fn(&mut Product)| {
        change(&mut products[place]);
        engine.put(ProductNumber(place as u32), &products[place], Some(1)).unwrap();
        engine.refresh().unwrap();
        engine.changed_texts()
    };
    assert_eq!(put(3, &|product| product.variants[0].prices[0].amount.minor = 9_900), 0);
    assert_eq!(put(3, &|product| product.status = ProductStatus::Hidden), 0);
    assert_eq!(put(3, &|product| product.description = "Bright as day".into()), 1);
    assert_eq!(put(3, &|product| product.status = ProductStatus::Visible), 1);
    assert_eq!(put(3, &|product| product.status = ProductStatus::Archived), 2);
    assert_eq!(put(3, &|product| product.updated_at = product.updated_at.plus_ms(1)), 2);
    assert_eq!(put(3, &|product| product.status = ProductStatus::Visible), 3);
    engine.rebuild((0..).map(ProductNumber).zip(&products)).unwrap();
    assert_eq!(engine.changed_texts(), 0);
    // An index that could not be built leaves the old one as it is.
    let unread = [Ok((ProductNumber(0), &products[0])), Err(SearchError::Index("the disk is gone".to_owned()))];
    assert!(engine.rebuild_from(unread).is_err());
    engine.put(ProductNumber(3), &products[3], Some(1)).unwrap();
    engine.refresh().unwrap();
    assert_eq!(engine.changed_texts(), 0);
    assert_eq!(search(&engine, &SearchAsk::of("bright as day")).hits[0].product, ProductNumber(3));
}

/// What happens to one of three products.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Changed {
        place: usize,
        name: usize,
        status: ProductStatus,
    },
    Repriced {
        place: usize,
    },
    Refreshed,
    Rebuilt,
    /// And changed back, while an index is built: from the one or from the other.
    ChangedMeanwhile {
        place: usize,
        name: usize,
        status: ProductStatus,
        is_read: bool,
    },
    /// The records can't be read to the end.
    NotRebuilt,
}

fn anything() -> impl Strategy<Value = Happens> {
    let status = || prop::sample::select(vec![ProductStatus::Visible, ProductStatus::Hidden, ProductStatus::Archived]);
    prop_oneof![
        4 => (0..3usize, 0..3usize, status()).prop_map(|(place, name, status)| Happens::Changed { place, name, status }),
        1 => (0..3usize).prop_map(|place| Happens::Repriced { place }),
        2 => Just(Happens::Refreshed),
        1 => Just(Happens::Rebuilt),
        2 => (0..3usize, 0..3usize, status(), any::<bool>())
            .prop_map(|(place, name, status, is_read)| Happens::ChangedMeanwhile { place, name, status, is_read }),
        1 => Just(Happens::NotRebuilt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Only what has changed goes to the text index, and an index is built beside changes: none of that may be seen in what is found.
    #[test]
    fn however_it_came_to_be_an_index_finds_what_its_products_say(happened in prop::collection::vec(anything(), 1..20)) {
        const NAMES: [&str; 3] = ["lamp", "drill", "boot"];
        let mut products: Vec<Product> = (0..3).map(|place| product(&format!("p{place}"), NAMES[place], "Acme", &["All"], 1_000, "red")).collect();
        let number = |place: usize| ProductNumber(place as u32);
        let engine = SearchEngine::new(EngineSettings::default(), SearchOptions::default(), Box::new(|_| None)).unwrap();
        engine.load((0..3).map(|place| (number(place), &products[place], None))).unwrap();
        for what in happened {
            match what {
                Happens::Changed { place, name, status } => {
                    (products[place].name, products[place].status) = (NAMES[name].to_owned(), status);
                    engine.put(number(place), &products[place], None).unwrap();
                }
                Happens::Repriced { place } => {
                    products[place].variants[0].prices[0].amount.minor += 1;
                    engine.put(number(place), &products[place], None).unwrap();
                }
                Happens::Refreshed => engine.refresh().unwrap(),
                Happens::Rebuilt => engine.rebuild((0..3).map(|place| (number(place), &products[place]))).unwrap(),
                Happens::ChangedMeanwhile { place, name, status, is_read } => {
                    let changed = Product { name: NAMES[name].to_owned(), status, ..products[place].clone() };
                    let reading = (0..3).map(|at| {
                        if at == place && !is_read {
                            engine.put(number(place), &changed, None).unwrap();
                            engine.refresh().unwrap();
                        }
                        (number(at), if at == place && is_read { &changed } else { &products[at] })
                    });
                    engine.rebuild(reading).unwrap();
                    // Changed back before whoever follows the records comes by.
                    engine.put(number(place), &products[place], None).unwrap();
                }
                Happens::NotRebuilt => {
                    let read = (0..2).map(|place| Ok((number(place), &products[place])));
                    let unread = std::iter::once(Err(SearchError::Index("gone".to_owned())));
                    prop_assert!(engine.rebuild_from(read.chain(unread)).is_err());
                }
            }
        }
        engine.refresh().unwrap();
        for word in NAMES {
            let found = search(&engine, &SearchAsk { typo_tolerance: false, ..SearchAsk::of(word) });
            let found: BTreeSet<ProductNumber> = if found.total == 0 { BTreeSet::new() } else { found.hits.iter().map(|hit| hit.product).collect() };
            let says = |place: &usize| products[*place].name == word && products[*place].status == ProductStatus::Visible;
            let wanted: BTreeSet<ProductNumber> = (0..3).filter(says).map(number).collect();
            prop_assert_eq!(found, wanted, "{}", word);
        }
    }
}

/// Nothing waits for ever while everything happens at once, and no search sees half a change.
#[test]
fn searches_changes_and_rebuilding_go_on_together() {
    let products = catalogue();
    let engine = engine_of(&products);
    let renamed = |turn: usize| Product {
        name: if turn.is_multiple_of(2) { "Acme router table" } else { "Acme cordless drill 12 V" }.into(),
        ..products[0].clone()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..60 {
                engine.put(ProductNumber(0), &renamed(turn), Some(5)).unwrap();
                engine.refresh().unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..10 {
                engine.rebuild((0u32..).map(ProductNumber).zip(&products)).unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..150 {
                    assert!(search(&engine, &SearchAsk::of("hammer drill")).total >= 3);
                    engine.suggest(&SuggestAsk::of("acm"), &situation(), &Person::default());
                    engine.set_stock(ProductNumber(3), Some(4));
                }
            });
        }
    });
    engine.put(ProductNumber(0), &renamed(0), Some(5)).unwrap();
    engine.refresh().unwrap();
    assert_eq!(search(&engine, &SearchAsk::of("router table")).hits[0].product, ProductNumber(0));
}
