//! `/api/v2/series`: a `MetricPayload` (DataDog/agent-payload, `proto/metrics/agent_payload.proto`).

use std::sync::LazyLock;

use hornpipe_engine::component::{Reason, reason};
use hornpipe_model::distribution::{Rendered, Rendering};
use hornpipe_model::{Distribution, MetricPoint, MetricValue, Origin, Signal, Temporality, WireType, catalogue};

use crate::labels::{host_of, resources, series_tags};
use crate::payload::Layout;
use crate::protobuf::Writer;
use crate::time::PointTime;

/// A payload may be put together from `series` fields that were encoded one by one. Limits: 512,000 bytes compressed and
/// 5,242,880 before (Datadog's API, as Vector observes them), 10,000 points (the Agent's
/// `serializer_max_series_points_per_payload`).
pub(crate) static LAYOUT: Layout = Layout {
    route: "/api/v2/series",
    signal: Signal::Metrics,
    before: b"",
    between: b"",
    after: b"",
    max_bytes: 5_242_880,
    max_sent_bytes: 512_000,
    max_points: 10_000,
};

/// A distribution that renders nothing: without samples, or with a note that asks for no series.
pub(crate) const EMPTY: Reason = "empty";

/// `MetricPayload.series`.
const SERIES: u32 = 1;

static DEFAULT_RENDERING: LazyLock<Rendering> = LazyLock::new(Rendering::default);

/// `MetricType` of the protocol.
#[derive(Clone, Copy)]
enum Type {
    Count = 1,
    Rate = 2,
    Gauge = 3,
}

/// What differs between the series of one point.
struct Series<'a> {
    name: &'a str,
    kind: Type,
    value: f64,
    unit: &'static str,
}

/// Writes the series of a point and tells how many there are.
///
/// # Errors
/// Why the point has no series.
pub(crate) fn write(point: &MetricPoint, host: &str, buffer: &mut Vec<u8>) -> Result<usize, Reason> {
    let name = point.context.name();
    let (kind, value) = match &point.value {
        MetricValue::Count { sum, .. } => amount(point, *sum),
        MetricValue::Gauge(value) => (Type::Gauge, *value),
        MetricValue::Sum { value, temporality: Temporality::Delta, .. } => amount(point, *value),
        MetricValue::Distribution(distribution) => return write_distribution(point, distribution, host, buffer),
        MetricValue::Sum { .. } | MetricValue::ExponentialHistogram { .. } | MetricValue::ServiceCheck(_) => {
            return Err(reason::UNSUPPORTED);
        }
    };
    let unit = unit_of(name).unwrap_or_else(|| catalogue::datadog_unit(point.context.unit()));
    write_series(point, host, &Series { name, kind, value, unit }, buffer)?;
    Ok(1)
}

/// The series that the Agent derives from a histogram, or those that a note asks for.
fn write_distribution(
    point: &MetricPoint,
    distribution: &Distribution,
    host: &str,
    buffer: &mut Vec<u8>,
) -> Result<usize, Reason> {
    let rendering = distribution.note.as_deref().unwrap_or(&DEFAULT_RENDERING);
    let mut name = String::new();
    let mut count = 0;
    for Rendered { suffix, value, is_count } in rendering.render(&distribution.samples) {
        name.clear();
        name.extend([point.context.name(), ".", &suffix]);
        let (kind, value) = if is_count { amount(point, value) } else { (Type::Gauge, value) };
        let unit = unit_of(&name).unwrap_or_else(|| if is_count { "" } else { unit_of_samples(point, distribution) });
        write_series(point, host, &Series { name: &name, kind, value, unit }, buffer)?;
        count += 1;
    }
    if count == 0 { Err(EMPTY) } else { Ok(count) }
}

/// An amount of the window: a rate where the windows have a length. It is divided by the very number that is sent as the
/// interval, so that Datadog's `as_count()` gives the amount back.
fn amount(point: &MetricPoint, amount: f64) -> (Type, f64) {
    match PointTime::of(&point.window).interval {
        0 => (Type::Count, amount),
        interval => (Type::Rate, amount / interval as f64),
    }
}

fn unit_of(name: &str) -> Option<&'static str> {
    catalogue::find(name).map(|known| known.unit)
}

/// The unit of the samples; timings are milliseconds by the StatsD protocol.
fn unit_of_samples(point: &MetricPoint, distribution: &Distribution) -> &'static str {
    match (point.context.unit(), distribution.wire_type) {
        ("", WireType::Timing) => "millisecond",
        (unit, _) => catalogue::datadog_unit(unit),
    }
}

/// Writes one `MetricSeries`. Its field 9, the origin, is left out: it says which Datadog product sent a metric, and we
/// are none.
fn write_series(point: &MetricPoint, host: &str, series: &Series<'_>, buffer: &mut Vec<u8>) -> Result<(), Reason> {
    if !series.value.is_finite() {
        return Err(reason::NOT_FINITE);
    }
    let time = PointTime::of(&point.window);
    let tags = point.context.tags();
    Writer::new(buffer).long_message(SERIES, |message| {
        for (kind, name) in resources(host_of(&point.context, host), tags) {
            message.message(1, |resource| {
                resource.string(1, kind);
                resource.string(2, name);
            });
        }
        message.string(2, series.name);
        series_tags(tags).for_each(|tag| message.repeated_string(3, tag));
        message.message(4, |value| {
            value.double(1, series.value);
            value.int64(2, time.timestamp);
        });
        message.int64(5, series.kind as i64);
        message.string(6, series.unit);
        message.string(7, source_type(point.origin));
        message.int64(8, time.interval);
    });
    Ok(())
}

/// `source_type_name`: the Agent's is `System` for whatever a check or itself measured, and empty for StatsD.
fn source_type(origin: Origin) -> &'static str {
    match origin {
        Origin::Check | Origin::Own => "System",
        Origin::Statsd | Origin::Otlp => "",
    }
}
