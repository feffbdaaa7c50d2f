//! Graphs of scripted components.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::{
    Body, Context, Data, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin, Scope, Tags, Window,
};

use super::*;
use crate::component::{
    BuildContext, BuildError, Emitter, Encoded, Exporter, ExporterConfig, Processor, ProcessorConfig, Receiver,
    ReceiverConfig, Request, SendOutcome,
};
use crate::config::{Planned, ServiceConfig, Source as Text, parse};
use crate::delivery::{BatchConfig, DeliveryConfig, OnFull, QueueConfig, RetryConfig};
use crate::telemetry::{FinalCounters, Status};
use crate::testing::{FakeClock, PATIENCE, eventually};
use crate::{Ack, AckOutcome, Batch, Outcome, Shutdown, lock};

type Shared<T> = Arc<Mutex<T>>;

fn metrics(name: &str) -> Data {
    let now = FakeClock::START;
    let point = MetricPoint {
        context: Arc::new(Context::new(name, Tags::default())),
        window: Window { start: now, end: now, interval: None },
        origin: Origin::Own,
        value: MetricValue::Gauge(1.0),
    };
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
    MetricBatch { resource, scope, points: vec![point] }.into()
}

fn logs(text: &str) -> Data {
    let log = Log::new(Body::Text(text.into()), FakeClock::START, Arc::new(LogSource::default()));
    LogBatch { resource: Arc::new(Resource::default()), scope: Arc::new(Scope::default()), records: vec![log] }.into()
}

fn names(data: &Data) -> Vec<String> {
    match data {
        Data::Metrics(batch) => batch.points.iter().map(|point| point.context.name().to_owned()).collect(),
        Data::Logs(batch) => batch.records.iter().map(|log| format!("{:?}", log.body)).collect(),
    }
}

/// Sends `batches`, each after the outcome of the one before, then one more at shutdown. Panics while `panics` is left.
#[derive(Clone, Default)]
struct Source {
    batches: Vec<Data>,
    last: Option<Data>,
    /// Takes its time at shutdown.
    lingers: bool,
    outcomes: Shared<Vec<Outcome>>,
    panics: Arc<AtomicUsize>,
}

struct RunningSource(Source, BuildContext);

impl ReceiverConfig for Source {
    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Ok(Box::new(RunningSource(self.clone(), context)))
    }
}

impl RunningSource {
    async fn send(&self, outputs: &Outputs, data: &Data) -> AckOutcome {
        let counters = self.1.telemetry.signal(data.signal());
        counters.received.add(1);
        counters.held.add(1);
        let (ack, outcome) = Ack::new();
        if let Some(output) = outputs.signal(data.signal()) {
            output.send(Batch::with_ack(data.clone(), Some(ack))).await;
        }
        counters.held.subtract(1);
        counters.passed.add(1);
        outcome
    }
}

#[async_trait]
impl Receiver for RunningSource {
    async fn run(self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        if self.0.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            panic!("scripted");
        }
        let mut open = Vec::new();
        for data in &self.0.batches {
            let mut outcome = self.send(&outputs, data).await;
            tokio::select! {
                settled = &mut outcome => lock(&self.0.outcomes).push(settled.unwrap()),
                () = shutdown.requested() => open.push(outcome),
            }
        }
        shutdown.requested().await;
        if self.0.lingers {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        if let Some(last) = &self.0.last {
            open.push(self.send(&outputs, last).await);
        }
        for outcome in open {
            let settled = outcome.await.unwrap();
            lock(&self.0.outcomes).push(settled);
        }
        Ok(())
    }
}

/// Holds everything until it is flushed; panics on a batch named `poison`.
#[derive(Clone, Default)]
struct Holding;

#[derive(Default)]
struct HoldingProcessor(Vec<Batch>);

impl ProcessorConfig for Holding {
    fn build(&self, _signal: Signal, _context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        Ok(Box::new(HoldingProcessor::default()))
    }
}

