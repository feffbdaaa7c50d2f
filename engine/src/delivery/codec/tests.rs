//! Batches that went through bytes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::distribution::{Aggregate, ExponentialHistogram, Percentile, Rendering};
use hornpipe_model::{
    Body, CheckStatus, Context, Distribution, Log, LogBatch, LogSource, MetricBatch, MetricPoint, MetricValue, Origin,
    Resource, Samples, Scope, ServiceCheck, Severity, Temporality, Trace, Value, Window, WireType,
};
use proptest::prelude::*;

use super::*;

const QUEUED: Timestamp = Timestamp::from_nanos(1_800_000_000_123_456_789);

fn encoded(data: &Data) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(data, QUEUED, &mut bytes);
    bytes
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i32>().prop_map(|number| Value::Double(f64::from(number) / 8.0)),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((".{0,4}", inner), 0..3).prop_map(Value::Map),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    proptest::collection::vec((".{0,6}", values()), 0..3)
}

fn origins() -> impl Strategy<Value = (Arc<Resource>, Arc<Scope>)> {
    (attributes(), attributes(), ".{0,6}").prop_map(|(of_resource, of_scope, text)| {
        let resource = Resource { attributes: of_resource, schema_url: text.clone() };
        let scope = Scope { name: text.clone(), version: text.clone(), attributes: of_scope, schema_url: text };
        (Arc::new(resource), Arc::new(scope))
    })
}

fn samples() -> impl Strategy<Value = Samples> {
    let entry = (-1e9..1e9_f64, prop_oneof![Just(1.0), Just(1.0 / 0.3)]);
    (proptest::collection::vec(entry, 0..40), any::<bool>()).prop_map(|(entries, compress)| {
        let mut samples = Samples::new();
        entries.iter().for_each(|&(value, weight)| assert!(samples.push(value, weight)));
        if compress {
            samples.compress();
        }
        samples
    })
}

fn metric_values() -> impl Strategy<Value = MetricValue> {
    let note = Rendering { aggregates: Aggregate::ALL.to_vec(), percentiles: vec![Percentile::P95] };
    prop_oneof![
        (-1e9..1e9_f64, any::<u64>()).prop_map(|(sum, samples)| MetricValue::Count { sum, samples }),
        (-1e9..1e9_f64).prop_map(MetricValue::Gauge),
        (samples(), any::<bool>()).prop_map(move |(samples, noted)| {
            let mut distribution = Distribution::new(WireType::Timing, samples);
            distribution.note = noted.then(|| Arc::new(note.clone()));
            MetricValue::Distribution(distribution)
        }),
        ".{0,9}".prop_map(|text| MetricValue::ServiceCheck(Box::new(ServiceCheck {
            status: CheckStatus::Critical,
            message: text.into()
        }))),
        (-1e9..1e9_f64, any::<bool>()).prop_map(|(value, monotonic)| MetricValue::Sum {
            value,
            monotonic,
            temporality: Temporality::Cumulative
        }),
        samples().prop_map(|samples| MetricValue::ExponentialHistogram {
            histogram: Arc::new(ExponentialHistogram::from_samples(&samples, 160)),
            temporality: Temporality::Delta,
        }),
    ]
}

fn points() -> impl Strategy<Value = MetricPoint> {
    let tags = proptest::collection::vec("[a-z]{1,4}:[a-z]{0,3}", 0..3);
    (".{1,9}", tags, any::<bool>(), metric_values()).prop_map(|(name, tags, foreign, value)| {
        let host = foreign.then_some("web2");
        let context = Context::with_unit(&name, tags.into_iter().collect(), host, Cow::Borrowed("ms"));
        let interval = foreign.then_some(Duration::from_secs(10));
        let window = Window { start: Timestamp::from_secs(7), end: Timestamp::from_secs(17), interval };
        MetricPoint { context: Arc::new(context), window, origin: Origin::Check, value }
    })
}

fn records() -> impl Strategy<Value = Log> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Body::from_bytes),
        values().prop_map(Body::Value),
    ];
    (body, attributes(), any::<[bool; 5]>(), ".{0,5}").prop_map(|(body, attributes, [a, b, c, d, e], text)| {
        let tags = ["env:prod"].into_iter().filter(|_| e).collect();
        let source = LogSource { path: text.clone(), service: "web".to_owned(), source: "gunicorn".to_owned(), tags };
        let mut record = Log::new(body, Timestamp::from_secs(9), Arc::new(source));
        record.attributes = attributes;
        if a {
            record.time = Timestamp::from_nanos(8_000_000_001);
        }
        if b {
            (record.severity, record.severity_text) = (Severity::ERROR, text.clone().into());
        }
        if c {
            record.trace = Some(Box::new(Trace { trace_id: [7; 16], span_id: [9; 8], flags: 1 }));
        }
        if d {
            record.event_name = "event".into();
        }
        record
    })
}

