//! Acknowledgements: a batch's obligation to its receiver.
//!
//! A receiver that must not lose data makes an [`Ack`] with [`Ack::new`], sends it along with a batch and waits for the
//! [`AckOutcome`]. Everything that shares, splits or holds the batch clones the ack; every clone is settled once, by
//! delivery, a durable queue record or a counted drop. A clone that is lost unsettled (a panic, a failed write) settles
//! as [`Outcome::Lost`]. The receiver learns the worst outcome when the last clone is settled.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::{Reason, lock};

/// What became of a batch, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The backend has it.
    Delivered,
    /// It is durably queued on this machine.
    Durable,
    /// It was dropped and counted.
    Dropped(Reason),
    /// Nobody knows: it was lost without being counted as delivered or dropped.
    Lost,
}

/// One share of the obligation. Cloning adds a share.
#[derive(Debug)]
pub struct Ack {
    obligation: Option<Arc<Obligation>>,
}

/// Resolves to the worst outcome once every share is settled.
pub type AckOutcome = oneshot::Receiver<Outcome>;

#[derive(Debug)]
struct Obligation {
    worst: Mutex<Outcome>,
    creditors: Mutex<Vec<Creditor>>,
}

/// Who learns the outcome.
#[derive(Debug)]
enum Creditor {
    Receiver(oneshot::Sender<Outcome>),
    /// A share of another obligation.
    Share(Ack),
}

impl Ack {
    /// A new obligation with one share.
    pub fn new() -> (Ack, AckOutcome) {
        let (done, outcome) = oneshot::channel();
        (Ack::owed_to(vec![Creditor::Receiver(done)]), outcome)
    }

    /// One share that stands for all of these, for data that came from several batches: they end as it does. `None` where
    /// there is none.
    pub fn all(mut shares: Vec<Ack>) -> Option<Ack> {
        let last = shares.pop()?;
        if shares.is_empty() {
            return Some(last);
        }
        shares.push(last);
        Some(Ack::owed_to(shares.into_iter().map(Creditor::Share).collect()))
    }

    fn owed_to(creditors: Vec<Creditor>) -> Ack {
        let obligation = Obligation { worst: Mutex::new(Outcome::Delivered), creditors: Mutex::new(creditors) };
        Ack { obligation: Some(Arc::new(obligation)) }
    }

    /// Settles this share.
    pub fn settle(mut self, outcome: Outcome) {
        if let Some(obligation) = self.obligation.take() {
            obligation.note(outcome);
        }
    }
}

impl Clone for Ack {
    fn clone(&self) -> Self {
        Ack { obligation: self.obligation.clone() }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(obligation) = self.obligation.take() {
            obligation.note(Outcome::Lost);
        }
    }
}

impl Obligation {
    fn note(&self, outcome: Outcome) {
        let mut worst = lock(&self.worst);
        *worst = (*worst).max(outcome);
    }
}

impl Drop for Obligation {
    /// The last share is gone, hence settled.
    fn drop(&mut self) {
        let worst = *self.worst.get_mut().unwrap_or_else(PoisonError::into_inner);
        for creditor in self.creditors.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            match creditor {
                // A receiver that no longer waits has nothing to learn.
                Creditor::Receiver(done) => drop(done.send(worst)),
                Creditor::Share(share) => share.settle(worst),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_learns_the_worst_outcome_after_the_last_share() {
        let (ack, mut outcome) = Ack::new();
        let second = ack.clone();
        let third = ack.clone();
        ack.settle(Outcome::Durable);
        second.settle(Outcome::Dropped("queue_full"));
        assert!(outcome.try_recv().is_err(), "one share is open");
        third.settle(Outcome::Delivered);
        assert_eq!(outcome.try_recv(), Ok(Outcome::Dropped("queue_full")));
    }

    #[test]
    fn a_share_that_vanishes_counts_as_lost() {
        let (ack, mut outcome) = Ack::new();
        let share = ack.clone();
        ack.settle(Outcome::Delivered);
        let thread = std::thread::spawn(move || {
            let _held = share;
            panic!("component failed");
        });
        assert!(thread.join().is_err());
        assert_eq!(outcome.try_recv(), Ok(Outcome::Lost));
    }

    #[test]
    fn what_came_from_several_batches_settles_all_of_them() {
        let (first, mut first_outcome) = Ack::new();
        let (second, mut second_outcome) = Ack::new();
        let other_part = first.clone();
        let both = Ack::all(vec![first, second]).unwrap();
        let fanned_out = both.clone();
        both.settle(Outcome::Durable);
        assert!(second_outcome.try_recv().is_err(), "one share is open");
        fanned_out.settle(Outcome::Delivered);
        assert_eq!(second_outcome.try_recv(), Ok(Outcome::Durable));
        assert!(first_outcome.try_recv().is_err(), "another part of its batch is open");
        other_part.settle(Outcome::Delivered);
        assert_eq!(first_outcome.try_recv(), Ok(Outcome::Durable));
        let (third, mut third_outcome) = Ack::new();
        drop(Ack::all(vec![third]));
        assert_eq!(third_outcome.try_recv(), Ok(Outcome::Lost));
        assert!(Ack::all(Vec::new()).is_none());
    }

    #[test]
    fn outcomes_order_from_best_to_worst() {
        assert!(Outcome::Delivered < Outcome::Durable);
        assert!(Outcome::Durable < Outcome::Dropped("x"));
        assert!(Outcome::Dropped("x") < Outcome::Lost);
    }
}
