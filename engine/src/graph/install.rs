//! From one graph to the next: what stays runs on, what changed is handed over, what is gone is flushed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hornpipe_model::Signal;
use tokio::task::JoinHandle;

use super::build::{Changes, ExporterChange, NewExporter, NewReceiver, PipelineChange, ReceiverChange};
use super::{Leaving, RunningExporter, RunningGraph, RunningPipeline, RunningReceiver, supervise};
use crate::component::Outputs;
use crate::delivery::{Delivery, directory};
use crate::pipeline::Pipeline;
use crate::sockets::Address;
use crate::telemetry::ComponentTelemetry;
use crate::{Clock, Output, Shutdown, ShutdownTrigger, reason};

/// What a new graph leaves behind, and the gates that open when it is gone.
#[derive(Default)]
struct Retired {
    receivers: Vec<RunningReceiver>,
    /// Receivers built anew wait here for their predecessors.
    successors: Vec<ShutdownTrigger>,
    pipelines: Vec<RunningPipeline>,
    exporters: Vec<RunningExporter>,
}

impl RunningGraph {
    /// Makes the changes. Nothing waits: what has to end first ends in a task of its own, within `limit`.
    pub(super) fn install(&mut self, changes: Changes, limit: Duration) {
        let mut retired = Retired::default();
        self.install_extensions(changes.extensions);
        self.install_exporters(changes.exporters, &mut retired);
        self.install_pipelines(changes.pipelines, &mut retired);
        self.install_receivers(changes.receivers, &mut retired);
        self.environment.telemetry.set_pipelines(self.pipelines.iter().map(|known| known.plan.clone()).collect());
        let clock = self.environment.clock.clone();
        let tell = self.tell_of_left_queues(changes.queue_bases);
        let exporters = std::mem::take(&mut retired.exporters);
        let (flushed, is_flushed) = Shutdown::new();
        self.retiring.retain(|task| !task.is_finished());
        self.retiring.push(tokio::spawn({
            let clock = clock.clone();
            async move {
                retired.flush(clock, limit).await;
                drop(flushed);
            }
        }));
        let deliveries = exporters.iter().map(|exporter| Arc::downgrade(&exporter.delivery)).collect();
        let task = tokio::spawn(async move {
            join_all(exporters.into_iter().map(|exporter| exporter.leave(&is_flushed, &clock, limit))).await;
            tokio::spawn(tell);
        });
        self.leaving.retain(|leaving| !leaving.task.is_finished());
        self.leaving.push(Leaving { deliveries, task });
    }

    /// Says, in `status` and log, which queues on disk no exporter has any more.
    fn tell_of_left_queues(&self, bases: Vec<PathBuf>) -> impl Future<Output = ()> + use<> {
        let known: Vec<PathBuf> =
            self.exporters.iter().filter_map(|known| known.delivery.directory().map(Path::to_owned)).collect();
        let status = self.environment.status.clone();
        async move {
            let looked = tokio::task::spawn_blocking(move || directory::left_queues(&bases, &known));
            status.set_left_queues(looked.await.unwrap_or_default());
        }
    }

    fn install_exporters(&mut self, changes: Vec<ExporterChange>, retired: &mut Retired) {
        let mut before = std::mem::take(&mut self.exporters);
        for ExporterChange { id, settings, new } in changes {
            let known = before.iter().position(|exporter| exporter.id == id).map(|index| before.swap_remove(index));
            self.exporters.push(match (new, known) {
                (NewExporter::Added(delivery), _) => {
                    let worker = spawn_worker(&delivery, None);
                    RunningExporter { id, settings, delivery, worker }
                }
                (NewExporter::Replaced(exporter, config), Some(known)) => {
                    known.delivery.replace(exporter, *config);
                    let worker = spawn_worker(&known.delivery, Some(known.worker));
                    RunningExporter { id, settings, delivery: known.delivery, worker }
                }
                (NewExporter::Kept, Some(known)) => RunningExporter { settings, ..known },
                (NewExporter::Replaced(..) | NewExporter::Kept, None) => continue,
            });
        }
        retired.exporters = before;
    }

    fn install_pipelines(&mut self, changes: Vec<PipelineChange>, retired: &mut Retired) {
        let mut before = std::mem::take(&mut self.pipelines);
        for PipelineChange { plan, settings, new } in changes {
            let known = before.iter().position(|known| known.plan.id == plan.id);
            self.pipelines.push(match (new, known) {
                (None, Some(index)) => RunningPipeline { plan, settings, ..before.swap_remove(index) },
                (new, _) => {
                    let ends = plan.exporters.iter().filter_map(|id| self.delivery(id)).collect();
                    let (stages, clock) = (new.unwrap_or_default(), self.environment.clock.clone());
                    let pipeline = Arc::new(Pipeline::new(&plan.id, plan.signal, stages, ends, clock));
                    let (stop, stopped) = Shutdown::new();
                    let ticking = Arc::clone(&pipeline);
                    let ticks = tokio::spawn(async move { ticking.tick(stopped).await });
                    RunningPipeline { plan, settings, pipeline, stop, ticks }
                }
            });
        }
        retired.pipelines = before;
    }

