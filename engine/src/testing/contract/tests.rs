//! The checks themselves: small components that keep the contract pass, and each way of breaking it is caught.

use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::{Data, MetricPoint, Signal};
use tokio::sync::mpsc;

use super::*;
use crate::component::{
    BuildContext, Emitter, Encoded, Exporter, Outputs, Processor, Receiver, Request, SendOutcome, reason,
};
use crate::testing::backend::http_client::request;
use crate::testing::backend::{Backend, loopback};
use crate::testing::{FakeClock, FakeDatadog, item_name, numbered_metrics};
use crate::{Batch, Outcome, Shutdown};

mod receivers {
    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    pub(super) enum Flaw {
        None,
        ForgetsAtStop,
        SendsTwice,
        DoesNotCount,
    }

    /// Takes numbers from a channel and sends them on every ten seconds.
    struct Channel {
        flaw: Flaw,
        inputs: mpsc::UnboundedReceiver<u64>,
        context: BuildContext,
    }

    #[async_trait]
    impl Receiver for Channel {
        async fn run(mut self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
            let counters = self.context.telemetry.signal(Signal::Metrics);
            let output = outputs.metrics.as_ref().unwrap();
            loop {
                tokio::select! {
                    () = self.context.clock.sleep(std::time::Duration::from_secs(10)) => {}
                    () = shutdown.requested() => {
                        if self.flaw == Flaw::ForgetsAtStop {
                            return Ok(());
                        }
                    }
                }
                while let Ok(number) = self.inputs.try_recv() {
                    counters.received.add(1);
                    if self.flaw != Flaw::DoesNotCount {
                        counters.passed.add(1);
                    }
                    let times = if self.flaw == Flaw::SendsTwice { 2 } else { 1 };
                    for _ in 0..times {
                        output.send(Batch::new(numbered_metrics(number..number + 1, self.context.clock.unix()))).await;
                    }
                }
                if shutdown.is_requested() {
                    return Ok(());
                }
            }
        }
    }

    pub(super) struct Bench {
        pub(super) flaw: Flaw,
        pub(super) inputs: Mutex<Option<mpsc::UnboundedSender<u64>>>,
    }

    #[async_trait]
    impl ReceiverBench for Bench {
        fn build(&self, context: BuildContext) -> Box<dyn Receiver> {
            let (sender, inputs) = mpsc::unbounded_channel();
            *self.inputs.lock().unwrap() = Some(sender);
            Box::new(Channel { flaw: self.flaw, inputs, context })
        }

        async fn feed(&self, numbers: Range<u64>) {
            let inputs = self.inputs.lock().unwrap();
            numbers.for_each(|number| inputs.as_ref().unwrap().send(number).unwrap());
        }
    }

    async fn check(flaw: Flaw) {
        check_receiver_contract(&Bench { flaw, inputs: Mutex::default() }).await;
    }

    #[tokio::test]
    async fn a_receiver_that_keeps_the_contract_passes() {
        check(Flaw::None).await;
    }

    #[tokio::test]
    #[should_panic(expected = "inputs received")]
    async fn a_receiver_that_forgets_its_inputs_at_the_stop_is_caught() {
        check(Flaw::ForgetsAtStop).await;
    }

    #[tokio::test]
    #[should_panic(expected = "doubled or never sent: [0]")]
    async fn a_receiver_that_doubles_is_caught() {
        check(Flaw::SendsTwice).await;
    }

    #[tokio::test]
    #[should_panic(expected = "does not account for its inputs")]
    async fn a_receiver_that_does_not_count_is_caught() {
        check(Flaw::DoesNotCount).await;
    }
}

mod processors {
    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Flaw {
        None,
        LosesAcks,
        SettlesEarly,
        KeepsTheLast,
        DropsUncounted,
    }

    /// Holds each batch until the next one comes, and drops every batch of three items.
    struct Holder {
        flaw: Flaw,
        held: Option<Batch>,
    }

    impl Holder {
        fn release(&mut self, out: &mut Emitter<'_>) {
            let Some(batch) = self.held.take() else { return };
            out.counters().held.subtract(batch.items() as u64);
            match self.flaw {
                Flaw::LosesAcks => out.emit(Batch::new(batch.data().clone())),
                Flaw::SettlesEarly => {
                    out.emit(Batch::new(batch.data().clone()));
                    batch.settle(Outcome::Delivered);
                }
                _ => out.emit(batch),
            }
        }
    }

    impl Processor for Holder {
        fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
            if batch.items() == 3 {
                if self.flaw != Flaw::DropsUncounted {
                    out.discard(batch, "three");
                }
                return;
            }
            self.release(out);
            out.counters().held.add(batch.items() as u64);
            self.held = Some(batch);
            if self.flaw == Flaw::SettlesEarly {
                self.release(out);
            }
        }

