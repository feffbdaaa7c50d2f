//! The client.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use reqwest::RequestBuilder;
use reqwest::redirect::Policy;

use super::endpoint::Endpoint;
use super::proxy::Proxies;
use super::response::{HttpResponse, read_body};
use super::retry_after::retry_after;
use super::tls::TlsConfig;
use super::transport_error::TransportError;
use crate::Clock;
use crate::component::BuildError;

/// The only time limit of its own: the engine bounds a whole attempt, but an address that swallows packets should be
/// told apart from a slow backend.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When a request waits, an HTTP/2 connection is asked for a sign of life. Without that, a connection that a firewall
/// forgot would take every retry until the kernel gives it up after a quarter of an hour.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("hornpipe/", env!("CARGO_PKG_VERSION"));

/// Sends requests to a backend. Connections are kept and used again; HTTP/2 is spoken where the backend offers it over
/// TLS. A redirect is an answer like any other and never followed, so that no header goes where it was not meant to go.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    clock: Clock,
    /// The variables that name the proxies, as one text; empty without any.
    proxy_variables: String,
}

impl HttpClient {
    /// A client that goes through the proxies of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`);
    /// it connects at its first request. `tls` stands in the exporter's settings under `tls`.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file; a proxy that is no URL.
    pub fn new(tls: &TlsConfig, clock: Clock) -> Result<Self, BuildError> {
        HttpClient::with_proxies(tls, &Proxies::of_the_process(), clock)
    }

    /// The same through proxies of choice.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn with_proxies(tls: &TlsConfig, proxies: &Proxies, clock: Clock) -> Result<Self, BuildError> {
        let mut tls = tls.client_config("tls", &clock)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = proxies
            .apply(reqwest::Client::builder())
            .map_err(|error| BuildError::new("", error.to_string()))?
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build()
            .map_err(|error| BuildError::new("", format!("cannot make an HTTP client: {}", error.without_url())))?;
        Ok(HttpClient { client, clock, proxy_variables: proxies.variables() })
    }

    /// Posts a body, once, and waits for the answer without limit. The `User-Agent` is ours unless `headers` has one.
    ///
    /// # Errors
    /// Why there was no answer. An answer of any status is not an error.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse, TransportError> {
        self.send(self.client.post(endpoint.url().clone()).headers(headers).body(body), endpoint).await
    }

    /// Asks for what is at an address, as [`post`](Self::post) posts to it.
    ///
    /// # Errors
    /// As of [`post`](Self::post).
    pub async fn get(&self, endpoint: &Endpoint, headers: HeaderMap) -> Result<HttpResponse, TransportError> {
        self.send(self.client.get(endpoint.url().clone()).headers(headers), endpoint).await
    }

    async fn send(&self, request: RequestBuilder, endpoint: &Endpoint) -> Result<HttpResponse, TransportError> {
        let failed = |error| TransportError::new(&error, endpoint, &self.proxy_variables);
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let retry_after = retry_after(response.headers(), self.clock.unix());
        Ok(HttpResponse { status, retry_after, body: read_body(response, &self.clock).await })
    }
}
