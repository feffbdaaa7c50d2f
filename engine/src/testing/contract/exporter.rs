//! What every exporter promises.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hornpipe_model::{Data, Signal};
use tokio::task::JoinHandle;

use crate::component::{BuildContext, Exporter, reason};
use crate::config;
use crate::delivery::{BatchConfig, Delivery, DeliveryConfig, QueueConfig, RetryConfig};
use crate::telemetry::{ComponentKind, ComponentTelemetry};
use crate::testing::backend::{Backend, Behaviour, PATIENCE};
use crate::testing::bench::{assert_accounted, build_context};
use crate::testing::{FakeClock, assert_each_once, numbered_logs, numbered_metrics};
use crate::{Ack, AckOutcome, Batch, Outcome};

/// An exporter on the bench, with a fake backend.
pub trait ExporterBench {
    /// The signal that the test's items belong to.
    fn signal(&self) -> Signal {
        Signal::Metrics
    }

    /// The clock that the backend was started with.
    fn clock(&self) -> &FakeClock;

    /// The backend; `None` for an exporter that has none to fail (`debug`), whose faults are not tried then.
    fn backend(&self) -> Option<&Backend>;

    /// Builds the exporter, pointed at the backend; called anew for each scenario.
    fn build(&self, context: BuildContext) -> Box<dyn Exporter>;

    /// A batch of one item for each number, none of which any batch had before.
    fn batch(&self, numbers: Range<u64>) -> Data {
        let now = self.clock().clock().unix();
        match self.signal() {
            Signal::Metrics => numbered_metrics(numbers, now),
            Signal::Logs => numbered_logs(numbers, now),
        }
    }

    /// The numbers of the items that the backend has, doubled ones doubled.
    fn delivered(&self) -> Vec<u64>;

    /// Faults after which the data is sent again. None of them takes the data.
    fn retryable(&self) -> Vec<Behaviour> {
        vec![Behaviour::status(503), Behaviour::retry_after(429, 2), Behaviour::ResetAfterHeaders]
    }

    /// Refusals after which the data is given up.
    fn permanent(&self) -> Vec<Behaviour> {
        vec![Behaviour::status(400)]
    }

    /// The refusal of a request that is too large, where the protocol has one.
    fn too_large(&self) -> Option<Behaviour> {
        Some(Behaviour::status(413))
    }
}

/// Checks, behind the engine's queue, that with an exporter
/// * every item ends delivered once, or dropped with a counted reason, whatever the backend answers;
/// * each batch's ack says which;
/// * items that are too large together are delivered apart;
/// * a drain delivers what is queued, and an abort ends even a request that hangs;
/// * received = passed + dropped + held.
///
/// # Panics
/// Where one of these does not hold.
pub async fn check_exporter_contract(bench: &impl ExporterBench) {
    let mut numbers = Numbers::default();
    delivers_everything(bench, &mut numbers).await;
    let Some(backend) = bench.backend() else { return };
    repeats_what_failed(bench, backend, &mut numbers).await;
    gives_up_what_is_refused(bench, backend, &mut numbers).await;
    sends_too_large_requests_in_parts(bench, backend, &mut numbers).await;
    ends_when_aborted(bench, backend, &mut numbers).await;
}

/// Hands out numbers, each once.
#[derive(Default)]
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: u64) -> Range<u64> {
        self.0 += count;
        self.0 - count..self.0
    }
}

/// An exporter at work behind its queue.
struct Run<'a, B> {
    bench: &'a B,
    delivery: Arc<Delivery>,
    worker: JoinHandle<()>,
    telemetry: Arc<ComponentTelemetry>,
    offered: Vec<(Range<u64>, AckOutcome)>,
}

impl<'a, B: ExporterBench> Run<'a, B> {
    fn start(bench: &'a B) -> Self {
        if let Some(backend) = bench.backend() {
            backend.behave(Behaviour::Ok);
        }
        let context = build_context(ComponentKind::Exporter, "contract", bench.clock());
        let telemetry = Arc::clone(&context.telemetry);
        // No limit of its own: the clock moves on while a request is under way.
        let config = DeliveryConfig {
            sending_queue: QueueConfig {
                // What becomes of each batch shows only where they travel apart, in their order.
                batch: Some(BatchConfig { min_size: 0, ..BatchConfig::default() }),
                num_consumers: Some(1),
                ..QueueConfig::default()
            },
            retry_on_failure: RetryConfig { randomization_factor: 0.0, ..RetryConfig::default() },
            timeout: config::Duration::ZERO,
        };
        let exporter = Arc::from(bench.build(context));
        let delivery = Arc::new(Delivery::new(exporter, config, Arc::clone(&telemetry), bench.clock().clock()));
        let worker = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        Run { bench, delivery, worker, telemetry, offered: Vec::new() }
    }

    async fn offer(&mut self, numbers: Range<u64>) {
        let (ack, outcome) = Ack::new();
        self.delivery.offer(Batch::with_ack(self.bench.batch(numbers.clone()), Some(ack))).await;
        self.offered.push((numbers, outcome));
    }

