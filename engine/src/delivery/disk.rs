//! The thread that owns a queue's store on disk.
//!
//! It takes commands from the [`queue`](super::queue) in order and does one round with all that wait: records are appended,
//! then committed together with one `fdatasync` (group commit), and only then are their acks settled. What the disk does not
//! take goes back to the queue's memory, in order, and the disk is tried again every few seconds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use hornpipe_model::{Data, Signal, Timestamp};
use tokio::sync::oneshot;

use super::codec;
use super::entry::{Entry, Part};
use super::queue::{DiskHandle, Queue};
use super::store::{Amount, FileSystem, Read, Store};
use super::{DISK_PROBLEM, OnFull};
use crate::component::reason;
use crate::telemetry::{ComponentTelemetry, Counter};
use crate::{Clock, RateLimit, Reason};

/// How long a disk that failed is left alone. Tests are in a hurry; the disk's thread knows no clock but the system's.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };
/// How often the consumed position is brought to the disk where something changes.
const POSITION_SYNC: Duration = Duration::from_secs(1);
/// Failures to read the same place before it is given up.
const READ_ATTEMPTS: u32 = 3;
/// Most of what is appended between two commits, so that acks do not wait for a long backlog.
const ROUND_BYTES: usize = 16 << 20;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Write a record.
    Append(Append),
    /// Read on.
    Read,
    /// A record is consumed.
    Done(u64),
    /// Tell when everything that was done before is written down.
    Record(oneshot::Sender<()>),
    /// Drop the oldest record that is not in memory.
    DropOldest,
    /// Work with these settings from now on, but for the directory.
    Configure(DiskSettings),
    /// Write down what a queue in memory still holds, at the end; what could not be written comes back.
    Keep(Vec<Entry>, oneshot::Sender<Vec<Entry>>),
    /// End; what is on the disk stays there.
    Close(oneshot::Sender<()>),
}

/// A record to write.
#[derive(Debug)]
pub(super) struct Append {
    pub sequence: u64,
    pub data: Data,
    /// Bytes of memory that it counts for.
    pub bytes: usize,
    pub queued: Timestamp,
    pub parts: Vec<Part>,
    /// The queue has it in memory, too.
    pub given: bool,
}

impl Append {
    fn amount(&self) -> Amount {
        Amount { records: 1, items: self.data.items() as u64 }
    }

    /// The entry that it was.
    fn into_entry(self) -> Entry {
        let mut entry = Entry::new(self.data, None, self.queued);
        entry.parts = self.parts;
        entry.parts.iter_mut().for_each(|part| part.sequence = None);
        entry
    }
}

/// Where and how a queue is kept.
#[derive(Clone, Debug)]
pub(super) struct DiskSettings {
    pub files: Arc<dyn FileSystem>,
    pub directory: PathBuf,
    pub max_bytes: u64,
    /// Whether every batch is written, or only what is left at the end of the process.
    pub durable: bool,
    pub on_full: OnFull,
    pub signal: Signal,
}

impl DiskSettings {
    /// Small enough that dropping the oldest one drops little of the whole.
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 32).clamp(64 << 10, 16 << 20)
    }
}

/// The thread's state.
pub(super) struct Disk {
    settings: DiskSettings,
    queue: Arc<Queue>,
    telemetry: Arc<ComponentTelemetry>,
    problem_gauge: Arc<Counter>,
    drop_log: RateLimit,
    clock: Clock,
    commands: Receiver<Command>,
    store: Option<Store>,
    /// Appended and not committed.
    pending: Vec<Append>,
    /// Why the disk takes nothing.
    problem: Option<String>,
    read_wanted: bool,
    failed_reads: u32,
    position_synced: Instant,
    /// Who waits until the position is written.
    recording: Vec<oneshot::Sender<()>>,
    closed: Option<oneshot::Sender<()>>,
}

