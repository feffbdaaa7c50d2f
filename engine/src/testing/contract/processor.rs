//! What every processor promises.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::{Data, Signal};

use crate::component::{BuildContext, Emitter, Processor};
use crate::telemetry::{ComponentKind, ComponentTelemetry};
use crate::testing::FakeClock;
use crate::testing::bench::{assert_accounted, build_context};
use crate::{Ack, AckOutcome, Batch, Outcome};

/// A processor on the bench.
pub trait ProcessorBench {
    /// The signal that it is built for.
    fn signal(&self) -> Signal {
        Signal::Metrics
    }

    /// Builds the processor; called anew for each round.
    fn build(&self, context: BuildContext) -> Box<dyn Processor>;

    /// A batch of any shape that it may meet, empty ones included.
    fn batch(&self, random: &mut fastrand::Rng) -> Data;
}

/// Checks that a processor
/// * accounts for its inputs: received = passed + dropped + held, and counts what it emits;
/// * settles each batch's ack exactly once, with what it emitted of the batch, and loses none;
/// * leaves a batch alone that it shares with others;
/// * holds nothing after its flush.
///
/// # Panics
/// Where it does not.
pub fn check_processor_contract(bench: &impl ProcessorBench) {
    for seed in 0..64 {
        Round::new(bench, seed).play(bench);
    }
}

/// One life of a processor.
struct Round {
    seed: u64,
    random: fastrand::Rng,
    time: FakeClock,
    processor: Box<dyn Processor>,
    telemetry: Arc<ComponentTelemetry>,
    signal: Signal,
    /// What it emitted and nobody settled yet.
    open: Vec<Batch>,
    acks: Vec<AckOutcome>,
    emitted: u64,
}

impl Round {
    fn new(bench: &impl ProcessorBench, seed: u64) -> Self {
        let time = FakeClock::new();
        let context = build_context(ComponentKind::Processor, "contract", &time);
        let telemetry = Arc::clone(&context.telemetry);
        Round {
            seed,
            random: fastrand::Rng::with_seed(seed),
            time,
            processor: bench.build(context),
            telemetry,
            signal: bench.signal(),
            open: Vec::new(),
            acks: Vec::new(),
            emitted: 0,
        }
    }

    fn play(mut self, bench: &impl ProcessorBench) {
        for _ in 0..16 {
            match self.random.u32(0..4) {
                0 => self.tick(),
                1 => self.settle_some(),
                _ => {
                    let data = bench.batch(&mut self.random);
                    self.process(data);
                }
            }
            assert_accounted(&self.telemetry, self.signal);
        }
        self.call(|processor, out| processor.flush(out));
        let counters = self.telemetry.signal(self.signal);
        assert_eq!(counters.held.get(), 0, "seed {}: a flush empties the processor", self.seed);
        assert_eq!(counters.emitted.get(), self.emitted, "seed {}: emitted items are counted", self.seed);
        assert_accounted(&self.telemetry, self.signal);
        self.open.drain(..).for_each(|batch| batch.settle(Outcome::Delivered));
        for (index, mut ack) in self.acks.into_iter().enumerate() {
            let outcome = ack.try_recv();
            let settled = matches!(outcome, Ok(Outcome::Delivered | Outcome::Dropped(_)));
            assert!(settled, "seed {}: the ack of batch {index} ended as {outcome:?}", self.seed);
        }
    }

    /// Runs a batch that somebody else shares, with an ack.
    fn process(&mut self, data: Data) {
        self.telemetry.signal(self.signal).received.add(data.items() as u64);
        let held_before = self.telemetry.signal(self.signal).held.get();
        let open_before = self.open.len();
        let shared = data.clone();
        let untouched = deep_copy(&data);
        let (ack, mut outcome) = Ack::new();
        self.call(|processor, out| processor.process(Batch::with_ack(data, Some(ack)), out));
        assert_eq!(shared, untouched, "seed {}: a shared batch was changed", self.seed);
        if held_before == 0 && self.telemetry.signal(self.signal).held.get() == 0 && self.open.len() > open_before {
            assert!(outcome.try_recv().is_err(), "seed {}: settled before what it became is", self.seed);
        }
        self.acks.push(outcome);
    }

    fn tick(&mut self) {
        let now = self.time.clock().unix().after(Duration::from_millis(self.random.u64(0..20_000)));
        self.time.set_unix(now);
        self.call(|processor, out| processor.tick(now, out));
    }

    fn settle_some(&mut self) {
        let count = self.random.usize(0..=self.open.len());
        for batch in self.open.drain(..count) {
            batch.settle(Outcome::Delivered);
        }
    }

    fn call(&mut self, act: impl FnOnce(&mut dyn Processor, &mut Emitter<'_>)) {
        let mut out = Emitter::new(self.telemetry.signal(self.signal));
        act(self.processor.as_mut(), &mut out);
        let batches = out.into_batches();
        self.emitted += batches.iter().map(|batch| batch.items() as u64).sum::<u64>();
        self.open.extend(batches);
    }
}

fn deep_copy(data: &Data) -> Data {
    match data {
        Data::Metrics(batch) => Data::Metrics(Arc::new(batch.as_ref().clone())),
        Data::Logs(batch) => Data::Logs(Arc::new(batch.as_ref().clone())),
    }
}
