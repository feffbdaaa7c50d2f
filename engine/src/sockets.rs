//! Listening sockets, owned by the engine and kept by address.
//!
//! A component asks for a socket by address; the engine keeps it open when the component is rebuilt, so that a reload
//! loses no datagram and no client ever meets a closed port.

mod claim;
mod error;
mod holder;
mod inherited;
pub mod proc_net;
mod shared_port;
mod unix;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use claim::{Claim, Place};
pub use error::BindError;
pub use holder::Holder;
use socket2::SockRef;
pub use unix::LONGEST_PATH;
use unix::SocketFile;

use crate::lock;
use crate::resource::Lookup;

/// How many clients may wait to be accepted, where the system (`net.core.somaxconn`) allows it: all of them connect again at
/// once when a reload has ended their connections. Of those beyond, TCP's wait a second, and a Unix socket's are refused.
const BACKLOG: i32 = 4_096;

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

/// What a socket speaks, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// UDP.
    Udp(SocketAddr),
    /// TCP.
    Tcp(SocketAddr),
    /// Datagrams at a path.
    Unixgram(PathBuf),
    /// Streams at a path.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Udp(address) => write!(f, "udp {address}"),
            Address::Tcp(address) => write!(f, "tcp {address}"),
            Address::Unixgram(path) => write!(f, "unixgram {}", path.display()),
            Address::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

/// The listening sockets of this process. Clones share the sockets and the claims.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    open: Arc<Mutex<HashMap<Address, Open>>>,
    /// The addresses that were asked for through this handle.
    claimed: Arc<Mutex<HashSet<Address>>>,
}

/// An address that is listened at.
#[derive(Debug, Default)]
struct Open {
    /// One, or several UDP sockets among which the system distributes the senders.
    sockets: Vec<OwnedFd>,
    /// Of a Unix socket that this process has bound its file, which is removed with it.
    file: Option<SocketFile>,
    /// Whoever started this process has bound it, and keeps it. It is never closed: it could not be bound again.
    is_inherited: bool,
}

impl Sockets {
    /// The sockets that this process was started with (systemd's `LISTEN_FDS`): one whose address is asked for is used
    /// instead of a new one. To be called once, before anything else is opened. `environment` looks up variables.
    pub fn inherited(environment: Lookup<'_>) -> Self {
        Sockets { open: Arc::new(Mutex::new(inherited::take(environment))), claimed: Arc::default() }
    }

    /// True where the Unix datagram socket at `path` was inherited: its clients stay connected when this process restarts.
    pub fn has_inherited_unixgram(&self, path: &Path) -> bool {
        let open = lock(&self.open);
        let address = unix::real_path(path).map(Address::Unixgram);
        address.is_ok_and(|address| open.get(&address).is_some_and(|known| known.is_inherited))
    }

    /// A handle to the same sockets with claims of its own, for one component.
    pub fn scope(&self) -> Sockets {
        Sockets { open: Arc::clone(&self.open), claimed: Arc::default() }
    }

    /// True where the address was asked for through this handle.
    pub fn has_claimed(&self, address: &Address) -> bool {
        lock(&self.claimed).contains(address)
    }

    /// The addresses that were asked for through this handle.
    pub fn claimed(&self) -> Vec<Address> {
        lock(&self.claimed).iter().cloned().collect()
    }

    /// The UDP socket bound to `address`: the one that an earlier graph left open, or a new one.
    ///
    /// # Errors
    /// [`BindError::Taken`] where another process listens, [`BindError::Refused`] for all else.
    pub fn udp(&self, address: SocketAddr) -> Result<UdpSocket, BindError> {
        let bind = || Ok(Open { sockets: vec![UdpSocket::bind(address)?.into()], ..Open::default() });
        self.first(Address::Udp(address), bind).map(UdpSocket::from).map_err(self.refused(Protocol::Udp, address))
    }

    /// Several UDP sockets bound to `address`, among which the system distributes the senders; of those that an earlier graph
    /// left open as many as wanted. Of inherited ones it is all.
    ///
    /// # Errors
    /// As [`udp`](Self::udp): the address is claimed for this process alone before it is shared.
    pub fn udp_group(&self, address: SocketAddr, count: usize) -> Result<Vec<UdpSocket>, BindError> {
        // The first one is bound as any other; a second process is refused here.
        drop(self.udp(address)?);
        let mut open = lock(&self.open);
        let known = open.entry(Address::Udp(address)).or_default();
        let resized = if known.is_inherited { Ok(()) } else { shared_port::resize(&mut known.sockets, count) };
        let cloned =
            resized.and_then(|()| known.sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>());
        cloned
            .map(|sockets| sockets.into_iter().map(UdpSocket::from).collect())
            .map_err(self.refused(Protocol::Udp, address))
    }

    /// The TCP socket that listens at `address`: the one that an earlier graph left open, or a new one.
    ///
    /// # Errors
    /// [`BindError::Taken`] where another process listens, [`BindError::Refused`] for all else.
    pub fn tcp(&self, address: SocketAddr) -> Result<TcpListener, BindError> {
        let bind = || Ok(Open { sockets: vec![with_backlog(TcpListener::bind(address)?)?], ..Open::default() });
        self.first(Address::Tcp(address), bind).map(TcpListener::from).map_err(self.refused(Protocol::Tcp, address))
    }

