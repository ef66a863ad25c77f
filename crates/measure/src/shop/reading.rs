//! Exposures and outcomes of an experiment, read off the event log.

use merx_domain::experiment::{Experiment, Traits, Unit, UnitKind, unit_key};
use merx_domain::{
    ConsentStamp, Currency, DAY_MS, Device, Event, EventKind, EventMeaning, Money, ProductId, Purposes, SubjectId,
    TimestampMs, VariantId,
};
use merx_store::{EventLog, LogOffset, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::metrics::{COVARIATE_DAYS, signal};
use crate::{Exposure, Outcome, SignalId, Sketch};

const BATCH: usize = 10_000;
/// What is only counted as had or not is kept once a subject and a quarter of a day.
const BLOCK_MS: i64 = DAY_MS / 4;
/// Further segments count as the last one, "other".
const MOST_SEGMENTS: usize = 20;

/// What segments are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentBy {
    #[default]
    Device,
    Market,
    /// Whether the subject was seen in the four weeks before the exposure.
    Newness,
}

/// What is asked of the log.
pub struct Question<'a> {
    pub experiment: &'a Experiment,
    /// How exposures that Merx logged itself are named; those that pages tell have no name.
    pub own_exposure: &'a str,
    /// Whether what pages tell counts: of flags, which only pages know to have been shown.
    pub told_by_pages: bool,
    pub segment_by: SegmentBy,
    /// Amounts in other currencies are left out.
    pub currency: Currency,
    pub now: TimestampMs,
    /// What one unit of a product costs the shop.
    pub cost: &'a dyn Fn(&ProductId, Option<&VariantId>) -> Option<Money>,
}

/// Rows for [`crate::join`], and what else the log tells.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub exposures: Vec<Exposure>,
    pub outcomes: Vec<Outcome>,
    /// Names of segments, in the order of their numbers.
    pub segments: Vec<String>,
    /// How long the decisions took that first showed an arm on a day, in milliseconds, by arm.
    pub latencies: Vec<Sketch>,
    pub events: u64,
    /// Orders whose value is in another currency.
    pub other_currency: u64,
}

struct Shown {
    subject: SubjectId,
    at: TimestampMs,
    arm: u16,
    segment: u16,
    /// The unit, where it is no subject.
    unit: Option<u64>,
}

struct Did {
    subject: SubjectId,
    at: TimestampMs,
    signal: SignalId,
    value: f64,
    /// The market's slot, where that is the unit.
    slot: u64,
}

/// Reads from four weeks before the experiment began to the end of the log. Events of people who refuse to be measured are
/// passed over; those of two subjects that turned out to be one person count as one's.
pub fn read(log: &dyn EventLog, question: &Question<'_>) -> Result<Rows, StoreError> {
    let begin = question.experiment.starts_at.plus_ms(-i64::from(COVARIATE_DAYS) * DAY_MS);
    let mut reader = Reader::new(question);
    let mut at = offset_before(log, begin)?;
    loop {
        let events = log.read(at, BATCH)?;
        let Some((last, _)) = events.last() else { break };
        at = Some(*last);
        for (_, event) in &events {
            reader.take(event);
        }
    }
    Ok(reader.finish())
}

/// An offset after which every event is that was received at `begin` or later: events are received in the order of the log.
fn offset_before(log: &dyn EventLog, begin: TimestampMs) -> Result<Option<LogOffset>, StoreError> {
    let Some(end) = log.end()? else { return Ok(None) };
    let (mut early, mut late) = (0, end.0);
    while early < late {
        let middle = early + (late - early) / 2;
        match log.read(Some(LogOffset(middle)), 1)?.first() {
            Some((_, event)) if event.received_at < begin => early = middle + 1,
            _ => late = middle,
        }
    }
    Ok(early.checked_sub(1).map(LogOffset))
}

struct Reader<'a> {
    question: &'a Question<'a>,
    shown: Vec<Shown>,
    did: Vec<Did>,
    /// Whom a subject turned out to be.
    merged: FxHashMap<SubjectId, SubjectId>,
    /// Subject, signal and block of time.
    blocks: FxHashSet<(u128, u16, i64)>,
    orders: FxHashSet<u64>,
    first_seen: FxHashMap<SubjectId, TimestampMs>,
    rows: Rows,
}

