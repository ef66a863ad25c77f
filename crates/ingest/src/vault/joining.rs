//! The rules by which names become one person. No tables here: what is known comes in, what is to be written goes out.

use merx_domain::{Identity, IdentityKind, SubjectId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::seal::Key;
use super::{Entry, code};
use crate::raw::Identities;

/// The hashes that the names of one event are looked up by.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    pub(super) user: Option<u128>,
    pub(super) anonymous: Option<u128>,
    /// Of an alias: the previous id as a visitor's and as a customer's. `None` for an alias of an id to itself.
    pub(super) previous: Option<[u128; 2]>,
    pub(super) details: Vec<u128>,
}

impl Lookups {
    pub(super) fn of(names: &Identities, key: &Key) -> Self {
        let of = |kind: IdentityKind, value: &str| key.lookup(code(kind), value);
        let previous = names.previous_id.as_deref().filter(|previous| names.user_id.as_deref() != Some(previous));
        Self {
            user: names.user_id.as_deref().map(|value| of(IdentityKind::UserId, value)),
            anonymous: names.anonymous_id.as_deref().map(|value| of(IdentityKind::AnonymousId, value)),
            previous: previous.map(|value| [of(IdentityKind::AnonymousId, value), of(IdentityKind::UserId, value)]),
            details: names.details.iter().map(|detail| of(detail.kind, &detail.value)).collect(),
        }
    }

    pub(super) fn joining(&self) -> impl Iterator<Item = u128> {
        self.user.into_iter().chain(self.anonymous).chain(self.previous.into_iter().flatten())
    }
}

/// A name that gets a row.
#[derive(Debug)]
pub(super) struct NewIdentity<'n> {
    pub(super) lookup: u128,
    pub(super) kind: IdentityKind,
    pub(super) value: &'n str,
    pub(super) subject: SubjectId,
}

/// What a batch teaches: applied to the tables in one transaction.
#[derive(Debug)]
pub(super) struct Joining<'n> {
    entries: FxHashMap<u128, Entry>,
    /// Subjects absorbed within this batch.
    redirects: FxHashMap<SubjectId, SubjectId>,
    /// Subjects that had a user id before this batch.
    named_before: FxHashSet<SubjectId>,
    /// Subjects that have a user id since this batch.
    pub(super) named: FxHashSet<SubjectId>,
    pub(super) created: Vec<SubjectId>,
    pub(super) identities: Vec<NewIdentity<'n>>,
    pub(super) details: Vec<NewIdentity<'n>>,
    /// Absorbed and absorbing subject, in the order they happened.
    pub(super) merges: Vec<(SubjectId, SubjectId)>,
}

impl<'n> Joining<'n> {
    pub(super) fn new(entries: FxHashMap<u128, Entry>) -> Self {
        let named_before = entries.values().filter(|entry| entry.named).map(|entry| entry.subject).collect();
        Self {
            entries,
            named_before,
            redirects: FxHashMap::default(),
            named: FxHashSet::default(),
            created: Vec::new(),
            identities: Vec::new(),
            details: Vec::new(),
            merges: Vec::new(),
        }
    }

    /// The subject of one event; `new_subject` makes an id for somebody unheard of.
    pub(super) fn join<E>(
        &mut self,
        names: &'n Identities,
        lookups: &Lookups,
        mut new_subject: impl FnMut() -> Result<SubjectId, E>,
    ) -> Result<SubjectId, E> {
        let previous = lookups.previous.into_iter().flatten().find_map(|lookup| self.entry(lookup));
        let previous = previous.filter(|previous| names.joins_customers || !previous.named);
        let user = lookups.user.and_then(|lookup| self.entry(lookup));
        let anonymous = lookups.anonymous.and_then(|lookup| self.entry(lookup));
        // A customer's first sign-in goes on as the visitor they were, unless that visitor is a customer already.
        let visitor = anonymous.filter(|entry| lookups.user.is_none() || !entry.named);
        let known = user.or(previous).or(visitor);
        let subject = match known {
            Some(entry) => entry.subject,
            None => {
                let subject = new_subject()?;
                self.created.push(subject);
                subject
            }
        };
        self.attach(lookups.user, IdentityKind::UserId, names.user_id.as_deref(), subject);
        self.attach(lookups.anonymous, IdentityKind::AnonymousId, names.anonymous_id.as_deref(), subject);
        if let Some([as_visitor, _]) = lookups.previous {
            match previous {
                Some(previous) => self.absorb(previous.subject, subject),
                None => self.attach(Some(as_visitor), IdentityKind::AnonymousId, names.previous_id.as_deref(), subject),
            }
        }
        if let Some(visitor) = visitor {
            self.absorb(visitor.subject, subject);
        }
        let details = names.details.iter().zip(&lookups.details);
        self.details.extend(details.map(|(detail, &lookup)| detail_row(detail, lookup, subject)));
        Ok(subject)
    }

    /// The subject that this one is after the whole batch.
    pub(super) fn current(&self, mut subject: SubjectId) -> SubjectId {
        while let Some(&absorbing) = self.redirects.get(&subject) {
            subject = absorbing;
        }
        subject
    }

    /// What the names of the batch stand for now.
    pub(super) fn known(&self) -> impl Iterator<Item = (u128, Entry)> {
        self.entries.keys().filter_map(|&lookup| Some((lookup, self.entry(lookup)?)))
    }

    fn entry(&self, lookup: u128) -> Option<Entry> {
        let entry = self.entries.get(&lookup)?;
        let subject = self.current(entry.subject);
        Some(Entry { subject, named: entry.named || self.is_named(subject) })
    }

    pub(super) fn is_named(&self, subject: SubjectId) -> bool {
        self.named.contains(&subject) || self.named_before.contains(&subject)
    }

    fn attach(&mut self, lookup: Option<u128>, kind: IdentityKind, value: Option<&'n str>, subject: SubjectId) {
        let (Some(lookup), Some(value)) = (lookup, value) else { return };
        if self.entries.contains_key(&lookup) {
            return;
        }
        let named = kind == IdentityKind::UserId;
        if named {
            self.named.insert(subject);
        }
        self.entries.insert(lookup, Entry { subject, named });
        self.identities.push(NewIdentity { lookup, kind, value, subject });
    }

    fn absorb(&mut self, absorbed: SubjectId, subject: SubjectId) {
        let (absorbed, subject) = (self.current(absorbed), self.current(subject));
        if absorbed == subject {
            return;
        }
        if self.is_named(absorbed) {
            self.named.insert(subject);
        }
        self.redirects.insert(absorbed, subject);
        self.merges.push((absorbed, subject));
    }
}

fn detail_row(detail: &Identity, lookup: u128, subject: SubjectId) -> NewIdentity<'_> {
    NewIdentity { lookup, kind: detail.kind, value: &detail.value, subject }
}
