//! Automations, their cases and approvals as the API shows and reads them.

use std::collections::BTreeMap;

use merx_decide::{Approval, ApprovalState, Automation, Case, Guardrail, Measure, Mode};
use merx_domain::TimestampMs;
use merx_domain::experiment::BUCKETS;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Mistakes, Problem};

const MAX_LISTED: usize = 1_000;

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AutomationMode)]
pub(crate) enum ModeName {
    Off,
    /// Computed and recorded, never shown.
    Shadow,
    /// As shadow; going live waits for an approval.
    Suggest,
    /// For `canary_percent` of the shoppers.
    Canary,
    Live,
}

fn mode_name(mode: Mode) -> ModeName {
    match mode {
        Mode::Off => ModeName::Off,
        Mode::Shadow => ModeName::Shadow,
        Mode::Suggest => ModeName::Suggest,
        Mode::Canary { .. } => ModeName::Canary,
        Mode::Live => ModeName::Live,
    }
}

fn canary_percent(mode: Mode) -> Option<f64> {
    match mode {
        Mode::Canary { share } => Some(f64::from(share) * 100.0 / f64::from(BUCKETS)),
        _ => None,
    }
}

/// A mode, and of a canary its share.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModeAnswer {
    pub(super) mode: ModeName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) canary_percent: Option<f64>,
}

impl From<Mode> for ModeAnswer {
    fn from(mode: Mode) -> Self {
        Self { mode: mode_name(mode), canary_percent: canary_percent(mode) }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuardrailMeasure {
    /// Share of decisions that no model answered.
    FallbackShare,
    /// Share of decisions on whose way something went wrong.
    TroubleShare,
    /// 95th percentile, in milliseconds.
    LatencyMs,
    /// By how much revenue a visitor is lower, at the least, than of those who go without; `fewest` counts visitors.
    KpiLoss,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Guardrail)]
pub(crate) struct GuardrailWire {
    pub(super) measure: GuardrailMeasure,
    /// Above it the automation is stepped back.
    #[schema(minimum = 0, example = 0.2)]
    pub(super) at_most: f64,
    /// Of decisions; fewer in the window say nothing.
    #[serde(default = "hundred")]
    #[schema(default = 100)]
    pub(super) fewest: u64,
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 60, default = 10)]
    pub(super) window_minutes: u32,
}

fn hundred() -> u64 {
    100
}

fn ten() -> u32 {
    10
}

impl From<GuardrailWire> for Guardrail {
    fn from(wire: GuardrailWire) -> Self {
        let measure = match wire.measure {
            GuardrailMeasure::FallbackShare => Measure::FallbackShare,
            GuardrailMeasure::TroubleShare => Measure::TroubleShare,
            GuardrailMeasure::LatencyMs => Measure::LatencyMs,
            GuardrailMeasure::KpiLoss => Measure::KpiLoss,
        };
        Self { measure, at_most: wire.at_most, fewest: wire.fewest, window_minutes: wire.window_minutes }
    }
}

impl From<&Guardrail> for GuardrailWire {
    fn from(guardrail: &Guardrail) -> Self {
        let measure = match guardrail.measure {
            Measure::FallbackShare => GuardrailMeasure::FallbackShare,
            Measure::TroubleShare => GuardrailMeasure::TroubleShare,
            Measure::LatencyMs => GuardrailMeasure::LatencyMs,
            Measure::KpiLoss => GuardrailMeasure::KpiLoss,
        };
        let Guardrail { at_most, fewest, window_minutes, .. } = *guardrail;
        Self { measure, at_most, fewest, window_minutes }
    }
}

