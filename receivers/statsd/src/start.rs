//! Starts a reader for each socket, and tells the operator where the receiver listens.

use std::io;

use hornpipe_engine::component::BuildContext;

use crate::StatsdConfig;
use crate::guide::{self, Listening};
use crate::listen::{LARGE_RECEIVE_BUFFER, Socket, enlarge_receive_buffer};
use crate::reader::{ReaderContext, ReaderHandle};

/// Readers at work.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) readers: Vec<ReaderHandle>,
    /// The UDP addresses that they listen at, each once.
    pub(crate) listening: Vec<Listening>,
}

/// Starts a thread for each socket.
///
/// # Errors
/// The system has no thread or descriptor left.
pub(crate) fn start_readers(
    sockets: Vec<Socket>,
    config: &StatsdConfig,
    context: &BuildContext,
    reader_context: &ReaderContext,
) -> Result<Started, String> {
    let mut started = Started { readers: Vec::with_capacity(sockets.len()), listening: Vec::new() };
    let mut names: Vec<String> = Vec::with_capacity(sockets.len());
    let mut risk = "";
    for socket in sockets {
        let name = socket.name();
        // Several readers of one address are one place to the operator.
        let is_new = !names.contains(&name);
        if let Some(outcome) = set_buffer(&socket, config).filter(|_| is_new) {
            tell_of_buffer(outcome, &name, config, &context.id);
        }
        match &socket {
            Socket::Udp(socket) => started.listening.extend(Listening::of(socket).ok().filter(|_| is_new)),
            other => tracing::info!(receiver = context.id, "{}", guide::line(other)),
        }
        if socket.unixgram_path().is_some_and(|path| !context.sockets.has_inherited_unixgram(&path)) {
            risk = guide::UNIXGRAM_RISK;
        }
        let reader = ReaderHandle::start(socket, reader_context.clone());
        let reader = reader.map_err(|error| format!("cannot start a thread that reads the socket: {error}"))?;
        started.readers.push(reader);
        if is_new {
            names.push(name);
        }
    }
    for listening in &started.listening {
        tracing::info!(receiver = context.id, "{}", listening.line());
    }
    context.telemetry.set_fact("listens on", names.join(", "));
    context.telemetry.set_fact("Unix datagrams", risk);
    context.telemetry.set_fact("forwards to", config.forward_to.clone());
    Ok(started)
}

/// Gives a datagram socket its receive buffer, one at a path only where the settings say so; how large it has become.
fn set_buffer(socket: &Socket, config: &StatsdConfig) -> Option<io::Result<usize>> {
    let wanted = config.socket_buffer_size.as_usize();
    match socket {
        Socket::Udp(socket) => Some(enlarge_receive_buffer(socket, wanted)),
        Socket::Unixgram(socket) if wanted > 0 => Some(enlarge_receive_buffer(socket, wanted)),
        _ => None,
    }
}

fn tell_of_buffer(outcome: io::Result<usize>, address: &str, config: &StatsdConfig, id: &str) {
    let wanted = config.socket_buffer_size.as_usize();
    match outcome {
        Ok(granted) if granted < wanted => tracing::warn!(
            receiver = id,
            address,
            "the receive buffer has {granted} bytes instead of {wanted}: the system allows no more; on Linux raise it with \
             `sysctl -w net.core.rmem_max={wanted}`"
        ),
        Ok(granted) if granted < LARGE_RECEIVE_BUFFER && wanted == 0 => tracing::info!(
            receiver = id,
            address,
            "the receive buffer has {granted} bytes, as many as the system allows; for bursts of more, on Linux, \
             `sysctl -w net.core.rmem_max={LARGE_RECEIVE_BUFFER}` before the start"
        ),
        Ok(granted) => tracing::debug!(receiver = id, address, "the receive buffer has {granted} bytes"),
        Err(error) => tracing::warn!(receiver = id, address, %error, "the receive buffer cannot be enlarged"),
    }
}
