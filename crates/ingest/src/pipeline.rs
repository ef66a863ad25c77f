//! The way in: raw events and orders go through the vault, get their consent stamp and reach the log.
//!
//! What returns `Ok` is durable. `Busy` comes back to the caller, who tells the sender to try again; nothing is dropped.

use std::sync::Arc;

use compact_str::CompactString;
use merx_domain::{
    Event, EventKind, IdentityKind, Order, OrderId, Product, ProductId, StockLevel, SubjectId, TimestampMs,
};
use merx_store::{Appended, EventLog, Migration, Records, StoreError, Transaction};
use rustc_hash::FxHashMap;

use crate::catalogue::{Catalogue, Stock};
use crate::changes::Written;
use crate::consent::{Consents, Saying};
use crate::orders::{Orders, events_of};
use crate::privacy::{Reads, Requests};
use crate::raw::{Identities, ProductMention, RawEvent};
use crate::vault::{Resolved, Vault, VaultError};
use crate::{catalogue, changes, consent, orders, privacy, vault};

/// Every table of this crate.
pub const MIGRATIONS: &[Migration] = &[
    vault::MIGRATION,
    changes::MIGRATION,
    catalogue::MIGRATION,
    orders::MIGRATION,
    consent::MIGRATION,
    vault::ERASED_MIGRATION,
    privacy::REQUESTS_MIGRATION,
    privacy::READS_MIGRATION,
    privacy::CALLBACKS_MIGRATION,
    crate::import::MIGRATION,
];

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IngestError {
    /// How long a sender should wait, where waiting helps.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Store(StoreError::Busy { retry_after_ms, .. })
            | Self::Vault(VaultError::Store(StoreError::Busy { retry_after_ms, .. })) => Some(*retry_after_ms),
            _ => None,
        }
    }
}

type Result<T, E = IngestError> = std::result::Result<T, E>;

/// More statements for the transaction that writes the rows, told what becomes of each: an import's checkpoint. MAY run
/// again after a conflict.
pub type Alongside<'a> = &'a mut dyn FnMut(&mut dyn Transaction, &[Written]) -> Result<(), StoreError>;

/// An order and, in clear, the shop's id of its customer.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerOrder {
    pub customer: Option<CompactString>,
    /// The subject is found from `customer`; without one it stays as it is.
    pub order: Order,
}

pub struct Ingest {
    pub vault: Vault,
    pub catalogue: Catalogue,
    pub stock: Stock,
    pub orders: Orders,
    pub consents: Arc<Consents>,
    pub requests: Requests,
    pub reads: Reads,
    records: Arc<dyn Records>,
    log: Arc<dyn EventLog>,
}

impl Ingest {
    /// The migrations must have run on `records`.
    pub fn new(records: Arc<dyn Records>, log: Arc<dyn EventLog>, vault: Vault) -> Self {
        let prompt = Arc::clone(&records);
        Self::answering_promptly(records, prompt, log, vault)
    }

    /// `prompt`: the same records, for a decision, which would rather have no answer than wait.
    pub fn answering_promptly(
        records: Arc<dyn Records>,
        prompt: Arc<dyn Records>,
        log: Arc<dyn EventLog>,
        vault: Vault,
    ) -> Self {
        let consents = Arc::new(Consents::new(Arc::clone(&records), prompt));
        Self {
            vault: vault.joining_words(Arc::clone(&consents)),
            catalogue: Catalogue::new(Arc::clone(&records)),
            stock: Stock::new(Arc::clone(&records)),
            orders: Orders::new(Arc::clone(&records)),
            consents,
            requests: Requests::new(Arc::clone(&records)),
            reads: Reads::new(Arc::clone(&records)),
            records,
            log,
        }
    }

    /// Stores events; answers by position. A repeated event is a duplicate, and no second one is stored; so is one of
    /// somebody erased, told again.
    pub fn accept(&self, mut events: Vec<RawEvent>, at: TimestampMs) -> Result<Vec<Appended>> {
        let of_erased = |event: &RawEvent| self.vault.was_erased(&event.identities, event.draft().occurred_at);
        let erased: Vec<bool> = events.iter().map(of_erased).collect();
        if erased.contains(&true) {
            let mut dropped = erased.iter();
            events.retain(|_| !dropped.next().is_some_and(|dropped| *dropped));
            let mut appended = self.accept_all(events, at)?.into_iter();
            let mut answer = |dropped: &bool| if *dropped { None } else { appended.next() };
            return Ok(erased.iter().map(|dropped| answer(dropped).unwrap_or(Appended::Duplicate)).collect());
        }
        self.accept_all(events, at)
    }

