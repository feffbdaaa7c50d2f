//! Tests of the processor; settings are written as users write them.

mod actions;
mod contract;
mod extraction;
mod from_environment;
mod logs;
mod merging;
mod properties;
mod settings;

use std::time::Duration;

use hornpipe_engine::config::FixedEnvironment;
use hornpipe_engine::telemetry::SignalCounters;
use hornpipe_engine::testing::settings;
use hornpipe_model::{Context, MetricPoint, MetricValue, Origin, Resource, Scope, Tags, Timestamp, Window};

use super::*;

/// The name of the host that the processor runs on.
const HOST: &str = "web-1";

fn config(text: &str, environment: &FixedEnvironment) -> TaggingConfig {
    settings(text, environment).unwrap()
}

fn processor(text: &str) -> Tagging {
    processor_in(text, &FixedEnvironment::new())
}

fn processor_in(text: &str, environment: &FixedEnvironment) -> Tagging {
    Tagging::new(&config(text, environment), environment, Some(HOST)).unwrap()
}

/// A series such as `requests|env:prod,bare`, as in DogStatsD.
fn context(series: &str) -> Arc<Context> {
    let (name, tags) = series.split_once('|').unwrap_or((series, ""));
    Arc::new(Context::new(name, tags.split(',').filter(|tag| !tag.is_empty()).collect()))
}

fn series(context: &Context) -> String {
    let tags: Vec<&str> = context.tags().iter().collect();
    if tags.is_empty() { context.name().to_owned() } else { format!("{}|{}", context.name(), tags.join(",")) }
}

fn window() -> Window {
    Window { start: Timestamp::from_secs(10), end: Timestamp::from_secs(20), interval: Some(Duration::from_secs(10)) }
}

fn point(context: Arc<Context>, value: MetricValue) -> MetricPoint {
    MetricPoint { context, window: window(), origin: Origin::Statsd, value }
}

fn count(series: &str, sum: f64) -> MetricPoint {
    point(context(series), MetricValue::Count { sum, samples: 1 })
}

fn metrics(points: Vec<MetricPoint>) -> Batch {
    Batch::new(MetricBatch { resource: Arc::new(Resource::default()), scope: Arc::new(Scope::default()), points })
}

/// Runs one batch and checks that all of its items are accounted for.
fn run(processor: &mut Tagging, batch: Batch) -> Option<Batch> {
    let counters = SignalCounters::default();
    let items = batch.items() as u64;
    let mut out = Emitter::new(&counters);
    processor.process(batch, &mut out);
    assert_eq!(counters.passed.get(), items, "every input is accounted for");
    out.into_batches().into_iter().next()
}

fn run_points(processor: &mut Tagging, points: Vec<MetricPoint>) -> Vec<MetricPoint> {
    match run(processor, metrics(points)).as_ref().map(Batch::data) {
        Some(Data::Metrics(metrics)) => metrics.points.clone(),
        _ => Vec::new(),
    }
}

/// What becomes of a series of counts.
fn tagged(processor: &mut Tagging, series_in: &str) -> String {
    let points = run_points(processor, vec![count(series_in, 1.0)]);
    assert_eq!(points.len(), 1);
    series(&points[0].context)
}
