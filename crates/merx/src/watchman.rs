//! The thread that holds automations to their guardrails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use merx_decide::Objectives;

use crate::shop::Shop;

/// How long a breach may go unseen.
const LOOK_ROUND: Duration = Duration::from_secs(1);

pub(crate) struct Watchman {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchman {
    pub(crate) fn start(shop: Arc<Shop>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let slo = &shop.config.slo;
        let objectives = Objectives {
            fallback_share: slo.fallback_share,
            trouble_share: slo.trouble_share,
            slow_share: slo.slow_share,
            slow_ms: slo.slow_ms,
        };
        let thread = std::thread::Builder::new().name("guardrails".into()).spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                if let Err(error) = shop.automations.watch(shop.clock.now(), &objectives) {
                    tracing::error!(%error, "guardrails could not be held: trying again");
                }
                std::thread::park_timeout(LOOK_ROUND);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
