//! Follows the records of searches and the log of events.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use merx_decide::{DecisionRecord, PolicyBook, Recorder};
use merx_domain::search::{SearchAnswer, SearchAsk};
use merx_domain::{Clock, DecisionId, Event, EventKind, HOUR_MS, Purposes, SECOND_MS, SubjectId, TimestampMs};
use merx_store::{LogOffset, Records, Store, StoreError, Transaction, Value};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::spelling;
use super::sums::{Key, Sums};
use super::touches::{KEPT_MS, Touches};
use crate::background::Repeated;
use crate::projection::Projection;
use crate::shop::Shop;

pub(super) const SEARCH: &str = "search";
const FIRST: &str = "first search";
const BATCH: usize = 1_000;
const EVENTS: usize = 5_000;
const POLL: Duration = Duration::from_millis(500);
/// A decision is on record so long after its moment at the latest; what comes later is not counted.
pub(super) const RECORDED_AFTER_MS: i64 = 2 * SECOND_MS;
/// A search that another of the same shopper continues within this is no search of its own.
pub(super) const CONTINUED_MS: i64 = 30 * SECOND_MS;
const SWEPT_EVERY_MS: i64 = HOUR_MS;
const KEPT_DAYS: i32 = 400;
/// Shoppers whose last search is remembered.
const MOST_SHOPPERS: usize = 50_000;

/// A shopper's last search, until it is known whether another continues it.
struct Last {
    at: TimestampMs,
    key: Key,
    found_nothing: bool,
    refined: Vec<String>,
}

/// Bounded: the oldest are forgotten.
#[derive(Default)]
struct Lasts {
    of: FxHashMap<SubjectId, Last>,
    order: VecDeque<(SubjectId, TimestampMs)>,
}

impl Lasts {
    fn replace(&mut self, subject: SubjectId, last: Last) -> Option<Last> {
        self.order.push_back((subject, last.at));
        let before = self.of.insert(subject, last);
        while self.order.len() > MOST_SHOPPERS {
            let Some((oldest, at)) = self.order.pop_front() else { break };
            if self.of.get(&oldest).is_some_and(|known| known.at == at) {
                self.of.remove(&oldest);
            }
        }
        before
    }
}

/// Counts searches and what came of them.
pub(crate) struct SearchLog {
    records: Arc<dyn Records>,
    pub(super) store: Store,
    pub(super) recorder: Arc<Recorder>,
    pub(super) projection: Arc<Projection>,
    consent: PolicyBook,
    clock: Arc<dyn Clock>,
    following: Mutex<Following>,
}

#[derive(Default)]
struct Following {
    lasts: Lasts,
    swept_at: TimestampMs,
    /// No search is on record between the last one that was counted and this: other engines' records are looked at once.
    looked_through: Option<DecisionId>,
}

impl SearchLog {
    pub(crate) fn new(
        store: Store,
        recorder: Arc<Recorder>,
        projection: Arc<Projection>,
        consent: PolicyBook,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let records = Arc::clone(&store.records);
        Self { records, store, recorder, projection, consent, clock, following: Mutex::default() }
    }

    /// Brings the sums up to what is on record now.
    pub(crate) fn catch_up(&self) -> Result<()> {
        // Held throughout: one follower at a time.
        let mut following = self.following.lock();
        while self.follow_decisions(&mut following)? {}
        while self.follow_events()? {}
        let now = self.clock.now();
        if now.since(following.swept_at) >= SWEPT_EVERY_MS {
            self.sweep(now)?;
            following.swept_at = now;
        }
        Ok(())
    }

