//! Log records as `ExportLogsServiceRequest` messages.
//!
//! Records share the batch's resource and scope, except where their source or, of an event, their client says more: then
//! their resource is the batch's with that replaced. Resources and their records stand in the order of first appearance, so
//! the same items always give the same bytes.

use std::sync::Arc;

use hashbrown::HashMap;
use hornpipe_engine::http::take_body_memory;
use hornpipe_model::{Event, Log, LogBatch, LogSource};

use super::Part;
use super::chains::{Chain, Chains};
use super::envelope::Envelope;
use super::owner::Owner;
use super::record::{SourceAttributes, put_record};
use super::wire::field_len;

/// The messages for some items of a batch, each of at most `max_bytes` unless one item alone is larger.
pub(super) fn encode(batch: &LogBatch, items: &[u32], max_bytes: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open = OpenPart::new(batch);
    let mut source = Source::default();
    for &item in items {
        let Some(log) = batch.records.get(item as usize) else { continue };
        source.turn_to(log);
        let host = Event::host_of(log);
        let owner = source.owner.at(host);
        let mut start = open.prepare(owner);
        let mut place = match source.group.filter(|_| host.is_none()) {
            Some(group) => Place::Known(group),
            None => open.place(owner),
        };
        put_record(&mut open.records.buffer, Envelope::CONTENT, log, &source.attributes);
        let record = open.records.buffer.len() - start;
        if !open.items.is_empty() && open.bytes + record + place.bytes() > max_bytes {
            let mut next = OpenPart::new(batch);
            let there = next.prepare(owner);
            open.records.move_to(&mut next.records, start);
            parts.push(std::mem::replace(&mut open, next).close());
            (start, place) = (there, open.place(owner));
            source.group = None;
        }
        if open.items.is_empty() {
            // The others are probably as long: that saves moving the buffer as it grows.
            open.records.buffer.reserve(record.saturating_mul(items.len()).min(max_bytes));
        }
        open.bytes += record + place.bytes();
        open.items.push(item);
        let group = open.add(place, owner, start);
        if host.is_none() {
            source.group = Some(group);
        }
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
    /// Where the owner's records go in the open message, once that is known.
    group: Option<usize>,
}

impl<'a> Source<'a> {
    fn turn_to(&mut self, log: &'a Log) {
        if !self.last.is_some_and(|last| Arc::ptr_eq(last, &log.source)) {
            self.attributes = SourceAttributes::new(&log.source);
            self.owner = Owner::of_source(&log.source);
            self.last = Some(&log.source);
            self.group = None;
        }
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
    /// Bytes at the buffer's start that are kept free for the first group's envelope.
    front: usize,
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

impl Place<'_> {
    /// By how much it makes the message larger, beside the record, at most.
    fn bytes(&self) -> usize {
        match self {
            Place::Known(_) => 0,
            Place::New(envelope) => envelope.bytes(),
        }
    }
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
            front: 0,
        }
    }

    /// Where the next record begins. Before the first one room is made for the envelope, so that records of one resource,
    /// which most batches have, need not be copied into the message: they are in it.
    fn prepare(&mut self, owner: Owner<'a>) -> usize {
        if self.records.buffer.is_empty() {
            self.front = Envelope::new(&self.batch.resource, &self.batch.scope, owner).bytes();
            self.records.buffer = take_body_memory();
            self.records.buffer.resize(self.front, 0);
        }
        self.records.buffer.len()
    }

    /// Where a record of an owner goes.
    fn place(&self, owner: Owner<'a>) -> Place<'a> {
        match self.by_owner.get(&owner) {
            Some(&group) => Place::Known(group),
            None => Place::New(Envelope::new(&self.batch.resource, &self.batch.scope, owner)),
        }
    }

    /// Adds the record that takes the buffer's end from `start` on; its group.
    fn add(&mut self, place: Place<'a>, owner: Owner<'a>, start: usize) -> usize {
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
        group
    }

    fn close(mut self) -> Part {
        if let [group] = &self.groups[..] {
            let mut message = std::mem::take(&mut self.records.buffer);
            let mut front = Vec::with_capacity(self.front);
            group.envelope.put_front(&mut front, group.records.bytes);
            let start = self.front.saturating_sub(front.len());
            if let Some(place) = message.get_mut(start..self.front) {
                place.copy_from_slice(&front);
            }
            group.envelope.put_end(&mut message);
            return Part { buffer: message, start, items: self.items };
        }
        let len = self.groups.iter().map(|group| field_len(group.envelope.len(group.records.bytes))).sum();
        let mut message = Vec::with_capacity(len);
        for group in &self.groups {
            group.envelope.put(&mut message, group.records.bytes, |message| {
                self.records.messages(group.records).for_each(|record| message.extend_from_slice(record));
            });
        }
        debug_assert_eq!(message.len(), len, "a message of another size than computed");
        Part { buffer: message, start: 0, items: self.items }
    }
}
