//! One log record as OTLP's.

use std::convert::Infallible;
use std::ops::Range;

use hornpipe_model::{Body, Event, Log, LogSource, Resource};

use super::attributes::{grouped, put_any_field, put_any_text, put_group, put_pair, put_value};
use super::wire::{Field, put_bytes, put_fixed32, put_fixed64, put_message, put_number, put_text};

/// The OpenTelemetry conventions' attributes of a file.
const FILE_PATH: &str = "log.file.path";
const FILE_NAME: &str = "log.file.name";

/// Fields of `LogRecord`.
const TIME: Field = 1;
const SEVERITY_NUMBER: Field = 2;
const SEVERITY_TEXT: Field = 3;
const BODY: Field = 5;
const ATTRIBUTES: Field = 6;
const FLAGS: Field = 8;
const TRACE_ID: Field = 9;
const SPAN_ID: Field = 10;
const OBSERVED_TIME: Field = 11;
const EVENT_NAME: Field = 12;

/// The attributes that all records of a source have, its file and its tags, as they stand in a record.
#[derive(Debug, Default)]
pub(super) struct SourceAttributes<'a> {
    bytes: Vec<u8>,
    keys: Vec<(&'a str, Range<usize>)>,
}

impl<'a> SourceAttributes<'a> {
    pub(super) fn new(source: &'a LogSource) -> Self {
        let mut all = SourceAttributes::default();
        if !source.path.is_empty() {
            let name = source.path.rsplit('/').next().unwrap_or_default();
            // A receiver that is told not to say the path leaves the name.
            if source.path.contains('/') {
                all.add(FILE_PATH, |bytes| put_pair(bytes, ATTRIBUTES, FILE_PATH, &source.path));
            }
            all.add(FILE_NAME, |bytes| put_pair(bytes, ATTRIBUTES, FILE_NAME, name));
        }
        for pairs in grouped(&source.tags) {
            let Some((key, _)) = pairs.first() else { continue };
            all.add(key, |bytes| put_group(bytes, ATTRIBUTES, &pairs));
        }
        all
    }

    /// Adds an attribute whose key is not there yet.
    fn add(&mut self, key: &'a str, put: impl FnOnce(&mut Vec<u8>)) {
        if self.keys.iter().all(|(known, _)| *known != key) {
            let start = self.bytes.len();
            put(&mut self.bytes);
            self.keys.push((key, start..self.bytes.len()));
        }
    }

    /// Writes those whose keys are not `taken`.
    fn put(&self, buffer: &mut Vec<u8>, taken: impl Fn(&str) -> bool) {
        if !self.keys.iter().any(|(key, _)| taken(key)) {
            return buffer.extend_from_slice(&self.bytes);
        }
        for (key, range) in &self.keys {
            if !taken(key) {
                buffer.extend_from_slice(self.bytes.get(range.clone()).unwrap_or_default());
            }
        }
    }
}

/// Writes a record into `field`. Its own attributes win over its source's of the same key.
pub(super) fn put_record(buffer: &mut Vec<u8>, field: Field, log: &Log, of_source: &SourceAttributes<'_>) {
    let Ok(()) = put_message(buffer, field, EXPECTED_BYTES, |buffer| {
        put_content(buffer, log, of_source);
        Ok::<_, Infallible>(())
    });
}

/// Most records take less than 16 KiB and more than 127 bytes, whose header has the same length.
const EXPECTED_BYTES: usize = 1_000;

fn put_content(buffer: &mut Vec<u8>, log: &Log, of_source: &SourceAttributes<'_>) {
    put_fixed64(buffer, TIME, log.time.as_nanos());
    put_number(buffer, SEVERITY_NUMBER, u64::from(log.severity.0));
    put_text(buffer, SEVERITY_TEXT, &log.severity_text);
    put_body(buffer, &log.body);
    // The resource says an event's host.
    let host_is_said = Event::host_of(log).is_some();
    let is_own = |key: &str| !(host_is_said && key == Resource::HOST_NAME);
    for (key, value) in log.attributes.iter().filter(|(key, _)| is_own(key)) {
        put_value(buffer, ATTRIBUTES, key, value);
    }
    of_source.put(buffer, |key| is_own(key) && log.attributes.iter().any(|(own, _)| own == key));
    if let Some(trace) = &log.trace {
        put_fixed32(buffer, FLAGS, trace.flags);
        put_id(buffer, TRACE_ID, &trace.trace_id);
        put_id(buffer, SPAN_ID, &trace.span_id);
    }
    put_fixed64(buffer, OBSERVED_TIME, log.observed_time.as_nanos());
    put_text(buffer, EVENT_NAME, &log.event_name);
}

/// The body. A line of text with a byte that is not valid UTF-8 stays text, with that byte replaced: backends show bytes
/// as base64, in which nobody finds the line again. Bytes that came as such over OTLP stay bytes.
fn put_body(buffer: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Text(text) => put_any_text(buffer, BODY, text),
        Body::Bytes(bytes) => put_any_text(buffer, BODY, &String::from_utf8_lossy(bytes)),
        Body::Value(value) => put_any_field(buffer, BODY, value),
    }
}

/// A trace's or span's id; none where it is all zero, which OTLP calls invalid.
fn put_id(buffer: &mut Vec<u8>, field: Field, id: &[u8]) {
    if id.iter().any(|&byte| byte != 0) {
        put_bytes(buffer, field, id);
    }
}
