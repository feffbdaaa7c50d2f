//! Tests with the logs that real Gunicorns wrote, and with tables of what is odd; settings are written as users write them.

mod access;
mod contract;
mod error_log;
mod json;
mod pattern;
mod settings;
mod times;

use hornpipe_engine::config::FixedEnvironment;
use hornpipe_engine::testing::settings;
use hornpipe_model::{Body, Timestamp, Value};

use super::*;

fn config(text: &str) -> ParseConfig {
    settings(text, &FixedEnvironment::new()).unwrap()
}

/// A processor with one parser.
fn parser(settings: &str) -> Parse {
    let mut report = Report::new();
    let parsers = compile::parsers(&config(&format!("parsers: [{settings}]")), &mut report);
    assert!(report.is_empty(), "{report:?}");
    Parse { parsers, unparsed: Arc::default() }
}

fn log(text: &str) -> Log {
    Log::new(Body::from_bytes(text.as_bytes().to_vec()), Timestamp::from_secs(1), Arc::default())
}

fn logs(records: Vec<Log>) -> Data {
    LogBatch { resource: Arc::default(), scope: Arc::default(), records }.into()
}

/// What a text becomes; `None` where the parser does not fit.
fn parsed(parse: &Parse, text: &str) -> Option<Log> {
    let mut record = log(text);
    parse.fields(&record)?.write(&mut record);
    assert_eq!(record.body, log(text).body, "the text stays");
    Some(record)
}

/// `key=value` of each attribute, sorted.
fn attributes(record: &Log) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Array(values) => format!("{:?}", values.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    };
    let mut all: Vec<String> = record.attributes.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    all.sort_unstable();
    all
}

/// Seconds since 1970 of a date, by the system's own calendar: 2026-11-22 00:00:00 UTC.
const DAY: u64 = 1_795_305_600;
