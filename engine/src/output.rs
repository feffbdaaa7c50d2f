//! A receiver's handle to the pipelines.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use hornpipe_model::Signal;
use tokio::sync::watch;

use crate::Batch;
use crate::delivery::Delivery;
use crate::pipeline::Pipeline;
use crate::telemetry::{ComponentTelemetry, Waiting};

const WAITING: &str = "hornpipe_receiver_waiting";

/// A wait that begins this soon after another is the same one in the log, and for how long it has lasted: at a backend that is slower than the receiver, one
/// ends with each batch.
const SAME_WAIT: Duration = Duration::from_secs(10);

/// Where a receiver sends batches of one signal. The engine points it at other pipelines while the receiver runs.
///
/// A receiver whose source keeps what is not read (a file, a connection) asks for [room](Self::has_room) before it reads on, so
/// that nothing is pushed out of a queue that was safe where it came from.
#[derive(Clone)]
pub struct Output {
    signal: Signal,
    telemetry: Arc<ComponentTelemetry>,
    pipelines: Arc<watch::Sender<Arc<[Arc<Pipeline>]>>>,
}

impl Output {
    /// An output that counts into `telemetry` and sends to `pipelines`.
    pub fn new(signal: Signal, telemetry: Arc<ComponentTelemetry>, pipelines: Vec<Arc<Pipeline>>) -> Self {
        let pipelines = Arc::new(watch::Sender::new(pipelines.into()));
        Output { signal, telemetry, pipelines }
    }

    /// Sends a batch to every pipeline. Returns when each has put it into its exporters' queues, which takes no longer
    /// than the processors do, unless a queue is full and set to `block`. The pipelines do not wait for each other.
    pub async fn send(&self, batch: Batch) {
        self.telemetry.signal(self.signal).emitted.add(batch.items() as u64);
        let pipelines = Arc::clone(&self.pipelines.borrow());
        // The batch itself settles last: its share of the ack ends when every pipeline has its own.
        join_all(pipelines.iter().map(|pipeline| pipeline.consume(batch.clone()))).await;
        batch.settle(crate::Outcome::Delivered);
    }

    /// Points the output at other pipelines; the next batch goes there.
    pub fn repoint(&self, pipelines: Vec<Arc<Pipeline>>) {
        self.pipelines.send_replace(pipelines.into());
    }

    /// Whether a receiver that can wait should read on: while the queue of at least one exporter is less than half full, and its
    /// memory has room while the backend takes what it is sent. Siblings do not wait for one that is full; with one exporter
    /// alone, nothing is pushed out of its queue however long it is down. The other half is for receivers that cannot wait.
    pub fn has_room(&self) -> bool {
        let deciding = self.deciding();
        deciding.is_empty() || deciding.iter().any(|exporter| exporter.has_room(self.signal))
    }

    /// Waits until there [is room](Self::has_room).
    pub async fn room(&self) {
        let mut repointed = self.pipelines.subscribe();
        loop {
            repointed.mark_unchanged();
            let deciding = self.deciding();
            // Before the look, so that what happens between the two is not missed.
            let changes: Vec<Pin<Box<_>>> =
                deciding.iter().map(|exporter| Box::pin(exporter.drained(self.signal))).collect();
            if changes.is_empty() || deciding.iter().any(|exporter| exporter.has_room(self.signal)) {
                return;
            }
            tokio::select! {
                _ = select_all(changes) => {}
                // It cannot end before this handle does.
                _ = repointed.changed() => {}
            }
        }
    }

    /// Says in the receiver's status whether it waits for room with something to read.
    pub fn set_waiting(&self, waits: bool) {
        let telemetry = &self.telemetry;
        let (id, clock) = (&telemetry.identity().id, telemetry.clock());
        let gauge = telemetry.gauge(WAITING, "1", "1 while exporters have no room for what there is to read");
        let (before, now) = (telemetry.waiting(), clock.monotonic());
        if waits {
            let exporters: Vec<String> = self.deciding().iter().map(|exporter| exporter.id().to_owned()).collect();
            if before.is_none() {
                let exporters = exporters.join(", ");
                tracing::info!(receiver = id, exporters, "waits for room in the queues; what is not read is kept");
            }
            let since = before.map_or(clock.unix(), |waiting| waiting.since);
            telemetry.set_waiting(Some(Waiting { exporters, since, last: now, is_over: false }));
            gauge.set(1);
        } else if let Some(waiting) = before {
            gauge.set(0);
            if now >= waiting.last.saturating_add(SAME_WAIT) {
                tracing::info!(receiver = id, "reads on: there is room in a queue");
                telemetry.set_waiting(None);
            } else if !waiting.is_over {
                telemetry.set_waiting(Some(Waiting { is_over: true, ..waiting }));
            }
        }
    }

    /// The exporters that decide whether there is room: those that promise delivery, or all where none does.
    fn deciding(&self) -> Vec<Arc<Delivery>> {
        let pipelines = self.pipelines.borrow();
        let all = pipelines.iter().flat_map(|pipeline| pipeline.exporters());
        let (best_effort, promised): (Vec<_>, Vec<_>) = all.cloned().partition(|exporter| exporter.is_best_effort());
        if promised.is_empty() { best_effort } else { promised }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
