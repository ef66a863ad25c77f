//! Which events are in the log? Ids of events are as good as random, and an index that takes random ids one by one
//! rewrites a page for each: it, not the log, would decide how many events a second can be stored. So the newest ids wait in
//! memory and are filed in the order of the index, a stretch of it with every commit: ids that go to one page go
//! together. What was waiting when the process ended is read from the log again at the next start.

use std::collections::{BTreeMap, HashSet};

use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::log::{last_place, offset};
use super::sqlite::explain;
use crate::{LogOffset, Result};

const WHAT: &str = "event log";
/// Ids that wait in memory, 15 MB of them. A page of the index is written once for so many of them as there are pages.
const WAITING: usize = 200_000;

/// `filed` holds the place up to which every id is in `ids`.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS ids (id BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS filed (one INTEGER PRIMARY KEY CHECK (one = 1), until INTEGER NOT NULL);
";

type Id = [u8; 16];

/// Ids of the transaction under way, oldest first.
#[derive(Default)]
pub(super) struct Arrived {
    ids: HashSet<Id, rustc_hash::FxBuildHasher>,
    places: Vec<(Id, i64)>,
}

impl Arrived {
    pub(super) fn contains(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn add(&mut self, id: Id, place: i64) {
        self.ids.insert(id);
        self.places.push((id, place));
    }
}

/// What a transaction did to the index; it counts once that is committed.
pub(super) struct Filed {
    arrived: Arrived,
    gone: Vec<Id>,
    sweep: Sweep,
}

/// The way through the index: from its begin to its end, then again.
#[derive(Debug, Clone, Copy, Default)]
struct Sweep {
    /// Ids before it are filed, as far as they waited when the sweep began.
    next: Option<Id>,
    /// Where the log ended when the sweep began.
    began_at: i64,
}

#[derive(Default)]
struct Waiting {
    places: BTreeMap<Id, i64>,
    sweep: Sweep,
}

pub(super) struct IdIndex {
    waiting: RwLock<Waiting>,
    /// How many may wait.
    bound: usize,
}

impl IdIndex {
    pub(super) fn open(connection: &Connection) -> Result<Self> {
        Self::with_bound(connection, WAITING)
    }

    fn with_bound(connection: &Connection, bound: usize) -> Result<Self> {
        connection.execute_batch(SCHEMA).map_err(|error| explain(WHAT, &error))?;
        let index = Self { waiting: RwLock::default(), bound };
        index.read_unfiled(connection)?;
        Ok(index)
    }

