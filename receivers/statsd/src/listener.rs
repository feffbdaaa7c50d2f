//! One place to listen at: its settings, and its sockets.

use std::net::SocketAddr;
use std::path::Path;

use hornpipe_engine::Sockets;
use hornpipe_engine::config::Report;
use hornpipe_engine::sockets::{Claim, LONGEST_PATH, Place, Protocol, resolve_endpoint};
use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::config::Dialect;
use crate::listen::{Framing, Socket};

/// Where the Collector's receiver listens with `unixgram` if it is not told.
const COLLECTORS_PATH: &str = "/var/run/statsd-receiver.sock";
const DEFAULT_ENDPOINT: &str = "localhost:8125";
/// Clients may send, nobody but us may read: the Datadog Agent's choice.
const DEFAULT_PERMISSIONS: &str = "0722";
/// More than any machine needs for one address.
const MOST_READERS: usize = 64;

/// A further place to listen at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerConfig {
    /// As the receiver's own `endpoint`.
    pub endpoint: String,
    /// As the receiver's own `transport`.
    pub transport: Transport,
    /// As the receiver's own `framing`.
    pub framing: Option<Framing>,
    /// As the receiver's own `socket_permissions`.
    pub socket_permissions: String,
    /// As the receiver's own `readers`.
    pub readers: usize,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        ListenerConfig {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            transport: Transport::Udp,
            framing: None,
            socket_permissions: DEFAULT_PERMISSIONS.to_owned(),
            readers: 1,
        }
    }
}

/// How lines come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP over IPv4 and IPv6.
    #[default]
    Udp,
    /// UDP over IPv4 alone.
    Udp4,
    /// UDP over IPv6 alone.
    Udp6,
    /// TCP over IPv4 and IPv6.
    Tcp,
    /// TCP over IPv4 alone.
    Tcp4,
    /// TCP over IPv6 alone.
    Tcp6,
    /// Datagrams at a path.
    Unixgram,
    /// Streams at a path.
    Unix,
}

impl Transport {
    const ALL: [Transport; 8] = [
        Transport::Udp,
        Transport::Udp4,
        Transport::Udp6,
        Transport::Tcp,
        Transport::Tcp4,
        Transport::Tcp6,
        Transport::Unixgram,
        Transport::Unix,
    ];
    const NAMES: &'static [&'static str] = &["udp", "udp4", "udp6", "tcp", "tcp4", "tcp6", "unixgram", "unix"];

    fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Transport::Udp4 | Transport::Tcp4 => address.is_ipv4(),
            Transport::Udp6 | Transport::Tcp6 => address.is_ipv6(),
            _ => true,
        }
    }

    pub(crate) fn is_at_path(self) -> bool {
        matches!(self, Transport::Unixgram | Transport::Unix)
    }

    fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tcp4 | Transport::Tcp6 | Transport::Unix)
    }
}

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = Transport::ALL.into_iter().zip(Transport::NAMES).find(|(_, name)| name.eq_ignore_ascii_case(&text));
        named.map(|(transport, _)| transport).ok_or_else(|| Error::unknown_variant(&text, Transport::NAMES))
    }
}

