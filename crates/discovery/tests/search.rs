//! What searches of a small shop find, count, show and say.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use std::collections::{BTreeMap, BTreeSet};

use merx_discovery::search::catalogue::FacetRequest;
use merx_discovery::search::engine::{
    Anchoring, Condition, Consequence, HitReason, LoggedQuery, Person, QueryCondition, Refinement, Rule, SortKey, Step,
    SuggestAsk, SuggestionKind,
};
use merx_discovery::search::text::Language;
use merx_discovery::search::{
    EngineSettings, MeaningSettings, SearchAnswer, SearchAsk, SearchEngine, SearchError, SearchOptions, Synonym,
};
use merx_domain::search::{Around, Distinct, Preference, SearchedTerm};
use merx_domain::{
    Affinity, AttributeValue, Blocked, ConsentStamp, Currency, DecisionId, Device, Engine, EngineError, Fact,
    FallbackLevel, Filter, FilterValue, MarketId, ModelVersion, Money, Price, Product, ProductId, ProductNumber,
    ProductStatus, Shelf, Situation, SubjectFeatures, TimestampMs, Variant, VariantId,
};
use proptest::prelude::*;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

fn product(id: &str, name: &str, brand: &str, path: &[&str], price_minor: i64, colour: &str) -> Product {
    let mut product = Product::new(ProductId::new(id).unwrap(), name, NOW);
    product.brand = Some(brand.into());
    product.category_path = path.iter().map(|level| (*level).into()).collect();
    product.attributes.insert("colour".into(), AttributeValue::Text(colour.into()));
    let mut variant = Variant::new(VariantId::new(format!("{id}-v")).unwrap());
    let amount = Money { minor: price_minor, currency: Currency::EUR };
    variant.prices.push(Price { market: None, amount, list_amount: None });
    product.variants.push(variant);
    product
}

/// Drills, lamps and shoes: number, id and name are in order.
fn catalogue() -> Vec<Product> {
    let mut products = Vec::new();
    let mut add = |name: &str, brand: &str, path: &[&str], price: i64, colour: &str| {
        let id = format!("p{}", products.len());
        products.push(product(&id, name, brand, path, price, colour));
    };
    for (place, colour) in ["red", "blue", "black"].iter().enumerate() {
        let place = place as i64;
        add(
            &format!("Acme cordless drill {} V", 12 + 6 * place),
            "Acme",
            &["Tools", "Drills"],
            4_000 + 3_000 * place,
            colour,
        );
        add(
            &format!("Umbra hammer drill {} W", 500 + 100 * place),
            "Umbra",
            &["Tools", "Drills"],
            6_000 + 1_000 * place,
            colour,
        );
        add(
            &format!("Lumo ceiling lamp {} in.", 12 + 4 * place),
            "Lumo",
            &["Home", "Lamps"],
            2_000 + 2_000 * place,
            colour,
        );
        add(
            &format!("Lumo desk lamp with {} light bulbs", 1 + place),
            "Lumo",
            &["Home", "Lamps"],
            3_000 + 1_000 * place,
            colour,
        );
        add(
            &format!("Strider running shoe size {}", 40 + place),
            "Strider",
            &["Sport", "Shoes"],
            8_000 + 500 * place,
            colour,
        );
        add(
            &format!("Strider trail shoes waterproof {colour}"),
            "Strider",
            &["Sport", "Shoes"],
            9_000 + 500 * place,
            colour,
        );
    }
    products
}

fn engine_of(products: &[Product]) -> SearchEngine {
    let options = SearchOptions {
        meaning: Some(MeaningSettings { dimensions: 8, ..MeaningSettings::default() }),
        ..SearchOptions::default()
    };
    let engine = SearchEngine::new(EngineSettings::default(), options, Box::new(|_| None)).unwrap();
    let numbered = (0u32..).map(ProductNumber).zip(products);
    engine.load(numbered.map(|(number, product)| (number, product, Some(5)))).unwrap();
    engine
}

