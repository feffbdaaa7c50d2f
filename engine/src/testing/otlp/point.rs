//! Metric points of OTLP requests, each with its whole identity beside it.

use std::collections::BTreeMap;

use hornpipe_model::Temporality;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, Metric, NumberDataPoint,
};

/// Attributes by key. An array is written `[a, b]`.
pub type Attributes = BTreeMap<String, String>;

/// Whose point it is: what makes a stream in the data model, apart from its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    /// The resource's attributes.
    pub resource: Attributes,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// The metric's name.
    pub metric: String,
    /// The metric's unit.
    pub unit: String,
    /// The point's attributes.
    pub attributes: Attributes,
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum OtlpValue {
    /// A gauge.
    Gauge(f64),
    /// A sum.
    Sum {
        /// The value.
        value: f64,
        /// Whether it is said never to go down.
        monotonic: bool,
        /// Of the window, or since the start.
        temporality: Temporality,
    },
    /// An exponential histogram.
    ExponentialHistogram {
        /// The buckets.
        histogram: HistogramTotal,
        /// Of the window, or since the start.
        temporality: Temporality,
    },
}

/// A point as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpPoint {
    /// Whose point it is.
    pub key: StreamKey,
    /// Nanoseconds since the epoch; 0 where none was sent.
    pub start: u64,
    /// Nanoseconds since the epoch; 0 where none was sent.
    pub time: u64,
    /// What it says; `None` where the message has no value or is of a kind that no test expects.
    pub value: Option<OtlpValue>,
    /// Whether an attribute's key came twice, which OTLP forbids.
    pub has_repeated_key: bool,
}

/// An exponential histogram, alone or of many points together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramTotal {
    /// The scale; that of the coarsest point.
    pub scale: i32,
    /// Number of samples.
    pub count: u64,
    /// Sum of the samples.
    pub sum: f64,
    /// How many samples were 0.
    pub zero_count: u64,
    /// Counts of the buckets by index.
    pub positive: BTreeMap<i32, u64>,
    /// Counts of the buckets of the negative samples by index.
    pub negative: BTreeMap<i32, u64>,
    /// The smallest sample, where it was sent.
    pub min: Option<f64>,
    /// The largest sample, where it was sent.
    pub max: Option<f64>,
}

impl HistogramTotal {
    /// Adds another histogram; both come to the coarser scale of the two.
    pub(super) fn merge(&mut self, other: &HistogramTotal) {
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        let scale = self.scale.min(other.scale);
        let mut other = other.clone();
        self.downscale(scale);
        other.downscale(scale);
        self.count += other.count;
        self.sum += other.sum;
        self.zero_count += other.zero_count;
        add_buckets(&mut self.positive, other.positive);
        add_buckets(&mut self.negative, other.negative);
        self.min = self.min.into_iter().chain(other.min).reduce(f64::min);
        self.max = self.max.into_iter().chain(other.max).reduce(f64::max);
    }

    /// The samples that the buckets hold.
    pub(super) fn bucket_total(&self) -> u64 {
        self.zero_count + self.positive.values().sum::<u64>() + self.negative.values().sum::<u64>()
    }

