//! The queue of jobs: who asked for what, how far it is, what came of it. A process does one job at a time.
//!
//! Where several processes serve a shop the queue is on record, and whoever holds a job's lease ([`crate::posts`]) may begin it: one that waits,
//! or one whose process is gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use merx_domain::{Clock, TimestampMs};
use merx_serve::{AskedBy, JobEntry, JobKind, JobProgress, JobState};
use merx_store::{Migration, Records, Row, StoreError, Transaction, Value as Column};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

pub(crate) const MIGRATION: Migration =
    Migration { name: "2026-11-21-920-jobs", sql: "CREATE TABLE jobs (id BIGINT PRIMARY KEY, body TEXT NOT NULL)" };

/// Jobs that are remembered; older ones stand in the log.
const REMEMBERED: usize = 100;
/// A job whose process went so often is not begun again: it may be what ended them.
const MOST_ATTEMPTS: u32 = 3;
/// How long what became of a job is tried to be written, should the records be away.
const END_TRIES: u32 = 30;
const END_PAUSE: Duration = Duration::from_secs(1);
/// Progress is written so often where it is on record.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

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
    kept: Kept,
    /// Counts what was asked for in this process, for whoever waits for it.
    asked: Mutex<u64>,
    changed: Condvar,
    stopping: AtomicBool,
    busy: Mutex<Busy>,
    /// The last progress that was written, and when.
    told: Mutex<Option<(String, Instant)>>,
}

enum Kept {
    Here(Mutex<Board>),
    /// Where every process finds it.
    OnRecord(Arc<dyn Records>),
}

#[derive(Default)]
struct Busy {
    total: Duration,
    since: Option<Instant>,
}

#[derive(Default, Clone)]
struct Board {
    last_id: u64,
    /// Newest first.
    jobs: VecDeque<JobEntry>,
}

impl Board {
    fn job(&mut self, id: u64) -> Option<&mut JobEntry> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn ask(&mut self, kind: JobKind, by: AskedBy, now: TimestampMs) -> JobEntry {
        // Requests of people that come while others are answered need another round.
        let open = |job: &&JobEntry| match job.state {
            JobState::Waiting => true,
            JobState::Running => kind != JobKind::Privacy,
            JobState::Done | JobState::Failed => false,
        };
        if let Some(job) = self.jobs.iter().find(|job| job.kind == kind && open(job)) {
            return job.clone();
        }
        self.last_id += 1;
        let job = JobEntry {
            id: self.last_id,
            kind,
            by,
            state: JobState::Waiting,
            step: "waiting".to_owned(),
            progress: None,
            asked_at: now,
            started_at: None,
            ended_at: None,
            result: None,
            error: None,
            worker: None,
            attempts: 0,
            leased: true,
        };
        self.jobs.push_front(job.clone());
        self.jobs.truncate(REMEMBERED);
        job
    }

    /// What `may` be begun: first a job that its process left, then the one that waits longest. Nobody runs any of them.
    fn begin(&mut self, may: &dyn Fn(&JobEntry) -> bool, worker: Option<&str>, now: TimestampMs) -> Option<JobEntry> {
        for job in self.jobs.iter_mut().filter(|job| job.state == JobState::Running && may(job)) {
            if job.attempts >= MOST_ATTEMPTS {
                job.state = JobState::Failed;
                job.ended_at = Some(now);
                job.error =
                    Some(format!("its process went {MOST_ATTEMPTS} times before it had ended; ask for it again"));
            }
        }
        let open = |state| move |job: &&mut JobEntry| job.state == state && may(job);
        let left = self.jobs.iter().any(|job| job.state == JobState::Running && may(job));
        let wanted = if left { JobState::Running } else { JobState::Waiting };
        let job = self.jobs.iter_mut().rev().find(open(wanted))?;
        job.state = JobState::Running;
        job.started_at = Some(now);
        job.progress = None;
        if left {
            "begun again; the process that ran it is gone".clone_into(&mut job.step);
        }
        job.worker = worker.map(str::to_owned);
        job.attempts += 1;
        Some(job.clone())
    }

    fn end(&mut self, id: u64, outcome: &Result<Value, String>, now: TimestampMs) {
        let Some(job) = self.job(id) else { return };
        job.ended_at = Some(now);
        job.progress = None;
        match outcome {
            Ok(result) => {
                (job.state, job.step) = (JobState::Done, "done".to_owned());
                job.result = Some(result.clone());
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.error = Some(error.clone());
            }
        }
    }
}

