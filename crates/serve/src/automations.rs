//! Automations and approvals over HTTP.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_decide::{
    Approval, ApprovalState, Automation, AutomationError, Case, Costs, Guardrail, Measure, Mode, Reach, Wish,
};
use merx_domain::experiment::BUCKETS;
use merx_domain::{MarketId, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, OptionalJson, PathId, Query, blocking};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;
use crate::wire::Reading;

const MAX_WORDS: usize = 2_000;
/// Characters of a campaign's name.
const MAX_CAMPAIGN: usize = 100;
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
    mode: ModeName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    canary_percent: Option<f64>,
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
    measure: GuardrailMeasure,
    /// Above it the automation is stepped back.
    #[schema(minimum = 0, example = 0.2)]
    at_most: f64,
    /// Of decisions; fewer in the window say nothing.
    #[serde(default = "hundred")]
    #[schema(default = 100)]
    fewest: u64,
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 60, default = 10)]
    window_minutes: u32,
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
    owner: String,
    #[serde(default)]
    purpose: String,
    /// The metric that it is kept for.
    #[serde(default = "conversion")]
    #[schema(default = "conversion")]
    kpi: String,
    #[serde(default)]
    #[schema(max_items = 20)]
    guardrails: Vec<GuardrailWire>,
    /// Decisions an hour; beyond them the generic answer is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    most_per_hour: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    starts_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ends_at: Option<String>,
    /// More of it, and looser limits, need a second person; once asked for it stays.
    #[serde(default)]
    four_eyes: bool,
    /// What it costs the shop; its value is told less that.
    #[serde(default)]
    costs: CostsWire,
    /// What it may cost in a calendar month, in minor units of the shop's currency: `costs.monthly_minor` and its decisions. Beyond it the generic
    /// answer is served until the month is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    monthly_budget_minor: Option<i64>,
    /// Why somebody should agree, where a limit is loosened that four eyes watch.
    #[serde(default, skip_serializing)]
    #[schema(write_only)]
    case: CaseWire,
}

/// Why somebody should agree to more of an automation: each part is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AutomationCase, default = json!({}))]
pub(crate) struct CaseWire {
    #[schema(max_length = 2000)]
    why: String,
    #[schema(max_length = 2000)]
    expected_effect: String,
    #[schema(max_length = 2000)]
    risk: String,
    #[schema(max_length = 2000)]
    roll_back: String,
}

impl CaseWire {
    fn parts(&self) -> [(&'static str, &String); 4] {
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
    one_time_minor: i64,
    #[schema(minimum = 0, default = 0, example = 5000)]
    monthly_minor: i64,
    #[schema(minimum = 0, default = 0, example = 2)]
    per_thousand_decisions_minor: i64,
}

fn conversion() -> String {
    "conversion".to_owned()
}

#[derive(Serialize, ToSchema)]
#[schema(as = Automation)]
pub(crate) struct AutomationAnswer {
    /// The engine.
    #[schema(example = "recommend")]
    name: String,
    #[serde(flatten)]
    mode: ModeAnswer,
    /// Markets with a mode of their own.
    markets: BTreeMap<String, ModeAnswer>,
    /// Campaigns with a mode of their own; where the market has one too, the more careful of both counts.
    campaigns: BTreeMap<String, ModeAnswer>,
    killed: bool,
    retired: bool,
    revision: u64,
    #[schema(format = DateTime)]
    updated_at: String,
    /// Since when it has its mode; what it earns is counted from then on.
    #[schema(format = DateTime)]
    mode_since: String,
    /// The end of the month whose budget is used up: until then the generic answer is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    spent_until: Option<String>,
    #[serde(flatten)]
    description: AutomationWire,
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
    items: Vec<AutomationAnswer>,
}

/// A mode and, where it is more of an automation, why somebody should agree.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "mode": "canary", "canary_percent": 20, "why": "the new model was better on held-out weeks", "expected_effect": "2 % more orders",
    "risk": "fewer clicks on new products", "roll_back": "mode off",
}))]
pub(crate) struct ModeRequest {
    mode: ModeName,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    canary_percent: Option<f64>,
    /// Only there; by default in every market and campaign without a mode of its own.
    #[serde(default)]
    market: Option<String>,
    /// Only on pages that belong to it, as their requests say (`campaign`). A market or a campaign, not both.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "winter-sale")]
    campaign: Option<String>,
    #[serde(default)]
    why: String,
    #[serde(default)]
    expected_effect: String,
    #[serde(default)]
    risk: String,
    #[serde(default)]
    roll_back: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
pub(crate) struct ApprovalAnswer {
    number: u64,
    /// waiting, approved, refused.
    state: &'static str,
    automation: String,
    market: Option<String>,
    campaign: Option<String>,
    /// The mode that is asked for; absent where it is about limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mode: Option<ModeName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    canary_percent: Option<f64>,
    /// What the limits that are asked for would loosen, in words; empty where it is about a mode.
    loosened: Vec<String>,
    /// The limits that are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    description: Option<AutomationWire>,
    why: String,
    expected_effect: String,
    risk: String,
    roll_back: String,
    /// Id of the key that asked.
    asked_by: String,
    #[schema(format = DateTime)]
    asked_at: String,
    decided_by: Option<String>,
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// Why it was decided so.
    reason: String,
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
    items: Vec<ApprovalAnswer>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewestQuery {
    /// How many, newest first.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

impl NewestQuery {
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let mut mistakes = Mistakes::default();
        let limit = mistakes.within("limit".to_owned(), self.limit.unwrap_or(100), 1, MAX_LISTED);
        if mistakes.0.is_empty() { Ok(limit) } else { Err(Problem::mistakes(mistakes.0)) }
    }
}

impl From<AutomationError> for Problem {
    fn from(error: AutomationError) -> Self {
        match error {
            AutomationError::Unknown(name) => Self::not_found("automation", name),
            AutomationError::UnknownApproval(number) => Self::not_found("approval", number),
            AutomationError::Refused(detail) => Self::because(Code::Conflict, detail),
            AutomationError::Invalid { at, detail } => Self::mistake(at, "invalid", detail),
            AutomationError::Alerts(error) => error.into(),
            AutomationError::Store(error) => error.into(),
        }
    }
}

fn answered(automation: Automation) -> Response {
    Answered(AutomationAnswer::from(automation)).into_response()
}

/// List automations
#[utoipa::path(get, path = "/v1/automations", tag = "automations",
    responses((status = 200, description = "By name; retired ones too", body = AutomationList)))]
