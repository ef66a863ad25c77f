//! What each person said last about the use of their data. Events that say nothing carry it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use merx_domain::{ConsentStamp, MINUTE_MS, Purposes, SubjectId, TimestampMs};
use merx_store::{Migration, Records, Row, StoreError, Transaction, Value};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::cache::BoundedMap;
use crate::rows::{Columns, Result, execute_in, insert, query_in, wide};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-014-consents",
    sql: "CREATE TABLE consents (
    subject BYTEA PRIMARY KEY,
    granted BIGINT NOT NULL,
    denied BIGINT NOT NULL,
    global_privacy_control BIGINT NOT NULL,
    said_at_ms BIGINT NOT NULL
);",
};

/// Clocks of machines differ by less: of two people's words that are no further apart it isn't known which was later.
const CLOCKS_DIFFER_MS: i64 = 10 * MINUTE_MS;

/// A decision waits so long for what is being said at the moment.
const LONGEST_WAIT: Duration = Duration::from_millis(150);

/// Stamps held in memory.
const CACHED_STAMPS: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    stamp: ConsentStamp,
    at: TimestampMs,
}

const NOTHING: Said = Said { stamp: EMPTY, at: TimestampMs(i64::MIN) };
const EMPTY: ConsentStamp =
    ConsentStamp { granted: Purposes::empty(), denied: Purposes::empty(), global_privacy_control: false };

/// One thing somebody said (or didn't), to be completed with what they said before.
#[derive(Debug)]
pub(crate) struct Saying<'e> {
    pub(crate) subject: SubjectId,
    pub(crate) merged_from: Option<SubjectId>,
    pub(crate) at: TimestampMs,
    /// Said to this server at this moment: later than what was said before, whatever another machine's clock said then.
    pub(crate) now: bool,
    /// An event of its own, not what every event says again.
    pub(crate) expressly: bool,
    pub(crate) stamp: &'e mut ConsentStamp,
}

pub struct Consents {
    records: Arc<dyn Records>,
    /// For decisions, which can't wait.
    prompt: Arc<dyn Records>,
    cache: Mutex<BoundedMap<SubjectId, Said>>,
    /// Another process writes: what is held in memory may be old.
    followed: AtomicBool,
    /// Held from the reading of what was said before to the writing of what is said now, so that no word is lost between.
    changing: Mutex<()>,
}

impl Consents {
    /// `prompt`: the same records, for who would rather have no answer than wait.
    pub fn new(records: Arc<dyn Records>, prompt: Arc<dyn Records>) -> Self {
        let cache = Mutex::new(BoundedMap::new(CACHED_STAMPS));
        Self { records, prompt, cache, followed: AtomicBool::new(false), changing: Mutex::default() }
    }

    /// Whether another process writes from now on: then nothing is held in memory.
    pub fn follow(&self, followed: bool) {
        let _held = self.changing.lock();
        if self.followed.swap(followed, Ordering::SeqCst) && followed {
            return;
        }
        *self.cache.lock() = BoundedMap::new(CACHED_STAMPS);
    }

    /// What is known of a person's consent; nothing where they said nothing. Never waits for long.
    pub fn of(&self, subject: SubjectId) -> Result<ConsentStamp> {
        if self.followed.load(Ordering::SeqCst) {
            let sql = "SELECT granted, denied, global_privacy_control FROM consents WHERE subject = $1";
            let rows = self.prompt.query(sql, &[wide(subject.0)])?;
            return rows.first().map_or(Ok(EMPTY), |row| stamp(row, 0));
        }
        if let Some(known) = self.cache.lock().get(&subject) {
            return Ok(known.stamp);
        }
        // Whoever holds it may wait for records that do not answer.
        let Some(_held) = self.changing.try_lock_for(LONGEST_WAIT) else {
            return Err(StoreError::Busy { what: "consent", retry_after_ms: 200 });
        };
        Ok(self.said(&*self.prompt, [subject].into_iter())?.get(&subject).map_or(EMPTY, |said| said.stamp))
    }

