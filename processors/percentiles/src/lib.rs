//! The `percentiles` processor: chooses which aggregates and percentiles of a distribution are wanted.
//!
//! With `output: native` it only writes a note on the distribution; each exporter renders what its backend takes, so one
//! pipeline is right for several backends. With `output: series` it replaces the distribution with separate series. The
//! computation itself lives in the model.

mod config;
mod series;

pub use config::{OutputForm, PercentilesConfig, Rule};

use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_engine::Batch;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig};
use hornpipe_engine::config::Report;
use hornpipe_model::distribution::Rendering;
use hornpipe_model::{Context, Data, Distribution, MetricBatch, MetricValue, Signal, WireType};

use config::CompiledRule;
use series::SeriesNames;

/// Contexts whose decision is remembered; past that the memory starts anew, so that it stays bounded where metric names
/// come and go.
const MAX_REMEMBERED: usize = 200_000;

impl ComponentType for PercentilesConfig {
    const TYPE: &'static str = "percentiles";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "chooses the aggregates and percentiles of histograms, timers and distributions";
}

impl ProcessorConfig for PercentilesConfig {
    fn validate(&self, report: &mut Report) {
        self.rendering(report);
        self.rules(report);
    }

    fn build(&self, _signal: Signal, _context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        let mut unused = Report::default();
        Ok(Box::new(Percentiles {
            rules: self
                .rules(&mut unused)
                .into_iter()
                .map(|CompiledRule { pattern, rendering }| (pattern, Arc::new(rendering)))
                .collect(),
            default: Arc::new(self.rendering(&mut unused)),
            output: self.output,
            decided: HashMap::new(),
            names: SeriesNames::default(),
        }))
    }
}

struct Percentiles {
    default: Arc<Rendering>,
    rules: Vec<(regex::Regex, Arc<Rendering>)>,
    output: OutputForm,
    /// What is wanted of a context, so that patterns are matched once a context and not once a window.
    decided: HashMap<Arc<Context>, Option<Arc<Rendering>>>,
    names: SeriesNames,
}

impl Processor for Percentiles {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        let inputs = batch.items() as u64;
        let (data, ack) = batch.into_parts();
        let Data::Metrics(mut metrics) = data else {
            return out.emit(Batch::with_ack(data, ack));
        };
        if metrics.points.iter().any(|point| matches!(point.value, MetricValue::Distribution(_))) {
            match self.output {
                // Copies the points where another pipeline shares them; samples are shared in any case.
                OutputForm::Native => self.write_notes(Arc::make_mut(&mut metrics)),
                OutputForm::Series => metrics = Arc::new(self.expand(&metrics)),
            }
        }
        out.emit_for(Batch::with_ack(Data::Metrics(metrics), ack), inputs);
    }
}

impl Percentiles {
    fn write_notes(&mut self, batch: &mut MetricBatch) {
        for point in &mut batch.points {
            if let MetricValue::Distribution(distribution) = &mut point.value
                && let Some(wanted) = self.wanted(&point.context, distribution.wire_type)
            {
                distribution.note = Some(wanted);
            }
        }
    }

    fn expand(&mut self, batch: &MetricBatch) -> MetricBatch {
        let mut points = Vec::with_capacity(batch.points.len());
        for point in &batch.points {
            match &point.value {
                MetricValue::Distribution(Distribution { wire_type, samples, .. }) => {
                    match self.wanted(&point.context, *wire_type) {
                        Some(wanted) => points.extend(self.names.series(point, &wanted, samples)),
                        None => points.push(point.clone()),
                    }
                }
                _ => points.push(point.clone()),
            }
        }
        points.shrink_to_fit();
        MetricBatch { resource: Arc::clone(&batch.resource), scope: Arc::clone(&batch.scope), points }
    }

    /// What is wanted of a distribution; `None` leaves it as it is.
    fn wanted(&mut self, context: &Arc<Context>, wire_type: WireType) -> Option<Arc<Rendering>> {
        let default = || match wire_type {
            WireType::Histogram | WireType::Timing => Some(Arc::clone(&self.default)),
            WireType::Distribution => None,
        };
        if self.rules.is_empty() {
            return default();
        }
        if let Some(decided) = self.decided.get(context) {
            return decided.clone().or_else(default);
        }
        let matching = self.rules.iter().find(|(pattern, _)| pattern.is_match(context.name()));
        let decided = matching.map(|(_, rendering)| Arc::clone(rendering));
        if self.decided.len() >= MAX_REMEMBERED {
            self.decided.clear();
        }
        self.decided.insert(Arc::clone(context), decided.clone());
        decided.or_else(default)
    }
}

#[cfg(test)]
mod tests;
