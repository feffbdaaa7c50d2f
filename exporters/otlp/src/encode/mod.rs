//! From a batch to request bodies. Pure: the same items always give the same bytes.
//!
//! Messages are written straight from the model, without values of generated types in between ([`wire`] says why).

mod attributes;
mod chains;
mod envelope;
mod logs;
mod metrics;
mod owner;
mod point;
mod record;
mod wire;

use bytes::Bytes;
use hornpipe_engine::component::{Encoded, Request};
use hornpipe_engine::http::{Compression, give_body_memory};
use hornpipe_engine::reason;
use hornpipe_model::{Data, Signal};

/// The most that a message takes before compression, in bytes. gRPC servers take 4 MiB unless told otherwise (the
/// Collector's and tonic's default); the rest is room for a proxy that adds attributes.
const MAX_MESSAGE_BYTES: usize = 3_584 * 1024;

/// The most that a client should send at all, as the specification wants it (since 1.11): one item alone can be larger.
const LARGEST_MESSAGE_BYTES: usize = 64 << 20;

/// One message and the items that it carries.
struct Part {
    /// The message from `start` on.
    buffer: Vec<u8>,
    start: usize,
    items: Vec<u32>,
}

impl Part {
    fn message(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// How the messages of one signal become requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    /// Where they go: the path of the gRPC method or of the HTTP request.
    pub(crate) route: &'static str,
    /// How they are compressed.
    pub(crate) compression: Compression,
    pub(crate) level: Option<i32>,
    /// Whether they stand in the frame of a gRPC message.
    pub(crate) framed: bool,
}

/// How the messages of all signals become requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encodings {
    pub(crate) metrics: Encoding,
    pub(crate) logs: Encoding,
}

impl Encodings {
    /// The requests for some items of a batch.
    pub(crate) fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let (signal, encoding, (parts, dropped)) = match data {
            Data::Metrics(batch) => (Signal::Metrics, self.metrics, metrics::encode(batch, items, MAX_MESSAGE_BYTES)),
            Data::Logs(batch) => (Signal::Logs, self.logs, (logs::encode(batch, items, MAX_MESSAGE_BYTES), Vec::new())),
        };
        let (parts, beyond): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| part.message().len() <= LARGEST_MESSAGE_BYTES);
        let dropped =
            [dropped, beyond.iter().map(|part| (reason::TOO_LARGE, part.items.len() as u64)).collect()].concat();
        let request = |part: Part| {
            let (body, items) = encoding.body(part);
            Request { route: encoding.route, signal, body, items }
        };
        Encoded { requests: parts.into_iter().map(request).collect(), dropped }
    }
}

impl Encoding {
    /// The body of a part's request, and its items.
    fn body(self, part: Part) -> (Bytes, Vec<u32>) {
        // Without compression it is a copy: a body may be kept for long, and so has memory of its own, of its size.
        let message = self.compression.compress_at(self.level, part.message());
        give_body_memory(part.buffer);
        if !self.framed {
            return (message.into(), part.items);
        }
        // gRPC's frame ("Length-Prefixed-Message"): whether the message is compressed, and its length.
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message.len());
        frame.push(u8::from(self.compression != Compression::None));
        // Messages are bounded, one item alone by what a queue holds: far below 4 GiB.
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&message);
        (frame.into(), part.items)
    }
}

/// Bytes in front of a gRPC message.
pub(crate) const FRAME_HEADER_BYTES: usize = 5;

#[cfg(test)]
mod tests;
