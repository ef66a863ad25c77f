//! What people allow, over HTTP: said for themselves, read by the shop; and the policy that says what silence means.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use compact_str::CompactString;
use merx_decide::{DryRun, Effect, PolicyError, PolicyVersion};
use merx_domain::tcf;
use merx_domain::{
    ConsentStamp, DAY_MS, IdentityKind, MarketId, PolicyDocument, PolicyMistake, PolicySet, Purposes, RegionDocument,
};
use merx_ingest::{Identities, RawEvent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Answered, Json, Query, blocking};
use crate::keys::Scope;
use crate::problem::{Code, Mistake, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_ID_BYTES: usize = 200;
/// Decisions that a dry run looks at.
const MAX_DRY_RUN: usize = 100_000;

/// What a person says of the use of their data. What is not named stays as it was.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsentWord, example = json!({"anonymous_id": "visitor-1", "purposes": {"analytics": true, "personalisation": false}}))]
pub(crate) struct ConsentWire {
    /// This or `user_id`.
    #[serde(default)]
    #[schema(nullable = false, max_length = 200)]
    anonymous_id: Option<String>,
    /// Needs a secret key.
    #[serde(default)]
    #[schema(nullable = false, max_length = 200)]
    user_id: Option<String>,
    /// analytics, personalisation, marketing, automated_decisions, sale_sharing.
    #[serde(default)]
    purposes: BTreeMap<String, bool>,
    /// A consent string of IAB's TCF, version 2. A purpose named above counts before it.
    #[serde(default)]
    #[schema(nullable = false, max_length = 20000)]
    tcf: Option<String>,
    /// Apple's App Tracking Transparency: anything but `authorized` refuses sale and sharing.
    #[serde(default)]
    #[schema(nullable = false)]
    att: Option<AttStatus>,
    /// As `Sec-GPC: 1`, which counts too.
    #[serde(default)]
    global_privacy_control: bool,
    #[serde(default)]
    #[schema(nullable = false, max_length = 200)]
    market: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AttStatus {
    NotDetermined,
    Restricted,
    Denied,
    Authorized,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhoQuery {
    anonymous_id: Option<String>,
    user_id: Option<String>,
    market: Option<String>,
}

/// What is known, and what it comes to under the policy in force.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsentState)]
pub(crate) struct ConsentAnswer {
    granted: Vec<&'static str>,
    denied: Vec<&'static str>,
    global_privacy_control: bool,
    /// What may be done now.
    #[schema(example = json!(["necessary", "analytics"]))]
    allowed: Vec<&'static str>,
    #[schema(example = "gdpr")]
    region: String,
    policy_version: u32,
}

fn names(purposes: Purposes) -> Vec<&'static str> {
    Purposes::NAMES.iter().filter(|(purpose, _)| purposes.contains(*purpose)).map(|(_, name)| *name).collect()
}

/// Say what a person allows
///
/// It is on disk when the answer comes, and counts for the next request.
#[utoipa::path(post, path = "/v1/consent", tag = "consent", request_body = ConsentWire,
    params(("Sec-GPC" = Option<String>, Header, description = "1: sale and sharing are refused")),
    responses((status = 200, description = "What is known now", body = ConsentAnswer)))]
pub(crate) async fn say_consent(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(wire): Json<ConsentWire>,
) -> Result<Response, Problem> {
    let (identities, kind, id) = who(&app, &caller, wire.anonymous_id.as_deref(), wire.user_id.as_deref())?;
    let market = market_of(&app, wire.market.as_deref())?;
    let mut stamp = stamp_of(&wire)?;
    stamp.global_privacy_control |= headers.get("sec-gpc").is_some_and(|value| value.as_bytes() == b"1");
    blocking(move || {
        let event = RawEvent::consent(identities, stamp, market.clone(), app.parts.clock.now());
        app.parts.intake.take(vec![event])?;
        Ok(Answered(answer(&app, kind, &id, &market)?).into_response())
    })
    .await
}

/// What a person allows
#[utoipa::path(get, path = "/v1/consent", tag = "consent", params(WhoQuery),
    responses((status = 200, description = "What is known, and what it comes to", body = ConsentAnswer)))]
