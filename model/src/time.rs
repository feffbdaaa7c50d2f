//! Points in time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time: nanoseconds since the Unix epoch, UTC. Zero means "unknown", as in OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time unknown.
    pub const UNKNOWN: Timestamp = Timestamp(0);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Timestamp(nanos)
    }

    /// From whole seconds since the epoch; saturates after the year 2554.
    pub const fn from_secs(seconds: u64) -> Self {
        Timestamp(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Whole seconds since the epoch, rounded up.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(NANOS_PER_SECOND)
    }

    /// The time between an earlier point and this one; zero when `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point moved into the future; saturates.
    pub fn after(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The next multiple of `interval` that is later than this point. An interval of zero gives the point itself.
    pub fn next_multiple_of(self, interval: Duration) -> Timestamp {
        match u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX) {
            0 => self,
            step => Timestamp((self.0 / step).saturating_add(1).saturating_mul(step)),
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds since the epoch with milliseconds, for logs and errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.as_secs(), self.0 % NANOS_PER_SECOND / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_multiple_is_always_later() {
        let interval = Duration::from_secs(10);
        assert_eq!(Timestamp::from_secs(10).next_multiple_of(interval), Timestamp::from_secs(20));
        assert_eq!(Timestamp::from_secs(19).next_multiple_of(interval), Timestamp::from_secs(20));
        assert_eq!(Timestamp::from_nanos(19_999_999_999).next_multiple_of(interval), Timestamp::from_secs(20));
    }

    #[test]
    fn seconds_round_up_and_down() {
        let time = Timestamp::from_nanos(3_400_000_000);
        assert_eq!((time.as_secs(), time.as_secs_ceil()), (3, 4));
        assert_eq!(Timestamp::from_secs(3).as_secs_ceil(), 3);
    }
}
