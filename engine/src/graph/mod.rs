//! The running graph: plan → build → run → reload → ordered shutdown.
//!
//! One receiver may feed several pipelines, also of several signals; one exporter may end several pipelines; processors
//! belong to one pipeline. Everything that can fail fails in [`Graph::build`] or [`RunningGraph::reload`], all of it
//! reported at once, before anything that runs is touched.
//!
//! - `build`: what a plan has that the running graph has not;
//! - `install`: from one graph to the next;
//! - `claims`: who listens where;
//! - `extensions`: what serves the process, around all of it;
//! - `supervise`: one receiver, started again after a failure.

mod build;
mod claims;
mod extensions;
mod install;
mod supervise;

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use hornpipe_model::{Resource, Signal};
use tokio::task::JoinHandle;

use crate::component::Outputs;
use crate::config::{Diagnostics, Node, PipelinePlan, Plan};
use crate::delivery::Delivery;
use crate::pipeline::Pipeline;
use crate::state_dir::StateDirectory;
use crate::status::{ProcessFacts, StatusBoard};
use crate::telemetry::{ComponentTelemetry, Telemetry};
use crate::{Clock, ShutdownTrigger, Sockets, reason};
use build::Changes;
use extensions::RunningExtension;

/// What a graph is built into.
#[derive(Clone)]
pub struct Environment {
    /// The time, and waiting.
    pub clock: Clock,
    /// Every component's counters; they outlive a graph.
    pub telemetry: Telemetry,
    /// Listening sockets; they outlive a graph.
    pub sockets: Sockets,
    /// Who this process is.
    pub resource: Arc<Resource>,
    /// Where state is kept.
    pub state_directory: Arc<StateDirectory>,
    /// How everything is doing; it outlives a graph.
    pub status: StatusBoard,
}

impl Environment {
    /// The environment of a process that starts now.
    pub fn new(clock: Clock, resource: Arc<Resource>, facts: ProcessFacts) -> Self {
        let telemetry = Telemetry::new(clock.clone());
        let state_directory = Arc::new(facts.state_directory.clone());
        let status = StatusBoard::new(facts, telemetry.clone(), clock.clone());
        Environment { clock, telemetry, sockets: Sockets::default(), resource, state_directory, status }
    }
}

/// A graph ready to run. Its sockets are bound; nothing flows.
pub struct Graph {
    changes: Changes,
    running: RunningGraph,
}

impl Graph {
    /// Builds every component that an enabled pipeline uses.
    ///
    /// # Errors
    /// All components that could not be built, each with its place in the configuration.
    pub fn build(plan: Plan, environment: &Environment) -> Result<Graph, Diagnostics> {
        let running = RunningGraph {
            environment: environment.clone(),
            receivers: Vec::new(),
            pipelines: Vec::new(),
            exporters: Vec::new(),
            extensions: Vec::new(),
            retiring: Vec::new(),
            leaving: Vec::new(),
        };
        let changes = build::build(plan, &running)?;
        Ok(Graph { changes, running })
    }

    /// Starts everything: extensions first, then exporters.
    pub fn start(self) -> RunningGraph {
        let Graph { changes, mut running } = self;
        running.install(changes, Duration::ZERO);
        running
    }
}

/// A graph at work.
pub struct RunningGraph {
    environment: Environment,
    receivers: Vec<RunningReceiver>,
    pipelines: Vec<RunningPipeline>,
    exporters: Vec<RunningExporter>,
    extensions: Vec<RunningExtension>,
    /// Receivers, pipelines and extensions that earlier graphs left behind and that are still ending.
    retiring: Vec<JoinHandle<()>>,
    /// Exporters that they left behind.
    leaving: Vec<Leaving>,
}

struct RunningReceiver {
    id: String,
    settings: Node,
    signals: Vec<Signal>,
    outputs: Outputs,
    telemetry: Arc<ComponentTelemetry>,
    sockets: Sockets,
    stop: ShutdownTrigger,
    task: JoinHandle<()>,
}

struct RunningPipeline {
    plan: PipelinePlan,
    /// The settings of its processors.
    settings: Vec<Node>,
    pipeline: Arc<Pipeline>,
    stop: ShutdownTrigger,
    ticks: JoinHandle<()>,
}

struct RunningExporter {
    id: String,
    settings: Node,
    delivery: Arc<Delivery>,
    worker: JoinHandle<()>,
}

