//! What follows the log and the records: features in the online store, the catalogue in memory.

pub(crate) mod dead_letters;
mod drafts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use compact_str::CompactString;
use merx_decide::{Catalogue, CatalogueEntry, FeatureSource};
use merx_domain::experiment::ExperimentId;
use merx_domain::{
    ConsentStamp, Event, Grant, ProductId, ProductNumber, Purposes, SubjectFeatures, SubjectId, TimestampMs, VariantId,
};
use merx_features::FeatureStore;
use merx_ingest::{ChangeNumber, Ingest};
use merx_serve::AppliedAgain;
use merx_store::{LogOffset, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::background::Repeated;
use crate::directory::Directory;
use crate::lead::{Lead, Touch};
use crate::shop::Shop;
use dead_letters::{DeadLetters, is_of_the_event};
use drafts::Drafts;

/// How long a change of the catalogue may go unseen.
const POLL_MS: u64 = 200;
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const BATCH: usize = 5_000;
/// Where other processes read how far the one is that applies events.
const READER: &str = "projection";
/// Events between snapshots where several processes share the store: a snapshot costs nothing there, and who takes over has
/// as much to apply again.
const SHARED_SNAPSHOT_EVENTS: u64 = 20_000;
/// Events between snapshots of the online store: what a restart replays at most, but for the last stop.
const SNAPSHOT_EVENTS: u64 = 500_000;

/// The state that decisions read, and how far it has come.
pub(crate) struct Projection {
    store: Store,
    ingest: Arc<Ingest>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) directory: RwLock<Directory>,
    pub(crate) features: FeatureStore,
    /// What the event that is applied changes.
    drafts: Arc<Drafts>,
    writing: FeatureStore,
    /// The last event whose changes are drafted; 0: none is.
    drafted: AtomicU64,
    pub(crate) dead_letters: DeadLetters,
    /// The place of an event that was set aside, while what it changes is brought to the store.
    applied_again: Mutex<Option<LogOffset>>,
    seen: Mutex<Seen>,
    /// Offset of the last event whose features are written by this process; 0 before the first.
    applied: AtomicU64,
    /// Several processes may serve the shop: one of them applies events, and tells the others how far it is.
    touch: Option<Arc<Touch>>,
    /// Whether that is this one.
    applies: AtomicBool,
    told: AtomicU64,
}

#[derive(Default)]
struct Seen {
    products: ChangeNumber,
    stock: ChangeNumber,
    /// Units per product, variant by location summed; what a stock change replaces.
    levels: FxHashMap<ProductId, FxHashMap<(VariantId, merx_domain::LocationId), i64>>,
}

impl Projection {
    /// `remote`: the online store is a service, which may fail in the middle of an event.
    pub(crate) fn new(
        store: Store,
        ingest: Arc<Ingest>,
        touch: Option<Arc<Touch>>,
        remote: bool,
        dead_letters: DeadLetters,
    ) -> Self {
        let features = FeatureStore::new(Arc::clone(&store.online));
        let drafts = Arc::new(Drafts::over(Arc::clone(&store.online)));
        let restored = store.online.restored_at().map_or(0, |offset| offset.0);
        let writing = FeatureStore::new(if remote { Arc::clone(&drafts) as _ } else { Arc::clone(&store.online) });
        Self {
            store,
            ingest,
            catalogue: Arc::default(),
            directory: RwLock::default(),
            features,
            writing,
            drafts,
            drafted: AtomicU64::new(0),
            dead_letters,
            applied_again: Mutex::default(),
            seen: Mutex::default(),
            applied: AtomicU64::new(restored),
            applies: AtomicBool::new(touch.is_none()),
            touch,
            told: AtomicU64::new(0),
        }
    }

    /// From now on this process applies events, from the online store's last snapshot on.
    pub(crate) fn take_over(&self) -> Result<()> {
        {
            let _held = self.seen.lock();
            let at = self.store.online.lead()?;
            self.discard();
            self.dead_letters.reload();
            self.applied.store(at.map_or(0, |offset| offset.0), Ordering::Relaxed);
            self.applies.store(true, Ordering::Release);
        }
        self.catch_up().context("bringing features up to the log")?;
        self.tell()
    }

