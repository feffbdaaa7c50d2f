//! TLS options of an exporter.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, fs};

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
use crate::config::{Duration, Report, Secret};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// 1.0, which is not spoken: 1.2 is the oldest.
    #[serde(rename = "1.0")]
    V1_0,
    /// 1.1, which is not spoken: 1.2 is the oldest.
    #[serde(rename = "1.1")]
    V1_1,
    /// 1.2
    #[serde(rename = "1.2")]
    V1_2,
    /// 1.3
    #[serde(rename = "1.3")]
    V1_3,
}

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
    /// The same as PEM text in place of a file.
    pub ca_pem: Option<String>,
    /// Trust the system's authorities beside those of `ca_file` or `ca_pem`.
    pub include_system_ca_certs_pool: bool,
    /// PEM file with the certificate (and its chain) that we show to the backend; needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The same as PEM text in place of a file; needs `key_pem` or `key_file`.
    pub cert_pem: Option<String>,
    /// PEM file with the private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The same as PEM text in place of a file.
    pub key_pem: Option<Secret>,
    /// The oldest version of TLS that is spoken: `1.2` (default) or `1.3`. (`1.0` and `1.1` of the Collector mean `1.2`.)
    pub min_version: Option<TlsVersion>,
    /// The name that the backend's certificate must have, in place of the endpoint's host.
    pub server_name_override: Option<String>,
    /// The age at which the files are read again, for connections made from then on; `0s` means for each of them.
    /// Default: never.
    pub reload_interval: Option<Duration>,
}

impl TlsConfig {
    /// Checks what needs no file; `path` is where these settings stand in the exporter's (`tls`).
    pub fn validate(&self, path: &str, report: &mut Report) {
        let mut both = |name: &str, is_both: bool| {
            if is_both {
                report
                    .error(&format!("{path}.{name}_pem"), format!("is set beside {name}_file: leave one of them out"));
            }
        };
        both("ca", self.ca_file.is_some() && self.ca_pem.is_some());
        both("cert", self.cert_file.is_some() && self.cert_pem.is_some());
        both("key", self.key_file.is_some() && self.key_pem.is_some());
        let option = |file: bool, name: &str| format!("{path}.{name}_{}", if file { "file" } else { "pem" });
        match (self.certificate(), self.key()) {
            (Some(_), None) => {
                let option = option(self.cert_file.is_some(), "cert");
                report.error(&option, "needs key_file or key_pem, the certificate's private key");
            }
            (None, Some(_)) => {
                let option = option(self.key_file.is_some(), "key");
                report.error(&option, "needs cert_file or cert_pem, the key's certificate");
            }
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
        let versions: &[_] = match self.min_version {
            Some(TlsVersion::V1_3) => &[&rustls::version::TLS13],
            _ => rustls::DEFAULT_VERSIONS,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
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
        let (Some(certificate), Some(key)) = (self.certificate(), self.key()) else {
            return Ok(builder.with_no_client_auth());
        };
        let path = path.to_owned();
        let load = move || certified_key(&certificate, &key, &path, &provider);
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

    fn certificate(&self) -> Option<Pem> {
        Pem::of("cert", self.cert_file.as_ref(), self.cert_pem.as_deref())
    }

    fn key(&self) -> Option<Pem> {
        Pem::of("key", self.key_file.as_ref(), self.key_pem.as_ref().map(Secret::reveal))
    }

    fn interval(&self) -> Option<std::time::Duration> {
        self.reload_interval.map(Duration::get)
    }

    fn roots(&self, path: &str) -> Result<RootCertStore, BuildError> {
        let Some(pem) = Pem::of("ca", self.ca_file.as_ref(), self.ca_pem.as_deref()) else {
            return Ok(default_roots());
        };
        let mut roots = if self.include_system_ca_certs_pool { default_roots() } else { RootCertStore::empty() };
        for certificate in pem.certificates(path)? {
            let unusable = |error| pem.error(path, format!("{pem} holds an unusable certificate: {error}"));
            roots.add(certificate).map_err(unusable)?;
        }
        Ok(roots)
    }
}

/// Our certificate with its key.
fn certified_key(
    certificate: &Pem,
    key: &Pem,
    path: &str,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, BuildError> {
    let chain = certificate.certificates(path)?;
    let der =
        PrivateKeyDer::from_pem_slice(&key.read(path)?).map_err(|error| key.unusable(path, "a private key", &error))?;
    CertifiedKey::from_der(chain, der, provider)
        .map(Arc::new)
        .map_err(|error| key.error(path, format!("{key} does not fit {certificate}: {error}")))
}

/// Where PEM text is.
enum Pem {
    File { option: &'static str, path: PathBuf },
    Text { option: &'static str, text: Secret },
}

impl Pem {
    /// A file of the options of a name (`ca`, `cert`, `key`), else a text.
    fn of(name: &str, file: Option<&PathBuf>, text: Option<&str>) -> Option<Self> {
        let [in_file, in_text] = match name {
            "ca" => ["ca_file", "ca_pem"],
            "cert" => ["cert_file", "cert_pem"],
            _ => ["key_file", "key_pem"],
        };
        match (file, text) {
            (Some(path), _) => Some(Pem::File { option: in_file, path: path.clone() }),
            (None, Some(text)) => Some(Pem::Text { option: in_text, text: text.into() }),
            (None, None) => None,
        }
    }

    /// The certificates in it, at least one.
    fn certificates(&self, path: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
        let pem = self.read(path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match found {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.unusable(path, "a certificate", &pem::Error::NoItemsFound))
            }
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.unusable(path, "certificates", &error)),
        }
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, BuildError> {
        match self {
            Pem::File { path: file, .. } => {
                fs::read(file).map(Cow::Owned).map_err(|error| self.error(path, format!("cannot read {self}: {error}")))
            }
            Pem::Text { text, .. } => Ok(Cow::Borrowed(text.reveal().as_bytes())),
        }
    }

    /// What the parser says is left out where it may quote the text, which may be a key's.
    fn unusable(&self, path: &str, wanted: &str, error: &pem::Error) -> BuildError {
        let why = match error {
            pem::Error::NoItemsFound => "there is none in it",
            pem::Error::MissingSectionEnd { .. } => "a section has no end",
            _ => "it is not valid PEM",
        };
        let kind = if matches!(self, Pem::File { .. }) { "a PEM file" } else { "PEM" };
        self.error(path, format!("cannot take {wanted} from {self}: {why}; it must be {kind}"))
    }

    fn error(&self, path: &str, message: String) -> BuildError {
        let (Pem::File { option, .. } | Pem::Text { option, .. }) = self;
        BuildError::new(format!("{path}.{option}"), message)
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File { path, .. } => path.display().fmt(f),
            Pem::Text { option, .. } => f.write_str(option),
        }
    }
}
