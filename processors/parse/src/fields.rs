//! What a parser found, on its way into a record.

use hornpipe_engine::logs::Exception;
use hornpipe_model::{Log, Severity, Timestamp, Value};

/// Time, severity and attributes of a text. What is not known leaves the record as it was.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) time: Option<Timestamp>,
    pub(crate) severity: Option<(Severity, String)>,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    pub(crate) attributes: Vec<(String, Value)>,
}

impl Fields {
    /// Adds an attribute.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<Value>) {
        self.attributes.push((key.to_owned(), value.into()));
    }

    /// Adds a text where there is one. In logs `-` means none.
    pub(crate) fn add_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() && text != "-" {
            self.add(key, text);
        }
    }

    /// Adds an exception, by the semantic conventions.
    pub(crate) fn add_exception(&mut self, exception: Exception<'_>) {
        self.add("exception.type", exception.class);
        self.add_text("exception.message", exception.message);
        self.add("exception.stacktrace", exception.stacktrace);
    }

    /// Puts all of it into the record.
    pub(crate) fn write(self, log: &mut Log) {
        log.time = self.time.unwrap_or(log.time);
        if let Some((severity, text)) = self.severity {
            log.severity = severity;
            log.severity_text = text.into_boxed_str();
        }
        if self.trace_id.is_some() || self.span_id.is_some() {
            let trace = log.trace.get_or_insert_default();
            trace.trace_id = self.trace_id.unwrap_or(trace.trace_id);
            trace.span_id = self.span_id.unwrap_or(trace.span_id);
        }
        // A key that comes twice keeps its first place and its last value.
        log.attributes.reserve_exact(self.attributes.len());
        for (key, value) in self.attributes {
            match log.attributes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, old)) => *old = value,
                None => log.attributes.push((key, value)),
            }
        }
    }
}
