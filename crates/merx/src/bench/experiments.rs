//! `merx bench experiments`: files into what the protocols of `measure` read.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_domain::SystemClock;
use merx_measure::Arm;
use merx_measure::protocols::{Checkpoint, Emit, measure_speed, read_cases, read_series, simulate};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

/// Without any of `--cases`, `--asos` and `--exposures`, simulations are run.
#[derive(Debug, Args)]
pub(crate) struct ExperimentsArguments {
    /// Experiments of each kind that are simulated; 2,000 where nothing else is asked for.
    #[arg(long)]
    simulations: Option<usize>,
    /// Published inputs and answers (JSON).
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// A folder with the checkpoints of real experiments (Parquet, in the columns of ASOS' data set).
    #[arg(long, value_name = "DIR")]
    asos: Option<PathBuf>,
    /// So many exposures are joined and read.
    #[arg(long)]
    exposures: Option<usize>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(arguments: &ExperimentsArguments, emit: &mut Emit<'_>) -> Result<()> {
    if let Some(path) = &arguments.cases {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        read_cases(&text, emit)?;
    }
    if let Some(folder) = &arguments.asos {
        read_series(checkpoints(folder)?, emit);
    }
    if let Some(exposures) = arguments.exposures {
        measure_speed(exposures, arguments.seed, &SystemClock, emit)?;
    }
    let nothing_else = arguments.cases.is_none() && arguments.asos.is_none() && arguments.exposures.is_none();
    match arguments.simulations {
        Some(0) => bail!("--simulations 0: at least one is needed"),
        Some(trials) => simulate(trials, arguments.seed, emit),
        None if nothing_else => simulate(2_000, arguments.seed, emit),
        None => {}
    }
    Ok(())
}

/// All rows of the Parquet files of a folder.
fn checkpoints(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{} has no Parquet file", folder.display());
    }
    let mut checkpoints = Vec::new();
    for path in files {
        let reader = SerializedFileReader::new(File::open(&path)?)?;
        for (number, row) in reader.get_row_iter(None)?.enumerate() {
            let checkpoint = checkpoint(&row?).with_context(|| format!("{}, row {number}", path.display()))?;
            checkpoints.push(checkpoint);
        }
    }
    Ok(checkpoints)
}

fn checkpoint(row: &Row) -> Result<Checkpoint> {
    let field = |name: &str| {
        let found = row.get_column_iter().find(|(column, _)| column.as_str() == name);
        found.map(|(_, field)| field).with_context(|| format!("no column {name}"))
    };
    let number = |name: &str| as_number(field(name)?).with_context(|| format!("{name} is no number"));
    let arm = |suffix: &str| -> Result<Arm> {
        let units = number(&format!("count_{suffix}"))? as u64;
        Ok(Arm::from_summary(units, number(&format!("mean_{suffix}"))?, number(&format!("variance_{suffix}"))?))
    };
    Ok(Checkpoint {
        series: format!("{} {} {}", field("experiment_id")?, field("variant_id")?, field("metric_id")?),
        time: number("time_since_start")?,
        control: arm("c")?,
        treatment: arm("t")?,
    })
}

/// NULL is not a number, and protocols leave such rows out.
fn as_number(field: &Field) -> Option<f64> {
    match field {
        Field::Double(value) => Some(*value),
        Field::Float(value) => Some(f64::from(*value)),
        Field::Long(value) => Some(*value as f64),
        Field::Int(value) => Some(f64::from(*value)),
        Field::Null => Some(f64::NAN),
        _ => None,
    }
}
