//! How an experiment stands in JSON: shares in per cent, times as text.

use compact_str::{CompactString, format_compact};
use merx_decide::{BoostDefinition, Change, ExperimentDefinition, StoredExperiment, Surface, Variant};
use merx_domain::experiment::{
    ArmDefinition, BUCKETS, Bandit, BanditKind, BucketRange, Experiment, ExperimentId, ExperimentKind, ExperimentState,
    LayerId, Reward, Targeting, UnitKind,
};
use merx_domain::{Device, FallbackLevel, Goal, MINUTE_MS, MarketId, ModelVersion, Scenario, TimestampMs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Mistake;
use crate::recommend::{GoalName, fallback_name};

const MAX_ARMS: usize = 20;
const MAX_METRICS: usize = 30;
const MAX_WORDS: usize = 2_000;

/// An experiment that compares arms, or a flag that is switched.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Experiment, example = json!({
    "title": "Variety on the home page", "hypothesis": "More kinds of products bring more orders", "owner": "anna",
    "surface": {"kind": "recommend", "slots": ["home"]},
    "arms": [{"name": "control", "percent": 50}, {"name": "varied", "percent": 50, "change": {"diversity": 0.6}}],
    "metrics": ["conversion"],
}))]
pub(crate) struct ExperimentWire {
    #[serde(default)]
    kind: KindWire,
    #[serde(default)]
    #[schema(max_length = 2000)]
    title: String,
    /// What is expected, and why.
    #[serde(default)]
    #[schema(max_length = 2000)]
    hypothesis: String,
    #[serde(default)]
    #[schema(max_length = 2000)]
    owner: String,
    #[serde(default)]
    surface: SurfaceWire,
    /// What is dealt to arms as a whole.
    #[serde(default)]
    unit: UnitWire,
    /// Of a `market_slot`: after so many minutes a market changes arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 100000)]
    slot_minutes: Option<u32>,
    /// Experiments of one layer never meet in a shopper. By default each is in a layer of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    layer: Option<String>,
    /// The part of the layer that is this experiment's, from and to in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 2, max_items = 2, example = json!([0, 50]))]
    layer_range: Option<Vec<f64>>,
    /// The share of shoppers that is let in. Raising or lowering it moves nobody to another arm.
    #[serde(default = "whole")]
    #[schema(minimum = 0, maximum = 100, default = 100)]
    ramp_percent: f64,
    /// What lots are drawn with; by default the id. Another salt deals everybody anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    salt: Option<String>,
    /// The first one is the control. Their shares add up to 100.
    #[schema(min_items = 1, max_items = 20)]
    arms: Vec<ArmWire>,
    #[serde(default)]
    targeting: TargetingWire,
    /// Shares follow what arms bring; those of the arms are the ones before anything is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bandit: Option<BanditWire>,
    /// The metrics that decide it: conversion, revenue_per_visitor, average_order_value .. (`GET /v1/experiment-metrics`).
    #[serde(default)]
    #[schema(max_items = 30)]
    metrics: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    starts_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ends_at: Option<String>,
}

fn whole() -> f64 {
    100.0
}

/// How shares follow what arms bring.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExperimentBandit, example = json!({"kind": "thompson", "reward": "click"}))]
pub(crate) struct BanditWire {
    kind: BanditKindWire,
    reward: RewardWire,
    /// A reward counts so long after the exposure.
    #[serde(default = "day")]
    #[schema(minimum = 1, maximum = 336, default = 24)]
    window_hours: u16,
    /// No arm gets less.
    #[serde(default = "five")]
    #[schema(exclusive_minimum = 0, maximum = 50, default = 5)]
    least_percent: f64,
    /// After so many minutes lots are drawn anew and shares may change.
    #[serde(default = "hour")]
    #[schema(minimum = 1, maximum = 1440, default = 60)]
    epoch_minutes: u16,
}

