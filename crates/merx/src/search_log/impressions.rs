//! What ranking learns from: lists as they were shown for a query, and what was clicked in them.
//!
//! From the day on which Merx answers searches, from its decisions and the events that name them; before, from what the shop told of its own
//! search: a query, the list that followed, the clicks in that list.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result};
use merx_discovery::search::clicks::Impression;
use merx_domain::search::{SearchAnswer, SearchAsk};
use merx_domain::{
    DecisionId, Event, EventKind, EventMeaning, MINUTE_MS, ProductId, ProductNumber, SubjectId, TimestampMs,
};
use merx_store::LogOffset;
use rustc_hash::FxHashMap;

use super::follow::{CONTINUED_MS, RECORDED_AFTER_MS, SEARCH, SearchLog, counts, first_id};
use super::spelling;
use crate::jobs::{Say, Step};

const PAGE: usize = 10_000;
/// Of more the newest are learnt from.
const MOST_IMPRESSIONS: usize = 400_000;
/// A list that follows a query later is another list.
const SHOWN_WITHIN_MS: i64 = MINUTE_MS;
const CLICKED_WITHIN_MS: i64 = 30 * MINUTE_MS;
/// Shoppers whose list is open at once.
const MOST_OPEN: usize = 200_000;
/// Decisions of all engines whose outcomes are kept while the log is read.
const MOST_CLICKED: usize = 2_000_000;
/// Deeper lists are looked through by machines.
const MOST_SHOWN: usize = 200;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: TimestampMs,
    pub(crate) until: TimestampMs,
}

/// In the order of time.
pub(crate) fn impressions(log: &SearchLog, window: Window, say: Say) -> Result<Vec<(TimestampMs, Impression)>> {
    let first = log.first_search()?;
    // Asked anew each time: held for so long, the directory would keep the catalogue from changing.
    let number = |id: &ProductId| log.projection.number(id);
    let mut told = Told { number: &number, of: FxHashMap::default(), found: Newest::default() };
    // Ids begin with their time: the oldest go first where there are too many.
    let mut clicks: BTreeMap<DecisionId, Vec<ProductNumber>> = BTreeMap::new();
    let end = log.store.log.end()?.map_or(0, |end| end.0);
    let mut after: Option<LogOffset> = None;
    loop {
        say(Step::part("reading searches in the log", after.map_or(0, |offset| offset.0), end))?;
        let page = log.store.log.read(after, PAGE).context("reading the log")?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let within = |event: &Event| event.occurred_at >= window.from && event.occurred_at <= window.until;
        for event in page.iter().map(|(_, event)| event).filter(|event| within(event) && log.may_count(event)) {
            match event.decision {
                Some(decision) if says_wanted(event) => {
                    clicks
                        .entry(decision)
                        .or_default()
                        .extend(event.lines.iter().filter_map(|line| number(&line.product)));
                    if clicks.len() > MOST_CLICKED {
                        clicks.pop_first();
                    }
                }
                None if first.is_none_or(|first| event.occurred_at < first) => told.add(event),
                _ => {}
            }
        }
    }
    let mut found: Vec<(TimestampMs, Impression)> = told.finish();
    found.extend(decided(log, window, &clicks, say)?);
    found.sort_by_key(|(at, _)| *at);
    let too_many = found.len().saturating_sub(MOST_IMPRESSIONS);
    Ok(found.split_off(too_many))
}

fn says_wanted(event: &Event) -> bool {
    matches!(event.kind.meaning(), EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased)
}

/// Keeps the newest.
#[derive(Default)]
struct Newest {
    kept: VecDeque<Option<(TimestampMs, Impression)>>,
    dropped: usize,
}

