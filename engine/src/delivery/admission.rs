//! A batch on its way into the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::entry::Entry;
use super::{Delivery, Lane};
use crate::{Batch, Outcome, reason};

/// How long a batch waits for a disk that has more on its way than memory holds.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

impl Delivery {
    /// Puts a batch into the queue of its signal. Waits only where the queue is full and set to `block`.
    pub async fn offer(&self, batch: Batch) {
        let signal = batch.signal();
        let (counters, lane) = (self.telemetry.signal(signal), self.lane(signal));
        counters.received.add(batch.items() as u64);
        let active = Arc::clone(&self.active.borrow());
        if !lane.is_used.load(Ordering::Acquire) {
            self.begin_to_use(lane, &active);
        }
        let mut admission = active.admission.lock().await;
        let (data, ack) = batch.into_parts();
        let admitted = match admission.as_mut() {
            Some(admission) => admission.admit(data, counters),
            None => Some(data),
        };
        // Delivery is not promised, or nothing is left to deliver: the obligation ends here.
        let (data, ack) = match (admitted, ack) {
            (Some(data), ack) if !active.exporter.best_effort() => (data, ack),
            (admitted, ack) => {
                if let Some(ack) = ack {
                    ack.settle(Outcome::Delivered);
                }
                match admitted {
                    Some(data) => (data, None),
                    None => return,
                }
            }
        };
        let entry = Entry::new(data, ack, self.clock.unix());
        if self.abort.is_requested() && !lane.queue.takes() {
            self.drop_entry(&entry, reason::SHUTDOWN);
            return;
        }
        self.wait_for_disk(lane, &entry).await;
        counters.held.add(entry.open_items());
        let pushed = lane.queue.push(entry).await;
        drop(admission);
        for entry in pushed.dropped {
            counters.held.subtract(entry.open_items());
            self.log_drop(entry.open_items(), signal, reason::QUEUE_FULL, "the queue is full");
            self.drop_entry(&entry, reason::QUEUE_FULL);
        }
        self.show_queue();
    }

    /// A disk that is busy is waited for a little. While one hangs, nobody waits: what memory does not hold is dropped.
    async fn wait_for_disk(&self, lane: &Lane, entry: &Entry) {
        if !lane.queue.overruns(entry) {
            lane.disk_hangs.store(false, Ordering::Relaxed);
        } else if !lane.disk_hangs.load(Ordering::Relaxed) {
            let caught_up = self.clock.timeout(DISK_PATIENCE, lane.queue.caught_up(entry)).await;
            lane.disk_hangs.store(caught_up.is_err(), Ordering::Relaxed);
        }
    }
}
