//! Who is who. What names a person (user id, visitor id, mail address ..) is turned into a pseudonymous subject here
//! and stored nowhere else: looked up by a keyed hash, sealed under a key of the person's own.
//!
//! Joining: an anonymous id and a user id seen on one event are one person. Where both had a subject already, the
//! anonymous one is absorbed, and the next event of the user says so in `merged_from`, so that what was learned moves
//! along. A subject that has a user id is absorbed only by an explicit alias: a visitor id shared by two customers
//! (a family's tablet) stays with the first of them. Every step is one transaction, so that a crash leaves either the
//! old state or the new one, and an absorption that no event told of yet is told by the next one.

mod erased;
mod joining;
mod schema;
mod seal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use merx_domain::{Identity, IdentityKind, SubjectId, TimestampMs};
use merx_store::{Records, Row, StoreError, Transaction, Value};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::cache::BoundedMap;
use crate::consent::{self, Consents};
use crate::privacy::canonical;
use crate::raw::Identities;
use crate::rows::{Columns, execute_in, insert, query_in, text, wide};

use erased::Erased;
pub use erased::FOR_GOOD;
pub(crate) use erased::MIGRATION as ERASED_MIGRATION;
use joining::{Joining, Lookups, NewIdentity};
pub(crate) use schema::MIGRATION;
pub use seal::MasterKey;
use seal::{Key, fill_random};

/// Identities held in memory unless the operator sets another number; one takes about 60 bytes.
pub const DEFAULT_CACHED_IDENTITIES: usize = 2_000_000;

/// Parts of the cache, each under a lock of its own.
const SHARDS: usize = 16;

/// Rows re-wrapped in one transaction when the master key changes.
const ROTATION_ROWS: usize = 5_000;

/// Names looked at in one query when a person is searched by something that no hash finds.
const SEARCH_ROWS: usize = 5_000;

/// Attempts to write when another process joins the same people at the same time.
const ATTEMPTS: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the vault was sealed with another master key; restore that key, or set it as a previous key")]
    WrongMasterKey,
    #[error("a master key is 64 hexadecimal digits")]
    KeyFormat,
    #[error("the master key file {path}: {detail}")]
    KeyFile { path: String, detail: String },
    #[error("the operating system gives no randomness: {detail}")]
    Randomness { detail: String },
    #[error("a value could not be sealed")]
    Sealing,
    #[error("a sealed value can't be opened: it or its key is damaged")]
    Unreadable,
}

type Result<T, E = VaultError> = std::result::Result<T, E>;

/// Whose an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    pub subject: SubjectId,
    /// A subject that was absorbed by `subject`, told once.
    pub merged_from: Option<SubjectId>,
}

/// An identity as the cache knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    subject: SubjectId,
    /// The subject has a user id.
    named: bool,
}

pub struct Vault {
    records: Arc<dyn Records>,
    /// For decisions, which can't wait.
    prompt: Arc<dyn Records>,
    /// The first wraps what is new; the others only open what is old.
    keys: RwLock<Vec<MasterKey>>,
    /// Keys the hashes that identities are looked up by. Never changes.
    lookup_key: Key,
    cache: Vec<Mutex<BoundedMap<u128, Entry>>>,
    /// Of a shard; with none every name is looked up in the tables.
    cached_identities: usize,
    /// One batch at a time teaches the vault something new.
    learning: Mutex<()>,
    /// Held for reading from the look at the cache until the events are in the log, for writing while subjects are
    /// absorbed: so no event of an absorbed subject is stored after the event that tells of it.
    absorbing: RwLock<()>,
    /// Grows with every absorption.
    epoch: AtomicU64,
    /// Absorptions that no stored event has told of yet: subject -> absorbed subjects.
    untold: Mutex<FxHashMap<SubjectId, Vec<SubjectId>>>,
    erased: Erased,
    /// Subjects may have been joined without an answer that says so: what is held in memory is not to be believed.
    doubtful: AtomicBool,
    /// What people said: joined with them.
    consents: Option<Arc<Consents>>,
    /// Makes a pseudonym for somebody unheard of.
    new_subject: Box<dyn Fn() -> Result<SubjectId> + Send + Sync>,
    /// The master keys as their source gives them now: another process may exchange them.
    source: Option<Box<dyn Fn() -> Result<Vec<MasterKey>> + Send + Sync>>,
}

