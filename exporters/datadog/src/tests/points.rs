//! Points and batches to encode.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::Encoded;
use hornpipe_engine::http::Compression;
use hornpipe_model::{
    Context, Distribution, MetricBatch, MetricPoint, MetricValue, Origin, Resource, Samples, Tags, Timestamp, Window,
    WireType,
};

use crate::encode::Encoder;

/// The start of every window.
pub(super) const START: u64 = 1_700_000_000;

/// A point of a StatsD client in a window of 10 s.
pub(super) fn statsd(name: &str, tags: &[&str], value: MetricValue) -> MetricPoint {
    let window = Window {
        start: Timestamp::from_secs(START),
        end: Timestamp::from_secs(START + 10),
        interval: Some(Duration::from_secs(10)),
    };
    point(Context::new(name, tags.iter().collect::<Tags>()), window, Origin::Statsd, value)
}

/// A check's reading, 3.9 s after [`START`].
pub(super) fn reading(name: &str, tags: &[&str], value: MetricValue) -> MetricPoint {
    let at = Timestamp::from_nanos(START * 1_000_000_000 + 3_900_000_000);
    let window = Window { start: at, end: at, interval: None };
    point(Context::new(name, tags.iter().collect::<Tags>()), window, Origin::Check, value)
}

fn point(context: Context, window: Window, origin: Origin, value: MetricValue) -> MetricPoint {
    MetricPoint { context: Arc::new(context), window, origin, value }
}

/// The same point with a unit and a host of the client's own.
pub(super) fn with(point: MetricPoint, host: Option<&str>, unit: &'static str) -> MetricPoint {
    let tags: Tags = point.context.tags().iter().collect();
    let context = Context::with_unit(point.context.name(), tags, host, Cow::Borrowed(unit));
    MetricPoint { context: Arc::new(context), ..point }
}

pub(super) fn count(sum: f64) -> MetricValue {
    MetricValue::Count { sum, samples: 1 }
}

pub(super) fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
    let mut samples = Samples::new();
    values.into_iter().for_each(|value| assert!(samples.push(value, 1.0)));
    samples
}

pub(super) fn distribution(wire_type: WireType, values: impl IntoIterator<Item = f64>) -> MetricValue {
    MetricValue::Distribution(Distribution::new(wire_type, samples(values)))
}

/// The points of the host `web1`.
pub(super) fn batch(points: Vec<MetricPoint>) -> MetricBatch {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    MetricBatch { resource: Arc::new(resource), scope: Arc::default(), points }
}

/// The points of the host `web1`, encoded without compression.
pub(super) fn encode(points: Vec<MetricPoint>) -> Encoded {
    let items: Vec<u32> = (0..points.len() as u32).collect();
    encoder().encode(&batch(points), &items)
}

pub(super) fn encoder() -> Encoder {
    Encoder { hostname: None, compression: Compression::None }
}
