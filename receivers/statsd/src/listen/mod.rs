//! Reading from a socket, and being woken meanwhile.
//!
//! `input` is what a reader reads from: datagrams, or the connections of a stream socket (`streams`, `framing`).
//!
//! There are two listeners for datagrams, of the same shape. On Linux one system call fetches many datagrams; elsewhere (and on Linux
//! when built with `--cfg hornpipe_portable`) the standard library fetches one at a time. Both offer:
//!
//! * `Waker`: wakes a listener from another thread;
//! * `Listener::new(socket, largest datagram, waker)`;
//! * `Listener::receive(wait, take)`: shows the datagrams that are there to `take`, each with whether it was cut and, if
//!   asked for, who sent it; they stay readable until the next call. Waits for one if asked to, until woken; returns their
//!   number, zero if there was none or it was woken;
//! * `Listener::ask_for_sources(ask)`: whether `receive` shall tell whose address a datagram came from; at first it does not.
//!   Where many are there at once, it tells it of some only, unless it is asked for all;
//! * `ask_for_processes(socket)`: has the system note from now on which process sends a datagram;
//! * `Listener::ask_for_processes()`: from now on `receive` tells which process sent a datagram, at Unix sockets and where the
//!   system knows;
//! * `kernel_drops(socket)`: how many datagrams the system has dropped because nobody read them in time, since the socket
//!   was made; none where it does not tell. A listener tells it of its own socket. Where the socket itself does not say,
//!   `proc_net` asks the system's tables.

mod framing;
mod input;
#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
#[allow(unsafe_code)] // The one module with system calls; its argument stands at its top.
mod linux;
#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
mod pace;
#[cfg(not(all(target_os = "linux", not(hornpipe_portable))))]
mod portable;
mod proc_net;
mod streams;

#[cfg(test)]
pub(crate) use framing::Framer;
pub use framing::Framing;
pub(crate) use input::{Input, Limits, Piece, Socket, WakeUp, Wanted};
#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
use linux::{Listener, Waker, ask_for_processes};
#[cfg(not(all(target_os = "linux", not(hornpipe_portable))))]
use portable::{Listener, Waker, ask_for_processes};

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;

use socket2::SockRef;

/// What is asked for when the configuration does not say: 4 MiB hold about a tenth of a second of a socket's highest rate.
pub(crate) const LARGE_RECEIVE_BUFFER: usize = 4 << 20;

/// Who sent something, as far as that is asked for and known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The address, over UDP and TCP.
    pub(crate) address: Option<SocketAddr>,
    /// The process, at Unix sockets.
    pub(crate) pid: Option<u32>,
}

/// Of which datagrams the sender's address is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Senders {
    /// Of none.
    None,
    /// Of all while that is cheap, else of some.
    Sample,
    /// Of all.
    All,
}

/// A socket that datagrams come from.
#[derive(Debug)]
pub(crate) enum DatagramSocket {
    /// Over UDP.
    Udp(UdpSocket),
    /// At a path.
    Unix(UnixDatagram),
}

impl AsRawFd for DatagramSocket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            DatagramSocket::Udp(socket) => socket.as_raw_fd(),
            DatagramSocket::Unix(socket) => socket.as_raw_fd(),
        }
    }
}

impl From<UdpSocket> for DatagramSocket {
    fn from(socket: UdpSocket) -> Self {
        DatagramSocket::Udp(socket)
    }
}

/// Gives a socket a receive buffer of `wanted` bytes, or with zero as many as [`LARGE_RECEIVE_BUFFER`]; as much of it as
/// the system allows. Returns the bytes that it has then.
///
/// # Errors
/// The system does not say how large the buffer is.
pub(crate) fn enlarge_receive_buffer(socket: &impl AsFd, wanted: usize) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    let mut size = if wanted == 0 { LARGE_RECEIVE_BUFFER } else { wanted };
    let before = granted(&socket)?;
    // Linux cuts a large request down by itself; other systems refuse it.
    while (size > before || wanted > 0) && size > 0 && socket.set_recv_buffer_size(size).is_err() {
        size /= 2;
    }
    granted(&socket)
}

