//! Watches a counter of what should not happen, to tell the operator when it grows.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::telemetry::Counter;
use hornpipe_engine::{Clock, RateLimit};

/// How often it is told.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A counter, and how much of it was told.
#[derive(Debug)]
pub(crate) struct Growth {
    counter: Arc<Counter>,
    told: u64,
    log: RateLimit,
}

impl Growth {
    /// From now on.
    pub(crate) fn since_now(counter: Arc<Counter>) -> Self {
        Growth { told: counter.get(), counter, log: RateLimit::new(LOG_INTERVAL) }
    }

    /// By how much it has grown since it was last told; nothing where it has not, or it was told just now.
    pub(crate) fn news(&mut self, clock: &Clock) -> Option<u64> {
        let all = self.counter.get();
        if all == self.told || self.log.allow(clock).is_none() {
            return None;
        }
        Some(all - std::mem::replace(&mut self.told, all))
    }
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::telemetry::ComponentKind;
    use hornpipe_engine::testing::{FakeClock, build_context};

    use super::*;

    #[tokio::test]
    async fn growth_is_told_with_its_amount_once_a_minute() {
        let time = FakeClock::new();
        let context = build_context(ComponentKind::Receiver, "statsd", &time);
        let counter = context.telemetry.counter("drops", "{packet}", "Drops");
        counter.add(5);
        let mut growth = Growth::since_now(Arc::clone(&counter));
        assert_eq!(growth.news(&context.clock), None);
        let mut after = async |seconds, more| {
            time.advance(Duration::from_secs(seconds)).await;
            counter.add(more);
            growth.news(&context.clock)
        };
        assert_eq!(after(0, 7).await, Some(7));
        assert_eq!((after(10, 1).await, after(49, 1).await), (None, None));
        assert_eq!((after(1, 0).await, after(60, 0).await), (Some(2), None));
    }
}
