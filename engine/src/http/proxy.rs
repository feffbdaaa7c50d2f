//! Proxies between us and a backend.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

use super::endpoint::Endpoint;
use crate::component::BuildError;
use crate::config::Secret;
use crate::resource::{Lookup, process_variable};

/// The proxies for `http` and `https` addresses, and for which hosts there are none.
///
/// A proxy's URL may hold a password: it is never printed, only the variable that holds it.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    no_proxy: String,
}

/// A proxy and where it was set.
#[derive(Clone, Debug)]
struct Setting {
    variable: String,
    url: Secret,
    /// It is meant for this program's exporter, not for all that runs here.
    is_own: bool,
}

/// This host, which the environment's proxies never lead to, as programs in Go have it.
const THIS_HOST: &str = "localhost,127.0.0.0/8,::1";

/// A proxy that is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not the URL of an HTTP proxy: write it like http://user:password@host:3128")]
pub(super) struct InvalidProxy(String);

/// A proxy that a connection is led through (`CONNECT`). Its address is without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelProxy {
    /// The variable that names it.
    pub variable: String,
    /// Where it is.
    pub address: Uri,
    /// What it asks for, where its URL has a user.
    pub authorization: Option<HeaderValue>,
}

impl Proxies {
    /// Those of this process's environment.
    pub fn of_the_process() -> Self {
        Proxies::from_environment(&process_variable)
    }

    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` for whichever of them is not set, and `NO_PROXY`; each in capitals or in
    /// small letters. What is empty is not set.
    pub fn from_environment(environment: Lookup<'_>) -> Self {
        let first = |names: [&str; 2]| names.iter().find_map(|name| setting(environment, name));
        Proxies {
            http: first(["HTTP_PROXY", "ALL_PROXY"]),
            https: first(["HTTPS_PROXY", "ALL_PROXY"]),
            no_proxy: setting(environment, "NO_PROXY").map(|set| set.url.reveal().to_owned()).unwrap_or_default(),
        }
    }

    /// The same with some settings of one's own before them: a proxy for `http`, one for `https`, and the hosts without,
    /// each the name of a variable. These proxies lead to this host, too.
    #[must_use]
    pub fn overridden_by(self, environment: Lookup<'_>, [http, https, no_proxy]: [&str; 3]) -> Self {
        // A list may be separated by spaces, as the Agent wants it, or by commas.
        let own = |name| setting(environment, name).map(|set| Setting { is_own: true, ..set });
        let listed = |set: Setting| set.url.reveal().split_whitespace().collect::<Vec<_>>().join(",");
        Proxies {
            http: own(http).or(self.http),
            https: own(https).or(self.https),
            no_proxy: setting(environment, no_proxy).map_or(self.no_proxy, listed),
        }
    }

    /// The proxy that a connection to a backend is led through where it is no HTTP client's. As programs in Go have it for
    /// gRPC: the one for `https`, whether the backend speaks TLS or not, and none to this host.
    ///
    /// # Errors
    /// A proxy that is no URL, or is itself reached over TLS.
    pub fn tunnel(&self, endpoint: &Endpoint) -> Result<Option<TunnelProxy>, BuildError> {
        let Some(setting) = self.https.as_ref().filter(|_| !endpoint.is_this_host()) else { return Ok(None) };
        let url = setting.parse().map_err(|error| BuildError::new("", error.to_string()))?;
        let matcher = Matcher::builder().https(url.as_str()).no(&*self.no_proxy).build();
        let backend = Uri::builder().scheme("https").authority(endpoint.authority()).path_and_query("/").build();
        let Some(found) = backend.ok().and_then(|backend| matcher.intercept(&backend)) else { return Ok(None) };
        let variable = setting.variable.clone();
        if url.scheme() != "http" {
            let message = format!(
                "{variable} names a proxy that is reached over TLS, through which gRPC cannot go: name an http:// one, or \
                 the backend's host in NO_PROXY"
            );
            return Err(BuildError::new("", message));
        }
        let authorization = found.basic_auth().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Ok(Some(TunnelProxy { variable, address: found.uri().clone(), authorization }))
    }

    /// The variables that name proxies, as one text; empty without any.
    pub(super) fn variables(&self) -> String {
        let mut names: Vec<&str> = [&self.https, &self.http].into_iter().flatten().map(|set| &*set.variable).collect();
        names.dedup();
        names.join(", ")
    }

    /// Has a client use them, and nothing else of the environment.
    pub(super) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, InvalidProxy> {
        let mut builder = builder.no_proxy();
        type Scheme = fn(Url) -> reqwest::Result<Proxy>;
        for (setting, scheme) in [(&self.http, Proxy::http as Scheme), (&self.https, Proxy::https as Scheme)] {
            let Some(setting) = setting else { continue };
            let proxy = scheme(setting.parse()?).map_err(|_| setting.invalid())?;
            let direct = if setting.is_own { self.no_proxy.clone() } else { format!("{},{THIS_HOST}", self.no_proxy) };
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
        }
        Ok(builder)
    }
}

impl Setting {
    fn parse(&self) -> Result<Url, InvalidProxy> {
        let text = self.url.reveal();
        let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        let is_proxy = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        url.ok().filter(is_proxy).ok_or_else(|| self.invalid())
    }

    fn invalid(&self) -> InvalidProxy {
        InvalidProxy(self.variable.clone())
    }
}

/// A variable in capitals or in small letters.
fn setting(environment: Lookup<'_>, name: &str) -> Option<Setting> {
    [name.to_owned(), name.to_ascii_lowercase()].into_iter().find_map(|variable| {
        let text = environment(&variable)?.trim().to_owned();
        (!text.is_empty()).then(|| Setting { variable, url: text.into(), is_own: false })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What counts of some variables: the proxies for http and https, and the hosts without.
    fn counted(variables: &[(&str, &str)]) -> [String; 3] {
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let own = ["DD_PROXY_HTTP", "DD_PROXY_HTTPS", "DD_PROXY_NO_PROXY"];
        let proxies = Proxies::from_environment(&environment).overridden_by(&environment, own);
        let url = |setting: &Option<Setting>| setting.as_ref().map_or("", |set| set.url.reveal()).to_owned();
        [url(&proxies.http), url(&proxies.https), proxies.no_proxy]
    }

    #[test]
    fn each_setting_is_the_first_that_is_set() {
        type Case<'a> = (&'a [(&'a str, &'a str)], [&'a str; 3]);
        let cases: [Case<'_>; 8] = [
            (&[], ["", "", ""]),
            (&[("HTTP_PROXY", "a"), ("HTTPS_PROXY", "b"), ("NO_PROXY", "x,y")], ["a", "b", "x,y"]),
            (&[("http_proxy", "a"), ("https_proxy", "b"), ("no_proxy", "x")], ["a", "b", "x"]),
            (&[("ALL_PROXY", "a"), ("HTTPS_PROXY", "b")], ["a", "b", ""]),
            (&[("HTTP_PROXY", " "), ("all_proxy", "a")], ["a", "a", ""]),
            (&[("DD_PROXY_HTTPS", "a"), ("HTTPS_PROXY", "b"), ("HTTP_PROXY", "c")], ["c", "a", ""]),
            (&[("DD_PROXY_HTTP", "a"), ("ALL_PROXY", "b"), ("NO_PROXY", "x")], ["a", "b", "x"]),
            (&[("DD_PROXY_NO_PROXY", "x  y z,u"), ("NO_PROXY", "v")], ["", "", "x,y,z,u"]),
        ];
        for (variables, expected) in cases {
            assert_eq!(counted(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_tunnel_leads_through_the_proxy_for_https_and_none_to_this_host_or_to_those_without() {
        let tunnel = |proxy: &str, endpoint: &str| {
            let proxy = proxy.to_owned();
            let proxies = Proxies::from_environment(&|name| match name {
                "HTTPS_PROXY" => Some(proxy.clone()),
                "HTTP_PROXY" => Some("http://other:1".to_owned()),
                "NO_PROXY" => Some("inside.example,10.0.0.0/8".to_owned()),
                _ => None,
            });
            proxies.tunnel(&Endpoint::parse(endpoint).unwrap())
        };
        for backend in ["https://otlp.example:4317", "http://otlp.example:4317", "https://otlp.example"] {
            let found = tunnel("http://me:hunter2%40@proxy:3128", backend).unwrap().unwrap();
            assert_eq!(
                (&*found.variable, &*found.address.to_string()),
                ("HTTPS_PROXY", "http://proxy:3128/"),
                "{backend}"
            );
            assert_eq!(found.authorization.as_ref().unwrap(), "Basic bWU6aHVudGVyMkA=");
            assert!(!format!("{found:?}").contains("bWU6"), "a secret");
        }
        assert_eq!(tunnel("proxy:3128", "https://otlp.example:4317").unwrap().unwrap().authorization, None);
        let direct = ["localhost:4317", "127.0.0.2:4317", "[::1]:4317", "a.inside.example:4317", "10.1.2.3:4317"];
        for backend in direct {
            assert_eq!(tunnel("http://proxy:3128", &format!("http://{backend}")).unwrap(), None, "{backend}");
        }
        for proxy in ["https://me:hunter2@proxy:3128", "socks5://me:hunter2@proxy"] {
            let error = tunnel(proxy, "https://otlp.example:4317").unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_a_url_with_or_without_a_scheme_and_another_is_named_by_its_variable_alone() {
        let apply = |url: &str| {
            let url = url.to_owned();
            let proxies = Proxies::from_environment(&|name| (name == "HTTPS_PROXY").then(|| url.clone()));
            proxies.apply(ClientBuilder::new()).map(drop).map_err(|error| error.to_string())
        };
        for url in ["http://proxy:3128", "https://proxy", "proxy:3128", "http://user:hunter2@proxy:3128/"] {
            assert_eq!(apply(url), Ok(()), "{url}");
        }
        for url in ["http://", "socks5://hunter2", "http://hunter2:port", "http://user:hunter2@"] {
            let error = apply(url).unwrap_err();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("hunter2"), "{error}");
        }
        let secret = Proxies::from_environment(&|name| {
            (!name.eq_ignore_ascii_case("NO_PROXY")).then(|| "http://me:hunter2@proxy".to_owned())
        });
        let shown = format!("{secret:?} {}", secret.variables());
        assert!(shown.ends_with(" HTTPS_PROXY, HTTP_PROXY") && !shown.contains("hunter2"), "{shown}");
    }
}
