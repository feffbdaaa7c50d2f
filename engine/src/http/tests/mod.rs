//! The client against real sockets.

mod errors;
mod posting;
mod server;
mod tls;
