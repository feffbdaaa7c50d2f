//! Queues on disk: what outlives a process, and what a disk that fails changes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hornpipe_model::Data;
use tokio::task::JoinHandle;

use super::super::store::tests::fake::FakeDisk;
use super::*;
use crate::testing::{assert_each_once, numbered_logs, numbered_metrics, numbers_in};
use crate::{AckOutcome, lock};

/// A backend that can be down; it takes what it is sent in order.
#[derive(Default)]
struct Backend {
    is_down: AtomicBool,
    /// Items whose requests it never takes.
    cannot_bear: Option<u64>,
    taken: Mutex<Vec<u64>>,
    attempts: AtomicU32,
    script: Mutex<VecDeque<SendOutcome>>,
    /// Having taken it, something fails outside of sending.
    fails_after: Option<u64>,
    fails_next: AtomicBool,
}

impl Backend {
    fn taken(&self) -> Vec<u64> {
        lock(&self.taken).clone()
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }
}

#[async_trait]
impl Exporter for Backend {
    /// Asked, among others, where the queue is shown.
    fn best_effort(&self) -> bool {
        assert!(!self.fails_next.swap(false, Ordering::Relaxed), "scripted");
        false
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let numbers = numbers_in(data);
        let names: Vec<String> = items.iter().map(|&item| numbers[item as usize].to_string()).collect();
        let body = Bytes::from(names.join(","));
        let request = Request { route: "/", signal: data.signal(), body, items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
        let scripted = self.script.lock().unwrap().pop_front();
        if let Some(outcome) = scripted {
            return outcome;
        }
        let is_refused = self.cannot_bear.is_some_and(|number| numbers.contains(&number));
        if self.is_down.load(Ordering::Relaxed) || is_refused {
            return SendOutcome::Retryable { after: None, error: "503".to_owned() };
        }
        self.fails_next.store(self.fails_after.is_some_and(|number| numbers.contains(&number)), Ordering::Relaxed);
        self.taken.lock().unwrap().extend(numbers);
        SendOutcome::delivered()
    }
}

/// A directory that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("hornpipe-durable-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One life of a process.
struct Life {
    time: FakeClock,
    backend: Arc<Backend>,
    delivery: Arc<Delivery>,
    telemetry: Arc<ComponentTelemetry>,
    worker: JoinHandle<()>,
    signal: Signal,
}

impl Life {
    fn start(directory: &Path, signal: Signal, backend: Backend, change: impl FnOnce(&mut QueueConfig)) -> Self {
        let place = Place {
            signals: vec![signal],
            directory: Some(directory.to_owned()),
            memory: ByteSize::kib(256),
            ..Place::default()
        };
        Self::start_at(place, Arc::new(store::Disk), backend, |config| change(&mut config.sending_queue))
    }

    /// Logs on a disk that the test can spoil.
    fn start_on(disk: &FakeDisk, backend: Backend) -> Self {
        let directory = Some(PathBuf::from("/queue"));
        let place = Place { signals: vec![Signal::Logs], directory, ..Place::default() };
        Self::start_at(place, Arc::new(disk.clone()), backend, |_| {})
    }

    fn start_at(
        place: Place,
        files: Arc<dyn FileSystem>,
        backend: Backend,
        change: impl FnOnce(&mut DeliveryConfig),
    ) -> Self {
        let signal = place.signals[0];
        let time = FakeClock::starting_at(NOW);
        let identity = ComponentIdentity { kind: ComponentKind::Exporter, id: "test".to_owned(), pipeline: None };
        let telemetry = Telemetry::new(time.clock()).component(identity);
        let mut config = DeliveryConfig {
            sending_queue: QueueConfig {
                num_consumers: Some(1),
                batch: Some(BatchConfig { min_size: 0, ..BatchConfig::default() }),
                ..QueueConfig::default()
            },
            retry_on_failure: RetryConfig { randomization_factor: 0.0, ..RetryConfig::default() },
            timeout: crate::config::Duration::from_secs(15),
        };
        change(&mut config);
        let backend = Arc::new(backend);
        let exporter: Arc<dyn Exporter> = Arc::clone(&backend) as Arc<dyn Exporter>;
        let mut delivery = Delivery::new(exporter, config, Arc::clone(&telemetry), time.clock());
        delivery.files = files;
        let delivery = Arc::new(delivery.at(place));
        let worker = tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        Life { time, backend, delivery, telemetry, worker, signal }
    }