/// Why a place cannot be listened at: the option at fault, and what to do.
pub(crate) type Refusal = (&'static str, String);

impl ListenerConfig {
    /// Checks what the types cannot. `at` is put before the names of options.
    pub(crate) fn validate(&self, at: &str, report: &mut Report) {
        let option = |name: &str| format!("{at}{name}");
        if self.transport.is_at_path() {
            if !Path::new(self.path()).is_absolute() {
                let help = "write an absolute path, such as /run/hornpipe/dsd.socket";
                report.error_with_help(&option("endpoint"), "is not the path of a Unix socket", help);
            }
            if self.path().len() > LONGEST_PATH {
                report.error_with_help(&option("endpoint"), too_long(self.path()), "choose a shorter one");
            }
        } else if !is_host_and_port(&self.endpoint) {
            let help = "write host:port, such as localhost:8125, 0.0.0.0:8125 or [::1]:8125; a path needs the transport \
                        unixgram or unix";
            report.error_with_help(&option("endpoint"), "is not a host and a port", help);
        }
        if self.framing.is_some() && !self.transport.is_stream() {
            let help = "remove it, or set the transport to unix or tcp";
            report.error_with_help(&option("framing"), "is for streams; datagrams have none", help);
        }
        if !(1..=MOST_READERS).contains(&self.readers) {
            report.error(&option("readers"), format!("must be from 1 to {MOST_READERS}"));
        } else if self.readers > 1 && (self.transport.is_stream() || self.transport.is_at_path()) {
            let help = "remove it; only UDP has several readers at one address";
            report.error_with_help(&option("readers"), "must be 1 with this transport", help);
        }
        if parse_permissions(&self.socket_permissions).is_none() {
            let help = "write them as chmod takes them, such as \"0722\"";
            report.error_with_help(&option("socket_permissions"), "are not three or four octal digits", help);
        }
    }

    /// Where it listens. `at` is put before the names of options.
    pub(crate) fn claims(&self, at: &str) -> Vec<Claim> {
        let places = if self.transport.is_at_path() {
            vec![Place::Path(self.path().into())]
        } else {
            let protocol = if self.transport.is_stream() { Protocol::Tcp } else { Protocol::Udp };
            let mut places = Place::of_endpoint(protocol, &self.endpoint);
            places.retain(|place| !matches!(place, Place::Address(_, address) if !self.transport.takes(address)));
            places
        };
        places.into_iter().map(|place| Claim { option: format!("{at}endpoint"), place }).collect()
    }

    /// The sockets, at least one.
    pub(crate) fn open(&self, sockets: &Sockets, dialect: Dialect) -> Result<Vec<Socket>, Refusal> {
        let mode = parse_permissions(&self.socket_permissions).unwrap_or(0o600);
        let refused = |error: hornpipe_engine::sockets::BindError| ("endpoint", error.to_string());
        let path = Path::new(self.path());
        match self.transport {
            Transport::Unixgram => Ok(vec![Socket::Unixgram(sockets.unixgram(path, mode).map_err(refused)?)]),
            Transport::Unix => {
                let usual = if dialect == Dialect::Etsy { Framing::Newline } else { Framing::Length };
                let framing = self.framing.unwrap_or(usual);
                Ok(vec![Socket::Unix(sockets.unix(path, mode).map_err(refused)?, framing)])
            }
            Transport::Tcp | Transport::Tcp4 | Transport::Tcp6 => {
                let framing = self.framing.unwrap_or(Framing::Newline);
                let listen = |address| sockets.tcp(address).map(|socket| Socket::Tcp(socket, framing));
                self.addresses()?.into_iter().map(listen).collect::<Result<_, _>>().map_err(refused)
            }
            Transport::Udp | Transport::Udp4 | Transport::Udp6 => {
                let mut opened = Vec::new();
                for address in self.addresses()? {
                    let group = sockets.udp_group(address, self.readers).map_err(refused)?;
                    opened.extend(group.into_iter().map(Socket::Udp));
                }
                Ok(opened)
            }
        }
    }

    /// The path of a Unix socket. Where none is set it is the Collector's.
    fn path(&self) -> &str {
        if self.transport == Transport::Unixgram && self.endpoint == DEFAULT_ENDPOINT {
            COLLECTORS_PATH
        } else {
            &self.endpoint
        }
    }

    /// The addresses to listen on, at least one.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Refusal> {
        let mut addresses = resolve_endpoint(&self.endpoint).map_err(|error| ("endpoint", error.to_string()))?;
        addresses.retain(|address| self.transport.takes(address));
        if addresses.is_empty() {
            let message = format!(
                "endpoint `{}` has no address of the family that the transport asks for; choose the transport udp, or an \
                 endpoint of that family",
                self.endpoint
            );
            return Err(("transport", message));
        }
        Ok(addresses)
    }
}

