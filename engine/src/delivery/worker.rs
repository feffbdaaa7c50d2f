//! The exporter's task.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hornpipe_model::Data;
use tokio::sync::watch;

use super::queue::Entry;
use super::sender::Sender;
use super::{Active, Delivery};
use crate::component::{Encoded, Exporter};
use crate::telemetry::Status;
use crate::{Outcome, Reason, reason};

impl Delivery {
    /// Sends queued batches, oldest first, until drained, aborted or [replaced](Delivery::replace). What the exporter does
    /// [beside that](Exporter::background) ends with it.
    pub async fn run(&self) {
        let mut replacement = self.active.subscribe();
        let active = Arc::clone(&replacement.borrow_and_update());
        let exporter = Arc::clone(&active.exporter);
        tokio::select! {
            () = self.send_queued(active, replacement) => {}
            () = self.background(&*exporter) => {}
        }
    }

    /// Never ends; a panic there ends only the exporter's background work.
    async fn background(&self, exporter: &dyn Exporter) {
        if AssertUnwindSafe(exporter.background()).catch_unwind().await.is_err() {
            tracing::error!(exporter = self.id(), "{} failed (panic) beside sending", self.telemetry.identity());
        }
        std::future::pending().await
    }

    async fn send_queued(&self, active: Arc<Active>, mut replacement: watch::Receiver<Arc<Active>>) {
        let mut sender = Sender::new(self, active, replacement.clone());
        loop {
            let entry = tokio::select! {
                biased;
                () = self.abort.requested() => break,
                _ = replacement.changed() => return,
                entry = self.queue.pop() => entry,
            };
            let Some(entry) = entry else { break };
            if let Some(open) = self.deliver(&mut sender, entry).await {
                self.queue.give_back(open);
                return;
            }
        }
        self.sweep();
    }

    /// Drops and counts what is queued and will not be sent any more.
    pub fn sweep(&self) {
        for entry in self.queue.clear() {
            let (items, signal) = (entry.open_items(), entry.data.signal());
            self.telemetry.signal(signal).held.subtract(items);
            self.log_drop(items, signal, reason::SHUTDOWN, "not delivered within service.shutdown_timeout");
            self.drop_entry(entry, reason::SHUTDOWN);
        }
        self.show_queue();
    }

    /// Encodes a batch, sends its requests one after another and settles its ack with the worst of what became of them.
    /// What is left when the exporter is replaced comes back.
    async fn deliver(&self, sender: &mut Sender<'_>, mut entry: Entry) -> Option<Entry> {
        let all = || (0..u32::try_from(entry.data.items()).unwrap_or(u32::MAX)).collect();
        let items: Vec<u32> = entry.open.take().unwrap_or_else(all);
        let encoded = self.encode(&sender.active, &entry.data, items).await;
        entry.worst = entry.worst.max(self.count_dropped(&entry.data, &encoded.dropped));
        let mut open = Vec::new();
        for request in encoded.requests {
            let (outcome, left) = sender.send(&entry.data, request).await;
            entry.worst = entry.worst.max(outcome);
            open.extend(left);
        }
        if !open.is_empty() {
            open.sort_unstable();
            entry.open = Some(open);
            return Some(entry);
        }
        self.queue.finish(entry.bytes());
        if let Some(ack) = entry.ack {
            ack.settle(entry.worst);
        }
        self.show_queue();
        None
    }

    /// Encodes on a thread for work that takes long, so that no sibling's task waits for it. A panic costs the batch.
    pub(super) async fn encode(&self, active: &Active, data: &Data, items: Vec<u32>) -> Encoded {
        let exporter: Arc<dyn Exporter> = Arc::clone(&active.exporter);
        let count = items.len() as u64;
        let work = {
            let data = data.clone();
            move || exporter.encode(&data, &items)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(encoded) => encoded,
            Err(_) => {
                let text = format!("{} failed (panic) while it encoded {count} items", self.telemetry.identity());
                tracing::error!(exporter = self.id(), "{text}");
                self.telemetry.set_status(Status::Error(text));
                Encoded { requests: Vec::new(), dropped: vec![(reason::PANIC, count)] }
            }
        }
    }

    /// Counts items that were held as dropped; the outcome for their ack.
    pub(super) fn count_dropped(&self, data: &Data, dropped: &[(Reason, u64)]) -> Outcome {
        let counters = self.telemetry.signal(data.signal());
        let mut worst = Outcome::Delivered;
        for &(reason, items) in dropped.iter().filter(|(_, items)| *items > 0) {
            counters.held.subtract(items);
            counters.dropped(reason, items);
            worst = Outcome::Dropped(reason);
        }
        worst
    }
}
