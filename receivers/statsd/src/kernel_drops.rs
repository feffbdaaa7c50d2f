//! Tells the operator of datagrams that the kernel has dropped, and what to do about it.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::telemetry::{ComponentTelemetry, Counter};
use hornpipe_engine::{Clock, RateLimit};

/// How often it is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The counter, to which all readers add.
pub(crate) fn counter(telemetry: &ComponentTelemetry) -> Arc<Counter> {
    let description = "Datagrams that the kernel dropped because its buffer was full";
    telemetry.counter("hornpipe_statsd_kernel_drops", "{packet}", description)
}

/// Watches the counter.
#[derive(Debug)]
pub(crate) struct KernelDrops {
    counter: Arc<Counter>,
    told: u64,
    log: RateLimit,
}

impl KernelDrops {
    /// From now on.
    pub(crate) fn since_now(telemetry: &ComponentTelemetry) -> Self {
        let counter = counter(telemetry);
        KernelDrops { told: counter.get(), counter, log: RateLimit::new(LOG_INTERVAL) }
    }

    /// What to tell of those that were dropped since it was last told; nothing where there were none, or it was told just now.
    pub(crate) fn news(&mut self, clock: &Clock) -> Option<String> {
        let all = self.counter.get();
        if all == self.told || self.log.allow(clock).is_none() {
            return None;
        }
        let dropped = all - std::mem::replace(&mut self.told, all);
        Some(format!(
            "the kernel dropped {dropped} datagrams: they came in a burst larger than the receive buffer; set \
             socket_buffer_size: 16MiB, on Linux after `sysctl -w net.core.rmem_max=16777216`, or let clients pack lines"
        ))
    }
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::telemetry::ComponentKind;
    use hornpipe_engine::testing::{FakeClock, build_context};

    use super::*;

    #[tokio::test]
    async fn drops_are_told_with_their_number_once_a_minute() {
        let time = FakeClock::new();
        let context = build_context(ComponentKind::Receiver, "statsd", &time);
        counter(&context.telemetry).add(5);
        let mut drops = KernelDrops::since_now(&context.telemetry);
        assert_eq!(drops.news(&context.clock), None);
        let mut after = async |seconds, more| {
            time.advance(Duration::from_secs(seconds)).await;
            counter(&context.telemetry).add(more);
            drops.news(&context.clock).map(|text| text.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap())
        };
        assert_eq!(after(0, 7).await, Some(7));
        assert_eq!((after(10, 1).await, after(49, 1).await), (None, None));
        assert_eq!((after(1, 0).await, after(60, 0).await), (Some(2), None));
    }
}
