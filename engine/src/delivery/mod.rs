//! From a pipeline's end to a backend: one queue, one task, one clock of retries per exporter.
//!
//! The layers, in the order in which a batch meets them, each a file:
//!
//! - [`Delivery::offer`] (here): counting, and the exporter's admission (conversions that must happen in order);
//! - [`queue`]: bounded in bytes; at the bound the queue's own policy decides, and no sibling waits;
//! - `worker`: the task that takes the oldest batch, has it encoded and settles it;
//! - `sender`: one request until the backend took it, refused it for good, or it grew too old; halves what is too large;
//! - [`retry`]: the pauses in between.

mod codec;
mod config;
pub mod queue;
pub mod retry;
mod sender;
mod store;
mod worker;

pub use config::{DeliveryConfig, OnFull, QueueConfig, RetryConfig};

use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Signal, Timestamp};
use tokio::sync::{Mutex, watch};

use crate::component::{Admission, Exporter};
use crate::telemetry::{ComponentTelemetry, Counter};
use crate::{Batch, Clock, Outcome, RateLimit, Reason, Shutdown, ShutdownTrigger, reason};
use queue::{Entry, Queue};

/// The exporter's own numbers about its queue, which [`status`](crate::status) reads.
pub(crate) const QUEUE_SIZE: &str = "otelcol_exporter_queue_size";
pub(crate) const QUEUE_CAPACITY: &str = "otelcol_exporter_queue_capacity";
pub(crate) const QUEUE_OLDEST: &str = "hornpipe_exporter_queue_oldest_time";

/// How often a repeated problem of one exporter is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// An exporter with its queue. Pipelines offer batches; the exporter's own task ([`Delivery::run`]) sends them.
///
/// The queue belongs to the exporter's id, not to its settings: [`Delivery::replace`] puts another exporter behind it.
pub struct Delivery {
    active: watch::Sender<Arc<Active>>,
    queue: Queue,
    telemetry: Arc<ComponentTelemetry>,
    queue_size: Arc<Counter>,
    queue_capacity: Arc<Counter>,
    queue_oldest: Arc<Counter>,
    clock: Clock,
    drain: Shutdown,
    drain_trigger: ShutdownTrigger,
    abort: Shutdown,
    abort_trigger: ShutdownTrigger,
    drop_log: RateLimit,
}

/// An exporter with its settings.
struct Active {
    exporter: Arc<dyn Exporter>,
    config: DeliveryConfig,
    /// Held while a batch is converted and queued, so that batches are queued in the order of their conversion.
    admission: Mutex<Option<Box<dyn Admission>>>,
}

impl Active {
    fn new(exporter: Arc<dyn Exporter>, config: DeliveryConfig) -> Arc<Self> {
        let admission = Mutex::new(exporter.admission());
        Arc::new(Active { exporter, config, admission })
    }
}

impl Delivery {
    /// An exporter's delivery; nothing is sent before [`Delivery::run`].
    pub fn new(
        exporter: Arc<dyn Exporter>,
        config: DeliveryConfig,
        telemetry: Arc<ComponentTelemetry>,
        clock: Clock,
    ) -> Self {
        let max_bytes = config.sending_queue.max_bytes.as_usize();
        let queue_capacity = telemetry.gauge(QUEUE_CAPACITY, "By", "Bound of the exporter's queue");
        queue_capacity.set(max_bytes as u64);
        let (drain_trigger, drain) = Shutdown::new();
        let (abort_trigger, abort) = Shutdown::new();
        Delivery {
            queue: Queue::new(max_bytes, config.sending_queue.on_full),
            queue_size: telemetry.gauge(QUEUE_SIZE, "By", "Data queued or being sent"),
            queue_capacity,
            queue_oldest: telemetry.gauge(
                QUEUE_OLDEST,
                "s",
                "When the oldest queued data was queued, in Unix time; 0 for none",
            ),
            active: watch::Sender::new(Active::new(exporter, config)),
            telemetry,
            clock,
            drain,
            drain_trigger,
            abort,
            abort_trigger,
            drop_log: RateLimit::new(LOG_INTERVAL),
        }
    }

    /// The exporter's id.
    pub fn id(&self) -> &str {
        &self.telemetry.identity().id
    }

    /// Puts another exporter, or the same with other settings, behind the queue. What the old one has not delivered is
    /// encoded anew; a request that is under way is waited for, by the task. [`Delivery::run`] ends and is to be called
    /// again.
    pub fn replace(&self, exporter: Arc<dyn Exporter>, config: DeliveryConfig) {
        let max_bytes = config.sending_queue.max_bytes.as_usize();
        self.queue_capacity.set(max_bytes as u64);
        self.queue.configure(max_bytes, config.sending_queue.on_full);
        self.active.send_replace(Active::new(exporter, config));
    }

    /// Puts a batch into the queue. Waits only where the queue is full and set to `block`.
    pub async fn offer(&self, batch: Batch) {
        let signal = batch.signal();
        let counters = self.telemetry.signal(signal);
        counters.received.add(batch.items() as u64);
        let active = Arc::clone(&self.active.borrow());
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
        if self.abort.is_requested() {
            self.drop_entry(entry, reason::SHUTDOWN);
            return;
        }
        counters.held.add(entry.open_items());
        let pushed = self.queue.push(entry).await;
        drop(admission);
        for entry in pushed.dropped {
            self.telemetry.signal(entry.data.signal()).held.subtract(entry.open_items());
            self.log_drop(entry.open_items(), entry.data.signal(), reason::QUEUE_FULL, "the queue is full");
            self.drop_entry(entry, reason::QUEUE_FULL);
        }
        self.show_queue();
    }

    /// Shows what is queued now in the exporter's own numbers.
    fn show_queue(&self) {
        self.queue.show(|bytes, oldest| {
            self.queue_size.set(bytes as u64);
            self.queue_oldest.set(oldest.map_or(0, Timestamp::as_secs));
        });
    }

    /// Asks the task to send what is queued and then to end; waits between attempts are cut short.
    pub fn drain(&self) {
        self.drain_trigger.request();
        self.queue.close();
    }

    /// Ends the task now; what is not delivered is dropped and counted.
    pub fn abort(&self) {
        self.abort_trigger.request();
        self.drain();
    }

    fn drop_entry(&self, entry: Entry, reason: Reason) {
        self.telemetry.signal(entry.data.signal()).dropped(reason, entry.open_items());
        if let Some(ack) = entry.ack {
            ack.settle(entry.worst.max(Outcome::Dropped(reason)));
        }
    }

    /// Logs a drop at a limited rate.
    fn log_drop(&self, items: u64, signal: Signal, reason: Reason, error: &str) {
        if let Some(held_back) = self.drop_log.allow(&self.clock) {
            tracing::warn!(
                exporter = self.id(),
                reason,
                items,
                signal = signal.as_str(),
                held_back,
                "dropped: {error}"
            );
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
