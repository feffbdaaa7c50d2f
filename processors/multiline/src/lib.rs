//! The `multiline` processor: joins the lines of a record that spans several.
//!
//! How lines are joined is `hornpipe_engine::logs`. Here lines are told apart by where they come from, and the obligations
//! of their batches are kept: a record of lines from several batches settles each of them.

mod config;
mod held;
mod streams;

pub use config::MultilineConfig;

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig};
use hornpipe_engine::config::Report;
use hornpipe_engine::logs::{Joiner, Joining};
use hornpipe_engine::{Ack, Batch, Clock, Outcome};
use hornpipe_model::{Body, Data, Log, LogBatch, Signal, Timestamp, Value};

use held::{Complete, Held, Owner, Share};
use streams::Streams;

impl ComponentType for MultilineConfig {
    const TYPE: &'static str = "multiline";
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "joins the lines of log records that span several";
}

impl ProcessorConfig for MultilineConfig {
    fn validate(&self, report: &mut Report) {
        self.joining(report);
    }

    fn build(&self, _signal: Signal, context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        let mut report = Report::default();
        let joining = self.joining(&mut report).ok_or_else(|| BuildError::new("", "no pattern that can be used"))?;
        Ok(Box::new(Multiline {
            joining,
            group_by: self.group_by.clone(),
            clock: context.clock,
            streams: Streams::default(),
            batches: 0,
        }))
    }
}

struct Multiline {
    joining: Joining,
    group_by: Vec<String>,
    clock: Clock,
    streams: Streams,
    /// How many batches came.
    batches: u64,
}

impl Processor for Multiline {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        let (data, ack) = batch.into_parts();
        match data {
            Data::Logs(logs) if logs.records.iter().any(|log| self.joins(log)) => {
                let complete = self.join(Arc::unwrap_or_clone(logs), ack.as_ref());
                self.emit(complete, out);
                if let Some(ack) = ack {
                    // Its clones stand for what became of the records.
                    ack.settle(Outcome::Delivered);
                }
            }
            others => out.emit(Batch::with_ack(others, ack)),
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some((self.joining.timeout / 4).clamp(Duration::from_millis(10), Duration::from_millis(250)))
    }

    /// Waiting is measured on the clock that never steps back, so the time of day does not matter.
    fn tick(&mut self, _now: Timestamp, out: &mut Emitter<'_>) {
        let now = self.clock.monotonic();
        let mut complete = Complete::default();
        self.streams.drain(&mut complete, |stream, joined| stream.expire(&self.joining, now, joined));
        self.emit(complete, out);
    }

    fn flush(&mut self, out: &mut Emitter<'_>) {
        let mut complete = Complete::default();
        self.streams.drain(&mut complete, Joiner::flush);
        self.emit(complete, out);
    }
}

impl Multiline {
    /// The records that the lines of a batch complete.
    fn join(&mut self, batch: LogBatch, ack: Option<&Ack>) -> Complete {
        let owner = Owner { resource: batch.resource, scope: batch.scope };
        let now = self.clock.monotonic();
        self.batches += 1;
        let mut complete = Complete::default();
        for log in batch.records {
            let share = Share { batch: self.batches, ack: ack.cloned() };
            if self.joins(&log) {
                let key = self.streams.key(owner.resource.host(), &log, &self.group_by);
                self.streams.push(key, Held::new(log, owner.clone(), share), &self.joining, now, &mut complete);
            } else {
                complete.pass(log, &owner, share);
            }
        }
        if self.streams.is_full() {
            self.streams.drain(&mut complete, Joiner::flush);
        }
        complete
    }

    /// True for text from a file, or from a writer that the line names.
    fn joins(&self, log: &Log) -> bool {
        let is_text = matches!(log.body, Body::Text(_) | Body::Bytes(_));
        is_text && (!log.source.path.is_empty() || writer(log, &self.group_by).next().is_some())
    }

    fn emit(&self, complete: Complete, out: &mut Emitter<'_>) {
        complete.emit(out);
        out.counters().held.set(self.streams.lines() as u64);
    }
}

/// The attributes that name a line's writer.
fn writer<'a>(log: &'a Log, group_by: &'a [String]) -> impl Iterator<Item = &'a (String, Value)> {
    log.attributes.iter().filter(|(key, _)| group_by.contains(key))
}

#[cfg(test)]
mod tests;
