//! Log records, encoded and decoded.

use hornpipe_model::{AlertType, Body, Event, Log, LogBatch, LogSource, Severity, Trace};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::*;

const OBSERVED: Timestamp = Timestamp::from_secs(1_790_000_010);

fn source(path: &str, service: &str, tags: &[&str]) -> Arc<LogSource> {
    let source = if service.is_empty() { String::new() } else { "gunicorn".to_owned() };
    Arc::new(LogSource { path: path.to_owned(), service: service.to_owned(), source, tags: tags.iter().collect() })
}

fn log(text: &str, source: &Arc<LogSource>) -> Log {
    Log::new(Body::Text(text.into()), OBSERVED, Arc::clone(source))
}

fn logs(records: Vec<Log>) -> Data {
    let mut resource =
        Resource { schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(), ..Resource::default() };
    resource.set(Resource::HOST_NAME, "web1");
    resource.set(Resource::SERVICE_NAME, "host");
    let scope = Scope { name: "hornpipe/filelog".to_owned(), version: "0.1.0".to_owned(), ..Scope::default() };
    LogBatch { resource: Arc::new(resource), scope: Arc::new(scope), records }.into()
}

/// One of everything.
pub(super) fn mixed_logs() -> Data {
    let error_log = source("/var/log/gunicorn/error.log", "shop", &["env:prod", "team:a", "team:b", "canary"]);
    let nowhere = source("", "", &[]);
    let traced = Log {
        time: Timestamp::from_secs(1_790_000_001),
        severity: Severity::ERROR,
        severity_text: "ERROR".into(),
        attributes: vec![
            ("process.pid".to_owned(), Value::Int(7)),
            ("env".to_owned(), Value::from("the record's own")),
            ("log.file.name".to_owned(), Value::from("renamed.log")),
        ],
        trace: Some(Box::new(Trace { trace_id: [0xab; 16], span_id: [0xcd; 8], flags: 1 })),
        ..log("Traceback (most recent call last):\n  boom", &error_log)
    };
    let event = Event {
        title: "Deploy".to_owned(),
        text: "version 7".to_owned(),
        host: Some("web2".to_owned()),
        alert_type: AlertType::Warning,
        ..Event::default()
    };
    let body = |body| Log { body, ..log("", &nowhere) };
    logs(vec![
        traced,
        log("no source", &nowhere),
        log("a neighbour", &error_log),
        event.into_log(OBSERVED, source("", "", &["env:prod"])),
        body(Body::Bytes([b'a', 0xff, b'b'].into())),
        body(Body::Value(Value::Map(vec![("n".to_owned(), Value::Int(1))]))),
        body(Body::Value(Value::Bytes(vec![0xff]))),
    ])
}

fn decode_logs(request: &Request) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(request.body.clone()).expect("a message")
}

/// The message as lines for people.
fn logs_shown(message: &ExportLogsServiceRequest) -> String {
    let mut text = String::new();
    for group in &message.resource_logs {
        let resource = group.resource.as_ref().map(|resource| attributes_shown(&resource.attributes));
        writeln!(text, "resource [{}] {}", resource.unwrap_or_default(), group.schema_url).expect("text");
        for scoped in &group.scope_logs {
            let scope = scoped.scope.clone().unwrap_or_default();
            writeln!(text, "  scope {} {}", scope.name, scope.version).expect("text");
            scoped.log_records.iter().for_each(|record| text.push_str(&record_shown(record)));
        }
    }
    text
}

fn record_shown(record: &LogRecord) -> String {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "    [{}] {} observed {} severity {} {:?} event {:?} trace {:?} span {:?} flags {}\n      {:?}\n",
        attributes_shown(&record.attributes),
        record.time_unix_nano,
        record.observed_time_unix_nano,
        record.severity_number,
        record.severity_text,
        record.event_name,
        hex(&record.trace_id),
        hex(&record.span_id),
        record.flags,
        body
    )
}

#[test]
fn one_of_everything_is_encoded_as_it_always_was() {
    let data = mixed_logs();
    let encoded = PLAIN.encode(&data, &all_items(&data));
    let [request] = &encoded.requests[..] else { panic!("{encoded:?}") };
    assert_eq!((request.route, request.signal, encoded.dropped.len()), ("/v1/logs", Signal::Logs, 0));
    assert_eq!(request.items, all_items(&data));
    assert_golden("logs.txt", logs_shown(&decode_logs(request)).as_bytes());
    assert_golden("logs.pb", &request.body);
}

#[test]
fn the_same_records_give_the_same_bytes_however_often() {
    let data = mixed_logs();
    let first = PLAIN.encode(&data, &all_items(&data));
    for _ in 0..20 {
        assert_eq!(PLAIN.encode(&data, &all_items(&data)), first);
    }
}

