//! What settings claim to listen at, so that two that cannot both have it are seen before anything is opened.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::Protocol;

/// One place that a component's settings claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The option that says it, relative to the component: `endpoint`, `listeners[1].endpoint`.
    pub option: String,
    /// The place.
    pub place: Place,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Address(Protocol, SocketAddr),
    /// The `host:port` of a host whose addresses are not known before it is looked up.
    Named(Protocol, String),
    /// The file of a Unix socket, whatever it speaks.
    Path(PathBuf),
}

impl Place {
    /// The places that an endpoint means, without a look at the machine or the network: `localhost` is both loopback addresses.
    pub fn of_endpoint(protocol: Protocol, endpoint: &str) -> Vec<Place> {
        if let Some(port) = endpoint.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            let loopback = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
            return loopback.map(|address| Place::Address(protocol, address)).to_vec();
        }
        vec![match endpoint.parse() {
            Ok(address) => Place::Address(protocol, address),
            Err(_) => Place::Named(protocol, endpoint.to_ascii_lowercase()),
        }]
    }

    /// Whether only one of the two can be had. Of names and paths that are written differently it is not known; and whether
    /// `[::]` takes IPv4 as well, the system decides.
    pub fn overlaps(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Address(one, a), Place::Address(other, b)) => {
                let is_same = a.ip().to_canonical() == b.ip().to_canonical();
                let covers = a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
                // Port 0 is any that is free.
                one == other && a.port() == b.port() && a.port() != 0 && (is_same || covers)
            }
            (Place::Named(one, a), Place::Named(other, b)) => one == other && a == b && !a.ends_with(":0"),
            (Place::Path(a), Place::Path(b)) => a == b,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_can_have_overlaps() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (Place::of_endpoint(Protocol::Udp, a), Place::of_endpoint(Protocol::Udp, b));
            a.iter().any(|a| b.iter().any(|b| a.overlaps(b) && b.overlaps(a)))
        };
        for (a, b) in [
            ("127.0.0.1:8125", "127.0.0.1:8125"),
            ("localhost:8125", "127.0.0.1:8125"),
            ("localhost:8125", "0.0.0.0:8125"),
            ("[::]:8125", "[::1]:8125"),
            ("[::ffff:127.0.0.1]:8125", "127.0.0.1:8125"),
            ("StatsD.internal:8125", "statsd.internal:8125"),
        ] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:8125", "127.0.0.1:8126"),
            ("127.0.0.1:8125", "127.0.0.2:8125"),
            ("0.0.0.0:8125", "[::]:8125"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("a.internal:8125", "b.internal:8125"),
        ] {
            assert!(!overlap(a, b), "{a} {b}");
        }
        let address = "127.0.0.1:8125".parse().unwrap();
        assert!(!Place::Address(Protocol::Udp, address).overlaps(&Place::Address(Protocol::Tcp, address)));
        let path = |path: &str| Place::Path(path.into());
        assert!(path("/run/a.sock").overlaps(&path("/run//./a.sock")) && !path("/run/a").overlaps(&path("/run/b")));
    }
}
