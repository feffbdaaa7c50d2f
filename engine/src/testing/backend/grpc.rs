//! Statuses of gRPC, as an OTLP server gives them over gRPC and over HTTP.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use prost::Message;
use tonic::{Code, Status};

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The response to a gRPC call.
pub(super) fn over_grpc(code: i32, message: &str, retry_after: Option<Duration>) -> Response {
    let details = rpc_status(code, message, retry_after).encode_to_vec();
    Status::with_details(Code::from(code), message, details.into()).into_http()
}

/// The response to a request over HTTP: the status that the OpenTelemetry Collector gives for the code.
pub(super) fn over_http(code: i32, message: &str, retry_after: Option<Duration>) -> Response {
    let status = match Code::from(code) {
        Code::InvalidArgument => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::Unimplemented => 404,
        Code::ResourceExhausted => 429,
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange => 503,
        Code::Unavailable | Code::DataLoss => 503,
        _ => 500,
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/x-protobuf");
    if let Some(pause) = retry_after {
        response = response.header(RETRY_AFTER, pause.as_secs());
    }
    let body = rpc_status(code, message, retry_after).encode_to_vec();
    response.body(Body::from(body)).expect("the response is valid HTTP")
}

fn rpc_status(code: i32, message: &str, retry_after: Option<Duration>) -> RpcStatus {
    let details = retry_after.map(|pause| Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo {
            retry_delay: Some(Delay { seconds: pause.as_secs() as i64, nanos: pause.subsec_nanos() as i32 }),
        }
        .encode_to_vec(),
    });
    RpcStatus { code, message: message.to_owned(), details: details.into_iter().collect() }
}
