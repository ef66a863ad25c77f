//! The queue of jobs: who asked for what, how far it is, what came of it. Jobs run one at a time.
//!
//! Where several processes serve a shop, the one that leads runs them. The queue is on record then: who leads next begins again what the
//! one before did not end, and what that one still does is behind the fence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use merx_domain::{Clock, TimestampMs};
use merx_serve::{AskedBy, JobEntry, JobKind, JobProgress, JobState};
use merx_store::{Migration, Records, Row, StoreError, Value as Column};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

pub(crate) const MIGRATION: Migration =
    Migration { name: "2026-11-21-920-jobs", sql: "CREATE TABLE jobs (id BIGINT PRIMARY KEY, body TEXT NOT NULL)" };

/// Jobs that are remembered; older ones stand in the log.
const REMEMBERED: usize = 100;

/// What a job does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) words: String,
    pub(crate) progress: Option<JobProgress>,
}

impl Step {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), progress: None }
    }

    pub(crate) fn part(words: impl Into<String>, done: u64, of: u64) -> Self {
        Self { words: words.into(), progress: Some(JobProgress { done, of }) }
    }
}

/// Told at each step; an error says that the job has to give up.
pub(crate) type Say<'a> = &'a dyn Fn(Step) -> Result<()>;

pub(crate) struct JobBoard {
    clock: Arc<dyn Clock>,
    /// Where the queue outlives this process, if it does.
    records: Option<Arc<dyn Records>>,
    board: Mutex<Board>,
    changed: Condvar,
}

#[derive(Default)]
struct Board {
    last_id: u64,
    /// Newest first.
    jobs: VecDeque<JobEntry>,
    stopping: bool,
}

impl Board {
    fn job(&mut self, id: u64) -> Option<&mut JobEntry> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }
}

impl JobBoard {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, records: None, board: Mutex::default(), changed: Condvar::new() }
    }

    /// A queue on record, which the process that leads takes over with [`Self::reload`].
    pub(crate) fn on_record(clock: Arc<dyn Clock>, records: Arc<dyn Records>) -> Self {
        Self { records: Some(records), ..Self::new(clock) }
    }

    /// Reads the queue. What ran when its process went waits again.
    pub(crate) fn reload(&self) -> Result<()> {
        let Some(records) = &self.records else { return Ok(()) };
        let mut board = self.board.lock();
        let rows = records.query(&format!("SELECT body FROM jobs ORDER BY id DESC LIMIT {REMEMBERED}"), &[])?;
        let read = |row: &Row| match row.0.first() {
            Some(Column::Text(body)) => serde_json::from_str::<JobEntry>(body).map_err(anyhow::Error::from),
            _ => bail!("a job on record is not what was written"),
        };
        board.jobs = rows.iter().map(read).collect::<Result<_>>()?;
        board.last_id = board.jobs.front().map_or(0, |newest| newest.id);
        for job in board.jobs.iter_mut().filter(|job| job.state == JobState::Running) {
            job.state = JobState::Waiting;
            "waiting; the process that ran it is gone".clone_into(&mut job.step);
        }
        self.changed.notify_all();
        Ok(())
    }

    fn keep(&self, job: &JobEntry) {
        let Some(records) = &self.records else { return };
        if let Err(error) = keep(&**records, job) {
            tracing::warn!(job = job.id, %error, "the queue of jobs could not be written");
        }
    }

    /// Puts a job in the queue, but where one of its kind waits or runs: then that is the answer.
    pub(crate) fn ask(&self, kind: JobKind, by: AskedBy) -> JobEntry {
        let mut board = self.board.lock();
        // Requests of people that come while others are answered need another round.
        let open = |job: &&JobEntry| match job.state {
            JobState::Waiting => true,
            JobState::Running => kind != JobKind::Privacy,
            JobState::Done | JobState::Failed => false,
        };
        if let Some(job) = board.jobs.iter().find(|job| job.kind == kind && open(job)) {
            return job.clone();
        }
        board.last_id += 1;
        let job = JobEntry {
            id: board.last_id,
            kind,
            by,
            state: JobState::Waiting,
            step: "waiting".to_owned(),
            progress: None,
            asked_at: self.clock.now(),
            started_at: None,
            ended_at: None,
            result: None,
            error: None,
        };
        self.keep(&job);
        board.jobs.push_front(job.clone());
        board.jobs.truncate(REMEMBERED);
        self.changed.notify_all();
        job
    }

    /// The job that waits longest, from now on running; waits for one at most so long.
    pub(crate) fn take(&self, wait: Duration) -> Option<JobEntry> {
        let mut board = self.board.lock();
        let waiting =
            |board: &mut Board| !board.stopping && board.jobs.iter().all(|job| job.state != JobState::Waiting);
        self.changed.wait_while_for(&mut board, waiting, wait);
        if board.stopping {
            return None;
        }
        let job = board.jobs.iter_mut().rev().find(|job| job.state == JobState::Waiting)?;
        job.state = JobState::Running;
        job.started_at = Some(self.clock.now());
        self.keep(job);
        Some(job.clone())
    }

    pub(crate) fn report(&self, id: u64, step: Step) -> Result<()> {
        let mut board = self.board.lock();
        if board.stopping {
            bail!("the server stops");
        }
        if let Some(job) = board.job(id) {
            job.step = step.words;
            job.progress = step.progress;
        }
        Ok(())
    }

    pub(crate) fn end(&self, id: u64, outcome: Result<Value>) {
        let now = self.clock.now();
        let mut board = self.board.lock();
        let Some(job) = board.job(id) else { return };
        job.ended_at = Some(now);
        job.progress = None;
        match outcome {
            Ok(result) => {
                (job.state, job.step) = (JobState::Done, "done".to_owned());
                job.result = Some(result);
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.error = Some(format!("{error:#}"));
            }
        }
        self.keep(job);
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<JobEntry> {
        self.board.lock().jobs.iter().cloned().collect()
    }

    /// When the newest job of a kind failed, if it did.
    pub(crate) fn failed_at(&self, kind: JobKind) -> Option<TimestampMs> {
        let board = self.board.lock();
        let newest = board.jobs.iter().find(|job| job.kind == kind)?;
        if newest.state == JobState::Failed { newest.ended_at } else { None }
    }

    /// When the newest job of a kind that succeeded did.
    pub(crate) fn done_at(&self, kind: JobKind) -> Option<TimestampMs> {
        let board = self.board.lock();
        board.jobs.iter().find(|job| job.kind == kind && job.state == JobState::Done)?.ended_at
    }

    /// Nothing is begun any more, and what runs gives up at its next step.
    pub(crate) fn stop(&self) {
        self.board.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.board.lock().stopping
    }
}

