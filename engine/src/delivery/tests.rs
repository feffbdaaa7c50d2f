//! Delivery against a scripted exporter and a fake clock.

mod durable;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::{
    Context, Data, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Scope, Tags, Timestamp, Window,
};

use super::*;
use crate::component::{Encoded, Request, SendOutcome};
use crate::config::ByteSize;
use crate::telemetry::{ComponentIdentity, ComponentKind, Status, Telemetry};
use crate::testing::{FakeClock, eventually};
use crate::{Ack, Batch, Outcome, lock, reason};

/// Sends what the script says, then delivers. A request's body lists its items' values.
#[derive(Default)]
struct Scripted {
    script: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<String>>,
    max_items: Option<usize>,
    max_age: Option<Duration>,
}

enum Step {
    Answer(SendOutcome),
    Hang,
    Panic,
}

impl Scripted {
    fn delivered(&self) -> Vec<String> {
        lock(&self.sent).clone()
    }
}

#[async_trait]
impl Exporter for Scripted {
    fn max_age(&self, _signal: Signal) -> Option<Duration> {
        self.max_age
    }

    fn max_age_of(&self, request: &Request) -> Option<Duration> {
        assert!(request.body != "13", "scripted");
        self.max_age
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let Data::Metrics(batch) = data else { return Encoded::default() };
        let values: Vec<String> = items
            .iter()
            .map(|&item| match batch.points[item as usize].value {
                MetricValue::Gauge(value) => {
                    assert!(value >= 0.0, "negative values make this exporter fail");
                    value.to_string()
                }
                _ => String::new(),
            })
            .collect();
        let request =
            Request { route: "/", signal: Signal::Metrics, body: Bytes::from(values.join(",")), items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        if self.max_items.is_some_and(|max| request.items.len() > max) {
            return SendOutcome::TooLarge { error: "too large".to_owned() };
        }
        let step = lock(&self.script).pop_front();
        match step {
            Some(Step::Answer(outcome)) if !matches!(outcome, SendOutcome::Delivered { .. }) => return outcome,
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Panic) => panic!("scripted"),
            Some(Step::Answer(outcome)) => {
                lock(&self.sent).push(String::from_utf8_lossy(&request.body).into_owned());
                return outcome;
            }
            None => {}
        }
        lock(&self.sent).push(String::from_utf8_lossy(&request.body).into_owned());
        SendOutcome::delivered()
    }
}

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn batch(values: &[f64], time: Timestamp) -> MetricBatch {
    let point = |&value: &f64| MetricPoint {
        context: Arc::new(Context::new("x", Tags::default())),
        window: Window { start: time, end: time, interval: None },
        origin: Origin::Statsd,
        value: MetricValue::Gauge(value),
    };
    let points = values.iter().map(point).collect();
    MetricBatch { resource: Arc::new(Resource::default()), scope: Arc::new(Scope::default()), points }
}

struct Bench {
    clock: FakeClock,
    exporter: Arc<Scripted>,
    delivery: Arc<Delivery>,
    telemetry: Arc<ComponentTelemetry>,
    worker: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn new(exporter: Scripted, change: impl FnOnce(&mut DeliveryConfig)) -> Self {
        let clock = FakeClock::starting_at(NOW);
        let identity = ComponentIdentity { kind: ComponentKind::Exporter, id: "scripted".to_owned(), pipeline: None };
        let telemetry = Telemetry::default().component(identity);
        let exporter = Arc::new(exporter);
        let mut config = DeliveryConfig {
            sending_queue: QueueConfig::default(),
            retry_on_failure: RetryConfig { randomization_factor: 0.0, ..RetryConfig::default() },
            timeout: crate::config::Duration::from_secs(15),
        };
        change(&mut config);
        let shared: Arc<dyn Exporter> = Arc::clone(&exporter) as Arc<dyn Exporter>;
        let delivery = Arc::new(Delivery::new(shared, config, Arc::clone(&telemetry), clock.clock()));
        let worker = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        Bench { clock, exporter, delivery, telemetry, worker }
    }

    async fn offer(&self, values: &[f64]) -> crate::AckOutcome {
        self.offer_at(values, NOW).await
    }

