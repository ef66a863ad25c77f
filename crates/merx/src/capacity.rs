//! `merx capacity`: what a shop of a size needs, reckoned with measured coefficients, and what it would run into first.

mod queue;
mod visits;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use visits::{Asked, Simulation, simulate};

const MEASURED: &str = include_str!("../../../config/capacity.toml");
const GIB: f64 = (1_u64 << 30) as f64;
const MONTH_S: f64 = 30.0 * 86_400.0;

#[derive(Debug, Args)]
pub(crate) struct CapacityArguments {
    /// Decisions (recommendations, searches, layouts, suggestions) at the busiest second; one answer each.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000.0, 100_000.0, 1_000_000.0])]
    decisions_per_s: Vec<f64>,
    /// People of whom something is known.
    #[arg(long, default_value_t = 100_000_000)]
    subjects: u64,
    #[arg(long, default_value_t = 100_000)]
    products: u64,
    /// Days for which records of decisions and events are kept.
    #[arg(long, default_value_t = 30)]
    keep_days: u32,
    /// What to reckon with (TOML) instead of the figures in the binary; `config/capacity.toml` is the form.
    #[arg(long, value_name = "FILE")]
    coefficients: Option<PathBuf>,
    /// Instead: visits a second as `merx bench load` sends them, played on the processors of one machine; latencies by kind of request.
    #[arg(long, value_delimiter = ',', value_name = "SESSIONS_PER_S")]
    simulate: Vec<f64>,
    /// Processors that the simulation has, services and load on them too.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    cores: u32,
    /// Processes that serve the shop in the simulation; the first leads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    processes: u32,
    /// Everything embedded in one process, without services.
    #[arg(long)]
    embedded: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coefficients {
    processor: Processor,
    memory: Memory,
    disk: Disk,
    network: Network,
    limits: Limits,
    traffic: Traffic,
    prices: Prices,
    simulation: Simulation,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Processor {
    decision_us: f64,
    decision_records_us: f64,
    decision_online_us: f64,
    event_us: f64,
    event_records_us: f64,
    event_online_us: f64,
    busiest: f64,
    cores_per_machine: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    process_mib: f64,
    product_bytes: f64,
    subject_bytes: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    decision_bytes: f64,
    subject_bytes: f64,
    event_bytes: f64,
    event_lake_bytes: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    decision_bytes: f64,
    event_bytes: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    leader_events_per_s: f64,
    partition_events_per_s: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    events_per_decision: f64,
    average: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    core: f64,
    memory_gib: f64,
    disk_gib: f64,
    object_gib: f64,
}

impl Coefficients {
    fn read(file: Option<&PathBuf>) -> Result<Self> {
        let (name, text) = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                (path.display().to_string(), text)
            }
            None => ("the binary's coefficients".to_owned(), MEASURED.to_owned()),
        };
        let read: Self = toml::from_str(&text).with_context(|| name.clone())?;
        let divisors = [
            read.processor.busiest,
            read.processor.cores_per_machine,
            read.limits.leader_events_per_s,
            read.limits.partition_events_per_s,
        ];
        if divisors.iter().any(|divisor| !(divisor.is_finite() && *divisor > 0.0)) {
            bail!("{name}: processor.busiest, processor.cores_per_machine and all limits must be above 0");
        }
        Ok(read)
    }
}

/// What a shop of a size needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Needs {
    decisions_per_s: f64,
    events_per_s: f64,
    subjects: u64,
    products: u64,
    /// Shops of their own, by subjects, because one can't apply or record so much.
    shards: f64,
    /// What made the shards necessary, or would next: the limit that is nearest.
    first_bottleneck: &'static str,
    /// How much of that limit one shop would use; above 1 it can't.
    bottleneck_use: f64,
    processes: f64,
    cores_of_processes: f64,
    cores_of_services: f64,
    machines: f64,
    memory_gib_per_process: f64,
    online_memory_gib: f64,
    online_shards: f64,
    log_partitions: f64,
    records_disk_gib: f64,
    log_disk_gib: f64,
    lake_gib: f64,
    network_mib_per_s_per_process: f64,
    cost_per_month: f64,
    cost_per_million_decisions: f64,
}