/// What is wrong with a path that no Unix socket can have.
pub(crate) fn too_long(path: &str) -> String {
    format!("is {} bytes long, and the path of a Unix socket can have {LONGEST_PATH}", path.len())
}

pub(crate) fn is_host_and_port(endpoint: &str) -> bool {
    endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        let is_plain = !host.is_empty() && !host.contains([':', '/', ' ']);
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        (is_plain || is_bracketed) && port.parse::<u16>().is_ok()
    })
}

/// Reads `0722` or `722`.
fn parse_permissions(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = matches!(digits.len(), 3 | 4) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten().filter(|mode| *mode <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &ListenerConfig) -> Vec<String> {
        let mut report = Report::new();
        config.validate("listeners[1].", &mut report);
        report.problems().iter().map(|problem| problem.path.clone()).collect()
    }

    fn listener(transport: Transport, endpoint: &str) -> ListenerConfig {
        ListenerConfig { transport, endpoint: endpoint.to_owned(), ..ListenerConfig::default() }
    }

    #[test]
    fn an_endpoint_is_an_address_or_a_path_as_the_transport_wants() {
        for transport in Transport::ALL {
            let (good, bad) = ("/run/dsd.sock", "127.0.0.1:8125");
            let (good, bad) = if transport.is_at_path() { (good, bad) } else { (bad, good) };
            assert_eq!(problems(&listener(transport, good)), [""; 0], "{transport:?}");
            assert_eq!(problems(&listener(transport, bad)), ["listeners[1].endpoint"], "{transport:?}");
        }
        assert_eq!(problems(&listener(Transport::Unix, "dsd.sock")), ["listeners[1].endpoint"]);
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert_eq!(problems(&listener(Transport::Unix, &path(LONGEST_PATH))), [""; 0]);
        assert_eq!(problems(&listener(Transport::Unixgram, &path(LONGEST_PATH + 1))), ["listeners[1].endpoint"]);
        assert_eq!(listener(Transport::Unixgram, DEFAULT_ENDPOINT).path(), COLLECTORS_PATH);
    }

    #[test]
    fn framing_is_for_streams_and_permissions_are_octal() {
        let framed =
            |transport, endpoint| ListenerConfig { framing: Some(Framing::Newline), ..listener(transport, endpoint) };
        assert_eq!(problems(&framed(Transport::Unix, "/a")), [""; 0]);
        assert_eq!(problems(&framed(Transport::Tcp, "a:1")), [""; 0]);
        assert_eq!(problems(&framed(Transport::Unixgram, "/a")), ["listeners[1].framing"]);
        for (text, mode) in [
            ("0722", Some(0o722)),
            ("622", Some(0o622)),
            ("0o600", Some(0o600)),
            ("0789", None),
            ("", None),
            ("1777", None),
        ] {
            assert_eq!(parse_permissions(text), mode, "{text}");
        }
        for (readers, transport, endpoint) in
            [(0, Transport::Udp, "a:1"), (65, Transport::Udp4, "a:1"), (2, Transport::Unix, "/a")]
        {
            let config = ListenerConfig { readers, ..listener(transport, endpoint) };
            assert_eq!(problems(&config), ["listeners[1].readers"]);
        }
        let config = ListenerConfig { socket_permissions: "rw".to_owned(), ..ListenerConfig::default() };
        assert_eq!(problems(&config), ["listeners[1].socket_permissions"]);
    }

    #[test]
    fn a_transport_keeps_the_addresses_of_its_family() {
        let addresses = |transport| listener(transport, DEFAULT_ENDPOINT).addresses().unwrap();
        for (v4, both) in [(Transport::Udp4, Transport::Udp), (Transport::Tcp4, Transport::Tcp)] {
            assert_eq!(addresses(v4), ["127.0.0.1:8125".parse().unwrap()]);
            assert!(addresses(both).contains(&"127.0.0.1:8125".parse().unwrap()));
        }
        assert_eq!(listener(Transport::Udp6, "127.0.0.1:1").addresses().unwrap_err().0, "transport");
    }
}
