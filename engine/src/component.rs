//! The contracts between the engine and its components.
//!
//! A component is built in two steps: its configuration (plain data that serde decodes and `validate` checks, without
//! touching the world) builds the component (which may bind sockets and may fail with a reason). Everything that a
//! component may do to the world comes in its [`BuildContext`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::{Data, Resource, Signal, Timestamp};

use crate::config::{ByteSize, Report};
use crate::delivery::DeliveryConfig;
use crate::sockets::Claim;
use crate::state_dir::StateDirectory;
use crate::status::StatusReader;
use crate::telemetry::{ComponentTelemetry, SignalCounters};
use crate::{Batch, Clock, Outcome, Output, Shutdown, Sockets};

/// Why an item was dropped: a short name in snake case, the value of the `reason` label.
pub type Reason = &'static str;

/// Reasons that the engine itself gives.
pub mod reason {
    use super::Reason;

    /// The exporter's queue was at its bound.
    pub const QUEUE_FULL: Reason = "queue_full";
    /// The item was older than `max_age` before the backend took it.
    pub const TOO_OLD: Reason = "too_old";
    /// The backend was tried for `max_elapsed_time` without success.
    pub const RETRIES_EXHAUSTED: Reason = "retries_exhausted";
    /// One item alone is more than the backend takes.
    pub const TOO_LARGE: Reason = "too_large";
    /// The backend refused the request for good.
    pub const REFUSED: Reason = "refused";
    /// The backend took the request but not this item (partial success).
    pub const REJECTED: Reason = "rejected";
    /// Not delivered within `service.shutdown_timeout`, where there is no disk to keep it.
    pub const SHUTDOWN: Reason = "shutdown";
    /// The component failed while it had the item.
    pub const PANIC: Reason = "panic";
    /// Its record in the queue on disk is damaged.
    pub const CORRUPT: Reason = "corrupt";
    /// Its record in the queue on disk is of another release, which this one cannot read; the record is kept beside the queue.
    pub const UNREADABLE: Reason = "unreadable";
    /// A zero fill that the backend's temporality does not need; nothing is lost with it.
    pub const ZERO_FILL: Reason = "zero_fill";
    /// The exporter has no form for this kind of value.
    pub const UNSUPPORTED: Reason = "unsupported";
    /// The value is not a number or infinite, which no backend takes.
    pub const NOT_FINITE: Reason = "not_finite";
}

/// Why a component could not be built, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// The option at fault, relative to the component (`endpoint`), empty where none is.
    pub option: String,
    /// What failed, why, and what to do.
    pub message: String,
}

impl BuildError {
    /// An error about an option.
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        BuildError { option: option.into(), message: message.into() }
    }
}

/// Everything that a component may use of the world.
#[derive(Clone)]
pub struct BuildContext {
    /// The component's id, `type` or `type/name`.
    pub id: String,
    /// The time, and waiting.
    pub clock: Clock,
    /// The component's counters, own numbers and status.
    pub telemetry: Arc<ComponentTelemetry>,
    /// Listening sockets by address.
    pub sockets: Sockets,
    /// Who this process is: `host.name`, `service.instance.id`. Receivers put it on what they make.
    pub resource: Arc<Resource>,
    /// Where the component may keep what must outlive the process: in a folder of its own below this, named for what it
    /// is (`checkpoints`, `queues`) and its id.
    pub state_directory: Arc<StateDirectory>,
}

/// A component's type, for the registry.
pub trait ComponentType {
    /// The name in the configuration, such as `statsd`.
    const TYPE: &'static str;
    /// Other names that load the same component.
    const ALIASES: &'static [&'static str] = &[];
    /// The signals that it handles.
    const SIGNALS: &'static [Signal];
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Options of its counterpart in the Collector that are not here, each with what to do instead.
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[];
}

/// The settings of a receiver.
pub trait ReceiverConfig: Send + Sync {
    /// Checks what the types cannot; opens nothing.
    fn validate(&self, _report: &mut Report) {}
    /// Where it listens: two receivers that claim one place are refused.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
    /// Memory that it may take, for the sum that `service.memory_limit` bounds: what it holds, and what it has sent and is
    /// not acknowledged.
    fn memory(&self) -> ByteSize {
        ByteSize::mib(16)
    }
    /// Builds the receiver, with its sockets bound.
    ///
    /// # Errors
    /// What cannot be had: a taken port, a missing directory.
    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError>;
}

