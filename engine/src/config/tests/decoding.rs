//! Settings of every shape, right and wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    endpoint: String,
    aggregation_interval: Duration,
    max_bytes: ByteSize,
    api_key: Secret,
    port: u16,
    small: i8,
    ratio: f64,
    enabled: bool,
    tags: Vec<String>,
    percentiles: Vec<f64>,
    labels: BTreeMap<String, String>,
    levels: BTreeMap<u8, Level>,
    level: Level,
    mode: Mode,
    queue: Queue,
    maybe: Option<Queue>,
    rules: Vec<Rule>,
    pair: (u16, String),
    limit: Limit,
    letter: char,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Level {
    #[default]
    Basic,
    Normal,
    Detailed,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Off,
    Limit(u16),
    Span {
        from: u16,
        #[serde(default)]
        to: u16,
    },
    Both(u8, u8),
    Queue(Queue),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    size: u32,
    block: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { size: 7, block: false }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    port: u16,
    interval: Duration,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged, expecting = "a number or `none`")]
enum Limit {
    Number(u32),
    Name(Nothing),
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Nothing {
    None,
}

impl Default for Limit {
    fn default() -> Self {
        Limit::Name(Nothing::None)
    }
}

fn good(text: &str) -> Settings {
    read_alone(text).unwrap_or_else(|printed| panic!("{text}\n{printed}"))
}

fn bad(text: &str) -> String {
    read_alone::<Settings>(text).unwrap_err()
}

#[test]
fn every_shape_decodes() {
    assert_eq!(good("{}"), Settings::default());
    assert_eq!(good(""), Settings::default());
    let settings = good(&flush(
        "
        endpoint: localhost:8125
        aggregation_interval: 1m30s
        max_bytes: 32MiB
        api_key: 12345
        port: 0x1F
        small: -3
        ratio: 1
        enabled: true
        tags: [a, 1, true, 0123]
        percentiles: [0.5, 1, .99]
        labels: {a: b, c: 1}
        levels: {1: normal}
        level: detailed
        mode: {limit: 3}
        queue: {block: true}
        maybe: {}
        rules:
          - {name: a, port: 1, interval: 1s}
        pair: [1, x]
        limit: 5
        letter: x
        ",
    ));
    assert_eq!(settings.endpoint, "localhost:8125");
    assert_eq!(settings.aggregation_interval, Duration::from_secs(90));
    assert_eq!(settings.max_bytes, ByteSize::mib(32));
    assert_eq!(settings.api_key.reveal(), "12345");
    assert_eq!((settings.port, settings.small, settings.enabled), (31, -3, true));
    assert_eq!(settings.tags, ["a", "1", "true", "0123"]);
    assert_eq!(settings.percentiles, [0.5, 1.0, 0.99]);
    assert_eq!(settings.levels, BTreeMap::from([(1, Level::Normal)]));
    assert_eq!(settings.mode, Mode::Limit(3));
    assert_eq!(settings.queue, Queue { size: 7, block: true });
    assert_eq!(settings.maybe, Some(Queue::default()));
    assert_eq!(settings.pair, (1, "x".to_owned()));
    assert_eq!(settings.limit, Limit::Number(5));
}

#[test]
fn enums_take_a_name_or_a_mapping_of_one() {
    assert_eq!(good("mode: off").mode, Mode::Off);
    assert_eq!(good("mode: 'off'").mode, Mode::Off);
    assert_eq!(good("mode: {off: }").mode, Mode::Off);
    assert_eq!(good("mode: {span: {from: 1, to: 2}}").mode, Mode::Span { from: 1, to: 2 });
    assert_eq!(good("mode: {both: [1, 2]}").mode, Mode::Both(1, 2));
    assert_eq!(good("mode: {queue: }").mode, Mode::Queue(Queue::default()));
    assert_eq!(good("limit: none").limit, Limit::Name(Nothing::None));
}

#[test]
fn null_stands_for_the_default() {
    for key in [
        "endpoint",
        "aggregation_interval",
        "max_bytes",
        "api_key",
        "port",
        "ratio",
        "enabled",
        "tags",
        "labels",
        "level",
        "mode",
        "queue",
        "maybe",
        "rules",
        "pair",
        "limit",
        "letter",
    ] {
        assert_eq!(good(&format!("{key}:")), Settings::default(), "{key}");
        assert_eq!(good(&format!("{key}: ~")), Settings::default(), "{key}");
    }
    assert_eq!(good("tags: [a, ~, b]").tags, ["a", "b"]);
}

#[test]
fn text_with_commas_is_a_list_of_texts_only() {
    assert_eq!(good("tags: a, b,c").tags, ["a", "b", "c"]);
    assert_eq!(good("tags: a").tags, ["a"]);
    assert_eq!(good("tags: ''").tags, [""; 0]);
    assert_eq!(good("tags: 5").tags, ["5"]);
    assert!(bad("percentiles: 1,2").starts_with("error: expected a list, found `1,2`\n"));
    assert!(bad("percentiles: 0.5").starts_with("error: expected a list, found `0.5`\n"));
    assert!(bad("rules: a,b").starts_with("error: expected a list, found `a,b`\n"));
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_eq!(
        bad("endpoint: a\nagregation_interval: 10s\n"),
        "error: unknown key `agregation_interval`
  --> pipeline.yaml:2:1 (agregation_interval)
   |
 2 | agregation_interval: 10s
   | ^^^^^^^^^^^^^^^^^^^
   = help: did you mean `aggregation_interval`?

1 error in pipeline.yaml
"
    );
    assert_eq!(
        bad("queue:\n  size: 1\n  colour: red\n"),
        "error: unknown key `colour`
  --> pipeline.yaml:3:3 (queue.colour)
   |
 3 |   colour: red
   |   ^^^^^^
   = help: valid keys: size, block

1 error in pipeline.yaml
"
    );
}

#[test]
fn all_errors_are_found_at_once() {
    let text = flush(
        "
        endpint: a
        aggregation_interval: 10
        port: 70000
        enabled: yes
        tags: {a: b}
        percentiles: [0.5, high, 0.9, low]
        levels: {300: normal, 2: loud}
        level: detaild
        queue:
          size: -1
          blok: true
        rules:
          - {name: a, port: x, interval: 5, note: [1]}
          - {name: b, port: 1, intervall: 1s}
        ",
    );
    let expected = "error: unknown key `endpint`
  --> pipeline.yaml:1:1 (endpint)
   |
 1 | endpint: a
   | ^^^^^^^
   = help: did you mean `endpoint`?

error: expected a duration with a unit, such as `10s`, `1m30s` or `500ms`, found `10`
  --> pipeline.yaml:2:23 (aggregation_interval)
   |
 2 | aggregation_interval: 10
   |                       ^^
   = help: write `10s` for seconds, or `10ms` for milliseconds

error: expected a whole number from 0 to 65535, found `70000`
  --> pipeline.yaml:3:7 (port)
   |
 3 | port: 70000
   |       ^^^^^

error: expected `true` or `false`, found `yes`
  --> pipeline.yaml:4:10 (enabled)
   |
 4 | enabled: yes
   |          ^^^
   = help: write `true`

error: expected a list, found a mapping
  --> pipeline.yaml:5:7 (tags)
   |
 5 | tags: {a: b}
   |       ^

error: expected a number, found `high`
  --> pipeline.yaml:6:20 (percentiles[1])
   |
 6 | percentiles: [0.5, high, 0.9, low]
   |                    ^^^^

error: expected a number, found `low`
  --> pipeline.yaml:6:31 (percentiles[3])
   |
 6 | percentiles: [0.5, high, 0.9, low]
   |                               ^^^

error: expected a number (u8) as the key, found `300`
  --> pipeline.yaml:7:10 (levels.300)
   |
 7 | levels: {300: normal, 2: loud}
   |          ^^^

error: `loud` is not a valid value
  --> pipeline.yaml:7:26 (levels.2)
   |
 7 | levels: {300: normal, 2: loud}
   |                          ^^^^
   = help: valid values: basic, normal, detailed

error: `detaild` is not a valid value
  --> pipeline.yaml:8:8 (level)
   |
 8 | level: detaild
   |        ^^^^^^^
   = help: did you mean `detailed`?

error: expected a whole number from 0 to 4294967295, found `-1`
   --> pipeline.yaml:10:9 (queue.size)
    |
 10 |   size: -1
    |         ^^
";
    let printed = bad(&text);
    assert!(printed.starts_with(expected), "{printed}");
    for (place, message) in [
        ("11:3 (queue.blok)", "unknown key `blok`"),
        ("13:21 (rules[0].port)", "expected a whole number from 0 to 65535, found `x`"),
        ("13:34 (rules[0].interval)", "expected a duration with a unit"),
        ("13:43 (rules[0].note)", "expected text, found a list"),
        ("14:5 (rules[1])", "`interval` is missing"),
        ("14:24 (rules[1].intervall)", "unknown key `intervall`"),
    ] {
        assert!(printed.contains(place) && printed.contains(message), "{place} {message}\n{printed}");
    }
    assert!(printed.ends_with("17 errors in pipeline.yaml\n"), "{printed}");
}

#[test]
fn every_missing_field_is_named() {
    let printed = bad("rules:\n  - note: a\n  - name:\n    port: 1\n    interval: 1s\n");
    for missing in ["`name` is missing", "`port` is missing", "`interval` is missing"] {
        assert!(printed.contains(missing), "{printed}");
    }
    // The empty one is shown where its key stands.
    assert!(printed.contains("error: `name` is missing\n  --> pipeline.yaml:3:5 (rules[1])\n"), "{printed}");
    assert!(printed.ends_with("4 errors in pipeline.yaml\n"), "{printed}");
}

#[test]
fn what_follows_from_a_known_error_is_not_reported() {
    for text in [
        "pair: [x, a]",
        "mode: {both: [x, 1]}",
        "mode: {both: [1, x]}",
        "mode: {span: {from: x}}",
        "rules: [{name: a, port: x, interval: 1s}]",
    ] {
        let printed = bad(text);
        assert!(printed.ends_with("1 error in pipeline.yaml\n"), "{text}\n{printed}");
    }
}

#[test]
fn wrong_values_say_what_is_accepted() {
    for (text, message, help) in [
        (
            "port: \"8125\"",
            "expected a whole number from 0 to 65535, found the text \"8125\"",
            Some("remove the quotes"),
        ),
        ("port: -1", "expected a whole number from 0 to 65535, found `-1`", None),
        ("port: 1.0", "expected a whole number from 0 to 65535, found `1.0`", None),
        ("port: [1]", "expected a whole number from 0 to 65535, found a list", None),
        ("small: 128", "expected a whole number from -128 to 127, found `128`", None),
        ("ratio: '1'", "expected a number, found the text \"1\"", Some("remove the quotes")),
        ("enabled: 1", "expected `true` or `false`, found `1`", Some("write `true`")),
        ("enabled: 'true'", "expected `true` or `false`, found the text \"true\"", Some("remove the quotes")),
        ("endpoint: {a: b}", "expected text, found a mapping", None),
        ("queue: 5", "expected a mapping, found `5`", None),
        ("queue: []", "expected a mapping, found a list", None),
        ("labels: a", "expected a mapping, found `a`", None),
        ("max_bytes: 5XB", "expected a size such as `32MiB`, `500KB` or a number of bytes, found `5XB`", None),
        ("max_bytes: -5", "expected a size such as `32MiB`, `500KB` or a number of bytes, found `-5`", None),
        (
            "aggregation_interval: soon",
            "expected a duration with a unit, such as `10s`, `1m30s` or `500ms`, found `soon`",
            None,
        ),
        ("mode: of", "`of` is not a valid value", Some("did you mean `off`?")),
        ("mode: limit", "expected a mapping with the name as its key, found `limit`", None),
        ("mode: {limit: x}", "expected a whole number from 0 to 65535, found `x`", None),
        ("mode: {limits: 1}", "`limits` is not a valid value", Some("did you mean `limit`?")),
        ("mode: {limit: 1, off: }", "expected one of off, limit, span, both, queue, found a mapping", None),
        ("mode: []", "expected one of off, limit, span, both, queue, found a list", None),
        ("mode: {queue: {siz: 1}}", "unknown key `siz`", Some("did you mean `size`?")),
        ("limit: many", "a number or `none`", None),
        ("pair: [1]", "expected a list of 2, found a list", None),
        ("letter: ab", "expected one character, found `ab`", None),
    ] {
        let printed = bad(text);
        assert!(printed.starts_with(&format!("error: {message}\n")), "{text}\n{printed}");
        let shown = printed.lines().find_map(|line| line.trim_start().strip_prefix("= help: "));
        assert_eq!(shown, help, "{text}\n{printed}");
        assert!(printed.ends_with("1 error in pipeline.yaml\n"), "{text}\n{printed}");
    }
}

#[test]
fn a_value_on_a_later_line_is_shown_at_its_key() {
    let printed = bad("queue:\n  - 1\n");
    assert!(printed.contains("--> pipeline.yaml:1:1 (queue)\n   |\n 1 | queue:\n   | ^^^^^\n"), "{printed}");
    let printed = bad("port:\n  a: b\n");
    assert!(printed.contains("--> pipeline.yaml:1:1 (port)\n"), "{printed}");
}

#[test]
fn a_flattened_or_tagged_value_decodes_and_its_unknown_keys_have_a_place() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
    enum Tagged {
        Regex { expression: String },
    }
    #[derive(Debug, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }
    let Tagged::Regex { expression } = read_alone("{type: regex, expression: a}").unwrap();
    assert_eq!(expression, "a");
    let printed = read_alone::<Tagged>("type: regex\nexpresion: a\n").unwrap_err();
    assert!(printed.contains("error: unknown key `expresion`\n  --> pipeline.yaml:2:1 (expresion)"), "{printed}");
    let flat: Flat = read_alone("{a: 1, b: [x, true, 1.5], c: ~}").unwrap();
    assert_eq!(serde_json::to_string(&flat.rest).unwrap(), r#"{"a":1,"b":["x",true,1.5],"c":null}"#);
}

#[test]
fn merge_keys_and_aliases_work() {
    let settings = good("queue: &q {size: 1, block: true}\nmaybe:\n  <<: *q\n  size: 2\n");
    assert_eq!(settings.maybe, Some(Queue { size: 2, block: true }));
}

#[test]
fn endless_errors_end() {
    let text: String = (0..5_000).map(|key| format!("key_{key}: 1\n")).collect();
    assert!(bad(&text).ends_with("100 errors in pipeline.yaml\n"));
}
