//! Linux's tables of sockets, `/proc/<pid>/net/{udp,tcp,unix}` (proc_pid_net(5)).

use std::net::SocketAddr;

use hornpipe_engine::sockets::proc_net;

/// States of a socket. Of UDP, established means connected.
pub(crate) const ESTABLISHED: u8 = 0x01;
pub(crate) const LISTENS: u8 = 0x0a;

/// `SO_ACCEPTCON` among the flags of a Unix socket: it listens.
const ACCEPTS: u32 = 0x1_0000;
/// `SOCK_STREAM` and `SOCK_DGRAM`.
const STREAM: &str = "0001";

/// A row of `udp`, `udp6`, `tcp` or `tcp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InetSocket {
    pub remote: SocketAddr,
    pub state: u8,
    /// Bytes that wait to be read; of one that listens, connections that wait to be accepted.
    pub receive_queue: u64,
    pub user: u32,
    pub inode: u64,
}

/// Reads a table of Internet sockets; rows that are not as they should be are left out.
pub(crate) fn inet_sockets(table: &str) -> impl Iterator<Item = InetSocket> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        Some(InetSocket {
            remote: proc_net::address(fields.get(2)?)?,
            state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
            receive_queue: u64::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?,
            user: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    })
}

/// The Unix stream sockets that listen, with the paths that they are bound to.
pub(crate) fn listening_unix_sockets(table: &str) -> impl Iterator<Item = (u64, &str)> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(7).collect();
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let inode = fields.get(6)?.parse().ok()?;
        // The path stands last and may have spaces.
        let path =
            fields.iter().try_fold(line, |rest, field| rest.trim_start().strip_prefix(field))?.strip_prefix(' ')?;
        (flags & ACCEPTS != 0 && fields.get(4) == Some(&STREAM)).then_some((inode, path))
    })
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_the_kernel_writes_them() {
        let udp = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                   \x20 125: 0100007F:C350 0100007F:1FBD 01 00000000:00000007 00:00000000 00000000    33        0 24811 2 0000000000000000 0\n\
                   \x20 126: garbage\n\
                   \x20 127: 0100007F:C350 zz:1FBD 01 0:0 0:0 0 33 0 24811 2 0 0\n";
        let expected = InetSocket {
            remote: "127.0.0.1:8125".parse().unwrap(),
            state: ESTABLISHED,
            receive_queue: 7,
            user: 33,
            inode: 24811,
        };
        assert_eq!(inet_sockets(udp).collect::<Vec<_>>(), [expected]);
        let tcp6 = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                    \x20  0: 00000000000000000000000001000000:22B8 00000000000000000000000000000000:0000 0A 00000000:0000000C 00:00000000 00000000     0        0 17 1 0 100\n";
        let found: Vec<_> =
            inet_sockets(tcp6).map(|socket| (socket.state, socket.receive_queue, socket.inode)).collect();
        assert_eq!(found, [(LISTENS, 12, 17)]);
    }

    #[test]
    fn unix_sockets_that_listen_are_told_from_others() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 20881 /run/user/33/gunicorn.ctl\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01   17 /srv/my app/web 1.ctl\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 20882 /run/connected\n\
                     0000000000000000: 00000002 00000000 00000000 0002 01 20883 /run/datagrams\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 20884\n\
                     garbage\n";
        let found: Vec<_> = listening_unix_sockets(table).collect();
        assert_eq!(found, [(20881, "/run/user/33/gunicorn.ctl"), (17, "/srv/my app/web 1.ctl")]);
    }
}
