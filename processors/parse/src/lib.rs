//! The `parse` processor: takes time, severity and attributes out of the text of log records.
//!
//! The text stays as it is: Datadog's own pipelines parse it, and nothing is lost where a parser is wrong. Attributes are
//! named by OpenTelemetry's semantic conventions.

mod access;
mod access_format;
mod compile;
mod config;
mod error_log;
mod fields;
mod json;
mod level;
mod pattern;
mod time;

pub use config::{ParseConfig, Parser, ParserKind};

use std::sync::Arc;

use hornpipe_engine::Batch;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig};
use hornpipe_engine::config::Report;
use hornpipe_engine::telemetry::Counter;
use hornpipe_model::{Data, Log, LogBatch, Signal};

use compile::Compiled;
use fields::Fields;

impl ComponentType for ParseConfig {
    const TYPE: &'static str = "parse";
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "takes time, severity and attributes out of the text of log records";
}

impl ProcessorConfig for ParseConfig {
    fn validate(&self, report: &mut Report) {
        compile::parsers(self, report);
    }

    fn build(&self, _signal: Signal, context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        Ok(Box::new(Parse {
            parsers: compile::parsers(self, &mut Report::default()),
            unparsed: context.telemetry.counter(
                "hornpipe_parse_unparsed_records",
                "{record}",
                "Records that no parser fits",
            ),
        }))
    }
}

struct Parse {
    parsers: Vec<Compiled>,
    unparsed: Arc<Counter>,
}

impl Processor for Parse {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        let (mut data, ack) = batch.into_parts();
        if let Data::Logs(logs) = &mut data {
            self.parse(logs);
        }
        out.emit(Batch::with_ack(data, ack));
    }
}

impl Parse {
    fn parse(&self, batch: &mut Arc<LogBatch>) {
        let mut unparsed = 0;
        match Arc::get_mut(batch) {
            Some(batch) => {
                for log in &mut batch.records {
                    match self.fields(log) {
                        Some(fields) => fields.write(log),
                        None => unparsed += 1,
                    }
                }
            }
            // Another pipeline shares the records: they are copied where there is anything to write.
            None => {
                let all: Vec<Option<Fields>> = batch.records.iter().map(|log| self.fields(log)).collect();
                unparsed = all.iter().filter(|fields| fields.is_none()).count();
                if unparsed < all.len() {
                    for (log, fields) in Arc::make_mut(batch).records.iter_mut().zip(all) {
                        if let Some(fields) = fields {
                            fields.write(log);
                        }
                    }
                }
            }
        }
        self.unparsed.add(unparsed as u64);
    }

    /// What the first parser that fits finds.
    fn fields(&self, log: &Log) -> Option<Fields> {
        let text = log.body.text()?;
        self.parsers.iter().find_map(|parser| parser.fields(&text))
    }
}

#[cfg(test)]
mod tests;
