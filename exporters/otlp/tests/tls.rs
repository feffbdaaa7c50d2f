//! gRPC over TLS, with certificates of our own. (HTTP's TLS is the engine's, and tested there.)

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{context, error_of, send};
use hornpipe_engine::component::{Exporter, ExporterConfig, SendOutcome};
use hornpipe_engine::http::TlsConfig;
use hornpipe_engine::testing::{Authority, FakeOtlp, TlsFront};
use hornpipe_otlp_exporter::{OtlpConfig, Protocol};

/// An authority, with the files that an operator would have: its certificate, and a client's certificate and key.
struct Files {
    authority: Authority,
    directory: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("hornpipe-otlp-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let files = Files { authority: Authority::new(), directory };
        files.write("ca.pem", &files.authority.pem());
        let client = files.authority.issue();
        files.write("client.pem", &client.certificate);
        files.write("client.key", &client.key);
        files
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.join(name), content).expect("a file");
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.join(name))
    }

    fn trusting(&self) -> TlsConfig {
        TlsConfig { ca_file: self.file("ca.pem"), ..TlsConfig::default() }
    }

    /// TLS in front of `backend`.
    async fn front(&self, backend: &FakeOtlp) -> TlsFront {
        TlsFront::start(backend.address(), &self.authority.issue(), None).await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn exporter(endpoint: String, tls: TlsConfig) -> Box<dyn Exporter> {
    let config = OtlpConfig { protocol: Some(Protocol::Grpc), endpoint: Some(endpoint), tls, ..OtlpConfig::default() };
    config.build(context()).expect("an exporter")
}

#[tokio::test]
async fn host_and_port_alone_mean_tls_with_a_trusted_certificate() {
    let (files, backend) = (Files::new("trust"), FakeOtlp::start().await);
    let front = files.front(&backend).await;
    let port = front.port();
    for endpoint in [format!("localhost:{port}"), format!("https://127.0.0.1:{port}")] {
        assert_eq!(send(&*exporter(endpoint, files.trusting())).await, SendOutcome::delivered());
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
    let (files, backend) = (Files::new("client"), FakeOtlp::start().await);
    let front = TlsFront::start(backend.address(), &files.authority.issue(), Some(&files.authority)).await;
    let port = front.port();
    let known =
        TlsConfig { cert_file: files.file("client.pem"), key_file: files.file("client.key"), ..files.trusting() };
    assert_eq!(send(&*exporter(format!("localhost:{port}"), known)).await, SendOutcome::delivered());
    let error = error_of(send(&*exporter(format!("localhost:{port}"), files.trusting())).await);
    assert!(error.contains(&format!("localhost:{port}")), "{error}");
    assert_eq!(backend.request_count(), 1);
}

#[tokio::test]
async fn the_certificate_may_be_for_another_name_where_that_is_set() {
    let (files, backend) = (Files::new("name"), FakeOtlp::start().await);
    let front = files.front(&backend).await;
    let port = front.port();
    let named = |name: &str| TlsConfig { server_name_override: Some(name.to_owned()), ..files.trusting() };
    let endpoint = || format!("127.0.0.1:{port}");
    assert_eq!(send(&*exporter(endpoint(), named("localhost"))).await, SendOutcome::delivered());
    let error = error_of(send(&*exporter(endpoint(), named("elsewhere"))).await);
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn plaintext_to_a_tls_port_is_an_error_that_names_the_port() {
    let (files, backend) = (Files::new("plaintext"), FakeOtlp::start().await);
    let front = files.front(&backend).await;
    let port = front.port();
    let error = error_of(send(&*exporter(format!("http://localhost:{port}"), TlsConfig::default())).await);
    assert!(error.contains(&format!("localhost:{port}")), "{error}");
    assert!(error.ends_with("if it speaks TLS there, write https:// in front of the endpoint"), "{error}");
}
