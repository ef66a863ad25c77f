//! `merx rehearse`: a peak or a demand shock, played on a simulated shop under today's configuration, and what it would breach.
//!
//! The shop is made in a folder of its own that is removed afterwards; of the real one only the automations are read. Load is made in
//! this process, past HTTP: what is measured is decisions, records and the log, on this machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_decide::{Guardrail, Measure, Objectives, Request, RequestShelf, SlotRules};
use merx_domain::{
    Ask, ConsentStamp, DAY_MS, DecisionId, Device, Event, EventId, EventKind, EventLine, FallbackLevel, ProductNumber,
    Scenario as Shown, Situation, Slot, TimestampMs,
};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop as Simulated, ShopConfig};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::operate::{Desk, ServerArguments, list, text};
use crate::shop::Shop;
use crate::{demo, training};

/// Orders of so many days say what usually sells.
const USUAL_DAYS: i64 = 28;

#[derive(Debug, Args)]
pub(crate) struct RehearseArguments {
    /// What is played (TOML): docs/guides/rehearse.md shows one.
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// What is played. Every field has a usual value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scenario {
    /// The simulated shop.
    products: u32,
    shoppers: u32,
    days: u32,
    seed: u64,
    /// Recommendations a second on a usual day at its busiest, and how many times as many there are now.
    usual_per_second: f64,
    factor: f64,
    seconds: f64,
    /// How many times as much is bought, for how many days; the products of one category alone, where it is named.
    demand_factor: f64,
    demand_days: f64,
    category: Option<String>,
    /// Share of the products that may sell out.
    stockout_share: f64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            products: 1_000,
            shoppers: 3_000,
            days: 120,
            seed: 7,
            usual_per_second: 50.0,
            factor: 8.0,
            seconds: 20.0,
            demand_factor: 5.0,
            demand_days: 4.0,
            category: None,
            stockout_share: 0.05,
        }
    }
}

impl Scenario {
    fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let scenario: Self = toml::from_str(&text).with_context(|| format!("{} is no scenario", path.display()))?;
        let sound = [
            ("products", f64::from(scenario.products), 1.0, 1e6),
            ("shoppers", f64::from(scenario.shoppers), 1.0, 1e6),
            ("days", f64::from(scenario.days), 7.0, 800.0),
            ("usual_per_second", scenario.usual_per_second, 0.1, 1e5),
            ("factor", scenario.factor, 0.1, 1e3),
            ("seconds", scenario.seconds, 1.0, 3_600.0),
            ("demand_factor", scenario.demand_factor, 0.0, 1e3),
            ("demand_days", scenario.demand_days, 0.0, 365.0),
            ("stockout_share", scenario.stockout_share, 0.0, 1.0),
        ];
        for (name, value, low, high) in sound {
            if !(low..=high).contains(&value) {
                bail!("{}: {name} = {value}: expected {low} to {high}", path.display());
            }
        }
        Ok(scenario)
    }
}

/// A limit, and how far it is used.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Finding {
    what: String,
    measured: f64,
    limit: f64,
    breached: bool,
}

fn at_most(what: impl Into<String>, measured: f64, limit: f64) -> Finding {
    Finding { what: what.into(), measured, limit, breached: measured > limit }
}

pub(crate) fn run(config: Config, arguments: &RehearseArguments) -> Result<()> {
    let scenario = Scenario::read(&arguments.scenario)?;
    let automations = Desk::open(&arguments.server, config.clone())?.client.get("/v1/automations")?;
    let folder = tempfile::tempdir()?;
    let findings = rehearse(config, folder.path(), &scenario, list(&automations["items"]))?;
    for finding in &findings {
        if arguments.json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            let mark = if finding.breached { "BREACHED" } else { "holds" };
            println!("{mark:9} {:58} {:12.3} of {:.3}", finding.what, finding.measured, finding.limit);
        }
    }
    let breached = findings.iter().filter(|finding| finding.breached).count();
    if !arguments.json {
        println!("{breached} of {} would be breached", findings.len());
    }
    Ok(())
}

fn rehearse(
    mut config: Config,
    folder: &std::path::Path,
    scenario: &Scenario,
    automations: &[Value],
) -> Result<Vec<Finding>> {
    config.data.folder = folder.join("data");
    config.vault.key_file = PathBuf::new();
    config.vault.key_command = Vec::new();
    let today = i64::from(merx_domain::Clock::now(&merx_domain::SystemClock).day());
    let simulated = Simulated::new(ShopConfig {
        products: scenario.products,
        shoppers: scenario.shoppers,
        days: scenario.days,
        seed: scenario.seed,
        start: TimestampMs((today - i64::from(scenario.days)) * DAY_MS),
        ..ShopConfig::default()
    });
    if let Some(first) = simulated.config().markets.first() {
        config.market.default = first.id.clone();
        config.market.currency = first.currency;
    }
    let shop = Shop::open(config)?;
    demo::fill(&shop, &simulated)?;
    training::train_all(&shop, &|_| Ok(()))?;
    adopt(&shop, automations)?;
    let mut findings = play(&shop, &simulated, scenario)?;
    findings.extend(caps(&shop, scenario));
    findings.push(stockouts(&shop, &simulated, scenario));
    Ok(findings)
}

