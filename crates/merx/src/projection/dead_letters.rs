//! Events that can't be applied, set aside so that those behind them go on, until somebody has mended why and has them applied again.
//!
//! A row holds the event's place in the log and why it was set aside. The event stays where it is: there is no second copy that erasing a
//! person would have to find.

use std::collections::BTreeSet;
use std::sync::Arc;

use merx_domain::{Clock, Event, TimestampMs};
use merx_serve::DeadLetter;
use merx_store::{LogOffset, Migration, Records, Result, Row, StoreError, Value};
use parking_lot::Mutex;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-22-merx-006-dead-letters",
    sql: "CREATE TABLE dead_letters (
            place BIGINT PRIMARY KEY,
            event_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            detail TEXT NOT NULL,
            at BIGINT NOT NULL,
            attempts BIGINT NOT NULL
          )",
};

/// Where so many can't be applied, it is not the events: nothing more is set aside, and applying stands still until that is mended.
const MOST: usize = 1_000;

pub(crate) struct DeadLetters {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    /// Their places; `None`: to be read, for another process may have changed them.
    places: Mutex<Option<BTreeSet<u64>>>,
}

/// Whether it would be the same at the next attempt, with all services well.
pub(super) fn is_of_the_event(error: &StoreError) -> bool {
    matches!(error, StoreError::TooLarge { .. } | StoreError::Damaged { .. })
}

impl DeadLetters {
    /// The migration must have run on `records`.
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, places: Mutex::default() }
    }

    /// Reads anew what is set aside, before it is needed the next time.
    pub(super) fn reload(&self) {
        *self.places.lock() = None;
    }

    fn with_places<T>(&self, look: impl FnOnce(&mut BTreeSet<u64>) -> T) -> Result<T> {
        let mut places = self.places.lock();
        let known = match places.take() {
            Some(known) => known,
            None => {
                let rows = self.records.query("SELECT place FROM dead_letters", &[])?;
                let place = |Row(columns): Row| match columns.as_slice() {
                    [Value::Integer(place)] => u64::try_from(*place).ok(),
                    _ => None,
                };
                rows.into_iter().filter_map(place).collect()
            }
        };
        Ok(look(places.insert(known)))
    }

    pub(super) fn has(&self, place: LogOffset) -> Result<bool> {
        self.with_places(|places| places.contains(&place.0))
    }

    pub(super) fn places(&self) -> Result<BTreeSet<u64>> {
        self.with_places(|places| places.clone())
    }

    /// Sets an event aside, or counts one more attempt at it.
    pub(super) fn put(&self, place: LogOffset, event: &Event, error: StoreError) -> Result<()> {
        if !self.has(place)? && self.places()?.len() >= MOST {
            tracing::error!(
                most = MOST,
                "too many events can't be applied for it to be their own fault; none is set aside any more"
            );
            return Err(error);
        }
        tracing::error!(place = place.0, %error, "an event can't be applied and is set aside");
        let row = [
            integer(place.0),
            Value::Text(event.id.to_string()),
            Value::Text(event.kind.name().to_owned()),
            Value::Text(error.to_string()),
            Value::Integer(self.clock.now().0),
        ];
        self.records.transaction(&mut |transaction| {
            let sql = "INSERT INTO dead_letters (place, event_id, kind, detail, at, attempts) VALUES ($1, $2, $3, $4, $5, 1)
                       ON CONFLICT (place) DO UPDATE SET detail = excluded.detail, attempts = dead_letters.attempts + 1";
            transaction.execute(sql, &row).map(drop)
        })?;
        self.with_places(|places| places.insert(place.0)).map(drop)
    }

    /// Whether there was one at this place.
    pub(crate) fn remove(&self, place: u64) -> Result<bool> {
        let mut removed = 0;
        self.records.transaction(&mut |transaction| {
            removed = transaction.execute("DELETE FROM dead_letters WHERE place = $1", &[integer(place)])?;
            Ok(())
        })?;
        self.with_places(|places| places.remove(&place))?;
        Ok(removed > 0)
    }

    /// By place, the earliest first.
    pub(crate) fn list(&self) -> Result<Vec<DeadLetter>> {
        let sql = "SELECT place, event_id, kind, detail, at, attempts FROM dead_letters ORDER BY place";
        let letter = |Row(columns): Row| match <[Value; 6]>::try_from(columns) {
            Ok(
                [
                    Value::Integer(place),
                    Value::Text(event_id),
                    Value::Text(kind),
                    Value::Text(detail),
                    Value::Integer(at),
                    Value::Integer(attempts),
                ],
            ) => Some(DeadLetter {
                place: u64::try_from(place).ok()?,
                event_id,
                kind,
                detail,
                at: TimestampMs(at),
                attempts: u64::try_from(attempts).unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(self.records.query(sql, &[])?.into_iter().filter_map(letter).collect())
    }
}

fn integer(place: u64) -> Value {
    Value::Integer(i64::try_from(place).unwrap_or(i64::MAX))
}
