//! Which of several processes leads, and the fence that keeps the others' writes out.
//!
//! **No clock is compared with another.** Whoever holds a lease counts a beat up; the others look now and then, and the one that
//! has seen the same beat [`SILENT_LOOKS`] times running takes the lease, in the next *term*. Clocks that are minutes apart
//! change nothing; a holder that was paused for longer finds itself replaced.
//!
//! **The fence.** A holder that does not know yet that it was replaced may still write. So every transaction behind a
//! [`Fence`] reads the lease's term first, and is refused where it isn't the one it was raised for. Transactions run as if
//! one after the other, so none of an old term comes after the taking of the next. A thread that does a job passes by the
//! lease of that job instead, whoever leads ([`Fence::pass_by`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::ThreadId;

use parking_lot::Mutex;

use crate::{Migration, Records, Result, Row, Scrub, StoreError, Transaction, Value};

/// What records must have been opened with. Terms and beats are apart: a beat must not disturb those who read the term.
pub const LEASE_MIGRATIONS: &[Migration] = &[Migration {
    name: "2026-11-21-910-leases",
    sql: "CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        address TEXT NOT NULL,
        term BIGINT NOT NULL
    );
    CREATE TABLE lease_beats (name TEXT PRIMARY KEY, beat BIGINT NOT NULL)",
}];

/// Looks at the same beat after which its holder counts as gone.
pub const SILENT_LOOKS: u32 = 5;

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Held {
        term: i64,
    },
    /// Another process, which answers there (empty: nowhere yet).
    Other {
        address: String,
    },
}

/// One process's view of a lease.
pub struct Lease {
    records: Arc<dyn Records>,
    name: &'static str,
    holder: String,
    address: Mutex<String>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    term: i64,
    beat: i64,
    looks: u32,
}

struct Found {
    holder: String,
    address: String,
    term: i64,
    beat: i64,
}

impl Lease {
    /// `holder`: a name that no other process has.
    pub fn new(records: Arc<dyn Records>, name: &'static str, holder: String) -> Self {
        Self { records, name, holder, address: Mutex::default(), seen: Mutex::default() }
    }

    /// Where the others find this process once it holds the lease. Told with the next beat.
    pub fn set_address(&self, address: &str) {
        address.clone_into(&mut self.address.lock());
    }

    /// Beats where this process holds the lease; else looks, and takes it where its holder is gone. Call it at even
    /// intervals, in every process at the same ones.
    pub fn beat(&self) -> Result<Standing> {
        let address = self.address.lock().clone();
        let mut seen = self.seen.lock();
        let (mut now, mut standing) = (*seen, None);
        self.records.transaction(&mut |transaction| {
            let found = self.find(transaction)?;
            // It may run again.
            now = found.as_ref().map_or(Seen::default(), |found| {
                let same = (found.term, found.beat) == (seen.term, seen.beat);
                Seen { term: found.term, beat: found.beat, looks: if same { seen.looks + 1 } else { 0 } }
            });
            standing = Some(match found {
                Some(found) if found.holder == self.holder => {
                    self.count(transaction, found.beat + 1)?;
                    if found.address != address {
                        self.write(transaction, &address, found.term)?;
                    }
                    Standing::Held { term: found.term }
                }
                Some(found) if !found.holder.is_empty() && now.looks < SILENT_LOOKS => {
                    Standing::Other { address: found.address }
                }
                free => {
                    let (term, beat) = free.map_or((1, 1), |free| (free.term + 1, free.beat + 1));
                    self.write(transaction, &address, term)?;
                    self.count(transaction, beat)?;
                    Standing::Held { term }
                }
            });
            Ok(())
        })?;
        *seen = now;
        standing.ok_or_else(broken)
    }

    /// Looks who holds it, and never takes it: for a process that does not want it.
    pub fn watch(&self) -> Result<Standing> {
        let rows = self.records.query("SELECT address FROM leases WHERE name = $1", &[text(self.name)])?;
        match rows.into_iter().next().map(|Row(columns)| <[Value; 1]>::try_from(columns)) {
            None => Ok(Standing::Other { address: String::new() }),
            Some(Ok([Value::Text(address)])) => Ok(Standing::Other { address }),
            Some(_) => Err(broken()),
        }
    }

    /// Whether this process holds it in that term. No look at another's beat: that is for even intervals.
    pub fn is_held_in(&self, term: i64) -> Result<bool> {
        let sql = "SELECT holder, term FROM leases WHERE name = $1";
        let rows = self.records.query(sql, &[text(self.name)])?;
        Ok(rows.first() == Some(&Row(vec![text(&self.holder), Value::Integer(term)])))
    }

    /// Lets it go, so that another takes it at its next look. Of a lease that another holds, nothing.
    pub fn give_up(&self) -> Result<()> {
        self.records.transaction(&mut |transaction| {
            let sql = "UPDATE leases SET holder = '', address = '' WHERE name = $1 AND holder = $2";
            transaction.execute(sql, &[text(self.name), text(&self.holder)]).map(drop)
        })
    }

