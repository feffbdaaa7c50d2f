//! The receiver: wakes the core when something happened or is due, sends what it read, and tells it what became of that.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, Outputs, Receiver};
use hornpipe_engine::{Ack, Batch, Outcome, Output, RateLimit, Shutdown, reason};
use hornpipe_model::{LogBatch, Scope, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::checkpoint::{Loaded, Store};
use crate::config::checkpoint_folder;
use crate::core::{Core, Done, Schedule, Step};
use crate::find::Finder;
use crate::progress::BatchId;
use crate::reports::Reports;
use crate::tailer::{Cut, FileSet, Options, Tailer};
use crate::watch::Watch;

/// Changes within this time are one wake-up.
const MERGE: Duration = Duration::from_millis(50);
/// Most bytes of batches whose outcome is open, as long as they settle; then files wait.
pub(crate) const MOST_IN_FLIGHT: usize = 4 * 1024 * 1024;
/// So many of them before anything is settled; what is settled is added to it. What is on its way when the process is killed comes
/// again, and so is never much more than what this life has settled.
const FIRST_IN_FLIGHT: usize = 256 * 1024;
/// When nothing was sent or settled for so long, twice as much may be on its way, without limit. A processor may wait for the end of
/// a long record; and where an exporter with its queue in memory waits for its backend, the others must not wait with it. What is on
/// its way is in queues then, and whether those have room is up to the exporters.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reads log files.
pub struct FilelogReceiver {
    pub(crate) options: Options,
    pub(crate) poll_interval: Duration,
    pub(crate) finder: Finder,
    pub(crate) sets: Vec<FileSet>,
    pub(crate) context: BuildContext,
}

impl FilelogReceiver {
    fn start(self) -> (Core, Reports) {
        let FilelogReceiver { options, poll_interval, finder, sets, context } = self;
        let reports = Reports::new(&context);
        let (store, loaded) = open_store(&context, &reports);
        let core = Core {
            tailer: Tailer::new(sets, options, loaded.saved),
            finder,
            watch: Watch::new(),
            store,
            poll_interval,
            schedule: Schedule::default(),
        };
        (core, reports)
    }
}

fn open_store(context: &BuildContext, reports: &Reports) -> (Option<Store>, Loaded) {
    let opened = match context.state_directory.writable() {
        Some(directory) => {
            let directory = directory.join(checkpoint_folder(&context.id));
            Store::open(&directory, context.clock.unix()).map_err(|error| format!("{}: {error}", directory.display()))
        }
        None => Err(context.state_directory.problem.clone().unwrap_or_default()),
    };
    match opened {
        Ok((store, loaded)) => {
            reports.store_opened(store.path(), loaded.damaged);
            (Some(store), loaded)
        }
        Err(problem) => {
            reports.no_store(&problem);
            (None, Loaded::default())
        }
    }
}

#[async_trait]
impl Receiver for FilelogReceiver {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let Some(output) = outputs.logs else { return Err("no logs pipeline takes what it reads".to_owned()) };
        let context = self.context.clone();
        // It reads the checkpoint.
        let started = tokio::task::spawn_blocking(move || self.start()).await;
        let (core, reports) = started.map_err(|_| "it failed (panic) while it started".to_owned())?;
        let scope = Scope {
            name: "hornpipe/filelog".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Scope::default()
        };
        let watched = core.watch.as_ref().map(|watch| register(watch.descriptor()));
        let watched = watched.transpose().map_err(|error| format!("cannot wait for changes of files: {error}"))?;
        let (settled_sender, settled) = mpsc::unbounded_channel();
        let mut running = Running {
            core: Some(core),
            reports,
            watched,
            context,
            output,
            scope: Arc::new(scope),
            settled,
            settled_sender,
            in_flight: BTreeMap::new(),
            may_be_in_flight: FIRST_IN_FLIGHT,
            widen_at: Duration::ZERO,
            outcomes: Vec::new(),
            lost_log: RateLimit::new(Duration::from_secs(60)),
        };
        running.run(&shutdown).await?;
        running.finish().await
    }
}