    fn install_receivers(&mut self, changes: Vec<ReceiverChange>, retired: &mut Retired) {
        let mut before = std::mem::take(&mut self.receivers);
        for ReceiverChange { id, settings, signals, new } in changes {
            let known = before.iter().position(|known| known.id == id);
            let receiver = match (new, known) {
                (None, Some(index)) => {
                    let known = before.swap_remove(index);
                    for signal in &signals {
                        if let Some(output) = known.outputs.signal(*signal) {
                            output.repoint(self.targets(&id, *signal));
                        }
                    }
                    RunningReceiver { settings, ..known }
                }
                (Some(new), known) => {
                    let gate = known.map(|index| retired.succeed(before.swap_remove(index)));
                    let (telemetry, sockets) = (Arc::clone(&new.context.telemetry), new.context.sockets.clone());
                    let outputs = self.outputs(&id, &signals, &telemetry);
                    let (stop, stopped) = Shutdown::new();
                    let task = spawn_receiver(new, outputs.clone(), stopped, gate);
                    RunningReceiver { id, settings, signals, outputs, telemetry, sockets, stop, task }
                }
                (None, None) => continue,
            };
            self.receivers.push(receiver);
        }
        retired.receivers.extend(before);
        self.close_unused_sockets();
        for address in self.environment.sockets.inherited_but(|address| self.is_claimed(address)) {
            tracing::warn!(
                "nothing listens at the inherited socket {address}: what is sent there is lost, and clients of a Unix socket \
                 wait as soon as its queue is full; give its address to a receiver as `endpoint`, or take it out of the \
                 systemd unit"
            );
        }
    }

    /// Closes listening sockets that no receiver and no extension of this graph asked for.
    pub(super) fn close_unused_sockets(&self) {
        self.environment.sockets.retain(|address| self.is_claimed(address));
    }

    fn is_claimed(&self, address: &Address) -> bool {
        self.receivers.iter().any(|known| known.sockets.has_claimed(address))
            || self.extensions.iter().any(|known| known.sockets.has_claimed(address))
    }

    /// Where a receiver sends the signals that pipelines take from it.
    fn outputs(&self, id: &str, signals: &[Signal], telemetry: &Arc<ComponentTelemetry>) -> Outputs {
        let output = |signal| {
            let targets = || self.targets(id, signal);
            signals.contains(&signal).then(|| Output::new(signal, Arc::clone(telemetry), targets()))
        };
        Outputs { metrics: output(Signal::Metrics), logs: output(Signal::Logs) }
    }

    /// The pipelines that take a signal from a receiver.
    fn targets(&self, receiver: &str, signal: Signal) -> Vec<Arc<Pipeline>> {
        let takes = |known: &&RunningPipeline| {
            known.plan.signal == signal && known.plan.receivers.iter().any(|id| id == receiver)
        };
        self.pipelines.iter().filter(takes).map(|known| Arc::clone(&known.pipeline)).collect()
    }

    fn delivery(&self, id: &str) -> Option<Arc<Delivery>> {
        self.exporters.iter().find(|exporter| exporter.id == id).map(|exporter| Arc::clone(&exporter.delivery))
    }
}

impl Retired {
    /// Leaves a receiver behind. Its successor waits until what is returned is requested.
    fn succeed(&mut self, predecessor: RunningReceiver) -> Shutdown {
        let (gate, open) = Shutdown::new();
        self.receivers.push(predecessor);
        self.successors.push(gate);
        open
    }

    /// Ends receivers, then processors.
    async fn flush(self, clock: Clock, limit: Duration) {
        for receiver in &self.receivers {
            receiver.stop.request();
        }
        let deadline = clock.monotonic().saturating_add(limit);
        for RunningReceiver { id, telemetry, task, .. } in self.receivers {
            if clock.timeout(deadline.saturating_sub(clock.monotonic()), task).await.is_err() {
                tracing::error!(receiver = id, "did not stop within {limit:?}; what it holds is dropped");
                supervise::drop_held(&telemetry, reason::SHUTDOWN);
            }
        }
        drop(self.successors);
        for pipeline in self.pipelines {
            pipeline.stop.request();
            // A task that failed has logged why.
            let _ = pipeline.ticks.await;
            pipeline.pipeline.flush().await;
        }
    }
}

impl RunningExporter {
    /// Sends what is still to come until `flushed`, and what is queued then within `limit`; the rest is kept on disk, or else dropped
    /// and counted. Where the delivery is aborted, that comes at once.
    async fn leave(self, flushed: &Shutdown, clock: &Clock, limit: Duration) {
        let RunningExporter { delivery, mut worker, .. } = self;
        let is_aborted = tokio::select! {
            () = flushed.requested() => false,
            _ = &mut worker => true,
        };
        delivery.drain();
        if !is_aborted && clock.timeout(limit, &mut worker).await.is_err() {
            delivery.abort();
            let _ = worker.await;
        }
        delivery.abort();
        delivery.sweep().await;
    }
}

/// The task that runs a receiver, after its predecessor.
fn spawn_receiver(new: NewReceiver, outputs: Outputs, stopped: Shutdown, gate: Option<Shutdown>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Some(gate) = gate {
            // Also at a stop: both at once would end windows at the same second, of which a backend keeps one.
            gate.requested().await;
        }
        supervise::run(new, outputs, stopped).await;
    })
}

/// The task that sends an exporter's data, after the one of its predecessor.
fn spawn_worker(delivery: &Arc<Delivery>, predecessor: Option<JoinHandle<()>>) -> JoinHandle<()> {
    let delivery = Arc::clone(delivery);
    tokio::spawn(async move {
        if let Some(predecessor) = predecessor {
            let _ = predecessor.await;
        }
        delivery.run().await;
    })
}