/// Caps and guardrails as the real shop has them.
fn adopt(shop: &Shop, automations: &[Value]) -> Result<()> {
    let act = merx_decide::Act { by: "rehearsal", at: shop.clock.now() };
    for wire in automations {
        let Ok(known) = shop.automations.get(text(&wire["name"])) else { continue };
        let guardrails = list(&wire["guardrails"]).iter().filter_map(|guardrail| {
            Some(Guardrail {
                measure: serde_json::from_value::<Measure>(guardrail["measure"].clone()).ok()?,
                at_most: guardrail["at_most"].as_f64()?,
                fewest: guardrail["fewest"].as_u64()?,
                window_minutes: u32::try_from(guardrail["window_minutes"].as_u64()?).ok()?,
            })
        });
        let guardrails = guardrails.collect();
        let most_per_hour = wire["most_per_hour"].as_u64();
        let adopted = merx_decide::Automation { guardrails, most_per_hour, ..known };
        shop.automations.describe(adopted, merx_decide::Case::default(), act)?;
    }
    Ok(())
}

/// Offers decisions at the peak's rate; shoppers answer as they are planted to, and what they do goes into the log.
#[allow(clippy::disallowed_methods, reason = "a rehearsal measures time")]
fn play(shop: &Shop, simulated: &Simulated, scenario: &Scenario) -> Result<Vec<Finding>> {
    const THREADS: u64 = 2;
    let rate = scenario.usual_per_second * scenario.factor;
    let offered = (rate * scenario.seconds).ceil() as u64;
    let now = shop.clock.now();
    let truth = simulated.truth(simulated.config().end().plus_ms(-DAY_MS));
    let (next, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let seen = Mutex::new((Vec::<u32>::new(), 0u64, 0u64));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (next, refused, seen, truth) = (&next, &refused, &seen, &truth);
            scope.spawn(move || {
                let mut rng = Rng::from_seed(scenario.seed).split(thread);
                let (mut latencies, mut fallbacks, mut troubles) = (Vec::new(), 0, 0);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= offered {
                        break;
                    }
                    let due = Duration::from_secs_f64(number as f64 / rate);
                    if let Some(early) = due.checked_sub(begun.elapsed()) {
                        std::thread::sleep(early);
                    }
                    let index = rng.below(scenario.shoppers as usize) as u32;
                    let asked = Instant::now();
                    let (decision, shown) = decide(shop, simulated, index, number, now);
                    latencies.push(asked.elapsed().as_micros() as u32);
                    let troubled = !decision.trouble.is_empty();
                    fallbacks += u64::from(troubled && decision.fallback > FallbackLevel::PreviousModel);
                    troubles += u64::from(troubled);
                    let response = truth.respond(&simulated.shopper(index), &[], &shown, &mut rng);
                    let subject = simulated.subject_id(index);
                    let events: Vec<Event> = response
                        .clicked
                        .iter()
                        .enumerate()
                        .map(|(place, product)| {
                            let id = EventId(u128::from(number) << 64 | 1 << 120 | place as u128);
                            let mut event = Event::new(id, subject, EventKind::ProductClicked, now);
                            event.decision = Some(decision.id);
                            let product = simulated.product_id(*product);
                            event.lines = vec![EventLine {
                                product,
                                variant: None,
                                quantity: 1,
                                unit_price: None,
                                position: None,
                            }];
                            event
                        })
                        .collect();
                    if !events.is_empty() && shop.store.log.append(events).is_err() {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let mut seen = seen.lock();
                seen.0.extend(latencies);
                seen.1 += fallbacks;
                seen.2 += troubles;
            });
        }
    });
    let elapsed = begun.elapsed().as_secs_f64();
    shop.recorder.flush();
    shop.dealer.exposures.flush();
    let slo = &shop.config.slo;
    let objectives = Objectives {
        fallback_share: slo.fallback_share,
        trouble_share: slo.trouble_share,
        slow_share: slo.slow_share,
        slow_ms: slo.slow_ms,
    };
    shop.automations.watch(shop.clock.now(), &objectives)?;
    let alerts = shop.automations.book().list(100)?.len() as f64;
    let (latencies, fallbacks, troubles) = &*seen.lock();
    let share = |count: u64| count as f64 / offered as f64;
    let slow = latencies.iter().filter(|us| f64::from(**us) / 1e3 > slo.slow_ms).count() as u64;
    Ok(vec![
        at_most("seconds that the offered decisions took", elapsed, 1.05 * scenario.seconds + 0.5),
        at_most(format!("share slower than {} ms (slo.slow_share)", slo.slow_ms), share(slow), slo.slow_share),
        at_most("share that fell back as a model failed (slo.fallback_share)", share(*fallbacks), slo.fallback_share),
        at_most("share with trouble on the way (slo.trouble_share)", share(*troubles), slo.trouble_share),
        at_most("decisions that were not recorded", shop.recorder.unrecorded() as f64, 0.0),
        at_most("exposures that were lost", shop.dealer.exposures.lost() as f64, 0.0),
        at_most("batches of events that the log refused", refused.load(Ordering::Relaxed) as f64, 0.0),
        at_most("alerts (guardrails, caps, objectives)", alerts, 0.0),
    ])
}

