//! The exporter against a fake OTLP backend on a real socket, over both protocols.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{batch, context, error_of, requests, send};
use hornpipe_engine::Clock;
use hornpipe_engine::component::{Exporter, ExporterConfig, SendOutcome, reason};
use hornpipe_engine::http::Compression;
use hornpipe_engine::telemetry::{Headers, SignalCounters};
use hornpipe_engine::testing::{Behaviour, FakeClock, FakeOtlp, RefusingPort};
use hornpipe_otlp_exporter::{OtlpConfig, OtlpHttpConfig, Protocol, TemporalityPreference};

const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn exporter(protocol: Protocol, endpoint: &str, change: impl FnOnce(&mut OtlpConfig)) -> Box<dyn Exporter> {
    let mut config = OtlpConfig {
        protocol: Some(protocol),
        endpoint: Some(endpoint.to_owned()),
        temporality: Some(TemporalityPreference::Cumulative),
        ..OtlpConfig::default()
    };
    change(&mut config);
    config.build(context()).expect("an exporter")
}

/// What becomes of a request that the backend meets with `behaviour`.
async fn outcome(protocol: Protocol, behaviour: Behaviour) -> SendOutcome {
    let backend = FakeOtlp::start().await;
    backend.behave(behaviour);
    send(&*exporter(protocol, &backend.url(), |_| {})).await
}

#[tokio::test]
async fn a_level_of_choice_makes_another_body_that_arrives() {
    let backend = FakeOtlp::start().await;
    let [fast, small] = [0, 9]
        .map(|level| exporter(Protocol::Grpc, &backend.url(), |config| config.compression_params.level = Some(level)));
    let body = |exporter: &dyn Exporter| requests(exporter, batch(0))[0].body.len();
    assert!(body(&*fast) > body(&*small), "{} and {} bytes", body(&*fast), body(&*small));
    for exporter in [fast, small] {
        assert_eq!(send(&*exporter).await, SendOutcome::delivered());
    }
    assert_eq!(backend.metric_requests().len(), 2);
}

#[tokio::test]
async fn every_kind_arrives_over_both_protocols_with_every_compression() {
    for protocol in PROTOCOLS {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let backend = FakeOtlp::start().await;
            let exporter = exporter(protocol, &backend.url(), |config| config.compression = Some(compression));
            let mut admission = exporter.admission().expect("an admission");
            for number in 0..2 {
                let data = admission.admit(batch(number), &SignalCounters::default()).expect("points");
                for request in exporter.encode(&data, &[0, 1, 2, 3]).requests {
                    assert_eq!(exporter.send(&request).await, SendOutcome::delivered(), "{protocol:?} {compression:?}");
                }
            }
            backend.assert_clean();
            assert_eq!(backend.metric_requests().len(), 2);
            assert_eq!(backend.sum("gunicorn.requests", &[("env", "prod")]), 60.0);
            let histogram = backend.histogram("gunicorn.request.duration", &[("env", "prod")]);
            assert_eq!((histogram.count, histogram.sum), (6, 120.0));
            assert_eq!((histogram.min, histogram.max), (Some(10.0), Some(30.0)));
            assert_eq!(backend.points("gunicorn.requests")[1].start, FakeClock::START.as_nanos());
            assert_eq!(backend.points("gunicorn.requests")[0].key.unit, "{request}");
        }
    }
}

