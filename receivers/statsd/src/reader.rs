//! A thread that owns a socket, reads it, and adds up what comes.
//!
//! It shares nothing with other threads while it works: no lock, no channel and, for series that it knows, no allocation.
//! Once a batch of datagrams it looks whether somebody asks for its values ([`Swap`]) and publishes its counts.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use hornpipe_engine::telemetry::ComponentTelemetry;
use hornpipe_engine::{Clock, RateLimit};
use hornpipe_model::Signal;
use tokio::sync::oneshot;

use crate::aggregate::{Aggregator, Handover, LinesAtHand};
use crate::budget::ValueBudget;
use crate::config::Dialect;
use crate::contexts::ContextLimit;
use crate::forward::Forwarder;
use crate::listen::{Input, Limits, Piece, Sender, Socket, WakeUp, Wanted};
use crate::naming::Naming;
use crate::origin::{OriginTags, OriginWriter};
use crate::own_counters::OwnCounters;
use crate::reason;
use crate::slab::Slab;
use crate::sources::{FirstPacket, Sources};

/// How often one reader may log about bad lines, and about a failing socket.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// What a failing socket costs, so that it does not cost a core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// What all readers of a receiver have in common.
#[derive(Clone)]
pub(crate) struct ReaderContext {
    /// The receiver's id.
    pub(crate) id: String,
    /// The time, for gauges and for the rate of logging.
    pub(crate) clock: Clock,
    /// Where lines are counted.
    pub(crate) telemetry: Arc<ComponentTelemetry>,
    /// How many series they may know together.
    pub(crate) limit: Arc<ContextLimit>,
    /// What the clients speak.
    pub(crate) dialect: Dialect,
    /// Rules for names.
    pub(crate) naming: Naming,
    /// How much memory the samples and members of each may take.
    pub(crate) budget: ValueBudget,
    /// Tags of the origin that series get.
    pub(crate) origin: OriginTags,
    /// Bounds of what is read.
    pub(crate) limits: Limits,
    /// Where copies go.
    pub(crate) forwarder: Option<Arc<Forwarder>>,
}

/// A request for the window's values.
#[derive(Debug)]
struct Swap {
    /// The slab to go on with.
    empty: Slab,
    /// Series that may be evicted.
    expired: Vec<u32>,
    /// Read what the kernel still holds, hand over, and end.
    is_last: bool,
    reply: oneshot::Sender<Handover>,
}

/// A running reader. When it is dropped the thread ends.
#[derive(Debug)]
pub(crate) struct ReaderHandle {
    /// Where it listens.
    pub(crate) address: String,
    swaps: Option<mpsc::Sender<Swap>>,
    waker: WakeUp,
    /// An empty slab for the next swap.
    empty: Slab,
}

impl ReaderHandle {
    /// Starts a thread that reads `socket`.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(crate) fn start(socket: Socket, context: ReaderContext) -> io::Result<Self> {
        let address = socket.name();
        let wanted =
            Wanted { all_addresses: context.origin.wants_addresses(), processes: context.origin.wants_processes() };
        let (input, waker) = Input::open(socket, context.limits, wanted)?;
        let (sender, swaps) = mpsc::channel();
        let own = OwnCounters::new(&context.telemetry);
        let reader = Reader {
            kernel_drops: input.kernel_drops().unwrap_or(0),
            connections: (0, 0),
            input,
            aggregator: Aggregator::with(
                Arc::clone(&context.limit),
                context.dialect,
                context.naming.clone(),
                context.budget,
            ),
            sources: Sources::default(),
            origin: context.origin.clone().writer(),
            swaps,
            own,
            unshown_rejects: 0,
            reject_log: RateLimit::new(LOG_INTERVAL),
            error_log: RateLimit::new(LOG_INTERVAL),
            context,
        };
        thread::Builder::new().name("statsd-reader".to_owned()).spawn(move || reader.run())?;
        Ok(ReaderHandle { address, swaps: Some(sender), waker, empty: Slab::default() })
    }

    /// Asks for the window's values. The reply never comes if the thread has failed.
    pub(crate) fn request(&mut self, expired: Vec<u32>, is_last: bool) -> oneshot::Receiver<Handover> {
        let (reply, handover) = oneshot::channel();
        let swap = Swap { empty: std::mem::take(&mut self.empty), expired, is_last, reply };
        if let Some(swaps) = &self.swaps {
            // A failed thread takes nothing; its reply is dropped here, which the caller sees.
            let _ = swaps.send(swap);
        }
        self.waker.wake();
        handover
    }

    /// Gives back a slab that was handed over, emptied.
    pub(crate) fn recycle(&mut self, empty: Slab) {
        self.empty = empty;
    }
}

impl Drop for ReaderHandle {
    fn drop(&mut self) {
        self.swaps = None;
        self.waker.wake();
    }
}

