//! One log record as OTLP's.

use hornpipe_model::{Body, Event, Log, LogSource, Resource};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::attributes;

/// The OpenTelemetry conventions' attributes of a file.
const FILE_PATH: &str = "log.file.path";
const FILE_NAME: &str = "log.file.name";

/// The attributes that all records of a source have: its file and its tags.
pub(super) fn source_attributes(source: &LogSource) -> Vec<KeyValue> {
    let mut all = Vec::new();
    if !source.path.is_empty() {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        all.push(attributes::key_value(FILE_PATH, attributes::text(&source.path)));
        all.push(attributes::key_value(FILE_NAME, attributes::text(name)));
    }
    for tag in attributes::from_tags(&source.tags) {
        add(&mut all, tag);
    }
    all
}

/// The record. Its own attributes win over its source's of the same key.
pub(super) fn log_record(log: &Log, of_source: &[KeyValue]) -> LogRecord {
    let mut all = attributes::from_values(&log.attributes);
    if Event::host_of(log).is_some() {
        // The resource says it.
        all.retain(|attribute| attribute.key != Resource::HOST_NAME);
    }
    for attribute in of_source {
        add(&mut all, attribute.clone());
    }
    let trace = log.trace.as_deref().copied().unwrap_or_default();
    LogRecord {
        time_unix_nano: log.time.as_nanos(),
        observed_time_unix_nano: log.observed_time.as_nanos(),
        severity_number: i32::from(log.severity.0),
        severity_text: log.severity_text.to_string(),
        body: Some(body(&log.body)),
        attributes: all,
        dropped_attributes_count: 0,
        flags: trace.flags,
        trace_id: id(&trace.trace_id),
        span_id: id(&trace.span_id),
        event_name: log.event_name.to_string(),
    }
}

/// Adds an attribute whose key is not there yet.
fn add(all: &mut Vec<KeyValue>, attribute: KeyValue) {
    if all.iter().all(|known| known.key != attribute.key) {
        all.push(attribute);
    }
}

/// The body. A line of text with a byte that is not valid UTF-8 stays text, with that byte replaced: backends show bytes
/// as base64, in which nobody finds the line again. Bytes that came as such over OTLP stay bytes.
fn body(body: &Body) -> AnyValue {
    match body {
        Body::Text(text) => attributes::text(text),
        Body::Bytes(bytes) => attributes::text(&String::from_utf8_lossy(bytes)),
        Body::Value(value) => attributes::any_value(value),
    }
}

/// A trace's or span's id; none where it is all zero, which OTLP calls invalid.
fn id(bytes: &[u8]) -> Vec<u8> {
    if bytes.iter().all(|&byte| byte == 0) { Vec::new() } else { bytes.to_vec() }
}
