//! Who comes on a day, and what they do of their own accord: the simulated shop's events, a visit at a time.

use std::iter::Peekable;

use merx_domain::{DAY_MS, Event, EventKind, SubjectId, TimestampMs};
use merx_features::SESSION_GAP_MS;
use merx_simulate::{Events, Shop as Simulated};
use rustc_hash::FxHashMap;

/// The same in every arm.
pub(super) struct Visit {
    pub(super) number: u64,
    pub(super) shopper: u32,
    pub(super) subject: SubjectId,
    pub(super) begins_at: TimestampMs,
    pub(super) ends_at: TimestampMs,
    /// The moment they sign in, where they do: it comes before all else.
    pub(super) sign_in: Vec<Event>,
    pub(super) events: Vec<Event>,
}

pub(super) struct Day {
    pub(super) number: i32,
    pub(super) begins_at: TimestampMs,
    pub(super) visits: Vec<Visit>,
    /// Refunds, and ends of visits that began the day before.
    pub(super) loose: Vec<Event>,
}

pub(super) struct Days<'a> {
    simulated: &'a Simulated,
    events: Peekable<Events<'a>>,
    next: i32,
    visits: u64,
    /// When somebody was seen last.
    seen: FxHashMap<SubjectId, TimestampMs>,
}

impl<'a> Days<'a> {
    pub(super) fn new(simulated: &'a Simulated) -> Self {
        Self { simulated, events: simulated.events().peekable(), next: 0, visits: 0, seen: FxHashMap::default() }
    }
}

impl Iterator for Days<'_> {
    type Item = Day;

    fn next(&mut self) -> Option<Day> {
        let config = self.simulated.config();
        if self.next >= config.days as i32 {
            return None;
        }
        let begins_at = config.start.plus_ms(i64::from(self.next) * DAY_MS);
        let mut day = Day { number: self.next, begins_at, visits: Vec::new(), loose: Vec::new() };
        self.next += 1;
        let ends_at = begins_at.plus_ms(DAY_MS);
        let mut of_subject: FxHashMap<SubjectId, usize> = FxHashMap::default();
        while let Some(event) = self.events.next_if(|event| event.occurred_at < ends_at) {
            self.place(event, &mut day, &mut of_subject);
        }
        Some(day)
    }
}

impl Days<'_> {
    fn place(&mut self, event: Event, day: &mut Day, of_subject: &mut FxHashMap<SubjectId, usize>) {
        let Some(shopper) = self.simulated.shopper_of(event.subject) else { return };
        let at = event.occurred_at;
        let returned = matches!(event.kind, EventKind::OrderRefunded);
        if let Some(place) = of_subject.get(&event.subject).filter(|_| !returned) {
            let visit = &mut day.visits[*place];
            visit.ends_at = at;
            visit.events.push(event);
            return;
        }
        let last = self.seen.insert(event.subject, at);
        if returned || last.is_some_and(|last| at.since(last) < SESSION_GAP_MS) {
            day.loose.push(event);
            return;
        }
        of_subject.insert(event.subject, day.visits.len());
        self.visits += 1;
        let mut visit = Visit {
            number: self.visits,
            shopper,
            subject: event.subject,
            begins_at: at,
            ends_at: at,
            sign_in: Vec::new(),
            events: Vec::new(),
        };
        if event.kind == EventKind::Alias { &mut visit.sign_in } else { &mut visit.events }.push(event);
        day.visits.push(visit);
    }
}
