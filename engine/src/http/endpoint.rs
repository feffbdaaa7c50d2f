//! Where a backend is.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use thiserror::Error;

/// The address of a backend: an `http` or `https` URL.
///
/// It shows itself (`Display` and `Debug`) without user, password and query, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is no endpoint. It leaves the text out, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidEndpoint {
    /// There is no `http://` or `https://` in front.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// The rest is not a host with an optional port and path.
    #[error("is not a valid URL: write it like https://host or http://host:4318/path")]
    Url,
}

impl Endpoint {
    /// Parses a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let has_scheme =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if !has_scheme("http://") && !has_scheme("https://") {
            return Err(InvalidEndpoint::Scheme);
        }
        let url = Url::parse(text).map_err(|_| InvalidEndpoint::Url)?;
        if url.host_str().is_none_or(str::is_empty) { Err(InvalidEndpoint::Url) } else { Ok(Endpoint(url)) }
    }

    /// The same with a path (which begins with a slash) put behind the one that it has.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        Endpoint(url)
    }

    /// Host and port, also where the port is the scheme's own: `api.datadoghq.com:443`.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The host alone; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it is this host: `localhost` or a loopback address.
    pub(super) fn is_this_host(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is an `https` address.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_address_is_refused_without_repeating_it() {
        let cases = [
            ("", InvalidEndpoint::Scheme),
            ("localhost:4318", InvalidEndpoint::Scheme),
            ("ftp://host", InvalidEndpoint::Scheme),
            ("http://", InvalidEndpoint::Url),
            ("http://host:port", InvalidEndpoint::Url),
            ("https://user:hunter2@", InvalidEndpoint::Url),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text), Err(expected), "{text}");
            assert!(!expected.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_path_goes_behind_the_one_that_is_there() {
        let cases = [
            ("https://host", "https://host/v1/metrics"),
            ("HTTP://host:80/", "http://host/v1/metrics"),
            ("http://[::1]:4318/otlp/", "http://[::1]:4318/otlp/v1/metrics"),
        ];
        for (base, joined) in cases {
            assert_eq!(Endpoint::parse(base).unwrap().join("/v1/metrics").to_string(), joined);
        }
    }

    #[test]
    fn secrets_of_the_url_are_kept_but_never_shown() {
        let endpoint = Endpoint::parse("https://user:hunter2@host/path?token=hunter2").unwrap().join("/x");
        assert_eq!(endpoint.url().as_str(), "https://user:hunter2@host/path/x?token=hunter2");
        assert_eq!(format!("{endpoint} {endpoint:?}"), "https://host/path/x Endpoint(https://host/path/x)");
    }

    #[test]
    fn the_authority_always_has_a_port() {
        let authority = |text| Endpoint::parse(text).unwrap().authority();
        assert_eq!(authority("https://api.datadoghq.com"), "api.datadoghq.com:443");
        assert_eq!(authority("http://[::1]"), "[::1]:80");
        assert_eq!(authority("http://host:4318/x"), "host:4318");
    }
}
