//! Logs and events as the Datadog intake takes them.

use hornpipe_model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::intake::{Limits, Refusal, bad_request};
use super::store::Store;

/// Of `/api/v2/logs`; nothing is said about bytes as sent.
pub(super) const LOGS_LIMITS: Limits = Limits { compressed: 5_000_000, plain: 5_000_000 };
const MAX_LOGS: usize = 1_000;
/// Longer logs are taken and cut.
const MAX_LOG_BYTES: usize = 1_000_000;
const MAX_EVENT_TEXT: usize = 4_000;
const MAX_AGGREGATION_KEY: usize = 100;
/// Logs and events older than this are not shown.
const PAST_LIMIT: i64 = 18 * 3600;

/// A log record as it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogEntry {
    /// The line or block.
    pub message: String,
    /// The severity, empty where none was sent.
    pub status: String,
    /// Milliseconds since the epoch; when it came, where none was sent.
    pub timestamp: i64,
    /// The host, empty where none was sent.
    pub host: String,
    /// The service, empty where none was sent.
    pub service: String,
    /// The source, which selects a pipeline; empty where none was sent.
    pub source: String,
    /// The tags in their order.
    pub tags: Vec<String>,
    /// All other keys.
    pub attributes: Map<String, Value>,
}

/// An event as it came. The fields without a default are required, others are unknown to the API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventEntry {
    /// The title.
    pub title: String,
    /// The text.
    pub text: String,
    /// Seconds since the epoch; `None` for the time at which it came.
    #[serde(default)]
    pub date_happened: Option<i64>,
    /// The host, empty where none was sent.
    #[serde(default)]
    pub host: String,
    /// `normal` or `low`.
    #[serde(default)]
    pub priority: String,
    /// `error`, `warning`, `info` or `success`.
    #[serde(default)]
    pub alert_type: String,
    /// Events of one key are shown together.
    #[serde(default)]
    pub aggregation_key: String,
    /// What it is about.
    #[serde(default)]
    pub source_type_name: String,
    /// The tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Takes an array of logs.
///
/// # Errors
/// The refusal of the intake; nothing is taken then.
pub(super) fn take_logs(store: &mut Store, payload: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let logs: Vec<Map<String, Value>> =
        serde_json::from_slice(payload).map_err(|error| bad_request(format!("not an array of logs: {error}")))?;
    if logs.is_empty() || logs.len() > MAX_LOGS {
        return Err(bad_request(format!("{} logs, not 1 to {MAX_LOGS}", logs.len())));
    }
    let sizes: Vec<usize> = logs.iter().map(|log| serde_json::to_vec(log).map_or(0, |json| json.len())).collect();
    let entries: Result<Vec<LogEntry>, Refusal> = logs.into_iter().map(|log| entry(log, now)).collect();
    for (entry, size) in entries?.into_iter().zip(sizes) {
        if size > MAX_LOG_BYTES {
            store.ignored.push(format!("a log of {size} bytes is cut"));
        }
        if let Some(problem) = too_old(entry.timestamp / 1_000, now) {
            store.ignored.push(format!("log {:?}: {problem}", entry.message));
            continue;
        }
        store.logs.push(entry);
    }
    Ok(())
}

fn entry(mut log: Map<String, Value>, now: Timestamp) -> Result<LogEntry, Refusal> {
    let mut text = |key: &str| match log.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(bad_request(format!("{key} is no text: {other}"))),
    };
    let message = text("message")?.ok_or_else(|| bad_request("a log without a message".to_owned()))?;
    let tags = text("ddtags")?.unwrap_or_default();
    let entry = LogEntry {
        message,
        status: text("status")?.unwrap_or_default(),
        host: text("hostname")?.unwrap_or_default(),
        service: text("service")?.unwrap_or_default(),
        source: text("ddsource")?.unwrap_or_default(),
        tags: tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        ..LogEntry::default()
    };
    let timestamp = match log.remove("timestamp") {
        None => now.as_nanos() as i64 / 1_000_000,
        Some(number) => number.as_i64().ok_or_else(|| bad_request(format!("timestamp {number} is no whole number")))?,
    };
    Ok(LogEntry { timestamp, attributes: log, ..entry })
}

