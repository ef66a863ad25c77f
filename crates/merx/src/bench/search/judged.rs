//! Product search over judged queries: the figures of `benchmarks/`.

use std::path::Path;

use anyhow::Result;
use merx_discovery::search::boosted::BoostSettings;
use merx_discovery::search::judged::{CONDENSED_DEPTH, Figures, JudgedQuery, Part, mean_interval};
use merx_discovery::search::learning::judged_example;
use merx_discovery::search::{MeaningSettings, Ranker, SearchDocument, SearchIndex, SearchOptions, Sentence};
use merx_domain::{Clock, ProductNumber};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::encoded::{Asked, Encoded};
use super::{Stopwatch, median, quantile, read_table, seconds};

pub(super) struct Paths<'a> {
    pub products: &'a Path,
    pub judgments: &'a Path,
    pub typos: Option<&'a Path>,
    pub development_only: bool,
    pub seed: u64,
    pub encoder: Asked<'a>,
}

struct Judged {
    documents: Vec<SearchDocument>,
    queries: Vec<JudgedQuery>,
    /// Queries that are known to be misspelt, and all that the table of misspelt queries lists.
    misspelt: FxHashSet<String>,
    listed: FxHashSet<String>,
    /// What a sentence encoder says of them.
    encoded: Option<Encoded>,
}

/// Parts of the queries that figures are given for. Settings were chosen on the first.
const PARTS: [(&str, &[Part]); 3] = [
    ("development", &[Part::Training, Part::Validation]),
    ("test", &[Part::Test]),
    ("all", &[Part::Training, Part::Validation, Part::Test]),
];

/// Whether a query is of a kind.
type Belongs<'a> = &'a dyn Fn(&str) -> bool;

/// How often an index is built to be timed; the median is printed.
const TIMED: usize = 3;

pub(super) fn run(arguments: &Paths<'_>, clock: &dyn Clock) -> Result<()> {
    let mut judged = Judged::read(arguments)?;
    let mut times_s = Vec::new();
    for _ in 0..TIMED - 1 {
        let begun = clock.now();
        SearchIndex::build(judged.documents.iter().cloned(), SearchOptions::default())?;
        times_s.push(seconds(begun, clock));
    }
    let begun = clock.now();
    let index = SearchIndex::build(judged.documents.iter().cloned(), SearchOptions::default())?;
    times_s.push(seconds(begun, clock));
    let index_s = median(&mut times_s);
    judged.measure("lexical", &index, &Ranker::lexical(), arguments, json!({"index_s": index_s}))?;
    let begun = clock.now();
    index.learn_meaning(MeaningSettings::default());
    let index_s = index_s + seconds(begun, clock);
    judged.encoded = Encoded::by(&arguments.encoder, &judged.documents, &judged.queries, clock)?;
    if let Some(encoded) = &judged.encoded {
        let more = json!({"encode_s": encoded.encode_s, "encode_query_p50_ms": encoded.query_p50_ms});
        judged.measure("encoder", &index, &Ranker::sentence(), arguments, more)?;
    }
    judged.measure("hybrid", &index, &Ranker::default(), arguments, json!({"index_s": index_s}))?;
    let begun = clock.now();
    let ranker = judged.learn(&index, arguments.seed)?;
    judged.measure("learnt", &index, &ranker, arguments, json!({"train_s": seconds(begun, clock)}))
}

impl Judged {
    fn read(arguments: &Paths<'_>) -> Result<Self> {
        let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
        let mut documents = Vec::new();
        read_table(arguments.products, ["product_uid", "product_title"], |[id, title]| {
            let number = documents.len() as u32;
            numbers.insert(id.to_owned(), number);
            documents.push(SearchDocument::named(ProductNumber(number), title));
            Ok(())
        })?;
        let mut queries: Vec<JudgedQuery> = Vec::new();
        let mut places: FxHashMap<String, usize> = FxHashMap::default();
        read_table(arguments.judgments, ["query", "product_uid", "relevance"], |[query, product, relevance]| {
            let place = *places.entry(query.to_owned()).or_insert_with(|| {
                queries.push(JudgedQuery { text: query.to_owned(), gains: FxHashMap::default() });
                queries.len() - 1
            });
            let relevance: f32 = relevance.parse()?;
            if let Some(product) = numbers.get(product) {
                queries[place].gains.insert(*product, (relevance - 1.0) / 2.0);
            }
            Ok(())
        })?;
        queries.retain(|query| query.gains.values().any(|gain| *gain > 0.0));
        let (mut misspelt, mut listed) = (FxHashSet::default(), FxHashSet::default());
        if let Some(path) = arguments.typos {
            read_table(path, ["misspelt", "corrected"], |[typed, corrected]| {
                listed.insert(typed.to_owned());
                if typed.to_lowercase() != corrected.to_lowercase() {
                    misspelt.insert(typed.to_owned());
                }
                Ok(())
            })?;
        }
        Ok(Self { documents, queries, misspelt, listed, encoded: None })
    }