    /// Moves the clock until nothing is left to deliver.
    async fn deliver(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.telemetry.signal(self.bench.signal()).held.get() > 0 {
            assert!(Instant::now() < deadline, "undelivered after {PATIENCE:?}: {:?}", self.telemetry.status());
            self.bench.clock().advance(Duration::from_secs(1)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends the run; checks counters and acks against what the backend has. What was dropped, by number.
    async fn end(self) -> BTreeSet<u64> {
        self.delivery.drain();
        tokio::time::timeout(PATIENCE, self.worker).await.expect("a drained queue ends").expect("nothing panics");
        assert_accounted(&self.telemetry, self.bench.signal());
        let counters = self.telemetry.signal(self.bench.signal());
        assert_eq!(counters.held.get(), 0, "a queue that ended holds nothing");
        let all: BTreeSet<u64> = self.offered.iter().flat_map(|(numbers, _)| numbers.clone()).collect();
        let delivered: Vec<u64> = self.bench.delivered().into_iter().filter(|number| all.contains(number)).collect();
        let dropped: BTreeSet<u64> = all.iter().copied().filter(|number| !delivered.contains(number)).collect();
        assert_each_once(all.difference(&dropped).copied(), delivered);
        let counted = (counters.passed.get(), counters.dropped_total());
        assert_eq!(counted, ((all.len() - dropped.len()) as u64, dropped.len() as u64), "passed and dropped items");
        for (numbers, mut ack) in self.offered {
            let is_whole = !numbers.clone().any(|number| dropped.contains(&number));
            let outcome = ack.try_recv();
            let fits =
                if is_whole { outcome == Ok(Outcome::Delivered) } else { matches!(outcome, Ok(Outcome::Dropped(_))) };
            assert!(fits, "items {numbers:?}, all delivered: {is_whole}, ended as {outcome:?}");
        }
        dropped
    }
}

async fn delivers_everything(bench: &impl ExporterBench, numbers: &mut Numbers) {
    let mut run = Run::start(bench);
    for count in [1, 100, 7, 1, 300] {
        run.offer(numbers.take(count)).await;
    }
    // Nothing waits: the drain alone delivers.
    assert_eq!(run.end().await, BTreeSet::new(), "everything is delivered");
}

async fn repeats_what_failed(bench: &impl ExporterBench, backend: &Backend, numbers: &mut Numbers) {
    let mut random = fastrand::Rng::with_seed(2);
    let mut run = Run::start(bench);
    let faults = bench.retryable();
    backend.behave_once((0..20).map(|_| {
        let fault = random.usize(0..faults.len() + 1);
        faults.get(fault).cloned().unwrap_or_default()
    }));
    for _ in 0..10 {
        run.offer(numbers.take(random.u64(1..20))).await;
    }
    run.deliver().await;
    assert_eq!(run.end().await, BTreeSet::new(), "everything is delivered in the end");
}

async fn gives_up_what_is_refused(bench: &impl ExporterBench, backend: &Backend, numbers: &mut Numbers) {
    for refusal in bench.permanent() {
        let mut run = Run::start(bench);
        backend.behave_once([Behaviour::Ok, refusal.clone(), Behaviour::Ok, refusal]);
        for _ in 0..5 {
            run.offer(numbers.take(3)).await;
        }
        run.deliver().await;
        let dropped = run.end().await;
        assert!(!dropped.is_empty() && dropped.len() < 15, "only what the backend refused is dropped: {dropped:?}");
    }
}

async fn sends_too_large_requests_in_parts(bench: &impl ExporterBench, backend: &Backend, numbers: &mut Numbers) {
    let Some(too_large) = bench.too_large() else { return };
    let mut run = Run::start(bench);
    backend.behave_once([too_large.clone(), too_large.clone(), Behaviour::Ok, too_large.clone()]);
    run.offer(numbers.take(40)).await;
    run.deliver().await;
    assert_eq!(run.end().await, BTreeSet::new(), "all parts are delivered");

    let mut run = Run::start(bench);
    backend.behave_once([too_large]);
    run.offer(numbers.take(1)).await;
    run.deliver().await;
    let reasons = run.telemetry.signal(bench.signal()).dropped_by_reason();
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [(reason::TOO_LARGE, 1)]);
    assert_eq!(run.end().await.len(), 1, "one item that is too large alone is dropped");
}

async fn ends_when_aborted(bench: &impl ExporterBench, backend: &Backend, numbers: &mut Numbers) {
    let mut run = Run::start(bench);
    backend.behave(Behaviour::Hang);
    let before = backend.request_count();
    run.offer(numbers.take(5)).await;
    run.offer(numbers.take(5)).await;
    backend.wait_for_requests(before + 1).await;
    run.delivery.abort();
    let telemetry = Arc::clone(&run.telemetry);
    assert_eq!(run.end().await.len(), 10, "what is undelivered at the end is dropped");
    let reasons = telemetry.signal(bench.signal()).dropped_by_reason();
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [(reason::SHUTDOWN, 10)]);
}