pub(crate) async fn get_consent(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WhoQuery>,
) -> Result<Response, Problem> {
    let (_, kind, id) = who(&app, &caller, query.anonymous_id.as_deref(), query.user_id.as_deref())?;
    let market = market_of(&app, query.market.as_deref())?;
    blocking(move || Ok(Answered(answer(&app, kind, &id, &market)?).into_response())).await
}

fn who(
    app: &App,
    caller: &Caller,
    anonymous: Option<&str>,
    user: Option<&str>,
) -> Result<(Identities, IdentityKind, String), Problem> {
    let (field, kind, id) = match (user, anonymous) {
        (Some(id), _) => ("user_id", IdentityKind::UserId, id.trim()),
        (None, Some(id)) => ("anonymous_id", IdentityKind::AnonymousId, id.trim()),
        (None, None) => {
            return Err(Problem::mistake("anonymous_id", "missing", "name the person: anonymous_id or user_id"));
        }
    };
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Problem::mistake(field, "invalid_id", "1 to 200 bytes without control characters"));
    }
    let is_public = caller.0.as_ref().is_none_or(|key| !key.scope.reaches(Scope::Secret));
    if kind == IdentityKind::UserId && is_public && !app.parts.settings.public_keys_name_customers {
        return Err(Problem::because(Code::Forbidden, "a customer's id needs a secret key"));
    }
    let text = |of: Option<&str>| of.map(|id| CompactString::from(id.trim())).filter(|id| !id.is_empty());
    Ok((Identities { user_id: text(user), anonymous_id: text(anonymous), ..Default::default() }, kind, id.to_owned()))
}

fn market_of(app: &App, named: Option<&str>) -> Result<MarketId, Problem> {
    match named {
        None => Ok(app.parts.settings.default_market.clone()),
        Some(name) => MarketId::new(name).map_err(|error| Problem::mistake("market", "invalid_id", error.to_string())),
    }
}

/// Purposes by name count before the string of a platform.
fn stamp_of(wire: &ConsentWire) -> Result<ConsentStamp, Problem> {
    let mut stamp = ConsentStamp::default();
    if let Some(text) = &wire.tcf {
        let purposes =
            tcf::decode(text).map_err(|error| Problem::mistake("tcf", "malformed_tcf", error.to_string()))?;
        stamp = purposes.stamp();
    }
    let mut spoken = ConsentStamp { global_privacy_control: wire.global_privacy_control, ..Default::default() };
    for (name, allowed) in &wire.purposes {
        let purpose = Purposes::by_name(name).filter(|purpose| *purpose != Purposes::NECESSARY);
        let unknown = || {
            let detail =
                format!("{name:?} is none of analytics, personalisation, marketing, automated_decisions, sale_sharing");
            Problem::mistake(format!("purposes.{name}"), "unknown_purpose", detail)
        };
        let purpose = purpose.ok_or_else(unknown)?;
        if *allowed { spoken.granted |= purpose } else { spoken.denied |= purpose }
    }
    if wire.att.is_some_and(|status| status != AttStatus::Authorized) {
        spoken.denied |= Purposes::SALE_SHARING;
        spoken.granted -= Purposes::SALE_SHARING;
    }
    Ok(stamp.then(spoken))
}

fn answer(app: &App, kind: IdentityKind, id: &str, market: &MarketId) -> Result<ConsentAnswer, Problem> {
    let subject = app.parts.intake.find_subject(kind, id)?;
    let stamp = subject.map_or(Ok(ConsentStamp::default()), |subject| app.parts.intake.consent(subject))?;
    let policy = app.parts.policies.book().current();
    let grant = policy.check(subject.unwrap_or(merx_domain::SubjectId(0)), market, stamp);
    Ok(ConsentAnswer {
        granted: names(stamp.granted),
        denied: names(stamp.denied),
        global_privacy_control: stamp.global_privacy_control,
        allowed: names(grant.purposes()),
        region: policy.region_of(market).to_owned(),
        policy_version: policy.version,
    })
}

/// What people said, counted.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsentStatistics)]
pub(crate) struct StatisticsAnswer {
    /// People who ever said anything.
    people: u64,
    global_privacy_control: u64,
    /// analytics, personalisation, marketing, automated_decisions, sale_sharing.
    purposes: BTreeMap<&'static str, SaidAnswer>,
}

