//! The whole receiver, on a real socket and a clock that moves when told to.

mod bounds;
mod transports;

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry};
use hornpipe_engine::testing::{
    CollectingSink, FakeClock, ReceiverBench, assert_accounted, build_context, check_receiver_contract, eventually,
    item_name,
};
use hornpipe_engine::{Shutdown, ShutdownTrigger};
use hornpipe_model::{Data, MetricBatch, MetricValue, Origin, Resource, Signal, Timestamp};
use tokio::task::JoinHandle;

use super::{Key, Value, by_key, key};
use crate::StatsdConfig;

const ANY_PORT: &str = "127.0.0.1:0";

fn config(endpoint: &str) -> StatsdConfig {
    StatsdConfig { endpoint: endpoint.to_owned(), ..StatsdConfig::default() }
}

/// The socket that the context gives out for [`ANY_PORT`] is always the same, so its port can be asked for beforehand.
fn address_of(context: &BuildContext) -> SocketAddr {
    context.sockets.udp(ANY_PORT.parse().unwrap()).unwrap().local_addr().unwrap()
}

/// A running receiver.
struct Run {
    sink: CollectingSink,
    telemetry: Arc<ComponentTelemetry>,
    client: UdpSocket,
    address: SocketAddr,
    stop: ShutdownTrigger,
    task: JoinHandle<Result<(), String>>,
}

impl Run {
    async fn start(time: &FakeClock) -> Self {
        Run::start_with(time, &config(ANY_PORT), build_context(ComponentKind::Receiver, "statsd", time)).await
    }

    async fn start_with(time: &FakeClock, config: &StatsdConfig, context: BuildContext) -> Self {
        let sink = CollectingSink::new(time);
        let telemetry = Arc::clone(&context.telemetry);
        let address = address_of(&context);
        let outputs = Outputs { metrics: Some(sink.output(Signal::Metrics, &telemetry)), logs: None };
        let (stop, shutdown) = Shutdown::new();
        let task = tokio::spawn(config.build(context).unwrap().run(outputs, shutdown));
        time.settle().await;
        Run { sink, telemetry, client: UdpSocket::bind(ANY_PORT).unwrap(), address, stop, task }
    }

    fn send(&self, datagram: &str) {
        self.client.send_to(datagram.as_bytes(), self.address).unwrap();
    }

    /// Waits until so many lines have been read.
    async fn received(&self, lines: u64) {
        let counters = self.telemetry.signal(Signal::Metrics);
        eventually("lines are read", || counters.received.get() == lines).await;
    }

    /// Waits for so many batches.
    async fn batches(&self, count: usize) -> Vec<Arc<MetricBatch>> {
        self.sink.wait_until("windows are sent", |batches| batches.len() >= count).await;
        let metrics = |data| match data {
            Data::Metrics(batch) => batch,
            Data::Logs(_) => panic!("metrics only"),
        };
        self.sink.batches().into_iter().map(|collected| metrics(collected.data)).collect()
    }

    /// Stops the receiver, which flushes, and returns all batches.
    async fn finish(self) -> Vec<Arc<MetricBatch>> {
        self.stop.request();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap().unwrap();
        assert_accounted(&self.telemetry, Signal::Metrics);
        assert_eq!(self.telemetry.signal(Signal::Metrics).held.get(), 0);
        let mut batches = Vec::new();
        for collected in self.sink.batches() {
            if let Data::Metrics(batch) = collected.data {
                batches.push(batch);
            }
        }
        batches
    }

    fn own_number(&self, name: &str) -> u64 {
        self.telemetry.levels().iter().find(|level| level.name == name).unwrap().value.get()
    }
}

fn count(name: &str) -> Key {
    (name.to_owned(), "count", vec![], None)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(FakeClock::START.as_nanos() + millis * 1_000_000)
}

/// The receiver that was built last: its address and its counters.
struct Bench(Mutex<Option<(SocketAddr, Arc<ComponentTelemetry>)>>);

