//! What is in a queue, and the ways within it.

use std::collections::VecDeque;
use std::sync::mpsc;

use hornpipe_model::Timestamp;

use super::Bounds;
use crate::delivery::disk::{Append, Command, DiskSettings};
use crate::delivery::entry::Entry;
use crate::delivery::store::Amount;

/// What a queue consists of.
#[derive(Debug)]
pub(in crate::delivery) struct State {
    pub(super) bounds: Bounds,
    pub ready: VecDeque<Entry>,
    pub unread: Amount,
    pub tail: VecDeque<Entry>,
    /// Bytes in memory: ready, tail and in flight.
    pub(super) memory: usize,
    /// When what is being sent was queued, once for what travels as one.
    pub(super) in_flight: Vec<Timestamp>,
    /// Everything in memory, in flight too.
    pub(super) in_memory: Amount,
    pub disk: Option<DiskHandle>,
    pub(super) closed: bool,
}

/// The way to the thread that owns the disk.
#[derive(Debug)]
pub(in crate::delivery) struct DiskHandle {
    pub commands: mpsc::Sender<Command>,
    /// The store is not open yet: nobody knows what lies in it, so what comes waits in the tail.
    pub is_opening: bool,
    /// Whether what comes is written to it; not where the queue is not durable, nor while the disk is full or broken.
    pub takes: bool,
    pub next_sequence: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes handed to it and not committed.
    pub pending: usize,
    /// A read is asked for.
    pub is_reading: bool,
}

