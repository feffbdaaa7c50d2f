//! Queue, retry and timeout options, the same for every exporter.

use std::time;

use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ByteSize, Duration, Report};

/// How an exporter's data is kept and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryConfig {
    /// The queue.
    pub sending_queue: QueueConfig,
    /// Retries.
    pub retry_on_failure: RetryConfig,
    /// How long one attempt may take; zero means without limit.
    pub timeout: Duration,
}

/// What happens to new data when the queue is at its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The oldest queued batch gives way.
    #[default]
    DropOldest,
    /// The new batch is dropped.
    DropNewest,
    /// The pipeline waits for room, and with it every receiver and exporter that shares it.
    Block,
}

/// What `queue_size` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sizer {
    /// Batches as they come from the pipeline.
    #[default]
    Requests,
    /// Points or records.
    Items,
    /// Bytes, in memory or on disk.
    Bytes,
}

/// What the sizes of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchSizer {
    /// Points or records.
    #[default]
    Items,
    /// Bytes in memory.
    Bytes,
}

/// Small batches that travel as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchConfig {
    /// How long a small batch waits for others of the same resource and scope.
    pub flush_timeout: Duration,
    /// Size from which a batch does not wait; counts as `sizer` says.
    pub min_size: u64,
    /// Size that no request exceeds: small batches together stay below it, and a larger one is split (by `bytes`, as if all of its
    /// items were alike); 0 means without limit. What a backend takes at once is kept to apart from this.
    pub max_size: u64,
    /// What the sizes count: `items` or `bytes`.
    pub sizer: BatchSizer,
}

impl Default for BatchConfig {
    fn default() -> Self {
        BatchConfig {
            flush_timeout: Duration::from_millis(200),
            min_size: 1_000,
            max_size: 0,
            sizer: BatchSizer::default(),
        }
    }
}

/// The queue between the pipelines and one exporter, one for each signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Most that may be queued of a signal. Default: on disk 1GiB; in memory 32MiB, less where `service.memory_limit` leaves
    /// less. One batch larger than that is still taken when the queue is empty. On disk the oldest part goes at once, a 32nd of
    /// the whole.
    pub max_bytes: Option<ByteSize>,
    /// What to do at the bound: `drop_oldest`, `drop_newest` or `block`.
    pub on_full: OnFull,
    /// The Collector's name for `on_full: block`.
    pub block_on_overflow: bool,
    /// There is always a queue; the Collector's option may say so.
    pub enabled: Option<bool>,
    /// Nobody waits for the backend's answer; the Collector's option may say so.
    pub wait_for_result: Option<bool>,
    /// Where the queue is kept: the id of a `file_storage` extension, for metrics and logs alike, or `none` for memory. Default:
    /// logs in the state directory, metrics in memory. What memory holds at a shutdown is kept in the state directory either way.
    pub storage: Option<String>,
    /// Age at which undelivered data is dropped; 0 for no limit of one's own. Default, and the most that counts: what the backend accepts (Datadog metrics
    /// 55m, its logs 17h), else none.
    pub max_age: Option<Duration>,
    /// A second bound, counted as `sizer` says. Default: none.
    pub queue_size: Option<u64>,
    /// What `queue_size` counts: `requests` (batches), `items` or `bytes`.
    pub sizer: Sizer,
    /// Most requests under way at a time, 1 to 10; how many there are is up to how the backend keeps up. Default: 1 for metrics, which keeps the points of
    /// a series in order, and 10 for logs.
    pub num_consumers: Option<u64>,
    /// Small batches that travel as one. Default: logs, with the defaults below; metrics not.
    pub batch: Option<BatchConfig>,
}

/// The storage that is none.
const NO_STORAGE: &str = "none";

/// Bound of a queue on disk.
const DISK_BYTES: ByteSize = ByteSize::gib(1);

/// Most that a queue takes of memory unless asked for.
pub(crate) const MEMORY_BYTES: ByteSize = ByteSize::mib(32);

