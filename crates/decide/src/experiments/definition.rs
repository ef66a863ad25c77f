//! What an experiment changes, and whether that makes sense.

use compact_str::CompactString;
use merx_domain::experiment::{BUCKETS, Bandit, Experiment, ExperimentError, ExperimentKind, UnitKind};
use merx_domain::{FallbackLevel, Filter, Goal, ModelVersion, Scenario};
use serde::{Deserialize, Serialize};

use crate::shelf::{Boost, BoostField};

const MAX_COUNT: usize = 100;
const MAX_BOOSTS: usize = 10;
const MAX_ID_CHARS: usize = 100;
/// Of a flag's value as JSON.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Where an experiment is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Surface {
    /// Recommendations whose request has a slot of one of these names or scenarios; of none: every recommendation.
    Recommend {
        slots: Vec<CompactString>,
    },
    Search,
    /// Nothing of Merx's own: who asks for the flag gets its value.
    Flag,
}

/// What one arm is given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Variant {
    /// The flag's value; it also stands in the answers that the arm changed.
    pub value: Option<serde_json::Value>,
    pub change: Change,
}

/// What an arm changes about a decision; what is `None` stays as it was asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Where the chain of fallbacks begins: `popularity` leaves models out, in search it ranks by words alone.
    pub serve: Option<FallbackLevel>,
    /// A version of the model in place of the live one.
    pub model_version: Option<ModelVersion>,
    pub scenario: Option<Scenario>,
    pub count: Option<usize>,
    pub diversity: Option<f32>,
    pub goal: Option<Goal>,
    /// In the filter language, beside the request's own.
    pub filter: Option<String>,
    /// Beside the request's own.
    pub boosts: Vec<BoostDefinition>,
    pub typo_tolerance: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostDefinition {
    /// As requests write it.
    pub field: String,
    pub strength: f32,
}

/// An experiment or flag, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentDefinition {
    /// Who gets which arm, and when.
    pub experiment: Experiment,
    pub title: String,
    /// What is expected, and why.
    pub hypothesis: String,
    pub owner: String,
    pub surface: Surface,
    /// In the order of the experiment's arms.
    pub variants: Vec<Variant>,
    /// Where shares follow what arms bring; the arms' own shares are those before anything is known.
    #[serde(default)]
    pub bandit: Option<Bandit>,
}

/// What is wrong with a definition, and where: `arms[1].change.filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionProblem {
    pub at: String,
    pub code: &'static str,
    pub detail: String,
}

impl DefinitionProblem {
    pub fn new(at: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { at: at.into(), code, detail: detail.into() }
    }
}

impl From<&ExperimentError> for DefinitionProblem {
    fn from(error: &ExperimentError) -> Self {
        use ExperimentError as E;
        let (at, code) = match error {
            E::NoName => ("id", "missing"),
            E::Duplicate { .. } => ("id", "duplicate"),
            E::TooFewArms { .. } => ("arms", "too_few_arms"),
            E::ArmNames { .. } => ("arms", "arm_names"),
            E::ArmsDontAddUp { .. } => ("arms", "arms_dont_add_up"),
            E::EmptyArm { .. } => ("arms", "empty_arm"),
            E::Range { .. } => ("layer_range", "out_of_range"),
            E::Share { .. } => ("ramp_percent", "out_of_range"),
            E::Overlap { .. } => ("layer", "overlapping_layer"),
            E::MixedUnits { .. } => ("unit", "mixed_units"),
            E::UnknownMetric { .. } => ("metrics", "unknown_metric"),
            E::NoMetric { .. } => ("metrics", "missing"),
            E::EndsBeforeStart { .. } => ("ends_at", "ends_before_start"),
            E::Slot { .. } => ("slot_minutes", "out_of_range"),
        };
        Self::new(at, code, error.to_string())
    }
}

/// A variant ready to be applied: texts are read, and what they say is known to make sense.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PreparedVariant {
    pub value: Option<serde_json::Value>,
    pub change: Change,
    pub(crate) filter: Option<Filter>,
    pub(crate) boosts: Vec<Boost>,
}

impl ExperimentDefinition {
    /// Reads every variant; each problem comes with its place.
    pub fn prepare(&self) -> Result<Vec<PreparedVariant>, Vec<DefinitionProblem>> {
        let mut problems = Vec::new();
        let id = self.experiment.id.as_str();
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if id.is_empty() || id.len() > MAX_ID_CHARS || !id.chars().all(plain) {
            let detail = format!("1 to {MAX_ID_CHARS} letters, digits, hyphens, underscores and dots make an id");
            problems.push(DefinitionProblem::new("id", "invalid_id", detail));
        }
        if self.variants.len() != self.experiment.arms.len() {
            problems.push(DefinitionProblem::new("arms", "arms_dont_add_up", "each arm has one variant"));
        }
        self.check_bandit(&mut problems);
        let prepared = self.variants.iter().enumerate();
        let prepared = prepared.map(|(place, variant)| self.prepare_one(place, variant, &mut problems)).collect();
        if problems.is_empty() { Ok(prepared) } else { Err(problems) }
    }

