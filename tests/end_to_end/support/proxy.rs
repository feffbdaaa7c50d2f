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
    requests: Arc<Mutex<Vec<String>>>,
    authority: String,
    server: tokio::task::JoinHandle<()>,
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
        let (pem, requests) = (authority.pem(), Arc::new(Mutex::new(Vec::new())));
        let server = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (authority, requests) = (Arc::clone(&authority), Arc::clone(&requests));
                    // A client that breaks off is its own affair.
                    tokio::spawn(async move { serve(client, backend, &authority, &requests).await });
                }
            }
        });
        Proxy { address, requests, authority: pem, server }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The first lines of the connections that it was asked for, without the version: `CONNECT host:443`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
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
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
    let mut server = TcpStream::connect(backend).await?;
    requests.lock().unwrap().push(line.clone());
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
