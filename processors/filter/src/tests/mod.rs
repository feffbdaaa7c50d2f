//! Tests of the processor; settings are written as users write them.

mod contract;
mod masks;
mod rules;

use hornpipe_engine::config::FixedEnvironment;
use hornpipe_engine::telemetry::SignalCounters;
use hornpipe_engine::testing::settings;
use hornpipe_model::{Body, Timestamp, Value};

use super::*;

fn config(text: &str) -> FilterConfig {
    settings(text, &FixedEnvironment::new()).unwrap()
}

fn filter(text: &str) -> Filter {
    let (config, mut report) = (config(text), Report::new());
    let rules = config.rules(&mut report);
    assert!(report.is_empty(), "{report:?}");
    Filter { filters: Filters { rules, masks: Masks::new(&config.masks).unwrap() } }
}

fn log(text: &str) -> Log {
    Log::new(Body::from_bytes(text.as_bytes().to_vec()), Timestamp::from_secs(1), Arc::default())
}

fn logs(records: Vec<Log>) -> Data {
    LogBatch { resource: Arc::default(), scope: Arc::default(), records }.into()
}

/// What the processor makes of records, and what it counted.
fn run(filter: &mut Filter, batch: Batch) -> (Vec<Log>, SignalCounters) {
    let counters = SignalCounters::default();
    counters.received.add(batch.items() as u64);
    let mut out = Emitter::new(&counters);
    filter.process(batch, &mut out);
    let batches = out.into_batches();
    assert_eq!(counters.received.get(), counters.passed.get() + counters.dropped_total());
    let records = batches.iter().flat_map(|batch| match batch.data() {
        Data::Logs(logs) => logs.records.clone(),
        Data::Metrics(_) => Vec::new(),
    });
    (records.collect(), counters)
}

fn texts(records: &[Log]) -> Vec<String> {
    records.iter().map(|log| log.body.text().unwrap().into_owned()).collect()
}

/// What stays of a text.
fn masked(filter: &mut Filter, text: &str) -> String {
    let (records, _) = run(filter, Batch::new(logs(vec![log(text)])));
    texts(&records).concat()
}
