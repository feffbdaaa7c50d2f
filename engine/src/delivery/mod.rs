//! From a pipeline's end to a backend: one queue for each signal of an exporter, with tasks, retries and errors of its own.
//!
//! The layers, in the order in which a batch meets them, each a file:
//!
//! - `admission`: counting, and the exporter's own conversion, which must happen in order;
//! - `queue`: bounded in bytes; at the bound its own policy decides, and no sibling waits. Where it is durable, the `disk`
//!   writes each batch into the `store` by the `codec`, and only then tells the batch's receiver that it is safe;
//! - `worker`: takes the oldest entries, as many at a time as the `pace` allows, which grows and falls with what the backend
//!   takes, so that recovery is no stampede;
//! - `batcher`: makes one batch of small ones;
//! - `sender`: one request until the backend took it, refused it for good, or it grew too old; halves what is too large;
//! - [`retry`]: the pauses in between; `set_aside`: what fails alone holds nobody up.

mod admission;
mod batcher;
mod codec;
mod config;
pub(crate) mod directory;
mod disk;
mod entry;
mod pace;
mod queue;
pub mod retry;
mod sender;
mod set_aside;
mod store;
mod sweep;
mod worker;

pub(crate) use config::MEMORY_BYTES;
pub use config::{BatchConfig, BatchSizer, DeliveryConfig, OnFull, QueueConfig, RetryConfig, Sizer};

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use hornpipe_model::{Signal, Timestamp};
use tokio::sync::{Mutex, watch};

use crate::component::{Admission, Exporter};
use crate::config::ByteSize;
use crate::telemetry::{ComponentTelemetry, Counter, Status};
use crate::{Clock, RateLimit, Reason, Shutdown, ShutdownTrigger, lock, reason};
use disk::{Disk, DiskSettings};
use queue::{Bounds, Levels, Queue};
use store::FileSystem;

/// The exporter's own numbers about its queues, which [`status`](crate::status) reads.
pub(crate) const QUEUE_SIZE: &str = "otelcol_exporter_queue_size";
pub(crate) const QUEUE_CAPACITY: &str = "otelcol_exporter_queue_capacity";
pub(crate) const QUEUE_OLDEST: &str = "hornpipe_exporter_queue_oldest_time";
const QUEUE_MEMORY: &str = "hornpipe_exporter_queue_memory";
const DISK_PROBLEM: &str = "hornpipe_exporter_queue_disk_problem";
const SET_ASIDE: &str = "hornpipe_exporter_set_aside_batches";

/// What `status` says about the queue's disk where something is wrong with it, and about what is set aside.
const DISK_FACT: &str = "queue on disk";
const SET_ASIDE_FACT: &str = "set aside";

/// How often a repeated problem of one exporter is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long a lane that failed waits before it goes on, so that one that fails at once does not spin.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// Where a delivery is in the process, and what it may use of it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The signals that pipelines bring.
    pub signals: Vec<Signal>,
    /// The directory of this exporter's queues; made where it is missing. With none, queues are in memory, and what they hold
    /// at the end is dropped.
    pub directory: Option<PathBuf>,
    /// Why there is no directory.
    pub problem: Option<String>,
    /// Memory that each of the queues may take, unless its own `max_bytes` asks for more.
    pub memory: ByteSize,
    /// Who has the directory still, because a reload took its exporter away a moment ago. It is told to leave, and the queues on
    /// disk are opened when it is gone.
    pub predecessor: Weak<Delivery>,
}

impl Default for Place {
    fn default() -> Self {
        let signals = vec![Signal::Metrics];
        Place { signals, directory: None, problem: None, memory: MEMORY_BYTES, predecessor: Weak::new() }
    }
}

/// An exporter with its queues. Pipelines offer batches; the exporter's own task ([`Delivery::run`]) sends them.
///
/// The queues belong to the exporter's id, not to its settings: [`Delivery::replace`] puts another exporter behind them.
pub struct Delivery {
    active: watch::Sender<Arc<Active>>,
    metrics: Lane,
    logs: Lane,
    place: Place,
    files: Arc<dyn FileSystem>,
    telemetry: Arc<ComponentTelemetry>,
    gauges: Gauges,
    clock: Clock,
    drain: Shutdown,
    drain_trigger: ShutdownTrigger,
    abort: Shutdown,
    abort_trigger: ShutdownTrigger,
    drop_log: RateLimit,
    /// What keeps each signal from the backend now.
    failures: std::sync::Mutex<BTreeMap<&'static str, String>>,
}

