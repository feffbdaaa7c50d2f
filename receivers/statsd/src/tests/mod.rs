//! Tests of the parts together: captures of real clients, a model of the aggregation, and the whole receiver.

mod captures;
mod model;
mod receiver;
mod vectors;

use std::collections::BTreeMap;
use std::time::Duration;

use hornpipe_model::{Distribution, MetricPoint, MetricValue, Timestamp};

use crate::flush::Now;

/// What identifies a point of these tests: name, what kind of value, tags, host.
type Key = (String, &'static str, Vec<String>, Option<String>);

/// A point's value in a form that can be compared whatever order its parts came in.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Count {
        sum: f64,
        samples: u64,
    },
    Gauge(f64),
    /// Values and weights, sorted.
    Samples(Vec<(f64, f64)>),
    Check,
}

fn sorted(mut samples: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    samples.sort_by(|a, b| a.partial_cmp(b).unwrap());
    samples
}

fn key(point: &MetricPoint) -> Key {
    let kind = match &point.value {
        MetricValue::Count { .. } => "count",
        MetricValue::Gauge(_) => "gauge",
        MetricValue::Distribution(Distribution { wire_type, .. }) => wire_type.as_str(),
        MetricValue::ServiceCheck(_) => "check",
        other => panic!("a value that StatsD has not: {other:?}"),
    };
    let context = &point.context;
    let tags = context.tags().iter().map(str::to_owned).collect();
    (context.name().to_owned(), kind, tags, context.host().map(str::to_owned))
}

/// Points by what identifies them. Each may come only once.
fn by_key(points: &[MetricPoint]) -> BTreeMap<Key, Value> {
    let mut found = BTreeMap::new();
    for point in points {
        let value = match &point.value {
            MetricValue::Count { sum, samples } => Value::Count { sum: *sum, samples: *samples },
            MetricValue::Gauge(value) => Value::Gauge(*value),
            MetricValue::Distribution(distribution) => Value::Samples(sorted(distribution.samples.iter().collect())),
            _ => Value::Check,
        };
        let earlier = found.insert(key(point), value);
        assert!(earlier.is_none() || key(point).1 == "check", "two points of {:?}", key(point));
    }
    found
}

/// A moment for tests that do not care.
fn some_time() -> Now {
    Now { unix: Timestamp::from_secs(1_800_000_000), monotonic: Duration::ZERO }
}
