//! `merx bench`: measures on anybody's data, one JSON object a line.

mod load;
mod search;
mod server;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use merx_domain::SystemClock;
use merx_train::protocols::{BenchOptions, Figure, Layout, bench_recommend};

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
    /// Recommendations over HTTP: how many a second, how late, computed for shoppers of a simulated shop.
    Serve(server::ServeArguments),
    /// Events over HTTP: how many a second until they are on disk.
    Ingest(server::IngestArguments),
    /// Memory of a server by number of shoppers.
    Memory(server::MemoryArguments),
}

pub(crate) fn run(command: BenchCommand) -> Result<()> {
    let mut print = |figure: &Figure| println!("{}", serde_json::json!(figure));
    match command {
        BenchCommand::Recommend { format, data, seed, export_split } => {
            let Some(layout) = Layout::from_name(&format) else {
                bail!("--format {format}: expected one of {}", Layout::NAMES.join(", "));
            };
            let options = BenchOptions { layout, data, seed, export_split };
            bench_recommend(&options, &SystemClock, &mut print)?;
            Ok(())
        }
        BenchCommand::Search(arguments) => search::run(&arguments),
        BenchCommand::Serve(arguments) => server::serve(&arguments, &mut print),
        BenchCommand::Ingest(arguments) => server::ingest(&arguments, &mut print),
        BenchCommand::Memory(arguments) => server::memory(&arguments, &mut print),
    }
}
