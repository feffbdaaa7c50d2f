//! An OTLP server for tests: gRPC and HTTP on one port, and the eyes of a consumer on what came.

mod checks;
mod point;
mod receive;
mod record;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::net::TcpListener;

use crate::Clock;
use crate::testing::backend::{Backend, loopback};
use crate::testing::items::{self, item_number};
pub use point::{Attributes, HistogramTotal, OtlpPoint, OtlpValue, StreamKey};
use receive::Services;
pub use record::OtlpLog;

/// A fake OTLP backend: takes metrics and logs over gRPC and over HTTP/protobuf on the same port.
///
/// It dereferences to its [`Backend`], which knows the raw requests and can be told to misbehave.
pub struct FakeOtlp {
    backend: Backend,
    services: Services,
}

impl FakeOtlp {
    /// Starts one on a free port, by the system's clock.
    pub async fn start() -> Self {
        FakeOtlp::start_at(loopback().await, Clock::system())
    }

    /// Starts one at a socket, by a clock.
    pub fn start_at(listener: TcpListener, clock: Clock) -> Self {
        let services = Services::default();
        FakeOtlp { backend: Backend::start(listener, clock, services.router()), services }
    }

    /// The requests of metrics that were taken.
    pub fn metric_requests(&self) -> Vec<ExportMetricsServiceRequest> {
        self.services.taken().metrics.clone()
    }

    /// The requests of logs that were taken.
    pub fn log_requests(&self) -> Vec<ExportLogsServiceRequest> {
        self.services.taken().logs.clone()
    }

    /// The points of all metrics, in the order in which they came.
    pub fn all_points(&self) -> Vec<OtlpPoint> {
        self.services.taken().metrics.iter().flat_map(point::points_of).collect()
    }

    /// The points of a metric, in the order in which they came.
    pub fn points(&self, metric: &str) -> Vec<OtlpPoint> {
        self.all_points().into_iter().filter(|point| point.key.metric == metric).collect()
    }

    /// The log records, in the order in which they came.
    pub fn logs(&self) -> Vec<OtlpLog> {
        self.services.taken().logs.iter().flat_map(record::records_of).collect()
    }

    /// The total of a sum over all time: of delta points all values; of a cumulative stream the last value of each
    /// start time. `attributes` are those that a point must have; further ones do not matter.
    pub fn sum(&self, metric: &str, attributes: &[(&str, &str)]) -> f64 {
        self.with_points(metric, attributes, totals::sum)
    }

    /// The total of an exponential histogram, in the same way as [`sum`](Self::sum).
    pub fn histogram(&self, metric: &str, attributes: &[(&str, &str)]) -> HistogramTotal {
        self.with_points(metric, attributes, totals::histogram)
    }

    /// The names of all metrics.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.all_points().into_iter().map(|point| point.key.metric).collect()
    }

    /// The numbers of the [numbered items](crate::testing::numbered_metrics) among the metrics, as often as they count, and
    /// those among the logs.
    pub fn numbers(&self) -> Vec<u64> {
        let points = self.all_points();
        let mut by_number: BTreeMap<u64, Vec<&OtlpPoint>> = BTreeMap::new();
        for point in &points {
            if let Some(number) = item_number(&point.key.metric) {
                by_number.entry(number).or_default().push(point);
            }
        }
        let mut numbers = items::repeat(by_number.into_iter().map(|(number, points)| (number, totals::sum(&points))));
        numbers.extend(self.logs().iter().filter_map(|log| item_number(&log.body)));
        numbers
    }

    /// What was wrong with what came, in words: broken rules of the data model, and requests without a point or record.
    pub fn violations(&self) -> Vec<String> {
        let points = self.all_points();
        let empty = self.services.taken().metrics.iter().filter(|request| point::points_of(request).is_empty()).count();
        let mut found = checks::violations(&points);
        found.extend((0..empty).map(|_| "a request without points".to_owned()));
        found.extend(self.services.taken().logs.iter().flat_map(record::violations));
        found
    }

    /// Fails where anything that came broke a rule of the data model.
    ///
    /// # Panics
    /// With the broken rules.
    pub fn assert_clean(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    fn with_points<T>(&self, metric: &str, attributes: &[(&str, &str)], evaluate: impl Fn(&[&OtlpPoint]) -> T) -> T {
        let points = self.points(metric);
        let has = |point: &&OtlpPoint, (key, value): &(&str, &str)| {
            point.key.attributes.get(*key).is_some_and(|found| found == value)
        };
        let matching: Vec<_> = points.iter().filter(|point| attributes.iter().all(|pair| has(point, pair))).collect();
        evaluate(&matching)
    }
}

impl Deref for FakeOtlp {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}