    fn find(&self, transaction: &mut dyn Transaction) -> Result<Option<Found>> {
        let sql = "SELECT l.holder, l.address, l.term, b.beat FROM leases l JOIN lease_beats b ON b.name = l.name
                   WHERE l.name = $1";
        let mut rows = transaction.query(sql, &[text(self.name)])?;
        match rows.pop().map(|Row(columns)| <[Value; 4]>::try_from(columns)) {
            None => Ok(None),
            Some(Ok([Value::Text(holder), Value::Text(address), Value::Integer(term), Value::Integer(beat)])) => {
                Ok(Some(Found { holder, address, term, beat }))
            }
            Some(_) => Err(broken()),
        }
    }

    fn write(&self, transaction: &mut dyn Transaction, address: &str, term: i64) -> Result<()> {
        let sql = "INSERT INTO leases (name, holder, address, term) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, address = excluded.address,
                   term = excluded.term";
        let row = [text(self.name), text(&self.holder), text(address), Value::Integer(term)];
        transaction.execute(sql, &row).map(drop)
    }

    fn count(&self, transaction: &mut dyn Transaction, beat: i64) -> Result<()> {
        let sql = "INSERT INTO lease_beats (name, beat) VALUES ($1, $2)
                   ON CONFLICT (name) DO UPDATE SET beat = excluded.beat";
        transaction.execute(sql, &[text(self.name), Value::Integer(beat)]).map(drop)
    }
}

const UNFENCED: i64 = -1;
const SHUT: i64 = 0;

/// What lets writes through only while a lease is held. Begins open: whoever opens a shop brings it into being.
pub struct Fence {
    name: &'static str,
    state: AtomicI64,
    /// What one thread may write whoever leads.
    passed: Mutex<Option<Passed>>,
}

#[derive(Clone, Copy)]
struct Passed {
    thread: ThreadId,
    lease: &'static str,
    term: i64,
}

/// Ends what [`Fence::pass_by`] began.
pub struct Pass {
    fence: Arc<Fence>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        *self.fence.passed.lock() = None;
    }
}

impl Fence {
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, state: AtomicI64::new(UNFENCED), passed: Mutex::default() })
    }

    /// Until what is returned is dropped, this thread's writes go through as long as another lease is in that term, and all
    /// other threads' as before. One thread at a time.
    pub fn pass_by(self: &Arc<Self>, lease: &'static str, term: i64) -> Pass {
        *self.passed.lock() = Some(Passed { thread: std::thread::current().id(), lease, term });
        Pass { fence: Arc::clone(self) }
    }

    fn passed(&self) -> Option<Passed> {
        self.passed.lock().filter(|passed| passed.thread == std::thread::current().id())
    }

    pub fn shut(&self) {
        self.state.store(SHUT, Ordering::SeqCst);
    }

    /// From now on writes go through as long as the lease is in this term.
    pub fn open_for(&self, term: i64) {
        self.state.store(term, Ordering::SeqCst);
    }

    fn pass(&self, transaction: &mut dyn Transaction, term: i64) -> Result<()> {
        if is_term(transaction, self.name, term)? {
            return Ok(());
        }
        // Unless it was opened for another meanwhile.
        let _ = self.state.compare_exchange(term, SHUT, Ordering::SeqCst, Ordering::SeqCst);
        Err(refused())
    }
}

fn is_term(transaction: &mut dyn Transaction, lease: &str, term: i64) -> Result<bool> {
    let rows = transaction.query("SELECT term FROM leases WHERE name = $1", &[text(lease)])?;
    Ok(rows.first() == Some(&Row(vec![Value::Integer(term)])))
}

/// Records that are written only by the process that leads, and by a thread that does a job under a lease of its own.
pub struct FencedRecords {
    inner: Arc<dyn Records>,
    fence: Arc<Fence>,
}

impl FencedRecords {
    pub fn new(inner: Arc<dyn Records>, fence: Arc<Fence>) -> Self {
        Self { inner, fence }
    }
}

impl Records for FencedRecords {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.inner.query(sql, parameters)
    }

    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Transaction) -> Result<()>) -> Result<()> {
        if let Some(Passed { lease, term, .. }) = self.fence.passed() {
            return self.inner.transaction(&mut |transaction| match is_term(transaction, lease, term)? {
                true => work(transaction),
                false => Err(taken()),
            });
        }
        match self.fence.state.load(Ordering::SeqCst) {
            UNFENCED => self.inner.transaction(work),
            SHUT => Err(refused()),
            term => self.inner.transaction(&mut |transaction| {
                self.fence.pass(transaction, term)?;
                work(transaction)
            }),
        }
    }

    fn scrub(&self, scrub: Scrub) -> Result<()> {
        self.inner.scrub(scrub)
    }
}

/// Soon there is one that writes, perhaps this.
fn refused() -> StoreError {
    StoreError::Busy { what: "the records (another process leads this shop)", retry_after_ms: 1_000 }
}

fn taken() -> StoreError {
    StoreError::Conflict { what: "lease", detail: "another process does this job now".into() }
}