#[async_trait]
impl ReceiverBench for Bench {
    fn build(&self, context: BuildContext) -> Box<dyn Receiver> {
        *self.0.lock().unwrap() = Some((address_of(&context), Arc::clone(&context.telemetry)));
        config(ANY_PORT).build(context).unwrap()
    }

    /// Sends a line for each number, and waits until they are read: the reader's thread runs in real time, which a clock
    /// that stands still knows nothing of.
    async fn feed(&self, numbers: Range<u64>) {
        let (address, telemetry) = self.0.lock().unwrap().clone().unwrap();
        let client = UdpSocket::bind(ANY_PORT).unwrap();
        let end = numbers.end;
        for number in numbers {
            client.send_to(format!("{}:1|c", item_name(number)).as_bytes(), address).unwrap();
        }
        eventually("lines are read", || telemetry.signal(Signal::Metrics).received.get() == end).await;
    }
}

#[tokio::test]
async fn it_keeps_a_receivers_promises() {
    check_receiver_contract(&Bench(Mutex::default())).await;
}

#[tokio::test]
async fn a_window_becomes_one_batch_with_a_point_for_each_series() {
    let time = FakeClock::starting_at(at(3_000));
    let run = Run::start(&time).await;
    run.send("hits:1|c|#a:1,b:2\nhits:2|c|#b:2,a:1|@0.5\n");
    run.send("hits:1|g|#a:1,b:2\nload:0.5|g|#host:web7\nload:0.7|g|#host:web7");
    run.send("time:10:20|ms|@0.5\nsize:1|h\nshare:1|d\nusers:a|s\nusers:b|s\nusers:a|s");
    run.received(11).await;
    assert_eq!(run.telemetry.signal(Signal::Metrics).held.get(), 11);
    time.advance(Duration::from_secs(7)).await;
    let batches = run.batches(1).await;
    let batch = &batches[0];
    assert_eq!(batch.resource.get(Resource::HOST_NAME).unwrap().as_str(), Some("test-host"));
    assert_eq!(
        (batch.scope.name.as_str(), batch.scope.version.as_str()),
        ("hornpipe/statsd", env!("CARGO_PKG_VERSION"))
    );
    for point in &batch.points {
        assert_eq!((point.window.start, point.window.end), (at(3_000), at(10_000)));
        assert_eq!((point.window.interval, point.origin), (Some(Duration::from_secs(10)), Origin::Statsd));
    }
    let names: Vec<_> = batch.points.iter().map(|point| key(point).0).collect();
    assert_eq!(names, ["hits", "hits", "load", "time", "size", "share", "users"], "in the order of their first lines");
    let tags = || vec!["a:1".to_owned(), "b:2".to_owned()];
    let values = by_key(&batch.points);
    let expected = [
        (("hits".to_owned(), "count", tags(), None), Value::Count { sum: 5.0, samples: 2 }),
        (("hits".to_owned(), "gauge", tags(), None), Value::Gauge(1.0)),
        (("load".to_owned(), "gauge", vec![], Some("web7".to_owned())), Value::Gauge(0.7)),
        (("time".to_owned(), "ms", vec![], None), Value::Samples(vec![(10.0, 2.0), (20.0, 2.0)])),
        (("size".to_owned(), "h", vec![], None), Value::Samples(vec![(1.0, 1.0)])),
        (("share".to_owned(), "d", vec![], None), Value::Samples(vec![(1.0, 1.0)])),
        (("users".to_owned(), "gauge", vec![], None), Value::Gauge(2.0)),
    ];
    assert_eq!(values, expected.into_iter().collect());
    let counters = run.telemetry.signal(Signal::Metrics);
    eventually("held lines become passed ones", || (counters.held.get(), counters.passed.get()) == (0, 11)).await;
    assert_eq!((counters.emitted.get(), run.own_number("hornpipe_statsd_contexts")), (7, 7));
    assert_eq!(run.own_number("hornpipe_statsd_packets"), 3);
}

