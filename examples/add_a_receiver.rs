//! A receiver from nothing to a running pipeline, in under 100 lines: `heartbeat` sends a gauge of 1 at every interval.
//! ARCHITECTURE.md walks through it. Try it: `cargo run --example add_a_receiver`.

#![allow(clippy::panic, reason = "an example")]

use std::sync::Arc;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::config::{Duration, FixedEnvironment, Report, Source, load};
use hornpipe_engine::graph::{Environment, Graph};
use hornpipe_engine::status::ProcessFacts;
use hornpipe_engine::{Batch, Clock, Registry, Shutdown};
use hornpipe_model::{Context, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Scope, Signal, Tags, Window};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// 1. The settings: plain data. Every option is documented here, and its reference is generated from here.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct HeartbeatConfig {
    /// Time between two beats; at least 10ms.
    interval: Duration,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        HeartbeatConfig { interval: Duration::from_secs(10) }
    }
}

/// 2. Its name in `pipeline.yaml` and the signals that it makes.
impl ComponentType for HeartbeatConfig {
    const TYPE: &'static str = "heartbeat";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "a gauge of 1 at every interval";
}

/// 3. From settings to receiver: `validate` says what types cannot, `build` gets hold of the world.
impl ReceiverConfig for HeartbeatConfig {
    fn validate(&self, report: &mut Report) {
        if self.interval < Duration::from_millis(10) {
            report.error("interval", "must be at least 10ms");
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Ok(Box::new(Heartbeat { interval: self.interval, context }))
    }
}

struct Heartbeat {
    interval: Duration,
    context: BuildContext,
}

/// 4. The work: until shutdown, on the clock that came in the context, counting what comes in and what passed.
#[async_trait]
impl Receiver for Heartbeat {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let Some(output) = outputs.metrics else { return Err("no metrics pipeline takes its data".to_owned()) };
        let counters = self.context.telemetry.signal(Signal::Metrics);
        let series = Arc::new(Context::new("heartbeat", Tags::default()));
        let scope = Arc::new(Scope { name: "heartbeat".to_owned(), ..Scope::default() });
        loop {
            let now = self.context.clock.unix();
            let window = Window { start: now, end: now, interval: None };
            let value = MetricValue::Gauge(1.0);
            let point = MetricPoint { context: Arc::clone(&series), window, origin: Origin::Own, value };
            let resource = Arc::clone(&self.context.resource);
            counters.received.add(1);
            output.send(Batch::new(MetricBatch { resource, scope: Arc::clone(&scope), points: vec![point] })).await;
            counters.passed.add(1);
            tokio::select! {
                () = self.context.clock.sleep(self.interval.get()) => {}
                () = shutdown.requested() => return Ok(()),
            }
        }
    }
}

/// 5. One line in the component table (src/components.rs), and the configuration may name it.
#[tokio::main]
async fn main() {
    let registry = Registry::default().receiver::<HeartbeatConfig>().exporter::<hornpipe_debug_exporter::DebugConfig>();
    let text = "receivers: {heartbeat: {interval: 100ms}}\nexporters: {debug: }\n\
                service: {pipelines: {metrics: {receivers: [heartbeat], exporters: [debug]}}}\n";
    let (plan, problems) = load(&[Source::new("example.yaml", text, 0)], &FixedEnvironment::default(), &registry);
    let plan = plan.unwrap_or_else(|| panic!("{problems}"));
    let (clock, resource) = (Clock::system(), Arc::new(Resource::default()));
    let world = Environment::new(clock, resource, ProcessFacts::default());
    let running = Graph::build(plan, &world).unwrap_or_else(|failures| panic!("{failures}")).start();
    tokio::time::sleep(std::time::Duration::from_millis(350)).await;
    running.shutdown(std::time::Duration::from_secs(1)).await;
}
