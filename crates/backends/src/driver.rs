//! Asynchronous clients behind synchronous ports.

use std::future::Future;

use merx_store::{Result, StoreError};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};

/// Threads that move bytes for all connections of one backend; callers wait on their own threads.
const WORKERS: usize = 2;

/// A runtime of one backend.
pub(crate) struct Driver {
    handle: Handle,
    /// Taken in `drop`.
    runtime: Option<Runtime>,
}

impl Driver {
    pub(crate) fn start(what: &'static str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(what)
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable { what, detail: error.to_string() })?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Waits for `future` here, wherever here is: on a thread of its own, or on a worker of a server, whose other tasks
    /// another worker takes over meanwhile.
    pub(crate) fn wait<F: Future + Send>(&self, future: F) -> F::Output
    where
        F::Output: Send,
    {
        let handle = &self.handle;
        match Handle::try_current().map(|current| current.runtime_flavor()) {
            Err(_) => handle.block_on(future),
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| handle.block_on(future)),
            // Such a runtime has one thread and can't give it away.
            Ok(_) => std::thread::scope(|scope| {
                let waiting = scope.spawn(|| handle.block_on(future));
                waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A runtime must not be waited for where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
