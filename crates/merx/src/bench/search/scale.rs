//! A large catalogue: how fast it is indexed, how much memory it takes, how fast it is searched and counted.

use anyhow::Result;
use merx_discovery::search::catalogue::FacetRequest;
use merx_discovery::search::engine::Refinement;
use merx_discovery::search::{EngineSettings, MeaningSettings, SearchAsk, SearchEngine, SearchOptions};
use merx_domain::{
    Blocked, Clock, ConsentStamp, DecisionId, Device, Engine, Fact, FallbackLevel, Filter, MarketId, Product,
    ProductNumber, Shelf, Situation, SubjectFeatures,
};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop, ShopConfig};
use serde_json::json;

use super::{Stopwatch, quantile, seconds};

const QUERIES: usize = 1_000;

/// Everything is there.
struct Open;

impl Shelf for Open {
    fn fact(&self, _slot: usize, _product: ProductNumber) -> Fact {
        Fact { blocked: None::<Blocked>, boost: 1.0, price_minor: 0, created_at: merx_domain::TimestampMs(0) }
    }

    fn listing(&self, _slot: usize, _limit: usize) -> Vec<ProductNumber> {
        Vec::new()
    }

    fn static_list(&self, _slot: usize) -> Vec<ProductNumber> {
        Vec::new()
    }
}

pub(super) fn run(products: u32, lexical: bool, seed: u64, clock: &dyn Clock) -> Result<()> {
    let shop = Shop::new(ShopConfig { products, shoppers: 1, seed, ..ShopConfig::default() });
    let raw_bytes: usize = shop.products().map(|product| texts(&product)).sum();
    let queries = queries(&shop, seed);
    let market = shop.config().markets.first().map(|market| market.id.clone()).unwrap_or_default();
    let before = resident_bytes();
    let (name, meaning) = if lexical { ("lexical", None) } else { ("hybrid", Some(MeaningSettings::default())) };
    let options = SearchOptions { meaning, ..SearchOptions::default() };
    let engine = SearchEngine::new(EngineSettings::default(), options, Box::new(|_| None))?;
    let begun = clock.now();
    shop.products().for_each(drop);
    let generated_s = seconds(begun, clock);
    let begun = clock.now();
    engine.load((0u32..).map(ProductNumber).zip(shop.products()).map(|(number, product)| (number, product, None)))?;
    // Making the products is no part of indexing them.
    let index_s = seconds(begun, clock) - generated_s;
    println!(
        "{}",
        json!({"ranking": name, "products": products, "raw_text_mb": raw_bytes as f64 / 1e6,
            "generated_s": generated_s, "index_s": index_s, "products_per_s": f64::from(products) / index_s.max(1e-3)})
    );
    // As a server does after a build.
    crate::memory::give_back();
    for (kind, ask) in kinds() {
        println!("{}", measured(&engine, &market, name, kind, &queries, &ask)?);
    }
    // At the end: what searches keep at hand is part of it.
    let memory_mb = resident_bytes().saturating_sub(before) as f64 / 1e6;
    println!("{}", json!({"ranking": name, "products": products, "memory_mb": memory_mb}));
    Ok(())
}

type Asked = Box<dyn Fn(&str) -> SearchAsk>;

fn kinds() -> Vec<(&'static str, Asked)> {
    let facets = || {
        ["brand", "category", "category.lvl0", "category.lvl1", "price"]
            .map(|field| FacetRequest { field: field.into(), most_values: 100 })
            .to_vec()
    };
    let cheap =
        || Refinement { field: "price".into(), filter: Filter::parse("price < 50").unwrap_or(Filter::All(Vec::new())) };
    vec![
        ("words", Box::new(|text: &str| SearchAsk::of(text))),
        (
            "words, 5 facets, a refinement",
            Box::new(move |text: &str| SearchAsk {
                facets: facets(),
                refinements: vec![cheap()],
                ..SearchAsk::of(text)
            }),
        ),
        ("all products, 5 facets", Box::new(move |_: &str| SearchAsk { facets: facets(), ..SearchAsk::default() })),
    ]
}

fn measured(
    engine: &SearchEngine,
    market: &MarketId,
    ranking: &str,
    kind: &str,
    queries: &[String],
    ask: &Asked,
) -> Result<serde_json::Value> {
    let situation = Situation {
        decision: DecisionId::from_bytes([0; 16]),
        subject: None,
        market: market.clone(),
        device: Device::default(),
        now: merx_domain::TimestampMs(1_700_000_000_000),
        seed: 0,
        consent: ConsentStamp::default(),
    };
    let mut latencies_ms = Vec::with_capacity(queries.len());
    let mut hits = 0;
    let asked = if kind.starts_with("all") { &queries[..queries.len().min(50)] } else { queries };
    for query in asked {
        let ask = ask(query);
        let begun = Stopwatch::start();
        let found = engine.propose(
            FallbackLevel::LiveModel,
            None,
            &situation,
            &ask,
            &SubjectFeatures::default(),
            &Open,
            &|| false,
        )?;
        latencies_ms.push(begun.elapsed_ms());
        hits += found.answer.total;
    }
    Ok(json!({"ranking": ranking, "searches": kind, "queries": asked.len(), "mean_hits": hits / asked.len().max(1),
        "latency_p50_ms": quantile(&mut latencies_ms, 0.5), "latency_p99_ms": quantile(&mut latencies_ms, 0.99)}))
}

/// One to three words of a product's name.
fn queries(shop: &Shop, seed: u64) -> Vec<String> {
    let mut rng = Rng::from_seed(seed);
    let step = (shop.catalogue().len() / QUERIES).max(1);
    let names: Vec<String> = shop.products().step_by(step).map(|product| product.name).collect();
    let mut query = || {
        let words: Vec<&str> = names[rng.below(names.len())].split_whitespace().collect();
        let count = (1 + rng.below(3)).min(words.len());
        let start = rng.below(words.len() - count + 1);
        words[start..start + count].join(" ")
    };
    (0..QUERIES).map(|_| query()).collect()
}

/// Bytes of everything that is searched or counted.
fn texts(product: &Product) -> usize {
    let attributes: usize =
        product.attributes.iter().map(|(name, value)| name.len() + format!("{value:?}").len()).sum();
    let path: usize = product.category_path.iter().map(|level| level.len()).sum();
    let variants: usize =
        product.variants.iter().map(|variant| variant.id.as_str().len() + 8 * variant.prices.len()).sum();
    product.id.as_str().len()
        + product.name.len()
        + product.description.len()
        + product.brand.as_ref().map_or(0, |brand| brand.len())
        + path
        + attributes
        + variants
}

/// What the process holds, by the system's own count; 0 where it doesn't say.
fn resident_bytes() -> usize {
    const PAGE: usize = 4_096;
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * PAGE
}