/// What an automation is for, and its limits.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AutomationDescription, example = json!({
    "owner": "anna", "purpose": "what to show on the home page", "kpi": "conversion",
    "guardrails": [{"measure": "fallback_share", "at_most": 0.2}], "four_eyes": true,
}))]
pub(crate) struct AutomationWire {
    #[serde(default)]
    pub(super) owner: String,
    #[serde(default)]
    pub(super) purpose: String,
    /// The metric that it is kept for.
    #[serde(default = "conversion")]
    #[schema(default = "conversion")]
    pub(super) kpi: String,
    #[serde(default)]
    #[schema(max_items = 20)]
    pub(super) guardrails: Vec<GuardrailWire>,
    /// Decisions an hour; beyond them the generic answer is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) most_per_hour: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) starts_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) ends_at: Option<String>,
    /// More of it, and looser limits, need a second person; once asked for it stays.
    #[serde(default)]
    pub(super) four_eyes: bool,
    /// What it costs the shop; its value is told less that.
    #[serde(default)]
    pub(super) costs: CostsWire,
    /// What it may cost in a calendar month, in minor units of the shop's currency: `costs.monthly_minor` and its decisions. Beyond it the generic
    /// answer is served until the month is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub(super) monthly_budget_minor: Option<i64>,
    /// Why somebody should agree, where a limit is loosened that four eyes watch.
    #[serde(default, skip_serializing)]
    #[schema(write_only)]
    pub(super) case: CaseWire,
}

/// Why somebody should agree to more of an automation: each part is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AutomationCase, default = json!({}))]
pub(crate) struct CaseWire {
    #[schema(max_length = 2000)]
    pub(super) why: String,
    #[schema(max_length = 2000)]
    pub(super) expected_effect: String,
    #[schema(max_length = 2000)]
    pub(super) risk: String,
    #[schema(max_length = 2000)]
    pub(super) roll_back: String,
}

impl CaseWire {
    pub(super) fn parts(&self) -> [(&'static str, &String); 4] {
        [
            ("why", &self.why),
            ("expected_effect", &self.expected_effect),
            ("risk", &self.risk),
            ("roll_back", &self.roll_back),
        ]
    }
}

impl From<CaseWire> for Case {
    fn from(wire: CaseWire) -> Self {
        Self { why: wire.why, expected_effect: wire.expected_effect, risk: wire.risk, roll_back: wire.roll_back }
    }
}

/// In minor units of the shop's currency.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AutomationCosts, default = json!({}))]
pub(crate) struct CostsWire {
    #[schema(minimum = 0, default = 0, example = 200000)]
    pub(super) one_time_minor: i64,
    #[schema(minimum = 0, default = 0, example = 5000)]
    pub(super) monthly_minor: i64,
    #[schema(minimum = 0, default = 0, example = 2)]
    pub(super) per_thousand_decisions_minor: i64,
}

fn conversion() -> String {
    "conversion".to_owned()
}

#[derive(Serialize, ToSchema)]
#[schema(as = Automation)]
pub(crate) struct AutomationAnswer {
    /// The engine.
    #[schema(example = "recommend")]
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) mode: ModeAnswer,
    /// Markets with a mode of their own.
    pub(super) markets: BTreeMap<String, ModeAnswer>,
    /// Campaigns with a mode of their own; where the market has one too, the more careful of both counts.
    pub(super) campaigns: BTreeMap<String, ModeAnswer>,
    pub(super) killed: bool,
    pub(super) retired: bool,
    pub(super) revision: u64,
    #[schema(format = DateTime)]
    pub(super) updated_at: String,
    /// Since when it has its mode; what it earns is counted from then on.
    #[schema(format = DateTime)]
    pub(super) mode_since: String,
    /// The end of the month whose budget is used up: until then the generic answer is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) spent_until: Option<String>,
    #[serde(flatten)]
    pub(super) description: AutomationWire,
}

impl From<Automation> for AutomationWire {
    fn from(automation: Automation) -> Self {
        let time = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            guardrails: automation.guardrails.iter().map(GuardrailWire::from).collect(),
            most_per_hour: automation.most_per_hour,
            starts_at: time(automation.starts_at),
            ends_at: time(automation.ends_at),
            four_eyes: automation.four_eyes,
            monthly_budget_minor: automation.monthly_budget_minor,
            owner: automation.owner,
            purpose: automation.purpose,
            kpi: automation.kpi,
            costs: CostsWire {
                one_time_minor: automation.costs.one_time_minor,
                monthly_minor: automation.costs.monthly_minor,
                per_thousand_decisions_minor: automation.costs.per_thousand_decisions_minor,
            },
            case: CaseWire::default(),
        }
    }
}

