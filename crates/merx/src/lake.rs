//! The job that writes new events of the log to the lake, where any engine that reads Parquet finds them by day.

use anyhow::{Context, Result};
use merx_domain::TimestampMs;
use merx_store::lake_events::{EVENTS_TABLE, READER, export_events};
use merx_store::{Store, StoreError};
use serde_json::{Value, json};

use crate::config::Lake as Settings;
use crate::jobs::{Say, Step};

/// Exports everything that is new, late events into their own day, and merges the parts of days that are over. Killed in
/// between and run again it ends in the same files.
pub(crate) fn export(store: &Store, now: TimestampMs, say: Say) -> Result<Value> {
    let waiting = waiting(store)?;
    let mut exported = 0;
    loop {
        say(Step::part("writing events to the lake", exported, waiting.max(exported)))?;
        match export_events(&*store.log, &*store.lake).context("writing to the lake")? {
            0 => break,
            count => exported += count as u64,
        }
    }
    let days = store.lake.days(EVENTS_TABLE)?;
    let over: Vec<i32> = days.iter().copied().filter(|day| *day < now.day()).collect();
    for (number, day) in over.iter().enumerate() {
        say(Step::part("merging the parts of days", number as u64, over.len() as u64))?;
        store.lake.compact(EVENTS_TABLE, *day)?;
    }
    Ok(json!({ "events": exported, "days_in_lake": days.len() }))
}

/// Once the day (UTC) of the oldest waiting event's arrival is over, or so many wait. Nothing but the log is asked, so a
/// restart forgets no export.
pub(crate) fn export_is_due(store: &Store, settings: &Settings, now: TimestampMs) -> Result<bool, StoreError> {
    if !settings.export {
        return Ok(false);
    }
    let oldest = store.log.read(store.log.checkpoint(READER)?, 1)?;
    let Some((_, event)) = oldest.first() else { return Ok(false) };
    Ok(event.received_at.day() < now.day() || waiting(store)? >= settings.after_events)
}

/// Events that are not in the lake yet, at most: offsets have gaps.
fn waiting(store: &Store) -> Result<u64, StoreError> {
    let end = store.log.end()?.map_or(0, |offset| offset.0);
    Ok(end.saturating_sub(store.log.checkpoint(READER)?.map_or(0, |offset| offset.0)))
}

#[cfg(test)]
mod tests {
    use merx_domain::{DAY_MS, Event, EventId};
    use merx_store::LogSettings;
    use merx_store::conformance::sample_event;

    use super::*;

    const NOON: TimestampMs = TimestampMs(20_000 * DAY_MS + DAY_MS / 2);

    fn event(id: u128, occurred_at: TimestampMs, received_at: TimestampMs) -> Event {
        Event { id: EventId(id), occurred_at, received_at, ..sample_event(id) }
    }

    fn rows_by_day(store: &Store) -> Vec<(i32, usize)> {
        let rows = |day| {
            let mut rows = 0;
            store
                .lake
                .scan(EVENTS_TABLE, day, &mut |batch| {
                    rows += batch.num_rows();
                    Ok(())
                })
                .unwrap();
            rows
        };
        store.lake.days(EVENTS_TABLE).unwrap().into_iter().map(|day| (day, rows(day))).collect()
    }

    #[test]
    fn events_reach_the_lake_once_in_the_day_they_happened() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), &[], LogSettings::default()).unwrap();
        let settings = Settings { export: true, after_events: 3 };
        let due = |now| export_is_due(&store, &settings, now).unwrap();
        let exported = |now| export(&store, now, &|_| Ok(())).unwrap()["events"].as_u64().unwrap();
        assert!(!due(NOON), "nothing is waiting");
        store.log.append(vec![event(1, NOON, NOON), event(2, NOON, NOON)]).unwrap();
        assert!(!due(NOON) && due(NOON.plus_ms(DAY_MS)), "once the day is over");
        let late = event(3, NOON.plus_ms(-2 * DAY_MS), NOON);
        store.log.append(vec![late]).unwrap();
        assert!(due(NOON), "or so many wait");
        assert_eq!(exported(NOON), 3);
        assert_eq!(rows_by_day(&store), [(19_998, 1), (20_000, 2)]);
        assert!(!due(NOON.plus_ms(DAY_MS)));
        assert_eq!(exported(NOON), 0);

        // Late events join the files of a day that was merged before.
        let tomorrow = NOON.plus_ms(DAY_MS);
        store.log.append(vec![event(4, NOON.plus_ms(1), tomorrow), event(5, tomorrow, tomorrow)]).unwrap();
        assert_eq!(exported(tomorrow), 2);
        assert_eq!(rows_by_day(&store), [(19_998, 1), (20_000, 3), (20_001, 1)]);
    }

    #[test]
    fn an_export_that_is_broken_off_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), &[], LogSettings::default()).unwrap();
        store.log.append((0..10).map(|id| event(id, NOON, NOON)).collect()).unwrap();
        let stop_at = |calls: usize| {
            let left = std::cell::Cell::new(calls);
            export(&store, NOON.plus_ms(DAY_MS), &|_| {
                left.set(left.get().checked_sub(1).context("the server stops")?);
                Ok(())
            })
        };
        assert!(stop_at(0).is_err());
        assert!(stop_at(1).is_err());
        assert!(stop_at(9).is_ok());
        assert_eq!(rows_by_day(&store), [(20_000, 10)]);
    }
}
