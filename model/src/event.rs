//! DogStatsD events, which travel as log records.
//!
//! This is the one place that says how an [`Event`] stands in a [`Log`]; the receiver that makes such records and the
//! exporters that read them share it.
//!
//! | Event | Log record |
//! |---|---|
//! | that it is one | event name [`Event::NAME`] |
//! | title | attribute `datadog.event.title`, never empty |
//! | text | body |
//! | time | time, unknown where the client gave none |
//! | host of the client's own | attribute `host.name` |
//! | priority | attribute `datadog.event.priority` |
//! | alert type | attribute `datadog.event.alert_type`, and from it severity and severity text |
//! | aggregation key, source type name | attributes `datadog.event.aggregation_key` and `datadog.event.source_type_name`, left out where empty |
//! | tags | those of the record's source |

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Body, Log, LogSource, Resource, Severity, Timestamp, Value};

const TITLE: &str = "datadog.event.title";
const PRIORITY: &str = "datadog.event.priority";
const ALERT_TYPE: &str = "datadog.event.alert_type";
const AGGREGATION_KEY: &str = "datadog.event.aggregation_key";
const SOURCE_TYPE_NAME: &str = "datadog.event.source_type_name";

/// An event as a DogStatsD client sends it. Its tags are those of the record's [`LogSource`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The title. A record without one is no event.
    pub title: String,
    /// The text, which may be empty.
    pub text: String,
    /// When it happened; unknown where the client did not say.
    pub time: Timestamp,
    /// The host that the client named, an empty one for "none"; `None` where it named none and the resource's counts.
    pub host: Option<String>,
    /// How important it is.
    pub priority: EventPriority,
    /// What kind of news it is.
    pub alert_type: AlertType,
    /// Events of one key are shown together; empty where there is none.
    pub aggregation_key: String,
    /// What it is about, such as `nagios`; empty where not said.
    pub source_type_name: String,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventPriority {
    /// The default.
    #[default]
    Normal,
    /// Shown less prominently.
    Low,
}

/// What kind of news an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertType {
    /// Something failed.
    Error,
    /// Something may fail.
    Warning,
    /// The default.
    #[default]
    Info,
    /// Something succeeded.
    Success,
}

impl Event {
    /// The event name of the records that are events.
    pub const NAME: &'static str = "datadog.event";

    /// The record of this event.
    pub fn into_log(self, observed_time: Timestamp, source: Arc<LogSource>) -> Log {
        let mut log = Log::new(Body::Text(self.text.into()), observed_time, source);
        log.event_name = Self::NAME.into();
        log.time = self.time;
        log.severity = self.alert_type.severity();
        log.severity_text = self.alert_type.as_str().into();
        let optional = |text: String| Some(text).filter(|text| !text.is_empty());
        let attributes = [
            (TITLE, Some(self.title)),
            (PRIORITY, Some(self.priority.as_str().to_owned())),
            (ALERT_TYPE, Some(self.alert_type.as_str().to_owned())),
            (AGGREGATION_KEY, optional(self.aggregation_key)),
            (SOURCE_TYPE_NAME, optional(self.source_type_name)),
            (Resource::HOST_NAME, self.host),
        ];
        let present = attributes.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::String(text?))));
        log.attributes = present.collect();
        log
    }

    /// The event that a record stands for. `None` for a plain record: one of another event name, without a title, or
    /// whose body is no text. An unknown priority is normal; an unknown alert type is what the severity says.
    pub fn from_log(log: &Log) -> Option<Event> {
        if &*log.event_name != Self::NAME {
            return None;
        }
        let title = attribute(log, TITLE).filter(|title| !title.is_empty())?;
        let owned = |key| attribute(log, key).unwrap_or_default().to_owned();
        Some(Event {
            title: title.to_owned(),
            text: log.body.text().map(Cow::into_owned)?,
            time: log.time,
            host: Event::host_of(log).map(str::to_owned),
            priority: attribute(log, PRIORITY).and_then(EventPriority::parse).unwrap_or_default(),
            alert_type: attribute(log, ALERT_TYPE)
                .and_then(AlertType::parse)
                .unwrap_or_else(|| AlertType::of_severity(log.severity)),
            aggregation_key: owned(AGGREGATION_KEY),
            source_type_name: owned(SOURCE_TYPE_NAME),
        })
    }

    /// The host that the client of an event named: an empty one means none, `None` that the resource's counts. Also
    /// `None` for records that are no events.
    pub fn host_of(log: &Log) -> Option<&str> {
        if &*log.event_name == Self::NAME { attribute(log, Resource::HOST_NAME) } else { None }
    }
}

