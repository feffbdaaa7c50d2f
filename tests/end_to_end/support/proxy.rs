//! An HTTP proxy, as a company has one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A proxy on loopback at whose other end is always one backend, whatever host a client asks for, so that a test sees which
/// hosts those are. It opens TLS with an authority of its own.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    authority: String,
    server: tokio::task::JoinHandle<()>,
}

/// What clients asked for.
#[derive(Default)]
struct Seen {
    requests: Vec<String>,
    credentials: Vec<String>,
}

type Authority = Arc<CertifiedIssuer<'static, KeyPair>>;

impl Proxy {
    /// Starts one in front of a backend.
    pub async fn start(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Arc::new(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap());
        let (pem, seen) = (authority.pem(), Arc::new(Mutex::new(Seen::default())));
        let server = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (authority, seen) = (Arc::clone(&authority), Arc::clone(&seen));
                    // A client that breaks off is its own affair.
                    tokio::spawn(async move { serve(client, backend, &authority, &seen).await });
                }
            }
        });
        Proxy { address, seen, authority: pem, server }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL with a user and a password.
    pub fn url_with(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The first lines of the connections that it was asked for, without the version: `CONNECT host:443`.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// What they showed it of themselves (`Proxy-Authorization`), each where it showed something.
    pub fn credentials(&self) -> Vec<String> {
        self.seen.lock().unwrap().credentials.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    backend: SocketAddr,
    authority: &Authority,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
    let named = text.lines().filter_map(|header| header.split_once(": "));
    let credentials = named.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    let mut server = TcpStream::connect(backend).await?;
    {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(line.clone());
        seen.credentials.extend(credentials.map(|(_, value)| value.to_owned()));
    }
    match line.strip_prefix("CONNECT ") {
        None => {
            server.write_all(&head).await?;
            copy_bidirectional(&mut client, &mut server).await?;
        }
        Some(target) => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
            let mut client = TlsAcceptor::from(Arc::new(identity(authority, host))).accept(client).await?;
            copy_bidirectional(&mut client, &mut server).await?;
        }
    }
    Ok(())
}

/// What the proxy shows instead of a host's own certificate.
fn identity(authority: &Authority, host: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
}
