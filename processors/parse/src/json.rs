//! Texts that are JSON objects, as Python's structured loggers write them.

use hornpipe_engine::logs::exception;
use hornpipe_model::{Timestamp, Value};
use serde_json::Value as Json;

use crate::fields::Fields;
use crate::level;
use crate::time::{self, Times};

/// What loggers call the fields that a record has a place for.
const TIMES: [&str; 6] = ["timestamp", "@timestamp", "time", "ts", "asctime", "datetime"];
const LEVELS: [&str; 6] = ["level", "levelname", "severity", "log.level", "loglevel", "status"];
const PIDS: [&str; 4] = ["pid", "process", "process.pid", "process_id"];
const EXCEPTIONS: [&str; 6] = ["exc_info", "exception", "traceback", "exc_text", "stack_trace", "error.stack"];
const TRACES: [&str; 3] = ["trace_id", "traceId", "otelTraceID"];
const SPANS: [&str; 3] = ["span_id", "spanId", "otelSpanID"];

/// Every key becomes an attribute, except those that a record has a place for, and those that are `null`.
pub(crate) fn fields(text: &str, times: &Times) -> Option<Fields> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let Ok(Json::Object(object)) = serde_json::from_str(text) else { return None };
    let mut fields = Fields::default();
    for (key, value) in object {
        if !value.is_null() && !take(&key, &value, times, &mut fields) {
            fields.attributes.push((key, typed(value)));
        }
    }
    Some(fields)
}

/// True where the value has its place in a record, and is there.
fn take(key: &str, value: &Json, times: &Times, fields: &mut Fields) -> bool {
    let text = value.as_str().unwrap_or_default();
    if TIMES.contains(&key) && fields.time.is_none() {
        fields.time = timestamp(value, times);
        return fields.time.is_some();
    }
    if LEVELS.contains(&key) && fields.severity.is_none() {
        fields.severity = level::severity(text).map(|severity| (severity, text.to_owned()));
        return fields.severity.is_some();
    }
    if EXCEPTIONS.contains(&key)
        && let Some(exception) = exception(text)
    {
        fields.add_exception(exception);
        return true;
    }
    if PIDS.contains(&key)
        && let Some(pid) = value.as_i64().or_else(|| text.parse().ok())
    {
        fields.add("process.pid", Value::Int(pid));
        return true;
    }
    if TRACES.contains(&key) && fields.trace_id.is_none() {
        fields.trace_id = hexadecimal(text);
        return fields.trace_id.is_some();
    }
    if SPANS.contains(&key) && fields.span_id.is_none() {
        fields.span_id = hexadecimal(text);
        return fields.span_id.is_some();
    }
    false
}

fn timestamp(value: &Json, times: &Times) -> Option<Timestamp> {
    match value {
        Json::String(text) => times.parse(text),
        Json::Number(number) => number.as_u64().map_or_else(|| time::number(number.as_f64()?), time::whole_number),
        _ => None,
    }
}

/// An id of exactly so many bytes, not all zero.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut id = [0; N];
    for (index, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    (id != [0; N]).then_some(id)
}

fn typed(value: Json) -> Value {
    match value {
        // In a list: the others keep their places.
        Json::Null => Value::String(String::new()),
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Double(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::String(text),
        Json::Array(values) => Value::Array(values.into_iter().map(typed).collect()),
        Json::Object(pairs) => {
            let pairs = pairs.into_iter().filter(|(_, value)| !value.is_null());
            Value::Map(pairs.map(|(key, value)| (key, typed(value))).collect())
        }
    }
}