/// Who said nothing of a purpose counts in neither.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ConsentCount)]
pub(crate) struct SaidAnswer {
    granted: u64,
    denied: u64,
}

impl StatisticsAnswer {
    fn of(counts: &[(ConsentStamp, u64)]) -> Self {
        let all = |says: &dyn Fn(&ConsentStamp) -> bool| {
            counts.iter().filter(|(stamp, _)| says(stamp)).map(|(_, count)| count).sum()
        };
        let asked = Purposes::NAMES.iter().filter(|(purpose, _)| *purpose != Purposes::NECESSARY);
        let said = |purpose: Purposes| SaidAnswer {
            granted: all(&|stamp| stamp.granted.contains(purpose)),
            denied: all(&|stamp| stamp.denied.contains(purpose)),
        };
        Self {
            people: all(&|_| true),
            global_privacy_control: all(&|stamp| stamp.global_privacy_control),
            purposes: asked.map(|(purpose, name)| (*name, said(*purpose))).collect(),
        }
    }
}

/// Consent statistics
///
/// How many people granted and refused each purpose. It names nobody.
#[utoipa::path(get, path = "/v1/consent/statistics", tag = "policy",
    responses((status = 200, description = "By purpose", body = StatisticsAnswer)))]
pub(crate) async fn consent_statistics(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(StatisticsAnswer::of(&app.parts.intake.consent_counts()?)).into_response())).await
}

/// Rules by region.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Policy, example = json!({"default_region": "gdpr", "regions": {
    "gdpr": {"markets": ["DE", "FR"], "never": ["sale_sharing"]},
    "ccpa": {"markets": ["US-CA"], "allowed_unless_denied": ["analytics", "personalisation"], "refused_by_privacy_control": ["marketing"]},
}}))]
pub(crate) struct PolicyWire {
    /// The region of markets that no region names.
    default_region: String,
    regions: BTreeMap<String, RegionWire>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyRegion)]
pub(crate) struct RegionWire {
    #[serde(default)]
    markets: Vec<String>,
    /// What may be done where a person has said nothing.
    #[serde(default)]
    allowed_unless_denied: Vec<String>,
    /// What `Sec-GPC: 1` refuses, beside sale and sharing.
    #[serde(default)]
    refused_by_privacy_control: Vec<String>,
    /// What is not done here, whatever anybody says.
    #[serde(default)]
    never: Vec<String>,
}

impl From<PolicyWire> for PolicyDocument {
    fn from(wire: PolicyWire) -> Self {
        let region = |region: RegionWire| RegionDocument {
            markets: region.markets,
            allowed_unless_denied: region.allowed_unless_denied,
            refused_by_privacy_control: region.refused_by_privacy_control,
            never: region.never,
        };
        let regions = wire.regions.into_iter().map(|(name, wire)| (name, region(wire))).collect();
        Self { default_region: wire.default_region, regions }
    }
}

impl From<PolicyDocument> for PolicyWire {
    fn from(document: PolicyDocument) -> Self {
        let region = |region: RegionDocument| RegionWire {
            markets: region.markets,
            allowed_unless_denied: region.allowed_unless_denied,
            refused_by_privacy_control: region.refused_by_privacy_control,
            never: region.never,
        };
        let regions = document.regions.into_iter().map(|(name, document)| (name, region(document))).collect();
        Self { default_region: document.default_region, regions }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PolicyInForce)]
pub(crate) struct PolicyAnswer {
    /// 0: of the configuration.
    version: u32,
    policy: PolicyWire,
    /// Versions that were put over HTTP, newest first.
    versions: Vec<VersionAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PolicyVersion)]
pub(crate) struct VersionAnswer {
    version: u32,
    #[schema(format = DateTime)]
    at: String,
    /// The key that put it.
    who: String,
    policy: PolicyWire,
}

impl From<PolicyVersion> for VersionAnswer {
    fn from(version: PolicyVersion) -> Self {
        let policy = version.document.into();
        Self { version: version.version, at: version.at.to_string(), who: version.who, policy }
    }
}

/// What a policy would have changed in the last day's decisions.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyDryRun)]
pub(crate) struct DryRunAnswer {
    /// Decisions about a known visitor that were looked at.
    decisions: u64,
    by_region: BTreeMap<String, u64>,
    by_purpose: BTreeMap<String, EffectAnswer>,
    /// Whether no decision would be allowed any more what some were.
    locks_everybody_out: bool,
}

