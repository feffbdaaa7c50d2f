//! The fake intake, seen by a client.

use prost::Message;

use super::messages::{MetricPayload, MetricPoint, MetricSeries, Resource, SketchPayload};
use super::*;
use crate::testing::FakeClock;
use crate::testing::backend::http_client::request;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const KEY: (&str, &str) = ("dd-api-key", FakeDatadog::API_KEY);

async fn intake() -> FakeDatadog {
    FakeDatadog::start_at(loopback().await, FakeClock::new().clock())
}

/// Seconds since the epoch, some seconds before the intake's present.
fn ago(seconds: i64) -> i64 {
    FakeClock::START.as_secs() as i64 - seconds
}

fn rate(metric: &str, tags: &[&str], points: &[(i64, f64)]) -> MetricSeries {
    MetricSeries {
        resources: vec![Resource { kind: "host".into(), name: "web1".into() }],
        metric: metric.into(),
        tags: tags.iter().map(|&tag| tag.into()).collect(),
        points: points.iter().map(|&(timestamp, value)| MetricPoint { timestamp, value }).collect(),
        kind: 2,
        unit: "request".into(),
        interval: 10,
        ..MetricSeries::default()
    }
}

async fn send(intake: &FakeDatadog, series: Vec<MetricSeries>) -> (u16, String) {
    post(intake, "/api/v2/series", &MetricPayload { series }.encode_to_vec()).await
}

