//! Linux: `/proc/net` lists the sockets with their inodes, and `/proc/<pid>/fd` links to the inodes that a process has open.
//! The links of other users' processes are visible to root only.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::super::{Protocol, proc_net};

/// The state of a TCP socket that listens (`TCP_LISTEN`).
const TCP_LISTENS: &str = "0A";

/// The id and name of the process whose socket is in the way of `address`.
pub(super) fn find(protocol: Protocol, address: SocketAddr) -> Option<(u32, String)> {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let mut sockets: Vec<Socket> =
        tables.iter().flat_map(|table| read_table(&fs::read_to_string(table).unwrap_or_default(), protocol)).collect();
    sockets.retain(|socket| clash(socket.address, address));
    // One at the very address is more likely in the way than one at every address.
    sockets.sort_by_key(|socket| socket.address != address);
    sockets.iter().find_map(|socket| process_with(socket.inode)).map(named)
}

/// The id and name of a process that has a Unix socket bound to `path`.
pub(super) fn find_path(path: &Path) -> Option<(u32, String)> {
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    // The inode stands before the path, which may have spaces.
    let inodes = table.lines().filter_map(|line| {
        let before = line.strip_suffix(path.to_str()?)?.strip_suffix(' ')?;
        before.split_ascii_whitespace().nth(6)?.parse().ok()
    });
    inodes.filter_map(process_with).next().map(named)
}

/// The id and name of the process that has the file with an inode locked. File systems show another device here than there, so
/// the inode has to do.
pub(super) fn find_lock(inode: u64) -> Option<(u32, String)> {
    lock_holder(&fs::read_to_string("/proc/locks").ok()?, inode).map(named)
}

/// Reads `/proc/locks` (proc_locks(5)): `1: FLOCK  ADVISORY  WRITE 812 fd:01:131073 0 EOF`. Those that wait have `->` for a kind.
fn lock_holder(text: &str, inode: u64) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_lock = fields.nth(1)? == "FLOCK";
        let pid = fields.nth(2)?.parse().ok()?;
        let locked: u64 = fields.next()?.rsplit(':').next()?.parse().ok()?;
        (is_lock && locked == inode).then_some(pid)
    })
}

fn named(pid: u32) -> (u32, String) {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    (pid, name.trim_end().to_owned())
}

/// A line of a table.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    inode: u64,
}

/// Reads a table of `/proc/net`: a heading, then a line for each socket (Documentation/networking/proc_net_tcp.rst).
fn read_table(text: &str, protocol: Protocol) -> Vec<Socket> {
    let socket = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = proc_net::address(fields.nth(1)?)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok().filter(|inode| *inode != 0)?;
        (protocol == Protocol::Udp || state == TCP_LISTENS).then_some(Socket { address, inode })
    };
    text.lines().skip(1).filter_map(socket).collect()
}

/// Whether a socket at one address keeps another from the other one. `0.0.0.0` is every IPv4 address, `::` every address
/// of either family.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (left, right) = (one.ip().to_canonical(), other.ip().to_canonical());
    let is_any = |ip: IpAddr, covered: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || covered.is_ipv4());
    one.port() == other.port() && (left == right || is_any(left, right) || is_any(right, left))
}

/// The lowest id of the processes that have a socket open: that of the parent, most likely.
fn process_with(inode: u64) -> Option<u32> {
    let link = PathBuf::from(format!("socket:[{inode}]"));
    let mut pids: Vec<u32> = entries(Path::new("/proc")).filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        let folder = PathBuf::from(format!("/proc/{pid}/fd"));
        entries(&folder).any(|name| fs::read_link(folder.join(name)).is_ok_and(|target| target == link))
    })
}

/// The names in a folder; none where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_are_read_as_the_kernel_writes_them() {
        let udp = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                   \x20 125: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 24811 2 0000000000000000 0\n\
                   \x20 126: garbage\n";
        let socket = |text, inode| Socket { address: address(text), inode };
        assert_eq!(read_table(udp, Protocol::Udp), [socket("127.0.0.1:8125", 24811)]);
        let tcp = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                   \x20  0: 00000000000000000000000001000000:22B8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100\n\
                   \x20  1: 00000000000000000000000001000000:22B8 00000000000000000000000001000000:C350 01 00000000:00000000 00:00000000 00000000     0        0 18 1 0 100\n";
        assert_eq!(read_table(tcp, Protocol::Tcp), [socket("[::1]:8888", 17)], "one listens, one is connected");
    }

    #[test]
    fn the_holder_of_a_lock_is_read_as_the_kernel_writes_it() {
        let text = "1: POSIX  ADVISORY  WRITE 11 fd:01:131 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fd:01:131 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 13 fd:01:131 0 EOF\n3: FLOCK  ADVISORY  READ  14 00:2c:7 0 EOF\n";
        assert_eq!([131, 7, 9].map(|inode| lock_holder(text, inode)), [Some(12), Some(14), None]);
    }

    #[test]
    fn an_address_for_all_clashes_with_each_of_its_family() {
        for (one, other, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::]:1", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("[::1]:1", "127.0.0.1:1", false),
        ] {
            assert_eq!(clash(address(one), address(other)), expected, "{one} and {other}");
        }
    }

    #[test]
    fn this_process_is_found_by_what_it_holds() {
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        for (protocol, address) in [
            (Protocol::Udp, udp.local_addr().unwrap()),
            (Protocol::Udp, SocketAddr::from(([127, 0, 0, 1], port))),
            (Protocol::Tcp, tcp.local_addr().unwrap()),
        ] {
            let (pid, name) = find(protocol, address).unwrap();
            assert_eq!(pid, std::process::id(), "{protocol} {address}");
            assert!(!name.is_empty());
        }
    }

    #[test]
    fn nobody_is_found_at_a_free_port() {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(find(Protocol::Udp, address), None);
    }
}
