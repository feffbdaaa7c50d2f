//! What a point and a record cost from the model to a compressed request, beside an encoder written with the types that
//! prost generates from the same `.proto` files (`tests/reference`), in the same run.
//!
//! Figures are the thread's own processor time, the median of several rounds in which both take turns. The reference
//! compresses as such an encoder does: a call of the library's one function for a whole buffer, with the same levels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has nothing better to do")]

#[path = "../tests/reference/mod.rs"]
mod reference;

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::{Exporter, ExporterConfig};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{FakeClock, build_context};
use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{
    Body, Context, Data, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples,
    Scope, Severity, Temporality, Value, Window,
};
use hornpipe_otlp_exporter::{OtlpConfig, OtlpHttpConfig};

const ITEMS: usize = 5_000;
const ROUNDS: usize = 21;

fn main() -> io::Result<()> {
    // `cargo test --all-targets` starts it too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| {ITEMS} items | compression | ns/item | reference | of it | bytes/item |\n|---|---|---|---|---|---|"
    )?;
    for (name, data) in cases() {
        for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
            let exporter = exporter(compression);
            let items: Vec<u32> = (0..data.items() as u32).collect();
            let bytes: usize = exporter.encode(&data, &items).requests.iter().map(|request| request.body.len()).sum();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(time(|| exporter.encode(&data, &items)));
                theirs.push(time(|| compressed(&reference::encode(&data, &items), compression)));
            }
            let item = |times| median(times) / ITEMS as f64;
            let (ours, theirs) = (item(ours), item(theirs));
            let (label, share, bytes) = (format!("{compression:?}").to_lowercase(), ours / theirs, bytes / ITEMS);
            writeln!(out, "| {name} | {label} | {ours:.0} | {theirs:.0} | {share:.2} | {bytes} |")?;
        }
    }
    Ok(())
}

fn exporter(compression: Compression) -> Box<dyn Exporter> {
    let config = OtlpHttpConfig(OtlpConfig { compression: Some(compression), ..OtlpConfig::default() });
    config.build(build_context(ComponentKind::Exporter, "otlp_http", &FakeClock::new())).unwrap()
}

fn compressed(message: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => message.to_vec(),
        Compression::Zstd => zstd::bulk::compress(message, 1).unwrap(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Deflate => panic!("not measured"),
    }
}

/// Nanoseconds of this thread's processor time.
fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let now = || -> f64 {
        let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        statistics.split(' ').next().unwrap().parse().unwrap()
    };
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let before = now();
    let result = work();
    std::thread::yield_now();
    let used = now() - before;
    drop(result);
    used
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cases() -> Vec<(&'static str, Data)> {
    let sum = |index: usize| MetricValue::Sum {
        value: (index * 7 % 1_000) as f64,
        monotonic: true,
        temporality: Temporality::Cumulative,
    };
    let histogram = |index: usize| {
        let mut samples = Samples::new();
        for sample in 0..20 {
            samples.push(((index * 31 + sample * 97) % 900 + 1) as f64, 1.0);
        }
        let histogram = Arc::new(ExponentialHistogram::from_samples(&samples, 160));
        MetricValue::ExponentialHistogram { histogram, temporality: Temporality::Delta }
    };
    let gauge = |index: usize| MetricValue::Gauge(index as f64 / 4.0);
    let of_window = |index: usize| match index % 10 {
        0..5 => sum(index),
        5..9 => gauge(index),
        _ => histogram(index),
    };
    vec![
        ("sums, 4 tags", points(|index| point("app.requests", tags(index), sum(index)))),
        ("gauges, no tags", points(|index| point(&format!("app.gauge_{index}"), Vec::new(), gauge(index)))),
        ("histograms, 4 tags", points(|index| point("app.duration", tags(index), histogram(index)))),
        ("a window, 72 names", points(|index| point(&format!("app.{}", index % 72), tags(index), of_window(index)))),
        (
            "access log lines",
            records(|index, source| Log::new(Body::Text(access_line(index).into()), time_of(index), source)),
        ),
        ("tracebacks, parsed", records(traceback)),
    ]
}

fn points(make: impl Fn(usize) -> MetricPoint) -> Data {
    let points = (0..ITEMS).map(make).collect();
    MetricBatch { resource: resource(), scope: scope("hornpipe/statsd"), points }.into()
}

fn tags(index: usize) -> Vec<String> {
    let path = ["/", "/cart", "/checkout", "/api/v1/items"][index % 4];
    vec!["env:prod".into(), format!("path:{path}"), format!("status:{}", 200 + index % 5), format!("worker:{index}")]
}

fn point(name: &str, tags: Vec<String>, value: MetricValue) -> MetricPoint {
    let context = Context::with_unit(name, tags.iter().collect(), None, Cow::Borrowed("ms"));
    let start = FakeClock::START;
    let window = Window { start, end: start.after(Duration::from_secs(10)), interval: Some(Duration::from_secs(10)) };
    MetricPoint { context: Arc::new(context), window, origin: Origin::Statsd, value }
}

fn records(make: impl Fn(usize, Arc<LogSource>) -> Log) -> Data {
    let source = Arc::new(LogSource {
        path: "/var/log/gunicorn/access.log".to_owned(),
        service: "shop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod", "team:web"].iter().collect(),
    });
    let records = (0..ITEMS).map(|index| make(index, Arc::clone(&source))).collect();
    LogBatch { resource: resource(), scope: scope("hornpipe/filelog"), records }.into()
}

fn time_of(index: usize) -> hornpipe_model::Timestamp {
    FakeClock::START.after(Duration::from_millis(index as u64))
}

fn access_line(index: usize) -> String {
    format!(
        "10.0.{}.{} - - [26/Nov/2026:02:00:{:02} +0000] \"GET /api/v1/items/{} HTTP/1.1\" {} {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
        index % 256,
        index * 7 % 256,
        index % 60,
        index * 31 % 10_000,
        200 + index % 4 * 100,
        index * 13 % 50_000
    )
}

fn traceback(index: usize, source: Arc<LogSource>) -> Log {
    let frame = |depth: usize| {
        format!("  File \"/app/shop/views_{}.py\", line {}, in handle\n    return call({index})\n", depth, index % 900)
    };
    let frames: String = (0..12).map(frame).collect();
    let body = format!("Traceback (most recent call last):\n{frames}ValueError: item {index} is gone");
    Log {
        severity: Severity::ERROR,
        severity_text: "ERROR".into(),
        attributes: vec![
            ("process.pid".to_owned(), Value::Int(index as i64 % 64)),
            ("logger".to_owned(), Value::from("gunicorn.error")),
            ("exception.type".to_owned(), Value::from("ValueError")),
        ],
        trace_id: (index as u128 * 0x9e37_79b9_7f4a_7c15).to_be_bytes(),
        ..Log::new(Body::Text(body.into()), time_of(index), source)
    }
}

fn resource() -> Arc<Resource> {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    resource.set(Resource::SERVICE_INSTANCE_ID, "00000000-0000-4000-8000-000000000000");
    Arc::new(resource)
}

fn scope(name: &str) -> Arc<Scope> {
    Arc::new(Scope { name: name.to_owned(), version: "0.1.0".to_owned(), ..Scope::default() })
}