impl Processor for HoldingProcessor {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        assert!(!names(batch.data()).contains(&"poison".to_owned()), "scripted");
        out.counters().held.add(batch.items() as u64);
        self.0.push(batch);
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(5))
    }

    fn tick(&mut self, _now: hornpipe_model::Timestamp, out: &mut Emitter<'_>) {
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Emitter<'_>) {
        for batch in self.0.drain(..) {
            out.counters().held.subtract(batch.items() as u64);
            out.emit(batch);
        }
    }
}

/// Records what is sent, after the scripted answers.
#[derive(Clone, Default)]
struct Sink {
    sent: Shared<Vec<(Duration, String)>>,
    script: Shared<VecDeque<SendOutcome>>,
    hangs: bool,
    fails_to_build: bool,
    queue: Option<QueueConfig>,
}

struct RunningSink(Sink, BuildContext);

impl Sink {
    fn names(&self) -> Vec<String> {
        lock(&self.sent).iter().map(|(_, name)| name.clone()).collect()
    }
}

impl ExporterConfig for Sink {
    fn delivery(&self) -> DeliveryConfig {
        DeliveryConfig {
            sending_queue: self.queue.clone().unwrap_or_else(|| QueueConfig {
                // The clock stands still, so nothing may wait for more.
                batch: Some(BatchConfig { min_size: 0, ..BatchConfig::default() }),
                ..QueueConfig::default()
            }),
            retry_on_failure: RetryConfig::default(),
            timeout: crate::config::Duration::from_secs(0),
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        if self.fails_to_build {
            return Err(BuildError::new("endpoint", "scripted"));
        }
        Ok(Box::new(RunningSink(self.clone(), context)))
    }
}

#[async_trait]
impl Exporter for RunningSink {
    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let body = Bytes::from(names(data).join(","));
        let request = Request { route: "/", signal: data.signal(), body, items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        let answer = lock(&self.0.script).pop_front();
        let outcome = answer.unwrap_or_else(SendOutcome::delivered);
        if matches!(outcome, SendOutcome::Delivered { .. }) {
            let name = String::from_utf8_lossy(&request.body).into_owned();
            lock(&self.0.sent).push((self.1.clock.monotonic(), name));
        }
        outcome
    }
}

/// An environment of its own at the time of a clock.
pub(super) fn environment(time: &FakeClock) -> Environment {
    Environment::new(time.clock(), Arc::new(Resource::default()), ProcessFacts::default())
}

/// A plan that names no component.
pub(super) fn empty_plan() -> Plan {
    Plan {
        receivers: Vec::new(),
        processors: Vec::new(),
        exporters: Vec::new(),
        extensions: Vec::new(),
        pipelines: Vec::new(),
        service: ServiceConfig::default(),
        queue_memory: crate::config::ByteSize::mib(32),
        root: settings("receivers:"),
    }
}

pub(super) fn settings(text: &str) -> Node {
    parse(&Text::new("test.yaml", text, 0), &mut Diagnostics::new()).unwrap()
}

struct Setup {
    /// The settings of the components that are added next.
    settings: Node,
    plan: Plan,
    environment: Environment,
    time: FakeClock,
}

impl Setup {
    fn new() -> Self {
        let time = FakeClock::new();
        let environment = environment(&time);
        Setup { settings: settings("first"), plan: empty_plan(), environment, time }
    }

    /// The components added from here on have other settings than those before.
    fn with_settings(mut self, text: &str) -> Self {
        self.settings = settings(text);
        self
    }

    fn receiver(mut self, id: &str, config: &Source) -> Self {
        self.plan.receivers.push(Planned {
            id: id.to_owned(),
            config: Box::new(config.clone()),
            settings: self.settings.clone(),
        });
        self
    }

    fn exporter(mut self, id: &str, config: &Sink) -> Self {
        self.plan.exporters.push(Planned {
            id: id.to_owned(),
            config: Box::new(config.clone()),
            settings: self.settings.clone(),
        });
        self
    }

    fn pipeline(mut self, id: &str, receivers: &[&str], processors: &[&str], exporters: &[&str]) -> Self {
        let own = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        for &id in processors {
            self.plan.processors.push(Planned {
                id: id.to_owned(),
                config: Box::new(Holding),
                settings: self.settings.clone(),
            });
        }
        let signal = if id.starts_with("metrics") { Signal::Metrics } else { Signal::Logs };
        let (receivers, processors, exporters) = (own(receivers), own(processors), own(exporters));
        self.plan.pipelines.push(PipelinePlan { id: id.to_owned(), signal, receivers, processors, exporters });
        self
    }

