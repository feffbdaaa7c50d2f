//! The end of a pipeline, for the test of a receiver alone.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::{Data, MetricPoint, Signal, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backend::eventually;
use super::bench::build_context;
use super::{FakeClock, items};
use crate::component::{Admission, Encoded, Exporter, Outputs, Request, SendOutcome};
use crate::config::ByteSize;
use crate::delivery::{BatchConfig, Delivery, DeliveryConfig, OnFull, QueueConfig, RetryConfig};
use crate::pipeline::{Pipeline, Stage};
use crate::telemetry::{ComponentKind, ComponentTelemetry, SignalCounters};
use crate::{Clock, Output, lock};

/// Takes every batch that is sent to it, with the time. Its queue holds one batch and blocks: [`hold`](Self::hold)
/// makes it a backend that does not keep up.
pub struct CollectingSink {
    clock: Clock,
    collected: Arc<Mutex<Vec<Collected>>>,
    open: watch::Sender<bool>,
    delivery: Arc<Delivery>,
    worker: JoinHandle<()>,
}

/// A batch that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    /// When it arrived, by the sink's clock.
    pub time: Timestamp,
    /// The batch.
    pub data: Data,
}

impl CollectingSink {
    /// A sink that takes everything at once.
    pub fn new(clock: &FakeClock) -> Self {
        let collected = Arc::default();
        let (open, gate) = watch::channel(true);
        let end = End { clock: clock.clock(), collected: Arc::clone(&collected), gate };
        let config = DeliveryConfig {
            sending_queue: QueueConfig {
                max_bytes: Some(ByteSize::bytes(1)),
                on_full: OnFull::Block,
                num_consumers: Some(1),
                batch: Some(BatchConfig { min_size: 0, ..BatchConfig::default() }),
                ..QueueConfig::default()
            },
            retry_on_failure: RetryConfig::default(),
            timeout: crate::config::Duration::ZERO,
        };
        let context = build_context(ComponentKind::Exporter, "sink", clock);
        let delivery = Arc::new(Delivery::new(Arc::new(end), config, context.telemetry, clock.clock()));
        let worker = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        CollectingSink { clock: clock.clock(), collected, open, delivery, worker }
    }

    /// A pipeline that ends here.
    pub fn pipeline(&self, signal: Signal, stages: Vec<Stage>) -> Arc<Pipeline> {
        Arc::new(Pipeline::new(signal.as_str(), signal, stages, vec![Arc::clone(&self.delivery)], self.clock.clone()))
    }

    /// An output for a receiver with these counters.
    pub fn output(&self, signal: Signal, telemetry: &Arc<ComponentTelemetry>) -> Output {
        Output::new(signal, Arc::clone(telemetry), vec![self.pipeline(signal, Vec::new())])
    }

    /// Outputs of every signal for a receiver with these counters.
    pub fn outputs(&self, telemetry: &Arc<ComponentTelemetry>) -> Outputs {
        Outputs {
            metrics: Some(self.output(Signal::Metrics, telemetry)),
            logs: Some(self.output(Signal::Logs, telemetry)),
        }
    }

    /// Lets nothing through from now on: one batch fits, the next waits.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Lets everything through again.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// The batches so far, in the order in which they arrived; with a sink on hold also the one that waits.
    pub fn batches(&self) -> Vec<Collected> {
        lock(&self.collected).clone()
    }

    /// The points of all metric batches so far.
    pub fn points(&self) -> Vec<MetricPoint> {
        let points = |collected: Collected| match collected.data {
            Data::Metrics(batch) => batch.points.clone(),
            Data::Logs(_) => Vec::new(),
        };
        self.batches().into_iter().flat_map(points).collect()
    }

    /// The numbers of all [numbered items](items::numbers_in) so far.
    pub fn numbers(&self) -> Vec<u64> {
        self.batches().iter().flat_map(|collected| items::numbers_in(&collected.data)).collect()
    }

    /// Waits, in real time, until `enough` of the batches so far.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn wait_until(&self, what: &str, mut enough: impl FnMut(&[Collected]) -> bool) {
        eventually(what, || enough(&self.batches())).await;
    }
}

impl Drop for CollectingSink {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// The exporter inside.
struct End {
    clock: Clock,
    collected: Arc<Mutex<Vec<Collected>>>,
    gate: watch::Receiver<bool>,
}

#[async_trait]
impl Exporter for End {
    fn admission(&self) -> Option<Box<dyn Admission>> {
        Some(Box::new(Recorder { clock: self.clock.clone(), collected: Arc::clone(&self.collected) }))
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let request = Request { route: "", signal: data.signal(), body: Bytes::new(), items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, _request: &Request) -> SendOutcome {
        // A sink that is gone holds nobody up.
        let _ = self.gate.clone().wait_for(|open| *open).await;
        SendOutcome::delivered()
    }
}

/// Records a batch while its sender waits, so that no time passes in between.
struct Recorder {
    clock: Clock,
    collected: Arc<Mutex<Vec<Collected>>>,
}

impl Admission for Recorder {
    fn admit(&mut self, data: Data, _counters: &SignalCounters) -> Option<Data> {
        let collected = Collected { time: self.clock.unix(), data: data.clone() };
        lock(&self.collected).push(collected);
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{assert_each_once, numbered_metrics};
    use crate::{Ack, Batch, Outcome};

    #[tokio::test]
    async fn batches_are_collected_with_their_time_and_settled() {
        let time = FakeClock::new();
        let sink = CollectingSink::new(&time);
        let telemetry = build_context(ComponentKind::Receiver, "test", &time).telemetry;
        let output = sink.output(Signal::Metrics, &telemetry);
        output.send(Batch::new(numbered_metrics(0..2, FakeClock::START))).await;
        time.advance(Duration::from_secs(3)).await;
        let (ack, outcome) = Ack::new();
        output.send(Batch::with_ack(numbered_metrics(2..5, FakeClock::START), Some(ack))).await;
        assert_eq!(outcome.await, Ok(Outcome::Delivered));
        assert_each_once(0..5, sink.numbers());
        let times: Vec<_> = sink.batches().iter().map(|batch| batch.time.since(FakeClock::START).as_secs()).collect();
        assert_eq!(times, [0, 3]);
        assert_eq!(telemetry.signal(Signal::Metrics).emitted.get(), 5);
    }

    #[tokio::test]
    async fn a_sink_on_hold_makes_the_sender_wait() {
        let time = FakeClock::new();
        let sink = CollectingSink::new(&time);
        let telemetry = build_context(ComponentKind::Receiver, "test", &time).telemetry;
        let output = sink.output(Signal::Metrics, &telemetry);
        sink.hold();
        output.send(Batch::new(numbered_metrics(0..1, FakeClock::START))).await;
        let second =
            tokio::spawn(async move { output.send(Batch::new(numbered_metrics(1..2, FakeClock::START))).await });
        time.advance(Duration::from_secs(3600)).await;
        assert!(!second.is_finished());
        sink.release();
        second.await.unwrap();
        assert_each_once(0..2, sink.numbers());
    }
}
