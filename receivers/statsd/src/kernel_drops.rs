//! Datagrams that the kernel has dropped: their counter, and what to do about it.

use std::sync::Arc;

use hornpipe_engine::telemetry::{ComponentTelemetry, Counter};

/// The counter, to which all readers add.
pub(crate) fn counter(telemetry: &ComponentTelemetry) -> Arc<Counter> {
    let description = "Datagrams that the kernel dropped because its buffer was full";
    telemetry.counter("hornpipe_statsd_kernel_drops", "{packet}", description)
}

/// What to tell of those that were `dropped` since it was last told.
pub(crate) fn news(dropped: u64) -> String {
    format!(
        "the kernel dropped {dropped} datagrams: they came in a burst larger than the receive buffer; set \
         socket_buffer_size: 16MiB, on Linux after `sysctl -w net.core.rmem_max=16777216`, or let clients pack lines"
    )
}
