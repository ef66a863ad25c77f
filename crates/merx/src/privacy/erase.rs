//! The erasure, step by step.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use merx_domain::SubjectId;
use merx_ingest::privacy::{Notes, PrivacyRequest};
use merx_ingest::vault::FOR_GOOD;
use merx_store::lake_events::erase_events;
use merx_store::{Scrub, StoreError, subjects};
use serde_json::{Value, json};

use super::{begin, complete, give_up, subject_columns, verify};
use crate::jobs::{Say, Step};
use crate::shop::Shop;

/// Readers that are in the way of emptying a journal are waited for.
const SCRUB_ATTEMPTS: usize = 5;

pub(super) struct Outcome {
    pub(super) completed: usize,
    pub(super) failures: Vec<String>,
}

/// What the steps took away, of all requests together.
#[derive(Default)]
struct Removed {
    events: u64,
    lake_rows: u64,
    rows: std::collections::BTreeMap<String, u64>,
}

pub(super) fn erase_all(shop: &Arc<Shop>, requests: &[PrivacyRequest], say: Say) -> Result<Outcome> {
    let mut outcome = Outcome { completed: 0, failures: Vec::new() };
    let mut of_requests = Vec::new();
    for request in requests {
        // One that can't be begun must not keep the others from being forgotten.
        match begin(shop, request) {
            Ok(Some(notes)) => of_requests.push((request, notes)),
            Ok(None) => {}
            Err(error) => outcome.failures.push(give_up(shop, request, &error, None)?),
        }
    }
    let known: Vec<SubjectId> = of_requests.iter().flat_map(|(_, notes)| notes.subject_ids()).collect();
    let models = trained_with(shop, &known)?;
    let mut removed = Removed::default();
    for (request, notes) in &mut of_requests {
        let until = if request.suppress { FOR_GOOD } else { shop.clock.now() };
        say(Step::new("destroying keys and names"))?;
        // Who signed in on another device since the request began is more pseudonyms than were noted; they are noted before
        // the vault forgets whose they were.
        for subject in notes.subject_ids() {
            shop.ingest.vault.pseudonyms(subject)?.into_iter().for_each(|pseudonym| notes.add_subject(pseudonym));
        }
        shop.ingest.requests.begin(&shop.ingest.vault, &request.id, notes, shop.clock.now())?;
        for subject in notes.subject_ids() {
            let erased = shop.ingest.vault.erase(subject, until)?;
            erased.into_iter().for_each(|pseudonym| notes.add_subject(pseudonym));
        }
        shop.ingest.requests.begin(&shop.ingest.vault, &request.id, notes, shop.clock.now())?;
    }
    let all: Vec<SubjectId> = of_requests.iter().flat_map(|(_, notes)| notes.subject_ids()).collect();
    clear(shop, &all, &mut removed, say)?;

    let proofs: Vec<(String, Notes)> =
        of_requests.iter().map(|(request, notes)| (request.id.clone(), notes.clone())).collect();
    let mut found = verify::look(shop, &proofs, say)?;
    let mut rewritten = false;
    if !found.is_clean() {
        // Pages that were moved long ago may have left copies in the slack of others: a store written anew has no slack.
        say(Step::new("writing log and records anew"))?;
        clear(shop, &all, &mut removed, say)?;
        scrub(shop, Scrub::Everything)?;
        rewritten = true;
        found = verify::look(shop, &proofs, say)?;
    }
    for (request, notes) in of_requests {
        let verification = found.of(&request.id);
        let is_clean = verification.findings.is_empty();
        let report = json!({
            "pseudonyms": notes.subjects.len(),
            "names": notes.names.len(),
            "erased_together": requests.len(),
            "removed": { "events": removed.events, "lake_rows": removed.lake_rows, "rows": removed.rows },
            "stores_rewritten": rewritten,
            "models": models,
            "retraining_due_at": crate::housekeeping::next_training_at(shop)?.map(|at| at.to_string()),
            "verification": verification,
        });
        if is_clean {
            complete(shop, request, &verify::proof_notes(&notes), &report)?;
            outcome.completed += 1;
        } else {
            let error = anyhow!("something was found after the erasure; the report names the places");
            outcome.failures.push(give_up(shop, request, &error, Some(&report))?);
        }
    }
    Ok(outcome)
}

/// Takes pseudonyms out of every store. May be repeated.
fn clear(shop: &Shop, all: &[SubjectId], removed: &mut Removed, say: Say) -> Result<()> {
    say(Step::new("removing events"))?;
    removed.events += shop.store.log.erase(all)?;
    say(Step::new("dropping features"))?;
    shop.projection.forget(all)?;
    shop.books.forget();
    shop.bandits.forget();
    say(Step::new("rewriting the lake"))?;
    removed.lake_rows += erase_events(&*shop.store.lake, all)?;
    say(Step::new("clearing tables"))?;
    // Last, so that what was decided meanwhile goes too.
    shop.recorder.flush();
    for forgotten in subjects::forget(&*shop.store.records, &subject_columns(), all)? {
        *removed.rows.entry(forgotten.table).or_default() += forgotten.rows;
    }
    shop.ingest.consents.forget(all)?;
    scrub(shop, Scrub::Journals)
}

fn scrub(shop: &Shop, how: Scrub) -> Result<()> {
    for attempt in 1.. {
        match shop.store.log.scrub(how).and_then(|()| shop.store.records.scrub(how)) {
            Err(StoreError::Busy { retry_after_ms, .. }) if attempt < SCRUB_ATTEMPTS => {
                std::thread::sleep(std::time::Duration::from_millis(retry_after_ms));
            }
            done => return Ok(done?),
        }
    }
    Ok(())
}

/// Versions of models that were fitted on events of these people. No model holds a row of a person; a training without
/// them comes by the schedule.
fn trained_with(shop: &Shop, all: &[SubjectId]) -> Result<Vec<Value>> {
    let Some(first) = shop.store.log.of_subjects(all, None, 1)?.into_iter().next() else { return Ok(Vec::new()) };
    let mut events = vec![first];
    loop {
        let page = shop.store.log.of_subjects(all, events.last().map(|(place, _)| *place), PAGE)?;
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    let models = shop.registry.list()?;
    let saw = |model: &merx_models::registry::RegisteredModel| {
        let until = model.lineage.log_offset.unwrap_or(u64::MAX);
        let window = model.lineage.window_from..=model.lineage.window_until;
        events.iter().any(|(place, event)| place.0 <= until && window.contains(&event.occurred_at))
    };
    let models = models.iter().filter(|model| saw(model));
    Ok(models
        .map(|model| {
            json!({
                "name": model.name,
                "version": model.version.0,
                "status": model.status,
                "trained_at": model.created_at.to_string(),
            })
        })
        .collect())
}

/// Events of a person read at a time.
const PAGE: usize = 10_000;
