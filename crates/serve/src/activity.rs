//! What happened in each minute of the last day, for whoever looks now: the numbers of `/metrics` with a past.
//!
//! In memory and of fixed size; a server that was just started knows little.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::{FallbackLevel, MINUTE_MS, TimestampMs};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::{Answered, Query};
use crate::problem::Problem;
use crate::routes::Shared;

/// A day.
const MINUTES: usize = 24 * 60;
/// Upper bounds of the latency buckets, in microseconds: half a decade is too coarse for a percentile that people watch.
const BUCKETS_US: [u64; 14] =
    [100, 150, 250, 400, 650, 1_000, 1_500, 2_500, 4_000, 6_500, 10_000, 25_000, 100_000, 1_000_000];

#[derive(Debug, Clone, Default, PartialEq)]
struct Minute {
    /// Minutes since 1970; a slot of another day is stale.
    number: i64,
    requests: u64,
    refused: u64,
    failed: u64,
    events: u64,
    rejected: u64,
    decisions: u64,
    by_model: u64,
    /// Of answers that shoppers wait for.
    latency: [u32; BUCKETS_US.len() + 1],
}

pub(crate) struct Activity {
    started_at: TimestampMs,
    minutes: Mutex<Vec<Minute>>,
}

impl Activity {
    pub(crate) fn new(started_at: TimestampMs) -> Self {
        Self { started_at, minutes: Mutex::new(vec![Minute::default(); MINUTES]) }
    }

    fn count(&self, now: TimestampMs, change: impl FnOnce(&mut Minute)) {
        let number = now.0.div_euclid(MINUTE_MS);
        let mut minutes = self.minutes.lock();
        let slot = &mut minutes[number.rem_euclid(MINUTES as i64) as usize];
        if slot.number != number {
            *slot = Minute { number, ..Minute::default() };
        }
        change(slot);
    }

    pub(crate) fn count_request(&self, now: TimestampMs, status: u16, latency_us: u64, of_shoppers: bool) {
        self.count(now, |minute| {
            minute.requests += 1;
            minute.refused += u64::from((400..500).contains(&status));
            minute.failed += u64::from(status >= 500);
            if of_shoppers {
                let bucket = BUCKETS_US.iter().position(|bound| latency_us <= *bound).unwrap_or(BUCKETS_US.len());
                minute.latency[bucket] += 1;
            }
        });
    }

    pub(crate) fn count_events(&self, now: TimestampMs, stored: u64) {
        self.count(now, |minute| minute.events += stored);
    }

    pub(crate) fn count_rejected(&self, now: TimestampMs, rejected: u64) {
        self.count(now, |minute| minute.rejected += rejected);
    }

    pub(crate) fn count_decision(&self, now: TimestampMs, fallback: FallbackLevel) {
        self.count(now, |minute| {
            minute.decisions += 1;
            minute.by_model += u64::from(fallback == FallbackLevel::LiveModel);
        });
    }

    /// The last `count` minutes that the server has lived through, oldest first; the last one is not over yet.
    fn last(&self, now: TimestampMs, count: usize) -> Vec<Minute> {
        let this = now.0.div_euclid(MINUTE_MS);
        let first = (this - count as i64 + 1).max(self.started_at.0.div_euclid(MINUTE_MS));
        let minutes = self.minutes.lock();
        let known = |number: i64| {
            let slot = &minutes[number.rem_euclid(MINUTES as i64) as usize];
            if slot.number == number { slot.clone() } else { Minute { number, ..Minute::default() } }
        };
        (first..=this).map(known).collect()
    }
}