fn batches() -> impl Strategy<Value = Data> {
    let metrics = (origins(), proptest::collection::vec(points(), 0..6))
        .prop_map(|((resource, scope), points)| MetricBatch { resource, scope, points }.into());
    let logs = (origins(), proptest::collection::vec(records(), 0..6))
        .prop_map(|((resource, scope), records)| LogBatch { resource, scope, records }.into());
    prop_oneof![metrics, logs]
}

proptest! {
    #[test]
    fn a_batch_comes_back_as_it_went_in(data in batches()) {
        prop_assert_eq!(decode(&encoded(&data)), Ok(Queued { data, time: QUEUED }));
    }

    #[test]
    fn no_damage_makes_it_panic_and_a_record_cut_short_is_refused(data in batches(), at: prop::sample::Index, bit in 0..8) {
        let mut bytes = encoded(&data);
        let at = at.index(bytes.len());
        prop_assert_eq!(decode(&bytes[..at]), Err(Unreadable));
        bytes[at] ^= 1u8 << bit;
        let _ = decode(&bytes);
        bytes.push(0);
        let _ = decode(&bytes);
    }
}

#[test]
fn neighbours_share_their_source_again() {
    let source = Arc::new(LogSource { path: "/var/log/a.log".to_owned(), ..LogSource::default() });
    let record = |text: &str| Log::new(Body::Text(text.into()), Timestamp::from_secs(1), Arc::clone(&source));
    let batch = LogBatch { resource: Arc::default(), scope: Arc::default(), records: vec![record("a"), record("b")] };
    let Data::Logs(batch) = decode(&encoded(&batch.into())).unwrap().data else { panic!("not logs") };
    assert!(Arc::ptr_eq(&batch.records[0].source, &batch.records[1].source));
}

#[test]
fn neighbours_share_the_memory_of_their_texts() {
    let record = |body| Log::new(body, Timestamp::from_secs(1), Arc::default());
    let bodies = [Body::Text("ab".into()), Body::Bytes([0xff].into()), Body::Text("cde".into())];
    let records: Vec<Log> = bodies.clone().into_iter().map(record).collect();
    let batch = LogBatch { resource: Arc::default(), scope: Arc::default(), records };
    let Data::Logs(batch) = decode(&encoded(&batch.into())).unwrap().data else { panic!("not logs") };
    assert_eq!(batch.records.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), bodies);
    let Body::Text(last) = batch.records[2].body.clone() else { panic!("no text") };
    drop(batch);
    assert_eq!((last.as_str(), last.bytes()), ("cde", 5));
}

#[test]
fn another_version_is_refused() {
    let batch = LogBatch { resource: Arc::default(), scope: Arc::default(), records: Vec::new() };
    let mut bytes = encoded(&batch.into());
    bytes[0] = VERSION + 1;
    assert_eq!(decode(&bytes), Err(Unreadable));
}

#[test]
fn a_length_beyond_the_record_takes_no_memory() {
    let mut bytes = vec![VERSION, LOGS];
    bytes.extend([0; 8]);
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(decode(&bytes), Err(Unreadable));
}

/// What this release writes, the next one reads: these bytes change only together with `VERSION`, and a release keeps
/// the reader of the version before.
#[test]
fn the_bytes_of_a_plain_line_and_of_a_counter_are_these() {
    let source = Arc::new(LogSource { path: "a".to_owned(), ..LogSource::default() });
    let record = Log::new(Body::Text("hi".into()), Timestamp::from_nanos(1), source);
    let logs = LogBatch { resource: Arc::default(), scope: Arc::default(), records: vec![record] };
    let hex = |data: Data| encoded(&data).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(logs.into()),
        "010115cd0f9b76e2fa18000000000000012001000000000000000002686901610000\
         00"
    );
    let context = Arc::new(Context::new("x", ["k:v"].into_iter().collect()));
    let window = Window { start: Timestamp::from_nanos(1), end: Timestamp::from_nanos(2), interval: None };
    let value = MetricValue::Count { sum: 1.0, samples: 300 };
    let points = vec![MetricPoint { context, window, origin: Origin::Statsd, value }];
    let metrics = MetricBatch { resource: Arc::default(), scope: Arc::default(), points };
    assert_eq!(
        hex(metrics.into()),
        "010015cd0f9b76e2fa1800000000000001010000000000000002000000000000000000\
         017801036b3a76000000000000000000f03fac02"
    );
}