/// The exporters that one reload took away, and the task that ends them and has them until then.
struct Leaving {
    deliveries: Vec<Weak<Delivery>>,
    task: JoinHandle<()>,
}

/// How long receivers may take, at the very end, to learn what became of their last batches.
const LAST_WORD: Duration = Duration::from_millis(250);

impl RunningGraph {
    /// Changes the running graph into the plan's. What did not change runs on: a receiver keeps its open window, an
    /// exporter's queue stays with its id whatever its settings, and a socket that the new graph uses stays open. What is
    /// gone is flushed in the background, within `limit`.
    ///
    /// # Errors
    /// All components that could not be built; then the graph runs on as it was.
    pub fn reload(&mut self, plan: Plan, limit: Duration) -> Result<(), Diagnostics> {
        let changes = build::build(plan, self).inspect_err(|_| self.close_unused_sockets())?;
        self.environment.telemetry.count_reload();
        self.install(changes, limit);
        Ok(())
    }

    /// Stops in order: receivers flush, processors flush, queues drain. After `limit` what is undelivered is kept on
    /// disk, or else dropped and counted.
    ///
    /// A receiver that waits for acks may wait for data that a processor holds, or for room in a queue set to `block`. So
    /// the next step never waits for the one before longer than its share of the time: processors are flushed after an
    /// eighth of it, and full queues let everything in after half.
    pub async fn shutdown(self, limit: Duration) {
        let RunningGraph {
            environment: Environment { clock, sockets, .. },
            receivers,
            pipelines,
            exporters,
            extensions,
            retiring,
            leaving,
        } = self;
        let start = clock.monotonic();
        let deadline = start.saturating_add(limit);
        let mut upstream = retiring;
        let mut receiver_telemetry = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            receiver.stop.request();
            receiver_telemetry.push(receiver.telemetry);
            upstream.push(receiver.task);
        }
        let mut flushing = Vec::with_capacity(pipelines.len());
        for pipeline in pipelines {
            pipeline.stop.request();
            flushing.push(pipeline.pipeline);
            upstream.push(pipeline.ticks);
        }
        let (deliveries, workers): (Vec<_>, Vec<_>) =
            exporters.into_iter().map(|exporter| (exporter.delivery, exporter.worker)).unzip();

        // Tasks that failed have logged why.
        let mut upstream = pin!(join_all(upstream));
        if !within(&clock, start + limit / 8, &mut upstream).await {
            within(&clock, start + limit / 2, flush(&flushing)).await;
            within(&clock, start + limit / 2, &mut upstream).await;
            deliveries.iter().for_each(|delivery| delivery.drain());
        }
        // Nobody reads them any more: a client must not wait for us while backends are slow.
        sockets.retain(|_| false);
        within(&clock, deadline, flush(&flushing)).await;
        deliveries.iter().for_each(|delivery| delivery.drain());
        let (left, leaving): (Vec<_>, Vec<_>) =
            leaving.into_iter().map(|leaving| (leaving.deliveries, leaving.task)).unzip();
        let mut workers = pin!(join_all(workers.into_iter().chain(leaving)));
        let drained = within(&clock, deadline, &mut workers).await;
        deliveries.iter().for_each(|delivery| delivery.abort());
        left.iter().flatten().filter_map(Weak::upgrade).for_each(|delivery| delivery.abort());
        if !drained {
            workers.await;
        }
        let last_word = clock.monotonic().saturating_add(LAST_WORD);
        if !within(&clock, last_word, upstream).await {
            tracing::error!("a receiver did not stop within {limit:?}; what it holds is dropped");
        }
        join_all(deliveries.iter().map(|delivery| delivery.sweep())).await;
        for telemetry in &receiver_telemetry {
            supervise::drop_held(telemetry, reason::SHUTDOWN);
        }
        extensions::stop(extensions).await;
    }
}

async fn flush(pipelines: &[Arc<Pipeline>]) {
    for pipeline in pipelines {
        pipeline.flush().await;
    }
}

/// Waits for work until a point on the clock; true when it was done.
async fn within<T>(clock: &Clock, deadline: Duration, work: impl Future<Output = T>) -> bool {
    clock.timeout(deadline.saturating_sub(clock.monotonic()), work).await.is_ok()
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
