//! When visits began: a visit ends after thirty minutes without an event.

use merx_domain::{MINUTE_MS, TimestampMs};

use crate::codec::{Encoded, Reader};
use crate::feature::{Feature, SubjectFeature};
use crate::signal::Moment;

/// The gap after which the next event begins a new session.
pub const SESSION_GAP_MS: i64 = 30 * MINUTE_MS;

pub(crate) struct Sessions;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct SessionState {
    /// Sessions begun; 0: never seen.
    count: u32,
    pub(crate) started_at: TimestampMs,
    last_seen_at: TimestampMs,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SessionValue {
    pub count: u32,
    /// When the current session began; `None` between sessions.
    pub started_at: Option<TimestampMs>,
}

impl Feature for Sessions {
    const NAME: &'static str = "sessions";
    type State = SessionState;
    type Signal<'a> = Moment<'a>;
    type Value = SessionValue;

    /// An event that comes late lengthens the current session if it belongs to it; older sessions are not counted anew.
    fn apply(state: &mut SessionState, moment: &Moment<'_>) {
        if !moment.from_shopper {
            return;
        }
        let at = moment.at;
        if state.count == 0 || at.since(state.last_seen_at) > SESSION_GAP_MS {
            *state = SessionState { count: state.count.saturating_add(1), started_at: at, last_seen_at: at };
        } else if state.started_at.since(at) <= SESSION_GAP_MS {
            state.started_at = state.started_at.min(at);
            state.last_seen_at = state.last_seen_at.max(at);
        }
    }

    fn value(state: &SessionState, now: TimestampMs) -> SessionValue {
        let ongoing = state.count > 0 && now.since(state.last_seen_at) <= SESSION_GAP_MS;
        SessionValue { count: state.count, started_at: ongoing.then_some(state.started_at) }
    }
}

impl SubjectFeature for Sessions {
    fn merge(state: &mut SessionState, other: &SessionState) {
        if other.count == 0 {
            return;
        }
        if state.count == 0 {
            *state = *other;
            return;
        }
        let (older, newer) = if state.last_seen_at <= other.last_seen_at { (*state, *other) } else { (*other, *state) };
        let same_visit = newer.started_at.since(older.last_seen_at) <= SESSION_GAP_MS;
        *state = SessionState {
            count: state.count.saturating_add(other.count) - u32::from(same_visit),
            started_at: if same_visit { older.started_at.min(newer.started_at) } else { newer.started_at },
            last_seen_at: newer.last_seen_at,
        };
    }
}

impl SessionState {
    pub(crate) const BYTES: usize = 20;

    /// The state in a fixed number of bytes, so that it can be changed in place.
    pub(crate) fn to_array(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.count.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.started_at.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.last_seen_at.0.to_le_bytes());
        bytes
    }
}

impl Encoded for SessionState {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_array());
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self { count: input.u32()?, started_at: input.time()?, last_seen_at: input.time()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(minutes: &[i64]) -> SessionState {
        let mut state = SessionState::default();
        for minute in minutes {
            let at = TimestampMs(minute * MINUTE_MS);
            Sessions::apply(&mut state, &Moment { at, from_shopper: true, touches: Vec::new() });
        }
        state
    }

    fn value(minutes: &[i64], now: i64) -> (u32, Option<i64>) {
        let value = Sessions::value(&seen(minutes), TimestampMs(now * MINUTE_MS));
        (value.count, value.started_at.map(|at| at.0 / MINUTE_MS))
    }

    #[test]
    fn half_an_hour_of_silence_ends_a_session() {
        assert_eq!(value(&[], 5), (0, None));
        assert_eq!(value(&[100, 110, 139], 150), (1, Some(100)));
        assert_eq!(value(&[100, 110, 139], 170), (1, None));
        assert_eq!(value(&[100, 131], 131), (2, Some(131)));
    }

    #[test]
    fn late_events_lengthen_the_session_they_belong_to() {
        assert_eq!(value(&[200, 190, 180], 210), (1, Some(180)));
        assert_eq!(value(&[200, 50, 210], 210), (1, Some(200)));
    }

    #[test]
    fn a_servers_report_is_no_visit() {
        let mut state = seen(&[100]);
        let at = TimestampMs(5_000 * MINUTE_MS);
        Sessions::apply(&mut state, &Moment { at, from_shopper: false, touches: Vec::new() });
        assert_eq!(state, seen(&[100]));
    }

    #[test]
    fn one_visit_under_two_names_counts_once() {
        let mut known = seen(&[10, 500]);
        Sessions::merge(&mut known, &seen(&[300, 480, 490]));
        let value = Sessions::value(&known, TimestampMs(510 * MINUTE_MS));
        assert_eq!((value.count, value.started_at), (3, Some(TimestampMs(480 * MINUTE_MS))));
    }
}