impl Vault {
    /// Opens the vault, or makes a new one. `keys`: the current master key, then previous ones that a rotation has not
    /// left behind yet. The migrations must have run.
    pub fn open(records: Arc<dyn Records>, keys: Vec<MasterKey>, cached_identities: usize) -> Result<Self> {
        let lookup_key = lookup_key(&*records, &keys)?;
        let untold = untold(&*records)?;
        let cached_identities = cached_identities.div_ceil(SHARDS);
        let shard = || Mutex::new(BoundedMap::new(cached_identities));
        let erased = Erased::open(&*records)?;
        Ok(Self {
            erased,
            prompt: Arc::clone(&records),
            records,
            keys: RwLock::new(keys),
            lookup_key,
            cache: (0..SHARDS).map(|_| shard()).collect(),
            cached_identities,
            learning: Mutex::new(()),
            absorbing: RwLock::new(()),
            epoch: AtomicU64::new(0),
            untold: Mutex::new(untold),
            doubtful: AtomicBool::new(false),
            consents: None,
            new_subject: Box::new(new_subject),
            source: None,
        })
    }

    /// Asks for the master keys again where the tables name one that isn't known: another process has exchanged them.
    pub fn asking_again(self, source: impl Fn() -> Result<Vec<MasterKey>> + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..self }
    }

    /// Who somebody is, is asked of these: the same records, for who would rather have no answer than wait.
    pub fn asking_promptly(self, prompt: Arc<dyn Records>) -> Self {
        Self { prompt, ..self }
    }

    /// Words that are held in memory are read again once those of two subjects were joined.
    pub(crate) fn joining_words(self, consents: Arc<Consents>) -> Self {
        Self { consents: Some(consents), ..self }
    }

    /// Pseudonyms drawn from elsewhere than the system's randomness: a simulation's, which can be had again.
    pub fn drawing_subjects(self, draw: impl Fn() -> SubjectId + Send + Sync + 'static) -> Self {
        Self { new_subject: Box::new(move || Ok(draw())), ..self }
    }

    /// Forgets what is held in memory and reads again what has to be: another process has written.
    pub fn reload(&self) -> Result<()> {
        let _learning = self.learning.lock();
        let _alone = self.absorbing.write();
        self.erased.reload(&*self.records)?;
        for shard in &self.cache {
            *shard.lock() = BoundedMap::new(self.cached_identities);
        }
        *self.untold.lock() = untold(&*self.records)?;
        self.doubtful.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Finds or makes the subjects of a batch, in order, and hands them to `store`, which appends the events and says
    /// which positions were stored. While `store` runs no subject is absorbed. Absorptions told by these events count as told once they are stored.
    pub fn with_subjects<T, E: From<VaultError>>(
        &self,
        batch: &[&Identities],
        at: TimestampMs,
        store: impl FnOnce(&[Resolved]) -> Result<(T, Vec<bool>), E>,
    ) -> Result<T, E> {
        if self.doubtful.load(Ordering::Acquire) {
            self.reload()?;
        }
        loop {
            let (subjects, epoch) = self.subjects(batch, at)?;
            let _held = self.absorbing.read();
            if self.epoch.load(Ordering::Acquire) != epoch {
                continue;
            }
            let mut resolved = self.tell(&subjects);
            let (outcome, stored) = store(&resolved)?;
            // A repeated event was dropped, and what it had to tell with it.
            let mut stored = stored.into_iter();
            resolved.retain(|_| stored.next().unwrap_or(false));
            self.mark_told(&resolved)?;
            return Ok(outcome);
        }
    }

    /// The subject of one identity, if the vault knows it.
    pub fn find(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>> {
        let lookup = self.lookup_key.lookup(code(kind), value);
        if let Some(entry) = self.cached(lookup) {
            return Ok(Some(entry.subject));
        }
        let table = if is_joining(kind) { "vault_identities" } else { "vault_details" };
        let rows = self.prompt.query(&format!("SELECT subject FROM {table} WHERE lookup = $1"), &[wide(lookup)])?;
        Ok(rows.first().map(|row| row.wide(0)).transpose()?.map(SubjectId))
    }

    /// Every subject that one of a person's names stands for: several browsers may have given the same mail address or phone number, in
    /// one spelling or another.
    pub fn find_all(&self, kind: IdentityKind, value: &str) -> Result<Vec<SubjectId>> {
        if is_joining(kind) {
            return Ok(self.find(kind, value)?.into_iter().collect());
        }
        let asked = canonical(kind, value);
        self.find_by(kind, &|known| canonical(kind, known) == asked)
    }

    /// Subjects with a name of this kind that `is` says yes to. Opens every name of the kind: for requests, not for events.
    pub fn find_by(&self, kind: IdentityKind, is: &dyn Fn(&str) -> bool) -> Result<Vec<SubjectId>> {
        let table = if is_joining(kind) { "vault_identities" } else { "vault_details" };
        let sql = format!(
            "SELECT subject, sealed, lookup FROM {table} WHERE kind = $1 AND (subject > $2 OR (subject = $2 AND lookup > $3)) \
             ORDER BY subject, lookup LIMIT {SEARCH_ROWS}"
        );
        let mut found = Vec::new();
        let mut after = [Value::Bytes(Vec::new()), Value::Bytes(Vec::new())];
        loop {
            let [subject, lookup] = after;
            let rows = self.records.query(&sql, &[kind_value(kind), subject, lookup])?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = [wide(last.wide(0)?), wide(last.wide(2)?)];
            for row in &rows {
                let subject = SubjectId(row.wide(0)?);
                let key = self.subject_key(&mut |sql, values| self.records.query(sql, values), subject)?;
                let Some(key) = key else { continue };
                if is(&open_identity(&key, subject, code(kind).into(), row.bytes(1)?)?.value) {
                    found.push(subject);
                }
            }
        }
    }

    /// All pseudonyms of a person that the vault knows, the one in use first; none of somebody unknown.
    pub fn pseudonyms(&self, subject: SubjectId) -> Result<Vec<SubjectId>> {
        let subject = self.current(subject)?;
        let sql = "SELECT subject FROM vault_subjects WHERE subject = $1 OR merged_into = $1";
        let rows = self.records.query(sql, &[wide(subject.0)])?;
        let mut pseudonyms = rows.iter().map(|row| row.wide(0).map(SubjectId)).collect::<Result<Vec<_>, _>>()?;
        pseudonyms.sort_by_key(|known| (*known != subject, *known));
        Ok(pseudonyms)
    }

    /// Whether what happened `at` belongs to somebody who was erased since.
    pub fn was_erased(&self, names: &Identities, at: TimestampMs) -> bool {
        !self.erased.is_empty() && self.erased.covers(&Lookups::of(names, &self.lookup_key), at)
    }

    /// Seals what a request notes of a person, bound to the request.
    pub(crate) fn seal_note(&self, id: &str, plain: &[u8]) -> Result<Vec<u8>> {
        self.lookup_key.derived("merx vault notes 1").seal(plain, id.as_bytes())
    }

    pub(crate) fn open_note(&self, id: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        self.lookup_key.derived("merx vault notes 1").open(sealed, id.as_bytes())
    }

    /// The subject that an id stands for today: itself, or the one that absorbed it.
    pub fn current(&self, subject: SubjectId) -> Result<SubjectId> {
        let rows =
            self.records.query("SELECT merged_into FROM vault_subjects WHERE subject = $1", &[wide(subject.0)])?;
        match rows.first() {
            Some(row) if !row.is_null(0) => Ok(SubjectId(row.wide(0)?)),
            _ => Ok(subject),
        }
    }

    /// Everything that names a person.
    pub fn export(&self, subject: SubjectId) -> Result<Vec<Identity>> {
        let subject = self.current(subject)?;
        let Some(key) = self.subject_key(&mut |sql, values| self.records.query(sql, values), subject)? else {
            return Ok(Vec::new());
        };
        let mut identities = Vec::new();
        for table in ["vault_identities", "vault_details"] {
            let sql = format!("SELECT kind, sealed FROM {table} WHERE subject = $1 ORDER BY kind, lookup");
            for row in self.records.query(&sql, &[wide(subject.0)])? {
                identities.push(open_identity(&key, subject, row.integer(0)?, row.bytes(1)?)?);
            }
        }
        Ok(identities)
    }

    /// Forgets a person: their key and every name are gone when this returns. Returns all pseudonyms the person had, so
    /// that events, features and files under them can be erased too. The same names seen again are somebody new, and what
    /// happened up to `until` is not taken under them any more.
    pub fn erase(&self, subject: SubjectId, until: TimestampMs) -> Result<Vec<SubjectId>> {
        let _learning = self.learning.lock();
        let _alone = self.absorbing.write();
        let subject = self.current(subject)?;
        let (mut lookups, mut details, mut pseudonyms) = (Vec::new(), Vec::new(), Vec::new());
        self.records.transaction(&mut |transaction| {
            (lookups, details, pseudonyms) = (Vec::new(), Vec::new(), vec![subject]);
            let of_subject = [wide(subject.0)];
            for row in transaction.query("SELECT lookup FROM vault_details WHERE subject = $1", &of_subject)? {
                details.push(row.wide(0)?);
            }
            for row in transaction.query("SELECT lookup FROM vault_identities WHERE subject = $1", &of_subject)? {
                lookups.push(row.wide(0)?);
            }
            for row in transaction.query("SELECT subject FROM vault_subjects WHERE merged_into = $1", &of_subject)? {
                pseudonyms.push(SubjectId(row.wide(0)?));
            }
            let all: Vec<Value> = pseudonyms.iter().map(|subject| wide(subject.0)).collect();
            for table in ["vault_identities", "vault_details", "vault_untold_merges", "vault_subjects"] {
                execute_in(transaction, &format!("DELETE FROM {table} WHERE subject IN ({{list}})"), &all)?;
            }
            Erased::write(transaction, &lookups, until)
        })?;
        self.erased.remember(&lookups, until);
        for lookup in lookups.into_iter().chain(details) {
            self.shard(lookup).lock().remove(&lookup);
        }
        self.untold.lock().remove(&subject);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(pseudonyms)
    }

    /// Wraps every key with a new master key. Readable throughout; a rotation that was interrupted goes on when it is
    /// called again with the same key. Returns the number of keys wrapped.
    pub fn rotate(&self, new: MasterKey) -> Result<u64> {
        {
            let mut keys = self.keys.write();
            keys.retain(|known| known.id != new.id);
            keys.insert(0, new.clone());
        }
        let mut rotated = self.rotate_lookup_key(&new)?;
        loop {
            let rows = self.rotate_some(&new)?;
            rotated += rows;
            if rows < ROTATION_ROWS as u64 {
                break;
            }
        }
        self.keys.write().truncate(1);
        Ok(rotated)
    }

    /// Subjects of a batch and the epoch they are right in.
    fn subjects(&self, batch: &[&Identities], at: TimestampMs) -> Result<(Vec<SubjectId>, u64)> {
        let lookups: Vec<Lookups> = batch.iter().map(|names| Lookups::of(names, &self.lookup_key)).collect();
        let epoch = self.epoch.load(Ordering::Acquire);
        let known: Option<Vec<SubjectId>> = lookups.iter().map(|lookups| self.known_subject(lookups)).collect();
        match known {
            Some(subjects) => Ok((subjects, epoch)),
            None => self.learn(batch, &lookups, at),
        }
    }

    /// The subject of an event that teaches nothing new; `None` where the tables must be asked.
    fn known_subject(&self, lookups: &Lookups) -> Option<SubjectId> {
        if lookups.previous.is_some() {
            return None;
        }
        let subject = match (lookups.user, lookups.anonymous) {
            (Some(user), Some(anonymous)) => {
                let (user, anonymous) = (self.cached(user)?, self.cached(anonymous)?);
                (anonymous.named || anonymous.subject == user.subject).then_some(user.subject)?
            }
            (Some(one), None) | (None, Some(one)) => self.cached(one)?.subject,
            (None, None) => return None,
        };
        let is_known = |lookup: &u128| self.cached(*lookup).is_some_and(|entry| entry.subject == subject);
        lookups.details.iter().all(is_known).then_some(subject)
    }

    fn learn(&self, batch: &[&Identities], lookups: &[Lookups], at: TimestampMs) -> Result<(Vec<SubjectId>, u64)> {
        let _learning = self.learning.lock();
        let mut fresh = false;
        let mut attempts = 0;
        loop {
            let mut joining = Joining::new(self.entries(lookups, fresh)?);
            let subjects =
                batch.iter().zip(lookups).map(|(names, lookups)| joining.join(names, lookups, &self.new_subject));
            let subjects = subjects.collect::<Result<Vec<_>>>()?;
            let subjects = subjects.into_iter().map(|subject| joining.current(subject)).collect();
            // The cache may not know yet that a visitor has signed in elsewhere: nobody is absorbed on its word alone.
            if !joining.merges.is_empty() && !fresh {
                fresh = true;
                continue;
            }
            let alone = (!joining.merges.is_empty()).then(|| self.absorbing.write());
            attempts += 1;
            match self.write(&joining, at) {
                Err(VaultError::Store(StoreError::Conflict { .. })) if attempts < ATTEMPTS => fresh = true,
                Err(error) => {
                    self.doubtful.fetch_or(!joining.merges.is_empty(), Ordering::AcqRel);
                    return Err(error);
                }
                Ok(moved) => {
                    // Before anybody is led to the subject that they are now.
                    if let Some(consents) = self.consents.as_ref().filter(|_| !joining.merges.is_empty()) {
                        consents.reread(joining.merges.iter().map(|(_, subject)| *subject));
                    }
                    self.remember(&joining, &moved);
                    drop(alone);
                    return Ok((subjects, self.epoch.load(Ordering::Acquire)));
                }
            }
        }
    }

    /// What is known of the names of a batch: from the cache unless `fresh`, else from the tables.
    fn entries(&self, lookups: &[Lookups], fresh: bool) -> Result<FxHashMap<u128, Entry>> {
        let mut entries = FxHashMap::default();
        let mut unknown = Vec::new();
        for lookup in lookups.iter().flat_map(Lookups::joining) {
            match self.cached(lookup).filter(|_| !fresh) {
                Some(entry) => {
                    entries.insert(lookup, entry);
                }
                None => unknown.push(wide(lookup)),
            }
        }
        let sql = "SELECT i.lookup, i.subject, s.named FROM vault_identities i \
                   JOIN vault_subjects s ON s.subject = i.subject WHERE i.lookup IN ({list})";
        for row in query_in(|sql, values| self.records.query(sql, values), sql, &unknown)? {
            let entry = Entry { subject: SubjectId(row.wide(1)?), named: row.integer(2)? != 0 };
            entries.insert(row.wide(0)?, entry);
        }
        Ok(entries)
    }

    /// Writes what a batch taught in one transaction. Returns the names that moved to another subject.
    fn write(&self, joining: &Joining<'_>, at: TimestampMs) -> Result<Vec<(u128, SubjectId)>> {
        self.transact(|transaction| {
            let mut keys = FxHashMap::default();
            self.insert_subjects(transaction, joining, at, &mut keys)?;
            self.insert_identities(transaction, joining, &mut keys)?;
            let mut moved = Vec::new();
            for &(absorbed, subject) in &joining.merges {
                moved.extend(self.absorb(transaction, absorbed, subject, &mut keys)?);
            }
            let named: Vec<Value> = joining.named.iter().map(|subject| wide(joining.current(*subject).0)).collect();
            execute_in(transaction, "UPDATE vault_subjects SET named = 1 WHERE subject IN ({list})", &named)?;
            Ok(moved)
        })
    }

    fn insert_subjects(
        &self,
        transaction: &mut dyn Transaction,
        joining: &Joining<'_>,
        at: TimestampMs,
        keys: &mut FxHashMap<SubjectId, Key>,
    ) -> Result<()> {
        if joining.created.is_empty() {
            return Ok(());
        }
        let master = self.master_key_in(transaction)?;
        let mut values = Vec::with_capacity(joining.created.len() * 5);
        for &subject in &joining.created {
            let key = Key::random()?;
            let wrapped = master.key.wrap(&key, &subject.to_bytes())?;
            let named = joining.named.contains(&subject).into();
            values.extend([wide(subject.0), key_id(&master), Value::Bytes(wrapped), Value::Integer(named), at_ms(at)]);
            keys.insert(subject, key);
        }
        let head = "INSERT INTO vault_subjects (subject, key_id, wrapped_key, named, created_at_ms)";
        Ok(insert(transaction, head, 5, "", &values)?)
    }

    fn insert_identities(
        &self,
        transaction: &mut dyn Transaction,
        joining: &Joining<'_>,
        keys: &mut FxHashMap<SubjectId, Key>,
    ) -> Result<()> {
        let mut values = Vec::with_capacity(joining.identities.len() * 4);
        for new in &joining.identities {
            let sealed = self.seal(transaction, new.subject, new, keys)?;
            values.extend([wide(new.lookup), kind_value(new.kind), wide(new.subject.0), sealed]);
        }
        let head = "INSERT INTO vault_identities (lookup, kind, subject, sealed)";
        insert(transaction, head, 4, "", &values)?;
        for new in &joining.details {
            let subject = joining.current(new.subject);
            let sealed = self.seal(transaction, subject, new, keys)?;
            let sql = "INSERT INTO vault_details (subject, kind, lookup, sealed) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (subject, kind) DO UPDATE SET lookup = excluded.lookup, sealed = excluded.sealed \
                       WHERE vault_details.lookup <> excluded.lookup";
            transaction.execute(sql, &[wide(subject.0), kind_value(new.kind), wide(new.lookup), sealed])?;
        }
        Ok(())
    }

    /// Moves the names of one subject to another, re-sealed, and destroys the key they were under.
    fn absorb(
        &self,
        transaction: &mut dyn Transaction,
        absorbed: SubjectId,
        subject: SubjectId,
        keys: &mut FxHashMap<SubjectId, Key>,
    ) -> Result<Vec<(u128, SubjectId)>> {
        let (old, new) = (self.key_of(transaction, absorbed, keys)?, self.key_of(transaction, subject, keys)?);
        let (from, to) = (wide(absorbed.0), wide(subject.0));
        let reseal = |kind: i64, sealed: &[u8]| -> Result<Value> {
            let plain = old.open(sealed, &purpose(absorbed, kind))?;
            Ok(Value::Bytes(new.seal(&plain, &purpose(subject, kind))?))
        };
        let mut moved = Vec::new();
        let rows = transaction.query(
            "SELECT lookup, kind, sealed FROM vault_identities WHERE subject = $1",
            std::slice::from_ref(&from),
        )?;
        for row in rows {
            let lookup = row.wide(0)?;
            let sealed = reseal(row.integer(1)?, row.bytes(2)?)?;
            let sql = "UPDATE vault_identities SET subject = $1, sealed = $2 WHERE lookup = $3";
            transaction.execute(sql, &[to.clone(), sealed, wide(lookup)])?;
            moved.push((lookup, subject));
        }
        let rows = transaction
            .query("SELECT kind, lookup, sealed FROM vault_details WHERE subject = $1", std::slice::from_ref(&from))?;
        for row in rows {
            let kind = row.integer(0)?;
            let sealed = reseal(kind, row.bytes(2)?)?;
            let sql = "INSERT INTO vault_details (subject, kind, lookup, sealed) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (subject, kind) DO NOTHING";
            transaction.execute(sql, &[to.clone(), Value::Integer(kind), wide(row.wide(1)?), sealed])?;
        }
        transaction.execute("DELETE FROM vault_details WHERE subject = $1", std::slice::from_ref(&from))?;
        for sql in [
            "UPDATE vault_subjects SET merged_into = $1, wrapped_key = NULL WHERE subject = $2",
            "UPDATE vault_subjects SET merged_into = $1 WHERE merged_into = $2",
            "UPDATE vault_untold_merges SET subject = $1 WHERE subject = $2",
            "INSERT INTO vault_untold_merges (subject, absorbed) VALUES ($1, $2)",
        ] {
            transaction.execute(sql, &[to.clone(), from.clone()])?;
        }
        consent::absorb_in(transaction, absorbed, subject)?;
        Ok(moved)
    }

    /// Takes what was written into memory.
    fn remember(&self, joining: &Joining<'_>, moved: &[(u128, SubjectId)]) {
        for (lookup, entry) in joining.known() {
            self.shard(lookup).lock().insert(lookup, entry);
        }
        for &(lookup, subject) in moved {
            let subject = joining.current(subject);
            let named = joining.is_named(subject);
            self.shard(lookup).lock().insert(lookup, Entry { subject, named });
        }
        for detail in &joining.details {
            let entry = Entry { subject: joining.current(detail.subject), named: false };
            self.shard(detail.lookup).lock().insert(detail.lookup, entry);
        }
        if joining.merges.is_empty() {
            return;
        }
        let mut untold = self.untold.lock();
        for &(absorbed, subject) in &joining.merges {
            let earlier = untold.remove(&absorbed).unwrap_or_default();
            let list = untold.entry(subject).or_default();
            list.extend(earlier);
            list.push(absorbed);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Gives each absorption that wasn't told yet to an event of the absorbing subject.
    fn tell(&self, subjects: &[SubjectId]) -> Vec<Resolved> {
        let untold = self.untold.lock();
        let mut told: FxHashMap<SubjectId, usize> = FxHashMap::default();
        let tell = |&subject: &SubjectId| {
            let merged_from = untold.get(&subject).and_then(|absorbed| {
                let next = told.entry(subject).or_default();
                *next += 1;
                absorbed.get(*next - 1).copied()
            });
            Resolved { subject, merged_from }
        };
        subjects.iter().map(tell).collect()
    }

    fn mark_told(&self, told: &[Resolved]) -> Result<()> {
        let absorbed: Vec<Value> =
            told.iter().filter_map(|resolved| resolved.merged_from).map(|absorbed| wide(absorbed.0)).collect();
        if absorbed.is_empty() {
            return Ok(());
        }
        self.records.transaction(&mut |transaction| {
            execute_in(transaction, "DELETE FROM vault_untold_merges WHERE absorbed IN ({list})", &absorbed)?;
            Ok(())
        })?;
        let mut untold = self.untold.lock();
        for resolved in told {
            if let Some(list) = untold.get_mut(&resolved.subject) {
                list.retain(|absorbed| Some(*absorbed) != resolved.merged_from);
                if list.is_empty() {
                    untold.remove(&resolved.subject);
                }
            }
        }
        Ok(())
    }

    fn rotate_lookup_key(&self, new: &MasterKey) -> Result<u64> {
        let wrapped = new.key.wrap(&self.lookup_key, LOOKUP_SECRET.as_bytes())?;
        let mut changed = 0;
        self.records.transaction(&mut |transaction| {
            let sql = "UPDATE vault_secrets SET key_id = $1, wrapped_key = $2 WHERE name = $3 AND key_id <> $1";
            changed = transaction.execute(sql, &[key_id(new), Value::Bytes(wrapped.clone()), text(LOOKUP_SECRET)])?;
            Ok(())
        })?;
        Ok(changed)
    }

    fn rotate_some(&self, new: &MasterKey) -> Result<u64> {
        self.transact(|transaction| {
            let sql = format!(
                "SELECT subject, key_id, wrapped_key FROM vault_subjects \
                 WHERE key_id <> $1 AND wrapped_key IS NOT NULL LIMIT {ROTATION_ROWS}"
            );
            let rows = transaction.query(&sql, &[key_id(new)])?;
            for row in &rows {
                let subject = row.wide(0)?;
                let key = self.unwrap_with(row.bytes(1)?, row.bytes(2)?, &subject.to_be_bytes())?;
                let wrapped = Value::Bytes(new.key.wrap(&key, &subject.to_be_bytes())?);
                let sql = "UPDATE vault_subjects SET key_id = $1, wrapped_key = $2 WHERE subject = $3";
                transaction.execute(sql, &[key_id(new), wrapped, wide(subject)])?;
            }
            Ok(rows.len() as u64)
        })
    }

    fn seal(
        &self,
        transaction: &mut dyn Transaction,
        subject: SubjectId,
        new: &NewIdentity<'_>,
        keys: &mut FxHashMap<SubjectId, Key>,
    ) -> Result<Value> {
        let key = self.key_of(transaction, subject, keys)?;
        Ok(Value::Bytes(key.seal(new.value.as_bytes(), &purpose(subject, code(new.kind).into()))?))
    }

    fn key_of(
        &self,
        transaction: &mut dyn Transaction,
        subject: SubjectId,
        keys: &mut FxHashMap<SubjectId, Key>,
    ) -> Result<Key> {
        if let Some(key) = keys.get(&subject) {
            return Ok(*key);
        }
        let key = self.subject_key(&mut |sql, values| transaction.query(sql, values), subject)?;
        let key = key.ok_or(VaultError::Unreadable)?;
        keys.insert(subject, key);
        Ok(key)
    }

    /// `None`: the subject is unknown, absorbed or erased.
    fn subject_key(&self, query: &mut Query<'_>, subject: SubjectId) -> Result<Option<Key>> {
        let rows = query("SELECT key_id, wrapped_key FROM vault_subjects WHERE subject = $1", &[wide(subject.0)])?;
        match rows.first() {
            Some(row) if !row.is_null(1) => {
                self.unwrap_with(row.bytes(0)?, row.bytes(1)?, &subject.to_bytes()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn unwrap_with(&self, id: &[u8], wrapped: &[u8], purpose: &[u8]) -> Result<Key> {
        self.master_key(id)?.key.unwrap_key(wrapped, purpose)
    }

    /// The master key that new keys are wrapped with: the one of the tables, so that none is wrapped with one that another
    /// process has just left behind.
    fn master_key_in(&self, transaction: &mut dyn Transaction) -> Result<MasterKey> {
        let rows = transaction.query("SELECT key_id FROM vault_secrets WHERE name = $1", &[text(LOOKUP_SECRET)])?;
        self.master_key(rows.first().ok_or(VaultError::Unreadable)?.bytes(0)?)
    }

    fn master_key(&self, id: &[u8]) -> Result<MasterKey> {
        let known = |keys: &[MasterKey]| keys.iter().find(|key| key.id == id).cloned();
        if let Some(key) = known(&self.keys.read()) {
            return Ok(key);
        }
        let source = self.source.as_ref().ok_or(VaultError::WrongMasterKey)?;
        let given = source()?;
        let key = known(&given).ok_or(VaultError::WrongMasterKey)?;
        // What is not wrapped anew yet is opened with the ones before.
        let mut keys = self.keys.write();
        let before = std::mem::take(&mut *keys).into_iter();
        *keys = given;
        for key in before {
            if keys.len() < MOST_MASTER_KEYS && keys.iter().all(|known| known.id != key.id) {
                keys.push(key);
            }
        }
        tracing::info!("the vault's master key was exchanged by another process; the new one is in use");
        Ok(key)
    }

    fn cached(&self, lookup: u128) -> Option<Entry> {
        self.shard(lookup).lock().get(&lookup).filter(|_| self.cached_identities > 0)
    }

    fn shard(&self, lookup: u128) -> &Mutex<BoundedMap<u128, Entry>> {
        &self.cache[(lookup >> 64) as usize % SHARDS]
    }

    fn transact<T>(&self, mut work: impl FnMut(&mut dyn Transaction) -> Result<T>) -> Result<T> {
        let mut outcome = None;
        let committed = self.records.transaction(&mut |transaction| match work(transaction) {
            Err(VaultError::Store(error)) => Err(error),
            other => {
                let failed = other.is_err();
                outcome = Some(other);
                // Any error takes the transaction back; which one it was is in `outcome`.
                if failed { Err(StoreError::Unavailable { what: "vault", detail: String::new() }) } else { Ok(()) }
            }
        });
        match (committed, outcome) {
            (Err(StoreError::Unavailable { .. }), Some(Err(error))) => Err(error),
            (Err(error), _) => Err(error.into()),
            (Ok(()), outcome) => outcome.unwrap_or(Err(VaultError::Unreadable)),
        }
    }
}

/// Absorptions that no stored event has told of yet.
fn untold(records: &dyn Records) -> Result<FxHashMap<SubjectId, Vec<SubjectId>>> {
    let mut untold: FxHashMap<SubjectId, Vec<SubjectId>> = FxHashMap::default();
    for row in records.query("SELECT subject, absorbed FROM vault_untold_merges ORDER BY absorbed", &[])? {
        untold.entry(SubjectId(row.wide(0)?)).or_default().push(SubjectId(row.wide(1)?));
    }
    Ok(untold)
}

/// A query in or outside a transaction.
type Query<'q> = dyn FnMut(&str, &[Value]) -> Result<Vec<Row>, StoreError> + 'q;

/// Keys of earlier rotations that are kept in memory at most.
const MOST_MASTER_KEYS: usize = 4;
/// The row of the key that lookups are hashed with.
const LOOKUP_SECRET: &str = "lookup";

fn lookup_key(records: &dyn Records, keys: &[MasterKey]) -> Result<Key> {
    let current = keys.first().ok_or(VaultError::WrongMasterKey)?;
    let wrapped = current.key.wrap(&Key::random()?, LOOKUP_SECRET.as_bytes())?;
    records.transaction(&mut |transaction| {
        let sql = "INSERT INTO vault_secrets (name, key_id, wrapped_key) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO NOTHING";
        transaction.execute(sql, &[text(LOOKUP_SECRET), key_id(current), Value::Bytes(wrapped.clone())])?;
        Ok(())
    })?;
    let rows =
        records.query("SELECT key_id, wrapped_key FROM vault_secrets WHERE name = $1", &[text(LOOKUP_SECRET)])?;
    let row = rows.first().ok_or(VaultError::Unreadable)?;
    let id = row.bytes(0)?;
    let master = keys.iter().find(|key| key.id == id).ok_or(VaultError::WrongMasterKey)?;
    master.key.unwrap_key(row.bytes(1)?, LOOKUP_SECRET.as_bytes())
}

fn new_subject() -> Result<SubjectId> {
    let mut id = [0; 16];
    fill_random(&mut id)?;
    Ok(SubjectId::from_bytes(id))
}

fn open_identity(key: &Key, subject: SubjectId, kind: i64, sealed: &[u8]) -> Result<Identity> {
    let plain = key.open(sealed, &purpose(subject, kind))?;
    let value = String::from_utf8(plain).map_err(|_| VaultError::Unreadable)?;
    Ok(Identity::new(kind_of(kind).ok_or(VaultError::Unreadable)?, value))
}

/// Binds a sealed name to its person and kind.
fn purpose(subject: SubjectId, kind: i64) -> [u8; 24] {
    let mut purpose = [0; 24];
    purpose[..16].copy_from_slice(&subject.to_bytes());
    purpose[16..].copy_from_slice(&kind.to_be_bytes());
    purpose
}

/// Stored in rows and hashes: never changes.
fn code(kind: IdentityKind) -> u8 {
    match kind {
        IdentityKind::UserId => 1,
        IdentityKind::AnonymousId => 2,
        IdentityKind::Email => 3,
        IdentityKind::Phone => 4,
        IdentityKind::Name => 5,
        IdentityKind::Address => 6,
    }
}

fn kind_of(stored: i64) -> Option<IdentityKind> {
    use IdentityKind as K;
    [K::UserId, K::AnonymousId, K::Email, K::Phone, K::Name, K::Address]
        .into_iter()
        .find(|kind| i64::from(code(*kind)) == stored)
}

fn is_joining(kind: IdentityKind) -> bool {
    matches!(kind, IdentityKind::UserId | IdentityKind::AnonymousId)
}

fn kind_value(kind: IdentityKind) -> Value {
    Value::Integer(code(kind).into())
}

fn key_id(master: &MasterKey) -> Value {
    Value::Bytes(master.id.to_vec())
}

fn at_ms(at: TimestampMs) -> Value {
    Value::Integer(at.0)
}
