//! Asking the running process: a Unix socket that answers one line with JSON.
//!
//! The socket is `hornpipe.sock` in the state directory, for the process's own user and root alone. Where no socket can
//! be there, Linux has names without a file: a process that can write nowhere can still be asked how it is.
//!
//! # Protocol
//!
//! A connection carries one request, a line of at most [`MAX_REQUEST`] bytes, and its answer, up to the end of the
//! stream:
//!
//! | request | answer |
//! |---|---|
//! | `status` | a [`StatusReport`](crate::status::StatusReport) |
//! | `health` | [`Readiness`](crate::status::Readiness): the configuration is loaded, every receiver is up |
//! | `health backends` | the same; an exporter that fails counts as well |
//! | anything else | `{"error": "…"}` |

mod address;
mod client;
mod server;

#[cfg(test)]
mod tests;

pub use client::{AskError, ask};
pub use server::ControlServer;

/// The longest request, in bytes, with its line end.
pub const MAX_REQUEST: usize = 64;
