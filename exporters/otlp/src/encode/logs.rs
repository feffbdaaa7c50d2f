//! Log records as `ExportLogsServiceRequest` messages.
//!
//! Records share the batch's resource and scope, except where their source or, of an event, their client says more: then
//! their resource is the batch's with that replaced. Resources and their records stand in the order of first appearance, so
//! the same items always give the same bytes.

use std::sync::Arc;

use hashbrown::HashMap;
use hornpipe_model::{Event, Log, LogBatch, LogSource};

use super::Part;
use super::chains::{Chain, Chains};
use super::envelope::{Envelope, HEADER_BYTES};
use super::owner::Owner;
use super::record::{SourceAttributes, put_record};
use super::wire::{field_len, put_bytes};

/// The messages for some items of a batch, each of at most `max_bytes` unless one item alone is larger.
pub(super) fn encode(batch: &LogBatch, items: &[u32], max_bytes: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open = OpenPart::new(batch);
    let mut source = Source::default();
    for &item in items {
        let Some(log) = batch.records.get(item as usize) else { continue };
        source.turn_to(log);
        let start = open.records.buffer.len();
        put_record(&mut open.records.buffer, log, &source.attributes);
        let owner = source.owner_of(log);
        let (mut group, mut growth) = open.place(owner, start);
        let mut start = start;
        if !open.items.is_empty() && open.bytes + growth > max_bytes {
            let mut next = OpenPart::new(batch);
            open.records.move_to(&mut next.records, start);
            parts.push(std::mem::replace(&mut open, next).close());
            start = 0;
            (group, growth) = open.place(owner, start);
        }
        open.bytes += growth;
        open.items.push(item);
        open.add(group, owner, start);
    }
    if !open.items.is_empty() {
        parts.push(open.close());
    }
    parts
}

/// The source of the record before, whose attributes and owner are made once: neighbours share it.
#[derive(Default)]
struct Source<'a> {
    last: Option<&'a Arc<LogSource>>,
    attributes: SourceAttributes<'a>,
    owner: Owner<'a>,
}

impl<'a> Source<'a> {
    fn turn_to(&mut self, log: &'a Log) {
        if !self.last.is_some_and(|last| Arc::ptr_eq(last, &log.source)) {
            self.attributes = SourceAttributes::new(&log.source);
            self.owner = Owner::of_source(&log.source);
            self.last = Some(&log.source);
        }
    }

    fn owner_of(&self, log: &'a Log) -> Owner<'a> {
        self.owner.at(Event::host_of(log))
    }
}

/// A message that takes more records.
struct OpenPart<'a> {
    batch: &'a LogBatch,
    records: Chains,
    groups: Vec<Group<'a>>,
    by_owner: HashMap<Owner<'a>, usize>,
    items: Vec<u32>,
    /// An upper bound of the encoded message's size.
    bytes: usize,
}

/// The records of one resource.
struct Group<'a> {
    envelope: Envelope<'a>,
    records: Chain,
}

/// Where a record goes.
enum Place<'a> {
    Known(usize),
    New(Envelope<'a>),
}

impl<'a> OpenPart<'a> {
    fn new(batch: &'a LogBatch) -> Self {
        OpenPart {
            batch,
            records: Chains::default(),
            groups: Vec::new(),
            by_owner: HashMap::new(),
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// The place of the record that the buffer has from `start` on, and by how much it makes the message larger, at most.
    fn place(&self, owner: Owner<'a>, start: usize) -> (Place<'a>, usize) {
        let record = self.records.buffer.len() - start + HEADER_BYTES;
        if let Some(&group) = self.by_owner.get(&owner) {
            return (Place::Known(group), record);
        }
        let envelope = Envelope::new(&self.batch.resource, &self.batch.scope, owner);
        let growth = record + envelope.bytes();
        (Place::New(envelope), growth)
    }

    fn add(&mut self, place: Place<'a>, owner: Owner<'a>, start: usize) {
        let group = match place {
            Place::Known(group) => group,
            Place::New(envelope) => {
                self.by_owner.insert(owner, self.groups.len());
                self.groups.push(Group { envelope, records: Chain::default() });
                self.groups.len() - 1
            }
        };
        if let Some(group) = self.groups.get_mut(group) {
            self.records.add(&mut group.records, start);
        }
    }

    fn close(self) -> Part {
        let len = self.groups.iter().map(|group| field_len(group.envelope.len(group.records.bytes))).sum();
        let mut message = Vec::with_capacity(len);
        for group in &self.groups {
            group.envelope.put(&mut message, group.records.bytes, |message| {
                let records = self.records.messages(group.records);
                records.for_each(|record| put_bytes(message, Envelope::CONTENT, record));
            });
        }
        debug_assert_eq!(message.len(), len, "a message of another size than computed");
        Part { message, items: self.items }
    }
}
