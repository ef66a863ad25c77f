//! `merx bench`: measures on anybody's data, one JSON object a line.

mod closed_loop;
mod experiments;
mod load;
mod overhead;
mod recording;
mod search;
pub(crate) mod server;
pub(crate) mod sessions;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use merx_domain::SystemClock;
use merx_train::protocols::{
    BenchOptions, FactorsOptions, Figure, Layout, bench_batch, bench_factors, bench_recommend,
};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Recommendations on held-out rows; settings are chosen on a validation part of the rows that may be learnt from.
    Recommend {
        /// How the files are laid out: lightgcn, sessions, leave-one-out, invoices.
        #[arg(long)]
        format: String,
        /// The folder with the files, plain or gzipped.
        #[arg(long)]
        data: PathBuf,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write the rows of the split here, so that others can be run on exactly the same.
        #[arg(long, value_name = "DIR")]
        export_split: Option<PathBuf>,
    },
    /// Product search over judged queries.
    Search(search::SearchArguments),
    /// How long matrix factorisation takes, and how well its recommendations do.
    Factors(FactorsArguments),
    /// How many users a second get recommendations from matrix factorisation, all asked for at once.
    Batch(FactorsArguments),
    /// Statistics of experiments: simulations with a known truth, published cases, real experiments, speed.
    Experiments(experiments::ExperimentsArguments),
    /// Simulated shoppers are shown products by popularity, by Merx that learns from what it showed, and by an oracle: revenue and regret.
    ClosedLoop(closed_loop::ClosedLoopArguments),
    /// What consent, experiments, guardrails and the record add to a decision, beside the bare engine.
    Overhead(overhead::OverheadArguments),
    /// How many governed decisions a second are recorded without loss, and how long a report over many exposures takes.
    Recording(recording::RecordingArguments),
    /// Recommendations over HTTP: how many a second, how late, computed for shoppers of a simulated shop.
    Serve(server::ServeArguments),
    /// Searches over HTTP: how many a second, how late.
    ServeSearch(server::ServeSearchArguments),
    /// Events over HTTP: how many a second until they are on disk.
    Ingest(server::IngestArguments),
    /// How long the report of an experiment takes over HTTP.
    ReadExperiment(server::ReadExperimentArguments),
    /// Memory of a server by number of shoppers.
    Memory(server::MemoryArguments),
    /// Whole visits of a simulated day, sent when they are due (open loop): latencies with their waiting, what was turned away, processor time.
    Load(sessions::LoadArguments),
}

/// What of the command line goes on to the servers that are measured.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) config: Option<PathBuf>,
    pub(crate) set: Vec<String>,
}

impl Passed {
    fn to(&self, command: &mut std::process::Command) {
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.args(self.set.iter().flat_map(|setting| ["--set", setting]));
    }
}

#[derive(Debug, Args)]
pub(crate) struct FactorsArguments {
    /// As of `bench recommend`.
    #[arg(long, default_value = "lightgcn")]
    format: String,
    /// The folder with the files, plain or gzipped.
    #[arg(long)]
    data: PathBuf,
    #[arg(long, default_value_t = 64)]
    factors: usize,
    #[arg(long, default_value_t = 15)]
    sweeps: usize,
    /// How often what is timed is done; the median is printed.
    #[arg(long, default_value_t = 3)]
    times: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl FactorsArguments {
    fn options(self) -> Result<FactorsOptions> {
        let bench =
            BenchOptions { layout: layout(&self.format)?, data: self.data, seed: self.seed, export_split: None };
        Ok(FactorsOptions { bench, factors: self.factors, sweeps: self.sweeps, times: self.times })
    }
}

pub(crate) fn run(command: BenchCommand, passed: &Passed) -> Result<()> {
    match command {
        BenchCommand::Recommend { format, data, seed, export_split } => {
            let options = BenchOptions { layout: layout(&format)?, data, seed, export_split };
            bench_recommend(&options, &SystemClock, &mut print)?;
        }
        BenchCommand::Search(arguments) => search::run(&arguments, &SystemClock)?,
        BenchCommand::Factors(arguments) => bench_factors(&arguments.options()?, &SystemClock, &mut print)?,
        BenchCommand::Batch(arguments) => bench_batch(&arguments.options()?, &SystemClock, &mut print)?,
        BenchCommand::Experiments(arguments) => experiments::run(&arguments, &mut |figure| print_line(figure))?,
        BenchCommand::ClosedLoop(arguments) => closed_loop::run(&arguments)?,
        BenchCommand::Overhead(arguments) => overhead::run(&arguments)?,
        BenchCommand::Recording(arguments) => recording::run(&arguments)?,
        BenchCommand::Serve(arguments) => server::serve(&arguments, passed, &mut print)?,
        BenchCommand::ServeSearch(arguments) => server::serve_search(&arguments, passed, &mut print)?,
        BenchCommand::Ingest(arguments) => server::ingest(&arguments, passed, &mut print)?,
        BenchCommand::ReadExperiment(arguments) => server::read_experiment(&arguments, passed, &mut print)?,
        BenchCommand::Memory(arguments) => server::memory(&arguments, &mut print)?,
        BenchCommand::Load(arguments) => sessions::load(&arguments, passed, &mut print)?,
    }
    Ok(())
}

fn layout(name: &str) -> Result<Layout> {
    let Some(layout) = Layout::from_name(name) else {
        bail!("--format {name}: expected one of {}", Layout::NAMES.join(", "));
    };
    Ok(layout)
}

fn print(figure: &Figure) {
    print_line(figure);
}

fn print_line(figure: &impl serde::Serialize) {
    println!("{}", serde_json::json!(figure));
}
