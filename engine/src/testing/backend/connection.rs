//! A connection that a test can cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

use crate::lock;

/// A TCP connection and its switch.
pub(super) struct Connection {
    stream: TcpStream,
    switch: Switch,
}

/// Cuts a connection from outside. Requests carry the switch of their connection among their extensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch(Arc<Mutex<SwitchState>>);

#[derive(Debug, Default)]
struct SwitchState {
    is_cut: bool,
    reader: Option<Waker>,
}

impl Switch {
    /// Resets the connection.
    pub(super) fn cut(&self) {
        let mut state = lock(&self.0);
        state.is_cut = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Fails where the connection is cut; else remembers whom to wake when it is.
    fn check(&self, stream: &TcpStream, reader: Option<&Waker>) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.is_cut {
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if let Some(reader) = reader {
            state.reader = Some(reader.clone());
        }
        Ok(())
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Connection { stream, switch: Switch::default() }
    }

    pub(super) fn switch(&self) -> Switch {
        self.switch.clone()
    }
}

impl Connected for Connection {
    type ConnectInfo = Switch;

    fn connect_info(&self) -> Switch {
        self.switch()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.switch.check(&self.stream, Some(context.waker()))?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.switch.check(&self.stream, None)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
