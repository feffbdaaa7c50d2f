//! Metric points as `ExportMetricsServiceRequest` messages.
//!
//! Points of one name, unit and kind share a `Metric`; metrics share the batch's resource and scope, except those
//! whose client named another host: their resource is the batch's with `host.name` replaced. Everything stands in the
//! order of its first appearance, so the same items always give the same bytes.

use std::collections::HashMap;

use hornpipe_engine::Reason;
use hornpipe_model::{Context, MetricBatch, Resource, catalogue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Metric, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use prost::Message;

use super::Part;
use super::envelope::{ATTRIBUTE_OVERHEAD, FIELD_OVERHEAD, resource, scope};
use super::point::{DataPoint, Kind, data_point};
use crate::dropped::Dropped;

/// A generous bound of what a metric takes beside its texts and points: its own field, that of its data, three texts,
/// temporality and monotonicity.
const METRIC_OVERHEAD: usize = 6 * FIELD_OVERHEAD;
/// A generous bound of what another `host.name` adds to a resource beside its text.
const HOST_OVERHEAD: usize = Resource::HOST_NAME.len() + ATTRIBUTE_OVERHEAD;

/// The messages for some items of a batch, each of at most `max_bytes` unless one item alone is larger, and the number
/// of items that are left out, by reason.
pub(super) fn encode(
    batch: &MetricBatch,
    items: &[u32],
    max_bytes: usize,
) -> (Vec<Part<ExportMetricsServiceRequest>>, Vec<(Reason, u64)>) {
    let mut parts = Vec::new();
    let mut dropped = Dropped::default();
    let mut open = OpenPart::new(batch);
    for &item in items {
        let Some(point) = batch.points.get(item as usize) else { continue };
        let (kind, data) = match data_point(point) {
            Ok(converted) => converted,
            Err(reason) => {
                dropped.add(reason);
                continue;
            }
        };
        let size = data.encoded_len();
        if !open.items.is_empty() && open.bytes + open.growth(&point.context, kind, size) > max_bytes {
            parts.push(std::mem::replace(&mut open, OpenPart::new(batch)).close());
        }
        open.bytes += open.growth(&point.context, kind, size);
        open.items.push(item);
        push(open.metric(&point.context, kind), data);
    }
    if !open.items.is_empty() {
        parts.push(open.close());
    }
    (parts, dropped.into_counts())
}

/// What points of one metric have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct MetricKey<'a> {
    host: Option<&'a str>,
    name: &'a str,
    unit: &'a str,
    kind: Kind,
}

/// Where a metric stands: the index of its resource, and its own under that.
#[derive(Clone, Copy)]
struct Place {
    resource: usize,
    metric: usize,
}

/// A message that takes more points.
struct OpenPart<'a> {
    batch: &'a MetricBatch,
    groups: Vec<Group<'a>>,
    by_host: HashMap<Option<&'a str>, usize>,
    by_key: HashMap<MetricKey<'a>, Place>,
    items: Vec<u32>,
    /// An upper bound of the encoded message's size.
    bytes: usize,
}

/// The metrics of one resource.
struct Group<'a> {
    host: Option<&'a str>,
    metrics: Vec<Metric>,
}

impl<'a> OpenPart<'a> {
    fn new(batch: &'a MetricBatch) -> Self {
        OpenPart {
            batch,
            groups: Vec::new(),
            by_host: HashMap::new(),
            by_key: HashMap::new(),
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// By how much a point of `size` bytes makes the message larger, at most.
    fn growth(&self, context: &Context, kind: Kind, size: usize) -> usize {
        let point = size + FIELD_OVERHEAD;
        if self.by_key.contains_key(&key(context, kind)) {
            return point;
        }
        let description = description(context.name());
        let metric = context.name().len() + context.unit().len() + description.len() + METRIC_OVERHEAD;
        if self.by_host.contains_key(&context.host()) {
            return point + metric;
        }
        let host = context.host().map_or(0, |host| host.len() + HOST_OVERHEAD);
        point + metric + self.envelope_bytes() + host
    }

    /// Bytes of a `ResourceMetrics` without metrics.
    fn envelope_bytes(&self) -> usize {
        let envelope = resource_metrics(self.batch, Group { host: None, metrics: Vec::new() });
        envelope.encoded_len() + 2 * FIELD_OVERHEAD
    }

    /// The metric for points of a context, made where it is the first of its kind.
    fn metric(&mut self, context: &'a Context, kind: Kind) -> &mut Metric {
        let groups = &mut self.groups;
        let resource_index = *self.by_host.entry(context.host()).or_insert_with(|| {
            groups.push(Group { host: context.host(), metrics: Vec::new() });
            groups.len() - 1
        });
        let place = *self.by_key.entry(key(context, kind)).or_insert_with(|| {
            let metrics = &mut groups[resource_index].metrics;
            metrics.push(empty_metric(context, kind));
            Place { resource: resource_index, metric: metrics.len() - 1 }
        });
        &mut self.groups[place.resource].metrics[place.metric]
    }

    fn close(self) -> Part<ExportMetricsServiceRequest> {
        let resource_metrics = self.groups.into_iter().map(|group| resource_metrics(self.batch, group)).collect();
        Part { message: ExportMetricsServiceRequest { resource_metrics }, items: self.items }
    }
}

fn key(context: &Context, kind: Kind) -> MetricKey<'_> {
    MetricKey { host: context.host(), name: context.name(), unit: context.unit(), kind }
}

fn description(name: &str) -> &'static str {
    catalogue::find(name).map_or("", |known| known.description)
}

fn empty_metric(context: &Context, kind: Kind) -> Metric {
    let data = match kind {
        Kind::Gauge => metric::Data::Gauge(Gauge::default()),
        Kind::Sum { monotonic, temporality } => metric::Data::Sum(Sum {
            data_points: Vec::new(),
            aggregation_temporality: temporality.into(),
            is_monotonic: monotonic,
        }),
        Kind::ExponentialHistogram { temporality } => metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: Vec::new(),
            aggregation_temporality: temporality.into(),
        }),
    };
    Metric {
        name: context.name().to_owned(),
        description: description(context.name()).to_owned(),
        unit: context.unit().to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

/// Adds a data point to the metric of its kind.
fn push(metric: &mut Metric, point: DataPoint) {
    match (&mut metric.data, point) {
        (Some(metric::Data::Gauge(gauge)), DataPoint::Number(point)) => gauge.data_points.push(point),
        (Some(metric::Data::Sum(sum)), DataPoint::Number(point)) => sum.data_points.push(point),
        (Some(metric::Data::ExponentialHistogram(histogram)), DataPoint::Histogram(point)) => {
            histogram.data_points.push(point);
        }
        (_, point) => debug_assert!(false, "a point of another kind than its metric: {point:?}"),
    }
}

/// A group with its envelope: a host that the client named replaces the batch's, an empty one takes it away.
fn resource_metrics(batch: &MetricBatch, group: Group<'_>) -> ResourceMetrics {
    let scope_metrics = ScopeMetrics {
        scope: Some(scope(&batch.scope)),
        metrics: group.metrics,
        schema_url: batch.scope.schema_url.clone(),
    };
    ResourceMetrics {
        resource: Some(resource(&batch.resource, &[(Resource::HOST_NAME, group.host)])),
        scope_metrics: vec![scope_metrics],
        schema_url: batch.resource.schema_url.clone(),
    }
}
