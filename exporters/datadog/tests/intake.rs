//! The exporter against a fake intake on a real socket, which decodes with code of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::component::{Exporter, ExporterConfig, Request, SendOutcome, reason};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{Behaviour, FakeClock, FakeDatadog, RefusingPort, SeriesType, build_context};
use hornpipe_model::{
    CheckStatus, Context, Data, Distribution, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples,
    ServiceCheck, Signal, Tags, Timestamp, Window, WireType,
};

const WRONG_KEY: &str = "ffffffffffffffffffffffffff01a2b3";

fn exporter(clock: &FakeClock, change: impl FnOnce(&mut DatadogConfig)) -> Box<dyn Exporter> {
    let mut config = DatadogConfig::default();
    config.api.key = FakeDatadog::API_KEY.into();
    change(&mut config);
    let context = build_context(ComponentKind::Exporter, "datadog/eu", clock);
    config.build(context).unwrap()
}

/// An exporter that sends to `intake`.
fn exporter_to(intake: &FakeDatadog) -> Box<dyn Exporter> {
    exporter(&FakeClock::new(), |config| config.metrics.endpoint = Some(intake.url()))
}

/// A point of the ten seconds before the fake clock's start.
fn point(name: &str, value: MetricValue) -> MetricPoint {
    let (start, end) = (Timestamp::from_secs(FakeClock::START.as_secs() - 10), FakeClock::START);
    let window = Window { start, end, interval: Some(Duration::from_secs(10)) };
    let tags: Tags = ["env:prod"].into_iter().collect();
    MetricPoint { context: Arc::new(Context::new(name, tags)), window, origin: Origin::Statsd, value }
}

fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
    let mut samples = Samples::new();
    values.into_iter().for_each(|value| assert!(samples.push(value, 1.0)));
    samples
}

/// One point of every kind.
fn batch() -> Data {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    let distribution = |wire_type, values| MetricValue::Distribution(Distribution::new(wire_type, samples(values)));
    let check = ServiceCheck { status: CheckStatus::Critical, message: "no master".into() };
    let points = vec![
        point("gunicorn.requests", MetricValue::Count { sum: 30.0, samples: 30 }),
        point("gunicorn.workers", MetricValue::Gauge(4.0)),
        point("gunicorn.request.duration", distribution(WireType::Timing, vec![10.0, 20.0])),
        point("app.latency", distribution(WireType::Distribution, vec![1.0, 2.0])),
        point("gunicorn.is_running", MetricValue::ServiceCheck(Box::new(check))),
    ];
    MetricBatch { resource: Arc::new(resource), scope: Arc::default(), points }.into()
}

fn requests(exporter: &dyn Exporter) -> Vec<Request> {
    let encoded = exporter.encode(&batch(), &[0, 1, 2, 3, 4]);
    assert_eq!(encoded.dropped, []);
    encoded.requests
}

/// What becomes of a request that the intake meets with `behaviour`.
async fn outcome(behaviour: Behaviour) -> SendOutcome {
    let intake = FakeDatadog::start().await;
    intake.behave(behaviour);
    let exporter = exporter_to(&intake);
    exporter.send(&requests(&*exporter)[0]).await
}

#[tokio::test]
async fn what_is_taken_is_delivered_though_the_rest_of_the_answer_never_comes() {
    let intake = FakeDatadog::start().await;
    intake.behave(Behaviour::StallMidBody);
    let clock = FakeClock::new();
    let exporter = exporter(&clock, |config| config.metrics.endpoint = Some(intake.url()));
    let request = requests(&*exporter).remove(0);
    let sending = tokio::spawn(async move { exporter.send(&request).await });
    // It waits for the body, and for nothing longer than that.
    while clock.sleepers() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.advance(Duration::from_secs(1)).await;
    assert_eq!(sending.await.unwrap(), SendOutcome::delivered());
}

#[tokio::test]
async fn every_kind_arrives_with_every_compression() {
    for compression in [Compression::Zstd, Compression::Gzip, Compression::Deflate, Compression::None] {
        let clock = FakeClock::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let intake = FakeDatadog::start_at(listener, clock.clock());
        let exporter = exporter(&clock, |config| {
            config.metrics.endpoint = Some(intake.url());
            config.compression = compression;
        });
        for request in requests(&*exporter) {
            assert_eq!(exporter.send(&request).await, SendOutcome::delivered());
        }
        intake.assert_clean();

        let started = FakeClock::START.as_secs() as i64 - 10;
        let requests = &intake.points("gunicorn.requests")[0];
        assert_eq!((requests.kind, requests.value, requests.interval), (SeriesType::Rate, 3.0, 10));
        assert_eq!((requests.timestamp, &*requests.unit), (started, "request"));
        assert_eq!((&*requests.key.host, &*requests.key.tags), ("web1", &["env:prod".to_owned()][..]));
        assert_eq!((requests.origin, &*requests.source_type_name), (None, ""));
        assert_eq!(intake.points("gunicorn.workers")[0].value, 4.0);
        assert_eq!(intake.points("gunicorn.request.duration.median")[0].value, 10.0);
        assert_eq!(intake.sum_as_count("gunicorn.request.duration.count", &["env:prod"]), 2.0);
        let sketch = &intake.sketches("app.latency")[0];
        assert_eq!((sketch.timestamp, sketch.count, sketch.sum), (started, 2, 3.0));
        let check = &intake.checks("gunicorn.is_running")[0];
        assert_eq!((check.status, &*check.message, &*check.host), (2, "no master", "web1"));
    }
}

