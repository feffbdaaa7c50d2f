//! Log records and events, encoded and compared with what the API's documentation asks for.

use std::sync::Arc;

use hornpipe_engine::component::{Encoded, reason};
use hornpipe_engine::http::Compression;
use hornpipe_model::{
    AlertType, Body, Event, EventPriority, Log, LogBatch, LogSource, Resource, Severity, Timestamp, Trace, Value,
};
use proptest::prelude::*;
use serde_json::json;

use super::points::START;
use crate::encode::Encoder;
use crate::logs::CUT;

const OBSERVED: Timestamp = Timestamp::from_nanos(START * 1_000_000_000 + 123_456_789);

fn source(path: &str, service: &str, tags: &[&str]) -> Arc<LogSource> {
    let source = if service.is_empty() { String::new() } else { "gunicorn".to_owned() };
    Arc::new(LogSource { path: path.to_owned(), service: service.to_owned(), source, tags: tags.iter().collect() })
}

fn log(text: &str) -> Log {
    Log::new(Body::Text(text.into()), OBSERVED, Arc::default())
}

fn event(event: Event) -> Log {
    event.into_log(OBSERVED, source("", "", &["env:prod", "dd.internal.card:low"]))
}

fn batch(records: Vec<Log>) -> LogBatch {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web1");
    LogBatch { resource: Arc::new(resource), scope: Arc::default(), records }
}

fn encode_with(encoder: &Encoder, batch: &LogBatch) -> Encoded {
    let items: Vec<u32> = (0..batch.records.len() as u32).collect();
    encoder.encode_logs(batch, &items)
}

fn encode(records: Vec<Log>) -> Encoded {
    encode_with(&super::points::encoder(), &batch(records))
}

/// The only request's body.
fn body(records: Vec<Log>) -> String {
    let encoded = encode(records);
    let [request] = &*encoded.requests else { panic!("{encoded:?}") };
    assert_eq!(encoded.dropped, []);
    String::from_utf8(request.body.to_vec()).unwrap()
}

#[test]
fn a_line_of_a_file_byte_for_byte() {
    let source = source("/var/log/gunicorn/error.log", "shop", &["env:prod", "odd,tag", "dd.internal.card:low"]);
    let line = Log {
        time: Timestamp::from_secs(START),
        severity: Severity::ERROR,
        severity_text: "ERROR".into(),
        attributes: vec![("process.pid".to_owned(), Value::Int(7)), ("status".to_owned(), Value::from("own"))],
        source,
        ..log("Traceback:\n  \"boom\"")
    };
    let expected = concat!(
        r#"[{"message":"Traceback:\n  \"boom\"","timestamp":1700000000000,"status":"error","hostname":"web1","#,
        r#""service":"shop","ddsource":"gunicorn","#,
        r#""ddtags":"filename:error.log,dirname:/var/log/gunicorn,env:prod,odd_tag","#,
        r#""process.pid":7,"attributes.status":"own"},"#,
        r#"{"message":"plain","timestamp":1700000000123,"hostname":"web1"}]"#
    );
    assert_eq!(body(vec![line, log("plain")]), expected);
}

#[test]
fn an_event_byte_for_byte() {
    let full = Event {
        title: "Deploy".to_owned(),
        text: "version 7\nis out".to_owned(),
        time: Timestamp::from_secs(START - 5),
        host: Some("web2".to_owned()),
        priority: EventPriority::Low,
        alert_type: AlertType::Success,
        aggregation_key: "deploys".to_owned(),
        source_type_name: "jenkins".to_owned(),
    };
    let expected = concat!(
        r#"{"title":"Deploy","text":"version 7\nis out","date_happened":1699999995,"host":"web2","priority":"low","#,
        r#""alert_type":"success","aggregation_key":"deploys","source_type_name":"jenkins","tags":["env:prod"]}"#
    );
    assert_eq!(body(vec![event(full)]), expected);
}

