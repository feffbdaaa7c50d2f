//! Batches to requests.

use hornpipe_engine::component::{Encoded, reason};
use hornpipe_engine::http::Compression;
use hornpipe_model::{MetricBatch, MetricPoint, MetricValue, WireType};

use crate::payload::Payloads;
use crate::{check_run, series, sketches};

/// Encodes batches; pure.
pub(crate) struct Encoder {
    /// The host of all points that bring none of their own, whatever their resource says.
    pub(crate) hostname: Option<String>,
    pub(crate) compression: Compression,
}

impl Encoder {
    /// The items of a batch at some indexes as requests.
    pub(crate) fn encode(&self, batch: &MetricBatch, items: &[u32]) -> Encoded {
        let host = self.hostname.as_deref().or(batch.resource.host()).unwrap_or_default();
        let mut series = Payloads::new(&series::LAYOUT, self.compression);
        let mut sketches = Payloads::new(&sketches::LAYOUT, self.compression);
        let mut checks = Payloads::new(&check_run::LAYOUT, self.compression);
        let mut encoded = Encoded::default();
        for &item in items {
            let Some(point) = batch.points.get(item as usize) else {
                encoded.dropped.push((reason::UNSUPPORTED, 1));
                continue;
            };
            match &point.value {
                MetricValue::ServiceCheck(check) => {
                    checks.add(item, |buffer| check_run::write(point, check, host, buffer));
                }
                MetricValue::Distribution(distribution) if is_sketch(point) => {
                    sketches.add(item, |buffer| sketches::write(point, &distribution.samples, host, buffer));
                }
                _ => series.add(item, |buffer| series::write(point, host, buffer)),
            }
        }
        for payloads in [series, sketches, checks] {
            payloads.finish_into(&mut encoded);
        }
        encoded
    }
}

/// The Agent sends a `d` as a sketch and an `h` or `ms` as series; a note asks for series of either.
fn is_sketch(point: &MetricPoint) -> bool {
    matches!(&point.value, MetricValue::Distribution(distribution)
        if distribution.wire_type == WireType::Distribution && distribution.note.is_none())
}
