//! What travels through a pipeline.

use std::fmt;
use std::sync::Arc;

use crate::{Log, LogBatch, MetricBatch, Timestamp};

/// A kind of telemetry. The set is open; a pipeline carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Metrics and service checks.
    Metrics,
    /// Log records and events.
    Logs,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 2] = [Signal::Metrics, Signal::Logs];

    /// The name that pipelines use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// The Collector's name for an item of this signal, as it stands in metric names.
    pub const fn items(self) -> &'static str {
        match self {
            Signal::Metrics => "metric_points",
            Signal::Logs => "log_records",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Data of one signal, immutable and shared: a clone is a pointer. Whoever changes it copies it first, unless nobody
/// else holds it (`Arc::make_mut`).
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Metric points.
    Metrics(Arc<MetricBatch>),
    /// Log records.
    Logs(Arc<LogBatch>),
}

impl Data {
    /// Which signal it is.
    pub fn signal(&self) -> Signal {
        match self {
            Data::Metrics(_) => Signal::Metrics,
            Data::Logs(_) => Signal::Logs,
        }
    }

    /// Number of points or records.
    pub fn items(&self) -> usize {
        match self {
            Data::Metrics(batch) => batch.points.len(),
            Data::Logs(batch) => batch.records.len(),
        }
    }

    /// The time of an item: the end of a point's window, a record's own time or else when it was read. Unknown for an
    /// index out of range.
    pub fn item_time(&self, index: u32) -> Timestamp {
        let index = index as usize;
        match self {
            Data::Metrics(batch) => batch.points.get(index).map_or(Timestamp::UNKNOWN, |point| point.window.end),
            Data::Logs(batch) => batch.records.get(index).map_or(Timestamp::UNKNOWN, Log::time_or_observed),
        }
    }

    /// Bytes that the data owns.
    pub fn bytes(&self) -> usize {
        match self {
            Data::Metrics(batch) => batch.bytes(),
            Data::Logs(batch) => batch.bytes(),
        }
    }
}

impl From<MetricBatch> for Data {
    fn from(batch: MetricBatch) -> Self {
        Data::Metrics(Arc::new(batch))
    }
}

impl From<LogBatch> for Data {
    fn from(batch: LogBatch) -> Self {
        Data::Logs(Arc::new(batch))
    }
}
