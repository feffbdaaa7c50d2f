//! The floor: receives datagrams and does nothing with them.

use std::io::{self, ErrorKind, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::send::Target;
use crate::sys::{self, Ring};

/// The receive buffer that hornpipe asks for, too, and that peers get where they have an option for it.
pub(crate) const BUFFER: i32 = 4 << 20;

/// Receives for ever. After a second without a datagram it writes how many there have been.
///
/// # Errors
/// It cannot listen, receive, or write.
pub fn run(target: &Target, mut out: impl Write) -> io::Result<()> {
    let socket = listen(target)?;
    sys::set_receive_buffer(socket.as_fd(), BUFFER)?;
    let mut ring = Ring::default();
    let (mut datagrams, mut bytes, mut told) = (0, 0, 0);
    loop {
        match ring.receive(socket.as_fd()) {
            Ok((more, more_bytes)) => {
                datagrams += more;
                bytes += more_bytes;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                if datagrams > told {
                    writeln!(out, "{datagrams} datagrams, {bytes} bytes")?;
                    told = datagrams;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn listen(target: &Target) -> io::Result<OwnedFd> {
    let timeout = Some(Duration::from_secs(1));
    match target {
        Target::Udp(address) => {
            let socket = UdpSocket::bind(address)?;
            socket.set_read_timeout(timeout)?;
            Ok(socket.into())
        }
        Target::Unix(path) => {
            let socket = UnixDatagram::bind(path)?;
            socket.set_read_timeout(timeout)?;
            Ok(socket.into())
        }
    }
}
