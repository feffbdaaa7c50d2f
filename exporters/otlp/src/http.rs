//! OTLP over HTTP: one `POST` of a protobuf message per request.

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildError, Request, SendOutcome};
use hornpipe_engine::http::{Compression, HttpClient, TlsConfig};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::response;
use crate::settings::{Endpoints, Settings};

/// The paths of the signals below a base URL.
pub(crate) const METRICS_ROUTE: &str = "/v1/metrics";
pub(crate) const LOGS_ROUTE: &str = "/v1/logs";

/// Sends requests to one backend.
pub(crate) struct HttpSender {
    client: HttpClient,
    endpoints: Endpoints,
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
            endpoints: settings.endpoints.clone(),
            headers: all_headers(&settings.headers, settings.compression),
        })
    }

    /// Sends a request whose body is compressed already.
    pub(crate) async fn send(&self, request: &Request) -> SendOutcome {
        let endpoint = self.endpoints.of(request.signal);
        match self.client.post(endpoint, self.headers.clone(), request.body.clone()).await {
            Ok(answer) => response::of_http(&answer, endpoint),
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
