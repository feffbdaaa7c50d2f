//! When a point was, in the seconds that the intake counts in.

use hornpipe_model::Window;

/// A point's timestamp and interval, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointTime {
    /// Seconds since the epoch. Of a regular window its start: the Agent's 10 s buckets have their start's. A window that
    /// the program's start cut short is rounded up, so that it does not overwrite the point of the process before,
    /// because the intake keeps only the last point of a series and second. Of a single reading its time.
    pub(crate) timestamp: i64,
    /// The length of a regular window; 0 for a single reading.
    pub(crate) interval: i64,
}

impl PointTime {
    pub(crate) fn of(window: &Window) -> Self {
        let interval = window.interval.map_or(0, |interval| interval.as_secs());
        let timestamp = if interval == 0 { window.end.as_secs() } else { window.start.as_secs_ceil() };
        PointTime { timestamp: whole(timestamp), interval: whole(interval) }
    }
}

fn whole(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hornpipe_model::Timestamp;

    use super::*;

    #[test]
    fn windows_have_their_start_rounded_up_and_readings_their_end_rounded_down() {
        let millis = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let cases = [
            (10_000, 20_000, Some(10), (10, 10)),
            (13_001, 20_000, Some(10), (14, 10)),
            (10_000, 13_700, Some(10), (10, 10)),
            (10_000, 11_000, Some(1), (10, 1)),
            (0, 17_900, None, (17, 0)),
        ];
        for (start, end, interval, expected) in cases {
            let interval = interval.map(Duration::from_secs);
            let time = PointTime::of(&Window { start: millis(start), end: millis(end), interval });
            assert_eq!((time.timestamp, time.interval), expected);
        }
    }
}
