//! What a line of a log costs on its way from a file's batch to a request: each processor, and each exporter's encoding
//! with its compression. Everything runs in this thread; figures are medians of several runs.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing better to do")]

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use hornpipe_engine::Batch;
use hornpipe_engine::component::{Emitter, Exporter, ExporterConfig, Processor, ProcessorConfig};
use hornpipe_engine::config::{Diagnostics, FixedEnvironment, Source, decode, parse, substitute};
use hornpipe_engine::telemetry::{ComponentKind, SignalCounters};
use hornpipe_engine::testing::{FakeClock, build_context, resource};
use hornpipe_model::{Body, Data, Log, LogBatch, LogSource, Signal, Timestamp};
use serde::de::DeserializeOwned;

const LINES: usize = 1_000;
const RUNS: usize = 101;

const ALL_MASKS: &str = "masks: [bearer_tokens, api_keys, email_addresses, card_numbers, url_credentials]";
const RULES: &str = r#"rules: [{type: exclude_at_match, name: a, pattern: '"GET /healthz'}, {type: mask_sequences, name: b, pattern: 'session=\w+', replace_placeholder: session=x}]"#;
const PARSERS: &str = "parsers: [{type: gunicorn_error}, {type: gunicorn_access}]";
const DATES: &str = r"line_start_pattern: '\[\d{4}-\d{2}-\d{2}'";

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "| step | access line | error log line |\n|---|---|---|")?;
    let logs = [access_log(), error_log()];
    let mut row = |name: &str, cost: &dyn Fn(&LogBatch) -> f64| {
        let [access, error] = logs.each_ref().map(cost);
        writeln!(out, "| {name} | {access:.0} ns | {error:.0} ns |")
    };
    row("nothing but copying the batch", &|logs| processor_cost(&mut Nothing, logs))?;
    let mut processor = |name: &str, processor: &dyn Fn() -> Box<dyn Processor>| {
        row(name, &|logs| processor_cost(processor().as_mut(), logs))
    };
    processor("filter, two rules", &|| build::<hornpipe_filter_processor::FilterConfig>(RULES))?;
    processor("filter, every ready mask", &|| build::<hornpipe_filter_processor::FilterConfig>(ALL_MASKS))?;
    processor("parse, Gunicorn's logs", &|| build::<hornpipe_parse_processor::ParseConfig>(PARSERS))?;
    processor("multiline", &|| build::<hornpipe_multiline_processor::MultilineConfig>(DATES))?;
    row("datadog, encoded", &|logs| {
        encoding_cost(exporter::<hornpipe_datadog_exporter::DatadogConfig>("api: {key: k}").as_ref(), logs)
    })?;
    let otlp =
        |compression: &str| exporter::<hornpipe_otlp_exporter::OtlpHttpConfig>(&format!("compression: {compression}"));
    row("otlp, encoded with gzip", &|logs| encoding_cost(otlp("gzip").as_ref(), logs))?;
    row("otlp, encoded with zstd", &|logs| encoding_cost(otlp("zstd").as_ref(), logs))?;
    row("otlp, encoded, not compressed", &|logs| encoding_cost(otlp("none").as_ref(), logs))
}

struct Nothing;

impl Processor for Nothing {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        out.emit(batch);
    }
}

fn settings<T: DeserializeOwned>(text: &str) -> T {
    let mut diagnostics = Diagnostics::new();
    let node = parse(&Source::new("settings", text, 0), &mut diagnostics)
        .map(|node| substitute(node, &FixedEnvironment::new()));
    let settings = node.and_then(|node| decode(&node, "", &mut diagnostics));
    assert!(diagnostics.is_empty(), "{diagnostics}");
    settings.unwrap()
}

fn build<T: DeserializeOwned + ProcessorConfig>(text: &str) -> Box<dyn Processor> {
    settings::<T>(text)
        .build(Signal::Logs, build_context(ComponentKind::Processor, "bench", &FakeClock::new()))
        .unwrap()
}

fn exporter<T: DeserializeOwned + ExporterConfig>(text: &str) -> Box<dyn Exporter> {
    settings::<T>(text).build(build_context(ComponentKind::Exporter, "bench", &FakeClock::new())).unwrap()
}

/// Nanoseconds for each line that a processor is given, with a batch that nobody shares.
fn processor_cost(processor: &mut dyn Processor, logs: &LogBatch) -> f64 {
    let counters = SignalCounters::default();
    median(|| {
        let batch = Batch::new(logs.clone());
        let started = Instant::now();
        let mut out = Emitter::new(&counters);
        processor.process(batch, &mut out);
        let batches = out.into_batches();
        let took = started.elapsed();
        drop(batches);
        took.as_nanos() as f64 / logs.records.len() as f64
    })
}

fn encoding_cost(exporter: &dyn Exporter, logs: &LogBatch) -> f64 {
    let data = Data::from(logs.clone());
    let items: Vec<u32> = (0..logs.records.len() as u32).collect();
    median(|| {
        let started = Instant::now();
        let encoded = exporter.encode(&data, &items);
        assert!(!encoded.requests.is_empty());
        started.elapsed().as_nanos() as f64 / logs.records.len() as f64
    })
}

fn median(mut run: impl FnMut() -> f64) -> f64 {
    let mut costs: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    costs.sort_by(f64::total_cmp);
    costs[RUNS / 2]
}

fn batch(path: &str, lines: impl Iterator<Item = String>) -> LogBatch {
    let source = LogSource {
        path: path.to_owned(),
        service: "shop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod"].into_iter().collect(),
    };
    let source = Arc::new(source);
    let now = Timestamp::from_secs(1_800_000_000);
    let records = lines.map(|line| Log::new(Body::from_bytes(line.into_bytes()), now, Arc::clone(&source)));
    LogBatch { resource: resource(), scope: Arc::default(), records: records.collect() }
}

/// Lines of 134 bytes.
fn access_log() -> LogBatch {
    let mut random = fastrand::Rng::with_seed(7);
    let lines = (0..LINES).map(|_| {
        let (host, order, size) = (random.u8(1..100), random.u32(100_000..1_000_000), random.u32(1_000..10_000));
        let line = format!(
            "10.0.0.{host} - - [22/Nov/2026:10:36:02 +0000] \"GET /orders/{order}?page=2 HTTP/1.1\" 200 {size} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)"
        );
        format!("{line:x<133}\"")
    });
    batch("/var/log/gunicorn/access.log", lines)
}

/// Records of six lines, five of them of a traceback.
fn error_log() -> LogBatch {
    let record = [
        "[2026-11-22 10:36:02 +0000] [7] [ERROR] Error handling request GET /raise?order=41",
        "Traceback (most recent call last):",
        "  File \"/srv/app/app.py\", line 20, in checkout",
        "    charge(-5)",
        "    ~~~~~~^^^^",
        "ValueError: amount must be positive, got -5",
    ];
    batch("/var/log/gunicorn/error.log", record.iter().cycle().take(LINES).map(|line| (*line).to_owned()))
}
