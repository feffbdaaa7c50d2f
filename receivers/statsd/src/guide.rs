//! What the operator is told: where we listen, how to point Gunicorn at it, and what to look at when nothing comes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::SockRef;

use crate::listen::Socket;

/// How long no datagram may come before the operator is told how to look for the reason.
const SILENCE: Duration = Duration::from_secs(60);

/// What `hornpipe status` says of clients at a Unix datagram socket.
pub(crate) const UNIXGRAM_RISK: &str =
    "a Gunicorn that is connected stays silent after hornpipe restarts, until it is restarted too";

/// The line about a socket that is not UDP.
pub(crate) fn line(socket: &Socket) -> String {
    let name = socket.name();
    match (socket, name.split_once(' ')) {
        (Socket::Unixgram(_), Some((_, path))) => {
            format!("listening for StatsD on {name}; connect Gunicorn with --statsd-host unix://{path}")
        }
        _ => format!("listening for StatsD on {name}"),
    }
}

/// An address that a socket listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    address: SocketAddr,
    /// An IPv6 socket that leaves IPv4 to others.
    is_only_v6: bool,
    /// The address by which other machines reach this one.
    reachable: Option<IpAddr>,
}

impl Listening {
    /// Asks the socket, and where it listens at every address, for the one that others use.
    pub(crate) fn of(socket: &UdpSocket) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        let is_only_v6 = address.is_ipv6() && SockRef::from(socket).only_v6().unwrap_or(true);
        let reachable = address.ip().is_unspecified().then(own_address).flatten();
        Ok(Listening { address, is_only_v6, reachable })
    }

    /// What to give to Gunicorn on this machine as `--statsd-host`. Gunicorn sends over IPv4 alone.
    pub(crate) fn statsd_host(&self) -> Option<SocketAddr> {
        let port = self.address.port();
        match self.address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Some((Ipv4Addr::LOCALHOST, port).into()),
            IpAddr::V4(_) => Some(self.address),
            IpAddr::V6(ip) if ip.is_unspecified() && !self.is_only_v6 => Some((Ipv4Addr::LOCALHOST, port).into()),
            IpAddr::V6(_) => None,
        }
    }

    /// The line about it.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("listening for StatsD on udp {}", self.address);
        if let Some(host) = self.statsd_host() {
            line.push_str(&format!("; connect Gunicorn with --statsd-host {host}"));
            if let Some(ip) = self.reachable {
                let elsewhere = SocketAddr::new(ip, self.address.port());
                line.push_str(&format!(", from other machines and containers with {elsewhere}"));
            }
        }
        line
    }
}

/// The address from which this machine would send to the internet. Nothing is sent: connecting a UDP socket only asks for
/// the route. The destination is one that belongs to nobody (RFC 5737).
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// Watches for a receiver that gets nothing. It is asked at the end of each window and needs no timer of its own.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When to speak; nothing once that is decided.
    due: Option<Duration>,
    statsd_host: Option<SocketAddr>,
}

impl Silence {
    /// For a receiver that starts `now`.
    pub(crate) fn since(now: Duration, listening: &[Listening]) -> Self {
        Silence {
            due: Some(now.saturating_add(SILENCE)),
            statsd_host: listening.iter().find_map(Listening::statsd_host),
        }
    }

    /// What to tell the operator, once, if so many datagrams are all that have come by `now`.
    pub(crate) fn hint(&mut self, now: Duration, packets: u64) -> Option<String> {
        if packets > 0 {
            self.due = None;
        }
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.due = None;
        let mut hint = "no packet in the first minute; `hornpipe status` shows what comes in later".to_owned();
        if let Some(host) = self.statsd_host {
            hint.push_str(&format!(
                "; is Gunicorn running with --statsd-host {host}? sudo netstat -nup | grep \"{host}.*ESTABLISHED\" shows \
                 who is connected"
            ));
        }
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Listening {
        Listening { address: address.parse().unwrap(), is_only_v6: false, reachable: None }
    }

    #[test]
    fn the_line_says_how_gunicorn_connects_where_it_can() {
        let reachable = Some(IpAddr::from([10, 0, 0, 7]));
        for (listening, expected) in [
            (listening("127.0.0.1:8125"), "127.0.0.1:8125; connect Gunicorn with --statsd-host 127.0.0.1:8125"),
            (listening("10.0.0.7:8125"), "10.0.0.7:8125; connect Gunicorn with --statsd-host 10.0.0.7:8125"),
            (listening("[::1]:8125"), "[::1]:8125"),
            (Listening { is_only_v6: true, reachable, ..listening("[::]:8125") }, "[::]:8125"),
            (listening("0.0.0.0:8125"), "0.0.0.0:8125; connect Gunicorn with --statsd-host 127.0.0.1:8125"),
            (
                Listening { reachable, ..listening("[::]:8125") },
                "[::]:8125; connect Gunicorn with --statsd-host 127.0.0.1:8125, from other machines and containers with \
                 10.0.0.7:8125",
            ),
        ] {
            assert_eq!(listening.line(), format!("listening for StatsD on udp {expected}"));
        }
    }

    #[test]
    fn a_real_socket_is_asked() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = Listening::of(&socket).unwrap();
        assert_eq!(found.statsd_host(), Some(socket.local_addr().unwrap()));
        let every = Listening::of(&UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        assert!(every.statsd_host().unwrap().ip().is_loopback());
    }

    #[test]
    fn silence_is_spoken_of_once_and_only_where_nothing_came() {
        let start = Duration::from_secs(5);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silent = Silence::since(start, &[listening("[::1]:1"), listening("127.0.0.1:8125")]);
        assert_eq!(silent.hint(at(59), 0), None);
        let hint = silent.hint(at(60), 0).unwrap();
        assert!(hint.contains("grep \"127.0.0.1:8125.*ESTABLISHED\"") && hint.contains("hornpipe status"), "{hint}");
        assert_eq!(silent.hint(at(120), 0), None);

        let mut heard = Silence::since(start, &[listening("127.0.0.1:8125")]);
        assert_eq!((heard.hint(at(10), 1), heard.hint(at(60), 1), heard.hint(at(70), 0)), (None, None, None));
    }
}
