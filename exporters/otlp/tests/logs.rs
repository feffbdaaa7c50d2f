//! Logs against a fake OTLP backend on a real socket, over both protocols.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildContext, Exporter, ExporterConfig, Request, SendOutcome};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{Behaviour, FakeClock, FakeOtlp, build_context};
use hornpipe_model::{AlertType, Body, Data, Event, Log, LogBatch, LogSource, Resource, Severity};
use hornpipe_otlp_exporter::{OtlpConfig, Protocol};

const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn exporter(protocol: Protocol, change: impl FnOnce(&mut OtlpConfig)) -> Box<dyn Exporter> {
    let mut config = OtlpConfig { protocol: Some(protocol), ..OtlpConfig::default() };
    change(&mut config);
    // The network's time is real.
    let context = build_context(ComponentKind::Exporter, "otlp", &FakeClock::new());
    config.build(BuildContext { clock: Clock::system(), ..context }).expect("an exporter")
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
    let line = Log { severity: Severity::ERROR, severity_text: "ERROR".into(), ..line };
    let event = Event { title: "Deploy".to_owned(), alert_type: AlertType::Success, ..Event::default() };
    let event = Event { host: Some("web2".to_owned()), ..event };
    let records = vec![line, event.into_log(FakeClock::START, Arc::default())];
    LogBatch { resource: Arc::new(resource), scope: Arc::default(), records }.into()
}

fn request(exporter: &dyn Exporter) -> Request {
    let mut encoded = exporter.encode(&batch(), &[0, 1]);
    assert_eq!((encoded.requests.len(), encoded.dropped.len()), (1, 0));
    encoded.requests.remove(0)
}

#[tokio::test]
async fn lines_and_events_arrive_over_both_protocols_with_every_compression() {
    for protocol in PROTOCOLS {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let backend = FakeOtlp::start().await;
            let exporter = exporter(protocol, |config| {
                config.endpoint = Some(backend.url());
                config.compression = Some(compression);
            });
            assert_eq!(exporter.send(&request(&*exporter)).await, SendOutcome::delivered(), "{protocol:?}");
            backend.assert_clean();
            let [line, event] = &backend.logs()[..] else { panic!("{:?}", backend.logs()) };
            assert_eq!((&*line.body, line.record.severity_number, &*line.record.severity_text), ("boom", 17, "ERROR"));
            assert_eq!(line.record.observed_time_unix_nano, FakeClock::START.as_nanos());
            let resource = ["host.name", "service.name", "datadog.log.source"].map(|key| &*line.resource[key]);
            assert_eq!(resource, ["web1", "shop", "gunicorn"]);
            let attributes = ["log.file.path", "log.file.name", "env"].map(|key| &*line.attributes[key]);
            assert_eq!(attributes, ["/var/log/gunicorn/error.log", "error.log", "prod"]);
            assert_eq!((&*event.record.event_name, event.record.severity_number), (Event::NAME, 9));
            assert_eq!((&*event.resource["host.name"], &*event.attributes["datadog.event.title"]), ("web2", "Deploy"));
            assert!(!event.attributes.contains_key("host.name"));
        }
    }
}

#[tokio::test]
async fn rejected_records_are_counted_not_repeated() {
    for protocol in PROTOCOLS {
        let backend = FakeOtlp::start().await;
        backend.behave(Behaviour::PartialSuccess { rejected: 1, message: "too long".to_owned() });
        let exporter = exporter(protocol, |config| config.endpoint = Some(backend.url()));
        let expected = SendOutcome::Delivered { rejected: 1, message: "too long".to_owned() };
        assert_eq!(exporter.send(&request(&*exporter)).await, expected);
    }
}

#[tokio::test]
async fn an_endpoint_for_logs_is_used_as_it_is() {
    let (metrics, logs) = (FakeOtlp::start().await, FakeOtlp::start().await);
    let exporter = exporter(Protocol::HttpProtobuf, |config| {
        config.endpoint = Some(metrics.url());
        config.logs_endpoint = Some(format!("{}/otlp/logs", logs.url()));
    });
    exporter.send(&request(&*exporter)).await;
    let routes: Vec<_> = logs.requests().into_iter().map(|request| request.route).collect();
    assert_eq!((routes, metrics.request_count()), (vec!["/otlp/logs".to_owned()], 0));
}
