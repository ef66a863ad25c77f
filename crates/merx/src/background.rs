//! Work that goes on beside the answers, each on a thread of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A thread that does the same piece of work again and again until this is dropped.
pub(crate) struct Repeated {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Repeated {
    /// Between two pieces the thread sleeps for `pause`. `work` gets the flag that says when to stop, for pieces that take
    /// long. What fails or panics is told and tried again: projections and guardrails must not stop behind a server that
    /// goes on answering.
    pub(crate) fn start(
        name: &'static str,
        pause: Duration,
        mut work: impl FnMut(&AtomicBool) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                let done = std::panic::catch_unwind(AssertUnwindSafe(|| work(&stopping)));
                match done {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "{name}: trying again"),
                    Err(_) => {
                        tracing::error!(
                            "{name}: a fault of Merx itself (the panic's message is on standard error); trying again"
                        );
                        std::thread::park_timeout(AFTER_PANIC);
                    }
                }
                std::thread::park_timeout(pause);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
