//! OTLP over HTTP: one `POST` of a protobuf message per request.

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildError, Request, SendOutcome};
use hornpipe_engine::http::{Compression, Endpoint, HttpClient, TlsConfig};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::response;
use crate::settings::Settings;

/// What encoded metrics are for.
pub(crate) const METRICS_ROUTE: &str = "/v1/metrics";

/// Sends requests to one backend.
pub(crate) struct HttpSender {
    client: HttpClient,
    metrics_endpoint: Endpoint,
    headers: HeaderMap,
}

impl HttpSender {
    /// A sender; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(settings: &Settings, tls: &TlsConfig, clock: Clock) -> Result<Self, BuildError> {
        Ok(HttpSender {
            client: HttpClient::new(tls, clock)?,
            metrics_endpoint: settings.metrics_endpoint.clone(),
            headers: all_headers(&settings.headers, settings.compression),
        })
    }

    /// Sends a request whose body is compressed already.
    pub(crate) async fn send(&self, request: &Request) -> SendOutcome {
        match self.client.post(&self.metrics_endpoint, self.headers.clone(), request.body.clone()).await {
            Ok(answer) => response::of_http(&answer, &self.metrics_endpoint),
            Err(error) => SendOutcome::Retryable { after: None, error: error.to_string() },
        }
    }
}

fn all_headers(own: &HeaderMap, compression: Compression) -> HeaderMap {
    let mut headers = own.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(encoding) = compression.content_encoding() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers
}
