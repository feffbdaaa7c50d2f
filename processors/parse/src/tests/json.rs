use super::*;
use hornpipe_model::Severity;

#[test]
fn fields_that_a_record_has_a_place_for_go_there() {
    let parse = parser("{type: json}");
    let text = concat!(
        r#"{"time": "2026-11-22T00:00:01.5Z", "levelname": "WARNING", "process": 7, "message": "low", "n": {"a": [1, 2.5, null]}, "#,
        r#""otelTraceID": "0af7651916cd43dd8448eb211c80319c", "otelSpanID": "b7ad6b7169203331", "ok": true, "#,
        r#""exc_info": "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: no"}"#
    );
    let record = parsed(&parse, text).unwrap();
    assert_eq!(record.time, Timestamp::from_nanos(DAY * 1_000_000_000 + 1_500_000_000));
    assert_eq!((record.severity, &*record.severity_text), (Severity::WARN, "WARNING"));
    let trace = record.trace.as_deref().unwrap();
    assert_eq!((trace.trace_id[0], trace.span_id[0]), (0x0a, 0xb7));
    let attributes = attributes(&record);
    assert_eq!(
        attributes[..2],
        [
            "exception.message=no",
            "exception.stacktrace=Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: no"
        ]
    );
    assert_eq!(
        attributes[2..],
        [
            "exception.type=ValueError",
            "message=low",
            "n=Map([(\"a\", Array([Int(1), Double(2.5), String(\"\")]))])",
            "ok=Bool(true)",
            "process.pid=7"
        ]
    );
}

#[test]
fn values_without_their_meaning_stay_attributes() {
    let parse = parser("{type: json}");
    let record = parsed(
        &parse,
        r#"{"status": 200, "ts": 0.0052, "time": "late", "trace_id": "x", "pid": "a", "exception": "none"}"#,
    )
    .unwrap();
    assert_eq!((record.time, record.severity, &record.trace), (Timestamp::UNKNOWN, Severity::UNSPECIFIED, &None));
    assert_eq!(
        attributes(&record),
        ["exception=none", "pid=a", "status=200", "time=late", "trace_id=x", "ts=Double(0.0052)"]
    );
}

#[test]
fn numbers_are_exact_and_what_is_null_is_left_out() {
    let parse = parser("{type: json}");
    let text =
        r#"{"ts": 1795680000123, "pid": "7", "user": null, "level": null, "n": {"a": null, "b": 1}, "time": null}"#;
    let record = parsed(&parse, text).unwrap();
    assert_eq!(record.time, Timestamp::from_nanos(1_795_680_000_123_000_000));
    assert_eq!(attributes(&record), ["n=Map([(\"b\", Int(1))])", "process.pid=7"]);
}

#[test]
fn what_is_no_object_is_not_read() {
    let parse = parser("{type: json}");
    for text in ["", "{", "[1]", "1", "{\"a\": 1} more", "text {\"a\": 1}"] {
        assert_eq!(parsed(&parse, text), None, "{text}");
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(parsed(&parse, &deep), None);
    let by_layout = parser("{type: json, timestamp_layout: '%d.%m.%Y %H:%M'}");
    assert_eq!(parsed(&by_layout, r#"{"ts": "22.11.2026 01:00"}"#).unwrap().time, Timestamp::from_secs(DAY + 3600));
}