    async fn offer_at(&self, values: &[f64], time: Timestamp) -> crate::AckOutcome {
        let (ack, outcome) = Ack::new();
        self.delivery.offer(Batch::with_ack(batch(values, time), Some(ack))).await;
        outcome
    }

    /// Lets the worker go on until `done`, with the clock standing still.
    async fn until(&self, done: impl Fn(&Self) -> bool) {
        eventually("what the test waits for", || done(self)).await;
    }

    fn assert_conserved(&self) {
        let counters = self.telemetry.signal(Signal::Metrics);
        let accounted = counters.passed.get() + counters.dropped_total() + counters.held.get();
        assert_eq!(counters.received.get(), accounted, "{counters:?}");
    }

    async fn finish(self) {
        self.delivery.drain();
        self.worker.await.unwrap();
        let counters = self.telemetry.signal(Signal::Metrics);
        assert_eq!(counters.held.get(), 0);
        assert_eq!(counters.received.get(), counters.passed.get() + counters.dropped_total());
    }
}

fn retryable() -> Step {
    Step::Answer(SendOutcome::Retryable { after: None, error: "503".to_owned() })
}

fn scripted(steps: impl IntoIterator<Item = Step>) -> Scripted {
    Scripted { script: Mutex::new(steps.into_iter().collect()), ..Scripted::default() }
}

#[tokio::test]
async fn a_request_is_tried_again_after_growing_pauses_and_order_is_kept() {
    let bench = Bench::new(scripted([retryable(), retryable()]), |_| {});
    let first = bench.offer(&[1.0]).await;
    let second = bench.offer(&[2.0]).await;
    bench.until(|bench| matches!(bench.telemetry.status(), Status::Error(_))).await;
    bench.clock.advance(Duration::from_millis(4_999)).await;
    assert!(bench.exporter.delivered().is_empty(), "the first pause is 5 s");
    bench.clock.advance(Duration::from_millis(1)).await;
    bench.until(|bench| lock(&bench.exporter.script).is_empty()).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench.clock.advance(Duration::from_millis(7_500)).await;
    assert_eq!(first.await, Ok(Outcome::Delivered));
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench.clock.advance(Duration::from_millis(499)).await;
    assert_eq!(bench.exporter.delivered(), ["1"], "after a failure the next one keeps a distance");
    bench.clock.advance(Duration::from_millis(1)).await;
    assert_eq!(second.await, Ok(Outcome::Delivered));
    assert_eq!(bench.exporter.delivered(), ["1", "2"]);
    assert_eq!(bench.telemetry.status(), Status::Ok);
    bench.finish().await;
}

#[tokio::test]
async fn too_large_is_halved_down_to_one_item() {
    let bench = Bench::new(Scripted { max_items: Some(2), ..Scripted::default() }, |_| {});
    let outcome = bench.offer(&[1.0, 2.0, 3.0, 4.0, 5.0]).await;
    assert_eq!(outcome.await, Ok(Outcome::Delivered));
    assert_eq!(bench.exporter.delivered(), ["1,2", "3", "4,5"]);
    bench.finish().await;

    let bench = Bench::new(Scripted { max_items: Some(0), ..Scripted::default() }, |_| {});
    let outcome = bench.offer(&[1.0, 2.0]).await;
    assert_eq!(outcome.await, Ok(Outcome::Dropped(reason::TOO_LARGE)));
    assert_eq!(bench.telemetry.signal(Signal::Metrics).dropped_by_reason()[reason::TOO_LARGE], 2);
    bench.finish().await;
}

#[tokio::test]
async fn a_retry_after_a_split_repeats_only_what_failed() {
    let exporter = Scripted { max_items: Some(1), ..scripted([Step::Answer(SendOutcome::delivered()), retryable()]) };
    let bench = Bench::new(exporter, |_| {});
    let outcome = bench.offer(&[1.0, 2.0]).await;
    bench.until(|bench| matches!(bench.telemetry.status(), Status::Error(_))).await;
    bench.clock.advance(Duration::from_secs(5)).await;
    assert_eq!(outcome.await, Ok(Outcome::Delivered));
    assert_eq!(bench.exporter.delivered(), ["1", "2"]);
    bench.finish().await;
}

