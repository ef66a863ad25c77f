//! How a search is answered: levels, pages, records, recovery.

use merx_discovery::search::engine::{Person, Refinement, SortKey, Step, SuggestAsk};
use merx_discovery::search::{SearchAnswer, SearchAsk, SearchEngine};
use merx_domain::{Engine as _, EngineError, FallbackLevel, Filter, ModelVersion, ProductNumber, SubjectFeatures};
use proptest::prelude::*;

use crate::shop::{Table, catalogue, counts, engine_of, facet, names, search, situation};

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

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
