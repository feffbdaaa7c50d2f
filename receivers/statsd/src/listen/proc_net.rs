//! Datagrams that the kernel has dropped, from its tables of sockets: the way of systems whose sockets do not tell.

use std::fs;
use std::os::fd::RawFd;

const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// The columns of a row: slot, both addresses, state, queues, timer, retransmits, user, timeout, inode, references,
/// pointer, drops.
const INODE: usize = 9;
const DROPS: usize = 12;

/// How many datagrams the kernel has dropped at a UDP socket; nothing where it does not say.
pub(super) fn drops(socket: RawFd) -> Option<u32> {
    let link = fs::read_link(format!("/proc/self/fd/{socket}")).ok()?;
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
    TABLES.iter().find_map(|table| find(&fs::read_to_string(table).ok()?, inode))
}

fn find(table: &str, inode: &str) -> Option<u32> {
    let mut rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(INODE) == Some(&inode))?;
    // The caller looks at differences of a counter that wraps around, as the other source's does.
    row.get(DROPS)?.parse::<u64>().ok().map(|drops| drops as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sockets_row_is_found_by_its_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref \
                     pointer drops             \n  \
                     413: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 31337 2 \
                     00000000c4a3a5b1 7         \n 1414: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 \
                     00000000     0        0 42 2 0000000000000000 4294967297     \n";
        assert_eq!((find(table, "31337"), find(table, "42"), find(table, "1")), (Some(7), Some(1), None));
        assert_eq!(find("", "1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_says_what_the_socket_itself_says() {
        use std::net::UdpSocket;
        use std::os::fd::AsRawFd;

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            client.send_to(&[b'x'; 500], socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let read = std::iter::from_fn(|| socket.recv(&mut [0; 500]).ok()).count();
        assert_eq!(drops(socket.as_raw_fd()), Some(200 - read as u32));
    }
}
