//! Time is UTC, counted in milliseconds since 1970.

use std::fmt;

use serde::{Deserialize, Serialize};

pub const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimestampMs(pub i64);

impl TimestampMs {
    /// Reads RFC 3339 (`2026-01-02T03:04:05.678Z`, any offset) and the same without an offset, taken as UTC.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Some(Self(timestamp.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(Self(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
    }

    /// Days since 1970-01-01, UTC.
    pub fn day(self) -> i32 {
        self.0.div_euclid(DAY_MS) as i32
    }

    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND_MS)
    }

    /// Hour of the day, 0 to 23, UTC.
    pub fn hour(self) -> u8 {
        (self.0.rem_euclid(DAY_MS) / HOUR_MS) as u8
    }

    /// Monday is 0.
    pub fn weekday(self) -> u8 {
        (self.0.div_euclid(DAY_MS) + 3).rem_euclid(7) as u8
    }

    /// Milliseconds from `earlier` to this, never negative.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }

    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_writes_utc() {
        let noon = TimestampMs::parse("2026-01-02T13:00:00+01:00").unwrap();
        assert_eq!(noon.to_string(), "2026-01-02T12:00:00.000Z");
        assert_eq!(TimestampMs::parse("2026-01-02T12:00:00"), Some(noon));
        assert_eq!((noon.hour(), noon.weekday()), (12, 4));
        assert_eq!(TimestampMs::parse("yesterday"), None);
    }
}
