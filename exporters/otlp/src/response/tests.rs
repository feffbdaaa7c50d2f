use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
use tonic_types::{ErrorDetails, Status as RpcStatus};

use super::*;

fn peer() -> Peer {
    let endpoint = Endpoint::parse("https://user:hunter2@otlp.example/v1/metrics").expect("an endpoint");
    Peer { endpoint, quote: Quote::without(["hunter3secret"]) }
}

fn answer(status: u16, body: &[u8]) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a status");
    HttpResponse { status, retry_after: Some(Duration::from_secs(7)), body: Bytes::copy_from_slice(body) }
}

/// The kind of an outcome with the pause that it asks for, and its text.
fn shown(outcome: SendOutcome) -> (String, String) {
    match outcome {
        SendOutcome::Delivered { rejected, message } => (format!("delivered, {rejected} rejected"), message),
        SendOutcome::Retryable { after, error } => (format!("retryable after {after:?}"), error),
        SendOutcome::TooLarge { error } => ("too large".to_owned(), error),
        SendOutcome::Unauthorized { error } => ("unauthorized".to_owned(), error),
        SendOutcome::Permanent { reason, error } => (format!("permanent, {reason}"), error),
    }
}

#[test]
fn each_http_status_has_its_outcome() {
    let retryable = "retryable after Some(7s)";
    let table = [
        (200, "delivered, 0 rejected"),
        (202, "delivered, 0 rejected"),
        (301, "permanent, refused"),
        (400, "permanent, refused"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "permanent, refused"),
        (408, "permanent, refused"),
        (413, "too large"),
        (415, "permanent, refused"),
        (429, retryable),
        (500, "permanent, refused"),
        (501, "permanent, refused"),
        (502, retryable),
        (503, retryable),
        (504, retryable),
    ];
    for (status, expected) in table {
        assert_eq!(shown(of_http(&answer(status, b""), &peer())).0, expected, "{status}");
    }
}

#[test]
fn each_grpc_code_has_its_outcome() {
    let retryable = "retryable after None";
    let table = [
        (Code::Cancelled, retryable),
        (Code::Unknown, "permanent, refused"),
        (Code::InvalidArgument, "permanent, refused"),
        (Code::DeadlineExceeded, retryable),
        (Code::NotFound, "permanent, refused"),
        (Code::AlreadyExists, "permanent, refused"),
        (Code::PermissionDenied, "unauthorized"),
        (Code::ResourceExhausted, "permanent, refused"),
        (Code::FailedPrecondition, "permanent, refused"),
        (Code::Aborted, retryable),
        (Code::OutOfRange, retryable),
        (Code::Unimplemented, "permanent, refused"),
        (Code::Internal, "permanent, refused"),
        (Code::Unavailable, retryable),
        (Code::DataLoss, retryable),
        (Code::Unauthenticated, "unauthorized"),
    ];
    for (code, expected) in table {
        assert_eq!(shown(of_grpc(&Status::new(code, "no"), &peer())).0, expected, "{code:?}");
    }
}

#[test]
fn each_http_status_without_grpc_has_the_outcome_of_its_code() {
    let retryable = "retryable after Some(7s)";
    let table = [
        (200, "permanent, refused"),
        (302, "permanent, refused"),
        (400, "permanent, refused"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "permanent, refused"),
        (408, "permanent, refused"),
        (413, "too large"),
        (429, retryable),
        (500, "permanent, refused"),
        (502, retryable),
        (503, retryable),
        (504, retryable),
    ];
    for (status, expected) in table {
        assert_eq!(shown(of_no_grpc(&answer(status, b""), &peer())).0, expected, "{status}");
    }
    let (_, error) = shown(of_no_grpc(&answer(503, b"<html>\nbusy"), &peer()));
    let expected =
        "https://otlp.example/v1/metrics answered 503 Service Unavailable without a status of gRPC: <html> busy";
    assert_eq!(error, expected);
}

#[test]
fn a_retry_info_sets_the_pause_and_makes_exhaustion_retryable() {
    let pause = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        let status = Status::with_error_details(code, "later", pause.clone());
        assert_eq!(shown(of_grpc(&status, &peer())).0, "retryable after Some(1.5s)");
    }
    let without_delay = Status::with_error_details(Code::ResourceExhausted, "", ErrorDetails::with_retry_info(None));
    assert_eq!(shown(of_grpc(&without_delay, &peer())).0, "retryable after None");
}