#[tokio::test]
async fn a_refusal_drops_and_counts_and_the_next_batch_passes() {
    let refused = SendOutcome::Permanent { reason: reason::REFUSED, error: "bad request".to_owned() };
    let bench = Bench::new(scripted([Step::Answer(refused)]), |_| {});
    let first = bench.offer(&[1.0]).await;
    let second = bench.offer(&[2.0]).await;
    assert_eq!(first.await, Ok(Outcome::Dropped(reason::REFUSED)));
    assert_eq!(second.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn a_refused_key_keeps_the_data() {
    let unauthorized = || Step::Answer(SendOutcome::Unauthorized { error: "key refused".to_owned() });
    let bench = Bench::new(scripted([unauthorized(), unauthorized()]), |_| {});
    let outcome = bench.offer(&[1.0]).await;
    for _ in 0..2 {
        bench.until(|bench| bench.telemetry.status() == Status::Error("key refused".to_owned())).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        bench.clock.advance(Duration::from_secs(10)).await;
    }
    assert_eq!(outcome.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn items_too_old_for_the_backend_are_dropped_and_the_fresh_ones_delivered() {
    let exporter = Scripted { max_age: Some(Duration::from_secs(3300)), ..Scripted::default() };
    let bench = Bench::new(exporter, |_| {});
    let old = bench.offer_at(&[1.0], Timestamp::from_secs(NOW.as_secs() - 3301)).await;
    let fresh = bench.offer_at(&[2.0], Timestamp::from_secs(NOW.as_secs() - 3300)).await;
    assert_eq!(old.await, Ok(Outcome::Dropped(reason::TOO_OLD)));
    assert_eq!(fresh.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn max_age_may_shorten_what_the_backend_accepts_and_never_lengthens_it() {
    for (set, limit) in [(60, 60), (7200, 3300), (0, 3300)] {
        let exporter = Scripted { max_age: Some(Duration::from_secs(3300)), ..Scripted::default() };
        let set = Some(crate::config::Duration::from_secs(set));
        let bench = Bench::new(exporter, |config| config.sending_queue.max_age = set);
        let old = bench.offer_at(&[1.0], Timestamp::from_secs(NOW.as_secs() - limit - 1)).await;
        let fresh = bench.offer_at(&[2.0], Timestamp::from_secs(NOW.as_secs() - limit)).await;
        assert_eq!(old.await, Ok(Outcome::Dropped(reason::TOO_OLD)));
        assert_eq!(fresh.await, Ok(Outcome::Delivered));
        bench.finish().await;
    }
}

/// Says when its background work begins and when it is dropped.
#[derive(Default)]
struct Busy {
    working: Arc<AtomicBool>,
    fails: bool,
}

#[async_trait]
impl Exporter for Busy {
    async fn background(&self) {
        struct Working(Arc<AtomicBool>);
        impl Drop for Working {
            fn drop(&mut self) {
                self.0.store(false, Ordering::SeqCst);
            }
        }
        self.working.store(true, Ordering::SeqCst);
        let _working = Working(Arc::clone(&self.working));
        assert!(!self.fails, "scripted");
        std::future::pending().await
    }

    fn encode(&self, _data: &Data, items: &[u32]) -> Encoded {
        let request = Request { route: "/", signal: Signal::Metrics, body: Bytes::new(), items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, _request: &Request) -> SendOutcome {
        SendOutcome::delivered()
    }
}

#[tokio::test]
async fn background_work_lasts_as_long_as_the_exporter_and_its_panic_stops_nothing_else() {
    for fails in [false, true] {
        let bench = Bench::new(Scripted::default(), |_| {});
        assert_eq!(bench.offer(&[0.0]).await.await, Ok(Outcome::Delivered));
        let exporter = Arc::new(Busy { fails, ..Busy::default() });
        let config = bench.delivery.active.borrow().config.clone();
        bench.delivery.replace(Arc::clone(&exporter) as Arc<dyn Exporter>, config);
        bench.until(|bench| bench.worker.is_finished()).await;
        let delivery = Arc::clone(&bench.delivery);
        let worker = tokio::spawn(async move { delivery.run().await });
        let outcome = bench.offer(&[1.0]).await;
        assert_eq!(outcome.await, Ok(Outcome::Delivered));
        assert_eq!(exporter.working.load(Ordering::SeqCst), !fails);
        bench.delivery.drain();
        worker.await.unwrap();
        assert!(!exporter.working.load(Ordering::SeqCst));
        bench.finish().await;
    }
}

#[tokio::test]
async fn a_hanging_backend_is_given_up_after_the_timeout_and_tried_again() {
    let bench = Bench::new(scripted([Step::Hang]), |_| {});
    let outcome = bench.offer(&[1.0]).await;
    bench.until(|bench| lock(&bench.exporter.script).is_empty()).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench.clock.advance(Duration::from_secs(15)).await;
    bench
        .until(|bench| matches!(bench.telemetry.status(), Status::Error(text) if text.contains("no answer within 15s")))
        .await;
    bench.clock.advance(Duration::from_secs(5)).await;
    assert_eq!(outcome.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn a_panic_costs_its_batch_and_no_other() {
    let bench = Bench::new(scripted([Step::Panic]), |_| {});
    let in_send = bench.offer(&[1.0]).await;
    let in_encode = bench.offer(&[-1.0]).await;
    let beside = bench.offer(&[13.0]).await;
    let sound = bench.offer(&[2.0]).await;
    assert_eq!(in_send.await, Ok(Outcome::Dropped(reason::PANIC)));
    assert_eq!(in_encode.await, Ok(Outcome::Dropped(reason::PANIC)));
    assert_eq!(beside.await, Ok(Outcome::Dropped(reason::PANIC)));
    assert_eq!(sound.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn partial_success_counts_what_was_rejected_and_is_not_retried() {
    let partial = SendOutcome::Delivered { rejected: 1, message: "bad point".to_owned() };
    let bench = Bench::new(scripted([Step::Answer(partial)]), |_| {});
    let outcome = bench.offer(&[1.0, 2.0, 3.0]).await;
    assert_eq!(outcome.await, Ok(Outcome::Dropped(reason::REJECTED)));
    assert_eq!(bench.exporter.delivered(), ["1,2,3"]);
    assert_eq!(bench.telemetry.signal(Signal::Metrics).passed.get(), 2);
    bench.finish().await;
}

#[tokio::test]
async fn at_the_bound_the_oldest_batch_is_dropped_counted_and_its_ack_told() {
    let one = Data::from(batch(&[1.0], NOW)).bytes() as u64;
    let bench = Bench::new(scripted([Step::Hang]), |config| {
        config.sending_queue.max_bytes = Some(ByteSize::bytes(one * 2));
    });
    let sending = bench.offer(&[1.0]).await;
    bench.until(|bench| lock(&bench.exporter.script).is_empty()).await;
    let oldest = bench.offer(&[2.0]).await;
    let newest = bench.offer(&[3.0]).await;
    assert_eq!(oldest.await, Ok(Outcome::Dropped(reason::QUEUE_FULL)));
    bench.assert_conserved();
    bench.delivery.abort();
    assert_eq!(sending.await, Ok(Outcome::Dropped(reason::SHUTDOWN)));
    assert_eq!(newest.await, Ok(Outcome::Dropped(reason::SHUTDOWN)));
    bench.finish().await;
}

#[tokio::test]
async fn a_drain_cuts_the_pause_short_and_sends_what_is_queued() {
    let bench = Bench::new(scripted([retryable()]), |_| {});
    let first = bench.offer(&[1.0]).await;
    let second = bench.offer(&[2.0]).await;
    bench.until(|bench| matches!(bench.telemetry.status(), Status::Error(_))).await;
    bench.delivery.drain();
    assert_eq!(first.await, Ok(Outcome::Delivered));
    assert_eq!(second.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn with_max_elapsed_time_a_request_is_given_up() {
    let bench = Bench::new(scripted((0..10).map(|_| retryable())), |config| {
        config.retry_on_failure.max_elapsed_time = crate::config::Duration::from_secs(4);
    });
    let outcome = bench.offer(&[1.0]).await;
    assert_eq!(outcome.await, Ok(Outcome::Dropped(reason::RETRIES_EXHAUSTED)));
    bench.finish().await;
}

#[tokio::test]
async fn what_grows_too_old_while_the_backend_wants_silence_is_dropped_meanwhile() {
    let silent = SendOutcome::Retryable { after: Some(Duration::from_secs(100_000)), error: "429".to_owned() };
    let max_age = Some(Duration::from_secs(60));
    let bench = Bench::new(Scripted { max_age, ..scripted([Step::Answer(silent)]) }, |_| {});
    let first = bench.offer_at(&[1.0], Timestamp::from_secs(NOW.as_secs() - 30)).await;
    let second = bench.offer_at(&[2.0], NOW).await;
    let young = bench.offer_at(&[3.0], Timestamp::from_secs(NOW.as_secs() + 3_000)).await;
    bench.until(|bench| matches!(bench.telemetry.status(), Status::Error(_))).await;
    let dropped = |bench: &Bench| bench.telemetry.signal(Signal::Metrics).dropped_for(reason::TOO_OLD);
    for (seconds, expected) in [(29, 0), (2, 1), (28, 1), (2, 2)] {
        bench.clock.advance(Duration::from_secs(seconds)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(dropped(&bench), expected);
    }
    for old in [first, second] {
        assert_eq!(old.await, Ok(Outcome::Dropped(reason::TOO_OLD)));
    }
    bench.clock.advance(Duration::from_secs(300 - 61 - 1)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(bench.exporter.delivered(), [""; 0], "longer than five minutes nobody is silent");
    bench.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(young.await, Ok(Outcome::Delivered));
    bench.finish().await;
}

#[tokio::test]
async fn a_pause_longer_than_time_itself_is_as_good_as_any_other() {
    let endless = SendOutcome::Retryable { after: Some(Duration::MAX), error: "429".to_owned() };
    let limit = |config: &mut DeliveryConfig| {
        config.retry_on_failure.max_elapsed_time = crate::config::Duration::from_secs(60);
    };
    let bench = Bench::new(scripted([Step::Answer(endless)]), limit);
    let outcome = bench.offer(&[1.0]).await;
    assert_eq!(outcome.await, Ok(Outcome::Dropped(reason::RETRIES_EXHAUSTED)));
    bench.finish().await;
}

#[tokio::test]
async fn another_exporter_takes_over_the_queue_and_what_was_not_delivered() {
    let exporter = Scripted { max_items: Some(1), ..scripted([Step::Answer(SendOutcome::delivered()), retryable()]) };
    let bench = Bench::new(exporter, |_| {});
    let first = bench.offer(&[1.0, 2.0, 3.0]).await;
    let second = bench.offer(&[4.0]).await;
    bench.until(|bench| matches!(bench.telemetry.status(), Status::Error(_))).await;
    let successor = Arc::new(Scripted::default());
    let config = bench.delivery.active.borrow().config.clone();
    bench.delivery.replace(Arc::clone(&successor) as Arc<dyn Exporter>, config);
    bench.until(|bench| bench.worker.is_finished()).await;
    bench.assert_conserved();
    let run = bench.delivery.run();
    bench.delivery.drain();
    run.await;
    assert_eq!(first.await, Ok(Outcome::Delivered));
    assert_eq!(second.await, Ok(Outcome::Delivered));
    assert_eq!(bench.exporter.delivered(), ["1"]);
    assert_eq!(successor.delivered(), ["2,3", "4"]);
    bench.finish().await;
}

#[tokio::test]
async fn one_signal_that_gets_through_does_not_hide_that_another_does_not() {
    let Bench { delivery, telemetry, .. } = Bench::new(Scripted::default(), |_| {});
    assert!(delivery.set_failure(Signal::Metrics, Some("refused")));
    assert!(delivery.set_failure(Signal::Logs, Some("no answer")));
    assert!(!delivery.set_failure(Signal::Metrics, Some("refused")), "said already, whatever else was said since");
    assert!(delivery.set_failure(Signal::Logs, None));
    assert_eq!(telemetry.status(), Status::Error("refused".to_owned()));
    assert!(delivery.set_failure(Signal::Metrics, None));
    assert_eq!(telemetry.status(), Status::Ok);
}
