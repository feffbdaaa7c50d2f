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

impl HttpResponse {
    /// At most the first `limit` bytes of the body as one line of text, for an error message: what is not UTF-8 is
    /// replaced, white space and control characters become single spaces.
    pub fn text(&self, limit: usize) -> String {
        let start = self.body.get(..limit).unwrap_or(&self.body);
        let text = String::from_utf8_lossy(start);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_as_text_is_one_line_and_not_longer_than_wanted() {
        let cases: [(&[u8], usize, &str); 5] = [
            (b"{\"errors\":[\"bad\"]}\r\n", 1000, "{\"errors\":[\"bad\"]}"),
            (b"a\n\n\x1b[31mb\0c", 1000, "a [31mb c"),
            (b"0123456789", 4, "0123"),
            ("aé".as_bytes(), 2, "a\u{fffd}"),
            (b"", 1000, ""),
        ];
        for (body, limit, text) in cases {
            let response =
                HttpResponse { status: StatusCode::OK, retry_after: None, body: Bytes::copy_from_slice(body) };
            assert_eq!(response.text(limit), text);
        }
    }
}