/// Where that goes which one call brings.
struct Intake<'r> {
    aggregator: &'r mut Aggregator,
    sources: &'r mut Sources,
    clock: &'r Clock,
    forwarder: Option<&'r Forwarder>,
    origin: Option<&'r mut OriginWriter>,
    /// When it came. One look at the clock a call, after the waiting.
    arrival: Option<Duration>,
}

impl Intake<'_> {
    /// A datagram. Its last lines stay at hand.
    #[inline]
    fn datagram<'a>(&mut self, payload: &'a [u8], is_cut: bool, sender: Sender, at_hand: &mut LinesAtHand<'a>) {
        if self.origin.is_some() {
            return self.packet(payload, is_cut, sender);
        }
        let arrival = self.see(payload, is_cut, sender);
        self.aggregator.take(payload, is_cut, arrival, at_hand);
    }

    /// There are no more datagrams.
    fn finish(&mut self, at_hand: &mut LinesAtHand<'_>) {
        if let Some(arrival) = self.arrival {
            self.aggregator.add_up(at_hand, arrival);
        }
    }

    /// What a stream brings.
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Packet { payload, is_cut, sender } => self.packet(payload, is_cut, sender),
            Piece::Bad { beginning, reason } => self.aggregator.reject(beginning, reason),
        }
    }

    /// Lines that do not outlive the call, or are written anew with their origin.
    fn packet(&mut self, payload: &[u8], is_cut: bool, sender: Sender) {
        let arrival = self.see(payload, is_cut, sender);
        let Some(origin) = &mut self.origin else { return self.aggregator.datagram(payload, is_cut, arrival) };
        let written = origin.write(payload, sender, arrival);
        self.aggregator.datagram(written, is_cut, arrival);
        self.aggregator.correct_bytes(written.len(), payload.len());
    }

    #[inline]
    fn see(&mut self, payload: &[u8], is_cut: bool, sender: Sender) -> Duration {
        let arrival = *self.arrival.get_or_insert_with(|| self.clock.monotonic());
        self.sources.see(sender.address, payload, arrival);
        if let Some(forwarder) = self.forwarder {
            forwarder.send(payload, is_cut);
        }
        arrival
    }
}

struct Reader {
    input: Input,
    aggregator: Aggregator,
    sources: Sources,
    /// Writes tags of their origin into lines, where some are wanted.
    origin: Option<OriginWriter>,
    swaps: mpsc::Receiver<Swap>,
    context: ReaderContext,
    own: OwnCounters,
    /// What the kernel's counter showed last.
    kernel_drops: u32,
    /// Connections that are open, and those that were refused, as published last.
    connections: (u64, u64),
    /// Bad lines since the last one was logged.
    unshown_rejects: u64,
    reject_log: RateLimit,
    error_log: RateLimit,
}