fn needs(read: &Coefficients, decisions_per_s: f64, subjects: u64, products: u64, keep_days: f64) -> Needs {
    let events_per_s = decisions_per_s * read.traffic.events_per_decision;
    let cores = |us: f64, per_s: f64| us * per_s / 1e6 / read.processor.busiest;
    let records_cores = cores(read.processor.decision_records_us, decisions_per_s)
        + cores(read.processor.event_records_us, events_per_s);
    let online_cores =
        cores(read.processor.decision_online_us, decisions_per_s) + cores(read.processor.event_online_us, events_per_s);
    let limits = [
        ("the process that leads applies all events", events_per_s / read.limits.leader_events_per_s),
        ("one PostgreSQL holds all records", records_cores / read.processor.cores_per_machine),
    ];
    let nearest = limits.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("nothing", 0.0));
    let shards = nearest.1.ceil().max(1.0);
    let cores_of_processes =
        cores(read.processor.decision_us, decisions_per_s) + cores(read.processor.event_us, events_per_s);
    let cores_of_services = records_cores + online_cores;
    // Two of everything that answers, so that one may go.
    let processes = (cores_of_processes / read.processor.cores_per_machine).ceil().max(2.0 * shards);
    let services = (cores_of_services / read.processor.cores_per_machine).ceil().max(shards);
    let memory_gib_per_process =
        (read.memory.process_mib * (1_u64 << 20) as f64 + read.memory.product_bytes * products as f64) / GIB;
    let online_memory_gib = read.memory.subject_bytes * subjects as f64 / GIB;
    let kept_s = keep_days * 86_400.0 * read.traffic.average;
    let records_disk_gib =
        (read.disk.decision_bytes * decisions_per_s * kept_s + read.disk.subject_bytes * subjects as f64) / GIB;
    let log_disk_gib = read.disk.event_bytes * events_per_s * kept_s / GIB;
    let lake_gib = read.disk.event_lake_bytes * events_per_s * kept_s / GIB;
    let network = read.network.decision_bytes * decisions_per_s + read.network.event_bytes * events_per_s;
    let prices = &read.prices;
    let cost_per_month = prices.core * (processes + services) * read.processor.cores_per_machine
        + prices.memory_gib * (memory_gib_per_process * processes + online_memory_gib)
        + prices.disk_gib * (records_disk_gib + log_disk_gib)
        + prices.object_gib * lake_gib;
    let millions = decisions_per_s * read.traffic.average * MONTH_S / 1e6;
    Needs {
        decisions_per_s,
        events_per_s,
        subjects,
        products,
        shards,
        first_bottleneck: nearest.0,
        bottleneck_use: nearest.1,
        processes,
        cores_of_processes,
        cores_of_services,
        machines: processes + services,
        memory_gib_per_process,
        online_memory_gib,
        // Redis answers on one core.
        online_shards: online_cores.ceil().max(1.0),
        log_partitions: (events_per_s / read.limits.partition_events_per_s).ceil().max(1.0),
        records_disk_gib,
        log_disk_gib,
        lake_gib,
        network_mib_per_s_per_process: network / processes / (1_u64 << 20) as f64,
        cost_per_month,
        cost_per_million_decisions: cost_per_month / millions,
    }
}

pub(crate) fn run(arguments: &CapacityArguments) -> Result<()> {
    let read = Coefficients::read(arguments.coefficients.as_ref())?;
    let rates = if arguments.simulate.is_empty() { &arguments.decisions_per_s } else { &arguments.simulate };
    if rates.iter().any(|rate| !(0.01..=1e9).contains(rate)) {
        bail!("rates are from 0.01 to 1000000000 a second");
    }
    if !arguments.simulate.is_empty() {
        let asked = Asked {
            cores: arguments.cores as usize,
            processes: arguments.processes as usize,
            embedded: arguments.embedded,
        };
        return simulate(&read.simulation, rates, &asked, &mut |figures| println!("{}", rounded(figures)));
    }
    for &rate in rates {
        let needs = needs(&read, rate, arguments.subjects, arguments.products, f64::from(arguments.keep_days));
        println!("{}", rounded(json!(needs)));
    }
    Ok(())
}

/// To three digits: more would be believed.
fn rounded(mut figures: Value) -> Value {
    for figure in figures.as_object_mut().into_iter().flat_map(|figures| figures.values_mut()) {
        if let Some(value) = figure.as_f64().filter(|value| figure.is_f64() && *value != 0.0) {
            let unit = 10_f64.powf(value.abs().log10().floor() - 2.0);
            // Dividing by a whole power and not multiplying by its inverse keeps .1 from becoming .1000000001.
            let near =
                if unit < 1.0 { (value / unit).round() / (1.0 / unit).round() } else { (value / unit).round() * unit };
            *figure = json!(near);
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_grow_with_the_load_and_name_what_ends_first() {
        let read = Coefficients::read(None).unwrap();
        let small = needs(&read, 1_000.0, 1_000_000, 100_000, 30.0);
        let large = needs(&read, 100_000.0, 1_000_000, 100_000, 30.0);
        assert_eq!(small.shards, 1.0);
        assert!(small.bottleneck_use <= 1.0 && large.bottleneck_use > 1.0 && large.shards >= 2.0);
        assert!((large.cores_of_processes / small.cores_of_processes - 100.0).abs() < 1e-6);
        assert!(small.cost_per_month > 0.0 && large.cost_per_million_decisions < small.cost_per_million_decisions);
        let mut slow = read.clone();
        slow.processor.decision_records_us = 1e6;
        assert_eq!(needs(&slow, 1_000.0, 1, 1, 1.0).first_bottleneck, "one PostgreSQL holds all records");
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = rounded(json!({"a": 1234.5678, "b": 0.001_234_567, "c": 99.96, "d": 7, "e": "word", "f": 0.1}));
        assert_eq!(shown, json!({"a": 1230.0, "b": 0.00123, "c": 100.0, "d": 7, "e": "word", "f": 0.1}));
    }

    #[test]
    fn coefficients_that_would_divide_by_nothing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capacity.toml");
        std::fs::write(&path, MEASURED.replace("busiest = 0.6", "busiest = 0.0")).unwrap();
        let refused = Coefficients::read(Some(&path)).unwrap_err();
        assert!(refused.to_string().contains("above 0"), "{refused:#}");
        std::fs::write(&path, "[processor]\nbusy = 1\n").unwrap();
        assert!(Coefficients::read(Some(&path)).is_err());
    }
}