pub(crate) async fn list_automations(State(app): State<Shared>) -> Response {
    let items = app.parts.automations.list().into_iter().map(AutomationAnswer::from).collect();
    Answered(AutomationList { items }).into_response()
}

/// One automation
#[utoipa::path(get, path = "/v1/automations/{name}", tag = "automations",
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "What it may do, and who answers for it", body = AutomationAnswer)))]
pub(crate) async fn get_automation(
    State(app): State<Shared>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    Ok(answered(app.parts.automations.get(&name)?))
}

/// Describe an automation
///
/// Owner, purpose, KPI, guardrails, cap, start and end; the mode has a way of its own. Where four eyes are asked for, what loosens a limit
/// (a guardrail that is left out or breached later, a higher cap, a longer time, lower costs, another KPI) waits for somebody else's approval
/// (202) and needs its `case`.
#[utoipa::path(put, path = "/v1/automations/{name}", tag = "automations", request_body = AutomationWire,
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "As it is now", body = AutomationAnswer), (status = 202, description = "It waits", body = ApprovalAnswer),
        (status = 409, description = "Four eyes stay once they are asked for", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn describe_automation(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
    Json(wire): Json<AutomationWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let known = app.parts.automations.get(&name)?;
        let mut mistakes = Vec::new();
        let mut reading = Reading::at("", &mut mistakes);
        for (field, text) in [("owner", &wire.owner), ("purpose", &wire.purpose)] {
            reading.bounded(field, text.chars().count(), MAX_WORDS);
        }
        for (part, text) in wire.case.parts() {
            reading.bounded(&format!("case.{part}"), text.chars().count(), MAX_WORDS);
        }
        if !merx_measure::shop::names().any(|metric| metric == wire.kpi) {
            reading.refuse("kpi", "unknown_metric", format!("there is no metric {:?}", wire.kpi));
        }
        let costs = [
            ("costs.one_time_minor", wire.costs.one_time_minor),
            ("costs.monthly_minor", wire.costs.monthly_minor),
            ("costs.per_thousand_decisions_minor", wire.costs.per_thousand_decisions_minor),
        ];
        for (field, _) in costs.iter().filter(|(_, minor)| *minor < 0) {
            reading.refuse(field, "out_of_range", "a cost is 0 or more");
        }
        if wire.monthly_budget_minor.is_some_and(|minor| minor < 0) {
            reading.refuse("monthly_budget_minor", "out_of_range", "a budget is 0 or more");
        }
        let starts_at = wire.starts_at.as_deref().and_then(|text| reading.time("starts_at", text));
        let ends_at = wire.ends_at.as_deref().and_then(|text| reading.time("ends_at", text));
        if !mistakes.is_empty() {
            return Err(Problem::mistakes(mistakes));
        }
        let wanted = Automation {
            owner: wire.owner,
            purpose: wire.purpose,
            kpi: wire.kpi,
            guardrails: wire.guardrails.into_iter().map(Guardrail::from).collect(),
            most_per_hour: wire.most_per_hour,
            monthly_budget_minor: wire.monthly_budget_minor,
            starts_at,
            ends_at,
            four_eyes: wire.four_eyes,
            costs: Costs {
                one_time_minor: wire.costs.one_time_minor,
                monthly_minor: wire.costs.monthly_minor,
                per_thousand_decisions_minor: wire.costs.per_thousand_decisions_minor,
            },
            ..known
        };
        let described = app.parts.automations.describe(wanted, wire.case.into(), caller.acts(&app).act());
        let in_case = |error| match error {
            AutomationError::Invalid { at, detail }
                if CaseWire::default().parts().iter().any(|(part, _)| *part == at) =>
            {
                AutomationError::Invalid { at: format!("case.{at}"), detail }
            }
            other => other,
        };
        match described.map_err(in_case)? {
            Wish::Granted(automation) => Ok(answered(automation)),
            Wish::Waiting(approval) => {
                Ok((StatusCode::ACCEPTED, Answered(ApprovalAnswer::from(approval))).into_response())
            }
        }
    })
    .await
}

