//! The queue between the pipelines and one exporter, for one signal: first in, first out, bounded.
//!
//! Oldest first, a queue is
//!
//! 1. `ready`: entries in memory; on disk too, where the queue is durable;
//! 2. `unread`: records that are only on disk, since memory has no room for them or an earlier process left them;
//! 3. `tail`: entries in memory that came after those, while the disk takes nothing.
//!
//! A queue without a disk has the first part only. What is read back from the disk is taken from it by the
//! [`disk`](super::disk)'s own thread, which asks nothing of this one but the lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use hornpipe_model::Timestamp;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::disk::{Append, Command, DiskSettings};
use super::entry::Entry;
use super::store::Amount;
use super::{OnFull, Sizer};

/// A batch of a receiver that can wait is not larger, in memory or on disk.
const LARGE_BATCH: u64 = 2 << 20;

/// How much a queue takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes in memory. Of a durable queue: what is on disk need not be in memory, so nothing is dropped at this bound.
    pub memory: usize,
    /// Bytes on disk, of a durable queue.
    pub disk: u64,
    /// A second bound: the Collector's `queue_size` by its `sizer`.
    pub size: Option<(Sizer, u64)>,
    /// What happens at the bounds.
    pub on_full: OnFull,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    bounds: Bounds,
    pub ready: VecDeque<Entry>,
    pub unread: Amount,
    pub tail: VecDeque<Entry>,
    /// Bytes in memory: ready, tail and in flight.
    memory: usize,
    /// When what is being sent was queued.
    in_flight: Vec<Timestamp>,
    /// Everything in memory, in flight too.
    in_memory: Amount,
    pub disk: Option<DiskHandle>,
    closed: bool,
}

/// The way to the thread that owns the disk.
#[derive(Debug)]
pub(super) struct DiskHandle {
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
    fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// What became of a new entry.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// Entries dropped: older ones, or the new one itself.
    pub dropped: Vec<Entry>,
}

impl Queue {
    /// An empty queue in memory.
    pub fn new(bounds: Bounds) -> Self {
        let state = State {
            bounds,
            ready: VecDeque::new(),
            unread: Amount::default(),
            tail: VecDeque::new(),
            memory: 0,
            in_flight: Vec::new(),
            in_memory: Amount::default(),
            disk: None,
            closed: false,
        };
        Queue { state: Mutex::new(state), filled: Notify::new(), drained: Notify::new() }
    }

    /// Changes the bounds, for what comes from now on.
    pub fn configure(&self, bounds: Bounds) {
        self.change(|state| state.bounds = bounds);
    }

    /// Adds an entry; at a bound, what the policy says. Waits only with [`OnFull::Block`], and not once closed.
    pub async fn push(&self, entry: Entry) -> Pushed {
        self.wait_for_room(&entry).await;
        let mut state = self.lock();
        let mut dropped = Vec::new();
        match state.bounds.on_full {
            OnFull::DropOldest if state.overruns(&entry) => {
                return Pushed { dropped: vec![entry] };
            }
            OnFull::DropOldest => {
                while !state.fits(&entry)
                    && let Some(oldest) = state.pop_oldest()
                {
                    dropped.push(oldest);
                }
                if !state.fits(&entry) && !state.drop_oldest_on_disk() {
                    dropped.push(entry);
                    return Pushed { dropped };
                }
            }
            OnFull::DropNewest if !state.fits(&entry) => {
                return Pushed { dropped: vec![entry] };
            }
            OnFull::DropNewest | OnFull::Block => {}
        }
        state.add(entry);
        drop(state);
        self.filled.notify_one();
        Pushed { dropped }
    }

