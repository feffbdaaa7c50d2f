//! Distributions: the samples of one series in one window, and the forms that backends want of them.
//!
//! [`Samples`] keeps every sample with its weight while there are at most [`SAMPLE_LIMIT`], and a sketch with a relative
//! error of at most 1/128 beyond that. Count, sum, minimum and maximum are exact in both. Each backend's form is
//! built from it when it is sent, so no form is ever made from another backend's approximation:
//!
//! * [`AgentSketch`]: the Datadog Agent's sketch, for distributions;
//! * [`ExponentialHistogram`]: the OTLP one;
//! * [`Rendering`]: single series as the Datadog Agent derives them from a histogram (`.max`, `.95percentile`).

mod agent_mapping;
mod agent_sketch;
mod aggregate;
mod bucket_index;
mod buckets;
mod compensated_sum;
mod exact;
mod exponential_histogram;
mod parts;
mod percentile;
mod ranked;
mod rendering;
mod samples;
mod sketch;
mod summary;
mod whole_counts;

use std::sync::Arc;

pub use agent_sketch::AgentSketch;
pub use aggregate::{Aggregate, UnknownAggregate};
pub use buckets::Buckets;
pub use exponential_histogram::ExponentialHistogram;
pub use parts::{SamplesEntries, SamplesParts};
pub use percentile::{InvalidPercentile, Percentile};
pub use ranked::Ranked;
pub use rendering::{Rendered, Rendering};
pub use samples::{SAMPLE_LIMIT, Samples};
pub use whole_counts::WHOLE_COUNT_LIMIT;

/// The StatsD type that a distribution was sent as. The Datadog Agent renders `h` and `ms` as single series and sends
/// `d` as a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireType {
    /// `h`: a histogram.
    Histogram,
    /// `ms`: a timing, in milliseconds.
    Timing,
    /// `d`: a distribution.
    Distribution,
}

impl WireType {
    /// The type as StatsD writes it: `h`, `ms` or `d`.
    pub fn as_str(self) -> &'static str {
        match self {
            WireType::Histogram => "h",
            WireType::Timing => "ms",
            WireType::Distribution => "d",
        }
    }
}

/// The value of a point that stands for many samples. Cloning shares the samples, so a processor may write its note on
/// a copy.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// What the client sent it as.
    pub wire_type: WireType,
    /// Which single series are wanted of it; without a note the exporter decides.
    pub note: Option<Arc<Rendering>>,
    /// The samples of the window.
    pub samples: Arc<Samples>,
}

impl Distribution {
    /// A distribution without a note.
    pub fn new(wire_type: WireType, samples: Samples) -> Self {
        Distribution { wire_type, note: None, samples: Arc::new(samples) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_types_are_written_as_statsd_writes_them() {
        assert_eq!(
            [WireType::Histogram, WireType::Timing, WireType::Distribution].map(WireType::as_str),
            ["h", "ms", "d"]
        );
    }

    #[test]
    fn a_note_on_a_copy_shares_the_samples_and_leaves_the_original_bare() {
        let original = Distribution::new(WireType::Timing, Samples::new());
        let mut copy = original.clone();
        copy.note = Some(Arc::new(Rendering::default()));
        assert!(Arc::ptr_eq(&original.samples, &copy.samples));
        assert_eq!(original.note, None);
    }
}