fn keep(records: &dyn Records, job: &JobEntry) -> Result<(), StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged { what: "jobs", detail: error.to_string() };
    let body = serde_json::to_string(job).map_err(damaged)?;
    let oldest = Column::Integer((job.id as i64).saturating_sub(REMEMBERED as i64));
    records.transaction(&mut |transaction| {
        transaction.execute(
            "INSERT INTO jobs (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            &[Column::Integer(job.id as i64), Column::Text(body.clone())],
        )?;
        transaction.execute("DELETE FROM jobs WHERE id <= $1", std::slice::from_ref(&oldest)).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use merx_domain::ManualClock;

    use super::*;

    fn board() -> JobBoard {
        JobBoard::new(Arc::new(ManualClock::new(TimestampMs(5))))
    }

    #[test]
    fn one_of_a_kind_waits_or_runs_and_the_oldest_comes_first() {
        let board = board();
        let training = board.ask(JobKind::Training, AskedBy::Schedule);
        let export = board.ask(JobKind::Export, AskedBy::Request);
        assert_eq!(board.ask(JobKind::Training, AskedBy::Request), training);
        let running = board.take(Duration::ZERO).unwrap();
        assert_eq!((running.id, running.state), (training.id, JobState::Running));
        assert_eq!(board.ask(JobKind::Training, AskedBy::Request).id, training.id);
        board.report(training.id, Step::part("reading", 1, 2)).unwrap();
        assert_eq!(board.list()[1].progress, Some(JobProgress { done: 1, of: 2 }));
        board.end(training.id, Err(anyhow::anyhow!("no events")));
        assert_eq!(board.failed_at(JobKind::Training), Some(TimestampMs(5)));
        assert_eq!(board.take(Duration::ZERO).unwrap().id, export.id);
        assert_eq!(board.take(Duration::ZERO), None);
        board.end(export.id, Ok(Value::Null));
        assert_eq!(board.failed_at(JobKind::Export), None);
        assert!(board.ask(JobKind::Training, AskedBy::Request).id > export.id);
        board.stop();
        assert_eq!(board.take(Duration::from_secs(60)), None);
        assert!(board.report(training.id, Step::new("on")).is_err());
    }

    #[test]
    fn who_leads_next_begins_again_what_was_not_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records: Arc<dyn Records> =
            Arc::new(merx_store::embedded::SqliteRecords::open(&path, &[MIGRATION]).unwrap());
        let board = || {
            let clock = Arc::new(ManualClock::new(TimestampMs(5)));
            let board = JobBoard::on_record(clock, Arc::clone(&records));
            board.reload().unwrap();
            board
        };
        let before = board();
        let [ended, broken, waiting] =
            [JobKind::Export, JobKind::Training, JobKind::Privacy].map(|kind| before.ask(kind, AskedBy::Request).id);
        before.take(Duration::ZERO).unwrap();
        before.end(ended, Ok(serde_json::json!({ "rows": 3 })));
        assert_eq!(before.take(Duration::ZERO).unwrap().id, broken);
        let next = board();
        assert_eq!(next.list().last().unwrap().result, Some(serde_json::json!({ "rows": 3 })));
        assert_eq!(next.take(Duration::ZERO).unwrap().id, broken);
        assert_eq!(next.take(Duration::ZERO).unwrap().id, waiting);
        assert_eq!(next.take(Duration::ZERO), None);
        assert!(next.ask(JobKind::Export, AskedBy::Request).id > waiting);
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let board = board();
        for _ in 0..REMEMBERED + 5 {
            board.ask(JobKind::Export, AskedBy::Request);
            let job = board.take(Duration::ZERO).unwrap();
            board.end(job.id, Ok(Value::Null));
        }
        assert_eq!(board.list().len(), REMEMBERED);
    }
}
