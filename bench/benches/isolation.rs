//! How long data takes to a backend while its sibling fails: from the receiver's hand to the backend's socket, in real time.
//!
//! One process, the real graph, queues and exporters, and fake backends on loopback: Datadog, which fails, and OTLP over
//! gRPC and HTTP, which are watched. (That what the siblings get is the same, byte by byte and at the same times of a clock
//! that stands still meanwhile, is tested in `tests/end_to_end/isolation`.)

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has nothing better to do")]

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::config::{FixedEnvironment, Source, load};
use hornpipe_engine::graph::{Environment, Graph};
use hornpipe_engine::status::ProcessFacts;
use hornpipe_engine::testing::{Behaviour, FakeDatadog, FakeOtlp, RefusingPort, resource};
use hornpipe_engine::{Batch, Clock, Registry, Shutdown};
use hornpipe_model::{Body, Data, Log, LogBatch, LogSource, Scope, Signal};
use hornpipe_otlp_exporter::{OtlpConfig, OtlpHttpConfig};
use schemars::JsonSchema;
use serde::Deserialize;

const BATCHES: usize = 1_000;
const RECORDS: usize = 100;
const INTERVAL: Duration = Duration::from_millis(10);

/// What Datadog does.
enum Fault {
    None,
    Refuses,
    Does(Behaviour),
}

fn main() -> io::Result<()> {
    // `cargo test --all-targets` starts it too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let faults = [
        ("works", Fault::None),
        ("answers 503", Fault::Does(Behaviour::status(503))),
        ("answers 400", Fault::Does(Behaviour::status(400))),
        ("resets connections", Fault::Does(Behaviour::ResetAfterHeaders)),
        ("hangs", Fault::Does(Behaviour::Hang)),
        ("refuses connections", Fault::Refuses),
        ("works again", Fault::None),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| Datadog | OTLP/gRPC p50 | p99 | max | OTLP/HTTP p50 | p99 | max |\n|---|---|---|---|---|---|---|"
    )?;
    for (name, fault) in faults {
        let [grpc, http] = runtime.block_on(run(fault)).map(|delays| delays.join(" | "));
        writeln!(out, "| {name} | {grpc} | {http} |")?;
    }
    Ok(())
}

/// Median, 99th percentile and maximum of what requests took to each sibling, from their oldest batch on.
async fn run(fault: Fault) -> [[String; 3]; 2] {
    let port = RefusingPort::reserve();
    let (grpc, http) = (FakeOtlp::start().await, FakeOtlp::start().await);
    let configuration = configuration(&port.url(), &grpc.url(), &http.url());
    let datadog = match fault {
        Fault::Refuses => None,
        Fault::None => Some(FakeDatadog::start_at(port.listen(), Clock::system())),
        Fault::Does(behaviour) => {
            let datadog = FakeDatadog::start_at(port.listen(), Clock::system());
            datadog.behave(behaviour);
            Some(datadog)
        }
    };
    let environment = Environment::new(Clock::system(), resource(), ProcessFacts::default());
    let registry = Registry::default()
        .receiver::<TickerConfig>()
        .exporter::<DatadogConfig>()
        .exporter::<OtlpConfig>()
        .exporter::<OtlpHttpConfig>();
    let (plan, problems) = load(&[Source::new("bench", configuration, 0)], &FixedEnvironment::new(), &registry);
    let graph = Graph::build(plan.unwrap_or_else(|| panic!("{problems}")), &environment).unwrap_or_else(|_| panic!());
    let running = graph.start();
    for sibling in [&grpc, &http] {
        // Batches may share a request. To look is not free, so rarely.
        while sibling.logs().len() < BATCHES * RECORDS {
            tokio::time::sleep(50 * INTERVAL).await;
        }
    }
    let delays = [&grpc, &http].map(delays_of);
    running.shutdown(Duration::ZERO).await;
    drop(datadog);
    delays
}

fn delays_of(backend: &FakeOtlp) -> [String; 3] {
    let mut delays: Vec<f64> = backend
        .requests()
        .iter()
        .zip(backend.log_requests())
        .map(|(request, message)| {
            let made = message.resource_logs[0].scope_logs[0].log_records[0].observed_time_unix_nano;
            request.arrival.as_nanos().saturating_sub(made) as f64 / 1e6
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    [delays.len() / 2, delays.len() * 99 / 100, delays.len() - 1].map(|index| format!("{:.2} ms", delays[index]))
}

fn configuration(datadog: &str, grpc: &str, http: &str) -> String {
    format!(
        "receivers:\n  ticker:\n\
         exporters:\n  \
         datadog: {{api: {{key: '{}'}}, metrics: {{endpoint: '{datadog}'}}, logs: {{endpoint: '{datadog}'}}}}\n  \
         otlp: {{endpoint: '{grpc}'}}\n  \
         otlp_http: {{endpoint: '{http}'}}\n\
         service: {{pipelines: {{logs: {{receivers: [ticker], exporters: [datadog, otlp, otlp_http]}}}}}}\n",
        FakeDatadog::API_KEY
    )
}

/// A receiver that makes batches at even intervals, whose records know when they were made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
struct TickerConfig {}

impl ComponentType for TickerConfig {
    const TYPE: &'static str = "ticker";
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "makes batches at even intervals";
}

impl ReceiverConfig for TickerConfig {
    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Ok(Box::new(Ticker(context)))
    }
}

struct Ticker(BuildContext);

#[async_trait]
impl Receiver for Ticker {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let context = self.0;
        let source = Arc::new(LogSource { service: "shop".to_owned(), ..LogSource::default() });
        let output = outputs.logs.unwrap();
        for batch in 0..BATCHES {
            tokio::time::sleep(INTERVAL).await;
            let now = context.clock.unix();
            let record = |number| {
                let line = format!("GET /api/v1/items/{batch}/{number} HTTP/1.1 200 in {} ms", number * 37 % 900);
                Log::new(Body::Text(line.into()), now, Arc::clone(&source))
            };
            let records = (0..RECORDS).map(record).collect();
            let (resource, scope) = (Arc::clone(&context.resource), Arc::new(Scope::default()));
            output.send(Batch::new(Data::from(LogBatch { resource, scope, records }))).await;
        }
        shutdown.requested().await;
        Ok(())
    }
}
