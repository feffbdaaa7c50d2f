//! From the disk to memory, and what is dropped on the disk.

use super::Disk;
use crate::Reason;
use crate::component::reason;
use crate::delivery::entry::Entry;
use crate::delivery::store::{Amount, Read, Store};
use crate::delivery::{OnFull, codec};

/// Failures to read the same place before it is given up.
const READ_ATTEMPTS: u32 = 3;

impl Disk {
    /// Reads as much as memory has room for.
    pub(super) fn read(&mut self) {
        let room = self.queue.change(|state| state.read_room());
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut lost: Vec<(Reason, Amount)> = Vec::new();
        let mut is_empty = self.store.is_none();
        while let Some(store) = self.store.as_mut().filter(|_| bytes < room && !is_empty) {
            match store.read() {
                Ok(Some(Read::Record { sequence, items, bytes: record })) => match codec::decode(&record) {
                    Ok(codec::Queued { data, time }) => {
                        let entry = Entry::read(data, time, sequence);
                        bytes += entry.bytes();
                        entries.push(entry);
                    }
                    Err(codec::Unreadable) => {
                        let kept = store.keep_unreadable(sequence, &record);
                        store.done(sequence);
                        tracing::debug!(?kept, sequence, "a record that this release cannot read");
                        lost.push((reason::UNREADABLE, Amount { records: 1, items }));
                    }
                },
                Ok(Some(Read::Damaged(amount))) => lost.push((reason::CORRUPT, amount)),
                Ok(None) => is_empty = true,
                Err(error) => {
                    self.failed_reads += 1;
                    if self.failed_reads >= READ_ATTEMPTS {
                        self.failed_reads = 0;
                        lost.push((reason::CORRUPT, store.give_up_reading()));
                        continue;
                    }
                    tracing::warn!(exporter = self.id(), "the queue's disk cannot be read, trying again: {error}");
                    self.read_wanted = true;
                    break;
                }
            }
            self.failed_reads = 0;
        }
        self.queue.change(|state| {
            state.add_read(entries);
            lost.iter().for_each(|(_, amount)| state.unread.subtract(*amount));
            // Nothing is there that the count may still speak of, but for what is on its way here.
            if is_empty && state.disk.as_ref().is_some_and(|disk| disk.pending == 0) {
                lost.push((reason::CORRUPT, std::mem::take(&mut state.unread)));
            }
            if let Some(disk) = &mut state.disk {
                disk.is_reading = self.read_wanted;
            }
            state.join();
        });
        for (reason, amount) in lost {
            self.count_dropped(amount, reason, "a record on disk cannot be read");
        }
    }

    /// Drops the oldest segments while the store is above its bound.
    pub(super) fn make_room(&mut self) {
        while let Some(store) = self.store.as_mut().filter(|store| store.bytes() > self.settings.max_bytes)
            && self.settings.on_full == OnFull::DropOldest
            && let Some(evicted) = store.evict_oldest()
        {
            let gone = self.queue.change(|state| {
                state.unread.subtract(evicted.unread);
                state.join();
                state.evict_below(evicted.below)
            });
            self.count_dropped(evicted.unread, reason::QUEUE_FULL, "the queue is full");
            for entry in gone {
                let amount = Amount { records: 1, items: entry.open_items() };
                self.count_dropped(amount, reason::QUEUE_FULL, "the queue is full");
            }
        }
    }

    /// Drops the oldest record that is only on disk.
    pub(super) fn drop_oldest(&mut self) {
        self.commit();
        let amount = match self.store.as_mut().map(Store::read) {
            Some(Ok(Some(Read::Record { sequence, items, .. }))) => {
                if let Some(store) = &mut self.store {
                    store.done(sequence);
                }
                Amount { records: 1, items }
            }
            Some(Ok(Some(Read::Damaged(amount)))) => amount,
            _ => return,
        };
        self.queue.change(|state| {
            state.unread.subtract(amount);
            state.join();
        });
        self.count_dropped(amount, reason::QUEUE_FULL, "the queue is full");
    }

    pub(super) fn count_dropped(&self, amount: Amount, reason: Reason, why: &str) {
        if amount.records == 0 && amount.items == 0 {
            return;
        }
        let signal = self.settings.signal;
        let counters = self.telemetry.signal(signal);
        counters.held.subtract(amount.items);
        counters.dropped(reason, amount.items);
        if let Some(held_back) = self.drop_log.allow(&self.clock) {
            let (records, items) = (amount.records, amount.items);
            let signal = signal.as_str();
            tracing::warn!(exporter = self.id(), reason, items, records, signal, held_back, "dropped: {why}");
        }
    }
}
