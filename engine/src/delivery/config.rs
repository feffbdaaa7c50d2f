//! Queue, retry and timeout options, the same for every exporter.

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

/// The queue between the pipelines and one exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Most memory that queued data may take. One batch larger than that is still taken when the queue is empty.
    pub max_bytes: ByteSize,
    /// What to do at the bound: `drop_oldest`, `drop_newest` or `block`.
    pub on_full: OnFull,
    /// Age at which undelivered data is dropped. Default, and the most that counts: what the backend accepts (Datadog metrics
    /// 55m, its logs 17h), else none.
    pub max_age: Option<Duration>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig { max_bytes: ByteSize::mib(32), on_full: OnFull::default(), max_age: None }
    }
}

/// Retries of a failed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Whether a request is tried again at all.
    pub enabled: bool,
    /// Pause after the first failure.
    pub initial_interval: Duration,
    /// How far the pause is varied at random, as a fraction of it, 0 to 1.
    pub randomization_factor: f64,
    /// Factor by which the pause grows with each failure, at least 1.
    pub multiplier: f64,
    /// Longest pause.
    pub max_interval: Duration,
    /// Time after which a request is given up; 0 means never: then the queue's bound and `max_age` decide.
    pub max_elapsed_time: Duration,
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
        if self.sending_queue.max_bytes.as_bytes() == 0 {
            report.error("sending_queue.max_bytes", "must be more than 0");
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
        if retry.max_interval < retry.initial_interval {
            report.error("retry_on_failure.max_interval", "must not be less than initial_interval");
        }
    }
}