#[tokio::test]
async fn requests_have_the_headers_that_the_intake_reads() {
    let intake = FakeDatadog::start().await;
    let exporter = exporter_to(&intake);
    for request in requests(&*exporter) {
        exporter.send(&request).await;
    }
    let agent = format!("hornpipe/{}", env!("CARGO_PKG_VERSION"));
    let content_types = ["application/x-protobuf", "application/x-protobuf", "application/json"];
    assert_eq!(intake.requests().len(), content_types.len());
    for (request, content_type) in intake.requests().iter().zip(content_types) {
        let headers = [
            ("dd-api-key", FakeDatadog::API_KEY),
            ("content-type", content_type),
            ("content-encoding", "zstd"),
            ("user-agent", &agent),
        ];
        for (name, value) in headers {
            assert_eq!(request.headers[name], value, "{name} to {}", request.route);
        }
        let schema = request.headers.get("dd-agent-payload").map(|value| value.to_str().unwrap());
        assert_eq!(schema, (content_type == "application/x-protobuf").then_some("4.87.0"), "{}", request.route);
        let ours: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
        let known =
            ["accept", "content-length", "content-type", "content-encoding", "dd-agent-payload", "dd-api-key", "host"];
        assert!(ours.iter().all(|name| known.contains(name) || *name == "user-agent"), "{ours:?}");
    }
}

#[tokio::test]
async fn a_refused_key_says_which_one_and_what_to_check() {
    let intake = FakeDatadog::start().await;
    intake.set_key(WRONG_KEY);
    let exporter = exporter_to(&intake);
    let outcome = exporter.send(&requests(&*exporter)[0]).await;
    let error = "datadog/eu: API key ending bcdef refused by datadoghq.com: check DD_API_KEY and DD_SITE".to_owned();
    assert_eq!(outcome, SendOutcome::Unauthorized { error });
}

#[tokio::test]
async fn statuses_keep_split_or_drop_the_data() {
    assert!(matches!(outcome(Behaviour::status(401)).await, SendOutcome::Unauthorized { .. }));
    assert!(matches!(outcome(Behaviour::status(413)).await, SendOutcome::TooLarge { .. }));
    assert!(matches!(outcome(Behaviour::status(400)).await, SendOutcome::Permanent { reason: reason::REFUSED, .. }));
    for code in [404, 408, 500, 503] {
        assert!(matches!(outcome(Behaviour::status(code)).await, SendOutcome::Retryable { after: None, .. }), "{code}");
    }
    let limited = outcome(Behaviour::retry_after(429, 30)).await;
    assert!(matches!(limited, SendOutcome::Retryable { after: Some(after), .. } if after == Duration::from_secs(30)));
}

#[tokio::test]
async fn what_the_intake_took_is_never_sent_again() {
    assert_eq!(outcome(Behaviour::Garbage).await, SendOutcome::delivered());
    assert_eq!(outcome(Behaviour::CloseMidBody).await, SendOutcome::delivered());
}

#[tokio::test]
async fn an_intake_that_cannot_be_reached_is_tried_again_and_named() {
    let port = RefusingPort::reserve();
    let exporter = exporter(&FakeClock::new(), |config| {
        config.metrics.endpoint = Some(format!("http://user:hunter2@{}/?token=hunter2", port.address()));
    });
    let outcome = exporter.send(&requests(&*exporter)[0]).await;
    let error = format!("datadog/eu: connection refused by {}", port.address());
    assert_eq!(outcome, SendOutcome::Retryable { after: None, error });

    let reset = self::outcome(Behaviour::ResetAfterHeaders).await;
    assert!(matches!(&reset, SendOutcome::Retryable { after: None, .. }), "{reset:?}");
}

#[tokio::test]
async fn a_key_is_sent_without_the_white_space_around_it() {
    let intake = FakeDatadog::start().await;
    let exporter = exporter(&FakeClock::new(), |config| {
        config.metrics.endpoint = Some(intake.url());
        config.api.key = format!(" {}\n", FakeDatadog::API_KEY).into();
    });
    let outcome = exporter.send(&requests(&*exporter)[0]).await;
    assert_eq!(outcome, SendOutcome::delivered());
}

#[test]
fn metrics_are_worth_sending_for_55_minutes_and_service_checks_for_nine() {
    let exporter = exporter(&FakeClock::new(), |_| {});
    assert_eq!(exporter.max_age(Signal::Metrics), Some(Duration::from_secs(55 * 60)));
    let ages: Vec<_> =
        requests(&*exporter).iter().map(|request| (request.route, exporter.max_age_of(request))).collect();
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let expected =
        [("/api/v2/series", minutes(55)), ("/api/beta/sketches", minutes(55)), ("/api/v1/check_run", minutes(9))];
    assert_eq!(ages, expected);
    assert!(!exporter.best_effort());
}
