//! One metric point as an OTLP data point.

use hornpipe_engine::{Reason, reason};
use hornpipe_model::distribution::{Buckets, ExponentialHistogram};
use hornpipe_model::{MetricPoint, MetricValue, Temporality};

use super::attributes::put_tags;
use super::wire::{
    Field, put_any_number, put_double, put_fixed64, put_header, put_message, put_number, put_varint, varint_len, zigzag,
};

/// What OTLP says once for all data points of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Gauge,
    Sum { monotonic: bool, temporality: Temporality },
    ExponentialHistogram { temporality: Temporality },
}

/// Fields of `NumberDataPoint` and `ExponentialHistogramDataPoint`.
const START: Field = 2;
const TIME: Field = 3;

/// Fields of `NumberDataPoint` alone.
mod number {
    use super::Field;

    pub(super) const AS_DOUBLE: Field = 4;
    pub(super) const ATTRIBUTES: Field = 7;
}

/// Fields of `ExponentialHistogramDataPoint` alone.
mod histogram {
    use super::Field;

    pub(super) const ATTRIBUTES: Field = 1;
    pub(super) const COUNT: Field = 4;
    pub(super) const SUM: Field = 5;
    pub(super) const SCALE: Field = 6;
    pub(super) const ZERO_COUNT: Field = 7;
    pub(super) const POSITIVE: Field = 8;
    pub(super) const NEGATIVE: Field = 9;
    pub(super) const MIN: Field = 12;
    pub(super) const MAX: Field = 13;
}

/// Fields of `Buckets`.
const OFFSET: Field = 1;
const BUCKET_COUNTS: Field = 2;

/// Writes the data point of a metric point into `field`.
///
/// Numbers are doubles throughout, also where they are whole: StatsD values are corrected for sample rates, and the
/// number type of a series must not change from one point to the next.
///
/// # Errors
/// Why OTLP, or any backend, has no form for it; nothing is written then.
pub(super) fn put_point(buffer: &mut Vec<u8>, field: Field, point: &MetricPoint) -> Result<Kind, Reason> {
    put_message(buffer, field, EXPECTED_BYTES, |buffer| put_content(buffer, point))
}

/// Most points take less than 128 bytes, whose header has the same length.
const EXPECTED_BYTES: usize = 100;

fn put_content(buffer: &mut Vec<u8>, point: &MetricPoint) -> Result<Kind, Reason> {
    match &point.value {
        // A reading has no start: OTLP ignores it for gauges.
        MetricValue::Gauge(value) => {
            put_value(buffer, point, 0, *value)?;
            Ok(Kind::Gauge)
        }
        MetricValue::ServiceCheck(check) => {
            put_value(buffer, point, 0, f64::from(check.status as u8))?;
            Ok(Kind::Gauge)
        }
        MetricValue::Sum { value, monotonic, temporality } => {
            put_value(buffer, point, point.window.start.as_nanos(), *value)?;
            Ok(Kind::Sum { monotonic: *monotonic, temporality: *temporality })
        }
        MetricValue::ExponentialHistogram { histogram, temporality } => {
            put_histogram(buffer, point, histogram, *temporality);
            Ok(Kind::ExponentialHistogram { temporality: *temporality })
        }
        // The exporter's admission has turned both into what OTLP has.
        MetricValue::Count { .. } | MetricValue::Distribution(_) => Err(reason::UNSUPPORTED),
    }
}

fn put_value(buffer: &mut Vec<u8>, point: &MetricPoint, start: u64, value: f64) -> Result<(), Reason> {
    if !value.is_finite() {
        return Err(reason::NOT_FINITE);
    }
    put_fixed64(buffer, START, start);
    put_fixed64(buffer, TIME, point.window.end.as_nanos());
    put_double(buffer, number::AS_DOUBLE, value);
    put_tags(buffer, number::ATTRIBUTES, point.context.tags());
    Ok(())
}

fn put_histogram(
    buffer: &mut Vec<u8>,
    point: &MetricPoint,
    histogram: &ExponentialHistogram,
    temporality: Temporality,
) {
    // metrics.proto: a sum is left out where it could fall, as backends read a cumulative one as a counter.
    let sum_may_fall = temporality == Temporality::Cumulative && histogram.min < 0.0;
    put_tags(buffer, histogram::ATTRIBUTES, point.context.tags());
    put_fixed64(buffer, START, point.window.start.as_nanos());
    put_fixed64(buffer, TIME, point.window.end.as_nanos());
    put_fixed64(buffer, histogram::COUNT, histogram.count);
    if !sum_may_fall {
        put_double(buffer, histogram::SUM, histogram.sum);
    }
    put_number(buffer, histogram::SCALE, zigzag(histogram.scale));
    put_fixed64(buffer, histogram::ZERO_COUNT, histogram.zero_count);
    put_buckets(buffer, histogram::POSITIVE, &histogram.positive);
    put_buckets(buffer, histogram::NEGATIVE, &histogram.negative);
    if histogram.count > 0 {
        put_double(buffer, histogram::MIN, histogram.min);
        put_double(buffer, histogram::MAX, histogram.max);
    }
}

fn put_buckets(buffer: &mut Vec<u8>, field: Field, buckets: &Buckets) {
    if buckets.counts.is_empty() {
        return;
    }
    let offset = zigzag(buckets.offset);
    let offset_len = if offset == 0 { 0 } else { 1 + varint_len(offset) };
    let counts_len: usize = buckets.counts.iter().map(|&count| varint_len(count)).sum();
    put_header(buffer, field, offset_len + 1 + varint_len(counts_len as u64) + counts_len);
    if offset != 0 {
        put_any_number(buffer, OFFSET, offset);
    }
    put_header(buffer, BUCKET_COUNTS, counts_len);
    buckets.counts.iter().for_each(|&count| put_varint(buffer, count));
}
