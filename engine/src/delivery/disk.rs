//! The thread that owns a queue's store on disk.
//!
//! It takes commands from the [`queue`](super::queue) in order and does one round with all that wait: records are appended,
//! then committed together with one `fdatasync` (group commit), and only then are their acks settled. What the disk does not
//! take goes back to the queue's memory, in order, and the disk is tried again every few seconds.

mod read;
mod write;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hornpipe_model::{Data, Signal, Timestamp};
use tokio::sync::oneshot;

use super::entry::{Entry, Part};
use super::queue::{DiskHandle, Queue};
use super::store::{Amount, FileSystem, Store};
use super::{DISK_PROBLEM, Delivery, OnFull};
use crate::telemetry::{ComponentTelemetry, Counter};
use crate::{Clock, RateLimit};

/// How long a disk that failed is left alone. Tests are in a hurry; the disk's thread knows no clock but the system's.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };
/// How often the consumed position is brought to the disk where something changes.
const POSITION_SYNC: Duration = Duration::from_secs(1);
/// How often to look whether who had the directory before is gone, and for how long: it takes a moment to write down what it has.
const PREDECESSOR_LOOK: Duration = Duration::from_millis(5);
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(10);
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
    /// Who has the directory still.
    pub predecessor: Weak<Delivery>,
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
        let started = Instant::now();
        while self.settings.predecessor.strong_count() > 0 && started.elapsed() < PREDECESSOR_PATIENCE {
            std::thread::sleep(PREDECESSOR_LOOK);
        }
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
        self.queue.make_room(|state| {
            if let Some(disk) = &mut state.disk {
                disk.bytes = bytes;
            }
        });
    }

    fn id(&self) -> &str {
        &self.telemetry.identity().id
    }
}
