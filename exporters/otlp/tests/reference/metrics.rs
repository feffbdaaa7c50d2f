//! Metric points.

use std::collections::HashMap;

use hornpipe_model::{Context, MetricBatch, Resource, catalogue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Metric, ResourceMetrics, ScopeMetrics, Sum, metric,
};

use super::envelope::{only, resource, scope};
use super::point::{DataPoint, Kind, data_point};

type Replaced<'a> = [(&'static str, Option<&'a str>); 4];

/// The message; points that OTLP has no form for are left out.
pub fn message(batch: &MetricBatch, items: &[u32]) -> ExportMetricsServiceRequest {
    let mut groups: Vec<(Replaced<'_>, Vec<Metric>)> = Vec::new();
    let mut by_owner = HashMap::new();
    let mut by_key = HashMap::new();
    for point in items.iter().filter_map(|&item| batch.points.get(item as usize)) {
        let Ok((kind, data)) = data_point(point) else { continue };
        let owner = owner(&point.context);
        let group = *by_owner.entry(owner).or_insert_with(|| {
            groups.push((owner, Vec::new()));
            groups.len() - 1
        });
        let metrics = &mut groups[group].1;
        let key = (group, point.context.name(), point.context.unit(), kind);
        let metric = *by_key.entry(key).or_insert_with(|| {
            metrics.push(empty_metric(&point.context, kind));
            metrics.len() - 1
        });
        push(&mut metrics[metric], data);
    }
    let resource_metrics = groups.into_iter().map(|(owner, metrics)| resource_metrics(batch, owner, metrics)).collect();
    ExportMetricsServiceRequest { resource_metrics }
}

fn owner(context: &Context) -> Replaced<'_> {
    [
        (Resource::SERVICE_NAME, only(context.tags(), "service")),
        (Resource::SERVICE_VERSION, only(context.tags(), "version")),
        (Resource::DEPLOYMENT_ENVIRONMENT_NAME, only(context.tags(), "env")),
        (Resource::HOST_NAME, context.host()),
    ]
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
        description: catalogue::find(context.name()).map_or("", |known| known.description).to_owned(),
        unit: context.unit().to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn push(metric: &mut Metric, point: DataPoint) {
    match (&mut metric.data, point) {
        (Some(metric::Data::Gauge(gauge)), DataPoint::Number(point)) => gauge.data_points.push(point),
        (Some(metric::Data::Sum(sum)), DataPoint::Number(point)) => sum.data_points.push(point),
        (Some(metric::Data::ExponentialHistogram(histogram)), DataPoint::Histogram(point)) => {
            histogram.data_points.push(point);
        }
        (_, point) => panic!("a point of another kind than its metric: {point:?}"),
    }
}

fn resource_metrics(batch: &MetricBatch, owner: Replaced<'_>, metrics: Vec<Metric>) -> ResourceMetrics {
    let scope_metrics =
        ScopeMetrics { scope: Some(scope(&batch.scope)), metrics, schema_url: batch.scope.schema_url.clone() };
    ResourceMetrics {
        resource: Some(resource(&batch.resource, &owner)),
        scope_metrics: vec![scope_metrics],
        schema_url: batch.resource.schema_url.clone(),
    }
}
