//! The binary: command line, configuration, wiring. The only crate that names a backend.

mod config;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The intelligence layer of an online shop: its data in, decisions out.
#[derive(Parser)]
#[command(name = "merx", version, about, propagate_version = true)]
struct Arguments {
    /// Configuration file (TOML); only what differs from the default.
    #[arg(long, global = true, env = "MERX_CONFIG")]
    config: Option<PathBuf>,
    /// One setting: section.key=value. May be given several times.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder that holds everything (the same as --set data.folder=DIR).
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every setting in force and where its value came from.
    Config {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

fn main() {
    let arguments = Arguments::parse();
    if let Err(error) = run(arguments) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let mut flags = arguments.set;
    if let Some(folder) = arguments.data {
        flags.push(format!("data.folder={}", folder.display()));
    }
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &flags)?;
    match arguments.command {
        Command::Config { json } => {
            config::print(&loaded, json);
            Ok(())
        }
    }
}
