//! A batch in a queue, with what it owes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hornpipe_model::{Data, LogBatch, MetricBatch, Timestamp};

use crate::{Ack, Outcome, lock};

/// What a batch owes its receiver. The queue and the disk share it: who is first to keep the promise settles it.
#[derive(Debug, Default)]
pub(super) struct Obligation {
    ack: Mutex<Option<Ack>>,
    is_stored: AtomicBool,
}

impl Obligation {
    fn new(ack: Option<Ack>) -> Arc<Self> {
        Arc::new(Obligation { ack: Mutex::new(ack), is_stored: AtomicBool::new(false) })
    }

    /// Tells the receiver, where nobody has.
    pub fn settle(&self, outcome: Outcome) {
        let ack = lock(&self.ack).take();
        if let Some(ack) = ack {
            ack.settle(outcome);
        }
    }

    /// Its record is safe on disk.
    pub fn store(&self) {
        self.is_stored.store(true, Ordering::Release);
        self.settle(Outcome::Durable);
    }

    /// Whether its record is safe on disk.
    pub fn is_stored(&self) -> bool {
        self.is_stored.load(Ordering::Acquire)
    }
}

/// One of the batches that an entry was made of.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What it owes.
    pub obligation: Arc<Obligation>,
    /// The sequence number of its record, where it has one or is about to get one.
    pub sequence: Option<u64>,
}

/// A batch in the queue, or several that travel as one.
#[derive(Debug)]
pub(super) struct Entry {
    pub data: Data,
    /// The items still to settle; `None` means all of them.
    pub open: Option<Vec<u32>>,
    /// The worst outcome of the items that are settled.
    pub worst: Outcome,
    /// When the first of it was queued.
    pub queued: Timestamp,
    pub parts: Vec<Part>,
    bytes: usize,
}

impl Entry {
    /// An entry of its data's size, queued at a time of day.
    pub fn new(data: Data, ack: Option<Ack>, queued: Timestamp) -> Self {
        Entry::owing(data, queued, Part { obligation: Obligation::new(ack), sequence: None })
    }

    /// An entry read from its record.
    pub fn read(data: Data, queued: Timestamp, sequence: u64) -> Self {
        let obligation = Obligation::new(None);
        obligation.store();
        Entry::owing(data, queued, Part { obligation, sequence: Some(sequence) })
    }

    /// An entry of one part.
    pub fn owing(data: Data, queued: Timestamp, part: Part) -> Self {
        let bytes = data.bytes();
        Entry { data, open: None, worst: Outcome::Delivered, queued, parts: vec![part], bytes }
    }

    /// Number of items still to settle.
    pub fn open_items(&self) -> u64 {
        self.open.as_ref().map_or(self.data.items(), Vec::len) as u64
    }

    /// Bytes of memory that the entry counts for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all of it is safe on disk, as it is.
    pub fn is_stored(&self) -> bool {
        self.open.is_none() && self.parts.iter().all(|part| part.sequence.is_some() && part.obligation.is_stored())
    }

    /// Whether any of it has a record on disk or is about to get one.
    pub fn is_on_disk(&self) -> bool {
        self.sequences().next().is_some()
    }

    /// The sequence numbers of its records.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().filter_map(|part| part.sequence)
    }

    /// Tells its receivers what became of it.
    pub fn settle(&self, outcome: Outcome) {
        let worst = self.worst.max(outcome);
        self.parts.iter().for_each(|part| part.obligation.settle(worst));
    }

    /// Whether another entry may travel as one with this: of the same resource and scope, both whole.
    pub fn goes_with(&self, other: &Entry) -> bool {
        let is_whole = self.open.is_none() && other.open.is_none();
        is_whole
            && match (&self.data, &other.data) {
                (Data::Metrics(a), Data::Metrics(b)) => a.resource == b.resource && a.scope == b.scope,
                (Data::Logs(a), Data::Logs(b)) => a.resource == b.resource && a.scope == b.scope,
                (Data::Metrics(_), Data::Logs(_)) | (Data::Logs(_), Data::Metrics(_)) => false,
            }
    }

    /// Adds a later entry that [goes with](Self::goes_with) it. Items are moved where nobody shares them, else copied. From then
    /// on they have one outcome, the worst of all their items.
    pub fn merge(&mut self, other: Entry) {
        match (&mut self.data, other.data) {
            (Data::Metrics(mine), Data::Metrics(theirs)) => {
                let points = Arc::try_unwrap(theirs).map_or_else(|shared| shared.points.clone(), |own| own.points);
                Arc::make_mut(mine).points.extend(points);
            }
            (Data::Logs(mine), Data::Logs(theirs)) => {
                let records = Arc::try_unwrap(theirs).map_or_else(|shared| shared.records.clone(), |own| own.records);
                Arc::make_mut(mine).records.extend(records);
            }
            (Data::Metrics(_), Data::Logs(_)) | (Data::Logs(_), Data::Metrics(_)) => {
                debug_assert!(false, "only entries of one signal go together");
            }
        }
        self.worst = self.worst.max(other.worst);
        self.bytes += other.bytes;
        self.parts.extend(other.parts);
    }

    /// Only the items still to settle.
    pub fn open_data(&self) -> Data {
        let Some(open) = &self.open else { return self.data.clone() };
        let pick = |index: &u32| *index as usize;
        match &self.data {
            Data::Metrics(batch) => {
                let points = open.iter().filter_map(|index| batch.points.get(pick(index))).cloned().collect();
                let (resource, scope) = (Arc::clone(&batch.resource), Arc::clone(&batch.scope));
                MetricBatch { resource, scope, points }.into()
            }
            Data::Logs(batch) => {
                let records = open.iter().filter_map(|index| batch.records.get(pick(index))).cloned().collect();
                let (resource, scope) = (Arc::clone(&batch.resource), Arc::clone(&batch.scope));
                LogBatch { resource, scope, records }.into()
            }
        }
    }
}
