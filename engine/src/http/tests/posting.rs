//! Requests that are answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hornpipe_model::Timestamp;
use http::{HeaderMap, HeaderValue};

use super::super::{HttpClient, HttpResponse, TlsConfig};
use super::server::{Server, Then};
use crate::{BoxFuture, Clock, ClockSource};

/// 1994-11-06 08:49:37 UTC, for ever.
struct StandingClock;

impl ClockSource for StandingClock {
    fn unix(&self) -> Timestamp {
        Timestamp::from_secs(784_111_777)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep_until(&self, _deadline: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn client() -> HttpClient {
    HttpClient::new(&TlsConfig::default(), Clock::new(Arc::new(StandingClock))).unwrap()
}

async fn answer(bytes: &[u8], then: Then) -> HttpResponse {
    let server = Server::start(bytes, then).await;
    client().post(&server.endpoint(), HeaderMap::new(), Bytes::new()).await.unwrap()
}

#[tokio::test]
async fn headers_body_and_path_arrive_and_the_connection_is_used_again() {
    let mut server = Server::start(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", Then::KeepOpen).await;
    let client = client();
    let mut headers = HeaderMap::new();
    headers.insert("dd-api-key", HeaderValue::from_static("key"));
    for _ in 0..2 {
        let endpoint = server.endpoint().join("/api/v2/series");
        let response = client.post(&endpoint, headers.clone(), Bytes::from_static(b"payload")).await.unwrap();
        assert_eq!((response.status.as_u16(), response.body), (202, Bytes::from_static(b"{}")));
        let (connection, request) = server.request().await;
        assert_eq!(connection, 1);
        assert!(request.starts_with("POST /api/v2/series HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\npayload"), "{request}");
        let agent = format!("user-agent: hornpipe/{}\r\n", env!("CARGO_PKG_VERSION"));
        for header in ["dd-api-key: key\r\n", "content-length: 7\r\n", &agent] {
            assert!(request.contains(header), "{header} is not in {request}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let cases = [("30", Some(30)), ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)), ("later", None)];
    for (value, seconds) in cases {
        let bytes = format!("HTTP/1.1 429 Too Many\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        let response = answer(bytes.as_bytes(), Then::KeepOpen).await;
        assert_eq!((response.status.as_u16(), response.retry_after), (429, seconds.map(Duration::from_secs)));
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::KeepOpen).await;
    let bytes = format!("HTTP/1.1 307 Moved\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    assert_eq!(answer(bytes.as_bytes(), Then::KeepOpen).await.status.as_u16(), 307);
}

#[tokio::test]
async fn a_long_body_is_read_up_to_its_limit() {
    let mut bytes = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 100000\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + 100_000, b'x');
    assert_eq!(answer(&bytes, Then::KeepOpen).await.body.len(), 64 * 1024);
}

#[tokio::test]
async fn a_status_counts_although_the_body_breaks_off() {
    let response = answer(b"HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\n{\"err", Then::Close).await;
    assert_eq!((response.status.as_u16(), response.body), (202, Bytes::from_static(b"{\"err")));
}