fn broken() -> StoreError {
    StoreError::Damaged { what: "lease", detail: "its rows are not what was written".into() }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::SqliteRecords;

    const NOTED: Migration =
        Migration { name: "2026-11-21-911-noted", sql: "CREATE TABLE noted (word TEXT PRIMARY KEY)" };

    fn records(folder: &tempfile::TempDir) -> Arc<dyn Records> {
        let migrations = [LEASE_MIGRATIONS, &[NOTED]].concat();
        Arc::new(SqliteRecords::open(&folder.path().join("records.sqlite"), &migrations).unwrap())
    }

    fn lease(records: &Arc<dyn Records>, holder: &str) -> Lease {
        let lease = Lease::new(Arc::clone(records), "lead", holder.to_owned());
        lease.set_address(holder);
        lease
    }

    fn job(records: &Arc<dyn Records>, holder: &str) -> Lease {
        Lease::new(Arc::clone(records), "job", holder.to_owned())
    }

    fn note(records: &dyn Records, word: &str) -> Result<()> {
        records.transaction(&mut |transaction| {
            transaction.execute("INSERT INTO noted (word) VALUES ($1)", &[text(word)]).map(drop)
        })
    }

    #[test]
    fn one_holds_it_until_it_is_silent_or_gives_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (one, two) = (lease(&records, "one"), lease(&records, "two"));
        let of_one = || Standing::Other { address: "one".to_owned() };
        assert_eq!(one.beat().unwrap(), Standing::Held { term: 1 });
        for _ in 0..3 * SILENT_LOOKS {
            assert_eq!(two.beat().unwrap(), of_one());
            assert_eq!(one.beat().unwrap(), Standing::Held { term: 1 });
        }
        // One is silent from here on: two has just seen another beat than before, and then the same again and again.
        for _ in 0..SILENT_LOOKS {
            assert_eq!(two.beat().unwrap(), of_one());
        }
        assert_eq!(two.beat().unwrap(), Standing::Held { term: 2 });
        assert_eq!(one.beat().unwrap(), Standing::Other { address: "two".to_owned() });
        assert!(two.is_held_in(2).unwrap() && !two.is_held_in(1).unwrap() && !one.is_held_in(2).unwrap());
        // What one doesn't hold any more it can't give up.
        one.give_up().unwrap();
        assert_eq!(two.beat().unwrap(), Standing::Held { term: 2 });
        two.give_up().unwrap();
        assert_eq!(one.beat().unwrap(), Standing::Held { term: 3 });
    }

    #[test]
    fn a_holder_that_was_replaced_writes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (one, two) = (lease(&records, "one"), lease(&records, "two"));
        let fence = Fence::new("lead");
        let fenced = FencedRecords::new(Arc::clone(&records), Arc::clone(&fence));
        note(&fenced, "while it opens").unwrap();
        fence.shut();
        assert!(matches!(note(&fenced, "as a follower"), Err(StoreError::Busy { .. })));
        assert_eq!(one.beat().unwrap(), Standing::Held { term: 1 });
        fence.open_for(1);
        note(&fenced, "as the leader").unwrap();
        // Replaced without knowing it.
        one.give_up().unwrap();
        assert_eq!(two.beat().unwrap(), Standing::Held { term: 2 });
        assert!(matches!(note(&fenced, "from before"), Err(StoreError::Busy { .. })));
        assert_eq!(fence.state.load(Ordering::SeqCst), SHUT);
        let rows = records.query("SELECT word FROM noted ORDER BY word", &[]).unwrap();
        assert_eq!(rows, [Row(vec![text("as the leader")]), Row(vec![text("while it opens")])]);
    }

    #[test]
    fn a_thread_passes_by_the_lease_of_its_job_until_another_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (one, two) = (job(&records, "one"), job(&records, "two"));
        let fence = Fence::new("lead");
        let fenced = FencedRecords::new(Arc::clone(&records), Arc::clone(&fence));
        fence.shut();
        assert_eq!(one.beat().unwrap(), Standing::Held { term: 1 });
        let pass = fence.pass_by("job", 1);
        note(&fenced, "of the job").unwrap();
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| note(&fenced, "of a request"));
            assert!(matches!(beside.join().unwrap(), Err(StoreError::Busy { .. })));
        });
        one.give_up().unwrap();
        assert_eq!(two.beat().unwrap(), Standing::Held { term: 2 });
        assert!(matches!(note(&fenced, "from before"), Err(StoreError::Conflict { .. })));
        drop(pass);
        assert!(matches!(note(&fenced, "after it"), Err(StoreError::Busy { .. })));
        let rows = records.query("SELECT word FROM noted", &[]).unwrap();
        assert_eq!(rows, [Row(vec![text("of the job")])]);
    }

    #[test]
    fn who_only_watches_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (one, two) = (lease(&records, "one"), lease(&records, "two"));
        let nobody = Standing::Other { address: String::new() };
        assert_eq!(two.watch().unwrap(), nobody);
        one.beat().unwrap();
        for _ in 0..3 * SILENT_LOOKS {
            assert_eq!(two.watch().unwrap(), Standing::Other { address: "one".to_owned() });
        }
        one.give_up().unwrap();
        assert_eq!(two.watch().unwrap(), nobody);
        assert_eq!(one.beat().unwrap(), Standing::Held { term: 2 });
    }
}