struct Running {
    /// Away while it does a step.
    core: Option<Core>,
    reports: Reports,
    watched: Option<AsyncFd<Arc<OwnedFd>>>,
    context: BuildContext,
    output: Output,
    scope: Arc<Scope>,
    settled: mpsc::UnboundedReceiver<(BatchId, Outcome)>,
    settled_sender: mpsc::UnboundedSender<(BatchId, Outcome)>,
    /// The batches whose outcome is open, with their bytes.
    in_flight: BTreeMap<BatchId, usize>,
    /// How many bytes they may have.
    may_be_in_flight: usize,
    /// When they may have more, unless one is sent or settled before.
    widen_at: Duration,
    /// What the core has yet to be told.
    outcomes: Vec<(BatchId, bool)>,
    lost_log: RateLimit,
}

/// How a step differs from the usual one.
#[derive(Clone, Copy, Default)]
struct Kind {
    is_last: bool,
    checkpoint: bool,
}

impl Running {
    async fn run(&mut self, shutdown: &Shutdown) -> Result<(), String> {
        while !shutdown.is_requested() {
            let began = self.context.clock.monotonic();
            let done = self.step(Kind::default()).await?;
            let (is_busy, next) = (done.is_busy, done.next);
            self.take(done).await;
            self.output.set_waiting(is_busy && !self.output.has_room());
            if is_busy && self.has_room() {
                // Others get their turn although this task never waits.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = shutdown.requested() => {}
                () = self.wait(began, next) => {}
            }
        }
        Ok(())
    }

    /// Waits until there is something to do: room for what waits, a change, or something due.
    async fn wait(&mut self, began: Duration, next: Duration) {
        let clock = self.context.clock.clone();
        let is_full = !self.output.has_room();
        tokio::select! {
            Some(settled) = self.settled.recv() => self.note(settled),
            // Without room too: a file that is renamed has to be followed.
            () = changed(self.watched.as_ref()) => {}
            () = self.output.room(), if is_full => {}
            () = clock.sleep_until(self.widen_at), if self.is_narrow() => self.widen(),
            () = clock.sleep_until(next.max(began + MERGE)) => return,
        }
        clock.sleep_until(began + MERGE).await;
    }

    /// Whether another batch may go on its way: files keep what is not read.
    fn has_room(&self) -> bool {
        self.bytes_in_flight() < self.may_be_in_flight && self.output.has_room()
    }

    fn bytes_in_flight(&self) -> usize {
        self.in_flight.values().sum()
    }

    /// Whether nothing goes on its way although there may be room.
    fn is_narrow(&self) -> bool {
        self.bytes_in_flight() >= self.may_be_in_flight
    }

    fn widen(&mut self) {
        self.may_be_in_flight = self.may_be_in_flight.saturating_mul(2);
        self.widen_at = self.context.clock.monotonic() + PATIENCE;
    }

    fn note(&mut self, (batch, outcome): (BatchId, Outcome)) {
        let bytes = self.in_flight.remove(&batch).unwrap_or(0);
        // What was given up because the process ends is read again after the next start.
        let is_settled = !matches!(outcome, Outcome::Lost | Outcome::Dropped(reason::SHUTDOWN));
        if outcome == Outcome::Lost && self.lost_log.allow(&self.context.clock).is_some() {
            tracing::error!(
                receiver = self.context.id,
                "a batch was lost on its way; its records are read again after the next start"
            );
        }
        if is_settled {
            let grown = (self.may_be_in_flight + bytes).min(MOST_IN_FLIGHT);
            // What was widened beyond that is narrow again once what got stuck is settled.
            let is_stuck = self.bytes_in_flight() > MOST_IN_FLIGHT;
            self.may_be_in_flight = if is_stuck { self.may_be_in_flight.max(grown) } else { grown };
            self.widen_at = self.context.clock.monotonic() + PATIENCE;
        }
        self.outcomes.push((batch, is_settled));
    }