    /// Reads the ids that are not filed; where those are more than may wait, files them.
    fn read_unfiled(&self, connection: &Connection) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        loop {
            let until = filed_until(connection)?;
            let mut select = connection
                .prepare_cached("SELECT id, place FROM events WHERE place > $1 ORDER BY place LIMIT $2")
                .map_err(fail)?;
            let rows = select
                .query_map([until, self.bound as i64 + 1], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, i64>(1)?)))
                .map_err(fail)?;
            let unfiled: Vec<(Id, i64)> = rows.collect::<rusqlite::Result<_>>().map_err(fail)?;
            let newest = unfiled.last().map_or(until, |(_, place)| *place);
            let complete = unfiled.len() <= self.bound;
            let mut waiting = self.waiting.write();
            waiting.places = unfiled.into_iter().collect();
            waiting.sweep = Sweep { next: None, began_at: newest };
            if complete {
                return Ok(());
            }
            let transaction = connection.unchecked_transaction().map_err(fail)?;
            insert(&transaction, waiting.places.iter())?;
            note_filed(&transaction, newest)?;
            transaction.commit().map_err(fail)?;
            waiting.places.clear();
        }
    }

    /// Where the event with this id is.
    pub(super) fn place_of(&self, connection: &Connection, id: &Id) -> Result<Option<LogOffset>> {
        if let Some(place) = self.waiting.read().places.get(id) {
            return Ok(Some(LogOffset(*place as u64)));
        }
        connection
            .prepare_cached("SELECT place FROM ids WHERE id = $1")
            .and_then(|mut statement| statement.query_row([&id[..]], offset).optional())
            .map_err(|error| explain(WHAT, &error))
    }

    /// Files as many ids as there are too many with those that arrived. `end`: the place of the newest event.
    pub(super) fn file_some(&self, transaction: &Transaction<'_>, arrived: Arrived, end: i64) -> Result<Filed> {
        let waiting = self.waiting.read();
        let mut sweep = waiting.sweep;
        let excess = (waiting.places.len() + arrived.places.len()).saturating_sub(self.bound);
        let mut gone = Vec::new();
        if excess > 0 {
            let from = sweep.next.unwrap_or_default();
            let mut stretch: Vec<(&Id, &i64)> = waiting.places.range(from..).take(excess + 1).collect();
            sweep.next = if stretch.len() > excess { stretch.pop().map(|(id, _)| *id) } else { None };
            insert(transaction, stretch.iter().copied())?;
            gone.extend(stretch.iter().map(|(id, _)| **id));
            if sweep.next.is_none() {
                // All that waited when this sweep began is filed.
                note_filed(transaction, sweep.began_at)?;
                sweep.began_at = end;
            }
        }
        Ok(Filed { arrived, gone, sweep })
    }

    pub(super) fn committed(&self, filed: Filed) {
        let mut waiting = self.waiting.write();
        for id in &filed.gone {
            waiting.places.remove(id);
        }
        waiting.places.extend(filed.arrived.places);
        waiting.sweep = filed.sweep;
    }

    pub(super) fn file_all(&self, connection: &mut Connection) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let mut waiting = self.waiting.write();
        if waiting.places.is_empty() {
            return Ok(());
        }
        let transaction = connection.transaction().map_err(fail)?;
        let Some(end) = last_place(&transaction)? else { return Ok(()) };
        insert(&transaction, waiting.places.iter())?;
        note_filed(&transaction, end.0 as i64)?;
        transaction.commit().map_err(fail)?;
        waiting.places.clear();
        Ok(())
    }

    /// Takes the ids of the events at these places from the index; returns them.
    pub(super) fn remove(&self, transaction: &Transaction<'_>, places: &[LogOffset]) -> Result<Vec<Id>> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let mut select = transaction.prepare_cached("SELECT id FROM events WHERE place = $1").map_err(fail)?;
        let mut delete = transaction.prepare_cached("DELETE FROM ids WHERE id = $1").map_err(fail)?;
        let mut removed = Vec::with_capacity(places.len());
        for place in places {
            let id: Option<Id> = select.query_row([place.0 as i64], |row| row.get(0)).optional().map_err(fail)?;
            let Some(id) = id else { continue };
            delete.execute([&id[..]]).map_err(fail)?;
            removed.push(id);
        }
        Ok(removed)
    }

    pub(super) fn forget(&self, erased: &[Id]) {
        let mut waiting = self.waiting.write();
        for id in erased {
            waiting.places.remove(id);
        }
    }
}

/// Ids that are filed already stay: what is read again after a crash may be.
fn insert<'i>(transaction: &Transaction<'_>, ids: impl Iterator<Item = (&'i Id, &'i i64)>) -> Result<()> {
    let fail = |error: rusqlite::Error| explain(WHAT, &error);
    let sql = "INSERT INTO ids (id, place) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    let mut insert = transaction.prepare_cached(sql).map_err(fail)?;
    for (id, place) in ids {
        insert.execute((&id[..], place)).map_err(fail)?;
    }
    Ok(())
}

fn note_filed(transaction: &Transaction<'_>, until: i64) -> Result<()> {
    let sql = "INSERT INTO filed (one, until) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET until = excluded.until";
    transaction
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([until]))
        .map(drop)
        .map_err(|error| explain(WHAT, &error))
}

