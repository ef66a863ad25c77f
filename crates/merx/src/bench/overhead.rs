//! `merx bench overhead`: what consent, arms, limits and the record add to a decision, beside the bare engine.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use merx_decide::{
    Act, Automation, Change, ExperimentDefinition, Guardrail, Measure, Pipeline, PipelineSettings, Request,
    RequestShelf, SlotRules, Surface, Variant,
};
use merx_domain::experiment::{
    ArmDefinition, BUCKETS, BucketRange, Experiment, ExperimentId, ExperimentKind, ExperimentState, LayerId, Targeting,
    UnitKind,
};
use merx_domain::{
    Answer, Ask, ConsentPolicy, ConsentStamp, DecisionId, Device, Engine, EngineError, FallbackLevel, MarketId,
    ModelVersion, Proposal, Purposes, Scenario, Shelf, Situation, Slot, SubjectFeatures, SubjectId, TimestampMs,
};
use serde::Serialize;

use crate::config;
use crate::shop::{RECOMMEND, Shop};

/// People who are decided for; each comes several times.
const PEOPLE: u128 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct OverheadArguments {
    /// Decisions of each kind that are timed.
    #[arg(long, default_value_t = 50_000)]
    decisions: u32,
    /// Experiments that every decision meets.
    #[arg(long, default_value_t = 10)]
    experiments: u16,
}

#[derive(Serialize)]
pub(super) struct Figure {
    pub(super) metric: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) set: String,
}

/// Answers at once, with nothing: what is timed is everything else.
pub(super) struct Idle;

impl Engine for Idle {
    type Ask = Ask;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        RECOMMEND
    }

    fn propose(
        &self,
        _level: FallbackLevel,
        _pinned: Option<ModelVersion>,
        _situation: &Situation,
        _ask: &Ask,
        _features: &SubjectFeatures,
        _shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Answer>, EngineError> {
        Ok(Proposal { answer: Answer::default(), model: Some(ModelVersion(1)) })
    }
}

pub(super) fn run(arguments: &OverheadArguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let flag = format!("data.folder={}", folder.path().join("data").display());
    let shop = Shop::open(config::load(None, [], &[flag])?.config)?;
    let pipeline = pipeline(&shop);
    let now = shop.clock.now();
    let bare = timed(arguments.decisions, |number| {
        let (situation, ask) = (situation(number, now), ask());
        let shelf = shelf(&shop, now);
        let nobody = SubjectFeatures::default();
        let never = || false;
        drop(pipeline.engine().propose(FallbackLevel::LiveModel, None, &situation, &ask, &nobody, &shelf, &never));
    });
    let decide = |number: u32| {
        let mut shelf = shelf(&shop, now);
        drop(pipeline.decide(Request::new(situation(number, now), ask()), &mut shelf));
    };
    let without = timed(arguments.decisions, decide);
    shop.recorder.flush();
    govern(&shop, arguments.experiments, now)?;
    let first = timed(PEOPLE as u32, decide);
    shop.dealer.exposures.flush();
    shop.recorder.flush();
    let with = timed(arguments.decisions, decide);
    shop.recorder.flush();
    let governed = format!("{} experiments, guardrails, consent, record", arguments.experiments);
    for (set, latencies) in [
        ("consent, record".to_owned(), &without),
        (format!("{governed}; everybody's first exposure"), &first),
        (governed, &with),
    ] {
        for (metric, quantile) in [("added_p50_us", 0.5), ("added_p99_us", 0.99)] {
            let value = at(latencies, quantile) - at(&bare, quantile);
            super::print_line(&Figure { metric, value, unit: "us", set: set.clone() });
        }
    }
    let lost = [("unrecorded", shop.recorder.unrecorded()), ("exposures_lost", shop.dealer.exposures.lost())];
    for (metric, count) in lost {
        super::print_line(&Figure { metric, value: count as f64, unit: "count", set: "all".to_owned() });
    }
    Ok(())
}

