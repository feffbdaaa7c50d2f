//! What a reader reads from: datagrams, or the connections of a stream socket.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::Arc;

use hornpipe_engine::Reason;

use super::streams::{Acceptor, Streams};
use super::{DatagramSocket, Framing, Listener, Sender, Senders, Waker, ask_for_processes};

/// How many times a reader that stops goes to its socket for what the kernel still holds. Enough for any receive buffer,
/// and an end where clients never pause. A stream's read takes more at once, and its clients wait for us.
const FINAL_READS_OF_DATAGRAMS: usize = 100_000;
const FINAL_READS_OF_STREAMS: usize = 4_096;

/// A socket to be read.
#[derive(Debug)]
pub(crate) enum Socket {
    /// UDP.
    Udp(UdpSocket),
    /// Datagrams at a path.
    Unixgram(UnixDatagram),
    /// TCP.
    Tcp(TcpListener, Framing),
    /// Streams at a path.
    Unix(UnixListener, Framing),
}

impl Socket {
    /// The path of a Unix datagram socket.
    pub(crate) fn unixgram_path(&self) -> Option<PathBuf> {
        let Socket::Unixgram(socket) = self else { return None };
        socket.local_addr().ok()?.as_pathname().map(PathBuf::from)
    }

    /// Has the system say which process sends what, where it says so of each packet. It says nothing of what is there already.
    pub(crate) fn ask_for_processes(&self) {
        if let Socket::Unixgram(socket) = self {
            // What cannot be had is missing in the tags.
            let _ = ask_for_processes(socket);
        }
    }

    /// The address of a UDP socket.
    pub(crate) fn udp_address(&self) -> Option<SocketAddr> {
        let Socket::Udp(socket) = self else { return None };
        socket.local_addr().ok()
    }

    /// Where it listens, in words: UDP, the usual one, goes without saying.
    pub(crate) fn name(&self) -> String {
        let path = |address: io::Result<std::os::unix::net::SocketAddr>| {
            address.ok().and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
        };
        match self {
            Socket::Udp(socket) => socket.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            Socket::Tcp(socket, _) => format!("tcp {}", socket.local_addr().map_or(String::new(), |at| at.to_string())),
            Socket::Unixgram(socket) => format!("unixgram {}", path(socket.local_addr()).unwrap_or_default()),
            Socket::Unix(socket, _) => format!("unix {}", path(socket.local_addr()).unwrap_or_default()),
        }
    }
}

/// What is to be known of who sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// The address of every sender, not of some.
    pub(crate) all_addresses: bool,
    /// The process, at Unix sockets.
    pub(crate) processes: bool,
}

/// Bounds of what is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest datagram, frame or line that is read whole.
    pub(crate) largest: usize,
    /// How many connections may be open at a stream socket.
    pub(crate) connections: usize,
}

/// Something that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    /// Lines.
    Packet {
        /// Their bytes.
        payload: &'a [u8],
        /// The last line is not whole: the datagram was too long.
        is_cut: bool,
        /// Who sent it, as far as that is asked for and known.
        sender: Sender,
    },
    /// A line or frame that cannot be used.
    Bad {
        /// Its first bytes.
        beginning: &'a [u8],
        /// Why.
        reason: Reason,
    },
}

impl<'a> Piece<'a> {
    pub(super) fn whole(payload: &'a [u8]) -> Self {
        Piece::Packet { payload, is_cut: false, sender: Sender::default() }
    }
}

/// Wakes an input that waits.
#[derive(Clone, Debug)]
pub(crate) enum WakeUp {
    /// One that waits for datagrams.
    Datagrams(Waker),
    /// One that waits for connections and what they bring.
    Streams(Arc<mio::Waker>),
}

impl WakeUp {
    pub(crate) fn wake(&self) {
        match self {
            WakeUp::Datagrams(waker) => waker.wake(),
            // It fails only where it has been called so often that it has been called.
            WakeUp::Streams(waker) => drop(waker.wake()),
        }
    }
}

/// What a reader reads from.
#[derive(Debug)]
pub(crate) enum Input {
    /// Datagrams.
    Datagrams(Box<Listener>),
    /// The connections of a stream socket.
    Streams(Box<Streams>),
}

impl Input {
    /// Prepares a socket for reading. Also returns what wakes its reader.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn open(socket: Socket, limits: Limits, wanted: Wanted) -> io::Result<(Input, WakeUp)> {
        match socket {
            Socket::Udp(socket) => Input::datagrams(socket.into(), limits, wanted),
            Socket::Unixgram(socket) => Input::datagrams(DatagramSocket::Unix(socket), limits, wanted),
            Socket::Tcp(socket, framing) => Input::streams(Acceptor::tcp(socket)?, framing, limits),
            Socket::Unix(socket, framing) => Input::streams(Acceptor::unix(socket)?, framing, limits),
        }
    }

    fn datagrams(socket: DatagramSocket, limits: Limits, wanted: Wanted) -> io::Result<(Input, WakeUp)> {
        let waker = Waker::new()?;
        let mut listener = Listener::new(socket, limits.largest, waker.clone())?;
        listener.ask_for_sources(if wanted.all_addresses { Senders::All } else { Senders::Sample });
        if wanted.processes {
            listener.ask_for_processes();
        }
        Ok((Input::Datagrams(Box::new(listener)), WakeUp::Datagrams(waker)))
    }

    fn streams(acceptor: Acceptor, framing: Framing, limits: Limits) -> io::Result<(Input, WakeUp)> {
        let (streams, waker) = Streams::new(acceptor, framing, limits)?;
        Ok((Input::Streams(Box::new(streams)), WakeUp::Streams(Arc::new(waker))))
    }

    /// Ends the connections; `take` sees what they have not completed.
    pub(crate) fn close(&mut self, mut take: impl FnMut(Piece<'_>)) {
        if let Input::Streams(streams) = self {
            streams.close(&mut take);
        }
    }

    /// Nobody wants to know any more who sends.
    pub(crate) fn stop_asking_for_sources(&mut self) {
        if let Input::Datagrams(listener) = self {
            listener.ask_for_sources(Senders::None);
        }
    }

    /// How many datagrams the kernel has dropped since the socket was made, where it tells.
    pub(crate) fn kernel_drops(&self) -> Option<u32> {
        match self {
            Input::Datagrams(listener) => listener.kernel_drops(),
            Input::Streams(_) => None,
        }
    }

    /// Connections that are open, and those refused since the start because too many were.
    pub(crate) fn connections(&self) -> (u64, u64) {
        match self {
            Input::Datagrams(_) => (0, 0),
            Input::Streams(streams) => streams.connections(),
        }
    }

    /// Why no further client can be accepted for now, if it is so.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        match self {
            Input::Datagrams(_) => None,
            Input::Streams(streams) => streams.failure(),
        }
    }

    /// How often to read at the end, at most.
    pub(crate) fn final_reads(&self) -> usize {
        match self {
            Input::Datagrams(_) => FINAL_READS_OF_DATAGRAMS,
            Input::Streams(_) => FINAL_READS_OF_STREAMS,
        }
    }
}