impl JobBoard {
    fn keeping(clock: Arc<dyn Clock>, kept: Kept) -> Self {
        Self {
            clock,
            kept,
            asked: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            busy: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// A queue that goes with this process.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::keeping(clock, Kept::Here(Mutex::default()))
    }

    /// A queue that all processes of the shop share.
    pub(crate) fn on_record(clock: Arc<dyn Clock>, records: Arc<dyn Records>) -> Self {
        Self::keeping(clock, Kept::OnRecord(records))
    }

    /// Changes the queue as a whole. `work` may be done again.
    fn change<T>(&self, work: impl Fn(&mut Board) -> T) -> Result<T, StoreError> {
        let records = match &self.kept {
            Kept::Here(board) => return Ok(work(&mut board.lock())),
            Kept::OnRecord(records) => records,
        };
        let mut done = None;
        records.transaction(&mut |transaction| {
            let before = board_of(&transaction.query(SELECT, &[])?)?;
            let mut board = before.clone();
            done = Some(work(&mut board));
            let known = |job: &&JobEntry| !before.jobs.contains(job);
            board.jobs.iter().filter(known).try_for_each(|job| keep(transaction, job))
        })?;
        done.ok_or(StoreError::Unavailable { what: "jobs", detail: "no transaction was made".to_owned() })
    }

    fn board(&self) -> Result<Board, StoreError> {
        match &self.kept {
            Kept::Here(board) => Ok(board.lock().clone()),
            Kept::OnRecord(records) => board_of(&records.query(SELECT, &[])?),
        }
    }

    /// Puts a job in the queue, but where one of its kind waits or runs: then that is the answer.
    pub(crate) fn ask(&self, kind: JobKind, by: AskedBy) -> Result<JobEntry, StoreError> {
        let now = self.clock.now();
        let job = self.change(|board| board.ask(kind, by, now))?;
        *self.asked.lock() += 1;
        self.changed.notify_all();
        Ok(job)
    }

    /// A job that waits, or whose process is gone, from now on running: of those that nobody runs for certain.
    pub(crate) fn begin(
        &self,
        may: &dyn Fn(&JobEntry) -> bool,
        worker: Option<&str>,
    ) -> Result<Option<JobEntry>, StoreError> {
        if self.is_stopping() {
            return Ok(None);
        }
        let now = self.clock.now();
        let begun = self.change(|board| board.begin(may, worker, now))?;
        if begun.is_some() {
            self.busy.lock().since = Some(crate::training::stopwatch());
        }
        Ok(begun)
    }

    /// Jobs that wait or run, newest first.
    pub(crate) fn open(&self) -> Result<Vec<JobEntry>, StoreError> {
        let mut jobs = self.list()?;
        jobs.retain(|job| matches!(job.state, JobState::Waiting | JobState::Running));
        Ok(jobs)
    }

    /// Until something is asked for in this process after `asked` was read, or for so long.
    pub(crate) fn wait(&self, asked: u64, most: Duration) {
        let mut now = self.asked.lock();
        let waiting = |now: &mut u64| *now == asked && !self.is_stopping();
        self.changed.wait_while_for(&mut now, waiting, most);
    }

    pub(crate) fn asked(&self) -> u64 {
        *self.asked.lock()
    }

    pub(crate) fn report(&self, id: u64, step: &Step) -> Result<()> {
        if self.is_stopping() {
            bail!("the server stops");
        }
        if let Kept::OnRecord(_) = &self.kept {
            let mut told = self.told.lock();
            let recent = |(words, at): &(String, Instant)| *words == step.words && at.elapsed() < PROGRESS_EVERY;
            if told.as_ref().is_some_and(recent) {
                return Ok(());
            }
            *told = Some((step.words.clone(), crate::training::stopwatch()));
        }
        let told = self.change(|board| {
            if let Some(job) = board.job(id) {
                step.words.clone_into(&mut job.step);
                job.progress = step.progress;
            }
        });
        match told {
            // Who took the job over tells of it from now on.
            Err(error @ StoreError::Conflict { .. }) => Err(error.into()),
            Err(error) => {
                tracing::warn!(job = id, %error, "its progress could not be written");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Writes down what became of a job. Where that can't be written the job counts as left by its process.
    pub(crate) fn end(&self, id: u64, outcome: Result<Value>) {
        self.rest();
        let now = self.clock.now();
        let outcome = outcome.map_err(|error| format!("{error:#}"));
        self.write_down(id, || self.change(|board| board.end(id, &outcome, now)));
    }

    /// The job waits again: this process stops, or can't go on with it.
    pub(crate) fn give_back(&self, id: u64, why: &str) {
        self.rest();
        self.write_down(id, || {
            self.change(|board| {
                let Some(job) = board.job(id) else { return };
                job.state = JobState::Waiting;
                job.step = format!("waiting; {why}");
                job.progress = None;
                job.attempts = job.attempts.saturating_sub(1);
            })
        });
    }

    fn write_down(&self, id: u64, write: impl Fn() -> Result<(), StoreError>) {
        for tries in 1.. {
            match write() {
                Ok(()) => return,
                Err(error @ (StoreError::Unavailable { .. } | StoreError::NoSpace { .. }))
                    if tries < END_TRIES && !self.is_stopping() =>
                {
                    tracing::warn!(job = id, %error, "what became of it could not be written; trying again");
                    std::thread::sleep(END_PAUSE);
                }
                Err(error) => {
                    tracing::warn!(job = id, %error, "what became of it could not be written; it is begun again");
                    return;
                }
            }
        }
    }

    fn rest(&self) {
        let mut busy = self.busy.lock();
        if let Some(since) = busy.since.take() {
            busy.total += since.elapsed();
        }
    }

    /// How much of this process's time went into jobs.
    pub(crate) fn busy(&self) -> Duration {
        let busy = self.busy.lock();
        busy.total + busy.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Result<Vec<JobEntry>, StoreError> {
        Ok(self.board()?.jobs.into())
    }

    /// Nothing is begun any more, and what runs gives up at its next step.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _asked = self.asked.lock();
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// When the newest job of a kind failed, if it did.
pub(crate) fn failed_at(jobs: &[JobEntry], kind: JobKind) -> Option<TimestampMs> {
    let newest = jobs.iter().find(|job| job.kind == kind)?;
    if newest.state == JobState::Failed { newest.ended_at } else { None }
}

/// When the newest job of a kind that succeeded did.
pub(crate) fn done_at(jobs: &[JobEntry], kind: JobKind) -> Option<TimestampMs> {
    jobs.iter().find(|job| job.kind == kind && job.state == JobState::Done)?.ended_at
}

const SELECT: &str = "SELECT body FROM jobs ORDER BY id DESC";

fn damaged(detail: String) -> StoreError {
    StoreError::Damaged { what: "jobs", detail }
}

/// The queue as it is on record. It is no longer than [`REMEMBERED`].
fn board_of(rows: &[Row]) -> Result<Board, StoreError> {
    let read = |row: &Row| match row.0.first() {
        Some(Column::Text(body)) => serde_json::from_str(body).map_err(|error| damaged(error.to_string())),
        _ => Err(damaged("a job is not what was written".to_owned())),
    };
    let jobs = rows.iter().map(read).collect::<Result<VecDeque<JobEntry>, _>>()?;
    Ok(Board { last_id: jobs.front().map_or(0, |newest| newest.id), jobs })
}

fn keep(transaction: &mut dyn Transaction, job: &JobEntry) -> Result<(), StoreError> {
    let body = serde_json::to_string(job).map_err(|error| damaged(error.to_string()))?;
    let oldest = Column::Integer((job.id as i64).saturating_sub(REMEMBERED as i64));
    transaction.execute(
        "INSERT INTO jobs (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        &[Column::Integer(job.id as i64), Column::Text(body)],
    )?;
    transaction.execute("DELETE FROM jobs WHERE id <= $1", std::slice::from_ref(&oldest)).map(drop)
}

#[cfg(test)]
mod tests {
    use merx_domain::ManualClock;

    use super::*;

    const NOW: TimestampMs = TimestampMs(5);

    fn here() -> JobBoard {
        JobBoard::new(Arc::new(ManualClock::new(NOW)))
    }

    /// The queue of one process of several.
    fn shared(records: &Arc<dyn Records>) -> JobBoard {
        JobBoard::on_record(Arc::new(ManualClock::new(NOW)), Arc::clone(records))
    }

    fn records(folder: &tempfile::TempDir) -> Arc<dyn Records> {
        let path = folder.path().join("records.sqlite");
        Arc::new(merx_store::embedded::SqliteRecords::open(&path, &[MIGRATION]).unwrap())
    }

    fn begin(board: &JobBoard) -> Option<JobEntry> {
        board.begin(&|_| true, Some("me")).unwrap()
    }

    #[test]
    fn one_of_a_kind_waits_or_runs_and_the_oldest_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for board in [here(), shared(&records(&folder))] {
            let training = board.ask(JobKind::Training, AskedBy::Schedule).unwrap();
            let export = board.ask(JobKind::Export, AskedBy::Request).unwrap();
            assert_eq!(board.ask(JobKind::Training, AskedBy::Request).unwrap(), training);
            let only_training = |job: &JobEntry| job.kind == JobKind::Training;
            let running = board.begin(&only_training, None).unwrap().unwrap();
            assert_eq!((running.id, running.state, running.attempts), (training.id, JobState::Running, 1));
            assert_eq!(board.ask(JobKind::Training, AskedBy::Request).unwrap().id, training.id);
            board.report(training.id, &Step::part("reading", 1, 2)).unwrap();
            assert_eq!(board.list().unwrap()[1].progress, Some(JobProgress { done: 1, of: 2 }));
            board.end(training.id, Err(anyhow::anyhow!("no events")));
            assert_eq!(failed_at(&board.list().unwrap(), JobKind::Training), Some(NOW));
            assert_eq!(begin(&board).unwrap().id, export.id);
            board.end(export.id, Ok(Value::Null));
            assert_eq!(begin(&board), None);
            let jobs = board.list().unwrap();
            assert_eq!((failed_at(&jobs, JobKind::Export), done_at(&jobs, JobKind::Export)), (None, Some(NOW)));
            assert!(board.ask(JobKind::Training, AskedBy::Request).unwrap().id > export.id);
            board.stop();
            assert_eq!(begin(&board), None);
            assert!(board.report(training.id, &Step::new("on")).is_err());
        }
    }

    #[test]
    fn a_job_that_its_process_left_is_begun_again_before_others() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let before = shared(&records);
        let [ended, left, waiting] = [JobKind::Export, JobKind::Training, JobKind::Privacy]
            .map(|kind| before.ask(kind, AskedBy::Request).unwrap().id);
        begin(&before).unwrap();
        before.end(ended, Ok(serde_json::json!({ "rows": 3 })));
        let of_training = |job: &JobEntry| job.kind == JobKind::Training;
        assert_eq!(before.begin(&of_training, Some("who goes")).unwrap().unwrap().id, left);
        let next = shared(&records);
        assert_eq!(next.list().unwrap().last().unwrap().result, Some(serde_json::json!({ "rows": 3 })));
        let again = begin(&next).unwrap();
        assert_eq!((again.id, again.attempts, again.worker.as_deref()), (left, 2, Some("me")));
        next.end(left, Ok(Value::Null));
        assert_eq!(begin(&next).unwrap().id, waiting);
        assert!(next.ask(JobKind::Export, AskedBy::Request).unwrap().id > waiting);
        // Who stops in good order counts as no attempt.
        next.give_back(waiting, "the process that ran it stopped");
        let again = begin(&before).unwrap();
        assert_eq!((again.id, again.attempts), (waiting, 1));
    }

    #[test]
    fn a_job_that_ends_its_processes_is_begun_three_times() {
        let board = here();
        let job = board.ask(JobKind::Training, AskedBy::Request).unwrap();
        for attempt in 1..=MOST_ATTEMPTS {
            assert_eq!(begin(&board).unwrap().attempts, attempt);
        }
        assert_eq!(begin(&board), None);
        let ended = board.list().unwrap().remove(0);
        assert_eq!((ended.id, ended.state), (job.id, JobState::Failed));
        assert!(ended.error.unwrap().contains("3 times"));
    }

    /// As the version before leases wrote it.
    #[test]
    fn a_job_of_the_version_before_is_read() {
        let body = r#"{"id":7,"kind":"training","by":"schedule","state":"running","step":"fitting","progress":null,
            "asked_at":1000,"started_at":2000,"ended_at":null,"result":null,"error":null}"#;
        let board = board_of(&[Row(vec![Column::Text(body.to_owned())])]).unwrap();
        let job = &board.jobs[0];
        assert_eq!((job.id, job.kind, job.leased, job.attempts), (7, JobKind::Training, false, 0));
        assert_eq!(job.asked_at, TimestampMs(1_000));
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        for board in [here(), shared(&records(&folder))] {
            for _ in 0..REMEMBERED + 5 {
                board.ask(JobKind::Export, AskedBy::Request).unwrap();
                let job = begin(&board).unwrap();
                board.end(job.id, Ok(Value::Null));
            }
            assert_eq!(board.list().unwrap().len(), REMEMBERED);
        }
    }
}
