//! The end of a process, or of an exporter: what is not delivered is kept on disk, or else dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::disk::Command;
use super::entry::Entry;
use super::{Delivery, Lane};
use crate::{Outcome, Reason, reason};

/// How long the disk may take for what is left: within the two seconds between the default `service.shutdown_timeout` and the
/// end that `docker stop` sets.
const DISK_LIMIT: Duration = Duration::from_millis(1500);

impl Delivery {
    /// Keeps what is queued and will not be sent any more, and closes the queues' disks.
    pub async fn sweep(&self) {
        join_all(self.lanes().map(|lane| async {
            self.sweep_lane(lane).await;
            self.log_kept(lane);
            let (answer, closed) = oneshot::channel();
            if lane.queue.stop_disk(Command::Close(answer)) {
                // One that hangs is left behind; what it has written is safe.
                let _ = self.clock.timeout(DISK_LIMIT, closed).await;
            }
        }))
        .await;
    }

    pub(super) async fn sweep_lane(&self, lane: &Lane) {
        let entries = lane.queue.clear();
        let unsafe_items: u64 = entries.iter().filter(|entry| !entry.is_stored()).map(Entry::open_items).sum();
        if unsafe_items > 0 {
            let active = Arc::clone(&self.active.borrow());
            if !active.exporter.best_effort() {
                self.start_disk(lane, &active);
            }
            let (answer, left) = oneshot::channel();
            let left = match lane.queue.send(Command::Keep(entries, answer)) {
                Ok(()) => self.clock.timeout(DISK_LIMIT, left).await.ok().and_then(Result::ok),
                Err(Command::Keep(entries, _)) => Some(entries),
                Err(_) => None,
            };
            match left {
                Some(left) => self.drop_all(lane, left),
                // The disk hangs; nobody knows what it has written. What it has not is counted as dropped: all of it.
                None => self.count_lost(lane, unsafe_items),
            }
        }
        self.show_queue();
    }

    fn log_kept(&self, lane: &Lane) {
        let kept = self.telemetry.signal(lane.signal).held.get();
        if kept > 0 {
            let signal = lane.signal.as_str();
            tracing::info!(exporter = self.id(), items = kept, signal, "kept on disk for the next start");
        }
    }

    fn drop_all(&self, lane: &Lane, entries: Vec<Entry>) {
        for entry in entries.into_iter().filter(|entry| !entry.is_stored()) {
            self.telemetry.signal(lane.signal).held.subtract(entry.open_items());
            let why = "not delivered within service.shutdown_timeout";
            self.log_drop(entry.open_items(), lane.signal, reason::SHUTDOWN, why);
            self.drop_entry(&entry, reason::SHUTDOWN);
        }
    }

    fn count_lost(&self, lane: &Lane, items: u64) {
        let counters = self.telemetry.signal(lane.signal);
        counters.held.subtract(items);
        counters.dropped(reason::SHUTDOWN, items);
        self.log_drop(items, lane.signal, reason::SHUTDOWN, "the queue's disk does not answer");
    }

    pub(super) fn drop_entry(&self, entry: &Entry, reason: Reason) {
        self.telemetry.signal(entry.data.signal()).dropped(reason, entry.open_items());
        entry.settle(Outcome::Dropped(reason));
    }
}
