//! What an automation did in the last six hours, minute by minute.

use merx_domain::{HOUR_MS, MINUTE_MS, TimestampMs};
use serde::{Deserialize, Serialize};

use super::automation::{Guardrail, Measure};

const MINUTES: usize = 360;
/// Guardrails look back so far at most.
const MOST_MINUTES: u32 = 60;
/// Upper bounds of the latency buckets, in milliseconds; the last one is for everything slower.
const BOUNDS_MS: [f64; 15] =
    [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 50.0, 100.0, 250.0, 1_000.0, f64::INFINITY];
const QUANTILE: f64 = 0.95;

/// One decision as guardrails see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// No model answered where one was to.
    pub fell_back: bool,
    pub troubled: bool,
    pub latency_us: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    number: i64,
    decisions: u64,
    fallbacks: u64,
    /// Fallbacks on whose way something went wrong.
    failures: u64,
    troubles: u64,
    latencies: [u32; BOUNDS_MS.len()],
}

/// What happened in some minutes, or since a process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub(super) decisions: u64,
    pub(super) fallbacks: u64,
    pub(super) failures: u64,
    pub(super) troubles: u64,
    latencies: [u64; BOUNDS_MS.len()],
}

impl Tally {
    /// What came since another tally of the same meter; all of it where the meter began anew meanwhile.
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: u64, before: u64| now.checked_sub(before);
        let differ = || {
            let mut latencies = [0; BOUNDS_MS.len()];
            for (place, latency) in latencies.iter_mut().enumerate() {
                *latency = less(self.latencies[place], before.latencies[place])?;
            }
            Some(Self {
                decisions: less(self.decisions, before.decisions)?,
                fallbacks: less(self.fallbacks, before.fallbacks)?,
                failures: less(self.failures, before.failures)?,
                troubles: less(self.troubles, before.troubles)?,
                latencies,
            })
        };
        differ().unwrap_or(*self)
    }

    fn add(&mut self, other: &Self) {
        self.decisions += other.decisions;
        self.fallbacks += other.fallbacks;
        self.failures += other.failures;
        self.troubles += other.troubles;
        self.latencies.iter_mut().zip(other.latencies).for_each(|(sum, count)| *sum += count);
    }

    /// Decisions that took longer, as far as buckets tell: those that may have been quicker don't count.
    pub(super) fn slower_than(&self, ms: f64) -> u64 {
        let from = BOUNDS_MS.iter().position(|bound| *bound >= ms).map_or(BOUNDS_MS.len(), |place| place + 1);
        self.latencies[from.min(BOUNDS_MS.len())..].iter().sum()
    }
}

/// A ring of minutes; what is older than six hours is overwritten.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    minutes: [Minute; MINUTES],
    /// The hour and how many decisions it has had.
    hour: (i64, u64),
    /// The last hour in which there was no allowance left.
    spent_hour: Option<i64>,
    /// All that this process counted itself.
    own: Tally,
}

impl Default for Meter {
    fn default() -> Self {
        Self { minutes: [Minute::default(); MINUTES], hour: (0, 0), spent_hour: None, own: Tally::default() }
    }
}

impl Meter {
    /// Takes one decision out of the hour's allowance; `false`: there is none left.
    pub(super) fn spend(&mut self, now: TimestampMs, most: Option<u64>) -> bool {
        let hour = now.0.div_euclid(HOUR_MS);
        if self.hour.0 != hour {
            self.hour = (hour, 0);
        }
        if most.is_some_and(|most| self.hour.1 >= most) {
            self.spent_hour = Some(hour);
            return false;
        }
        self.hour.1 += 1;
        true
    }

    /// Whether somebody was refused in this hour.
    pub(super) fn is_spent(&self, now: TimestampMs) -> bool {
        self.spent_hour == Some(now.0.div_euclid(HOUR_MS))
    }

    pub(super) fn count(&mut self, now: TimestampMs, seen: Seen) {
        let latency_ms = f64::from(seen.latency_us) / 1e3;
        let bucket = BOUNDS_MS.iter().position(|bound| latency_ms <= *bound).unwrap_or(BOUNDS_MS.len() - 1);
        let mut one = Tally {
            decisions: 1,
            fallbacks: u64::from(seen.fell_back),
            failures: u64::from(seen.fell_back && seen.troubled),
            troubles: u64::from(seen.troubled),
            latencies: [0; BOUNDS_MS.len()],
        };
        one.latencies[bucket] = 1;
        self.own.add(&one);
        self.count_elsewhere(now, &one);
    }

