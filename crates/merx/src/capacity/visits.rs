//! The visits of `merx bench load` before the processors of one machine, which share them with what makes the load and with the services.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use merx_numeric::rng::Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::queue::{Ns, Processors, Step, Task, Writer, play};
use crate::bench::server::Shop;
use crate::bench::sessions::{Due, Kind, busiest_day, plan};

const LENGTH: Duration = Duration::from_secs(60);
const SEED: u64 = 1;
/// More is held in memory all at once than helps anybody.
const MOST_PER_S: f64 = 10_000.0;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulation {
    slice_us: f64,
    sleeps_after_us: f64,
    wakes_us: f64,
    wakes_cv: f64,
    stalls_share: f64,
    stalls_us: f64,
    load_us: f64,
    embedded: Setup,
    services: Setup,
}

/// What takes how long in one of the ways to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    layout: Answering,
    recommend: Answering,
    search: Answering,
    suggest: Answering,
    events: Answering,
    log: Writing,
    records: Writing,
    features: Writing,
    /// Events on their way from a process that doesn't lead to the one that does.
    handed_on: Writing,
}

/// A request until its answer, but for what a writer does: processor time and other time, log-normal with these means and coefficients of
/// variation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answering {
    /// Threads that it passes through, one after the other; each runs for its part.
    threads: usize,
    run_us: f64,
    run_cv: f64,
    wait_us: f64,
    wait_cv: f64,
}

/// What one thread writes together.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writing {
    gathers_us: f64,
    /// Processor time of a batch, and of each one in it.
    batch_us: f64,
    item_us: f64,
    /// Other time of a batch.
    wait_us: f64,
    wait_cv: f64,
}

impl Setup {
    fn of(&self, kind: Kind) -> &Answering {
        match kind {
            Kind::Layout => &self.layout,
            Kind::Recommend => &self.recommend,
            Kind::Search => &self.search,
            Kind::Suggest => &self.suggest,
            Kind::Events | Kind::Order => &self.events,
        }
    }
}

fn ns(us: f64) -> Ns {
    (us * 1e3).round() as Ns
}

fn log_normal(rng: &mut Rng, mean_us: f64, cv: f64) -> Ns {
    let variance = (1.0 + cv * cv).ln();
    ns(mean_us * (rng.normal() * variance.sqrt() - variance / 2.0).exp())
}

impl Writing {
    fn writer(self, rng: Rng) -> Writer {
        let mut rng = rng;
        let takes = move |count: usize| {
            (ns(self.batch_us + self.item_us * count as f64), log_normal(&mut rng, self.wait_us, self.wait_cv))
        };
        Writer { gathers: ns(self.gathers_us), takes: Box::new(takes) }
    }
}

/// Writers by number: those that only the leading process has, then two of each process.
const LOG: usize = 0;
const FEATURES: usize = 1;

fn records_of(process: usize) -> usize {
    2 + 2 * process
}

fn handed_on_by(process: usize) -> usize {
    3 + 2 * process
}

/// What a request to one of the processes, of which the first leads, does.
fn task(due: &Due, process: usize, setup: &Setup, load_us: f64, rng: &mut Rng) -> Task {
    let answering = setup.of(due.kind);
    let load = Step::Run(ns(load_us / 2.0));
    let part = Step::Run(log_normal(rng, answering.run_us, answering.run_cv) / answering.threads.max(1) as Ns);
    let wait = Step::Wait(log_normal(rng, answering.wait_us, answering.wait_cv));
    let parts = |count| std::iter::repeat_n(part, count);
    let mut steps = vec![load, wait];
    match due.kind {
        Kind::Events | Kind::Order => {
            let before = answering.threads / 2;
            steps.extend(parts(before));
            if process > 0 {
                steps.push(Step::Write(handed_on_by(process)));
            }
            steps.extend([Step::Write(LOG), Step::Leave(FEATURES)]);
            steps.extend(parts(answering.threads - before));
        }
        Kind::Layout | Kind::Recommend | Kind::Search => {
            steps.extend(parts(answering.threads));
            steps.push(Step::Leave(records_of(process)));
        }
        // Nothing is decided for anybody: no record.
        Kind::Suggest => steps.extend(parts(answering.threads)),
    }
    steps.extend([load, Step::Answer]);
    Task { at: due.at.as_nanos() as Ns, steps }
}

pub(super) struct Asked {
    pub(super) cores: usize,
    pub(super) processes: usize,
    pub(super) embedded: bool,
}

