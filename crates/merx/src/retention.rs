//! Old events leave the log and the lake, each kind after its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use merx_domain::{DAY_MS, EventKind, TimestampMs};
use merx_store::lake_events::EVENTS_TABLE;
use merx_store::{LogOffset, Scrub, Store};
use serde_json::{Value, json};

use crate::config::Retention;
use crate::jobs::{Say, Step};

/// Events looked at, and removed, together.
const PAGE: usize = 10_000;

/// The lake is gone through at the first run of a process even where the log lost nothing: the run before may have been
/// broken off in between.
static LAKE_SEEN: AtomicBool = AtomicBool::new(false);

/// Up to when events of each kind have had their time.
pub(crate) struct Limits {
    by_kind: HashMap<EventKind, TimestampMs>,
}

impl Limits {
    /// `None`: everything is kept for good.
    pub(crate) fn of(settings: &Retention, now: TimestampMs) -> Option<Self> {
        let days = |kind: &EventKind| {
            let own = settings.kinds.iter().find(|(name, _)| EventKind::from_track_name(name) == Some(*kind));
            own.map_or(settings.events_days, |(_, days)| *days)
        };
        let limit = |kind: &EventKind| match days(kind) {
            0 => None,
            days => Some((*kind, now.plus_ms(-i64::from(days) * DAY_MS))),
        };
        let by_kind: HashMap<_, _> = EventKind::ALL.iter().filter_map(limit).collect();
        (!by_kind.is_empty()).then_some(Self { by_kind })
    }

    fn is_over(&self, kind: EventKind, occurred_at: TimestampMs) -> bool {
        self.by_kind.get(&kind).is_some_and(|until| occurred_at < *until)
    }
}

/// Removes what has had its time. Broken off, it is simply run again.
pub(crate) fn let_go(store: &Store, limits: &Limits, say: Say) -> Result<Value> {
    let end = store.log.end()?.map_or(0, |end| end.0);
    let (mut after, mut removed) = (None, 0);
    loop {
        say(Step::part("letting old events go", after.map_or(0, |place: LogOffset| place.0), end))?;
        let page = store.log.read(after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let over = page.iter().filter(|(_, event)| limits.is_over(event.kind, event.occurred_at));
        let places: Vec<LogOffset> = over.map(|(place, _)| *place).collect();
        if !places.is_empty() {
            removed += store.log.remove(&places)?;
        }
    }
    let mut rows = 0;
    if removed > 0 || !LAKE_SEEN.load(Ordering::Relaxed) {
        say(Step::new("letting old rows of the lake go"))?;
        rows = store.lake.rewrite(EVENTS_TABLE, &|batch| kept(batch, limits))?;
        store.log.scrub(Scrub::Journals)?;
        LAKE_SEEN.store(true, Ordering::Relaxed);
    }
    Ok(json!({ "events": removed, "lake_rows": rows }))
}

/// A table of another form is left alone.
fn kept(batch: &arrow::record_batch::RecordBatch, limits: &Limits) -> Vec<bool> {
    let columns = batch.column_by_name("kind").zip(batch.column_by_name("occurred_at"));
    let Some((kinds, times)) = columns else { return vec![true; batch.num_rows()] };
    let (Some(kinds), Some(times)) =
        (kinds.as_string_opt::<i32>(), times.as_primitive_opt::<TimestampMillisecondType>())
    else {
        return vec![true; batch.num_rows()];
    };
    let over = |(kind, at): (Option<&str>, Option<i64>)| {
        let kind = kind.and_then(EventKind::from_track_name);
        kind.zip(at).is_some_and(|(kind, at)| limits.is_over(kind, TimestampMs(at)))
    };
    kinds.iter().zip(times.iter()).map(|row| !over(row)).collect()
}

#[cfg(test)]
mod tests {
    use merx_domain::{Event, EventId, SubjectId};
    use merx_store::LogSettings;
    use merx_store::lake_events::export_events;

    use super::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS + DAY_MS / 2);

    fn limits(default: u32, kinds: &[(&str, u32)]) -> Option<Limits> {
        let kinds = kinds.iter().map(|(name, days)| ((*name).to_owned(), *days)).collect();
        Limits::of(&Retention { events_days: default, kinds }, NOW)
    }

    fn rows(store: &Store) -> Vec<i32> {
        let mut days = Vec::new();
        for day in store.lake.days(EVENTS_TABLE).unwrap() {
            let visit = &mut |batch: arrow::record_batch::RecordBatch| {
                days.extend(std::iter::repeat_n(day - 20_000, batch.num_rows()));
                Ok(())
            };
            store.lake.scan(EVENTS_TABLE, day, visit).unwrap();
        }
        days
    }

    #[test]
    fn each_kind_leaves_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), &[], LogSettings::default()).unwrap();
        let kinds = [EventKind::Page, EventKind::ProductViewed, EventKind::OrderCompleted];
        let ages: [i64; 4] = [1, 20, 40, 500];
        let events = ages.iter().enumerate().flat_map(|(number, age)| {
            kinds.iter().enumerate().map(move |(place, kind)| {
                let id = EventId((number * kinds.len() + place) as u128);
                Event::new(id, SubjectId(1), *kind, NOW.plus_ms(-age * DAY_MS))
            })
        });
        store.log.append(events.collect()).unwrap();
        assert_eq!(export_events(&*store.log, &*store.lake).unwrap(), 12);
        assert!(limits(0, &[]).is_none() && limits(0, &[("Page", 0)]).is_none());

        // Pages for 30 days, orders for good, all else for a year.
        let limits = limits(365, &[("Page", 30), ("Completed Order", 0)]).unwrap();
        let before = store.log.read(None, 100).unwrap();
        let result = let_go(&store, &limits, &|_| Ok(())).unwrap();
        assert_eq!(result, json!({ "events": 3, "lake_rows": 3 }));
        let kept: Vec<_> = before
            .into_iter()
            .filter(|(_, event)| {
                let age = NOW.since(event.occurred_at) / DAY_MS;
                match event.kind {
                    EventKind::Page => age <= 30,
                    EventKind::ProductViewed => age <= 365,
                    _ => true,
                }
            })
            .collect();
        assert_eq!(kept.len(), 9);
        assert_eq!(store.log.read(None, 100).unwrap(), kept, "the others keep their places");
        assert_eq!(rows(&store), [-500, -40, -40, -20, -20, -20, -1, -1, -1]);
        let again = let_go(&store, &limits, &|_| Ok(())).unwrap();
        assert_eq!(again, json!({ "events": 0, "lake_rows": 0 }));
        assert_eq!(export_events(&*store.log, &*store.lake).unwrap(), 0, "the export goes on where it was");
    }
}
