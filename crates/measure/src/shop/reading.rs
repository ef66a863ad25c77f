//! Exposures and outcomes of an experiment, read off the event log.

use merx_domain::experiment::{Experiment, Traits, Unit, UnitKind, unit_key};
use merx_domain::{
    ConsentStamp, Currency, DAY_MS, Device, Event, EventKind, EventMeaning, Money, ProductId, Purposes, SubjectId,
    TimestampMs, VariantId,
};
use merx_store::{EventLog, LogOffset, StoreError};
use rayon::prelude::*;
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

/// In the order that keeps a unit's exposures together, the first one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    subject: SubjectId,
    /// The unit, where it is no subject.
    unit: Option<u64>,
    arm: u16,
    at: TimestampMs,
    segment: u16,
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
    let mut watched = Watched::new(question.experiment);
    watched.catch_up(log, question, usize::MAX)?;
    Ok(watched.rows(question))
}

/// An experiment that is followed: what was read stays, and the next look reads what is new in the log.
pub struct Watched {
    experiment: Experiment,
    segment_by: Option<SegmentBy>,
    reader: Reader,
    at: Option<LogOffset>,
    has_begun: bool,
}

impl Watched {
    pub fn new(experiment: &Experiment) -> Self {
        Self {
            experiment: experiment.clone(),
            segment_by: None,
            reader: Reader::new(experiment.arms.len()),
            at: None,
            has_begun: false,
        }
    }

    /// Whether what was read answers a question too.
    pub fn answers(&self, question: &Question<'_>) -> bool {
        let (known, asked) = (&self.experiment, question.experiment);
        let alike = known.id == asked.id
            && known.arms == asked.arms
            && known.unit == asked.unit
            && known.starts_at == asked.starts_at;
        alike && self.segment_by.is_none_or(|known| known == question.segment_by)
    }

    /// Reads what is new, at most `most` events. Returns how many were read.
    pub fn catch_up(&mut self, log: &dyn EventLog, question: &Question<'_>, most: usize) -> Result<usize, StoreError> {
        self.segment_by = Some(question.segment_by);
        if !self.has_begun {
            let begin = question.experiment.starts_at.plus_ms(-i64::from(COVARIATE_DAYS) * DAY_MS);
            self.at = offset_before(log, begin)?;
            self.has_begun = true;
        }
        let mut read = 0;
        while read < most {
            let events = log.read(self.at, BATCH.min(most - read))?;
            let Some((last, _)) = events.last() else { break };
            self.at = Some(*last);
            read += events.len();
            events.iter().for_each(|(_, event)| self.take(question, event));
        }
        Ok(read)
    }

    /// Takes the next event of the log.
    pub fn take(&mut self, question: &Question<'_>, event: &Event) {
        self.reader.take(question, event);
    }

    /// Rows for the page.
    pub fn rows(&self, question: &Question<'_>) -> Rows {
        self.reader.rows(question)
    }

    /// Exposures and outcomes that are kept: each takes about fifty bytes.
    pub fn kept(&self) -> usize {
        self.reader.shown.len() + self.reader.did.len()
    }

    pub fn at(&self) -> Option<LogOffset> {
        self.at
    }
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

struct Reader {
    shown: Vec<Shown>,
    /// Of `shown`, how many were left when repeats were last taken out.
    distinct: usize,
    did: Vec<Did>,
    /// Whom a subject turned out to be.
    merged: FxHashMap<SubjectId, SubjectId>,
    /// Subject, signal and block of time.
    blocks: FxHashSet<(u128, u16, i64)>,
    orders: FxHashSet<u64>,
    first_seen: FxHashMap<SubjectId, TimestampMs>,
    rows: Rows,
}

/// Repeats are taken out once there are twice as many exposures as were left, and so many more.
const REPEATS: usize = 100_000;

impl Reader {
    fn new(arms: usize) -> Self {
        let latencies = vec![Sketch::default(); arms];
        Self {
            shown: Vec::new(),
            distinct: 0,
            did: Vec::new(),
            merged: FxHashMap::default(),
            blocks: FxHashSet::default(),
            orders: FxHashSet::default(),
            first_seen: FxHashMap::default(),
            rows: Rows { latencies, ..Rows::default() },
        }
    }

    fn take(&mut self, question: &Question<'_>, event: &Event) {
        self.rows.events += 1;
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
            self.merged.insert(from, event.subject);
        }
        if refuses(event.consent) {
            return;
        }
        if event.kind == EventKind::ExperimentViewed {
            self.show(question, event);
            return;
        }
        if event.context.device != Device::Server {
            let first = self.first_seen.entry(event.subject).or_insert(event.occurred_at);
            *first = (*first).min(event.occurred_at);
            self.had(question, event, signal::VISIT);
        }
        match (event.kind, event.kind.meaning()) {
            (EventKind::OrderCompleted, _) => self.order(question, event),
            (EventKind::OrderRefunded | EventKind::OrderCancelled, _) => {
                if let Some(value) = question.amount(event.value) {
                    self.add(question, event, signal::REFUND, value);
                }
            }
            (_, EventMeaning::Carted) => self.had(question, event, signal::CART),
            (_, EventMeaning::Viewed) => self.had(question, event, signal::CLICK),
            _ => {}
        }
    }