/// Set the mode of an automation
///
/// Less of it counts from the next decision on (200). More of it where four eyes are asked for, and always out of `suggest`, waits
/// for somebody else's approval (202) and needs its case: why, expected effect, risk, and how to roll back.
#[utoipa::path(post, path = "/v1/automations/{name}/mode", tag = "automations", request_body = ModeRequest,
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "It counts", body = AutomationAnswer), (status = 202, description = "It waits", body = ApprovalAnswer)))]
pub(crate) async fn set_automation_mode(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
    Json(request): Json<ModeRequest>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        let percent = mistakes.within("canary_percent".into(), request.canary_percent.unwrap_or(10.0), 0.0, 100.0);
        let reach = reach(request.market, request.campaign, &mut mistakes);
        for (at, text) in [
            ("why", &request.why),
            ("expected_effect", &request.expected_effect),
            ("risk", &request.risk),
            ("roll_back", &request.roll_back),
        ] {
            mistakes.within(at.to_owned(), text.chars().count(), 0, MAX_WORDS);
        }
        if !mistakes.0.is_empty() {
            return Err(Problem::mistakes(mistakes.0));
        }
        let mode = match request.mode {
            ModeName::Off => Mode::Off,
            ModeName::Shadow => Mode::Shadow,
            ModeName::Suggest => Mode::Suggest,
            ModeName::Canary => Mode::Canary { share: (percent * f64::from(BUCKETS) / 100.0).round() as u16 },
            ModeName::Live => Mode::Live,
        };
        let case = Case {
            why: request.why,
            expected_effect: request.expected_effect,
            risk: request.risk,
            roll_back: request.roll_back,
        };
        match app.parts.automations.set_mode(&name, reach, mode, case, caller.acts(&app).act())? {
            Wish::Granted(automation) => Ok(answered(automation)),
            Wish::Waiting(approval) => {
                Ok((StatusCode::ACCEPTED, Answered(ApprovalAnswer::from(approval))).into_response())
            }
        }
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InheritQuery {
    #[serde(default)]
    market: Option<String>,
    #[serde(default)]
    #[param(min_length = 1, max_length = 100)]
    campaign: Option<String>,
}

/// Take a mode of a market or a campaign away
///
/// The mode that counts everywhere counts there again. Where that is more of the automation and somebody would have to agree, it is refused
/// (409): the mode has to be asked for first.
#[utoipa::path(delete, path = "/v1/automations/{name}/mode", tag = "automations",
    params(("name" = String, Path, description = "The engine", example = "recommend"), InheritQuery),
    responses((status = 200, description = "As it is now", body = AutomationAnswer),
        (status = 409, description = "It would be more, and takes an approval", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn inherit_automation_mode(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
    Query(query): Query<InheritQuery>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        let reach = reach(query.market, query.campaign, &mut mistakes);
        if reach == Reach::Everywhere && mistakes.0.is_empty() {
            mistakes.add("market".into(), "missing", "a market or a campaign");
        }
        if !mistakes.0.is_empty() {
            return Err(Problem::mistakes(mistakes.0));
        }
        Ok(answered(app.parts.automations.inherit_mode(&name, &reach, caller.acts(&app).act())?))
    })
    .await
}

fn reach(market: Option<String>, campaign: Option<String>, mistakes: &mut Mistakes) -> Reach {
    if market.is_some() && campaign.is_some() {
        mistakes.add("campaign".into(), "invalid", "a market or a campaign, not both");
    }
    let market = market.map(MarketId::new);
    if let Some(market) = market.and_then(|market| mistakes.taken("market".into(), "invalid_id", market)) {
        return Reach::Market(market);
    }
    campaign_of(campaign, mistakes).map_or(Reach::Everywhere, Reach::Campaign)
}

/// The name of a campaign, where a request has one.
pub(crate) fn campaign_of(name: Option<String>, mistakes: &mut Mistakes) -> Option<CompactString> {
    let name = name?;
    mistakes.within("campaign".to_owned(), name.chars().count(), 1, MAX_CAMPAIGN);
    Some(name.into())
}

/// Stop an automation at once
///
/// The kill switch: in every market, from the next decision on, without anybody's leave.
#[utoipa::path(post, path = "/v1/automations/{name}/kill", tag = "automations",
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "It is stopped", body = AutomationAnswer)))]
pub(crate) async fn kill_automation(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || Ok(answered(app.parts.automations.kill(&name, true, caller.acts(&app).act())?))).await
}

