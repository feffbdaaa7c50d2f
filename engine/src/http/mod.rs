//! HTTP as exporters need it: one request at a time, answered in words that an operator understands.
//!
//! An exporter parses its [`Endpoint`] once, builds an [`HttpClient`] from its [`TlsConfig`], compresses bodies with
//! [`Compression`] when it encodes, and posts them. What a status means is the exporter's; what a request that got no
//! answer died of is in the [`TransportError`].

mod body_memory;
mod client;
mod compress;
mod endpoint;
mod proxy;
mod quote;
mod reloading;
mod response;
mod retry_after;
mod roots;
mod tls;
mod transport_error;
mod unverified;
mod verifier;

pub use body_memory::{give_body_memory, take_body_memory};
pub use client::HttpClient;
pub use compress::Compression;
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use proxy::{Proxies, TunnelProxy};
pub use quote::Quote;
pub use response::HttpResponse;
pub use retry_after::retry_after;
pub use tls::{TlsConfig, TlsVersion};
pub use transport_error::TransportError;

#[cfg(test)]
mod tests;
