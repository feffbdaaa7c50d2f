//! Two backends are down for ten minutes: the process takes no more memory than its queues may, and then each backend gets
//! everything, oldest first and once. It is a test program of its own, so that what the process takes is the queues'.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::config::{self, ByteSize};
use hornpipe_engine::delivery::{Delivery, DeliveryConfig, Place, QueueConfig, RetryConfig};
use hornpipe_engine::telemetry::{ComponentIdentity, ComponentKind, ComponentTelemetry, Telemetry};
use hornpipe_engine::testing::{FakeClock, assert_each_once, resource};
use hornpipe_engine::{Ack, Batch, Outcome};
use hornpipe_model::{
    Body, Context, Data, Distribution, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin,
    Samples, Signal, Tags, Timestamp, Value, Window, WireType,
};

/// What each queue may take of memory. Metrics are in memory only, logs on disk and as many in memory as there is room for.
const MEMORY: u64 = 24 << 20;
/// What the process may take beside its queues while they fill: requests under way, what the disk is given, and what the
/// allocator loses between blocks.
const OVERHEAD: u64 = 8 << 20;
/// The same while they are sent: batches that become one, what is read from disk, and what the backends note.
const SENDING: u64 = 32 << 20;
/// Ten minutes of windows.
const WINDOWS: u64 = 60;
/// Records of a window; in the end they are more than memory holds.
const RECORDS: u64 = 1_000;
/// Points of a batch, each of a series of its own.
const SERIES: u64 = 200;

/// A backend that can be down. It notes the number of each item that it takes, which the item has as its time.
///
/// It comes back with the oldest request of a signal: after many failures the engine lets the next request have a try, and
/// where the backend came back just then, that one would be first.
#[derive(Default)]
struct Backend {
    points: Mutex<Taken>,
    records: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    numbers: Vec<u64>,
    is_down: bool,
    is_back: bool,
}

impl Backend {
    fn of(&self, signal: Signal) -> MutexGuard<'_, Taken> {
        let taken = if signal == Signal::Metrics { &self.points } else { &self.records };
        taken.lock().unwrap()
    }
}

#[async_trait]
impl Exporter for Backend {
    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        let number = |item: &u32| match data {
            Data::Metrics(batch) => batch.points[*item as usize].window.start.as_secs(),
            Data::Logs(batch) => batch.records[*item as usize].time.as_secs(),
        };
        let body: Vec<u8> = items.iter().flat_map(|item| number(item).to_le_bytes()).collect();
        let request = Request { route: "/", signal: data.signal(), body: body.into(), items: items.to_vec() };
        Encoded { requests: vec![request], dropped: Vec::new() }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        let mut taken = self.of(request.signal);
        let numbers: Vec<u64> = request.body.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let is_oldest = numbers.first() == Some(&(taken.numbers.len() as u64));
        taken.is_down &= !(taken.is_back && is_oldest);
        if taken.is_down {
            return SendOutcome::Retryable { after: None, error: "503".to_owned() };
        }
        taken.numbers.extend(numbers);
        SendOutcome::delivered()
    }
}

/// An exporter's delivery with its backend.
struct Side {
    delivery: Arc<Delivery>,
    backend: Arc<Backend>,
    telemetry: Arc<ComponentTelemetry>,
    /// Batches of points so far, and what they are accounted with.
    batches: u64,
    points_bytes: u64,
    records: u64,
}

impl Side {
    fn start(id: &str, directory: &Path, time: &FakeClock) -> Self {
        let identity = ComponentIdentity { kind: ComponentKind::Exporter, id: id.to_owned(), pipeline: None };
        let telemetry = Telemetry::new(time.clock()).component(identity);
        let sending_queue = QueueConfig { num_consumers: Some(1), ..QueueConfig::default() };
        let timeout = config::Duration::from_secs(15);
        let config = DeliveryConfig { sending_queue, retry_on_failure: RetryConfig::default(), timeout };
        let backend = Arc::new(Backend::default());
        let exporter: Arc<dyn Exporter> = Arc::clone(&backend) as Arc<dyn Exporter>;
        let place = Place {
            signals: Signal::ALL.to_vec(),
            directory: Some(directory.join(id)),
            memory: ByteSize::bytes(MEMORY),
            ..Place::default()
        };
        let delivery = Arc::new(Delivery::new(exporter, config, Arc::clone(&telemetry), time.clock()).at(place));
        tokio::spawn({
            let delivery = Arc::clone(&delivery);
            async move { delivery.run().await }
        });
        Side { delivery, backend, telemetry, batches: 0, points_bytes: 0, records: 0 }
    }

    /// Bytes of memory that its queues say they take.
    fn accounted(&self) -> u64 {
        self.telemetry.gauge("hornpipe_exporter_queue_memory", "By", "").get()
    }

    fn held(&self) -> u64 {
        Signal::ALL.iter().map(|signal| self.telemetry.signal(*signal).held.get()).sum()
    }

    fn dropped(&self) -> u64 {
        Signal::ALL.iter().map(|signal| self.telemetry.signal(*signal).dropped_total()).sum()
    }

