//! The one place where a clock is read. Everything below `merx` and `serve` is handed the time.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::TimestampMs;

pub trait Clock: Send + Sync {
    fn now(&self) -> TimestampMs;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
    fn now(&self) -> TimestampMs {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        TimestampMs(elapsed.as_millis() as i64)
    }
}

/// A clock that tests and simulations turn by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn new(now: TimestampMs) -> Self {
        Self(AtomicI64::new(now.0))
    }

    pub fn set(&self, now: TimestampMs) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.0.load(Ordering::SeqCst))
    }
}
