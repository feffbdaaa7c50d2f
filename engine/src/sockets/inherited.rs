//! Sockets that this process was started with, by systemd or in its way: `LISTEN_FDS` sockets from descriptor 3 on, meant for
//! the process `LISTEN_PID`. Whoever started us keeps them open while we restart.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;

use listenfd::ListenFd;

use super::{Address, Open, unix};
use crate::resource::Lookup;

/// Takes the sockets, once in the life of a process, before it opens anything itself. `environment` looks up variables.
pub(super) fn take(environment: Lookup<'_>) -> HashMap<Address, Open> {
    let mut open: HashMap<Address, Open> = HashMap::new();
    // Variables that a parent process left are not for us.
    let meant_for = environment("LISTEN_PID").and_then(|pid| pid.parse().ok());
    if meant_for != Some(std::process::id()) {
        return open;
    }
    let mut given = ListenFd::from_env();
    for index in 0..given.len() {
        match take_one(&mut given, index) {
            Ok((address, socket)) => {
                tracing::info!("inherited a socket: {address}");
                let known = open.entry(address).or_default();
                known.is_inherited = true;
                known.sockets.push(socket);
            }
            Err(error) => tracing::warn!("cannot use the inherited socket {index} of LISTEN_FDS: {error}"),
        }
    }
    open
}

fn take_one(given: &mut ListenFd, index: usize) -> io::Result<(Address, OwnedFd)> {
    // Each call looks at the socket and leaves one of another kind where it is.
    if let Ok(Some(socket)) = given.take_udp_socket(index) {
        return Ok((Address::Udp(socket.local_addr()?), socket.into()));
    }
    if let Ok(Some(socket)) = given.take_tcp_listener(index) {
        return Ok((Address::Tcp(socket.local_addr()?), socket.into()));
    }
    if let Ok(Some(socket)) = given.take_unix_datagram(index) {
        return Ok((Address::Unixgram(path_of(&socket.local_addr()?)?), socket.into()));
    }
    if let Ok(Some(socket)) = given.take_unix_listener(index) {
        return Ok((Address::Unix(path_of(&socket.local_addr()?)?), socket.into()));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is none of UDP, TCP, Unix datagram or Unix stream"))
}

fn path_of(address: &SocketAddr) -> io::Result<std::path::PathBuf> {
    let path = address.as_pathname().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it has no path"))?;
    unix::real_path(path)
}
