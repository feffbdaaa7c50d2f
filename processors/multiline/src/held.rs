//! Records that wait for more lines, and batches of those that are complete.

use std::sync::Arc;

use hornpipe_engine::component::Emitter;
use hornpipe_engine::logs::{Carried, Joined, PART};
use hornpipe_engine::{Ack, Batch, Outcome};
use hornpipe_model::{Body, Data, Log, LogBatch, Resource, Scope, Value};

/// A record's share of the obligation of a batch, which is named by its number.
pub(crate) struct Share {
    pub(crate) batch: u64,
    pub(crate) ack: Option<Ack>,
}

impl Share {
    /// Ends a share beside another of the same batch.
    fn settle(self) {
        if let Some(ack) = self.ack {
            ack.settle(Outcome::Delivered);
        }
    }
}

/// What comes along with a line: its record without the text, whose it is, and its obligations.
pub(crate) struct Held {
    pub(crate) log: Log,
    pub(crate) owner: Owner,
    pub(crate) share: Share,
    /// Shares of the batches of earlier lines.
    earlier: Vec<Share>,
}

/// What the records of a batch share.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) resource: Arc<Resource>,
    pub(crate) scope: Arc<Scope>,
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        let same_resource = Arc::ptr_eq(&self.resource, &other.resource) || self.resource == other.resource;
        same_resource && (Arc::ptr_eq(&self.scope, &other.scope) || self.scope == other.scope)
    }
}

impl Held {
    pub(crate) fn new(log: Log, owner: Owner, share: Share) -> Self {
        Held { log, owner, share, earlier: Vec::new() }
    }
}

impl Carried for Held {
    /// The first line's attributes, severity and times are the record's.
    fn absorb(&mut self, next: Self) {
        if next.share.batch == self.share.batch {
            next.share.settle();
        } else {
            self.earlier.push(std::mem::replace(&mut self.share, next.share));
        }
    }
}

/// Complete records, in order, in as few batches as their owners allow.
#[derive(Default)]
pub(crate) struct Complete {
    groups: Vec<Group>,
}

struct Group {
    owner: Owner,
    records: Vec<Log>,
    shares: Vec<Share>,
    /// Lines in the records.
    inputs: u64,
}

impl Complete {
    pub(crate) fn push(&mut self, record: Joined<Held>) {
        let Joined { text, lines, part, carried: Held { mut log, owner, share, earlier } } = record;
        log.body = Body::from_bytes(text);
        if let Some(part) = part.name() {
            log.attributes.push((PART.to_owned(), Value::from(part)));
        }
        let group = self.group(owner);
        group.records.push(log);
        group.inputs += lines as u64;
        earlier.into_iter().chain([share]).for_each(|share| group.add(share));
    }

    /// A record that is not joined.
    pub(crate) fn pass(&mut self, log: Log, owner: &Owner, share: Share) {
        let group = self.group(owner.clone());
        group.records.push(log);
        group.inputs += 1;
        group.add(share);
    }

    fn group(&mut self, owner: Owner) -> &mut Group {
        let fits = self.groups.last().is_some_and(|group| group.owner == owner);
        let index = if fits { self.groups.len() - 1 } else { self.groups.len() };
        if !fits {
            self.groups.push(Group { owner, records: Vec::new(), shares: Vec::new(), inputs: 0 });
        }
        &mut self.groups[index]
    }

    /// Sends the records on. Each batch's ack stands for every batch that its lines came from.
    pub(crate) fn emit(self, out: &mut Emitter<'_>) {
        for Group { owner: Owner { resource, scope }, mut records, shares, inputs } in self.groups {
            records.shrink_to_fit();
            let data = Data::from(LogBatch { resource, scope, records });
            let acks = shares.into_iter().filter_map(|share| share.ack).collect();
            out.emit_for(Batch::with_ack(data, Ack::all(acks)), inputs);
        }
    }
}

impl Group {
    /// Batches come one after another, so that the share of one stands at the end, if there is one.
    fn add(&mut self, share: Share) {
        if self.shares.iter().rev().any(|held| held.batch == share.batch) {
            share.settle();
        } else {
            self.shares.push(share);
        }
    }
}
