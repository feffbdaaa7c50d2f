//! The fake OTLP server, seen by clients.

use hornpipe_model::Temporality;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::*;
use crate::testing::Behaviour;
use crate::testing::backend::http_client::request;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A request with one sum, given as start, time and value of its points.
fn sums(temporality: Temporality, points: &[(u64, u64, f64)]) -> ExportMetricsServiceRequest {
    let data_points = points.iter().map(|&(start, time, value)| NumberDataPoint {
        attributes: vec![attribute("env", "prod")],
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    });
    let aggregation_temporality = match temporality {
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    let sum = Sum { data_points: data_points.collect(), aggregation_temporality, is_monotonic: true };
    let metric = Metric { name: "requests".into(), data: Some(Data::Sum(sum)), ..Metric::default() };
    let scope = Some(InstrumentationScope::default());
    let resource = Resource { attributes: vec![attribute("host.name", "web1")], ..Resource::default() };
    let scope_metrics = vec![ScopeMetrics { scope, metrics: vec![metric], schema_url: String::new() }];
    let resource_metrics = ResourceMetrics { resource: Some(resource), scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

async fn client(server: &FakeOtlp) -> MetricsServiceClient<Channel> {
    MetricsServiceClient::connect(server.url()).await.unwrap()
}

#[tokio::test]
async fn both_protocols_and_all_compressions_arrive_at_one_port() {
    let server = FakeOtlp::start().await;
    let message = sums(Temporality::Delta, &[(1, 2, 4.0)]);
    client(&server).await.export(message.clone()).await.unwrap();
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        client(&server).await.send_compressed(encoding).export(message.clone()).await.unwrap();
    }
    let plain = message.encode_to_vec();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (encoding, body) in [("identity", plain), ("zstd", zstd)] {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding)];
        let answer = request(server.address(), "POST /v1/metrics", &headers, &body).await.unwrap();
        assert_eq!(answer, (200, Vec::new()), "a success is an empty response message");
    }
    assert_eq!(server.metric_requests(), vec![message; 5]);
    assert_eq!(server.sum("requests", &[("env", "prod")]), 20.0);
    assert_eq!(server.sum("requests", &[("env", "test")]), 0.0);
    assert_eq!(server.request_count(), 5);
}

#[tokio::test]
async fn what_is_not_otlp_is_refused() {
    let server = FakeOtlp::start().await;
    let post = |content_type, body: &'static [u8]| {
        let address = server.address();
        async move { request(address, "POST /v1/metrics", &[("content-type", content_type)], body).await.unwrap().0 }
    };
    assert_eq!(post("application/json", b"{}").await, 415);
    assert_eq!(post("application/x-protobuf", b"\xff\xff").await, 400);
    assert!(server.metric_requests().is_empty());
}

#[tokio::test]
async fn scripted_statuses_reach_clients_of_both_protocols_and_nothing_is_taken() {
    let server = FakeOtlp::start().await;
    let pause = Some(std::time::Duration::from_secs(7));
    server.behave(Behaviour::GrpcStatus { code: 14, message: "not now".into(), retry_after: pause });
    let status = client(&server).await.export(sums(Temporality::Delta, &[(1, 2, 4.0)])).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
    assert!(!status.details().is_empty());
    let headers = [("content-type", "application/x-protobuf")];
    let (status, body) = request(server.address(), "POST /v1/metrics", &headers, b"").await.unwrap();
    assert_eq!(status, 503);
    assert!(body.windows(7).any(|words| words == b"not now"));
    assert!(server.metric_requests().is_empty());
}

#[tokio::test]
async fn a_partial_success_says_so_over_both_protocols() {
    let server = FakeOtlp::start().await;
    server.behave(Behaviour::PartialSuccess { rejected: 3, message: "too old".into() });
    let message = sums(Temporality::Delta, &[(1, 2, 4.0)]);
    let over_grpc = client(&server).await.export(message.clone()).await.unwrap().into_inner();
    let headers = [("content-type", "application/x-protobuf")];
    let (_, body) = request(server.address(), "POST /v1/metrics", &headers, &message.encode_to_vec()).await.unwrap();
    let over_http = ExportMetricsServiceResponse::decode(&body[..]).unwrap();
    assert_eq!(over_grpc, over_http);
    let partial = over_http.partial_success.unwrap();
    assert_eq!((partial.rejected_data_points, &*partial.error_message), (3, "too old"));
}

#[tokio::test]
async fn a_broken_answer_is_an_error_at_a_grpc_client() {
    let server = FakeOtlp::start().await;
    let message = sums(Temporality::Delta, &[(1, 2, 4.0)]);
    server.behave_once([Behaviour::Garbage, Behaviour::CloseMidBody, Behaviour::ResetAfterHeaders]);
    for _ in 0..3 {
        client(&server).await.export(message.clone()).await.unwrap_err();
    }
    assert_eq!(server.metric_requests().len(), 2, "only the reset came before the data was taken");
    client(&server).await.export(message).await.unwrap();
}

/// The violations of requests with these points, one after another.
async fn violations(temporality: Temporality, points: &[(u64, u64, f64)]) -> Vec<String> {
    let server = FakeOtlp::start().await;
    let mut client = client(&server).await;
    for &point in points {
        client.export(sums(temporality, &[point])).await.unwrap();
    }
    server.violations()
}

#[tokio::test]
async fn streams_that_keep_the_rules_are_clean() {
    for (temporality, points) in [
        (Temporality::Delta, [(1, 2, 4.0), (2, 3, 0.0), (5, 6, 1.0)]),
        (Temporality::Cumulative, [(1, 2, 4.0), (1, 3, 4.0), (4, 5, 1.0)]),
    ] {
        assert_eq!(violations(temporality, &points).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn streams_that_break_a_rule_are_named() {
    use Temporality::{Cumulative, Delta};
    for (temporality, points, words) in [
        (Delta, vec![(1, 3, 4.0), (2, 4, 1.0)], "overlapping windows"),
        (Delta, vec![(0, 3, 4.0)], "no start time"),
        (Delta, vec![(1, 0, 4.0)], "no time"),
        (Delta, vec![(3, 3, 4.0)], "starts when it ends"),
        (Delta, vec![(1, 3, f64::NAN)], "not finite"),
        (Cumulative, vec![(1, 3, 4.0), (1, 4, 3.0)], "went down"),
        (Cumulative, vec![(1, 3, 4.0), (1, 2, 4.0)], "out of order"),
        (Cumulative, vec![(1, 3, 4.0), (2, 4, 4.0)], "a new start before the end"),
    ] {
        let found = violations(temporality, &points).await;
        assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
    }
    let server = FakeOtlp::start().await;
    let mut client = client(&server).await;
    client.export(ExportMetricsServiceRequest::default()).await.unwrap();
    client.export(sums(Delta, &[(1, 2, 1.0)])).await.unwrap();
    client.export(sums(Cumulative, &[(2, 3, 1.0)])).await.unwrap();
    let found = server.violations();
    assert!(found.iter().any(|words| words.contains("without points")), "{found:?}");
    assert!(found.iter().any(|words| words.contains("before, now")), "{found:?}");
}