        fn flush(&mut self, out: &mut Emitter<'_>) {
            if self.flaw != Flaw::KeepsTheLast {
                self.release(out);
            }
        }
    }

    struct Bench(Flaw);

    impl ProcessorBench for Bench {
        fn build(&self, _context: BuildContext) -> Box<dyn Processor> {
            Box::new(Holder { flaw: self.0, held: None })
        }

        fn batch(&self, random: &mut fastrand::Rng) -> Data {
            numbered_metrics(0..random.u64(0..6), FakeClock::START)
        }
    }

    #[test]
    fn a_processor_that_keeps_the_contract_passes() {
        check_processor_contract(&Bench(Flaw::None));
    }

    #[test]
    #[should_panic(expected = "ended as Ok(Lost)")]
    fn a_processor_that_loses_an_ack_is_caught() {
        check_processor_contract(&Bench(Flaw::LosesAcks));
    }

    #[test]
    #[should_panic(expected = "settled before what it became is")]
    fn a_processor_that_settles_early_is_caught() {
        check_processor_contract(&Bench(Flaw::SettlesEarly));
    }

    #[test]
    #[should_panic(expected = "a flush empties the processor")]
    fn a_processor_that_keeps_something_at_its_flush_is_caught() {
        check_processor_contract(&Bench(Flaw::KeepsTheLast));
    }

    #[test]
    #[should_panic(expected = "does not account for its inputs")]
    fn a_processor_that_drops_without_counting_is_caught() {
        check_processor_contract(&Bench(Flaw::DropsUncounted));
    }
}

mod exporters {
    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Flaw {
        None,
        IgnoresRefusals,
        GivesUpEarly,
        DropsUncounted,
    }

    /// Sends check runs, one for each item, as the Datadog intake takes them.
    struct Checks {
        flaw: Flaw,
        address: std::net::SocketAddr,
    }

    #[async_trait]
    impl Exporter for Checks {
        fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
            let Data::Metrics(batch) = data else { return Encoded::default() };
            let skipped = if self.flaw == Flaw::DropsUncounted { 1 } else { 0 };
            let check = |point: &MetricPoint| {
                let name = point.context.name();
                serde_json::json!({ "check": name, "host_name": "a", "status": 0, "tags": [] })
            };
            let points = items.iter().skip(skipped).map(|&item| check(&batch.points[item as usize]));
            let body = Bytes::from(serde_json::Value::from_iter(points).to_string());
            let request = Request { route: "/api/v1/check_run", signal: Signal::Metrics, body, items: items.to_vec() };
            Encoded { requests: vec![request], dropped: Vec::new() }
        }

        async fn send(&self, check_runs: &Request) -> SendOutcome {
            let headers = [("content-type", "application/json"), ("dd-api-key", FakeDatadog::API_KEY)];
            let target = format!("POST {}", check_runs.route);
            let status = request(self.address, &target, &headers, &check_runs.body).await.map(|(status, _)| status);
            let error = format!("{status:?}");
            match status {
                Ok(200..300) => SendOutcome::delivered(),
                Ok(413) => SendOutcome::TooLarge { error },
                Ok(400) if self.flaw == Flaw::IgnoresRefusals => SendOutcome::delivered(),
                Ok(400) => SendOutcome::Permanent { reason: reason::REFUSED, error },
                _ if self.flaw == Flaw::GivesUpEarly => SendOutcome::Permanent { reason: reason::REFUSED, error },
                _ => SendOutcome::Retryable { after: None, error },
            }
        }
    }

    struct Bench {
        flaw: Flaw,
        time: FakeClock,
        intake: FakeDatadog,
    }

    impl ExporterBench for Bench {
        fn clock(&self) -> &FakeClock {
            &self.time
        }

        fn backend(&self) -> Option<&Backend> {
            Some(&self.intake)
        }

        fn build(&self, _context: BuildContext) -> Box<dyn Exporter> {
            Box::new(Checks { flaw: self.flaw, address: self.intake.address() })
        }

        fn delivered(&self) -> Vec<u64> {
            let runs = |number| self.intake.checks(&item_name(number)).len();
            (0..1000).flat_map(|number| std::iter::repeat_n(number, runs(number))).collect()
        }
    }

    async fn check(flaw: Flaw) {
        let time = FakeClock::new();
        let intake = FakeDatadog::start_at(loopback().await, time.clock());
        check_exporter_contract(&Bench { flaw, time, intake }).await;
    }

    #[tokio::test]
    async fn an_exporter_that_keeps_the_contract_passes() {
        check(Flaw::None).await;
    }

    #[tokio::test]
    #[should_panic(expected = "passed and dropped items")]
    async fn an_exporter_that_takes_a_refusal_for_a_success_is_caught() {
        check(Flaw::IgnoresRefusals).await;
    }

    #[tokio::test]
    #[should_panic(expected = "everything is delivered in the end")]
    async fn an_exporter_that_gives_up_early_is_caught() {
        check(Flaw::GivesUpEarly).await;
    }

    #[tokio::test]
    #[should_panic(expected = "passed and dropped items")]
    async fn an_exporter_that_drops_without_counting_is_caught() {
        check(Flaw::DropsUncounted).await;
    }
}