/// The way of one signal.
struct Lane {
    signal: Signal,
    queue: Arc<Queue>,
    is_used: AtomicBool,
    /// Its disk is started.
    has_disk: AtomicBool,
    /// Its disk has kept a batch waiting too long and has not caught up since.
    disk_hangs: AtomicBool,
    /// Batches that are set aside.
    aside: AtomicUsize,
    /// Held while a batch is encoded. One thread encodes more than a backend takes; the buffers of ten would be most of the
    /// process's memory.
    encoding: Mutex<()>,
}

struct Gauges {
    size: Arc<Counter>,
    capacity: Arc<Counter>,
    oldest: Arc<Counter>,
    memory: Arc<Counter>,
    set_aside: Arc<Counter>,
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

    fn is_durable(&self, signal: Signal) -> bool {
        !self.exporter.best_effort() && self.config.sending_queue.is_durable(signal)
    }

    fn bounds(&self, signal: Signal, place: &Place) -> Bounds {
        let queue = &self.config.sending_queue;
        Bounds {
            memory: queue.memory_bytes(signal, place.memory).as_usize(),
            disk: queue.disk_bytes().as_bytes(),
            size: queue.queue_size.map(|size| (queue.sizer, size)),
            on_full: queue.when_full(),
        }
    }
}

impl Delivery {
    /// An exporter's delivery, with queues in memory; nothing is sent before [`Delivery::run`].
    pub fn new(
        exporter: Arc<dyn Exporter>,
        config: DeliveryConfig,
        telemetry: Arc<ComponentTelemetry>,
        clock: Clock,
    ) -> Self {
        let (drain_trigger, drain) = Shutdown::new();
        let (abort_trigger, abort) = Shutdown::new();
        let place = Place::default();
        let active = Active::new(exporter, config);
        let lane = |signal| Lane {
            signal,
            queue: Arc::new(Queue::new(active.bounds(signal, &place))),
            is_used: AtomicBool::new(false),
            has_disk: AtomicBool::new(false),
            disk_hangs: AtomicBool::new(false),
            aside: AtomicUsize::new(0),
            encoding: Mutex::default(),
        };
        let oldest = "When the oldest queued data was queued, in Unix time; 0 for none";
        let gauges = Gauges {
            size: telemetry.gauge(QUEUE_SIZE, "By", "Data queued or being sent"),
            capacity: telemetry.gauge(QUEUE_CAPACITY, "By", "Bound of the exporter's queues"),
            oldest: telemetry.gauge(QUEUE_OLDEST, "s", oldest),
            memory: telemetry.gauge(QUEUE_MEMORY, "By", "Memory that queued data takes"),
            set_aside: telemetry.gauge(SET_ASIDE, "{batch}", "Batches that fail alone and are tried apart"),
        };
        let delivery = Delivery {
            metrics: lane(Signal::Metrics),
            logs: lane(Signal::Logs),
            active: watch::Sender::new(active),
            place,
            files: Arc::new(store::Disk),
            gauges,
            telemetry,
            clock,
            drain,
            drain_trigger,
            abort,
            abort_trigger,
            drop_log: RateLimit::new(LOG_INTERVAL),
            failures: std::sync::Mutex::default(),
        };
        delivery.show_queue();
        delivery
    }

