//! The client.

use std::env;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use reqwest::redirect::Policy;

use super::endpoint::Endpoint;
use super::response::{HttpResponse, read_body};
use super::retry_after;
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

/// Posts requests to a backend. Connections are kept and used again; HTTP/2 is spoken where the backend offers it over
/// TLS. Proxies are those of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). A redirect is an
/// answer like any other and never followed, so that no header goes where it was not meant to go.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    clock: Clock,
    proxied: bool,
}

impl HttpClient {
    /// A client; it connects at its first request. `tls` stands in the exporter's settings under `tls`.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub fn new(tls: &TlsConfig, clock: Clock) -> Result<Self, BuildError> {
        let mut tls = tls.client_config("tls")?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build()
            .map_err(|error| BuildError::new("", format!("cannot make an HTTP client: {}", error.without_url())))?;
        Ok(HttpClient { client, clock, proxied: environment_names_a_proxy() })
    }

    /// Sends one request, once, and waits for the answer without limit. The `User-Agent` is ours unless `headers` has
    /// one.
    ///
    /// # Errors
    /// Why there was no answer. An answer of any status is not an error.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse, TransportError> {
        let request = self.client.post(endpoint.url().clone()).headers(headers).body(body);
        let response = request.send().await.map_err(|error| TransportError::new(&error, endpoint, self.proxied))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after::parse(value.to_str().ok()?, self.clock.unix()));
        Ok(HttpResponse { status, retry_after, body: read_body(response).await })
    }
}

fn environment_names_a_proxy() -> bool {
    ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].iter().any(|name| {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        set(name) || set(&name.to_ascii_lowercase())
    })
}