    fn encoder(&self) -> &str {
        self.encoded.as_ref().map_or("own", |encoded| &encoded.encoder)
    }

    fn sentence(&self, query: &JudgedQuery) -> Option<Sentence<'_>> {
        self.encoded.as_ref()?.sentence(&query.text)
    }

    /// A ranker from the judgements of training queries; the number of trees is chosen on the validation queries.
    fn learn(&self, index: &SearchIndex, seed: u64) -> Result<Ranker> {
        let mut examples = Vec::new();
        for query in self.queries.iter().filter(|query| query.part() == Part::Training) {
            examples.push(judged_example(index, query, self.sentence(query))?);
        }
        let settings = BoostSettings::default();
        let learnt = Ranker::learn(&mut examples, &settings, seed);
        let mut best: Option<(f64, Ranker)> = None;
        for trees in [1, 2, 3, 4].map(|quarter| settings.trees * quarter / 4) {
            let ranker = learnt.truncated(trees);
            let mut figures = Vec::new();
            for query in self.queries.iter().filter(|query| query.part() == Part::Validation) {
                let hits = index.search(&query.text, self.sentence(query), CONDENSED_DEPTH, &ranker)?;
                figures.push(Figures::of(&hits.iter().map(|hit| hit.product.0).collect::<Vec<u32>>(), query));
            }
            let mean = Figures::mean(&figures);
            let quality = mean.ndcg_at_10 + mean.condensed_ndcg_at_10;
            if best.as_ref().is_none_or(|(known, _)| quality > *known) {
                best = Some((quality, ranker));
            }
        }
        Ok(best.map_or_else(Ranker::default, |(_, ranker)| ranker))
    }

    /// Asks every query and prints a line for each part of them.
    fn measure(
        &self,
        ranking: &str,
        index: &SearchIndex,
        ranker: &Ranker,
        arguments: &Paths<'_>,
        more: Value,
    ) -> Result<()> {
        let mut latencies_ms = Vec::with_capacity(self.queries.len());
        let mut rows: Vec<(&JudgedQuery, Part, Figures)> = Vec::with_capacity(self.queries.len());
        for query in &self.queries {
            let begun = Stopwatch::start();
            let hits = index.search(&query.text, self.sentence(query), CONDENSED_DEPTH, ranker)?;
            latencies_ms.push(begun.elapsed_ms());
            let found: Vec<u32> = hits.iter().map(|hit| hit.product.0).collect();
            rows.push((query, query.part(), Figures::of(&found, query)));
        }
        let kinds: [(&str, Belongs<'_>); 3] = [
            ("any", &|_| true),
            ("misspelt", &|query| self.misspelt.contains(query)),
            ("clean", &|query| !self.listed.contains(query)),
        ];
        for (name, parts) in PARTS.iter().filter(|(name, _)| !arguments.development_only || *name == "development") {
            for (kind, belongs) in kinds.iter().take(if self.listed.is_empty() { 1 } else { 3 }) {
                let of_part = rows.iter().filter(|(query, part, _)| parts.contains(part) && belongs(&query.text));
                let figures: Vec<Figures> = of_part.map(|(.., figures)| *figures).collect();
                println!("{}", line(ranking, self.encoder(), name, kind, &figures, arguments.seed));
            }
        }
        let mut timing = json!({"ranking": ranking, "encoder": self.encoder(), "products": self.documents.len(), "queries": self.queries.len(), "depth": CONDENSED_DEPTH,
            "latency_p50_ms": quantile(&mut latencies_ms, 0.5), "latency_p99_ms": quantile(&mut latencies_ms, 0.99)});
        if let (Some(timing), Value::Object(more)) = (timing.as_object_mut(), more) {
            timing.extend(more);
        }
        println!("{timing}");
        Ok(())
    }
}

fn line(ranking: &str, encoder: &str, part: &str, kind: &str, figures: &[Figures], seed: u64) -> Value {
    let mean = Figures::mean(figures);
    let interval = |of: fn(&Figures) -> f64| mean_interval(&figures.iter().map(of).collect::<Vec<f64>>(), seed);
    json!({
        "ranking": ranking, "encoder": encoder, "part": part, "spelling": kind, "queries": figures.len(),
        "ndcg@10": mean.ndcg_at_10, "ndcg@10_ci95": interval(|row| row.ndcg_at_10),
        "condensed_ndcg@10": mean.condensed_ndcg_at_10, "condensed_ndcg@10_ci95": interval(|row| row.condensed_ndcg_at_10),
        "mrr@10": mean.mrr_at_10, "recall@100": mean.recall_at_100, "judged@10": mean.judged_at_10,
    })
}
