//! The listener for Linux: `recvmmsg` fetches many datagrams in one call, `poll` waits for a datagram or an `eventfd`.
//!
//! # Why the unsafe code is sound
//!
//! * [`Ring`] hands the kernel pointers into memory that it allocates once, at full size, and never moves or resizes:
//!   `datagrams` (the bytes), `vectors` (where each datagram goes) and `headers` (one for each vector). All three live
//!   as long as the ring. After `new`, the bytes are reached only through `first_byte`, which was taken from the
//!   allocation once, so no reference to them exists while the kernel writes.
//! * The kernel writes a datagram only within the call, into `vectors[i]`, whose length is the place's size; and reports
//!   in `headers[i]` how much of it is filled. [`Ring::datagram`] makes a slice of no more than both say, of bytes
//!   that were initialised with zeros, and borrows the ring, so that it ends before the next call.
//! * While senders are asked for, headers also point to places in `senders`, of the size that they say. The pointers are
//!   made anew before each call from an exclusive borrow of `senders`, which nobody else uses until the call returns,
//!   and whose every bit pattern is valid.
//! * While processes are asked for, headers also point to places in `controls`, in the same way; the kernel's own macros walk
//!   what it wrote there, within the length that it reported, and credentials are copied out byte by byte.
//! * The other calls (`eventfd`, `poll`, `getsockopt`) get descriptors that their callers own and pointers to local
//!   variables of the size that they are told.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{mem, ptr, slice};

use socket2::SockRef;

use super::pace::Pace;
use super::{DatagramSocket, Sender, Senders, proc_net};

/// Datagrams a call: at full load the cost of a call is spread over so many, and more gain nothing.
const DATAGRAMS_AT_ONCE: usize = 64;

/// A datagram costs a sixth more to receive with its sender than without (290 ns instead of 250). So after a call that
/// fetched this many or more, the sender is asked for with the first few of the next call only.
const BUSY: usize = 8;
const SENDERS_WHEN_BUSY: usize = 4;

/// How many bytes lie between two places for datagrams: three rows of a cache.
const STAGGER: usize = 192;

/// The socket option that reports a socket's memory and drops, and how many numbers it reports (asm-generic/socket.h,
/// linux/sock_diag.h). Unlike `SO_RXQ_OVFL` it costs nothing per datagram and also tells when no datagram follows.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_NUMBERS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// The bytes of a sender's address, those of `sockaddr_in6`; `sockaddr_in` is shorter.
type Address = [u8; size_of::<libc::sockaddr_in6>()];

/// Room for a sender's credentials: a header, three numbers, and what aligns them.
type Control = [u64; 4];

/// Wakes a listener that waits: an `eventfd`.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<File>);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; a descriptor that is not negative is new and nobody else's.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Waker(Arc::new(File::from(descriptor))))
    }

    pub(crate) fn wake(&self) {
        // It fails only if it has been called 2^64 times without anybody waking, in which case it has been called.
        let _ = (&*self.0).write(&1_u64.to_ne_bytes());
    }

    fn reset(&self) {
        // It fails only if there is nothing to reset.
        let _ = (&*self.0).read(&mut [0; 8]);
    }
}

/// Reads datagrams.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: DatagramSocket,
    waker: Waker,
    ring: Ring,
    /// The last call filled the ring: more is there most likely, so the next one need not wait.
    more: bool,
    /// None for a Unix socket: its clients wait while a handful of datagrams are unread. Over UDP nobody waits.
    pace: Option<Pace>,
}

/// Has the system say which process sends a datagram. It says nothing of those that are there already.
pub(super) fn ask_for_processes(socket: &UnixDatagram) -> io::Result<()> {
    SockRef::from(socket).set_passcred(true)
}

impl Listener {
    pub(crate) fn new(socket: DatagramSocket, largest_datagram: usize, waker: Waker) -> io::Result<Self> {
        let pace = match &socket {
            DatagramSocket::Udp(socket) => Some(Pace::for_buffer(SockRef::from(socket).recv_buffer_size()?)),
            DatagramSocket::Unix(_) => None,
        };
        Ok(Listener { socket, waker, ring: Ring::new(largest_datagram), more: false, pace })
    }

