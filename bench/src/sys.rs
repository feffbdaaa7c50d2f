//! The system calls that the standard library lacks.
//!
//! # Why the unsafe code is sound
//!
//! * [`Ring`] hands the kernel pointers into memory that it allocates once and never moves, resizes or reads: `_bytes`
//!   (where datagrams go) and `_vectors` (where each of them goes). Both live as long as the ring, and the kernel writes
//!   only within the call, at most a vector's length.
//! * [`send_many`] makes its vectors and headers anew from slices that outlive the call; the kernel only reads the bytes.
//! * The other calls get descriptors that their callers own, plain numbers, and pointers to local variables of the size
//!   that they are told.
//! * Zeros are a valid `mmsghdr` and `timespec`: they hold numbers and pointers, which may be null.

#![allow(unsafe_code, reason = "the one place for it, with its argument above")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Datagrams a call. Hornpipe takes as many.
pub const AT_ONCE: usize = 64;

/// The longest datagram.
const LARGEST: usize = 65_535;

/// Places for received datagrams, whose bytes nobody looks at.
#[derive(Debug)]
pub struct Ring {
    _bytes: Vec<u8>,
    _vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Default for Ring {
    fn default() -> Self {
        let mut bytes = vec![0_u8; LARGEST * AT_ONCE];
        let first = bytes.as_mut_ptr();
        let place =
            |number: usize| libc::iovec { iov_base: first.wrapping_add(number * LARGEST).cast(), iov_len: LARGEST };
        let mut vectors: Vec<libc::iovec> = (0..AT_ONCE).map(place).collect();
        let first = vectors.as_mut_ptr();
        let headers = (0..AT_ONCE).map(|number| header(first.wrapping_add(number))).collect();
        Ring { _bytes: bytes, _vectors: vectors, headers }
    }
}

impl Ring {
    /// Waits for a datagram and takes it and those behind it; how many there were and their bytes.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when the socket's read timeout has passed.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<(usize, usize)> {
        // SAFETY: see the module; there are as many headers as it says.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                AT_ONCE as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let bytes = self.headers.iter().take(count).map(|header| header.msg_len as usize).sum();
        Ok((count, bytes))
    }
}

/// Sends up to [`AT_ONCE`] datagrams through a connected socket, waiting where it is full; how many have gone.
///
/// # Errors
/// The system's, if not even the first could be sent.
pub fn send_many(socket: BorrowedFd<'_>, datagrams: &[&[u8]]) -> io::Result<usize> {
    let vector = |bytes: &&[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut vectors: Vec<libc::iovec> = datagrams.iter().take(AT_ONCE).map(vector).collect();
    let first = vectors.as_mut_ptr();
    let mut headers: Vec<libc::mmsghdr> = (0..vectors.len()).map(|number| header(first.wrapping_add(number))).collect();
    // SAFETY: see the module; the length is that of `headers`.
    let count = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as libc::c_uint, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn header(vector: *mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: see the module.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Asks for a receive buffer of so many bytes; the system gives as much of it as it allows.
///
/// # Errors
/// The system's.
pub fn set_receive_buffer(socket: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `bytes`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The time that all threads of a process, ended ones too, have spent on a processor: user and system, in nanoseconds.
/// (`/proc/<pid>/stat` has it only in hundredths of a second.)
///
/// # Errors
/// There is no such process.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is a local variable of the type that is written.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: zeros are valid, see the module; the call writes one `timespec`.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Asks a process to end.
///
/// # Errors
/// There is no such process.
pub fn terminate(process: u32) -> io::Result<()> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    // SAFETY: two numbers, no memory.
    if unsafe { libc::kill(process, libc::SIGTERM) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