    /// Lets go of what is too old to be asked for.
    fn sweep(&self, now: TimestampMs) -> Result<(), StoreError> {
        let touched = Value::Integer(now.plus_ms(-KEPT_MS).0);
        let day = Value::Integer(i64::from(now.day() - KEPT_DAYS));
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM search_touches WHERE at_ms < $1", std::slice::from_ref(&touched))?;
            for table in ["search_days", "search_revenue", "search_refinements", "search_latencies"] {
                let sql = format!("DELETE FROM {table} WHERE day < $1");
                transaction.execute(&sql, std::slice::from_ref(&day))?;
            }
            Ok(())
        })
    }

    /// Whether there may be more.
    fn follow_decisions(&self, following: &mut Following) -> Result<bool> {
        let counted = self.place(SEARCH)?.and_then(|bytes| bytes.try_into().ok()).map(DecisionId::from_bytes);
        let after = counted.max(following.looked_through);
        let before = first_id(self.clock.now().plus_ms(-RECORDED_AFTER_MS));
        let page = self.recorder.page(SEARCH, after, before, BATCH)?;
        let Some(last) = page.last else {
            following.looked_through = after.max(Some(before));
            return Ok(false);
        };
        let mut sums = Sums::default();
        for record in page.records.iter().filter(|record| counts(record)) {
            self.add_search(&mut sums, &mut following.lasts, record);
        }
        let first = page.records.first().filter(|_| counted.is_none()).map(|record| record.situation.now);
        let written = self.records.transaction(&mut |transaction| {
            sums.write(transaction)?;
            if let Some(TimestampMs(first)) = first {
                set_place(transaction, FIRST, &first.to_be_bytes())?;
            }
            set_place(transaction, SEARCH, &last.to_bytes())
        });
        if written.is_err() {
            // The same records come again: they must not find themselves as what they continue.
            following.lasts = Lasts::default();
        }
        written?;
        Ok(true)
    }

    fn add_search(&self, sums: &mut Sums, lasts: &mut Lasts, record: &DecisionRecord) {
        let (Ok(ask), Ok(answer)) = (record.ask::<SearchAsk>(), record.answer::<SearchAnswer>()) else { return };
        let situation = &record.situation;
        let (day, market) = (situation.now.day(), situation.market.clone());
        sums.add_latency(day, record.latency_us);
        let query = spelling(&ask.query);
        // A later page belongs to its search; a category page is none.
        if ask.offset > 0 || query.is_empty() {
            return;
        }
        let found_nothing = answer.total == 0;
        let refined: Vec<String> = ask.refinements.iter().map(|refinement| refinement.field.clone()).collect();
        let key = Key { day, market, query };
        let counts = sums.of(&key);
        counts.searches += 1;
        counts.without_results += i64::from(found_nothing);
        let last = Last { at: situation.now, key: key.clone(), found_nothing, refined: refined.clone() };
        let before = situation.subject.and_then(|subject| lasts.replace(subject, last));
        let continued = before.filter(|before| {
            (0..=CONTINUED_MS).contains(&situation.now.since(before.at))
                && (key.query.starts_with(&before.key.query) || before.key.query.starts_with(&key.query))
        });
        let known = continued.as_ref().map_or(&[][..], |before| &before.refined);
        for field in refined.iter().filter(|field| !known.contains(field)) {
            let category = ask.category.clone().unwrap_or_default();
            *sums.refinements.entry((day, key.market.clone(), category, field.clone())).or_default() += 1;
        }
        if let Some(before) = continued {
            let counts = sums.of(&before.key);
            counts.searches -= 1;
            counts.without_results -= i64::from(before.found_nothing);
        }
    }

    fn follow_events(&self) -> Result<bool> {
        const READER: &str = "search events";
        let after = self.place(READER)?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes).map(LogOffset);
        let page = self.store.log.read(after, EVENTS).context("reading the log")?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        let events: Vec<&Event> = page.iter().map(|(_, event)| event).filter(|event| self.may_count(event)).collect();
        let named: BTreeSet<DecisionId> = events.iter().filter_map(|event| event.decision).collect();
        let named: Vec<DecisionId> = named.into_iter().collect();
        let decisions = self.recorder.several(&named)?.into_iter().filter(|record| record.engine == SEARCH);
        let decisions: FxHashMap<DecisionId, DecisionRecord> = decisions.map(|record| (record.id, record)).collect();
        let first = self.first_search()?;
        let number = |id: &merx_domain::ProductId| self.projection.number(id);
        self.records.transaction(&mut |transaction| {
            let mut sums = Sums::default();
            let mut touches = Touches { transaction, sums: &mut sums, decisions: &decisions, number: &number };
            for event in &events {
                match (event.kind, &event.query) {
                    (EventKind::ProductsSearched, Some(query))
                        if first.is_none_or(|first| event.occurred_at < first) =>
                    {
                        let (day, market) = (event.occurred_at.day(), event.context.market.clone());
                        touches.sums.of(&Key { day, market, query: spelling(query) }).tracked += 1;
                    }
                    _ => touches.add(event)?,
                }
            }
            sums.write(transaction)?;
            set_place(transaction, READER, &last.0.to_be_bytes())
        })?;
        Ok(true)
    }

    /// When Merx answered its first search. What shops tell of searches before is learnt from their events, later ones from their decisions.
    pub(crate) fn first_search(&self) -> Result<Option<TimestampMs>, StoreError> {
        let bytes = self.place(FIRST)?.and_then(|bytes| bytes.try_into().ok());
        Ok(bytes.map(i64::from_be_bytes).map(TimestampMs))
    }

    pub(super) fn may_count(&self, event: &Event) -> bool {
        self.consent.check_in(event.subject, &event.context.market, event.consent).allows(Purposes::ANALYTICS)
    }

    fn place(&self, reader: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.records.query("SELECT place FROM search_readers WHERE name = $1", &[super::text(reader)])?;
        Ok(rows.into_iter().next().and_then(|row| match row.0.into_iter().next() {
            Some(Value::Bytes(place)) => Some(place),
            _ => None,
        }))
    }
}

/// Of a visitor without any id nothing is known that could be refused.
pub(super) fn counts(record: &DecisionRecord) -> bool {
    record.situation.subject.is_none() || record.granted.contains(Purposes::ANALYTICS)
}

/// Ids begin with their time.
pub(super) fn first_id(at: TimestampMs) -> DecisionId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
    DecisionId::from_bytes(bytes)
}

fn set_place(transaction: &mut dyn Transaction, reader: &str, place: &[u8]) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO search_readers (name, place) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET place = $2",
        &[super::text(reader), Value::Bytes(place.to_vec())],
    )?;
    Ok(())
}

/// Keeps the sums current where this process leads.
pub(crate) fn follow(shop: Arc<Shop>) -> Result<Repeated> {
    Repeated::start("search-log", POLL, move |_| if shop.leads() { shop.search_log.catch_up() } else { Ok(()) })
}