    pub(crate) fn ask_for_sources(&mut self, asked: Senders) {
        self.ring.ask_for_senders(asked);
    }

    pub(crate) fn ask_for_processes(&mut self) {
        if let DatagramSocket::Unix(socket) = &self.socket
            && ask_for_processes(socket).is_ok()
        {
            self.ring.controls = vec![Control::default(); DATAGRAMS_AT_ONCE];
        }
    }

    pub(crate) fn receive<'a>(
        &'a mut self,
        wait: bool,
        mut take: impl FnMut(&'a [u8], bool, Sender),
    ) -> io::Result<usize> {
        let may_wait = wait && !self.more;
        if may_wait && self.wait_and_see_whether_woken(self.pace.as_ref().and_then(Pace::gathering))? {
            return Ok(0);
        }
        let count = self.ring.receive(self.socket.as_raw_fd())?;
        self.more = count == DATAGRAMS_AT_ONCE;
        if let Some(pace) = &mut self.pace {
            pace.received(count, self.more, Instant::now());
        }
        let ring = &self.ring;
        for place in 0..count {
            if let Some((payload, cut)) = ring.datagram(place) {
                take(payload, cut, ring.sender(place));
            }
        }
        Ok(count)
    }

    pub(crate) fn kernel_drops(&self) -> Option<u32> {
        kernel_drops(&self.socket)
    }

    /// Waits for a datagram, or for so long where they are to gather, or for a call of the waker; true for the latter. It
    /// goes first: what it is about (the end of a window) came before the datagrams that came meanwhile.
    fn wait_and_see_whether_woken(&self, gathering: Option<Duration>) -> io::Result<bool> {
        let watch = |descriptor: RawFd| libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // A descriptor below zero is not looked at.
        let socket = if gathering.is_some() { -1 } else { self.socket.as_raw_fd() };
        let mut watched = [watch(socket), watch(self.waker.0.as_raw_fd())];
        let timeout = gathering.map(|time| libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        });
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the first pointer and the length are those of `watched`; the second is null or that of a local variable.
        let result = unsafe { libc::ppoll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, timeout, ptr::null()) };
        if result < 0 {
            return nothing_or_error(io::Error::last_os_error()).map(|_| false);
        }
        let woken = watched[1].revents != 0;
        if woken {
            self.waker.reset();
        }
        Ok(woken)
    }
}

/// How many datagrams the kernel has dropped since the socket was made; `None` where it does not tell.
fn kernel_drops(socket: &DatagramSocket) -> Option<u32> {
    let mut numbers = [0_u32; MEMINFO_NUMBERS];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `numbers`.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, numbers.as_mut_ptr().cast(), &raw mut length)
    };
    let complete = result == 0 && length as usize == size_of_val(&numbers);
    complete.then(|| numbers.get(MEMINFO_DROPS).copied()).flatten().or_else(|| proc_net::drops(socket.as_raw_fd()))
}

/// The process at the other end of a connected Unix socket, when it connected.
pub(super) fn peer_process(socket: &impl AsRawFd) -> Option<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_val(&credentials) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `credentials`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    u32::try_from(credentials.pid).ok().filter(|pid| result == 0 && *pid > 0)
}