/// Everything around an engine that answers at once.
pub(super) fn pipeline(shop: &Shop) -> Pipeline<Idle> {
    Pipeline::new(
        Arc::new(Idle),
        Arc::clone(&shop.projection) as _,
        Arc::clone(&shop.recorder),
        Arc::clone(&shop.clock),
        Arc::clone(&shop.dealer),
        Arc::clone(&shop.automations),
        PipelineSettings {
            consent: ConsentPolicy { allowed_unless_denied: Purposes::all() }.into(),
            holdout: 0.0,
            holdout_salt: "bench".to_owned(),
            deadline_ms: 50,
        },
    )
}

pub(super) fn situation(number: u32, now: TimestampMs) -> Situation {
    Situation {
        decision: DecisionId((now.0 as u128) << 80 | u128::from(number) << 8 | 1),
        subject: Some(SubjectId(1 + u128::from(number) % PEOPLE)),
        market: MarketId::default(),
        device: Device::Phone,
        now,
        seed: u64::from(number),
        consent: ConsentStamp::default(),
    }
}

pub(super) fn ask() -> Ask {
    let slot = Slot {
        name: "home".to_owned(),
        scenario: Scenario::ForYou,
        count: 12,
        products: Vec::new(),
        exclude: Vec::new(),
        diversity: 0.0,
    };
    Ask::new(vec![slot])
}

pub(super) fn shelf(shop: &Shop, now: TimestampMs) -> RequestShelf<'_> {
    RequestShelf::new(shop.catalogue().read(), MarketId::default(), now, vec![SlotRules::default()], &[])
}

/// Experiments in layers of their own, so that a decision meets all of them, and a guardrail that counts.
pub(super) fn govern(shop: &Shop, experiments: u16, now: TimestampMs) -> Result<()> {
    let act = Act { by: "bench", at: now };
    for number in 0..experiments {
        let id = ExperimentId(compact_str::format_compact!("experiment-{number}"));
        let arm = |name: &str| ArmDefinition { name: name.into(), share: BUCKETS / 2 };
        let change = Change { diversity: Some(0.3), ..Change::default() };
        let definition = ExperimentDefinition {
            experiment: Experiment {
                id: id.clone(),
                kind: ExperimentKind::Test,
                state: ExperimentState::Draft,
                unit: UnitKind::Subject,
                layer: LayerId(id.0.clone()),
                range: BucketRange::ALL,
                ramp: BUCKETS,
                salt: id.0.clone(),
                arms: vec![arm("a"), arm("b")],
                targeting: Targeting::default(),
                metrics: vec!["conversion".into()],
                starts_at: now,
                ends_at: None,
            },
            title: String::new(),
            hypothesis: String::new(),
            owner: String::new(),
            surface: Surface::Recommend { slots: vec!["home".into()] },
            bandit: None,
            variants: vec![Variant::default(), Variant { change, ..Variant::default() }],
        };
        shop.dealer.definitions.put(definition, act)?;
        shop.dealer.definitions.start(&id, act)?;
    }
    let guardrail = Guardrail { measure: Measure::LatencyMs, at_most: 1e6, fewest: 100, window_minutes: 10 };
    let guarded = Automation { guardrails: vec![guardrail], ..shop.automations.get(RECOMMEND)? };
    shop.automations.describe(guarded, merx_decide::Case::default(), act)?;
    Ok(())
}

/// Microseconds of each call, ascending.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(count: u32, call: impl Fn(u32)) -> Vec<f64> {
    let mut latencies: Vec<f64> = (0..count)
        .map(|number| {
            let begun = Instant::now();
            call(number);
            begun.elapsed().as_nanos() as f64 / 1e3
        })
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    latencies
}

fn at(ascending: &[f64], quantile: f64) -> f64 {
    let place = (quantile * ascending.len().saturating_sub(1) as f64).round() as usize;
    ascending.get(place).copied().unwrap_or_default()
}