fn situation() -> Situation {
    Situation {
        decision: DecisionId::from_bytes([7; 16]),
        subject: None,
        market: MarketId::default(),
        device: Device::default(),
        now: NOW,
        seed: 1,
        consent: ConsentStamp::default(),
    }
}

/// Refuses what it is told to.
#[derive(Default)]
struct Table(BTreeSet<u32>);

impl Shelf for Table {
    fn fact(&self, _slot: usize, product: ProductNumber) -> Fact {
        let blocked = self.0.contains(&product.0).then_some(Blocked::Hidden);
        Fact { blocked, boost: 1.0, price_minor: 1, created_at: NOW }
    }

    fn listing(&self, _slot: usize, _limit: usize) -> Vec<ProductNumber> {
        Vec::new()
    }

    fn static_list(&self, _slot: usize) -> Vec<ProductNumber> {
        Vec::new()
    }
}

fn ask_with(engine: &SearchEngine, ask: &SearchAsk, features: &SubjectFeatures) -> SearchAnswer {
    let proposal =
        engine.propose(FallbackLevel::LiveModel, None, &situation(), ask, features, &Table::default(), &|| false);
    proposal.unwrap().answer
}

fn search(engine: &SearchEngine, ask: &SearchAsk) -> SearchAnswer {
    ask_with(engine, ask, &SubjectFeatures::default())
}

fn names(products: &[Product], answer: &SearchAnswer) -> Vec<String> {
    answer.hits.iter().map(|hit| products[hit.product.index()].name.clone()).collect()
}

fn facet(field: &str) -> FacetRequest {
    FacetRequest { field: field.to_owned(), most_values: 100 }
}

fn counts(answer: &SearchAnswer, field: &str) -> BTreeMap<String, u32> {
    let facet = answer.facets.iter().find(|facet| facet.field == field).unwrap();
    facet.values.iter().map(|value| (merx_discovery::search::catalogue::text_of(&value.value), value.count)).collect()
}

#[test]
fn what_is_asked_for_comes_first_and_counts_are_of_all_hits() {
    let products = catalogue();
    let engine = engine_of(&products);
    let ask = SearchAsk {
        facets: vec![facet("brand"), facet("price"), facet("category.lvl1")],
        ..SearchAsk::of("cordless drill")
    };
    let answer = search(&engine, &ask);
    assert!(
        names(&products, &answer)[..3].iter().all(|name| name.contains("cordless")),
        "{:?}",
        names(&products, &answer)
    );
    let brands = counts(&answer, "brand");
    assert_eq!(brands.values().sum::<u32>() as usize, answer.total);
    assert_eq!(brands["Acme"], 3);
    let price = answer.facets.iter().find(|facet| facet.field == "price").unwrap().statistics.unwrap();
    assert_eq!((price.min, price.count as usize), (40.0, answer.total));
    assert!(counts(&answer, "category.lvl1").contains_key("Tools > Drills"));
    assert_eq!(answer.named, [("category".to_owned(), "Drills".to_owned())]);
}

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
    // An index that could not be built leaves the old one, and what is put again is taken in again.
    let unread = [Ok((ProductNumber(0), &products[0])), Err(SearchError::Index("the disk is gone".to_owned()))];
    assert!(engine.rebuild_from(unread).is_err());
    engine.put(ProductNumber(3), &products[3], Some(1)).unwrap();
    engine.refresh().unwrap();
    assert_eq!(engine.changed_texts(), 1);
    assert_eq!(search(&engine, &SearchAsk::of("bright as day")).hits[0].product, ProductNumber(3));
}