/// A signal or an empty socket are no errors.
fn nothing_or_error(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

/// Places for datagrams, and what the kernel needs to fill them.
#[derive(Debug)]
struct Ring {
    /// Owns the bytes that `first_byte` points to.
    _datagrams: Vec<u8>,
    /// Owns the vectors that the headers point to.
    _vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// Who sent each datagram, where its header asks; empty while nobody asks.
    senders: Vec<Address>,
    asked: Senders,
    /// Which process sent each datagram; empty while nobody asks.
    controls: Vec<Control>,
    /// How many datagrams the last call fetched.
    fetched: usize,
    first_byte: *mut u8,
    place_size: usize,
}

// SAFETY: the pointers lead only into memory that the ring owns, so they may go to another thread together with it.
unsafe impl Send for Ring {}

impl Ring {
    fn new(place_size: usize) -> Self {
        // Datagrams are short beside their places: with places an even number of pages apart their bytes would all want the same
        // few rows of the nearest cache.
        let distance = place_size + STAGGER;
        // Zeroed memory of this size comes from the system untouched: only pages that a datagram reaches become real.
        let mut datagrams = vec![0_u8; distance * DATAGRAMS_AT_ONCE];
        let first_byte = datagrams.as_mut_ptr();
        let mut vectors: Vec<libc::iovec> = (0..DATAGRAMS_AT_ONCE)
            .map(|place| libc::iovec {
                iov_base: first_byte.wrapping_add(place * distance).cast(),
                iov_len: place_size,
            })
            .collect();
        let first_vector = vectors.as_mut_ptr();
        let headers = (0..DATAGRAMS_AT_ONCE)
            .map(|place| {
                // SAFETY: a header is plain numbers and pointers, for which zero is valid.
                let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
                header.msg_hdr.msg_iov = first_vector.wrapping_add(place);
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Ring {
            _datagrams: datagrams,
            _vectors: vectors,
            headers,
            senders: Vec::new(),
            asked: Senders::None,
            controls: Vec::new(),
            fetched: 0,
            first_byte,
            place_size,
        }
    }

    fn ask_for_senders(&mut self, asked: Senders) {
        self.asked = asked;
        let is_asked = asked != Senders::None;
        self.senders = if is_asked { vec![Address::default(); DATAGRAMS_AT_ONCE] } else { Vec::new() };
        for header in &mut self.headers {
            header.msg_hdr.msg_name = ptr::null_mut();
            header.msg_hdr.msg_namelen = 0;
        }
    }

    /// Fetches the datagrams that are there, without waiting. Returns how many.
    fn receive(&mut self, socket: RawFd) -> io::Result<usize> {
        let is_sampled = self.asked == Senders::Sample && self.fetched >= BUSY;
        let asked = if is_sampled { SENDERS_WHEN_BUSY } else { DATAGRAMS_AT_ONCE };
        for (place, (header, sender)) in self.headers.iter_mut().zip(&mut self.senders).enumerate() {
            let name = if place < asked { sender.as_mut_ptr() } else { ptr::null_mut() };
            header.msg_hdr.msg_name = name.cast();
            header.msg_hdr.msg_namelen = size_of::<Address>() as libc::socklen_t;
        }
        for (header, control) in self.headers.iter_mut().zip(&mut self.controls) {
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        // SAFETY: `headers` and all that they point to live in `self`, see the top of this file. The kernel resets every
        // field of a header that it fills.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.headers.as_mut_ptr(),
                DATAGRAMS_AT_ONCE as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).or_else(|_| nothing_or_error(io::Error::last_os_error()))?;
        self.fetched = count;
        Ok(count)
    }

    /// A datagram that the last call fetched, and whether it was cut.
    fn datagram(&self, place: usize) -> Option<(&[u8], bool)> {
        let header = self.headers.get(place)?;
        let length = (header.msg_len as usize).min(self.place_size);
        let is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        // SAFETY: `place` is below the number of headers, so the slice lies within the allocation; its bytes are
        // initialised, and the kernel writes to them only while `receive` has the ring borrowed mutably.
        let payload =
            unsafe { slice::from_raw_parts(self.first_byte.add(place * (self.place_size + STAGGER)), length) };
        Some((payload, is_cut))
    }

    /// Who sent a datagram that the last call fetched, where that was asked for.
    fn sender(&self, place: usize) -> Sender {
        Sender { address: self.address(place), pid: self.pid(place) }
    }

    fn address(&self, place: usize) -> Option<SocketAddr> {
        if self.headers.get(place)?.msg_hdr.msg_name.is_null() {
            return None;
        }
        read_address(self.senders.get(place)?)
    }

    fn pid(&self, place: usize) -> Option<u32> {
        self.controls.get(place)?;
        let header = &self.headers.get(place)?.msg_hdr;
        // SAFETY: the header's control pointer and length are those of a place in `controls`, filled by the kernel; the macro
        // returns null or a control header that lies within.
        let control = unsafe { libc::CMSG_FIRSTHDR(header) };
        // SAFETY: see above; a reference lives no longer than the next line.
        let control_header = unsafe { control.as_ref() }?;
        if control_header.cmsg_level != libc::SOL_SOCKET || control_header.cmsg_type != libc::SCM_CREDENTIALS {
            return None;
        }
        // SAFETY: data of this type is one `ucred`, for which the place has room; its alignment does not matter.
        let credentials = unsafe { ptr::read_unaligned(libc::CMSG_DATA(control).cast::<libc::ucred>()) };
        // Zero stands for a process that this one cannot see.
        u32::try_from(credentials.pid).ok().filter(|pid| *pid > 0)
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`: family (in the machine's byte order), port, then for IPv4 the address; for IPv6
/// a flow label, the address and the scope.
fn read_address(bytes: &Address) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match libc::c_int::from(libc::sa_family_t::from_ne_bytes(*family)) {
        libc::AF_INET => Some((Ipv4Addr::from(*rest.first_chunk::<4>()?), port).into()),
        libc::AF_INET6 => Some((Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?), port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn all_senders_are_told_but_for_a_sample_when_it_is_busy() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(socket.into(), 100, Waker::new().unwrap()).unwrap();
        listener.ask_for_sources(Senders::Sample);
        let clients: Vec<UdpSocket> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = clients.iter().map(|client| client.local_addr().unwrap().port()).collect();
        for told in [20, SENDERS_WHEN_BUSY, SENDERS_WHEN_BUSY] {
            for client in &clients {
                client.send_to(b"a:1|c", address).unwrap();
            }
            let mut senders = Vec::new();
            listener
                .receive(false, |_, _, sender| senders.extend(sender.address.map(|address| address.port())))
                .unwrap();
            assert_eq!(senders, ports[..told]);
        }
        assert_eq!(listener.receive(false, |_, _, _| {}).unwrap(), 0);
        clients[7].send_to(b"a:1|c", address).unwrap();
        listener.receive(false, |_, _, sender| assert_eq!(sender.address.unwrap().port(), ports[7])).unwrap();
    }

    #[test]
    fn datagrams_that_gather_are_read_after_a_while_and_a_call_of_the_waker_ends_it() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let waker = Waker::new().unwrap();
        let mut listener = Listener::new(socket.into(), 100, waker.clone()).unwrap();
        let pace = listener.pace.as_mut().unwrap();
        let now = Instant::now();
        pace.received(1, false, now);
        pace.received(1, false, now);
        assert!(pace.gathering().is_some());
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"a:1|c", address).unwrap();
        waker.wake();
        assert_eq!(listener.receive(true, |_, _, _| {}).unwrap(), 0);
        assert_eq!(listener.receive(true, |_, _, _| {}).unwrap(), 1);
        assert_eq!(listener.pace.as_ref().unwrap().gathering(), None, "it was the only one");
    }

    #[test]
    fn at_a_unix_socket_the_kernel_names_the_process_that_sent_a_datagram() {
        let (client, socket) = UnixDatagram::pair().unwrap();
        let mut listener = Listener::new(DatagramSocket::Unix(socket), 100, Waker::new().unwrap()).unwrap();
        let mut pids = Vec::new();
        client.send(b"a:1|c").unwrap();
        listener.receive(true, |_, _, sender| pids.push(sender.pid)).unwrap();
        listener.ask_for_processes();
        for _ in 0..3 {
            client.send(b"a:1|c").unwrap();
            listener.receive(true, |payload, _, sender| pids.push(sender.pid.filter(|_| payload == b"a:1|c"))).unwrap();
        }
        let own = Some(std::process::id());
        assert_eq!(pids, [None, own, own, own]);
        let (_client, connection) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(peer_process(&connection), own);
        assert_eq!(peer_process(&UdpSocket::bind("127.0.0.1:0").unwrap()), None);
    }

    #[test]
    fn datagrams_that_nobody_reads_in_time_are_counted_by_the_kernel() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(socket.into(), 1_000, Waker::new().unwrap()).unwrap();
        let before = listener.kernel_drops().unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            client.send_to(&[b'x'; 500], address).unwrap();
        }
        let mut read = 0;
        while let count @ 1.. = listener.receive(false, |_, _, _| {}).unwrap() {
            read += count;
        }
        assert!(read < 200, "the buffer was meant to be too small");
        assert_eq!(listener.kernel_drops().unwrap() - before, 200 - read as u32);
    }
}
