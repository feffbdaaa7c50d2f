//! TLS options of an exporter.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reloading::Reloading;
use super::roots::default_roots;
use super::unverified::AnyCertificate;
use super::verifier::{BackendVerifier, ClientCertificate};
use crate::Clock;
use crate::component::BuildError;
use crate::config::{Duration, Report};

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
    /// The name that the backend's certificate must have, in place of the endpoint's host.
    pub server_name_override: Option<String>,
    /// The age at which the files are read again, for connections made from then on; `0s` means for each of them.
    /// Default: never.
    pub reload_interval: Option<Duration>,
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
        if self.server_name_override.is_some() && self.server_name().is_none() {
            report.error(&format!("{path}.server_name_override"), "must be the name or address of a host");
        }
    }

    /// The name that the backend's certificate must have, where it is not the endpoint's host; `None` also where what is set
    /// cannot be one, which [`TlsConfig::validate`] reports.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.server_name_override.clone()?).ok()
    }

    /// The settings for rustls, with the files read. The application protocols (ALPN) are the caller's to set.
    ///
    /// # Errors
    /// A file that cannot be read or used; the option is named from `path` on, where these settings stand (`tls`).
    pub fn client_config(&self, path: &str, clock: &Clock) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError::new(path, format!("cannot set up TLS: {error}")))?;
        let verifier: Arc<dyn ServerCertVerifier> = if self.insecure_skip_verify {
            Arc::new(AnyCertificate(Arc::clone(&provider)))
        } else {
            Arc::new(BackendVerifier {
                authorities: self.authorities(path, &provider, clock)?,
                name: self.server_name(),
            })
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let (Some(cert_file), Some(key_file)) = (self.cert_file.clone(), self.key_file.clone()) else {
            return Ok(builder.with_no_client_auth());
        };
        let path = path.to_owned();
        let load = move || certified_key(&cert_file, &key_file, &path, &provider);
        let certificate = Reloading::new(load, self.interval(), clock.clone())?;
        Ok(builder.with_client_cert_resolver(Arc::new(ClientCertificate(certificate))))
    }

    fn authorities(
        &self,
        path: &str,
        provider: &Arc<CryptoProvider>,
        clock: &Clock,
    ) -> Result<Reloading<WebPkiServerVerifier>, BuildError> {
        let (tls, path, provider) = (self.clone(), path.to_owned(), Arc::clone(provider));
        let load = move || {
            let roots = Arc::new(tls.roots(&path)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| BuildError::new(&path, format!("cannot set up TLS: {error}")))
        };
        Reloading::new(load, self.interval(), clock.clone())
    }

    fn interval(&self) -> Option<std::time::Duration> {
        self.reload_interval.map(Duration::get)
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

/// Our certificate with its key, from files.
fn certified_key(
    cert_file: &Path,
    key_file: &Path,
    path: &str,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, BuildError> {
    let chain = certificates(cert_file, &format!("{path}.cert_file"))?;
    let key_option = format!("{path}.key_file");
    let key = PrivateKeyDer::from_pem_slice(&read(key_file, &key_option)?)
        .map_err(|error| unusable(key_file, &key_option, "a private key", &error))?;
    CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|error| {
        BuildError::new(key_option, format!("{} does not fit {}: {error}", key_file.display(), cert_file.display()))
    })
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