#[test]
fn misspelt_words_are_read_as_meant_and_the_answer_says_so() {
    let products = catalogue();
    let engine = engine_of(&products);
    let answer = search(&engine, &SearchAsk::of("cordles dril"));
    assert_eq!(answer.searched_for.as_deref(), Some("cordless drill"));
    assert!(names(&products, &answer)[0].contains("cordless drill"));
    assert!(
        answer
            .steps
            .iter()
            .any(|step| matches!(step, Step::Corrected { typed, replaced: true, .. } if typed == "cordles"))
    );
    let strict = search(&engine, &SearchAsk { typo_tolerance: false, ..SearchAsk::of("cordles dril") });
    assert_eq!(strict.searched_for, None);
    assert_eq!(strict.total, 0);
}

#[test]
fn right_spellings_are_never_corrected_away() {
    let products = catalogue();
    let engine = engine_of(&products);
    let words: BTreeSet<String> =
        products.iter().flat_map(|product| product.name.split_whitespace().map(str::to_lowercase)).collect();
    for word in words.iter().filter(|word| word.chars().all(char::is_alphabetic)) {
        for beside in ["drill", "lamp", "shoe", ""] {
            let answer = search(&engine, &SearchAsk::of(format!("{word} {beside}")));
            let replaced = answer.steps.iter().any(|step| matches!(step, Step::Corrected { replaced: true, .. }));
            assert!(!replaced && answer.searched_for.is_none(), "{word} {beside}: {:?}", answer.steps);
        }
    }
}

#[test]
fn article_numbers_are_found_and_never_corrected() {
    let mut products = catalogue();
    products[5].variants[0].gtin = Some("drilk".into());
    products[6].variants[0].gtin = Some("4006381333931".into());
    let engine = engine_of(&products);
    for (query, number) in [("drilk", 5), ("4006381333931", 6), ("p7-v", 7)] {
        let answer = search(&engine, &SearchAsk::of(query));
        assert_eq!(answer.hits[0].product, ProductNumber(number), "{query}");
        assert_eq!(answer.searched_for, None);
    }
}

#[test]
fn nothing_found_is_recovered_step_by_step() {
    let products = catalogue();
    let engine = engine_of(&products);
    engine.set_popularity([(ProductNumber(4), 1.0), (ProductNumber(2), 0.5)]);
    let relaxed = search(&engine, &SearchAsk::of("cordless lamp"));
    assert!(relaxed.total > 0);
    assert!(relaxed.steps.iter().any(|step| matches!(step, Step::Relaxed { missing } if missing.len() == 1)));
    let dropped = search(&engine, &SearchAsk::of("running shoe under 5"));
    assert!(dropped.steps.contains(&Step::PriceDropped) && dropped.total > 0);
    let priced = search(&engine, &SearchAsk::of("shoes under €82"));
    assert!(priced.steps.iter().any(|step| matches!(step, Step::PriceRead { .. })));
    assert_eq!(names(&products, &priced), ["Strider running shoe size 40"]);
    let popular = search(&engine, &SearchAsk::of("zzqqy"));
    assert_eq!((popular.total, popular.hits[0].product), (0, ProductNumber(4)));
    assert_eq!(popular.steps, [Step::Popular { category: None }]);
}

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

#[test]
fn pages_sorts_and_the_last_look_at_the_shelf() {
    let products = catalogue();
    let engine = engine_of(&products);
    let cheap = SortKey { field: "price".into(), descending: false };
    let ask = SearchAsk { sort: vec![cheap], count: 3, ..SearchAsk::of("lamp") };
    let prices: Vec<i64> = search(&engine, &ask)
        .hits
        .iter()
        .map(|hit| products[hit.product.index()].variants[0].prices[0].amount.minor)
        .collect();
    assert_eq!(prices, [2_000, 3_000, 4_000]);
    let all: Vec<ProductNumber> = search(&engine, &SearchAsk { count: 100, ..SearchAsk::of("lamp") })
        .hits
        .iter()
        .map(|hit| hit.product)
        .collect();
    let page = |offset| search(&engine, &SearchAsk { offset, count: 2, ..SearchAsk::of("lamp") });
    let paged: Vec<ProductNumber> = (0..3).flat_map(|number| page(number * 2).hits).map(|hit| hit.product).collect();
    assert_eq!(paged, all);
    assert_eq!((page(usize::MAX).hits.len(), page(1_000_000).total), (0, 6));
    let shelf = Table([all[0].0].into());
    let refused = engine.propose(
        FallbackLevel::LiveModel,
        None,
        &situation(),
        &SearchAsk::of("lamp"),
        &SubjectFeatures::default(),
        &shelf,
        &|| false,
    );
    assert_eq!(refused.unwrap().answer.hits[0].product, all[1]);
}

