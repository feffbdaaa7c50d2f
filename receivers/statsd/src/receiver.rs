//! The receiver: starts a reader for each address, and at the end of each window sends what they took.

use std::sync::Arc;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, Outputs, Receiver};
use hornpipe_engine::config::Report;
use hornpipe_engine::telemetry::Counter;
use hornpipe_engine::{Batch, Clock, Shutdown};
use hornpipe_model::{LogBatch, MetricBatch, Scope, Signal, Window};

use crate::StatsdConfig;
use crate::budget::ValueBudget;
use crate::contexts::ContextLimit;
use crate::flush::{Merger, Now};
use crate::forward::{self, Forwarder};
use crate::growth::Growth;
use crate::guide::Silence;
use crate::hold::GaugeHold;
use crate::kernel_drops;
use crate::listen::{Limits, Socket};
use crate::naming::Naming;
use crate::origin::OriginTags;
use crate::overflow::Overflow;
use crate::own_counters::packets;
use crate::reader::{ReaderContext, ReaderHandle};
use crate::reason;
use crate::start::{Started, start_readers};
use crate::window::Windows;

/// Takes StatsD and DogStatsD lines, adds them up in windows, and sends a point for each series and window.
pub struct StatsdReceiver {
    config: StatsdConfig,
    context: BuildContext,
    sockets: Vec<Socket>,
    forwarder: Option<Forwarder>,
}

impl StatsdReceiver {
    /// A receiver that will read `sockets`, one thread for each, and send copies with `forwarder`.
    pub(crate) fn new(
        config: StatsdConfig,
        context: BuildContext,
        sockets: Vec<Socket>,
        forwarder: Option<Forwarder>,
    ) -> Self {
        StatsdReceiver { config, context, sockets, forwarder }
    }

    fn start(self, outputs: Outputs) -> Result<Running, String> {
        let StatsdReceiver { config, context, sockets, forwarder } = self;
        // What is wrong was said when the settings were validated.
        let mut ignored = Report::new();
        let limit = Arc::new(ContextLimit::new(config.max_contexts));
        let forward_failures = forwarder.as_ref().map(|forwarder| Growth::since_now(forwarder.failures()));
        let forward_failures = forward_failures.map(|growth| (growth, config.forward_to.clone()));
        let reader_context = ReaderContext {
            id: context.id.clone(),
            clock: context.clock.clone(),
            telemetry: Arc::clone(&context.telemetry),
            limit: Arc::clone(&limit),
            dialect: config.dialect,
            naming: Naming::compile(&config, &mut ignored),
            origin: OriginTags::of(&config),
            forwarder: forwarder.map(Arc::new),
            budget: ValueBudget::of_each(config.max_sample_bytes.as_usize(), sockets.len()),
            limits: Limits { largest: config.max_datagram_bytes.as_usize(), connections: config.max_connections },
        };
        let Started { readers, listening } = start_readers(sockets, &config, &context, &reader_context)?;
        let interval = config.aggregation_interval.get();
        let contexts =
            context.telemetry.gauge("hornpipe_statsd_contexts", "{context}", "Series known at the last flush");
        let estimated_sets = context.telemetry.counter(
            "hornpipe_statsd_estimated_sets",
            "{set}",
            "Sets whose members were estimated in their window because they were too many",
        );
        let packets = packets(&context.telemetry);
        let kernel_drops = Growth::since_now(kernel_drops::counter(&context.telemetry));
        let scope = Scope {
            name: "hornpipe/statsd".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Scope::default()
        };
        Ok(Running {
            merger: Merger::new(readers.len(), interval, config.counter_expiry.get(), config.dialect)
                .holding(GaugeHold::compile(&config.gauge_hold, &mut ignored)),
            windows: Windows::open(context.clock.unix(), context.clock.monotonic(), interval),
            silence: Silence::since(context.clock.monotonic(), &listening),
            packets,
            readers,
            context,
            outputs,
            has_warned_of_events: false,
            scope: Arc::new(scope),
            limit,
            contexts,
            estimated_sets,
            overflow: Overflow::new(),
            kernel_drops,
            forward_failures,
        })
    }
}

#[async_trait]
impl Receiver for StatsdReceiver {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let mut running = self.start(outputs)?;
        let outcome = loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break Ok(()),
                () = window_end(&running.windows, &running.context.clock) => {}
            }
            let failure = running.flush().await;
            if failure.is_err() {
                break failure;
            }
        };
        outcome.and(running.finish().await)
    }
}