fn granted(socket: &SockRef<'_>) -> io::Result<usize> {
    // Linux doubles what is asked for, to have room for its own bookkeeping, and reports the double.
    let reported = socket.recv_buffer_size()?;
    Ok(if cfg!(target_os = "linux") { reported / 2 } else { reported })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    fn pair(largest: usize) -> (Listener, Waker, UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        enlarge_receive_buffer(&socket, 0).unwrap();
        let address = socket.local_addr().unwrap();
        let waker = Waker::new().unwrap();
        let listener = Listener::new(socket.into(), largest, waker.clone()).unwrap();
        (listener, waker, UdpSocket::bind("127.0.0.1:0").unwrap(), address)
    }

    /// Reads until nothing is left.
    fn drain(listener: &mut Listener) -> Vec<(Vec<u8>, bool)> {
        let mut seen = Vec::new();
        while listener.receive(false, |payload, cut, _| seen.push((payload.to_vec(), cut))).unwrap() > 0 {}
        seen
    }

    #[test]
    fn every_datagram_of_a_burst_arrives_whole_and_in_order() {
        let (mut listener, _waker, client, address) = pair(65_535);
        let sent: Vec<Vec<u8>> = (0..150_usize).map(|number| vec![number as u8; number * 7]).collect();
        for datagram in &sent {
            client.send_to(datagram, address).unwrap();
        }
        let received = drain(&mut listener);
        assert_eq!(received.iter().map(|(payload, _)| payload.clone()).collect::<Vec<_>>(), sent);
        assert!(received.iter().all(|(_, cut)| !cut));
    }

    #[test]
    fn a_datagram_larger_than_the_buffer_is_cut_and_said_to_be() {
        let (mut listener, _waker, client, address) = pair(100);
        for length in [99, 100, 101, 65_507] {
            client.send_to(&vec![b'x'; length], address).unwrap();
        }
        let seen: Vec<_> = drain(&mut listener).into_iter().map(|(payload, cut)| (payload.len(), cut)).collect();
        assert_eq!(seen, [(99, false), (100, false), (100, true), (100, true)]);
    }

    #[test]
    fn waiting_ends_with_a_datagram() {
        let (mut listener, _waker, client, address) = pair(100);
        let (sender, seen) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut left = 2;
            while left > 0 {
                left -= listener.receive(true, |payload, _, _| sender.send(payload.to_vec()).unwrap()).unwrap();
            }
        });
        client.send_to(b"first", address).unwrap();
        assert_eq!(seen.recv().unwrap(), b"first");
        client.send_to(b"second", address).unwrap();
        assert_eq!(seen.recv().unwrap(), b"second");
        reader.join().unwrap();
    }

    #[test]
    fn waiting_ends_when_somebody_wakes_it_even_beforehand() {
        let (mut listener, waker, _client, _address) = pair(100);
        waker.wake();
        waker.wake();
        assert_eq!(listener.receive(true, |_, _, _| {}).unwrap(), 0);
        let reader = thread::spawn(move || listener.receive(true, |_, _, _| {}).unwrap());
        waker.wake();
        assert_eq!(reader.join().unwrap(), 0);
    }

    #[test]
    fn it_tells_who_sent_a_datagram_while_it_is_asked() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has one address only.
            let Ok(socket) = UdpSocket::bind(local) else { continue };
            let address = socket.local_addr().unwrap();
            let mut listener = Listener::new(socket.into(), 100, Waker::new().unwrap()).unwrap();
            let clients = [UdpSocket::bind(local).unwrap(), UdpSocket::bind(local).unwrap()];
            for asked in [false, true, false] {
                listener.ask_for_sources(if asked { Senders::Sample } else { Senders::None });
                let mut sources = Vec::new();
                for client in [&clients[0], &clients[1], &clients[0]] {
                    client.send_to(b"a:1|c", address).unwrap();
                    listener.receive(true, |_, _, sender| sources.push(sender.address)).unwrap();
                }
                let ports = [&clients[0], &clients[1], &clients[0]];
                let expected = ports.map(|client| asked.then(|| client.local_addr().unwrap()));
                assert_eq!(sources, expected);
            }
        }
    }

    #[test]
    fn a_receive_buffer_is_as_large_as_asked_for_or_as_allowed() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let small = enlarge_receive_buffer(&socket, 8_192).unwrap();
        assert_eq!(small, 8_192);
        assert!(enlarge_receive_buffer(&socket, 0).unwrap() > small);
        assert!(enlarge_receive_buffer(&socket, usize::MAX / 2).unwrap() > 0);
    }
}
