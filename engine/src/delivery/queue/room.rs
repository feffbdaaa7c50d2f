//! How much a queue takes, and whether there is room.

use super::State;
use crate::delivery::entry::Entry;
use crate::delivery::store::Amount;
use crate::delivery::{OnFull, Sizer};

/// A batch of a receiver that can wait is not larger, in memory or on disk.
const LARGE_BATCH: u64 = 2 << 20;

/// How much a queue takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::delivery) struct Bounds {
    /// Bytes in memory. Of a durable queue: what is on disk need not be in memory, so nothing is dropped at this bound.
    pub memory: usize,
    /// Bytes on disk, of a durable queue.
    pub disk: u64,
    /// A second bound: the Collector's `queue_size` by its `sizer`.
    pub size: Option<(Sizer, u64)>,
    /// What happens at the bounds.
    pub on_full: OnFull,
}

impl State {
    /// An entry larger than a bound fits an empty queue, so that it cannot wait for ever.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
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
    pub(super) fn is_half_free(&self) -> bool {
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
    pub(super) fn spills(&self) -> bool {
        let bound = self.bounds.memory as u64;
        let is_full = self.memory as u64 >= bound.saturating_sub(LARGE_BATCH).max(bound / 2);
        self.takes() && (self.unread.records > 0 || (is_full && self.memory > 0))
    }

    /// Everything that is queued or being sent.
    pub(super) fn total(&self) -> Amount {
        let mut total = self.in_memory;
        total.add(self.unread);
        total
    }

    /// Whether the disk is so slow that memory does not hold what waits for it.
    pub(super) fn overruns(&self, entry: &Entry) -> bool {
        self.disk.as_ref().is_some_and(|disk| {
            let waiting = if disk.is_opening { self.memory } else { disk.pending };
            let matters = disk.takes || disk.is_opening;
            matters && waiting > 0 && waiting + entry.bytes() > self.bounds.memory
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.bytes).max(self.memory as u64)
    }
}

/// Half of a bound, and at least one batch less than all of it.
fn half(bound: u64) -> u64 {
    (bound / 2).min(bound.saturating_sub(LARGE_BATCH))
}
