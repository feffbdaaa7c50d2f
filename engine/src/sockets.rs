//! Listening sockets, owned by the engine and kept by address.
//!
//! A component asks for a socket by address; the engine keeps it open when the component is rebuilt, so that a reload
//! loses no datagram and no client ever meets a closed port.

mod holder;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

pub use holder::Holder;

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        })
    }
}

/// Why a socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The endpoint does not resolve.
    #[error("endpoint `{endpoint}` is not an address: {source}; write host:port, such as localhost:8125")]
    Resolve {
        /// The endpoint as configured.
        endpoint: String,
        /// The resolver's words.
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("{protocol} address {address} is taken by {holder}; {}", .holder.way_out())]
    Taken {
        /// What was to listen there.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
        /// Who has it.
        holder: Holder,
    },
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
}

impl BindError {
    /// The reason for which `address` could not be bound. Where it is taken, this looks for the process that has it.
    pub fn new(protocol: Protocol, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken { protocol, address, holder: Holder::of(protocol, address) },
            _ => BindError::Refused { address, source },
        }
    }
}

/// The listening sockets of this process. Clones share the sockets and the claims.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    udp: Arc<Mutex<HashMap<SocketAddr, UdpSocket>>>,
    tcp: Arc<Mutex<HashMap<SocketAddr, TcpListener>>>,
    /// The addresses that were asked for through this handle.
    claimed: Arc<Mutex<HashSet<SocketAddr>>>,
}

impl Sockets {
    /// A handle to the same sockets with claims of its own, for one component.
    pub fn scope(&self) -> Sockets {
        Sockets { udp: Arc::clone(&self.udp), tcp: Arc::clone(&self.tcp), claimed: Arc::default() }
    }

    /// True where the address was asked for through this handle.
    pub fn has_claimed(&self, address: &SocketAddr) -> bool {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    /// The UDP socket bound to `address`: the one that an earlier graph left open, or a new one.
    ///
    /// # Errors
    /// [`BindError::Taken`] where another process listens, [`BindError::Refused`] for all else.
    pub fn udp(&self, address: SocketAddr) -> Result<UdpSocket, BindError> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        let mut open = self.udp.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |source| BindError::new(Protocol::Udp, address, source);
        if let Some(socket) = open.get(&address) {
            return socket.try_clone().map_err(refused);
        }
        let socket = UdpSocket::bind(address).map_err(refused)?;
        let clone = socket.try_clone().map_err(refused)?;
        open.insert(address, socket);
        Ok(clone)
    }

    /// The TCP socket that listens at `address`: the one that an earlier graph left open, or a new one.
    ///
    /// # Errors
    /// [`BindError::Taken`] where another process listens, [`BindError::Refused`] for all else.
    pub fn tcp(&self, address: SocketAddr) -> Result<TcpListener, BindError> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        let refused = |source| BindError::new(Protocol::Tcp, address, source);
        let mut open = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = match open.entry(address) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(TcpListener::bind(address).map_err(refused)?),
        };
        listener.try_clone().map_err(refused)
    }

    /// Closes the sockets whose address `keep` refuses.
    pub fn retain(&self, keep: impl Fn(&SocketAddr) -> bool) {
        self.tcp.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| keep(address));
        self.udp.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| keep(address));
    }
}

/// The addresses that an endpoint means. `localhost` means every loopback address that this machine has, whatever its
/// hosts file says, or whether it has one: in a container built from nothing there is none.
///
/// # Errors
/// [`BindError::Resolve`] where the endpoint is not `host:port` or the host is unknown.
pub fn resolve_endpoint(endpoint: &str) -> Result<Vec<SocketAddr>, BindError> {
    if let Some(port) = endpoint.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        // A machine without IPv6 has no ::1 to bind.
        let there = both.into_iter().filter(|ip| ip.is_ipv4() || UdpSocket::bind((*ip, 0)).is_ok());
        return Ok(there.map(|ip| SocketAddr::new(ip, port)).collect());
    }
    let resolved = endpoint.to_socket_addrs();
    let resolved = resolved.map_err(|source| BindError::Resolve { endpoint: endpoint.to_owned(), source })?;
    let mut addresses: Vec<SocketAddr> = resolved.collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_stays_open_between_two_owners() {
        let sockets = Sockets::default();
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        drop(sockets.udp(address).unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"between", address).unwrap();
        let mut buffer = [0; 16];
        let (length, _) = sockets.udp(address).unwrap().recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"between");
    }

    #[test]
    fn a_taken_port_is_said_to_be_taken() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let error = Sockets::default().udp(address).unwrap_err();
        assert!(matches!(error, BindError::Taken { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("udp address {address} is taken by ")), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_address_clashes_with_one_of_them_and_the_holder_is_found() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let every = SocketAddr::from(([0, 0, 0, 0], other.local_addr().unwrap().port()));
        let error = Sockets::default().udp(every).unwrap_err();
        assert!(matches!(error, BindError::Taken { holder: Holder::Ourselves, .. }), "{error}");
    }

    #[test]
    fn localhost_means_every_loopback_address() {
        let addresses = resolve_endpoint("localhost:8125").unwrap();
        assert!(addresses.contains(&"127.0.0.1:8125".parse().unwrap()));
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(resolve_endpoint("8125").is_err());
    }
}
