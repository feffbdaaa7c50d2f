//! The receiver's own numbers, to which all of its readers add.

use std::sync::Arc;

use hornpipe_engine::telemetry::{ComponentTelemetry, Counter};

use crate::kernel_drops;
use crate::listen::Input;

/// A counter for each.
pub(crate) struct OwnCounters {
    pub(crate) packets: Arc<Counter>,
    pub(crate) bytes: Arc<Counter>,
    pub(crate) truncated: Arc<Counter>,
    pub(crate) sketched: Arc<Counter>,
    pub(crate) kernel_drops: Arc<Counter>,
    pub(crate) not_finite: Arc<Counter>,
    pub(crate) connections: Arc<Counter>,
    pub(crate) refused_connections: Arc<Counter>,
    pub(crate) events_in_characters: Arc<Counter>,
}

impl OwnCounters {
    pub(crate) fn new(telemetry: &ComponentTelemetry) -> Self {
        OwnCounters {
            packets: packets(telemetry),
            bytes: telemetry.counter("hornpipe_statsd_bytes", "By", "Bytes read"),
            truncated: telemetry.counter(
                "hornpipe_statsd_truncated_packets",
                "{packet}",
                "Datagrams longer than max_datagram_bytes, whose end was lost",
            ),
            kernel_drops: kernel_drops::counter(telemetry),
            sketched: telemetry.counter(
                "hornpipe_statsd_sketched_series",
                "{series}",
                "Series that became sketches in their window because max_sample_bytes were used up",
            ),
            not_finite: telemetry.counter(
                "hornpipe_statsd_values_not_finite",
                "{value}",
                "Values left out of good lines because they are NaN or infinite",
            ),
            connections: telemetry.gauge("hornpipe_statsd_connections", "{connection}", "Connections of clients"),
            refused_connections: telemetry.counter(
                "hornpipe_statsd_refused_connections",
                "{connection}",
                "Connections closed at once because max_connections were open",
            ),
            events_in_characters: telemetry.counter(
                "hornpipe_statsd_events_in_characters",
                "{event}",
                "Events whose lengths were counted in characters instead of bytes",
            ),
        }
    }

    /// Counts what the kernel has dropped since it was last asked.
    pub(crate) fn note_kernel_drops(&self, input: &Input, before: &mut u32) {
        if let Some(drops) = input.kernel_drops() {
            self.kernel_drops.add(u64::from(drops.wrapping_sub(*before)));
            *before = drops;
        }
    }
}

/// The counter of datagrams and the like.
pub(crate) fn packets(telemetry: &ComponentTelemetry) -> Arc<Counter> {
    telemetry.counter("hornpipe_statsd_packets", "{packet}", "Datagrams and frames read, and reads of streams of lines")
}
