//! Points and records as a Gunicorn host sends them.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use hornpipe_model::{
    Body, Context, Data, Distribution, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin,
    Resource, Samples, Severity, Tags, Timestamp, Window, WireType,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Items in each batch: as many series as a busy host has, and as many records as fit into a request.
const POINTS: usize = 2_000;
const RECORDS: usize = 1_000;
/// Samples of a timer in a window.
const SAMPLES: usize = 20;

/// Each with a name.
pub fn all() -> Vec<(&'static str, Data)> {
    let mut random = Rng::with_seed(1);
    let mut timer = |wire_type| {
        let mut samples = Samples::new();
        for _ in 0..SAMPLES {
            samples.push(f64::from(random.u32(400..400_000)) / 1_000.0, 1.0);
        }
        MetricValue::Distribution(Distribution::new(wire_type, samples))
    };
    let timings = points("request.duration", |_| timer(WireType::Timing));
    let distributions = points("request.duration", |_| timer(WireType::Distribution));
    let counts = points("requests", |index| MetricValue::Count { sum: (index % 400) as f64, samples: 1 });
    vec![
        ("counter", counts),
        ("timer, 5 series", timings),
        ("distribution", distributions),
        ("access log line", lines(&mut random)),
        ("traceback", tracebacks(&mut random)),
    ]
}

/// A series a point, with four tags.
fn points(metric: &str, mut value: impl FnMut(usize) -> MetricValue) -> Data {
    let start = Timestamp::from_secs(NOW.as_secs() - 10);
    let window = Window { start, end: NOW, interval: Some(Duration::from_secs(10)) };
    let points = (0..POINTS)
        .map(|index| {
            let worker = format!("worker:{}", index % 16);
            let tags: Tags = ["env:prod", "region:eu-1", "version:1.4", &worker].into_iter().collect();
            let name = format!("webshop-{:04}.production.gunicorn.{metric}", index / 16);
            MetricPoint {
                context: Arc::new(Context::new(&name, tags)),
                window,
                origin: Origin::Statsd,
                value: value(index),
            }
        })
        .collect();
    MetricBatch { resource: resource(), scope: Arc::default(), points }.into()
}

fn lines(random: &mut Rng) -> Data {
    const PATHS: [&str; 5] = ["/", "/cart", "/products/", "/static/app.js", "/api/v1/orders/"];
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "curl/8.5.0",
    ];
    records("/var/log/gunicorn/access.log", Severity::INFO, |index| {
        let address = format!("10.{}.{}.{}", random.u8(..), random.u8(..), random.u8(1..));
        let (path, id) = (PATHS[random.usize(..PATHS.len())], random.u32(1..100_000));
        let (size, agent) = (random.u32(200..90_000), AGENTS[random.usize(..AGENTS.len())]);
        let second = index / 50;
        format!(
            "{address} - - [15/Jan/2027:08:{:02}:{:02} +0000] \"GET {path}{id} HTTP/1.1\" 200 {size} \"-\" \"{agent}\"",
            second / 60,
            second % 60
        )
    })
}

fn tracebacks(random: &mut Rng) -> Data {
    records("/var/log/gunicorn/error.log", Severity::ERROR, |_| {
        let mut text = format!("[2027-01-15 08:00:00 +0000] [{}] [ERROR] Error handling request", random.u16(100..));
        text.push_str("\nTraceback (most recent call last):");
        for depth in 0..random.usize(4..9) {
            let line = random.u16(1..2_000);
            text.push_str(&format!(
                "\n  File \"/app/shop/views_{depth}.py\", line {line}, in handle_{depth}\n    return self.run(request)"
            ));
        }
        text.push_str("\nValueError: boom");
        text
    })
}

/// As a file's, of two workers' applications.
fn records(path: &str, severity: Severity, mut text: impl FnMut(usize) -> String) -> Data {
    let source = Arc::new(LogSource {
        path: path.to_owned(),
        service: "webshop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod", "region:eu-1", "version:1.4"].into_iter().collect(),
    });
    let records = (0..RECORDS)
        .map(|index| Log {
            time: NOW.after(Duration::from_millis(index as u64 * 20)),
            severity,
            ..Log::new(Body::Text(text(index).into()), NOW, Arc::clone(&source))
        })
        .collect();
    LogBatch { resource: resource(), scope: Arc::default(), records }.into()
}

fn resource() -> Arc<Resource> {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web-1.eu-1.example.com");
    Arc::new(resource)
}
