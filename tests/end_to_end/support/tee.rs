//! A StatsD address that records what passes.

use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;

/// Forwards datagrams and keeps a copy of each, in order.
pub struct Tee {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Tee {
    /// Starts to forward to `target`.
    pub fn start(target: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut recorded = Vec::new();
            loop {
                let length = socket.recv(&mut buffer).unwrap();
                if length == 0 {
                    return recorded;
                }
                socket.send_to(&buffer[..length], target).unwrap();
                recorded.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
        });
        Tee { address, thread }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards what came before this call and ends; everything that passed.
    pub fn finish(self) -> Vec<String> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The loopback interface keeps the order: an empty datagram is behind all that was sent before.
        socket.send_to(&[], self.address).unwrap();
        self.thread.join().unwrap()
    }
}
