//! What a backend answers to a gRPC call ("gRPC over HTTP2", Responses).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use hornpipe_engine::component::SendOutcome;
use hornpipe_engine::http::{HttpResponse, retry_after};
use hornpipe_model::Timestamp;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::encode::FRAME_HEADER_BYTES;
use crate::headers::percent_decoded;
use crate::response::{self, Peer};

/// How much of an answer's body is read: an OTLP response is far shorter.
const BODY_LIMIT: usize = 64 * 1024;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// Details come with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An answer that has come in full.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

/// Reads an answer to its end: a call's status comes last, and before it nothing is known, whatever has come. How long that may
/// take is up to the attempt.
///
/// # Errors
/// A connection that broke before.
pub(super) async fn read(response: http::Response<Body>) -> Result<Answer, Status> {
    let (parts, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                let room = BODY_LIMIT - body.len();
                body.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.freeze(), trailers })
}

impl Answer {
    /// What the answer means for the request.
    pub(super) fn outcome(self, peer: &Peer, now: Timestamp) -> SendOutcome {
        // Where there is nothing else to say, the status stands among the headers.
        let said = if self.trailers.contains_key(STATUS) { &self.trailers } else { &self.headers };
        match text(said, STATUS).map(|code| code.parse().map_or(Code::Unknown, Code::from_i32)) {
            Some(Code::Ok) => response::of_success(message(&self.body), peer),
            Some(code) => {
                let words = text(said, MESSAGE).unwrap_or_default();
                let words = percent_decoded(&words).unwrap_or(words);
                response::of_grpc(&Status::with_details(code, words, details(said)), peer)
            }
            None => {
                let pause = retry_after(&self.headers, now);
                let answer = HttpResponse { status: self.status, retry_after: pause, body: self.body };
                response::of_no_grpc(&answer, peer)
            }
        }
    }
}

/// The message of an unary answer: what stands in the one frame. Where there is no such frame, the body as it is, which
/// is then no OTLP response either.
fn message(body: &[u8]) -> &[u8] {
    match body.split_first_chunk::<FRAME_HEADER_BYTES>() {
        Some(([0, length @ ..], message)) if u32::from_be_bytes(*length) as usize == message.len() => message,
        _ => body,
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The encoded `google.rpc.Status`; nothing where it cannot be read: it adds a pause at most.
fn details(headers: &HeaderMap) -> Bytes {
    let encoded = headers.get(DETAILS).map(|value| value.as_bytes()).unwrap_or_default();
    BASE64.decode(encoded).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hornpipe_engine::http::{Endpoint, Quote};
    use hornpipe_engine::reason;
    use http::HeaderValue;
    use prost::Message;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    /// What a call comes to whose trailers are these, after an empty response.
    fn outcome(trailers: &[(&'static str, &str)]) -> SendOutcome {
        let trailers = trailers
            .iter()
            .map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value")));
        let body = Bytes::from_static(&[0; FRAME_HEADER_BYTES]);
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body, trailers: trailers.collect() };
        let endpoint = Endpoint::parse("http://otlp.example:4317").expect("an endpoint");
        let peer = Peer { endpoint, quote: Quote::default() };
        answer.outcome(&peer, Timestamp::from_secs(0))
    }

    fn after(outcome: SendOutcome) -> Option<Duration> {
        match outcome {
            SendOutcome::Retryable { after, .. } => after,
            other => panic!("not retryable: {other:?}"),
        }
    }

    #[test]
    fn details_that_cannot_be_read_cost_no_data() {
        for details in ["%%%", "!", "not base64", "AAAA====", "/////w==", "é"] {
            let trailers = [(STATUS, "14"), (MESSAGE, "later"), (DETAILS, details)];
            assert_eq!(after(outcome(&trailers)), None, "{details}");
        }
        // Without the pause that its details may have named, it is as the code says.
        let exhausted = outcome(&[(STATUS, "8"), (DETAILS, "%%%")]);
        assert!(matches!(exhausted, SendOutcome::Permanent { reason: reason::REFUSED, .. }), "{exhausted:?}");
    }

    #[test]
    fn a_pause_is_found_in_details_with_and_without_padding() {
        for pause in [1_u64, 10, 100] {
            let wanted = Duration::from_secs(pause);
            let status =
                Status::with_error_details(Code::Unavailable, "x", ErrorDetails::with_retry_info(Some(wanted)));
            let padded = base64::engine::general_purpose::STANDARD.encode(status.details());
            for details in [padded.as_str(), padded.trim_end_matches('=')] {
                assert_eq!(after(outcome(&[(STATUS, "14"), (DETAILS, details)])), Some(wanted), "{details}");
            }
        }
    }

    #[test]
    fn words_come_without_their_escapes_and_broken_escapes_as_they_are() {
        for (sent, shown) in [("a%20b%C3%A9", "a bé"), ("100%", "100%"), ("%zz", "%zz")] {
            let SendOutcome::Permanent { error, .. } = outcome(&[(STATUS, "3"), (MESSAGE, sent)]) else {
                panic!("{sent}")
            };
            assert!(error.ends_with(&format!("InvalidArgument: {shown}")), "{error}");
        }
    }

    #[test]
    fn an_unknown_code_is_not_tried_again() {
        for code in ["17", "-1", "", "high"] {
            assert!(matches!(outcome(&[(STATUS, code)]), SendOutcome::Permanent { .. }), "{code}");
        }
        assert!(matches!(outcome(&[]), SendOutcome::Permanent { .. }));
        assert_eq!(outcome(&[(STATUS, "0")]), SendOutcome::delivered());
    }

    #[test]
    fn only_a_whole_plain_frame_is_opened() {
        let partial = tonic_types::Status { code: 0, message: "x".to_owned(), details: Vec::new() }.encode_to_vec();
        let frame = |flag: u8, length: u32| [&[flag][..], &length.to_be_bytes(), &partial].concat();
        let length = partial.len() as u32;
        assert_eq!(message(&frame(0, length)), partial);
        for broken in [frame(1, length), frame(0, length + 1), partial.clone(), vec![0, 0]] {
            assert_eq!(message(&broken), broken);
        }
        assert_eq!(message(&[]), [0_u8; 0]);
    }
}
