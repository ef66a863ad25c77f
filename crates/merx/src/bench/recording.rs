//! `merx bench recording`: how many governed decisions a second are recorded without loss, and how long a report over many exposures
//! takes once they were read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use merx_decide::{OWN_EXPOSURE, Pipeline, Request};
use merx_domain::experiment::ExperimentId;
use merx_domain::{DAY_MS, Event, EventId, EventKind, Money, SubjectId, TimestampMs};
use merx_measure::shop::{Question, SegmentBy, Watched, page_of};
use merx_numeric::rng::Rng;

use super::overhead::{Figure, Idle, ask, govern, pipeline, shelf, situation};
use crate::config;
use crate::shop::Shop;

#[derive(Debug, Args)]
pub(crate) struct RecordingArguments {
    /// Decisions of each set.
    #[arg(long, default_value_t = 400_000)]
    decisions: u32,
    /// What is offered where decisions don't come as fast as they are taken.
    #[arg(long, default_value_t = 20_000)]
    per_second: u32,
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Experiments that every decision meets.
    #[arg(long, default_value_t = 10)]
    experiments: u16,
    /// Exposures that a report is made of; 0 leaves it out.
    #[arg(long, default_value_t = 10_000_000)]
    exposures: u32,
}

pub(super) fn run(arguments: &RecordingArguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let flag = format!("data.folder={}", folder.path().join("data").display());
    let shop = Shop::open(config::load(None, [], &[flag])?.config)?;
    let pipeline = pipeline(&shop);
    let now = shop.clock.now();
    govern(&shop, arguments.experiments, now)?;
    let experiments = arguments.experiments;
    for (pace, set) in [
        (Some(arguments.per_second), format!("{} a second offered, {experiments} experiments", arguments.per_second)),
        (None, format!("as fast as they are taken, {experiments} experiments")),
    ] {
        decide_all(&shop, &pipeline, arguments, pace, now, &set)?;
    }
    if arguments.exposures > 0 {
        report(arguments.exposures, &shop, now)?;
    }
    Ok(())
}

fn print(metric: &'static str, value: f64, unit: &'static str, set: &str) {
    super::print_line(&Figure { metric, value, unit, set: set.to_owned() });
}

fn recorded(shop: &Shop) -> Result<u64> {
    let counts = shop.recorder.counts(TimestampMs(0), TimestampMs(i64::MAX))?;
    Ok(counts.iter().map(|(_, count)| count).sum())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn decide_all(
    shop: &Shop,
    pipeline: &Pipeline<Idle>,
    arguments: &RecordingArguments,
    pace: Option<u32>,
    now: TimestampMs,
    set: &str,
) -> Result<()> {
    shop.recorder.flush();
    shop.dealer.exposures.flush();
    let before = recorded(shop)?;
    let (unrecorded, lost) = (shop.recorder.unrecorded(), shop.dealer.exposures.lost());
    // Ids of their own: a decision that is made again is no other record.
    let first = u32::try_from(before).context("too many decisions")?;
    let next = AtomicU32::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.decisions {
                        break;
                    }
                    if let Some(pace) = pace {
                        let due = Duration::from_secs_f64(f64::from(number) / f64::from(pace.max(1)));
                        if let Some(early) = due.checked_sub(begun.elapsed()).filter(|early| early.as_micros() > 500) {
                            std::thread::sleep(early);
                        }
                    }
                    let mut shelf = shelf(shop, now);
                    drop(pipeline.decide(Request::new(situation(first + number, now), ask()), &mut shelf));
                }
            });
        }
    });
    let decided = begun.elapsed().as_secs_f64();
    shop.recorder.flush();
    shop.dealer.exposures.flush();
    let durable = begun.elapsed().as_secs_f64();
    let written = recorded(shop)? - before;
    print("recorded_per_second", written as f64 / durable, "1/s", set);
    print("decided_per_second", f64::from(arguments.decisions) / decided, "1/s", set);
    print("behind_at_the_end_s", durable - decided, "s", set);
    print("unrecorded", (shop.recorder.unrecorded() - unrecorded) as f64, "count", set);
    print("exposures_lost", (shop.dealer.exposures.lost() - lost) as f64, "count", set);
    Ok(())
}

/// Half as many people as exposures over 28 days, every tenth with an order; read once, then asked about three times.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn report(exposures: u32, shop: &Shop, now: TimestampMs) -> Result<()> {
    let id = ExperimentId::new("experiment-0");
    let stored = shop.dealer.definitions.get(&id)?;
    let mut experiment = stored.definition.experiment.clone();
    experiment.starts_at = now.plus_ms(-28 * DAY_MS);
    let currency = shop.config.market.currency;
    let cost = |_: &merx_domain::ProductId, _: Option<&merx_domain::VariantId>| None;
    let question = Question {
        experiment: &experiment,
        own_exposure: OWN_EXPOSURE,
        told_by_pages: false,
        segment_by: SegmentBy::Device,
        currency,
        now,
        cost: &cost,
    };
    let people = (exposures as usize / 2).max(1);
    let mut rng = Rng::from_seed(1);
    let mut watched = Watched::new(&experiment);
    let begun = Instant::now();
    let mut draw = || {
        let person = rng.below(people) as u128 + 1;
        let at = experiment.starts_at.plus_ms(rng.below(28 * DAY_MS as usize) as i64);
        (SubjectId(person.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)), at, rng.uniform(), person)
    };
    for number in 0..exposures {
        let (subject, at, _, person) = draw();
        let mut event = Event::new(EventId(u128::from(number)), subject, EventKind::ExperimentViewed, at);
        event.custom_name = Some(OWN_EXPOSURE.into());
        event.properties.insert("experiment_id".into(), "\"experiment-0\"".to_owned());
        let arm = if person.is_multiple_of(2) { "\"a\"" } else { "\"b\"" };
        event.properties.insert("variation_id".into(), arm.to_owned());
        watched.take(&question, &event);
    }
    for number in 0..exposures / 10 {
        let (subject, at, worth, _) = draw();
        let id = EventId(u128::from(number) | 1 << 100);
        let mut event = Event::new(id, subject, EventKind::OrderCompleted, at);
        event.value = Some(Money::new(2_000 + (worth * 8_000.0) as i64, currency));
        watched.take(&question, &event);
    }
    let read = begun.elapsed().as_secs_f64();
    let set = format!("{exposures} exposures of {people} people, {} orders, all metrics", exposures / 10);
    print("exposures_followed_per_second", f64::from(exposures) / read, "1/s", &set);
    let mut seconds: Vec<f64> = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let page = page_of(&watched.rows(&question), &question)?;
        seconds.push(begun.elapsed().as_secs_f64());
        anyhow::ensure!(!page.metrics.is_empty(), "the report is empty");
    }
    seconds.sort_unstable_by(f64::total_cmp);
    print("report_s", seconds[1], "s", &set);
    print("report_slowest_s", seconds[2], "s", &set);
    Ok(())
}
