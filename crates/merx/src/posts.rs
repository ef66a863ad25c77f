//! What a process does for a shop beside answering, and which of several does a job.
//!
//! A job is done under a lease in the records, held while it runs: so each runs once, and one whose process is gone is begun again by whoever sees
//! the lease unbeaten for some looks. What a job writes passes by that lease, and is refused once another process has taken it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use merx_serve::{JobEntry, JobKind};
use merx_store::{Fence, Lease, Pass, Records, Standing, StoreError};

use crate::background::Repeated;
use crate::config::Config;
use crate::jobs::JobBoard;
use crate::lead::BEAT;
use crate::training::stopwatch;

/// What a process does for a shop beside answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    /// Whether it takes the lead where nobody has it: it applies events then, takes every write, and looks whether all is well.
    pub(crate) may_lead: bool,
    pub(crate) jobs: Vec<JobKind>,
    /// Whether it does them only while it leads. One that answers shoppers does not train beside another that leads.
    pub(crate) jobs_with_the_lead: bool,
}

/// What `merx work --only` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Trainings and retrainings.
    Training,
    /// Exports to the lake.
    Export,
}

impl Role {
    /// As where one process serves the shop.
    pub(crate) fn everything() -> Self {
        Self { may_lead: true, jobs: JobKind::ALL.to_vec(), jobs_with_the_lead: true }
    }

    pub(crate) fn of_server(config: &Config) -> Result<Self> {
        match (config.jobs.here, config.storage.is_shared()) {
            (true, _) => Ok(Self::everything()),
            (false, true) => Ok(Self { may_lead: false, jobs: Vec::new(), jobs_with_the_lead: true }),
            (false, false) => bail!(
                "jobs.here = false: who would do the jobs? Only where records, log, online, lake and artifacts all lie on services \
                 can `merx work` do them"
            ),
        }
    }

    pub(crate) fn of_worker(config: &Config, only: &[Work]) -> Result<Self> {
        if !config.storage.is_shared() {
            bail!(
                "`merx work` works beside `merx serve`, which it can't in one data folder: name services for records, log, online, lake \
                 and artifacts, or leave the work to `merx serve`"
            );
        }
        if only.is_empty() {
            return Ok(Self { jobs_with_the_lead: false, ..Self::everything() });
        }
        let kinds = only.iter().flat_map(|work| match work {
            Work::Training => [JobKind::Training, JobKind::Retraining].as_slice(),
            Work::Export => &[JobKind::Export],
        });
        Ok(Self { may_lead: false, jobs: kinds.copied().collect(), jobs_with_the_lead: false })
    }
}

/// Jobs that don't run beside one another.
struct Lane {
    lease: &'static str,
    kinds: &'static [JobKind],
}

/// An export beside an erasure could bring back what that one has just removed; a training reads, and holds no people.
const LANES: [Lane; 2] = [
    Lane { lease: "job-training", kinds: &[JobKind::Training, JobKind::Retraining] },
    Lane { lease: "job-data", kinds: &[JobKind::Export, JobKind::Privacy, JobKind::Retention, JobKind::Indexing] },
];

/// Whether a job changes what the process that leads holds in memory.
pub(crate) fn needs_lead(kind: JobKind) -> bool {
    match kind {
        JobKind::Training | JobKind::Retraining | JobKind::Export => false,
        JobKind::Privacy | JobKind::Retention | JobKind::Indexing => true,
    }
}

/// The leases of jobs, as one process sees them.
pub(crate) struct Posts {
    fence: Arc<Fence>,
    /// Tells people which process does a job.
    worker: String,
    role: Role,
    lanes: Vec<(&'static Lane, Arc<Lease>, Option<Instant>)>,
}

impl Posts {
    /// `holder`: a name that no other process has.
    pub(crate) fn new(records: &Arc<dyn Records>, fence: Arc<Fence>, holder: &str, role: Role) -> Self {
        let lease = |lane: &'static Lane| {
            let lease = Lease::new(Arc::clone(records), lane.lease, holder.to_owned());
            (lane, Arc::new(lease), None)
        };
        Self { fence, worker: worker_name(), role, lanes: LANES.iter().map(lease).collect() }
    }

    /// Begins a job that waits or was left, where nobody else does one of its lane. Call it at least once a second.
    pub(crate) fn begin(&mut self, board: &JobBoard, leads: bool) -> Result<Option<(JobEntry, Post)>, StoreError> {
        let Role { jobs, jobs_with_the_lead, .. } = &self.role;
        if jobs.is_empty() || (*jobs_with_the_lead && !leads) {
            return Ok(None);
        }
        let open = board.open()?;
        for (lane, lease, looked) in &mut self.lanes {
            // The version before runs what it leads to, and knows no leases: its jobs are left to who leads.
            let may = |job: &JobEntry| {
                let kind = job.kind;
                lane.kinds.contains(&kind) && jobs.contains(&kind) && (leads || (job.leased && !needs_lead(kind)))
            };
            // Looks are counted: too many too soon would take it from somebody who is well.
            if !open.iter().any(may) || looked.is_some_and(|at| at.elapsed() < BEAT) {
                continue;
            }
            *looked = Some(stopwatch());
            let Standing::Held { term } = lease.beat()? else { continue };
            let pass = self.fence.pass_by(lane.lease, term);
            match board.begin(&may, Some(&self.worker)) {
                Ok(Some(job)) => {
                    let pass = (!needs_lead(job.kind)).then_some(pass);
                    let post = Post::hold(Arc::clone(lease), term, pass)?;
                    return Ok(Some((job, post)));
                }
                nothing => {
                    drop(pass);
                    lease.give_up()?;
                    nothing?;
                }
            }
        }
        Ok(None)
    }
}