impl Disk {
    /// Starts the thread for a queue, which from now on has a disk. It opens the store first.
    pub fn start(settings: DiskSettings, queue: &Arc<Queue>, telemetry: &Arc<ComponentTelemetry>, clock: &Clock) {
        let (sender, commands) = channel();
        queue.change(|state| state.disk = Some(DiskHandle::new(sender)));
        let disk = Disk {
            settings,
            queue: Arc::clone(queue),
            telemetry: Arc::clone(telemetry),
            problem_gauge: telemetry.gauge(DISK_PROBLEM, "1", "1 while a durable queue's disk takes nothing"),
            drop_log: RateLimit::new(super::LOG_INTERVAL),
            clock: clock.clone(),
            commands,
            store: None,
            pending: Vec::new(),
            problem: None,
            read_wanted: false,
            failed_reads: 0,
            position_synced: Instant::now(),
            recording: Vec::new(),
            closed: None,
        };
        let started = std::thread::Builder::new().name("hornpipe-queue".to_owned()).spawn(move || disk.run());
        if let Err(error) = started {
            tracing::warn!(
                exporter = telemetry.identity().id,
                "no thread for the queue's disk, in memory only: {error}"
            );
            queue.change(|state| {
                state.disk = None;
                state.join();
            });
        }
    }