#[test]
fn events_go_one_by_one_beside_the_logs() {
    let small =
        |host: Option<&str>| event(Event { title: "t".to_owned(), host: host.map(str::to_owned), ..Event::default() });
    let other = Log { event_name: "browser.click".into(), ..log("clicked") };
    let encoded = encode(vec![small(None), log("a"), small(Some("")), other]);
    let requests: Vec<_> = encoded.requests.iter().map(|request| (request.route, &*request.items)).collect();
    let expected: [(&str, &[u32]); 3] = [("/api/v2/logs", &[1, 3]), ("/api/v1/events", &[0]), ("/api/v1/events", &[2])];
    assert_eq!(requests, expected);
    let json = |index: usize| -> serde_json::Value { serde_json::from_slice(&encoded.requests[index].body).unwrap() };
    assert_eq!(json(0)[1]["event.name"], "browser.click");
    assert_eq!((&json(1)["host"], json(2).get("host")), (&json!("web1"), None));
}

#[test]
fn every_severity_has_the_name_that_datadog_knows() {
    let table = [
        (0, "", None),
        (0, "WARNING", Some("WARNING")),
        (1, "TRACE", Some("trace")),
        (5, "", Some("debug")),
        (9, "", Some("info")),
        (10, "", Some("notice")),
        (13, "WARNING", Some("warn")),
        (17, "", Some("error")),
        (18, "", Some("critical")),
        (19, "", Some("alert")),
        (21, "CRITICAL", Some("critical")),
        (24, "", Some("critical")),
    ];
    for (number, text, expected) in table {
        let record = Log { severity: Severity(number), severity_text: text.into(), ..log("x") };
        let json: serde_json::Value = serde_json::from_str(&body(vec![record])).unwrap();
        assert_eq!(json[0].get("status").and_then(|status| status.as_str()), expected, "{number} {text}");
    }
}

#[test]
fn bodies_attributes_and_ids_keep_their_types() {
    let map = Value::Map(vec![("n".to_owned(), Value::Array(vec![Value::Double(0.5), Value::Bool(true)]))]);
    let record = Log {
        body: Body::Value(map.clone()),
        attributes: vec![
            ("map".to_owned(), map),
            ("bytes".to_owned(), Value::Bytes(vec![0xab, 1])),
            ("nan".to_owned(), Value::Double(f64::NAN)),
        ],
        trace: Some(Box::new(Trace {
            trace_id: [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 0],
            span_id: [0, 0, 0, 0, 0, 0, 0, 7],
            flags: 0,
        })),
        ..log("")
    };
    let invalid = Log { body: Body::Bytes([b'a', 0xff].into()), time: Timestamp::UNKNOWN, ..log("") };
    let unknown = Log { observed_time: Timestamp::UNKNOWN, ..invalid.clone() };
    let json: serde_json::Value = serde_json::from_str(&body(vec![record, invalid, unknown])).unwrap();
    let expected = json!([
        {
            "message": "{\"n\":[0.5,true]}", "timestamp": 1_700_000_000_123_u64, "hostname": "web1",
            "dd.trace_id": "256", "otel.trace_id": "00000000000000090000000000000100",
            "dd.span_id": "7", "otel.span_id": "0000000000000007",
            "map": {"n": [0.5, true]}, "bytes": "ab01", "nan": null,
        },
        { "message": "a\u{fffd}", "timestamp": 1_700_000_000_123_u64, "hostname": "web1" },
        { "message": "a\u{fffd}", "hostname": "web1" },
    ]);
    assert_eq!(json, expected);
}

#[test]
fn the_resource_says_what_the_source_does_not_and_the_option_wins_over_its_host() {
    let mut batch = batch(vec![log("a"), Log { source: source("x.log", "shop", &[]), ..log("b") }]);
    let mut resource = Resource::default();
    resource.set(Resource::SERVICE_NAME, "desk");
    resource.set(Resource::LOG_SOURCE, "python");
    resource.set(Resource::HOST_NAME, "web1");
    batch.resource = Arc::new(resource);
    let encoder = Encoder { hostname: Some("named".to_owned()), compression: Compression::None };
    let json: serde_json::Value = serde_json::from_slice(&encode_with(&encoder, &batch).requests[0].body).unwrap();
    let shown = |index: usize| ["hostname", "service", "ddsource"].map(|key| json[index][key].as_str().unwrap());
    assert_eq!((shown(0), shown(1)), (["named", "desk", "python"], ["named", "shop", "gunicorn"]));
    assert_eq!(json[1]["ddtags"], "filename:x.log");
}

