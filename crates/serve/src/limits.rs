//! Rate limits: a token bucket a key, so memory is bounded by the number of keys.

use merx_domain::TimestampMs;
use parking_lot::Mutex;

/// How many requests a key may make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// 0: no limit.
    pub requests_per_second: f64,
    /// How many it may save up.
    pub burst: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket(Mutex<Option<Level>>);

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: TimestampMs,
}

impl Bucket {
    /// `Err` has the seconds until the next token, at least 1.
    pub(crate) fn take(&self, limit: &RateLimit, now: TimestampMs) -> Result<(), u64> {
        if limit.requests_per_second <= 0.0 {
            return Ok(());
        }
        let burst = limit.burst.max(1.0);
        let mut level = self.0.lock();
        let Level { tokens, at } = level.unwrap_or(Level { tokens: burst, at: now });
        let refilled = tokens + now.since(at) as f64 / 1_000.0 * limit.requests_per_second;
        let tokens = refilled.min(burst);
        if tokens < 1.0 {
            *level = Some(Level { tokens, at: at.max(now) });
            return Err(((1.0 - tokens) / limit.requests_per_second).ceil().max(1.0) as u64);
        }
        *level = Some(Level { tokens: tokens - 1.0, at: at.max(now) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let limit = RateLimit { requests_per_second: 2.0, burst: 3.0 };
        let bucket = Bucket::default();
        let taken = |at| bucket.take(&limit, TimestampMs(at)).is_ok();
        assert!((0..3).all(|_| taken(0)));
        assert!(!taken(0));
        assert!(taken(500));
        assert!(!taken(600));
        // A clock that steps back neither gives nor takes.
        assert!(!taken(100));
        assert!(taken(1_100));
        // A long rest saves up no more than the burst.
        assert_eq!((0..10).filter(|_| taken(1_000_000)).count(), 3);
    }

    #[test]
    fn says_how_long_to_wait() {
        let limit = RateLimit { requests_per_second: 0.1, burst: 1.0 };
        let bucket = Bucket::default();
        assert_eq!(bucket.take(&limit, TimestampMs(0)), Ok(()));
        assert_eq!(bucket.take(&limit, TimestampMs(0)), Err(10));
    }
}
