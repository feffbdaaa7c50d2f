//! Log records and their batches.

use std::borrow::Cow;
use std::sync::Arc;

use crate::heap::block;
use crate::resource::pairs_bytes;
use crate::{Resource, Scope, Text, Timestamp, Value};

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Text that is valid UTF-8.
    Text(Text),
    /// Bytes as they were read, not valid UTF-8; exporters that need text replace what is invalid.
    Bytes(Box<[u8]>),
    /// A typed value, from OTLP.
    Value(Value),
}

impl Body {
    /// A body of bytes; decides once whether they are valid UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Body::Text(text.into()),
            Err(invalid) => Body::Bytes(invalid.into_bytes().into_boxed_slice()),
        }
    }

    /// The body as text, where it is one: bytes that are not valid UTF-8 are replaced by U+FFFD. `None` for typed values
    /// other than texts.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Body::Text(text) => Some(Cow::Borrowed(text)),
            Body::Bytes(bytes) => Some(String::from_utf8_lossy(bytes)),
            Body::Value(value) => value.as_str().map(Cow::Borrowed),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Body::Text(text) => text.bytes(),
            Body::Bytes(bytes) => block(bytes.len()),
            Body::Value(value) => value.heap_bytes(),
        }
    }
}

/// How severe a record is: OTLP's severity number, 1 (trace) to 24 (fatal), 0 where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity(pub u8);

impl Severity {
    /// Unknown.
    pub const UNSPECIFIED: Severity = Severity(0);
    /// Lowest number of the DEBUG range.
    pub const DEBUG: Severity = Severity(5);
    /// Lowest number of the INFO range.
    pub const INFO: Severity = Severity(9);
    /// Lowest number of the WARN range.
    pub const WARN: Severity = Severity(13);
    /// Lowest number of the ERROR range.
    pub const ERROR: Severity = Severity(17);
    /// Lowest number of the FATAL range.
    pub const FATAL: Severity = Severity(21);
}

/// Where records come from; neighbours in a batch share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSource {
    /// The file's path, empty where there is none.
    pub path: String,
    /// Datadog's `service`, empty where not set.
    pub service: String,
    /// Datadog's `source`, which selects its log pipeline; empty where not set.
    pub source: String,
    /// Tags for Datadog, attributes for OTLP.
    pub tags: crate::Tags,
}

/// The place of a record in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Trace id, all zero where there is none.
    pub trace_id: [u8; 16],
    /// Span id, all zero where there is none.
    pub span_id: [u8; 8],
    /// W3C trace flags.
    pub flags: u32,
}

/// One log record.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// What it says.
    pub body: Body,
    /// When it happened; unknown where nobody said.
    pub time: Timestamp,
    /// When it was read.
    pub observed_time: Timestamp,
    /// How severe it is.
    pub severity: Severity,
    /// The severity as the source spelled it.
    pub severity_text: Box<str>,
    /// Attributes with unique keys.
    pub attributes: Vec<(String, Value)>,
    /// The trace that it belongs to. Few records have one, and all would be a fifth larger with it in them.
    pub trace: Option<Box<Trace>>,
    /// Name of the event; empty for a plain record.
    pub event_name: Box<str>,
    /// Where it comes from.
    pub source: Arc<LogSource>,
}

impl Log {
    /// A plain record of text from a source.
    pub fn new(body: Body, observed_time: Timestamp, source: Arc<LogSource>) -> Self {
        Log {
            body,
            time: Timestamp::UNKNOWN,
            observed_time,
            severity: Severity::UNSPECIFIED,
            severity_text: "".into(),
            attributes: Vec::new(),
            trace: None,
            event_name: "".into(),
            source,
        }
    }

    /// The record's own time, or else when it was read; for backends that know one time only, as OTLP recommends.
    pub fn time_or_observed(&self) -> Timestamp {
        if self.time == Timestamp::UNKNOWN { self.observed_time } else { self.time }
    }

    /// Bytes of this record, without its shared source.
    pub fn bytes(&self) -> usize {
        let texts = block(self.severity_text.len()) + block(self.event_name.len());
        let trace = if self.trace.is_some() { block(size_of::<Trace>()) } else { 0 };
        size_of::<Self>() + self.body.heap_bytes() + texts + trace + pairs_bytes(&self.attributes)
    }
}

/// Records under one resource and scope.
#[derive(Clone, Debug, PartialEq)]
pub struct LogBatch {
    /// Who produced the records.
    pub resource: Arc<Resource>,
    /// Which instrumentation made them.
    pub scope: Arc<Scope>,
    /// The records.
    pub records: Vec<Log>,
}

impl LogBatch {
    /// Bytes that this batch owns (capacity, not length), shared parts left out.
    pub fn bytes(&self) -> usize {
        let spare = self.records.capacity() - self.records.len();
        size_of::<Self>() + spare * size_of::<Log>() + self.records.iter().map(Log::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_and_bytes_have_a_text() {
        assert_eq!(Body::from_bytes(vec![0xff, b'a']).text().as_deref(), Some("\u{fffd}a"));
        assert_eq!(Body::Value(Value::from("x")).text().as_deref(), Some("x"));
        assert_eq!(Body::Value(Value::Int(1)).text(), None);
    }

    #[test]
    fn validity_of_a_body_is_decided_once() {
        assert_eq!(Body::from_bytes("é".into()), Body::Text("é".into()));
        assert_eq!(Body::from_bytes(vec![0xff, b'a']), Body::Bytes([0xff, b'a'].into()));
    }
}