    /// What each of these people said, those left out who said nothing. Nothing of it stays in memory: it is asked for many at once.
    pub fn of_each(&self, subjects: &[SubjectId]) -> Result<FxHashMap<SubjectId, ConsentStamp>> {
        let list: Vec<Value> = subjects.iter().map(|subject| wide(subject.0)).collect();
        let sql = "SELECT subject, granted, denied, global_privacy_control FROM consents WHERE subject IN ({list})";
        let rows = query_in(|sql, values| self.records.query(sql, values), sql, &list)?;
        rows.iter().map(|row| Ok((SubjectId(row.wide(0)?), stamp(row, 1)?))).collect()
    }

    /// How many people said so, of each thing that somebody said.
    pub fn counts(&self) -> Result<Vec<(ConsentStamp, u64)>> {
        let sql = "SELECT granted, denied, global_privacy_control, COUNT(*) FROM consents
                   GROUP BY granted, denied, global_privacy_control";
        let rows = self.records.query(sql, &[])?;
        let counted = |row: &Row| Ok((stamp(row, 0)?, row.integer(3)?.cast_unsigned()));
        rows.iter().map(counted).collect()
    }

    pub fn forget(&self, subjects: &[SubjectId]) -> Result<()> {
        let list: Vec<Value> = subjects.iter().map(|subject| wide(subject.0)).collect();
        let _held = self.changing.lock();
        self.records.transaction(&mut |transaction| {
            execute_in(transaction, "DELETE FROM consents WHERE subject IN ({list})", &list)?;
            Ok(())
        })?;
        let mut cache = self.cache.lock();
        for subject in subjects {
            cache.remove(subject);
        }
        Ok(())
    }

    /// Completes each stamp with what the person said before, in order, and stores what is new before returning.
    pub(crate) fn complete(&self, sayings: Vec<Saying<'_>>) -> Result<()> {
        let subjects = sayings.iter().flat_map(|saying| [Some(saying.subject), saying.merged_from]).flatten();
        let _held = self.changing.lock();
        let mut said = self.said(&*self.records, subjects)?;
        let mut changed: FxHashMap<SubjectId, Said> = FxHashMap::default();
        for saying in sayings {
            let absorbed = saying.merged_from.and_then(|absorbed| said.get(&absorbed).copied());
            let own = said.entry(saying.subject).or_insert(NOTHING);
            let before = *own;
            if let Some(absorbed) = absorbed {
                *own = joined(absorbed, *own);
            }
            let at = if saying.now { saying.at.max(own.at) } else { saying.at };
            let spoken = Said { stamp: *saying.stamp, at };
            let complete = together(*own, spoken);
            *saying.stamp = complete.stamp;
            if spoken.stamp != EMPTY {
                *own = complete;
            }
            if own.stamp != before.stamp || (saying.expressly && own.at != before.at) {
                changed.insert(saying.subject, *own);
            } else if own.at != before.at {
                // Said again: an older word that comes late must not win. Kept in memory only, as most events say it again.
                self.cache.lock().insert(saying.subject, *own);
            }
        }
        self.store(&changed)
    }

    /// What one subject said is no longer believed from memory: it was joined with another's.
    pub(crate) fn reread(&self, subjects: impl Iterator<Item = SubjectId>) {
        let _held = self.changing.lock();
        let mut cache = self.cache.lock();
        subjects.for_each(|subject| cache.remove(&subject));
    }

    /// `changing` must be held.
    fn said(
        &self,
        records: &dyn Records,
        subjects: impl Iterator<Item = SubjectId>,
    ) -> Result<FxHashMap<SubjectId, Said>> {
        let mut said = FxHashMap::default();
        let mut unknown = Vec::new();
        {
            let mut cache = self.cache.lock();
            for subject in subjects {
                match cache.get(&subject) {
                    Some(known) => said.insert(subject, known),
                    None => said.insert(subject, NOTHING).map_or_else(
                        || {
                            unknown.push(wide(subject.0));
                            None
                        },
                        Some,
                    ),
                };
            }
        }
        if unknown.is_empty() {
            return Ok(said);
        }
        let sql = "SELECT subject, granted, denied, global_privacy_control, said_at_ms FROM consents \
                   WHERE subject IN ({list})";
        for row in query_in(|sql, values| records.query(sql, values), sql, &unknown)? {
            said.insert(SubjectId(row.wide(0)?), read(&row)?);
        }
        let mut cache = self.cache.lock();
        for (&subject, &known) in &said {
            cache.insert(subject, known);
        }
        Ok(said)
    }