    /// The buckets that these positive samples belong into at this scale, straight from the definition: bucket `i`
    /// holds `(base^i, base^(i+1)]` with base `2^(2^-scale)`.
    pub fn buckets_of(samples: &[f64], scale: i32) -> BTreeMap<i32, u64> {
        let mut buckets = BTreeMap::new();
        for &sample in samples {
            let index = (sample.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
            *buckets.entry(index).or_default() += 1;
        }
        buckets
    }

    fn downscale(&mut self, scale: i32) {
        let steps = self.scale - scale;
        for buckets in [&mut self.positive, &mut self.negative] {
            let finer = std::mem::take(buckets);
            add_buckets(buckets, finer.into_iter().map(|(index, count)| (index >> steps, count)));
        }
        self.scale = scale;
    }
}

fn add_buckets(buckets: &mut BTreeMap<i32, u64>, more: impl IntoIterator<Item = (i32, u64)>) {
    for (index, count) in more {
        *buckets.entry(index).or_default() += count;
    }
}

/// Every point of a request.
pub(super) fn points_of(request: &ExportMetricsServiceRequest) -> Vec<OtlpPoint> {
    let mut points = Vec::new();
    for resource_metrics in &request.resource_metrics {
        let resource = resource_metrics.resource.as_ref();
        let (resource, _) = attributes(resource.map(|resource| &resource.attributes[..]).unwrap_or_default());
        for scope_metrics in &resource_metrics.scope_metrics {
            let scope = scope_metrics.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
            for metric in &scope_metrics.metrics {
                points.extend(metric_points(&resource, &scope, metric));
            }
        }
    }
    points
}

fn metric_points(resource: &Attributes, scope: &str, metric: &Metric) -> Vec<OtlpPoint> {
    let point = |pairs: &[KeyValue], start, time, value| {
        let (attributes, has_repeated_key) = attributes(pairs);
        let key = StreamKey {
            resource: resource.clone(),
            scope: scope.to_owned(),
            metric: metric.name.clone(),
            unit: metric.unit.clone(),
            attributes,
        };
        OtlpPoint { key, start, time, value, has_repeated_key }
    };
    let number = |number: &NumberDataPoint, value: Option<OtlpValue>| {
        point(&number.attributes, number.start_time_unix_nano, number.time_unix_nano, value)
    };
    match &metric.data {
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.iter().map(|data| number(data, number_of(data).map(OtlpValue::Gauge))).collect()
        }
        Some(Data::Sum(sum)) => {
            let (monotonic, temporality) = (sum.is_monotonic, temporality_of(sum.aggregation_temporality));
            let value = |data| Some(OtlpValue::Sum { value: number_of(data)?, monotonic, temporality: temporality? });
            sum.data_points.iter().map(|data| number(data, value(data))).collect()
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let temporality = temporality_of(histogram.aggregation_temporality);
            let value = |data| {
                let histogram = histogram_of(data);
                temporality.map(|temporality| OtlpValue::ExponentialHistogram { histogram, temporality })
            };
            let points = histogram.data_points.iter();
            points
                .map(|data| point(&data.attributes, data.start_time_unix_nano, data.time_unix_nano, value(data)))
                .collect()
        }
        Some(Data::Histogram(_) | Data::Summary(_)) | None => vec![point(&[], 0, 0, None)],
    }
}

fn number_of(data: &NumberDataPoint) -> Option<f64> {
    match data.value? {
        Number::AsDouble(value) => Some(value),
        Number::AsInt(value) => Some(value as f64),
    }
}

fn temporality_of(number: i32) -> Option<Temporality> {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Some(Temporality::Delta),
        Ok(AggregationTemporality::Cumulative) => Some(Temporality::Cumulative),
        Ok(AggregationTemporality::Unspecified) | Err(_) => None,
    }
}

fn histogram_of(data: &ExponentialHistogramDataPoint) -> HistogramTotal {
    HistogramTotal {
        scale: data.scale,
        count: data.count,
        sum: data.sum.unwrap_or_default(),
        zero_count: data.zero_count,
        positive: buckets_of(data.positive.as_ref()),
        negative: buckets_of(data.negative.as_ref()),
        min: data.min,
        max: data.max,
    }
}

fn buckets_of(buckets: Option<&Buckets>) -> BTreeMap<i32, u64> {
    let Some(buckets) = buckets else { return BTreeMap::new() };
    (buckets.offset..).zip(buckets.bucket_counts.iter().copied()).filter(|&(_, count)| count > 0).collect()
}

/// Attributes by key, and whether a key came twice.
pub(super) fn attributes(pairs: &[KeyValue]) -> (Attributes, bool) {
    let found: Attributes = pairs.iter().map(|pair| (pair.key.clone(), text_of(pair.value.as_ref()))).collect();
    let has_repeated_key = found.len() < pairs.len();
    (found, has_repeated_key)
}

pub(super) fn text_of(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(array)) => {
            let texts: Vec<_> = array.values.iter().map(|value| text_of(Some(value))).collect();
            format!("[{}]", texts.join(", "))
        }
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(scale: i32, buckets: &[(i32, u64)]) -> HistogramTotal {
        let positive: BTreeMap<_, _> = buckets.iter().copied().collect();
        let count = positive.values().sum();
        HistogramTotal { scale, count, positive, min: Some(1.0), max: Some(2.0), ..HistogramTotal::default() }
    }

    #[test]
    fn merging_brings_both_to_the_coarser_scale() {
        let mut total = HistogramTotal::default();
        total.merge(&histogram(2, &[(0, 1), (3, 2), (4, 4), (-1, 8)]));
        total.merge(&histogram(1, &[(1, 16), (-1, 32)]));
        assert_eq!(total, histogram(1, &[(-1, 40), (0, 1), (1, 18), (2, 4)]));
    }

    #[test]
    fn samples_fall_into_buckets_whose_upper_bound_is_inclusive() {
        let buckets = HistogramTotal::buckets_of(&[1.0, 1.5, 2.0, 2.5, 4.0, 0.5], 0);
        assert_eq!(buckets, BTreeMap::from([(-2, 1), (-1, 1), (0, 2), (1, 2)]));
    }
}