impl<'a> Reader<'a> {
    fn new(question: &'a Question<'a>) -> Self {
        let latencies = vec![Sketch::default(); question.experiment.arms.len()];
        Self {
            question,
            shown: Vec::new(),
            did: Vec::new(),
            merged: FxHashMap::default(),
            blocks: FxHashSet::default(),
            orders: FxHashSet::default(),
            first_seen: FxHashMap::default(),
            rows: Rows { latencies, ..Rows::default() },
        }
    }

    fn take(&mut self, event: &Event) {
        self.rows.events += 1;
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
            self.merged.insert(from, event.subject);
        }
        if refuses(event.consent) {
            return;
        }
        if event.kind == EventKind::ExperimentViewed {
            self.show(event);
            return;
        }
        if event.context.device != Device::Server {
            let first = self.first_seen.entry(event.subject).or_insert(event.occurred_at);
            *first = (*first).min(event.occurred_at);
            self.had(event, signal::VISIT);
        }
        match (event.kind, event.kind.meaning()) {
            (EventKind::OrderCompleted, _) => self.order(event),
            (EventKind::OrderRefunded | EventKind::OrderCancelled, _) => {
                if let Some(value) = self.amount(event.value) {
                    self.add(event, signal::REFUND, value);
                }
            }
            (_, EventMeaning::Carted) => self.had(event, signal::CART),
            (_, EventMeaning::Viewed) => self.had(event, signal::CLICK),
            _ => {}
        }
    }

    fn show(&mut self, event: &Event) {
        let text = |name: &str| serde_json::from_str::<String>(event.properties.get(name)?).ok();
        let experiment = self.question.experiment;
        let own = event.custom_name.as_deref() == Some(self.question.own_exposure);
        if !(own || self.question.told_by_pages) || text("experiment_id").as_deref() != Some(experiment.id.as_str()) {
            return;
        }
        let named = text("variation_id").or_else(|| text("variation_name"));
        let place = named.and_then(|name| experiment.arms.iter().position(|arm| arm.name == name));
        // Beyond all arms: the panel counts it as unknown.
        let arm = place.unwrap_or(experiment.arms.len());
        let latency = event.properties.get("latency_us").and_then(|text| text.parse::<f64>().ok());
        if let (Some(sketch), Some(latency_us)) = (self.rows.latencies.get_mut(arm), latency) {
            sketch.add(latency_us / 1e3);
        }
        let segment = match self.question.segment_by {
            SegmentBy::Device => format!("{:?}", event.context.device).to_lowercase(),
            SegmentBy::Market => event.context.market.to_string(),
            // Told once everything is read.
            SegmentBy::Newness => "new".to_owned(),
        };
        let segment = self.segment(segment);
        let unit = match experiment.unit {
            UnitKind::Subject => None,
            UnitKind::Session => text("unit").map(|unit| hash(&[unit.as_bytes()])),
            UnitKind::MarketSlot { .. } => Some(self.slot(event)),
        };
        let (subject, at) = (event.subject, event.occurred_at);
        self.shown.push(Shown { subject, at, arm: arm as u16, segment, unit });
    }

    fn segment(&mut self, name: String) -> u16 {
        let names = &mut self.rows.segments;
        let place = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            if names.len() < MOST_SEGMENTS {
                names.push(if names.len() + 1 == MOST_SEGMENTS { "other".to_owned() } else { name });
            }
            names.len() - 1
        });
        place as u16
    }

    fn order(&mut self, event: &Event) {
        // The same order is often told twice, by the page and by the shop.
        if let Some(order) = &event.order
            && !self.orders.insert(hash(&[order.as_str().as_bytes()]))
        {
            return;
        }
        self.add(event, signal::ORDER, 1.0);
        match (event.value, self.amount(event.value)) {
            (_, Some(revenue)) => {
                self.add(event, signal::REVENUE, revenue);
                if let Some(cost) = self.cost(event) {
                    self.add(event, signal::MARGIN, revenue - cost);
                }
            }
            (Some(_), None) => self.rows.other_currency += 1,
            (None, None) => {}
        }
    }

    /// Of all lines; `None` where a product's cost is not known.
    fn cost(&self, event: &Event) -> Option<f64> {
        let of_line = |line: &merx_domain::EventLine| {
            let cost = (self.question.cost)(&line.product, line.variant.as_ref());
            self.amount(cost).map(|cost| cost * f64::from(line.quantity))
        };
        if event.lines.is_empty() {
            return None;
        }
        event.lines.iter().map(of_line).sum()
    }

    fn amount(&self, money: Option<Money>) -> Option<f64> {
        money.filter(|money| money.currency == self.question.currency).map(Money::major_f64)
    }

    fn had(&mut self, event: &Event, signal: SignalId) {
        if self.blocks.insert((event.subject.0, signal.0, event.occurred_at.0.div_euclid(BLOCK_MS))) {
            self.add(event, signal, 1.0);
        }
    }

    fn add(&mut self, event: &Event, signal: SignalId, value: f64) {
        let slot =
            if matches!(self.question.experiment.unit, UnitKind::MarketSlot { .. }) { self.slot(event) } else { 0 };
        self.did.push(Did { subject: event.subject, at: event.occurred_at, signal, value, slot });
    }

    fn slot(&self, event: &Event) -> u64 {
        let traits = Traits { market: event.context.market.clone(), ..Traits::default() };
        let nobody = Unit { subject: None, session: None };
        let key = unit_key(self.question.experiment.unit, &nobody, &traits, event.occurred_at);
        hash(&[key.unwrap_or_default().as_bytes()])
    }

    fn finish(mut self) -> Rows {
        let merged = std::mem::take(&mut self.merged);
        let person = |subject| who(&merged, subject);
        self.tell_newness(&person);
        let by_session = self.question.experiment.unit == UnitKind::Session;
        let unit = |shown: &Shown| match shown.unit {
            None => hash(&[&person(shown.subject).to_bytes()]),
            Some(unit) if by_session => hash(&[&person(shown.subject).to_bytes(), &unit.to_be_bytes()]),
            Some(slot) => slot,
        };
        let exposure =
            |shown: &Shown| Exposure { unit: unit(shown), at_ms: shown.at.0, arm: shown.arm, segment: shown.segment };
        self.rows.exposures = self.shown.iter().map(exposure).collect();
        let visits = by_session.then(|| self.visits(&person));
        let of_outcome = |did: &Did| match (self.question.experiment.unit, &visits) {
            (UnitKind::MarketSlot { .. }, _) => Some(did.slot),
            (_, Some(visits)) => {
                let visits = visits.get(&person(did.subject))?;
                let place = visits.partition_point(|(at, _)| *at <= did.at);
                place.checked_sub(1).map(|place| visits[place].1)
            }
            _ => Some(hash(&[&person(did.subject).to_bytes()])),
        };
        let outcome = |did: &Did| {
            let unit = of_outcome(did)?;
            Some(Outcome { unit, at_ms: did.at.0, signal: did.signal, value: did.value })
        };
        self.rows.outcomes = self.did.iter().filter_map(outcome).collect();
        if self.rows.segments.is_empty() {
            self.rows.segments.push("none".to_owned());
        }
        self.rows
    }

    /// Exposed sessions of each person in the order of time: what they do belongs to the latest.
    fn visits(&self, person: &dyn Fn(SubjectId) -> SubjectId) -> FxHashMap<SubjectId, Vec<(TimestampMs, u64)>> {
        let mut visits: FxHashMap<SubjectId, Vec<(TimestampMs, u64)>> = FxHashMap::default();
        for shown in &self.shown {
            let subject = person(shown.subject);
            let unit = hash(&[&subject.to_bytes(), &shown.unit.unwrap_or_default().to_be_bytes()]);
            visits.entry(subject).or_default().push((shown.at, unit));
        }
        visits.values_mut().for_each(|visits| visits.sort_unstable());
        visits
    }

    fn tell_newness(&mut self, person: &dyn Fn(SubjectId) -> SubjectId) {
        if self.question.segment_by != SegmentBy::Newness {
            return;
        }
        let mut first: FxHashMap<SubjectId, TimestampMs> = FxHashMap::default();
        for (subject, at) in &self.first_seen {
            let earliest = first.entry(person(*subject)).or_insert(*at);
            *earliest = (*earliest).min(*at);
        }
        self.rows.segments = vec!["new".to_owned(), "returning".to_owned()];
        for shown in &mut self.shown {
            // Who was first seen an hour before is on their first visit.
            let seen = first.get(&person(shown.subject));
            shown.segment = u16::from(seen.is_some_and(|seen| shown.at.since(*seen) > BLOCK_MS));
        }
    }
}

fn refuses(consent: ConsentStamp) -> bool {
    consent.denied.contains(Purposes::ANALYTICS)
}

/// The person that a subject turned out to be, however often.
pub(super) fn who(merged: &FxHashMap<SubjectId, SubjectId>, mut subject: SubjectId) -> SubjectId {
    for _ in 0..100 {
        match merged.get(&subject) {
            Some(next) => subject = *next,
            None => break,
        }
    }
    subject
}

/// FNV-1a, 64 bits.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
