//! The certificate authorities that a backend is trusted by.

use rustls::RootCertStore;

/// The system's authorities; where it has none, as in an image built `FROM scratch`, Mozilla's, which are built in.
///
/// The system's come from `SSL_CERT_FILE` and `SSL_CERT_DIR` if set, else from where the distribution keeps them.
pub(super) fn default_roots() -> RootCertStore {
    roots_or_built_in(rustls_native_certs::load_native_certs().certs)
}

fn roots_or_built_in(system: Vec<rustls::pki_types::CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system);
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_authorities_gets_the_built_in_ones() {
        assert!(roots_or_built_in(Vec::new()).len() > 100);
        assert!(roots_or_built_in(vec![b"no certificate".to_vec().into()]).len() > 100);
    }

    #[test]
    fn a_system_with_authorities_gets_only_its_own() {
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].clone();
        assert_eq!(roots_or_built_in(vec![one]).len(), 1);
    }
}
