//! Log records of OTLP requests, each with its whole surroundings beside it.

use hornpipe_model::Resource;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::point::{Attributes, attributes, text_of};

/// A log record as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpLog {
    /// The resource's attributes.
    pub resource: Attributes,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// The record's attributes.
    pub attributes: Attributes,
    /// The body as text.
    pub body: String,
    /// The whole message.
    pub record: LogRecord,
}

/// The records of a request.
pub(super) fn records_of(request: &ExportLogsServiceRequest) -> Vec<OtlpLog> {
    let mut logs = Vec::new();
    for group in &request.resource_logs {
        let resource = group.resource.as_ref().map(|resource| attributes(&resource.attributes).0).unwrap_or_default();
        for scoped in &group.scope_logs {
            let scope = scoped.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
            logs.extend(scoped.log_records.iter().map(|record| OtlpLog {
                resource: resource.clone(),
                scope: scope.clone(),
                attributes: attributes(&record.attributes).0,
                body: text_of(record.body.as_ref()),
                record: record.clone(),
            }));
        }
    }
    logs
}

/// What a request breaks of the data model, in words.
pub(super) fn violations(request: &ExportLogsServiceRequest) -> Vec<String> {
    let logs = records_of(request);
    if logs.is_empty() {
        return vec!["a request without log records".to_owned()];
    }
    logs.iter().filter_map(|log| Some(format!("log {:?}: {}", log.body, problem_of(log)?))).collect()
}

fn problem_of(log: &OtlpLog) -> Option<&'static str> {
    let record = &log.record;
    let is_id = |id: &[u8], length| id.is_empty() || (id.len() == length && id.iter().any(|&byte| byte != 0));
    if record.observed_time_unix_nano == 0 {
        Some("no observed time")
    } else if !(0..=24).contains(&record.severity_number) {
        Some("a severity that does not exist")
    } else if attributes(&record.attributes).1 {
        Some("an attribute's key comes twice")
    } else if log.attributes.contains_key("") {
        Some("an attribute without a key")
    } else if !is_id(&record.trace_id, 16) || !is_id(&record.span_id, 8) {
        Some("an id that is invalid")
    } else if !log.resource.contains_key(Resource::HOST_NAME) {
        Some("the resource has no host.name")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;

    use super::*;

    fn text(value: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
    }

    fn key_value(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() }
    }

    fn request(record: LogRecord) -> ExportLogsServiceRequest {
        let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
        let resource = OtlpResource { attributes: vec![key_value("host.name", "web1")], ..OtlpResource::default() };
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, schema_url: String::new() }],
        }
    }

    fn record() -> LogRecord {
        let attributes = vec![key_value("env", "prod")];
        LogRecord { observed_time_unix_nano: 1, body: text("hello"), attributes, ..LogRecord::default() }
    }

    #[test]
    fn records_are_shown_with_their_surroundings() {
        let [log] = &records_of(&request(record()))[..] else { panic!("not one record") };
        assert_eq!((&*log.body, &*log.attributes["env"], &*log.resource["host.name"]), ("hello", "prod", "web1"));
        assert_eq!(violations(&request(record())), Vec::<String>::new());
    }

    #[test]
    fn records_that_break_a_rule_are_named() {
        let twice = vec![key_value("a", "1"), key_value("a", "2")];
        for (broken, words) in [
            (LogRecord { observed_time_unix_nano: 0, ..record() }, "no observed time"),
            (LogRecord { severity_number: 25, ..record() }, "severity"),
            (LogRecord { attributes: twice, ..record() }, "twice"),
            (LogRecord { attributes: vec![key_value("", "1")], ..record() }, "without a key"),
            (LogRecord { trace_id: vec![0; 16], ..record() }, "invalid"),
            (LogRecord { span_id: vec![1; 7], ..record() }, "invalid"),
        ] {
            let found = violations(&request(broken));
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        }
        assert_eq!(violations(&ExportLogsServiceRequest::default()), ["a request without log records"]);
    }
}