    fn show(&mut self, question: &Question<'_>, event: &Event) {
        let text = |name: &str| serde_json::from_str::<String>(event.properties.get(name)?).ok();
        let experiment = question.experiment;
        let own = event.custom_name.as_deref() == Some(question.own_exposure);
        if !(own || question.told_by_pages) || text("experiment_id").as_deref() != Some(experiment.id.as_str()) {
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
        let segment = match question.segment_by {
            SegmentBy::Device => format!("{:?}", event.context.device).to_lowercase(),
            SegmentBy::Market => event.context.market.to_string(),
            // Told once everything is read.
            SegmentBy::Newness => "new".to_owned(),
        };
        let segment = self.segment(segment);
        let unit = match experiment.unit {
            UnitKind::Subject => None,
            UnitKind::Session => text("unit").map(|unit| hash(&[unit.as_bytes()])),
            UnitKind::MarketSlot { .. } => Some(question.slot(event)),
        };
        let (subject, at) = (event.subject, event.occurred_at);
        self.shown.push(Shown { subject, unit, arm: arm as u16, at, segment });
        if self.shown.len() > 2 * self.distinct + REPEATS {
            self.take_out_repeats();
        }
    }

    /// Of a unit's exposures to an arm the first one counts.
    fn take_out_repeats(&mut self) {
        self.shown.sort_unstable();
        self.shown
            .dedup_by(|later, first| (later.subject, later.unit, later.arm) == (first.subject, first.unit, first.arm));
        self.distinct = self.shown.len();
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

    fn order(&mut self, question: &Question<'_>, event: &Event) {
        // The same order is often told twice, by the page and by the shop.
        if let Some(order) = &event.order
            && !self.orders.insert(hash(&[order.as_str().as_bytes()]))
        {
            return;
        }
        self.add(question, event, signal::ORDER, 1.0);
        match (event.value, question.amount(event.value)) {
            (_, Some(revenue)) => {
                self.add(question, event, signal::REVENUE, revenue);
                if let Some(cost) = question.cost_of(event) {
                    self.add(question, event, signal::MARGIN, revenue - cost);
                }
            }
            (Some(_), None) => self.rows.other_currency += 1,
            (None, None) => {}
        }
    }

    fn had(&mut self, question: &Question<'_>, event: &Event, signal: SignalId) {
        if self.blocks.insert((event.subject.0, signal.0, event.occurred_at.0.div_euclid(BLOCK_MS))) {
            self.add(question, event, signal, 1.0);
        }
    }

    fn add(&mut self, question: &Question<'_>, event: &Event, signal: SignalId, value: f64) {
        let by_slot = matches!(question.experiment.unit, UnitKind::MarketSlot { .. });
        let slot = if by_slot { question.slot(event) } else { 0 };
        self.did.push(Did { subject: event.subject, at: event.occurred_at, signal, value, slot });
    }

    fn rows(&self, question: &Question<'_>) -> Rows {
        let person = |subject| who(&self.merged, subject);
        let by_newness = question.segment_by == SegmentBy::Newness;
        let first_seen = if by_newness { self.first_of_people(&person) } else { FxHashMap::default() };
        let unit_kind = question.experiment.unit;
        let by_session = unit_kind == UnitKind::Session;
        let unit = |shown: &Shown| match shown.unit {
            None => hash(&[&person(shown.subject).to_bytes()]),
            Some(unit) if by_session => hash(&[&person(shown.subject).to_bytes(), &unit.to_be_bytes()]),
            Some(slot) => slot,
        };
        let segment = |shown: &Shown| {
            if !by_newness {
                return shown.segment;
            }
            // Who was first seen an hour before is on their first visit.
            let seen = first_seen.get(&person(shown.subject));
            u16::from(seen.is_some_and(|seen| shown.at.since(*seen) > BLOCK_MS))
        };
        let exposure =
            |shown: &Shown| Exposure { unit: unit(shown), at_ms: shown.at.0, arm: shown.arm, segment: segment(shown) };
        let exposures = self.shown.par_iter().map(exposure).collect();
        let visits = by_session.then(|| self.visits(&person));
        let of_outcome = |did: &Did| match (unit_kind, &visits) {
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
        let outcomes = self.did.par_iter().filter_map(outcome).collect();
        let segments = match (by_newness, self.rows.segments.is_empty()) {
            (true, _) => vec!["new".to_owned(), "returning".to_owned()],
            (false, true) => vec!["none".to_owned()],
            (false, false) => self.rows.segments.clone(),
        };
        Rows { exposures, outcomes, segments, ..self.rows.clone() }
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

    fn first_of_people(&self, person: &dyn Fn(SubjectId) -> SubjectId) -> FxHashMap<SubjectId, TimestampMs> {
        let mut first: FxHashMap<SubjectId, TimestampMs> = FxHashMap::default();
        for (subject, at) in &self.first_seen {
            let earliest = first.entry(person(*subject)).or_insert(*at);
            *earliest = (*earliest).min(*at);
        }
        first
    }
}

impl Question<'_> {
    /// Of all lines; `None` where a product's cost is not known.
    fn cost_of(&self, event: &Event) -> Option<f64> {
        let of_line = |line: &merx_domain::EventLine| {
            let cost = (self.cost)(&line.product, line.variant.as_ref());
            self.amount(cost).map(|cost| cost * f64::from(line.quantity))
        };
        if event.lines.is_empty() {
            return None;
        }
        event.lines.iter().map(of_line).sum()
    }

    fn amount(&self, money: Option<Money>) -> Option<f64> {
        money.filter(|money| money.currency == self.currency).map(Money::major_f64)
    }

    fn slot(&self, event: &Event) -> u64 {
        let traits = Traits { market: event.context.market.clone(), ..Traits::default() };
        let nobody = Unit { subject: None, session: None };
        let key = unit_key(self.experiment.unit, &nobody, &traits, event.occurred_at);
        hash(&[key.unwrap_or_default().as_bytes()])
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

#[cfg(test)]
mod tests {
    use merx_domain::EventId;
    use merx_domain::experiment::{
        ArmDefinition, BucketRange, ExperimentId, ExperimentKind, ExperimentState, LayerId, Targeting,
    };
    use merx_numeric::rng::Rng;

    use super::*;

    const START: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn experiment() -> Experiment {
        let arm = |name: &str| ArmDefinition { name: name.into(), share: 5_000 };
        Experiment {
            id: ExperimentId::new("x"),
            kind: ExperimentKind::Test,
            state: ExperimentState::Running,
            unit: UnitKind::Subject,
            layer: LayerId::new("x"),
            range: BucketRange::ALL,
            ramp: 10_000,
            salt: "x".into(),
            arms: vec![arm("a"), arm("b")],
            targeting: Targeting::default(),
            metrics: vec!["conversion".into()],
            starts_at: START,
            ends_at: None,
        }
    }

    fn exposure(id: u128, subject: u128, at: TimestampMs) -> Event {
        let mut event = Event::new(EventId(id), SubjectId(subject), EventKind::ExperimentViewed, at);
        event.custom_name = Some("own".into());
        event.properties.insert("experiment_id".into(), "\"x\"".to_owned());
        let arm = if subject.is_multiple_of(2) { "\"a\"" } else { "\"b\"" };
        event.properties.insert("variation_id".into(), arm.to_owned());
        event
    }

    /// The rows of many exposures a unit, with repeats taken out, are those of each unit's first one; and what is read in parts is what is read
    /// at once.
    #[test]
    fn repeats_leave_and_parts_are_the_whole() {
        let experiment = experiment();
        let cost = |_: &ProductId, _: Option<&VariantId>| None;
        let question = Question {
            experiment: &experiment,
            own_exposure: "own",
            told_by_pages: false,
            segment_by: SegmentBy::Device,
            currency: Currency::EUR,
            now: START.plus_ms(40 * DAY_MS),
            cost: &cost,
        };
        let (mut rng, mut watched) = (Rng::from_seed(2), Watched::new(&experiment));
        let mut first: FxHashMap<u128, i64> = FxHashMap::default();
        for number in 0..2 * REPEATS as u128 + 5 {
            let subject = rng.below(900) as u128;
            let at = START.plus_ms(rng.below(20 * DAY_MS as usize) as i64);
            watched.take(&question, &exposure(number, subject, at));
            let earliest = first.entry(subject).or_insert(at.0);
            *earliest = (*earliest).min(at.0);
            if number.is_multiple_of(50_000) {
                let order = Event::new(EventId(number << 64), SubjectId(subject), EventKind::OrderCompleted, at);
                watched.take(&question, &order);
            }
        }
        assert!(watched.kept() < REPEATS + 5_000, "{} are kept", watched.kept());
        let rows = watched.rows(&question);
        assert_eq!(rows.events, 2 * REPEATS as u64 + 5 + 5);
        for (subject, earliest) in first {
            let unit = hash(&[&SubjectId(subject).to_bytes()]);
            let of_unit = rows.exposures.iter().filter(|exposure| exposure.unit == unit);
            assert_eq!(of_unit.map(|exposure| exposure.at_ms).min(), Some(earliest));
        }
        assert!(watched.answers(&question));
        let other = Question { segment_by: SegmentBy::Newness, ..question };
        watched.segment_by = Some(SegmentBy::Device);
        assert!(!watched.answers(&other));
    }
}
