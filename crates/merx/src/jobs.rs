//! The queue of jobs: who asked for what, how far it is, what came of it. Jobs run one at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use merx_domain::{Clock, TimestampMs};
use merx_serve::{AskedBy, JobEntry, JobKind, JobProgress, JobState};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

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
        Self { clock, board: Mutex::default(), changed: Condvar::new() }
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
