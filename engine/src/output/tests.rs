//! Room for what a receiver can leave where it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::Data;
use tokio::task::JoinHandle;

use super::*;
use crate::component::{Encoded, Exporter, Request, SendOutcome, reason};
use crate::config::ByteSize;
use crate::delivery::{DeliveryConfig, OnFull, QueueConfig, RetryConfig};
use crate::telemetry::{ComponentKind, SignalCounters};
use crate::testing::{FakeClock, assert_each_once, build_context, eventually, numbered_logs, numbers_in};
use crate::{Batch, lock};

/// Records of a batch; some 200 KB.
const RECORDS: u64 = 1_000;

/// A backend that takes nothing while it is down.
struct Backend {
    is_up: watch::Receiver<bool>,
    best_effort: bool,
    taken: Mutex<Vec<u64>>,
    /// How often others get their turn while it encodes.
    yields: AtomicUsize,
    encoding: AtomicUsize,
    most_encoding: AtomicUsize,
}

#[async_trait]
impl Exporter for Backend {
    fn best_effort(&self) -> bool {
        self.best_effort
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        self.most_encoding.fetch_max(self.encoding.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Others get the time to overlap.
        (0..self.yields.load(Ordering::SeqCst)).for_each(|_| std::thread::yield_now());
        self.encoding.fetch_sub(1, Ordering::SeqCst);
        let numbers = numbers_in(data);
        let text: Vec<String> = items.iter().map(|item| numbers[*item as usize].to_string()).collect();
        let body = Bytes::from(text.join(","));
        let request = Request { route: "", signal: Signal::Logs, body, items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        self.is_up.clone().wait_for(|is_up| *is_up).await.unwrap();
        let text = std::str::from_utf8(&request.body).unwrap();
        let numbers = text.split(',').map(|number| number.parse::<u64>().unwrap());
        lock(&self.taken).extend(numbers);
        SendOutcome::delivered()
    }
}

/// An exporter at work, with a queue of 8 MiB in memory.
struct End {
    backend: Arc<Backend>,
    delivery: Arc<Delivery>,
    telemetry: Arc<ComponentTelemetry>,
    up: watch::Sender<bool>,
    worker: JoinHandle<()>,
}

impl End {
    fn new(id: &str, time: &FakeClock, best_effort: bool, change: impl FnOnce(&mut QueueConfig)) -> Self {
        let (up, is_up) = watch::channel(false);
        let backend = Arc::new(Backend {
            is_up,
            best_effort,
            taken: Mutex::default(),
            yields: AtomicUsize::new(0),
            encoding: AtomicUsize::new(0),
            most_encoding: AtomicUsize::new(0),
        });
        let mut config = DeliveryConfig {
            sending_queue: QueueConfig {
                max_bytes: Some(ByteSize::mib(8)),
                storage: Some("none".to_owned()),
                ..QueueConfig::default()
            },
            retry_on_failure: RetryConfig::default(),
            timeout: crate::config::Duration::ZERO,
        };
        change(&mut config.sending_queue);
        let telemetry = build_context(ComponentKind::Exporter, id, time).telemetry;
        let exporter: Arc<dyn Exporter> = Arc::clone(&backend) as Arc<dyn Exporter>;
        let delivery = Arc::new(Delivery::new(exporter, config, Arc::clone(&telemetry), time.clock()));
        let worker = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        End { backend, delivery, telemetry, up, worker }
    }

    fn taken(&self) -> Vec<u64> {
        lock(&self.backend.taken).clone()
    }

    fn counters(&self) -> &SignalCounters {
        self.telemetry.signal(Signal::Logs)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

fn pipeline(ends: &[&End], time: &FakeClock) -> Arc<Pipeline> {
    let exporters = ends.iter().map(|end| Arc::clone(&end.delivery)).collect();
    Arc::new(Pipeline::new("logs", Signal::Logs, Vec::new(), exporters, time.clock()))
}

fn output(ends: &[&End], time: &FakeClock) -> (Output, Arc<ComponentTelemetry>) {
    let telemetry = build_context(ComponentKind::Receiver, "files", time).telemetry;
    (Output::new(Signal::Logs, Arc::clone(&telemetry), vec![pipeline(ends, time)]), telemetry)
}

/// Sends batches for as long as there is room, `most` of them at most; how many.
async fn send_while_there_is_room(output: &Output, first: u64, most: u64) -> u64 {
    let mut sent = 0;
    while sent < most && output.has_room() {
        let start = (first + sent) * RECORDS;
        output.send(Batch::new(numbered_logs(start..start + RECORDS, FakeClock::START))).await;
        sent += 1;
    }
    sent
}

#[tokio::test]
async fn a_receiver_that_asks_for_room_has_nothing_pushed_out_however_long_the_only_backend_is_down() {
    for on_full in [OnFull::DropOldest, OnFull::DropNewest] {
        let time = FakeClock::new();
        let end = End::new("down", &time, false, |queue| queue.on_full = on_full);
        let (output, _) = output(&[&end], &time);
        let mut sent = send_while_there_is_room(&output, 0, 1_000).await;
        assert!((5..100).contains(&sent), "half of 8 MiB are {sent} batches");
        let waiting = tokio::spawn({
            let output = output.clone();
            async move { output.room().await }
        });
        time.advance(Duration::from_secs(3600)).await;
        assert!(!waiting.is_finished());
        end.up.send_replace(true);
        waiting.await.unwrap();
        while sent < 200 {
            output.room().await;
            sent += send_while_there_is_room(&output, sent, 200 - sent).await;
        }
        eventually("everything is taken", || end.counters().held.get() == 0).await;
        assert_each_once(0..200 * RECORDS, end.taken());
        assert_eq!(end.counters().dropped_total(), 0);
    }
}

#[tokio::test]
async fn a_backend_that_is_down_holds_up_no_sibling_and_is_held_to_its_bound() {
    let time = FakeClock::new();
    let (dead, living) = (End::new("dead", &time, false, |_| {}), End::new("living", &time, false, |_| {}));
    living.up.send_replace(true);
    let (output, _) = output(&[&dead, &living], &time);
    let mut sent = 0;
    while sent < 200 {
        output.room().await;
        sent += send_while_there_is_room(&output, sent, 200 - sent).await;
    }
    eventually("the living one has everything", || living.counters().held.get() == 0).await;
    assert_each_once(0..200 * RECORDS, living.taken());
    assert_eq!(living.counters().dropped_total(), 0);
    let dropped = dead.counters().dropped_for(reason::QUEUE_FULL);
    assert!(dropped > 0 && dropped == dead.counters().received.get() - dead.counters().held.get(), "{dropped}");
}

#[tokio::test]
async fn an_exporter_that_promises_nothing_does_not_decide_unless_it_is_alone() {
    let time = FakeClock::new();
    let (console, dead) = (End::new("console", &time, true, |_| {}), End::new("dead", &time, false, |_| {}));
    console.up.send_replace(true);
    let (both, _) = output(&[&console, &dead], &time);
    assert!(send_while_there_is_room(&both, 0, 1_000).await < 100);
    let (alone, _) = output(&[&console], &time);
    console.up.send_replace(false);
    assert!(send_while_there_is_room(&alone, 0, 1_000).await < 100);
}

#[tokio::test]
async fn who_waits_goes_on_where_the_output_is_pointed_elsewhere_or_the_bound_is_raised() {
    let time = FakeClock::new();
    let (dead, fresh) = (End::new("dead", &time, false, |_| {}), End::new("fresh", &time, false, |_| {}));
    let (output, _) = output(&[&dead], &time);
    let wait = || {
        let output = output.clone();
        tokio::spawn(async move { output.room().await })
    };
    send_while_there_is_room(&output, 0, 1_000).await;
    let waiting = wait();
    time.settle().await;
    assert!(!waiting.is_finished());
    output.repoint(vec![pipeline(&[&fresh], &time)]);
    waiting.await.unwrap();

    output.repoint(vec![pipeline(&[&dead], &time)]);
    let waiting = wait();
    time.settle().await;
    assert!(!waiting.is_finished());
    let mut config = DeliveryConfig {
        sending_queue: QueueConfig::default(),
        retry_on_failure: RetryConfig::default(),
        timeout: crate::config::Duration::ZERO,
    };
    config.sending_queue.storage = Some("none".to_owned());
    config.sending_queue.max_bytes = Some(ByteSize::mib(64));
    dead.delivery.replace(Arc::clone(&dead.backend) as Arc<dyn Exporter>, config);
    waiting.await.unwrap();
}

#[tokio::test]
async fn the_status_says_for_whom_and_since_when_a_receiver_waits() {
    let time = FakeClock::new();
    let (first, second) = (End::new("first", &time, false, |_| {}), End::new("second", &time, false, |_| {}));
    let (output, telemetry) = output(&[&first, &second], &time);
    output.set_waiting(false);
    assert_eq!(telemetry.waiting(), None);
    time.advance(Duration::from_secs(5)).await;
    output.set_waiting(true);
    let now = || telemetry.waiting().filter(|waiting| !waiting.is_over);
    let waiting = || now().map(|waiting| (waiting.exporters, waiting.since.since(FakeClock::START).as_secs()));
    let both = vec!["first".to_owned(), "second".to_owned()];
    assert_eq!(waiting(), Some((both.clone(), 5)));
    time.advance(Duration::from_secs(60)).await;
    output.set_waiting(true);
    time.advance(Duration::from_secs(9)).await;
    output.set_waiting(false);
    assert_eq!(waiting(), None);
    output.set_waiting(true);
    assert_eq!(waiting(), Some((both.clone(), 5)), "one that ended a moment ago goes on");
    output.set_waiting(false);
    time.advance(Duration::from_secs(10)).await;
    output.set_waiting(false);
    assert_eq!((waiting(), telemetry.waiting()), (None, None));
    output.set_waiting(true);
    assert_eq!(waiting(), Some((both, 84)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_queue_encodes_one_batch_at_a_time_however_many_requests_are_under_way() {
    let time = FakeClock::new();
    let end = End::new("fast", &time, false, |queue| queue.max_bytes = Some(ByteSize::mib(64)));
    let (output, _) = output(&[&end], &time);
    end.backend.yields.store(20, Ordering::SeqCst);
    end.up.send_replace(true);
    for first in 0..50 {
        let start = first * RECORDS;
        output.send(Batch::new(numbered_logs(start..start + RECORDS, FakeClock::START))).await;
    }
    eventually("all are delivered", || end.taken().len() as u64 == 50 * RECORDS).await;
    assert_eq!(end.backend.most_encoding.load(Ordering::SeqCst), 1);
}
