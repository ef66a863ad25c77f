//! A small shop that searches are tried in.

use std::collections::{BTreeMap, BTreeSet};

use merx_discovery::search::catalogue::FacetRequest;
use merx_discovery::search::{EngineSettings, MeaningSettings, SearchAnswer, SearchAsk, SearchEngine, SearchOptions};
use merx_domain::{
    AttributeValue, Blocked, ConsentStamp, Currency, DecisionId, Device, Engine as _, Fact, FallbackLevel, MarketId,
    Money, Price, Product, ProductId, ProductNumber, Shelf, Situation, SubjectFeatures, TimestampMs, Variant,
    VariantId,
};

pub(crate) const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

pub(crate) fn product(id: &str, name: &str, brand: &str, path: &[&str], price_minor: i64, colour: &str) -> Product {
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
pub(crate) fn catalogue() -> Vec<Product> {
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

pub(crate) fn engine_of(products: &[Product]) -> SearchEngine {
    let options = SearchOptions {
        meaning: Some(MeaningSettings { dimensions: 8, ..MeaningSettings::default() }),
        ..SearchOptions::default()
    };
    let engine = SearchEngine::new(EngineSettings::default(), options, Box::new(|_| None)).unwrap();
    let numbered = (0u32..).map(ProductNumber).zip(products);
    engine.load(numbered.map(|(number, product)| (number, product, Some(5)))).unwrap();
    engine
}

pub(crate) fn situation() -> Situation {
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
pub(crate) struct Table(pub(crate) BTreeSet<u32>);

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

pub(crate) fn ask_with(engine: &SearchEngine, ask: &SearchAsk, features: &SubjectFeatures) -> SearchAnswer {
    let proposal =
        engine.propose(FallbackLevel::LiveModel, None, &situation(), ask, features, &Table::default(), &|| false);
    proposal.unwrap().answer
}

pub(crate) fn search(engine: &SearchEngine, ask: &SearchAsk) -> SearchAnswer {
    ask_with(engine, ask, &SubjectFeatures::default())
}

pub(crate) fn names(products: &[Product], answer: &SearchAnswer) -> Vec<String> {
    answer.hits.iter().map(|hit| products[hit.product.index()].name.clone()).collect()
}

pub(crate) fn facet(field: &str) -> FacetRequest {
    FacetRequest { field: field.to_owned(), most_values: 100 }
}

pub(crate) fn counts(answer: &SearchAnswer, field: &str) -> BTreeMap<String, u32> {
    let facet = answer.facets.iter().find(|facet| facet.field == field).unwrap();
    facet.values.iter().map(|value| (merx_discovery::search::catalogue::text_of(&value.value), value.count)).collect()
}
