//! The `tagging` processor: the one place where tags are added, changed and removed. Exporters add none.
//!
//! The settings become `Rules`: steps that change the `Labels` of a series, in order.
//! What they make of a series is remembered for as long as its context lives, so that a batch costs one look-up a point.
//! Where two series become one, their points of a window are merged into one point.

mod compile;
mod config;
mod contexts;
mod environment;
mod labels;
mod merge;
mod operation;
mod rules;
mod sources;

pub use config::{Action, ActionKind, TaggingConfig, ValueFrom};

use std::sync::Arc;

use hornpipe_engine::Batch;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig};
use hornpipe_engine::config::{Environment, ProcessEnvironment, Report};
use hornpipe_model::{Data, LogBatch, MetricBatch, Signal};

use contexts::{Contexts, Tagged};
use rules::Rules;
use sources::Sources;

/// Contexts whose tags are remembered; past that the memory starts anew, so that it stays bounded where series come and
/// go.
const MAX_REMEMBERED: usize = 200_000;

impl ComponentType for TaggingConfig {
    const TYPE: &'static str = "tagging";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics, Signal::Logs];
    const SUMMARY: &'static str = "adds, changes and removes tags; takes tags out of metric names";
}

impl ProcessorConfig for TaggingConfig {
    fn validate(&self, report: &mut Report) {
        compile::rules(self, &ProcessEnvironment, None, report);
    }

    fn build(&self, _signal: Signal, context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        Ok(Box::new(Tagging::new(self, &ProcessEnvironment, context.resource.host())?))
    }
}

struct Tagging {
    contexts: Contexts,
    sources: Sources,
    is_idle: bool,
}

impl Tagging {
    fn new(config: &TaggingConfig, environment: &dyn Environment, host: Option<&str>) -> Result<Self, BuildError> {
        let mut report = Report::default();
        let rules = Arc::new(compile::rules(config, environment, host, &mut report));
        // `validate` has reported all of them, except where the environment changed since.
        match report.problems().first() {
            Some(problem) => Err(BuildError::new(problem.path.as_str(), problem.message.as_str())),
            None => Ok(Tagging::with_rules(rules, MAX_REMEMBERED)),
        }
    }

    fn with_rules(rules: Arc<Rules>, max_remembered: usize) -> Self {
        Tagging {
            is_idle: rules.is_empty(),
            contexts: Contexts::new(Arc::clone(&rules), max_remembered),
            sources: Sources::new(rules),
        }
    }
}

impl Processor for Tagging {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        if self.is_idle {
            return out.emit(batch);
        }
        let inputs = batch.items() as u64;
        let (mut data, ack) = batch.into_parts();
        match &mut data {
            Data::Metrics(metrics) => self.tag_metrics(metrics),
            Data::Logs(logs) => self.tag_logs(logs),
        }
        // Merged points were passed on too, within another.
        out.emit_for(Batch::with_ack(data, ack), inputs);
    }
}

impl Tagging {
    fn tag_metrics(&mut self, batch: &mut Arc<MetricBatch>) {
        self.contexts.make_room();
        let tagged: Vec<Tagged> = batch.points.iter().map(|point| self.contexts.tagged(&point.context)).collect();
        if tagged.iter().all(|tagged| tagged.context.is_none()) {
            return;
        }
        // Copies the points where another pipeline shares them; samples are shared in any case.
        let points = &mut Arc::make_mut(batch).points;
        let series: Vec<_> = tagged.iter().map(|tagged| tagged.series).collect();
        for (point, Tagged { context, .. }) in points.iter_mut().zip(tagged) {
            if let Some(context) = context {
                point.context = context;
            }
        }
        if series.iter().any(|&series| self.contexts.is_shared(series)) {
            let shared = |series| self.contexts.is_shared(series);
            *points = merge::merge_points(std::mem::take(points), &series, shared);
        }
    }

    fn tag_logs(&mut self, batch: &mut Arc<LogBatch>) {
        self.sources.make_room();
        let tagged: Vec<_> = batch.records.iter().map(|log| self.sources.tagged(&log.source)).collect();
        if tagged.iter().all(Option::is_none) {
            return;
        }
        for (log, source) in Arc::make_mut(batch).records.iter_mut().zip(tagged) {
            if let Some(source) = source {
                log.source = source;
            }
        }
    }
}

#[cfg(test)]
mod tests;
