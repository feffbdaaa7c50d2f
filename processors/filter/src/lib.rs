//! The `filter` processor: drops log records and masks what nobody should read in them.
//!
//! Rules are the Agent's (`hornpipe_engine::logs`); the ready masks are here. A batch that nothing changes goes on as it is:
//! nothing is copied or allocated for it.

mod card;
mod config;
mod masks;
mod records;

pub use config::{FilterConfig, ReadyMask};

use std::sync::Arc;

use hornpipe_engine::component::{
    BuildContext, BuildError, ComponentType, Emitter, Processor, ProcessorConfig, Reason,
};
use hornpipe_engine::config::Report;
use hornpipe_engine::{Ack, Batch, Outcome};
use hornpipe_model::{Data, Log, LogBatch, Signal};

use masks::Masks;
use records::{Change, Filters};

impl ComponentType for FilterConfig {
    const TYPE: &'static str = "filter";
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "drops log records by pattern; masks tokens, keys, addresses, card numbers";
}

impl ProcessorConfig for FilterConfig {
    fn validate(&self, report: &mut Report) {
        self.rules(report);
    }

    fn build(&self, _signal: Signal, _context: BuildContext) -> Result<Box<dyn Processor>, BuildError> {
        let rules = self.rules(&mut Report::default());
        let masks = Masks::new(&self.masks).map_err(|error| BuildError::new("masks", error.to_string()))?;
        Ok(Box::new(Filter { filters: Filters { rules, masks } }))
    }
}

struct Filter {
    filters: Filters,
}

impl Processor for Filter {
    fn process(&mut self, batch: Batch, out: &mut Emitter<'_>) {
        let (data, ack) = batch.into_parts();
        let Data::Logs(mut logs) = data else { return out.emit(Batch::with_ack(data, ack)) };
        let changes: Vec<(usize, Change)> = (logs.records.iter().enumerate())
            .filter_map(|(index, log)| self.filters.change(log).map(|change| (index, change)))
            .collect();
        if !changes.is_empty() {
            // Copies the records where another pipeline shares them.
            apply(Arc::make_mut(&mut logs), changes, |reason| {
                out.counters().dropped(reason, 1);
                settle_dropped(ack.as_ref(), reason);
            });
            if logs.records.is_empty() {
                if let Some(ack) = ack {
                    ack.settle(Outcome::Delivered);
                }
                return;
            }
        }
        out.emit(Batch::with_ack(Data::Logs(logs), ack));
    }
}

/// A dropped record has a share of its batch's obligation, which ends with it.
fn settle_dropped(ack: Option<&Ack>, reason: Reason) {
    if let Some(ack) = ack {
        ack.clone().settle(Outcome::Dropped(reason));
    }
}

/// Changes the records at the indexes, which grow; `dropped` is told of each that goes.
fn apply(batch: &mut LogBatch, changes: Vec<(usize, Change)>, mut dropped: impl FnMut(Reason)) {
    let mut changes = changes.into_iter().peekable();
    let mut index = 0;
    batch.records.retain_mut(|log: &mut Log| {
        let change = changes.next_if(|(at, _)| *at == index);
        index += 1;
        match change.map(|(_, change)| change) {
            None => true,
            Some(Change::Drop(reason)) => {
                dropped(reason);
                false
            }
            Some(Change::Mask { body, attributes }) => {
                log.body = body.unwrap_or_else(|| log.body.clone());
                if let Some(attributes) = attributes {
                    log.attributes = attributes;
                }
                true
            }
        }
    });
}

#[cfg(test)]
mod tests;
