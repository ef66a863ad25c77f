//! What is promised of decisions, and when the promise is broken too fast.
//!
//! An objective allows a share of decisions to go wrong. Its burn rate is how many times faster than that they do. Two windows
//! have to agree, a long one so that a moment's trouble is no alert, and a short one so that the alert ends soon after the trouble:
//! Beyer et al., "The Site Reliability Workbook", 2018, chapter 5, "multiwindow, multi-burn-rate alerts".

use merx_domain::TimestampMs;

use super::meter::{Meter, Tally};
use crate::alerts::Severity;

/// Long and short window in minutes, the burn rate that both have to reach, and how bad that is.
const WINDOWS: [(u32, u32, f64, Severity); 2] = [(60, 5, 14.4, Severity::Critical), (360, 30, 6.0, Severity::Warning)];
/// Fewer decisions in the long window say nothing.
const FEWEST: u64 = 100;

/// What is promised of every engine's decisions; a share of 0 promises nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objectives {
    /// Share of decisions that may fall back below models because one failed or was late.
    pub fallback_share: f64,
    /// Share on whose way something may go wrong.
    pub trouble_share: f64,
    /// Share that may take longer than `slow_ms`.
    pub slow_share: f64,
    pub slow_ms: f64,
}

impl Objectives {
    pub const NONE: Self = Self { fallback_share: 0.0, trouble_share: 0.0, slow_share: 0.0, slow_ms: 0.0 };
}

/// One promise.
pub(super) struct Objective {
    pub(super) name: &'static str,
    /// What they do that break it.
    pub(super) words: String,
    pub(super) allowed: f64,
    bad: fn(&Tally, f64) -> u64,
    slow_ms: f64,
}

impl Objectives {
    pub(super) fn all(&self) -> impl Iterator<Item = Objective> {
        let slow_ms = self.slow_ms;
        let one = move |name, words: String, allowed, bad| Objective { name, words, allowed, bad, slow_ms };
        [
            // A shop without a model, or an arm that leaves it out, breaks no promise.
            one("fallback", "fell back because a model failed".to_owned(), self.fallback_share, |tally, _| {
                tally.failures
            }),
            one("error", "met an error on their way".to_owned(), self.trouble_share, |tally, _| tally.troubles),
            one("latency", format!("took longer than {slow_ms} ms"), self.slow_share, |tally, slow_ms| {
                tally.slower_than(slow_ms)
            }),
        ]
        .into_iter()
        .filter(|objective| objective.allowed > 0.0)
    }
}

/// How fast an allowance is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Burn {
    /// Of the long window.
    pub(super) share: f64,
    pub(super) rate: f64,
    pub(super) minutes: u32,
    pub(super) severity: Severity,
}

/// The worst pair of windows that both burn too fast.
pub(super) fn burnt(meter: &Meter, now: TimestampMs, objective: &Objective) -> Option<Burn> {
    let share = |minutes: u32| {
        let tally = meter.last(now, minutes);
        let bad = (objective.bad)(&tally, objective.slow_ms);
        (tally.decisions, if tally.decisions == 0 { 0.0 } else { bad as f64 / tally.decisions as f64 })
    };
    WINDOWS.into_iter().find_map(|(long, short, most, severity)| {
        let ((decisions, of_long), (_, of_short)) = (share(long), share(short));
        let rate = of_long / objective.allowed;
        let burns = decisions >= FEWEST && rate >= most && of_short / objective.allowed >= most;
        burns.then_some(Burn { share: of_long, rate, minutes: long, severity })
    })
}

#[cfg(test)]
mod tests {
    use merx_domain::{FallbackLevel, MINUTE_MS};

    use super::*;
    use crate::automations::Seen;

    fn seen(slow: bool) -> Seen {
        Seen { fallback: FallbackLevel::LiveModel, troubled: false, latency_us: if slow { 300_000 } else { 900 } }
    }

    fn latency(slow_share: f64) -> Objective {
        Objectives { slow_share, slow_ms: 50.0, ..Objectives::NONE }.all().next().unwrap()
    }

    /// A fifth of the decisions is slow for `minutes` minutes of an hour, 100 decisions a minute.
    fn hour(minutes: i64) -> Meter {
        let mut meter = Meter::default();
        for minute in 0..60 {
            let troubled = minute >= 60 - minutes;
            (0..100).for_each(|n| meter.count(TimestampMs(minute * MINUTE_MS), seen(troubled && n % 5 == 0)));
        }
        meter
    }

    #[test]
    fn what_lasts_is_told_and_what_is_over_is_not() {
        let (now, objective) = (TimestampMs(59 * MINUTE_MS), latency(0.01));
        let burn = burnt(&hour(60), now, &objective).unwrap();
        assert_eq!((burn.severity, burn.minutes), (Severity::Critical, 60));
        assert!((burn.rate - 20.0).abs() < 1e-9);
        // Of an hour that is all there is, 25 bad minutes burn 8 times too fast: slower, and told as such.
        assert_eq!(burnt(&hour(25), now, &objective).unwrap().severity, Severity::Warning);
        assert_eq!(burnt(&hour(3), now, &objective), None, "a moment is no trouble");
        let mut over = hour(60);
        let later = TimestampMs(95 * MINUTE_MS);
        for minute in 60..96 {
            (0..100).for_each(|_| over.count(TimestampMs(minute * MINUTE_MS), seen(false)));
        }
        assert_eq!(burnt(&over, later, &objective), None, "the short windows are clean again");
        assert_eq!(burnt(&hour(60), now, &latency(0.05)), None, "what is allowed may happen");
    }
}
