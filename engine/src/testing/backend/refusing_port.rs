//! A port at which nobody listens yet.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// A TCP port of the loopback address that refuses connections, yet is nobody else's: a backend can come up there
/// later.
#[derive(Debug)]
pub struct RefusingPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl RefusingPort {
    /// Takes a free port.
    ///
    /// # Panics
    /// Where the system has none.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a TCP socket can be had");
        // A socket that is bound but does not listen keeps the port and refuses.
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the loopback address has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        RefusingPort { socket, address }
    }

    /// The port's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of what will be there, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts to listen.
    ///
    /// # Panics
    /// Where the system refuses.
    pub fn listen(self) -> TcpListener {
        self.socket.listen(1024).expect("a bound socket can listen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn connections_are_refused_until_somebody_listens() {
        let port = RefusingPort::reserve();
        let address = port.address();
        let refusal = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(TcpListener::bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        let _listener = port.listen();
        TcpStream::connect(address).await.unwrap();
    }
}