fn decide(
    shop: &Shop,
    simulated: &Simulated,
    index: u32,
    number: u64,
    now: TimestampMs,
) -> (merx_domain::Decision<merx_domain::Answer>, Vec<ProductNumber>) {
    let shopper = simulated.shopper(index);
    let market = simulated.config().markets[shopper.market].id.clone();
    let situation = Situation {
        decision: DecisionId((now.0 as u128) << 80 | u128::from(number) << 8 | 1),
        subject: Some(simulated.subject_id(index)),
        market: market.clone(),
        device: Device::Phone,
        now,
        seed: number,
        consent: ConsentStamp::default(),
    };
    let slot = Slot {
        name: "home".to_owned(),
        scenario: Shown::ForYou,
        count: 12,
        products: Vec::new(),
        exclude: Vec::new(),
        diversity: 0.0,
    };
    let mut shelf = RequestShelf::new(shop.catalogue().read(), market, now, vec![SlotRules::default()], &[]);
    let decision = shop.pipeline.decide(Request::new(situation, Ask::new(vec![slot])), &mut shelf);
    let shown = decision.answer.slots.iter().flat_map(|slot| &slot.items).map(|item| item.product).collect();
    (decision, shown)
}

/// What an hour of the peak would ask of limits that count by the hour or the key.
fn caps(shop: &Shop, scenario: &Scenario) -> Vec<Finding> {
    let rate = scenario.usual_per_second * scenario.factor;
    let automations = shop.automations.list();
    let capped = automations.iter().filter_map(|automation| Some((automation, automation.most_per_hour?)));
    let mut findings: Vec<Finding> = capped
        .filter(|(automation, _)| automation.name == crate::shop::RECOMMEND)
        .map(|(automation, most)| {
            at_most(format!("{}: decisions an hour (most_per_hour)", automation.name), rate * 3_600.0, most as f64)
        })
        .collect();
    let limit = shop.config.limits.requests_per_second;
    if limit > 0.0 {
        findings.push(at_most("requests a second of one key (limits.requests_per_second)", rate, limit));
    }
    findings
}

/// Products that would sell out: their usual sales, times the shock, against what is in stock.
fn stockouts(shop: &Shop, simulated: &Simulated, scenario: &Scenario) -> Finding {
    let from = simulated.config().end().plus_ms(-USUAL_DAYS * DAY_MS);
    let mut sold: rustc_hash::FxHashMap<ProductNumber, f64> = rustc_hash::FxHashMap::default();
    for event in simulated.events().filter(|event| event.kind == EventKind::OrderCompleted && event.occurred_at >= from)
    {
        for line in &event.lines {
            if let Some(number) = simulated.product_number(&line.product) {
                *sold.entry(number).or_default() += f64::from(line.quantity.max(0)) / USUAL_DAYS as f64;
            }
        }
    }
    let catalogue = shop.catalogue().read();
    let (mut products, mut out) = (0u64, 0u64);
    for (number, entry) in catalogue.iter().filter(|(_, entry)| entry.visible) {
        let is_hit =
            scenario.category.as_ref().is_none_or(|name| entry.category_path.iter().any(|level| level == name));
        let factor = if is_hit { scenario.demand_factor } else { 1.0 };
        let wanted = sold.get(&number).copied().unwrap_or_default() * factor * scenario.demand_days;
        products += 1;
        out += u64::from(entry.stock.is_some_and(|stock| stock > 0 && wanted > stock as f64));
    }
    let share = if products == 0 { 0.0 } else { out as f64 / products as f64 };
    at_most(
        format!("share of products that sell out in {} days (stockout_share)", scenario.demand_days),
        share,
        scenario.stockout_share,
    )
}