#[tokio::test]
async fn a_series_has_the_same_context_in_every_window() {
    let time = FakeClock::new();
    let run = Run::start(&time).await;
    for window in 1..=3 {
        run.send("hits:1|c|#a:1");
        run.received(window).await;
        time.advance(Duration::from_secs(10)).await;
        run.batches(window as usize).await;
    }
    let points = run.sink.points();
    assert_eq!(points.len(), 3);
    assert!(points.iter().all(|point| Arc::ptr_eq(&point.context, &points[0].context)));
    let starts: Vec<_> = points.iter().map(|point| point.window.start).collect();
    assert_eq!(starts, [at(0), at(10_000), at(20_000)]);
}

#[tokio::test]
async fn a_counter_without_values_goes_on_as_zero() {
    let time = FakeClock::new();
    let config = StatsdConfig { counter_expiry: "20s".parse().unwrap(), ..config(ANY_PORT) };
    let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
    run.send("hits:3|c\nload:1|g");
    run.received(2).await;
    for window in 1..=3 {
        time.advance(Duration::from_secs(10)).await;
        run.batches(window).await;
    }
    time.advance(Duration::from_secs(30)).await;
    let batches = run.finish().await;
    let values: Vec<_> =
        batches.iter().map(|batch| (batch.points.len(), by_key(&batch.points)[&count("hits")].clone())).collect();
    let zero = Value::Count { sum: 0.0, samples: 0 };
    assert_eq!(values, [(2, Value::Count { sum: 3.0, samples: 1 }), (1, zero.clone()), (1, zero)]);
}

#[tokio::test]
async fn a_stop_sends_the_open_window_with_what_nobody_has_read_yet() {
    let time = FakeClock::new();
    let run = Run::start(&time).await;
    run.send("hits:1|c");
    run.received(1).await;
    time.advance(Duration::from_secs(10)).await;
    run.batches(1).await;
    time.advance(Duration::from_millis(2_500)).await;
    for _ in 0..100 {
        run.send("hits:1|c");
    }
    let batches = run.finish().await;
    let last = &batches[1].points[0];
    assert_eq!(by_key(&batches[1].points)[&count("hits")], Value::Count { sum: 100.0, samples: 100 });
    assert_eq!((last.window.start, last.window.end), (at(10_000), at(12_500)));
    assert_eq!(last.window.interval, Some(Duration::from_secs(10)));
}