    fn run(mut self) {
        self.open();
        while self.closed.is_none() {
            match self.commands.recv_timeout(PAUSE) {
                Ok(command) => self.round(command),
                Err(RecvTimeoutError::Timeout) => self.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close();
    }

    /// Does what is asked for, as far as it is there, and commits it.
    fn round(&mut self, first: Command) {
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(command) = next {
            if let Command::Append(append) = &command {
                bytes += append.bytes;
            }
            self.take(command);
            next = if bytes < ROUND_BYTES { self.commands.try_recv().ok() } else { None };
        }
        // Before the disk is waited for: what is delivered is not sent again after a kill.
        self.save_position();
        self.commit();
        self.make_room();
        if std::mem::take(&mut self.read_wanted) {
            self.read();
        }
        self.show_bytes();
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(append) => self.append(append),
            Command::Read => self.read_wanted = true,
            Command::Done(sequence) => {
                if let Some(store) = &mut self.store {
                    store.done(sequence);
                }
            }
            Command::Record(answer) => self.recording.push(answer),
            Command::DropOldest => self.drop_oldest(),
            Command::Configure(settings) => self.configure(settings),
            Command::Keep(entries, answer) => {
                let left = self.keep(entries);
                // Who asked may have given up.
                let _ = answer.send(left);
            }
            Command::Close(answer) => self.closed = Some(answer),
        }
    }

    /// Now and then, where nothing is asked for.
    fn tick(&mut self) {
        if self.problem.is_some() {
            self.recover();
        }
        self.save_position();
        if self.read_wanted {
            self.read_wanted = false;
            self.read();
        }
        self.show_bytes();
    }

    /// Opens the store; what an earlier process left in it is this queue's, and older than all that comes.
    fn open(&mut self) {
        let DiskSettings { files, directory, durable, .. } = &self.settings;
        // Microseconds rise from process to process, and faster than batches come.
        let first = self.clock.unix().as_nanos() / 1000;
        match Store::open(Arc::clone(files), directory, self.settings.segment_bytes(), first) {
            Ok((store, found)) => {
                let counters = self.telemetry.signal(self.settings.signal);
                counters.recovered.add(found.items);
                counters.held.add(found.items);
                if found.items > 0 {
                    let items = found.items;
                    tracing::info!(exporter = self.id(), items, "sending first what an earlier process left on disk");
                }
                self.queue.change(|state| {
                    state.unread.add(found);
                    if let Some(disk) = &mut state.disk {
                        disk.next_sequence = store.next_sequence();
                        disk.bytes = store.bytes();
                        (disk.is_opening, disk.takes) = (false, *durable);
                    }
                    if *durable {
                        state.append_tail();
                    }
                    state.join();
                });
                self.store = Some(store);
            }
            Err(error) => {
                self.queue.change(|state| {
                    if let Some(disk) = &mut state.disk {
                        (disk.is_opening, disk.takes) = (false, false);
                    }
                    state.join();
                });
                self.say_problem(&error.to_string());
            }
        }
    }

    fn configure(&mut self, settings: DiskSettings) {
        if settings.directory != self.settings.directory {
            tracing::warn!(exporter = self.id(), "another sending_queue.storage applies from the next start on");
        }
        let directory = std::mem::take(&mut self.settings.directory);
        self.settings = DiskSettings { directory, ..settings };
        if self.problem.is_none() && self.store.is_some() {
            self.take_what_comes();
        }
    }

    fn append(&mut self, append: Append) {
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

    fn commit(&mut self) {
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
    fn settle_pending(&mut self, below: u64) {
        let mut bytes = 0;
        self.pending.retain(|append| {
            let is_safe = append.sequence < below;
            if is_safe {
                append.parts.iter().for_each(|part| part.obligation.store());
                bytes += append.bytes;
            }
            !is_safe
        });
        self.queue.change(|state| {
            if let Some(disk) = &mut state.disk {
                disk.pending = disk.pending.saturating_sub(bytes);
            }
        });
    }

    /// The disk did not take what is pending: it goes back to memory, with all that was on its way here.
    fn fail(&mut self, error: &str) {
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
    fn recover(&mut self) {
        let Some(store) = &self.store else { return self.reopen() };
        if let Err(error) = store.probe() {
            return self.say_problem(&error.to_string());
        }
        self.end_problem();
        self.take_what_comes();
    }

    /// From now on what comes is written, where the queue is durable; first what waits in memory behind the disk.
    fn take_what_comes(&self) {
        if self.settings.durable {
            self.queue.change(|state| {
                if let Some(disk) = &mut state.disk {
                    disk.takes = true;
                }
                state.append_tail();
            });
        }
    }

    fn reopen(&mut self) {
        self.open();
        if self.store.is_some() {
            self.end_problem();
        }
    }

    /// Reads as much as memory has room for.
    fn read(&mut self) {
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
    fn make_room(&mut self) {
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
    fn drop_oldest(&mut self) {
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

    /// Writes what a process leaves at its end; what could not be written is returned.
    fn keep(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        self.commit();
        let Some(store) = &mut self.store else { return entries };
        let mut failure = None;
        let mut consumed = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.is_stored()) {
            let sequence = store.next_sequence();
            let data = entry.open_data();
            let encode = |buffer: &mut Vec<u8>| codec::encode(&data, entry.queued, buffer);
            if let Err(error) = store.append(sequence, entry.open_items(), false, encode) {
                failure = Some(error);
                break;
            }
            consumed.extend(entry.sequences());
        }
        if let Some(error) = failure.or_else(|| store.commit().err()) {
            store.abandon();
            self.say_problem(&error.to_string());
            return entries;
        }
        consumed.into_iter().for_each(|sequence| store.done(sequence));
        for entry in entries {
            entry.parts.iter().for_each(|part| part.obligation.store());
        }
        Vec::new()
    }

    fn save_position(&mut self) {
        let is_due = self.position_synced.elapsed() >= POSITION_SYNC;
        if is_due {
            self.position_synced = Instant::now();
        }
        let saved = self.store.as_mut().map(|store| if is_due { store.sync_position() } else { store.save_position() });
        // At worst something is sent twice after a restart; a disk that fails says so when it is written.
        if let Some(Err(error)) = saved {
            tracing::debug!(%error, "the queue's position is not written");
        }
        for waiting in self.recording.drain(..) {
            // Who asked may be gone.
            let _ = waiting.send(());
        }
    }

    fn close(&mut self) {
        if let Some(Err(error)) = self.store.take().map(Store::close) {
            tracing::warn!(exporter = self.id(), "the queue's disk was not closed in good order: {error}");
        }
        if let Some(answer) = self.closed.take() {
            let _ = answer.send(());
        }
    }

    fn show_bytes(&self) {
        let bytes = self.store.as_ref().map_or(0, Store::bytes);
        self.queue.change(|state| {
            if let Some(disk) = &mut state.disk {
                disk.bytes = bytes;
            }
        });
    }

    fn count_dropped(&self, amount: Amount, reason: Reason, why: &str) {
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

    fn id(&self) -> &str {
        &self.telemetry.identity().id
    }

    /// Tells the operator that the disk takes nothing, once.
    fn say_problem(&mut self, error: &str) {
        let directory = self.settings.directory.display();
        let text = format!("{directory}: {error}; queued in memory until the disk takes it, and trying again");
        if self.problem.is_none() {
            tracing::warn!(exporter = self.id(), "the queue's disk fails: {text}");
        }
        self.telemetry.set_warning(super::DISK_FACT, text.clone());
        self.problem_gauge.set(1);
        self.problem = Some(text);
    }

    fn end_problem(&mut self) {
        if self.problem.take().is_some() {
            tracing::info!(exporter = self.id(), "the queue's disk takes data again");
        }
        self.telemetry.set_warning(super::DISK_FACT, "");
        self.problem_gauge.set(0);
    }
}