fn day() -> u16 {
    24
}
fn five() -> f64 {
    5.0
}
fn hour() -> u16 {
    60
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BanditKindWire {
    /// Each arm as often as it is likely to be the best.
    Thompson,
    /// The arm with the best prospects for the shopper's device and market.
    LinUcb,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RewardWire {
    /// A product opened.
    Click,
    Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExperimentKind)]
pub(crate) enum KindWire {
    /// Arms are compared.
    #[default]
    Test,
    /// Switched, not measured.
    Flag,
}

/// Where it is met.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = ExperimentSurface)]
pub(crate) enum SurfaceWire {
    /// Recommendations whose request has a slot of one of these names or scenarios; none named: all.
    Recommend {
        #[serde(default)]
        slots: Vec<String>,
    },
    Search,
    /// Whoever asks for the flag.
    #[default]
    Flag,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExperimentUnit)]
pub(crate) enum UnitWire {
    /// A person, on every device once they have signed in.
    #[default]
    Subject,
    /// A visit, by the `session_id` of requests.
    Session,
    /// A market, for some minutes: for what would spill over between shoppers.
    MarketSlot,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExperimentArm)]
pub(crate) struct ArmWire {
    #[schema(example = "control")]
    name: String,
    /// To a hundredth.
    #[schema(minimum = 0.01, maximum = 100)]
    percent: f64,
    /// The flag's value: true, a text, a number or an object. Answers that the arm changed carry it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<Value>,
    /// What the arm changes; the control usually nothing.
    #[serde(default, skip_serializing_if = "ChangeWire::is_empty")]
    change: ChangeWire,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ExperimentChange)]
pub(crate) struct ChangeWire {
    /// Where the chain of answers begins: live_model, previous_model, popularity (search: words alone), static_list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    serve: Option<String>,
    /// A version of the model in place of the live one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scenario: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 100)]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    diversity: Option<f32>,
    /// interest, revenue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<GoalName>)]
    goal: Option<GoalName>,
    /// Beside the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filter: Option<String>,
    /// Beside the request's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    boosts: Vec<ChangedBoost>,
    /// Of search.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    typo_tolerance: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedBoost {
    #[schema(example = "margin")]
    field: String,
    #[schema(minimum = -1, maximum = 10)]
    strength: f32,
}

impl ChangeWire {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may be in. An empty list lets everybody pass.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ExperimentTargeting)]
pub(crate) struct TargetingWire {
    markets: Vec<String>,
    /// unknown, desktop, phone, tablet, server.
    devices: Vec<DeviceWire>,
    /// One of those that a request names is enough.
    segments: Vec<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TargetedDevice)]
pub(crate) enum DeviceWire {
    Unknown,
    Desktop,
    Phone,
    Tablet,
    Server,
}

impl From<DeviceWire> for Device {
    fn from(device: DeviceWire) -> Self {
        match device {
            DeviceWire::Unknown => Self::Unknown,
            DeviceWire::Desktop => Self::Desktop,
            DeviceWire::Phone => Self::Phone,
            DeviceWire::Tablet => Self::Tablet,
            DeviceWire::Server => Self::Server,
        }
    }
}