fn filed_until(connection: &Connection) -> Result<i64> {
    connection
        .query_row("SELECT until FROM filed", [], |row| row.get(0))
        .optional()
        .map(|until| until.unwrap_or(0))
        .map_err(|error| explain(WHAT, &error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE events (place INTEGER PRIMARY KEY, id BLOB, subject BLOB)").unwrap();
        connection
    }

    fn id(number: u16) -> Id {
        *blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap()
    }

    /// Stores what is not there yet, as the log's writer does. Returns how many were.
    fn store(index: &IdIndex, connection: &mut Connection, end: &mut i64, ids: &[u16], commits: bool) -> usize {
        let transaction = connection.transaction().unwrap();
        let mut arrived = Arrived::default();
        let mut last = *end;
        for id in ids.iter().map(|number| id(*number)) {
            if arrived.contains(&id) || index.place_of(&transaction, &id).unwrap().is_some() {
                continue;
            }
            last += 1;
            let subject = [id[0] % 4; 16];
            transaction.execute("INSERT INTO events VALUES ($1, $2, $3)", (last, &id[..], &subject[..])).unwrap();
            arrived.add(id, last);
        }
        let stored = arrived.places.len();
        let filed = index.file_some(&transaction, arrived, last).unwrap();
        if !commits {
            return 0;
        }
        transaction.commit().unwrap();
        index.committed(filed);
        *end = last;
        stored
    }

    #[derive(Debug, Clone)]
    enum Step {
        Store(Vec<u16>),
        RollBack(Vec<u16>),
        /// The process ends without a word.
        Crash,
        Close,
        Erase(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ids = || proptest::collection::vec(0u16..400, 0..40);
        prop_oneof![
            8 => ids().prop_map(Step::Store),
            1 => ids().prop_map(Step::RollBack),
            2 => Just(Step::Crash),
            1 => Just(Step::Close),
            1 => (0u8..4).prop_map(Step::Erase),
        ]
    }

    proptest! {
        #[test]
        fn every_id_is_found_once_whatever_happens(steps in proptest::collection::vec(step(), 1..60)) {
            const BOUND: usize = 16;
            let mut connection = database();
            let mut index = IdIndex::with_bound(&connection, BOUND).unwrap();
            let mut end = 0;
            let mut known: std::collections::BTreeSet<u16> = Default::default();
            for step in steps {
                match step {
                    Step::Store(ids) => {
                        let before = known.len();
                        known.extend(&ids);
                        let stored = store(&index, &mut connection, &mut end, &ids, true);
                        prop_assert_eq!(stored, known.len() - before);
                    }
                    Step::RollBack(ids) => { store(&index, &mut connection, &mut end, &ids, false); }
                    Step::Crash => index = IdIndex::with_bound(&connection, BOUND).unwrap(),
                    Step::Close => {
                        index.file_all(&mut connection).unwrap();
                        prop_assert!(index.waiting.read().places.is_empty());
                        index = IdIndex::with_bound(&connection, BOUND).unwrap();
                        prop_assert!(index.waiting.read().places.is_empty());
                    }
                    Step::Erase(subject) => {
                        let transaction = connection.transaction().unwrap();
                        let places: Vec<LogOffset> = transaction
                            .prepare("SELECT place FROM events WHERE subject = $1").unwrap()
                            .query_map([&[subject; 16][..]], offset).unwrap()
                            .collect::<rusqlite::Result<_>>().unwrap();
                        let erased = index.remove(&transaction, &places).unwrap();
                        transaction.execute("DELETE FROM events WHERE subject = $1", [&[subject; 16][..]]).unwrap();
                        transaction.commit().unwrap();
                        index.forget(&erased);
                        known.retain(|number| id(*number)[0] % 4 != subject);
                    }
                }
                prop_assert!(index.waiting.read().places.len() <= BOUND + 40);
                for number in 0..400 {
                    let place = index.place_of(&connection, &id(number)).unwrap();
                    prop_assert_eq!(place.is_some(), known.contains(&number), "{}", number);
                }
            }
        }
    }
}
