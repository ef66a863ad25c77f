//! What a shop does beside answering: jobs that were asked for, the schedule that asks for them, records that leave.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use merx_domain::{DAY_MS, HOUR_MS, TimestampMs};
use merx_serve::{AskedBy, JobEntry, JobKind};
use merx_store::StoreError;
use serde_json::Value;

use crate::jobs::{self, JobBoard, Step};
use crate::posts::{Post, Posts, Role, needs_lead};
use crate::retention::Limits;
use crate::shop::{RECOMMEND, Shop};
use crate::{lake, memory, privacy, retention, training};

/// How often the schedule is looked at.
const LOOK_ROUND: Duration = Duration::from_secs(30);
/// How often the queue is, where other processes ask and work too: as often as looks at a lease are counted.
const SHARED_ROUND: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A job that failed is not tried again by the schedule before.
const PAUSE_AFTER_FAILURE_MS: i64 = HOUR_MS;
/// Old decision records leave in steps, so that no transaction is long.
const FORGET_STEP: usize = 10_000;
/// How long a stop waits for a job to notice. A training that is fitting does not, and goes with the process: what it
/// writes, it writes in one transaction.
const STOP_POLLS: u32 = 20;
const STOP_POLL: Duration = Duration::from_millis(100);

/// How much less of the processor jobs get than answers where both want it (the `nice` of their threads).
const NICENESS: i32 = 10;

/// Answers come first: what jobs do on all cores (a training, mostly) runs on threads that yield to them.
///
/// Call before anything is computed in parallel.
pub(crate) fn let_answers_go_first() -> Result<()> {
    Ok(rayon::ThreadPoolBuilder::new().start_handler(|_| yield_to_answers()).build_global()?)
}

pub(crate) fn yield_to_answers() {
    // Linux knows a priority for each thread; without one the work is done all the same.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

/// A thread that does jobs, and by the schedule asks for them.
pub(crate) struct Housekeeping {
    board: Arc<JobBoard>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// `scheduled`: also what nobody asks for. A command that opens the folder for one job does only that.
    pub(crate) fn start(shop: Arc<Shop>, board: Arc<JobBoard>, role: &Role, scheduled: bool) -> Result<Self> {
        let (working, mut posts) = (Arc::clone(&board), shop.posts(role));
        let thread = std::thread::Builder::new().name("housekeeping".into()).spawn(move || {
            if scheduled {
                yield_to_answers();
            }
            let mut looked = None::<Instant>;
            while !working.is_stopping() {
                let asked = working.asked();
                if scheduled && shop.leads() && looked.is_none_or(|at| at.elapsed() >= LOOK_ROUND) {
                    looked = Some(training::stopwatch());
                    keep_house(&shop, &working);
                }
                match begin(&shop, &working, posts.as_mut()) {
                    Ok(Some((job, post))) => do_it(&shop, &working, &job, post.as_ref()),
                    Ok(None) => working.wait(asked, if posts.is_some() { SHARED_ROUND } else { LOOK_ROUND }),
                    Err(error) => {
                        tracing::warn!(%error, "the queue of jobs could not be read; trying again");
                        working.wait(asked, AFTER_FAILURE);
                    }
                }
            }
        })?;
        Ok(Self { board, thread: Some(thread) })
    }
}

/// A job to do, with the lease that it is done under where other processes work too.
fn begin(
    shop: &Shop,
    board: &JobBoard,
    posts: Option<&mut Posts>,
) -> Result<Option<(JobEntry, Option<Post>)>, StoreError> {
    match posts {
        None => Ok(board.begin(&|_| true, None)?.map(|job| (job, None))),
        Some(posts) => Ok(posts.begin(board, shop.leads())?.map(|(job, post)| (job, Some(post)))),
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.board.stop();
        let Some(thread) = self.thread.take() else { return };
        for _ in 0..STOP_POLLS {
            if thread.is_finished() {
                let _ = thread.join();
                return;
            }
            std::thread::sleep(STOP_POLL);
        }
        tracing::warn!("a job is under way; it is given up");
    }
}

/// Does a job, and writes down what came of it while the job is still this process's.
fn do_it(shop: &Arc<Shop>, board: &JobBoard, job: &JobEntry, post: Option<&Post>) {
    // What a panic leaves behind is dropped with it.
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| run(shop, board, job, post)));
    memory::give_back();
    let outcome = done.unwrap_or_else(|_| Err(anyhow::anyhow!("a fault of Merx itself; standard error has the panic")));
    tell(job, &outcome);
    match outcome {
        Err(_) if board.is_stopping() => board.give_back(job.id, "the process that ran it stopped"),
        Err(_) if not_ours(shop, job, post).is_some() => {
            board.give_back(job.id, "the process that ran it had to leave it")
        }
        outcome => board.end(job.id, outcome),
    }
}

