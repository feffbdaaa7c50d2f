//! Where windows begin and end.
//!
//! Windows follow each other without a gap and end at whole multiples of the interval. The Datadog exporter stamps a
//! window with its start, rounded up to the second, and the intake keeps only the last point of a series and stamp. So
//! two windows never share that second: not the first one, which starts whenever the process does, and its successor;
//! not windows on both sides of a clock that was set back; and not the last window of this process and the first one of
//! the next.

use std::time::Duration;

use hornpipe_model::{Timestamp, Window};

const SECOND: Duration = Duration::from_secs(1);

/// The open window.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    interval: Duration,
    start: Timestamp,
    /// On the monotonic clock: when the window is closed though the time of day has not reached its end, because
    /// somebody set the clock back.
    latest_close: Duration,
}

impl Windows {
    /// Opens the first window. `interval` is whole seconds, at least one.
    pub(crate) fn open(now: Timestamp, monotonic: Duration, interval: Duration) -> Self {
        let mut windows = Windows { interval, start: now, latest_close: Duration::ZERO };
        windows.latest_close = windows.patience(monotonic);
        windows
    }

    /// How long to wait until the window may be closed; `None` once it may. After waiting ask again: the clock may have
    /// been set meanwhile.
    pub(crate) fn time_left(&self, now: Timestamp, monotonic: Duration) -> Option<Duration> {
        let end = self.planned_end();
        if now >= end || monotonic >= self.latest_close {
            return None;
        }
        Some(end.since(now).min(self.latest_close - monotonic))
    }

    /// Closes the window and opens the next one at its end.
    ///
    /// It ends at the last boundary that has passed: more than one interval after its start when the clock was set
    /// forward or when nobody could close it earlier. When the clock was set back by more than an interval, the window is
    /// labelled with the next second, so that labels never repeat and the clock catches up with them.
    pub(crate) fn close(&mut self, now: Timestamp, monotonic: Duration) -> Window {
        let last_boundary = Timestamp::from_secs(now.as_secs() - now.as_secs() % self.interval.as_secs().max(1));
        let end = if now >= self.planned_end() { last_boundary } else { self.stamp().after(SECOND) };
        let window = Window { start: self.start, end, interval: Some(self.interval) };
        self.start = end;
        self.latest_close = self.patience(monotonic);
        window
    }

    /// How long to wait before [`finish`](Self::finish): a process that ends within the second in which its first window
    /// began would leave that window's stamp to its successor.
    pub(crate) fn wait_before_finish(&self, now: Timestamp) -> Option<Duration> {
        let left = self.stamp().since(now);
        (!left.is_zero() && left < SECOND).then_some(left)
    }

    /// Closes the last window, before its planned end.
    pub(crate) fn finish(self, now: Timestamp) -> Window {
        Window { start: self.start, end: now.max(self.start), interval: Some(self.interval) }
    }

    /// The start rounded up to the second.
    fn stamp(&self) -> Timestamp {
        Timestamp::from_secs(self.start.as_secs_ceil())
    }

    /// The first boundary after the stamp, so that the next window has a later one.
    fn planned_end(&self) -> Timestamp {
        self.stamp().next_multiple_of(self.interval)
    }

