//! A backend's answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

/// How much of an answer's body is read: what backends say to people, and OTLP's partial success, is far shorter.
const BODY_LIMIT: usize = 64 * 1024;

/// What a backend answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The pause that its `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
    /// The body, up to 64 KiB of it. Where the connection broke off it is what came before; the status still counts,
    /// because a request that the backend took must not be sent again.
    pub body: Bytes,
}

/// The body of an answer, as far as it is read.
pub(super) async fn read_body(mut response: reqwest::Response) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < BODY_LIMIT {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    body.freeze()
}
