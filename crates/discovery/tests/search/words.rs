//! How typed words are read: spelling, languages, beginnings, suggestions.

use std::collections::BTreeSet;

use merx_discovery::search::engine::{LoggedQuery, Person, Step, SuggestAsk, SuggestionKind};
use merx_discovery::search::text::Language;
use merx_discovery::search::{EngineSettings, SearchAsk, SearchEngine, SearchOptions, Synonym};
use merx_domain::search::SearchedTerm;
use merx_domain::{Affinity, ProductNumber};

use crate::shop::{catalogue, engine_of, names, product, search, situation};

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
