//! Sketches and service checks.

use hornpipe_engine::testing::datadog_messages::SketchPayload;
use hornpipe_model::{CheckStatus, MetricPoint, MetricValue, ServiceCheck, WireType};
use prost::Message;
use serde_json::json;

use super::points::{START, count, distribution, encode, reading, statsd, with};

#[test]
fn a_distribution_becomes_one_sketch_with_an_exact_summary() {
    let tags = ["a:b", "dd.internal.card:low", "device:eth0"];
    let point = statsd("x", &tags, distribution(WireType::Distribution, (1..=20).map(f64::from)));
    let encoded = encode(vec![with(point, Some("web2"), "")]);
    let request = &encoded.requests[0];
    assert_eq!((request.route, &*request.items), ("/api/beta/sketches", &[0][..]));
    let payload = SketchPayload::decode(&*request.body).unwrap();
    assert_eq!(payload.metadata, Some(Vec::new()));
    let [sketch] = &*payload.sketches else { panic!("{payload:?}") };
    assert_eq!(
        (&*sketch.metric, &*sketch.host, &*sketch.tags),
        ("x", "web2", &["a:b", "device:eth0"].map(String::from)[..])
    );
    let [points] = &*sketch.dogsketches else { panic!("{sketch:?}") };
    assert_eq!((points.ts, points.cnt), (START as i64, 20));
    assert_eq!((points.min, points.max, points.avg, points.sum), (1.0, 20.0, 10.5, 210.0));
    assert_eq!((points.k[0], points.k[1], points.k[9], points.k.len()), (1338, 1383, 1487, 20));
    assert_eq!(points.n, [1; 20]);
}

fn check(status: CheckStatus, message: &str) -> MetricValue {
    MetricValue::ServiceCheck(Box::new(ServiceCheck { status, message: message.into() }))
}

#[test]
fn service_checks_become_one_array_with_every_field() {
    let points = vec![
        reading(
            "gunicorn.is_running",
            &["app:web", "dd.internal.card:low"],
            check(CheckStatus::Critical, "no \"master\"\n"),
        ),
        with(reading("app.ok", &[], check(CheckStatus::Ok, "")), Some(""), ""),
    ];
    let encoded = encode(points);
    let request = &encoded.requests[0];
    assert_eq!((request.route, &*request.items), ("/api/v1/check_run", &[0, 1][..]));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!([
        {
            "check": "gunicorn.is_running",
            "host_name": "web1",
            "timestamp": START + 3,
            "status": 2,
            "message": "no \"master\"\n",
            "tags": ["app:web"],
        },
        { "check": "app.ok", "host_name": "", "timestamp": START + 3, "status": 0, "message": "", "tags": [] },
    ]);
    assert_eq!(body, expected);
}

#[test]
fn a_mixed_batch_becomes_one_request_a_route() {
    let point = |index| -> MetricPoint {
        match index % 3 {
            0 => statsd("c", &[], count(1.0)),
            1 => statsd("d", &[], distribution(WireType::Distribution, [1.0])),
            _ => reading("s", &[], check(CheckStatus::Unknown, "")),
        }
    };
    let encoded = encode((0..6).map(point).collect());
    let requests: Vec<_> = encoded.requests.iter().map(|request| (request.route, &*request.items)).collect();
    let expected: [(&str, &[u32]); 3] =
        [("/api/v2/series", &[0, 3]), ("/api/beta/sketches", &[1, 4]), ("/api/v1/check_run", &[2, 5])];
    assert_eq!(requests, expected);
}
