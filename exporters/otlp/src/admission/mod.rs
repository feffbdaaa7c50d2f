//! From a window's values to OTLP's, in order, on the way into the exporter's queue.
//!
//! A count becomes a sum and a distribution an exponential histogram: of the window alone (delta), or of everything
//! since the stream's start (cumulative). The running totals are kept here, before the queue, so whatever the queue
//! drops, splits or repeats later, the next point that arrives holds the right total.
//!
//! A name is monotonic until it shows a negative value. From the batch that shows it, all its contexts continue as
//! streams that are not monotonic, each with a new start and from 0. In OTLP the flag is part of a stream's identity,
//! so to a backend the monotonic stream has ended, with all that it counted, and another begins: if the new one began
//! with the old total, a backend that adds both (as it must for a stream that restarted) would count it twice.

mod names;
mod running_sum;
mod streams;

use std::sync::Arc;

use hornpipe_engine::component::Admission;
use hornpipe_engine::telemetry::{ComponentTelemetry, SignalCounters};
use hornpipe_engine::{Reason, reason};
use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{Data, MetricBatch, MetricPoint, MetricValue, Temporality, Window};

use crate::dropped::Dropped;
use names::Names;
use streams::{Source, StreamKey, StreamKind, Streams};

/// The bounds of a conversion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most cumulative streams, and most names that are remembered as not monotonic.
    pub(crate) max_streams: usize,
    /// Most buckets of either sign of an exponential histogram.
    pub(crate) max_size: usize,
}

/// Turns metric batches into what OTLP has; other signals pass.
#[derive(Debug)]
pub(crate) struct Conversion {
    limits: Limits,
    names: Names,
    /// `None` where the backend takes delta.
    streams: Option<Streams>,
}

impl Conversion {
    /// A conversion that has seen nothing yet.
    pub(crate) fn new(temporality: Temporality, limits: Limits, telemetry: &ComponentTelemetry) -> Self {
        let streams = (temporality == Temporality::Cumulative).then(|| {
            let tracked = telemetry.gauge(
                "otelcol_exporter_cumulative_streams",
                "{stream}",
                "Series whose running total the exporter keeps",
            );
            let evicted = telemetry.counter(
                "otelcol_exporter_cumulative_streams_evicted",
                "{stream}",
                "Series whose running total gave way at max_streams",
            );
            Streams::new(limits.max_streams, tracked, evicted)
        });
        Conversion { limits, names: Names::new(limits.max_streams), streams }
    }

    /// Names that fall in this batch, before the first of its points is converted: one request must not carry a name
    /// both as monotonic and as not.
    fn note_falling_names(&mut self, batch: &MetricBatch) {
        for point in &batch.points {
            if matches!(point.value, MetricValue::Count { sum, .. } if sum < 0.0) {
                self.names.has_fallen(point.context.name());
            }
        }
    }

    fn convert(&mut self, point: &MetricPoint, source: &Arc<Source>) -> Result<MetricPoint, Reason> {
        match &point.value {
            MetricValue::Count { samples: 0, .. } if self.streams.is_none() => Err(reason::ZERO_FILL),
            MetricValue::Count { sum, .. } => {
                let monotonic = self.names.is_monotonic(point.context.name());
                self.sum(point, source, *sum, monotonic)
            }
            MetricValue::Sum { value, monotonic, temporality: Temporality::Delta } => {
                self.sum(point, source, *value, *monotonic)
            }
            MetricValue::Distribution(distribution) => {
                let histogram = ExponentialHistogram::from_samples(&distribution.samples, self.limits.max_size);
                Ok(self.histogram(point, source, &Arc::new(histogram)))
            }
            MetricValue::ExponentialHistogram { histogram, temporality: Temporality::Delta } => {
                Ok(self.histogram(point, source, histogram))
            }
            MetricValue::Gauge(_)
            | MetricValue::ServiceCheck(_)
            | MetricValue::Sum { temporality: Temporality::Cumulative, .. }
            | MetricValue::ExponentialHistogram { temporality: Temporality::Cumulative, .. } => Ok(point.clone()),
        }
    }

    fn sum(
        &mut self,
        point: &MetricPoint,
        source: &Arc<Source>,
        amount: f64,
        monotonic: bool,
    ) -> Result<MetricPoint, Reason> {
        if !amount.is_finite() {
            return Err(reason::NOT_FINITE);
        }
        let Some(streams) = &mut self.streams else {
            let value = MetricValue::Sum { value: amount, monotonic, temporality: Temporality::Delta };
            return Ok(with_value(point, point.window, value));
        };
        let stream = streams.stream(key(point, source, StreamKind::Sum { monotonic }), point.window);
        let value = MetricValue::Sum { value: stream.add(amount), monotonic, temporality: Temporality::Cumulative };
        Ok(with_value(point, stream.advance(point.window), value))
    }

    fn histogram(
        &mut self,
        point: &MetricPoint,
        source: &Arc<Source>,
        window: &Arc<ExponentialHistogram>,
    ) -> MetricPoint {
        let Some(streams) = &mut self.streams else {
            let histogram = Arc::clone(window);
            let value = MetricValue::ExponentialHistogram { histogram, temporality: Temporality::Delta };
            return with_value(point, point.window, value);
        };
        let stream = streams.stream(key(point, source, StreamKind::Histogram), point.window);
        let histogram = stream.merge(window, self.limits.max_size);
        let value = MetricValue::ExponentialHistogram { histogram, temporality: Temporality::Cumulative };
        with_value(point, stream.advance(point.window), value)
    }
}

fn with_value(point: &MetricPoint, window: Window, value: MetricValue) -> MetricPoint {
    MetricPoint { context: Arc::clone(&point.context), window, origin: point.origin, value }
}

fn key(point: &MetricPoint, source: &Arc<Source>, kind: StreamKind) -> StreamKey {
    StreamKey { source: Arc::clone(source), context: Arc::clone(&point.context), kind }
}

/// True for what passes as it is, whatever the temporality.
fn passes(point: &MetricPoint) -> bool {
    matches!(point.value, MetricValue::Gauge(_) | MetricValue::ServiceCheck(_))
}

impl Admission for Conversion {
    fn admit(&mut self, data: Data, counters: &SignalCounters) -> Option<Data> {
        let Data::Metrics(batch) = &data else { return Some(data) };
        if batch.points.iter().all(passes) {
            return Some(data);
        }
        self.note_falling_names(batch);
        let source = Arc::new(Source::new(&batch.resource, &batch.scope));
        let mut points = Vec::with_capacity(batch.points.len());
        let mut dropped = Dropped::default();
        for point in &batch.points {
            match self.convert(point, &source) {
                Ok(converted) => points.push(converted),
                Err(reason) => dropped.add(reason),
            }
        }
        if let Some(streams) = &self.streams {
            streams.report();
        }
        for (reason, items) in dropped.into_counts() {
            counters.dropped(reason, items);
        }
        // A queue counts capacity; zero fills may have left much of it unused.
        points.shrink_to_fit();
        let (resource, scope) = (Arc::clone(&batch.resource), Arc::clone(&batch.scope));
        (!points.is_empty()).then(|| MetricBatch { resource, scope, points }.into())
    }
}

#[cfg(test)]
mod tests;
