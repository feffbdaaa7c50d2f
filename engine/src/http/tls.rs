//! TLS options of an exporter.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roots::default_roots;
use super::unverified::AnyCertificate;
use crate::component::BuildError;
use crate::config::Report;

/// How a backend is reached over TLS, in the Collector's names. TLS 1.2 is the oldest version spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Connect without TLS where the endpoint does not say it: a gRPC `host:port`. An `http://` or `https://` in front of
    /// the endpoint decides by itself.
    pub insecure: bool,
    /// Accept any certificate. Whoever is on the way can then read and change everything: for tests only.
    pub insecure_skip_verify: bool,
    /// PEM file with the authorities that sign the backend's certificate. Default: the system's, or the ones built in
    /// where the system has none.
    pub ca_file: Option<PathBuf>,
    /// Trust the system's authorities beside those of `ca_file`.
    pub include_system_ca_certs_pool: bool,
    /// PEM file with the certificate (and its chain) that we show to the backend; needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key of `cert_file`.
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Checks what needs no file; `path` is where these settings stand in the exporter's (`tls`).
    pub fn validate(&self, path: &str, report: &mut Report) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => {
                report.error(&format!("{path}.cert_file"), "needs key_file, the certificate's private key")
            }
            (None, Some(_)) => report.error(&format!("{path}.key_file"), "needs cert_file, the key's certificate"),
            _ => {}
        }
    }

    /// The settings for rustls, with the files read. The application protocols (ALPN) are the caller's to set.
    ///
    /// # Errors
    /// A file that cannot be read or used; the option is named from `path` on, where these settings stand (`tls`).
    pub fn client_config(&self, path: &str) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError::new(path, format!("cannot set up TLS: {error}")))?;
        let builder = if self.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(self.roots(path)?)
        };
        let (Some(cert_file), Some(key_file)) = (&self.cert_file, &self.key_file) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(cert_file, &format!("{path}.cert_file"))?;
        let key_option = format!("{path}.key_file");
        let key = PrivateKeyDer::from_pem_slice(&read(key_file, &key_option)?)
            .map_err(|error| unusable(key_file, &key_option, "a private key", &error))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            let message = format!("{} does not fit {}: {error}", key_file.display(), cert_file.display());
            BuildError::new(key_option, message)
        })
    }

    fn roots(&self, path: &str) -> Result<RootCertStore, BuildError> {
        let Some(file) = &self.ca_file else { return Ok(default_roots()) };
        let option = format!("{path}.ca_file");
        let mut roots = if self.include_system_ca_certs_pool { default_roots() } else { RootCertStore::empty() };
        for certificate in certificates(file, &option)? {
            roots.add(certificate).map_err(|error| {
                BuildError::new(&option, format!("{} holds an unusable certificate: {error}", file.display()))
            })?;
        }
        Ok(roots)
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(file: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let pem = read(file, option)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(file, option, "a certificate", &pem::Error::NoItemsFound))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(file, option, "certificates", &error)),
    }
}

fn read(file: &Path, option: &str) -> Result<Vec<u8>, BuildError> {
    fs::read(file).map_err(|error| BuildError::new(option, format!("cannot read {}: {error}", file.display())))
}

/// What the parser says is left out where it may quote the file, which may be a key's.
fn unusable(file: &Path, option: &str, wanted: &str, error: &pem::Error) -> BuildError {
    let why = match error {
        pem::Error::NoItemsFound => "there is none in it",
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        _ => "it is not valid PEM",
    };
    BuildError::new(option, format!("cannot take {wanted} from {}: {why}; it must be a PEM file", file.display()))
}