#[test]
fn a_message_above_the_backends_limit_is_too_large_in_every_librarys_words() {
    let table = [
        (Code::ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"),
        (Code::ResourceExhausted, "grpc: received message after decompression larger than max 4194304"),
        (Code::ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5000000"),
        (Code::ResourceExhausted, "Received message larger than max (5000000 vs. 4194304)"),
        (Code::OutOfRange, "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes"),
        (
            Code::ResourceExhausted,
            "Error decompressing: size limit, of 4194304 bytes, exceeded while decompressing message",
        ),
    ];
    for (code, words) in table {
        assert_eq!(shown(of_grpc(&Status::new(code, words), &peer())).0, "too large", "{words}");
    }
}

#[test]
fn a_refusal_repeats_the_backends_own_words() {
    let protobuf =
        RpcStatus { code: 3, message: "metric name\ntoo long".to_owned(), details: Vec::new() }.encode_to_vec();
    let table: [(&[u8], &str); 4] = [
        (&protobuf, "https://otlp.example/v1/metrics answered 400 Bad Request: metric name too long"),
        (b"{\"error\":\"bad\"}\n", "https://otlp.example/v1/metrics answered 400 Bad Request: {\"error\":\"bad\"}"),
        (b"<html>no</html>", "https://otlp.example/v1/metrics answered 400 Bad Request: <html>no</html>"),
        (b"", "https://otlp.example/v1/metrics answered 400 Bad Request"),
    ];
    for (body, expected) in table {
        assert_eq!(shown(of_http(&answer(400, body), &peer())).1, expected);
    }
    let refused = of_grpc(&Status::new(Code::InvalidArgument, "delta is not\tsupported"), &peer());
    assert_eq!(shown(refused).1, "https://otlp.example/v1/metrics answered InvalidArgument: delta is not supported");
}

#[test]
fn no_answer_brings_a_configured_header_into_a_message() {
    let words = "invalid api-key: hunter3secret";
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 1, error_message: words.to_owned() };
    let yes = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let status = RpcStatus { code: 3, message: words.to_owned(), details: Vec::new() }.encode_to_vec();
    for (code, body) in
        [(400, words.as_bytes()), (400, &status[..]), (401, words.as_bytes()), (503, words.as_bytes()), (200, &yes[..])]
    {
        let (_, message) = shown(of_http(&answer(code, body), &peer()));
        assert!(message.contains("invalid api-key: [REDACTED]"), "{message}");
    }
    for outcome in [
        of_grpc(&Status::new(Code::Unauthenticated, words), &peer()),
        of_no_grpc(&answer(502, words.as_bytes()), &peer()),
    ] {
        assert!(shown(outcome).1.contains("invalid api-key: [REDACTED]"));
    }
}

#[test]
fn what_to_do_stands_at_the_end() {
    let table = [
        (401, "check the credentials in `headers`"),
        (404, "`metrics_endpoint` and `logs_endpoint` are used as they are"),
        (302, "redirects are not followed: set `endpoint` to where it leads"),
    ];
    for (status, advice) in table {
        let (_, error) = shown(of_http(&answer(status, b"words"), &peer()));
        assert!(error.ends_with(advice), "{error}");
    }
    let (_, error) = shown(of_grpc(&Status::new(Code::Unauthenticated, ""), &peer()));
    assert_eq!(error, "https://otlp.example/v1/metrics answered Unauthenticated; check the credentials in `headers`");
}

#[test]
fn a_partial_success_is_delivered_with_its_rejects() {
    let response = |rejected, message: &str| {
        let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message: message.to_owned() };
        ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let table = [
        (ExportMetricsServiceResponse::default().encode_to_vec(), "delivered, 0 rejected", ""),
        (response(3, "3 points\ntoo old"), "delivered, 3 rejected", "3 points too old"),
        (response(0, "please upgrade"), "delivered, 0 rejected", "please upgrade"),
        (response(-1, ""), "delivered, 0 rejected", ""),
    ];
    for (body, outcome, message) in table {
        let expected = (outcome.to_owned(), message.to_owned());
        assert_eq!(shown(of_success(&body, &peer())), expected);
        assert_eq!(shown(of_http(&answer(200, &body), &peer())), expected);
    }
}

#[test]
fn a_success_that_cannot_be_read_is_still_a_success() {
    for body in [&b"<html>welcome</html>"[..], b"{}", b"ok"] {
        let (outcome, message) = shown(of_success(body, &peer()));
        assert_eq!(outcome, "delivered, 0 rejected");
        assert!(message.contains("no OTLP response"), "{message}");
    }
}