/// Most that a durable queue takes of memory: some requests, and what is on its way to the disk.
const DURABLE_MEMORY_BYTES: ByteSize = ByteSize::mib(8);

/// Most consumers of a queue, and those of one for logs: what they have encoded is in memory.
const MOST_CONSUMERS: usize = 10;

impl QueueConfig {
    /// Whether every batch of a signal is on disk before it counts as kept.
    pub fn is_durable(&self, signal: Signal) -> bool {
        match self.storage.as_deref() {
            None => signal == Signal::Logs,
            Some(storage) => storage != NO_STORAGE,
        }
    }

    /// What to do at the bound, by either name.
    pub fn when_full(&self) -> OnFull {
        if self.block_on_overflow { OnFull::Block } else { self.on_full }
    }

    /// The extension that keeps the queue, where one is named.
    pub fn extension(&self) -> Option<&str> {
        self.storage.as_deref().filter(|storage| *storage != NO_STORAGE)
    }

    /// Bytes of a signal on disk.
    pub fn disk_bytes(&self) -> ByteSize {
        self.max_bytes.unwrap_or(DISK_BYTES)
    }

    /// Bytes of memory of a signal, where the whole process leaves it `share`. What a durable queue has on disk need not be in
    /// memory.
    pub fn memory_bytes(&self, signal: Signal, share: ByteSize) -> ByteSize {
        match self.max_bytes {
            asked if self.is_durable(signal) => asked.unwrap_or(share).min(share).min(DURABLE_MEMORY_BYTES),
            Some(asked) => asked,
            None => share,
        }
    }

    /// The age at which data is dropped, apart from what the backend accepts.
    pub fn max_age(&self) -> Option<time::Duration> {
        self.max_age.filter(|age| !age.is_zero()).map(Duration::get)
    }

    /// Most requests of a signal under way at a time.
    pub fn consumers(&self, signal: Signal) -> usize {
        let given = self.num_consumers.map(|count| usize::try_from(count).unwrap_or(usize::MAX).min(MOST_CONSUMERS));
        match signal {
            Signal::Metrics => given.unwrap_or(1),
            Signal::Logs => given.unwrap_or(MOST_CONSUMERS),
        }
    }

    /// How small batches of a signal travel as one, if they do.
    pub fn batch(&self, signal: Signal) -> Option<BatchConfig> {
        match signal {
            Signal::Metrics => self.batch.clone(),
            Signal::Logs => Some(self.batch.clone().unwrap_or_default()),
        }
    }
}

/// Retries of a failed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Whether a request is tried again at all. Where not, one that fails is dropped, on disk too.
    pub enabled: bool,
    /// Pause after the first failure.
    pub initial_interval: Duration,
    /// How far the pause is varied at random, as a fraction of it, 0 to 1.
    pub randomization_factor: f64,
    /// Factor by which the pause grows with each failure, at least 1.
    pub multiplier: f64,
    /// Longest pause. What a backend asks for (`Retry-After`) is kept to even where it is longer, up to 5m.
    pub max_interval: Duration,
    /// Time after which a request is given up, of what is queued in memory only: what is on disk stays there until `max_age` or the
    /// queue's bound. 0 means never.
    pub max_elapsed_time: Duration,
}

/// Longest pause that a backend is granted, unless our own longest is longer. With one that asks for hours, by mistake or in
/// malice, an outage would go on long after it is over.
const LONGEST_GRANTED: time::Duration = time::Duration::from_secs(300);

impl RetryConfig {
    /// As much of a pause that a backend asks for as it is granted.
    pub fn granted(&self, asked: time::Duration) -> time::Duration {
        asked.min(LONGEST_GRANTED.max(self.max_interval.get()))
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        RetryConfig {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_secs(0),
        }
    }
}