impl From<Device> for DeviceWire {
    fn from(device: Device) -> Self {
        match device {
            Device::Unknown => Self::Unknown,
            Device::Desktop => Self::Desktop,
            Device::Phone => Self::Phone,
            Device::Tablet => Self::Tablet,
            Device::Server => Self::Server,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ExperimentAnswer {
    #[schema(example = "home-variety")]
    id: String,
    /// draft, running, ended.
    #[schema(example = "running")]
    state: &'static str,
    /// Grows with every change.
    revision: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[serde(flatten)]
    definition: ExperimentWire,
}

pub(crate) fn state_name(state: ExperimentState) -> &'static str {
    match state {
        ExperimentState::Draft => "draft",
        ExperimentState::Running => "running",
        ExperimentState::Ended => "ended",
    }
}

impl From<&StoredExperiment> for ExperimentAnswer {
    fn from(stored: &StoredExperiment) -> Self {
        Self {
            id: stored.definition.experiment.id.to_string(),
            state: state_name(stored.definition.experiment.state),
            revision: stored.revision,
            created_at: stored.created_at.to_string(),
            updated_at: stored.updated_at.to_string(),
            definition: (&stored.definition).into(),
        }
    }
}

fn percent(buckets: u16) -> f64 {
    f64::from(buckets) * 100.0 / f64::from(BUCKETS)
}

/// To a hundredth of a per cent; `None` where it isn't one, or out of range.
fn buckets(percent: f64) -> Option<u16> {
    let buckets = percent * f64::from(BUCKETS) / 100.0;
    let whole = (buckets - buckets.round()).abs() < 1e-6;
    (whole && (0.0..=f64::from(BUCKETS)).contains(&buckets)).then_some(buckets.round() as u16)
}

impl From<&ExperimentDefinition> for ExperimentWire {
    fn from(definition: &ExperimentDefinition) -> Self {
        let experiment = &definition.experiment;
        let own_layer = experiment.layer.as_str() == experiment.id.as_str();
        let all = experiment.range == BucketRange::ALL;
        let (unit, slot_minutes) = match experiment.unit {
            UnitKind::Subject => (UnitWire::Subject, None),
            UnitKind::Session => (UnitWire::Session, None),
            UnitKind::MarketSlot { slot_ms } => (UnitWire::MarketSlot, u32::try_from(slot_ms / MINUTE_MS).ok()),
        };
        let arms = experiment.arms.iter().zip(&definition.variants);
        Self {
            kind: match experiment.kind {
                ExperimentKind::Test => KindWire::Test,
                ExperimentKind::Flag => KindWire::Flag,
            },
            title: definition.title.clone(),
            hypothesis: definition.hypothesis.clone(),
            owner: definition.owner.clone(),
            surface: match &definition.surface {
                Surface::Recommend { slots } => {
                    SurfaceWire::Recommend { slots: slots.iter().map(CompactString::to_string).collect() }
                }
                Surface::Search => SurfaceWire::Search,
                Surface::Flag => SurfaceWire::Flag,
            },
            unit,
            slot_minutes,
            layer: (!own_layer).then(|| experiment.layer.to_string()),
            layer_range: (!all).then(|| vec![percent(experiment.range.from), percent(experiment.range.to)]),
            ramp_percent: percent(experiment.ramp),
            salt: (experiment.salt != experiment.id.as_str()).then(|| experiment.salt.to_string()),
            arms: arms
                .map(|(arm, variant)| ArmWire {
                    name: arm.name.to_string(),
                    percent: percent(arm.share),
                    value: variant.value.clone(),
                    change: (&variant.change).into(),
                })
                .collect(),
            targeting: TargetingWire {
                markets: experiment.targeting.markets.iter().map(MarketId::to_string).collect(),
                devices: experiment.targeting.devices.iter().copied().map(DeviceWire::from).collect(),
                segments: experiment.targeting.segments.iter().map(CompactString::to_string).collect(),
            },
            bandit: definition.bandit.as_ref().map(|bandit| BanditWire {
                kind: match bandit.kind {
                    BanditKind::Thompson => BanditKindWire::Thompson,
                    BanditKind::LinUcb => BanditKindWire::LinUcb,
                },
                reward: match bandit.reward {
                    Reward::Click => RewardWire::Click,
                    Reward::Order => RewardWire::Order,
                },
                window_hours: bandit.window_hours,
                least_percent: percent(bandit.floor),
                epoch_minutes: bandit.epoch_minutes,
            }),
            metrics: experiment.metrics.iter().map(CompactString::to_string).collect(),
            starts_at: Some(experiment.starts_at.to_string()),
            ends_at: experiment.ends_at.map(|end| end.to_string()),
        }
    }
}

impl From<&Change> for ChangeWire {
    fn from(change: &Change) -> Self {
        let boost = |boost: &BoostDefinition| ChangedBoost { field: boost.field.clone(), strength: boost.strength };
        Self {
            serve: change.serve.map(|level| fallback_name(level).to_owned()),
            model_version: change.model_version.map(|version| version.0),
            scenario: change.scenario.map(|scenario| scenario.name().to_owned()),
            count: change.count,
            diversity: change.diversity,
            goal: change.goal.map(GoalName::from),
            filter: change.filter.clone(),
            boosts: change.boosts.iter().map(boost).collect(),
            typo_tolerance: change.typo_tolerance,
        }
    }
}

/// Reads a definition; `known` is what is kept under the id, whose start a body without one doesn't move.
pub(super) fn definition_of(
    id: &str,
    wire: ExperimentWire,
    known: Option<&StoredExperiment>,
    now: TimestampMs,
) -> Result<ExperimentDefinition, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut refuse = |at: &str, code: &'static str, detail: String| mistakes.push(Mistake::new(at, code, detail));
    for (at, text) in [("title", &wire.title), ("hypothesis", &wire.hypothesis), ("owner", &wire.owner)] {
        if text.chars().count() > MAX_WORDS {
            refuse(at, "too_long", format!("more than {MAX_WORDS} characters"));
        }
    }
    for (at, count, most) in [("arms", wire.arms.len(), MAX_ARMS), ("metrics", wire.metrics.len(), MAX_METRICS)] {
        if count > most {
            refuse(at, "too_many", format!("{count} are more than {most}"));
        }
    }
    let mut share = |at: String, percent: f64| {
        buckets(percent).unwrap_or_else(|| {
            let detail = format!("{percent} is no share from 0 to 100 % in hundredths");
            refuse(&at, "out_of_range", detail);
            0
        })
    };
    let arms: Vec<ArmDefinition> = wire
        .arms
        .iter()
        .enumerate()
        .map(|(place, arm)| ArmDefinition {
            name: CompactString::from(&arm.name),
            share: share(format!("arms[{place}].percent"), arm.percent),
        })
        .collect();
    let ramp = share("ramp_percent".to_owned(), wire.ramp_percent);
    let bandit = wire.bandit.map(|bandit| Bandit {
        kind: match bandit.kind {
            BanditKindWire::Thompson => BanditKind::Thompson,
            BanditKindWire::LinUcb => BanditKind::LinUcb,
        },
        reward: match bandit.reward {
            RewardWire::Click => Reward::Click,
            RewardWire::Order => Reward::Order,
        },
        window_hours: bandit.window_hours,
        floor: share("bandit.least_percent".to_owned(), bandit.least_percent),
        epoch_minutes: bandit.epoch_minutes,
    });
    let range = match wire.layer_range.as_deref() {
        None => BucketRange::ALL,
        Some([from, to]) => {
            BucketRange { from: share("layer_range[0]".to_owned(), *from), to: share("layer_range[1]".to_owned(), *to) }
        }
        Some(_) => {
            refuse("layer_range", "wrong_form", "a range has two ends, in per cent".to_owned());
            BucketRange::ALL
        }
    };
    let unit = match (wire.unit, wire.slot_minutes) {
        (UnitWire::Subject, None) => UnitKind::Subject,
        (UnitWire::Session, None) => UnitKind::Session,
        (UnitWire::MarketSlot, Some(minutes)) => UnitKind::MarketSlot { slot_ms: i64::from(minutes) * MINUTE_MS },
        (UnitWire::MarketSlot, None) => {
            refuse("slot_minutes", "missing", "a market_slot needs the minutes of a slot".to_owned());
            UnitKind::Subject
        }
        (_, Some(_)) => {
            refuse("slot_minutes", "not_on_this_unit", "only a market_slot has minutes".to_owned());
            UnitKind::Subject
        }
    };
    let mut time = |at: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let time = TimestampMs::parse(text);
        if time.is_none() {
            refuse(at, "invalid_timestamp", "write times as 2026-01-31T12:00:00Z".to_owned());
        }
        time
    };
    let starts_at = time("starts_at", &wire.starts_at);
    let ends_at = time("ends_at", &wire.ends_at);
    let mut markets = Vec::new();
    for (place, market) in wire.targeting.markets.iter().enumerate() {
        match MarketId::new(market) {
            Ok(market) => markets.push(market),
            Err(error) => refuse(&format!("targeting.markets[{place}]"), "invalid_id", error.to_string()),
        }
    }
    let mut variants = Vec::new();
    for (place, arm) in wire.arms.into_iter().enumerate() {
        let serve = arm.change.serve.as_deref().and_then(|name| {
            let level = FallbackLevel::CHAIN.into_iter().find(|level| fallback_name(*level) == name);
            if level.is_none() {
                let known: Vec<&str> = FallbackLevel::CHAIN.into_iter().map(fallback_name).collect();
                refuse(&format!("arms[{place}].change.serve"), "unknown_level", known.join(", "));
            }
            level
        });
        let scenario = arm.change.scenario.as_deref().and_then(|name| {
            let scenario = Scenario::from_name(name);
            if scenario.is_none() {
                let known: Vec<&str> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
                let detail = format!("known scenarios: {}", known.join(", "));
                refuse(&format!("arms[{place}].change.scenario"), "unknown_scenario", detail);
            }
            scenario
        });
        let boost = |boost: ChangedBoost| BoostDefinition { field: boost.field, strength: boost.strength };
        let change = Change {
            serve,
            model_version: arm.change.model_version.map(ModelVersion),
            scenario,
            count: arm.change.count,
            diversity: arm.change.diversity,
            goal: arm.change.goal.map(Goal::from),
            filter: arm.change.filter,
            boosts: arm.change.boosts.into_iter().map(boost).collect(),
            typo_tolerance: arm.change.typo_tolerance,
        };
        variants.push(Variant { value: arm.value, change });
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let texts = |texts: Vec<String>| texts.into_iter().map(CompactString::from).collect::<Vec<_>>();
    let before = known.map(|known| &known.definition.experiment);
    Ok(ExperimentDefinition {
        experiment: Experiment {
            id: ExperimentId::new(id),
            kind: match wire.kind {
                KindWire::Test => ExperimentKind::Test,
                KindWire::Flag => ExperimentKind::Flag,
            },
            state: before.map_or(ExperimentState::Draft, |before| before.state),
            unit,
            layer: LayerId(wire.layer.map_or_else(|| format_compact!("{id}"), CompactString::from)),
            range,
            ramp,
            salt: wire.salt.map_or_else(|| format_compact!("{id}"), CompactString::from),
            arms,
            targeting: Targeting {
                markets,
                devices: wire.targeting.devices.into_iter().map(Device::from).collect(),
                segments: texts(wire.targeting.segments),
            },
            metrics: texts(wire.metrics),
            starts_at: starts_at.or(before.map(|before| before.starts_at)).unwrap_or(now),
            ends_at,
        },
        title: wire.title,
        hypothesis: wire.hypothesis,
        owner: wire.owner,
        surface: match wire.surface {
            SurfaceWire::Recommend { slots } => Surface::Recommend { slots: texts(slots) },
            SurfaceWire::Search => Surface::Search,
            SurfaceWire::Flag => Surface::Flag,
        },
        variants,
        bandit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_hundredths_of_a_per_cent() {
        assert_eq!([0.0, 33.33, 50.0, 100.0].map(buckets), [Some(0), Some(3_333), Some(5_000), Some(10_000)]);
        assert_eq!([-1.0, 0.001, 100.01, f64::NAN].map(buckets), [None; 4]);
    }

    #[test]
    fn a_definition_comes_back_as_it_was_written() {
        let text = r#"{"title":"t","surface":{"kind":"recommend","slots":["home"]},"unit":"market_slot","slot_minutes":30,
            "layer":"home","layer_range":[0,25],"ramp_percent":10,"salt":"s","arms":[{"name":"a","percent":33.33},
            {"name":"b","percent":66.67,"value":{"x":1},"change":{"serve":"popularity","count":3,"boosts":[{"field":"margin","strength":1}]}}],
            "targeting":{"markets":["de"],"devices":["phone"]},"metrics":["conversion"],"starts_at":"2026-11-21T00:00:00.000Z"}"#;
        let wire: ExperimentWire = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&wire).unwrap();
        let definition = definition_of("home-2", wire, None, TimestampMs(0)).unwrap();
        assert_eq!(serde_json::to_value(ExperimentWire::from(&definition)).unwrap(), written);
    }
}
