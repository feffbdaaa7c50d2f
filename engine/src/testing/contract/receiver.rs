//! What every receiver promises.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_model::{Data, Signal};
use tokio::task::JoinHandle;

use crate::component::{BuildContext, Emitter, Outputs, Processor, Receiver};
use crate::pipeline::Stage;
use crate::telemetry::{ComponentKind, ComponentTelemetry};
use crate::testing::backend::PATIENCE;
use crate::testing::bench::{assert_accounted, build_context};
use crate::testing::{CollectingSink, FakeClock, assert_each_once, numbers_in};
use crate::{Batch, Output, Shutdown, ShutdownTrigger};

/// A receiver on the bench.
#[async_trait]
pub trait ReceiverBench: Sync {
    /// The signal that the test's inputs belong to.
    fn signal(&self) -> Signal {
        Signal::Metrics
    }

    /// Builds the receiver; called anew for each scenario.
    fn build(&self, context: BuildContext) -> Box<dyn Receiver>;

    /// Hands the receiver that was built last one input for each number. When it returns, the inputs are the receiver's
    /// to lose: in its socket's buffer, in its file.
    async fn feed(&self, numbers: Range<u64>);

    /// The numbers of the inputs that a batch stands for. Default: counters named by
    /// [`item_name`](crate::testing::item_name).
    fn numbers(&self, data: &Data) -> Vec<u64> {
        numbers_in(data)
    }
}

/// Checks that a receiver
/// * loses and doubles nothing, whenever inputs come and windows end;
/// * flushes what it holds when it is told to stop, without waiting for its window's end, and all that had reached it;
/// * waits where its output makes it wait, and loses nothing meanwhile;
/// * survives the failure of a processor behind it;
/// * accounts for its inputs: received = passed + dropped + held.
///
/// # Panics
/// Where it does not.
pub async fn check_receiver_contract(bench: &impl ReceiverBench) {
    stops_with_everything_flushed(bench).await;
    loses_nothing_over_many_windows(bench).await;
    waits_for_a_slow_output(bench).await;
    survives_a_failing_processor(bench).await;
}

/// A receiver at work.
struct Run {
    time: FakeClock,
    sink: CollectingSink,
    telemetry: Arc<ComponentTelemetry>,
    stop: ShutdownTrigger,
    task: JoinHandle<Result<(), String>>,
}

impl Run {
    fn start(bench: &impl ReceiverBench, stages: Vec<Stage>) -> Self {
        let time = FakeClock::new();
        let sink = CollectingSink::new(&time);
        let context = build_context(ComponentKind::Receiver, "contract", &time);
        let telemetry = Arc::clone(&context.telemetry);
        let signal = bench.signal();
        let output = Output::new(signal, Arc::clone(&telemetry), vec![sink.pipeline(signal, stages)]);
        let outputs = match signal {
            Signal::Metrics => Outputs { metrics: Some(output), logs: None },
            Signal::Logs => Outputs { metrics: None, logs: Some(output) },
        };
        let (stop, shutdown) = Shutdown::new();
        let task = tokio::spawn(bench.build(context).run(outputs, shutdown));
        Run { time, sink, telemetry, stop, task }
    }

    /// Tells the receiver to stop and waits for it, in real time: the clock stands still.
    async fn stop(self, bench: &impl ReceiverBench) -> Stopped {
        self.stop.request();
        let result = tokio::time::timeout(PATIENCE, self.task).await.expect("the receiver stops when told to");
        assert_eq!(result.expect("the receiver does not panic"), Ok(()));
        assert_accounted(&self.telemetry, bench.signal());
        assert_eq!(self.telemetry.signal(bench.signal()).held.get(), 0, "a receiver that stopped holds nothing");
        let numbers = self.sink.batches().iter().flat_map(|batch| bench.numbers(&batch.data)).collect();
        Stopped { numbers, telemetry: self.telemetry }
    }
}

/// What became of a run.
struct Stopped {
    numbers: Vec<u64>,
    telemetry: Arc<ComponentTelemetry>,
}

impl Stopped {
    /// Each input arrived once and is counted once.
    fn assert_all(self, bench: &impl ReceiverBench, expected: Range<u64>) {
        let counters = self.telemetry.signal(bench.signal());
        assert_eq!(counters.received.get(), expected.end, "inputs received");
        assert_eq!(
            counters.passed.get(),
            expected.end,
            "inputs passed on; dropped: {:?}",
            counters.dropped_by_reason()
        );
        assert_each_once(expected, self.numbers);
    }
}

async fn stops_with_everything_flushed(bench: &impl ReceiverBench) {
    for count in [0, 1, 200] {
        let run = Run::start(bench, Vec::new());
        bench.feed(0..count).await;
        run.stop(bench).await.assert_all(bench, 0..count);
    }
}

async fn loses_nothing_over_many_windows(bench: &impl ReceiverBench) {
    let mut random = fastrand::Rng::with_seed(1);
    let run = Run::start(bench, Vec::new());
    let mut fed = 0;
    for _ in 0..30 {
        let more = random.u64(0..20);
        bench.feed(fed..fed + more).await;
        fed += more;
        run.time.advance(Duration::from_millis(random.u64(0..15_000))).await;
    }
    run.stop(bench).await.assert_all(bench, 0..fed);
}

async fn waits_for_a_slow_output(bench: &impl ReceiverBench) {
    let run = Run::start(bench, Vec::new());
    run.sink.hold();
    for round in 0..4 {
        bench.feed(round * 50..(round + 1) * 50).await;
        run.time.advance(Duration::from_secs(30)).await;
    }
    let taken = run.sink.batches().len();
    assert!(taken <= 2, "with room for one batch, {taken} were sent without waiting");
    run.stop.request();
    run.sink.release();
    run.stop(bench).await.assert_all(bench, 0..200);
}

async fn survives_a_failing_processor(bench: &impl ReceiverBench) {
    let identity = build_context(ComponentKind::Processor, "failing", &FakeClock::new()).telemetry;
    let failing = Stage { processor: Box::new(FailsOnce(false)), telemetry: identity };
    let run = Run::start(bench, vec![failing]);
    bench.feed(0..20).await;
    run.time.advance(Duration::from_secs(60)).await;
    bench.feed(20..40).await;
    let numbers = run.stop(bench).await.numbers;
    assert!(!numbers.is_empty(), "the receiver went on after the failure");
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_each_once(distinct, numbers);
}

/// Panics over its first batch and passes the others on.
struct FailsOnce(bool);

impl Processor for FailsOnce {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        if !std::mem::replace(&mut self.0, true) {
            panic!("this processor fails once, as the contract check wants it");
        }
        out.emit(batch);
    }
}