/// Takes an event.
///
/// # Errors
/// The refusal of the intake; nothing is taken then.
pub(super) fn take_event(store: &mut Store, payload: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let event: EventEntry =
        serde_json::from_slice(payload).map_err(|error| bad_request(format!("not an event: {error}")))?;
    let one_of = |value: &str, names: &[&str]| value.is_empty() || names.contains(&value);
    let problem = if event.title.is_empty() {
        "no title"
    } else if event.text.chars().count() > MAX_EVENT_TEXT {
        "the text is too long"
    } else if event.aggregation_key.chars().count() > MAX_AGGREGATION_KEY {
        "the aggregation key is too long"
    } else if !one_of(&event.alert_type, &["error", "warning", "info", "success"]) {
        "an unknown alert type"
    } else if !one_of(&event.priority, &["normal", "low"]) {
        "an unknown priority"
    } else {
        ""
    };
    if !problem.is_empty() {
        return Err(bad_request(format!("event {:?}: {problem}", event.title)));
    }
    match event.date_happened.and_then(|seconds| too_old(seconds, now)) {
        Some(problem) => store.ignored.push(format!("event {:?}: {problem}", event.title)),
        None => store.events.push(event),
    }
    Ok(())
}

fn too_old(seconds: i64, now: Timestamp) -> Option<String> {
    let age = now.as_secs() as i64 - seconds;
    (age > PAST_LIMIT).then(|| format!("it is {age} s old"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn logs(payload: &Value) -> Result<Store, Refusal> {
        let mut store = Store::default();
        take_logs(&mut store, payload.to_string().as_bytes(), NOW).map(|()| store)
    }

    fn event(payload: &Value) -> Result<Store, Refusal> {
        let mut store = Store::default();
        take_event(&mut store, payload.to_string().as_bytes(), NOW).map(|()| store)
    }

    #[test]
    fn reserved_keys_become_fields_and_the_others_attributes() {
        let taken = logs(&json!([{
            "message": "m", "status": "error", "timestamp": 1_700_000_000_123_i64, "hostname": "web1",
            "service": "shop", "ddsource": "gunicorn", "ddtags": "env:prod,b", "pid": 7,
        }]));
        let [entry] = &taken.unwrap().logs[..] else { panic!("not one log") };
        assert_eq!((&*entry.status, entry.timestamp, &*entry.host), ("error", 1_700_000_000_123, "web1"));
        assert_eq!((&*entry.service, &*entry.source), ("shop", "gunicorn"));
        assert_eq!((entry.tags.join("|"), entry.attributes.len()), ("env:prod|b".to_owned(), 1));
    }

    #[test]
    fn payloads_that_the_intake_refuses_are_refused() {
        for payload in [json!([]), json!({}), json!(["text"]), json!([{}]), json!([{"message": 1}])] {
            assert!(logs(&payload).is_err(), "{payload}");
        }
        let many: Vec<Value> = (0..1_001).map(|_| json!({"message": "m"})).collect();
        assert!(logs(&Value::from(many)).is_err());
        let long = "x".repeat(4_001);
        for payload in [
            json!({"title": "t"}),
            json!({"title": "", "text": ""}),
            json!({"title": "t", "text": long}),
            json!({"title": "t", "text": "", "aggregation_key": "x".repeat(101)}),
            json!({"title": "t", "text": "", "alert_type": "fatal"}),
            json!({"title": "t", "text": "", "priority": "high"}),
            json!({"title": "t", "text": "", "hostname": "web1"}),
        ] {
            assert!(event(&payload).is_err(), "{payload}");
        }
        assert_eq!(event(&json!({"title": "t", "text": ""})).unwrap().events.len(), 1);
    }

    #[test]
    fn what_would_not_be_shown_whole_is_noted() {
        let old = logs(&json!([{"message": "m", "timestamp": (1_700_000_000_i64 - 65_000) * 1_000}])).unwrap();
        assert_eq!((old.logs.len(), old.ignored.len()), (0, 1));
        let long = logs(&json!([{"message": "x".repeat(1_000_000)}])).unwrap();
        assert_eq!((long.logs.len(), long.ignored.len()), (1, 1));
        let old = event(&json!({"title": "t", "text": "", "date_happened": 1_600_000_000})).unwrap();
        assert_eq!((old.events.len(), old.ignored.len()), (0, 1));
    }
}