impl Reader {
    fn run(mut self) {
        loop {
            match self.swaps.try_recv() {
                Ok(swap) if swap.is_last => return self.finish(swap),
                Ok(swap) => self.hand_over(swap),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            // While there are series to evict it does not sleep.
            let wait = !self.aggregator.has_expired();
            self.read(wait);
            self.aggregator.evict_some();
        }
    }

    /// Reads a batch of datagrams and publishes what it brought. Returns how many there were.
    fn read(&mut self, wait: bool) -> usize {
        let mut intake = Intake {
            aggregator: &mut self.aggregator,
            sources: &mut self.sources,
            clock: &self.context.clock,
            forwarder: self.context.forwarder.as_deref(),
            origin: self.origin.as_mut(),
            arrival: None,
        };
        let received = match &mut self.input {
            Input::Datagrams(listener) => {
                let mut at_hand = LinesAtHand::default();
                let received = listener.receive(wait, |payload, is_cut, sender| {
                    intake.datagram(payload, is_cut, sender, &mut at_hand);
                });
                intake.finish(&mut at_hand);
                received
            }
            Input::Streams(streams) => streams.receive(wait, &mut |piece| intake.piece(piece)),
        };
        if let Some(failure) = self.input.failure() {
            self.warn_that_nobody_is_accepted(failure);
        }
        match received {
            Ok(0) => 0,
            Ok(count) => {
                self.publish();
                count
            }
            Err(error) => {
                if self.error_log.allow(&self.context.clock).is_some() {
                    tracing::error!(receiver = self.context.id, %error, "cannot read from the socket; trying again");
                }
                thread::sleep(PAUSE_AFTER_ERROR);
                0
            }
        }
    }

    fn publish(&mut self) {
        let tally = self.aggregator.take_tally();
        let counters = self.context.telemetry.signal(Signal::Metrics);
        counters.received.add(tally.received);
        counters.held.add(tally.held);
        self.own.packets.add(tally.packets);
        self.own.bytes.add(tally.bytes);
        // Rare ones cost nothing while they are zero.
        if tally.events > 0 {
            let logs = self.context.telemetry.signal(Signal::Logs);
            logs.received.add(tally.events);
            logs.held.add(tally.events);
            self.own.events_in_characters.add(tally.events_in_characters);
        }
        if tally.sketched > 0 {
            self.own.sketched.add(tally.sketched);
        }
        if tally.truncated > 0 {
            self.own.truncated.add(tally.truncated);
        }
        if tally.not_finite > 0 {
            self.own.not_finite.add(tally.not_finite);
        }
        if tally.received > tally.held {
            self.publish_rejects();
        }
        if self.sources.has_news() {
            self.announce();
        }
        if self.input.connections() != self.connections {
            self.publish_connections(self.input.connections());
        }
    }

    #[cold]
    fn publish_connections(&mut self, (open, refused): (u64, u64)) {
        let (open_before, refused_before) = std::mem::replace(&mut self.connections, (open, refused));
        self.own.connections.add(open);
        self.own.connections.subtract(open_before);
        self.own.refused_connections.add(refused - refused_before);
        if refused > refused_before && self.error_log.allow(&self.context.clock).is_some() {
            tracing::warn!(
                receiver = self.context.id,
                "refused a connection: {open} are open, {refused} were refused so far; raise max_connections where clients \
                 need more"
            );
        }
    }

    #[cold]
    fn warn_that_nobody_is_accepted(&self, error: &io::Error) {
        if self.error_log.allow(&self.context.clock).is_some() {
            let (open, _) = self.input.connections();
            tracing::warn!(
                receiver = self.context.id,
                %error,
                "cannot accept a connection, and tries again; {open} are open, and read{}",
                way_out_of(error)
            );
        }
    }

    /// Tells of sources that have sent their first datagram.
    #[cold]
    fn announce(&mut self) {
        let receiver = &self.context.id;
        for FirstPacket { source, name, others } in self.sources.take_news() {
            match others {
                0 => tracing::info!(receiver, "first packet from {source}: {name}"),
                _ => tracing::info!(receiver, "first packet from {source}: {name} (and from {others} others before)"),
            }
        }
        if self.sources.is_full() {
            if !self.context.origin.wants_addresses() {
                self.input.stop_asking_for_sources();
            }
            tracing::info!(
                receiver,
                "{} sources have sent packets; further ones are not announced",
                self.sources.known()
            );
        }
    }

    #[cold]
    fn publish_rejects(&mut self) {
        let counters = self.context.telemetry.signal(Signal::Metrics);
        for (reason, count) in self.aggregator.rejects.drain_counts() {
            counters.dropped(reason, count);
            self.unshown_rejects += if reason == reason::FILTERED { 0 } else { count };
        }
        let Some(example) = self.aggregator.rejects.take_example() else { return };
        if self.reject_log.allow(&self.context.clock).is_some() {
            let others = std::mem::take(&mut self.unshown_rejects).saturating_sub(1);
            let (receiver, reason) = (&self.context.id, example.reason);
            match others {
                0 => tracing::warn!(receiver, reason, line = %example, "dropped a line"),
                _ => tracing::warn!(
                    receiver,
                    reason,
                    line = %example,
                    "dropped a line, and {others} others since the last such message"
                ),
            }
        }
    }

    fn hand_over(&mut self, swap: Swap) {
        let handover = self.end_window(swap.empty, swap.expired);
        // Nobody waits for the reply any more when the receiver is being torn down.
        let _ = swap.reply.send(handover);
    }

    /// The last window: with everything that the kernel holds, and with the socket closed when it is handed over.
    fn finish(mut self, swap: Swap) {
        for _ in 0..self.input.final_reads() {
            if self.read(false) == 0 {
                break;
            }
        }
        let Reader { input, aggregator, own, kernel_drops, .. } = &mut self;
        own.note_kernel_drops(input, kernel_drops);
        input.close(|piece| {
            if let Piece::Bad { beginning, reason } = piece {
                aggregator.reject(beginning, reason);
            }
        });
        self.publish();
        let handover = self.aggregator.swap(swap.empty, swap.expired);
        drop(self.input);
        let _ = swap.reply.send(handover);
    }

    fn end_window(&mut self, empty: Slab, expired: Vec<u32>) -> Handover {
        self.own.note_kernel_drops(&self.input, &mut self.kernel_drops);
        // What is handed over is soon subtracted from what is held.
        self.publish();
        self.aggregator.swap(empty, expired)
    }
}

/// What to do about a connection that cannot be accepted.
fn way_out_of(error: &io::Error) -> &'static str {
    // The numbers are the same on all systems that this runs on.
    match error.raw_os_error() {
        Some(24) => {
            "; this process may open no more files (RLIMIT_NOFILE): raise the limit with `ulimit -n`, `--ulimit nofile=…` of \
             docker, or `LimitNOFILE=` of the systemd unit"
        }
        Some(23) => "; the system may open no more files: raise `sysctl fs.file-max`",
        _ => "",
    }
}