#[test]
fn only_the_records_asked_for_are_encoded() {
    let encoded = PLAIN.encode(&mixed_logs(), &[1, 99]);
    assert_eq!(encoded.requests[0].items, [1]);
    assert!(logs_shown(&decode_logs(&encoded.requests[0])).contains("no source"));
    assert_eq!(PLAIN.encode(&mixed_logs(), &[]), Encoded::default());
}

#[test]
fn a_large_batch_of_records_becomes_requests_that_backends_take() {
    let source = source("/var/log/gunicorn/access.log", "shop", &["env:prod"]);
    let data = logs((0..20_000).map(|index| log(&format!("{index:0300}"), &source)).collect());
    let encoded = PLAIN.encode(&data, &all_items(&data));
    let sizes: Vec<usize> = encoded.requests.iter().map(|request| request.body.len()).collect();
    assert!(sizes.iter().all(|&size| size <= MAX_MESSAGE_BYTES), "{sizes:?}");
    let full = &sizes[..sizes.len() - 1];
    assert!(!full.is_empty() && full.iter().all(|&size| size > MAX_MESSAGE_BYTES / 10 * 9), "{sizes:?}");
    assert_eq!(encoded.requests.iter().flat_map(|request| request.items.clone()).collect::<Vec<_>>(), all_items(&data));
}

#[test]
fn a_record_that_nobody_should_send_is_dropped_and_counted() {
    let source = source("", "", &[]);
    let data = logs(vec![log("a", &source), log(&"x".repeat(LARGEST_MESSAGE_BYTES), &source), log("b", &source)]);
    let encoded = PLAIN.encode(&data, &all_items(&data));
    assert_eq!(encoded.dropped, [(reason::TOO_LARGE, 1)]);
    assert_eq!(encoded.requests.iter().flat_map(|request| request.items.clone()).collect::<Vec<_>>(), [0, 2]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,9}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Double),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let pairs = proptest::collection::vec(("[a-b]{0,2}", inner.clone()), 0..4);
        prop_oneof![proptest::collection::vec(inner, 0..4).prop_map(Value::Array), pairs.prop_map(Value::Map)]
    })
}

/// Attributes whose keys are unique and may be those of tags.
fn any_attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    proptest::collection::btree_map("[a-c]{0,1}|env|log.file.name|host.name", any_value(), 0..3)
        .prop_map(|attributes| attributes.into_iter().collect())
}

fn any_log() -> impl Strategy<Value = Log> {
    let place = (0_usize..3, 0_usize..3, any_tags());
    let said = (any_attributes(), any::<(u8, u32, [u8; 8])>(), proptest::option::of(any_value()));
    (place, ".{0,200}", proptest::option::of("[a-c]?"), said).prop_map(
        |((path, service, tags), text, host, (attributes, (severity, flags, span_id), body))| {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let source = source(["", "/a.log", "/var/b.log"][path], ["", "shop", "desk"][service], &tags);
            let event = Event { title: "t".to_owned(), text: text.clone(), host, ..Event::default() };
            match &event.host {
                Some(_) => event.into_log(OBSERVED, source),
                None => {
                    let body = body.map_or_else(|| Body::from_bytes(text.into_bytes()), Body::Value);
                    let severity = Severity(severity % 25);
                    let trace = Trace { trace_id: [0; 16], span_id, flags };
                    Log { body, attributes, severity, trace: Some(Box::new(trace)), ..log("", &source) }
                }
            }
        },
    )
}

/// Records of which some have the source of the one before.
fn any_neighbours() -> impl Strategy<Value = Vec<Log>> {
    proptest::collection::vec((any_log(), any::<bool>()), 0..60).prop_map(|drawn| {
        let mut records: Vec<Log> = Vec::new();
        for (mut record, is_neighbour) in drawn {
            if let Some(before) = records.last().filter(|_| is_neighbour) {
                record.source = Arc::clone(&before.source);
            }
            records.push(record);
        }
        records
    })
}

proptest! {
    #[test]
    fn parts_hold_each_record_once_and_keep_the_limit(
        records in any_neighbours(),
        max_bytes in 900_usize..5_000,
    ) {
        let data = logs(records);
        let Data::Logs(batch) = &data else { panic!("not logs") };
        let parts = super::super::logs::encode(batch, &all_items(&data), max_bytes);
        for part in &parts {
            prop_assert!(!part.items.is_empty());
            prop_assert!(part.items.len() == 1 || part.message().len() <= max_bytes);
            prop_assert_eq!(part.message(), &reference::encode(&data, &part.items));
        }
        let sent: Vec<u32> = parts.iter().flat_map(|part| part.items.iter().copied()).collect();
        prop_assert_eq!(sent, all_items(&data));
    }
}
