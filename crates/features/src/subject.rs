//! Everything that is kept of one subject, under one key: sessions, counters, affinities, history.

use merx_domain::TimestampMs;

use crate::affinities::{Affinities, AffinityState};
use crate::codec::{Encoded, Reader};
use crate::counters::{CounterState, Counters};
use crate::feature::{Feature, SubjectFeature};
use crate::history::{History, HistoryState, Preceding};
use crate::sessions::{SessionState, Sessions};
use crate::signal::{Moment, Touch};

/// First byte of what is stored. Formats once written stay readable.
pub(crate) const FORMAT: u8 = 1;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SubjectState {
    pub(crate) sessions: SessionState,
    pub(crate) counters: CounterState,
    pub(crate) affinities: AffinityState,
    pub(crate) history: HistoryState,
}

impl SubjectState {
    /// Applies a moment to every feature, after marking which touches only repeat what is known. Returns, for each
    /// touch, the products that came before it in the session.
    pub(crate) fn apply(&mut self, moment: &mut Moment<'_>) -> Vec<Preceding> {
        Sessions::apply(&mut self.sessions, moment);
        for touch in &mut moment.touches {
            touch.repeat = self.history.repeats(touch.facts.number, touch.meaning, moment.at);
        }
        let since = self.sessions.started_at;
        let preceding = |touch: &Touch<'_>| self.history.preceding(touch.facts.number, since, moment.at);
        let preceding = moment.touches.iter().map(preceding).collect();
        Counters::apply(&mut self.counters, moment);
        Affinities::apply(&mut self.affinities, moment);
        History::apply(&mut self.history, moment);
        preceding
    }

    /// The same for a moment without touches, on the bytes: most events only say that the visit goes on.
    pub(crate) fn prolong(bytes: &mut [u8], moment: &Moment<'_>) -> Option<()> {
        let (format, rest) = bytes.split_first_mut()?;
        if *format != FORMAT {
            return None;
        }
        let stored = rest.first_chunk_mut::<{ SessionState::BYTES }>()?;
        let mut sessions = SessionState::read(&mut Reader(stored))?;
        Sessions::apply(&mut sessions, moment);
        *stored = sessions.to_array();
        Some(())
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        Sessions::merge(&mut self.sessions, &other.sessions);
        Counters::merge(&mut self.counters, &other.counters);
        Affinities::merge(&mut self.affinities, &other.affinities);
        History::merge(&mut self.history, &other.history);
    }

    /// An empty value is a subject never seen; `None` are bytes that nobody wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Some((format, rest)) = bytes.split_first() else { return Some(Self::default()) };
        if *format != FORMAT {
            return None;
        }
        let input = &mut Reader(rest);
        Some(Self {
            sessions: SessionState::read(input)?,
            counters: CounterState::read(input)?,
            affinities: AffinityState::read(input)?,
            history: HistoryState::read(input)?,
        })
    }

    pub(crate) fn to_bytes(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(FORMAT);
        self.sessions.write(out);
        self.counters.write(out);
        self.affinities.write(out);
        self.history.write(out);
    }
}

/// What is known of a subject at a moment, before it is cut down to what engines see.
pub(crate) struct SubjectValue {
    pub(crate) sessions: <Sessions as Feature>::Value,
    pub(crate) counters: <Counters as Feature>::Value,
    pub(crate) affinities: <Affinities as Feature>::Value,
    pub(crate) history: <History as Feature>::Value,
}

impl SubjectState {
    pub(crate) fn value(&self, now: TimestampMs) -> SubjectValue {
        SubjectValue {
            sessions: Sessions::value(&self.sessions, now),
            counters: Counters::value(&self.counters, now),
            affinities: Affinities::value(&self.affinities, now),
            history: History::value(&self.history, now),
        }
    }
}