#[test]
fn an_array_has_at_most_a_thousand_records_and_five_megabytes() {
    let items = |encoded: &Encoded| encoded.requests.iter().map(|request| request.items.len()).collect::<Vec<_>>();
    assert_eq!(items(&encode((0..2_001).map(|_| log("x")).collect())), [1_000, 1_000, 1]);
    let large = encode((0..12).map(|_| log(&"x".repeat(900_000))).collect());
    assert_eq!(items(&large), [5, 5, 2]);
    assert!(large.requests.iter().all(|request| request.body.len() <= 5_000_000));
}

#[test]
fn a_message_that_is_too_long_is_cut_and_marked() {
    for text in ["x".repeat(3_000_000), "\u{1}\"é".repeat(400_000)] {
        let encoded = encode(vec![log("before"), log(&text), log("after")]);
        assert_eq!((encoded.requests.len(), encoded.dropped.len()), (1, 0));
        let body: Vec<serde_json::Value> = serde_json::from_slice(&encoded.requests[0].body).unwrap();
        let bytes = serde_json::to_string(&body[1]).unwrap().len();
        assert!((999_980..=1_000_000).contains(&bytes), "{bytes}");
        let message = body[1]["message"].as_str().unwrap();
        assert!(text.starts_with(message.strip_suffix(CUT).unwrap()));
        assert_eq!((&body[0]["message"], &body[2]["message"]), (&json!("before"), &json!("after")));
    }
    let text = "é".repeat(4_001);
    let long = Event { title: "t".to_owned(), text, aggregation_key: "ü".repeat(101), ..Event::default() };
    let json: serde_json::Value = serde_json::from_str(&body(vec![event(long)])).unwrap();
    let text = json["text"].as_str().unwrap();
    assert!(text.chars().count() == 4_000 && text.ends_with(CUT));
    assert_eq!(json["aggregation_key"], "ü".repeat(100));
    let fits = Event { title: "t".to_owned(), text: "é".repeat(4_000), ..Event::default() };
    assert!(!body(vec![event(fits)]).contains(CUT));
}

#[test]
fn a_record_whose_attributes_alone_are_too_long_is_dropped_alone() {
    let attributes = vec![("a".to_owned(), Value::String("x".repeat(1_000_001)))];
    let encoded = encode(vec![log("before"), Log { attributes, ..log("x") }, log("after")]);
    assert_eq!(encoded.dropped, [(reason::TOO_LARGE, 1)]);
    assert_eq!(encoded.requests[0].items, [0, 2]);
}

#[test]
fn an_index_without_a_record_is_counted() {
    let encoded = super::points::encoder().encode_logs(&batch(vec![log("x")]), &[0, 5]);
    assert_eq!((encoded.requests.len(), &*encoded.dropped), (1, &[(reason::UNSUPPORTED, 1)][..]));
}

fn any_log() -> impl Strategy<Value = Log> {
    let length = prop_oneof![4 => 0..2_000_usize, 1 => 400_000..1_100_000_usize];
    let texts = prop_oneof![Just("x"), Just("\n"), Just("é"), Just("\u{1}")];
    (length, texts, any::<bool>()).prop_map(|(length, text, is_event)| {
        let text = text.repeat(length);
        if is_event { event(Event { title: "t".to_owned(), text, ..Event::default() }) } else { log(&text) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_batch_of_records_is_sent_completely_within_the_limits(
        records in proptest::collection::vec(any_log(), 0..12),
        compression in prop_oneof![Just(Compression::Zstd), Just(Compression::None)],
    ) {
        let batch = batch(records);
        let encoded = encode_with(&Encoder { hostname: None, compression }, &batch);
        let mut sent: Vec<u32> = encoded.requests.iter().flat_map(|request| request.items.clone()).collect();
        sent.sort_unstable();
        prop_assert_eq!(sent, (0..batch.records.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(encoded.dropped, []);
        for request in &encoded.requests {
            let plain = zstd::decode_all(&*request.body).unwrap_or_else(|_| request.body.to_vec());
            prop_assert!(plain.len() <= 5_000_000);
            let json: serde_json::Value = serde_json::from_slice(&plain).unwrap();
            let longest = json.as_array().into_iter().flatten().map(|log| log.to_string().len()).max();
            prop_assert!(longest.unwrap_or_default() <= 1_000_000);
        }
    }
}
