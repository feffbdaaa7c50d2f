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

mod room;
mod state;

pub(super) use room::Bounds;
pub(super) use state::{DiskHandle, State};

use std::sync::{Mutex, MutexGuard, mpsc};

use hornpipe_model::Timestamp;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::lock;

use super::OnFull;
use super::disk::Command;
use super::entry::Entry;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
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
        Queue { state: Mutex::new(State::new(bounds)), filled: Notify::new(), drained: Notify::new() }
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
                    state.in_flight.push(entry.queued);
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

    /// Takes the oldest entry where there is one in memory and `wanted` says yes to it, for one that was taken before it: they
    /// travel as one from now on.
    pub fn pop_for(&self, wanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
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

    /// Whoever had what was taken is gone, and that with it; how many items that was.
    pub fn lose_in_flight(&self) -> u64 {
        self.change(State::lose_in_flight)
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
        // The file that is written now also has what was delivered since it was begun.
        let in_files = state.disk.as_ref().map_or(0, |disk| disk.bytes);
        let disk = if state.unread.records > 0 { in_files } else { in_files.min(state.memory as u64) };
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

    /// The same of a change that may make room and brings no data: who waits for data sleeps on.
    pub fn make_room<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
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
        lock(&self.state)
    }
}

/// What [`Queue::show`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Levels {
    pub memory: u64,
    /// What of it is on disk.
    pub disk: u64,
    pub oldest: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
