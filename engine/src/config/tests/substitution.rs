//! Values from the environment and from files.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

fn environment() -> FixedEnvironment {
    FixedEnvironment::new()
        .with_variable("LIST", "[debug, datadog/eu]")
        .with_variable("NAMES", "debug, otlp")
        .with_variable("PORT", "8125")
        .with_variable("OCTAL", "0123")
        .with_variable("EMPTY", "")
        .with_variable("TRUE", "true")
        .with_variable("MAP", "{site: eu, port: 1}")
        .with_variable("COLON", "a: b")
        .with_variable("STAR", "*x")
        .with_variable("HASH", "#abc")
        .with_variable("BROKEN", "[a, {")
        .with_variable("QUOTED", "'q'")
        .with_variable("LINES", "a\nb: c\n")
        .with_variable("DOCUMENTS", "a\n---\nb")
        .with_file("/run/key", "s3cr3t\r\n\n")
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    text: String,
    list: Vec<String>,
    port: u16,
    optional: Option<u16>,
    enabled: bool,
    map: BTreeMap<String, String>,
    interval: Duration,
    nested: Option<Box<Settings>>,
}

fn settings(text: &str) -> Result<Settings, String> {
    read(text, &environment())
}

#[test]
fn a_whole_value_means_what_it_means_in_yaml() {
    let list = ["debug".to_owned(), "datadog/eu".to_owned()];
    assert_eq!(settings("list: ${env:LIST}").unwrap().list, list);
    assert_eq!(settings("list: \"${env:LIST}\"").unwrap().list, list);
    assert_eq!(settings("list: ${env:UNSET:-[debug]}").unwrap().list, ["debug"]);
    assert_eq!(settings("list: ${env:NAMES}").unwrap().list, ["debug", "otlp"]);
    assert_eq!(settings("port: ${env:PORT}").unwrap().port, 8125);
    assert_eq!(settings("port: ${PORT}").unwrap().port, 8125);
    assert_eq!(settings("port: \"${env:PORT}\"").unwrap().port, 8125);
    assert_eq!(settings("port: ${env:UNSET:-1}").unwrap().port, 1);
    assert!(settings("enabled: ${env:TRUE}").unwrap().enabled);
    assert_eq!(settings("map: ${env:MAP}").unwrap().map.len(), 2);
    assert_eq!(settings("interval: ${env:UNSET:-10s}").unwrap().interval, Duration::from_secs(10));
}

#[test]
fn a_text_field_gets_the_text_whatever_else_it_means() {
    for (variable, text) in [
        ("OCTAL", "0123"),
        ("PORT", "8125"),
        ("TRUE", "true"),
        ("LIST", "[debug, datadog/eu]"),
        ("MAP", "{site: eu, port: 1}"),
        ("COLON", "a: b"),
        ("STAR", "*x"),
        ("HASH", "#abc"),
        ("BROKEN", "[a, {"),
        ("QUOTED", "'q'"),
        ("LINES", "a\nb: c\n"),
        ("DOCUMENTS", "a\n---\nb"),
        ("EMPTY", ""),
    ] {
        assert_eq!(settings(&format!("text: ${{env:{variable}}}")).unwrap().text, text);
        assert_eq!(settings(&format!("text: '${{env:{variable}}}'")).unwrap().text, text);
    }
    assert_eq!(settings("text: ${file:/run/key}").unwrap().text, "s3cr3t");
    assert_eq!(settings("text: http://${env:HOST:-localhost}:${env:PORT}/").unwrap().text, "http://localhost:8125/");
    assert_eq!(settings("text: a$$b$c").unwrap().text, "a$b$c");
    assert_eq!(settings("text: $${env:PORT}").unwrap().text, "${env:PORT}");
}

#[test]
fn an_empty_value_is_an_empty_text_and_the_default_of_all_else() {
    let expected = Settings::default();
    for key in ["text", "list", "port", "optional", "enabled", "map", "interval", "nested"] {
        assert_eq!(settings(&format!("{key}: ${{env:EMPTY}}")), Ok(Settings::default()), "{key}");
        assert_eq!(settings(&format!("{key}: ${{env:UNSET:-}}")).unwrap(), expected, "{key}");
    }
}

#[test]
fn all_that_is_unset_is_named_at_its_place() {
    let text = "text: ${env:ONE}\nport: 1\nnested:\n  list: [a, \"${TWO}\"]\n  text: x${file:/none}y\n";
    assert_eq!(
        settings(text).unwrap_err(),
        "error: environment variable `ONE` is not set
  --> pipeline.yaml:1:7 (text)
   |
 1 | text: ${env:ONE}
   |       ^^^^^^^^^^
   = help: set ONE, or give a default: ${env:ONE:-value}

error: environment variable `TWO` is not set
  --> pipeline.yaml:4:13 (nested.list[1])
   |
 4 |   list: [a, \"${TWO}\"]
   |             ^^^^^^^^
   = help: set TWO, or give a default: ${env:TWO:-value}

error: cannot use `${file:/none}`: there is no such file
  --> pipeline.yaml:5:9 (nested.text)
   |
 5 |   text: x${file:/none}y
   |         ^^^^^^^^^^^^^^^

3 errors in pipeline.yaml
"
    );
}

#[test]
fn what_is_unset_does_not_count_where_the_settings_are_not_used() {
    let node = tree("text: ${env:ONE}\nport: x\nlist: [a, \"${TWO}\"]\n", &environment());
    let mut diagnostics = Diagnostics::new();
    let settings: Settings = decode(&node.without_unresolved(), "receivers.x", &mut diagnostics).unwrap();
    assert_eq!(settings.text, "");
    assert_eq!(settings.list, ["a"]);
    assert_eq!(diagnostics.count(Severity::Error), 1, "{diagnostics}");
}

#[test]
fn values_from_outside_are_called_by_their_reference() {
    for (text, message) in [
        ("port: ${env:COLON}", "expected a whole number from 0 to 65535, found the value of `${env:COLON}`"),
        ("port: ${env:MAP}", "expected a whole number from 0 to 65535, found the value of `${env:MAP}`"),
        ("port: 1${env:PORT}", "expected a whole number from 0 to 65535, found the value of `${env:PORT}`"),
        ("enabled: ${env:STAR}", "expected `true` or `false`, found the value of `${env:STAR}`"),
        (
            "interval: ${env:PORT}",
            "expected a duration with a unit, such as `10s`, `1m30s` or `500ms`, found the value of `${env:PORT}`",
        ),
        ("nested: ${env:COLON}", "unknown key in the value of `${env:COLON}`"),
        ("nested: ${env:MAP}", "unknown key in the value of `${env:MAP}`"),
        (
            "nested: {optional: \"${env:A:-${env:HASH}}\"}",
            "expected a whole number from 0 to 65535, found the value of `${env:HASH}`",
        ),
    ] {
        let printed = settings(text).unwrap_err();
        assert!(printed.starts_with(&format!("error: {message}\n")), "{text}\n{printed}");
    }
    // A default stands in the file, so it may be shown.
    let printed = settings("port: ${env:UNSET:-x}").unwrap_err();
    assert!(printed.starts_with("error: expected a whole number from 0 to 65535, found `x`\n"), "{printed}");
}
