//! Searches with what a sentence encoder says: a synonym that only the encoder knows, and what happens without its vectors.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_discovery::search::engine::{HitReason, Step};
use merx_discovery::search::{
    EngineSettings, MeaningSettings, QueryVectors, SearchAsk, SearchEngine, SearchOptions, product_text, query_text,
};
use merx_domain::{
    ConsentStamp, DecisionId, Device, Engine, EngineError, Fact, FallbackLevel, MarketId, Product, ProductId,
    ProductNumber, Shelf, Situation, SubjectFeatures, TimestampMs,
};
use parking_lot::Mutex;

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
const ENCODER: &str = "planted";

struct Everything;

impl Shelf for Everything {
    fn fact(&self, _slot: usize, _product: ProductNumber) -> Fact {
        Fact { blocked: None, boost: 1.0, price_minor: 1, created_at: NOW }
    }

    fn listing(&self, _slot: usize, _limit: usize) -> Vec<ProductNumber> {
        Vec::new()
    }

    fn static_list(&self, _slot: usize) -> Vec<ProductNumber> {
        Vec::new()
    }
}

/// Knows that words of a line mean the same, whatever the catalogue says.
fn planted(text: &str) -> Vec<f32> {
    const MEANINGS: [&[&str]; 4] =
        [&["sofa", "couch", "settee"], &["lamp", "light"], &["drill", "borer"], &["shoe", "trainer", "sneaker"]];
    let text = query_text(text);
    let said = |words: &&[&str]| f32::from(u8::from(words.iter().any(|word| text.contains(word))));
    let vector = MEANINGS.iter().map(said).chain([0.1]).collect();
    merx_models::unit(vector).unwrap()
}

#[derive(Default)]
struct AtHand(Mutex<BTreeMap<String, Arc<[f32]>>>);

impl QueryVectors for AtHand {
    fn at_hand(&self, text: &str) -> Option<Arc<[f32]>> {
        self.0.lock().get(text).cloned()
    }
}

impl AtHand {
    fn bring(&self, query: &str) {
        self.0.lock().insert(query_text(query), planted(query).into());
    }
}

fn products() -> Vec<Product> {
    let names = ["Oak sofa", "Velvet sofa blue", "Desk lamp", "Ceiling lamp", "Cordless drill", "Running shoe"];
    let product = |(at, name): (usize, &&str)| Product::new(ProductId::new(format!("p{at}")).unwrap(), *name, NOW);
    names.iter().enumerate().map(product).collect()
}

fn engine() -> (SearchEngine, Arc<AtHand>) {
    let options = SearchOptions {
        meaning: Some(MeaningSettings { dimensions: 4, ..MeaningSettings::default() }),
        ..SearchOptions::default()
    };
    let engine = SearchEngine::new(EngineSettings::default(), options, Box::new(|_| None)).unwrap();
    let products = products();
    engine.load((0u32..).map(ProductNumber).zip(&products).map(|(number, product)| (number, product, None))).unwrap();
    let at_hand = Arc::new(AtHand::default());
    engine.set_encoder(ENCODER, Arc::clone(&at_hand) as _);
    (engine, at_hand)
}

fn vectors() -> impl Iterator<Item = (ProductNumber, Vec<f32>)> {
    let told = products().into_iter().map(|product| planted(&product_text(&product, 300)));
    (0u32..).map(ProductNumber).zip(told.collect::<Vec<Vec<f32>>>())
}

fn search(engine: &SearchEngine, ask: &SearchAsk) -> Result<merx_discovery::search::SearchAnswer, EngineError> {
    let situation = Situation {
        decision: DecisionId::from_bytes([7; 16]),
        subject: None,
        market: MarketId::default(),
        device: Device::default(),
        now: NOW,
        seed: 1,
        consent: ConsentStamp::default(),
    };
    let nobody = SubjectFeatures::default();
    let proposal = engine.propose(FallbackLevel::LiveModel, None, &situation, ask, &nobody, &Everything, &|| false)?;
    Ok(proposal.answer)
}

/// As a server asks: with the encoder where the query's vector is at hand.
fn asked(engine: &SearchEngine, query: &str) -> SearchAsk {
    SearchAsk { encoder: engine.encoder_at_hand(query), ..SearchAsk::of(query) }
}

#[test]
fn a_synonym_that_only_the_encoder_knows_is_found() {
    let (engine, at_hand) = engine();
    engine.put_sentences(vectors());
    at_hand.bring("settee");
    let without = search(&engine, &SearchAsk::of("settee")).unwrap();
    assert!(without.total == 0 && matches!(without.steps.last(), Some(Step::Popular { .. })), "{without:?}");
    let ask = asked(&engine, " Settee");
    assert_eq!(ask.encoder.as_deref(), Some(ENCODER));
    let found = search(&engine, &ask).unwrap();
    let mut hits: Vec<u32> = found.hits.iter().map(|hit| hit.product.0).collect();
    hits.sort_unstable();
    assert_eq!((hits, found.total), (vec![0, 1], 2));
    assert!(found.steps.contains(&Step::ByMeaning));
    let near = |reason: &HitReason| matches!(reason, HitReason::Meaning { cosine } if *cosine > 0.9);
    assert!(found.hits.iter().all(|hit| hit.reasons.iter().any(near)), "{:?}", found.hits);
    assert_eq!(search(&engine, &ask).unwrap(), found);
}

#[test]
fn a_price_is_no_part_of_what_is_encoded() {
    let (engine, at_hand) = engine();
    engine.put_sentences(vectors());
    at_hand.bring("settee");
    let ask = asked(&engine, "settee under 900");
    assert_eq!(ask.encoder.as_deref(), Some(ENCODER));
    assert!(!search(&engine, &ask).unwrap().hits.is_empty());
}

#[test]
fn until_enough_products_have_a_vector_the_own_encoder_answers_alone() {
    let (engine, at_hand) = engine();
    at_hand.bring("settee");
    engine.put_sentences(vectors().take(5));
    assert_eq!((engine.sentence_count(), engine.uses_sentences()), (5, false));
    assert_eq!(asked(&engine, "settee").encoder, None);
    engine.put_sentences(vectors().skip(5));
    assert!(engine.uses_sentences());
    assert_eq!(asked(&engine, "couch").encoder, None, "its vector isn't at hand");
    assert!(asked(&engine, "settee").encoder.is_some());
    // Vectors of another length are of another space.
    engine.put_sentences([(ProductNumber(0), vec![1.0, 0.0])]);
    assert_eq!(search(&engine, &asked(&engine, "settee")).unwrap().total, 2);
}

#[test]
fn a_search_whose_vectors_are_gone_is_refused_and_not_answered_otherwise() {
    let (engine, at_hand) = engine();
    engine.put_sentences(vectors());
    at_hand.bring("settee");
    let ask = asked(&engine, "settee");
    at_hand.0.lock().clear();
    let refused = search(&engine, &ask).unwrap_err().to_string();
    assert!(refused.contains(ENCODER), "{refused}");
    let other = SearchAsk { encoder: Some("another".to_owned()), ..ask };
    at_hand.bring("settee");
    assert!(search(&engine, &other).unwrap_err().to_string().contains("another"));
}

#[test]
fn a_changed_product_is_found_by_its_new_vector() {
    let (engine, at_hand) = engine();
    engine.put_sentences(self::vectors());
    engine.put_sentences([(ProductNumber(5), planted("sofa"))]);
    at_hand.bring("couch");
    let found = search(&engine, &asked(&engine, "couch")).unwrap();
    assert_eq!(found.total, 3);
}
