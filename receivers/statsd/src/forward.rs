//! Copies of all packets to another StatsD server, for a migration. Nothing waits for it: what it cannot take at once is
//! not sent, and counted.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hornpipe_engine::sockets::resolve_endpoint;
use hornpipe_engine::telemetry::{ComponentTelemetry, Counter};

use crate::listen::Socket;

/// The most that goes into one packet, where lines allow: the Agent's `dogstatsd_buffer_size`. Longer packets and what was
/// read of a stream are cut between lines.
const LARGEST: usize = 8_192;

/// Sends copies; shared by all readers.
#[derive(Debug)]
pub(crate) struct Forwarder {
    target: Target,
    sent: Arc<Counter>,
    failed: Arc<Counter>,
}

#[derive(Debug)]
enum Target {
    Udp(UdpSocket),
    /// Found anew with every packet, so that the other server may be restarted.
    Unix(UnixDatagram, PathBuf),
}

impl Forwarder {
    /// Sends to `host:port` over UDP, or to the datagram socket at an absolute path.
    ///
    /// # Errors
    /// The host has no address, the target is one of our own `sockets`, or the system has no descriptor left.
    pub(crate) fn open(target: &str, sockets: &[Socket], telemetry: &ComponentTelemetry) -> Result<Self, String> {
        let failure = |error: io::Error| format!("cannot send to {target}: {error}");
        let target = if is_path(target) {
            let path = PathBuf::from(target);
            if sockets.iter().filter_map(Socket::unixgram_path).any(|own| is_same_file(&own, &path)) {
                return Err(own_address(target));
            }
            let socket = UnixDatagram::unbound().map_err(failure)?;
            socket.set_nonblocking(true).map_err(failure)?;
            Target::Unix(socket, path)
        } else {
            let addresses = resolve_endpoint(target).map_err(|error| error.to_string())?;
            let Some(&address) = addresses.first() else { return Err(format!("{target} has no address")) };
            if sockets.iter().filter_map(Socket::udp_address).any(|own| reaches(own, address)) {
                return Err(own_address(target));
            }
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).map_err(failure)?;
            socket.set_nonblocking(true).map_err(failure)?;
            socket.connect(address).map_err(failure)?;
            Target::Udp(socket)
        };
        let sent = telemetry.counter("hornpipe_statsd_forwarded_packets", "{packet}", "Packets copied to forward_to");
        let description = "Packets that could not be copied to forward_to at once";
        let failed = telemetry.counter("hornpipe_statsd_forward_failures", "{packet}", description);
        Ok(Forwarder { target, sent, failed })
    }

    /// The counter of packets that were not copied.
    pub(crate) fn failures(&self) -> Arc<Counter> {
        Arc::clone(&self.failed)
    }

    /// Sends a copy. Of a datagram that `is_cut` the last line is left out, which is not whole.
    pub(crate) fn send(&self, payload: &[u8], is_cut: bool) {
        let mut rest = payload;
        if is_cut {
            rest = rest.split_at(memchr::memrchr(b'\n', rest).unwrap_or(0)).0;
        }
        while let Some((packet, after)) = next_packet(rest) {
            rest = after;
            match self.send_one(packet) {
                Ok(_) => self.sent.add(1),
                // Over UDP that is the answer to a packet before, which was counted as sent. This one has not been tried yet,
                // and where it goes it stands for that one.
                Err(error) if self.is_udp() && error.kind() == ErrorKind::ConnectionRefused => {
                    self.failed.add(1);
                    if self.send_one(packet).is_err() {
                        self.failed.add(1);
                    }
                }
                Err(_) => self.failed.add(1),
            }
        }
    }

    fn send_one(&self, packet: &[u8]) -> io::Result<usize> {
        match &self.target {
            Target::Udp(socket) => socket.send(packet),
            Target::Unix(socket, path) => socket.send_to(packet, path),
        }
    }

    fn is_udp(&self) -> bool {
        matches!(self.target, Target::Udp(_))
    }
}

/// What to tell of `failures` since it was last told.
pub(crate) fn news(failures: u64, target: &str) -> String {
    format!(
        "{failures} packets could not be copied to forward_to ({target}): look whether a server listens there and keeps up"
    )
}

/// True for the target of a Unix socket.
pub(crate) fn is_path(target: &str) -> bool {
    Path::new(target).is_absolute()
}

fn own_address(target: &str) -> String {
    format!(
        "{target} is an address of this receiver, which would forward to itself for ever; give that of another server"
    )
}

/// Whether a packet to `address` would come to our socket at `own`.
fn reaches(own: SocketAddr, address: SocketAddr) -> bool {
    let (listening, target) = (own.ip().to_canonical(), address.ip().to_canonical());
    // What is sent to no address in particular goes to the loopback address.
    let target = match target {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    // Only an address of this machine can be bound.
    let is_here = || UdpSocket::bind((target, 0)).is_ok();
    let takes_all = listening.is_unspecified() && (listening.is_ipv6() || target.is_ipv4());
    own.port() == address.port() && (listening == target || (takes_all && is_here()))
}

/// Whether two paths lead to one file, through whatever links.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    one == other || identity(one).is_some_and(|file| Some(file) == identity(other))
}

