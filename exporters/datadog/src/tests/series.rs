//! Series: types, values, times, units, hosts, resources.

use std::sync::Arc;

use hornpipe_engine::component::reason;
use hornpipe_engine::http::Compression;
use hornpipe_engine::testing::datadog_messages::{MetricSeries, MetricType};
use hornpipe_model::distribution::{ExponentialHistogram, Rendering};
use hornpipe_model::{Distribution, MetricPoint, MetricValue, Origin, Temporality, Timestamp, WireType};

use super::decode::only_series;
use super::points::{START, batch, count, distribution, encode, encoder, reading, samples, statsd, with};
use crate::encode::Encoder;

/// The only series of a point.
fn one(point: MetricPoint) -> MetricSeries {
    let series = only_series(&encode(vec![point]));
    let [series] = <[MetricSeries; 1]>::try_from(series).unwrap();
    assert_eq!(series.points.len(), 1);
    series
}

/// Type, value, timestamp after the start, and interval of the only series of a point.
fn told(point: MetricPoint) -> (MetricType, f64, i64, i64) {
    let series = one(point);
    let point = series.points[0];
    (series.kind(), point.value, point.timestamp - START as i64, series.interval)
}

#[test]
fn each_value_becomes_the_agents_type_value_time_and_interval() {
    let delta = |value| MetricValue::Sum { value, monotonic: true, temporality: Temporality::Delta };
    let fill = MetricValue::Count { sum: 0.0, samples: 0 };
    let cases = [
        (statsd("c", &[], count(30.0)), (MetricType::Rate, 3.0, 0, 10)),
        (statsd("c", &[], count(-5.0)), (MetricType::Rate, -0.5, 0, 10)),
        (statsd("c", &[], fill), (MetricType::Rate, 0.0, 0, 10)),
        (statsd("g", &[], MetricValue::Gauge(-2.0)), (MetricType::Gauge, -2.0, 0, 10)),
        (statsd("s", &[], delta(20.0)), (MetricType::Rate, 2.0, 0, 10)),
        (reading("c", &[], count(30.0)), (MetricType::Count, 30.0, 3, 0)),
        (reading("g", &[], MetricValue::Gauge(4.0)), (MetricType::Gauge, 4.0, 3, 0)),
        (reading("s", &[], delta(20.0)), (MetricType::Count, 20.0, 3, 0)),
    ];
    for (point, expected) in cases {
        assert_eq!(told(point.clone()), expected, "{point:?}");
    }
}

#[test]
fn a_window_cut_short_by_a_start_has_its_own_second_and_the_nominal_interval() {
    let mut point = statsd("c", &[], count(30.0));
    point.window.start = Timestamp::from_nanos(START * 1_000_000_000 + 3_400_000_000);
    assert_eq!(told(point), (MetricType::Rate, 3.0, 4, 10));
}

#[test]
fn a_histogram_becomes_the_agents_five_series() {
    for wire_type in [WireType::Histogram, WireType::Timing] {
        let point = statsd("x", &["a:b"], distribution(wire_type, (1..=20).map(f64::from)));
        let series = only_series(&encode(vec![point]));
        let told: Vec<_> =
            series.iter().map(|series| (&*series.metric, series.kind(), series.points[0].value)).collect();
        let expected = [
            ("x.max", MetricType::Gauge, 20.0),
            ("x.median", MetricType::Gauge, 10.0),
            ("x.avg", MetricType::Gauge, 10.5),
            ("x.count", MetricType::Rate, 2.0),
            ("x.95percentile", MetricType::Gauge, 19.0),
        ];
        assert_eq!(told, expected, "{wire_type:?}");
        assert!(series.iter().all(|series| series.interval == 10 && series.tags == ["a:b"]));
        assert!(series.iter().all(|series| series.points[0].timestamp == START as i64));
    }
}

#[test]
fn a_note_decides_which_series_a_distribution_of_any_type_becomes() {
    let rendering = Rendering { aggregates: Vec::new(), percentiles: vec!["0.99".parse().unwrap()] };
    for wire_type in [WireType::Histogram, WireType::Timing, WireType::Distribution] {
        let mut noted = Distribution::new(wire_type, samples((1..=1000).map(f64::from)));
        noted.note = Some(Arc::new(rendering.clone()));
        let series = one(statsd("x", &[], MetricValue::Distribution(noted)));
        assert_eq!((&*series.metric, series.points[0].value), ("x.99percentile", 990.0));
    }
}

#[test]
fn a_metric_of_the_gunicorn_catalogue_has_its_unit() {
    assert_eq!(one(statsd("gunicorn.requests", &[], count(1.0))).unit, "request");
    assert_eq!(one(statsd("gunicorn.workers", &[], MetricValue::Gauge(4.0))).unit, "worker");
    let duration = statsd("gunicorn.request.duration", &[], distribution(WireType::Timing, [1.0]));
    let series = only_series(&encode(vec![duration]));
    let units: Vec<_> = series.iter().map(|series| (&*series.metric, &*series.unit)).collect();
    let expected = [
        ("gunicorn.request.duration.max", "millisecond"),
        ("gunicorn.request.duration.median", "millisecond"),
        ("gunicorn.request.duration.avg", "millisecond"),
        ("gunicorn.request.duration.count", "request"),
        ("gunicorn.request.duration.95percentile", "millisecond"),
    ];
    assert_eq!(units, expected);
}