    /// Whether this process holds in memory, for it leads, what another may have changed by now, for it may lead.
    pub(crate) fn may_be_outdated(&self) -> bool {
        self.applies() && self.touch.as_ref().is_some_and(|touch| touch.is_lost())
    }

    pub(crate) fn applies(&self) -> bool {
        self.applies.load(Ordering::Acquire)
    }

    /// Another process applies events from now on.
    pub(crate) fn stand_back(&self) {
        self.applies.store(false, Ordering::Release);
    }

    /// Tells other processes how far this one is.
    fn tell(&self) -> Result<()> {
        let Some(at) =
            self.applied().filter(|at| self.touch.is_some() && self.told.swap(at.0, Ordering::Relaxed) != at.0)
        else {
            return Ok(());
        };
        Ok(self.store.log.commit(READER, at)?)
    }

    /// Brings catalogue and features up to everything that is durable now.
    pub(crate) fn catch_up(&self) -> Result<u64> {
        let mut applied = 0;
        loop {
            match self.apply_batch()? {
                0 => return Ok(applied),
                count => applied += count,
            }
        }
    }

    /// Events in the log that are not applied yet, at most.
    pub(crate) fn lag(&self) -> u64 {
        let end = self.store.log.end().ok().flatten().map_or(0, |offset| offset.0);
        let applied = match self.applies.load(Ordering::Acquire) {
            true => self.applied.load(Ordering::Relaxed),
            false => self.store.log.checkpoint(READER).ok().flatten().map_or(0, |offset| offset.0),
        };
        end.saturating_sub(applied)
    }

    pub(crate) fn applied(&self) -> Option<LogOffset> {
        match self.applied.load(Ordering::Relaxed) {
            0 => None,
            offset => Some(LogOffset(offset)),
        }
    }

    pub(crate) fn snapshot(&self) -> Result<()> {
        // Nothing may be applied between reading the offset and writing the state.
        let _held = self.seen.lock();
        if !self.applies() {
            return Ok(());
        }
        self.settle()?;
        if let Some(at) = self.applied() {
            self.store.online.snapshot(at).context("online snapshot")?;
        }
        Ok(())
    }

    pub(crate) fn follow_catalogue(&self) -> Result<()> {
        self.follow_catalogue_in(&mut self.seen.lock())
    }

    fn follow_catalogue_in(&self, seen: &mut Seen) -> Result<()> {
        loop {
            let changed = self.ingest.catalogue.changed_since(seen.products, BATCH)?;
            let Some(last) = changed.last() else { break };
            seen.products = last.change;
            let mut directory = self.directory.write();
            changed.iter().for_each(|stored| directory.put(stored.number, &stored.product));
            // A decision reads the catalogue first and the directory then: never hold both the other way round.
            drop(directory);
            let entries = changed.iter().map(|stored| {
                let stock = seen.levels.get(&stored.product.id).map(total);
                (stored.number, CatalogueEntry::new(&stored.product, stock))
            });
            self.catalogue.put_all(entries);
        }
        loop {
            let changed = self.ingest.stock.changed_since(seen.stock, BATCH)?;
            let Some(last) = changed.last() else { return Ok(()) };
            seen.stock = last.change;
            for change in changed {
                let place = (change.level.variant, change.level.location);
                let levels = seen.levels.entry(change.level.product.clone()).or_default();
                if change.removed {
                    levels.remove(&place);
                } else {
                    levels.insert(place, change.level.quantity);
                }
                let number = self.number(&change.level.product);
                if let Some(number) = number {
                    let stock = if levels.is_empty() { None } else { Some(total(levels)) };
                    self.catalogue.set_stock(number, stock);
                }
            }
        }
    }

