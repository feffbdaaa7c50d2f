//! Limits how often data can make us log.

use std::sync::Mutex;
use std::time::Duration;

use crate::{Clock, lock};

/// Lets one event through per interval and counts those held back.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: Duration,
    held_back: u64,
}

impl RateLimit {
    /// One event per `interval`; the first passes at once.
    pub fn new(interval: Duration) -> Self {
        RateLimit { interval, state: Mutex::default() }
    }

    /// `Some(n)` when this event may be logged, where `n` events were held back since the last one.
    pub fn allow(&self, clock: &Clock) -> Option<u64> {
        let now = clock.monotonic();
        let mut state = lock(&self.state);
        if now < state.next {
            state.held_back += 1;
            return None;
        }
        state.next = now.saturating_add(self.interval);
        Some(std::mem::take(&mut state.held_back))
    }
}