#[test]
fn another_metric_has_the_unit_of_its_context_except_on_counts_of_samples() {
    assert_eq!(one(with(statsd("x", &[], MetricValue::Gauge(1.0)), None, "By")).unit, "byte");
    assert_eq!(one(with(statsd("x", &[], count(1.0)), None, "By")).unit, "byte");
    assert_eq!(one(statsd("x", &[], MetricValue::Gauge(1.0))).unit, "");
    for (wire_type, unit, expected) in [
        (WireType::Histogram, "s", "second"),
        (WireType::Histogram, "", ""),
        (WireType::Timing, "", "millisecond"),
        (WireType::Timing, "us", "microsecond"),
    ] {
        let point = with(statsd("x", &[], distribution(wire_type, [1.0])), None, unit);
        for series in only_series(&encode(vec![point])) {
            let expected = if series.metric == "x.count" { "" } else { expected };
            assert_eq!(series.unit, expected, "{wire_type:?} {}", series.metric);
        }
    }
}

#[test]
fn the_first_resource_is_the_host_unless_there_is_none() {
    let gauge = || statsd("x", &[], MetricValue::Gauge(1.0));
    let configured = || Encoder { hostname: Some("configured".to_owned()), compression: Compression::None };
    let cases = [
        (encoder(), gauge(), Some("web1")),
        (encoder(), with(gauge(), Some("web2"), ""), Some("web2")),
        (encoder(), with(gauge(), Some(""), ""), None),
        (configured(), gauge(), Some("configured")),
        (configured(), with(gauge(), Some("web2"), ""), Some("web2")),
        (configured(), with(gauge(), Some(""), ""), None),
    ];
    for (encoder, point, expected) in cases {
        let series = only_series(&encoder.encode(&batch(vec![point]), &[0])).remove(0);
        let resources: Vec<_> = series.resources.iter().map(|resource| (&*resource.kind, &*resource.name)).collect();
        assert_eq!(resources, expected.map(|name| ("host", name)).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn tags_go_out_as_they_came_less_those_that_are_resources_or_internal() {
    let tags = ["bare", "dd.internal.card:low", "dd.internal.resource:pod:p-1", "device:eth0", "env:a", "env:b"];
    let series = one(statsd("x", &tags, MetricValue::Gauge(1.0)));
    assert_eq!(series.tags, ["bare", "env:a", "env:b"]);
    let resources: Vec<_> = series.resources.iter().map(|resource| (&*resource.kind, &*resource.name)).collect();
    assert_eq!(resources, [("host", "web1"), ("pod", "p-1"), ("device", "eth0")]);
}

#[test]
fn only_what_we_measured_ourselves_has_a_source_type_and_nothing_claims_an_origin() {
    for (origin, expected) in
        [(Origin::Statsd, ""), (Origin::Otlp, ""), (Origin::Check, "System"), (Origin::Own, "System")]
    {
        let series = one(MetricPoint { origin, ..statsd("x", &[], MetricValue::Gauge(1.0)) });
        assert_eq!((&*series.source_type_name, series.metadata), (expected, None), "{origin:?}");
    }
}

#[test]
fn what_has_no_form_is_dropped_with_its_reason_and_alone() {
    let gauge = MetricValue::Gauge;
    let sum = MetricValue::Sum { value: 1.0, monotonic: true, temporality: Temporality::Cumulative };
    let histogram = MetricValue::ExponentialHistogram {
        histogram: Arc::new(ExponentialHistogram::default()),
        temporality: Temporality::Delta,
    };
    let cases = [
        (gauge(f64::NAN), reason::NOT_FINITE),
        (gauge(f64::INFINITY), reason::NOT_FINITE),
        (count(f64::NEG_INFINITY), reason::NOT_FINITE),
        (sum, reason::UNSUPPORTED),
        (histogram, reason::UNSUPPORTED),
        (distribution(WireType::Histogram, []), "empty"),
        (distribution(WireType::Distribution, []), "empty"),
    ];
    for (value, expected) in cases {
        let points = vec![statsd("a", &[], gauge(1.0)), statsd("x", &[], value), statsd("b", &[], gauge(2.0))];
        let encoded = encode(points);
        assert_eq!(encoded.dropped, [(expected, 1)]);
        assert_eq!(encoded.requests[0].items, [0, 2]);
    }
    assert_eq!(encoder().encode(&batch(Vec::new()), &[7]).dropped, [(reason::UNSUPPORTED, 1)]);
}