    fn apply_batch(&self) -> Result<u64> {
        let mut seen = self.seen.lock();
        if !self.applies() {
            self.follow_catalogue_in(&mut seen)?;
            return Ok(0);
        }
        self.settle()?;
        let events = self.store.log.read(self.applied(), BATCH)?;
        // A product's events come after its number is on record: following the catalogue once they were read loses none. Before,
        // it would lose those that came in between.
        self.follow_catalogue_in(&mut seen)?;
        let directory = self.directory.read();
        for (offset, event) in &events {
            match self.writing.apply(event, &*directory) {
                // It could not before: the log is gone through anew, and why it could not is mended.
                Ok(()) if self.dead_letters.has(*offset)? => drop(self.dead_letters.remove(offset.0)?),
                Ok(()) => {}
                Err(error) => {
                    self.discard();
                    if !is_of_the_event(&error) {
                        return Err(error.into());
                    }
                    self.dead_letters.put(*offset, event, error)?;
                }
            }
            self.drafted.store(offset.0, Ordering::Relaxed);
            self.settle()?;
        }
        Ok(events.len() as u64)
    }

    /// Brings to the store what an event changes, also one whose changes were under way when the store failed.
    fn settle(&self) -> Result<(), StoreError> {
        self.drafts.settle()?;
        match self.drafted.swap(0, Ordering::Relaxed) {
            0 => {}
            offset => self.applied.store(offset, Ordering::Relaxed),
        }
        let mut again = self.applied_again.lock();
        if let Some(place) = *again {
            self.dead_letters.remove(place.0)?;
            *again = None;
        }
        Ok(())
    }

    fn discard(&self) {
        self.drafts.discard();
        self.drafted.store(0, Ordering::Relaxed);
        *self.applied_again.lock() = None;
    }

    /// Applies an event that was set aside.
    pub(crate) fn apply_again(&self, place: LogOffset) -> Result<AppliedAgain, StoreError> {
        let _held = self.seen.lock();
        let busy = StoreError::Busy { what: "features", retry_after_ms: 1_000 };
        // Where the log is gone through anew, its turn comes by itself.
        if !self.applies() || self.applied().is_none_or(|applied| applied < place) {
            return Err(busy);
        }
        self.settle()?;
        if !self.dead_letters.has(place)? {
            return Ok(AppliedAgain::Unknown);
        }
        let Some(event) = self.event_at(place)? else {
            self.dead_letters.remove(place.0)?;
            return Ok(AppliedAgain::Gone);
        };
        if let Err(error) = self.writing.apply(&event, &*self.directory.read()) {
            self.discard();
            let detail = error.to_string();
            if is_of_the_event(&error) {
                self.dead_letters.put(place, &event, error)?;
            }
            return Ok(AppliedAgain::Refused(detail));
        }
        // Should the store fail now, the next round brings the rest, and takes the letter away.
        *self.applied_again.lock() = Some(place);
        self.drafts.settle()?;
        // Whoever takes over begins from the last snapshot: what it doesn't hold would be lost with the letter.
        if let Some(at) = self.applied() {
            self.store.online.snapshot(at)?;
        }
        self.settle()?;
        Ok(AppliedAgain::Done)
    }

    fn event_at(&self, place: LogOffset) -> Result<Option<Event>, StoreError> {
        let before = place.0.checked_sub(1).filter(|before| *before > 0).map(LogOffset);
        let mut events = self.store.log.read(before, 1)?;
        Ok(events.pop().filter(|(at, _)| *at == place).map(|(_, event)| event))
    }

    /// Units over all variants and locations; `None`: not tracked.
    pub(crate) fn stock_of(&self, id: &ProductId) -> Option<i64> {
        self.seen.lock().levels.get(id).filter(|levels| !levels.is_empty()).map(total)
    }

    /// The last change of stock that [`Self::stock_of`] knows.
    pub(crate) fn stock_seen(&self) -> ChangeNumber {
        self.seen.lock().stock
    }

    /// Drops what is known of these subjects, also from the snapshot on disk. The log must have forgotten them before, so
    /// that no batch under way brings them back.
    pub(crate) fn forget(&self, subjects: &[SubjectId]) -> Result<()> {
        {
            let _held = self.seen.lock();
            self.settle()?;
            subjects.iter().try_for_each(|subject| self.features.forget(*subject))?;
            for place in self.dead_letters.places()? {
                if self.event_at(LogOffset(place))?.is_none() {
                    self.dead_letters.remove(place)?;
                }
            }
        }
        self.snapshot()
    }

