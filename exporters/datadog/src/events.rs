//! `/api/v1/events`: one event a request.

use hornpipe_engine::component::{Reason, reason};
use hornpipe_model::{Event, Log, Signal, Timestamp};
use serde::Serialize;

use crate::labels::public_tags;
use crate::logs::CUT;
use crate::payload::Layout;

/// The limits of the bytes are the Agent's (`serializer_max_payload_size`,
/// `serializer_max_uncompressed_payload_size`).
pub(crate) static LAYOUT: Layout = Layout {
    route: "/api/v1/events",
    signal: Signal::Logs,
    before: b"",
    between: b"",
    after: b"",
    max_bytes: 4_194_304,
    max_sent_bytes: 2_621_440,
    max_points: 1,
};

/// Most characters of a text and of an aggregation key (Datadog's API).
const MAX_TEXT: usize = 4_000;
const MAX_AGGREGATION_KEY: usize = 100;

/// One event. What is empty is left out, except title and text, which the API requires.
#[derive(Serialize)]
struct Body<'a> {
    title: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_happened: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    priority: &'static str,
    alert_type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aggregation_key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_type_name: &'a str,
    tags: Vec<&'a str>,
}

/// Writes the event that a record stands for and tells that it is one item. `host` is for events without a host of their
/// own. A text that is too long ends with the Agent's mark.
///
/// # Errors
/// JSON has no form for it, which cannot be for texts and numbers.
pub(crate) fn write(log: &Log, event: &Event, host: &str, buffer: &mut Vec<u8>) -> Result<usize, Reason> {
    let time = Some(log.time_or_observed()).filter(|&time| time != Timestamp::UNKNOWN);
    let is_long = event.text.chars().nth(MAX_TEXT).is_some();
    let text =
        if is_long { format!("{}{CUT}", first_chars(&event.text, MAX_TEXT - CUT.len())) } else { event.text.clone() };
    let body = Body {
        title: &event.title,
        text: &text,
        date_happened: time.map(Timestamp::as_secs),
        host: event.host.as_deref().unwrap_or(host),
        priority: event.priority.as_str(),
        alert_type: event.alert_type.as_str(),
        aggregation_key: first_chars(&event.aggregation_key, MAX_AGGREGATION_KEY),
        source_type_name: &event.source_type_name,
        tags: public_tags(&log.source.tags).collect(),
    };
    serde_json::to_writer(buffer, &body).map_err(|_| reason::UNSUPPORTED)?;
    Ok(1)
}

/// At most so many characters of a text.
fn first_chars(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}
