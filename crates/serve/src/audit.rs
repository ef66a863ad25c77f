//! The audit log over HTTP: who changed what, and whether the chain holds.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_decide::AuditEntry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::{Answered, Query, blocking};
use crate::problem::Problem;
use crate::routes::Shared;

const MAX_LISTED: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Entries after this number.
    #[param(minimum = 0, default = 0)]
    after: Option<u64>,
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerificationQuery {
    /// A head that was written down before: nothing may be missing up to it.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    head: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    /// Oldest first.
    items: Vec<AuditAnswer>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditAnswer {
    /// From 1, without gaps.
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The key that acted, or `merx` itself.
    #[schema(example = "key 3f9a1c0b7d2e")]
    actor: String,
    #[schema(example = "experiment.start")]
    action: String,
    #[schema(example = "home-variety")]
    target: String,
    /// What it was changed to.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// Covers the entry and the hash before it.
    hash: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditVerification {
    sound: bool,
    entries: u64,
    /// The newest hash, which stands for the whole past: write it down elsewhere.
    head: String,
    /// The first entry that doesn't follow from the ones before.
    broken_at: Option<u64>,
    /// Whether the head that was asked for is on the chain.
    knows_head: Option<bool>,
    /// Decisions at high stakes whose record is still kept; each has an entry with the hash of its record.
    decisions: u64,
    /// The first of them whose record isn't what its entry says.
    altered: Option<String>,
}

fn hex(hash: [u8; 32]) -> String {
    blake3::Hash::from_bytes(hash).to_hex().to_string()
}

impl From<AuditEntry> for AuditAnswer {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            at: entry.at.to_string(),
            actor: entry.actor,
            action: entry.action,
            target: entry.target,
            detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
            hash: hex(entry.hash),
        }
    }
}

/// The audit log
///
/// Changes of experiments, automations and approvals: who, when, to what.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "Oldest first", body = AuditList)))]
pub(crate) async fn audit_log(State(app): State<Shared>, Query(query): Query<AuditQuery>) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(1_000);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to {MAX_LISTED}")));
    }
    blocking(move || {
        let entries = app.parts.audit.read(query.after.unwrap_or(0), limit)?;
        Ok(Answered(AuditList { items: entries.into_iter().map(AuditAnswer::from).collect() }).into_response())
    })
    .await
}

/// Verify the audit log
///
/// Walks the whole chain: an entry that was altered, left out or put in shows, and with a head that was written down before also one
/// that was cut off the end. Records of decisions at high stakes are held against the hashes in their entries.
#[utoipa::path(get, path = "/v1/audit/verification", tag = "audit", params(VerificationQuery),
    responses((status = 200, description = "What the walk found", body = AuditVerification)))]
pub(crate) async fn verify_audit(
    State(app): State<Shared>,
    Query(query): Query<VerificationQuery>,
) -> Result<Response, Problem> {
    let read = |text: String| blake3::Hash::from_hex(&text).map(|hash| *hash.as_bytes());
    let head = query.head.map(read).transpose();
    let head = head.map_err(|error| Problem::mistake("head", "invalid_id", error.to_string()))?;
    blocking(move || {
        let found = app.parts.audit.verify(head)?;
        let answer = AuditVerification {
            sound: found.is_sound(),
            entries: found.entries,
            head: hex(found.head),
            broken_at: found.broken_at,
            knows_head: found.knows_head,
            decisions: found.decisions,
            altered: found.altered,
        };
        Ok(Answered(answer).into_response())
    })
    .await
}