impl Minute {
    /// The latency that a share of the answers did not pass, in milliseconds: linear within its bucket.
    fn latency_ms(&self, share: f64) -> Option<f64> {
        let total: u32 = self.latency.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = share * f64::from(total);
        let mut below = 0.0;
        for (place, count) in self.latency.iter().enumerate() {
            let count = f64::from(*count);
            if count > 0.0 && below + count >= wanted {
                let from = if place == 0 { 0 } else { BUCKETS_US[place - 1] } as f64;
                let to = BUCKETS_US.get(place).map_or(from, |bound| *bound as f64);
                return Some((from + (to - from) * (wanted - below) / count) / 1_000.0);
            }
            below += count;
        }
        None
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActivityQuery {
    /// How far back.
    #[param(minimum = 1, maximum = 1440, default = 60)]
    minutes: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ActivityAnswer {
    #[schema(format = DateTime)]
    started_at: String,
    /// Oldest first; the last one is not over yet.
    minutes: Vec<MinuteAnswer>,
}

/// One minute.
#[derive(Serialize, ToSchema)]
pub(crate) struct MinuteAnswer {
    /// Its beginning.
    #[schema(format = DateTime)]
    at: String,
    requests: u64,
    /// Answered with 4xx: the caller's mistake.
    refused: u64,
    /// Answered with 5xx: ours.
    failed: u64,
    /// Events stored.
    events: u64,
    /// Events refused.
    rejected: u64,
    decisions: u64,
    /// Of the decisions, those that the live model answered.
    by_model: u64,
    /// Of recommendations and searches, from the request's head to its answer; absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    p99_ms: Option<f64>,
}

impl From<Minute> for MinuteAnswer {
    fn from(minute: Minute) -> Self {
        Self {
            at: TimestampMs(minute.number * MINUTE_MS).to_string(),
            requests: minute.requests,
            refused: minute.refused,
            failed: minute.failed,
            events: minute.events,
            rejected: minute.rejected,
            decisions: minute.decisions,
            by_model: minute.by_model,
            p50_ms: minute.latency_ms(0.5),
            p99_ms: minute.latency_ms(0.99),
        }
    }
}

/// Activity
///
/// Requests, events, decisions and latencies of each minute of the last day, since the server was started.
#[utoipa::path(get, path = "/v1/activity", tag = "operating", params(ActivityQuery),
    responses((status = 200, description = "Minute by minute", body = ActivityAnswer)))]
pub(crate) async fn list_activity(
    State(app): State<Shared>,
    Query(query): Query<ActivityQuery>,
) -> Result<Response, Problem> {
    let count = query.minutes.unwrap_or(60);
    if !(1..=MINUTES).contains(&count) {
        return Err(Problem::mistake("minutes", "out_of_range", format!("{count} is not from 1 to {MINUTES}")));
    }
    let minutes = app.activity.last(app.parts.clock.now(), count).into_iter().map(MinuteAnswer::from).collect();
    Ok(Answered(ActivityAnswer { started_at: app.activity.started_at.to_string(), minutes }).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: TimestampMs = TimestampMs(1_000_000 * MINUTE_MS);

    #[test]
    fn each_minute_has_its_own_and_yesterdays_are_forgotten() {
        let activity = Activity::new(START);
        activity.count_events(START, 3);
        activity.count_events(START.plus_ms(2 * MINUTE_MS), 5);
        let events =
            |now, count| -> Vec<u64> { activity.last(now, count).iter().map(|minute| minute.events).collect() };
        assert_eq!(events(START.plus_ms(2 * MINUTE_MS), 60), [3, 0, 5]);
        assert_eq!(events(START.plus_ms(2 * MINUTE_MS), 2), [0, 5]);
        let day_later = START.plus_ms(MINUTES as i64 * MINUTE_MS);
        assert_eq!(events(day_later, 1), [0], "the slot was yesterday's");
    }

    #[test]
    fn percentiles_are_those_of_the_answers() {
        let activity = Activity::new(START);
        for _ in 0..98 {
            activity.count_request(START, 200, 800, true);
        }
        for _ in 0..2 {
            activity.count_request(START, 503, 80_000, true);
        }
        activity.count_request(START, 404, 5_000_000, false);
        let minute = MinuteAnswer::from(activity.last(START, 1).remove(0));
        assert_eq!((minute.requests, minute.refused, minute.failed), (101, 1, 2));
        let (p50, p99) = (minute.p50_ms.unwrap(), minute.p99_ms.unwrap());
        assert!((0.65..=1.0).contains(&p50), "{p50}");
        assert!((25.0..=100.0).contains(&p99), "{p99}");
        assert_eq!(Minute::default().latency_ms(0.5), None);
    }
}
