//! Bodies decoded by a program of another language, written from the protocol's field tables: `tests/golden/decode.py`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p hornpipe-datadog-exporter golden_files` writes the golden files anew; read the
//! difference.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, fs};

use flate2::read::{GzDecoder, ZlibDecoder};
use hornpipe_engine::component::Request;
use hornpipe_engine::http::Compression;
use hornpipe_model::distribution::Rendering;
use hornpipe_model::{
    AlertType, Body, CheckStatus, Distribution, Event, EventPriority, Log, LogBatch, LogSource, MetricPoint,
    MetricValue, Resource, ServiceCheck, Severity, Temporality, Timestamp, Trace, Value, WireType,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message;

use super::decode::{series_json, sketches_json};
use super::limits::any_point;
use super::points::{START, batch, count, distribution, reading, samples, statsd, with};
use crate::encode::Encoder;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// A point of every kind, with the host, resources, tags and numbers that are written in a way of their own.
fn points() -> Vec<MetricPoint> {
    let delta = MetricValue::Sum { value: -7.0, monotonic: false, temporality: Temporality::Delta };
    let mut noted = Distribution::new(WireType::Distribution, samples((1..=1000).map(f64::from)));
    let percentiles = vec!["0.5".parse().unwrap(), "0.999".parse().unwrap()];
    noted.note = Some(Arc::new(Rendering { aggregates: Vec::new(), percentiles }));
    let check =
        |status, message: &str| MetricValue::ServiceCheck(Box::new(ServiceCheck { status, message: message.into() }));
    let long = "x".repeat(200);
    let weighted = {
        let mut samples = samples([-2.5, 0.0, 1e-12, 7.25]);
        assert!(samples.push(1e12, 2.5));
        MetricValue::Distribution(Distribution::new(WireType::Distribution, samples))
    };
    vec![
        statsd("gunicorn.requests", &["env:prod", "bare", "worker:1"], count(30.0)),
        statsd("gunicorn.requests", &["env:prod"], MetricValue::Count { sum: 0.0, samples: 0 }),
        statsd("gunicorn.workers", &[], MetricValue::Gauge(4.0)),
        statsd("app.negative", &["uni:größe ☃"], MetricValue::Gauge(-1.0 / 3.0)),
        statsd("app.long", &[&long], MetricValue::Gauge(f64::MAX)),
        statsd(
            "app.disk",
            &["dd.internal.card:low", "dd.internal.resource:aws_rds:db-1", "device:sda", "a:b"],
            count(1.0),
        ),
        with(statsd("app.elsewhere", &["host:web3"], count(1.0)), Some("web2"), "By"),
        with(statsd("app.nowhere", &[], count(1.0)), Some(""), "s"),
        statsd("gunicorn.request.duration", &["env:prod"], distribution(WireType::Timing, (1..=20).map(f64::from))),
        statsd("app.size", &[], distribution(WireType::Histogram, [2.0])),
        statsd("app.noted", &[], MetricValue::Distribution(noted)),
        reading("gunicorn.workers", &["app:web", "state:idle"], MetricValue::Gauge(2.0)),
        reading("app.delta", &[], delta),
        statsd(
            "app.latency",
            &["env:prod", "device:sda"],
            distribution(WireType::Distribution, (1..=20).map(f64::from)),
        ),
        statsd("app.odd", &[], weighted),
        with(statsd("app.far", &["host:"], distribution(WireType::Distribution, [1.0])), Some("web2"), ""),
        reading(
            "gunicorn.is_running",
            &["app:web", "dd.internal.card:low"],
            check(CheckStatus::Critical, "no \"master\"\n"),
        ),
        with(reading("app.ok", &[], check(CheckStatus::Ok, "")), Some(""), ""),
    ]
}

/// A record of every kind.
fn records() -> Vec<Log> {
    let observed = Timestamp::from_nanos(START * 1_000_000_000 + 123_456_789);
    let source = Arc::new(LogSource {
        path: "/var/log/gunicorn/error.log".to_owned(),
        service: "shop".to_owned(),
        source: "gunicorn".to_owned(),
        tags: ["env:prod", "odd,tag", "dd.internal.card:low", "quote:\"\\"].iter().collect(),
    });
    let log = |body: Body| Log::new(body, observed, Arc::clone(&source));
    let text = |text: &str| log(Body::Text(text.into()));
    let nested = Value::Map(vec![
        ("list".to_owned(), Value::Array(vec![Value::Int(i64::MIN), Value::Bool(true), Value::Double(0.1)])),
        ("bytes".to_owned(), Value::Bytes(vec![0, 255])),
        ("not_a_number".to_owned(), Value::Double(f64::NAN)),
    ]);
    let every_escape: String = (0..0x80).filter_map(char::from_u32).collect();
    let event = Event {
        title: "Deploy".to_owned(),
        text: "version 7\nis out".to_owned(),
        host: Some("web2".into()),
        priority: EventPriority::Low,
        alert_type: AlertType::Success,
        aggregation_key: "deploys".to_owned(),
        source_type_name: "jenkins".to_owned(),
        ..Event::default()
    };
    vec![
        Log { severity: Severity::ERROR, severity_text: "ERROR".into(), ..text("Traceback:\n  \"boom\"") },
        text(&every_escape),
        text("größer ☃ 𝄞 \u{7f}\u{2028}"),
        log(Body::Bytes(b"caf\xe9 \xff".to_vec().into())),
        log(Body::Value(nested.clone())),
        Log {
            time: Timestamp::from_secs(START),
            severity_text: "Notice".into(),
            attributes: vec![
                ("process.pid".to_owned(), Value::Int(7)),
                ("status".to_owned(), Value::from("own")),
                ("nested".to_owned(), nested),
                ("quo\"te".to_owned(), Value::from("a\tb")),
            ],
            trace: Some(Box::new(Trace {
                trace_id: [
                    0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36,
                ],
                span_id: [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7],
                flags: 0,
            })),
            event_name: "device.started".into(),
            ..text("traced")
        },
        Log::new(Body::Text("no source".into()), Timestamp::UNKNOWN, Arc::default()),
        event.into_log(observed, source),
    ]
}

fn log_batch(records: Vec<Log>) -> LogBatch {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    LogBatch { resource: Arc::new(resource), scope: Arc::default(), records }
}

fn requests(compression: Compression, points: Vec<MetricPoint>, records: Vec<Log>) -> Vec<Request> {
    let encoder = Encoder { hostname: None, compression };
    let items = |count: usize| (0..count as u32).collect::<Vec<_>>();
    let metrics = encoder.encode(&batch(points.clone()), &items(points.len()));
    let logs = encoder.encode_logs(&log_batch(records.clone()), &items(records.len()));
    metrics.requests.into_iter().chain(logs.requests).collect()
}

/// The bodies of some files, decoded in Python: route, content encoding, path.
fn decode(bodies: &[(&str, &str, PathBuf)]) -> Vec<serde_json::Value> {
    let mut python = Command::new("python3")
        .arg(Path::new(DIRECTORY).join("decode.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed: apt-get install python3");
    let lines: String =
        bodies.iter().map(|(route, encoding, path)| format!("{route} {encoding} {}\n", path.display())).collect();
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let decoded: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(decoded.len(), bodies.len());
    decoded
}

/// Compares with a golden file, or writes it where the tests are told to.
fn assert_golden(name: &str, found: &[u8]) {
    let path = Path::new(DIRECTORY).join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(golden == found, "{name} is not what is written now; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn what_is_written_is_in_the_golden_files_and_another_decoder_reads_it_as_they_say() {
    let requests = requests(Compression::None, points(), records());
    let names = ["series", "sketches", "check_run", "logs", "events"];
    let routes = ["/api/v2/series", "/api/beta/sketches", "/api/v1/check_run", "/api/v2/logs", "/api/v1/events"];
    assert_eq!(requests.iter().map(|request| request.route).collect::<Vec<_>>(), routes);
    for (request, name) in requests.iter().zip(names) {
        assert_golden(&format!("{name}.body"), &request.body);
    }
    let bodies: Vec<_> = routes
        .iter()
        .zip(names)
        .map(|(&route, name)| (route, "identity", Path::new(DIRECTORY).join(format!("{name}.body"))))
        .collect();
    for (decoded, name) in decode(&bodies).iter().zip(names) {
        let text = format!("{}\n", serde_json::to_string_pretty(decoded).unwrap());
        assert_golden(&format!("{name}.json"), text.as_bytes());
    }
}

/// What prost, or serde_json, reads in a body.
fn read_here(request: &Request, compression: Compression) -> serde_json::Value {
    let mut body = Vec::new();
    match compression {
        Compression::Gzip if request.route != "/api/v1/events" => GzDecoder::new(&*request.body).read_to_end(&mut body),
        Compression::Deflate if request.route != "/api/v1/events" => {
            ZlibDecoder::new(&*request.body).read_to_end(&mut body)
        }
        _ => (&*request.body).read_to_end(&mut body),
    }
    .unwrap();
    let value = match request.route {
        "/api/v2/series" => series_json(&Message::decode(&*body).unwrap()),
        "/api/beta/sketches" => sketches_json(&Message::decode(&*body).unwrap()),
        _ => return serde_json::from_slice(&body).unwrap(),
    };
    // Numbers are compared as text is read, on both sides.
    serde_json::from_str(&value.to_string()).unwrap()
}

fn any_record() -> impl Strategy<Value = Log> {
    let text = "(?s).{0,80}";
    let source = (text, proptest::collection::vec(text, 0..4)).prop_map(|(path, tags)| {
        Arc::new(LogSource { path, service: String::new(), source: String::new(), tags: tags.iter().collect() })
    });
    let attributes = proptest::collection::btree_map(text, text, 0..4);
    (text, source, 0..25_u8, attributes).prop_map(|(text, source, severity, attributes)| Log {
        severity: Severity(severity),
        attributes: attributes.into_iter().map(|(key, value)| (key, Value::from(value.as_str()))).collect(),
        ..Log::new(Body::Text(text.into()), Timestamp::from_secs(START), source)
    })
}

#[test]
fn another_decoder_reads_whatever_is_sent_as_the_tests_own_does_in_every_container() {
    let directory = env::temp_dir().join(format!("hornpipe-golden-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let mut runner = TestRunner::deterministic();
    let (mut bodies, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let points = proptest::collection::vec(any_point(), 1..30).new_tree(&mut runner).unwrap().current();
        let records = proptest::collection::vec(any_record(), 1..30).new_tree(&mut runner).unwrap().current();
        for compression in [Compression::None, Compression::Gzip, Compression::Deflate] {
            for request in requests(compression, points.clone(), records.clone()) {
                let path = directory.join(bodies.len().to_string());
                fs::write(&path, &request.body).unwrap();
                bodies.push((request.route, compression.content_encoding().unwrap_or("identity"), path));
                expected.push(read_here(&request, compression));
            }
        }
    }
    let decoded = decode(&bodies);
    for ((decoded, expected), (route, encoding, _)) in decoded.iter().zip(&expected).zip(&bodies) {
        assert_eq!(decoded, expected, "{route} {encoding}");
    }
    assert!(bodies.len() > 150, "{}", bodies.len());
    fs::remove_dir_all(&directory).unwrap();
}
