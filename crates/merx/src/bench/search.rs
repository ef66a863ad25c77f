//! `merx bench search`: product search over judged queries.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use merx_discovery::search::judged::{Figures, JudgedQuery};
use merx_discovery::search::{SearchDocument, SearchIndex, SearchOptions, feature_names};
use merx_domain::ProductNumber;
use rustc_hash::FxHashMap;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// Table of products, tab-separated, plain or gzipped: product_uid, product_title.
    #[arg(long)]
    products: PathBuf,
    /// Table of judgements: query, product_uid, relevance from 1 to 3.
    #[arg(long)]
    judgments: PathBuf,
    /// Table of misspelt queries: misspelt, corrected. It says which queries are misspelt, and is used for nothing else.
    #[arg(long)]
    typos: Option<PathBuf>,
    /// Write each query's measured products here, tab-separated.
    #[arg(long)]
    export_features: Option<PathBuf>,
}

fn read_table(path: &Path) -> Result<Vec<FxHashMap<String, String>>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(BufReader::new(file)).read_to_string(&mut text)?;
    } else {
        BufReader::new(file).read_to_string(&mut text)?;
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').flexible(true).from_reader(text.as_bytes());
    let header = reader.headers()?.clone();
    let rows = reader.records().map(|row| {
        let row = row.with_context(|| path.display().to_string())?;
        Ok(header.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect())
    });
    rows.collect()
}

const DEPTH: usize = 200;

pub(crate) fn run(options: &SearchArguments) -> Result<()> {
    let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
    let mut documents = Vec::new();
    for row in read_table(&options.products)? {
        let number = documents.len() as u32;
        numbers.insert(row["product_uid"].clone(), number);
        documents.push(SearchDocument::named(ProductNumber(number), row["product_title"].clone()));
    }
    let mut queries: Vec<JudgedQuery> = Vec::new();
    let mut places: FxHashMap<String, usize> = FxHashMap::default();
    for row in read_table(&options.judgments)? {
        let place = *places.entry(row["query"].clone()).or_insert_with(|| {
            queries.push(JudgedQuery { text: row["query"].clone(), gains: FxHashMap::default() });
            queries.len() - 1
        });
        let relevance: f32 = row["relevance"].parse()?;
        if let Some(product) = numbers.get(&row["product_uid"]) {
            queries[place].gains.insert(*product, (relevance - 1.0) / 2.0);
        }
    }
    queries.retain(|query| query.gains.values().any(|gain| *gain > 0.0));
    let mut misspelt: Vec<String> = Vec::new();
    if let Some(path) = &options.typos {
        for row in read_table(path)? {
            if row["misspelt"].to_lowercase() != row["corrected"].to_lowercase() {
                misspelt.push(row["misspelt"].clone());
            }
        }
    }
    let begun = std::time::Instant::now();
    let index = SearchIndex::build(&documents, SearchOptions::default())?;
    let index_s = begun.elapsed().as_secs_f64();
    let mut latencies = Vec::new();
    let mut rows = Vec::new();
    for query in &queries {
        let begun = std::time::Instant::now();
        let hits = index.search(&query.text, DEPTH)?;
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
        let ranking: Vec<u32> = hits.iter().map(|hit| hit.product.0).collect();
        rows.push((query, Figures::of(&ranking, query)));
    }
    latencies.sort_by(f64::total_cmp);
    if let Some(path) = &options.export_features {
        export(&index, &queries, path)?;
    }
    let mean = |part: &dyn Fn(&str) -> bool| {
        let rows: Vec<&Figures> = rows.iter().filter(|(query, _)| part(&query.text)).map(|(_, figures)| figures).collect();
        let mean = |of: fn(&Figures) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len().max(1) as f64;
        json!({"queries": rows.len(), "ndcg@10": mean(|f| f.ndcg_at_10), "condensed_ndcg@10": mean(|f| f.condensed_ndcg_at_10),
            "mrr@10": mean(|f| f.mrr_at_10), "recall@100": mean(|f| f.recall_at_100), "judged@10": mean(|f| f.judged_at_10)})
    };
    println!("{}", mean(&|_| true));
    println!("{}", mean(&|query| misspelt.iter().any(|m| m == query)));
    println!("{}", json!({"index_s": index_s, "latency_p50_ms": latencies[latencies.len() / 2], "latency_p99_ms": latencies[latencies.len() * 99 / 100]}));
    Ok(())
}

fn export(index: &SearchIndex, queries: &[JudgedQuery], path: &Path) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::BufWriter::new(File::create(path)?);
    writeln!(out, "query\tproduct\tgain\tideal_gains\t{}", feature_names().join("\t"))?;
    for (number, query) in queries.iter().enumerate() {
        for hit in index.search(&query.text, 400)? {
            let gain = query.gains.get(&hit.product.0).copied().unwrap_or(-1.0);
            write!(out, "{number}\t{}\t{gain}\t0", hit.product.0)?;
            for value in hit.features {
                write!(out, "\t{value}")?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}
