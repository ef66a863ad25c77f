//! Rows of events: place, id, subject, where the body lies, and its key.

use std::collections::HashSet;
use std::sync::Arc;

use merx_domain::{EventId, SubjectId};
use merx_store::{LogOffset, Migration, Records, Result, Row, StoreError, Value};

use super::bodies::Place;
use super::seal::Key;
use super::{WHAT, damaged};

/// What `Records` must have been opened with.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "2026-11-21-900-kafka-log",
    sql: "CREATE TABLE log_events (
        place BIGINT PRIMARY KEY,
        id BYTEA NOT NULL UNIQUE,
        subject BYTEA NOT NULL,
        body_partition BIGINT NOT NULL,
        body_offset BIGINT NOT NULL,
        body_key BYTEA NOT NULL
    );
    CREATE INDEX log_events_by_subject ON log_events (subject, place);
    CREATE TABLE log_ends (one BIGINT PRIMARY KEY, furthest BIGINT NOT NULL);
    INSERT INTO log_ends (one, furthest) VALUES (1, 0);
    CREATE TABLE log_checkpoints (reader TEXT PRIMARY KEY, place BIGINT NOT NULL)",
}];

/// Rows, or ids, of one statement.
const CHUNK: usize = 500;
const COLUMNS: usize = 6;
const INSERT: &str = "INSERT INTO log_events (place, id, subject, body_partition, body_offset, body_key) VALUES";

/// An event whose body is in the topic.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) id: EventId,
    pub(super) subject: SubjectId,
    pub(super) body: Place,
    pub(super) key: Key,
}

pub(super) struct Index {
    records: Arc<dyn Records>,
}

impl Index {
    pub(super) fn open(records: Arc<dyn Records>) -> Result<Self> {
        let index = Self { records };
        match index.records.query("SELECT furthest FROM log_ends WHERE one = 1", &[])?.len() {
            1 => Ok(index),
            _ => Err(damaged("its row of ends is gone from the records".into())),
        }
    }

    /// Gives places to what is new, batch after batch, in one transaction. The ids stored, by batch.
    pub(super) fn add(&self, batches: &[&[Located]]) -> Result<Vec<HashSet<EventId>>> {
        let events: Vec<(usize, &Located)> = batches
            .iter()
            .enumerate()
            .flat_map(|(batch, located)| located.iter().map(move |one| (batch, one)))
            .collect();
        let mut outcomes = Vec::new();
        self.records.transaction(&mut |transaction| {
            outcomes = vec![HashSet::new(); batches.len()];
            let sql = "UPDATE log_ends SET furthest = furthest + $1 WHERE one = 1 RETURNING furthest";
            let furthest = transaction.query(sql, &[Value::Integer(events.len() as i64)])?;
            let furthest = furthest.first().map_or(Err(broken()), |row| integer(row, 0))?;
            let mut place = furthest - events.len() as i64;
            let mut seen = HashSet::new();
            for some in events.chunks(CHUNK) {
                let mut parameters = Vec::with_capacity(some.len() * COLUMNS);
                let mut first_batch = std::collections::HashMap::new();
                for (batch, event) in some {
                    place += 1;
                    if seen.insert(event.id) {
                        first_batch.insert(event.id.to_bytes().to_vec(), (*batch, event.id));
                        parameters.extend(row(place, event));
                    }
                }
                let rows = values(parameters.len() / COLUMNS, COLUMNS);
                let sql = format!("{INSERT} {rows} ON CONFLICT (id) DO NOTHING RETURNING id");
                if parameters.is_empty() {
                    continue;
                }
                for row in transaction.query(&sql, &parameters)? {
                    let Some((batch, id)) = first_batch.get(bytes(&row, 0)?) else { return Err(broken()) };
                    outcomes[*batch].insert(*id);
                }
            }
            Ok(())
        })?;
        Ok(outcomes)
    }

    /// Rows at given places, all or none.
    pub(super) fn restore(&self, events: &[(LogOffset, Located)]) -> Result<()> {
        let Some(((first, _), (last, _))) = events.first().zip(events.last()) else { return Ok(()) };
        let conflict = |detail: &str| Err(StoreError::Conflict { what: WHAT, detail: detail.to_owned() });
        if !events.is_sorted_by(|a, b| a.0 < b.0) {
            return conflict("places of restored events must grow");
        }
        self.records.transaction(&mut |transaction| {
            let sql = "UPDATE log_ends SET furthest = $1 WHERE one = 1 AND furthest < $2";
            let ends = [Value::Integer(last.0 as i64), Value::Integer(first.0 as i64)];
            if transaction.execute(sql, &ends)? != 1 {
                return conflict("places were given up to there already");
            }
            for some in events.chunks(CHUNK) {
                let parameters: Vec<Value> =
                    some.iter().flat_map(|(place, event)| row(place.0 as i64, event)).collect();
                transaction.execute(&format!("{INSERT} {}", values(some.len(), COLUMNS)), &parameters)?;
            }
            Ok(())
        })
    }

