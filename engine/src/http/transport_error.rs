//! Why a request got no answer.

use std::error::Error;
use std::io;

use super::client::CONNECT_TIMEOUT;
use super::endpoint::Endpoint;

/// A request that got no answer, in words for the operator. Never holds what a URL may hide: user, password or query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(String);

impl TransportError {
    /// `proxy_variables` are those of the environment that name proxies, empty without any.
    pub(super) fn new(error: &reqwest::Error, endpoint: &Endpoint, proxy_variables: &str) -> Self {
        let mut message = describe(error, &endpoint.authority());
        if !proxy_variables.is_empty() && error.is_connect() {
            message.push_str("; the environment names a proxy, check that too: ");
            message.push_str(proxy_variables);
        }
        TransportError(message)
    }
}

fn describe(error: &reqwest::Error, peer: &str) -> String {
    if error.is_dns() {
        return format!("cannot resolve the host of {peer}: {}", root_cause(error));
    }
    if let Some(tls) = causes(error).find_map(|error| error.downcast_ref::<rustls::Error>()) {
        return format!("TLS handshake with {peer} failed: {tls}{}", advice(tls));
    }
    if error.is_connect() && error.is_timeout() {
        return format!("no connection to {peer} within {} s", CONNECT_TIMEOUT.as_secs());
    }
    let io_kinds = causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    match io_kinds.last() {
        Some(io::ErrorKind::ConnectionRefused) => format!("connection refused by {peer}"),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            format!("{peer} broke the connection off before it answered")
        }
        _ if error.is_connect() => format!("cannot connect to {peer}: {}", root_cause(error)),
        _ => format!("request to {peer} failed: {}", root_cause(error)),
    }
}

fn advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "; if its authority is one of your own, name that in tls.ca_file"
        }
        rustls::Error::InvalidMessage(_) => "; perhaps that port does not speak TLS",
        _ => "",
    }
}

/// The errors behind reqwest's own, whose text would show the URL; the last one is what happened.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| cause(*error)).filter(|error| !error.is::<reqwest::Error>())
}

/// What an error wraps. An I/O error made of another one has that one's cause for its own, and so would hide it.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "no reason given".to_owned(), ToString::to_string)
}