    /// One interval more than the window is long.
    fn patience(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_add(self.planned_end().since(self.start)).saturating_add(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn millis(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn span(window: &Window) -> (u64, u64) {
        (window.start.as_nanos() / 1_000_000, window.end.as_nanos() / 1_000_000)
    }

    fn opened_at(start: u64) -> Windows {
        Windows::open(millis(start), Duration::ZERO, INTERVAL)
    }

    #[test]
    fn windows_end_at_multiples_of_the_interval() {
        let mut windows = opened_at(103_000);
        assert_eq!(windows.time_left(millis(103_000), Duration::ZERO), Some(Duration::from_secs(7)));
        assert_eq!(windows.time_left(millis(110_000), Duration::from_secs(7)), None);
        let first = windows.close(millis(110_002), Duration::from_secs(7));
        assert_eq!((span(&first), first.interval), ((103_000, 110_000), Some(INTERVAL)));
        assert_eq!(windows.time_left(millis(110_002), Duration::from_secs(7)), Some(Duration::from_millis(9_998)));
        assert_eq!(span(&windows.close(millis(120_000), Duration::from_secs(17))), (110_000, 120_000));
    }

    #[test]
    fn a_first_window_that_would_share_its_second_with_the_next_one_lasts_longer() {
        let mut windows = opened_at(109_400);
        assert_eq!(windows.time_left(millis(109_400), Duration::ZERO), Some(Duration::from_millis(10_600)));
        assert_eq!(span(&windows.close(millis(120_000), Duration::from_secs(11))), (109_400, 120_000));
    }

    #[test]
    fn a_window_that_nobody_closed_in_time_goes_to_the_last_boundary() {
        let mut windows = opened_at(100_000);
        assert_eq!(span(&windows.close(millis(147_000), Duration::from_secs(47))), (100_000, 140_000));
        assert_eq!(windows.time_left(millis(147_000), Duration::from_secs(47)), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_clock_set_back_a_little_makes_one_window_longer() {
        let windows = opened_at(100_000);
        assert_eq!(windows.time_left(millis(106_000), Duration::from_secs(10)), Some(Duration::from_secs(4)));
        assert_eq!(windows.time_left(millis(110_000), Duration::from_secs(14)), None);
    }

    #[test]
    fn a_clock_set_back_far_labels_windows_with_the_seconds_that_follow() {
        let mut windows = opened_at(100_000);
        assert_eq!(windows.time_left(millis(5_000), Duration::from_secs(10)), Some(Duration::from_secs(10)));
        assert_eq!(windows.time_left(millis(15_000), Duration::from_secs(20)), None);
        assert_eq!(span(&windows.close(millis(15_000), Duration::from_secs(20))), (100_000, 101_000));
        assert_eq!(span(&windows.close(millis(34_000), Duration::from_secs(39))), (101_000, 102_000));
    }

    #[test]
    fn the_last_window_ends_now() {
        assert_eq!(span(&opened_at(103_200).finish(millis(104_700))), (103_200, 104_700));
        assert_eq!(span(&opened_at(103_200).finish(millis(90_000))), (103_200, 103_200));
    }

    #[test]
    fn a_process_that_lives_less_than_its_first_second_waits_for_its_end() {
        let windows = opened_at(103_200);
        assert_eq!(windows.wait_before_finish(millis(103_700)), Some(Duration::from_millis(300)));
        assert_eq!(windows.wait_before_finish(millis(104_000)), None);
        assert_eq!(windows.wait_before_finish(millis(90_000)), None, "a clock set back is not waited for");
        assert_eq!(opened_at(103_000).wait_before_finish(millis(103_000)), None);
    }

    proptest! {
        #[test]
        fn stamps_grow_whatever_the_clock_does(
            start in 1_000_000_000_000_u64..1_000_000_100_000,
            interval in 1_u64..70,
            steps in proptest::collection::vec((0_u64..40_000, -200_000_i64..200_000), 1..60),
        ) {
            let interval = Duration::from_secs(interval);
            let (mut unix, mut monotonic) = (start, 0);
            let mut windows = Windows::open(millis(unix), Duration::ZERO, interval);
            let mut previous: Option<Window> = None;
            for (late, set_by) in steps {
                // The task waits as it is told, wakes late, and the clock is set on the way.
                unix = unix.saturating_add_signed(set_by);
                while let Some(left) = windows.time_left(millis(unix), Duration::from_millis(monotonic)) {
                    let waited = left.as_nanos().div_ceil(1_000_000) as u64;
                    prop_assert!(waited > 0);
                    (unix, monotonic) = (unix + waited, monotonic + waited);
                }
                (unix, monotonic) = (unix + late, monotonic + late);
                let window = windows.close(millis(unix), Duration::from_millis(monotonic));
                prop_assert!(window.start < window.end);
                prop_assert_eq!(window.interval, Some(interval));
                prop_assert_eq!(window.end.as_nanos() % 1_000_000_000, 0);
                if let Some(previous) = previous {
                    prop_assert_eq!(previous.end, window.start);
                    prop_assert!(previous.start.as_secs_ceil() < window.start.as_secs_ceil());
                }
                previous = Some(window);
            }
        }

        #[test]
        fn with_a_steady_clock_every_window_after_the_first_is_one_interval(
            start in 1_000_000_000_000_u64..1_000_000_100_000,
            interval in 1_u64..70,
        ) {
            let interval = Duration::from_secs(interval);
            let mut unix = millis(start);
            let mut windows = Windows::open(unix, Duration::ZERO, interval);
            for round in 0..5 {
                let monotonic = unix.since(millis(start));
                unix = unix.after(windows.time_left(unix, monotonic).unwrap());
                let window = windows.close(unix, unix.since(millis(start)));
                prop_assert_eq!(window.end.as_secs() % interval.as_secs(), 0);
                if round > 0 {
                    prop_assert_eq!(window.end.since(window.start), interval);
                }
            }
        }

        #[test]
        fn a_restart_never_gets_the_stamp_of_the_process_before(
            start in 1_000_000_000_000_u64..1_000_000_100_000,
            lived in 0_u64..30_000,
            pause in 1_u64..50,
        ) {
            let mut unix = millis(start);
            let mut windows = Windows::open(unix, Duration::ZERO, INTERVAL);
            let stop = millis(start + lived);
            while let Some(left) = windows.time_left(unix, unix.since(millis(start))).filter(|left| unix.after(*left) <= stop) {
                unix = unix.after(left);
                windows.close(unix, unix.since(millis(start)));
            }
            let stop = stop.after(windows.wait_before_finish(stop).unwrap_or_default());
            let last = windows.finish(stop);
            let next = Windows::open(stop.after(Duration::from_millis(pause)), Duration::ZERO, INTERVAL);
            prop_assert!(last.start.as_secs_ceil() < next.start.as_secs_ceil());
        }
    }
}
