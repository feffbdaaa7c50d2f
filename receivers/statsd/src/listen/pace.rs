//! How long to let datagrams gather before the next system call.

use std::time::{Duration, Instant};

/// So many datagrams a call are worth waiting for. Of more, waking up is hardly a part of what each costs.
const ENOUGH: u32 = 256;

/// Datagrams gather no longer than this, however large the buffer, and however few they are.
const LONGEST: Duration = Duration::from_micros(5_000);

/// Nor shorter: what comes in this and the 50 microseconds by which the system is late as a rule takes a fifth of the 208 KiB
/// that many systems allow, and less would save nothing.
const SHORTEST: Duration = Duration::from_micros(60);

/// Calls no further apart than this are quick, and so are those within half of what the buffer allows.
const QUICK: Duration = Duration::from_micros(100);

/// How much later than asked for a thread may wake where others want the processor, too.
const OVERSLEPT: Duration = Duration::from_micros(250);

/// What the kernel charges to the buffer at the highest rate that was seen, for each microsecond: a million small datagrams
/// a second, of 800 bytes each with all that belongs to them.
const FASTEST: usize = 800;

/// What gathers at that rate may take this part of the buffer.
const PART_OF_BUFFER: usize = 2;

/// How long datagrams gather in the kernel where they come in quick succession.
///
/// A thread that waits is woken by the first datagram of a burst and reads it alone, then the second, and so on, and each time
/// it goes to sleep and is woken costs several times what a datagram does. So where they come in quick succession the next
/// call comes so much later that it finds [`ENOUGH`], and so on as long as each finds at least two. After that a single one
/// is read at once, as ever, and where nothing comes nothing wakes up.
#[derive(Debug)]
pub(super) struct Pace {
    /// What the buffer allows.
    longest: Duration,
    /// How long to let them gather in traffic like the last.
    length: Duration,
    is_quick: bool,
    /// Datagrams since the last pause.
    count: u32,
    last_call: Option<Instant>,
}

impl Pace {
    /// For a receive buffer of so many bytes as the kernel counts them.
    pub(super) fn for_buffer(bytes: usize) -> Self {
        let microseconds = u64::try_from(bytes / PART_OF_BUFFER / FASTEST).unwrap_or(u64::MAX);
        let longest = Duration::from_micros(microseconds).saturating_sub(OVERSLEPT).clamp(SHORTEST, LONGEST);
        Pace { longest, length: longest, is_quick: false, count: 0, last_call: None }
    }

    /// How long the next call should wait, come what may. None where it should come with the next datagram.
    pub(super) fn gathering(&self) -> Option<Duration> {
        self.is_quick.then_some(self.length)
    }

    /// A call has brought `count` datagrams, and the next one brings `more` right away.
    pub(super) fn received(&mut self, count: usize, more: bool, now: Instant) {
        self.count = self.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if more {
            return;
        }
        let count = std::mem::take(&mut self.count);
        let before = self.last_call.replace(now);
        if self.is_quick {
            let wanted = self.length * ENOUGH / count.max(1);
            self.length = wanted.clamp(self.length / 2, self.length * 2).clamp(SHORTEST, self.longest);
            self.is_quick = count > 1;
        } else {
            let quick = QUICK.max(self.longest / 2);
            self.is_quick = count > 0 && before.is_some_and(|before| now.duration_since(before) < quick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives a pace through time: what came since the last call, a datagram each `spacing`.
    struct Traffic {
        pace: Pace,
        now: Instant,
        next: Instant,
        calls: u32,
    }

    impl Traffic {
        fn new(buffer: usize) -> Self {
            let now = Instant::now();
            Traffic { pace: Pace::for_buffer(buffer), now, next: now, calls: 0 }
        }

        /// Calls until `count` datagrams, so far apart, were read; the most that one call found.
        fn read(&mut self, count: u32, spacing: Duration) -> u32 {
            self.next = self.next.max(self.now);
            let (mut left, mut most) = (count, 0);
            while left > 0 {
                match self.pace.gathering() {
                    Some(time) => self.now += time,
                    None => self.now = self.now.max(self.next),
                }
                let mut found = 0;
                while found < left && self.next <= self.now {
                    self.next += spacing;
                    found += 1;
                }
                self.pace.received(found as usize, false, self.now);
                self.calls += 1;
                (left, most) = (left - found, most.max(found));
            }
            most
        }
    }

    const LARGE: usize = 8 << 20;
    const SMALL: usize = 416 << 10;

    #[test]
    fn each_call_finds_enough_where_the_buffer_allows_it() {
        for microseconds in [1, 5, 20] {
            let mut traffic = Traffic::new(LARGE);
            traffic.read(10_000, Duration::from_micros(microseconds));
            traffic.calls = 0;
            traffic.read(48_000, Duration::from_micros(microseconds));
            assert!((170..=240).contains(&traffic.calls), "{} calls", traffic.calls);
        }
    }

    #[test]
    fn what_gathers_in_a_sudden_burst_takes_half_of_the_buffer_at_most() {
        for buffer in [LARGE, SMALL] {
            let mut traffic = Traffic::new(buffer);
            traffic.read(1_000, Duration::from_micros(300));
            assert!(traffic.read(10_000, Duration::from_micros(1)) as usize <= buffer / 2 / 800);
        }
    }

    #[test]
    fn a_datagram_that_comes_alone_is_read_at_once() {
        let mut traffic = Traffic::new(LARGE);
        assert_eq!(traffic.read(1_000, Duration::from_millis(3)), 1);
        assert_eq!((traffic.calls, traffic.pace.gathering()), (1_000, None));
        traffic.read(1_000, Duration::from_micros(10));
        assert!(traffic.pace.gathering().is_some());
        // The first of these ends the last gathering.
        traffic.read(3, Duration::from_millis(10));
        assert_eq!(traffic.pace.gathering(), None);
    }

    #[test]
    fn datagrams_of_several_calls_in_a_row_count_together() {
        let start = Instant::now();
        let mut pace = Pace::for_buffer(LARGE);
        let mut at = |microseconds, count, more| {
            pace.received(count, more, start + Duration::from_micros(microseconds));
            pace.gathering().map(|time| time.as_micros())
        };
        assert_eq!((at(0, 1, false), at(10, 1, false)), (None, Some(4_992)));
        assert_eq!((at(5_010, 128, true), at(5_030, 384, false)), (Some(4_992), Some(2_496)));
    }
}