/// The settings of a processor.
pub trait ProcessorConfig: Send + Sync {
    /// Checks what the types cannot; opens nothing.
    fn validate(&self, _report: &mut Report) {}
    /// Builds the processor for one pipeline of `signal`.
    ///
    /// # Errors
    /// What cannot be built.
    fn build(&self, signal: Signal, context: BuildContext) -> Result<Box<dyn Processor>, BuildError>;
}

/// The settings of an exporter.
pub trait ExporterConfig: Send + Sync {
    /// Checks what the types cannot; opens nothing.
    fn validate(&self, _report: &mut Report) {}
    /// Queue, retry and timeout.
    fn delivery(&self) -> DeliveryConfig;
    /// Builds the exporter. It connects at its first request, so that a backend that is down never stops the start.
    ///
    /// # Errors
    /// What cannot be built: an unreadable certificate, a missing key.
    fn build(&self, context: BuildContext) -> Result<Box<dyn Exporter>, BuildError>;
}

/// Everything that an extension may use of the world.
#[derive(Clone)]
pub struct ExtensionContext {
    /// The extension's id, `type` or `type/name`.
    pub id: String,
    /// The time, and waiting.
    pub clock: Clock,
    /// The extension's own numbers, facts and status.
    pub telemetry: Arc<ComponentTelemetry>,
    /// Listening sockets by address.
    pub sockets: Sockets,
    /// How the whole process is doing.
    pub status: StatusReader,
}

/// Where an extension lets exporters keep their queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the state directory of the process.
    StateDirectory,
    /// In a directory of its own.
    Directory(PathBuf),
}

/// The settings of an extension.
pub trait ExtensionConfig: Send + Sync {
    /// Checks what the types cannot; opens nothing.
    fn validate(&self, _report: &mut Report) {}
    /// Where exporters that name it in `sending_queue.storage` keep their queues; `None` where it stores nothing.
    fn storage(&self) -> Option<Storage> {
        None
    }
    /// Builds the extension, with its sockets bound.
    ///
    /// # Errors
    /// What cannot be had, such as a taken port.
    fn build(&self, context: ExtensionContext) -> Result<Box<dyn Extension>, BuildError>;
}

/// Where a receiver sends what it makes: an output per signal, absent where no pipeline takes that signal from it.
#[derive(Clone, Default)]
pub struct Outputs {
    /// To the metrics pipelines.
    pub metrics: Option<Output>,
    /// To the logs pipelines.
    pub logs: Option<Output>,
}

impl Outputs {
    /// The output of a signal.
    pub fn signal(&self, signal: Signal) -> Option<&Output> {
        match signal {
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }
}

/// Brings data in.
///
/// The engine calls `run` once, in a task of its own. The receiver counts its inputs (`received`, `dropped`, `passed`,
/// `held` of its [`ComponentTelemetry`]); its outputs count what it emits.
#[async_trait]
pub trait Receiver: Send {
    /// Runs until `shutdown` is requested, then flushes what it holds into `outputs` and returns.
    ///
    /// # Errors
    /// What made it stop by itself, in words for the operator.
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String>;
}

/// Serves the process, not a pipeline: health endpoints, storage.
///
/// The engine starts extensions before all other components and stops them after all others.
#[async_trait]
pub trait Extension: Send {
    /// Runs until `shutdown` is requested. After a reload that changes the extension's settings its successor runs
    /// already while this one ends.
    ///
    /// # Errors
    /// What made it stop by itself, in words for the operator. It is not started again; its status says so.
    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), String>;
}

/// Changes data on its way. Synchronous: it runs in the task that brought the data, and holds no buffer except what
/// its purpose needs (multiline).
pub trait Processor: Send {
    /// Takes a batch, which it may own alone or share with other pipelines (`Arc::make_mut` copies where needed), and
    /// emits, holds or drops every item of it.
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>);
    /// How often `tick` wants to be called; `None` for a processor that holds nothing.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }
    /// Emits what has been held long enough.
    fn tick(&mut self, _now: Timestamp, _out: &mut Emitter<'_>) {}
    /// Emits everything held; the pipeline ends or is rebuilt.
    fn flush(&mut self, _out: &mut Emitter<'_>) {}
}

/// Where a processor puts its results. It counts them.
pub struct Emitter<'a> {
    counters: &'a SignalCounters,
    batches: Vec<Batch>,
}

impl<'a> Emitter<'a> {
    /// An emitter that counts into `counters`.
    pub fn new(counters: &'a SignalCounters) -> Self {
        Emitter { counters, batches: Vec::new() }
    }

