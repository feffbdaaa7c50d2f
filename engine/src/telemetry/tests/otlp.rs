//! Sent over OTLP to backends of our own making.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;

use super::*;

type Received = mpsc::UnboundedReceiver<(BTreeMap<String, String>, ExportMetricsServiceRequest)>;
type Sender = mpsc::UnboundedSender<(BTreeMap<String, String>, ExportMetricsServiceRequest)>;

fn text(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect()
}

async fn http_backend() -> (SocketAddr, Received) {
    async fn take(State(sender): State<Sender>, headers: HeaderMap, body: Bytes) {
        let request = ExportMetricsServiceRequest::decode(body).unwrap();
        let _ = sender.send((text(&headers), request));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    let router = Router::new().route("/v1/metrics", post(take)).with_state(sender);
    tokio::spawn(axum::serve(listener, router).into_future());
    (address, received)
}

struct GrpcBackend(Sender);

#[tonic::async_trait]
impl MetricsService for GrpcBackend {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, message): (MetadataMap, _, _) = request.into_parts();
        let _ = self.0.send((text(&metadata.into_headers()), message));
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

async fn grpc_backend() -> (SocketAddr, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    let service = MetricsServiceServer::new(GrpcBackend(sender));
    let service = service.accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, received)
}

fn periodic(interval: u64, otlp: OtlpConfig) -> TelemetryConfig {
    let exporter = PushExporter::Otlp(otlp);
    let interval = Milliseconds(interval);
    with_reader(ReaderConfig::Periodic(PeriodicConfig { interval, exporter, ..PeriodicConfig::default() }))
}

fn otlp(protocol: OtlpProtocol, address: SocketAddr) -> OtlpConfig {
    OtlpConfig {
        protocol,
        endpoint: Some(address.to_string()),
        insecure: true,
        headers: Headers(vec![("api-key".to_owned(), "secret".into())]),
        ..OtlpConfig::default()
    }
}

fn accepted(telemetry: &Telemetry, items: u64) {
    let receiver = telemetry.component(component(ComponentKind::Receiver, "statsd", None));
    receiver.signal(Signal::Metrics).emitted.add(items);
}

/// What the request says about `otelcol_receiver_accepted_metric_points`.
fn accepted_in(request: &ExportMetricsServiceRequest) -> u64 {
    let metrics = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let found = metrics
        .flat_map(|scope| &scope.metrics)
        .find(|metric| metric.name == "otelcol_receiver_accepted_metric_points")
        .expect("under its OTLP name, without `_total`");
    let Some(metric::Data::Sum(sum)) = &found.data else { panic!("{found:?}") };
    assert!(sum.is_monotonic);
    let [point] = &sum.data_points[..] else { panic!("{found:?}") };
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => u64::try_from(value).unwrap(),
        ref other => panic!("{other:?}"),
    }
}

fn resource_of(request: &ExportMetricsServiceRequest) -> BTreeMap<String, String> {
    let attributes = request.resource_metrics[0].resource.as_ref().unwrap().attributes.iter();
    attributes
        .map(|attribute| match &attribute.value.as_ref().unwrap().value {
            Some(any_value::Value::StringValue(text)) => (attribute.key.clone(), text.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn both_protocols_carry_the_same_metrics_headers_and_resource() {
    let (http, http_received) = http_backend().await;
    let (grpc, grpc_received) = grpc_backend().await;
    let cases = [(OtlpProtocol::HttpProtobuf, http, http_received), (OtlpProtocol::Grpc, grpc, grpc_received)];
    for (protocol, address, mut received) in cases {
        let telemetry = one_pipeline();
        let config = periodic(3_600_000, otlp(protocol, address));
        let running = SelfTelemetry::start(&config, &identity(), &telemetry).await;
        assert_eq!(running.problems(), Vec::<String>::new());
        accepted(&telemetry, 12);
        running.stop(STOP).await;
        let (headers, request) = received.try_recv().expect("the last values go out at the end");
        assert_eq!(headers.get("api-key").map(String::as_str), Some("secret"));
        assert_eq!(accepted_in(&request), 12);
        let resource = resource_of(&request);
        assert_eq!(resource.get("service.name").map(String::as_str), Some("hornpipe"));
        assert_eq!(resource.get("host.name").map(String::as_str), Some("web-1"));
        assert_eq!(resource.get("service.instance.id").map(String::as_str), Some("one"));
    }
}

#[tokio::test]
async fn metrics_go_out_at_the_interval_as_totals_or_as_differences() {
    for (preference, expected) in [(None, [12, 12]), (Some(TemporalityPreference::Delta), [12, 0])] {
        let (address, mut received) = http_backend().await;
        let telemetry = one_pipeline();
        accepted(&telemetry, 12);
        let otlp = OtlpConfig { temporality_preference: preference, ..otlp(OtlpProtocol::HttpProtobuf, address) };
        let running = SelfTelemetry::start(&periodic(20, otlp), &identity(), &telemetry).await;
        for value in expected {
            let (_, request) = received.recv().await.unwrap();
            assert_eq!(accepted_in(&request), value);
        }
        running.stop(STOP).await;
    }
}

#[tokio::test]
async fn requests_can_be_compressed() {
    let (address, mut received) = grpc_backend().await;
    let otlp = OtlpConfig { compression: Compression::Gzip, ..otlp(OtlpProtocol::Grpc, address) };
    let running = SelfTelemetry::start(&periodic(3_600_000, otlp), &identity(), &one_pipeline()).await;
    running.stop(STOP).await;
    let (headers, _) = received.try_recv().unwrap();
    assert_eq!(headers.get("grpc-encoding").map(String::as_str), Some("gzip"));
}

#[tokio::test]
async fn a_backend_that_is_down_or_hangs_holds_up_neither_start_nor_stop() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc] {
        for address in [hanging.local_addr().unwrap(), closed] {
            let started = Instant::now();
            let config = periodic(10, otlp(protocol, address));
            let running = SelfTelemetry::start(&config, &identity(), &one_pipeline()).await;
            assert_eq!(running.problems(), Vec::<String>::new());
            running.stop(Duration::from_millis(200)).await;
            drop(SelfTelemetry::start(&config, &identity(), &one_pipeline()).await);
            assert!(started.elapsed() < Duration::from_secs(2), "{protocol:?} {address}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_is_none_costs_this_reader_only() {
    let mut config = periodic(10, OtlpConfig { endpoint: Some("ftp://backend".to_owned()), ..OtlpConfig::default() });
    let (address, mut received) = http_backend().await;
    config.metrics.readers.extend(periodic(10, otlp(OtlpProtocol::HttpProtobuf, address)).metrics.readers);
    let running = SelfTelemetry::start(&config, &identity(), &one_pipeline()).await;
    let [problem] = running.problems() else { panic!("{:?}", running.problems()) };
    assert!(problem.contains("readers[0]") && problem.contains("ftp://backend"), "{problem}");
    assert!(received.recv().await.is_some());
    running.stop(STOP).await;
}
