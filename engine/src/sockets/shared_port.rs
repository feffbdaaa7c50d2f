//! Several UDP sockets at one address (`SO_REUSEPORT`).

use std::io;
use std::os::fd::OwnedFd;

use socket2::{SockRef, Socket, Type};

/// Makes `sockets` as many as wanted, at least one. The first one, bound before, gives the address.
pub(super) fn resize(sockets: &mut Vec<OwnedFd>, count: usize) -> io::Result<()> {
    sockets.truncate(count.max(1));
    while sockets.len() < count {
        let first = SockRef::from(sockets.first().ok_or(io::ErrorKind::NotFound)?);
        let address = first.local_addr()?;
        // Linux lets a socket that is bound share its address from now on. So there is no moment at which a second process
        // could have taken it.
        first.set_reuse_port(true)?;
        let next = Socket::new(address.domain(), Type::DGRAM, None)?;
        if address.is_ipv6() {
            next.set_only_v6(first.only_v6()?)?;
        }
        next.set_reuse_port(true)?;
        next.bind(&address)?;
        sockets.push(next.into());
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::UdpSocket;

    use super::super::{BindError, Sockets};

    fn drain(sockets: &[UdpSocket]) -> Vec<usize> {
        let count = |socket: &UdpSocket| {
            socket.set_nonblocking(true).unwrap();
            std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count()
        };
        sockets.iter().map(count).collect()
    }

    #[test]
    fn senders_are_distributed_and_a_second_process_is_refused() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = Sockets::default();
        let group = sockets.udp_group(free, 2).unwrap();
        for _ in 0..64 {
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", free).unwrap();
        }
        let counts = drain(&group);
        assert_eq!((counts.iter().sum::<usize>(), counts.contains(&0)), (64, false), "{counts:?}");
        for wanted in [1, 2] {
            let error = Sockets::default().udp_group(free, wanted).unwrap_err();
            assert!(matches!(error, BindError::Taken { .. }), "{error}");
        }
    }

    #[test]
    fn a_group_grows_and_shrinks_without_closing_its_address() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = Sockets::default();
        for wanted in [1, 3, 2, 1, 2] {
            let group = sockets.udp_group(free, wanted).unwrap();
            assert_eq!(group.len(), wanted);
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", free).unwrap();
            assert_eq!(drain(&group).iter().sum::<usize>(), 1);
        }
    }
}