impl Newest {
    /// A number to take it back by.
    fn push(&mut self, at: TimestampMs, impression: Impression) -> usize {
        self.kept.push_back(Some((at, impression)));
        if self.kept.len() > MOST_IMPRESSIONS {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.dropped + self.kept.len() - 1
    }

    /// Takes one back, unless something was clicked in it.
    fn take_back(&mut self, number: usize) {
        let Some(place) = number.checked_sub(self.dropped) else { return };
        if let Some(kept) = self.kept.get_mut(place)
            && kept.as_ref().is_some_and(|(_, impression)| !impression.clicked.contains(&true))
        {
            *kept = None;
        }
    }

    fn finish(self) -> Vec<(TimestampMs, Impression)> {
        self.kept.into_iter().flatten().collect()
    }
}

/// From decisions. A search that the same shopper continues at once, without a click, was only typed through.
fn decided(
    log: &SearchLog,
    window: Window,
    clicks: &BTreeMap<DecisionId, Vec<ProductNumber>>,
    say: Say,
) -> Result<Vec<(TimestampMs, Impression)>> {
    let mut found = Newest::default();
    let mut lasts: FxHashMap<SubjectId, (TimestampMs, String, usize)> = FxHashMap::default();
    let before = first_id(window.until.plus_ms(-RECORDED_AFTER_MS));
    let mut after = Some(first_id(window.from));
    let mut read = 0;
    loop {
        say(Step::new(format!("reading searches: {read}")))?;
        let page = log.recorder.page(SEARCH, after, before, PAGE)?;
        let Some(last) = page.last else { return Ok(found.finish()) };
        after = Some(last);
        read += page.records.len();
        for record in page.records.iter().filter(|record| counts(record)) {
            let (Ok(ask), Ok(answer)) = (record.ask::<SearchAsk>(), record.answer::<SearchAnswer>()) else { continue };
            let query = spelling(&ask.query);
            // What stands in for hits says nothing about the query.
            if query.is_empty() || answer.total == 0 {
                continue;
            }
            let clicked = clicks.get(&record.id).map_or(&[][..], Vec::as_slice);
            let shown: Vec<ProductNumber> = answer.hits.iter().take(MOST_SHOWN).map(|hit| hit.product).collect();
            let clicked = shown.iter().map(|product| clicked.contains(product)).collect();
            let at = record.situation.now;
            let impression = Impression { query: query.clone(), first_place: ask.offset, shown, clicked };
            let number = found.push(at, impression);
            if let (Some(subject), 0) = (record.situation.subject, ask.offset) {
                if lasts.len() >= MOST_OPEN {
                    lasts.clear();
                }
                if let Some((then, typed, earlier)) = lasts.insert(subject, (at, query.clone(), number))
                    && at.since(then) <= CONTINUED_MS
                    && query.starts_with(&typed)
                {
                    found.take_back(earlier);
                }
            }
        }
    }
}

/// Lists that the shop told of.
struct Told<'a> {
    number: &'a dyn Fn(&ProductId) -> Option<ProductNumber>,
    of: FxHashMap<SubjectId, Open>,
    found: Newest,
}

/// A shopper's last query, and the list that followed.
struct Open {
    at: TimestampMs,
    list: Option<compact_str::CompactString>,
    impression: Impression,
}

impl Told<'_> {
    fn add(&mut self, event: &Event) {
        match event.kind {
            EventKind::ProductsSearched => self.search(event),
            EventKind::ProductListViewed => self.show(event),
            EventKind::ProductClicked => self.click(event),
            _ => {}
        }
    }

    fn search(&mut self, event: &Event) {
        let query = event.query.as_deref().map(spelling).unwrap_or_default();
        if self.of.len() >= MOST_OPEN {
            let open: Vec<Open> = self.of.drain().map(|(_, open)| open).collect();
            open.into_iter().for_each(|open| self.close(open));
        }
        let impression = Impression { query, first_place: 0, shown: Vec::new(), clicked: Vec::new() };
        let open = Open { at: event.occurred_at, list: None, impression };
        if let Some(before) = self.of.insert(event.subject, open) {
            self.close(before);
        }
    }

    /// The first list after a query is its list.
    fn show(&mut self, event: &Event) {
        let Some(open) = self.of.get_mut(&event.subject) else { return };
        let is_answer = open.impression.shown.is_empty() && event.occurred_at.since(open.at) <= SHOWN_WITHIN_MS;
        if is_answer {
            let shown = event.lines.iter().take(MOST_SHOWN).filter_map(|line| (self.number)(&line.product));
            open.impression.shown = shown.collect();
            open.impression.clicked = vec![false; open.impression.shown.len()];
            open.list.clone_from(&event.list);
        }
    }

    fn click(&mut self, event: &Event) {
        let Some(open) = self.of.get_mut(&event.subject) else { return };
        if open.list != event.list || event.occurred_at.since(open.at) > CLICKED_WITHIN_MS {
            return;
        }
        for product in event.lines.iter().filter_map(|line| (self.number)(&line.product)) {
            if let Some(place) = open.impression.shown.iter().position(|shown| *shown == product) {
                open.impression.clicked[place] = true;
            }
        }
    }

    fn close(&mut self, open: Open) {
        if !open.impression.query.is_empty() && !open.impression.shown.is_empty() {
            self.found.push(open.at, open.impression);
        }
    }

    fn finish(mut self) -> Vec<(TimestampMs, Impression)> {
        let open: Vec<Open> = self.of.drain().map(|(_, open)| open).collect();
        open.into_iter().for_each(|open| self.close(open));
        self.found.finish()
    }
}
