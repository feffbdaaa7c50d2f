//! A decoder of requests, written from the protocol's field tables and not from the exporter.

use hornpipe_engine::component::{Encoded, Request};
use prost::Message;
use serde_json::{Value, json};

/// Body of `/api/v2/series`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricPayload {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<MetricSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) resources: Vec<Resource>,
    #[prost(string, tag = "2")]
    pub(super) metric: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) tags: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(super) points: Vec<MetricPoint>,
    #[prost(enumeration = "MetricType", tag = "5")]
    pub(super) kind: i32,
    #[prost(string, tag = "6")]
    pub(super) unit: String,
    #[prost(string, tag = "7")]
    pub(super) source_type_name: String,
    #[prost(int64, tag = "8")]
    pub(super) interval: i64,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) metadata: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct MetricPoint {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum MetricType {
    Unspecified = 0,
    Count = 1,
    Rate = 2,
    Gauge = 3,
}

/// Body of `/api/beta/sketches`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SketchPayload {
    #[prost(message, repeated, tag = "1")]
    pub(super) sketches: Vec<Sketch>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) metadata: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sketch {
    #[prost(string, tag = "1")]
    pub(super) metric: String,
    #[prost(string, tag = "2")]
    pub(super) host: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) tags: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(super) dogsketches: Vec<Dogsketch>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dogsketch {
    #[prost(int64, tag = "1")]
    pub(super) ts: i64,
    #[prost(int64, tag = "2")]
    pub(super) cnt: i64,
    #[prost(double, tag = "3")]
    pub(super) min: f64,
    #[prost(double, tag = "4")]
    pub(super) max: f64,
    #[prost(double, tag = "5")]
    pub(super) avg: f64,
    #[prost(double, tag = "6")]
    pub(super) sum: f64,
    #[prost(sint32, repeated, tag = "7")]
    pub(super) k: Vec<i32>,
    #[prost(uint32, repeated, tag = "8")]
    pub(super) n: Vec<u32>,
}

/// The series of an uncompressed request.
pub(super) fn series(request: &Request) -> Vec<MetricSeries> {
    assert_eq!(request.route, "/api/v2/series");
    MetricPayload::decode(&*request.body).unwrap().series
}

/// The series of the only request there is.
pub(super) fn only_series(encoded: &Encoded) -> Vec<MetricSeries> {
    let [request] = &*encoded.requests else { panic!("{encoded:?}") };
    assert_eq!(encoded.dropped, []);
    series(request)
}

/// The same as [`MetricPayload`], in the form that `tests/golden/decode.py` prints.
pub(super) fn series_json(payload: &MetricPayload) -> Value {
    let series = payload.series.iter().map(|series| {
        assert_eq!(series.metadata, None);
        let resource = |resource: &Resource| json!({"type": resource.kind, "name": resource.name});
        let point = |point: &MetricPoint| json!({"value": point.value, "timestamp": point.timestamp});
        json!({
            "resources": series.resources.iter().map(resource).collect::<Vec<_>>(),
            "metric": series.metric,
            "tags": series.tags,
            "points": series.points.iter().map(point).collect::<Vec<_>>(),
            "type": (["UNSPECIFIED", "COUNT", "RATE", "GAUGE"][series.kind as usize]),
            "unit": series.unit,
            "source_type_name": series.source_type_name,
            "interval": series.interval,
        })
    });
    json!({"series": series.collect::<Vec<_>>()})
}

/// The same as [`SketchPayload`], in the form that `tests/golden/decode.py` prints.
pub(super) fn sketches_json(payload: &SketchPayload) -> Value {
    assert_eq!(payload.metadata, Some(Vec::new()));
    let sketches = payload.sketches.iter().map(|sketch| {
        let points = |points: &Dogsketch| {
            let Dogsketch { ts, cnt, min, max, avg, sum, k, n } = points;
            json!({"ts": ts, "cnt": cnt, "min": min, "max": max, "avg": avg, "sum": sum, "k": k, "n": n})
        };
        let dogsketches: Vec<_> = sketch.dogsketches.iter().map(points).collect();
        json!({"metric": sketch.metric, "host": sketch.host, "tags": sketch.tags, "dogsketches": dogsketches})
    });
    json!({"sketches": sketches.collect::<Vec<_>>(), "metadata": {}})
}
