//! How many requests are under way at a time, and how fast one follows another after an outage.
//!
//! Where entries wait and requests succeed, one more consumer is tried each time, up to the most; a failure halves them. After a
//! failure the first requests that succeed follow each other slowly, then faster and faster: a backend that comes back is
//! not met by all that has gathered, from every host at once.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::lock;

/// Pause between the first two requests after an outage; each success halves it.
const FIRST_GAP: Duration = Duration::from_millis(500);
/// Below it there is none.
const SMALLEST_GAP: Duration = Duration::from_millis(5);

/// The pace of one queue.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    consumers: usize,
    gap: Duration,
    /// When the next request may start, on the monotonic clock.
    next: Duration,
    /// The backend asked for silence until then.
    silent_until: Duration,
}

impl Pace {
    /// A pace of up to `most` consumers; it starts with one.
    pub fn new(most: usize) -> Self {
        let state = State { consumers: 1, gap: Duration::ZERO, next: Duration::ZERO, silent_until: Duration::ZERO };
        Pace { most: most.max(1), state: Mutex::new(state) }
    }

    /// How many requests may be under way.
    pub fn consumers(&self) -> usize {
        self.lock().consumers
    }

    /// When the next entry may be prepared, on the monotonic clock.
    pub fn next(&self) -> Duration {
        self.lock().next
    }

    /// Until when the backend asked for silence: no request is sent before.
    pub fn silent_until(&self) -> Duration {
        self.lock().silent_until
    }

    /// A request succeeded at a time; `waiting` is true where others wait.
    pub fn succeeded(&self, now: Duration, waiting: bool) {
        let mut state = self.lock();
        state.next = now.saturating_add(state.gap);
        state.gap = Some(state.gap / 2).filter(|gap| *gap >= SMALLEST_GAP).unwrap_or_default();
        if waiting {
            state.consumers = (state.consumers + 1).min(self.most);
        }
    }

    /// A request failed; `asked` is the pause that the backend asked for.
    pub fn failed(&self, now: Duration, asked: Option<Duration>) {
        let mut state = self.lock();
        state.consumers = (state.consumers / 2).max(1);
        state.gap = FIRST_GAP;
        if let Some(asked) = asked {
            state.silent_until = state.silent_until.max(now.saturating_add(asked));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn consumers_grow_with_success_while_others_wait_and_a_failure_halves_them() {
        let pace = Pace::new(10);
        pace.succeeded(NOW, false);
        assert_eq!(pace.consumers(), 1);
        (0..20).for_each(|_| pace.succeeded(NOW, true));
        assert_eq!(pace.consumers(), 10);
        pace.failed(NOW, None);
        assert_eq!(pace.consumers(), 5);
        (0..5).for_each(|_| pace.failed(NOW, None));
        assert_eq!(pace.consumers(), 1);
    }

    #[test]
    fn one_consumer_stays_one() {
        let pace = Pace::new(1);
        pace.succeeded(NOW, true);
        assert_eq!(pace.consumers(), 1);
    }

    #[test]
    fn after_an_outage_requests_follow_each_other_faster_and_faster() {
        let pace = Pace::new(1);
        pace.succeeded(NOW, true);
        assert_eq!(pace.next(), NOW);
        pace.failed(NOW, None);
        let mut gaps = Vec::new();
        for _ in 0..9 {
            pace.succeeded(NOW, true);
            gaps.push((pace.next() - NOW).as_micros());
        }
        assert_eq!(gaps, [500_000, 250_000, 125_000, 62_500, 31_250, 15_625, 7_812, 0, 0]);
    }

    #[test]
    fn silence_that_the_backend_asks_for_holds_for_all() {
        let pace = Pace::new(10);
        pace.failed(NOW, Some(Duration::from_secs(120)));
        pace.failed(NOW, Some(Duration::from_secs(3)));
        assert_eq!(pace.silent_until(), Duration::from_secs(220));
    }
}
