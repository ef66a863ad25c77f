//! `merx bench search`: finding products, learning from clicks, and large catalogues.

mod clicks;
mod encoded;
mod judged;
mod scale;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_domain::{Clock, TimestampMs};

/// One of three: judged queries, click sessions, or a simulated catalogue.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// Table of products, tab-separated, plain or gzipped: product_uid, product_title.
    #[arg(long, requires = "judgments")]
    products: Option<PathBuf>,
    /// Table of judgements: query, product_uid, relevance from 1 to 3.
    #[arg(long, requires = "products")]
    judgments: Option<PathBuf>,
    /// Table of misspelt queries: misspelt, corrected. It says which queries are misspelt, and is used for nothing else.
    #[arg(long, requires = "products")]
    typos: Option<PathBuf>,
    /// Folder of click sessions, a gzipped table a query: sess_id, query, rank, clicked_doc_id, clicked.
    #[arg(long, conflicts_with = "products")]
    sessions: Option<PathBuf>,
    /// So many products of the simulated shop, searched and counted in facets.
    #[arg(long, value_name = "PRODUCTS", conflicts_with_all = ["products", "sessions"])]
    simulated: Option<u32>,
    /// Search the simulated catalogue by words alone; otherwise by words and meaning. Memory is told of one in a process.
    #[arg(long, requires = "simulated")]
    lexical: bool,
    /// What says what texts mean: the shop's own encoder, a model in a folder (`--model`), or an endpoint (`--url` and `--model`).
    #[arg(long, value_name = "KIND", default_value = "own", value_parser = ["own", "sentence", "endpoint"], requires = "products")]
    encoder: String,
    /// Folder of a sentence encoder, or the name of the endpoint's model.
    #[arg(long, default_value = "")]
    model: String,
    /// Address of an endpoint that speaks OpenAI's embeddings protocol, without `/embeddings`; the key is MERX_EMBEDDINGS_KEY.
    #[arg(long, default_value = "")]
    url: String,
    /// Leave out the figures of test queries: for choosing settings.
    #[arg(long)]
    development_only: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(arguments: &SearchArguments, clock: &dyn Clock) -> Result<()> {
    let seed = arguments.seed;
    match (&arguments.products, &arguments.judgments, &arguments.sessions, arguments.simulated) {
        (Some(products), Some(judgments), ..) => {
            let (typos, development_only) = (arguments.typos.as_deref(), arguments.development_only);
            let encoder = encoded::Asked { kind: &arguments.encoder, model: &arguments.model, url: &arguments.url };
            judged::run(&judged::Paths { products, judgments, typos, development_only, seed, encoder }, clock)
        }
        (.., Some(sessions), _) => clicks::run(sessions, seed),
        (.., Some(products)) => scale::run(products, arguments.lexical, seed, clock),
        _ => bail!("what to measure: --products with --judgments, --sessions, or --simulated"),
    }
}

fn seconds(begun: TimestampMs, clock: &dyn Clock) -> f64 {
    clock.now().since(begun) as f64 / 1e3
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(f64::NAN)
}

fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Measures one search. Nothing but printed figures depends on it.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "the clock of the shop counts milliseconds; a search takes less")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed_ms(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e3
    }
}

/// Hands the wanted columns of each row of a tab-separated table over, plain or gzipped.
fn read_table<const N: usize>(
    path: &Path,
    columns: [&str; N],
    take: impl FnMut([&str; N]) -> Result<()>,
) -> Result<()> {
    read_separated(path, b'\t', columns, take)
}

fn read_separated<const N: usize>(
    path: &Path,
    separator: u8,
    columns: [&str; N],
    mut take: impl FnMut([&str; N]) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(BufReader::new(file)).read_to_string(&mut text)?;
    } else {
        BufReader::new(file).read_to_string(&mut text)?;
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers()?.clone();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let Some(found) = header.iter().position(|name| name == column) else {
            bail!("{}: no column {column}", path.display());
        };
        *place = found;
    }
    for row in reader.records() {
        let row = row.with_context(|| path.display().to_string())?;
        take(places.map(|place| row.get(place).unwrap_or_default()))
            .with_context(|| format!("{}: {row:?}", path.display()))?;
    }
    Ok(())
}
