//! OTLP over HTTP: one `POST` of a protobuf message per request.

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildError, Request, SendOutcome};
use hornpipe_engine::http::HttpClient;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::response::{self, Peer};
use crate::settings::Destination;

/// The paths of the signals below a base URL.
pub(crate) const METRICS_ROUTE: &str = "/v1/metrics";
pub(crate) const LOGS_ROUTE: &str = "/v1/logs";

/// Sends the requests of one signal to one backend. A clone shares its connections.
#[derive(Clone)]
pub(crate) struct HttpSender {
    client: HttpClient,
    peer: Peer,
    headers: HeaderMap,
}

impl HttpSender {
    /// A sender; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(destination: &Destination, clock: Clock) -> Result<Self, BuildError> {
        Ok(HttpSender {
            client: HttpClient::new(&destination.tls, clock)?,
            peer: Peer::of(destination),
            headers: all_headers(destination),
        })
    }

    /// The same with another destination, for which the same TLS settings hold.
    pub(crate) fn to(self, destination: &Destination) -> Self {
        HttpSender { peer: Peer::of(destination), headers: all_headers(destination), ..self }
    }

    /// Sends a request whose body is compressed already.
    pub(crate) async fn send(&self, request: &Request) -> SendOutcome {
        match self.client.post(&self.peer.endpoint, self.headers.clone(), request.body.clone()).await {
            Ok(answer) => response::of_http(&answer, &self.peer),
            Err(error) => SendOutcome::Retryable { after: None, error: error.to_string() },
        }
    }
}

fn all_headers(destination: &Destination) -> HeaderMap {
    let mut headers = destination.headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(encoding) = destination.compression.content_encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers
}