    /// Those of the ids that are stored.
    pub(super) fn known(&self, ids: impl IntoIterator<Item = EventId>) -> Result<Vec<EventId>> {
        let ids: Vec<EventId> = ids.into_iter().collect();
        let mut known = Vec::new();
        for some in ids.chunks(CHUNK) {
            let sql = format!("SELECT id FROM log_events WHERE id IN {}", values(1, some.len()));
            let parameters: Vec<Value> = some.iter().map(|id| Value::Bytes(id.to_bytes().to_vec())).collect();
            let rows = self.records.query(&sql, &parameters)?;
            for row in &rows {
                known.push(EventId(u128::from_be_bytes(fixed(row, 0)?)));
            }
        }
        Ok(known)
    }

    pub(super) fn read(
        &self,
        subjects: Option<&[SubjectId]>,
        after: Option<LogOffset>,
        limit: usize,
    ) -> Result<Vec<(LogOffset, Located)>> {
        let mut parameters = vec![
            Value::Integer(after.map_or(-1, |offset| offset.0 as i64)),
            Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)),
        ];
        let of_subjects = match subjects {
            None => String::new(),
            Some([]) => return Ok(Vec::new()),
            Some(subjects) => {
                let places: Vec<String> = (3..3 + subjects.len()).map(|number| format!("${number}")).collect();
                parameters.extend(subjects.iter().map(subject_value));
                format!("AND subject IN ({})", places.join(", "))
            }
        };
        let sql = format!(
            "SELECT place, id, subject, body_partition, body_offset, body_key FROM log_events
             WHERE place > $1 {of_subjects} ORDER BY place LIMIT $2"
        );
        self.records.query(&sql, &parameters)?.iter().map(located).collect()
    }

    pub(super) fn end(&self) -> Result<Option<LogOffset>> {
        let rows = self.records.query("SELECT place FROM log_events ORDER BY place DESC LIMIT 1", &[])?;
        rows.first().map(|row| integer(row, 0).map(|place| LogOffset(place as u64))).transpose()
    }

    pub(super) fn checkpoint(&self, reader: &str) -> Result<Option<LogOffset>> {
        let sql = "SELECT place FROM log_checkpoints WHERE reader = $1";
        let rows = self.records.query(sql, &[Value::Text(reader.to_owned())])?;
        rows.first().map(|row| integer(row, 0).map(|place| LogOffset(place as u64))).transpose()
    }

    pub(super) fn commit(&self, reader: &str, offset: LogOffset) -> Result<()> {
        let sql = "INSERT INTO log_checkpoints (reader, place) VALUES ($1, $2)
                   ON CONFLICT (reader) DO UPDATE SET place = excluded.place";
        let parameters = [Value::Text(reader.to_owned()), Value::Integer(offset.0 as i64)];
        self.records.transaction(&mut |transaction| transaction.execute(sql, &parameters).map(drop))
    }

    /// Takes out rows, all or none; how many there were.
    pub(super) fn remove(&self, offsets: &[LogOffset]) -> Result<u64> {
        let values: Vec<Value> = offsets.iter().map(|offset| Value::Integer(offset.0 as i64)).collect();
        self.delete("place", &values)
    }

    pub(super) fn erase(&self, subjects: &[SubjectId]) -> Result<u64> {
        self.delete("subject", &subjects.iter().map(subject_value).collect::<Vec<_>>())
    }

    fn delete(&self, column: &str, of: &[Value]) -> Result<u64> {
        let mut removed = 0;
        self.records.transaction(&mut |transaction| {
            removed = 0;
            for some in of.chunks(CHUNK) {
                let sql = format!("DELETE FROM log_events WHERE {column} IN {}", values(1, some.len()));
                removed += transaction.execute(&sql, some)?;
            }
            Ok(())
        })?;
        Ok(removed)
    }
}

fn row(place: i64, event: &Located) -> [Value; COLUMNS] {
    [
        Value::Integer(place),
        Value::Bytes(event.id.to_bytes().to_vec()),
        subject_value(&event.subject),
        Value::Integer(event.body.partition.into()),
        Value::Integer(event.body.offset),
        Value::Bytes(event.key.to_vec()),
    ]
}

fn located(row: &Row) -> Result<(LogOffset, Located)> {
    let partition = i32::try_from(integer(row, 3)?).map_err(|_| broken())?;
    let located = Located {
        id: EventId(u128::from_be_bytes(fixed(row, 1)?)),
        subject: SubjectId(u128::from_be_bytes(fixed(row, 2)?)),
        body: Place { partition, offset: integer(row, 4)? },
        key: fixed(row, 5)?,
    };
    Ok((LogOffset(integer(row, 0)? as u64), located))
}

fn subject_value(subject: &SubjectId) -> Value {
    Value::Bytes(subject.to_bytes().to_vec())
}

/// `($1, $2), ($3, $4)` for two rows of two.
fn values(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

fn integer(row: &Row, column: usize) -> Result<i64> {
    match row.0.get(column) {
        Some(Value::Integer(integer)) => Ok(*integer),
        _ => Err(broken()),
    }
}

fn bytes(row: &Row, column: usize) -> Result<&Vec<u8>> {
    match row.0.get(column) {
        Some(Value::Bytes(bytes)) => Ok(bytes),
        _ => Err(broken()),
    }
}

fn fixed<const N: usize>(row: &Row, column: usize) -> Result<[u8; N]> {
    bytes(row, column)?.as_slice().try_into().map_err(|_| broken())
}

fn broken() -> StoreError {
    StoreError::Damaged { what: WHAT, detail: "its rows in the records are not what was written".into() }
}