#[test]
fn every_level_answers_and_lateness_is_told() {
    let products = catalogue();
    let engine = engine_of(&products);
    engine.set_popularity([(ProductNumber(7), 0.9)]);
    let at = |level, pinned, late: &dyn Fn() -> bool| {
        engine.propose(
            level,
            pinned,
            &situation(),
            &SearchAsk::of("ceiling lamp"),
            &SubjectFeatures::default(),
            &Table::default(),
            late,
        )
    };
    assert!(
        names(&products, &at(FallbackLevel::LiveModel, None, &|| false).unwrap().answer)[0].contains("ceiling lamp")
    );
    assert_eq!(at(FallbackLevel::LiveModel, None, &|| true), Err(EngineError::Late));
    assert_eq!(at(FallbackLevel::PreviousModel, None, &|| false), Err(EngineError::NoModel));
    assert_eq!(at(FallbackLevel::LiveModel, Some(ModelVersion(3)), &|| false), Err(EngineError::NoModel));
    let words = at(FallbackLevel::Popularity, None, &|| false).unwrap();
    assert!(names(&products, &words.answer)[0].contains("ceiling lamp") && words.model.is_none());
    let popular = at(FallbackLevel::StaticList, None, &|| false).unwrap();
    assert_eq!(popular.answer.hits[0].product, ProductNumber(7));
    assert_eq!(at(FallbackLevel::LiveModel, None, &|| false), at(FallbackLevel::LiveModel, None, &|| false));
}

#[test]
fn asks_and_answers_survive_their_record() {
    let engine = engine_of(&catalogue());
    let ask = SearchAsk {
        filter: Some(Filter::parse("price < 90 AND NOT brand = Umbra").unwrap()),
        refinements: vec![Refinement {
            field: "brand".into(),
            filter: Filter::parse("brand IN (Acme, Lumo)").unwrap(),
        }],
        facets: vec![facet("*"), facet("price")],
        sort: vec![SortKey { field: "price".into(), descending: true }],
        explain: true,
        ..SearchAsk::of("dril under 80")
    };
    assert_eq!(kept_ask(&ask), ask);
    let answer = search(&engine, &ask);
    assert!(answer.total > 0 && !answer.steps.is_empty());
    let kept: SearchAnswer = postcard::from_bytes(&postcard::to_stdvec(&answer).unwrap()).unwrap();
    assert_eq!(kept, answer);
    assert_eq!(search(&engine, &kept_ask(&ask)), answer);
}

fn kept_ask(ask: &SearchAsk) -> SearchAsk {
    postcard::from_bytes(&postcard::to_stdvec(ask).unwrap()).unwrap()
}