fn attribute<'a>(log: &'a Log, key: &str) -> Option<&'a str> {
    log.attributes.iter().find(|(found, _)| found == key).and_then(|(_, value)| value.as_str())
}

impl EventPriority {
    /// The name that clients and Datadog use.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventPriority::Normal => "normal",
            EventPriority::Low => "low",
        }
    }

    /// The priority of a name; `None` for an unknown one.
    pub fn parse(name: &str) -> Option<Self> {
        [EventPriority::Normal, EventPriority::Low].into_iter().find(|known| known.as_str() == name)
    }
}

impl AlertType {
    /// The name that clients and Datadog use.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertType::Error => "error",
            AlertType::Warning => "warning",
            AlertType::Info => "info",
            AlertType::Success => "success",
        }
    }

    /// The alert type of a name; `None` for an unknown one.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [AlertType::Error, AlertType::Warning, AlertType::Info, AlertType::Success];
        all.into_iter().find(|known| known.as_str() == name)
    }

    /// The severity of the record; a success is informational.
    pub const fn severity(self) -> Severity {
        match self {
            AlertType::Error => Severity::ERROR,
            AlertType::Warning => Severity::WARN,
            AlertType::Info | AlertType::Success => Severity::INFO,
        }
    }

    fn of_severity(severity: Severity) -> Self {
        match severity {
            severity if severity >= Severity::ERROR => AlertType::Error,
            severity if severity >= Severity::WARN => AlertType::Warning,
            _ => AlertType::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Event {
        Event {
            title: "Deploy".to_owned(),
            text: "version 7\nis out".to_owned(),
            time: Timestamp::from_secs(1_700_000_000),
            host: Some("web2".to_owned()),
            priority: EventPriority::Low,
            alert_type: AlertType::Success,
            aggregation_key: "deploys".to_owned(),
            source_type_name: "jenkins".to_owned(),
        }
    }

    fn log_of(event: Event) -> Log {
        event.into_log(Timestamp::from_secs(1_700_000_100), Arc::default())
    }

    #[test]
    fn every_event_comes_back_from_its_record() {
        let small = Event { title: "t".to_owned(), ..Event::default() };
        let without_host = Event { host: Some(String::new()), ..full() };
        let alerts = [AlertType::Error, AlertType::Warning, AlertType::Info, AlertType::Success];
        let all_alerts = alerts.map(|alert_type| Event { alert_type, ..full() });
        for event in [full(), small, without_host].into_iter().chain(all_alerts) {
            assert_eq!(Event::from_log(&log_of(event.clone())), Some(event));
        }
    }

    #[test]
    fn a_record_shows_what_the_event_says() {
        let log = log_of(full());
        assert_eq!((&*log.event_name, log.severity, &*log.severity_text), (Event::NAME, Severity::INFO, "success"));
        assert_eq!(log.body, Body::Text("version 7\nis out".into()));
        assert_eq!(log.time, Timestamp::from_secs(1_700_000_000));
        assert_eq!(Event::host_of(&log), Some("web2"));
        let keys: Vec<_> = log_of(Event { title: "t".to_owned(), ..Event::default() }).attributes;
        let keys: Vec<_> = keys.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, [TITLE, PRIORITY, ALERT_TYPE]);
    }

    #[test]
    fn records_that_are_no_events_are_left_alone() {
        let plain = Log::new(Body::Text("x".into()), Timestamp::UNKNOWN, Arc::default());
        let other_name = Log { event_name: "browser.click".into(), ..log_of(full()) };
        let without_title = Log { attributes: Vec::new(), ..log_of(full()) };
        let without_text = Log { body: Body::Value(Value::Int(1)), ..log_of(full()) };
        for log in [&plain, &other_name, &without_title, &without_text] {
            assert_eq!(Event::from_log(log), None, "{log:?}");
        }
        assert_eq!(Event::host_of(&other_name), None);
    }

    #[test]
    fn what_is_unknown_is_normal_and_as_severe_as_the_record() {
        let mut log = log_of(full());
        log.attributes.retain(|(key, _)| key == TITLE);
        for (severity, expected) in
            [(Severity(0), AlertType::Info), (Severity(14), AlertType::Warning), (Severity(21), AlertType::Error)]
        {
            let event = Event::from_log(&Log { severity, ..log.clone() }).expect("an event");
            assert_eq!((event.priority, event.alert_type), (EventPriority::Normal, expected));
        }
    }
}
