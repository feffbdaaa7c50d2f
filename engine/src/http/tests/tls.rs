//! Certificates, good and bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::super::{Endpoint, HttpClient, TlsConfig};
use super::server::Server;
use crate::Clock;
use crate::config::Report;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A certificate and its key as PEM.
struct Identity {
    certificate: String,
    key: String,
}

/// An authority of our own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hornpipe-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, content: &str) -> Option<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        Some(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that shows `identity`, and wants a certificate of `clients` if there is that.
fn server_config(identity: &Identity, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    builder.with_single_cert(vec![certificate], key).unwrap()
}

/// Posts to a TLS server: its status, or the error.
async fn post(server: ServerConfig, tls: &TlsConfig) -> Result<u16, String> {
    let server = Server::start_tls(OK, server).await;
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", server.address.port())).unwrap();
    let client = HttpClient::new(tls, Clock::system()).unwrap();
    match client.post(&endpoint, HeaderMap::new(), Bytes::new()).await {
        Ok(response) => Ok(response.status.as_u16()),
        Err(error) => Err(error.to_string().replace(&server.address.port().to_string(), "PORT")),
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let directory = Directory::new("authority");
    let authority = Authority::new();
    let server = server_config(&authority.issue(|_| {}), None);
    let mut tls = TlsConfig { ca_file: directory.write("ca.pem", &authority.0.pem()), ..TlsConfig::default() };
    assert_eq!(post(server.clone(), &tls).await, Ok(200));
    tls.include_system_ca_certs_pool = true;
    assert_eq!(post(server.clone(), &tls).await, Ok(200));
    let error = post(server.clone(), &TlsConfig::default()).await.unwrap_err();
    assert!(error.starts_with("TLS handshake with localhost:PORT failed: invalid peer certificate"), "{error}");
    let careless = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(post(server, &careless).await, Ok(200));
}

#[tokio::test]
async fn a_wrong_name_and_an_expired_certificate_are_refused_and_said() {
    let directory = Directory::new("refused");
    let authority = Authority::new();
    let tls = TlsConfig { ca_file: directory.write("ca.pem", &authority.0.pem()), ..TlsConfig::default() };
    let elsewhere = authority.issue(|params| *params = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap());
    let error = post(server_config(&elsewhere, None), &tls).await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let expired = authority.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let error = post(server_config(&expired, None), &tls).await.unwrap_err();
    assert!(error.contains("certificate expired"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let directory = Directory::new("client");
    let authority = Authority::new();
    let server = server_config(&authority.issue(|_| {}), Some(&authority));
    let client = authority.issue(|_| {});
    let anonymous = TlsConfig { ca_file: directory.write("ca.pem", &authority.0.pem()), ..TlsConfig::default() };
    let known = TlsConfig {
        cert_file: directory.write("client.pem", &client.certificate),
        key_file: directory.write("client.key", &client.key),
        ..anonymous.clone()
    };
    assert_eq!(post(server.clone(), &known).await, Ok(200));
    assert!(post(server, &anonymous).await.is_err());
}

#[tokio::test]
async fn certificates_and_key_may_stand_in_the_settings() {
    let authority = Authority::new();
    let server = server_config(&authority.issue(|_| {}), Some(&authority));
    let client = authority.issue(|_| {});
    let known = TlsConfig {
        ca_pem: Some(authority.0.pem()),
        cert_pem: Some(client.certificate.clone()),
        key_pem: Some(client.key.as_str().into()),
        ..TlsConfig::default()
    };
    assert_eq!(post(server, &known).await, Ok(200));
    assert!(!format!("{known:?}").contains(client.key.trim()));

    let error = TlsConfig { key_pem: Some("hunter2".into()), ..known.clone() };
    let error = error.client_config("tls", &Clock::system()).unwrap_err();
    assert_eq!(error.to_string(), "cannot take a private key from key_pem: there is none in it; it must be PEM");
    assert_eq!(error.option, "tls.key_pem");
    let file = Some(PathBuf::from("/file.pem"));
    let twice = TlsConfig { ca_file: file.clone(), cert_file: file.clone(), key_file: file, ..known.clone() };
    let without_key = TlsConfig { key_pem: None, ..known.clone() };
    let without_certificate = TlsConfig { cert_pem: None, ..known.clone() };
    for (tls, expected) in [
        (known, &[][..]),
        (twice, &["tls.ca_pem", "tls.cert_pem", "tls.key_pem"]),
        (without_key, &["tls.cert_pem"]),
        (without_certificate, &["tls.key_pem"]),
    ] {
        let mut report = Report::new();
        tls.validate("tls", &mut report);
        assert_eq!(report.problems().iter().map(|problem| &*problem.path).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_server_of_an_older_version_than_is_wanted_is_refused() {
    let authority = Authority::new();
    let identity = authority.issue(|_| {});
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap().with_no_client_auth();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let server = builder.with_single_cert(vec![certificate], key).unwrap();
    for (version, is_spoken) in [("1.0", true), ("1.1", true), ("1.2", true), ("1.3", false)] {
        let min_version = serde_json::from_value(version.into()).unwrap();
        let tls = TlsConfig { ca_pem: Some(authority.0.pem()), min_version, ..TlsConfig::default() };
        let answer = post(server.clone(), &tls).await;
        assert_eq!(answer.is_ok(), is_spoken, "{version}: {answer:?}");
    }
}

#[tokio::test]
async fn another_name_than_the_endpoints_is_accepted_where_it_is_set() {
    let directory = Directory::new("name");
    let authority = Authority::new();
    let elsewhere = authority.issue(|params| *params = CertificateParams::new(vec!["elsewhere".to_owned()]).unwrap());
    let server = server_config(&elsewhere, None);
    let named = |name: &str| TlsConfig {
        ca_file: directory.write("ca.pem", &authority.0.pem()),
        server_name_override: Some(name.to_owned()),
        ..TlsConfig::default()
    };
    assert_eq!(post(server.clone(), &named("elsewhere")).await, Ok(200));
    let error = post(server, &named("localhost")).await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");

    let mut report = Report::new();
    named("not a name").validate("tls", &mut report);
    assert_eq!(report.problems()[0].path, "tls.server_name_override");
}

#[tokio::test]
async fn files_are_read_again_for_a_new_connection_where_that_is_set() {
    let directory = Directory::new("reload");
    let (before, after) = (Authority::new(), Authority::new());
    let write = |authority: &Authority| {
        let client = authority.issue(|_| {});
        directory.write("client.key", &client.key);
        directory.write("client.pem", &client.certificate);
        directory.write("ca.pem", &authority.0.pem())
    };
    let file = |name: &str| Some(directory.0.join(name));
    let once = TlsConfig {
        ca_file: write(&before),
        cert_file: file("client.pem"),
        key_file: file("client.key"),
        ..TlsConfig::default()
    };
    let again = TlsConfig { reload_interval: Some("0s".parse().unwrap()), ..once.clone() };
    let clients = [once, again].map(|tls| HttpClient::new(&tls, Clock::system()).unwrap());
    write(&after);
    let server = Server::start_tls(OK, server_config(&after.issue(|_| {}), Some(&after))).await;
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", server.address.port())).unwrap();
    let [once, again] = clients.map(|client| {
        let endpoint = endpoint.clone();
        async move { client.post(&endpoint, HeaderMap::new(), Bytes::new()).await.is_ok() }
    });
    assert_eq!((once.await, again.await), (false, true));
}

#[tokio::test]
async fn http_2_is_spoken_where_the_backend_offers_it() {
    let mut config = server_config(&Authority::new().issue(|_| {}), None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut server = Server::start_tls(OK, config).await;
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", server.address.port())).unwrap();
    let careless = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    let client = HttpClient::new(&careless, Clock::system()).unwrap();
    // The server answers in HTTP/1.1, which is no answer to that.
    assert!(client.post(&endpoint, HeaderMap::new(), Bytes::new()).await.is_err());
    let (_, request) = server.request().await;
    assert!(request.starts_with("PRI * HTTP/2.0\r\n\r\n"), "{request}");
}

#[test]
fn an_unusable_file_is_named_with_its_option_and_its_content_is_not_shown() {
    let directory = Directory::new("unusable");
    let authority = Authority::new();
    let (one, other) = (authority.issue(|_| {}), authority.issue(|_| {}));
    let certificate = directory.write("cert.pem", &one.certificate);
    let other_key = directory.write("other.key", &other.key);
    let garbage = directory.write("garbage.pem", "-----BEGIN PRIVATE KEY-----\nhunter2");
    let missing = Some(Path::new("/nonexistent/ca.pem").to_path_buf());
    let cases = [
        (
            TlsConfig { ca_file: missing.clone(), ..TlsConfig::default() },
            "tls.ca_file",
            "cannot read /nonexistent/ca.pem",
        ),
        (TlsConfig { ca_file: other_key.clone(), ..TlsConfig::default() }, "tls.ca_file", "there is none in it"),
        (client_tls(&garbage, &other_key), "tls.cert_file", "garbage.pem"),
        (client_tls(&certificate, &garbage), "tls.key_file", "garbage.pem"),
        (client_tls(&certificate, &missing), "tls.key_file", "cannot read /nonexistent/ca.pem"),
        (client_tls(&certificate, &other_key), "tls.key_file", "other.key does not fit"),
    ];
    for (tls, option, message) in cases {
        let error = tls.client_config("tls", &Clock::system()).unwrap_err();
        assert_eq!(error.option, option);
        assert!(error.message.contains(message) && !error.message.contains("hunter2"), "{}", error.message);
    }
}

fn client_tls(cert_file: &Option<PathBuf>, key_file: &Option<PathBuf>) -> TlsConfig {
    TlsConfig { cert_file: cert_file.clone(), key_file: key_file.clone(), ..TlsConfig::default() }
}
