use super::*;
use hornpipe_engine::logs::{Boundary, Carried, Joiner, Joining};
use hornpipe_model::Severity;

struct Nothing;

impl Carried for Nothing {
    fn absorb(&mut self, _next: Self) {}
}

/// The records of an error log, joined as they come to the parser.
fn records(log: &str) -> Vec<String> {
    let boundary = Boundary::from_options(r"\[\d{4}-\d{2}-\d{2}", "", false, "", &mut Report::new()).unwrap();
    let (how, mut joiner, mut joined) = (Joining::at(boundary), Joiner::default(), Vec::new());
    for line in log.lines() {
        joiner.push(&how, line.as_bytes().into(), Nothing, std::time::Duration::ZERO, &mut joined);
    }
    joiner.flush(&mut joined);
    joined.into_iter().map(|record| String::from_utf8(record.text).unwrap()).collect()
}

fn get<'r>(record: &'r Log, key: &str) -> Option<&'r str> {
    record.attributes.iter().find(|(found, _)| found == key).and_then(|(_, value)| value.as_str())
}

#[test]
fn every_record_of_real_error_logs_is_read() {
    let parse = parser("{type: gunicorn_error}");
    for log in [
        include_str!("../../tests/fixtures/sync.error.log"),
        include_str!("../../tests/fixtures/bootfail.error.log"),
        include_str!("../../tests/fixtures/gthread-backlog.error.log"),
        include_str!("../../tests/fixtures/statsd-down.error.log"),
    ] {
        for text in records(log) {
            let record = parsed(&parse, &text).unwrap_or_else(|| panic!("{text}"));
            assert!(record.time.as_secs() / 86_400 == DAY / 86_400, "{text}");
            assert!(matches!(record.attributes[0], (ref key, Value::Int(6..100)) if key == "process.pid"), "{text}");
            assert_eq!(get(&record, "exception.type").is_some(), text.contains("Traceback"), "{text}");
            let level = text.split(['[', ']']).nth(5).unwrap();
            assert_eq!(&*record.severity_text, level);
        }
    }
}

#[test]
fn a_traceback_becomes_an_exception() {
    let parse = parser("{type: gunicorn_error}");
    let texts = records(include_str!("../../tests/fixtures/sync.error.log"));
    let failed = texts.iter().find(|text| text.contains("payment worker failed")).unwrap();
    let record = parsed(&parse, failed).unwrap();
    assert_eq!(record.time, Timestamp::from_secs(DAY + 10 * 3600 + 36 * 60 + 2));
    assert_eq!((record.severity, &*record.severity_text), (Severity::ERROR, "ERROR"));
    assert_eq!(record.attributes[0], ("process.pid".to_owned(), Value::Int(7)));
    assert_eq!(get(&record, "exception.type"), Some("app.PaymentError"));
    assert_eq!(get(&record, "exception.message"), Some("order 7 failed"));
    let stacktrace = get(&record, "exception.stacktrace").unwrap();
    assert_eq!(stacktrace, failed.split_once('\n').unwrap().1);
}

#[test]
fn a_traceback_that_nobody_introduces_is_an_error() {
    let parse = parser("{type: gunicorn_error}");
    let stdio = include_str!("../../tests/fixtures/bootfail.stdio.log");
    let (_, traceback) = stdio.split_once("nosuchmodule'\nTraceback").unwrap();
    let record = parsed(&parse, &format!("Traceback{traceback}")).unwrap();
    assert_eq!((record.severity, record.time), (Severity::ERROR, Timestamp::UNKNOWN));
    assert_eq!(get(&record, "exception.type"), Some("gunicorn.errors.HaltServer"));
    assert_eq!(get(&record, "exception.message"), Some("<HaltServer 'Worker failed to boot.' 3>"));
}

#[test]
fn the_forms_of_prefixes_are_told_from_other_text() {
    let parse = parser("{type: gunicorn_error}");
    let table = [
        ("[2026-11-22 10:35:59 +0000] [7] [WARNING] x", Some(Severity::WARN)),
        ("[2026-11-22 10:35:59 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:7)", Some(Severity::FATAL)),
        ("[2026-11-22 10:35:59 +0000] [7] [DEBUG] ", Some(Severity::DEBUG)),
        ("[2026-11-22 10:35:59,123] INFO x", Some(Severity::INFO)),
        ("[2026-11-22 10:35:59,123] ERROR\nx", Some(Severity::ERROR)),
        ("[2026-11-22 10:35:59 +0000] [7] [LOUD] x", None),
        ("[2026-11-22 10:35:59 +0000] [x] [INFO] x", None),
        ("[2026-13-22 10:35:59 +0000] [7] [INFO] x", None),
        ("[2026-11-22 10:35:59 +0000] x", None),
        ("2026-11-22 x", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(parsed(&parse, text).map(|record| record.severity), expected, "{text}");
    }
}