    /// Gives it its place in the process. Queues that are durable, and those in which an earlier process left something, are
    /// opened, by threads of their own.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        let active = Arc::clone(&self.active.borrow());
        for lane in self.lanes() {
            lane.queue.configure(active.bounds(lane.signal, &self.place));
            if self.place.signals.contains(&lane.signal) {
                self.begin_to_use(lane, &active);
            } else if self.directory_of(lane).is_some_and(|directory| directory.is_dir()) {
                self.start_disk(lane, &active);
            }
        }
        self.show_queue();
        self
    }

    /// The folder of its queues on disk, where it has one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.place.directory.as_deref()
    }

    /// The exporter's id.
    pub fn id(&self) -> &str {
        &self.telemetry.identity().id
    }

    /// Puts another exporter, or the same with other settings, behind the queues. What the old one has not delivered is
    /// encoded anew; a request that is under way is waited for, by the task. [`Delivery::run`] ends and is to be called
    /// again.
    pub fn replace(&self, exporter: Arc<dyn Exporter>, config: DeliveryConfig) {
        let active = Active::new(exporter, config);
        for lane in self.lanes() {
            lane.queue.configure(active.bounds(lane.signal, &self.place));
            if lane.has_disk.load(Ordering::Acquire) {
                lane.queue.change(|state| state.set_durable(self.disk_settings(lane, &active)));
            } else if lane.is_used.load(Ordering::Acquire) {
                self.begin_to_use(lane, &active);
            }
        }
        lock(&self.failures).clear();
        self.active.send_replace(active);
        self.show_queue();
    }

    /// Sends queued batches, oldest first, until drained, aborted or [replaced](Delivery::replace). What the exporter does
    /// [beside that](Exporter::background) ends with it.
    pub async fn run(&self) {
        if let Some(predecessor) = self.place.predecessor.upgrade() {
            predecessor.abort();
        }
        let active = Arc::clone(&self.active.borrow());
        let send =
            async { tokio::join!(self.keep_running(&self.metrics, &active), self.keep_running(&self.logs, &active)) };
        tokio::select! {
            _ = send => {}
            () = self.background(&*active.exporter) => {}
        }
    }

    /// Runs a lane to its end. A panic costs what was under way, counted, and the lane goes on; what is on disk of it is sent
    /// after the next start.
    async fn keep_running(&self, lane: &Lane, active: &Arc<Active>) {
        while AssertUnwindSafe(self.run_lane(lane, active)).catch_unwind().await.is_err() {
            let items = lane.queue.lose_in_flight();
            let counters = self.telemetry.signal(lane.signal);
            counters.held.subtract(items);
            counters.dropped(reason::PANIC, items);
            lane.aside.store(0, Ordering::Relaxed);
            let text = format!("{} failed (panic) while it sent {}", self.telemetry.identity(), lane.signal);
            tracing::error!(exporter = self.id(), reason = reason::PANIC, items, "dropped: {text}");
            self.set_failure(lane.signal, Some(&text));
            if self.abort.is_requested() {
                return;
            }
            self.clock.sleep(PANIC_PAUSE).await;
        }
    }

    /// Never ends; a panic there ends only the exporter's background work.
    async fn background(&self, exporter: &dyn Exporter) {
        if AssertUnwindSafe(exporter.background()).catch_unwind().await.is_err() {
            tracing::error!(exporter = self.id(), "{} failed (panic) beside sending", self.telemetry.identity());
        }
        std::future::pending().await
    }

    /// Asks the task to send what is queued and then to end; waits between attempts are cut short.
    pub fn drain(&self) {
        self.drain_trigger.request();
        self.lanes().into_iter().for_each(|lane| lane.queue.close());
    }

    /// Ends the task now; what is not delivered is kept on disk, or else dropped and counted.
    pub fn abort(&self) {
        self.abort_trigger.request();
        self.drain();
    }

    /// Whether nothing is promised about what it is given.
    pub(crate) fn is_best_effort(&self) -> bool {
        self.active.borrow().exporter.best_effort()
    }

    /// Whether the queue of a signal has room for what can wait elsewhere.
    pub(crate) fn has_room(&self, signal: Signal) -> bool {
        let failures = lock(&self.failures);
        let is_well = !failures.contains_key(signal.as_str());
        drop(failures);
        self.lane(signal).queue.has_room(is_well)
    }

    /// Waits until there may be more room in the queue of a signal than at the call.
    pub(crate) fn drained(&self, signal: Signal) -> impl Future<Output = ()> {
        self.lane(signal).queue.drained()
    }

    fn lanes(&self) -> [&Lane; 2] {
        [&self.metrics, &self.logs]
    }

    fn lane(&self, signal: Signal) -> &Lane {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// A signal comes for the first time, or may come from now on.
    fn begin_to_use(&self, lane: &Lane, active: &Active) {
        lane.is_used.store(true, Ordering::Release);
        let is_durable = active.is_durable(lane.signal);
        match self.directory_of(lane) {
            Some(directory) if is_durable || (directory.is_dir() && !active.exporter.best_effort()) => {
                self.start_disk(lane, active);
            }
            None if is_durable => {
                if let Some(problem) = &self.place.problem {
                    let signal = lane.signal;
                    tracing::warn!(exporter = self.id(), "{signal} are queued in memory only: {problem}");
                    self.telemetry.set_fact(DISK_FACT, format!("{signal} are queued in memory only: {problem}"));
                }
            }
            _ => {}
        }
    }

    /// Starts the thread that owns the disk of a queue, once.
    fn start_disk(&self, lane: &Lane, active: &Active) {
        if let Some(settings) = self.disk_settings(lane, active)
            && !lane.has_disk.swap(true, Ordering::AcqRel)
        {
            Disk::start(settings, &lane.queue, &self.telemetry, &self.clock);
        }
    }

    fn disk_settings(&self, lane: &Lane, active: &Active) -> Option<DiskSettings> {
        Some(DiskSettings {
            files: Arc::clone(&self.files),
            directory: self.directory_of(lane)?,
            max_bytes: active.config.sending_queue.disk_bytes().as_bytes(),
            durable: active.is_durable(lane.signal),
            on_full: active.config.sending_queue.when_full(),
            signal: lane.signal,
            predecessor: Weak::clone(&self.place.predecessor),
        })
    }

    fn directory_of(&self, lane: &Lane) -> Option<PathBuf> {
        Some(self.place.directory.as_ref()?.join(lane.signal.as_str()))
    }

    /// Shows what is queued now in the exporter's own numbers.
    fn show_queue(&self) {
        let active = self.active.borrow();
        let (mut total, mut capacity) = (Levels::default(), 0);
        for lane in self.lanes() {
            let is_durable = lane.has_disk.load(Ordering::Acquire) && active.is_durable(lane.signal);
            let bounds = active.bounds(lane.signal, &self.place);
            if lane.is_used.load(Ordering::Acquire) {
                capacity += if is_durable { bounds.disk } else { bounds.memory as u64 };
            }
            lane.queue.show(|levels| {
                total.memory += levels.memory;
                total.disk += if is_durable { levels.disk } else { levels.memory };
                total.oldest = total.oldest.into_iter().chain(levels.oldest).min();
            });
        }
        self.gauges.capacity.set(capacity);
        self.gauges.size.set(total.disk);
        self.gauges.memory.set(total.memory);
        self.gauges.oldest.set(total.oldest.map_or(0, Timestamp::as_secs));
        let aside: usize = self.lanes().into_iter().map(|lane| lane.aside.load(Ordering::Relaxed)).sum();
        if self.gauges.set_aside.get() != aside as u64 {
            self.gauges.set_aside.set(aside as u64);
            let fail = if aside == 1 { "batch fails alone and is" } else { "batches fail alone and are" };
            let text = format!("{aside} {fail} tried apart from the queue");
            self.telemetry.set_fact(SET_ASIDE_FACT, if aside > 0 { text } else { String::new() });
        }
    }

    /// Notes what keeps a signal from the backend, or that nothing does; whether that is news. The exporter is well once
    /// every signal gets through.
    fn set_failure(&self, signal: Signal, failure: Option<&str>) -> bool {
        let mut failures = lock(&self.failures);
        let before = match failure {
            Some(text) => failures.insert(signal.as_str(), text.to_owned()),
            None => failures.remove(signal.as_str()),
        };
        let is_news = before.as_deref() != failure;
        if before.is_some() != failure.is_some() {
            // Whether there is room depends on it.
            self.lane(signal).queue.change(|_| ());
        }
        if let Some(text) = failure {
            self.telemetry.set_status(Status::Error(text.to_owned()));
        } else if failures.is_empty() {
            self.telemetry.set_status(Status::Ok);
        } else if let (true, Some(other)) = (is_news, failures.values().next()) {
            self.telemetry.set_status(Status::Error(other.clone()));
        }
        is_news
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