#[test]
fn suggestions_find_something() {
    let products = catalogue();
    let engine = engine_of(&products);
    let logged = |text: &str, searches, trending| LoggedQuery { text: text.to_owned(), searches, trending };
    engine.set_logged_queries([
        logged("drill press", 90, true),
        logged("Drill  cordless", 40, false),
        logged("drone", 70, false),
        logged("desk lamp", 10, true),
    ]);
    let suggest = |text: &str| engine.suggest(&SuggestAsk::of(text), &situation(), &Person::default());
    let queries: Vec<String> = suggest("dri")
        .into_iter()
        .filter(|found| found.kind == SuggestionKind::Query)
        .map(|found| found.text)
        .collect();
    assert_eq!(queries[0], "drill cordless");
    assert!(!queries.contains(&"drill press".to_owned()) && !queries.contains(&"drone".to_owned()));
    for text in ["dri", "cord", "la", "acme c", "str", "x", "desk l"] {
        for found in suggest(text).into_iter().filter(|found| found.kind == SuggestionKind::Query) {
            assert!(
                search(&engine, &SearchAsk { typo_tolerance: false, ..SearchAsk::of(&found.text) }).total > 0,
                "{}",
                found.text
            );
        }
    }
    let kinds: BTreeSet<String> =
        suggest("lam").into_iter().chain(suggest("lum")).map(|found| format!("{:?}", found.kind)).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["Brand", "Category", "Product", "Query"]);
    // Before anything is typed: what is searched for more than before, then what is searched for most.
    let first: Vec<(String, bool)> = suggest("").into_iter().map(|found| (found.text, found.trending)).collect();
    assert_eq!(first, [("desk lamp".to_owned(), true), ("drill cordless".to_owned(), false)]);
}

#[test]
fn corrections_lean_to_what_shoppers_search_for() {
    let mut products = catalogue();
    for (name, brand) in [("Oak stool", "Umbra"), ("Oak spool", "Umbra")] {
        let id = format!("q{}", products.len());
        products.push(product(&id, name, brand, &["Home"], 1_000, "x"));
    }
    let engine = engine_of(&products);
    let meant = |engine: &SearchEngine| search(engine, &SearchAsk::of("oak sqool")).searched_for;
    let logged = |text: &str| [LoggedQuery { text: text.to_owned(), searches: 500, trending: false }];
    engine.set_logged_queries(logged("oak spool"));
    assert_eq!(meant(&engine).as_deref(), Some("oak spool"));
    engine.set_logged_queries(logged("oak stool"));
    assert_eq!(meant(&engine).as_deref(), Some("oak stool"));
    // What products write is never corrected away, however rarely it is asked for.
    let right = search(&engine, &SearchAsk::of("oak spool"));
    assert_eq!(names(&products, &right)[0], "Oak spool");
    // An index that is built anew knows it again.
    engine.rebuild((0u32..).map(ProductNumber).zip(&products)).unwrap();
    assert_eq!(meant(&engine).as_deref(), Some("oak stool"));
}

#[test]
fn typing_finds_before_the_word_is_done() {
    let products = catalogue();
    let engine = engine_of(&products);
    let answer = search(&engine, &SearchAsk { unfinished: true, ..SearchAsk::of("trail sho") });
    assert!(names(&products, &answer)[0].contains("trail shoes"));
    let marks = engine.highlight("Strider trail shoes", &answer.highlight);
    let ranges: Vec<_> = marks.iter().map(|mark| mark.range.clone()).collect();
    assert_eq!(ranges, [8..13, 14..17], "as far as it was typed");
}

