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

use fastrand::Rng;
use hornpipe_engine::component::{Exporter, ExporterConfig};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{FakeClock, build_context};
use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{
    Body, Context, Data, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples,
    Scope, Severity, Temporality, Timestamp, Trace, Value, Window,
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
    let cases = cases(&mut Rng::with_seed(1));
    for (name, data) in &cases {
        for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
            let exporter = exporter(compression);
            let items: Vec<u32> = (0..data.items() as u32).collect();
            let bytes: usize = exporter.encode(data, &items).requests.iter().map(|request| request.body.len()).sum();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(time(|| exporter.encode(data, &items)));
                theirs.push(time(|| compressed(&reference::encode(data, &items), compression)));
            }
            let item = |times| median(times) / ITEMS as f64;
            let (ours, theirs) = (item(ours), item(theirs));
            let (label, share, bytes) = (format!("{compression:?}").to_lowercase(), ours / theirs, bytes / ITEMS);
            writeln!(out, "| {name} | {label} | {ours:.0} | {theirs:.0} | {share:.2} | {bytes} |")?;
        }
    }
    levels(&mut out, &cases)
}

/// What each level costs, and what it saves.
fn levels(out: &mut impl Write, cases: &[(&'static str, Data)]) -> io::Result<()> {
    writeln!(out, "\n| {ITEMS} items | level | ns/item | bytes/item |\n|---|---|---|---|")?;
    let names = ["a window, 72 names", "access log lines", "tracebacks, parsed"];
    for (name, data) in cases.iter().filter(|(name, _)| names.contains(name)) {
        let items: Vec<u32> = (0..data.items() as u32).collect();
        let message = reference::encode(data, &items);
        let mut row = |label: String, compress: &dyn Fn() -> Vec<u8>| {
            let bytes = compress().len() / ITEMS;
            let nanoseconds = median((0..ROUNDS).map(|_| time(compress)).collect()) / ITEMS as f64;
            writeln!(out, "| {name} | {label} | {nanoseconds:.0} | {bytes} |")
        };
        for level in [1, 2, 3, 6] {
            row(format!("zstd {level}"), &|| zstd::bulk::compress(&message, level).unwrap())?;
        }
        for level in [1, 2, 3, 4, 6] {
            row(format!("gzip {level}"), &|| gzip(&message, flate2::Compression::new(level)))?;
        }
    }
    Ok(())
}

fn gzip(message: &[u8], level: flate2::Compression) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

fn exporter(compression: Compression) -> Box<dyn Exporter> {
    let config = OtlpHttpConfig(OtlpConfig { compression: Some(compression), ..OtlpConfig::default() });
    config.build(build_context(ComponentKind::Exporter, "otlp_http", &FakeClock::new())).unwrap()
}

fn compressed(message: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => message.to_vec(),
        Compression::Zstd => zstd::bulk::compress(message, 1).unwrap(),
        Compression::Gzip => gzip(message, flate2::Compression::default()),
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

fn cases(random: &mut Rng) -> Vec<(&'static str, Data)> {
    vec![
        ("sums, 4 tags", points(random, |random, index| point("app.requests", tags(random, index), sum(random)))),
        (
            "gauges, no tags",
            points(random, |random, index| point(&format!("app.gauge_{index}"), Vec::new(), gauge(random))),
        ),
        (
            "histograms, 4 tags",
            points(random, |random, index| point("app.duration", tags(random, index), histogram(random))),
        ),
        ("a window, 72 names", points(random, of_window)),
        (
            "access log lines",
            records(random, |random, index, source| {
                Log::new(Body::Text(access_line(random).into()), time_of(index), source)
            }),
        ),
        ("tracebacks, parsed", records(random, traceback)),
    ]
}

fn sum(random: &mut Rng) -> MetricValue {
    let value = f64::from(random.u32(1..5_000));
    MetricValue::Sum { value, monotonic: true, temporality: Temporality::Cumulative }
}

fn gauge(random: &mut Rng) -> MetricValue {
    MetricValue::Gauge((random.f64() * 1e6).round() / 1e3)
}

/// The durations of 20 requests.
fn histogram(random: &mut Rng) -> MetricValue {
    let mut samples = Samples::new();
    for _ in 0..20 {
        samples.push((random.f64() * 6.9).exp(), 1.0);
    }
    let histogram = Arc::new(ExponentialHistogram::from_samples(&samples, 160));
    MetricValue::ExponentialHistogram { histogram, temporality: Temporality::Delta }
}

/// Half sums, four tenths gauges, the rest histograms.
fn of_window(random: &mut Rng, index: usize) -> MetricPoint {
    let value = match index % 10 {
        0..5 => sum(random),
        5..9 => gauge(random),
        _ => histogram(random),
    };
    point(&format!("app.{}", index % 72), tags(random, index), value)
}

fn points(random: &mut Rng, make: impl Fn(&mut Rng, usize) -> MetricPoint) -> Data {
    let points = (0..ITEMS).map(|index| make(random, index)).collect();
    MetricBatch { resource: resource(), scope: scope("hornpipe/statsd"), points }.into()
}

fn tags(random: &mut Rng, index: usize) -> Vec<String> {
    let path = ["/", "/cart", "/checkout", "/api/v1/items"][random.usize(0..4)];
    let status = [200, 200, 201, 302, 404, 500][random.usize(0..6)];
    vec!["env:prod".into(), format!("path:{path}"), format!("status:{status}"), format!("worker:{}", index % 97)]
}

fn point(name: &str, tags: Vec<String>, value: MetricValue) -> MetricPoint {
    let context = Context::with_unit(name, tags.iter().collect(), None, Cow::Borrowed("ms"));
    let start = FakeClock::START;
    let window = Window { start, end: start.after(Duration::from_secs(10)), interval: Some(Duration::from_secs(10)) };
    MetricPoint { context: Arc::new(context), window, origin: Origin::Statsd, value }
}

fn records(random: &mut Rng, make: impl Fn(&mut Rng, usize, Arc<LogSource>) -> Log) -> Data {
    let source = Arc::new(LogSource {
        path: "/var/log/gunicorn/access.log".to_owned(),
        service: "shop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod", "team:web"].iter().collect(),
    });
    let records = (0..ITEMS).map(|index| make(random, index, Arc::clone(&source))).collect();
    LogBatch { resource: resource(), scope: scope("hornpipe/filelog"), records }.into()
}

fn time_of(index: usize) -> Timestamp {
    FakeClock::START.after(Duration::from_micros(index as u64 * 1_337))
}

fn access_line(random: &mut Rng) -> String {
    let method = ["GET", "GET", "GET", "POST", "DELETE"][random.usize(0..5)];
    let status = [200, 200, 200, 304, 404, 500][random.usize(0..6)];
    let agent = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0", "python-requests/2.32.0", "kube-probe/1.31"];
    format!(
        "10.{}.{}.{} - - [26/Nov/2026:02:00:{:02} +0000] \"{method} /api/v1/items/{:x} HTTP/1.1\" {status} {} \"-\" \"{}\"",
        random.u8(..),
        random.u8(..),
        random.u8(..),
        random.u8(0..60),
        random.u32(..),
        random.u32(0..50_000),
        agent[random.usize(0..agent.len())]
    )
}

fn traceback(random: &mut Rng, index: usize, source: Arc<LogSource>) -> Log {
    let frames: String = (0..12)
        .map(|_| {
            let (module, line, call) = (random.u8(0..40), random.u16(1..900), random.u8(0..90));
            format!("  File \"/app/shop/views_{module}.py\", line {line}, in handle_{call}\n    return step_{call}(request)\n")
        })
        .collect();
    let body = format!("Traceback (most recent call last):\n{frames}ValueError: item {:x} is gone", random.u64(..));
    Log {
        severity: Severity::ERROR,
        severity_text: "ERROR".into(),
        attributes: vec![
            ("process.pid".to_owned(), Value::Int(random.i64(2..40_000))),
            ("logger".to_owned(), Value::from("gunicorn.error")),
            ("exception.type".to_owned(), Value::from("ValueError")),
        ],
        trace: Some(Box::new(Trace { trace_id: random.u128(..).to_be_bytes(), ..Trace::default() })),
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