#[tokio::test]
async fn requests_name_their_encoding_and_who_sends_them() {
    for (compression, encoding) in
        [(Compression::None, None), (Compression::Gzip, Some("gzip")), (Compression::Zstd, Some("zstd"))]
    {
        for (protocol, header) in [(Protocol::Grpc, "grpc-encoding"), (Protocol::HttpProtobuf, "content-encoding")] {
            let backend = FakeOtlp::start().await;
            let exporter = exporter(protocol, &backend.url(), |config| {
                config.compression = Some(compression);
                config.headers = Some(Headers(vec![("x-tenant".to_owned(), "one".into())]));
            });
            assert_eq!(send(&*exporter).await, SendOutcome::delivered());
            let headers = &backend.requests()[0].headers;
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            assert_eq!(text(header), encoding, "{protocol:?}");
            assert_eq!(text("x-tenant"), Some("one"));
            assert!(text("user-agent").is_some_and(|agent| agent.starts_with("hornpipe/")), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn http_appends_the_path_unless_the_whole_url_is_given() {
    let backend = FakeOtlp::start().await;
    let url = format!("{}/v1/metrics", backend.url());
    let config = OtlpConfig {
        metrics_endpoint: Some(url),
        endpoint: Some("http://localhost:1".to_owned()),
        ..OtlpConfig::default()
    };
    let exporter = OtlpHttpConfig(config).build(context()).expect("an exporter");
    assert_eq!(send(&*exporter).await, SendOutcome::delivered());
    assert_eq!(backend.requests()[0].route, "/v1/metrics");
}

#[tokio::test]
async fn a_backend_in_trouble_is_tried_again_when_it_says() {
    for protocol in PROTOCOLS {
        let busy = Behaviour::GrpcStatus {
            code: tonic::Code::Unavailable as i32,
            message: "shutting down".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        };
        let SendOutcome::Retryable { after, error } = outcome(protocol, busy.clone()).await else {
            panic!("{protocol:?}")
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert!(error.ends_with(": shutting down"), "{error}");
    }
    let exhausted = Behaviour::grpc(tonic::Code::ResourceExhausted as i32, "quota used up");
    let refused = outcome(Protocol::Grpc, exhausted).await;
    assert!(matches!(refused, SendOutcome::Permanent { reason: reason::REFUSED, .. }), "{refused:?}");
    let limited = outcome(Protocol::HttpProtobuf, Behaviour::retry_after(429, 30)).await;
    assert!(
        matches!(limited, SendOutcome::Retryable { after: Some(pause), .. } if pause.as_secs() == 30),
        "{limited:?}"
    );
}

#[tokio::test]
async fn refusals_and_wrong_credentials_are_told_apart() {
    for protocol in PROTOCOLS {
        let refused =
            outcome(protocol, Behaviour::grpc(tonic::Code::InvalidArgument as i32, "delta is not supported")).await;
        let SendOutcome::Permanent { reason: reason::REFUSED, error } = refused else { panic!("{refused:?}") };
        assert!(error.contains("delta is not supported"), "{error}");
        for code in [tonic::Code::Unauthenticated, tonic::Code::PermissionDenied] {
            let refused = outcome(protocol, Behaviour::grpc(code as i32, "unknown tenant")).await;
            let SendOutcome::Unauthorized { error } = refused else { panic!("{refused:?}") };
            assert!(error.contains("unknown tenant") && error.contains("`headers`"), "{error}");
        }
        // A proxy in between may answer without gRPC.
        let too_large = outcome(protocol, Behaviour::status(413)).await;
        assert!(matches!(too_large, SendOutcome::TooLarge { .. }), "{too_large:?}");
        assert!(matches!(outcome(protocol, Behaviour::status(503)).await, SendOutcome::Retryable { .. }));
        assert!(matches!(outcome(protocol, Behaviour::status(401)).await, SendOutcome::Unauthorized { .. }));
    }
}

#[tokio::test]
async fn details_that_are_not_base64_are_no_reason_to_lose_data() {
    let headers = [("grpc-status", "14"), ("grpc-message", "later"), ("grpc-status-details-bin", "%%%")];
    let broken = Behaviour::Status {
        code: 200,
        headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
        body: String::new(),
    };
    let error = error_of(outcome(Protocol::Grpc, broken).await);
    assert!(error.ends_with("answered Unavailable: later"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_pause_gets_it() {
    let date = Behaviour::Status {
        code: 503,
        headers: vec![("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT".to_owned())],
        body: String::new(),
    };
    for protocol in PROTOCOLS {
        let SendOutcome::Retryable { after, .. } = outcome(protocol, Behaviour::retry_after(503, 30)).await else {
            panic!("{protocol:?}")
        };
        assert_eq!(after, Some(Duration::from_secs(30)));
        let SendOutcome::Retryable { after, .. } = outcome(protocol, date.clone()).await else {
            panic!("{protocol:?}")
        };
        assert!(after > Some(Duration::from_secs(30)));
    }
}

#[tokio::test]
async fn a_partial_success_is_counted_not_repeated() {
    for protocol in PROTOCOLS {
        let partial = Behaviour::PartialSuccess { rejected: 2, message: "name too long".to_owned() };
        let expected = SendOutcome::Delivered { rejected: 2, message: "name too long".to_owned() };
        assert_eq!(outcome(protocol, partial).await, expected);
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_never_a_reason_to_send_again() {
    let taken = outcome(Protocol::HttpProtobuf, Behaviour::Garbage).await;
    assert!(matches!(taken, SendOutcome::Delivered { rejected: 0, .. }), "{taken:?}");
    let unclear = outcome(Protocol::Grpc, Behaviour::Garbage).await;
    assert!(matches!(unclear, SendOutcome::Permanent { .. }), "{unclear:?}");
}

#[tokio::test]
async fn what_is_taken_over_http_is_delivered_though_the_rest_of_the_answer_never_comes() {
    assert_eq!(outcome(Protocol::HttpProtobuf, Behaviour::StallMidBody).await, SendOutcome::delivered());
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    for protocol in PROTOCOLS {
        let error = error_of(outcome(protocol, Behaviour::ResetAfterHeaders).await);
        assert!(error.contains("127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_backend_that_is_not_up_yet_is_found_when_it_is() {
    for protocol in PROTOCOLS {
        let port = RefusingPort::reserve();
        let exporter = exporter(protocol, &port.url(), |_| {});
        let refused = format!("connection refused by {}", port.address());
        assert_eq!(error_of(send(&*exporter).await), refused);
        assert_eq!(error_of(send(&*exporter).await), refused);
        let backend = FakeOtlp::start_at(port.listen(), Clock::system());
        assert_eq!(send(&*exporter).await, SendOutcome::delivered());
        backend.cut_connections();
        // The connection is gone; the next request, or the one after it, has a new one.
        let again = match send(&*exporter).await {
            SendOutcome::Retryable { .. } => send(&*exporter).await,
            outcome => outcome,
        };
        assert_eq!(again, SendOutcome::delivered(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    for (protocol, endpoint) in
        [(Protocol::Grpc, "nowhere.invalid:4317"), (Protocol::HttpProtobuf, "http://nowhere.invalid:4317")]
    {
        let error = error_of(send(&*exporter(protocol, endpoint, |_| {})).await);
        assert!(error.starts_with("cannot resolve the host of nowhere.invalid:4317"), "{error}");
    }
}

#[tokio::test]
async fn tls_to_a_plaintext_port_says_what_to_do() {
    let backend = FakeOtlp::start().await;
    let endpoint = backend.address().to_string();
    let error = error_of(send(&*exporter(Protocol::Grpc, &endpoint, |_| {})).await);
    assert!(error.starts_with("TLS handshake with 127.0.0.1:"), "{error}");
    assert!(error.contains("set `tls: {insecure: true}`"), "{error}");

    let insecure = exporter(Protocol::Grpc, &endpoint, |config| config.tls.insecure = true);
    assert_eq!(send(&*insecure).await, SendOutcome::delivered());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_an_error_at_the_start() {
    for protocol in PROTOCOLS {
        let mut config = OtlpConfig {
            protocol: Some(protocol),
            endpoint: Some("https://localhost:1".to_owned()),
            ..OtlpConfig::default()
        };
        config.tls.ca_file = Some(PathBuf::from("/does/not/exist.pem"));
        let error = config.build(context()).err().expect("an error");
        assert_eq!(error.option, "tls.ca_file");
    }
}