    fn accept_all(&self, events: Vec<RawEvent>, at: TimestampMs) -> Result<Vec<Appended>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = Vec::with_capacity(events.len());
        let mut named = Vec::new();
        let mut mentions = Vec::new();
        let mut drafts = Vec::with_capacity(events.len());
        for raw in events {
            let vouched = raw.vouched();
            let (identities, mentioned, draft) = raw.into_parts();
            names.push(identities);
            named.extend(draft.lines.iter().map(|line| (line.product.clone(), vouched)));
            mentions.extend(mentioned.into_iter().map(|mention| (mention, vouched)));
            drafts.push(draft);
        }
        self.number_products(named, &mentions, at)?;
        let names: Vec<&Identities> = names.iter().collect();
        self.vault.with_subjects(&names, at, |resolved| {
            let events = drafts.into_iter().zip(resolved);
            let events = events.map(|(draft, resolved)| Event {
                subject: resolved.subject,
                merged_from: resolved.merged_from,
                ..draft
            });
            let appended = self.append(events.collect())?;
            let stored = appended.iter().map(|appended| *appended == Appended::Stored).collect();
            Ok((appended, stored))
        })
    }

    /// Puts orders; each replaces the one of its id. The log is told first: events have ids made from the order's, so a
    /// crash in between is mended by putting the order again.
    pub fn put_orders(
        &self,
        mut orders: Vec<CustomerOrder>,
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        orders.iter_mut().for_each(|order| self.leave_out_erased(order));
        let customers = orders.iter().filter_map(|order| order.customer.clone());
        let names: Vec<Identities> =
            customers.map(|id| Identities { user_id: Some(id), ..Identities::default() }).collect();
        let names: Vec<&Identities> = names.iter().collect();
        self.vault.with_subjects(&names, at, |resolved| {
            let mut merges: FxHashMap<SubjectId, SubjectId> = FxHashMap::default();
            let mut resolved_of_customers = resolved.iter();
            let mut of_subjects = Vec::with_capacity(orders.len());
            for CustomerOrder { customer, mut order } in orders {
                if let Some(Resolved { subject, merged_from }) = customer.and_then(|_| resolved_of_customers.next()) {
                    order.subject = Some(*subject);
                    merges.extend(merged_from.map(|absorbed| (*subject, absorbed)));
                }
                of_subjects.push(order);
            }
            let (written, told) = self.write_orders(&of_subjects, at, &mut merges, alongside)?;
            let told = resolved.iter().map(|resolved| told.contains(&resolved.subject)).collect();
            Ok((written, told))
        })
    }

    pub fn put_products(
        &self,
        products: &[Product],
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        self.records.transaction(&mut |transaction| {
            written = catalogue::put_in(transaction, products, at)?;
            alongside(transaction, &written)
        })?;
        Ok(written)
    }

    pub fn put_stock(&self, levels: &[StockLevel], alongside: Alongside<'_>) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        self.records.transaction(&mut |transaction| {
            written = catalogue::put_stock_in(transaction, levels)?;
            alongside(transaction, &written)
        })?;
        Ok(written)
    }

    /// From now on this process takes things in, where another did before: what that one wrote is read again.
    pub fn lead(&self) -> Result<()> {
        self.vault.reload()?;
        self.consents.follow(false);
        Ok(())
    }

    /// Another process takes things in: nothing that it may change is believed from memory.
    pub fn stand_back(&self) {
        self.consents.follow(true);
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.records
    }

    /// An order from before its customer was erased belongs to the books, and to nobody.
    fn leave_out_erased(&self, order: &mut CustomerOrder) {
        let Some(customer) = order.customer.clone() else { return };
        let names = Identities { user_id: Some(customer), ..Identities::default() };
        if self.vault.was_erased(&names, order.order.placed_at) {
            (order.customer, order.order.subject) = (None, None);
        }
    }

    /// Forgets a person: names and keys first, then what is under their pseudonyms. Returns these; features and files
    /// are for the caller to drop. May be repeated. What happened up to `until` is not taken again.
    pub fn forget(&self, subject: SubjectId, until: TimestampMs) -> Result<Vec<SubjectId>> {
        let pseudonyms = self.vault.erase(subject, until)?;
        self.log.erase(&pseudonyms)?;
        self.consents.forget(&pseudonyms)?;
        self.orders.forget(&pseudonyms)?;
        Ok(pseudonyms)
    }

    /// The subject of a customer, without making one.
    pub fn customer(&self, user_id: &str) -> Result<Option<SubjectId>> {
        Ok(self.vault.find(IdentityKind::UserId, user_id)?)
    }

    /// Returns what became of each order, and the subjects of which an event was stored.
    fn write_orders(
        &self,
        orders: &[Order],
        at: TimestampMs,
        merges: &mut FxHashMap<SubjectId, SubjectId>,
        alongside: Alongside<'_>,
    ) -> Result<(Vec<Written>, Vec<SubjectId>)> {
        let ids: Vec<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
        let standing = self.orders.get(&ids)?;
        let standing = standing.into_iter().flatten().map(|stored| (stored.order.id.clone(), stored.order));
        let mut standing: FxHashMap<OrderId, Order> = standing.collect();
        let mut written = Vec::with_capacity(orders.len());
        let mut changed: FxHashMap<&OrderId, &Order> = FxHashMap::default();
        let mut events = Vec::new();
        for order in orders {
            let before = standing.get(&order.id);
            if before == Some(order) {
                written.push(Written::Unchanged);
                continue;
            }
            written.push(if before.is_some() { Written::Updated } else { Written::Created });
            let mut told = events_of(order, before, at);
            if let Some(first) = told.first_mut() {
                first.merged_from = merges.remove(&first.subject);
            }
            events.extend(told);
            changed.insert(&order.id, order);
            standing.insert(order.id.clone(), order.clone());
        }
        let named = events.iter().flat_map(|event| &event.lines).map(|line| (line.product.clone(), true));
        self.number_products(named.collect(), &[], at)?;
        let subjects: Vec<SubjectId> = events.iter().map(|event| event.subject).collect();
        let appended = self.append(events)?;
        let stored = subjects.into_iter().zip(appended).filter(|(_, appended)| *appended == Appended::Stored);
        let mut changed: Vec<&Order> = changed.into_values().collect();
        changed.sort_by(|a, b| a.id.cmp(&b.id));
        self.records.transaction(&mut |transaction| {
            orders::put_in(transaction, &changed, at)?;
            alongside(transaction, &written)
        })?;
        Ok((written, stored.map(|(subject, _)| subject).collect()))
    }

    fn append(&self, mut events: Vec<Event>) -> Result<Vec<Appended>> {
        let sayings = events.iter_mut().map(|event| Saying {
            subject: event.subject,
            merged_from: event.merged_from,
            at: event.occurred_at,
            now: event.occurred_at >= event.received_at,
            expressly: event.kind == EventKind::ConsentUpdated,
            stamp: &mut event.consent,
        });
        self.consents.complete(sayings.collect())?;
        let merges = events.iter().filter_map(|event| Some((event.merged_from?, event.subject)));
        self.orders.move_subjects(&merges.collect::<Vec<_>>())?;
        Ok(self.log.append(events)?)
    }

    /// Sees to it that every product an event names has its number before the event can be read. `named`, `mentions`:
    /// with whether the shop vouches for the event; its word goes before that of any page.
    fn number_products(
        &self,
        mut named: Vec<(ProductId, bool)>,
        mentions: &[(ProductMention, bool)],
        at: TimestampMs,
    ) -> Result<()> {
        named.sort_unstable_by(|(a, a_vouched), (b, b_vouched)| a.cmp(b).then(b_vouched.cmp(a_vouched)));
        named.dedup_by(|(a, _), (b, _)| a == b);
        let (products, vouched): (Vec<ProductId>, Vec<bool>) = named.into_iter().unzip();
        let unlisted = |position: usize| {
            let (id, vouched) = (&products[position], vouched[position]);
            let mention = mentions.iter().find(|(mention, of)| *of == vouched && mention.product == *id);
            catalogue::unlisted(id, mention.map(|(mention, _)| mention.clone()), vouched, at)
        };
        self.catalogue.numbers(&products, unlisted, at)?;
        Ok(())
    }
}
