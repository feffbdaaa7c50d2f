//! Connections of the gRPC channel, over TLS or not, and why there is none.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::{BuildError, SendOutcome};
use hornpipe_engine::http::{Endpoint, Proxies, TlsConfig, TunnelProxy};
use hornpipe_engine::{BoxFuture, Clock};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tower::{Service, ServiceExt};

/// How long a connection may take to come about, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot resolve the host of {peer}: {}", root_cause(source.as_ref()))]
    Resolve { peer: String, source: BoxError },
    #[error("connection refused by {peer}")]
    Refused { peer: String },
    #[error("cannot connect to {peer}: {}", root_cause(source.as_ref()))]
    Connect { peer: String, source: BoxError },
    #[error("no connection to {peer} within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout { peer: String },
    #[error("no way to {peer} through the proxy {proxy} of {variable}: {}", root_cause(source.as_ref()))]
    Tunnel { peer: String, proxy: String, variable: String, source: BoxError },
    #[error("TLS handshake with {peer} failed: {source}{}", tls_advice(source))]
    Tls { peer: String, source: io::Error },
}

type BoxError = Box<dyn Error + Send + Sync>;

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A future connection, as hyper takes it.
type Connecting = BoxFuture<'static, Result<TokioIo<Box<dyn Stream>>, ConnectError>>;

/// Makes connections to one backend.
#[derive(Clone)]
pub(super) struct Connector {
    peer: String,
    tcp: HttpConnector,
    /// The proxy on the way.
    proxy: Option<TunnelProxy>,
    /// The configuration and the name that the backend's certificate must have; `None` for plaintext.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    clock: Clock,
}

impl Connector {
    /// A connector to a backend, through the environment's proxy where there is one; an `https` endpoint is reached over TLS.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file; a proxy that cannot be used.
    pub(super) fn new(endpoint: &Endpoint, tls: &TlsConfig, clock: Clock) -> Result<Self, BuildError> {
        let proxy = Proxies::of_the_process().tunnel(endpoint)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let tls = if endpoint.is_https() { Some(tls_connector(endpoint, tls, &clock)?) } else { None };
        Ok(Connector { peer: endpoint.authority(), tcp, proxy, tls, clock })
    }

    /// The same in the form that tonic takes.
    pub(super) fn into_service(
        self,
    ) -> impl Service<Uri, Response = TokioIo<Box<dyn Stream>>, Error = ConnectError, Future = Connecting> {
        tower::service_fn(move |address: Uri| -> Connecting {
            let connector = self.clone();
            Box::pin(async move {
                let connecting = connector.connect(address);
                match connector.clock.timeout(CONNECT_TIMEOUT, connecting).await {
                    Ok(result) => result.map(TokioIo::new),
                    Err(_) => Err(ConnectError::Timeout { peer: connector.peer.clone() }),
                }
            })
        })
    }

    async fn connect(&self, address: Uri) -> Result<Box<dyn Stream>, ConnectError> {
        let peer = self.peer.clone();
        let tcp = match &self.proxy {
            Some(proxy) => self.tunnel(proxy, address).await?,
            None => self.direct(address).await?,
        };
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        match connector.connect(name.clone(), tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(source) => Err(ConnectError::Tls { peer, source }),
        }
    }

    async fn tunnel(&self, proxy: &TunnelProxy, address: Uri) -> Result<TcpStream, ConnectError> {
        let mut tunnel = Tunnel::new(proxy.address.clone(), self.tcp.clone());
        if let Some(authorization) = &proxy.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        match tunnel.oneshot(address).await {
            Ok(tcp) => Ok(tcp.into_inner()),
            Err(error) => Err(ConnectError::Tunnel {
                peer: self.peer.clone(),
                proxy: proxy.address.authority().map(ToString::to_string).unwrap_or_default(),
                variable: proxy.variable.clone(),
                source: error.into(),
            }),
        }
    }

    async fn direct(&self, address: Uri) -> Result<TcpStream, ConnectError> {
        let peer = self.peer.clone();
        match self.tcp.clone().oneshot(address).await {
            Ok(tcp) => Ok(tcp.into_inner()),
            // hyper-util says which step failed in its text only.
            Err(error) if error.to_string().starts_with("dns error") => {
                Err(ConnectError::Resolve { peer, source: error.into() })
            }
            Err(error) if is_refusal(&error) => Err(ConnectError::Refused { peer }),
            Err(error) => Err(ConnectError::Connect { peer, source: error.into() }),
        }
    }
}

fn tls_connector(
    endpoint: &Endpoint,
    tls: &TlsConfig,
    clock: &Clock,
) -> Result<(TlsConnector, ServerName<'static>), BuildError> {
    let mut config = tls.client_config("tls", clock)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = match tls.server_name() {
        Some(name) => name,
        None => {
            let host = endpoint.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            ServerName::try_from(host)
                .map_err(|_| BuildError::new("endpoint", "must name a host or an address, as its certificate has to"))?
        }
    };
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// What to do about a failed handshake, where that is known.
fn tls_advice(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "; the backend does not speak TLS there: set `tls: {insecure: true}`, or write http:// in front of the endpoint"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; name the authority that signed the backend's certificate in tls.ca_file, and check the endpoint's host"
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "; if the backend does not speak TLS there, set `tls: {insecure: true}`, or write http:// in front of the endpoint"
        }
        _ => "",
    }
}

/// The outcome of a call that did not get through: it is tried again, whatever happened.
pub(super) fn failure(error: &(dyn Error + 'static), endpoint: &Endpoint) -> SendOutcome {
    let error = match chain(error).find_map(|error| error.downcast_ref::<ConnectError>()) {
        Some(no_connection) => no_connection.to_string(),
        None if endpoint.is_https() => {
            format!("the connection to {} broke: {}", endpoint.authority(), root_cause(error))
        }
        // A port that speaks TLS hangs up on plaintext; there is no more telling sign.
        None => format!(
            "the connection to {} broke: {}; if it speaks TLS there, write https:// in front of the endpoint",
            endpoint.authority(),
            root_cause(error)
        ),
    };
    SendOutcome::Retryable { after: None, error }
}

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let kinds = chain(error).filter_map(|error| error.downcast_ref::<io::Error>());
    kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::ConnectionRefused)
}

/// The innermost error, which says most.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