    /// The Unix socket for datagrams at `path`: the one that an earlier graph left open, whose clients stay connected, or
    /// a new one. Its file gets the permissions `mode`.
    ///
    /// # Errors
    /// [`BindError::PathTaken`] where a process listens there, [`BindError::NotASocket`] where another file is,
    /// [`BindError::PathTooLong`], [`BindError::DirectoryLocked`], and [`BindError::PathRefused`] for all else.
    pub fn unixgram(&self, path: &Path, mode: u32) -> Result<UnixDatagram, BindError> {
        let path = unix::prepare(path)?;
        let bind = || unix::bind(&path, |path| UnixDatagram::bind(path).map(OwnedFd::from));
        self.unix_socket(Address::Unixgram(path.clone()), &path, mode, bind).map(UnixDatagram::from)
    }

    /// The Unix socket for streams at `path`, as [`unixgram`](Self::unixgram).
    ///
    /// # Errors
    /// The same.
    pub fn unix(&self, path: &Path, mode: u32) -> Result<UnixListener, BindError> {
        let path = unix::prepare(path)?;
        let bind = || unix::bind(&path, |path| with_backlog(UnixListener::bind(path)?));
        self.unix_socket(Address::Unix(path.clone()), &path, mode, bind).map(UnixListener::from)
    }

    /// The inherited sockets whose address `used` does not know: what comes there is lost.
    pub fn inherited_but(&self, used: impl Fn(&Address) -> bool) -> Vec<Address> {
        let open = lock(&self.open);
        open.iter()
            .filter(|(address, known)| known.is_inherited && !used(address))
            .map(|(known, _)| known.clone())
            .collect()
    }

    /// Closes the sockets whose address `keep` refuses, and removes their files. Inherited ones stay.
    pub fn retain(&self, keep: impl Fn(&Address) -> bool) {
        lock(&self.open).retain(|address, known| known.is_inherited || keep(address));
    }

    fn refused(&self, protocol: Protocol, address: SocketAddr) -> impl Fn(io::Error) -> BindError {
        move |source| match self.inherited_at(protocol, address.port()) {
            Some(inherited) if source.kind() == io::ErrorKind::AddrInUse => {
                BindError::Inherited { protocol, address, inherited }
            }
            _ => BindError::new(protocol, address, source),
        }
    }

    /// The address of an inherited socket at a port.
    fn inherited_at(&self, protocol: Protocol, port: u16) -> Option<SocketAddr> {
        let open = lock(&self.open);
        open.iter().filter(|(_, known)| known.is_inherited).find_map(|(address, _)| match (protocol, address) {
            (Protocol::Udp, Address::Udp(found)) | (Protocol::Tcp, Address::Tcp(found)) if found.port() == port => {
                Some(*found)
            }
            _ => None,
        })
    }

    fn unix_socket(
        &self,
        address: Address,
        path: &Path,
        mode: u32,
        bind: impl FnOnce() -> Result<(OwnedFd, SocketFile), BindError>,
    ) -> Result<OwnedFd, BindError> {
        let failed = |source| BindError::PathRefused { path: path.to_owned(), source };
        lock(&self.claimed).insert(address.clone());
        let mut open = lock(&self.open);
        let known = match open.entry(address) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let (socket, file) = bind()?;
                place.insert(Open { sockets: vec![socket], file: Some(file), is_inherited: false })
            }
        };
        if let Some(file) = &known.file {
            file.set_mode(mode).map_err(failed)?;
        }
        first_of(known).map_err(failed)
    }

    fn first(&self, address: Address, bind: impl FnOnce() -> io::Result<Open>) -> io::Result<OwnedFd> {
        lock(&self.claimed).insert(address.clone());
        match lock(&self.open).entry(address) {
            Entry::Occupied(known) => first_of(known.get()),
            Entry::Vacant(place) => first_of(place.insert(bind()?)),
        }
    }
}

/// A socket for streams, at which [`BACKLOG`] clients may wait to be accepted.
fn with_backlog(listener: impl AsFd + Into<OwnedFd>) -> io::Result<OwnedFd> {
    SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener.into())
}

fn first_of(open: &Open) -> io::Result<OwnedFd> {
    open.sockets.first().ok_or(io::ErrorKind::NotFound)?.try_clone()
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
    use std::net::TcpStream;
    use std::time::Duration;

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
    #[cfg(target_os = "linux")]
    fn many_clients_may_connect_before_one_is_accepted() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = Sockets::default();
        let _listener = sockets.tcp(free).unwrap();
        // One that finds no room is not refused: the system tries again after a second.
        let connect = || TcpStream::connect_timeout(&free, Duration::from_millis(900));
        let clients: Vec<_> = (0..300).map(|_| connect().unwrap()).collect();
        assert_eq!(clients.len(), 300);
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
    fn an_inherited_socket_in_the_way_is_named_and_so_is_one_that_nobody_asks_for() {
        let given = UdpSocket::bind("0.0.0.0:0").unwrap();
        let (inherited, port) = (given.local_addr().unwrap(), given.local_addr().unwrap().port());
        let sockets = Sockets::default();
        let known = Open { sockets: vec![given.into()], is_inherited: true, file: None };
        sockets.open.lock().unwrap().insert(Address::Udp(inherited), known);
        let error = sockets.udp(([127, 0, 0, 1], port).into()).unwrap_err().to_string();
        assert!(error.contains(&format!("write the endpoint \"{inherited}\"")), "{error}");
        let used = |address: &Address| sockets.has_claimed(address);
        assert_eq!(sockets.inherited_but(used), [Address::Udp(inherited)]);
        sockets.udp(inherited).unwrap();
        assert_eq!(sockets.inherited_but(used), []);
    }

    #[test]
    fn localhost_means_every_loopback_address() {
        let addresses = resolve_endpoint("localhost:8125").unwrap();
        assert!(addresses.contains(&"127.0.0.1:8125".parse().unwrap()));
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(resolve_endpoint("8125").is_err());
    }
}
