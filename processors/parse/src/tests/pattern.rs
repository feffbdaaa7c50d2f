use super::*;
use hornpipe_model::Severity;

#[test]
fn named_groups_become_attributes() {
    let parse = parser(
        r"{type: regex, pattern: '^(?<timestamp>\S+ \S+) (?<severity>\w+) (?<pid>\d+) (?<http.route>\S+)(?: (?<http.response.status_code>\S+))?', timestamp_layout: '%Y/%m/%d %H:%M:%S'}",
    );
    let record = parsed(&parse, "2026/11/22 00:00:07 warn 42 /users/:id 404").unwrap();
    assert_eq!(
        (record.time, record.severity, &*record.severity_text),
        (Timestamp::from_secs(DAY + 7), Severity::WARN, "warn")
    );
    assert_eq!(attributes(&record), ["http.response.status_code=404", "http.route=/users/:id", "process.pid=42"]);
    assert!(matches!(record.attributes[0].1, Value::Int(42)));

    // A group that matches nothing, a number that is none, a severity that is none.
    let record = parsed(&parse, "2026/11/22 00:00:07 loud 42 - x").unwrap();
    assert_eq!(
        (record.severity, attributes(&record)),
        (Severity::UNSPECIFIED, vec!["http.response.status_code=x".to_owned(), "process.pid=42".to_owned()])
    );
    assert_eq!(parsed(&parse, "nothing of it"), None);
}

#[test]
fn the_first_parser_that_fits_is_taken() {
    let parse = parser(r"{type: json}, {type: regex, pattern: '(?<a>\d+)'}, {type: regex, pattern: '(?<b>.+)'}");
    let first = |text: &str| parsed(&parse, text).map(|record| record.attributes[0].0.clone());
    assert_eq!(
        ["{\"c\": 1}", "x1", "x", ""].map(first),
        [Some("c".to_owned()), Some("a".to_owned()), Some("b".to_owned()), None]
    );
}

#[test]
fn what_a_parser_finds_replaces_what_was_there() {
    let parse = parser(r"{type: regex, pattern: '(?<a>\d+) (?<severity>\w+)?'}");
    let mut record = Log {
        severity: Severity::INFO,
        attributes: vec![("a".to_owned(), Value::from("old")), ("z".to_owned(), Value::from("kept"))],
        ..log("7 ")
    };
    parse.fields(&record).unwrap().write(&mut record);
    assert_eq!((attributes(&record), record.severity), (vec!["a=7".to_owned(), "z=kept".to_owned()], Severity::INFO));
}
