//! Sends a load.

use std::hint;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::sys;

/// How often a sender of bursts sends what is due.
const TICK: Duration = Duration::from_millis(1);

/// When datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it goes.
    FlatOut,
    /// So many lines a second: what is due goes back to back each millisecond, as from a client that collects.
    Bursts(u64),
    /// So many lines a second, datagram by datagram and evenly spaced, as from many clients that send what happens at once. Takes
    /// a whole processor.
    Spaced(u64),
}

/// Where datagrams go, or come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A UDP address.
    Udp(SocketAddr),
    /// A Unix datagram socket.
    Unix(PathBuf),
}

impl std::str::FromStr for Target {
    type Err = String;

    /// A path has a slash in it, an address does not.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Target::Unix(PathBuf::from(text)));
        }
        text.parse().map(Target::Udp).map_err(|error| format!("{error}; write 127.0.0.1:8125 or /path/to/socket"))
    }
}

/// Sends datagrams of a load, one after another.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    /// How many datagrams have gone.
    sent: u64,
}

impl Sender {
    /// A sender to `target`.
    ///
    /// # Errors
    /// The system's; for a Unix socket also that nobody listens.
    pub fn connect(target: &Target) -> io::Result<Self> {
        let socket = match target {
            Target::Udp(address) => {
                let socket = UdpSocket::bind(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" })?;
                socket.connect(address)?;
                OwnedFd::from(socket)
            }
            Target::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                OwnedFd::from(socket)
            }
        };
        Ok(Sender { socket, sent: 0 })
    }

    /// How many datagrams have gone since it was made.
    pub fn datagrams(&self) -> u64 {
        self.sent
    }

    /// Sends at least so many lines, in whole datagrams; how many they were.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&mut self, load: &Load, lines: u64, pace: Pace) -> io::Result<u64> {
        let start = Instant::now();
        let mut gone = 0;
        while gone < lines {
            let due = match pace {
                Pace::FlatOut => lines,
                Pace::Bursts(rate) | Pace::Spaced(rate) => {
                    lines.min((start.elapsed().as_secs_f64() * rate as f64) as u64)
                }
            };
            while gone < due {
                let at_once = if matches!(pace, Pace::Spaced(_)) { 1 } else { due - gone };
                gone += self.send_some(load, at_once)?;
            }
            match pace {
                Pace::Bursts(_) if gone < lines => thread::sleep(TICK),
                _ => hint::spin_loop(),
            }
        }
        Ok(gone)
    }

    /// One system call's worth, at most so many lines and one datagram; how many lines have gone.
    fn send_some(&mut self, load: &Load, lines: u64) -> io::Result<u64> {
        let mut batch: [&[u8]; sys::AT_ONCE] = [&[]; sys::AT_ONCE];
        let (mut count, mut batched) = (0, 0);
        while count < batch.len() && batched < lines {
            let (bytes, lines) = load.datagram(self.sent + count as u64);
            batch[count] = bytes;
            count += 1;
            batched += lines as u64;
        }
        let gone = match sys::send_many(self.socket.as_fd(), &batch[..count]) {
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => 0,
            outcome => outcome?,
        };
        let lines = (0..gone as u64).map(|number| load.datagram(self.sent + number).1 as u64).sum();
        self.sent += gone as u64;
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;
    use crate::load::{Packing, Recipe};

    #[test]
    fn what_arrives_is_the_load_in_its_order() {
        let recipe = Recipe { corpus: Corpus::Gunicorn, packing: Packing::Local, contexts: 10, tags: true, seed: 3 };
        let load = Load::new(&recipe);
        for pace in [Pace::FlatOut, Pace::Bursts(1_000_000), Pace::Spaced(1_000_000)] {
            let path = std::env::temp_dir().join(format!("hornpipe-bench-{}.sock", std::process::id()));
            let listener = UnixDatagram::bind(&path).unwrap();
            let mut sender = Sender::connect(&Target::Unix(path.clone())).unwrap();
            thread::scope(|scope| {
                let sending = scope.spawn(|| sender.send(&load, 20_000, pace).unwrap());
                let (mut lines, mut number) = (0, 0);
                let mut buffer = [0; 10_000];
                while lines < 20_000 {
                    let length = listener.recv(&mut buffer).unwrap();
                    assert_eq!(&buffer[..length], load.datagram(number).0);
                    lines += load.datagram(number).1 as u64;
                    number += 1;
                }
                assert_eq!(sending.join().unwrap(), lines);
            });
            assert_eq!(load.sums(sender.datagrams()).iter().map(|sum| sum.lines).sum::<u64>() / 20_000, 1);
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_target_is_an_address_or_a_path() {
        assert_eq!("127.0.0.1:8125".parse(), Ok(Target::Udp(([127, 0, 0, 1], 8125).into())));
        assert_eq!("./a.sock".parse(), Ok(Target::Unix("./a.sock".into())));
        assert!("localhost".parse::<Target>().is_err());
    }
}
