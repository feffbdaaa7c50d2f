//! How many connections may wait at each listening socket of this network namespace, from Linux's `sock_diag` (sock_diag(7)).

use std::collections::HashMap;
use std::io;

/// By the sockets' inodes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many connections may wait.
    pub tcp: HashMap<u64, u64>,
    /// How many connections wait, and how many may.
    pub unix: HashMap<u64, (u64, u64)>,
}

#[cfg(not(target_os = "linux"))]
impl Limits {
    /// Not told here.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn of_system() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Asks the kernel about every socket that listens.
    ///
    /// # Errors
    /// The kernel has no `sock_diag`, or does not let us ask.
    pub(crate) fn of_system() -> io::Result<Self> {
        let mut limits = Limits::default();
        for family in [linux::AF_INET, linux::AF_INET6] {
            linux::ask(&linux::inet_request(family), |message| {
                let inode = linux::word(message, 68)?;
                limits.tcp.insert(u64::from(inode), u64::from(linux::word(message, 60)?));
                Some(())
            })?;
        }
        linux::ask(&linux::unix_request(), |message| {
            let inode = linux::word(message, 4)?;
            let (queue, limit) = linux::unix_queue(message.get(16..)?)?;
            limits.unix.insert(u64::from(inode), (u64::from(queue), u64::from(limit)));
            Some(())
        })?;
        Ok(limits)
    }
}

/// The messages of `linux/sock_diag.h`, `linux/inet_diag.h` and `linux/unix_diag.h`, in the machine's byte order.
#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, Read, Write};
    use std::time::Duration;

    use socket2::{Domain, Protocol, Socket, Type};

    pub(super) const AF_INET: u8 = libc::AF_INET as u8;
    pub(super) const AF_INET6: u8 = libc::AF_INET6 as u8;
    const AF_UNIX: u8 = libc::AF_UNIX as u8;
    const IPPROTO_TCP: u8 = libc::IPPROTO_TCP as u8;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NETLINK_SOCK_DIAG: i32 = 4;
    /// `NLM_F_REQUEST | NLM_F_DUMP`.
    const DUMP: u16 = 0x301;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    const HEADER: usize = 16;
    /// The bit of `TCP_LISTEN` among the states.
    const LISTENING: u32 = 1 << 10;
    /// `UDIAG_SHOW_RQLEN`, and its attribute.
    const SHOW_QUEUE: u32 = 0x10;
    const QUEUE: u16 = 4;
    /// More than the kernel puts into one answer.
    const LONGEST_ANSWER: usize = 64 * 1024;
    /// The kernel answers at once.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// `inet_diag_req_v2` for TCP sockets that listen.
    pub(super) fn inet_request(family: u8) -> Vec<u8> {
        let mut request = vec![family, IPPROTO_TCP, 0, 0];
        request.extend(LISTENING.to_ne_bytes());
        request.extend([0; 48]);
        request
    }

    /// `unix_diag_req` for sockets that listen, with their queues.
    pub(super) fn unix_request() -> Vec<u8> {
        let mut request = vec![AF_UNIX, 0, 0, 0];
        for word in [LISTENING, 0, SHOW_QUEUE, 0, 0] {
            request.extend(word.to_ne_bytes());
        }
        request
    }

    /// Sends a request and hands each message of the answer to `take`; what that cannot read is left out.
    pub(super) fn ask(request: &[u8], mut take: impl FnMut(&[u8]) -> Option<()>) -> io::Result<()> {
        let mut socket =
            Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, Some(Protocol::from(NETLINK_SOCK_DIAG)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let length = u32::try_from(HEADER + request.len()).unwrap_or_default();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.extend(DUMP.to_ne_bytes());
        // Sequence and sender, which the kernel fills in.
        message.extend([0; 8]);
        message.extend(request);
        socket.write_all(&message)?;
        let mut answer = vec![0; LONGEST_ANSWER];
        loop {
            let length = socket.read(&mut answer)?;
            let mut rest = answer.get(..length).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while let (Some(length), Some(kind)) = (word(rest, 0), half(rest, 4)) {
                let length = length as usize;
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
                    _ => {}
                }
                if let Some(message) = rest.get(HEADER..length) {
                    take(message);
                }
                rest = rest.get(length.next_multiple_of(4).max(HEADER)..).unwrap_or_default();
            }
        }
    }

    /// The queue among the attributes of a Unix socket: how many wait, and how many may.
    pub(super) fn unix_queue(mut attributes: &[u8]) -> Option<(u32, u32)> {
        loop {
            let (length, kind) = (usize::from(half(attributes, 0)?), half(attributes, 2)?);
            if kind == QUEUE {
                return Some((word(attributes, 4)?, word(attributes, 8)?));
            }
            attributes = attributes.get(length.next_multiple_of(4).max(4)..)?;
        }
    }

    pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    }

    fn half(bytes: &[u8], at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::io::AsFd;

    use super::*;

    /// The inode of a socket of this process.
    fn inode(socket: &impl AsFd) -> u64 {
        let file = std::fs::File::from(socket.as_fd().try_clone_to_owned().unwrap());
        file.metadata().unwrap().ino()
    }

    #[test]
    fn the_kernel_tells_how_many_may_wait() {
        let tcp = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        tcp.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        tcp.listen(7).unwrap();
        let path = std::env::temp_dir().join(format!("hornpipe-queue-{}.sock", std::process::id()));
        let unix = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        unix.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        unix.listen(5).unwrap();
        let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let limits = Limits::of_system().unwrap();
        assert_eq!(limits.tcp.get(&inode(&tcp)), Some(&7));
        assert_eq!(limits.unix.get(&inode(&unix)), Some(&(1, 5)));
        std::fs::remove_file(path).unwrap();
    }
}
