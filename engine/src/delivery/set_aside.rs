//! Requests that fail again and again, and what they may hold up.
//!
//! A backend that is down refuses everything; one request that a backend cannot bear is refused alone. After
//! [`STUBBORN`] failures a request is stuck, and the next entry gets one try. Where that fails too, it goes back and the
//! backend is at fault. Where it succeeds, what is stuck is set aside: it is tried apart from the queue, at the longest
//! interval, and the queue goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::lock;

/// Failures after which the next entry gets a try.
pub(super) const STUBBORN: u32 = 8;
/// Most that is set aside; what comes then holds the queue up.
const MOST_ASIDE: usize = 10;

/// What is stuck and what is set aside, of one queue.
#[derive(Debug, Default)]
pub(super) struct Ward {
    state: Mutex<State>,
    /// The next entry may have its try.
    probe_wanted: AtomicBool,
    /// Something of this has changed.
    pub changed: Notify,
    /// The backend took something while others were stuck: it may be well again, and what was stuck is tried at once.
    pub released: Notify,
}

#[derive(Debug, Default)]
struct State {
    stuck: usize,
    aside: usize,
    /// How often what was stuck was set aside.
    rounds: u64,
}

/// Where one entry under way stands.
#[derive(Debug, Default)]
pub(super) struct Patient {
    /// The round in which it got stuck.
    stuck_in: Option<u64>,
}

impl Ward {
    /// How many entries hold the queue up, and how many are set aside.
    pub fn numbers(&self) -> (usize, usize) {
        let state = self.lock();
        (state.stuck, state.aside)
    }

    /// A request has failed so often that it is stuck; the next entry may try, where `may_probe`.
    pub fn stick(&self, patient: &mut Patient, may_probe: bool) {
        let mut state = self.lock();
        if patient.stuck_in.is_none() {
            state.stuck += 1;
            patient.stuck_in = Some(state.rounds);
        }
        let is_stuck = patient.stuck_in == Some(state.rounds);
        drop(state);
        if is_stuck && may_probe {
            self.probe_wanted.store(true, Ordering::Release);
        }
        self.changed.notify_one();
    }

    /// Whether it is set aside.
    pub fn is_aside(&self, patient: &Patient) -> bool {
        patient.stuck_in.is_some_and(|round| round < self.lock().rounds)
    }

    /// Whether the next entry may try now; asked once for each time.
    pub fn take_probe(&self) -> bool {
        self.probe_wanted.swap(false, Ordering::AcqRel)
    }

    /// Whether the next entry may try now.
    pub fn wants_probe(&self) -> bool {
        self.probe_wanted.load(Ordering::Acquire)
    }

    /// The try succeeded: what is stuck is set aside, where there is room for it; how many entries that are.
    pub fn probe_succeeded(&self) -> usize {
        let mut state = self.lock();
        let mut moved = 0;
        if state.aside + state.stuck <= MOST_ASIDE {
            moved = std::mem::take(&mut state.stuck);
            state.aside += moved;
            state.rounds += 1;
        }
        drop(state);
        self.changed.notify_one();
        self.released.notify_waiters();
        moved
    }

    /// An entry has ended, or goes back into the queue.
    pub fn leave(&self, patient: Patient) {
        let Some(round) = patient.stuck_in else { return };
        let mut state = self.lock();
        if round < state.rounds {
            state.aside -= 1;
        } else {
            state.stuck -= 1;
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stuck_is_set_aside_when_the_next_one_succeeds_and_can_recover() {
        let ward = Ward::default();
        let mut patient = Patient::default();
        ward.stick(&mut patient, true);
        assert_eq!((ward.numbers(), ward.is_aside(&patient)), ((1, 0), false));
        assert!(ward.take_probe() && !ward.take_probe());
        assert_eq!(ward.probe_succeeded(), 1);
        assert_eq!((ward.numbers(), ward.is_aside(&patient)), ((0, 1), true));
        ward.stick(&mut patient, true);
        assert!(!ward.wants_probe(), "it holds nobody up any more");
        ward.leave(patient);
        assert_eq!(ward.numbers(), (0, 0));
    }

    #[test]
    fn no_more_than_a_few_are_set_aside() {
        let ward = Ward::default();
        for _ in 0..MOST_ASIDE {
            ward.stick(&mut Patient::default(), true);
            ward.probe_succeeded();
        }
        let mut last = Patient::default();
        ward.stick(&mut last, true);
        ward.probe_succeeded();
        assert_eq!((ward.numbers(), ward.is_aside(&last)), ((1, MOST_ASIDE), false));
        ward.leave(last);
        assert_eq!(ward.numbers(), (0, MOST_ASIDE));
    }
}