/// One line a rate.
pub(super) fn simulate(read: &Simulation, rates: &[f64], asked: &Asked, print: &mut dyn FnMut(Value)) -> Result<()> {
    if asked.embedded && asked.processes > 1 {
        bail!("--embedded is one process");
    }
    if rates.iter().any(|rate| *rate > MOST_PER_S) {
        bail!("--simulate: up to {MOST_PER_S} visits a second");
    }
    let visits = busiest_day(&Shop { products: 5_000, shoppers: 10_000, days: 30 })?;
    for &rate in rates {
        print(of_plan(read, &plan(&visits, rate, LENGTH, false, SEED), rate, asked));
    }
    Ok(())
}

fn of_plan(read: &Simulation, plan: &[Due], rate: f64, asked: &Asked) -> Value {
    let setup = if asked.embedded { &read.embedded } else { &read.services };
    let random = Rng::from_seed(SEED);
    let mut writings = vec![setup.log, setup.features];
    writings.extend((0..asked.processes).flat_map(|_| [setup.records, setup.handed_on]));
    let writers = (2..).zip(writings).map(|(number, writing)| writing.writer(random.split(number))).collect();
    let mut rng = random.split(0);
    let (mut waking, simulation) = (random.split(1), read.clone());
    let wakes = move || {
        let usual = log_normal(&mut waking, simulation.wakes_us, simulation.wakes_cv);
        let stalls = waking.chance(simulation.stalls_share);
        if stalls { usual + ns(waking.exponential() * simulation.stalls_us) } else { usual }
    };
    let places = (0..asked.processes).cycle();
    let tasks = plan.iter().zip(places).map(|(due, process)| task(due, process, setup, read.load_us, &mut rng));
    let processors = Processors {
        count: asked.cores,
        slice: ns(read.slice_us).max(1),
        sleeps_after: ns(read.sleeps_after_us),
        wakes: Box::new(wakes),
    };
    let played = play(tasks.collect(), writers, processors);
    let elapsed_s = played.elapsed as f64 / 1e9;
    let mut figures = json!({"sessions_per_s": rate, "cores": asked.cores, "processes": asked.processes,
        "embedded": asked.embedded, "offered_per_s": plan.len() as f64 / LENGTH.as_secs_f64(),
        "answered_per_s": plan.len() as f64 / elapsed_s,
        "busy": played.used as f64 / played.elapsed as f64 / asked.cores as f64});
    let mut of_kind: BTreeMap<&str, Vec<Ns>> = BTreeMap::new();
    for (due, latency) in plan.iter().zip(played.latencies) {
        if due.kind.is_decision() {
            of_kind.entry("decisions").or_default().push(latency);
        }
        of_kind.entry(due.kind.name()).or_default().push(latency);
    }
    for (name, mut latencies) in of_kind {
        latencies.sort_unstable();
        for (share_name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let place = (latencies.len() as f64 * share) as usize;
            figures[format!("{name}_{share_name}_ms")] = json!(latencies[place] as f64 / 1e6);
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::super::Coefficients;
    use super::*;

    fn visits() -> Vec<crate::bench::sessions::Visit> {
        busiest_day(&Shop { products: 200, shoppers: 3_000, days: 20 }).unwrap()
    }

    #[test]
    fn who_is_alone_waits_for_nothing_but_their_own_request() {
        let mut read = Coefficients::read(None).unwrap().simulation;
        (read.wakes_us, read.stalls_share) = (0.0, 0.0);
        let plan = plan(&visits(), 0.5, LENGTH, false, SEED);
        let asked = Asked { cores: 16, processes: 1, embedded: true };
        let figures = of_plan(&read, &plan, 0.5, &asked);
        let (events, log) = (&read.embedded.events, read.embedded.log);
        let own_us = read.load_us + events.run_us + log.batch_us + log.item_us + log.wait_us;
        let median_us = figures["events_p50_ms"].as_f64().unwrap() * 1e3;
        assert!((0.7..1.05).contains(&(median_us / own_us)), "{median_us} of a mean of {own_us}: {figures}");
        assert_eq!(figures, of_plan(&read, &plan, 0.5, &asked), "equal seeds, equal figures");
    }

    #[test]
    fn events_wait_longer_where_another_process_leads() {
        let read = Coefficients::read(None).unwrap().simulation;
        let plan = plan(&visits(), 5.0, LENGTH, false, SEED);
        let p50_ms = |processes, kind: &str| {
            let figures = of_plan(&read, &plan, 5.0, &Asked { cores: 8, processes, embedded: false });
            figures[format!("{kind}_p50_ms")].as_f64().unwrap()
        };
        let gathers_ms = read.services.handed_on.gathers_us / 1e3;
        let longer_ms = p50_ms(4, "events") - p50_ms(1, "events");
        assert!((0.5 * gathers_ms..2.0 * gathers_ms).contains(&longer_ms), "{longer_ms}");
        assert!((p50_ms(4, "recommend") / p50_ms(1, "recommend") - 1.0).abs() < 0.1);
    }
}