#[tokio::test]
async fn processes_that_follow_each_other_never_share_a_stamp() {
    let time = FakeClock::starting_at(at(400));
    let mut sum = 0.0;
    let mut stamps = Vec::new();
    for lived in [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(3), Duration::from_secs(9)] {
        let run = Run::start(&time).await;
        run.send("hits:1|c");
        run.received(1).await;
        time.advance(lived).await;
        run.send("hits:1|c");
        run.stop.request();
        // It may wait for the end of the second in which it started.
        while !run.task.is_finished() {
            time.advance(Duration::from_millis(100)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for batch in run.finish().await {
            for point in &batch.points {
                stamps.push(point.window.start.as_secs_ceil());
                let Value::Count { sum: more, .. } = by_key(&batch.points)[&count("hits")] else { panic!() };
                sum += more;
            }
        }
        time.advance(Duration::from_millis(1)).await;
    }
    assert_eq!(sum, 8.0);
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[tokio::test]
async fn while_an_output_blocks_reading_goes_on_and_nothing_is_lost() {
    let time = FakeClock::new();
    let run = Run::start(&time).await;
    run.sink.hold();
    let mut sent = 0;
    for _ in 0..8 {
        for _ in 0..50 {
            run.send("hits:1|c\nhits:1|c");
        }
        sent += 100;
        run.received(sent).await;
        time.advance(Duration::from_secs(10)).await;
    }
    run.sink.release();
    run.stop.request();
    let batches = run.finish().await;
    let sums = batches.iter().map(|batch| match by_key(&batch.points)[&count("hits")] {
        Value::Count { sum, .. } => sum,
        _ => panic!("a counter"),
    });
    assert_eq!(sums.sum::<f64>(), 800.0);
    let windows: Vec<_> = batches.iter().map(|batch| batch.points[0].window).collect();
    assert!(windows.windows(2).all(|pair| pair[0].end == pair[1].start), "{windows:?}");
}

#[tokio::test]
async fn a_clock_set_back_gives_no_window_twice() {
    let time = FakeClock::new();
    let run = Run::start(&time).await;
    for window in 1..=6 {
        run.send("hits:1|c");
        run.received(window).await;
        if window == 3 {
            time.set_unix(at(0));
        }
        time.advance(Duration::from_secs(20)).await;
        run.batches(window as usize).await;
    }
    let batches = run.finish().await;
    let stamps: Vec<_> = batches.iter().map(|batch| batch.points[0].window.start.as_secs_ceil()).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[tokio::test]
async fn every_address_of_localhost_is_heard_and_they_feed_one_series() {
    let port = UdpSocket::bind(ANY_PORT).unwrap().local_addr().unwrap().port();
    let time = FakeClock::new();
    let context = build_context(ComponentKind::Receiver, "statsd", &time);
    let run = Run::start_with(&time, &config(&format!("localhost:{port}")), context).await;
    let mut lines = 0;
    for (address, local) in [
        (SocketAddr::from(([127, 0, 0, 1], port)), ANY_PORT),
        (SocketAddr::from((Ipv6Addr::LOCALHOST, port)), "[::1]:0"),
    ] {
        // A machine without IPv6 has one address only.
        let Ok(client) = UdpSocket::bind(local) else { continue };
        client.send_to(b"hits:1|c|#a,b\nusers:ann|s\nlevel:1|g", address).unwrap();
        client.send_to(b"hits:1|c|#b,a\nusers:bob|s\nlevel:2|g\ntime:5|ms", address).unwrap();
        lines += 7;
        run.received(lines).await;
    }
    let batches = run.finish().await;
    assert_eq!(batches.len(), 1);
    let values = by_key(&batches[0].points);
    let hits = ("hits".to_owned(), "count", vec!["a".to_owned(), "b".to_owned()], None);
    let readers = lines / 7;
    assert_eq!(values[&hits], Value::Count { sum: 2.0 * readers as f64, samples: 2 * readers });
    assert_eq!(values[&("users".to_owned(), "gauge", vec![], None)], Value::Gauge(2.0));
    assert_eq!(values[&("level".to_owned(), "gauge", vec![], None)], Value::Gauge(2.0));
    assert_eq!(values[&("time".to_owned(), "ms", vec![], None)], Value::Samples(vec![(5.0, 1.0); readers as usize]));
}

#[tokio::test]
async fn what_cannot_be_used_is_counted_by_reason() {
    let time = FakeClock::new();
    let config = StatsdConfig { max_contexts: 2, max_datagram_bytes: "512B".parse().unwrap(), ..config(ANY_PORT) };
    let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
    run.send("a:1|c\nbad\na:x|c\na:nan|g\nb:1:inf|h\nc:1|c\nc:1|c\n_e{1,9}:t|x\n_sc|app|9\n_sc|app|1|m:slow\na:1|c");
    run.send(&format!("a:1|c\n{}", "x".repeat(1_000)));
    run.received(13).await;
    time.advance(Duration::from_secs(10)).await;
    run.batches(1).await;
    let dropped = run.telemetry.signal(Signal::Metrics).dropped_by_reason();
    let expected = [
        ("context_limit", 2),
        ("invalid_event", 1),
        ("invalid_service_check", 1),
        ("invalid_value", 1),
        ("missing_type", 1),
        ("not_finite", 1),
        ("truncated", 1),
    ];
    assert_eq!(dropped.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(run.own_number("hornpipe_statsd_values_not_finite"), 1);
    assert_eq!(run.own_number("hornpipe_statsd_truncated_packets"), 1);
    let batches = run.finish().await;
    let values = by_key(&batches[0].points);
    assert_eq!(values[&count("a")], Value::Count { sum: 3.0, samples: 3 });
    let check = batches[0].points.iter().find(|point| key(point).1 == "check").unwrap();
    assert_eq!((check.window.start, check.window.interval), (at(0), None), "the time at which it came");
}

#[tokio::test]
async fn names_are_mapped_filtered_and_counted_and_every_packet_is_copied() {
    let time = FakeClock::new();
    let other = UdpSocket::bind(ANY_PORT).unwrap();
    let mut config: StatsdConfig = serde_json::from_str(
        r#"{"mapper_profiles": [{"name": "g", "prefix": "gunicorn.", "mappings": [{
                "match": "gunicorn.request.status.*", "name": "gunicorn.status", "tags": {"code": "$1"}}]}],
            "namespace": "shop", "metric_blocklist": ["shop.noise"]}"#,
    )
    .unwrap();
    config.endpoint = ANY_PORT.to_owned();
    config.forward_to = other.local_addr().unwrap().to_string();
    let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
    let packet = "gunicorn.request.status.200:1|c\nnoise:1|c\nnoise:1|c\nbad\ngunicorn.request.status.200:2|c\n";
    run.send(packet);
    run.received(5).await;
    let mut buffer = [0; 1_000];
    let length = other.recv(&mut buffer).unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer[..length]), packet);
    assert_eq!(run.own_number("hornpipe_statsd_forwarded_packets"), 1);
    assert_eq!(run.telemetry.facts()["forwards to"], config.forward_to);
    let dropped = run.telemetry.signal(Signal::Metrics).dropped_by_reason();
    assert_eq!(dropped.into_iter().collect::<Vec<_>>(), [("filtered", 2), ("missing_type", 1)]);
    let batches = run.finish().await;
    let status: Key = ("shop.gunicorn.status".to_owned(), "count", vec!["code:200".to_owned()], None);
    assert_eq!(by_key(&batches[0].points), [(status, Value::Count { sum: 3.0, samples: 2 })].into());
}

