//! The services of an OTLP server, over gRPC and over HTTP.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Status};

use crate::lock;
use crate::testing::backend::{Behaviour, decompress};

/// What OTLP recommends as the limit of a request.
const REQUEST_LIMIT: usize = 64 * 1024 * 1024;

const PROTOBUF: &str = "application/x-protobuf";

/// What was taken, in the order of arrival.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) metrics: Vec<ExportMetricsServiceRequest>,
    pub(super) logs: Vec<ExportLogsServiceRequest>,
}

/// The services; all share what was taken.
#[derive(Clone, Default)]
pub(super) struct Services(Arc<Mutex<Taken>>);

impl Services {
    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.0)
    }

    pub(super) fn router(&self) -> Router {
        let metrics = MetricsServiceServer::new(self.clone())
            .max_decoding_message_size(REQUEST_LIMIT)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        let logs = LogsServiceServer::new(self.clone())
            .max_decoding_message_size(REQUEST_LIMIT)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        Router::new()
            .route("/v1/metrics", post(take_metrics))
            .route("/v1/logs", post(take_logs))
            .with_state(self.clone())
            .route_service("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", metrics)
            .route_service("/opentelemetry.proto.collector.logs.v1.LogsService/Export", logs)
    }

    fn export_metrics(
        &self,
        request: ExportMetricsServiceRequest,
        told: Option<&Behaviour>,
    ) -> ExportMetricsServiceResponse {
        self.taken().metrics.push(request);
        let partial_success = partial_success(told).map(|(rejected_data_points, error_message)| {
            ExportMetricsPartialSuccess { rejected_data_points, error_message }
        });
        ExportMetricsServiceResponse { partial_success }
    }

    fn export_logs(&self, request: ExportLogsServiceRequest, told: Option<&Behaviour>) -> ExportLogsServiceResponse {
        self.taken().logs.push(request);
        let partial_success = partial_success(told).map(|(rejected_log_records, error_message)| {
            ExportLogsPartialSuccess { rejected_log_records, error_message }
        });
        ExportLogsServiceResponse { partial_success }
    }
}

fn partial_success(told: Option<&Behaviour>) -> Option<(i64, String)> {
    match told {
        Some(Behaviour::PartialSuccess { rejected, message }) => Some((*rejected, message.clone())),
        _ => None,
    }
}

#[tonic::async_trait]
impl MetricsService for Services {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let told = request.extensions().get::<Behaviour>().cloned();
        Ok(tonic::Response::new(self.export_metrics(request.into_inner(), told.as_ref())))
    }
}

#[tonic::async_trait]
impl LogsService for Services {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let told = request.extensions().get::<Behaviour>().cloned();
        Ok(tonic::Response::new(self.export_logs(request.into_inner(), told.as_ref())))
    }
}

async fn take_metrics(
    Shared(services): Shared<Services>,
    told: Option<Extension<Behaviour>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    over_http(&headers, &body, |request| services.export_metrics(request, told.as_deref()))
}

async fn take_logs(
    Shared(services): Shared<Services>,
    told: Option<Extension<Behaviour>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    over_http(&headers, &body, |request| services.export_logs(request, told.as_deref()))
}

/// Decodes a request, has it taken and encodes the response.
fn over_http<I: Message + Default, O: Message>(
    headers: &HeaderMap,
    body: &[u8],
    take: impl FnOnce(I) -> O,
) -> Response {
    if headers.get(CONTENT_TYPE).is_none_or(|found| found.as_bytes() != PROTOBUF.as_bytes()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let decoded = decompress(headers, body).and_then(|plain| I::decode(&plain[..]).map_err(|error| error.to_string()));
    match decoded {
        Ok(request) => {
            let response = take(request).encode_to_vec();
            ([(CONTENT_TYPE, PROTOBUF)], Body::from(response)).into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}
