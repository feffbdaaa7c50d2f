//! A receiver's handle to the pipelines.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::join_all;
use hornpipe_model::Signal;

use crate::Batch;
use crate::pipeline::Pipeline;
use crate::telemetry::ComponentTelemetry;

/// Where a receiver sends batches of one signal. The engine points it at other pipelines while the receiver runs.
#[derive(Clone)]
pub struct Output {
    signal: Signal,
    telemetry: Arc<ComponentTelemetry>,
    pipelines: Arc<RwLock<Arc<[Arc<Pipeline>]>>>,
}

impl Output {
    /// An output that counts into `telemetry` and sends to `pipelines`.
    pub fn new(signal: Signal, telemetry: Arc<ComponentTelemetry>, pipelines: Vec<Arc<Pipeline>>) -> Self {
        Output { signal, telemetry, pipelines: Arc::new(RwLock::new(pipelines.into())) }
    }

    /// Sends a batch to every pipeline. Returns when each has put it into its exporters' queues, which takes no longer
    /// than the processors do, unless a queue is full and set to `block`. The pipelines do not wait for each other.
    pub async fn send(&self, batch: Batch) {
        self.telemetry.signal(self.signal).emitted.add(batch.items() as u64);
        let pipelines = Arc::clone(&self.pipelines.read().unwrap_or_else(PoisonError::into_inner));
        // The batch itself settles last: its share of the ack ends when every pipeline has its own.
        join_all(pipelines.iter().map(|pipeline| pipeline.consume(batch.clone()))).await;
        batch.settle(crate::Outcome::Delivered);
    }

    /// Points the output at other pipelines; the next batch goes there.
    pub fn repoint(&self, pipelines: Vec<Arc<Pipeline>>) {
        *self.pipelines.write().unwrap_or_else(PoisonError::into_inner) = pipelines.into();
    }
}
