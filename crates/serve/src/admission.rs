//! What is turned away when more is asked than this machine can answer: behaviour first, then decisions, never orders, consent or what an
//! operator does.
//!
//! Decisions wait in one line for a few places, so that each one that is begun runs at full speed. How long the line stands tells overload
//! from a burst (Maurer, "Fail at Scale", ACM Queue 13(8), 2015): once it has not been empty for [`STANDING`], nobody waits long any more,
//! since an answer that comes after the shopper went on is work for nothing. What is so short that it is computed where it is read, on the
//! async threads, has no line of its own: there a clock that ticks late tells how long requests wait to be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::app::App;
use crate::body::blocking;
use crate::problem::{Code, Problem};
use crate::routes::Shared;

/// A line that stands for longer is no burst.
const STANDING: Duration = Duration::from_millis(100);
/// Patience once it stands.
const IMPATIENT: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(20);
/// Beyond these nobody joins the line: each one holds its connection and its request.
const MOST_WAITING: usize = 10_000;
const RETRY_AFTER_S: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Decisions that are computed at the same time.
    pub decisions_at_once: usize,
    /// How long a decision may wait for its turn.
    pub longest_wait_ms: u64,
    /// Whether a recommendation asks nothing but this process: then it is computed where it is read.
    pub recommends_in_memory: bool,
}

pub(crate) struct Admission {
    places: Semaphore,
    patience: Duration,
    waiting: AtomicUsize,
    begun: Instant,
    /// Milliseconds since `begun`, from 1, at which the line began to stand; 0: nobody waits.
    standing_since_ms: AtomicU64,
    /// How late the async threads are.
    lag_ms: AtomicU64,
    recommends_in_memory: bool,
    decisions_shed: AtomicU64,
    behaviour_shed: AtomicU64,
}

impl Admission {
    pub(crate) fn new(settings: &AdmissionSettings) -> Self {
        Self {
            places: Semaphore::new(settings.decisions_at_once.clamp(1, Semaphore::MAX_PERMITS)),
            patience: Duration::from_millis(settings.longest_wait_ms),
            waiting: AtomicUsize::new(0),
            begun: Instant::now(),
            standing_since_ms: AtomicU64::new(0),
            lag_ms: AtomicU64::new(0),
            recommends_in_memory: settings.recommends_in_memory,
            decisions_shed: AtomicU64::new(0),
            behaviour_shed: AtomicU64::new(0),
        }
    }

    /// A place among the decisions that are computed now, or `overloaded`.
    async fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        // There is a free place only where nobody waits for one.
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        if self.waiting.load(Relaxed) < MOST_WAITING {
            let patience = if self.is_pressed() { IMPATIENT.min(self.patience) } else { self.patience };
            let _in_line = InLine::join(self);
            if let Ok(Ok(place)) = timeout(patience, self.places.acquire()).await {
                return Ok(place);
            }
        }
        Err(self.turn_away())
    }

    fn turn_away(&self) -> Problem {
        self.decisions_shed.fetch_add(1, Relaxed);
        Problem::new(Code::Overloaded).retry_after(RETRY_AFTER_S)
    }

    pub(crate) fn recommends_in_memory(&self) -> bool {
        self.recommends_in_memory
    }

    /// For what is computed where it is read: `overloaded` where requests wait too long to be read.
    pub(crate) fn pass(&self) -> Result<(), Problem> {
        if u128::from(self.lag_ms.load(Relaxed)) > self.patience.as_millis() { Err(self.turn_away()) } else { Ok(()) }
    }

    /// Takes the time of the async threads, as long as the server runs.
    pub(crate) async fn watch_lag(&self) {
        loop {
            let due = Instant::now() + TICK;
            tokio::time::sleep_until(due).await;
            self.lag_ms.store(due.elapsed().as_millis() as u64, Relaxed);
        }
    }

    /// Whether decisions have waited without a pause for so long that this is no burst, or requests are read so late.
    pub(crate) fn is_pressed(&self) -> bool {
        self.is_pressed_at(self.now_ms())
    }

    fn is_pressed_at(&self, now_ms: u64) -> bool {
        let since = self.standing_since_ms.load(Relaxed);
        let standing_ms = STANDING.as_millis() as u64;
        since > 0 && now_ms.saturating_sub(since) >= standing_ms || self.lag_ms.load(Relaxed) >= standing_ms
    }

    /// Refuses a body of events while decisions wait, unless it speaks of an order. Looked for in the bytes, since reading events is what there
    /// is no time for; a word too many only lets behaviour pass.
    pub(crate) fn take_events(&self, body: &[u8]) -> Result<(), Problem> {
        if !self.is_pressed() || names_an_order(body) {
            return Ok(());
        }
        self.behaviour_shed.fetch_add(1, Relaxed);
        Err(Problem::new(Code::Busy).retry_after(RETRY_AFTER_S))
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed) as u64
    }

    /// Decisions and bodies of events turned away since start.
    pub(crate) fn shed(&self) -> (u64, u64) {
        (self.decisions_shed.load(Relaxed), self.behaviour_shed.load(Relaxed))
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
    }
}

