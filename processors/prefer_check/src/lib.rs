//! The `prefer_check` processor: where a check and a StatsD client report the same gauge, the check's is sent alone.
//!
//! Gunicorn sends `gunicorn.workers` over StatsD when the number of its workers changes, and the `gunicorn` receiver sends the
//! same name with the tag `state` at each collection. Added up they would count every worker twice. The processor sees both
//! pass: it remembers for which applications a check has sent points, and drops the clients' gauges of these.

mod config;

pub use config::PreferCheckConfig;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::{
    BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig, Reason,
};
use hornpipe_engine::config::Report;
use hornpipe_engine::{Batch, Clock};
use hornpipe_model::{Data, MetricBatch, MetricPoint, MetricValue, Origin, Signal};

/// A check reports the same gauge.
const SUPERSEDED_BY_CHECK: Reason = "superseded_by_check";

/// The tag by which a check tells applications apart. A client's gauge that has it counts for these applications, one without
/// it for all.
const APP: &str = "app";
/// The tag that a check's gauge has and Gunicorn's own has not.
const STATE: &str = "state";

impl ComponentType for PreferCheckConfig {
    const TYPE: &'static str = "prefer_check";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "drops a StatsD client's gauge while a check reports the same one";
}

impl ProcessorConfig for PreferCheckConfig {
    fn validate(&self, report: &mut Report) {
        if self.hold.is_zero() {
            report.error("hold", "must be above 0s; three times the check's interval is a good value");
        }
    }

    fn build(&self, _signal: Signal, context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        Ok(Box::new(PreferCheck {
            metrics: self.metrics.clone(),
            hold: self.hold.get(),
            clock: context.clock,
            checked: HashMap::new(),
        }))
    }
}

struct PreferCheck {
    metrics: Vec<String>,
    hold: Duration,
    clock: Clock,
    /// When a check last sent a metric, by the metric's place in `metrics` and the application.
    checked: HashMap<(usize, String), Duration>,
}

impl Processor for PreferCheck {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        let inputs = batch.items();
        let Data::Metrics(metrics) = batch.data() else { return out.emit(batch) };
        self.note(metrics);
        let dropped = metrics.points.iter().filter(|point| self.is_superseded(point)).count();
        if dropped == 0 {
            return out.emit(batch);
        }
        if dropped == inputs {
            return out.discard(batch, SUPERSEDED_BY_CHECK);
        }
        let (data, ack) = batch.into_parts();
        let Data::Metrics(mut metrics) = data else { return };
        Arc::make_mut(&mut metrics).points.retain(|point| !self.is_superseded(point));
        out.counters().dropped(SUPERSEDED_BY_CHECK, dropped as u64);
        out.emit(Batch::with_ack(Data::Metrics(metrics), ack));
    }
}

impl PreferCheck {
    /// Remembers what checks have sent.
    fn note(&mut self, batch: &MetricBatch) {
        let from_check = |point: &&MetricPoint| point.origin == Origin::Check && is_gauge(point);
        let mut found = batch.points.iter().filter(from_check).peekable();
        if found.peek().is_none() {
            return;
        }
        let now = self.clock.monotonic();
        self.checked.retain(|_, seen| now.saturating_sub(*seen) < self.hold);
        for point in found {
            let Some(metric) = self.metrics.iter().position(|name| name == point.context.name()) else { continue };
            for app in point.context.tags().values(APP) {
                self.checked.insert((metric, app.to_owned()), now);
            }
        }
    }

    /// Whether a check has sent this gauge lately.
    fn is_superseded(&self, point: &MetricPoint) -> bool {
        if point.origin != Origin::Statsd || !is_gauge(point) || self.checked.is_empty() {
            return false;
        }
        let Some(metric) = self.metrics.iter().position(|name| name == point.context.name()) else { return false };
        let tags = point.context.tags();
        if tags.values(STATE).next().is_some() {
            return false;
        }
        let now = self.clock.monotonic();
        let mut apps = self
            .checked
            .iter()
            .filter(|((checked, _), seen)| *checked == metric && now.saturating_sub(**seen) < self.hold);
        let names_one = tags.values(APP).next().is_some();
        apps.any(|((_, app), _)| !names_one || tags.values(APP).any(|named| named == app))
    }
}

fn is_gauge(point: &MetricPoint) -> bool {
    matches!(point.value, MetricValue::Gauge(_))
}

#[cfg(test)]
mod tests;