    /// Takes the oldest entry, waiting for one; `None` once the queue is closed and what it has in memory is taken: what is
    /// on disk stays there for the next process.
    pub async fn pop(&self) -> Option<Entry> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if let Some(entry) = state.take_ready(|_| true) {
                    return Some(entry);
                }
                if state.closed {
                    return None;
                }
                state.ask_for_more();
            }
            filled.await;
        }
    }

    /// Takes the oldest entry where there is one in memory and `wanted` says yes to it.
    pub fn pop_if(&self, wanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        self.lock().take_ready(wanted)
    }

    /// Waits until something is added.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether nothing is ready now, though something may be on disk.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.ready.is_empty() && state.unread.records == 0 && state.tail.is_empty()
    }

    /// Whether the oldest entry in memory is there and not for merging, or the queue is closed: nothing to wait for.
    pub fn has_other(&self) -> bool {
        let state = self.lock();
        state.closed || !state.ready.is_empty()
    }

    /// Puts an entry that was taken back to the front.
    pub fn give_back(&self, entry: Entry) {
        let mut state = self.lock();
        state.land(entry.queued);
        state.ready.push_front(entry);
        drop(state);
        self.filled.notify_one();
    }

    /// An entry that was taken is sent or dropped: its room is free again, and its records are consumed.
    pub fn finish(&self, entry: &Entry) {
        self.change(|state| {
            state.land(entry.queued);
            state.forget(entry);
            state.consume(entry);
        });
    }

    /// Ends the queue: what is in memory still comes out, nobody waits for room any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_waiters();
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Takes all entries that are in memory. What is consumed of the disk is nothing yet.
    pub fn clear(&self) -> Vec<Entry> {
        let mut state = self.lock();
        let mut entries: Vec<Entry> = state.ready.drain(..).collect();
        entries.extend(state.tail.drain(..));
        entries.iter().for_each(|entry| state.forget(entry));
        entries
    }

    /// Shows the bytes queued and being sent, in memory and on disk, and when the oldest of them was queued. The queue does
    /// not change meanwhile, so that of two callers the later one shows the later state.
    pub fn show(&self, show: impl FnOnce(Levels)) {
        let state = self.lock();
        let disk = state.disk.as_ref().map_or(0, |disk| disk.bytes);
        let in_line = state.ready.iter().chain(&state.tail).map(|entry| entry.queued).next();
        let oldest = state.in_flight.iter().copied().chain(in_line).min();
        show(Levels { memory: state.memory as u64, disk, oldest });
    }

    /// Whether the disk is so far behind that memory has no room for this entry on its way there.
    pub fn overruns(&self, entry: &Entry) -> bool {
        self.lock().overruns(entry)
    }

    /// Waits until the disk has caught up so far that there is.
    pub async fn caught_up(&self, entry: &Entry) {
        loop {
            let drained = self.drained.notified();
            if !self.overruns(entry) {
                return;
            }
            drained.await;
        }
    }

    /// Whether those who can wait may bring more: half of each bound is for the others. A queue that is set to block makes
    /// whoever brings something wait by itself. Where the backend takes what it is sent (`is_well`), memory has to have room for
    /// it, too: what is on disk alone would only have to be read again.
    pub fn has_room(&self, is_well: bool) -> bool {
        let state = self.lock();
        state.bounds.on_full == OnFull::Block || (state.is_half_free() && !(is_well && state.spills()))
    }

    /// Waits until there may be more room than at the call.
    pub fn drained(&self) -> Notified<'_> {
        self.drained.notified()
    }

    /// Whether what comes is written to disk.
    pub fn takes(&self) -> bool {
        self.lock().takes()
    }

    /// Asks the disk for something; the command comes back where there is none.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        match &self.lock().disk {
            Some(disk) => disk.commands.send(command).map_err(|mpsc::SendError(command)| command),
            None => Err(command),
        }
    }

    /// Asks the disk for its last; what comes from now on is in memory. False where there is no disk.
    pub fn stop_disk(&self, last: Command) -> bool {
        self.lock().disk.take().is_some_and(|disk| disk.commands.send(last).is_ok())
    }

    /// Changes the state, under the lock, and wakes who waits for data or for room.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.filled.notify_one();
        self.drained.notify_waiters();
        result
    }

    async fn wait_for_room(&self, entry: &Entry) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.bounds.on_full != OnFull::Block || state.closed || state.fits(entry) {
                    return;
                }
            }
            drained.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Queue::show`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    pub memory: u64,
    pub disk: u64,
    pub oldest: Option<Timestamp>,
}

impl State {
    /// An entry larger than a bound fits an empty queue, so that it cannot wait for ever.
    fn fits(&self, entry: &Entry) -> bool {
        let total = self.total();
        if total.records == 0 {
            return true;
        }
        let fits_size = match self.bounds.size {
            None => true,
            Some((Sizer::Requests, limit)) => total.records < limit,
            Some((Sizer::Items, limit)) => total.items + entry.open_items() <= limit,
            Some((Sizer::Bytes, limit)) => self.bytes() + entry.bytes() as u64 <= limit,
        };
        let fits_bytes = match self.disk.as_ref().filter(|disk| disk.takes) {
            // At its bound the disk makes room by itself, a segment at a time, where the oldest may go.
            Some(_) if self.bounds.on_full == OnFull::DropOldest => true,
            Some(disk) => disk.bytes + (disk.pending + entry.bytes()) as u64 <= self.bounds.disk,
            None => self.memory == 0 || self.memory.saturating_add(entry.bytes()) <= self.bounds.memory,
        };
        fits_size && fits_bytes && !self.overruns(entry)
    }

    /// Whether less than half of each bound is used, or nothing at all.
    fn is_half_free(&self) -> bool {
        let total = self.total();
        let is_size_free = match self.bounds.size {
            None => true,
            Some((Sizer::Requests, limit)) => total.records < limit / 2,
            Some((Sizer::Items, limit)) => total.items < limit / 2,
            Some((Sizer::Bytes, limit)) => self.bytes() < half(limit),
        };
        let memory = half(self.bounds.memory as u64);
        let is_free = match &self.disk {
            Some(disk) if disk.takes => {
                let pending = disk.pending as u64;
                disk.bytes + pending < half(self.bounds.disk) && pending < memory
            }
            _ => (self.memory as u64) < memory,
        };
        total.records == 0 || (is_size_free && is_free)
    }

    /// Whether a batch that comes would be on disk alone.
    fn spills(&self) -> bool {
        let bound = self.bounds.memory as u64;
        let is_full = self.memory as u64 >= bound.saturating_sub(LARGE_BATCH).max(bound / 2);
        self.takes() && (self.unread.records > 0 || (is_full && self.memory > 0))
    }

    /// Everything that is queued or being sent.
    fn total(&self) -> Amount {
        let mut total = self.in_memory;
        total.add(self.unread);
        total
    }

    /// Whether the disk is so slow that memory does not hold what waits for it.
    fn overruns(&self, entry: &Entry) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            let waiting = if disk.is_opening { self.memory } else { disk.pending };
            let matters = disk.takes || disk.is_opening;
            matters && waiting > 0 && waiting + entry.bytes() > self.bounds.memory
        })
    }

    fn bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.bytes).max(self.memory as u64)
    }

    /// Takes the oldest entry that gives way. Of a durable queue it is the second bound that asks for it.
    fn pop_oldest(&mut self) -> Option<Entry> {
        let is_behind_disk = self.ready.is_empty() && self.unread.records > 0 && self.takes();
        let oldest = if is_behind_disk { None } else { self.ready.pop_front().or_else(|| self.tail.pop_front()) }?;
        self.forget(&oldest);
        self.consume(&oldest);
        Some(oldest)
    }

    /// Asks the disk to drop its oldest record; whether that makes room.
    fn drop_oldest_on_disk(&mut self) -> bool {
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

    fn takes(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.takes)
    }

    /// Adds an entry where it belongs.
    fn add(&mut self, entry: Entry) {
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
    fn append(&mut self, mut entry: Entry) {
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

    fn take_ready(&mut self, wanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        if !wanted(self.ready.front()?) {
            return None;
        }
        let entry = self.ready.pop_front()?;
        self.in_flight.push(entry.queued);
        self.ask_for_more();
        Some(entry)
    }

    /// Has the disk read on, before memory has run dry.
    fn ask_for_more(&mut self) {
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

    fn consume(&self, entry: &Entry) {
        if let Some(disk) = &self.disk {
            entry.sequences().for_each(|sequence| disk.send(Command::Done(sequence)));
        }
    }

    fn remember(&mut self, entry: &Entry) {
        self.memory += entry.bytes();
        self.in_memory.add(amount(entry));
    }

    fn forget(&mut self, entry: &Entry) {
        self.memory = self.memory.saturating_sub(entry.bytes());
        self.in_memory.subtract(amount(entry));
    }

    fn land(&mut self, queued: Timestamp) {
        if let Some(index) = self.in_flight.iter().position(|time| *time == queued) {
            self.in_flight.swap_remove(index);
        }
    }
}

/// Half of a bound, and at least one batch less than all of it.
fn half(bound: u64) -> u64 {
    (bound / 2).min(bound.saturating_sub(LARGE_BATCH))
}

/// What an entry was when it came; what is settled of it meanwhile still counts.
fn amount(entry: &Entry) -> Amount {
    Amount { records: entry.parts.len() as u64, items: entry.data.items() as u64 }
}

#[cfg(test)]
mod tests;
