//! Why a socket could not be had, in words for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Holder, LONGEST_PATH, Protocol};

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
    /// A socket that this process was started with has the port.
    #[error(
        "{protocol} address {address} is covered by the socket {inherited} that systemd, or who else started this process, \
         handed over; write the endpoint \"{inherited}\" to use it"
    )]
    Inherited {
        /// What was to listen there.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
        /// Where the inherited socket listens.
        inherited: SocketAddr,
    },
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// A process listens at the path.
    #[error("unix socket {} is taken by {holder}; {}", .path.display(), .holder.way_out())]
    PathTaken {
        /// The socket's file.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Somebody keeps the directory locked.
    #[error(
        "the directory {} is locked by {holder} (flock), for longer than 10 s; wait for it, stop it, or choose a path in another \
         directory", path.display()
    )]
    DirectoryLocked {
        /// The directory.
        path: PathBuf,
        /// Who holds the lock.
        holder: Holder,
    },
    /// The system's addresses cannot hold the path.
    #[error(
        "the path {} is {length} bytes long, and that of a unix socket can have {LONGEST_PATH}; choose a shorter one",
        path.display()
    )]
    PathTooLong {
        /// The socket's file.
        path: PathBuf,
        /// Bytes of the path.
        length: usize,
    },
    /// A file that is no socket is at the path.
    #[error("{} exists and is no socket; remove it, or choose another endpoint", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on unix socket {}: {source}", path.display())]
    PathRefused {
        /// The socket's file.
        path: PathBuf,
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
