//! Requests without an answer: what the operator reads.

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

use super::super::{Endpoint, HttpClient, TlsConfig};
use super::server::{Server, Then};
use crate::Clock;

async fn error(url: &str) -> String {
    let client = HttpClient::new(&TlsConfig::default(), Clock::system()).unwrap();
    let endpoint = Endpoint::parse(url).unwrap();
    client.post(&endpoint, HeaderMap::new(), Bytes::from_static(b"payload")).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_refused_connection_names_who_refused_and_nothing_secret() {
    // Bound but not listening: the port refuses, and is nobody else's.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = error(&format!("http://user:hunter2@{address}/path?token=hunter2")).await;
    assert_eq!(error, format!("connection refused by {address}"));
}

#[tokio::test]
async fn a_host_without_an_address_is_named() {
    let error = error("https://user:hunter2@host.invalid/path?token=hunter2").await;
    assert!(error.starts_with("cannot resolve the host of host.invalid:443: "), "{error}");
    assert!(!error.contains("hunter2") && !error.contains("path"), "{error}");
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_told_apart() {
    let server = Server::start(b"", Then::Close).await;
    let error = error(&format!("http://{}", server.address)).await;
    assert_eq!(error, format!("request to {} failed: connection closed before message completed", server.address));
}

#[tokio::test]
async fn a_connection_reset_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let error = error(&format!("http://{address}")).await;
    assert_eq!(error, format!("{address} broke the connection off before it answered"));
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_told_apart() {
    let server = Server::start(b"SSH-2.0-OpenSSH_9.6\r\n", Then::KeepOpen).await;
    let error = error(&format!("http://{}/path?token=hunter2", server.address)).await;
    assert!(error.starts_with(&format!("request to {} failed: ", server.address)), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn plain_http_at_a_tls_client_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = error(&format!("https://{address}")).await;
    assert!(error.starts_with(&format!("TLS handshake with {address} failed: ")), "{error}");
}
