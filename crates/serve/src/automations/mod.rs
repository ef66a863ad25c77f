//! Automations and approvals over HTTP.

mod wire;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_decide::{Automation, AutomationError, Case, Costs, Guardrail, Mode, Reach, Wish};
use merx_domain::experiment::BUCKETS;
use merx_domain::{MarketId, TimestampMs};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, OptionalJson, PathId, Query, blocking};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;
use crate::wire::Reading;

pub(crate) use wire::{
    ApprovalAnswer, ApprovalList, AutomationAnswer, AutomationList, AutomationWire, CaseWire, ModeName, ModeRequest,
    NewestQuery,
};

const MAX_WORDS: usize = 2_000;
/// Characters of a campaign's name.
const MAX_CAMPAIGN: usize = 100;

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
