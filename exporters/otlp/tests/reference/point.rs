//! One metric point as an OTLP data point.

use hornpipe_engine::{Reason, reason};
use hornpipe_model::distribution::{Buckets, ExponentialHistogram};
use hornpipe_model::{MetricPoint, MetricValue, Temporality};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, NumberDataPoint, exponential_histogram_data_point,
    number_data_point,
};

use super::attributes;

/// What OTLP says once for all data points of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Gauge,
    Sum { monotonic: bool, temporality: AggregationTemporality },
    ExponentialHistogram { temporality: AggregationTemporality },
}

/// A data point, in the message that its kind has.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DataPoint {
    Number(NumberDataPoint),
    Histogram(ExponentialHistogramDataPoint),
}

/// The data point of a metric point.
///
/// Numbers are doubles throughout, also where they are whole: StatsD values are corrected for sample rates, and the
/// number type of a series must not change from one point to the next.
///
/// # Errors
/// Why OTLP, or any backend, has no form for it.
pub(super) fn data_point(point: &MetricPoint) -> Result<(Kind, DataPoint), Reason> {
    match &point.value {
        MetricValue::Gauge(value) => Ok((Kind::Gauge, DataPoint::Number(gauge(point, *value)?))),
        MetricValue::ServiceCheck(check) => {
            let status = f64::from(check.status as u8);
            Ok((Kind::Gauge, DataPoint::Number(gauge(point, status)?)))
        }
        MetricValue::Sum { value, monotonic, temporality } => {
            let kind = Kind::Sum { monotonic: *monotonic, temporality: aggregation_temporality(*temporality) };
            let number =
                NumberDataPoint { start_time_unix_nano: point.window.start.as_nanos(), ..gauge(point, *value)? };
            Ok((kind, DataPoint::Number(number)))
        }
        MetricValue::ExponentialHistogram { histogram, temporality } => {
            let kind = Kind::ExponentialHistogram { temporality: aggregation_temporality(*temporality) };
            Ok((kind, DataPoint::Histogram(histogram_point(point, histogram, *temporality))))
        }
        // The exporter's admission has turned both into what OTLP has.
        MetricValue::Count { .. } | MetricValue::Distribution(_) => Err(reason::UNSUPPORTED),
    }
}

/// A reading without a start: OTLP ignores it for gauges.
fn gauge(point: &MetricPoint, value: f64) -> Result<NumberDataPoint, Reason> {
    if !value.is_finite() {
        return Err(reason::NOT_FINITE);
    }
    Ok(NumberDataPoint {
        attributes: attributes::from_tags(point.context.tags()),
        time_unix_nano: point.window.end.as_nanos(),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram_point(
    point: &MetricPoint,
    histogram: &ExponentialHistogram,
    temporality: Temporality,
) -> ExponentialHistogramDataPoint {
    // metrics.proto: a sum is left out where it could fall, as backends read a cumulative one as a counter.
    let sum_may_fall = temporality == Temporality::Cumulative && histogram.min < 0.0;
    let has_samples = histogram.count > 0;
    ExponentialHistogramDataPoint {
        attributes: attributes::from_tags(point.context.tags()),
        start_time_unix_nano: point.window.start.as_nanos(),
        time_unix_nano: point.window.end.as_nanos(),
        count: histogram.count,
        sum: (!sum_may_fall).then_some(histogram.sum),
        scale: histogram.scale,
        zero_count: histogram.zero_count,
        positive: buckets(&histogram.positive),
        negative: buckets(&histogram.negative),
        min: has_samples.then_some(histogram.min),
        max: has_samples.then_some(histogram.max),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn buckets(buckets: &Buckets) -> Option<exponential_histogram_data_point::Buckets> {
    (!buckets.counts.is_empty()).then(|| exponential_histogram_data_point::Buckets {
        offset: buckets.offset,
        bucket_counts: buckets.counts.clone(),
    })
}

fn aggregation_temporality(temporality: Temporality) -> AggregationTemporality {
    match temporality {
        Temporality::Delta => AggregationTemporality::Delta,
        Temporality::Cumulative => AggregationTemporality::Cumulative,
    }
}