impl From<Automation> for AutomationAnswer {
    fn from(automation: Automation) -> Self {
        let (markets, campaigns) = (automation.markets.iter(), automation.campaigns.iter());
        Self {
            mode: automation.mode.into(),
            markets: markets.map(|(market, mode)| (market.to_string(), (*mode).into())).collect(),
            campaigns: campaigns.map(|(campaign, mode)| (campaign.to_string(), (*mode).into())).collect(),
            killed: automation.killed,
            retired: automation.retired,
            revision: automation.revision,
            updated_at: automation.updated_at.to_string(),
            mode_since: automation.mode_since.to_string(),
            spent_until: automation.spent_until.map(|until| until.to_string()),
            name: automation.name.clone(),
            description: automation.into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AutomationList {
    /// By name; retired ones too.
    pub(super) items: Vec<AutomationAnswer>,
}

/// A mode and, where it is more of an automation, why somebody should agree.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "mode": "canary", "canary_percent": 20, "why": "the new model was better on held-out weeks", "expected_effect": "2 % more orders",
    "risk": "fewer clicks on new products", "roll_back": "mode off",
}))]
pub(crate) struct ModeRequest {
    pub(super) mode: ModeName,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    pub(super) canary_percent: Option<f64>,
    /// Only there; by default in every market and campaign without a mode of its own.
    #[serde(default)]
    pub(super) market: Option<String>,
    /// Only on pages that belong to it, as their requests say (`campaign`). A market or a campaign, not both.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "winter-sale")]
    pub(super) campaign: Option<String>,
    #[serde(default)]
    pub(super) why: String,
    #[serde(default)]
    pub(super) expected_effect: String,
    #[serde(default)]
    pub(super) risk: String,
    #[serde(default)]
    pub(super) roll_back: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
pub(crate) struct ApprovalAnswer {
    pub(super) number: u64,
    /// waiting, approved, refused.
    pub(super) state: &'static str,
    pub(super) automation: String,
    pub(super) market: Option<String>,
    pub(super) campaign: Option<String>,
    /// The mode that is asked for; absent where it is about limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) mode: Option<ModeName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) canary_percent: Option<f64>,
    /// What the limits that are asked for would loosen, in words; empty where it is about a mode.
    pub(super) loosened: Vec<String>,
    /// The limits that are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) description: Option<AutomationWire>,
    pub(super) why: String,
    pub(super) expected_effect: String,
    pub(super) risk: String,
    pub(super) roll_back: String,
    /// Id of the key that asked.
    pub(super) asked_by: String,
    #[schema(format = DateTime)]
    pub(super) asked_at: String,
    pub(super) decided_by: Option<String>,
    #[schema(format = DateTime)]
    pub(super) decided_at: Option<String>,
    /// Why it was decided so.
    pub(super) reason: String,
}

impl From<Approval> for ApprovalAnswer {
    fn from(approval: Approval) -> Self {
        Self {
            number: approval.number,
            state: match approval.state {
                ApprovalState::Waiting => "waiting",
                ApprovalState::Approved => "approved",
                ApprovalState::Refused => "refused",
            },
            automation: approval.automation,
            market: approval.market.map(|market| market.to_string()),
            campaign: approval.campaign.map(|campaign| campaign.to_string()),
            mode: approval.mode.map(mode_name),
            canary_percent: approval.mode.and_then(canary_percent),
            loosened: approval.terms.as_ref().map_or_else(Vec::new, |terms| terms.loosened.clone()),
            description: approval.terms.map(|terms| terms.wanted.into()),
            why: approval.case.why,
            expected_effect: approval.case.expected_effect,
            risk: approval.case.risk,
            roll_back: approval.case.roll_back,
            asked_by: approval.asked_by,
            asked_at: approval.asked_at.to_string(),
            decided_by: approval.decided_by,
            decided_at: approval.decided_at.map(|at| at.to_string()),
            reason: approval.reason,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ApprovalList {
    /// Newest first.
    pub(super) items: Vec<ApprovalAnswer>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewestQuery {
    /// How many, newest first.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: Option<usize>,
}

impl NewestQuery {
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let mut mistakes = Mistakes::default();
        let limit = mistakes.within("limit".to_owned(), self.limit.unwrap_or(100), 1, MAX_LISTED);
        if mistakes.0.is_empty() { Ok(limit) } else { Err(Problem::mistakes(mistakes.0)) }
    }
}