/// Let a stopped automation go on
#[utoipa::path(post, path = "/v1/automations/{name}/revive", tag = "automations",
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "It goes on in its mode", body = AutomationAnswer)))]
pub(crate) async fn revive_automation(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || Ok(answered(app.parts.automations.kill(&name, false, caller.acts(&app).act())?))).await
}

/// Retire an automation
///
/// It stays listed and does nothing more.
#[utoipa::path(post, path = "/v1/automations/{name}/retire", tag = "automations",
    params(("name" = String, Path, description = "The engine", example = "recommend")),
    responses((status = 200, description = "It is retired", body = AutomationAnswer)))]
pub(crate) async fn retire_automation(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(name): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || Ok(answered(app.parts.automations.retire(&name, caller.acts(&app).act())?))).await
}

/// List approvals
#[utoipa::path(get, path = "/v1/approvals", tag = "automations", params(NewestQuery),
    responses((status = 200, description = "Newest first", body = ApprovalList)))]
pub(crate) async fn list_approvals(
    State(app): State<Shared>,
    Query(query): Query<NewestQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit()?;
    blocking(move || {
        let items = app.parts.automations.approvals(limit)?.into_iter().map(ApprovalAnswer::from).collect();
        Ok(Answered(ApprovalList { items }).into_response())
    })
    .await
}

/// Why somebody agrees or refuses.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApprovalWord, example = json!({"reason": "the canary held for a week"}))]
pub(crate) struct WordWire {
    /// For the record: it stands in the list and in the audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// Agree
///
/// Takes effect on the next decision. Who asked can't agree.
#[utoipa::path(post, path = "/v1/approvals/{number}/approve", tag = "automations", request_body = Option<WordWire>,
    params(("number" = u64, Path, description = "The approval's number", minimum = 1)),
    responses((status = 200, description = "It counts", body = ApprovalAnswer),
        (status = 409, description = "It is decided already, or was asked for with this key", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(number): PathId<u64>,
    OptionalJson(word): OptionalJson<WordWire>,
) -> Result<Response, Problem> {
    decide(app, caller, number, true, word).await
}

/// Refuse
#[utoipa::path(post, path = "/v1/approvals/{number}/refuse", tag = "automations", request_body = Option<WordWire>,
    params(("number" = u64, Path, description = "The approval's number", minimum = 1)),
    responses((status = 200, description = "It stays as it was", body = ApprovalAnswer),
        (status = 409, description = "It is decided already", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn refuse(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(number): PathId<u64>,
    OptionalJson(word): OptionalJson<WordWire>,
) -> Result<Response, Problem> {
    decide(app, caller, number, false, word).await
}

async fn decide(app: Shared, caller: Caller, number: u64, agrees: bool, word: WordWire) -> Result<Response, Problem> {
    let chars = word.reason.chars().count();
    if chars > MAX_WORDS {
        let detail = format!("{chars} characters are above the limit of {MAX_WORDS}");
        return Err(Problem::mistake("reason", "too_long", detail));
    }
    blocking(move || {
        let decided = app.parts.automations.decide(number, agrees, word.reason.trim(), caller.acts(&app).act())?;
        Ok(Answered(ApprovalAnswer::from(decided)).into_response())
    })
    .await
}

/// Who acts with a call, and when.
pub(crate) struct Acts {
    by: String,
    at: TimestampMs,
}

impl Acts {
    pub(crate) fn act(&self) -> merx_decide::Act<'_> {
        merx_decide::Act { by: &self.by, at: self.at }
    }
}

impl Caller {
    pub(crate) fn acts(&self, app: &App) -> Acts {
        let by = self.0.as_ref().map_or_else(|| "nobody".to_owned(), |key| key.actor());
        Acts { by, at: app.parts.clock.now() }
    }
}