#[tokio::test]
async fn clients_are_told_apart_by_their_address_where_that_is_wanted() {
    let time = FakeClock::new();
    for (tag, expected) in
        [("", vec![(vec![], 60.0)]), ("ip", vec![(vec!["ip:127.0.0.1"], 20.0), (vec!["ip:127.0.0.2"], 40.0)])]
    {
        let config = StatsdConfig { source_address_tag: tag.to_owned(), ..config(ANY_PORT) };
        let run = Run::start_with(&time, &config, build_context(ComponentKind::Receiver, "statsd", &time)).await;
        // So many at once that the listener would ask for some addresses only.
        for (client, count) in [("127.0.0.1:0", 20), ("127.0.0.2:0", 40)] {
            let client = UdpSocket::bind(client).unwrap();
            for _ in 0..count {
                client.send_to(b"hits:1|c", run.address).unwrap();
            }
        }
        run.received(60).await;
        assert_eq!(run.own_number("hornpipe_statsd_bytes"), 60 * 8);
        let batches = run.finish().await;
        let found: Vec<_> = batches[0]
            .points
            .iter()
            .map(|point| {
                let MetricValue::Count { sum, .. } = point.value else { panic!("{point:?}") };
                (point.context.tags().iter().collect::<Vec<_>>(), sum)
            })
            .collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_about_the_endpoint() {
    let other = UdpSocket::bind(ANY_PORT).unwrap();
    let context = build_context(ComponentKind::Receiver, "statsd", &FakeClock::new());
    let Err(error) = config(&other.local_addr().unwrap().to_string()).build(context) else {
        panic!("the port is taken")
    };
    assert_eq!(error.option, "endpoint");
    assert!(error.message.contains("is taken"), "{error}");
}

#[tokio::test]
async fn without_a_metrics_pipeline_lines_are_counted_as_dropped() {
    let time = FakeClock::new();
    let context = build_context(ComponentKind::Receiver, "statsd", &time);
    let (telemetry, address) = (Arc::clone(&context.telemetry), address_of(&context));
    let (stop, shutdown) = Shutdown::new();
    let task = tokio::spawn(config(ANY_PORT).build(context).unwrap().run(Outputs::default(), shutdown));
    UdpSocket::bind(ANY_PORT).unwrap().send_to(b"a:1|c\nb:1|c", address).unwrap();
    stop.request();
    task.await.unwrap().unwrap();
    assert_accounted(&telemetry, Signal::Metrics);
    assert_eq!(telemetry.signal(Signal::Metrics).dropped_by_reason()["no_metrics_pipeline"], 2);
}