    fn data(&self, numbers: std::ops::Range<u64>) -> Data {
        match self.signal {
            Signal::Metrics => numbered_metrics(numbers, NOW),
            Signal::Logs => numbered_logs(numbers, NOW),
        }
    }

    async fn offer(&self, numbers: std::ops::Range<u64>) -> AckOutcome {
        let (ack, outcome) = Ack::new();
        self.delivery.offer(Batch::with_ack(self.data(numbers), Some(ack))).await;
        outcome
    }

    fn counters(&self) -> &crate::telemetry::SignalCounters {
        self.telemetry.signal(self.signal)
    }

    /// Moves the clock on until something holds.
    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..4000 {
            if done(self) {
                return;
            }
            self.time.advance(Duration::from_millis(500)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{what}: {:?}, {:?}", self.counters(), self.telemetry.facts());
    }

    async fn deliver(&self) {
        self.until("everything is delivered", |life| life.counters().held.get() == 0).await;
    }

    /// Ends without a chance to write anything, as a killed process does; the disk's thread has to be gone, though.
    async fn kill(self) -> Vec<u64> {
        self.worker.abort();
        let _ = self.worker.await;
        let taken = self.backend.taken();
        for lane in self.delivery.lanes() {
            let (answer, closed) = tokio::sync::oneshot::channel();
            if lane.queue.stop_disk(disk::Command::Close(answer)) {
                closed.await.unwrap();
            }
        }
        taken
    }

    /// Ends in good order, with no time left for the backend.
    async fn stop(self) -> (Vec<u64>, u64) {
        self.delivery.abort();
        self.worker.await.unwrap();
        self.delivery.sweep().await;
        let counters = self.telemetry.signal(self.signal);
        let accounted = counters.passed.get() + counters.dropped_total() + counters.held.get();
        assert_eq!(counters.received.get() + counters.recovered.get(), accounted, "{counters:?}");
        (self.backend.taken(), counters.held.get())
    }
}

fn down() -> Backend {
    Backend { is_down: AtomicBool::new(true), ..Backend::default() }
}

#[tokio::test]
async fn a_log_is_safe_before_it_is_delivered_and_comes_first_after_a_kill() {
    let folder = Folder::new();
    let life = Life::start(&folder.0, Signal::Logs, down(), |_| {});
    for number in 0..20 {
        assert_eq!(life.offer(number * 5..number * 5 + 5).await.await, Ok(Outcome::Durable));
    }
    assert_eq!(life.kill().await, [0; 0]);

    let life = Life::start(&folder.0, Signal::Logs, Backend::default(), |_| {});
    life.until("what was left is found", |life| life.counters().recovered.get() == 100).await;
    let _ = life.offer(100..105).await.await;
    life.deliver().await;
    assert_eq!(life.backend.taken(), (0..105).collect::<Vec<_>>(), "oldest first");
    assert_eq!(life.stop().await.1, 0);

    let life = Life::start(&folder.0, Signal::Logs, Backend::default(), |_| {});
    let _ = life.offer(105..106).await.await;
    life.deliver().await;
    assert_eq!(life.stop().await, (vec![105], 0), "what is delivered does not come again");
}

#[tokio::test]
async fn a_panic_beside_sending_ends_no_lane() {
    let folder = Folder::new();
    let backend = Backend { fails_after: Some(1), ..Backend::default() };
    let life = Life::start(&folder.0, Signal::Logs, backend, |_| {});
    life.until("the queue is open", |life| life.delivery.logs.queue.takes()).await;
    for number in 0..4 {
        drop(life.offer(number..number + 1).await);
    }
    life.until("it says so", |life| matches!(life.telemetry.status(), Status::Error(text) if text.contains("panic")))
        .await;
    life.deliver().await;
    assert_eq!(life.telemetry.status(), Status::Ok, "it delivers again");
    assert_eq!(life.stop().await, ((0..4).collect(), 0));
}

#[tokio::test]
async fn what_memory_holds_at_the_end_is_sent_after_the_next_start() {
    let folder = Folder::new();
    for storage in [None, Some("none".to_owned())] {
        let life = Life::start(&folder.0, Signal::Metrics, down(), |queue| queue.storage = storage.clone());
        let outcome = life.offer(0..3).await;
        drop(life.offer(3..6).await);
        assert_eq!(life.stop().await, (vec![], 6));
        assert_eq!(outcome.await, Ok(Outcome::Durable));
        let life = Life::start(&folder.0, Signal::Metrics, Backend::default(), |_| {});
        life.until("it is found", |life| life.counters().recovered.get() == 6).await;
        life.deliver().await;
        assert_eq!(life.stop().await, ((0..6).collect(), 0));
    }
}

#[tokio::test]
async fn what_the_disk_takes_at_the_end_is_kept_and_only_the_rest_dropped() {
    let disk = FakeDisk::default();
    let start = |storage: &str, backend| {
        let directory = Some(PathBuf::from("/queue"));
        let place = Place { signals: vec![Signal::Metrics], directory, ..Place::default() };
        Life::start_at(place, Arc::new(disk.clone()), backend, |config| {
            config.sending_queue.max_bytes = Some(ByteSize::mib(1));
            config.sending_queue.storage = Some(storage.to_owned());
        })
    };
    let life = start("none", down());
    for number in 0..30 {
        drop(life.offer(number * 100..number * 100 + 100).await);
    }
    // The queue has several files; the first is full and complete, the next does not get so far.
    disk.limit_all(100 << 10);
    let held = life.stop().await.1;
    assert!((100..3000).contains(&held), "{held}");

    disk.limit_all(usize::MAX);
    let life = start("file_storage", Backend::default());
    life.until("what was kept is found", |life| life.counters().recovered.get() == held).await;
    life.deliver().await;
    assert_eq!(life.stop().await, ((0..held).collect(), 0));
}

#[tokio::test]
async fn what_is_shown_of_a_queue_is_what_it_holds() {
    let folder = Folder::new();
    let bound = |queue: &mut QueueConfig| queue.max_bytes = Some(ByteSize::kib(64));
    let life = Life::start(&folder.0, Signal::Logs, Backend::default(), bound);
    let shown = |life: &Life| {
        let Gauges { size, oldest, capacity, .. } = &life.delivery.gauges;
        (size.get() > 0, oldest.get() > 0, capacity.get())
    };
    for number in 0..20 {
        let _ = life.offer(number..number + 1).await.await;
    }
    life.deliver().await;
    life.until("nothing is shown", |life| shown(life) == (false, false, 64 << 10)).await;
    life.backend.set_down(true);
    let _ = life.offer(20..40).await.await;
    life.until("it is shown", |life| shown(life) == (true, true, 64 << 10)).await;
    life.stop().await;

    let life = Life::start(&folder.0, Signal::Logs, down(), bound);
    life.until("what was left is shown, too", |life| shown(life) == (true, true, 64 << 10)).await;
    life.stop().await;
}

#[tokio::test]
async fn max_elapsed_time_takes_nothing_from_the_disk() {
    for (storage, is_kept) in [(None, true), (Some("none".to_owned()), false)] {
        let folder = Folder::new();
        let place = Place { signals: vec![Signal::Logs], directory: Some(folder.0.clone()), ..Place::default() };
        let life = Life::start_at(place, Arc::new(store::Disk), down(), |config| {
            config.retry_on_failure.max_elapsed_time = crate::config::Duration::from_secs(1);
            config.sending_queue.storage = storage;
        });
        life.until("the disk takes it", |life| life.delivery.logs.queue.takes() == is_kept).await;
        drop(life.offer(0..3).await);
        life.until("it was tried", |life| life.backend.attempts.load(Ordering::Relaxed) > if is_kept { 3 } else { 0 })
            .await;
        life.until("it stays or goes", |life| (life.counters().held.get() == 3) == is_kept).await;
        assert_eq!(life.counters().dropped_for(reason::RETRIES_EXHAUSTED), if is_kept { 0 } else { 3 });
        life.backend.set_down(false);
        life.deliver().await;
        assert_eq!(life.backend.taken().len(), if is_kept { 3 } else { 0 });
        life.stop().await;
    }
}

#[tokio::test]
async fn what_is_too_old_after_the_next_start_is_dropped_and_counted() {
    let folder = Folder::new();
    let life = Life::start(&folder.0, Signal::Metrics, down(), |_| {});
    drop(life.offer(0..3).await);
    life.stop().await;
    let young = |queue: &mut QueueConfig| queue.max_age = Some(crate::config::Duration::from_secs(60));
    let life = Life::start(&folder.0, Signal::Metrics, down(), young);
    life.until("it grows too old", |life| life.counters().dropped_for(reason::TOO_OLD) == 3).await;
    assert_eq!(life.stop().await.1, 0);
}

#[tokio::test]
async fn more_than_memory_holds_goes_over_the_disk_and_keeps_its_order() {
    let folder = Folder::new();
    let life = Life::start(&folder.0, Signal::Logs, down(), |_| {});
    let total = 20_000;
    for first in (0..total).step_by(100) {
        drop(life.offer(first..first + 100).await);
    }
    let memory = |life: &Life| life.delivery.gauges.memory.get();
    assert!(memory(&life) <= 300 << 10, "{}", memory(&life));
    life.backend.set_down(false);
    life.deliver().await;
    assert_eq!(life.backend.taken(), (0..total).collect::<Vec<_>>());
    assert_eq!(life.stop().await.1, 0);
    let left: Vec<_> =
        std::fs::read_dir(folder.0.join("logs")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(left, ["position"], "what is delivered leaves the disk");
}

#[tokio::test]
async fn at_the_bound_of_the_disk_the_oldest_goes_and_is_counted() {
    let folder = Folder::new();
    let bound = |queue: &mut QueueConfig| queue.max_bytes = Some(ByteSize::kib(512));
    let life = Life::start(&folder.0, Signal::Logs, down(), bound);
    for first in (0..30_000).step_by(100) {
        drop(life.offer(first..first + 100).await);
    }
    life.until("it is bounded", |life| life.counters().dropped_for(reason::QUEUE_FULL) > 0).await;
    let _ = life.offer(30_000..30_001).await.await;
    life.backend.set_down(false);
    life.deliver().await;
    let taken = life.backend.taken();
    let dropped = life.counters().dropped_for(reason::QUEUE_FULL);
    assert_eq!(taken.len() as u64 + dropped, 30_001);
    assert_eq!(taken.last(), Some(&30_000), "the newest is kept");
    assert!(taken.is_sorted() && taken.len() > 5_000, "{} are kept", taken.len());
    assert_eq!(life.stop().await.1, 0);
}

#[tokio::test]
async fn a_full_disk_leaves_acks_to_the_backend_and_says_so_until_it_takes_data_again() {
    let disk = FakeDisk::default();
    let life = Life::start_on(&disk, down());
    assert_eq!(life.offer(0..1).await.await, Ok(Outcome::Durable));
    disk.fill_up(true);
    let mut outcomes = Vec::new();
    for number in 1..5 {
        outcomes.push(life.offer(number..number + 1).await);
    }
    life.until("it says so", |life| life.telemetry.facts().contains_key(DISK_FACT)).await;
    assert!(life.telemetry.facts()[DISK_FACT].contains("queued in memory"), "{:?}", life.telemetry.facts());
    assert!(outcomes.iter_mut().all(|outcome| outcome.try_recv().is_err()), "nothing of it is safe");
    let problem = life.telemetry.gauge(DISK_PROBLEM, "", "");
    assert_eq!(problem.get(), 1);

    disk.fill_up(false);
    life.until("it is over", |life| !life.telemetry.facts().contains_key(DISK_FACT)).await;
    assert_eq!(problem.get(), 0);
    assert_eq!(life.offer(5..6).await.await, Ok(Outcome::Durable));
    life.backend.set_down(false);
    life.deliver().await;
    for outcome in outcomes {
        assert!(matches!(outcome.await, Ok(Outcome::Delivered | Outcome::Durable)));
    }
    assert_eq!(life.backend.taken(), (0..6).collect::<Vec<_>>());
    assert_eq!(life.stop().await.1, 0);
}

#[tokio::test]
async fn a_disk_that_fails_now_and_then_loses_and_doubles_nothing() {
    let mut random = fastrand::Rng::with_seed(3);
    let disk = FakeDisk::default();
    let life = Life::start_on(&disk, down());
    for number in 0..1500 {
        disk.fill_up(random.u8(..3) == 0);
        life.backend.set_down(random.bool());
        drop(life.offer(number * 3..number * 3 + 3).await);
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(random.u64(..10))).await;
            life.time.advance(Duration::from_secs(random.u64(..10))).await;
        }
    }
    disk.fill_up(false);
    life.backend.set_down(false);
    life.deliver().await;
    assert_each_once(0..4500, life.backend.taken());
    assert_eq!(life.stop().await.1, 0);
}

#[tokio::test]
async fn without_a_directory_logs_are_in_memory_and_status_says_why() {
    let life = Life::start(Path::new("/proc/no/such"), Signal::Logs, Backend::default(), |_| {});
    assert_eq!(life.offer(0..1).await.await, Ok(Outcome::Delivered));
    assert!(life.telemetry.facts()[DISK_FACT].contains("/proc/no/such/logs"), "{:?}", life.telemetry.facts());
    life.stop().await;
}

#[tokio::test]
async fn what_fails_alone_is_set_aside_and_holds_nobody_up() {
    for signal in Signal::ALL {
        let folder = Folder::new();
        let backend = Backend { cannot_bear: Some(2), ..Backend::default() };
        let life = Life::start(&folder.0, signal, backend, |_| {});
        for number in 0..6 {
            drop(life.offer(number..number + 1).await);
        }
        life.until("the others are delivered", |life| life.backend.taken() == [0, 1, 3, 4, 5]).await;
        assert_eq!(life.delivery.gauges.set_aside.get(), 1);
        assert!(life.telemetry.facts()[SET_ASIDE_FACT].starts_with("1 batch "), "{:?}", life.telemetry.facts());
        // In an hour it is tried as often as the longest interval allows.
        let before = life.backend.attempts.load(Ordering::Relaxed);
        for _ in 0..360 {
            life.time.advance(Duration::from_secs(10)).await;
        }
        let attempts = life.backend.attempts.load(Ordering::Relaxed) - before;
        assert!((110..=121).contains(&attempts), "{attempts}");
        // What is set aside is kept on disk like all else.
        assert_eq!(life.stop().await, (vec![0, 1, 3, 4, 5], 1));
        let life = Life::start(&folder.0, signal, Backend::default(), |_| {});
        life.until("it is found", |life| life.counters().recovered.get() == 1).await;
        life.deliver().await;
        assert_eq!(life.stop().await, (vec![2], 0));
    }
}

#[tokio::test]
async fn a_backend_that_is_down_gets_no_more_than_the_oldest_and_one_try_of_the_next() {
    let folder = Folder::new();
    let life = Life::start(&folder.0, Signal::Metrics, down(), |_| {});
    for number in 0..50 {
        drop(life.offer(number..number + 1).await);
    }
    for _ in 0..360 {
        life.time.advance(Duration::from_secs(10)).await;
    }
    // 120 of the oldest in an hour, and as many of the next.
    let attempts = life.backend.attempts.load(Ordering::Relaxed);
    assert!((110..=245).contains(&attempts), "{attempts}");
    assert_eq!(life.delivery.gauges.set_aside.get(), 0);
    // The try beside the last attempt, which took real time to encode, is over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    life.backend.set_down(false);
    life.deliver().await;
    assert_eq!(life.backend.taken(), (0..50).collect::<Vec<_>>(), "in order");
    life.stop().await;
}

#[tokio::test]
async fn silence_that_the_backend_asks_for_is_kept_by_all() {
    let folder = Folder::new();
    let backend = Backend::default();
    let wait = SendOutcome::Retryable { after: Some(Duration::from_secs(100)), error: "429".to_owned() };
    backend.script.lock().unwrap().push_back(wait);
    let life = Life::start(&folder.0, Signal::Logs, backend, |queue| queue.num_consumers = Some(10));
    for number in 0..5 {
        let _ = life.offer(number..number + 1).await.await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    life.time.advance(Duration::from_secs(99)).await;
    assert!(life.backend.taken().len() <= 1, "{:?}", life.backend.taken());
    life.deliver().await;
    assert_each_once(0..5, life.backend.taken());
    life.stop().await;
}

/// Both backends of a pipeline are down for ten minutes; one of them had accepted some before.
#[tokio::test]
async fn after_ten_minutes_without_backends_each_gets_all_it_had_not_in_order_and_once() {
    for signal in Signal::ALL {
        let folders = [Folder::new(), Folder::new()];
        // Logs go over the disk, metrics have room in memory.
        let room = ByteSize::mib(4);
        let bound = |queue: &mut QueueConfig| queue.max_bytes = Some(room);
        let lives = [
            Life::start(&folders[0].0, signal, Backend::default(), bound),
            Life::start(&folders[1].0, signal, down(), bound),
        ];
        let window = |number: u64| number * 100..number * 100 + 100;
        for number in 0..65 {
            if number == 5 {
                lives[0].deliver().await;
                lives[0].backend.set_down(true);
            }
            for life in &lives {
                drop(life.offer(window(number)).await);
                life.time.advance(Duration::from_secs(10)).await;
                let memory = life.delivery.gauges.memory.get();
                let most = if signal == Signal::Logs { life.delivery.place.memory } else { room };
                assert!(memory <= most.as_bytes(), "{memory} bytes in memory");
            }
        }
        for life in lives {
            assert_eq!(life.counters().dropped_total(), 0);
            tokio::time::sleep(Duration::from_millis(20)).await;
            life.backend.set_down(false);
            life.deliver().await;
            assert_eq!(life.backend.taken(), (0..6_500).collect::<Vec<_>>(), "{signal}: oldest first, each once");
            assert_eq!(life.stop().await.1, 0);
        }
    }
}