#[test]
fn what_is_highlighted_names_the_words_of_the_query() {
    let products = catalogue();
    let engine = engine_of(&products);
    engine.set_merchandising(&[], vec![Synonym::Equal { words: vec!["trainers".into(), "shoes".into()] }]);
    let words = |query: &str, text: &str| -> Vec<String> {
        let answer = search(&engine, &SearchAsk::of(query));
        let marks = engine.highlight(text, &answer.highlight);
        let mut words: Vec<String> =
            marks.iter().flat_map(|mark| &mark.terms).map(|place| answer.highlight[*place].word.clone()).collect();
        words.sort_unstable();
        words.dedup();
        words
    };
    assert_eq!(words("trail shoes", "Strider trail shoes"), ["shoes", "trail"]);
    assert_eq!(words("trail shoes", "Strider shoes"), ["shoes"]);
    assert_eq!(words("trail trainers", "Strider trail shoes"), ["trail", "trainers"], "by a synonym");
    assert_eq!(words("trial shoos", "Strider trail shoes"), ["shoos", "trial"], "as typed, however it was read");
    assert_eq!(words("the trail", "The Strider"), Vec::<String>::new(), "what says nothing is not searched for");
    // Answers on record have one text for each; older ones the term alone.
    let written = postcard::to_stdvec(&["sneekers\tshoe", "sho*"]).unwrap();
    let read: [SearchedTerm; 2] = postcard::from_bytes(&written).unwrap();
    let terms = read.map(|searched| (searched.word, searched.term));
    assert_eq!(terms, [("sneekers".into(), "shoe".into()), ("sho*".into(), "sho*".into())]);
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

#[test]
fn hostile_queries_get_bounded_answers() {
    let engine = engine_of(&catalogue());
    for query in [
        "drill ".repeat(2_000),
        "*".repeat(10_000),
        "a* b* ?".repeat(500),
        "\u{0}\u{202e}💥".repeat(300),
        "((((\"AND OR NOT".repeat(100),
        "1/0 x x x 1x1x1x1".repeat(50),
    ] {
        let ask = SearchAsk {
            offset: usize::MAX - 1,
            count: usize::MAX,
            facets: vec![facet("*"), facet("nope")],
            unfinished: true,
            ..SearchAsk::of(query)
        };
        let answer = search(&engine, &ask);
        assert!(answer.hits.is_empty() && answer.total <= 18);
    }
}

#[test]
fn ten_languages_and_more_are_stemmed() {
    for (language, name, query) in [
        (Language::German, "Rote Laufschuhe für Damen", "laufschuh damen"),
        (Language::French, "Chaussures de randonnée imperméables", "chaussure randonnees"),
        (Language::Spanish, "Zapatillas deportivas para niños", "zapatilla deportiva nino"),
        (Language::Italian, "Scarpe da corsa leggere", "scarpa corse"),
        (Language::Portuguese, "Sapatos confortáveis", "sapato confortável"),
        (Language::Portuguese, "Sapatos confortáveis", "sapato confortaveis"),
        (Language::French, "Chaussures imperméables", "chaussure impermeable"),
        (Language::Dutch, "Waterdichte wandelschoenen", "wandelschoen waterdicht"),
        (Language::Swedish, "Vattentäta vandringskängor", "vattentäta vandringskänga"),
        (Language::Danish, "Vandtætte støvler", "støvlerne"),
        (Language::Finnish, "Vedenpitävät kengät", "kengät"),
        (Language::Russian, "Беговые кроссовки", "беговая кроссовка"),
        (Language::Turkish, "Su geçirmez ayakkabılar", "ayakkabılar"),
        (Language::Unstemmed, "電気ケトル ステンレス", "ケトル"),
        (Language::Unstemmed, "不锈钢电热水壶", "热水壶"),
        (Language::Unstemmed, "무선 청소기", "청소기"),
    ] {
        let engine = SearchEngine::new(
            EngineSettings::default(),
            SearchOptions { languages: vec![language], ..SearchOptions::default() },
            Box::new(|_| None),
        )
        .unwrap();
        let item = product("a", name, "x", &["y"], 100, "z");
        engine.load([(ProductNumber(0), &item, None)]).unwrap();
        let answer = search(&engine, &SearchAsk { typo_tolerance: false, ..SearchAsk::of(query) });
        assert_eq!(answer.total, 1, "{query}");
        assert!(!answer.steps.iter().any(|step| matches!(step, Step::Relaxed { .. })), "{query}: {:?}", answer.steps);
    }
}

/// A shop that sells in two languages: each is read in its own, and nobody has to say which.
#[test]
fn several_languages_are_found_in_one_index() {
    let options = SearchOptions { languages: vec![Language::English, Language::German], ..SearchOptions::default() };
    let engine = SearchEngine::new(EngineSettings::default(), options, Box::new(|_| None)).unwrap();
    let items = [
        product("a", "Running shoes for women", "x", &["y"], 100, ""),
        product("b", "Laufschuhe für die Straße", "x", &["y"], 100, ""),
        product("c", "Kochtöpfe aus Edelstahl", "x", &["y"], 100, ""),
        product("d", "Die cast model car", "x", &["y"], 100, ""),
    ];
    engine.load(items.iter().enumerate().map(|(number, item)| (ProductNumber(number as u32), item, None))).unwrap();
    let found = |ask: SearchAsk| -> Vec<u32> {
        let answer = search(&engine, &SearchAsk { typo_tolerance: false, ..ask });
        answer.hits.iter().map(|hit| hit.product.0).collect()
    };
    let exactly = |query: &str| found(SearchAsk::of(query));
    assert_eq!(exactly("shoe"), [0]);
    assert_eq!(exactly("laufschuh"), [1]);
    assert_eq!(exactly("kochtopf"), [2]);
    assert_eq!(exactly("Kochtöpfe"), [2]);
    // A word that says nothing in one language is one in the other, for those who say what they write in.
    let english = |query: &str| found(SearchAsk { languages: vec!["en-GB".into()], ..SearchAsk::of(query) });
    assert_eq!(english("die"), [3, 1]);
    assert_eq!(english("die straße"), [1]);
}

/// Own searches first, and what a person leans to; never what would find nothing.
#[test]
fn suggestions_are_the_persons_own() {
    let engine = SearchEngine::new(EngineSettings::default(), SearchOptions::default(), Box::new(|_| None)).unwrap();
    let items = [
        product("a", "Canvas bag", "Acme", &["Bags"], 100, ""),
        product("b", "Canvas shoe", "Acme", &["Shoes"], 100, ""),
        product("c", "Candle", "Acorn", &["Home"], 100, ""),
    ];
    engine.load(items.iter().enumerate().map(|(number, item)| (ProductNumber(number as u32), item, None))).unwrap();
    let searches = ["Canvas Shoe".into(), "candelabra".into(), "candle".into()];
    let affinities = [Affinity { feature: "brand".into(), key: "Acorn".into(), weight: 2.0 }];
    let person = Person { searches: &searches, affinities: &affinities };
    let texts = |text: &str, person: &Person<'_>| -> Vec<(String, bool)> {
        let ask = SuggestAsk { products: 0, categories: 0, ..SuggestAsk::of(text) };
        let found = engine.suggest(&ask, &situation(), person).into_iter();
        found.map(|suggestion| (suggestion.text, suggestion.personal)).collect()
    };
    let own = |text: &str| (text.to_owned(), true);
    let other = |text: &str| (text.to_owned(), false);
    assert_eq!(texts("", &person), [own("canvas shoe"), own("candle")]);
    assert_eq!(texts("can", &person)[..2], [own("canvas shoe"), own("candle")]);
    assert_eq!(texts("ac", &person).last_chunk(), Some(&[own("Acorn"), other("Acme")]));
    assert_eq!(texts("ac", &Person::default()).last_chunk(), Some(&[other("Acme"), other("Acorn")]));
    assert!(texts("can", &Person::default()).iter().all(|(_, personal)| !personal));
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

    #[test]
    fn any_query_is_answered(query in "\\PC{0,40}", unfinished in any::<bool>()) {
        thread_local! {
            static ENGINE: SearchEngine = engine_of(&catalogue());
        }
        ENGINE.with(|engine| {
            let answer = search(engine, &SearchAsk { unfinished, facets: vec![facet("*")], ..SearchAsk::of(query.clone()) });
            for hit in &answer.hits {
                engine.highlight(&catalogue()[hit.product.index()].name, &answer.highlight);
            }
            engine.suggest(&SuggestAsk::of(query), &situation(), &Person::default());
        });
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