/// Why this process may not go on with a job.
fn not_ours(shop: &Shop, job: &JobEntry, post: Option<&Post>) -> Option<&'static str> {
    if needs_lead(job.kind) && !shop.leads() {
        return Some("another process leads the shop now");
    }
    post.is_some_and(Post::is_lost).then_some("another process does this job now")
}

fn run(shop: &Arc<Shop>, board: &JobBoard, job: &JobEntry, post: Option<&Post>) -> Result<Value> {
    // A step may be told a hundred times, with its progress; the log has it once.
    let logged = RefCell::new(String::new());
    let say = |step: Step| {
        if *logged.borrow() != step.words {
            tracing::info!(job = job.id, step = step.words, "working");
            logged.replace(step.words.clone());
        }
        if let Some(why) = not_ours(shop, job, post) {
            anyhow::bail!(why);
        }
        board.report(job.id, &step)
    };
    match job.kind {
        JobKind::Training => training::train_all(shop, &say),
        JobKind::Retraining => training::train_into_shadow(shop, &say),
        JobKind::Export => lake::export(&shop.store, shop.clock.now(), &say),
        JobKind::Privacy => privacy::answer_all(shop, &say),
        JobKind::Retention => match Limits::of(&shop.config.retention, shop.clock.now()) {
            Some(limits) => retention::let_go(&shop.store, &limits, &say),
            None => Ok(serde_json::json!({ "events": 0, "lake_rows": 0 })),
        },
        JobKind::Indexing => shop.searching.rebuild(),
    }
}

fn tell(job: &JobEntry, outcome: &Result<Value>) {
    match outcome {
        Ok(result) => tracing::info!(job = job.id, kind = ?job.kind, %result, "done"),
        Err(error) => tracing::warn!(job = job.id, kind = ?job.kind, error = format!("{error:#}"), "failed"),
    }
}

fn keep_house(shop: &Shop, board: &JobBoard) {
    let now = shop.clock.now();
    let before = now.plus_ms(-i64::from(shop.config.record.keep_days) * DAY_MS);
    if let Err(error) = shop.recorder.forget_before(before, FORGET_STEP) {
        tracing::error!(%error, "old decisions could not be removed");
    }
    if let Err(error) = privacy::keep_house(shop) {
        tracing::error!(error = format!("{error:#}"), "old notes of privacy requests could not be removed");
    }
    let jobs = match board.list() {
        Ok(jobs) => jobs,
        Err(error) => return tracing::error!(%error, "the queue of jobs could not be read"),
    };
    let done = jobs::done_at(&jobs, JobKind::Retention);
    let retention_is_due =
        done.is_none_or(|done| now.since(done) >= DAY_MS) && Limits::of(&shop.config.retention, now).is_some();
    ask_if_due(board, &jobs, JobKind::Retention, Ok(retention_is_due), now);
    ask_if_due(board, &jobs, JobKind::Privacy, privacy::is_due(shop), now);
    let training = next_training_at(shop).map(|due| due.is_some_and(|due| due <= now));
    ask_if_due(board, &jobs, JobKind::Training, training, now);
    let export = lake::export_is_due(&shop.store, &shop.config.lake, now);
    ask_if_due(board, &jobs, JobKind::Export, export, now);
}

fn ask_if_due(board: &JobBoard, jobs: &[JobEntry], kind: JobKind, due: Result<bool, StoreError>, now: TimestampMs) {
    let rested = jobs::failed_at(jobs, kind).is_none_or(|failed| now.since(failed) >= PAUSE_AFTER_FAILURE_MS);
    let asked = due.and_then(|due| if due && rested { board.ask(kind, AskedBy::Schedule).map(drop) } else { Ok(()) });
    match asked {
        Ok(()) => {}
        Err(error) => tracing::error!(%error, ?kind, "whether it is due could not be found"),
    }
}

/// By the schedule. A shop that never trained waits for its first training by hand: `None`.
pub(crate) fn next_training_at(shop: &Shop) -> Result<Option<TimestampMs>, StoreError> {
    let models = shop.registry.list().map_err(crate::serving::store_error_of_registry)?;
    let last = models.iter().filter(|model| model.name == RECOMMEND).map(|model| model.created_at).max();
    let every_hours = shop.config.train.every_hours;
    Ok(last.and_then(|last| merx_train::next_due(Some(last), every_hours, shop.clock.now())))
}
