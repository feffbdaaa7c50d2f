//! The listener for systems without `recvmmsg`: the standard library, one datagram a call.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::{DatagramSocket, Sender, Senders, proc_net};

/// How long a wait lasts at most. Nothing wakes it; the caller looks around that often.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// A time-out of zero would mean "for ever".
const NO_WAIT: Duration = Duration::from_millis(1);

/// Wakes a listener; here the listener wakes by itself.
#[derive(Clone, Debug)]
pub(crate) struct Waker;

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Waker)
    }

    pub(crate) fn wake(&self) {}
}

/// There is no portable way to know which process sends a datagram.
pub(super) fn ask_for_processes(_socket: &UnixDatagram) -> io::Result<()> {
    Ok(())
}

/// Reads datagrams.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: DatagramSocket,
    /// One byte longer than the largest datagram: one that fills it was cut.
    buffer: Vec<u8>,
    /// Whether the socket's time-out is the long one.
    waits: bool,
    asks_for_sources: bool,
}

impl Listener {
    pub(crate) fn new(socket: DatagramSocket, largest_datagram: usize, _waker: Waker) -> io::Result<Self> {
        socket.set_read_timeout(Some(LONGEST_WAIT))?;
        Ok(Listener { socket, buffer: vec![0; largest_datagram + 1], waits: true, asks_for_sources: false })
    }

    pub(crate) fn ask_for_sources(&mut self, asked: Senders) {
        self.asks_for_sources = asked != Senders::None;
    }

    /// There is no portable way to know.
    pub(crate) fn ask_for_processes(&mut self) {}

    pub(crate) fn receive<'a>(
        &'a mut self,
        wait: bool,
        mut take: impl FnMut(&'a [u8], bool, Sender),
    ) -> io::Result<usize> {
        if wait != self.waits {
            self.socket.set_read_timeout(Some(if wait { LONGEST_WAIT } else { NO_WAIT }))?;
            self.waits = wait;
        }
        let (length, source) = match self.socket.recv_from(&mut self.buffer) {
            Ok(received) => received,
            Err(error) if is_nothing(error.kind()) => return Ok(0),
            Err(error) => return Err(error),
        };
        let largest = self.buffer.len() - 1;
        let payload = self.buffer.get(..length.min(largest)).unwrap_or_default();
        let address = source.filter(|_| self.asks_for_sources);
        take(payload, length > largest, Sender { address, pid: None });
        Ok(1)
    }

    pub(crate) fn kernel_drops(&self) -> Option<u32> {
        kernel_drops(&self.socket)
    }
}

/// There is no portable way to ask the socket.
fn kernel_drops(socket: &DatagramSocket) -> Option<u32> {
    proc_net::drops(socket.as_raw_fd())
}

impl DatagramSocket {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            DatagramSocket::Udp(socket) => socket.set_read_timeout(timeout),
            DatagramSocket::Unix(socket) => socket.set_read_timeout(timeout),
        }
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        match self {
            DatagramSocket::Udp(socket) => socket.recv_from(buffer).map(|(length, source)| (length, Some(source))),
            DatagramSocket::Unix(socket) => socket.recv(buffer).map(|length| (length, None)),
        }
    }
}

/// There is no portable way to know the process at the other end of a socket.
pub(super) fn peer_process(_socket: &impl AsRawFd) -> Option<u32> {
    None
}

fn is_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
