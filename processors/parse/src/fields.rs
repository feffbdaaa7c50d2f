//! What a parser found, on its way into a record.

use std::collections::HashMap;

use hornpipe_engine::logs::Exception;
use hornpipe_model::{Log, Severity, Timestamp, Value};

/// Up to so many attributes are looked through, one after another, for one of the same key.
const FEW: usize = 64;

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
        log.attributes.reserve_exact(self.attributes.len());
        merge(&mut log.attributes, self.attributes);
    }
}

/// Adds attributes. A key that comes twice keeps its first place and its last value.
fn merge(attributes: &mut Vec<(String, Value)>, more: Vec<(String, Value)>) {
    // A line of JSON may have a hundred thousand keys.
    let is_many = attributes.len() + more.len() > FEW;
    let known = attributes.iter().enumerate().filter(|_| is_many);
    let mut places: HashMap<String, usize> = known.map(|(place, (key, _))| (key.clone(), place)).collect();
    for (key, value) in more {
        let place = match is_many {
            true => places.get(&key).copied(),
            false => attributes.iter().position(|(known, _)| *known == key),
        };
        match place.and_then(|place| attributes.get_mut(place)) {
            Some((_, old)) => *old = value,
            None => {
                if is_many {
                    places.insert(key.clone(), attributes.len());
                }
                attributes.push((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_keeps_its_first_place_and_its_last_value_among_few_and_many() {
        for count in [3, FEW, 10 * FEW] {
            let pairs = |keys: std::ops::Range<usize>, value: &str| -> Vec<(String, Value)> {
                keys.map(|key| (key.to_string(), Value::from(value))).collect()
            };
            let mut attributes = pairs(0..2, "old");
            merge(&mut attributes, [pairs(1..count, "new"), pairs(count - 1..count, "last")].concat());
            let expected = [pairs(0..1, "old"), pairs(1..count - 1, "new"), pairs(count - 1..count, "last")].concat();
            assert_eq!(attributes, expected);
        }
    }
}
