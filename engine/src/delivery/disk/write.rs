//! To the disk, and what becomes of what it does not take.

use std::collections::VecDeque;

use super::{Append, Command, Disk};
use crate::delivery::entry::Entry;
use crate::delivery::store::Store;
use crate::delivery::{DISK_FACT, codec};

impl Disk {
    pub(super) fn append(&mut self, append: Append) {
        let Some(store) = self.store.as_mut().filter(|_| self.problem.is_none()) else {
            self.pending.push(append);
            return self.fail("it is not open");
        };
        let encode = |buffer: &mut Vec<u8>| codec::encode(&append.data, append.queued, buffer);
        let written = store.append(append.sequence, append.amount().items, append.given, encode);
        self.pending.push(append);
        if let Err(error) = written {
            self.fail(&error.to_string());
        }
    }

    pub(super) fn commit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Some(store) = &mut self.store else { return self.fail("it is not open") };
        match store.commit() {
            Ok(()) => self.settle_pending(u64::MAX),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Settles what is pending and below a sequence number.
    pub(super) fn settle_pending(&mut self, below: u64) {
        let mut bytes = 0;
        self.pending.retain(|append| {
            let is_safe = append.sequence < below;
            if is_safe {
                append.parts.iter().for_each(|part| part.obligation.store());
                bytes += append.bytes;
            }
            !is_safe
        });
        self.queue.make_room(|state| {
            if let Some(disk) = &mut state.disk {
                disk.pending = disk.pending.saturating_sub(bytes);
            }
        });
    }

    /// The disk did not take what is pending: it goes back to memory, with all that was on its way here.
    pub(super) fn fail(&mut self, error: &str) {
        let committed = self.store.as_ref().map_or(0, Store::committed);
        self.settle_pending(committed);
        if let Some(store) = &mut self.store {
            store.abandon();
        }
        let mut refused = std::mem::take(&mut self.pending);
        let mut others = Vec::new();
        self.queue.change(|state| {
            if let Some(disk) = &mut state.disk {
                (disk.takes, disk.pending) = (false, 0);
            }
            // Under the lock nothing comes after these, so that they keep their place before what comes.
            for command in self.commands.try_iter() {
                match command {
                    Command::Append(append) => refused.push(append),
                    other => others.push(other),
                }
            }
            for append in refused {
                if append.given {
                    if let Some(store) = &mut self.store {
                        store.done(append.sequence);
                    }
                } else {
                    state.add_refused(append.into_entry());
                }
            }
            state.join();
        });
        self.say_problem(error);
        others.into_iter().for_each(|command| self.take(command));
    }

    /// Tries the disk again; what waits in memory behind it is written then.
    pub(super) fn recover(&mut self) {
        let Some(store) = &self.store else { return self.reopen() };
        if let Err(error) = store.probe() {
            return self.say_problem(&error.to_string());
        }
        self.end_problem();
        self.take_what_comes();
    }

    /// From now on what comes is written, where the queue is durable; first what waits in memory behind the disk.
    pub(super) fn take_what_comes(&self) {
        if self.settings.durable {
            self.queue.change(|state| {
                if let Some(disk) = &mut state.disk {
                    disk.takes = true;
                }
                state.append_tail();
            });
        }
    }

    pub(super) fn reopen(&mut self) {
        self.open();
        if self.store.is_some() {
            self.end_problem();
        }
    }

    /// Writes what a process leaves at its end, as much of it as the disk takes; what could not be written is returned.
    pub(super) fn keep(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        self.commit();
        let Some(store) = &mut self.store else { return entries };
        let mut entries: VecDeque<Entry> = entries.into_iter().filter(|entry| !entry.is_stored()).collect();
        let mut written = Vec::new();
        let mut failure = None;
        while let Some(entry) = entries.front() {
            let sequence = store.next_sequence();
            let data = entry.open_data();
            let encode = |buffer: &mut Vec<u8>| codec::encode(&data, entry.queued, buffer);
            if let Err(error) = store.append(sequence, entry.open_items(), false, encode) {
                failure = Some(error);
                break;
            }
            written.extend(entries.pop_front().map(|entry| (sequence, entry)));
        }
        let committed = store.commit();
        let safe_below = if committed.is_ok() { u64::MAX } else { store.committed() };
        let lost = written.split_off(written.partition_point(|(sequence, _)| *sequence < safe_below));
        for (_, entry) in &written {
            entry.sequences().for_each(|sequence| store.done(sequence));
            entry.parts.iter().for_each(|part| part.obligation.store());
        }
        if let Some(error) = committed.err().or(failure) {
            store.abandon();
            self.say_problem(&error.to_string());
        }
        lost.into_iter().map(|(_, entry)| entry).chain(entries).collect()
    }

    /// Tells the operator that the disk takes nothing, once.
    pub(super) fn say_problem(&mut self, error: &str) {
        let directory = self.settings.directory.display();
        let text = format!("{directory}: {error}; queued in memory until the disk takes it, and trying again");
        if self.problem.is_none() {
            tracing::warn!(exporter = self.id(), "the queue's disk fails: {text}");
        }
        self.telemetry.set_warning(DISK_FACT, text.clone());
        self.problem_gauge.set(1);
        self.problem = Some(text);
    }

    pub(super) fn end_problem(&mut self) {
        if self.problem.take().is_some() {
            tracing::info!(exporter = self.id(), "the queue's disk takes data again");
        }
        self.telemetry.set_warning(DISK_FACT, "");
        self.problem_gauge.set(0);
    }
}