    fn check_bandit(&self, problems: &mut Vec<DefinitionProblem>) {
        let Some(bandit) = &self.bandit else { return };
        let mut refuse = |at: &str, code, detail: &str| problems.push(DefinitionProblem::new(at, code, detail));
        if self.experiment.kind != ExperimentKind::Test || self.experiment.unit != UnitKind::Subject {
            refuse("bandit", "not_on_this_unit", "a bandit deals shoppers, in a test");
        }
        let arms = self.experiment.arms.len().max(1) as u32;
        if u32::from(bandit.floor) * arms > u32::from(BUCKETS) || bandit.floor == 0 {
            refuse(
                "bandit.least_percent",
                "out_of_range",
                "every arm gets its least share, above 0 and at most 100 % together",
            );
        }
        if !(1..=24 * 14).contains(&bandit.window_hours) {
            refuse("bandit.window_hours", "out_of_range", "1 to 336 hours");
        }
        if !(1..=24 * 60).contains(&bandit.epoch_minutes) {
            refuse("bandit.epoch_minutes", "out_of_range", "1 to 1,440 minutes");
        }
    }

    fn prepare_one(&self, place: usize, variant: &Variant, problems: &mut Vec<DefinitionProblem>) -> PreparedVariant {
        let change = &variant.change;
        let mut refuse = |field: &str, code, detail: String| {
            problems.push(DefinitionProblem::new(format!("arms[{place}].{field}"), code, detail));
        };
        for field in self.foreign_fields(change) {
            let detail = format!("an experiment on this surface doesn't change {field}");
            refuse(&format!("change.{field}"), "not_on_this_surface", detail);
        }
        if let Some(count) = change.count.filter(|count| !(1..=MAX_COUNT).contains(count)) {
            refuse("change.count", "out_of_range", format!("{count} is not from 1 to {MAX_COUNT}"));
        }
        if let Some(diversity) = change.diversity.filter(|diversity| !(0.0..=1.0).contains(diversity)) {
            refuse("change.diversity", "out_of_range", format!("{diversity} is not from 0 to 1"));
        }
        if change.serve == Some(FallbackLevel::Nothing) {
            refuse("change.serve", "out_of_range", "an arm that serves nothing shows nothing".to_owned());
        }
        if change.boosts.len() > MAX_BOOSTS {
            refuse("change.boosts", "too_many", format!("{} are more than {MAX_BOOSTS}", change.boosts.len()));
        }
        if variant.value.as_ref().is_some_and(|value| value.to_string().len() > MAX_VALUE_BYTES) {
            refuse("value", "too_long", format!("the value has more than {MAX_VALUE_BYTES} bytes"));
        }
        let filter = change.filter.as_deref().and_then(|text| {
            Filter::parse(text).map_err(|error| refuse("change.filter", "invalid_filter", error.to_string())).ok()
        });
        let mut boosts = Vec::new();
        for (number, boost) in change.boosts.iter().enumerate() {
            if !(-1.0..=10.0).contains(&boost.strength) {
                let detail = format!("{} is not from -1 to 10", boost.strength);
                refuse(&format!("change.boosts[{number}].strength"), "out_of_range", detail);
            }
            match BoostField::parse(&boost.field) {
                Ok(field) => boosts.push(Boost { field, strength: boost.strength }),
                Err(error) => {
                    refuse(&format!("change.boosts[{number}].field"), "invalid_filter", error.to_string());
                }
            }
        }
        PreparedVariant { value: variant.value.clone(), change: change.clone(), filter, boosts }
    }

    /// Fields of a change that the surface has no use for.
    fn foreign_fields(&self, change: &Change) -> Vec<&'static str> {
        let of_decisions = [
            (change.serve.is_some(), "serve"),
            (change.model_version.is_some(), "model_version"),
            (change.filter.is_some(), "filter"),
        ];
        let of_slots = [
            (change.scenario.is_some(), "scenario"),
            (change.count.is_some(), "count"),
            (change.diversity.is_some(), "diversity"),
            (change.goal.is_some(), "goal"),
            (!change.boosts.is_empty(), "boosts"),
        ];
        let of_search = [(change.typo_tolerance.is_some(), "typo_tolerance")];
        let foreign: &[&[(bool, &'static str)]] = match self.surface {
            Surface::Recommend { .. } => &[&of_search],
            Surface::Search => &[&of_slots],
            Surface::Flag => &[&of_decisions, &of_slots, &of_search],
        };
        foreign.iter().copied().flatten().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
    }
}