    /// Offers a batch of points that are this backend's alone, as an exporter's own conversion makes them.
    async fn offer_points(&mut self, contexts: &[Arc<Context>]) {
        let first = self.batches * SERIES;
        let points = contexts.iter().zip(first..).map(|(context, number)| {
            let start = Timestamp::from_secs(number);
            let value = match number % 4 {
                0 => MetricValue::Distribution(Distribution::new(WireType::Timing, samples(20))),
                1 => MetricValue::Distribution(Distribution::new(WireType::Timing, samples(1))),
                2 => MetricValue::Gauge(1.0),
                _ => MetricValue::Count { sum: 1.0, samples: 1 },
            };
            let window = Window { start, end: start, interval: None };
            MetricPoint { context: Arc::clone(context), window, origin: Origin::Statsd, value }
        });
        let points = points.collect();
        self.batches += 1;
        let before = self.accounted();
        self.delivery.offer(Batch::new(MetricBatch { resource: resource(), scope: Arc::default(), points })).await;
        self.points_bytes += self.accounted().saturating_sub(before);
    }

    /// Offers records as the processors leave those of an access log, and waits until they are safe.
    async fn offer_records(&mut self, source: &Arc<LogSource>) {
        let records = (self.records..self.records + RECORDS).map(|number| {
            let text = format!("10.0.0.1 - - [15/Jan/2027:08:00:00 +0000] \"GET /{number} HTTP/1.1\" 200 1024 \"-\"");
            let mut log = Log::new(Body::Text(text.into()), Timestamp::from_secs(number), Arc::clone(source));
            log.time = log.observed_time;
            let texts = ["client.address", "http.request.method", "url.path", "network.protocol.version"];
            log.attributes.extend(texts.map(|key| (key.to_owned(), Value::String(number.to_string()))));
            let numbers = ["http.response.status_code", "http.response.body.size"];
            log.attributes.extend(numbers.map(|key| (key.to_owned(), Value::Int(number as i64))));
            log
        });
        let batch = LogBatch { resource: resource(), scope: Arc::default(), records: records.collect() };
        self.records += RECORDS;
        let (ack, outcome) = Ack::new();
        self.delivery.offer(Batch::with_ack(batch, Some(ack))).await;
        assert!(matches!(outcome.await, Ok(Outcome::Durable | Outcome::Delivered)));
    }
}

fn samples(count: u32) -> Samples {
    Samples::from_values((0..count).map(f64::from).collect())
}

/// A number of bytes that the kernel knows of this process.
fn of_the_kernel(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A directory that is gone at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn ten_minutes_without_backends_take_the_memory_of_the_queues_and_lose_double_and_reorder_nothing() {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outage-{}", std::process::id())));
    let tags: Tags = ["env:prod", "region:eu-1"].into_iter().collect();
    let name = |number| format!("webshop.gunicorn.request.duration.{number}");
    let contexts: Vec<_> = (0..SERIES).map(|number| Arc::new(Context::new(&name(number), tags.clone()))).collect();
    let source = Arc::new(LogSource { path: "/var/log/access.log".to_owned(), ..LogSource::default() });
    let time = FakeClock::new();
    let mut sides = ["one", "two"].map(|id| Side::start(id, &folder.0, &time));
    // What is made once is made.
    for side in &mut sides {
        side.offer_points(&contexts).await;
        side.offer_records(&source).await;
    }
    drain(&time, &sides).await;
    each(&sides, |taken| taken.is_down = true);
    let before = of_the_kernel("VmRSS");
    let (mut accounted, budget) = (0, 4 * MEMORY);

    for window in 1..=WINDOWS {
        for side in &mut sides {
            side.offer_records(&source).await;
            // Nearly as many points as there is room for, by the queue's own account.
            while side.points_bytes < MEMORY / 100 * 95 * window / WINDOWS {
                side.offer_points(&contexts).await;
            }
        }
        time.advance(Duration::from_secs(10)).await;
        assert_eq!(sides.iter().map(Side::dropped).sum::<u64>(), 0, "window {window}");
        accounted = sides.iter().map(Side::accounted).sum::<u64>().max(accounted);
    }
    assert!(
        (budget / 2 / 10 * 9..=budget).contains(&accounted),
        "{accounted} bytes: queues that are not full, or too full"
    );
    let taken = of_the_kernel("VmHWM") - before;
    assert!(taken <= accounted + OVERHEAD, "{} KiB taken, {} KiB accounted for", taken >> 10, accounted >> 10);

    each(&sides, |taken| taken.is_back = true);
    drain(&time, &sides).await;
    for side in &sides {
        assert_eq!(side.dropped(), 0);
        let points = std::mem::take(&mut side.backend.of(Signal::Metrics).numbers);
        assert!(points.into_iter().eq(0..side.batches * SERIES), "each point once, the oldest first");
        // Of logs another request may have been on its way, and then came first.
        assert_each_once(0..side.records, std::mem::take(&mut side.backend.of(Signal::Logs).numbers));
    }
    let taken = of_the_kernel("VmHWM") - before;
    assert!(taken <= budget + SENDING, "{} KiB taken while the queues were sent", taken >> 10);
}

/// Changes all backends.
fn each(sides: &[Side], change: impl Fn(&mut Taken)) {
    sides
        .iter()
        .flat_map(|side| Signal::ALL.map(|signal| side.backend.of(signal)))
        .for_each(|mut taken| change(&mut taken));
}

/// Moves the clock on until nothing is queued.
async fn drain(time: &FakeClock, sides: &[Side]) {
    for _ in 0..10_000 {
        if sides.iter().all(|side| side.held() == 0) {
            return;
        }
        time.advance(Duration::from_millis(500)).await;
        // The disk's thread has a time of its own.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?} items are left", sides.iter().map(Side::held).collect::<Vec<_>>());
}
