//! Everything that is held of a person, gathered for them.

use anyhow::{Context, Result};
use merx_decide::DecisionRecord;
use merx_domain::{ConsentPolicy, ConsentStamp, Event, Purposes, SubjectId};
use merx_ingest::privacy::PersonalRead;
use serde_json::{Value, json};

use crate::shop::Shop;

/// Bounds of one export, far beyond what a person does in a shop.
const MAX_EVENTS: usize = 1_000_000;
const MAX_ORDERS: usize = 100_000;
const MAX_DECISIONS: usize = 100_000;

/// Of a request for access or portability; `who` asks. The look is noted before anything is read.
pub(crate) fn gather(shop: &Shop, id: &str, who: &str) -> Result<Value> {
    let notes = shop.ingest.requests.notes(&shop.ingest.vault, id)?;
    let notes = notes.context("its notes were dropped after privacy.proof_days; make a new request")?;
    let subjects = notes.subject_ids();
    let now = shop.clock.now();
    let why = format!("privacy request {id}");
    for subject in &subjects {
        let read = PersonalRead {
            at: now,
            who: who.to_owned(),
            what: "export".to_owned(),
            why: why.clone(),
            subject: Some(*subject),
        };
        shop.ingest.reads.note(&read)?;
    }
    let people = subjects.iter().map(|subject| person(shop, *subject)).collect::<Result<Vec<_>>>()?;
    let decisions =
        if subjects.is_empty() { Vec::new() } else { shop.recorder.of_subjects(&subjects, MAX_DECISIONS)? };
    Ok(json!({
        "request_id": id,
        "gathered_at": now.to_string(),
        "people": people,
        "events": if subjects.is_empty() { Vec::new() } else { events(shop, &subjects)? },
        "decisions": decisions.iter().map(decision_json).collect::<Vec<_>>(),
    }))
}

/// What stands under one pseudonym, with the newest `most` events and decisions. Whoever calls has noted the look.
pub(crate) fn of_one(shop: &Shop, subject: SubjectId, most: usize) -> Result<Value> {
    let mut held = person(shop, subject)?;
    let mut events = events(shop, &[subject])?;
    events.reverse();
    events.truncate(most);
    let decisions = shop.recorder.of_subjects(&[subject], most)?;
    held["events"] = events.into();
    held["decisions"] = decisions.iter().map(decision_json).collect::<Vec<_>>().into();
    Ok(held)
}

fn decision_json(record: &DecisionRecord) -> Value {
    json!({
        "decision_id": record.id,
        "at": record.situation.now.to_string(),
        "engine": record.engine,
        "subject_id": record.situation.subject,
        "granted": purpose_names(record.granted),
        "features": record.features,
        "model_version": record.model.map(|version| version.0),
    })
}

/// What stands under one pseudonym.
fn person(shop: &Shop, subject: SubjectId) -> Result<Value> {
    let names = shop.ingest.vault.export(subject)?;
    let consent = shop.ingest.consents.of(subject)?;
    let orders = shop.ingest.orders.of_subject(subject, MAX_ORDERS)?;
    Ok(json!({
        "subject_id": subject,
        "names": names.iter().map(|name| json!({ "kind": name.kind, "value": name.value })).collect::<Vec<_>>(),
        "consent": consent_json(consent),
        "orders": orders.into_iter().map(|stored| stored.order).collect::<Vec<_>>(),
        "features": shop.projection.features_for_the_person(&ConsentPolicy::for_the_person(subject), shop.clock.now()),
    }))
}

fn events(shop: &Shop, subjects: &[SubjectId]) -> Result<Vec<Value>> {
    let json = |event: &Event| -> Result<Value> {
        let mut value = serde_json::to_value(event)?;
        value["consent"] = consent_json(event.consent);
        value["occurred_at"] = event.occurred_at.to_string().into();
        value["received_at"] = event.received_at.to_string().into();
        Ok(value)
    };
    shop.store.log.of_subjects(subjects, None, MAX_EVENTS)?.iter().map(|(_, event)| json(event)).collect()
}

fn consent_json(stamp: ConsentStamp) -> Value {
    json!({
        "granted": purpose_names(stamp.granted),
        "denied": purpose_names(stamp.denied),
        "global_privacy_control": stamp.global_privacy_control,
    })
}

fn purpose_names(purposes: Purposes) -> Vec<&'static str> {
    Purposes::NAMES.iter().filter(|(purpose, _)| purposes.contains(*purpose)).map(|(_, name)| *name).collect()
}
