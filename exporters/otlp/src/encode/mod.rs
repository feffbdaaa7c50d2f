//! From a batch to request bodies. Pure: the same items always give the same bytes.

mod attributes;
mod metrics;
mod point;

use bytes::Bytes;
use hornpipe_engine::component::{Encoded, Request};
use hornpipe_engine::http::Compression;
use hornpipe_model::{Data, Signal};
use prost::Message;

/// The most that a message takes before compression, in bytes. gRPC servers take 4 MiB unless told otherwise (the
/// Collector's and tonic's default); the rest is room for a proxy that adds attributes.
const MAX_MESSAGE_BYTES: usize = 3_584 * 1024;

/// How requests are made of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    /// Where metrics go: the path of the gRPC method or of the HTTP request.
    pub(crate) metrics_route: &'static str,
    /// How the body is compressed here. gRPC compresses when it sends.
    pub(crate) compression: Compression,
}

impl Encoding {
    /// The requests for some items of a batch.
    pub(crate) fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let Data::Metrics(batch) = data else {
            // The exporter names metrics as its only signal, so no pipeline brings anything else.
            let reason = hornpipe_engine::reason::UNSUPPORTED;
            return Encoded { requests: Vec::new(), dropped: vec![(reason, items.len() as u64)] };
        };
        let (parts, dropped) = metrics::encode(batch, items, MAX_MESSAGE_BYTES);
        let request = |part: metrics::Part| Request {
            route: self.metrics_route,
            signal: Signal::Metrics,
            body: self.body(&part.message),
            items: part.items,
        };
        Encoded { requests: parts.into_iter().map(request).collect(), dropped }
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
