//! What a backend's answer means for a request.
//!
//! The tables are the OTLP specification's ("OTLP/gRPC Response", "OTLP/HTTP Response", "Failures"): which answers may be
//! tried again is not ours to choose, as a backend relies on it.

use std::time::Duration;

use hornpipe_engine::component::SendOutcome;
use hornpipe_engine::http::{Endpoint, HttpResponse, Quote};
use hornpipe_engine::reason;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::settings::Destination;

/// Whoever answers.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    /// Repeats its words.
    pub(crate) quote: Quote,
}

impl Peer {
    /// The backend of a destination; its words come without the values of our headers.
    pub(crate) fn of(destination: &Destination) -> Self {
        let values = destination.headers.values().filter_map(|value| value.to_str().ok());
        Peer { endpoint: destination.endpoint.clone(), quote: Quote::without(values) }
    }
}

/// The outcome of an answer over HTTP.
pub(crate) fn of_http(response: &HttpResponse, peer: &Peer) -> SendOutcome {
    let status = response.status;
    if status.is_success() {
        return of_success(&response.body, peer);
    }
    let error =
        sentence(&format!("{} answered {status}", peer.endpoint), &http_words(response, peer), http_advice(status));
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => SendOutcome::Retryable { after: response.retry_after, error },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SendOutcome::Unauthorized { error },
        StatusCode::PAYLOAD_TOO_LARGE => SendOutcome::TooLarge { error },
        _ => SendOutcome::Permanent { reason: reason::REFUSED, error },
    }
}

/// The outcome of a status that a gRPC backend sent.
pub(crate) fn of_grpc(status: &Status, peer: &Peer) -> SendOutcome {
    let words = peer.quote.text(status.message());
    let code = status.code();
    let error = sentence(&format!("{} answered {code:?}", peer.endpoint), &words, grpc_advice(code));
    match code {
        Code::Unauthenticated | Code::PermissionDenied => SendOutcome::Unauthorized { error },
        Code::ResourceExhausted => match retry_delay(status) {
            Some(after) => SendOutcome::Retryable { after, error },
            None if is_about_size(&words) => SendOutcome::TooLarge { error },
            None => SendOutcome::Permanent { reason: reason::REFUSED, error },
        },
        // tonic's servers say OutOfRange of a message above their limit, which would be as large at the next attempt.
        Code::OutOfRange if is_about_size(&words) => SendOutcome::TooLarge { error },
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => SendOutcome::Retryable { after: retry_delay(status).flatten(), error },
        _ => SendOutcome::Permanent { reason: reason::REFUSED, error },
    }
}

/// The outcome of an answer to a gRPC call without a status of gRPC: of a proxy, or of no gRPC server at all. The code is the
/// one that gRPC wants to be taken for the status of HTTP ("HTTP to gRPC Status Code Mapping").
pub(crate) fn of_no_grpc(response: &HttpResponse, peer: &Peer) -> SendOutcome {
    let status = response.status;
    let code = match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    let what = format!("{} answered {status} without a status of gRPC", peer.endpoint);
    let error = sentence(&what, &peer.quote.bytes(&response.body), grpc_advice(code));
    match code {
        Code::Unauthenticated | Code::PermissionDenied => SendOutcome::Unauthorized { error },
        Code::Unavailable => SendOutcome::Retryable { after: response.retry_after, error },
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => SendOutcome::TooLarge { error },
        _ => SendOutcome::Permanent { reason: reason::REFUSED, error },
    }
}

/// The outcome of an answer that says yes, of either protocol.
///
/// The response of metrics is read for every signal: that of logs has the same fields at the same places, under another
/// name. A body that is no OTLP response changes nothing about the yes: to send the data again would only double it.
pub(crate) fn of_success(body: &[u8], peer: &Peer) -> SendOutcome {
    match ExportMetricsServiceResponse::decode(body) {
        Ok(response) => {
            let partial = response.partial_success.unwrap_or_default();
            SendOutcome::Delivered {
                rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0),
                message: peer.quote.text(&partial.error_message),
            }
        }
        Err(_) => SendOutcome::Delivered {
            rejected: 0,
            message: format!(
                "{} answered success with a body that is no OTLP response; the data counts as delivered, but check that the \
                 endpoint is an OTLP backend",
                peer.endpoint
            ),
        },
    }
}

/// `Some` where the status holds a `RetryInfo`, with the pause that it asks for.
fn retry_delay(status: &Status) -> Option<Option<Duration>> {
    status.get_details_retry_info().map(|info| info.retry_delay)
}

/// True for the words by which gRPC libraries refuse a message above their limit: those of Go, Java, C++ and Rust.
fn is_about_size(words: &str) -> bool {
    const WORDS: [&str; 4] = ["larger than max", "exceeds maximum size", "message length too large", "size limit"];
    let words = words.to_lowercase();
    WORDS.iter().any(|known| words.contains(known))
}

/// The message of the `google.rpc.Status` that the specification asks for, or the body as text.
fn http_words(response: &HttpResponse, peer: &Peer) -> String {
    match tonic_types::Status::decode(response.body.clone()) {
        Ok(status) if !status.message.is_empty() => peer.quote.text(&status.message),
        _ => peer.quote.bytes(&response.body),
    }
}

fn http_advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "check the credentials in `headers`",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "check the endpoint: /v1/metrics or /v1/logs is appended to `endpoint`; `metrics_endpoint` and `logs_endpoint` \
             are used as they are"
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "check that the backend takes OTLP as protobuf, and the compression",
        status if status.is_redirection() => "redirects are not followed: set `endpoint` to where it leads",
        _ => "",
    }
}

fn grpc_advice(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => "check the credentials in `headers`",
        Code::Unimplemented => {
            "check that an OTLP backend for this signal listens there, and that it knows the compression; \
             for OTLP over HTTP set `protocol: http/protobuf`"
        }
        _ => "",
    }
}

/// What happened, the backend's words, what to do: those that there are.
fn sentence(what: &str, words: &str, advice: &str) -> String {
    let mut text = what.to_owned();
    if !words.is_empty() {
        text = format!("{text}: {words}");
    }
    if !advice.is_empty() {
        text = format!("{text}; {advice}");
    }
    text
}

#[cfg(test)]
mod tests;
