//! gRPC over TLS, with certificates of our own. (HTTP's TLS is the engine's, and tested there.)

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::{context, error_of, send};
use hornpipe_engine::component::{Exporter, ExporterConfig, SendOutcome};
use hornpipe_engine::http::TlsConfig;
use hornpipe_engine::testing::FakeOtlp;
use hornpipe_otlp_exporter::{OtlpConfig, Protocol};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// An authority, with the files that an operator would have: its certificate, and a client's certificate and key.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let directory = std::env::temp_dir().join(format!("hornpipe-otlp-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("ca.pem"), issuer.pem()).expect("a file");
        Authority { issuer, directory }
    }

    /// Certificate and key for localhost, as PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.join(name))
    }

    fn trusting(&self) -> TlsConfig {
        TlsConfig { ca_file: self.file("ca.pem"), ..TlsConfig::default() }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Takes TLS off in front of `backend`; gives the port.
async fn terminate_tls(authority: &Authority, backend: &FakeOtlp, wants_client_certificate: bool) -> u16 {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("protocol versions");
    let builder = if wants_client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).expect("the authority's certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let (certificate, key) = authority.issue();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(vec![certificate], key).expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec()];

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (acceptor, backend) = (TlsAcceptor::from(Arc::new(config)), backend.address());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(backend).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

fn exporter(endpoint: String, tls: TlsConfig) -> Box<dyn Exporter> {
    let config = OtlpConfig { protocol: Some(Protocol::Grpc), endpoint: Some(endpoint), tls, ..OtlpConfig::default() };
    config.build(context()).expect("an exporter")
}

#[tokio::test]
async fn host_and_port_alone_mean_tls_with_a_trusted_certificate() {
    let (authority, backend) = (Authority::new("trust"), FakeOtlp::start().await);
    let port = terminate_tls(&authority, &backend, false).await;
    for endpoint in [format!("localhost:{port}"), format!("https://127.0.0.1:{port}")] {
        assert_eq!(send(&*exporter(endpoint, authority.trusting())).await, SendOutcome::delivered());
    }
    let error = error_of(send(&*exporter(format!("localhost:{port}"), TlsConfig::default())).await);
    assert!(
        error.starts_with(&format!("TLS handshake with localhost:{port} failed: invalid peer certificate")),
        "{error}"
    );
    assert!(error.contains("tls.ca_file"), "{error}");
    let careless = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(send(&*exporter(format!("localhost:{port}"), careless)).await, SendOutcome::delivered());
    assert_eq!(backend.request_count(), 3);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let (authority, backend) = (Authority::new("client"), FakeOtlp::start().await);
    let port = terminate_tls(&authority, &backend, true).await;
    let (certificate, key) = authority.issue();
    fs::write(authority.directory.join("client.pem"), certificate).expect("a file");
    fs::write(authority.directory.join("client.key"), key).expect("a file");
    let known = TlsConfig {
        cert_file: authority.file("client.pem"),
        key_file: authority.file("client.key"),
        ..authority.trusting()
    };
    assert_eq!(send(&*exporter(format!("localhost:{port}"), known)).await, SendOutcome::delivered());
    let error = error_of(send(&*exporter(format!("localhost:{port}"), authority.trusting())).await);
    assert!(error.contains(&format!("localhost:{port}")), "{error}");
    assert_eq!(backend.request_count(), 1);
}

#[tokio::test]
async fn the_certificate_may_be_for_another_name_where_that_is_set() {
    let (authority, backend) = (Authority::new("name"), FakeOtlp::start().await);
    let port = terminate_tls(&authority, &backend, false).await;
    let named = |name: &str| TlsConfig { server_name_override: Some(name.to_owned()), ..authority.trusting() };
    let endpoint = || format!("127.0.0.1:{port}");
    assert_eq!(send(&*exporter(endpoint(), named("localhost"))).await, SendOutcome::delivered());
    let error = error_of(send(&*exporter(endpoint(), named("elsewhere"))).await);
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn plaintext_to_a_tls_port_is_an_error_that_names_the_port() {
    let (authority, backend) = (Authority::new("plaintext"), FakeOtlp::start().await);
    let port = terminate_tls(&authority, &backend, false).await;
    let error = error_of(send(&*exporter(format!("http://localhost:{port}"), TlsConfig::default())).await);
    assert!(error.contains(&format!("localhost:{port}")), "{error}");
    assert!(error.ends_with("if it speaks TLS there, write https:// in front of the endpoint"), "{error}");
}
