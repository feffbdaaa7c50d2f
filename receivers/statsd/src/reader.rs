//! A thread that owns a socket, reads it, and adds up what comes.
//!
//! It shares nothing with other threads while it works: no lock, no channel and, for series that it knows, no allocation.
//! Once a batch of datagrams it looks whether somebody asks for its values ([`Swap`]) and publishes its counts.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use hornpipe_engine::telemetry::{ComponentTelemetry, Counter};
use hornpipe_engine::{Clock, RateLimit};
use hornpipe_model::Signal;
use tokio::sync::oneshot;

use crate::aggregate::{Aggregator, Handover};
use crate::contexts::ContextLimit;
use crate::listen::{Listener, Waker, kernel_drops};
use crate::slab::Slab;
use crate::sources::{FirstPacket, Sources};

/// How often one reader may log about bad lines, and about a failing socket.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How many times a reader that stops goes to its socket for what the kernel still holds. Enough for any receive buffer,
/// and an end where clients never pause.
const FINAL_READS: usize = 100_000;
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
    /// The longest datagram that is read whole.
    pub(crate) largest_datagram: usize,
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
    pub(crate) address: SocketAddr,
    swaps: Option<mpsc::Sender<Swap>>,
    waker: Waker,
    /// An empty slab for the next swap.
    empty: Slab,
}

impl ReaderHandle {
    /// Starts a thread that reads `socket`.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(crate) fn start(socket: UdpSocket, context: ReaderContext) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let waker = Waker::new()?;
        let (sender, swaps) = mpsc::channel();
        let own = OwnCounters::new(&context.telemetry);
        let kernel_drops = kernel_drops(&socket).unwrap_or(0);
        let mut listener = Listener::new(socket, context.largest_datagram, waker.clone())?;
        listener.ask_for_sources(true);
        let reader = Reader {
            kernel_drops,
            listener,
            aggregator: Aggregator::new(Arc::clone(&context.limit)),
            sources: Sources::default(),
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

/// The receiver's own numbers that its readers count.
struct OwnCounters {
    packets: Arc<Counter>,
    bytes: Arc<Counter>,
    truncated: Arc<Counter>,
    kernel_drops: Arc<Counter>,
    not_finite: Arc<Counter>,
}

impl OwnCounters {
    fn new(telemetry: &ComponentTelemetry) -> Self {
        OwnCounters {
            packets: packets(telemetry),
            bytes: telemetry.counter("hornpipe_statsd_bytes", "By", "Bytes read"),
            truncated: telemetry.counter(
                "hornpipe_statsd_truncated_packets",
                "{packet}",
                "Datagrams longer than max_datagram_bytes, whose end was lost",
            ),
            kernel_drops: telemetry.counter(
                "hornpipe_statsd_kernel_drops",
                "{packet}",
                "Datagrams that the kernel dropped because its receive buffer was full",
            ),
            not_finite: telemetry.counter(
                "hornpipe_statsd_values_not_finite",
                "{value}",
                "Values left out of good lines because they are NaN or infinite",
            ),
        }
    }
}

/// The counter of datagrams.
pub(crate) fn packets(telemetry: &ComponentTelemetry) -> Arc<Counter> {
    telemetry.counter("hornpipe_statsd_packets", "{packet}", "Datagrams read")
}

struct Reader {
    listener: Listener,
    aggregator: Aggregator,
    sources: Sources,
    swaps: mpsc::Receiver<Swap>,
    context: ReaderContext,
    own: OwnCounters,
    /// What the kernel's counter showed last.
    kernel_drops: u32,
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
        let (aggregator, sources, clock) = (&mut self.aggregator, &mut self.sources, &self.context.clock);
        // One look at the clock a batch; it is made after the waiting.
        let mut arrival = None;
        let received = self.listener.receive(wait, |payload, truncated, source| {
            let arrival = *arrival.get_or_insert_with(|| clock.monotonic());
            sources.see(source, payload, arrival);
            aggregator.datagram(payload, truncated, arrival);
        });
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
            self.listener.ask_for_sources(false);
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
            self.unshown_rejects += count;
        }
        let Some(example) = self.aggregator.rejects.take_example() else { return };
        if self.reject_log.allow(&self.context.clock).is_some() {
            let others = std::mem::take(&mut self.unshown_rejects).saturating_sub(1);
            let reason = example.reason;
            tracing::warn!(receiver = self.context.id, reason, line = %example, "dropped a line, and {others} others since the last such message");
        }
    }

    fn hand_over(&mut self, swap: Swap) {
        let handover = self.end_window(swap.empty, swap.expired);
        // Nobody waits for the reply any more when the receiver is being torn down.
        let _ = swap.reply.send(handover);
    }

    /// The last window: with everything that the kernel holds, and with the socket closed when it is handed over.
    fn finish(mut self, swap: Swap) {
        for _ in 0..FINAL_READS {
            if self.read(false) == 0 {
                break;
            }
        }
        let handover = self.end_window(swap.empty, swap.expired);
        drop(self.listener);
        let _ = swap.reply.send(handover);
    }

    fn end_window(&mut self, empty: Slab, expired: Vec<u32>) -> Handover {
        if let Some(drops) = self.listener.kernel_drops() {
            self.own.kernel_drops.add(u64::from(drops.wrapping_sub(self.kernel_drops)));
            self.kernel_drops = drops;
        }
        self.aggregator.swap(empty, expired)
    }
}
