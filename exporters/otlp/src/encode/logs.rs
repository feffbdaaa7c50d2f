//! Log records as `ExportLogsServiceRequest` messages.
//!
//! Records share the batch's resource and scope, except where their source or, of an event, their client says more: then
//! their resource is the batch's with `service.name`, `datadog.log.source` or `host.name` replaced. Resources and their
//! records stand in the order of first appearance, so the same items always give the same bytes.

use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_model::{Event, Log, LogBatch, LogSource, Resource};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;

use super::Part;
use super::envelope::{ATTRIBUTE_OVERHEAD, FIELD_OVERHEAD, resource, scope};
use super::record::{log_record, source_attributes};

/// The messages for some items of a batch, each of at most `max_bytes` unless one item alone is larger.
pub(super) fn encode(batch: &LogBatch, items: &[u32], max_bytes: usize) -> Vec<Part<ExportLogsServiceRequest>> {
    let mut parts = Vec::new();
    let mut open = OpenPart::new(batch);
    let mut source = Source::default();
    for &item in items {
        let Some(log) = batch.records.get(item as usize) else { continue };
        let record = log_record(log, source.attributes_of(log));
        let owner = Owner::of(log);
        let size = record.encoded_len();
        if !open.items.is_empty() && open.bytes + open.growth(owner, size) > max_bytes {
            parts.push(std::mem::replace(&mut open, OpenPart::new(batch)).close());
        }
        open.bytes += open.growth(owner, size);
        open.items.push(item);
        open.push(owner, record);
    }
    if !open.items.is_empty() {
        parts.push(open.close());
    }
    parts
}

/// The source of the record before, whose attributes are made once: neighbours share it.
#[derive(Default)]
struct Source<'a> {
    last: Option<&'a Arc<LogSource>>,
    attributes: Vec<KeyValue>,
}

impl<'a> Source<'a> {
    fn attributes_of(&mut self, log: &'a Log) -> &[KeyValue] {
        if !self.last.is_some_and(|last| Arc::ptr_eq(last, &log.source)) {
            self.attributes = source_attributes(&log.source);
            self.last = Some(&log.source);
        }
        &self.attributes
    }
}

/// What a record's resource has instead of the batch's own; `None` where it has that.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Owner<'a> {
    service: Option<&'a str>,
    source: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Owner<'a> {
    fn of(log: &'a Log) -> Self {
        let set = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Owner { service: set(&log.source.service), source: set(&log.source.source), host: Event::host_of(log) }
    }

    fn attributes(self) -> [(&'static str, Option<&'a str>); 3] {
        [(Resource::SERVICE_NAME, self.service), (Resource::LOG_SOURCE, self.source), (Resource::HOST_NAME, self.host)]
    }

    /// A generous bound of what the attributes add to the batch's resource.
    fn bytes(self) -> usize {
        let present = self.attributes().into_iter().filter_map(|(key, value)| Some((key, value?)));
        present.map(|(key, value)| key.len() + value.len() + ATTRIBUTE_OVERHEAD).sum()
    }
}

/// A message that takes more records.
struct OpenPart<'a> {
    batch: &'a LogBatch,
    groups: Vec<ResourceLogs>,
    by_owner: HashMap<Owner<'a>, usize>,
    /// Bytes of a `ResourceLogs` of the batch's resource without records.
    envelope_bytes: usize,
    items: Vec<u32>,
    /// An upper bound of the encoded message's size.
    bytes: usize,
}

impl<'a> OpenPart<'a> {
    fn new(batch: &'a LogBatch) -> Self {
        let nobody = Owner { service: None, source: None, host: None };
        OpenPart {
            batch,
            groups: Vec::new(),
            by_owner: HashMap::new(),
            envelope_bytes: resource_logs(batch, nobody).encoded_len() + 2 * FIELD_OVERHEAD,
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// By how much a record of `size` bytes makes the message larger, at most.
    fn growth(&self, owner: Owner<'a>, size: usize) -> usize {
        let record = size + FIELD_OVERHEAD;
        if self.by_owner.contains_key(&owner) { record } else { record + self.envelope_bytes + owner.bytes() }
    }

    fn push(&mut self, owner: Owner<'a>, record: LogRecord) {
        let index = *self.by_owner.entry(owner).or_insert_with(|| {
            self.groups.push(resource_logs(self.batch, owner));
            self.groups.len() - 1
        });
        if let Some(scoped) = self.groups.get_mut(index).and_then(|group| group.scope_logs.first_mut()) {
            scoped.log_records.push(record);
        }
    }

    fn close(self) -> Part<ExportLogsServiceRequest> {
        Part { message: ExportLogsServiceRequest { resource_logs: self.groups }, items: self.items }
    }
}

/// The envelope of an owner's records.
fn resource_logs(batch: &LogBatch, owner: Owner<'_>) -> ResourceLogs {
    let scoped = ScopeLogs {
        scope: Some(scope(&batch.scope)),
        log_records: Vec::new(),
        schema_url: batch.scope.schema_url.clone(),
    };
    ResourceLogs {
        resource: Some(resource(&batch.resource, &owner.attributes())),
        scope_logs: vec![scoped],
        schema_url: batch.resource.schema_url.clone(),
    }
}
