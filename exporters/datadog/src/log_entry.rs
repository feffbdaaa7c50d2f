//! Log records as the JSON objects that Datadog's intake takes, written straight from the model.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use hornpipe_model::{Log, LogSource, Severity, Timestamp, Trace, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::json;
use crate::labels::public_tags;
use crate::logs::Owner;

/// The keys that the intake or we give a meaning. An attribute of that name stands under `attributes.<name>`.
const RESERVED: [&str; 12] = [
    "message",
    "status",
    "timestamp",
    "hostname",
    "service",
    "ddsource",
    "ddtags",
    "event.name",
    "dd.trace_id",
    "dd.span_id",
    "otel.trace_id",
    "otel.span_id",
];

/// Writes the records of one owner.
pub(crate) struct Entries<'a> {
    pub(crate) owner: Owner<'a>,
    source: Arc<LogSource>,
    /// What all records of `source` have in common, as it is written. Neighbours share their source, so that it is put
    /// together once for many of them.
    common: Vec<u8>,
}

impl<'a> Entries<'a> {
    pub(crate) fn new(owner: Owner<'a>) -> Self {
        let mut entries = Entries { owner, source: Arc::default(), common: Vec::new() };
        entries.write_common();
        entries
    }

    /// Appends a record. What is unknown is left out.
    ///
    /// # Errors
    /// JSON has no form for an attribute, which cannot be.
    pub(crate) fn write(&mut self, log: &Log, message: &str, buffer: &mut Vec<u8>) -> serde_json::Result<()> {
        buffer.extend_from_slice(b"{\"message\":");
        json::string(buffer, message);
        let time = log.time_or_observed();
        if time != Timestamp::UNKNOWN {
            json::name(buffer, "timestamp");
            serde_json::to_writer(&mut *buffer, &(time.as_nanos() / 1_000_000))?;
        }
        json::entry(buffer, "status", status(log));
        if !Arc::ptr_eq(&self.source, &log.source) {
            self.source = Arc::clone(&log.source);
            self.write_common();
        }
        buffer.extend_from_slice(&self.common);
        json::entry(buffer, "event.name", &log.event_name);
        if let Some(trace) = &log.trace {
            write_trace(trace, buffer);
        }
        for (key, value) in &log.attributes {
            buffer.push(b',');
            json::string(buffer, &attribute_key(key));
            buffer.push(b':');
            match value {
                Value::String(text) => json::string(buffer, text),
                other => serde_json::to_writer(&mut *buffer, &Json(other))?,
            }
        }
        buffer.push(b'}');
        Ok(())
    }

    fn write_common(&mut self) {
        let Entries { owner, source, common } = self;
        common.clear();
        json::entry(common, "hostname", owner.host);
        json::entry(common, "service", first(&source.service, owner.service));
        json::entry(common, "ddsource", first(&source.source, owner.source));
        json::entry(common, "ddtags", &tags(source));
    }
}

fn first<'a>(own: &'a str, other: &'a str) -> &'a str {
    if own.is_empty() { other } else { own }
}

/// Datadog's name of the severity. The numbers between are those by which syslog's levels come over OTLP; where there is
/// no number the source's own word is sent, which Datadog understands by its first letters.
fn status(log: &Log) -> &str {
    match log.severity.0 {
        0 => &log.severity_text,
        10 => "notice",
        18 => "critical",
        19 => "alert",
        _ if log.severity < Severity::DEBUG => "trace",
        _ if log.severity < Severity::INFO => "debug",
        _ if log.severity < Severity::WARN => "info",
        _ if log.severity < Severity::ERROR => "warn",
        _ if log.severity < Severity::FATAL => "error",
        _ => "critical",
    }
}

/// The tags joined by commas, as in the Agent those of the file first. A comma in a tag would end it.
fn tags(source: &LogSource) -> String {
    let mut joined = String::new();
    let mut add = |parts: [&str; 2]| {
        if !joined.is_empty() {
            joined.push(',');
        }
        for part in parts {
            joined.extend(part.chars().map(|character| if character == ',' { '_' } else { character }));
        }
    };
    if !source.path.is_empty() {
        let (directory, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        add(["filename:", file]);
        if !directory.is_empty() {
            add(["dirname:", directory]);
        }
    }
    public_tags(&source.tags).for_each(|tag| add([tag, ""]));
    joined
}

fn write_trace(trace: &Trace, buffer: &mut Vec<u8>) {
    let Trace { trace_id, span_id, .. } = trace;
    if *trace_id != [0; 16] {
        let [.., a, b, c, d, e, f, g, h] = *trace_id;
        // Datadog correlates by the low half, as a decimal number.
        json::entry(buffer, "dd.trace_id", &u64::from_be_bytes([a, b, c, d, e, f, g, h]).to_string());
        json::entry(buffer, "otel.trace_id", &hexadecimal(trace_id));
    }
    if *span_id != [0; 8] {
        json::entry(buffer, "dd.span_id", &u64::from_be_bytes(*span_id).to_string());
        json::entry(buffer, "otel.span_id", &hexadecimal(span_id));
    }
}

fn attribute_key(key: &str) -> Cow<'_, str> {
    if RESERVED.contains(&key) { Cow::Owned(format!("attributes.{key}")) } else { Cow::Borrowed(key) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A typed value as JSON. Bytes are hexadecimal; a number that is not finite is `null`.
pub(crate) struct Json<'a>(pub(crate) &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => serializer.serialize_str(text),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Bytes(bytes) => serializer.serialize_str(&hexadecimal(bytes)),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(&Json(value)))?;
                list.end()
            }
            Value::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                pairs.iter().try_for_each(|(key, value)| map.serialize_entry(key, &Json(value)))?;
                map.end()
            }
        }
    }
}