/// The first packet's worth of whole lines, and what follows.
fn next_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let Some(window) = bytes.get(..LARGEST).filter(|window| window.len() < bytes.len()) else {
        return Some((bytes, &[]));
    };
    // A line that is longer than a packet goes alone.
    let end = memchr::memrchr(b'\n', window).or_else(|| memchr::memchr(b'\n', bytes));
    Some(bytes.split_at(end.map_or(bytes.len(), |end| end + 1)))
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::telemetry::ComponentKind;
    use hornpipe_engine::testing::{FakeClock, build_context};

    use super::*;

    fn telemetry() -> Arc<ComponentTelemetry> {
        build_context(ComponentKind::Receiver, "statsd", &FakeClock::new()).telemetry
    }

    #[test]
    fn packets_are_cut_between_lines() {
        let line = |length: usize| format!("{}\n", "x".repeat(length - 1));
        let sizes = |bytes: &str| {
            let mut rest = bytes.as_bytes();
            let mut sizes = Vec::new();
            while let Some((packet, after)) = next_packet(rest) {
                sizes.push(packet.len());
                rest = after;
            }
            sizes
        };
        assert_eq!(sizes(""), [0; 0]);
        assert_eq!(sizes("a:1|c"), [5]);
        assert_eq!(sizes(&line(100).repeat(200)), [8_100, 8_100, 3_800]);
        assert_eq!(sizes(&format!("{}{}{}", line(50), line(9_000), line(50))), [50, 9_000, 50]);
        assert_eq!(sizes(&"x".repeat(9_000)), [9_000]);
        assert_eq!(sizes(&line(LARGEST)), [LARGEST]);
    }

    #[test]
    fn copies_arrive_as_they_were_and_a_missing_server_costs_nothing_but_a_count() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let telemetry = telemetry();
        let address = other.local_addr().unwrap().to_string();
        let forwarder = Forwarder::open(&address, &[], &telemetry).unwrap();
        let mut buffer = [0; 100];
        let mut seen = || other.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
        forwarder.send(b"a:1|c\nbad\n", false);
        forwarder.send(b"b:1|c\nb:1|", true);
        assert_eq!((seen().unwrap(), seen().unwrap()), ("a:1|c\nbad\n".to_owned(), "b:1|c".to_owned()));
        forwarder.send(b"cut", true);
        assert_eq!((forwarder.sent.get(), forwarder.failed.get()), (2, 0));

        let path = std::env::temp_dir().join(format!("hornpipe-forward-{}", std::process::id()));
        let missing = Forwarder::open(path.to_str().unwrap(), &[], &telemetry).unwrap();
        missing.send(b"a:1|c", false);
        assert_eq!(missing.failed.get(), 1);
        let found = UnixDatagram::bind(&path).unwrap();
        missing.send(b"a:1|c", false);
        fs::remove_file(&path).unwrap();
        assert_eq!(found.recv(&mut buffer).unwrap(), 5);
    }

    #[test]
    fn packets_that_a_closed_port_refuses_are_failures_until_somebody_listens_there() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let forwarder = Forwarder::open(&free.to_string(), &[], &telemetry()).unwrap();
        for _ in 0..10 {
            forwarder.send(b"a:1|c", false);
        }
        let (sent, failed) = (forwarder.sent.get(), forwarder.failed.get());
        // Only the next packet shows that the last one was refused; a busy machine may tell it later still.
        assert!(failed > 0 && sent + failed == 10, "{sent} sent, {failed} failed");
        let other = UdpSocket::bind(free).unwrap();
        let mut buffer = [0; 16];
        for expected in ["b:1|c", "c:1|c"] {
            forwarder.send(expected.as_bytes(), false);
            let length = other.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
        assert_eq!(forwarder.sent.get() + forwarder.failed.get(), 12);
    }

    #[test]
    fn a_full_socket_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("hornpipe-forward-full-{}", std::process::id()));
        let other = UnixDatagram::bind(&path).unwrap();
        let forwarder = Forwarder::open(path.to_str().unwrap(), &[], &telemetry()).unwrap();
        for _ in 0..2_000 {
            forwarder.send(b"a:1|c", false);
        }
        fs::remove_file(&path).unwrap();
        drop(other);
        assert!(forwarder.failed.get() > 0);
        assert_eq!(forwarder.sent.get() + forwarder.failed.get(), 2_000);
    }

    #[test]
    fn a_receiver_does_not_forward_to_itself() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let own = [Socket::Udp(socket)];
        let error = Forwarder::open(&address.to_string(), &own, &telemetry()).unwrap_err();
        assert!(error.contains("address of this receiver"), "{error}");
        for (own, target, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "127.0.0.1:2", false),
            ("0.0.0.0:1", "10.255.255.9:1", false),
            ("0.0.0.0:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true),
            ("[::1]:1", "[::]:1", true),
            ("127.0.0.1:1", "[::]:1", false),
            ("[::]:1", "127.0.0.1:1", true),
        ] {
            assert_eq!(reaches(own.parse().unwrap(), target.parse().unwrap()), expected, "{own} {target}");
        }
    }

    #[test]
    fn a_receiver_knows_its_own_path_behind_links() {
        let directory = std::env::temp_dir().join(format!("hornpipe-forward-links-{}", std::process::id()));
        fs::create_dir_all(directory.join("real")).unwrap();
        let own = directory.join("real/dsd.sock");
        let sockets = [Socket::Unixgram(UnixDatagram::bind(&own).unwrap())];
        std::os::unix::fs::symlink("real", directory.join("link")).unwrap();
        std::os::unix::fs::symlink(&own, directory.join("file")).unwrap();
        let open = |path: &str| {
            Forwarder::open(directory.join(path).to_str().unwrap(), &sockets, &telemetry()).map(drop).is_ok()
        };
        let found = ["real/dsd.sock", "link/dsd.sock", "file", "real/../link/./dsd.sock", "other"].map(open);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, [false, false, false, false, true]);
    }
}
