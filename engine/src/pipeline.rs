//! A pipeline: processors in a row, then the exporters' queues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hornpipe_model::Signal;
use tokio::sync::Mutex;

use crate::component::{Emitter, Processor};
use crate::delivery::Delivery;
use crate::telemetry::{ComponentTelemetry, Status};
use crate::{Batch, Clock, Outcome, Shutdown, reason};

/// One processor of a pipeline.
pub struct Stage {
    /// The processor.
    pub processor: Box<dyn Processor>,
    /// Its counters.
    pub telemetry: Arc<ComponentTelemetry>,
}

/// Processors in a row, then the queues of the exporters.
///
/// Processors run in the task that brings a batch, one batch at a time: the order of batches is the order in which they
/// entered, also into the queues.
pub struct Pipeline {
    id: String,
    signal: Signal,
    stages: Mutex<Vec<Stage>>,
    exporters: Vec<Arc<Delivery>>,
    clock: Clock,
}

impl Pipeline {
    /// A pipeline of `stages` that ends in `exporters`.
    pub fn new(id: &str, signal: Signal, stages: Vec<Stage>, exporters: Vec<Arc<Delivery>>, clock: Clock) -> Self {
        Pipeline { id: id.to_owned(), signal, stages: Mutex::new(stages), exporters, clock }
    }

    /// Its id in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it ends.
    pub(crate) fn exporters(&self) -> &[Arc<Delivery>] {
        &self.exporters
    }

    /// Runs a batch through the processors and into every exporter's queue.
    pub async fn consume(&self, batch: Batch) {
        let mut stages = self.stages.lock().await;
        let batches = self.run(&mut stages, vec![batch]);
        self.enqueue(batches).await;
    }

    /// Calls the processors that hold data, until told to stop. Returns at once where none does.
    pub async fn tick(&self, stop: Shutdown) {
        let Some(interval) = self.tick_interval().await else { return };
        loop {
            tokio::select! {
                () = self.clock.sleep(interval) => {}
                () = stop.requested() => return,
            }
            let now = self.clock.unix();
            let mut stages = self.stages.lock().await;
            let batches = self.drain_stages(&mut stages, |processor, out| processor.tick(now, out));
            self.enqueue(batches).await;
        }
    }

    /// Empties the processors into the queues; the pipeline ends.
    pub async fn flush(&self) {
        let mut stages = self.stages.lock().await;
        let batches = self.drain_stages(&mut stages, |processor, out| processor.flush(out));
        self.enqueue(batches).await;
    }

    async fn tick_interval(&self) -> Option<Duration> {
        self.stages.lock().await.iter().filter_map(|stage| stage.processor.tick_interval()).min()
    }

    /// Lets each stage emit by `act`, and runs what it emits through the stages behind it.
    fn drain_stages(
        &self,
        stages: &mut [Stage],
        mut act: impl FnMut(&mut dyn Processor, &mut Emitter<'_>),
    ) -> Vec<Batch> {
        let mut emitted = Vec::new();
        for index in 0..stages.len() {
            let (head, behind) = stages.split_at_mut(index + 1);
            if let Some(stage) = head.last_mut() {
                let own = guarded(stage, self.signal, &mut act);
                emitted.extend(self.run(behind, own));
            }
        }
        emitted
    }

    /// Runs batches through the stages.
    fn run(&self, stages: &mut [Stage], mut batches: Vec<Batch>) -> Vec<Batch> {
        for stage in stages {
            let mut emitted = Vec::with_capacity(batches.len());
            for batch in batches {
                let items = batch.items() as u64;
                stage.telemetry.signal(self.signal).received.add(items);
                let mut given = Some(batch);
                emitted.extend(guarded(stage, self.signal, &mut |processor, out| {
                    if let Some(batch) = given.take() {
                        processor.process(batch, out);
                    }
                }));
            }
            batches = emitted;
        }
        batches
    }

    /// Puts batches into every exporter's queue. The exporters do not wait for each other.
    async fn enqueue(&self, batches: Vec<Batch>) {
        for batch in batches {
            join_all(self.exporters.iter().map(|exporter| exporter.offer(batch.clone()))).await;
            batch.settle(Outcome::Delivered);
        }
    }
}

/// Calls a processor; a panic stays inside it. What it had taken and neither passed, held nor dropped is counted as
/// dropped, and its ack, lost with the panic, tells the receiver.
fn guarded(stage: &mut Stage, signal: Signal, act: &mut dyn FnMut(&mut dyn Processor, &mut Emitter<'_>)) -> Vec<Batch> {
    let counters = stage.telemetry.signal(signal);
    let mut out = Emitter::new(counters);
    let processor = stage.processor.as_mut();
    let outcome = catch_unwind(AssertUnwindSafe(|| act(processor, &mut out)));
    let batches = out.into_batches();
    if outcome.is_err() {
        let accounted = counters.passed.get() + counters.dropped_total() + counters.held.get();
        counters.dropped(reason::PANIC, counters.received.get().saturating_sub(accounted));
        let identity = stage.telemetry.identity();
        let text = format!("{identity} failed (panic); the batch that it had is dropped and counted");
        tracing::error!(component = %identity, "{text}");
        stage.telemetry.set_status(Status::Error(text));
    }
    batches
}
