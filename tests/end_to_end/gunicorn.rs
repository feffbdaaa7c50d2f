//! Real Gunicorn: every request and every logged error arrives exactly once at every backend, from one pipeline.

use std::collections::BTreeMap;
use std::thread;

use hornpipe_engine::testing::{SeriesPoint, SeriesType};

use crate::support::{Backends, Directory, Gunicorn, Hornpipe, Sample, Tee, free_address, metrics_pipeline};

/// What is asked for, with how often. Slow requests stretch the run over several windows of one second.
const REQUESTS: [(&str, u16, usize); 13] = [
    ("/status/200", 200, 31),
    ("/status/201", 201, 2),
    ("/status/204", 204, 3),
    ("/status/302", 302, 5),
    ("/status/404", 404, 7),
    ("/status/418", 418, 1),
    ("/status/503", 503, 4),
    ("/raise", 500, 3),
    ("/log/warning", 200, 4),
    ("/log/error", 200, 3),
    ("/log/critical", 200, 2),
    ("/log/exception", 200, 5),
    ("/sleep/100", 200, 60),
];

/// Of the list above every so many-th is asked for in a row, to mix quick and slow requests.
const STRIDE: usize = 11;

/// Clients that ask at the same time.
const CLIENTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n_requests_count_exactly_n_at_every_backend() {
    let backends = Backends::start().await;
    let statsd = free_address();
    let directory = Directory::new();
    let interval = "    aggregation_interval: 1s\n";
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, interval, &backends.exporters()));
    let hornpipe = Hornpipe::start(&config, statsd);
    let tee = Tee::start(statsd);
    let gunicorn = Gunicorn::start(2, tee.address());
    drive(&gunicorn);
    gunicorn.stop();
    let passed: Vec<Sample> = tee.finish().iter().map(|line| Sample::parse(line)).collect();
    hornpipe.stop_without_drops();

    let requests: usize = REQUESTS.iter().map(|(_, _, count)| count).sum();
    backends.assert_counter("gunicorn.requests", &[], requests as f64);
    for (status, count) in expected_statuses() {
        backends.assert_counter(&format!("gunicorn.request.status.{status}"), &[], count as f64);
    }
    for (level, count) in expected_logs() {
        backends.assert_counter(&format!("gunicorn.log.{level}"), &[], count as f64);
    }
    let durations: Vec<f64> =
        passed.iter().filter(|sample| sample.name == "gunicorn.request.duration").map(|sample| sample.value).collect();
    assert_eq!(durations.len(), requests);
    backends.assert_histogram("gunicorn.request.duration", &[], &durations);
    assert_windows(&backends, &durations);
    for (kind, server) in backends.otlp() {
        let total = server.histogram("gunicorn.request.duration", &[]);
        let extremes = (total.min, total.max);
        assert_eq!(extremes, (minimum(&durations), maximum(&durations)), "extremes over {kind}");
        assert!(
            !server.metrics().iter().any(|name| name.ends_with("percentile")),
            "one histogram, no series, over {kind}"
        );
    }
    let workers = backends.datadog.points("gunicorn.workers");
    assert_eq!(workers.last().map(|point| (point.kind, point.value)), Some((SeriesType::Gauge, 2.0)));
    backends.assert_clean();
}

/// Asks for everything, mixed, several clients at once.
fn drive(gunicorn: &Gunicorn) {
    let ordered: Vec<(&str, u16)> =
        REQUESTS.iter().flat_map(|&(path, status, count)| std::iter::repeat_n((path, status), count)).collect();
    let all: Vec<(&str, u16)> =
        (0..STRIDE).flat_map(|start| ordered.iter().skip(start).step_by(STRIDE)).copied().collect();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mine = all.iter().skip(client).step_by(CLIENTS);
            scope.spawn(move || {
                for &(path, status) in mine {
                    assert_eq!(gunicorn.get(path), status, "{path}");
                }
            });
        }
    });
}

fn expected_statuses() -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for (_, status, count) in REQUESTS {
        *statuses.entry(status).or_default() += count;
    }
    statuses
}

/// A request that fails is logged as an exception, beside those that the application logs.
fn expected_logs() -> [(&'static str, usize); 4] {
    let asked = |path| REQUESTS.iter().filter(|request| request.0 == path).map(|request| request.2).sum::<usize>();
    [
        ("warning", asked("/log/warning")),
        ("error", asked("/log/error")),
        ("critical", asked("/log/critical")),
        ("exception", asked("/log/exception") + asked("/raise")),
    ]
}

/// Datagrams keep their order on the loopback interface, so the windows cut the recorded durations one after another,
/// each as long as its count says. Each window's series must be what the Datadog Agent computes of its part.
fn assert_windows(backends: &Backends, durations: &[f64]) {
    let series = |suffix: &str| backends.datadog.points(&format!("gunicorn.request.duration.{suffix}"));
    let counts = series("count");
    assert!(counts.len() >= 2, "the run took more than one window: {counts:?}");
    let mut rest = durations;
    for (index, count) in counts.iter().enumerate() {
        let (window, behind) = rest.split_at(count.as_count().round() as usize);
        rest = behind;
        let mut sorted = window.to_vec();
        sorted.sort_by(f64::total_cmp);
        let size = sorted.len();
        let expected = [
            ("max", sorted[size - 1]),
            ("median", sorted[(size - 1) / 2]),
            ("95percentile", sorted[(95 * size - 1) / 100]),
            ("avg", window.iter().sum::<f64>() / size as f64),
        ];
        for (suffix, value) in expected {
            let point: &SeriesPoint = &series(suffix)[index];
            assert_eq!((point.timestamp, point.kind), (count.timestamp, SeriesType::Gauge), "{suffix}");
            assert!(
                (point.value - value).abs() <= 1e-9 * value,
                "{suffix} of window {index}: {} not {value}",
                point.value
            );
        }
    }
    assert!(rest.is_empty(), "windows hold all durations");
}

fn minimum(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

fn maximum(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}
