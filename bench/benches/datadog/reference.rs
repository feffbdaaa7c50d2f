//! The encoder that the exporter is compared with: the protocol's types, filled from the model, and encoded by their own
//! libraries.

use hornpipe_model::distribution::{AgentSketch, Rendered, Rendering};
use hornpipe_model::{Data, Log, LogBatch, MetricBatch, MetricPoint, MetricValue, Samples, Value, WireType};
use prost::Message;
use serde::Serialize;

#[derive(Clone, PartialEq, Message)]
struct MetricPayload {
    #[prost(message, repeated, tag = "1")]
    series: Vec<MetricSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricSeries {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
    #[prost(string, tag = "2")]
    metric: String,
    #[prost(string, repeated, tag = "3")]
    tags: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    points: Vec<Point>,
    #[prost(int32, tag = "5")]
    kind: i32,
    #[prost(string, tag = "6")]
    unit: String,
    #[prost(string, tag = "7")]
    source_type_name: String,
    #[prost(int64, tag = "8")]
    interval: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct SketchPayload {
    #[prost(message, repeated, tag = "1")]
    sketches: Vec<Sketch>,
    #[prost(bytes = "vec", optional, tag = "2")]
    metadata: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Sketch {
    #[prost(string, tag = "1")]
    metric: String,
    #[prost(string, tag = "2")]
    host: String,
    #[prost(string, repeated, tag = "4")]
    tags: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    dogsketches: Vec<Dogsketch>,
}

#[derive(Clone, PartialEq, Message)]
struct Dogsketch {
    #[prost(int64, tag = "1")]
    ts: i64,
    #[prost(int64, tag = "2")]
    cnt: i64,
    #[prost(double, tag = "3")]
    min: f64,
    #[prost(double, tag = "4")]
    max: f64,
    #[prost(double, tag = "5")]
    avg: f64,
    #[prost(double, tag = "6")]
    sum: f64,
    #[prost(sint32, repeated, tag = "7")]
    k: Vec<i32>,
    #[prost(uint32, repeated, tag = "8")]
    n: Vec<u32>,
}

#[derive(Serialize)]
struct Entry {
    message: String,
    timestamp: u64,
    status: String,
    hostname: String,
    service: String,
    ddsource: String,
    ddtags: String,
}

/// How a distribution becomes a sketch.
pub type Sketching = fn(&Samples) -> AgentSketch;

/// A batch as one uncompressed body.
pub fn encode(data: &Data, sketching: Sketching) -> Vec<u8> {
    match data {
        Data::Metrics(batch) if batch.points.iter().any(is_sketch) => sketches(batch, sketching),
        Data::Metrics(batch) => {
            MetricPayload { series: batch.points.iter().flat_map(|point| series(point, host(batch))).collect() }
                .encode_to_vec()
        }
        Data::Logs(batch) => {
            let entries: Vec<Entry> = batch.records.iter().map(|log| entry(log, batch)).collect();
            serde_json::to_vec(&entries).unwrap()
        }
    }
}

fn is_sketch(point: &MetricPoint) -> bool {
    matches!(&point.value, MetricValue::Distribution(distribution) if distribution.wire_type == WireType::Distribution)
}

fn host(batch: &MetricBatch) -> &str {
    batch.resource.host().unwrap_or_default()
}

fn tags(point: &MetricPoint) -> Vec<String> {
    point.context.tags().iter().map(str::to_owned).collect()
}

fn series(point: &MetricPoint, host: &str) -> Vec<MetricSeries> {
    let one = |metric: String, kind, value: f64, unit: &str| MetricSeries {
        resources: vec![Resource { kind: "host".to_owned(), name: host.to_owned() }],
        metric,
        tags: tags(point),
        points: vec![Point { value, timestamp: point.window.start.as_secs() as i64 }],
        kind,
        unit: unit.to_owned(),
        source_type_name: String::new(),
        interval: 10,
    };
    match &point.value {
        MetricValue::Count { sum, .. } => vec![one(point.context.name().to_owned(), 2, sum / 10.0, "")],
        MetricValue::Distribution(distribution) => Rendering::default()
            .render(&distribution.samples)
            .map(|Rendered { suffix, value, is_count }| {
                let name = format!("{}.{suffix}", point.context.name());
                if is_count { one(name, 2, value / 10.0, "") } else { one(name, 3, value, "millisecond") }
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn sketches(batch: &MetricBatch, sketching: Sketching) -> Vec<u8> {
    let sketch = |point: &MetricPoint| {
        let MetricValue::Distribution(distribution) = &point.value else { return None };
        let sketch = sketching(&distribution.samples);
        Some(Sketch {
            metric: point.context.name().to_owned(),
            host: host(batch).to_owned(),
            tags: tags(point),
            dogsketches: vec![Dogsketch {
                ts: point.window.start.as_secs() as i64,
                cnt: sketch.count,
                min: sketch.min,
                max: sketch.max,
                avg: sketch.avg,
                sum: sketch.sum,
                k: sketch.keys,
                n: sketch.counts,
            }],
        })
    };
    SketchPayload { sketches: batch.points.iter().filter_map(sketch).collect(), metadata: Some(Vec::new()) }
        .encode_to_vec()
}

/// The sketch of samples that weigh 1 as the Agent's algorithm is published (`pkg/util/quantile`): the logarithm of each
/// makes its key, the keys are sorted, and a bin counts those that are equal.
pub fn plain_sketch(samples: &Samples) -> AgentSketch {
    const LN_GAMMA: f64 = 0.015504186535965254;
    const SMALLEST: f64 = 9.94185408912145e-10;
    let mut sketch = AgentSketch { min: f64::INFINITY, max: f64::NEG_INFINITY, ..AgentSketch::default() };
    let mut keys: Vec<i16> = Vec::with_capacity(samples.len());
    for (value, _) in samples.iter() {
        sketch.count += 1;
        sketch.min = sketch.min.min(value);
        sketch.max = sketch.max.max(value);
        sketch.sum += value;
        sketch.avg += (value - sketch.avg) / sketch.count as f64;
        let magnitude = value.abs();
        let key = ((magnitude.ln() / LN_GAMMA).round_ties_even() as i32 + 1338).clamp(1, i32::from(i16::MAX));
        let key = if magnitude < SMALLEST { 0 } else { key };
        keys.push(if value < 0.0 { -key } else { key } as i16);
    }
    keys.sort_unstable();
    for equal in keys.chunk_by(i16::eq) {
        sketch.keys.push(equal[0].into());
        sketch.counts.push(equal.len() as u32);
    }
    sketch
}

/// The model's, which the exporter uses.
pub fn own_sketch(samples: &Samples) -> AgentSketch {
    AgentSketch::from(samples)
}

/// Only the sketches of a batch.
pub fn sketches_alone(data: &Data, sketching: Sketching) -> Vec<AgentSketch> {
    let Data::Metrics(batch) = data else { return Vec::new() };
    let sketch = |point: &MetricPoint| match &point.value {
        MetricValue::Distribution(distribution) => Some(sketching(&distribution.samples)),
        _ => None,
    };
    batch.points.iter().filter_map(sketch).collect()
}

fn entry(log: &Log, batch: &LogBatch) -> Entry {
    let (directory, file) = log.source.path.rsplit_once('/').unwrap_or_default();
    let mut tags = vec![format!("filename:{file}"), format!("dirname:{directory}")];
    tags.extend(log.source.tags.iter().map(str::to_owned));
    Entry {
        message: log.body.text().unwrap_or_default().into_owned(),
        timestamp: log.time.as_nanos() / 1_000_000,
        status: if log.severity.0 < 17 { "info" } else { "error" }.to_owned(),
        hostname: batch.resource.get("host.name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        service: log.source.service.clone(),
        ddsource: log.source.source.clone(),
        ddtags: tags.join(","),
    }
}
