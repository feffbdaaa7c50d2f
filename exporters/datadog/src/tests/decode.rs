//! Requests decoded.

use hornpipe_engine::component::{Encoded, Request};
use hornpipe_engine::testing::datadog_messages::{
    Dogsketch, MetricPayload, MetricPoint, MetricSeries, Resource, SketchPayload,
};
use prost::Message;
use serde_json::{Value, json};

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
            "type": format!("{:?}", series.kind()).to_uppercase(),
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
