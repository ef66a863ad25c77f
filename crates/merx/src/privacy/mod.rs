//! Requests of people about their data: the job that answers them, and what the server asks of it.
//!
//! An erasure goes from what names the person outwards: vault, tables, log, features, lake. Every step may be repeated, and
//! the pseudonyms stand in the request's sealed notes before the first: so a request that a crash broke off is simply
//! begun again. The last step looks for what was erased in every byte; only where nothing is found is it completed.

mod data;
mod erase;
mod verify;

use std::sync::Arc;

use anyhow::{Result, bail};
use merx_domain::DAY_MS;
use merx_ingest::privacy::{Notes, PrivacyRequest, RequestKind, RequestState};
use merx_store::{StoreError, SubjectColumn};
use serde_json::{Value, json};

use crate::jobs::{Say, Step};
use crate::search_log;
use crate::shop::Shop;

/// Where pseudonyms stand in the tables of all rooms.
pub(crate) fn subject_columns() -> Vec<SubjectColumn> {
    [merx_ingest::SUBJECT_COLUMNS, merx_decide::SUBJECT_COLUMNS, search_log::SUBJECT_COLUMNS].concat()
}

/// The job: answers every request that is open. Erasures go together, so that log and lake are gone through once.
pub(crate) fn answer_all(shop: &Arc<Shop>, say: Say) -> Result<Value> {
    let open = shop.ingest.requests.open()?;
    let (erasures, others): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|request| request.kind == RequestKind::Erasure);
    let mut answered = 0;
    let mut failures = Vec::new();
    for request in others {
        match answer(shop, &request, say) {
            Ok(()) => answered += 1,
            Err(error) => failures.push(give_up(shop, &request, &error, None)?),
        }
    }
    if !erasures.is_empty() {
        match erase::erase_all(shop, &erasures, say) {
            Ok(outcome) => {
                answered += outcome.completed;
                failures.extend(outcome.failures);
            }
            Err(error) => {
                for request in &erasures {
                    failures.push(give_up(shop, request, &error, None)?);
                }
            }
        }
    }
    if failures.is_empty() {
        return Ok(json!({ "answered": answered }));
    }
    bail!("{answered} requests answered, {} could not be: {}", failures.len(), failures.join("; "))
}

fn answer(shop: &Arc<Shop>, request: &PrivacyRequest, say: Say) -> Result<()> {
    let Some(notes) = begin(shop, request)? else { return Ok(()) };
    match request.kind {
        RequestKind::Access | RequestKind::Portability => {
            say(Step::new("gathering what is held of a person"))?;
            let report = json!({ "pseudonyms": notes.subjects.len() });
            // Names are read when the data is asked for.
            let kept = Notes { names: Vec::new(), ..notes };
            complete(shop, request, &kept, &report)
        }
        RequestKind::Verification => {
            let found = verify::look(shop, &[(request.id.clone(), notes.clone())], say)?;
            complete(shop, request, &verify::proof_notes(&notes), &json!({ "verification": found.of(&request.id) }))
        }
        RequestKind::Erasure | RequestKind::ShopErasure => Ok(()),
    }
}

/// Finds everybody whom a request names, and writes that down before anything is done. `None`: it was taken back meanwhile.
fn begin(shop: &Shop, request: &PrivacyRequest) -> Result<Option<Notes>> {
    let requests = &shop.ingest.requests;
    let vault = &shop.ingest.vault;
    let Some(mut notes) = requests.notes(vault, &request.id)? else {
        let now = requests.get(&request.id)?.map(|request| request.state);
        return if now == Some(RequestState::Cancelled) { Ok(None) } else { bail!("its notes are gone") };
    };
    let mut found = notes.subject_ids();
    for name in &notes.asked {
        found.extend(match name.format {
            merx_ingest::privacy::NameFormat::Raw => vault.find_all(name.kind, &name.value)?,
            _ => vault.find_by(name.kind, &|known| name.is(known))?,
        });
    }
    for subject in found {
        notes.add_subject(subject);
        vault.pseudonyms(subject)?.into_iter().for_each(|pseudonym| notes.add_subject(pseudonym));
        for name in vault.export(subject)? {
            notes.add_name(name.kind, name.value);
        }
    }
    let is_open = requests.begin(vault, &request.id, &notes, shop.clock.now())?;
    Ok(is_open.then_some(notes))
}

fn complete(shop: &Shop, request: &PrivacyRequest, notes: &Notes, report: &Value) -> Result<()> {
    Ok(shop.ingest.requests.complete(&shop.ingest.vault, &request.id, notes, report, shop.clock.now())?)
}

/// Says in the register what stood in the way; the next round tries again.
fn give_up(
    shop: &Shop,
    request: &PrivacyRequest,
    error: &anyhow::Error,
    report: Option<&Value>,
) -> Result<String, StoreError> {
    let words = format!("{error:#}");
    shop.ingest.requests.fail(&request.id, &words, report, shop.clock.now())?;
    Ok(format!("{}: {words}", request.id))
}

/// Whether the job has something to do.
pub(crate) fn is_due(shop: &Shop) -> Result<bool, StoreError> {
    Ok(!shop.ingest.requests.open()?.is_empty())
}

/// Lets go what has been kept as long as it may be, and warns of deadlines.
pub(crate) fn keep_house(shop: &Shop) -> Result<()> {
    const STEP: usize = 10_000;
    let now = shop.clock.now();
    let before = |days: u32| now.plus_ms(-i64::from(days) * DAY_MS);
    shop.ingest.requests.drop_notes(before(shop.config.privacy.proof_days))?;
    shop.ingest.reads.forget_before(before(shop.config.privacy.keep_reads_days), STEP)?;
    for request in shop.ingest.requests.open()? {
        if request.due_at <= now && request.state != RequestState::Completed {
            tracing::warn!(request = request.id, kind = request.kind.name(), "a privacy request is past its deadline");
        }
    }
    Ok(())
}

pub(crate) use data::{gather, of_one};

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that columns of pseudonyms have.
    const NAMES: [&str; 4] = ["subject", "absorbed", "merged_into", "subject_id"];

    #[test]
    fn every_column_of_pseudonyms_is_on_the_list() {
        let listed = subject_columns();
        let mut found = 0;
        for migration in crate::shop::migrations() {
            let tables = migration.sql.split("CREATE TABLE ").skip(1);
            for text in tables {
                let (table, rest) = text.split_once('(').unwrap();
                let table = table.trim_start_matches("IF NOT EXISTS ").trim();
                let columns = rest.split([',', '\n', '(', ')']).map(str::trim);
                let columns = columns.filter_map(|column| column.split_once(' '));
                for (column, kind) in columns.filter(|(column, _)| NAMES.contains(column)) {
                    if !kind.starts_with("BYTEA") {
                        continue;
                    }
                    found += 1;
                    let known = listed.iter().any(|known| known.table == table && known.column == column);
                    assert!(known, "{table}.{column} needs a line in its room's SUBJECT_COLUMNS");
                }
            }
        }
        assert!(found >= listed.len(), "{found} columns found, {} listed", listed.len());
    }
}
