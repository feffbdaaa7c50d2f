//! Systems that tell nobody who holds an address.

use std::net::SocketAddr;
use std::path::Path;

use super::super::Protocol;

/// There is no portable way to ask.
pub(super) fn find(_protocol: Protocol, _address: SocketAddr) -> Option<(u32, String)> {
    None
}

/// The same for a Unix socket.
pub(super) fn find_path(_path: &Path) -> Option<(u32, String)> {
    None
}

/// The same for a lock.
pub(super) fn find_lock(_inode: u64) -> Option<(u32, String)> {
    None
}