    fn store(&self, changed: &FxHashMap<SubjectId, Said>) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let stored = self
            .records
            .transaction(&mut |transaction| write(transaction, changed.iter().map(|(id, said)| (*id, *said))));
        if stored.is_err() {
            // It may be stored all the same: what is held in memory is not to be believed.
            let mut cache = self.cache.lock();
            changed.keys().for_each(|subject| cache.remove(subject));
        }
        stored?;
        let mut cache = self.cache.lock();
        for (&subject, &said) in changed {
            cache.insert(subject, said);
        }
        Ok(())
    }
}

/// In the transaction in which one subject absorbs another: what that one said counts for both from then on.
pub(crate) fn absorb_in(transaction: &mut dyn Transaction, absorbed: SubjectId, subject: SubjectId) -> Result<()> {
    let sql = "SELECT subject, granted, denied, global_privacy_control, said_at_ms FROM consents \
               WHERE subject IN ({list})";
    let both = [wide(absorbed.0), wide(subject.0)];
    let rows = query_in(|sql, values| transaction.query(sql, values), sql, &both)?;
    let said = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    match said.into_iter().reduce(joined) {
        Some(said) => write(transaction, [(subject, said)].into_iter()),
        None => Ok(()),
    }
}

fn write(transaction: &mut dyn Transaction, said: impl Iterator<Item = (SubjectId, Said)>) -> Result<()> {
    let mut values = Vec::new();
    for (subject, said) in said {
        let bits = [said.stamp.granted.bits(), said.stamp.denied.bits(), said.stamp.global_privacy_control.into()];
        values.push(wide(subject.0));
        values.extend(bits.map(|bits| Value::Integer(bits.into())));
        values.push(Value::Integer(said.at.0));
    }
    let head = "INSERT INTO consents (subject, granted, denied, global_privacy_control, said_at_ms)";
    let tail = "ON CONFLICT (subject) DO UPDATE SET granted = excluded.granted, denied = excluded.denied, \
                global_privacy_control = excluded.global_privacy_control, said_at_ms = excluded.said_at_ms";
    insert(transaction, head, 5, tail, &values)
}

/// Both words in the order they were said, whatever the order they came in.
fn together(one: Said, other: Said) -> Said {
    if one.at <= other.at {
        Said { stamp: one.stamp.then(other.stamp), at: other.at }
    } else {
        Said { stamp: other.stamp.then(one.stamp), at: one.at }
    }
}

/// Words of two people who turn out to be one. Each was told at a machine of its own perhaps: where their clocks can't say
/// which was later, what either refused is refused.
fn joined(one: Said, other: Said) -> Said {
    let together = together(one, other);
    // Who never said anything said it at the beginning of time.
    if one.at.0.abs_diff(other.at.0) > CLOCKS_DIFFER_MS.unsigned_abs() {
        return together;
    }
    let denied = one.stamp.denied | other.stamp.denied;
    let granted = together.stamp.granted - denied;
    Said { stamp: ConsentStamp { granted, denied, ..together.stamp }, ..together }
}

fn read(row: &Row) -> Result<Said> {
    Ok(Said { stamp: stamp(row, 1)?, at: TimestampMs(row.integer(4)?) })
}

/// Of three columns, from `first` on.
fn stamp(row: &Row, first: usize) -> Result<ConsentStamp> {
    let purposes = |column| row.integer(column).map(|bits| Purposes::from_bits_truncate(bits as u8));
    let (granted, denied) = (purposes(first)?, purposes(first + 1)?);
    Ok(ConsentStamp { granted, denied, global_privacy_control: row.integer(first + 2)? != 0 })
}
