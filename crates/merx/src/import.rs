//! `merx import`: files into the shop.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use merx_ingest::import::{self, ImportOptions, ImportReport, MappingChoice};

use crate::demo::{bar_style, progress};
use crate::shop::Shop;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Files or folders: CSV, TSV, JSON lines, Parquet, Google Merchant feeds (TSV, XML), plain or .gz.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A mapping file (TOML), or a built-in mapping: online-retail, complete-journey, google. Without it the files tell.
    #[arg(long, value_name = "FILE|NAME")]
    mapping: Option<String>,
    /// Read and check everything, store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where refused rows go, one JSON object a line.
    #[arg(long, value_name = "FILE", default_value = "import.rejects.jsonl")]
    rejects: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(shop: &Shop, arguments: &ImportArguments) -> Result<()> {
    let at = shop.clock.now();
    let plan = import::plan(&arguments.files, &choice(arguments.mapping.as_deref()), at)?;
    let bar = progress(0, "rows");
    let options = ImportOptions { dry_run: arguments.dry_run, rejects: Some(arguments.rejects.clone()), at };
    let mut length = 0;
    let report = import::run(plan, &shop.ingest, &options, &mut |step| {
        if step.all_rows_total != length {
            length = step.all_rows_total;
            bar.set_length(length);
            bar.set_style(bar_style());
        }
        bar.set_position(step.all_rows);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, arguments);
    }
    if !arguments.dry_run {
        shop.projection.catch_up()?;
        shop.projection.snapshot()?;
    }
    Ok(())
}

/// A file that exists is a mapping file; anything else must be a built-in name.
fn choice(mapping: Option<&str>) -> MappingChoice {
    match mapping {
        None => MappingChoice::Detect,
        Some(name) if std::path::Path::new(name).is_file() => MappingChoice::File(name.into()),
        Some(name) => MappingChoice::BuiltIn(name.to_owned()),
    }
}

fn print(report: &ImportReport, arguments: &ImportArguments) {
    for file in &report.files {
        let counts = &file.counts;
        println!(
            "{}: {:?}, {} rows read, {} accepted, {} unchanged, {} rejected; {} created",
            file.path.display(),
            file.entity,
            counts.read,
            counts.accepted,
            counts.unchanged,
            counts.rejected,
            counts.entities_created
        );
        if file.resumed_at > 0 {
            println!("  went on from row {}", file.resumed_at);
        }
        for (code, count) in &counts.rejected_by_code {
            println!("  rejected {count} x {code}");
        }
    }
    for (path, reason) in &report.ignored {
        println!("{}: left aside, {reason}", path.display());
    }
    if report.total.rejected > 0 {
        println!("rejected rows with line and reason: {}", arguments.rejects.display());
    }
    if arguments.dry_run {
        println!("dry run: nothing was stored");
    }
}
