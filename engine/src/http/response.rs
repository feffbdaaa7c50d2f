//! A backend's answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use crate::Clock;

/// How much of an answer's body is read: what backends say to people, and OTLP's partial success, is far shorter.
const BODY_LIMIT: usize = 64 * 1024;

/// How long the body may take once the status is there: far less than an attempt may, or else it would end as one without an
/// answer.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// What a backend answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The pause that its `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
    /// The body, up to 64 KiB of it. Where the connection broke off, or nothing more came within a second, it is what came
    /// before; the status still counts, because a request that the backend took must not be sent again.
    pub body: Bytes,
}

/// The body of an answer, as far as it comes in time and is read.
pub(super) async fn read_body(mut response: reqwest::Response, clock: &Clock) -> Bytes {
    let mut body = BytesMut::new();
    let deadline = clock.monotonic().saturating_add(BODY_PATIENCE);
    while body.len() < BODY_LIMIT {
        let left = deadline.saturating_sub(clock.monotonic());
        let Ok(Ok(Some(chunk))) = clock.timeout(left, response.chunk()).await else { break };
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    body.freeze()
}
