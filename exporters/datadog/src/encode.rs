//! Batches to requests.

use hornpipe_engine::component::{Encoded, reason};
use hornpipe_engine::http::Compression;
use hornpipe_model::{Event, LogBatch, MetricBatch, MetricPoint, MetricValue, WireType};

use crate::log_entry::Entries;
use crate::logs::Owner;
use crate::payload::Payloads;
use crate::{check_run, events, logs, series, sketches};

/// Encodes batches; pure.
pub(crate) struct Encoder {
    /// The host of all items that bring none of their own, whatever their resource says.
    pub(crate) hostname: Option<String>,
    pub(crate) compression: Compression,
}

impl Encoder {
    /// The records of a batch at some indexes as requests: events one by one, all others together.
    pub(crate) fn encode_logs(&self, batch: &LogBatch, items: &[u32]) -> Encoded {
        let mut entries = Entries::new(Owner::new(&batch.resource, self.hostname.as_deref()));
        let mut logs = Payloads::new(&logs::LAYOUT, self.compression, items.len());
        // The public API says nothing about compressed events, and they are small.
        let mut events = Payloads::new(&events::LAYOUT, Compression::None, 1);
        let mut encoded = Encoded::default();
        for &item in items {
            let Some(log) = batch.records.get(item as usize) else {
                encoded.dropped.push((reason::UNSUPPORTED, 1));
                continue;
            };
            match Event::from_log(log) {
                Some(event) => events.add(item, |buffer| events::write(log, &event, entries.owner.host, buffer)),
                None => logs.add(item, |buffer| logs::write(log, &mut entries, buffer)),
            }
        }
        for payloads in [logs, events] {
            payloads.finish_into(&mut encoded);
        }
        encoded
    }

    /// The points of a batch at some indexes as requests.
    pub(crate) fn encode(&self, batch: &MetricBatch, items: &[u32]) -> Encoded {
        let host = self.hostname.as_deref().or(batch.resource.host()).unwrap_or_default();
        let mut series = Payloads::new(&series::LAYOUT, self.compression, items.len());
        let mut sketches = Payloads::new(&sketches::LAYOUT, self.compression, items.len());
        let mut checks = Payloads::new(&check_run::LAYOUT, self.compression, items.len());
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