fn names_an_order(body: &[u8]) -> bool {
    const WORDS: [&[u8]; 2] = [b"order", b"purchase"];
    WORDS.iter().any(|word| body.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word)))
}

/// One who waits, until dropped: callers may go before their turn.
struct InLine<'a>(&'a Admission);

impl<'a> InLine<'a> {
    fn join(admission: &'a Admission) -> Self {
        if admission.waiting.fetch_add(1, Relaxed) == 0 {
            admission.standing_since_ms.store(admission.now_ms(), Relaxed);
        }
        Self(admission)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Relaxed) == 1 {
            self.0.standing_since_ms.store(0, Relaxed);
        }
    }
}

/// Computes a decision off the async threads, when its turn comes. On services it waits for the network, and nothing else may wait with it.
pub(crate) async fn deciding<T: Send + 'static>(
    app: &Shared,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let _place = app.admission.enter().await?;
    let app = Arc::clone(app);
    blocking(move || work(&app)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_place(longest_wait_ms: u64) -> Arc<Admission> {
        let settings = AdmissionSettings { decisions_at_once: 1, longest_wait_ms, recommends_in_memory: true };
        Arc::new(Admission::new(&settings))
    }

    /// Joins the line; the answer comes when the turn does.
    async fn in_line(admission: &Arc<Admission>) -> tokio::task::JoinHandle<Result<(), Code>> {
        let (ahead, joining) = (admission.waiting(), Arc::clone(admission));
        let waits = tokio::spawn(async move { joining.enter().await.map(drop).map_err(|problem| problem.code) });
        while admission.waiting() == ahead && !waits.is_finished() {
            tokio::task::yield_now().await;
        }
        waits
    }

    #[tokio::test]
    async fn a_burst_waits_and_an_overload_is_turned_away() {
        const AN_HOUR_MS: u64 = 3_600_000;
        let admission = one_place(AN_HOUR_MS);
        let held = admission.enter().await.unwrap();
        let first = in_line(&admission).await;
        while !admission.is_pressed() {
            tokio::time::sleep(STANDING / 10).await;
        }
        assert!(admission.take_events(br#"{"event":"Product Viewed"}"#).is_err());
        assert!(admission.take_events(br#"{"batch":[{"event":"ORDER Completed"}]}"#).is_ok(), "never an order");
        assert_eq!(in_line(&admission).await.await.unwrap(), Err(Code::Overloaded), "not an hour");
        assert_eq!((admission.shed(), admission.waiting()), ((1, 1), 1));
        // Who came before the line stood too long still gets the place, and then all is as before.
        drop(held);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!((admission.is_pressed(), admission.waiting()), (false, 0));
        assert!(admission.take_events(b"{}").is_ok());
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_line_that_has_just_begun_is_a_burst() {
        let admission = one_place(3_600_000);
        let held = admission.enter().await.unwrap();
        let first = in_line(&admission).await;
        let since = admission.standing_since_ms.load(Relaxed);
        let standing_ms = STANDING.as_millis() as u64;
        assert!(!admission.is_pressed_at(since) && !admission.is_pressed_at(since + standing_ms - 1));
        assert!(admission.is_pressed_at(since + standing_ms));
        drop(held);
        assert_eq!(first.await.unwrap(), Ok(()));
    }

    #[test]
    fn async_threads_that_are_late_turn_behaviour_away_first() {
        let admission = one_place(250);
        for (lag_ms, behaviour, decisions) in
            [(0, true, true), (99, true, true), (100, false, true), (251, false, false)]
        {
            admission.lag_ms.store(lag_ms, Relaxed);
            let taken = (admission.take_events(b"{}").is_ok(), admission.pass().is_ok());
            assert_eq!(taken, (behaviour, decisions), "{lag_ms} ms late");
            assert!(admission.take_events(br#"{"event":"Order Completed"}"#).is_ok());
        }
    }

    #[tokio::test]
    async fn threads_that_do_something_else_are_late() {
        let admission = one_place(250);
        let watching = {
            let admission = Arc::clone(&admission);
            tokio::spawn(async move { admission.watch_lag().await })
        };
        tokio::task::yield_now().await;
        while admission.lag_ms.load(Relaxed) < 50 {
            // The only thread of this runtime is held, as by a request that takes long.
            std::thread::sleep(Duration::from_millis(80));
            tokio::task::yield_now().await;
        }
        watching.abort();
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_allowed_and_who_goes_leaves_no_trace() {
        let admission = one_place(5);
        let _held = admission.enter().await.unwrap();
        assert_eq!(in_line(&admission).await.await.unwrap(), Err(Code::Overloaded));
        let patient = one_place(3_600_000);
        let _held = patient.enter().await.unwrap();
        let gone = in_line(&patient).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!((patient.waiting(), patient.is_pressed(), patient.shed()), (0, false, (0, 0)));
    }
}