    pub(crate) fn knows(&self, subject: SubjectId) -> Result<bool> {
        Ok(self.features.knows(subject)?)
    }

    /// What was derived of a person, for them to see.
    pub(crate) fn features_for_the_person(&self, grant: &Grant, now: TimestampMs) -> SubjectFeatures {
        self.subject_features(grant, now)
    }

    /// What a person searched for, newest first.
    pub(crate) fn searches(&self, grant: &Grant) -> Vec<CompactString> {
        self.features.searches(grant).unwrap_or_else(|error| {
            tracing::warn!(%error, "searches could not be read; suggestions are not personal");
            Vec::new()
        })
    }

    pub(crate) fn number(&self, id: &ProductId) -> Option<ProductNumber> {
        self.directory.read().number(id)
    }
}

fn total(levels: &FxHashMap<(VariantId, merx_domain::LocationId), i64>) -> i64 {
    // Shops say "more than enough" with the largest number there is.
    levels.values().fold(0, |sum: i64, quantity| sum.saturating_add(*quantity))
}

impl FeatureSource for Projection {
    fn consent(&self, subject: SubjectId) -> ConsentStamp {
        let refused = ConsentStamp { denied: Purposes::all() - Purposes::NECESSARY, ..ConsentStamp::default() };
        if self.may_be_outdated() {
            return refused;
        }
        // A refusal that can't be read must not count as silence.
        self.ingest.consents.of(subject).unwrap_or_else(|error| {
            tracing::error!(%error, "consent could not be read; it counts as refused");
            refused
        })
    }

    fn subject_features(&self, grant: &Grant, now: TimestampMs) -> SubjectFeatures {
        let directory = self.directory.read();
        self.features.subject(grant, now, &*directory).unwrap_or_else(|error| {
            tracing::warn!(%error, "features could not be read; the answer is not personal");
            SubjectFeatures::default()
        })
    }

    fn shown_arms(&self, grant: &Grant) -> Vec<(ExperimentId, CompactString)> {
        self.features.arms(grant).unwrap_or_else(|error| {
            tracing::warn!(%error, "shown arms could not be read; lots alone decide");
            Vec::new()
        })
    }
}

/// One round of keeping the projection current: the catalogue in every process, features where it leads.
pub(crate) struct Round {
    since_snapshot: u64,
    /// Events between snapshots.
    most: u64,
}

impl Round {
    pub(crate) fn new(most: u64) -> Self {
        Self { since_snapshot: 0, most }
    }

    pub(crate) fn go(&mut self, projection: &Projection) -> Result<()> {
        // Nothing may be left to write, and something to read again.
        projection.store.online.still_leads()?;
        self.since_snapshot += projection.catch_up()?;
        projection.tell()?;
        if self.since_snapshot >= self.most {
            self.since_snapshot = 0;
            projection.snapshot().context("online snapshot")?;
        }
        Ok(())
    }
}

/// After a round that failed.
pub(crate) fn recover(projection: &Projection, lead: Option<&Lead>, error: anyhow::Error) -> Result<()> {
    // The store lost its memory, or another process leads: the log has what it held.
    let lost = matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Conflict { .. }));
    match lead {
        Some(lead) if lost && lead.still_leads() => projection.take_over(),
        _ => Err(error),
    }
}

/// Keeps the projection current.
pub(crate) fn follow(shop: Arc<Shop>) -> Result<Repeated> {
    let mut round = Round::new(if shop.lead.is_some() { SHARED_SNAPSHOT_EVENTS } else { SNAPSHOT_EVENTS });
    Repeated::start("projection", Duration::ZERO, move |_| {
        let projection = &shop.projection;
        if !projection.applies() {
            std::thread::sleep(Duration::from_millis(POLL_MS));
            return projection.follow_catalogue();
        }
        if let Err(error) = round.go(projection) {
            std::thread::sleep(AFTER_FAILURE);
            return recover(projection, shop.lead.as_ref(), error);
        }
        projection.store.log.wait_beyond(projection.applied(), POLL_MS)?;
        Ok(())
    })
}
