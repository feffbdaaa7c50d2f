//! A backend that says what it is told to, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use super::super::Endpoint;

/// One server, which answers every request on a connection with the same bytes.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Requests as they came, each with the number of its connection.
    requests: UnboundedReceiver<(usize, String)>,
}

/// What a server does when it has sent its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    KeepOpen,
    Close,
}

impl Server {
    /// Answers with `answer` over plain TCP.
    pub(super) async fn start(answer: &[u8], then: Then) -> Self {
        Server::serve(answer, then, None).await
    }

    /// Answers with `answer` over TLS.
    pub(super) async fn start_tls(answer: &[u8], config: ServerConfig) -> Self {
        Server::serve(answer, Then::KeepOpen, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(answer: &[u8], then: Then, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = unbounded_channel();
        let answer: Arc<[u8]> = answer.into();
        tokio::spawn(async move {
            for number in 1.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (answer, tls, sender) = (Arc::clone(&answer), tls.clone(), sender.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer_all(stream, number, &answer, then, &sender).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer_all(stream, number, &answer, then, &sender).await;
                            }
                        }
                    }
                });
            }
        });
        Server { address, requests }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// The next request, with the number of its connection.
    pub(super) async fn request(&mut self) -> (usize, String) {
        self.requests.recv().await.unwrap()
    }
}

/// Reads requests and answers each, until the client or the script closes.
async fn answer_all(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    answer: &[u8],
    then: Then,
    sender: &UnboundedSender<(usize, String)>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let _ = sender.send((number, request));
        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() || then == Then::Close {
            return;
        }
    }
}

/// A request with as much body as its `content-length` says; none at the end of the stream.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(request);
            }
        }
        let read = stream.read(&mut buffer).await.ok().filter(|&read| read > 0)?;
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}