/// Decisions that were, and would be, allowed a purpose.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyEffect)]
pub(crate) struct EffectAnswer {
    before: u64,
    after: u64,
    gained: u64,
    lost: u64,
}

impl From<DryRun> for DryRunAnswer {
    fn from(run: DryRun) -> Self {
        let effect = |effect: Effect| EffectAnswer {
            before: effect.before,
            after: effect.after,
            gained: effect.gained,
            lost: effect.lost,
        };
        Self {
            locks_everybody_out: run.locks_everybody_out(),
            decisions: run.decisions,
            by_purpose: run.by_purpose.into_iter().map(|(name, it)| (name.to_owned(), effect(it))).collect(),
            by_region: run.by_region,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutPolicyQuery {
    /// Put it although it locks everybody out.
    #[serde(default)]
    #[param(default = false)]
    force: bool,
}

/// The policy in force
#[utoipa::path(get, path = "/v1/policy", tag = "policy",
    responses((status = 200, description = "The policy and the versions before", body = PolicyAnswer)))]
pub(crate) async fn get_policy(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || Ok(Answered(policy_answer(&app)?).into_response())).await
}

fn policy_answer(app: &App) -> Result<PolicyAnswer, Problem> {
    const VERSIONS: usize = 100;
    let (version, document) = app.parts.policies.current()?;
    let versions = app.parts.policies.versions(VERSIONS)?.into_iter().map(VersionAnswer::from).collect();
    Ok(PolicyAnswer { version, policy: document.into(), versions })
}

/// Put a policy in force
///
/// As the next version, for the next request on. One that would take every decision of the last day what it was allowed is refused, unless `force`.
#[utoipa::path(put, path = "/v1/policy", tag = "policy", request_body = PolicyWire, params(PutPolicyQuery),
    responses((status = 200, description = "It is in force", body = PolicyAnswer),
        (status = 409, description = "It would lock everybody out", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_policy(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PutPolicyQuery>,
    Json(wire): Json<PolicyWire>,
) -> Result<Response, Problem> {
    let document = PolicyDocument::from(wire);
    blocking(move || {
        let policy = sound(&document)?;
        if !query.force && run(&app, &policy)?.locks_everybody_out() {
            let detail = "no decision of the last day would be allowed anything any more: see POST /v1/policy/dry-run, or send ?force=true";
            return Err(Problem::because(Code::Conflict, detail));
        }
        let who = caller.0.as_ref().map_or_else(String::new, |key| key.id.clone());
        app.parts.policies.put(&document, &who, app.parts.clock.now()).map_err(policy_problem)?;
        Ok(Answered(policy_answer(&app)?).into_response())
    })
    .await
}

/// What a policy would have changed
///
/// Looks at the recorded decisions of the last 24 hours with its eyes; nothing is changed.
#[utoipa::path(post, path = "/v1/policy/dry-run", tag = "policy", request_body = PolicyWire,
    responses((status = 200, description = "The difference", body = DryRunAnswer)))]
pub(crate) async fn dry_run_policy(
    State(app): State<Shared>,
    Json(wire): Json<PolicyWire>,
) -> Result<Response, Problem> {
    let document = PolicyDocument::from(wire);
    blocking(move || {
        let policy = sound(&document)?;
        Ok(Answered(DryRunAnswer::from(run(&app, &policy)?)).into_response())
    })
    .await
}

fn sound(document: &PolicyDocument) -> Result<PolicySet, Problem> {
    PolicySet::read(0, document).map_err(mistakes)
}

fn run(app: &App, policy: &PolicySet) -> Result<DryRun, Problem> {
    let since = app.parts.clock.now().plus_ms(-DAY_MS);
    let records = app.parts.recorder.since(since, MAX_DRY_RUN)?;
    Ok(DryRun::of(policy, &records))
}

fn mistakes(mistakes: Vec<PolicyMistake>) -> Problem {
    Problem::mistakes(mistakes.into_iter().map(|it| Mistake::new(it.at, it.code, it.detail)).collect())
}

fn policy_problem(error: PolicyError) -> Problem {
    match error {
        PolicyError::Mistakes(list) => mistakes(list),
        PolicyError::Store(error) => error.into(),
    }
}