impl DiskHandle {
    /// A way to a thread that opens its store now.
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        DiskHandle {
            commands,
            is_opening: true,
            takes: false,
            next_sequence: 0,
            bytes: 0,
            pending: 0,
            is_reading: false,
        }
    }

    /// A thread that is gone has lost its disk; what it had it has given back.
    pub(super) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl State {
    /// Nothing, in memory.
    pub(super) fn new(bounds: Bounds) -> Self {
        State {
            bounds,
            ready: VecDeque::new(),
            unread: Amount::default(),
            tail: VecDeque::new(),
            memory: 0,
            in_flight: Vec::new(),
            in_memory: Amount::default(),
            disk: None,
            closed: false,
        }
    }

    /// Takes the oldest entry that gives way. Of a durable queue it is the second bound that asks for it.
    pub(super) fn pop_oldest(&mut self) -> Option<Entry> {
        let is_behind_disk = self.ready.is_empty() && self.unread.records > 0 && self.takes();
        let oldest = if is_behind_disk { None } else { self.ready.pop_front().or_else(|| self.tail.pop_front()) }?;
        self.forget(&oldest);
        self.consume(&oldest);
        Some(oldest)
    }

    /// Asks the disk to drop its oldest record; whether that makes room.
    pub(super) fn drop_oldest_on_disk(&mut self) -> bool {
        let may_drop = self.bounds.size.is_some() && self.unread.records > 0 && self.takes();
        if let Some(disk) = self.disk.as_ref().filter(|_| may_drop) {
            disk.send(Command::DropOldest);
        }
        may_drop
    }

    /// Has the disk work with other settings.
    pub fn set_durable(&mut self, settings: Option<DiskSettings>) {
        if let (Some(disk), Some(settings)) = (&mut self.disk, settings) {
            disk.takes &= settings.durable;
            disk.send(Command::Configure(settings));
        }
    }

    pub(super) fn takes(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.takes)
    }

    /// Adds an entry where it belongs.
    pub(super) fn add(&mut self, entry: Entry) {
        let is_opening = self.disk.as_ref().is_some_and(|disk| disk.is_opening);
        if self.takes() {
            self.append(entry);
        } else if is_opening || self.unread.records > 0 {
            self.remember(&entry);
            self.tail.push_back(entry);
        } else {
            self.remember(&entry);
            self.ready.push_back(entry);
        }
    }

    /// Hands an entry to the disk, and keeps it in memory where there is room and nothing older is only on disk.
    pub(super) fn append(&mut self, mut entry: Entry) {
        let has_room = self.memory.saturating_add(entry.bytes()) <= self.bounds.memory || self.memory == 0;
        let given = self.unread.records == 0 && has_room;
        let Some(disk) = &mut self.disk else { return };
        let sequence = disk.next_sequence;
        disk.next_sequence += 1;
        disk.pending += entry.bytes();
        entry.parts.iter_mut().for_each(|part| part.sequence = Some(sequence));
        let items = entry.open_items();
        disk.send(Command::Append(Append {
            sequence,
            data: entry.data.clone(),
            bytes: entry.bytes(),
            queued: entry.queued,
            parts: entry.parts.clone(),
            given,
        }));
        if given {
            self.remember(&entry);
            self.ready.push_back(entry);
        } else {
            self.unread.add(Amount { records: 1, items });
        }
    }

    pub(super) fn take_ready(&mut self, wanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        if !wanted(self.ready.front()?) {
            return None;
        }
        let entry = self.ready.pop_front()?;
        self.ask_for_more();
        Some(entry)
    }

    /// Has the disk read on, before memory has run dry.
    pub(super) fn ask_for_more(&mut self) {
        let is_low = self.memory < self.bounds.memory / 2 || self.ready.is_empty();
        let wanted = self.unread.records > 0 && is_low;
        if let Some(disk) = self.disk.as_mut().filter(|disk| wanted && !disk.is_reading && !disk.is_opening) {
            disk.is_reading = true;
            disk.send(Command::Read);
        }
    }

    /// How many bytes may be read from disk now, at least a few.
    pub fn read_room(&self) -> usize {
        (self.bounds.memory.saturating_sub(self.memory) / 2).clamp(64 << 10, 4 << 20)
    }

    /// What was read takes its place.
    pub fn add_read(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.unread.subtract(Amount { records: 1, items: entry.open_items() });
            self.remember(&entry);
            self.ready.push_back(entry);
        }
        self.join();
    }

    /// Once nothing is unread, the tail follows what is ready.
    pub fn join(&mut self) {
        if self.unread.records == 0 && self.disk.as_ref().is_none_or(|disk| !disk.is_opening) {
            self.ready.append(&mut self.tail);
        }
    }

    /// Hands what waits in memory behind the disk to the disk again, in order.
    pub fn append_tail(&mut self) {
        for entry in std::mem::take(&mut self.tail) {
            self.forget(&entry);
            self.append(entry);
        }
    }

    /// An entry that the disk did not take is in memory only, behind all that is on disk.
    pub fn add_refused(&mut self, entry: Entry) {
        self.unread.subtract(Amount { records: 1, items: entry.open_items() });
        self.remember(&entry);
        self.tail.push_back(entry);
    }

    /// Entries that are ready and whose records are all below a sequence number: the disk has evicted those.
    pub fn evict_below(&mut self, below: u64) -> Vec<Entry> {
        let is_evicted = |entry: &Entry| entry.is_stored() && entry.sequences().all(|sequence| sequence < below);
        let (evicted, kept) = std::mem::take(&mut self.ready).into_iter().partition(is_evicted);
        self.ready = kept;
        let evicted: VecDeque<Entry> = evicted;
        evicted.iter().for_each(|entry| self.forget(entry));
        evicted.into()
    }

    pub(super) fn consume(&self, entry: &Entry) {
        if let Some(disk) = &self.disk {
            entry.sequences().for_each(|sequence| disk.send(Command::Done(sequence)));
        }
    }

    pub(super) fn remember(&mut self, entry: &Entry) {
        self.memory += entry.bytes();
        self.in_memory.add(amount(entry));
    }

    pub(super) fn forget(&mut self, entry: &Entry) {
        self.memory = self.memory.saturating_sub(entry.bytes());
        self.in_memory.subtract(amount(entry));
    }

    /// Everything in memory is what is queued there.
    pub(super) fn lose_in_flight(&mut self) -> u64 {
        let items = self.in_memory.items;
        (self.memory, self.in_memory) = (0, Amount::default());
        self.in_flight.clear();
        for entry in self.ready.iter().chain(&self.tail) {
            self.memory += entry.bytes();
            self.in_memory.add(amount(entry));
        }
        items - self.in_memory.items
    }

    pub(super) fn land(&mut self, queued: Timestamp) {
        if let Some(index) = self.in_flight.iter().position(|time| *time == queued) {
            self.in_flight.swap_remove(index);
        }
    }
}

/// What an entry was when it came; what is settled of it meanwhile still counts.
fn amount(entry: &Entry) -> Amount {
    Amount { records: entry.parts.len() as u64, items: entry.data.items() as u64 }
}