    /// Counts what other processes have decided.
    pub(super) fn count_elsewhere(&mut self, now: TimestampMs, tally: &Tally) {
        let number = now.0.div_euclid(MINUTE_MS);
        let minute = &mut self.minutes[number.rem_euclid(MINUTES as i64) as usize];
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        minute.decisions += tally.decisions;
        minute.fallbacks += tally.fallbacks;
        minute.failures += tally.failures;
        minute.troubles += tally.troubles;
        let counts = minute.latencies.iter_mut().zip(tally.latencies);
        counts.for_each(|(sum, count)| *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    pub(super) fn own(&self) -> Tally {
        self.own
    }

    /// The measure of a guardrail where it is breached.
    pub(super) fn breach(&self, now: TimestampMs, guardrail: &Guardrail) -> Option<f64> {
        let sum = self.last(now, guardrail.window_minutes.clamp(1, MOST_MINUTES));
        if sum.decisions < guardrail.fewest.max(1) {
            return None;
        }
        let value = match guardrail.measure {
            Measure::FallbackShare => sum.fallbacks as f64 / sum.decisions as f64,
            Measure::TroubleShare => sum.troubles as f64 / sum.decisions as f64,
            Measure::LatencyMs => quantile(&sum.latencies, sum.decisions),
            // Not counted here.
            Measure::KpiLoss => return None,
        };
        (value > guardrail.at_most).then_some(value)
    }
}

impl Meter {
    /// The last minutes, the one that runs included.
    pub(super) fn last(&self, now: TimestampMs, minutes: u32) -> Tally {
        let newest = now.0.div_euclid(MINUTE_MS);
        let oldest = newest - i64::from(minutes.clamp(1, MINUTES as u32)) + 1;
        let mut sum = Tally::default();
        for minute in self.minutes.iter().filter(|minute| (oldest..=newest).contains(&minute.number)) {
            sum.decisions += minute.decisions;
            sum.fallbacks += minute.fallbacks;
            sum.failures += minute.failures;
            sum.troubles += minute.troubles;
            sum.latencies.iter_mut().zip(minute.latencies).for_each(|(sum, count)| *sum += u64::from(count));
        }
        sum
    }
}

/// The lower end of the bucket that the quantile lies in, so that no bound is breached by rounding up.
fn quantile(latencies: &[u64; BOUNDS_MS.len()], decisions: u64) -> f64 {
    let rank = (QUANTILE * decisions as f64).ceil() as u64;
    let mut below = 0;
    let place = latencies.iter().position(|count| {
        below += count;
        below >= rank
    });
    place.and_then(|place| place.checked_sub(1)).map_or(0.0, |place| BOUNDS_MS[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guardrail(measure: Measure, at_most: f64) -> Guardrail {
        Guardrail { measure, at_most, fewest: 50, window_minutes: 5 }
    }

    #[test]
    fn a_window_is_looked_at_once_it_holds_enough() {
        let mut meter = Meter::default();
        let at = |minute: i64| TimestampMs(minute * MINUTE_MS);
        let seen = |bad: bool| Seen { fell_back: bad, troubled: bad, latency_us: if bad { 30_000 } else { 400 } };
        (0..40).for_each(|_| meter.count(at(100), seen(true)));
        let fallbacks = guardrail(Measure::FallbackShare, 0.2);
        assert_eq!(meter.breach(at(101), &fallbacks), None, "too few");
        (0..60).for_each(|_| meter.count(at(101), seen(false)));
        assert_eq!(meter.breach(at(101), &fallbacks), Some(0.4));
        assert_eq!(meter.breach(at(101), &guardrail(Measure::TroubleShare, 0.5)), None);
        assert_eq!(meter.breach(at(101), &guardrail(Measure::LatencyMs, 15.0)), Some(20.0));
        assert_eq!(meter.breach(at(105), &fallbacks), None, "the bad minute has left the window");
        assert_eq!(meter.breach(at(300), &fallbacks), None);
    }

    #[test]
    fn what_other_processes_decide_counts_once() {
        let (mut here, mut there) = (Meter::default(), Meter::default());
        let now = TimestampMs(100 * MINUTE_MS);
        let bad = Seen { fell_back: true, troubled: true, latency_us: 30_000 };
        (0..30).for_each(|_| there.count(now, bad));
        let first = there.own();
        here.count_elsewhere(now, &first.since(&Tally::default()));
        (0..30).for_each(|_| there.count(now, bad));
        here.count_elsewhere(now, &there.own().since(&first));
        here.count_elsewhere(now, &there.own().since(&there.own()));
        assert_eq!(here.last(now, 5).decisions, 60);
        assert_eq!(here.breach(now, &guardrail(Measure::TroubleShare, 0.5)), Some(1.0));
        assert_eq!(here.own(), Tally::default(), "what is told of goes round in no circle");
        // Somebody changed the automation: its meter begins anew.
        let mut anew = Meter::default();
        anew.count(now, bad);
        assert_eq!(anew.own().since(&there.own()).decisions, 1);
    }

    #[test]
    fn an_hour_allows_so_many() {
        let mut meter = Meter::default();
        let spent = (0..10).filter(|_| meter.spend(TimestampMs(0), Some(3))).count();
        assert_eq!(spent, 3);
        assert!(meter.spend(TimestampMs(HOUR_MS), Some(3)) && meter.spend(TimestampMs(HOUR_MS), None));
    }
}