async fn post(intake: &FakeDatadog, route: &str, payload: &[u8]) -> (u16, String) {
    let body = zstd::encode_all(payload, 1).unwrap();
    let headers = [PROTOBUF, KEY, ("content-encoding", "zstd")];
    let (status, body) = request(intake.address(), &format!("POST {route}"), &headers, &body).await.unwrap();
    (status, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn rates_times_intervals_add_up_over_series_and_time() {
    let intake = intake().await;
    let series = vec![
        rate("requests", &["env:prod", "az:1"], &[(ago(20), 0.3), (ago(10), 0.7)]),
        rate("requests", &["env:test"], &[(ago(20), 1.1)]),
    ];
    assert_eq!(send(&intake, series).await, (202, r#"{"errors":[]}"#.to_owned()));
    assert_eq!(intake.sum_as_count("requests", &[]), 21.0);
    assert_eq!(intake.sum_as_count("requests", &["env:prod"]), 10.0);
    assert_eq!(intake.types("requests"), BTreeSet::from([SeriesType::Rate]));
    assert_eq!(intake.units("requests"), BTreeSet::from(["request".to_owned()]));
    intake.assert_clean();
}

#[tokio::test]
async fn of_points_with_one_timestamp_the_last_stays_and_the_loss_shows() {
    let intake = intake().await;
    send(&intake, vec![rate("requests", &["b:2", "a:1"], &[(ago(10), 5.0)])]).await;
    send(&intake, vec![rate("requests", &["a:1", "b:2"], &[(ago(10), 2.0)])]).await;
    let values: Vec<_> = intake.points("requests").iter().map(|point| point.value).collect();
    assert_eq!(values, [2.0]);
    assert_eq!(intake.overwritten()[0].value, 5.0);
}

#[tokio::test]
async fn a_repeated_request_changes_nothing() {
    let intake = intake().await;
    for _ in 0..2 {
        send(&intake, vec![rate("requests", &[], &[(ago(10), 5.0)])]).await;
    }
    assert_eq!(intake.sum_as_count("requests", &[]), 50.0);
    intake.assert_clean();
}

#[tokio::test]
async fn what_the_real_intake_refuses_is_refused_in_words_and_not_kept() {
    let intake = intake().await;
    let without_interval = MetricSeries { interval: 0, ..rate("requests", &[], &[(ago(0), 1.0)]) };
    let cases = [
        (rate("", &[], &[(ago(0), 1.0)]), "not a metric name"),
        (rate("requests", &["host:a"], &[(ago(0), 1.0)]), "does not belong here"),
        (rate("requests", &[], &[]), "no points"),
        (MetricSeries { kind: 0, ..rate("requests", &[], &[(ago(0), 1.0)]) }, "none of count, rate, gauge"),
        (without_interval, "a rate needs an interval"),
    ];
    for (series, words) in cases {
        let (status, body) = send(&intake, vec![series]).await;
        assert_eq!(status, 400);
        assert!(body.contains(words), "{body}");
    }
    assert_eq!(post(&intake, "/api/v2/series", b"\xff\xff").await.0, 400);
    assert!(intake.points("requests").is_empty());
    assert_eq!(intake.refusals().len(), 6);
}

#[tokio::test]
async fn a_wrong_key_type_or_size_is_refused_with_its_own_status() {
    let intake = intake().await;
    let large = vec![0; SERIES_LIMITS.compressed + 1];
    let inflated = zstd::encode_all(&vec![0; SERIES_LIMITS.plain + 1][..], 1).unwrap();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16);
    let cases: [Case<'_>; 5] = [
        (&[PROTOBUF], b"", 403),
        (&[PROTOBUF, ("dd-api-key", "other")], b"", 403),
        (&[KEY, ("content-type", "text/plain")], b"", 415),
        (&[KEY, PROTOBUF], &large, 413),
        (&[KEY, PROTOBUF, ("content-encoding", "zstd")], &inflated, 413),
    ];
    for (headers, body, expected) in cases {
        let (status, _) = request(intake.address(), "POST /api/v2/series", headers, body).await.unwrap();
        assert_eq!(status, expected, "{headers:?}");
    }
    let validity = request(intake.address(), "GET /api/v1/validate", &[KEY], b"").await.unwrap();
    assert_eq!(validity, (200, br#"{"valid":true}"#.to_vec()));
    intake.set_key("rotated");
    assert_eq!(request(intake.address(), "GET /api/v1/validate", &[KEY], b"").await.unwrap().0, 403);
}

#[tokio::test]
async fn points_out_of_time_are_taken_but_not_shown() {
    let intake = intake().await;
    let points = [(ago(3601), 1.0), (ago(-601), 1.0), (ago(0), f64::NAN), (ago(3600), 4.0)];
    assert_eq!(send(&intake, vec![rate("requests", &[], &points)]).await.0, 202);
    assert_eq!(intake.sum_as_count("requests", &[]), 40.0);
    assert_eq!(intake.ignored().len(), 3);
}

#[tokio::test]
async fn sketches_are_decoded_and_their_bins_checked() {
    let intake = intake().await;
    let sketch = |counts: Vec<u32>| {
        let points =
            messages::Dogsketch { ts: ago(10), cnt: 3, max: 2.0, k: vec![-5, 7], n: counts, ..Default::default() };
        let sketch = messages::Sketch { metric: "sizes".into(), dogsketches: vec![points], ..Default::default() };
        SketchPayload { sketches: vec![sketch], metadata: None }.encode_to_vec()
    };
    assert_eq!(post(&intake, "/api/beta/sketches", &sketch(vec![1, 1])).await.0, 400);
    assert_eq!(post(&intake, "/api/beta/sketches", &sketch(vec![1, 2])).await.0, 202);
    let kept = &intake.sketches("sizes")[0];
    assert_eq!((&kept.keys[..], &kept.counts[..], kept.max), (&[-5, 7][..], &[1, 2][..], 2.0));
}

#[tokio::test]
async fn check_runs_need_their_required_fields() {
    let intake = intake().await;
    let headers = [KEY, ("content-type", "application/json")];
    let cases = [
        (r#"[{"check":"up","host_name":"web1","status":2,"tags":["b","a"],"message":"down"}]"#, 202),
        (r#"[{"check":"up","host_name":"web1","status":4,"tags":[]}]"#, 400),
        (r#"[{"check":"up","host_name":"web1","status":0,"tags":null}]"#, 400),
        (r#"{"check":"up"}"#, 400),
    ];
    for (body, expected) in cases {
        let answer = request(intake.address(), "POST /api/v1/check_run", &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.0, expected, "{body}");
    }
    let runs = intake.checks("up");
    assert_eq!((runs.len(), runs[0].status, &runs[0].tags[..]), (1, 2, &["a".to_owned(), "b".to_owned()][..]));
}
