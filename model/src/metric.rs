//! Metric points and their batches.

use std::sync::Arc;
use std::time::Duration;

use crate::distribution::{Buckets, Distribution, ExponentialHistogram, Samples};
use crate::heap::{block, shared};
use crate::{Context, Resource, Scope, Timestamp};

/// The span of time that a point covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First instant of the window. For a cumulative value: the start of the stream.
    pub start: Timestamp,
    /// End of the window; for a gauge or a check the time of the reading.
    pub end: Timestamp,
    /// The nominal length by which rates are divided, also where a start or a stop cut the window short. `None` for a
    /// point that is not one of a regular row (a check's gauge).
    pub interval: Option<Duration>,
}

/// Where a point comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A StatsD or DogStatsD client.
    Statsd,
    /// A check that this program ran.
    Check,
    /// An OTLP client.
    Otlp,
    /// This program, about itself.
    Own,
}

/// How a sum or a histogram relates to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Of this window alone.
    Delta,
    /// Of everything since `Window::start`.
    Cumulative,
}

/// The status of a service check; the numbers are Datadog's and Nagios's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CheckStatus {
    /// All is well.
    Ok = 0,
    /// Something deserves a look.
    Warning = 1,
    /// It does not work.
    Critical = 2,
    /// The check could not tell.
    Unknown = 3,
}

impl CheckStatus {
    /// The worse of the two: critical before unknown before warning before OK.
    #[must_use]
    pub fn worse(self, other: CheckStatus) -> CheckStatus {
        let rank = |status: CheckStatus| match status {
            CheckStatus::Ok => 0,
            CheckStatus::Warning => 1,
            CheckStatus::Unknown => 2,
            CheckStatus::Critical => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// A service check's result.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCheck {
    /// The status.
    pub status: CheckStatus,
    /// What was found, for people; may be empty.
    pub message: Box<str>,
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// How much came in the window. `samples` is the number of samples behind the sum: zero marks a zero fill, which
    /// says that a counter known from before saw nothing.
    Count {
        /// The sum; corrected for the sample rate; may be negative.
        sum: f64,
        /// How many samples it holds.
        samples: u64,
    },
    /// The last value of the window.
    Gauge(f64),
    /// The samples of the window.
    Distribution(Distribution),
    /// A service check's result; the point's name is the check's.
    ServiceCheck(Box<ServiceCheck>),
    /// A sum as OTLP has it.
    Sum {
        /// The sum.
        value: f64,
        /// True while the stream never went down.
        monotonic: bool,
        /// Whether it stands for the window or for all since its start.
        temporality: Temporality,
    },
    /// An exponential histogram as OTLP has it.
    ExponentialHistogram {
        /// The buckets.
        histogram: Arc<ExponentialHistogram>,
        /// Whether they stand for the window or for all since its start.
        temporality: Temporality,
    },
}

/// One value of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// Name, tags, unit.
    pub context: Arc<Context>,
    /// The time that it covers.
    pub window: Window,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says.
    pub value: MetricValue,
}

impl MetricPoint {
    /// Bytes of this point, without its context, which the receiver owns and limits.
    pub fn bytes(&self) -> usize {
        let heap = match &self.value {
            MetricValue::Distribution(distribution) => {
                let samples = &distribution.samples;
                shared(size_of::<Samples>()) + block(samples.bytes() - size_of::<Samples>())
            }
            MetricValue::ServiceCheck(check) => block(size_of::<ServiceCheck>()) + block(check.message.len()),
            MetricValue::ExponentialHistogram { histogram, .. } => {
                let buckets = |buckets: &Buckets| block(buckets.counts.capacity() * size_of::<u64>());
                shared(size_of::<ExponentialHistogram>()) + buckets(&histogram.positive) + buckets(&histogram.negative)
            }
            MetricValue::Count { .. } | MetricValue::Gauge(_) | MetricValue::Sum { .. } => 0,
        };
        size_of::<Self>() + heap
    }
}

/// Points under one resource and scope.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricBatch {
    /// Who produced the points.
    pub resource: Arc<Resource>,
    /// Which instrumentation made them.
    pub scope: Arc<Scope>,
    /// The points.
    pub points: Vec<MetricPoint>,
}

impl MetricBatch {
    /// Bytes that this batch owns (capacity, not length), contexts and resource left out as shared.
    pub fn bytes(&self) -> usize {
        let spare = self.points.capacity() - self.points.len();
        size_of::<Self>() + spare * size_of::<MetricPoint>() + self.points.iter().map(MetricPoint::bytes).sum::<usize>()
    }
}
