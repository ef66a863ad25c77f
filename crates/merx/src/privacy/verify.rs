//! Is anything left? Needles of several requests, looked for together.

use std::collections::BTreeMap;

use anyhow::Result;
use merx_domain::IdentityKind;
use merx_ingest::privacy::{NameFormat, Notes};
use merx_store::StoreError;
use merx_store::scan::{Finding, Needle, Scanned, scan};
use serde::Serialize;

use crate::jobs::{Say, Step};
use crate::shop::Shop;

/// What was looked for and through, and what was found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Verification {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// Needles looked for in every byte.
    pub(super) looked_for: Vec<String>,
    /// Too short for that: compared with whole values that senders gave.
    pub(super) compared_with_values: Vec<String>,
    /// Services that keep data outside the folder: what was removed there was removed by their own means, and their bytes
    /// were not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_searched: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

pub(super) struct Found(BTreeMap<String, Verification>);

impl Found {
    pub(super) fn is_clean(&self) -> bool {
        self.0.values().all(|verification| verification.findings.is_empty())
    }

    pub(super) fn of(&self, request: &str) -> Verification {
        self.0.get(request).cloned().unwrap_or_default()
    }
}

/// Looks through the data folder, what is in memory, and `privacy.also_scan`.
pub(super) fn look(shop: &Shop, requests: &[(String, Notes)], say: Say) -> Result<Found> {
    let mut needles = Vec::new();
    // Of each needle its request and its label there; the search knows it by its number.
    let mut owners = Vec::new();
    for (request, notes) in requests {
        for (label, needle) in needles_of(notes) {
            needles.push(needle.labelled(owners.len().to_string()));
            owners.push((request.clone(), label));
        }
    }
    let mut step = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        say(Step::new(format!("looking through {name}")))
            .map_err(|error| StoreError::Unavailable { what: "search", detail: format!("{error:#}") })
    };
    let scanned = scan(&shop.config.data.folder, &shop.config.privacy.also_scan, &needles, &mut step)?;
    let mut found = BTreeMap::new();
    for (request, notes) in requests {
        found.insert(request.clone(), verification(shop, notes, &scanned)?);
    }
    for finding in scanned.findings {
        let Some((request, label)) = finding.needle.parse::<usize>().ok().and_then(|number| owners.get(number)) else {
            continue;
        };
        if let Some(verification) = found.get_mut(request) {
            verification.findings.push(Finding { needle: label.clone(), ..finding });
        }
    }
    Ok(Found(found))
}

fn verification(shop: &Shop, notes: &Notes, scanned: &Scanned) -> Result<Verification> {
    let mut verification =
        Verification { files: scanned.files, bytes: scanned.bytes, rows: scanned.rows, ..Default::default() };
    let services = shop.config.storage.services();
    verification.not_searched = services.iter().map(|(port, address)| format!("{port}: {address}")).collect();
    for (label, needle) in needles_of(notes) {
        if needle.is_short() { &mut verification.compared_with_values } else { &mut verification.looked_for }
            .push(label);
    }
    for (number, subject) in notes.subject_ids().into_iter().enumerate() {
        if shop.projection.knows(subject)? {
            let needle = format!("pseudonym {}", number + 1);
            verification.findings.push(Finding { needle, place: "features in memory".to_owned(), count: 1 });
        }
    }
    Ok(verification)
}

/// Pseudonyms, and names as they were asked for and as the vault had them.
fn needles_of(notes: &Notes) -> Vec<(String, Needle)> {
    let mut needles = Vec::new();
    for (number, subject) in notes.subject_ids().into_iter().enumerate() {
        let label = format!("pseudonym {}", number + 1);
        needles.push((label.clone(), Needle::subject(label, subject)));
    }
    let mut names: Vec<(IdentityKind, &str)> = Vec::new();
    let written = notes.asked.iter().filter(|name| name.format == NameFormat::Raw).chain(&notes.names);
    for name in written {
        if !names.contains(&(name.kind, name.value.as_str())) {
            names.push((name.kind, &name.value));
        }
    }
    let mut counts: BTreeMap<IdentityKind, usize> = BTreeMap::new();
    for (kind, value) in names {
        let count = counts.entry(kind).or_default();
        *count += 1;
        let label = format!("{} {count}", kind_name(kind));
        needles.push((label.clone(), Needle::name(label, value)));
    }
    needles
}

fn kind_name(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::UserId => "user id",
        IdentityKind::AnonymousId => "anonymous id",
        IdentityKind::Email => "mail address",
        IdentityKind::Phone => "phone",
        IdentityKind::Name => "name",
        IdentityKind::Address => "address",
    }
}

/// What a request that is done still knows: pseudonyms, so that the proof can be made again; no name.
pub(super) fn proof_notes(notes: &Notes) -> Notes {
    Notes { subjects: notes.subjects.clone(), ..Notes::default() }
}