impl DeliveryConfig {
    /// Checks the options; paths are those of the exporter's settings.
    pub fn validate(&self, report: &mut Report) {
        let retry = &self.retry_on_failure;
        let queue = &self.sending_queue;
        if queue.max_bytes.is_some_and(|bytes| bytes.as_bytes() == 0) {
            report.error("sending_queue.max_bytes", "must be more than 0");
        }
        if queue.enabled == Some(false) {
            let help = "remove it; `on_full: block` with a small `max_bytes` comes near to no queue";
            report.error_with_help("sending_queue.enabled", "there is always a queue", help);
        }
        if queue.block_on_overflow && !matches!(queue.on_full, OnFull::DropOldest | OnFull::Block) {
            report.error("sending_queue.block_on_overflow", "contradicts on_full");
        }
        if queue.queue_size == Some(0) {
            report.error("sending_queue.queue_size", "must be more than 0");
        }
        match queue.num_consumers {
            Some(0) => report.error("sending_queue.num_consumers", "must be more than 0"),
            Some(count) if count > MOST_CONSUMERS as u64 => {
                let message = format!("more than {MOST_CONSUMERS} count as {MOST_CONSUMERS}");
                let help = "leave it out: each request under way is held in memory, and more of them bring less than larger ones, \
                            which `sending_queue.batch` makes";
                report.warning_with_help("sending_queue.num_consumers", message, help);
            }
            _ => {}
        }
        if queue.wait_for_result == Some(true) {
            let help =
                "remove it; receivers that can wait, as of log files, learn of each batch when it is safe or delivered";
            report.error_with_help("sending_queue.wait_for_result", "nobody waits for the backend's answer", help);
        }
        if let Some(batch) = &queue.batch
            && batch.max_size > 0
            && batch.max_size < batch.min_size
        {
            report.error("sending_queue.batch.max_size", "must be 0 or at least min_size");
        }
        if !(0.0..=1.0).contains(&retry.randomization_factor) {
            report.error("retry_on_failure.randomization_factor", "must be within 0 and 1");
        }
        if !retry.multiplier.is_finite() || retry.multiplier < 1.0 {
            report.error("retry_on_failure.multiplier", "must be at least 1");
        }
        if retry.initial_interval.is_zero() {
            report.error("retry_on_failure.initial_interval", "must be more than 0s");
        }
        if !retry.max_elapsed_time.is_zero() && retry.max_elapsed_time < retry.initial_interval {
            let message = "is less than initial_interval: a request that fails is given up at once";
            report.warning_with_help(
                "retry_on_failure.max_elapsed_time",
                message,
                "write 0 for no limit, or a longer time",
            );
        }
        if retry.max_interval < retry.initial_interval {
            report.error("retry_on_failure.max_interval", "must not be less than initial_interval");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut DeliveryConfig)) -> Vec<String> {
        let (sending_queue, retry_on_failure) = (QueueConfig::default(), RetryConfig::default());
        let mut config = DeliveryConfig { sending_queue, retry_on_failure, timeout: Duration::ZERO };
        change(&mut config);
        let mut report = Report::new();
        config.validate(&mut report);
        report.problems().iter().map(|problem| format!("{problem:?}")).collect()
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        assert_eq!(said(|_| ()), [""; 0]);
        assert_eq!(said(|config| config.sending_queue.wait_for_result = Some(false)), [""; 0]);
        assert_eq!(said(|config| config.sending_queue.num_consumers = Some(10)), [""; 0]);
        type Change = fn(&mut DeliveryConfig);
        let cases: [(Change, &str, &str); 3] = [
            (|config| config.sending_queue.num_consumers = Some(50), "Warning", "more than 10"),
            (|config| config.sending_queue.wait_for_result = Some(true), "Error", "nobody waits"),
            (|config| config.retry_on_failure.max_elapsed_time = Duration::from_secs(4), "Warning", "given up at once"),
        ];
        for (change, severity, words) in cases {
            let said = said(change);
            assert!(said.len() == 1 && said[0].contains(severity) && said[0].contains(words), "{said:?}");
        }
    }

    #[test]
    fn what_is_beyond_the_bounds_counts_as_they_do() {
        let queue = QueueConfig { num_consumers: Some(50), max_age: Some(Duration::ZERO), ..QueueConfig::default() };
        assert_eq!((queue.consumers(Signal::Logs), queue.max_age()), (10, None));
    }
}
