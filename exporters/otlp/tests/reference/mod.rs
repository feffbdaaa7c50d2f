//! The encoder that one writes with the types that prost generates: what the exporter's own is compared with, byte by byte in
//! the tests and in processor time in the benchmark. It follows the same documented rules and knows no limit of size.

#![allow(dead_code, reason = "each user needs a part of it")]

mod attributes;
mod envelope;
mod logs;
mod metrics;
mod point;
mod record;

use hornpipe_model::Data;
use prost::Message;

/// The message for some items of a batch.
pub fn encode(data: &Data, items: &[u32]) -> Vec<u8> {
    match data {
        Data::Metrics(batch) => metrics::message(batch, items).encode_to_vec(),
        Data::Logs(batch) => logs::message(batch, items).encode_to_vec(),
    }
}