    async fn step(&mut self, kind: Kind) -> Result<Done, String> {
        while let Ok(settled) = self.settled.try_recv() {
            self.note(settled);
        }
        let Some(mut core) = self.core.take() else { return Err("its files are gone".to_owned()) };
        let step = Step {
            now: self.context.clock.monotonic(),
            unix: self.context.clock.unix(),
            settled: std::mem::take(&mut self.outcomes),
            may_read: self.has_room() && !kind.checkpoint,
            is_last: kind.is_last,
            checkpoint: kind.checkpoint,
        };
        let worked = tokio::task::spawn_blocking(move || {
            let done = core.step(step);
            (core, done)
        });
        let (core, done) = worked.await.map_err(|_| "it failed (panic) while it read files".to_owned())?;
        self.core = Some(core);
        Ok(done)
    }

    /// Reports what a step did and sends what it read.
    async fn take(&mut self, done: Done) {
        if let Some(core) = &mut self.core {
            self.reports.counts(core.tailer.take_counts());
        }
        self.reports.unread(done.unread);
        self.reports.notes(done.notes);
        if let Some(news) = done.news {
            self.reports.news(news);
        }
        if let Some(store) = done.store {
            self.reports.store(store);
        }
        if let Some(cut) = done.cut {
            self.send(cut).await;
        }
    }

    async fn send(&mut self, Cut { batch, records }: Cut) {
        let counters = self.context.telemetry.signal(Signal::Logs);
        let count = records.len() as u64;
        counters.received.add(count);
        counters.held.add(count);
        let (ack, outcome) = Ack::new();
        let (resource, scope) = (Arc::clone(&self.context.resource), Arc::clone(&self.scope));
        let logs = Batch::with_ack(LogBatch { resource, scope, records }, Some(ack));
        self.in_flight.insert(batch, logs.bytes());
        self.widen_at = self.context.clock.monotonic() + PATIENCE;
        let sender = self.settled_sender.clone();
        tokio::spawn(async move {
            let outcome = outcome.await.unwrap_or(Outcome::Lost);
            // The receiver may have ended.
            let _ = sender.send((batch, outcome));
        });
        self.output.send(logs).await;
        counters.held.subtract(count);
        counters.passed.add(count);
    }

    /// Reads what is there, as far as there is room for it, and waits for what becomes of all that was sent.
    async fn finish(mut self) -> Result<(), String> {
        let mut kind = Kind { is_last: true, checkpoint: false };
        loop {
            let done = self.step(kind).await?;
            kind.is_last = false;
            let is_busy = done.is_busy && self.has_room();
            self.take(done).await;
            if !is_busy {
                break;
            }
        }
        let flushed = self.core.as_mut().and_then(|core| core.tailer.flush_all(core.store.is_none()));
        if let Some(cut) = flushed {
            self.send(cut).await;
        }
        let write = Kind { is_last: false, checkpoint: true };
        let clock = self.context.clock.clone();
        while !self.in_flight.is_empty() {
            tokio::select! {
                Some(settled) = self.settled.recv() => self.note(settled),
                () = clock.sleep(Duration::from_secs(1)) => {
                    let done = self.step(write).await?;
                    self.take(done).await;
                }
            }
        }
        let done = self.step(write).await?;
        self.take(done).await;
        Ok(())
    }
}

/// Has the runtime say when there is something to read.
#[allow(unsafe_code, reason = "the one way to wait for a descriptor that is neither a socket nor a pipe")]
fn register(descriptor: Arc<OwnedFd>) -> Result<AsyncFd<Arc<OwnedFd>>, std::io::Error> {
    // SAFETY: the descriptor has to stay open, and the same, for as long as the `AsyncFd` lives. That has a share of its owner,
    // which never closes or replaces it before the last share is gone.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

/// Waits for a change of a file; for ever where changes are not told.
async fn changed(watched: Option<&AsyncFd<Arc<OwnedFd>>>) {
    match watched {
        Some(watched) => {
            if let Ok(mut ready) = watched.readable().await {
                // The next step reads what is there; what comes after that is told again.
                ready.clear_ready();
            }
        }
        None => std::future::pending().await,
    }
}
