//! From a batch to request bodies. Pure: the same items always give the same bytes.

mod attributes;
mod envelope;
mod logs;
mod metrics;
mod point;
mod record;

use bytes::Bytes;
use hornpipe_engine::component::{Encoded, Request};
use hornpipe_engine::http::Compression;
use hornpipe_model::{Data, Signal};
use prost::Message;

/// The most that a message takes before compression, in bytes. gRPC servers take 4 MiB unless told otherwise (the
/// Collector's and tonic's default); the rest is room for a proxy that adds attributes.
const MAX_MESSAGE_BYTES: usize = 3_584 * 1024;

/// The routes of a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routes {
    pub(crate) metrics: &'static str,
    pub(crate) logs: &'static str,
}

/// One message and the items that it carries.
struct Part<M> {
    message: M,
    items: Vec<u32>,
}

/// How requests are made of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    /// Where each signal goes: the path of the gRPC method or of the HTTP request.
    pub(crate) routes: Routes,
    /// How the body is compressed here. gRPC compresses when it sends.
    pub(crate) compression: Compression,
}

impl Encoding {
    /// The requests for some items of a batch.
    pub(crate) fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        match data {
            Data::Metrics(batch) => {
                let (parts, dropped) = metrics::encode(batch, items, MAX_MESSAGE_BYTES);
                let request = |part| self.request(Signal::Metrics, self.routes.metrics, part);
                Encoded { requests: parts.into_iter().map(request).collect(), dropped }
            }
            Data::Logs(batch) => {
                let parts = logs::encode(batch, items, MAX_MESSAGE_BYTES);
                let request = |part| self.request(Signal::Logs, self.routes.logs, part);
                Encoded { requests: parts.into_iter().map(request).collect(), dropped: Vec::new() }
            }
        }
    }

    fn request(&self, signal: Signal, route: &'static str, part: Part<impl Message>) -> Request {
        Request { route, signal, body: self.body(&part.message), items: part.items }
    }

    fn body(&self, message: &impl Message) -> Bytes {
        let plain = message.encode_to_vec();
        match self.compression {
            Compression::None => plain.into(),
            compression => compression.compress(&plain).into(),
        }
    }
}

#[cfg(test)]
mod tests;