    /// Sends a batch on, one item for each input.
    pub fn emit(&mut self, batch: Batch) {
        let items = batch.items() as u64;
        self.emit_for(batch, items);
    }

    /// Sends a batch on that stands for `inputs` inputs, however many items it has. An empty batch is delivered.
    pub fn emit_for(&mut self, batch: Batch, inputs: u64) {
        self.counters.passed.add(inputs);
        self.counters.emitted.add(batch.items() as u64);
        if batch.items() == 0 {
            batch.settle(Outcome::Delivered);
        } else {
            self.batches.push(batch);
        }
    }

    /// Drops a batch and counts it.
    pub fn discard(&mut self, batch: Batch, reason: Reason) {
        self.counters.dropped(reason, batch.items() as u64);
        batch.settle(Outcome::Dropped(reason));
    }

    /// The counters, for drops of single items and for what is held.
    pub fn counters(&self) -> &SignalCounters {
        self.counters
    }

    /// What was emitted.
    pub fn into_batches(self) -> Vec<Batch> {
        self.batches
    }
}

/// One request to a backend: encoded once, kept for retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The exporter's name for the destination, such as `/api/v2/series`.
    pub route: &'static str,
    /// The signal that it carries.
    pub signal: Signal,
    /// The encoded, compressed body.
    pub body: Bytes,
    /// Indexes of the batch's items that it carries.
    pub items: Vec<u32>,
}

/// A batch as requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The requests; together with `dropped` they account for every item asked for.
    pub requests: Vec<Request>,
    /// Items that the backend has no form for.
    pub dropped: Vec<(Reason, u64)>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The backend took it, except `rejected` items; `message` holds the backend's words about those.
    Delivered {
        /// How many items the backend took the request without.
        rejected: u64,
        /// The backend's words, empty where it had none.
        message: String,
    },
    /// Try again, not before `after` where the backend said so.
    Retryable {
        /// The pause that the backend asked for.
        after: Option<Duration>,
        /// What happened, in words for the operator.
        error: String,
    },
    /// The request is more than the backend takes at once.
    TooLarge {
        /// What happened, in words for the operator.
        error: String,
    },
    /// The backend refuses our credentials. The data is kept; the operator has to act.
    Unauthorized {
        /// What happened and what to check.
        error: String,
    },
    /// The backend will never take it.
    Permanent {
        /// The reason to count.
        reason: Reason,
        /// What happened, in words for the operator.
        error: String,
    },
}

impl SendOutcome {
    /// Taken in full.
    pub const fn delivered() -> Self {
        SendOutcome::Delivered { rejected: 0, message: String::new() }
    }
}

/// Sends data out. The engine queues, retries, splits, paces and counts; an exporter encodes and sends.
#[async_trait]
pub trait Exporter: Send + Sync {
    /// True where delivery is not promised (`debug`): batches are settled when they are queued.
    fn best_effort(&self) -> bool {
        false
    }

    /// How long the backend accepts data of a signal after its time; older data is dropped and counted.
    fn max_age(&self, _signal: Signal) -> Option<Duration> {
        None
    }

    /// The same for the data of one request, where the backend is stricter about some of it.
    fn max_age_of(&self, request: &Request) -> Option<Duration> {
        self.max_age(request.signal)
    }

    /// Works beside the sending, such as looking after credentials. The engine runs it once, from when the exporter
    /// begins to send until it ends or another takes its place, and then drops it at its next wait.
    async fn background(&self) {}

    /// What has to be done in order, once per batch, on the way into the queue (cumulative sums, splitting). Called once.
    fn admission(&self) -> Option<Box<dyn Admission>> {
        None
    }

    /// Encodes the items of `data` at the indexes `items` into requests, each item into exactly one request. Pure: the
    /// same input gives the same bytes.
    fn encode(&self, data: &Data, items: &[u32]) -> Encoded;

    /// Sends one request, once. The engine bounds its time. Metrics are sent one request at a time; of logs several may be
    /// under way at once.
    async fn send(&self, request: &Request) -> SendOutcome;
}

/// Converts batches on their way into an exporter's queue, in order.
pub trait Admission: Send {
    /// The data to queue, `None` where nothing is left; what is left out is counted in `counters` as dropped, what
    /// became more as split.
    fn admit(&mut self, data: Data, counters: &SignalCounters) -> Option<Data>;
}