/// A job's lease while it is done. Dropped, another process may do the next.
pub(crate) struct Post {
    lease: Arc<Lease>,
    lost: Arc<AtomicBool>,
    beating: Option<Repeated>,
    pass: Option<Pass>,
}

impl Post {
    fn hold(lease: Arc<Lease>, term: i64, pass: Option<Pass>) -> Result<Self, StoreError> {
        let (lost, beaten) = (Arc::<AtomicBool>::default(), Arc::clone(&lease));
        let gone = Arc::clone(&lost);
        let beating = Repeated::start("job-lease", BEAT, move |_| {
            if !gone.load(Ordering::Relaxed) && beaten.beat()? != (Standing::Held { term }) {
                gone.store(true, Ordering::Relaxed);
                tracing::warn!("another process has taken over the job that this one does");
            }
            Ok(())
        });
        let beating =
            beating.map_err(|error| StoreError::Unavailable { what: "jobs", detail: format!("{error:#}") })?;
        Ok(Self { lease, lost, beating: Some(beating), pass })
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.beating.take();
        self.pass.take();
        if let Err(error) = self.lease.give_up() {
            tracing::warn!(%error, "a job's lease was not given up; another process takes it in a few seconds");
        }
    }
}

/// HOST:PID.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use merx_domain::{ManualClock, TimestampMs};
    use merx_serve::{AskedBy, JobState};
    use merx_store::embedded::SqliteRecords;
    use merx_store::{FencedRecords, LEASE_MIGRATIONS, SILENT_LOOKS};

    use super::*;

    /// One process of several, with the queue as it sees it.
    struct Worker {
        posts: Posts,
        board: JobBoard,
    }

    impl Worker {
        fn new(records: &Arc<dyn Records>, holder: &str) -> Self {
            let fence = Fence::new("lead");
            fence.shut();
            let fenced: Arc<dyn Records> = Arc::new(FencedRecords::new(Arc::clone(records), Arc::clone(&fence)));
            let board = JobBoard::on_record(Arc::new(ManualClock::new(TimestampMs(5))), fenced);
            Self {
                posts: Posts::new(records, fence, holder, Role { jobs_with_the_lead: false, ..Role::everything() }),
                board,
            }
        }

        fn begin(&mut self) -> Option<(JobEntry, Post)> {
            // As if a second had passed.
            self.posts.lanes.iter_mut().for_each(|(_, _, looked)| *looked = None);
            self.posts.begin(&self.board, false).unwrap()
        }
    }

    fn records(folder: &tempfile::TempDir) -> Arc<dyn Records> {
        let migrations = [LEASE_MIGRATIONS, &[crate::jobs::MIGRATION]].concat();
        Arc::new(SqliteRecords::open(&folder.path().join("records.sqlite"), &migrations).unwrap())
    }

    /// The process that leads asks.
    fn ask(records: &Arc<dyn Records>, kind: JobKind) -> u64 {
        let board = JobBoard::on_record(Arc::new(ManualClock::new(TimestampMs(5))), Arc::clone(records));
        board.ask(kind, AskedBy::Request).unwrap().id
    }

    #[test]
    fn one_of_two_workers_does_a_job_and_the_other_does_what_runs_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (mut one, mut two) = (Worker::new(&records, "one"), Worker::new(&records, "two"));
        let training = ask(&records, JobKind::Training);
        let (job, post) = one.begin().unwrap();
        assert_eq!(job.id, training);
        assert!(two.begin().is_none());
        let export = ask(&records, JobKind::Export);
        let (beside, beside_post) = two.begin().unwrap();
        assert_eq!(beside.id, export);
        one.board.end(training, Ok(serde_json::Value::Null));
        drop(post);
        assert!(one.begin().is_none());
        two.board.end(export, Ok(serde_json::Value::Null));
        drop(beside_post);
        let states: Vec<_> = one.board.list().unwrap().iter().map(|job| (job.state, job.attempts)).collect();
        assert_eq!(states, [(JobState::Done, 1), (JobState::Done, 1)]);
    }

    #[test]
    fn a_job_whose_process_is_silent_is_begun_by_another_and_the_first_writes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (mut one, mut two) = (Worker::new(&records, "one"), Worker::new(&records, "two"));
        let training = ask(&records, JobKind::Training);
        let (_, mut post) = one.begin().unwrap();
        // It stands still from here on.
        post.beating.take();
        let mut looks = 0;
        let (again, _post) =
            std::iter::repeat_with(|| two.begin()).inspect(|_| looks += 1).find_map(|begun| begun).unwrap();
        assert!(looks > SILENT_LOOKS, "after {looks} looks");
        assert_eq!((again.id, again.attempts), (training, 2));
        one.board.end(training, Ok(serde_json::json!({ "version": 1 })));
        let job = two.board.list().unwrap().remove(0);
        assert_eq!((job.state, job.result), (JobState::Running, None));
        two.board.end(training, Ok(serde_json::json!({ "version": 2 })));
        assert_eq!(two.board.list().unwrap()[0].result, Some(serde_json::json!({ "version": 2 })));
    }

    #[test]
    fn what_needs_the_lead_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let mut worker = Worker::new(&records, "one");
        ask(&records, JobKind::Privacy);
        assert!(worker.begin().is_none());
        // The lease was not even taken.
        assert_eq!(records.query("SELECT name FROM leases", &[]).unwrap(), []);
    }
}
