//! Logs and events against a fake intake on a real socket.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::component::{Exporter, ExporterConfig, Request, SendOutcome, reason};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{Behaviour, FakeClock, FakeDatadog, build_context};
use hornpipe_model::{AlertType, Body, Data, Event, Log, LogBatch, LogSource, Resource, Severity, Signal};

async fn intake(clock: &FakeClock) -> FakeDatadog {
    FakeDatadog::start_at(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), clock.clock())
}

/// An exporter whose logs go to one intake and all else to another.
fn exporter(logs: &FakeDatadog, others: &FakeDatadog, compression: Compression) -> Box<dyn Exporter> {
    let mut config = DatadogConfig::default();
    config.api.key = FakeDatadog::API_KEY.into();
    config.metrics.endpoint = Some(others.url());
    config.logs.endpoint = Some(logs.url());
    config.compression = compression;
    config.build(build_context(ComponentKind::Exporter, "datadog/eu", &FakeClock::new())).unwrap()
}

/// A line of a file and an event.
fn batch() -> Data {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    let source = Arc::new(LogSource {
        path: "/var/log/gunicorn/error.log".to_owned(),
        service: "shop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod"].into_iter().collect(),
    });
    let line = Log::new(Body::Text("boom".into()), FakeClock::START, Arc::clone(&source));
    let line = Log { severity: Severity::ERROR, ..line };
    let event = Event { title: "Deploy".to_owned(), alert_type: AlertType::Warning, ..Event::default() };
    let records = vec![line, event.into_log(FakeClock::START, source)];
    LogBatch { resource: Arc::new(resource), scope: Arc::default(), records }.into()
}

/// The request of the line and that of the event.
fn requests(exporter: &dyn Exporter) -> [Request; 2] {
    let encoded = exporter.encode(&batch(), &[0, 1]);
    assert_eq!(encoded.dropped, []);
    encoded.requests.try_into().unwrap()
}

#[tokio::test]
async fn logs_and_events_arrive_where_each_belongs_with_every_compression() {
    for compression in [Compression::Zstd, Compression::Gzip, Compression::Deflate, Compression::None] {
        let clock = FakeClock::new();
        let (logs, others) = (intake(&clock).await, intake(&clock).await);
        let exporter = exporter(&logs, &others, compression);
        for request in requests(&*exporter) {
            assert_eq!(exporter.send(&request).await, SendOutcome::delivered(), "{}", request.route);
        }
        logs.assert_clean();
        others.assert_clean();
        let [line] = &logs.logs()[..] else { panic!("{:?}", logs.logs()) };
        assert_eq!((&*line.message, &*line.status, &*line.host), ("boom", "error", "web1"));
        assert_eq!((&*line.service, &*line.source), ("shop", "gunicorn"));
        assert_eq!(line.timestamp, FakeClock::START.as_secs() as i64 * 1_000);
        assert_eq!(line.tags, ["filename:error.log", "dirname:/var/log/gunicorn", "env:prod"]);
        let [event] = &others.events()[..] else { panic!("{:?}", others.events()) };
        assert_eq!((&*event.title, &*event.alert_type, &*event.host), ("Deploy", "warning", "web1"));
        assert_eq!(event.date_happened, Some(FakeClock::START.as_secs() as i64));
        assert_eq!((logs.request_count(), others.request_count()), (1, 1));
    }
}

#[tokio::test]
async fn requests_have_the_headers_that_the_intake_reads() {
    let intake = intake(&FakeClock::new()).await;
    let exporter = exporter(&intake, &intake, Compression::Zstd);
    for request in requests(&*exporter) {
        exporter.send(&request).await;
    }
    let [line, event] = &intake.requests()[..] else { panic!("not two requests") };
    for request in [line, event] {
        assert_eq!(request.headers["dd-api-key"], FakeDatadog::API_KEY);
        assert_eq!(request.headers["content-type"], "application/json");
    }
    assert_eq!((&*line.route, &line.headers["content-encoding"]), ("/api/v2/logs", &"zstd".parse().unwrap()));
    assert_eq!(line.headers["dd-evp-origin"], "hornpipe");
    assert_eq!(line.headers["dd-evp-origin-version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&*event.route, event.headers.get("content-encoding")), ("/api/v1/events", None));
}

#[tokio::test]
async fn statuses_keep_split_or_drop_logs_and_events_alike() {
    let clock = FakeClock::new();
    let intake = intake(&clock).await;
    let exporter = exporter(&intake, &intake, Compression::Zstd);
    for request in requests(&*exporter) {
        let outcome = async |behaviour| {
            intake.behave_once([behaviour]);
            exporter.send(&request).await
        };
        for status in [401, 403] {
            assert!(matches!(outcome(Behaviour::status(status)).await, SendOutcome::Unauthorized { .. }));
        }
        assert!(matches!(outcome(Behaviour::status(413)).await, SendOutcome::TooLarge { .. }));
        let refused = outcome(Behaviour::status(400)).await;
        assert!(matches!(refused, SendOutcome::Permanent { reason: reason::REFUSED, .. }));
        for status in [404, 408, 500, 503] {
            assert!(matches!(outcome(Behaviour::status(status)).await, SendOutcome::Retryable { .. }), "{status}");
        }
        let limited = outcome(Behaviour::retry_after(429, 30)).await;
        assert!(matches!(limited, SendOutcome::Retryable { after: Some(after), .. } if after.as_secs() == 30));
    }
    assert!(intake.logs().is_empty() && intake.events().is_empty());
}

#[tokio::test]
async fn logs_are_worth_sending_for_17_hours() {
    let intake = intake(&FakeClock::new()).await;
    let exporter = exporter(&intake, &intake, Compression::Zstd);
    assert_eq!(exporter.max_age(Signal::Logs), Some(Duration::from_secs(17 * 3600)));
}
