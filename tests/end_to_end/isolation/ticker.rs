//! A receiver whose batches are known in advance.

use std::sync::Arc;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::{Batch, Shutdown};
use hornpipe_model::{
    Body, Context, Data, Distribution, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin,
    Samples, Scope, Severity, Signal, Tags, Timestamp, Window, WireType,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{WINDOW, WINDOWS};

/// Points of a batch.
pub const POINTS: u64 = 3;
/// Records of a batch.
pub const RECORDS: u64 = 4;
/// The value of `gunicorn.requests` in each window.
pub const REQUESTS: u64 = 30;

/// A receiver that makes the same batches at the end of each of the first windows.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct TickerConfig {}

impl ComponentType for TickerConfig {
    const TYPE: &'static str = "ticker";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics, Signal::Logs];
    const SUMMARY: &'static str = "makes the same batches again and again";
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
        for window in 0..WINDOWS {
            // From the clock's start on, in case it has gone on before this task ran for the first time.
            let end = WINDOW * (window as u32 + 1);
            let rest = end.saturating_sub(context.clock.monotonic());
            tokio::select! {
                () = context.clock.sleep(rest) => {}
                () = shutdown.requested() => return Ok(()),
            }
            let (points, records) = (points(&context), records(&context, window));
            for (output, data) in [(&outputs.metrics, points), (&outputs.logs, records)] {
                let counters = context.telemetry.signal(data.signal());
                counters.received.add(data.items() as u64);
                counters.passed.add(data.items() as u64);
                output.as_ref().unwrap().send(Batch::new(data)).await;
            }
        }
        shutdown.requested().await;
        Ok(())
    }
}

fn points(context: &BuildContext) -> Data {
    let end = context.clock.unix();
    let start = Timestamp::from_nanos(end.as_nanos() - WINDOW.as_nanos() as u64);
    let mut samples = Samples::new();
    samples.push(12.5, 1.0);
    samples.push(80.0, 1.0);
    let point = |name, value| MetricPoint {
        context: Arc::new(Context::new(name, Tags::default())),
        window: Window { start, end, interval: Some(WINDOW) },
        origin: Origin::Statsd,
        value,
    };
    let points = vec![
        point("gunicorn.requests", MetricValue::Count { sum: REQUESTS as f64, samples: REQUESTS }),
        point("gunicorn.workers", MetricValue::Gauge(4.0)),
        point("gunicorn.request.duration", MetricValue::Distribution(Distribution::new(WireType::Timing, samples))),
    ];
    MetricBatch { resource: Arc::clone(&context.resource), scope: Arc::new(Scope::default()), points }.into()
}

fn records(context: &BuildContext, window: u64) -> Data {
    let source =
        Arc::new(LogSource { service: "shop".to_owned(), source: "gunicorn".to_owned(), ..LogSource::default() });
    let record = |number| {
        let body = Body::Text(format!("line {number} of window {window}").into());
        Log { severity: Severity::INFO, ..Log::new(body, context.clock.unix(), Arc::clone(&source)) }
    };
    let records = (0..RECORDS).map(record).collect();
    LogBatch { resource: Arc::clone(&context.resource), scope: Arc::new(Scope::default()), records }.into()
}