    fn start(self) -> Running {
        let Setup { plan, environment, time, .. } = self;
        let graph = Graph::build(plan, &environment).unwrap_or_else(|failures| panic!("{failures}")).start();
        Running { graph, telemetry: environment.telemetry, time }
    }
}

struct Running {
    graph: RunningGraph,
    telemetry: Telemetry,
    time: FakeClock,
}

impl Running {
    async fn until(&self, what: &str, done: impl Fn() -> bool) {
        eventually(what, done).await;
    }

    /// Shuts down with the clock running, and checks conservation.
    async fn stop(self) -> FinalCounters {
        let stopping = tokio::spawn(self.graph.shutdown(Duration::from_secs(8)));
        let deadline = Instant::now() + PATIENCE;
        while !stopping.is_finished() {
            assert!(Instant::now() < deadline, "the graph does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.time.advance(Duration::from_millis(500)).await;
        }
        stopping.await.unwrap();
        let counters = FinalCounters::of(&self.telemetry);
        assert_eq!(counters.conservation_violations(), Vec::<String>::new());
        assert!(counters.components.iter().all(|component| component.held == 0), "{counters:?}");
        counters
    }
}

#[tokio::test]
async fn a_receiver_feeds_pipelines_of_both_signals_and_an_exporter_ends_several() {
    let source = Source { batches: vec![metrics("m"), logs("l")], ..Source::default() };
    let (shared, own) = (Sink::default(), Sink::default());
    let running = Setup::new()
        .receiver("source", &source)
        .exporter("shared", &shared)
        .exporter("own", &own)
        .pipeline("metrics", &["source"], &[], &["shared"])
        .pipeline("metrics/again", &["source"], &[], &["shared", "own"])
        .pipeline("logs", &["source"], &[], &["shared"])
        .start();
    running.until("three deliveries", || shared.names().len() == 3 && own.names().len() == 1).await;
    running.stop().await;
    assert_eq!(*lock(&source.outcomes), [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(own.names(), ["m"]);
}

#[tokio::test]
async fn the_ack_waits_for_every_exporter_of_every_pipeline_and_tells_the_worst() {
    let source = Source { batches: vec![metrics("m"), metrics("n")], ..Source::default() };
    let refusal = SendOutcome::Permanent { reason: reason::REFUSED, error: "no".to_owned() };
    let refusing = Sink { script: Arc::new(Mutex::new([refusal].into())), ..Sink::default() };
    let (quick, other) = (Sink::default(), Sink::default());
    let running = Setup::new()
        .receiver("source", &source)
        .exporter("quick", &quick)
        .exporter("refusing", &refusing)
        .exporter("other", &other)
        .pipeline("metrics", &["source"], &[], &["quick", "refusing"])
        .pipeline("metrics/other", &["source"], &[], &["other"])
        .start();
    running.until("both outcomes", || lock(&source.outcomes).len() == 2).await;
    assert_eq!(*lock(&source.outcomes), [Outcome::Dropped(reason::REFUSED), Outcome::Delivered]);
    running.stop().await;
}

#[tokio::test]
async fn a_hanging_exporter_changes_nothing_for_its_sibling() {
    let mut times = Vec::new();
    for hangs in [false, true] {
        let source = Source { batches: vec![metrics("a")], last: Some(metrics("b")), ..Source::default() };
        let (sound, faulty) = (Sink::default(), Sink { hangs, ..Sink::default() });
        let running = Setup::new()
            .receiver("source", &source)
            .exporter("faulty", &faulty)
            .exporter("sound", &sound)
            .pipeline("metrics", &["source"], &[], &["faulty", "sound"])
            .start();
        running.until("the first delivery", || !sound.names().is_empty()).await;
        times.push(lock(&sound.sent).clone());
        let counters = running.stop().await;
        let dropped: u64 = counters.components.iter().flat_map(|component| component.dropped.values()).sum();
        assert_eq!(dropped, if hangs { 2 } else { 0 }, "{counters:?}");
    }
    assert_eq!(times[0], times[1]);
}

#[tokio::test]
async fn shutdown_flushes_receivers_then_processors_then_queues() {
    let source = Source { last: Some(metrics("flushed")), ..Source::default() };
    let sink = Sink::default();
    let running = Setup::new()
        .receiver("source", &source)
        .exporter("sink", &sink)
        .pipeline("metrics", &["source"], &["holding"], &["sink"])
        .start();
    // The source waits for its ack, which the holding processor keeps until it is flushed: after half of the time the
    // flush goes on without the receiver.
    running.stop().await;
    assert_eq!(sink.names(), ["flushed"]);
}

#[tokio::test]
async fn ticks_reach_processors_that_hold_data() {
    let source = Source { batches: vec![metrics("held")], ..Source::default() };
    let sink = Sink::default();
    let running = Setup::new()
        .receiver("source", &source)
        .exporter("sink", &sink)
        .pipeline("metrics", &["source"], &["holding"], &["sink"])
        .start();
    running
        .until("the batch to be held", || {
            FinalCounters::of(&running.telemetry)
                .components
                .iter()
                .any(|component| component.held == 1 && component.id == "holding")
        })
        .await;
    running.time.advance(Duration::from_secs(5)).await;
    running.until("the tick", || sink.names() == ["held"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_panicking_processor_loses_its_batch_counted_and_the_ack_says_so() {
    let source = Source { batches: vec![metrics("poison"), metrics("sound")], ..Source::default() };
    let (sink, other) = (Sink::default(), Sink::default());
    let running = Setup::new()
        .receiver("source", &source)
        .exporter("sink", &sink)
        .exporter("other", &other)
        .pipeline("metrics", &["source"], &["holding"], &["sink"])
        .pipeline("metrics/other", &["source"], &[], &["other"])
        .start();
    running.until("the second batch", || other.names().len() == 2).await;
    assert_eq!(*lock(&source.outcomes), [Outcome::Lost]);
    running.time.advance(Duration::from_secs(5)).await;
    running.until("the batch after the panic", || sink.names() == ["sound"]).await;
    let counters = running.stop().await;
    let holding = counters.components.iter().find(|component| component.id == "holding").unwrap();
    assert_eq!(holding.dropped[reason::PANIC], 1);
}

#[tokio::test]
async fn a_receiver_that_panics_is_started_again_and_its_siblings_run_on() {
    let failing = Source { batches: vec![metrics("late")], panics: Arc::new(AtomicUsize::new(1)), ..Source::default() };
    let sibling = Source { batches: vec![metrics("sibling")], ..Source::default() };
    let sink = Sink::default();
    let running = Setup::new()
        .receiver("failing", &failing)
        .receiver("sibling", &sibling)
        .exporter("sink", &sink)
        .pipeline("metrics", &["failing", "sibling"], &[], &["sink"])
        .start();
    running.until("the sibling", || sink.names() == ["sibling"]).await;
    let status = |telemetry: &Telemetry| {
        telemetry.components().into_iter().find(|component| component.identity().id == "failing").unwrap().status()
    };
    running.until("the error", || matches!(status(&running.telemetry), Status::Error(_))).await;
    running.time.advance(Duration::from_secs(1)).await;
    running.until("the restart", || sink.names() == ["sibling", "late"]).await;
    assert_eq!(status(&running.telemetry), Status::Ok);
    running.stop().await;
}

#[tokio::test]
async fn a_full_queue_set_to_block_holds_its_pipeline_and_lets_it_in_at_shutdown() {
    let queue = QueueConfig {
        max_bytes: Some(crate::config::ByteSize::bytes(1)),
        on_full: OnFull::Block,
        ..QueueConfig::default()
    };
    let blocking = Sink { hangs: true, queue: Some(queue), ..Sink::default() };
    let sources: Vec<Source> =
        ["a", "b"].map(|name| Source { batches: vec![metrics(name)], ..Source::default() }).to_vec();
    let running = Setup::new()
        .receiver("a", &sources[0])
        .receiver("b", &sources[1])
        .exporter("blocking", &blocking)
        .pipeline("metrics", &["a", "b"], &[], &["blocking"])
        .start();
    let counters = running.stop().await;
    let blocking = counters.components.iter().find(|component| component.id == "blocking").unwrap();
    assert_eq!((blocking.received, blocking.dropped[reason::SHUTDOWN]), (2, 2));
    for source in &sources {
        assert_eq!(*lock(&source.outcomes), [Outcome::Dropped(reason::SHUTDOWN)]);
    }
}

#[tokio::test]
async fn a_reload_leaves_what_did_not_change_alone_and_points_it_at_the_new_pipelines() {
    let source = Source { batches: vec![metrics("first")], last: Some(metrics("last")), ..Source::default() };
    let (kept, added) = (Sink::default(), Sink::default());
    let mut running = Setup::new()
        .receiver("source", &source)
        .exporter("kept", &kept)
        .pipeline("metrics", &["source"], &[], &["kept"])
        .start();
    running.until("the first delivery", || kept.names() == ["first"]).await;
    // A receiver built anew would send its first batch again.
    let next = Setup::new()
        .receiver("source", &source)
        .exporter("kept", &Sink { fails_to_build: true, ..Sink::default() })
        .exporter("added", &added)
        .pipeline("metrics", &["source"], &[], &["kept", "added"]);
    running.graph.reload(next.plan, Duration::from_secs(8)).unwrap();
    running.stop().await;
    assert_eq!(kept.names(), ["first", "last"]);
    assert_eq!(added.names(), ["last"]);
}

#[tokio::test]
async fn an_exporter_with_other_settings_takes_over_its_queue() {
    let source = Source { batches: vec![metrics("queued")], ..Source::default() };
    let retry = SendOutcome::Retryable { after: None, error: "down".to_owned() };
    let (before, after) = (Sink { script: Arc::new(Mutex::new([retry].into())), ..Sink::default() }, Sink::default());
    let setup = |sink: &Sink, text: &str| {
        Setup::new().receiver("source", &source).with_settings(text).exporter("sink", sink).pipeline(
            "metrics",
            &["source"],
            &[],
            &["sink"],
        )
    };
    let mut running = setup(&before, "before").start();
    running.until("the failure", || lock(&before.script).is_empty()).await;
    running.graph.reload(setup(&after, "after").plan, Duration::from_secs(8)).unwrap();
    running.until("the delivery", || after.names() == ["queued"]).await;
    assert_eq!(before.names(), [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_with_other_settings_starts_after_the_old_one_has_flushed() {
    let before = Source { last: Some(metrics("old window")), ..Source::default() };
    let after = Source { batches: vec![metrics("new window")], ..Source::default() };
    let sink = Sink::default();
    let setup = |source: &Source, text: &str| {
        Setup::new().exporter("sink", &sink).with_settings(text).receiver("source", source).pipeline(
            "metrics",
            &["source"],
            &[],
            &["sink"],
        )
    };
    let mut running = setup(&before, "before").start();
    running.graph.reload(setup(&after, "after").plan, Duration::from_secs(8)).unwrap();
    running.until("both windows", || sink.names() == ["old window", "new window"]).await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_reload_takes_away_is_flushed_first() {
    let source = Source { batches: vec![metrics("held")], ..Source::default() };
    let (removed, kept) = (Sink::default(), Sink::default());
    let mut running = Setup::new()
        .receiver("source", &source)
        .exporter("removed", &removed)
        .pipeline("metrics", &["source"], &["holding"], &["removed"])
        .start();
    running
        .until("the batch to be held", || {
            FinalCounters::of(&running.telemetry)
                .components
                .iter()
                .any(|known| known.held == 1 && known.id == "holding")
        })
        .await;
    let next = Setup::new().receiver("source", &source).exporter("kept", &kept).pipeline(
        "metrics",
        &["source"],
        &[],
        &["kept"],
    );
    running.graph.reload(next.plan, Duration::from_secs(8)).unwrap();
    running.until("the flush", || removed.names() == ["held"]).await;
    running.stop().await;
    assert_eq!(kept.names(), [""; 0]);
}

#[tokio::test]
async fn what_an_exporter_holds_that_a_reload_took_away_is_not_forgotten_where_a_stop_follows_at_once() {
    let source = Source { batches: vec![metrics("queued")], ..Source::default() };
    let (removed, kept) = (Sink { hangs: true, ..Sink::default() }, Sink::default());
    let setup = |id: &str, sink: &Sink| {
        Setup::new().receiver("source", &source).exporter(id, sink).pipeline("metrics", &["source"], &[], &[id])
    };
    let mut running = setup("removed", &removed).start();
    let counters = || FinalCounters::of(&running.telemetry).components;
    running.until("the batch to be queued", || counters().iter().any(|known| known.held == 1)).await;
    running.graph.reload(setup("kept", &kept).plan, Duration::from_secs(8)).unwrap();
    let counters = running.stop().await;
    // There is no state directory to keep it in.
    let removed = counters.components.iter().find(|known| known.id == "removed").unwrap();
    assert_eq!(removed.dropped[reason::SHUTDOWN], 1);
}

#[tokio::test]
async fn an_exporter_that_is_taken_away_and_comes_back_at_once_sends_what_is_on_its_disk_once() {
    let folder = std::env::temp_dir().join(format!("hornpipe-back-at-once-{}", std::process::id()));
    let source = Source { batches: vec![logs("queued")], ..Source::default() };
    let later = SendOutcome::Retryable { after: None, error: "503".to_owned() };
    let (before, after) =
        (Sink { script: Shared::new(Mutex::new([later].into())), ..Sink::default() }, Sink::default());
    let setup = |id: &str, sink: &Sink| {
        Setup::new().receiver("source", &source).exporter(id, sink).pipeline("logs", &["source"], &[], &[id])
    };
    let mut first = setup("comes back", &before);
    first.environment.state_directory = Arc::new(StateDirectory { path: folder.clone(), problem: None });
    let mut running = first.start();
    running.until("the first attempt", || lock(&before.script).is_empty()).await;
    for plan in [setup("another", &Sink::default()).plan, setup("comes back", &after).plan] {
        running.graph.reload(plan, Duration::from_secs(8)).unwrap();
    }
    running.until("what was queued", || !after.names().is_empty()).await;
    // Longer than the first one's pause.
    running.time.advance(Duration::from_secs(10)).await;
    running.graph.shutdown(Duration::from_secs(8)).await;
    assert_eq!((before.names().len(), after.names().len()), (0, 1));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_receiver_waits_for_its_predecessor_also_where_a_stop_follows_at_once() {
    let sink = Sink::default();
    let setup = |name, text: &str| {
        let source = Source { last: Some(metrics(name)), lingers: name == "old", ..Source::default() };
        Setup::new().exporter("sink", &sink).with_settings(text).receiver("source", &source).pipeline(
            "metrics",
            &["source"],
            &[],
            &["sink"],
        )
    };
    let mut running = setup("old", "before").start();
    running.graph.reload(setup("new", "after").plan, Duration::from_secs(8)).unwrap();
    running.stop().await;
    assert_eq!(sink.names(), ["old", "new"]);
}

#[tokio::test]
async fn a_reload_that_cannot_be_built_changes_nothing() {
    let source = Source { last: Some(metrics("last")), ..Source::default() };
    let sink = Sink::default();
    let mut running = Setup::new()
        .receiver("source", &source)
        .exporter("sink", &sink)
        .pipeline("metrics", &["source"], &[], &["sink"])
        .start();
    let next = Setup::new()
        .exporter("sink", &sink)
        .exporter("broken", &Sink { fails_to_build: true, ..Sink::default() })
        .with_settings("changed")
        .receiver("source", &Source::default())
        .pipeline("metrics", &["source"], &[], &["sink", "broken"]);
    let failures = running.graph.reload(next.plan, Duration::from_secs(8)).unwrap_err();
    assert!(failures.to_string().contains("scripted"), "{failures}");
    running.stop().await;
    assert_eq!(sink.names(), ["last"]);
}