struct Running {
    readers: Vec<ReaderHandle>,
    merger: Merger,
    windows: Windows,
    silence: Silence,
    packets: Arc<Counter>,
    context: BuildContext,
    outputs: Outputs,
    /// True once it was said that no pipeline takes events.
    has_warned_of_events: bool,
    scope: Arc<Scope>,
    limit: Arc<ContextLimit>,
    contexts: Arc<Counter>,
    estimated_sets: Arc<Counter>,
    overflow: Overflow,
    kernel_drops: Growth,
    /// Of packets that could not be copied, with where to.
    forward_failures: Option<(Growth, String)>,
}

/// Waits until the open window may be closed.
async fn window_end(windows: &Windows, clock: &Clock) {
    while let Some(left) = windows.time_left(clock.unix(), clock.monotonic()) {
        clock.sleep(left).await;
    }
}

impl Running {
    /// Closes the open window and sends it. While an output blocks, readers go on, and the next window grows longer.
    async fn flush(&mut self) -> Result<(), String> {
        let now = self.now();
        let window = self.windows.close(now.unix, now.monotonic);
        let (lines, outcome) = self.collect(false).await;
        self.send(window, now, lines).await;
        if let Some(hint) = self.silence.hint(now.monotonic, self.packets.get()) {
            tracing::info!(receiver = self.context.id, "{hint}");
        }
        if let Some(dropped) = self.kernel_drops.news(&self.context.clock) {
            tracing::warn!(receiver = self.context.id, "{}", kernel_drops::news(dropped));
        }
        if let Some((growth, target)) = &mut self.forward_failures
            && let Some(failures) = growth.news(&self.context.clock)
        {
            tracing::warn!(receiver = self.context.id, "{}", forward::news(failures, target));
        }
        outcome
    }

    /// Sends the last window, with all that the kernel still holds for us.
    async fn finish(mut self) -> Result<(), String> {
        let clock = self.context.clock.clone();
        if let Some(left) = self.windows.wait_before_finish(clock.unix()) {
            clock.sleep(left).await;
        }
        let (lines, outcome) = self.collect(true).await;
        let now = self.now();
        let window = self.windows.clone().finish(now.unix);
        self.send(window, now, lines).await;
        outcome
    }

    /// Takes every reader's values. Returns the lines that they stand for, and an error if a reader is gone.
    async fn collect(&mut self, is_last: bool) -> (u64, Result<(), String>) {
        let mut lines = 0;
        let mut outcome = Ok(());
        // All are asked before the first reply is waited for, so that their windows end at the same time.
        let expired: Vec<_> = (0..self.readers.len()).map(|reader| self.merger.expired(reader)).collect();
        let replies: Vec<_> =
            self.readers.iter_mut().zip(expired).map(|(reader, expired)| reader.request(expired, is_last)).collect();
        for (index, (reader, reply)) in self.readers.iter_mut().zip(replies).enumerate() {
            match reply.await {
                Ok(handover) => {
                    lines += handover.slab.lines;
                    reader.recycle(self.merger.merge(index, handover));
                }
                Err(_) => outcome = Err(format!("the thread that reads {} failed (panic)", reader.address)),
            }
        }
        (lines, outcome)
    }

    async fn send(&mut self, window: Window, now: Now, lines: u64) {
        self.send_events(now).await;
        let points = self.merger.finish(window, now);
        self.contexts.set(self.limit.known() as u64);
        self.estimated_sets.add(self.merger.take_estimated_sets());
        self.overflow.look(&self.merger, &self.limit, &self.context);
        let counters = self.context.telemetry.signal(Signal::Metrics);
        let Some(output) = &self.outputs.metrics else {
            counters.held.subtract(lines);
            counters.dropped(reason::NO_METRICS_PIPELINE, lines);
            return;
        };
        if !points.is_empty() {
            let (resource, scope) = (Arc::clone(&self.context.resource), Arc::clone(&self.scope));
            output.send(Batch::new(MetricBatch { resource, scope, points })).await;
        }
        counters.held.subtract(lines);
        counters.passed.add(lines);
    }

    async fn send_events(&mut self, now: Now) {
        let records = self.merger.take_events(now);
        if records.is_empty() {
            return;
        }
        let events = records.len() as u64;
        let counters = self.context.telemetry.signal(Signal::Logs);
        if let Some(output) = &self.outputs.logs {
            let (resource, scope) = (Arc::clone(&self.context.resource), Arc::clone(&self.scope));
            output.send(Batch::new(LogBatch { resource, scope, records })).await;
            counters.passed.add(events);
        } else {
            counters.dropped(reason::NO_LOGS_PIPELINE, events);
            if !std::mem::replace(&mut self.has_warned_of_events, true) {
                tracing::warn!(
                    receiver = self.context.id,
                    "events are dropped: no logs pipeline takes them; add this receiver to one, such as `logs/events`"
                );
            }
        }
        counters.held.subtract(events);
    }

    fn now(&self) -> Now {
        Now { unix: self.context.clock.unix(), monotonic: self.context.clock.monotonic() }
    }
}
