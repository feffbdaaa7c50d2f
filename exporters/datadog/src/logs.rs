//! `/api/v2/logs`: a JSON array of log records.

use std::borrow::Cow;

use hornpipe_engine::component::{Reason, reason};
use hornpipe_model::{Body, Log, Resource, Signal, Value};

use crate::log_entry::{Entries, Json};
use crate::payload::Layout;

/// At most 1,000 records and 5 MB before compression (Datadog's API); nothing is said about bytes as sent.
pub(crate) static LAYOUT: Layout = Layout {
    route: "/api/v2/logs",
    signal: Signal::Logs,
    before: b"[",
    between: b",",
    after: b"]",
    max_bytes: 5_000_000,
    max_sent_bytes: usize::MAX,
    max_points: 1_000,
};

/// Most bytes of one record; the intake cuts longer ones without a word.
pub(crate) const MAX_RECORD_BYTES: usize = 1_000_000;

/// What a text ends with that was cut, as the Agent marks it.
pub(crate) const CUT: &str = "...TRUNCATED...";

/// Whom the records of a batch belong to, unless their source says more. Empty means that nobody said.
pub(crate) struct Owner<'a> {
    pub(crate) host: &'a str,
    pub(crate) service: &'a str,
    pub(crate) source: &'a str,
}

impl<'a> Owner<'a> {
    /// What the resource says; `hostname` wins over its host.
    pub(crate) fn new(resource: &'a Resource, hostname: Option<&'a str>) -> Self {
        let text = |key| resource.get(key).and_then(Value::as_str).unwrap_or_default();
        Owner {
            host: hostname.unwrap_or_else(|| text(Resource::HOST_NAME)),
            service: text(Resource::SERVICE_NAME),
            source: text(Resource::LOG_SOURCE),
        }
    }
}

/// Writes one record and tells that it is one item. What was not [split](crate::split) and is too long all the same has its message
/// cut and marked.
///
/// # Errors
/// Its attributes alone are more than the intake takes of a record.
pub(crate) fn write(log: &Log, entries: &mut Entries<'_>, buffer: &mut Vec<u8>) -> Result<usize, Reason> {
    let mut write =
        |message: &str, buffer: &mut Vec<u8>| entries.write(log, message, buffer).map_err(|_| reason::UNSUPPORTED);
    let message = message(&log.body)?;
    let start = buffer.len();
    write(&message, buffer)?;
    let bytes = buffer.len() - start;
    if bytes > MAX_RECORD_BYTES {
        buffer.truncate(start);
        let others = bytes - json_length(&message);
        let room = MAX_RECORD_BYTES.checked_sub(others + CUT.len()).ok_or(reason::TOO_LARGE)?;
        write(&format!("{}{CUT}", within(&message, room)), buffer)?;
    }
    Ok(1)
}

/// The text of a record, which for a typed body is its JSON: the intake reads JSON in messages.
pub(crate) fn message(body: &Body) -> Result<Cow<'_, str>, Reason> {
    match (body.text(), body) {
        (Some(text), _) => Ok(text),
        (None, Body::Value(value)) => {
            serde_json::to_string(&Json(value)).map(Cow::Owned).map_err(|_| reason::UNSUPPORTED)
        }
        (None, _) => Ok(Cow::Borrowed("")),
    }
}

/// As much of the beginning of a text as takes at most `room` bytes in JSON.
pub(crate) fn within(text: &str, room: usize) -> &str {
    let mut left = room;
    let end = text.char_indices().find_map(|(index, character)| match left.checked_sub(json_bytes(character)) {
        Some(rest) => {
            left = rest;
            None
        }
        None => Some(index),
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Bytes that a text takes in JSON, without its quotation marks.
pub(crate) fn json_length(text: &str) -> usize {
    text.chars().map(json_bytes).sum()
}

/// Bytes that a character takes in a JSON text.
fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_character_are_those_of_the_json() {
        for character in (0..0x300).chain([0x20ac, 0x1_f600]).filter_map(char::from_u32) {
            let json = serde_json::to_string(&character.to_string()).unwrap();
            assert_eq!(json_bytes(character), json.len() - 2, "{character:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let cases = [("abc", 3, "abc"), ("abc", 2, "ab"), ("a\nc", 2, "a"), ("aé", 2, "a"), ("é", 0, ""), ("", 0, "")];
        for (text, room, expected) in cases {
            assert_eq!(within(text, room), expected, "{text:?} {room}");
        }
    }
}
